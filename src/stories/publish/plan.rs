//! The plan of a publish: what the published tree lacks, as ordered steps. What is old enough to be removed is told by `sweep`.
//!
//! The tree is never listed. A local one is asked for sizes and digests; of one behind a network, what is known (`known`) is
//! not asked for at all, and what nobody can have written yet is written without a look.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::known::Known;
use super::since::since;
use super::stage::{LastServed, Proofs, Signatures};
use super::stanza::{KEYRING, stanza};
use super::{DistsRequest, Edition, Places, PublishError, left, twin};
use crate::formats::index::object_path;
use crate::formats::pool::pointer::Pointer;
use crate::formats::release::by_hash_paths;
use crate::formats::suite::checks::RecordProblem;
use crate::places::lanes::{LANES, in_lanes};
use crate::places::store::{Intent, ObjectStore};
use crate::places::target::plan::{Class, Plan, Step};
use crate::places::target::{Content, PublishTarget, TargetError};
use crate::stories::fold::patches;
use crate::words::digest::{ObjectId, Sha256};

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
    // What was staged just now follows whatever clients have.
    let other = known.found.as_ref().filter(|found| !fresh && **found != signatures.in_release);
    if let Some(date) = other.map(|found| left::unknown(request, places, found)).transpose()?.flatten() {
        return Err(PublishError::SetBack { codename: request.codename.clone(), date });
    }
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
    let LastServed::Release(last) = places.trust(request).served(&request.codename)? else { return Ok(None) };
    Ok(since(request, places, edition, (&request.codename, &last))?.pool)
}
