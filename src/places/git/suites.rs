//! A suite as folders of the suites tree, by the trees that hold them: what can be offered elsewhere without reading records.

use std::collections::BTreeMap;

use super::read::{Snapshot, index_folders, names};
use super::{GitError, Oid, failed};
use crate::formats::suite::place::{IndexName, RecordPlace};
use crate::words::name::{Codename, Component, SourceName};

/// A folder of a suite: everything that it offers in one index, or what one source offers there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteFolder {
    /// The component.
    pub component: Component,
    /// The index.
    pub index: IndexName,
    /// The tree that holds its records.
    pub tree: Oid,
}

impl Snapshot<'_> {
    /// Returns the tree that holds all records of a suite, `None` where it offers nothing.
    ///
    /// # Errors
    /// The object cannot be read.
    pub fn suite_tree(&self, codename: &Codename) -> Result<Option<Oid>, GitError> {
        Ok(self.folder(&format!("suites/{codename}"))?.map(|tree| tree.id()))
    }

    /// Returns the indices that a suite has records in.
    ///
    /// # Errors
    /// A tree cannot be read, or a folder is no index.
    pub fn suite_indices(&self, codename: &Codename) -> Result<Vec<(Component, IndexName)>, GitError> {
        let root = format!("suites/{codename}");
        let Some(suite) = self.folder(&root)? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for name in names(&suite) {
            let component: Component = name.parse().map_err(|fault| self.content(&format!("{root}/{name}"), &fault))?;
            for folder in index_folders(self, &format!("{root}/{component}"))? {
                let no_index = || self.content(&format!("{root}/{component}/{folder}"), &"it is no index folder");
                found.push((component.clone(), IndexName::from_folder(&folder).ok_or_else(no_index)?));
            }
        }
        Ok(found)
    }

    /// Returns the folders in which a suite offers a source, one for each index.
    ///
    /// # Errors
    /// A tree cannot be read, or a folder is no index.
    pub fn folders_of(&self, codename: &Codename, source: &SourceName) -> Result<Vec<SuiteFolder>, GitError> {
        let mut found = Vec::new();
        for (component, index) in self.suite_indices(codename)? {
            let path = format!("suites/{codename}/{component}/{index}/{}/{source}", source.prefix());
            if let Some(tree) = self.folder(&path)? {
                found.push(SuiteFolder { component, index, tree: tree.id() });
            }
        }
        Ok(found)
    }

    /// Returns the records in such folders of a source, as texts.
    ///
    /// # Errors
    /// An object cannot be read, or a file there is no record.
    pub fn records_in(
        &self,
        codename: &Codename,
        source: &SourceName,
        folders: &[SuiteFolder],
    ) -> Result<BTreeMap<RecordPlace, String>, GitError> {
        let git = self.repository().git();
        let mut files = Vec::new();
        for SuiteFolder { component, index, tree } in folders {
            let path = format!("suites/{codename}/{component}/{index}/{}/{source}", source.prefix());
            let tree = git.find_tree(*tree).map_err(failed(format!("read {path}")))?;
            files.extend(tree.iter().map(|entry| (format!("{path}/{}", entry.name().unwrap_or("?")), entry.id())));
        }
        self.repository().hydrate(files.iter().map(|(_, blob)| *blob))?;
        let mut records = BTreeMap::new();
        for (path, blob) in files {
            let place = path.parse().map_err(|fault| self.content(&path, &fault))?;
            let blob = git.find_blob(blob).map_err(failed(format!("read {path}")))?;
            let text = std::str::from_utf8(blob.content()).map_err(|fault| self.content(&path, &fault))?;
            records.insert(place, text.to_owned());
        }
        Ok(records)
    }
}
