//! Whether records agree with the pool, with kept provenance and with the packages that they are about.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::{Finding, FindingKind, FsckError, Pool};
use crate::formats::pool::pointer::Pointer;
use crate::formats::suite::checks::{self, RecordProblem};
use crate::formats::suite::place::RecordPlace;
use crate::places::git::GitError;
use crate::places::git::read::{RecordEntry, Snapshot};
use crate::places::store::{ObjectStore, StoreError, in_parallel};
use crate::stories::archive::OpenArchive;
use crate::stories::event::{Event, Listener};
use crate::stories::provenance::Objects;
use crate::words::archive::Archive;
use crate::words::name::SourceName;

pub(super) fn check_records(
    snapshot: &Snapshot<'_>,
    archive: &Archive,
    pool: &Pool,
    findings: &mut Vec<Finding>,
) -> Result<usize, FsckError> {
    let mut count = 0;
    let kept: BTreeSet<(&SourceName, &Pointer)> = pool.iter().map(|(path, pointer)| (path.source(), pointer)).collect();
    for codename in archive.suites.keys() {
        let records = match snapshot.record_bytes(codename) {
            Ok(records) => records,
            Err(GitError::Content { path, fault, .. }) => {
                findings.push(Finding { kind: FindingKind::Record, path, fault });
                continue;
            }
            Err(fault) => return Err(fault.into()),
        };
        count += records.len();
        let problems: Vec<RecordProblem> = records
            .par_iter()
            .flat_map_iter(|(place, bytes)| record_problems(place, bytes, pool).into_iter().chain(lost_provenance(place, bytes, &kept)))
            .collect();
        findings.extend(problems.into_iter().map(|problem| Finding {
            kind: FindingKind::Record,
            path: problem.path,
            fault: problem.fault,
        }));
    }
    Ok(count)
}

fn record_problems(place: &RecordPlace, bytes: &[u8], pool: &Pool) -> Vec<RecordProblem> {
    let files = checks::read_at(place, bytes).and_then(|record| checks::files_named(place, &record));
    match files {
        Err(problem) => vec![problem],
        Ok(files) => files
            .iter()
            .filter(|(path, wanted)| pool.get(path) != Some(wanted))
            .map(|(path, wanted)| checks::disagreement(place, path, wanted, pool.get(path).map(|found| Ok(*found)).as_ref()))
            .collect(),
    }
}

/// Finds provenance that a record names and that is not kept among the files of its source.
fn lost_provenance(place: &RecordPlace, bytes: &[u8], kept: &BTreeSet<(&SourceName, &Pointer)>) -> Vec<RecordProblem> {
    let Ok(record) = checks::read_at(place, bytes) else { return Vec::new() };
    let lost = record.provenance.iter().chain(&record.claims).filter(|object| !kept.contains(&(&place.source, *object)));
    let fault = |object: &Pointer| {
        format!("it names the provenance {}, which no file of {} in the pool is; deploy that build output again", object.oid, place.source)
    };
    lost.map(|object| RecordProblem { path: place.to_string(), fault: fault(object) }).collect()
}

/// Compares records with the packages that they are about, where the objects are as they should be.
pub(super) fn check_packages(
    open: &OpenArchive,
    snapshot: &Snapshot<'_>,
    archive: &Archive,
    store: &dyn ObjectStore,
    listener: Listener<'_>,
    findings: &mut Vec<Finding>,
) -> Result<(), FsckError> {
    let damaged: BTreeSet<String> =
        findings.iter().filter(|finding| finding.kind == FindingKind::Object).map(|finding| finding.path.clone()).collect();
    let (mut seen, mut records) = (BTreeSet::new(), Vec::new());
    for codename in archive.suites.keys() {
        // What cannot be read was said before. Suites have the same records where they offer the same packages.
        for RecordEntry { place, blob } in snapshot.records(codename).unwrap_or_default() {
            if seen.insert(blob) {
                records.push((open.repository.blob(blob, &place)?, place));
            }
        }
    }
    listener(Event::Begin { step: "comparing records with packages", parts: records.len() });
    let objects = Objects::of(store);
    let compare = |(bytes, place): &(Vec<u8>, RecordPlace)| {
        listener(Event::Part { name: place.to_string() });
        let Ok(record) = checks::read_at(place, bytes) else { return Ok(None) };
        if damaged.contains(&record.facts.sha256.to_hex()) {
            return Ok(None);
        }
        let fault = objects.disagreement(place, &record)?;
        Ok(fault.map(|fault| Finding { kind: FindingKind::Record, path: place.to_string(), fault }))
    };
    let found = in_parallel(store, || records.par_iter().map(compare).collect::<Result<Vec<_>, StoreError>>())?;
    listener(Event::End);
    findings.extend(found.into_iter().flatten());
    Ok(())
}
