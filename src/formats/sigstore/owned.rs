//! Which entries of a Rekor v2 log are by a signer of ours, and what they are about.
//!
//! An entry is looked through for our key, or for the name that certificates give us, whatever its kind: in the form of ddb's own
//! entries, in a certificate, as a point with or without its second half, in PEM, in hexadecimal, in base64 within base64 (`carried`).
//! What it is about counts only where the entry is, byte for byte, the one that the log makes of a digest and a signature (see
//! [`super::entry`]) and the signature is the signer's.
//!
//! Anybody can log a certificate of his own making with our name in it, which nobody accepts: only one of a trusted certificate
//! authority makes an entry ours.

use serde::Deserialize;

use super::Octets;
use super::carried;
use super::certificate::{Certificate, Purpose};
use super::entry::{Submission, Verifier};
use super::public_key::PublicKey;
use super::signer::Signer;
use super::trusted_root::{Authority, Period, TrustedRoot};
use crate::words::digest::Sha256;

/// What an entry by a signer of ours is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnEntry {
    /// Bytes with this SHA-256 were signed.
    Signed(Sha256),
    /// The entry says so of these bytes, but the signature does not hold: the log took what it should not take.
    Forged(Sha256),
    /// The signer stands in an entry of another kind or form.
    Other,
}

/// A signer of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnSigner {
    signer: Signer,
    needle: Vec<u8>,
    authorities: Vec<Authority>,
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
}

impl OwnSigner {
    /// Looks for entries by this signer; certificates count that are by an authority of one of these roots.
    pub fn new(signer: Signer, roots: &[&TrustedRoot]) -> Self {
        let needle = match &signer {
            Signer::Key(key) => key.significant(),
            Signer::Identity { subject, .. } => subject.as_bytes().to_vec(),
        };
        let mut authorities: Vec<Authority> = Vec::new();
        for authority in roots.iter().flat_map(|root| &root.certificate_authorities) {
            // When clients took a certificate is not asked: whatever was logged in our name is to be seen.
            let authority = Authority { period: Period::default(), ..authority.clone() };
            if !authorities.contains(&authority) {
                authorities.push(authority);
            }
        }
        Self { signer, needle, authorities }
    }

    /// Returns by what it shows whether entries that were looked through may be looked through again with another result: the
    /// signer's fingerprint, and for a name that of every authority's certificates with it.
    pub fn fingerprints(&self) -> Vec<Sha256> {
        let own = self.signer.fingerprint();
        match &self.signer {
            Signer::Key(_) => vec![own],
            Signer::Identity { .. } => {
                let chain = |authority: &Authority| authority.chain.iter().flat_map(|certificate| certificate.der().to_vec()).collect();
                let with = |bytes: Vec<u8>| Sha256::of(&[own.as_bytes(), &bytes[..]].concat());
                self.authorities.iter().map(chain).map(with).chain([own]).collect()
            }
        }
    }

    /// Returns what an entry is, where it is by this signer.
    pub fn find(&self, entry: &[u8]) -> Option<OwnEntry> {
        if !carried::carries(entry, &self.needle) {
            return None;
        }
        match &self.signer {
            Signer::Key(key) => Some(of_record(entry, key, Verifier::Key(key.clone())).unwrap_or(OwnEntry::Other)),
            Signer::Identity { subject, issuer } => {
                let own = certificates(entry).into_iter().find(|certificate| self.is_ours(certificate, subject, issuer))?;
                Some(of_certificate(entry, &own).unwrap_or(OwnEntry::Other))
            }
        }
    }

    /// Tells whether a trusted authority gave a certificate to this name, whenever that was.
    fn is_ours(&self, certificate: &Certificate, subject: &str, issuer: &str) -> bool {
        let named = certificate.subject().is_ok_and(|name| name == subject) && certificate.vouched_by().is_ok_and(|name| name == issuer);
        let by = |authority| certificate.check(Purpose::CodeSigning, certificate.begins(), authority, &[]).is_ok();
        named && self.authorities.iter().any(by)
    }
}

fn of_certificate(entry: &[u8], certificate: &Certificate) -> Option<OwnEntry> {
    of_record(entry, &certificate.key().ok()?, Verifier::Certificate(certificate.der().to_vec()))
}

fn of_record(entry: &[u8], key: &PublicKey, verifier: Verifier) -> Option<OwnEntry> {
    let RecordText { data, signature } = serde_json::from_slice::<EntryText>(entry).ok()?.spec.record;
    let digest = Sha256::from_bytes(data.digest.0.try_into().ok()?);
    let signature = signature.content.0;
    let good = key.signed_digest(digest.as_bytes(), &signature);
    let submission = Submission { digest, signature, verifier };
    (submission.leaf() == entry).then_some(if good { OwnEntry::Signed(digest) } else { OwnEntry::Forged(digest) })
}

/// Returns every certificate that stands in an entry of any kind, in DER or PEM, in base64 or as text.
fn certificates(entry: &[u8]) -> Vec<Certificate> {
    let mut found = Vec::new();
    if let Ok(value) = serde_json::from_slice(entry) {
        collect(&value, &mut found);
    }
    found
}

fn collect(value: &serde_json::Value, found: &mut Vec<Certificate>) {
    match value {
        serde_json::Value::String(text) => {
            let decoded = Octets::decode(text).map(|octets| octets.0).unwrap_or_default();
            let in_pem = |bytes: &[u8]| der::pem::decode_vec(bytes.trim_ascii()).map(|(_, der)| der).unwrap_or_default();
            let (within, plain) = (in_pem(&decoded), in_pem(text.as_bytes()));
            found.extend([decoded, within, plain].iter().filter_map(|der| Certificate::parse(der).ok()));
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        serde_json::Value::Object(values) => values.values().for_each(|value| collect(value, found)),
        _ => {}
    }
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

    fn own(pem: &str) -> OwnSigner {
        OwnSigner::new(Signer::Key(PublicKey::from_pem(pem).unwrap()), &[])
    }

    #[test]
    fn a_real_entry_is_found_by_its_key_and_by_no_other() {
        let entry = entry();
        assert_eq!(own(KEY).find(&entry), Some(OwnEntry::Signed(Sha256::of(RELEASE))));
        assert_eq!(own(OTHER).find(&entry), None);
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
        }
    }
}
