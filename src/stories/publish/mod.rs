//! `ddb-publish dists`: the suites tree of the newest commit becomes a signed apt archive.
//!
//! Finish what was staged and not served, fold, compare with the last Release, sign, stage, log, apply the plan, mark served,
//! remove what is old enough. A run that stops anywhere leaves clients with a whole old or a whole new archive, and the next
//! run goes on where it stopped.

mod decide;
mod edition;
mod known;
pub mod logging;
mod pending;
mod plan;
mod since;
pub mod stage;
mod together;
mod twin;

use schemars::JsonSchema;
use serde::Serialize;

pub use pending::{LogAnswer, LogState, ProofState, pending, state};
pub use plan::{KEYRING, history};
pub use together::{Together, Waiting, begin};

use crate::formats::release::{Release, ReleaseError};
use crate::formats::suite::checks::RecordProblem;
use crate::places::cache::Cache;
use crate::places::git::read::Snapshot;
use crate::places::git::{Author, GitError, Oid};
use crate::places::requests::Requests;
use crate::places::sign::{SignError, SignedRelease, Signer};
use crate::places::store::ObjectStore;
use crate::places::target::plan::{Applied, Class, Plan};
use crate::places::target::{PublishTarget, TargetError};
use crate::places::transparency::{LogError, Proof};
use crate::stories::archive::{OpenArchive, OpenError};
use crate::stories::event::{Event, Listener};
use crate::stories::fold::FoldError;
use crate::stories::inbox::{self, InboxError};
use crate::stories::key::KeyError;
use crate::stories::provenance::suite::SuiteError;
use crate::words::archive::{Archive, LogKind};
use crate::words::causes::chain;
use crate::words::date::{Span, Timestamp};
use crate::words::digest::Sha256;
use crate::words::name::Codename;
use decide::Decision;
use edition::Edition;
use logging::{FindLogs, Logged};
use stage::{Inputs, Proofs, Served, Signatures, StageError, Staged};

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

/// What was published.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DistsAnswer {
    /// The suite.
    pub codename: Codename,
    /// What was done.
    pub outcome: PublishOutcome,
    /// The commit whose records and configuration were folded.
    pub base: String,
    /// Counts the Releases of the suite from 1.
    pub sequence: u64,
    /// `Date` of Release.
    pub date: String,
    /// `Valid-Until` of Release.
    pub valid_until: Option<String>,
    /// SHA-256 of Release.
    pub release: Sha256,
    /// Binary packages in the suite.
    pub packages: u64,
    /// Source packages in the suite.
    pub sources: u64,
    /// Pool files that were new to the tree.
    pub pool_files: usize,
    /// Other files that were written.
    pub index_files: usize,
    /// By-hash files that were removed.
    pub removed_files: usize,
    /// The published tree.
    pub target: String,
    /// The deb822 sources stanza for clients.
    pub stanza: String,
    /// Requests to the object store and the published tree, where these lie behind a network.
    pub requests: Requests,
    /// The steps of the plan, in order, for a dry run.
    pub plan: Vec<String>,
    /// The transparency logs whose proofs clients get with it.
    pub logs: Vec<LogKind>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// What a publish came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PublishOutcome {
    /// A new Release is served.
    Published,
    /// Nothing changed and nothing was written.
    Unchanged,
    /// Nothing changed, but files were missing in the tree and are there again.
    Repaired,
    /// Nothing was written because only the plan was asked for.
    Planned,
}

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The archive cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The branch of Releases is not usable.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The published tree failed.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// There is no usable signing key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Signing failed.
    #[error("cannot sign Release")]
    Sign(#[from] SignError),
    /// There is no proof from a transparency log that must give one.
    #[error("a transparency log gave no proof, and nothing was served that needs one")]
    Log(#[from] LogError),
    /// The suite cannot be folded.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The suite requires provenance that records have not, or that cannot be judged.
    #[error(transparent)]
    Provenance(#[from] SuiteError),
    /// Objects are missing in the store.
    #[error("{} missing in the object store, nothing was published", if problems.len() == 1 { "1 object is".to_owned() } else { format!("{} objects are", problems.len()) })]
    Objects {
        /// One entry for each pool file.
        problems: Vec<RecordProblem>,
    },
    /// The new Release would not be read again as it was written.
    #[error("the Release of {codename} that these values of ddb.toml give cannot be read again; it was not staged")]
    Unreadable {
        /// The suite.
        codename: Codename,
    },
    /// The new Release cannot be read at all.
    #[error("the Release that these values of ddb.toml give is not usable; it was not staged")]
    Release(#[from] ReleaseError),
    /// The last Release is dated in the future.
    #[error(
        "the last Release of {codename} is dated {date}, {ahead} s later than now ({now}), and apt refuses what comes from the future; wait, or correct this machine's clock. If that date came from a wrong clock, no apt has accepted that Release, and --reset-date publishes with the right one"
    )]
    Future {
        /// The suite.
        codename: Codename,
        /// The date of the last Release.
        date: String,
        /// Now.
        now: String,
        /// How much later in seconds.
        ahead: i64,
    },
    /// There is nothing that a proof could belong to.
    #[error("{}", match sequence {
        Some(sequence) => format!("Release {sequence} of {codename} was staged and not served; `ddb-publish dists {codename}` finishes it"),
        None => format!("no Release of {codename} was served; `ddb-publish dists {codename}` publishes one"),
    })]
    NotServed {
        /// The suite.
        codename: Codename,
        /// The Release that was staged.
        sequence: Option<u64>,
    },
    /// Another publisher was faster at every try.
    #[error("other publishers of {codename} were faster at {tries} tries; try again")]
    Contended {
        /// The suite.
        codename: Codename,
        /// How often it was tried.
        tries: u32,
    },
}

