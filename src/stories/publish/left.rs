//! A Release that was staged and not served, and is left behind: why, in the words of a warning.
//!
//! What a key of the archive signed once may be put on the branch again by whoever may push there, after it was left behind or replaced.
//! So it is served only where it is of the archive's own history and nothing newer is there.

use super::stage::{Branch, Staged};
use super::{DEEPER, DistsRequest, Places, PublishError};
use crate::formats::artifact::clearsign;
use crate::formats::release::Release;
use crate::places::git::remote::Depth;
use crate::places::git::{Oid, Repository};
use crate::stories::archive::OpenError;
use crate::words::causes::chain;

/// Returns why the newest Release on the branch must not be finished; `None` where it may be, or was served.
///
/// # Errors
/// Git or the published tree cannot be read.
pub(super) fn why(request: &DistsRequest, places: &Places<'_>, branch: &Branch) -> Result<Option<String>, PublishError> {
    let Some(staged) = branch.last.as_ref().filter(|last| last.signatures.is_none()) else { return Ok(None) };
    let says = |why: &str| Some(warning(request, staged, why));
    if !branch.vouched {
        return Ok(says("no key of the archive vouches for it (recorded.asc)"));
    }
    if !branch.is_whole() {
        return Ok(says("on the branch something stands after it for which no key of the archive vouches (recorded.asc)"));
    }
    let (base, tip) = (staged.base(&request.codename)?, places.open.tip()?.commit());
    if !stands_in_history(places, base, tip)? {
        return Ok(says(&format!("its commit {base} is not in the history of {} here", places.open.branch)));
    }
    // Git says nothing of a Release that was taken off the branch by force.
    let served = places.target.read(&format!("dists/{}/InRelease", request.codename))?;
    let served = served.and_then(|bytes| Release::parse(clearsign::split(&bytes).ok()?.payload.as_bytes()).ok());
    if let Some(newer) = served.filter(|served| served.date > staged.parsed.date) {
        return Ok(says(&format!("clients have one of {} already, which is newer", newer.date.iso8601())));
    }
    Ok(None)
}

/// Tells whether a commit stands in the history of the archive's newest. Where a shallow clone ends before that is told, more is fetched.
fn stands_in_history(places: &Places<'_>, base: Oid, tip: Oid) -> Result<bool, PublishError> {
    let (repository, branch) = (&places.open.repository, &places.open.branch);
    if repository.is_ancestor(base, tip)? {
        return Ok(true);
    }
    let Some(remote) = places.open.remote.as_ref().filter(|_| repository.is_shallow()) else { return Ok(false) };
    let _held = repository.hold_remote()?;
    remote.fetch_to(&[branch], Depth::Commits(DEEPER)).map_err(OpenError::Remote)?;
    Ok(Repository::open(repository.git_dir())?.is_ancestor(base, tip)?)
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
