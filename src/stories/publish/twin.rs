//! The suite that a suite was copied from: what its last served Release brought into the tree's pool, this one need not bring.

use std::collections::BTreeSet;

use super::since::since;
use super::stage::{LastServed, Staged};
use super::{DistsRequest, Edition, Places, PublishError};
use crate::formats::pool::pointer::Pointer;
use crate::places::git::Oid;
use crate::words::digest::ObjectId;
use crate::words::name::Codename;

/// Returns the pool files of this edition that the tree may lack or have with other bytes, where it has the Release of a twin; `None`
/// where it has none, or that is not known of any.
pub(super) fn pool(request: &DistsRequest, places: &Places<'_>, edition: &Edition) -> Result<Option<BTreeSet<String>>, PublishError> {
    match Twin::of(request, places, edition)? {
        Some(twin) if twin.is_in(places)? => Ok(since(request, places, edition, (&twin.codename, &twin.staged))?.pool),
        _ => Ok(None),
    }
}

/// Another suite, and its last served Release, which offers exactly what this one is to offer.
struct Twin {
    codename: Codename,
    staged: Staged,
}

impl Twin {
    /// Finds one by comparing trees in Git; none where this suite's own last served Release says as much.
    fn of(request: &DistsRequest, places: &Places<'_>, edition: &Edition) -> Result<Option<Self>, PublishError> {
        let repository = &places.open.repository;
        let Some(records) = repository.snapshot(edition.base)?.suite_tree(&request.codename)? else { return Ok(None) };
        let trust = places.trust(request);
        let served = |codename: &Codename| -> Result<Option<Staged>, PublishError> {
            let LastServed::Release(staged) = trust.served(codename)? else { return Ok(None) };
            // A base may be missing in a shallow clone.
            let tree: Option<Oid> = repository.snapshot(staged.base(codename)?).and_then(|base| base.suite_tree(codename)).ok().flatten();
            Ok(Some(*staged).filter(|_| tree == Some(records)))
        };
        if served(&request.codename)?.is_some() {
            return Ok(None);
        }
        for codename in edition.archive.suites.keys().filter(|codename| **codename != request.codename) {
            if let Some(staged) = served(codename)? {
                return Ok(Some(Self { codename: codename.clone(), staged }));
            }
        }
        Ok(None)
    }

    /// Tells whether the tree has this Release, by its InRelease, which is written last.
    fn is_in(&self, places: &Places<'_>) -> Result<bool, PublishError> {
        let Some(signatures) = &self.staged.signatures else { return Ok(false) };
        let pointer = Pointer { oid: ObjectId::of(&signatures.in_release), size: signatures.in_release.len() as u64 };
        Ok(places.target.holds(&format!("dists/{}/InRelease", self.codename), &pointer)?)
    }
}
