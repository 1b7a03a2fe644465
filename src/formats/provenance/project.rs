//! A project that may bring certain source packages: what it signs with, and what it may call its binary packages.
//!
//! Its provenance counts if one of its pinned keys signed it, or if a certificate did that a pinned authority gave to a job of the
//! pinned repository on a pinned branch. A certificate is good for minutes, so a timestamp of a pinned authority must say that the
//! signature is from then; where the trusted root names logs, an entry of one is needed too.

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::{Certified, Evidence};
use super::in_toto::{Built, SLSA, Statement};
use super::{ProvenanceError, key};
use crate::formats::sigstore::certificate::Certificate;
use crate::formats::sigstore::entry::{LogEntry, Submission, Verifier};
use crate::formats::sigstore::public_key::PublicKey;
use crate::formats::sigstore::signer::Signer;
use crate::formats::sigstore::trusted_root::TrustedRoot;
use crate::formats::sigstore::verify::Trust;
use crate::formats::sigstore::{SigstoreError, timestamp};
use crate::words::archive::ProvenanceProject;
use crate::words::digest::Sha256;
use crate::words::name::{FileName, SourceName};
use crate::words::version::Version;

/// Endings of files whose names say which package they are.
const NAMED: [&str; 4] = [".deb", ".udeb", ".ddeb", ".dsc"];

/// A project and what it signs with.
#[derive(Debug, Clone)]
pub struct Project {
    name: String,
    settings: ProvenanceProject,
    keys: Vec<PublicKey>,
    trust: Option<Trust>,
    digest: Sha256,
}

/// Provenance whose signer counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    /// The project.
    pub project: String,
    /// Who signed: a key, or the name in a certificate.
    pub signer: String,
    /// The files that it names: their names by digest.
    subjects: BTreeMap<Sha256, BTreeSet<String>>,
    built: Option<Built>,
}

impl Approved {
    /// Checks that it names a file.
    ///
    /// # Errors
    /// It does not.
    pub fn names(&self, sha256: &Sha256) -> Result<(), ProvenanceError> {
        if self.subjects.contains_key(sha256) { Ok(()) } else { Err(ProvenanceError::NotNamed { sha256: *sha256 }) }
    }

    /// Checks that it names a file, by the name that the file has where it says one of a package, and of the source package where it
    /// says of which.
    ///
    /// # Errors
    /// It does not, or says something else.
    pub fn is_of(&self, sha256: &Sha256, file: &FileName, source: &SourceName, version: &Version) -> Result<(), ProvenanceError> {
        let names = self.subjects.get(sha256).ok_or(ProvenanceError::NotNamed { sha256: *sha256 })?;
        let mut said = names.iter().map(|name| name.rsplit('/').next().unwrap_or_default());
        let is_package = |name: &str| NAMED.iter().any(|ending| name.ends_with(ending));
        if let Some(other) = said.clone().find(|name| is_package(name) && *name != file.as_str())
            && said.all(|name| name != file.as_str())
        {
            return Err(ProvenanceError::Otherwise { what: "this file", said: other.to_owned(), is: file.to_string() });
        }
        match &self.built {
            Some(built) if built.package != source.as_str() || built.version != version.as_str() => {
                let said = format!("{} {}", built.package, built.version);
                Err(ProvenanceError::Otherwise { what: "its source", said, is: format!("{source} {version}") })
            }
            _ => Ok(()),
        }
    }
}

