//! Signatures by pinned certificates, checked with sequoia's own verifier (RFC 9580), and judged as apt judges them: the key
//! must be good *now*, not only when it signed.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sequoia_openpgp::cert::CertParser;
use sequoia_openpgp::parse::Parse as _;
use sequoia_openpgp::parse::stream::{
    DetachedVerifierBuilder, GoodChecksum, MessageLayer, MessageStructure, VerificationError, VerificationHelper,
};
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::types::{HashAlgorithm, RevocationStatus, SignatureType};
use sequoia_openpgp::{Cert, KeyHandle};

use super::VerifyError;
use crate::words::date::Timestamp;

/// Largest keyring in bytes.
const KEYRING: usize = 64 << 20;

/// Largest armored signature in bytes; a stapled proof is a part of it.
pub(super) const SIGNATURE: usize = 1 << 20;

/// What apt refuses.
const WEAK: [HashAlgorithm; 4] = [HashAlgorithm::MD5, HashAlgorithm::SHA1, HashAlgorithm::RipeMD, HashAlgorithm::SHA224];

/// The certificates that an archive is known by.
#[derive(Debug, Clone, Default)]
pub struct PinnedKeys {
    certs: Vec<Cert>,
}

/// How a signature covers a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// As lines; the last line's end is not covered (InRelease).
    Cleartext,
    /// As bytes (Release and Release.gpg).
    Detached,
}

/// What the signatures of a text are worth.
#[derive(Debug, Default)]
pub(super) struct Signers {
    /// Fingerprints of pinned certificates with a good signature.
    pub(super) good: BTreeSet<String>,
    /// Signatures by pinned certificates that are not good. Those by strangers say nothing and are passed over.
    pub(super) bad: Vec<String>,
    /// Keys that nobody pinned.
    pub(super) strangers: Vec<String>,
}

impl PinnedKeys {
    /// Reads keyrings, armored (also several blocks in a file) or binary; each has its name for messages.
    ///
    /// # Errors
    /// A file that is no keyring of public certificates.
    pub fn read(files: &[(String, Vec<u8>)]) -> Result<Self, VerifyError> {
        let mut certs = Vec::new();
        for (file, bytes) in files {
            let refuse = |reason: String| VerifyError::Keyring { file: file.clone(), reason };
            if bytes.len() > KEYRING {
                return Err(refuse(format!("has more than {KEYRING} bytes")));
            }
            let before = certs.len();
            for block in blocks(bytes) {
                let parser = CertParser::from_bytes(block).map_err(|fault| refuse(format!("cannot be read: {fault}")))?;
                for cert in parser {
                    let cert = cert.map_err(|fault| refuse(format!("holds something that is no certificate: {fault}")))?;
                    if cert.is_tsk() {
                        return Err(refuse(format!("holds the SECRET key {}; give the public one", cert.fingerprint())));
                    }
                    certs.push(cert);
                }
            }
            if certs.len() == before {
                return Err(refuse("holds no OpenPGP certificate".to_owned()));
            }
        }
        Ok(Self { certs })
    }

    /// Tells whether a key or subkey of these certificates has this fingerprint or key ID.
    pub(super) fn know(&self, handle: &KeyHandle) -> bool {
        self.certs.iter().any(|cert| has(cert, handle))
    }

    /// Checks the signatures over a text. Fails where there is no readable signature.
    pub(super) fn check(&self, frame: Frame, text: &[u8], signature: &[u8], now: Timestamp) -> Result<Signers, String> {
        if signature.len() > SIGNATURE {
            return Err(format!("it has more than {SIGNATURE} bytes"));
        }
        let mut policy = StandardPolicy::at(time(now));
        WEAK.into_iter().for_each(|hash| policy.reject_hash(hash));
        // A revocation counts whatever digest it was made with.
        policy.hash_revocation_tolerance(u32::MAX);
        let covered = match frame {
            Frame::Cleartext => text.strip_suffix(b"\n").unwrap_or(text),
            Frame::Detached => text,
        };
        let judge = Judge { pinned: &self.certs, policy: &policy, frame, now: time(now), signers: Signers::default() };
        let mut verifier = DetachedVerifierBuilder::from_bytes(signature)
            .and_then(|builder| builder.with_policy(&policy, time(now), judge))
            .map_err(|fault| format!("it cannot be read: {fault:#}"))?;
        verifier.verify_bytes(covered).map_err(|fault| format!("it cannot be checked: {fault:#}"))?;
        Ok(verifier.into_helper().signers)
    }
}

