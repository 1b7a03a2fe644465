//! Merkle trees of transparency logs: hashes of leaves and nodes, inclusion and consistency proofs checked.
//!
//! RFC 6962 section 2.1 hashes, RFC 9162 sections 2.1.3.2 and 2.1.4.2 check. Sizes and indices count leaves; a path is from the
//! leaf up. Sigsum and Rekor hash alike. Nothing is proved here.

pub mod compact;
pub mod ranges;

use crate::words::digest::Sha256;

/// Why a proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MerkleError {
    /// No such leaf.
    #[error("leaf {index} is not in a tree of {size} leaves")]
    Index {
        /// The leaf, from 0.
        index: u64,
        /// How many leaves the tree has.
        size: u64,
    },
    /// A path of another length than the tree's shape asks for.
    #[error("the path has {found} hashes, and {expected} belong there")]
    Length {
        /// Hashes in the path.
        found: usize,
        /// Hashes that there must be.
        expected: usize,
    },
    /// The path leads to another root.
    #[error("the path leads to another root hash")]
    Root,
    /// The path starts from another old tree.
    #[error("the path does not start from the old root hash")]
    OldRoot,
    /// The tree became smaller.
    #[error("the tree shrank from {old} to {new} leaves")]
    Shrunk {
        /// Leaves before.
        old: u64,
        /// Leaves now.
        new: u64,
    },
}

/// Returns the hash of a leaf.
pub fn leaf_hash(leaf: &[u8]) -> Sha256 {
    Sha256::of(&[&[0], leaf].concat())
}

/// Returns the hash of an inner node.
pub fn node_hash(left: &Sha256, right: &Sha256) -> Sha256 {
    Sha256::of(&[&[1], left.as_bytes().as_slice(), right.as_bytes()].concat())
}

/// Returns the root hash of a tree without leaves.
pub fn empty_root() -> Sha256 {
    Sha256::of(b"")
}

/// Returns how many hashes the path of a leaf has.
fn path_length(index: u64, size: u64) -> usize {
    let last = size - 1;
    // Levels on which the leaf and the last one are below different nodes; above them, only left siblings count.
    let differing = u64::BITS - (index ^ last).leading_zeros();
    let above = index.checked_shr(differing).unwrap_or_default().count_ones();
    (differing + above) as usize
}

