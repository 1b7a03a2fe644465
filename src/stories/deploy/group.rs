//! Landing a statement on a shared remote, among many jobs that do the same: group commit.
//!
//! A job that is alone pushes its commit. One that meets others parks its statement, a few hundred bytes on a branch of its
//! own that nobody else writes, and waits; the first in the inbox lands all that wait in one push and leaves the verdicts. So
//! the number of pushes to the contended branch does not grow with the number of jobs, and none of them starves. Whoever
//! leads may vanish at any moment: the next one takes over after a while, and a push that was already done is found done.

mod park;
mod verdict;

use std::time::{Duration, Instant};

use super::land::{Job, New, answer, behind};
use super::{CommitAnswer, DeployError, PushMode};
use crate::formats::inbox::{INBOX, verdicts_branch};
use crate::places::git::land::pause;
use crate::places::git::remote::{Pushed, Remote, RemoteError};
use crate::places::git::{GitError, Oid};
use crate::places::sign::seal::Sealer;
use crate::places::sign::uploaders::Uploaders;
use crate::stories::archive::OpenError;
use crate::stories::event::Event;
use crate::stories::landing::chain::Replayed;
use crate::stories::landing::drain::{BATCH, DrainError, Own, Refusals, drain};
use crate::stories::landing::verdicts;
use crate::stories::landing::waiting::{self, Waiting};
use crate::words::archive::Archive;

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

    fn is_late(&self) -> bool {
        self.began.elapsed() > Duration::from_secs(self.job.request.wait.seconds().unsigned_abs())
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
