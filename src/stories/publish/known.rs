//! What a published tree is known to hold without looking: what the last served Release put there.
//!
//! InRelease is written last and alone. A tree whose InRelease is that of the last served Release therefore holds everything
//! that this Release names, unless something wrote there since. Every publisher stages in Git before it writes, so Git says
//! what that may have been: Releases staged later and not served (a publish that was stopped may have overwritten names of the
//! old one) and, for what all suites share, the Releases of other suites. Whatever differs in one of them is not known.
//!
//! Not seen: files that somebody removed or changed by hand below an untouched InRelease, and a publisher without a lock that
//! was overtaken and killed before it noticed. `fsck` finds both, `--repair` looks at everything again.

use std::collections::{BTreeMap, BTreeSet};

use super::stage::{self, Proofs, Signatures, Staged};
use super::{DistsRequest, Edition, Places, PublishError, plan};
use crate::formats::artifact::clearsign;
use crate::formats::pool::pointer::Pointer;
use crate::formats::release::{Listed, Release};
use crate::formats::suite::checks;
use crate::formats::suite::place::RecordPlace;
use crate::places::git::read::{Snapshot, read_blobs};
use crate::places::git::{GitError, Oid};
use crate::stories::fold::patches;
use crate::words::archive::LogKind;
use crate::words::date::Span;
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// How many Releases of other suites are compared; where there are more since the last publish, no pool file is known.
const WITNESSES: usize = 64;

/// How long before the last Release was served a publish of another suite may have begun that wrote after it.
const SLOWEST: u32 = 3600;

/// What to do about what is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Look, and write what is not there.
    Look,
    /// Write: as far as Git tells it was never there, and a look costs as much.
    Write,
}

/// What a published tree is known to hold.
pub(super) struct Known {
    last: Option<Last>,
    rest: Rest,
}

/// The last served Release, which the tree holds.
struct Last {
    release: Release,
    text: Vec<u8>,
    /// The signatures, where the tree has these and not others of the same Release.
    signatures: Option<Signatures>,
    /// The proofs that it was served with.
    proofs: Proofs,
    /// Releases that were staged later and not served.
    unserved: Vec<Release>,
    since: Since,
    stanza: Option<String>,
    /// The patches of indices.
    patches: BTreeMap<String, Pointer>,
}

/// What Git says about the files of the pool, and of the whole tree, since a Release was served.
pub(super) struct Since {
    /// Pool files that Release did not bring as they are now, or that may have been overwritten since; `None` where any may.
    pub(super) pool: Option<BTreeSet<String>>,
    /// Whether the keyring is as it was.
    keyring: bool,
}

impl Known {
    /// Finds out, by one read of the tree. `fresh` says that this run has staged the Release, so that nobody tried to serve it.
    pub(super) fn of(request: &DistsRequest, places: &Places<'_>, edition: &Edition, fresh: bool) -> Result<Self, PublishError> {
        let look = |last| Self { last, rest: Rest::Look };
        // What is read is also what InRelease must still be when it is replaced, on servers that can hold a write against that.
        let found = places.target.read(&format!("dists/{}/InRelease", request.codename))?;
        if request.repair {
            return Ok(look(None));
        }
        let unserved = unserved(request, places, edition)?;
        let rest = if fresh && unserved.is_empty() && places.target.is_remote() { Rest::Write } else { Rest::Look };
        let Some(last) = stage::last_served(&places.open.repository, &request.codename)? else { return Ok(Self { last: None, rest }) };
        let (Some(found), Some(signatures)) = (found, &last.signatures) else { return Ok(look(None)) };
        let same_signature = found == signatures.in_release;
        if !same_signature && clearsign::split(&found).ok().is_none_or(|text| text.payload.as_bytes() != last.release) {
            return Ok(look(None));
        }
        let since = since(request, places, edition, &last)?;
        let stanza = if unserved.is_empty() { old_stanza(request, places, edition, &last)? } else { None };
        let recorded = stage::recorded(&places.open.repository, &request.codename, last.commit)?;
        let patches = recorded.map(|(_, sheets)| patches(&sheets)).unwrap_or_default();
        let proofs = stage::proofs_when_served(&places.open.repository, &request.codename, &last)?;
        let last = Last {
            signatures: last.signatures.filter(|_| same_signature),
            unserved: unserved.into_iter().map(|staged| staged.parsed).collect(),
            proofs,
            release: last.parsed,
            text: last.release,
            since,
            stanza,
            patches,
        };
        Ok(Self { last: Some(last), rest })
    }

