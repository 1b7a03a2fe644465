//! The archive repository: Git's object database and refs, edited without checkout or index.
//!
//! A ref update is the commit point. `Repository` opens a bare or ordinary repository; `read` looks at a commit, `land` makes
//! a commit by tree edits and moves a ref by compare-and-swap, `worktree` brings touched paths of a checkout up to date.
//! Nothing here knows what a package is, except where `read` lists records and pointers.

mod compare;
pub mod credential;
pub mod edit;
pub mod history;
mod hydrate;
pub mod land;
mod objects;
mod pack;
mod program;
pub mod read;
pub mod remote;
pub mod roots;
pub mod settings;
pub mod suites;
pub mod worktree;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Once;

pub use git2::Oid;

/// What went wrong in Git.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// No repository at or above this folder.
    #[error("{} is not in a Git repository; `ddb-deploy init` makes an archive", path.display())]
    NotFound {
        /// The folder.
        path: PathBuf,
    },
    /// The repository belongs to another user.
    #[error("{} belongs to another user; if you trust it, run `git config --global --add safe.directory {}`", path.display(), path.display())]
    Owner {
        /// The repository.
        path: PathBuf,
    },
    /// An operation of the Git library failed.
    #[error("git: cannot {operation}")]
    Git {
        /// What was tried, with the path or ref.
        operation: String,
        /// The library's own words.
        #[source]
        source: git2::Error,
    },
    /// A file of the work tree could not be read or written.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The branch does not exist.
    #[error("the repository {} has no commit on {branch}; `ddb-deploy init` makes the first one", path.display())]
    NoBranch {
        /// The repository.
        path: PathBuf,
        /// The ref's full name.
        branch: String,
    },
    /// There is no remote of this name.
    #[error("{} has no remote {name}; `git remote add {name} URL` makes one", path.display())]
    NoRemote {
        /// The repository.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// HEAD is detached and no branch was named.
    #[error("HEAD of {} is detached; name the branch with --branch", path.display())]
    DetachedHead {
        /// The repository.
        path: PathBuf,
    },
    /// A file of the repository is not what it should be.
    #[error("{path} in commit {commit}: {fault}")]
    Content {
        /// Path in the repository.
        path: String,
        /// The commit.
        commit: String,
        /// What is wrong.
        fault: String,
    },
    /// Something of the repository is not here.
    #[error("{} is {what}, which does not tell what is still needed; {remedy}", path.display())]
    NotWhole {
        /// The repository.
        path: PathBuf,
        /// What it is.
        what: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A partial clone lacks objects and cannot get them.
    #[error("this clone lacks {count} objects and cannot fetch them: {fault}")]
    Hydrate {
        /// How many.
        count: usize,
        /// What Git said.
        fault: String,
    },
    /// A ref stays locked.
    #[error("{reference} is locked by another program; if none is running, one was killed: remove {}", lock.display())]
    Locked {
        /// The ref's full name.
        reference: String,
        /// The lock.
        lock: PathBuf,
    },
    /// Other writers moved the branch again and again.
    #[error("{branch} was moved by others {tries} times in a row; try again")]
    Contended {
        /// The ref's full name.
        branch: String,
        /// How often it was tried.
        tries: u32,
    },
}

pub(crate) fn failed(operation: impl Into<String>) -> impl FnOnce(git2::Error) -> GitError {
    let operation = operation.into();
    move |source| GitError::Git { operation, source }
}

impl GitError {
    /// Returns the fault that a path of a commit is not what it should be.
    pub fn content(commit: Oid, path: &str, fault: &dyn std::fmt::Display) -> Self {
        Self::Content { path: path.to_owned(), commit: commit.to_string(), fault: fault.to_string() }
    }
}

/// Who makes a commit, and when in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The name.
    pub name: String,
    /// The mail address.
    pub email: String,
    /// Seconds since 1970-01-01 UTC.
    pub time: i64,
}

/// An open repository.
pub struct Repository {
    git: git2::Repository,
    /// Objects that this process put into packs here, to be looked up without a file for each.
    packed: RefCell<HashSet<Oid>>,
}

