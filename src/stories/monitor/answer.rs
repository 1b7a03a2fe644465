//! What a monitor says: alarms, what could not be looked at, and what is good to know.

use schemars::JsonSchema;
use serde::Serialize;

use crate::words::archive::LogKind;
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// The answer of `ddb-publish monitor`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct MonitorAnswer {
    /// What must not be. Each stays until its cause is gone or somebody acknowledges it.
    pub alarms: Vec<Finding>,
    /// What nobody could look at this time. It may be well or not.
    pub unreachable: Vec<Finding>,
    /// What is good to know and as it should be.
    pub notes: Vec<Finding>,
    /// The logs that were followed.
    pub logs: Vec<FollowedLog>,
    /// The suites that were looked at.
    pub suites: Vec<WatchedSuite>,
    /// Whether this monitor had seen nothing before, and believed what it saw.
    pub first: bool,
    /// The file that remembers what was seen.
    pub state: String,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// What kind of thing.
    pub kind: FindingKind,
    /// What it is about: a log, a suite, a site, a branch, a key.
    pub subject: String,
    /// What it means and what to do.
    pub text: String,
    /// Of an alarm: what to say with `--acknowledge` once it is understood; `null` where only its cause ends it.
    pub acknowledge: Option<String>,
}

/// Kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// A leaf with our key is about nothing that was ever staged: somebody else has the key.
    UnknownReleaseLogged,
    /// A log took a leaf in our name that our key did not make.
    ForgedLeaf,
    /// There are more leaves with our key than are named and remembered.
    LeavesUncounted,
    /// A Release was served and is in no log.
    ServedWithoutLeaf,
    /// A Release was served without a proof, which best effort allows for a while only.
    ProofOverdue,
    /// A proof on the branch does not hold: it is of another leaf or tree, or log or witnesses did not sign it.
    BadProof,
    /// A log, suite or site that was watched is not in ddb.toml any more, or is required less than before.
    WatchEnded,
    /// Keys, witnesses or certificates that are trusted are others than before.
    TrustChanged,
    /// A log was not read to its end, or a site not reached, for too long.
    Unreached,
    /// Nothing is remembered of earlier looks, and nobody said that this is the first.
    NoMemory,
    /// What the repository holds cannot be read.
    Unreadable,
    /// A log gives a tree head that it did not sign, or that cannot be read.
    BadTreeHead,
    /// Too few witnesses cosigned a tree head.
    QuorumShort,
    /// Too few witnesses cosigned a tree head lately: it may be an old one, shown to this monitor alone.
    TreeHeadOld,
    /// A log's tree became smaller.
    TreeShrunk,
    /// A log shows a tree that does not hold one that it showed before, or showed to others.
    SplitView,
    /// The leaves that a log gives are not those of the tree that it signed.
    LeavesNotOfTree,
    /// A site serves a Release that was never staged.
    UnknownReleaseServed,
    /// A site serves a Release that was staged, and was overtaken before it was to be served, or is not marked as served for long.
    UnservedReleaseServed,
    /// A site serves an InRelease without good signature, or none.
    BadInRelease,
    /// A site serves an older Release than it did before.
    RolledBack,
    /// A site does not serve a newer Release that should be there by now.
    Frozen,
    /// A Release is not valid any more.
    Expired,
    /// A Release is valid for a short time only.
    Expiring,
    /// A key that signs cannot be used any more.
    KeyUnusable,
    /// A key that signs can be used for a short time only.
    KeyExpiring,
    /// A branch does not hold the commits any more that it held.
    HistoryRewritten,
    /// A branch is gone.
    BranchGone,
    /// A Release, or what stays in it, was made from a commit that is not in the history of the archive's branch.
    BaseNotInHistory,
    /// No key of the archive vouches for a Release on its branch.
    Unvouched,
    /// A Release was made from an older commit than one before it.
    OlderBase,
    /// A Release is not what the commit makes that it names, or cannot be made again.
    OtherContent,
    /// Of a Release that was made again some files were not looked at themselves.
    NotWhole,
    /// A log or site does not answer as it should.
    Unreachable,
    /// A log is seen for the first time, and what it shows is believed.
    FirstLook,
    /// A Release was logged, and overtaken before it was served: that is normal.
    LostRace,
    /// A Release was logged and is about to be served.
    NotServedYet,
    /// A Release has no proof yet, which best effort allows.
    ProofPending,
    /// A site serves the Release before the newest one, which caches may do for a while.
    Behind,
    /// Somebody said that this is known.
    Acknowledged,
    /// There is nothing to look at.
    NotConfigured,
}

/// A log that was followed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FollowedLog {
    /// Its kind.
    pub log: LogKind,
    /// The key hash of a Sigsum log, the origin of a Rekor log.
    pub name: String,
    /// Where it is read.
    pub url: String,
    /// Whether all leaves of the tree that it signed were read, and are its leaves.
    pub complete: bool,
    /// How many leaves were read of it; of the last good look where this one was not.
    pub size: u64,
    /// The root hash of a tree of these leaves; `null` where there was no good look yet.
    pub root: Option<Sha256>,
    /// The first leaf that was ever read.
    pub start: u64,
    /// How many leaves were read this time.
    pub read: u64,
    /// How many leaves carry our keys, of all that were ever read.
    pub own: usize,
    /// Witnesses of the policy that cosigned the tree.
    pub witnesses: Vec<String>,
}

/// A suite that was looked at.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WatchedSuite {
    /// The suite.
    pub codename: Codename,
    /// How many Releases were staged.
    pub staged: usize,
    /// How many of them were served.
    pub served: usize,
    /// The number of the newest Release that was served, by its branch.
    pub newest: Option<u64>,
    /// How long it is valid, ISO 8601; `null` is for ever.
    pub valid_until: Option<String>,
    /// What sites serve.
    pub sites: Vec<WatchedSite>,
}

/// What a site serves of a suite.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WatchedSite {
    /// The address or folder.
    pub site: String,
    /// The number of the Release; `null` where it is not one of this archive, or could not be read.
    pub sequence: Option<u64>,
}
