//! The branch of verdicts: read by jobs that wait, written with every drain.

use std::collections::BTreeMap;

use crate::formats::inbox::{Verdicts, next_verdicts, verdicts_branch};
use crate::places::git::remote::Move;
use crate::places::git::{Author, GitError, Oid};
use crate::stories::archive::OpenArchive;

/// Returns the verdicts as last fetched: files by name.
///
/// # Errors
/// An object cannot be read.
pub fn read(open: &OpenArchive) -> Result<BTreeMap<String, Vec<u8>>, GitError> {
    let Some(commit) = tip(open)? else { return Ok(BTreeMap::new()) };
    let snapshot = open.repository.snapshot(commit)?;
    let mut files = BTreeMap::new();
    for name in snapshot.files_in("verdicts")? {
        if let Some(bytes) = snapshot.file(&format!("verdicts/{name}"))? {
            files.insert(name, bytes);
        }
    }
    Ok(files)
}

/// Returns the commit of the verdicts as last fetched.
///
/// # Errors
/// The ref cannot be read.
pub fn tip(open: &OpenArchive) -> Result<Option<Oid>, GitError> {
    let Some(remote) = &open.remote else { return Ok(None) };
    open.repository.tip(&remote.tracking(&verdicts_branch(&open.branch)))
}

/// Makes the commit that leaves these verdicts beside those that are kept, and returns the move of the branch to it.
///
/// # Errors
/// An object cannot be read or written.
pub fn leave(open: &OpenArchive, verdicts: &Verdicts, committer: &Author) -> Result<Move, GitError> {
    let files = next_verdicts(read(open)?, verdicts);
    let edits = files.into_iter().map(|(name, bytes)| (format!("verdicts/{name}"), Some(bytes))).collect();
    let new = open.repository.commit(None, &edits, &format!("Leave {} verdicts.\n", verdicts.len()), committer)?;
    Ok(Move { reference: verdicts_branch(&open.branch), old: tip(open)?, new: Some(new) })
}
