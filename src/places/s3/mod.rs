//! A blocking S3 client: what the object store, the published tree and the probes need of a bucket, and no more.
//!
//! - Keys are given below the bucket's prefix. Clones share connections, credentials and counters.
//! - Every request is tried again, with jitter, on 429, 5xx, timeouts and broken connections, a bounded number of times.
//! - Bytes go up with Content-MD5 and SHA-256, in plain bodies: no trailers, which servers other than Amazon's reject.
//! - Bytes that come down are counted; a download cut short goes on where it stopped, or fails.
//! - Calls block, and must not come from inside async code (use a blocking thread there).

mod connect;
mod copy;
mod count;
mod error;
mod list;
mod presign;
mod probe;
mod read;
mod runtime;
mod upload;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_sdk_s3::config::Builder;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use tokio::runtime::Runtime;

pub use error::{Failed, S3Error};
pub use list::Entry;
pub use presign::SignedPut;
pub use probe::{Stranger, Wrong};
pub use read::Body;
pub use upload::{Open, Unfinished, UploadError};

use crate::places::requests::Requests;
use crate::words::archive::BucketSettings;
use crate::words::date::Timestamp;
use crate::words::digest::{Md5, Sha256};

/// From which sizes on work is cut into parts, and how often it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Size of the parts of an upload, and the size from which a file is sent in parts. Parts grow for files of more than
    /// 10,000 parts.
    pub part_size: u64,
    /// Parts of one upload, or of one copy, that are under way at one time.
    pub parts: usize,
    /// The size from which a copy is made in parts.
    pub copy_whole: u64,
    /// Size of the parts of a copy.
    pub copy_part: u64,
    /// Tries of one request, the first included; `None` is what AWS_MAX_ATTEMPTS or the AWS configuration says, else 8.
    pub tries: Option<u32>,
    /// How long an answer may take to begin; requests that carry or copy bytes get more, by their size.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { part_size: 16 << 20, parts: 4, copy_whole: 5 << 30, copy_part: 512 << 20, tries: None, patience: Duration::from_secs(30) }
    }
}

/// The slowest connection that is waited for, in bytes a second, and the slowest copying within a server.
const SENT: u64 = 50_000;
const COPIED: u64 = 5_000_000;

/// What is stored with the bytes and sent to whoever reads them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Headers<'a> {
    /// Content-Type.
    pub content_type: Option<&'a str>,
    /// Cache-Control.
    pub cache_control: Option<&'a str>,
    /// The hash of the bytes, kept as metadata: not every server tells its own, and none that of a copy or of many parts.
    pub sha256: Option<Sha256>,
}

impl Headers<'_> {
    /// Nothing.
    pub const NONE: Self = Self { content_type: None, cache_control: None, sha256: None };

    fn metadata(&self) -> Option<HashMap<String, String>> {
        self.sha256.map(|sha256| HashMap::from([(METADATA.to_owned(), sha256.to_hex())]))
    }
}

/// The name of the hash in the metadata (`x-amz-meta-…`).
const METADATA: &str = "ddb-sha256";

/// What must hold for a write to happen. Servers exist that ignore it and answer as if it had held; and where the answer to
/// the first try was lost, the second finds the condition broken by the first. So a failed condition means: look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition<'a> {
    /// Nothing.
    Always,
    /// There is no such key.
    Absent,
    /// The key has this ETag, which is sent as it stands: quoted or not.
    Unchanged(&'a str),
}

/// What a server says about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Size in bytes.
    pub size: u64,
    /// The ETag, without quotes.
    pub etag: String,
    /// Content-Type.
    pub content_type: Option<String>,
    /// Cache-Control.
    pub cache_control: Option<String>,
    /// The hash of the bytes, where whoever wrote them said it.
    pub sha256: Option<String>,
    /// When it was last written, by the server's clock.
    pub modified: Timestamp,
}

/// Credentials from elsewhere than the standard AWS chain.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The access key, no secret.
    pub access_key: String,
    /// The secret key.
    pub secret_key: String,
    /// The session token of temporary credentials.
    pub token: Option<String>,
}

/// A bucket and a prefix in it. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    prefix: String,
}

struct Inner {
    sdk: aws_sdk_s3::Client,
    runtime: &'static Runtime,
    count: count::Count,
    settings: BucketSettings,
    server: String,
    limits: Limits,
    tries: u32,
}

