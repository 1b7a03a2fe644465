//! Logs of Sigstore (Rekor, version 2) as a [`TransparencyLog`]: a signature over the Release and what a log answers become a bundle.
//!
//! One POST: the log answers when the entry is in its tree, so a request may take as long as the log takes to write its next
//! checkpoint. A log that has the same entry already answers 409 and gives no proof; then another signature, which is another entry,
//! is sent. That happens only where the answer to an earlier try was lost, since each signature carries fresh randomness. Addresses
//! are tried in their order; timestamps, where wanted, are fetched first, so that a log gets nothing that cannot be used.

use std::path::Path;
use std::time::{Duration, Instant};

use p256::elliptic_curve::rand_core::{OsRng, RngCore as _};

use super::http::{Answer, Http};
use super::{LogError, Proof, TransparencyLog};
use crate::formats::sigstore::bundle::Bundle;
use crate::formats::sigstore::entry::{LogEntry, Submission, Verifier};
use crate::formats::sigstore::public_key::PublicKey;
use crate::formats::sigstore::secret_key::SecretKey;
use crate::formats::sigstore::trusted_root::TrustedRoot;
use crate::formats::sigstore::verify::{Signer, Trust};
use crate::formats::sigstore::{SigstoreError, timestamp};
use crate::places::credentials::Secret;
use crate::words::archive::LogKind;
use crate::words::digest::Sha256;

/// The first and the longest pause before a log that does not answer is asked again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// How often a signature is made anew because the log has it already.
const SIGNATURES: u32 = 3;

/// Where entries and timestamps are made.
#[derive(Debug, Clone, Default)]
pub struct Services {
    /// Addresses of logs; one is enough.
    pub logs: Vec<String>,
    /// Addresses of timestamp authorities, whole; one is asked, and where there is none the bundle has no timestamp.
    pub timestamp_authorities: Vec<String>,
}

/// The secret key, by the variable or file that it is from.
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// The variable or file.
    pub source_name: String,
    /// PEM, or the same in base64 as one line.
    pub text: Secret,
}

/// Logs of Sigstore, for one signing key.
pub struct SigstoreLog {
    services: Services,
    public: PublicKey,
    signing: Option<SigningKey>,
    trust: Trust,
    timeout: Duration,
    http: Http,
}

/// Why there is no answer of use.
enum Fault {
    /// The address does not answer as it should.
    Down(String),
    /// It takes nothing more for now.
    Limited(String),
    /// It does not take this.
    Refused(String),
    /// It has the same entry already.
    Known,
}

impl SigstoreLog {
    /// Uses these services; what they give must be what this key and this root say.
    ///
    /// # Errors
    /// The certificate authorities of the machine cannot be read.
    pub fn new(
        services: Services,
        public: PublicKey,
        signing: Option<SigningKey>,
        root: TrustedRoot,
        timeout: Duration,
        authorities: Option<&Path>,
    ) -> Result<Self, LogError> {
        let failed = |fault: std::io::Error| LogError::Settings { file: "SSL_CERT_FILE".to_owned(), problem: fault.to_string() };
        let trust = Trust { root, signer: Signer::Key(public.clone()) };
        Ok(Self { services, public, signing, trust, timeout, http: Http::new(authorities).map_err(failed)? })
    }

    /// Reads the secret key, which must be the configured one.
    fn key(&self) -> Result<SecretKey, LogError> {
        let wrong = |problem: String| LogError::Key { kind: LogKind::Sigstore, problem };
        let Some(signing) = &self.signing else {
            return Err(wrong("there is no secret key; give it in DDB_SIGSTORE_KEY or by --sigstore-key-file".to_owned()));
        };
        let key = SecretKey::read(signing.text.expose()).map_err(|fault| wrong(format!("{}: {fault}", signing.source_name)))?;
        if key.public() == self.public {
            Ok(key)
        } else {
            let (found, wanted) = (key.public(), &self.public);
            Err(wrong(format!("{} holds the secret part of {found}, and not that of {wanted}", signing.source_name)))
        }
    }

    fn sign(&self, key: &SecretKey, digest: Sha256) -> Result<Submission, LogError> {
        let signature = key.sign(&digest, &mut OsRng).map_err(unverified)?;
        Ok(Submission { digest, signature, verifier: Verifier::Key(self.public.clone()) })
    }

    /// Asks the timestamp authorities, in their order, for a timestamp over a signature.
    fn timestamps(&self, signature: &[u8], end: Instant) -> Result<Vec<Vec<u8>>, LogError> {
        let Some(first) = self.services.timestamp_authorities.first() else { return Ok(Vec::new()) };
        let mut said = (first.clone(), Fault::Down("the time is over".to_owned()));
        retry(end, &self.services.timestamp_authorities, &mut said, |url, within| {
            let mut nonce = [0; 8];
            OsRng.fill_bytes(&mut nonce);
            let request = timestamp::request(signature, nonce).map_err(|fault| Fault::Refused(fault.to_string()))?;
            let headers = [("content-type", "application/timestamp-query"), ("accept", "application/timestamp-reply")];
            let answer = self.http.post(url, &headers, &request, within).map_err(Fault::Down)?;
            let body = accepted(answer)?;
            match timestamp::verify(&body, signature, &self.trust.root.timestamp_authorities) {
                Ok(_) => Ok(vec![body]),
                Err(fault) => Err(Fault::Refused(fault.to_string())),
            }
        })
        .ok_or_else(|| self.failure(said))
    }
}

