//! An edition: one Release and everything that it was made of, before and while it is served.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use super::stage::{self, Branch, Staged, Start};
use super::{DistsRequest, Places, PublishError};
use crate::formats::blocks::sheet::KIND;
use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::formats::release::Release;
use crate::places::git::Oid;
use crate::places::sign::PublicCertificate;
use crate::places::store::ObjectStore;
use crate::stories::event::{Event, Listener};
use crate::stories::fold::{self, Bytes, Fold, FoldError, Last, Wanted, fold};
use crate::stories::provenance::suite::{self, Asked};
use crate::words::archive::Archive;
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;
use crate::words::name::{Codename, SourceName};

/// Everything about one Release that is to be served.
pub(super) struct Edition {
    pub(super) archive: Archive,
    pub(super) fold: Fold,
    pub(super) base: Oid,
    pub(super) release: Release,
    pub(super) keyring: String,
    /// Fingerprints of those who are to sign, sorted.
    pub(super) signers: Vec<String>,
    /// Their certificates.
    pub(super) certificates: Vec<PublicCertificate>,
    /// What clients hold against them now, in sentences.
    pub(super) refused_signers: Vec<String>,
    /// Whether the last Release was made under another policy on provenance.
    pub(super) other_policy: bool,
    /// Whether no key of the archive vouches for what the branch of Releases ends with.
    pub(super) unvouched: bool,
    pub(super) codename: Codename,
    /// The store of blocks.
    blocks: Box<dyn ObjectStore>,
    /// The store of file lists, where the suite has Contents.
    lists: Option<Box<dyn ObjectStore>>,
    /// Every file but Contents, made again from the records, where a block was gone.
    again: OnceLock<Fold>,
    /// The same with Contents, where a block of those was gone.
    again_with_contents: OnceLock<Fold>,
    /// Every pool file that the indices name, where somebody asked: all records are read for that.
    pool: OnceLock<BTreeMap<PoolPath, Pointer>>,
}

impl Edition {
    /// Folds the suite at a commit, starting from the last Release on the branch.
    pub(super) fn at(
        request: &DistsRequest,
        places: &Places<'_>,
        base: Oid,
        date: Timestamp,
        branch: &Branch,
        listener: Listener<'_>,
    ) -> Result<Self, PublishError> {
        let open = places.open;
        let snapshot = open.repository.snapshot(base)?;
        let archive = open.configuration(&snapshot)?;
        let codename = request.codename.clone();
        listener(Event::Detail(format!("folding {codename} at {base}")));
        let blocks = places.store.beside(KIND).map_or_else(|| open.derived(&archive, KIND), Ok)?;
        let contents = archive.suite(&codename).is_some_and(|suite| suite.contents);
        let lists = contents.then(|| open.lists(&archive, places.store)).transpose()?;
        let bytes = bytes(blocks.as_ref(), lists.as_deref(), places, !request.dry_run);
        let unvouched = branch.ends_unvouched();
        if unvouched {
            listener(Event::Warning(passed_over(&codename, branch)));
        }
        let start = branch.start(&open.repository, &codename)?;
        let from_records = matches!(start, Start::Cuts(_));
        let (last, policy) = match start {
            Start::Cuts(last) => (Some(last), None),
            start => {
                let last = start.vouched();
                let policy = last.as_ref().and_then(|last| last.record.provenance);
                (nearest(request, places, &archive, &snapshot.oid_of(&format!("suites/{codename}"))?, last)?, policy)
            }
        };
        // Contents that are due may have been made from an older commit than the rest.
        let last = match last {
            Some(last) if contents => Some(stage::with_earlier(&open.repository, last)?),
            last => last,
        };
        let wanted = Wanted { repack: request.repack, now: date, from_records, ..Wanted::default() };
        let asked = Asked { codename: &codename, snapshot: &snapshot, archive: &archive };
        let provenance = suite::check(open, asked, &snapshot, last.as_ref(), places.store)?;
        let mut fold = fold(&open.repository, &snapshot, &archive, &codename, last.as_ref(), &bytes, wanted)?;
        fold.record.provenance = provenance;
        let other_policy = policy != provenance;
        let known = || archive.suites.keys().cloned().collect();
        let suite = archive.suite(&codename).ok_or_else(|| FoldError::NoSuite { codename: codename.clone(), known: known() })?;
        let release = Release::new(&archive.archive, &codename, suite, date, fold.listed.clone());
        let keyring = open.keyring(&snapshot)?;
        let certificates = open.signing_certificates(&snapshot, &archive)?;
        let mut signers: Vec<String> = certificates.iter().map(|(_, certificate)| certificate.fingerprint()).collect();
        signers.sort();
        signers.dedup();
        let refused = certificates.iter().filter_map(|(path, certificate)| Some((path, certificate.may_sign(request.now).err()?)));
        let refused_signers = refused.map(|(path, refusal)| format!("{path}: clients may refuse the archive: {refusal}")).collect();
        let certificates = certificates.into_iter().map(|(_, certificate)| certificate).collect();
        let (again, again_with_contents, pool) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Ok(Self {
            archive,
            fold,
            base,
            release,
            keyring,
            signers,
            certificates,
            refused_signers,
            other_policy,
            unvouched,
            codename,
            blocks,
            lists,
            again,
            again_with_contents,
            pool,
        })
    }