impl Client {
    /// Returns a client of this bucket. Sends nothing yet.
    ///
    /// # Errors
    /// The process cannot start threads.
    pub fn new(settings: &BucketSettings) -> Result<Self, S3Error> {
        Self::with(settings, Limits::default(), None)
    }

    /// The same, with other sizes of parts, or other credentials than those of the standard AWS chain.
    ///
    /// # Errors
    /// The process cannot start threads.
    pub fn with(settings: &BucketSettings, limits: Limits, credentials: Option<Credentials>) -> Result<Self, S3Error> {
        let count = count::Count::default();
        let server = connect::server(settings);
        let runtime = runtime::start().map_err(|fault| {
            S3Error::new("reach", settings.prefix.clone(), place(&settings.bucket, &server), Failed::Other, fault.to_string())
        })?;
        let sdk = runtime::block_on(runtime, connect::connect(settings, &limits, count.clone(), credentials));
        let tries = sdk.config().retry_config().map_or(1, RetryConfig::max_attempts);
        let inner = Inner { sdk, runtime, count, settings: settings.clone(), server, limits, tries };
        Ok(Self { inner: Arc::new(inner), prefix: settings.prefix.clone() })
    }

    /// Returns the same client for keys below another prefix of the bucket; connections and counters are shared.
    #[must_use]
    pub fn with_prefix(&self, prefix: &str) -> Self {
        Self { inner: Arc::clone(&self.inner), prefix: prefix.to_owned() }
    }

    /// Returns the bucket, prefix and server for messages.
    pub fn describe(&self) -> String {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        format!("s3://{}{slash}{} at {}", self.inner.settings.bucket, self.prefix, self.inner.server)
    }

    /// Returns the bucket's settings.
    pub fn settings(&self) -> &BucketSettings {
        &self.inner.settings
    }

