//! Signatures over Release: made in process or by a program, and checked right after they are made.
//!
//! [`Signer`] is one of the four traits. Its contract, which `contract` checks on every implementation:
//! - **what was signed verifies**: both kinds of signature hold, offline, against the certificates that the signer names;
//! - every named certificate signs, and nobody else, all of them in one armor block (apt reads only one);
//! - the clearsigned text is the given text: nothing added, nothing lost, laid out as gpg does;
//! - a signer that cannot sign says so and returns nothing.
//!
//! A [`SignedRelease`] exists only after that was verified. Which suites are signed when is decided in the stories.

pub mod certificate;
mod check;
pub mod command;
mod framing;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
pub(crate) mod gnupg;
pub mod keys;
pub mod openpgp;
pub mod seal;
pub mod secret_file;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
pub mod uploaders;

pub use certificate::{KeyDescription, KeyringError, PublicCertificate, Refusal, armored_keyring, keyring};
pub use check::SignatureProblem;
pub use framing::FramingError;

use check::Kind;

use crate::formats::staple::{self, StapleError};

use crate::words::archive::LogKind;
use crate::words::date::Timestamp;

/// Why Release cannot be signed, or a signature does not count.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The text is not one that both kinds of signature cover byte by byte.
    #[error("cannot sign the text: line {line} {problem}")]
    Text {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There is no certificate to sign with.
    #[error("there is no signing key; `ddb-publish key generate` makes one")]
    NoSigner,
    /// apt of bookworm would accept nobody's signature.
    #[error("every signing key is of version 6, which apt of Debian 12 cannot read; sign with a version 4 key as well")]
    OnlyVersion6,
    /// A certificate may not sign.
    #[error("the signing key may not sign: {0}")]
    Refused(Refusal),
    /// Signing in process failed.
    #[error("signing with {key} failed: {reason}")]
    Crypto {
        /// The key.
        key: String,
        /// What the library says.
        reason: String,
    },
    /// The configured program could not be run.
    #[error("cannot run the signing program {program}")]
    Program {
        /// The program.
        program: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The configured program failed.
    #[error("the signing program {program} failed at \"{action}\" ({status}){}{stderr}", if stderr.is_empty() { "" } else { ": " })]
    ProgramFailed {
        /// The program.
        program: String,
        /// `clearsign` or `detach`.
        action: &'static str,
        /// How it ended.
        status: String,
        /// The end of what it said.
        stderr: String,
    },
    /// A signature does not hold.
    #[error("{file} does not verify: {reason}")]
    Unverified {
        /// `InRelease` or `Release.gpg`.
        file: &'static str,
        /// Why.
        reason: String,
    },
}

/// Signs texts for a fixed set of certificates. See the module's text for the contract.
pub trait Signer: Send + Sync {
    /// Returns the certificates that sign, each of which must be found in every signature.
    fn certificates(&self) -> Vec<PublicCertificate>;

    /// Returns a text in a cleartext signature frame, as `gpg --clearsign` lays it out. The text ends in a line feed.
    ///
    /// # Errors
    /// A key or program does not sign.
    fn clearsign(&self, text: &[u8], now: Timestamp) -> Result<Vec<u8>, SignError>;

    /// Returns an armored detached signature over the bytes of a text.
    ///
    /// # Errors
    /// A key or program does not sign.
    fn detach_sign(&self, text: &[u8], now: Timestamp) -> Result<Vec<u8>, SignError>;
}

/// A Release with both of its signatures, which were verified after they were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRelease {
    release: Vec<u8>,
    in_release: Vec<u8>,
    detached: Vec<u8>,
    fingerprints: Vec<String>,
}

impl SignedRelease {
    /// Signs a Release and verifies, offline and against the signer's certificates, what was made.
    ///
    /// # Errors
    /// See [`SignError`]; nothing unverified is returned.
    pub fn sign(signer: &dyn Signer, release: &[u8], now: Timestamp) -> Result<Self, SignError> {
        signable(release)?;
        let certificates = signer.certificates();
        for certificate in &certificates {
            certificate.may_sign(now).map_err(SignError::Refused)?;
        }
        match certificates.iter().map(PublicCertificate::version).min() {
            None => return Err(SignError::NoSigner),
            Some(4) => {}
            Some(_) => return Err(SignError::OnlyVersion6),
        }
        let in_release = signer.clearsign(release, now)?;
        let detached = signer.detach_sign(release, now)?;
        let signed = verify_release(&in_release, &certificates, now)?;
        if signed.release != release {
            return Err(unverified(IN_RELEASE, &"the text in it is not Release"));
        }
        armored(&detached)?;
        verify(RELEASE_GPG, Kind::Detached, release, &detached, &certificates, now)?;
        Ok(Self { release: release.to_vec(), in_release, detached, fingerprints: signed.fingerprints })
    }

