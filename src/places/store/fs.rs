//! An object store in a local folder, in the layout of `.git/lfs/objects`, so that stock Git-LFS reads it.
//!
//! Objects are read-only files: a published tree may hard-link them, and an editor there must not change them. They appear
//! by rename after their bytes are on disk. Copies share blocks where the file system can.

mod write;

use std::fs::{self, File};
use std::io::Seek as _;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::fs::{AtFlags, Timespec, Timestamps};

use super::{Listing, ObjectStore, Put, Source, StoreError, Stored, key};
use crate::formats::pool::pointer::Pointer;
use crate::places::git::{GitError, Repository};
use crate::words::date::Timestamp;
use crate::words::digest::ObjectId;

/// Objects in a folder.
#[derive(Debug, Clone)]
pub struct FolderStore {
    objects: PathBuf,
    temporary: PathBuf,
    derived: PathBuf,
}

/// The remote that `git lfs prune` compares with in a repository whose default store ddb uses. It does not exist, so that
/// every object counts as not pushed anywhere else.
const PRUNE_REMOTE: &str = "ddb-the-only-copy-is-here";

/// What the name of an object begins with that is being removed.
const ASIDE: &str = "ddb-removed-";

/// Fewer files wait for the disk one by one; for more, everything that the file system has not written yet is waited for once.
const MANY: usize = 32;

/// Most files that wait for the disk together.
const TOGETHER: usize = 8192;

impl FolderStore {
    /// Returns the store in this folder, which is made when first written.
    pub fn new(objects: &Path) -> Self {
        Self { objects: objects.to_owned(), temporary: objects.join(".incoming"), derived: objects.join(".derived") }
    }

    /// Returns the default store: the repository's own Git-LFS objects.
    pub fn of_repository(repository: &Repository) -> Self {
        let lfs = repository.git_dir().join("lfs");
        let derived = repository.git_dir().join("ddb/derived");
        Self { objects: lfs.join("objects"), temporary: lfs.join("tmp"), derived }
    }

    /// Returns where stock Git-LFS keeps objects of a clone: below `lfs.storage` where that is set, else as the default store.
    pub fn of_clone(repository: &Repository) -> Self {
        match repository.setting("lfs.storage").filter(|path| !path.is_empty()) {
            Some(path) => {
                let lfs = repository.git_dir().join(path);
                Self { objects: lfs.join("objects"), temporary: lfs.join("tmp"), ..Self::of_repository(repository) }
            }
            None => Self::of_repository(repository),
        }
    }

    /// Copies an object from another store into this one, checked on the way; what does not match leaves nothing.
    ///
    /// # Errors
    /// The other store does not have it or sends other bytes, or this one cannot be written.
    pub fn take(&self, pointer: &Pointer, from: &dyn ObjectStore) -> Result<Put, StoreError> {
        if self.size(&pointer.oid)? == Some(pointer.size) {
            return Ok(Put::Present);
        }
        if let Some(path) = from.local_path(&pointer.oid) {
            if !path.exists() {
                return Err(StoreError::Missing { store: from.describe(), oid: pointer.oid });
            }
            self.copy_in(pointer, Source::File(&path))?;
            return Ok(Put::New);
        }
        let incoming = self.receive(pointer, from, &mut |_| Ok(()))?;
        self.keep(pointer, incoming)?;
        Ok(Put::New)
    }

    /// Makes stock Git-LFS leave the default store's objects alone, also after a push.
    ///
    /// `git lfs prune` deletes what it believes to be on a remote. The Git remote of an archive need not hold any object, so
    /// prune is told to ask a remote that has none of the commits, and to verify with the server in any case.
    ///
    /// # Errors
    /// The repository's configuration cannot be written.
    pub fn guard_against_prune(repository: &Repository) -> Result<(), GitError> {
        repository.set("lfs.pruneremotetocheck", PRUNE_REMOTE)?;
        repository.set("lfs.pruneverifyremotealways", "true")?;
        repository.set("lfs.pruneverifyunreachablealways", "true")
    }

    /// Returns the store for objects that are derived from others: `.git/ddb/derived/<kind>` beside the default store, else
    /// `.derived/<kind>` in the store's folder. Neither Git-LFS nor `list` sees what is there.
    #[must_use]
    pub fn derived(&self, kind: &str) -> Self {
        Self::new(&self.derived.join(kind))
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.objects
    }

    fn list_below(&self, folder: &Path, depth: u8, listing: &mut Listing) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            if path == self.temporary || path == self.derived {
                continue;
            }
            let kind = entry.file_type()?;
            let oid = entry.file_name().to_str().and_then(|name| name.parse::<ObjectId>().ok()).filter(|oid| self.path(oid) == path);
            match oid {
                Some(oid) if kind.is_file() => {
                    let metadata = entry.metadata()?;
                    listing.objects.push(Stored { oid, size: metadata.len(), modified: Timestamp(metadata.mtime()) });
                }
                _ if kind.is_dir() && depth < 2 => self.list_below(&path, depth + 1, listing)?,
                _ => listing.strangers.push(path.display().to_string()),
            }
        }
        Ok(())
    }

    /// Puts back what a removal took aside and, being killed, neither removed nor put back.
    fn put_back(&self) -> io::Result<()> {
        let entries = match fs::read_dir(&self.temporary) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let oid = name.to_str().and_then(|name| name.strip_prefix(ASIDE)).and_then(|oid| oid.parse::<ObjectId>().ok());
            if let Some(path) = oid.map(|oid| self.path(&oid)) {
                if path.exists() { fs::remove_file(entry.path())? } else { fs::rename(entry.path(), path)? }
            }
        }
        Ok(())
    }

    fn path(&self, oid: &ObjectId) -> PathBuf {
        self.objects.join(key(oid))
    }

    fn failed(&self, operation: impl Into<String>, source: io::Error) -> StoreError {
        StoreError::Io { store: self.describe(), operation: operation.into(), source }
    }
}

