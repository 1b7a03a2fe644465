//! What a published tree is known to hold without looking: what the last served Release put there.
//!
//! InRelease is written last and alone. A tree whose InRelease is that of the last served Release therefore holds everything
//! that this Release names, unless something wrote there since. Every publisher stages in Git before it writes, so Git says
//! what that may have been: Releases staged later and not served (a publish that was stopped may have overwritten names of the
//! old one) and, for what all suites share, the Releases of other suites. Whatever differs in one of them is not known. What the
//! pool holds may be known by another suite's Release too (`twin`). Where a commit stands among these for which no key of the archive
//! vouches, nothing is known.
//!
//! Not seen: files that somebody removed or changed by hand below an untouched InRelease, and a publisher without a lock that
//! was overtaken and killed before it noticed. `fsck` finds both, `--repair` looks at everything again.

use std::collections::{BTreeMap, BTreeSet};

use super::since::{Since, since, unserved};
use super::stage::{self, LastServed, Proofs, Signatures, Staged};
use super::{DistsRequest, Edition, Places, PublishError, stanza, twin};
use crate::formats::artifact::clearsign;
use crate::formats::pool::pointer::Pointer;
use crate::formats::release::{Listed, Release};
use crate::stories::fold::patches;
use crate::words::archive::LogKind;

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
    /// The InRelease that the tree has.
    pub(super) found: Option<Vec<u8>>,
    last: Option<Last>,
    /// Pool files that the tree may lack or have with other bytes; `None` where that is not known of any.
    pool: Option<BTreeSet<String>>,
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
    /// Whether the keyring is that of this Release still.
    keyring: bool,
    stanza: Option<String>,
    /// The patches of indices.
    patches: BTreeMap<String, Pointer>,
}

impl Known {
    /// Finds out, by one read of the tree. `fresh` says that this run has staged the Release, so that nobody tried to serve it.
    pub(super) fn of(request: &DistsRequest, places: &Places<'_>, edition: &Edition, fresh: bool) -> Result<Self, PublishError> {
        let nothing = |found| Self { found, last: None, pool: None, rest: Rest::Look };
        // What is read is also what InRelease must still be when it is replaced, on servers that can hold a write against that.
        let found = places.target.read(&format!("dists/{}/InRelease", request.codename))?;
        if request.repair {
            return Ok(nothing(found));
        }
        let served = places.trust(request).served(&request.codename)?;
        // It could say anything about what the tree holds.
        if matches!(served, LastServed::Unknown) {
            return Ok(nothing(found));
        }
        let unserved = unserved(&request.codename, places, edition)?;
        let rest = if fresh && unserved.is_empty() && places.target.is_remote() { Rest::Write } else { Rest::Look };
        let LastServed::Release(last) = served else {
            return Ok(Self { found, last: None, pool: twin::pool(request, places, edition)?, rest });
        };
        let (Some(found), Some(signatures)) = (found, &last.signatures) else { return Ok(nothing(None)) };
        let same_signature = found == signatures.in_release;
        if !same_signature && clearsign::split(&found).ok().is_none_or(|text| text.payload.as_bytes() != last.release) {
            return Ok(nothing(Some(found)));
        }
        let Since { pool, keyring } = since(request, places, edition, (&request.codename, &last))?;
        let pool = twin::pool(request, places, edition)?.or(pool);
        let stanza = if unserved.is_empty() { old_stanza(request, places, edition, &last)? } else { None };
        // What cannot be read names no patch that is known.
        let recorded = stage::recorded(&places.open.repository, &request.codename, last.commit).ok().flatten();
        let patches = recorded.map(|(_, sheets)| patches(&sheets)).unwrap_or_default();
        let proofs = stage::proofs_when_served(&places.open.repository, &request.codename, &last)?;
        let last = Last {
            signatures: last.signatures.filter(|_| same_signature),
            unserved: unserved.into_iter().map(|staged| staged.parsed).collect(),
            proofs,
            release: last.parsed,
            text: last.release,
            keyring,
            stanza,
            patches,
        };
        Ok(Self { found: Some(found), last: Some(last), pool, rest })
    }

    /// Tells whether what is not known is to be written without a look.
    pub(super) fn writes_unseen(&self) -> bool {
        self.rest == Rest::Write
    }

    /// Returns the pool files that the tree may lack or have with other bytes; `None` where that is not known of any.
    pub(super) fn pool(&self) -> Option<&BTreeSet<String>> {
        self.pool.as_ref()
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
        self.last.as_ref().is_some_and(|last| last.keyring)
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

/// Returns the sources stanza that came with a Release, where that can be told.
fn old_stanza(request: &DistsRequest, places: &Places<'_>, edition: &Edition, last: &Staged) -> Result<Option<String>, PublishError> {
    let Ok(old) = places.open.repository.snapshot(last.base(&request.codename)?) else { return Ok(None) };
    let (Ok(archive), Ok(keyring)) = (places.open.configuration(&old), places.open.keyring(&old)) else { return Ok(None) };
    if (&archive.archive.url, &archive.target) != (&edition.archive.archive.url, &edition.archive.target) {
        return Ok(None);
    }
    Ok(archive.suite(&request.codename).map(|suite| stanza::stanza_of(request, suite, &keyring)))
}
