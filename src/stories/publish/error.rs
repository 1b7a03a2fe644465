//! Why nothing was published.

use super::left;
use super::stage::{self, StageError};
use crate::formats::release::ReleaseError;
use crate::formats::suite::checks::RecordProblem;
use crate::places::git::GitError;
use crate::places::sign::SignError;
use crate::places::target::TargetError;
use crate::places::transparency::LogError;
use crate::stories::archive::OpenError;
use crate::stories::fold::FoldError;
use crate::stories::key::KeyError;
use crate::stories::provenance::suite::SuiteError;
use crate::words::date::Timestamp;
use crate::words::name::Codename;

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The archive cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The branch of Releases is not usable.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The published tree failed.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// There is no usable signing key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Signing failed.
    #[error("cannot sign Release")]
    Sign(#[from] SignError),
    /// There is no proof from a transparency log that must give one.
    #[error("a transparency log gave no proof, and nothing was served that needs one")]
    Log(#[from] LogError),
    /// The suite cannot be folded.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The suite requires provenance that records have not, or that cannot be judged.
    #[error(transparent)]
    Provenance(#[from] SuiteError),
    /// Somebody who has no key of the archive may have staged a Release.
    #[error(
        "no key of the archive vouches for the newest commit of {} (recorded.asc); `ddb-publish dists {codename}` makes a new Release after it",
        stage::branch(codename)
    )]
    Unvouched {
        /// The suite.
        codename: Codename,
    },
    /// This program makes other bytes of what another one staged.
    #[error("this ddb cannot make Release {sequence} of {codename} again (it was made by {ddb})")]
    Otherwise {
        /// The suite.
        codename: Codename,
        /// The Release.
        sequence: u64,
        /// The version that staged it.
        ddb: String,
    },
    /// The branch of Releases does not know what clients have.
    #[error("{}", left::set_back(codename, *date))]
    SetBack {
        /// The suite.
        codename: Codename,
        /// When what clients have was made.
        date: Timestamp,
    },
    /// Objects are missing in the store.
    #[error("{} missing in the object store, nothing was published", if problems.len() == 1 { "1 object is".to_owned() } else { format!("{} objects are", problems.len()) })]
    Objects {
        /// One entry for each pool file.
        problems: Vec<RecordProblem>,
    },
    /// The new Release would not be read again as it was written.
    #[error("the Release of {codename} that these values of ddb.toml give cannot be read again; it was not staged")]
    Unreadable {
        /// The suite.
        codename: Codename,
    },
    /// The new Release cannot be read at all.
    #[error("the Release that these values of ddb.toml give is not usable; it was not staged")]
    Release(#[from] ReleaseError),
    /// The last Release is dated in the future.
    #[error(
        "the last Release of {codename} is dated {date}, {ahead} s later than now ({now}), and apt refuses what comes from the future; wait, or correct this machine's clock. If that date came from a wrong clock, no apt has accepted that Release, and --reset-date publishes with the right one"
    )]
    Future {
        /// The suite.
        codename: Codename,
        /// The date of the last Release.
        date: String,
        /// Now.
        now: String,
        /// How much later in seconds.
        ahead: i64,
    },
    /// There is nothing that a proof could belong to.
    #[error("{}", match sequence {
        Some(sequence) => format!("Release {sequence} of {codename} was staged and not served; `ddb-publish dists {codename}` finishes it"),
        None => format!("no Release of {codename} was served; `ddb-publish dists {codename}` publishes one"),
    })]
    NotServed {
        /// The suite.
        codename: Codename,
        /// The Release that was staged.
        sequence: Option<u64>,
    },
    /// Another publisher was faster at every try.
    #[error("other publishers of {codename} were faster at {tries} tries; try again")]
    Contended {
        /// The suite.
        codename: Codename,
        /// How often it was tried.
        tries: u32,
    },
}

impl PublishError {
    /// Tells whether another commit may be publishable although this one is not: its keys or objects are gone.
    pub(super) fn is_of_one_release(&self) -> bool {
        matches!(
            self,
            Self::Key(_)
                | Self::Sign(_)
                | Self::Fold(FoldError::Records { .. })
                | Self::Provenance(SuiteError::Records { .. } | SuiteError::Open(OpenError::Provenance { .. }))
                | Self::Objects { .. }
                | Self::Target(TargetError::Object { .. })
        )
    }
}
