//! `ddb-deploy init`: an archive repository in an empty folder, or in a Git repository that is none yet.
//!
//! Writes `ddb.toml`, `.gitattributes`, `.gitignore`, `keys/` and, where it is asked for, `.lfsconfig`, and commits them. Nothing that exists is overwritten: an
//! existing `.gitattributes` or `.gitignore` gets the missing lines, anything else in the way is an error.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use crate::formats::git_lfs::lfsconfig;
use crate::places::git::land::Edits;
use crate::places::git::{Author, GitError, Repository};
use crate::places::store::fs::FolderStore;
use crate::words::archive::{Archive, ArchiveError};
use crate::words::name::{Architecture, Codename, Component};

/// What the new archive is like.
#[derive(Debug, Clone)]
pub struct InitRequest {
    /// The folder.
    pub folder: PathBuf,
    /// Whether the repository has no work tree.
    pub bare: bool,
    /// The suite.
    pub suite: Codename,
    /// Its components.
    pub components: Vec<Component>,
    /// Its architectures, beside `all`.
    pub architectures: Vec<Architecture>,
    /// `Origin` and `Label`.
    pub origin: Option<String>,
    /// The address that clients will use.
    pub url: Option<String>,
    /// The batch API that stock Git-LFS is to ask.
    pub lfs_url: Option<String>,
    /// Who commits.
    pub author: Author,
}

/// What was made.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct InitAnswer {
    /// The repository's folder.
    pub repository: PathBuf,
    /// The branch's full name.
    pub branch: String,
    /// The first commit.
    pub commit: String,
    /// The suite.
    pub suite: Codename,
    /// The files that were committed.
    pub files: Vec<String>,
}

/// Why no archive was made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The repository is an archive already.
    #[error("{} is an archive already: its branch {branch} holds ddb.toml; nothing was changed", path.display())]
    Exists {
        /// The repository.
        path: PathBuf,
        /// The branch.
        branch: String,
    },
    /// A file is in the way.
    #[error("{} is in the way and not committed; commit it or move it away, nothing was changed", path.display())]
    InTheWay {
        /// The file.
        path: PathBuf,
    },
    /// The folder is inside another repository.
    #[error("{} is inside the repository {}; make the archive at its top, or elsewhere", path.display(), outer.display())]
    Inside {
        /// The folder.
        path: PathBuf,
        /// The repository around it.
        outer: PathBuf,
    },
    /// There is another `.lfsconfig`.
    #[error("nothing was changed: {reason}")]
    LfsConfig {
        /// What is wrong and what to do.
        reason: String,
    },
    /// The values given make no archive.
    #[error("these values make no archive")]
    Values(#[source] ArchiveError),
}

/// Makes the archive.
///
/// # Errors
/// It exists already, something is in the way, or Git fails; nothing is overwritten.
pub fn init(request: &InitRequest) -> Result<InitAnswer, InitError> {
    let toml = configuration(request);
    Archive::parse(&toml).map_err(InitError::Values)?;
    if let Ok(outer) = Repository::discover(&nearest(&request.folder))
        && !same_folder(outer.root(), &request.folder)
        && !same_folder(outer.git_dir(), &request.folder)
    {
        return Err(InitError::Inside { path: request.folder.clone(), outer: outer.root().to_owned() });
    }
    let repository = Repository::open_or_init(&request.folder, request.bare)?;
    let branch = repository.branch(None)?;
    let (commit, files) = repository.land(&branch, "ddb-deploy init", |tip| {
        let edits = first_files(&repository, tip, &toml, request.lfs_url.as_deref(), &branch)?;
        check_way(&repository, tip, &edits)?;
        let commit =
            repository.commit(tip, &edits, &format!("Make an apt archive with the suite {}.\n", request.suite), &request.author)?;
        Ok::<_, InitError>((Some(commit), (tip, edits)))
    })?;
    FolderStore::guard_against_prune(&repository)?;
    let (before, edits) = files;
    repository.refresh_work_tree(&branch, before, &edits)?;
    Ok(InitAnswer {
        repository: repository.root().to_owned(),
        branch,
        commit: commit.map(|oid| oid.to_string()).unwrap_or_default(),
        suite: request.suite.clone(),
        files: edits.into_keys().collect(),
    })
}

