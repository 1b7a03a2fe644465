//! One order for all fields of Packages and Sources: the order of Debian's own indices.
//!
//! dak keeps it as a number for each field and sorts by (number, name); fields without a number stand at 0, so between
//! `Homepage` and the fields that the archive adds. The table is dak's (`dak/dakdb/update56.py`), with the fields that its
//! queries append behind it. A field's place follows from its name alone, wherever it came from: control file, .dsc,
//! override file or ddb.

use crate::words::deb822::Field;

/// Where fields with a fixed place stand; names compare without case, as dak's table was made.
const PLACES: &[(&str, i16)] = &[
    ("Package", -2600),
    ("Source", -2500),
    ("Binary", -2400),
    ("Version", -2300),
    ("Essential", -2250),
    ("Installed-Size", -2200),
    ("Maintainer", -2100),
    ("Uploaders", -2090),
    ("Original-Maintainer", -2080),
    ("Build-Depends", -2000),
    ("Build-Depends-Indep", -1990),
    ("Build-Conflicts", -1980),
    ("Build-Conflicts-Indep", -1970),
    ("Architecture", -1800),
    ("Standards-Version", -1700),
    ("Format", -1600),
    ("Files", -1500),
    ("Dm-Upload-Allowed", -1400),
    // Vcs-* at -1300, Checksums-* at -1200
    ("Replaces", -1100),
    ("Provides", -1000),
    ("Depends", -900),
    ("Pre-Depends", -850),
    ("Recommends", -800),
    ("Suggests", -700),
    ("Enhances", -650),
    ("Conflicts", -600),
    ("Breaks", -500),
    ("Description", -400),
    ("Origin", -300),
    ("Bugs", -200),
    ("Multi-Arch", -150),
    ("Homepage", -100),
    // Every other field, Description-md5 among them, at 0.
    // Build-Essential, Tag and Task come from Debian's external overrides, which are appended in this order.
    ("Build-Essential", 290),
    ("Tag", 300),
    ("Task", 310),
    ("Package-Type", 400),
    ("Installer-Menu-Item", 500),
    ("Extra-Source-Only", 600),
    ("Directory", 700),
];

/// What a paragraph ends with: in Sources `Priority` comes before `Section`, in Packages behind it.
const LAST_OF_PACKAGES: &[&str] = &["Section", "Priority", "Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512"];
const LAST_OF_SOURCES: &[&str] = &["Priority", "Section"];

/// Which index a paragraph belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Packages, of .deb or .udeb files.
    Packages,
    /// Sources.
    Sources,
}

/// Returns the sort key of a field: fields of one paragraph are written in the order of (this number, name).
pub fn place(kind: Kind, name: &str) -> i16 {
    let last = match kind {
        Kind::Packages => LAST_OF_PACKAGES,
        Kind::Sources => LAST_OF_SOURCES,
    };
    if let Some(at) = last.iter().position(|field| field.eq_ignore_ascii_case(name)) {
        return i16::try_from(at).unwrap_or(0) + 1000;
    }
    if let Some((_, place)) = PLACES.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)) {
        return *place;
    }
    let begins = |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    match () {
        () if begins("Vcs-") => -1300,
        () if begins("Checksums-") => -1200,
        () => 0,
    }
}

/// Returns a field's value as indices carry it: without the blanks before and behind it, its folding untouched.
///
/// A value whose first line is empty (`Package-List`) keeps that line's end.
pub fn verbatim<'a>(field: &Field<'a>) -> &'a str {
    field.raw.trim_start_matches([' ', '\t']).trim_end_matches([' ', '\t', '\n'])
}

/// Returns the text of a paragraph, each field as `Name: value`, in Debian's order, without the empty line behind it.
pub(crate) fn write(kind: Kind, fields: Vec<(&str, std::borrow::Cow<'_, str>)>) -> String {
    let mut placed: Vec<(i16, &str, _)> = fields.into_iter().map(|(name, value)| (place(kind, name), name, value)).collect();
    placed.sort_by(|left, right| (left.0, left.1).cmp(&(right.0, right.1)));
    let length: usize = placed.iter().map(|(_, name, value)| name.len() + value.len() + 3).sum();
    let mut text = String::with_capacity(length);
    for (_, name, value) in placed {
        text.push_str(name);
        // A list of files begins on its own line; other values that do are written with the blank, as dak does.
        text.push_str(if value.starts_with('\n') && is_file_list(name) { ":" } else { ": " });
        text.push_str(&value);
        text.push('\n');
    }
    text
}

fn is_file_list(name: &str) -> bool {
    name == "Files" || name.starts_with("Checksums-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_where_debian_has_them() {
        let check = |kind, names: &[&str]| {
            let mut sorted = names.to_vec();
            sorted.sort_by_key(|name| (place(kind, name), *name));
            assert_eq!(sorted, names);
        };
        check(
            Kind::Packages,
            &[
                "Package",
                "Source",
                "Version",
                "Essential",
                "Installed-Size",
                "Maintainer",
                "Original-Maintainer",
                "Architecture",
                "Replaces",
                "Provides",
                "Depends",
                "Pre-Depends",
                "Recommends",
                "Suggests",
                "Enhances",
                "Conflicts",
                "Breaks",
                "Description",
                "Multi-Arch",
                "Homepage",
                "Built-Using",
                "Cnf-Visible-Pkgname",
                "Description-md5",
                "Ghc-Package",
                "Static-Built-Using",
                "X-Cargo-Built-Using",
                "Build-Essential",
                "Tag",
                "Task",
                "Installer-Menu-Item",
                "Section",
                "Priority",
                "Filename",
                "Size",
                "MD5sum",
                "SHA1",
                "SHA256",
                "SHA512",
            ],
        );
        check(
            Kind::Sources,
            &[
                "Package",
                "Binary",
                "Version",
                "Maintainer",
                "Uploaders",
                "Original-Maintainer",
                "Build-Depends",
                "Build-Depends-Indep",
                "Build-Conflicts",
                "Architecture",
                "Standards-Version",
                "Format",
                "Files",
                "Vcs-Browser",
                "Vcs-Git",
                "Checksums-Sha256",
                "Description",
                "Homepage",
                "Autobuild",
                "Build-Conflicts-Arch",
                "Build-Depends-Arch",
                "Dgit",
                "Git-Tag-Info",
                "Go-Import-Path",
                "Package-List",
                "Ruby-Versions",
                "Testsuite",
                "Testsuite-Triggers",
                "Extra-Source-Only",
                "Directory",
                "Priority",
                "Section",
            ],
        );
    }
}
