//! `ddb-publish dists`: the suites tree of the newest commit becomes a signed apt archive.
//!
//! Finish what was staged and not served, fold, compare with the last Release, sign, stage, log, apply the plan, mark served,
//! remove what is old enough. A run that stops anywhere leaves clients with a whole old or a whole new archive, and the next
//! run goes on where it stopped.

mod answer;
mod decide;
mod edition;
mod error;
mod known;
mod left;
pub mod logging;
mod pending;
mod places;
mod plan;
mod serve;
mod since;
pub mod stage;
mod stanza;
mod sweep;
mod together;
mod twin;

pub use answer::{DistsAnswer, PublishOutcome};
pub use error::PublishError;
pub use pending::{LogAnswer, LogState, ProofState, pending, state};
pub use places::{FindSigner, Places};
pub use plan::history;
pub use stanza::KEYRING;
pub use together::{Together, Waiting, begin};

use crate::formats::release::Release;
use crate::places::git::{Author, Oid, Repository};
use crate::places::sign::{SignedRelease, Signer, vouch};
use crate::stories::event::{Event, Listener};
use crate::stories::inbox::{self, InboxError};
use crate::words::date::{Span, Timestamp};
use crate::words::name::Codename;
use answer::requests;
use decide::Decision;
use edition::Edition;
use left::Left;
use serve::{plan_only, serve_again, serve_logged};
use stage::{Branch, Inputs, Proofs, Staged, Staging};

/// What is to be published and how.
#[derive(Debug, Clone)]
pub struct DistsRequest {
    /// The suite.
    pub codename: Codename,
    /// Sign a new Release although nothing changed.
    pub renew: bool,
    /// Sign a new Release although nothing changed, if the last one is good for less than this.
    pub renew_before: Option<Span>,
    /// Let Date go back, after a Release was dated in the future by a wrong clock.
    pub reset_date: bool,
    /// Look at every file of the tree, also at those that the last publish is known to have written.
    pub repair: bool,
    /// Compress every index anew, as well as can be.
    pub repack: bool,
    /// Only say what would be done.
    pub dry_run: bool,
    /// The address in the sources stanza.
    pub address: String,
    /// Who commits to the branch of Releases.
    pub author: Author,
    /// The time.
    pub now: Timestamp,
    /// Whether that time was given instead of the clock's: then it stands still, and Date may run some seconds ahead of it.
    pub fixed_time: bool,
}

const TRIES: u32 = 20;

/// Lands what deploy jobs parked, so that it is in what is published. A publisher that may not do that publishes all the same.
fn land_inbox(request: &DistsRequest, places: &Places<'_>, listener: Listener<'_>) -> Result<(), PublishError> {
    let Some(remote) = places.open.remote.as_ref().filter(|_| !request.dry_run) else { return Ok(()) };
    match inbox::land_all(places.open, remote, places.store, &request.author, request.now) {
        Ok(Some(landed)) if !landed.verdicts.is_empty() => {
            listener(Event::Detail(format!("landed {} statements of the inbox", landed.verdicts.len())));
        }
        Ok(_) => {}
        Err(InboxError::Open(fault)) => return Err(fault.into()),
        Err(fault) => listener(Event::Warning(format!("the inbox was not landed: {fault}"))),
    }
    Ok(())
}

/// What one try came to.
enum Turn {
    /// The suite is as it should be.
    Done(Box<DistsAnswer>),
    /// Another publisher staged or served something meanwhile, and this try wrote nothing.
    Again,
    /// Another publisher served something while this one wrote, perhaps over it: what the tree holds is to be looked at. With
    /// what this one published before it noticed.
    Overtaken(Option<Box<DistsAnswer>>),
    /// Clients have a Release of this date that the branch does not know: it was set back. This try wrote nothing.
    SetBack(Timestamp),
}

/// Publishes a suite.
///
/// # Errors
/// See `PublishError`; clients then see what they saw before, and the next run goes on.
pub fn dists(request: &DistsRequest, places: &Places<'_>, listener: Listener<'_>) -> Result<DistsAnswer, PublishError> {
    dists_after(request, places, &Together::default(), listener)
}

