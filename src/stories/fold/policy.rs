//! Which blocks are compressed anew, how well, and how long they may be: a function of the recorded blocks, of which of them
//! have another text now, and of the configuration.
//!
//! A block that changed will often change again soon, and someone is waiting: it is cut into short blocks and compressed
//! quickly. Where so much changed that quick blocks would make the index large, time is taken at once. Quick blocks that stayed
//! as they are get their better form later, a few with each publish, so that no publish takes long and no index grows for long.

use std::collections::{BTreeMap, BTreeSet};

use crate::formats::blocks::Effort;
use crate::formats::blocks::sheet::Sheet;
use crate::words::archive::Suite;

/// Longest block that changed just now, in bytes.
const QUICK_LIMIT: usize = 256 << 10;

/// Where less than this changed, in bytes of text, quick is not quicker.
const SMALL: u64 = 32 << 10;

/// Where less than this changed, in bytes of text, it is compressed quickly, however small the index is; and as much as this may
/// stay so, since the few bytes that it costs are worth less than the time.
const LITTLE: u64 = 4 << 20;

/// Where more than one part in so many changed, it is compressed well at once.
const MUCH: u64 = 4;

/// Quick blocks are compressed well with the next publish when they are more than one part in so many of the text …
const TOLERATED: u64 = 8;

/// … but only so many bytes with each.
const BETTERED: u64 = 512 << 10;

/// What is done to the blocks of an index.
pub(super) struct Plan {
    full_limit: usize,
    /// By position of the recorded block.
    efforts: BTreeMap<usize, Effort>,
}

impl Plan {
    /// For an index without recorded blocks.
    pub(super) fn first(suite: &Suite) -> Self {
        Self { full_limit: suite.block_size.bytes(), efforts: BTreeMap::new() }
    }

    /// Returns how well blocks are compressed where none is recorded; a repack is for quiet hours.
    pub(super) fn of_new(repack: bool) -> Effort {
        if repack { Effort::Best } else { Effort::Full }
    }

    /// For an index with recorded blocks, of which these have another text now, of this length in bytes.
    pub(super) fn of(suite: &Suite, old: &Sheet, changed: &BTreeMap<usize, u64>) -> Self {
        let first = Self::first(suite);
        if changed.is_empty() {
            return first;
        }
        let dirty: u64 = changed.values().sum();
        let kept = || old.blocks.iter().enumerate().filter(|(at, _)| !changed.contains_key(at));
        let total: u64 = dirty + kept().map(|(_, block)| block.bytes).sum::<u64>();
        let much = dirty > LITTLE && dirty * MUCH > total;
        let effort = |length: u64| {
            if much || old.blocks.is_empty() || length <= SMALL || suite.block_size.is_whole() { Effort::Full } else { Effort::Quick }
        };
        let mut efforts: BTreeMap<usize, Effort> = changed.iter().map(|(at, length)| (*at, effort(*length))).collect();
        efforts.extend(bettered(old, changed, total).into_iter().map(|at| (at, Effort::Full)));
        Self { efforts, ..first }
    }

    /// Returns how well what now lies at a recorded block is compressed anew; `None` where it is kept.
    pub(super) fn effort(&self, at: usize) -> Option<Effort> {
        self.efforts.get(&at).copied()
    }

    /// Returns how long a block may be, in bytes; 0 is for ever.
    pub(super) fn limit(&self, effort: Effort) -> usize {
        match effort {
            Effort::Best => 2 * self.full_limit,
            Effort::Full => self.full_limit,
            Effort::Quick => self.full_limit.min(QUICK_LIMIT),
        }
    }
}

/// Returns the quick blocks that are compressed well now, the first ones first.
fn bettered(old: &Sheet, changed: &BTreeMap<usize, u64>, total: u64) -> BTreeSet<usize> {
    let quick = || old.blocks.iter().enumerate().filter(|(at, block)| block.effort == Effort::Quick && !changed.contains_key(at));
    let mut left = quick().map(|(_, block)| block.bytes).sum::<u64>().saturating_sub(LITTLE.max(total / TOLERATED)).min(BETTERED);
    let enough = |(at, bytes): (usize, u64)| {
        let wanted = left > 0;
        left = left.saturating_sub(bytes);
        wanted.then_some(at)
    };
    quick().map(|(at, block)| (at, block.bytes)).map_while(enough).collect()
}
