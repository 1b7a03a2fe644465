//! Looking at a commit: single files, the records of a suite, the pointers of the pool.
//!
//! Everything is read from the object database; no checkout is needed, and no path is followed out of the tree.

mod records;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use git2::{ObjectType, Tree};
use rayon::prelude::*;

pub use records::RecordEntry;

use super::{GitError, Oid, Repository, failed};
use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::formats::statement::replay::Tip;
use crate::words::name::SourceName;

/// One commit of an archive repository.
pub struct Snapshot<'repo> {
    repository: &'repo Repository,
    commit: Oid,
    tree: Tree<'repo>,
}

/// One folder of a commit. Looking into it often does not read it again: the folders of the pool have thousands of entries.
pub struct Folder<'repo> {
    repository: &'repo Repository,
    tree: Tree<'repo>,
}

impl Folder<'_> {
    /// Returns the blobs of the files directly in a folder of this one by name; none where it is missing.
    ///
    /// # Errors
    /// The object cannot be read.
    pub fn blobs_in(&self, name: &str) -> Result<HashMap<String, Oid>, GitError> {
        let Some(entry) = self.tree.get_name(name).filter(|entry| entry.kind() == Some(ObjectType::Tree)) else {
            return Ok(HashMap::new());
        };
        let tree = self.repository.git().find_tree(entry.id()).map_err(failed(format!("read {name}")))?;
        let blobs = tree.iter().filter(|entry| entry.kind() == Some(ObjectType::Blob));
        Ok(blobs.filter_map(|entry| Some((entry.name().ok()?.to_owned(), entry.id()))).collect())
    }
}

/// Most bytes of a file, or of files that belong together, that are read whole.
const LARGEST: usize = 256 << 20;

impl Repository {
    /// Returns what kind of object this is, and its size in bytes; `None` where it is not here.
    pub(super) fn header(&self, object: Oid) -> Option<(ObjectType, usize)> {
        let (size, kind) = self.git().odb().ok()?.read_header(object).ok()?;
        Some((kind, size))
    }

    /// Checks that these are files, which are here, and not too large to be read all together.
    ///
    /// # Errors
    /// They are not: the fault names the commit and path.
    pub fn expect_files<'p>(&self, commit: Oid, files: impl Iterator<Item = (&'p String, &'p Oid)>) -> Result<(), GitError> {
        let mut total = 0usize;
        for (path, blob) in files {
            match self.header(*blob) {
                Some((ObjectType::Blob, size)) => total = total.saturating_add(size),
                Some(_) => return Err(GitError::content(commit, path, &"it is no file")),
                None => {}
            }
            if total > LARGEST {
                return Err(GitError::content(commit, path, &format!("with those before it, it has {total} bytes, more than {LARGEST}")));
            }
        }
        Ok(())
    }

    /// Returns a commit to look at.
    ///
    /// # Errors
    /// There is no such commit.
    pub fn snapshot(&self, commit: Oid) -> Result<Snapshot<'_>, GitError> {
        let tree = self.git().find_commit(commit).and_then(|found| found.tree()).map_err(failed(format!("read commit {commit}")))?;
        Ok(Snapshot { repository: self, commit, tree })
    }

    /// Returns the bytes of a blob; `what` names it in the error.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn blob(&self, blob: Oid, what: &impl std::fmt::Display) -> Result<Vec<u8>, GitError> {
        let found = self.git().find_blob(blob).map_err(|fault| failed(format!("read {what}"))(fault))?;
        Ok(found.content().to_vec())
    }

    /// Returns the name that a blob of these bytes has; `None` where the library fails, which it has no reason to.
    pub fn oid_of_blob(bytes: &[u8]) -> Option<Oid> {
        Oid::hash_object(ObjectType::Blob, bytes).ok()
    }

    /// Returns the blobs of every file that was ever in the pool, in a commit or one before it, with their paths. A folder that
    /// is the same in many commits is looked at once.
    ///
    /// # Errors
    /// An object cannot be read.
    pub fn history_of_pool(&self, commit: Oid) -> Result<BTreeSet<(String, Oid)>, GitError> {
        let mut walk = self.git().revwalk().map_err(failed("walk the history"))?;
        walk.push(commit).map_err(failed(format!("walk the history of {commit}")))?;
        let (mut files, mut seen) = (BTreeSet::new(), BTreeSet::new());
        for commit in walk {
            let snapshot = self.snapshot(commit.map_err(failed("walk the history"))?)?;
            let mut folders: Vec<(String, Tree<'_>)> = snapshot.folder("pool")?.into_iter().map(|tree| ("pool".to_owned(), tree)).collect();
            while let Some((path, tree)) = folders.pop() {
                if !seen.insert((path.clone(), tree.id())) {
                    continue;
                }
                for entry in tree.iter() {
                    let path = format!("{path}/{}", entry.name().unwrap_or("?"));
                    match entry.kind() {
                        Some(ObjectType::Tree) => {
                            let below = self.git().find_tree(entry.id()).map_err(failed(format!("read {path}")))?;
                            folders.push((path, below));
                        }
                        Some(ObjectType::Blob) => drop(files.insert((path, entry.id()))),
                        _ => {}
                    }
                }
            }
        }
        Ok(files)
    }
}

