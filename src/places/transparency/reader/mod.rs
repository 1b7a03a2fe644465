//! Logs as a monitor reads them: signed tree heads, proofs that one tree holds another, every leaf in order.
//!
//! What a log gives is checked here as far as one answer can be: signatures, cosignatures, the path of a proof. Whether the leaves are
//! those of the tree shows only when all of them were read; that, and what it means, is for the story.

mod sigsum;
mod tiles;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::http::{Answer, Http};
use crate::formats::merkle::compact::CompactRange;
use crate::words::archive::LogKind;
use crate::words::date::{Span, Timestamp};
use crate::words::digest::Sha256;

pub use sigsum::SigsumReader;
pub use tiles::TileReader;

/// Longest time for one request.
const REQUEST: Duration = Duration::from_secs(30);

/// How often a log that does not answer as it should is asked.
const TRIES: u32 = 3;

/// Pause before a tree head is asked for again that is older than one that was seen.
const STALE: Duration = Duration::from_secs(2);

/// A log.
pub enum LogReader {
    /// A Sigsum log.
    Sigsum(SigsumReader),
    /// A Rekor v2 log.
    Rekor(TileReader),
}

/// How large a log is and what its root hash is, signed by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHead {
    /// How many leaves the tree has.
    pub size: u64,
    /// The root hash.
    pub root: Sha256,
    /// As the log gave it, with its signatures: evidence against a log that shows others something else.
    pub text: String,
    /// Witnesses that are trusted and cosigned it, and when.
    pub witnesses: Vec<(String, Timestamp)>,
    /// What it lacks, although the log signed it.
    pub lacks: Option<Lack>,
}

/// What a tree head lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// Enough cosignatures.
    Quorum(String),
    /// Enough cosignatures that are new.
    Fresh(String),
}

/// A leaf with a key of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnLeaf {
    /// Its place, from 0.
    pub index: u64,
    /// What it is about: Sigsum's checksum, or the SHA-256 of what was signed; of an entry in a form that is not ours, the leaf's hash.
    pub about: Sha256,
    /// Why the log should not have taken it; then `about` was not signed by the key.
    pub fault: Option<String>,
}

/// Why something could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// The log does not answer as it should; a later try may help.
    Down(String),
    /// It gives what cannot be true.
    Lies(String),
}

/// How much of a log is read at once: a log that lies can sign a tree without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimit {
    /// Leaves.
    pub leaves: u64,
    /// How long; the last request may take longer.
    pub time: Duration,
}

/// The hash of a leaf, and what it says where it has a key of ours.
type Leaf = (Sha256, Option<OwnLeaf>);

/// Takes the hash of each leaf in order, and those with a key of ours.
pub type TakeLeaf<'a> = &'a mut dyn FnMut(Sha256, Option<OwnLeaf>);

impl LogReader {
    /// Returns the kind of log.
    pub fn kind(&self) -> LogKind {
        match self {
            Self::Sigsum(_) => LogKind::Sigsum,
            Self::Rekor(_) => LogKind::Sigstore,
        }
    }

    /// Returns what the log is known by: the key hash of a Sigsum log, the origin of a Rekor log.
    pub fn name(&self) -> String {
        match self {
            Self::Sigsum(log) => log.name(),
            Self::Rekor(log) => log.name(),
        }
    }

    /// Returns where it is read.
    pub fn url(&self) -> &str {
        match self {
            Self::Sigsum(log) => log.url(),
            Self::Rekor(log) => log.url(),
        }
    }

    /// Reads the newest tree head; cosignatures count as new until they are of this age. Where the tree is smaller than this, it is
    /// asked for again some times: what lies between may remember an old one for a moment.
    ///
    /// # Errors
    /// There is none that the log signed.
    pub fn head(&self, now: Timestamp, age: Span, at_least: u64) -> Result<SignedHead, ReadError> {
        let ask = || match self {
            Self::Sigsum(log) => log.head(now, age),
            Self::Rekor(log) => log.head(),
        };
        let mut head = ask()?;
        for _ in 1..TRIES {
            if head.size >= at_least {
                break;
            }
            std::thread::sleep(STALE);
            head = ask()?;
        }
        Ok(head)
    }

