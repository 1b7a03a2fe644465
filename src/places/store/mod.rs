//! The object store: bytes by their SHA-256, never changed, in the Git-LFS layout `ab/cd/<oid>`.
//!
//! One of the four traits. Its contract, which `contract` checks on every implementation:
//! - after `put` returned, the object is there whole, whatever happened to other writers, and stays;
//! - `put` of bytes that do not match the pointer leaves nothing and fails;
//! - `put` of what is there already changes nothing;
//! - nobody sees a part of an object.

pub mod fs;
pub mod lfs;

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::formats::pool::pointer::Pointer;
use crate::places::requests::Requests;
use crate::words::date::Timestamp;
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
    /// The store's bytes are not what the object's name says.
    #[error("object store {store}: object {} should have {} bytes, but what came has {} bytes and sha256 {}", expected.oid, expected.size, found.size, found.oid)]
    Damaged {
        /// The store.
        store: String,
        /// The pointer.
        expected: Pointer,
        /// What came.
        found: Pointer,
    },
    /// The store may have the object, but not of this size.
    #[error("object store {store} has no object {} of {} bytes, perhaps one of another size: {said}", expected.oid, expected.size)]
    OtherSize {
        /// The store.
        store: String,
        /// The pointer; its size is 0 where nobody knows it.
        expected: Pointer,
        /// The server's words.
        said: String,
    },
    /// A server refused, or answered what cannot be.
    #[error("object store {store}: cannot {operation}: {answer}")]
    Answer {
        /// The store.
        store: String,
        /// What was tried.
        operation: String,
        /// What was answered, without any secret.
        answer: String,
    },
    /// The store cannot say what it holds.
    #[error("object store {store} cannot be listed: the Git-LFS API has no such request; objects can only be asked for by name")]
    Unlisted {
        /// The store.
        store: String,
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

/// What will be done with objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// They will be put.
    Put,
    /// They will be opened, or asked for.
    Open,
}

/// Where the bytes of an object come from.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// From a file, which is read as often as a retry needs it.
    File(&'a Path),
    /// From memory.
    Bytes(&'a [u8]),
}

impl<'a> Source<'a> {
    /// Opens the bytes for reading from their beginning.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(self) -> io::Result<Box<dyn Read + 'a>> {
        match self {
            Self::File(path) => Ok(Box::new(File::open(path)?)),
            Self::Bytes(bytes) => Ok(Box::new(bytes)),
        }
    }

    /// Returns the name for messages.
    pub fn path(self) -> PathBuf {
        match self {
            Self::File(path) => path.to_owned(),
            Self::Bytes(_) => PathBuf::from("the bytes in memory"),
        }
    }
}

/// An object as a store lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stored {
    /// Its name.
    pub oid: ObjectId,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written, by the store's clock.
    pub modified: Timestamp,
}

/// Everything in a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The objects, by name.
    pub objects: Vec<Stored>,
    /// Names that are no object's, in order.
    pub strangers: Vec<String>,
}

/// Where an object lies in S3, so that a server can copy it by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketKey {
    /// The server's address; `None` is Amazon's.
    pub endpoint: Option<String>,
    /// The bucket.
    pub bucket: String,
    /// The whole key.
    pub key: String,
}

/// Keeps objects by their SHA-256. See the module's text for the contract.
pub trait ObjectStore: Send + Sync {
    /// Returns the store's name for messages, without any secret.
    fn describe(&self) -> String;

