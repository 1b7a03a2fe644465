//! Editing a tree: paths get blobs or whole trees that the object database holds, and each tree above them is written once.

use std::collections::BTreeMap;

use git2::{ObjectType, Tree};

use super::objects::NewObjects;
use super::{GitError, Oid, Repository, failed};

/// Something in the object database that a path can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// A blob.
    File(Oid),
    /// A tree with everything below it.
    Folder(Oid),
}

/// Paths in the repository with what they shall name; `None` removes the path with everything below it. No path lies below
/// another one.
pub type TreeEdits = BTreeMap<String, Option<Held>>;

/// The file mode of a tree in a tree.
const FOLDER: i32 = 0o040_000;

/// The file mode of an ordinary file.
const FILE: i32 = 0o100_644;

/// The entries of a tree by name, folders with a slash behind theirs: Git's order.
type Entries = BTreeMap<Vec<u8>, (i32, Oid)>;

/// An edit with the rest of its path below the tree that is looked at.
type Below<'a> = (&'a str, Option<Held>);

impl Repository {
    /// Returns the tree with these edits; folders that become empty vanish.
    pub(super) fn edited_tree(&self, baseline: Option<Tree<'_>>, edits: &TreeEdits, objects: &mut NewObjects<'_>) -> Result<Oid, GitError> {
        let all: Vec<Below<'_>> = edits.iter().map(|(path, held)| (path.as_str(), *held)).collect();
        match self.edit(baseline, &all, "", objects)? {
            Some(tree) => Ok(tree),
            None => objects.write(ObjectType::Tree, Vec::new()),
        }
    }

    /// Edits one tree and those below it; `None` where nothing is left.
    fn edit(
        &self,
        baseline: Option<Tree<'_>>,
        edits: &[Below<'_>],
        above: &str,
        objects: &mut NewObjects<'_>,
    ) -> Result<Option<Oid>, GitError> {
        let mut entries = Entries::new();
        for entry in baseline.iter().flat_map(Tree::iter) {
            entries.insert(key(entry.name_bytes(), entry.filemode_raw() == FOLDER), (entry.filemode_raw(), entry.id()));
        }
        for group in edits.chunk_by(|left, right| name(left.0) == name(right.0)) {
            let Some((first, held)) = group.first() else { continue };
            let name = name(first);
            let (as_file, as_folder) = (key(name.as_bytes(), false), key(name.as_bytes(), true));
            let in_the_way = |what: &str| {
                let fault = git2::Error::from_str(&format!("{above}{name} is a {what}"));
                failed(format!("edit the tree at {above}{first}"))(fault)
            };
            if *first != name {
                if entries.contains_key(&as_file) {
                    return Err(in_the_way("file, not a folder"));
                }
                let before = entries.remove(&as_folder);
                let before = before.map(|(_, oid)| self.git().find_tree(oid)).transpose();
                let before = before.map_err(failed(format!("read the tree {above}{name}")))?;
                let below: Vec<Below<'_>> =
                    group.iter().map(|(path, held)| (path.get(name.len() + 1..).unwrap_or_default(), *held)).collect();
                if let Some(tree) = self.edit(before, &below, &format!("{above}{name}/"), objects)? {
                    entries.insert(as_folder, (FOLDER, tree));
                }
                continue;
            }
            match held {
                _ if group.len() > 1 => return Err(in_the_way("path of its own, and others lie below it")),
                Some(Held::File(_)) if entries.contains_key(&as_folder) => return Err(in_the_way("folder, not a file")),
                Some(Held::Folder(_)) if entries.contains_key(&as_file) => return Err(in_the_way("file, not a folder")),
                Some(Held::File(blob)) => drop(entries.insert(as_file, (FILE, *blob))),
                Some(Held::Folder(tree)) => drop(entries.insert(as_folder, (FOLDER, *tree))),
                None => {
                    entries.remove(&as_folder).or_else(|| entries.remove(&as_file)).ok_or_else(|| in_the_way("path that is not there"))?;
                }
            }
        }
        if entries.is_empty() {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(entries.len() * 48);
        for (name, (mode, oid)) in &entries {
            bytes.extend(format!("{mode:o} ").as_bytes());
            bytes.extend(name.strip_suffix(b"/").unwrap_or(name));
            bytes.push(0);
            bytes.extend(oid.as_bytes());
        }
        objects.write(ObjectType::Tree, bytes).map(Some)
    }
}

/// Returns the first name of a path.
fn name(path: &str) -> &str {
    path.split('/').next().unwrap_or_default()
}

fn key(name: &[u8], folder: bool) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len() + 1);
    key.extend(name);
    key.extend(folder.then_some(b'/'));
    key
}
