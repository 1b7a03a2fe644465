//! `recorded.asc`: a signature by the archive over what a staged commit records, so that the next fold starts from nothing that
//! somebody left there who may push to the branch and has no key to sign with.
//!
//! The text that is signed begins with a line that no Release has, and names everything by its SHA-256:
//! ```text
//! ddb recorded 1
//! codename: trixie
//! <sha256>  Release
//! <sha256>  fold.json
//! <sha256>  inputs.json
//! <sha256>  lists.json
//! <sha256>  sheets/main/binary-amd64/Packages
//! ```

use std::collections::BTreeMap;

use super::recorded::{FOLDED, Files, LISTS, SHEETS, files, last};
use super::{INPUTS, RELEASE, Signatures, StageError, Staged};
use crate::places::sign;
use crate::stories::archive::OpenArchive;
use crate::stories::fold::Last;
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// The signature.
pub(super) const VOUCHED: &str = "recorded.asc";

/// What is signed beside the sheets.
const WITH_SHEETS: [&str; 4] = [RELEASE, INPUTS, FOLDED, LISTS];

/// What a fold may start from.
pub enum Start {
    /// Nothing: there was no Release, or nothing was recorded with it.
    Nothing,
    /// What the archive signed.
    Vouched(Last),
    /// What anybody may have left there. Where it cuts indices into blocks and how well it compresses them is no harm, so that the same
    /// records give the same bytes; all else is taken off.
    Cuts(Last),
}

/// Tells whether a path of a staged commit is one that is signed.
pub(super) fn is_signed(path: &str) -> bool {
    WITH_SHEETS.contains(&path) || path.strip_prefix(SHEETS).is_some_and(|rest| rest.starts_with('/'))
}

/// Returns the text that is signed, of files by their paths.
pub(super) fn text<'a>(codename: &Codename, files: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let digests: BTreeMap<&str, Sha256> = files.map(|(path, bytes)| (path, Sha256::of(bytes))).collect();
    let lines: String = digests.iter().map(|(path, digest)| format!("{digest}  {path}\n")).collect();
    format!("ddb recorded 1\ncodename: {codename}\n{lines}")
}

/// Tells whether a key that the newest commit of the archive trusts to sign vouches for what a staged commit records, and signed the
/// Release where the commit has signatures of it.
///
/// # Errors
/// Git cannot be read.
pub fn is_vouched(open: &OpenArchive, codename: &Codename, staged: &Staged, now: Timestamp) -> Result<bool, StageError> {
    let files = files(&open.repository, staged.commit, &WITH_SHEETS)?;
    vouch_for(open, codename, staged, &files, now)
}

fn vouch_for(open: &OpenArchive, codename: &Codename, staged: &Staged, files: &Files, now: Timestamp) -> Result<bool, StageError> {
    let Some(signature) = open.repository.snapshot(staged.commit)?.file(VOUCHED)? else { return Ok(false) };
    let Ok(tip) = open.tip() else { return Ok(false) };
    let Ok(archive) = open.configuration(&tip) else { return Ok(false) };
    let Ok(certificates) = open.signing_certificates(&tip, &archive) else { return Ok(false) };
    let text = text(codename, files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())));
    let certificates: Vec<_> = certificates.into_iter().map(|(_, certificate)| certificate).collect();
    // A Date is never before the time at which was signed.
    let now = now.max(staged.inputs.date);
    let signed = staged
        .signatures
        .as_ref()
        .is_none_or(|Signatures { in_release, detached, .. }| sign::signed(&staged.release, in_release, detached, &certificates, now));
    Ok(signed && sign::vouches(text.as_bytes(), &signature, &certificates, now))
}

/// Returns what a fold may start from that follows this Release, or makes it again.
///
/// # Errors
/// Git cannot be read, or a file is not as ddb leaves it.
pub fn start(open: &OpenArchive, codename: &Codename, staged: &Staged, now: Timestamp) -> Result<Start, StageError> {
    let files = files(&open.repository, staged.commit, &WITH_SHEETS)?;
    let Some(last) = last(&files, codename, staged)? else { return Ok(Start::Nothing) };
    Ok(if vouch_for(open, codename, staged, &files, now)? { Start::Vouched(last) } else { Start::Cuts(last.cuts()) })
}

impl Start {
    /// Returns what the archive signed, if it did.
    pub fn vouched(self) -> Option<Last> {
        match self {
            Self::Vouched(last) => Some(last),
            Self::Nothing | Self::Cuts(_) => None,
        }
    }
}
