//! Sends files: what is sent is what was hashed, memory is bounded, and parts of an upload that was killed are used again.
//!
//! A part is read into memory, hashed there and sent from there. Only when the hash over everything is the expected one is the
//! upload completed, so other bytes than the expected ones never become an object, also when the file changes meanwhile.

use std::collections::BTreeMap;
use std::io::{self, Read};

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sdk_s3::types::CompletedPart;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use tokio::task::JoinSet;

use super::{Client, Condition, Failed, Headers, S3Error, SENT, bare, runtime};
use crate::formats::pool::pointer::Pointer;
use crate::words::date::Timestamp;
use crate::words::digest::{ExtraDigests, Hasher, Md5};

/// How often an upload begins anew after somebody else ended it.
const TRIES: u32 = 3;

/// S3 takes no more parts in one upload.
const MOST_PARTS: u64 = 10_000;

/// Why a file was not sent.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The server cannot be reached, or refuses.
    #[error(transparent)]
    S3(#[from] S3Error),
    /// The file cannot be read.
    #[error("cannot read what is to be sent")]
    Read(#[source] io::Error),
    /// The file holds other bytes.
    #[error("sha256 {} with {} bytes was expected, {} with {} bytes came", expected.oid, expected.size, found.oid, found.size)]
    Changed {
        /// What was expected.
        expected: Pointer,
        /// What was read.
        found: Pointer,
    },
}

/// An upload in parts that was begun and neither completed nor aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The key below the prefix.
    pub key: String,
    /// The server's name for the upload.
    pub id: String,
    /// When it was begun, by the server's clock.
    pub begun: Timestamp,
}

/// Where the bytes come from; called again when an upload begins anew.
pub type Open<'a> = dyn Fn() -> io::Result<Box<dyn Read + 'a>> + 'a;

/// Parts of an upload that the server has already: ETag and size by number.
type Present = BTreeMap<i32, (String, u64)>;

impl Client {
    /// Writes bytes of a known hash to a key, in parts where they are many, and looks at the result. `by_content` says that
    /// the key belongs to these bytes alone, so that an unfinished upload of it can be gone on with.
    ///
    /// # Errors
    /// Other bytes come, or the server cannot be reached, or refuses. The key is then as before.
    pub fn upload(
        &self,
        key: &str,
        expected: &Pointer,
        open: &Open<'_>,
        headers: Headers<'_>,
        by_content: bool,
    ) -> Result<(), UploadError> {
        if expected.size <= self.inner.limits.part_size {
            self.upload_whole(key, expected, open, headers)?;
        } else {
            self.upload_in_parts(key, expected, open, headers, by_content)?;
        }
        match self.head(key)?.map(|head| head.size) {
            Some(size) if size == expected.size => Ok(()),
            Some(size) => {
                let said = format!("{} bytes were sent, and the server has {size}", expected.size);
                Err(self.fault("write", key, Failed::Damaged, said).into())
            }
            None => Err(self.fault("write", key, Failed::Damaged, "the server took it and does not have it").into()),
        }
    }

    fn upload_whole(&self, key: &str, expected: &Pointer, open: &Open<'_>, headers: Headers<'_>) -> Result<(), UploadError> {
        let _held = runtime::hold(self.inner.runtime, expected.size);
        let mut reader = open().map_err(UploadError::Read)?;
        let bytes = read_part(&mut reader, expected.size)?;
        let mut hasher = Hasher::new(ExtraDigests::default());
        hasher.update(&bytes);
        check_end(expected, hasher, &mut reader)?;
        self.put_hashed(key, bytes, &expected.oid, headers, Condition::Always)?;
        Ok(())
    }

