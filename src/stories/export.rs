//! `ddb-publish export`: what was served, as one folder of plain files for any web server, for `file:` or for rsync.
//!
//! The folder is made beside its place and renamed into it, so that nobody sees a part. Pool files share the blocks or the inode
//! of the store's objects where that is possible; there are no symbolic links.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::formats::blocks::sheet::KIND;
use crate::formats::client;
use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::formats::release::by_hash_paths;
use crate::places::store::{ObjectStore, key};
use crate::places::target::fs::FolderTarget;
use crate::places::target::plan::{Class, Plan, Step};
use crate::places::target::{Content, TargetError};
use crate::stories::archive::{OpenArchive, OpenError};
use crate::stories::event::{Event, Listener};
use crate::stories::fold::{is_contents, patches, whole_pool};
use crate::stories::publish::{KEYRING, PublishError, history as history_of};
use crate::stories::served::index::{self, IndexFault};
use crate::stories::served::snapshot::{self, SnapshotFault, SnapshotId};
use crate::stories::served::{Edition, ServedError, Whole, history};
use crate::words::archive::Links;
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// What is to be exported.
#[derive(Debug, Clone)]
pub struct ExportRequest {
    /// The folder. It must not be there, or be empty, or be an earlier export.
    pub folder: PathBuf,
    /// The suites; none means all that were served.
    pub codenames: Vec<Codename>,
    /// Which state; without one, the newest.
    pub snapshot: Option<SnapshotId>,
    /// The address in the sources stanzas; without one, the configured one, else the folder.
    pub url: Option<String>,
}

/// What was exported. The folder holds it too, as `ddb-export.json`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ExportAnswer {
    /// The folder.
    pub folder: PathBuf,
    /// The suites.
    pub suites: Vec<ExportedSuite>,
    /// Pool files.
    pub pool_files: usize,
    /// Their bytes together.
    pub pool_bytes: u64,
    /// Other files.
    pub other_files: usize,
    /// Whether an earlier export stood in its place.
    pub replaced: bool,
}

