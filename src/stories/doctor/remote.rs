//! What the Git remote takes: shallow fetches, push options, atomic pushes, pointers whose objects it does not hold, inbox
//! branches. Branches of random names are pushed and removed again.

use super::{Checks, Outcome};
use crate::formats::pool::pointer::Pointer;
use crate::places::git::land::Edits;
use crate::places::git::remote::{Move, Remote, RemoteError, Trial};
use crate::places::git::{Author, GitError, Oid};
use crate::stories::archive::OpenArchive;
use crate::words::archive::Archive;
use crate::words::digest::ObjectId;

/// Tries the remote.
pub(super) fn check(checks: &mut Checks<'_>, open: &OpenArchive, archive: &Archive, remote: &Remote, author: &Author) {
    match remote.list(&["refs/heads/*"]) {
        Ok(branches) if branches.contains_key(&open.branch) => {
            checks.ok("read", format!("{} answers; it has {} branches", remote.describe(), branches.len()));
            fetch(checks, remote, &open.branch);
        }
        Ok(_) => {
            let follows = format!("the first push makes it: `git push {} {}`", remote.describe(), open.branch);
            checks.add("read", Outcome::Warning, format!("{} answers, and has no {}", remote.describe(), open.branch), follows);
            checks.skip("fetch", "the remote does not have the archive's branch");
        }
        Err(fault) => {
            checks.failed("read", &fault);
            for name in ["fetch", "push", "push options", "pointers", "atomic", "inbox"] {
                checks.skip(name, "the remote cannot be read");
            }
            return;
        }
    }
    let mut trial = Pushes { open, remote, author, name: format!("{:016x}", fastrand::u64(..)), options: Vec::new() };
    if !trial.push(checks, &archive.remote.push_options) {
        for name in ["pointers", "atomic", "inbox"] {
            checks.skip(name, "nothing could be pushed");
        }
        return;
    }
    trial.pointers(checks, archive);
    trial.atomic(checks);
    trial.inbox(checks, archive);
}

fn fetch(checks: &mut Checks<'_>, remote: &Remote, branch: &str) {
    match remote.try_fetch(branch) {
        Ok(fetched) if fetched.shallow && fetched.filtered => {
            checks.ok("fetch", "shallow and without blobs: a fresh runner fetches little")
        }
        Ok(fetched) => {
            let missing = match (fetched.shallow, fetched.filtered) {
                (true, _) => "the server does not leave out blobs",
                (false, true) => "the server does not leave out history",
                (false, false) => "the server leaves out neither history nor blobs",
            };
            let follows = "fresh runners fetch more than they need; let it allow filters (`uploadpack.allowFilter`)";
            checks.add("fetch", Outcome::Warning, missing, follows);
        }
        Err(fault) => checks.failed("fetch", &fault),
    }
}

struct Pushes<'a> {
    open: &'a OpenArchive,
    remote: &'a Remote,
    author: &'a Author,
    name: String,
    /// Push options that the server takes.
    options: Vec<String>,
}

