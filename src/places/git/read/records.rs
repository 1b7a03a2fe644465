//! The records of a suite in a commit.

use std::collections::BTreeSet;

use super::{Snapshot, entry_in, read_blobs};
use crate::formats::suite::place::{IndexName, RecordPlace};
use crate::places::git::{GitError, Oid};
use crate::words::name::{Codename, Component, SourceName};

/// A record as the tree lists it: where it lies and the blob that holds it.
#[derive(Debug, Clone)]
pub struct RecordEntry {
    /// Its place.
    pub place: RecordPlace,
    /// The blob.
    pub blob: Oid,
}

impl Snapshot<'_> {
    /// Returns the records of a suite in tree order.
    ///
    /// # Errors
    /// An object cannot be read, or a path under the suite is no record's.
    pub fn records(&self, codename: &Codename) -> Result<Vec<RecordEntry>, GitError> {
        let mut entries = Vec::new();
        for (component, index) in self.suite_indices(codename)? {
            let path = format!("suites/{codename}/{component}/{index}");
            self.records_of_index(&path, codename, &component, &index, &mut entries)?;
        }
        Ok(entries)
    }

    /// Returns the records of some sources of a suite, in tree order.
    ///
    /// # Errors
    /// An object cannot be read, or a path under the suite is no record's.
    pub fn records_of(&self, codename: &Codename, sources: &BTreeSet<SourceName>) -> Result<Vec<RecordEntry>, GitError> {
        let mut entries = Vec::new();
        // In the order of Git's trees, where each prefix is a folder.
        let mut sources: Vec<(String, &SourceName)> = sources.iter().map(|source| (format!("{}/", source.prefix()), source)).collect();
        sources.sort();
        for (component, index) in self.suite_indices(codename)? {
            let path = format!("suites/{codename}/{component}/{index}");
            let Some(tree) = self.folder(&path)? else { continue };
            for (prefix, source) in &sources {
                let Some(found) = entry_in(self.repository.git(), &tree, &format!("{prefix}{source}")) else { continue };
                let path = format!("{path}/{prefix}{source}");
                self.records_of_source(&path, found.id(), codename, &component, &index, source, &mut entries)?;
            }
        }
        Ok(entries)
    }

    /// Returns the records of a suite with their bytes, in tree order.
    ///
    /// # Errors
    /// An object cannot be read, or a path under the suite is no record's.
    pub fn record_bytes(&self, codename: &Codename) -> Result<Vec<(RecordPlace, Vec<u8>)>, GitError> {
        let entries = self.records(codename)?;
        let blobs: Vec<_> = entries.iter().map(|entry| (entry.place.to_string(), entry.blob)).collect();
        let bytes = read_blobs(self.repository, &blobs, |_, bytes| Ok::<_, GitError>(bytes.to_vec()))?;
        Ok(entries.into_iter().map(|entry| entry.place).zip(bytes).collect())
    }

    fn records_of_index(
        &self,
        path: &str,
        codename: &Codename,
        component: &Component,
        index: &IndexName,
        entries: &mut Vec<RecordEntry>,
    ) -> Result<(), GitError> {
        let Some(tree) = self.folder(path)? else { return Ok(()) };
        let git = self.repository.git();
        for prefix in tree.iter() {
            let prefix_name = prefix.name().unwrap_or("?").to_owned();
            let sources = git.find_tree(prefix.id()).map_err(|_| self.content(&format!("{path}/{prefix_name}"), &"it is no folder"))?;
            for source in sources.iter() {
                let source_path = format!("{path}/{prefix_name}/{}", source.name().unwrap_or("?"));
                let name: SourceName = source.name().unwrap_or("?").parse().map_err(|fault| self.content(&source_path, &fault))?;
                if name.prefix() != prefix_name {
                    return Err(self.content(&source_path, &format!("source {name} belongs under {}/", name.prefix())));
                }
                self.records_of_source(&source_path, source.id(), codename, component, index, &name, entries)?;
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "a place has that many parts")]
    fn records_of_source(
        &self,
        path: &str,
        folder: Oid,
        codename: &Codename,
        component: &Component,
        index: &IndexName,
        source: &SourceName,
        entries: &mut Vec<RecordEntry>,
    ) -> Result<(), GitError> {
        let records = self.repository.git().find_tree(folder).map_err(|_| self.content(path, &"it is no folder"))?;
        for record in records.iter() {
            let file = record.name().unwrap_or("?");
            let (package, version) = RecordPlace::parse_file_name(file)
                .ok_or_else(|| self.content(&format!("{path}/{file}"), &"its name is not <package>_<version>"))?;
            let place = RecordPlace {
                codename: codename.clone(),
                component: component.clone(),
                index: index.clone(),
                source: source.clone(),
                package,
                version,
            };
            entries.push(RecordEntry { place, blob: record.id() });
        }
        Ok(())
    }
}
