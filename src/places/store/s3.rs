//! An object store in a bucket, at `<prefix>/ab/cd/<oid>`: the Git-LFS hierarchy, which stock tools and servers read too.
//!
//! What is sent was hashed before, and what is read is hashed again: bytes that do not match end in an error of kind
//! `InvalidData` when the last of them is read.

use std::io::{self, Read};
use std::ops::Range;

use sha2::Digest as _;

use super::{BucketKey, Listing, ObjectStore, Put, Source, StoreError, Stored, key};
use crate::formats::pool::pointer::Pointer;
use crate::places::requests::Requests;
use crate::places::s3::{Body, Client, Condition, Credentials, Failed, Headers, Limits, S3Error, UploadError};
use crate::words::archive::BucketSettings;
use crate::words::date::{Span, Timestamp};
use crate::words::digest::{ObjectId, Sha256};

/// Objects never change, so anybody may keep them for ever.
const HEADERS: Headers<'_> =
    Headers { content_type: Some("application/octet-stream"), cache_control: Some("public, max-age=31536000, immutable"), ..Headers::NONE };

/// From which age on an object that is found present is refreshed, in seconds: a day.
const REFRESH: u32 = 86_400;

/// Objects in a bucket.
#[derive(Clone)]
pub struct S3Store {
    client: Client,
    /// Public address of the prefix.
    url: Option<String>,
}

impl S3Store {
    /// Returns the store in this bucket. Sends nothing yet.
    ///
    /// # Errors
    /// The process cannot start threads.
    pub fn new(bucket: &BucketSettings, url: Option<&str>, part_size: Option<u64>) -> Result<Self, S3Error> {
        Self::with(bucket, url, part_size, None)
    }

    /// The same, with other credentials than those of the standard AWS chain.
    ///
    /// # Errors
    /// The process cannot start threads.
    pub fn with(
        bucket: &BucketSettings,
        url: Option<&str>,
        part_size: Option<u64>,
        credentials: Option<Credentials>,
    ) -> Result<Self, S3Error> {
        let limits = Limits::default();
        let limits = Limits { part_size: part_size.unwrap_or(limits.part_size), ..limits };
        Ok(Self { client: Client::with(bucket, limits, credentials)?, url: url.map(|url| url.trim_end_matches('/').to_owned()) })
    }

    /// Returns the store of this client's prefix.
    pub fn of(client: Client) -> Self {
        Self { client, url: None }
    }

    /// Returns the store for objects of this kind that are derived from others, beside this one: for the prefix
    /// `lfs/objects` it is `lfs/derived/<kind>`. `list` of neither sees the other.
    #[must_use]
    pub fn derived(&self, kind: &str) -> Self {
        let prefix = match self.client.settings().prefix.rsplit_once('/') {
            Some((above, _)) => format!("{above}/derived/{kind}"),
            None => format!("derived/{kind}"),
        };
        Self { client: self.client.with_prefix(&prefix), url: None }
    }

    /// Returns the client of the bucket, for keys below the store's prefix.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Tells whether an object is there with its size; one that was written longer ago than this is copied onto itself by the
    /// server, so that it counts as written now.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub fn refresh_older(&self, pointer: &Pointer, age: Span) -> Result<bool, StoreError> {
        let key = key(&pointer.oid);
        let Some(head) = self.client.head(&key)?.filter(|head| head.size == pointer.size) else { return Ok(false) };
        // Both times are the server's, whatever our own clock says.
        if self.client.server_time().is_none_or(|now| now < head.modified.plus(age)) {
            return Ok(true);
        }
        match self.client.copy(&self.client.settings().bucket, &self.client.key(&key), pointer.size, &key, HEADERS) {
            Ok(()) => Ok(true),
            Err(fault) if fault.failed == Failed::Missing => Ok(false),
            Err(fault) => Err(fault.into()),
        }
    }

    fn found(&self, oid: &ObjectId, body: Option<Body>) -> Result<Body, StoreError> {
        body.ok_or_else(|| StoreError::Missing { store: self.describe(), oid: *oid })
    }
}

impl ObjectStore for S3Store {
    fn describe(&self) -> String {
        self.client.describe()
    }

