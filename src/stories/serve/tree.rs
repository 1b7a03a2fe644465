//! Serving a published folder or bucket instead of a repository: the files of that tree and nothing else.

use std::fs::{self, File};
use std::io::{self, Read, Seek as _, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{Refused, page};
use crate::formats::http::conditional::{Offered, Part, http_date, part};
use crate::formats::http::path::RequestPath;
use crate::formats::release::Release;
use crate::formats::web::presentation;
use crate::places::http::{Answer, Content, Request, refusal};
use crate::places::s3::{Client, Head, S3Error};
use crate::words::date::Timestamp;

/// Largest Release that the page reads, in bytes.
const RELEASE: u64 = 16 << 20;

/// A published tree.
pub(super) enum Tree {
    /// In a folder.
    Folder(PathBuf),
    /// In a bucket, below the client's prefix.
    Bucket(Client),
}

/// A file of a tree, not read yet.
enum Entry {
    File(File, fs::Metadata),
    Key(String, Head),
}

impl From<S3Error> for Refused {
    fn from(fault: S3Error) -> Self {
        Self { status: 502, ..Self::inner("the bucket cannot be read", &fault) }
    }
}

impl Tree {
    pub(super) fn folder(root: &Path) -> io::Result<Self> {
        Ok(Self::Folder(root.canonicalize()?))
    }

    fn find(&self, path: &str) -> Result<Option<Entry>, Refused> {
        match self {
            Self::Folder(root) => Ok(open(root, path).map(|(file, metadata)| Entry::File(file, metadata))),
            Self::Bucket(client) => Ok(client.head(path)?.map(|head| Entry::Key(path.to_owned(), head))),
        }
    }

    fn read(&self, entry: Entry, range: Range<u64>) -> Result<Box<dyn Read + Send>, Refused> {
        let gone = || Refused::new(404, "there is no such file here");
        match (self, entry) {
            (_, Entry::File(mut file, _)) => {
                file.seek(SeekFrom::Start(range.start)).map_err(|fault| Refused::inner("the file cannot be read", &fault))?;
                Ok(Box::new(file))
            }
            (Self::Bucket(client), Entry::Key(key, head)) => {
                let body = client.get_range(&key, range)?.ok_or_else(gone)?;
                // Written anew between question and answer: what was said of the old content must not stand over the new.
                if body.head.etag == head.etag { Ok(Box::new(body)) } else { Err(Refused::new(503, "the file is just being written anew")) }
            }
            (Self::Folder(_), Entry::Key(..)) => Err(gone()),
        }
    }

    pub(super) fn answer(&self, path: &RequestPath, request: &Request) -> Result<Answer, Refused> {
        if request.method == "POST" {
            return Err(Refused::new(405, "a plain tree takes no POST"));
        }
        if path.names.is_empty() {
            return Ok(super::html(page::tree(&self.suites())));
        }
        let name = path.joined();
        if name == "healthz" {
            return Ok(refusal(200, "ok"));
        }
        let found = if path.folder { None } else { self.find(&name)? };
        let entry = found.ok_or_else(|| Refused::new(404, "there is no such file here"))?;
        let (size, modified, etag) = match &entry {
            Entry::File(_, metadata) => {
                let etag = format!("\"{:x}-{:x}-{:x}\"", metadata.mtime(), metadata.mtime_nsec(), metadata.len());
                (metadata.len(), Timestamp(metadata.mtime()), etag)
            }
            Entry::Key(_, head) => (head.size, head.modified, format!("\"{}\"", head.etag)),
        };
        let part = part(&request.asked(), &Offered { etag: &etag, modified, size });
        let shown = presentation(&name);
        let mut fields = vec![
            ("etag", etag),
            ("last-modified", http_date(modified)),
            ("cache-control", shown.cache_control.to_owned()),
            ("accept-ranges", "bytes".to_owned()),
            ("content-type", shown.content_type.to_owned()),
            ("x-content-type-options", "nosniff".to_owned()),
        ];
        let (status, range) = match part {
            Part::NotModified => return Ok(Answer { status: 304, fields, content: Content::Bytes(Bytes::new()) }),
            Part::Unsatisfiable => {
                let fields = vec![("content-range", format!("bytes */{size}")), ("cache-control", "no-store".to_owned())];
                return Ok(Answer { status: 416, fields, content: Content::Bytes(Bytes::new()) });
            }
            Part::Whole => (200, 0..size),
            Part::Bytes(range) => {
                fields.push(("content-range", format!("bytes {}-{}/{size}", range.start, range.end - 1)));
                (206, range)
            }
        };
        let length = range.end - range.start;
        let reader = if request.method == "HEAD" { Box::new(io::empty()) } else { self.read(entry, range)? };
        Ok(Answer { status, fields, content: Content::Stream { reader, length } })
    }

    /// The suites of the tree and the dates of their Releases. A bucket is not listed for that.
    fn suites(&self) -> Vec<(String, Option<Timestamp>)> {
        let Self::Folder(root) = self else { return Vec::new() };
        let entries = fs::read_dir(root.join("dists")).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| !name.starts_with('.')).collect();
        names.sort();
        let date = |name: &String| {
            let mut bytes = Vec::new();
            let (file, _) = open(root, &format!("dists/{name}/Release"))?;
            file.take(RELEASE).read_to_end(&mut bytes).ok()?;
            Release::parse(&bytes).ok().map(|release| release.date)
        };
        names.into_iter().map(|name| (date(&name), name)).map(|(date, name)| (name, date)).collect()
    }
}

/// Opens a file of a folder. Links lead where they like as long as that is in the folder and not hidden.
fn open(root: &Path, path: &str) -> Option<(File, fs::Metadata)> {
    use rustix::fs::{Mode, OFlags};
    let file = root.join(path).canonicalize().ok()?;
    let hidden = |part: std::path::Component<'_>| part.as_os_str().as_encoded_bytes().starts_with(b".");
    if file.strip_prefix(root).ok()?.components().any(hidden) {
        return None;
    }
    let opened = rustix::fs::open(&file, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let opened = File::from(opened);
    let metadata = opened.metadata().ok().filter(fs::Metadata::is_file)?;
    Some((opened, metadata))
}
