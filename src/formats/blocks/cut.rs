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
    let mut cutter = Cutter::new(paragraphs.iter().map(|paragraph| paragraph.bytes).sum(), limit);
    let mut blocks = Vec::new();
    let mut begin = 0;
    for (at, paragraph) in paragraphs.iter().enumerate() {
        if cutter.begins_block(*paragraph) {
            blocks.push(begin..at);
            begin = at;
        }
    }
    if begin < paragraphs.len() {
        blocks.push(begin..paragraphs.len());
    }
    blocks
}

/// Finds the same cuts one paragraph after the other, for a text that is not in memory as a whole.
#[derive(Debug, Clone)]
pub struct Cutter {
    limit: usize,
    /// Bytes from the beginning of the block on, and the blocks that they become.
    rest: usize,
    left: usize,
    /// Bytes of the block so far.
    length: usize,
}

impl Cutter {
    /// Begins with a text of so many bytes, for blocks of this limit as in `cut`.
    pub fn new(total: usize, limit: usize) -> Self {
        Self { limit, rest: total, left: if limit == 0 { 1 } else { total.div_ceil(limit) }, length: 0 }
    }

    /// Takes the next paragraph; tells whether a block ends before it.
    pub fn begins_block(&mut self, paragraph: Length) -> bool {
        // The block ends here when it would grow too long, or when that brings it nearer to an even share than going on.
        let even = self.left > 1 && 2 * self.length + paragraph.bytes > 2 * self.rest / self.left;
        let cuts = self.length > 0 && paragraph.begins && self.limit > 0 && (self.length + paragraph.bytes > self.limit || even);
        if cuts {
            self.rest = self.rest.saturating_sub(self.length);
            self.left = self.rest.div_ceil(self.limit);
            self.length = 0;
        }
        self.length += paragraph.bytes;
        cuts
    }
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