/// Publishes a suite after the logs were asked about its Release together with others.
///
/// # Errors
/// See `PublishError`.
pub fn dists_after(
    request: &DistsRequest,
    places: &Places<'_>,
    together: &Together,
    listener: Listener<'_>,
) -> Result<DistsAnswer, PublishError> {
    let mut finished: Option<DistsAnswer> = None;
    let mut floor = None;
    let mut request = request.clone();
    land_inbox(&request, places, listener)?;
    for _ in 0..TRIES {
        places.look(&request.codename)?;
        let branch = places.branch(&request)?;
        let waits = branch.last.as_ref().is_some_and(|last| last.signatures.is_none()) && !request.dry_run;
        let of_clients = floor.take();
        let left = if waits { left::why(&request, places, &branch)? } else { None };
        let turn = match left {
            _ if !waits => advance(&request, places, (branch, of_clients), listener)?,
            Some(Left { why, of_clients: newer }) => {
                listener(Event::Warning(why));
                advance(&request, places, (branch, newer.or(of_clients)), listener)?
            }
            // Somebody was stopped between staging and serving. Their Release goes first, then ours if anything is left.
            None => match finish(&request, places, &branch, together, listener) {
                // What this run staged itself is what it was to publish.
                Ok(Turn::Done(answer)) if branch.last.as_ref().is_some_and(|staged| together.has_staged(&request.codename, staged)) => {
                    Turn::Done(answer)
                }
                Ok(Turn::Done(answer)) => {
                    finished = Some(*answer);
                    continue;
                }
                Ok(turn) => turn,
                Err(fault) if left::gives_way(places, &branch, &fault)? => {
                    listener(Event::Warning(left::without(&request, &branch, &fault)));
                    // The branch has moved where proofs were kept.
                    advance(&request, places, (places.branch(&request)?, of_clients), listener)?
                }
                Err(fault) => return Err(fault),
            },
        };
        match turn {
            Turn::Again => {}
            Turn::SetBack(date) => floor = Some(date),
            Turn::Overtaken(answer) => {
                listener(Event::Detail("another publisher served this suite meanwhile; looking at everything again".to_owned()));
                request.repair = true;
                finished = answer.map(|answer| *answer).or(finished);
            }
            Turn::Done(answer) => {
                // Where nothing was left to do after finishing, what was finished is what this run did.
                let idle = answer.outcome == PublishOutcome::Unchanged;
                let mut answer = finished.filter(|finished| idle && finished.sequence == answer.sequence).unwrap_or(*answer);
                answer.requests = requests(places);
                return Ok(answer);
            }
        }
    }
    Err(PublishError::Contended { codename: request.codename.clone(), tries: TRIES })
}

/// Serves a Release that was staged and not served; where its bytes cannot be made again, the newest commit takes its place.
fn finish(
    request: &DistsRequest,
    places: &Places<'_>,
    branch: &Branch,
    together: &Together,
    listener: Listener<'_>,
) -> Result<Turn, PublishError> {
    let Some(staged) = &branch.last else { return Ok(Turn::Again) };
    listener(Event::Detail(format!("Release {} of {} was staged and not served; it goes first", staged.inputs.sequence, request.codename)));
    let base = staged.base(&request.codename)?;
    let edition = Edition::at(request, places, base, staged.inputs.date, branch, listener)?;
    edition.judge_by_tip(places, staged)?;
    if edition.release.text().as_bytes() != staged.release {
        return Err(PublishError::Otherwise {
            codename: request.codename.clone(),
            sequence: staged.inputs.sequence,
            ddb: staged.inputs.ddb.clone(),
        });
    }
    let (signed, logged) = match together.take(&request.codename, staged) {
        Some(asked) => (sign(request, places, &edition), asked),
        None => {
            let logs = logging::logs(places)?;
            logging::say(&logs, listener);
            std::thread::scope(|scope| {
                let logged = scope.spawn(|| logging::prove(&logs, &staged.release, &staged.proofs));
                (sign(request, places, &edition), logging::joined(logged))
            })
        }
    };
    // Also where it cannot be signed: what the logs gave is kept.
    let logged = logging::settle(request, places, staged, logged, listener);
    match (signed, logged) {
        (Ok(signed), logged) => serve_logged(request, places, &edition, (signed, logged?), staged, false, listener),
        (Err(fault), logged) => {
            if let Ok(logged) = logged {
                logging::keep(request, places.open, staged, &logged.proofs, listener);
            }
            Err(fault)
        }
    }
}

