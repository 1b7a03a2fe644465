//! `ddb-deploy fsck`: whether pointers, records, objects and published files still agree.
//!
//! Looks and changes nothing. Every finding names the file and says what it means; with `full`, every object and every
//! published pool file is hashed again, and every record is compared with its package.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

use crate::formats::git_lfs::lfsconfig;
use crate::formats::index::object_path;
use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::formats::release::{Listed, by_hash_paths};
use crate::formats::suite::checks::{self, RecordProblem};
use crate::formats::suite::place::RecordPlace;
use crate::places::digest_of;
use crate::places::git::GitError;
use crate::places::git::read::{RecordEntry, Snapshot, read_blobs};
use crate::places::lanes::{LANES, in_lanes};
use crate::places::store::{Intent, Listing, ObjectStore, StoreError, Stored, in_parallel};
use crate::places::target::{PublishTarget, TargetError};
use crate::stories::archive::{OpenArchive, OpenError};
use crate::stories::event::{Event, Listener};
use crate::stories::fold::patches;
use crate::stories::lfs;
use crate::stories::provenance::Objects;
use crate::stories::publish::history;
use crate::stories::publish::stage::{self, StageError};
use crate::words::archive::Archive;
use crate::words::date::Timestamp;
use crate::words::digest::{ExtraDigests, FileFacts, ObjectId};
use crate::words::name::{Codename, SourceName};

/// What is looked at.
#[derive(Debug, Clone)]
pub struct FsckRequest {
    /// A folder in the archive repository.
    pub archive: PathBuf,
    /// The branch, where it is not the one that HEAD points at.
    pub branch: Option<String>,
    /// The published tree, where it is not the configured one.
    pub target: Option<PathBuf>,
    /// Hash every object and every published pool file again.
    pub full: bool,
}

/// What was found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FsckAnswer {
    /// The commit that was looked at.
    pub commit: String,
    /// Pointers in the pool.
    pub pointers: usize,
    /// Records in all suites.
    pub records: usize,
    /// Objects in the store.
    pub objects: usize,
    /// Published files that were compared.
    pub published: usize,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Objects that no pointer of this commit names: of earlier commits, or of deploys that did not land. `null` where the store
    /// cannot be listed: then only the objects that pointers name were asked for.
    pub unreferenced_objects: Option<usize>,
}

/// What is wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Finding {
    /// What kind of file.
    pub kind: FindingKind,
    /// The file.
    pub path: String,
    /// What is wrong and what to do.
    pub fault: String,
}

/// What kind of file is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// A file in `pool/` of the repository.
    Pointer,
    /// A file in `suites/` of the repository.
    Record,
    /// An object.
    Object,
    /// A file of the published tree.
    Published,
    /// A file that configures other programs.
    Configuration,
}

