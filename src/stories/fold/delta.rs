//! What is different since the last Release: Git compares the trees, and only sources that differ are looked at.
//!
//! A source of which a record or a pool file changed is *touched*. What an index lists of a package follows from everything
//! that offers the package, so the others that offer a touched package's name are looked at too: those that an index left out
//! are recorded, and one that an index lists is found by its name in the index itself.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::bytes::Bytes;
use super::context::Context;
use super::listing;
use super::look::{self, Renderer, Seen, Shape};
use super::record::{Folded, Last, Left, place_below};
use super::{FoldError, Names};
use crate::formats::blocks::encoders::Encoders;
use crate::formats::blocks::sheet::{Block, Sheet};
use crate::formats::index::order::{SortKey, paragraphs, source_of};
use crate::formats::index::select::{Offer, Selection, select};
use crate::formats::release::{Index, IndexKind};
use crate::formats::suite::place::{IndexName, RecordPlace};
use crate::places::git::Repository;
use crate::places::git::read::Snapshot;
use crate::words::deb822::Paragraph;
use crate::words::digest::{Md5, Sha256};
use crate::words::name::{PackageName, SourceName};

/// Where more sources than this are touched, making everything anew is as fast.
const MANY: usize = 2000;

/// What is different since the last Release.
#[derive(Default)]
pub(super) struct Delta {
    touched: BTreeSet<SourceName>,
    /// Records of touched sources then.
    before: Vec<Seen>,
    /// Records now, of touched sources first, then of others that offer a package of the same name.
    after: Vec<Seen>,
    /// How many of these are of touched sources.
    own: usize,
    /// Names of packages, of .debs and of packages of the installer, whose paragraphs are made anew.
    names: [Names; 2],
    /// What indices list of these records.
    selection: Selection,
}

/// The blocks of an index whose text is another one now, by position. An index without blocks has its text at 0.
#[derive(Debug, Default)]
pub(super) struct Edited {
    pub(super) texts: BTreeMap<usize, String>,
}

/// Finds out what is different; `None` where that cannot be told, or is too much.
pub(super) fn between(
    repository: &Repository,
    snapshot: &Snapshot<'_>,
    context: &Context<'_>,
    last: &Last,
    bytes: &Bytes<'_>,
) -> Result<Option<Delta>, FoldError> {
    if last.record.key == context.key {
        return Ok(Some(Delta::default()));
    }
    // In a shallow clone the commit may be missing, and in a partial one its trees.
    let Ok(old) = repository.snapshot(last.base) else { return Ok(None) };
    let Some(touched) = touched(snapshot, context, last, &old) else { return Ok(None) };
    let Ok(before) = look::of_sources(repository, &old, &last.codename, &touched) else { return Ok(None) };
    let mut after = look::of_sources(repository, snapshot, context.codename, &touched)?;
    let own = after.len();
    let names = [names(&before, &after, 0), names(&before, &after, 1)];
    let Some(others) = others(context, last, &before, &after, &names, bytes) else { return Ok(None) };
    let others: BTreeSet<SourceName> = others.difference(&touched).cloned().collect();
    if others.len() > MANY {
        return Ok(None);
    }
    after.extend(look::of_sources(repository, snapshot, context.codename, &others)?);
    let offers: Vec<&Offer> = after.iter().map(|seen| &seen.offer).collect();
    let selection = select(&offers, context.suite);
    Ok(Some(Delta { touched, before, own, names, selection, after }))
}

/// Returns the sources of which a record or a pool file differs.
fn touched(snapshot: &Snapshot<'_>, context: &Context<'_>, last: &Last, old: &Snapshot<'_>) -> Option<BTreeSet<SourceName>> {
    let (new_root, old_root) = (format!("suites/{}", context.codename), format!("suites/{}", last.codename));
    let mut touched = BTreeSet::new();
    let records = snapshot.changed_from(&new_root, old, &old_root).ok()?;
    for (path, blob) in records {
        // What is no record is reported by whoever reads them all.
        if blob.is_some() && path.parse::<RecordPlace>().is_err() {
            return None;
        }
        touched.insert(path.rsplit('/').nth(1)?.parse().ok()?);
    }
    for (path, _) in snapshot.changed_below("pool", old).ok()? {
        // Files that are not a source's are none that a record can name.
        touched.extend(path.rsplit('/').nth(1).and_then(|source| source.parse().ok()));
    }
    (touched.len() <= MANY).then_some(touched)
}

