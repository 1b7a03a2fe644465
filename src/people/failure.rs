//! Failures: the chain of causes as one message on standard error, and the exit code that says what kind it is.
//!
//! With `--json` the same stands on standard output as an object (schema `schemas/failure.json`).

use std::error::Error;

use schemars::JsonSchema;
use serde::Serialize;

use super::answer;
use super::exit::Exit;
use crate::formats::suite::checks::RecordProblem;
use crate::places::git::GitError;
use crate::places::git::remote::RemoteError;
use crate::places::transparency::LogError;
use crate::stories::archive::OpenError;
use crate::stories::deploy::DeployError;
use crate::stories::deploy::attest::AttestError;
use crate::stories::doctor::DoctorError;
use crate::stories::export::ExportError;
use crate::stories::fold::FoldError;
use crate::stories::fsck::FsckError;
use crate::stories::gc::GcError;
use crate::stories::inbox::InboxError;
use crate::stories::init::InitError;
use crate::stories::key::KeyError;
use crate::stories::lfs::CloneError;
use crate::stories::lfs::fetch::FetchError;
use crate::stories::lfs::install::InstallError;
use crate::stories::monitor::MonitorError;
use crate::stories::promote::PromoteError;
use crate::stories::provenance::suite::SuiteError;
use crate::stories::publish::PublishError;
use crate::stories::publish::stage::StageError;
use crate::stories::rebuild::RebuildError;
use crate::stories::serve::ServeError;
use crate::stories::served::ServedError;
use crate::stories::upload::UploadError;
use crate::words::causes::chain;

/// A failed command.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Failure {
    /// What failed, with its causes.
    pub error: String,
    /// One entry for each file or record that is not acceptable.
    pub problems: Vec<FailureProblem>,
    /// The exit code.
    pub exit_code: u8,
}

/// What is wrong with one file or record.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FailureProblem {
    /// The file.
    pub file: String,
    /// What is wrong and what to do.
    pub reason: String,
}

impl Failure {
    /// Returns the failure that an error means.
    pub fn new(error: &dyn Error, exit: Exit, problems: Vec<FailureProblem>) -> Self {
        Self { error: chain(error), problems, exit_code: exit as u8 }
    }

    /// Returns a failure of the command line.
    pub fn usage(message: &str) -> Self {
        Self { error: message.to_owned(), problems: Vec::new(), exit_code: Exit::Usage as u8 }
    }

    /// Prints the failure and returns its exit code.
    pub fn report(&self, json: bool) -> std::process::ExitCode {
        for problem in &self.problems {
            answer::say(&format!("{}: {}", plain(&problem.file), problem.reason));
        }
        answer::say(&format!("error: {}", self.error));
        if json {
            answer::print_text(&answer::to_json(self));
        }
        std::process::ExitCode::from(self.exit_code)
    }
}

/// Returns a file's name with its control characters escaped: a hostile name must not steer a terminal.
pub(crate) fn plain(name: &str) -> String {
    name.chars().flat_map(|letter| if letter.is_control() { letter.escape_debug().collect::<Vec<_>>() } else { vec![letter] }).collect()
}

fn of_git(error: &GitError) -> Exit {
    match error {
        GitError::NotFound { .. }
        | GitError::Owner { .. }
        | GitError::NoBranch { .. }
        | GitError::DetachedHead { .. }
        | GitError::NoRemote { .. }
        | GitError::NotWhole { .. }
        | GitError::Content { .. } => Exit::Archive,
        GitError::Contended { .. } | GitError::Locked { .. } => Exit::Contended,
        GitError::Git { .. } | GitError::File { .. } | GitError::Hydrate { .. } => Exit::Failed,
    }
}

fn of_remote(error: &RemoteError) -> Exit {
    match error {
        RemoteError::Git(error) => of_git(error),
        RemoteError::Diverged { .. } | RemoteError::Rewritten { .. } => Exit::Archive,
        RemoteError::Program(_)
        | RemoteError::NoCredential { .. }
        | RemoteError::Denied { .. }
        | RemoteError::Rejected { .. }
        | RemoteError::Failed { .. } => Exit::Failed,
    }
}

