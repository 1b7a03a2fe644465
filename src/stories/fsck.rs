//! `ddb-deploy fsck`: whether pointers, records, objects and published files still agree.
//!
//! Looks and changes nothing. Every finding names the file and says what it means; with `full`, every object and every
//! published pool file is hashed again, and every record is compared with its package.

mod objects;
mod published;
mod records;

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use crate::formats::git_lfs::lfsconfig;
use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::places::git::GitError;
use crate::places::git::read::{Snapshot, read_blobs};
use crate::places::store::StoreError;
use crate::places::target::TargetError;
use crate::stories::archive::{OpenArchive, OpenError};
use crate::stories::event::Listener;
use crate::stories::lfs;
use crate::stories::publish::stage::StageError;
use objects::check_objects;
use published::check_published;
use records::{check_packages, check_records};

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
