//! Where an archive's commit point is: on its Git remote, if it has one, else in this repository.
//!
//! With a remote, work starts from what the remote's branch holds, lands there by compare-and-swap, and then this repository
//! follows. Commits that were made here and not pushed go along as long as the remote has not moved on.

use std::path::{Path, PathBuf};

use crate::places::git::remote::{Depth, Remote, RemoteError, discard_clone, managed_clone};
use crate::places::git::{GitError, Oid, Repository};
use crate::stories::archive::{OpenArchive, OpenError};

/// What a clone of ddb's own is for: what is fetched into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Trees of the newest commit, without blobs.
    Deploy,
    /// The newest commit and the last Releases.
    Publish,
    /// All branches with their history.
    Whole,
}

/// How many Releases and commits of history a clone for publishing gets at first.
const RELEASES: u32 = 32;

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Publish => "publish",
            Self::Whole => "whole",
        }
    }
}

/// Brings ddb's own clone of an address up to date and returns its folder; its HEAD is the remote's.
///
/// # Errors
/// The remote cannot be reached, or has no such branch.
pub fn clone_of(address: &str, cache: &Path, purpose: Purpose, branch: Option<&str>) -> Result<PathBuf, OpenError> {
    let folder = managed_clone(cache, purpose.name(), address).map_err(OpenError::Remote)?;
    match bring_up_to_date(&folder, purpose, branch) {
        // A killed git or a disk that was full left it like that. It holds nothing that the remote does not.
        Err(fault) if is_of_clone(&fault, &folder) => {
            discard_clone(&folder).map_err(OpenError::Remote)?;
            let folder = managed_clone(cache, purpose.name(), address).map_err(OpenError::Remote)?;
            bring_up_to_date(&folder, purpose, branch)?;
            Ok(folder)
        }
        done => done.map(|()| folder),
    }
}

/// Tells whether a clone failed although its remote answers.
fn is_of_clone(fault: &OpenError, folder: &Path) -> bool {
    let answers = || {
        let Ok(repository) = Repository::open(folder) else { return true };
        match Remote::of_branch(&repository, "", None) {
            Ok(Some(remote)) => remote.list(&["refs/heads/*"]).is_ok(),
            _ => true,
        }
    };
    match fault {
        OpenError::Git(GitError::NoBranch { .. }) => false,
        OpenError::Git(_) => true,
        OpenError::Remote(fault) => fault.may_be_of_clone() && answers(),
        _ => false,
    }
}

fn bring_up_to_date(folder: &Path, purpose: Purpose, branch: Option<&str>) -> Result<(), OpenError> {
    let repository = Repository::open(folder)?;
    let _held = repository.hold_remote()?;
    let remote = Remote::of_branch(&repository, "", None).map_err(OpenError::Remote)?;
    let Some(remote) = remote else { return Err(GitError::NoRemote { path: folder.to_owned(), name: "origin".to_owned() }.into()) };
    let known = || repository.branch(None).ok().filter(|head| matches!(repository.tip(&remote.tracking(head)), Ok(Some(_))));
    let named = branch;
    let branch = match named.map_or_else(known, |named| repository.branch(Some(named)).ok()) {
        Some(branch) => branch,
        None => remote.head().map_err(OpenError::Remote)?.unwrap_or_else(|| "refs/heads/main".to_owned()),
    };
    let known = repository.tip(&remote.tracking(&branch))?.is_some();
    let releases = "refs/heads/ddb/releases/*";
    match purpose {
        Purpose::Deploy => remote.fetch_to(&[&branch], if known { Depth::Known } else { Depth::Trees }),
        Purpose::Publish if known => remote.fetch(&[&branch, releases]),
        Purpose::Publish => {
            remote.fetch_to(&[&branch], Depth::Commits(1)).and_then(|()| match remote.list(&[releases])?.is_empty() {
                // Git fails without a word where a depth is asked for and no branch fits the pattern.
                true => Ok(()),
                false => remote.fetch_to(&[releases], Depth::Commits(RELEASES)),
            })
        }
        Purpose::Whole => remote.fetch(&["refs/heads/*"]),
    }
    .map_err(OpenError::Remote)?;
    remote.tidy().map_err(OpenError::Remote)?;
    let tip = repository.tip(&remote.tracking(&branch))?;
    let tip = tip.ok_or_else(|| GitError::NoBranch { path: PathBuf::from(remote.describe()), branch: branch.clone() })?;
    repository.follow(&branch, tip, "ddb fetch")?;
    for (name, commit) in repository.refs_below(&remote.tracking("refs/heads/ddb/releases/"))? {
        let short = name.rsplit_once("/ddb/releases/").map(|(_, short)| short).unwrap_or_default();
        let own = format!("refs/heads/ddb/releases/{short}");
        match purpose {
            // Whoever looks at the whole of an archive wants to see what became of it, and compares with what he remembers.
            Purpose::Whole => repository.follow(&own, commit, "ddb fetch")?,
            _ => follow_releases(&repository, &remote, &own, commit).map_err(OpenError::Remote)?,
        }
    }
    // A branch that was named is this job's choice, and no other's.
    if named.is_none() {
        repository.point_head_at(&branch)?;
    }
    Ok(())
}

