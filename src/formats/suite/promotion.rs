//! Promotion of a source from one suite to another: whether what comes is older than what is there, as a pure function of both.
//!
//! Builds are compared index by index, by source version and rebuild number, as a deploy compares them; and the newest source
//! version as a whole, for an architecture that only one of the suites has.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::place::{IndexName, RecordPlace};
use crate::formats::statement::replay::{BuildName, build_name};
use crate::words::version::Version;

/// The records of one source in one suite.
pub type OfSource = BTreeMap<RecordPlace, String>;

/// Returns the newest source version among the records of a source, `None` where there are none.
pub fn newest_version(records: &OfSource) -> Option<Version> {
    newest(records.iter()).map(|name| name.source_version)
}

/// Says in which indices what is there is newer than what comes; nothing where it may come.
pub fn newer_there(coming: &OfSource, there: &OfSource) -> Vec<String> {
    let (coming_by_index, there_by_index) = (by_index(coming), by_index(there));
    let mut notes = Vec::new();
    for (index, own) in &there_by_index {
        if coming_by_index.get(index).is_some_and(|coming| coming.compare(own) == Ordering::Less) {
            notes.push(format!("{index}: the suite already offers {}, which is newer", described(there, index)));
        }
    }
    let whole = newest(coming.iter()).zip(newest(there.iter()));
    if let (true, Some((coming, own))) = (notes.is_empty(), whole)
        && coming.source_version < own.source_version
    {
        notes.push(format!("the suite already offers source version {}, which is newer", own.source_version));
    }
    notes
}

fn newest<'a>(records: impl Iterator<Item = (&'a RecordPlace, &'a String)>) -> Option<BuildName> {
    records.map(|(place, text)| build_name(place, text)).max_by(BuildName::compare)
}

fn by_index(records: &OfSource) -> BTreeMap<&IndexName, BuildName> {
    let mut indices = BTreeMap::new();
    for place in records.keys() {
        indices.entry(&place.index).or_insert(());
    }
    indices.into_keys().filter_map(|index| Some((index, newest(records.iter().filter(|(place, _)| place.index == *index))?))).collect()
}

/// Names the newest package that a suite offers of the source in an index.
fn described(records: &OfSource, index: &IndexName) -> String {
    let of_index = records.iter().filter(|(place, _)| place.index == *index);
    let newest = of_index.max_by(|one, other| build_name(one.0, one.1).compare(&build_name(other.0, other.1)));
    newest.map(|(place, _)| format!("{} {}", place.package, place.version)).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn records(of: &[(&str, &str, &str)]) -> OfSource {
        let record = |(index, version, source): &(&str, &str, &str)| {
            let place: RecordPlace = format!("suites/sid/main/{index}/f/foo/foo_{version}").parse().unwrap();
            let text = match *source {
                "" => format!("Package: foo\nVersion: {version}\n"),
                source => format!("Package: foo\nSource: foo ({source})\nVersion: {version}\n"),
            };
            (place, text)
        };
        of.iter().map(record).collect()
    }

    #[test]
    fn what_is_newer_there_is_said_for_each_index() {
        let old = records(&[("binary-amd64", "1", ""), ("binary-arm64", "1", ""), ("source", "1", "")]);
        let new = records(&[("binary-amd64", "2", ""), ("source", "2", "")]);
        assert_eq!(newer_there(&new, &old), Vec::<String>::new());
        assert_eq!(newer_there(&old, &old), Vec::<String>::new());
        let notes = newer_there(&old, &new);
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes.iter().any(|note| note.contains("binary-amd64") && note.contains("foo 2")), "{notes:?}");
        assert_eq!(newest_version(&new).unwrap().as_str(), "2");
        assert_eq!(newest_version(&OfSource::new()), None);
    }

    #[test]
    fn a_rebuild_is_newer_than_what_it_rebuilds_and_older_than_the_next_source_version() {
        let first = records(&[("binary-amd64", "1", "")]);
        let rebuilt = records(&[("binary-amd64", "1+b1", "1")]);
        let next = records(&[("binary-amd64", "1.1", "")]);
        assert_eq!(newer_there(&first, &rebuilt).len(), 1);
        assert_eq!(newer_there(&rebuilt, &first).len(), 0);
        assert_eq!(newer_there(&next, &rebuilt).len(), 0);
        assert_eq!(newer_there(&rebuilt, &next).len(), 1);
    }

    #[test]
    fn an_architecture_that_only_one_suite_has_counts_by_its_source_version() {
        let amd64 = records(&[("binary-amd64", "1", "")]);
        let arm64 = records(&[("binary-arm64", "2", "")]);
        assert_eq!(newer_there(&amd64, &arm64).len(), 1);
        assert_eq!(newer_there(&arm64, &amd64).len(), 0);
        assert_eq!(newer_there(&amd64, &OfSource::new()).len(), 0);
    }
}
