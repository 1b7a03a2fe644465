//! How long a key is good: the period of a new one, and a new period for one that is used.

use sequoia_openpgp::Packet;
use sequoia_openpgp::cert::prelude::*;
use sequoia_openpgp::crypto::KeyPair;
use sequoia_openpgp::packet::Signature;
use sequoia_openpgp::packet::key::PublicParts;
use sequoia_openpgp::packet::signature::SignatureBuilder;
use sequoia_openpgp::packet::signature::subpacket::SubpacketTag;

use super::{Passphrase, SAME_TIME, SecretError, SecretKey, crypto};
use crate::places::sign::{Refusal, certificate};
use crate::words::date::{Span, Timestamp};

impl SecretKey {
    /// Returns the key with new self-signatures, by which the primary key and its signing subkeys are valid for this long
    /// from now on (`None` is for ever). Older signatures stay, so that what was signed with them stays valid.
    ///
    /// # Errors
    /// The key is revoked, weak or from the future, its secrets are not here, or no passphrase opens them.
    pub fn extended(&self, validity: Option<Span>, passphrases: &[Passphrase], now: Timestamp) -> Result<Self, SecretError> {
        if let Err(refusal) = certificate::signing_keys(&self.cert, now)
            && !matches!(refusal, Refusal::Expired { .. })
        {
            return Err(SecretError::Refused(refusal));
        }
        let mut primary = self.pair(&self.cert.fingerprint(), passphrases)?;
        let policy = certificate::policy(now);
        let valid = self.cert.with_policy(&policy, certificate::system_time(now)).map_err(|error| crypto("extend the key")(&error))?;
        let mut signatures = extend_primary(&valid, &mut primary, validity, now)?;
        for subkey in worth_extending(&valid, now) {
            let made = later_than(subkey.self_signatures(), now);
            let period = period(validity, subkey.key().creation_time(), now)?;
            // The subkey's own agreement stays in the signature, so that its secret is not needed.
            let mut extend = || {
                SignatureBuilder::from(subkey.binding_signature().clone())
                    .set_signature_creation_time(made)?
                    .set_key_validity_period(period)?
                    .sign_subkey_binding(&mut primary, None, subkey.key())
            };
            signatures.push(extend().map_err(|error| crypto("extend a subkey")(&error))?);
        }
        let packets = signatures.into_iter().map(Packet::from);
        let (cert, _) = self.cert.clone().insert_packets(packets).map_err(|error| crypto("extend the key")(&error))?;
        Ok(Self { cert })
    }
}

/// Returns the signing subkeys that have not expired; where nothing else can sign, the one that expired last.
fn worth_extending<'a>(valid: &ValidCert<'a>, now: Timestamp) -> Vec<ValidSubordinateKeyAmalgamation<'a, PublicParts>> {
    let ends = |subkey: &ValidSubordinateKeyAmalgamation<'a, PublicParts>| {
        subkey.key_expiration_time().map_or(i64::MAX, |end| certificate::timestamp(end).0)
    };
    let mut subkeys: Vec<_> = valid.keys().subkeys().for_signing().revoked(false).collect();
    subkeys.sort_by_key(|subkey| std::cmp::Reverse(ends(subkey)));
    let others = usize::from(!valid.primary_key().for_signing());
    let alive = subkeys.iter().take_while(|subkey| ends(subkey) > now.0).count();
    subkeys.truncate(alive.max(others));
    subkeys
}

/// Makes new self-signatures of the primary key and its user IDs.
fn extend_primary(
    valid: &ValidCert<'_>,
    signer: &mut KeyPair,
    validity: Option<Span>,
    now: Timestamp,
) -> Result<Vec<Signature>, SecretError> {
    let primary = valid.primary_key();
    let period = period(validity, primary.key().creation_time(), now)?;
    let made = later_than(primary.self_signatures().chain(valid.userids().flat_map(|user| user.self_signatures())), now);
    let mut extend = || {
        let mut signatures = Vec::new();
        if let Ok(direct) = valid.direct_key_signature() {
            let builder = SignatureBuilder::from(direct.clone()).set_signature_creation_time(made)?.set_key_validity_period(period)?;
            signatures.push(builder.sign_direct_key(signer, None)?);
        }
        for user in valid.userids().revoked(false) {
            let mut builder = SignatureBuilder::from(user.binding_signature().clone())
                .set_signature_creation_time(made)?
                .set_key_validity_period(period)?;
            if valid.primary_userid().is_ok_and(|first| first.userid() == user.userid()) {
                builder = builder.set_primary_userid(true)?;
            } else {
                builder.hashed_area_mut().remove_all(SubpacketTag::PrimaryUserID);
            }
            signatures.push(builder.sign_userid_binding(signer, primary.key(), user.userid())?);
        }
        Ok(signatures)
    };
    extend().map_err(|error: Box<dyn std::error::Error + Send + Sync>| crypto("extend the key")(&error))
}

/// Returns now, or the second after the newest signature where that was made in this second: the newest one counts.
fn later_than<'a>(signatures: impl Iterator<Item = &'a Signature>, now: Timestamp) -> std::time::SystemTime {
    let times = signatures.filter_map(|signature| signature.signature_creation_time()).map(|time| certificate::timestamp(time).0);
    let newest = times.filter(|time| *time < now.0.saturating_add(SAME_TIME)).max().unwrap_or(i64::MIN);
    certificate::system_time(Timestamp(now.0.max(newest.saturating_add(1))))
}

/// Returns the validity as OpenPGP has it: counted from the key's creation.
pub(super) fn period(
    validity: Option<Span>,
    created: std::time::SystemTime,
    now: Timestamp,
) -> Result<Option<std::time::Duration>, SecretError> {
    validity.map(|validity| checked_validity(validity, certificate::timestamp(created), now)).transpose()
}

pub(super) fn checked_validity(validity: Span, created: Timestamp, now: Timestamp) -> Result<std::time::Duration, SecretError> {
    let end = now.plus(validity).0;
    match u64::try_from(end.saturating_sub(created.0)) {
        Ok(seconds) if validity.seconds() > 0 && end < i64::from(u32::MAX) => Ok(std::time::Duration::from_secs(seconds)),
        _ => Err(SecretError::Validity { validity }),
    }
}