    fn put(&self, pointer: &Pointer, source: Source<'_>) -> Result<Put, StoreError> {
        if self.refresh(pointer)? {
            return Ok(Put::Present);
        }
        match self.client.upload(&key(&pointer.oid), pointer, &|| source.open(), HEADERS, true) {
            Ok(()) => Ok(Put::New),
            Err(UploadError::S3(fault)) => Err(fault.into()),
            Err(UploadError::Read(fault)) => {
                let operation = format!("read {}", source.path().display());
                Err(StoreError::Io { store: self.describe(), operation, source: fault })
            }
            Err(UploadError::Changed { expected, found }) => Err(StoreError::Changed { path: source.path(), expected, found }),
        }
    }

    fn size(&self, oid: &ObjectId) -> Result<Option<u64>, StoreError> {
        Ok(self.client.head(&key(oid))?.map(|head| head.size))
    }

    fn refresh(&self, pointer: &Pointer) -> Result<bool, StoreError> {
        self.refresh_older(pointer, Span::of_seconds(REFRESH))
    }

    fn modified(&self, oid: &ObjectId) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.client.head(&key(oid))?.map(|head| head.modified))
    }

    fn open(&self, oid: &ObjectId) -> Result<Box<dyn Read + Send>, StoreError> {
        let body = self.found(oid, self.client.get(&key(oid))?)?;
        Ok(Box::new(Compared { body, seen: sha2::Sha256::new(), oid: *oid }))
    }

    fn open_range(&self, oid: &ObjectId, range: Range<u64>) -> Result<Box<dyn Read + Send>, StoreError> {
        Ok(Box::new(self.found(oid, self.client.get_range(&key(oid), range)?)?))
    }

    fn list(&self) -> Result<Listing, StoreError> {
        let mut listing = Listing::default();
        let whole_bucket = self.client.key("").is_empty();
        for entry in self.client.list("")? {
            let oid = entry.key.rsplit('/').next().and_then(|name| name.parse::<ObjectId>().ok()).filter(|oid| key(oid) == entry.key);
            match oid {
                Some(oid) => listing.objects.push(Stored { oid, size: entry.size, modified: entry.modified }),
                // Without a prefix, the bucket may well hold other things: a published tree, derived objects.
                None if whole_bucket => {}
                None => listing.strangers.push(self.client.key(&entry.key)),
            }
        }
        listing.objects.sort();
        listing.strangers.sort();
        Ok(listing)
    }

    fn remove(&self, oid: &ObjectId) -> Result<(), StoreError> {
        Ok(self.client.delete(&key(oid))?)
    }

    fn bucket_key(&self, oid: &ObjectId) -> Option<BucketKey> {
        let settings = self.client.settings();
        Some(BucketKey { endpoint: settings.endpoint.clone(), bucket: settings.bucket.clone(), key: self.client.key(&key(oid)) })
    }

    fn download_address(&self, oid: &ObjectId, seconds: u32) -> Result<Option<String>, StoreError> {
        let key = key(oid);
        Ok(Some(match &self.url {
            Some(url) => format!("{url}/{key}"),
            None => self.client.presign_get(&key, seconds)?,
        }))
    }

    fn put_new(&self, pointer: &Pointer, bytes: &[u8]) -> Result<(), StoreError> {
        let found = Pointer { oid: ObjectId::of(bytes), size: bytes.len() as u64 };
        if found != *pointer {
            let path = Source::Bytes(bytes).path();
            return Err(StoreError::Changed { path, expected: *pointer, found });
        }
        // The server checks the digests that are sent along.
        self.client.put(&key(&pointer.oid), bytes.to_vec(), HEADERS, Condition::Always)?;
        Ok(())
    }

    fn beside(&self, kind: &str) -> Option<Box<dyn ObjectStore>> {
        Some(Box::new(self.derived(kind)))
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn requests(&self) -> Requests {
        self.client.requests()
    }
}

/// Compares what is read with the object's name.
struct Compared {
    body: Body,
    seen: sha2::Sha256,
    oid: ObjectId,
}

impl Read for Compared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.body.read(buffer)?;
        self.seen.update(buffer.get(..length).unwrap_or_default());
        if self.body.length() == 0 {
            let found = Sha256::from_bytes(self.seen.clone().finalize().into());
            if found != self.oid {
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("its bytes have sha256 {found}")));
            }
        }
        Ok(length)
    }
}
