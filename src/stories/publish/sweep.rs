//! The end of what no client needs any more: by-hash files and patches of Releases that are neither among the newest nor were current
//! lately, and proofs that the new Release does not have.

use std::collections::{BTreeMap, BTreeSet};

use super::stage::{self, Proofs, StageError, Staged};
use super::{DistsRequest, Places, PublishError};
use crate::formats::release::{Release, by_hash_paths};
use crate::places::git::Repository;
use crate::places::git::remote::Depth;
use crate::places::target::plan::{Class, Plan, Step};
use crate::stories::archive::OpenError;
use crate::stories::fold::patches;
use crate::words::archive::{Archive, LogKind};

/// The end of what no client needs any more.
pub(super) struct Sweep {
    /// The removals.
    pub(super) plan: Plan,
    /// Everything up to this Release is swept when they are done.
    pub(super) swept: u64,
}

/// Returns the removal of proofs that the new Release does not have, and of by-hash files that no Release names which is among the
/// newest or was current lately. The latter is told by the recorded Releases alone: what earlier publishes swept is recorded with
/// the last served one and not swept again.
pub(super) fn removals(
    request: &DistsRequest,
    places: &Places<'_>,
    archive: &Archive,
    newest: &Staged,
    proofs: &Proofs,
) -> Result<Sweep, PublishError> {
    let repository = &places.open.repository;
    let before = stage::last_served(repository, &request.codename)?.and_then(|last| last.signatures).map_or(0, |last| last.served.swept);
    let mut sweep = Sweep { plan: Plan::default(), swept: before };
    let before = if request.repair { 0 } else { before };
    let Some(suite) = archive.suite(&request.codename) else { return Ok(sweep) };
    let mut kept: BTreeSet<String> = names(places, request, newest)?.into_iter().collect();
    let mut steps = BTreeMap::new();
    let (mut generation, mut over, mut replaced_at) = (1, false, request.now);
    // Releases come newest first, so everything that is kept is known before the first one that is not.
    for current in earlier(request, places, newest, before)? {
        if let Some(signatures) = &current.signatures {
            generation += 1;
            let lately = replaced_at > request.now.minus(suite.keep_for);
            over |= generation > suite.keep_generations && !lately;
            replaced_at = signatures.served.at;
        }
        if !over {
            kept.extend(names(places, request, &current)?);
            continue;
        }
        sweep.swept = sweep.swept.max(current.inputs.sequence);
        for path in names(places, request, &current)?
            .into_iter()
            .filter(|name| !kept.contains(name))
            .map(|name| format!("dists/{}/{name}", request.codename))
        {
            steps.insert(path.clone(), Step { class: Class::Removal, path, content: None });
        }
    }
    // A proof of a Release before, under its plain name: of the last one, or of an older one where a removal failed.
    let last = stage::last_served(repository, &request.codename)?.map(|last| last.proofs).unwrap_or_default();
    // An archive that never had a log pays no requests for it.
    let looked_for = |kind: LogKind| {
        let named = match kind {
            LogKind::Sigsum => archive.logs.sigsum.is_some(),
            LogKind::Sigstore => archive.logs.sigstore.is_some(),
        };
        named || request.repair || !places.target.is_remote()
    };
    for kind in LogKind::ALL.into_iter().filter(|kind| !proofs.contains_key(kind)) {
        let path = format!("dists/{}/{}", request.codename, kind.file());
        // The new Release is what clients see by now. Some buckets deny a look at what is not there.
        let there = || places.target.size(&path).is_ok_and(|size| size.is_some());
        if last.contains_key(&kind) || (looked_for(kind) && there()) {
            steps.insert(path.clone(), Step { class: Class::Removal, path, content: None });
        }
    }
    sweep.plan = Plan::new(steps.into_values().collect());
    Ok(sweep)
}

/// Returns the Releases between this one and the last that was swept, newest first. Where a shallow clone ends before, the rest is
/// fetched: what a fresh runner does not see would never be removed.
fn earlier(request: &DistsRequest, places: &Places<'_>, newest: &Staged, swept: u64) -> Result<Vec<Staged>, PublishError> {
    let codename = &request.codename;
    let walk = |repository: &Repository| -> Result<Vec<Staged>, StageError> {
        let mut found = Vec::new();
        let mut staged = stage::before(repository, codename, newest)?;
        while let Some(current) = staged.filter(|current| current.inputs.sequence > swept) {
            staged = stage::before(repository, codename, &current)?;
            found.push(current);
        }
        Ok(found)
    };
    let repository = &places.open.repository;
    let found = walk(repository)?;
    let oldest = found.last().map_or(newest.inputs.sequence, |oldest| oldest.inputs.sequence);
    let Some(remote) = places.open.remote.as_ref().filter(|_| oldest > swept + 1) else { return Ok(found) };
    // One that is staged, one that keeps proofs, one that is served.
    let commits = u32::try_from(3 * (newest.inputs.sequence - swept) + 2).unwrap_or(u32::MAX);
    let _held = repository.hold_remote()?;
    remote.fetch_to(&[&stage::branch(codename)], Depth::Commits(commits)).map_err(OpenError::Remote)?;
    Ok(walk(&Repository::open(repository.git_dir())?)?)
}

/// Returns the names that mean the files of one Release alone: by-hash, without those of plain forms, which are listed and never
/// written, and patches.
fn names(places: &Places<'_>, request: &DistsRequest, staged: &Staged) -> Result<Vec<String>, PublishError> {
    let recorded = stage::recorded(&places.open.repository, &request.codename, staged.commit)?;
    let patches = recorded.map(|(_, sheets)| patches(&sheets)).unwrap_or_default();
    Ok(by_hash_names(&staged.parsed).chain(patches.into_keys()).collect())
}

fn by_hash_names(release: &Release) -> impl Iterator<Item = String> + '_ {
    release.files.iter().filter(|(path, _)| !release.is_listed_only(path)).flat_map(|(path, listed)| by_hash_paths(path, listed))
}