/// Why nothing could be looked at.
#[derive(Debug, thiserror::Error)]
pub enum FsckError {
    /// The archive cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The published tree failed.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The branch of Releases is not usable.
    #[error(transparent)]
    Stage(#[from] StageError),
}

/// Looks at an archive.
///
/// # Errors
/// Something cannot be read at all; what is wrong with single files is in the answer.
pub fn fsck(request: &FsckRequest, listener: Listener<'_>) -> Result<FsckAnswer, FsckError> {
    let open = OpenArchive::open(&request.archive, request.branch.as_deref())?;
    let snapshot = open.tip()?;
    let archive = open.configuration(&snapshot)?;
    let store = open.store(&archive)?;
    let target = open.target(&archive, request.target.as_deref())?;
    let mut findings = Vec::new();
    if let Some(fault) = lfs::lfsconfig_fault(&snapshot, &archive)? {
        findings.push(Finding { kind: FindingKind::Configuration, path: lfsconfig::PATH.to_owned(), fault });
    }
    let pool = check_pool(&open, &snapshot, &mut findings)?;
    let records = check_records(&snapshot, &archive, &pool, &mut findings)?;
    let (objects, unreferenced_objects) = check_objects(store.as_ref(), &pool, request.full, listener, &mut findings)?;
    if request.full {
        check_packages(&open, &snapshot, &archive, store.as_ref(), listener, &mut findings)?;
    }
    let mut published = 0;
    for codename in archive.suites.keys() {
        published += check_published(&open, codename, target.as_ref(), request.full, &mut findings)?;
    }
    findings.sort();
    findings.dedup();
    Ok(FsckAnswer {
        commit: snapshot.commit().to_string(),
        pointers: pool.len(),
        records,
        objects,
        published,
        findings,
        unreferenced_objects,
    })
}

type Pool = BTreeMap<PoolPath, Pointer>;

fn check_pool(open: &OpenArchive, snapshot: &Snapshot<'_>, findings: &mut Vec<Finding>) -> Result<Pool, FsckError> {
    let blobs: Vec<_> = snapshot.pool()?.into_iter().collect();
    let read =
        read_blobs(&open.repository, &blobs, |_, bytes| Ok::<_, GitError>(Pointer::decode(bytes).map_err(|fault| fault.to_string())))?;
    let mut pool = Pool::new();
    for ((path, _), pointer) in blobs.into_iter().zip(read) {
        let mut wrong = |fault: String| findings.push(Finding { kind: FindingKind::Pointer, path: path.clone(), fault });
        match (path.parse::<PoolPath>(), pointer) {
            (Ok(path), Ok(pointer)) => drop(pool.insert(path, pointer)),
            (Err(fault), _) => wrong(fault.to_string()),
            (_, Err(fault)) => wrong(fault),
        }
    }
    Ok(pool)
}

fn check_records(snapshot: &Snapshot<'_>, archive: &Archive, pool: &Pool, findings: &mut Vec<Finding>) -> Result<usize, FsckError> {
    let mut count = 0;
    let kept: BTreeSet<(&SourceName, &Pointer)> = pool.iter().map(|(path, pointer)| (path.source(), pointer)).collect();
    for codename in archive.suites.keys() {
        let records = match snapshot.record_bytes(codename) {
            Ok(records) => records,
            Err(GitError::Content { path, fault, .. }) => {
                findings.push(Finding { kind: FindingKind::Record, path, fault });
                continue;
            }
            Err(fault) => return Err(fault.into()),
        };
        count += records.len();
        let problems: Vec<RecordProblem> = records
            .par_iter()
            .flat_map_iter(|(place, bytes)| record_problems(place, bytes, pool).into_iter().chain(lost_provenance(place, bytes, &kept)))
            .collect();
        findings.extend(problems.into_iter().map(|problem| Finding {
            kind: FindingKind::Record,
            path: problem.path,
            fault: problem.fault,
        }));
    }
    Ok(count)
}

fn record_problems(place: &RecordPlace, bytes: &[u8], pool: &Pool) -> Vec<RecordProblem> {
    let files = checks::read_at(place, bytes).and_then(|record| checks::files_named(place, &record));
    match files {
        Err(problem) => vec![problem],
        Ok(files) => files
            .iter()
            .filter(|(path, wanted)| pool.get(path) != Some(wanted))
            .map(|(path, wanted)| checks::disagreement(place, path, wanted, pool.get(path).map(|found| Ok(*found)).as_ref()))
            .collect(),
    }
}

/// Finds provenance that a record names and that is not kept among the files of its source.
fn lost_provenance(place: &RecordPlace, bytes: &[u8], kept: &BTreeSet<(&SourceName, &Pointer)>) -> Vec<RecordProblem> {
    let Ok(record) = checks::read_at(place, bytes) else { return Vec::new() };
    let lost = record.provenance.iter().chain(&record.claims).filter(|object| !kept.contains(&(&place.source, *object)));
    let fault = |object: &Pointer| {
        format!("it names the provenance {}, which no file of {} in the pool is; deploy that build output again", object.oid, place.source)
    };
    lost.map(|object| RecordProblem { path: place.to_string(), fault: fault(object) }).collect()
}

/// Compares records with the packages that they are about, where the objects are as they should be.
fn check_packages(
    open: &OpenArchive,
    snapshot: &Snapshot<'_>,
    archive: &Archive,
    store: &dyn ObjectStore,
    listener: Listener<'_>,
    findings: &mut Vec<Finding>,
) -> Result<(), FsckError> {
    let damaged: BTreeSet<String> =
        findings.iter().filter(|finding| finding.kind == FindingKind::Object).map(|finding| finding.path.clone()).collect();
    let (mut seen, mut records) = (BTreeSet::new(), Vec::new());
    for codename in archive.suites.keys() {
        // What cannot be read was said before. Suites have the same records where they offer the same packages.
        for RecordEntry { place, blob } in snapshot.records(codename).unwrap_or_default() {
            if seen.insert(blob) {
                records.push((open.repository.blob(blob, &place)?, place));
            }
        }
    }
    listener(Event::Begin { step: "comparing records with packages", parts: records.len() });
    let objects = Objects::of(store);
    let compare = |(bytes, place): &(Vec<u8>, RecordPlace)| {
        listener(Event::Part { name: place.to_string() });
        let Ok(record) = checks::read_at(place, bytes) else { return Ok(None) };
        if damaged.contains(&record.facts.sha256.to_hex()) {
            return Ok(None);
        }
        let fault = objects.disagreement(place, &record)?;
        Ok(fault.map(|fault| Finding { kind: FindingKind::Record, path: place.to_string(), fault }))
    };
    let found = in_parallel(store, || records.par_iter().map(compare).collect::<Result<Vec<_>, StoreError>>())?;
    listener(Event::End);
    findings.extend(found.into_iter().flatten());
    Ok(())
}

fn check_objects(
    store: &dyn ObjectStore,
    pool: &Pool,
    full: bool,
    listener: Listener<'_>,
    findings: &mut Vec<Finding>,
) -> Result<(usize, Option<usize>), FsckError> {
    let (Listing { objects, strangers }, listed) = match store.list() {
        Err(StoreError::Unlisted { .. }) => (ask_for_objects(store, pool, listener, findings)?, false),
        listing => (listing?, true),
    };
    for path in strangers {
        findings.push(Finding { kind: FindingKind::Object, path, fault: "it is no object; nothing refers to it".to_owned() });
    }
    let present: BTreeMap<ObjectId, u64> = objects.iter().map(|stored| (stored.oid, stored.size)).collect();
    let mut named: BTreeMap<ObjectId, (Pointer, &PoolPath)> = BTreeMap::new();
    for (path, pointer) in pool {
        named.entry(pointer.oid).or_insert((*pointer, path));
    }
    for (oid, (pointer, path)) in &named {
        let fault = match present.get(oid).copied() {
            None => format!("the object of {path} is missing; deploy that build output again, or restore the object from a backup"),
            Some(size) if size != pointer.size => {
                format!("it has {size} bytes, the pointer {path} says {}; deploy that build output again", pointer.size)
            }
            Some(_) => continue,
        };
        findings.push(Finding { kind: FindingKind::Object, path: oid.to_string(), fault });
    }
    if full {
        listener(Event::Begin { step: "hashing objects", parts: objects.len() });
        let hash = || -> Result<Vec<Option<Finding>>, StoreError> {
            let hashed = objects.par_iter().map(|stored| {
                let found = hash_object(store, &stored.oid)?;
                listener(Event::Part { name: stored.oid.to_string() });
                let of = named.get(&stored.oid).map(|(_, path)| format!(" (of {path})")).unwrap_or_default();
                Ok(found.map(|found| Finding {
                    kind: FindingKind::Object,
                    path: stored.oid.to_string(),
                    fault: format!("{found}{of}; remove it and deploy that build output again, or restore it from a backup"),
                }))
            });
            hashed.collect()
        };
        let wrong: Vec<Finding> = in_parallel(store, hash)?.into_iter().flatten().collect();
        listener(Event::End);
        findings.extend(wrong);
    }
    let unreferenced = listed.then(|| present.keys().filter(|oid| !named.contains_key(oid)).count());
    Ok((present.len(), unreferenced))
}

/// Returns the objects of the pool that a store has which cannot be listed.
fn ask_for_objects(
    store: &dyn ObjectStore,
    pool: &Pool,
    listener: Listener<'_>,
    findings: &mut Vec<Finding>,
) -> Result<Listing, StoreError> {
    let pointers: BTreeSet<Pointer> = pool.values().copied().collect();
    let pointers: Vec<Pointer> = pointers.into_iter().collect();
    listener(Event::Begin { step: "asking for objects", parts: pointers.len() });
    let mut listing = Listing::default();
    for chunk in pointers.chunks(1000) {
        store.announce(Intent::Open, chunk)?;
        let ask = |Pointer { oid, .. }: &Pointer| {
            let size = match store.size(oid) {
                Err(fault @ StoreError::OtherSize { .. }) => Err(fault.to_string()),
                size => Ok(size?),
            };
            listener(Event::Part { name: oid.to_string() });
            Ok((*oid, size))
        };
        for (oid, size) in chunk.par_iter().map(ask).collect::<Result<Vec<_>, StoreError>>()? {
            match size {
                Ok(Some(size)) => listing.objects.push(Stored { oid, size, modified: Timestamp(0) }),
                Ok(None) => {}
                Err(fault) => findings.push(Finding { kind: FindingKind::Object, path: oid.to_string(), fault }),
            }
        }
    }
    listener(Event::End);
    Ok(listing)
}

/// Says what is wrong with an object's bytes, `None` where nothing is.
fn hash_object(store: &dyn ObjectStore, oid: &ObjectId) -> Result<Option<String>, StoreError> {
    match digest_of(store.open(oid)?) {
        Ok(found) if found.sha256 == *oid => Ok(None),
        Ok(found) => Ok(Some(format!("its bytes have sha256 {}", found.sha256))),
        // What a store says that compares while it reads.
        Err(fault) if fault.kind() == std::io::ErrorKind::InvalidData => Ok(Some(fault.to_string())),
        Err(source) => Err(StoreError::Io { store: store.describe(), operation: format!("read object {oid}"), source }),
    }
}

/// Compares the tree with the last served Release and with the pool files that its base commit offers.
fn check_published(
    open: &OpenArchive,
    codename: &Codename,
    target: &dyn PublishTarget,
    full: bool,
    findings: &mut Vec<Finding>,
) -> Result<usize, FsckError> {
    let repository = &open.repository;
    if let Some(staged) = stage::newest(repository, codename)?.filter(|staged| staged.signatures.is_none()) {
        findings.push(Finding {
            kind: FindingKind::Published,
            path: format!("dists/{codename}/Release"),
            fault: format!("Release {} was staged and not served; `ddb-publish dists {codename}` finishes it", staged.inputs.sequence),
        });
    }
    let Some(served) = stage::last_served(repository, codename)? else { return Ok(0) };
    let mut count = 0;
    let root = format!("dists/{codename}");
    let mut compare = |path: String, expected: &[u8]| -> Result<(), FsckError> {
        count += 1;
        let fault = match target.read(&path)? {
            Some(bytes) if bytes == expected => return Ok(()),
            Some(_) => "it is not what was published; remove it and publish again with --repair",
            None => "it is missing; publish again with --repair",
        };
        findings.push(Finding { kind: FindingKind::Published, path, fault: fault.to_owned() });
        Ok(())
    };
    compare(format!("{root}/Release"), &served.release)?;
    if let Some(signatures) = &served.signatures {
        compare(format!("{root}/InRelease"), &signatures.in_release)?;
        compare(format!("{root}/Release.gpg"), &signatures.detached)?;
    }
    let (history, first) = (history(&root, &served.release), stage::first_proofs(repository, served.commit)?);
    for (kind, proof) in &served.proofs {
        compare(format!("{root}/{}", kind.file()), proof)?;
        compare(format!("{history}.{}", kind.ending()), first.get(kind).unwrap_or(proof))?;
        compare(format!("{history}.release"), &served.release)?;
    }
    for (path, listed) in &served.parsed.files {
        let by_hash = if served.parsed.acquire_by_hash { by_hash_paths(path, listed) } else { Vec::new() };
        if served.parsed.is_listed_only(path) {
            continue;
        }
        for name in std::iter::once(path.clone()).chain(by_hash) {
            count += 1;
            findings.extend(compare_index(target, format!("{root}/{name}"), listed)?);
        }
    }
    // Patches are named by the lists that Release names, and by no digest in it.
    let recorded = stage::recorded(repository, codename, served.commit)?;
    for (path, pointer) in recorded.map(|(_, sheets)| patches(&sheets)).unwrap_or_default() {
        count += 1;
        let listed = Listed { size: pointer.size, sha256: pointer.oid, md5: None, sha1: None, sha512: None };
        findings.extend(compare_index(target, format!("{root}/{path}"), &listed)?);
    }
    let base = served.base(codename)?;
    let Ok(base) = repository.snapshot(base) else {
        let fault = format!(
            "its base commit {base} is not in this repository (a shallow clone, or history was rewritten); fetch it, or publish again"
        );
        findings.push(Finding { kind: FindingKind::Published, path: format!("{root}/Release"), fault });
        return Ok(count);
    };
    let archive = open.configuration(&base)?;
    let objects = archive.target.objects_below(&archive.store);
    if objects.is_some() && target.is_remote() {
        // The tree has no files of its own for packages: clients read the objects.
        return Ok(count);
    }
    let path_of = |path: &PoolPath, pointer: &Pointer| match &objects {
        None => path.to_string(),
        Some(objects) => format!("{objects}/{}", object_path(&pointer.oid)),
    };
    let pool: Vec<(String, Pointer)> = offered(&base, codename)?.iter().map(|(path, pointer)| (path_of(path, pointer), *pointer)).collect();
    count += pool.len();
    let wrong = in_lanes(LANES, &pool, |(path, pointer)| compare_pool(target, path, pointer, full))?;
    findings.extend(wrong.into_iter().flatten());
    Ok(count)
}

fn compare_index(target: &dyn PublishTarget, path: String, listed: &Listed) -> Result<Option<Finding>, FsckError> {
    let fault = match target.read(&path)? {
        None => "it is missing; publish again with --repair".to_owned(),
        Some(bytes) => {
            let found = FileFacts::of(&bytes, ExtraDigests::default());
            if (found.size, found.sha256) == (listed.size, listed.sha256) {
                return Ok(None);
            }
            format!(
                "it has sha256 {} and {} bytes, Release says {} and {}; remove it and publish again with --repair",
                found.sha256, found.size, listed.sha256, listed.size
            )
        }
    };
    Ok(Some(Finding { kind: FindingKind::Published, path, fault }))
}

fn compare_pool(target: &dyn PublishTarget, path: &str, pointer: &Pointer, full: bool) -> Result<Option<Finding>, TargetError> {
    let fault = match target.size(path)? {
        None => "it is missing; publish again with --repair".to_owned(),
        Some(size) if size != pointer.size => {
            format!("it has {size} bytes, the pointer says {}; remove it and publish again with --repair", pointer.size)
        }
        Some(_) if full && target.hash(path)? != Some(*pointer) => {
            format!(
                "its bytes are not those of object {}; check that object, remove this file and publish again with --repair",
                pointer.oid
            )
        }
        Some(_) => return Ok(None),
    };
    Ok(Some(Finding { kind: FindingKind::Published, path: path.to_owned(), fault }))
}

/// Returns the files that the records of a suite name.
fn offered(snapshot: &Snapshot<'_>, codename: &Codename) -> Result<Pool, FsckError> {
    let records = snapshot.record_bytes(codename)?;
    let files = records
        .iter()
        .filter_map(|(place, bytes)| checks::read_at(place, bytes).and_then(|record| checks::files_named(place, &record)).ok());
    Ok(files.flatten().collect())
}
