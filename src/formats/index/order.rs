//! The order of paragraphs in an index, and the text they make together.
//!
//! Debian sorts Packages by (source, package, version) and Sources by (source, version): names bytewise, versions as dpkg
//! orders them. The order depends on the paragraphs alone, so an index is the same whatever order they were found in.

use crate::words::name::{PackageName, SourceName};
use crate::words::version::Version;

/// What a paragraph of Packages or Sources is sorted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortKey {
    /// The source package's name.
    pub source: SourceName,
    /// The binary package's name; in Sources the source's again.
    pub package: PackageName,
    /// The version of that package.
    pub version: Version,
}

/// Sorts paragraphs by key and joins them: an empty line follows each, so that the text ends in `"\n\n"`, or is empty.
///
/// Paragraphs of equal keys are sorted by their text.
pub fn join<K: Ord>(mut paragraphs: Vec<(K, String)>) -> String {
    paragraphs.sort_unstable();
    let mut text = String::with_capacity(paragraphs.iter().map(|(_, paragraph)| paragraph.len() + 1).sum());
    for (_, paragraph) in &paragraphs {
        text.push_str(paragraph);
        text.push('\n');
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(source: &str, package: &str, version: &str) -> SortKey {
        SortKey { source: source.parse().unwrap(), package: package.parse().unwrap(), version: version.parse().unwrap() }
    }

    #[test]
    fn sources_come_first_then_names_then_versions_as_dpkg_orders_them() {
        let ascending = [
            key("a-b", "zz", "1"),
            key("aa", "aa", "1"),
            key("aa", "aa-x", "1:0.1"),
            key("aa", "ab", "1.9"),
            key("aa", "ab", "1.10~rc1"),
            key("aa", "ab", "1.10"),
            key("liba", "liba", "1"),
            key("zz", "aa", "1"),
        ];
        assert!(ascending.is_sorted());
    }

    #[test]
    fn an_index_ends_in_an_empty_line_or_is_empty() {
        assert_eq!(join::<u8>(vec![]), "");
        assert_eq!(join(vec![(2, "Package: b\n".to_owned()), (1, "Package: a\n".to_owned())]), "Package: a\n\nPackage: b\n\n");
    }

    proptest! {
        #[test]
        fn the_order_of_input_does_not_matter(paragraphs in proptest::collection::vec((0u8..4, "[a-c]{1,3}\n"), 0..9), seed: u64) {
            let mut shuffled = paragraphs.clone();
            let mut state = seed;
            for at in (1..shuffled.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                shuffled.swap(at, usize::try_from(state >> 33).unwrap() % (at + 1));
            }
            prop_assert_eq!(join(paragraphs), join(shuffled));
        }
    }
}
