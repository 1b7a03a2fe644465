//! Bringing touched paths of a checkout up to date after the branch moved, so that `git status` stays clean.
//!
//! Only the paths of the commit are looked at. A pool file is written as its pointer: that is what `git lfs` sees as clean,
//! whether its filters are installed or not, and `git lfs checkout` fills it in. A file with local changes is left alone.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use git2::{IndexEntry, IndexTime};

use super::land::Edits;
use super::{GitError, Oid, Repository, failed};
use crate::formats::pool::pointer::Pointer;
use crate::places::digest_of;

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
        for (path, content) in edits {
            let old = snapshot.as_ref().map(|snapshot| snapshot.file(path)).transpose()?.flatten();
            let file = root.join(path);
            if leads_elsewhere(&root, &file) || !is_replaceable(&file, old.as_deref(), content.as_deref())? {
                left.push(path.clone());
                continue;
            }
            match content {
                Some(bytes) => {
                    write_whole(&file, bytes)?;
                    let entry = self.index_entry(path, &file, bytes)?;
                    index.add(&entry).map_err(failed(format!("add {path} to the index")))?;
                }
                None => {
                    remove_with_empty_folders(&root, &file)?;
                    if index.get_path(Path::new(path), 0).is_some() {
                        index.remove_path(Path::new(path)).map_err(failed(format!("remove {path} from the index")))?;
                    }
                }
            }
        }
        index.write().map_err(failed("write the index"))?;
        Ok(left)
    }

    fn index_entry(&self, path: &str, file: &Path, bytes: &[u8]) -> Result<IndexEntry, GitError> {
        let metadata = fs::symlink_metadata(file).map_err(|source| GitError::File { operation: "read", path: file.to_owned(), source })?;
        let id = git2::Oid::hash_object(git2::ObjectType::Blob, bytes).map_err(failed(format!("hash {path}")))?;
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
}

/// Tells whether a folder between the top of the work tree and a file is a link: nothing is written through one.
fn leads_elsewhere(root: &Path, file: &Path) -> bool {
    file.ancestors().skip(1).take_while(|folder| *folder != root).any(Path::is_symlink)
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