    /// Tells whether what is not known is to be written without a look.
    pub(super) fn writes_unseen(&self) -> bool {
        self.rest == Rest::Write
    }

    /// Returns the pool files that the tree may lack or have with other bytes; `None` where that is not known of any.
    pub(super) fn pool(&self) -> Option<&BTreeSet<String>> {
        self.last.as_ref()?.since.pool.as_ref()
    }

    /// Tells whether the tree has this index under its name.
    pub(super) fn index(&self, path: &str, listed: &Listed) -> bool {
        let same = |release: &Release| release.files.get(path) == Some(listed);
        let elsewhere = |release: &Release| release.files.get(path).is_none_or(|other| other == listed);
        self.last.as_ref().is_some_and(|last| same(&last.release) && last.unserved.iter().all(elsewhere))
    }

    /// Tells whether the tree has this index under its digests, which nothing but the end of its time takes away.
    pub(super) fn by_hash(&self, path: &str, listed: &Listed) -> bool {
        self.last.as_ref().is_some_and(|last| last.release.acquire_by_hash && last.release.files.get(path) == Some(listed))
    }

    /// Tells whether the tree has this patch: no two have the same name.
    pub(super) fn patch(&self, path: &str, pointer: &Pointer) -> bool {
        self.last.as_ref().is_some_and(|last| last.patches.get(path) == Some(pointer))
    }

    /// Tells whether the tree has this keyring.
    pub(super) fn keyring(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.since.keyring)
    }

    /// Tells whether the tree has this sources stanza.
    pub(super) fn stanza(&self, stanza: &str) -> bool {
        self.last.as_ref().is_some_and(|last| last.stanza.as_deref() == Some(stanza))
    }

    /// Tells whether the tree has this `Release` under its name.
    pub(super) fn release(&self, text: &str) -> bool {
        self.last.as_ref().is_some_and(|last| last.unserved.is_empty() && last.text == text.as_bytes())
    }

    /// Tells whether the tree has this proof of this `Release`, beside it and in the history.
    pub(super) fn proof(&self, text: &str, kind: LogKind, proof: &[u8]) -> bool {
        // Where the signatures are others, a publish was stopped that was to bring a proof.
        let last = self.last.as_ref().filter(|last| last.signatures.is_some());
        self.release(text) && last.is_some_and(|last| last.proofs.get(&kind).is_some_and(|there| there == proof))
    }

    /// Tells whether the tree has these signatures.
    pub(super) fn signatures(&self, wanted: &Signatures) -> bool {
        let same = |there: &Signatures| there.in_release == wanted.in_release && there.detached == wanted.detached;
        self.last.as_ref().is_some_and(|last| last.unserved.is_empty() && last.signatures.as_ref().is_some_and(same))
    }
}

/// Returns the Releases that were staged after the last served one and not served, but for this one.
fn unserved(request: &DistsRequest, places: &Places<'_>, edition: &Edition) -> Result<Vec<Staged>, PublishError> {
    let repository = &places.open.repository;
    let text = edition.release.text();
    let mut found = Vec::new();
    let mut staged = stage::newest(repository, &request.codename)?;
    while let Some(current) = staged.take_if(|current| current.signatures.is_none()) {
        staged = stage::before(repository, &request.codename, &current)?;
        if current.release != text.as_bytes() {
            found.push(current);
        }
    }
    Ok(found)
}

/// Compares this edition with the last served Release and with every one that may have written to the tree since, in Git alone.
pub(super) fn since(request: &DistsRequest, places: &Places<'_>, edition: &Edition, last: &Staged) -> Result<Since, PublishError> {
    let repository = &places.open.repository;
    let keyring = Sha256::of(edition.keyring.as_bytes());
    let own = last.signatures.as_ref().map(|signatures| &signatures.served);
    let mut since = Since { pool: None, keyring: own.is_some_and(|served| served.keyring == keyring) };
    let mut bases: BTreeSet<Oid> = BTreeSet::from([last.base(&request.codename)?]);
    for staged in unserved(request, places, edition)? {
        since.keyring = false;
        bases.insert(staged.base(&request.codename)?);
    }
    let oldest = own.map(|served| served.at.minus(Span::of_seconds(SLOWEST)));
    let (others, few) = witnesses(request, places, edition, |staged| {
        let served = staged.signatures.as_ref().map(|signatures| &signatures.served);
        since.keyring &= served.is_some_and(|served| served.keyring == keyring);
        served.is_some_and(|served| oldest.is_some_and(|oldest| served.at < oldest))
    })?;
    since.keyring &= few;
    bases.extend(others);
    bases.remove(&edition.base);
    let new = repository.snapshot(edition.base)?;
    // A base may be missing in a shallow clone, and what was made then cannot be told.
    let Some(changed) = brought_anew(request, places, edition, &new, last)?.filter(|_| few) else { return Ok(since) };
    let mut changed = changed;
    for base in bases {
        let Ok(other) = repository.snapshot(base) else { return Ok(since) };
        changed.extend(new.changed_below("pool", &other)?.into_iter().map(|(path, _)| path));
    }
    since.pool = Some(changed);
    Ok(since)
}

