//! The configured archive: `ddb.toml` as a value (its JSON Schema is `schemas/ddb.toml.json`).
//!
//! Unknown keys are errors with their line; no key holds a secret. Reading the file is not done here.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::name::Codename;

mod logs;
mod places;
mod provenance;
mod suite;

pub use logs::{LogKind, LogMode, LogSettings, SigstoreSettings, SigsumSettings, is_private};
pub use places::{
    BucketSettings, GitLfsSettings, InboxSettings, LfsSettings, Links, RemoteSettings, StoreSettings, TargetMode, TargetSettings,
};
pub use provenance::{ProvenanceProject, ProvenanceSettings};
pub use suite::{BlockSize, Compression, Descriptions, ExtraDigest, OverrideFiles, Suite};

/// Why a text is not a usable `ddb.toml`.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Not TOML, an unknown key, or a value of the wrong kind; the message shows the line.
    #[error("ddb.toml: {0}")]
    Toml(String),
    /// Values that contradict each other.
    #[error("ddb.toml: {0}")]
    Meaning(String),
}

/// The whole of `ddb.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Archive {
    /// Who publishes.
    #[serde(default)]
    pub archive: Identity,
    /// Where objects are kept.
    #[serde(default)]
    pub store: StoreSettings,
    /// What stock Git-LFS is told in every clone.
    #[serde(default)]
    pub lfs: GitLfsSettings,
    /// Where the published tree is written.
    #[serde(default)]
    pub target: TargetSettings,
    /// How commits reach the Git remote.
    #[serde(default)]
    pub remote: RemoteSettings,
    /// Whether statements that other jobs parked are landed.
    #[serde(default)]
    pub inbox: InboxSettings,
    /// Who signs.
    #[serde(default)]
    pub signing: SigningSettings,
    /// Transparency logs that every Release is put into before clients see it.
    #[serde(default)]
    pub logs: LogSettings,
    /// Whose provenance counts, for suites with `require-provenance`.
    #[serde(default, skip_serializing_if = "ProvenanceSettings::is_empty")]
    pub provenance: ProvenanceSettings,
    /// How much of a package a deploy unpacks before it takes it.
    #[serde(default, skip_serializing_if = "PackageCheck::is_whole")]
    pub check_packages: PackageCheck,
    /// Public keyrings in this repository (paths such as `keys/uploaders/alice.asc`, or a folder) whose keys may upload.
    /// Where any is named, every .changes (or, without one, every .dsc) must carry a good signature by one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uploaders: Vec<String>,
    /// What is published, by codename.
    pub suites: BTreeMap<Codename, Suite>,
}

/// How much of a package a deploy unpacks. Its digests are taken either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PackageCheck {
    /// All: a package that dpkg could not unpack is refused.
    #[default]
    Whole,
    /// The control member alone, which is about as fast as hashing: its data is taken as the build left it. Where a suite has
    /// `contents`, packages are unpacked wholly all the same.
    Control,
}

impl PackageCheck {
    fn is_whole(&self) -> bool {
        *self == Self::Whole
    }
}

/// Who publishes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Identity {
    /// `Origin` of every Release; apt asks its user when it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// `Label` of every Release; apt asks its user when it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The address that clients use (`https://deb.example.org/`), for the sources stanza; without it the stanza names the local folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// `Snapshots` of every Release: where clients find older states, with `@SNAPSHOTID@` for which one
    /// (`https://deb.example.org/snapshots/@SNAPSHOTID@/` where `ddb-publish serve` answers).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshots: Option<String>,
}

/// Who signs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SigningSettings {
    /// Fingerprints of the certificates in `keys/` that sign; default is every certificate directly in `keys/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// A program that signs instead of ddb (gpg-agent, HSM): reads what is to be signed on standard input and writes one
    /// armored detached signature for `detach`, one clearsigned text for `clearsign`, its only added argument.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
}

impl Archive {
    /// Reads and checks a `ddb.toml`.
    ///
    /// # Errors
    /// Not TOML, an unknown key (with its line), a value of the wrong kind, or values that contradict each other.
    pub fn parse(text: &str) -> Result<Self, ArchiveError> {
        let archive: Self = toml::from_str(text).map_err(|fault| ArchiveError::Toml(fault.to_string().trim_end().to_owned()))?;
        archive.check().map_err(ArchiveError::Meaning)?;
        Ok(archive)
    }

    /// Returns the suite of this codename.
    pub fn suite(&self, codename: &Codename) -> Option<&Suite> {
        self.suites.get(codename)
    }

