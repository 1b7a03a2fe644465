//! Transparency logs: a Release goes in, a proof that it is in there for everybody to see comes out.
//!
//! [`TransparencyLog`] is one of the four traits. Its contract, which `contract` checks on every implementation:
//! - **what `prove` returns, `check` accepts**: offline, on any machine that knows the public key and whom the archive's
//!   configuration trusts; it was checked before it was returned;
//! - `check` accepts a proof for the bytes that were logged and for no others, and no proof that was changed;
//! - the same bytes may be proved again, also after a failure and by another machine, and get a proof that holds; where the log
//!   can tell, that costs no second entry;
//! - `ready` says without asking any log whether everything is there that `prove` needs;
//! - who gets no proof within the configured time gets an error that says whose fault it is, and nothing else.
//!
//! What is logged when, and what is served without a proof, is decided in the stories. [`reader`] reads logs as a monitor does, and
//! [`site`] what an archive's clients get.

mod http;
pub mod reader;
pub mod sigstore;
pub mod sigsum;
pub mod site;

use crate::words::archive::LogKind;

/// The bytes of a proof, as they lie beside Release.
pub type Proof = Vec<u8>;

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The key that submits is missing or not usable.
    #[error("the {kind} log: {problem}")]
    Key {
        /// The kind of log.
        kind: LogKind,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A policy, trusted root or public key in the repository is missing or not usable.
    #[error("{file}: {problem}")]
    Settings {
        /// The file in the repository, or the key of ddb.toml.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// No log, or other service that is needed, answers as it should.
    #[error("the {kind} {service} does not answer as it should: {reason}; try again later")]
    Down {
        /// The kind of log.
        kind: LogKind,
        /// What it is and its address, such as `log https://log.example.org`.
        service: String,
        /// What happened.
        reason: String,
    },
    /// The log takes nothing more from us for now.
    #[error("the {kind} {service} takes nothing more from us for now ({reason}); try again later")]
    Limited {
        /// The kind of log.
        kind: LogKind,
        /// What it is and its address, such as `log https://log.example.org`.
        service: String,
        /// What it says.
        reason: String,
    },
    /// The log does not take this entry, however often it is sent.
    #[error("the {kind} {service} refuses it: {reason}")]
    Refused {
        /// The kind of log.
        kind: LogKind,
        /// What it is and its address, such as `log https://log.example.org`.
        service: String,
        /// What it says.
        reason: String,
    },
    /// The entry is in the log, and its proof is not good enough yet.
    #[error("the {kind} log {log} gave no sufficient proof within {seconds} s: {reason}; try again later, which costs no new entry")]
    Short {
        /// The kind of log.
        kind: LogKind,
        /// Its address.
        log: String,
        /// How long it was waited for.
        seconds: u64,
        /// What is missing, such as cosignatures.
        reason: String,
    },
    /// What came from the log, or was kept, is no proof of this Release.
    #[error("the {kind} proof does not hold: {reason}")]
    Unverified {
        /// The kind of log.
        kind: LogKind,
        /// Why.
        reason: String,
    },
}

/// A log that Releases are put into. See the module's text for the contract.
pub trait TransparencyLog: Send + Sync {
    /// Returns the kind, which names the files of its proofs.
    fn kind(&self) -> LogKind;

    /// Tells whether everything is there that [`Self::prove`] needs on this machine, such as the key that submits.
    ///
    /// # Errors
    /// [`LogError::Key`] or [`LogError::Settings`]
    fn ready(&self) -> Result<(), LogError>;

    /// Puts a Release into the log and returns a proof that it is there, which [`Self::check`] accepted. Waits for no longer than
    /// is configured. May be called from several threads at once.
    ///
    /// # Errors
    /// See [`LogError`]; the entry may be in the log all the same, and the next call finds it there.
    fn prove(&self, release: &[u8]) -> Result<Proof, LogError>;

    /// Checks offline that a proof is one of exactly these bytes.
    ///
    /// # Errors
    /// [`LogError::Unverified`]
    fn check(&self, release: &[u8], proof: &[u8]) -> Result<(), LogError>;
}
