//! Where an archive's bytes and commits go: the object store, the published tree, the Git remote and its inbox.
//!
//! No key holds a secret: S3 credentials come from the standard AWS chain, a Git token from the environment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::one_line;

/// Where objects are kept: at most one of `path`, `s3` and `lfs`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StoreSettings {
    /// A folder in the Git-LFS layout; default is the repository's own `.git/lfs/objects`. Relative to the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Says that everybody who uses the Git remote reaches the folder too (a file server), so that pointers may be pushed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// A bucket of an S3-compatible server; objects lie at `<prefix>/ab/cd/<oid>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<BucketSettings>,
    /// With `s3`: public address of the prefix, for downloads without credentials; without it, addresses are presigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// With `s3`: size in bytes of the parts of a large object, and the size from which it is sent in parts; default 16 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_size: Option<u64>,
    /// A forge's own Git-LFS objects, by its batch API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lfs: Option<LfsSettings>,
}

/// A bucket and a prefix in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BucketSettings {
    /// The bucket's name.
    pub bucket: String,
    /// The server's address (`https://fsn1.example.com`); without it, Amazon's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The region; default is that of the AWS configuration, else `us-east-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What every key begins with, without slashes at either end; default is nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// Address objects as `endpoint/bucket/key` instead of `bucket.endpoint/key`; default is yes where `endpoint` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,
}

/// A forge's Git-LFS batch API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LfsSettings {
    /// The API's address, such as `https://gitlab.example.org/group/archive.git/info/lfs`.
    pub url: String,
}

/// What stock Git-LFS is told in every clone, by `.lfsconfig`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GitLfsSettings {
    /// The batch API that `git lfs pull` asks: the gateway's (`ddb-publish serve`), or an address that `ddb-deploy lfs-agent
    /// --install --url` was given. `.lfsconfig` must say the same; without this key it is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl GitLfsSettings {
    pub(super) fn check(&self) -> Result<(), String> {
        address("lfs.url", self.url.as_deref())
    }
}

/// Where the published tree is written: a folder, or a bucket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TargetSettings {
    /// The folder of the published tree, relative to the repository.
    #[serde(default = "default_target")]
    pub path: String,
    /// How pool files come from the object store into a folder.
    #[serde(default)]
    pub links: Links,
    /// A bucket of an S3-compatible server instead of the folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<BucketSettings>,
    /// With `s3`: how clients get package files.
    #[serde(default)]
    pub mode: TargetMode,
}

/// How clients of a tree in S3 get package files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TargetMode {
    /// Objects are copied, by the server, to their names under `pool/`.
    #[default]
    Pool,
    /// `Filename` names the object itself, with the file's name as a query that servers ignore: nothing is copied. The store
    /// must lie below the tree, in the same bucket.
    Direct,
}

impl Default for TargetSettings {
    fn default() -> Self {
        Self { path: default_target(), links: Links::default(), s3: None, mode: TargetMode::default() }
    }
}

fn default_target() -> String {
    "public".to_owned()
}

/// How pool files come from the object store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Links {
    /// Reflinks where the file system has them, else hard links, else copies.
    #[default]
    Auto,
    /// Reflinks (shared blocks, private files) or an error.
    Reflink,
    /// Hard links to the store's read-only objects, or an error.
    Hard,
    /// Whole copies.
    Copy,
}

/// How commits reach the Git remote. Which one that is says Git's own configuration: the branch's, else `origin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RemoteSettings {
    /// Push options (`ci.skip`); left out where the server takes none.
    #[serde(default = "default_push_options")]
    pub push_options: Vec<String>,
}

impl Default for RemoteSettings {
    fn default() -> Self {
        Self { push_options: default_push_options() }
    }
}

fn default_push_options() -> Vec<String> {
    vec!["ci.skip".to_owned()]
}

/// Whether statements that other jobs parked on `ddb/inbox/` branches are landed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct InboxSettings {
    /// Says that the forge protects the branches `ddb/inbox/*` and `ddb/verdicts/*` like the archive's own branch, so that
    /// whoever can park may publish. Without it, only statements signed by a key of `uploaders` are landed.
    #[serde(default)]
    pub protected: bool,
}

