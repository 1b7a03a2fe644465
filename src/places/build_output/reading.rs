//! Reads each file of a build output once: its digests and what it says, in one pass, files in parallel.
//!
//! Descriptions (.dsc, .changes, .buildinfo) come first, because they decide which digests the other files need. A file is
//! opened without following a link and without waiting for a fifo; one that changes while it is read is a problem.

use std::collections::BTreeSet;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::fs::OFlags;

use super::walk::{Found, Kind};
use super::{ReadOptions, in_one_line};
use crate::formats::artifact::buildinfo::Buildinfo;
use crate::formats::artifact::changes::Changes;
use crate::formats::artifact::clearsign;
use crate::formats::artifact::control::Binary;
use crate::formats::artifact::deb;
use crate::formats::artifact::dsc::Dsc;
use crate::formats::artifact::listing::Listed;
use crate::formats::contents::FileList;
use crate::formats::provenance::evidence::Evidence;
use crate::formats::provenance::{self, ProvenanceError};
use crate::words::digest::{ExtraDigests, FileFacts, Hasher, Hashing, Sha256};
use crate::words::limits;
use crate::words::name::FileName;

/// Files are read in pieces of this size.
const PIECE: usize = 1 << 20;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("cannot be opened")]
    Open(#[source] io::Error),
    #[error("is a symbolic link; put the file itself there, or remove it")]
    Link,
    #[error("is not a regular file")]
    NotRegular,
    #[error("cannot be read")]
    Read(#[source] io::Error),
    #[error("changed while it was read; deploy when the build has ended")]
    Changed,
    #[error("is longer than {} bytes", limits::SIGNED_TEXT)]
    TooLong,
}

/// A file with its facts and what it says.
pub(super) struct ReadFile {
    /// Path below the build output.
    pub(super) path: PathBuf,
    /// Where it was opened.
    pub(super) full_path: PathBuf,
    pub(super) name: FileName,
    pub(super) kind: Kind,
    pub(super) facts: FileFacts,
    /// What it says, or why that is refused.
    pub(super) content: Result<Content, String>,
}

/// What a file says.
pub(super) enum Content {
    Binary { binary: Box<Binary>, files: FileList },
    Dsc { dsc: Box<Dsc>, signer: Signer },
    Changes { changes: Box<Changes>, signer: Signer },
    Buildinfo(Box<Buildinfo>),
    Log,
    Provenance { subjects: BTreeSet<Sha256>, signed: bool },
    Other,
}

impl Content {
    /// Returns the files that it lists.
    pub(super) fn listed(&self) -> &[Listed] {
        match self {
            Self::Dsc { dsc, .. } => &dsc.files,
            Self::Changes { changes, .. } => &changes.files,
            Self::Buildinfo(buildinfo) => &buildinfo.files,
            Self::Binary { .. } | Self::Log | Self::Provenance { .. } | Self::Other => &[],
        }
    }
}

/// Who signed a description: a fingerprint, or why no signature counts; `None` where nobody asked.
pub(super) type Signer = Option<Result<String, String>>;

/// A file that could not be read at all.
pub(super) struct Unread {
    /// Path below the build output.
    pub(super) path: PathBuf,
    pub(super) name: FileName,
    pub(super) reason: String,
}

/// Reads all files; the answers are in the order of paths.
pub(super) fn read_all(dir: &Path, found: Vec<Found>, options: &ReadOptions<'_>) -> Vec<Result<ReadFile, Unread>> {
    let total = found.len();
    let (descriptions, others): (Vec<Found>, Vec<Found>) =
        found.into_iter().partition(|found| matches!(found.kind, Kind::Dsc | Kind::Changes | Kind::Buildinfo));
    let read = |extra: ExtraDigests| {
        move |found: Found| {
            let file = read_one(dir, found, extra, options);
            if let Some(progress) = options.progress {
                let name = match &file {
                    Ok(file) => &file.name,
                    Err(unread) => &unread.name,
                };
                progress(name.as_str(), total);
            }
            file
        }
    };
    let mut files: Vec<_> = descriptions.into_par_iter().map(read(ExtraDigests { sha1: true, sha512: true })).collect();
    let mut extra = options.extra;
    for listed in files.iter().flatten().filter_map(|file| file.content.as_ref().ok()).flat_map(Content::listed) {
        extra.sha1 |= listed.sha1.is_some();
        extra.sha512 |= listed.sha512.is_some();
    }
    files.par_extend(others.into_par_iter().map(read(extra)));
    let path = |file: &Result<ReadFile, Unread>| match file {
        Ok(file) => file.path.clone(),
        Err(unread) => unread.path.clone(),
    };
    files.sort_by_cached_key(path);
    files
}

fn read_one(dir: &Path, found: Found, extra: ExtraDigests, options: &ReadOptions<'_>) -> Result<ReadFile, Unread> {
    let Found { path, name, kind } = found;
    let full_path = dir.join(&path);
    match read_content(&full_path, &name, kind, extra, options) {
        Ok((facts, content)) => Ok(ReadFile { path, full_path, name, kind, facts, content }),
        Err(fault) => Err(Unread { path, name, reason: in_one_line(&fault) }),
    }
}

type Contents = (FileFacts, Result<Content, String>);

fn read_content(path: &Path, name: &FileName, kind: Kind, extra: ExtraDigests, options: &ReadOptions<'_>) -> Result<Contents, ReadError> {
    let (file, before) = open(path)?;
    // A small file gets a small buffer: clearing a large one costs more than reading it.
    let capacity = usize::try_from(before.len()).unwrap_or(PIECE).saturating_add(1).clamp(1 << 12, PIECE);
    let mut reader = BufReader::with_capacity(capacity, Hashing::new(file, Hasher::new(extra)));
    let content = match kind {
        Kind::Binary => read_binary(&mut reader, name, options.depth),
        Kind::Dsc | Kind::Changes | Kind::Buildinfo => {
            let mut text = Vec::new();
            reader.by_ref().take(limits::SIGNED_TEXT + 1).read_to_end(&mut text).map_err(ReadError::Read)?;
            if text.len() as u64 > limits::SIGNED_TEXT {
                return Err(ReadError::TooLong);
            }
            read_description(&text, name, kind, options)
        }
        Kind::Log => Ok(Content::Log),
        Kind::Provenance => {
            // One byte more than any may have is refused as too long.
            let mut bytes = Vec::new();
            reader.by_ref().take(provenance::LONGEST as u64 + 1).read_to_end(&mut bytes).map_err(ReadError::Read)?;
            read_provenance(&bytes).map_err(|fault| in_one_line(&fault))
        }
        Kind::Manifest | Kind::Other => Ok(Content::Other),
    };
    io::copy(&mut reader, &mut io::sink()).map_err(ReadError::Read)?;
    let (file, hasher) = reader.into_inner().into_parts();
    let after = file.metadata().map_err(ReadError::Read)?;
    let facts = hasher.finish();
    if facts.size != after.len() || state(&before) != state(&after) {
        return Err(ReadError::Changed);
    }
    Ok((facts, content))
}

/// Opens a regular file and nothing else, not waiting for whatever writes to a fifo.
pub(super) fn open(path: &Path) -> Result<(File, Metadata), ReadError> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|fault| {
        let link = fault.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
        if link { ReadError::Link } else { ReadError::Open(fault) }
    })?;
    let metadata = file.metadata().map_err(ReadError::Read)?;
    if metadata.is_file() { Ok((file, metadata)) } else { Err(ReadError::NotRegular) }
}

