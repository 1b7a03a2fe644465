//! Every paragraph of an index from its record: where there is nothing to start from, or too much has changed.
//!
//! A listing holds no text, only which records an index lists and in what order. Its paragraphs are made when they are needed,
//! range by range, so that no index is ever in memory as a whole.

use std::collections::BTreeMap;
use std::ops::Range;

use super::FoldError;
use super::context::Context;
use super::look::{Renderer, Seen, Shape};
use super::record::{Folded, Left, below_suite};
use crate::formats::blocks::encoders::Encoders;
use crate::formats::index::order::SortKey;
use crate::formats::index::select::{Offer, Selection, select};
use crate::formats::release::{Index, IndexKind};
use crate::formats::suite::place::IndexName;
use crate::words::digest::Sha256;
use crate::words::name::Component;

/// Which records each index lists.
pub(super) struct Chosen {
    selection: Selection,
}

/// Chooses among all records.
pub(super) fn choose(context: &Context<'_>, seen: &[Seen]) -> Chosen {
    let offers: Vec<&Offer> = seen.iter().map(|seen| &seen.offer).collect();
    Chosen { selection: select(&offers, context.suite) }
}

impl Chosen {
    /// Returns the records that an index lists, sorted.
    pub(super) fn listing<'a>(&self, context: &'a Context<'a>, seen: &'a [Seen], index: &Index) -> Result<Listing<'a>, FoldError> {
        let (shape, items) = match &index.kind {
            IndexKind::Records(name) => (Shape::Record, self.listed(&index.component, name).to_vec()),
            IndexKind::TranslationEn => (Shape::Translation, described(seen, &index.component).collect()),
            // `contents` makes these, from file lists.
            IndexKind::Contents(_) => (Shape::Record, Vec::new()),
        };
        let mut listing = Listing { context, seen, shape, items };
        listing.sort()?;
        Ok(listing)
    }

    fn listed(&self, component: &Component, name: &IndexName) -> &[usize] {
        self.selection.listed.get(&(component.clone(), name.clone())).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns what is recorded of the suite as a whole.
    pub(super) fn record(&self, context: &Context<'_>, seen: &[Seen]) -> Folded {
        let sources = seen.iter().filter(|seen| seen.offer.index == IndexName::Source).count() as u64;
        Folded {
            release: Sha256::of(b""),
            context: context.digest,
            key: context.key,
            packages: seen.len() as u64 - sources,
            sources,
            dominated: left(context, &self.selection, seen),
            outside: outside(context, &self.selection, seen),
            texts: BTreeMap::new(),
            contents: None,
            encoders: Encoders::new(),
            provenance: None,
        }
    }
}

/// Returns the records of a component that have an entry in Translation-en: all of .debs, listed or not, so that what one source
/// brings does not depend on others.
fn described<'a>(seen: &'a [Seen], component: &'a Component) -> impl Iterator<Item = usize> + 'a {
    let wanted = move |seen: &Seen| seen.description.is_some() && seen.offer.component == *component;
    seen.iter().enumerate().filter(move |(_, seen)| wanted(seen)).map(|(at, _)| at)
}

/// Returns what indices leave out for another source's, sorted.
pub(super) fn left(context: &Context<'_>, selection: &Selection, seen: &[Seen]) -> Vec<Left> {
    let path = |at: usize| seen.get(at).map(|seen| below_suite(&seen.place(context.codename))).unwrap_or_default();
    let mut left: Vec<Left> = selection
        .dominated
        .iter()
        .map(|dominated| Left { index: dominated.index.to_string(), record: path(dominated.offer), winner: path(dominated.winner) })
        .collect();
    left.sort();
    left
}

/// Returns the records that no index lists, sorted.
pub(super) fn outside(context: &Context<'_>, selection: &Selection, seen: &[Seen]) -> Vec<String> {
    let mut outside: Vec<String> =
        selection.outside.iter().filter_map(|at| Some(below_suite(&seen.get(*at)?.place(context.codename)))).collect();
    outside.sort();
    outside
}

