//! Git-LFS around an archive: the store behind a forge's batch API, the transfer agent, objects for a clone, `.lfsconfig`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::formats::pool::pointer::Pointer;
use crate::places::credentials;
use crate::places::git::read::read_blobs;
use crate::places::git::{GitError, Repository};
use crate::places::store::StoreError;
use crate::places::store::lfs::http::Patience;
use crate::places::store::lfs::{LfsOptions, LfsStore};
use crate::words::archive::LfsSettings;
use crate::words::digest::ObjectId;

/// Returns the store behind a forge's batch API.
///
/// # Errors
/// The certificate authorities cannot be read.
pub fn batch_store(repository: &Repository, branch: &str, settings: &LfsSettings) -> Result<LfsStore, StoreError> {
    let given = credentials::given();
    let of_git = given.git_token.filter(|_| repository.remote_urls().iter().any(|url| host(url) == host(&settings.url)));
    let (git_dir, branch) = (repository.git_dir().to_owned(), branch.to_owned());
    LfsStore::new(LfsOptions {
        url: settings.url.clone(),
        token: given.lfs_token.or(of_git),
        authorities: given.authorities,
        git_dir: git_dir.clone(),
        sizes: Box::new(move || sizes(&git_dir, &branch).unwrap_or_default()),
        patience: Patience::default(),
    })
}

/// Returns the host of a remote's address, also of one without a scheme (`git@host:path`).
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host.split(':').next().unwrap_or(host)
}

/// Returns the sizes of all objects that the pool names, for servers that answer only to those who know them.
fn sizes(git_dir: &Path, branch: &str) -> Result<BTreeMap<ObjectId, u64>, GitError> {
    let repository = Repository::open(git_dir)?;
    let Some(tip) = repository.tip(branch)? else { return Ok(BTreeMap::new()) };
    let blobs: Vec<_> = repository.snapshot(tip)?.pool()?.into_iter().collect();
    let pointers = read_blobs(&repository, &blobs, |_, bytes| Ok::<_, GitError>(Pointer::decode(bytes).ok()))?;
    Ok(pointers.into_iter().flatten().map(|pointer| (pointer.oid, pointer.size)).collect())
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn a_remote_and_a_batch_api_on_the_same_host_are_known_as_such() {
        for url in ["https://user:x@git.example.org:8443/a.git", "git@git.example.org:a/b.git", "ssh://git@git.example.org/a"] {
            assert_eq!(host(url), "git.example.org");
        }
        assert_ne!(host("https://git.example.org@evil.example/a"), "git.example.org");
    }
}
