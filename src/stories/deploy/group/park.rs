//! Parking a statement in the inbox, and waiting there for its verdict or for the turn to land all that wait.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::DeployError;
use super::super::land::{Job, New, answer};
use super::{Landing, PATIENCE, Round, State, Turn};
use crate::formats::inbox::{INBOX, Parked, STATEMENT, verdicts_branch};
use crate::places::git::Oid;
use crate::places::git::land::Edits;
use crate::places::git::remote::{Move, Pushed, RemoteError};
use crate::stories::archive::OpenError;
use crate::stories::event::Event;
use crate::stories::landing::chain::{Chain, Unfit};
use crate::stories::landing::verdicts;
use crate::stories::landing::waiting;

/// How long the first in the inbox collects before it lands, in milliseconds: a range, so that jobs that began together do not
/// meet again. The others look the less often the more there are, or looking would be all that the server does.
const GLANCE: std::ops::Range<u64> = 80..200;
const GLANCE_MORE: std::ops::Range<u64> = 30..60;

/// How long nothing may happen in the inbox before the next one takes over, and how much longer for each place further behind.
const QUIET: Duration = Duration::from_millis(2500);
const QUIET_MORE: Duration = Duration::from_millis(500);

/// How many places further behind count: nobody waits longer because more wait.
const PLACES: u32 = 40;

