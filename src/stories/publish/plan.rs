//! The plan of a publish: what the published tree lacks, as ordered steps; and what is old enough to be removed.
//!
//! The tree is never listed. A local one is asked for sizes and digests; of one behind a network, what is known (`known`) is
//! not asked for at all, and what nobody can have written yet is written without a look.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::known::Known;
use super::since::since;
use super::stage::{self, Proofs, Signatures, StageError, Staged};
use super::{DistsRequest, Edition, Places, PublishError, twin};
use crate::formats::client;
use crate::formats::index::object_path;
use crate::formats::pool::pointer::Pointer;
use crate::formats::release::{Release, by_hash_paths};
use crate::formats::suite::checks::RecordProblem;
use crate::places::git::Repository;
use crate::places::git::remote::Depth;
use crate::places::lanes::{LANES, in_lanes};
use crate::places::store::{Intent, ObjectStore};
use crate::places::target::plan::{Class, Plan, Step};
use crate::places::target::{Content, PublishTarget, TargetError};
use crate::stories::archive::OpenError;
use crate::stories::fold::patches;
use crate::words::archive::{Archive, LogKind, Suite};
use crate::words::digest::{ObjectId, Sha256};

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
    class: Class,
    path: String,
    origin: Origin,
    pointer: Pointer,
    known: bool,
}

/// Where the content of a step comes from.
enum Origin {
    /// From memory.
    Bytes(Vec<u8>),
    /// From the fold: the file that Release lists under this name.
    Listed(String),
    /// From the fold or the store of blocks: the patch of this name.
    Patch(String),
    /// From the object store.
    Object,
    /// From another path of the tree.
    SameAs(String),
}

impl Wanted {
    fn bytes(class: Class, path: String, bytes: &[u8], known: bool) -> Self {
        let pointer = Pointer { oid: ObjectId::of(bytes), size: bytes.len() as u64 };
        Self { class, path, origin: Origin::Bytes(bytes.to_vec()), pointer, known }
    }

    /// Tells whether the tree has the content already.
    fn is_there(&self, target: &dyn PublishTarget, store: &dyn ObjectStore, known: &Known) -> Result<bool, TargetError> {
        let object = matches!(self.origin, Origin::Object).then(|| store.local_path(&self.pointer.oid)).flatten();
        if object.is_some_and(|object| target.is_link_to(&self.path, &object)) {
            return Ok(target.size(&self.path)? == Some(self.pointer.size));
        }
        match (target.is_remote(), self.known) {
            (true, true) => Ok(true),
            (true, false) if known.writes_unseen() => Ok(false),
            // Looking costs little here, and files that somebody removed come back.
            (false, true) => Ok(target.size(&self.path)? == Some(self.pointer.size)),
            _ => target.holds(&self.path, &self.pointer),
        }
    }

    /// Returns the step, with its content; none for a patch that is gone.
    fn step(self, places: &Places<'_>, edition: &Edition) -> Result<Option<Step>, PublishError> {
        let content = match self.origin {
            Origin::Bytes(bytes) => Content::Bytes(Arc::new(bytes)),
            Origin::Listed(name) => Content::Bytes(edition.content(places, &name)?),
            Origin::Patch(name) => match edition.patch(places, &name, &self.pointer) {
                Some(bytes) => Content::Bytes(bytes),
                None => return Ok(None),
            },
            Origin::Object => Content::Object(self.pointer),
            Origin::SameAs(path) => Content::SameAs(path, self.pointer),
        };
        Ok(Some(Step { class: self.class, path: self.path, content: Some(content) }))
    }
}

/// What clients get with a Release.
pub(super) struct With<'a> {
    pub(super) signatures: &'a Signatures,
    /// The proofs that lie beside it.
    pub(super) proofs: &'a Proofs,
    /// The proofs that its history by checksum has for ever: the first that were kept.
    pub(super) first: &'a Proofs,
}

