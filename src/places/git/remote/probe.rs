//! What a Git remote can do and lets this credential do: fetches and pushes that are tried once, each for one answer.

use std::fs;
use std::path::Path;

use super::{Move, Pushed, Remote, RemoteError, answer, git_command, push_arguments, run};
use crate::places::git::GitError;

/// How the newest commit of a branch came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetched {
    /// Without the history before it.
    pub shallow: bool,
    /// Without blobs.
    pub filtered: bool,
}

/// What became of a push that was tried once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trial {
    /// Every branch moved.
    Moved,
    /// Somebody else moved one of them first.
    Lost,
    /// The server takes no push options; nothing moved.
    NoPushOptions,
    /// The server cannot move several branches or none; nothing moved.
    NotAtomic,
}

impl Remote {
    /// Fetches the newest commit of a branch without history and blobs into a repository that is thrown away.
    ///
    /// # Errors
    /// The remote cannot be reached or refuses.
    pub fn try_fetch(&self, reference: &str) -> Result<Fetched, RemoteError> {
        let folder = tempfile::tempdir().map_err(of_file("make a folder in", Path::new("the folder for temporary files")))?;
        git2::Repository::init_bare(folder.path())
            .map_err(crate::places::git::failed(format!("make a repository in {}", folder.path().display())))?;
        // Credential helpers, extra headers and the remote's address may stand in the repository's own configuration.
        let included = std::path::absolute(self.git_dir.join("config")).map_err(of_file("find", &self.git_dir))?;
        let path = folder.path().join("config");
        let own = fs::read_to_string(&path).map_err(of_file("read", &path))?;
        let quoted = included.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
        let mut file = tempfile::NamedTempFile::new_in(folder.path()).map_err(of_file("write", &path))?;
        std::io::Write::write_all(&mut file, format!("[include]\n\tpath = \"{quoted}\"\n{own}").as_bytes())
            .map_err(of_file("write", &path))?;
        file.persist(&path).map_err(|fault| of_file("write", &path)(fault.error))?;
        let mut command = git_command(&self.root, folder.path(), &self.address);
        command.args(["fetch", "--no-tags", "--no-recurse-submodules", "--depth=1", "--filter=blob:none", &self.name]);
        command.arg(format!("+{reference}:refs/ddb/probe"));
        let said = run(&mut command, None)?;
        if !said.ok {
            return Err(answer::of_failure("fetch from", &self.describe(), &said.err));
        }
        Ok(Fetched { shallow: folder.path().join("shallow").exists(), filtered: !said.err.contains("filtering not recognized") })
    }

    /// Pushes once, with nothing left out that the server does not take.
    ///
    /// # Errors
    /// The remote cannot be reached, wants another credential, or refuses.
    pub fn try_push(&self, moves: &[Move], options: &[String], atomic: bool) -> Result<Trial, RemoteError> {
        let arguments = push_arguments(&self.name, moves, options, atomic);
        let said = self.git(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), None)?;
        if said.ok {
            return Ok(Trial::Moved);
        }
        if said.err.contains("does not support push options") {
            return Ok(Trial::NoPushOptions);
        }
        if said.err.contains("does not support --atomic") {
            return Ok(Trial::NotAtomic);
        }
        Ok(match answer::of_push(&self.describe(), &said.out, &said.err)? {
            Pushed::Moved => Trial::Moved,
            Pushed::Lost => Trial::Lost,
        })
    }
}

/// Returns what a program says to `--version`, `None` where it does not run. `git lfs` is two words.
pub fn version_of(program: &[&str]) -> Option<String> {
    let (first, rest) = program.split_first()?;
    let output = std::process::Command::new(first).args(rest).arg("--version").output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned())
}

fn of_file(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> RemoteError {
    move |source| GitError::File { operation, path: path.to_owned(), source }.into()
}