fn of_open(error: &OpenError) -> Exit {
    match error {
        OpenError::Git(error) => of_git(error),
        OpenError::Remote(error) => of_remote(error),
        OpenError::S3(_) => Exit::Failed,
        _ => Exit::Archive,
    }
}

fn of_provenance(error: &SuiteError) -> Exit {
    match error {
        SuiteError::Open(error) => of_open(error),
        SuiteError::Git(error) => of_git(error),
        SuiteError::Store(_) => Exit::Failed,
        SuiteError::Records { .. } => Exit::Archive,
    }
}

impl From<InitError> for Failure {
    fn from(error: InitError) -> Self {
        let exit = match &error {
            InitError::Git(fault) => of_git(fault),
            InitError::Values(_) => Exit::Usage,
            InitError::LfsConfig { .. } | InitError::Exists { .. } | InitError::InTheWay { .. } | InitError::Inside { .. } => Exit::Archive,
        };
        Self::new(&error, exit, Vec::new())
    }
}

impl From<DeployError> for Failure {
    fn from(error: DeployError) -> Self {
        let (exit, problems) = match &error {
            DeployError::Open(fault) => (of_open(fault), Vec::new()),
            DeployError::Git(fault) => (of_git(fault), Vec::new()),
            DeployError::Store(_) => (Exit::Failed, Vec::new()),
            DeployError::Suite(_)
            | DeployError::Verify(_)
            | DeployError::LocalObjects { .. }
            | DeployError::NoInbox
            | DeployError::NoRemote => (Exit::Archive, Vec::new()),
            DeployError::Sealed(_) | DeployError::Withdrawn => (Exit::Failed, Vec::new()),
            DeployError::Reconfigured => (Exit::Contended, Vec::new()),
            DeployError::Seal(_) => (Exit::Key, Vec::new()),
            DeployError::Turned { .. } => (Exit::Rejected, Vec::new()),
            DeployError::LayOut(_) => (Exit::Failed, Vec::new()),
            DeployError::Attest(AttestError::Sign(_)) => (Exit::Key, Vec::new()),
            DeployError::Attest(_) => (Exit::Failed, Vec::new()),
            DeployError::Refused { problems, .. } => (
                Exit::Refused,
                problems.iter().map(|problem| FailureProblem { file: problem.file.clone(), reason: problem.reason.clone() }).collect(),
            ),
            DeployError::Rejected { conflicts } => (
                if conflicts.iter().any(|conflict| conflict.taken) { Exit::Rejected } else { Exit::Refused },
                conflicts
                    .iter()
                    .map(|conflict| FailureProblem { file: conflict.path.to_string(), reason: conflict.reason.clone() })
                    .collect(),
            ),
        };
        Self::new(&error, exit, problems)
    }
}

impl From<InboxError> for Failure {
    fn from(error: InboxError) -> Self {
        let exit = match &error {
            InboxError::Open(fault) => of_open(fault),
            InboxError::Git(fault) => of_git(fault),
            InboxError::Remote(fault) => of_remote(fault),
            InboxError::Store(_) | InboxError::Behind(_) => Exit::Failed,
            InboxError::NoRemote { .. } | InboxError::Closed => Exit::Archive,
            InboxError::NotThere { .. } | InboxError::Ambiguous { .. } => Exit::Usage,
        };
        Self::new(&error, exit, Vec::new())
    }
}

impl From<UploadError> for Failure {
    fn from(error: UploadError) -> Self {
        let exit = match error {
            UploadError::Deploy(error) => return (*error).into(),
            UploadError::Settings { .. } | UploadError::Manifest(_) => Exit::Archive,
            UploadError::Seal(_) => Exit::Key,
            UploadError::Occupied { .. } => Exit::Usage,
            UploadError::NotStored { .. } | UploadError::Io { .. } => Exit::Failed,
        };
        Self::new(&error, exit, Vec::new())
    }
}

