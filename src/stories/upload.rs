//! `ddb-deploy upload`: a build job sends its files to the object store and leaves pointers and a manifest in their place.
//!
//! The files are read and checked as `commit` does, and sent a few at a time. Nothing is replaced by a pointer before the store
//! has said the object's size and the manifest lies there, so that the job can be killed at any moment and run again. An
//! object that no commit names yet is left alone by garbage collection for some days after it was sent or found present.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

use crate::formats::contents::file_list;
use crate::formats::manifest::{Manifest, file_name};
use crate::formats::pool::pointer::Pointer;
use crate::formats::statement::Statement;
use crate::places::build_output::uploaded::{self, Present, Uploaded};
use crate::places::sign::seal::{SealError, Sealer};
use crate::places::sign::uploaders::Uploaders;
use crate::places::store::{Intent, ObjectStore, Put, StoreError, in_parallel};
use crate::stories::archive::{OpenArchive, OpenError, store_in};
use crate::stories::deploy::attest::Attestor;
use crate::stories::deploy::compose::{self, Files, Said};
use crate::stories::deploy::take::{Manifests, ReadOutput, Taking, Verify};
use crate::stories::deploy::{DeployError, refused};
use crate::stories::event::{Event, Listener};
use crate::words::archive::{Archive, ArchiveError};
use crate::words::date::Timestamp;
use crate::words::name::{Codename, SourceName};
use crate::words::version::Version;

/// Where the archive's settings are.
#[derive(Debug, Clone)]
pub enum Settings {
    /// In an archive repository at or above this folder, on the branch named or the one that HEAD points at.
    Archive {
        /// The folder.
        folder: PathBuf,
        /// The branch.
        branch: Option<String>,
    },
    /// In this file, a ddb.toml; a relative store lies beside it.
    File(PathBuf),
}

/// What is to be uploaded and how.
#[derive(Debug)]
pub struct UploadRequest<'a> {
    /// Where the archive's settings are.
    pub settings: Settings,
    /// The build output.
    pub out: PathBuf,
    /// Where pointers and manifest go; `None` puts them in place of the files.
    pub to: Option<PathBuf>,
    /// The suite, where it is named.
    pub suite: Option<String>,
    /// The source package that the CI job says it built.
    pub package: Option<String>,
    /// The version that the CI job says it built.
    pub version: Option<String>,
    /// Web address of the CI job.
    pub job: Option<String>,
    /// Who signs the manifest.
    pub sealer: Option<&'a Sealer>,
    /// Who signs provenance; claims are left to the deploy job.
    pub attestor: Option<&'a Attestor>,
    /// The time, for the validity of signatures.
    pub now: Timestamp,
}

/// What became of the files.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct UploadAnswer {
    /// The suite that the manifest is for.
    pub suite: Codename,
    /// Every source package and version in the build output.
    pub builds: Vec<UploadedBuild>,
    /// The store, as messages name it.
    pub store: String,
    /// The manifest.
    pub manifest: String,
    /// Fingerprints of the keys that signed the manifest.
    pub sealed_by: Vec<String>,
    /// Files that have a pointer now instead of their content, and had none before.
    pub replaced: usize,
    /// Files that were pointers already.
    pub pointers: usize,
    /// Objects that were new to the store.
    pub new_objects: usize,
    /// Their size in bytes.
    pub new_bytes: u64,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// A source package and version in the build output.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct UploadedBuild {
    /// The source package.
    pub source: SourceName,
    /// Its version.
    pub version: Version,
}

