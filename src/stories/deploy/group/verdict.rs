//! What became of a statement that was parked, as the answer of its job.

use super::super::land::answer;
use super::super::{BuildAnswer, BuildState, CommitAnswer, DeployError};
use super::{Landing, State, Turn};
use crate::formats::inbox::{ParkedVerdict, find_verdict};
use crate::places::git::Oid;
use crate::places::requests::Requests;
use crate::stories::archive::OpenError;
use crate::stories::landing::chain::Chain;
use crate::stories::landing::verdicts;

impl Landing<'_> {
    /// Reads what became of the parked statement, `None` where it still waits.
    pub(super) fn judged(&self, commit: Oid, state: &State) -> Result<Option<CommitAnswer>, DeployError> {
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

    pub(super) fn of_verdict(&self, verdict: ParkedVerdict, state: &State) -> Result<CommitAnswer, DeployError> {
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
    pub(super) fn still_parked(&self, reference: &str, state: &State) -> CommitAnswer {
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
}
