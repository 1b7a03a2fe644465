//! The inbox of an archive branch: statements that deploy jobs parked, and the verdicts that whoever landed them left.
//!
//! A parked statement is the file `statement` (a sealed text) in a commit without parents on the branch `ddb/inbox/<name>`.
//! Verdicts are on `ddb/verdicts/<branch>`, a commit without parents as well, a file for each drain: `verdicts/<number>.json`.
//! Both are small, so that a job can fetch them in the blink of an eye.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::formats::sealed::{Purpose, Sealed, SealedError};
use crate::formats::statement::Statement;
use crate::formats::statement::replay::{Conflict, Rules, Verdict};
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;
use crate::words::name::SourceName;
use crate::words::version::Version;

/// What every inbox branch begins with.
pub const INBOX: &str = "refs/heads/ddb/inbox/";

/// The file in a parked commit.
pub const STATEMENT: &str = "statement";

/// How many drains' verdicts are kept. A job whose verdict is gone finds out by replaying its statement.
pub const DRAINS_KEPT: usize = 64;

/// How many paths a verdict lists at most.
const LISTED: usize = 200;

/// A statement that waits to be landed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Parked {
    /// The branch that it is meant for, by its full name.
    pub branch: String,
    /// How it is to be landed.
    pub rules: Rules,
    /// When it was parked, by the clock of the job. What is sealed is good for a limited time only.
    pub at: Timestamp,
    /// What the job wants to say.
    pub statement: Statement,
}

/// Why a parked statement cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParkedError {
    /// The file is no sealed text.
    #[error("its statement: {0}")]
    Sealed(#[from] SealedError),
    /// The JSON is no parked statement.
    #[error("its statement: {fault}")]
    Json {
        /// What is wrong.
        fault: String,
    },
}

impl Parked {
    /// Returns the sealed text, not signed yet.
    ///
    /// # Errors
    /// It is too long.
    pub fn sealed(&self) -> Result<Sealed, SealedError> {
        // Strings, numbers and lists: it always has a JSON form.
        Sealed::new(Purpose::Statement, serde_json::to_string(self).unwrap_or_default())
    }

    /// Reads the payload of a sealed text.
    ///
    /// # Errors
    /// It is no parked statement.
    pub fn of(sealed: &Sealed) -> Result<Self, ParkedError> {
        serde_json::from_str(sealed.payload()).map_err(|fault| ParkedError::Json { fault: fault.to_string() })
    }

    /// Returns the branch that it is parked on. The same statement for the same branch always has the same, so that a job that
    /// was killed finds what it had parked.
    pub fn inbox_branch(&self) -> String {
        let same = Self { at: Timestamp(0), ..self.clone() };
        format!("{INBOX}{}", Sha256::of(serde_json::to_string(&same).unwrap_or_default().as_bytes()))
    }

    /// Returns what statements are landed in the order of: source and version of the first build, then the digest.
    pub fn order(&self) -> (Option<(SourceName, Version)>, Sha256) {
        let first = self.statement.builds.first().map(|build| (build.source.clone(), build.version.clone()));
        (first, self.statement.digest())
    }
}

/// Returns the branch of the verdicts on statements for an archive branch.
pub fn verdicts_branch(branch: &str) -> String {
    format!("refs/heads/ddb/verdicts/{}", branch.strip_prefix("refs/heads/").unwrap_or(branch))
}

/// What became of a parked statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ParkedVerdict {
    /// The commit that it made, where it changed anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// One entry for each build of the statement, in its order; none where it was rejected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub builds: Vec<BuildVerdict>,
    /// Paths that were added or changed; of many, the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// Paths that were removed; of many, the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// Names that are taken or files that are nowhere, where it was rejected for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<Conflict>,
    /// Why else it was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<String>,
}

/// What became of one build of a parked statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BuildVerdict {
    /// The verdict.
    pub verdict: Verdict,
    /// What a person should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl ParkedVerdict {
    /// Returns the verdict that a statement is rejected for a reason other than taken names.
    pub fn rejected(reason: impl Into<String>) -> Self {
        Self {
            commit: None,
            builds: Vec::new(),
            added: Vec::new(),
            removed: Vec::new(),
            conflicts: Vec::new(),
            rejected: Some(reason.into()),
        }
    }

    /// Leaves out what would make the verdict long.
    #[must_use]
    pub fn shortened(mut self) -> Self {
        self.added.truncate(LISTED);
        self.removed.truncate(LISTED);
        self
    }
}

/// The verdicts of one drain, by parked commit.
pub type Verdicts = BTreeMap<String, ParkedVerdict>;

