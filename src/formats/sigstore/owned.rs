//! Which entries of a Rekor v2 log carry a key of ours, and what they are about.
//!
//! An entry is looked through for the key, whatever its kind: in the form of ddb's own entries, in a certificate, as a point with or
//! without its second half, in PEM, in hexadecimal, in base64 within base64 (`carried`). What it is about counts only where the entry is, byte for byte, the one that the log makes of a digest and a signature (see
//! [`super::entry`]) and the signature is the key's.

use serde::Deserialize;

use super::Octets;
use super::carried;
use super::entry::{Submission, Verifier};
use super::public_key::PublicKey;
use crate::words::digest::Sha256;

/// What an entry with our key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnEntry {
    /// The key signed bytes with this SHA-256.
    Signed(Sha256),
    /// The entry says so of these bytes, but the signature is not the key's: the log took what it should not take.
    Forged(Sha256),
    /// The key stands in an entry of another kind or form.
    Other,
}

/// A key of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnKey {
    key: PublicKey,
    needle: Vec<u8>,
}

#[derive(Deserialize)]
struct EntryText {
    spec: SpecText,
}

#[derive(Deserialize)]
struct SpecText {
    #[serde(rename = "hashedRekordV002")]
    record: RecordText,
}

#[derive(Deserialize)]
struct RecordText {
    data: DataText,
    signature: SignatureText,
}

#[derive(Deserialize)]
struct DataText {
    digest: Octets,
}

#[derive(Deserialize)]
struct SignatureText {
    content: Octets,
    verifier: VerifierText,
}

#[derive(Deserialize)]
struct VerifierText {
    #[serde(rename = "publicKey")]
    key: Option<KeyText>,
}

#[derive(Deserialize)]
struct KeyText {
    #[serde(rename = "rawBytes")]
    raw: Octets,
}

impl OwnKey {
    /// Looks for this key.
    pub fn new(key: PublicKey) -> Self {
        let needle = key.significant();
        Self { key, needle }
    }

    /// Returns the SHA-256 of the key in DER.
    pub fn fingerprint(&self) -> Sha256 {
        self.key.fingerprint()
    }

    /// Returns what an entry is, where it carries this key.
    pub fn find(&self, entry: &[u8]) -> Option<OwnEntry> {
        if !carried::carries(entry, &self.needle) {
            return None;
        }
        Some(self.of_record(entry).unwrap_or(OwnEntry::Other))
    }

    fn of_record(&self, entry: &[u8]) -> Option<OwnEntry> {
        let RecordText { data, signature, .. } = record(entry)?;
        let digest = Sha256::from_bytes(data.digest.0.try_into().ok()?);
        let signature = signature.content.0;
        let good = self.key.signed_digest(digest.as_bytes(), &signature);
        let submission = Submission { digest, signature, verifier: Verifier::Key(self.key.clone()) };
        (submission.leaf() == entry).then_some(if good { OwnEntry::Signed(digest) } else { OwnEntry::Forged(digest) })
    }
}

/// Returns the key that an entry is by, where it names one.
pub fn key_of(entry: &[u8]) -> Option<PublicKey> {
    PublicKey::from_der(&record(entry)?.signature.verifier.key?.raw.0).ok()
}

fn record(entry: &[u8]) -> Option<RecordText> {
    serde_json::from_slice(entry).ok().map(|EntryText { spec }| spec.record)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::formats::sigstore::entry::LogEntry;

    /// What a real log answered, with its entry.
    const ANSWER: &[u8] = include_bytes!("../../../tests/data/sigstore/answer.json");
    const KEY: &str = include_str!("../../../tests/data/sigstore/submit.pub");
    const OTHER: &str = include_str!("../../../tests/data/sigstore/other.pub");
    const RELEASE: &[u8] = include_bytes!("../../../tests/data/sigstore/Release");

    fn entry() -> Vec<u8> {
        serde_json::from_slice::<LogEntry>(ANSWER).unwrap().canonicalized_body.0
    }

    fn own(pem: &str) -> OwnKey {
        OwnKey::new(PublicKey::from_pem(pem).unwrap())
    }

    #[test]
    fn a_real_entry_is_found_by_its_key_and_by_no_other() {
        let entry = entry();
        assert_eq!(own(KEY).find(&entry), Some(OwnEntry::Signed(Sha256::of(RELEASE))));
        assert_eq!(own(OTHER).find(&entry), None);
        assert_eq!(key_of(&entry), Some(PublicKey::from_pem(KEY).unwrap()));
    }

    #[test]
    fn an_entry_in_another_form_or_with_another_signature_is_not_passed_over() {
        let text = String::from_utf8(entry()).unwrap();
        let digest = Octets(Sha256::of(RELEASE).as_bytes().to_vec()).encode();
        let other = Sha256::of(b"other");
        let forged = text.replace(&digest, &Octets(other.as_bytes().to_vec()).encode());
        assert_eq!(own(KEY).find(forged.as_bytes()), Some(OwnEntry::Forged(other)));
        for changed in
            [text.replace("hashedrekord", "dsse"), format!("{text} "), text.replace("\"spec\":", "\"spec\": "), text.replace(&digest, "")]
        {
            assert_ne!(changed, text);
            assert_eq!(own(KEY).find(changed.as_bytes()), Some(OwnEntry::Other), "{changed}");
        }
        let mut bytes = text.clone().into_bytes();
        bytes.push(0xff);
        assert_eq!(own(KEY).find(&bytes), Some(OwnEntry::Other));
    }

    #[test]
    fn an_entry_that_carries_the_key_in_another_form_is_not_passed_over() {
        let key = PublicKey::from_pem(KEY).unwrap();
        let der = key.to_der();
        let PublicKey::P256(point) = &key else { unreachable!() };
        let compressed = point.to_encoded_point(true).as_bytes().to_vec();
        // A certificate holds the key as it is; what stands around it does not matter.
        let certificate = [&[0x30; 300][..], &der, &[0x5a; 120]].concat();
        for form in [KEY.as_bytes().to_vec(), compressed, certificate, der] {
            let verifier = serde_json::json!({ "x509Certificate": { "rawBytes": Octets(form).encode() } });
            let entry =
                serde_json::json!({ "kind": "dsse", "spec": { "dsseV002": { "signatures": [{ "verifier": verifier }] } } }).to_string();
            assert_eq!(own(KEY).find(entry.as_bytes()), Some(OwnEntry::Other), "{entry}");
            assert_eq!(own(OTHER).find(entry.as_bytes()), None, "{entry}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_changed_entry_is_never_taken_for_a_good_one(at in 0..700usize, byte in proptest::num::u8::ANY, cut in 0..900usize) {
            let (good, key) = (entry(), own(KEY));
            let mut bytes = good.clone();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.truncate(cut);
            let signed = matches!(key.find(&bytes), Some(OwnEntry::Signed(_)));
            proptest::prop_assert_eq!(signed, bytes == good);
            let _ = key_of(&bytes);
        }
    }
}
