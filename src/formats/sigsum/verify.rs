//! The whole check of a proof, offline: submitter, log, witnesses, tree.

use super::leaf::{checksum, message};
use super::policy::Policy;
use super::proof::Proof;
use super::{AsciiError, PublicKey};
use crate::formats::merkle::{MerkleError, check_inclusion};
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;

/// Why a proof does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// It cannot be read.
    #[error("the proof cannot be read: {0}")]
    Form(#[from] AsciiError),
    /// Another key submitted the leaf.
    #[error("the leaf was submitted by the key {key_hash}, which is none of those that are trusted to")]
    Submitter {
        /// The key hash.
        key_hash: Sha256,
    },
    /// The leaf is not of this file.
    #[error("the leaf's signature is not one of this file")]
    Leaf,
    /// The policy does not know the log.
    #[error("the log {log} is not in the policy")]
    Log {
        /// The key hash.
        log: Sha256,
    },
    /// The log did not sign the tree head.
    #[error("the tree head is not signed by its log")]
    TreeHead,
    /// Too few witnesses.
    #[error("{good} witnesses of the policy cosigned the tree head, which its quorum \"{quorum}\" does not accept")]
    Quorum {
        /// Good cosignatures by witnesses of the policy.
        good: usize,
        /// The policy's quorum.
        quorum: String,
    },
    /// The leaf is not in the tree.
    #[error("the leaf is not in the tree: {0}")]
    Inclusion(#[from] MerkleError),
}

/// What a good proof says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The log's key.
    pub log: PublicKey,
    /// The submitter's key.
    pub key: PublicKey,
    /// The leaf's place, from 0.
    pub index: u64,
    /// Leaves in the tree.
    pub size: u64,
    /// The witnesses of the policy that cosigned, by name, and when.
    pub witnesses: Vec<(String, Timestamp)>,
}

impl Verified {
    /// Returns when the last of the witnesses saw the tree.
    pub fn seen(&self) -> Option<Timestamp> {
        self.witnesses.iter().map(|(_, time)| *time).max()
    }
}

/// Checks that a file was submitted by one of these keys to a log that the policy trusts, and that the policy's witnesses saw the
/// tree that it is in.
///
/// # Errors
/// Any of that is not so.
pub fn verify(file: &[u8], proof: &Proof, keys: &[PublicKey], policy: &Policy) -> Result<Verified, VerifyError> {
    let leaf = proof.leaf(checksum(&message(file)));
    let key = keys.iter().find(|key| key.hash() == proof.key_hash).ok_or(VerifyError::Submitter { key_hash: proof.key_hash })?;
    if !leaf.is_by(key) {
        return Err(VerifyError::Leaf);
    }
    let log = policy.log(&proof.log).ok_or(VerifyError::Log { log: proof.log })?;
    let witnesses = policy.check(&log.key, &proof.tree_head)?;
    let (size, index) = (proof.tree_head.size, proof.inclusion.index);
    check_inclusion(&leaf.hash(), index, size, &proof.tree_head.root, &proof.inclusion.path)?;
    Ok(Verified { log: log.key, key: *key, index, size, witnesses })
}

/// Reads a proof and checks it.
///
/// # Errors
/// It cannot be read, or does not hold.
pub fn verify_bytes(file: &[u8], proof: &[u8], keys: &[PublicKey], policy: &Policy) -> Result<Verified, VerifyError> {
    verify(file, &Proof::parse(proof)?, keys, policy)
}
