//! `ddb-deploy commit`: build output becomes objects, pointers and records in one commit.
//!
//! Read once (`take`, also what an upload left), compose the statement, then land it: each try replays it on the newest tip,
//! stores the objects that the edits need, commits and moves the branch by compare-and-swap. Whatever fails, the branch is as
//! before.

pub mod adopt;
pub mod attest;
pub(crate) mod compose;
mod group;
mod land;
pub(crate) mod take;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::formats::artifact::deb::Depth;
use crate::formats::sealed::SealedError;
use crate::formats::statement::replay::{Conflict, Rules, Verdict};
use crate::places::build_output::Problems;
use crate::places::build_output::uploaded::LayOutError;
use crate::places::git::remote::RemoteError;
use crate::places::git::{Author, GitError};
use crate::places::requests::Requests;
use crate::places::sign::seal::{SealError, Sealer};
use crate::places::store::StoreError;
use crate::stories::archive::{OpenArchive, OpenError};
use crate::stories::event::{Event, Listener};
use crate::stories::lfs;
use crate::words::archive::{Archive, ExtraDigest, PackageCheck};
use crate::words::date::{Span, Timestamp};
use crate::words::digest::ExtraDigests;
use crate::words::name::{Codename, SourceName};
use crate::words::version::Version;

pub use crate::formats::statement::fit::Problem;
use attest::{AttestError, Attestor};
use land::Job;
pub use take::{UploadsAnswer, Verify};

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
    /// What is checked about files that were uploaded before.
    pub verify: Verify,
    /// What to do about conflicts and older versions.
    pub rules: Rules,
    /// Only say what would be done.
    pub dry_run: bool,
    /// The Git remote, where it is not the branch's or `origin`.
    pub remote: Option<String>,
    /// Whether the commit is pushed.
    pub push: PushMode,
    /// Push pointers although only this machine reaches their objects.
    pub local_objects: bool,
    /// Put the statement into the inbox at once, for whoever may move the branch.
    pub park: bool,
    /// How long to wait for the branch, or for whoever lands what is parked.
    pub wait: Span,
    /// Who says where files come from of which the build job left no provenance.
    pub attestor: Option<Arc<Attestor>>,
    /// Who commits.
    pub author: Author,
    /// The time, for the validity of signatures.
    pub now: Timestamp,
}

/// Whether a commit is pushed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PushMode {
    /// To the remote, if there is one; without any credential the commit stays here.
    #[default]
    Auto,
    /// To the remote, or nothing is committed.
    Require,
    /// Never.
    Never,
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
    /// The Git remote whose branch holds it now, without user name and password.
    pub remote: Option<String>,
    /// Why the commit was made here and not pushed.
    pub not_pushed: Option<String>,
    /// The inbox branch where the statement waits for whoever lands it next.
    pub parked: Option<String>,
    /// How often the remote was looked at.
    pub tries: u32,
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
    /// Requests to the object store, where it lies behind a network.
    pub requests: Requests,
    /// Files of the checkout that have local changes and were left alone.
    pub left_alone: Vec<String>,
    /// What came from uploads; `null` where all files were in the build output themselves.
    pub uploads: Option<UploadsAnswer>,
}

/// What became of one build.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct BuildAnswer {
    /// The source package.
    pub source: SourceName,
    /// Its version.
    pub version: Version,
    /// What became of it.
    pub verdict: BuildState,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// What became of one build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BuildState {
    /// The suite offers it now.
    Landed,
    /// The suite offered it before, with the same bytes.
    AlreadyLanded,
    /// The suite offers something newer.
    Superseded,
    /// It waits in the inbox.
    Parked,
}

impl From<Verdict> for BuildState {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Landed => Self::Landed,
            Verdict::AlreadyLanded => Self::AlreadyLanded,
            Verdict::Superseded => Self::Superseded,
        }
    }
}

impl CommitAnswer {
    /// Returns the verdict on the whole: parked, else landed if anything did, else superseded if anything was.
    pub fn verdict(&self) -> BuildState {
        let verdicts = || self.builds.iter().map(|build| build.verdict);
        [BuildState::Parked, BuildState::Landed, BuildState::Superseded]
            .into_iter()
            .find(|wanted| verdicts().any(|verdict| verdict == *wanted))
            .unwrap_or(BuildState::AlreadyLanded)
    }
}