impl TransparencyLog for SigstoreLog {
    fn kind(&self) -> LogKind {
        LogKind::Sigstore
    }

    fn ready(&self) -> Result<(), LogError> {
        let wrong = |file: &str, problem: &str| LogError::Settings { file: file.to_owned(), problem: problem.to_owned() };
        if self.services.logs.is_empty() {
            return Err(wrong("logs.sigstore.signing-config", "it names no log of version 2 that is in use now"));
        }
        if self.trust.root.logs.is_empty() {
            return Err(wrong("logs.sigstore.trusted-root", "it names no log with a key that is known here (Ed25519, ECDSA)"));
        }
        if !self.services.timestamp_authorities.is_empty() && self.trust.root.timestamp_authorities.is_empty() {
            return Err(wrong("logs.sigstore.trusted-root", "it names no timestamp authority, and timestamps are wanted"));
        }
        self.key().map(drop)
    }

    fn prove(&self, release: &[u8]) -> Result<Proof, LogError> {
        let key = self.key()?;
        let end = Instant::now() + self.timeout;
        let digest = Sha256::of(release);
        let mut said = (self.services.logs.first().cloned().unwrap_or_default(), Fault::Down("no address".to_owned()));
        for _ in 0..SIGNATURES {
            let submission = self.sign(&key, digest)?;
            let timestamps = self.timestamps(&submission.signature, end)?;
            let request = submission.request();
            let entry = retry(end, &self.services.logs, &mut said, |url, within| {
                let url = format!("{}/api/v2/log/entries", url.trim_end_matches('/'));
                let headers = [("content-type", "application/json"), ("accept", "application/json")];
                let answer = self.http.post(&url, &headers, request.as_bytes(), within).map_err(Fault::Down)?;
                LogEntry::parse(&accepted(answer)?).map_err(|fault| Fault::Refused(fault.to_string()))
            });
            if let Some(entry) = entry {
                let proof = Bundle::new(&submission, entry, timestamps).encode();
                self.check(release, &proof)?;
                return Ok(proof);
            }
            if !matches!(said.1, Fault::Known) {
                break;
            }
        }
        Err(self.failure(said))
    }

    fn check(&self, release: &[u8], proof: &[u8]) -> Result<(), LogError> {
        self.trust.verify(release, proof).map(drop).map_err(unverified)
    }
}

impl SigstoreLog {
    fn failure(&self, (log, fault): (String, Fault)) -> LogError {
        let kind = LogKind::Sigstore;
        match fault {
            Fault::Down(reason) => LogError::Down { kind, log, reason },
            Fault::Limited(reason) => LogError::Limited { kind, log, reason },
            Fault::Refused(reason) => LogError::Refused { kind, log, reason },
            Fault::Known => LogError::Refused { kind, log, reason: "it says that it has every new signature already".to_owned() },
        }
    }
}

fn unverified(fault: SigstoreError) -> LogError {
    LogError::Unverified { kind: LogKind::Sigstore, reason: fault.to_string() }
}

/// Returns the body of an answer that takes what was sent.
fn accepted(answer: Answer) -> Result<Vec<u8>, Fault> {
    match answer.status {
        200 | 201 => Ok(answer.body),
        409 => Err(Fault::Known),
        429 => Err(Fault::Limited(answer.said())),
        400..=499 if answer.status != 408 => Err(Fault::Refused(answer.said())),
        _ => Err(Fault::Down(answer.said())),
    }
}

/// Asks addresses in their order, and again after a pause where another try may help, until the time is over. `None` where all
/// failed; `said` is then the address that failed last, and how.
fn retry<T>(
    end: Instant,
    urls: &[String],
    said: &mut (String, Fault),
    mut ask: impl FnMut(&str, Duration) -> Result<T, Fault>,
) -> Option<T> {
    let mut open: Vec<&String> = urls.iter().collect();
    let mut pause = PAUSES.0;
    while !open.is_empty() {
        let mut rest = Vec::new();
        let mut left = open.len();
        for url in open {
            let share = end.saturating_duration_since(Instant::now()) / u32::try_from(left).unwrap_or(1);
            left -= 1;
            if share.is_zero() {
                return None;
            }
            let fault = match ask(url, share) {
                Ok(answer) => return Some(answer),
                Err(fault) => fault,
            };
            let known = matches!(fault, Fault::Known);
            if matches!(fault, Fault::Down(_) | Fault::Limited(_)) {
                rest.push(url);
            }
            *said = (url.clone(), fault);
            if known {
                return None;
            }
        }
        open = rest;
        let next = pause.mul_f64(0.5 + fastrand::f64());
        if open.is_empty() || Instant::now() + next >= end {
            return None;
        }
        std::thread::sleep(next);
        pause = (pause * 2).min(PAUSES.1);
    }
    None
}
