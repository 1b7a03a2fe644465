//! The branch `ddb/releases/<codename>`: every Release that was ever staged, in order, and whether it was served.
//!
//! A staged commit holds `Release`, `inputs.json`, and what the next fold starts from: `fold.json` and, for each index, a sheet
//! below `sheets/`, which names the blocks that it is joined from; `recorded.asc` signs all that. Proofs of transparency logs, such as
//! `Release.proof`, get a commit of their own before anything is served. When clients see the Release, another commit adds `InRelease`, `Release.gpg` and
//! `served.json`. A proof that comes later gets a commit of its own too. The branch moves by compare-and-swap: that is what keeps
//! two publishers apart on every kind of published tree.

mod proofs;
mod recorded;
mod trust;
mod vouched;
mod write;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use proofs::{first_proofs, proofs_when_served};
pub use recorded::{Recorded, folded, recorded, with_earlier};
pub use trust::{Branch, LastServed, Start, Trust, time_of};
pub use write::{Staging, keep_proofs, mark_served, stage};

use crate::formats::release::{Release, ReleaseError};
use crate::places::git::remote::RemoteError;
use crate::places::git::{GitError, Oid, Repository};
use crate::places::transparency::Proof;
use crate::words::archive::LogKind;
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// What clients get.
const RELEASE: &str = "Release";

/// What it was made from.
const INPUTS: &str = "inputs.json";

/// That clients got it.
const SERVED: &str = "served.json";

/// The signatures that they got.
const SIGNATURES: [&str; 2] = ["InRelease", "Release.gpg"];

/// What a Release was made from, beside the configuration and records of its base commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// Counts the Releases of the suite from 1.
    pub sequence: u64,
    /// The commit whose records and configuration were folded.
    pub base: String,
    /// `Date` in seconds since 1970.
    pub date: Timestamp,
    /// The version of ddb that made it, which pins the compressors too.
    pub ddb: String,
    /// The commit of the branch after which it was staged. What `recorded.asc` signs counts there and nowhere else. Older programs did
    /// not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The commit of the branch with the Release that this one follows, for which a key vouched: that one and, by what it says itself, all
    /// before it. None where there was no such Release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<String>,
}

/// That a Release was served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Served {
    /// When, in seconds since 1970.
    pub at: Timestamp,
    /// Fingerprints of the certificates that signed it.
    pub signed_by: Vec<String>,
    /// SHA-256 of the public certificates that clients got with it.
    pub keyring: Sha256,
    /// The newest Release whose by-hash files, and those of all before it, were removed but for those that a newer one names; 0
    /// is none.
    #[serde(default)]
    pub swept: u64,
}

/// The signatures that clients got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signatures {
    /// `InRelease`
    pub in_release: Vec<u8>,
    /// `Release.gpg`
    pub detached: Vec<u8>,
    /// When and by whom.
    pub served: Served,
}

/// The proofs of a Release, by the kind of log.
pub type Proofs = BTreeMap<LogKind, Proof>;

/// One Release on the branch.
#[derive(Debug)]
pub struct Staged {
    /// The commit on the branch.
    pub commit: Oid,
    /// The bytes of `Release`.
    pub release: Vec<u8>,
    /// The same, read.
    pub parsed: Release,
    /// What it was made from.
    pub inputs: Inputs,
    /// Its signatures, once it was served.
    pub signatures: Option<Signatures>,
    /// What transparency logs gave for it. They were checked before they were kept.
    pub proofs: Proofs,
}

impl Staged {
    /// Returns the commit whose records and configuration were folded.
    ///
    /// # Errors
    /// What `inputs.json` holds is no commit.
    pub fn base(&self, codename: &Codename) -> Result<Oid, StageError> {
        let fault = || format!("its base \"{}\" is no commit", self.inputs.base);
        let wrong = |_| StageError::Content { path: INPUTS, commit: self.commit, branch: branch(codename), fault: fault() };
        self.inputs.base.parse().map_err(wrong)
    }

    /// Returns the commit with the Release that this one follows, if it says so and that is here.
    fn follows(&self, repository: &Repository) -> Option<Oid> {
        self.inputs.follows.as_ref()?.parse().ok().filter(|commit| repository.has_commit(*commit))
    }
}

/// Why the branch cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The remote does not take the branch.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A file on the branch is missing or not usable.
    #[error("{path} in commit {commit} of the branch {branch}: {fault}")]
    Content {
        /// The path.
        path: &'static str,
        /// The commit.
        commit: Oid,
        /// The branch.
        branch: String,
        /// What is wrong.
        fault: String,
    },
    /// The Release on the branch cannot be read.
    #[error("Release in commit {commit} of the branch {branch}")]
    Release {
        /// The commit.
        commit: Oid,
        /// The branch.
        branch: String,
        /// What is wrong.
        #[source]
        source: ReleaseError,
    },
}

