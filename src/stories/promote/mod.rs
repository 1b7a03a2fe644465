//! `ddb-publish promote`: a suite offers what another one offers, or what it offered itself at an older state.
//!
//! Records are not written, and read only where the suite requires provenance: the trees that hold them are named at another
//! path, in one commit that is landed by compare-and-swap as any other. So a suite of 70,000 packages costs what one of 10 costs.

mod answer;
mod error;
mod origin;
mod pool;
mod ways;

use std::collections::BTreeSet;

pub use answer::{PromoteAnswer, PromotedSource};
pub use error::PromoteError;
pub use origin::{At, Origin};

use crate::places::git::edit::{Held, TreeEdits};
use crate::places::git::land::pause;
use crate::places::git::remote::{Move, Pushed, Remote, RemoteError};
use crate::places::git::{Author, GitError, Oid};
use crate::places::store::ObjectStore;
use crate::stories::archive::OpenArchive;
use crate::stories::deploy::BuildState;
use crate::stories::event::{Event, Listener};
use crate::stories::provenance::suite::{self, Asked};
use crate::words::archive::{Archive, Suite};
use crate::words::date::Timestamp;
use crate::words::name::{Codename, SourceName};
use answer::message;
use ways::Ways;

/// What is to be promoted and how.
#[derive(Debug, Clone)]
pub struct PromoteRequest {
    /// The suite, or an older state of one, that has it.
    pub from: Origin,
    /// The suite that shall offer it: its codename, its Suite or one of its distributions.
    pub to: String,
    /// The source packages; `None` means that the suite shall offer exactly what the other one offers.
    pub sources: Option<BTreeSet<SourceName>>,
    /// Whether an older version may displace a newer one.
    pub downgrade: bool,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Who commits, and when.
    pub author: Author,
}

/// How often a push that others were faster than is tried.
const TRIES: u32 = 200;

/// How often a connection that breaks during a push is made again.
const PATIENCE: u32 = 5;

/// Promotes.
///
/// # Errors
/// See `PromoteError`; the branch is then as before.
pub fn promote(
    request: &PromoteRequest,
    open: &OpenArchive,
    store: &dyn ObjectStore,
    listener: Listener<'_>,
) -> Result<PromoteAnswer, PromoteError> {
    match &open.remote {
        Some(remote) if !request.dry_run => on_remote(request, open, remote, store, listener),
        _ => here(request, open, store, listener),
    }
}

/// What is changed on a commit, and what the answer says about it.
struct Step {
    edits: TreeEdits,
    message: String,
    answer: PromoteAnswer,
}

/// Lands in this repository alone.
fn here(
    request: &PromoteRequest,
    open: &OpenArchive,
    store: &dyn ObjectStore,
    listener: Listener<'_>,
) -> Result<PromoteAnswer, PromoteError> {
    let repository = &open.repository;
    let _held = if request.dry_run { None } else { repository.hold_work_tree()? };
    if request.dry_run {
        let _held = open.remote.as_ref().map(|_| repository.hold_remote()).transpose()?;
        return Ok(step(request, open, open.tip()?.commit(), store)?.answer);
    }
    let mut tries = 0;
    let (commit, (before, mut answer)) = repository.land(&open.branch, "ddb-publish promote", |tip| {
        tries += 1;
        let tip = tip.ok_or_else(|| GitError::NoBranch { path: repository.root().to_owned(), branch: open.branch.clone() })?;
        let Step { edits, message, answer } = step(request, open, tip, store)?;
        if edits.is_empty() {
            return Ok::<_, PromoteError>((None, (tip, answer)));
        }
        let commit = repository.commit_held(&[tip], &edits, &message, &request.author, &request.author)?;
        Ok((Some(commit), (tip, answer)))
    })?;
    (answer.commit, answer.tries) = (commit.map(|commit| commit.to_string()), tries);
    if let Some(commit) = commit.filter(|_| repository.work_dir().is_some()) {
        let refreshed =
            repository.changes_between(before, commit).and_then(|edits| repository.refresh_work_tree(&open.branch, Some(before), &edits));
        answer.left_alone = refreshed.unwrap_or_else(|fault| behind(&fault, listener));
    }
    Ok(answer)
}

