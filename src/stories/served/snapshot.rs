//! Names of snapshots: a commit of the archive, or a time. Each means, for every suite, the newest served Release that is not
//! later.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;

use super::{Edition, ServedError};
use crate::places::git::{Oid, Repository};
use crate::words::date::Timestamp;
use crate::words::name::Codename;

/// The shortest beginning of a commit's name that is taken.
const SHORTEST: usize = 7;

/// The name of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SnapshotId {
    /// The beginning of a commit's name, in lower case: what was served at that commit or before it in history.
    Commit(String),
    /// What was dated then or before.
    Time(Timestamp),
}

/// Why a name means no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotFault {
    /// Neither a commit nor a time.
    #[error("\"{}\" names no snapshot: a commit of the archive (at least {SHORTEST} digits), or a time such as 20261125T084413Z", text.escape_debug())]
    Malformed {
        /// The text.
        text: String,
    },
    /// No such commit.
    #[error("{name} is no commit of this archive")]
    Unknown {
        /// The name.
        name: String,
    },
    /// Several such commits.
    #[error("{name} is the beginning of several commits; give more digits")]
    Ambiguous {
        /// The name.
        name: String,
    },
    /// Nothing had been served by then.
    #[error("nothing that was served is as old as {id}")]
    Before {
        /// The name.
        id: SnapshotId,
    },
    /// The archive cannot be read.
    #[error(transparent)]
    Served(#[from] ServedError),
}

impl FromStr for SnapshotId {
    type Err = SnapshotFault;

    fn from_str(text: &str) -> Result<Self, SnapshotFault> {
        let time = Timestamp::parse_compact(text).ok().or_else(|| text.contains('T').then(|| text.parse().ok()).flatten());
        if let Some(time) = time {
            return Ok(Self::Time(time));
        }
        let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit()) && (SHORTEST..=40).contains(&text.len());
        if hex { Ok(Self::Commit(text.to_lowercase())) } else { Err(SnapshotFault::Malformed { text: text.chars().take(80).collect() }) }
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(name) => write!(f, "{name}"),
            Self::Time(time) => write!(f, "{}", time.compact()),
        }
    }
}

/// The commits that names are looked up among: everything reachable from some tips.
#[derive(Debug, Default)]
pub struct Commits {
    sorted: Vec<Oid>,
}

impl Commits {
    /// Reads them.
    ///
    /// # Errors
    /// Git failed.
    pub fn reachable(repository: &Repository, tips: &[Oid]) -> Result<Self, ServedError> {
        let mut sorted = Vec::new();
        repository.ancestors(tips, |commit| {
            sorted.push(commit);
            true
        })?;
        sorted.sort();
        Ok(Self { sorted })
    }

    /// Returns the commit whose name begins so.
    ///
    /// # Errors
    /// There is none, or there are several.
    pub fn find(&self, name: &str) -> Result<Oid, SnapshotFault> {
        let from = self.sorted.partition_point(|commit| commit.to_string().as_str() < name);
        let mut found = self.sorted.iter().skip(from).take_while(|commit| commit.to_string().starts_with(name));
        match (found.next(), found.next()) {
            (Some(commit), None) => Ok(*commit),
            (Some(_), Some(_)) => Err(SnapshotFault::Ambiguous { name: name.to_owned() }),
            (None, _) => Err(SnapshotFault::Unknown { name: name.to_owned() }),
        }
    }
}

/// The served Releases of every suite, newest first.
pub type Histories = BTreeMap<Codename, Vec<Edition>>;

/// Returns the Release of each suite that a time means; suites that had none by then are left out.
pub fn at_time(histories: &Histories, time: Timestamp) -> BTreeMap<Codename, Edition> {
    let newest = |editions: &Vec<Edition>| editions.iter().find(|edition| edition.date <= time).cloned();
    histories.iter().filter_map(|(codename, editions)| Some((codename.clone(), newest(editions)?))).collect()
}

