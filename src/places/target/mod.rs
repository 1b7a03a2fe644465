//! The published tree: named paths that clients read, written in order.
//!
//! One of the four traits, apart from the object store even where both live on one server: a store is addressed by content
//! and never changes, a target is addressed by path and does. Its contract, which `contract` checks on every implementation:
//! - a reader sees the old file or the new one, never a part and never neither;
//! - after `settle` returned, everything written before it is visible and survives a crash;
//! - writing the same path twice leaves the second content; removing what is not there is no error;
//! - `exclusive` keeps a second publisher of the same target waiting where the place can do that, and else does nothing.
//!   Nothing depends on it: the order of the plan and the staged Release in Git are what protects clients.

pub mod fs;
pub mod plan;
pub mod s3;

use std::sync::Arc;

use crate::formats::pool::pointer::Pointer;
use crate::places::requests::Requests;
use crate::places::s3::S3Error;
use crate::places::store::{ObjectStore, StoreError};
use crate::words::digest::ObjectId;

/// What went wrong in the published tree.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// A path could not be read or written.
    #[error("published tree {target}: cannot {operation} {path}")]
    Io {
        /// The tree.
        target: String,
        /// What was tried.
        operation: &'static str,
        /// The path in the tree.
        path: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The server that holds the tree failed.
    #[error("published tree")]
    S3(#[source] Box<S3Error>),
    /// A path that was to be replaced is not any more what was there when this publish began.
    #[error("published tree {target}: another publisher has written {path} meanwhile")]
    Overtaken {
        /// The tree.
        target: String,
        /// The path in the tree.
        path: String,
    },
    /// A path that leads out of the tree; nothing was written or removed there.
    #[error("published tree {target}: the path {path:?} leads out of it")]
    Outside {
        /// The tree.
        target: String,
        /// The path.
        path: String,
    },
    /// The configured way of linking does not work here.
    #[error(
        "published tree {target}: {path} cannot be linked as `links = \"{links}\"` asks; use \"auto\", or put store and target on one file system"
    )]
    Links {
        /// The tree.
        target: String,
        /// The path in the tree.
        path: String,
        /// The configured way.
        links: &'static str,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The object of a pool file could not be read.
    #[error("published tree: {path} has no content")]
    Object {
        /// The path in the tree.
        path: String,
        /// The cause.
        #[source]
        source: Box<StoreError>,
    },
}

impl From<S3Error> for TargetError {
    fn from(fault: S3Error) -> Self {
        Self::S3(Box::new(fault))
    }
}

/// Where the bytes of a path come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// From memory, shared with whoever made them.
    Bytes(Arc<Vec<u8>>),
    /// From the object store.
    Object(Pointer),
    /// From another path of the tree, written before, which holds the bytes of this size and hash.
    SameAs(String, Pointer),
}

/// A tree of named files that clients read. See the module's text for the contract.
pub trait PublishTarget: Send + Sync {
    /// Returns the tree's name for messages, without any secret.
    fn describe(&self) -> String;

    /// Returns the content of a path, `None` where it is missing. For small files.
    ///
    /// # Errors
    /// The tree cannot be read.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, TargetError>;

    /// Returns the size of a path in bytes, `None` where it is missing.
    ///
    /// # Errors
    /// The tree cannot be asked.
    fn size(&self, path: &str) -> Result<Option<u64>, TargetError>;

    /// Tells whether a path holds these bytes, by the hash that the tree keeps with the file, or else by reading it.
    ///
    /// # Errors
    /// The tree cannot be read.
    fn holds(&self, path: &str, pointer: &Pointer) -> Result<bool, TargetError>;

    /// Tells whether a path is a hard link to a file of this machine, so that both always hold the same bytes.
    fn is_link_to(&self, _path: &str, _origin: &std::path::Path) -> bool {
        false
    }

    /// Returns size and hash of a path's bytes, read anew; `None` where it is missing.
    ///
    /// # Errors
    /// The tree cannot be read.
    fn hash(&self, path: &str) -> Result<Option<Pointer>, TargetError> {
        let of = |bytes: Vec<u8>| Pointer { oid: ObjectId::of(&bytes), size: bytes.len() as u64 };
        Ok(self.read(path)?.map(of))
    }

    /// Writes a path.
    ///
    /// # Errors
    /// The content cannot be read or the path not written; the path is then as before.
    fn write(&self, path: &str, content: &Content, store: &dyn ObjectStore) -> Result<(), TargetError>;

    /// Removes a path.
    ///
    /// # Errors
    /// It is there and cannot be removed.
    fn remove(&self, path: &str) -> Result<(), TargetError>;

    /// Returns when everything written before is visible and durable.
    ///
    /// # Errors
    /// That cannot be had.
    fn settle(&self) -> Result<(), TargetError>;

    /// Waits until no other publisher holds the tree; the tree is held until the value is dropped.
    ///
    /// # Errors
    /// The tree cannot be held.
    fn exclusive(&self) -> Result<Box<dyn std::any::Any>, TargetError>;

    /// Returns the folder where the tree is a local one.
    fn local_root(&self) -> Option<&std::path::Path> {
        None
    }

    /// Tells whether looking at a file costs a request, so that what is known of the tree is not looked at again.
    fn is_remote(&self) -> bool {
        false
    }

    /// Returns how many looks or writes may run at once: those of one class of a plan do not depend on each other.
    fn lanes(&self) -> usize {
        1
    }

    /// Returns the address where clients find the tree, where the place itself has one.
    fn address(&self) -> Option<String> {
        None
    }

    /// Returns how many requests were sent so far, retries included.
    fn requests(&self) -> Requests {
        Requests::default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
pub(crate) mod contract;

#[cfg(test)]
use crate::places::store::{Source, fs::FolderStore};
