//! What a monitor is asked to look at.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::newest::Trust;
use super::state::State;
use crate::formats::sigstore::signer::Signer;
use crate::formats::sigstore::trusted_root::TrustedRoot;
use crate::places::transparency::LogError;
use crate::places::transparency::reader::{LogReader, ReadLimit};
use crate::places::transparency::site::Site;
use crate::stories::archive::OpenArchive;
use crate::words::date::{Span, Timestamp};
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// What a monitor looks at, and how.
#[derive(Debug, Clone)]
pub struct MonitorRequest {
    /// The suites of which what was served is looked at; all leaves are compared with all suites.
    pub codenames: Vec<Codename>,
    /// Where the leaves of a log are read from that is seen for the first time.
    pub begin: Begin,
    /// What is too long or too short.
    pub limits: MonitorLimits,
    /// What a person says to be known.
    pub acknowledged: Vec<String>,
    /// What other monitors remember, by the names of their files.
    pub others: Vec<(String, State)>,
    /// Whether Releases are made again that were not yet.
    pub rebuild: bool,
    /// The file that remembers what was seen, for the answer.
    pub state: PathBuf,
    /// Whether somebody says that this is the first look. Without that, and without memory, there is an alarm.
    pub first: bool,
    /// The time.
    pub now: Timestamp,
}

/// Where to begin with a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With its first leaf.
    Beginning,
    /// With the next leaf that comes.
    Now,
}

/// When something is an alarm.
#[derive(Debug, Clone, Copy)]
pub struct MonitorLimits {
    /// A Release must be valid for longer than this.
    pub valid: Span,
    /// A key must be good for longer than this.
    pub key: Span,
    /// A site may be behind for this long.
    pub behind: Span,
    /// A proof by best effort may be missing for this long.
    pub pending: Span,
    /// Cosignatures must be younger than this.
    pub head_age: Span,
    /// A log may be not read to its end for this long.
    pub unreached: Span,
    /// How much of each log is read in one run.
    pub read: ReadLimit,
}

/// What readers of logs are made from: whom is trusted, key hashes of those who submitted to Sigsum, and signers of entries of Sigstore.
pub struct OwnKeys<'a> {
    /// Whom the newest commit trusts.
    pub trust: &'a Trust,
    /// Whom ddb.toml trusted before changes that nobody knows of yet; the same where there are none.
    pub before: &'a Trust,
    /// Key hashes of those that submitted to Sigsum before.
    pub submitters: &'a BTreeSet<Sha256>,
    /// Who signed entries of Sigstore before.
    pub signers: &'a [Signer],
    /// Whom those trusted who took their certificates.
    pub roots: &'a [TrustedRoot],
}

/// Finds the logs that are to be followed, and says why others cannot be.
pub type FindReaders<'a> = dyn Fn(&OwnKeys<'_>) -> (Vec<LogReader>, Vec<LogError>) + 'a;

/// Finds the sites that are looked at; it gets the address that ddb.toml names.
pub type FindSites<'a> = dyn Fn(Option<&str>) -> Result<Vec<Site>, LogError> + 'a;

/// What is watched.
pub struct Watched<'a> {
    /// The archive's repository.
    pub open: &'a OpenArchive,
    /// The logs.
    pub readers: &'a FindReaders<'a>,
    /// The sites.
    pub sites: &'a FindSites<'a>,
}