impl PublishError {
    /// Tells whether another commit may be publishable although this one is not: its keys or objects are gone.
    fn is_of_one_release(&self) -> bool {
        matches!(
            self,
            Self::Key(_)
                | Self::Sign(_)
                | Self::Fold(FoldError::Records { .. })
                | Self::Provenance(SuiteError::Records { .. } | SuiteError::Open(OpenError::Provenance { .. }))
                | Self::Objects { .. }
                | Self::Target(TargetError::Object { .. })
        )
    }
}

/// Finds who signs the Releases of a commit.
pub type FindSigner<'a> = dyn Fn(&Snapshot<'_>, &Archive) -> Result<Box<dyn Signer>, PublishError> + 'a;

/// Where a publish happens: the open archive and its places.
pub struct Places<'a> {
    /// The archive.
    pub open: &'a OpenArchive,
    /// The objects.
    pub store: &'a dyn ObjectStore,
    /// The published tree.
    pub target: &'a dyn PublishTarget,
    /// What earlier publishes on this machine made, if that may be used.
    pub cache: Option<&'a Cache>,
    /// Who signs; asked for only when a new Release is to be signed.
    pub signer: &'a FindSigner<'a>,
    /// The transparency logs, as the newest commit of the archive configures them.
    pub logs: &'a FindLogs<'a>,
}

const TRIES: u32 = 20;

