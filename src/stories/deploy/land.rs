//! Landing a statement in this repository alone: each try replays it on the newest tip, stores the objects that the edits need,
//! commits and moves the branch by compare-and-swap.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{BuildAnswer, CommitAnswer, CommitRequest, DeployError};
use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::formats::statement::Statement;
use crate::places::git::land::Edits;
use crate::places::git::{GitError, Oid};
use crate::places::requests::Requests;
use crate::places::store::{Intent, ObjectStore, Put, StoreError, in_parallel};
use crate::stories::archive::OpenArchive;
use crate::stories::event::{Event, Listener};
use crate::stories::landing::chain::{Chain, Replayed, Unfit};
use crate::stories::provenance::Objects;

/// A statement on its way: what lands it, what it says, and where the bytes of its objects are.
pub(super) struct Job<'a> {
    pub(super) open: &'a OpenArchive,
    pub(super) store: &'a dyn ObjectStore,
    pub(super) request: &'a CommitRequest,
    pub(super) statement: &'a Statement,
    pub(super) files: &'a BTreeMap<Pointer, PathBuf>,
    /// Whether this run has read the files and written the records itself.
    pub(super) written: bool,
    pub(super) listener: Listener<'a>,
}

/// How many objects were new to the store, and their size in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct New {
    pub(super) objects: usize,
    pub(super) bytes: u64,
}

impl Job<'_> {
    /// Stores the objects that a replay needs.
    pub(super) fn store_objects(&self, replayed: &Replayed) -> Result<New, StoreError> {
        store_objects(self.store, &replayed.edits, &replayed.pool, self.files, self.listener)
    }

    /// Returns where the provenance and the packages of the statement are.
    pub(super) fn objects(&self) -> Objects<'_> {
        Objects::with_files(self.store, self.files, self.written.then_some(self.statement))
    }

    /// Returns the error that a statement which does not fit means.
    pub(super) fn refused(&self, unfit: Unfit) -> DeployError {
        match unfit {
            Unfit::Suite(problems) => DeployError::Refused { out: self.request.out.clone(), problems },
            Unfit::Conflicts(conflicts) => DeployError::Rejected { conflicts },
            Unfit::Open(fault) => fault.into(),
            Unfit::Store(fault) => fault.into(),
        }
    }
}

/// Lands a statement on the branch of this repository.
pub(super) fn land(job: &Job<'_>) -> Result<CommitAnswer, DeployError> {
    let Job { open, request, statement, .. } = job;
    let _held = if request.dry_run { None } else { open.repository.hold_work_tree()? };
    let (commit, (before, replayed, new)) = open.repository.land(&open.branch, "ddb-deploy commit", |tip| {
        let tip = tip.ok_or_else(|| GitError::NoBranch { path: open.repository.root().to_owned(), branch: open.branch.clone() })?;
        let mut chain = Chain::at(open, tip)?;
        let replayed = chain.replay(statement, request.rules, job.objects()).map_err(|unfit| job.refused(unfit))?;
        if request.dry_run {
            return Ok::<_, DeployError>((None, (tip, replayed, New::default())));
        }
        let new = job.store_objects(&replayed)?;
        let commit = chain.extend(statement, &replayed, "", &request.author, &request.author)?;
        Ok((commit, (tip, replayed, new)))
    })?;
    // The commit has landed: whatever becomes of the work tree, the deploy has not failed.
    let refreshed = commit.map(|_| open.repository.refresh_work_tree(&open.branch, Some(before), &replayed.edits)).transpose();
    let left_alone = refreshed.unwrap_or_else(|fault| {
        (job.listener)(behind(&fault));
        None
    });
    Ok(answer(job, commit, replayed, new, left_alone.unwrap_or_default()))
}

/// Stores the objects of every pointer that the edits add, and of those that the pool had before: one that the store has lost
/// comes back.
fn store_objects(
    store: &dyn ObjectStore,
    edits: &Edits,
    pool: &BTreeMap<PoolPath, Pointer>,
    files: &BTreeMap<Pointer, PathBuf>,
    listener: Listener<'_>,
) -> Result<New, StoreError> {
    let added = edits.iter().filter(|(path, _)| path.parse::<PoolPath>().is_ok()).filter_map(|(_, content)| content.as_deref());
    let added = added.filter_map(|bytes| Pointer::decode(bytes).ok());
    let pointers: std::collections::BTreeSet<Pointer> = added.chain(pool.values().copied()).collect();
    confirm_objects(store, edits, files)?;
    listener(Event::Begin { step: "storing objects", parts: pointers.len() });
    store.announce(Intent::Put, &pointers.iter().filter(|pointer| files.contains_key(pointer)).copied().collect::<Vec<_>>())?;
    let here: Vec<(Pointer, &Path)> =
        pointers.iter().filter_map(|pointer| files.get(pointer).map(|file| (*pointer, file.as_path()))).collect();
    let done = |file: &Path| listener(Event::Part { name: file_name(file) });
    let stored = in_parallel(store, || store.put_files(&here, &done))?;
    listener(Event::End);
    let new = || here.iter().zip(&stored).filter(|(_, put)| **put == Put::New);
    Ok(New { objects: new().count(), bytes: new().map(|((pointer, _), _)| pointer.size).sum() })
}

/// Checks that the store has the objects that the edits name and that are not here: those of uploads.
fn confirm_objects(store: &dyn ObjectStore, edits: &Edits, files: &BTreeMap<Pointer, PathBuf>) -> Result<(), StoreError> {
    let added = edits.iter().filter(|(path, _)| path.parse::<PoolPath>().is_ok()).filter_map(|(_, content)| content.as_deref());
    let elsewhere: Vec<Pointer> =
        added.filter_map(|bytes| Pointer::decode(bytes).ok()).filter(|pointer| !files.contains_key(pointer)).collect();
    let confirm = |pointer: &Pointer| match store.refresh(pointer)? {
        true => Ok(()),
        false => Err(StoreError::Missing { store: store.describe(), oid: pointer.oid }),
    };
    in_parallel(store, || elsewhere.par_iter().try_for_each(confirm))
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Says that the checkout could not be brought up to date.
pub(super) fn behind(fault: &GitError) -> Event {
    Event::Warning(format!(
        "the commit has landed, but the work tree is behind ({fault}); `git restore --source=HEAD --staged --worktree pool suites` mends that"
    ))
}

/// Returns the answer for a statement that this run landed, or that changed nothing.
pub(super) fn answer(job: &Job<'_>, commit: Option<Oid>, replayed: Replayed, new: New, left_alone: Vec<String>) -> CommitAnswer {
    let builds = job.statement.builds.iter().zip(replayed.outcome.builds).map(|(build, outcome)| BuildAnswer {
        source: build.source.clone(),
        version: build.version.clone(),
        verdict: outcome.verdict.into(),
        notes: outcome.notes,
    });
    let paths =
        |wanted: bool| replayed.edits.iter().filter(|(_, content)| content.is_some() == wanted).map(|(path, _)| path.clone()).collect();
    CommitAnswer {
        suite: job.statement.suite.clone(),
        branch: job.open.branch.clone(),
        commit: commit.map(|oid| oid.to_string()),
        remote: None,
        not_pushed: None,
        parked: None,
        tries: 1,
        dry_run: job.request.dry_run,
        builds: builds.collect(),
        added: paths(true),
        removed: paths(false),
        new_objects: new.objects,
        new_bytes: new.bytes,
        requests: Requests::default(),
        left_alone,
        uploads: None,
    }
}
