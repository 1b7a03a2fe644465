//! Several suites that are published in one run wait for the logs together: a log makes its next tree every 10 to 60 seconds, and
//! one tree has room for all of them.
//!
//! Every suite is staged first, then the logs are asked about all Releases side by side, and what they gave is kept on the branches.
//! Then each suite is published as if its publish had been stopped in front of the logs: what is staged is served.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};

use super::decide::{Decision, decide};
use super::edition::Edition;
use super::logging::{self, Asked, ConfiguredLog};
use super::stage::{self, Branch, Staged};
use super::{DistsRequest, Places, PublishError, TRIES, land_inbox, left, stage_new, warn_of_rewritten};
use crate::places::lanes::in_lanes;
use crate::stories::archive::OpenArchive;
use crate::stories::event::{Event, Listener};
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// How many Releases logs are asked about at once: public ones have limits.
const AT_ONCE: usize = 8;

/// A Release that is staged and not served, and the logs that it waits for.
pub struct Waiting {
    request: DistsRequest,
    staged: Staged,
    logs: Vec<ConfiguredLog>,
    /// Whether this run has staged it.
    own: bool,
}

/// What the logs gave for the Releases of one run, by suite.
#[derive(Default)]
pub struct Together {
    answers: Mutex<BTreeMap<Codename, Asked>>,
    /// The Releases that this run has staged.
    own: BTreeMap<Codename, Sha256>,
}

/// Stages the Release that the newest commit of a suite gives, or finds the one that waits already; `None` where there is no log
/// or nothing new.
///
/// # Errors
/// It cannot be staged.
pub fn begin(request: &DistsRequest, places: &Places<'_>, listener: Listener<'_>) -> Result<Option<Waiting>, PublishError> {
    if logging::logs(places)?.is_empty() {
        return Ok(None);
    }
    land_inbox(request, places, listener)?;
    for _ in 0..TRIES {
        places.look(&request.codename)?;
        let logs = logging::logs(places)?;
        let branch = places.branch(request)?;
        if branch.vouched && branch.last.as_ref().is_some_and(|last| last.signatures.is_none()) {
            // A log is asked only about what can be served.
            let waits = can_wait(request, places, &branch)?;
            return Ok(branch.last.filter(|_| waits).map(|staged| Waiting { request: request.clone(), staged, logs, own: false }));
        }
        let base = places.open.tip()?.commit();
        let mut edition = Edition::at(request, places, base, request.now, &branch, listener)?;
        if branch.last.is_some() && matches!(decide(request, &branch, &edition), Decision::Same(_)) {
            return Ok(None);
        }
        logging::are_ready(&logs)?;
        if let Some((_, commit)) = stage_new(request, places, (&branch, None), &mut edition)? {
            if let Some(last) = &branch.last {
                // Later this run sees its own Release, which was made of the rewritten branch.
                warn_of_rewritten(request, places, last, base, listener)?;
            }
            let staged = stage::read(&places.open.repository, &request.codename, commit)?;
            return Ok(Some(Waiting { request: request.clone(), staged, logs, own: true }));
        }
    }
    Err(PublishError::Contended { codename: request.codename.clone(), tries: TRIES })
}

/// Tells whether the Release that is staged will be served once the logs have answered.
fn can_wait(request: &DistsRequest, places: &Places<'_>, branch: &Branch) -> Result<bool, PublishError> {
    let Some(staged) = branch.last.as_ref() else { return Ok(false) };
    // What the newest commit may hold back is judged before a log is asked about it.
    let (tip, base) = (places.open.tip()?, staged.base(&request.codename)?);
    let archive = places.open.configuration(&tip)?;
    let judged = tip.commit() != base && archive.suite(&request.codename).is_some_and(|suite| suite.require_provenance);
    Ok(!judged && left::why(request, places, branch)?.is_none())
}

impl Together {
    /// Asks the logs about all of these Releases at once, and keeps what they give.
    pub fn ask(open: &OpenArchive, waiting: &[Waiting], listener: Listener<'_>) -> Self {
        if !waiting.is_empty() {
            listener(Event::Detail(format!("waiting for the proofs of {} Releases", waiting.len())));
        }
        let prove = |one: &Waiting| Ok::<_, Infallible>(logging::prove(&one.logs, &one.staged.release, &one.staged.proofs));
        let asked = in_lanes(AT_ONCE, waiting, prove).unwrap_or_else(|never| match never {});
        let mut together = Self::default();
        let mut answers = BTreeMap::new();
        for (one, asked) in waiting.iter().zip(asked) {
            let codename = one.request.codename.clone();
            logging::keep(&one.request, open, &one.staged, asked.proofs(), listener);
            if one.own {
                together.own.insert(codename.clone(), Sha256::of(&one.staged.release));
            }
            answers.insert(codename, asked);
        }
        together.answers = Mutex::new(answers);
        together
    }

    /// Takes what the logs gave for a staged Release, once.
    pub(super) fn take(&self, codename: &Codename, staged: &Staged) -> Option<Asked> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.remove(codename).filter(|asked| asked.is_about(&staged.release))
    }

    /// Tells whether this run has staged a Release: then it is what the run was to publish.
    pub(super) fn has_staged(&self, codename: &Codename, staged: &Staged) -> bool {
        self.own.get(codename) == Some(&Sha256::of(&staged.release))
    }
}
