//! A manifest: what a build job sent to the object store, beside the pointers that it left in place of the files.
//!
//! It is a sealed text (see [`crate::formats::sealed`]) with the statement that the files make, the store that they were sent
//! to and the version of ddb. Its file is named `ddb-manifest-<first 16 digits of its SHA-256>`, so that the outputs of several
//! jobs can be laid into one folder.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::formats::sealed::{Purpose, Sealed, SealedError};
use crate::formats::statement::Statement;
use crate::formats::statement::checks;
use crate::formats::suite::record::Record;
use crate::words::digest::Sha256;

/// What the name of a manifest's file begins with.
pub const NAME: &str = "ddb-manifest-";

/// What a build job sent to the object store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of ddb that made it.
    pub ddb: String,
    /// The store, as messages name it.
    pub store: String,
    /// What the files say.
    pub statement: Statement,
}

/// Why a file is not a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is not a sealed text.
    #[error("{0}")]
    Sealed(#[from] SealedError),
    /// Its payload is not that of a manifest.
    #[error("its payload is no manifest: {0}")]
    Payload(String),
    /// Its statement contradicts itself.
    #[error("its statement contradicts itself: {0}")]
    Statement(String),
    /// Its file has the name of another one.
    #[error("it was changed: by its content it should be named {expected}")]
    Name {
        /// The name that it should have.
        expected: String,
    },
}

impl Manifest {
    /// Returns the unsigned text.
    ///
    /// # Errors
    /// It would be too long.
    pub fn seal(&self) -> Result<Sealed, SealedError> {
        // Strings, numbers and lists always have a JSON form.
        Sealed::new(Purpose::Manifest, serde_json::to_string(self).unwrap_or_default())
    }

    /// Reads a manifest's file. Who signed it, if anybody, is not checked here.
    ///
    /// # Errors
    /// See [`ManifestError`].
    pub fn read(name: &str, bytes: &[u8]) -> Result<(Self, Sealed), ManifestError> {
        let sealed = Sealed::decode(Purpose::Manifest, bytes)?;
        let expected = file_name(&sealed);
        if name != expected {
            return Err(ManifestError::Name { expected });
        }
        let manifest: Self = serde_json::from_str(sealed.payload()).map_err(|fault| ManifestError::Payload(fault.to_string()))?;
        checks::check(&manifest.statement).map_err(ManifestError::Statement)?;
        Ok((manifest, sealed))
    }

    /// Returns the pointers by the names of the files.
    pub fn pointers(&self) -> BTreeMap<String, Pointer> {
        self.statement.files().map(|(path, pointer)| (path.file().to_string(), pointer)).collect()
    }
}

/// Returns the name of a manifest's file; a signature does not change it.
pub fn file_name(sealed: &Sealed) -> String {
    let digest = Sha256::of(sealed.signed_text().as_bytes()).to_hex();
    format!("{NAME}{}", digest.get(..16).unwrap_or_default())
}

/// Compares a manifest's statement with one made from the very files, which may be more: returns what differs, a line each.
pub fn differences(manifest: &Statement, made: &Statement) -> Vec<String> {
    let mut differences = Vec::new();
    if manifest.suite != made.suite {
        differences.push(format!("it is for suite {}, not {}", manifest.suite, made.suite));
    }
    let (said, found) = (entries(manifest), entries(made));
    for (path, entry) in said {
        match found.get(&path) {
            None => differences.push(format!("it names {path}, which the files do not make")),
            Some(other) if other.pointer != entry.pointer => {
                differences.push(format!("it says that {path} has sha256 {}, the file has {}", entry.pointer.oid, other.pointer.oid));
            }
            Some(other) if !same_record(entry.record, other.record) => {
                differences.push(format!("its record of {path} is not what the file says"));
            }
            Some(_) => {}
        }
    }
    differences
}

/// What a statement says about a file.
struct Entry<'a> {
    pointer: Pointer,
    record: Option<&'a str>,
}

fn entries(statement: &Statement) -> BTreeMap<PoolPath, Entry<'_>> {
    let mut entries: BTreeMap<PoolPath, Entry<'_>> =
        statement.files().map(|(path, pointer)| (path.clone(), Entry { pointer, record: None })).collect();
    for build in &statement.builds {
        let records = build.binaries.iter().map(|binary| (&binary.file.path, &binary.record));
        for (path, record) in records.chain(build.source_package.iter().map(|source| (&source.file.path, &source.record))) {
            if let Some(entry) = entries.get_mut(path) {
                entry.record = Some(record);
            }
        }
    }
    entries
}

/// Tells whether records say the same, whatever digests each carries beside SHA-256: those follow the archive's configuration.
fn same_record(one: Option<&str>, other: Option<&str>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return one == other };
    let (Ok(one), Ok(other)) = (Record::parse(one.as_bytes()), Record::parse(other.as_bytes())) else { return false };
    one.control() == other.control()
        && one.path == other.path
        && one.facts.sha256 == other.facts.sha256
        && one.placement() == other.placement()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::formats::statement::checks::tests::statement;

    fn manifest() -> Manifest {
        Manifest { ddb: "0.1.0".to_owned(), store: "a folder".to_owned(), statement: statement() }
    }

    #[test]
    fn what_is_written_is_read_and_a_changed_one_is_not() {
        let sealed = manifest().seal().unwrap();
        let (name, text) = (file_name(&sealed), sealed.encode());
        assert!(name.starts_with("ddb-manifest-") && name.len() == NAME.len() + 16);
        assert_eq!(Manifest::read(&name, text.as_bytes()).unwrap(), (manifest(), sealed.clone()));
        let forged = text.replace("hello_1_amd64.deb", "hullo_1_amd64.deb");
        assert!(matches!(Manifest::read(&name, forged.as_bytes()), Err(ManifestError::Name { .. })));
        let more = text.replacen("{\"ddb\"", "{\"more\":1,\"ddb\"", 1);
        let renamed = file_name(&Sealed::decode(Purpose::Manifest, more.as_bytes()).unwrap());
        assert!(matches!(Manifest::read(&renamed, more.as_bytes()), Err(ManifestError::Payload(_))));
    }

    #[test]
    fn what_the_files_do_not_bear_out_is_said() {
        let said = statement();
        assert_eq!(differences(&said, &said), Vec::<String>::new());
        let mut made = statement();
        made.suite = "sid".parse().unwrap();
        made.builds[0].binaries[0].file.facts.sha256 = Sha256::of(b"other");
        made.builds[0].evidence.clear();
        let found = differences(&said, &made).join("\n");
        assert!(found.contains("suite trixie, not sid") && found.contains("hello_1_amd64.deb has sha256"), "{found}");
        assert!(found.contains("which the files do not make"), "{found}");
        let mut made = statement();
        made.builds[0].binaries[0].record = made.builds[0].binaries[0].record.replace("Section: misc", "Section: net");
        assert_eq!(differences(&said, &made), ["its record of pool/main/h/hello/hello_1_amd64.deb is not what the file says"]);
        assert_eq!(differences(&said, &said), Vec::<String>::new());
    }
}
