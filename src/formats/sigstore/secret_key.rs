//! The secret ECDSA key that signs our entries: PKCS#8 in PEM, not encrypted, on P-256.

use p256::ecdsa::signature::hazmat::RandomizedPrehashSigner as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::DecodePrivateKey as _;

use super::public_key::PublicKey;
use super::{Octets, SigstoreError};
use crate::words::digest::Sha256;

/// A secret key; overwritten in memory when dropped.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// Reads a PEM file (`-----BEGIN PRIVATE KEY-----`, as `openssl genpkey` writes it).
    ///
    /// # Errors
    /// It is something else; the message holds nothing of it.
    pub fn from_pem(text: &str) -> Result<Self, SigstoreError> {
        let wrong = |fault: &str| SigstoreError::malformed("the secret key", fault);
        match text.trim().lines().next() {
            Some("-----BEGIN PRIVATE KEY-----") => {}
            Some("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----" | "-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----") => {
                return Err(wrong("it is one of cosign's encrypted keys; ddb needs an unencrypted PKCS#8 key in PEM"));
            }
            Some("-----BEGIN ENCRYPTED PRIVATE KEY-----") => {
                return Err(wrong("it is encrypted; decrypt it with \"openssl pkcs8 -topk8 -nocrypt\""));
            }
            Some("-----BEGIN EC PRIVATE KEY-----") => {
                return Err(wrong("it is not in PKCS#8 form; convert it with \"openssl pkcs8 -topk8 -nocrypt\""));
            }
            _ => return Err(wrong("it does not begin with -----BEGIN PRIVATE KEY-----")),
        }
        let key = SigningKey::from_pkcs8_pem(text.trim());
        key.map(Self).map_err(|_| wrong("it is not one ECDSA key on P-256 in PKCS#8"))
    }

    /// Reads a PEM file, or the same in base64 as one line, as a forge masks it.
    ///
    /// # Errors
    /// See [`Self::from_pem`]
    pub fn read(text: &str) -> Result<Self, SigstoreError> {
        if text.trim().starts_with("-----") {
            return Self::from_pem(text);
        }
        let decoded = Octets::decode(text.trim()).ok().and_then(|bytes| String::from_utf8(bytes.0).ok());
        let decoded = decoded.ok_or_else(|| SigstoreError::malformed("the secret key", "it is neither PEM nor base64 of it"))?;
        Self::from_pem(&decoded)
    }

    /// Returns the public half.
    pub fn public(&self) -> PublicKey {
        PublicKey::P256(*self.0.verifying_key())
    }

    /// Signs what has this digest; the signature is in DER. The same digest and randomness give the same signature; with fresh
    /// randomness each is another one, so that each makes another entry in a log.
    ///
    /// # Errors
    /// No signature can be made.
    pub fn sign(
        &self,
        digest: &Sha256,
        randomness: &mut impl p256::elliptic_curve::rand_core::CryptoRngCore,
    ) -> Result<Vec<u8>, SigstoreError> {
        let signature: DerSignature = self
            .0
            .sign_prehash_with_rng(randomness, digest.as_bytes())
            .map_err(|fault| SigstoreError::malformed("the secret key", fault))?;
        Ok(signature.as_bytes().to_vec())
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretKey of {}", self.public())
    }
}
