//! How a build was made, the .buildinfo (deb-buildinfo(5)): stored as evidence, not indexed.
//!
//! Only what is needed to file it and to compare its checksums is read. The signature's armor is taken off before
//! (`clearsign`).

use crate::words::name::SourceName;
use crate::words::version::Version;

use super::fields::{self, FieldError, need};
use super::listing::{self, Columns, Listed, ListingError};

/// Why a .buildinfo is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildinfoError {
    /// A field.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The list of files.
    #[error(transparent)]
    Listing(#[from] ListingError),
}

/// A record of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buildinfo {
    /// The source's name.
    pub source: SourceName,
    /// The source's version: in brackets behind `Source` for a binary rebuild, else `Version`.
    pub source_version: Version,
    /// `Version`: that of what was built.
    pub version: Version,
    /// `Architecture`: words such as `source`, `amd64`, `all`.
    pub architectures: Vec<String>,
    /// What was built.
    pub files: Vec<Listed>,
}

impl Buildinfo {
    /// Reads the payload of a .buildinfo.
    ///
    /// # Errors
    /// The first fault: not one paragraph, a field that is missing or malformed, or lists of files that disagree.
    pub fn parse(payload: &str) -> Result<Self, BuildinfoError> {
        let paragraph = fields::paragraph(payload)?;
        let (source, source_version) = fields::source(need(&paragraph, "Source")?)?;
        let version = fields::version("Version", need(&paragraph, "Version")?)?;
        let architectures = fields::architectures(&paragraph)?;
        let files = listing::read(&paragraph, Columns::None)?;
        let source_version = source_version.unwrap_or_else(|| version.clone());
        Ok(Self { source, source_version, version, architectures, files })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const BUILDINFO: &str = "Format: 1.0\nSource: hello (1.0-1)\nBinary: hello\nArchitecture: amd64\nVersion: 1.0-1+b2\n\
        Checksums-Md5:\n 900150983cd24fb0d6963f7d28e17f72 3 hello_1.0-1+b2_amd64.deb\n\
        Checksums-Sha256:\n ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad 3 hello_1.0-1+b2_amd64.deb\n\
        Environment:\n LANG=\"C\"\n";

    #[test]
    fn what_a_buildinfo_says() {
        let build = Buildinfo::parse(BUILDINFO).unwrap();
        assert_eq!((build.source_version.as_str(), build.version.as_str()), ("1.0-1", "1.0-1+b2"));
        assert_eq!(build.files.len(), 1);
        assert!(build.files.iter().all(|file| file.md5.is_some()));
        assert!(Buildinfo::parse(&BUILDINFO.replace("Sha256", "Sha0")).is_err());
        assert!(Buildinfo::parse(&BUILDINFO.replace("Checksums-Md5:\n 9", "Checksums-Md5:\n x")).is_err());
    }
}
