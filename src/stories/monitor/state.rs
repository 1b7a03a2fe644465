//! What a monitor remembers from one run to the next: a small JSON file, made to be kept by a CI job.
//!
//! Of each log the tree head as it was signed (evidence), the compact range of all leaves that were read, and the leaves with our keys;
//! of the archive where its branches were; of each site what it served. Without it a monitor starts by believing what it sees.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::releases::KnownRelease;
use super::trusted::Texts;
use crate::formats::merkle::compact::CompactRange;
use crate::words::archive::{LogKind, LogMode};
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;

/// The version of the form.
const VERSION: u32 = 1;

/// Largest state in bytes that is read.
pub const LIMIT: u64 = 64 << 20;

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    version: u32,
    /// When the last run was.
    pub at: Timestamp,
    /// Logs, by kind and name.
    #[serde(default)]
    pub logs: BTreeMap<String, LogMemory>,
    /// The commits that the archive's branches were at.
    #[serde(default)]
    pub branches: BTreeMap<String, String>,
    /// The newest Release that a site served, by address and suite.
    #[serde(default)]
    pub sites: BTreeMap<String, SiteMemory>,
    /// When a site answered last, by address and suite; of one that never did, when it was asked first.
    #[serde(default)]
    pub reached: BTreeMap<String, Timestamp>,
    /// Releases, by SHA-256, that a site served without being marked as served on their branch, and when that was seen first.
    #[serde(default)]
    pub shown: BTreeMap<String, Timestamp>,
    /// What was watched, and whom ddb.toml trusted.
    #[serde(default)]
    pub watched: Option<Watch>,
    /// Commits that Releases were made from and that were in the history of the archive's branch when they were seen first.
    #[serde(default)]
    pub bases: BTreeSet<String>,
    /// Commits that a person said to be the archive's, with their ancestors, although they are not in the history of its branch.
    #[serde(default)]
    pub vouched: BTreeSet<String>,
    /// The newest Release of each suite that was made of no older commit than those before it.
    #[serde(default)]
    pub newest: BTreeMap<String, Reached>,
    /// SHA-256 of Releases for which no key of the archive vouches.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unvouched: BTreeSet<String>,
    /// Releases, by SHA-256, that were made again or are known to somebody; none where that was never asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuilt: Option<BTreeSet<String>>,
    /// What a person has looked into and said to be known: names of alarms.
    #[serde(default)]
    pub acknowledged: BTreeSet<String>,
}

/// What was watched: somebody who may push must not end that in silence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// The logs that were trusted, by kind and name, since when.
    pub logs: BTreeMap<String, Timestamp>,
    /// The logs that were trusted once; their proofs count.
    #[serde(default)]
    pub past: BTreeSet<String>,
    /// What ddb.toml said of each kind of log.
    pub modes: BTreeMap<LogKind, LogMode>,
    /// Of each suite the newest Release when watching began, by kind of log: those after it must be logged, whatever their commit says.
    pub suites: BTreeMap<String, BTreeMap<LogKind, u64>>,
    /// Where clients come.
    pub url: Option<String>,
    /// Digests of policy and trusted root, hashes of keys, fingerprints of certificates, by what they are.
    pub trust: BTreeMap<String, String>,
    /// Whom ddb.toml trusted before changes that nobody knows of yet.
    #[serde(default)]
    pub trusted: BTreeMap<LogKind, Texts>,
}

/// What is remembered of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogMemory {
    /// When everything of the log was looked at last; of a log that was not yet, when that began.
    pub at: Timestamp,
    /// How many leaves were read.
    pub size: u64,
    /// The root hash of the tree of these leaves.
    pub root: Sha256,
    /// The compact range of its leaves.
    pub range: Vec<Sha256>,
    /// The tree head as the log and witnesses signed it.
    pub head: String,
    /// The first leaf that was read.
    pub start: u64,
    /// The leaves with our keys.
    #[serde(default)]
    pub leaves: Vec<KeptLeaf>,
    /// How many more there were, which are not remembered each.
    #[serde(default, skip_serializing_if = "is_none")]
    pub more: u64,
    /// Trees of this log that others were shown and that agree with this one: root hashes by size.
    #[serde(default)]
    pub heads: BTreeMap<u64, Sha256>,
    /// The compact range of the leaves before the first that was read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub begun: Vec<Sha256>,
    /// Hashes of the keys of which leaves were looked for.
    #[serde(default)]
    pub keys: BTreeSet<String>,
    /// The tree that it signed, where not all of its leaves were read yet: size and root hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<(u64, Sha256)>,
    /// What was seen before the log was begun anew, where somebody said that this is known.
    #[serde(default, skip_serializing_if = "Earlier::is_empty")]
    pub earlier: Earlier,
}

/// What is left of a log that was begun anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Earlier {
    /// The leaves with our keys.
    pub leaves: Vec<KeptLeaf>,
    /// Root hashes of its trees.
    pub roots: BTreeSet<Sha256>,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Earlier {
    fn is_empty(&self) -> bool {
        self.leaves.is_empty() && self.roots.is_empty()
    }
}

/// A leaf with a key of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptLeaf {
    /// Its place, from 0.
    pub index: u64,
    /// Sigsum's checksum, or the SHA-256 of what was signed for Sigstore.
    pub about: Sha256,
    /// Why the log should not have taken it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// What is remembered of a suite at a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteMemory {
    /// The number of the Release.
    pub sequence: u64,
    /// When it was seen first.
    pub at: Timestamp,
}