/// Returns the Release of each suite that a commit means: the newest whose base is that commit or an ancestor of it.
///
/// # Errors
/// Git failed.
pub fn at_commit(repository: &Repository, histories: &Histories, commit: Oid) -> Result<BTreeMap<Codename, Edition>, ServedError> {
    // Where a Release stands among those of its suite, by its base; of several with one base, the newest.
    let mut of_base: HashMap<Oid, Vec<(&Codename, usize)>> = HashMap::new();
    for (codename, editions) in histories {
        for (at, edition) in editions.iter().enumerate() {
            let places = of_base.entry(edition.base).or_default();
            if places.last().is_none_or(|(last, _)| *last != codename) {
                places.push((codename, at));
            }
        }
    }
    let mut best: BTreeMap<&Codename, usize> = BTreeMap::new();
    let open = histories.values().filter(|editions| !editions.is_empty()).count();
    repository.ancestors(&[commit], |ancestor| {
        for (codename, at) in of_base.get(&ancestor).into_iter().flatten() {
            let known = best.entry(codename).or_insert(*at);
            *known = (*known).min(*at);
        }
        // Nothing newer can come where every suite has its newest one.
        best.len() < open || best.values().any(|at| *at > 0)
    })?;
    let editions = best.into_iter().filter_map(|(codename, at)| Some((codename.clone(), histories.get(codename)?.get(at)?.clone())));
    Ok(editions.collect())
}

/// Returns the Release of each suite that a name means, looked up among the commits reachable from this one and from those
/// that were served.
///
/// # Errors
/// The name means nothing, or nothing that was served is as old.
pub fn resolve(
    repository: &Repository,
    histories: &Histories,
    tip: Oid,
    id: &SnapshotId,
) -> Result<BTreeMap<Codename, Edition>, SnapshotFault> {
    let editions = match id {
        SnapshotId::Time(time) => at_time(histories, *time),
        SnapshotId::Commit(name) => {
            let tips: Vec<Oid> = histories.values().flatten().map(|edition| edition.base).chain([tip]).collect();
            let commit = Commits::reachable(repository, &tips)?.find(name)?;
            at_commit(repository, histories, commit)?
        }
    };
    if editions.is_empty() { Err(SnapshotFault::Before { id: id.clone() }) } else { Ok(editions) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn id(text: &str) -> Result<SnapshotId, String> {
        text.parse().map_err(|fault: SnapshotFault| fault.to_string())
    }

    #[test]
    fn a_name_is_a_commit_or_a_time() {
        let time = SnapshotId::Time(Timestamp(1_795_596_253));
        for text in ["20261125T084413Z", "2026-11-25T08:44:13Z", "2026-11-25T09:44:13+01:00"] {
            assert_eq!(id(text).as_ref(), Ok(&time), "{text}");
        }
        assert_eq!(time.to_string(), "20261125T084413Z");
        assert_eq!(id("ABCDEF0"), Ok(SnapshotId::Commit("abcdef0".to_owned())));
        assert_eq!(id("20261125"), Ok(SnapshotId::Commit("20261125".to_owned())));
        for text in ["", "abcdef", "main", "HEAD~1", "20261125T084413", "@1795596253", "abcdefg", &"a".repeat(41)] {
            assert!(id(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_beginning_of_a_commit_must_mean_one() {
        let oid = |text: &str| Oid::from_str(&format!("{text:0<40}")).unwrap();
        let commits = Commits { sorted: vec![oid("1234567a"), oid("1234567b"), oid("2")] };
        assert_eq!(commits.find("1234567a").unwrap(), oid("1234567a"));
        assert_eq!(commits.find(&oid("2").to_string()).unwrap(), oid("2"));
        assert!(matches!(commits.find("1234567"), Err(SnapshotFault::Ambiguous { .. })));
        assert!(matches!(commits.find("1234568"), Err(SnapshotFault::Unknown { .. })));
        assert!(matches!(commits.find("3000000"), Err(SnapshotFault::Unknown { .. })));
    }

    #[test]
    fn a_time_means_the_newest_release_dated_then_or_before_also_where_dates_went_back() {
        let codename: Codename = "trixie".parse().unwrap();
        let edition = |sequence, date| Edition {
            codename: codename.clone(),
            commit: Oid::ZERO_SHA1,
            base: Oid::ZERO_SHA1,
            sequence,
            date: Timestamp(date),
            at: Timestamp(date),
        };
        let histories = Histories::from([(codename.clone(), vec![edition(4, 30), edition(3, 20), edition(2, 99), edition(1, 10)])]);
        let at = |time| at_time(&histories, Timestamp(time)).get(&codename).map(|edition| edition.sequence);
        assert_eq!([5, 10, 19, 20, 30, 200].map(at), [None, Some(1), Some(1), Some(3), Some(4), Some(4)]);
    }
}
