//! From a staged Release to what clients see: the plan is carried out, InRelease last, the Release is marked as served, and what is
//! old enough is removed.
//!
//! Whoever finds that another publisher staged or served something meanwhile says so (`Turn`), and the next turn looks again.

use super::answer::{PublishOutcome, answer};
use super::edition::Edition;
use super::logging::{self, Logged};
use super::stage::{self, Proofs, Served, Signatures, Staged};
use super::{DistsRequest, Places, PublishError, Turn, plan, sweep};
use crate::places::git::Oid;
use crate::places::sign::SignedRelease;
use crate::places::target::TargetError;
use crate::places::target::plan::Applied;
use crate::places::transparency::Proof;
use crate::stories::event::{Event, Listener};
use crate::words::archive::LogKind;
use crate::words::causes::chain;
use crate::words::digest::Sha256;

/// Serves a staged Release, whose proofs are on the branch before they are anywhere else.
pub(super) fn serve_logged(
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
    if repository.tip(&stage::branch(&request.codename))? != Some(commit) {
        return Ok(Turn::Again);
    }
    let staged = stage::read(repository, &request.codename, commit)?;
    // A key may have been taken away while the logs were waited for.
    edition.judge_by_tip(places, &staged)?;
    // Whoever waited for the logs may find that another one is required meanwhile: the next turn asks it.
    let logs = logging::logs(places)?;
    if !logging::are_enough(&logs, &staged.release, &proofs) {
        return Ok(Turn::Again);
    }
    let newest = || is_newest(request, places, commit);
    let first = logging::first(places, &logs, &request.codename, &staged)?;
    let with = plan::With { signatures: &signatures, proofs: &proofs, first: &first };
    let steps = plan::publish(request, places, edition, with, fresh)?;
    listener(Event::Begin { step: "publishing", parts: steps.steps().len() });
    let applied = steps.apply(places.target, places.store, &|step| listener(Event::Part { name: step.path.clone() }), &newest);
    listener(Event::End);
    if overtaken(applied)? {
        return Ok(Turn::Overtaken(None));
    }
    // Before the Release is marked as served nobody can stage another one, whose files might be among those removed.
    let sweep = sweep::removals(request, places, &edition.archive, &staged, &proofs)?;
    let removed = sweep.plan.apply(places.target, places.store, &|_| (), &newest);
    signatures.served.swept = if matches!(removed, Ok(Applied::Whole)) { sweep.swept } else { sweep.before };
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
pub(super) fn serve_again(
    request: &DistsRequest,
    places: &Places<'_>,
    mut edition: Edition,
    last: Staged,
    notes: Vec<String>,
) -> Result<Turn, PublishError> {
    let (sequence, commit) = (last.inputs.sequence, last.commit);
    // Anybody who may push may have left others there.
    let logs = logging::logs(places)?;
    let first = logging::first(places, &logs, &request.codename, &last)?;
    let proofs: Proofs = last.proofs.into_iter().filter(|(kind, proof)| logging::is_good(&logs, &last.release, *kind, proof)).collect();
    edition.release = last.parsed;
    let Some(signatures) = last.signatures else { return plan_only(request, places, &edition, None) };
    let _held = if request.dry_run { None } else { Some(places.target.exclusive()?) };
    // Whoever waited here must not put an old Release in the place of a newer one.
    if !is_newest(request, places, commit) {
        return Ok(Turn::Again);
    }
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

pub(super) fn plan_only(
    request: &DistsRequest,
    places: &Places<'_>,
    edition: &Edition,
    last: Option<&Staged>,
) -> Result<Turn, PublishError> {
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
