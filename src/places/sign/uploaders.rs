//! Who may upload: keyrings of public certificates, and a clearsigned .dsc or .changes checked against them.
//!
//! Takes what `debsign` and `gpg --clearsign` write. Returned is only what was signed. Keys that are expired, revoked or weak
//! at the time of the check do not count, whenever they signed, as with apt. Who may upload *what* is not decided here.

use super::certificate::{KeyringError, PublicCertificate};
use super::check::{self, Kind, SignatureProblem};
use super::framing::{self, FramingError};
use crate::words::date::Timestamp;

/// The certificates of those who may upload.
#[derive(Debug, Clone, Default)]
pub struct Uploaders {
    certificates: Vec<PublicCertificate>,
}

/// A text with a good signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What was signed, and nothing else; every line ends in a line feed, blanks at line ends are gone.
    pub payload: Vec<u8>,
    /// Fingerprint of the signer's certificate, 40 upper-case hexadecimal digits.
    pub fingerprint: String,
}

/// Why a text does not count as signed by an uploader.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// It is not one clearsigned text.
    #[error("it is not a clearsigned text: {0}; sign it with debsign")]
    Framing(FramingError),
    /// Its signature does not count.
    #[error("{0}")]
    Signature(SignatureProblem),
}

impl Uploaders {
    /// Reads keyrings: name for messages and bytes, armored or binary, several certificates each.
    ///
    /// # Errors
    /// A keyring that is none, is empty, or holds a secret key.
    pub fn load(keyrings: &[(String, Vec<u8>)]) -> Result<Self, KeyringError> {
        let mut certificates = Vec::new();
        for (name, bytes) in keyrings {
            certificates.extend(PublicCertificate::read_all(name, bytes)?);
        }
        Ok(Self { certificates })
    }

    /// Returns how many certificates there are.
    pub fn len(&self) -> usize {
        self.certificates.len()
    }

    /// Returns whether nobody may upload.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }

    /// Returns the signed part of a clearsigned text and who signed it. One good signature by an uploader is enough.
    ///
    /// # Errors
    /// See [`VerifyError`]; of several signatures, the one by the best-known key is reported.
    pub fn verify_clearsigned(&self, text: &[u8], now: Timestamp) -> Result<Verified, VerifyError> {
        let parts = framing::split(text).map_err(VerifyError::Framing)?;
        let fingerprint = self.check(Kind::Cleartext, &parts.payload, &parts.signature, now)?;
        Ok(Verified { payload: parts.payload, fingerprint })
    }

    /// Takes certificates that were read already.
    pub(super) fn of(certificates: Vec<PublicCertificate>) -> Self {
        Self { certificates }
    }