/// Returns the steps that bring the tree to this Release; `fresh` says that this run has staged it.
pub(super) fn publish(
    request: &DistsRequest,
    places: &Places<'_>,
    edition: &Edition,
    With { signatures, proofs, first }: With<'_>,
    fresh: bool,
) -> Result<Plan, PublishError> {
    let known = Known::of(request, places, edition, fresh)?;
    let mut wanted = pool(places, edition, known.pool())?;
    let root = format!("dists/{}", request.codename);
    for (path, listed) in edition.release.files.iter().filter(|(path, _)| edition.fold.is_written(path)) {
        let pointer = Pointer { oid: listed.sha256, size: listed.size };
        let mut first: Option<String> = None;
        let mut want = |class, name: String, known| {
            let origin = first.clone().map_or_else(|| Origin::Listed(path.clone()), Origin::SameAs);
            first.get_or_insert_with(|| name.clone());
            wanted.push(Wanted { class, path: name, origin, pointer, known });
        };
        if edition.release.acquire_by_hash {
            for name in by_hash_paths(path, listed) {
                want(Class::ByHash, format!("{root}/{name}"), known.by_hash(path, listed));
            }
        }
        want(Class::Index, format!("{root}/{path}"), known.index(path, listed));
    }
    for (path, pointer) in patches(&edition.fold.sheets) {
        let known = known.patch(&path, &pointer);
        let origin = Origin::Patch(path.clone());
        wanted.push(Wanted { class: Class::ByHash, path: format!("{root}/{path}"), origin, pointer, known });
    }
    let (release, stanza, signed) = (edition.release.text(), stanza(request, edition), known.signatures(signatures));
    wanted.extend([
        Wanted::bytes(Class::Client, KEYRING.to_owned(), edition.keyring.as_bytes(), known.keyring()),
        Wanted::bytes(Class::Client, format!("{}.sources", request.codename), stanza.as_bytes(), known.stanza(&stanza)),
        Wanted::bytes(Class::Signature, format!("{root}/Release.gpg"), &signatures.detached, signed),
        Wanted::bytes(Class::Release, format!("{root}/Release"), release.as_bytes(), known.release(&release)),
        Wanted::bytes(Class::InRelease, format!("{root}/InRelease"), &signatures.in_release, signed),
    ]);
    let history = history(&root, release.as_bytes());
    let known_of = |kind, proof: &[u8]| known.proof(&release, kind, proof);
    for (kind, proof) in proofs {
        let known = known_of(*kind, proof);
        wanted.push(Wanted::bytes(Class::Signature, format!("{root}/{}", kind.file()), proof, known));
        let proof = first.get(kind).unwrap_or(proof);
        let known = known_of(*kind, proof);
        wanted.push(Wanted::bytes(Class::ByHash, format!("{history}.{}", kind.ending()), proof, known));
    }
    if let Some((kind, proof)) = proofs.first_key_value() {
        let known = known_of(*kind, proof);
        wanted.push(Wanted::bytes(Class::ByHash, format!("{history}.release"), release.as_bytes(), known));
    }
    let steps = lacking(places, &known, wanted)?.into_iter().filter_map(|wanted| wanted.step(places, edition).transpose());
    Ok(Plan::new(steps.collect::<Result<_, _>>()?))
}

/// Returns what the names of a logged Release and its proofs in the history begin with, which is never overwritten or removed:
/// `dists/<codename>/tlog/<sha256 of Release>`.
pub fn history(root: &str, release: &[u8]) -> String {
    format!("{root}/tlog/{}", Sha256::of(release))
}

/// Returns those whose content the tree does not have.
fn lacking(places: &Places<'_>, known: &Known, wanted: Vec<Wanted>) -> Result<Vec<Wanted>, TargetError> {
    let (target, store) = (places.target, places.store);
    let there = in_lanes(target.lanes(), &wanted, |wanted| wanted.is_there(target, store, known))?;
    Ok(wanted.into_iter().zip(there).filter(|(_, there)| !there).map(|(wanted, _)| wanted).collect())
}

