//! Listing what lies below a prefix, page by page.

use aws_sdk_s3::types::Object;

use super::error::S3Error;
use super::{Client, bare};
use crate::words::date::Timestamp;

/// A key as a listing names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key below the prefix.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// The ETag, without quotes.
    pub etag: String,
    /// When it was last written, by the server's clock.
    pub modified: Timestamp,
}

impl Client {
    /// Returns every key below a prefix (itself below the client's; a folder ends in `/`), in order.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub fn list(&self, below: &str) -> Result<Vec<Entry>, S3Error> {
        let mut entries = Vec::new();
        let mut after = None;
        loop {
            let (page, next) = self.list_page(below, after.as_deref(), 1000)?;
            entries.extend(page);
            match next {
                Some(next) => after = Some(next),
                None => return Ok(entries),
            }
        }
    }

    /// Returns one page of a listing and where the next one goes on, `None` at the end.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub fn list_page(&self, below: &str, after: Option<&str>, most: i32) -> Result<(Vec<Entry>, Option<String>), S3Error> {
        let prefix = if below.is_empty() && !self.prefix.is_empty() { format!("{}/", self.prefix) } else { self.key(below) };
        let request = self
            .sdk()
            .list_objects_v2()
            .bucket(self.bucket())
            .prefix(&prefix)
            .max_keys(most)
            .set_continuation_token(after.map(str::to_owned));
        let answer = self.send("list", below, request.send())?;
        let own = if self.prefix.is_empty() { String::new() } else { format!("{}/", self.prefix) };
        let page = answer.contents().iter().filter_map(|object| entry(object, &own)).collect();
        let next = answer.next_continuation_token().filter(|_| answer.is_truncated() == Some(true)).map(str::to_owned);
        Ok((page, next))
    }
}

fn entry(object: &Object, own: &str) -> Option<Entry> {
    Some(Entry {
        key: object.key()?.strip_prefix(own)?.to_owned(),
        size: u64::try_from(object.size()?).ok()?,
        etag: bare(object.e_tag()),
        modified: Timestamp(object.last_modified().map_or(0, |time| time.secs())),
    })
}