impl Repository {
    /// Opens the repository at this folder or the nearest one above it.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn discover(path: &Path) -> Result<Self, GitError> {
        match git2::Repository::discover(path) {
            Ok(git) => Ok(Self::of(git)),
            Err(fault) if fault.code() == git2::ErrorCode::NotFound => Err(GitError::NotFound { path: path.to_owned() }),
            Err(fault) if fault.code() == git2::ErrorCode::Owner => {
                Err(GitError::Owner { path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()) })
            }
            Err(fault) => Err(failed(format!("open {}", path.display()))(fault)),
        }
    }

    /// Opens the repository whose Git folder this is.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(git_dir: &Path) -> Result<Self, GitError> {
        git2::Repository::open(git_dir).map(Self::of).map_err(failed(format!("open {}", git_dir.display())))
    }

    /// Opens the repository in exactly this folder, or makes one there with the branch `main`.
    ///
    /// # Errors
    /// The folder cannot be made or written.
    pub fn open_or_init(path: &Path, bare: bool) -> Result<Self, GitError> {
        if let Ok(git) = git2::Repository::open(path) {
            return Ok(Self::of(git));
        }
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(bare).initial_head("main").mkpath(true);
        git2::Repository::init_opts(path, &options).map(Self::of).map_err(failed(format!("make a repository in {}", path.display())))
    }

    /// Returns the Git folder (`.git`, or the bare repository itself), shared by all work trees.
    pub fn git_dir(&self) -> &Path {
        self.git.commondir()
    }

    /// Returns the top of the work tree, `None` where the repository is bare.
    pub fn work_dir(&self) -> Option<&Path> {
        self.git.workdir()
    }

    /// Returns the folder that relative paths of the configuration start from: the work tree, else the bare repository.
    pub fn root(&self) -> &Path {
        self.work_dir().unwrap_or_else(|| self.git_dir())
    }

    /// Returns the full name of the branch: the one named, else the one that HEAD points at.
    ///
    /// # Errors
    /// None is named and HEAD is detached.
    pub fn branch(&self, named: Option<&str>) -> Result<String, GitError> {
        if let Some(name) = named {
            return Ok(if name.starts_with("refs/") { name.to_owned() } else { format!("refs/heads/{name}") });
        }
        let head = self.git.find_reference("HEAD").map_err(failed("read HEAD"))?;
        match head.symbolic_target() {
            Ok(Some(target)) => Ok(target.to_owned()),
            _ => Err(GitError::DetachedHead { path: self.root().to_owned() }),
        }
    }

    /// Returns the commit that a ref points at, `None` where there is no such ref.
    ///
    /// # Errors
    /// The ref cannot be read or points at no commit.
    pub fn tip(&self, reference: &str) -> Result<Option<Oid>, GitError> {
        match self.git.find_reference(reference) {
            Ok(found) => found.peel_to_commit().map(|commit| Some(commit.id())).map_err(failed(format!("read {reference}"))),
            Err(fault) if fault.code() == git2::ErrorCode::NotFound => Ok(None),
            Err(fault) => Err(failed(format!("read {reference}"))(fault)),
        }
    }

    /// Returns the commit that a ref points at.
    ///
    /// # Errors
    /// There is no such ref.
    pub fn expect_tip(&self, reference: &str) -> Result<Oid, GitError> {
        self.tip(reference)?.ok_or_else(|| GitError::NoBranch { path: self.root().to_owned(), branch: reference.to_owned() })
    }

    /// Returns the refs whose names begin with this, with the commits that they point at.
    ///
    /// # Errors
    /// The refs cannot be read.
    pub fn refs_below(&self, prefix: &str) -> Result<BTreeMap<String, Oid>, GitError> {
        let found = self.git.references_glob(&format!("{prefix}*")).map_err(failed(format!("list {prefix}*")))?;
        let mut refs = BTreeMap::new();
        for reference in found {
            let reference = reference.map_err(failed(format!("list {prefix}*")))?;
            if let (Ok(name), Some(oid)) = (reference.name(), reference.target()) {
                refs.insert(name.to_owned(), oid);
            }
        }
        Ok(refs)
    }

    /// Returns who made a commit.
    ///
    /// # Errors
    /// There is no such commit.
    pub fn author_of(&self, commit: Oid) -> Result<Author, GitError> {
        let found = self.git.find_commit(commit).map_err(failed(format!("read commit {commit}")))?;
        let author = found.author();
        // Whoever can push can push a commit without a name; it could not be named as an author then.
        let text = |bytes: &[u8]| {
            let text: String =
                String::from_utf8_lossy(bytes).chars().filter(|letter| !letter.is_control() && !"<>".contains(*letter)).collect();
            if text.chars().any(char::is_alphanumeric) { text } else { "unknown".to_owned() }
        };
        Ok(Author { name: text(author.name_bytes()), email: text(author.email_bytes()), time: author.when().seconds() })
    }

    /// Returns the first parent of a commit.
    ///
    /// # Errors
    /// There is no such commit.
    pub fn parent(&self, commit: Oid) -> Result<Option<Oid>, GitError> {
        let found = self.git.find_commit(commit).map_err(failed(format!("read commit {commit}")))?;
        Ok(found.parent_ids().next())
    }

    /// Returns the parents that a commit names, in order, also those that a shallow clone does not have.
    ///
    /// # Errors
    /// There is no such commit.
    pub fn named_parents(&self, commit: Oid) -> Result<Vec<Oid>, GitError> {
        let found = self.git.find_commit(commit).map_err(failed(format!("read commit {commit}")))?;
        let header = String::from_utf8_lossy(found.raw_header_bytes()).into_owned();
        Ok(header.lines().filter_map(|line| line.strip_prefix("parent ")?.parse().ok()).collect())
    }

    /// Points HEAD at a branch.
    ///
    /// # Errors
    /// HEAD cannot be written.
    pub fn point_head_at(&self, branch: &str) -> Result<(), GitError> {
        self.git.set_head(branch).map_err(failed(format!("point HEAD at {branch}")))
    }

    /// Returns a setting of Git's configuration.
    pub fn setting(&self, key: &str) -> Option<String> {
        self.git.config().and_then(|mut config| config.snapshot()).ok()?.get_string(key).ok()
    }

    /// Returns a setting of the user's and the machine's Git configuration, outside any repository.
    pub fn user_setting(key: &str) -> Option<String> {
        git2::Config::open_default().and_then(|mut config| config.snapshot()).ok()?.get_string(key).ok()
    }

    /// Returns the refs that say what is current here: HEAD, and what was last seen of its branch on each remote.
    pub fn checked_out(&self) -> Vec<String> {
        let branch = self.branch(None).ok();
        let short = branch.as_deref().and_then(|branch| branch.strip_prefix("refs/heads/"));
        let remotes = self.git.remotes().ok();
        let names = remotes.iter().flat_map(|names| names.iter().filter_map(|name| name.ok().flatten()));
        let tracking = names.filter_map(|name| Some(format!("refs/remotes/{name}/{}", short?)));
        std::iter::once("HEAD".to_owned()).chain(tracking).collect()
    }

    /// Returns the addresses of all remotes.
    pub fn remote_urls(&self) -> Vec<String> {
        let names = self.git.remotes().ok();
        let names = names.iter().flat_map(|names| names.iter().filter_map(|name| name.ok().flatten()));
        names.filter_map(|name| Some(self.git.find_remote(name).ok()?.url().ok()?.to_owned())).collect()
    }

    /// Writes a setting into the repository's own configuration, unless it has that value there already.
    ///
    /// # Errors
    /// The configuration cannot be written.
    pub fn set(&self, key: &str, value: &str) -> Result<(), GitError> {
        let config =
            self.git.config().and_then(|config| config.open_level(git2::ConfigLevel::Local)).map_err(failed("open the configuration"))?;
        let mut config = config;
        if config.get_string(key).ok().as_deref() == Some(value) {
            return Ok(());
        }
        config.set_str(key, value).map_err(failed(format!("set {key}")))
    }

    fn of(git: git2::Repository) -> Self {
        // As Git itself does: hashing every object on every read would cost more than reading it. `git fsck` is for that.
        static ONCE: Once = Once::new();
        ONCE.call_once(|| git2::opts::strict_hash_verification(false));
        Self { git, packed: RefCell::default() }
    }

    fn is_packed(&self, oid: Oid) -> bool {
        self.packed.borrow().contains(&oid)
    }

    fn remember_packed(&self, names: HashSet<Oid>) {
        self.packed.borrow_mut().extend(names);
    }

    pub(crate) fn git(&self) -> &git2::Repository {
        &self.git
    }
}
