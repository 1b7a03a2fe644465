//! The plan of a publish: what the published tree lacks, as ordered steps; and what is old enough to be removed.
//!
//! The tree is never listed. A local one is asked for sizes and digests; of one behind a network, what is known (`known`) is
//! not asked for at all, and what nobody can have written yet is written without a look.

use std::collections::{BTreeMap, BTreeSet};

use super::known::{self, Known};
use super::stage::{self, Signatures, Staged};
use super::{DistsRequest, Edition, Places, PublishError};
use crate::formats::client;
use crate::formats::index::object_path;
use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::formats::release::{Release, by_hash_paths};
use crate::formats::suite::checks::RecordProblem;
use crate::places::lanes::{LANES, in_lanes};
use crate::places::store::Intent;
use crate::places::target::plan::{Class, Plan, Step};
use crate::places::target::{Content, PublishTarget, TargetError};
use crate::words::archive::{Archive, Suite};
use crate::words::digest::ObjectId;

/// The keyring's path in the published tree.
pub const KEYRING: &str = "archive-keyring.asc";

/// Returns the sources stanza.
pub(super) fn stanza(request: &DistsRequest, edition: &Edition) -> String {
    let suite = edition.archive.suite(&request.codename);
    suite.map(|suite| stanza_of(request, suite, &edition.keyring)).unwrap_or_default()
}

/// Returns the sources stanza of a suite with this keyring.
pub(super) fn stanza_of(request: &DistsRequest, suite: &Suite, keyring: &str) -> String {
    client::sources_stanza(&request.address, &request.codename, suite, keyring)
}

/// A step that is needed unless the tree has its content already.
struct Wanted {
    step: Step,
    pointer: Pointer,
    known: bool,
}

impl Wanted {
    /// Of these bytes, which stand at `origin` too where that is given.
    fn new(class: Class, path: String, bytes: &[u8], known: bool, origin: Option<&str>) -> Self {
        let pointer = Pointer { oid: ObjectId::of(bytes), size: bytes.len() as u64 };
        let content = origin.map_or_else(|| Content::Bytes(bytes.to_vec()), |origin| Content::SameAs(origin.to_owned(), pointer));
        Self { step: Step { class, path, content: Some(content) }, pointer, known }
    }

    fn bytes(class: Class, path: String, bytes: &[u8], known: bool) -> Self {
        Self::new(class, path, bytes, known, None)
    }

    /// Tells whether the tree has the content already.
    fn is_there(&self, target: &dyn PublishTarget, known: &Known) -> Result<bool, TargetError> {
        let path = &self.step.path;
        match (target.is_remote(), self.known) {
            (true, true) => Ok(true),
            (true, false) if known.writes_unseen() => Ok(false),
            // Looking costs little here, and files that somebody removed come back.
            (false, true) if self.step.class == Class::Pool => Ok(target.size(path)? == Some(self.pointer.size)),
            _ => target.holds(path, &self.pointer),
        }
    }
}

/// Returns the steps that bring the tree to this Release; `fresh` says that this run has staged it.
pub(super) fn publish(
    request: &DistsRequest,
    places: &Places<'_>,
    edition: &Edition,
    signatures: &Signatures,
    fresh: bool,
) -> Result<Plan, PublishError> {
    let known = Known::of(request, places, edition, fresh)?;
    let mut wanted = pool(places, edition, |path| known.pool(path));
    let root = format!("dists/{}", request.codename);
    for (path, bytes) in &edition.fold.contents {
        let Some(listed) = edition.release.files.get(path) else { continue };
        let mut first = None;
        if edition.release.acquire_by_hash {
            for name in by_hash_paths(path, listed) {
                let name = format!("{root}/{name}");
                wanted.push(Wanted::new(Class::ByHash, name.clone(), bytes, known.by_hash(path, listed), first.as_deref()));
                first.get_or_insert(name);
            }
        }
        wanted.push(Wanted::new(Class::Index, format!("{root}/{path}"), bytes, known.index(path, listed), first.as_deref()));
    }
    let (release, stanza, signed) = (edition.release.text(), stanza(request, edition), known.signatures(signatures));
    wanted.extend([
        Wanted::bytes(Class::Client, KEYRING.to_owned(), edition.keyring.as_bytes(), known.keyring()),
        Wanted::bytes(Class::Client, format!("{}.sources", request.codename), stanza.as_bytes(), known.stanza(&stanza)),
        Wanted::bytes(Class::Signature, format!("{root}/Release.gpg"), &signatures.detached, signed),
        Wanted::bytes(Class::Release, format!("{root}/Release"), release.as_bytes(), known.release(&release)),
        Wanted::bytes(Class::InRelease, format!("{root}/InRelease"), &signatures.in_release, signed),
    ]);
    Ok(Plan::new(lacking(places, &known, wanted)?))
}

/// Returns the steps whose content the tree does not have.
fn lacking(places: &Places<'_>, known: &Known, wanted: Vec<Wanted>) -> Result<Vec<Step>, TargetError> {
    let target = places.target;
    let there = in_lanes(target.lanes(), &wanted, |wanted| wanted.is_there(target, known))?;
    Ok(wanted.into_iter().zip(there).filter(|(_, there)| !there).map(|(wanted, _)| wanted.step).collect())
}

