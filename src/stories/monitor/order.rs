//! Releases against the ones before them: each is made of the archive's newest commit, so that none is of an older one than the last.
//! Who has the keys could publish again what was replaced for a reason, rightly signed and logged.

use super::MonitorError;
use super::answer::FindingKind;
use super::findings::{Findings, name_of};
use super::releases::{KnownRelease, Releases};
use super::state::{Reached, State};
use crate::places::git::Oid;
use crate::stories::archive::OpenArchive;
use crate::words::name::Codename;

/// Compares the Releases of a suite that came since the last look, each with those before it; at a first look the newest is believed. Which commits
/// are the archive's was looked up before. What no key vouches for is no Release of the archive, whatever it says.
pub(super) fn check(
    open: &OpenArchive,
    codename: &Codename,
    releases: &Releases,
    state: &mut State,
    findings: &mut Findings,
) -> Result<(), MonitorError> {
    let Some(mut last) = state.newest.get(codename.as_str()).cloned() else {
        if let Some(newest) = releases.of(codename).rev().find(|release| state.bases.contains(&release.base)) {
            state.newest.insert(codename.to_string(), Reached::at(newest, newest.base.clone()));
        }
        return Ok(());
    };
    let mut is_known = true;
    for release in releases.since(codename, &last) {
        let base = match newly(open, release, &last, state)? {
            Ok(base) => base,
            Err((kind, name, text)) => {
                if !findings.knows(&name) {
                    findings.alarm(kind, &format!("ddb/releases/{codename}"), name, text);
                    // The next look begins before it again.
                    is_known = false;
                    continue;
                }
                last.base.clone()
            }
        };
        last = Reached::at(release, base);
        if is_known {
            state.newest.insert(codename.to_string(), last.clone());
        }
    }
    Ok(())
}

/// Looks at a new Release: returns the commit by which those after it are measured, or what is wrong.
fn newly(
    open: &OpenArchive,
    release: &KnownRelease,
    last: &Reached,
    state: &State,
) -> Result<Result<String, (FindingKind, String, String)>, MonitorError> {
    if !release.vouched {
        let kind = FindingKind::Unvouched;
        let text = format!(
            "no key of the archive vouches for {} in commit {} of its branch (recorded.asc): who may push there and has no key left it, or an \
             older ddb staged it. Publishers pass it over",
            release.name(),
            release.commit
        );
        return Ok(Err((kind, name_of(kind, &[&release.release]), text)));
    }
    if is_older(open, &release.base, &last.base)? {
        let kind = FindingKind::OlderBase;
        let text = format!(
            "{} was made from commit {}, which is older than {}, of which a Release before it was made: who publishes always takes the \
             newest. Clients get again what was replaced since",
            release.name(),
            release.base,
            last.base
        );
        return Ok(Err((kind, name_of(kind, &[&release.release]), text)));
    }
    // A commit that is not the archive's is an alarm of its own, and measures nothing.
    let base = if state.bases.contains(&release.base) { &release.base } else { &last.base };
    Ok(Ok(base.clone()))
}

/// Tells whether a commit stands in the history of another one. Of what is no commit, or not here, something else is said.
fn is_older(open: &OpenArchive, base: &str, last: &str) -> Result<bool, MonitorError> {
    let (Ok(base), Ok(last)) = (base.parse::<Oid>(), last.parse::<Oid>()) else { return Ok(false) };
    let repository = &open.repository;
    let are_here = repository.has_commit(base) && repository.has_commit(last);
    Ok(base != last && are_here && repository.is_ancestor(base, last)?)
}