/// Why the files were not uploaded.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The settings, the build output or the store is not usable.
    #[error(transparent)]
    Deploy(Box<DeployError>),
    /// The settings file is not usable.
    #[error("{}", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: ArchiveError,
    },
    /// The manifest cannot be signed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The manifest would be too long.
    #[error("the manifest: {0}")]
    Manifest(String),
    /// The store does not hold what was sent.
    #[error("object store {store} says that {file} was stored, and has no object {oid} of {size} bytes; nothing was replaced", oid = pointer.oid, size = pointer.size)]
    NotStored {
        /// The store.
        store: String,
        /// The file.
        file: String,
        /// Its pointer.
        pointer: Pointer,
    },
    /// The folder for pointers holds something else.
    #[error("{} holds {file}, which no upload left there; name an empty folder with --to", to.display())]
    Occupied {
        /// The folder.
        to: PathBuf,
        /// The file.
        file: String,
    },
    /// A file cannot be read or written.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

impl From<DeployError> for UploadError {
    fn from(error: DeployError) -> Self {
        Self::Deploy(Box::new(error))
    }
}

impl From<OpenError> for UploadError {
    fn from(error: OpenError) -> Self {
        DeployError::from(error).into()
    }
}

impl From<StoreError> for UploadError {
    fn from(error: StoreError) -> Self {
        DeployError::from(error).into()
    }
}

/// Uploads a build output.
///
/// # Errors
/// See [`UploadError`]; every file is then there still or replaced by a pointer whose object is in the store, and the next run
/// goes on from there.
pub fn upload(request: &UploadRequest<'_>, listener: Listener<'_>) -> Result<UploadAnswer, UploadError> {
    let place = Place::open(&request.settings)?;
    // Where the store has no room for file lists, they are made again from the packages.
    let lists = compose::wants_contents(&place.archive).then(|| place.store.beside(file_list::KIND)).flatten();
    let taking = Taking {
        out: &request.out,
        suite: request.suite.as_deref(),
        said: Said { package: request.package.as_deref(), version: request.version.as_deref(), job: request.job.as_deref() },
        archive: &place.archive,
        // Whoever seals the manifest answers for every file in it.
        uploaders: place.uploaders.as_ref().filter(|_| request.sealer.is_none()),
        now: request.now,
        lists: lists.as_deref(),
        attestor: request.attestor,
        work: &request.out,
        listener,
    };
    let mut found = Uploaded::look(&request.out).unwrap_or_default();
    let to = request.to.as_deref().unwrap_or(&request.out);
    let before = earlier(request, to)?;
    uploaded::remove_unfinished(to).map_err(|source| UploadError::Io { operation: "clean up", path: to.to_owned(), source })?;
    let store = place.store.as_ref();
    let (read, _scratch) = if found.files.iter().any(|file| file.pointer.is_some()) {
        // A run that was killed, or one more file since: what was sent is read again, as its manifest alone proves nothing.
        Manifests::read(&taking, &found, Verify::Full)?;
        let scratch = taking.lay_out(&found, store, &request.out)?;
        (taking.read(scratch.folder(), taking.suite, taking.uploaders)?, Some(scratch))
    } else {
        (taking.read(&request.out, taking.suite, taking.uploaders)?, None)
    };
    let ReadOutput { statement, files, attested } = read;
    if request.to.is_none() && !attested.files.is_empty() {
        // From here on it is as if the build had left it.
        leave(&attested.files, &files, to)?;
        let left = Uploaded::look(&request.out).map_err(|problems| refused(&request.out, problems))?;
        found.files.extend(left.files.into_iter().filter(|file| attested.files.contains_key(&file.name)));
    }
    // What is found now is what was read: a file that comes or changes later is not replaced.
    let (new_objects, new_bytes) = send(store, &files, listener)?;
    confirm(store, &files)?;
    let manifest = Manifest { ddb: env!("CARGO_PKG_VERSION").to_owned(), store: store.describe(), statement };
    let too_long = |fault: crate::formats::sealed::SealedError| UploadError::Manifest(fault.to_string());
    let mut sealed = manifest.seal().map_err(too_long)?;
    if let Some(sealer) = request.sealer {
        sealed = sealer.seal(sealed, request.now)?;
    }
    let name = file_name(&sealed);
    let failed = |operation, path: PathBuf| move |source| UploadError::Io { operation, path, source };
    uploaded::write_manifest(to, &name, &sealed.encode()).map_err(failed("write", to.join(&name)))?;
    let pointers = manifest.pointers();
    let replaced = replace(&found.files, request, to, &pointers)?;
    if request.to.is_some() {
        for (made, pointer) in &attested.files {
            uploaded::write_manifest(to, made, &pointer.encode()).map_err(failed("write", to.join(made)))?;
        }
    }
    clean(&before, (&name, &attested.files), to, request.to.is_some().then_some(&found))?;
    Ok(UploadAnswer {
        suite: manifest.statement.suite.clone(),
        builds: builds(&manifest.statement),
        store: store.describe(),
        manifest: to.join(&name).display().to_string(),
        sealed_by: request.sealer.map(Sealer::fingerprints).unwrap_or_default(),
        replaced,
        pointers: found.files.iter().filter(|file| file.pointer.is_some()).count(),
        new_objects,
        new_bytes,
        notes: place.notes(request),
    })
}

