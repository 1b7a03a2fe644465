//! Git's configuration, of one repository or of the user, written by the git program.

use std::io;
use std::path::Path;
use std::process::Output;

/// Whose settings.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// Those of the repository with this Git folder.
    Local(&'a Path),
    /// Those of the user.
    Global,
}

/// Why a setting was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// There is no git program.
    #[error("cannot run git")]
    Program(#[source] io::Error),
    /// Git refuses.
    #[error("git config {key}: {said}")]
    Refused {
        /// The setting.
        key: String,
        /// Git's words.
        said: String,
    },
}

impl Scope<'_> {
    /// Returns a setting of just this scope.
    ///
    /// # Errors
    /// Git refuses or is not there.
    pub fn get(self, key: &str) -> Result<Option<String>, SettingError> {
        let output = self.git(&["--get", key])?;
        match output.status.code() {
            Some(0) => Ok(Some(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned())),
            Some(1) => Ok(None),
            _ => Err(refused(key, &output)),
        }
    }

    /// Writes a setting.
    ///
    /// # Errors
    /// Git refuses or is not there.
    pub fn set(self, key: &str, value: &str) -> Result<(), SettingError> {
        let output = self.git(&["--replace-all", key, value])?;
        if output.status.success() { Ok(()) } else { Err(refused(key, &output)) }
    }

    /// Removes a setting.
    ///
    /// # Errors
    /// Git refuses or is not there.
    pub fn unset(self, key: &str) -> Result<(), SettingError> {
        let output = self.git(&["--unset-all", key])?;
        // 5: it was not there.
        if output.status.success() || output.status.code() == Some(5) { Ok(()) } else { Err(refused(key, &output)) }
    }

    fn git(self, arguments: &[&str]) -> Result<Output, SettingError> {
        let mut command = super::program::git();
        match self {
            Self::Local(git_dir) => command.arg("--git-dir").arg(git_dir).args(["config", "--local"]),
            Self::Global => command.args(["config", "--global"]),
        };
        command.args(arguments).output().map_err(SettingError::Program)
    }
}

fn refused(key: &str, output: &Output) -> SettingError {
    SettingError::Refused { key: key.to_owned(), said: String::from_utf8_lossy(&output.stderr).trim().to_owned() }
}