/// Lets a branch of Releases of ddb's own clone follow the remote's. Such a branch only grows, since ddb alone writes it: a clone
/// remembers where it was.
fn follow_releases(repository: &Repository, remote: &Remote, reference: &str, new: Oid) -> Result<(), RemoteError> {
    let grown = |own| repository.is_ancestor(own, new);
    let seen = match repository.tip(reference)? {
        Some(own) if !grown(own)? => own,
        _ => return Ok(repository.follow(reference, new, "ddb fetch")?),
    };
    // Another process may have pushed and fetched since this one did.
    match remote.list(&[reference])?.get(reference) {
        Some(now) if *now == new => {
            let (reference, url, clone) = (reference.to_owned(), remote.describe(), repository.git_dir().to_owned());
            Err(RemoteError::Rewritten { reference, url, seen, now: new, clone })
        }
        _ => Ok(()),
    }
}

impl OpenArchive {
    /// Takes the remote of the branch (or the one named) as the commit point, from now on. Without a remote nothing changes.
    ///
    /// # Errors
    /// A remote is named and there is none of that name.
    pub fn connect(&mut self, named: Option<&str>) -> Result<(), OpenError> {
        self.remote = Remote::of_branch(&self.repository, &self.branch, named).map_err(OpenError::Remote)?;
        Ok(())
    }

    /// Fetches the branch and these others.
    ///
    /// # Errors
    /// The remote cannot be reached or refuses.
    pub fn refresh(&self, others: &[&str]) -> Result<(), RemoteError> {
        let Some(remote) = &self.remote else { return Ok(()) };
        let branches: Vec<&str> = std::iter::once(self.branch.as_str()).chain(others.iter().copied()).collect();
        remote.fetch(&branches)
    }

    /// Fetches these branches alone.
    ///
    /// # Errors
    /// The remote cannot be reached or refuses.
    pub fn refresh_only(&self, branches: &[&str]) -> Result<(), RemoteError> {
        self.remote.as_ref().map_or(Ok(()), |remote| remote.fetch(branches))
    }

    /// Returns the commit that work starts from: the remote's, as last fetched, or this repository's where that has commits
    /// of its own on top; `None` where neither has any.
    ///
    /// # Errors
    /// Both have moved on.
    pub fn base(&self) -> Result<Option<Oid>, OpenError> {
        let here = self.repository.tip(&self.branch)?;
        let Some(remote) = &self.remote else { return Ok(here) };
        let there = self.repository.tip(&remote.tracking(&self.branch))?;
        if remote.is_managed() {
            // A branch that somebody removed is not made again from a cache.
            return Ok(there);
        }
        let (Some(own), Some(others)) = (here, there) else { return Ok(there.or(here)) };
        if self.repository.is_ancestor(own, others)? {
            return Ok(there);
        }
        if self.repository.is_ancestor(others, own)? {
            return Ok(here);
        }
        Err(OpenError::Remote(RemoteError::Diverged { reference: self.branch.clone(), url: remote.describe() }))
    }

    /// Returns where the remote's branch must be for a push of what rests on this commit, `None` where it must not exist.
    ///
    /// # Errors
    /// A ref or history cannot be read.
    pub fn expected(&self, base: Oid) -> Result<Option<Oid>, GitError> {
        let Some(remote) = &self.remote else { return Ok(None) };
        Ok(match self.repository.tip(&remote.tracking(&self.branch))? {
            // Somebody has fetched meanwhile, and what came is not in that commit: it must not be overwritten.
            Some(seen) if !self.repository.is_ancestor(seen, base)? => Some(base),
            seen => seen,
        })
    }

    /// Lets this repository's branch and checkout follow what landed on the remote; returns the paths that have local changes
    /// and were left alone.
    ///
    /// # Errors
    /// A ref or the checkout cannot be written.
    pub fn catch_up(&self, new: Oid) -> Result<Vec<String>, GitError> {
        let here = self.repository.tip(&self.branch)?;
        if here == Some(new) {
            return Ok(Vec::new());
        }
        let managed = self.remote.as_ref().is_some_and(Remote::is_managed);
        // What a person has committed here meanwhile is not for ddb to undo; the next run finds that both have moved on.
        let follows = match here {
            Some(own) => managed || self.repository.is_ancestor(own, new)?,
            None => true,
        };
        if !follows || !self.repository.compare_and_swap(&self.branch, here, new, "ddb: follow the remote")? {
            return Ok(Vec::new());
        }
        match here {
            Some(before) if self.repository.work_dir().is_some() => {
                let edits = self.repository.changes_between(before, new)?;
                self.repository.refresh_work_tree(&self.branch, here, &edits)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Takes over what the remote has of a branch that ddb alone writes (`ddb/releases/…`), or brings the remote what only
    /// this repository has.
    ///
    /// # Errors
    /// Both have moved on, or the remote cannot be reached.
    pub fn align(&self, reference: &str) -> Result<(), RemoteError> {
        let Some(remote) = &self.remote else { return Ok(()) };
        let here = self.repository.tip(reference)?;
        let there = self.repository.tip(&remote.tracking(reference))?;
        match (here, there) {
            (own, Some(others)) if own == Some(others) => Ok(()),
            (None, None) => Ok(()),
            (None, Some(others)) => Ok(self.repository.follow(reference, others, "ddb fetch")?),
            (Some(own), None) => remote.compare_and_swap(reference, None, own).map(drop),
            (Some(_), Some(others)) if remote.is_managed() => follow_releases(&self.repository, remote, reference, others),
            (Some(own), Some(others)) if self.repository.is_ancestor(own, others)? => {
                Ok(self.repository.follow(reference, others, "ddb fetch")?)
            }
            (Some(own), Some(others)) if self.repository.is_ancestor(others, own)? => {
                remote.compare_and_swap(reference, Some(others), own).map(drop)
            }
            _ => Err(RemoteError::Diverged { reference: reference.to_owned(), url: remote.describe() }),
        }
    }
}