    /// Returns the certificate of the first good signature.
    pub(super) fn check(&self, kind: Kind, text: &[u8], signature: &[u8], now: Timestamp) -> Result<String, VerifyError> {
        let certs: Vec<_> = self.certificates.iter().map(PublicCertificate::cert).collect();
        let results = check::check(kind, text, signature, &certs, now).map_err(VerifyError::Signature)?;
        let mut problems = Vec::new();
        for result in results {
            match result {
                Ok(good) => return Ok(good.certificate),
                Err(problem) => problems.push(problem),
            }
        }
        let known = problems.iter().position(|problem| !matches!(problem, SignatureProblem::UnknownSigner { .. }));
        let problem = problems.into_iter().nth(known.unwrap_or(0));
        Err(VerifyError::Signature(problem.unwrap_or(SignatureProblem::Unusable { key: None, reason: "there is none".to_owned() })))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::gnupg::{Gpg, NOW};
    use super::*;
    use crate::words::date::Span;

    const CHANGES: &[u8] = b"Format: 1.8\nSource: hello\n-dashed: yes\nDescription:\n hello - a greeting  \n";
    const SIGNED: &[u8] = b"Format: 1.8\nSource: hello\n-dashed: yes\nDescription:\n hello - a greeting\n";

    fn uploaders(gpg: &Gpg, keys: &[&String]) -> Uploaders {
        let keyring: Vec<u8> = keys.iter().flat_map(|key| gpg.public(key)).collect();
        Uploaders::load(&[("keys/uploaders/all.asc".to_owned(), keyring)]).unwrap()
    }

    #[test]
    fn texts_clearsigned_by_gpg_are_taken_from_those_in_the_keyring() {
        let gpg = Gpg::new();
        let alice = gpg.key("alice <alice@example.org>", "ed25519", "sign", "1y");
        let bob = gpg.key("bob <bob@example.org>", "rsa2048", "cert", "1y");
        gpg.subkey(&bob, "rsa2048", "sign", "1y");
        let carol = gpg.key("carol <carol@example.org>", "nistp256", "sign", "1y");
        let known = uploaders(&gpg, &[&alice, &bob]);
        assert_eq!(known.len(), 2);
        for (key, digest) in [(&alice, "SHA256"), (&bob, "SHA512")] {
            let verified = known.verify_clearsigned(&gpg.clearsign(key, digest, CHANGES), NOW).unwrap();
            assert_eq!((verified.payload.as_slice(), &verified.fingerprint), (SIGNED, key));
        }

        let unknown = known.verify_clearsigned(&gpg.clearsign(&carol, "SHA512", CHANGES), NOW).unwrap_err();
        assert_eq!(unknown, VerifyError::Signature(SignatureProblem::UnknownSigner { key: carol.clone() }));
        let both = gpg.run(&["-u", &carol, "-u", &bob, "--clearsign"], CHANGES);
        assert_eq!(known.verify_clearsigned(&both, NOW).unwrap().fingerprint, bob);

        let binary = gpg.run(&["--export", &carol], b"");
        let more = Uploaders::load(&[("carol.gpg".to_owned(), binary)]).unwrap();
        assert_eq!(more.verify_clearsigned(&gpg.clearsign(&carol, "SHA384", CHANGES), NOW).unwrap().fingerprint, carol);
    }

    #[test]
    fn a_changed_text_or_a_detached_signature_in_a_frame_does_not_count() {
        let gpg = Gpg::new();
        let alice = gpg.key("alice <alice@example.org>", "ed25519", "sign", "1y");
        let known = uploaders(&gpg, &[&alice]);
        let signed = String::from_utf8(gpg.clearsign(&alice, "SHA512", CHANGES)).unwrap();
        let mismatch = Err(VerifyError::Signature(SignatureProblem::Mismatch { key: alice.clone() }));
        for (from, to) in [("hello\n", "evil\n"), ("Format", " Format"), ("\n\nFormat", "\n\n\nFormat"), ("- -dashed", "- - -dashed")] {
            assert_eq!(known.verify_clearsigned(signed.replace(from, to).as_bytes(), NOW), mismatch, "{from:?}");
        }
        assert!(matches!(known.verify_clearsigned(CHANGES, NOW), Err(VerifyError::Framing(FramingError::Unsigned))));
        let armor = String::from_utf8(gpg.run(&["--armor", "--detach-sign"], b"Format: 1.8")).unwrap();
        let framed = format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nFormat: 1.8\n{armor}");
        assert!(known.verify_clearsigned(framed.as_bytes(), NOW).unwrap_err().to_string().contains("it is of type"));
        let bomb = gpg.run(&["--armor", "--store"], &vec![b'x'; 1 << 20]);
        let bomb = String::from_utf8(bomb).unwrap().replace("PGP MESSAGE", "PGP SIGNATURE");
        let framed = format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nFormat: 1.8\n{bomb}");
        assert!(known.verify_clearsigned(framed.as_bytes(), NOW).unwrap_err().to_string().contains("it holds a packet of type"));
        let inline = gpg.run(&["--armor", "--sign"], CHANGES);
        assert!(matches!(known.verify_clearsigned(&inline, NOW), Err(VerifyError::Framing(FramingError::Unsigned))));
    }

    #[test]
    fn old_revoked_and_weak_signatures_are_each_refused_with_their_reason() {
        let mut gpg = Gpg::new();
        let revoked = gpg.key("revoked <r@example.org>", "ed25519", "sign", "1y");
        let brief = gpg.key("brief <b@example.org>", "ed25519", "sign", "1m");
        let small = gpg.key("small <s@example.org>", "rsa1024", "sign", "1y");
        let sign = |key: &String, digest| gpg.clearsign(key, digest, CHANGES);
        let (by_revoked, by_brief, by_small, sha1) =
            (sign(&revoked, "SHA512"), sign(&brief, "SHA512"), sign(&small, "SHA512"), sign(&brief, "SHA1"));
        gpg.revoke(&revoked);
        let known = uploaders(&gpg, &[&revoked, &brief, &small]);

        let later = NOW.plus(Span::of_seconds(40 * 86_400));
        for (text, now, expected) in [
            (&by_revoked, NOW, "is revoked (No reason specified"),
            (&by_brief, later, "expired on 2026-10-12"),
            (&by_brief, NOW.minus(Span::of_seconds(86_400)), "valid only from 2026-09-12"),
            (&by_small, NOW, "is a rsa1024 key, which apt refuses"),
            (&sha1, NOW, "is made with SHA1, which is broken"),
        ] {
            let error = known.verify_clearsigned(text, now).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
        }
        assert_eq!(known.verify_clearsigned(&by_brief, NOW).unwrap().fingerprint, brief);

        gpg.at(NOW.plus(Span::of_seconds(3600)));
        let future = gpg.clearsign(&brief, "SHA512", CHANGES);
        assert!(known.verify_clearsigned(&future, NOW).unwrap_err().to_string().contains("from the future"));
    }

    #[test]
    fn keyrings_with_secrets_or_without_certificates_are_refused() {
        let gpg = Gpg::new();
        let alice = gpg.key("alice <alice@example.org>", "ed25519", "sign", "1y");
        let load = |bytes: Vec<u8>| Uploaders::load(&[("keys/uploaders/a.asc".to_owned(), bytes)]).unwrap_err().to_string();
        assert!(load(gpg.secret(&alice, "")).contains("holds the SECRET key"));
        for bytes in [&b""[..], b"hello\n", &[0x99, 0x01], b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n????\n"] {
            assert!(load(bytes.to_vec()).contains("keys/uploaders/a.asc"), "{bytes:?}");
        }
    }
}
