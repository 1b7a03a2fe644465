//! Whose provenance counts for which source package, as `[provenance.projects]` of ddb.toml and the files that it names say.
//!
//! A project may bring certain sources. Its provenance counts if one of its pinned keys signed it, or if a certificate did that a
//! pinned authority gave to a job of the pinned repository on a pinned branch. A certificate is good for minutes, so a timestamp of
//! a pinned authority must say that the signature is from then; where the trusted root names logs, an entry of one is needed too.
//! No clock is asked, so a verdict is a function of policy, source package and bytes.

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::{Certified, Evidence};
use super::in_toto::{SLSA, Statement};
use super::{ProvenanceError, key};
use crate::formats::sigstore::certificate::Certificate;
use crate::formats::sigstore::entry::{LogEntry, Submission, Verifier};
use crate::formats::sigstore::public_key::PublicKey;
use crate::formats::sigstore::trusted_root::TrustedRoot;
use crate::formats::sigstore::verify::{Signer, Trust};
use crate::formats::sigstore::{SigstoreError, timestamp};
use crate::words::archive::{ProvenanceProject, ProvenanceSettings};
use crate::words::digest::Sha256;

/// Counts the ways in which verdicts were reached: another number whenever the same policy and bytes give another one.
const RULES: u32 = 1;

/// Whose provenance counts.
#[derive(Debug, Clone)]
pub struct Policy {
    projects: Vec<Project>,
    digest: Sha256,
}

#[derive(Debug, Clone)]
struct Project {
    name: String,
    settings: ProvenanceProject,
    keys: Vec<PublicKey>,
    trust: Option<Trust>,
}

/// Provenance whose signer counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approved {
    /// The project.
    pub project: String,
    /// Who signed: a key, or the name in a certificate.
    pub signer: String,
    /// The digests of the files that it names.
    subjects: BTreeSet<Sha256>,
}

impl Approved {
    /// Checks that it names a file.
    ///
    /// # Errors
    /// It does not.
    pub fn names(&self, sha256: &Sha256) -> Result<(), ProvenanceError> {
        if self.subjects.contains(sha256) { Ok(()) } else { Err(ProvenanceError::NotNamed { sha256: *sha256 }) }
    }
}

impl Policy {
    /// Reads what the settings name; `files` has its bytes by path.
    ///
    /// # Errors
    /// A file is missing or not usable, with its path.
    pub fn read(settings: &ProvenanceSettings, files: &BTreeMap<String, Vec<u8>>) -> Result<Self, (String, String)> {
        let projects = settings.projects.iter().map(|(name, project)| Project::read(name, project, files)).collect::<Result<_, _>>()?;
        let mut text = format!("rules {RULES}\n{}\n", serde_json::to_string(settings).unwrap_or_default());
        for path in settings.files() {
            let bytes = files.get(path).map(Vec::as_slice).unwrap_or_default();
            text.push_str(&format!("{path} {}\n", Sha256::of(bytes)));
        }
        Ok(Self { projects, digest: Sha256::of(text.as_bytes()) })
    }

    /// Returns the digest of everything that a verdict is a function of beside the provenance.
    pub fn digest(&self) -> Sha256 {
        self.digest
    }

