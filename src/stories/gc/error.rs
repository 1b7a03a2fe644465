//! Why nothing, or not everything, was collected.

use std::path::PathBuf;

use super::SHORTEST_LEASE;
use super::marks::MarksError;
use crate::places::git::GitError;
use crate::places::git::remote::RemoteError;
use crate::places::store::StoreError;
use crate::stories::archive::OpenError;
use crate::stories::publish::stage::StageError;
use crate::words::date::{Span, Timestamp};

/// Why no garbage was collected.
#[derive(Debug, thiserror::Error)]
pub enum GcError {
    /// The archive cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A branch of Releases cannot be read.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The remote failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The marks failed.
    #[error(transparent)]
    Marks(#[from] MarksError),
    /// Objects of a forge are the forge's.
    #[error("the objects lie in a forge's own Git-LFS store, which removes what it does not need by its own rules")]
    Forge,
    /// The lease is too short.
    #[error(
        "objects that nothing names yet must be kept for {} at least, not {given}: deploys in progress need them",
        Span::of_seconds(SHORTEST_LEASE)
    )]
    Lease {
        /// What was asked for.
        given: Span,
    },
    /// The clocks disagree, so that new objects might be taken for old ones.
    #[error("it is {ours} here and {theirs} at the store {store}; nothing is removed before the clocks agree", ours = ours.iso8601(), theirs = theirs.iso8601())]
    Clock {
        /// The store.
        store: String,
        /// The time here.
        ours: Timestamp,
        /// The time there.
        theirs: Timestamp,
    },
    /// Two repositories were named that are one, or one is not usable.
    #[error("the repository {}", path.display())]
    Also {
        /// The repository.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: GitError,
    },
}