/// Decides about every signature and stops nothing.
struct Judge<'a> {
    pinned: &'a [Cert],
    policy: &'a StandardPolicy<'a>,
    frame: Frame,
    now: SystemTime,
    signers: Signers,
}

impl VerificationHelper for Judge<'_> {
    fn get_certs(&mut self, handles: &[KeyHandle]) -> sequoia_openpgp::Result<Vec<Cert>> {
        Ok(self.pinned.iter().filter(|cert| handles.iter().any(|handle| has(cert, handle))).cloned().collect())
    }

    fn check(&mut self, structure: MessageStructure<'_>) -> sequoia_openpgp::Result<()> {
        for layer in structure {
            let MessageLayer::SignatureGroup { results } = layer else { continue };
            for result in results {
                match result {
                    Ok(good) => match self.counts(&good) {
                        Ok(fingerprint) => drop(self.signers.good.insert(fingerprint)),
                        Err(reason) => self.signers.bad.push(reason),
                    },
                    Err(VerificationError::MissingKey { sig }) => {
                        let handle = sig.get_issuers().first().map_or_else(|| "an unnamed key".to_owned(), ToString::to_string);
                        self.signers.strangers.push(handle);
                    }
                    Err(fault) => self.signers.bad.push(plain(&fault)),
                }
            }
        }
        Ok(())
    }
}

impl Judge<'_> {
    /// Returns the certificate's fingerprint if a signature that fits its text counts now.
    fn counts(&self, good: &GoodChecksum<'_>) -> Result<String, String> {
        let fingerprint = good.ka.cert().fingerprint().to_hex();
        let refuse = |why: &str| Err(format!("the key {fingerprint} {why}"));
        match (self.frame, good.sig.typ()) {
            (_, SignatureType::Text) | (Frame::Detached, SignatureType::Binary) => {}
            (_, other) => return refuse(&format!("made a signature of type {other}, which is none for this text")),
        }
        let cert = good.ka.cert();
        let valid = match cert.with_policy(self.policy, self.now) {
            Ok(valid) => valid,
            Err(fault) => return refuse(&format!("has no valid self-signature now: {fault:#}")),
        };
        if let Err(fault) = valid.alive() {
            return refuse(&format!("is not valid now: {fault:#}"));
        }
        if matches!(valid.revocation_status(), RevocationStatus::Revoked(_)) {
            return refuse("is revoked");
        }
        let wanted = good.ka.key().fingerprint();
        let mut usable = valid.keys().alive().revoked(false).for_signing();
        if !usable.any(|key| key.key().fingerprint() == wanted) {
            return refuse(&format!("has the signing key {wanted}, which is expired, revoked or not for signing"));
        }
        Ok(fingerprint)
    }
}

fn plain(fault: &VerificationError<'_>) -> String {
    use VerificationError as Fault;
    match fault {
        Fault::BadSignature { ka, error, .. } => {
            format!("the signature by {} does not fit the text or has expired: {error:#}", ka.cert().fingerprint())
        }
        Fault::BadKey { ka, error, .. } => format!("the key {} does not count: {error:#}", ka.cert().fingerprint()),
        Fault::UnboundKey { cert, error, .. } => format!("the key {} does not count: {error:#}", cert.fingerprint()),
        other => other.to_string(),
    }
}

fn has(cert: &Cert, handle: &KeyHandle) -> bool {
    cert.keys().any(|key| key.key().key_handle().aliases(handle))
}

fn time(time: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(time.0).unwrap_or(0).min(u64::from(u32::MAX)))
}

/// Returns the armored blocks of a text, or the whole of binary bytes, whose first bit is always set.
fn blocks(bytes: &[u8]) -> Vec<&[u8]> {
    if bytes.first().is_none_or(|first| first & 0x80 != 0) {
        return vec![bytes];
    }
    let begins = memchr::memmem::find_iter(bytes, "-----BEGIN PGP ").collect::<Vec<_>>();
    let ends = begins.iter().skip(1).copied().chain([bytes.len()]);
    begins.iter().zip(ends).filter_map(|(begin, end)| bytes.get(*begin..end)).collect()
}
