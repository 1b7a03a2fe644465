//! The served Releases of a suite, newest first, and those that clients may still be in the middle of.

use serde::Deserialize;

use super::snapshot::Histories;
use super::{Edition, ServedError};
use crate::places::git::{Oid, Repository};
use crate::stories::publish::stage::{Inputs, Served, StageError};
use crate::words::archive::Suite;
use crate::words::date::Timestamp;
use crate::words::name::Codename;

/// What the names of the branches of Releases begin with.
pub const BRANCHES: &str = "refs/heads/ddb/releases/";

/// Returns every served Release of every suite.
///
/// # Errors
/// A branch is not as ddb leaves it.
pub fn all(repository: &Repository) -> Result<Histories, ServedError> {
    let mut histories = Histories::new();
    for (name, tip) in repository.references(BRANCHES)? {
        let Some(codename) = name.strip_prefix(BRANCHES).and_then(|name| name.parse::<Codename>().ok()) else { continue };
        let editions = served(repository, &codename, tip, &[])?;
        if !editions.is_empty() {
            histories.insert(codename, editions);
        }
    }
    Ok(histories)
}

/// Returns every served Release from this commit of the branch back, newest first. Where the commit of one that is known
/// already comes, the rest is taken from there.
///
/// # Errors
/// The branch is not as ddb leaves it.
pub fn served(repository: &Repository, codename: &Codename, tip: Oid, known: &[Edition]) -> Result<Vec<Edition>, ServedError> {
    let mut editions = Vec::new();
    let mut next = Some(tip);
    while let Some(commit) = next {
        if let Some(at) = known.iter().position(|edition| edition.commit == commit) {
            editions.extend(known.iter().skip(at).cloned());
            break;
        }
        let snapshot = repository.snapshot(commit)?;
        let Some(inputs) = snapshot.file("inputs.json")? else { break };
        if let Some(served) = snapshot.file("served.json")? {
            let inputs: Inputs = json("inputs.json", &inputs, codename, commit)?;
            let served: Served = json("served.json", &served, codename, commit)?;
            let base = inputs.base.parse().map_err(|_| wrong("inputs.json", codename, commit, "its base is no commit".to_owned()))?;
            // A commit that only changes something beside Release is about the same one: the newer counts.
            let again = editions.last().is_some_and(|newer: &Edition| newer.sequence == inputs.sequence);
            let codename = codename.clone();
            editions.extend((!again).then_some(Edition {
                codename,
                commit,
                base,
                sequence: inputs.sequence,
                date: inputs.date,
                at: served.at,
            }));
        }
        next = repository.parent(commit)?;
    }
    Ok(editions)
}

fn json<T: for<'a> Deserialize<'a>>(path: &'static str, bytes: &[u8], codename: &Codename, commit: Oid) -> Result<T, ServedError> {
    serde_json::from_slice(bytes).map_err(|fault| wrong(path, codename, commit, fault.to_string()))
}

fn wrong(path: &'static str, codename: &Codename, commit: Oid, fault: String) -> ServedError {
    ServedError::Stage(StageError::Content { path, commit, branch: format!("{BRANCHES}{codename}"), fault })
}

/// Returns how many of these Releases, newest first, clients may still be in the middle of: as many as by-hash files are kept
/// of (`keep-generations`, and `keep-for` after they were replaced).
pub fn kept(editions: &[Edition], suite: Option<&Suite>, now: Timestamp) -> usize {
    let Some(suite) = suite else { return editions.len().min(1) };
    let generations = usize::try_from(suite.keep_generations).unwrap_or(usize::MAX).max(1);
    let limit = now.minus(suite.keep_for);
    let replaced_lately = editions.windows(2).take_while(|pair| pair.first().is_some_and(|newer| newer.at > limit)).count() + 1;
    generations.max(replaced_lately).min(editions.len())
}
