//! A signature checked against certificates, offline, as apt does: the key must be good *now*, not only when it signed
//! (apt refuses what gpgv reports as EXPKEYSIG or REVKEYSIG).
//!
//! RFC 9580 section 5.2. Takes the bytes that were signed and an armored or binary detached signature (several packets are
//! several signatures); a cleartext signature is one over the text with CRLF line ends. One result a signature; what is
//! enough is decided by the caller.

use sequoia_openpgp::packet::{Signature, Tag};
use sequoia_openpgp::parse::{PacketParserBuilder, PacketParserResult, Parse as _};
use sequoia_openpgp::policy::{HashAlgoSecurity, Policy as _};
use sequoia_openpgp::types::SignatureType;
use sequoia_openpgp::{Cert, Fingerprint, Packet};

use super::certificate::{self, Refusal};
use crate::words::date::{Span, Timestamp};

/// Most signature packets that are looked at in one armor block.
const SIGNATURES: usize = 32;

/// How far a signer's clock may be ahead of ours: sequoia's and sqv's tolerance.
const CLOCK_SKEW: u32 = 30 * 60;

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureProblem {
    /// Nobody we know made it.
    #[error("the signature is by the unknown key {key}")]
    UnknownSigner {
        /// Fingerprint or key ID as the signature names it.
        key: String,
    },
    /// Its digest is broken.
    #[error("the signature by {key} is made with {hash}, which is broken; sign with SHA512 instead (gpg --digest-algo SHA512)")]
    WeakHash {
        /// The key.
        key: String,
        /// The digest.
        hash: String,
    },
    /// Its key may not sign.
    #[error("the signature is by a key that does not count: {refusal}")]
    Key {
        /// Why.
        refusal: Refusal,
    },
    /// It is by a key of a known certificate that is not for signing.
    #[error("the signature is by {key} of {certificate}, which is not one of its valid signing keys (expired, revoked or not for signing)")]
    NotASigningKey {
        /// The key that made the signature.
        key: String,
        /// The certificate.
        certificate: String,
    },
    /// It does not belong to this text.
    #[error("the signature by {key} does not match the text: one of the two was changed")]
    Mismatch {
        /// The key.
        key: String,
    },
    /// It is from the future, has expired, or cannot be read.
    #[error("the signature{} is no use: {reason}", key.as_ref().map(|key| format!(" by {key}")).unwrap_or_default())]
    Unusable {
        /// The key, if the signature names one.
        key: Option<String>,
        /// Why.
        reason: String,
    },
}

/// A signature that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Good {
    /// Fingerprint of the certificate, upper case.
    pub(crate) certificate: String,
    /// Version of the signature packet: 4, or 6 of RFC 9580.
    pub(crate) version: u8,
    /// When it was made.
    pub(crate) made: Timestamp,
    /// The key that made it.
    pub(crate) key: Fingerprint,
}

/// What kind of signature is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Over the bytes as they are (a detached text signature is taken too).
    Detached,
    /// Over lines; the last line feed of the text is not covered.
    Cleartext,
}

/// Checks every signature; the results are in the order of the packets.
///
/// Fails where there is no readable signature.
pub(crate) fn check(
    kind: Kind,
    text: &[u8],
    signature: &[u8],
    certs: &[&Cert],
    now: Timestamp,
) -> Result<Vec<Result<Good, SignatureProblem>>, SignatureProblem> {
    let unusable = |reason: String| SignatureProblem::Unusable { key: None, reason };
    let packets = packets(signature).map_err(unusable)?;
    let lines = with_crlf(kind, text);
    let results = packets.iter().map(|packet| match packet {
        Packet::Signature(signature) => check_one(kind, text, &lines, signature, certs, now),
        Packet::Unknown(unknown) => Err(unusable(unknown.error().to_string())),
        other => Err(unusable(format!("it holds a packet of type {}", other.tag()))),
    });
    Ok(results.collect())
}

