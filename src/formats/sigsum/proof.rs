//! A proof that a file is in a log, as `sigsum-submit` writes it and `sigsum-verify` reads it: version 2.
//!
//! Three parts with an empty line between: `version`, `log` (key hash) and `leaf` (key hash and signature of the submitter, without
//! the checksum, which whoever has the file knows); the tree head with cosignatures; `leaf_index` and the path of `node_hash`
//! (sigsum-proof.md). A tree of one leaf has no third part.

use super::Signature;
use super::ascii::{self, AsciiError, Lines};
use super::leaf::Leaf;
use super::tree_head::CosignedTreeHead;
use crate::words::digest::Sha256;

/// The version that is read and written.
const VERSION: u64 = 2;

/// Most hashes in a path: a tree has at most 2^63 leaves.
const PATH: usize = 63;

/// Largest proof in bytes.
pub const LIMIT: usize = 64 << 10;

/// Where a leaf stands in a tree, and the hashes that lead to the root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inclusion {
    /// The leaf, from 0.
    pub index: u64,
    /// The hashes beside its way up.
    pub path: Vec<Sha256>,
}

/// A proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The log's key hash.
    pub log: Sha256,
    /// The submitter's key hash.
    pub key_hash: Sha256,
    /// The submitter's signature.
    pub signature: Signature,
    /// The tree head.
    pub tree_head: CosignedTreeHead,
    /// Where the leaf is.
    pub inclusion: Inclusion,
}

impl Inclusion {
    /// Reads the answer to get-inclusion-proof.
    ///
    /// # Errors
    /// Not of that form.
    pub fn parse(bytes: &[u8]) -> Result<Self, AsciiError> {
        let mut lines = Lines::of(bytes, LIMIT)?;
        Self::read(&mut lines)
    }

    fn read(lines: &mut Lines<'_>) -> Result<Self, AsciiError> {
        let index = lines.one("leaf_index", ascii::number)?;
        let mut path = vec![lines.one("node_hash", ascii::hash)?];
        while lines.is_next("node_hash") {
            path.push(lines.one("node_hash", ascii::hash)?);
            if path.len() > PATH {
                return Err(AsciiError::Many { line: lines.number(), what: "node_hash", limit: PATH });
            }
        }
        lines.end()?;
        Ok(Self { index, path })
    }

    fn text(&self) -> String {
        let path: String = self.path.iter().map(|hash| format!("node_hash={hash}\n")).collect();
        format!("leaf_index={}\n{path}", self.index)
    }
}

impl Proof {
    /// Reads a proof.
    ///
    /// # Errors
    /// Not of that form, or of another version.
    pub fn parse(bytes: &[u8]) -> Result<Self, AsciiError> {
        let mut lines = Lines::of(bytes, LIMIT)?;
        let version = lines.one("version", ascii::number)?;
        if version != VERSION {
            return Err(AsciiError::Version { version });
        }
        let log = lines.one("log", ascii::hash)?;
        let [key_hash, signature] = lines.values("leaf")?;
        let (key_hash, signature) = (lines.read(key_hash, ascii::hash)?, lines.read(signature, str::parse)?);
        lines.empty()?;
        let tree_head = CosignedTreeHead::read(&mut lines)?;
        let inclusion = match tree_head.size {
            0 => return Err(AsciiError::Empty),
            1 => {
                lines.end()?;
                Inclusion::default()
            }
            _ => {
                lines.empty()?;
                Inclusion::read(&mut lines)?
            }
        };
        Ok(Self { log, key_hash, signature, tree_head, inclusion })
    }

    /// Returns its text form.
    pub fn text(&self) -> String {
        let head = format!("version={VERSION}\nlog={}\nleaf={} {}\n\n{}", self.log, self.key_hash, self.signature, self.tree_head.text());
        if self.tree_head.size > 1 { format!("{head}\n{}", self.inclusion.text()) } else { head }
    }

