//! The end of what no client needs any more: by-hash files and patches of Releases that are neither among the newest nor were current
//! lately, and proofs that the new Release does not have.

use std::collections::{BTreeMap, BTreeSet};

use super::stage::{self, Proofs, StageError, Staged};
use super::{DistsRequest, Places, PublishError};
use crate::formats::release::{Release, by_hash_paths};
use crate::places::git::Repository;
use crate::places::git::remote::Depth;
use crate::places::target::plan::{Class, Plan, Step, is_within};
use crate::stories::archive::OpenError;
use crate::stories::fold::patches;
use crate::words::archive::{Archive, LogKind, Suite};
use crate::words::date::Timestamp;

/// The end of what no client needs any more.
pub(super) struct Sweep {
    /// The removals.
    pub(super) plan: Plan,
    /// Everything up to this Release is swept when they are done.
    pub(super) swept: u64,
    /// Everything up to this one was before.
    pub(super) before: u64,
}

/// Returns the removal of proofs that the new Release does not have, and of by-hash files that no Release names which is among the
/// newest or was current lately. The latter is told by the recorded Releases alone: what earlier publishes swept is recorded with
/// the last served one and not swept again.
///
/// What no key of the archive vouches for is no Release that clients had: it makes none older. What it names is removed with the rest,
/// as far as these are names of by-hash files and patches of this suite, which are of no use unless a Release that is kept names them.
pub(super) fn removals(
    request: &DistsRequest,
    places: &Places<'_>,
    archive: &Archive,
    newest: &Staged,
    proofs: &Proofs,
) -> Result<Sweep, PublishError> {
    let suite = archive.suite(&request.codename);
    let keep = suite.map_or(0, |suite| suite.keep_generations.into());
    let releases = earlier(request, places, newest, keep)?;
    let last = releases.iter().find(|(release, counts)| *counts && release.signatures.is_some()).map(|(release, _)| release);
    let before = last.map_or(0, |last| swept(last, keep));
    let mut sweep = Sweep { plan: Plan::default(), swept: before, before };
    let Some(suite) = suite else { return Ok(sweep) };
    let mut steps = BTreeMap::new();
    let mut remove = |path: String| steps.insert(path.clone(), Step { class: Class::Removal, path, content: None });
    let mut ages = Ages { keep: suite, now: request.now, generation: 1, replaced_at: request.now, over: false };
    let mut kept: BTreeSet<String> = names(places, request, newest)?.into_iter().collect();
    // Releases come newest first, so everything that is kept is known before the first one that is not.
    for (current, counts) in &releases {
        if *counts && ages.is_over(current) {
            sweep.swept = sweep.swept.max(current.inputs.sequence);
        }
        let names = names(places, request, current)?;
        if ages.over {
            names
                .into_iter()
                .filter(|name| !kept.contains(name))
                .for_each(|name| drop(remove(format!("dists/{}/{name}", request.codename))));
        } else {
            kept.extend(names);
        }
    }
    // A proof of a Release before, under its plain name: of the last one, or of an older one where a removal failed.
    let none = Proofs::new();
    let last = last.map_or(&none, |last| &last.proofs);
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
            remove(path);
        }
    }
    sweep.plan = Plan::new(steps.into_values().collect());
    Ok(sweep)
}

/// How old Releases are, from the newest on.
struct Ages<'a> {
    keep: &'a Suite,
    now: Timestamp,
    /// How many were served.
    generation: u32,
    /// When the one that is looked at was replaced by the next.
    replaced_at: Timestamp,
    over: bool,
}

impl Ages<'_> {
    /// Looks at the next older one, and tells whether clients need it no more, and none before it.
    fn is_over(&mut self, release: &Staged) -> bool {
        if let Some(signatures) = &release.signatures {
            self.generation += 1;
            let lately = self.replaced_at > self.now.minus(self.keep.keep_for);
            self.over |= self.generation > self.keep.keep_generations && !lately;
            // It is not signed when it was served: not before its date, and not after it was replaced.
            self.replaced_at = signatures.served.at.clamp(release.parsed.date.min(self.replaced_at), self.replaced_at);
        }
        self.over
    }
}

