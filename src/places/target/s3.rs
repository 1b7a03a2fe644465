//! A published tree in a bucket of an S3-compatible server.
//!
//! A write of S3 is atomic and visible when it was answered, so there is nothing to settle, and there is no lock to hold: the
//! staged Release in Git keeps publishers apart. InRelease is written on the condition that it is what this publish read
//! before, which servers that honour that turn into an earlier notice of a second publisher; nothing depends on it.
//!
//! Pool files are copied by the server where the objects lie there too, else streamed. What repeats another file is a copy as
//! well: it costs one request like a second write, and sends nothing. The hash of every file is kept with it, so that whether
//! a file is the right one is told by one HEAD.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Content, PublishTarget, TargetError};
use crate::formats::pool::pointer::Pointer;
use crate::formats::web;
use crate::places::lanes::LANES;
use crate::places::pointer_of;
use crate::places::requests::Requests;
use crate::places::s3::{Body, Client, Condition, Failed, Headers, S3Error, UploadError};
use crate::places::store::{ObjectStore, StoreError};
use crate::words::archive::BucketSettings;
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;

/// A published tree in a bucket.
pub struct S3Target {
    client: Client,
    /// Each InRelease as it was when it was read, `None` where there was none.
    seen: Mutex<BTreeMap<String, Option<Seen>>>,
}

/// What an InRelease was.
#[derive(Debug, Clone)]
struct Seen {
    etag: String,
    modified: Timestamp,
}

/// Until the next second has begun.
const NEXT_SECOND: Duration = Duration::from_millis(1100);

/// From which size on a file is looked for before it is sent.
const LOOK_FROM: u64 = 1 << 20;

impl S3Target {
    /// Returns the tree in this bucket. Nothing is sent yet.
    ///
    /// # Errors
    /// The process cannot start threads.
    pub fn new(settings: &BucketSettings) -> Result<Self, S3Error> {
        Ok(Self::with(Client::new(settings)?))
    }

    /// Returns the tree below the prefix of this client.
    pub fn with(client: Client) -> Self {
        Self { client, seen: Mutex::default() }
    }

