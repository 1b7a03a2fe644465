//! Reading the objects that a record names, its provenance and the package itself: from files of this run, or from the store.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::formats::pool::pointer::Pointer;
use crate::formats::provenance::LONGEST;
use crate::formats::statement::Statement;
use crate::formats::suite::agreement;
use crate::formats::suite::place::RecordPlace;
use crate::formats::suite::record::{Record, without_provenance};
use crate::places::store::{ObjectStore, StoreError};
use crate::words::digest::Sha256;

/// Records of this run that say what their packages say, by the digest of place and text: packages are named by their bytes, so that
/// stays true, however often others are faster and all is tried again.
#[derive(Debug, Default)]
pub struct Compared(Mutex<BTreeSet<Sha256>>);

/// Where objects are.
#[derive(Clone, Copy)]
pub struct Objects<'a> {
    store: &'a dyn ObjectStore,
    files: Option<&'a BTreeMap<Pointer, PathBuf>>,
    written: Option<&'a Statement>,
    compared: Option<&'a Compared>,
}

impl<'a> Objects<'a> {
    /// Returns those of a store.
    pub fn of(store: &'a dyn ObjectStore) -> Self {
        Self { store, files: None, written: None, compared: None }
    }

    /// Returns these and those of files that are not stored yet. `written` is the statement, where this run has read the files and
    /// written its records itself.
    pub fn with_files(store: &'a dyn ObjectStore, files: &'a BTreeMap<Pointer, PathBuf>, written: Option<&'a Statement>) -> Self {
        Self { store, files: Some(files), written, compared: None }
    }

    /// Returns these, where what was compared before is not compared again.
    #[must_use]
    pub fn remembering(self, compared: &'a Compared) -> Self {
        Self { compared: Some(compared), ..self }
    }

    /// Returns the store.
    pub(super) fn store(&self) -> &'a dyn ObjectStore {
        self.store
    }

    /// Returns the texts of the records that this run has written from files, by what these files are.
    pub(super) fn written(&self) -> BTreeMap<Sha256, &'a str> {
        let records = self.written.into_iter().flat_map(|statement| statement.builds.iter().flat_map(|build| build.records()));
        records.map(|(file, text)| (file.facts.sha256, text)).collect()
    }

    /// Returns the bytes of an envelope, or why they cannot be had.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub fn read(&self, object: &Pointer) -> Result<Result<Vec<u8>, String>, StoreError> {
        if object.size > LONGEST as u64 {
            return Ok(Err(format!("it has {} bytes, more than {LONGEST}", object.size)));
        }
        let mut bytes = Vec::new();
        let opened = match self.open(object)? {
            Ok(opened) => opened,
            Err(fault) => return Ok(Err(fault)),
        };
        if let Err(fault) = opened.take(object.size + 1).read_to_end(&mut bytes) {
            return self.failed(object, fault).map(Err);
        }
        let found = Pointer { oid: Sha256::of(&bytes), size: bytes.len() as u64 };
        Ok(if found == *object { Ok(bytes) } else { Err(format!("the object in {} has other bytes", self.store.describe())) })
    }

    /// Says in what a record differs from what its package says, `None` where in nothing: the package is read to its end.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub fn disagreement(&self, place: &RecordPlace, record: &Record<'_>) -> Result<Option<String>, StoreError> {
        let object = Pointer::from(&record.facts);
        let said = |fault: String| Ok(Some(format!("its record does not say what {} says: {fault}", record.path.file())));
        let opened = match self.open(&object)? {
            Ok(opened) => opened,
            Err(fault) => return said(fault),
        };
        match agreement::fault(place, record, opened) {
            Ok(None) => Ok(None),
            Ok(Some(fault)) => said(fault),
            Err(fault) => said(self.failed(&object, fault)?),
        }
    }

    /// Says the same, and reads no package for what was found to agree before.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub(super) fn new_disagreement(&self, place: &RecordPlace, record: &Record<'_>, text: &[u8]) -> Result<Option<String>, StoreError> {
        let Some(Compared(compared)) = self.compared else { return self.disagreement(place, record) };
        let key = Sha256::of(&[place.to_string().as_bytes(), b"\n", text].concat());
        if compared.lock().unwrap_or_else(PoisonError::into_inner).contains(&key) {
            return Ok(None);
        }
        let found = self.disagreement(place, record)?;
        if found.is_none() {
            compared.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        }
        Ok(found)
    }

    fn open(&self, object: &Pointer) -> Result<Result<Box<dyn Read + 'a>, String>, StoreError> {
        if let Some(file) = self.files.and_then(|files| files.get(object)) {
            return match std::fs::File::open(file) {
                Ok(file) => Ok(Ok(Box::new(file))),
                Err(fault) => self.failed(object, fault).map(Err),
            };
        }
        match self.store.open(&object.oid) {
            Err(StoreError::Missing { .. }) => Ok(Err(format!("it is not in {}", self.store.describe()))),
            Err(fault @ (StoreError::OtherSize { .. } | StoreError::Damaged { .. })) => Ok(Err(fault.to_string())),
            opened => Ok(Ok(opened?)),
        }
    }

    /// Tells bytes that are not those of the object, as a store says that compares while it reads, from a store that failed.
    fn failed(&self, object: &Pointer, source: io::Error) -> Result<String, StoreError> {
        match source.kind() {
            io::ErrorKind::InvalidData => Ok(source.to_string()),
            _ => Err(StoreError::Io { store: self.store.describe(), operation: format!("read object {}", object.oid), source }),
        }
    }
}

/// Tells whether a record is one that this run has written, whatever it says of provenance.
pub(super) fn is_written(written: &BTreeMap<Sha256, &str>, record: &Record<'_>, text: &[u8]) -> bool {
    let text = std::str::from_utf8(text).map(|text| without_provenance(text).0).ok();
    let known = written.get(&record.facts.sha256).map(|known| without_provenance(known).0);
    known.is_some() && known == text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::formats::artifact::specimens::{CONTROL, deb};
    use crate::formats::suite::record::write_binary;
    use crate::places::store::fs::FolderStore;
    use crate::words::digest::{ExtraDigests, FileFacts};

    #[test]
    fn what_agrees_is_read_once_and_what_does_not_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::new(folder.path());
        let bytes = deb(CONTROL);
        let facts = FileFacts::of(&bytes, ExtraDigests::default());
        store.put_new(&Pointer::from(&facts), &bytes).unwrap();
        let place: RecordPlace = "suites/trixie/main/binary-amd64/h/hello/hello_1.0-1".parse().unwrap();
        let path = "pool/main/h/hello/hello_1.0-1_amd64.deb".parse().unwrap();
        let (honest, lie) = (write_binary(CONTROL, &path, &facts), write_binary(&CONTROL.replace("Long", "Short"), &path, &facts));
        let compared = Compared::default();
        let objects = Objects::of(&store).remembering(&compared);
        let fault = |text: &str| {
            let record = Record::parse(text.as_bytes()).unwrap();
            objects.new_disagreement(&place, &record, text.as_bytes()).unwrap().unwrap_or_default()
        };
        assert_eq!(fault(&honest), "");
        assert!(fault(&lie).contains("its Description is"));
        std::fs::remove_dir_all(folder.path()).unwrap();
        assert_eq!(fault(&honest), "");
        assert!(fault(&lie).contains("it is not in"));
    }
}