/// Lands on the remote, again and again while others are faster; then this repository follows.
fn on_remote(
    request: &PromoteRequest,
    open: &OpenArchive,
    remote: &Remote,
    store: &dyn ObjectStore,
    listener: Listener<'_>,
) -> Result<PromoteAnswer, PromoteError> {
    for attempt in 1..=TRIES {
        let held = open.repository.hold_remote()?;
        open.refresh(&[])?;
        let base = open.tip()?.commit();
        let Step { edits, message, mut answer } = step(request, open, base, store)?;
        answer.tries = attempt;
        answer.remote = Some(remote.describe());
        if edits.is_empty() {
            answer.left_alone = open.catch_up(base).unwrap_or_else(|fault| behind(&fault, listener));
            return Ok(answer);
        }
        let commit = open.repository.commit_held(&[base], &edits, &message, &request.author, &request.author)?;
        let old = open.expected(base)?;
        match remote.push(&[Move { reference: open.branch.clone(), old, new: Some(commit) }]) {
            Ok(Pushed::Moved) => {
                answer.commit = Some(commit.to_string());
                answer.left_alone = open.catch_up(commit).unwrap_or_else(|fault| behind(&fault, listener));
                return Ok(answer);
            }
            Ok(Pushed::Lost) => {}
            // The connection broke, perhaps after the branch had moved: the next round sees.
            Err(RemoteError::Failed { .. }) if attempt < PATIENCE => {}
            Err(fault) => return Err(fault.into()),
        }
        drop(held);
        std::thread::sleep(pause(attempt));
    }
    Err(GitError::Contended { branch: open.branch.clone(), tries: TRIES }.into())
}

fn behind(fault: &GitError, listener: Listener<'_>) -> Vec<String> {
    listener(Event::Warning(format!(
        "the commit has landed, but the work tree is behind ({fault}); `git restore --source=HEAD --staged --worktree pool suites` mends that"
    )));
    Vec::new()
}

/// Works out what is changed on a commit.
fn step(request: &PromoteRequest, open: &OpenArchive, tip: Oid, store: &dyn ObjectStore) -> Result<Step, PromoteError> {
    let (tip, now) = (open.repository.snapshot(tip)?, Timestamp(request.author.time));
    let archive = open.configuration(&tip)?;
    let (from, _) = named(&archive, &request.from.suite)?;
    let (to, to_suite) = named(&archive, &request.to)?;
    if from == to && request.from.at.is_none() {
        return Err(PromoteError::Itself { codename: from.clone() });
    }
    let mut release = None;
    let origin = match &request.from.at {
        None => open.repository.snapshot(tip.commit())?,
        Some(at) => {
            origin::fetch(open, from)?;
            let edition = origin::edition(open, from, at, tip.commit(), now)?;
            release = Some(edition.sequence);
            open.repository.snapshot(edition.base)?
        }
    };
    let into = Asked { codename: to, snapshot: &tip, archive: &archive };
    if into.requires() {
        if request.from.at.is_none() {
            origin::fetch(open, from)?;
        }
        let last = origin::last(open, from, now);
        let came = suite::Origin { snapshot: &origin, codename: from, last: last.as_ref(), sources: request.sources.as_ref() };
        suite::check_coming(open, came, into, store)?;
    }
    let ways = Ways { request, origin: &origin, from, tip: &tip, to, to_suite };
    let mut edits = TreeEdits::new();
    let (packages, notes) = match &request.sources {
        None => (Vec::new(), ways.whole(&mut edits)?),
        Some(sources) => (ways.sources(sources, &mut edits)?, Vec::new()),
    };
    let mut restored = Vec::new();
    if origin.commit() != tip.commit() {
        let wanted = |source: &SourceName| match &request.sources {
            None => true,
            Some(_) => packages.iter().any(|package| package.source == *source && package.verdict != BuildState::Superseded),
        };
        let files = pool::to_restore(&origin, from, &tip, to, wanted, store)?;
        open.repository.hydrate(files.values().copied())?;
        restored.extend(files.keys().cloned());
        edits.extend(files.into_iter().map(|(path, blob)| (path, Some(Held::File(blob)))));
    }
    let superseded = packages.iter().any(|package| package.verdict == BuildState::Superseded);
    let verdict = match (edits.is_empty(), superseded) {
        (false, _) => BuildState::Landed,
        (true, true) => BuildState::Superseded,
        (true, false) => BuildState::AlreadyLanded,
    };
    let answer = PromoteAnswer {
        from: from.clone(),
        to: to.clone(),
        origin: origin.commit().to_string(),
        release,
        all: request.sources.is_none(),
        verdict,
        branch: open.branch.clone(),
        commit: None,
        remote: None,
        tries: 1,
        dry_run: request.dry_run,
        packages,
        restored,
        left_alone: Vec::new(),
        notes,
    };
    Ok(Step { edits, message: message(&answer), answer })
}

fn named<'a>(archive: &'a Archive, name: &str) -> Result<(&'a Codename, &'a Suite), PromoteError> {
    let found = archive.suite_for_distribution(name).and_then(|codename| archive.suites.get_key_value(codename));
    found.ok_or_else(|| PromoteError::NoSuite { name: name.to_owned(), known: archive.suites.keys().cloned().collect() })
}
