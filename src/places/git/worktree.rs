//! Bringing touched paths of a checkout up to date after the branch moved, so that `git status` stays clean.
//!
//! Only the paths of the commit are looked at. A pool file is written as its pointer: that is what `git lfs` sees as clean,
//! whether its filters are installed or not, and `git lfs checkout` fills it in. A file with local changes is left alone.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use git2::{IndexEntry, IndexTime, ObjectType};
use rayon::prelude::*;

use super::land::Edits;
use super::read::Snapshot;
use super::{GitError, Oid, Repository, failed};
use crate::formats::pool::pointer::Pointer;
use crate::places::digest_of;

/// How many folders are brought up to date at a time.
const FOLDERS: usize = 4096;

impl Repository {
    /// Waits until no other ddb lands into this work tree; it is held until the value is dropped, from before the branch moves
    /// until the paths are up to date. Nothing is held where there is no work tree.
    ///
    /// # Errors
    /// The lock cannot be made.
    pub fn hold_work_tree(&self) -> Result<Option<fs::File>, GitError> {
        if self.work_dir().is_none() {
            return Ok(None);
        }
        self.hold("ddb-work-tree").map(Some)
    }

    /// Waits until no other ddb fetches into this repository or pushes from it: Git locks single refs, and fails where two
    /// fetches meet.
    ///
    /// # Errors
    /// The lock cannot be made.
    pub fn hold_remote(&self) -> Result<fs::File, GitError> {
        self.hold("ddb-remote")
    }

    fn hold(&self, name: &str) -> Result<fs::File, GitError> {
        let path = self.git().path().join(name);
        let failed = |source| GitError::File { operation: "lock", path: path.clone(), source };
        let lock = fs::File::options().create(true).append(true).open(&path).map_err(failed)?;
        lock.lock().map_err(failed)?;
        Ok(lock)
    }

    /// Brings these paths of the work tree and the index from one commit's state to the next; returns those left alone.
    ///
    /// Nothing happens in a bare repository, where HEAD is on another branch, or where nothing was ever checked out.
    ///
    /// # Errors
    /// A file or the index cannot be written.
    pub fn refresh_work_tree(&self, branch: &str, before: Option<Oid>, edits: &Edits) -> Result<Vec<String>, GitError> {
        let Some(root) = self.work_dir().map(Path::to_owned) else { return Ok(Vec::new()) };
        let on_branch =
            self.git().find_reference("HEAD").is_ok_and(|head| matches!(head.symbolic_target(), Ok(Some(target)) if target == branch));
        if !on_branch || (before.is_some() && !self.git().path().join("index").exists()) {
            return Ok(Vec::new());
        }
        let mut index = self.git().index().map_err(failed("open the index"))?;
        let snapshot = before.map(|commit| self.snapshot(commit)).transpose()?;
        let mut left = Vec::new();
        let git_dir = self.git_dir();
        let mut took = |brought: Vec<(String, Became)>| -> Result<(), GitError> {
            for (path, became) in brought {
                match became {
                    Became::Left => left.push(path),
                    Became::Written(entry) => index.add(&entry).map_err(failed(format!("add {path} to the index")))?,
                    Became::Removed if index.get_path(Path::new(&path), 0).is_some() => {
                        index.remove_path(Path::new(&path)).map_err(failed(format!("remove {path} from the index")))?;
                    }
                    Became::Removed => {}
                }
            }
            Ok(())
        };
        // What goes makes room first, one folder after another: the last file of a folder takes the folder with it.
        let mut own = None;
        for folder in by_folder(edits, false) {
            took(folder.bring(&root, git_dir, &mut own, &self.old_blobs(snapshot.as_ref(), &folder)?)?)?;
        }
        // Some folders at a time, so that a large deploy does not hold an entry for each of its files twice.
        for folders in by_folder(edits, true).chunks(FOLDERS) {
            let old = folders.iter().map(|folder| self.old_blobs(snapshot.as_ref(), folder)).collect::<Result<Vec<_>, _>>()?;
            let bring = |own: &mut Option<Self>, (folder, old): (&Folder<'_>, _)| folder.bring(&root, git_dir, own, &old);
            let brought: Vec<_> = folders.par_iter().zip(old).map_init(|| None, bring).collect::<Result<_, _>>()?;
            took(brought.into_iter().flatten().collect())?;
        }
        index.write().map_err(failed("write the index"))?;
        left.sort();
        Ok(left)
    }

    /// Returns the blobs that the old commit has in a folder.
    fn old_blobs(&self, snapshot: Option<&Snapshot<'_>>, folder: &Folder<'_>) -> Result<HashMap<String, Oid>, GitError> {
        let Some(snapshot) = snapshot else { return Ok(HashMap::new()) };
        if folder.path.is_empty() {
            let blob = |(name, _): &(&str, _)| Ok(snapshot.oid_of(name)?.map(|blob| ((*name).to_owned(), blob)));
            return folder.files.iter().filter_map(|file| blob(file).transpose()).collect();
        }
        let Some(tree) = snapshot.folder(folder.path)? else { return Ok(HashMap::new()) };
        let blobs = tree.iter().filter(|entry| entry.kind() == Some(ObjectType::Blob));
        Ok(blobs.filter_map(|entry| Some((entry.name().ok()?.to_owned(), entry.id()))).collect())
    }
}

/// The edits of one folder.
struct Folder<'a> {
    /// The folder's path; empty at the top.
    path: &'a str,
    /// Names and new contents.
    files: Vec<(&'a str, Option<&'a [u8]>)>,
}