/// 0 for .debs, 1 for packages of the installer; none for sources.
fn family(index: &IndexName) -> Option<usize> {
    match index {
        IndexName::Source => None,
        IndexName::Binary(_) => Some(0),
        IndexName::Installer(_) => Some(1),
    }
}

fn names(before: &[Seen], after: &[Seen], wanted: usize) -> Names {
    let all = before.iter().chain(after).filter(|seen| family(&seen.offer.index) == Some(wanted));
    all.map(|seen| seen.offer.package.to_string()).collect()
}

/// Returns the other sources that offer packages of these names to some index; `None` where a text is missing.
fn others(
    context: &Context<'_>,
    last: &Last,
    before: &[Seen],
    after: &[Seen],
    names: &[Names; 2],
    bytes: &Bytes<'_>,
) -> Option<BTreeSet<SourceName>> {
    let mut others = BTreeSet::new();
    for Left { index, record, winner } in &last.record.dominated {
        let (left, winner) = (place_below(&last.codename, record)?, place_below(&last.codename, winner)?);
        let names = names.get(family(&IndexName::from_folder(index)?)?)?;
        if names.contains(left.package.as_str()) {
            others.extend([left.source, winner.source]);
        }
    }
    // A package that a touched source already offered to an index is listed there or recorded as left out, and so are all others
    // that offer it. One that it did not may be listed for somebody else.
    let offered = |seen: &[Seen]| {
        let offers: Vec<&Offer> = seen.iter().map(|seen| &seen.offer).collect();
        offered_to(&select(&offers, context.suite), seen)
    };
    let (then, now) = (offered(before), offered(after));
    let none = Names::new();
    for (index, now) in now {
        let new: BTreeSet<&str> = now.difference(then.get(&index).unwrap_or(&none)).map(String::as_str).collect();
        if new.is_empty() {
            continue;
        }
        for component in &context.suite.components {
            let sheet = last.sheets.get(&format!("{component}/{index}/Packages"));
            let found = sheet.map_or(&[][..], |sheet| &sheet.blocks).par_iter().map(|block| listed_for(block, &new, bytes));
            for sources in found.collect::<Option<Vec<_>>>()? {
                others.extend(sources);
            }
        }
    }
    Some(others)
}

/// Returns the records that bring an entry to Translation-en, one for each source, package and text.
fn described<'a>(seen: &'a [Seen], index: &Index) -> BTreeMap<(&'a SourceName, &'a PackageName, Md5), &'a Seen> {
    let of_component = seen.iter().filter(|seen| seen.offer.component == index.component);
    of_component.filter_map(|seen| Some(((&seen.offer.source, &seen.offer.package, seen.description?), seen))).collect()
}

/// Returns the names of packages that records offer to each index, listed or left out.
fn offered_to(selection: &Selection, seen: &[Seen]) -> BTreeMap<IndexName, Names> {
    let mut offered: BTreeMap<IndexName, Names> = BTreeMap::new();
    let listed = selection.listed.iter().flat_map(|((_, index), listed)| listed.iter().map(move |at| (index, *at)));
    let left = selection.dominated.iter().map(|dominated| (&dominated.index, dominated.offer));
    for (index, at) in listed.chain(left).filter(|(index, _)| **index != IndexName::Source) {
        let name = seen.get(at).map(|seen| seen.offer.package.to_string());
        offered.entry(index.clone()).or_default().extend(name);
    }
    offered
}

