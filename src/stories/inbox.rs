//! `ddb-deploy inbox`: what other jobs parked: listed, landed, withdrawn.

use std::collections::BTreeSet;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use crate::formats::inbox::{BuildVerdict, INBOX, Parked, ParkedVerdict, verdicts_branch};
use crate::places::git::land::pause;
use crate::places::git::remote::{Move, Pushed, Remote, RemoteError};
use crate::places::git::{Author, GitError, Oid};
use crate::places::store::{ObjectStore, StoreError};
use crate::stories::archive::{OpenArchive, OpenError};
use crate::stories::landing::chain::Unfit;
use crate::stories::landing::drain::{BATCH, DrainError, Refusals, drain};
use crate::stories::landing::waiting::{self, Waiting};
use crate::words::archive::Archive;
use crate::words::date::Timestamp;

/// Whose inbox, and who works on it.
#[derive(Debug, Clone)]
pub struct InboxRequest {
    /// A folder in the archive repository.
    pub archive: PathBuf,
    /// The branch, where it is not the one that HEAD points at.
    pub branch: Option<String>,
    /// The Git remote, where it is not the branch's or `origin`.
    pub remote: Option<String>,
    /// Who commits.
    pub author: Author,
    /// The time.
    pub now: Timestamp,
}

/// What waits in the inbox.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct InboxAnswer {
    /// The archive's branch.
    pub branch: String,
    /// Whether this archive lands anything from its inbox.
    pub open: bool,
    /// What waits, in the order in which it is landed; what cannot be landed last.
    pub waiting: Vec<WaitingAnswer>,
}

/// One statement in the inbox.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WaitingAnswer {
    /// The inbox branch.
    pub name: String,
    /// The parked commit.
    pub commit: String,
    /// Who parked it.
    pub author: String,
    /// When, in seconds since 1970.
    pub since: Timestamp,
    /// Fingerprint of the uploader who sealed it.
    pub sealed_by: Option<String>,
    /// Its source packages and versions.
    pub builds: Vec<String>,
    /// Why it is not landed, where it is not.
    pub problem: Option<String>,
}

/// What became of the statements that waited.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LandAnswer {
    /// The archive's branch.
    pub branch: String,
    /// Its newest commit, where it moved.
    pub commit: Option<String>,
    /// One entry for each statement.
    pub verdicts: Vec<VerdictAnswer>,
}

/// What became of one statement.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct VerdictAnswer {
    /// The inbox branch that it waited on.
    pub name: String,
    /// Its source packages and versions.
    pub builds: Vec<String>,
    /// The commit that it made.
    pub commit: Option<String>,
    /// What became of each build; none where the statement was rejected.
    pub verdicts: Vec<BuildVerdict>,
    /// Why it was rejected.
    pub rejected: Option<String>,
}

/// What was withdrawn.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WithdrawAnswer {
    /// The inbox branch that is gone.
    pub name: String,
    /// The commit that it pointed at.
    pub commit: String,
}

/// Why the inbox cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// The archive cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The remote cannot be used.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The repository has no remote.
    #[error("{} has no remote, and so no inbox", path.display())]
    NoRemote {
        /// The repository.
        path: PathBuf,
    },
    /// Nothing may be landed.
    #[error(
        "this archive lands nothing from its inbox: set inbox.protected in ddb.toml if the forge protects ddb/inbox/*, or name uploaders"
    )]
    Closed,
    /// The checkout does not show what was landed.
    #[error("what waited has landed, but the work tree is behind; `git restore --source=HEAD --staged --worktree pool suites` mends that")]
    Behind(#[source] GitError),
    /// No such statement waits.
    #[error("no statement \"{name}\" waits in the inbox")]
    NotThere {
        /// The name asked for.
        name: String,
    },
    /// Several begin like that.
    #[error("{count} statements in the inbox begin with \"{name}\"; give more of the name")]
    Ambiguous {
        /// The name asked for.
        name: String,
        /// How many.
        count: usize,
    },
}

/// How often a push is tried.
const TRIES: u32 = 20;

