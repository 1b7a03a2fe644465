//! Contents brought up to date: the file lists of packages that changed are compared, and only blocks in which a line changed get
//! another text.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::items::{Item, Reader, shown};
use super::known::Known;
use crate::formats::blocks::sheet::Sheet;
use crate::formats::contents::packed::Packed;
use crate::formats::contents::table::{self, Change};
use crate::formats::index::order::SortKey;
use crate::formats::index::select::{Offer, select};
use crate::formats::release::{Index, Listed};
use crate::stories::fold::bytes::Bytes;
use crate::stories::fold::context::Context;
use crate::stories::fold::delta::Delta;
use crate::stories::fold::look::Seen;
use crate::stories::fold::weave::{self, Woven};
use crate::stories::fold::{FoldError, Last};
use crate::words::digest::Sha256;
use crate::words::name::PackageName;

/// How many packages are compared before their changes are gathered.
const CHUNK: usize = 256;

type Changes = BTreeMap<String, Change>;

/// Weaves an index of which some packages changed.
pub(super) fn woven(
    context: &Context<'_>,
    index: &Index,
    last: &Last,
    listed: &BTreeMap<String, Listed>,
    delta: &Delta,
    bytes: &Bytes<'_>,
    known: &Known<'_>,
) -> Result<Woven, FoldError> {
    let none = Sheet::default();
    let old = last.sheets.get(&index.path()).unwrap_or(&none);
    let changes = changes(context, index, delta, known)?;
    let texts = texts(index, old, &changes, bytes)?;
    let lengths = texts.iter().map(|(at, text)| (*at, text.length() as u64)).collect();
    let text = |at: usize| match texts.get(&at) {
        Some(text) => text.text().map(|text| Some(Cow::Owned(text))).map_err(super::unsorted(index)),
        None => Ok(None),
    };
    weave::replaced(context, index, old, &lengths, &text, listed, bytes)
}

/// Returns what changes in the lines of an index.
fn changes(context: &Context<'_>, index: &Index, delta: &Delta, known: &Known<'_>) -> Result<Changes, FoldError> {
    let (then, now) = delta.then_and_now();
    let items = |seen: &[&Seen]| -> Result<BTreeMap<PackageName, Item>, FoldError> {
        let offers: Vec<&Offer> = seen.iter().map(|seen| &seen.offer).collect();
        let shown = shown(context, index, &select(&offers, context.suite), seen);
        let shown: Vec<_> = shown.into_iter().filter(|(_, seen)| delta.is_named(seen)).collect();
        if shown.is_empty() {
            return Ok(BTreeMap::new());
        }
        let reader = Reader::new(context)?;
        shown.into_iter().map(|(name, seen)| Ok((name.clone(), reader.item(seen)?))).collect()
    };
    let (then, now) = (items(&then)?, items(&now)?);
    known.forget(then.values(), now.values());
    let mut changes = Changes::new();
    let names: Vec<&PackageName> = then.keys().chain(now.keys()).collect::<BTreeSet<_>>().into_iter().collect();
    for names in names.chunks(CHUNK) {
        let work = || {
            let compared = names.par_iter().map(|name| Ok((*name, compared(then.get(*name), now.get(*name), known)?)));
            compared.collect::<Result<Vec<_>, FoldError>>()
        };
        for (name, (gone, come)) in known.in_parallel(work)? {
            for path in gone {
                changes.entry(path).or_default().removed.push(name.to_string());
            }
            for (path, new) in come.into_iter().filter_map(|path| Some((path, now.get(name)?))) {
                changes.entry(path).or_default().added.push(new.qualified.clone());
            }
        }
    }
    Ok(changes)
}

/// Returns in which lines a package does not stand any more as it did, and in which it stands anew, by path.
fn compared(old: Option<&Item>, new: Option<&Item>, known: &Known<'_>) -> Result<(Vec<String>, Vec<String>), FoldError> {
    let same = |old: &&Item| new.is_some_and(|new| (&new.qualified, new.file) == (&old.qualified, old.file));
    if let Some(old) = old.filter(same) {
        known.remember(old)?;
        return Ok((Vec::new(), Vec::new()));
    }
    let paths = |item: Option<&Item>| item.map_or(Ok(Vec::new()), |item| known.list(item).map(|list| list.paths()));
    let (mut gone, mut come) = (paths(old)?, paths(new)?);
    // A package that stands there as before needs no change where it has the same file.
    if old.zip(new).is_some_and(|(old, new)| old.qualified == new.qualified) {
        let both: BTreeSet<String> = gone.iter().filter(|path| come.binary_search(path).is_ok()).cloned().collect();
        gone.retain(|path| !both.contains(path));
        come.retain(|path| !both.contains(path));
    }
    Ok((gone, come))
}

/// Returns the blocks whose text is another one now, by position.
fn texts(index: &Index, old: &Sheet, changes: &Changes, bytes: &Bytes<'_>) -> Result<BTreeMap<usize, Packed>, FoldError> {
    let mut at: BTreeMap<usize, BTreeMap<&str, &Change>> = BTreeMap::new();
    for (path, change) in changes {
        let position = old.holding(&SortKey::of_path(path)).unwrap_or_default();
        at.entry(position).or_default().insert(path, change);
    }
    let edit = |(position, changes): (usize, BTreeMap<&str, &Change>)| -> Result<Option<(usize, Packed)>, FoldError> {
        let block = old.blocks.get(position);
        let gone = || FoldError::Gone { path: index.path(), oid: block.map_or(Sha256::of(b""), |block| block.sha256) };
        let text = match block {
            Some(block) => bytes.text(block).ok_or_else(gone)?,
            None => String::new(),
        };
        let edited = table::edit(&text, &changes).ok_or_else(gone)?;
        if edited == text {
            return Ok(None);
        }
        Ok(Some((position, Packed::of(&edited).map_err(super::unsorted(index))?)))
    };
    let texts = at.into_par_iter().map(edit).collect::<Result<Vec<_>, FoldError>>()?;
    Ok(texts.into_iter().flatten().collect())
}