impl From<GcError> for Failure {
    fn from(error: GcError) -> Self {
        let exit = match &error {
            GcError::Open(fault) => of_open(fault),
            GcError::Git(fault) | GcError::Also { source: fault, .. } => of_git(fault),
            GcError::Forge | GcError::Marks(_) | GcError::Stage(_) => Exit::Archive,
            GcError::Lease { .. } => Exit::Usage,
            GcError::Remote(_) | GcError::Store(_) | GcError::Clock { .. } => Exit::Failed,
        };
        Self::new(&error, exit, Vec::new())
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        let exit = match &error {
            PublishError::Open(fault) => of_open(fault),
            PublishError::Git(fault) | PublishError::Stage(StageError::Git(fault)) | PublishError::Fold(FoldError::Git(fault)) => {
                of_git(fault)
            }
            PublishError::Stage(StageError::Remote(fault)) => of_remote(fault),
            PublishError::Provenance(fault) => of_provenance(fault),
            PublishError::Key(_) | PublishError::Sign(_) => Exit::Key,
            PublishError::Target(_) | PublishError::Fold(FoldError::Keep(_)) => Exit::Failed,
            PublishError::Contended { .. } => Exit::Contended,
            PublishError::Log(LogError::Key { .. }) => Exit::Key,
            PublishError::Log(LogError::Settings { .. }) => Exit::Archive,
            PublishError::Log(_) => Exit::NoProof,
            _ => Exit::Archive,
        };
        let problems = match &error {
            PublishError::Fold(FoldError::Records { problems, .. })
            | PublishError::Objects { problems }
            | PublishError::Provenance(SuiteError::Records { problems, .. }) => {
                problems.iter().map(|problem| FailureProblem { file: problem.path.clone(), reason: problem.fault.clone() }).collect()
            }
            _ => Vec::new(),
        };
        Self::new(&error, exit, problems)
    }
}

impl From<MonitorError> for Failure {
    fn from(error: MonitorError) -> Self {
        let exit = match error {
            ref fault if fault.is_not_reached() => Exit::NotWatched,
            MonitorError::Open(ref fault) => of_open(fault),
            MonitorError::Git(ref fault) | MonitorError::Stage(StageError::Git(ref fault)) => of_git(fault),
            MonitorError::Publish(fault) => return fault.into(),
            MonitorError::NoSuite { .. } => Exit::Usage,
            MonitorError::Stage(_) | MonitorError::Log(_) | MonitorError::Release { .. } | MonitorError::NoBranch { .. } => Exit::Archive,
        };
        Self::new(&error, exit, Vec::new())
    }
}

impl From<PromoteError> for Failure {
    fn from(error: PromoteError) -> Self {
        let exit = match &error {
            PromoteError::Open(fault) | PromoteError::Served(ServedError::Open(fault)) => of_open(fault),
            PromoteError::Git(fault) | PromoteError::Served(ServedError::Git(fault)) => of_git(fault),
            PromoteError::Remote(fault) => of_remote(fault),
            PromoteError::Store(_) => Exit::Failed,
            PromoteError::Provenance(fault) => of_provenance(fault),
            PromoteError::Snapshot(_) | PromoteError::Itself { .. } | PromoteError::NoRelease { .. } => Exit::Usage,
            PromoteError::Served(_)
            | PromoteError::NoSuite { .. }
            | PromoteError::NothingServed { .. }
            | PromoteError::Unvouched { .. }
            | PromoteError::Foreign { .. }
            | PromoteError::Empty { .. }
            | PromoteError::Unknown { .. }
            | PromoteError::Pool { .. } => Exit::Archive,
        };
        let problems = match &error {
            PromoteError::Pool { problems } | PromoteError::Provenance(SuiteError::Records { problems, .. }) => {
                problems.iter().map(|problem| FailureProblem { file: problem.path.clone(), reason: problem.fault.clone() }).collect()
            }
            _ => Vec::new(),
        };
        Self::new(&error, exit, problems)
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let exit = match &error {
            ServeError::Open(fault) | ServeError::Served(ServedError::Open(fault)) => of_open(fault),
            ServeError::Served(ServedError::Git(fault)) => of_git(fault),
            ServeError::Served(_) => Exit::Archive,
            ServeError::Server(_) | ServeError::Bucket(_) | ServeError::Tree { .. } => Exit::Failed,
        };
        Self::new(&error, exit, Vec::new())
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        let exit = match error {
            ExportError::Publish(fault) => return (*fault).into(),
            ExportError::Open(fault) => return fault.into(),
            ExportError::Served(ServedError::Git(fault)) => return fault.into(),
            ExportError::Target(_) | ExportError::Folder { .. } => Exit::Failed,
            ExportError::InTheWay { .. } | ExportError::Snapshot(_) => Exit::Usage,
            ExportError::Served(_) | ExportError::Nothing { .. } | ExportError::Index { .. } | ExportError::Conflict { .. } => {
                Exit::Archive
            }
        };
        Self::new(&error, exit, Vec::new())
    }
}