    /// Returns the same signatures with the proof of a transparency log in their armor.
    ///
    /// # Errors
    /// They would not be the same signatures over the same text.
    pub fn stapled(self, kind: LogKind, proof: &[u8]) -> Result<Self, SignError> {
        let (in_release, detached) = stapled(&self.in_release, &self.detached, kind, proof)?;
        Ok(Self { in_release, detached, ..self })
    }

    /// Returns the bytes of `Release`.
    pub fn release(&self) -> &[u8] {
        &self.release
    }

    /// Returns the bytes of `InRelease`.
    pub fn in_release(&self) -> &[u8] {
        &self.in_release
    }

    /// Returns the bytes of `Release.gpg`.
    pub fn detached(&self) -> &[u8] {
        &self.detached
    }

    /// Returns the fingerprints of the certificates that signed, sorted.
    pub fn fingerprints(&self) -> &[String] {
        &self.fingerprints
    }
}

/// What an InRelease says and who signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRelease {
    /// The bytes of `Release`.
    pub release: Vec<u8>,
    /// Fingerprints of the certificates that signed, sorted.
    pub fingerprints: Vec<String>,
}

/// Returns the text of an InRelease that every one of these certificates signed, and nobody else, and that apt of today
/// accepts: the keys are good now (gpgv) and were when they signed (sqv).
///
/// # Errors
/// The frame, a signature or a key does not hold, or one is missing.
pub fn verify_release(in_release: &[u8], certificates: &[PublicCertificate], now: Timestamp) -> Result<VerifiedRelease, SignError> {
    let parts = framing::split(in_release).map_err(|error| unverified(IN_RELEASE, &error))?;
    let fingerprints = verify(IN_RELEASE, Kind::Cleartext, &parts.payload, &parts.signature, certificates, now)?;
    Ok(VerifiedRelease { release: parts.payload, fingerprints })
}

/// Signs a text that is no Release, for [`vouches`].
///
/// # Errors
/// A key or program does not sign, or signs something else.
pub fn vouch(signer: &dyn Signer, text: &[u8], now: Timestamp) -> Result<Vec<u8>, SignError> {
    let signature = signer.detach_sign(text, now)?;
    if vouches(text, &signature, &signer.certificates(), now) {
        Ok(signature)
    } else {
        Err(unverified("recorded.asc", &"it does not hold"))
    }
}

/// Tells whether one of these certificates, which is good now, made both signatures of a Release.
pub fn signed(release: &[u8], in_release: &[u8], detached: &[u8], certificates: &[PublicCertificate], now: Timestamp) -> bool {
    framing::split(in_release).is_ok_and(|parts| parts.payload == release)
        && clear_signed(in_release, certificates, now)
        && vouches(release, detached, certificates, now)
}

/// Tells whether one of these certificates, which is good now, made the signature of an InRelease.
pub fn clear_signed(in_release: &[u8], certificates: &[PublicCertificate], now: Timestamp) -> bool {
    let parts = framing::split(in_release);
    parts.is_ok_and(|parts| any_good(Kind::Cleartext, &parts.payload, &parts.signature, certificates, now))
}

/// Tells whether one of these certificates, which is good now, signed a text.
pub fn vouches(text: &[u8], signature: &[u8], certificates: &[PublicCertificate], now: Timestamp) -> bool {
    any_good(Kind::Detached, text, signature, certificates, now)
}

fn any_good(kind: Kind, text: &[u8], signature: &[u8], certificates: &[PublicCertificate], now: Timestamp) -> bool {
    let certs: Vec<_> = certificates.iter().map(PublicCertificate::cert).collect();
    check::check(kind, text, signature, &certs, now).is_ok_and(|results| results.iter().any(Result::is_ok))
}

/// Checks the detached signature of a Release in the same way, and returns the fingerprints, sorted.
///
/// # Errors
/// The armor, a signature or a key does not hold, or one is missing.
pub fn verify_detached(
    release: &[u8],
    signature: &[u8],
    certificates: &[PublicCertificate],
    now: Timestamp,
) -> Result<Vec<String>, SignError> {
    armored(signature)?;
    verify(RELEASE_GPG, Kind::Detached, release, signature, certificates, now)
}

