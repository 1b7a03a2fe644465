//! The entry of a Rekor v2 log for a DSSE envelope (`dsse` 0.0.2): made again and compared, as that for a Release is.

use super::dsse::{Envelope, EnvelopeSignature};
use crate::formats::sigstore::Octets;
use crate::formats::sigstore::public_key::PublicKey;
use crate::words::digest::Sha256;

/// The kind of entry.
pub(super) const KIND: &str = "dsse";

/// Returns the leaf that a log makes of an envelope with one signature by the key of a certificate, in canonical form (RFC 8785).
pub(super) fn leaf(envelope: &Envelope, signature: &EnvelopeSignature, certificate: &Octets, key: &PublicKey) -> Vec<u8> {
    let digest = Octets(Sha256::of(envelope.payload()).as_bytes().to_vec()).encode();
    let verifier = format!(r#"{{"keyDetails":"{}","x509Certificate":{{"rawBytes":"{}"}}}}"#, key.details(), certificate.encode());
    let signature = format!(r#"{{"content":"{}","verifier":{verifier}}}"#, signature.sig.encode());
    let hash = format!(r#"{{"algorithm":"SHA2_256","digest":"{digest}"}}"#);
    let record = format!(r#"{{"payloadHash":{hash},"signatures":[{signature}]}}"#);
    format!(r#"{{"apiVersion":"0.0.2","kind":"{KIND}","spec":{{"dsseV002":{record}}}}}"#).into_bytes()
}
