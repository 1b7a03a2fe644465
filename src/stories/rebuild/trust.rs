//! What else a published Release must be: signed by the keys of its base commit.

use super::RebuildError;
use crate::places::git::Oid;
use crate::places::git::read::Snapshot;
use crate::places::sign::{PublicCertificate, verify_detached, verify_release};
use crate::stories::archive::OpenArchive;
use crate::stories::publish::stage::{Signatures, Staged};
use crate::stories::rebuild::{Finding, SignatureAnswer};
use crate::words::archive::Archive;
use crate::words::causes::chain;
use crate::words::date::Timestamp;

/// Checks both signatures of a Release with the keys that its base commit names: they must be by all of these and by nobody else,
/// and good when it was served.
pub(super) fn signatures(
    open: &OpenArchive,
    base: &Snapshot<'_>,
    archive: &Archive,
    staged: &Staged,
    signatures: &Signatures,
) -> Result<Result<SignatureAnswer, Finding>, RebuildError> {
    let certificates = open.signing_certificates(base, archive)?;
    let certificates: Vec<PublicCertificate> = certificates.into_iter().map(|(_, certificate)| certificate).collect();
    let at = signatures.served.at;
    let finding = |file: &str, reason: String| Finding { file: file.to_owned(), reason };
    let release = match verify_release(&signatures.in_release, &certificates, at) {
        Ok(verified) if verified.release == staged.release => verified,
        Ok(_) => return Ok(Err(finding("InRelease", "what is signed is another text than Release".to_owned()))),
        Err(fault) => return Ok(Err(finding("InRelease", chain(&fault)))),
    };
    if let Err(fault) = verify_detached(&staged.release, &signatures.detached, &certificates, at) {
        return Ok(Err(finding("Release.gpg", chain(&fault))));
    }
    Ok(Ok(SignatureAnswer { signed_by: release.fingerprints, served: at.iso8601() }))
}

/// Returns what apt holds against the signature today, if anything.
pub(super) fn today(
    open: &OpenArchive,
    base: &Snapshot<'_>,
    archive: &Archive,
    signatures: &Signatures,
    now: Timestamp,
) -> Result<Option<String>, RebuildError> {
    let certificates: Vec<PublicCertificate> = open.signing_certificates(base, archive)?.into_iter().map(|(_, own)| own).collect();
    Ok(verify_release(&signatures.in_release, &certificates, now).err().map(|fault| chain(&fault)))
}

/// Returns what apt holds today against a detached signature of a Release by the keys of its base commit, if anything.
pub(super) fn detached(
    open: &OpenArchive,
    base: Oid,
    release: &[u8],
    bytes: &[u8],
    now: Timestamp,
) -> Result<Option<String>, RebuildError> {
    let base = open.repository.snapshot(base)?;
    let archive = open.configuration(&base)?;
    let certificates: Vec<PublicCertificate> = open.signing_certificates(&base, &archive)?.into_iter().map(|(_, own)| own).collect();
    Ok(verify_detached(release, bytes, &certificates, now).err().map(|fault| chain(&fault)))
}