/// Puts the proof of a transparency log into the armor of InRelease and Release.gpg, in the place of one of the same kind, and checks
/// that text and signatures are the same as before.
///
/// # Errors
/// They are not, or have no armor.
pub fn stapled(in_release: &[u8], detached: &[u8], kind: LogKind, proof: &[u8]) -> Result<(Vec<u8>, Vec<u8>), SignError> {
    let staple = |file, bytes: &[u8]| staple::staple(bytes, kind, proof).map_err(|fault: StapleError| unverified(file, &fault));
    let (with, detached_with) = (staple(IN_RELEASE, in_release)?, staple(RELEASE_GPG, detached)?);
    let split = |text: &[u8]| framing::split(text).map_err(|fault| unverified(IN_RELEASE, &fault));
    let (old, new) = (split(in_release)?, split(&with)?);
    let same = |file, old: &[u8], new: &[u8]| {
        let packets = |signature: &[u8]| check::packets(signature).map_err(|fault| unverified(file, &fault));
        if packets(old)? == packets(new)? {
            Ok(())
        } else {
            Err(unverified(file, &"it holds other signatures with the proof than without"))
        }
    };
    same(IN_RELEASE, &old.signature, &new.signature)?;
    same(RELEASE_GPG, detached, &detached_with)?;
    armored(&detached_with)?;
    if old.payload == new.payload { Ok((with, detached_with)) } else { Err(unverified(IN_RELEASE, &"its text changed with the proof")) }
}

const IN_RELEASE: &str = "InRelease";
const RELEASE_GPG: &str = "Release.gpg";

fn unverified(file: &'static str, reason: &dyn std::fmt::Display) -> SignError {
    SignError::Unverified { file, reason: reason.to_string() }
}

fn verify(
    file: &'static str,
    kind: Kind,
    text: &[u8],
    signature: &[u8],
    certificates: &[PublicCertificate],
    now: Timestamp,
) -> Result<Vec<String>, SignError> {
    let certs: Vec<_> = certificates.iter().map(PublicCertificate::cert).collect();
    let (mut signers, mut version) = (Vec::new(), 0);
    for result in check::check(kind, text, signature, &certs, now).map_err(|problem| unverified(file, &problem))? {
        let good = result.map_err(|problem| unverified(file, &problem))?;
        let then = certs.iter().filter(|cert| cert.fingerprint().to_hex() == good.certificate);
        let bound_then =
            then.filter_map(|cert| certificate::signing_keys(cert, good.made).ok()).flatten().any(|key| key.key.fingerprint() == good.key);
        if !bound_then {
            return Err(unverified(file, &format!("{} was not a valid signing key when it signed, on {}", good.key, good.made.iso8601())));
        }
        // gpgv of Debian 12 stops at the first signature that it cannot read.
        if good.version < version {
            return Err(unverified(
                file,
                &format!("the version {} signature by {} must stand before those of version {version}", good.version, good.key),
            ));
        }
        version = good.version;
        signers.push(good.certificate);
    }
    signers.sort();
    signers.dedup();
    match certificates.iter().map(PublicCertificate::fingerprint).find(|wanted| !signers.contains(wanted)) {
        Some(missing) => Err(unverified(file, &format!("the signature by {missing} is missing"))),
        None => Ok(signers),
    }
}

/// Refuses texts that a cleartext signature does not cover byte by byte (RFC 9580 section 7.2), or that apt reads otherwise.
fn signable(text: &[u8]) -> Result<(), SignError> {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    for (number, line) in lines.enumerate() {
        let refuse = |problem| SignError::Text { line: number + 1, problem };
        let content = line.strip_suffix(b"\n").ok_or_else(|| refuse("does not end in a line feed"))?;
        if memchr::memchr2(b'\r', 0, content).is_some() {
            return Err(refuse("has a carriage return or NUL"));
        }
        if framing::without_blanks(content).len() != content.len() {
            return Err(refuse("ends in a blank"));
        }
    }
    let lines = text.iter().filter(|byte| **byte == b'\n').count();
    match text {
        [] => Err(SignError::Text { line: 1, problem: "is missing" }),
        // Programs disagree about which of the last line feeds are text.
        [b'\n'] | [.., b'\n', b'\n'] => Err(SignError::Text { line: lines, problem: "is empty and the last" }),
        _ => Ok(()),
    }
}