    /// Returns the whole key of a key below the prefix.
    pub fn key(&self, key: &str) -> String {
        if self.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.prefix) }
    }

    /// Returns how many requests were sent so far, retries included, by this client and all its clones.
    pub fn requests(&self) -> Requests {
        self.inner.count.requests()
    }

    /// Returns the server's time in its last answer, where it told one.
    pub fn server_time(&self) -> Option<Timestamp> {
        self.inner.count.time()
    }

    /// Returns what the server says about a key, `None` where there is none.
    ///
    /// # Errors
    /// The server cannot be asked, or refuses.
    pub fn head(&self, key: &str) -> Result<Option<Head>, S3Error> {
        let request = self.sdk().head_object().bucket(self.bucket()).key(self.key(key));
        let answer = match self.send("look at", key, request.send()) {
            Ok(answer) => answer,
            Err(fault) if fault.failed == Failed::Missing => return Ok(None),
            Err(fault) => return Err(self.with_reason(key, fault)),
        };
        Ok(Some(Head {
            size: self.length("look at", key, answer.content_length())?,
            etag: bare(answer.e_tag()),
            content_type: answer.content_type().map(str::to_owned),
            cache_control: answer.cache_control().map(str::to_owned),
            sha256: said_hash(answer.metadata()),
            modified: Timestamp(answer.last_modified().map_or(0, |time| time.secs())),
        }))
    }

    /// The answer to a HEAD has no body and so no reason; the one to a GET has.
    fn with_reason(&self, key: &str, fault: S3Error) -> S3Error {
        if !matches!(fault.status, Some(400 | 403)) {
            return fault;
        }
        let request = self.sdk().get_object().bucket(self.bucket()).key(self.key(key)).range("bytes=0-0");
        match self.send("look at", key, request.send()) {
            Err(reason) if reason.status == fault.status => reason,
            _ => fault,
        }
    }

    /// Opens a key for reading, `None` where there is none.
    ///
    /// # Errors
    /// The server cannot be asked, or refuses.
    pub fn get(&self, key: &str) -> Result<Option<Body>, S3Error> {
        self.open(key, None)
    }

    /// Opens a part of a key for reading; what lies behind its end is left out.
    ///
    /// # Errors
    /// The server cannot be asked, refuses, or sends another part.
    pub fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Body>, S3Error> {
        self.open(key, Some(range))
    }

    /// Writes bytes to a key and returns the new ETag, without quotes.
    ///
    /// # Errors
    /// The condition does not hold, or the server cannot be reached, or refuses. The key is then as before, or, where the
    /// answer was lost, holds the whole bytes.
    pub fn put(&self, key: &str, bytes: impl Into<Bytes>, headers: Headers<'_>, condition: Condition<'_>) -> Result<String, S3Error> {
        let bytes = bytes.into();
        let sha256 = Sha256::of(&bytes);
        self.put_hashed(key, bytes, &sha256, headers, condition)
    }

    fn put_hashed(
        &self,
        key: &str,
        bytes: Bytes,
        sha256: &Sha256,
        headers: Headers<'_>,
        condition: Condition<'_>,
    ) -> Result<String, S3Error> {
        let patience = self.patience(bytes.len() as u64, SENT);
        let request = self
            .sdk()
            .put_object()
            .bucket(self.bucket())
            .key(self.key(key))
            .content_md5(STANDARD.encode(Md5::of(&bytes).as_bytes()))
            .checksum_sha256(STANDARD.encode(sha256.as_bytes()))
            .set_content_type(headers.content_type.map(str::to_owned))
            .set_cache_control(headers.cache_control.map(str::to_owned))
            .set_metadata(headers.metadata())
            .set_if_none_match((condition == Condition::Absent).then(|| "*".to_owned()))
            .set_if_match(if let Condition::Unchanged(etag) = condition { Some(etag.to_owned()) } else { None })
            .body(ByteStream::new(SdkBody::from(bytes)))
            .customize()
            .config_override(patience);
        let answer = self.send("write", key, request.send())?;
        Ok(bare(answer.e_tag()))
    }

    /// Removes a key; it is no error that it is not there.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub fn delete(&self, key: &str) -> Result<(), S3Error> {
        let request = self.sdk().delete_object().bucket(self.bucket()).key(self.key(key));
        match self.send("remove", key, request.send()) {
            Err(fault) if fault.failed != Failed::Missing => Err(fault),
            _ => Ok(()),
        }
    }

    fn sdk(&self) -> &aws_sdk_s3::Client {
        &self.inner.sdk
    }

    fn bucket(&self) -> &str {
        &self.inner.settings.bucket
    }

    /// Returns how long this request may take: what any may, and what so many bytes need at so many a second.
    fn patience(&self, bytes: u64, rate: u64) -> Builder {
        let time = self.inner.limits.patience + Duration::from_secs(bytes / rate);
        aws_sdk_s3::Config::builder().timeout_config(TimeoutConfig::builder().connect_timeout(connect::CONNECT).read_timeout(time).build())
    }

    fn fault(&self, operation: &'static str, key: &str, failed: Failed, said: impl Into<String>) -> S3Error {
        S3Error::new(operation, self.key(key), place(self.bucket(), &self.inner.server), failed, said.into())
    }

    fn error_of<E>(&self, operation: &'static str, key: &str, error: &SdkError<E, HttpResponse>) -> S3Error
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        S3Error::of(operation, self.key(key), place(self.bucket(), &self.inner.server), error)
    }

    fn send<T, E>(
        &self,
        operation: &'static str,
        key: &str,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, S3Error>
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        runtime::block_on(self.inner.runtime, request).map_err(|error| self.error_of(operation, key, &error))
    }

    fn length(&self, operation: &'static str, key: &str, length: Option<i64>) -> Result<u64, S3Error> {
        length
            .and_then(|length| u64::try_from(length).ok())
            .ok_or_else(|| self.fault(operation, key, Failed::Other, "the server does not say how long it is"))
    }
}

/// Threads for requests in parallel: more than processors, because they wait.
///
/// # Errors
/// The process cannot start threads.
pub fn threads() -> Result<&'static rayon::ThreadPool, rayon::ThreadPoolBuildError> {
    static THREADS: OnceLock<rayon::ThreadPool> = OnceLock::new();
    if let Some(threads) = THREADS.get() {
        return Ok(threads);
    }
    let made = rayon::ThreadPoolBuilder::new().num_threads(16).thread_name(|number| format!("request-{number}")).build()?;
    Ok(THREADS.get_or_init(|| made))
}

fn place(bucket: &str, server: &str) -> String {
    format!("bucket {bucket} at {server}")
}

/// Returns the hash in a key's metadata.
fn said_hash(metadata: Option<&HashMap<String, String>>) -> Option<String> {
    metadata.and_then(|metadata| metadata.get(METADATA)).cloned()
}

/// Returns an ETag without its quotes.
fn bare(etag: Option<&str>) -> String {
    etag.unwrap_or_default().trim_matches('"').to_owned()
}
