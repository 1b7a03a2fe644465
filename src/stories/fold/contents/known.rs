//! Which file list each package has that names none in its record: it was deployed before a suite wanted Contents. Its list is
//! made from the package once, and its digest recorded with each Release, so that the list can be kept and trusted.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::items::Item;
use super::lists::{Lists, Package};
use crate::formats::contents::FileList;
use crate::stories::fold::FoldError;
use crate::words::digest::Sha256;

/// The digests of file lists, by that of the package.
pub type Digests = BTreeMap<Sha256, Sha256>;

/// What is known, and what is found out.
pub(super) struct Known<'a> {
    lists: Option<Lists<'a>>,
    before: &'a Digests,
    now: Mutex<Digests>,
}

impl<'a> Known<'a> {
    /// Begins with these; `kept` says that they are recorded again, else only those that are asked for.
    pub(super) fn new(lists: Option<Lists<'a>>, before: &'a Digests, kept: bool) -> Self {
        Self { lists, before, now: Mutex::new(if kept { before.clone() } else { Digests::new() }) }
    }

    /// Returns the list of a package.
    pub(super) fn list(&self, item: &Item) -> Result<FileList, FoldError> {
        let lists =
            self.lists.as_ref().ok_or_else(|| FoldError::List { record: item.record.clone(), fault: "no store was given".to_owned() })?;
        let digest = item.list.or_else(|| self.before.get(&item.file.oid).copied());
        let list = lists.get(&Package { record: &item.record, file: &item.file, digest })?;
        if item.list.is_none() {
            self.with(|now| now.insert(item.file.oid, list.digest()));
        }
        Ok(list)
    }

    /// Keeps what is known of a package that stays.
    pub(super) fn remember(&self, item: &Item) -> Result<(), FoldError> {
        if item.list.is_none() && !self.with(|now| now.contains_key(&item.file.oid)) {
            self.list(item)?;
        }
        Ok(())
    }

    /// Tells where lists lie.
    pub(super) fn lists(&self) -> Option<&Lists<'a>> {
        self.lists.as_ref()
    }

    /// Returns what is to be recorded.
    pub(super) fn digests(self) -> Digests {
        self.now.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Digests) -> T) -> T {
        work(&mut self.now.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
