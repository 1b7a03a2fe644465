//! Which keys of a certificate may sign at a time: bound, not revoked, not expired, and strong enough.

use std::time::SystemTime;

use sequoia_openpgp::Cert;
use sequoia_openpgp::cert::prelude::*;
use sequoia_openpgp::crypto::mpi;
use sequoia_openpgp::packet::key::{PublicParts, UnspecifiedRole};
use sequoia_openpgp::packet::{Key, Signature};
use sequoia_openpgp::types::{Curve, RevocationStatus};

use super::{RSA_BITS, Refusal, SigningKey, algorithm, policy, system_time, timestamp, weak_hash};
use crate::words::date::Timestamp;

/// Returns the keys of a certificate that may sign at a time; never none.
pub(crate) fn signing_keys(cert: &Cert, now: Timestamp) -> Result<Vec<SigningKey>, Refusal> {
    let policy = policy(now);
    let time = system_time(now);
    let primary = cert.primary_key();
    let fingerprint = cert.fingerprint().to_hex();
    strong(primary.key().role_as_unspecified())?;
    not_revoked(&fingerprint, &cert.revocation_status(&policy, time))?;
    let from = timestamp(primary.key().creation_time());
    if from > now {
        return Err(Refusal::NotYetValid { fingerprint, from });
    }
    let valid = cert.with_policy(&policy, time).map_err(|_| unbound(&fingerprint, self_signatures(cert)))?;
    not_expired(&fingerprint, valid.primary_key().key_expiration_time(), now)?;

    let mut usable = Vec::new();
    let mut refusal = None;
    for key in cert.keys() {
        let fingerprint = key.key().fingerprint().to_hex();
        let Ok(bound) = key.clone().with_policy(&policy, time) else {
            let meant_to_sign = key.self_signatures().any(|signature| signature.key_flags().is_some_and(|flags| flags.for_signing()));
            if meant_to_sign {
                refusal = Some(why_not_bound(&fingerprint, &key, now));
            }
            continue;
        };
        if !bound.for_signing() {
            continue;
        }
        let expires = bound.key_expiration_time();
        let judged = strong(key.key())
            .and_then(|()| not_revoked(&fingerprint, &bound.revocation_status()))
            .and_then(|()| not_expired(&fingerprint, expires, now));
        match judged {
            Ok(()) => usable.push(SigningKey { key: key.key().clone(), expires: expires.map(timestamp) }),
            Err(reason) => refusal = Some(reason),
        }
    }
    match refusal {
        _ if !usable.is_empty() => Ok(usable),
        Some(reason) => Err(reason),
        None => Err(Refusal::NoSigningKey { fingerprint }),
    }
}

fn self_signatures(cert: &Cert) -> impl Iterator<Item = &Signature> {
    let direct = cert.primary_key().self_signatures().collect::<Vec<_>>();
    direct.into_iter().chain(cert.userids().flat_map(|user| user.self_signatures().collect::<Vec<_>>()))
}

fn unbound<'a>(fingerprint: &str, signatures: impl Iterator<Item = &'a Signature>) -> Refusal {
    Refusal::Unbound { fingerprint: fingerprint.to_owned(), weak_hash: signatures.filter_map(weak_hash).next() }
}

fn why_not_bound(fingerprint: &str, key: &ErasedKeyAmalgamation<'_, PublicParts>, now: Timestamp) -> Refusal {
    let from = timestamp(key.key().creation_time());
    match strong(key.key()) {
        Err(weak) => weak,
        Ok(()) if from > now => Refusal::NotYetValid { fingerprint: fingerprint.to_owned(), from },
        // The embedded signature by which the subkey agrees has a digest of its own.
        Ok(()) => {
            let embedded = key.self_signatures().flat_map(|signature| signature.embedded_signatures());
            unbound(fingerprint, key.self_signatures().chain(embedded))
        }
    }
}

fn not_revoked(fingerprint: &str, status: &RevocationStatus<'_>) -> Result<(), Refusal> {
    let RevocationStatus::Revoked(signatures) = status else { return Ok(()) };
    let reason = signatures.iter().find_map(|signature| signature.reason_for_revocation());
    let reason = reason.map_or_else(
        || "no reason given".to_owned(),
        |(code, text)| match String::from_utf8_lossy(text) {
            text if text.is_empty() => code.to_string(),
            text => format!("{code}: {}", text.escape_debug()),
        },
    );
    Err(Refusal::Revoked { fingerprint: fingerprint.to_owned(), reason })
}

fn not_expired(fingerprint: &str, expires: Option<SystemTime>, now: Timestamp) -> Result<(), Refusal> {
    match expires.map(timestamp) {
        Some(at) if at <= now => Err(Refusal::Expired { fingerprint: fingerprint.to_owned(), at }),
        _ => Ok(()),
    }
}

/// Refuses what apt of bookworm or trixie refuses, and what gpgv of bookworm cannot read.
fn strong(key: &Key<PublicParts, UnspecifiedRole>) -> Result<(), Refusal> {
    if matches!(key.mpis(), mpi::PublicKey::RSA { .. }) && key.mpis().bits().is_some_and(|bits| bits > RSA_BITS) {
        return Err(Refusal::TooLarge { fingerprint: key.fingerprint().to_hex(), algorithm: algorithm(key) });
    }
    let strong = match key.mpis() {
        mpi::PublicKey::RSA { .. } => key.mpis().bits().is_some_and(|bits| bits >= 2048),
        mpi::PublicKey::EdDSA { curve: Curve::Ed25519, .. } | mpi::PublicKey::Ed25519 { .. } => true,
        mpi::PublicKey::ECDSA { curve, .. } => matches!(curve, Curve::NistP256 | Curve::NistP384 | Curve::NistP521),
        _ => false,
    };
    if strong {
        return Ok(());
    }
    Err(Refusal::Weak { fingerprint: key.fingerprint().to_hex(), algorithm: algorithm(key) })
}
