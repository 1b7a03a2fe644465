//! An index of a served Release: joined from its retained blocks, or folded again at its base commit where they are missing.
//!
//! Either way it must have the digest and size that Release lists, else there is no such file.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use super::Whole;
use crate::formats::blocks;
use crate::formats::blocks::sheet::KIND;
use crate::formats::contents::file_list;
use crate::formats::release::Listed;
use crate::places::store::ObjectStore;
use crate::stories::archive::OpenArchive;
use crate::stories::fold::{Bytes, List, Wanted, fold, form_of, list_of, patches};
use crate::stories::publish::stage::{self, Recorded};
use crate::words::digest::Sha256;

/// Why an index cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum IndexFault {
    /// The Release was made by a ddb that retained no blocks.
    #[error("no blocks of {path} were recorded")]
    NotRecorded {
        /// The path relative to Release.
        path: String,
    },
    /// A block is gone.
    #[error("a block of {path} is missing: {oid}")]
    Missing {
        /// The path relative to Release.
        path: String,
        /// The block.
        oid: Sha256,
    },
    /// A block holds other bytes than its name says.
    #[error("a block of {path} is damaged: {oid}")]
    Damaged {
        /// The path relative to Release.
        path: String,
        /// The block.
        oid: Sha256,
    },
    /// What came out is not what Release lists.
    #[error("{path} would not be the file that Release lists")]
    Other {
        /// The path relative to Release.
        path: String,
    },
}

/// Returns whether these are the bytes that Release lists.
fn is_listed(bytes: &[u8], listed: &Listed) -> bool {
    bytes.len() as u64 == listed.size && Sha256::of(bytes) == listed.sha256
}

/// Joins an index from its retained blocks.
///
/// # Errors
/// It was not recorded, or blocks are missing or damaged.
pub fn join(
    blocks: &dyn ObjectStore,
    recorded: Option<&Recorded>,
    whole: &Whole,
    path: &str,
    listed: &Listed,
) -> Result<Vec<u8>, IndexFault> {
    let not_recorded = || IndexFault::NotRecorded { path: path.to_owned() };
    let (record, sheets) = recorded.filter(|recorded| is_of(recorded, whole)).ok_or_else(not_recorded)?;
    let bytes = if let Some(text) = record.texts.get(path) {
        text.clone().into_bytes()
    } else if let Some(list) = list_of(path, sheets) {
        match list {
            List::Text(text) => text.into_bytes(),
            List::Compressed(oid, size) => block(blocks, path, &oid, size)?,
        }
    } else {
        let (compression, _, sheet) = form_of(path, sheets).ok_or_else(not_recorded)?;
        let named = sheet.blocks.iter().map(|block| block.forms.get(&compression).ok_or_else(not_recorded));
        let read = named.map(|named| named.and_then(|(oid, size)| block(blocks, path, oid, *size))).collect::<Result<Vec<_>, _>>()?;
        blocks::join(&read, compression).map_err(|_| IndexFault::Other { path: path.to_owned() })?
    };
    if is_listed(&bytes, listed) { Ok(bytes) } else { Err(IndexFault::Other { path: path.to_owned() }) }
}

fn block(store: &dyn ObjectStore, path: &str, oid: &Sha256, size: u64) -> Result<Vec<u8>, IndexFault> {
    let missing = |_| IndexFault::Missing { path: path.to_owned(), oid: *oid };
    let mut bytes = Vec::new();
    let read = store.open(oid).map_err(missing)?.take(size.saturating_add(1)).read_to_end(&mut bytes);
    if read.is_ok() && bytes.len() as u64 == size && Sha256::of(&bytes) == *oid {
        Ok(bytes)
    } else {
        Err(IndexFault::Damaged { path: path.to_owned(), oid: *oid })
    }
}

/// Returns which blocks a served Release is joined from, `None` where that was not recorded or cannot be read.
pub fn recorded(open: &OpenArchive, whole: &Whole) -> Option<Recorded> {
    stage::recorded(&open.repository, &whole.edition.codename, whole.edition.commit).ok().flatten()
}

/// Reads a patch of an index of a served Release; `None` where there is no such patch.
///
/// # Errors
/// It is missing or damaged.
pub fn patch(blocks: &dyn ObjectStore, recorded: &Recorded, path: &str) -> Option<Result<(Vec<u8>, Sha256), IndexFault>> {
    let pointer = *patches(&recorded.1).get(path)?;
    Some(block(blocks, path, &pointer.oid, pointer.size).map(|bytes| (bytes, pointer.oid)))
}

/// Tells whether what is recorded is about this Release.
pub fn is_of((record, _): &Recorded, whole: &Whole) -> bool {
    record.is_of(&whole.release)
}

/// Folds a served Release again, as far as this path needs, and returns those of its indices that come out as Release lists them,
/// by path.
pub fn folded(open: &OpenArchive, whole: &Whole, path: &str) -> BTreeMap<String, Vec<u8>> {
    let Ok(snapshot) = open.repository.snapshot(whole.edition.base) else { return BTreeMap::new() };
    let Ok(store) = open.derived(&whole.archive, KIND) else { return BTreeMap::new() };
    let codename = &whole.edition.codename;
    let contents = whole.archive.suite(codename).is_some_and(|suite| suite.contents);
    let lists = contents.then(|| Some((open.derived(&whole.archive, file_list::KIND).ok()?, open.store(&whole.archive).ok()?))).flatten();
    let mut bytes = Bytes::new(store.as_ref(), None, false);
    if let Some((lists, packages)) = &lists {
        bytes = bytes.with_lists(lists.as_ref(), packages.as_ref());
    }
    let staged = stage::read(&open.repository, codename, whole.edition.commit);
    let last = staged.and_then(|staged| stage::folded(&open.repository, codename, &staged)).ok().flatten();
    let Ok(fold) = fold(&open.repository, &snapshot, &whole.archive, codename, last.as_ref(), &bytes, Wanted::again_for(path)) else {
        return BTreeMap::new();
    };
    let written = fold.listed.keys().filter(|path| fold.is_written(path));
    let contents = written.filter_map(|path| Some((path.clone(), Arc::unwrap_or_clone(fold.content(path, &bytes).ok()?))));
    let listed = |path: &String, bytes: &Vec<u8>| whole.parsed.files.get(path).is_some_and(|listed| is_listed(bytes, listed));
    contents.filter(|(path, bytes)| listed(path, bytes)).collect()
}