/// A Release, and the commit that it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reached {
    /// Its number.
    pub sequence: u64,
    /// The commit.
    pub base: String,
    /// SHA-256 of its bytes: numbers may be said by anybody who may push. Older monitors did not remember it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Sha256>,
}

impl Reached {
    pub(super) fn at(release: &KnownRelease, base: String) -> Self {
        Self { sequence: release.sequence, base, release: Some(release.release) }
    }
}

/// Returns the name under which a log is remembered.
pub fn log_key(kind: LogKind, name: &str) -> String {
    format!("{kind} {name}")
}

impl State {
    /// Returns the state of a monitor that has seen nothing.
    pub fn new(now: Timestamp) -> Self {
        Self {
            version: VERSION,
            at: now,
            logs: BTreeMap::new(),
            branches: BTreeMap::new(),
            sites: BTreeMap::new(),
            reached: BTreeMap::new(),
            shown: BTreeMap::new(),
            watched: None,
            bases: BTreeSet::new(),
            vouched: BTreeSet::new(),
            newest: BTreeMap::new(),
            unvouched: BTreeSet::new(),
            rebuilt: None,
            acknowledged: BTreeSet::new(),
        }
    }

    /// Reads a state.
    ///
    /// # Errors
    /// It is none, or does not agree with itself.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let state: Self = serde_json::from_slice(bytes).map_err(|fault| fault.to_string())?;
        if state.version != VERSION {
            return Err(format!("it is of version {}; ddb reads version {VERSION}", state.version));
        }
        for (name, log) in &state.logs {
            if log.compact().is_none_or(|range| range.root() != log.root) {
                return Err(format!("what it remembers of the log {name} contradicts itself"));
            }
        }
        Ok(state)
    }

    /// Returns its text.
    pub fn text(&self) -> String {
        // A plain struct of strings and numbers always has a JSON form.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

impl LogMemory {
    /// Returns the compact range of all leaves; `None` where the parts do not fit together.
    pub fn compact(&self) -> Option<CompactRange> {
        CompactRange::new(self.size, self.range.clone())
    }

    /// Returns all leaves with our keys, also those from before the log was begun anew.
    pub fn own(&self) -> impl Iterator<Item = &KeptLeaf> {
        self.earlier.leaves.iter().chain(&self.leaves)
    }

    /// Returns what is left where the log was begun anew.
    pub fn ended(&self) -> Earlier {
        let roots = self.heads.values().copied().chain([self.root]).chain(self.signed.map(|(_, root)| root));
        Earlier { leaves: self.own().cloned().collect(), roots: self.earlier.roots.iter().copied().chain(roots).collect() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::formats::merkle::leaf_hash;

    fn state() -> State {
        let mut range = CompactRange::default();
        (0..3u8).for_each(|leaf| range.append(leaf_hash(&[leaf])));
        let leaves = vec![KeptLeaf { index: 1, about: Sha256::of(b"x"), fault: None }];
        let at = Timestamp(1_800_000_000);
        let heads = BTreeMap::from([(2, Sha256::of(b"y"))]);
        let log = LogMemory {
            at,
            size: 3,
            root: range.root(),
            range: range.roots().to_vec(),
            head: "size=3\n".to_owned(),
            start: 0,
            leaves,
            more: 7,
            heads,
            begun: Vec::new(),
            keys: BTreeSet::from(["key".to_owned()]),
            signed: Some((5, Sha256::of(b"z"))),
            earlier: Earlier { leaves: Vec::new(), roots: BTreeSet::from([Sha256::of(b"lost")]) },
        };
        let mut state = State::new(at);
        state.logs.insert(log_key(LogKind::Sigsum, "abc"), log);
        state.branches.insert("refs/heads/main".to_owned(), "0".repeat(40));
        state.sites.insert("public trixie".to_owned(), SiteMemory { sequence: 2, at });
        state.watched = Some(Watch { modes: BTreeMap::from([(LogKind::Sigsum, LogMode::Required)]), ..Watch::default() });
        state
    }

    #[test]
    fn a_state_is_read_as_it_was_written_and_refused_where_it_contradicts_itself() {
        let state = state();
        let text = state.text();
        assert_eq!(State::parse(text.as_bytes()).unwrap(), state);
        let root = state.logs.values().next().unwrap().root.to_hex();
        for (from, to, says) in [
            ("\"version\": 1", "\"version\": 2".to_owned(), "version 2"),
            ("\"size\": 3", "\"size\": 4".to_owned(), "contradicts itself"),
            (root.as_str(), Sha256::of(b"other").to_hex(), "contradicts itself"),
            ("\"at\"", "\"when\"".to_owned(), "unknown field"),
            ("]\n}\n", "]\n".to_owned(), "EOF"),
        ] {
            let changed = text.replacen(from, &to, 1);
            assert_ne!(changed, text);
            let fault = State::parse(changed.as_bytes()).unwrap_err();
            assert!(fault.contains(says), "{says}: {fault}");
        }
    }

    proptest::proptest! {
        #[test]
        fn changed_states_are_read_or_refused_and_nothing_else(at in 0..1900usize, byte in proptest::num::u8::ANY, cut in 0..2200usize) {
            let mut bytes = state().text().into_bytes();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.truncate(cut);
            if let Ok(read) = State::parse(&bytes) {
                proptest::prop_assert_eq!(State::parse(read.text().as_bytes()), Ok(read));
            }
        }
    }
}
