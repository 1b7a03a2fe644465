//! Which indices a suite has: those that its Release promises, so that apt finds every one of them, empty or not.

use std::collections::BTreeSet;
use std::fmt;

use crate::formats::index::order::Kind;
use crate::formats::suite::place::IndexName;
use crate::words::archive::{Descriptions, Suite};
use crate::words::name::{Architecture, Component};

/// One index of a suite.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Index {
    /// The component.
    pub component: Component,
    /// What it lists.
    pub kind: IndexKind,
}

/// What an index lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum IndexKind {
    /// Sources, or Packages of an architecture.
    Records(IndexName),
    /// The long descriptions of Packages.
    TranslationEn,
    /// The files of the packages that the Packages of this folder lists.
    Contents(IndexName),
}

impl Index {
    /// Returns the plain index's path relative to Release, such as `main/binary-amd64/Packages`.
    pub fn path(&self) -> String {
        self.to_string()
    }

    /// Returns what its paragraphs are sorted by.
    pub fn sort_kind(&self) -> Kind {
        match &self.kind {
            IndexKind::Records(IndexName::Source) => Kind::Sources,
            IndexKind::Records(_) => Kind::Packages,
            IndexKind::TranslationEn => Kind::Translation,
            IndexKind::Contents(_) => Kind::Contents,
        }
    }

    /// Returns the path of the Release beside it, relative to the suite's, and the architecture that it names.
    pub fn folder_release(&self) -> Option<(String, String)> {
        let IndexKind::Records(name) = &self.kind else { return None };
        let architecture = name.architecture().map_or("source", Architecture::as_str).to_owned();
        Some((format!("{}/{name}/Release", self.component), architecture))
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { component, kind } = self;
        match kind {
            IndexKind::Records(IndexName::Source) => write!(f, "{component}/source/Sources"),
            IndexKind::Records(name) => write!(f, "{component}/{name}/Packages"),
            IndexKind::TranslationEn => write!(f, "{component}/i18n/Translation-en"),
            IndexKind::Contents(name) => {
                let udeb = if matches!(name, IndexName::Installer(_)) { "udeb-" } else { "" };
                write!(f, "{component}/Contents-{udeb}{}", name.architecture().map_or("source", Architecture::as_str))
            }
        }
    }
}

/// Returns the indices that a suite has, sorted; `installer` names the components that have packages of the installer.
///
/// Those components have installer indices for every architecture of the suite.
pub fn expected_indices(suite: &Suite, installer: &BTreeSet<Component>) -> Vec<Index> {
    let mut indices = Vec::new();
    for component in &suite.components {
        let mut add = |kind| indices.push(Index { component: component.clone(), kind });
        add(IndexKind::Records(IndexName::Source));
        for architecture in &suite.architectures {
            add(IndexKind::Records(IndexName::Binary(architecture.clone())));
            if installer.contains(component) {
                add(IndexKind::Records(IndexName::Installer(architecture.clone())));
            }
        }
        if suite.descriptions == Descriptions::Short {
            add(IndexKind::TranslationEn);
        }
    }
    indices.sort();
    indices
}

/// Returns the Contents that a suite has, sorted: one for each Packages. Sources have none here.
///
/// With an architecture `all` of its own, a suite has Contents-all, and Contents of the others leave out what that has, as in
/// Debian: apt fetches both, since `No-Support-for-Architecture-all` speaks of Packages alone.
pub fn expected_contents(suite: &Suite, installer: &BTreeSet<Component>) -> Vec<Index> {
    if !suite.contents {
        return Vec::new();
    }
    let of = |index: Index| match index.kind {
        IndexKind::Records(IndexName::Source) => None,
        IndexKind::Records(name) => Some(Index { component: index.component, kind: IndexKind::Contents(name) }),
        _ => None,
    };
    expected_indices(suite, installer).into_iter().filter_map(of).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::words::archive::Archive;

    fn paths(more: &str, installer: &[&str]) -> Vec<String> {
        let text = format!("[suites.trixie]\narchitectures = [\"amd64\", \"all\"]\ncomponents = [\"main\", \"contrib\"]\n{more}");
        let archive = Archive::parse(&text).unwrap();
        let installer = installer.iter().map(|name| name.parse().unwrap()).collect();
        expected_indices(&archive.suites.values().next().unwrap().clone(), &installer).iter().map(Index::path).collect()
    }

    #[test]
    fn every_component_and_architecture_has_its_index() {
        assert_eq!(
            paths("", &["main"]),
            [
                "contrib/source/Sources",
                "contrib/binary-all/Packages",
                "contrib/binary-amd64/Packages",
                "contrib/i18n/Translation-en",
                "main/source/Sources",
                "main/binary-all/Packages",
                "main/binary-amd64/Packages",
                "main/debian-installer/binary-all/Packages",
                "main/debian-installer/binary-amd64/Packages",
                "main/i18n/Translation-en",
            ]
        );
    }

    #[test]
    fn every_packages_has_its_contents_where_the_suite_wants_them() {
        let contents = |more: &str| -> Vec<String> {
            let text = format!("[suites.trixie]\narchitectures = [\"amd64\", \"all\"]\n{more}");
            let archive = Archive::parse(&text).unwrap();
            let installer = BTreeSet::from([Component::main()]);
            expected_contents(archive.suites.values().next().unwrap(), &installer).iter().map(Index::path).collect()
        };
        let expected = ["main/Contents-all", "main/Contents-amd64", "main/Contents-udeb-all", "main/Contents-udeb-amd64"];
        assert_eq!(contents("contents = true\n"), expected);
        assert!(contents("").is_empty());
    }

    #[test]
    fn long_descriptions_need_no_translation() {
        assert!(!paths("descriptions = \"long\"\n", &[]).iter().any(|path| path.contains("i18n")));
    }

    #[test]
    fn each_folder_of_records_has_a_release() {
        let index = |kind| Index { component: Component::main(), kind };
        let installer = index(IndexKind::Records(IndexName::Installer(Architecture::all())));
        assert_eq!(installer.folder_release(), Some(("main/debian-installer/binary-all/Release".to_owned(), "all".to_owned())));
        let sources = index(IndexKind::Records(IndexName::Source));
        assert_eq!(sources.folder_release(), Some(("main/source/Release".to_owned(), "source".to_owned())));
        assert_eq!(index(IndexKind::TranslationEn).folder_release(), None);
    }
}
