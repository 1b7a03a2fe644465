//! Whether a new Release is needed, and what its Date is.
//!
//! A Release is made anew when it would say something else (but for its dates), when other keys are to sign it, or when it is
//! to be renewed, when the policy on provenance changed, or when no key vouches for what the branch of Releases ends with. Date never
//! goes back: apt silently keeps what it has when it does.

use super::stage::{Branch, Signatures, Staged, time_of};
use super::{DistsRequest, Edition, PublishError};
use crate::formats::release::Release;
use crate::places::sign::{verify_detached, verify_release};
use crate::words::date::{Span, Timestamp};
use crate::words::digest::Sha256;

/// How far in the future a Date may lie where the time is given and stands still. apt tolerates 10 s (`Acquire::Max-FutureTime`).
const TOLERANCE: u32 = 8;

/// What is to be done.
pub(super) enum Decision {
    /// A new Release.
    New,
    /// The last one stays; with what a person should know about it.
    Same(Vec<String>),
}

/// Returns the Date of a new Release: now, but later than that of the last one.
///
/// # Errors
/// The last one lies in the future, or in this very second: with a clock that runs, waiting helps.
pub(super) fn date(request: &DistsRequest, last: Option<Timestamp>) -> Result<Timestamp, PublishError> {
    let Some(last) = last.filter(|_| !request.reset_date) else { return Ok(request.now) };
    let next = last.plus(Span::of_seconds(1));
    let tolerance = Span::of_seconds(if request.fixed_time { TOLERANCE } else { 0 });
    if next > request.now.plus(tolerance) {
        let (date, now) = (last.iso8601(), request.now.iso8601());
        return Err(PublishError::Future { codename: request.codename.clone(), date, now, ahead: next.0 - request.now.0 });
    }
    Ok(request.now.max(next))
}

/// Tells whether the signatures of a Release are those that clients shall get: by all keys and by nobody else.
fn are_whole(last: &Staged, signatures: &Signatures, edition: &Edition, now: Timestamp) -> bool {
    let now = time_of(last, &signatures.served, now);
    let clear = verify_release(&signatures.in_release, &edition.certificates, now);
    clear.is_ok_and(|clear| clear.release == last.release)
        && verify_detached(&last.release, &signatures.detached, &edition.certificates, now).is_ok()
}

/// Decides by comparing with the last Release, which was served. What stands after it on the branch is buried under a new one.
pub(super) fn decide(request: &DistsRequest, branch: &Branch, edition: &Edition) -> Decision {
    let Some(last) = branch.last.as_ref().filter(|last| branch.tip == Some(last.commit)) else { return Decision::New };
    let Some(signatures) = &last.signatures else { return Decision::New };
    if !edition.release.content_equals(&last.parsed) || signatures.served.keyring != Sha256::of(edition.keyring.as_bytes()) {
        return Decision::New;
    }
    // Who may push could have put others there, or have taken one away.
    if edition.refused_signers.is_empty() && !are_whole(last, signatures, edition, request.now) {
        return Decision::New;
    }
    // The branch then says under which policy the suite was found good, so that the next publish need not judge all of it again.
    if signatures.served.signed_by != edition.signers || edition.other_policy {
        return Decision::New;
    }
    // The next one starts from what is vouched for. A key that expired vouches for nothing, and cannot sign a new one either.
    if edition.unvouched && edition.refused_signers.is_empty() {
        return Decision::New;
    }
    // A suite whose `valid-for` changed differs although the indices are the same.
    let span = |release: &Release| release.valid_until.map(|until| until.0 - release.date.0);
    if span(&edition.release) != span(&last.parsed) || request.renew || (request.reset_date && last.parsed.date > request.now) {
        return Decision::New;
    }
    let mut notes = edition.refused_signers.clone();
    let Some(valid_until) = last.parsed.valid_until else { return Decision::Same(notes) };
    if request.renew_before.is_some_and(|span| request.now.plus(span) >= valid_until) {
        return Decision::New;
    }
    if valid_until <= request.now {
        notes.push(format!(
            "the Release of {} expired on {}; clients refuse it. --renew signs a new one",
            request.codename,
            valid_until.iso8601()
        ));
    } else if request.now.0 >= last.parsed.date.0 + (valid_until.0 - last.parsed.date.0) / 2 {
        notes.push(format!(
            "the Release of {} is good until {}; --renew or --renew-before signs a new one",
            request.codename,
            valid_until.iso8601()
        ));
    }
    Decision::Same(notes)
}
