//! The offline check of a bundle: these bytes, signed by whom they should be, and in a log that is trusted.
//!
//! With a key, the log's entry is enough, as long as the log's key has no end. With a certificate, which is good for minutes only, a timestamp must say that the
//! signature is from that time, and where the trusted root names certificate transparency logs, one of them must have promised to show it.

use super::bundle::Bundle;
use super::certificate::{Certificate, Purpose};
use super::checkpoint::Checkpoint;
use super::entry::{LogEntry, Submission, Verifier};
use super::public_key::PublicKey;
use super::signer::Signer;
use super::trusted_root::{Authority, Period, TrustedRoot};
use super::{SigstoreError, promise, timestamp};
use crate::formats::merkle;
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;

/// Whom a verifier trusts, and who should have signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// The logs and authorities.
    pub root: TrustedRoot,
    /// Who should have signed.
    pub signer: Signer,
}

/// What a bundle shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The log, the entry's number and the size of the tree that it was shown in, for each entry.
    pub entries: Vec<Logged>,
    /// What timestamp authorities say when the signature was there.
    pub times: Vec<Timestamp>,
}

/// Where an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// The log's name.
    pub log: String,
    /// The entry's number.
    pub index: u64,
    /// How many entries the log had.
    pub size: u64,
}

impl Trust {
    /// Checks that a bundle is one of exactly these bytes.
    ///
    /// # Errors
    /// See [`SigstoreError`]
    pub fn verify(&self, bytes: &[u8], bundle: &[u8]) -> Result<Verified, SigstoreError> {
        let bundle = Bundle::parse(bundle)?;
        let digest = Sha256::of(bytes);
        let found = &bundle.message_signature.message_digest.digest.0;
        if found != digest.as_bytes() {
            let found: String = found.iter().take(32).map(|byte| format!("{byte:02x}")).collect();
            return Err(SigstoreError::OtherBytes { found, wanted: digest.to_hex() });
        }
        let signature = &bundle.message_signature.signature.0;
        let times = self.times(&bundle, signature)?;
        let (key, verifier) = self.signer(&bundle, &times)?;
        if !matches!(key, PublicKey::P256(_)) || !key.verifies(bytes, signature) {
            return Err(SigstoreError::Signature { key: key.to_string() });
        }
        let submission = Submission { digest, signature: signature.clone(), verifier };
        let leaf = submission.leaf();
        let entries: Result<Vec<Logged>, _> =
            bundle.verification_material.tlog_entries.iter().map(|entry| self.logged(entry, &leaf, &times)).collect();
        let entries = entries?;
        let repeated = entries.iter().enumerate().any(|(at, entry)| entries.iter().skip(at + 1).any(|other| other.log == entry.log));
        if repeated {
            return Err(SigstoreError::malformed("the bundle", "it has two entries of one log"));
        }
        Ok(Verified { entries, times })
    }

    /// Checks every timestamp, if there is an authority that could have made it.
    fn times(&self, bundle: &Bundle, signature: &[u8]) -> Result<Vec<Timestamp>, SigstoreError> {
        let authorities = &self.root.timestamp_authorities;
        if authorities.is_empty() {
            return Ok(Vec::new());
        }
        let timestamps = &bundle.verification_material.timestamp_verification_data.rfc3161_timestamps;
        timestamps.iter().map(|answer| timestamp::verify(&answer.signed_timestamp.0, signature, authorities)).collect()
    }

    /// Returns the key that must have signed, and what the entry must say of it.
    fn signer(&self, bundle: &Bundle, times: &[Timestamp]) -> Result<(PublicKey, Verifier), SigstoreError> {
        let certificate = bundle.verification_material.certificate.as_ref();
        match (&self.signer, certificate) {
            (Signer::Key(key), None) => Ok((key.clone(), Verifier::Key(key.clone()))),
            (Signer::Key(key), Some(_)) => {
                Err(SigstoreError::Identity { found: "a key with a certificate".to_owned(), wanted: key.to_string() })
            }
            (Signer::Identity { .. }, None) => {
                Err(SigstoreError::Identity { found: "a key without certificate".to_owned(), wanted: self.signer.to_string() })
            }
            (Signer::Identity { .. }, Some(bytes)) => {
                let certificate = Certificate::parse(&bytes.raw_bytes.0)?;
                if times.is_empty() {
                    return Err(SigstoreError::NoTimestamp { reason: "its certificate is good for some minutes only" });
                }
                times.iter().try_for_each(|time| self.check_identity(&certificate, *time))?;
                Ok((certificate.key()?, Verifier::Certificate(bytes.raw_bytes.0.clone())))
            }
        }
    }

