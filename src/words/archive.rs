//! The configured archive: `ddb.toml` as a value (its JSON Schema is `schemas/ddb.toml.json`).
//!
//! Unknown keys are errors with their line; no key holds a secret. Reading the file is not done here.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::date::Span;
use super::name::{Architecture, Codename, Component};

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
    /// Where the published tree is written.
    #[serde(default)]
    pub target: TargetSettings,
    /// Who signs.
    #[serde(default)]
    pub signing: SigningSettings,
    /// Public keyrings in this repository (paths such as `keys/uploaders/alice.asc`, or a folder) whose keys may upload.
    /// Where any is named, every .changes (or, without one, every .dsc) must carry a good signature by one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uploaders: Vec<String>,
    /// What is published, by codename.
    pub suites: BTreeMap<Codename, Suite>,
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
}

/// Where objects are kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StoreSettings {
    /// A folder in the Git-LFS layout; default is the repository's own `.git/lfs/objects`. Relative to the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// Where the published tree is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TargetSettings {
    /// The folder of the published tree, relative to the repository.
    #[serde(default = "default_target")]
    pub path: String,
    /// How pool files come from the object store.
    #[serde(default)]
    pub links: Links,
}

impl Default for TargetSettings {
    fn default() -> Self {
        Self { path: default_target(), links: Links::default() }
    }
}

fn default_target() -> String {
    "public".to_owned()
}

/// How pool files come from the object store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Links {
    /// Reflinks where the file system has them, else hard links, else copies.
    #[default]
    Auto,
    /// Reflinks (shared blocks, private files) or an error.
    Reflink,
    /// Hard links to the store's read-only objects, or an error.
    Hard,
    /// Whole copies.
    Copy,
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

/// One published suite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Suite {
    /// `Suite` of Release (`stable`); default is the codename.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    /// `Version` of Release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `Description` of Release, one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `Changelogs` of Release: where `apt changelog` looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changelogs: Option<String>,
    /// Components in the order of Release.
    #[serde(default = "default_components")]
    pub components: Vec<Component>,
    /// Architectures; `all` adds `binary-all` indices as Debian has them.
    pub architectures: Vec<Architecture>,
    /// Names in the `Distribution` field of .changes that mean this suite, beside its codename and `suite`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub distributions: Vec<String>,
    /// How long a Release is good (`Valid-Until` = Date + this); without it, for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_for: Option<Span>,
    /// `NotAutomatic: yes`: apt pins the suite at 1.
    #[serde(default)]
    pub not_automatic: bool,
    /// `ButAutomaticUpgrades: yes`: with `not-automatic`, apt pins it at 100.
    #[serde(default)]
    pub but_automatic_upgrades: bool,
    /// `Acquire-By-Hash: yes` and `by-hash/` folders: clients see a whole archive at any moment.
    #[serde(default = "yes")]
    pub acquire_by_hash: bool,
    /// `Signed-By` of Release: fingerprints that apt accepts for the *next* Release. A wrong value locks clients out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_by: Vec<String>,
    /// `short` as Debian (Description-md5 and Translation-en), or `long` descriptions in Packages.
    #[serde(default)]
    pub descriptions: Descriptions,
    /// Compressed forms of every index, beside the plain name, which is listed and not written.
    #[serde(default = "default_compression")]
    pub compression: Vec<Compression>,
    /// Digests in Packages and Sources beside SHA-256, which is always there.
    #[serde(default = "default_package_digests")]
    pub package_digests: BTreeSet<ExtraDigest>,
    /// Digest lists in Release beside SHA-256, which is always there.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub release_digests: BTreeSet<ExtraDigest>,
    /// How many generations of by-hash files are kept at least, the newest included.
    #[serde(default = "default_generations")]
    pub keep_generations: u32,
    /// How long a by-hash file stays at least after it was last current.
    #[serde(default = "default_keep")]
    pub keep_for: Span,
    /// Override files of each component, in Debian's format, as paths in this repository.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<Component, OverrideFiles>,
}

/// `short` or `long` descriptions in Packages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Descriptions {
    /// First line and Description-md5; the long text in Translation-en.
    #[default]
    Short,
    /// The whole text in Packages, no Translation-en.
    Long,
}