/// Returns the folder, or the nearest one above it that is there.
fn nearest(folder: &Path) -> PathBuf {
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    whole.ancestors().find(|above| above.exists()).unwrap_or(folder).to_owned()
}

fn same_folder(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

fn first_files(
    repository: &Repository,
    tip: Option<crate::places::git::Oid>,
    toml: &str,
    lfs_url: Option<&str>,
    branch: &str,
) -> Result<Edits, InitError> {
    let snapshot = tip.map(|commit| repository.snapshot(commit)).transpose()?;
    let present = |path: &str| snapshot.as_ref().map(|snapshot| snapshot.file(path)).transpose().map(Option::flatten);
    if present("ddb.toml")?.is_some() {
        return Err(InitError::Exists { path: repository.root().to_owned(), branch: branch.to_owned() });
    }
    let mut edits = Edits::from([("ddb.toml".to_owned(), Some(toml.as_bytes().to_vec()))]);
    if present("keys/README")?.is_none() {
        edits.insert("keys/README".to_owned(), Some(KEYS_README.as_bytes().to_vec()));
    }
    if let Some(url) = lfs_url {
        let text = present(lfsconfig::PATH)?;
        match text.as_deref().map(String::from_utf8_lossy) {
            None => drop(edits.insert(lfsconfig::PATH.to_owned(), Some(lfsconfig::write(url).into_bytes()))),
            Some(text) => {
                if let Some(reason) = lfsconfig::disagreement(Some(&text), Some(url)) {
                    return Err(InitError::LfsConfig { reason });
                }
            }
        }
    }
    for (path, line) in [(".gitattributes", ATTRIBUTES), (".gitignore", "/public/")] {
        let mut text = present(path)?.unwrap_or_default();
        if text.split(|byte| *byte == b'\n').any(|known| known == line.as_bytes()) {
            continue;
        }
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
        edits.insert(path.to_owned(), Some(text));
    }
    Ok(edits)
}

fn check_way(repository: &Repository, tip: Option<crate::places::git::Oid>, edits: &Edits) -> Result<(), InitError> {
    let Some(root) = repository.work_dir() else { return Ok(()) };
    let snapshot = tip.map(|commit| repository.snapshot(commit)).transpose()?;
    for path in edits.keys() {
        let committed = snapshot.as_ref().map(|snapshot| snapshot.file(path)).transpose()?.flatten();
        let file = root.join(path);
        let there = std::fs::symlink_metadata(&file).is_ok();
        if there && committed.is_none_or(|bytes| std::fs::read(&file).ok() != Some(bytes)) {
            return Err(InitError::InTheWay { path: file });
        }
    }
    Ok(())
}

/// The line that makes stock Git-LFS take the pool.
pub const ATTRIBUTES: &str = "pool/** filter=lfs diff=lfs merge=lfs -text";

const KEYS_README: &str = "Public OpenPGP certificates, ASCII-armored. Every certificate directly in this folder signs the archive
(`ddb-publish key generate` puts one here); keyrings of uploaders may lie in a folder of their own.
Secret keys never belong here.
";

fn configuration(request: &InitRequest) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let list = |names: Vec<&str>| names.into_iter().map(quoted).collect::<Vec<_>>().join(", ");
    let mut text =
        String::from("# The configuration of this apt archive. Every key is explained in the README of ddb; unknown keys are errors.\n");
    if request.origin.is_some() || request.url.is_some() {
        text.push_str("\n[archive]\n");
    }
    if let Some(origin) = &request.origin {
        text.push_str(&format!("origin = {}\nlabel = {}\n", quoted(origin), quoted(origin)));
    }
    if let Some(url) = &request.url {
        text.push_str(&format!("url = {}\n", quoted(url)));
    }
    if let Some(url) = &request.lfs_url {
        text.push_str(&format!("\n[lfs]\nurl = {}\n", quoted(url)));
    }
    let components = list(request.components.iter().map(Component::as_str).collect());
    let named = request.architectures.iter().filter(|architecture| !architecture.is_all()).map(Architecture::as_str);
    let architectures = list(named.chain(["all"]).collect());
    text.push_str(&format!(
        "\n[suites.{}]\ncomponents = [{components}]\narchitectures = [{architectures}]\n",
        quoted(request.suite.as_str())
    ));
    text
}
