//! `ddb-deploy adopt`: records for pool files that plain Git-LFS committed (`git lfs track "pool/**"; git add`).
//!
//! Packages and source packages that no record names are brought from the store (or from `.git/lfs/objects`, where `git add`
//! left them), read as a build output is, and landed by the same replay. Files that lie elsewhere in `pool/` than their place
//! are moved there in a commit of their own, after their records have landed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::{CommitAnswer, CommitRequest, DeployError, Problem, PushMode, Verify, choose_suite, commit};
use crate::formats::pool::pointer::{Pointer, PointerError};
use crate::formats::statement::replay::Rules;
use crate::formats::suite::checks;
use crate::places::digest_of;
use crate::places::git::land::Edits;
use crate::places::git::read::{Snapshot, read_blobs};
use crate::places::git::{Author, GitError};
use crate::places::store::fs::FolderStore;
use crate::places::store::{Intent, ObjectStore, StoreError};
use crate::stories::archive::OpenArchive;
use crate::stories::event::{Event, Listener};
use crate::words::archive::Archive;
use crate::words::date::{Span, Timestamp};
use crate::words::name::Codename;

/// What is to be adopted.
#[derive(Debug, Clone)]
pub struct AdoptRequest {
    /// A folder in the archive repository.
    pub archive: PathBuf,
    /// The branch, where it is not the one that HEAD points at.
    pub branch: Option<String>,
    /// The suite, where it is named.
    pub suite: Option<String>,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Who commits.
    pub author: Author,
    /// The time, for the validity of signatures.
    pub now: Timestamp,
}

/// What was adopted.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AdoptAnswer {
    /// The suite.
    pub suite: Codename,
    /// Whether this was a dry run.
    pub dry_run: bool,
    /// Files that no record named and that were read.
    pub files: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// What became of them; `null` where there was none.
    pub landed: Option<CommitAnswer>,
    /// Files that lay elsewhere than their place: where they were, and where they are now.
    pub moved: BTreeMap<String, String>,
    /// Pool files that no record names and that no record can name: evidence of builds, older versions, and what is no package.
    pub left: Vec<String>,
}

type Unnamed = BTreeMap<String, Pointer>;

/// Adopts what no record names.
///
/// # Errors
/// A pool file is no pointer, an object is missing or refused; nothing is committed then.
pub fn adopt(request: &AdoptRequest, listener: Listener<'_>) -> Result<AdoptAnswer, DeployError> {
    let open = OpenArchive::open(&request.archive, request.branch.as_deref())?;
    let tip = open.tip()?;
    let archive = open.configuration(&tip)?;
    let suite = choose_suite(request.suite.as_deref(), &archive, &BTreeSet::new())?;
    let unnamed = unnamed(&open, &tip, &archive)?;
    let store = open.store_to_fill(&archive)?;
    let folder = temporary(&open)?;
    let brought = Bringing { store: store.as_ref(), local: FolderStore::of_clone(&open.repository), folder: folder.path() }
        .packages(&unnamed, listener)?;
    let mut answer = AdoptAnswer {
        suite: suite.clone(),
        dry_run: request.dry_run,
        files: brought.len(),
        bytes: brought.values().map(|pointer| pointer.size).sum(),
        landed: None,
        moved: BTreeMap::new(),
        left: unnamed.keys().filter(|path| !brought.contains_key(*path)).cloned().collect(),
    };
    if brought.is_empty() {
        return Ok(answer);
    }
    let of_pool = as_commit(request, folder.path());
    let landed = commit(&of_pool, None, listener).map_err(|fault| match fault {
        DeployError::Refused { problems, .. } => DeployError::Refused { out: PathBuf::from("pool"), problems },
        fault => fault,
    })?;
    if request.dry_run {
        let added = landed.added.iter().filter(|path| path.starts_with("pool/"));
        answer.moved = places(&brought, &added.cloned().collect());
    } else {
        let tip = open.tip()?;
        let named = named(&tip, &archive)?;
        let stray: Unnamed = brought.into_iter().filter(|(path, _)| !named.contains(path)).collect();
        answer.moved = tidy(&open, request, &places(&stray, &named))?;
        answer.left = self::unnamed(&open, &open.tip()?, &archive)?.into_keys().collect();
    }
    answer.landed = Some(landed);
    Ok(answer)
}

