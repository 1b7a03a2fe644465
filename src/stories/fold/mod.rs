//! The fold: `suites/<codename>` at one commit becomes every index of the suite.
//!
//! It starts from what was recorded with the last Release (`record`) where there is one: Git tells which sources differ since,
//! `delta` makes their paragraphs anew, and only blocks in which something changed are compressed again. Without that, or
//! where too much changed, `listing` makes every paragraph from its record. Both give the same bytes: everything but the
//! commit and that record is a cache. No .deb is opened.

mod bytes;
mod contents;
mod context;
mod delta;
mod diff;
mod listing;
mod look;
mod policy;
mod record;
mod weave;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::prelude::*;

pub use bytes::Bytes;
pub use contents::{Digests, Refreshed};
pub use look::{files_of, whole_pool};
pub use record::{Folded, Last};

use crate::formats::blocks::encoders::encoders_after;
use crate::formats::blocks::sheet::Sheet;
use crate::formats::blocks::{self, BlockError};
use crate::formats::index::RenderError;
use crate::formats::index::overrides::OverrideError;
use crate::formats::pdiff::{History, Step};
use crate::formats::pool::pointer::Pointer;
use crate::formats::release::{self, Listed, folder_release};
use crate::formats::suite::checks::RecordProblem;
use crate::places::git::read::Snapshot;
use crate::places::git::{GitError, Repository};
use crate::places::store::StoreError;
use crate::words::archive::{Archive, Compression};
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;
use crate::words::name::{Codename, Component};
use context::Context;
use look::Seen;
use weave::Woven;

/// Why a suite cannot be folded.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The suite is not known.
    #[error("ddb.toml has no suite {codename}; it has {}", known.iter().map(Codename::as_str).collect::<Vec<_>>().join(", "))]
    NoSuite {
        /// The suite asked for.
        codename: Codename,
        /// Those that there are.
        known: Vec<Codename>,
    },
    /// Records and pointers disagree.
    #[error("{} record{} of commit {commit} cannot be published", problems.len(), if problems.len() == 1 { "" } else { "s" })]
    Records {
        /// The commit.
        commit: String,
        /// One entry for each problem.
        problems: Vec<RecordProblem>,
    },
    /// An override file is missing.
    #[error("ddb.toml names {path} as override file of {component}, but the commit does not hold it")]
    NoOverrides {
        /// The path.
        path: String,
        /// The component.
        component: Component,
    },
    /// An override file is not usable.
    #[error("override file {path}")]
    Overrides {
        /// The path.
        path: String,
        /// What is wrong.
        #[source]
        source: OverrideError,
    },
    /// A record cannot be shown.
    #[error("record {path}")]
    Render {
        /// The record.
        path: String,
        /// What is wrong.
        #[source]
        source: RenderError,
    },
    /// An index cannot be compressed.
    #[error("index {path}")]
    Compress {
        /// The index.
        path: String,
        /// What is wrong.
        #[source]
        source: BlockError,
    },
    /// A package's file list is needed for Contents and cannot be had.
    #[error("the file list of the package of {record}: {fault}")]
    List {
        /// The record.
        record: String,
        /// What is wrong, and what to do.
        fault: String,
    },
    /// The lines of Contents cannot be sorted.
    #[error("cannot sort the lines of {path}")]
    Sort {
        /// The index.
        path: String,
        /// What is wrong.
        #[source]
        source: std::io::Error,
    },
    /// A block cannot be kept.
    #[error("cannot keep the blocks of the indices")]
    Keep(#[from] StoreError),
    /// A block of an index that is needed is nowhere, and cannot be made again to the same bytes.
    #[error("block {oid} of the index {path} is gone")]
    Gone {
        /// The index.
        path: String,
        /// The block.
        oid: Sha256,
    },
}

/// Every index of a suite.
pub struct Fold {
    /// What Release lists, by path: each index in its plain form and its compressed ones, and the Release beside it.
    pub listed: BTreeMap<String, Listed>,
    /// The bytes of files that were made now, patches among them. Others are joined from their blocks by `content`.
    pub made: BTreeMap<String, Arc<Vec<u8>>>,
    /// The blocks of each index, by its plain path.
    pub sheets: BTreeMap<String, Sheet>,
    /// What else is recorded with the Release.
    pub record: Folded,
    /// The digests of file lists that records do not name, by that of the package: recorded too.
    pub lists: Digests,
    /// What a person should know: packages that another source took over, records of unknown architectures.
    pub notes: Vec<String>,
}

