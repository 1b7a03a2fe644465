//! Relations between packages: whether a dependency field can be read by those who will need it (deb-control(5),
//! deb-src-control(5), Debian Policy 7.1).
//!
//! `check` takes a field's name and value and names the first entry that does not parse. Values are never rewritten, so
//! nothing is returned. Names in entries follow dpkg's rule (letters of both cases, `_`), which is wider than Debian's for
//! packages that exist: a package may conflict with anything. The old operators `<` and `>` are taken, as dpkg and apt do.

use super::version::{Version, VersionError};

/// Why a field is not a list of relations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelationError {
    /// A field without any entry, which dak refuses too.
    #[error("{field} is empty; leave it out instead")]
    Empty {
        /// The field.
        field: String,
    },
    /// Nothing between two commas or bars.
    #[error("{field} holds an empty entry (a comma or \"|\" too many)")]
    EmptyEntry {
        /// The field.
        field: String,
    },
    /// An entry that breaks a rule.
    #[error("{field}: \"{}\" {rule}", entry.escape_debug())]
    Entry {
        /// The field.
        field: String,
        /// The entry, shortened.
        entry: String,
        /// What is wrong with it.
        rule: &'static str,
    },
    /// An entry whose version is none.
    #[error("{field}: \"{}\"", entry.escape_debug())]
    Version {
        /// The field.
        field: String,
        /// The entry, shortened.
        entry: String,
        /// What is wrong with the version.
        #[source]
        fault: VersionError,
    },
}

/// What a field's entries may hold.
#[derive(Clone, Copy)]
struct Rules {
    alternatives: bool,
    /// Only `=` may stand before a version.
    exact_only: bool,
    /// Every entry needs a version.
    version_needed: bool,
    /// `[architectures]` and `<profiles>`.
    restrictions: bool,
}

const DEPENDS: Rules = Rules { alternatives: true, exact_only: false, version_needed: false, restrictions: false };
const CONFLICTS: Rules = Rules { alternatives: false, ..DEPENDS };
const PROVIDES: Rules = Rules { exact_only: true, ..CONFLICTS };
const BUILT_USING: Rules = Rules { version_needed: true, ..PROVIDES };
const BUILD_DEPENDS: Rules = Rules { restrictions: true, ..DEPENDS };
const BUILD_CONFLICTS: Rules = Rules { alternatives: false, ..BUILD_DEPENDS };

const FIELDS: [(&str, Rules); 17] = [
    ("Depends", DEPENDS),
    ("Pre-Depends", DEPENDS),
    ("Recommends", DEPENDS),
    ("Suggests", DEPENDS),
    ("Enhances", DEPENDS),
    ("Conflicts", CONFLICTS),
    ("Breaks", CONFLICTS),
    ("Replaces", CONFLICTS),
    ("Provides", PROVIDES),
    ("Built-Using", BUILT_USING),
    ("Static-Built-Using", BUILT_USING),
    ("Build-Depends", BUILD_DEPENDS),
    ("Build-Depends-Arch", BUILD_DEPENDS),
    ("Build-Depends-Indep", BUILD_DEPENDS),
    ("Build-Conflicts", BUILD_CONFLICTS),
    ("Build-Conflicts-Arch", BUILD_CONFLICTS),
    ("Build-Conflicts-Indep", BUILD_CONFLICTS),
];

/// Checks the value of a relation field; any other field passes.
///
/// # Errors
/// The field is empty, or one of its entries does not parse; the error holds that entry.
pub fn check(field: &str, value: &str) -> Result<(), RelationError> {
    let Some((field, rules)) = FIELDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(field)) else {
        return Ok(());
    };
    if value.trim_matches(is_blank).is_empty() {
        return Err(RelationError::Empty { field: (*field).to_owned() });
    }
    for entry in value.split(',') {
        let mut alternatives = entry.split('|').map(|text| text.trim_matches(is_blank));
        if !rules.alternatives && entry.contains('|') {
            return Err(entry_error(field, entry.trim_matches(is_blank), "holds \"|\", which this field may not"));
        }
        alternatives.try_for_each(|text| check_entry(field, *rules, text))?;
    }
    Ok(())
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n')
}