/// Returns the pool files that the indices name, or their objects where the indices name those, but for those that are known to
/// be in the tree; none where the objects lie in the tree by themselves.
fn pool(places: &Places<'_>, edition: &Edition, changed: Option<&BTreeSet<String>>) -> Result<Vec<Wanted>, PublishError> {
    let objects = edition.archive.target.objects_below(&edition.archive.store);
    if objects.is_some() && places.target.is_remote() {
        return Ok(Vec::new());
    }
    let files = edition.pool(places, changed)?;
    let wanted = files.iter().map(|(path, pointer)| {
        let name = objects.as_ref().map_or_else(|| path.to_string(), |objects| format!("{objects}/{}", object_path(&pointer.oid)));
        Wanted { class: Class::Pool, path: name, origin: Origin::Object, pointer: *pointer, known: false }
    });
    Ok(wanted.collect())
}

/// Checks that the store has the object of every pool file that this publish is the first to bring.
pub(super) fn check_objects(request: &DistsRequest, places: &Places<'_>, edition: &Edition) -> Result<(), PublishError> {
    let mut new: Vec<(String, Pointer)> = Vec::new();
    if places.target.is_remote() {
        // Git says what is new; the tree is not asked twice for that.
        let since = if request.repair { None } else { brought_since(request, places, edition)? };
        let brought = edition.pool(places, since.as_ref())?;
        new.extend(brought.iter().map(|(path, pointer)| (path.to_string(), *pointer)));
    } else {
        let known = Known::of(request, places, edition, false)?;
        let lacking = lacking(places, &known, pool(places, edition, known.pool())?)?;
        new.extend(lacking.into_iter().map(|wanted| (wanted.path, wanted.pointer)));
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

/// Returns the pool files that this publish may be the first to bring, as far as Git tells; `None` where that may be any.
fn brought_since(request: &DistsRequest, places: &Places<'_>, edition: &Edition) -> Result<Option<BTreeSet<String>>, PublishError> {
    if let Some(pool) = twin::pool(request, places, edition)? {
        return Ok(Some(pool));
    }
    let Some(last) = stage::last_served(&places.open.repository, &request.codename)? else { return Ok(None) };
    Ok(since(places, edition, (&request.codename, &last))?.pool)
}

/// The end of what no client needs any more.
pub(super) struct Sweep {
    /// The removals.
    pub(super) plan: Plan,
    /// Everything up to this Release is swept when they are done.
    pub(super) swept: u64,
}

/// Returns the removal of proofs that the new Release does not have, and of by-hash files that no Release names which is among the
/// newest or was current lately. The latter is told by the recorded Releases alone: what earlier publishes swept is recorded with
/// the last served one and not swept again.
pub(super) fn removals(
    request: &DistsRequest,
    places: &Places<'_>,
    archive: &Archive,
    newest: &Staged,
    proofs: &Proofs,
) -> Result<Sweep, PublishError> {
    let repository = &places.open.repository;
    let before = stage::last_served(repository, &request.codename)?.and_then(|last| last.signatures).map_or(0, |last| last.served.swept);
    let mut sweep = Sweep { plan: Plan::default(), swept: before };
    let before = if request.repair { 0 } else { before };
    let Some(suite) = archive.suite(&request.codename) else { return Ok(sweep) };
    let mut kept: BTreeSet<String> = names(places, request, newest)?.into_iter().collect();
    let mut steps = BTreeMap::new();
    let (mut generation, mut over, mut replaced_at) = (1, false, request.now);
    // Releases come newest first, so everything that is kept is known before the first one that is not.
    for current in earlier(request, places, newest, before)? {
        if let Some(signatures) = &current.signatures {
            generation += 1;
            let lately = replaced_at > request.now.minus(suite.keep_for);
            over |= generation > suite.keep_generations && !lately;
            replaced_at = signatures.served.at;
        }
        if !over {
            kept.extend(names(places, request, &current)?);
            continue;
        }
        sweep.swept = sweep.swept.max(current.inputs.sequence);
        for path in names(places, request, &current)?
            .into_iter()
            .filter(|name| !kept.contains(name))
            .map(|name| format!("dists/{}/{name}", request.codename))
        {
            steps.insert(path.clone(), Step { class: Class::Removal, path, content: None });
        }
    }
    // A proof of a Release before, under its plain name: of the last one, or of an older one where a removal failed.
    let last = stage::last_served(repository, &request.codename)?.map(|last| last.proofs).unwrap_or_default();
    // An archive that never had a log pays no requests for it.
    let looked_for = |kind: LogKind| {
        let named = match kind {
            LogKind::Sigsum => archive.logs.sigsum.is_some(),
            LogKind::Sigstore => archive.logs.sigstore.is_some(),
        };
        named || request.repair || !places.target.is_remote()
    };
    for kind in LogKind::ALL.into_iter().filter(|kind| !proofs.contains_key(kind)) {
        let path = format!("dists/{}/{}", request.codename, kind.file());
        // The new Release is what clients see by now. Some buckets deny a look at what is not there.
        let there = || places.target.size(&path).is_ok_and(|size| size.is_some());
        if last.contains_key(&kind) || (looked_for(kind) && there()) {
            steps.insert(path.clone(), Step { class: Class::Removal, path, content: None });
        }
    }
    sweep.plan = Plan::new(steps.into_values().collect());
    Ok(sweep)
}

/// Returns the Releases between this one and the last that was swept, newest first. Where a shallow clone ends before, the rest is
/// fetched: what a fresh runner does not see would never be removed.
fn earlier(request: &DistsRequest, places: &Places<'_>, newest: &Staged, swept: u64) -> Result<Vec<Staged>, PublishError> {
    let codename = &request.codename;
    let walk = |repository: &Repository| -> Result<Vec<Staged>, StageError> {
        let mut found = Vec::new();
        let mut staged = stage::before(repository, codename, newest)?;
        while let Some(current) = staged.filter(|current| current.inputs.sequence > swept) {
            staged = stage::before(repository, codename, &current)?;
            found.push(current);
        }
        Ok(found)
    };
    let repository = &places.open.repository;
    let found = walk(repository)?;
    let oldest = found.last().map_or(newest.inputs.sequence, |oldest| oldest.inputs.sequence);
    let Some(remote) = places.open.remote.as_ref().filter(|_| oldest > swept + 1) else { return Ok(found) };
    // One that is staged, one that keeps proofs, one that is served.
    let commits = u32::try_from(3 * (newest.inputs.sequence - swept) + 2).unwrap_or(u32::MAX);
    let _held = repository.hold_remote()?;
    remote.fetch_to(&[&stage::branch(codename)], Depth::Commits(commits)).map_err(OpenError::Remote)?;
    Ok(walk(&Repository::open(repository.git_dir())?)?)
}

/// Returns the names that mean the files of one Release alone: by-hash, without those of plain forms, which are listed and never
/// written, and patches.
fn names(places: &Places<'_>, request: &DistsRequest, staged: &Staged) -> Result<Vec<String>, PublishError> {
    let recorded = stage::recorded(&places.open.repository, &request.codename, staged.commit)?;
    let patches = recorded.map(|(_, sheets)| patches(&sheets)).unwrap_or_default();
    Ok(by_hash_names(&staged.parsed).chain(patches.into_keys()).collect())
}

fn by_hash_names(release: &Release) -> impl Iterator<Item = String> + '_ {
    release.files.iter().filter(|(path, _)| !release.is_listed_only(path)).flat_map(|(path, listed)| by_hash_paths(path, listed))
}
