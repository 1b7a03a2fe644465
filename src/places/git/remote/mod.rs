//! The Git remote of an archive: what is on its branches, and moving them by compare-and-swap.
//!
//! Fetching and pushing is done by the `git` program, so credential helpers, ssh settings, proxies, thin packs and partial
//! clones are Git's own. A push names the commit that each branch must be at; the server moves all of them or none. What the
//! server says is told apart by `answer`.

mod address;
mod answer;
mod clone;
mod command;
mod error;
mod folder;
mod probe;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use address::without_secrets;
pub use answer::Pushed;
pub use clone::{Depth, discard_clone, is_address, managed_clone};
pub use error::RemoteError;
pub use probe::{Fetched, Trial, version_of};

use super::{GitError, Oid, Repository};
use command::{Said, git_command, push_arguments, run};

/// A move of one branch: from a commit (or nothing) to a commit (or nothing).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The branch's full name on the remote.
    pub reference: String,
    /// Where it must be now; `None` where it must not exist.
    pub old: Option<Oid>,
    /// Where it goes; `None` removes it.
    pub new: Option<Oid>,
}

/// A remote that Git's configuration of the repository names.
#[derive(Debug, Clone)]
pub struct Remote {
    git_dir: PathBuf,
    /// Where relative addresses start from.
    root: PathBuf,
    name: String,
    address: String,
    push_options: Vec<String>,
    /// Settings for what the repository's configuration leaves open.
    settings: Vec<String>,
    /// Whether this clone is ddb's own: its branches follow the remote's and nobody else's.
    managed: bool,
}

/// How often a server that does not answer is tried again.
const TRIES: u32 = 4;

/// How many seconds a web server may say nothing at all. Git's own send a sign of life every five seconds while they work.
const SILENCE: &str = "120";

impl Remote {
    /// Returns the remote of a branch: that of Git's configuration for the branch, else `origin`, else `None`.
    ///
    /// # Errors
    /// A remote is named and there is none of that name.
    pub fn of_branch(repository: &Repository, branch: &str, named: Option<&str>) -> Result<Option<Self>, RemoteError> {
        let short = branch.strip_prefix("refs/heads/").unwrap_or(branch);
        let configured = || repository.setting(&format!("branch.{short}.remote")).filter(|name| name != ".");
        let name = named.map(str::to_owned).or_else(configured).unwrap_or_else(|| "origin".to_owned());
        let Some(address) = repository.setting(&format!("remote.{name}.url")) else {
            return match named {
                Some(_) => Err(GitError::NoRemote { path: repository.root().to_owned(), name }.into()),
                None => Ok(None),
            };
        };
        let address = repository.setting(&format!("remote.{name}.pushurl")).unwrap_or(address);
        let silence = ["http.lowSpeedLimit", "http.lowSpeedTime"].into_iter().zip(["1", SILENCE]);
        let silence = silence.filter(|(key, _)| repository.setting(key).is_none()).map(|(key, value)| format!("{key}={value}"));
        let managed = repository.setting("ddb.managed").as_deref() == Some("true");
        Ok(Some(Self {
            git_dir: repository.git_dir().to_owned(),
            root: repository.root().to_owned(),
            name,
            address,
            push_options: Vec::new(),
            settings: silence.collect(),
            managed,
        }))
    }

    /// Sends these push options where the server takes them.
    #[must_use]
    pub fn with_push_options(mut self, options: &[String]) -> Self {
        self.push_options = options.to_vec();
        self
    }

    /// Returns the remote's address without user name and password.
    pub fn describe(&self) -> String {
        without_secrets(&self.address)
    }

    /// Tells whether the clone is ddb's own.
    pub fn is_managed(&self) -> bool {
        self.managed
    }

    /// Returns the ref that holds what was last seen of a branch.
    pub fn tracking(&self, reference: &str) -> String {
        format!("refs/remotes/{}/{}", self.name, reference.strip_prefix("refs/heads/").unwrap_or(reference))
    }

    /// Fetches branches (full names, or patterns ending in `*`) into their tracking refs; those that the remote no longer has
    /// lose theirs.
    ///
    /// # Errors
    /// The remote cannot be reached or refuses.
    pub fn fetch(&self, branches: &[&str]) -> Result<(), RemoteError> {
        self.fetch_to(branches, Depth::Known)
    }

