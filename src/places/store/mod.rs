//! The object store: bytes by their SHA-256, never changed, in the Git-LFS layout `ab/cd/<oid>`.
//!
//! One of the four traits. Its contract, which `contract` checks on every implementation:
//! - after `put` returned, the object is there whole, whatever happened to other writers, and stays;
//! - `put` of bytes that do not match the pointer leaves nothing and fails;
//! - `put` of what is there already changes nothing;
//! - nobody sees a part of an object.

pub mod fs;

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::formats::pool::pointer::Pointer;
use crate::words::digest::ObjectId;

/// What went wrong in an object store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store could not be read or written.
    #[error("object store {store}: cannot {operation}")]
    Io {
        /// The store.
        store: String,
        /// What was tried.
        operation: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The source file does not hold the bytes that the pointer names.
    #[error("{} changed while it was stored: sha256 {} with {} bytes was expected, {} with {} bytes came", path.display(), expected.oid, expected.size, found.oid, found.size)]
    Changed {
        /// The file.
        path: PathBuf,
        /// The pointer.
        expected: Pointer,
        /// What was read.
        found: Pointer,
    },
    /// The store has no such object.
    #[error("object store {store} has no object {oid}")]
    Missing {
        /// The store.
        store: String,
        /// The object.
        oid: ObjectId,
    },
}

/// Whether an object was new to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It was written now.
    New,
    /// It was there already, with the same size.
    Present,
}

/// Keeps objects by their SHA-256. See the module's text for the contract.
pub trait ObjectStore: Send + Sync {
    /// Returns the store's name for messages, without any secret.
    fn describe(&self) -> String;

    /// Stores the content of a file, which must be what the pointer names.
    ///
    /// # Errors
    /// The file holds other bytes, or the store cannot be written; the store is then as before.
    fn put(&self, pointer: &Pointer, source: &Path) -> Result<Put, StoreError>;

    /// Returns the size of an object in bytes, `None` where it is not there.
    ///
    /// # Errors
    /// The store cannot be asked.
    fn size(&self, oid: &ObjectId) -> Result<Option<u64>, StoreError>;

    /// Opens an object for reading.
    ///
    /// # Errors
    /// It is not there, or the store cannot be read.
    fn open(&self, oid: &ObjectId) -> Result<Box<dyn Read + Send>, StoreError>;

    /// Returns the path of an object where the store is a local folder, so that it can be linked.
    fn local_path(&self, oid: &ObjectId) -> Option<PathBuf>;
}

/// Returns an object's key below the store: `ab/cd/<oid>`.
pub fn key(oid: &ObjectId) -> String {
    let hex = oid.to_hex();
    format!("{}/{}/{hex}", hex.get(..2).unwrap_or_default(), hex.get(2..4).unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
pub(crate) mod contract {
    //! The suite that every object store must pass.

    use super::*;

    /// Runs the whole contract on an empty store.
    pub(crate) fn check(store: &dyn ObjectStore) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"some bytes").unwrap();
        let pointer = Pointer { oid: ObjectId::of(b"some bytes"), size: 10 };
        assert_eq!(store.size(&pointer.oid).unwrap(), None);
        assert!(matches!(store.open(&pointer.oid), Err(StoreError::Missing { .. })));

        let wrong = Pointer { oid: ObjectId::of(b"other bytes"), size: 10 };
        assert!(matches!(store.put(&wrong, &file), Err(StoreError::Changed { .. })));
        assert_eq!(store.size(&wrong.oid).unwrap(), None);

        assert_eq!(store.put(&pointer, &file).unwrap(), Put::New);
        assert_eq!(store.put(&pointer, &file).unwrap(), Put::Present);
        assert_eq!(store.size(&pointer.oid).unwrap(), Some(10));
        let mut read = Vec::new();
        store.open(&pointer.oid).unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, b"some bytes");

        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let racing = Pointer { oid: ObjectId::of(b"racing"), size: 6 };
                    let own = tempfile::NamedTempFile::new().unwrap();
                    std::fs::write(own.path(), b"racing").unwrap();
                    store.put(&racing, own.path()).unwrap();
                    assert_eq!(store.size(&racing.oid).unwrap(), Some(6));
                });
            }
        });
    }
}
