//! Where a publish happens, and what is looked up there before anything else: branches of Releases, as far as they count.

use super::logging::FindLogs;
use super::stage::{self, Branch, Trust};
use super::{DistsRequest, PublishError};
use crate::places::cache::Cache;
use crate::places::git::read::Snapshot;
use crate::places::git::remote::Depth;
use crate::places::git::{Oid, Repository};
use crate::places::sign::Signer;
use crate::places::store::ObjectStore;
use crate::places::target::PublishTarget;
use crate::stories::archive::{OpenArchive, OpenError};
use crate::words::archive::Archive;
use crate::words::name::Codename;

/// How many commits a shallow clone gets, one after the other, where it ends too early.
const DEEPER: [Depth; 3] = [Depth::Commits(256), Depth::Commits(4096), Depth::All];

/// Finds who signs the Releases of a commit.
pub type FindSigner<'a> = dyn Fn(&Snapshot<'_>, &Archive) -> Result<Box<dyn Signer>, PublishError> + 'a;

/// Where a publish happens: the open archive and its places.
pub struct Places<'a> {
    /// The archive.
    pub open: &'a OpenArchive,
    /// The objects.
    pub store: &'a dyn ObjectStore,
    /// The published tree.
    pub target: &'a dyn PublishTarget,
    /// What earlier publishes on this machine made, if that may be used.
    pub cache: Option<&'a Cache>,
    /// Who signs; asked for only when a new Release is to be signed.
    pub signer: &'a FindSigner<'a>,
    /// The transparency logs, as the newest commit of the archive configures them.
    pub logs: &'a FindLogs<'a>,
}

impl Places<'_> {
    /// Fetches the archive's branch and the Releases of a suite from the remote, if there is one.
    pub(super) fn look(&self, codename: &Codename) -> Result<(), OpenError> {
        if self.open.remote.is_none() {
            return Ok(());
        }
        let _held = self.open.repository.hold_remote()?;
        let releases = stage::branch(codename);
        self.open.refresh(&[&releases]).and_then(|()| self.open.align(&releases)).map_err(OpenError::Remote)
    }

    /// Returns whom the archive trusts to vouch for what its branches of Releases hold.
    pub(super) fn trust(&self, request: &DistsRequest) -> Trust<'_> {
        Trust::of(self.open, request.now)
    }

    /// Returns the suite's branch of Releases, as far as it counts. Where a shallow clone ends before anything that does, more is
    /// fetched.
    pub(super) fn branch(&self, request: &DistsRequest) -> Result<Branch, PublishError> {
        let trust = self.trust(request);
        let found = trust.branch(&request.codename)?;
        if !found.ends_unvouched() {
            return Ok(found);
        }
        let look = |repository: &Repository| Ok(trust.within(repository).branch(&request.codename)?);
        Ok(self.deeper(&stage::branch(&request.codename), look, |found: &Branch| !found.is_cut)?.unwrap_or(found))
    }

    /// Tells whether a commit stands in the history of the archive's newest. Where a shallow clone ends before that is told, more is
    /// fetched.
    pub(super) fn stands_in_history(&self, base: Oid, tip: Oid) -> Result<bool, PublishError> {
        if self.open.repository.is_ancestor(base, tip)? {
            return Ok(true);
        }
        let look = |repository: &Repository| Ok(repository.is_ancestor(base, tip)?);
        Ok(self.deeper(&self.open.branch, look, |stands| *stands)?.unwrap_or_default())
    }

    /// Fetches more and more of a branch into a shallow clone, until what is looked for is enough, or all is there; `None` where this is
    /// no shallow clone.
    pub(super) fn deeper<T>(
        &self,
        branch: &str,
        look: impl Fn(&Repository) -> Result<T, PublishError>,
        is_enough: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, PublishError> {
        let repository = &self.open.repository;
        let Some(remote) = self.open.remote.as_ref().filter(|_| repository.is_shallow()) else { return Ok(None) };
        let _held = repository.hold_remote()?;
        let mut found = None;
        for depth in DEEPER {
            remote.fetch_to(&[branch], depth).map_err(OpenError::Remote)?;
            // A repository that is open does not notice.
            let repository = Repository::open(repository.git_dir())?;
            let seen = look(&repository)?;
            let stop = is_enough(&seen) || !repository.is_shallow();
            found = Some(seen);
            if stop {
                break;
            }
        }
        Ok(found)
    }
}
