//! `ddb-deploy commit`: build output becomes objects, pointers and records in one commit.
//!
//! Read once, compose the statement, then land it: each try replays it on the newest tip, stores the objects that the edits
//! need, commits and moves the branch by compare-and-swap. Whatever fails, the branch is as before.

pub mod adopt;
mod compose;
mod land;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use crate::formats::statement::replay::{Conflict, Rules, Verdict};
use crate::places::build_output::{self, Problems, ReadOptions};
use crate::places::git::{Author, GitError};
use crate::places::store::StoreError;
use crate::stories::archive::{OpenArchive, OpenError};
use crate::stories::event::{Event, Listener};
use crate::stories::lfs;
use crate::words::archive::{Archive, ExtraDigest};
use crate::words::date::Timestamp;
use crate::words::digest::ExtraDigests;
use crate::words::name::{Codename, SourceName};
use crate::words::version::Version;

pub use compose::Problem;

/// What is to be deployed and how.
#[derive(Debug, Clone)]
pub struct CommitRequest {
    /// A folder in the archive repository.
    pub archive: PathBuf,
    /// The branch, where it is not the one that HEAD points at.
    pub branch: Option<String>,
    /// The build output.
    pub out: PathBuf,
    /// The suite, where it is named.
    pub suite: Option<String>,
    /// The source package that the CI job says it built.
    pub package: Option<String>,
    /// The version that the CI job says it built.
    pub version: Option<String>,
    /// Web address of the CI job.
    pub job: Option<String>,
    /// What to do about conflicts and older versions.
    pub rules: Rules,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Who commits.
    pub author: Author,
    /// The time, for the validity of signatures.
    pub now: Timestamp,
}

/// What became of the build output.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CommitAnswer {
    /// The suite.
    pub suite: Codename,
    /// The branch's full name.
    pub branch: String,
    /// The commit, where one was made.
    pub commit: Option<String>,
    /// Whether this was a dry run.
    pub dry_run: bool,
    /// One entry for each source package and version.
    pub builds: Vec<BuildAnswer>,
    /// Paths that were added or changed.
    pub added: Vec<String>,
    /// Paths that were removed.
    pub removed: Vec<String>,
    /// Objects that were new to the store.
    pub new_objects: usize,
    /// Their size in bytes.
    pub new_bytes: u64,
    /// Files of the checkout that have local changes and were left alone.
    pub left_alone: Vec<String>,
}

/// What became of one build.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct BuildAnswer {
    /// The source package.
    pub source: SourceName,
    /// Its version.
    pub version: Version,
    /// What became of it.
    pub verdict: Verdict,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl CommitAnswer {
    /// Returns the verdict on the whole: landed if anything did, else superseded if anything was.
    pub fn verdict(&self) -> Verdict {
        let verdicts = || self.builds.iter().map(|build| build.verdict);
        [Verdict::Landed, Verdict::Superseded]
            .into_iter()
            .find(|wanted| verdicts().any(|verdict| verdict == *wanted))
            .unwrap_or(Verdict::AlreadyLanded)
    }
}

/// Why nothing was deployed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The archive cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The object store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Files of the build output are not acceptable.
    #[error("{} of {} refused, nothing was committed", count(.problems.len(), "problem"), out.display())]
    Refused {
        /// The build output.
        out: PathBuf,
        /// One entry for each problem, by file.
        problems: Vec<Problem>,
    },
    /// Names are taken by other bytes, or a .dsc names files that are nowhere.
    #[error("{} with what the archive holds, nothing was committed", count(.conflicts.len(), "problem"))]
    Rejected {
        /// One entry for each file.
        conflicts: Vec<Conflict>,
    },
    /// The suite is not known.
    #[error("{0}")]
    Suite(String),
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Deploys a build output.
///
/// # Errors
/// See `DeployError`; the branch is then as before, and what objects were stored is harmless and used by the next try.
pub fn commit(request: &CommitRequest, listener: Listener<'_>) -> Result<CommitAnswer, DeployError> {
    let open = OpenArchive::open(&request.archive, request.branch.as_deref())?;
    let tip = open.tip()?;
    let archive = open.configuration(&tip)?;
    if let Some(fault) = lfs::lfsconfig_fault(&tip, &archive)? {
        listener(Event::Warning(fault));
    }
    let uploaders = open.uploaders(&tip, &archive)?;
    let total = std::sync::atomic::AtomicBool::new(false);
    let progress = |name: &str, parts: usize| {
        if !total.swap(true, std::sync::atomic::Ordering::Relaxed) {
            listener(Event::Begin { step: "reading build output", parts });
        }
        listener(Event::Part { name: name.to_owned() });
    };
    let options =
        ReadOptions { extra: extra_digests(&archive), uploaders: uploaders.as_ref(), now: request.now, progress: Some(&progress) };
    let output = build_output::read(&request.out, &options).map_err(|problems| refused(request, problems))?;
    listener(Event::End);
    let suite = choose_suite(request.suite.as_deref(), &archive, &output.distributions)?;
    let (statement, files) = compose::statement(&suite, &archive, output, request)
        .map_err(|problems| DeployError::Refused { out: request.out.clone(), problems })?;
    let store = open.store_to_fill(&archive)?;
    land::land(&open, store.as_ref(), request, &statement, &files, listener)
}

fn refused(request: &CommitRequest, problems: Problems) -> DeployError {
    let problems =
        problems.0.into_iter().map(|problem| Problem { file: problem.file.display().to_string(), reason: problem.reason }).collect();
    DeployError::Refused { out: request.out.clone(), problems }
}

fn extra_digests(archive: &Archive) -> ExtraDigests {
    let wanted = |digest| archive.suites.values().any(|suite| suite.package_digests.contains(&digest));
    ExtraDigests { sha1: wanted(ExtraDigest::Sha1), sha512: wanted(ExtraDigest::Sha512) }
}

/// Chooses the suite: the one named, else the only one, else the one that the .changes mean.
fn choose_suite(
    named: Option<&str>,
    archive: &Archive,
    distributions: &std::collections::BTreeSet<String>,
) -> Result<Codename, DeployError> {
    let known = || archive.suites.keys().map(Codename::as_str).collect::<Vec<_>>().join(", ");
    if let Some(name) = named {
        let found = archive.suite_for_distribution(name).cloned();
        return found.ok_or_else(|| DeployError::Suite(format!("ddb.toml has no suite \"{name}\"; it has {}", known())));
    }
    let mut suites = archive.suites.keys();
    if let (Some(only), None) = (suites.next(), suites.next()) {
        return Ok(only.clone());
    }
    let mut names = distributions.iter();
    match (names.next(), names.next()) {
        (Some(distribution), None) => archive.suite_for_distribution(distribution).cloned().ok_or_else(|| {
            DeployError::Suite(format!("the Distribution \"{distribution}\" of .changes means no suite of ddb.toml ({}); use --suite, or add it to `distributions`", known()))
        }),
        (None, _) => Err(DeployError::Suite(format!("ddb.toml has several suites ({}) and no .changes says which; use --suite", known()))),
        _ => Err(DeployError::Suite(format!(
            "the .changes files name several distributions ({}); use --suite",
            distributions.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
        ))),
    }
}
