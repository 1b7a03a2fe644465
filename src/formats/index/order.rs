//! The order of paragraphs in an index, and how the order is read from their text.
//!
//! Debian sorts Packages by (source, package, version) and Sources by (source, version): names bytewise, versions as dpkg
//! orders them. Translation-en is sorted by (package, digest) here: Debian puts a package's first source before that, which
//! the text does not tell. Contents is sorted by path; its paragraphs are lines. The order depends on the paragraphs alone, so an index is the same whatever order they were found
//! in; and a part of an index can be brought up to date without the rest.

use serde::{Deserialize, Serialize};

use crate::formats::contents::table;
use crate::words::deb822::Paragraph;
use crate::words::name::SourceName;
use crate::words::version::Version;

/// What a paragraph is sorted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SortKey {
    /// The source package's name; in Translation-en the package's, in Contents the path.
    pub name: String,
    /// The binary package's name, the digest in Translation-en, and nothing in Sources and Contents.
    pub second: String,
    /// The version of that package; none in Translation-en and Contents.
    pub version: Option<Version>,
}

/// Which index a paragraph belongs to, as far as sorting is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Packages
    Packages,
    /// Sources
    Sources,
    /// Translation-en
    Translation,
    /// Contents
    Contents,
}

impl Kind {
    /// Splits a text into what blocks are cut between: its paragraphs, each with the empty line that ends it, or its lines.
    pub fn entries(self, text: &str) -> impl Iterator<Item = &str> {
        let (paragraphs, lines) = match self {
            Self::Contents => (None, Some(text.split_inclusive('\n'))),
            _ => (Some(paragraphs(text)), None),
        };
        paragraphs.into_iter().flatten().chain(lines.into_iter().flatten())
    }
}

impl SortKey {
    /// Reads the key of a paragraph that was rendered here; `None` where it is no such paragraph.
    pub fn of(kind: Kind, paragraph: &str) -> Option<Self> {
        if kind == Kind::Contents {
            return table::split_line(paragraph).map(|(path, _)| Self::of_path(path));
        }
        let field = |name: &str| {
            let line = paragraph.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(": ")))?;
            line.get(name.len() + 2..)
        };
        let package = field("Package")?;
        let version = || field("Version").and_then(|version| version.parse().ok());
        Some(match kind {
            Kind::Packages => {
                let head = paragraph.get(..paragraph.find("\nVersion: ")?)?;
                let source = head.lines().find_map(|line| line.strip_prefix("Source: "));
                let source = source.map_or(package, |source| source.split([' ', '(']).next().unwrap_or(source));
                let version = paragraph.get(head.len() + 10..)?.lines().next()?.parse().ok()?;
                Self { name: source.to_owned(), second: package.to_owned(), version: Some(version) }
            }
            Kind::Sources => Self { name: package.to_owned(), second: String::new(), version: Some(version()?) },
            Kind::Translation => Self { name: package.to_owned(), second: field("Description-md5")?.to_owned(), version: None },
            Kind::Contents => return None,
        })
    }

    /// Returns the key of the line of Contents with this path.
    pub fn of_path(path: &str) -> Self {
        Self { name: path.to_owned(), second: String::new(), version: None }
    }
}

/// Returns the name of the source of a binary package's paragraph or record.
pub fn source_of(paragraph: &Paragraph<'_>) -> Option<SourceName> {
    let source = paragraph.get("Source").or_else(|| paragraph.get("Package"))?;
    source.split([' ', '(']).next()?.parse().ok()
}

/// Splits a text into its paragraphs, each with the empty line that ends it.
pub fn paragraphs(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memmem::find(rest.as_bytes(), b"\n\n").map_or(rest.len(), |at| at + 2);
        let (paragraph, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(paragraph)
    })
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

    fn key(name: &str, second: &str, version: &str) -> SortKey {
        SortKey { name: name.to_owned(), second: second.to_owned(), version: version.parse().ok() }
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
    fn the_key_is_read_from_the_text() {
        let check = |kind, text: &str, expected: Option<SortKey>| assert_eq!(SortKey::of(kind, text), expected, "{text}");
        check(Kind::Packages, "Package: foo\nVersion: 1:2-3\nSource: no\n\n", Some(key("foo", "foo", "1:2-3")));
        check(Kind::Packages, "Package: foo\nSource: bar (1-1)\nVersion: 2\nDescription: x\n\n", Some(key("bar", "foo", "2")));
        check(Kind::Packages, "Package: foo\nSource: bar\nVersion: 2\n", Some(key("bar", "foo", "2")));
        check(Kind::Packages, "Package: foo\n\n", None);
        check(Kind::Sources, "Package: foo\nBinary: a,\n b\nVersion: 2\n\n", Some(key("foo", "", "2")));
        check(Kind::Translation, "Package: foo\nDescription-md5: 00\nDescription-en: x\n\n", Some(key("foo", "00", "")));
        check(Kind::Translation, "Package: foo\n\n", None);
    }

    #[test]
    fn an_index_ends_in_an_empty_line_or_is_empty() {
        assert_eq!(join::<u8>(vec![]), "");
        let text = join(vec![(2, "Package: b\n".to_owned()), (1, "Package: a\n".to_owned())]);
        assert_eq!(text, "Package: a\n\nPackage: b\n\n");
        assert_eq!(paragraphs(&text).collect::<Vec<_>>(), ["Package: a\n\n", "Package: b\n\n"]);
        assert_eq!(paragraphs("").count(), 0);
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
