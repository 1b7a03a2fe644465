//! Entries of a Rekor v2 log: what is sent, what the log makes of it, and what it answers.
//!
//! The entry is a hashedrekord 0.0.2. The log writes it as JSON in canonical form (RFC 8785), which is the leaf of its tree. A
//! reader knows every value of it beforehand, so it is made again here and compared byte for byte instead of being read.

use serde::{Deserialize, Serialize};

use super::public_key::PublicKey;
use super::{Octets, SigstoreError};
use crate::words::digest::Sha256;

/// The longest answer of a log in bytes.
pub const LONGEST_ANSWER: usize = 1 << 20;

/// Most hashes of one path: a log has fewer than 2^64 entries.
const LONGEST_PATH: usize = 64;

/// Who signed, as an entry names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verifier {
    /// A public key.
    Key(PublicKey),
    /// The key in this certificate, in DER.
    Certificate(Vec<u8>),
}

/// A signature over a digest, for a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// SHA-256 of the signed bytes.
    pub digest: Sha256,
    /// ECDSA on P-256 in DER.
    pub signature: Vec<u8>,
    /// Who signed.
    pub verifier: Verifier,
}

/// The key type and digest of every entry that is made or read here.
const DETAILS: &str = "PKIX_ECDSA_P256_SHA_256";

impl Submission {
    fn parts(&self) -> (String, String, String) {
        let (field, raw) = match &self.verifier {
            Verifier::Key(key) => ("publicKey", key.to_der()),
            Verifier::Certificate(certificate) => ("x509Certificate", certificate.clone()),
        };
        let verifier = format!(r#"{{"keyDetails":"{DETAILS}","{field}":{{"rawBytes":"{}"}}}}"#, Octets(raw).encode());
        (Octets(self.digest.as_bytes().to_vec()).encode(), Octets(self.signature.clone()).encode(), verifier)
    }

    /// Returns the body of the request `POST /api/v2/log/entries`.
    pub fn request(&self) -> String {
        let (digest, signature, verifier) = self.parts();
        format!(r#"{{"hashedRekordRequestV002":{{"digest":"{digest}","signature":{{"content":"{signature}","verifier":{verifier}}}}}}}"#)
    }

    /// Returns the leaf that the log makes of it.
    pub fn leaf(&self) -> Vec<u8> {
        let (digest, signature, verifier) = self.parts();
        let data = format!(r#"{{"algorithm":"SHA2_256","digest":"{digest}"}}"#);
        let record = format!(r#"{{"data":{data},"signature":{{"content":"{signature}","verifier":{verifier}}}}}"#);
        format!(r#"{{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{{"hashedRekordV002":{record}}}}}"#).into_bytes()
    }
}

/// `TransparencyLogEntry` of `sigstore_rekor.proto`: the log's answer, and a part of every bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LogEntry {
    /// The entry's number in the log.
    #[serde(default = "zero", with = "number")]
    pub log_index: u64,
    /// The log.
    pub log_id: LogId,
    /// What the entry is.
    pub kind_version: KindVersion,
    /// When the log says that it took the entry; logs of version 2 say 0.
    #[serde(default = "zero", with = "number", skip_serializing_if = "is_zero")]
    integrated_time: u64,
    /// A promise of a log of version 1.
    #[serde(default, skip_serializing)]
    inclusion_promise: Nothing,
    /// That the entry is in the log.
    pub inclusion_proof: InclusionProof,
    /// The leaf.
    pub canonicalized_body: Octets,
}

/// Names a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LogId {
    /// See [`super::checkpoint::LogKey::id`].
    pub key_id: Octets,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindVersion {
    /// `hashedrekord`
    pub kind: String,
    /// `0.0.2`
    pub version: String,
}

/// That an entry is in a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct InclusionProof {
    /// The entry's number.
    #[serde(default = "zero", with = "number")]
    pub log_index: u64,
    /// The root of the tree.
    pub root_hash: Octets,
    /// How many entries the tree has.
    #[serde(with = "number")]
    pub tree_size: u64,
    /// The hashes beside the path, from the leaf upwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hashes: Vec<Octets>,
    /// The head of the tree.
    pub checkpoint: SignedCheckpoint,
}

/// A checkpoint with its signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedCheckpoint {
    /// The signed note.
    pub envelope: String,
}

/// A field that is left out or null.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Nothing;

impl<'de> Deserialize<'de> for Nothing {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <()>::deserialize(deserializer).map(|()| Self)
    }
}

fn zero() -> u64 {
    0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Whole numbers in protobuf's JSON form: decimal digits in a string.
mod number {
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
    pub(super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        let plain = text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
        // An int64.
        let number = text.parse().ok().filter(|number| plain && i64::try_from(*number).is_ok());
        number.ok_or_else(|| serde::de::Error::custom(format!("\"{}\" is no whole number", text.escape_debug())))
    }
}

impl LogEntry {
    /// Reads a log's answer. Fields that later versions of the log may add are passed over.
    ///
    /// # Errors
    /// It is not an entry of the kind that is made here.
    pub fn parse(answer: &[u8]) -> Result<Self, SigstoreError> {
        let wrong = |fault: String| SigstoreError::malformed("the log's answer", fault);
        if answer.len() > LONGEST_ANSWER {
            return Err(wrong("it is too long".to_owned()));
        }
        let mut fields: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(answer).map_err(|fault| wrong(fault.to_string()))?;
        let known = ["logIndex", "logId", "kindVersion", "integratedTime", "inclusionPromise", "inclusionProof", "canonicalizedBody"];
        fields.retain(|name, _| known.contains(&name.as_str()));
        let entry: Self = serde_json::from_value(fields.into()).map_err(|fault| wrong(fault.to_string()))?;
        entry.check()?;
        Ok(entry)
    }

    /// Reads an entry as it stands in a bundle of another kind than that of a Release.
    ///
    /// # Errors
    /// It is not an entry of the kind that is made here.
    pub(crate) fn of(entry: &serde_json::Value) -> Result<Self, SigstoreError> {
        let read: Result<Self, _> = serde_json::from_value(entry.clone());
        let entry = read.map_err(|fault| SigstoreError::malformed("the log's entry", fault))?;
        entry.check()?;
        Ok(entry)
    }

    /// Checks what the types do not say: kind and lengths.
    pub(super) fn check(&self) -> Result<(), SigstoreError> {
        let wrong = |fault: &str| SigstoreError::malformed("the log's entry", fault);
        if self.kind_version.kind != "hashedrekord" || self.kind_version.version != "0.0.2" {
            let KindVersion { kind, version } = &self.kind_version;
            return Err(wrong(&format!("it is a \"{}\" {}, not a hashedrekord 0.0.2", kind.escape_debug(), version.escape_debug())));
        }
        if self.inclusion_proof.hashes.len() > LONGEST_PATH {
            return Err(wrong("its path is too long"));
        }
        if self.log_index != self.inclusion_proof.log_index {
            return Err(wrong("it has two numbers"));
        }
        if self.integrated_time != 0 {
            return Err(wrong("it has a time, which logs of version 2 do not give"));
        }
        Ok(())
    }
}
