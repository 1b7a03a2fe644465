//! Weaving an index whose paragraphs can all be made: where nothing is known, or too much has changed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use rayon::prelude::*;

use super::{Part, Weaver, Woven};
use crate::formats::blocks::sheet::Sheet;
use crate::formats::blocks::{Length, cut};
use crate::formats::release::{self, Index, Listed};
use crate::stories::fold::FoldError;
use crate::stories::fold::bytes::Bytes;
use crate::stories::fold::context::Context;
use crate::stories::fold::listing::Listing;
use crate::stories::fold::policy::Plan;
use crate::words::digest::Sha256;

/// How many paragraphs are made at a time where no block says where to begin and end.
const RUN: usize = 1024;

/// Weaves an index whose paragraphs can all be made. Without what the last Release lists, every form is joined although nothing
/// changed.
pub(in crate::stories::fold) fn listed(
    context: &Context<'_>,
    index: &Index,
    listing: &Listing<'_>,
    old: Option<&Sheet>,
    repack: bool,
    last: Option<&BTreeMap<String, Listed>>,
    bytes: &Bytes<'_>,
) -> Result<Woven, FoldError> {
    let nothing = BTreeMap::new();
    let weaver = Weaver::of(context, index, last.unwrap_or(&nothing), bytes);
    let none = Sheet::default();
    let before = old;
    let old = old.filter(|old| !repack && !old.blocks.is_empty()).unwrap_or(&none);
    let ranges = ranges(listing, old);
    let read = weaver.read(listing, old, &ranges)?;
    if old.blocks.is_empty() {
        // Nothing says where blocks begin: they are cut evenly.
        let plan = Plan::first(context.suite);
        let effort = Plan::of_new(repack);
        let limit = plan.limit(effort);
        let lengths: Vec<usize> = read.lengths.into_values().flatten().collect();
        let parts = blocks_of(listing, 0, &lengths, limit).into_par_iter().map(|range| weaver.part(&listing.text(range)?.0, effort));
        let parts = parts.collect::<Result<Vec<Part>, FoldError>>()?;
        let woven = weaver.finish(read.plain, parts, |_| None)?;
        return weaver.with_diff(woven, before.unwrap_or(&none), std::iter::empty());
    }
    let plan = Plan::of(context.suite, old, &read.changed);
    if read.changed.is_empty()
        && let Some(woven) = weaver.unchanged(old)
    {
        return Ok(woven);
    }
    let parts = ranges.par_iter().enumerate().map(|(at, range)| {
        let Some(effort) = plan.effort(at) else { return Ok(old.blocks.get(at).map(Part::kept).into_iter().collect()) };
        let (text, lengths) = listing.text(range.clone())?;
        let (mut parts, mut begin) = (Vec::new(), 0);
        for block in blocks_of(listing, range.start, &lengths, plan.limit(effort)) {
            let length: usize = lengths.get(block.start - range.start..block.end - range.start).unwrap_or_default().iter().sum();
            parts.push(weaver.part(text.get(begin..begin + length).unwrap_or_default(), effort)?);
            begin += length;
        }
        Ok(parts)
    });
    let parts = parts.collect::<Result<Vec<Vec<Part>>, FoldError>>()?;
    // Of a block that is another one now, the recorded digest says nothing.
    let same = old.blocks.iter().zip(&ranges).enumerate().filter(|(at, _)| !read.changed.contains_key(at));
    let places: BTreeMap<Sha256, Range<usize>> = same.map(|(_, (block, range))| (block.sha256, range.clone())).collect();
    let woven = weaver.finish(read.plain, parts.into_iter().flatten().collect(), |block| {
        let range = places.get(&block.sha256)?;
        listing.text(range.clone()).ok().map(|(text, _)| text)
    })?;
    let text_of = |at: &usize| Ok((*at, Cow::Owned(listing.text(ranges.get(*at).cloned().unwrap_or_default())?.0)));
    weaver.with_diff(woven, old, read.changed.keys().map(text_of))
}

/// Returns which paragraphs lie where a recorded block was; without one, runs of paragraphs.
fn ranges(listing: &Listing<'_>, old: &Sheet) -> Vec<Range<usize>> {
    let mut begins: Vec<usize> = match old.blocks.as_slice() {
        [] => (0..listing.len()).step_by(RUN).collect(),
        [_, later @ ..] => std::iter::once(0).chain(later.iter().map(|block| listing.from(&block.first))).collect(),
    };
    begins.push(listing.len());
    begins.windows(2).map(|pair| pair.first().copied().unwrap_or_default()..pair.last().copied().unwrap_or_default()).collect()
}

/// Cuts paragraphs from `first` on, of these lengths, into blocks.
fn blocks_of(listing: &Listing<'_>, first: usize, lengths: &[usize], limit: usize) -> Vec<Range<usize>> {
    let paragraph = |(at, bytes): (usize, &usize)| Length { bytes: *bytes, begins: listing.begins(first + at) };
    let paragraphs: Vec<Length> = lengths.iter().enumerate().map(paragraph).collect();
    cut(&paragraphs, limit).into_iter().map(|range| range.start + first..range.end + first).collect()
}

/// What one pass over a text finds out.
struct Read {
    plain: Listed,
    /// Positions of recorded blocks whose text is another one now, with its length in bytes.
    changed: BTreeMap<usize, u64>,
    /// Lengths of paragraphs, by range; kept only where there are no blocks yet.
    lengths: BTreeMap<usize, Vec<usize>>,
}

impl Weaver<'_> {
    /// Reads a listing once: hashes the text, and compares it with what was recorded.
    fn read(&self, listing: &Listing<'_>, old: &Sheet, ranges: &[Range<usize>]) -> Result<Read, FoldError> {
        let mut hasher = release::hasher(self.context.suite);
        let (mut changed, mut all_lengths) = (BTreeMap::new(), BTreeMap::new());
        let window = 2 * rayon::current_num_threads();
        for (at, window) in ranges.chunks(window).enumerate().map(|(number, ranges)| (number * window, ranges)) {
            let texts = window.par_iter().enumerate().map(|(offset, range)| {
                let (text, lengths) = listing.text(range.clone())?;
                let block = old.blocks.get(at + offset);
                let same = block.is_some_and(|block| block.bytes == text.len() as u64 && block.sha256 == Sha256::of(text.as_bytes()));
                if let Some(block) = block.filter(|_| same) {
                    self.bytes.keep_text(&block.sha256, text.as_bytes());
                }
                Ok((text, lengths, block.is_some() && !same))
            });
            for (offset, (text, lengths, differs)) in texts.collect::<Result<Vec<_>, FoldError>>()?.into_iter().enumerate() {
                hasher.update(text.as_bytes());
                if differs {
                    changed.insert(at + offset, text.len() as u64);
                }
                if old.blocks.is_empty() {
                    all_lengths.insert(at + offset, lengths);
                }
            }
        }
        Ok(Read { plain: hasher.finish(), changed, lengths: all_lengths })
    }
}
