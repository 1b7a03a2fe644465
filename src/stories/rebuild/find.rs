//! Which Release is meant: by suite, number, time, commit or digest, looked up on the branches `ddb/releases/*` as they are in a
//! publisher's repository or in a stranger's plain clone.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::RebuildError;
use crate::places::git::{Oid, Repository};
use crate::stories::archive::OpenArchive;
use crate::stories::promote::{At, Origin};
use crate::stories::publish::stage::{Inputs, StageError};
use crate::stories::served::Edition;
use crate::stories::served::history::BRANCHES;
use crate::stories::served::snapshot::{self, Histories, SnapshotFault, SnapshotId};
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// The name of a Release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseId {
    /// A suite, whose newest served Release is meant, or an older state of it: `trixie`, `trixie@12`, `trixie@20261125T084413Z`.
    Suite(Origin),
    /// The beginning of a commit's name: of one on a branch of Releases, else of the archive, as a snapshot's.
    Commit(String),
    /// The SHA-256 of the Release.
    Digest(Sha256),
}

impl FromStr for ReleaseId {
    type Err = SnapshotFault;

    fn from_str(text: &str) -> Result<Self, SnapshotFault> {
        if let Ok(digest) = text.parse() {
            return Ok(Self::Digest(digest));
        }
        match text.parse() {
            Ok(SnapshotId::Commit(name)) => Ok(Self::Commit(name)),
            _ => text.parse().map(Self::Suite),
        }
    }
}

/// A commit on a branch of Releases, as far as is needed to choose one.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) commit: Oid,
    pub(super) inputs: Inputs,
    /// The blob of `Release`.
    pub(super) release: Oid,
    /// The blob of `InRelease`, once it was served.
    pub(super) in_release: Option<Oid>,
}

/// The Releases of a suite, newest first, as far as they are here.
pub(super) struct Branch {
    pub(super) codename: Codename,
    pub(super) reference: String,
    pub(super) steps: Vec<Step>,
}

/// The Release that was found.
pub(super) struct Found {
    pub(super) branch: Branch,
    /// The commit of it that is read.
    pub(super) at: Step,
    /// Whether it was asked for itself, and not as the newest one.
    pub(super) chosen: bool,
}

/// Returns the Release that a name means.
pub(super) fn release(open: &OpenArchive, id: &ReleaseId) -> Result<Found, RebuildError> {
    let mut branches = branches(&open.repository)?;
    if branches.is_empty() {
        return Err(RebuildError::NoReleases { path: open.repository.root().to_owned() });
    }
    let unknown = |what: String| RebuildError::Unknown { what, shallow: open.repository.is_shallow() };
    let mut chosen = true;
    let (codename, commit) = match id {
        ReleaseId::Suite(origin) => {
            chosen = origin.at.is_some();
            of_suite(open, &branches, origin)?
        }
        ReleaseId::Commit(name) => match name.parse::<Codename>().ok().filter(|codename| branches.contains_key(codename)) {
            Some(codename) => {
                chosen = false;
                of_suite(open, &branches, &Origin { suite: codename.to_string(), at: None })?
            }
            None => of_commit(open, &branches, name)?,
        },
        ReleaseId::Digest(digest) => {
            of_digest(&open.repository, &branches, digest)?.ok_or_else(|| unknown(format!("a Release with the SHA-256 {digest}")))?
        }
    };
    let missing = || unknown(format!("a Release of {codename}"));
    let branch = branches.remove(&codename).ok_or_else(missing)?;
    let at = branch.steps.iter().find(|step| step.commit == commit).cloned().ok_or_else(missing)?;
    Ok(Found { branch, at, chosen })
}

/// Reads every branch of Releases: those of this repository, and those that were last seen of its remotes, where these have more.
fn branches(repository: &Repository) -> Result<BTreeMap<Codename, Branch>, RebuildError> {
    let below = |name: &str| name.split_once("/ddb/releases/").and_then(|(_, codename)| codename.parse::<Codename>().ok());
    let mut tips: BTreeMap<Codename, (String, Oid)> = BTreeMap::new();
    for (reference, tip) in repository.refs_below(BRANCHES)?.into_iter().chain(repository.refs_below("refs/remotes/")?) {
        let Some(codename) = below(&reference) else { continue };
        match tips.get(&codename) {
            Some((_, known)) if !repository.is_ancestor(*known, tip)? => {}
            _ => drop(tips.insert(codename, (reference, tip))),
        }
    }
    let mut branches = BTreeMap::new();
    for (codename, (reference, tip)) in tips {
        let steps = steps(repository, &codename, &reference, tip)?;
        branches.insert(codename.clone(), Branch { codename, reference, steps });
    }
    Ok(branches)
}

fn steps(repository: &Repository, codename: &Codename, reference: &str, tip: Oid) -> Result<Vec<Step>, RebuildError> {
    let (mut found, mut next) = (Vec::new(), Some(tip));
    // A shallow clone ends somewhere.
    while let Some(commit) = next.filter(|commit| repository.has_commit(*commit)) {
        let snapshot = repository.snapshot(commit)?;
        // The branch begins with a commit that holds nothing.
        let Some((inputs, release)) = snapshot.oid_of("inputs.json")?.zip(snapshot.oid_of("Release")?) else { break };
        found.push((commit, inputs, release, snapshot.oid_of("InRelease")?));
        next = repository.parent(commit)?;
    }
    // A partial clone fetches all of them at once.
    repository.hydrate(found.iter().map(|(_, inputs, _, _)| *inputs))?;
    let step = |(commit, inputs, release, in_release): (Oid, Oid, Oid, Option<Oid>)| {
        let wrong = |fault: &dyn std::fmt::Display| StageError::Content {
            path: "inputs.json",
            commit,
            branch: reference.to_owned(),
            fault: fault.to_string(),
        };
        let bytes = repository.blob(inputs, &format!("inputs.json of a Release of {codename}"))?;
        let inputs: Inputs = serde_json::from_slice(&bytes).map_err(|fault| wrong(&fault))?;
        Ok(Step { commit, inputs, release, in_release })
    };
    found.into_iter().map(step).collect()
}

