//! The object store: bytes by their SHA-256, never changed, in the Git-LFS layout `ab/cd/<oid>`.
//!
//! One of the four traits. Its contract, which `contract` checks on every implementation:
//! - after `put` returned, the object is there whole, whatever happened to other writers, and stays;
//! - `put` of bytes that do not match the pointer leaves nothing and fails;
//! - `put` of what is there already changes no bytes; it counts as written now, see [`ObjectStore::refresh`];
//! - nobody sees a part of an object.

pub mod fs;
pub mod lfs;
pub mod s3;

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::formats::pool::pointer::Pointer;
use crate::places::requests::Requests;
use crate::places::s3::{self as client, S3Error};
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
    /// The bucket refused or could not be reached.
    #[error(transparent)]
    S3(#[from] S3Error),
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
        found: Box<Pointer>,
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

    /// Stores many files, each of which must be what its pointer names, on as many threads as this runs on. A store may wait for
    /// its disk once for many. `done` is told each file. The answers are in the order of the files.
    ///
    /// # Errors
    /// Of the first one that cannot be stored; others may have been stored before.
    fn put_files(&self, files: &[(Pointer, &Path)], done: &(dyn Fn(&Path) + Sync)) -> Result<Vec<Put>, StoreError> {
        let put = |(pointer, path): &(Pointer, &Path)| {
            let put = self.put(pointer, Source::File(path))?;
            done(path);
            Ok(put)
        };
        files.par_iter().map(put).collect()
    }

    /// Stores bytes that are most likely not there, and that can be made again should they get lost: with as few requests as
    /// the store allows.
    ///
    /// # Errors
    /// They are other bytes than the pointer names, or the store cannot be written; the store is then as before.
    fn put_new(&self, pointer: &Pointer, bytes: &[u8]) -> Result<(), StoreError> {
        self.put(pointer, Source::Bytes(bytes)).map(drop)
    }

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

    /// Tells whether an object is there with its size, and makes it count as written now, so that garbage collection takes it
    /// for part of an unfinished deploy. A store may leave that out where the object was written less than a day ago.
    ///
    /// # Errors
    /// The store cannot be asked or written.
    fn refresh(&self, pointer: &Pointer) -> Result<bool, StoreError> {
        Ok(self.size(&pointer.oid)? == Some(pointer.size))
    }

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

    /// Returns when an object was last written or refreshed, by the store's clock; `None` where it is not there.
    ///
    /// # Errors
    /// The store cannot be asked.
    fn modified(&self, oid: &ObjectId) -> Result<Option<Timestamp>, StoreError>;

    /// Removes an object unless it was written or refreshed at this time or later; tells whether it is gone.
    ///
    /// # Errors
    /// It cannot be asked for or removed.
    fn remove_older(&self, oid: &ObjectId, than: Timestamp) -> Result<bool, StoreError> {
        match self.modified(oid)? {
            Some(modified) if modified >= than => Ok(false),
            Some(_) => self.remove(oid).map(|()| true),
            None => Ok(true),
        }
    }

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

    /// Returns the store for objects of this kind that are derived from others, beside this one and with the same connections
    /// and counters; `None` where this kind of store has no room for them.
    fn beside(&self, _kind: &str) -> Option<Box<dyn ObjectStore>> {
        None
    }

    /// Tells whether every operation is a request over the network, so that many should be under way at one time.
    fn is_remote(&self) -> bool {
        false
    }

    /// Returns how many requests were sent so far, retries included.
    fn requests(&self) -> Requests {
        Requests::default()
    }
}

/// Runs parallel work on a store: on as many threads as there are processors, or on more where the work is waiting for answers.
pub fn in_parallel<T: Send>(store: &dyn ObjectStore, work: impl FnOnce() -> T + Send) -> T {
    match client::threads() {
        Ok(threads) if store.is_remote() => threads.install(work),
        _ => work(),
    }
}

/// Returns an object's key below the store: `ab/cd/<oid>`.
pub fn key(oid: &ObjectId) -> String {
    let hex = oid.to_hex();
    format!("{}/{}/{hex}", hex.get(..2).unwrap_or_default(), hex.get(2..4).unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
pub(crate) mod contract;
