//! The pool files of an older state: pointers that were removed or replaced since must come back, or nothing could be published.
//!
//! Only what differs between the two pools is looked at, and of that only what the records that come back name: their files and
//! their provenance.

use std::collections::{BTreeMap, BTreeSet};

use super::PromoteError;
use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::formats::statement::replay::{Tip, with_digest};
use crate::formats::suite::checks::{RecordProblem, files_named, read_at};
use crate::formats::suite::record::Record;
use crate::places::git::read::Snapshot;
use crate::places::git::{Oid, Repository};
use crate::places::store::{Intent, ObjectStore};
use crate::words::name::{Codename, SourceName};

/// Returns the pool files that an older state of a suite names and the newest commit lacks, with their blobs. `wanted` says
/// which sources come back.
pub(super) fn to_restore(
    origin: &Snapshot<'_>,
    from: &Codename,
    tip: &Snapshot<'_>,
    to: &Codename,
    wanted: impl Fn(&SourceName) -> bool,
    store: &dyn ObjectStore,
) -> Result<BTreeMap<String, Oid>, PromoteError> {
    let mut differing: BTreeMap<PoolPath, Oid> = BTreeMap::new();
    for (path, blob) in origin.changed_below("pool", tip)? {
        let Some(blob) = blob else { continue };
        // What is no pool file is named by no record.
        let Ok(path) = path.parse::<PoolPath>() else { continue };
        if wanted(path.source()) {
            differing.insert(path, blob);
        }
    }
    let sources: BTreeSet<SourceName> = differing.keys().map(|path| path.source().clone()).collect();
    let mut by_blob: BTreeMap<(&SourceName, Oid), &PoolPath> = BTreeMap::new();
    for (path, blob) in &differing {
        by_blob.entry((path.source(), *blob)).or_insert(path);
    }
    let (mut restored, mut pointers, mut problems) = (BTreeMap::new(), Vec::new(), Vec::new());
    for source in &sources {
        let now = tip.tip_of(std::iter::once(source))?;
        for (place, text) in origin.records_in(from, source, &origin.folders_of(from, source)?)? {
            let read = read_at(&place, text.as_bytes()).and_then(|record| Ok((files_named(&place, &record)?, record)));
            let (files, record) = match read {
                Ok(read) => read,
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            };
            for (path, object, blob) in provenance(&record, &now, &by_blob) {
                if restored.insert(path.to_string(), blob).is_none() {
                    pointers.push((place.clone(), path, object));
                }
            }
            for (path, pointer) in files {
                let Some(blob) = differing.get(&path) else { continue };
                if let Some(taken) = now.pool.get(&path).filter(|taken| **taken != pointer)
                    && let Some(other) = now.records.iter().find(|(other, text)| other.codename != *to && names(text, taken))
                {
                    let fault = format!("it names {path} with sha256 {}, but {} offers other bytes of that name now", pointer.oid, other.0);
                    problems.push(RecordProblem { path: place.to_string(), fault });
                    continue;
                }
                if restored.insert(path.to_string(), *blob).is_none() {
                    pointers.push((place.clone(), path, pointer));
                }
            }
        }
    }
    store.announce(Intent::Open, &pointers.iter().map(|(_, _, pointer)| *pointer).collect::<Vec<_>>())?;
    for (place, path, pointer) in pointers {
        if !store.refresh(&pointer)? {
            let fault = format!("it names {path}, whose object {} is not in {} any more", pointer.oid, store.describe());
            problems.push(RecordProblem { path: place.to_string(), fault });
        }
    }
    if problems.is_empty() { Ok(restored) } else { Err(PromoteError::Pool { problems }) }
}

/// Returns the provenance of a record that no pool file of its source is any more, with the place where it comes back: its own, or one
/// beside it where another build's has that name now.
fn provenance(record: &Record<'_>, now: &Tip, differing: &BTreeMap<(&SourceName, Oid), &PoolPath>) -> Vec<(PoolPath, Pointer, Oid)> {
    let gone = record.provenance.iter().chain(&record.claims).filter(|object| !now.pool.values().any(|kept| kept == *object));
    let found = gone.filter_map(|object| {
        let blob = Repository::oid_of_blob(object.encode().as_bytes())?;
        let path = *differing.get(&(record.path.source(), blob))?;
        let path = if now.pool.contains_key(path) { with_digest(path, &object.oid)? } else { path.clone() };
        Some((path, *object, blob))
    });
    found.collect()
}

fn names(text: &str, pointer: &Pointer) -> bool {
    text.contains(&pointer.oid.to_hex())
}
