//! Contents on the road of the other indices: cut into blocks, compressed where something changed, joined.
//!
//! What a package installs is its file list (`lists`), which a deploy leaves beside the objects. `edits` brings Contents up to
//! date from the lists of packages that changed alone; `whole` makes them from all lists. Both give the same bytes. Where the
//! suite says `contents-every`, they stay as they are while other indices change, and which commit they were made from is
//! recorded, so that whoever makes them again does so from the same one.

mod edits;
mod items;
mod known;
mod lists;
mod whole;

use std::io;

use serde::{Deserialize, Serialize};

pub use known::Digests;
pub(super) use lists::Lists;

use super::bytes::Bytes;
use super::context::Context;
use super::delta::{self, Delta};
use super::look::{self, Seen};
use super::weave::Woven;
use super::{Fold, FoldError, Last, Wanted};
use crate::formats::index::select::{Offer, select};
use crate::formats::release::Index;
use crate::places::git::read::Snapshot;
use crate::places::git::{Oid, Repository};
use crate::words::archive::Archive;
use crate::words::date::Timestamp;
use known::Known;

/// When and from what Contents were made that stay for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refreshed {
    /// When they were made: they stay until `contents-every` has passed since.
    pub at: Timestamp,
    /// The commit whose records they were made from.
    pub base: String,
    /// The commit on the branch of Releases that has this commit as its base and the same Contents; none where that is the one
    /// that this stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
}

impl Refreshed {
    /// Returns the commit that they were made from.
    pub fn base(&self) -> Option<Oid> {
        self.base.parse().ok()
    }
}

/// What Contents of a suite are made with.
pub(super) struct Making<'a> {
    pub(super) repository: &'a Repository,
    pub(super) snapshot: &'a Snapshot<'a>,
    pub(super) context: &'a Context<'a>,
    pub(super) last: Option<&'a Last>,
    pub(super) bytes: &'a Bytes<'a>,
    pub(super) wanted: Wanted,
}

