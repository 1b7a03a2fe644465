//! Where the text of an index is cut into blocks: evenly, before paragraphs.
//!
//! Cuts are not found anew in every text. They are recorded with each Release (`sheet`), and the next one keeps them: a block
//! is what lies between two recorded first paragraphs. So only a block in which something changed is cut again, and equal
//! blocks may be as large and as even as compression likes.

use std::ops::Range;

/// A paragraph as cutting sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// Its bytes, with the empty line.
    pub bytes: usize,
    /// Whether a block may begin with it: not when its sort key is that of the paragraph before it.
    pub begins: bool,
}

/// Returns the blocks of a text as ranges of its paragraphs, in order and without gaps; none where there are no paragraphs.
///
/// There are as few as the limit allows, of about the same size. None is longer than the limit in bytes, unless paragraphs that
/// belong together are. A limit of 0 means one block.
pub fn cut(paragraphs: &[Length], limit: usize) -> Vec<Range<usize>> {
    let mut rest: usize = paragraphs.iter().map(|paragraph| paragraph.bytes).sum();
    let mut left = if limit == 0 { 1 } else { rest.div_ceil(limit) };
    let mut blocks = Vec::with_capacity(left);
    let (mut begin, mut length) = (0, 0);
    for (at, paragraph) in paragraphs.iter().enumerate() {
        // The block ends here when it would grow too long, or when that brings it nearer to an even share than going on.
        let even = left > 1 && 2 * length + paragraph.bytes > 2 * rest / left;
        if length > 0 && paragraph.begins && limit > 0 && (length + paragraph.bytes > limit || even) {
            blocks.push(begin..at);
            rest -= length;
            left = rest.div_ceil(limit);
            (begin, length) = (at, 0);
        }
        length += paragraph.bytes;
    }
    if length > 0 {
        blocks.push(begin..paragraphs.len());
    }
    blocks
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::single_range_in_vec_init)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lengths(bytes: &[usize]) -> Vec<Length> {
        bytes.iter().map(|bytes| Length { bytes: *bytes, begins: true }).collect()
    }

    #[test]
    fn blocks_are_few_and_even() {
        let check = |bytes: &[usize], limit, expected: &[Range<usize>]| assert_eq!(cut(&lengths(bytes), limit), expected);
        check(&[], 10, &[]);
        check(&[5], 10, &[0..1]);
        check(&[5, 5], 10, &[0..2]);
        check(&[5, 5, 5], 10, &[0..2, 2..3]);
        check(&[1; 12], 10, &[0..6, 6..12]);
        check(&[50, 1, 1], 10, &[0..1, 1..3]);
        check(&[1, 50, 1], 10, &[0..1, 1..2, 2..3]);
        check(&[3; 100], 0, &[0..100]);
    }

    #[test]
    fn paragraphs_of_one_key_stay_together() {
        let mut paragraphs = lengths(&[4; 6]);
        for at in [1, 2, 3] {
            paragraphs[at].begins = false;
        }
        assert_eq!(cut(&paragraphs, 8), [0..4, 4..6]);
    }

    proptest! {
        #[test]
        fn blocks_cover_the_text_within_the_limit(bytes in proptest::collection::vec(1usize..40, 0..400), limit in 40usize..2000) {
            let blocks = cut(&lengths(&bytes), limit);
            let mut end = 0;
            for block in &blocks {
                prop_assert!(block.start == end && block.end > block.start);
                prop_assert!(bytes[block.clone()].iter().sum::<usize>() <= limit);
                end = block.end;
            }
            prop_assert_eq!(end, bytes.len());
            let total: usize = bytes.iter().sum();
            // Even, not greedy: hardly more than there must be where paragraphs are short.
            if limit >= 800 {
                prop_assert!(blocks.len() <= total.div_ceil(limit) + 1, "{} blocks of {total} bytes, limit {limit}", blocks.len());
                let lengths: Vec<usize> = blocks.iter().map(|block| bytes[block.clone()].iter().sum()).collect();
                prop_assert!(lengths.iter().max() <= lengths.iter().min().map(|least| 2 * least + 80).as_ref(), "{lengths:?}");
            }
        }
    }
}