impl Folder<'_> {
    /// Brings the files of one folder to their new state; `own` is this thread's view of the repository, opened when needed.
    fn bring(
        &self,
        root: &Path,
        git_dir: &Path,
        own: &mut Option<Repository>,
        old: &HashMap<String, Oid>,
    ) -> Result<Vec<(String, Became)>, GitError> {
        let place = root.join(self.path);
        let elsewhere = leads_elsewhere(root, &place);
        if !elsewhere && self.files.iter().any(|(_, content)| content.is_some()) {
            fs::create_dir_all(&place).map_err(|source| GitError::File { operation: "make", path: place.clone(), source })?;
        }
        let mut brought = Vec::with_capacity(self.files.len());
        for (name, content) in &self.files {
            let (path, file) = (self.path_of(name), place.join(name));
            if elsewhere {
                brought.push((path, Became::Left));
                continue;
            }
            // In most cases nothing is there.
            let fresh = match content {
                Some(bytes) => write_new(&file, bytes)?,
                None => false,
            };
            if !fresh && fs::symlink_metadata(&file).is_ok() {
                let old = match old.get(*name) {
                    Some(blob) => {
                        if own.is_none() {
                            *own = Some(Repository::open(git_dir)?);
                        }
                        own.as_ref().map(|own| own.blob(*blob, &path)).transpose()?
                    }
                    None => None,
                };
                if !is_replaceable(&file, old.as_deref(), *content)? {
                    brought.push((path, Became::Left));
                    continue;
                }
                if let Some(bytes) = content {
                    write_whole(&file, bytes)?;
                }
            }
            let became = match content {
                Some(bytes) => Became::Written(Box::new(index_entry(&path, &file, bytes)?)),
                None => {
                    remove_with_empty_folders(root, &file)?;
                    Became::Removed
                }
            };
            brought.push((path, became));
        }
        Ok(brought)
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) }
    }
}

/// What became of a path.
enum Became {
    /// It has local changes, or lies behind a link.
    Left,
    /// It has its new content.
    Written(Box<IndexEntry>),
    /// It is gone.
    Removed,
}

/// Returns the edits that write, or those that remove, by folder.
fn by_folder(edits: &Edits, write: bool) -> Vec<Folder<'_>> {
    let mut folders: Vec<Folder<'_>> = Vec::new();
    for (path, content) in edits.iter().filter(|(_, content)| content.is_some() == write) {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let file = (name, content.as_deref());
        match folders.last_mut().filter(|folder| folder.path == above) {
            Some(folder) => folder.files.push(file),
            None => folders.push(Folder { path: above, files: vec![file] }),
        }
    }
    folders
}