/// Returns the sources whose packages of these names a block lists.
fn listed_for(block: &Block, names: &BTreeSet<&str>, bytes: &Bytes<'_>) -> Option<Vec<SourceName>> {
    let text = bytes.text(block)?;
    let named = |paragraph: &&str| {
        paragraph.strip_prefix("Package: ").and_then(|rest| rest.lines().next()).is_some_and(|name| names.contains(name))
    };
    paragraphs(&text).filter(named).map(|paragraph| source_of(&Paragraph::of_checked(paragraph))).collect()
}

impl Delta {
    /// Returns the blocks of an index whose text is another one now.
    pub(super) fn edited(&self, context: &Context<'_>, index: &Index, old: &Sheet, bytes: &Bytes<'_>) -> Result<Edited, FoldError> {
        let kind = index.sort_kind();
        let removed = self.removed(index);
        let mut inserted = self.inserted(context, index)?;
        let mut positions: BTreeSet<usize> = inserted.iter().filter_map(|(key, _)| old.holding(key)).collect();
        for (name, second) in removed.keys() {
            let begin = SortKey { name: name.clone(), second: second.clone().unwrap_or_default(), version: None };
            let first = old.holding(&begin).unwrap_or_default();
            let reached = |block: &&Block| match second {
                Some(second) => (&block.first.name, &block.first.second) <= (name, second),
                None => block.first.name <= *name,
            };
            let further = old.blocks.iter().skip(first + 1).take_while(reached).count();
            positions.extend((first..=first + further).filter(|at| *at < old.blocks.len()));
        }
        if old.blocks.is_empty() {
            inserted.sort_unstable();
            let text: String = inserted.iter().map(|(_, text)| text.as_str()).collect();
            return Ok(Edited { texts: if text.is_empty() { BTreeMap::new() } else { BTreeMap::from([(0, text)]) } });
        }
        let mut at: BTreeMap<usize, Vec<(SortKey, String)>> = BTreeMap::new();
        for (key, text) in inserted {
            at.entry(old.holding(&key).unwrap_or_default()).or_default().push((key, text));
        }
        let edit = |position: usize| -> Result<Option<(usize, String)>, FoldError> {
            let Some(block) = old.blocks.get(position) else { return Ok(None) };
            let gone = || FoldError::Gone { path: index.path(), oid: block.sha256 };
            let text = bytes.text(block).ok_or_else(gone)?;
            let mut kept: Vec<(SortKey, &str)> = Vec::with_capacity(usize::try_from(block.paragraphs).unwrap_or_default() + 1);
            // Equal keys are never in two blocks, so each block counts for itself.
            let mut removed = removed.clone();
            for paragraph in paragraphs(&text) {
                let key = SortKey::of(kind, paragraph).ok_or_else(gone)?;
                let mut take = |second| removed.get_mut(&(key.name.clone(), second)).filter(|left| **left > 0).map(|left| *left -= 1);
                if take(None).or_else(|| take(Some(key.second.clone()))).is_none() {
                    kept.push((key, paragraph));
                }
            }
            kept.extend(at.get(&position).into_iter().flatten().map(|(key, text)| (key.clone(), text.as_str())));
            kept.sort();
            let edited: String = kept.iter().map(|(_, text)| *text).collect();
            Ok((edited != text).then_some((position, edited)))
        };
        let texts = positions.into_par_iter().map(edit).collect::<Result<Vec<_>, FoldError>>()?;
        Ok(Edited { texts: texts.into_iter().flatten().collect() })
    }

    /// Returns the records, then and now, of everything that offers a package whose paragraphs are made anew.
    pub(super) fn then_and_now(&self) -> (Vec<&Seen>, Vec<&Seen>) {
        let others = self.after.get(self.own..).unwrap_or_default();
        (self.before.iter().chain(others).collect(), self.after.iter().collect())
    }

    /// Tells whether a record offers a package whose paragraphs are made anew.
    pub(super) fn is_named(&self, seen: &Seen) -> bool {
        let names = family(&seen.offer.index).and_then(|family| self.names.get(family));
        names.is_some_and(|names| names.contains(seen.offer.package.as_str()))
    }