impl Making<'_> {
    /// Adds Contents to a fold of which all else is made; `delta` is what differs from the last Release, where that was found.
    pub(super) fn add_to(&self, fold: &mut Fold, delta: Option<&Delta>) -> Result<(), FoldError> {
        let indices = &self.context.contents;
        if indices.is_empty() {
            return Ok(());
        }
        if let Some((last, refreshed)) = self.kept() {
            fold.record.contents = Some(refreshed.clone());
            fold.lists = last.lists.clone();
            if !self.wanted.from_records {
                take_over(fold, indices, last);
                return Ok(());
            }
            // They are made again as they were: from the records of their own commit.
            let old = self.repository.snapshot(refreshed.base().unwrap_or(last.base))?;
            let archive = archive_at(&old)?;
            let context = Context::read(self.repository, &old, &archive, self.context.codename)?;
            return self.whole(fold, &context, &look::all(self.repository, &old, self.context.codename)?, Some(last));
        }
        let every = self.context.suite.contents_every;
        let refreshed = || Refreshed { at: self.wanted.now, base: self.snapshot.commit().to_string(), release: None };
        fold.record.contents = every.map(|_| refreshed());
        match self.by_delta(fold, delta) {
            // What a cache or store lost is made again from all lists.
            Ok(false) | Err(FoldError::Gone { .. } | FoldError::List { .. }) => {}
            done => return done.map(drop),
        }
        let seen = look::all(self.repository, self.snapshot, self.context.codename)?;
        self.whole(fold, self.context, &seen, self.start())
    }

    /// Returns the Release that Contents start from. Where the rest starts from another suite's, that is this one too if its Contents
    /// are those of the same records, made the same way; else the suite's own.
    fn start(&self) -> Option<&Last> {
        let last = self.last?;
        let Some(own) = last.own.as_deref() else { return Some(last) };
        let current = last.record.contents.as_ref().is_none_or(|contents| contents.base() == Some(last.base));
        let has = |last: &Last| self.context.contents.iter().all(|index| last.sheets.contains_key(&index.path()));
        let same = current && last.record.context == self.context.digest && has(last);
        Some(if same { last } else { own })
    }

    /// Returns the Release whose Contents stay as they are, and what is to be recorded of them.
    fn kept(&self) -> Option<(&Last, Refreshed)> {
        let every = self.context.suite.contents_every?;
        let last = self.last.map(|last| last.own.as_deref().unwrap_or(last));
        let last = last.filter(|last| !self.wanted.repack && last.codename == *self.context.codename)?;
        let refreshed = last.record.contents.as_ref()?;
        let has = |index: &Index| last.sheets.contains_key(&index.path()) && last.listed.contains_key(&index.path());
        // A clock that ran ahead must not stop them for long.
        let ahead = refreshed.at > self.wanted.now && !self.wanted.from_records;
        if ahead || refreshed.at.plus(every) <= self.wanted.now || !self.context.contents.iter().all(has) {
            return None;
        }
        let own = self.snapshot.commit().to_string() == refreshed.base;
        let release = refreshed.release.clone().or_else(|| last.commit.map(|commit| commit.to_string()));
        Some((last, Refreshed { release: release.filter(|_| !own), ..refreshed.clone() }))
    }

    /// Brings Contents up to date; tells whether that could be done.
    fn by_delta(&self, fold: &mut Fold, delta: Option<&Delta>) -> Result<bool, FoldError> {
        let Some(last) = self.start().filter(|_| !self.wanted.repack && !self.wanted.from_records) else { return Ok(false) };
        // Contents that stayed for a while were made from an older commit than the rest.
        let start = last.earlier.as_deref().unwrap_or(last);
        let older = last.record.contents.as_ref().is_some_and(|contents| contents.base() != Some(start.base));
        let has = |index: &Index| last.sheets.contains_key(&index.path());
        if older || start.record.context != self.context.digest || !self.context.contents.iter().all(has) {
            return Ok(false);
        }
        let found;
        let is_theirs = last.earlier.is_none() && self.last.is_some_and(|all| std::ptr::eq(all, last));
        let delta = match delta.filter(|_| is_theirs) {
            Some(delta) => delta,
            None => {
                let Some(delta) = delta::between(self.repository, self.snapshot, self.context, start, self.bytes)? else {
                    return Ok(false);
                };
                found = delta;
                &found
            }
        };
        let known = Known::new(self.bytes.lists(), self.last, last.lists.clone());
        let woven =
            self.context.contents.iter().map(|index| edits::woven(self.context, index, last, &last.listed, delta, self.bytes, &known));
        let woven = woven.collect::<Result<Vec<Woven>, FoldError>>()?;
        record(fold, known);
        add(fold, &self.context.contents, woven);
        Ok(true)
    }

    /// Makes Contents from all lists.
    fn whole(&self, fold: &mut Fold, context: &Context<'_>, seen: &[Seen], last: Option<&Last>) -> Result<(), FoldError> {
        let offers: Vec<&Offer> = seen.iter().map(|seen| &seen.offer).collect();
        let selection = select(&offers, context.suite);
        let seen: Vec<&Seen> = seen.iter().collect();
        let known = Known::new(self.bytes.lists(), self.last, Digests::new());
        let listed = last.filter(|_| !self.wanted.from_records).map(|last| &last.listed);
        // Those that the suite has now: where they are made as they were, it may have had more then.
        let indices = &self.context.contents;
        let mut all = Vec::with_capacity(indices.len());
        for index in indices {
            let sorted = whole::sorted(context, index, &selection, &seen, &known)?;
            let old = last.and_then(|last| last.sheets.get(&index.path()));
            all.push(whole::woven(context, index, &sorted, old, self.wanted.repack, listed, self.bytes)?);
        }
        record(fold, known);
        add(fold, indices, all);
        Ok(())
    }
}

fn record(fold: &mut Fold, known: Known<'_>) {
    let (digests, notes) = known.found();
    fold.lists = digests;
    fold.notes.extend(notes);
}

fn add(fold: &mut Fold, indices: &[Index], woven: Vec<Woven>) {
    for (index, woven) in indices.iter().zip(woven) {
        fold.listed.extend(woven.listed);
        fold.made.extend(woven.made);
        fold.sheets.insert(index.path(), woven.sheet);
    }
}

/// Takes Contents as the last Release has them.
fn take_over(fold: &mut Fold, indices: &[Index], last: &Last) {
    for path in indices.iter().map(Index::path) {
        let forms = [path.clone(), format!("{path}.gz")];
        fold.listed.extend(forms.into_iter().filter_map(|form| Some((form.clone(), last.listed.get(&form)?.clone()))));
        fold.sheets.extend(last.sheets.get(&path).map(|sheet| (path, sheet.clone())));
    }
}

fn archive_at(snapshot: &Snapshot<'_>) -> Result<Archive, FoldError> {
    let bytes = snapshot.file("ddb.toml")?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    Archive::parse(&text).map_err(|fault| snapshot.content("ddb.toml", &fault).into())
}

/// Returns the error that sorting the lines of an index failed with.
fn unsorted(index: &Index) -> impl Fn(io::Error) -> FoldError {
    let path = index.path();
    move |source| FoldError::Sort { path: path.clone(), source }
}
