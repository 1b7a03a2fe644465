//! Which records an index lists: Debian's domination, and arch:all packages per architecture.
//!
//! Two sources may offer one package name (a binary that moved): in each index the source with the highest version wins, and
//! the other's are left out and reported. Several versions by one source are all listed. An arch:all package is listed for an
//! architecture whose binaries of its source have the same source version, so that an architecture that lags behind keeps the
//! old arch:all with its old binaries; where its source has no binary of that architecture, the highest version is listed
//! (dak, `generate_packages_sources2.py`). Packages of the installer follow the same rules among themselves.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::formats::suite::place::{IndexName, RecordPlace};
use crate::words::archive::Suite;
use crate::words::name::{Architecture, Component, PackageName, SourceName};
use crate::words::version::Version;

/// What one record offers to a suite, as far as choosing needs to know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offer {
    /// The component.
    pub component: Component,
    /// The index that the record lies in; `binary-all` for arch:all packages.
    pub index: IndexName,
    /// The source package.
    pub source: SourceName,
    /// The version of the source package, which a binary rebuild does not change.
    pub source_version: Version,
    /// The package.
    pub package: PackageName,
    /// Its version.
    pub version: Version,
}

impl Offer {
    /// Returns the offer of the record at this place; the source version of a binary is in its `Source` field.
    pub fn at(place: &RecordPlace, source_version: Version) -> Self {
        Self {
            component: place.component.clone(),
            index: place.index.clone(),
            source: place.source.clone(),
            source_version,
            package: place.package.clone(),
            version: place.version.clone(),
        }
    }
}

/// A record that an index leaves out because another source offers a higher version of that package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dominated {
    /// The index that it is left out of.
    pub index: IndexName,
    /// The record, as its position among the offers.
    pub offer: usize,
    /// The highest record of the source that won, likewise.
    pub winner: usize,
}

/// What each index of a suite lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Positions among the offers, ascending, by component and index; an index without any is missing.
    pub listed: BTreeMap<(Component, IndexName), Vec<usize>>,
    /// Records left out for another source's, sorted.
    pub dominated: Vec<Dominated>,
    /// Records of architectures or components that the suite has not: no index lists them, and they dominate nothing.
    pub outside: Vec<usize>,
}

/// Returns what the indices of a suite list; of its configuration only components and architectures count.
///
/// The choice depends on the set of offers, not on their order. Of two sources that offer the same version of a package the
/// one with the higher source version wins, then the one whose name comes first.
pub fn select(offers: &[&Offer], suite: &Suite) -> Selection {
    let mut selection = Selection::default();
    let mut kinds: [Vec<(usize, &Offer, &Architecture)>; 2] = [Vec::new(), Vec::new()];
    for (at, offer) in offers.iter().copied().enumerate() {
        let [binaries, installers] = &mut kinds;
        match &offer.index {
            _ if !has(suite, offer) => selection.outside.push(at),
            IndexName::Source => selection.list(offer, IndexName::Source, at),
            IndexName::Binary(architecture) => binaries.push((at, offer, architecture)),
            IndexName::Installer(architecture) => installers.push((at, offer, architecture)),
        }
    }
    for (kind, index) in kinds.iter().zip([IndexName::Binary, IndexName::Installer]) {
        for architecture in &suite.architectures {
            let candidates = candidates(kind, architecture);
            selection.dominate(&candidates, &index(architecture.clone()));
        }
    }
    selection.listed.values_mut().for_each(|listed| listed.sort_unstable());
    selection.dominated.sort_unstable();
    selection
}

/// Tells whether a suite has the component and architecture of an offer; arch:all belongs to all architectures.
fn has(suite: &Suite, offer: &Offer) -> bool {
    let known = |architecture: &Architecture| architecture.is_all() || suite.architectures.contains(architecture);
    suite.components.contains(&offer.component) && offer.index.architecture().is_none_or(known)
}

type Candidate<'a> = (usize, &'a Offer);

