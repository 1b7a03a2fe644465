//! Reading the object that a record names as its provenance: from a file of this run, or from the store.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;

use crate::formats::pool::pointer::Pointer;
use crate::formats::provenance::LONGEST;
use crate::places::store::{ObjectStore, StoreError};
use crate::words::digest::Sha256;

/// Where envelopes are.
#[derive(Clone, Copy)]
pub struct Envelopes<'a> {
    store: &'a dyn ObjectStore,
    files: Option<&'a BTreeMap<Pointer, PathBuf>>,
}

impl<'a> Envelopes<'a> {
    /// Returns those of a store.
    pub fn of(store: &'a dyn ObjectStore) -> Self {
        Self { store, files: None }
    }

    /// Returns these and those of files that are not stored yet.
    pub fn with_files(store: &'a dyn ObjectStore, files: &'a BTreeMap<Pointer, PathBuf>) -> Self {
        Self { store, files: Some(files) }
    }

    /// Returns the bytes of an object, or why they cannot be had.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub fn read(&self, object: &Pointer) -> Result<Result<Vec<u8>, String>, StoreError> {
        if object.size > LONGEST as u64 {
            return Ok(Err(format!("it has {} bytes, more than {LONGEST}", object.size)));
        }
        let failed = |source| StoreError::Io { store: self.store.describe(), operation: format!("read object {}", object.oid), source };
        let mut bytes = Vec::new();
        if let Some(file) = self.files.and_then(|files| files.get(object)) {
            std::fs::File::open(file).and_then(|file| file.take(object.size + 1).read_to_end(&mut bytes)).map_err(failed)?;
        } else {
            let opened = match self.store.open(&object.oid) {
                Err(StoreError::Missing { .. }) => return Ok(Err(format!("it is not in {}", self.store.describe()))),
                Err(fault @ (StoreError::OtherSize { .. } | StoreError::Damaged { .. })) => return Ok(Err(fault.to_string())),
                opened => opened?,
            };
            match opened.take(object.size + 1).read_to_end(&mut bytes) {
                Ok(_) => {}
                // What a store says that compares while it reads.
                Err(fault) if fault.kind() == std::io::ErrorKind::InvalidData => return Ok(Err(fault.to_string())),
                Err(fault) => return Err(failed(fault)),
            }
        }
        let found = Pointer { oid: Sha256::of(&bytes), size: bytes.len() as u64 };
        Ok(if found == *object { Ok(bytes) } else { Err(format!("the object in {} has other bytes", self.store.describe())) })
    }
}