type Chosen = (Codename, Oid);

fn of_suite(open: &OpenArchive, branches: &BTreeMap<Codename, Branch>, origin: &Origin) -> Result<Chosen, RebuildError> {
    let named = origin.suite.parse::<Codename>().ok().filter(|codename| branches.contains_key(codename));
    let codename = match named {
        Some(codename) => Some(codename),
        None => open.configuration(&open.tip()?)?.suite_for_distribution(&origin.suite).cloned(),
    };
    let none = || RebuildError::NoSuite { name: origin.suite.clone(), known: branches.keys().cloned().collect() };
    let branch = codename.and_then(|codename| branches.get(&codename)).ok_or_else(none)?;
    let unknown = |what: String| RebuildError::Unknown { what, shallow: open.repository.is_shallow() };
    let commit = match &origin.at {
        None => branch.steps.iter().find(|step| step.in_release.is_some()).map(|step| step.commit),
        Some(At::Release(number)) => branch.steps.iter().find(|step| step.inputs.sequence == *number).map(|step| step.commit),
        Some(At::Snapshot(id)) => {
            let histories = Histories::from([(branch.codename.clone(), editions(branch))]);
            snapshot::resolve(&open.repository, &histories, open.tip()?.commit(), id)?.remove(&branch.codename).map(|found| found.commit)
        }
    };
    let what = match &origin.at {
        None => format!("a Release of {} that was served", branch.codename),
        Some(at) => format!("Release {at} of {}", branch.codename),
    };
    Ok((branch.codename.clone(), commit.ok_or_else(|| unknown(what))?))
}

fn of_commit(open: &OpenArchive, branches: &BTreeMap<Codename, Branch>, name: &str) -> Result<Chosen, RebuildError> {
    let steps = branches.values().flat_map(|branch| branch.steps.iter().map(move |step| (branch, step)));
    let found: Vec<(&Branch, &Step)> = steps.filter(|(_, step)| step.commit.to_string().starts_with(name)).collect();
    match found.as_slice() {
        [] => {}
        // What came on top of a staged Release is about it too, and has its signatures.
        [(branch, step)] => {
            let same = |other: &&Step| other.inputs.sequence == step.inputs.sequence && other.release == step.release;
            let newest = branch.steps.iter().find(same).unwrap_or(step);
            return Ok((branch.codename.clone(), newest.commit));
        }
        _ => return Err(SnapshotFault::Ambiguous { name: name.to_owned() }.into()),
    }
    let histories: Histories = branches.iter().map(|(codename, branch)| (codename.clone(), editions(branch))).collect();
    let id = SnapshotId::Commit(name.to_owned());
    let mut found = snapshot::resolve(&open.repository, &histories, open.tip()?.commit(), &id)?;
    match (found.pop_first(), found.is_empty()) {
        (Some((codename, edition)), true) => Ok((codename, edition.commit)),
        (first, _) => {
            let suites = first.map(|(codename, _)| codename).into_iter().chain(found.into_keys()).collect();
            Err(RebuildError::Several { name: name.to_owned(), suites })
        }
    }
}

fn of_digest(repository: &Repository, branches: &BTreeMap<Codename, Branch>, digest: &Sha256) -> Result<Option<Chosen>, RebuildError> {
    for branch in branches.values() {
        repository.hydrate(branch.steps.iter().map(|step| step.release))?;
        for step in &branch.steps {
            if Sha256::of(&repository.blob(step.release, &"a Release")?) == *digest {
                return Ok(Some((branch.codename.clone(), step.commit)));
            }
        }
    }
    Ok(None)
}

/// Returns the served Releases of a branch as snapshots' names are looked up among.
fn editions(branch: &Branch) -> Vec<Edition> {
    let mut editions: Vec<Edition> = Vec::new();
    for step in branch.steps.iter().filter(|step| step.in_release.is_some()) {
        let Inputs { sequence, base, date, .. } = &step.inputs;
        // What came later beside a Release is about the same one: the newest counts.
        let again = editions.last().is_some_and(|newer| newer.sequence == *sequence);
        let Some(base) = base.parse().ok().filter(|_| !again) else { continue };
        let codename = branch.codename.clone();
        editions.push(Edition { codename, commit: step.commit, base, sequence: *sequence, date: *date, at: *date });
    }
    editions
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_named_by_suite_state_commit_or_digest() {
        let id = |text: &str| text.parse::<ReleaseId>().unwrap();
        let suite = |text: &str| ReleaseId::Suite(text.parse().unwrap());
        for text in ["trixie", "trixie@12", "trixie@20261125T084413Z", "trixie@1234567", "stable-updates"] {
            assert_eq!(id(text), suite(text), "{text}");
        }
        assert_eq!(id("ABCDEF0"), ReleaseId::Commit("abcdef0".to_owned()));
        let digest = Sha256::of(b"Release");
        assert_eq!(id(&digest.to_hex()), ReleaseId::Digest(digest));
        assert!("trixie@nonsense".parse::<ReleaseId>().is_err());
    }
}
