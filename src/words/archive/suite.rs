//! One published suite of `ddb.toml`: what its Release says and which indices it has.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::one_line;
use crate::words::date::Span;
use crate::words::name::{Architecture, Component};

/// One published suite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Suite {
    /// `Suite` of Release (`stable`); default is the codename.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    /// `Version` of Release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `Description` of Release, one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `Changelogs` of Release: where `apt changelog` looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changelogs: Option<String>,
    /// Components in the order of Release.
    #[serde(default = "default_components")]
    pub components: Vec<Component>,
    /// Architectures; `all` adds `binary-all` indices as Debian has them.
    pub architectures: Vec<Architecture>,
    /// Names in the `Distribution` field of .changes that mean this suite, beside its codename and `suite`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub distributions: Vec<String>,
    /// How long a Release is good (`Valid-Until` = Date + this); without it, for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_for: Option<Span>,
    /// `NotAutomatic: yes`: apt pins the suite at 1.
    #[serde(default)]
    pub not_automatic: bool,
    /// `ButAutomaticUpgrades: yes`: with `not-automatic`, apt pins it at 100.
    #[serde(default)]
    pub but_automatic_upgrades: bool,
    /// `Acquire-By-Hash: yes` and `by-hash/` folders: clients see a whole archive at any moment.
    #[serde(default = "yes")]
    pub acquire_by_hash: bool,
    /// `Signed-By` of Release: fingerprints that apt accepts for the *next* Release. A wrong value locks clients out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_by: Vec<String>,
    /// `short` as Debian (Description-md5 and Translation-en), or `long` descriptions in Packages.
    #[serde(default)]
    pub descriptions: Descriptions,
    /// Compressed forms of every index, beside the plain name, which is listed and not written.
    #[serde(default = "default_compression")]
    pub compression: Vec<Compression>,
    /// How long the blocks are that an index is compressed in: `1MiB`, `512KiB`; or `whole`, for the smallest files, and a
    /// publish that compresses the whole index for each change.
    #[serde(default, skip_serializing_if = "BlockSize::is_default")]
    pub block_size: BlockSize,
    /// How many patches from earlier states (pdiffs) each index keeps; 0 makes none. Without it, 8 where an index is large enough
    /// to be worth one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pdiffs: Option<u32>,
    /// `Contents-<architecture>`: which package installs a file, for `apt-file`. Their .gz alone is written, as in Debian.
    #[serde(default, skip_serializing_if = "is_not")]
    pub contents: bool,
    /// How long Contents stay as they are while other indices change (`1d`); without it, they change with every publish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contents_every: Option<Span>,
    /// Digests in Packages and Sources beside SHA-256, which is always there.
    #[serde(default = "default_package_digests")]
    pub package_digests: BTreeSet<ExtraDigest>,
    /// Digest lists in Release beside SHA-256, which is always there.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub release_digests: BTreeSet<ExtraDigest>,
    /// How many generations of by-hash files are kept at least, the newest included.
    #[serde(default = "default_generations")]
    pub keep_generations: u32,
    /// How long a by-hash file stays at least after it was last current.
    #[serde(default = "default_keep")]
    pub keep_for: Span,
    /// Publishes only records whose provenance was signed by somebody whom `[provenance.projects]` names for their source package;
    /// deploys without are refused.
    #[serde(default, skip_serializing_if = "is_not")]
    pub require_provenance: bool,
    /// Override files of each component, in Debian's format, as paths in this repository.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<Component, OverrideFiles>,
}

/// `short` or `long` descriptions in Packages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Descriptions {
    /// First line and Description-md5; the long text in Translation-en.
    #[default]
    Short,
    /// The whole text in Packages, no Translation-en.
    Long,
}

/// One compressed form of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// `.gz`
    Gz,
    /// `.xz`
    Xz,
    /// `.zst`
    Zst,
}

impl Compression {
    /// Returns the file name's ending with its dot.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Gz => ".gz",
            Self::Xz => ".xz",
            Self::Zst => ".zst",
        }
    }
}

/// A digest beside SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExtraDigest {
    /// MD5 (`MD5sum`, `Files`, `MD5Sum`).
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-512.
    Sha512,
}

/// How long a block of an index may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockSize(usize);

impl BlockSize {
    /// Least and greatest length in bytes, unless the whole index is one block.
    const RANGE: std::ops::RangeInclusive<usize> = 64 << 10..=64 << 20;

