//! Why a remote cannot be used, and whose fault that may be.

use std::path::PathBuf;

use super::answer;
use crate::places::git::{GitError, Oid};

/// Why a remote cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The `git` program does not run.
    #[error("cannot run git; install it (`apt-get install git`)")]
    Program(#[source] std::io::Error),
    /// The server wants a credential and there is none.
    #[error("{url} wants a credential and there is none; set DDB_GIT_TOKEN, or configure a credential helper")]
    NoCredential {
        /// The remote, without user name and password.
        url: String,
    },
    /// The server does not let this credential do that.
    #[error(
        "{url} refuses access: {said}; check DDB_GIT_TOKEN (expired, or without the right to write to the repository?) or the credential helper"
    )]
    Denied {
        /// The remote.
        url: String,
        /// The words of Git and the server.
        said: String,
    },
    /// The server refuses the push for a reason of its own: a hook, a protected branch.
    #[error("{url} refuses to move {reference}: {said}{remedy}")]
    Rejected {
        /// The remote.
        url: String,
        /// The branch's full name.
        reference: String,
        /// The server's own words.
        said: String,
        /// What to do, where that is known.
        remedy: &'static str,
    },
    /// Anything else, such as a server that does not answer.
    #[error("git cannot {operation} {url}: {said}")]
    Failed {
        /// What was tried.
        operation: &'static str,
        /// The remote.
        url: String,
        /// The words of Git and the server.
        said: String,
    },
    /// This repository's branch and the remote's have both moved on.
    #[error("{reference} of this repository and of {url} have diverged; `git pull --rebase` or `git reset` this one first")]
    Diverged {
        /// The branch's full name.
        reference: String,
        /// The remote.
        url: String,
    },
    /// The remote does not have any more what it had before on a branch that only grows.
    #[error(
        "{reference} of {url} was rewritten: it is at {now}, which does not contain {seen} that was seen there before; ask who did that. If it is meant to be so, remove {}",
        clone.display()
    )]
    Rewritten {
        /// The branch's full name.
        reference: String,
        /// The remote.
        url: String,
        /// Where it was.
        seen: Oid,
        /// Where it is.
        now: Oid,
        /// The clone that remembers.
        clone: PathBuf,
    },
    /// The repository itself failed.
    #[error(transparent)]
    Git(#[from] GitError),
}

impl RemoteError {
    /// Tells whether the server refuses what is no fast-forward, and would take that.
    pub fn wants_fast_forward(&self) -> bool {
        matches!(self, Self::Rejected { said, .. } if answer::forbids_force(said))
    }

    /// Tells whether it may be this repository that is broken or locked, not the remote.
    pub fn may_be_of_clone(&self) -> bool {
        match self {
            Self::Git(_) => true,
            Self::Failed { said, .. } => !answer::is_passing(said),
            _ => false,
        }
    }

    /// Tells whether the server refuses because of who pushes, not because of what.
    pub fn lacks_right(&self) -> bool {
        matches!(self, Self::Rejected { said, .. } if answer::is_protected(said) && !answer::forbids_force(said))
    }
}
