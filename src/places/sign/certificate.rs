//! Certificates: the public side of keys, read from armored or binary keyrings and judged as apt judges them.
//!
//! RFC 9580 sections 5.5 and 10.1. A certificate may sign when its primary key and a signing-capable key are neither weak,
//! expired, revoked nor from the future, and when the self-signatures that say so use SHA-256 or better. "Weak" is what
//! stock apt of bookworm or trixie refuses. Nothing here holds or makes a secret.

mod error;
mod fitness;

use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use sequoia_openpgp::cert::prelude::*;
use sequoia_openpgp::crypto::mpi;
use sequoia_openpgp::packet::key::{PublicParts, UnspecifiedRole};
use sequoia_openpgp::packet::{Key, Signature};
use sequoia_openpgp::parse::Parse as _;
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::serialize::Serialize as _;
use sequoia_openpgp::types::{Curve, HashAlgorithm};
use sequoia_openpgp::{Cert, KeyHandle, armor};
use serde::Serialize;

pub use error::{KeyringError, Refusal};
pub(crate) use fitness::signing_keys;

use crate::words::date::Timestamp;

/// Largest keyring that is read, in bytes (Debian's whole keyring has some 10 MB).
pub const KEYRING: usize = 64 << 20;

/// Largest RSA key that the library can check, in bits.
const RSA_BITS: usize = 4096;

/// A certificate without any secret.
#[derive(Debug, Clone, PartialEq)]
pub struct PublicCertificate {
    cert: Cert,
}

/// What there is to say about a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KeyDescription {
    /// Fingerprint of the primary key, 40 upper-case hexadecimal digits (64 for version 6).
    pub fingerprint: String,
    /// User IDs, such as `Archive <archive@example.org>`.
    pub user_ids: Vec<String>,
    /// Algorithm of the primary key, such as `ed25519` or `rsa4096`.
    pub algorithm: String,
    /// When the primary key was made, ISO 8601.
    pub created: String,
    /// When the certificate expires, ISO 8601; `null` is never.
    pub expires: Option<String>,
    /// The keys of the certificate that can sign now.
    pub signing_keys: Vec<SigningKeyDescription>,
    /// Why the certificate may not sign; `null` if it may.
    pub refused: Option<String>,
}

/// What there is to say about a key that can sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SigningKeyDescription {
    /// Its fingerprint.
    pub fingerprint: String,
    /// Its algorithm.
    pub algorithm: String,
    /// When it expires, ISO 8601; `null` is never.
    pub expires: Option<String>,
}

impl PublicCertificate {
    /// Reads all certificates of a keyring, armored (also several blocks) or binary. `name` is for messages.
    ///
    /// # Errors
    /// See [`KeyringError`].
    pub fn read_all(name: &str, bytes: &[u8]) -> Result<Vec<Self>, KeyringError> {
        let certs = read_certs(name, bytes)?;
        if let Some(secret) = certs.iter().find(|cert| cert.is_tsk()) {
            return Err(KeyringError::Secret { name: name.to_owned(), fingerprint: secret.fingerprint().to_hex() });
        }
        Ok(certs.into_iter().map(|cert| Self { cert }).collect())
    }

    /// Returns the public part of a certificate that may have secrets.
    pub(crate) fn of(cert: &Cert) -> Self {
        Self { cert: cert.clone().strip_secret_key_material() }
    }

    /// Returns the certificate as sequoia knows it.
    pub(crate) fn cert(&self) -> &Cert {
        &self.cert
    }

    /// Returns the fingerprint of the primary key in upper-case hexadecimal digits, by which people know the certificate.
    pub fn fingerprint(&self) -> String {
        self.cert.fingerprint().to_hex()
    }

    /// Returns the packet version of the primary key: 4, or 6 of RFC 9580.
    pub fn version(&self) -> u8 {
        self.cert.primary_key().key().version()
    }

