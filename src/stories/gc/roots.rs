//! What commits of this repository and of others name, also those of their remotes, as it is now.

use std::collections::{BTreeMap, BTreeSet};

use super::{GcError, GcRequest, Kind};
use crate::places::git::remote::Remote;
use crate::places::git::roots::{Named, RELEASES, Retention};
use crate::places::git::{Oid, Repository};
use crate::stories::archive::OpenArchive;
use crate::stories::publish::stage::{self, StageError, Trust};
use crate::words::digest::ObjectId;

/// All repositories that may name objects of the store.
pub(super) struct Roots<'a> {
    repositories: Vec<Known>,
    retention: Retention,
    trust: Trust<'a>,
}

struct Known {
    repository: Repository,
    remote: Option<Remote>,
    tips: BTreeMap<String, Oid>,
    named: Named,
}

impl<'a> Roots<'a> {
    pub(super) fn open(open: &'a OpenArchive, request: &GcRequest, retention: Retention, contents: bool) -> Result<Self, GcError> {
        let mut repositories = vec![Known::new(Repository::open(open.repository.git_dir())?, &open.branch)?];
        for path in &request.also {
            let also = |source| GcError::Also { path: path.clone(), source };
            let repository = Repository::discover(path).map_err(also)?;
            let branch = repository.branch(None).unwrap_or_default();
            repositories.push(Known::new(repository, &branch).map_err(|fault| match fault {
                GcError::Git(source) => also(source),
                fault => fault,
            })?);
        }
        repositories.iter_mut().for_each(|known| known.named.wants_lists = contents);
        Ok(Self { repositories, retention, trust: Trust::of(open, request.now) })
    }

    /// Reads the refs as they are now, those of the remotes too, and what is new in them.
    pub(super) fn read(&mut self) -> Result<(), GcError> {
        self.repositories.iter_mut().try_for_each(|known| known.read(self.retention, &self.trust))
    }

    pub(super) fn names(&self, kind: Kind, oid: &ObjectId) -> bool {
        self.repositories.iter().any(|known| match kind {
            Kind::Objects => known.named.objects.contains(oid),
            Kind::Blocks => known.named.blocks.contains(oid),
            Kind::Lists => known.named.lists.contains(oid),
        })
    }

    pub(super) fn releases(&self) -> usize {
        self.repositories.iter().flat_map(|known| &known.named.releases).collect::<BTreeSet<&Oid>>().len()
    }

    pub(super) fn count(&self) -> usize {
        self.repositories.iter().map(|known| known.tips.len()).sum()
    }

    pub(super) fn commits(&self) -> usize {
        let commits: BTreeSet<&Oid> = self.repositories.iter().flat_map(|known| &known.named.commits).collect();
        commits.len()
    }
}

impl Known {
    fn new(repository: Repository, branch: &str) -> Result<Self, GcError> {
        let remote = Remote::of_branch(&repository, branch, None)?;
        repository.expect_whole()?;
        Ok(Self { repository, remote, tips: BTreeMap::new(), named: Named::default() })
    }

    fn read(&mut self, retention: Retention, trust: &Trust<'_>) -> Result<(), GcError> {
        if let Some(remote) = &self.remote {
            remote.fetch(&["refs/heads/*", "refs/tags/*"])?;
            self.repository.expect_whole()?;
        }
        let tips = self.repository.all_tips()?;
        if tips != self.tips {
            let vouched = vouched(&self.repository, &tips, trust)?;
            self.repository.add_named(&tips, &vouched, retention, &mut self.named)?;
            self.tips = tips;
        }
        Ok(())
    }
}

/// Returns the commits of branches of Releases for which a key of the archive vouches, newest first.
fn vouched(repository: &Repository, tips: &BTreeMap<String, Oid>, trust: &Trust<'_>) -> Result<BTreeMap<String, Vec<Oid>>, StageError> {
    let trust = trust.within(repository);
    let mut vouched = BTreeMap::new();
    for (name, tip) in tips {
        let Some(codename) = name.split_once(RELEASES).and_then(|(_, codename)| codename.parse().ok()) else { continue };
        let chain = trust.branch_at(&codename, Some(*tip))?.chain(repository, &codename)?;
        let mut commits = Vec::new();
        for staged in chain {
            commits.extend(stage::run(repository, staged.commit)?);
        }
        vouched.insert(name.clone(), commits);
    }
    Ok(vouched)
}
