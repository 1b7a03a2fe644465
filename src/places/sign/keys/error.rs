//! Why a secret key is not usable.

use crate::places::sign::certificate::Refusal;
use crate::words::date::Span;

/// Why a secret key is of no use.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It is no key.
    #[error("{name} holds neither an armored nor a binary OpenPGP secret key, nor one as a line of base64")]
    Unreadable {
        /// Where it was read.
        name: String,
    },
    /// It is a public key.
    #[error("{name} holds only the public part of {fingerprint}; export the secret part (gpg --export-secret-keys)")]
    OnlyPublic {
        /// Where it was read.
        name: String,
        /// The certificate.
        fingerprint: String,
    },
    /// The part that is needed was left out of the export.
    #[error("the secret part of {key} is not here{}", if *.primary { "; do this where the primary key is kept" } else { "; export it too (gpg --export-secret-subkeys)" })]
    Absent {
        /// The key or subkey.
        key: String,
        /// Whether the primary key is needed.
        primary: bool,
    },
    /// It needs a passphrase.
    #[error("the key {key} is protected by a passphrase, and none was given")]
    Protected {
        /// The certificate.
        key: String,
    },
    /// No passphrase opens it.
    #[error("the given passphrase does not open the key {key}")]
    WrongPassphrase {
        /// The certificate.
        key: String,
    },
    /// It may not sign.
    #[error("the key may not sign: {}{}", .0, remedy(.0))]
    Refused(Refusal),
    /// The user ID is not usable.
    #[error("\"{user_id}\" is no user ID: {reason}")]
    UserId {
        /// As given.
        user_id: String,
        /// Why.
        reason: &'static str,
    },
    /// The expiry is not usable.
    #[error("a key cannot be valid for {validity}: the end must lie after today and before 2106")]
    Validity {
        /// As given.
        validity: Span,
    },
    /// A file with a secret cannot be read or written.
    #[error("cannot {operation} {path}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The library failed.
    #[error("cannot {operation}: {reason}")]
    Crypto {
        /// What was tried.
        operation: &'static str,
        /// What the library says.
        reason: String,
    },
}

fn remedy(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Expired { .. } => "; `ddb-publish key extend` gives it a longer life",
        _ => "",
    }
}

pub(super) fn crypto(operation: &'static str) -> impl Fn(&dyn std::fmt::Display) -> SecretError {
    move |error| SecretError::Crypto { operation, reason: format!("{error:#}") }
}
