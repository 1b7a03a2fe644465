//! What differs between two commits, or below a folder of them. Equal trees are passed over without being read, so the cost is
//! that of what changed.

use git2::{DiffOptions, Tree};

use super::land::Edits;
use super::read::Snapshot;
use super::{GitError, Oid, Repository, failed};

impl Snapshot<'_> {
    /// Returns the files below a folder that are not the same in another commit, in order of their paths: each with its blob
    /// here, `None` where only the other commit has it.
    ///
    /// # Errors
    /// A tree cannot be read.
    pub fn changed_below(&self, folder: &str, other: &Self) -> Result<Vec<(String, Option<Oid>)>, GitError> {
        self.changed_from(folder, other, folder)
    }

    /// Returns the same, where the folder has another name in the other commit.
    ///
    /// # Errors
    /// A tree cannot be read.
    pub fn changed_from(&self, folder: &str, other: &Self, other_folder: &str) -> Result<Vec<(String, Option<Oid>)>, GitError> {
        let (ours, theirs) = (self.folder(folder)?, other.folder(other_folder)?);
        let changed = self.repository().differing(theirs.as_ref(), ours.as_ref(), self.commit(), folder)?;
        Ok(changed.into_iter().map(|(path, blob)| (format!("{folder}/{path}"), blob)).collect())
    }
}

impl Repository {
    /// Returns every path that differs between two commits, with its content in the second one: what a checkout needs after
    /// others' commits came in.
    ///
    /// # Errors
    /// An object cannot be read.
    pub fn changes_between(&self, before: Oid, after: Oid) -> Result<Edits, GitError> {
        let tree =
            |commit: Oid| self.git().find_commit(commit).and_then(|found| found.tree()).map_err(failed(format!("read commit {commit}")));
        let changed = self.differing(Some(&tree(before)?), Some(&tree(after)?), after, "the tree")?;
        self.hydrate(changed.iter().filter_map(|(_, blob)| *blob))?;
        let content = |(path, blob): (String, Option<Oid>)| {
            let read = |oid| self.git().find_blob(oid).map(|blob| blob.content().to_vec()).map_err(failed(format!("read {path}")));
            Ok((path.clone(), blob.map(read).transpose()?))
        };
        changed.into_iter().map(content).collect()
    }

    fn differing(
        &self,
        old: Option<&Tree<'_>>,
        new: Option<&Tree<'_>>,
        commit: Oid,
        what: &str,
    ) -> Result<Vec<(String, Option<Oid>)>, GitError> {
        let mut options = DiffOptions::new();
        options.skip_binary_check(true).ignore_submodules(true);
        let diff = self.git().diff_tree_to_tree(old, new, Some(&mut options));
        let diff = diff.map_err(failed(format!("compare {what} of {commit} with another")))?;
        let mut changed = Vec::new();
        for delta in diff.deltas() {
            let (new, old) = (delta.new_file(), delta.old_file());
            let path = new.path().or_else(|| old.path()).and_then(std::path::Path::to_str);
            let path = path.ok_or_else(|| GitError::content(commit, what, &"a name in it is not UTF-8"))?;
            changed.push((path.to_owned(), (!new.id().is_zero()).then(|| new.id())));
        }
        changed.sort();
        Ok(changed)
    }
}
