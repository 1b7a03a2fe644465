//! Which proofs a Release had when: they may come after it was served, and another log may give others.

use super::{Proofs, SERVED, StageError, Staged, read, readable};
use crate::places::git::{GitError, Oid, Repository};
use crate::places::transparency::Proof;
use crate::words::archive::LogKind;
use crate::words::name::Codename;

/// Returns the proofs that a served Release was served with. What came later is on the branch before it is in the published tree,
/// so the branch does not tell whether it ever got there. None where a shallow clone ends too early to tell.
///
/// # Errors
/// The branch is not as ddb leaves it.
pub fn proofs_when_served(repository: &Repository, codename: &Codename, staged: &Staged) -> Result<Proofs, StageError> {
    let (mut commit, mut proofs) = (staged.commit, staged.proofs.clone());
    while let Some(parent) = repository.parent(commit)? {
        // A Release is staged before it is served.
        if repository.snapshot(parent)?.oid_of(SERVED)?.is_none() {
            return Ok(proofs);
        }
        // What ddb did not leave tells nothing.
        let Some(earlier) = readable(read(repository, codename, parent))? else { return Ok(Proofs::new()) };
        if earlier.inputs.sequence != staged.inputs.sequence {
            return Ok(proofs);
        }
        (commit, proofs) = (parent, earlier.proofs);
    }
    Ok(Proofs::new())
}

/// Returns the first proof of each kind that was ever kept of the Release at a commit and is good: what the history by checksum has for
/// ever, also where a log that counts now gave another one since. A shallow clone that ends too early has the first that it knows.
///
/// # Errors
/// Git cannot be read.
pub fn first_proofs(repository: &Repository, commit: Oid, is_good: impl Fn(LogKind, &Proof) -> bool) -> Result<Proofs, GitError> {
    let release = repository.snapshot(commit)?.oid_of("Release")?;
    let (mut next, mut first) = (Some(commit), Proofs::new());
    while let Some(commit) = next {
        let Ok(snapshot) = repository.snapshot(commit) else { break };
        if snapshot.oid_of("Release")? != release {
            break;
        }
        for kind in LogKind::ALL {
            first.extend(snapshot.file(kind.file())?.filter(|proof| is_good(kind, proof)).map(|proof| (kind, proof)));
        }
        next = repository.parent(commit)?;
    }
    Ok(first)
}
