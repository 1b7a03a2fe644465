//! The secret ECDSA key on P-256 that signs our entries: one that is kept, as PKCS#8 in PEM, not encrypted, or one that is made for one
//! signature and never kept, for which a certificate is asked.

use der::asn1::{BitString, ObjectIdentifier, SetOfVec};
use der::pem::LineEnding;
use der::{Decode as _, Encode as _};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::signature::hazmat::RandomizedPrehashSigner as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::DecodePrivateKey as _;
use x509_cert::name::RdnSequence;
use x509_cert::request::{CertReq, CertReqInfo, Version};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use super::public_key::PublicKey;
use super::{Octets, SigstoreError};
use crate::words::digest::Sha256;

/// ECDSA with SHA-256 (RFC 5758, section 3.2).
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

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

    /// Makes a new key.
    pub fn fresh(randomness: &mut impl p256::elliptic_curve::rand_core::CryptoRngCore) -> Self {
        Self(SigningKey::random(randomness))
    }

    /// Returns a request in PEM (RFC 2986) for a certificate of this key, without a name: who gives it knows the name otherwise.
    ///
    /// # Errors
    /// It has no DER form.
    pub fn certificate_request(&self) -> Result<String, SigstoreError> {
        let request = || {
            let public_key = SubjectPublicKeyInfoOwned::from_der(&self.public().to_der())?;
            let info = CertReqInfo { version: Version::V1, subject: RdnSequence::default(), public_key, attributes: SetOfVec::new() };
            let signature: DerSignature = self.0.sign(&info.to_der()?);
            let algorithm = AlgorithmIdentifierOwned { oid: ECDSA_SHA256, parameters: None };
            let request = CertReq { info, algorithm, signature: BitString::from_bytes(signature.as_bytes())? };
            Ok(der::pem::encode_string("CERTIFICATE REQUEST", LineEnding::LF, &request.to_der()?)?)
        };
        request().map_err(|fault: der::Error| SigstoreError::malformed("the request for a certificate", fault))
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
