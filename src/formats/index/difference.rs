//! The first entry in which two texts of one index differ: for people who want to know what was changed.
//!
//! Both are read from their beginnings, entry by entry; they are expected in the order of `order`, and what differs is found in
//! any order. One of them may be foreign, so an entry that is no paragraph is a difference and no error.

use std::fmt;

use super::order::{Kind, SortKey};
use crate::formats::contents::table;
use crate::words::deb822::Paragraph;

/// The most letters of a value that are shown.
const SHOWN: usize = 120;

/// What differs first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// An entry that only the made text has.
    Unpublished {
        /// Which one: package or path, and version.
        entry: String,
    },
    /// An entry that only the published text has.
    Unmade {
        /// Which one: package or path, and version.
        entry: String,
    },
    /// An entry that both have, with another value of a field.
    Field {
        /// Which one: package or path, and version.
        entry: String,
        /// The field; `packages` in Contents.
        field: String,
        /// Its value in the made text, if any.
        made: Option<String>,
        /// Its value in the published text, if any.
        published: Option<String>,
    },
    /// An entry that differs otherwise: in the order or spelling of its fields, or because it cannot be read.
    Form {
        /// Which one: package or path, and version.
        entry: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: &Option<String>| value.as_deref().map_or("nothing".to_owned(), |value| format!("\"{}\"", shown(value)));
        match self {
            Self::Unpublished { entry } => write!(f, "{entry}: the commit gives it, and it is not published"),
            Self::Unmade { entry } => write!(f, "{entry}: it is published, and the commit does not give it"),
            Self::Field { entry, field, made, published } => {
                write!(f, "{entry}: the field {field} is published as {}, and the commit gives {}", value(published), value(made))
            }
            Self::Form { entry } => write!(f, "{entry}: it is published in another form than the commit gives"),
        }
    }
}

/// Returns the first difference between the text that was made of an index and the published one; `None` where they are the same.
pub fn first_difference(kind: Kind, made: &str, published: &str) -> Option<Difference> {
    let (mut ours, mut theirs) = (kind.entries(made), kind.entries(published));
    loop {
        let difference = match (ours.next(), theirs.next()) {
            (None, None) => return None,
            (Some(own), Some(other)) if own == other => continue,
            (Some(own), None) => Difference::Unpublished { entry: name(kind, own) },
            (None, Some(other)) => Difference::Unmade { entry: name(kind, other) },
            (Some(own), Some(other)) => match (SortKey::of(kind, own), SortKey::of(kind, other)) {
                (Some(made), Some(published)) if made < published => Difference::Unpublished { entry: name(kind, own) },
                (Some(made), Some(published)) if made > published => Difference::Unmade { entry: name(kind, other) },
                (Some(_), Some(_)) => changed(kind, own, other),
                _ => Difference::Form { entry: name(kind, own) },
            },
        };
        return Some(difference);
    }
}

/// Returns which field of two entries with the same key differs first.
fn changed(kind: Kind, made: &str, published: &str) -> Difference {
    let entry = name(kind, made);
    if kind == Kind::Contents {
        let packages = |line: &str| table::split_line(line).map(|(_, packages)| packages.trim_end().to_owned());
        return Difference::Field { entry, field: "packages".to_owned(), made: packages(made), published: packages(published) };
    }
    let parsed = (Paragraph::parse(made.as_bytes()), Paragraph::parse(published.as_bytes()));
    let (Ok(own), Ok(other)) = parsed else { return Difference::Form { entry } };
    let mut names = own.fields().iter().chain(other.fields()).map(|field| field.name);
    match names.find(|field| own.get(field) != other.get(field)) {
        Some(field) => {
            let value = |paragraph: &Paragraph<'_>| paragraph.get(field).map(str::to_owned);
            Difference::Field { entry, field: field.to_owned(), made: value(&own), published: value(&other) }
        }
        None => Difference::Form { entry },
    }
}

/// Returns what people call an entry.
fn name(kind: Kind, entry: &str) -> String {
    if kind == Kind::Contents {
        return shown(table::split_line(entry).map_or(entry, |(path, _)| path));
    }
    let field = |name: &str| entry.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let package = field("Package").map_or_else(|| shown(entry), shown);
    match field("Version") {
        Some(version) => format!("{package} {}", shown(version)),
        None => package,
    }
}

/// Returns a text as a message may have it: foreign, so without control characters, and not too long.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(SHOWN).collect();
    let cut = if short.len() < text.len() { "…" } else { "" };
    format!("{}{cut}", short.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = "Package: hello\nVersion: 2.10-3\nDepends: libc6\nSHA256: 00\n\n";
    const TREE: &str = "Package: tree\nVersion: 2.1-1\nSHA256: 11\n\n";

    fn check(kind: Kind, made: &str, published: &str, expected: &str) {
        let found = first_difference(kind, made, published).map(|difference| difference.to_string());
        assert_eq!(found.unwrap_or_default(), expected);
    }

    #[test]
    fn the_first_package_and_field_that_differ_are_named() {
        let both = format!("{HELLO}{TREE}");
        let packages = |made: &str, published: &str, expected| check(Kind::Packages, made, published, expected);
        packages(&both, &both, "");
        packages(&both, HELLO, "tree 2.1-1: the commit gives it, and it is not published");
        packages(TREE, &both, "hello 2.10-3: it is published, and the commit does not give it");
        packages(&both, TREE, "hello 2.10-3: the commit gives it, and it is not published");
        let evil = both.replace("SHA256: 00", "SHA256: ff");
        packages(&both, &evil, "hello 2.10-3: the field SHA256 is published as \"ff\", and the commit gives \"00\"");
        let more = both.replace("Depends: libc6\n", "Depends: libc6\nPre-Depends: evil\n");
        packages(&both, &more, "hello 2.10-3: the field Pre-Depends is published as \"evil\", and the commit gives nothing");
        packages(&more, &both, "hello 2.10-3: the field Pre-Depends is published as nothing, and the commit gives \"evil\"");
        let newer = both.replace("2.10-3", "2.10-4");
        packages(&both, &newer, "hello 2.10-3: the commit gives it, and it is not published");
        let swapped = HELLO.replace("Depends: libc6\nSHA256: 00", "SHA256: 00\nDepends: libc6");
        packages(HELLO, &swapped, "hello 2.10-3: it is published in another form than the commit gives");
        packages(HELLO, "\u{1b}[31m", "hello 2.10-3: it is published in another form than the commit gives");
        packages("", "\u{1b}[31m\n", "\\u{1b}[31m\\n: it is published, and the commit does not give it");
        check(
            Kind::Sources,
            HELLO,
            &HELLO.replace("00", "01"),
            "hello 2.10-3: the field SHA256 is published as \"01\", and the commit gives \"00\"",
        );
    }

    #[test]
    fn a_line_of_contents_is_named_by_its_path() {
        let line = "usr/bin/hello                         devel/hello\n";
        let expected = "usr/bin/hello: the field packages is published as \"evil/evil\", and the commit gives \"devel/hello\"";
        check(Kind::Contents, line, &line.replace("devel/hello", "evil/evil"), expected);
        check(Kind::Contents, "", line, "usr/bin/hello: it is published, and the commit does not give it");
    }
}
