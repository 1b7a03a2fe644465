//! Landing a statement on a shared remote, among many jobs that do the same: group commit.
//!
//! A job that is alone pushes its commit. One that meets others parks its statement, a few hundred bytes on a branch of its
//! own that nobody else writes, and waits; the first in the inbox lands all that wait in one push and leaves the verdicts. So
//! the number of pushes to the contended branch does not grow with the number of jobs, and none of them starves. Whoever
//! leads may vanish at any moment: the next one takes over after a while, and a push that was already done is found done.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::land::{Job, New, answer, behind};
use super::{BuildAnswer, BuildState, CommitAnswer, DeployError, PushMode};
use crate::formats::inbox::{INBOX, Parked, ParkedVerdict, STATEMENT, find_verdict, verdicts_branch};
use crate::places::git::land::{Edits, pause};
use crate::places::git::remote::{Move, Pushed, Remote, RemoteError};
use crate::places::git::{GitError, Oid};
use crate::places::requests::Requests;
use crate::places::sign::seal::Sealer;
use crate::places::sign::uploaders::Uploaders;
use crate::stories::archive::OpenError;
use crate::stories::event::Event;
use crate::stories::landing::chain::{Chain, Replayed, Unfit};
use crate::stories::landing::drain::{BATCH, DrainError, Own, Refusals, drain};
use crate::stories::landing::verdicts;
use crate::stories::landing::waiting::{self, Waiting};
use crate::words::archive::Archive;

/// How long the first in the inbox collects before it lands, in milliseconds: a range, so that jobs that began together do not
/// meet again. The others look the less often the more there are, or looking would be all that the server does.
const GLANCE: std::ops::Range<u64> = 80..200;
const GLANCE_MORE: std::ops::Range<u64> = 30..60;

/// How long nothing may happen in the inbox before the next one takes over, and how much longer for each place further behind.
const QUIET: Duration = Duration::from_millis(2500);
const QUIET_MORE: Duration = Duration::from_millis(500);

/// How many places further behind count: nobody waits longer because more wait.
const PLACES: u32 = 40;

/// How often a connection that breaks during a push is made again.
const PATIENCE: u32 = 5;

/// Lands a statement on the remote.
pub(super) fn land(
    job: &Job<'_>,
    remote: &Remote,
    archive: &Archive,
    uploaders: Option<&Uploaders>,
    sealer: Option<&Sealer>,
) -> Result<CommitAnswer, DeployError> {
    let may_park = archive.inbox.protected && uploaders.is_none() || uploaders.is_some() && sealer.is_some();
    if job.request.park && !may_park {
        return Err(DeployError::NoInbox);
    }
    let mut landing = Landing { job, remote, archive, uploaders, sealer, began: Instant::now() };
    let mut state = State { may_park, may_lead: true, batch: BATCH, ..State::default() };
    loop {
        state.tries += 1;
        let round = landing.round(&mut state)?;
        if state.tries == 1 {
            // Objects are stored now: what counts from here on is waiting.
            landing.began = Instant::now();
        }
        match round {
            Round::Done(answer) => return Ok(*answer),
            // Whoever cannot wait can still park.
            Round::Again if state.may_park && state.tries == 1 => {}
            Round::Again if landing.is_late() && state.parked.is_none() => {
                return Err(GitError::Contended { branch: job.open.branch.clone(), tries: state.tries }.into());
            }
            Round::Again => std::thread::sleep(pause(state.tries)),
            Round::Wait => {
                let Some((reference, commit)) = state.parked.clone() else { continue };
                state.turn = landing.wait(&reference, commit, state.may_lead)?;
                if state.turn == Turn::Late {
                    return Ok(landing.still_parked(&reference, &state));
                }
            }
        }
    }
}

/// A landing, apart from how far it came.
struct Landing<'a> {
    job: &'a Job<'a>,
    remote: &'a Remote,
    archive: &'a Archive,
    uploaders: Option<&'a Uploaders>,
    sealer: Option<&'a Sealer>,
    began: Instant,
}

/// How far a landing came.
#[derive(Default)]
struct State {
    tries: u32,
    new: New,
    /// The inbox branch and commit of the statement, once it is parked.
    parked: Option<(String, Oid)>,
    may_park: bool,
    may_lead: bool,
    turn: Turn,
    batch: usize,
    refusals: Refusals,
}

enum Round {
    Done(Box<CommitAnswer>),
    Again,
    Wait,
}

