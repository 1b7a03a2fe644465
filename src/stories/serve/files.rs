//! A file as an answer: all of it, a part, nothing where the client has it, or another address.

use bytes::Bytes;

use crate::formats::http::conditional::{Offered, Part, http_date, part};
use crate::formats::pool::pointer::Pointer;
use crate::formats::web::Presentation;
use crate::places::http::{Answer, Content, Request, refusal};
use crate::places::store::{Intent, ObjectStore, StoreError};
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;

/// For how many seconds an address of an object is good.
pub(super) const ADDRESS_SECONDS: u32 = 3600;

/// `Cache-Control` of a redirect to an address that anybody may keep.
const PUBLIC_REDIRECT: &str = "public, max-age=3600";

/// A file that is there.
pub(super) struct Found {
    pub(super) bytes: Source,
    pub(super) modified: Timestamp,
    pub(super) shown: Presentation,
}

/// Where its bytes are.
pub(super) enum Source {
    Memory(Bytes, Sha256),
    Object(Pointer),
}

impl Source {
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        let digest = Sha256::of(&bytes);
        Self::Memory(Bytes::from(bytes), digest)
    }
}

/// How objects are handed out.
pub(super) struct Objects<'a> {
    pub(super) store: &'a dyn ObjectStore,
    /// Whether the client is sent to the store itself where that has addresses.
    pub(super) redirect: bool,
    /// Whether those addresses are public, and not signed for one client.
    pub(super) public: bool,
}

/// Returns the answer to a GET or HEAD for a file.
///
/// # Errors
/// The store cannot be read.
pub(super) fn answer(request: &Request, found: Found, objects: &Objects<'_>) -> Result<Answer, StoreError> {
    let Found { bytes, modified, shown } = found;
    let (digest, size) = match &bytes {
        Source::Memory(bytes, digest) => (*digest, bytes.len() as u64),
        Source::Object(pointer) => (pointer.oid, pointer.size),
    };
    let etag = format!("\"{digest}\"");
    let part = part(&request.asked(), &Offered { etag: &etag, modified, size });
    let mut fields = vec![
        ("etag", etag),
        ("last-modified", http_date(modified)),
        ("cache-control", shown.cache_control.to_owned()),
        ("x-content-type-options", "nosniff".to_owned()),
    ];
    let empty = || Content::Bytes(Bytes::new());
    if part == Part::NotModified {
        return Ok(Answer { status: 304, fields, content: empty() });
    }
    if let (Source::Object(pointer), true) = (&bytes, objects.redirect)
        && let Some(address) = objects.store.download_address(&pointer.oid, ADDRESS_SECONDS)?
    {
        let cache = if objects.public { PUBLIC_REDIRECT } else { "no-store" };
        return Ok(Answer { status: 302, fields: vec![("location", address), ("cache-control", cache.to_owned())], content: empty() });
    }
    fields.push(("accept-ranges", "bytes".to_owned()));
    fields.push(("content-type", shown.content_type.to_owned()));
    let (status, range) = match part {
        Part::Bytes(range) => (206, range),
        Part::Unsatisfiable => {
            fields.retain(|(name, _)| !["content-type", "cache-control"].contains(name));
            fields.extend([("content-range", format!("bytes */{size}")), ("cache-control", "no-store".to_owned())]);
            return Ok(Answer { status: 416, fields, content: empty() });
        }
        Part::Whole | Part::NotModified => (200, 0..size),
    };
    if status == 206 {
        fields.push(("content-range", format!("bytes {}-{}/{size}", range.start, range.end - 1)));
    }
    let content = match bytes {
        Source::Memory(bytes, _) => Content::Bytes(slice(&bytes, &range)),
        Source::Object(pointer) => {
            objects.store.announce(Intent::Open, &[pointer])?;
            // Asking is cheap in a folder only; elsewhere an object that is short breaks off.
            let looks = objects.store.local_path(&pointer.oid).is_some() || request.method == "HEAD";
            if looks && objects.store.size(&pointer.oid)? != Some(pointer.size) {
                return Ok(refusal(500, &format!("the object {} is missing or damaged in the object store", pointer.oid)));
            }
            let length = range.end - range.start;
            let reader: Box<dyn std::io::Read + Send> = match status {
                _ if request.method == "HEAD" => Box::new(std::io::empty()),
                206 => objects.store.open_range(&pointer.oid, range)?,
                _ => objects.store.open(&pointer.oid)?,
            };
            Content::Stream { reader, length }
        }
    };
    Ok(Answer { status, fields, content })
}

fn slice(bytes: &Bytes, range: &std::ops::Range<u64>) -> Bytes {
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(at(range.start)..at(range.end))
}