fn index_entry(path: &str, file: &Path, bytes: &[u8]) -> Result<IndexEntry, GitError> {
    let metadata = fs::symlink_metadata(file).map_err(|source| GitError::File { operation: "read", path: file.to_owned(), source })?;
    let id = git2::Oid::hash_object(ObjectType::Blob, bytes).map_err(failed(format!("hash {path}")))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "Git's index keeps the low 32 bits of these fields")]
    Ok(IndexEntry {
        ctime: IndexTime::new(metadata.ctime() as i32, metadata.ctime_nsec() as u32),
        mtime: IndexTime::new(metadata.mtime() as i32, metadata.mtime_nsec() as u32),
        dev: metadata.dev() as u32,
        ino: metadata.ino() as u32,
        mode: 0o100_644,
        uid: metadata.uid(),
        gid: metadata.gid(),
        file_size: metadata.len() as u32,
        id,
        flags: 0,
        flags_extended: 0,
        path: path.as_bytes().to_vec(),
    })
}

/// Tells whether a folder of the work tree, or one above it, is a link: nothing is written through one.
fn leads_elsewhere(root: &Path, folder: &Path) -> bool {
    folder.ancestors().take_while(|folder| *folder != root).any(Path::is_symlink)
}

/// Tells whether the file is as the old commit has it (as text or as the object that its pointer names), as the new one, or missing.
fn is_replaceable(file: &Path, old: Option<&[u8]>, new: Option<&[u8]>) -> Result<bool, GitError> {
    let failed = |source| GitError::File { operation: "read", path: file.to_owned(), source };
    let metadata = match fs::symlink_metadata(file) {
        Ok(metadata) => metadata,
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(fault) => return Err(failed(fault)),
    };
    if !metadata.is_file() {
        return Ok(false);
    }
    // A killed run may have left the beginning.
    if let Some(new) = new.filter(|new| metadata.len() < new.len() as u64)
        && new.starts_with(&fs::read(file).map_err(failed)?)
    {
        return Ok(true);
    }
    for known in [old, new].into_iter().flatten() {
        if metadata.len() == known.len() as u64 && fs::read(file).map_err(failed)? == known {
            return Ok(true);
        }
        if let Ok(pointer) = Pointer::decode(known)
            && pointer.size == metadata.len()
        {
            let facts = fs::File::open(file).and_then(digest_of).map_err(failed)?;
            if facts.sha256 == pointer.oid {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Writes a file where there is none yet, as Git does; `false` where something is there.
fn write_new(file: &Path, bytes: &[u8]) -> Result<bool, GitError> {
    let failed = |source| GitError::File { operation: "write", path: file.to_owned(), source };
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(file) {
        Ok(mut made) => made.write_all(bytes).map(|()| true).map_err(|fault| {
            // Half a file would be taken for a change of the user's.
            let _ = fs::remove_file(file);
            failed(fault)
        }),
        Err(fault) if fault.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(fault) => Err(failed(fault)),
    }
}

fn write_whole(file: &Path, bytes: &[u8]) -> Result<(), GitError> {
    let failed = |source| GitError::File { operation: "write", path: file.to_owned(), source };
    let folder = file.parent().map(Path::to_owned).unwrap_or_else(|| PathBuf::from("."));
    fs::create_dir_all(&folder).map_err(failed)?;
    let mut temporary = tempfile::Builder::new()
        .prefix(".ddb-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(&folder)
        .map_err(failed)?;
    temporary.write_all(bytes).map_err(failed)?;
    temporary.persist(file).map_err(|fault| failed(fault.error))?;
    Ok(())
}

fn remove_with_empty_folders(root: &Path, file: &Path) -> Result<(), GitError> {
    match fs::remove_file(file) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            return Err(GitError::File { operation: "remove", path: file.to_owned(), source });
        }
        _ => {}
    }
    for folder in file.ancestors().skip(1).take_while(|folder| *folder != root) {
        if fs::remove_dir(folder).is_err() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::places::git::Author;

    const BRANCH: &str = "refs/heads/main";

    fn edits(all: &[(&str, Option<&str>)]) -> Edits {
        all.iter().map(|(path, content)| ((*path).to_owned(), content.map(|text| text.as_bytes().to_vec()))).collect()
    }

    /// A repository with a work tree in which these files are committed and checked out.
    fn checked_out(folder: &Path, files: &[(&str, Option<&str>)]) -> (Repository, Oid) {
        let repository = Repository::open_or_init(folder, false).unwrap();
        let head = repository.git().set_head(BRANCH);
        head.unwrap();
        let tip = land(&repository, None, &edits(files));
        assert_eq!(repository.refresh_work_tree(BRANCH, None, &edits(files)).unwrap(), [""; 0]);
        (repository, tip)
    }

    fn land(repository: &Repository, tip: Option<Oid>, edits: &Edits) -> Oid {
        let author = Author { name: "Test".into(), email: "test@example.org".into(), time: 1_000_000_000 };
        let commit = repository.commit(tip, edits, "edit", &author).unwrap();
        assert!(repository.compare_and_swap(BRANCH, tip, commit, "test").unwrap());
        commit
    }

    fn status(folder: &Path) -> String {
        let output = std::process::Command::new("git").arg("-C").arg(folder).args(["status", "--porcelain"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn files_take_the_place_of_folders_and_folders_that_of_files() {
        let folder = tempfile::tempdir().unwrap();
        let (repository, tip) =
            checked_out(folder.path(), &[("a", Some("1")), ("b/c/d", Some("2")), ("e/f", Some("3")), ("e/g", Some("4"))]);
        assert_eq!(status(folder.path()), "");
        let edits = edits(&[("a", None), ("a/x", Some("5")), ("b", Some("6")), ("b/c/d", None), ("e/f", None), ("h/i/j", Some("7"))]);
        // One edit does not put a file in a folder's place, but what others push may.
        let (gone, come): (Edits, Edits) = edits.clone().into_iter().partition(|(_, content)| content.is_none());
        let between = land(&repository, Some(tip), &gone);
        land(&repository, Some(between), &come);
        assert_eq!(repository.refresh_work_tree(BRANCH, Some(tip), &edits).unwrap(), [""; 0]);
        assert_eq!(status(folder.path()), "");
        assert_eq!(fs::read(folder.path().join("b")).unwrap(), b"6");
        assert!(folder.path().join("e/g").exists() && !folder.path().join("e/f").exists());
    }

    #[test]
    fn what_somebody_changed_or_put_elsewhere_is_left_alone_and_what_a_killed_run_left_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let (repository, tip) =
            checked_out(root, &[("a", Some("old a")), ("b", Some("old b")), ("c/d", Some("old d")), ("k", Some("old k"))]);
        let edits = edits(&[
            ("a", Some("new a")),
            ("b", None),
            ("c/d", Some("new d")),
            ("f", Some("new f")),
            ("k", Some("new k")),
            ("l/m", Some("new m")),
        ]);
        fs::write(root.join("a"), "mine").unwrap();
        fs::write(root.join("b"), "mine").unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::remove_dir_all(root.join("c")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), root.join("c")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("nothing"), root.join("f")).unwrap();
        fs::write(root.join("k"), "new").unwrap();
        fs::create_dir(root.join("l")).unwrap();
        fs::write(root.join("l/m"), "").unwrap();
        land(&repository, Some(tip), &edits);
        assert_eq!(repository.refresh_work_tree(BRANCH, Some(tip), &edits).unwrap(), ["a", "b", "c/d", "f"]);
        for (path, content) in [("a", "mine"), ("b", "mine"), ("k", "new k"), ("l/m", "new m")] {
            assert_eq!(fs::read_to_string(root.join(path)).unwrap(), content, "{path}");
        }
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }
}
