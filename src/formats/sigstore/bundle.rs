//! `Release.sigstore.json`: a signature, who made it, the log's entry and timestamps (`sigstore_bundle.proto`, version 0.3).

use serde::{Deserialize, Serialize};

use super::entry::{LogEntry, Submission, Verifier};
use super::{Octets, SigstoreError};

/// The media type of a bundle.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// The longest bundle in bytes.
pub const LONGEST: usize = 1 << 20;

/// Most entries and most timestamps of one bundle.
const MOST: usize = 32;

/// A bundle that nobody has checked yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Bundle {
    media_type: String,
    /// What a verifier needs beside what it trusts.
    pub verification_material: VerificationMaterial,
    /// The signature.
    pub message_signature: MessageSignature,
}

/// What a verifier needs beside what it trusts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct VerificationMaterial {
    /// Names the public key that signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<KeyHint>,
    /// The certificate of the key that signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateBytes>,
    /// Entries of logs.
    pub tlog_entries: Vec<LogEntry>,
    /// Timestamps over the signature.
    #[serde(default, skip_serializing_if = "TimestampVerificationData::is_empty")]
    pub timestamp_verification_data: TimestampVerificationData,
}

/// Names a public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyHint {
    /// SHA-256 of the key in DER, in base64; a help for finding it, which nothing depends on.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CertificateBytes {
    /// In DER.
    pub raw_bytes: Octets,
}

/// Timestamps over the signature.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TimestampVerificationData {
    /// Answers of timestamp authorities.
    #[serde(default)]
    pub rfc3161_timestamps: Vec<SignedTimestamp>,
}

/// An answer of a timestamp authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SignedTimestamp {
    /// TimeStampResp in DER.
    pub signed_timestamp: Octets,
}

/// The signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct MessageSignature {
    /// What is signed.
    pub message_digest: MessageDigest,
    /// ECDSA in DER.
    pub signature: Octets,
}

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageDigest {
    /// `SHA2_256`
    pub algorithm: String,
    /// The digest.
    pub digest: Octets,
}

impl TimestampVerificationData {
    fn is_empty(&self) -> bool {
        self.rfc3161_timestamps.is_empty()
    }
}

impl Bundle {
    /// Puts together what was sent to a log, what it answered, and answers of timestamp authorities.
    pub fn new(submission: &Submission, entry: LogEntry, timestamps: Vec<Vec<u8>>) -> Self {
        let (public_key, certificate) = match &submission.verifier {
            Verifier::Key(key) => (Some(KeyHint { hint: Octets(key.fingerprint().as_bytes().to_vec()).encode() }), None),
            Verifier::Certificate(der) => (None, Some(CertificateBytes { raw_bytes: Octets(der.clone()) })),
        };
        let timestamps = timestamps.into_iter().map(|answer| SignedTimestamp { signed_timestamp: Octets(answer) });
        Self {
            media_type: MEDIA_TYPE.to_owned(),
            verification_material: VerificationMaterial {
                public_key,
                certificate,
                tlog_entries: vec![entry],
                timestamp_verification_data: TimestampVerificationData { rfc3161_timestamps: timestamps.collect() },
            },
            message_signature: MessageSignature {
                message_digest: MessageDigest { algorithm: "SHA2_256".to_owned(), digest: Octets(submission.digest.as_bytes().to_vec()) },
                signature: Octets(submission.signature.clone()),
            },
        }
    }

    /// Reads a bundle.
    ///
    /// # Errors
    /// It is of another version, has a field that is not known, or is longer than any may be.
    pub fn parse(bytes: &[u8]) -> Result<Self, SigstoreError> {
        let wrong = |fault: String| SigstoreError::malformed("the bundle", fault);
        if bytes.len() > LONGEST {
            return Err(wrong(format!("it has {} bytes, more than {LONGEST}", bytes.len())));
        }
        let bundle: Self = serde_json::from_slice(bytes).map_err(|fault| wrong(fault.to_string()))?;
        if bundle.media_type != MEDIA_TYPE {
            return Err(wrong(format!("its media type is \"{}\", not {MEDIA_TYPE}", bundle.media_type.escape_debug())));
        }
        let material = &bundle.verification_material;
        if material.public_key.is_some() == material.certificate.is_some() {
            return Err(wrong("it must name a public key or hold a certificate, one of them".to_owned()));
        }
        if !(1..=MOST).contains(&material.tlog_entries.len()) {
            return Err(wrong(format!("it has {} log entries; 1 to {MOST} are read", material.tlog_entries.len())));
        }
        if material.timestamp_verification_data.rfc3161_timestamps.len() > MOST {
            return Err(wrong(format!("it has more than {MOST} timestamps")));
        }
        if bundle.message_signature.message_digest.algorithm != "SHA2_256" {
            return Err(wrong("its digest is no SHA2_256".to_owned()));
        }
        material.tlog_entries.iter().try_for_each(LogEntry::check)?;
        Ok(bundle)
    }

    /// Returns the JSON in one line, without line feed at its end.
    pub fn encode(&self) -> Vec<u8> {
        // Strings and lists of strings always have a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }
}