/// What changes when somebody writes to a file.
fn state(metadata: &Metadata) -> (u64, i64, i64) {
    (metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

fn read_binary(reader: &mut impl Read, name: &FileName, depth: deb::Depth) -> Result<Content, String> {
    let contents = deb::read(reader, depth).map_err(|fault| in_one_line(&fault))?;
    let binary = Binary::parse(contents.control, name).map_err(|fault| in_one_line(&fault))?;
    Ok(Content::Binary { binary: Box::new(binary), files: FileList::of(&contents.paths) })
}

fn read_provenance(bytes: &[u8]) -> Result<Content, ProvenanceError> {
    let evidence = Evidence::parse(bytes)?;
    let subjects = evidence.statement()?.subjects.into_iter().filter_map(|subject| subject.sha256).collect();
    Ok(Content::Provenance { subjects, signed: !evidence.envelope.signatures().is_empty() })
}

fn read_description(text: &[u8], name: &FileName, kind: Kind, options: &ReadOptions<'_>) -> Result<Content, String> {
    let payload = clearsign::split(text).map_err(|fault| in_one_line(&fault))?.payload;
    let signer = || verify(text, &payload, options);
    match kind {
        Kind::Changes => Changes::parse(&payload)
            .map(|changes| Content::Changes { changes: Box::new(changes), signer: signer() })
            .map_err(|fault| in_one_line(&fault)),
        Kind::Buildinfo => {
            Buildinfo::parse(&payload).map(|buildinfo| Content::Buildinfo(Box::new(buildinfo))).map_err(|fault| in_one_line(&fault))
        }
        _ => {
            Dsc::parse(&payload, name).map(|dsc| Content::Dsc { dsc: Box::new(dsc), signer: signer() }).map_err(|fault| in_one_line(&fault))
        }
    }
}

/// Checks the signature; what it covers must be the text that was parsed.
fn verify(text: &[u8], payload: &str, options: &ReadOptions<'_>) -> Signer {
    let verified = options.uploaders?.verify_clearsigned(text, options.now);
    Some(match verified {
        Ok(verified) if verified.payload == payload.as_bytes() => Ok(verified.fingerprint),
        Ok(_) => Err("its signature covers another text than the one that is read".to_owned()),
        Err(fault) => Err(in_one_line(&fault)),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::formats::artifact::deb::Depth;

    #[test]
    fn what_took_the_place_of_a_file_after_it_was_listed_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        assert!(matches!(open(&fifo), Err(ReadError::NotRegular)));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        assert!(matches!(open(&link), Err(ReadError::Link)));
        assert!(matches!(open(folder.path()), Err(ReadError::NotRegular)));
        assert!(matches!(open(Path::new("/dev/null")), Err(ReadError::NotRegular)));
    }

    #[test]
    fn a_file_that_is_longer_than_it_says_has_changed() {
        let options = ReadOptions {
            extra: ExtraDigests::default(),
            depth: Depth::Whole,
            uploaders: None,
            now: crate::words::date::Timestamp(0),
            progress: None,
        };
        // The kernel says that its files are empty, as if they grew while they are read.
        let read = read_content(Path::new("/proc/version"), &"x.log".parse().unwrap(), Kind::Log, ExtraDigests::default(), &options);
        assert!(matches!(read, Err(ReadError::Changed)));
    }
}
