//! Whether every record of a suite that requires provenance has some that counts, judged before the suite is published.
//!
//! That they had under a policy is recorded with each Release (`fold.json`), on a branch that only publishers write. Under the same
//! policy only records are judged that differ since, and under another one those whose projects changed, so the cost is that of what
//! changed. Whether a record says what its package says was asked where it came into the suite, and by `promote` where it comes from
//! a suite that did not ask.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::names::{self, Others};
use super::{Judge, Judged, Objects, policy};
use crate::formats::provenance::policy::Policy;
use crate::formats::suite::checks::{self, RecordProblem};
use crate::formats::suite::place::RecordPlace;
use crate::places::git::read::{RecordEntry, Snapshot};
use crate::places::git::{GitError, Repository};
use crate::places::store::{ObjectStore, StoreError, in_parallel};
use crate::stories::archive::OpenError;
use crate::stories::fold::Last;
use crate::words::archive::Archive;
use crate::words::digest::Sha256;
use crate::words::name::{Codename, SourceName};

/// Why a suite's provenance cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// Whose provenance counts cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Records have no provenance that counts.
    #[error("{} record{} of commit {commit} cannot be in {codename}, which requires provenance", problems.len(), if problems.len() == 1 { "" } else { "s" })]
    Records {
        /// The commit.
        commit: String,
        /// The suite.
        codename: Codename,
        /// One entry for each record.
        problems: Vec<RecordProblem>,
    },
}

/// A suite, and the commit whose configuration counts.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The suite.
    pub codename: &'a Codename,
    /// The commit.
    pub snapshot: &'a Snapshot<'a>,
    /// Its configuration.
    pub archive: &'a Archive,
}

impl Asked<'_> {
    fn requires(&self) -> bool {
        self.archive.suite(self.codename).is_some_and(|suite| suite.require_provenance)
    }
}

/// Judges the records that a suite has in a commit, and returns the digest of the policy under which all of them are good; `None` where
/// the suite requires no provenance. `last` is what the fold starts from: what has not changed since is judged only where a project
/// has changed that could bring it.
///
/// # Errors
/// See [`SuiteError`]; every record without provenance that counts is named.
pub fn check(
    repository: &Repository,
    asked: Asked<'_>,
    records: &Snapshot<'_>,
    last: Option<&Last>,
    configuration: &dyn Fn(&Snapshot<'_>) -> Result<Archive, OpenError>,
    store: &dyn ObjectStore,
) -> Result<Option<Sha256>, SuiteError> {
    let Asked { codename, snapshot, archive } = asked;
    if !asked.requires() {
        return Ok(None);
    }
    let policy = policy(snapshot, archive)?;
    let judged = last.and_then(|last| Some((last, last.record.provenance?)));
    let near = judged.and_then(|(last, digest)| Some((last, digest, repository.snapshot(last.base).ok()?)));
    let entries = match near {
        Some((last, digest, base)) if digest == policy.digest() => changed(records, codename, &base, &last.codename)?,
        Some((last, digest, base)) => {
            // The policy that was good then, if it can be read yet and is judged by today's rules.
            let then = configuration(&base).and_then(|archive| super::policy(&base, &archive)).ok();
            match then.filter(|then| then.digest() == digest) {
                Some(then) => {
                    let mut entries = changed(records, codename, &base, &last.codename)?;
                    let known: BTreeSet<RecordPlace> = entries.iter().map(|entry| entry.place.clone()).collect();
                    let unsettled = |entry: &RecordEntry| policy.unsettles(&then, entry.place.source.as_str());
                    let all = records.records(codename)?.into_iter();
                    entries.extend(all.filter(|entry| unsettled(entry) && !known.contains(&entry.place)));
                    entries
                }
                None => records.records(codename)?,
            }
        }
        None => records.records(codename)?,
    };
    let problems = judge(repository, entries, &policy, &Others::new(), false, store)?;
    match problems.is_empty() {
        true => Ok(Some(policy.digest())),
        false => Err(SuiteError::Records { commit: records.commit().to_string(), codename: codename.clone(), problems }),
    }
}

/// Judges the records that a suite is to take over from another one, or from an older state: all that differ, or those of some source
/// packages. `to` is where they go; `compared` says that `origin` is of a suite that required provenance, so that its records agree
/// with their packages.
///
/// # Errors
/// See [`SuiteError`].
pub fn check_coming(
    repository: &Repository,
    (origin, from, compared): (&Snapshot<'_>, &Codename, bool),
    to: Asked<'_>,
    sources: Option<&BTreeSet<SourceName>>,
    store: &dyn ObjectStore,
) -> Result<(), SuiteError> {
    let Asked { codename, snapshot: tip, archive } = to;
    if !to.requires() {
        return Ok(());
    }
    let policy = policy(tip, archive)?;
    let mut entries = changed(origin, from, tip, codename)?;
    entries.retain(|entry| sources.is_none_or(|sources| sources.contains(&entry.place.source)));
    let others = names::others(&policy, tip, codename, &entries.iter().map(|entry| &entry.place).collect::<Vec<_>>())?;
    let problems = judge(repository, entries, &policy, &others, !compared, store)?;
    match problems.is_empty() {
        true => Ok(()),
        false => Err(SuiteError::Records { commit: origin.commit().to_string(), codename: codename.clone(), problems }),
    }
}

/// Returns what is wrong with the provenance of records, and, where that is asked for, in what they differ from their packages.
fn judge(
    repository: &Repository,
    entries: Vec<RecordEntry>,
    policy: &Policy,
    others: &Others,
    compare: bool,
    store: &dyn ObjectStore,
) -> Result<Vec<RecordProblem>, SuiteError> {
    repository.hydrate(entries.iter().map(|entry| entry.blob))?;
    let mut records = Vec::with_capacity(entries.len());
    for RecordEntry { place, blob } in entries {
        records.push((repository.blob(blob, &place)?, place));
    }
    let objects = Objects::of(store);
    let judge = Judge::new(policy, objects);
    let look = |(bytes, place): &(Vec<u8>, RecordPlace)| {
        // What is no record at all is the fold's matter.
        let Ok(record) = checks::read_at(place, bytes) else { return Ok(None) };
        let fault = match judge.fault(Judged { place, record: &record, text: bytes, others: names::of(others, place) })? {
            None if compare => objects.disagreement(place, &record)?,
            fault => fault,
        };
        Ok(fault.map(|fault| RecordProblem { path: place.to_string(), fault }))
    };
    let looked = in_parallel(store, || records.par_iter().map(look).collect::<Result<Vec<_>, StoreError>>())?;
    Ok(looked.into_iter().flatten().collect())
}

/// Returns the records that differ from those of the last Release.
fn changed(snapshot: &Snapshot<'_>, codename: &Codename, base: &Snapshot<'_>, then: &Codename) -> Result<Vec<RecordEntry>, GitError> {
    let changed = snapshot.changed_from(&format!("suites/{codename}"), base, &format!("suites/{then}"))?;
    let present = changed.into_iter().filter_map(|(path, blob)| Some((path.parse().ok()?, blob?)));
    Ok(present.map(|(place, blob)| RecordEntry { place, blob }).collect())
}