impl InboxRequest {
    fn open(&self) -> Result<(OpenArchive, Remote), InboxError> {
        let mut open = OpenArchive::open(&self.archive, self.branch.as_deref())?;
        open.connect(self.remote.as_deref())?;
        let Some(remote) = open.remote.clone() else { return Err(InboxError::NoRemote { path: open.repository.root().to_owned() }) };
        Ok((open, remote))
    }
}

/// Fetches the branch, its inbox and its verdicts.
fn look(open: &OpenArchive) -> Result<(), RemoteError> {
    open.refresh(&[&format!("{INBOX}*"), &format!("{}*", verdicts_branch(&open.branch))])
}

/// Lists what waits.
///
/// # Errors
/// The archive or the remote cannot be read.
pub fn list(request: &InboxRequest) -> Result<InboxAnswer, InboxError> {
    let (open, _) = request.open()?;
    let _held = open.repository.hold_remote()?;
    look(&open)?;
    let snapshot = open.tip()?;
    let archive = open.configuration(&snapshot)?;
    let uploaders = open.uploaders(&snapshot, &archive)?;
    let waiting = waiting::read(&open, &archive, uploaders.as_ref(), request.now)?;
    Ok(InboxAnswer {
        branch: open.branch.clone(),
        open: waiting::is_open(&archive, uploaders.as_ref()),
        waiting: waiting.into_iter().map(described).collect(),
    })
}

fn described(waiting: Waiting) -> WaitingAnswer {
    let Waiting { reference, commit, author, parked, sealed_by } = waiting;
    WaitingAnswer {
        name: short(&reference),
        commit: commit.to_string(),
        author: format!("{} <{}>", author.name, author.email),
        since: Timestamp(author.time),
        sealed_by,
        builds: parked.as_ref().map(builds).unwrap_or_default(),
        problem: parked.err(),
    }
}

fn short(reference: &str) -> String {
    reference.strip_prefix("refs/heads/").unwrap_or(reference).to_owned()
}

fn builds(parked: &Parked) -> Vec<String> {
    parked.statement.builds.iter().map(|build| format!("{} {}", build.source, build.version)).collect()
}

/// Lands what waits.
///
/// # Errors
/// The inbox is closed, or the archive, the remote or the store cannot be used; what waits goes on waiting.
pub fn land(request: &InboxRequest) -> Result<LandAnswer, InboxError> {
    let (open, remote) = request.open()?;
    look(&open)?;
    let archive = open.configuration(&open.tip()?)?;
    let store = open.store(&archive)?;
    let remote = remote.with_push_options(&archive.remote.push_options);
    land_all(&open, &remote, store.as_ref(), &request.author, request.now)?.ok_or(InboxError::Closed)
}