impl<'repo> Snapshot<'repo> {
    /// Returns the commit.
    pub fn commit(&self) -> Oid {
        self.commit
    }

    /// Returns the content of a file, `None` where the path is missing, no file, or larger than 256 MiB.
    ///
    /// # Errors
    /// The object cannot be read.
    pub fn file(&self, path: &str) -> Result<Option<Vec<u8>>, GitError> {
        let Some(entry) = entry_at(&self.tree, path) else { return Ok(None) };
        if entry.kind() != Some(ObjectType::Blob) || entry.filemode() == 0o120_000 {
            return Ok(None);
        }
        self.repository.hydrate([entry.id()])?;
        match self.repository.header(entry.id()) {
            // Git takes trees whose entries say something else than what they name.
            Some((kind, size)) if kind != ObjectType::Blob || size > LARGEST => return Ok(None),
            _ => {}
        }
        let blob = self.repository.git().find_blob(entry.id()).map_err(failed(format!("read {path}")))?;
        Ok(Some(blob.content().to_vec()))
    }

    /// Returns the names of the files directly in a folder, in order; none where it is missing.
    ///
    /// # Errors
    /// The object cannot be read.
    pub fn files_in(&self, folder: &str) -> Result<Vec<String>, GitError> {
        let Some(tree) = self.folder(folder)? else { return Ok(Vec::new()) };
        Ok(tree
            .iter()
            .filter(|entry| entry.kind() == Some(ObjectType::Blob))
            .filter_map(|entry| Some(entry.name().ok()?.to_owned()))
            .collect())
    }