impl Places<'_> {
    /// Fetches the archive's branch and the Releases of a suite from the remote, if there is one.
    fn look(&self, codename: &Codename) -> Result<(), OpenError> {
        if self.open.remote.is_none() {
            return Ok(());
        }
        let _held = self.open.repository.hold_remote()?;
        let releases = stage::branch(codename);
        self.open.refresh(&[&releases]).and_then(|()| self.open.align(&releases)).map_err(OpenError::Remote)
    }
}

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
    let mut request = request.clone();
    land_inbox(&request, places, listener)?;
    for _ in 0..TRIES {
        places.look(&request.codename)?;
        let newest = stage::newest(&places.open.repository, &request.codename)?;
        let turn = match newest {
            Some(staged) if staged.signatures.is_none() && !request.dry_run => {
                // Somebody was stopped between staging and serving. Their Release goes first, then ours if anything is left.
                match finish(&request, places, &staged, together, listener) {
                    // What this run staged itself is what it was to publish.
                    Ok(Turn::Done(answer)) if together.has_staged(&request.codename, &staged) => Turn::Done(answer),
                    Ok(Turn::Done(answer)) => {
                        finished = Some(*answer);
                        continue;
                    }
                    Ok(turn) => turn,
                    Err(fault) if fault.is_of_one_release() && places.open.tip()?.commit() != staged.base(&request.codename)? => {
                        listener(Event::Warning(format!(
                            "Release {} of {} was staged and cannot be served any more ({fault}); the newest commit takes its place",
                            staged.inputs.sequence, request.codename
                        )));
                        // The branch has moved where proofs were kept.
                        let newest = stage::newest(&places.open.repository, &request.codename)?;
                        let same = newest.filter(|newest| newest.inputs.sequence == staged.inputs.sequence);
                        advance(&request, places, Some(same.unwrap_or(staged)), listener)?
                    }
                    Err(fault) => return Err(fault),
                }
            }
            newest => advance(&request, places, newest, listener)?,
        };
        match turn {
            Turn::Again => {}
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

fn requests(places: &Places<'_>) -> Requests {
    places.store.requests() + places.target.requests()
}

/// Serves a Release that was staged and not served; where its bytes cannot be made again, leaves it behind by staging anew.
fn finish(
    request: &DistsRequest,
    places: &Places<'_>,
    staged: &Staged,
    together: &Together,
    listener: Listener<'_>,
) -> Result<Turn, PublishError> {
    listener(Event::Detail(format!("Release {} of {} was staged and not served; it goes first", staged.inputs.sequence, request.codename)));
    let base = staged.base(&request.codename)?;
    let mut edition = Edition::at(request, places, base, staged.inputs.date, Some(staged), listener)?;
    edition.judge_by_tip(places, staged)?;
    if edition.release.text().as_bytes() == staged.release {
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
        return match (signed, logged) {
            (Ok(signed), logged) => serve_logged(request, places, &edition, (signed, logged?), staged, false, listener),
            (Err(fault), logged) => {
                if let Ok(logged) = logged {
                    logging::keep(request, places.open, staged, &logged.proofs, listener);
                }
                Err(fault)
            }
        };
    }
    listener(Event::Warning(format!(
        "this ddb cannot make Release {} of {} again (it was made by {}); a new one takes its place",
        staged.inputs.sequence, request.codename, staged.inputs.ddb
    )));
    stage_new(request, places, Some(staged), &mut edition)?;
    Ok(Turn::Again)
}

/// Publishes the newest commit after a served Release (or the first one).
fn advance(request: &DistsRequest, places: &Places<'_>, last: Option<Staged>, listener: Listener<'_>) -> Result<Turn, PublishError> {
    let base = places.open.tip()?.commit();
    if let Some(last) = &last {
        warn_of_rewritten(request, places, last, base, listener)?;
    }
    let mut edition = Edition::at(request, places, base, request.now, last.as_ref(), listener)?;
    let decision = decide::decide(request, last.as_ref(), &edition);
    match (decision, last) {
        (Decision::Same(notes), Some(last)) => match pending::complete_required(request, places, last, listener)? {
            Some(last) => serve_again(request, places, edition, last, notes),
            None => Ok(Turn::Again),
        },
        (_, last) if request.dry_run => plan_only(request, places, &edition, last.as_ref()),
        (_, last) => {
            let logs = logging::logs(places)?;
            logging::are_ready(&logs)?;
            let Some((signed, commit)) = stage_new(request, places, last.as_ref(), &mut edition)? else { return Ok(Turn::Again) };
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
    if base != tip && !repository.is_ancestor(base, tip)? && repository.expect_whole().is_ok() {
        listener(Event::Warning(format!(
            "{} does not contain {base}, which Release {} of {} was made of: its history was rewritten since",
            places.open.branch, last.inputs.sequence, request.codename
        )));
    }
    Ok(())
}

/// Dates, signs and stages a new Release; `None` where another publisher was faster.
fn stage_new(
    request: &DistsRequest,
    places: &Places<'_>,
    last: Option<&Staged>,
    edition: &mut Edition,
) -> Result<Option<(SignedRelease, Oid)>, PublishError> {
    edition.date(decide::date(request, last)?, &request.codename);
    let text = edition.release.text();
    // What cannot be read again, signed or served is not staged: it would stand before every later Release.
    if Release::parse(text.as_bytes())? != edition.release {
        return Err(PublishError::Unreadable { codename: request.codename.clone() });
    }
    let signed = sign(request, places, edition)?;
    plan::check_objects(request, places, edition)?;
    let sequence = last.map_or(1, |last| last.inputs.sequence + 1);
    let inputs = Inputs { sequence, base: edition.base.to_string(), date: edition.release.date, ddb: env!("CARGO_PKG_VERSION").to_owned() };
    let commit = stage::stage(places.open, &request.codename, last, text.as_bytes(), &inputs, &edition.fold, &request.author)?;
    Ok(commit.map(|commit| (signed, commit)))
}

fn sign(request: &DistsRequest, places: &Places<'_>, edition: &Edition) -> Result<SignedRelease, PublishError> {
    let signer = (places.signer)(&places.open.repository.snapshot(edition.base)?, &edition.archive)?;
    Ok(SignedRelease::sign(signer.as_ref(), edition.release.text().as_bytes(), request.now)?)
}

/// Serves a staged Release, whose proofs are on the branch before they are anywhere else.
fn serve_logged(
    request: &DistsRequest,
    places: &Places<'_>,
    edition: &Edition,
    (signed, logged): (SignedRelease, Logged),
    staged: &Staged,
    fresh: bool,
    listener: Listener<'_>,
) -> Result<Turn, PublishError> {
    match logging::kept(request, places.open, staged, &logged.proofs)? {
        Some(commit) => serve(request, places, edition, (signed, logged), commit, fresh, listener),
        None => Ok(Turn::Again),
    }
}

/// Applies the plan of a staged and signed Release and marks it served; `fresh` says that this run has staged it.
fn serve(
    request: &DistsRequest,
    places: &Places<'_>,
    edition: &Edition,
    (signed, logged): (SignedRelease, Logged),
    commit: Oid,
    fresh: bool,
    listener: Listener<'_>,
) -> Result<Turn, PublishError> {
    let Logged { proofs, staple, notes } = logged;
    let stapled = |signed: SignedRelease, (kind, proof): (&LogKind, &Proof)| signed.stapled(*kind, proof);
    let signed = proofs.iter().filter(|(kind, _)| staple.contains(kind)).try_fold(signed, stapled)?;
    let served =
        Served { at: request.now, signed_by: signed.fingerprints().to_vec(), keyring: Sha256::of(edition.keyring.as_bytes()), swept: 0 };
    let mut signatures = Signatures { in_release: signed.in_release().to_vec(), detached: signed.detached().to_vec(), served };
    let repository = &places.open.repository;
    let _held = places.target.exclusive()?;
    // Whoever waited here may find that another publisher has served this Release, or a newer one, meanwhile.
    places.look(&request.codename)?;
    let Some(staged) = stage::newest(repository, &request.codename)?.filter(|staged| staged.commit == commit) else {
        return Ok(Turn::Again);
    };
    // A key may have been taken away while the logs were waited for.
    edition.judge_by_tip(places, &staged)?;
    // Whoever waited for the logs may find that another one is required meanwhile: the next turn asks it.
    if !logging::are_enough(places, &staged.release, &proofs)? {
        return Ok(Turn::Again);
    }
    let newest = || is_newest(request, places, commit);
    let first = stage::first_proofs(repository, commit)?;
    let with = plan::With { signatures: &signatures, proofs: &proofs, first: &first };
    let steps = plan::publish(request, places, edition, with, fresh)?;
    listener(Event::Begin { step: "publishing", parts: steps.steps().len() });
    let applied = steps.apply(places.target, places.store, &|step| listener(Event::Part { name: step.path.clone() }), &newest);
    listener(Event::End);
    if overtaken(applied)? {
        return Ok(Turn::Overtaken(None));
    }
    // Before the Release is marked as served nobody can stage another one, whose files might be among those removed.
    let sweep = plan::removals(request, places, &edition.archive, &staged, &proofs)?;
    let removed = sweep.plan.apply(places.target, places.store, &|_| (), &newest);
    let before = stage::last_served(repository, &request.codename)?.and_then(|last| last.signatures).map_or(0, |last| last.served.swept);
    signatures.served.swept = if matches!(removed, Ok(Applied::Whole)) { sweep.swept } else { before };
    let sequence = staged.inputs.sequence;
    let marked = stage::mark_served(places.open, &request.codename, commit, sequence, &signatures, &proofs, &request.author)?;
    let mut answer = answer(request, places, edition, sequence, PublishOutcome::Published, &steps);
    answer.logs = proofs.into_keys().collect();
    answer.notes.extend(notes);
    match removed {
        Ok(_) => answer.removed_files = sweep.plan.steps().len(),
        // The new Release is what clients see. Some buckets let nothing be removed, and mean it.
        Err(fault) if places.target.is_remote() => {
            answer.notes.push(format!("old by-hash files stay, the next publish tries to remove them: {}", chain(&fault)));
        }
        Err(fault) => return Err(fault.into()),
    }
    match marked {
        None if places.target.is_remote() || places.open.remote.is_some() => Ok(Turn::Overtaken(Some(Box::new(answer)))),
        None => {
            listener(Event::Detail("another publisher marked this Release as served".to_owned()));
            Ok(Turn::Done(Box::new(answer)))
        }
        Some(_) => Ok(Turn::Done(Box::new(answer))),
    }
}

/// Tells whether a commit is still the newest on the branch of Releases: on the remote, if there is one.
fn is_newest(request: &DistsRequest, places: &Places<'_>, commit: Oid) -> bool {
    let branch = stage::branch(&request.codename);
    match &places.open.remote {
        Some(remote) => remote.list(&[&branch]).is_ok_and(|seen| seen.get(&branch) == Some(&commit)),
        None => places.open.repository.tip(&branch).is_ok_and(|tip| tip == Some(commit)),
    }
}

/// Tells whether another publisher was noticed while a plan was carried out.
fn overtaken(applied: Result<Applied, TargetError>) -> Result<bool, PublishError> {
    match applied {
        Ok(applied) => Ok(applied == Applied::Overtaken),
        Err(TargetError::Overtaken { .. }) => Ok(true),
        Err(fault) => Err(fault.into()),
    }
}

/// Nothing changed: puts back what the tree lacks, with the signatures that clients already have.
fn serve_again(
    request: &DistsRequest,
    places: &Places<'_>,
    mut edition: Edition,
    last: Staged,
    notes: Vec<String>,
) -> Result<Turn, PublishError> {
    let (sequence, commit) = (last.inputs.sequence, last.commit);
    edition.release = last.parsed;
    let proofs = last.proofs;
    let Some(signatures) = last.signatures else { return plan_only(request, places, &edition, None) };
    let _held = if request.dry_run { None } else { Some(places.target.exclusive()?) };
    // Whoever waited here must not put an old Release in the place of a newer one.
    if !is_newest(request, places, commit) {
        return Ok(Turn::Again);
    }
    let first = stage::first_proofs(&places.open.repository, commit)?;
    let with = plan::With { signatures: &signatures, proofs: &proofs, first: &first };
    let steps = plan::publish(request, places, &edition, with, false)?;
    let outcome = match (steps.is_empty(), request.dry_run) {
        (true, _) => PublishOutcome::Unchanged,
        (false, true) => PublishOutcome::Planned,
        (false, false) => PublishOutcome::Repaired,
    };
    if !request.dry_run {
        let newest = || is_newest(request, places, commit);
        if overtaken(steps.apply(places.target, places.store, &|_| (), &newest))? || !(steps.is_empty() || newest()) {
            return Ok(Turn::Overtaken(None));
        }
    }
    let mut answer = answer(request, places, &edition, sequence, outcome, &steps);
    answer.logs = proofs.into_keys().collect();
    answer.notes.extend(notes);
    Ok(Turn::Done(Box::new(answer)))
}

fn plan_only(request: &DistsRequest, places: &Places<'_>, edition: &Edition, last: Option<&Staged>) -> Result<Turn, PublishError> {
    let unsigned = Signatures {
        in_release: Vec::new(),
        detached: Vec::new(),
        served: Served { at: request.now, signed_by: Vec::new(), keyring: Sha256::of(b""), swept: 0 },
    };
    let none = Proofs::new();
    let with = plan::With { signatures: &unsigned, proofs: &none, first: &none };
    let steps = plan::publish(request, places, edition, with, true)?;
    let sequence = last.map_or(1, |last| last.inputs.sequence + 1);
    Ok(Turn::Done(Box::new(answer(request, places, edition, sequence, PublishOutcome::Planned, &steps))))
}

fn answer(
    request: &DistsRequest,
    places: &Places<'_>,
    edition: &Edition,
    sequence: u64,
    outcome: PublishOutcome,
    steps: &Plan,
) -> DistsAnswer {
    let pool_files = steps.steps().iter().filter(|step| step.class == Class::Pool).count();
    DistsAnswer {
        codename: request.codename.clone(),
        outcome,
        base: edition.base.to_string(),
        sequence,
        date: edition.release.date.iso8601(),
        valid_until: edition.release.valid_until.map(Timestamp::iso8601),
        release: Sha256::of(edition.release.text().as_bytes()),
        packages: edition.fold.record.packages,
        sources: edition.fold.record.sources,
        pool_files,
        index_files: steps.steps().len() - pool_files,
        removed_files: 0,
        target: places.target.describe(),
        stanza: plan::stanza(request, edition),
        requests: requests(places),
        plan: if outcome == PublishOutcome::Planned { steps.steps().iter().map(ToString::to_string).collect() } else { Vec::new() },
        logs: Vec::new(),
        notes: edition.fold.notes.clone(),
    }
}
