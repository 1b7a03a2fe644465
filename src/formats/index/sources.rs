//! One paragraph of Sources from the record of a .dsc.
//!
//! `Source` becomes `Package`, every other field of the .dsc is passed on with its bytes, folding included. The .dsc itself
//! stands first in `Files` and `Checksums-*`, and the archive adds Directory, Priority and Section (Debian's order, see
//! `fields`). The lists of digests that the style does not ask for are left out. Where objects are named directly, Directory
//! is their folder and every list names them with their files' names as a query.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::fields::{self, Kind};
use super::order::SortKey;
use super::overrides::Overrides;
use super::packages::set;
use super::{RenderError, Style, direct_name};
use crate::formats::suite::record::Record;
use crate::words::archive::ExtraDigest;
use crate::words::digest::ObjectId;
use crate::words::name::{FileName, SourceName};
use crate::words::version::Version;

/// Section and Priority of a source that nothing says more about; dak has the same.
const DEFAULT_SECTION: &str = "misc";
const DEFAULT_PRIORITY: &str = "optional";

/// Fields of a .dsc that the archive sets itself.
const NEVER_FROM_DSC: &[&str] = &["Source", "Package", "Directory", "Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512", "Status"];

/// Returns the paragraph's text, without the empty line behind it.
///
/// Section and Priority are the override's, else those of the .changes that the record keeps, else the .dsc's own, else
/// `misc` and `optional`. A list of digests that the style asks for and the .dsc lacks is left out; SHA-256 never is.
///
/// # Errors
/// The record has no `Source` or no `Checksums-Sha256`, or the object of a file in another list is not known and needed.
pub fn render(record: &Record<'_>, style: &Style, overrides: Option<&Overrides>) -> Result<String, RenderError> {
    let source = record.get("Source").ok_or(RenderError::Missing { field: "Source" })?;
    let checksums = record.get("Checksums-Sha256").ok_or(RenderError::Missing { field: "Checksums-Sha256" })?;
    let objects = style.objects.as_ref().map(|_| objects_of(record, checksums));
    let mut list: Vec<(&str, Cow<'_, str>)> = Vec::with_capacity(record.control().len() + 4);
    for field in record.control() {
        if NEVER_FROM_DSC.iter().any(|name| field.name.eq_ignore_ascii_case(name)) {
            continue;
        }
        let value = fields::verbatim(field);
        match own_digest(record, style, field.name) {
            FileList::No => list.push((field.name, Cow::Borrowed(value))),
            FileList::Unwanted => {}
            FileList::Of { name, digest } => {
                let files = with_dsc(record, &digest, value);
                let files = match &objects {
                    None => files,
                    Some(objects) => direct(name, &files, objects)?,
                };
                list.push((name, Cow::Owned(files)));
            }
        }
    }
    list.push(("Package", Cow::Borrowed(source)));
    list.push(("Directory", Cow::Owned(style.objects.clone().unwrap_or_else(|| record.path.directory()))));
    let placement = record.placement();
    let found = overrides.and_then(|overrides| overrides.source(source));
    let section = found.map(|found| found.section.clone()).or(placement.section);
    let priority = found.and_then(|found| found.priority.clone()).or(placement.priority);
    for (name, value, default) in [("Section", section, DEFAULT_SECTION), ("Priority", priority, DEFAULT_PRIORITY)] {
        match value {
            Some(value) => set(&mut list, name, value),
            None if record.get(name).is_some() => {}
            None => list.push((name, Cow::Borrowed(default))),
        }
    }
    Ok(fields::write(Kind::Sources, list))
}

/// Returns what a source record's paragraph is sorted by.
///
/// # Errors
/// `Source` or `Version` is missing or malformed.
pub fn sort_key(record: &Record<'_>) -> Result<SortKey, RenderError> {
    let get = |field| record.get(field).ok_or(RenderError::Missing { field });
    let name: SourceName = get("Source")?.parse().map_err(|fault| RenderError::Name { field: "Source", fault })?;
    let version: Version = get("Version")?.parse().map_err(|fault| RenderError::Version { field: "Version", fault })?;
    Ok(SortKey { name: name.to_string(), second: String::new(), version: Some(version) })
}

/// What a field of a .dsc is, seen as a list of files.
enum FileList {
    /// No list of files.
    No,
    /// A list that the style does not ask for, or whose digest of the .dsc is unknown.
    Unwanted,
    /// A list under this name, and the .dsc's own digest for it.
    Of { name: &'static str, digest: String },
}

fn own_digest(record: &Record<'_>, style: &Style, field: &str) -> FileList {
    let facts = &record.facts;
    let wanted = |digest| style.digests.contains(&digest);
    let (name, digest) = match field.to_ascii_lowercase().as_str() {
        "files" => ("Files", wanted(ExtraDigest::Md5).then(|| facts.md5.to_hex())),
        "checksums-sha1" => ("Checksums-Sha1", facts.sha1.filter(|_| wanted(ExtraDigest::Sha1)).map(|sha1| sha1.to_hex())),
        "checksums-sha256" => ("Checksums-Sha256", Some(facts.sha256.to_hex())),
        "checksums-sha512" => ("Checksums-Sha512", facts.sha512.filter(|_| wanted(ExtraDigest::Sha512)).map(|sha512| sha512.to_hex())),
        _ => return FileList::No,
    };
    digest.map_or(FileList::Unwanted, |digest| FileList::Of { name, digest })
}

fn with_dsc(record: &Record<'_>, digest: &str, list: &str) -> String {
    let (size, file) = (record.facts.size, record.path.file());
    // A list of a .dsc begins on a line of its own; one that does not would lose its first entry behind the .dsc's.
    let glue = if list.is_empty() || list.starts_with('\n') { "" } else { "\n " };
    format!("\n {digest} {size} {file}{glue}{list}")
}

/// Returns the object of every file that the .dsc names, and its own.
fn objects_of(record: &Record<'_>, checksums: &str) -> BTreeMap<String, ObjectId> {
    let own = (record.path.file().to_string(), record.facts.sha256);
    let entry = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let digest = words.next()?.parse().ok()?;
        Some((words.nth(1)?.to_owned(), digest))
    };
    checksums.lines().filter_map(entry).chain([own]).collect()
}

/// Returns a list with every file's name replaced by that of its object.
fn direct(field: &'static str, list: &str, objects: &BTreeMap<String, ObjectId>) -> Result<String, RenderError> {
    let mut text = String::with_capacity(list.len() * 2);
    for line in list.lines() {
        let Some((before, file)) = line.trim_end().rsplit_once(' ').filter(|(before, _)| !before.trim().is_empty()) else { continue };
        let unlisted = || RenderError::Unlisted { field, file: file.to_owned() };
        let oid = objects.get(file).ok_or_else(unlisted)?;
        let name: FileName = file.parse().map_err(|_| unlisted())?;
        text.push_str(&format!("\n{before} {}", direct_name(oid, &name)));
    }
    Ok(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::formats::index::fixtures;
    use crate::formats::suite::record::{Placement, write_source};
    use crate::words::archive::Descriptions;
    use crate::words::digest::{ExtraDigests, FileFacts};

    const DSC: &str = "Format: 3.0 (native)\nSource: foo\nVersion: 1\nChecksums-Sha1:\n a1 1 foo_1.tar.xz\n\
        Checksums-Sha256:\n b2 1 foo_1.tar.xz\nFiles:\n c3 1 foo_1.tar.xz\n";

    fn rendered(dsc: &str, placement: &Placement, digests: &[ExtraDigest], overrides: Option<&Overrides>) -> Result<String, RenderError> {
        let facts = FileFacts::of(b"", ExtraDigests { sha1: true, sha512: true });
        let text = write_source(dsc, &"pool/main/f/foo/foo_1.dsc".parse().unwrap(), &facts, placement);
        let style = Style { descriptions: Descriptions::Short, digests: digests.iter().copied().collect(), objects: None };
        render(&Record::parse(text.as_bytes()).unwrap(), &style, overrides)
    }

    #[test]
    fn debians_dsc_gives_debians_sources() {
        let text = fixtures::source_record();
        let record = Record::parse(text.as_bytes()).unwrap();
        assert_eq!(render(&record, &Style::debian(), None).unwrap() + "\n", fixtures::SOURCES);
        assert_eq!(sort_key(&record).unwrap().version.unwrap().as_str(), "1.0.1-2");
    }

    #[test]
    fn the_dsc_comes_first_in_each_list_that_is_asked_for() {
        let text = rendered(DSC, &Placement::default(), &[ExtraDigest::Sha1], None).unwrap();
        let expected = "Package: foo\nVersion: 1\nFormat: 3.0 (native)\nChecksums-Sha1:\n \
            da39a3ee5e6b4b0d3255bfef95601890afd80709 0 foo_1.dsc\n a1 1 foo_1.tar.xz\nChecksums-Sha256:\n \
            e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 foo_1.dsc\n b2 1 foo_1.tar.xz\n\
            Directory: pool/main/f/foo\nPriority: optional\nSection: misc\n";
        assert_eq!(text, expected);
        // No SHA-512 of the other files is known, so there is no list of them.
        assert!(!rendered(DSC, &Placement::default(), &[ExtraDigest::Sha512], None).unwrap().contains("Sha512"));
    }

    #[test]
    fn section_and_priority_come_from_the_override_then_the_changes_then_the_dsc() {
        let last = |dsc: &str, placement: &Placement, overrides: Option<&Overrides>| {
            let text = rendered(dsc, placement, &[], overrides).unwrap();
            text.split_once("Directory: pool/main/f/foo\n").unwrap().1.to_owned()
        };
        let changes = Placement { section: Some("net".into()), priority: Some("extra".into()) };
        let dsc = format!("{DSC}Section: doc\nPriority: standard\n");
        let mut overrides = Overrides::default();
        overrides.read_source(b"foo devel\n").unwrap();
        assert_eq!(last(DSC, &changes, Some(&overrides)), "Priority: extra\nSection: devel\n");
        assert_eq!(last(DSC, &changes, None), "Priority: extra\nSection: net\n");
        assert_eq!(last(&dsc, &Placement::default(), None), "Priority: standard\nSection: doc\n");
        overrides.read_source(b"foo source devel\n").unwrap();
        assert_eq!(last(DSC, &changes, Some(&overrides)), "Priority: source\nSection: devel\n");
    }

    #[test]
    fn objects_are_named_in_every_list_with_their_files_names() {
        let part = "abcd".repeat(16);
        let dsc = DSC.replace("b2 1", &format!("{part} 1"));
        let facts = FileFacts::of(b"", ExtraDigests { sha1: true, sha512: true });
        let text = write_source(&dsc, &"pool/main/f/foo/foo_1.dsc".parse().unwrap(), &facts, &Placement::default());
        let style = Style { objects: Some("lfs".to_owned()), ..Style::debian() };
        let text = render(&Record::parse(text.as_bytes()).unwrap(), &style, None).unwrap();
        let (tar, own) = (format!("ab/cd/{part}?n=/foo_1.tar.xz"), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        let expected = format!(
            "Package: foo\nVersion: 1\nFormat: 3.0 (native)\nFiles:\n d41d8cd98f00b204e9800998ecf8427e 0 e3/b0/{own}?n=/foo_1.dsc\n \
             c3 1 {tar}\nChecksums-Sha256:\n {own} 0 e3/b0/{own}?n=/foo_1.dsc\n {part} 1 {tar}\nDirectory: lfs\nPriority: optional\nSection: misc\n"
        );
        assert_eq!(text, expected);
        let odd = dsc.replace(" c3 1 foo_1.tar.xz", " c3 1 other.tar.xz");
        let text = write_source(&odd, &"pool/main/f/foo/foo_1.dsc".parse().unwrap(), &facts, &Placement::default());
        let fault = render(&Record::parse(text.as_bytes()).unwrap(), &style, None).unwrap_err();
        assert_eq!(fault, RenderError::Unlisted { field: "Files", file: "other.tar.xz".to_owned() });
    }

    #[test]
    fn a_source_without_sha256_is_refused() {
        let fault = rendered("Source: foo\nVersion: 1\n", &Placement::default(), &[], None).unwrap_err();
        assert_eq!(fault, RenderError::Missing { field: "Checksums-Sha256" });
    }
}
