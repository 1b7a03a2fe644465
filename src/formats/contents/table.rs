//! The text of Contents: lines written, read, and brought up to date within one block of them.

use std::collections::BTreeMap;

/// Columns that a path is filled up to.
const COLUMNS: usize = 55;

/// Adds a line to a text: a path and the packages that install it, sorted by name.
pub fn push_line<'a>(text: &mut String, path: &str, packages: impl Iterator<Item = &'a str>) {
    text.push_str(path);
    let blanks = COLUMNS.saturating_sub(path.chars().count()) + 1;
    text.extend(std::iter::repeat_n(' ', blanks));
    for (at, package) in packages.enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(package);
    }
    text.push('\n');
}

/// Returns how a package stands in a line: with the section that Packages shows, if that is one word.
pub fn qualified(section: Option<&str>, package: &str) -> String {
    match section.filter(|section| !section.is_empty() && section.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')) {
        Some(section) => format!("{section}/{package}"),
        None => package.to_owned(),
    }
}

/// Returns a package's name as it stands in a line, without its section.
pub fn name_of(qualified: &str) -> &str {
    qualified.rsplit('/').next().unwrap_or(qualified)
}

/// Splits a line, with or without its end, into its path and its packages; `None` where it is none.
pub fn split_line(line: &str) -> Option<(&str, &str)> {
    let (path, packages) = line.trim_end_matches('\n').rsplit_once(' ')?;
    let path = path.trim_end_matches(' ');
    (!path.is_empty() && !packages.is_empty()).then_some((path, packages))
}

/// What changes in the line of one path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Names of packages that do not install it any more, or that stand there with another section.
    pub removed: Vec<String>,
    /// Packages that install it now, with their sections.
    pub added: Vec<String>,
}

/// Returns the text of a block after these changes, by path; `None` where a line of it is none.
///
/// The result is the same in whatever order changes were found, and what a change asks for twice is done once.
pub fn edit(text: &str, changes: &BTreeMap<&str, &Change>) -> Option<String> {
    let mut edited = String::with_capacity(text.len() + changes.len() * 80);
    let mut left = changes.iter().peekable();
    for line in text.split_inclusive('\n') {
        let (path, packages) = split_line(line)?;
        while let Some((new, change)) = left.next_if(|(new, _)| **new < path) {
            write(&mut edited, new, "", change);
        }
        match left.next_if(|(changed, _)| **changed == path) {
            Some((_, change)) => write(&mut edited, path, packages, change),
            None => edited.push_str(line),
        }
    }
    left.for_each(|(new, change)| write(&mut edited, new, "", change));
    Some(edited)
}

fn write(text: &mut String, path: &str, packages: &str, change: &Change) {
    let mut named: BTreeMap<&str, &str> =
        packages.split(',').filter(|package| !package.is_empty()).map(|package| (name_of(package), package)).collect();
    named.retain(|name, _| !change.removed.iter().any(|removed| removed == name));
    named.extend(change.added.iter().map(|package| (name_of(package), package.as_str())));
    if !named.is_empty() {
        push_line(text, path, named.into_values());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn change(removed: &[&str], added: &[&str]) -> Change {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Change { removed: owned(removed), added: owned(added) }
    }

    #[test]
    fn a_line_is_debians() {
        let mut text = String::new();
        push_line(&mut text, "bin/afio", ["utils/afio"].into_iter());
        push_line(&mut text, "usr/share/a file with blanks", ["x11/a", "contrib/net/b"].into_iter());
        let long = format!("usr/share/{}", "x".repeat(60));
        push_line(&mut text, &long, ["c"].into_iter());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                &format!("bin/afio{}utils/afio", " ".repeat(48)),
                &format!("usr/share/a file with blanks{}x11/a,contrib/net/b", " ".repeat(28)),
                &format!("{long} c")
            ]
        );
        assert_eq!(split_line(lines.get(1).unwrap()), Some(("usr/share/a file with blanks", "x11/a,contrib/net/b")));
        assert_eq!(split_line("nothing"), None);
        assert_eq!(
            (qualified(Some("net"), "a"), qualified(None, "a"), qualified(Some("a b"), "a")),
            ("net/a".into(), "a".into(), "a".into())
        );
        assert_eq!(name_of("contrib/net/b"), "b");
    }

    #[test]
    fn only_lines_that_change_are_others() {
        let mut text = String::new();
        for (path, packages) in [("bin/a", "net/p"), ("bin/b", "net/p,web/q"), ("bin/c", "net/p")] {
            push_line(&mut text, path, packages.split(','));
        }
        let changes = [
            ("bin/a", change(&["p"], &[])),
            ("bin/aa", change(&[], &["web/q"])),
            ("bin/b", change(&["p"], &["web/p", "admin/a"])),
            ("bin/c", change(&["nobody"], &[])),
            ("bin/d", change(&[], &["net/p"])),
        ];
        let changes: BTreeMap<&str, &Change> = changes.iter().map(|(path, change)| (*path, change)).collect();
        let edited = edit(&text, &changes).unwrap();
        let lines: Vec<_> = edited.lines().map(|line| split_line(line).unwrap()).collect();
        assert_eq!(lines, [("bin/aa", "web/q"), ("bin/b", "admin/a,web/p,web/q"), ("bin/c", "net/p"), ("bin/d", "net/p")]);
        assert_eq!(edit("no line\n\n", &BTreeMap::new()), None);
    }

    proptest! {
        #[test]
        fn what_was_added_and_removed_again_leaves_no_trace(paths in proptest::collection::btree_set("[a-d]{1,3}", 0..12), new in proptest::collection::btree_set("[a-e]{1,3}", 1..6)) {
            let mut text = String::new();
            paths.iter().for_each(|path| push_line(&mut text, path, ["net/p"].into_iter()));
            let (add, remove) = (change(&[], &["web/q"]), change(&["q"], &[]));
            let with = edit(&text, &new.iter().map(|path| (path.as_str(), &add)).collect()).unwrap();
            prop_assert!(with.lines().map(|line| split_line(line).unwrap().0).is_sorted());
            let without = edit(&with, &new.iter().map(|path| (path.as_str(), &remove)).collect()).unwrap();
            prop_assert_eq!(without, text);
        }
    }
}