/// One suite of an export.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ExportedSuite {
    /// The suite.
    pub codename: Codename,
    /// Counts the Releases of the suite from 1.
    pub sequence: u64,
    /// `Date` of Release.
    pub date: String,
    /// The commit whose records and configuration were folded.
    pub base: String,
    /// SHA-256 of Release.
    pub release: Sha256,
}

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The archive cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What was served cannot be read.
    #[error(transparent)]
    Served(#[from] ServedError),
    /// The snapshot's name means nothing.
    #[error(transparent)]
    Snapshot(#[from] SnapshotFault),
    /// The records of a base commit cannot be read.
    #[error(transparent)]
    Publish(Box<PublishError>),
    /// The files cannot be written.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Nothing was served.
    #[error("no Release of {what} was served; `ddb-publish dists` publishes one")]
    Nothing {
        /// The suite, or the archive.
        what: String,
    },
    /// An index cannot be had.
    #[error("Release {sequence} of {codename}: {fault}; and commit {base} does not fold to it any more")]
    Index {
        /// The suite.
        codename: Codename,
        /// Counts the Releases of the suite.
        sequence: u64,
        /// The commit that was folded.
        base: String,
        /// What is wrong with the blocks.
        fault: IndexFault,
    },
    /// One name means different bytes in two suites.
    #[error("{path} has other bytes in {codename} than in a suite before it; export the suites apart, with --suite")]
    Conflict {
        /// The path.
        path: String,
        /// The suite.
        codename: Codename,
    },
    /// Something else is there.
    #[error("{} is there and is no earlier export; name another folder, or remove it", path.display())]
    InTheWay {
        /// The folder.
        path: PathBuf,
    },
    /// The folder cannot be made.
    #[error("cannot {operation} {}", path.display())]
    Folder {
        /// What was tried.
        operation: &'static str,
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl From<PublishError> for ExportError {
    fn from(fault: PublishError) -> Self {
        Self::Publish(Box::new(fault))
    }
}

/// The file that says that a folder is an export.
const MARK: &str = "ddb-export.json";

/// Exports what was served.
///
/// # Errors
/// See `ExportError`; the folder is then as before.
pub fn export(request: &ExportRequest, open: &OpenArchive, listener: Listener<'_>) -> Result<ExportAnswer, ExportError> {
    let replaces = may_be_written(&request.folder)?;
    let tip = open.tip()?;
    let archive = open.configuration(&tip)?;
    let editions = editions(request, open)?;
    let (store, blocks) = (open.store(&archive)?, open.derived(&archive, KIND)?);
    let mut files = Files::default();
    let mut suites = Vec::new();
    for edition in editions.values() {
        listener(Event::Detail(format!("reading Release {} of {}", edition.sequence, edition.codename)));
        let whole = Whole::read(open, edition)?;
        files.add_dists(open, blocks.as_ref(), &whole)?;
        files.add_pool(open, &whole)?;
        let local = || client::file_uri(&std::path::absolute(&request.folder).unwrap_or_else(|_| request.folder.clone()).to_string_lossy());
        let address = request.url.clone().or_else(|| archive.archive.url.clone()).unwrap_or_else(local);
        if let Some(suite) = whole.archive.suite(&edition.codename) {
            let stanza = client::sources_stanza(&address, &edition.codename, suite, &whole.keyring);
            files.put(Class::Client, format!("{}.sources", edition.codename), stanza.into_bytes());
        }
        files.put(Class::Client, KEYRING.to_owned(), whole.keyring.clone().into_bytes());
        suites.push(ExportedSuite {
            codename: edition.codename.clone(),
            sequence: edition.sequence,
            date: edition.date.iso8601(),
            base: edition.base.to_string(),
            release: Sha256::of(&whole.release),
        });
    }
    let pool_bytes = files.pool.values().map(|pointer| pointer.size).sum();
    let (pool_files, other_files) = (files.pool.len(), files.steps.len());
    let answer = ExportAnswer { folder: request.folder.clone(), suites, pool_files, pool_bytes, other_files, replaced: replaces };
    files.put(Class::Client, MARK.to_owned(), serde_json::to_vec_pretty(&answer).unwrap_or_default());
    write(&request.folder, files.plan(), store.as_ref(), replaces, listener)?;
    Ok(answer)
}

fn editions(request: &ExportRequest, open: &OpenArchive) -> Result<BTreeMap<Codename, Edition>, ExportError> {
    let mut histories = history::all(&open.repository)?;
    for codename in &request.codenames {
        if !histories.contains_key(codename) {
            return Err(ExportError::Nothing { what: codename.to_string() });
        }
    }
    if !request.codenames.is_empty() {
        histories.retain(|codename, _| request.codenames.contains(codename));
    }
    if histories.is_empty() {
        return Err(ExportError::Nothing { what: "any suite".to_owned() });
    }
    match &request.snapshot {
        Some(id) => Ok(snapshot::resolve(&open.repository, &histories, open.tip()?.commit(), id)?),
        None => Ok(histories.into_iter().filter_map(|(codename, editions)| Some((codename, editions.into_iter().next()?))).collect()),
    }
}

/// The files of an export.
#[derive(Default)]
struct Files {
    steps: BTreeMap<String, Step>,
    pool: BTreeMap<String, Pointer>,
}

impl Files {
    fn put(&mut self, class: Class, path: String, bytes: Vec<u8>) {
        self.steps.insert(path.clone(), Step { class, path, content: Some(Content::Bytes(Arc::new(bytes))) });
    }

    fn add_dists(&mut self, open: &OpenArchive, blocks: &dyn ObjectStore, whole: &Whole) -> Result<(), ExportError> {
        let Edition { codename, sequence, base, .. } = &whole.edition;
        let recorded = index::recorded(open, whole);
        // Contents are folded by themselves: they may be lost where all else is not.
        let mut folded: BTreeMap<bool, BTreeMap<String, Vec<u8>>> = BTreeMap::new();
        let root = format!("dists/{codename}");
        for (path, listed) in &whole.parsed.files {
            let bytes = match index::join(blocks, recorded.as_ref(), whole, path, listed) {
                Ok(bytes) => bytes,
                Err(IndexFault::NotRecorded { .. }) if recorded.as_ref().is_some_and(|recorded| index::is_of(recorded, whole)) => continue,
                Err(fault) => {
                    let again = folded.entry(is_contents(path)).or_insert_with(|| index::folded(open, whole, path));
                    match again.remove(path) {
                        Some(bytes) => bytes,
                        // Without a record of what was written, a plain form that is only listed looks like a lost file.
                        None if recorded.is_none() && !again.is_empty() && is_plain(path) => continue,
                        None => {
                            let (codename, sequence, base) = (codename.clone(), *sequence, base.to_string());
                            return Err(ExportError::Index { codename, sequence, base, fault });
                        }
                    }
                }
            };
            if whole.parsed.acquire_by_hash {
                for name in by_hash_paths(path, listed) {
                    self.put(Class::ByHash, format!("{root}/{name}"), bytes.clone());
                }
            }
            self.put(Class::Index, format!("{root}/{path}"), bytes);
        }
        for (path, _) in recorded.iter().flat_map(|(_, sheets)| patches(sheets)) {
            // A patch that is gone costs clients the whole index and nothing else.
            if let Some(Ok((bytes, _))) = recorded.as_ref().and_then(|recorded| index::patch(blocks, recorded, &path)) {
                self.put(Class::ByHash, format!("{root}/{path}"), bytes);
            }
        }
        let history = history_of(&root, &whole.release);
        for (kind, proof) in &whole.proofs {
            self.put(Class::Signature, format!("{root}/{}", kind.file()), proof.clone());
            let first = whole.first.get(kind).unwrap_or(proof);
            self.put(Class::ByHash, format!("{history}.{}", kind.ending()), first.clone());
            self.put(Class::ByHash, format!("{history}.release"), whole.release.clone());
        }
        self.put(Class::Signature, format!("{root}/Release.gpg"), whole.signatures.detached.clone());
        self.put(Class::Release, format!("{root}/Release"), whole.release.clone());
        self.put(Class::InRelease, format!("{root}/InRelease"), whole.signatures.in_release.clone());
        Ok(())
    }

    fn add_pool(&mut self, open: &OpenArchive, whole: &Whole) -> Result<(), ExportError> {
        let codename = &whole.edition.codename;
        let base = open.repository.snapshot(whole.edition.base).map_err(ServedError::Git)?;
        // Where the indices name objects directly, these are what clients ask for.
        let direct = whole.archive.target.objects_below(&whole.archive.store);
        let named: BTreeMap<PoolPath, Pointer> = whole_pool(&open.repository, &base, codename).map_err(PublishError::from)?;
        for (path, pointer) in named {
            let path = direct.as_ref().map_or_else(|| path.to_string(), |below| format!("{below}/{}", key(&pointer.oid)));
            if self.pool.insert(path.clone(), pointer).is_some_and(|other| other != pointer) {
                return Err(ExportError::Conflict { path, codename: codename.clone() });
            }
        }
        Ok(())
    }

    fn plan(self) -> Plan {
        let object = |(path, pointer): (String, Pointer)| Step { class: Class::Pool, path, content: Some(Content::Object(pointer)) };
        Plan::new(self.pool.into_iter().map(object).chain(self.steps.into_values()).collect())
    }
}

fn is_plain(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    ["Packages", "Sources", "Translation-en"].contains(&name)
}

/// Tells whether an earlier export stands in the folder's place.
fn may_be_written(folder: &Path) -> Result<bool, ExportError> {
    let failed = |source| ExportError::Folder { operation: "look at", path: folder.to_owned(), source };
    match fs::read_dir(folder) {
        Ok(_) if folder.join(MARK).is_file() => Ok(true),
        Ok(entries) => match entries.count() {
            0 => Ok(false),
            _ => Err(ExportError::InTheWay { path: folder.to_owned() }),
        },
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(fault) if fault.kind() == io::ErrorKind::NotADirectory => Err(ExportError::InTheWay { path: folder.to_owned() }),
        Err(fault) => Err(failed(fault)),
    }
}

/// Writes the files beside the folder and puts them in its place.
pub(super) fn write(folder: &Path, plan: Plan, store: &dyn ObjectStore, replaces: bool, listener: Listener<'_>) -> Result<(), ExportError> {
    let failed = |operation| move |source| ExportError::Folder { operation, path: folder.to_owned(), source };
    // `a/b/` has the parent `a/b` in the eyes of `Path::parent` no more than `a/b` has: both have `a`.
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(above).map_err(failed("make the folder of"))?;
    let new = tempfile::Builder::new().prefix(".ddb-export-").tempdir_in(above).map_err(failed("make a folder beside"))?;
    fs::set_permissions(new.path(), Permissions::from_mode(0o755)).map_err(failed("open to readers"))?;
    let target = FolderTarget::new(new.path(), Links::Auto);
    listener(Event::Begin { step: "exporting", parts: plan.steps().len() });
    plan.apply(&target, store, &|step| listener(Event::Part { name: step.path.clone() }), &|| true)?;
    listener(Event::End);
    target.clear().map_err(failed("finish"))?;
    if replaces {
        use rustix::fs::{CWD, RenameFlags};
        rustix::fs::renameat_with(CWD, new.path(), CWD, folder, RenameFlags::EXCHANGE)
            .map_err(io::Error::from)
            .map_err(failed("replace"))?;
        // What stood there has the temporary name now.
        return new.close().map_err(failed("remove what stood in the place of"));
    }
    fs::rename(new.path(), folder).map_err(failed("put an export in the place of"))?;
    let _ = new.keep();
    Ok(())
}