/// Refuses a published tree that would lie in the way of the repository's own files.
fn check_target(path: &str) -> Result<(), String> {
    let mut parts = std::path::Path::new(path).components().filter(|part| *part != std::path::Component::CurDir);
    match parts.next() {
        None => Err("target.path names the repository itself; name a folder in it, or elsewhere".to_owned()),
        Some(first) if [".git", "pool", "suites", "keys"].iter().any(|own| first.as_os_str() == *own) => {
            Err(format!("target.path \"{path}\" lies among the repository's own files; name another folder"))
        }
        Some(_) => Ok(()),
    }
}

/// What S3 takes as size of a part.
const PART_SIZES: std::ops::RangeInclusive<u64> = 5 << 20..=5 << 30;

impl StoreSettings {
    /// Tells whether objects lie in the repository's own `.git/lfs/objects`.
    pub fn is_of_repository(&self) -> bool {
        self.path.is_none() && self.s3.is_none() && self.lfs.is_none()
    }

    /// Tells whether only this machine reaches the objects.
    pub fn is_local(&self) -> bool {
        self.s3.is_none() && self.lfs.is_none() && !self.shared
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let kinds = [self.path.is_some(), self.s3.is_some(), self.lfs.is_some()];
        if kinds.iter().filter(|kind| **kind).count() > 1 {
            return Err("store: name one of path, s3 and lfs".to_owned());
        }
        if self.shared && self.path.is_none() {
            return Err("store.shared goes with store.path".to_owned());
        }
        match &self.s3 {
            Some(s3) => s3.check("store.s3")?,
            None if self.url.is_some() || self.part_size.is_some() => return Err("store: url and part-size go with s3".to_owned()),
            None => {}
        }
        address("store.url", self.url.as_deref())?;
        if self.part_size.is_some_and(|size| !PART_SIZES.contains(&size)) {
            return Err("store.part-size must lie between 5 MiB and 5 GiB".to_owned());
        }
        address("store.lfs.url", self.lfs.as_ref().map(|lfs| lfs.url.as_str()))
    }
}

impl TargetSettings {
    pub(super) fn check(&self, store: &StoreSettings) -> Result<(), String> {
        check_target(&self.path)?;
        let Some(s3) = &self.s3 else {
            return if self.mode == TargetMode::Direct { Err("target.mode \"direct\" goes with target.s3".to_owned()) } else { Ok(()) };
        };
        s3.check("target.s3")?;
        if self.mode == TargetMode::Direct && self.objects_below(store).is_none() {
            return Err("target.mode \"direct\" needs store.s3 in the same bucket, with a prefix below that of target.s3".to_owned());
        }
        Ok(())
    }

    /// Returns the path of the object store in a published tree that names objects directly, else `None`.
    pub fn objects_below(&self, store: &StoreSettings) -> Option<String> {
        let (own, store) = (self.s3.as_ref()?, store.s3.as_ref()?);
        let same = store.bucket == own.bucket && store.endpoint == own.endpoint;
        let below = match own.prefix.as_str() {
            "" => Some(store.prefix.as_str()),
            prefix => store.prefix.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')),
        };
        below.filter(|path| self.mode == TargetMode::Direct && same && !path.is_empty()).map(str::to_owned)
    }
}

impl BucketSettings {
    /// Checks the values; `table` is what they are called in the message.
    ///
    /// # Errors
    /// A value that no bucket has, or a secret in the address.
    pub fn check(&self, table: &str) -> Result<(), String> {
        one_line(&format!("{table}.bucket"), Some(&self.bucket))?;
        address(&format!("{table}.endpoint"), self.endpoint.as_deref())?;
        one_line(&format!("{table}.region"), self.region.as_deref())?;
        let odd = |part: &str| part.is_empty() || part == "." || part == ".." || part.chars().any(|letter| letter.is_control());
        if !self.prefix.is_empty() && self.prefix.split('/').any(odd) {
            return Err(format!("{table}.prefix must be names joined by single slashes, without one at either end"));
        }
        Ok(())
    }
}

impl RemoteSettings {
    pub(super) fn check(&self) -> Result<(), String> {
        self.push_options.iter().try_for_each(|option| one_line("remote.push-options", Some(option)))
    }
}

/// Checks an address: http or https, and no user name or password, which would be a secret in a committed file.
pub(super) fn address(key: &str, value: Option<&str>) -> Result<(), String> {
    one_line(key, value)?;
    let Some(url) = value else { return Ok(()) };
    let Some(rest) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) else {
        return Err(format!("{key} must begin with https:// or http://"));
    };
    if rest.split(['/', '?', '#']).next().unwrap_or_default().contains('@') {
        return Err(format!("{key} holds a user name or password; secrets belong into the environment"));
    }
    Ok(())
}
