//! `ddb-deploy doctor`: what the bucket and the Git remote really do, found out by trying, and what follows from it.
//!
//! Servers answer 200 to what they ignore, so nothing is believed that was not seen. Everything that is written lies under a
//! random name and is removed again; the archive itself is not touched.

mod bucket;
mod remote;

use std::path::PathBuf;
use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;

use crate::places::git::Author;
use crate::places::git::remote::{Remote, RemoteError, version_of};
use crate::places::s3::{Client, S3Error};
use crate::stories::archive::{OpenArchive, OpenError};
use crate::stories::event::{Event, Listener};
use crate::words::archive::{Archive, BucketSettings};
use crate::words::causes::chain;
use crate::words::date::Timestamp;

/// What is looked at.
#[derive(Debug, Clone)]
pub struct DoctorRequest {
    /// A folder in the archive repository.
    pub archive: PathBuf,
    /// The branch, where it is not the one that HEAD points at.
    pub branch: Option<String>,
    /// Who makes the commits that are pushed and removed again.
    pub author: Author,
    /// The time now.
    pub now: Timestamp,
}

/// What was found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DoctorAnswer {
    /// One entry for each check, in the order in which they were made.
    pub checks: Vec<Check>,
    /// How many failed: ddb does not work until that is mended.
    pub failed: usize,
    /// How many say that something is weaker than it could be.
    pub warnings: usize,
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Check {
    /// Where: `machine`, `store`, `target` or `remote`.
    pub place: &'static str,
    /// What.
    pub name: &'static str,
    /// How it came out.
    pub outcome: Outcome,
    /// What was seen.
    pub seen: String,
    /// What follows, and what to do; empty where all is well.
    pub follows: String,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// It works, but something is weaker than it could be.
    Warning,
    /// ddb does not work with this.
    Failed,
    /// There is nothing to try, or an earlier check failed.
    NotApplicable,
}

/// Why nothing could be tried.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// The archive cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Git's configuration names a remote that is not there.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The process cannot start threads.
    #[error(transparent)]
    S3(#[from] S3Error),
}

/// The checks of one place so far.
struct Checks<'a> {
    place: &'static str,
    list: &'a mut Vec<Check>,
    listener: Listener<'a>,
}

impl Checks<'_> {
    fn add(&mut self, name: &'static str, outcome: Outcome, seen: impl Into<String>, follows: impl Into<String>) {
        (self.listener)(Event::Part { name: format!("{} {name}", self.place) });
        self.list.push(Check { place: self.place, name, outcome, seen: seen.into(), follows: follows.into() });
    }

    fn ok(&mut self, name: &'static str, seen: impl Into<String>) {
        self.add(name, Outcome::Ok, seen, "");
    }

    fn skip(&mut self, name: &'static str, why: impl Into<String>) {
        self.add(name, Outcome::NotApplicable, why, "");
    }

    /// Adds a check that could not be made because of this failure.
    fn failed(&mut self, name: &'static str, fault: &dyn std::error::Error) {
        self.add(name, Outcome::Failed, chain(fault), "");
    }
}

/// The time, as a value that goes on.
#[derive(Debug, Clone, Copy)]
struct Clock {
    begun: Timestamp,
    since: Instant,
}

impl Clock {
    fn now(&self) -> Timestamp {
        Timestamp(self.begun.0 + i64::try_from(self.since.elapsed().as_secs()).unwrap_or_default())
    }
}

/// Tries what the archive's places do.
///
/// # Errors
/// The archive cannot be opened; what does not work with its places is in the answer.
pub fn doctor(request: &DoctorRequest, listener: Listener<'_>) -> Result<DoctorAnswer, DoctorError> {
    let clock = Clock { begun: request.now, since: Instant::now() };
    let open = OpenArchive::open(&request.archive, request.branch.as_deref())?;
    let archive = open.configuration(&open.tip()?)?;
    let remote = Remote::of_branch(&open.repository, &open.branch, None)?;
    let mut list = Vec::new();
    listener(Event::Begin { step: "trying", parts: 0 });
    machine(&mut Checks { place: "machine", list: &mut list, listener });
    store(&mut Checks { place: "store", list: &mut list, listener }, &open, &archive, remote.is_some());
    if let Some(s3) = &archive.store.s3 {
        let client = client_of(s3)?;
        bucket::check(&mut Checks { place: "store", list: &mut list, listener }, &client, clock);
    }
    if let Some(s3) = &archive.target.s3 {
        let client = client_of(s3)?;
        bucket::check(&mut Checks { place: "target", list: &mut list, listener }, &client, clock);
    }
    let mut checks = Checks { place: "remote", list: &mut list, listener };
    match &remote {
        Some(remote) => remote::check(&mut checks, &open, &archive, remote, &request.author),
        None => checks.skip("remote", "the archive's branch has no Git remote; it lives in this repository alone"),
    }
    listener(Event::End);
    let count = |outcome: Outcome| list.iter().filter(|check| check.outcome == outcome).count();
    let (failed, warnings) = (count(Outcome::Failed), count(Outcome::Warning));
    Ok(DoctorAnswer { checks: list, failed, warnings })
}

fn client_of(settings: &BucketSettings) -> Result<Client, S3Error> {
    Client::new(settings)
}

fn machine(checks: &mut Checks<'_>) {
    match version_of(&["git"]) {
        Some(version) => checks.ok("git", version),
        None => {
            checks.add("git", Outcome::Failed, "git does not run", "fetching and pushing is done by the git program: `apt-get install git`")
        }
    }
    match version_of(&["git-lfs"]) {
        Some(version) => checks.ok("git-lfs", version),
        None => checks.skip("git-lfs", "git-lfs does not run; ddb does without, only `git lfs` commands of people need it"),
    }
}

/// Says what kind of store there is, and whether others can get what it holds.
fn store(checks: &mut Checks<'_>, open: &OpenArchive, archive: &Archive, has_remote: bool) {
    let store = match open.store(archive) {
        Ok(store) => store,
        Err(fault) => return checks.failed("kind", &fault),
    };
    let kind = store.describe();
    if has_remote && archive.store.is_of_repository() {
        checks.add(
            "kind",
            Outcome::Failed,
            format!("{kind}, and the archive has a Git remote"),
            "the remote would get pointers to objects that only this repository holds, so `ddb-deploy commit` refuses to push; set [store.s3], [store.lfs] or a store.path that all jobs share in ddb.toml",
        );
    } else if has_remote && archive.store.is_local() {
        checks.add(
            "kind",
            Outcome::Warning,
            format!("{kind}, and the archive has a Git remote"),
            "only machines that share this folder can resolve the pointers",
        );
    } else {
        checks.ok("kind", kind);
    }
    if archive.store.lfs.is_some() {
        let nobody = crate::words::digest::ObjectId::of(fastrand::u128(..).to_string().as_bytes());
        match store.size(&nobody) {
            Ok(_) => checks.ok("read", "the Git-LFS API answers and accepts the credential"),
            Err(fault) => checks.failed("read", &fault),
        }
    }
}