/// The records that an index of this architecture could list: its own, and the arch:all ones that fit.
fn candidates<'a>(kind: &[(usize, &'a Offer, &'a Architecture)], architecture: &Architecture) -> Vec<Candidate<'a>> {
    let mut own: Vec<Candidate<'a>> = kind.iter().filter(|(_, _, of)| *of == architecture).map(|(at, offer, _)| (*at, *offer)).collect();
    if architecture.is_all() {
        return own;
    }
    let mut built: BTreeMap<&SourceName, BTreeSet<&Version>> = BTreeMap::new();
    for (_, offer) in &own {
        built.entry(&offer.source).or_default().insert(&offer.source_version);
    }
    let mut highest: BTreeMap<(&SourceName, &PackageName), Candidate<'a>> = BTreeMap::new();
    for (at, offer, _) in kind.iter().filter(|(_, _, of)| of.is_all()) {
        match built.get(&offer.source) {
            Some(versions) if versions.contains(&offer.source_version) => own.push((*at, *offer)),
            Some(_) => {}
            None => {
                let kept = highest.entry((&offer.source, &offer.package)).or_insert((*at, *offer));
                if precedence(offer) > precedence(kept.1) {
                    *kept = (*at, *offer);
                }
            }
        }
    }
    own.extend(highest.into_values());
    own
}

impl Selection {
    fn list(&mut self, offer: &Offer, index: IndexName, at: usize) {
        self.listed.entry((offer.component.clone(), index)).or_default().push(at);
    }