/// Returns the pool files that the indices name, or their objects where the indices name those; none where the objects lie in
/// the tree by themselves.
fn pool(places: &Places<'_>, edition: &Edition, known: impl Fn(&PoolPath) -> bool) -> Vec<Wanted> {
    let objects = edition.archive.target.objects_below(&edition.archive.store);
    if objects.is_some() && places.target.is_remote() {
        return Vec::new();
    }
    let wanted = edition.fold.pool.iter().map(|(path, pointer)| {
        let name = objects.as_ref().map_or_else(|| path.to_string(), |objects| format!("{objects}/{}", object_path(&pointer.oid)));
        let step = Step { class: Class::Pool, path: name, content: Some(Content::Object(*pointer)) };
        Wanted { step, pointer: *pointer, known: known(path) }
    });
    wanted.collect()
}

/// Checks that the store has the object of every pool file that this publish is the first to bring.
pub(super) fn check_objects(request: &DistsRequest, places: &Places<'_>, edition: &Edition) -> Result<(), PublishError> {
    let mut new: Vec<(String, Pointer)> = Vec::new();
    if places.target.is_remote() {
        // Git says what is new; the tree is not asked twice for that.
        let last = stage::last_served(&places.open.repository, &request.codename)?.filter(|_| !request.repair);
        let since = last.map(|last| known::since(request, places, edition, &last)).transpose()?;
        let brought = edition.fold.pool.iter().filter(|(path, _)| since.as_ref().is_none_or(|since| !since.same(path)));
        new.extend(brought.map(|(path, pointer)| (path.to_string(), *pointer)));
    } else {
        let known = Known::of(request, places, edition, false)?;
        let steps = lacking(places, &known, pool(places, edition, |path| known.pool(path)))?;
        new.extend(steps.into_iter().filter_map(|step| match step.content {
            Some(Content::Object(pointer)) => Some((step.path, pointer)),
            _ => None,
        }));
    }
    let store = places.store;
    let pointers: Vec<Pointer> = new.iter().map(|(_, pointer)| *pointer).collect();
    let failed = |source| TargetError::Object { path: "pool".to_owned(), source: Box::new(source) };
    store.announce(Intent::Open, &pointers).map_err(failed)?;
    let sizes = in_lanes(LANES, &new, |(path, pointer)| {
        store.size(&pointer.oid).map_err(|source| TargetError::Object { path: path.clone(), source: Box::new(source) })
    })?;
    let lost = new.into_iter().zip(sizes).filter(|((_, pointer), size)| *size != Some(pointer.size));
    let problem = |((path, pointer), _): ((String, Pointer), _)| {
        let store = store.describe();
        RecordProblem { path, fault: format!("its object {} is not in {store}; fetch it, or deploy that build output again", pointer.oid) }
    };
    let problems: Vec<RecordProblem> = lost.map(problem).collect();
    if problems.is_empty() { Ok(()) } else { Err(PublishError::Objects { problems }) }
}

/// The end of what no client needs any more.
pub(super) struct Sweep {
    /// The removals.
    pub(super) plan: Plan,
    /// Everything up to this Release is swept when they are done.
    pub(super) swept: u64,
}

/// Returns the removal of by-hash files that no Release names which is among the newest or was current lately. That is told by
/// the recorded Releases alone: what earlier publishes swept is recorded with the last served one and not swept again.
pub(super) fn removals(request: &DistsRequest, places: &Places<'_>, archive: &Archive, newest: &Staged) -> Result<Sweep, PublishError> {
    let repository = &places.open.repository;
    let before = stage::last_served(repository, &request.codename)?.and_then(|last| last.signatures).map_or(0, |last| last.served.swept);
    let mut sweep = Sweep { plan: Plan::default(), swept: before };
    let before = if request.repair { 0 } else { before };
    let Some(suite) = archive.suite(&request.codename) else { return Ok(sweep) };
    let mut kept: BTreeSet<String> = names(&newest.parsed).collect();
    let mut steps = BTreeMap::new();
    let (mut generation, mut over, mut replaced_at) = (1, false, request.now);
    let mut staged = stage::before(repository, &request.codename, newest)?;
    // Releases come newest first, so everything that is kept is known before the first one that is not.
    while let Some(current) = staged.filter(|current| current.inputs.sequence > before) {
        if let Some(signatures) = &current.signatures {
            generation += 1;
            let lately = replaced_at > request.now.minus(suite.keep_for);
            over |= generation > suite.keep_generations && !lately;
            replaced_at = signatures.served.at;
        }
        if over {
            sweep.swept = sweep.swept.max(current.inputs.sequence);
            let unnamed = names(&current.parsed).filter(|name| !kept.contains(name));
            steps.extend(
                unnamed
                    .map(|name| format!("dists/{}/{name}", request.codename))
                    .map(|path| (path.clone(), Step { class: Class::Removal, path, content: None })),
            );
        } else {
            kept.extend(names(&current.parsed));
        }
        staged = stage::before(repository, &request.codename, &current)?;
    }
    sweep.plan = Plan::new(steps.into_values().collect());
    Ok(sweep)
}

/// Returns the by-hash names of the files of a Release, without those of plain forms, which are listed and never written.
fn names(release: &Release) -> impl Iterator<Item = String> + '_ {
    let is_plain = |path: &str| [".gz", ".xz", ".zst"].iter().any(|suffix| release.files.contains_key(&format!("{path}{suffix}")));
    release.files.iter().filter(move |(path, _)| !is_plain(path)).flat_map(|(path, listed)| by_hash_paths(path, listed))
}