    /// The same, with as much history as is asked for.
    ///
    /// # Errors
    /// The remote cannot be reached or refuses.
    pub fn fetch_to(&self, branches: &[&str], depth: Depth) -> Result<(), RemoteError> {
        if depth == Depth::Known && self.is_followed(branches)? {
            return Ok(());
        }
        let depth = depth.arguments();
        let fetch = |branches: &[&str]| {
            let specs: Vec<String> = branches.iter().map(|branch| format!("+{branch}:{}", self.tracking(branch))).collect();
            let mut arguments = vec!["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--prune", "--no-recurse-submodules"];
            arguments.extend(depth.iter().map(String::as_str));
            arguments.push(&self.name);
            arguments.extend(specs.iter().map(String::as_str));
            self.patiently("fetch from", || self.git(&arguments, None))
        };
        match fetch(branches) {
            Err(RemoteError::Failed { said, .. }) if said.contains("find remote ref") => {}
            done => return done.map(drop),
        }
        // A branch that the remote does not have is an error to Git if it was named without a pattern.
        let there = self.list(branches)?;
        let (known, gone): (Vec<&str>, Vec<&str>) =
            branches.iter().partition(|branch| branch.ends_with('*') || there.contains_key(**branch));
        let repository = Repository::open(&self.git_dir)?;
        for branch in gone {
            if let Ok(mut reference) = repository.git().find_reference(&self.tracking(branch)) {
                reference.delete().map_err(super::failed(format!("forget {branch}")))?;
            }
        }
        if known.is_empty() { Ok(()) } else { fetch(&known).map(drop) }
    }

    /// Fetches objects by name in one request: what a partial clone lacks.
    ///
    /// # Errors
    /// The remote cannot be reached, or does not have them.
    pub fn fetch_objects(&self, objects: &[Oid]) -> Result<(), RemoteError> {
        let names: String = objects.iter().map(|oid| format!("{oid}\n")).collect();
        let arguments = [
            "-c",
            "fetch.negotiationAlgorithm=noop",
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--filter=blob:none",
            "--stdin",
            &self.name,
        ];
        self.patiently("fetch objects from", || self.git(&arguments, Some(names.as_bytes()))).map(drop)
    }

    /// Returns where branches are (full names, or patterns with `*`), by name.
    ///
    /// # Errors
    /// The remote cannot be reached or refuses.
    pub fn list(&self, patterns: &[&str]) -> Result<BTreeMap<String, Oid>, RemoteError> {
        if let Some(refs) = self.refs_of_folder(patterns) {
            return Ok(refs);
        }
        // Git takes patterns for the ends of names.
        let is_asked_for = |name: &str| {
            patterns.iter().any(|pattern| pattern.strip_suffix('*').map_or(*pattern == name, |prefix| name.starts_with(prefix)))
        };
        let mut arguments = vec!["ls-remote", "--quiet", "--refs", &self.name];
        arguments.extend(patterns);
        let said = self.patiently("ask", || self.git(&arguments, None))?;
        let refs = said.out.lines().filter_map(|line| {
            let (oid, name) = line.split_once('\t').filter(|(_, name)| is_asked_for(name))?;
            Some((name.to_owned(), oid.parse().ok()?))
        });
        Ok(refs.collect())
    }

    /// Moves all of these branches or none. Where the server lets nobody remove a branch (GitLab, where it is protected), those
    /// that are to be removed stay. A server that cannot move several at once moves one after another, the last first, until
    /// one does not move.
    ///
    /// # Errors
    /// The remote cannot be reached, wants another credential, or refuses for a reason that trying again does not mend. When
    /// the connection breaks in the middle, the branches may have moved all the same: look again.
    pub fn push(&self, moves: &[Move]) -> Result<Pushed, RemoteError> {
        // A folder runs no pipelines, and most take no options: asking would be half of the cost of a push.
        let mut options = if folder::is_folder(&self.address) { &[] } else { self.push_options.as_slice() };
        let mut settings: &[&str] = &[];
        let atomic = moves.len() > 1;
        loop {
            let arguments = push_arguments(&self.name, moves, options, atomic);
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let said = self.git_with(settings, &arguments, None)?;
            if said.ok {
                for one in moves {
                    self.remember(one);
                }
                return Ok(Pushed::Moved);
            }
            if settings.is_empty() && said.err.contains("does not support push options") {
                // Those that Git's configuration names go too.
                (options, settings) = (&[], &["push.pushOption="]);
                continue;
            }
            if atomic && said.err.contains("does not support --atomic") {
                return self.push_in_turn(moves);
            }
            let kept: Vec<Move> = moves.iter().filter(|one| one.new.is_some()).cloned().collect();
            if answer::forbids_removal(&said.err) && !kept.is_empty() && kept.len() < moves.len() {
                return self.push(&kept);
            }
            return answer::of_push(&self.describe(), &said.out, &said.err);
        }
    }

    /// Moves one branch after another, the last first.
    fn push_in_turn(&self, moves: &[Move]) -> Result<Pushed, RemoteError> {
        for one in moves.iter().rev() {
            match self.push(std::slice::from_ref(one)) {
                Ok(Pushed::Moved) => {}
                Err(RemoteError::Rejected { said, .. }) if one.new.is_none() && answer::forbids_removal(&said) => {}
                other => return other,
            }
        }
        Ok(Pushed::Moved)
    }

