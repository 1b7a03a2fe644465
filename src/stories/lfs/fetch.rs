//! `ddb-deploy fetch`: fills `.git/lfs/objects` from the archive's store, so that `git lfs checkout` fills the work tree.
//!
//! Objects that are there are skipped, so that a run that was stopped goes on where it was. Each is checked while it comes and
//! appears whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;

use super::{CloneError, open_clone, remote_of, store_of_clone};
use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::formats::suite::checks;
use crate::places::git::GitError;
use crate::places::git::read::{Snapshot, read_blobs};
use crate::places::requests::Requests;
use crate::places::store::fs::FolderStore;
use crate::places::store::{Intent, ObjectStore, Put, StoreError};
use crate::stories::archive::{OpenArchive, OpenError};
use crate::stories::event::{Event, Listener};
use crate::words::name::SourceName;

/// Which objects are fetched.
#[derive(Debug, Clone)]
pub struct FetchRequest {
    /// A folder in the clone.
    pub archive: PathBuf,
    /// The branch, where it is not HEAD.
    pub branch: Option<String>,
    /// Only what this suite offers: its codename, its Suite or one of its distributions.
    pub suite: Option<String>,
    /// Only files of these sources, where any is named.
    pub sources: Vec<SourceName>,
    /// Only these files, and files below these folders, where any is named.
    pub paths: Vec<String>,
    /// What every commit of the branch's history names, not only the newest.
    pub history: bool,
    /// How many objects at once.
    pub jobs: usize,
}

/// What was fetched.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FetchAnswer {
    /// The commit.
    pub commit: String,
    /// The store that they came from.
    pub store: String,
    /// Objects that were asked for.
    pub objects: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// How many were there already.
    pub present: usize,
    /// How many came.
    pub fetched: usize,
    /// Their size in bytes.
    pub fetched_bytes: u64,
    /// Requests to the store's server.
    pub requests: Requests,
}

/// An object that did not come.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FetchProblem {
    /// A file that names it.
    pub path: String,
    /// Why not.
    pub reason: String,
}

/// Why not everything came.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The archive's store cannot be reached.
    #[error(transparent)]
    Clone(#[from] CloneError),
    /// The archive cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No file is meant.
    #[error("{0}")]
    Selection(String),
    /// Some objects are missing or damaged in the store.
    #[error("{} of {asked} objects did not come; the others are there, and running the command again fetches only what is missing", problems.len())]
    Objects {
        /// How many were asked for.
        asked: usize,
        /// One entry for each.
        problems: Vec<FetchProblem>,
    },
}

type Wanted = BTreeMap<Pointer, String>;

/// Fetches objects.
///
/// # Errors
/// See `FetchError`; what came before stays.
pub fn fetch(request: &FetchRequest, listener: Listener<'_>) -> Result<FetchAnswer, FetchError> {
    let open = open_clone(&request.archive, request.branch.as_deref())?;
    let tip = open.tip()?;
    let archive = open.configuration(&tip)?;
    let wanted = if request.history { of_history(&open, &tip, request)? } else { of_commit(&open, &tip, request)? };
    if wanted.is_empty() && !(request.sources.is_empty() && request.paths.is_empty()) {
        return Err(FetchError::Selection(format!("commit {} has no pool file that is meant so", tip.commit())));
    }
    let local = FolderStore::of_clone(&open.repository);
    let (mut present, mut missing) = (0, Vec::new());
    for (pointer, path) in &wanted {
        match local.size(&pointer.oid)? {
            Some(size) if size == pointer.size => present += 1,
            _ => missing.push((*pointer, path.clone())),
        }
    }
    // Where nothing is missing, the store need not be reachable.
    let store: Box<dyn ObjectStore> = match missing.is_empty() {
        true => Box::new(local.clone()),
        false => store_of_clone(&open, &archive, &remote_of(&open))?,
    };
    listener(Event::Begin { step: "fetching objects", parts: missing.len() });
    let came = all(&missing, store.as_ref(), &local, request.jobs, listener)?;
    listener(Event::End);
    if !came.problems.is_empty() {
        return Err(FetchError::Objects { asked: wanted.len(), problems: came.problems });
    }
    Ok(FetchAnswer {
        commit: tip.commit().to_string(),
        store: store.describe(),
        objects: wanted.len(),
        bytes: wanted.keys().map(|pointer| pointer.size).sum(),
        present,
        fetched: came.objects,
        fetched_bytes: came.bytes,
        requests: store.requests(),
    })
}

/// What came so far.
#[derive(Default)]
struct Came {
    objects: usize,
    bytes: u64,
    problems: Vec<FetchProblem>,
    failed: Option<StoreError>,
}