fn shortened(entry: &str) -> String {
    entry.chars().take(120).collect()
}

fn entry_error(field: &str, entry: &str, rule: &'static str) -> RelationError {
    RelationError::Entry { field: field.to_owned(), entry: shortened(entry), rule }
}

/// Checks `name[:architecture] [(operator version)] [[architectures]] [<profiles>]…`.
fn check_entry(field: &str, rules: Rules, entry: &str) -> Result<(), RelationError> {
    let refuse = |rule| Err(entry_error(field, entry, rule));
    if entry.is_empty() {
        return Err(RelationError::EmptyEntry { field: field.to_owned() });
    }
    let end = entry.find(|character: char| is_blank(character) || "([<:".contains(character)).unwrap_or(entry.len());
    let (name, mut rest) = entry.split_at(end);
    if !valid_name(name) {
        return refuse("does not begin with a package name");
    }
    if let Some(qualified) = rest.strip_prefix(':') {
        let end = qualified.find(|character: char| is_blank(character) || "([<".contains(character)).unwrap_or(qualified.len());
        let (qualifier, behind) = qualified.split_at(end);
        if !valid_architecture(qualifier) {
            return refuse("has no architecture behind its colon");
        }
        rest = behind;
    }
    rest = rest.trim_start_matches(is_blank);
    match rest.strip_prefix('(') {
        Some(inner) => {
            let Some((relation, behind)) = inner.split_once(')') else { return refuse("has no \")\" for its \"(\"") };
            check_version(field, rules, entry, relation.trim_matches(is_blank))?;
            rest = behind.trim_start_matches(is_blank);
        }
        None if rules.version_needed => return refuse("lacks \"(= version)\""),
        None => {}
    }
    if rules.restrictions {
        rest = match skip_restrictions(rest) {
            Ok(rest) => rest,
            Err(rule) => return refuse(rule),
        };
    }
    if rest.is_empty() { Ok(()) } else { refuse("goes on where it should end") }
}

/// Checks `operator version`, the text between the brackets.
fn check_version(field: &str, rules: Rules, entry: &str, relation: &str) -> Result<(), RelationError> {
    let (operator, version) = relation.split_at(relation.find(|character| !"<>=".contains(character)).unwrap_or(relation.len()));
    if !["<<", "<=", "=", ">=", ">>", "<", ">"].contains(&operator) {
        return Err(entry_error(field, entry, "has no operator (one of << <= = >= >>) before its version"));
    }
    if rules.exact_only && operator != "=" {
        return Err(entry_error(field, entry, "may hold a version only behind \"=\""));
    }
    match version.trim_matches(is_blank).parse::<Version>() {
        Ok(_) => Ok(()),
        Err(fault) => Err(RelationError::Version { field: field.to_owned(), entry: shortened(entry), fault }),
    }
}

/// Passes over `[architectures]` and any number of `<profiles>`.
fn skip_restrictions(mut rest: &str) -> Result<&str, &'static str> {
    if let Some(inner) = rest.strip_prefix('[') {
        let (list, behind) = inner.split_once(']').ok_or("has no \"]\" for its \"[\"")?;
        check_words(list, valid_architecture).map_err(|()| "has a malformed list of architectures")?;
        rest = behind.trim_start_matches(is_blank);
    }
    while let Some(inner) = rest.strip_prefix('<') {
        let (list, behind) = inner.split_once('>').ok_or("has no \">\" for its \"<\"")?;
        check_words(list, valid_profile).map_err(|()| "has a malformed list of profiles")?;
        rest = behind.trim_start_matches(is_blank);
    }
    Ok(rest)
}

