//! A Release that was staged and not served, and is left behind: why, in the words of a warning.
//!
//! What a key of the archive signed once may be shown again by whoever may push to the branch of Releases and sets it back. So it is served
//! only where it is of the archive's own history, and clients have nothing that the branch does not know.

use std::collections::{HashSet, VecDeque};

use super::stage::{self, Branch, Staged};
use super::{DistsRequest, Places, PublishError};
use crate::formats::artifact::clearsign;
use crate::places::git::Repository;
use crate::words::causes::chain;
use crate::words::date::Timestamp;
use crate::words::name::Codename;

/// That a Release must not be finished.
pub(super) struct Left {
    /// Why, as a warning.
    pub(super) why: String,
    /// When the Release was made that clients have and the branch does not know.
    pub(super) of_clients: Option<Timestamp>,
}

/// Returns why the newest Release on the branch must not be finished; `None` where it may be, or was served.
///
/// # Errors
/// Git or the published tree cannot be read.
pub(super) fn why(request: &DistsRequest, places: &Places<'_>, branch: &Branch) -> Result<Option<Left>, PublishError> {
    let Some(staged) = branch.last.as_ref().filter(|last| last.signatures.is_none()) else { return Ok(None) };
    let says = |why: &str, of_clients| Some(Left { why: warning(request, staged, why), of_clients });
    if !branch.vouched {
        return Ok(says("no key of the archive vouches for it (recorded.asc)", None));
    }
    if !branch.is_whole() {
        return Ok(says("on the branch something stands after it for which no key of the archive vouches (recorded.asc)", None));
    }
    let (base, tip) = (staged.base(&request.codename)?, places.open.tip()?.commit());
    if !places.stands_in_history(base, tip)? {
        return Ok(says(&format!("its commit {base} is not in the history of {} here", places.open.branch), None));
    }
    if let Some(date) = of_clients(request, places)? {
        return Ok(says(&set_back(&request.codename, date), Some(date)));
    }
    Ok(None)
}

/// Returns when the Release was made that clients have, where the branch does not know it.
///
/// # Errors
/// Git or the published tree cannot be read.
pub(super) fn of_clients(request: &DistsRequest, places: &Places<'_>) -> Result<Option<Timestamp>, PublishError> {
    let found = places.target.read(&format!("dists/{}/InRelease", request.codename))?;
    Ok(found.map(|found| unknown(request, places, &found)).transpose()?.flatten())
}

/// Returns when a Release was made that clients have, if a key of the archive signed it and the branch does not know it: Git says nothing of
/// one that was taken off the branch by force.
///
/// # Errors
/// Git cannot be read.
pub(super) fn unknown(request: &DistsRequest, places: &Places<'_>, in_release: &[u8]) -> Result<Option<Timestamp>, PublishError> {
    let Some(release) = places.trust(request).release_of(in_release).filter(|_| !request.reset_date) else { return Ok(None) };
    let text = clearsign::split(in_release).map(|text| text.payload).unwrap_or_default();
    let branch = stage::branch(&request.codename);
    let knows = |repository: &Repository| knows(repository, &branch, text.as_bytes());
    let known = knows(&places.open.repository)? || places.deeper(&branch, knows, |known| *known)?.unwrap_or_default();
    Ok((!known).then_some(release.date))
}

/// Tells whether a branch holds a Release of these bytes.
fn knows(repository: &Repository, branch: &str, release: &[u8]) -> Result<bool, PublishError> {
    let wanted = Repository::oid_of_blob(release);
    // Along the parents that commits name: a repository that was opened before more was fetched takes a shallow clone to end where it did.
    let (mut next, mut seen) = (VecDeque::from_iter(repository.tip(branch)?), HashSet::new());
    while let Some(commit) = next.pop_front() {
        if !seen.insert(commit) || !repository.has_commit(commit) {
            continue;
        }
        let snapshot = repository.snapshot(commit)?;
        if wanted.is_some() && snapshot.oid_of("Release")? == wanted {
            return Ok(true);
        }
        next.extend(repository.named_parents(commit)?);
    }
    Ok(false)
}

/// Says that clients have a Release that the branch does not know.
pub(super) fn set_back(codename: &Codename, date: Timestamp) -> String {
    format!("clients have a Release of {}, which is not on ddb/releases/{codename}: that was set back", date.iso8601())
}

/// Says that it cannot be finished for this fault.
pub(super) fn without(request: &DistsRequest, branch: &Branch, fault: &PublishError) -> String {
    let Some(staged) = &branch.last else { return chain(fault) };
    warning(request, staged, &format!("it cannot be served any more: {}", chain(fault)))
}

/// Tells whether another Release can take the place of the newest one, which cannot be served for this fault.
///
/// # Errors
/// Git cannot be read.
pub(super) fn gives_way(places: &Places<'_>, branch: &Branch, fault: &PublishError) -> Result<bool, PublishError> {
    let tip = places.open.tip()?.commit().to_string();
    let is_behind = branch.last.as_ref().is_some_and(|last| last.inputs.base != tip);
    Ok(matches!(fault, PublishError::Otherwise { .. }) || (is_behind && fault.is_of_one_release()))
}

fn warning(request: &DistsRequest, staged: &Staged, why: &str) -> String {
    let (number, codename) = (staged.inputs.sequence, &request.codename);
    format!("Release {number} of {codename} was staged and not served, and is left behind: {why}. The newest commit takes its place")
}
