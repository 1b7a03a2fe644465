//! Whether every record of a suite that requires provenance has some that counts, judged before the suite is published.
//!
//! That they had under a policy is recorded with each Release (`fold.json`), on a branch that only publishers write. Under the same
//! policy only records are judged that differ since, and under another one those whose projects changed, so the cost is that of what
//! changed. Each record that differs is compared with its package, too, and asked whose its name is: whatever way it came, by a
//! deploy, by Git's merge, or before the suite required anything. The first Release that requires provenance asks all.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::names::{self, Offered, Others};
use super::{Judge, Judged, Objects, policy};
use crate::formats::provenance::policy::Policy;
use crate::formats::suite::checks::{self, RecordProblem};
use crate::formats::suite::place::RecordPlace;
use crate::places::git::GitError;
use crate::places::git::read::{RecordEntry, Snapshot};
use crate::places::store::{ObjectStore, StoreError, in_parallel};
use crate::stories::archive::{OpenArchive, OpenError};
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
    /// Tells whether the suite requires provenance.
    pub fn requires(&self) -> bool {
        self.archive.suite(self.codename).is_some_and(|suite| suite.require_provenance)
    }
}

/// Judges the records that a suite has in a commit, and returns the digest of the policy under which all of them are good; `None` where
/// the suite requires no provenance. `last` is what the fold starts from: what differs since is judged and compared with its package,
/// what does not is judged where a project has changed that could bring it.
///
/// # Errors
/// See [`SuiteError`]; every record without provenance that counts is named.
pub fn check(
    open: &OpenArchive,
    asked: Asked<'_>,
    records: &Snapshot<'_>,
    last: Option<&Last>,
    store: &dyn ObjectStore,
) -> Result<Option<Sha256>, SuiteError> {
    let Asked { codename, snapshot, archive } = asked;
    if !asked.requires() {
        return Ok(None);
    }
    let policy = policy(snapshot, archive)?;
    let known = last.and_then(|last| Known::of(open, last, Some(&policy)));
    let coming = match &known {
        Some(known) => changed(records, codename, &known.base, known.codename)?,
        None => records.records(codename)?,
    };
    let places: Vec<&RecordPlace> = coming.iter().map(|entry| &entry.place).collect();
    let before: Vec<names::At<'_>> = known.iter().map(|known| (&known.base, known.codename)).collect();
    let others = names::others(&policy, &places, (records, codename), &before, &mut Offered::default())?;
    let compared: BTreeSet<RecordPlace> = coming.iter().map(|entry| entry.place.clone()).collect();
    let mut entries = coming;
    if let Some(then) = known.as_ref().and_then(|known| known.policy.as_ref()) {
        let unsettled = |entry: &RecordEntry| policy.unsettles(then, entry.place.source.as_str());
        let all = records.records(codename)?.into_iter();
        entries.extend(all.filter(|entry| unsettled(entry) && !compared.contains(&entry.place)));
    }
    let problems = judge(open, entries, &policy, &others, &|place| compared.contains(place), store)?;
    match problems.is_empty() {
        true => Ok(Some(policy.digest())),
        false => Err(SuiteError::Records { commit: records.commit().to_string(), codename: codename.clone(), problems }),
    }
}

/// Where the records come from that a suite is to take over.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    /// The commit.
    pub snapshot: &'a Snapshot<'a>,
    /// The suite.
    pub codename: &'a Codename,
    /// Its newest Release: what that had, where it required provenance, is not compared again.
    pub last: Option<&'a Last>,
    /// The source packages; `None` means all, in place of what was there.
    pub sources: Option<&'a BTreeSet<SourceName>>,
}

