//! New objects of a commit: a few as loose files, many as one pack.

use git2::{ObjectType, Odb, Oid};

use super::pack::PackWriter;
use super::{GitError, Repository, failed};

/// As many objects are cheap as loose files; a pack costs two files and waiting for the disk twice.
const FEW: usize = 128;

/// Where the new objects of a commit go.
pub(super) struct NewObjects<'repo> {
    repository: &'repo Repository,
    store: Odb<'repo>,
    pack: Option<PackWriter>,
}

impl Repository {
    /// Returns where about so many new objects go.
    pub(super) fn new_objects(&self, expected: usize) -> Result<NewObjects<'_>, GitError> {
        let store = self.git().odb().map_err(failed("open the object database"))?;
        let pack = (expected > FEW).then(|| PackWriter::begin(self.git_dir())).transpose().map_err(|fault| self.pack_failed(fault))?;
        Ok(NewObjects { repository: self, store, pack })
    }

    fn pack_failed(&self, source: std::io::Error) -> GitError {
        GitError::File { operation: "write a pack in", path: self.git_dir().join("objects/pack"), source }
    }
}

impl NewObjects<'_> {
    /// Takes an object and returns its name. It can be read after `finish`.
    pub(super) fn write(&mut self, kind: ObjectType, bytes: Vec<u8>) -> Result<Oid, GitError> {
        let Some(pack) = &mut self.pack else {
            return self.store.write(kind, &bytes).map_err(failed(format!("write a {kind}")));
        };
        let oid = Oid::hash_object(kind, &bytes).map_err(failed(format!("hash a {kind}")))?;
        // Whoever loses a race and commits again has most of the objects written already.
        if !self.repository.is_packed(oid) {
            pack.write(oid, kind, bytes).map_err(|fault| self.repository.pack_failed(fault))?;
        }
        Ok(oid)
    }

    /// Lets Git see everything that was written.
    pub(super) fn finish(self) -> Result<(), GitError> {
        let Some(pack) = self.pack else { return Ok(()) };
        let names = pack.finish().map_err(|fault| self.repository.pack_failed(fault))?;
        self.repository.remember_packed(names);
        self.store.refresh().map_err(failed("read the object database again"))
    }
}
