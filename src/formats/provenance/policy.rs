//! Whose provenance counts for which source package, as `[provenance.projects]` of ddb.toml and the files that it names say.
//!
//! No clock is asked, so a verdict is a function of policy, source package and bytes; which other sources offer a binary package is
//! said by whoever asks.

use std::collections::BTreeMap;

use super::ProvenanceError;
use super::evidence::Evidence;
use super::project::{Approved, Project};
use crate::words::archive::ProvenanceSettings;
use crate::words::digest::Sha256;

/// Counts the ways in which verdicts were reached: another number whenever the same policy and bytes give another one. From 3 on every
/// record was compared with its package, and asked for its name, before a suite was published.
const RULES: u32 = 3;

/// Whose provenance counts.
#[derive(Debug, Clone)]
pub struct Policy {
    projects: Vec<Project>,
    digest: Sha256,
}

impl Policy {
    /// Reads what the settings name; `files` has its bytes by path.
    ///
    /// # Errors
    /// A file is missing or not usable, with its path.
    pub fn read(settings: &ProvenanceSettings, files: &BTreeMap<String, Vec<u8>>) -> Result<Self, (String, String)> {
        let projects = settings.projects.iter().map(|(name, project)| Project::read(name, project, files));
        let projects = projects.collect::<Result<Vec<_>, _>>()?;
        let lines = projects.iter().map(|project| format!("{}\n", project.digest()));
        let text = format!("rules {RULES}\n{}", lines.collect::<String>());
        Ok(Self { projects, digest: Sha256::of(text.as_bytes()) })
    }

    /// Returns the digest of everything that a verdict is a function of beside the provenance.
    pub fn digest(&self) -> Sha256 {
        self.digest
    }

    /// Returns the projects that may bring a source package.
    pub fn projects_of(&self, package: &str) -> impl Iterator<Item = &Project> {
        self.projects.iter().filter(move |project| project.settings().brings(package))
    }

    /// Tells whether a source package that was good under another policy may not be under this one: a project that could bring it
    /// has changed or is gone.
    pub fn unsettles(&self, before: &Self, package: &str) -> bool {
        before.projects_of(package).any(|then| self.projects.iter().all(|now| now.digest() != then.digest()))
    }

    /// Checks that provenance was signed by somebody who counts for a source package, and for a binary package of it, if that is named.
    ///
    /// # Errors
    /// See [`ProvenanceError`]; where several projects may bring the package, what the last one holds against it.
    pub fn approve(&self, package: &str, binary: Option<&str>, bytes: &[u8]) -> Result<Approved, ProvenanceError> {
        let mut last = ProvenanceError::NoProject { package: package.to_owned() };
        let mut candidates = self.projects_of(package).peekable();
        if candidates.peek().is_none() {
            return Err(last);
        }
        let evidence = Evidence::parse(bytes)?;
        for project in candidates {
            match binary.map_or(Ok(()), |binary| project.may_bring(binary, [])).and_then(|()| project.approve(&evidence)) {
                Ok(approved) => return Ok(approved),
                Err(fault) => last = fault,
            }
        }
        Err(last)
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
    use crate::formats::sigstore::public_key::PublicKey;
    use crate::formats::sigsum;
    use crate::words::archive::Archive;
    use crate::words::name::{FileName, SourceName};
    use crate::words::version::Version;
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
        let approved = policy.approve("hello", None, &envelope).unwrap();
        assert_eq!(approved.project, "debian/hello");
        assert_eq!(approved.names(&Sha256::of(b"deb")), Ok(()));
        assert!(approved.names(&Sha256::of(b"other")).unwrap_err().to_string().starts_with("it does not name sha256"));
        let said = policy.approve("world", None, &envelope).unwrap_err().to_string();
        assert!(said.contains("for the project other, but by the key"), "{said}");
        assert!(matches!(policy.approve("unknown", None, &envelope), Err(ProvenanceError::NoProject { .. })));
        assert!(matches!(policy.approve("hello", None, &signed(2, b"deb", &Claims::default())), Err(ProvenanceError::Signer { .. })));
    }

