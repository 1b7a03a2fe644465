//! Where an index is cut into blocks: before paragraphs that their own first line chooses.
//!
//! A piece longer than the limit is cut before the paragraph whose first line has the smallest hash, and so on with both
//! parts. So a cut depends on the paragraphs near it alone, nothing on positions: a changed paragraph changes its own
//! block (which may fall in two, or two become one), a paragraph more or less rarely more.

use std::ops::Range;

use crate::words::digest::Sha256;

/// Longest block in bytes, unless one paragraph alone is longer; blocks have half of that in the mean.
///
/// Measured on trixie's Packages of main, 56.6 MB (Debian's own .xz is 9.68 MB, .gz 13.34): a limit of 256 KiB makes .xz
/// 11.60 MB, 512 KiB 11.13, 1 MiB 10.80, 2 MiB 10.47, 4 MiB 10.29, and .gz 13.06 to 12.77. A block is what a small change
/// costs: 0.1 s at 1 MiB.
pub const BLOCK_LIMIT: usize = 1 << 20;

/// A paragraph: where it begins and how early it is chosen.
#[derive(Clone, Copy)]
struct Start {
    offset: usize,
    rank: u64,
}

/// Returns the blocks of an index, in order and without gaps; an empty text has none.
pub fn cut(index: &[u8]) -> Vec<Range<usize>> {
    let starts = starts(index);
    let mut blocks = Vec::new();
    // Pieces still to look at, the first of the text on top: positions in `starts`, then where the piece ends in the text.
    let mut pieces = if starts.is_empty() { Vec::new() } else { vec![(0..starts.len(), index.len())] };
    while let Some((piece, end)) = pieces.pop() {
        let begin = starts.get(piece.start).map_or(end, |start| start.offset);
        match smallest(&starts, &piece).filter(|_| end - begin > BLOCK_LIMIT) {
            None => blocks.push(begin..end),
            Some((at, middle)) => {
                pieces.push((at..piece.end, end));
                pieces.push((piece.start..at, middle));
            }
        }
    }
    blocks
}

/// The paragraph to cut a piece at: never its first one, and the first of several with the same hash.
fn smallest(starts: &[Start], piece: &Range<usize>) -> Option<(usize, usize)> {
    let inner = piece.start + 1..piece.end;
    let (at, start) = starts.get(inner.clone())?.iter().enumerate().min_by_key(|(_, start)| start.rank)?;
    Some((inner.start + at, start.offset))
}

fn starts(index: &[u8]) -> Vec<Start> {
    let mut starts = Vec::new();
    let mut offset = 0;
    while let Some(rest) = index.get(offset..).filter(|rest| !rest.is_empty()) {
        let line = memchr::memchr(b'\n', rest).and_then(|end| rest.get(..end)).unwrap_or(rest);
        starts.push(Start { offset, rank: rank(line) });
        offset = memchr::memmem::find(rest, b"\n\n").map_or(index.len(), |at| offset + at + 2);
    }
    starts
}

fn rank(line: &[u8]) -> u64 {
    Sha256::of(line).as_bytes().iter().take(8).fold(0, |rank, byte| rank << 8 | u64::from(*byte))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_small_index_is_one_block_and_an_empty_one_none() {
        let check = |text: &str, expected: Option<Range<usize>>| assert_eq!(cut(text.as_bytes()), Vec::from_iter(expected));
        check("", None);
        check("Package: a\n\n", Some(0..12));
        check("Package: a\n\nPackage: b\n\n", Some(0..24));
    }

    #[test]
    fn a_paragraph_longer_than_the_limit_is_a_block_alone() {
        let long = format!("Package: b\nX: {}\n\n", "x".repeat(BLOCK_LIMIT));
        let text = format!("Package: a\n\n{long}Package: c\n\n");
        assert_eq!(cut(text.as_bytes()), [0..12, 12..12 + long.len(), 12 + long.len()..text.len()]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn blocks_are_whole_paragraphs_without_gaps(names in proptest::collection::vec("[a-z]{1,3}", 0..30), sizes in proptest::collection::vec(0usize..400_000, 30)) {
            let text: String = names.iter().zip(&sizes).map(|(name, size)| format!("Package: {name}\nX: {}\n\n", "x".repeat(*size))).collect();
            let blocks = cut(text.as_bytes());
            let mut end = 0;
            for block in &blocks {
                prop_assert_eq!(block.start, end);
                prop_assert!(block.len() <= BLOCK_LIMIT);
                prop_assert!(text[block.clone()].starts_with("Package: ") && text[block.clone()].ends_with("\n\n"));
                end = block.end;
            }
            prop_assert_eq!(end, text.len());
        }
    }
}