fn check_words(list: &str, valid: fn(&str) -> bool) -> Result<(), ()> {
    let mut words = list.split(is_blank).filter(|word| !word.is_empty()).peekable();
    words.peek().ok_or(())?;
    if words.all(|word| valid(word.strip_prefix('!').unwrap_or(word))) { Ok(()) } else { Err(()) }
}

fn valid_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
}

fn valid_architecture(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn valid_profile(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._/".contains(&byte))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_debian_writes_is_accepted() {
        let check = |field: &str, value: &str| assert_eq!(check(field, value), Ok(()), "{field}: {value}");
        check("Depends", "libc6 (>= 2.34), libfoo1 | libfoo1-dbg, python3:any (>= 3.9~), perl");
        check("Depends", "libc6(>=2.34),\n libfoo1\n | bar");
        check("pre-depends", "dpkg (>= 1:1.17.5)");
        check("Conflicts", "old-thing (<< 1:2.0~), Other_Thing (< 3)");
        check("Provides", "mail-transport-agent, libfoo-abi (= 1.0), editor:amd64");
        check("Built-Using", "gcc-12 (= 12.2.0-14), linux (= 6.1.0+b1)");
        check("Build-Depends", "debhelper-compat (= 13), foo [linux-any !hurd-i386] <!nocheck> <stage1 cross>, bar:native <!pkg.foo.doc>");
        check("Build-Conflicts", "autoconf2.13 [amd64]");
        check("Homepage", ")(");
    }

    #[test]
    fn a_refusal_names_the_entry() {
        let check = |field: &str, value: &str, expected: &str| {
            let fault = check(field, value).unwrap_err();
            assert_eq!(fault.to_string(), expected, "{value}");
        };
        check("Depends", "", "Depends is empty; leave it out instead");
        check("depends", " \n ", "Depends is empty; leave it out instead");
        check("Depends", "a,, b", "Depends holds an empty entry (a comma or \"|\" too many)");
        check("Depends", "a, b,", "Depends holds an empty entry (a comma or \"|\" too many)");
        check("Depends", "a | ", "Depends holds an empty entry (a comma or \"|\" too many)");
        check("Depends", "a b", "Depends: \"a b\" goes on where it should end");
        check("Depends", "a (>= 1) (<< 2)", "Depends: \"a (>= 1) (<< 2)\" goes on where it should end");
        check("Depends", "x, ${misc:Depends}", "Depends: \"${misc:Depends}\" does not begin with a package name");
        check("Depends", "a (1)", "Depends: \"a (1)\" has no operator (one of << <= = >= >>) before its version");
        check("Depends", "a (=> 1)", "Depends: \"a (=> 1)\" has no operator (one of << <= = >= >>) before its version");
        check("Depends", "a (>= 1", "Depends: \"a (>= 1\" has no \")\" for its \"(\"");
        check("Depends", "a (>= )", "Depends: \"a (>= )\"");
        check("Depends", "a (>= 1/2)", "Depends: \"a (>= 1/2)\"");
        check("Depends", "a [amd64]", "Depends: \"a [amd64]\" goes on where it should end");
        check("Depends", "a: (>= 1)", "Depends: \"a: (>= 1)\" has no architecture behind its colon");
        check("Conflicts", "a | b", "Conflicts: \"a | b\" holds \"|\", which this field may not");
        check("Provides", "a (>= 1)", "Provides: \"a (>= 1)\" may hold a version only behind \"=\"");
        check("Built-Using", "a", "Built-Using: \"a\" lacks \"(= version)\"");
        check("Build-Depends", "a []", "Build-Depends: \"a []\" has a malformed list of architectures");
        check("Build-Depends", "a <!nocheck", "Build-Depends: \"a <!nocheck\" has no \">\" for its \"<\"");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(value in "[a-z:<>=()\\[\\]|, é\n0-9!]{0,40}") {
            for (field, _) in FIELDS {
                let _ = check(field, &value);
            }
        }
    }
}