    /// Judges the provenance of what is to be served by the newest commit, which may have another policy than the one that was folded.
    /// A key vouches for what is staged.
    ///
    /// # Errors
    /// The suite requires provenance by now that records have not.
    pub(super) fn judge_by_tip(&self, places: &Places<'_>, staged: &Staged) -> Result<(), PublishError> {
        let (open, tip) = (places.open, places.open.tip()?);
        if tip.commit() == self.base {
            return Ok(());
        }
        let archive = open.configuration(&tip)?;
        let asked = Asked { codename: &self.codename, snapshot: &tip, archive: &archive };
        if !asked.requires() {
            return Ok(());
        }
        let records = open.repository.snapshot(self.base)?;
        let last = stage::folded(&open.repository, &self.codename, staged)?;
        suite::check(open, asked, &records, last.as_ref(), places.store)?;
        Ok(())
    }

    /// Gives the Release another date.
    pub(super) fn date(&mut self, date: Timestamp, codename: &Codename) {
        self.release.date = date;
        self.release.valid_until = self.archive.suite(codename).and_then(|suite| suite.valid_for).map(|span| date.plus(span));
    }

    /// Returns the bytes of a file that Release lists.
    pub(super) fn content(&self, places: &Places<'_>, path: &str) -> Result<Arc<Vec<u8>>, PublishError> {
        let bytes = Bytes::new(self.blocks.as_ref(), places.cache, false);
        match self.fold.content(path, &bytes) {
            Err(gone @ FoldError::Gone { .. }) => {
                let kept = if fold::is_contents(path) { &self.again_with_contents } else { &self.again };
                let again = match kept.get() {
                    Some(again) => again,
                    None => {
                        let again = self.again(places, path)?;
                        kept.get_or_init(|| again)
                    }
                };
                // Another compressor makes other bytes, which are not those that Release lists.
                let made = again.content(path, &bytes)?;
                let same = self.release.files.get(path).is_some_and(|listed| listed.sha256 == Sha256::of(made.as_slice()));
                if same { Ok(made) } else { Err(gone.into()) }
            }
            content => Ok(content?),
        }
    }

    /// Returns the bytes of a patch, which lies beside the blocks; `None` where it is gone: that costs clients the whole index once,
    /// and nothing else.
    pub(super) fn patch(&self, places: &Places<'_>, path: &str, pointer: &Pointer) -> Option<Arc<Vec<u8>>> {
        let made = self.fold.made.get(path).cloned();
        made.or_else(|| Bytes::new(self.blocks.as_ref(), places.cache, false).compressed(&pointer.oid, pointer.size).map(Arc::new))
    }