    /// Checks that provenance was signed by somebody who counts for a source package.
    ///
    /// # Errors
    /// See [`ProvenanceError`]; where several projects may bring the package, what the last one holds against it.
    pub fn approve(&self, package: &str, bytes: &[u8]) -> Result<Approved, ProvenanceError> {
        let mut last = ProvenanceError::NoProject { package: package.to_owned() };
        let mut candidates = self.projects.iter().filter(|project| project.settings.brings(package)).peekable();
        if candidates.peek().is_none() {
            return Err(last);
        }
        let evidence = Evidence::parse(bytes)?;
        if evidence.envelope.signatures().is_empty() {
            return Err(ProvenanceError::Unsigned);
        }
        for project in candidates {
            match project.approve(&evidence) {
                Ok(approved) => return Ok(approved),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }
}

impl Project {
    fn read(name: &str, settings: &ProvenanceProject, files: &BTreeMap<String, Vec<u8>>) -> Result<Self, (String, String)> {
        let bytes = |path: &String| files.get(path).ok_or_else(|| (path.clone(), "it is missing".to_owned()));
        let mut keys = Vec::new();
        for path in &settings.keys {
            let text = std::str::from_utf8(bytes(path)?).unwrap_or_default();
            keys.push(key::public_key(text).map_err(|fault| (path.clone(), fault.to_string()))?);
        }
        let trust = match (&settings.trusted_root, &settings.issuer) {
            (Some(path), Some(issuer)) => {
                let root = TrustedRoot::parse(bytes(path)?).map_err(|fault| (path.clone(), fault.to_string()))?;
                let subject = settings.identity.clone().unwrap_or_default();
                Some(Trust { root, signer: Signer::Identity { subject, issuer: issuer.clone() } })
            }
            _ => None,
        };
        Ok(Self { name: name.to_owned(), settings: settings.clone(), keys, trust })
    }

    fn approve(&self, evidence: &Evidence) -> Result<Approved, ProvenanceError> {
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
        let subjects = statement.subjects.into_iter().filter_map(|subject| subject.sha256).collect();
        Ok(Approved { project: self.name.clone(), signer, subjects })
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::formats::openssh;
    use crate::formats::provenance::claims::Claims;
    use crate::formats::provenance::dsse::Envelope;
    use crate::formats::provenance::dsse::tests::key;
    use crate::formats::provenance::in_toto::tests::about;
    use crate::formats::sigsum;
    use crate::words::archive::Archive;
    use p256::elliptic_curve::rand_core::OsRng;

    const SUITE: &str = "[suites.trixie]\narchitectures = [\"amd64\"]\nrequire-provenance = true\n";

    fn line(seed: u8) -> Vec<u8> {
        let PublicKey::Ed25519(key) = key(seed).public() else { unreachable!("it is ed25519") };
        openssh::public_line(&sigsum::PublicKey::from_bytes(key.to_bytes()), "").into_bytes()
    }

    fn policy(projects: &str) -> Policy {
        let settings = Archive::parse(&format!("{SUITE}{projects}")).unwrap().provenance;
        let files = BTreeMap::from([("keys/a.pub".to_owned(), line(1)), ("keys/b.pub".to_owned(), line(2))]);
        Policy::read(&settings, &files).unwrap()
    }

    const PROJECTS: &str = "[provenance.projects.\"debian/hello\"]\nsources = [\"hello\"]\nkeys = [\"keys/a.pub\"]\n\
        [provenance.projects.other]\nsources = [\"other\", \"world\"]\nkeys = [\"keys/b.pub\"]\n";

    fn signed(seed: u8, content: &[u8], claims: &Claims) -> Vec<u8> {
        Envelope::sign(about(content, claims), &key(seed), &mut OsRng).unwrap().encode()
    }

    #[test]
    fn a_key_counts_for_the_sources_of_its_project_and_for_the_files_that_it_names() {
        let policy = policy(PROJECTS);
        let envelope = signed(1, b"deb", &Claims::default());
        let approved = policy.approve("hello", &envelope).unwrap();
        assert_eq!(approved.project, "debian/hello");
        assert_eq!(approved.names(&Sha256::of(b"deb")), Ok(()));
        assert!(approved.names(&Sha256::of(b"other")).unwrap_err().to_string().starts_with("it does not name sha256"));
        let said = policy.approve("world", &envelope).unwrap_err().to_string();
        assert!(said.contains("for the project other, but by the key"), "{said}");
        assert!(matches!(policy.approve("unknown", &envelope), Err(ProvenanceError::NoProject { .. })));
        assert!(matches!(policy.approve("hello", &signed(2, b"deb", &Claims::default())), Err(ProvenanceError::Signer { .. })));
    }

    #[test]
    fn without_signature_it_is_no_evidence() {
        let envelope = String::from_utf8(signed(1, b"deb", &Claims::default())).unwrap();
        let mut unsigned: serde_json::Value = serde_json::from_str(&envelope).unwrap();
        *unsigned.pointer_mut("/signatures").unwrap() = serde_json::json!([]);
        assert_eq!(policy(PROJECTS).approve("hello", &serde_json::to_vec(&unsigned).unwrap()), Err(ProvenanceError::Unsigned));
        assert!(matches!(policy(PROJECTS).approve("hello", &about(b"deb", &Claims::default())), Err(ProvenanceError::Malformed { .. })));
    }

    #[test]
    fn repository_and_branch_are_compared_where_they_are_pinned() {
        let pinned = format!(
            "{PROJECTS}[provenance.projects.third]\nsources = [\"*\"]\nkeys = [\"keys/a.pub\"]\n\
            repository = \"https://git.example/a\"\nrefs = [\"refs/heads/main\", \"refs/tags/v1\"]\n"
        );
        let policy = policy(&pinned);
        let claims = |repository: &str, reference: &str| Claims {
            repository: Some(repository.to_owned()),
            reference: Some(reference.to_owned()),
            ..Claims::default()
        };
        let approve = |claims: &Claims| policy.approve("any", &signed(1, b"deb", claims)).map(|approved| approved.project);
        assert_eq!(approve(&claims("https://git.example/a", "refs/tags/v1")).unwrap(), "third");
        let branch = approve(&claims("https://git.example/a", "refs/heads/evil")).unwrap_err().to_string();
        assert!(branch.contains("branch or tag is refs/heads/evil") && branch.contains("refs/heads/main or refs/tags/v1"), "{branch}");
        let repository = approve(&claims("https://git.example/b", "refs/heads/main")).unwrap_err().to_string();
        assert!(repository.starts_with("its repository is https://git.example/b"), "{repository}");
        assert!(approve(&Claims::default()).unwrap_err().to_string().contains("not said"));
    }

    #[test]
    fn whatever_changes_a_verdict_changes_the_digest() {
        let usual = policy(PROJECTS).digest();
        assert_eq!(usual, policy(PROJECTS).digest());
        assert_ne!(usual, policy(&PROJECTS.replace("world", "word")).digest());
        let settings = Archive::parse(&format!("{SUITE}{PROJECTS}")).unwrap().provenance;
        let swapped = BTreeMap::from([("keys/a.pub".to_owned(), line(2)), ("keys/b.pub".to_owned(), line(1))]);
        assert_ne!(usual, Policy::read(&settings, &swapped).unwrap().digest());
        assert_eq!(Policy::read(&settings, &BTreeMap::new()).unwrap_err().0, "keys/a.pub");
    }
}
