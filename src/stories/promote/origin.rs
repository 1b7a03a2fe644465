//! What is promoted: a suite as it is, or as clients got it at an older state.

use std::fmt;
use std::str::FromStr;

use super::PromoteError;
use crate::places::git::Oid;
use crate::stories::archive::OpenArchive;
use crate::stories::fold::Last;
use crate::stories::publish::stage::{self, Start, Trust};
use crate::stories::served::snapshot::{self, Histories, SnapshotFault, SnapshotId};
use crate::stories::served::{Edition, ServedError, history};
use crate::words::date::Timestamp;
use crate::words::name::Codename;

/// A suite, or an older state of it: `trixie`, `trixie@12`, `trixie@20261125T084413Z`, `trixie@<commit>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The suite: its codename, its Suite or one of its distributions.
    pub suite: String,
    /// The state, where it is not that of the newest commit.
    pub at: Option<At>,
}

/// Which state of a suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// The Release of this number.
    Release(u64),
    /// What a snapshot's name means.
    Snapshot(SnapshotId),
}

/// The most digits of a Release's number; a commit's name has more.
const NUMBER: usize = 6;

impl FromStr for Origin {
    type Err = SnapshotFault;

    fn from_str(text: &str) -> Result<Self, SnapshotFault> {
        let Some((suite, at)) = text.split_once('@') else { return Ok(Self { suite: text.to_owned(), at: None }) };
        let number = Some(at).filter(|at| at.len() <= NUMBER).and_then(|at| at.parse().ok());
        let at = number.map_or_else(|| at.parse().map(At::Snapshot), |number| Ok(At::Release(number)))?;
        Ok(Self { suite: suite.to_owned(), at: Some(at) })
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release(number) => write!(f, "{number}"),
            Self::Snapshot(id) => write!(f, "{id}"),
        }
    }
}

/// Fetches the record of what clients got of a suite, so that older states can be looked up.
pub(super) fn fetch(open: &OpenArchive, codename: &Codename) -> Result<(), PromoteError> {
    if open.remote.is_none() {
        return Ok(());
    }
    let releases = stage::branch(codename);
    Ok(open.refresh(&[&releases]).and_then(|()| open.align(&releases))?)
}

/// Returns what the last Release of a suite was made of, if a key of the archive vouches for it.
pub(super) fn last(open: &OpenArchive, codename: &Codename, now: Timestamp) -> Option<Last> {
    let branch = Trust::of(open, now).branch(codename).ok()?;
    branch.start(&open.repository, codename).ok().and_then(Start::vouched)
}

/// Returns the Release that such a state means; `tip` is the archive's newest commit. Only what a key of the archive signed says of
/// which commit that was made, and only a commit of the archive's history can be taken up again: who may push to the branch of
/// Releases may leave others there, which are passed over.
pub(super) fn edition(open: &OpenArchive, codename: &Codename, at: &At, tip: Oid, now: Timestamp) -> Result<Edition, PromoteError> {
    let newest = open.repository.tip(&stage::branch(codename))?;
    let newest = newest.ok_or_else(|| PromoteError::NothingServed { codename: codename.clone() })?;
    let chain = Trust::of(open, now).branch(codename).and_then(|branch| branch.chain(&open.repository, codename));
    let editions = chain.map_err(ServedError::from)?.iter().filter_map(|staged| Edition::of(codename, staged)).collect();
    let edition = meant(open, codename, at, tip, editions).map_err(|fault| {
        let all = history::served(&open.repository, codename, newest, &[]).unwrap_or_default();
        // What is there and nobody vouches for is not what was asked for.
        match meant(open, codename, at, tip, all) {
            Ok(other) => PromoteError::Unvouched { codename: codename.clone(), number: other.sequence },
            Err(_) => fault,
        }
    })?;
    if !open.repository.is_ancestor(edition.base, tip)? {
        let (codename, number, base) = (codename.clone(), edition.sequence, edition.base);
        return Err(PromoteError::Foreign { codename, number, base, branch: open.branch.clone() });
    }
    Ok(edition)
}

/// Returns the one of these that such a state means.
fn meant(open: &OpenArchive, codename: &Codename, at: &At, tip: Oid, editions: Vec<Edition>) -> Result<Edition, PromoteError> {
    let nothing = || PromoteError::NothingServed { codename: codename.clone() };
    let last = editions.first().map(|edition| edition.sequence).ok_or_else(nothing)?;
    match at {
        At::Release(number) => {
            let found = editions.into_iter().find(|edition| edition.sequence == *number);
            found.ok_or_else(|| PromoteError::NoRelease { codename: codename.clone(), number: *number, last })
        }
        At::Snapshot(id) => {
            let histories = Histories::from([(codename.clone(), editions)]);
            let mut found = snapshot::resolve(&open.repository, &histories, tip, id)?;
            found.remove(codename).ok_or_else(|| SnapshotFault::Before { id: id.clone() }.into())
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_suite_or_an_older_state_of_one() {
        let at = |text: &str| text.parse::<Origin>().unwrap().at;
        assert_eq!("trixie".parse::<Origin>().unwrap(), Origin { suite: "trixie".to_owned(), at: None });
        assert_eq!(at("trixie@12"), Some(At::Release(12)));
        assert_eq!(at("trixie@1234567").map(|at| at.to_string()).as_deref(), Some("1234567"));
        assert!(matches!(at("trixie@1234567"), Some(At::Snapshot(SnapshotId::Commit(_)))));
        assert!(matches!(at("trixie@20261125T084413Z"), Some(At::Snapshot(SnapshotId::Time(_)))));
        for text in ["trixie@", "trixie@yesterday", "trixie@HEAD~1", "trixie@-1"] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }
}