    /// Returns what this commit says about these sources, for a replay.
    ///
    /// # Errors
    /// An object cannot be read, or a file there is no record or pointer.
    pub fn tip_of<'a>(&self, sources: impl Iterator<Item = &'a SourceName>) -> Result<Tip, GitError> {
        let files = self.files_of(sources)?;
        self.repository.hydrate(files.iter().map(|(_, blob)| *blob))?;
        let mut tip = Tip::default();
        for (path, blob) in files {
            if path.starts_with("pool/") {
                let pool_path: PoolPath = path.parse().map_err(|fault| self.content(&path, &fault))?;
                tip.pool.insert(pool_path, self.pointer(&path, blob)?);
            } else {
                let place = path.parse().map_err(|fault| self.content(&path, &fault))?;
                let blob = self.repository.git().find_blob(blob).map_err(failed(format!("read {path}")))?;
                let text = std::str::from_utf8(blob.content()).map_err(|fault| self.content(&path, &fault))?;
                tip.records.insert(place, text.to_owned());
            }
        }
        Ok(tip)
    }

    /// Returns the records and pointers of these sources by path, with their blobs.
    ///
    /// # Errors
    /// A tree cannot be read.
    pub fn files_of<'a>(&self, sources: impl Iterator<Item = &'a SourceName>) -> Result<Vec<(String, Oid)>, GitError> {
        let indices = self.indices()?.into_iter().map(|index| format!("suites/{index}"));
        let components = match self.folder("pool")? {
            Some(pool) => names(&pool),
            None => Vec::new(),
        };
        let roots: Vec<String> = indices.chain(components.into_iter().map(|component| format!("pool/{component}"))).collect();
        // A folder of a prefix holds thousands of sources: it is read once for all of them.
        let mut by_prefix: BTreeMap<&str, BTreeSet<&SourceName>> = BTreeMap::new();
        for source in sources {
            by_prefix.entry(source.prefix()).or_default().insert(source);
        }
        let mut files = Vec::new();
        for root in &roots {
            for (prefix, sources) in &by_prefix {
                let Some(tree) = self.folder(&format!("{root}/{prefix}"))? else { continue };
                for source in sources {
                    let Some(entry) = tree.get_name(source.as_str()).filter(|entry| entry.kind() == Some(ObjectType::Tree)) else {
                        continue;
                    };
                    let path = format!("{root}/{prefix}/{source}");
                    let folder = self.repository.git().find_tree(entry.id()).map_err(failed(format!("read {path}")))?;
                    files.extend(folder.iter().map(|entry| (format!("{path}/{}", entry.name().unwrap_or("?")), entry.id())));
                }
            }
        }
        Ok(files)
    }

    /// Returns the blobs of every file in the pool by path.
    ///
    /// # Errors
    /// An object cannot be read.
    pub fn pool(&self) -> Result<BTreeMap<String, Oid>, GitError> {
        self.files_below("pool")
    }

    /// Returns the blobs of every file below a folder by path.
    ///
    /// # Errors
    /// An object cannot be read.
    pub fn files_below(&self, folder: &str) -> Result<BTreeMap<String, Oid>, GitError> {
        self.below(folder, false)
    }

    /// The same; an entry that is no file at all, such as a submodule, is an error.
    ///
    /// # Errors
    /// An object cannot be read, or is no file.
    pub fn only_files_below(&self, folder: &str) -> Result<BTreeMap<String, Oid>, GitError> {
        self.below(folder, true)
    }

    fn below(&self, folder: &str, strict: bool) -> Result<BTreeMap<String, Oid>, GitError> {
        let mut files = BTreeMap::new();
        if let Some(tree) = self.folder(folder)? {
            self.walk(folder, &tree, strict, &mut files)?;
        }
        Ok(files)
    }

    /// Tells whether everything at the top of the commit is one of these plain files or of these folders.
    pub fn holds_only(&self, files: &[&str], folders: &[&str]) -> bool {
        self.tree.iter().all(|entry| {
            let named = |names: &[&str]| entry.name().is_ok_and(|name| names.contains(&name));
            match entry.kind() {
                Some(ObjectType::Blob) => entry.filemode() == 0o100_644 && named(files),
                Some(ObjectType::Tree) => named(folders),
                _ => false,
            }
        })
    }

    /// Returns the folder at a path, to look into it often; `None` where there is none.
    ///
    /// # Errors
    /// A tree cannot be read.
    pub fn opened(&self, path: &str) -> Result<Option<Folder<'repo>>, GitError> {
        Ok(self.folder(path)?.map(|tree| Folder { repository: self.repository, tree }))
    }

    /// Returns the object at a path, `None` where there is none.
    ///
    /// # Errors
    /// A tree cannot be read.
    pub fn oid_of(&self, path: &str) -> Result<Option<Oid>, GitError> {
        match self.tree.get_path(Path::new(path)) {
            Ok(entry) => Ok(Some(entry.id())),
            Err(fault) if fault.code() == git2::ErrorCode::NotFound => Ok(None),
            Err(fault) => Err(failed(format!("read {path}"))(fault)),
        }
    }

    fn walk(&self, path: &str, tree: &Tree<'_>, strict: bool, files: &mut BTreeMap<String, Oid>) -> Result<(), GitError> {
        for entry in tree.iter() {
            let name = entry.name().map_err(|_| self.content(path, &"a name in it is not UTF-8"))?;
            let path = format!("{path}/{name}");
            match entry.kind() {
                Some(kind) if strict && self.repository.header(entry.id()).is_some_and(|(own, _)| own != kind) => {
                    return Err(self.content(&path, &"it is no file"));
                }
                Some(ObjectType::Tree) => {
                    let below = self.repository.git().find_tree(entry.id()).map_err(failed(format!("read {path}")))?;
                    self.walk(&path, &below, strict, files)?;
                }
                Some(ObjectType::Blob) => drop(files.insert(path, entry.id())),
                _ if strict => return Err(self.content(&path, &"it is no file")),
                _ => drop(files.insert(path, entry.id())),
            }
        }
        Ok(())
    }

    /// Returns the pointer in a blob.
    ///
    /// # Errors
    /// It cannot be read or is no pointer.
    pub fn pointer(&self, path: &str, blob: Oid) -> Result<Pointer, GitError> {
        let found = self.repository.git().find_blob(blob).map_err(failed(format!("read {path}")))?;
        Pointer::decode(found.content()).map_err(|fault| self.content(path, &fault))
    }

    /// Returns a fault about a path of this commit.
    pub fn content(&self, path: &str, fault: &dyn std::fmt::Display) -> GitError {
        GitError::content(self.commit, path, fault)
    }

    /// Returns `<codename>/<component>/<index>` of every index in the suites tree.
    fn indices(&self) -> Result<Vec<String>, GitError> {
        let mut indices = Vec::new();
        let Some(suites) = self.folder("suites")? else { return Ok(indices) };
        for suite in names(&suites) {
            let Some(tree) = self.folder(&format!("suites/{suite}"))? else { continue };
            for component in names(&tree) {
                for index in index_folders(self, &format!("suites/{suite}/{component}"))? {
                    indices.push(format!("{suite}/{component}/{index}"));
                }
            }
        }
        Ok(indices)
    }

    pub(super) fn repository(&self) -> &'repo Repository {
        self.repository
    }

    pub(super) fn folder(&self, path: &str) -> Result<Option<Tree<'repo>>, GitError> {
        match entry_at(&self.tree, path) {
            Some(entry) if entry.kind() == Some(ObjectType::Tree) => {
                self.repository.git().find_tree(entry.id()).map(Some).map_err(failed(format!("read {path}")))
            }
            _ => Ok(None),
        }
    }
}

