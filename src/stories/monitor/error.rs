//! Why a monitor could not look at all: the repository cannot be read. What logs and sites do is no error, but found.

use super::answer::FindingKind;
use super::findings::Findings;
use crate::formats::release::ReleaseError;
use crate::places::git::{GitError, Oid};
use crate::places::transparency::LogError;
use crate::stories::archive::OpenError;
use crate::stories::publish::PublishError;
use crate::stories::publish::stage::StageError;
use crate::words::causes::chain;
use crate::words::name::Codename;

/// Why a monitor could not look at all, or at a part.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// The archive cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A branch of Releases is not usable.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// What the configuration of a log names is not usable.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The same, as publishing says it.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A Release on a branch cannot be read.
    #[error("Release in commit {commit}")]
    Release {
        /// The commit.
        commit: Oid,
        /// What is wrong.
        #[source]
        source: ReleaseError,
    },
    /// The archive's branch is gone.
    #[error("the branch {branch} is not there")]
    NoBranch {
        /// The branch.
        branch: String,
    },
    /// A suite is named that there is not.
    #[error("there is no suite \"{codename}\" in ddb.toml; known: {known}")]
    NoSuite {
        /// The suite.
        codename: Codename,
        /// Those that there are.
        known: String,
    },
}

/// Says what could not be read among the alarms that were found.
///
/// # Errors
/// There was no alarm; then it is the first of what could not be read.
pub(super) fn say(troubles: Vec<MonitorError>, findings: &mut Findings) -> Result<(), MonitorError> {
    let mut said: Vec<String> = Vec::new();
    for trouble in troubles {
        if findings.alarms.is_empty() {
            return Err(trouble);
        }
        let text = chain(&trouble);
        if !said.contains(&text) {
            findings.lasting(FindingKind::Unreadable, "repository", text.clone());
            said.push(text);
        }
    }
    Ok(())
}