    fn upload_in_parts(
        &self,
        key: &str,
        expected: &Pointer,
        open: &Open<'_>,
        headers: Headers<'_>,
        by_content: bool,
    ) -> Result<(), UploadError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let ended = match self.try_in_parts(key, expected, open, headers, by_content) {
                Err(UploadError::S3(fault)) if fault.failed == Failed::NoUpload => fault,
                other => return other,
            };
            // Somebody else completed it, or our own completion arrived and its answer did not.
            if by_content && self.head(key)?.is_some_and(|head| head.size == expected.size) {
                return Ok(());
            }
            if tries >= TRIES {
                return Err(ended.into());
            }
        }
    }

    fn try_in_parts(
        &self,
        key: &str,
        expected: &Pointer,
        open: &Open<'_>,
        headers: Headers<'_>,
        by_content: bool,
    ) -> Result<(), UploadError> {
        let part_size = self.part_size(expected.size);
        let unfinished = if by_content { self.unfinished(key) } else { Vec::new() };
        let usable = unfinished.iter().rev().find_map(|upload| {
            let present = self.present(key, upload, part_size, expected.size)?;
            Some((upload.clone(), present))
        });
        let (upload, present, own) = match usable {
            Some((upload, present)) => (upload, present, false),
            None => (self.begin_parts(key, headers)?, Present::new(), true),
        };
        let sent = self
            .send_parts(key, &upload, &present, expected, part_size, open)
            .and_then(|parts| self.finish_parts(key, &upload, parts, expected.size).map_err(UploadError::from));
        match &sent {
            // Others of these bytes are of no use any more: of killed jobs, or whose beginning was never answered. A job that is
            // still sending parts to one looks at the key and finds it whole.
            Ok(()) if by_content => self.unfinished(key).iter().for_each(|other| self.abort_parts(key, other)),
            Ok(()) => {}
            Err(UploadError::S3(fault)) if fault.failed == Failed::NoUpload => {}
            // One that another job may be working on is left to it.
            Err(_) if own => self.abort_parts(key, &upload),
            Err(_) => {}
        }
        sent
    }

    fn part_size(&self, size: u64) -> u64 {
        let least = size.div_ceil(MOST_PARTS);
        self.inner.limits.part_size.max(least.next_multiple_of(1 << 20))
    }

    fn send_parts(
        &self,
        key: &str,
        upload: &str,
        present: &Present,
        expected: &Pointer,
        part_size: u64,
        open: &Open<'_>,
    ) -> Result<Vec<CompletedPart>, UploadError> {
        let mut reader = open().map_err(UploadError::Read)?;
        let mut hasher = Hasher::new(ExtraDigests::default());
        let mut under_way = JoinSet::new();
        let mut parts = Vec::new();
        let mut left = expected.size;
        let mut number = 0;
        while left > 0 {
            while under_way.len() >= self.inner.limits.parts {
                parts.push(self.next_part(key, &mut under_way)?);
            }
            number += 1;
            let length = left.min(part_size);
            let held = runtime::hold(self.inner.runtime, length);
            let bytes = read_part(&mut reader, length)?;
            hasher.update(&bytes);
            if bytes.len() as u64 != length {
                break;
            }
            left -= length;
            let md5 = Md5::of(&bytes);
            if present.get(&number) == Some(&(md5.to_hex(), length)) {
                parts.push(CompletedPart::builder().part_number(number).e_tag(md5.to_hex()).build());
                continue;
            }
            let request = self
                .sdk()
                .upload_part()
                .bucket(self.bucket())
                .key(self.key(key))
                .upload_id(upload)
                .part_number(number)
                .content_md5(STANDARD.encode(md5.as_bytes()))
                .body(ByteStream::new(SdkBody::from(bytes)))
                .customize()
                .config_override(self.patience(length, SENT));
            let client = self.clone();
            let key = key.to_owned();
            under_way.spawn_on(
                async move {
                    let _held = held;
                    let answer = request.send().await.map_err(|error| client.error_of("write", &key, &error))?;
                    Ok(CompletedPart::builder().part_number(number).e_tag(bare(answer.e_tag())).build())
                },
                self.inner.runtime.handle(),
            );
        }
        check_end(expected, hasher, &mut reader)?;
        while !under_way.is_empty() {
            parts.push(self.next_part(key, &mut under_way)?);
        }
        Ok(parts)
    }

    /// Returns the uploads of a key that were begun and not ended. A server that cannot say has none.
    fn unfinished(&self, key: &str) -> Vec<String> {
        let uploads = self.unfinished_uploads(key).unwrap_or_default();
        uploads.into_iter().filter(|upload| upload.key == key).map(|upload| upload.id).collect()
    }

    /// Returns the uploads below a prefix (itself below the client's) that were begun and not ended: their parts take space
    /// until they are aborted.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses, or cannot list uploads.
    pub fn unfinished_uploads(&self, below: &str) -> Result<Vec<Unfinished>, S3Error> {
        let own = self.key("");
        let mut found = Vec::new();
        let (mut after_key, mut after_upload) = (None, None);
        loop {
            let request = self
                .sdk()
                .list_multipart_uploads()
                .bucket(self.bucket())
                .prefix(self.key(below))
                .set_key_marker(after_key)
                .set_upload_id_marker(after_upload);
            let answer = self.send("list the unfinished uploads of", below, request.send())?;
            found.extend(answer.uploads().iter().filter_map(|upload| {
                Some(Unfinished {
                    key: upload.key()?.strip_prefix(&own)?.to_owned(),
                    id: upload.upload_id()?.to_owned(),
                    begun: Timestamp(upload.initiated().map_or(0, |time| time.secs())),
                })
            }));
            if answer.is_truncated() != Some(true) || answer.next_key_marker().is_none() {
                return Ok(found);
            }
            after_key = answer.next_key_marker().map(str::to_owned);
            after_upload = answer.next_upload_id_marker().map(str::to_owned);
        }
    }

    /// Aborts an unfinished upload; whoever is still sending it begins anew.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub fn abort_upload(&self, upload: &Unfinished) -> Result<(), S3Error> {
        match self.try_abort(&upload.key, &upload.id) {
            Err(fault) if fault.failed != Failed::NoUpload && fault.failed != Failed::Missing => Err(fault),
            _ => Ok(()),
        }
    }

    /// Returns the parts that an upload has, `None` where they are of another size than ours would be.
    fn present(&self, key: &str, upload: &str, part_size: u64, size: u64) -> Option<Present> {
        let mut present = Present::new();
        let mut after: Option<String> = None;
        loop {
            let request =
                self.sdk().list_parts().bucket(self.bucket()).key(self.key(key)).upload_id(upload).set_part_number_marker(after.clone());
            let answer = self.send("list parts of", key, request.send()).ok()?;
            for part in answer.parts() {
                let (number, length) = (part.part_number()?, u64::try_from(part.size()?).ok()?);
                let start = part_size.checked_mul(u64::try_from(number).ok()?.checked_sub(1)?)?;
                if length != size.checked_sub(start)?.min(part_size) {
                    return None;
                }
                present.insert(number, (bare(part.e_tag()), length));
            }
            after = answer.next_part_number_marker().filter(|_| answer.is_truncated() == Some(true)).map(str::to_owned);
            if after.is_none() {
                return Some(present);
            }
        }
    }
}

/// Reads so many bytes, fewer only at the end of the file.
fn read_part(reader: &mut dyn Read, length: u64) -> Result<Bytes, UploadError> {
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    reader.take(length).read_to_end(&mut bytes).map_err(UploadError::Read)?;
    Ok(Bytes::from(bytes))
}

/// Reads whatever comes behind the expected end, and compares.
fn check_end(expected: &Pointer, mut hasher: Hasher, reader: &mut dyn Read) -> Result<(), UploadError> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = reader.read(&mut buffer).map_err(UploadError::Read)?;
        match buffer.get(..length) {
            Some(bytes) if !bytes.is_empty() => hasher.update(bytes),
            _ => break,
        }
    }
    let found = Pointer::from(&hasher.finish());
    if found == *expected { Ok(()) } else { Err(UploadError::Changed { expected: *expected, found }) }
}