/// Refuses detached signatures that apt does not read: not armored, or more than one block.
fn armored(signature: &[u8]) -> Result<(), SignError> {
    let one_block = signature.starts_with(b"-----BEGIN PGP SIGNATURE-----\n")
        && signature.ends_with(b"\n-----END PGP SIGNATURE-----\n")
        && memchr::memmem::find_iter(signature, b"-----BEGIN").count() == 1;
    if one_block { Ok(()) } else { Err(unverified(RELEASE_GPG, &"it is not exactly one armored signature block")) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
pub(crate) mod contract {
    //! The suite that every signer must pass.

    use super::gnupg::run;
    use super::*;

    /// Texts as Release never has them, and one as it does.
    const TEXTS: [&str; 4] = [
        "Origin: Debian\nSuite: trixie\nSHA256:\n 0123 17 main/binary-amd64/Packages\n",
        "-dashed\n- dashed\n-----BEGIN PGP SIGNATURE-----\n--\n",
        "From me\n\n\nzwölf\u{3000}€\n",
        "x\n",
    ];

    /// Runs the whole contract at the machine's time, since gpgv knows no other.
    pub(crate) fn check(signer: &dyn Signer) {
        let now = super::gnupg::clock();
        let mut wanted: Vec<_> = signer.certificates().iter().map(PublicCertificate::fingerprint).collect();
        wanted.sort();
        for text in TEXTS {
            let signed = SignedRelease::sign(signer, text.as_bytes(), now).unwrap();
            assert_eq!(signed.fingerprints(), wanted);
            let in_release = String::from_utf8(signed.in_release().to_vec()).unwrap();
            assert!(in_release.starts_with("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n"), "{in_release}");
            let framed = in_release.split_once("\n\n").unwrap().1.replace("\n- -", "\n-");
            let framed = framed.strip_prefix("- ").unwrap_or(&framed);
            assert!(framed.starts_with(&format!("{text}-----BEGIN PGP SIGNATURE-----\n")), "no empty line more than gpg's: {in_release}");
            for bytes in [signed.in_release(), signed.detached()] {
                assert_eq!(memchr::memmem::find_iter(bytes, b"\n-----END PGP SIGNATURE-----\n").count(), 1, "one armor block");
            }

            let served = verify_release(signed.in_release(), &signer.certificates(), now).unwrap();
            assert_eq!((served.release.as_slice(), served.fingerprints.as_slice()), (text.as_bytes(), wanted.as_slice()));
            assert_eq!(verify_detached(text.as_bytes(), signed.detached(), &signer.certificates(), now).unwrap(), wanted);
            assert!(verify_detached(format!("{text}\n").as_bytes(), signed.detached(), &signer.certificates(), now).is_err());
            gpgv_agrees(&signed, &signer.certificates());
        }
        for (text, at) in [("", 1), ("no line feed", 1), ("blank \n", 1), ("tab\t\n", 1), ("cr\r\n", 1), ("nul\0\n", 1), ("empty\n\n", 2)] {
            assert!(
                matches!(SignedRelease::sign(signer, text.as_bytes(), now), Err(SignError::Text { line, .. }) if line == at),
                "{text:?}"
            );
        }
    }

    /// Asks gpgv about both signatures and for the text that it saw.
    pub(crate) fn gpgv_agrees(signed: &SignedRelease, certificates: &[PublicCertificate]) {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).into_os_string().into_string().unwrap();
        std::fs::write(path("keyring.gpg"), keyring(certificates).unwrap()).unwrap();
        std::fs::write(path("InRelease"), signed.in_release()).unwrap();
        std::fs::write(path("Release"), signed.release()).unwrap();
        std::fs::write(path("Release.gpg"), signed.detached()).unwrap();
        let keyring = path("keyring.gpg");
        for (arguments, signatures) in [
            (vec!["--output".to_owned(), path("out"), path("InRelease")], certificates.len()),
            (vec![path("Release.gpg"), path("Release")], certificates.len()),
        ] {
            let fixed = ["--status-fd", "1", "--keyring", &keyring].map(str::to_owned);
            let output = run("gpgv", fixed.iter().chain(&arguments), b"");
            let status = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(status.matches("[GNUPG:] VALIDSIG ").count(), signatures, "{status}");
        }
        assert_eq!(std::fs::read(path("out")).unwrap(), signed.release());
    }
}