fn all(
    missing: &[(Pointer, String)],
    store: &dyn ObjectStore,
    local: &FolderStore,
    jobs: usize,
    listener: Listener<'_>,
) -> Result<Came, StoreError> {
    let came = Mutex::new(Came::default());
    for chunk in missing.chunks(1000) {
        store.announce(Intent::Open, &chunk.iter().map(|(pointer, _)| *pointer).collect::<Vec<_>>())?;
        let queue = Mutex::new(chunk.iter());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let record = |pointer: &Pointer, path: &str, done: Result<Put, StoreError>| {
            let mut came = came.lock().unwrap_or_else(PoisonError::into_inner);
            match done {
                Ok(_) => {
                    came.objects += 1;
                    came.bytes += pointer.size;
                }
                Err(fault) if is_of_object(&fault) => {
                    came.problems.push(FetchProblem { path: path.to_owned(), reason: with_cause(&fault) });
                }
                Err(fault) => came.failed = Some(fault),
            }
            came.failed.is_none()
        };
        std::thread::scope(|scope| {
            for _ in 0..jobs.clamp(1, 64).min(chunk.len()) {
                scope.spawn(|| {
                    while let Some((pointer, path)) = next() {
                        let done = local.take(pointer, store);
                        listener(Event::Part { name: path.clone() });
                        if !record(pointer, path, done) {
                            break;
                        }
                    }
                });
            }
        });
        let failed = came.lock().unwrap_or_else(PoisonError::into_inner).failed.take();
        if let Some(fault) = failed {
            return Err(fault);
        }
    }
    let mut came = came.into_inner().unwrap_or_else(PoisonError::into_inner);
    came.problems.sort();
    Ok(came)
}

/// Tells whether only this object is wrong, so that the others are worth a try.
fn is_of_object(fault: &StoreError) -> bool {
    match fault {
        StoreError::Missing { .. } | StoreError::OtherSize { .. } | StoreError::Damaged { .. } | StoreError::Changed { .. } => true,
        StoreError::Io { source, .. } => source.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    }
}

fn with_cause(fault: &StoreError) -> String {
    std::error::Error::source(fault).map_or_else(|| fault.to_string(), |cause| format!("{fault}: {cause}"))
}

/// Returns the objects that the newest commit names.
fn of_commit(open: &OpenArchive, tip: &Snapshot<'_>, request: &FetchRequest) -> Result<Wanted, FetchError> {
    let offered = request.suite.as_deref().map(|suite| offered(open, tip, suite)).transpose()?;
    let blobs: Vec<_> = tip.pool()?.into_iter().filter(|(path, _)| is_meant(path, offered.as_ref(), request)).collect();
    pointers(open, blobs)
}

/// Returns the objects that any commit of the history names, each with one of its paths.
fn of_history(open: &OpenArchive, tip: &Snapshot<'_>, request: &FetchRequest) -> Result<Wanted, FetchError> {
    if request.suite.is_some() {
        return Err(FetchError::Selection("a suite is that of one commit; leave out --suite or --all".to_owned()));
    }
    let mut blobs = BTreeMap::new();
    for (path, blob) in open.repository.history_of_pool(tip.commit())? {
        if is_meant(&path, None, request) {
            blobs.entry(blob).or_insert(path);
        }
    }
    // An old commit may hold files that Git-LFS never saw.
    let blobs: Vec<_> = blobs.into_iter().map(|(blob, path)| (path, blob)).collect();
    let read = read_blobs(&open.repository, &blobs, |_, bytes| Ok::<_, GitError>(Pointer::decode(bytes).ok()))?;
    Ok(read.into_iter().zip(blobs).filter_map(|(pointer, (path, _))| Some((pointer?, path))).collect())
}

fn pointers(open: &OpenArchive, blobs: Vec<(String, crate::places::git::Oid)>) -> Result<Wanted, FetchError> {
    let read = read_blobs(&open.repository, &blobs, |path, bytes| {
        Pointer::decode(bytes).map_err(|fault| FetchError::Selection(format!("{path}: {fault}")))
    })?;
    Ok(read.into_iter().zip(blobs).map(|(pointer, (path, _))| (pointer, path)).collect())
}

fn is_meant(path: &str, offered: Option<&BTreeSet<String>>, request: &FetchRequest) -> bool {
    let below = |folder: &String| {
        let folder = folder.trim_start_matches("./").trim_end_matches('/');
        path == folder || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    };
    let of_source = || path.parse::<PoolPath>().is_ok_and(|path| request.sources.contains(path.source()));
    offered.is_none_or(|offered| offered.contains(path))
        && (request.sources.is_empty() || of_source())
        && (request.paths.is_empty() || request.paths.iter().any(below))
}

/// Returns the pool files that the records of a suite name.
fn offered(open: &OpenArchive, tip: &Snapshot<'_>, suite: &str) -> Result<BTreeSet<String>, FetchError> {
    let archive = open.configuration(tip)?;
    let unknown = || FetchError::Selection(format!("ddb.toml has no suite \"{suite}\""));
    let codename = archive.suite_for_distribution(suite).ok_or_else(unknown)?;
    let records = tip.record_bytes(codename)?;
    let files = records.iter().map(|(place, bytes)| checks::read_at(place, bytes).and_then(|record| checks::files_named(place, &record)));
    let mut paths = BTreeSet::new();
    for files in files {
        let files = files.map_err(|problem| FetchError::Selection(problem.to_string()))?;
        paths.extend(files.into_iter().map(|(path, _)| path.to_string()));
    }
    Ok(paths)
}
