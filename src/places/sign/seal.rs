//! Seals: an uploader's signature on a statement or manifest, made in process and checked right after it is made.
//!
//! Judged by the rules for .changes: a key that is weak, expired or revoked at the time of the check does not count, whenever
//! it signed. One good signature by an uploader is enough. What the signed text says is not looked at here.

use std::path::Path;

use super::keys::{Passphrase, SecretError, SecretKey};
use super::openpgp::OpenPgpSigner;
use super::uploaders::{Uploaders, VerifyError};
use super::{PublicCertificate, SignError, Signer as _, secret_file};
use crate::formats::sealed::{Sealed, SealedError};
use crate::words::date::Timestamp;

/// Why a text cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The key does not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// What was made does not hold.
    #[error("the signature that was just made does not verify: {0}")]
    Unverified(SealProblem),
}

/// Why a seal does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealProblem {
    /// There is none.
    #[error("it carries no signature")]
    Unsigned,
    /// It is not one armored signature.
    #[error("{0}")]
    Form(SealedError),
    /// It does not count.
    #[error("{0}")]
    Verify(VerifyError),
}

/// Signs as an uploader, with all keys that were given.
#[derive(Debug)]
pub struct Sealer {
    signer: OpenPgpSigner,
}

impl Sealer {
    /// Reads the uploader's secret keys from a variable (its name and content), else from a file, in any form that
    /// [`SecretKey::read_all`] takes; `None` where neither is given.
    ///
    /// # Errors
    /// There is no secret key in it, no passphrase opens it, or it may not sign now.
    pub fn read(
        variable: Option<(&str, &[u8])>,
        file: Option<&Path>,
        passphrases: &[Passphrase],
        now: Timestamp,
    ) -> Result<Option<Self>, SecretError> {
        let keys = match (variable, file) {
            (Some((name, content)), _) => SecretKey::read_all(name, content)?,
            (None, Some(file)) => secret_file::read(file)?,
            (None, None) => return Ok(None),
        };
        Self::new(&keys, passphrases, now).map(Some)
    }

    /// Takes secret keys, opened with one of the passphrases where they are protected.
    ///
    /// # Errors
    /// No passphrase opens one, or it may not sign now.
    pub fn new(keys: &[SecretKey], passphrases: &[Passphrase], now: Timestamp) -> Result<Self, SecretError> {
        Ok(Self { signer: OpenPgpSigner::new(keys, passphrases, now)? })
    }

    /// Returns the fingerprints of the certificates that sign.
    pub fn fingerprints(&self) -> Vec<String> {
        self.signer.certificates().iter().map(PublicCertificate::fingerprint).collect()
    }

    /// Returns the text with a signature, which was verified.
    ///
    /// # Errors
    /// A key does not sign, or what it made does not hold.
    pub fn seal(&self, sealed: Sealed, now: Timestamp) -> Result<Sealed, SealError> {
        let text = sealed.signed_text();
        let armored = self.signer.detach_sign(text.as_bytes(), now)?;
        let armored = String::from_utf8_lossy(&armored).into_owned();
        let sealed = sealed.with_signature(armored).map_err(|fault| SealError::Unverified(SealProblem::Form(fault)))?;
        Uploaders::of(self.signer.certificates()).check_seal(&sealed, now).map_err(SealError::Unverified)?;
        Ok(sealed)
    }
}

impl Uploaders {
    /// Returns the fingerprint of the uploader's certificate whose armored or binary detached signature over these bytes is good
    /// now.
    ///
    /// # Errors
    /// Nobody's signature counts; of several, the one by the best-known key is reported.
    pub fn check_detached(&self, bytes: &[u8], signature: &[u8], now: Timestamp) -> Result<String, VerifyError> {
        self.check(super::check::Kind::Detached, bytes, signature, now)
    }

