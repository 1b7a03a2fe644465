//! `verify`: an archive looked at from outside, believing nothing but pinned keys, pinned policies and its own memory.
//!
//! A published tree (a web address or a folder) is read as apt reads it: InRelease, then every index that it lists, then, by
//! option, the pool. *Invariant: of the other layers only `words` and the parsers of proofs are imported, nothing that writes
//! or publishes: a checker that shares code with the writer would agree with the writer's faults.* Readers of clearsigned
//! text, Release and indices are therefore its own, and every foreign byte has a limit.

mod answer;
mod apt_lists;
mod clearsigned;
mod envelope;
mod failure;
pub mod hook;

mod indices;
mod issuers;
mod memory;
mod openpgp;
mod pace;
mod paragraphs;
mod pool;
mod proofs;
mod provenance;
mod release;
mod site;
mod stream;
mod suite;

use std::path::PathBuf;

pub use answer::{
    CheckedFiles, Class, EnvelopeAnswer, FileAnswer, Finding, Listing, ProofAnswer, ProvenanceAnswer, SuiteAnswer, VerifyAnswer,
    VersionAnswer,
};
pub use failure::VerifyError;
pub use openpgp::PinnedKeys;
pub use proofs::{SigstorePins, SigsumPins};
pub use site::PublishedTree;

use site::Site;

use crate::words::date::{Span, Timestamp};

/// What is verified, and against what.
#[derive(Debug, Clone)]
pub struct VerifyRequest {
    /// An http or https address, or a folder; what stands before `dists/`. With `lists`, only lists of this address.
    pub location: Option<String>,
    /// The names below `dists/`.
    pub suites: Vec<String>,
    /// Certificates; a signature by one of them is needed.
    pub keys: PinnedKeys,
    /// Who submits to Sigsum logs, and which of these count; then a proof is needed.
    pub sigsum: Option<SigsumPins>,
    /// Whose signatures in Sigstore's logs count; then a bundle is needed. In apt's lists only what stands in the armor is found.
    pub sigstore: Option<SigstorePins>,
    /// Where this verifier keeps what it saw.
    pub memory: PathBuf,
    /// How long a server may say nothing. After that it must send a kilobyte a second.
    pub patience: Span,
    /// How old a Release may be, beside its Valid-Until.
    pub max_age: Option<Span>,
    /// Check every pool file.
    pub pool: bool,
    /// Check the pool files of every version of these packages.
    pub packages: Vec<String>,
    /// Files that may or may not be what the archive published.
    pub files: Vec<PathBuf>,
    /// A clone of the archive's repository, which tells where a file comes from.
    pub repository: Option<PathBuf>,
    /// Check what apt fetched into this folder instead of an archive.
    pub lists: Option<PathBuf>,
    /// Certificate authorities for https, where they are not the system's.
    pub authorities: Option<PathBuf>,
    /// The time.
    pub now: Timestamp,
}

/// How often an archive that changes while it is looked at is looked at again.
const LOOKS: usize = 3;

/// Verifies; what is wrong with the archive is in the answer. `said` gets a line for each step.
///
/// # Errors
/// What was given to verify against cannot be used, or the memory cannot be read or written.
pub fn verify(request: &VerifyRequest, said: &(dyn Fn(String) + Sync)) -> Result<VerifyAnswer, VerifyError> {
    if let Some(folder) = &request.lists {
        return apt_lists::check(request, folder, said);
    }
    let location = request.location.as_deref().ok_or(VerifyError::NoLocation)?;
    let site = Site::of(location, request.authorities.as_deref(), request.patience)?;
    let wanted = pool::Wanted::of(request)?;
    let mut answer = VerifyAnswer::of(site.to_string());
    let mut matches = Vec::new();
    for suite in &request.suites {
        let mut look = suite::look(request, &site, suite, &wanted, said)?;
        for _ in 1..LOOKS {
            if look.findings.is_empty() || !look.changed_since(&site) {
                break;
            }
            said(format!("{suite}: a new Release was published meanwhile; looking again"));
            let earlier = look.against_release();
            look = suite::look(request, &site, suite, &wanted, said)?;
            look.find_also(earlier);
        }
        look.remember(request)?;
        answer.findings.append(&mut look.findings);
        matches.append(&mut look.matches);
        answer.suites.push(look.answer);
    }
    pool::answer(request, &wanted, matches, &mut answer)?;
    Ok(answer.judged())
}
