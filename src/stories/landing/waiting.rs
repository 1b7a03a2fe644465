//! What waits in the inbox of an archive branch, as last fetched: each statement read, and whether it may be landed.
//!
//! A statement counts if the inbox is protected like the archive's own branch (`inbox.protected`), or if a key of `uploaders`
//! sealed it. Where neither is configured, nothing of the inbox is ever touched.

use super::verdicts;
use crate::formats::inbox::{INBOX, Parked, STATEMENT};
use crate::formats::sealed::{Purpose, Sealed};
use crate::formats::statement::checks;
use crate::places::git::{Author, GitError, Oid};
use crate::places::sign::uploaders::Uploaders;
use crate::stories::archive::OpenArchive;
use crate::words::archive::Archive;
use crate::words::date::{Span, Timestamp};

/// How long a statement may wait. A sealed statement that somebody kept must not come back for ever.
const LONGEST_WAIT: Span = Span::of_seconds(7 * 24 * 3600);

/// One branch of the inbox.
#[derive(Debug)]
pub struct Waiting {
    /// Its full name on the remote.
    pub reference: String,
    /// The parked commit.
    pub commit: Oid,
    /// Who parked it, and when.
    pub author: Author,
    /// The statement, or why it is none that may be landed.
    pub parked: Result<Parked, String>,
    /// Fingerprint of the uploader who sealed it.
    pub sealed_by: Option<String>,
}

/// Tells whether an inbox branch is one that `ddb-deploy doctor` makes for a moment to see whether it may.
pub fn is_probe(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(|last| last.starts_with("doctor-"))
}

/// Tells whether this archive lands anything from its inbox.
pub fn is_open(archive: &Archive, uploaders: Option<&Uploaders>) -> bool {
    archive.inbox.protected || uploaders.is_some()
}

/// Returns the statements that wait for this branch, in the order in which they are landed; those that cannot be read last.
///
/// # Errors
/// A ref or commit cannot be read.
pub fn read(open: &OpenArchive, archive: &Archive, uploaders: Option<&Uploaders>, now: Timestamp) -> Result<Vec<Waiting>, GitError> {
    let Some(remote) = &open.remote else { return Ok(Vec::new()) };
    let refs = open.repository.refs_below(&remote.tracking(INBOX))?;
    open.repository.hydrate(refs.values().copied())?;
    // A server that lets nobody remove a branch keeps statements that have their verdict.
    let judged = verdicts::judged(open)?;
    let mut found = Vec::new();
    for (tracking, commit) in refs {
        let name = tracking.strip_prefix(&remote.tracking(INBOX)).unwrap_or_default();
        if is_probe(name) || judged.contains(&commit.to_string()) {
            continue;
        }
        let author = open.repository.author_of(commit)?;
        let file = open.repository.snapshot(commit)?.file(STATEMENT)?;
        let (parked, sealed_by) = match judge(file.as_deref(), archive, uploaders, now) {
            Ok((parked, _)) if parked.branch != open.branch => continue,
            Ok((parked, sealed_by)) => (Ok(parked), sealed_by),
            Err(reason) => (Err(reason), None),
        };
        found.push(Waiting { reference: format!("{INBOX}{name}"), commit, author, parked, sealed_by });
    }
    found.sort_by_cached_key(|waiting| (waiting.parked.is_err(), waiting.parked.as_ref().ok().map(Parked::order), waiting.commit));
    Ok(found)
}

/// Tells whether a commit of the inbox holds just this statement, in a form that is landed, and waits for its verdict.
///
/// # Errors
/// The commit cannot be read.
pub fn holds(
    open: &OpenArchive,
    commit: Oid,
    statement: &Parked,
    archive: &Archive,
    uploaders: Option<&Uploaders>,
) -> Result<bool, GitError> {
    if verdicts::judged(open)?.contains(&commit.to_string()) {
        return Ok(false);
    }
    open.repository.hydrate([commit])?;
    let file = open.repository.snapshot(commit)?.file(STATEMENT)?;
    let found = judge(file.as_deref(), archive, uploaders, statement.at);
    Ok(found.is_ok_and(|(parked, _)| Parked { at: statement.at, ..parked } == *statement))
}

fn judge(
    file: Option<&[u8]>,
    archive: &Archive,
    uploaders: Option<&Uploaders>,
    now: Timestamp,
) -> Result<(Parked, Option<String>), String> {
    let bytes = file.ok_or_else(|| format!("its commit holds no file \"{STATEMENT}\""))?;
    let sealed = Sealed::decode(Purpose::Statement, bytes).map_err(|fault| fault.to_string())?;
    let seal = uploaders.map(|uploaders| uploaders.check_seal(&sealed, now));
    let sealed_by = match seal {
        Some(Ok(fingerprint)) => Some(fingerprint),
        // Where uploaders are named, deploying needs their signature, whoever protects the branches.
        Some(Err(fault)) => return Err(format!("its seal does not count: {fault}")),
        None if archive.inbox.protected => None,
        None => {
            return Err("the inbox is neither protected (inbox.protected) nor are there uploaders whose seal could be checked".to_owned());
        }
    };
    let parked = Parked::of(&sealed).map_err(|fault| fault.to_string())?;
    checks::check(&parked.statement).map_err(|fault| format!("its statement contradicts itself: {fault}"))?;
    if now.minus(LONGEST_WAIT) > parked.at {
        return Err(format!("it was parked on {} and has waited for too long; deploy again", parked.at.iso8601()));
    }
    Ok((parked, sealed_by))
}
