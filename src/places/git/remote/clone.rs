//! ddb's own clones of archives that are named by an address: bare, as shallow and as empty of blobs as the work allows.
//!
//! A fresh runner needs the trees of the newest commit and a handful of blobs to deploy; all its blobs, but no history, to
//! publish. The clone is a cache: it is made again when it is missing, and its branches follow the remote's.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Remote, RemoteError};
use crate::places::git::land::remove_stale_lock;
use crate::places::git::{GitError, Repository};
use crate::words::digest::Sha256;

/// How much history is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What is missing behind what is known already.
    Known,
    /// This many commits, and everything in their trees.
    Commits(u32),
    /// The newest commit with its trees, without blobs.
    Trees,
    /// Everything.
    All,
}

impl Depth {
    pub(super) fn arguments(self) -> Vec<String> {
        match self {
            // The server knows what is here and sends what is new, blobs included: a handful.
            Self::Known => vec!["--no-filter".to_owned()],
            Self::Commits(number) => vec![format!("--depth={number}"), "--no-filter".to_owned()],
            Self::Trees => vec!["--depth=1".to_owned(), "--filter=blob:none".to_owned()],
            Self::All => vec!["--unshallow".to_owned()],
        }
    }
}

/// Tells whether a text names a repository elsewhere instead of a folder: `https://…`, `ssh://…`, `file://…`, `host:path`.
pub fn is_address(text: &str) -> bool {
    let scp = || {
        text.split_once(':')
            .is_some_and(|(host, path)| !host.is_empty() && !host.contains('/') && !path.is_empty() && !Path::new(text).exists())
    };
    text.contains("://") || scp()
}

/// Returns the clone of this address in the cache, made empty where it is not there yet; the caller fetches into it.
///
/// `purpose` keeps clones apart that hold different parts of the repository.
///
/// # Errors
/// The folder cannot be made.
pub fn managed_clone(cache: &Path, purpose: &str, address: &str) -> Result<PathBuf, RemoteError> {
    let digest: String = Sha256::of(address.as_bytes()).to_hex().chars().take(16).collect();
    let folder = cache.join(format!("{purpose}-{digest}.git"));
    let failed = |operation| move |path: PathBuf| move |source| GitError::File { operation, path, source };
    fs::create_dir_all(cache).map_err(failed("make")(cache.to_owned()))?;
    let lock_path = cache.join(format!("{purpose}-{digest}.lock"));
    let lock = fs::File::options().create(true).append(true).open(&lock_path).map_err(failed("make")(lock_path.clone()))?;
    lock.lock().map_err(failed("lock")(lock_path))?;
    if folder.join("config").exists() {
        remove_stale_locks(&folder);
        return Ok(folder);
    }
    let fresh = cache.join(format!("{purpose}-{digest}.new"));
    if fresh.exists() {
        fs::remove_dir_all(&fresh).map_err(failed("remove")(fresh.clone()))?;
    }
    let repository = Repository::open_or_init(&fresh, true)?;
    repository.set("ddb.managed", "true")?;
    repository.set("remote.origin.url", address)?;
    fs::rename(&fresh, &folder).map_err(failed("make")(folder.clone()))?;
    Ok(folder)
}

/// Puts a clone that cannot be used any more out of the way, so that it is made again.
///
/// # Errors
/// It cannot be removed.
pub fn discard_clone(folder: &Path) -> Result<(), RemoteError> {
    let failed = |operation| move |source| GitError::File { operation, path: folder.to_owned(), source };
    // Whoever works in it finds nothing there or the new one, but never a half of it.
    let aside = folder.with_extension(format!("{:016x}.gone", fastrand::u64(..)));
    fs::rename(folder, &aside).map_err(failed("move away"))?;
    Ok(fs::remove_dir_all(&aside).map_err(failed("remove"))?)
}

/// Removes the locks that a killed git left in a clone of ddb's own, where nobody else would.
fn remove_stale_locks(folder: &Path) {
    let mut folders = vec![folder.to_owned(), folder.join("refs"), folder.join("logs")];
    while let Some(within) = folders.pop() {
        let entries = fs::read_dir(&within).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
        for path in entries {
            if path.extension().is_some_and(|extension| extension == "lock") {
                remove_stale_lock(&path);
            } else if within != folder && path.is_dir() && !path.is_symlink() {
                folders.push(path);
            }
        }
    }
}

/// How many packs a clone may gather before they are joined.
const PACKS: usize = 64;

impl Remote {
    /// Joins the packs of ddb's own clone when there are many: every fetch leaves one.
    ///
    /// # Errors
    /// Git does not run.
    pub fn tidy(&self) -> Result<(), RemoteError> {
        let packs = fs::read_dir(self.git_dir.join("objects/pack")).map_or(0, |entries| {
            entries.filter_map(Result::ok).filter(|entry| entry.path().extension().is_some_and(|extension| extension == "pack")).count()
        });
        if !self.managed || packs <= PACKS {
            return Ok(());
        }
        // What fails here is tried again by the next run; the clone works all the same.
        self.git(&["gc", "--quiet"], None).map(drop)
    }

    /// Returns the branch that the remote's HEAD points at, `None` where the remote does not say.
    ///
    /// # Errors
    /// The remote cannot be reached or refuses.
    pub fn head(&self) -> Result<Option<String>, RemoteError> {
        let said = self.patiently("ask", || self.git(&["ls-remote", "--quiet", "--symref", &self.name, "HEAD"], None))?;
        Ok(said.out.lines().find_map(|line| Some(line.strip_prefix("ref: ")?.split_once('\t')?.0.to_owned())))
    }
}
