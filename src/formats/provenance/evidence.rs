//! What a build job left as provenance: a DSSE envelope, or a bundle of Sigstore (`sigstore_bundle.proto`, version 0.3) around one.
//!
//! A bundle's timestamps and log entries are kept as they are; whoever trusts a certificate reads them.

use serde::Deserialize;

use super::dsse::Envelope;
use super::in_toto::Statement;
use super::{LONGEST, ProvenanceError};
use crate::formats::sigstore::Octets;
use crate::formats::sigstore::bundle::{CertificateBytes, KeyHint, MEDIA_TYPE, SignedTimestamp, TimestampVerificationData};
use crate::formats::sigstore::certificate::Certificate;

/// Endings of the names of files that are provenance.
pub const ENDINGS: [&str; 4] = [".intoto.jsonl", ".intoto.json", ".dsse.json", ".sigstore.json"];

/// What it is called in messages.
const WHAT: &str = "the provenance";

/// Most entries and most timestamps of one bundle.
const MOST: usize = 32;

/// Provenance that nobody has checked yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The envelope.
    pub envelope: Envelope,
    /// What shows who signed; `None` where a key alone does.
    pub certified: Option<Certified>,
}

/// What shows who signed with a certificate.
#[derive(Debug, Clone, PartialEq)]
pub struct Certified {
    /// The certificate in DER.
    pub certificate: Octets,
    /// Entries of logs, not read yet.
    pub entries: Vec<serde_json::Value>,
    /// Answers of timestamp authorities.
    pub timestamps: Vec<SignedTimestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct BundleText {
    #[serde(rename = "mediaType")]
    _media_type: serde::de::IgnoredAny,
    verification_material: MaterialText,
    dsse_envelope: Envelope,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct MaterialText {
    #[serde(default)]
    public_key: Option<KeyHint>,
    #[serde(default)]
    certificate: Option<CertificateBytes>,
    #[serde(default)]
    tlog_entries: Vec<serde_json::Value>,
    #[serde(default)]
    timestamp_verification_data: Option<TimestampVerificationData>,
}

/// Which of the two it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    #[serde(default)]
    media_type: Option<String>,
}

impl Evidence {
    /// Reads an envelope or a bundle.
    ///
    /// # Errors
    /// It is neither, several of them, or longer than any may be.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProvenanceError> {
        let wrong = |fault: String| ProvenanceError::malformed(WHAT, fault);
        if bytes.len() > LONGEST {
            return Err(wrong(format!("it has {} bytes, more than {LONGEST}", bytes.len())));
        }
        let kind: Kind = serde_json::from_slice(bytes).map_err(|fault| wrong(fault.to_string()))?;
        let Some(media_type) = kind.media_type else {
            return Ok(Self { envelope: Envelope::parse(bytes)?, certified: None });
        };
        if media_type != MEDIA_TYPE {
            return Err(wrong(format!("its media type is \"{}\", not {MEDIA_TYPE}", media_type.escape_debug())));
        }
        let BundleText { verification_material, dsse_envelope, .. } =
            serde_json::from_slice(bytes).map_err(|fault| wrong(fault.to_string()))?;
        let MaterialText { public_key, certificate, tlog_entries, timestamp_verification_data } = verification_material;
        if public_key.is_some() == certificate.is_some() {
            return Err(wrong("it must name a public key or hold a certificate, one of them".to_owned()));
        }
        let timestamps = timestamp_verification_data.unwrap_or_default().rfc3161_timestamps;
        if tlog_entries.len() > MOST || timestamps.len() > MOST {
            return Err(wrong(format!("it has more than {MOST} log entries or timestamps")));
        }
        let certified =
            certificate.map(|CertificateBytes { raw_bytes: certificate }| Certified { certificate, entries: tlog_entries, timestamps });
        Ok(Self { envelope: dsse_envelope.checked()?, certified })
    }

    /// Reads the statement, which counts only where a signature holds.
    ///
    /// # Errors
    /// It is none.
    pub fn statement(&self) -> Result<Statement, ProvenanceError> {
        Statement::parse(self.envelope.payload())
    }

