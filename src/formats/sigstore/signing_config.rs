//! `signing_config.json`: the addresses of logs, timestamp and certificate authorities, and from when to when each is in use
//! (`sigstore_trustroot.proto`, version 0.2).
//!
//! Only services of the versions that are spoken here are named: logs of version 2, authorities of version 1. Where several
//! are in use, the one that began last comes first.

use serde::Deserialize;

use super::SigstoreError;
use super::trusted_root::{Period, PeriodText};
use crate::words::date::Timestamp;

/// The longest signing configuration in bytes.
pub const LONGEST: usize = 1 << 20;

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.signingconfig.v0.2+json";

/// Where to sign.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SigningConfig {
    logs: Vec<Service>,
    timestamp_authorities: Vec<Service>,
    certificate_authorities: Vec<Service>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Service {
    url: String,
    period: Period,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigText {
    media_type: String,
    #[serde(default)]
    rekor_tlog_urls: Vec<ServiceText>,
    #[serde(default)]
    tsa_urls: Vec<ServiceText>,
    #[serde(default)]
    ca_urls: Vec<ServiceText>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServiceText {
    url: String,
    major_api_version: u32,
    #[serde(default)]
    valid_for: PeriodText,
}

impl SigningConfig {
    /// Reads a signing configuration.
    ///
    /// # Errors
    /// It is of another version, or not of the form that the version gives.
    pub fn parse(bytes: &[u8]) -> Result<Self, SigstoreError> {
        let wrong = |fault: String| SigstoreError::malformed("the signing configuration", fault);
        if bytes.len() > LONGEST {
            return Err(wrong("it is too long".to_owned()));
        }
        let text: ConfigText = serde_json::from_slice(bytes).map_err(|fault| wrong(fault.to_string()))?;
        if text.media_type != MEDIA_TYPE {
            return Err(wrong(format!("its media type is \"{}\", not {MEDIA_TYPE}", text.media_type.escape_debug())));
        }
        let read = |services: Vec<ServiceText>, version| {
            let mut known = Vec::new();
            for service in services.into_iter().filter(|service| service.major_api_version == version) {
                if !service.url.starts_with("https://") && !service.url.starts_with("http://") {
                    return Err(wrong(format!("\"{}\" is no http or https address", service.url.escape_debug())));
                }
                known.push(Service { url: service.url, period: service.valid_for.read("the signing configuration")? });
            }
            known.sort_by_key(|service| std::cmp::Reverse(service.period.start));
            Ok(known)
        };
        Ok(Self {
            logs: read(text.rekor_tlog_urls, 2)?,
            timestamp_authorities: read(text.tsa_urls, 1)?,
            certificate_authorities: read(text.ca_urls, 1)?,
        })
    }

    /// Returns the addresses of the logs that are in use at a time.
    pub fn logs(&self, time: Timestamp) -> Vec<String> {
        in_use(&self.logs, time)
    }

    /// Returns the addresses of the certificate authorities (Fulcio) that are in use at a time.
    pub fn certificate_authorities(&self, time: Timestamp) -> Vec<String> {
        in_use(&self.certificate_authorities, time)
    }

    /// Returns the addresses of the timestamp authorities that are in use at a time.
    pub fn timestamp_authorities(&self, time: Timestamp) -> Vec<String> {
        in_use(&self.timestamp_authorities, time)
    }
}

fn in_use(services: &[Service], time: Timestamp) -> Vec<String> {
    services.iter().filter(|service| service.period.contains(time)).map(|service| service.url.clone()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn with(logs: &str) -> String {
        format!(r#"{{"mediaType":"{MEDIA_TYPE}","rekorTlogUrls":[{logs}],"rekorTlogConfig":{{"selector":"ANY"}}}}"#)
    }

    #[test]
    fn the_newest_log_of_a_known_version_that_is_in_use_comes_first() {
        let log = |url: &str, version: u32, period: &str| format!(r#"{{"url":"{url}","majorApiVersion":{version},"validFor":{period}}}"#);
        let logs = [
            log("https://one.example", 1, r#"{"start":"2021-01-12T11:53:27Z"}"#),
            log("https://old.example", 2, r#"{"start":"2025-01-01T00:00:00Z","end":"2026-01-01T00:00:00Z"}"#),
            log("https://now.example", 2, r#"{"start":"2025-10-01T00:00:00Z"}"#),
            log("https://later.example", 2, r#"{"start":"2027-01-01T00:00:00.000Z"}"#),
        ];
        let config = SigningConfig::parse(with(&logs.join(",")).as_bytes()).unwrap();
        let at = |text: &str| config.logs(text.parse().unwrap());
        assert_eq!(at("2025-11-01T00:00:00Z"), ["https://now.example", "https://old.example"]);
        assert_eq!(at("2026-11-01T00:00:00Z"), ["https://now.example"]);
        assert_eq!(at("2027-11-01T00:00:00Z"), ["https://later.example", "https://now.example"]);
        assert!(at("2020-01-01T00:00:00Z").is_empty());
        assert!(config.timestamp_authorities(Timestamp(0)).is_empty());
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            String::new(),
            "[]".to_owned(),
            with("").replace("v0.2", "v0.1"),
            with(r#"{"url":"ftp://x","majorApiVersion":2}"#),
            with(r#"{"url":"https://x","majorApiVersion":"2"}"#),
            with(r#"{"url":"https://x","majorApiVersion":2,"validFor":{"start":"yesterday"}}"#),
        ] {
            assert!(SigningConfig::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
