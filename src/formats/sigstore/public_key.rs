//! Public keys of logs, submitters and certificates: ECDSA on P-256 and P-384, and Ed25519 (RFC 5480, RFC 8410).

use std::fmt;

use der::asn1::{BitString, ObjectIdentifier};
use der::{Decode as _, Encode as _};
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::pkcs8::{DecodePublicKey as _, EncodePublicKey as _};
use sha2::Digest as _;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use super::SigstoreError;
use crate::words::digest::Sha256;

const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// The longest PEM file of a public key in bytes.
const LONGEST_PEM: usize = 4096;

/// A public key.
#[derive(Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// ECDSA on P-256.
    P256(p256::ecdsa::VerifyingKey),
    /// ECDSA on P-384.
    P384(p384::ecdsa::VerifyingKey),
    /// Ed25519.
    Ed25519(ed25519_dalek::VerifyingKey),
}

/// What an ECDSA signature is made over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
}

impl Hash {
    /// Returns the digest of bytes.
    pub fn of(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => sha2::Sha256::digest(bytes).to_vec(),
            Self::Sha384 => sha2::Sha384::digest(bytes).to_vec(),
            Self::Sha512 => sha2::Sha512::digest(bytes).to_vec(),
        }
    }
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// It is none, has a rest, or is of another algorithm.
    pub fn from_der(der: &[u8]) -> Result<Self, SigstoreError> {
        let info = SubjectPublicKeyInfoOwned::from_der(der).map_err(|fault| SigstoreError::malformed("the public key", fault))?;
        Self::of(&info)
    }

    /// Takes over what a certificate says.
    ///
    /// # Errors
    /// The key is of another algorithm.
    pub fn of(info: &SubjectPublicKeyInfoOwned) -> Result<Self, SigstoreError> {
        let wrong = |fault: String| SigstoreError::malformed("the public key", fault);
        match info.algorithm.oid {
            ED25519 => {
                let bytes = info.subject_public_key.as_bytes().and_then(|bytes| bytes.try_into().ok());
                let bytes = bytes.filter(|_| info.algorithm.parameters.is_none());
                let key = bytes.and_then(|bytes: &[u8; 32]| ed25519_dalek::VerifyingKey::from_bytes(bytes).ok());
                key.map(Self::Ed25519).ok_or_else(|| wrong("it is no Ed25519 key".to_owned()))
            }
            EC => {
                let der = info.to_der().map_err(|fault| wrong(fault.to_string()))?;
                let p256 = p256::ecdsa::VerifyingKey::from_public_key_der(&der).map(Self::P256);
                p256.or_else(|_| p384::ecdsa::VerifyingKey::from_public_key_der(&der).map(Self::P384))
                    .map_err(|_| wrong("its curve is neither P-256 nor P-384, or its point is not on it".to_owned()))
            }
            other => Err(wrong(format!("algorithm {other}; known are ECDSA on P-256 and P-384, and Ed25519"))),
        }
    }

    /// Reads a PEM file with one public key (`-----BEGIN PUBLIC KEY-----`).
    ///
    /// # Errors
    /// It is not one such block.
    pub fn from_pem(text: &str) -> Result<Self, SigstoreError> {
        let wrong = |fault: &str| SigstoreError::malformed("the public key", fault);
        if text.len() > LONGEST_PEM {
            return Err(wrong("it is longer than a public key in PEM can be"));
        }
        let (label, der) = der::pem::decode_vec(text.trim().as_bytes()).map_err(|fault| wrong(&fault.to_string()))?;
        if label != "PUBLIC KEY" {
            return Err(wrong(&format!("it is a PEM block of {label}, not of PUBLIC KEY")));
        }
        Self::from_der(&der)
    }

    /// Returns the SubjectPublicKeyInfo in DER.
    pub fn to_der(&self) -> Vec<u8> {
        // A key that was read has a DER form.
        match self {
            Self::P256(key) => key.to_public_key_der().map(der::Document::into_vec).unwrap_or_default(),
            Self::P384(key) => key.to_public_key_der().map(der::Document::into_vec).unwrap_or_default(),
            Self::Ed25519(key) => {
                let algorithm = AlgorithmIdentifierOwned { oid: ED25519, parameters: None };
                let info = BitString::from_bytes(key.as_bytes())
                    .and_then(|subject_public_key| SubjectPublicKeyInfoOwned { algorithm, subject_public_key }.to_der());
                info.unwrap_or_default()
            }
        }
    }

    /// Returns the bytes that every form of the key holds: the x coordinate of a point, an Ed25519 key itself.
    pub fn significant(&self) -> Vec<u8> {
        match self {
            Self::P256(key) => key.to_encoded_point(true).as_bytes().iter().skip(1).copied().collect(),
            Self::P384(key) => key.to_encoded_point(true).as_bytes().iter().skip(1).copied().collect(),
            Self::Ed25519(key) => key.as_bytes().to_vec(),
        }
    }

    /// Returns Sigstore's name of key type and digest (`PublicKeyDetails` of `sigstore_common.proto`).
    pub fn details(&self) -> &'static str {
        match self {
            Self::P256(_) => "PKIX_ECDSA_P256_SHA_256",
            Self::P384(_) => "PKIX_ECDSA_P384_SHA_384",
            Self::Ed25519(_) => "PKIX_ED25519",
        }
    }

    /// Returns the SHA-256 of the key in DER: the hint of a bundle, and how people compare keys.
    pub fn fingerprint(&self) -> Sha256 {
        Sha256::of(&self.to_der())
    }

    /// Tells whether a signature (ECDSA: in DER) over a message holds, with the digest that goes with the curve.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::P256(key) => {
                p256::ecdsa::DerSignature::from_bytes(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok())
            }
            Self::P384(key) => {
                p384::ecdsa::DerSignature::from_bytes(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok())
            }
            Self::Ed25519(key) => {
                ed25519_dalek::Signature::from_slice(signature).is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
            }
        }
    }

    /// Tells whether a signature over a message holds, where the signer chose the digest; Ed25519 takes none.
    pub fn verifies_with(&self, hash: Hash, message: &[u8], signature: &[u8]) -> bool {
        self.signed_digest(&hash.of(message), signature)
    }

    /// Tells whether a signature is one of bytes with this digest; Ed25519 takes none.
    pub fn signed_digest(&self, digest: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::P256(key) => {
                p256::ecdsa::DerSignature::from_bytes(signature).is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok())
            }
            Self::P384(key) => {
                p384::ecdsa::DerSignature::from_bytes(signature).is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok())
            }
            Self::Ed25519(_) => false,
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the key {}", self.fingerprint())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.details(), self.fingerprint())
    }
}