/// Returns the deploy that an adoption is.
fn as_commit(request: &AdoptRequest, out: &Path) -> CommitRequest {
    CommitRequest {
        archive: request.archive.clone(),
        branch: request.branch.clone(),
        out: out.to_owned(),
        suite: request.suite.clone(),
        package: None,
        version: None,
        job: None,
        verify: Verify::Full,
        rules: Rules::default(),
        dry_run: request.dry_run,
        remote: None,
        push: PushMode::Never,
        local_objects: false,
        park: false,
        wait: Span::of_seconds(0),
        attestor: None,
        author: request.author.clone(),
        now: request.now,
    }
}

/// Returns the pool files that no record of any suite names.
fn unnamed(open: &OpenArchive, tip: &Snapshot<'_>, archive: &Archive) -> Result<Unnamed, DeployError> {
    let blobs: Vec<_> = tip.pool()?.into_iter().collect();
    let read = read_blobs(&open.repository, &blobs, |_, bytes| Ok::<_, GitError>(Pointer::decode(bytes)))?;
    let (mut pool, mut problems) = (Unnamed::new(), Vec::new());
    for ((path, _), pointer) in blobs.into_iter().zip(read) {
        match pointer {
            Ok(pointer) => drop(pool.insert(path, pointer)),
            Err(fault @ (PointerError::TooLong { .. } | PointerError::Malformed)) => {
                problems
                    .push(Problem { file: path, reason: format!("{fault}; `git add --renormalize pool` makes pointers of such files") });
            }
            Err(fault) => problems.push(Problem { file: path, reason: fault.to_string() }),
        }
    }
    if !problems.is_empty() {
        return Err(DeployError::Refused { out: PathBuf::from("pool"), problems });
    }
    for path in named(tip, archive)? {
        pool.remove(&path);
    }
    Ok(pool)
}

/// Returns the pool files that records of any suite name.
fn named(tip: &Snapshot<'_>, archive: &Archive) -> Result<BTreeSet<String>, DeployError> {
    let mut files = BTreeSet::new();
    for codename in archive.suites.keys() {
        for (place, bytes) in tip.record_bytes(codename)? {
            // Records that are wrong are fsck's matter.
            let named = checks::read_at(&place, &bytes).and_then(|record| checks::files_named(&place, &record));
            files.extend(named.unwrap_or_default().into_iter().map(|(path, _)| path.to_string()));
        }
    }
    Ok(files)
}

fn temporary(open: &OpenArchive) -> Result<tempfile::TempDir, DeployError> {
    let git_dir = open.repository.git_dir();
    let made = tempfile::Builder::new().prefix("ddb-adopt-").tempdir_in(git_dir);
    made.map_err(|source| GitError::File { operation: "make a temporary folder in", path: git_dir.to_owned(), source }.into())
}

/// Bringing objects into a folder that is then read as a build output.
struct Bringing<'a> {
    store: &'a dyn ObjectStore,
    local: FolderStore,
    folder: &'a Path,
}

