//! What differs between two commits, or below a folder of them. Equal trees are passed over without being read, so the cost is
//! that of what changed.

use std::cmp::Ordering;

use git2::{ObjectType, Tree, TreeEntry};

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
        let mut changed = Vec::new();
        Comparison { repository: self, commit, what, changed: &mut changed }.trees(old, new, "")?;
        changed.sort();
        Ok(changed)
    }
}

/// A walk over two trees at once. Git sorts both in the same way, and trees of the same name are the same.
struct Comparison<'a> {
    repository: &'a Repository,
    commit: Oid,
    what: &'a str,
    changed: &'a mut Vec<(String, Option<Oid>)>,
}

impl Comparison<'_> {
    fn trees(&mut self, old: Option<&Tree<'_>>, new: Option<&Tree<'_>>, path: &str) -> Result<(), GitError> {
        if old.map(Tree::id) == new.map(Tree::id) {
            return Ok(());
        }
        let (mut left, mut right) = (old.into_iter().flat_map(Tree::iter).peekable(), new.into_iter().flat_map(Tree::iter).peekable());
        loop {
            let order = match (left.peek(), right.peek()) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => sorting(old).cmp(sorting(new)),
            };
            let old = if order == Ordering::Greater { None } else { left.next() };
            let new = if order == Ordering::Less { None } else { right.next() };
            self.entries(old.as_ref(), new.as_ref(), path)?;
        }
    }

    /// Compares two entries of the same name and kind, or one with nothing.
    fn entries(&mut self, old: Option<&TreeEntry<'_>>, new: Option<&TreeEntry<'_>>, path: &str) -> Result<(), GitError> {
        let Some(any) = new.or(old) else { return Ok(()) };
        let same = |old: &TreeEntry<'_>, new: &TreeEntry<'_>| old.id() == new.id() && old.filemode() == new.filemode();
        if old.zip(new).is_some_and(|(old, new)| same(old, new)) {
            return Ok(());
        }
        let name = any.name().map_err(|_| GitError::content(self.commit, self.what, &"a name in it is not UTF-8"))?;
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        match any.kind() {
            Some(ObjectType::Tree) => {
                let git = self.repository.git();
                let read = |entry: &TreeEntry<'_>| git.find_tree(entry.id()).map_err(failed(format!("read {path}")));
                let (old, new) = (old.map(read).transpose()?, new.map(read).transpose()?);
                self.trees(old.as_ref(), new.as_ref(), &path)
            }
            // Other repositories are no files of this one.
            Some(ObjectType::Commit) => Ok(()),
            _ => {
                self.changed.push((path, new.map(TreeEntry::id)));
                Ok(())
            }
        }
    }
}

/// What Git sorts an entry by: a folder as if its name ended in a slash.
fn sorting<'a>(entry: &'a TreeEntry<'_>) -> impl Iterator<Item = u8> + 'a {
    let end = (entry.kind() == Some(ObjectType::Tree)).then_some(b'/');
    entry.name_bytes().iter().copied().chain(end)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::places::git::Author;

    #[test]
    fn what_differs_is_what_git_says_differs() {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::open_or_init(folder.path(), true).unwrap();
        let author = Author { name: "Test".into(), email: "test@example.org".into(), time: 1 };
        let commit = |files: &[(&str, &str)]| {
            let edits: Edits = files.iter().map(|(path, text)| ((*path).to_owned(), Some(text.as_bytes().to_vec()))).collect();
            repository.commit(None, &edits, "test", &author).unwrap()
        };
        // Names that sort otherwise as files than as folders, and names that are the one here and the other there.
        let states = [
            commit(&[]),
            commit(&[("a/x", "1"), ("a.b", "1"), ("a0", "1"), ("b/c/d", "1"), ("e", "1")]),
            commit(&[("a", "1"), ("a.b", "2"), ("a0/y", "1"), ("b/c/d", "1"), ("b/c/f", "1")]),
            commit(&[("a/x", "1"), ("a/z", "1"), ("a.b", "1"), ("b", "1"), ("e/e", "1")]),
        ];
        for (old, new) in states.iter().flat_map(|old| states.iter().map(move |new| (*old, *new))) {
            let git = std::process::Command::new("git")
                .args(["-C", folder.path().to_str().unwrap(), "diff-tree", "-r", "--no-renames", "--name-status"])
                .args([old.to_string(), new.to_string()])
                .output()
                .unwrap();
            let text = String::from_utf8(git.stdout).unwrap();
            // A file that became a folder of the same name is removed and its files added: the same paths.
            let expected: std::collections::BTreeMap<String, bool> =
                text.lines().map(|line| line.split_once('\t').unwrap()).map(|(status, path)| (path.to_owned(), status == "D")).collect();
            let found = repository.changes_between(old, new).unwrap();
            let found = found.into_iter().map(|(path, content)| (path, content.is_none())).collect();
            assert_eq!(expected, found, "{old} {new}");
        }
    }
}
