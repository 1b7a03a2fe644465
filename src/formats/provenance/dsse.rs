//! DSSE envelopes (secure-systems-lab/dsse, `protocol.md` and `envelope.md`, v1): a payload, its type, and signatures over both.
//!
//! What is signed is the pre-authentication encoding (PAE), so nothing is parsed before a signature holds. As the specification
//! wants it, fields that are not known are passed over. Base64 is read in its standard form only.

use serde::{Deserialize, Serialize};

use super::key::{SecretKey, key_id};
use super::{LONGEST, ProvenanceError};
use crate::formats::sigstore::Octets;
use crate::formats::sigstore::public_key::PublicKey;

/// The type of in-toto statements.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// What it is called in messages.
const WHAT: &str = "the envelope";

/// Most signatures of one envelope.
const MOST: usize = 32;

/// An envelope that nobody has checked yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    payload: Octets,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeSignature {
    /// Names the key; a hint that nothing depends on.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub keyid: String,
    /// The bytes of the signature; ECDSA in DER.
    pub sig: Octets,
}

/// Returns what is signed: type and payload, each behind its length.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

impl Envelope {
    /// Signs an in-toto statement.
    ///
    /// # Errors
    /// No signature can be made, or the one made does not hold.
    pub fn sign(
        payload: Vec<u8>,
        key: &SecretKey,
        randomness: &mut impl p256::elliptic_curve::rand_core::CryptoRngCore,
    ) -> Result<Self, ProvenanceError> {
        let signed = pae(PAYLOAD_TYPE, &payload);
        let (public, sig) = (key.public(), key.sign(&signed, randomness)?);
        if !public.verifies(&signed, &sig) {
            return Err(ProvenanceError::Secret("its signature does not hold".to_owned()));
        }
        let signature = EnvelopeSignature { keyid: key_id(&public), sig: Octets(sig) };
        Ok(Self { payload: Octets(payload), payload_type: PAYLOAD_TYPE.to_owned(), signatures: vec![signature] })
    }

    /// Reads an envelope.
    ///
    /// # Errors
    /// It is none with an in-toto statement in it, or longer than any may be.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProvenanceError> {
        if bytes.len() > LONGEST {
            return Err(ProvenanceError::malformed(WHAT, format!("it has {} bytes, more than {LONGEST}", bytes.len())));
        }
        let envelope: Self = serde_json::from_slice(bytes).map_err(|fault| ProvenanceError::malformed(WHAT, fault))?;
        envelope.checked()
    }

    /// Checks what the types do not say.
    pub(super) fn checked(self) -> Result<Self, ProvenanceError> {
        let wrong = |fault: String| ProvenanceError::malformed(WHAT, fault);
        if self.payload_type != PAYLOAD_TYPE {
            return Err(wrong(format!("its payload is a \"{}\", not {PAYLOAD_TYPE}", self.payload_type.escape_debug())));
        }
        if self.signatures.len() > MOST {
            return Err(wrong(format!("it has more than {MOST} signatures")));
        }
        Ok(self)
    }

    /// Returns the JSON in one line with a line feed at its end.
    pub fn encode(&self) -> Vec<u8> {
        // Strings and lists of strings always have a JSON form.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Returns the payload, which counts only where a signature holds.
    pub fn payload(&self) -> &[u8] {
        &self.payload.0
    }

    /// Returns the signatures.
    pub fn signatures(&self) -> &[EnvelopeSignature] {
        &self.signatures
    }

    /// Returns what was signed.
    pub fn signed(&self) -> Vec<u8> {
        pae(&self.payload_type, &self.payload.0)
    }

    /// Returns the first of these keys that signed.
    pub fn signer<'k>(&self, keys: &'k [PublicKey]) -> Option<&'k PublicKey> {
        let signed = self.signed();
        keys.iter().find(|key| self.signatures.iter().any(|signature| key.verifies(&signed, &signature.sig.0)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
pub(super) mod tests {
    use super::*;
    use p256::elliptic_curve::rand_core::OsRng;
    use proptest::prelude::*;

    /// An ed25519 key.
    pub(crate) fn key(seed: u8) -> SecretKey {
        SecretKey::Ed25519(ed25519_dalek::SigningKey::from_bytes(&[seed; 32]))
    }

    #[test]
    fn what_is_signed_is_as_the_specification_writes_it() {
        // protocol.md, test vectors.
        assert_eq!(pae("http://example.com/HelloWorld", b"hello world"), b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
        assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
    }

    #[test]
    fn an_envelope_is_read_as_it_was_written_and_has_one_signer() {
        let envelope = Envelope::sign(b"{}".to_vec(), &key(1), &mut OsRng).unwrap();
        assert_eq!(Envelope::parse(&envelope.encode()), Ok(envelope.clone()));
        let keys = [key(2).public(), key(1).public()];
        assert_eq!(envelope.signer(&keys), Some(&keys[1]));
        assert_eq!(envelope.signer(&keys[..1]), None);
        let other = Envelope { payload: Octets(b"{ }".to_vec()), ..envelope.clone() };
        assert_eq!(other.signer(&keys), None);
        let none = Envelope { signatures: Vec::new(), ..envelope };
        assert_eq!(Envelope::parse(&none.encode()).unwrap().signer(&keys), None);
    }

    #[test]
    fn other_types_and_forms_are_refused() {
        let good = String::from_utf8(Envelope::sign(b"{}".to_vec(), &key(1), &mut OsRng).unwrap().encode()).unwrap();
        for (from, to) in [
            ("application/vnd.in-toto+json", "text/plain"),
            ("\"payload\":\"e30=\"", "\"payload\":\"e30\""),
            ("\"payload\":\"e30=\"", "\"payload\":\"e30=\",\"payload\":\"e30=\""),
            ("\"payload\"", "\"load\""),
            ("\"sig\"", "\"sign\""),
            ("}\n", "}\n{}"),
        ] {
            let changed = good.replacen(from, to, 1);
            assert_ne!(changed, good);
            assert!(Envelope::parse(changed.as_bytes()).is_err(), "{changed}");
        }
        let more = good.replacen("{", "{\"more\":1,", 1);
        assert!(Envelope::parse(more.as_bytes()).is_ok(), "fields that are not known are passed over");
    }

    proptest! {
        #[test]
        fn no_other_bytes_have_the_signature(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let envelope = Envelope::sign(b"{\"a\":[1,2]}".to_vec(), &key(1), &mut OsRng).unwrap();
            let mut changed = envelope.encode();
            let at = at.index(changed.len());
            changed[at] = byte;
            if let Ok(read) = Envelope::parse(&changed) && read.signer(&[key(1).public()]).is_some() {
                prop_assert_eq!(read.payload(), envelope.payload());
            }
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Envelope::parse(&bytes);
        }

        #[test]
        fn encodings_of_different_things_differ(a in "[ -~]{0,12}", b in prop::collection::vec(any::<u8>(), 0..12), c in "[ -~]{0,12}", d in prop::collection::vec(any::<u8>(), 0..12)) {
            prop_assert_eq!(pae(&a, &b) == pae(&c, &d), a == c && b == d);
        }
    }
}
