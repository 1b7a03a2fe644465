//! A sheet: what is recorded about one index of a Release, so that the next one starts from it.
//!
//! It lists the blocks of the text in order: the first paragraph's sort key, lengths, the SHA-256 of the text, and the
//! SHA-256 of each compressed form. It stands beside Release on the branch of Releases, where `recorded.asc` signs it;
//! the bytes themselves come from caches and stores that need not be trusted, because every block is named by its hash. An old
//! index is joined again from its blocks and never compressed again: a newer compressor would give other bytes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::Effort;
use crate::formats::index::order::SortKey;
use crate::formats::pdiff::{History, Step};
use crate::words::archive::Compression;
use crate::words::digest::Sha256;

/// The kind of derived object that a compressed block is.
pub const KIND: &str = "blocks-v1";

/// What one index is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sheet {
    /// Its blocks, in the order of the text.
    pub blocks: Vec<Block>,
    /// The patches that lead to it from earlier states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<Diff>,
}

/// The patches of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diff {
    /// Which patches there are.
    pub history: History,
    /// SHA-256 and length in bytes of the compressed list of them, where there are any.
    pub list: Option<(Sha256, u64)>,
}

/// One block of an index: whole paragraphs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// What its first paragraph is sorted by. A paragraph whose key is smaller lies before this block.
    pub first: SortKey,
    /// Length of the text in bytes.
    pub bytes: u64,
    /// Lines of the text.
    pub lines: u64,
    /// Paragraphs of the text.
    pub paragraphs: u64,
    /// SHA-256 of the text.
    pub sha256: Sha256,
    /// How well it is compressed.
    pub effort: Effort,
    /// SHA-256 and length in bytes of each compressed form.
    pub forms: BTreeMap<Compression, (Sha256, u64)>,
}

impl Sheet {
    /// Reads what `text` wrote.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let sheet: Self = serde_json::from_slice(bytes)?;
        // What is published and removed again is named after it.
        match sheet.steps().iter().find(|step| !step.is_named_well()) {
            Some(step) => Err(serde::de::Error::custom(format!("{:?} is no name of that patch", step.name))),
            None => Ok(sheet),
        }
    }

    /// Returns JSON with a line for each block, so that Git stores and people see what changed.
    pub fn text(&self) -> String {
        let mut text = String::from("{\"blocks\": [\n");
        for (at, block) in self.blocks.iter().enumerate() {
            let end = if at + 1 < self.blocks.len() { "," } else { "" };
            // A plain struct of strings and numbers always has a JSON form, and writing to a String cannot fail.
            let _ = writeln!(text, "{}{end}", serde_json::to_string(block).unwrap_or_default());
        }
        text.push(']');
        if let Some(diff) = &self.diff {
            let _ = write!(text, ", \"diff\": {}", serde_json::to_string(diff).unwrap_or_default());
        }
        text.push_str("}\n");
        text
    }

    /// Returns the length of the text in bytes.
    pub fn bytes(&self) -> u64 {
        self.blocks.iter().map(|block| block.bytes).sum()
    }

    /// Returns the position of the block in which a paragraph with this key lies, or would lie; `None` where there is no block.
    pub fn holding(&self, key: &SortKey) -> Option<usize> {
        let after = self.blocks.partition_point(|block| block.first <= *key);
        (!self.blocks.is_empty()).then(|| after.saturating_sub(1))
    }

    /// Returns the patches that there are.
    pub fn steps(&self) -> &[Step] {
        self.diff.as_ref().map_or(&[], |diff| &diff.history.steps)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::formats::pdiff::{Facts, Limits};

    fn block(name: &str) -> Block {
        Block {
            first: SortKey { name: name.to_owned(), second: name.to_owned(), version: "1:2~3-4".parse().ok() },
            bytes: 30,
            lines: 3,
            paragraphs: 1,
            sha256: Sha256::of(name.as_bytes()),
            effort: Effort::Quick,
            forms: BTreeMap::from([(Compression::Xz, (Sha256::of(b"x"), 5)), (Compression::Gz, (Sha256::of(b"g"), 6))]),
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let of = |blocks| Sheet { blocks, diff: None };
        let diff = Diff { history: History::begin(Facts::of(b"x")), list: Some((Sha256::of(b"y"), 7)) };
        let with_diff = Sheet { diff: Some(diff), ..of(vec![block("c")]) };
        for sheet in [Sheet::default(), of(vec![block("b")]), of(vec![block("b"), block("d")]), with_diff] {
            let text = sheet.text();
            assert_eq!(Sheet::parse(text.as_bytes()).unwrap(), sheet);
            assert_eq!(text.lines().count(), sheet.blocks.len() + 2);
            for bad in [text.replace("\"blocks\"", "\"block\""), text.replace("xz\"", "bz2\""), text.replace("quick", "slow")] {
                assert!(bad == text || Sheet::parse(bad.as_bytes()).is_err(), "{bad}");
            }
        }
    }

    #[test]
    fn a_patch_has_its_own_name_or_the_sheet_is_not_read() {
        let history = History::begin(Facts::of(b"x"));
        let limits = Limits { patches: 3, bytes: 1000 };
        let history = history.advance(Facts::of(b"x"), Facts::of(b"y"), b"patch", b"compressed", limits);
        let name = history.steps.first().unwrap().name.clone();
        let text = Sheet { blocks: Vec::new(), diff: Some(Diff { history, list: None }) }.text();
        assert!(Sheet::parse(text.as_bytes()).is_ok());
        for bad in ["../../../../x", "Index", "", "00000001-00000000", &name.to_uppercase(), &format!("../{name}"), &name[1..]] {
            assert!(bad == name || Sheet::parse(text.replace(&name, bad).as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_lies_in_the_last_block_that_does_not_begin_behind_it() {
        let sheet = Sheet { blocks: vec![block("b"), block("d")], diff: None };
        for (name, expected) in [("a", 0), ("b", 0), ("c", 0), ("d", 1), ("e", 1)] {
            assert_eq!(sheet.holding(&block(name).first), Some(expected), "{name}");
        }
        assert_eq!(Sheet::default().holding(&block("a").first), None);
    }
}