/// Lands what waits, `None` where the inbox is closed. A push that the server refuses is tried for each statement alone, and one
/// that is refused then is rejected with the server's words.
///
/// # Errors
/// The archive, the remote or the store cannot be used; what waits goes on waiting.
pub fn land_all(
    open: &OpenArchive,
    remote: &Remote,
    store: &dyn ObjectStore,
    committer: &Author,
    now: Timestamp,
) -> Result<Option<LandAnswer>, InboxError> {
    let mut answer = LandAnswer { branch: open.branch.clone(), commit: None, verdicts: Vec::new() };
    let mut refusals = Refusals::default();
    let (mut alone, mut lost) = (false, 0);
    // Whoever parks from now on is landed too as long as there is work; but it must come to an end.
    let mut wanted: Option<BTreeSet<Oid>> = None;
    let mut behind = None;
    while lost < TRIES {
        let _held = open.repository.hold_remote()?;
        look(open)?;
        let snapshot = open.tip()?;
        let archive: Archive = open.configuration(&snapshot)?;
        let uploaders = open.uploaders(&snapshot, &archive)?;
        if !waiting::is_open(&archive, uploaders.as_ref()) {
            return Ok(None);
        }
        let mut waiting = waiting::read(open, &archive, uploaders.as_ref(), now)?;
        let wanted = wanted.get_or_insert_with(|| waiting.iter().map(|one| one.commit).collect());
        if !waiting.iter().any(|one| wanted.contains(&one.commit)) {
            return behind.map_or(Ok(Some(answer)), |fault| Err(InboxError::Behind(fault)));
        }
        waiting.truncate(if alone { 1 } else { BATCH });
        let drained = drain(open, store, snapshot.commit(), &waiting, &refusals, None, committer).map_err(|fault| match fault {
            DrainError::Store(fault) => InboxError::Store(fault),
            DrainError::Own(Unfit::Store(fault)) | DrainError::Unfit(Unfit::Store(fault)) => InboxError::Store(fault),
            DrainError::Own(Unfit::Open(fault)) | DrainError::Unfit(Unfit::Open(fault)) => InboxError::Open(fault),
            DrainError::Own(unfit) | DrainError::Unfit(unfit) => InboxError::Git(GitError::content(snapshot.commit(), "ddb.toml", &unfit)),
        })?;
        match remote.push(&drained.moves) {
            Ok(Pushed::Moved) => {
                if drained.tip != snapshot.commit() {
                    answer.commit = Some(drained.tip.to_string());
                    behind = open.catch_up(drained.tip).err().or(behind);
                }
                answer.verdicts.extend(waiting.iter().filter_map(|one| verdict(one, drained.verdicts.get(&one.commit.to_string())?)));
            }
            Ok(Pushed::Lost) => {
                lost += 1;
                std::thread::sleep(pause(lost));
            }
            Err(fault) if fault.wants_fast_forward() && !refusals.forced => refusals.forced = true,
            Err(fault) if fault.lacks_right() => return Err(fault.into()),
            Err(RemoteError::Rejected { said, reference, .. })
                if reference == open.branch && (!alone || !refusals.statements.contains_key(&first(&waiting))) =>
            {
                if alone || waiting.len() == 1 {
                    refusals.statements.insert(first(&waiting), format!("the server refuses it: {said}"));
                }
                alone = true;
            }
            Err(fault) => return Err(fault.into()),
        }
    }
    Err(GitError::Contended { branch: open.branch.clone(), tries: TRIES }.into())
}

fn first(waiting: &[Waiting]) -> Oid {
    waiting.first().map_or_else(|| Oid::ZERO_SHA1, |waiting| waiting.commit)
}

fn verdict(waiting: &Waiting, found: &ParkedVerdict) -> Option<VerdictAnswer> {
    let conflicts: Vec<String> = found.conflicts.iter().map(|conflict| format!("{}: {}", conflict.path, conflict.reason)).collect();
    Some(VerdictAnswer {
        name: short(&waiting.reference),
        builds: waiting.parked.as_ref().map(builds).unwrap_or_default(),
        commit: found.commit.clone(),
        verdicts: found.builds.clone(),
        rejected: found.rejected.clone().or_else(|| (!conflicts.is_empty()).then(|| conflicts.join("; "))),
    })
}

/// Takes a statement out of the inbox; its name may be cut short as long as only one begins like that.
///
/// # Errors
/// It is not there (any more), or the remote refuses.
pub fn withdraw(request: &InboxRequest, name: &str) -> Result<WithdrawAnswer, InboxError> {
    let (open, remote) = request.open()?;
    let _held = open.repository.hold_remote()?;
    let wanted = name.rsplit('/').next().unwrap_or(name);
    let not_there = || InboxError::NotThere { name: name.to_owned() };
    let inbox = remote.list(&[&format!("{INBOX}*")])?;
    let found: Vec<_> =
        inbox.iter().filter(|(reference, _)| reference.strip_prefix(INBOX).is_some_and(|own| own.starts_with(wanted))).collect();
    if wanted.is_empty() {
        return Err(not_there());
    }
    let [(reference, commit)] = found.as_slice() else {
        return Err(if found.is_empty() { not_there() } else { InboxError::Ambiguous { name: name.to_owned(), count: found.len() } });
    };
    match remote.push(&[Move { reference: (*reference).clone(), old: Some(**commit), new: None }])? {
        Pushed::Moved => Ok(WithdrawAnswer { name: short(reference), commit: commit.to_string() }),
        Pushed::Lost => Err(not_there()),
    }
}
