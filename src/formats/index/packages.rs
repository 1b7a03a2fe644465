//! One paragraph of Packages from the record of a .deb or .udeb.
//!
//! Every field of the control file is passed on with its bytes, in Debian's order (`fields`). Replaced are what the archive
//! alone can say (Filename, Size, digests, Description-md5) and, where an override file names them, Section, Priority,
//! Maintainer and others. Debian drops a `Tag` that the maintainer set, because its own come from an override file, and an
//! archive without that file would lose what the maintainer wrote; here it stays unless an override gives another.

use std::borrow::Cow;

use super::fields::{self, Kind};
use super::order::SortKey;
use super::overrides::Overrides;
use super::{RenderError, Style, direct_name};
use crate::formats::suite::record::Record;
use crate::words::archive::{Descriptions, ExtraDigest};
use crate::words::digest::Md5;
use crate::words::name::{PackageName, SourceName};
use crate::words::version::Version;

/// Fields that a control file cannot set: the archive's, and those of dpkg's and apt's own status files.
pub(crate) const NEVER_FROM_CONTROL: &[&str] =
    &["Filename", "MSDOS-Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512", "Description-md5", "Status"];

/// Returns the paragraph's text, without the empty line behind it.
///
/// Section and Priority are left out where neither the control file nor an override has them. A digest that the style asks
/// for and the record lacks (it was deployed before the style asked) is left out; SHA-256 never is.
///
/// # Errors
/// The record has no `Package` or no `Description`.
pub fn render(record: &Record<'_>, style: &Style, overrides: Option<&Overrides>) -> Result<String, RenderError> {
    let package = record.get("Package").ok_or(RenderError::Missing { field: "Package" })?;
    let description = description(record).ok_or(RenderError::Missing { field: "Description" })?;
    let udeb = is_udeb(record);
    let architecture = record.get("Architecture").unwrap_or_default();
    let found = overrides.and_then(|overrides| overrides.binary(package, architecture, udeb));
    let extra = overrides.filter(|_| !udeb).map(|overrides| overrides.extra(package)).into_iter().flatten();

    let mut list: Vec<(&str, Cow<'_, str>)> = Vec::with_capacity(record.control().len() + 12);
    for field in record.control() {
        if !NEVER_FROM_CONTROL.iter().any(|name| field.name.eq_ignore_ascii_case(name)) {
            list.push((field.name, Cow::Borrowed(fields::verbatim(field))));
        }
    }
    if let Some(found) = found {
        set(&mut list, "Section", found.section.as_str());
        found.priority.iter().for_each(|priority| set(&mut list, "Priority", priority.as_str()));
        if let Some(maintainer) = record.get("Maintainer").and_then(|maintainer| found.maintainer(maintainer)) {
            set(&mut list, "Maintainer", maintainer);
        }
    }
    for (name, value) in extra {
        set(&mut list, name, value);
    }
    if style.descriptions == Descriptions::Short {
        set(&mut list, "Description", description.lines().next().unwrap_or_default());
        set(&mut list, "Description-md5", description_md5(description).to_hex());
    }
    let facts = &record.facts;
    let filename = match &style.objects {
        None => record.path.to_string(),
        Some(objects) => format!("{objects}/{}", direct_name(&facts.sha256, record.path.file())),
    };
    set(&mut list, "Filename", filename);
    set(&mut list, "Size", facts.size.to_string());
    set(&mut list, "SHA256", facts.sha256.to_hex());
    for digest in &style.digests {
        match digest {
            ExtraDigest::Md5 => set(&mut list, "MD5sum", facts.md5.to_hex()),
            ExtraDigest::Sha1 => facts.sha1.iter().for_each(|sha1| set(&mut list, "SHA1", sha1.to_hex())),
            ExtraDigest::Sha512 => facts.sha512.iter().for_each(|sha512| set(&mut list, "SHA512", sha512.to_hex())),
        }
    }
    Ok(fields::write(Kind::Packages, list))
}

/// Returns the `Section` that the paragraph of a record shows.
pub fn section<'a>(record: &Record<'a>, overrides: Option<&'a Overrides>) -> Option<&'a str> {
    let name = record.get("Package").unwrap_or_default();
    let found = overrides.and_then(|overrides| overrides.binary(name, record.get("Architecture").unwrap_or_default(), is_udeb(record)));
    found.map(|found| found.section.as_str()).or_else(|| record.get("Section"))
}

/// Returns what a binary record's paragraph is sorted by.
///
/// # Errors
/// `Package`, `Version` or `Source` is missing or malformed.
pub fn sort_key(record: &Record<'_>) -> Result<SortKey, RenderError> {
    let (source, _) = source_of(record)?;
    let (package, version) = identity(record)?;
    Ok(SortKey { name: source.to_string(), second: package.to_string(), version: Some(version) })
}

/// Returns the source package of a binary record, by `Source` or else by `Package` and `Version`.
///
/// # Errors
/// `Package`, `Version` or `Source` is missing or malformed.
pub fn source_of(record: &Record<'_>) -> Result<(SourceName, Version), RenderError> {
    let (package, version) = identity(record)?;
    let Some(value) = record.get("Source") else { return Ok((SourceName::from(&package), version)) };
    let (name, version) = match value.split_once('(') {
        None => (value, version),
        Some((name, rest)) => {
            let inner = rest.strip_suffix(')').ok_or_else(|| RenderError::Source { value: value.chars().take(200).collect() })?;
            (name.trim_end(), inner.trim().parse().map_err(|fault| RenderError::Version { field: "Source", fault })?)
        }
    };
    Ok((name.parse().map_err(|fault| RenderError::Name { field: "Source", fault })?, version))
}

fn identity(record: &Record<'_>) -> Result<(PackageName, Version), RenderError> {
    let get = |field| record.get(field).ok_or(RenderError::Missing { field });
    let package = get("Package")?.parse().map_err(|fault| RenderError::Name { field: "Package", fault })?;
    let version = get("Version")?.parse().map_err(|fault| RenderError::Version { field: "Version", fault })?;
    Ok((package, version))
}

/// Tells whether a record is of a package of the installer.
pub fn is_udeb(record: &Record<'_>) -> bool {
    record.path.file().as_str().ends_with(".udeb")
}

/// Returns the whole description as the control file has it: the first line without leading blank, the others with theirs.
pub fn description<'a>(record: &Record<'a>) -> Option<&'a str> {
    record.control().iter().find(|field| field.name.eq_ignore_ascii_case("Description")).map(fields::verbatim)
}

