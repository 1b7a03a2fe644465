//! Sigsum logs as a [`TransparencyLog`]: any one of the policy's logs that takes the leaf and is cosigned as the policy asks.
//!
//! Logs are tried in the order of the policy. One that does not answer, or is over its limit, is passed over and tried again until
//! the time is over; one that took the leaf gets its share of the time before the next is asked, since a leaf may stand in
//! several logs. Ed25519 signatures are deterministic: asking again adds no second leaf to a log.

mod client;
mod key;

use std::path::Path;
use std::time::{Duration, Instant};

use super::http::Http;
use super::{LogError, TransparencyLog};
use crate::formats::sigsum::leaf;
use crate::formats::sigsum::policy::{Log, Policy};
use crate::formats::sigsum::token::Tokens;
use crate::formats::sigsum::verify::verify_bytes;
use crate::formats::sigsum::{Proof, PublicKey};
use crate::places::credentials::Secret;
use crate::words::archive::LogKind;
use client::{Client, Fault, Submission};

pub use key::{SubmitKey, SubmitKeyError};

/// Shortest and longest pause between two questions for something that will come.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// Longest pause before a log that does not answer is asked again.
const LONG_PAUSE: Duration = Duration::from_secs(10);

/// What makes the token for logs with a rate limit.
#[derive(Debug, Clone)]
pub enum Token {
    /// Tokens that were made before, each for one log.
    Made(Tokens),
    /// The secret key of a domain, by the variable's name.
    Key {
        /// The domain.
        domain: String,
        /// Where the key is from.
        source_name: String,
        /// The key, as an OpenSSH private key or base64 of it.
        key: Secret,
    },
}

/// The logs of a policy, for one submitting key.
pub struct SigsumLog {
    policy: Policy,
    public: PublicKey,
    submit: SubmitKey,
    token: Option<Token>,
    timeout: Duration,
    http: Http,
}

impl SigsumLog {
    /// Uses the logs of a policy that have addresses.
    ///
    /// # Errors
    /// The certificate authorities cannot be read.
    pub fn new(
        policy: Policy,
        public: PublicKey,
        submit: SubmitKey,
        token: Option<Token>,
        timeout: Duration,
        authorities: Option<&Path>,
    ) -> Result<Self, LogError> {
        let failed = |fault: std::io::Error| LogError::Settings { file: "SSL_CERT_FILE".to_owned(), problem: fault.to_string() };
        Ok(Self { policy, public, submit, token, timeout, http: Http::new(authorities).map_err(failed)? })
    }

    fn logs(&self) -> impl Iterator<Item = (&Log, &str)> {
        self.policy.logs().iter().filter_map(|log| Some((log, log.url.as_deref()?)))
    }

    fn client<'a>(&'a self, log: &Log, url: &'a str) -> Result<Client<'a>, LogError> {
        let token = match &self.token {
            None => None,
            Some(Token::Made(tokens)) => tokens.of(log).map(str::to_owned),
            Some(Token::Key { domain, source_name, key }) => {
                let signature = key::sign_with(source_name, key, &leaf::token_text(&log.key)).map_err(|fault| self.key_fault(&fault))?;
                Some(format!("{domain} {signature}"))
            }
        };
        Ok(Client { http: &self.http, url, key: log.key, token })
    }

    fn key_fault(&self, fault: &SubmitKeyError) -> LogError {
        LogError::Key { kind: LogKind::Sigsum, problem: fault.to_string() }
    }

    /// Waits for the proof of a leaf that this log took.
    fn wait(&self, client: &Client<'_>, submission: &Submission<'_>, mut sequenced: bool, until: Instant) -> Result<Proof, Fault> {
        let mut pause = PAUSES.0;
        let mut known: Option<Fault> = None;
        loop {
            let done = if sequenced {
                client.collect(submission, &self.policy, until)
            } else {
                Err(Fault::NotYet("the leaf is not sequenced yet".to_owned()))
            };
            let fault = match done {
                Ok(proof) => return Ok(proof),
                Err(fault @ (Fault::Lies(_) | Fault::Refused(_))) => return Err(fault),
                // Where the time ends amid a request, what was missing before says more than that.
                Err(Fault::Down(text)) if Instant::now() >= until => known.take().unwrap_or(Fault::Down(text)),
                Err(fault) => fault,
            };
            let next = pause.mul_f64(0.5 + fastrand::f64());
            if Instant::now() + next >= until {
                return Err(fault);
            }
            known = Some(fault);
            std::thread::sleep(next);
            pause = (pause * 2).min(PAUSES.1);
            // Asked again also when it was sequenced: a log that was set back has forgotten it.
            match client.add(submission, until) {
                Ok(now) => sequenced = now,
                Err(fault @ Fault::Refused(_)) => return Err(fault),
                // It may be there all the same: the proof tells.
                Err(_) => sequenced = true,
            }
        }
    }
}