/// Checks that a leaf is in a tree.
///
/// # Errors
/// It is not, as far as this path shows.
pub fn check_inclusion(leaf: &Sha256, index: u64, size: u64, root: &Sha256, path: &[Sha256]) -> Result<(), MerkleError> {
    if index >= size {
        return Err(MerkleError::Index { index, size });
    }
    let expected = path_length(index, size);
    if path.len() != expected {
        return Err(MerkleError::Length { found: path.len(), expected });
    }
    let (mut hash, mut node, mut last) = (*leaf, index, size - 1);
    let mut path = path.iter();
    while last > 0 {
        if node & 1 == 1 {
            hash = node_hash(path.next().ok_or(MerkleError::Root)?, &hash);
        } else if node < last {
            hash = node_hash(&hash, path.next().ok_or(MerkleError::Root)?);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if hash == *root && path.next().is_none() { Ok(()) } else { Err(MerkleError::Root) }
}

/// Checks that a tree holds all leaves of an older one, in their places.
///
/// # Errors
/// It does not, as far as this path shows.
pub fn check_consistency(old: (u64, &Sha256), new: (u64, &Sha256), path: &[Sha256]) -> Result<(), MerkleError> {
    let ((old, old_root), (new, new_root)) = (old, new);
    if old > new {
        return Err(MerkleError::Shrunk { old, new });
    }
    if old == new || old == 0 {
        // Equal trees and the empty one need no path.
        let start = if old == new { new_root == old_root } else { *old_root == empty_root() };
        return match (path.len(), start) {
            (0, true) => Ok(()),
            (0, false) => Err(MerkleError::OldRoot),
            (found, _) => Err(MerkleError::Length { found, expected: 0 }),
        };
    }
    // The last whole subtree of the old tree is also one of the new tree: the walk starts there.
    let trimmed = old.trailing_zeros();
    let (mut node, mut last) = ((old - 1) >> trimmed, (new - 1) >> trimmed);
    let expected = path_length(node, last + 1) + usize::from(node > 0);
    if path.len() != expected {
        return Err(MerkleError::Length { found: path.len(), expected });
    }
    let mut path = path.iter();
    let start = if node == 0 { *old_root } else { *path.next().ok_or(MerkleError::Root)? };
    let (mut before, mut after) = (start, start);
    while last > 0 {
        if node & 1 == 1 {
            let sibling = path.next().ok_or(MerkleError::Root)?;
            before = node_hash(sibling, &before);
            after = node_hash(sibling, &after);
        } else if node < last {
            after = node_hash(&after, path.next().ok_or(MerkleError::Root)?);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    match (before == *old_root, after == *new_root && path.next().is_none()) {
        (false, _) => Err(MerkleError::OldRoot),
        (_, false) => Err(MerkleError::Root),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// RFC 6962 section 2.1, word for word: the tests' own trees.
    pub(super) fn root(leaves: &[Sha256]) -> Sha256 {
        match leaves {
            [] => empty_root(),
            [only] => *only,
            leaves => {
                let (left, right) = leaves.split_at(split(leaves.len()));
                node_hash(&root(left), &root(right))
            }
        }
    }

    fn split(count: usize) -> usize {
        count.next_power_of_two() / 2
    }

    pub(super) fn inclusion(index: usize, leaves: &[Sha256]) -> Vec<Sha256> {
        if leaves.len() < 2 {
            return Vec::new();
        }
        let (left, right) = leaves.split_at(split(leaves.len()));
        let (mut path, sibling) =
            if index < left.len() { (inclusion(index, left), root(right)) } else { (inclusion(index - left.len(), right), root(left)) };
        path.push(sibling);
        path
    }

    fn consistency(old: usize, leaves: &[Sha256], whole: bool) -> Vec<Sha256> {
        if old == leaves.len() {
            return if whole { Vec::new() } else { vec![root(leaves)] };
        }
        let (left, right) = leaves.split_at(split(leaves.len()));
        let (mut path, sibling) = if old <= left.len() {
            (consistency(old, left, whole), root(right))
        } else {
            (consistency(old - left.len(), right, false), root(left))
        };
        path.push(sibling);
        path
    }

    pub(super) fn leaves(count: usize) -> Vec<Sha256> {
        (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_found_and_nowhere_else() {
        for size in 1..=40 {
            let leaves = leaves(size);
            let root = root(&leaves);
            for index in 0..size {
                let path = inclusion(index, &leaves);
                check_inclusion(&leaves[index], index as u64, size as u64, &root, &path).unwrap();
                for other in (0..=size).filter(|other| *other != index) {
                    assert!(check_inclusion(&leaves[index], other as u64, size as u64, &root, &path).is_err(), "{index} {other} {size}");
                }
                for at in 0..path.len() {
                    let mut wrong = path.clone();
                    wrong[at] = leaf_hash(b"other");
                    assert!(check_inclusion(&leaves[index], index as u64, size as u64, &root, &wrong).is_err());
                    wrong.remove(at);
                    assert!(check_inclusion(&leaves[index], index as u64, size as u64, &root, &wrong).is_err());
                }
            }
        }
    }

    #[test]
    fn every_two_sizes_of_a_tree_are_consistent_and_no_others() {
        for new in 1..=40 {
            let leaves = leaves(new);
            let new_root = root(&leaves);
            for old in 1..=new {
                let (path, old_root) = (consistency(old, &leaves, true), root(&leaves[..old]));
                check_consistency((old as u64, &old_root), (new as u64, &new_root), &path).unwrap();
                let other = leaf_hash(b"other");
                assert!(check_consistency((old as u64, &other), (new as u64, &new_root), &path).is_err());
                if old < new {
                    assert!(check_consistency((old as u64, &old_root), (new as u64, &other), &path).is_err());
                    let shrunk = check_consistency((new as u64, &new_root), (old as u64, &old_root), &path);
                    assert_eq!(shrunk, Err(MerkleError::Shrunk { old: new as u64, new: old as u64 }));
                }
            }
            check_consistency((0, &empty_root()), (new as u64, &new_root), &[]).unwrap();
            assert!(check_consistency((0, &new_root), (new as u64, &new_root), &[]).is_err());
        }
    }

    #[test]
    fn trees_of_any_size_are_walked_without_overflow() {
        let hash = leaf_hash(b"x");
        for size in [u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) + 1] {
            for index in [0, 1, size / 2, size - 1] {
                let path = vec![hash; path_length(index, size)];
                assert_eq!(check_inclusion(&hash, index, size, &hash, &path), Err(MerkleError::Root));
                let _ = check_consistency((index + 1, &hash), (size, &hash), &path);
            }
        }
    }
}
