//! Remotes that are folders of this machine: where their branches are is read without starting a program.
//!
//! Git starts five processes to list the refs of a folder, and a job that waits asks every second. Nothing else is different:
//! fetching and pushing stay with Git, hooks and all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::{Remote, RemoteError, clone};
use crate::places::git::{Oid, Repository};

/// Tells whether an address is a folder of this machine.
pub(super) fn is_folder(address: &str) -> bool {
    address.starts_with("file://") || !clone::is_address(address)
}

impl Remote {
    /// Returns where branches are, `None` where the remote is no folder that can be read like that: Git then says why.
    pub(super) fn refs_of_folder(&self, patterns: &[&str]) -> Option<BTreeMap<String, Oid>> {
        if !is_folder(&self.address) {
            return None;
        }
        let path = self.root.join(PathBuf::from(self.address.strip_prefix("file://").unwrap_or(&self.address)));
        let repository = git2::Repository::open_ext(path, git2::RepositoryOpenFlags::NO_SEARCH, std::iter::empty::<&str>()).ok()?;
        // Such a server does not show everything that is there.
        let config = repository.config().and_then(|mut config| config.snapshot()).ok()?;
        if ["transfer.hiderefs", "uploadpack.hiderefs"].iter().any(|key| config.get_str(key).is_ok()) {
            return None;
        }
        let mut refs = BTreeMap::new();
        for pattern in patterns {
            for reference in repository.references_glob(pattern).ok()? {
                let reference = reference.ok()?;
                refs.insert(reference.name().ok()?.to_owned(), reference.target()?);
            }
        }
        Some(refs)
    }

    /// Tells whether everything that a fetch of these branches would bring is here already.
    ///
    /// # Errors
    /// The refs of this repository cannot be read.
    pub(super) fn is_followed(&self, branches: &[&str]) -> Result<bool, RemoteError> {
        let Some(there) = self.refs_of_folder(branches) else { return Ok(false) };
        let repository = Repository::open(&self.git_dir)?;
        let there: BTreeSet<(String, Oid)> = there.into_iter().map(|(name, oid)| (self.tracking(&name), oid)).collect();
        let mut here = BTreeSet::new();
        for branch in branches {
            match branch.strip_suffix('*') {
                Some(prefix) => here.extend(repository.refs_below(&self.tracking(prefix))?),
                None => here.extend(repository.tip(&self.tracking(branch))?.map(|oid| (self.tracking(branch), oid))),
            }
        }
        Ok(here == there)
    }
}