impl Pushes<'_> {
    fn branch(&self, below: &str) -> String {
        format!("refs/heads/ddb/doctor/{}{below}", self.name)
    }

    fn commit(&self, path: &str, content: &str) -> Result<Oid, GitError> {
        let edits = Edits::from([(path.to_owned(), Some(content.as_bytes().to_vec()))]);
        self.open.repository.commit(None, &edits, "Try what the remote takes (ddb-deploy doctor).\n", self.author)
    }

    fn try_push(&self, moves: &[Move], atomic: bool) -> Result<Trial, RemoteError> {
        self.remote.try_push(moves, &self.options, atomic)
    }

    /// Pushes a commit to a new branch and removes it; says what could not be removed.
    fn push_and_remove(&self, branch: &str, commit: Oid) -> Result<Option<String>, RemoteError> {
        let one = |old, new| Move { reference: branch.to_owned(), old, new };
        self.try_push(&[one(None, Some(commit))], false)?;
        Ok(match self.try_push(&[one(Some(commit), None)], false) {
            Ok(_) => None,
            Err(RemoteError::Rejected { said, .. }) => Some(said),
            Err(fault) => Some(fault.to_string()),
        })
    }

    /// The first push, with the push options of ddb.toml.
    fn push(&mut self, checks: &mut Checks<'_>, options: &[String]) -> bool {
        let branch = self.branch("");
        let pushed = self.commit("doctor", "ddb-deploy doctor\n").map_err(RemoteError::from).and_then(|commit| {
            let moves = [Move { reference: branch.clone(), old: None, new: Some(commit) }];
            let first = self.remote.try_push(&moves, options, false)?;
            let taken = first != Trial::NoPushOptions;
            if !taken {
                self.remote.try_push(&moves, &[], false)?;
            }
            Ok((commit, taken))
        });
        let (commit, taken) = match pushed {
            Ok(pushed) => pushed,
            Err(fault) => {
                checks.failed("push", &fault);
                checks.skip("push options", "nothing could be pushed");
                return false;
            }
        };
        let said = options.join(", ");
        match taken {
            _ if options.is_empty() => checks.skip("push options", "remote.push-options of ddb.toml is empty"),
            true => {
                self.options = options.to_vec();
                checks.ok("push options", format!("{said}: taken"));
            }
            false => checks.add(
                "push options",
                Outcome::Warning,
                "the server takes no push options",
                format!("{said} is left out: pushes of deploy jobs start pipelines, if the forge has any"),
            ),
        }
        match self.try_push(&[Move { reference: branch.clone(), old: Some(commit), new: None }], false) {
            Ok(_) => checks.ok("push", "makes and removes branches"),
            Err(fault) => checks.add(
                "push",
                Outcome::Warning,
                format!("makes branches and cannot remove them: {fault}"),
                format!("remove {branch} by hand"),
            ),
        }
        true
    }

    /// Pushes a pointer whose object nobody has.
    fn pointers(&self, checks: &mut Checks<'_>, archive: &Archive) {
        let seed = format!("{}{}", self.name, fastrand::u64(..));
        let pointer = Pointer { oid: ObjectId::of(seed.as_bytes()), size: seed.len() as u64 };
        let pushed = self
            .commit("pool/main/d/ddb-doctor/ddb-doctor_1_all.deb", &pointer.encode())
            .map_err(RemoteError::from)
            .and_then(|commit| self.push_and_remove(&self.branch("-pointer"), commit));
        match pushed {
            Ok(_) => checks.ok("pointers", "taken although the remote holds no object of them"),
            Err(RemoteError::Rejected { said, .. }) if archive.store.lfs.is_some() => {
                checks.ok("pointers", format!("declined without their objects, which [store.lfs] puts there first ({said})"));
            }
            Err(fault @ RemoteError::Rejected { .. }) => checks.add("pointers", Outcome::Failed, fault.to_string(), POINTERS),
            Err(fault) => checks.failed("pointers", &fault),
        }
    }

    /// Pushes two branches as one.
    fn atomic(&self, checks: &mut Checks<'_>) {
        let branches = ["-one", "-two"].map(|below| self.branch(below));
        let moves = |old, new| branches.clone().map(|reference| Move { reference, old, new });
        let pushed = self.commit("doctor", "two at once\n").map_err(RemoteError::from).and_then(|commit| {
            let trial = self.try_push(&moves(None, Some(commit)), true)?;
            if trial == Trial::Moved {
                self.try_push(&moves(Some(commit), None), false)?;
            }
            Ok(trial)
        });
        match pushed {
            Ok(Trial::Moved) => checks.ok("atomic", "several branches move together or not at all"),
            Ok(_) => checks.add(
                "atomic",
                Outcome::Warning,
                "the server cannot move several branches together",
                "a drain pushes the archive's branch, verdicts and inbox one after the other; nothing is lost, a killed drain is done again",
            ),
            Err(fault) => checks.add("atomic", Outcome::Warning, fault.to_string(), ""),
        }
    }

    /// Pushes to where contended jobs park their statements.
    fn inbox(&self, checks: &mut Checks<'_>, archive: &Archive) {
        let branch = format!("refs/heads/ddb/inbox/doctor-{}", self.name);
        let pushed =
            self.commit("doctor", "no statement\n").map_err(RemoteError::from).and_then(|commit| self.push_and_remove(&branch, commit));
        match pushed {
            Ok(None) if archive.inbox.protected || !archive.uploaders.is_empty() => {
                checks.ok("inbox", "ddb/inbox/* takes and gives up branches");
            }
            Ok(None) => checks.add(
                "inbox",
                Outcome::Warning,
                "ddb/inbox/* takes and gives up branches, but ddb.toml lets nobody park there",
                "contended jobs try again one by one, which is slow beyond four; protect ddb/inbox/* like the archive's branch and set inbox.protected, or name uploaders",
            ),
            Ok(Some(said)) => checks.add(
                "inbox",
                Outcome::Warning,
                format!("ddb/inbox/* takes branches and does not give them up: {said}"),
                format!("landed statements leave their branches behind until somebody removes them in the forge; remove {branch} there"),
            ),
            Err(fault) => checks.add(
                "inbox",
                Outcome::Warning,
                fault.to_string(),
                "jobs with this credential cannot park; contended ones try again one by one, which is slow beyond four",
            ),
        }
    }
}

const POINTERS: &str = "every deploy would be declined like this: the forge looks for the objects in its own store. On GitLab switch Git LFS off for the project (Settings > General > Visibility, project features, permissions > Git LFS; or `PUT /projects/:id` with lfs_enabled=false), or keep the objects there with [store.lfs]";
