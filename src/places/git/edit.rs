//! Editing a tree: paths get blobs or whole trees that the object database holds, and the trees above them are written.

use std::collections::BTreeMap;

use git2::build::TreeUpdateBuilder;
use git2::{FileMode, Tree};

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

impl Repository {
    /// Returns the tree with these edits; folders that become empty vanish.
    pub(super) fn edited_tree<'repo>(&'repo self, baseline: Option<Tree<'repo>>, edits: &TreeEdits) -> Result<Tree<'repo>, GitError> {
        let git = self.git();
        let baseline = match baseline {
            Some(tree) => tree,
            None => {
                let empty = git.treebuilder(None).and_then(|builder| builder.write()).map_err(failed("write the empty tree"))?;
                git.find_tree(empty).map_err(failed("read the empty tree"))?
            }
        };
        let mut update = TreeUpdateBuilder::new();
        for (path, held) in edits {
            match held {
                Some(Held::File(blob)) => update.upsert(path.as_str(), *blob, FileMode::Blob),
                Some(Held::Folder(tree)) => update.upsert(path.as_str(), *tree, FileMode::Tree),
                None => update.remove(path.as_str()),
            };
        }
        update.create_updated(git, &baseline).and_then(|oid| git.find_tree(oid)).map_err(failed("write the edited tree"))
    }
}