    /// Returns the length in bytes; 0 means that the whole index is one block.
    pub fn bytes(self) -> usize {
        self.0
    }

    /// Tells whether the whole index is one block.
    pub fn is_whole(self) -> bool {
        self.0 == 0
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for BlockSize {
    fn default() -> Self {
        Self(1 << 20)
    }
}

impl Serialize for BlockSize {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            0 => serializer.serialize_str("whole"),
            bytes if bytes % (1 << 20) == 0 => serializer.collect_str(&format_args!("{}MiB", bytes >> 20)),
            bytes => serializer.collect_str(&format_args!("{}KiB", bytes >> 10)),
        }
    }
}

impl<'de> Deserialize<'de> for BlockSize {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = |unit: &str, shift: u32| text.strip_suffix(unit)?.trim_end().parse::<usize>().ok()?.checked_mul(1 << shift);
        let size = if text == "whole" {
            Some(0)
        } else {
            number("MiB", 20).or_else(|| number("KiB", 10)).filter(|size| Self::RANGE.contains(size))
        };
        let wrong = || serde::de::Error::custom(format!("\"{}\" is no block size: 64KiB to 64MiB, or whole", text.escape_debug()));
        size.map(Self).ok_or_else(wrong)
    }
}

impl JsonSchema for BlockSize {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "BlockSize".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^(whole|[0-9]+ *(KiB|MiB))$"})
    }
}

/// Override files of one component, as dpkg-scanpackages(1) and apt-ftparchive(1) read them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OverrideFiles {
    /// `package priority section [maintainer]` for .deb files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary: Option<String>,
    /// The same for .udeb files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udeb: Option<String>,
    /// `source section` (or `source priority section`) for sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// `package field value` for any field of .deb paragraphs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<String>,
}

fn is_not(value: &bool) -> bool {
    !value
}

fn yes() -> bool {
    true
}

fn default_components() -> Vec<Component> {
    vec![Component::main()]
}

fn default_compression() -> Vec<Compression> {
    vec![Compression::Gz, Compression::Xz]
}

fn default_package_digests() -> BTreeSet<ExtraDigest> {
    BTreeSet::from([ExtraDigest::Md5])
}

fn default_generations() -> u32 {
    3
}

fn default_keep() -> Span {
    Span::of_seconds(48 * 3600)
}

impl Suite {
    pub(super) fn check(&self) -> Result<(), String> {
        for (key, value) in
            [("suite", &self.suite), ("version", &self.version), ("description", &self.description), ("changelogs", &self.changelogs)]
        {
            one_line(key, value.as_deref())?;
        }
        if !self.architectures.iter().any(|architecture| !architecture.is_all()) {
            return Err("architectures must name at least one beside \"all\"".to_owned());
        }
        no_repeats("architectures", &self.architectures)?;
        no_repeats("compression", &self.compression)?;
        no_repeats("components", &self.components)?;
        if let Some(key) = self.signed_by.iter().find(|key| !is_fingerprint(key)) {
            return Err(format!(
                "signed-by holds \"{}\", which is no fingerprint of 40 or 64 hexadecimal digits (with ! for that key alone)",
                key.escape_debug()
            ));
        }
        if self.components.is_empty() {
            return Err("components is empty".to_owned());
        }
        if self.compression.is_empty() {
            return Err("compression is empty; Packages is listed plain and written compressed".to_owned());
        }
        if self.but_automatic_upgrades && !self.not_automatic {
            return Err("but-automatic-upgrades means nothing without not-automatic".to_owned());
        }
        if self.contents_every.is_some() && !self.contents {
            return Err("contents-every means nothing without contents".to_owned());
        }
        if self.keep_generations == 0 {
            return Err("keep-generations must be at least 1".to_owned());
        }
        if let Some(component) = self.overrides.keys().find(|component| !self.components.contains(component)) {
            return Err(format!("overrides.{component}: the suite has no component {component}"));
        }
        Ok(())
    }
}

fn is_fingerprint(text: &str) -> bool {
    let digits = text.strip_suffix('!').unwrap_or(text);
    [40, 64].contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn no_repeats<T: Ord + std::fmt::Debug>(key: &str, values: &[T]) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    match values.iter().find(|value| !seen.insert(*value)) {
        Some(value) => Err(format!("{key} names {value:?} twice")),
        None => Ok(()),
    }
}