impl TransparencyLog for SigsumLog {
    fn kind(&self) -> LogKind {
        LogKind::Sigsum
    }

    fn ready(&self) -> Result<(), LogError> {
        if self.logs().next().is_none() {
            let problem = "no log of it has an address".to_owned();
            return Err(LogError::Settings { file: "logs.sigsum.policy".to_owned(), problem });
        }
        self.logs().try_for_each(|(log, url)| self.client(log, url).map(drop))?;
        self.submit.has(&self.public).map_err(|fault| self.key_fault(&fault))
    }

    fn prove(&self, release: &[u8]) -> Result<super::Proof, LogError> {
        let message = leaf::message(release);
        let signed = self.submit.sign(&self.public, &leaf::signed_text(&leaf::checksum(&message)));
        let signature = signed.map_err(|fault| self.key_fault(&fault))?;
        let submission = Submission { file: release, message, signature, key: self.public };
        let end = Instant::now() + self.timeout;
        let mut open = self.logs().map(|(log, url)| self.client(log, url)).collect::<Result<Vec<_>, _>>()?;
        let mut faults: Vec<(String, Fault)> = Vec::new();
        let mut pause = PAUSES.0;
        while !open.is_empty() {
            let mut rest = Vec::new();
            let mut left = open.len();
            for client in open {
                let share = end.saturating_duration_since(Instant::now()) / u32::try_from(left).unwrap_or(1);
                left -= 1;
                let until = Instant::now() + share;
                faults.retain(|(url, _)| url != client.url);
                let fault = match client.add(&submission, until) {
                    Ok(sequenced) => match self.wait(&client, &submission, sequenced, until) {
                        Ok(proof) => return Ok(proof.text().into_bytes()),
                        Err(fault) => {
                            faults.push((client.url.to_owned(), fault));
                            continue;
                        }
                    },
                    Err(fault) => fault,
                };
                let passing = matches!(fault, Fault::Down(_) | Fault::Limited(_));
                faults.push((client.url.to_owned(), fault));
                if passing {
                    rest.push(client);
                }
            }
            open = rest;
            let next = pause.mul_f64(0.5 + fastrand::f64());
            if open.is_empty() || Instant::now() + next >= end {
                break;
            }
            std::thread::sleep(next);
            pause = (pause * 2).min(LONG_PAUSE);
        }
        Err(self.failure(faults))
    }

    fn check(&self, release: &[u8], proof: &[u8]) -> Result<(), LogError> {
        let unverified = |reason: String| LogError::Unverified { kind: LogKind::Sigsum, reason };
        verify_bytes(release, proof, &[self.public], &self.policy).map(drop).map_err(|fault| unverified(fault.to_string()))
    }
}

impl SigsumLog {
    /// Returns what to say of logs that all failed: the one that came furthest, and the others behind it.
    fn failure(&self, mut faults: Vec<(String, Fault)>) -> LogError {
        let rank = |fault: &Fault| match fault {
            Fault::Lies(_) => 0,
            Fault::NotYet(_) => 1,
            Fault::Limited(_) => 2,
            Fault::Down(_) => 3,
            Fault::Refused(_) => 4,
        };
        faults.sort_by_key(|(_, fault)| rank(fault));
        let said = |fault: &Fault| match fault {
            Fault::Lies(text) | Fault::NotYet(text) | Fault::Limited(text) | Fault::Down(text) | Fault::Refused(text) => text.clone(),
        };
        let others: String = faults.iter().skip(1).map(|(url, fault)| format!("; {url}: {}", said(fault))).collect();
        let kind = LogKind::Sigsum;
        let Some((log, fault)) = faults.into_iter().next() else {
            return LogError::Settings { file: "logs.sigsum.policy".to_owned(), problem: "no log of it has an address".to_owned() };
        };
        let reason = said(&fault) + &others;
        match fault {
            Fault::Lies(_) => LogError::Unverified { kind, reason: format!("{log}: {reason}") },
            Fault::NotYet(_) => LogError::Short { kind, log, seconds: self.timeout.as_secs(), reason },
            Fault::Limited(_) => LogError::Limited { kind, service: format!("log {log}"), reason },
            Fault::Down(_) => LogError::Down { kind, service: format!("log {log}"), reason },
            Fault::Refused(_) => LogError::Refused { kind, service: format!("log {log}"), reason },
        }
    }
}
