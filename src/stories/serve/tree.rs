//! Serving a published folder instead of a repository: the files of that tree and nothing else.

use std::fs::{self, File};
use std::io::{Read, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{Refused, page};
use crate::formats::http::conditional::{Asked, Offered, Part, http_date, part};
use crate::formats::http::path::RequestPath;
use crate::formats::release::Release;
use crate::formats::web::presentation;
use crate::places::http::{Answer, Content, Request, refusal};
use crate::words::date::Timestamp;

/// Largest Release that the page reads, in bytes.
const RELEASE: u64 = 16 << 20;

/// A folder that is served.
pub(super) struct Tree {
    root: PathBuf,
}

impl Tree {
    pub(super) fn new(root: &Path) -> std::io::Result<Self> {
        Ok(Self { root: root.canonicalize()? })
    }

    /// Opens a file of the tree. Links lead where they like as long as that is in the tree.
    fn open(&self, path: &str) -> Option<(File, fs::Metadata)> {
        let file = self.root.join(path).canonicalize().ok().filter(|file| file.starts_with(&self.root))?;
        let hidden = |part: std::path::Component<'_>| part.as_os_str().as_encoded_bytes().starts_with(b".");
        if file.strip_prefix(&self.root).ok()?.components().any(hidden) {
            return None;
        }
        use rustix::fs::{Mode, OFlags};
        let opened = rustix::fs::open(&file, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let opened = File::from(opened);
        let metadata = opened.metadata().ok().filter(fs::Metadata::is_file)?;
        Some((opened, metadata))
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
        let (mut file, metadata) =
            self.open(&name).filter(|_| !path.folder).ok_or_else(|| Refused::new(404, "there is no such file here"))?;
        let (size, modified) = (metadata.len(), Timestamp(metadata.mtime()));
        let etag = format!("\"{:x}-{:x}-{size:x}\"", metadata.mtime(), metadata.mtime_nsec());
        let asked = Asked {
            if_none_match: request.field("if-none-match"),
            if_modified_since: request.field("if-modified-since"),
            if_range: request.field("if-range"),
            range: request.field("range"),
        };
        let part = part(&asked, &Offered { etag: &etag, modified, size });
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
                let fields = vec![("content-range", format!("bytes */{size}"))];
                return Ok(Answer { status: 416, fields, content: Content::Bytes(Bytes::new()) });
            }
            Part::Whole => (200, 0..size),
            Part::Bytes(range) => {
                fields.push(("content-range", format!("bytes {}-{}/{size}", range.start, range.end - 1)));
                (206, range)
            }
        };
        file.seek(SeekFrom::Start(range.start)).map_err(|_| Refused::new(500, "the file cannot be read"))?;
        Ok(Answer { status, fields, content: Content::Stream { reader: Box::new(file), length: range.end - range.start } })
    }

    /// The suites of the tree and the dates of their Releases.
    fn suites(&self) -> Vec<(String, Option<Timestamp>)> {
        let entries = fs::read_dir(self.root.join("dists")).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| !name.starts_with('.')).collect();
        names.sort();
        let date = |name: &String| {
            let mut bytes = Vec::new();
            let (file, _) = self.open(&format!("dists/{name}/Release"))?;
            file.take(RELEASE).read_to_end(&mut bytes).ok()?;
            Release::parse(&bytes).ok().map(|release| release.date)
        };
        names.into_iter().map(|name| (date(&name), name)).map(|(date, name)| (name, date)).collect()
    }
}