impl Project {
    /// Reads what the settings of a project name; `files` has its bytes by path.
    ///
    /// # Errors
    /// A file is missing or not usable, with its path.
    pub(super) fn read(name: &str, settings: &ProvenanceProject, files: &BTreeMap<String, Vec<u8>>) -> Result<Self, (String, String)> {
        let bytes = |path: &String| files.get(path).ok_or_else(|| (path.clone(), "it is missing".to_owned()));
        let mut keys = Vec::new();
        for path in &settings.keys {
            let text = std::str::from_utf8(bytes(path)?).unwrap_or_default();
            keys.push(key::public_key(text).map_err(|fault| (path.clone(), fault.to_string()))?);
        }
        let trust = match (&settings.trusted_root, &settings.issuer) {
            (Some(path), Some(issuer)) => {
                let root = TrustedRoot::parse(bytes(path)?).map_err(|fault| (path.clone(), fault.to_string()))?;
                if root.logs.is_empty() && root.unknown_logs > 0 {
                    let fault = "none of the logs that it names has a key and a hash that ddb knows (ECDSA on P-256 or P-384, ed25519; \
                                 SHA2_256), so no entry could be checked; name a log that is known, or none";
                    return Err((path.clone(), fault.to_owned()));
                }
                let subject = settings.identity.clone().unwrap_or_default();
                Some(Trust { root, signer: Signer::Identity { subject, issuer: issuer.clone() } })
            }
            _ => None,
        };
        let mut text = format!("{}\n", serde_json::to_string(&(name, settings)).unwrap_or_default());
        for path in settings.keys.iter().chain(&settings.trusted_root) {
            text.push_str(&format!("{path} {}\n", Sha256::of(bytes(path)?)));
        }
        Ok(Self { name: name.to_owned(), settings: settings.clone(), keys, trust, digest: Sha256::of(text.as_bytes()) })
    }

    /// Returns what it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what ddb.toml says of it.
    pub fn settings(&self) -> &ProvenanceProject {
        &self.settings
    }

    /// Returns the digest of its settings and files.
    pub fn digest(&self) -> Sha256 {
        self.digest
    }