/// Returns the bases of the Releases of other suites, newest first for each suite, up to one that says enough; and whether those
/// are all, and not too many.
fn witnesses(
    request: &DistsRequest,
    places: &Places<'_>,
    edition: &Edition,
    mut is_last: impl FnMut(&Staged) -> bool,
) -> Result<(BTreeSet<Oid>, bool), PublishError> {
    let repository = &places.open.repository;
    let (mut bases, mut count) = (BTreeSet::new(), 0);
    let others = edition.archive.suites.keys().filter(|codename| **codename != request.codename);
    for codename in others {
        let mut staged = stage::newest(repository, codename)?;
        while let Some(current) = staged {
            count += 1;
            if count > WITNESSES {
                return Ok((bases, false));
            }
            bases.insert(current.base(codename)?);
            if is_last(&current) {
                break;
            }
            staged = stage::before(repository, codename, &current)?;
        }
    }
    Ok((bases, true))
}

/// Returns the pool files of records that the suite did not have when that Release was made; `None` where that cannot be told.
/// A file may lie in the repository's pool for another suite's sake long before this one brings it into the tree.
fn brought_anew(
    request: &DistsRequest,
    places: &Places<'_>,
    edition: &Edition,
    new: &Snapshot<'_>,
    last: &Staged,
) -> Result<Option<BTreeSet<String>>, PublishError> {
    let repository = &places.open.repository;
    let Ok(old) = repository.snapshot(last.base(&request.codename)?) else { return Ok(None) };
    if old.commit() == new.commit() {
        return Ok(Some(BTreeSet::new()));
    }
    // A Release of a tree that names objects directly brought no pool file.
    let Ok(archive) = places.open.configuration(&old) else { return Ok(None) };
    if archive.target.objects_below(&archive.store) != edition.archive.target.objects_below(&edition.archive.store) {
        return Ok(None);
    }
    records_files(places, &request.codename, new, &old)
}

fn records_files(
    places: &Places<'_>,
    codename: &Codename,
    new: &Snapshot<'_>,
    old: &Snapshot<'_>,
) -> Result<Option<BTreeSet<String>>, PublishError> {
    let records = new.changed_below(&format!("suites/{codename}"), old)?;
    let blobs: Vec<(String, Oid)> = records.into_iter().filter_map(|(path, blob)| Some((path, blob?))).collect();
    let files = read_blobs(&places.open.repository, &blobs, |path, bytes| {
        let files = |place: RecordPlace| checks::read_at(&place, bytes).and_then(|record| checks::files_named(&place, &record)).ok();
        Ok::<_, GitError>(path.parse().ok().and_then(files))
    })?;
    let files: Option<Vec<_>> = files.into_iter().collect();
    Ok(files.map(|files| files.into_iter().flatten().map(|(path, _)| path.to_string()).collect()))
}

/// Returns the sources stanza that came with a Release, where that can be told.
fn old_stanza(request: &DistsRequest, places: &Places<'_>, edition: &Edition, last: &Staged) -> Result<Option<String>, PublishError> {
    let Ok(old) = places.open.repository.snapshot(last.base(&request.codename)?) else { return Ok(None) };
    let (Ok(archive), Ok(keyring)) = (places.open.configuration(&old), places.open.keyring(&old)) else { return Ok(None) };
    if (&archive.archive.url, &archive.target) != (&edition.archive.archive.url, &edition.archive.target) {
        return Ok(None);
    }
    Ok(archive.suite(&request.codename).map(|suite| plan::stanza_of(request, suite, &keyring)))
}
