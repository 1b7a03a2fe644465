//! What verifying found out: a value for people and programs, and the class that the exit code tells.

use schemars::JsonSchema;
use serde::Serialize;

use crate::words::digest::Sha256;

/// What kind of thing is wrong. Where several are, the first of this order is the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// No good signature by a pinned key, or signed texts that contradict each other.
    Signature,
    /// Expired, too old, or from the future.
    Freshness,
    /// Older than what was seen before, or another one of the same date.
    Rollback,
    /// A proof of a transparency log is missing or not good.
    Proof,
    /// An index is missing or is not what Release lists.
    Index,
    /// A pool file is missing or is not what its index lists.
    Pool,
    /// A file or package is not what the archive published.
    NotPublished,
    /// Something could not be fetched.
    Unreachable,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// Its class.
    pub class: Class,
    /// The file, as a path below the location.
    pub file: String,
    /// What is wrong, and what it may mean.
    pub reason: String,
}

impl Finding {
    pub(super) fn new(class: Class, file: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { class, file: file.into(), reason: reason.into() }
    }
}

/// How many files were compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CheckedFiles {
    /// Files that were read to their end.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A proof of a transparency log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProofAnswer {
    /// `sigsum` or `sigstore`.
    pub log: String,
    /// Where the proof was found: `InRelease` (stapled), or a path.
    pub found: Vec<String>,
    /// Who else has seen it: names of witnesses, as the policy calls them.
    pub witnesses: Vec<String>,
    /// What could be told about the entry, such as its place in the log.
    pub entry: String,
}

/// What was found out about one suite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SuiteAnswer {
    /// Its name below `dists/`; with `--lists` the file's name.
    pub suite: String,
    /// SHA-256 of the Release that was verified; `null` where none was.
    pub release: Option<Sha256>,
    /// `Origin` of Release.
    pub origin: Option<String>,
    /// `Codename` of Release.
    pub codename: Option<String>,
    /// `Date`, ISO 8601.
    pub date: Option<String>,
    /// `Valid-Until`, ISO 8601.
    pub valid_until: Option<String>,
    /// Fingerprints of the pinned certificates that signed it.
    pub signed_by: Vec<String>,
    /// Date of the newest Release that was seen before, ISO 8601; `null` at the first look.
    pub seen_before: Option<String>,
    /// Proofs that are good.
    pub proofs: Vec<ProofAnswer>,
    /// Indices that are as Release lists them, in every form and under every name.
    pub indices: CheckedFiles,
    /// Pool files that are as an index lists them.
    pub pool: CheckedFiles,
    /// What was not checked, and what is weaker than it could be.
    pub notes: Vec<String>,
}

/// Where an index lists a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Listing {
    /// The suite, as it was asked for.
    pub suite: String,
    /// The index, relative to the suite's folder.
    pub index: String,
    /// The file's path below the location.
    pub path: String,
    /// Date of the Release that lists it, ISO 8601.
    pub date: String,
}

/// A version of a package that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct VersionAnswer {
    /// The package.
    pub package: String,
    /// The version.
    pub version: String,
    /// The architecture; `source` for a source package.
    pub architecture: String,
    /// The suite.
    pub suite: String,
    /// Its files below the location, all of which are as listed if there is no finding about them.
    pub files: Vec<String>,
}

/// Whether a file is what the archive published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FileAnswer {
    /// The file as it was given.
    pub file: String,
    /// SHA-256 of its bytes.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub size: u64,
    /// The package, where an index lists the file.
    pub package: Option<String>,
    /// The version.
    pub version: Option<String>,
    /// The architecture; `source` for a file of a source package.
    pub architecture: Option<String>,
    /// The source package, and its version where it differs, as the index writes it.
    pub source: Option<String>,
    /// Every verified index that lists exactly these bytes; empty: the archive does not publish this file now.
    pub listed: Vec<Listing>,
    /// Where the file comes from, as the archive's repository says; `null` without one.
    pub provenance: Option<ProvenanceAnswer>,
}

/// Where a file comes from, as the archive's repository says. That is a claim of whoever may write there, not proved by the Release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProvenanceAnswer {
    /// The file's path in the repository.
    pub path: String,
    /// The commit that brought the file.
    pub commit: String,
    /// When that commit was made, ISO 8601.
    pub committed: String,
    /// Who made it.
    pub author: String,
    /// Web address of the CI job.
    pub job: Option<String>,
    /// Digest of the statement that was landed.
    pub statement: Option<String>,
    /// Fingerprints of the uploaders whose signatures were checked.
    pub uploaders: Vec<String>,
    /// The .buildinfo files that the same commit brought for the same source, as `path sha256:…`.
    pub buildinfo: Vec<String>,
    /// The first and the last Release of each suite that offered the file.
    pub releases: Vec<String>,
    /// The provenance that the file's record names; `null` where it names none. Where several records name several, one that is
    /// evidence, if any is.
    pub envelope: Option<EnvelopeAnswer>,
    /// The others that records name for the file.
    pub other_envelopes: Vec<EnvelopeAnswer>,
}

/// An in-toto statement about a file, in an envelope or a bundle. Evidence only where `project` says whose pinned signature it carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EnvelopeAnswer {
    /// SHA-256 of the envelope, bundle or statement.
    pub sha256: Sha256,
    /// Whether it names the file; `null` where it is not at hand or cannot be read.
    pub names_file: Option<bool>,
    /// Who signed: checked where `project` is not `null`, else as it says itself.
    pub signed_by: Option<String>,
    /// The project of ddb.toml whose keys or authorities accept it for this source package; `null`: it is information and no evidence.
    pub project: Option<String>,
    /// Why it is no evidence.
    pub refused: Option<String>,
    /// Who built: an address that means a runner.
    pub builder: Option<String>,
    /// The repository that was built.
    pub repository: Option<String>,
    /// Its branch or tag.
    pub reference: Option<String>,
    /// Its commit.
    pub commit: Option<String>,
    /// Web address of the CI job.
    pub job: Option<String>,
    /// The image that the job ran in, with its digest where known.
    pub image: Option<String>,
}

impl Default for EnvelopeAnswer {
    fn default() -> Self {
        Self {
            sha256: Sha256::of(b""),
            names_file: None,
            signed_by: None,
            project: None,
            refused: None,
            builder: None,
            repository: None,
            reference: None,
            commit: None,
            job: None,
            image: None,
        }
    }
}

/// What verifying found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VerifyAnswer {
    /// The address or folder.
    pub location: String,
    /// The class of what is wrong; `null`: everything that was checked is good.
    pub verdict: Option<Class>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// The suites.
    pub suites: Vec<SuiteAnswer>,
    /// Versions of the packages that were asked for.
    pub versions: Vec<VersionAnswer>,
    /// The files that were asked for.
    pub files: Vec<FileAnswer>,
}

impl VerifyAnswer {
    pub(super) fn of(location: String) -> Self {
        Self { location, verdict: None, findings: Vec::new(), suites: Vec::new(), versions: Vec::new(), files: Vec::new() }
    }

    /// Returns the answer with its verdict.
    pub(super) fn judged(mut self) -> Self {
        self.verdict = self.findings.iter().map(|finding| finding.class).min();
        self
    }
}