    fn again(&self, places: &Places<'_>, path: &str) -> Result<Fold, PublishError> {
        let snapshot = places.open.repository.snapshot(self.base)?;
        let last = Last {
            base: self.base,
            codename: self.codename.clone(),
            record: self.fold.record.clone(),
            sheets: self.fold.sheets.clone(),
            listed: self.fold.listed.clone(),
            lists: self.fold.lists.clone(),
            commit: None,
            earlier: None,
            own: None,
        };
        let bytes = bytes(self.blocks.as_ref(), self.lists.as_deref(), places, true);
        Ok(fold(&places.open.repository, &snapshot, &self.archive, &self.codename, Some(&last), &bytes, Wanted::again_for(path))?)
    }

    /// Returns the pool files that the indices name: those among `changed`, or all where that is not known.
    pub(super) fn pool(
        &self,
        places: &Places<'_>,
        changed: Option<&BTreeSet<String>>,
    ) -> Result<Cow<'_, BTreeMap<PoolPath, Pointer>>, PublishError> {
        let repository = &places.open.repository;
        let snapshot = repository.snapshot(self.base)?;
        let Some(changed) = changed else {
            let whole = match self.pool.get() {
                Some(whole) => whole,
                None => {
                    let whole = fold::whole_pool(repository, &snapshot, &self.codename)?;
                    self.pool.get_or_init(|| whole)
                }
            };
            return Ok(Cow::Borrowed(whole));
        };
        let sources: BTreeSet<SourceName> =
            changed.iter().filter_map(|path| path.parse::<PoolPath>().ok()).map(|path| path.source().clone()).collect();
        let mut files = fold::files_of(repository, &snapshot, &self.codename, &sources)?;
        files.retain(|path, _| changed.contains(&path.to_string()));
        Ok(Cow::Owned(files))
    }
}

/// Says that the branch ends with something for which no key vouches, and what is made of that.
fn passed_over(codename: &Codename, branch: &Branch) -> String {
    match (&branch.last, branch.vouched) {
        (Some(last), true) => {
            let number = last.inputs.sequence;
            format!(
                "no key of the archive vouches for what ddb/releases/{codename} ends with (recorded.asc): it is left behind, and Release {number} is followed"
            )
        }
        _ => format!(
            "no key of the archive vouches for what the last Release of {codename} left to start from (recorded.asc): everything is made from the records"
        ),
    }
}

/// Returns the places of blocks, of file lists where there are any, and of packages.
fn bytes<'a>(blocks: &'a dyn ObjectStore, lists: Option<&'a dyn ObjectStore>, places: &Places<'a>, keeps: bool) -> Bytes<'a> {
    let bytes = Bytes::new(blocks, places.cache, keeps);
    match lists {
        Some(lists) => bytes.with_lists(lists, places.store),
        None => bytes,
    }
}

/// Returns what to start from: the newest Release of this suite, or that of another suite whose records were the same as this
/// one's are now, so that a suite that was copied takes over everything that was made for the other. The suite's own is kept beside
/// that, for Contents.
fn nearest(
    request: &DistsRequest,
    places: &Places<'_>,
    archive: &Archive,
    records: &Option<Oid>,
    own: Option<Last>,
) -> Result<Option<Last>, PublishError> {
    let repository = &places.open.repository;
    let records_of =
        |last: &Last| repository.snapshot(last.base).and_then(|base| base.oid_of(&format!("suites/{}", last.codename))).ok().flatten();
    if records.is_none() || own.as_ref().is_some_and(|own| records_of(own) == *records) {
        return Ok(own);
    }
    for codename in archive.suites.keys().filter(|codename| **codename != request.codename) {
        // What cannot be read vouches for nothing.
        let Ok(Some(staged)) = stage::newest(repository, codename) else { continue };
        let Ok(Some(other)) = stage::folded(repository, codename, &staged) else { continue };
        if records_of(&other) == *records && places.trust(request).read(codename, staged.commit)?.is_some() {
            let own = own.map(|own| stage::with_earlier(repository, own)).transpose()?.map(Box::new);
            return Ok(Some(Last { own, ..other }));
        }
    }
    Ok(own)
}