/// Publishes the newest commit after the last Release on the branch (or the first one).
fn advance(
    request: &DistsRequest,
    places: &Places<'_>,
    (branch, floor): (Branch, Option<Timestamp>),
    listener: Listener<'_>,
) -> Result<Turn, PublishError> {
    let base = places.open.tip()?.commit();
    if let Some(last) = &branch.last {
        warn_of_rewritten(request, places, last, base, listener)?;
    }
    let mut edition = Edition::at(request, places, base, request.now, &branch, listener)?;
    let decision = if floor.is_some() { Decision::New } else { decide::decide(request, &branch, &edition) };
    match (decision, branch) {
        (Decision::Same(notes), Branch { last: Some(last), .. }) => match pending::complete_required(request, places, last, listener)? {
            Some(last) => match serve_again(request, places, edition, last, notes) {
                Err(PublishError::SetBack { date, .. }) => {
                    listener(Event::Warning(left::set_back(&request.codename, date)));
                    Ok(Turn::SetBack(date))
                }
                served => served,
            },
            None => Ok(Turn::Again),
        },
        (_, branch) if request.dry_run => plan_only(request, places, &edition, branch.last.as_ref()),
        (_, branch) => {
            let logs = logging::logs(places)?;
            logging::are_ready(&logs)?;
            let Some((signed, commit)) = stage_new(request, places, (&branch, floor), &mut edition)? else { return Ok(Turn::Again) };
            // Logged only now: a leaf without a staged Release is an alarm to whoever watches the log.
            logging::say(&logs, listener);
            let logged = logging::prove(&logs, signed.release(), &Proofs::new());
            let staged = stage::read(&places.open.repository, &request.codename, commit)?;
            let logged = logging::settle(request, places, &staged, logged, listener)?;
            serve_logged(request, places, &edition, (signed, logged), &staged, true, listener)
        }
    }
}

/// Says where the branch does not contain the commit that the last Release was made of: somebody rewrote its history. A clone that
/// does not have the whole history cannot tell.
fn warn_of_rewritten(
    request: &DistsRequest,
    places: &Places<'_>,
    last: &Staged,
    tip: Oid,
    listener: Listener<'_>,
) -> Result<(), PublishError> {
    let (repository, base) = (&places.open.repository, last.base(&request.codename)?);
    // More may have been fetched since it was opened.
    let seen = || Repository::open(repository.git_dir());
    if base != tip && !repository.is_ancestor(base, tip)? && !seen()?.is_ancestor(base, tip)? && seen()?.expect_whole().is_ok() {
        listener(Event::Warning(format!(
            "{} does not contain {base}, which Release {} of {} was made of: its history was rewritten since",
            places.open.branch, last.inputs.sequence, request.codename
        )));
    }
    Ok(())
}

/// Dates, signs and stages a new Release; `None` where another publisher was faster. It is dated after that of clients (`floor`) where the
/// branch does not know that.
fn stage_new(
    request: &DistsRequest,
    places: &Places<'_>,
    (branch, floor): (&Branch, Option<Timestamp>),
    edition: &mut Edition,
) -> Result<Option<(SignedRelease, Oid)>, PublishError> {
    let date = match decide::date(request, floor.max(branch.last.as_ref().map(|last| last.inputs.date))) {
        // A branch that was set back may end with one that was dated by a wrong clock.
        Err(future) => decide::date(request, Some(left::of_clients(request, places)?.ok_or(future)?))?,
        date => date?,
    };
    edition.date(date, &request.codename);
    let text = edition.release.text();
    // What cannot be read again, signed or served is not staged: it would stand before every later Release.
    if Release::parse(text.as_bytes())? != edition.release {
        return Err(PublishError::Unreadable { codename: request.codename.clone() });
    }
    let signer = signer(places, edition)?;
    let signed = SignedRelease::sign(signer.as_ref(), text.as_bytes(), request.now)?;
    plan::check_objects(request, places, edition)?;
    let (sequence, date, ddb) = (branch.next_number(), edition.release.date, env!("CARGO_PKG_VERSION").to_owned());
    let follows = branch.last.as_ref().filter(|_| branch.vouched).map(|last| last.commit.to_string());
    let inputs = Inputs { sequence, base: edition.base.to_string(), date, ddb, after: None, follows };
    let staging = Staging { release: text.as_bytes(), inputs, fold: &edition.fold };
    let vouch = |text: &[u8]| Ok::<_, PublishError>(vouch(signer.as_ref(), text, request.now)?);
    let commit = stage::stage(places.open, &request.codename, branch.tip, staging, vouch, &request.author)?;
    Ok(commit.map(|commit| (signed, commit)))
}

fn sign(request: &DistsRequest, places: &Places<'_>, edition: &Edition) -> Result<SignedRelease, PublishError> {
    Ok(SignedRelease::sign(signer(places, edition)?.as_ref(), edition.release.text().as_bytes(), request.now)?)
}

fn signer(places: &Places<'_>, edition: &Edition) -> Result<Box<dyn Signer>, PublishError> {
    (places.signer)(&places.open.repository.snapshot(edition.base)?, &edition.archive)
}
