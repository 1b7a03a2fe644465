//! Keys that sign provenance: ed25519 as OpenSSH has it in files, or ECDSA on P-256 in PEM, as for transparency logs.

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};

use super::ProvenanceError;
use crate::formats::openssh::{self, string};
use crate::formats::sigstore::Octets;
use crate::formats::sigstore::public_key::PublicKey;
use crate::formats::sigstore::secret_key;
use crate::words::digest::Sha256;

/// A secret key; overwritten in memory when dropped.
#[derive(Debug)]
pub enum SecretKey {
    /// Ed25519.
    Ed25519(SigningKey),
    /// ECDSA on P-256.
    P256(secret_key::SecretKey),
}

impl SecretKey {
    /// Reads an OpenSSH private key, a PKCS#8 key in PEM, or either in base64 as one line, as a forge masks it.
    ///
    /// # Errors
    /// It is something else, or protected; the message holds nothing of it.
    pub fn read(text: &str) -> Result<Self, ProvenanceError> {
        let text = text.trim();
        if text.starts_with("-----") {
            return Self::of_block(text);
        }
        let decoded = Octets::decode(text).ok().and_then(|bytes| String::from_utf8(bytes.0).ok());
        let neither = "neither an OpenSSH private key, nor one in PEM, nor base64 of either";
        Self::of_block(decoded.ok_or_else(|| ProvenanceError::Secret(neither.to_owned()))?.trim())
    }

    fn of_block(text: &str) -> Result<Self, ProvenanceError> {
        let wrong = |fault: &dyn std::fmt::Display| ProvenanceError::Secret(fault.to_string());
        if text.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----") {
            openssh::secret_key(text).map(Self::Ed25519).map_err(|fault| wrong(&fault))
        } else {
            secret_key::SecretKey::from_pem(text).map(Self::P256).map_err(|fault| wrong(&fault))
        }
    }

    /// Returns the public half.
    pub fn public(&self) -> PublicKey {
        match self {
            Self::Ed25519(key) => PublicKey::Ed25519(key.verifying_key()),
            Self::P256(key) => key.public(),
        }
    }

    /// Signs a message; ECDSA is over its SHA-256 and in DER.
    ///
    /// # Errors
    /// No signature can be made.
    pub fn sign(
        &self,
        message: &[u8],
        randomness: &mut impl p256::elliptic_curve::rand_core::CryptoRngCore,
    ) -> Result<Vec<u8>, ProvenanceError> {
        match self {
            Self::Ed25519(key) => Ok(key.sign(message).to_bytes().to_vec()),
            Self::P256(key) => key.sign(&Sha256::of(message), randomness).map_err(|fault| ProvenanceError::Secret(fault.to_string())),
        }
    }
}

/// Reads a public key: the line of an OpenSSH key, or a key in PEM.
///
/// # Errors
/// It is something else, or of another algorithm.
pub fn public_key(text: &str) -> Result<PublicKey, ProvenanceError> {
    let wrong = |fault: &dyn std::fmt::Display| ProvenanceError::malformed("the public key", fault);
    if text.trim().starts_with("-----") {
        return PublicKey::from_pem(text).map_err(|fault| wrong(&fault));
    }
    let key = openssh::public_key(text).map_err(|fault| wrong(&fault))?;
    VerifyingKey::from_bytes(key.as_bytes()).map(PublicKey::Ed25519).map_err(|fault| wrong(&fault))
}

/// Returns what names a key in envelopes and to people: the fingerprint that OpenSSH shows (`ssh-keygen -l`), as other programs for
/// DSSE have it.
pub fn key_id(key: &PublicKey) -> String {
    let point = |name: &str, curve: &str, point: &[u8]| [string(name.as_bytes()), string(curve.as_bytes()), string(point)].concat();
    let blob = match key {
        PublicKey::Ed25519(key) => [string(b"ssh-ed25519"), string(key.as_bytes())].concat(),
        PublicKey::P256(key) => point("ecdsa-sha2-nistp256", "nistp256", key.to_encoded_point(false).as_bytes()),
        PublicKey::P384(key) => point("ecdsa-sha2-nistp384", "nistp384", key.to_encoded_point(false).as_bytes()),
    };
    format!("SHA256:{}", Octets(Sha256::of(&blob).as_bytes().to_vec()).encode().trim_end_matches('='))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::formats::sigsum;

    #[test]
    fn a_public_key_is_read_in_both_forms() {
        let secret = SecretKey::Ed25519(SigningKey::from_bytes(&[3; 32]));
        let PublicKey::Ed25519(key) = secret.public() else { unreachable!("it is ed25519") };
        let line = openssh::public_line(&sigsum::PublicKey::from_bytes(key.to_bytes()), "who");
        assert_eq!(public_key(&line).unwrap(), secret.public());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", Octets(secret.public().to_der()).encode());
        assert_eq!(public_key(&pem).unwrap(), secret.public());
        assert!(public_key("").is_err() && public_key("-----").is_err());
    }

    #[test]
    fn what_is_no_secret_key_is_not_repeated() {
        for text in [
            "",
            "c2VjcmV0",
            "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nsecret",
        ] {
            let said = SecretKey::read(text).unwrap_err().to_string();
            assert!(!said.contains("secret\n") && !said.contains("c2VjcmV0"), "{said}");
        }
    }
}