impl Bringing<'_> {
    /// Brings packages, source packages and the files that these list, and returns them.
    fn packages(&self, unnamed: &Unnamed, listener: Listener<'_>) -> Result<Unnamed, DeployError> {
        let with_ending = |endings: &[&str]| -> Unnamed {
            let ends = |path: &str| endings.iter().any(|ending| path.ends_with(ending));
            unnamed.iter().filter(|(path, _)| ends(path)).map(|(path, pointer)| (path.clone(), *pointer)).collect()
        };
        let mut brought = with_ending(&[".deb", ".udeb", ".ddeb", ".dsc"]);
        listener(Event::Begin { step: "bringing objects", parts: brought.len() });
        self.files(&brought, listener)?;
        let mut parts = Unnamed::new();
        for (path, _) in brought.iter().filter(|(path, _)| path.ends_with(".dsc")) {
            let failed = |source| GitError::File { operation: "read", path: PathBuf::from(path), source };
            let text = fs::read(self.folder.join(path)).map_err(failed)?;
            let beside = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            // The last word of a line that begins with a blank is a file's name, or no file has that name.
            for line in String::from_utf8_lossy(&text).lines().filter(|line| line.starts_with(' ')) {
                let listed = format!("{beside}/{}", line.rsplit(' ').next().unwrap_or_default());
                if let Some(pointer) = unnamed.get(&listed) {
                    parts.insert(listed, *pointer);
                }
            }
        }
        self.files(&parts, listener)?;
        listener(Event::End);
        brought.extend(parts);
        Ok(brought)
    }

    fn files(&self, wanted: &Unnamed, listener: Listener<'_>) -> Result<(), DeployError> {
        let far: Vec<Pointer> = wanted.values().filter(|pointer| self.here(pointer).is_none()).copied().collect();
        self.store.announce(Intent::Open, &far)?;
        let mut problems = Vec::new();
        for (path, pointer) in wanted {
            match self.bring(path, pointer) {
                Ok(()) => listener(Event::Part { name: path.clone() }),
                Err(fault @ (StoreError::Missing { .. } | StoreError::OtherSize { .. } | StoreError::Damaged { .. })) => {
                    problems.push(Problem { file: path.clone(), reason: fault.to_string() });
                }
                Err(fault) => return Err(fault.into()),
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(DeployError::Refused { out: PathBuf::from("pool"), problems }) }
    }

    /// Returns the file of an object that is on this machine.
    fn here(&self, pointer: &Pointer) -> Option<PathBuf> {
        let files = [self.store.local_path(&pointer.oid), self.local.local_path(&pointer.oid)];
        files.into_iter().flatten().find(|file| fs::metadata(file).is_ok_and(|found| found.len() == pointer.size))
    }

    fn bring(&self, path: &str, pointer: &Pointer) -> Result<(), StoreError> {
        let target = self.folder.join(path);
        let failed = |source| StoreError::Io { store: self.folder.display().to_string(), operation: format!("write {path}"), source };
        if let Some(above) = target.parent() {
            fs::create_dir_all(above).map_err(failed)?;
        }
        let Some(file) = self.here(pointer) else {
            let incoming = self.local.receive(pointer, self.store, &mut |_| Ok(()))?;
            return incoming.persist(&target).map(drop).map_err(|fault| failed(fault.error));
        };
        let found = Pointer::from(&fs::File::open(&file).and_then(digest_of).map_err(failed)?);
        if found != *pointer {
            return Err(StoreError::Damaged { store: self.store.describe(), expected: *pointer, found: Box::new(found) });
        }
        // Another file system: a copy, which is read only here.
        fs::hard_link(&file, &target).or_else(|_| copy(&file, &target)).map_err(failed)
    }
}

fn copy(file: &Path, target: &Path) -> io::Result<()> {
    let mut copy = tempfile::NamedTempFile::new_in(target.parent().unwrap_or(target))?;
    io::copy(&mut fs::File::open(file)?, &mut copy)?;
    copy.persist(target).map(drop).map_err(|fault| fault.error)
}

/// Returns files that lie elsewhere than the one of the same name that a record names.
fn places(stray: &Unnamed, named: &BTreeSet<String>) -> BTreeMap<String, String> {
    let file = |path: &str| path.rsplit('/').next().map(str::to_owned);
    let by_name: BTreeMap<_, &String> = named.iter().map(|path| (file(path), path)).collect();
    let found = stray.keys().filter_map(|path| Some((path.clone(), (*by_name.get(&file(path))?).clone())));
    found.filter(|(from, to)| from != to).collect()
}

/// Removes files from where they were, each only if its place holds the same bytes now.
fn tidy(open: &OpenArchive, request: &AdoptRequest, moved: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, DeployError> {
    if moved.is_empty() {
        return Ok(BTreeMap::new());
    }
    let _held = open.repository.hold_work_tree()?;
    let (_, (tip, edits)) = open.repository.land(&open.branch, "ddb-deploy adopt", |tip| {
        let tip = tip.ok_or_else(|| GitError::NoBranch { path: open.repository.root().to_owned(), branch: open.branch.clone() })?;
        let snapshot = open.repository.snapshot(tip)?;
        let mut edits = Edits::new();
        for (from, to) in moved {
            let (old, new) = (snapshot.file(from)?, snapshot.file(to)?);
            if old.is_some() && old == new {
                edits.insert(from.clone(), None);
            }
        }
        let message = format!("Move {} adopted files to their places in the pool.\n", edits.len());
        let commit = (!edits.is_empty()).then(|| open.repository.commit(Some(tip), &edits, &message, &request.author)).transpose()?;
        Ok::<_, GitError>((commit, (tip, edits)))
    })?;
    open.repository.refresh_work_tree(&open.branch, Some(tip), &edits)?;
    Ok(moved.iter().filter(|(from, _)| edits.contains_key(*from)).map(|(from, to)| (from.clone(), to.clone())).collect())
}
