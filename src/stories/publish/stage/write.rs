//! Commits to the branch of Releases: one that stages, one that keeps proofs, one that marks as served.

use serde::Serialize;

use super::recorded::{FOLDED, LISTS, SHEETS};
use super::vouched::{self, VOUCHED, is_signed};
use super::{INPUTS, Inputs, Proofs, RELEASE, Signatures, StageError, Staged, branch};
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

/// Puts a Release on the branch after the one given, with a signature over what is recorded; `None` where another publisher was faster.
///
/// The base is the commit's second parent, so that Git keeps it as long as the Release, whatever becomes of other branches.
///
/// # Errors
/// Git failed, or nothing was signed.
pub fn stage<E: From<StageError>>(
    open: &OpenArchive,
    codename: &Codename,
    after: Option<&Staged>,
    staging: &Staging<'_>,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
    author: &Author,
) -> Result<Option<Oid>, E> {
    let mut edits = edits(open, after, staging).map_err(StageError::from)?;
    let signed = edits.iter().filter(|(path, _)| is_signed(path)).filter_map(|(path, bytes)| Some((path.as_str(), bytes.as_deref()?)));
    let signature = sign(vouched::text(codename, signed).as_bytes())?;
    edits.insert(VOUCHED.to_owned(), Some(signature));
    let Staging { release, inputs, .. } = staging;
    let message = format!(
        "Stage Release {} of {codename}.\n\nDdb-Base: {}\nDdb-Release: sha256:{}\n",
        inputs.sequence,
        inputs.base,
        Sha256::of(release)
    );
    let base = inputs.base.parse().ok();
    Ok(append(open, codename, after.map(|staged| staged.commit), base, &edits, &message, author)?)
}

/// Returns what a staged commit says otherwise than the one before.
fn edits(open: &OpenArchive, after: Option<&Staged>, Staging { release, inputs, fold }: &Staging<'_>) -> Result<Edits, GitError> {
    let mut edits = Edits::from([(RELEASE.to_owned(), Some(release.to_vec())), (INPUTS.to_owned(), to_json(inputs))]);
    let record = Folded { release: Sha256::of(release), ..fold.record.clone() };
    edits.insert(FOLDED.to_owned(), to_json(&record));
    let lists = (!fold.lists.is_empty()).then(|| to_json(&fold.lists)).flatten();
    let had_lists = after.map(|after| open.repository.snapshot(after.commit)?.file(LISTS)).transpose()?.flatten().is_some();
    if lists.is_some() || had_lists {
        edits.insert(LISTS.to_owned(), lists);
    }
    if let Some(after) = after {
        let old = open.repository.snapshot(after.commit)?.files_below(SHEETS)?;
        edits.extend(old.into_keys().map(|path| (path, None)));
    }
    edits.extend(fold.sheets.iter().map(|(path, sheet)| (format!("{SHEETS}/{path}"), Some(sheet.text().into_bytes()))));
    if after.is_some_and(|staged| staged.signatures.is_some()) {
        for path in ["InRelease", "Release.gpg", "served.json"] {
            edits.insert(path.to_owned(), None);
        }
    }
    edits.extend(after.iter().flat_map(|staged| staged.proofs.keys()).map(|kind| (kind.file().to_owned(), None)));
    Ok(edits)
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
    append(open, codename, Some(staged), None, &edits, &format!("Serve Release {sequence} of {codename}.\n"), author)
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
    append(open, codename, Some(staged.commit), None, &edits, &message, author)
}

fn with_proofs(proofs: &Proofs) -> Edits {
    proofs.iter().map(|(kind, proof)| (kind.file().to_owned(), Some(proof.clone()))).collect()
}

fn with_signatures(signatures: &Signatures) -> [(String, Option<Vec<u8>>); 3] {
    [
        ("InRelease".to_owned(), Some(signatures.in_release.clone())),
        ("Release.gpg".to_owned(), Some(signatures.detached.clone())),
        ("served.json".to_owned(), to_json(&signatures.served)),
    ]
}

pub(super) fn append(
    open: &OpenArchive,
    codename: &Codename,
    tip: Option<Oid>,
    base: Option<Oid>,
    edits: &Edits,
    message: &str,
    author: &Author,
) -> Result<Option<Oid>, StageError> {
    let first = match tip {
        Some(tip) => tip,
        None => open.repository.commit(None, &Edits::new(), &format!("Begin the Releases of {codename}.\n"), author)?,
    };
    let parents: Vec<Oid> = std::iter::once(first).chain(base).collect();
    let commit = open.repository.commit_with(&parents, edits, message, author)?;
    let moved = open.repository.swap(open.remote.as_ref(), &branch(codename), tip, commit, "ddb-publish dists")?;
    Ok(moved.then_some(commit))
}

pub(super) fn to_json(value: &impl Serialize) -> Option<Vec<u8>> {
    // These are plain structs of strings and numbers: they always have a JSON form.
    let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
    bytes.push(b'\n');
    Some(bytes)
}
