//! The records of a suite at a commit, each checked against its place and against the pointers of the files that it names.
//!
//! All that disagree are reported together; one of them is enough for nothing to be published.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::PublishError;
use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::formats::suite::checks::{self, RecordProblem};
use crate::formats::suite::place::RecordPlace;
use crate::formats::suite::record::Record;
use crate::places::git::read::{Snapshot, read_blobs};
use crate::places::git::{GitError, Repository};
use crate::words::limits;
use crate::words::name::Codename;

/// A record that was read but not yet looked at.
pub(super) struct Loaded {
    pub(super) place: RecordPlace,
    pub(super) text: String,
}

/// Reads the records of a suite, in tree order.
pub(super) fn load(snapshot: &Snapshot<'_>, codename: &Codename) -> Result<Vec<Loaded>, PublishError> {
    let text_of = |(place, bytes): (RecordPlace, Vec<u8>)| {
        if bytes.len() as u64 > limits::RECORD {
            return Err(snapshot.content(&place.to_string(), &format!("it has {} bytes, more than a record may have", bytes.len())));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Loaded { place, text }),
            Err(fault) => Err(snapshot.content(&place.to_string(), &fault)),
        }
    };
    Ok(snapshot.record_bytes(codename)?.into_iter().map(text_of).collect::<Result<_, _>>()?)
}

pub(super) type Checked<'a> = (Vec<Record<'a>>, BTreeMap<PoolPath, Pointer>);

/// Reads every record and compares it with its place and with the pointers of the files that it names.
pub(super) fn check<'a>(repository: &Repository, snapshot: &Snapshot<'_>, loaded: &'a [Loaded]) -> Result<Checked<'a>, PublishError> {
    let read: Vec<Result<Record<'a>, RecordProblem>> =
        loaded.par_iter().map(|record| checks::read_at(&record.place, record.text.as_bytes())).collect();
    let mut problems = Vec::new();
    let mut records = Vec::with_capacity(read.len());
    let mut named: Vec<(&RecordPlace, PoolPath, Pointer)> = Vec::new();
    for (record, place) in read.into_iter().zip(loaded.iter().map(|record| &record.place)) {
        match record {
            Ok(record) => {
                match checks::files_named(place, &record) {
                    Ok(files) => named.extend(files.into_iter().map(|(path, pointer)| (place, path, pointer))),
                    Err(problem) => problems.push(problem),
                }
                records.push(record);
            }
            Err(problem) => problems.push(problem),
        }
    }
    let pointers = pointers(repository, snapshot, &named)?;
    let mut pool = BTreeMap::new();
    for (place, path, wanted) in named {
        match pointers.get(&path) {
            Some(Ok(found)) if *found == wanted => {
                pool.insert(path, wanted);
            }
            found => problems.push(checks::disagreement(place, &path, &wanted, found)),
        }
    }
    if problems.is_empty() { Ok((records, pool)) } else { Err(PublishError::Records { commit: snapshot.commit().to_string(), problems }) }
}

/// Returns the files that the records of a suite name, each with the pointer at its path.
///
/// # Errors
/// Git cannot be read, or records and pointers disagree.
pub fn pool(repository: &Repository, snapshot: &Snapshot<'_>, codename: &Codename) -> Result<BTreeMap<PoolPath, Pointer>, PublishError> {
    let loaded = load(snapshot, codename)?;
    Ok(check(repository, snapshot, &loaded)?.1)
}

type Pointers = BTreeMap<PoolPath, Result<Pointer, String>>;

fn pointers(
    repository: &Repository,
    snapshot: &Snapshot<'_>,
    named: &[(&RecordPlace, PoolPath, Pointer)],
) -> Result<Pointers, PublishError> {
    let pool = snapshot.pool()?;
    let paths: BTreeSet<&PoolPath> = named.iter().map(|(_, path, _)| path).collect();
    let present: Vec<(PoolPath, String)> =
        paths.into_iter().map(|path| (path.clone(), path.to_string())).filter(|(_, text)| pool.contains_key(text)).collect();
    let blobs: Vec<_> = present.iter().filter_map(|(_, text)| Some((text.clone(), *pool.get(text)?))).collect();
    let read = read_blobs(repository, &blobs, |_, bytes| Ok::<_, GitError>(Pointer::decode(bytes).map_err(|fault| fault.to_string())))?;
    Ok(present.into_iter().map(|(path, _)| path).zip(read).collect())
}
