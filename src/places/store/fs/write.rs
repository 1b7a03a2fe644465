//! Writing objects: into a temporary file, hashed on the way, onto the disk, and only then under their name.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rayon::prelude::*;
use tempfile::{NamedTempFile, TempPath};

use super::FolderStore;
use crate::formats::pool::pointer::Pointer;
use crate::places::store::{ObjectStore, Put, Source, StoreError};
use crate::words::digest::OidHasher;

/// Files are copied in pieces of this size.
const PIECE: usize = 1 << 20;

/// The size in bytes from which on sharing blocks with the file that is copied is tried.
const WORTH_SHARING: u64 = 1 << 16;

impl FolderStore {
    /// Fetches an object from another store into a temporary file here, checked on the way. The listener is told how many bytes
    /// came each time, and may give up.
    ///
    /// # Errors
    /// The other store does not have it or sends other bytes, or this one cannot be written.
    pub fn receive(
        &self,
        pointer: &Pointer,
        from: &dyn ObjectStore,
        listener: &mut dyn FnMut(u64) -> io::Result<()>,
    ) -> Result<NamedTempFile, StoreError> {
        let store = |source| self.failed(format!("write object {}", pointer.oid), source);
        let read = |source| StoreError::Io { store: from.describe(), operation: format!("read object {}", pointer.oid), source };
        let mut reader = from.open(&pointer.oid)?;
        fs::create_dir_all(&self.temporary).map_err(store)?;
        let mut incoming = tempfile::Builder::new().prefix("ddb-").tempfile_in(&self.temporary).map_err(store)?;
        let found = hash_through(&mut reader, pointer, read, |bytes| {
            incoming.write_all(bytes).and_then(|()| listener(bytes.len() as u64)).map_err(store)
        })?;
        if found == *pointer {
            Ok(incoming)
        } else {
            Err(StoreError::Damaged { store: from.describe(), expected: *pointer, found: Box::new(found) })
        }
    }

    pub(super) fn keep(&self, pointer: &Pointer, incoming: NamedTempFile) -> Result<(), StoreError> {
        let store = |source| self.failed(format!("write object {}", pointer.oid), source);
        incoming.as_file().set_permissions(Permissions::from_mode(0o444)).map_err(store)?;
        incoming.as_file().sync_all().map_err(store)?;
        self.give_name(pointer, incoming.into_temp_path())
    }

    /// Gives bytes that are on disk their name.
    fn give_name(&self, pointer: &Pointer, incoming: TempPath) -> Result<(), StoreError> {
        let store = |source| self.failed(format!("write object {}", pointer.oid), source);
        let target = self.path(&pointer.oid);
        // Most folders are there in a store that is in use.
        let Err(fault) = incoming.persist(&target) else { return Ok(()) };
        if fault.error.kind() != io::ErrorKind::NotFound {
            return Err(store(fault.error));
        }
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(store)?;
        }
        fault.path.persist(&target).map_err(|fault| store(fault.error))
    }

    fn temporary_file(&self) -> io::Result<NamedTempFile> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("ddb-").permissions(Permissions::from_mode(0o444));
        match builder.tempfile_in(&self.temporary) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&self.temporary)?;
                builder.tempfile_in(&self.temporary)
            }
            made => made,
        }
    }

    /// Stores some thousands of files, which are on disk all together before the first of them gets its name.
    pub(super) fn put_some(&self, files: &[(Pointer, &Path)], done: &(dyn Fn(&Path) + Sync)) -> Result<Vec<Put>, StoreError> {
        let write = |(pointer, path): &(Pointer, &Path)| {
            if self.refresh(pointer)? {
                return Ok(None);
            }
            self.write_in(pointer, Source::File(path)).map(|incoming| Some(incoming.into_temp_path()))
        };
        let written: Vec<Option<TempPath>> = files.par_iter().map(write).collect::<Result<_, StoreError>>()?;
        if written.iter().any(Option::is_some) {
            let synced = File::open(&self.temporary).and_then(|folder| Ok(rustix::fs::syncfs(folder)?));
            synced.map_err(|source| self.failed("wait for the disk", source))?;
        }
        let name = |((pointer, path), written): (&(Pointer, &Path), Option<TempPath>)| {
            let put = if written.is_some() { Put::New } else { Put::Present };
            written.map(|incoming| self.give_name(pointer, incoming)).transpose()?;
            done(path);
            Ok(put)
        };
        files.par_iter().zip(written).map(name).collect()
    }

    pub(super) fn copy_in(&self, pointer: &Pointer, source: Source<'_>) -> Result<(), StoreError> {
        self.keep(pointer, self.write_in(pointer, source)?)
    }

    /// Copies bytes into a temporary file, checked on the way.
    fn write_in(&self, pointer: &Pointer, source: Source<'_>) -> Result<NamedTempFile, StoreError> {
        let store = |source| self.failed(format!("write object {}", pointer.oid), source);
        let read = |fault| self.failed(format!("read {}", source.path().display()), fault);
        let mut incoming = self.temporary_file().map_err(store)?;
        let shared = match source {
            Source::File(path) if pointer.size >= WORTH_SHARING => {
                rustix::fs::ioctl_ficlone(incoming.as_file(), &File::open(path).map_err(read)?).is_ok()
            }
            _ => false,
        };
        let mut reader = source.open().map_err(read)?;
        let found =
            hash_through(&mut reader, pointer, read, |bytes| if shared { Ok(()) } else { incoming.write_all(bytes).map_err(store) })?;
        if found != *pointer {
            return Err(StoreError::Changed { path: source.path(), expected: *pointer, found });
        }
        Ok(incoming)
    }
}

/// Reads everything, gives each piece to a taker, and returns what it was.
fn hash_through(
    reader: &mut dyn Read,
    expected: &Pointer,
    failed: impl Fn(io::Error) -> StoreError,
    mut take: impl FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<Pointer, StoreError> {
    let mut hasher = OidHasher::default();
    let mut buffer = vec![0; usize::try_from(expected.size).unwrap_or(PIECE).saturating_add(1).min(PIECE)];
    loop {
        let length = reader.read(&mut buffer).map_err(&failed)?;
        let bytes = buffer.get(..length).unwrap_or_default();
        if bytes.is_empty() {
            let (oid, size) = hasher.finish();
            return Ok(Pointer { oid, size });
        }
        hasher.update(bytes);
        take(bytes)?;
    }
}