/// Returns the name under which apt looks for a description's translations: MD5 of the whole text and one line end.
pub fn description_md5(description: &str) -> Md5 {
    Md5::of(format!("{description}\n").as_bytes())
}

/// Gives a field this value, in place of the one it has under this name written in any case.
pub(crate) fn set<'a>(list: &mut Vec<(&'a str, Cow<'a, str>)>, name: &'a str, value: impl Into<Cow<'a, str>>) {
    let value = value.into();
    match list.iter_mut().find(|(present, _)| present.eq_ignore_ascii_case(name)) {
        Some(field) => *field = (name, value),
        None => list.push((name, value)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::formats::index::fixtures;
    use crate::formats::index::order::join;
    use crate::formats::suite::record::write_binary;
    use crate::words::digest::{ExtraDigests, FileFacts};

    const CONTROL: &str = "Package: foo\nVersion: 1-1+b1\nSource: bar (1-1)\nArchitecture: amd64\nMaintainer: A <a@x>\nSection: net\n\
        Priority: extra\ntag: mine\nDepends: a,\n  b\nDescription: short \n long\n .\n more\nX-Own: x\n";

    fn rendered(control: &str, file: &str, style: &Style, overrides: Option<&Overrides>) -> String {
        let facts = FileFacts::of(b"bytes", ExtraDigests { sha1: true, sha512: false });
        let text = write_binary(control, &format!("pool/main/b/bar/{file}").parse().unwrap(), &facts);
        render(&Record::parse(text.as_bytes()).unwrap(), style, overrides).unwrap()
    }

    fn overrides() -> Overrides {
        let mut overrides = Overrides::default();
        overrides.read_binary(b"foo optional devel A <a@x> => B <b@x>\nru optional ruby\n").unwrap();
        overrides.read_udeb(b"foo standard debian-installer\n").unwrap();
        overrides.read_extra(b"foo Tag theirs\nfoo Depends c\n").unwrap();
        overrides
    }

    #[test]
    fn debians_control_files_give_debians_packages() {
        let mut overrides = Overrides::default();
        overrides.read_extra(b"dash Tag implemented-in::c, interface::shell, role::program, scope::utility\n").unwrap();
        let texts = fixtures::binary_records();
        let mut paragraphs: Vec<_> = texts
            .iter()
            .map(|text| {
                let record = Record::parse(text.as_bytes()).unwrap();
                (sort_key(&record).unwrap(), render(&record, &Style::debian(), Some(&overrides)).unwrap())
            })
            .collect();
        paragraphs.reverse();
        assert_eq!(join(paragraphs), fixtures::PACKAGES);
    }

    #[test]
    fn values_are_verbatim_and_the_maintainers_tag_stays() {
        let text = rendered(CONTROL, "foo_1-1+b1_amd64.deb", &Style::debian(), None);
        let expected = "Package: foo\nSource: bar (1-1)\nVersion: 1-1+b1\nMaintainer: A <a@x>\nArchitecture: amd64\nDepends: a,\n  b\n\
            Description: short \nDescription-md5: 8478ee2b3eb85e2484cfa2b5e3efdda3\nX-Own: x\ntag: mine\nSection: net\nPriority: extra\n\
            Filename: pool/main/b/bar/foo_1-1+b1_amd64.deb\nSize: 5\nMD5sum: 4b3a6218bb3e3a7303e8a171a60fcf92\n\
            SHA256: 277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn overrides_win_over_the_control_file() {
        let text = rendered(CONTROL, "foo_1-1+b1_amd64.deb", &Style::debian(), Some(&overrides()));
        for line in ["Maintainer: B <b@x>", "Depends: c", "Tag: theirs", "Section: devel", "Priority: optional"] {
            assert_eq!(text.lines().filter(|present| *present == line).count(), 1, "{line} in {text}");
        }
        assert!(!text.contains("mine") && !text.contains("net"));
    }

    #[test]
    fn udebs_have_their_own_overrides() {
        let text = rendered(CONTROL, "foo_1-1+b1_amd64.udeb", &Style::debian(), Some(&overrides()));
        assert!(text.contains("tag: mine\nSection: debian-installer\nPriority: standard\n"), "{text}");
    }

    #[test]
    fn long_descriptions_and_other_digests_by_style() {
        let digests = [ExtraDigest::Sha1, ExtraDigest::Sha512].into();
        let style = Style { descriptions: Descriptions::Long, digests, objects: None };
        let text = rendered(CONTROL, "foo_1-1+b1_amd64.deb", &style, None);
        assert!(text.contains("Description: short \n long\n .\n more\n"), "{text}");
        let names: Vec<&str> = text.lines().rev().take(3).map(|line| line.split(':').next().unwrap()).collect();
        // The record has no SHA-512, and MD5 is not asked for.
        assert_eq!(names, ["SHA256", "SHA1", "Size"]);
        assert!(!text.contains("Description-md5"));
    }

    #[test]
    fn an_object_is_named_with_the_files_name_behind_the_last_slash() {
        let style = Style { objects: Some("lfs/objects".to_owned()), ..Style::debian() };
        let text = rendered(CONTROL, "foo_1-1+b1_amd64.deb", &style, None);
        let oid = "277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9";
        assert!(text.contains(&format!("\nFilename: lfs/objects/27/70/{oid}?n=/foo_1-1+b1_amd64.deb\n")), "{text}");
        let usual = rendered(CONTROL, "foo_1-1+b1_amd64.deb", &Style::debian(), None);
        let without = |text: &str| text.lines().filter(|line| !line.starts_with("Filename")).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(without(&text), without(&usual));
    }

    #[test]
    fn a_control_file_cannot_speak_for_the_archive() {
        let control = CONTROL.replace("X-Own: x\n", "sha512: x\nStatus: install\nMSDOS-Filename: x\nDescription-md5: x\n");
        let text = rendered(&control, "foo_1-1+b1_amd64.deb", &Style::debian(), None);
        assert_eq!(text, rendered(&CONTROL.replace("X-Own: x\n", ""), "foo_1-1+b1_amd64.deb", &Style::debian(), None));
    }

    #[test]
    fn the_source_is_the_one_that_control_names() {
        let check = |source: &str, expected: Result<(&str, &str), &str>| {
            let control = format!("Package: foo\nVersion: 2\n{source}");
            let facts = FileFacts::of(b"", ExtraDigests::default());
            let text = write_binary(&control, &"pool/main/f/foo/foo_2_all.deb".parse().unwrap(), &facts);
            let found = source_of(&Record::parse(text.as_bytes()).unwrap());
            match (found, expected) {
                (Ok((name, version)), Ok(expected)) => assert_eq!((name.as_str(), version.as_str()), expected),
                (Err(fault), Err(expected)) => assert!(fault.to_string().contains(expected), "{fault}"),
                (found, _) => unreachable!("{found:?}"),
            }
        };
        check("", Ok(("foo", "2")));
        check("Source: bar\n", Ok(("bar", "2")));
        check("Source: bar (1:1-2)\n", Ok(("bar", "1:1-2")));
        check("Source: bar (1\n", Err("not \"name\" or \"name (version)\""));
        check("Source: bar (x/y)\n", Err("the field Source is not usable"));
        check("Source: Bar\n", Err("the field Source is not usable"));
    }
}