    /// Returns this certificate with what another copy of it knows besides, such as a later expiry or a revocation;
    /// `None` if they are not of one key.
    pub fn merged(&self, other: &Self) -> Option<Self> {
        self.cert.clone().merge_public(other.cert.clone()).ok().map(|cert| Self { cert })
    }

    /// Returns the armored certificate, as in a `.asc` file that `Signed-By` takes.
    ///
    /// # Errors
    /// Only what the armor writer says.
    pub fn armored(&self) -> std::io::Result<Vec<u8>> {
        let mut writer = armor::Writer::new(Vec::new(), armor::Kind::PublicKey)?;
        writer.write_all(&self.binary()?)?;
        writer.finalize()
    }

    /// Returns the binary certificate. Several, one after another, are a keyring as apt and gpgv take it.
    ///
    /// # Errors
    /// Only what the packet writer says.
    pub fn binary(&self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.cert.export(&mut bytes).map_err(std::io::Error::other)?;
        Ok(bytes)
    }

    /// Returns whether the certificate may sign at a time.
    ///
    /// # Errors
    /// The reason why not.
    pub fn may_sign(&self, now: Timestamp) -> Result<(), Refusal> {
        signing_keys(&self.cert, now).map(drop)
    }

    /// Returns what there is to say about the certificate at a time.
    pub fn describe(&self, now: Timestamp) -> KeyDescription {
        let policy = policy(now);
        let valid = self.cert.with_policy(&policy, system_time(now)).ok();
        let expires = valid.and_then(|valid| valid.primary_key().key_expiration_time());
        let usable = signing_keys(&self.cert, now);
        KeyDescription {
            fingerprint: self.fingerprint(),
            user_ids: self.cert.userids().map(|user| String::from_utf8_lossy(user.userid().value()).into_owned()).collect(),
            algorithm: algorithm(self.cert.primary_key().key().role_as_unspecified()),
            created: timestamp(self.cert.primary_key().key().creation_time()).iso8601(),
            expires: expires.map(|at| timestamp(at).iso8601()),
            refused: usable.as_ref().err().map(ToString::to_string),
            signing_keys: usable.unwrap_or_default().iter().map(SigningKey::describe).collect(),
        }
    }
}

/// Returns certificates one after another, the keyring that apt and gpgv take.
///
/// # Errors
/// Only what the packet writer says.
pub fn keyring(certificates: &[PublicCertificate]) -> std::io::Result<Vec<u8>> {
    certificates.iter().map(PublicCertificate::binary).collect::<std::io::Result<Vec<_>>>().map(|parts| parts.concat())
}

/// Returns certificates in one armor block, as `Signed-By` of deb822 sources takes them.
///
/// # Errors
/// Only what the writers say.
pub fn armored_keyring(certificates: &[PublicCertificate]) -> std::io::Result<Vec<u8>> {
    let mut writer = armor::Writer::new(Vec::new(), armor::Kind::PublicKey)?;
    writer.write_all(&keyring(certificates)?)?;
    writer.finalize()
}

/// A key of a certificate that may sign, with its expiry.
#[derive(Debug, Clone)]
pub(crate) struct SigningKey {
    pub(crate) key: Key<PublicParts, UnspecifiedRole>,
    expires: Option<Timestamp>,
}

impl SigningKey {
    fn describe(&self) -> SigningKeyDescription {
        SigningKeyDescription {
            fingerprint: self.key.fingerprint().to_hex(),
            algorithm: algorithm(&self.key),
            expires: self.expires.map(Timestamp::iso8601),
        }
    }
}

/// Returns the rules by which self-signatures and signatures count: sequoia's at that time, without SHA-1 and SHA-224.
pub(crate) fn policy(now: Timestamp) -> StandardPolicy<'static> {
    let mut policy = StandardPolicy::at(system_time(now));
    for hash in WEAK_HASHES {
        policy.reject_hash(hash);
    }
    // A revocation counts whatever digest it was made with: better refuse a key than trust a stolen one.
    policy.hash_revocation_tolerance(u32::MAX);
    policy
}