    /// Lists, of each package, the records of the source that offers the highest version.
    fn dominate(&mut self, candidates: &[Candidate<'_>], index: &IndexName) {
        let mut winners: BTreeMap<&PackageName, Candidate<'_>> = BTreeMap::new();
        for (at, offer) in candidates {
            let winner = winners.entry(&offer.package).or_insert((*at, *offer));
            if precedence(offer) > precedence(winner.1) {
                *winner = (*at, *offer);
            }
        }
        for (at, offer) in candidates {
            match winners.get(&offer.package) {
                Some((winner, best)) if best.source != offer.source => {
                    self.dominated.push(Dominated { index: index.clone(), offer: *at, winner: *winner });
                }
                _ => self.list(offer, index.clone(), *at),
            }
        }
    }
}

fn precedence(offer: &Offer) -> impl Ord + '_ {
    // The whole offer last, so that the order is total and the choice does not depend on the order of the offers.
    (&offer.version, &offer.source_version, Reverse((&offer.source, offer)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::words::archive::Archive;
    use proptest::prelude::*;

    /// `main/binary-amd64 source source-version package version`
    fn offer(text: &str) -> Offer {
        let words: Vec<&str> = text.split(' ').collect();
        let (component, index) = words[0].split_once('/').unwrap();
        Offer {
            component: component.parse().unwrap(),
            index: IndexName::from_folder(index).unwrap(),
            source: words[1].parse().unwrap(),
            source_version: words[2].parse().unwrap(),
            package: words[3].parse().unwrap(),
            version: words[4].parse().unwrap(),
        }
    }

    fn suite() -> Suite {
        let text = "[suites.x]\ncomponents = [\"main\", \"contrib\"]\narchitectures = [\"amd64\", \"arm64\", \"all\"]\n";
        Archive::parse(text).unwrap().suites.into_values().next().unwrap()
    }

    /// Expected lines: `main/binary-amd64: package version, …`
    fn check(offers: &[&str], expected: &[&str]) -> Selection {
        let offers: Vec<Offer> = offers.iter().map(|text| offer(text)).collect();
        let selection = select(&offers.iter().collect::<Vec<_>>(), &suite());
        let lines: Vec<String> = selection
            .listed
            .iter()
            .map(|((component, index), listed)| {
                let names: Vec<String> = listed.iter().map(|at| format!("{} {}", offers[*at].package, offers[*at].version)).collect();
                format!("{component}/{index}: {}", names.join(", "))
            })
            .collect();
        assert_eq!(lines, expected);
        selection
    }

    #[test]
    fn several_versions_of_one_source_are_all_listed() {
        check(
            &["main/source foo 1 foo 1", "main/source foo 2 foo 2", "main/binary-amd64 foo 1 foo 1", "main/binary-amd64 foo 2 foo 2+b1"],
            &["main/source: foo 1, foo 2", "main/binary-amd64: foo 1, foo 2+b1"],
        );
    }

    #[test]
    fn a_package_that_moved_is_listed_from_the_source_with_the_higher_version() {
        let selection = check(
            &["main/binary-amd64 old 1 foo 1.9", "main/binary-amd64 new 5 foo 1.10", "contrib/binary-arm64 old 1 foo 1.9"],
            &["contrib/binary-arm64: foo 1.9", "main/binary-amd64: foo 1.10"],
        );
        let index = IndexName::from_folder("binary-amd64").unwrap();
        assert_eq!(selection.dominated, [Dominated { index, offer: 0, winner: 1 }]);
    }

    #[test]
    fn domination_crosses_components_and_counts_arch_all_with_each_architecture() {
        let selection = check(
            &["main/binary-amd64 old 1 foo 1", "contrib/binary-all new 2 foo 2", "main/binary-arm64 third 3 foo 3"],
            &["contrib/binary-all: foo 2", "contrib/binary-amd64: foo 2", "main/binary-arm64: foo 3"],
        );
        assert_eq!(selection.dominated.len(), 2);
    }

    #[test]
    fn an_architecture_that_lags_keeps_the_arch_all_packages_of_its_version() {
        check(
            &[
                "main/binary-amd64 foo 2 foo 2",
                "main/binary-arm64 foo 1 foo 1+b1",
                "main/binary-all foo 1 foo-data 1",
                "main/binary-all foo 2 foo-data 2",
                "main/binary-all foo 2 foo-new 2",
            ],
            &[
                "main/binary-all: foo-data 1, foo-data 2, foo-new 2",
                "main/binary-amd64: foo 2, foo-data 2, foo-new 2",
                "main/binary-arm64: foo 1+b1, foo-data 1",
            ],
        );
    }

    #[test]
    fn where_a_source_has_no_binary_of_an_architecture_the_highest_arch_all_is_listed() {
        check(
            &["main/binary-amd64 foo 1 foo 1", "main/binary-all foo 1 foo-data 1", "main/binary-all foo 2 foo-data 2"],
            &["main/binary-all: foo-data 1, foo-data 2", "main/binary-amd64: foo 1, foo-data 1", "main/binary-arm64: foo-data 2"],
        );
    }

    #[test]
    fn installer_packages_stand_apart() {
        check(
            &[
                "main/debian-installer/binary-amd64 foo 1 foo-udeb 1",
                "main/debian-installer/binary-all bar 2 foo-udeb 0",
                "main/binary-all bar 2 foo-udeb 2",
            ],
            &[
                "main/binary-all: foo-udeb 2",
                "main/binary-amd64: foo-udeb 2",
                "main/binary-arm64: foo-udeb 2",
                "main/debian-installer/binary-all: foo-udeb 0",
                "main/debian-installer/binary-amd64: foo-udeb 1",
                "main/debian-installer/binary-arm64: foo-udeb 0",
            ],
        );
    }

    #[test]
    fn records_of_other_architectures_and_components_are_told_and_dominate_nothing() {
        let offers = [
            "main/binary-riscv64 foo 1 foo 1",
            "non-free/binary-all other 9 foo 9",
            "non-free/source other 9 other 9",
            "main/binary-amd64 foo 1 foo 1",
        ];
        let selection = check(&offers, &["main/binary-amd64: foo 1"]);
        assert_eq!((selection.outside, selection.dominated), (vec![0, 1, 2], vec![]));
    }

    proptest! {
        #[test]
        fn the_order_of_offers_does_not_matter(
            texts in proptest::collection::btree_set("main/binary-(amd64|arm64|all) (s1|s2) [12] (p1|p2) [12]", 1..12), turn in 0usize..12,
        ) {
            let mut offers: Vec<Offer> = texts.iter().map(|text| offer(text)).collect();
            let named = |offers: &[Offer]| -> Vec<_> {
                let selection = select(&offers.iter().collect::<Vec<_>>(), &suite());
                selection.listed.into_iter().map(|(index, listed)| {
                    let mut listed: Vec<Offer> = listed.into_iter().map(|at| offers[at].clone()).collect();
                    listed.sort();
                    (index, listed)
                }).collect()
            };
            let before = named(&offers);
            let turn = turn % offers.len();
            offers.rotate_left(turn);
            prop_assert_eq!(before, named(&offers));
        }
    }
}
