//! `blocks.json`: which retained blocks each index of a Release is joined from.
//!
//! It stands beside Release on the branch of Releases, so that an old index is joined again and never compressed again: a newer
//! compressor would give other bytes. Whoever joins compares with the digest in Release.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::words::archive::Compression;
use crate::words::digest::Sha256;

/// The kind of derived object that a retained block is.
pub const KIND: &str = "blocks-v1";

/// What the written indices of a Release are made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retained {
    /// SHA-256 of the Release that lists the indices: a program that knows nothing of this file leaves it behind.
    pub release: Sha256,
    /// By path relative to Release.
    pub files: BTreeMap<String, Parts>,
}

/// What one index is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Parts {
    /// These blocks, in order.
    Joined {
        /// How they are compressed.
        compression: Compression,
        /// SHA-256 and length in bytes of each compressed block.
        blocks: Vec<(Sha256, u64)>,
    },
    /// This text.
    Text(String),
}

impl Retained {
    /// Tells whether this is about these bytes of a Release.
    pub fn is_of(&self, release: &[u8]) -> bool {
        self.release == Sha256::of(release)
    }

    /// Returns the blocks that are named, each once.
    pub fn named(&self) -> BTreeSet<Sha256> {
        let blocks = |parts: &Parts| match parts {
            Parts::Joined { blocks, .. } => blocks.iter().map(|(oid, _)| *oid).collect(),
            Parts::Text(_) => Vec::new(),
        };
        self.files.values().flat_map(blocks).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let block = Sha256::of(b"block");
        let parts = Parts::Joined { compression: Compression::Xz, blocks: vec![(block, 5), (block, 5)] };
        let files = BTreeMap::from([
            ("main/source/Sources.xz".to_owned(), parts),
            ("main/source/Release".to_owned(), Parts::Text("x\n".to_owned())),
        ]);
        let retained = Retained { release: Sha256::of(b"Release"), files };
        let text = serde_json::to_string(&retained).unwrap();
        assert_eq!(serde_json::from_str::<Retained>(&text).unwrap(), retained);
        assert_eq!(retained.named(), BTreeSet::from([block]));
        for bad in [text.replace("\"text\"", "\"other\""), text.replace("\"files\"", "\"filed\""), text.replace("xz\"}", "bz2\"}")] {
            assert!(bad == text || serde_json::from_str::<Retained>(&bad).is_err(), "{bad}");
        }
    }
}