    /// Checks with the log's help that one tree holds all leaves of an older one in their places; sizes and root hashes.
    ///
    /// # Errors
    /// It does not, as far as the log shows.
    pub fn check_consistency(&self, old: (u64, &Sha256), new: (u64, &Sha256)) -> Result<(), ReadError> {
        match self {
            Self::Sigsum(log) => log.check_consistency(old, new),
            Self::Rekor(log) => log.check_consistency(old, new),
        }
    }

    /// Returns the compact range of all leaves of a tree, without reading them.
    ///
    /// # Errors
    /// It is not that of this root hash.
    pub fn edge(&self, size: u64, root: &Sha256) -> Result<CompactRange, ReadError> {
        let range = match self {
            _ if size == 0 => CompactRange::default(),
            Self::Sigsum(log) => log.edge(size)?,
            Self::Rekor(log) => log.edge(size)?,
        };
        if range.size() == size && range.root() == *root {
            Ok(range)
        } else {
            Err(ReadError::Lies(format!("what it gives of its tree of {size} leaves has another root hash than it signed")))
        }
    }

    /// Reads the leaves from one number on, as far as a tree of this size has them and the limit allows.
    ///
    /// # Errors
    /// Not all were there.
    pub fn leaves(&self, from: u64, size: u64, limit: &ReadLimit, take: TakeLeaf<'_>) -> Result<(), ReadError> {
        let to = size.min(from.saturating_add(limit.leaves));
        let until = Instant::now().checked_add(limit.time);
        let in_time = move || until.is_none_or(|until| Instant::now() < until);
        let mut next = from;
        while next < to && in_time() {
            let leaves = match self {
                Self::Sigsum(log) => log.leaves((next, to))?,
                Self::Rekor(log) => log.leaves((next, to), size)?,
            };
            if leaves.is_empty() {
                return Err(ReadError::Down(format!("it gives no leaf from {next} on, and its tree has {size}")));
            }
            for (hash, own) in leaves {
                take(hash, own);
                next += 1;
            }
        }
        Ok(())
    }

    /// Returns hashes of the keys whose leaves are ours.
    pub fn keys(&self) -> BTreeSet<String> {
        match self {
            Self::Sigsum(log) => log.keys(),
            Self::Rekor(log) => log.keys(),
        }
    }
}

/// Asks a log for something that is there; `None` where it says that it is not.
fn get(http: &Http, base: &str, path: &str, limit: u64) -> Result<Option<Answer>, ReadError> {
    let url = format!("{}/{path}", base.trim_end_matches('/'));
    let mut said = String::new();
    for attempt in 1..=TRIES {
        said = match http.get_up_to(&url, REQUEST, limit) {
            Ok(answer) if answer.status == 200 => return Ok(Some(answer)),
            Ok(answer) if answer.status == 404 => return Ok(None),
            Ok(answer) => answer.said(),
            Err(fault) => fault,
        };
        if attempt < TRIES {
            std::thread::sleep(Duration::from_millis(200) * attempt);
        }
    }
    Err(ReadError::Down(format!("{path}: {said}")))
}

/// The same, where it must be there.
fn need(http: &Http, base: &str, path: &str, limit: u64) -> Result<Vec<u8>, ReadError> {
    let answer = get(http, base, path, limit)?;
    answer.map(|answer| answer.body).ok_or_else(|| ReadError::Down(format!("{path}: there is no such thing (status 404)")))
}

fn lies(what: &str, fault: &dyn std::fmt::Display) -> ReadError {
    ReadError::Lies(format!("{what}: {fault}"))
}