    /// Returns what paragraphs leave an index before others come in, by name and second part of the sort key or by name alone,
    /// and how many of each at most.
    fn removed(&self, index: &Index) -> BTreeMap<(String, Option<String>), usize> {
        match &index.kind {
            IndexKind::Records(IndexName::Source) => self.touched.iter().map(|source| ((source.to_string(), None), usize::MAX)).collect(),
            IndexKind::Records(name) => {
                let of_index = |seen: &&Seen| family(&seen.offer.index) == family(name) && self.is_named(seen);
                let key = |seen: &Seen| (seen.offer.source.to_string(), Some(seen.offer.package.to_string()));
                self.before.iter().chain(&self.after).filter(of_index).map(|seen| (key(seen), usize::MAX)).collect()
            }
            IndexKind::TranslationEn => {
                let mut removed = BTreeMap::new();
                for (_, package, md5) in described(&self.before, index).keys() {
                    *removed.entry((package.to_string(), Some(md5.to_hex()))).or_default() += 1;
                }
                removed
            }
            // `contents` brings these up to date, from file lists.
            IndexKind::Contents(_) => BTreeMap::new(),
        }
    }

    /// Makes the paragraphs that come into an index.
    fn inserted(&self, context: &Context<'_>, index: &Index) -> Result<Vec<(SortKey, String)>, FoldError> {
        let own = self.after.get(..self.own).unwrap_or_default();
        let (shape, wanted): (_, Vec<&Seen>) = match &index.kind {
            IndexKind::Records(name) => {
                let listed = self.selection.listed.get(&(index.component.clone(), name.clone())).into_iter().flatten();
                let wanted = |at: &usize| match name {
                    IndexName::Source => self.after.get(*at).filter(|_| *at < self.own),
                    _ => self.after.get(*at).filter(|seen| self.is_named(seen)),
                };
                (Shape::Record, listed.filter_map(wanted).collect())
            }
            IndexKind::TranslationEn => (Shape::Translation, described(own, index).into_values().collect()),
            IndexKind::Contents(_) => (Shape::Record, Vec::new()),
        };
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let renderer = Renderer::new(context)?;
        let paragraph = |seen: &Seen| {
            let text = renderer.paragraph(seen, shape)?;
            let key = SortKey::of(index.sort_kind(), &text).unwrap_or_else(|| seen.key());
            Ok((key, text))
        };
        wanted.into_iter().map(paragraph).collect()
    }

    /// Returns what is recorded of the suite as a whole.
    pub(super) fn record(&self, context: &Context<'_>, last: &Last) -> Folded {
        let is_source = |seen: &&Seen| seen.offer.index == IndexName::Source;
        let own = self.after.get(..self.own).unwrap_or_default();
        let count = |seen: &[Seen]| (seen.iter().filter(is_source).count() as u64, seen.len() as u64);
        let ((old_sources, old_all), (new_sources, new_all)) = (count(&self.before), count(own));
        let changed = |left: &Left| {
            let family = IndexName::from_folder(&left.index).and_then(|index| family(&index));
            let place = place_below(context.codename, &left.record);
            let names = family.and_then(|family| self.names.get(family));
            names.zip(place).is_none_or(|(names, place)| names.contains(place.package.as_str()))
        };
        let mut dominated: Vec<Left> = last.record.dominated.iter().filter(|left| !changed(left)).cloned().collect();
        dominated.extend(listing::left(context, &self.selection, &self.after).into_iter().filter(changed));
        dominated.sort();
        let touched = |path: &String| place_below(context.codename, path).is_none_or(|place| self.touched.contains(&place.source));
        let mut outside: Vec<String> = last.record.outside.iter().filter(|path| !touched(path)).cloned().collect();
        outside.extend(listing::outside(context, &self.selection, &self.after).into_iter().filter(touched));
        outside.sort();
        Folded {
            release: Sha256::of(b""),
            context: context.digest,
            key: context.key,
            packages: (last.record.packages + (new_all - new_sources)).saturating_sub(old_all - old_sources),
            sources: (last.record.sources + new_sources).saturating_sub(old_sources),
            dominated,
            outside,
            texts: BTreeMap::new(),
            contents: None,
            encoders: Encoders::new(),
            provenance: None,
        }
    }
}
