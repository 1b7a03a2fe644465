//! Provenance: which projects may bring which source packages, and whose signatures show that they did.
//!
//! No key holds a secret: what signs comes from the environment or a file.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::logs::key_file;
use super::one_line;
use super::places::address;
use crate::words::name::{PackageName, SourceName};

/// Stands for every source or binary package.
const ANY: &str = "*";

/// How the name of a package with the debug symbols of another one ends.
const SYMBOLS: &str = "-dbgsym";

/// Whose provenance counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProvenanceSettings {
    /// The projects, by any name (`debian/hello`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub projects: BTreeMap<String, ProvenanceProject>,
}

/// A project that builds packages: what it may bring, and whose signatures are its own. Either `keys`, or `trusted-root` with
/// `issuer`, `repository` and `refs`, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProvenanceProject {
    /// The source packages that it may bring; `*` is any.
    pub sources: Vec<String>,
    /// The binary packages that it may bring, each with its `-dbgsym`; `*` is any. These and no others, also where another source has
    /// the name in the suite. Empty: every name that no source has there which the project may not bring.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// The address of its repository (`https://gitlab.example.org/debian/hello`): what a certificate must say, and what a key's holder
    /// must have said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Its branches and tags, whole (`refs/heads/main`), of which one must be said in the same way; empty is any, for keys alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refs: Vec<String>,
    /// Its public keys, files in this repository (`keys/provenance/hello.pub`): ed25519 as OpenSSH writes it, or PEM.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// The certificate and timestamp authorities that are trusted, a trusted root of Sigstore in this repository
    /// (`keys/provenance/trusted_root.json`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_root: Option<String>,
    /// Who vouched to the certificate authority for the job (`https://gitlab.com`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The name in the certificate, whole, where it is to be this one: of GitLab and GitHub, the file that says what the job does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
}

impl ProvenanceProject {
    /// Tells whether it may bring a source package.
    pub fn brings(&self, package: &str) -> bool {
        self.sources.iter().any(|source| source == ANY || source == package)
    }

    /// Tells whether `packages` has a binary package; `None` where it has nothing, so that names are free to whoever comes first.
    pub fn lists(&self, package: &str) -> Option<bool> {
        let name = package.strip_suffix(SYMBOLS).unwrap_or(package);
        let listed = || self.packages.iter().any(|listed| listed == ANY || listed == package || listed == name);
        (!self.packages.is_empty()).then(listed)
    }

    /// Tells whether it may bring every source package.
    pub fn brings_all(&self) -> bool {
        self.sources.iter().any(|source| source == ANY)
    }

    fn check(&self, name: &str) -> Result<(), String> {
        let wrong = |fault: &str| Err(format!("provenance.projects.\"{}\": {fault}", name.escape_debug()));
        if self.sources.is_empty() {
            return wrong("sources is empty; name the source packages that it may bring, or \"*\"");
        }
        if let Some(fault) = self.sources.iter().filter(|source| *source != ANY).find_map(|source| source.parse::<SourceName>().err()) {
            return wrong(&fault.to_string());
        }
        if let Some(fault) = self.packages.iter().filter(|package| *package != ANY).find_map(|package| package.parse::<PackageName>().err())
        {
            return wrong(&format!("packages: {fault}"));
        }
        if self.keys.is_empty() && self.trusted_root.is_none() {
            return wrong("it needs keys, or a trusted-root with issuer, repository and refs");
        }
        let pinned = self.issuer.is_some() && self.repository.is_some() && !self.refs.is_empty();
        if self.trusted_root.is_some() && !pinned {
            return wrong("trusted-root needs issuer, repository and refs beside it");
        }
        if self.trusted_root.is_none() && (self.issuer.is_some() || self.identity.is_some()) {
            return wrong("issuer and identity mean nothing without trusted-root");
        }
        address("provenance: repository", self.repository.as_deref())?;
        one_line("provenance: issuer", self.issuer.as_deref())?;
        one_line("provenance: identity", self.identity.as_deref())?;
        if let Some(reference) = self.refs.iter().find(|reference| !reference.starts_with("refs/")) {
            return wrong(&format!("\"{}\" in refs does not begin with refs/, such as refs/heads/main", reference.escape_debug()));
        }
        self.keys.iter().try_for_each(|path| key_file("provenance: keys", path))?;
        self.trusted_root.iter().try_for_each(|path| key_file("provenance: trusted-root", path))
    }
}

impl ProvenanceSettings {
    /// Returns the files that it names, each once.
    pub fn files(&self) -> BTreeSet<&str> {
        self.projects.values().flat_map(|project| project.keys.iter().chain(&project.trusted_root)).map(String::as_str).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.projects.is_empty()
    }

    pub(super) fn check(&self) -> Result<(), String> {
        self.projects.iter().try_for_each(|(name, project)| {
            one_line("provenance.projects", Some(name))?;
            project.check(name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_listed_with_their_symbols_or_not_at_all() {
        let project = |packages: &[&str]| ProvenanceProject {
            packages: packages.iter().map(|package| (*package).to_owned()).collect(),
            ..ProvenanceProject::default()
        };
        assert_eq!(project(&[]).lists("hello"), None);
        let listed = project(&["hello", "world"]);
        let of = |package: &str| listed.lists(package);
        assert_eq!((of("hello"), of("hello-dbgsym"), of("hello-doc"), of("libc6")), (Some(true), Some(true), Some(false), Some(false)));
        assert_eq!(project(&["*"]).lists("libc6"), Some(true));
    }
}