    /// Returns the fingerprint of the uploader who sealed a text.
    ///
    /// # Errors
    /// It is not signed, or the signature does not count.
    pub fn check_seal(&self, sealed: &Sealed, now: Timestamp) -> Result<String, SealProblem> {
        let signature = sealed.signature().ok_or(SealProblem::Unsigned)?;
        self.check_detached(sealed.signed_text().as_bytes(), signature.as_bytes(), now).map_err(SealProblem::Verify)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::super::SignatureProblem;
    use super::super::gnupg::{Gpg, NOW};
    use super::*;
    use crate::formats::sealed::Purpose;
    use crate::words::date::Span;

    fn statement() -> Sealed {
        Sealed::new(Purpose::Statement, r#"{"suite":"trixie","builds":[]}"#.to_owned()).unwrap()
    }

    fn known(gpg: &Gpg, keys: &[&String]) -> Uploaders {
        let keyring: Vec<u8> = keys.iter().flat_map(|key| gpg.public(key)).collect();
        Uploaders::load(&[("keys/uploaders/all.asc".to_owned(), keyring)]).unwrap()
    }

    fn sealer(gpg: &Gpg, key: &str) -> Sealer {
        Sealer::read(Some(("DDB_UPLOADER_KEY", &gpg.secret(key, ""))), None, &[], NOW).unwrap().unwrap()
    }

    #[test]
    fn keys_of_gpg_seal_and_gpg_agrees() {
        let gpg = Gpg::new();
        let alice = gpg.key("alice <alice@example.org>", "ed25519", "sign", "1y");
        let bob = gpg.key("bob <bob@example.org>", "rsa2048", "cert", "1y");
        gpg.subkey(&bob, "nistp256/ecdsa", "sign", "1y");
        let uploaders = known(&gpg, &[&alice, &bob]);
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for key in [&alice, &bob] {
            let sealed = sealer(&gpg, key).seal(statement(), NOW).unwrap();
            let read = Sealed::decode(Purpose::Statement, sealed.encode().as_bytes()).unwrap();
            assert_eq!(uploaders.check_seal(&read, NOW).as_ref(), Ok(key));
            std::fs::write(path("text"), sealed.signed_text()).unwrap();
            std::fs::write(path("text.asc"), sealed.signature().unwrap()).unwrap();
            gpg.run(&["--verify", &path("text.asc"), &path("text")], b"");
            let by_gpg = gpg.run(&["--armor", "--local-user", key, "--detach-sign"], sealed.signed_text().as_bytes());
            let by_gpg = statement().with_signature(String::from_utf8(by_gpg).unwrap()).unwrap();
            assert_eq!(uploaders.check_seal(&by_gpg, NOW).as_ref(), Ok(key), "what gpg signs counts too");
        }
        assert_eq!(uploaders.check_seal(&statement(), NOW), Err(SealProblem::Unsigned));
        let only_alice = known(&gpg, &[&alice]);
        let by_bob = sealer(&gpg, &bob).seal(statement(), NOW).unwrap();
        assert!(only_alice.check_seal(&by_bob, NOW).unwrap_err().to_string().contains("unknown key"));
    }

    #[test]
    fn a_signature_over_anything_else_does_not_count() {
        let gpg = Gpg::new();
        let alice = gpg.key("alice <alice@example.org>", "ed25519", "sign", "1y");
        let uploaders = known(&gpg, &[&alice]);
        let sealed = sealer(&gpg, &alice).seal(statement(), NOW).unwrap();
        let signature = sealed.signature().unwrap().to_owned();
        let mismatch = Err(SealProblem::Verify(VerifyError::Signature(SignatureProblem::Mismatch { key: alice.clone() })));
        let changed = Sealed::new(Purpose::Statement, r#"{"suite":"sid","builds":[]}"#.to_owned()).unwrap();
        assert_eq!(uploaders.check_seal(&changed.with_signature(signature.clone()).unwrap(), NOW), mismatch);
        let other = Sealed::new(Purpose::Manifest, statement().payload().to_owned()).unwrap();
        assert_eq!(uploaders.check_seal(&other.with_signature(signature).unwrap(), NOW), mismatch, "the purpose is signed");

        // A bare payload, or a clearsigned text that holds the very lines, is no seal.
        for (arguments, text) in
            [(&["--armor", "--detach-sign"][..], statement().payload().to_owned()), (&["--clearsign"][..], statement().signed_text())]
        {
            let output = String::from_utf8(gpg.run(arguments, text.as_bytes())).unwrap();
            let armored = output.get(output.find("-----BEGIN PGP SIGNATURE").unwrap()..).unwrap().to_owned();
            assert_eq!(uploaders.check_seal(&statement().with_signature(armored).unwrap(), NOW), mismatch, "{arguments:?}");
        }
    }

    #[test]
    fn old_revoked_and_weak_keys_neither_seal_nor_count() {
        let mut gpg = Gpg::new();
        let brief = gpg.key("brief <b@example.org>", "ed25519", "sign", "1m");
        let revoked = gpg.key("revoked <r@example.org>", "ed25519", "sign", "1y");
        let small = gpg.key("small <s@example.org>", "rsa1024", "sign", "1y");
        let (by_brief, by_revoked) =
            (sealer(&gpg, &brief).seal(statement(), NOW).unwrap(), sealer(&gpg, &revoked).seal(statement(), NOW).unwrap());
        let by_small = gpg.run(&["--armor", "--local-user", &small, "--detach-sign"], statement().signed_text().as_bytes());
        let by_small = statement().with_signature(String::from_utf8(by_small).unwrap()).unwrap();
        gpg.revoke(&revoked);
        let uploaders = known(&gpg, &[&brief, &revoked, &small]);
        let later = NOW.plus(Span::of_seconds(40 * 86_400));
        for (sealed, now, expected) in
            [(&by_brief, later, "expired on"), (&by_revoked, NOW, "is revoked"), (&by_small, NOW, "is a rsa1024 key")]
        {
            let fault = uploaders.check_seal(sealed, now).unwrap_err().to_string();
            assert!(fault.contains(expected), "{expected}: {fault}");
        }
        for (key, now, expected) in [(&brief, later, "expired on"), (&revoked, NOW, "is revoked"), (&small, NOW, "rsa1024")] {
            let fault = Sealer::read(Some(("DDB_UPLOADER_KEY", &gpg.secret(key, ""))), None, &[], now).unwrap_err().to_string();
            assert!(fault.contains(expected), "{expected}: {fault}");
        }
        gpg.at(NOW.plus(Span::of_seconds(7200)));
        let future = gpg.run(&["--armor", "--local-user", &brief, "--detach-sign"], statement().signed_text().as_bytes());
        let future = statement().with_signature(String::from_utf8(future).unwrap()).unwrap();
        assert!(uploaders.check_seal(&future, NOW).unwrap_err().to_string().contains("from the future"));
    }

    #[test]
    fn a_protected_key_from_a_file_needs_its_passphrase() {
        let gpg = Gpg::new();
        let key = gpg.protected_key("p <p@example.org>", "ed25519", "sign", "1y", "open sesame");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.asc");
        std::fs::write(&path, gpg.secret(&key, "open sesame")).unwrap();
        let read = |passphrases: &[Passphrase]| Sealer::read(None, Some(&path), passphrases, NOW);
        assert!(matches!(read(&[]), Err(SecretError::Protected { .. })));
        assert!(matches!(read(&[Passphrase::new(b"wrong".to_vec())]), Err(SecretError::WrongPassphrase { .. })));
        let sealer = read(&[Passphrase::new(b"open sesame\n".to_vec())]).unwrap().unwrap();
        assert_eq!(sealer.fingerprints(), [key]);
        assert!(Sealer::read(None, None, &[], NOW).unwrap().is_none());
    }
}
