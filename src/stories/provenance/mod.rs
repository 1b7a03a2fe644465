//! Provenance where a suite requires it: which records have some whose signer counts, and say what their packages say.
//!
//! Deploys are judged where they land ([`landing`]), suites where they are published ([`suite`]), both by the policy of the
//! commit that is landed on or published, with the envelope that the record names by its hash. Whoever can only write to the store
//! can take an envelope away and can put no other one in its place. An envelope is about the bytes of a package, so a record is
//! compared with them: where it lands, unless it was written from them there, and before it is published for the first time in a
//! suite that requires provenance.

pub mod landing;
mod names;
mod objects;
pub mod suite;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

pub use names::Offered;
pub use objects::{Compared, Objects};

use crate::formats::pool::pointer::Pointer;
use crate::formats::provenance::ProvenanceError;
use crate::formats::provenance::evidence::Evidence;
use crate::formats::provenance::policy::Policy;
use crate::formats::provenance::project::{Approved, Project};
use crate::formats::statement::source_version_of;
use crate::formats::suite::place::{IndexName, RecordPlace};
use crate::formats::suite::record::Record;
use crate::places::git::read::Snapshot;
use crate::places::store::StoreError;
use crate::stories::archive::OpenError;
use crate::words::archive::Archive;
use crate::words::deb822::Paragraph;
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

/// What a project made of an object.
type Verdict = Result<Arc<Approved>, Arc<ProvenanceError>>;

/// Judges records. Each envelope is read and checked once for each project, however many records name it.
pub struct Judge<'a> {
    policy: &'a Policy,
    objects: Objects<'a>,
    known: Mutex<BTreeMap<(Pointer, &'a str), Verdict>>,
    unusable: Mutex<BTreeMap<Pointer, Arc<str>>>,
}

/// A record that is judged.
#[derive(Clone, Copy)]
pub struct Judged<'a> {
    /// Where it lies.
    pub place: &'a RecordPlace,
    /// What it says.
    pub record: &'a Record<'a>,
    /// Its text.
    pub text: &'a [u8],
    /// The other sources that offer the same binary package in the suite, where it is new to its own.
    pub others: Option<&'a BTreeSet<SourceName>>,
}

impl<'a> Judge<'a> {
    /// Returns who judges by this policy.
    pub fn new(policy: &'a Policy, objects: Objects<'a>) -> Self {
        Self { policy, objects, known: Mutex::default(), unusable: Mutex::default() }
    }

    /// Says what is wrong with the provenance of a record, `None` where nothing is.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub fn fault(&self, judged: Judged<'_>) -> Result<Option<String>, StoreError> {
        let Judged { place, record, .. } = judged;
        let refused = |fault: String| Ok(Some(format!("{fault}; {REMEDY}")));
        let Some(object) = record.provenance else {
            return refused(match record.claims {
                Some(_) => "the suite requires provenance, and it has only what a CI job claimed and nobody signed".to_owned(),
                None => "the suite requires provenance, and it has none".to_owned(),
            });
        };
        let mut last = ProvenanceError::NoProject { package: place.source.to_string() }.to_string();
        let (mut evidence, mut name) = (None, None);
        for project in self.policy.projects_of(place.source.as_str()) {
            let approved = match self.approved(object, project, &mut evidence)? {
                Ok(approved) => approved,
                Err(fault) => {
                    last = fault;
                    continue;
                }
            };
            match fits(&approved, judged).and_then(|()| may_bring(project, judged)) {
                Ok(()) => return Ok(None),
                // Who signs with another key can do nothing about a name.
                Err(fault @ (ProvenanceError::Taken { .. } | ProvenanceError::NotListed { .. })) => name = Some(fault.to_string()),
                Err(fault) => last = fault.to_string(),
            }
        }
        if name.is_some() {
            return Ok(name);
        }
        refused(format!("its provenance {} does not count: {last}", object.oid))
    }

    /// Returns what a project makes of an object; `evidence` is the object, where it was read before.
    fn approved(
        &self,
        object: Pointer,
        project: &'a Project,
        evidence: &mut Option<Evidence>,
    ) -> Result<Result<Arc<Approved>, String>, StoreError> {
        let key = (object, project.name());
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = known {
            return Ok(known.map_err(|fault| fault.to_string()));
        }
        if evidence.is_none() {
            let unusable = self.unusable.lock().unwrap_or_else(PoisonError::into_inner).get(&object).cloned();
            if let Some(fault) = unusable {
                return Ok(Err(fault.to_string()));
            }
            let read = self.objects.read(&object)?;
            match read.and_then(|bytes| Evidence::parse(&bytes).map_err(|fault| fault.to_string())) {
                Ok(read) => *evidence = Some(read),
                Err(fault) => {
                    self.unusable.lock().unwrap_or_else(PoisonError::into_inner).insert(object, fault.as_str().into());
                    return Ok(Err(fault));
                }
            }
        }
        let Some(evidence) = evidence else { return Ok(Err(String::new())) };
        let verdict = project.approve(evidence).map(Arc::new).map_err(Arc::new);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key, verdict.clone());
        Ok(verdict.map_err(|fault| fault.to_string()))
    }
}

/// Checks that provenance is of just this package.
fn fits(approved: &Approved, Judged { place, record, text, .. }: Judged<'_>) -> Result<(), ProvenanceError> {
    let version = match place.index {
        IndexName::Source => None,
        _ => std::str::from_utf8(text).ok().and_then(|text| source_version_of(&Paragraph::of_checked(text))),
    };
    approved.is_of(&record.facts.sha256, record.path.file(), &place.source, version.as_ref().unwrap_or(&place.version))
}

/// Checks that the project may bring a package of this name.
fn may_bring(project: &Project, Judged { place, others, .. }: Judged<'_>) -> Result<(), ProvenanceError> {
    match place.index {
        IndexName::Source => Ok(()),
        _ => project.may_bring(place.package.as_str(), others.into_iter().flatten()),
    }
}