impl From<RebuildError> for Failure {
    fn from(error: RebuildError) -> Self {
        let exit = match error {
            RebuildError::Output(fault) => return (*fault).into(),
            RebuildError::Open(fault) => return fault.into(),
            RebuildError::Git(fault) | RebuildError::Stage(StageError::Git(fault)) => return fault.into(),
            RebuildError::Snapshot(_)
            | RebuildError::NoSuite { .. }
            | RebuildError::Unknown { .. }
            | RebuildError::Several { .. }
            | RebuildError::InTheWay { .. } => Exit::Usage,
            RebuildError::Stage(_)
            | RebuildError::NoReleases { .. }
            | RebuildError::NoBase { .. }
            | RebuildError::CutOff { .. }
            | RebuildError::Fold { .. }
            | RebuildError::Lists { .. } => Exit::Archive,
        };
        let records = match &error {
            RebuildError::Fold { source, .. } => match source.as_ref() {
                FoldError::Records { problems, .. } => problems.as_slice(),
                _ => &[],
            },
            _ => &[],
        };
        let problem = |problem: &RecordProblem| FailureProblem { file: problem.path.clone(), reason: problem.fault.clone() };
        let problems = records.iter().map(problem).collect();
        Self::new(&error, exit, problems)
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self::new(&error, Exit::Key, Vec::new())
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let exit = of_open(&error);
        Self::new(&error, exit, Vec::new())
    }
}

impl From<GitError> for Failure {
    fn from(error: GitError) -> Self {
        let exit = of_git(&error);
        Self::new(&error, exit, Vec::new())
    }
}

fn of_clone(error: &CloneError) -> Exit {
    match error {
        CloneError::Open(error) => of_open(error),
        CloneError::Local { .. } => Exit::Archive,
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        let exit = match &error {
            FetchError::Clone(fault) => of_clone(fault),
            FetchError::Open(fault) => of_open(fault),
            FetchError::Git(fault) => of_git(fault),
            FetchError::Store(_) => Exit::Failed,
            FetchError::Selection(_) | FetchError::Objects { .. } => Exit::Archive,
        };
        let problems = match &error {
            FetchError::Objects { problems, .. } => {
                problems.iter().map(|problem| FailureProblem { file: problem.path.clone(), reason: problem.reason.clone() }).collect()
            }
            _ => Vec::new(),
        };
        Self::new(&error, exit, problems)
    }
}

impl From<InstallError> for Failure {
    fn from(error: InstallError) -> Self {
        let exit = match &error {
            InstallError::Git(fault) => of_git(fault),
            _ => Exit::Failed,
        };
        Self::new(&error, exit, Vec::new())
    }
}

impl From<DoctorError> for Failure {
    fn from(error: DoctorError) -> Self {
        let exit = match &error {
            DoctorError::Open(fault) => of_open(fault),
            DoctorError::Remote(_) | DoctorError::S3(_) => Exit::Failed,
        };
        Self::new(&error, exit, Vec::new())
    }
}

impl From<FsckError> for Failure {
    fn from(error: FsckError) -> Self {
        let exit = match &error {
            FsckError::Open(fault) => of_open(fault),
            FsckError::Git(fault) => of_git(fault),
            _ => Exit::Failed,
        };
        Self::new(&error, exit, Vec::new())
    }
}
