//! A source package's description, the .dsc (dsc(5), Debian Policy 5.4).
//!
//! The paragraph is kept verbatim for Sources; what decides about the source's place, and the list of its files, is read
//! from it and checked. The signature's armor is taken off before (`clearsign`); the tarballs are not opened.

use crate::words::deb822::Paragraph;
use crate::words::name::{Component, FileName, PackageName, SourceName};
use crate::words::version::Version;

use super::fields::{self, FieldError, is_word, malformed, need};
use super::listing::{self, Columns, Listed, ListingError};

/// Fields that Sources alone sets and a .dsc may not.
const RESERVED: [&str; 4] = ["Package", "Directory", "Section", "Priority"];

/// Why a .dsc is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DscError {
    /// A field.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The list of files.
    #[error(transparent)]
    Listing(#[from] ListingError),
    /// The file's own name is another.
    #[error("it says that its name should be {expected}")]
    FileName {
        /// The name that dpkg-source gives.
        expected: String,
    },
    /// A listed file that is no part of this source.
    #[error("it lists {file}, whose name does not begin with {source_name}_ or is no source file's")]
    ForeignFile {
        /// The listed file.
        file: FileName,
        /// The source.
        source_name: SourceName,
    },
}

/// One line of `Package-List`: a binary package that the source builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageEntry {
    /// Its name.
    pub package: PackageName,
    /// `deb`, `udeb`, …
    pub package_type: String,
    /// Its Section.
    pub section: String,
    /// Its Priority.
    pub priority: String,
    /// The component that its Section names, else `main`.
    pub component: Component,
}

/// A source package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dsc {
    /// The paragraph verbatim, one newline at its end.
    pub text: String,
    /// `Source`
    pub source: SourceName,
    /// `Version`
    pub version: Version,
    /// `Format`, such as `3.0 (quilt)`.
    pub format: String,
    /// `Architecture`: words such as `any`, `all`, `linux-any`, `amd64`.
    pub architectures: Vec<String>,
    /// `Binary`: the packages that it builds.
    pub binaries: Vec<PackageName>,
    /// `Package-List`; empty where it is missing (old sources).
    pub package_list: Vec<PackageEntry>,
    /// The files of the source, the .dsc itself not among them.
    pub files: Vec<Listed>,
}

impl Dsc {
    /// Reads the payload of a .dsc and checks that it belongs into a file of this name.
    ///
    /// # Errors
    /// The first fault: not one paragraph, a field that is missing, reserved or malformed, lists of files that disagree or
    /// name files of other sources, or another file name.
    pub fn parse(payload: &str, file: &FileName) -> Result<Self, DscError> {
        let text = format!("{}\n", payload.trim_matches('\n'));
        let paragraph = fields::paragraph(&text)?;
        fields::check_all(&paragraph, &RESERVED)?;
        let source: SourceName = fields::name("Source", need(&paragraph, "Source")?)?;
        let version = fields::version("Version", need(&paragraph, "Version")?)?;
        let format = check_format(need(&paragraph, "Format")?)?.to_owned();
        need(&paragraph, "Maintainer")?;
        let architectures = fields::architectures(&paragraph)?;
        let binaries = binaries(&paragraph)?;
        let package_list = package_list(paragraph.get("Package-List").unwrap_or_default())?;
        let files = listing::read(&paragraph, Columns::Plain)?;
        if let Some(foreign) = files.iter().find(|listed| !belongs_to(&listed.name, &source)) {
            return Err(DscError::ForeignFile { file: foreign.name.clone(), source_name: source });
        }
        let expected = format!("{source}_{}.dsc", version.without_epoch());
        if file.as_str() != expected {
            return Err(DscError::FileName { expected });
        }
        Ok(Self { source, version, format, architectures, binaries, package_list, files, text })
    }
}

/// `1.0`, `3.0 (native)`, `3.0 (quilt)` and their kin.
fn check_format(text: &str) -> Result<&str, FieldError> {
    let (number, variant) = text.split_once(' ').unwrap_or((text, "(x)"));
    let number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let variant = variant.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let variant = variant.is_some_and(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    if number && variant { Ok(text) } else { Err(malformed("Format", text, "is not a source format such as \"3.0 (quilt)\"")) }
}

fn binaries(paragraph: &Paragraph<'_>) -> Result<Vec<PackageName>, FieldError> {
    let Some(text) = paragraph.get("Binary") else { return Ok(Vec::new()) };
    text.split(',').map(|word| fields::name("Binary", word.trim_ascii())).collect()
}

/// Reads `name type section priority [key=value…]` lines.
fn package_list(text: &str) -> Result<Vec<PackageEntry>, FieldError> {
    const FIELD: &str = "Package-List";
    let entry = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (Some(package), Some(package_type), Some(section), Some(priority)) = (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(malformed(FIELD, line, "is not \"name type section priority\""));
        };
        if ![package_type, section, priority].into_iter().all(is_word) {
            return Err(malformed(FIELD, line, "is not \"name type section priority\""));
        }
        Ok(PackageEntry {
            package: fields::name(FIELD, package)?,
            package_type: package_type.to_owned(),
            section: section.to_owned(),
            priority: priority.to_owned(),
            component: Component::of_section(section).map_err(|fault| FieldError::Name { field: FIELD, fault })?,
        })
    };
    text.split('\n').filter(|line| !line.trim_ascii().is_empty()).map(entry).collect()
}

