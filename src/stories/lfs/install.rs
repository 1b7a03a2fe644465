//! `ddb-deploy lfs-agent --install`: Git settings that make git-lfs use the agent, and their removal.
//!
//! In one clone the agent serves every transfer. For the whole machine it is bound to an address: that of `lfs.url` in the
//! `.lfsconfig` of the archives it is meant for, so that other repositories are left alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use crate::places::git::settings::{Scope, SettingError};
use crate::places::git::{GitError, Repository};

/// What is to be set.
#[derive(Debug, Clone)]
pub struct InstallRequest {
    /// A folder in the clone.
    pub archive: PathBuf,
    /// For all repositories whose Git-LFS address begins so, instead of this clone.
    pub url: Option<String>,
    /// The program that git-lfs is to run.
    pub program: PathBuf,
    /// Remove the settings instead.
    pub remove: bool,
}

/// What was set or removed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct InstallAnswer {
    /// The clone, `null` where it is for the whole machine.
    pub repository: Option<PathBuf>,
    /// The address, where it is for the whole machine.
    pub url: Option<String>,
    /// Whether the settings were removed.
    pub removed: bool,
    /// The settings with their values.
    pub settings: BTreeMap<String, String>,
}

/// Why nothing was set.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// There is no clone.
    #[error(transparent)]
    Git(#[from] GitError),
    /// Git's configuration cannot be written.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// Another agent is there.
    #[error("{key} is {value}, another agent; remove that setting first")]
    Other {
        /// The setting.
        key: String,
        /// Its value.
        value: String,
    },
    /// The program's path cannot stand in Git's configuration.
    #[error("{} is not UTF-8", path.display())]
    Path {
        /// The path.
        path: PathBuf,
    },
}

/// The name of the agent.
const NAME: &str = "ddb";

/// Sets or removes the settings.
///
/// # Errors
/// There is no clone, another agent is set, or Git's configuration cannot be written.
pub fn install(request: &InstallRequest) -> Result<InstallAnswer, InstallError> {
    let program = request.program.to_str().ok_or_else(|| InstallError::Path { path: request.program.clone() })?;
    let repository = match request.url {
        Some(_) => None,
        None => Some(Repository::discover(&request.archive)?),
    };
    let scope = repository.as_ref().map_or(Scope::Global, |repository| Scope::Local(repository.git_dir()));
    let agent = match &request.url {
        Some(url) => format!("lfs.{url}.standalonetransferagent"),
        None => "lfs.standalonetransferagent".to_owned(),
    };
    if let Some(value) = scope.get(&agent)?.filter(|value| value != NAME) {
        if request.remove {
            return Ok(answer(request, repository.as_ref(), BTreeMap::new()));
        }
        return Err(InstallError::Other { key: agent, value });
    }
    let mut settings = BTreeMap::from([
        (format!("lfs.customtransfer.{NAME}.path"), program.to_owned()),
        (format!("lfs.customtransfer.{NAME}.args"), "lfs-agent".to_owned()),
        (agent, NAME.to_owned()),
    ]);
    // There is no server that git-lfs could ask for locks before a push.
    let locks = request.url.as_ref().map_or("lfs.locksverify".to_owned(), |url| format!("lfs.{url}.locksverify"));
    settings.insert(locks, "false".to_owned());
    if request.remove {
        let mut removed = BTreeMap::new();
        for key in settings.into_keys() {
            if let Some(value) = scope.get(&key)? {
                scope.unset(&key)?;
                removed.insert(key, value);
            }
        }
        return Ok(answer(request, repository.as_ref(), removed));
    }
    for (key, value) in &settings {
        scope.set(key, value)?;
    }
    Ok(answer(request, repository.as_ref(), settings))
}

fn answer(request: &InstallRequest, repository: Option<&Repository>, settings: BTreeMap<String, String>) -> InstallAnswer {
    InstallAnswer {
        repository: repository.map(Repository::root).map(Path::to_owned),
        url: request.url.clone(),
        removed: request.remove,
        settings,
    }
}
