//! What differs between two commits below a folder. Equal trees are passed over without being read, so the cost is that of
//! what changed.

use git2::DiffOptions;

use super::read::Snapshot;
use super::{GitError, Oid, failed};

impl Snapshot<'_> {
    /// Returns the files below a folder that are not the same in another commit, in order of their paths: each with its blob
    /// here, `None` where only the other commit has it.
    ///
    /// # Errors
    /// A tree cannot be read.
    pub fn changed_below(&self, folder: &str, other: &Self) -> Result<Vec<(String, Option<Oid>)>, GitError> {
        let (ours, theirs) = (self.folder(folder)?, other.folder(folder)?);
        let mut options = DiffOptions::new();
        options.skip_binary_check(true).ignore_submodules(true);
        let diff = self.repository().git().diff_tree_to_tree(theirs.as_ref(), ours.as_ref(), Some(&mut options));
        let diff = diff.map_err(failed(format!("compare {folder} of {} and {}", self.commit(), other.commit())))?;
        let mut changed = Vec::new();
        for delta in diff.deltas() {
            let (new, old) = (delta.new_file(), delta.old_file());
            let path = new.path().or_else(|| old.path()).and_then(std::path::Path::to_str);
            let path = path.ok_or_else(|| self.content(folder, &"a name in it is not UTF-8"))?;
            changed.push((format!("{folder}/{path}"), (!new.id().is_zero()).then(|| new.id())));
        }
        changed.sort();
        Ok(changed)
    }
}
