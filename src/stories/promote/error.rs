//! Why nothing was promoted.

use crate::formats::suite::checks::RecordProblem;
use crate::places::git::remote::RemoteError;
use crate::places::git::{GitError, Oid};
use crate::places::store::StoreError;
use crate::stories::archive::OpenError;
use crate::stories::provenance::suite::SuiteError;
use crate::stories::served::ServedError;
use crate::stories::served::snapshot::SnapshotFault;
use crate::words::name::{Codename, SourceName};

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
    /// Nobody who has a key of the archive says what an older state was made of.
    #[error(
        "no key of the archive vouches for Release {number} of {codename} (recorded.asc), so nobody knows what it was made of; nothing was promoted"
    )]
    Unvouched {
        /// The suite.
        codename: Codename,
        /// The Release.
        number: u64,
    },
    /// What an older state was made of is nothing of this archive.
    #[error(
        "Release {number} of {codename} was made of commit {base}, which is not in the history of {branch} here; nothing was promoted. In a \
         shallow clone, `git fetch --unshallow` first"
    )]
    Foreign {
        /// The suite.
        codename: Codename,
        /// The Release.
        number: u64,
        /// The commit.
        base: Oid,
        /// The branch.
        branch: String,
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