    /// Checks that a certificate is one for whom should have signed, and good at a time.
    ///
    /// Some forges name a job by the file with its steps, which may be another repository's: everybody who calls it would have that
    /// name. Where the certificate says which repository the job ran for, the name must be one of that repository.
    ///
    /// # Errors
    /// See [`SigstoreError`]
    pub fn check_identity(&self, certificate: &Certificate, time: Timestamp) -> Result<(), SigstoreError> {
        self.check_certificate(certificate, time)?;
        let found = Signer::Identity { subject: certificate.subject()?, issuer: certificate.vouched_by()? };
        if found == self.signer {
            return within_repository(certificate);
        }
        Err(SigstoreError::Identity { found: found.to_string().escape_debug().to_string(), wanted: self.signer.to_string() })
    }

    /// Checks that one of the certificate authorities gave a certificate that signs code at a time, for all to see where that is asked for.
    pub(crate) fn check_certificate(&self, certificate: &Certificate, time: Timestamp) -> Result<(), SigstoreError> {
        let mut last = SigstoreError::Certificate { fault: "no certificate authority is trusted".to_owned() };
        for authority in &self.root.certificate_authorities {
            match certificate.check(Purpose::CodeSigning, time, authority, &[]) {
                Ok(()) => return self.check_promise(certificate, authority),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    fn check_promise(&self, certificate: &Certificate, authority: &Authority) -> Result<(), SigstoreError> {
        let logs = &self.root.certificate_logs;
        match certificate.issuer(authority) {
            _ if logs.is_empty() => Ok(()),
            Some(issuer) => promise::check(certificate, issuer, logs),
            None => Err(SigstoreError::Certificate { fault: "its issuer is not among the certificates of its authority".to_owned() }),
        }
    }

    /// Checks that an entry is this leaf, and in a log whose key was good at these times.
    pub(crate) fn logged(&self, entry: &LogEntry, leaf: &[u8], times: &[Timestamp]) -> Result<Logged, SigstoreError> {
        if entry.canonicalized_body.0 != leaf {
            return Err(SigstoreError::OtherEntry { difference: "not this digest, signature and key" });
        }
        let proof = &entry.inclusion_proof;
        let (checkpoint, at) = Checkpoint::open(&proof.checkpoint.envelope, &self.root.logs)?;
        let unknown = || SigstoreError::UnknownLog { log: checkpoint.origin.clone() };
        let log = self.root.logs.get(at).ok_or_else(unknown)?;
        // The same key may be named several times.
        let named = self.root.logs.iter().zip(&self.root.log_periods).filter(|(other, _)| *other == log);
        let periods: Vec<Period> = named.map(|(_, period)| *period).collect();
        if entry.log_id.key_id.0 != log.id() {
            return Err(unknown());
        }
        if !periods.iter().any(|period| times.iter().all(|time| period.contains(*time))) {
            return Err(SigstoreError::UnknownLog { log: format!("{} (its key was not good then)", checkpoint.origin) });
        }
        if times.is_empty() && periods.iter().all(|period| period.end.is_some()) {
            return Err(SigstoreError::NoTimestamp { reason: "the key of its log is good until some time only" });
        }
        if proof.tree_size != checkpoint.size || proof.root_hash.0 != checkpoint.root.as_bytes() {
            return Err(SigstoreError::Contradiction { fault: "its proof is of another tree than its checkpoint" });
        }
        let path: Option<Vec<Sha256>> = proof.hashes.iter().map(|hash| hash.0.as_slice().try_into().ok().map(Sha256::from_bytes)).collect();
        let path = path.ok_or(SigstoreError::Contradiction { fault: "a hash of its path is no SHA-256" })?;
        merkle::check_inclusion(&merkle::leaf_hash(leaf), entry.log_index, checkpoint.size, &checkpoint.root, &path)?;
        Ok(Logged { log: checkpoint.origin, index: entry.log_index, size: checkpoint.size })
    }
}

/// Checks that a name, where it is an address, is one of the repository that the job ran for.
fn within_repository(certificate: &Certificate) -> Result<(), SigstoreError> {
    let (subject, repository) = (certificate.subject()?, certificate.repository());
    match repository {
        Some(repository) if !subject.starts_with(&format!("{}/", repository.trim_end_matches('/'))) => {
            let repository = repository.escape_debug();
            Err(SigstoreError::Certificate {
                fault: format!("its name is that of another repository's file, which a job of {repository} called"),
            })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
