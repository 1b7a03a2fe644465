//! Which file list each package has that its record does not name: it was deployed before a suite wanted Contents, or its record
//! names a list that is not its. Its list is made from the package once, and its digest recorded with each Release, so that the
//! list can be kept and trusted. What is recorded there comes before what the record says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::items::Item;
use super::lists::{Lists, Package};
use crate::formats::contents::FileList;
use crate::places::store::in_parallel;
use crate::stories::fold::{FoldError, Last};
use crate::words::digest::Sha256;

/// The digests of file lists, by that of the package.
pub type Digests = BTreeMap<Sha256, Sha256>;

/// What is known, and what is found out.
pub(super) struct Known<'a> {
    lists: Option<Lists<'a>>,
    before: Digests,
    now: Mutex<Found>,
}

/// What is found out.
#[derive(Default)]
struct Found {
    /// What is to be recorded.
    digests: Digests,
    /// Packages that stood in some index, and those that stand in some.
    then: BTreeSet<Sha256>,
    now: BTreeSet<Sha256>,
    /// What a person should know.
    notes: BTreeSet<String>,
}

impl<'a> Known<'a> {
    /// Begins with what is recorded, also with the suite's own last Release where this is another suite's; `kept` is what is recorded
    /// again, beside what is asked for.
    pub(super) fn new(lists: Option<Lists<'a>>, last: Option<&Last>, kept: Digests) -> Self {
        let all = last.into_iter().chain(last.and_then(|last| last.own.as_deref()));
        let before = all.flat_map(|last| &last.lists).map(|(package, list)| (*package, *list)).collect();
        Self { lists, before, now: Mutex::new(Found { digests: kept, ..Found::default() }) }
    }

    /// Returns the list of a package.
    pub(super) fn list(&self, item: &Item) -> Result<FileList, FoldError> {
        let lists =
            self.lists.as_ref().ok_or_else(|| FoldError::List { record: item.record.clone(), fault: "no store was given".to_owned() })?;
        let digest = self.before.get(&item.file.oid).copied().or(item.list);
        let list = lists.get(&Package { record: &item.record, file: &item.file, digest })?;
        let found = list.digest();
        if item.list != Some(found) {
            self.with(|now| now.digests.insert(item.file.oid, found));
        }
        if let Some(wrong) = item.list.filter(|wrong| *wrong != found && digest != Some(found)) {
            let note = format!("{} names the file list {wrong}, but its package gives {found}, which Contents are made from", item.record);
            self.with(|now| now.notes.insert(note));
        }
        Ok(list)
    }

    /// Keeps what is known of a package that stays.
    pub(super) fn remember(&self, item: &Item) -> Result<(), FoldError> {
        if item.list.is_none() && !self.with(|now| now.digests.contains_key(&item.file.oid)) {
            self.list(item)?;
        }
        Ok(())
    }

    /// Takes note of packages that stood in an index and of those that stand there: what stands in none is forgotten.
    pub(super) fn forget<'i>(&self, then: impl Iterator<Item = &'i Item>, now: impl Iterator<Item = &'i Item>) {
        self.with(|found| {
            found.then.extend(then.map(|item| item.file.oid));
            found.now.extend(now.map(|item| item.file.oid));
        });
    }

    /// Runs parallel work that asks for lists.
    pub(super) fn in_parallel<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.lists {
            Some(lists) => in_parallel(lists.farthest(), work),
            None => work(),
        }
    }

    /// Returns what is to be recorded, and what a person should know.
    pub(super) fn found(self) -> (Digests, Vec<String>) {
        let Found { mut digests, then, now, notes } = self.now.into_inner().unwrap_or_else(PoisonError::into_inner);
        digests.retain(|package, _| now.contains(package) || !then.contains(package));
        (digests, notes.into_iter().collect())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Found) -> T) -> T {
        work(&mut self.now.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
