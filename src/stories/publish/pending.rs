//! Proofs that come after their Release was served: best effort that failed, a log that was configured later, or a proof that
//! does not hold any more by what is trusted now.
//!
//! The Release stays as it is. The proof goes beside it, into the history and into the armor of the signatures, which are not
//! made again.

use schemars::JsonSchema;
use serde::Serialize;

use super::edition::Edition;
use super::logging::{self, ConfiguredLog, Logged};
use super::stage::{self, Branch, Proofs, Signatures, Staged};
use super::{DistsAnswer, DistsRequest, Places, PublishError, TRIES, Turn, serve_again};
use crate::formats::staple;
use crate::places::sign::stapled;
use crate::places::transparency::Proof;
use crate::stories::archive::OpenArchive;
use crate::stories::event::Listener;
use crate::words::archive::{LogKind, LogMode};
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// The newest served Release of a suite, and what transparency logs say of it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LogAnswer {
    /// The suite.
    pub codename: Codename,
    /// Counts the Releases of the suite from 1.
    pub sequence: u64,
    /// `Date` of Release.
    pub date: String,
    /// SHA-256 of Release.
    pub release: Sha256,
    /// One entry for each log that ddb.toml names and does not turn off.
    pub logs: Vec<LogState>,
}

/// Whether clients get a proof.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LogState {
    /// The kind of log.
    pub log: LogKind,
    /// What happens when there is none.
    pub mode: LogMode,
    /// Whether there is one.
    pub proof: ProofState,
    /// Why one is bad.
    pub fault: Option<String>,
}

/// Whether there is a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProofState {
    /// It was checked just now, offline.
    Good,
    /// There is none; `--pending` gets one.
    Missing,
    /// It does not hold by what ddb.toml trusts now.
    Bad,
}

/// Looks at the proofs of the newest served Release of a suite.
///
/// # Errors
/// There is no such Release.
pub fn state(open: &OpenArchive, codename: &Codename, logs: &[ConfiguredLog]) -> Result<LogAnswer, PublishError> {
    let last = stage::last_served(&open.repository, codename)?;
    let last = last.ok_or_else(|| PublishError::NotServed { codename: codename.clone(), sequence: None })?;
    let look = |log: &ConfiguredLog| {
        let checked = last.proofs.get(&log.log.kind()).map(|proof| log.log.check(&last.release, proof));
        let (proof, fault) = match checked {
            None => (ProofState::Missing, None),
            Some(Ok(())) => (ProofState::Good, None),
            Some(Err(fault)) => (ProofState::Bad, Some(fault.to_string())),
        };
        LogState { log: log.log.kind(), mode: log.mode, proof, fault }
    };
    Ok(LogAnswer {
        codename: codename.clone(),
        sequence: last.inputs.sequence,
        date: last.parsed.date.iso8601(),
        release: Sha256::of(&last.release),
        logs: logs.iter().map(look).collect(),
    })
}

/// Gets the proofs that the newest served Release of a suite lacks, and puts them into the published tree.
///
/// # Errors
/// There is no such Release, or a log gives no proof; what others gave is kept.
pub fn pending(request: &DistsRequest, places: &Places<'_>, listener: Listener<'_>) -> Result<DistsAnswer, PublishError> {
    let mut request = request.clone();
    for _ in 0..TRIES {
        places.look(&request.codename)?;
        let branch = places.branch(&request)?;
        let not_served = |sequence| PublishError::NotServed { codename: request.codename.clone(), sequence };
        // A log is asked only about what somebody staged who has a key of the archive.
        if branch.ends_unvouched() {
            return Err(PublishError::Unvouched { codename: request.codename.clone() });
        }
        let last = branch.last.ok_or_else(|| not_served(None))?;
        if last.signatures.is_none() {
            return Err(not_served(Some(last.inputs.sequence)));
        }
        // Asked for by name, best effort is not enough.
        let mut logs = logging::logs(places)?;
        logs.iter_mut().for_each(|log| log.mode = LogMode::Required);
        let Some(last) = complete(&request, places, last, &logs, listener)? else { continue };
        let (base, date) = (last.base(&request.codename)?, last.inputs.date);
        let branch = Branch::at(last);
        let edition = Edition::at(&request, places, base, date, &branch, listener)?;
        let Some(last) = branch.last else { continue };
        match serve_again(&request, places, edition, last, Vec::new())? {
            Turn::Done(answer) => return Ok(*answer),
            Turn::Again | Turn::SetBack(_) => {}
            Turn::Overtaken(_) => request.repair = true,
        }
    }
    Err(PublishError::Contended { codename: request.codename.clone(), tries: TRIES })
}

/// Gets the proofs that are required by now of a Release that was served without good ones; `None` where another publisher was faster.
pub(super) fn complete_required(
    request: &DistsRequest,
    places: &Places<'_>,
    last: Staged,
    listener: Listener<'_>,
) -> Result<Option<Staged>, PublishError> {
    if request.dry_run {
        return Ok(Some(last));
    }
    let mut logs = logging::logs(places)?;
    logs.retain(|log| log.mode == LogMode::Required);
    complete(request, places, last, &logs, listener)
}

fn complete(
    request: &DistsRequest,
    places: &Places<'_>,
    last: Staged,
    logs: &[ConfiguredLog],
    listener: Listener<'_>,
) -> Result<Option<Staged>, PublishError> {
    if logs.iter().all(|log| is_complete(log, &last)) {
        return Ok(Some(last));
    }
    let asked = logging::prove(logs, &last.release, &last.proofs);
    let Logged { proofs, staple, .. } = logging::settle(request, places, &last, asked, listener)?;
    let all: Proofs = last.proofs.iter().map(|(kind, proof)| (*kind, proof.clone())).chain(proofs).collect();
    let mut signatures = last.signatures.clone();
    if let Some(own) = &mut signatures {
        for (kind, proof) in all.iter().filter(|(kind, _)| staple.contains(kind)) {
            (own.in_release, own.detached) = stapled(&own.in_release, &own.detached, *kind, proof)?;
        }
    }
    let kept = stage::keep_proofs(places.open, &request.codename, &last, signatures.as_ref(), &all, &request.author)?;
    Ok(kept.map(|commit| stage::read(&places.open.repository, &request.codename, commit)).transpose()?)
}

/// Tells whether clients get a good proof of a log wherever they shall.
fn is_complete(log: &ConfiguredLog, last: &Staged) -> bool {
    // Keys, policies and trusted roots change: what was good once may be nothing to clients now.
    let good = |proof: &&Proof| log.log.check(&last.release, proof).is_ok();
    let Some(proof) = last.proofs.get(&log.log.kind()).filter(good) else { return false };
    let kind = log.log.kind();
    let stapled = |signatures: &Signatures| staple::stapled(&signatures.in_release, kind).ok().flatten().as_ref() == Some(proof);
    !log.staple || last.signatures.as_ref().is_some_and(stapled)
}
