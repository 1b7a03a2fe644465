//! Logs of Sigstore (Rekor, version 2) as a [`TransparencyLog`]: a signature over the Release and what a log answers become a bundle.
//!
//! Who signs has a key, or gets a certificate for a new one (`keyless`). One POST: the log answers when the entry is in its tree, so a
//! request may take as long as the log takes to write its next checkpoint. A log that has the same entry already answers 409 and gives
//! no proof; then another signature, which is another entry, is sent. That happens only where the answer to an earlier try was lost,
//! since each signature carries fresh randomness. Certificates and timestamps, where wanted, are fetched and checked first, so that a log
//! gets nothing that cannot be used.

mod keyless;
mod retry;

use std::path::Path;
use std::time::{Duration, Instant};

use p256::elliptic_curve::rand_core::{OsRng, RngCore as _};

use super::http::Http;
use super::{LogError, Proof, TransparencyLog};
use crate::formats::sigstore::bundle::Bundle;
use crate::formats::sigstore::certificate::Certificate;
use crate::formats::sigstore::entry::{LogEntry, Submission, Verifier};
use crate::formats::sigstore::secret_key::SecretKey;
use crate::formats::sigstore::signer::Signer;
use crate::formats::sigstore::trusted_root::TrustedRoot;
use crate::formats::sigstore::verify::Trust;
use crate::formats::sigstore::{SigstoreError, timestamp};
use crate::places::credentials::Secret;
use crate::words::archive::LogKind;
use crate::words::digest::Sha256;

pub use keyless::IdentityToken;
use retry::{Fault, Said, accepted, retry};

/// How often a signature is made anew because the log has it already.
const SIGNATURES: u32 = 3;

/// Where entries, timestamps and certificates are made.
#[derive(Debug, Clone, Default)]
pub struct Services {
    /// Addresses of logs; one is enough.
    pub logs: Vec<String>,
    /// Addresses of timestamp authorities, whole; one is asked, and where there is none the bundle has no timestamp.
    pub timestamp_authorities: Vec<String>,
    /// Addresses of certificate authorities (Fulcio); one is asked by who has no key.
    pub certificate_authorities: Vec<String>,
}

/// The secret key, by the variable or file that it is from.
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// The variable or file.
    pub source_name: String,
    /// PEM, or the same in base64 as one line.
    pub text: Secret,
}

/// What signs entries on this machine.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// The secret half of the signer's key.
    pub key: Option<SigningKey>,
    /// What proves the signer's name.
    pub token: IdentityToken,
}

/// Logs of Sigstore, for one signer.
pub struct SigstoreLog {
    services: Services,
    secrets: Secrets,
    trust: Trust,
    timeout: Duration,
    http: Http,
}

impl SigstoreLog {
    /// Uses these services; what they give must be what this signer and this root say.
    ///
    /// # Errors
    /// The certificate authorities of the machine cannot be read.
    pub fn new(
        services: Services,
        signer: Signer,
        secrets: Secrets,
        root: TrustedRoot,
        timeout: Duration,
        authorities: Option<&Path>,
    ) -> Result<Self, LogError> {
        let failed = |fault: std::io::Error| LogError::Settings { file: "SSL_CERT_FILE".to_owned(), problem: fault.to_string() };
        Ok(Self { services, secrets, trust: Trust { root, signer }, timeout, http: Http::new(authorities).map_err(failed)? })
    }

    /// Reads the secret key, which must be the configured one; `None` where the signer is a name.
    fn key(&self) -> Result<Option<SecretKey>, LogError> {
        let wrong = |problem: String| LogError::Key { kind: LogKind::Sigstore, problem };
        let Signer::Key(public) = &self.trust.signer else { return Ok(None) };
        let Some(signing) = &self.secrets.key else {
            return Err(wrong("there is no secret key; give it in DDB_SIGSTORE_KEY or by --sigstore-key-file".to_owned()));
        };
        let key = SecretKey::read(signing.text.expose()).map_err(|fault| wrong(format!("{}: {fault}", signing.source_name)))?;
        if key.public() == *public {
            Ok(Some(key))
        } else {
            Err(wrong(format!("{} holds the secret part of {}, and not that of {public}", signing.source_name, key.public())))
        }
    }

    /// Returns a key to sign with and what an entry names it by; with the certificate, where that is why it counts.
    fn signer(&self, end: Instant) -> Result<(SecretKey, Verifier, Option<Certificate>), LogError> {
        if let Some(key) = self.key()? {
            let verifier = Verifier::Key(key.public());
            return Ok((key, verifier, None));
        }
        let authorities = &self.services.certificate_authorities;
        let (key, certificate) = keyless::certified(&self.http, authorities, &self.secrets.token, &self.trust, end)?;
        Ok((key, Verifier::Certificate(certificate.der().to_vec()), Some(certificate)))
    }

