//! `trusted_root.json`: the logs, certificate authorities and timestamp authorities that a verifier trusts
//! (`sigstore_trustroot.proto`, versions 0.1 and 0.2).
//!
//! Logs whose keys are of a kind that is not known here are as good as not named: what they signed is from an unknown log. They are
//! counted, so that a root which names such logs alone is not taken for one that asks for no log.

use serde::Deserialize;

use super::certificate::Certificate;
use super::checkpoint::LogKey;
use super::promise::CertificateLog;
use super::public_key::PublicKey;
use super::{Octets, SigstoreError};
use crate::words::date::Timestamp;

/// The longest trusted root in bytes.
pub const LONGEST: usize = 4 << 20;

/// What it is called in messages.
const FILE: &str = "the trusted root";

const MEDIA_TYPES: [&str; 3] = [
    "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    "application/vnd.dev.sigstore.trustedroot.v0.1+json",
    "application/vnd.dev.sigstore.trustedroot.v0.2+json",
];

/// Whom a verifier trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedRoot {
    /// Logs.
    pub logs: Vec<LogKey>,
    /// For each log when its key was good.
    pub log_periods: Vec<Period>,
    /// How many logs are named whose keys or hashes are of a kind that is not known here.
    pub unknown_logs: usize,
    /// Who gives certificates to people and build jobs.
    pub certificate_authorities: Vec<Authority>,
    /// Certificate transparency logs. Where any is named, a certificate needs the promise of one.
    pub certificate_logs: Vec<CertificateLog>,
    /// Who gives timestamps.
    pub timestamp_authorities: Vec<Authority>,
}

/// A chain of certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The certificates; the last one is the one that is trusted.
    pub chain: Vec<Certificate>,
    /// When all of them were good.
    pub period: Period,
}

/// A span of time, ends included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Period {
    /// From here on; `None` is from ever.
    pub start: Option<Timestamp>,
    /// Until here; `None` is open.
    pub end: Option<Timestamp>,
}

impl Period {
    /// Tells whether a point in time lies in it.
    pub fn contains(&self, time: Timestamp) -> bool {
        self.start.is_none_or(|start| start <= time) && self.end.is_none_or(|end| time <= end)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RootText {
    media_type: String,
    #[serde(default)]
    tlogs: Vec<LogText>,
    #[serde(default)]
    certificate_authorities: Vec<AuthorityText>,
    #[serde(default)]
    ctlogs: Vec<LogText>,
    #[serde(default)]
    timestamp_authorities: Vec<AuthorityText>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogText {
    base_url: String,
    hash_algorithm: String,
    public_key: KeyText,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyText {
    raw_bytes: Octets,
    #[serde(default)]
    valid_for: PeriodText,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthorityText {
    cert_chain: ChainText,
    #[serde(default)]
    valid_for: PeriodText,
}

#[derive(Deserialize)]
struct ChainText {
    certificates: Vec<CertificateText>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CertificateText {
    raw_bytes: Octets,
}

/// A period in JSON.
#[derive(Default, Deserialize)]
pub(super) struct PeriodText {
    #[serde(default)]
    start: Option<String>,
    #[serde(default)]
    end: Option<String>,
}

impl TrustedRoot {
    /// Reads a trusted root.
    ///
    /// # Errors
    /// It is none of a version that is known, or a certificate or time in it cannot be read.
    pub fn parse(bytes: &[u8]) -> Result<Self, SigstoreError> {
        let wrong = |fault: String| SigstoreError::malformed(FILE, fault);
        if bytes.len() > LONGEST {
            return Err(wrong(format!("it has {} bytes, more than {LONGEST}", bytes.len())));
        }
        let text: RootText = serde_json::from_slice(bytes).map_err(|fault| wrong(fault.to_string()))?;
        if !MEDIA_TYPES.contains(&text.media_type.as_str()) {
            return Err(wrong(format!("its media type \"{}\" is not known", text.media_type.escape_debug())));
        }
        let mut root = Self::default();
        for log in text.tlogs {
            let key = PublicKey::from_der(&log.public_key.raw_bytes.0).ok().filter(|_| log.hash_algorithm == "SHA2_256");
            let Some(key) = key else {
                root.unknown_logs += 1;
                continue;
            };
            root.logs.push(LogKey::new(origin(&log.base_url), key)?);
            root.log_periods.push(log.public_key.valid_for.begun()?);
        }
        for log in text.ctlogs {
            // One with a key that is not known here stays, so that a root which names such logs alone does not ask for none.
            let key = PublicKey::from_der(&log.public_key.raw_bytes.0).ok();
            root.certificate_logs.push(CertificateLog { key, period: log.public_key.valid_for.begun()? });
        }
        let read = |authorities: Vec<AuthorityText>| authorities.into_iter().map(AuthorityText::read).collect::<Result<Vec<_>, _>>();
        root.certificate_authorities = read(text.certificate_authorities)?;
        root.timestamp_authorities = read(text.timestamp_authorities)?;
        Ok(root)
    }
}

/// Returns the name of a log with this address: the address without scheme and last slash.
fn origin(address: &str) -> &str {
    address.split_once("://").map_or(address, |(_, rest)| rest).trim_end_matches('/')
}

impl AuthorityText {
    fn read(self) -> Result<Authority, SigstoreError> {
        let chain: Result<Vec<Certificate>, _> =
            self.cert_chain.certificates.iter().map(|certificate| Certificate::parse(&certificate.raw_bytes.0)).collect();
        let chain = chain?;
        if chain.is_empty() {
            return Err(SigstoreError::malformed(FILE, "an authority has no certificates"));
        }
        Ok(Authority { chain, period: self.valid_for.read(FILE)? })
    }
}

impl PeriodText {
    /// Reads the period of a log's key, which must say when it begins.
    fn begun(self) -> Result<Period, SigstoreError> {
        let period = self.read(FILE)?;
        let missing = || SigstoreError::malformed(FILE, "it does not say from when on the key of a log is good (validFor.start)");
        period.start.map(|_| period).ok_or_else(missing)
    }

    pub(super) fn read(self, file: &'static str) -> Result<Period, SigstoreError> {
        let time = |text: Option<String>| {
            let wrong = |text: &str| SigstoreError::malformed(file, format!("\"{}\" is no time", text.escape_debug()));
            text.map(|text| chrono::DateTime::parse_from_rfc3339(&text).map(|time| Timestamp(time.timestamp())).map_err(|_| wrong(&text)))
                .transpose()
        };
        Ok(Period { start: time(self.start)?, end: time(self.end)? })
    }
}
