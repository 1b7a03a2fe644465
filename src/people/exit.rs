//! Exit codes, stable and documented in README and `--help`.

/// What the exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// Something failed that is not the caller's input: disk, Git, a program.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Files of the build output were refused.
    Refused = 3,
    /// The archive, its configuration or its content is not usable.
    Archive = 4,
    /// Rejected: names are taken by other bytes.
    Rejected = 5,
    /// Superseded: the suite offers something newer.
    Superseded = 6,
    /// No usable signing key.
    Key = 7,
    /// `fsck` found something wrong.
    Damaged = 8,
    /// Other writers were faster at every try; try again.
    Contended = 9,
    /// Already landed; only with `--detailed-exit-code`, else 0.
    AlreadyLanded = 10,
    /// Committed here and not pushed: there is no credential for the Git remote.
    NotPushed = 11,
    /// Parked: the statement waits in the inbox for whoever lands it next.
    Parked = 12,
    /// A transparency log that is required gave no proof; nothing was served. Try again.
    NoProof = 13,
    /// `verify`: no good signature by a pinned key.
    Unsigned = 20,
    /// `verify`: expired, too old, or from the future.
    NotFresh = 21,
    /// `verify`: older than what was seen before, or another Release of the same date.
    RolledBack = 22,
    /// `verify`: a proof of a transparency log is missing or not good.
    Unproven = 23,
    /// `verify`: an index is missing or not what Release lists.
    WrongIndex = 24,
    /// `verify`: a pool file is missing or not what its index lists.
    WrongPool = 25,
    /// `verify`: a file or package is not what the archive publishes.
    NotPublished = 26,
    /// `verify`: something could not be fetched.
    Unreachable = 27,
    /// `monitor`: there is an alarm.
    Alarm = 30,
    /// `monitor`: a log, a site or the Git remote was not reached; nobody knows whether there is an alarm.
    NotWatched = 31,
    /// `rebuild`: what was published is not what the repository gives.
    Differs = 35,
    /// `rebuild`: nothing differs, but not everything was compared.
    NotWhole = 36,
}

/// The table for `--help`.
pub const HELP: &str = "\
Exit codes:
  0   done, or nothing to do
  1   something failed: disk, Git, a program
  2   wrong command line
  3   files of the build output were refused
  4   the archive, its configuration or its content is not usable
  5   rejected: a name is taken by other bytes
  6   superseded: the suite offers something newer
  7   no usable signing key
  8   fsck found something wrong
  9   other writers were faster at every try; try again
  10  already landed (with --detailed-exit-code; else 0)
  11  committed here, not pushed: no credential for the Git remote
  12  parked: the statement waits in the inbox for whoever lands it next
  13  a transparency log gave no proof, and nothing was served that needs one; try again
  20  verify: no good signature by a pinned key
  21  verify: expired, too old, or from the future
  22  verify: older than what was seen before, or another Release of the same date
  23  verify: a proof of a transparency log is missing or not good
  24  verify: an index is missing or not what Release lists
  25  verify: a pool file is missing or not what its index lists
  26  verify: a file or package is not what the archive publishes
  27  verify: something could not be fetched
  30  monitor: there is an alarm
  31  monitor: a log, a site or the Git remote was not reached, or a log shows what is not believed
  35  rebuild: what was published is not what the repository gives
  36  rebuild: nothing differs, but not everything was compared (--accept)";

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
