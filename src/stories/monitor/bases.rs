//! The commits that Releases were made from: each must stand in the history of the archive's branch, else who may write branches of
//! Releases could publish what nobody ever landed. Contents that stay for a while are of a commit of their own.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::MonitorError;
use super::answer::FindingKind;
use super::findings::{Findings, name_of};
use super::releases::{KnownRelease, Releases};
use super::state::State;
use crate::places::git::GitError;
use crate::places::git::Oid;
use crate::stories::archive::OpenArchive;

/// Of `fold.json` what is looked at here.
#[derive(Deserialize)]
struct Recorded {
    #[serde(default)]
    contents: Option<OfContents>,
}

#[derive(Deserialize)]
struct OfContents {
    base: String,
}

/// Looks for the commit of every Release in the history of the archive's branch, which is at the commit that `tips` says or was there
/// when the commit was seen first. What a person acknowledged is known with its ancestors.
pub(super) fn check(
    open: &OpenArchive,
    releases: &Releases,
    tips: &BTreeMap<String, Oid>,
    state: &mut State,
    findings: &mut Findings,
) -> Result<(), MonitorError> {
    let mut made = Vec::new();
    for release in &releases.known {
        made.push((release, release.name(), release.base.clone()));
        let branch = format!("ddb/releases/{}", release.codename);
        match of_contents(open, release) {
            Ok(Some(base)) if base != release.base => made.push((release, format!("what stays of Contents in {}", release.name()), base)),
            Ok(_) => {}
            Err(fault) => {
                let text = format!(
                    "fold.json in commit {} cannot be read ({fault}), so that nobody knows what its Contents are of",
                    release.commit
                );
                let name = name_of(FindingKind::BaseNotInHistory, &[&"fold.json", &release.commit]);
                findings.alarm(FindingKind::BaseNotInHistory, &branch, name, text);
            }
        }
    }
    let new: BTreeSet<Oid> =
        made.iter().filter(|(.., base)| !state.bases.contains(base)).filter_map(|(.., base)| base.parse().ok()).collect();
    let name = |base: &String| name_of(FindingKind::BaseNotInHistory, &[base]);
    let known = made.iter().map(|(.., base)| base).filter(|base| findings.knows(&name(base)));
    state.vouched.extend(known.cloned());
    let mut roots = vouched(open, state)?;
    roots.extend(tips.get(&open.branch));
    let missing = missing(open, &roots, new)?;
    for (release, what, base) in made {
        match base.parse::<Oid>() {
            Ok(commit) if !missing.contains(&commit) => drop(state.bases.insert(base)),
            _ => {
                let text = format!(
                    "{what} was made from commit {base}, which is not in the history of {}: who may write to the branch of Releases publishes \
                     what nobody landed, or history was rewritten before the first look. Compare the two",
                    open.branch.strip_prefix("refs/heads/").unwrap_or(&open.branch)
                );
                let branch = format!("ddb/releases/{}", release.codename);
                findings.alarm(FindingKind::BaseNotInHistory, &branch, name(&base), text);
            }
        }
    }
    Ok(())
}

/// Returns the commits that a person said to be the archive's. Commits on branches of Releases lead to whatever was staged there, and
/// vouch for nothing.
fn vouched(open: &OpenArchive, state: &State) -> Result<Vec<Oid>, GitError> {
    let mut known = Vec::new();
    for commit in state.vouched.iter().filter_map(|commit| commit.parse::<Oid>().ok()) {
        if open.repository.has_commit(commit) && open.repository.snapshot(commit)?.oid_of("ddb.toml")?.is_some() {
            known.push(commit);
        }
    }
    Ok(known)
}

fn of_contents(open: &OpenArchive, release: &KnownRelease) -> Result<Option<String>, String> {
    let file = open.repository.snapshot(release.commit).and_then(|snapshot| snapshot.file("fold.json"));
    let Some(bytes) = file.map_err(|fault| fault.to_string())? else { return Ok(None) };
    let recorded: Recorded = serde_json::from_slice(&bytes).map_err(|fault| fault.to_string())?;
    Ok(recorded.contents.map(|contents| contents.base))
}

/// Returns those of the commits to which none of the roots leads.
fn missing(open: &OpenArchive, roots: &[Oid], mut wanted: BTreeSet<Oid>) -> Result<BTreeSet<Oid>, GitError> {
    if !wanted.is_empty() {
        open.repository.ancestors(roots, |commit| {
            wanted.remove(&commit);
            !wanted.is_empty()
        })?;
    }
    Ok(wanted)
}