/// Returns the branch's full name.
pub fn branch(codename: &Codename) -> String {
    format!("refs/heads/ddb/releases/{codename}")
}

/// Returns the newest Release on the branch.
///
/// # Errors
/// The branch is not as ddb leaves it.
pub fn newest(repository: &Repository, codename: &Codename) -> Result<Option<Staged>, StageError> {
    repository.tip(&branch(codename))?.map(|commit| read(repository, codename, commit)).transpose()
}

/// Returns the Release before this one: that which it says to follow, so that nothing counts which somebody put between the two. Older
/// programs did not say it: then it is the one before on the branch, and what is not as ddb leaves it is passed over, as the commit that the
/// branch begins with.
///
/// # Errors
/// Git cannot be read.
pub fn before(repository: &Repository, codename: &Codename, staged: &Staged) -> Result<Option<Staged>, StageError> {
    if staged.inputs.follows.is_some() {
        // Where that is not here, nothing else is in its place.
        let read = staged.follows(repository).map(|commit| readable(read(repository, codename, commit)));
        return Ok(read.transpose()?.flatten());
    }
    let mut commit = staged.commit;
    while let Some(parent) = repository.parent(commit)? {
        match readable(read(repository, codename, parent))? {
            Some(earlier) if earlier.release != staged.release => return Ok(Some(earlier)),
            _ => commit = parent,
        }
    }
    Ok(None)
}

/// Returns the commits of one Release, from the newest down to the one that staged it, which has its base as a second parent.
///
/// # Errors
/// Git cannot be read.
pub fn run(repository: &Repository, newest: Oid) -> Result<Vec<Oid>, GitError> {
    let mut commits = vec![newest];
    while let Some(commit) = commits.last() {
        match repository.named_parents(*commit)?.as_slice() {
            [parent] if repository.has_commit(*parent) => commits.push(*parent),
            _ => break,
        }
    }
    Ok(commits)
}

/// Tells whether no Release was staged before this one: the branch begins below it. Where a shallow clone ends instead, that is not known.
///
/// # Errors
/// Git cannot be read.
pub fn is_first(repository: &Repository, staged: &Staged) -> Result<bool, GitError> {
    let lowest = run(repository, staged.commit)?.last().copied().unwrap_or(staged.commit);
    let below = repository.named_parents(lowest)?.first().copied();
    let Some(below) = below.filter(|below| repository.has_commit(*below)) else { return Ok(false) };
    Ok(staged.inputs.follows.is_none() && repository.named_parents(below)?.is_empty())
}

/// Returns what could be read; `None` where it is not as ddb leaves it, which is no fault of the repository.
fn readable<T>(found: Result<T, StageError>) -> Result<Option<T>, StageError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(StageError::Content { .. } | StageError::Release { .. } | StageError::Git(GitError::Content { .. })) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Returns the newest Release that was served, passing over those that were only staged.
///
/// # Errors
/// The branch is not as ddb leaves it.
pub fn last_served(repository: &Repository, codename: &Codename) -> Result<Option<Staged>, StageError> {
    let mut staged = newest(repository, codename)?;
    while let Some(current) = staged.take_if(|current| current.signatures.is_none()) {
        staged = before(repository, codename, &current)?;
    }
    Ok(staged)
}

/// Returns the Release at a commit of the branch.
///
/// # Errors
/// The commit is not as ddb leaves it.
pub fn read(repository: &Repository, codename: &Codename, commit: Oid) -> Result<Staged, StageError> {
    let branch = branch(codename);
    let snapshot = repository.snapshot(commit)?;
    let need = |path: &'static str| snapshot.file(path)?.ok_or_else(|| missing(path, commit, &branch));
    let release = need(RELEASE)?;
    let parsed = Release::parse(&release).map_err(|source| StageError::Release { commit, branch: branch.clone(), source })?;
    let inputs = json(INPUTS, &need(INPUTS)?, commit, &branch)?;
    let signatures = match snapshot.file(SERVED)? {
        Some(served) => Some(Signatures {
            in_release: need("InRelease")?,
            detached: need("Release.gpg")?,
            served: json(SERVED, &served, commit, &branch)?,
        }),
        None => None,
    };
    let proofs = LogKind::ALL.into_iter().map(|kind| Ok(snapshot.file(kind.file())?.map(|proof| (kind, proof))));
    let proofs = proofs.filter_map(Result::transpose).collect::<Result<_, GitError>>()?;
    Ok(Staged { commit, release, parsed, inputs, signatures, proofs })
}

fn missing(path: &'static str, commit: Oid, branch: &str) -> StageError {
    StageError::Content { path, commit, branch: branch.to_owned(), fault: "it is missing".to_owned() }
}

fn json<T: serde::de::DeserializeOwned>(path: &'static str, bytes: &[u8], commit: Oid, branch: &str) -> Result<T, StageError> {
    serde_json::from_slice(bytes).map_err(|fault| StageError::Content { path, commit, branch: branch.to_owned(), fault: fault.to_string() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