    fn headers(path: &str, sha256: Sha256) -> Headers<'static> {
        let presentation = web::presentation(path);
        Headers { content_type: Some(presentation.content_type), cache_control: Some(presentation.cache_control), sha256: Some(sha256) }
    }

    fn failed(&self, operation: &'static str, path: &str) -> impl Fn(io::Error) -> TargetError + use<> {
        let (target, path) = (self.describe(), path.to_owned());
        move |source| TargetError::Io { target: target.clone(), operation, path: path.clone(), source }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Option<Seen>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fetch(&self, path: &str) -> Result<Option<(Seen, Vec<u8>)>, TargetError> {
        let Some(mut body) = self.client.get(path)? else { return Ok(None) };
        let seen = Seen { etag: body.head.etag.clone(), modified: body.head.modified };
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes).map_err(self.failed("read", path))?;
        Ok(Some((seen, bytes)))
    }

    fn write_bytes(&self, path: &str, bytes: &[u8]) -> Result<(), TargetError> {
        let headers = Self::headers(path, Sha256::of(bytes));
        let put = |condition: Condition<'_>| self.client.put(path, bytes.to_vec(), headers, condition);
        let Some(seen) = self.seen().get(path).cloned() else { return put(Condition::Always).map(drop).map_err(Into::into) };
        let condition = seen.as_ref().map_or(Condition::Absent, |seen| Condition::Unchanged(&seen.etag));
        let etag = match put(condition) {
            Err(fault) if fault.failed == Failed::Condition => {
                self.look_again(path, bytes, seen.as_ref().map(|seen| seen.etag.as_str()), &put)?
            }
            // The server knows no such condition.
            Err(fault) if fault.status == Some(501) => put(Condition::Always)?,
            other => other?,
        };
        let mut now = Seen { etag, modified: Timestamp(0) };
        if let Some(before) = seen {
            now = self.in_another_second(path, now, &before, &put)?;
        }
        self.seen().insert(path.to_owned(), Some(now));
        Ok(())
    }

    /// Makes sure that a new InRelease is dated otherwise than the old one: clients ask for what was modified since, in whole
    /// seconds, and whoever read the old one in the same second would be told until the next publish that it is the newest.
    fn in_another_second(
        &self,
        path: &str,
        written: Seen,
        before: &Seen,
        put: &dyn Fn(Condition<'_>) -> Result<String, S3Error>,
    ) -> Result<Seen, TargetError> {
        let Some(head) = self.client.head(path)? else { return Ok(written) };
        if head.modified != before.modified {
            return Ok(Seen { modified: head.modified, ..written });
        }
        std::thread::sleep(NEXT_SECOND);
        match put(Condition::Unchanged(&written.etag)) {
            Ok(etag) => Ok(Seen { etag, ..written }),
            // Somebody wrote a newer one meanwhile.
            Err(fault) if fault.failed == Failed::Condition => Ok(written),
            Err(fault) => Err(fault.into()),
        }
    }

    /// A condition did not hold: because somebody else wrote, because the answer to the first try was lost, or because the
    /// server wants an ETag in quotes, or compares wrongly.
    fn look_again(
        &self,
        path: &str,
        bytes: &[u8],
        seen: Option<&str>,
        put: &dyn Fn(Condition<'_>) -> Result<String, S3Error>,
    ) -> Result<String, TargetError> {
        let overtaken = || TargetError::Overtaken { target: self.describe(), path: path.to_owned() };
        match (self.fetch(path)?, seen) {
            (Some((now, found)), _) if found == bytes => Ok(now.etag),
            (Some((now, _)), Some(seen)) if now.etag == seen => match put(Condition::Unchanged(&format!("\"{seen}\""))) {
                Err(fault) if fault.failed == Failed::Condition => match self.fetch(path)? {
                    Some((now, found)) if found == bytes => Ok(now.etag),
                    Some((now, _)) if now.etag == seen => Ok(put(Condition::Always)?),
                    _ => Err(overtaken()),
                },
                other => Ok(other?),
            },
            (None, None) => Ok(put(Condition::Always)?),
            _ => Err(overtaken()),
        }
    }

    fn write_object(&self, path: &str, pointer: &Pointer, store: &dyn ObjectStore) -> Result<(), TargetError> {
        let object = |source| TargetError::Object { path: path.to_owned(), source: Box::new(source) };
        let missing = || object(StoreError::Missing { store: store.describe(), oid: pointer.oid });
        let headers = Self::headers(path, pointer.oid);
        let key = store.bucket_key(&pointer.oid).filter(|key| key.endpoint == self.client.settings().endpoint);
        if let Some(key) = key {
            return match self.client.copy(&key.bucket, &key.key, pointer.size, path, headers) {
                Err(fault) if fault.failed == Failed::Missing => Err(missing()),
                other => Ok(other?),
            };
        }
        // What another suite brought, or a publish that was stopped, need not be sent again, where that costs more than a look.
        if pointer.size >= LOOK_FROM && self.holds(path, pointer)? {
            return Ok(());
        }
        if store.size(&pointer.oid).map_err(object)? != Some(pointer.size) {
            return Err(missing());
        }
        let open = || -> io::Result<Box<dyn io::Read>> { Ok(store.open(&pointer.oid).map_err(io::Error::other)?) };
        match self.client.upload(path, pointer, &open, headers, false) {
            Err(UploadError::Read(fault)) => Err(match fault.downcast::<StoreError>() {
                Ok(fault) => object(fault),
                Err(fault) => self.failed("read the object of", path)(fault),
            }),
            Err(UploadError::Changed { expected, found }) => {
                Err(self.failed("write", path)(io::Error::other(UploadError::Changed { expected, found })))
            }
            Err(UploadError::S3(fault)) => Err(fault.into()),
            Ok(()) => Ok(()),
        }
    }
}

impl PublishTarget for S3Target {
    fn describe(&self) -> String {
        self.client.describe()
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, TargetError> {
        let (seen, bytes) = self.fetch(path)?.unzip();
        if path.ends_with("/InRelease") {
            self.seen().insert(path.to_owned(), seen);
        }
        Ok(bytes)
    }

    fn size(&self, path: &str) -> Result<Option<u64>, TargetError> {
        Ok(self.client.head(path)?.map(|head| head.size))
    }

    fn holds(&self, path: &str, pointer: &Pointer) -> Result<bool, TargetError> {
        let Some(head) = self.client.head(path)?.filter(|head| head.size == pointer.size) else { return Ok(false) };
        match head.sha256 {
            Some(said) => Ok(said == pointer.oid.to_hex()),
            None => Ok(self.hash(path)? == Some(*pointer)),
        }
    }

    fn hash(&self, path: &str) -> Result<Option<Pointer>, TargetError> {
        let hashed = |body: Body| pointer_of(body).map_err(self.failed("read", path));
        self.client.get(path)?.map(hashed).transpose()
    }

    fn write(&self, path: &str, content: &Content, store: &dyn ObjectStore) -> Result<(), TargetError> {
        match content {
            Content::Bytes(bytes) => self.write_bytes(path, bytes),
            Content::Object(pointer) => self.write_object(path, pointer, store),
            Content::SameAs(other, pointer) => {
                let (bucket, headers) = (&self.client.settings().bucket, Self::headers(path, pointer.oid));
                Ok(self.client.copy(bucket, &self.client.key(other), pointer.size, path, headers)?)
            }
        }
    }

    fn remove(&self, path: &str) -> Result<(), TargetError> {
        Ok(self.client.delete(path)?)
    }

    fn settle(&self) -> Result<(), TargetError> {
        Ok(())
    }

    fn exclusive(&self) -> Result<Box<dyn std::any::Any>, TargetError> {
        Ok(Box::new(()))
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn lanes(&self) -> usize {
        LANES
    }

    fn address(&self) -> Option<String> {
        let BucketSettings { bucket, endpoint, region, prefix, path_style } = self.client.settings();
        let base = match endpoint.as_deref().map(|endpoint| endpoint.trim_end_matches('/')) {
            None => format!("https://{bucket}.s3.{}.amazonaws.com", region.as_deref()?),
            Some(endpoint) if path_style.unwrap_or(true) => format!("{endpoint}/{bucket}"),
            Some(endpoint) => endpoint.split_once("://").map(|(scheme, host)| format!("{scheme}://{bucket}.{host}"))?,
        };
        Some(format!("{base}/{prefix}"))
    }

    fn requests(&self) -> Requests {
        self.client.requests()
    }
}
