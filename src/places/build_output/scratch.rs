//! A folder for files that are needed for a moment: locked while it is in use, so that what a killed program left is known and
//! removed by the next one.

use std::fs::{self, File};
use std::io;
use std::path::Path;

const PREFIX: &str = ".ddb-scratch-";

/// A folder that is removed when this value is dropped, or else by the next program that makes one beside it.
#[derive(Debug)]
pub struct Scratch {
    folder: tempfile::TempDir,
    _lock: File,
}

impl Scratch {
    /// Makes an empty folder in another one, and removes those there that nobody uses any more.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make(within: &Path) -> io::Result<Self> {
        fs::create_dir_all(within)?;
        remove_abandoned(within)?;
        loop {
            let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(within)?;
            let lock = File::open(folder.path())?;
            lock.lock()?;
            // Another program may have taken it for abandoned before it was locked.
            if folder.path().exists() {
                return Ok(Self { folder, _lock: lock });
            }
        }
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn remove_abandoned(within: &Path) -> io::Result<()> {
    for entry in fs::read_dir(within)? {
        let path = entry?.path();
        let is_scratch = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()));
        if is_scratch && File::open(&path).is_ok_and(|folder| folder.try_lock().is_ok()) {
            // What cannot be removed is tried again next time.
            let _ = fs::remove_dir_all(&path);
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_stays_and_what_was_abandoned_goes() {
        let within = tempfile::tempdir().unwrap();
        let used = Scratch::make(within.path()).unwrap();
        let abandoned = within.path().join(".ddb-scratch-killed");
        fs::create_dir_all(abandoned.join("full/of/files")).unwrap();
        let other = Scratch::make(within.path()).unwrap();
        assert!(used.folder().exists() && other.folder().exists() && !abandoned.exists());
        let path = other.folder().to_owned();
        drop(other);
        assert!(!path.exists());
    }
}
