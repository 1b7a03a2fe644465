//! Commits to the branch of Releases: one that stages, one that keeps proofs, one that marks as served.

use serde::Serialize;

use super::recorded::{FOLDED, Files, LISTS, SHEETS};
use super::vouched::{self, VOUCHED};
use super::{INPUTS, Inputs, Proofs, RELEASE, SERVED, Signatures, StageError, Staged, branch};
use crate::places::git::land::Edits;
use crate::places::git::{Author, GitError, Oid};
use crate::stories::archive::OpenArchive;
use crate::stories::fold::{Fold, Folded};
use crate::words::archive::LogKind;
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// What is put on the branch.
pub struct Staging<'a> {
    /// The bytes of `Release`.
    pub release: &'a [u8],
    /// What it was made from.
    pub inputs: Inputs,
    /// What else is recorded.
    pub fold: &'a Fold,
}

/// Puts a Release on the branch after its newest commit, with a signature over what is recorded; `None` where another publisher was
/// faster. Of what that commit holds nothing is kept.
///
/// The base is the commit's second parent, so that Git keeps it as long as the Release, whatever becomes of other branches.
///
/// # Errors
/// Git failed, or nothing was signed.
pub fn stage<E: From<StageError>>(
    open: &OpenArchive,
    codename: &Codename,
    tip: Option<Oid>,
    staging: Staging<'_>,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
    author: &Author,
) -> Result<Option<Oid>, E> {
    let after = begun(open, codename, tip, author).map_err(StageError::from)?;
    let Staging { release, mut inputs, fold } = staging;
    inputs.after = Some(after.to_string());
    let mut files = written(release, &inputs, fold);
    let unsignable = || StageError::Content {
        path: VOUCHED,
        commit: after,
        branch: branch(codename),
        fault: "the name of an index has a control character, and cannot be signed".to_owned(),
    };
    let text = vouched::text(codename, files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()))).ok_or_else(unsignable)?;
    files.insert(VOUCHED.to_owned(), sign(text.as_bytes())?);
    let message = format!(
        "Stage Release {} of {codename}.\n\nDdb-Base: {}\nDdb-Release: sha256:{}\n",
        inputs.sequence,
        inputs.base,
        Sha256::of(release)
    );
    let parents: Vec<Oid> = std::iter::once(after).chain(inputs.base.parse().ok()).collect();
    let commit = open.repository.commit_whole(&parents, &files, &message, author).map_err(StageError::from)?;
    Ok(move_to(open, codename, tip, commit)?)
}

/// Returns what a staged commit holds, but for the signature over it.
fn written(release: &[u8], inputs: &Inputs, fold: &Fold) -> Files {
    let record = Folded { release: Sha256::of(release), ..fold.record.clone() };
    let mut files = Files::from([(RELEASE.to_owned(), release.to_vec())]);
    files.extend(to_json(inputs).map(|bytes| (INPUTS.to_owned(), bytes)));
    files.extend(to_json(&record).map(|bytes| (FOLDED.to_owned(), bytes)));
    files.extend((!fold.lists.is_empty()).then(|| to_json(&fold.lists)).flatten().map(|bytes| (LISTS.to_owned(), bytes)));
    files.extend(fold.sheets.iter().map(|(path, sheet)| (format!("{SHEETS}/{path}"), sheet.text().into_bytes())));
    files
}

/// Marks a staged Release as served with these proofs and no others; `None` where the branch moved meanwhile.
///
/// # Errors
/// Git failed.
pub fn mark_served(
    open: &OpenArchive,
    codename: &Codename,
    staged: Oid,
    sequence: u64,
    signatures: &Signatures,
    proofs: &Proofs,
    author: &Author,
) -> Result<Option<Oid>, StageError> {
    let mut edits = with_proofs(proofs);
    let snapshot = open.repository.snapshot(staged)?;
    // One that was kept, and is not given to clients any more: its log is off now, or it does not hold.
    for kind in LogKind::ALL.into_iter().filter(|kind| !proofs.contains_key(kind)) {
        if snapshot.file(kind.file())?.is_some() {
            edits.insert(kind.file().to_owned(), None);
        }
    }
    edits.extend(with_signatures(signatures));
    append(open, codename, Some(staged), &edits, &format!("Serve Release {sequence} of {codename}.\n"), author)
}

/// Keeps proofs of a Release, with the signatures that they are stapled to where it was served before; `None` where the branch moved
/// meanwhile.
///
/// # Errors
/// Git failed.
pub fn keep_proofs(
    open: &OpenArchive,
    codename: &Codename,
    staged: &Staged,
    signatures: Option<&Signatures>,
    proofs: &Proofs,
    author: &Author,
) -> Result<Option<Oid>, StageError> {
    let mut edits = with_proofs(proofs);
    edits.extend(signatures.into_iter().flat_map(with_signatures));
    let logs: Vec<&str> = proofs.keys().map(|kind| kind.name()).collect();
    let message = format!("Keep the proofs of Release {} of {codename}.\n\nDdb-Logs: {}\n", staged.inputs.sequence, logs.join(", "));
    append(open, codename, Some(staged.commit), &edits, &message, author)
}

fn with_proofs(proofs: &Proofs) -> Edits {
    proofs.iter().map(|(kind, proof)| (kind.file().to_owned(), Some(proof.clone()))).collect()
}

fn with_signatures(signatures: &Signatures) -> [(String, Option<Vec<u8>>); 3] {
    [
        ("InRelease".to_owned(), Some(signatures.in_release.clone())),
        ("Release.gpg".to_owned(), Some(signatures.detached.clone())),
        (SERVED.to_owned(), to_json(&signatures.served)),
    ]
}

pub(super) fn append(
    open: &OpenArchive,
    codename: &Codename,
    tip: Option<Oid>,
    edits: &Edits,
    message: &str,
    author: &Author,
) -> Result<Option<Oid>, StageError> {
    let commit = open.repository.commit(Some(begun(open, codename, tip, author)?), edits, message, author)?;
    move_to(open, codename, tip, commit)
}

/// Returns the newest commit of the branch; of one that is not there, the commit that it begins with.
fn begun(open: &OpenArchive, codename: &Codename, tip: Option<Oid>, author: &Author) -> Result<Oid, GitError> {
    let begin = || open.repository.commit(None, &Edits::new(), &format!("Begin the Releases of {codename}.\n"), author);
    tip.map_or_else(begin, Ok)
}

fn move_to(open: &OpenArchive, codename: &Codename, tip: Option<Oid>, commit: Oid) -> Result<Option<Oid>, StageError> {
    let moved = open.repository.swap(open.remote.as_ref(), &branch(codename), tip, commit, "ddb-publish dists")?;
    Ok(moved.then_some(commit))
}

pub(super) fn to_json(value: &impl Serialize) -> Option<Vec<u8>> {
    // These are plain structs of strings and numbers: they always have a JSON form.
    let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
    bytes.push(b'\n');
    Some(bytes)
}