/// Returns the files of the next verdicts commit: what is kept of the last one, and the verdicts of this drain. A verdict on one
/// of `standing`, the parked commits whose branches are still there, is kept for as long: it would be landed again without.
pub fn next_verdicts(files: BTreeMap<String, Vec<u8>>, verdicts: &Verdicts, standing: &BTreeSet<String>) -> BTreeMap<String, Vec<u8>> {
    let number = |name: &String| name.strip_suffix(".json").and_then(|number| number.parse::<u64>().ok());
    let mut kept: BTreeMap<u64, Vec<u8>> = files.into_iter().filter_map(|(name, bytes)| Some((number(&name)?, bytes))).collect();
    let next = kept.last_key_value().map_or(0, |(last, _)| last.saturating_add(1));
    kept.insert(next, serde_json::to_vec(verdicts).unwrap_or_default());
    let (mut old, mut last) = (Verdicts::new(), None);
    while kept.len() > DRAINS_KEPT {
        let Some((number, bytes)) = kept.pop_first() else { break };
        let of_drain = serde_json::from_slice::<Verdicts>(&bytes).unwrap_or_default();
        old.extend(of_drain.into_iter().filter(|(parked, _)| standing.contains(parked)));
        last = Some(number);
    }
    // All of them are one file, behind which the kept drains stand.
    kept.extend(last.filter(|_| !old.is_empty()).map(|number| (number, serde_json::to_vec(&old).unwrap_or_default())));
    kept.into_iter().map(|(number, bytes)| (format!("{number:012}.json"), bytes)).collect()
}

/// Finds the verdict on a parked commit, newest drain first. A file that is none of ours is passed over.
pub fn find_verdict(files: &BTreeMap<String, Vec<u8>>, parked: &str) -> Option<ParkedVerdict> {
    files.values().rev().find_map(|bytes| serde_json::from_slice::<Verdicts>(bytes).ok()?.remove(parked))
}

/// Returns the parked commits that have their verdict.
pub fn judged(files: &BTreeMap<String, Vec<u8>>) -> BTreeSet<String> {
    files.values().filter_map(|bytes| serde_json::from_slice::<Verdicts>(bytes).ok()).flat_map(BTreeMap::into_keys).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parked(at: i64) -> Parked {
        let statement = Statement { suite: "trixie".parse().unwrap(), builds: Vec::new(), job: None, signed_by: Vec::new() };
        Parked { branch: "refs/heads/main".into(), rules: Rules::default(), at: Timestamp(at), statement }
    }

    #[test]
    fn what_is_parked_is_read_again_and_its_branch_does_not_depend_on_when() {
        let sealed = parked(7).sealed().unwrap();
        let read = Parked::of(&Sealed::decode(Purpose::Statement, sealed.encode().as_bytes()).unwrap()).unwrap();
        assert_eq!(read, parked(7));
        assert_eq!(parked(7).inbox_branch(), parked(8).inbox_branch());
        let other = Parked { branch: "refs/heads/x".into(), ..parked(7) };
        assert_ne!(parked(7).inbox_branch(), other.inbox_branch());
        let foreign = Sealed::new(Purpose::Statement, "{\"branch\":1}".into()).unwrap();
        assert!(Parked::of(&foreign).is_err());
    }

    #[test]
    fn verdicts_are_found_and_old_drains_go() {
        let mut files = BTreeMap::from([("README".to_owned(), b"x".to_vec())]);
        for number in 0..DRAINS_KEPT + 3 {
            let verdicts = Verdicts::from([(format!("c{number}"), ParkedVerdict::rejected(format!("r{number}")))]);
            files = next_verdicts(files, &verdicts, &BTreeSet::new());
        }
        assert_eq!(files.len(), DRAINS_KEPT);
        assert_eq!(find_verdict(&files, "c2"), None);
        assert_eq!(find_verdict(&files, "c3").unwrap().rejected.as_deref(), Some("r3"));
        let last = format!("c{}", DRAINS_KEPT + 2);
        assert!(find_verdict(&files, &last).is_some());
        // What still stands in the inbox keeps its verdict, however many drains follow.
        let standing = BTreeSet::from(["c3".to_owned(), "c5".to_owned()]);
        for number in 0..DRAINS_KEPT * 2 {
            let verdicts = Verdicts::from([(format!("d{number}"), ParkedVerdict::rejected("d"))]);
            files = next_verdicts(files, &verdicts, &standing);
        }
        assert_eq!(files.len(), DRAINS_KEPT + 1);
        assert_eq!(find_verdict(&files, "c3").unwrap().rejected.as_deref(), Some("r3"));
        assert_eq!((find_verdict(&files, "c4"), judged(&files).len()), (None, DRAINS_KEPT + 2));
        files = next_verdicts(files, &Verdicts::new(), &BTreeSet::new());
        assert_eq!((find_verdict(&files, "c5"), files.len()), (None, DRAINS_KEPT));
    }
}