impl CommitRequest {
    fn said(&self) -> compose::Said<'_> {
        compose::Said { package: self.package.as_deref(), version: self.version.as_deref(), job: self.job.as_deref() }
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
    /// Objects that only this machine has are not pushed about.
    #[error(
        "the objects would be in {store} alone, where nobody who fetches from {remote} can get them; nothing was committed. Configure store.s3 or store.lfs (or store.shared for a file server) in ddb.toml, or use --no-push, or --local-objects to push the pointers all the same"
    )]
    LocalObjects {
        /// The store.
        store: String,
        /// The remote.
        remote: String,
    },
    /// There is nowhere to push to.
    #[error("--require-push, but the repository has no remote; `git remote add origin URL` makes one")]
    NoRemote,
    /// There is no inbox to park in.
    #[error(
        "--park needs a remote and an inbox: set inbox.protected in ddb.toml if the forge protects ddb/inbox/*, or give a key of `uploaders` (DDB_UPLOADER_KEY)"
    )]
    NoInbox,
    /// The statement is too long to be parked.
    #[error("the statement cannot be parked")]
    Sealed(#[source] SealedError),
    /// The statement cannot be sealed.
    #[error("the statement cannot be sealed")]
    Seal(#[source] SealError),
    /// Whoever landed the inbox turned the statement down.
    #[error("whoever landed the inbox rejected it: {reason}")]
    Turned {
        /// Why.
        reason: String,
    },
    /// Somebody took the statement out of the inbox.
    #[error("the statement was withdrawn from the inbox and has not landed; deploy again if that was a mistake")]
    Withdrawn,
    /// What `ddb.toml` says about objects or uploaders was changed while this was on its way.
    #[error("ddb.toml of the remote was changed again and again while this was on its way; try again")]
    Reconfigured,
    /// What an upload left cannot be taken in this way.
    #[error("{0}")]
    Verify(String),
    /// Provenance cannot be made.
    #[error(transparent)]
    Attest(AttestError),
    /// The uploaded files cannot be laid out for reading.
    #[error(transparent)]
    LayOut(#[from] LayOutError),
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Deploys a build output.
///
/// # Errors
/// See `DeployError`; the branch is then as before, and what objects were stored is harmless and used by the next try.
pub fn commit(request: &CommitRequest, sealer: Option<&Sealer>, listener: Listener<'_>) -> Result<CommitAnswer, DeployError> {
    for _ in 1..TRIES {
        match commit_once(request, sealer, listener) {
            Err(DeployError::Reconfigured) => {
                listener(Event::Detail("ddb.toml of the remote was changed meanwhile; beginning again".to_owned()));
            }
            done => return done,
        }
    }
    commit_once(request, sealer, listener)
}

/// How often a deploy begins again because ddb.toml was changed meanwhile.
const TRIES: u32 = 3;

fn commit_once(request: &CommitRequest, sealer: Option<&Sealer>, listener: Listener<'_>) -> Result<CommitAnswer, DeployError> {
    let mut open = OpenArchive::open(&request.archive, request.branch.as_deref())?;
    if request.push != PushMode::Never && !request.dry_run {
        open.connect(request.remote.as_deref())?;
    }
    // What the remote's ddb.toml says counts. One that cannot be reached is needed, or not, further down.
    let reached = match &open.remote {
        Some(remote) if !remote.is_managed() => {
            open.repository.hold_remote().map_err(RemoteError::from).and_then(|_held| open.refresh(&[]))
        }
        _ => Ok(()),
    };
    let tip = open.tip()?;
    let archive = open.configuration(&tip)?;
    if let Some(fault) = lfs::lfsconfig_fault(&tip, &archive)? {
        listener(Event::Warning(fault));
    }
    let uploaders = open.uploaders(&tip, &archive)?;
    let store = open.store_to_fill(&archive)?;
    let lists = if compose::wants_contents(&archive) && !request.dry_run { Some(open.lists(&archive, store.as_ref())?) } else { None };
    let work = open.repository.git_dir().join("ddb");
    let taking = take::Taking {
        out: &request.out,
        suite: request.suite.as_deref(),
        said: request.said(),
        archive: &archive,
        uploaders: uploaders.as_ref(),
        now: request.now,
        lists: lists.as_deref(),
        attestor: request.attestor.as_deref(),
        work: &work,
        listener,
    };
    let taken = take::take(&taking, request.verify, store.as_ref())?;
    let job = Job {
        open: &open,
        store: store.as_ref(),
        request,
        statement: &taken.statement,
        files: &taken.files,
        written: taken.written,
        listener,
    };
    let answer = match open.remote.clone() {
        Some(remote) => {
            let remote = remote.with_push_options(&archive.remote.push_options);
            match archive.store.is_local() && !request.local_objects {
                true if request.push != PushMode::Require && remote.lacks_credential().map_err(OpenError::Remote)? => {
                    // Nothing could be pushed, whatever the store is: the commit stays here, as debdistbuild does it.
                    group::stay(&job, &remote)
                }
                true => Err(DeployError::LocalObjects { store: store.describe(), remote: remote.describe() }),
                false => match reached {
                    Err(fault) if !matches!(fault, RemoteError::NoCredential { .. }) => Err(OpenError::Remote(fault).into()),
                    _ => group::land(&job, &remote, &archive, uploaders.as_ref(), sealer),
                },
            }
        }
        None if request.push == PushMode::Require => Err(DeployError::NoRemote),
        None if request.park => Err(DeployError::NoInbox),
        None => land::land(&job),
    };
    Ok(CommitAnswer { requests: store.requests(), uploads: taken.uploads, ..answer? })
}

pub(crate) fn refused(out: &Path, problems: Problems) -> DeployError {
    let problems =
        problems.0.into_iter().map(|problem| Problem { file: problem.file.display().to_string(), reason: problem.reason }).collect();
    DeployError::Refused { out: out.to_owned(), problems }
}

fn extra_digests(archive: &Archive) -> ExtraDigests {
    let wanted = |digest| archive.suites.values().any(|suite| suite.package_digests.contains(&digest));
    ExtraDigests { sha1: wanted(ExtraDigest::Sha1), sha512: wanted(ExtraDigest::Sha512) }
}

/// Returns how much of a package is unpacked: all of it for `Contents`.
fn depth(archive: &Archive) -> Depth {
    match archive.check_packages {
        PackageCheck::Control if !compose::wants_contents(archive) => Depth::Control,
        _ => Depth::Whole,
    }
}

/// Chooses the suite: the one named, else the only one, else the one that the .changes mean.
pub(crate) fn choose_suite(
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