/// One compressed form of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// `.gz`
    Gz,
    /// `.xz`
    Xz,
    /// `.zst`
    Zst,
}

impl Compression {
    /// Returns the file name's ending with its dot.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Gz => ".gz",
            Self::Xz => ".xz",
            Self::Zst => ".zst",
        }
    }
}

/// A digest beside SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExtraDigest {
    /// MD5 (`MD5sum`, `Files`, `MD5Sum`).
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-512.
    Sha512,
}

/// Override files of one component, as dpkg-scanpackages(1) and apt-ftparchive(1) read them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OverrideFiles {
    /// `package priority section [maintainer]` for .deb files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary: Option<String>,
    /// The same for .udeb files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udeb: Option<String>,
    /// `source section` (or `source priority section`) for sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// `package field value` for any field of .deb paragraphs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<String>,
}

fn yes() -> bool {
    true
}

fn default_components() -> Vec<Component> {
    vec![Component::main()]
}

fn default_compression() -> Vec<Compression> {
    vec![Compression::Gz, Compression::Xz]
}

fn default_package_digests() -> BTreeSet<ExtraDigest> {
    BTreeSet::from([ExtraDigest::Md5])
}

fn default_generations() -> u32 {
    3
}

fn default_keep() -> Span {
    Span::of_seconds(48 * 3600)
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
        check_target(&self.target.path)?;
        let mut names = BTreeSet::new();
        for (codename, suite) in &self.suites {
            suite.check().map_err(|fault| format!("suites.{codename}: {fault}"))?;
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

impl Suite {
    fn check(&self) -> Result<(), String> {
        for (key, value) in
            [("suite", &self.suite), ("version", &self.version), ("description", &self.description), ("changelogs", &self.changelogs)]
        {
            one_line(key, value.as_deref())?;
        }
        if !self.architectures.iter().any(|architecture| !architecture.is_all()) {
            return Err("architectures must name at least one beside \"all\"".to_owned());
        }
        no_repeats("architectures", &self.architectures)?;
        no_repeats("compression", &self.compression)?;
        no_repeats("components", &self.components)?;
        if let Some(key) = self.signed_by.iter().find(|key| !is_fingerprint(key)) {
            return Err(format!(
                "signed-by holds \"{}\", which is no fingerprint of 40 or 64 hexadecimal digits (with ! for that key alone)",
                key.escape_debug()
            ));
        }
        if self.components.is_empty() {
            return Err("components is empty".to_owned());
        }
        if self.compression.is_empty() {
            return Err("compression is empty; Packages is listed plain and written compressed".to_owned());
        }
        if self.but_automatic_upgrades && !self.not_automatic {
            return Err("but-automatic-upgrades means nothing without not-automatic".to_owned());
        }
        if self.keep_generations == 0 {
            return Err("keep-generations must be at least 1".to_owned());
        }
        if let Some(component) = self.overrides.keys().find(|component| !self.components.contains(component)) {
            return Err(format!("overrides.{component}: the suite has no component {component}"));
        }
        Ok(())
    }
}

fn is_fingerprint(text: &str) -> bool {
    let digits = text.strip_suffix('!').unwrap_or(text);
    [40, 64].contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Refuses a published tree that would lie in the way of the repository's own files.
fn check_target(path: &str) -> Result<(), String> {
    let mut parts = std::path::Path::new(path).components().filter(|part| *part != std::path::Component::CurDir);
    match parts.next() {
        None => Err("target.path names the repository itself; name a folder in it, or elsewhere".to_owned()),
        Some(first) if [".git", "pool", "suites", "keys"].iter().any(|own| first.as_os_str() == *own) => {
            Err(format!("target.path \"{path}\" lies among the repository's own files; name another folder"))
        }
        Some(_) => Ok(()),
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

fn no_repeats<T: Ord + std::fmt::Debug>(key: &str, values: &[T]) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    match values.iter().find(|value| !seen.insert(*value)) {
        Some(value) => Err(format!("{key} names {value:?} twice")),
        None => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

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
        check(&format!("{SMALL}valid-for = \"7\"\n"), "length of time");
        check(&format!("{SMALL}[suites.trixie.overrides.contrib]\n"), "no component contrib");
    }
}