/// The settings, and what follows from them.
struct Place {
    archive: Archive,
    uploaders: Option<Uploaders>,
    store: Box<dyn ObjectStore>,
    from_file: bool,
}

impl Place {
    fn open(settings: &Settings) -> Result<Self, UploadError> {
        match settings {
            Settings::Archive { folder, branch } => {
                let open = OpenArchive::open(folder, branch.as_deref())?;
                let tip = open.tip()?;
                let archive = open.configuration(&tip)?;
                let uploaders = open.uploaders(&tip, &archive)?;
                let store = open.store_to_fill(&archive)?;
                Ok(Self { archive, uploaders, store, from_file: false })
            }
            Settings::File(path) => {
                let wrong = |source| UploadError::Settings { path: path.clone(), source };
                let text = std::fs::read_to_string(path).map_err(|fault| wrong(ArchiveError::Toml(fault.to_string())))?;
                let archive = Archive::parse(&text).map_err(wrong)?;
                if archive.store.is_of_repository() {
                    let reason = "it names no store, so that objects lie in the archive repository itself; name that with -C";
                    return Err(wrong(ArchiveError::Toml(reason.to_owned())));
                }
                let beside = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
                let store = store_in(&archive, beside, None)?;
                Ok(Self { archive, uploaders: None, store, from_file: true })
            }
        }
    }

    fn notes(&self, request: &UploadRequest<'_>) -> Vec<String> {
        let mut notes = Vec::new();
        if self.from_file && request.sealer.is_none() && !self.archive.uploaders.is_empty() {
            notes.push(
                "signatures were not checked: the keyrings of uploaders are in the archive repository; the deploy job checks them"
                    .to_owned(),
            );
        }
        if self.archive.store.is_local() {
            notes.push(format!("the store {} is a folder: the deploy job must see the same one", self.store.describe()));
        }
        notes
    }
}

fn builds(statement: &Statement) -> Vec<UploadedBuild> {
    statement.builds.iter().map(|build| UploadedBuild { source: build.source.clone(), version: build.version.clone() }).collect()
}

/// Returns what an earlier run left where pointers go; in another folder than the build output, nothing else may be there.
fn earlier(request: &UploadRequest<'_>, to: &Path) -> Result<Uploaded, UploadError> {
    let there = Uploaded::look(to).map_err(|problems| refused(to, problems));
    if request.to.is_none() {
        // What cannot be looked at is said when the files are read, with everything else.
        return Ok(there.unwrap_or_default());
    }
    let there = there?;
    match there.files.iter().find(|file| file.pointer.is_none() && !file.is_empty()) {
        Some(file) => Err(UploadError::Occupied { to: to.to_owned(), file: file.path.display().to_string() }),
        None => Ok(there),
    }
}

