//! Asking services of Sigstore: each of several addresses in their order, and again where another try may help, until the time is over.

use std::time::{Duration, Instant};

use super::super::LogError;
use super::super::http::Answer;
use crate::words::archive::LogKind;

/// The first and the longest pause before a service that does not answer is asked again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// Why there is no answer of use.
pub(super) enum Fault {
    /// The address does not answer as it should.
    Down(String),
    /// It takes nothing more for now.
    Limited(String),
    /// It does not take this.
    Refused(String),
    /// It has the same entry already.
    Known,
    /// What it gives is not what it should be.
    Lies(String),
}

/// What failed last, and how.
pub(super) struct Said {
    /// What it is and its address.
    pub(super) service: String,
    pub(super) fault: Fault,
}

impl Said {
    /// Returns the error that this means.
    pub(super) fn error(self) -> LogError {
        let (kind, service) = (LogKind::Sigstore, self.service);
        match self.fault {
            Fault::Down(reason) => LogError::Down { kind, service, reason },
            Fault::Limited(reason) => LogError::Limited { kind, service, reason },
            Fault::Refused(reason) => LogError::Refused { kind, service, reason },
            Fault::Lies(reason) => LogError::Unverified { kind, reason: format!("{service}: {reason}") },
            Fault::Known => LogError::Refused { kind, service, reason: "it says that it has every new signature already".to_owned() },
        }
    }
}

/// Returns the body of an answer that takes what was sent.
pub(super) fn accepted(answer: Answer) -> Result<Vec<u8>, Fault> {
    match answer.status {
        200 | 201 => Ok(answer.body),
        409 => Err(Fault::Known),
        429 => Err(Fault::Limited(answer.said())),
        400..=499 if answer.status != 408 => Err(Fault::Refused(answer.said())),
        _ => Err(Fault::Down(answer.said())),
    }
}

/// Asks services of one kind in their order, and again after a pause where another try may help, until the time is over. `Err` where all
/// failed.
pub(super) fn retry<T>(
    end: Instant,
    (what, urls): (&str, &[String]),
    mut ask: impl FnMut(&str, Duration) -> Result<T, Fault>,
) -> Result<T, Said> {
    let failed = |url: &str, fault: Fault| Said { service: format!("{what} {url}"), fault };
    let mut said = failed(urls.first().map_or("", String::as_str), Fault::Down("the time is over".to_owned()));
    let mut open: Vec<&String> = urls.iter().collect();
    let mut pause = PAUSES.0;
    while !open.is_empty() {
        let mut rest = Vec::new();
        let mut left = open.len();
        for url in open {
            let share = end.saturating_duration_since(Instant::now()) / u32::try_from(left).unwrap_or(1);
            left -= 1;
            if share.is_zero() {
                return Err(said);
            }
            let fault = match ask(url, share) {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            let known = matches!(fault, Fault::Known);
            if matches!(fault, Fault::Down(_) | Fault::Limited(_)) {
                rest.push(url);
            }
            said = failed(url, fault);
            if known {
                return Err(said);
            }
        }
        open = rest;
        let next = pause.mul_f64(0.5 + fastrand::f64());
        if open.is_empty() || Instant::now() + next >= end {
            return Err(said);
        }
        std::thread::sleep(next);
        pause = (pause * 2).min(PAUSES.1);
    }
    Err(said)
}