impl Landing<'_> {
    /// Puts the statement into the inbox, after its objects are stored.
    pub(super) fn park(&self, base: Oid, state: &mut State) -> Result<Round, DeployError> {
        let Job { open, request, statement, .. } = self.job;
        let chain = Chain::at(open, base)?;
        let replayed = match chain.replay(statement, request.rules, self.job.objects()) {
            Ok(replayed) => replayed,
            // A file that is nowhere may be in a statement that waits.
            Err(Unfit::Conflicts(conflicts)) if conflicts.iter().all(|conflict| !conflict.taken) && state.tries == 1 => {
                return Ok(Round::Again);
            }
            Err(unfit) => return Err(self.job.refused(unfit)),
        };
        let stored = self.job.store_objects(&replayed)?;
        state.new = New { objects: state.new.objects + stored.objects, bytes: state.new.bytes + stored.bytes };
        if replayed.edits.is_empty() {
            let mut answer = answer(self.job, None, replayed, state.new, Vec::new());
            answer.remote = Some(self.remote.describe());
            answer.tries = state.tries;
            return Ok(Round::Done(Box::new(answer)));
        }
        let parked = Parked { branch: open.branch.clone(), rules: request.rules, at: request.now, statement: (*statement).clone() };
        let mut sealed = match parked.sealed() {
            Ok(sealed) => sealed,
            // A statement of thousands of packages is too long for the inbox: it goes on trying to push.
            Err(_) if !request.park => {
                state.may_park = false;
                return Ok(Round::Again);
            }
            Err(fault) => return Err(DeployError::Sealed(fault)),
        };
        if let Some(sealer) = self.sealer {
            sealed = sealer.seal(sealed, request.now).map_err(DeployError::Seal)?;
        }
        let edits = Edits::from([(STATEMENT.to_owned(), Some(sealed.encode().into_bytes()))]);
        let names: Vec<String> = statement.builds.iter().map(|build| format!("{} {}", build.source, build.version)).collect();
        let reference = parked.inbox_branch();
        let there = match self.put(&parked, &edits, &names.join(", ")) {
            Ok(Some(there)) => there,
            Ok(None) => return Ok(Round::Again),
            Err(RemoteError::Rejected { said, .. }) if !request.park => {
                (self.job.listener)(Event::Warning(format!(
                    "the server takes no branch {reference} ({said}); trying to push to {} all the same",
                    open.branch
                )));
                state.may_park = false;
                return Ok(Round::Again);
            }
            Err(RemoteError::NoCredential { url }) => return self.stay_here(&url, state),
            // The connection broke, perhaps after the branch was made: the next round sees.
            Err(RemoteError::Failed { .. }) if state.tries < PATIENCE => return Ok(Round::Again),
            Err(fault) => return Err(OpenError::Remote(fault).into()),
        };
        (self.job.listener)(Event::Detail(format!("parked as {reference}")));
        state.parked = Some((reference.clone(), there));
        if request.wait.seconds() == 0 {
            return Ok(Round::Done(Box::new(self.still_parked(&reference, state))));
        }
        Ok(Round::Wait)
    }

    /// Puts a statement on its branch of the inbox and returns the commit; `None` where others move that branch.
    fn put(&self, parked: &Parked, edits: &Edits, names: &str) -> Result<Option<Oid>, RemoteError> {
        let Job { open, request, .. } = self.job;
        let (reference, judgements) = (parked.inbox_branch(), format!("{}*", verdicts_branch(&open.branch)));
        // No two tries make the same commit: one of them may have its verdict.
        let message = format!("Park {names}.\n\nDdb-Try: {:016x}\n", fastrand::u64(..));
        let mut old = None;
        for _ in 0..2 {
            let commit = open.repository.commit(old, edits, &message, &request.author)?;
            if self.remote.push(&[Move { reference: reference.clone(), old, new: Some(commit) }])? == Pushed::Moved {
                return Ok(Some(commit));
            }
            open.refresh_only(&[&reference, &judgements])?;
            let Some(there) = open.repository.tip(&self.remote.tracking(&reference))? else { return Ok(None) };
            // The same statement is parked already, by an earlier run of this job or by its twin.
            if waiting::holds(open, there, parked, self.archive, self.uploaders)? {
                return Ok(Some(there));
            }
            // It has its verdict and nobody could remove it, or it is another one under this name: this one follows it.
            old = Some(there);
        }
        Ok(None)
    }

    /// Waits until there is a verdict, or until it is this job's turn to land what waits.
    pub(super) fn wait(&self, reference: &str, commit: Oid, may_lead: bool) -> Result<Turn, DeployError> {
        let (inbox, judgements) = (format!("{INBOX}*"), verdicts_branch(&self.job.open.branch));
        let (judged_before, have_verdicts) = (verdicts::tip(self.job.open)?, verdicts::judged(self.job.open)?);
        let mut seen = BTreeMap::new();
        let mut changed = Instant::now();
        loop {
            if self.is_late() {
                return Ok(Turn::Late);
            }
            let others = seen.len() as u64;
            let first = seen.first_key_value().is_none_or(|(first, _)| first == reference);
            let pause = fastrand::u64(GLANCE) + if first { 0 } else { others * fastrand::u64(GLANCE_MORE) };
            std::thread::sleep(Duration::from_millis(pause));
            let mut found = match self.remote.list(&[&inbox, &judgements]) {
                Ok(found) => found,
                Err(fault) => {
                    (self.job.listener)(Event::Detail(fault.to_string()));
                    continue;
                }
            };
            let judged = found.remove(&judgements);
            found.retain(|name, at| !waiting::is_probe(name) && !have_verdicts.contains(&at.to_string()));
            if found.get(reference) != Some(&commit) {
                return Ok(Turn::Gone);
            }
            if judged != judged_before {
                return Ok(Turn::Verdicts);
            }
            let place = u32::try_from(found.range(..reference.to_owned()).count()).map_or(PLACES, |place| place.min(PLACES));
            // Those who come to wait behind the first one are no sign that it lives.
            if found.first_key_value() != seen.first_key_value() || seen.iter().any(|(name, at)| found.get(name) != Some(at)) {
                changed = Instant::now();
            }
            seen = found;
            if may_lead && (place == 0 || changed.elapsed() > QUIET + QUIET_MORE.saturating_mul(place)) {
                return Ok(Turn::Lead);
            }
        }
    }
}