/// The paragraphs of an index, in order.
pub(super) struct Listing<'a> {
    context: &'a Context<'a>,
    seen: &'a [Seen],
    shape: Shape,
    items: Vec<usize>,
}

impl<'a> Listing<'a> {
    /// Returns how many there are.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    fn item(&self, at: usize) -> Option<&'a Seen> {
        self.items.get(at).and_then(|at| self.seen.get(*at))
    }

    /// Tells whether a block may begin with this paragraph: its key is not that of the one before.
    pub(super) fn begins(&self, at: usize) -> bool {
        at == 0 || self.item(at).map(|seen| ordered(self.shape, seen)) != self.item(at - 1).map(|seen| ordered(self.shape, seen))
    }

    /// Returns where the paragraphs begin whose key is this or larger.
    pub(super) fn from(&self, first: &SortKey) -> usize {
        self.items.partition_point(|at| self.seen.get(*at).is_some_and(|seen| key(self.shape, seen) < *first))
    }

    /// Makes a range of paragraphs: their text, and the length of each.
    pub(super) fn text(&self, range: Range<usize>) -> Result<(String, Vec<usize>), FoldError> {
        let renderer = Renderer::new(self.context)?;
        let mut text = String::new();
        let mut lengths = Vec::with_capacity(range.len());
        for at in range {
            let Some(seen) = self.item(at) else { continue };
            let paragraph = renderer.paragraph(seen, self.shape)?;
            lengths.push(paragraph.len());
            text.push_str(&paragraph);
        }
        Ok((text, lengths))
    }

    fn sort(&mut self) -> Result<(), FoldError> {
        let (seen, shape) = (self.seen, self.shape);
        let ordered = |at: &usize| seen.get(*at).map(|seen| ordered(shape, seen));
        let same = |a: &usize, b: &usize| ordered(a) == ordered(b);
        if shape == Shape::Translation {
            // Each text stands once for each source that brings it; the same key is the same text.
            let with_source = |at: &usize| (ordered(at), seen.get(*at).map(|seen| &seen.offer.source));
            self.items.sort_by(|a, b| with_source(a).cmp(&with_source(b)));
            self.items.dedup_by(|a, b| with_source(a) == with_source(b));
            return Ok(());
        }
        self.items.sort_by(|a, b| ordered(a).cmp(&ordered(b)));
        // Paragraphs of equal keys are sorted by their text; there are hardly ever any.
        let ties: Vec<Range<usize>> = {
            let mut begin = 0;
            let runs = self.items.chunk_by(same).map(|run| {
                begin += run.len();
                begin - run.len()..begin
            });
            runs.filter(|run| run.len() > 1).collect()
        };
        if ties.is_empty() {
            return Ok(());
        }
        let renderer = Renderer::new(self.context)?;
        for run in ties {
            let Some(items) = self.items.get_mut(run) else { continue };
            let texts = items.iter().filter_map(|at| Some((*at, self.seen.get(*at)?)));
            let mut texts =
                texts.map(|(at, seen)| Ok((renderer.paragraph(seen, shape)?, at))).collect::<Result<Vec<(String, usize)>, FoldError>>()?;
            texts.sort();
            items.iter_mut().zip(texts).for_each(|(item, (_, at))| *item = at);
        }
        Ok(())
    }
}

fn key(shape: Shape, seen: &Seen) -> SortKey {
    match shape {
        Shape::Record => seen.key(),
        Shape::Translation => SortKey {
            name: seen.offer.package.to_string(),
            second: seen.description.map(|md5| md5.to_hex()).unwrap_or_default(),
            version: None,
        },
    }
}

/// The same order as that of the keys, without making them.
fn ordered(shape: Shape, seen: &Seen) -> impl Ord + '_ {
    let offer = &seen.offer;
    match shape {
        Shape::Record => {
            let second = if offer.index == IndexName::Source { "" } else { offer.package.as_str() };
            (offer.source.as_str(), second, Some(&offer.version), None)
        }
        Shape::Translation => (offer.package.as_str(), "", None, seen.description),
    }
}
