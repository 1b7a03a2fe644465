//! Provenance: who built which files from what, as an in-toto statement with SLSA's predicate in a signed DSSE envelope.
//!
//! The envelope ([`dsse`]), the statement in it ([`in_toto`]) and what a CI job says of itself ([`claims`]); the keys that sign
//! ([`key`]); what lies in a file, an envelope or a bundle of Sigstore around one ([`evidence`]); and whose signatures count for
//! which source package ([`policy`], of [`project`]s).
//!
//! Formats: DSSE v1 (secure-systems-lab/dsse), in-toto attestation framework v1 (Statement v1), SLSA provenance v1, Sigstore's
//! bundle v0.3, Fulcio's certificate extensions. What is not signed by somebody pinned is information and no evidence.

pub mod claims;
pub mod dsse;
pub mod evidence;
pub mod in_toto;
pub mod key;
pub mod policy;
pub mod project;

use crate::formats::sigstore::SigstoreError;
use crate::words::digest::Sha256;

/// The longest envelope, bundle or statement in bytes.
pub const LONGEST: usize = 8 << 20;

/// Why provenance is not usable, or does not show what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProvenanceError {
    /// Bytes that are not what they should be.
    #[error("{what} cannot be read: {fault}")]
    Malformed {
        /// What was read.
        what: &'static str,
        /// What is wrong.
        fault: String,
    },
    /// A secret key is not usable; the message holds nothing of it.
    #[error("it is no secret key that signs provenance: {0}")]
    Secret(String),
    /// No project may bring this source package.
    #[error("no project in [provenance.projects] of ddb.toml has {package} among its sources; add it there")]
    NoProject {
        /// The source package.
        package: String,
    },
    /// Nobody signed.
    #[error("it carries no signature: what a CI job claims is information and no evidence")]
    Unsigned,
    /// Somebody else signed.
    #[error("it was not signed by {wanted}, whom ddb.toml names for the project {project}, but by {found}")]
    Signer {
        /// The project.
        project: String,
        /// Who should have signed.
        wanted: String,
        /// Who says to have signed.
        found: String,
    },
    /// A certificate, its timestamp or its entry in a log does not hold.
    #[error("its signer is not shown: {0}")]
    Certificate(#[from] SigstoreError),
    /// It is about something else.
    #[error("its {what} is {found}, and for the project {project} ddb.toml wants {wanted}")]
    Other {
        /// The project.
        project: String,
        /// What differs.
        what: &'static str,
        /// What it says.
        found: String,
        /// What it should say.
        wanted: String,
    },
    /// The suite has a binary package of this name from a source that is none of the project's.
    #[error(
        "the suite has {package} from the source {other}, which is not among the sources of the project {project} in ddb.toml; if the project may take that name over, list its binary packages there as `packages`, with {package}"
    )]
    Taken {
        /// The binary package.
        package: String,
        /// The project.
        project: String,
        /// The source package that has it.
        other: String,
    },
    /// The project lists its binary packages, and not this one.
    #[error("{package} is not among the `packages` of the project {project} in ddb.toml; add it there")]
    NotListed {
        /// The binary package.
        package: String,
        /// The project.
        project: String,
    },
    /// It says of a file what is not so.
    #[error("it calls {what} {}, and it is {is}", said.escape_debug())]
    Otherwise {
        /// What it speaks of.
        what: &'static str,
        /// What it says.
        said: String,
        /// What is so.
        is: String,
    },
    /// It does not name a file.
    #[error("it does not name sha256 {sha256}")]
    NotNamed {
        /// The file's digest.
        sha256: Sha256,
    },
}

impl ProvenanceError {
    fn malformed(what: &'static str, fault: impl std::fmt::Display) -> Self {
        Self::Malformed { what, fault: fault.to_string() }
    }
}
