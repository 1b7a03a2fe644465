//! A statement: everything that a deploy job wants to say, free of the state of the branch that it will land on.
//!
//! It names files with their digests, the records that a suite shall offer and where they come from. What it changes is
//! computed by `replay` from the statement and the tip alone, again for every try, so that landing can race without loss.
//! It is a value with one JSON form, whose SHA-256 is its name.

pub mod checks;
pub mod fit;
pub mod message;
pub mod replay;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::formats::suite::place::{IndexName, RecordPlace};
use crate::words::deb822::Paragraph;
use crate::words::digest::{FileFacts, OidHasher, Sha256};
use crate::words::name::{Architecture, Codename, Component, PackageName, SourceName};
use crate::words::version::Version;

/// What one `out/` wants a suite to offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The suite.
    pub suite: Codename,
    /// One entry for every source package and version in `out/`, ordered by both.
    pub builds: Vec<Build>,
    /// Web address of the CI job, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Fingerprints of the uploaders whose signatures were checked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_by: Vec<String>,
}

/// What one build of one source package left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The source package.
    pub source: SourceName,
    /// Its version, which for a binary rebuild is not that of the binaries.
    pub version: Version,
    /// The source package itself, where it is in `out/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_package: Option<SourcePackage>,
    /// Binary packages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub binaries: Vec<Binary>,
    /// .changes, .buildinfo and logs: kept in the pool, offered by no index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<PooledFile>,
    /// Where the files come from: signed envelopes or bundles, or what a CI job claimed, as the records name them. Kept in the pool as
    /// evidence is, as long as a record names it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provenance: Vec<PooledFile>,
}

/// A file and its place in the pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PooledFile {
    /// Its place.
    pub path: PoolPath,
    /// Its size and digests.
    pub facts: FileFacts,
}

/// A binary package: its file and its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Binary {
    /// The package.
    pub package: PackageName,
    /// Its own version.
    pub version: Version,
    /// Its architecture.
    pub architecture: Architecture,
    /// Whether it is a udeb, which goes to the installer's index.
    #[serde(default)]
    pub udeb: bool,
    /// The file.
    pub file: PooledFile,
    /// The text of its record.
    pub record: String,
}

/// A source package: its .dsc with the record, and the files that the .dsc names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourcePackage {
    /// The .dsc.
    pub file: PooledFile,
    /// The text of its record.
    pub record: String,
    /// The files that the .dsc names.
    pub parts: Vec<SourcePart>,
}

/// A file that a .dsc names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourcePart {
    /// Its place.
    pub path: PoolPath,
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Sha256,
    /// Whether it was in `out/`; else it must be in the pool already.
    pub here: bool,
}

impl Statement {
    /// Returns the one JSON form.
    pub fn to_json(&self) -> String {
        // A statement is strings, numbers and lists: it always has a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns the statement's name: the SHA-256 of its JSON form.
    pub fn digest(&self) -> Sha256 {
        // A statement of a whole archive is not held a second time as text.
        let mut hasher = OidHasher::default();
        let written = serde_json::to_writer(&mut hasher, self);
        if written.is_ok() { hasher.finish().0 } else { Sha256::of(b"") }
    }

    /// Returns every file that was in `out/`, with its place.
    pub fn files(&self) -> impl Iterator<Item = (&PoolPath, Pointer)> {
        self.builds.iter().flat_map(|build| {
            let source = build.source_package.iter();
            let parts = source.clone().flat_map(|source| source.parts.iter().filter(|part| part.here));
            let parts = parts.map(|part| (&part.path, Pointer { oid: part.sha256, size: part.size }));
            let files = build.binaries.iter().map(|binary| &binary.file).chain(source.map(|source| &source.file));
            let files = files.chain(&build.evidence).chain(&build.provenance);
            files.map(|file| (&file.path, Pointer::from(&file.facts))).chain(parts)
        })
    }
}

impl Build {
    /// Returns the records with the files that they are about.
    pub fn records(&self) -> impl Iterator<Item = (&PooledFile, &str)> {
        let binaries = self.binaries.iter().map(|binary| (&binary.file, binary.record.as_str()));
        binaries.chain(self.source_package.iter().map(|source| (&source.file, source.record.as_str())))
    }

    /// Returns the architectures that the build speaks for, beside source and all.
    pub fn architectures(&self) -> impl Iterator<Item = &Architecture> {
        let mut seen = std::collections::BTreeSet::new();
        self.binaries
            .iter()
            .map(|binary| &binary.architecture)
            .filter(move |architecture| !architecture.is_all() && seen.insert(*architecture))
    }
}

impl Binary {
    /// Returns the place of the record.
    pub fn place(&self, suite: &Codename, source: &SourceName) -> RecordPlace {
        let architecture = self.architecture.clone();
        RecordPlace {
            codename: suite.clone(),
            component: self.file.path.component().clone(),
            index: if self.udeb { IndexName::Installer(architecture) } else { IndexName::Binary(architecture) },
            source: source.clone(),
            package: self.package.clone(),
            version: self.version.clone(),
        }
    }
}

impl SourcePackage {
    /// Returns the place of the record.
    pub fn place(&self, suite: &Codename, build: &Build) -> RecordPlace {
        RecordPlace {
            codename: suite.clone(),
            component: self.file.path.component().clone(),
            index: IndexName::Source,
            source: build.source.clone(),
            package: PackageName::from(&build.source),
            version: build.version.clone(),
        }
    }

    /// Returns the component.
    pub fn component(&self) -> &Component {
        self.file.path.component()
    }
}

/// Returns the version of the source package that a binary paragraph comes from: that in `Source: name (version)`, else its own. Of a
/// record only what the package says counts, the fields before ddb's own, which begin with Filename.
///
/// `None` where the paragraph has no usable version.
pub fn source_version_of(paragraph: &Paragraph<'_>) -> Option<Version> {
    let said = paragraph.fields().iter().take_while(|field| field.name != "Filename");
    let get = |name: &str| said.clone().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value());
    let in_brackets = get("Source").and_then(|source| source.split_once('(')).and_then(|(_, rest)| rest.strip_suffix(')'));
    in_brackets.or_else(|| get("Version"))?.trim().parse().ok()
}
