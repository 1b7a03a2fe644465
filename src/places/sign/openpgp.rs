//! Signing in process: secret keys in memory, several at once, all their signatures in one armor block.
//!
//! SHA-512, version 4 signatures for version 4 keys, made at the given time. Every certificate signs with its newest signing
//! subkey whose secret is here. Signatures carry a random salt, so the same text signed twice gives different bytes.

use std::io::Write as _;

use sequoia_openpgp::armor;
use sequoia_openpgp::crypto::KeyPair;
use sequoia_openpgp::packet::signature::SignatureBuilder;
use sequoia_openpgp::serialize::stream::{Armorer, Message, Signer as Writer};
use sequoia_openpgp::types::{HashAlgorithm, SignatureType};

use super::certificate::{self, PublicCertificate};
use super::keys::{Passphrase, SecretError, SecretKey};
use super::{SignError, Signer};
use crate::words::date::Timestamp;

/// Signs with secret keys in memory.
pub struct OpenPgpSigner {
    keys: Vec<(PublicCertificate, KeyPair)>,
}

impl OpenPgpSigner {
    /// Takes from each secret key the newest usable signing key, opened with one of the passphrases where it is protected.
    ///
    /// # Errors
    /// A certificate may not sign now, its secret is not there, or no passphrase opens it.
    pub fn new(keys: &[SecretKey], passphrases: &[Passphrase], now: Timestamp) -> Result<Self, SecretError> {
        let keys = keys.iter().map(|key| Ok((key.public(), key.signing_pair(passphrases, now)?)));
        let mut keys = keys.collect::<Result<Vec<_>, SecretError>>()?;
        // The library writes the last signature first, and gpgv stops at the first that it cannot read: version 6 to the end.
        keys.sort_by_key(|(certificate, _)| std::cmp::Reverse(certificate.version()));
        Ok(Self { keys })
    }

    fn write(&self, text: &[u8], now: Timestamp, cleartext: bool) -> Result<Vec<u8>, SignError> {
        let Some(((_, first), others)) = self.keys.split_first() else { return Err(SignError::NoSigner) };
        let names = || self.keys.iter().map(|(certificate, _)| certificate.fingerprint()).collect::<Vec<_>>().join(", ");
        let mut bytes = Vec::new();
        let mut write = || {
            let kind = if cleartext { SignatureType::Text } else { SignatureType::Binary };
            let message = Message::new(&mut bytes);
            let message = if cleartext { message } else { Armorer::new(message).kind(armor::Kind::Signature).build()? };
            let mut writer = Writer::with_template(message, first.clone(), SignatureBuilder::new(kind))?;
            for (_, pair) in others {
                writer = writer.add_signer(pair.clone())?;
            }
            writer = writer.hash_algo(HashAlgorithm::SHA512)?.creation_time(certificate::system_time(now));
            writer = if cleartext { writer.cleartext() } else { writer.detached() };
            let mut writer = writer.build()?;
            writer.write_all(text)?;
            writer.finalize()
        };
        write().map_err(|error| SignError::Crypto { key: names(), reason: format!("{error:#}") })?;
        Ok(bytes)
    }
}

impl Signer for OpenPgpSigner {
    fn certificates(&self) -> Vec<PublicCertificate> {
        self.keys.iter().map(|(certificate, _)| certificate.clone()).collect()
    }

    fn clearsign(&self, text: &[u8], now: Timestamp) -> Result<Vec<u8>, SignError> {
        // The library takes a last line feed for content and would add an empty line that gpg does not have.
        self.write(text.strip_suffix(b"\n").unwrap_or(text), now, true)
    }

    fn detach_sign(&self, text: &[u8], now: Timestamp) -> Result<Vec<u8>, SignError> {
        self.write(text, now, false)
    }
}