impl Fold {
    /// Tells whether a listed file is written: the plain form of an index is listed only, because apt looks it up by that name.
    pub fn is_written(&self, path: &str) -> bool {
        !self.sheets.contains_key(path)
    }

    /// Returns the bytes of a written file.
    ///
    /// # Errors
    /// A block is gone.
    pub fn content(&self, path: &str, bytes: &Bytes<'_>) -> Result<Arc<Vec<u8>>, FoldError> {
        if let Some(made) = self.made.get(path) {
            return Ok(Arc::clone(made));
        }
        Ok(Arc::new(kept(path, &self.record, &self.sheets, bytes)?.unwrap_or_default()))
    }
}

/// Returns the bytes of a written file by what is recorded with a Release, joined from kept blocks; `None` where the path means no
/// such file.
///
/// # Errors
/// A block is gone.
pub fn kept(path: &str, record: &Folded, sheets: &BTreeMap<String, Sheet>, bytes: &Bytes<'_>) -> Result<Option<Vec<u8>>, FoldError> {
    if let Some(text) = record.texts.get(path) {
        return Ok(Some(text.clone().into_bytes()));
    }
    if let Some(list) = list_of(path, sheets) {
        let gone = |oid: &Sha256| FoldError::Gone { path: path.to_owned(), oid: *oid };
        return match list {
            List::Text(text) => Ok(Some(text.into_bytes())),
            List::Compressed(oid, size) => bytes.compressed(&oid, size).map(Some).ok_or_else(|| gone(&oid)),
        };
    }
    let Some((compression, index, sheet)) = form_of(path, sheets) else { return Ok(None) };
    join(index, sheet, compression, bytes).map(Some)
}

/// Returns which compressed form of which index a path means, with the index's plain path; `None` where it means something else.
pub fn form_of<'a>(path: &'a str, sheets: &'a BTreeMap<String, Sheet>) -> Option<(Compression, &'a str, &'a Sheet)> {
    [Compression::Gz, Compression::Xz, Compression::Zst].into_iter().find_map(|compression| {
        let index = path.strip_suffix(compression.suffix())?;
        Some((compression, index, sheets.get(index)?))
    })
}

/// The list of an index's patches.
pub enum List {
    /// As it is.
    Text(String),
    /// Compressed, by SHA-256 and length in bytes.
    Compressed(Sha256, u64),
}

/// Returns the list of patches that a path means, `None` where it means something else.
pub fn list_of(path: &str, sheets: &BTreeMap<String, Sheet>) -> Option<List> {
    let (index, rest) = path.split_once(".diff/")?;
    let diff = sheets.get(index)?.diff.as_ref()?;
    match rest {
        "Index" => diff.history.index_text().map(List::Text),
        "Index.gz" => diff.list.map(|(oid, size)| List::Compressed(oid, size)),
        _ => None,
    }
}

/// Returns every patch of every index by path, with the compressed script that lies beside the blocks.
pub fn patches(sheets: &BTreeMap<String, Sheet>) -> BTreeMap<String, Pointer> {
    let patch = |index: &str, step: &Step| {
        let pointer = Pointer { oid: step.download.sha256, size: step.download.size };
        (History::patch_path(index, step), pointer)
    };
    sheets.iter().flat_map(|(index, sheet)| sheet.steps().iter().map(move |step| patch(index, step))).collect()
}

/// Joins a compressed index from its blocks.
fn join(index: &str, sheet: &Sheet, compression: Compression, bytes: &Bytes<'_>) -> Result<Vec<u8>, FoldError> {
    let block = |block: &blocks::sheet::Block| {
        let gone = |oid: &Sha256| FoldError::Gone { path: index.to_owned(), oid: *oid };
        let (oid, size) = block.forms.get(&compression).ok_or_else(|| gone(&block.sha256))?;
        bytes.compressed(oid, *size).ok_or_else(|| gone(oid))
    };
    let parts: Vec<Vec<u8>> = sheet.blocks.par_iter().map(block).collect::<Result<_, _>>()?;
    blocks::join(&parts, compression).map_err(|source| FoldError::Compress { path: index.to_owned(), source })
}

/// What is wanted of a fold beside the commit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// Compress everything anew as well as can be, in as few blocks as can be.
    pub repack: bool,
    /// Make every paragraph of its record and join every index, although nothing changed.
    pub from_records: bool,
    /// Leave Contents out, so that nothing depends on file lists.
    pub without_contents: bool,
    /// The time, which tells whether Contents are to be refreshed.
    pub now: Timestamp,
}

