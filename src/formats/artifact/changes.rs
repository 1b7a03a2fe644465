//! An upload's description, the .changes (deb-changes(5), Debian Policy 5.5).
//!
//! It is evidence, not offered to apt: what counts is which files belong together, for which distribution, and with which
//! digests. The signature's armor is taken off before (`clearsign`).

use crate::words::name::SourceName;
use crate::words::version::Version;

use super::fields::{self, FieldError, need};
use super::listing::{self, Columns, Listed, ListingError};

/// Why a .changes is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangesError {
    /// A field.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The list of files.
    #[error(transparent)]
    Listing(#[from] ListingError),
}

/// An upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The source's name.
    pub source: SourceName,
    /// The source's version: in brackets behind `Source` for a binary rebuild, else `Version`.
    pub source_version: Version,
    /// `Version`: that of the upload.
    pub version: Version,
    /// `Distribution`, one word such as `trixie` or `UNRELEASED`.
    pub distribution: String,
    /// `Architecture`: words such as `source`, `amd64`, `all`.
    pub architectures: Vec<String>,
    /// `Binary`: the words as written; empty where it is missing (an upload of source alone).
    pub binaries: Vec<String>,
    /// The files, with the Section and Priority that the upload gives them.
    pub files: Vec<Listed>,
}

impl Changes {
    /// Reads the payload of a .changes.
    ///
    /// # Errors
    /// The first fault: not one paragraph, a field that is missing or malformed, or lists of files that disagree.
    pub fn parse(payload: &str) -> Result<Self, ChangesError> {
        let paragraph = fields::paragraph(payload)?;
        let (source, source_version) = fields::source(need(&paragraph, "Source")?)?;
        let version = fields::version("Version", need(&paragraph, "Version")?)?;
        need(&paragraph, "Distribution")?;
        let distribution = fields::word(&paragraph, "Distribution")?.unwrap_or_default().to_owned();
        let architectures = fields::architectures(&paragraph)?;
        let binaries = paragraph.get("Binary").unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect();
        let files = listing::read(&paragraph, Columns::WithSection)?;
        let source_version = source_version.unwrap_or_else(|| version.clone());
        Ok(Self { source, source_version, version, distribution, architectures, binaries, files })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::specimens::{chain, changes};
    use super::*;

    #[test]
    fn what_a_changes_file_says() {
        let text = changes("hello", "1.0-1", &[("hello_1.0-1.dsc", b"dsc"), ("hello_1.0-1_amd64.deb", b"deb")]);
        let upload = Changes::parse(&text).unwrap();
        assert_eq!((upload.source.as_str(), upload.source_version.as_str(), upload.version.as_str()), ("hello", "1.0-1", "1.0-1"));
        assert_eq!(
            (upload.distribution.as_str(), upload.architectures.as_slice()),
            ("trixie", &["source".to_owned(), "amd64".to_owned()][..])
        );
        assert_eq!(upload.files.iter().map(|file| file.section.as_deref()).collect::<Vec<_>>(), [Some("devel"), Some("devel")]);
        let rebuild = text.replace("Source: hello", "Source: hello (1:1.0-1)").replace("Version: 1.0-1", "Version: 1:1.0-1+b1");
        let upload = Changes::parse(&rebuild).unwrap();
        assert_eq!((upload.source_version.as_str(), upload.version.as_str()), ("1:1.0-1", "1:1.0-1+b1"));
    }

    #[test]
    fn a_refusal_says_why() {
        let text = changes("hello", "1.0-1", &[("hello_1.0-1.dsc", b"dsc")]);
        let check = |from: &str, to: &str, expected: &str| {
            assert_eq!(chain(&Changes::parse(&text.replace(from, to)).unwrap_err()), expected);
        };
        check("Distribution: trixie\n", "", "the field Distribution is missing or empty");
        check(
            "Distribution: trixie",
            "Distribution: trixie sid",
            "Distribution \"trixie sid\" is not one word of letters, digits and + - . / _ ~",
        );
        check("Source: hello\n", "Source: hello ()\n", "Source: \"\" is not a valid version: it is empty or too long");
        check(
            "Version: 1.0-1",
            "Version: one two",
            "Version: \"one two\" is not a valid version: only letters, digits and . + - ~ may follow the epoch",
        );
        check("Checksums-Sha256:", "Checksums-Sha3:", "the field Checksums-Sha256 is missing or empty");
        check(
            "devel optional hello_1.0-1.dsc",
            "hello_1.0-2.dsc",
            "Files: \"9604ba9427a280db542279d9ed78400b 3 hello_1.0-2.dsc\" is not \"digest size section priority name\"",
        );
    }
}