    /// Asks the timestamp authorities, in their order, for a timestamp over a signature, which must fall into the certificate's time.
    fn timestamps(&self, signature: &[u8], certificate: Option<&Certificate>, end: Instant) -> Result<Vec<Vec<u8>>, LogError> {
        let authorities = &self.services.timestamp_authorities;
        if authorities.is_empty() {
            return Ok(Vec::new());
        }
        let answer = retry(end, ("timestamp authority", authorities), |url, within| {
            let mut nonce = [0; 8];
            OsRng.fill_bytes(&mut nonce);
            let refused = |fault: SigstoreError| Fault::Refused(fault.to_string());
            let request = timestamp::request(signature, nonce).map_err(refused)?;
            let headers = [("content-type", "application/timestamp-query"), ("accept", "application/timestamp-reply")];
            let answer = self.http.post(url, &headers, &request, within).map_err(Fault::Down)?;
            let body = accepted(answer)?;
            let time = timestamp::verify(&body, signature, &self.trust.root.timestamp_authorities).map_err(refused)?;
            // The certificate was good when it began: clocks differ, and a later timestamp may do.
            let late = |fault: SigstoreError| Fault::Down(format!("its time is {}: {fault}", time.iso8601()));
            certificate.map_or(Ok(()), |certificate| self.trust.check_identity(certificate, time)).map_err(late)?;
            Ok(body)
        });
        answer.map(|answer| vec![answer]).map_err(Said::error)
    }

    /// Sends a signature to the logs, in their order, until one gives what makes a bundle that holds.
    fn logged(&self, release: &[u8], submission: &Submission, timestamps: &[Vec<u8>], end: Instant) -> Result<Proof, Said> {
        let request = submission.request();
        retry(end, ("log", &self.services.logs), |url, within| {
            let url = format!("{}/api/v2/log/entries", url.trim_end_matches('/'));
            let headers = [("content-type", "application/json"), ("accept", "application/json")];
            let answer = self.http.post(&url, &headers, request.as_bytes(), within).map_err(Fault::Down)?;
            let entry = LogEntry::parse(&accepted(answer)?).map_err(|fault| Fault::Refused(fault.to_string()))?;
            let proof = Bundle::new(submission, entry, timestamps.to_vec()).encode();
            self.trust.verify(release, &proof).map_err(|fault| Fault::Lies(fault.to_string()))?;
            Ok(proof)
        })
    }
}

impl TransparencyLog for SigstoreLog {
    fn kind(&self) -> LogKind {
        LogKind::Sigstore
    }

    fn ready(&self) -> Result<(), LogError> {
        let wrong = |file: &str, problem: &str| LogError::Settings { file: file.to_owned(), problem: problem.to_owned() };
        let Services { logs, timestamp_authorities, certificate_authorities } = &self.services;
        let root = &self.trust.root;
        if logs.is_empty() {
            return Err(wrong("logs.sigstore.signing-config", "it names no log of version 2 that is in use now"));
        }
        if root.logs.is_empty() {
            return Err(wrong("logs.sigstore.trusted-root", "it names no log with a key that is known here (Ed25519, ECDSA)"));
        }
        if !timestamp_authorities.is_empty() && root.timestamp_authorities.is_empty() {
            return Err(wrong("logs.sigstore.trusted-root", "it names no timestamp authority, and timestamps are wanted"));
        }
        if matches!(self.trust.signer, Signer::Identity { .. }) {
            if certificate_authorities.is_empty() {
                return Err(wrong("logs.sigstore.signing-config", "it names no certificate authority of version 1 that is in use now"));
            }
            if timestamp_authorities.is_empty() {
                return Err(wrong(
                    "logs.sigstore.signing-config",
                    "it names no timestamp authority that is in use now, and who has no key needs one",
                ));
            }
            if root.certificate_authorities.is_empty() {
                return Err(wrong("logs.sigstore.trusted-root", "it names no certificate authority, and logs.sigstore.identity needs one"));
            }
            return self.secrets.token.check();
        }
        self.key().map(drop)
    }

    fn prove(&self, release: &[u8]) -> Result<Proof, LogError> {
        let end = Instant::now() + self.timeout;
        let (key, verifier, certificate) = self.signer(end)?;
        let digest = Sha256::of(release);
        let mut tries = 1;
        loop {
            let signature = key.sign(&digest, &mut OsRng).map_err(unverified)?;
            let timestamps = self.timestamps(&signature, certificate.as_ref(), end)?;
            let submission = Submission { digest, signature, verifier: verifier.clone() };
            match self.logged(release, &submission, &timestamps, end) {
                Ok(proof) => return Ok(proof),
                Err(Said { fault: Fault::Known, .. }) if tries < SIGNATURES => tries += 1,
                Err(said) => return Err(said.error()),
            }
        }
    }

    fn check(&self, release: &[u8], proof: &[u8]) -> Result<(), LogError> {
        self.trust.verify(release, proof).map(drop).map_err(unverified)
    }
}

fn unverified(fault: SigstoreError) -> LogError {
    LogError::Unverified { kind: LogKind::Sigstore, reason: fault.to_string() }
}
