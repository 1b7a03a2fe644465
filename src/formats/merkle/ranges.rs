//! Which whole subtrees a proof is made of, for logs that publish their tree's hashes and no proofs (tiles).
//!
//! RFC 9162 section 2.1.4.1: a consistency proof is a list of hashes over ranges of leaves; each range is joined from whole
//! subtrees. What is made of hashes that a log gave is checked by [`super::check_consistency`] as any other proof.

/// A range of leaves: from the first number, before the second.
pub type Range = (u64, u64);

/// A whole subtree: its level above the leaves, and which one of that level, from 0.
pub type Node = (u32, u64);

/// Returns the ranges whose hashes are the consistency proof of two sizes of a tree, in the proof's order.
pub fn consistency(old: u64, new: u64) -> Vec<Range> {
    let mut ranges = Vec::new();
    if old == 0 || old >= new {
        return ranges;
    }
    let (mut from, mut to, mut whole) = (0, new, true);
    // The way down to where the old tree ends; siblings are named on the way, and stand in the proof from below.
    while old != to {
        let middle = from + split(to - from);
        if old <= middle {
            ranges.push((middle, to));
            to = middle;
        } else {
            ranges.push((from, middle));
            (from, whole) = (middle, false);
        }
    }
    if !whole {
        ranges.push((from, to));
    }
    ranges.reverse();
    ranges
}

/// Returns the whole subtrees that a range is joined from, the largest first. The range starts where one of its size may start.
pub fn nodes((from, to): Range) -> Vec<Node> {
    let (mut start, size) = (from, to.saturating_sub(from));
    let mut nodes = Vec::new();
    for level in (0..u64::BITS).rev().filter(|level| size >> level & 1 == 1) {
        nodes.push((level, start >> level));
        start += 1 << level;
    }
    nodes
}

/// Returns the largest power of two below a number greater than 1.
fn split(count: u64) -> u64 {
    1 << (u64::BITS - 1 - (count - 1).leading_zeros())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::super::compact::joined;
    use super::super::tests::{leaves, root};
    use super::super::{check_consistency, empty_root};
    use super::*;
    use crate::words::digest::Sha256;

    #[test]
    fn the_hashes_of_these_ranges_are_a_proof_that_is_accepted() {
        let all = leaves(70);
        let node = |(level, index): Node| root(&all[(index << level) as usize..((index + 1) << level) as usize]);
        let range = |range: Range| joined(&nodes(range).into_iter().map(node).collect::<Vec<Sha256>>()).unwrap_or_else(empty_root);
        for new in 0..=all.len() {
            assert_eq!(range((0, new as u64)), root(&all[..new]));
            for old in 0..=new {
                let path: Vec<Sha256> = consistency(old as u64, new as u64).into_iter().map(range).collect();
                let (old_root, new_root) = (root(&all[..old]), root(&all[..new]));
                check_consistency((old as u64, &old_root), (new as u64, &new_root), &path).unwrap();
            }
        }
    }

    #[test]
    fn trees_of_any_size_are_walked_without_overflow() {
        for size in [u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) + 1] {
            for old in [0, 1, 2, size / 2, size - 1, size] {
                assert!(consistency(old, size).iter().all(|range| range.0 < range.1 && range.1 <= size));
                assert_eq!(nodes((0, old)).len(), old.count_ones() as usize);
            }
        }
    }
}
