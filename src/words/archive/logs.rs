//! Transparency logs: which ones every Release is put into before clients see it, and what happens when one cannot be had.
//!
//! No key holds a secret: the keys that sign log entries come from the environment, from files or from an agent.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::one_line;
use super::places::address;
use crate::words::date::Span;

/// The kinds of transparency logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogKind {
    /// A Sigsum log: leaves by ed25519 keys, cosigned by witnesses.
    Sigsum,
    /// A Rekor v2 log of Sigstore.
    Sigstore,
}

impl LogKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Sigsum, Self::Sigstore];

    /// Returns the name of its table below `logs` in ddb.toml.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sigsum => "sigsum",
            Self::Sigstore => "sigstore",
        }
    }

    /// Returns the ending of its proofs in the history by checksum, `tlog/<sha256 of Release>.<ending>`.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Sigsum => "proof",
            Self::Sigstore => "sigstore.json",
        }
    }

    /// Returns the name of its proof beside Release.
    pub fn file(self) -> &'static str {
        match self {
            Self::Sigsum => "Release.proof",
            Self::Sigstore => "Release.sigstore.json",
        }
    }
}

impl fmt::Display for LogKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What happens when a log gives no proof.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogMode {
    /// Nothing is served that has no proof.
    #[default]
    Required,
    /// It is served without, with a warning; `ddb-publish log --pending` gets the proof later.
    BestEffort,
    /// The log is not asked.
    Off,
}

/// The logs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LogSettings {
    /// A Sigsum log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigsum: Option<SigsumSettings>,
    /// A log of Sigstore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigstore: Option<SigstoreSettings>,
}

/// How every Release gets into a log of Sigstore (Rekor, version 2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SigstoreSettings {
    /// What happens when the log gives no proof.
    #[serde(default)]
    pub mode: LogMode,
    /// The log's address (`https://rekor.example.org`); it must be of version 2. Either this or `signing-config`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The timestamp authority's address, whole (`https://tsa.example.org/api/v1/timestamp`), where the bundle is to have a timestamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_url: Option<String>,
    /// A file of Sigstore in this repository that names logs and timestamp authorities and when they are in use
    /// (`keys/signing_config.json`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_config: Option<String>,
    /// The public key that signs entries, ECDSA on P-256 in PEM, in this repository (`keys/sigstore.pub`). Either this or `identity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The name of the build job that signs entries without a key of its own, as its certificates have it
    /// (`https://gitlab.com/example/archive//.gitlab-ci.yml@refs/heads/main`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Who vouches for `identity` (`https://gitlab.com`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The address of the certificate authority (`https://fulcio.example.org`) that gives certificates to `identity`; goes with `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fulcio_url: Option<String>,
    /// The logs and timestamp authorities that are trusted, in this repository (`keys/trusted_root.json`).
    pub trusted_root: String,
    /// How long a proof is waited for.
    #[serde(default = "default_sigstore_timeout")]
    pub timeout: Span,
    /// Puts the bundle into InRelease and Release.gpg too, as comment lines that apt passes over: for the apt hook, which asks nobody.
    /// Off by default, since every client fetches 3 to 9 kB more with each InRelease.
    #[serde(default)]
    pub staple: bool,
}

fn default_sigstore_timeout() -> Span {
    Span::of_seconds(60)
}

/// How every Release gets into a Sigsum log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SigsumSettings {
    /// What happens when no log gives a proof.
    #[serde(default)]
    pub mode: LogMode,
    /// The policy: a file in this repository (`keys/sigsum.policy`), or the name of one that is built in. It names logs, witnesses
    /// and how many of them must have cosigned.
    pub policy: String,
    /// The public key that submits, an OpenSSH file in this repository (`keys/sigsum.pub`).
    pub key: String,
    /// The domain whose DNS names the public key of the rate-limit token, where the log wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_domain: Option<String>,
    /// How long a proof is waited for.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// Puts the proof into InRelease and Release.gpg too, as comment lines that apt passes over.
    #[serde(default = "yes")]
    pub staple: bool,
}

fn default_timeout() -> Span {
    Span::of_seconds(120)
}

fn yes() -> bool {
    true
}

impl LogSettings {
    pub(super) fn check(&self) -> Result<(), String> {
        self.sigsum.as_ref().map_or(Ok(()), SigsumSettings::check)?;
        self.sigstore.as_ref().map_or(Ok(()), SigstoreSettings::check)
    }
}

