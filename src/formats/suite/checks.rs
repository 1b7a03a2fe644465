//! Whether a record agrees with its place and with the pointers of the files that it names.
//!
//! Deploying never makes a record that disagrees; merges and hand edits can. Publishing refuses such a record and `fsck`
//! reports it, both with these words, naming both files.

use std::fmt;

use super::place::{IndexName, RecordPlace};
use super::record::Record;
use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::formats::statement::source_version_of;
use crate::words::deb822::Paragraph;
use crate::words::name::{FileName, SourceName};

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordProblem {
    /// Its path in the repository.
    pub path: String,
    /// What is wrong.
    pub fault: String,
}

impl fmt::Display for RecordProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.fault)
    }
}

fn problem(place: &RecordPlace, fault: impl Into<String>) -> RecordProblem {
    RecordProblem { path: place.to_string(), fault: fault.into() }
}

/// Reads the record at a place.
///
/// # Errors
/// It is no record, or it speaks of another package, version, architecture, source or component than its path does.
pub fn read_at<'a>(place: &RecordPlace, bytes: &'a [u8]) -> Result<Record<'a>, RecordProblem> {
    let record = Record::parse(bytes).map_err(|fault| problem(place, with_cause(&fault)))?;
    let same = |field: &str, expected: &str| match record.get(field) {
        Some(value) if value == expected => Ok(()),
        Some(value) => Err(problem(place, format!("its {field} is \"{value}\", its path says \"{expected}\""))),
        None => Err(problem(place, format!("it has no {field}"))),
    };
    same("Version", place.version.as_str())?;
    match place.index.architecture() {
        // Whoever judges a source by its folder must judge the one that clients are offered.
        None if place.package.as_str() != place.source.as_str() => {
            return Err(problem(place, format!("the source {} lies in the folder of {}", place.package, place.source)));
        }
        None => same("Source", place.package.as_str())?,
        Some(architecture) => {
            same("Package", place.package.as_str())?;
            same("Architecture", architecture.as_str())?;
            let source = record.get("Source").map_or(place.package.as_str(), |source| source.split([' ', '(']).next().unwrap_or(source));
            if source.parse::<SourceName>().ok().as_ref() != Some(&place.source) {
                return Err(problem(place, format!("it comes from source {source}, its path says {}", place.source)));
            }
            if std::str::from_utf8(bytes).ok().and_then(|text| source_version_of(&Paragraph::of_checked(text))).is_none() {
                return Err(problem(place, "the version in its Source field is not usable"));
            }
        }
    }
    if record.path.component() != &place.component || record.path.source() != &place.source {
        return Err(problem(place, format!("its Filename {} belongs to another component or source", record.path)));
    }
    Ok(record)
}

/// Returns the files that a record names with what their pointers must say: the .deb, or the .dsc and the files that it names.
///
/// # Errors
/// A source's `Checksums-Sha256` is not usable.
pub fn files_named(place: &RecordPlace, record: &Record<'_>) -> Result<Vec<(PoolPath, Pointer)>, RecordProblem> {
    let mut files = vec![(record.path.clone(), Pointer::from(&record.facts))];
    if place.index == IndexName::Source {
        let list = record.get("Checksums-Sha256").ok_or_else(|| problem(place, "it has no Checksums-Sha256"))?;
        for line in list.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let fault = || problem(place, format!("the line \"{line}\" of Checksums-Sha256 is not usable"));
            let mut words = line.split_ascii_whitespace();
            let (Some(digest), Some(size), Some(name), None) = (words.next(), words.next(), words.next(), words.next()) else {
                return Err(fault());
            };
            let pointer = Pointer { oid: digest.parse().map_err(|_| fault())?, size: size.parse().map_err(|_| fault())? };
            files.push((record.path.beside(name.parse::<FileName>().map_err(|_| fault())?), pointer));
        }
    }
    Ok(files)
}

/// Says how a record and the pool disagree about a file; `found` is what the pool holds.
pub fn disagreement(place: &RecordPlace, path: &PoolPath, wanted: &Pointer, found: Option<&Result<Pointer, String>>) -> RecordProblem {
    let fault = match found {
        None => format!("it names {path}, which is not in the pool; restore that file, or remove the record"),
        Some(Err(fault)) => format!("it names {path}, but {fault}"),
        Some(Ok(found)) => format!(
            "it says that {path} has sha256 {} and {} bytes, but the pointer there says {} and {} bytes",
            wanted.oid, wanted.size, found.oid, found.size
        ),
    };
    problem(place, fault)
}

/// Returns a fault with its causes in one line.
pub(super) fn with_cause(fault: &dyn std::error::Error) -> String {
    let mut text = fault.to_string();
    let mut cause = fault.source();
    while let Some(fault) = cause {
        text.push_str(&format!(": {fault}"));
        cause = fault.source();
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::formats::suite::record::{Placement, write_source};
    use crate::words::digest::{ExtraDigests, FileFacts};

    #[test]
    fn a_source_lies_in_its_own_folder() {
        let read = |name: &str| {
            let path = "pool/main/h/hello/glibc_1.dsc".parse().unwrap();
            let text =
                write_source("Source: glibc\nVersion: 1\n", &path, &FileFacts::of(b"", ExtraDigests::default()), &Placement::default());
            let place: RecordPlace = format!("suites/trixie/main/source/h/hello/{name}_1").parse().unwrap();
            read_at(&place, text.as_bytes()).unwrap_err().fault
        };
        assert_eq!(read("glibc"), "the source glibc lies in the folder of hello");
        assert_eq!(read("hello"), "its Source is \"glibc\", its path says \"hello\"");
    }
}
