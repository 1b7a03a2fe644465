//! Build output whose files were sent ahead: which are pointers, which are files still, and the manifests beside them.
//!
//! Looks at every file and changes none. `lay_out` makes the whole build output again in another folder, from the object store
//! where there is a pointer, so that it is read like any other; `replace` puts a pointer in place of a file, at once.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::walk::{self, Kind};
use super::{Problem, Problems, in_one_line, reading};
use crate::formats::pool::pointer::Pointer;
use crate::places::store::{Intent, ObjectStore, StoreError};
use crate::words::digest::{ExtraDigests, Hasher};
use crate::words::limits;

/// What the names of files begin with that are being written.
const TEMPORARY: &str = ".ddb-upload-";

/// A file of a build output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// Path below the build output.
    pub path: PathBuf,
    /// Its plain name.
    pub name: String,
    /// What it points at; `None` where it is the file itself.
    pub pointer: Option<Pointer>,
    /// Its state, by which a change is seen.
    state: State,
}

impl Present {
    /// Tells whether the file is empty; such a one has no pointer.
    pub fn is_empty(&self) -> bool {
        self.state.0 == 0
    }
}

/// What changes when somebody writes to a file.
type State = (u64, i64, i64, u64);

/// A manifest as it lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFile {
    /// Path below the build output.
    pub path: PathBuf,
    /// Its plain name.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What lies in a build output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uploaded {
    /// Files and pointers, in the order of paths.
    pub files: Vec<Present>,
    /// Manifests, in the order of paths.
    pub manifests: Vec<ManifestFile>,
}

impl Uploaded {
    /// Looks at a build output; it may be missing or empty.
    ///
    /// # Errors
    /// It cannot be listed, or holds links, devices or files that cannot be opened.
    pub fn look(dir: &Path) -> Result<Self, Problems> {
        let mut uploaded = Self::default();
        if !dir.exists() {
            return Ok(uploaded);
        }
        let (found, mut problems) = walk::files(dir);
        for found in found {
            let mut look = || -> Result<(), String> {
                let (file, metadata) = reading::open(&dir.join(&found.path)).map_err(|fault| in_one_line(&fault))?;
                let longest = if found.kind == Kind::Manifest { limits::SEALED + limits::SEAL } else { limits::POINTER };
                let mut bytes = Vec::new();
                if metadata.len() <= longest as u64 {
                    file.take(longest as u64 + 1).read_to_end(&mut bytes).map_err(|fault| in_one_line(&fault))?;
                } else if found.kind == Kind::Manifest {
                    return Err(format!("has {} bytes, more than a manifest may have", metadata.len()));
                }
                let name = found.name.to_string();
                if found.kind == Kind::Manifest {
                    uploaded.manifests.push(ManifestFile { path: found.path.clone(), name, bytes });
                } else {
                    let state = state(&metadata);
                    uploaded.files.push(Present { path: found.path.clone(), name, pointer: Pointer::decode(&bytes).ok(), state });
                }
                Ok(())
            };
            if let Err(reason) = look() {
                problems.push(Problem { file: found.path.clone(), reason });
            }
        }
        if problems.is_empty() { Ok(uploaded) } else { Err(Problems(problems)) }
    }

    /// Tells whether nothing of it was sent ahead.
    pub fn is_plain(&self) -> bool {
        self.manifests.is_empty() && self.files.iter().all(|file| file.pointer.is_none())
    }

    /// Makes the whole build output again in an empty folder: files are linked, objects fetched, a few at a time. Their bytes
    /// are checked against the pointers.
    ///
    /// # Errors
    /// Objects are missing or hold other bytes, each a problem of its file; or the store or folder fails.
    pub fn lay_out(&self, dir: &Path, store: &dyn ObjectStore, into: &Path, done: &(dyn Fn(&str) + Sync)) -> Result<(), LayOutError> {
        store.announce(Intent::Open, &self.files.iter().filter_map(|present| present.pointer).collect::<Vec<_>>())?;
        let problems = self.files.par_iter().map(|present| {
            let target = into.join(&present.path);
            let failed = |source| LayOutError::Io { path: target.clone(), source };
            if let Some(folder) = target.parent() {
                fs::create_dir_all(folder).map_err(failed)?;
            }
            let problem = match present.pointer {
                Some(pointer) => fetch(store, &pointer, &target)?,
                None => link(&dir.join(&present.path), &target).map(|()| None).map_err(failed)?,
            };
            done(&present.name);
            Ok(problem.map(|reason| Problem { file: present.path.clone(), reason }))
        });
        let problems: Vec<Problem> = problems.collect::<Result<Vec<_>, LayOutError>>()?.into_iter().flatten().collect();
        if problems.is_empty() { Ok(()) } else { Err(LayOutError::Problems(Problems(problems))) }
    }
}