impl std::fmt::Debug for OpenPgpSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(certificate, _)| certificate.fingerprint())).finish()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::super::gnupg::{Gpg, clock};
    use super::super::{SignedRelease, contract};
    use super::*;
    use crate::words::date::Span;

    fn keep(seconds: u32) -> Option<Span> {
        Some(Span::of_seconds(seconds))
    }

    fn imported(gpg: &Gpg, fingerprint: &str) -> SecretKey {
        SecretKey::read_all("test", &gpg.secret(fingerprint, "")).unwrap().remove(0)
    }

    #[test]
    fn own_keys_and_keys_by_gpg_keep_the_contract_alone_and_together() {
        let mut gpg = Gpg::new();
        gpg.at(clock());
        let ours = SecretKey::generate("Archive <archive@example.org>", keep(86_400), None, clock()).unwrap().key;
        let rsa = imported(&gpg, &gpg.key("rsa <rsa@example.org>", "rsa3072", "cert,sign", "1y"));
        let subkey = gpg.key("sub <sub@example.org>", "ed25519", "cert", "1y");
        gpg.subkey(&subkey, "nistp384/ecdsa", "sign", "1y");
        let subkey = imported(&gpg, &subkey);
        for keys in [vec![ours.clone()], vec![rsa.clone()], vec![subkey.clone()], vec![ours, rsa, subkey]] {
            contract::check(&OpenPgpSigner::new(&keys, &[], clock()).unwrap());
        }
    }

    #[test]
    fn only_exactly_the_wanted_signers_will_do() {
        let now = clock();
        let make = |user: &str| SecretKey::generate(user, keep(86_400), None, now).unwrap().key;
        let (one, two) = (make("one <one@example.org>"), make("two <two@example.org>"));
        let signer = OpenPgpSigner::new(&[one.clone(), two.clone()], &[], now).unwrap();
        let signed = SignedRelease::sign(&signer, b"Origin: x\n", now).unwrap();
        let verify = |keys: &[&SecretKey], now| {
            let certificates: Vec<_> = keys.iter().map(|key| key.public()).collect();
            super::super::verify_release(signed.in_release(), &certificates, now).map_err(|error| error.to_string())
        };
        assert!(verify(&[&one, &two], now).is_ok());
        assert!(verify(&[&one], now).unwrap_err().contains("unknown key"));
        let third = make("three <three@example.org>");
        assert!(verify(&[&one, &two, &third], now).unwrap_err().contains(&format!("the signature by {} is missing", third.fingerprint())));
        assert!(verify(&[&one, &two], now.plus(Span::of_seconds(86_400))).unwrap_err().contains("expired on"));

        let swapped = String::from_utf8(signed.in_release().to_vec()).unwrap().replace("Origin: x", "Origin: y");
        let error = super::super::verify_release(swapped.as_bytes(), &[one.public(), two.public()], now).unwrap_err().to_string();
        assert!(error.starts_with("InRelease does not verify: the signature by") && error.contains("does not match the text"), "{error}");

        assert!(matches!(SignedRelease::sign(&OpenPgpSigner::new(&[], &[], now).unwrap(), b"x\n", now), Err(SignError::NoSigner)));
        assert_eq!(format!("{signer:?}"), format!("[{:?}, {:?}]", one.fingerprint(), two.fingerprint()));
    }

    #[test]
    fn a_signature_older_than_the_only_self_signature_is_made_again() {
        // gpg replaces self-signatures when it extends a key; sqv then finds no valid key at the time of signing.
        let mut gpg = Gpg::new();
        let earlier = clock().minus(Span::of_seconds(3 * 86_400));
        gpg.at(earlier);
        let fingerprint = gpg.key("a <a@example.org>", "ed25519", "sign", "1y");
        let signer = OpenPgpSigner::new(&[imported(&gpg, &fingerprint)], &[], earlier).unwrap();
        let signed = SignedRelease::sign(&signer, b"Origin: x\n", earlier).unwrap();
        gpg.at(clock()).run(&["--quick-set-expire", &fingerprint, "2y"], b"");
        let extended =
            PublicCertificate::read_all("test", &gpg.run(&["--export-options", "export-minimal", "--export", &fingerprint], b"")).unwrap();
        let error = super::super::verify_release(signed.in_release(), &extended, clock()).unwrap_err().to_string();
        assert!(error.contains("was not a valid signing key when it signed"), "{error}");
    }

    #[test]
    fn a_version_6_signature_before_one_of_version_4_is_refused() {
        let now = clock();
        let four = SecretKey::generate("four <4@example.org>", keep(86_400), None, now).unwrap().key;
        let six = super::super::tests::version_6();
        let pair = |key: &SecretKey| (key.public(), key.signing_pair(&[], now).unwrap());
        let wrong = OpenPgpSigner { keys: vec![pair(&four), pair(&six)] };
        let error = SignedRelease::sign(&wrong, b"x\n", now).unwrap_err().to_string();
        assert!(error.contains("must stand before those of version 6"), "{error}");
        for keys in [[four.clone(), six.clone()], [six, four]] {
            SignedRelease::sign(&OpenPgpSigner::new(&keys, &[], now).unwrap(), b"x\n", now).unwrap();
        }
    }
}
