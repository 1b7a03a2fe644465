//! `ddb-publish promote`: a suite offers what another one offers, or what it offered itself at an older state.
//!
//! Records are not written, and read only where the suite requires provenance: the trees that hold them are named at another
//! path, in one commit that is landed by compare-and-swap as any other. So a suite of 70,000 packages costs what one of 10 costs.

mod origin;
mod pool;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

pub use origin::{At, Origin};

use crate::formats::suite::checks::RecordProblem;
use crate::formats::suite::promotion::{newer_there, newest_version};
use crate::places::git::edit::{Held, TreeEdits};
use crate::places::git::land::pause;
use crate::places::git::read::Snapshot;
use crate::places::git::remote::{Move, Pushed, Remote, RemoteError};
use crate::places::git::suites::SuiteFolder;
use crate::places::git::{Author, GitError, Oid};
use crate::places::store::{ObjectStore, StoreError};
use crate::stories::archive::{OpenArchive, OpenError};
use crate::stories::deploy::BuildState;
use crate::stories::event::{Event, Listener};
use crate::stories::provenance::suite::{self, Asked, SuiteError};
use crate::stories::served::ServedError;
use crate::stories::served::snapshot::SnapshotFault;
use crate::words::archive::{Archive, Suite};
use crate::words::name::{Codename, SourceName};
use crate::words::version::Version;

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
    /// Who commits.
    pub author: Author,
}

/// What was promoted.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PromoteAnswer {
    /// The suite that it came from.
    pub from: Codename,
    /// The suite that offers it now.
    pub to: Codename,
    /// The commit whose records were taken.
    pub origin: String,
    /// The number of the Release that these were served with, where an older state was asked for.
    pub release: Option<u64>,
    /// Whether the whole suite was taken.
    pub all: bool,
    /// What became of the whole.
    pub verdict: BuildState,
    /// The branch's full name.
    pub branch: String,
    /// The commit, where one was made.
    pub commit: Option<String>,
    /// The Git remote whose branch holds it now, without user name and password.
    pub remote: Option<String>,
    /// How often it was tried.
    pub tries: u32,
    /// Whether this was a dry run.
    pub dry_run: bool,
    /// One entry for each source package that was named.
    pub packages: Vec<PromotedSource>,
    /// Pool files that had been removed or replaced since and are there again.
    pub restored: Vec<String>,
    /// Files of the checkout that have local changes and were left alone.
    pub left_alone: Vec<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// What became of one source package.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PromotedSource {
    /// The source package.
    pub source: SourceName,
    /// Its newest version where it came from.
    pub version: Option<Version>,
    /// Its newest version where it went, before.
    pub before: Option<Version>,
    /// What became of it.
    pub verdict: BuildState,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Why nothing was promoted.