/// Returns up to which Release everything was swept when this one was served. It is not signed how much that was: none of the newest.
fn swept(last: &Staged, keep: u64) -> u64 {
    last.signatures.as_ref().map_or(0, |own| own.served.swept.min(last.inputs.sequence.saturating_sub(keep)))
}

/// Returns the Releases between this one and the last that was swept, newest first, and for each whether a key of the archive vouches
/// for it, or signed it for clients. Where a shallow clone ends before, the rest is fetched: what a fresh runner does not see would
/// never be removed.
fn earlier(request: &DistsRequest, places: &Places<'_>, newest: &Staged, keep: u64) -> Result<Vec<(Staged, bool)>, PublishError> {
    let (codename, trust) = (&request.codename, places.trust(request));
    let walk = |repository: &Repository| -> Result<(Vec<(Staged, bool)>, u64), StageError> {
        let (mut found, mut last, mut chained): (Vec<(Staged, bool)>, _, bool) = (Vec::new(), None, newest.inputs.follows.is_some());
        let mut staged = stage::before(repository, codename, newest)?;
        while let Some(current) = staged {
            // What it follows was vouched for when it was staged; older programs left none that is.
            let counts = chained || current.signatures.as_ref().is_some_and(|signatures| trust.has_signed(&current, signatures));
            if counts && current.signatures.is_some() && last.is_none() {
                last = Some(swept(&current, keep));
            }
            if !request.repair && counts && last.is_some_and(|last| current.inputs.sequence <= last) {
                return Ok((found, 0));
            }
            staged = stage::before(repository, codename, &current)?;
            chained &= current.inputs.follows.is_some();
            found.push((current, counts));
        }
        let oldest = found.last().map_or(newest.inputs.sequence, |(oldest, _)| oldest.inputs.sequence);
        let last = if request.repair { 0 } else { last.unwrap_or_default() };
        // So many are missing.
        Ok((found, oldest.saturating_sub(last + 1).min(newest.inputs.sequence)))
    };
    let repository = &places.open.repository;
    let (found, missing) = walk(repository)?;
    let Some(remote) = places.open.remote.as_ref().filter(|_| missing > 0 && repository.is_shallow()) else { return Ok(found) };
    // One that is staged, one that keeps proofs, one that is served.
    let commits = u32::try_from(3 * (found.len() as u64 + missing + 1) + 2).unwrap_or(u32::MAX);
    let _held = repository.hold_remote()?;
    remote.fetch_to(&[&stage::branch(codename)], Depth::Commits(commits)).map_err(OpenError::Remote)?;
    Ok(walk(&Repository::open(repository.git_dir())?)?.0)
}

/// Returns the names that mean the files of one Release alone: by-hash, without those of plain forms, which are listed and never
/// written, and patches. A name is that of such a file or not among them, whatever the branch says.
fn names(places: &Places<'_>, request: &DistsRequest, staged: &Staged) -> Result<Vec<String>, PublishError> {
    // What cannot be read names nothing.
    let recorded = stage::recorded(&places.open.repository, &request.codename, staged.commit).ok().flatten();
    let patches = recorded.map(|(_, sheets)| patches(&sheets)).unwrap_or_default();
    let names = by_hash_names(&staged.parsed).chain(patches.into_keys());
    Ok(names.filter(|name| is_within(name) && !name.chars().any(char::is_control)).collect())
}

fn by_hash_names(release: &Release) -> impl Iterator<Item = String> + '_ {
    release.files.iter().filter(|(path, _)| !release.is_listed_only(path)).flat_map(|(path, listed)| by_hash_paths(path, listed))
}
