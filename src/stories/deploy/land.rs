//! Landing a statement: each try replays it on the newest tip, stores the objects that the edits need, and commits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{BuildAnswer, CommitAnswer, CommitRequest, DeployError, compose};
use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::formats::statement::replay::{self, Outcome};
use crate::formats::statement::{Statement, message};
use crate::places::git::land::Edits;
use crate::places::git::{GitError, Oid};
use crate::places::store::{Intent, ObjectStore, Put, Source, StoreError};
use crate::stories::archive::OpenArchive;
use crate::stories::event::{Event, Listener};

/// What one try came to.
struct Try {
    tip: Option<Oid>,
    outcome: Outcome,
    edits: Edits,
    new_objects: usize,
    new_bytes: u64,
}

pub(super) fn land(
    open: &OpenArchive,
    store: &dyn ObjectStore,
    request: &CommitRequest,
    statement: &Statement,
    files: &BTreeMap<Pointer, PathBuf>,
    listener: Listener<'_>,
) -> Result<CommitAnswer, DeployError> {
    let _held = if request.dry_run { None } else { open.repository.hold_work_tree()? };
    let (commit, attempt) = open.repository.land(&open.branch, "ddb-deploy commit", |tip| {
        let tip = tip.ok_or_else(|| GitError::NoBranch { path: open.repository.root().to_owned(), branch: open.branch.clone() })?;
        let snapshot = open.repository.snapshot(tip)?;
        let archive = open.configuration(&snapshot)?;
        compose::check_suite(statement, &archive).map_err(|problems| DeployError::Refused { out: request.out.clone(), problems })?;
        let state = snapshot.tip_of(statement.builds.iter().map(|build| &build.source))?;
        let outcome = replay::replay(statement, &state, request.rules).map_err(|conflicts| DeployError::Rejected { conflicts })?;
        let edits: Edits =
            outcome.edits.iter().map(|(path, content)| (path.clone(), content.as_ref().map(|text| text.clone().into_bytes()))).collect();
        if request.dry_run {
            return Ok::<_, DeployError>((None, Try { tip: Some(tip), outcome, edits, new_objects: 0, new_bytes: 0 }));
        }
        let (new_objects, new_bytes) = store_objects(store, &edits, &state.pool, files, listener)?;
        if edits.is_empty() {
            return Ok((None, Try { tip: Some(tip), outcome, edits, new_objects, new_bytes }));
        }
        let message = message::write(statement, &outcome);
        let commit = open.repository.commit(Some(tip), &edits, &message, &request.author)?;
        Ok((Some(commit), Try { tip: Some(tip), outcome, edits, new_objects, new_bytes }))
    })?;
    // The commit has landed: whatever becomes of the work tree, the deploy has not failed.
    let refreshed = commit.map(|_| open.repository.refresh_work_tree(&open.branch, attempt.tip, &attempt.edits)).transpose();
    let left_alone = refreshed.unwrap_or_else(|fault| {
        listener(Event::Warning(format!("the commit has landed, but the work tree is behind ({fault}); `git restore --source=HEAD --staged --worktree pool suites` mends that")));
        None
    });
    let left_alone = left_alone.unwrap_or_default();
    Ok(answer(open, request, statement, commit, attempt, left_alone))
}

/// Stores the objects of every pointer that the edits add, and of those that the pool had before: one that the store has lost
/// comes back.
fn store_objects(
    store: &dyn ObjectStore,
    edits: &Edits,
    pool: &BTreeMap<PoolPath, Pointer>,
    files: &BTreeMap<Pointer, PathBuf>,
    listener: Listener<'_>,
) -> Result<(usize, u64), StoreError> {
    let added = edits.iter().filter(|(path, _)| path.parse::<PoolPath>().is_ok()).filter_map(|(_, content)| content.as_deref());
    let added = added.filter_map(|bytes| Pointer::decode(bytes).ok());
    let pointers: std::collections::BTreeSet<Pointer> = added.chain(pool.values().copied()).collect();
    listener(Event::Begin { step: "storing objects", parts: pointers.len() });
    store.announce(Intent::Put, &pointers.iter().filter(|pointer| files.contains_key(pointer)).copied().collect::<Vec<_>>())?;
    let stored: Vec<(Put, u64)> = pointers
        .par_iter()
        .filter_map(|pointer| files.get(pointer).map(|file| (pointer, file)))
        .map(|(pointer, file): (&Pointer, &PathBuf)| {
            let put = store.put(pointer, Source::File(file))?;
            listener(Event::Part { name: file_name(file) });
            Ok((put, pointer.size))
        })
        .collect::<Result<_, StoreError>>()?;
    listener(Event::End);
    let new = || stored.iter().filter(|(put, _)| *put == Put::New);
    Ok((new().count(), new().map(|(_, size)| size).sum()))
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn answer(
    open: &OpenArchive,
    request: &CommitRequest,
    statement: &Statement,
    commit: Option<Oid>,
    attempt: Try,
    left_alone: Vec<String>,
) -> CommitAnswer {
    let builds = statement.builds.iter().zip(attempt.outcome.builds).map(|(build, outcome)| BuildAnswer {
        source: build.source.clone(),
        version: build.version.clone(),
        verdict: outcome.verdict,
        notes: outcome.notes,
    });
    let paths =
        |wanted: bool| attempt.edits.iter().filter(|(_, content)| content.is_some() == wanted).map(|(path, _)| path.clone()).collect();
    CommitAnswer {
        suite: statement.suite.clone(),
        branch: open.branch.clone(),
        commit: commit.map(|oid| oid.to_string()),
        dry_run: request.dry_run,
        builds: builds.collect(),
        added: paths(true),
        removed: paths(false),
        new_objects: attempt.new_objects,
        new_bytes: attempt.new_bytes,
        left_alone,
    }
}
