//! Which other sources offer a binary package that is new to its own source.
//!
//! A binary package belongs to the source that brought it first (as in dak's override table): of several records with one name apt
//! takes the highest version, so whoever may bring one source must not bring every name with it. A source keeps the names that it has.

use std::collections::{BTreeMap, BTreeSet};

use crate::formats::provenance::policy::Policy;
use crate::formats::suite::place::RecordPlace;
use crate::places::git::GitError;
use crate::places::git::read::Snapshot;
use crate::words::name::{Codename, PackageName, SourceName};

/// The other sources of names, by name and own source.
pub(super) type Others = BTreeMap<(PackageName, SourceName), BTreeSet<SourceName>>;

/// A suite in a commit.
pub(super) type At<'a> = (&'a Snapshot<'a>, &'a Codename);

/// Returns the other sources that offer what comes, in this suite or among what comes. Names that a source had in one of those of
/// before are not among them.
///
/// # Errors
/// A suite cannot be read.
pub(super) fn others(policy: &Policy, coming: &[&RecordPlace], there: At<'_>, before: &[At<'_>]) -> Result<Others, GitError> {
    let is_binary = |place: &RecordPlace| place.index.architecture().is_some();
    let minds = |place: &RecordPlace| {
        let mut projects = policy.projects_of(place.source.as_str());
        projects.any(|project| !project.settings().brings_all() && project.settings().packages.is_empty())
    };
    let pair = |place: &RecordPlace| (place.package.clone(), place.source.clone());
    let coming: Vec<&RecordPlace> = coming.iter().copied().filter(|place| is_binary(place)).collect();
    let mut new: BTreeSet<(PackageName, SourceName)> = coming.iter().filter(|place| minds(place)).map(|place| pair(place)).collect();
    if new.is_empty() {
        return Ok(Others::new());
    }
    let sources: BTreeSet<SourceName> = new.iter().map(|(_, source)| source.clone()).collect();
    for suite in before {
        for place in places(*suite, Some(&sources))?.iter().filter(|place| is_binary(place)) {
            new.remove(&pair(place));
        }
    }
    if new.is_empty() {
        return Ok(Others::new());
    }
    let names: BTreeSet<&PackageName> = new.iter().map(|(package, _)| package).collect();
    let mut offered: BTreeMap<PackageName, BTreeSet<SourceName>> = BTreeMap::new();
    let there = places(there, None)?;
    for place in there.iter().chain(coming).filter(|place| is_binary(place) && names.contains(&place.package)) {
        offered.entry(place.package.clone()).or_default().insert(place.source.clone());
    }
    let of = |(package, source): (PackageName, SourceName)| {
        let others = offered.get(&package).into_iter().flatten().filter(|other| **other != source).cloned().collect();
        ((package, source), others)
    };
    Ok(new.iter().cloned().map(of).collect())
}

/// Returns the places of the records of a suite, or of some of its sources. A path that is no record's offers nobody anything, and is
/// the fold's matter.
fn places((snapshot, codename): At<'_>, sources: Option<&BTreeSet<SourceName>>) -> Result<Vec<RecordPlace>, GitError> {
    let found = match sources {
        Some(sources) => snapshot.records_of(codename, sources),
        None => snapshot.records(codename),
    };
    match found {
        Err(GitError::Content { .. }) => {
            let files = snapshot.files_below(&format!("suites/{codename}"))?;
            let places = files.keys().filter_map(|path| path.parse::<RecordPlace>().ok());
            Ok(places.filter(|place| sources.is_none_or(|sources| sources.contains(&place.source))).collect())
        }
        found => Ok(found?.into_iter().map(|entry| entry.place).collect()),
    }
}

/// Returns the other sources of the package of a record.
pub(super) fn of<'o>(others: &'o Others, place: &RecordPlace) -> Option<&'o BTreeSet<SourceName>> {
    others.get(&(place.package.clone(), place.source.clone()))
}
