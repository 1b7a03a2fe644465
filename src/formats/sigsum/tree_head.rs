//! Tree heads: how large a log is and what its root hash is, signed by the log and cosigned by witnesses.
//!
//! What is signed is the body of a C2SP checkpoint with the origin `sigsum.org/v1/tree/<key hash of the log>` (log.md section
//! 2.4); a cosignature is over `cosignature/v1`, a time and that body (C2SP tlog-cosignature).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::ascii::{self, AsciiError, Lines};
use super::{PublicKey, Signature};
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;

/// Most cosignatures that are read.
const COSIGNATURES: usize = 128;

/// Largest answer with a tree head in bytes.
const LIMIT: usize = 64 << 10;

/// A cosignature of a witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cosignature {
    /// The witness's key hash.
    pub witness: Sha256,
    /// When the witness saw the tree head.
    pub time: Timestamp,
    /// The signature.
    pub signature: Signature,
}

/// A tree head with its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignedTreeHead {
    /// How many leaves the tree has.
    pub size: u64,
    /// The root hash.
    pub root: Sha256,
    /// The log's signature.
    pub signature: Signature,
    /// The witnesses' signatures, each witness at most once.
    pub cosignatures: Vec<Cosignature>,
}

/// Returns the origin of a log's checkpoints.
pub fn origin(log: &PublicKey) -> String {
    format!("sigsum.org/v1/tree/{}", log.hash())
}

impl CosignedTreeHead {
    /// Returns the checkpoint's body: what the log signs.
    pub fn checkpoint(&self, origin: &str) -> String {
        format!("{origin}\n{}\n{}\n", self.size, STANDARD.encode(self.root.as_bytes()))
    }

    /// Tells whether the log signed it.
    pub fn is_by(&self, log: &PublicKey) -> bool {
        log.signed(self.checkpoint(&origin(log)).as_bytes(), &self.signature)
    }

    /// Tells whether a witness cosigned it; `log` is the log's key.
    pub fn is_cosigned_by(&self, witness: &PublicKey, cosignature: &Cosignature, log: &PublicKey) -> bool {
        let text = format!("cosignature/v1\ntime {}\n{}", cosignature.time.0, self.checkpoint(&origin(log)));
        cosignature.witness == witness.hash() && witness.signed(text.as_bytes(), &cosignature.signature)
    }

    /// Returns its text form.
    pub fn text(&self) -> String {
        let mut text = format!("size={}\nroot_hash={}\nsignature={}\n", self.size, self.root, self.signature);
        for Cosignature { witness, time, signature } in &self.cosignatures {
            text.push_str(&format!("cosignature={witness} {} {signature}\n", time.0));
        }
        text
    }

    /// Reads the answer to get-tree-head.
    ///
    /// # Errors
    /// Not of that form.
    pub fn parse(bytes: &[u8]) -> Result<Self, AsciiError> {
        let mut lines = Lines::of(bytes, LIMIT)?;
        let head = Self::read(&mut lines)?;
        lines.end()?;
        Ok(head)
    }

    /// Reads one out of a longer text.
    pub(super) fn read(lines: &mut Lines<'_>) -> Result<Self, AsciiError> {
        let size = lines.one("size", ascii::number)?;
        let root = lines.one("root_hash", ascii::hash)?;
        let signature = lines.one("signature", str::parse)?;
        let mut cosignatures: Vec<Cosignature> = Vec::new();
        while lines.is_next("cosignature") {
            let [witness, time, signature] = lines.values("cosignature")?;
            let witness = lines.read(witness, ascii::hash)?;
            let time = lines.read(time, |text| ascii::number(text).and_then(|time| i64::try_from(time).map_err(|_| AsciiError::Number)))?;
            let signature = lines.read(signature, str::parse)?;
            if cosignatures.iter().any(|other| other.witness == witness) {
                return Err(AsciiError::Twice { line: lines.number(), witness });
            }
            if cosignatures.len() == COSIGNATURES {
                return Err(AsciiError::Many { line: lines.number(), what: "cosignature", limit: COSIGNATURES });
            }
            cosignatures.push(Cosignature { witness, time: Timestamp(time), signature });
        }
        Ok(Self { size, root, signature, cosignatures })
    }
}