const WEAK_HASHES: [HashAlgorithm; 4] = [HashAlgorithm::MD5, HashAlgorithm::SHA1, HashAlgorithm::RipeMD, HashAlgorithm::SHA224];

/// Returns the name of a digest that apt refuses; `None` if it takes it.
pub(crate) fn weak_hash(signature: &Signature) -> Option<String> {
    let hash = signature.hash_algo();
    WEAK_HASHES.contains(&hash).then(|| hash.to_string())
}

/// Returns all certificates of a keyring, secret or not.
pub(crate) fn read_certs(name: &str, bytes: &[u8]) -> Result<Vec<Cert>, KeyringError> {
    if bytes.len() > KEYRING {
        return Err(KeyringError::TooLarge { name: name.to_owned(), bytes: bytes.len() });
    }
    let mut certs = Vec::new();
    for block in blocks(bytes) {
        for cert in CertParser::from_bytes(block).map_err(|error| malformed(name, &error))? {
            certs.push(cert.map_err(|error| malformed(name, &error))?);
        }
    }
    if certs.is_empty() {
        return Err(KeyringError::Empty { name: name.to_owned() });
    }
    Ok(certs)
}

fn malformed(name: &str, error: &dyn std::fmt::Display) -> KeyringError {
    KeyringError::Malformed { name: name.to_owned(), reason: error.to_string() }
}

/// Returns the armored blocks of a text, or the whole of binary bytes (whose first bit is always set).
pub(crate) fn blocks(bytes: &[u8]) -> Vec<&[u8]> {
    if bytes.first().is_none_or(|first| first & 0x80 != 0) {
        return vec![bytes];
    }
    let starts = memchr::memmem::find_iter(bytes, b"-----BEGIN PGP ");
    let starts: Vec<usize> = starts.filter(|start| *start == 0 || bytes.get(start - 1) == Some(&b'\n')).collect();
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    starts.iter().zip(ends).filter_map(|(start, end)| bytes.get(*start..end)).collect()
}

/// Returns algorithm and size as gpg writes them: `rsa3072`, `ed25519`, `nistp256`.
fn algorithm(key: &Key<PublicParts, UnspecifiedRole>) -> String {
    let bits = key.mpis().bits().unwrap_or_default();
    match key.mpis() {
        mpi::PublicKey::RSA { .. } => format!("rsa{bits}"),
        mpi::PublicKey::DSA { .. } => format!("dsa{bits}"),
        mpi::PublicKey::ElGamal { .. } => format!("elg{bits}"),
        mpi::PublicKey::EdDSA { curve, .. } | mpi::PublicKey::ECDSA { curve, .. } | mpi::PublicKey::ECDH { curve, .. } => match curve {
            Curve::Ed25519 => "ed25519".to_owned(),
            Curve::Cv25519 => "cv25519".to_owned(),
            Curve::NistP256 => "nistp256".to_owned(),
            Curve::NistP384 => "nistp384".to_owned(),
            Curve::NistP521 => "nistp521".to_owned(),
            Curve::BrainpoolP256 => "brainpoolP256r1".to_owned(),
            Curve::BrainpoolP384 => "brainpoolP384r1".to_owned(),
            Curve::BrainpoolP512 => "brainpoolP512r1".to_owned(),
            other => other.to_string(),
        },
        _ => key.pk_algo().to_string(),
    }
}

pub(crate) fn system_time(time: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(time.0).unwrap_or(0).min(u64::from(u32::MAX)))
}

pub(crate) fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp(time.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX)))
}

/// Returns the key of a certificate with this fingerprint or key ID.
pub(crate) fn has_key(cert: &Cert, handle: &KeyHandle) -> bool {
    cert.keys().any(|key| key.key().key_handle().aliases(handle))
}
