//! Looking along history: refs by prefix, ancestors of commits, and every object that commits name by pointers.

use std::collections::{BTreeMap, HashMap, HashSet};

use git2::ObjectType;

use super::{GitError, Oid, Repository, failed};
use crate::formats::pool::pointer::Pointer;
use crate::words::digest::ObjectId;
use crate::words::limits;

/// The objects that some commits name by Git-LFS pointers. It grows; a tree that was read once is not read again.
#[derive(Debug, Default)]
pub struct NamedObjects {
    seen: HashSet<Oid>,
    sizes: HashMap<ObjectId, u64>,
}

impl NamedObjects {
    /// Returns the size of an object in bytes, `None` where no commit names it.
    pub fn size(&self, oid: &ObjectId) -> Option<u64> {
        self.sizes.get(oid).copied()
    }
}

impl Repository {
    /// Returns the commits of all refs whose full names begin with this, by their full names.
    ///
    /// # Errors
    /// The refs cannot be read.
    pub fn references(&self, prefix: &str) -> Result<BTreeMap<String, Oid>, GitError> {
        let list = || failed(format!("list {prefix}*"));
        let mut found = BTreeMap::new();
        for reference in self.git().references_glob(&format!("{prefix}*")).map_err(list())? {
            let reference = reference.map_err(list())?;
            let Ok(name) = reference.name() else { continue };
            let commit = reference.peel_to_commit().map_err(failed(format!("read {name}")))?;
            found.insert(name.to_owned(), commit.id());
        }
        Ok(found)
    }

    /// Tells whether a commit is here: a shallow clone lacks those before its beginning.
    pub fn has_commit(&self, commit: Oid) -> bool {
        self.git().find_commit(commit).is_ok()
    }

    /// Tells whether this clone lacks the beginning of its history.
    pub fn is_shallow(&self) -> bool {
        self.git().is_shallow()
    }

    /// Visits these commits and all their ancestors, each once and in no order, until `visit` returns false.
    ///
    /// # Errors
    /// A commit cannot be read.
    pub fn ancestors(&self, tips: &[Oid], mut visit: impl FnMut(Oid) -> bool) -> Result<(), GitError> {
        let walk = || failed("walk along the history");
        let mut commits = self.git().revwalk().map_err(walk())?;
        for tip in tips {
            commits.push(*tip).map_err(walk())?;
        }
        for commit in commits {
            if !visit(commit.map_err(walk())?) {
                break;
            }
        }
        Ok(())
    }

    /// Returns a commit and all its ancestors, each before its own parents.
    ///
    /// # Errors
    /// A commit cannot be read.
    pub fn newest_first(&self, tip: Oid) -> Result<Vec<Oid>, GitError> {
        let walk = || failed("walk along the history");
        let mut commits = self.git().revwalk().map_err(walk())?;
        commits.set_sorting(git2::Sort::TOPOLOGICAL).map_err(walk())?;
        commits.push(tip).map_err(walk())?;
        commits.collect::<Result<_, _>>().map_err(walk())
    }

    /// Adds the objects that a commit names, but for what stands in the suites tree, which holds no pointers.
    ///
    /// # Errors
    /// A tree or blob cannot be read.
    pub fn objects_named(&self, commit: Oid, named: &mut NamedObjects) -> Result<(), GitError> {
        let root = self.git().find_commit(commit).and_then(|found| found.tree()).map_err(failed(format!("read commit {commit}")))?;
        let mut trees = vec![root.id()];
        let odb = self.git().odb().map_err(failed("open the object database"))?;
        while let Some(oid) = trees.pop() {
            if !named.seen.insert(oid) {
                continue;
            }
            let tree = self.git().find_tree(oid).map_err(failed(format!("read tree {oid}")))?;
            for entry in tree.iter() {
                match entry.kind() {
                    Some(ObjectType::Tree) if oid == root.id() && entry.name().is_ok_and(|name| name == "suites") => {}
                    Some(ObjectType::Tree) => trees.push(entry.id()),
                    Some(ObjectType::Blob) if named.seen.insert(entry.id()) => {
                        let (size, _) = odb.read_header(entry.id()).map_err(failed(format!("look at blob {}", entry.id())))?;
                        if size > limits::POINTER {
                            continue;
                        }
                        let blob = self.git().find_blob(entry.id()).map_err(failed(format!("read blob {}", entry.id())))?;
                        if let Ok(pointer) = Pointer::decode(blob.content()) {
                            named.sizes.insert(pointer.oid, pointer.size);
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}