/// Reads signature packets. Nothing is unpacked: a compressed packet could become any number of bytes.
pub(super) fn packets(signature: &[u8]) -> Result<Vec<Packet>, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut packets = Vec::new();
    let mut result = PacketParserBuilder::from_bytes(signature)
        .and_then(|builder| builder.max_recursion_depth(0).build())
        .map_err(|error| text(&error))?;
    while let PacketParserResult::Some(parser) = result {
        if parser.packet.tag() != Tag::Signature {
            return Err(format!("it holds a packet of type {}", parser.packet.tag()));
        }
        let (packet, rest) = parser.next().map_err(|error| text(&error))?;
        packets.push(packet);
        if packets.len() > SIGNATURES {
            return Err(format!("it holds more than {SIGNATURES} signatures"));
        }
        result = rest;
    }
    if packets.is_empty() { Err("it is empty".to_owned()) } else { Ok(packets) }
}

fn check_one(
    kind: Kind,
    text: &[u8],
    lines: &[u8],
    signature: &Signature,
    certs: &[&Cert],
    now: Timestamp,
) -> Result<Good, SignatureProblem> {
    let issuers = signature.get_issuers();
    let key = issuers.first().map(ToString::to_string);
    let unusable = |reason: &dyn std::fmt::Display| SignatureProblem::Unusable { key: key.clone(), reason: reason.to_string() };
    let made = signature.signature_creation_time().ok_or_else(|| unusable(&"it has no time"))?;
    if !signature.hash_algo().is_supported() {
        return Err(unusable(&format!("it is made with {}", signature.hash_algo())));
    }
    let bytes = match (kind, signature.typ()) {
        (_, SignatureType::Text) => lines,
        (Kind::Detached, SignatureType::Binary) => text,
        (_, other) => return Err(unusable(&format!("it is of type {other}"))),
    };
    let name = key.clone().ok_or_else(|| unusable(&"it names no key"))?;
    let mut problem = SignatureProblem::UnknownSigner { key: name.clone() };
    for cert in certs {
        let Some(signer) = issuers.iter().find(|issuer| certificate::has_key(cert, issuer)) else { continue };
        if let Some(hash) = certificate::weak_hash(signature) {
            return Err(SignatureProblem::WeakHash { key: name, hash });
        }
        let keys = match certificate::signing_keys(cert, now) {
            Ok(keys) => keys,
            Err(refusal) => {
                problem = SignatureProblem::Key { refusal };
                continue;
            }
        };
        let Some(found) = keys.iter().find(|found| found.key.key_handle().aliases(signer)) else {
            problem = SignatureProblem::NotASigningKey { key: name.clone(), certificate: cert.fingerprint().to_hex() };
            continue;
        };
        if signature.verify_message(&found.key, bytes).is_err() {
            problem = SignatureProblem::Mismatch { key: name.clone() };
            continue;
        }
        certificate::policy(now)
            .signature(signature, HashAlgoSecurity::CollisionResistance)
            .map_err(|error| unusable(&format!("{error:#}")))?;
        let tolerated = certificate::system_time(now.plus(Span::of_seconds(CLOCK_SKEW)));
        if made > tolerated {
            return Err(unusable(&format!("it is from the future ({})", certificate::timestamp(made).iso8601())));
        }
        if signature.signature_validity_period().is_some_and(|valid| !valid.is_zero() && made + valid <= certificate::system_time(now)) {
            return Err(unusable(&"it has expired"));
        }
        let version = signature.version();
        return Ok(Good {
            certificate: cert.fingerprint().to_hex(),
            version,
            made: certificate::timestamp(made),
            key: found.key.fingerprint(),
        });
    }
    Err(problem)
}

/// Returns a text as a text signature covers it: CRLF between lines; in a cleartext frame the last line end is not covered.
fn with_crlf(kind: Kind, text: &[u8]) -> Vec<u8> {
    let text = match kind {
        Kind::Cleartext => text.strip_suffix(b"\n").unwrap_or(text),
        Kind::Detached => text,
    };
    let mut lines = Vec::with_capacity(text.len() + text.len() / 32);
    let mut before = 0;
    for byte in text {
        if *byte == b'\n' && before != b'\r' {
            lines.push(b'\r');
        }
        lines.push(*byte);
        before = *byte;
    }
    lines
}