/// A .dsc may bring only files that begin with its own name and are no packages or descriptions themselves.
fn belongs_to(file: &FileName, source: &SourceName) -> bool {
    let own = file.as_str().strip_prefix(source.as_str()).is_some_and(|rest| rest.starts_with('_'));
    own && ![".dsc", ".deb", ".udeb", ".ddeb", ".changes", ".buildinfo"].iter().any(|ending| file.as_str().ends_with(ending))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::specimens::{chain, changes, dsc};
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str, file: &str) -> Result<Dsc, DscError> {
        Dsc::parse(text, &file.parse().unwrap())
    }

    #[test]
    fn what_a_dsc_says() {
        let text = dsc("hello", "1:1.0-1", &[("hello_1.0.orig.tar.gz", b"orig"), ("hello_1.0-1.debian.tar.xz", b"debian")]);
        let dsc = parse(&format!("\n{text}\n\n"), "hello_1.0-1.dsc").unwrap();
        assert_eq!(dsc.text, text);
        assert_eq!((dsc.source.as_str(), dsc.version.as_str(), dsc.format.as_str()), ("hello", "1:1.0-1", "3.0 (quilt)"));
        assert_eq!(dsc.architectures, ["any", "all"]);
        assert_eq!(dsc.binaries.iter().map(PackageName::as_str).collect::<Vec<_>>(), ["hello", "hello-doc"]);
        assert_eq!(dsc.package_list.iter().map(|entry| entry.section.as_str()).collect::<Vec<_>>(), ["devel", "contrib/doc"]);
        assert_eq!(dsc.package_list.iter().map(|entry| entry.component.as_str()).collect::<Vec<_>>(), ["main", "contrib"]);
        assert_eq!(
            dsc.files.iter().map(|file| (file.name.as_str(), file.size)).collect::<Vec<_>>(),
            [("hello_1.0.orig.tar.gz", 4), ("hello_1.0-1.debian.tar.xz", 6)]
        );
    }

    #[test]
    fn a_refusal_says_why() {
        let text = dsc("hello", "1.0-1", &[("hello_1.0.tar.gz", b"orig")]);
        let check = |from: &str, to: &str, expected: &str| {
            assert!(text.contains(from), "{from}");
            assert_eq!(chain(&parse(&text.replace(from, to), "hello_1.0-1.dsc").unwrap_err()), expected);
        };
        check("Format: 3.0 (quilt)\n", "", "the field Format is missing or empty");
        check("3.0 (quilt)", "3.0 quilt", "Format \"3.0 quilt\" is not a source format such as \"3.0 (quilt)\"");
        check("Version: 1.0-1", "Version: 1.0-2", "it says that its name should be hello_1.0-2.dsc");
        check("Checksums-Sha256", "Checksums-Sha1024", "the field Checksums-Sha256 is missing or empty");
        check("Standards-Version", "Directory", "the field Directory belongs to the archive's indices and may not be set by a package");
        check(
            "Build-Depends: ",
            "Build-Depends: (x) ",
            "Build-Depends: \"(x) debhelper-compat (= 13)\" does not begin with a package name",
        );
        check(
            "hello_1.0.tar.gz",
            "other_1.0.tar.gz",
            "it lists other_1.0.tar.gz, whose name does not begin with hello_ or is no source file's",
        );
        check(
            "hello_1.0.tar.gz",
            "hello_1.0-1.dsc",
            "it lists hello_1.0-1.dsc, whose name does not begin with hello_ or is no source file's",
        );
        check(
            "hello deb devel optional",
            "hello deb devel",
            "Package-List \"hello deb devel arch=any\" is not \"name type section priority\"",
        );
        check("Architecture: any all", "Architecture: any,all", "Architecture \"any,all\" is not a list of architectures");
        check(
            "Source: hello",
            "Source: hello (1)",
            "Source: \"hello (1)\" is not a valid source name: two or more of a-z 0-9 + - . beginning with a letter or digit",
        );
    }

    proptest! {
        #[test]
        fn changed_descriptions_never_panic(at in 0..600usize, length in 0..30usize, new in "[ -~\n\t\réü]{0,30}") {
            let files = [("hello_1.0.tar.gz", &b"orig"[..])];
            for text in [dsc("hello", "1.0-1", &files), changes("hello", "1.0-1", &files)] {
                let mut text = text;
                let begin = at.min(text.len());
                text.replace_range(begin..(begin + length).min(text.len()), &new);
                let _ = parse(&text, "hello_1.0-1.dsc");
                let _ = crate::formats::artifact::changes::Changes::parse(&text);
                let _ = crate::formats::artifact::buildinfo::Buildinfo::parse(&text);
            }
        }
    }
}
