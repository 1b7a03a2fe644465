//! Whether every record of a suite that requires provenance has some that counts, judged before the suite is published.
//!
//! That they had under a policy is recorded with each Release (`fold.json`), on a branch that only publishers write. Under the same
//! policy only records are judged that differ since, so the cost is that of what changed.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::{Envelopes, Judge, policy};
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

/// Judges the records of a suite, and returns the digest of the policy under which all of them are good; `None` where the suite
/// requires no provenance. `last` is what the fold starts from.
///
/// # Errors
/// See [`SuiteError`]; every record without provenance that counts is named.
pub fn check(
    repository: &Repository,
    snapshot: &Snapshot<'_>,
    archive: &Archive,
    codename: &Codename,
    last: Option<&Last>,
    store: &dyn ObjectStore,
) -> Result<Option<Sha256>, SuiteError> {
    if !archive.suite(codename).is_some_and(|suite| suite.require_provenance) {
        return Ok(None);
    }
    let policy = policy(snapshot, archive)?;
    let near = last.filter(|last| last.record.provenance == Some(policy.digest()));
    let entries = match near.and_then(|last| Some((last, repository.snapshot(last.base).ok()?))) {
        Some((last, base)) => changed(snapshot, codename, &base, &last.codename)?,
        None => snapshot.records(codename)?,
    };
    let problems = judge(repository, entries, &policy, store)?;
    match problems.is_empty() {
        true => Ok(Some(policy.digest())),
        false => Err(SuiteError::Records { commit: snapshot.commit().to_string(), codename: codename.clone(), problems }),
    }
}

/// Judges the records that a suite is to take over from another one, or from an older state: all that differ, or those of some source
/// packages. `tip` is the commit whose policy counts.
///
/// # Errors
/// See [`SuiteError`].
pub fn check_coming(
    repository: &Repository,
    (origin, from): (&Snapshot<'_>, &Codename),
    (tip, to): (&Snapshot<'_>, &Codename),
    archive: &Archive,
    sources: Option<&BTreeSet<SourceName>>,
    store: &dyn ObjectStore,
) -> Result<(), SuiteError> {
    if !archive.suite(to).is_some_and(|suite| suite.require_provenance) {
        return Ok(());
    }
    let policy = policy(tip, archive)?;
    let mut entries = changed(origin, from, tip, to)?;
    entries.retain(|entry| sources.is_none_or(|sources| sources.contains(&entry.place.source)));
    let problems = judge(repository, entries, &policy, store)?;
    match problems.is_empty() {
        true => Ok(()),
        false => Err(SuiteError::Records { commit: origin.commit().to_string(), codename: to.clone(), problems }),
    }
}

/// Returns what is wrong with the provenance of records.
fn judge(
    repository: &Repository,
    entries: Vec<RecordEntry>,
    policy: &Policy,
    store: &dyn ObjectStore,
) -> Result<Vec<RecordProblem>, SuiteError> {
    repository.hydrate(entries.iter().map(|entry| entry.blob))?;
    let mut records = Vec::with_capacity(entries.len());
    for RecordEntry { place, blob } in entries {
        records.push((repository.blob(blob, &place)?, place));
    }
    let judge = Judge::new(policy, Envelopes::of(store));
    let look = |(bytes, place): &(Vec<u8>, RecordPlace)| {
        // What is no record at all is the fold's matter.
        let Ok(record) = checks::read_at(place, bytes) else { return Ok(None) };
        let fault = judge.fault(&place.source, &record)?;
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
