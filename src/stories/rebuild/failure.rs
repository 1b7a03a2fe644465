//! Why a Release cannot be made again at all.

use std::path::PathBuf;

use crate::places::git::GitError;
use crate::stories::archive::OpenError;
use crate::stories::export::ExportError;
use crate::stories::fold::FoldError;
use crate::stories::publish::stage::StageError;
use crate::stories::served::snapshot::SnapshotFault;
use crate::words::name::Codename;

/// Why nothing can be compared.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The archive cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The branch of Releases is not usable.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The Release's name means nothing.
    #[error(transparent)]
    Snapshot(#[from] SnapshotFault),
    /// There is no branch of Releases at all.
    #[error(
        "{} has no branch ddb/releases/*; `git fetch origin '+refs/heads/ddb/releases/*:refs/remotes/origin/ddb/releases/*'` brings those that its remote has",
        path.display()
    )]
    NoReleases {
        /// The repository.
        path: PathBuf,
    },
    /// The suite has no Releases.
    #[error("there are no Releases of \"{name}\" here; there are some of {}", known.iter().map(Codename::as_str).collect::<Vec<_>>().join(", "))]
    NoSuite {
        /// The name asked for.
        name: String,
        /// Those that have some.
        known: Vec<Codename>,
    },
    /// There is no such Release.
    #[error("{what} is not here{}", if *shallow { "; this clone is shallow: `git fetch --unshallow` brings the rest" } else { "" })]
    Unknown {
        /// What was asked for.
        what: String,
        /// Whether history is cut off here.
        shallow: bool,
    },
    /// A commit means Releases of several suites.
    #[error("commit {name} means Releases of several suites: ask for {}", suites.iter().map(|suite| format!("{suite}@{name}")).collect::<Vec<_>>().join(" or "))]
    Several {
        /// The commit.
        name: String,
        /// The suites.
        suites: Vec<Codename>,
    },
    /// A commit that is needed is not here.
    #[error(
        "commit {commit}, which {what} was made from, is not here; {}",
        if *shallow {
            "this clone is shallow: `git fetch --unshallow` brings the rest of history".to_owned()
        } else {
            format!("`git fetch origin {commit}` brings it if the remote still has it, else history was rewritten and nobody can make this Release again")
        }
    )]
    NoBase {
        /// The commit.
        commit: String,
        /// What was made from it.
        what: String,
        /// Whether history is cut off here.
        shallow: bool,
    },
    /// History is cut off before it tells where a commit stood.
    #[error(
        "this clone is shallow and does not tell whether commit {commit}, which {what} was made from, stands in the history of {branch}; `git fetch --unshallow` brings the rest of history"
    )]
    CutOff {
        /// The commit.
        commit: String,
        /// What was made from it.
        what: String,
        /// The archive's branch.
        branch: String,
    },
    /// The suite cannot be folded.
    #[error("{what} cannot be made again")]
    Fold {
        /// Which Release.
        what: String,
        /// The cause.
        #[source]
        source: Box<FoldError>,
    },
    /// Contents need file lists that are not at hand.
    #[error(
        "{what} has Contents, which need the file lists of its packages: give access to the archive's store, or take the packages from this clone with --local-objects after `git lfs pull`, or leave Contents out with --without-contents"
    )]
    Lists {
        /// Which Release.
        what: String,
        /// The cause.
        #[source]
        source: Box<FoldError>,
    },
    /// Something is in the way.
    #[error("{} is there and not empty; name another folder", path.display())]
    InTheWay {
        /// The folder.
        path: PathBuf,
    },
    /// What was made cannot be written.
    #[error(transparent)]
    Output(Box<ExportError>),
}
