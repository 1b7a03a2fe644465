//! Provenance where a suite requires it: which records have some whose signer counts.
//!
//! Deploys are judged where they land (`landing::chain`), suites where they are published ([`suite`]), both by the policy of the
//! commit that is landed on or published, with the envelope that the record names by its hash. Whoever can only write to the store
//! can take an envelope away and can put no other one in its place.

mod envelopes;
pub mod suite;

use std::collections::BTreeMap;
use std::sync::Mutex;

pub use envelopes::Envelopes;

use crate::formats::pool::pointer::Pointer;
use crate::formats::provenance::policy::{Approved, Policy};
use crate::formats::suite::record::Record;
use crate::places::git::read::Snapshot;
use crate::places::store::StoreError;
use crate::stories::archive::OpenError;
use crate::words::archive::Archive;
use crate::words::name::SourceName;

/// What to do about a record without provenance that counts.
const REMEDY: &str = "deploy it with the key of its project (DDB_PROVENANCE_KEY), or with the envelope that its build job signed; \
                      --on-conflict replace takes it for the same bytes";

/// Reads whose provenance counts, as a commit says.
///
/// # Errors
/// A file that `[provenance.projects]` names is missing or not usable.
pub fn policy(snapshot: &Snapshot<'_>, archive: &Archive) -> Result<Policy, OpenError> {
    let mut files = BTreeMap::new();
    for path in archive.provenance.files() {
        let missing = || OpenError::NoFile { path: path.to_owned(), role: "a file of [provenance.projects]", commit: snapshot.commit() };
        files.insert(path.to_owned(), snapshot.file(path)?.ok_or_else(missing)?);
    }
    Policy::read(&archive.provenance, &files).map_err(|(path, fault)| OpenError::Provenance { path, fault })
}

/// Judges records. Each envelope is read and checked once for each source package.
pub struct Judge<'a> {
    policy: &'a Policy,
    envelopes: Envelopes<'a>,
    known: Mutex<BTreeMap<(Pointer, SourceName), Result<Approved, String>>>,
}

impl<'a> Judge<'a> {
    /// Returns who judges by this policy.
    pub fn new(policy: &'a Policy, envelopes: Envelopes<'a>) -> Self {
        Self { policy, envelopes, known: Mutex::default() }
    }

    /// Says what is wrong with the provenance of a record, `None` where nothing is.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub fn fault(&self, source: &SourceName, record: &Record<'_>) -> Result<Option<String>, StoreError> {
        let refused = |fault: String| Ok(Some(format!("{fault}; {REMEDY}")));
        let Some(object) = record.provenance else {
            return refused(match record.claims {
                Some(_) => "the suite requires provenance, and it has only what a CI job claimed and nobody signed".to_owned(),
                None => "the suite requires provenance, and it has none".to_owned(),
            });
        };
        let approved = self.approved(object, source)?.and_then(|approved| match approved.names(&record.facts.sha256) {
            Ok(()) => Ok(()),
            Err(fault) => Err(fault.to_string()),
        });
        match approved {
            Ok(()) => Ok(None),
            Err(fault) => refused(format!("its provenance {} does not count: {fault}", object.oid)),
        }
    }

    fn approved(&self, object: Pointer, source: &SourceName) -> Result<Result<Approved, String>, StoreError> {
        let key = (object, source.clone());
        let known = || self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(found) = known().get(&key) {
            return Ok(found.clone());
        }
        let bytes = self.envelopes.read(&object)?;
        let found = bytes.and_then(|bytes| self.policy.approve(source.as_str(), &bytes).map_err(|fault| fault.to_string()));
        known().insert(key, found.clone());
        Ok(found)
    }
}
