//! Where the commits stood that a Release was made from. What it was made from stays in the repository with the Release itself,
//! whatever becomes of other branches, and who may write branches of Releases may bring any commit: only the history of the
//! archive's own branch says what the archive is.

use super::{History, RebuildError};
use crate::places::git::remote::Remote;
use crate::places::git::{GitError, Oid};
use crate::stories::archive::{OpenArchive, OpenError};

/// The archive's branch: as it is here, and as it was last seen of its remote.
pub(super) struct Line<'a> {
    open: &'a OpenArchive,
    tips: Vec<Oid>,
}

impl<'a> Line<'a> {
    /// Finds the branch.
    pub(super) fn of(open: &'a OpenArchive) -> Result<Self, RebuildError> {
        let remote = Remote::of_branch(&open.repository, &open.branch, None).map_err(OpenError::Remote)?;
        let seen = remote.map(|remote| open.repository.tip(&remote.tracking(&open.branch))).transpose()?.flatten();
        let tips: Vec<Oid> = open.repository.tip(&open.branch)?.into_iter().chain(seen).collect();
        if tips.is_empty() {
            return Err(GitError::NoBranch { path: open.repository.root().to_owned(), branch: open.branch.clone() }.into());
        }
        Ok(Self { open, tips })
    }

    /// Tells whether a commit that something was made from stands in its history.
    pub(super) fn has(&self, commit: Oid, what: &str) -> Result<History, RebuildError> {
        let repository = &self.open.repository;
        let shallow = repository.is_shallow();
        if !repository.has_commit(commit) {
            return Err(RebuildError::NoBase { commit: commit.to_string(), what: what.to_owned(), shallow });
        }
        for tip in &self.tips {
            if repository.is_ancestor(commit, *tip)? {
                return Ok(History::Kept);
            }
        }
        if shallow {
            let (commit, what, branch) = (commit.to_string(), what.to_owned(), self.open.branch.clone());
            return Err(RebuildError::CutOff { commit, what, branch });
        }
        Ok(History::Elsewhere)
    }

    /// Says what it means that a commit does not stand there.
    pub(super) fn elsewhere(&self, commit: Oid) -> String {
        format!(
            "commit {commit} is not in the history of {}: history was rewritten after it was published, or somebody made it from a commit of \
             his own; --branch names another branch where that was the archive's",
            self.open.branch
        )
    }
}