    /// Returns the leaf of a file with this checksum.
    pub fn leaf(&self, checksum: Sha256) -> Leaf {
        Leaf { checksum, signature: self.signature, key_hash: self.key_hash }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::formats::sigsum::tree_head::Cosignature;
    use crate::words::date::Timestamp;

    fn proof(size: u64) -> Proof {
        let (hash, signature) = (Sha256::of(b"x"), Signature::from_bytes([7; 64]));
        let cosignature = |text: &[u8]| Cosignature { witness: Sha256::of(text), time: Timestamp(1_795_596_253), signature };
        let tree_head = CosignedTreeHead { size, root: hash, signature, cosignatures: vec![cosignature(b"1"), cosignature(b"2")] };
        let inclusion = if size > 1 { Inclusion { index: 3, path: vec![hash, Sha256::of(b"y")] } } else { Inclusion::default() };
        Proof { log: hash, key_hash: Sha256::of(b"k"), signature, tree_head, inclusion }
    }

    #[test]
    fn what_is_written_is_read_again_also_of_a_tree_of_one_leaf() {
        for size in [1, 2, 4, 1 << 40] {
            let proof = proof(size);
            assert_eq!(Proof::parse(proof.text().as_bytes()), Ok(proof));
        }
        assert_eq!(proof(1).text().matches("\n\n").count(), 1);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let (good, first) = (proof(4).text(), proof(1).text());
        let table = [
            (String::new(), "ends where \"version\""),
            (good.replace("version=2", "version=1"), "of version 1"),
            (good.replace("version=2", "version=02"), "line 1: a decimal number"),
            (good.replace("version=2\n", "version=2\r\n"), "line 1: a decimal number"),
            (good.replace("version", "Version"), "line 1: \"version\" belongs"),
            (good.replacen("log=", "log= ", 1), "line 2: 64 hexadecimal"),
            (good.replacen("leaf=", "leaf=0 ", 1), "line 3: \"leaf\" belongs"),
            (good.replacen("\n\n", "\n", 1), "line 4: \"an empty line\""),
            (good.replacen("\n\n", "\n\n\n", 1), "line 5: \"size\""),
            (good.replace("size=4", "size=0"), "tree is empty"),
            (good.replace("size=4", "size=9223372036854775808"), "below 2^63"),
            (good.replace("size=4", "size=1"), "line 10: \"the end\""),
            (first.replace("size=1", "size=2"), "ends where \"an empty line\""),
            (format!("{first}\n"), "line 10: \"the end\""),
            (good.replace("leaf_index=3", "leaf_index=+3"), "a decimal number"),
            (good.replace("leaf_index", "index"), "line 11: \"leaf_index\""),
            (format!("{good}\n"), "line 14: \"the end\""),
            (good.trim_end().to_owned(), "ends where \"node_hash\""),
            (format!("{good}node_hash=00"), "ends where"),
            ("x".repeat(LIMIT + 1), "larger than"),
        ];
        for (text, expected) in table {
            let fault = Proof::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(fault.contains(expected), "{expected}: {fault}\n{text}");
        }
        let twice = good.lines().find(|line| line.starts_with("cosignature")).unwrap();
        let twice = good.replacen(twice, &format!("{twice}\n{twice}"), 1);
        assert!(matches!(Proof::parse(twice.as_bytes()), Err(AsciiError::Twice { line: 9, .. })));
        let path = format!("node_hash={}\n", Sha256::of(b"x")).repeat(PATH);
        assert!(matches!(Proof::parse(format!("{good}{path}").as_bytes()), Err(AsciiError::Many { .. })));
    }

    proptest::proptest! {
        #[test]
        fn changed_proofs_are_read_or_refused_and_nothing_else(at in 0..1200usize, byte in proptest::num::u8::ANY, cut in 0..1400usize) {
            let mut bytes = proof(4).text().into_bytes();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.truncate(cut);
            if let Ok(read) = Proof::parse(&bytes) {
                proptest::prop_assert_eq!(Proof::parse(read.text().as_bytes()), Ok(read));
            }
            let _ = (CosignedTreeHead::parse(&bytes), Inclusion::parse(&bytes), Leaf::read_all(&bytes));
        }
    }
}
