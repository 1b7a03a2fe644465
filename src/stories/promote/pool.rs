//! The pool files of an older state: pointers that were removed or replaced since must come back, or nothing could be published.
//!
//! Only what differs between the two pools is looked at, and of that only what the records that come back name.

use std::collections::{BTreeMap, BTreeSet};

use super::PromoteError;
use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::formats::suite::checks::{RecordProblem, files_named, read_at};
use crate::places::git::Oid;
use crate::places::git::read::Snapshot;
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
    let (mut restored, mut pointers, mut problems) = (BTreeMap::new(), Vec::new(), Vec::new());
    for source in &sources {
        let now = tip.tip_of(std::iter::once(source))?;
        for (place, text) in origin.records_in(from, source, &origin.folders_of(from, source)?)? {
            let files = read_at(&place, text.as_bytes()).and_then(|record| files_named(&place, &record));
            let files = match files {
                Ok(files) => files,
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            };
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

fn names(text: &str, pointer: &Pointer) -> bool {
    text.contains(&pointer.oid.to_hex())
}
