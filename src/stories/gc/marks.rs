//! Marks: since when each object was needed by nobody, kept as an object beside the store, so that a run on another machine
//! finds them.
//!
//! There is one file of marks, or two where a run was stopped between writing the new one and removing the old one. Each mark
//! counts by itself: an object that was written after its mark is not removed by it.

use std::collections::BTreeMap;
use std::io::Read as _;

use serde::{Deserialize, Serialize};

use crate::formats::pool::pointer::Pointer;
use crate::places::store::{ObjectStore, Source, StoreError, Stored};
use crate::words::date::Timestamp;
use crate::words::digest::ObjectId;

/// The kind of derived objects that holds the marks of objects.
pub const OF_OBJECTS: &str = "gc-v1";
/// The kind of derived objects that holds the marks of blocks.
pub const OF_BLOCKS: &str = "gc-blocks-v1";
/// The kind of derived objects that holds the marks of file lists.
pub const OF_LISTS: &str = "gc-file-lists-v1";

/// Largest file of marks in bytes: some three million objects.
const LARGEST: u64 = 256 << 20;

/// Why marks cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MarksError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of marks is not usable.
    #[error("the marks {oid} in {store} are not usable ({fault}); remove them, and what is not needed is marked anew")]
    Content {
        /// The store of marks.
        store: String,
        /// The file.
        oid: ObjectId,
        /// What is wrong.
        fault: String,
    },
}

/// The marks of all files.
#[derive(Debug, Default)]
pub struct Marks {
    files: BTreeMap<ObjectId, BTreeMap<ObjectId, Timestamp>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// When it was written.
    at: Timestamp,
    /// Since when each object was needed by nobody.
    marked: BTreeMap<ObjectId, Timestamp>,
}

impl Marks {
    /// Reads the marks in a store.
    ///
    /// # Errors
    /// The store fails, or a file is not usable.
    pub fn read(store: &dyn ObjectStore) -> Result<Self, MarksError> {
        let mut files = BTreeMap::new();
        for stored in store.list()?.objects {
            let content = |fault: String| MarksError::Content { store: store.describe(), oid: stored.oid, fault };
            let object = match store.open(&stored.oid) {
                // Another run has written newer ones.
                Err(StoreError::Missing { .. }) => continue,
                object => object?,
            };
            let mut bytes = Vec::new();
            object.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|fault| content(fault.to_string()))?;
            if bytes.len() as u64 > LARGEST || ObjectId::of(&bytes) != stored.oid {
                return Err(content("its bytes are not what its name says".to_owned()));
            }
            let file: File = serde_json::from_slice(&bytes).map_err(|fault| content(fault.to_string()))?;
            files.insert(stored.oid, file.marked);
        }
        Ok(Self { files })
    }

    /// Returns the files.
    pub fn files(&self) -> impl Iterator<Item = &ObjectId> {
        self.files.keys()
    }

    /// Returns the marks of an object.
    pub fn of(&self, oid: &ObjectId) -> impl Iterator<Item = Timestamp> {
        self.files.values().filter_map(|marked| marked.get(oid).copied())
    }

    /// Returns an object's oldest mark of those that are newer than it.
    pub fn first(&self, object: &Stored) -> Option<Timestamp> {
        self.of(&object.oid).filter(|mark| *mark > object.modified).min()
    }

    /// Returns a mark for each of these objects: the oldest that it has, else one of now.
    pub fn renewed<'a>(&self, objects: impl Iterator<Item = &'a Stored>, now: Timestamp) -> BTreeMap<ObjectId, Timestamp> {
        objects.map(|object| (object.oid, self.first(object).unwrap_or(now))).collect()
    }

    /// Writes new marks, then removes the old files.
    ///
    /// # Errors
    /// The store fails; then there may be both.
    pub fn replace(store: &dyn ObjectStore, old: &Self, marked: BTreeMap<ObjectId, Timestamp>, now: Timestamp) -> Result<Self, MarksError> {
        let mut files = BTreeMap::new();
        if !marked.is_empty() {
            let file = File { at: now, marked };
            // Digests and numbers always have a JSON form.
            let bytes = serde_json::to_vec(&file).unwrap_or_default();
            let pointer = Pointer { oid: ObjectId::of(&bytes), size: bytes.len() as u64 };
            store.put(&pointer, Source::Bytes(&bytes))?;
            files.insert(pointer.oid, file.marked);
        }
        old.files.keys().filter(|oid| !files.contains_key(oid)).try_for_each(|oid| store.remove(oid))?;
        Ok(Self { files })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::places::store::fs::FolderStore;

    #[test]
    fn an_object_keeps_its_oldest_mark_as_long_as_nobody_needs_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::new(folder.path());
        let object = |name: &[u8]| Stored { oid: ObjectId::of(name), size: 1, modified: Timestamp(10) };
        let (a, b, c) = (object(b"a"), object(b"b"), object(b"c"));
        let step = |objects: &[Stored], now: i64| {
            let marks = Marks::read(&store).unwrap();
            let times = marks.renewed(objects.iter(), Timestamp(now));
            Marks::replace(&store, &marks, times, Timestamp(now)).unwrap();
            let marks = Marks::read(&store).unwrap();
            [a, b, c].map(|object| marks.first(&object).map(|time| time.0))
        };
        assert_eq!(step(&[a, b], 100), [Some(100), Some(100), None]);
        assert_eq!(step(&[b, c], 200), [None, Some(100), Some(200)], "a was needed");
        assert_eq!(step(&[a, b], 300), [Some(300), Some(100), None], "and is marked anew");
        let written = Stored { modified: Timestamp(350), ..b };
        assert_eq!(step(&[a, written], 400), [Some(300), Some(400), None], "so is b, which was written since");
        assert_eq!(store.list().unwrap().objects.len(), 1);
        assert_eq!(step(&[], 500), [None, None, None]);
        assert!(store.list().unwrap().objects.is_empty());
        store.put(&Pointer { oid: ObjectId::of(b"{}"), size: 2 }, Source::Bytes(b"{}")).unwrap();
        assert!(Marks::read(&store).unwrap_err().to_string().contains("not usable"));
    }
}