    /// Checks that it may bring a binary package which these other sources offer in the suite.
    ///
    /// # Errors
    /// It lists packages and not this one; or it lists none, and one of those is no source of its own.
    pub fn may_bring<'a>(&self, package: &str, others: impl IntoIterator<Item = &'a SourceName>) -> Result<(), ProvenanceError> {
        let (package, project) = (package.to_owned(), self.name.clone());
        match self.settings.lists(&package) {
            Some(true) => Ok(()),
            Some(false) => Err(ProvenanceError::NotListed { package, project }),
            None => match others.into_iter().find(|other| !self.settings.brings(other.as_str())) {
                Some(other) => Err(ProvenanceError::Taken { package, project, other: other.to_string() }),
                None => Ok(()),
            },
        }
    }

    /// Checks that provenance was signed by the project, and says what it says.
    ///
    /// # Errors
    /// See [`ProvenanceError`].
    pub fn approve(&self, evidence: &Evidence) -> Result<Approved, ProvenanceError> {
        if evidence.envelope.signatures().is_empty() {
            return Err(ProvenanceError::Unsigned);
        }
        let signer = match &evidence.certified {
            Some(certified) => self.by_certificate(evidence, certified)?,
            None => self.by_key(evidence)?,
        };
        // Only now is the payload more than bytes.
        let statement = evidence.statement()?;
        if statement.predicate_type != SLSA {
            return Err(self.other("predicate", Some(statement.predicate_type), SLSA.to_owned()));
        }
        if evidence.certified.is_none() {
            self.check_said(&statement)?;
        }
        let mut subjects: BTreeMap<Sha256, BTreeSet<String>> = BTreeMap::new();
        for (sha256, name) in statement.subjects.into_iter().filter_map(|subject| Some((subject.sha256?, subject.name))) {
            subjects.entry(sha256).or_default().insert(name);
        }
        Ok(Approved { project: self.name.clone(), signer, subjects, built: statement.built })
    }

    fn by_key(&self, evidence: &Evidence) -> Result<String, ProvenanceError> {
        match evidence.envelope.signer(&self.keys) {
            Some(key) => Ok(format!("the key {}", key::key_id(key))),
            None => Err(self.another(evidence)),
        }
    }

    fn another(&self, evidence: &Evidence) -> ProvenanceError {
        let mut wanted: Vec<String> = self.keys.iter().map(|key| format!("the key {}", key::key_id(key))).collect();
        if let Some(Trust { signer: Signer::Identity { issuer, .. }, .. }) = &self.trust {
            wanted.push(format!("a job with a certificate for which {issuer} vouches"));
        }
        ProvenanceError::Signer { project: self.name.clone(), wanted: wanted.join(" or "), found: evidence.claimed_signer() }
    }

    /// Checks what a key's holder says of repository and branch, where these are pinned.
    fn check_said(&self, statement: &Statement) -> Result<(), ProvenanceError> {
        self.check_repository(statement.claims.repository.clone())?;
        self.check_reference(statement.claims.reference.clone())
    }

    fn check_repository(&self, found: Option<String>) -> Result<(), ProvenanceError> {
        match &self.settings.repository {
            Some(wanted) if found.as_ref() != Some(wanted) => Err(self.other("repository", found, wanted.clone())),
            _ => Ok(()),
        }
    }

    fn check_reference(&self, found: Option<String>) -> Result<(), ProvenanceError> {
        let refs = &self.settings.refs;
        if refs.is_empty() || found.as_ref().is_some_and(|found| refs.contains(found)) {
            return Ok(());
        }
        Err(self.other("branch or tag", found, refs.join(" or ")))
    }

    fn other(&self, what: &'static str, found: Option<String>, wanted: String) -> ProvenanceError {
        let found = found.map_or_else(|| "not said".to_owned(), |found| found.escape_debug().to_string());
        ProvenanceError::Other { project: self.name.clone(), what, found, wanted }
    }

    fn by_certificate(&self, evidence: &Evidence, certified: &Certified) -> Result<String, ProvenanceError> {
        let Some(trust) = &self.trust else { return Err(self.another(evidence)) };
        let Signer::Identity { subject, issuer } = &trust.signer else { return Err(self.another(evidence)) };
        let [signature] = evidence.envelope.signatures() else {
            return Err(ProvenanceError::malformed("the envelope", "in a bundle it has one signature"));
        };
        let certificate = Certificate::parse(&certified.certificate.0)?;
        let authorities = &trust.root.timestamp_authorities;
        let stamped =
            certified.timestamps.iter().map(|answer| timestamp::verify(&answer.signed_timestamp.0, &signature.sig.0, authorities));
        let times = stamped.collect::<Result<Vec<_>, SigstoreError>>()?;
        if times.is_empty() {
            return Err(SigstoreError::NoTimestamp { reason: "its certificate is good for some minutes only" }.into());
        }
        times.iter().try_for_each(|time| trust.check_certificate(&certificate, *time))?;
        let key = certificate.key()?;
        if !key.verifies(&evidence.envelope.signed(), &signature.sig.0) {
            return Err(SigstoreError::Signature { key: key.to_string() }.into());
        }
        if !trust.root.logs.is_empty() {
            // What clients of Sigstore log of an envelope is the digest of what was signed.
            let digest = Sha256::of(&evidence.envelope.signed());
            let verifier = Verifier::Certificate(certified.certificate.0.clone());
            let leaf = Submission { digest, signature: signature.sig.0.clone(), verifier }.leaf();
            let entries = certified.entries.iter().map(LogEntry::of).collect::<Result<Vec<_>, _>>()?;
            if entries.is_empty() {
                return Err(SigstoreError::UnknownLog { log: "none".to_owned() }.into());
            }
            entries.iter().try_for_each(|entry| trust.logged(entry, &leaf, &times).map(drop))?;
        }
        let (name, vouched) = (certificate.subject()?, certificate.vouched_by()?);
        if vouched != *issuer {
            return Err(self.other("issuer", Some(vouched), issuer.clone()));
        }
        if !subject.is_empty() && name != *subject {
            return Err(self.other("identity", Some(name), subject.clone()));
        }
        self.check_repository(certificate.repository())?;
        self.check_reference(certificate.reference())?;
        Ok(format!("{name} ({vouched})"))
    }
}