/// Judges the records that a suite is to take over from another one, or from an older state: all that differ, or those of some source
/// packages. `to` is where they go.
///
/// # Errors
/// See [`SuiteError`].
pub fn check_coming(open: &OpenArchive, from: Origin<'_>, to: Asked<'_>, store: &dyn ObjectStore) -> Result<(), SuiteError> {
    let Asked { codename, snapshot: tip, archive } = to;
    if !to.requires() {
        return Ok(());
    }
    let policy = policy(tip, archive)?;
    let mut entries = changed(from.snapshot, from.codename, tip, codename)?;
    entries.retain(|entry| from.sources.is_none_or(|sources| sources.contains(&entry.place.source)));
    let known = from.last.and_then(|last| Known::of(open, last, None));
    let unknown: Option<BTreeSet<RecordPlace>> = match &known {
        Some(known) => {
            let changed = changed(from.snapshot, from.codename, &known.base, known.codename)?;
            Some(changed.into_iter().map(|entry| entry.place).collect())
        }
        None => None,
    };
    let mut before: Vec<names::At<'_>> = vec![(tip, codename)];
    let there = match from.sources {
        Some(_) => (tip, codename),
        // Nothing that the suite has stays, and each name belongs to whom it belonged where all comes from.
        None => {
            before.extend(known.iter().map(|known| (&known.base, known.codename)));
            (from.snapshot, from.codename)
        }
    };
    let others =
        names::others(&policy, &entries.iter().map(|entry| &entry.place).collect::<Vec<_>>(), there, &before, &mut Offered::default())?;
    let compare = |place: &RecordPlace| unknown.as_ref().is_none_or(|unknown| unknown.contains(place));
    let problems = judge(open, entries, &policy, &others, &compare, store)?;
    match problems.is_empty() {
        true => Ok(()),
        false => Err(SuiteError::Records { commit: from.snapshot.commit().to_string(), codename: codename.clone(), problems }),
    }
}

/// A Release whose records were found good by today's rules.
struct Known<'a> {
    /// The commit that it was made of.
    base: Snapshot<'a>,
    /// Its suite.
    codename: &'a Codename,
    /// Its policy, where that is not the one of now.
    policy: Option<Policy>,
}

impl<'a> Known<'a> {
    /// Returns the Release of `last`, or the suite's own beside it, whose policy is the one of now or can be read yet; `None` where
    /// neither required provenance, or only by rules of before.
    fn of(open: &'a OpenArchive, last: &'a Last, now: Option<&Policy>) -> Option<Self> {
        let required = std::iter::once(last).chain(last.own.as_deref()).find_map(|last| Some((last, last.record.provenance?)));
        let (last, digest) = required?;
        // A clone that does not have the whole history lacks it perhaps.
        let base = open.repository.snapshot(last.base).ok()?;
        let codename = &last.codename;
        if now.is_some_and(|now| now.digest() == digest) {
            return Some(Self { base, codename, policy: None });
        }
        // The digest says by which rules, too.
        let then = open.configuration(&base).and_then(|archive| super::policy(&base, &archive)).ok();
        then.filter(|then| then.digest() == digest).map(|then| Self { base, codename, policy: Some(then) })
    }
}

/// Returns what is wrong with the provenance of records, and, where that is asked for, in what they differ from their packages.
fn judge(
    open: &OpenArchive,
    entries: Vec<RecordEntry>,
    policy: &Policy,
    others: &Others,
    compare: &(dyn Fn(&RecordPlace) -> bool + Sync),
    store: &dyn ObjectStore,
) -> Result<Vec<RecordProblem>, SuiteError> {
    let repository = &open.repository;
    repository.hydrate(entries.iter().map(|entry| entry.blob))?;
    let mut records = Vec::with_capacity(entries.len());
    for RecordEntry { place, blob } in entries {
        records.push((repository.blob(blob, &place)?, place));
    }
    let objects = Objects::of(store).remembering(&open.compared);
    let judge = Judge::new(policy, objects);
    let look = |(bytes, place): &(Vec<u8>, RecordPlace)| {
        // What is no record at all is the fold's matter.
        let Ok(record) = checks::read_at(place, bytes) else { return Ok(None) };
        let fault = match judge.fault(Judged { place, record: &record, text: bytes, others: names::of(others, place) })? {
            None if compare(place) => objects.new_disagreement(place, &record, bytes)?,
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
