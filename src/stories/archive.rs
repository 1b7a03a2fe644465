//! Opening an archive repository: its branch, its configuration at a commit, its object store and published tree.

use std::path::{Path, PathBuf};

use crate::formats::contents::file_list;
use crate::places::git::land::Edits;
use crate::places::git::read::Snapshot;
use crate::places::git::remote::{Remote, RemoteError};
use crate::places::git::{Author, GitError, Oid, Repository};
use crate::places::s3::S3Error;
use crate::places::sign::uploaders::Uploaders;
use crate::places::sign::{KeyringError, PublicCertificate, armored_keyring};
use crate::places::store::fs::FolderStore;
use crate::places::store::s3::S3Store;
use crate::places::store::{ObjectStore, StoreError};
use crate::places::target::PublishTarget;
use crate::places::target::fs::FolderTarget;
use crate::places::target::s3::S3Target;
use crate::stories::lfs;
use crate::stories::provenance::Compared;
use crate::words::archive::{Archive, ArchiveError};
use crate::words::limits;

/// Why an archive cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The commit holds no `ddb.toml`.
    #[error("commit {commit} of {} holds no ddb.toml; `ddb-deploy init` makes an archive", path.display())]
    NoArchive {
        /// The repository.
        path: PathBuf,
        /// The commit.
        commit: Oid,
    },
    /// The Git remote cannot be used.
    #[error(transparent)]
    Remote(RemoteError),
    /// `ddb.toml` is not usable.
    #[error("commit {commit}")]
    Archive {
        /// The commit.
        commit: Oid,
        /// What is wrong.
        #[source]
        source: ArchiveError,
    },
    /// A bucket cannot be used.
    #[error(transparent)]
    S3(#[from] S3Error),
    /// A keyring that `uploaders` names is not usable.
    #[error("the keyrings that `uploaders` of ddb.toml names")]
    Uploaders(#[source] KeyringError),
    /// A file in `keys/` is no keyring.
    #[error("the certificates in keys/")]
    Keys(#[source] KeyringError),
    /// A certificate cannot be written out.
    #[error("cannot write a certificate")]
    Armor(#[source] std::io::Error),
    /// `signing.keys` names a certificate that is not in `keys/`.
    #[error("signing.keys of ddb.toml names {fingerprint}, but keys/ of commit {commit} does not hold that certificate")]
    NoKey {
        /// The fingerprint.
        fingerprint: String,
        /// The commit.
        commit: Oid,
    },
    /// The object store cannot be used.
    #[error(transparent)]
    Store(Box<StoreError>),
    /// Objects lie in the repository, and there is none.
    #[error("the configuration in {} names no object store outside the archive repository", path.display())]
    NoStore {
        /// The folder of the configuration.
        path: PathBuf,
    },
    /// A file that `[provenance.projects]` names is not usable.
    #[error("{path}, which [provenance.projects] of ddb.toml names: {fault}")]
    Provenance {
        /// The path.
        path: String,
        /// What is wrong.
        fault: String,
    },
    /// A file that ddb.toml names is missing.
    #[error("ddb.toml names {path} as {role}, but commit {commit} does not hold it")]
    NoFile {
        /// The path.
        path: String,
        /// What it is for.
        role: &'static str,
        /// The commit.
        commit: Oid,
    },
}

impl From<StoreError> for OpenError {
    fn from(fault: StoreError) -> Self {
        Self::Store(Box::new(fault))
    }
}

/// Returns the object store of a configuration whose relative paths start from a folder; without a repository, one that does
/// not lie in it.
///
/// # Errors
/// What it needs is not there.
pub fn store_in(archive: &Archive, root: &Path, repository: Option<&Repository>) -> Result<Box<dyn ObjectStore>, OpenError> {
    let store = &archive.store;
    if let Some(lfs) = &store.lfs {
        return Ok(Box::new(lfs::batch_store(repository, root, lfs)?));
    }
    Ok(match (&store.s3, &store.path, repository) {
        (Some(bucket), _, _) => Box::new(S3Store::new(bucket, store.url.as_deref(), store.part_size)?),
        (None, Some(path), _) => Box::new(FolderStore::new(&root.join(path))),
        (None, None, Some(repository)) => Box::new(FolderStore::of_repository(repository)),
        (None, None, None) => return Err(OpenError::NoStore { path: root.to_owned() }),
    })
}

/// An open archive repository and the branch that is the archive.
pub struct OpenArchive {
    /// The repository.
    pub repository: Repository,
    /// The branch's full name.
    pub branch: String,
    /// The remote whose branch is the commit point; `None` where this repository's is.
    pub remote: Option<Remote>,
    /// The records that were compared with their packages.
    pub compared: Compared,
}

impl OpenArchive {
    /// Opens the archive at or above this folder.
    ///
    /// # Errors
    /// There is no repository, or no branch is named and HEAD is detached.
    pub fn open(folder: &Path, branch: Option<&str>) -> Result<Self, OpenError> {
        let repository = Repository::discover(folder)?;
        let branch = repository.branch(branch)?;
        Ok(Self { repository, branch, remote: None, compared: Compared::default() })
    }

    /// Returns the branch's newest commit, with a remote as last fetched.
    ///
    /// # Errors
    /// The branch has none, or this repository and the remote have diverged.
    pub fn tip(&self) -> Result<Snapshot<'_>, OpenError> {
        let none = || GitError::NoBranch { path: self.repository.root().to_owned(), branch: self.branch.clone() };
        Ok(self.repository.snapshot(self.base()?.ok_or_else(none)?)?)
    }

    /// Returns the configuration at a commit.
    ///
    /// # Errors
    /// There is none, or it is not usable.
    pub fn configuration(&self, snapshot: &Snapshot<'_>) -> Result<Archive, OpenError> {
        let commit = snapshot.commit();
        let no_archive = || OpenError::NoArchive { path: self.repository.root().to_owned(), commit };
        let bytes = snapshot.file("ddb.toml")?.ok_or_else(no_archive)?;
        let wrong = |fault: String| OpenError::Archive { commit, source: ArchiveError::Toml(fault) };
        if bytes.len() as u64 > limits::CONFIGURATION {
            return Err(wrong(format!("it has {} bytes, more than {}", bytes.len(), limits::CONFIGURATION)));
        }
        let text = String::from_utf8(bytes).map_err(|fault| wrong(fault.to_string()))?;
        Archive::parse(&text).map_err(|source| OpenError::Archive { commit, source })
    }

    /// Tells whether a file of the work tree is there and differs from the newest commit's.
    ///
    /// # Errors
    /// The branch has no commit.
    pub fn work_tree_differs(&self, path: &str) -> Result<bool, OpenError> {
        let Some(root) = self.repository.work_dir() else { return Ok(false) };
        let committed = self.tip()?.file(path)?;
        Ok(std::fs::read(root.join(path)).is_ok_and(|bytes| Some(bytes) != committed))
    }

    /// Returns the object store.
    ///
    /// # Errors
    /// What it needs is not there.
    pub fn store(&self, archive: &Archive) -> Result<Box<dyn ObjectStore>, OpenError> {
        store_in(archive, self.repository.root(), Some(&self.repository))
    }

    /// Returns the store for objects of this kind that are derived from others and can be made again, such as `blocks-v1`. It
    /// lies outside the Git-LFS hierarchy, where neither Git-LFS, `fsck` nor `gc` of the object store sees it: beside the
    /// objects in the bucket or folder.
    ///
    /// # Errors
    /// What it needs is not there.
    pub fn derived(&self, archive: &Archive, kind: &str) -> Result<Box<dyn ObjectStore>, OpenError> {
        let store = &archive.store;
        Ok(match &store.s3 {
            Some(bucket) => Box::new(S3Store::new(bucket, None, store.part_size)?.derived(kind)),
            None => Box::new(self.folder_store(archive).derived(kind)),
        })
    }

    /// Returns the store of file lists (`file-lists-v1`), on the connections of this object store where it has any.
    ///
    /// # Errors
    /// What it needs is not there.
    pub fn lists(&self, archive: &Archive, store: &dyn ObjectStore) -> Result<Box<dyn ObjectStore>, OpenError> {
        store.beside(file_list::KIND).map_or_else(|| self.derived(archive, file_list::KIND), Ok)
    }

    fn folder_store(&self, archive: &Archive) -> FolderStore {
        match &archive.store.path {
            Some(path) => FolderStore::new(&self.repository.root().join(path)),
            None => FolderStore::of_repository(&self.repository),
        }
    }

    /// Returns the object store for writing: stock Git-LFS will leave alone what is put there.
    ///
    /// # Errors
    /// What it needs is not there, or the repository's configuration cannot be written.
    pub fn store_to_fill(&self, archive: &Archive) -> Result<Box<dyn ObjectStore>, OpenError> {
        if archive.store.is_of_repository() {
            FolderStore::guard_against_prune(&self.repository)?;
        }
        self.store(archive)
    }

    /// Returns the published tree: the folder named, else the configured bucket or folder.
    ///
    /// # Errors
    /// What it needs is not there.
    pub fn target(&self, archive: &Archive, named: Option<&Path>) -> Result<Box<dyn PublishTarget>, OpenError> {
        if let (None, Some(s3)) = (named, &archive.target.s3) {
            return Ok(Box::new(S3Target::new(s3)?));
        }
        let path = named.map_or_else(|| self.repository.root().join(&archive.target.path), Path::to_owned);
        Ok(Box::new(FolderTarget::new(&path, archive.target.links)))
    }

    /// Returns the certificates directly in `keys/`, each with its path: what clients get as keyring.
    ///
    /// # Errors
    /// A file there is no keyring of public certificates.
    pub fn certificates(&self, snapshot: &Snapshot<'_>) -> Result<Vec<(String, PublicCertificate)>, OpenError> {
        let mut certificates = Vec::new();
        for name in snapshot.files_in("keys")?.iter().filter(|name| [".asc", ".gpg", ".pgp"].iter().any(|ending| name.ends_with(ending))) {
            let path = format!("keys/{name}");
            let bytes = snapshot.file(&path)?.unwrap_or_default();
            let read = PublicCertificate::read_all(&path, &bytes).map_err(OpenError::Keys)?;
            certificates.extend(read.into_iter().map(|certificate| (path.clone(), certificate)));
        }
        Ok(certificates)
    }

    /// Returns the certificates in `keys/` as one armored keyring: what clients get.
    ///
    /// # Errors
    /// A file there is no keyring.
    pub fn keyring(&self, snapshot: &Snapshot<'_>) -> Result<String, OpenError> {
        let certificates: Vec<_> = self.certificates(snapshot)?.into_iter().map(|(_, certificate)| certificate).collect();
        let armored = armored_keyring(&certificates).map_err(OpenError::Armor)?;
        Ok(String::from_utf8_lossy(&armored).into_owned())
    }

    /// Commits a certificate to a file in `keys/`, in place of the same one in an earlier state; others in the file stay.
    ///
    /// # Errors
    /// The file is no keyring, or Git fails.
    pub fn put_certificate(&self, path: &str, fingerprint: &str, armored: &[u8], author: &Author) -> Result<(), OpenError> {
        let _held = self.repository.hold_work_tree()?;
        let (_, (before, edits)) = self.repository.land(&self.branch, "ddb-publish key", |tip| {
            let tip = tip.ok_or_else(|| GitError::NoBranch { path: self.repository.root().to_owned(), branch: self.branch.clone() })?;
            let mut bytes = armored.to_vec();
            if let Some(present) = self.repository.snapshot(tip)?.file(path)? {
                for other in PublicCertificate::read_all(path, &present)
                    .map_err(OpenError::Keys)?
                    .iter()
                    .filter(|other| other.fingerprint() != fingerprint)
                {
                    bytes.extend(other.armored().map_err(OpenError::Armor)?);
                }
            }
            let edits = Edits::from([(path.to_owned(), Some(bytes))]);
            let commit = self.repository.commit(Some(tip), &edits, &format!("Add the certificate {fingerprint}.\n"), author)?;
            Ok::<_, OpenError>((Some(commit), (tip, edits)))
        })?;
        self.repository.refresh_work_tree(&self.branch, Some(before), &edits)?;
        Ok(())
    }

    /// Returns the certificates that sign: those that `signing.keys` names, else all directly in `keys/`.
    ///
    /// # Errors
    /// A file there is no keyring, or a certificate that `signing.keys` names is not there.
    pub fn signing_certificates(&self, snapshot: &Snapshot<'_>, archive: &Archive) -> Result<Vec<(String, PublicCertificate)>, OpenError> {
        let certificates = self.certificates(snapshot)?;
        if archive.signing.keys.is_empty() {
            return Ok(certificates);
        }
        let plain = |text: &str| text.replace(' ', "").to_uppercase();
        let named = archive.signing.keys.iter().map(|wanted| {
            let found = certificates.iter().find(|(_, certificate)| certificate.fingerprint() == plain(wanted));
            found.cloned().ok_or_else(|| OpenError::NoKey { fingerprint: wanted.clone(), commit: snapshot.commit() })
        });
        named.collect()
    }

    /// Returns the keys that may upload, `None` where anybody may.
    ///
    /// # Errors
    /// A keyring is missing or not usable.
    pub fn uploaders(&self, snapshot: &Snapshot<'_>, archive: &Archive) -> Result<Option<Uploaders>, OpenError> {
        if archive.uploaders.is_empty() {
            return Ok(None);
        }
        let mut keyrings = Vec::new();
        for path in &archive.uploaders {
            let path = path.trim_end_matches('/');
            let folder = snapshot.files_in(path)?;
            let files =
                if folder.is_empty() { vec![path.to_owned()] } else { folder.iter().map(|file| format!("{path}/{file}")).collect() };
            for file in files {
                let missing = || OpenError::NoFile { path: file.clone(), role: "a keyring of uploaders", commit: snapshot.commit() };
                let bytes = snapshot.file(&file)?.ok_or_else(missing)?;
                keyrings.push((file, bytes));
            }
        }
        Uploaders::load(&keyrings).map(Some).map_err(OpenError::Uploaders)
    }
}
