//! The branch of verdicts: read by jobs that wait, written with every drain.

use std::collections::{BTreeMap, BTreeSet};

use crate::formats::inbox::{self, INBOX, Verdicts, next_verdicts, verdicts_branch};
use crate::places::git::land::Edits;
use crate::places::git::remote::Move;
use crate::places::git::{Author, GitError, Oid};
use crate::stories::archive::OpenArchive;

/// Returns the verdicts as last fetched: files by name.
///
/// # Errors
/// An object cannot be read.
pub fn read(open: &OpenArchive) -> Result<BTreeMap<String, Vec<u8>>, GitError> {
    files_of(open, tip(open)?)
}

fn files_of(open: &OpenArchive, commit: Option<Oid>) -> Result<BTreeMap<String, Vec<u8>>, GitError> {
    let Some(commit) = commit else { return Ok(BTreeMap::new()) };
    let snapshot = open.repository.snapshot(commit)?;
    let mut files = BTreeMap::new();
    for name in snapshot.files_in("verdicts")? {
        if let Some(bytes) = snapshot.file(&format!("verdicts/{name}"))? {
            files.insert(name, bytes);
        }
    }
    Ok(files)
}

/// Returns the parked commits that have their verdict, as last fetched.
///
/// # Errors
/// An object cannot be read.
pub fn judged(open: &OpenArchive) -> Result<BTreeSet<String>, GitError> {
    Ok(inbox::judged(&read(open)?))
}

/// Returns the commit of the verdicts as last fetched.
///
/// # Errors
/// The ref cannot be read.
pub fn tip(open: &OpenArchive) -> Result<Option<Oid>, GitError> {
    let Some(remote) = &open.remote else { return Ok(None) };
    open.repository.tip(&remote.tracking(&verdicts_branch(&open.branch)))
}

/// Makes the commit that leaves these verdicts beside those that are kept, and returns the move of the branch to it. It has no
/// history (`orphan`) where the server takes that.
///
/// # Errors
/// An object cannot be read or written.
pub fn leave(open: &OpenArchive, verdicts: &Verdicts, orphan: bool, committer: &Author) -> Result<Move, GitError> {
    // Looked at once: whoever fetches meanwhile must not make this the successor of verdicts that it does not hold.
    let old = tip(open)?;
    let before = files_of(open, old)?;
    let standing = match &open.remote {
        Some(remote) => open.repository.refs_below(&remote.tracking(INBOX))?.into_values().map(|commit| commit.to_string()).collect(),
        None => BTreeSet::new(),
    };
    let gone: Vec<String> = before.keys().cloned().collect();
    let files = next_verdicts(before, verdicts, &standing);
    let mut edits: Edits = files.into_iter().map(|(name, bytes)| (format!("verdicts/{name}"), Some(bytes))).collect();
    // Where it came to that once, it is so for every job.
    let parent = match old {
        Some(old) if !orphan || open.repository.parent(old)?.is_some() => Some(old),
        _ => None,
    };
    if parent.is_some() {
        for name in gone {
            edits.entry(format!("verdicts/{name}")).or_insert(None);
        }
    }
    let new = open.repository.commit(parent, &edits, &format!("Leave {} verdicts.\n", verdicts.len()), committer)?;
    Ok(Move { reference: verdicts_branch(&open.branch), old, new: Some(new) })
}