/// What a job that waits saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Turn {
    #[default]
    Unknown,
    /// The statement is not in the inbox any more.
    Gone,
    /// There are new verdicts. Where a server lets nobody remove a branch, that is all that is ever seen.
    Verdicts,
    /// It is this job's turn to land all that wait.
    Lead,
    /// Time is over.
    Late,
}

impl Landing<'_> {
    /// Looks at the remote, and parks or pushes.
    fn round(&self, state: &mut State) -> Result<Round, DeployError> {
        let Job { open, request, .. } = self.job;
        let _held = open.repository.hold_remote()?;
        let others_wait = match self.look(state) {
            Ok(others_wait) => others_wait,
            Err(RemoteError::NoCredential { url }) if state.parked.is_none() => return self.stay_here(&url, state),
            // What is parked is safe: whoever lands next lands it.
            Err(fault) if state.parked.is_some() => return self.interrupted(&fault, state),
            Err(fault) => return Err(OpenError::Remote(fault).into()),
        };
        if let Some((reference, commit)) = state.parked.clone() {
            match self.judged(commit, state)? {
                Some(answer) => return Ok(Round::Done(Box::new(answer))),
                None if state.turn == Turn::Lead && open.repository.tip(&self.remote.tracking(&reference))? == Some(commit) => {}
                None => return Ok(Round::Wait),
            }
        }
        let base = open.base()?;
        let base = base.ok_or_else(|| GitError::NoBranch { path: open.repository.root().to_owned(), branch: open.branch.clone() })?;
        if state.parked.is_none() {
            let archive = open.configuration(&open.repository.snapshot(base)?)?;
            if archive.store != self.archive.store || archive.uploaders != self.archive.uploaders {
                return Err(DeployError::Reconfigured);
            }
        }
        if state.parked.is_none() && state.may_park && (request.park || state.tries > 1 || others_wait) {
            return self.park(base, state);
        }
        let mut waiting = Vec::new();
        if state.turn == Turn::Lead || others_wait {
            // Who may upload says the commit that is landed on, not the one that this job began with.
            let snapshot = open.repository.snapshot(base)?;
            let archive = open.configuration(&snapshot)?;
            let uploaders = open.uploaders(&snapshot, &archive)?;
            if waiting::is_open(&archive, uploaders.as_ref()) {
                waiting = waiting::read(open, &archive, uploaders.as_ref(), request.now)?;
            }
        }
        waiting.truncate(state.batch);
        self.push(base, &waiting, state)
    }

    /// Fetches what this round needs, and tells whether somebody else's statement waits in the inbox.
    fn look(&self, state: &State) -> Result<bool, RemoteError> {
        let open = self.job.open;
        let (inbox, judgements) = (format!("{INBOX}*"), format!("{}*", verdicts_branch(&open.branch)));
        if state.parked.is_some() {
            let fetched = if state.turn == Turn::Lead { open.refresh(&[&inbox, &judgements]) } else { open.refresh_only(&[&judgements]) };
            return fetched.map(|()| false);
        }
        let branch_of_verdicts = verdicts_branch(&open.branch);
        let mut seen = self.remote.list(&[&open.branch, &branch_of_verdicts, &inbox])?;
        let (tip, judged_at) = (seen.remove(&open.branch), seen.remove(&branch_of_verdicts));
        seen.retain(|name, _| !waiting::is_probe(name));
        let mut others_wait = waiting::is_open(self.archive, self.uploaders) && !seen.is_empty();
        if others_wait {
            // Where nobody can remove a branch, most of them have their verdict.
            if judged_at != verdicts::tip(open)? {
                open.refresh_only(&[&judgements])?;
            }
            let judged = verdicts::judged(open)?;
            others_wait = seen.values().any(|commit| !judged.contains(&commit.to_string()));
        }
        if others_wait && !state.may_park {
            open.refresh(&[&inbox, &judgements])?;
        } else if tip.is_none() || tip != open.repository.tip(&self.remote.tracking(&open.branch))? {
            open.refresh(&[])?;
        }
        Ok(others_wait)
    }

    /// Lands what waits, and the own statement if it is not among that.
    fn push(&self, base: Oid, waiting: &[Waiting], state: &mut State) -> Result<Round, DeployError> {
        let Job { open, request, store, statement, .. } = self.job;
        let mut new = state.new;
        let mut store_own = |replayed: &Replayed| {
            let stored = self.job.store_objects(replayed)?;
            new = New { objects: new.objects + stored.objects, bytes: new.bytes + stored.bytes };
            Ok(())
        };
        let own =
            state.parked.is_none().then_some(Own { statement, rules: request.rules, objects: self.job.objects(), store: &mut store_own });
        let waiting_for_others = if own.is_some() && state.batch == 1 { &[] } else { waiting };
        let drained = match drain(open, *store, base, waiting_for_others, &state.refusals, own, &request.author) {
            Ok(drained) => drained,
            Err(DrainError::Own(unfit)) => return Err(self.job.refused(unfit)),
            Err(fault) if state.parked.is_some() => return self.interrupted(&fault, state),
            Err(DrainError::Unfit(unfit)) => return Err(self.job.refused(unfit)),
            Err(DrainError::Store(fault)) => return Err(fault.into()),
        };
        state.new = new;
        if !drained.moves.is_empty() {
            match self.remote.push(&drained.moves) {
                Ok(Pushed::Moved) => {}
                Ok(Pushed::Lost) => return Ok(if state.parked.is_some() { Round::Wait } else { Round::Again }),
                Err(RemoteError::NoCredential { url }) if state.parked.is_none() => return self.stay_here(&url, state),
                Err(fault) => return self.not_pushed(fault, waiting_for_others, state),
            }
        }
        let left_alone = open.catch_up(drained.tip).unwrap_or_else(|fault| {
            (self.job.listener)(behind(&fault));
            Vec::new()
        });
        if drained.verdicts.len() > 1 {
            (self.job.listener)(Event::Detail(format!("landed {} statements in one push", drained.verdicts.len())));
        }
        let mut answer = match (drained.own, &state.parked) {
            (Some((replayed, commit)), _) => answer(self.job, commit, replayed, state.new, left_alone),
            (None, Some((_, commit))) => match drained.verdicts.get(&commit.to_string()) {
                Some(verdict) => self.of_verdict(verdict.clone(), state)?,
                // Others were landed first; one's own is still in the inbox.
                None => return Ok(Round::Wait),
            },
            (None, None) => return Ok(Round::Again),
        };
        answer.remote = Some(self.remote.describe());
        answer.tries = state.tries;
        Ok(Round::Done(Box::new(answer)))
    }

    /// The server did not take a push: finds out whose fault that is.
    fn not_pushed(&self, fault: RemoteError, waiting: &[Waiting], state: &mut State) -> Result<Round, DeployError> {
        let RemoteError::Rejected { said, reference, .. } = &fault else {
            return match (&state.parked, &fault) {
                (Some(_), _) => self.interrupted(&fault, state),
                // The connection broke, perhaps after the branch had moved: the next round sees.
                (None, RemoteError::Failed { .. }) if state.tries < PATIENCE => Ok(Round::Again),
                _ => Err(OpenError::Remote(fault).into()),
            };
        };
        if fault.wants_fast_forward() && !state.refusals.forced {
            state.refusals.forced = true;
            return Ok(Round::Again);
        }
        if state.parked.is_some() && fault.lacks_right() {
            // Another one may push.
            state.may_lead = false;
            return Ok(Round::Wait);
        }
        if waiting.len() > 1 || !waiting.is_empty() && state.parked.is_none() {
            // One of many is at fault, or the own one: each goes alone from now on.
            state.batch = 1;
            return Ok(Round::Again);
        }
        match (&state.parked, waiting.first()) {
            (Some(_), Some(one)) if *reference == self.job.open.branch && !state.refusals.statements.contains_key(&one.commit) => {
                state.refusals.statements.insert(one.commit, format!("the server refuses it: {said}"));
                Ok(Round::Again)
            }
            (Some(_), _) => {
                state.may_lead = false;
                Ok(Round::Wait)
            }
            _ => Err(OpenError::Remote(fault).into()),
        }
    }

    /// Puts the statement into the inbox, after its objects are stored.
    fn park(&self, base: Oid, state: &mut State) -> Result<Round, DeployError> {
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
    fn wait(&self, reference: &str, commit: Oid, may_lead: bool) -> Result<Turn, DeployError> {
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

    fn is_late(&self) -> bool {
        self.began.elapsed() > Duration::from_secs(self.job.request.wait.seconds().unsigned_abs())
    }

    /// Reads what became of the parked statement, `None` where it still waits.
    fn judged(&self, commit: Oid, state: &State) -> Result<Option<CommitAnswer>, DeployError> {
        let open = self.job.open;
        let mut answer = match find_verdict(&verdicts::read(open)?, &commit.to_string()) {
            Some(verdict) => self.of_verdict(verdict, state)?,
            None if state.turn == Turn::Gone => self.without_verdict(state)?,
            None => return Ok(None),
        };
        if !self.remote.is_managed() {
            open.refresh(&[]).map_err(OpenError::Remote)?;
            if let Some(base) = open.base()? {
                answer.left_alone = open.catch_up(base)?;
            }
        }
        Ok(Some(answer))
    }

    /// The verdict is gone (after a long pause), or somebody withdrew the statement: a replay tells which.
    fn without_verdict(&self, state: &State) -> Result<CommitAnswer, DeployError> {
        let open = self.job.open;
        open.refresh(&[]).map_err(OpenError::Remote)?;
        let Some(base) = open.base()? else { return Err(DeployError::Withdrawn) };
        let replayed = Chain::at(open, base)?.replay(self.job.statement, self.job.request.rules, self.job.objects());
        let replayed = replayed.map_err(|unfit| self.job.refused(unfit))?;
        if !replayed.edits.is_empty() {
            return Err(DeployError::Withdrawn);
        }
        let mut answer = answer(self.job, None, replayed, state.new, Vec::new());
        answer.remote = Some(self.remote.describe());
        answer.tries = state.tries;
        Ok(answer)
    }

    fn of_verdict(&self, verdict: ParkedVerdict, state: &State) -> Result<CommitAnswer, DeployError> {
        if !verdict.conflicts.is_empty() {
            return Err(DeployError::Rejected { conflicts: verdict.conflicts });
        }
        if let Some(reason) = verdict.rejected {
            return Err(DeployError::Turned { reason });
        }
        let builds = self.job.statement.builds.iter().zip(verdict.builds).map(|(build, found)| BuildAnswer {
            source: build.source.clone(),
            version: build.version.clone(),
            verdict: found.verdict.into(),
            notes: found.notes,
        });
        Ok(CommitAnswer {
            commit: verdict.commit,
            remote: Some(self.remote.describe()),
            tries: state.tries,
            builds: builds.collect(),
            added: verdict.added,
            removed: verdict.removed,
            ..self.still_parked_nowhere(state)
        })
    }

    /// Returns the answer that the statement waits in the inbox.
    fn still_parked(&self, reference: &str, state: &State) -> CommitAnswer {
        CommitAnswer {
            parked: Some(reference.strip_prefix("refs/heads/").unwrap_or(reference).to_owned()),
            remote: Some(self.remote.describe()),
            ..self.still_parked_nowhere(state)
        }
    }

    fn still_parked_nowhere(&self, state: &State) -> CommitAnswer {
        let builds = self.job.statement.builds.iter().map(|build| BuildAnswer {
            source: build.source.clone(),
            version: build.version.clone(),
            verdict: BuildState::Parked,
            notes: Vec::new(),
        });
        CommitAnswer {
            suite: self.job.statement.suite.clone(),
            branch: self.job.open.branch.clone(),
            commit: None,
            remote: None,
            not_pushed: None,
            parked: None,
            tries: state.tries,
            dry_run: false,
            builds: builds.collect(),
            added: Vec::new(),
            removed: Vec::new(),
            new_objects: state.new.objects,
            new_bytes: state.new.bytes,
            left_alone: Vec::new(),
            requests: Requests::default(),
            uploads: None,
        }
    }

    /// Something failed while the statement is parked: it is not lost, but nobody waits for it any more.
    fn interrupted(&self, fault: &dyn std::error::Error, state: &State) -> Result<Round, DeployError> {
        let Some((reference, _)) = &state.parked else { return Ok(Round::Again) };
        if !self.is_late() {
            (self.job.listener)(Event::Detail(fault.to_string()));
            return Ok(Round::Wait);
        }
        (self.job.listener)(Event::Warning(fault.to_string()));
        Ok(Round::Done(Box::new(self.still_parked(reference, state))))
    }

    /// There is no credential: the commit is made here.
    fn stay_here(&self, url: &str, state: &State) -> Result<Round, DeployError> {
        if self.job.request.push == PushMode::Require || self.remote.is_managed() {
            return Err(OpenError::Remote(RemoteError::NoCredential { url: url.to_owned() }).into());
        }
        let answer = stay(self.job, self.remote)?;
        Ok(Round::Done(Box::new(CommitAnswer { tries: state.tries, ..answer })))
    }
}

/// Lands a statement in this repository alone, on top of what was last seen of the remote, because nothing can be pushed.
pub(super) fn stay(job: &Job<'_>, remote: &Remote) -> Result<CommitAnswer, DeployError> {
    if let Some(base) = job.open.base()? {
        job.open.catch_up(base)?;
    }
    let reason = format!("{} wants a credential and there is none (DDB_GIT_TOKEN, or a credential helper)", remote.describe());
    Ok(CommitAnswer { not_pushed: Some(reason), ..super::land::land(job)? })
}
