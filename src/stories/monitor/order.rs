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
    let since = releases.since(codename, &last);
    unvouched(codename, &since, findings);
    let mut is_known = true;
    for release in since.into_iter().filter(|release| release.vouched) {
        let name = name_of(FindingKind::OlderBase, &[&release.release]);
        // Numbers that are signed only grow: one that is not higher was looked at before the branch was set back.
        if release.sequence > last.sequence && is_older(open, &release.base, &last.base)? && !findings.knows(&name) {
            let text = format!(
                "{} was made from commit {}, which is older than {}, of which a Release before it was made: who publishes always takes the \
                 newest. Clients get again what was replaced since",
                release.name(),
                release.base,
                last.base
            );
            findings.alarm(FindingKind::OlderBase, &format!("ddb/releases/{codename}"), name, text);
            // The next look begins before it again.
            is_known = false;
            continue;
        }
        // A commit that is not the archive's is an alarm of its own, and measures nothing.
        let base = if state.bases.contains(&release.base) { &release.base } else { &last.base };
        last = Reached::at(release, base.clone());
        if is_known {
            state.newest.insert(codename.to_string(), last.clone());
        }
    }
    Ok(())
}

/// Says what was staged that no key vouches for, in one alarm: who may push may leave any number.
fn unvouched(codename: &Codename, since: &[&KnownRelease], findings: &mut Findings) {
    let all: Vec<&&KnownRelease> = since.iter().filter(|release| !release.vouched).collect();
    let Some(first) = all.first() else { return };
    let digests: Vec<String> = all.iter().map(|release| release.release.to_hex()).collect();
    let more = if all.len() > 1 { format!(" and {} more", all.len() - 1) } else { String::new() };
    let text = format!(
        "no key of the archive vouches for {} in commit {}{more} (recorded.asc): who may push to that branch and has no key left it, or an older \
         ddb staged it. Publishers pass it over",
        first.name(),
        first.commit
    );
    let name = name_of(FindingKind::Unvouched, &[&codename, &digests.join(" ")]);
    findings.alarm(FindingKind::Unvouched, &format!("ddb/releases/{codename}"), name, text);
}

/// Tells whether a commit stands in the history of another one. Of what is no commit, or not here, something else is said.
fn is_older(open: &OpenArchive, base: &str, last: &str) -> Result<bool, MonitorError> {
    let (Ok(base), Ok(last)) = (base.parse::<Oid>(), last.parse::<Oid>()) else { return Ok(false) };
    let repository = &open.repository;
    let are_here = repository.has_commit(base) && repository.has_commit(last);
    Ok(base != last && are_here && repository.is_ancestor(base, last)?)
}