/// Sends files, a few at a time.
fn send(store: &dyn ObjectStore, files: &Files, listener: Listener<'_>) -> Result<(usize, u64), UploadError> {
    listener(Event::Begin { step: "sending files", parts: files.len() });
    let pointers: Vec<Pointer> = files.keys().copied().collect();
    store.announce(Intent::Put, &pointers)?;
    let here: Vec<(Pointer, &Path)> = files.iter().map(|(pointer, file)| (*pointer, file.as_path())).collect();
    let done = |file: &Path| {
        listener(Event::Part { name: file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default() });
    };
    let sent = in_parallel(store, || store.put_files(&here, &done))?;
    listener(Event::End);
    let new = || here.iter().zip(&sent).filter(|(_, put)| **put == Put::New);
    Ok((new().count(), new().map(|((pointer, _), _)| pointer.size).sum()))
}

/// Asks the store for the size of every object: its word at sending is not enough to give up the file.
fn confirm(store: &dyn ObjectStore, files: &Files) -> Result<(), UploadError> {
    let pointers: Vec<Pointer> = files.keys().copied().collect();
    store.announce(Intent::Open, &pointers)?;
    let confirm = |(pointer, file): (&Pointer, &PathBuf)| match store.size(&pointer.oid)? {
        Some(size) if size == pointer.size => Ok(()),
        _ => Err(UploadError::NotStored { store: store.describe(), file: file.display().to_string(), pointer: *pointer }),
    };
    in_parallel(store, || files.par_iter().try_for_each(confirm))
}

/// Puts pointers in place of files. An empty file has no pointer and stays, or is copied.
fn replace(files: &[Present], request: &UploadRequest<'_>, to: &Path, pointers: &BTreeMap<String, Pointer>) -> Result<usize, UploadError> {
    let mut replaced = 0;
    for file in files {
        let Some(pointer) = pointers.get(&file.name).filter(|pointer| pointer.size > 0) else {
            if request.to.is_some() && file.is_empty() {
                let path = to.join(&file.path);
                uploaded::write_empty(&path).map_err(|source| UploadError::Io { operation: "write", path, source })?;
            }
            continue;
        };
        if file.pointer.is_some() && request.to.is_none() {
            continue;
        }
        let path = to.join(&file.path);
        uploaded::replace(file, &request.out, to, pointer).map_err(|source| UploadError::Io {
            operation: "put a pointer in place of",
            path,
            source,
        })?;
        replaced += usize::from(file.pointer.is_none());
    }
    Ok(replaced)
}

/// Puts provenance that was made beside the files that it is about.
fn leave(made: &BTreeMap<String, Pointer>, files: &Files, to: &Path) -> Result<(), UploadError> {
    for (name, pointer) in made {
        let failed = |operation, path: &Path| {
            let path = path.to_owned();
            move |source| UploadError::Io { operation, path, source }
        };
        let Some(file) = files.get(pointer) else { continue };
        let text = std::fs::read_to_string(file).map_err(failed("read", file))?;
        uploaded::write_manifest(to, name, &text).map_err(failed("write", &to.join(name)))?;
    }
    Ok(())
}

/// Removes manifests that the new one stands for, and in a folder of their own pointers whose files are gone.
fn clean(
    before: &Uploaded,
    (manifest, made): (&str, &BTreeMap<String, Pointer>),
    to: &Path,
    own: Option<&Uploaded>,
) -> Result<(), UploadError> {
    let old = before.manifests.iter().map(|file| &file.path).filter(|path| *path != Path::new(manifest));
    let kept: BTreeSet<&PathBuf> = own.iter().flat_map(|found| &found.files).map(|file| &file.path).collect();
    let is_made = |path: &Path| path.to_str().is_some_and(|path| made.contains_key(path));
    let gone = before.files.iter().map(|file| &file.path).filter(|path| own.is_some() && !kept.contains(path) && !is_made(path));
    for path in old.chain(gone) {
        let path = to.join(path);
        std::fs::remove_file(&path).map_err(|source| UploadError::Io { operation: "remove", path, source })?;
    }
    Ok(())
}
