//! Retained blocks: every compressed block of a Release is kept by its SHA-256, before the Release is staged.
//!
//! Which blocks the Release before this one has is known from its `blocks.json`; only new ones are written, and no store is
//! asked about the others.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::stage::{self, Staged};
use super::{Edition, Places, PublishError};
use crate::formats::blocks::retained::{KIND, Parts, Retained};
use crate::formats::pool::pointer::Pointer;
use crate::places::store::StoreError;
use crate::stories::archive::OpenArchive;
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// Keeps the blocks of this edition that the last Release does not have, and returns what is to be recorded.
pub(super) fn keep(places: &Places<'_>, codename: &Codename, edition: &Edition, last: Option<&Staged>) -> Result<Retained, PublishError> {
    let open = places.open;
    let known = match last {
        // A file that this ddb cannot read says nothing; then every block is offered to the store.
        Some(last) => stage::blocks(&open.repository, codename, last.commit).ok().flatten().map(|retained| retained.named()),
        None => None,
    };
    let known = known.unwrap_or_default();
    let mut files = BTreeMap::new();
    let mut new: BTreeMap<Sha256, &[u8]> = BTreeMap::new();
    for (path, bytes) in &edition.fold.contents {
        let parts = match edition.fold.blocks.get(path) {
            Some(compressed) => {
                let named: Vec<(Sha256, u64)> = compressed.blocks.par_iter().map(|block| (Sha256::of(block), block.len() as u64)).collect();
                let of_this = named.iter().zip(&compressed.blocks).filter(|((oid, _), _)| !known.contains(oid));
                new.extend(of_this.map(|((oid, _), block)| (*oid, block.as_slice())));
                Parts::Joined { compression: compressed.compression, blocks: named }
            }
            None => Parts::Text(String::from_utf8_lossy(bytes).into_owned()),
        };
        files.insert(path.clone(), parts);
    }
    if !new.is_empty() {
        let store = places.store.beside(KIND).map_or_else(|| open.derived(&edition.archive, KIND), Ok)?;
        let put = |(oid, block): (&Sha256, &&[u8])| {
            let pointer = Pointer { oid: *oid, size: block.len() as u64 };
            store.put_new(&pointer, block)
        };
        new.par_iter().map(put).collect::<Result<(), StoreError>>()?;
    }
    Ok(Retained { release: Sha256::of(edition.release.text().as_bytes()), files })
}

/// Returns the blocks that the Release at this commit of the branch names: they must stay as long as it does.
///
/// # Errors
/// The branch is not as ddb leaves it.
pub fn named(open: &OpenArchive, codename: &Codename, staged: &Staged) -> Result<BTreeSet<Sha256>, PublishError> {
    Ok(stage::blocks(&open.repository, codename, staged.commit)?.map(|retained| retained.named()).unwrap_or_default())
}
