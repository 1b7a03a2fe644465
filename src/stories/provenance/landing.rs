//! Whether records that a statement brings may come into suites that require provenance.

use rayon::prelude::*;

use super::objects::is_written;
use super::{Judge, Judged, Objects, Offered, names};
use crate::formats::provenance::policy::Policy;
use crate::formats::statement::fit::Problem;
use crate::formats::suite::checks;
use crate::formats::suite::place::RecordPlace;
use crate::places::git::read::Snapshot;
use crate::places::store::{StoreError, in_parallel};
use crate::stories::archive::OpenError;
use crate::words::archive::Archive;

/// Why records cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum LandingError {
    /// The archive cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Tells whether a record lies in a suite that requires provenance.
pub fn is_required(archive: &Archive, place: &RecordPlace) -> bool {
    archive.suite(&place.codename).is_some_and(|suite| suite.require_provenance)
}

/// Judges records that come into suites on this commit, and compares those that nobody here has written with their packages. Returns
/// one entry for each that may not come. `offered` is what the suites of this commit offer, as far as that was asked before.
///
/// # Errors
/// See [`LandingError`].
pub fn check(
    snapshot: &Snapshot<'_>,
    policy: &Policy,
    coming: &[(RecordPlace, &[u8])],
    objects: Objects<'_>,
    offered: &mut Offered,
) -> Result<Vec<Problem>, LandingError> {
    let judge = Judge::new(policy, objects);
    let written = objects.written();
    let Some((first, _)) = coming.first() else { return Ok(Vec::new()) };
    // A statement is for one suite.
    let places: Vec<&RecordPlace> = coming.iter().map(|(place, _)| place).collect();
    let suite = (snapshot, &first.codename);
    let others = names::others(policy, &places, suite, &[suite], offered).map_err(OpenError::from)?;
    let look = |(place, text): &(RecordPlace, &[u8])| {
        let record = match checks::read_at(place, text) {
            Ok(record) => record,
            Err(problem) => return Ok(Some(Problem { file: problem.path, reason: problem.fault })),
        };
        let judged = Judged { place, record: &record, text, others: names::of(&others, place) };
        let fault = match judge.fault(judged)? {
            None if is_written(&written, &record, text) => None,
            None => objects.new_disagreement(place, &record, text)?,
            fault => fault,
        };
        Ok(fault.map(|reason| Problem { file: record.path.file().to_string(), reason }))
    };
    let looked = in_parallel(objects.store(), || coming.par_iter().map(look).collect::<Result<Vec<_>, StoreError>>())?;
    Ok(looked.into_iter().flatten().collect())
}
