//! The compact range of a log's leaves: the roots of the whole subtrees that the first leaves of a tree make up.
//!
//! It holds at most 64 hashes, grows by one leaf after another, and gives the root hash of what it has seen (RFC 9162 section
//! 2.1.2). Who keeps it between two looks at a log recomputes the log's root from all leaves without keeping them: what was read is what
//! the log signed, and the new tree holds the old one.

use crate::words::digest::Sha256;

use super::{empty_root, node_hash};

/// The first leaves of a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompactRange {
    size: u64,
    /// Roots of whole subtrees, the largest first: one for each bit of the size.
    roots: Vec<Sha256>,
}

impl CompactRange {
    /// Returns the range of so many leaves with these roots of whole subtrees, the largest first; `None` where another number of them
    /// belongs to that size.
    pub fn new(size: u64, roots: Vec<Sha256>) -> Option<Self> {
        (u32::try_from(roots.len()) == Ok(size.count_ones())).then_some(Self { size, roots })
    }

    /// Returns the range of all leaves but the last of a tree, from that leaf's inclusion path, leaf first. Whether it is that of a
    /// signed tree shows the root after the last leaf was added. `None` where the path is too short or too long.
    pub fn before_last(size: u64, path: &[Sha256]) -> Option<Self> {
        // The last leaf has only left siblings: they are these roots.
        Self::new(size.checked_sub(1)?, path.iter().rev().copied().collect())
    }

    /// Returns how many leaves it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the roots of its whole subtrees, the largest first.
    pub fn roots(&self) -> &[Sha256] {
        &self.roots
    }

    /// Adds a leaf by its hash.
    pub fn append(&mut self, leaf: Sha256) {
        let (mut hash, mut rest) = (leaf, self.size);
        while rest & 1 == 1 {
            let Some(left) = self.roots.pop() else { break };
            hash = node_hash(&left, &hash);
            rest >>= 1;
        }
        self.roots.push(hash);
        self.size = self.size.saturating_add(1);
    }

    /// Returns the root hash of the tree that these leaves make up.
    pub fn root(&self) -> Sha256 {
        joined(&self.roots).unwrap_or_else(empty_root)
    }
}

/// Returns the hash above whole subtrees that follow each other, the largest first; `None` above none.
pub fn joined(roots: &[Sha256]) -> Option<Sha256> {
    let (last, others) = roots.split_last()?;
    Some(others.iter().rev().fold(*last, |right, left| node_hash(left, &right)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::super::tests::{inclusion, leaves, root};
    use super::*;

    #[test]
    fn it_gives_the_root_of_every_small_tree_and_starts_anywhere() {
        let all = leaves(70);
        let mut range = CompactRange::default();
        for size in 0..=all.len() {
            assert_eq!((range.size(), range.root()), (size as u64, root(&all[..size])));
            assert_eq!(CompactRange::new(range.size(), range.roots().to_vec()), Some(range.clone()));
            if size > 0 {
                let mut begun = CompactRange::before_last(size as u64, &inclusion(size - 1, &all[..size])).unwrap();
                begun.append(all[size - 1]);
                assert_eq!(begun, range);
            }
            if let Some(leaf) = all.get(size) {
                range.append(*leaf);
            }
        }
    }

    #[test]
    fn as_many_roots_belong_to_a_size_as_it_has_bits() {
        let hash = Sha256::of(b"x");
        for (size, count, fits) in [(0, 0, true), (0, 1, false), (6, 2, true), (6, 3, false), (u64::MAX, 64, true), (u64::MAX, 63, false)] {
            assert_eq!(CompactRange::new(size, vec![hash; count]).is_some(), fits, "{size} {count}");
        }
        assert_eq!(CompactRange::before_last(0, &[]), None);
        assert_eq!(CompactRange::before_last(4, &[hash]), None);
    }

    #[test]
    fn a_range_that_cannot_grow_does_not_panic() {
        let mut range = CompactRange::new(u64::MAX, vec![Sha256::of(b"x"); 64]).unwrap();
        range.append(Sha256::of(b"y"));
        assert_eq!(range.roots().len(), 1);
    }
}
