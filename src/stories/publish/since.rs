//! What Git says about a published tree since a Release was served: which files of the pool that Release may not have brought,
//! or others may have overwritten.

use std::collections::BTreeSet;

use super::stage::{self, Staged};
use super::{DistsRequest, Edition, Places, PublishError};
use crate::formats::suite::checks;
use crate::formats::suite::place::RecordPlace;
use crate::places::git::read::{Snapshot, read_blobs};
use crate::places::git::{GitError, Oid};
use crate::words::date::Span;
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// How many Releases of other suites are compared; where there are more since the last publish, no pool file is known.
const WITNESSES: usize = 64;

/// How long before the last Release was served a publish of another suite may have begun that wrote after it.
const SLOWEST: u32 = 3600;

/// What Git says about the files of the pool, and of the whole tree, since a Release was served.
pub(super) struct Since {
    /// Pool files that Release did not bring as they are now, or that may have been overwritten since; `None` where any may.
    pub(super) pool: Option<BTreeSet<String>>,
    /// Whether the keyring is as it was.
    pub(super) keyring: bool,
}

/// Returns the Releases of a suite that were staged after its last served one and not served, but for this one.
pub(super) fn unserved(codename: &Codename, places: &Places<'_>, edition: &Edition) -> Result<Vec<Staged>, PublishError> {
    let repository = &places.open.repository;
    let text = edition.release.text();
    let mut found = Vec::new();
    let mut staged = stage::newest(repository, codename)?;
    while let Some(current) = staged.take_if(|current| current.signatures.is_none()) {
        staged = stage::before(repository, codename, &current)?;
        if current.release != text.as_bytes() {
            found.push(current);
        }
    }
    Ok(found)
}

/// Compares this edition with the last served Release of its suite or of another one, and with every Release that may have written
/// to the tree since, in Git alone.
pub(super) fn since(
    request: &DistsRequest,
    places: &Places<'_>,
    edition: &Edition,
    (codename, last): (&Codename, &Staged),
) -> Result<Since, PublishError> {
    let repository = &places.open.repository;
    let keyring = Sha256::of(edition.keyring.as_bytes());
    let own = last.signatures.as_ref().map(|signatures| &signatures.served);
    let mut since = Since { pool: None, keyring: own.is_some_and(|served| served.keyring == keyring) };
    let mut bases: BTreeSet<Oid> = BTreeSet::from([last.base(codename)?]);
    for staged in unserved(codename, places, edition)? {
        since.keyring = false;
        bases.insert(staged.base(codename)?);
    }
    // It is not signed when it was served: at its date at the earliest.
    let oldest = own.map(|_| last.parsed.date.minus(Span::of_seconds(SLOWEST)));
    let (others, few) = witnesses(codename, (request, places, edition), |staged| {
        let served = staged.signatures.as_ref().map(|signatures| &signatures.served);
        since.keyring &= served.is_some_and(|served| served.keyring == keyring);
        served.is_some_and(|served| oldest.is_some_and(|oldest| served.at.max(staged.parsed.date) < oldest))
    })?;
    since.keyring &= few;
    bases.extend(others);
    bases.remove(&edition.base);
    let new = repository.snapshot(edition.base)?;
    // A base may be missing in a shallow clone, and what was made then cannot be told.
    let Some(changed) = brought_anew(places, edition, &new, (codename, last))?.filter(|_| few) else { return Ok(since) };
    let mut changed = changed;
    for base in bases {
        let Ok(other) = repository.snapshot(base) else { return Ok(since) };
        changed.extend(new.changed_below("pool", &other)?.into_iter().map(|(path, _)| path));
    }
    since.pool = Some(changed);
    Ok(since)
}

/// Returns the bases of the Releases of all suites but this one, newest first for each suite, up to one that says enough; and whether those
/// are all, and not too many, and a key of the archive vouches for them.
fn witnesses(
    codename: &Codename,
    (request, places, edition): (&DistsRequest, &Places<'_>, &Edition),
    mut is_last: impl FnMut(&Staged) -> bool,
) -> Result<(BTreeSet<Oid>, bool), PublishError> {
    let (repository, trust) = (&places.open.repository, places.trust(request));
    let (mut bases, mut count) = (BTreeSet::new(), 0);
    let others = edition.archive.suites.keys().filter(|other| *other != codename);
    for codename in others {
        let Some(tip) = repository.tip(&stage::branch(codename))? else { continue };
        let mut staged = trust.read(codename, tip)?;
        loop {
            count += 1;
            // What no key vouches for may hide others.
            let Some(current) = staged.filter(|_| count <= WITNESSES) else { return Ok((bases, false)) };
            bases.insert(current.base(codename)?);
            if is_last(&current) {
                break;
            }
            let mut earlier = stage::before(repository, codename, &current)?;
            if earlier.is_none() && stage::is_first(repository, &current)? {
                break;
            }
            // A shallow clone ends here: one more fetch costs less than a look at every file.
            if let Some(wanted) = current.inputs.follows.as_ref().and_then(|follows| follows.parse().ok()).filter(|_| earlier.is_none()) {
                places.deeper(&stage::branch(codename), |repository| Ok(repository.has_commit(wanted)), |here| *here)?;
                earlier = stage::before(repository, codename, &current)?;
            }
            // What it follows was vouched for when it was staged.
            staged = earlier.filter(|_| current.inputs.follows.is_some());
        }
    }
    Ok((bases, true))
}

/// Returns the pool files of records that the suite of that Release did not have when it was made; `None` where that cannot be told.
/// A file may lie in the repository's pool for another suite's sake long before this one brings it into the tree.
fn brought_anew(
    places: &Places<'_>,
    edition: &Edition,
    new: &Snapshot<'_>,
    (codename, last): (&Codename, &Staged),
) -> Result<Option<BTreeSet<String>>, PublishError> {
    let repository = &places.open.repository;
    let Ok(old) = repository.snapshot(last.base(codename)?) else { return Ok(None) };
    if old.commit() == new.commit() && *codename == edition.codename {
        return Ok(Some(BTreeSet::new()));
    }
    // A Release of a tree that names objects directly brought no pool file.
    let Ok(archive) = places.open.configuration(&old) else { return Ok(None) };
    if archive.target.objects_below(&archive.store) != edition.archive.target.objects_below(&edition.archive.store) {
        return Ok(None);
    }
    let records = new.changed_from(&format!("suites/{}", edition.codename), &old, &format!("suites/{codename}"))?;

    let blobs: Vec<(String, Oid)> = records.into_iter().filter_map(|(path, blob)| Some((path, blob?))).collect();
    let files = read_blobs(&places.open.repository, &blobs, |path, bytes| {
        let files = |place: RecordPlace| checks::read_at(&place, bytes).and_then(|record| checks::files_named(&place, &record)).ok();
        Ok::<_, GitError>(path.parse().ok().and_then(files))
    })?;
    let files: Option<Vec<_>> = files.into_iter().collect();
    Ok(files.map(|files| files.into_iter().flatten().map(|(path, _)| path.to_string()).collect()))
}
