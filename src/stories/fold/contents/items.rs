//! Which packages stand in an index of Contents, and how: of each name the highest version that Packages lists.

use std::collections::BTreeMap;

use crate::formats::contents::table;
use crate::formats::index::packages;
use crate::formats::index::select::Selection;
use crate::formats::pool::pointer::Pointer;
use crate::formats::release::{Index, IndexKind};
use crate::formats::suite::record::Record;
use crate::places::git::{GitError, Repository};
use crate::stories::fold::FoldError;
use crate::stories::fold::context::Context;
use crate::stories::fold::look::Seen;
use crate::words::digest::Sha256;
use crate::words::name::PackageName;

/// A package as Contents shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// Its name with its section.
    pub(super) qualified: String,
    /// The .deb.
    pub(super) file: Pointer,
    /// The digest of its file list, where its record has it.
    pub(super) list: Option<Sha256>,
    /// Its record, for messages.
    pub(super) record: String,
}

/// Returns the record of each package that an index shows.
///
/// Where the suite has an architecture `all` of its own, packages of that stand in Contents-all alone.
pub(super) fn shown<'s>(
    context: &Context<'_>,
    index: &Index,
    selection: &Selection,
    seen: &[&'s Seen],
) -> BTreeMap<&'s PackageName, &'s Seen> {
    let IndexKind::Contents(name) = &index.kind else { return BTreeMap::new() };
    let apart = context.suite.architectures.iter().any(|architecture| architecture.is_all());
    let listed = selection.listed.get(&(index.component.clone(), name.clone())).into_iter().flatten();
    let mut shown: BTreeMap<&PackageName, &Seen> = BTreeMap::new();
    for seen in listed.filter_map(|at| seen.get(*at).copied()).filter(|seen| !apart || seen.offer.index == *name) {
        let kept = shown.entry(&seen.offer.package).or_insert(seen);
        let precedence = |seen: &Seen| (seen.offer.version.clone(), seen.offer.source_version.clone(), seen.offer.index.clone());
        if precedence(seen) > precedence(kept) {
            *kept = seen;
        }
    }
    shown
}

/// Reads what Contents shows of records.
pub(super) struct Reader<'a> {
    context: &'a Context<'a>,
    own: Repository,
}

impl<'a> Reader<'a> {
    /// Opens the repository for one thread.
    pub(super) fn new(context: &'a Context<'a>) -> Result<Self, GitError> {
        Ok(Self { context, own: Repository::open(&context.git_dir)? })
    }

    /// Reads one record.
    pub(super) fn item(&self, seen: &Seen) -> Result<Item, FoldError> {
        let place = seen.place(self.context.codename);
        let bytes = self.own.blob(seen.blob, &place)?;
        // It was read before, so it can be read again.
        let record = Record::parse(&bytes).map_err(|fault| GitError::content(self.context.commit, &place.to_string(), &fault))?;
        let section = packages::section(&record, self.context.overrides.get(&place.component));
        Ok(Item {
            qualified: table::qualified(section, place.package.as_str()),
            file: Pointer::from(&record.facts),
            list: record.list,
            record: place.to_string(),
        })
    }
}