    /// Returns the codename that a `Distribution` of .changes means: a codename, a `suite`, or one of `distributions`.
    pub fn suite_for_distribution(&self, distribution: &str) -> Option<&Codename> {
        let means = |codename: &Codename, suite: &Suite| {
            codename.as_str() == distribution
                || suite.suite.as_deref() == Some(distribution)
                || suite.distributions.iter().any(|name| name == distribution)
        };
        self.suites.iter().find(|(codename, suite)| means(codename, suite)).map(|(codename, _)| codename)
    }

    fn check(&self) -> Result<(), String> {
        if self.suites.is_empty() {
            return Err("it names no suite; add a [suites.CODENAME] table".to_owned());
        }
        one_line("archive.origin", self.archive.origin.as_deref())?;
        one_line("archive.label", self.archive.label.as_deref())?;
        one_line("archive.url", self.archive.url.as_deref())?;
        places::address("archive.snapshots", self.archive.snapshots.as_deref())?;
        if self.archive.snapshots.as_ref().is_some_and(|url| !url.contains("@SNAPSHOTID@") || url.contains(' ')) {
            return Err("archive.snapshots needs @SNAPSHOTID@ where the snapshot's name belongs, and no blanks".to_owned());
        }
        self.store.check()?;
        self.lfs.check()?;
        self.target.check(&self.store)?;
        self.remote.check()?;
        self.logs.check()?;
        self.provenance.check()?;
        let mut names = BTreeSet::new();
        for (codename, suite) in &self.suites {
            suite.check().map_err(|fault| format!("suites.{codename}: {fault}"))?;
            if suite.require_provenance && self.provenance.is_empty() {
                return Err(format!("suites.{codename}: require-provenance needs [provenance.projects], or nothing could ever satisfy it"));
            }
            let own = std::iter::once(codename.as_str()).chain(suite.suite.as_deref().filter(|name| *name != codename.as_str()));
            for name in own.chain(suite.distributions.iter().map(String::as_str)) {
                if !names.insert(name) {
                    return Err(format!("suites.{codename}: the name \"{name}\" already means another suite or stands twice"));
                }
            }
        }
        Ok(())
    }
}

