//! Git-LFS around an archive: the store behind a forge's batch API, the transfer agent, objects for a clone, `.lfsconfig`.

pub mod agent;
pub mod fetch;
pub mod install;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::formats::git_lfs::lfsconfig;
use crate::formats::pool::pointer::Pointer;
use crate::places::credentials;
use crate::places::git::read::{Snapshot, read_blobs};
use crate::places::git::remote::without_secrets;
use crate::places::git::{GitError, Repository};
use crate::places::store::lfs::http::Patience;
use crate::places::store::lfs::{LfsOptions, LfsStore};
use crate::places::store::{ObjectStore, StoreError};
use crate::stories::archive::{OpenArchive, OpenError};
use crate::stories::provenance::Compared;
use crate::words::archive::{Archive, LfsSettings};
use crate::words::digest::ObjectId;

/// Returns the store behind a forge's batch API; without a repository, one whose folder this is.
///
/// # Errors
/// The certificate authorities cannot be read.
pub fn batch_store(repository: Option<&Repository>, root: &Path, settings: &LfsSettings) -> Result<LfsStore, StoreError> {
    let given = credentials::given();
    let urls = repository.map(Repository::remote_urls).unwrap_or_default();
    let of_git = given.git_token.filter(|_| urls.iter().any(|url| host(url) == host(&settings.url)));
    let git_dir = repository.map_or(root, Repository::git_dir).to_owned();
    let tips = repository.map(Repository::checked_out).unwrap_or_default();
    LfsStore::new(LfsOptions {
        url: settings.url.clone(),
        token: given.lfs_token.or(of_git),
        authorities: given.authorities,
        git_dir: git_dir.clone(),
        sizes: Box::new(move || tips.iter().filter_map(|tip| sizes(&git_dir, tip).ok()).flatten().collect()),
        patience: Patience::default(),
    })
}

/// Why a clone cannot reach the archive's objects.
#[derive(Debug, thiserror::Error)]
pub enum CloneError {
    /// The archive cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store is a folder of the machine where the archive is.
    #[error("the archive keeps its objects in a folder on the machine where it is ({}), and {remote} is no folder here; set store.s3 or store.lfs in ddb.toml", store.display())]
    Local {
        /// The folder, as ddb.toml means it there.
        store: PathBuf,
        /// Where this clone came from.
        remote: String,
    },
}

/// Opens the archive of a clone at its HEAD, which may be detached, as it is while CI jobs run.
///
/// # Errors
/// There is no repository.
pub fn open_clone(folder: &Path, branch: Option<&str>) -> Result<OpenArchive, OpenError> {
    match OpenArchive::open(folder, branch) {
        Err(OpenError::Git(GitError::DetachedHead { .. })) => Ok(OpenArchive {
            repository: Repository::discover(folder)?,
            branch: "HEAD".to_owned(),
            remote: None,
            compared: Compared::default(),
        }),
        open => open,
    }
}

/// Returns the archive's object store, for a clone: a folder that ddb.toml names lies in the repository that was cloned, where
/// that is on this machine.
///
/// # Errors
/// It is on another machine, or cannot be used.
pub fn store_of_clone(open: &OpenArchive, archive: &Archive, remote: &str) -> Result<Box<dyn ObjectStore>, CloneError> {
    let settings = &archive.store;
    if !settings.is_local() || settings.path.as_deref().is_some_and(|path| Path::new(path).is_absolute()) {
        return Ok(open.store(archive)?);
    }
    let address = open.repository.setting(&format!("remote.{remote}.url")).unwrap_or_else(|| remote.to_owned());
    let path = open.repository.root().join(address.strip_prefix("file://").unwrap_or(&address));
    match Repository::open(&path) {
        Ok(repository) => {
            Ok(OpenArchive { repository, branch: open.branch.clone(), remote: None, compared: Compared::default() }.store(archive)?)
        }
        // The archive itself, which was cloned from nowhere.
        Err(_) if address == remote && open.repository.remote_urls().is_empty() => Ok(open.store(archive)?),
        Err(_) => {
            let store = settings.path.as_deref().map_or_else(|| PathBuf::from(".git/lfs/objects"), PathBuf::from);
            Err(CloneError::Local { store, remote: without_secrets(&address) })
        }
    }
}

/// Returns what is wrong between `[lfs]` of ddb.toml and `.lfsconfig` of a commit, and how to put it right.
///
/// # Errors
/// The commit cannot be read.
pub fn lfsconfig_fault(snapshot: &Snapshot<'_>, archive: &Archive) -> Result<Option<String>, GitError> {
    let bytes = snapshot.file(lfsconfig::PATH)?;
    let text = bytes.as_deref().map(String::from_utf8_lossy);
    Ok(lfsconfig::disagreement(text.as_deref(), archive.lfs.url.as_deref()))
}

/// Returns the name of the remote of a branch.
pub fn remote_of(open: &OpenArchive) -> String {
    let short = open.branch.strip_prefix("refs/heads/").unwrap_or(&open.branch);
    open.repository.setting(&format!("branch.{short}.remote")).unwrap_or_else(|| "origin".to_owned())
}

/// Returns the host of a remote's address, also of one without a scheme (`git@host:path`).
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host.split(':').next().unwrap_or(host)
}

/// Returns the sizes of all objects that the pool names, for servers that answer only to those who know them.
fn sizes(git_dir: &Path, reference: &str) -> Result<BTreeMap<ObjectId, u64>, GitError> {
    let repository = Repository::open(git_dir)?;
    let Some(tip) = repository.tip(reference)? else { return Ok(BTreeMap::new()) };
    let blobs: Vec<_> = repository.snapshot(tip)?.pool()?.into_iter().collect();
    let pointers = read_blobs(&repository, &blobs, |_, bytes| Ok::<_, GitError>(Pointer::decode(bytes).ok()))?;
    Ok(pointers.into_iter().flatten().map(|pointer| (pointer.oid, pointer.size)).collect())
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn a_remote_and_a_batch_api_on_the_same_host_are_known_as_such() {
        for url in ["https://user:x@git.example.org:8443/a.git", "git@git.example.org:a/b.git", "ssh://git@git.example.org/a"] {
            assert_eq!(host(url), "git.example.org");
        }
        assert_ne!(host("https://git.example.org@evil.example/a"), "git.example.org");
    }
}