    /// Moves one branch; `false` where it is not at the old commit any more.
    ///
    /// # Errors
    /// As of `push`.
    pub fn compare_and_swap(&self, reference: &str, old: Option<Oid>, new: Oid) -> Result<bool, RemoteError> {
        let one = Move { reference: reference.to_owned(), old, new: Some(new) };
        Ok(self.push(std::slice::from_ref(&one))? == Pushed::Moved)
    }

    /// Git has moved the tracking refs of what it pushed itself, but only where the remote's refspecs cover them.
    fn remember(&self, one: &Move) {
        let tracking = self.tracking(&one.reference);
        let Ok(repository) = Repository::open(&self.git_dir) else { return };
        let set = match one.new {
            Some(new) => repository.git().reference(&tracking, new, true, "ddb push").map(drop),
            None => repository.git().find_reference(&tracking).and_then(|mut found| found.delete()),
        };
        // The next fetch says the same.
        drop(set);
    }

    /// Tells whether the remote is reached by https and there is no credential for it: no token, no helper that knows one, none
    /// in its address, and no header in Git's configuration.
    ///
    /// # Errors
    /// Git does not run.
    pub fn lacks_credential(&self) -> Result<bool, RemoteError> {
        let Some(rest) = self.address.strip_prefix("https://") else { return Ok(false) };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') || self.git(&["config", "--get-urlmatch", "http.extraheader", &self.describe()], None)?.ok {
            return Ok(false);
        }
        let said = self.git(&["credential", "fill"], Some(format!("protocol=https\nhost={authority}\n\n").as_bytes()))?;
        Ok(!(said.ok && said.out.lines().any(|line| line.strip_prefix("password=").is_some_and(|secret| !secret.is_empty()))))
    }

    /// Runs a command that changes nothing on the remote until the server answers, a few times.
    fn patiently(&self, operation: &'static str, run: impl Fn() -> Result<Said, RemoteError>) -> Result<Said, RemoteError> {
        let mut attempt = 0;
        loop {
            let said = run()?;
            if said.ok {
                return Ok(said);
            }
            attempt += 1;
            let fault = answer::of_failure(operation, &self.describe(), &said.err);
            if attempt >= TRIES || !matches!(fault, RemoteError::Failed { .. }) || !answer::is_passing(&said.err) {
                return Err(fault);
            }
            std::thread::sleep(Duration::from_millis(fastrand::u64(100..400) << attempt));
        }
    }

    fn git(&self, arguments: &[&str], input: Option<&[u8]>) -> Result<Said, RemoteError> {
        self.git_with(&[], arguments, input)
    }

    /// Runs git with more settings, each `name=value`.
    fn git_with(&self, settings: &[&str], arguments: &[&str], input: Option<&[u8]>) -> Result<Said, RemoteError> {
        let mut command = git_command(&self.root, &self.git_dir, &self.address);
        // In a mirror, git pushes everything or nothing.
        command.args(["-c", &format!("remote.{}.mirror=false", self.name)]);
        let settings = self.settings.iter().map(String::as_str).chain(settings.iter().copied());
        command.args(settings.flat_map(|setting| ["-c", setting])).args(arguments);
        let mut said = run(&mut command, input)?;
        // Git leaves out user names and passwords, but not what follows a question mark.
        if let Some((_, query)) = self.address.split_once('?').filter(|(_, query)| !query.is_empty()) {
            said.err = said.err.replace(query, "...");
        }
        Ok(said)
    }
}

impl Repository {
    /// Moves a branch by compare-and-swap where its commit point is: on the remote, and then here too; or only here.
    ///
    /// # Errors
    /// The ref cannot be moved for another reason than that somebody was faster.
    pub fn swap(&self, remote: Option<&Remote>, reference: &str, old: Option<Oid>, new: Oid, why: &str) -> Result<bool, RemoteError> {
        let Some(remote) = remote else { return Ok(self.compare_and_swap(reference, old, new, why)?) };
        if !remote.compare_and_swap(reference, old, new)? {
            return Ok(false);
        }
        self.follow(reference, new, why)?;
        Ok(true)
    }

    /// Sets a branch of this repository to where the remote's is.
    ///
    /// # Errors
    /// The ref cannot be written.
    pub fn follow(&self, reference: &str, new: Oid, why: &str) -> Result<(), GitError> {
        self.git().reference(reference, new, true, why).map(drop).map_err(super::failed(format!("move {reference}")))
    }

    /// Tells whether a commit is another or one of its ancestors, as far as history is known here.
    ///
    /// # Errors
    /// History cannot be read.
    pub fn is_ancestor(&self, ancestor: Oid, commit: Oid) -> Result<bool, GitError> {
        if ancestor == commit {
            return Ok(true);
        }
        if self.git().find_commit(ancestor).is_err() {
            return Ok(false);
        }
        self.git().graph_descendant_of(commit, ancestor).map_err(super::failed(format!("compare {ancestor} with {commit}")))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