impl Wanted {
    /// Everything is to be made again as it was.
    pub fn again() -> Self {
        Self { from_records: true, ..Self::default() }
    }

    /// As much is to be made again as this file needs: Contents for Contents alone.
    pub fn again_for(path: &str) -> Self {
        Self { without_contents: !is_contents(path), ..Self::again() }
    }
}

/// Tells whether a file that a Release lists is Contents, plain or compressed.
pub fn is_contents(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with("Contents-"))
}

/// Folds a suite, starting from what was recorded before.
///
/// # Errors
/// Git cannot be read, or records and pointers disagree: all of them are named.
pub fn fold(
    repository: &Repository,
    snapshot: &Snapshot<'_>,
    archive: &Archive,
    codename: &Codename,
    last: Option<&Last>,
    bytes: &Bytes<'_>,
    wanted: Wanted,
) -> Result<Fold, FoldError> {
    let context = Context::read(repository, snapshot, archive, codename)?;
    // Where an index has no sheet, nothing tells what it held.
    let has_all = |last: &Last| context.indices.iter().all(|index| last.sheets.contains_key(&index.path()));
    let near = last.filter(|last| !wanted.repack && !wanted.from_records && last.record.context == context.digest && has_all(last));
    let delta = match near {
        Some(last) => delta::between(repository, snapshot, &context, last, bytes)?,
        None => None,
    };
    let mut fold = match near.zip(delta.as_ref()).map(|(last, delta)| by_delta(&context, last, delta, bytes)) {
        // What a cache or store lost is made again from the records.
        None | Some(Err(FoldError::Gone { .. })) => {
            from_records(&context, &look::all(repository, snapshot, codename)?, last, bytes, wanted)?
        }
        Some(folded) => folded?,
    };
    if !wanted.without_contents {
        contents::Making { repository, snapshot, context: &context, last, bytes, wanted }.add_to(&mut fold, delta.as_ref())?;
    }
    // A repack keeps no block of any other Release.
    let others = last.filter(|_| !wanted.repack).into_iter();
    let others = others.flat_map(|last| std::iter::once(last).chain(last.own.as_deref()).chain(last.earlier.as_deref()));
    fold.record.encoders = encoders_after(others.map(|last| &last.record.encoders));
    Ok(fold)
}

fn by_delta(context: &Context<'_>, last: &Last, delta: &delta::Delta, bytes: &Bytes<'_>) -> Result<Fold, FoldError> {
    let none = Sheet::default();
    let woven = context.indices.par_iter().map(|index| {
        let old = last.sheets.get(&index.path()).unwrap_or(&none);
        let edited = delta.edited(context, index, old, bytes)?;
        weave::edited(context, index, old, edited, &last.listed, bytes)
    });
    let woven = woven.collect::<Result<Vec<Woven>, FoldError>>()?;
    Ok(gather(context, woven, delta.record(context, last)))
}

fn from_records(context: &Context<'_>, seen: &[Seen], last: Option<&Last>, bytes: &Bytes<'_>, wanted: Wanted) -> Result<Fold, FoldError> {
    let chosen = listing::choose(context, seen);
    let listed = last.filter(|_| !wanted.from_records).map(|last| &last.listed);
    let old = |path: &str| last.and_then(|last| last.sheets.get(path));
    let woven = context.indices.iter().map(|index| {
        let listing = chosen.listing(context, seen, index)?;
        weave::listed(context, index, &listing, old(&index.path()), wanted.repack, listed, bytes)
    });
    let woven = woven.collect::<Result<Vec<Woven>, FoldError>>()?;
    Ok(gather(context, woven, chosen.record(context, seen)))
}

fn gather(context: &Context<'_>, woven: Vec<Woven>, mut record: Folded) -> Fold {
    let (mut listed, mut made, mut sheets) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (index, woven) in context.indices.iter().zip(woven) {
        listed.extend(woven.listed);
        made.extend(woven.made);
        sheets.insert(index.path(), woven.sheet);
        if let Some((path, text)) = folder_release(index, context.codename, context.suite, &context.archive.archive) {
            let mut hasher = release::hasher(context.suite);
            hasher.update(text.as_bytes());
            listed.insert(path.clone(), hasher.finish());
            record.texts.insert(path, text);
        }
    }
    let notes = record.notes(context.codename);
    Fold { listed, made, sheets, record, lists: Digests::new(), notes }
}

/// Names of packages.
type Names = BTreeSet<String>;
