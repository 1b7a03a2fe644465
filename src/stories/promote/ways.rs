//! Which trees go from one suite to another, and which of the other's records are newer.

use std::collections::{BTreeMap, BTreeSet};

use super::{PromoteError, PromoteRequest, PromotedSource};
use crate::formats::suite::promotion::{newer_there, newest_version};
use crate::places::git::Oid;
use crate::places::git::edit::{Held, TreeEdits};
use crate::places::git::read::Snapshot;
use crate::places::git::suites::SuiteFolder;
use crate::stories::deploy::BuildState;
use crate::words::archive::Suite;
use crate::words::name::{Codename, SourceName};

/// From where to where.
pub(super) struct Ways<'a> {
    pub(super) request: &'a PromoteRequest,
    pub(super) origin: &'a Snapshot<'a>,
    pub(super) from: &'a Codename,
    pub(super) tip: &'a Snapshot<'a>,
    pub(super) to: &'a Codename,
    pub(super) to_suite: &'a Suite,
}

impl Ways<'_> {
    /// The suite becomes what the other one is; returns what a person should know.
    pub(super) fn whole(&self, edits: &mut TreeEdits) -> Result<Vec<String>, PromoteError> {
        let empty = || PromoteError::Empty { codename: self.from.clone(), commit: self.origin.commit() };
        let tree = self.origin.suite_tree(self.from)?.ok_or_else(empty)?;
        if self.tip.suite_tree(self.to)? != Some(tree) {
            edits.insert(format!("suites/{}", self.to), Some(Held::Folder(tree)));
        }
        let mut notes = Vec::new();
        for (component, index) in self.origin.suite_indices(self.from)? {
            if !self.takes(&SuiteFolder { component: component.clone(), index: index.clone(), tree }) {
                notes.push(format!(
                    "{component}/{index}: ddb.toml gives {} no such component or architecture, so nobody is offered it",
                    self.to
                ));
            }
        }
        Ok(notes)
    }

    fn takes(&self, folder: &SuiteFolder) -> bool {
        let architecture = folder.index.architecture().filter(|architecture| !architecture.is_all());
        self.to_suite.components.contains(&folder.component)
            && architecture.is_none_or(|architecture| self.to_suite.architectures.contains(architecture))
    }

    pub(super) fn sources(&self, sources: &BTreeSet<SourceName>, edits: &mut TreeEdits) -> Result<Vec<PromotedSource>, PromoteError> {
        let (mut promoted, mut unknown) = (Vec::new(), Vec::new());
        for source in sources {
            let found = self.origin.folders_of(self.from, source)?;
            let (taken, left): (Vec<SuiteFolder>, Vec<SuiteFolder>) = found.into_iter().partition(|folder| self.takes(folder));
            if taken.is_empty() && left.is_empty() {
                unknown.push(source.clone());
                continue;
            }
            let mut one = self.source(source, &taken, edits)?;
            one.notes.extend(left.iter().map(|SuiteFolder { component, index, .. }| {
                format!("{component}/{index} was left out: ddb.toml gives {} no such component or architecture", self.to)
            }));
            promoted.push(one);
        }
        if unknown.is_empty() {
            return Ok(promoted);
        }
        Err(PromoteError::Unknown { codename: self.from.clone(), commit: self.origin.commit(), sources: unknown })
    }

    fn source(&self, source: &SourceName, coming: &[SuiteFolder], edits: &mut TreeEdits) -> Result<PromotedSource, PromoteError> {
        let there = self.tip.folders_of(self.to, source)?;
        let coming_records = self.origin.records_in(self.from, source, coming)?;
        let own_records = self.tip.records_in(self.to, source, &there)?;
        let mut answer = PromotedSource {
            source: source.clone(),
            version: newest_version(&coming_records),
            before: newest_version(&own_records),
            verdict: BuildState::AlreadyLanded,
            notes: Vec::new(),
        };
        let newer = newer_there(&coming_records, &own_records);
        if !newer.is_empty() && !self.request.downgrade {
            answer.verdict = BuildState::Superseded;
            answer.notes = newer;
            return Ok(answer);
        }
        let path = |folder: &SuiteFolder| {
            let SuiteFolder { component, index, .. } = folder;
            format!("suites/{}/{component}/{index}/{}/{source}", self.to, source.prefix())
        };
        let before: BTreeMap<String, Oid> = there.iter().map(|folder| (path(folder), folder.tree)).collect();
        let after: BTreeMap<String, Oid> = coming.iter().map(|folder| (path(folder), folder.tree)).collect();
        if before != after && !after.is_empty() {
            answer.verdict = BuildState::Landed;
            edits.extend(before.into_keys().map(|path| (path, None)));
            edits.extend(after.into_iter().map(|(path, tree)| (path, Some(Held::Folder(tree)))));
        }
        Ok(answer)
    }
}
