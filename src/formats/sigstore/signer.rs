//! Who should have signed: the holder of a key, or a build job that has no key and proves its name to a certificate authority.

use std::fmt;

use super::public_key::PublicKey;
use crate::words::digest::Sha256;

/// Who should have signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signer {
    /// Who has the secret half of this key: ECDSA on P-256.
    Key(PublicKey),
    /// Whom a trusted certificate authority gave a certificate with this name.
    Identity {
        /// A build job's address or a mail address, whole.
        subject: String,
        /// Who vouched for it, such as `https://gitlab.com`.
        issuer: String,
    },
}

impl Signer {
    /// Returns by what signers are told apart: the SHA-256 of the key in DER, or of the name's two parts, a line each.
    pub fn fingerprint(&self) -> Sha256 {
        match self {
            Self::Key(key) => key.fingerprint(),
            Self::Identity { subject, issuer } => Sha256::of(format!("{subject}\n{issuer}\n").as_bytes()),
        }
    }
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => key.fmt(f),
            Self::Identity { subject, issuer } => write!(f, "{subject} ({issuer})"),
        }
    }
}
