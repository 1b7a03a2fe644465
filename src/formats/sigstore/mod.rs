//! Sigstore: an ECDSA signature over a Release, the entry of a Rekor v2 log that names it, and both together as a bundle.
//!
//! What goes to a log and what comes back ([`entry`]), who signs ([`signer`]), which entries of a log are by them ([`owned`]), the log's signed tree
//! head ([`checkpoint`]), timestamps of RFC 3161 ([`timestamp`]), certificates ([`certificate`]), how a build job gets one ([`fulcio`]) and
//! that everybody may see it ([`promise`]), where to sign ([`signing_config`]), whom a verifier trusts ([`trusted_root`]), the file beside
//! Release ([`bundle`]) and the offline check of it ([`verify`]).
//!
//! Formats: Sigstore's protobuf-specs (bundle v0.3, trusted root v0.1 and v0.2, hashedrekord 0.0.2) in protobuf's JSON form,
//! C2SP's signed notes and checkpoints, RFC 6962, RFC 5652, RFC 3161, RFC 2986 and RFC 5280. Read strictly: what a reader would pass over is
//! refused. Only SHA-256 of the signed bytes, and no RSA.

pub mod bundle;
mod carried;
pub mod certificate;
pub mod checkpoint;
pub mod entry;
pub mod fulcio;
pub mod note;
mod octets;
pub mod owned;
pub mod promise;
pub mod public_key;
pub mod secret_key;
pub mod signer;
pub mod signing_config;
pub mod timestamp;
pub mod trusted_root;
pub mod verify;

pub use octets::Octets;

use crate::formats::merkle::MerkleError;

/// Why something of Sigstore is not usable, or does not show what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigstoreError {
    /// Bytes that are not what they should be.
    #[error("{what} cannot be read: {fault}")]
    Malformed {
        /// What was read.
        what: &'static str,
        /// What is wrong.
        fault: String,
    },
    /// The bundle is about other bytes.
    #[error("it is about bytes with SHA-256 {found}, not {wanted}")]
    OtherBytes {
        /// What it is about, in hex.
        found: String,
        /// What it should be about, in hex.
        wanted: String,
    },
    /// The signature does not hold.
    #[error("its signature is not one of these bytes by {key}")]
    Signature {
        /// The key that should have signed.
        key: String,
    },
    /// The entry in the log is about something else.
    #[error("the log's entry is about something else: {difference}")]
    OtherEntry {
        /// In what it differs.
        difference: &'static str,
    },
    /// The log is none that is trusted.
    #[error("it comes from a log that is not trusted: {log}")]
    UnknownLog {
        /// The log's name and key id.
        log: String,
    },
    /// The log's signature over its tree head does not hold.
    #[error("the checkpoint is not signed by the log {log}")]
    Checkpoint {
        /// The log's name.
        log: String,
    },
    /// The path does not lead from the entry to the tree head.
    #[error("the entry is not in the log")]
    Inclusion(#[from] MerkleError),
    /// What the log says about its tree contradicts itself.
    #[error("the log contradicts itself: {fault}")]
    Contradiction {
        /// What is wrong.
        fault: &'static str,
    },
    /// A timestamp does not hold.
    #[error("a timestamp does not hold: {fault}")]
    Timestamp {
        /// What is wrong.
        fault: String,
    },
    /// There is no timestamp where one is needed.
    #[error("it has no timestamp of a trusted authority, and {reason}")]
    NoTimestamp {
        /// Why one is needed.
        reason: &'static str,
    },
    /// A certificate or its chain does not hold.
    #[error("the certificate does not hold: {fault}")]
    Certificate {
        /// What is wrong.
        fault: String,
    },
    /// Somebody else signed.
    #[error("it was signed by {found}, not by {wanted}")]
    Identity {
        /// Who signed.
        found: String,
        /// Who should have.
        wanted: String,
    },
}

impl SigstoreError {
    pub(super) fn malformed(what: &'static str, fault: impl std::fmt::Display) -> Self {
        Self::Malformed { what, fault: fault.to_string() }
    }
}
