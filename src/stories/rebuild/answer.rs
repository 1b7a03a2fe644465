//! What a rebuild came to, as a value: one entry for each file, and one for each thing that is wrong.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use crate::formats::blocks::encoders::Encoders;
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// What came out.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RebuildAnswer {
    /// The suite.
    pub codename: Codename,
    /// Counts the Releases of the suite from 1.
    pub sequence: u64,
    /// `Date` of Release.
    pub date: String,
    /// The branch of Releases, by its full name.
    pub branch: String,
    /// The commit there.
    pub commit: String,
    /// The commit that was folded.
    pub base: String,
    /// SHA-256 of the published Release.
    pub release: Sha256,
    /// The version of ddb that made it.
    pub ddb: String,
    /// The compressors that may have made its blocks; none where nobody recorded them.
    pub encoders: Encoders,
    /// Those of this program.
    pub own_encoders: Encoders,
    /// What it came to.
    pub verdict: Verdict,
    /// The signature, where it is good; none also where it was never served.
    pub signature: Option<SignatureAnswer>,
    /// Whether the archive's branch leads to the base commit.
    pub history: History,
    /// The Release and every file that it lists, by path.
    pub files: Vec<RebuiltFile>,
    /// What is wrong, one entry for each thing.
    pub findings: Vec<Finding>,
    /// Where what was made lies.
    pub output: Option<PathBuf>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// What a rebuild came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The Release and every file that it lists, byte for byte.
    Same,
    /// The same texts; some files are another compressor's and were unpacked, as is said of each.
    SameContent,
    /// Nothing differs; some files were compared by what Release says of them alone, or left out, as is said of each.
    NotWhole,
    /// Something is another than the commit gives, or cannot be vouched for by the repository.
    Differs,
}

/// How one file compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The same bytes.
    Same,
    /// Other bytes by another compressor, which unpack to the same text.
    SameContent,
    /// Another compressor made it and its bytes are not at hand: only the digest of its plain form was compared.
    PlainSame,
    /// It was not made, as asked for.
    LeftOut,
    /// Another file.
    Differs,
}

/// One file.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RebuiltFile {
    /// Its path relative to Release.
    pub path: String,
    /// How it compares.
    pub outcome: Outcome,
    /// SHA-256 of what was made.
    pub made: Option<Sha256>,
    /// SHA-256 of what was published.
    pub published: Option<Sha256>,
    /// Why it is not the same, with the first package and field that differ.
    pub reason: Option<String>,
}

/// A good signature.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SignatureAnswer {
    /// Fingerprints of the certificates that signed.
    pub signed_by: Vec<String>,
    /// When it was served, for which time the signatures were checked.
    pub served: String,
}

/// Whether the commit that a Release was made from stands in the history of the archive's branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum History {
    /// It does.
    Kept,
    /// It does not: history was rewritten after it was published, or it was made from a commit that never stood there.
    Elsewhere,
}

/// Something that is wrong.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// What is wrong.
    pub reason: String,
}

impl RebuildAnswer {
    /// Returns the answer with its verdict.
    pub(super) fn judged(mut self) -> Self {
        self.verdict = if !self.findings.is_empty() {
            Verdict::Differs
        } else if self.files.iter().any(|file| file.outcome.is_no_comparison()) {
            Verdict::NotWhole
        } else if self.files.iter().all(|file| file.outcome == Outcome::Same) {
            Verdict::Same
        } else {
            Verdict::SameContent
        };
        self
    }
}

impl Outcome {
    /// Tells whether nobody looked at the file itself.
    pub fn is_no_comparison(self) -> bool {
        matches!(self, Self::PlainSame | Self::LeftOut)
    }
}

impl RebuiltFile {
    /// Returns what is wrong with it, if anything.
    pub(super) fn finding(&self) -> Option<Finding> {
        let differs = self.outcome == Outcome::Differs;
        differs.then(|| Finding { file: self.path.clone(), reason: self.reason.clone().unwrap_or_default() })
    }
}
