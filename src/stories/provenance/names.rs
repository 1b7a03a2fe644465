//! Which other sources offer a binary package that is new to its own source.
//!
//! A binary package belongs to the source that brought it first (as in dak's override table): of several records with one name apt
//! takes the highest version, so whoever may bring one source must not bring every name with it. A source keeps the names that it has.

use std::collections::btree_map::Entry;
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

/// The binary packages that suites offer, by name: each suite is read once, where somebody asks for it, and brought up to date by what
/// changes. Many statements that land one after another would read it as often otherwise.
#[derive(Debug, Default)]
pub struct Offered(BTreeMap<Codename, BTreeMap<PackageName, BTreeSet<RecordPlace>>>);

impl Offered {
    /// Brings up to date by files that change: each is there, or is not, afterwards.
    pub fn apply<'p>(&mut self, changed: impl Iterator<Item = (&'p str, bool)>) {
        if self.0.is_empty() {
            return;
        }
        for (place, is_there) in changed.filter_map(|(path, is_there)| Some((path.parse::<RecordPlace>().ok()?, is_there))) {
            let Some(suite) = self.0.get_mut(&place.codename).filter(|_| is_binary(&place)) else { continue };
            let same = suite.entry(place.package.clone()).or_default();
            if is_there {
                same.insert(place);
            } else {
                same.remove(&place);
            }
        }
    }

    /// Returns what a suite offers: as it is in this commit, where it was not read before.
    fn of(&mut self, (snapshot, codename): At<'_>) -> Result<&BTreeMap<PackageName, BTreeSet<RecordPlace>>, GitError> {
        match self.0.entry(codename.clone()) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => {
                let mut suite: BTreeMap<PackageName, BTreeSet<RecordPlace>> = BTreeMap::new();
                for place in places((snapshot, codename), None)?.into_iter().filter(is_binary) {
                    suite.entry(place.package.clone()).or_default().insert(place);
                }
                Ok(unknown.insert(suite))
            }
        }
    }
}

fn is_binary(place: &RecordPlace) -> bool {
    place.index.architecture().is_some()
}

/// Returns the other sources that offer what comes, in this suite or among what comes. Names that a source had in one of those of
/// before are not among them. `offered` has what the suite offers, if that was asked before.
///
/// # Errors
/// A suite cannot be read.
pub(super) fn others(
    policy: &Policy,
    coming: &[&RecordPlace],
    there: At<'_>,
    before: &[At<'_>],
    offered: &mut Offered,
) -> Result<Others, GitError> {
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
    let mut comes: BTreeMap<&PackageName, Vec<&RecordPlace>> = BTreeMap::new();
    coming.iter().for_each(|place| comes.entry(&place.package).or_default().push(place));
    let there = offered.of(there)?;
    let of = |(package, source): (PackageName, SourceName)| {
        let there = there.get(&package).into_iter().flatten();
        let same = there.chain(comes.get(&package).into_iter().flatten().copied()).map(|place| &place.source);
        let others = same.filter(|other| **other != source).cloned().collect();
        ((package, source), others)
    };
    Ok(new.into_iter().map(of).collect())
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::places::git::land::Edits;
    use crate::places::git::{Author, Repository};

    #[test]
    fn a_suite_is_read_once_and_kept_as_commits_change_it() {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::open_or_init(folder.path(), true).unwrap();
        let author = Author { name: "Test".to_owned(), email: "test@example.org".to_owned(), time: 1_800_000_000 };
        let path = |package: &str, source: &str| format!("suites/trixie/main/binary-amd64/{}/{source}/{package}_1", &source[..1]);
        let commit =
            |parents: &[crate::places::git::Oid], edits: &Edits| repository.commit_for(parents, edits, "Test", &author, &author).unwrap();
        let there = |package: &str, source: &str| (path(package, source), Some(b"record".to_vec()));
        let empty = commit(&[], &Edits::from([("notes".to_owned(), Some(b"nothing".to_vec()))]));
        let source = ("suites/trixie/main/source/h/hello/hello_1".to_owned(), Some(b"record".to_vec()));
        let first = commit(&[empty], &Edits::from([there("hello", "hello"), there("libfoo", "foo"), source]));
        let edits = Edits::from([there("libbar", "foo"), there("libfoo", "hello"), (path("libfoo", "foo"), None)]);
        let second = commit(&[first], &edits);
        let trixie: Codename = "trixie".parse().unwrap();
        let read = |offered: &mut Offered, at| offered.of((&repository.snapshot(at).unwrap(), &trixie)).unwrap().clone();
        let mut offered = Offered::default();
        let before = read(&mut offered, first);
        assert_eq!(before.keys().map(PackageName::as_str).collect::<Vec<_>>(), ["hello", "libfoo"]);
        // Were it read again, it would be that of another commit.
        assert_eq!(read(&mut offered, empty), before);
        offered.apply(edits.iter().map(|(path, content)| (path.as_str(), content.is_some())));
        assert_eq!(read(&mut offered, empty), read(&mut Offered::default(), second));
        // Of a suite that nobody asked for nothing is kept: it is read when somebody does.
        let mut none = Offered::default();
        none.apply(edits.iter().map(|(path, content)| (path.as_str(), content.is_some())));
        assert_eq!(read(&mut none, second), read(&mut Offered::default(), second));
    }
}