impl ObjectStore for FolderStore {
    fn describe(&self) -> String {
        self.objects.display().to_string()
    }

    fn put(&self, pointer: &Pointer, source: Source<'_>) -> Result<Put, StoreError> {
        if self.refresh(pointer)? {
            return Ok(Put::Present);
        }
        self.copy_in(pointer, source)?;
        Ok(Put::New)
    }

    fn put_files(&self, files: &[(Pointer, &Path)], done: &(dyn Fn(&Path) + Sync)) -> Result<Vec<Put>, StoreError> {
        if files.len() < MANY {
            let put = |(pointer, path): &(Pointer, &Path)| {
                let put = self.put(pointer, Source::File(path))?;
                done(path);
                Ok(put)
            };
            return files.par_iter().map(put).collect();
        }
        let mut all = Vec::with_capacity(files.len());
        for some in files.chunks(TOGETHER) {
            all.extend(self.put_some(some, done)?);
        }
        Ok(all)
    }

    fn size(&self, oid: &ObjectId) -> Result<Option<u64>, StoreError> {
        match fs::metadata(self.path(oid)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(fault) => Err(self.failed(format!("look at object {oid}"), fault)),
        }
    }

    fn open(&self, oid: &ObjectId) -> Result<Box<dyn Read + Send>, StoreError> {
        match File::open(self.path(oid)) {
            Ok(file) => Ok(Box::new(file)),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Err(StoreError::Missing { store: self.describe(), oid: *oid }),
            Err(fault) => Err(self.failed(format!("read object {oid}"), fault)),
        }
    }

    fn open_range(&self, oid: &ObjectId, range: Range<u64>) -> Result<Box<dyn Read + Send>, StoreError> {
        let failed = |fault| self.failed(format!("read object {oid}"), fault);
        match File::open(self.path(oid)) {
            Ok(mut file) => {
                file.seek(io::SeekFrom::Start(range.start)).map_err(failed)?;
                Ok(Box::new(file.take(range.end.saturating_sub(range.start))))
            }
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Err(StoreError::Missing { store: self.describe(), oid: *oid }),
            Err(fault) => Err(failed(fault)),
        }
    }

    fn list(&self) -> Result<Listing, StoreError> {
        let mut listing = Listing::default();
        if self.objects.exists() {
            self.put_back().map_err(|source| self.failed("put back objects", source))?;
            self.list_below(&self.objects, 0, &mut listing).map_err(|source| self.failed("list objects", source))?;
        }
        listing.objects.sort();
        listing.strangers.sort();
        Ok(listing)
    }

    fn refresh(&self, pointer: &Pointer) -> Result<bool, StoreError> {
        if self.size(&pointer.oid)? != Some(pointer.size) {
            return Ok(false);
        }
        let now = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
            last_modification: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
        };
        // Another user's object cannot be refreshed; it is then written again, as if it were not there.
        Ok(rustix::fs::utimensat(rustix::fs::CWD, self.path(&pointer.oid), &now, AtFlags::empty()).is_ok())
    }

    fn modified(&self, oid: &ObjectId) -> Result<Option<Timestamp>, StoreError> {
        match fs::metadata(self.path(oid)) {
            Ok(metadata) => Ok(Some(Timestamp(metadata.mtime()))),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(fault) => Err(self.failed(format!("look at object {oid}"), fault)),
        }
    }

    fn remove_older(&self, oid: &ObjectId, than: Timestamp) -> Result<bool, StoreError> {
        let failed = |fault| self.failed(format!("remove object {oid}"), fault);
        let path = self.path(oid);
        match self.modified(oid)? {
            None => return Ok(true),
            Some(modified) if modified >= than => return Ok(false),
            Some(_) => {}
        }
        // Taken away first and looked at again then: whoever refreshed it before has it back, whoever comes later writes it.
        fs::create_dir_all(&self.temporary).map_err(failed)?;
        let aside = self.temporary.join(format!("{ASIDE}{oid}"));
        match fs::rename(&path, &aside) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(true),
            renamed => renamed.map_err(failed)?,
        }
        if Timestamp(fs::metadata(&aside).map_err(failed)?.mtime()) < than {
            fs::remove_file(&aside).map_err(failed)?;
            return Ok(true);
        }
        fs::rename(&aside, &path).map_err(failed)?;
        Ok(false)
    }

    fn remove(&self, oid: &ObjectId) -> Result<(), StoreError> {
        match fs::remove_file(self.path(oid)) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(self.failed(format!("remove object {oid}"), fault)),
            _ => Ok(()),
        }
    }

    fn beside(&self, kind: &str) -> Option<Box<dyn ObjectStore>> {
        Some(Box::new(self.derived(kind)))
    }

    fn local_path(&self, oid: &ObjectId) -> Option<PathBuf> {
        Some(self.path(oid))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