    /// Says who claims to have signed, which nobody has checked.
    pub fn claimed_signer(&self) -> String {
        if let Some(certified) = &self.certified {
            let certificate = Certificate::parse(&certified.certificate.0).ok();
            let named = certificate.and_then(|certificate| Some((certificate.subject().ok()?, certificate.vouched_by().ok()?)));
            return named.map_or_else(
                || "a certificate without a usable name".to_owned(),
                |(name, issuer)| format!("{} ({})", name.escape_debug(), issuer.escape_debug()),
            );
        }
        let keyids: Vec<String> = self.envelope.signatures().iter().map(|signature| signature.keyid.escape_debug().to_string()).collect();
        let shown = |keyid: &String| if keyid.is_empty() { "without name".to_owned() } else { keyid.clone() };
        match keyids.as_slice() {
            [] => "nobody".to_owned(),
            keyids => format!("the key {}", keyids.iter().map(shown).collect::<Vec<_>>().join(", ")),
        }
    }
}

/// Tells whether a file is provenance, by its name.
pub fn is_named(file: &str) -> bool {
    ENDINGS.iter().any(|ending| file.len() > ending.len() && file.ends_with(ending))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::formats::provenance::dsse::tests::key;
    use p256::elliptic_curve::rand_core::OsRng;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn envelope() -> Value {
        serde_json::from_slice(&Envelope::sign(b"{}".to_vec(), &key(1), &mut OsRng).unwrap().encode()).unwrap()
    }

    fn bundle(material: Value) -> Vec<u8> {
        serde_json::to_vec(&json!({"mediaType": MEDIA_TYPE, "verificationMaterial": material, "dsseEnvelope": envelope()})).unwrap()
    }

    #[test]
    fn an_envelope_is_found_alone_and_in_a_bundle() {
        let alone = Evidence::parse(&serde_json::to_vec(&envelope()).unwrap()).unwrap();
        let named = Evidence::parse(&bundle(json!({"publicKey": {"hint": "x"}, "tlogEntries": [{"any": 1}]}))).unwrap();
        assert_eq!((&named.envelope, &named.certified), (&alone.envelope, &None));
        assert!(alone.claimed_signer().starts_with("the key "));
        let certified = Evidence::parse(&bundle(json!({"certificate": {"rawBytes": "AAAA"}}))).unwrap();
        assert_eq!(certified.claimed_signer(), "a certificate without a usable name");
    }

    #[test]
    fn other_bundles_and_several_envelopes_are_refused() {
        let refused = |bytes: &[u8], expected: &str| {
            let said = Evidence::parse(bytes).unwrap_err().to_string();
            assert!(said.contains(expected), "{said}");
        };
        refused(&bundle(json!({})), "one of them");
        refused(&bundle(json!({"publicKey": {}, "certificate": {"rawBytes": ""}})), "one of them");
        refused(&bundle(json!({"publicKey": {}, "surprise": 1})), "surprise");
        refused(&bundle(json!({"publicKey": {}, "tlogEntries": vec![1; 33]})), "more than 32");
        refused(&String::from_utf8(bundle(json!({"publicKey": {}}))).unwrap().replace("v0.3", "v0.2").into_bytes(), "media type");
        let line = serde_json::to_string(&envelope()).unwrap();
        refused(format!("{line}\n{line}\n").as_bytes(), "trailing");
        refused(b"[]", "cannot be read");
    }

    #[test]
    fn a_name_says_what_it_is() {
        for name in ["hello_1.intoto.jsonl", "a.dsse.json", "a.sigstore.json", "a.intoto.json"] {
            assert!(is_named(name));
        }
        assert!(!is_named("a.json") && !is_named(".dsse.json"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 0..6)) {
            let mut changed = bundle(json!({"certificate": {"rawBytes": "AAAA"}, "timestampVerificationData": {"rfc3161Timestamps": []}}));
            let at = at.index(changed.len());
            let end = (at + 3).min(changed.len());
            changed.splice(at..end, bytes.iter().copied());
            let _ = Evidence::parse(&changed).map(|evidence| evidence.claimed_signer());
            let _ = Evidence::parse(&bytes);
        }
    }
}