/// Why a build output could not be made again.
#[derive(Debug, thiserror::Error)]
pub enum LayOutError {
    /// Objects are missing or hold other bytes.
    #[error("{0}")]
    Problems(Problems),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file cannot be made.
    #[error("cannot make {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

fn fetch(store: &dyn ObjectStore, pointer: &Pointer, target: &Path) -> Result<Option<String>, LayOutError> {
    let oid = pointer.oid;
    let mut object = match store.open(&oid) {
        Err(StoreError::Missing { .. }) => return Ok(Some(missing(store, pointer))),
        Err(fault @ StoreError::OtherSize { .. }) => return Ok(Some(fault.to_string())),
        object => object?.take(pointer.size.saturating_add(1)),
    };
    let failed = |source| LayOutError::Io { path: target.to_owned(), source };
    let mut file = File::create_new(target).map_err(failed)?;
    let mut hasher = Hasher::new(ExtraDigests::default());
    let mut buffer = vec![0; 1 << 20];
    loop {
        let length = match object.read(&mut buffer) {
            Ok(length) => length,
            // A store that compares the bytes itself says so in this way.
            Err(fault) if fault.kind() == io::ErrorKind::InvalidData => return Ok(Some(other_bytes(store, pointer, &fault))),
            Err(source) => {
                return Err(StoreError::Io { store: store.describe(), operation: format!("read object {oid}"), source }.into());
            }
        };
        let bytes = buffer.get(..length).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        hasher.update(bytes);
        file.write_all(bytes).map_err(failed)?;
    }
    let facts = hasher.finish();
    let found = Pointer::from(&facts);
    if found.size > pointer.size {
        return Ok(Some(format!(
            "the object {oid} in {} is longer than the {} bytes that the pointer says",
            store.describe(),
            pointer.size
        )));
    }
    let said = || format!("it has {} bytes with sha256 {}", found.size, found.oid);
    Ok((found != *pointer).then(|| other_bytes(store, pointer, &said())))
}

fn other_bytes(store: &dyn ObjectStore, pointer: &Pointer, said: &dyn std::fmt::Display) -> String {
    let (oid, store) = (pointer.oid, store.describe());
    format!("the object {oid} in {store} is not what its name says: {said}; remove it, and upload the file again")
}

/// Says that an object is not there.
pub fn missing(store: &dyn ObjectStore, pointer: &Pointer) -> String {
    format!("its object {} is not in the store {}; upload the file again", pointer.oid, store.describe())
}

fn link(file: &Path, target: &Path) -> io::Result<()> {
    if fs::hard_link(file, target).is_ok() {
        return Ok(());
    }
    io::copy(&mut File::open(file)?, &mut File::create_new(target)?).map(drop)
}

fn state(metadata: &fs::Metadata) -> State {
    (metadata.len(), metadata.mtime(), metadata.mtime_nsec(), metadata.ino())
}

/// Puts a pointer in place of a file, or into another folder: at once, with the file's mode.
///
/// # Errors
/// The file changed since it was looked at, or the pointer cannot be written.
pub fn replace(present: &Present, dir: &Path, into: &Path, pointer: &Pointer) -> io::Result<()> {
    let (file, target) = (dir.join(&present.path), into.join(&present.path));
    let metadata = fs::symlink_metadata(&file)?;
    if state(&metadata) != present.state {
        return Err(io::Error::other("it changed while it was uploaded; upload again when the build has ended"));
    }
    write(&target, pointer.encode().as_bytes(), metadata.permissions())
}

/// Writes a manifest at once.
///
/// # Errors
/// It cannot be written.
pub fn write_manifest(into: &Path, name: &str, text: &str) -> io::Result<()> {
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    write(&into.join(name), text.as_bytes(), readable)
}

/// Removes what a killed program was about to write into a folder and those below it.
///
/// # Errors
/// It cannot be removed.
pub fn remove_unfinished(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let (kind, name) = (entry.file_type()?, entry.file_name());
        if kind.is_file() && name.as_encoded_bytes().starts_with(TEMPORARY.as_bytes()) {
            fs::remove_file(entry.path())?;
        } else if kind.is_dir() && !name.as_encoded_bytes().starts_with(b".") {
            remove_unfinished(&entry.path())?;
        }
    }
    Ok(())
}

/// Makes an empty file, unless it is there.
///
/// # Errors
/// It cannot be made.
pub fn write_empty(target: &Path) -> io::Result<()> {
    if target.exists() { Ok(()) } else { write(target, b"", std::os::unix::fs::PermissionsExt::from_mode(0o644)) }
}

fn write(target: &Path, bytes: &[u8], permissions: fs::Permissions) -> io::Result<()> {
    let folder = target.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // A name that begins with a dot is not part of a build output, should this program be killed now.
    let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(permissions)?;
    file.as_file().sync_all()?;
    file.persist(target).map_err(|fault| fault.error).map(drop)
}
