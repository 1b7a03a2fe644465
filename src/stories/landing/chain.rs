//! Statements replayed one after another on a commit: each sees what those before it changed, and makes a commit of its own.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;

use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::formats::provenance::policy::Policy;
use crate::formats::statement::fit::{Problem, check_suite};
use crate::formats::statement::replay::{self, Conflict, Outcome, Rules};
use crate::formats::statement::{Statement, message};
use crate::formats::suite::place::RecordPlace;
use crate::places::git::land::Edits;
use crate::places::git::{Author, GitError, Oid};
use crate::places::store::StoreError;
use crate::stories::archive::{OpenArchive, OpenError};
use crate::stories::provenance::landing::{self, LandingError, is_required};
use crate::stories::provenance::{Objects, Offered, policy};
use crate::words::archive::Archive;
use crate::words::name::SourceName;

/// A line of commits that no branch points at yet.
pub struct Chain<'a> {
    open: &'a OpenArchive,
    archive: Archive,
    tip: Oid,
    /// Whose provenance counts, once that was asked.
    policy: OnceCell<Policy>,
    /// The binary packages that its suites offer, once that was asked.
    offered: RefCell<Offered>,
}

/// What a statement changes on the tip of a chain.
pub struct Replayed {
    /// What became of each build; its edits are in `edits`.
    pub outcome: Outcome,
    /// Paths with their new content.
    pub edits: Edits,
    /// The pointers that the pool held of the same sources.
    pub pool: BTreeMap<PoolPath, Pointer>,
}

/// Why a statement does not land.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// The suite is not there any more, lacks a component or an architecture, or requires other provenance.
    #[error("the suite does not take it")]
    Suite(Vec<Problem>),
    /// Names are taken by other bytes, or a .dsc names files that are nowhere.
    #[error("names are taken, or files are missing")]
    Conflicts(Vec<Conflict>),
    /// The archive cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store cannot be asked for provenance.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<GitError> for Unfit {
    fn from(fault: GitError) -> Self {
        Self::Open(fault.into())
    }
}

impl<'a> Chain<'a> {
    /// Returns the chain that begins behind this commit, whose configuration counts for all statements.
    ///
    /// # Errors
    /// The commit holds no usable configuration.
    pub fn at(open: &'a OpenArchive, base: Oid) -> Result<Self, OpenError> {
        let archive = open.configuration(&open.repository.snapshot(base)?)?;
        Ok(Self { open, archive, tip: base, policy: OnceCell::new(), offered: RefCell::default() })
    }

    /// Returns the newest commit.
    pub fn tip(&self) -> Oid {
        self.tip
    }

    /// Fetches in one request what replays of these sources will read.
    ///
    /// # Errors
    /// A partial clone cannot be filled.
    pub fn prepare<'s>(&self, sources: impl Iterator<Item = &'s SourceName>) -> Result<(), GitError> {
        let files = self.open.repository.snapshot(self.tip)?.files_of(sources)?;
        self.open.repository.hydrate(files.into_iter().map(|(_, blob)| blob))
    }

    /// Replays a statement on the newest commit; nothing is written. Where a suite requires provenance, envelopes are looked at, and
    /// packages whose records came from elsewhere.
    ///
    /// # Errors
    /// It does not fit.
    pub fn replay(&self, statement: &Statement, rules: Rules, objects: Objects<'_>) -> Result<Replayed, Unfit> {
        check_suite(statement, &self.archive).map_err(Unfit::Suite)?;
        let snapshot = self.open.repository.snapshot(self.tip)?;
        let state = snapshot.tip_of(statement.builds.iter().map(|build| &build.source))?;
        let mut outcome = replay::replay(statement, &state, rules).map_err(Unfit::Conflicts)?;
        let edits = std::mem::take(&mut outcome.edits);
        let edits = edits.into_iter().map(|(path, content)| (path, content.map(String::into_bytes))).collect();
        self.check_provenance(&edits, objects)?;
        Ok(Replayed { outcome, edits, pool: state.pool })
    }

    /// Checks the provenance of every record that comes into a suite which requires it.
    fn check_provenance(&self, edits: &Edits, objects: Objects<'_>) -> Result<(), Unfit> {
        if !self.archive.suites.values().any(|suite| suite.require_provenance) {
            return Ok(());
        }
        let coming = edits.iter().filter_map(|(path, content)| Some((path.parse::<RecordPlace>().ok()?, content.as_deref()?)));
        let coming: Vec<_> = coming.filter(|(place, _)| is_required(&self.archive, place)).collect();
        if coming.is_empty() {
            return Ok(());
        }
        let snapshot = self.open.repository.snapshot(self.tip)?;
        let policy = match self.policy.get() {
            Some(policy) => policy,
            None => {
                // No statement changes it.
                let read = policy(&snapshot, &self.archive)?;
                self.policy.get_or_init(|| read)
            }
        };
        let objects = objects.remembering(&self.open.compared);
        let problems =
            landing::check(&snapshot, policy, &coming, objects, &mut self.offered.borrow_mut()).map_err(|fault| match fault {
                LandingError::Open(fault) => Unfit::Open(fault),
                LandingError::Store(fault) => Unfit::Store(fault),
            })?;
        if problems.is_empty() { Ok(()) } else { Err(Unfit::Suite(problems)) }
    }

    /// Commits what a replay changed, `None` where that is nothing. `trailers` are lines that end the message.
    ///
    /// # Errors
    /// An object cannot be written.
    pub fn extend(
        &mut self,
        statement: &Statement,
        replayed: &Replayed,
        trailers: &str,
        author: &Author,
        committer: &Author,
    ) -> Result<Option<Oid>, GitError> {
        if replayed.edits.is_empty() {
            return Ok(None);
        }
        let changed = || replayed.edits.iter().map(|(path, content)| (path.as_str(), content.is_some()));
        let message = message::write(statement, &replayed.outcome, changed()) + trailers;
        self.tip = self.open.repository.commit_for(&[self.tip], &replayed.edits, &message, author, committer)?;
        self.offered.get_mut().apply(changed());
        Ok(Some(self.tip))
    }
}
