//! Checkpoints (C2SP `tlog-checkpoint.md`): a log's name, size and root hash, signed by the log.

use sha2::Digest as _;

use super::note::{Note, is_name};
use super::public_key::PublicKey;
use super::{Octets, SigstoreError};
use crate::words::digest::Sha256;

/// The head of a log's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// How many entries the tree has.
    pub size: u64,
    /// The root of the tree.
    pub root: Sha256,
}

/// A log as verifiers know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKey {
    /// The log's name: the first line of its checkpoints.
    pub origin: String,
    /// The key that signs them.
    pub key: PublicKey,
}

impl LogKey {
    /// Returns the log of this name with this key.
    ///
    /// # Errors
    /// The name cannot be that of a key.
    pub fn new(origin: &str, key: PublicKey) -> Result<Self, SigstoreError> {
        if is_name(origin) {
            Ok(Self { origin: origin.to_owned(), key })
        } else {
            Err(SigstoreError::malformed("the log's name", format!("\"{}\" has blanks or plus signs, or is empty", origin.escape_debug())))
        }
    }

    /// Returns the log's id: for Ed25519 the hash of C2SP's signed notes over name and key, for ECDSA that of the key in DER.
    pub fn id(&self) -> [u8; 32] {
        match &self.key {
            PublicKey::Ed25519(key) => {
                let hash = sha2::Sha256::new().chain_update(&self.origin).chain_update(b"\n\x01").chain_update(key.as_bytes());
                hash.finalize().into()
            }
            PublicKey::P256(_) | PublicKey::P384(_) => *self.key.fingerprint().as_bytes(),
        }
    }

    /// Returns the first four bytes of the id, which stand in the log's signatures.
    pub fn short_id(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.id();
        [a, b, c, d]
    }
}

impl Checkpoint {
    /// Reads the text of a checkpoint, without signatures. Lines after the third are extensions, which mean nothing here.
    ///
    /// # Errors
    /// It is not of the form that the specification gives.
    pub fn parse(text: &str) -> Result<Self, SigstoreError> {
        let wrong = |fault: &str| SigstoreError::malformed("the checkpoint", fault);
        let mut lines = text.strip_suffix('\n').ok_or_else(|| wrong("its last line has no end"))?.split('\n');
        let mut line = || lines.next().filter(|line| !line.is_empty()).ok_or_else(|| wrong("it has fewer than three lines"));
        let (origin, size, root) = (line()?, line()?, line()?);
        let plain = size.bytes().all(|byte| byte.is_ascii_digit()) && (size == "0" || !size.starts_with('0'));
        let size = size.parse().ok().filter(|_| plain).ok_or_else(|| wrong("its second line is no size"))?;
        let root = Octets::decode(root).ok().and_then(|root| root.0.try_into().ok().map(Sha256::from_bytes));
        let root = root.ok_or_else(|| wrong("its third line is no SHA-256 in base64"))?;
        Ok(Self { origin: origin.to_owned(), size, root })
    }

    /// Reads a signed checkpoint and checks that one of these logs signed it; returns it with that log's place in the list.
    ///
    /// # Errors
    /// It is none, no log of that name and key is among these, or a signature in such a log's name does not hold.
    pub fn open(note: &str, logs: &[LogKey]) -> Result<(Self, usize), SigstoreError> {
        let note = Note::parse(note)?;
        let checkpoint = Self::parse(&note.text)?;
        let mut signer = None;
        for signature in note.signatures.iter().filter(|signature| signature.name == checkpoint.origin) {
            let known = logs.iter().position(|log| log.origin == checkpoint.origin && log.short_id() == signature.key_id);
            let Some((at, log)) = known.and_then(|at| Some((at, logs.get(at)?))) else { continue };
            if !log.key.verifies(note.text.as_bytes(), &signature.signature) {
                return Err(SigstoreError::Checkpoint { log: checkpoint.origin });
            }
            signer.get_or_insert(at);
        }
        match signer {
            Some(at) => Ok((checkpoint, at)),
            None => Err(SigstoreError::UnknownLog { log: checkpoint.origin }),
        }
    }
}
