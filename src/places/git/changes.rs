//! What changed between two commits, as edits: what a checkout needs after others' commits came in.

use super::land::Edits;
use super::{GitError, Oid, Repository, failed};

impl Repository {
    /// Returns every path that differs between two commits, with its content in the second one.
    ///
    /// # Errors
    /// An object cannot be read.
    pub fn changes_between(&self, before: Oid, after: Oid) -> Result<Edits, GitError> {
        let tree =
            |commit: Oid| self.git().find_commit(commit).and_then(|found| found.tree()).map_err(failed(format!("read commit {commit}")));
        let mut options = git2::DiffOptions::new();
        options.ignore_submodules(true).skip_binary_check(true);
        let diff = self.git().diff_tree_to_tree(Some(&tree(before)?), Some(&tree(after)?), Some(&mut options));
        let diff = diff.map_err(failed(format!("compare {before} with {after}")))?;
        let mut edits = Edits::new();
        for delta in diff.deltas() {
            let path = |file: git2::DiffFile<'_>| file.path().and_then(std::path::Path::to_str).map(str::to_owned);
            let Some(name) = path(delta.new_file()).or_else(|| path(delta.old_file())) else { continue };
            let content = match delta.status() {
                git2::Delta::Deleted => None,
                _ => {
                    let blob = self.git().find_blob(delta.new_file().id()).map_err(failed(format!("read {name}")))?;
                    Some(blob.content().to_vec())
                }
            };
            edits.insert(name, content);
        }
        Ok(edits)
    }
}
