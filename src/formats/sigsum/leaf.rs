//! Leaves: what is signed, what the log stores, what is sent to it; and the token for logs with a rate limit.
//!
//! log.md sections 2.3 and 3.5. The message is the SHA-256 of the file, the checksum the SHA-256 of that. Ed25519 signatures are
//! deterministic, so the same file gives the same leaf.

use super::ascii::{self, AsciiError, Lines};
use super::{PublicKey, Signature};
use crate::formats::merkle;
use crate::words::digest::Sha256;

const LEAF: &str = "sigsum.org/v1/tree-leaf";
const TOKEN: &str = "sigsum.org/v1/submit-token";

/// Largest answer with leaves in bytes: log-go gives at most some thousand at once.
const LEAVES: usize = 16 << 20;

/// A leaf as the log stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// The checksum.
    pub checksum: Sha256,
    /// The submitter's signature over it.
    pub signature: Signature,
    /// The submitter's key hash.
    pub key_hash: Sha256,
}

/// Returns the message that stands for a file.
pub fn message(file: &[u8]) -> Sha256 {
    Sha256::of(file)
}

/// Returns the checksum that a log stores for a message.
pub fn checksum(message: &Sha256) -> Sha256 {
    Sha256::of(message.as_bytes())
}

/// Returns what a submitter signs: 56 bytes.
pub fn signed_text(checksum: &Sha256) -> Vec<u8> {
    [LEAF.as_bytes(), &[0], checksum.as_bytes()].concat()
}

/// Returns what the key of a domain signs, once for each log.
pub fn token_text(log: &PublicKey) -> Vec<u8> {
    [TOKEN.as_bytes(), &[0], log.as_bytes()].concat()
}

/// Returns the body of an add-leaf request.
pub fn request(message: &Sha256, signature: &Signature, key: &PublicKey) -> String {
    format!("message={message}\nsignature={signature}\npublic_key={key}\n")
}

impl Leaf {
    /// Returns the leaf's hash in the tree.
    pub fn hash(&self) -> Sha256 {
        merkle::leaf_hash(&[self.checksum.as_bytes(), self.signature.as_bytes().as_slice(), self.key_hash.as_bytes()].concat())
    }

    /// Tells whether this key made the leaf.
    pub fn is_by(&self, key: &PublicKey) -> bool {
        key.hash() == self.key_hash && key.signed(&signed_text(&self.checksum), &self.signature)
    }

    /// Reads the answer to get-leaves: checksum, signature and key hash in each line, as log-go writes them.
    ///
    /// # Errors
    /// Not of that form, or too much.
    pub fn read_all(bytes: &[u8]) -> Result<Vec<Self>, AsciiError> {
        let mut lines = Lines::of(bytes, LEAVES)?;
        let mut leaves = Vec::new();
        while lines.is_next("leaf") {
            let [checksum, signature, key_hash] = lines.values("leaf")?;
            leaves.push(Self {
                checksum: lines.read(checksum, ascii::hash)?,
                signature: lines.read(signature, str::parse)?,
                key_hash: lines.read(key_hash, ascii::hash)?,
            });
        }
        lines.end()?;
        Ok(leaves)
    }
}
