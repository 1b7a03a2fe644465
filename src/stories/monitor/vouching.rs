//! Whether a key of the archive vouches for Releases on a branch, as publishers ask before they follow them (`recorded.asc`). What no key
//! vouches for was never served, whatever the branch says: who may push there and has no key left it.

use std::collections::BTreeSet;

use super::MonitorError;
use super::releases::{KnownRelease, Releases};
use super::state::State;
use crate::places::git::Oid;
use crate::stories::archive::OpenArchive;
use crate::stories::publish::stage::Trust;
use crate::words::date::Timestamp;

/// Looks at the Releases that came since the last look, and at those that were found to be nobody's; at a first look all are believed.
///
/// # Errors
/// Git cannot be read.
pub(super) fn check(open: &OpenArchive, releases: &mut Releases, state: &mut State, now: Timestamp) -> Result<(), MonitorError> {
    let mut new: BTreeSet<String> = BTreeSet::new();
    for (codename, reached) in &state.newest {
        let Ok(codename) = codename.parse() else { continue };
        new.extend(releases.since(&codename, reached).into_iter().map(|release| release.release.to_hex()));
    }
    for release in &mut releases.known {
        let digest = release.release.to_hex();
        if !new.contains(&digest) && !state.unvouched.contains(&digest) {
            continue;
        }
        release.vouched = holds(open, release, state, now)?;
        if release.vouched {
            state.unvouched.remove(&digest);
        } else {
            state.unvouched.insert(digest);
            release.served = None;
        }
    }
    Ok(())
}

/// Tells whether a key vouches for any commit that holds a Release: one that the archive trusts, or that it trusted when the Release was
/// made.
fn holds(open: &OpenArchive, release: &KnownRelease, state: &State, now: Timestamp) -> Result<bool, MonitorError> {
    let mut trust = Trust::of(open, now);
    if let Ok(base) = release.base.parse::<Oid>() {
        let tip = open.repository.tip(&open.branch)?;
        let stands = tip.map(|tip| open.repository.is_ancestor(base, tip)).transpose()?.unwrap_or_default();
        if stands || (state.bases.contains(&release.base) && open.repository.has_commit(base)) {
            trust = trust.and_of(open, &open.repository.snapshot(base)?);
        }
    }
    for commit in &release.commits {
        if trust.read(&release.codename, *commit)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
