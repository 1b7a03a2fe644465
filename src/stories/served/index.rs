//! An index of a served Release: joined from its retained blocks, or folded again at its base commit where they are missing.
//!
//! Either way it must have the digest and size that Release lists, else there is no such file.

use std::collections::BTreeMap;
use std::io::Read as _;

use super::Whole;
use crate::formats::blocks;
use crate::formats::blocks::retained::{Parts, Retained};
use crate::formats::release::Listed;
use crate::places::store::ObjectStore;
use crate::stories::archive::OpenArchive;
use crate::stories::publish::{fold, stage};
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
    retained: Option<&Retained>,
    whole: &Whole,
    path: &str,
    listed: &Listed,
) -> Result<Vec<u8>, IndexFault> {
    let not_recorded = || IndexFault::NotRecorded { path: path.to_owned() };
    let retained = retained.filter(|retained| retained.is_of(&whole.release)).ok_or_else(not_recorded)?;
    let bytes = match retained.files.get(path).ok_or_else(not_recorded)? {
        Parts::Text(text) => text.clone().into_bytes(),
        Parts::Joined { compression, blocks: named } => {
            let read = named.iter().map(|(oid, size)| block(blocks, path, oid, *size)).collect::<Result<Vec<_>, _>>()?;
            blocks::join(&read, *compression).map_err(|_| IndexFault::Other { path: path.to_owned() })?
        }
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
pub fn retained(open: &OpenArchive, whole: &Whole) -> Option<Retained> {
    stage::blocks(&open.repository, &whole.edition.codename, whole.edition.commit).ok().flatten()
}

/// Folds a served Release again and returns those of its indices that come out as Release lists them, by path.
pub fn folded(open: &OpenArchive, whole: &Whole) -> BTreeMap<String, Vec<u8>> {
    let Ok(snapshot) = open.repository.snapshot(whole.edition.base) else { return BTreeMap::new() };
    let Ok(fold) = fold(&open.repository, &snapshot, &whole.archive, &whole.edition.codename) else { return BTreeMap::new() };
    let listed = |path: &String, bytes: &Vec<u8>| whole.parsed.files.get(path).is_some_and(|listed| is_listed(bytes, listed));
    fold.contents.into_iter().filter(|(path, bytes)| listed(path, bytes)).collect()
}