    #[test]
    fn what_it_says_of_name_and_source_must_be_so() {
        let approved = policy(PROJECTS).approve("hello", None, &signed(1, b"deb", &Claims::default())).unwrap();
        let is_of = |file: &str, source: &str, version: &str| {
            let (file, source): (FileName, SourceName) = (file.parse().unwrap(), source.parse().unwrap());
            approved.is_of(&Sha256::of(b"deb"), &file, &source, &version.parse::<Version>().unwrap()).map_err(|fault| fault.to_string())
        };
        assert_eq!(is_of("hello_1_amd64.deb", "hello", "1"), Ok(()));
        assert!(
            is_of("hello_9_amd64.deb", "hello", "1")
                .unwrap_err()
                .contains("calls this file hello_1_amd64.deb, and it is hello_9_amd64.deb")
        );
        assert!(is_of("hello_1_amd64.deb", "hello", "2").unwrap_err().contains("calls its source hello 1, and it is hello 2"));
        assert!(is_of("hello_1_amd64.deb", "world", "1").unwrap_err().contains("hello 1"));
    }

    #[test]
    fn names_that_another_source_has_are_taken_unless_they_are_listed() {
        let fault = |more: &str, package: &str, others: &[&str]| {
            let policy = policy(&format!("{PROJECTS}{more}"));
            let others: Vec<SourceName> = others.iter().map(|name| name.parse().unwrap()).collect();
            let project = policy.projects_of("other").next().unwrap();
            project.may_bring(package, &others).err().map(|fault| fault.to_string()).unwrap_or_default()
        };
        assert_eq!(fault("", "new", &[]), "");
        assert_eq!(fault("", "libworld", &["world"]), "", "both sources are its own");
        assert!(fault("", "libc6", &["glibc"]).contains("the suite has libc6 from the source glibc"));
        assert!(fault("packages = [\"other\"]\n", "new", &[]).contains("new is not among the `packages` of the project other"));
        assert_eq!(fault("packages = [\"other\", \"libc6\"]\n", "libc6", &["glibc"]), "");
        assert_eq!(fault("packages = [\"*\"]\n", "libc6", &["glibc"]), "");
    }

    #[test]
    fn only_sources_whose_projects_changed_are_unsettled() {
        let (usual, changed) = (policy(PROJECTS), policy(&PROJECTS.replace("\"world\"", "\"word\"")));
        assert!(changed.unsettles(&usual, "other") && changed.unsettles(&usual, "world") && !changed.unsettles(&usual, "hello"));
        let more = policy(&format!("{PROJECTS}[provenance.projects.third]\nsources = [\"*\"]\nkeys = [\"keys/a.pub\"]\n"));
        assert!(!more.unsettles(&usual, "hello"), "one project more takes nothing away");
        assert!(usual.unsettles(&more, "hello") && usual.unsettles(&more, "any"));
    }

    #[test]
    fn without_signature_it_is_no_evidence() {
        let envelope = String::from_utf8(signed(1, b"deb", &Claims::default())).unwrap();
        let mut unsigned: serde_json::Value = serde_json::from_str(&envelope).unwrap();
        *unsigned.pointer_mut("/signatures").unwrap() = serde_json::json!([]);
        assert_eq!(policy(PROJECTS).approve("hello", None, &serde_json::to_vec(&unsigned).unwrap()), Err(ProvenanceError::Unsigned));
        assert!(matches!(
            policy(PROJECTS).approve("hello", None, &about(b"deb", &Claims::default())),
            Err(ProvenanceError::Malformed { .. })
        ));
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
        let approve = |claims: &Claims| policy.approve("any", None, &signed(1, b"deb", claims)).map(|approved| approved.project);
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

    #[test]
    fn a_root_whose_logs_are_all_unknown_is_refused_by_its_path() {
        let root = |hash: &str, logs: usize| {
            let log = serde_json::json!({
                "baseUrl": "https://log.example", "hashAlgorithm": hash,
                "publicKey": {"rawBytes": "AAAA", "keyDetails": "PKIX_RSA_PKCS1V5"}, "logId": {"keyId": "AAAA"},
            });
            let text = serde_json::json!({
                "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1", "tlogs": vec![log; logs],
            });
            serde_json::to_vec(&text).unwrap()
        };
        let project = "[provenance.projects.a]\nsources = [\"aa\"]\ntrusted-root = \"keys/root.json\"\nissuer = \"https://git.example\"\n\
                       repository = \"https://git.example/a\"\nrefs = [\"refs/heads/main\"]\n";
        let settings = Archive::parse(&format!("{SUITE}{project}")).unwrap().provenance;
        let read = |root: Vec<u8>| Policy::read(&settings, &BTreeMap::from([("keys/root.json".to_owned(), root)]));
        assert!(read(root("SHA2_256", 0)).is_ok());
        for hash in ["SHA2_256", "SHA2_512"] {
            let (path, fault) = read(root(hash, 1)).unwrap_err();
            assert!(path == "keys/root.json" && fault.contains("none of the logs that it names"), "{path}: {fault}");
        }
    }
}
