//! Why a certificate is not usable.

use super::{KEYRING, RSA_BITS};
use crate::words::date::Timestamp;

/// Why a file is not a keyring of public certificates.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// It is larger than any keyring.
    #[error("{name} has {bytes} bytes, more than {KEYRING}")]
    TooLarge {
        /// The file.
        name: String,
        /// Its size.
        bytes: usize,
    },
    /// It has no certificate.
    #[error("{name} has no OpenPGP certificate")]
    Empty {
        /// The file.
        name: String,
    },
    /// It has something that is no certificate.
    #[error("{name} is not a keyring of OpenPGP certificates: {reason}")]
    Malformed {
        /// The file.
        name: String,
        /// What the parser says.
        reason: String,
    },
    /// It has a secret key where only public ones belong.
    #[error("{name} holds the SECRET key {fingerprint}; treat that key as leaked: remove the file, revoke the key and make another")]
    Secret {
        /// The file.
        name: String,
        /// The key.
        fingerprint: String,
    },
}

/// Why a certificate may not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// apt refuses this algorithm.
    #[error("{fingerprint} is a {algorithm} key, which apt refuses; use ed25519, or RSA of 2048 bits or more")]
    Weak {
        /// The key or subkey.
        fingerprint: String,
        /// Algorithm and size, such as `rsa1024`.
        algorithm: String,
    },
    /// The key is too large for the library.
    #[error("{fingerprint} is a {algorithm} key, larger than the {RSA_BITS} bits that can be checked here; use ed25519 or rsa{RSA_BITS}")]
    TooLarge {
        /// The key or subkey.
        fingerprint: String,
        /// Algorithm and size, such as `rsa8192`.
        algorithm: String,
    },
    /// The self-signatures are weak or missing.
    #[error("{fingerprint} has no valid self-signature{}", weak_hash.as_ref().map(|hash| format!(" (only with {hash}, which is broken)")).unwrap_or_default())]
    Unbound {
        /// The key or subkey.
        fingerprint: String,
        /// The weak digest that they use, if that is the reason.
        weak_hash: Option<String>,
    },
    /// The key was revoked by its owner.
    #[error("{fingerprint} is revoked ({reason})")]
    Revoked {
        /// The key or subkey.
        fingerprint: String,
        /// The reason that its owner gave.
        reason: String,
    },
    /// The key is too old.
    #[error("{fingerprint} expired on {}", at.iso8601())]
    Expired {
        /// The key or subkey.
        fingerprint: String,
        /// When.
        at: Timestamp,
    },
    /// The key is from the future.
    #[error("{fingerprint} is valid only from {} on; is the clock right?", from.iso8601())]
    NotYetValid {
        /// The key or subkey.
        fingerprint: String,
        /// From when on.
        from: Timestamp,
    },
    /// The certificate can certify or decrypt but not sign.
    #[error("{fingerprint} has no key for signing, only for certifying or encrypting; add a signing subkey (gpg --quick-add-key)")]
    NoSigningKey {
        /// The certificate.
        fingerprint: String,
    },
}