#[derive(Debug, thiserror::Error)]
pub enum PromoteError {
    /// The archive cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The remote cannot be used.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The object store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What clients got cannot be read.
    #[error(transparent)]
    Served(#[from] ServedError),
    /// The older state's name means nothing.
    #[error(transparent)]
    Snapshot(#[from] SnapshotFault),
    /// A suite is not known.
    #[error("ddb.toml has no suite \"{name}\"; it has {}", known.iter().map(Codename::as_str).collect::<Vec<_>>().join(", "))]
    NoSuite {
        /// The name asked for.
        name: String,
        /// Those that there are.
        known: Vec<Codename>,
    },
    /// A suite cannot be promoted to itself.
    #[error(
        "{codename} offers what it offers; name another suite, or an older state: {codename}@TIME, {codename}@COMMIT or {codename}@NUMBER"
    )]
    Itself {
        /// The suite.
        codename: Codename,
    },
    /// Nothing of a suite was ever served.
    #[error("no Release of {codename} was ever served here, so it has no older state to go back to")]
    NothingServed {
        /// The suite.
        codename: Codename,
    },
    /// There is no such Release.
    #[error("{codename} has no served Release {number}; the last one is {last}")]
    NoRelease {
        /// The suite.
        codename: Codename,
        /// The number asked for.
        number: u64,
        /// The number of the last one.
        last: u64,
    },
    /// A suite offers nothing at all.
    #[error("{codename} offers nothing in commit {commit}; nothing was promoted")]
    Empty {
        /// The suite.
        codename: Codename,
        /// The commit.
        commit: Oid,
    },
    /// The suite does not offer these source packages.
    #[error("{codename} offers no source package {} in commit {commit}; nothing was promoted", sources.iter().map(SourceName::as_str).collect::<Vec<_>>().join(", "))]
    Unknown {
        /// The suite.
        codename: Codename,
        /// The commit.
        commit: Oid,
        /// The source packages.
        sources: Vec<SourceName>,
    },
    /// The suite requires provenance that what is promoted has not.
    #[error(transparent)]
    Provenance(#[from] SuiteError),
    /// Pool files that the older state names cannot come back.
    #[error("{} file{} of the older state cannot come back; nothing was promoted", problems.len(), if problems.len() == 1 { "" } else { "s" })]
    Pool {
        /// One entry for each file.
        problems: Vec<RecordProblem>,
    },
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
    let tip = open.repository.snapshot(tip)?;
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
            let edition = origin::edition(open, from, at, tip.commit())?;
            release = Some(edition.sequence);
            open.repository.snapshot(edition.base)?
        }
    };
    let into = Asked { codename: to, snapshot: &tip, archive: &archive };
    if into.requires() {
        if request.from.at.is_none() {
            origin::fetch(open, from)?;
        }
        let last = origin::last(open, from);
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

/// From where to where.
struct Ways<'a> {
    request: &'a PromoteRequest,
    origin: &'a Snapshot<'a>,
    from: &'a Codename,
    tip: &'a Snapshot<'a>,
    to: &'a Codename,
    to_suite: &'a Suite,
}

impl Ways<'_> {
    /// The suite becomes what the other one is; returns what a person should know.
    fn whole(&self, edits: &mut TreeEdits) -> Result<Vec<String>, PromoteError> {
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

    fn sources(&self, sources: &BTreeSet<SourceName>, edits: &mut TreeEdits) -> Result<Vec<PromotedSource>, PromoteError> {
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

/// Most source packages that a commit message lists; the commit itself shows all.
const LISTED: usize = 200;

/// Returns the commit message.
fn message(answer: &PromoteAnswer) -> String {
    let PromoteAnswer { from, to, origin, release, .. } = answer;
    let landed: Vec<String> = answer
        .packages
        .iter()
        .filter(|package| package.verdict == BuildState::Landed)
        .map(|package| format!("{} {}", package.source, package.version.as_ref().map(Version::as_str).unwrap_or_default()))
        .collect();
    let state = release.map(|number| format!(" as of its Release {number}")).unwrap_or_default();
    let first = match landed.as_slice() {
        _ if answer.all && from == to => format!("Put {to} back to its Release {}.", release.unwrap_or_default()),
        _ if answer.all => format!("Make {to} offer what {from}{state} offers."),
        [only] => format!("Promote {only} from {from} to {to}."),
        several => format!("Promote {} source packages from {from} to {to}.", several.len()),
    };
    let mut text = format!("{first}\n");
    if landed.len() > 1 {
        let shown: String = landed.iter().take(LISTED).map(|one| format!("  {one}\n")).collect();
        let more = if landed.len() > LISTED { format!("  and {} more\n", landed.len() - LISTED) } else { String::new() };
        text.push_str(&format!("\n{shown}{more}"));
    }
    if !answer.restored.is_empty() {
        let shown: String = answer.restored.iter().take(LISTED).map(|path| format!("  {path}\n")).collect();
        text.push_str(&format!("\nRestored:\n{shown}"));
    }
    text.push_str(&format!("\nDdb-Suite: {to}\nDdb-From: {from} {origin}\n"));
    text
}
