//! Sigsum: leaves, tree heads, proofs, policies, and the offline check of all of them together.
//!
//! Follows the Sigsum log protocol v1 (log.md), proof format version 2 (sigsum-proof.md), policy files (policy.md) and C2SP's
//! tlog-cosignature. Keys and signatures are ed25519 (RFC 8032). What is read is foreign: sizes are bounded and every line is
//! looked at. The reference is sigsum-go; `tests/it/sigsum.rs` compares verdicts.

mod ascii;
pub mod consistency;
pub mod leaf;
pub mod policy;
pub mod proof;
pub mod token;
pub mod tree_head;
pub mod verify;

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature as Ed25519, VerifyingKey};

use crate::words::digest::Sha256;

pub use ascii::AsciiError;
pub use policy::Policy;
pub use proof::Proof;
pub use verify::{Verified, VerifyError, verify};

/// A public key: 32 bytes, in hexadecimal where it is text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

/// A signature: 64 bytes, in hexadecimal where it is text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl PublicKey {
    /// Returns the key with these bytes, which need not be those of a point on the curve.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the key hash: how logs, leaves and proofs name a key.
    pub fn hash(&self) -> Sha256 {
        Sha256::of(&self.0)
    }

    /// Tells whether this key signed a text.
    pub fn signed(&self, text: &[u8], signature: &Signature) -> bool {
        VerifyingKey::from_bytes(&self.0).is_ok_and(|key| key.verify_strict(text, &Ed25519::from_bytes(&signature.0)).is_ok())
    }
}

impl Signature {
    /// Returns the signature with these bytes.
    pub fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl FromStr for PublicKey {
    type Err = AsciiError;

    fn from_str(text: &str) -> Result<Self, AsciiError> {
        ascii::hex(text).map(Self)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ascii::write_hex(f, &self.0)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Signature {
    type Err = AsciiError;

    fn from_str(text: &str) -> Result<Self, AsciiError> {
        ascii::hex(text).map(Self)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ascii::write_hex(f, &self.0)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