    /// Stores bytes, which must be what the pointer names.
    ///
    /// # Errors
    /// They are other bytes, or the store cannot be written; the store is then as before.
    fn put(&self, pointer: &Pointer, source: Source<'_>) -> Result<Put, StoreError>;

    /// Tells the store what will be done next with many objects, so that it can ask its server about them together. Needed for
    /// nothing, and best done for some thousands at a time.
    ///
    /// # Errors
    /// The store cannot be asked.
    fn announce(&self, _intent: Intent, _pointers: &[Pointer]) -> Result<(), StoreError> {
        Ok(())
    }

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

    /// Opens a part of an object for reading; what lies behind its end is left out.
    ///
    /// # Errors
    /// It is not there, or the store cannot be read.
    fn open_range(&self, oid: &ObjectId, range: Range<u64>) -> Result<Box<dyn Read + Send>, StoreError>;

    /// Returns everything in the store.
    ///
    /// # Errors
    /// The store cannot be listed.
    fn list(&self) -> Result<Listing, StoreError>;

    /// Removes an object; it is no error that it is not there. Only garbage collection does that.
    ///
    /// # Errors
    /// It is there and cannot be removed.
    fn remove(&self, oid: &ObjectId) -> Result<(), StoreError>;

    /// Returns the path of an object where the store is a local folder, so that it can be linked.
    fn local_path(&self, _oid: &ObjectId) -> Option<PathBuf> {
        None
    }

    /// Returns where an object lies in S3, so that a published tree there can have it copied by the server.
    fn bucket_key(&self, _oid: &ObjectId) -> Option<BucketKey> {
        None
    }

    /// Returns an address from which anybody can fetch an object for this many seconds, `None` where the store has none. A
    /// presigned address is a secret: it goes to the client who asked and nowhere else.
    ///
    /// # Errors
    /// The address cannot be signed.
    fn download_address(&self, _oid: &ObjectId, _seconds: u32) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    /// Returns how many requests were sent so far, retries included.
    fn requests(&self) -> Requests {
        Requests::default()
    }
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
        assert_eq!(store.list().unwrap(), Listing::default());
        let pointer = check_unlisted(store);
        let listing = store.list().unwrap();
        let names: Vec<_> = listing.objects.iter().map(|stored| (stored.oid, stored.size)).collect();
        let mut expected = vec![(pointer.oid, 10), (ObjectId::of(b"racing"), 6)];
        expected.sort();
        assert_eq!((names, listing.strangers), (expected, Vec::new()));
        for _ in 0..2 {
            store.remove(&pointer.oid).unwrap();
            assert_eq!(store.size(&pointer.oid).unwrap(), None);
        }
    }

    /// Runs what holds for a store that cannot list and remove too.
    pub(crate) fn check_unlisted(store: &dyn ObjectStore) -> Pointer {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"some bytes").unwrap();
        let pointer = Pointer { oid: ObjectId::of(b"some bytes"), size: 10 };
        assert_eq!(store.size(&pointer.oid).unwrap(), None);
        assert!(matches!(store.open(&pointer.oid), Err(StoreError::Missing { .. })));

        let wrong = Pointer { oid: ObjectId::of(b"other bytes"), size: 10 };
        assert!(matches!(store.put(&wrong, Source::File(&file)), Err(StoreError::Changed { .. })));
        assert_eq!(store.size(&wrong.oid).unwrap(), None);

        assert_eq!(store.put(&pointer, Source::File(&file)).unwrap(), Put::New);
        assert_eq!(store.put(&pointer, Source::Bytes(b"some bytes")).unwrap(), Put::Present);
        assert_eq!(store.size(&pointer.oid).unwrap(), Some(10));
        let mut read = Vec::new();
        store.open(&pointer.oid).unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, b"some bytes");
        for (range, expected) in [(0..4, &b"some"[..]), (5..10, b"bytes"), (8..100, b"es")] {
            let mut part = Vec::new();
            store.open_range(&pointer.oid, range).unwrap().read_to_end(&mut part).unwrap();
            assert_eq!(part, expected);
        }
        assert!(matches!(store.open_range(&wrong.oid, 0..1), Err(StoreError::Missing { .. })));

        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let racing = Pointer { oid: ObjectId::of(b"racing"), size: 6 };
                    let own = tempfile::NamedTempFile::new().unwrap();
                    std::fs::write(own.path(), b"racing").unwrap();
                    store.put(&racing, Source::File(own.path())).unwrap();
                    assert_eq!(store.size(&racing.oid).unwrap(), Some(6));
                });
            }
        });
        pointer
    }
}
