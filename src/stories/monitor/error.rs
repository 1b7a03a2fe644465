//! Why a monitor could not look at all, or at a part. What logs and sites do is no error, but found; so is what cannot be read.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::answer::FindingKind;
use super::findings::{Findings, name_of};
use crate::formats::release::ReleaseError;
use crate::places::git::remote::RemoteError;
use crate::places::git::{GitError, Oid};
use crate::places::transparency::LogError;
use crate::stories::archive::OpenError;
use crate::stories::publish::PublishError;
use crate::stories::publish::stage::StageError;
use crate::words::causes::chain;
use crate::words::name::Codename;

/// How many things that are not as ddb leaves them are named.
const SHOWN: usize = 5;

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

impl MonitorError {
    /// Tells whether the remote did not answer, which is watched as logs and sites are.
    pub fn is_not_reached(&self) -> bool {
        use RemoteError::{Denied, Failed, NoCredential};
        matches!(self, Self::Open(OpenError::Remote(Failed { .. } | Denied { .. } | NoCredential { .. })))
    }
}

/// Says what is on branches of Releases and is not as ddb leaves it, in one alarm: who may push left it there, and may leave any number.
/// Publishes go on after it, and it stays.
pub(super) fn strange(all: &[StageError], findings: &mut Findings) {
    let said: BTreeSet<String> = all.iter().map(|fault| chain(fault)).collect();
    let Some(first) = said.first() else { return };
    let name = name_of(FindingKind::Unreadable, &said.iter().map(|text| text as &dyn Display).collect::<Vec<_>>());
    let shown: Vec<&str> = said.iter().take(SHOWN).map(String::as_str).collect();
    let text = match said.len().saturating_sub(SHOWN) {
        _ if said.len() == 1 => first.clone(),
        0 => shown.join("; "),
        more => format!("{}; and {more} more", shown.join("; ")),
    };
    findings.alarm(FindingKind::Unreadable, "repository", name, text);
}

/// Says what could not be read: an alarm until it can be, since who may push could have left it there. A remote that went away meanwhile
/// is not reached.
pub(super) fn say(troubles: &[MonitorError], findings: &mut Findings) {
    let mut said: Vec<String> = Vec::new();
    for trouble in troubles {
        let text = chain(trouble);
        if said.contains(&text) {
            continue;
        }
        if trouble.is_not_reached() {
            findings.unreachable("repository", text.clone());
        } else {
            findings.lasting(FindingKind::Unreadable, "repository", text.clone());
        }
        said.push(text);
    }
}