/// Returns the index folders of a component: those directly in it, and those below `debian-installer`.
pub(super) fn index_folders(snapshot: &Snapshot<'_>, path: &str) -> Result<Vec<String>, GitError> {
    let Some(component) = snapshot.folder(path)? else { return Ok(Vec::new()) };
    let mut folders = Vec::new();
    for name in names(&component) {
        if name != "debian-installer" {
            folders.push(name);
            continue;
        }
        if let Some(installer) = snapshot.folder(&format!("{path}/debian-installer"))? {
            folders.extend(names(&installer).into_iter().map(|name| format!("debian-installer/{name}")));
        }
    }
    Ok(folders)
}

pub(super) fn names(tree: &Tree<'_>) -> Vec<String> {
    tree.iter().filter_map(|entry| Some(entry.name().ok()?.to_owned())).collect()
}

fn entry_in(git: &git2::Repository, tree: &Tree<'_>, path: &str) -> Option<git2::TreeEntry<'static>> {
    let (prefix, name) = path.split_once('/')?;
    let folder = tree.get_name(prefix)?.to_object(git).ok()?.into_tree().ok()?;
    folder.get_name(name).map(|entry| entry.to_owned())
}

fn entry_at(tree: &Tree<'_>, path: &str) -> Option<git2::TreeEntry<'static>> {
    tree.get_path(&PathBuf::from(path)).ok()
}

/// Reads many blobs in parallel and turns each into a value, in the order given.
///
/// # Errors
/// The first blob, in that order, that cannot be read or turned.
pub fn read_blobs<T: Send, E: From<GitError> + Send>(
    repository: &Repository,
    blobs: &[(String, Oid)],
    turn: impl Fn(&str, &[u8]) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    repository.hydrate(blobs.iter().map(|(_, blob)| *blob))?;
    let git_dir = repository.git().path().to_owned();
    // One handle per chunk: handles cannot be shared between threads, and opening one costs about as much as 50 small blobs.
    let chunks: Vec<Result<Vec<T>, E>> = blobs
        .par_chunks(2048)
        .map(|chunk| {
            let own = Repository::open(&git_dir)?;
            chunk
                .iter()
                .map(|(path, blob)| {
                    let found = own.git().find_blob(*blob).map_err(failed(format!("read {path}")))?;
                    turn(path, found.content())
                })
                .collect()
        })
        .collect();
    let mut values = Vec::with_capacity(blobs.len());
    for chunk in chunks {
        values.extend(chunk?);
    }
    Ok(values)
}