fn one_line(key: &str, value: Option<&str>) -> Result<(), String> {
    match value {
        Some(text) if text.chars().any(char::is_control) => Err(format!("{key} must be one line without control characters")),
        Some(text) if text.trim().is_empty() => Err(format!("{key} is empty; leave it out instead")),
        Some(text) if text.trim() != text => Err(format!("{key} begins or ends with a blank")),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::words::name::Component;

    const SMALL: &str = "[suites.trixie]\nsuite = \"stable\"\narchitectures = [\"amd64\", \"all\"]\n";

    #[test]
    fn a_suite_needs_only_architectures() {
        let archive = Archive::parse(SMALL).unwrap();
        let (codename, suite) = archive.suites.first_key_value().unwrap();
        assert_eq!(codename.as_str(), "trixie");
        assert_eq!(suite.components, [Component::main()]);
        assert!(suite.acquire_by_hash);
        assert_eq!(archive.suite_for_distribution("stable"), Some(codename));
        assert_eq!(archive.suite_for_distribution("sid"), None);
        assert_eq!(archive.target.path, "public");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let check = |text: &str, expected: &str| {
            let message = Archive::parse(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        };
        check("", "suites");
        check("[suites]\n", "names no suite");
        check(&format!("{SMALL}archs = 1\n"), "line 4");
        check("[suites.trixie]\narchitectures = [\"all\"]\n", "at least one beside");
        check("[suites.trixie]\narchitectures = [\"any\"]\n", "valid architecture");
        check(&format!("{SMALL}but-automatic-upgrades = true\n"), "means nothing");
        check(&format!("{SMALL}distributions = [\"stable\"]\n"), "already means");
        check(&format!("{SMALL}description = \"a\\nb\"\n"), "one line");
        check(&format!("{SMALL}description = \" a\"\n"), "blank");
        check(&format!("{SMALL}signed-by = [\"A, B\"]\n"), "no fingerprint");
        check(&format!("[target]\npath = \"./\"\n{SMALL}"), "repository itself");
        check(&format!("[target]\npath = \"pool/x\"\n{SMALL}"), "own files");
        check(&format!("[archive]\nsnapshots = \"https://x/\"\n{SMALL}"), "needs @SNAPSHOTID@");
        check(&format!("[archive]\nsnapshots = \"ftp://x/@SNAPSHOTID@/\"\n{SMALL}"), "must begin with https://");
        check(&format!("[logs.sigsum]\npolicy = \"p\"\nkey = \"sub.pub\"\n{SMALL}"), "must be a file in keys/");
        check(&format!("[logs.sigsum]\npolicy = \"keys/../p\"\nkey = \"keys/sub.pub\"\n{SMALL}"), "must be a file in keys/");
        check(&format!("[logs.sigsum]\npolicy = \"p\"\nkey = \"keys/sub.pub\"\ntimeout = \"0s\"\n{SMALL}"), "between 1s and 1d");
        let sigstore = "key = \"keys/s.pub\"\ntrusted-root = \"keys/root.json\"\n";
        check(&format!("[logs.sigstore]\n{sigstore}{SMALL}"), "one of url and signing-config");
        check(&format!("[logs.sigstore]\nurl = \"https://u:p@x/\"\n{sigstore}{SMALL}"), "user name or password");
        check(&format!("[logs.sigstore]\nsigning-config = \"keys/c\"\ntimestamp-url = \"https://x/\"\n{sigstore}{SMALL}"), "goes with url");
        check(
            &format!("[logs.sigstore]\nurl = \"https://x/\"\nkey = \"s.pub\"\ntrusted-root = \"keys/r\"\n{SMALL}"),
            "must be a file in keys/",
        );
        let signer = |lines: &str| format!("[logs.sigstore]\nurl = \"https://x/\"\ntrusted-root = \"keys/r\"\n{lines}{SMALL}");
        let (name, issuer) = ("identity = \"https://x/y\"\n", "issuer = \"https://x\"\n");
        let (fulcio, stamps) = ("fulcio-url = \"https://f/\"\n", "timestamp-url = \"https://t/\"\n");
        check(&signer(""), "one of key and identity");
        check(&signer(&format!("key = \"keys/s.pub\"\n{name}{issuer}")), "one of key and identity");
        check(&signer(&format!("{name}{fulcio}{stamps}")), "needs logs.sigstore.issuer");
        check(&signer(&format!("{name}{issuer}{fulcio}")), "needs fulcio-url and timestamp-url");
        check(&signer(&format!("{name}{issuer}{stamps}")), "needs fulcio-url and timestamp-url");
        check(&signer(&format!("key = \"keys/s.pub\"\n{fulcio}")), "go with identity");
        check(&signer(&format!("{name}{issuer}{stamps}fulcio-url = \"http://f.example/\"\n")), "must begin with https://");
        let config =
            signer(&format!("{name}{issuer}{fulcio}")).replace("url = \"https://x/\"\ntrusted", "signing-config = \"keys/c\"\ntrusted");
        check(&config, "a signing-config names certificate authorities itself");
        check(&format!("{SMALL}require-provenance = true\n"), "needs [provenance.projects]");
        let project = |lines: &str| format!("[provenance.projects.\"a/b\"]\n{lines}{SMALL}");
        check(&project(""), "missing field `sources`");
        check(&project("sources = []\nkeys = [\"keys/a\"]\n"), "sources is empty");
        check(&project("sources = [\"A b\"]\nkeys = [\"keys/a\"]\n"), "valid source");
        check(&project("sources = [\"*\"]\n"), "it needs keys");
        check(&project("sources = [\"*\"]\nkeys = [\"a.pub\"]\n"), "must be a file in keys/");
        check(&project("sources = [\"*\"]\nkeys = [\"keys/a\"]\nrefs = [\"main\"]\n"), "does not begin with refs/");
        check(&project("sources = [\"*\"]\nkeys = [\"keys/a\"]\nissuer = \"x\"\n"), "mean nothing without trusted-root");
        check(&project("sources = [\"*\"]\ntrusted-root = \"keys/r\"\nissuer = \"x\"\n"), "needs issuer, repository and refs");
        check(&format!("{SMALL}valid-for = \"7\"\n"), "length of time");
        check(&format!("{SMALL}[suites.trixie.overrides.contrib]\n"), "no component contrib");
    }

    #[test]
    fn identity_tokens_go_where_nobody_else_reads_them() {
        for (url, private) in [
            ("https://f.example", true),
            ("http://127.0.0.1:5555/x", true),
            ("http://localhost", true),
            ("http://[::1]:5555", true),
            ("http://127.0.0.1.example/", false),
            ("http://f.example/127.0.0.1", false),
            ("http://127.0.0.1@f.example/", false),
            ("ftp://localhost", false),
        ] {
            assert_eq!(is_private(url), private, "{url}");
        }
    }
}