impl SigstoreSettings {
    fn check(&self) -> Result<(), String> {
        address("logs.sigstore.url", self.url.as_deref())?;
        address("logs.sigstore.timestamp-url", self.timestamp_url.as_deref())?;
        address("logs.sigstore.fulcio-url", self.fulcio_url.as_deref())?;
        match (&self.url, &self.signing_config) {
            (Some(_), Some(_)) | (None, None) => return Err("logs.sigstore: name one of url and signing-config".to_owned()),
            (None, Some(path)) => key_file("logs.sigstore.signing-config", path)?,
            (Some(_), None) => {}
        }
        if self.signing_config.is_some() && self.timestamp_url.is_some() {
            return Err("logs.sigstore.timestamp-url goes with url; a signing-config names timestamp authorities itself".to_owned());
        }
        self.check_signer()?;
        key_file("logs.sigstore.trusted-root", &self.trusted_root)?;
        timeout("logs.sigstore.timeout", self.timeout)
    }

    fn check_signer(&self) -> Result<(), String> {
        one_line("logs.sigstore.identity", self.identity.as_deref())?;
        one_line("logs.sigstore.issuer", self.issuer.as_deref())?;
        match (&self.key, &self.identity) {
            (Some(_), Some(_)) | (None, None) => return Err("logs.sigstore: name one of key and identity".to_owned()),
            (Some(key), None) => key_file("logs.sigstore.key", key)?,
            (None, Some(_)) if self.issuer.is_none() => {
                return Err("logs.sigstore.identity needs logs.sigstore.issuer, who vouches for it".to_owned());
            }
            (None, Some(_)) if self.url.is_some() && (self.fulcio_url.is_none() || self.timestamp_url.is_none()) => {
                return Err(
                    "logs.sigstore.identity with url needs fulcio-url and timestamp-url: its certificates are good for minutes only"
                        .to_owned(),
                );
            }
            (None, Some(_)) => {}
        }
        if self.fulcio_url.as_deref().is_some_and(|url| !is_private(url)) {
            return Err("logs.sigstore.fulcio-url must begin with https://: identity tokens go there".to_owned());
        }
        if self.identity.is_none() && (self.issuer.is_some() || self.fulcio_url.is_some()) {
            return Err("logs.sigstore.issuer and fulcio-url go with identity".to_owned());
        }
        if self.signing_config.is_some() && self.fulcio_url.is_some() {
            return Err("logs.sigstore.fulcio-url goes with url; a signing-config names certificate authorities itself".to_owned());
        }
        Ok(())
    }
}

impl SigsumSettings {
    fn check(&self) -> Result<(), String> {
        one_line("logs.sigsum.policy", Some(&self.policy))?;
        key_file("logs.sigsum.key", &self.key)?;
        one_line("logs.sigsum.token-domain", self.token_domain.as_deref())?;
        if self.policy.contains('/') {
            key_file("logs.sigsum.policy", &self.policy)?;
        }
        timeout("logs.sigsum.timeout", self.timeout)
    }
}

/// Tells whether what is sent to an address can be read there alone: by https, or on this machine.
pub fn is_private(url: &str) -> bool {
    let host = url.strip_prefix("http://").map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let without_port = |host: &str| match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name.to_owned(),
        _ => host.to_owned(),
    };
    url.starts_with("https://") || host.is_some_and(|host| matches!(without_port(host).as_str(), "127.0.0.1" | "[::1]" | "localhost"))
}

/// Checks the path of a public file that belongs into `keys/` of the repository.
pub(super) fn key_file(key: &str, path: &str) -> Result<(), String> {
    one_line(key, Some(path))?;
    let odd = |name: &str| name.is_empty() || name == "." || name == "..";
    match path.strip_prefix("keys/") {
        Some(rest) if !rest.split('/').any(odd) => Ok(()),
        _ => Err(format!("{key} must be a file in keys/ of the repository, such as keys/sigsum.pub")),
    }
}

/// Checks how long a log is waited for.
fn timeout(key: &str, span: Span) -> Result<(), String> {
    if (1..=86_400).contains(&span.seconds()) { Ok(()) } else { Err(format!("{key} must lie between 1s and 1d")) }
}
