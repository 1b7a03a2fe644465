//! What this verifier saw of an archive before: one small JSON file for each suite of each location.
//!
//! An archive that goes back to an older Release, or shows two Releases of one date, is noticed by whoever remembers.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::VerifyError;
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;

/// The newest Release that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seen {
    pub(super) location: String,
    pub(super) suite: String,
    /// Its Date.
    pub(super) date: Timestamp,
    /// SHA-256 of its bytes.
    pub(super) release: Sha256,
    /// When it was seen.
    pub(super) at: Timestamp,
}

impl Seen {
    /// Returns what is wrong with a Release after this one was seen.
    pub(super) fn against(&self, date: Timestamp, release: Sha256) -> Option<String> {
        let seen = format!("the Release of {} was seen here on {}", self.date.iso8601(), self.at.iso8601());
        if date < self.date {
            return Some(format!("is of {}, but {seen}: somebody serves an old state, perhaps signed anew", date.iso8601()));
        }
        (date == self.date && release != self.release).then(|| {
            format!(
                "is another Release of the same date: {seen} with the SHA256 {}, this one has {release}: not everybody gets the same",
                self.release
            )
        })
    }
}

/// Returns the file of a suite.
fn file(folder: &Path, location: &str, suite: &str) -> PathBuf {
    folder.join(format!("{}.json", Sha256::of(format!("{location}\n{suite}\n").as_bytes())))
}

/// Returns what was seen of a suite.
pub(super) fn recall(folder: &Path, location: &str, suite: &str) -> Result<Option<Seen>, VerifyError> {
    let path = file(folder, location, suite);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(VerifyError::Read { path, source }),
    };
    let refuse = |reason: String| VerifyError::Memory { path: path.clone(), reason };
    let seen: Seen = serde_json::from_slice(&bytes).map_err(|fault| refuse(fault.to_string()))?;
    if seen.location != location || seen.suite != suite {
        return Err(refuse(format!("it is about {} of {}", seen.suite, seen.location)));
    }
    Ok(Some(seen))
}

/// Keeps what was seen of a suite.
pub(super) fn remember(folder: &Path, seen: &Seen) -> Result<(), VerifyError> {
    let path = file(folder, &seen.location, &seen.suite);
    let write = || {
        std::fs::create_dir_all(folder)?;
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        new.write_all(serde_json::to_string_pretty(seen)?.as_bytes())?;
        new.as_file().sync_all()?;
        new.persist(&path).map_err(|fault| fault.error)?;
        Ok(())
    };
    write().map_err(|source| VerifyError::Write { path: path.clone(), source })
}
