//! A local cache of bytes by their SHA-256: a folder, bounded in size, for any number of processes at once.
//!
//! It may be lost, cut off or filled with lies at any time. What is read is hashed, and what is not what its name says is
//! removed and counts as missing. A file is written under another name and renamed, without waiting for the disk: after a
//! crash it may be cut off, which reading notices. When the folder grows beyond its limit, what was used least recently goes.

use std::fs::{self, File, FileTimes};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::words::date::Timestamp;
use crate::words::digest::Sha256;

/// How long a file counts as just used: so often its time is written at most.
const FRESH: Duration = Duration::from_secs(3600);

/// A folder of files by their SHA-256.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
    /// Bytes that it may hold.
    limit: u64,
    now: SystemTime,
}

impl Cache {
    /// Returns the cache in this folder, which is made when something is put there; it holds at most so many bytes, and what is
    /// used is used at this time.
    pub fn new(folder: &Path, limit: u64, now: Timestamp) -> Self {
        let since = Duration::from_secs(u64::try_from(now.0).unwrap_or_default());
        Self { folder: folder.to_owned(), limit, now: SystemTime::UNIX_EPOCH + since }
    }

    fn path(&self, name: &Sha256) -> PathBuf {
        let hex = name.to_hex();
        self.folder.join(hex.get(..2).unwrap_or_default()).join(hex)
    }

    /// Returns the bytes of this name; `None` where they are not there whole.
    pub fn get(&self, name: &Sha256, size: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read(name, size, &mut bytes).then_some(bytes)
    }

    /// Reads the bytes of this name in place of what the buffer held, and tells whether they are there whole. Memory that is used
    /// again is not cleared page by page.
    pub fn read(&self, name: &Sha256, size: u64, bytes: &mut Vec<u8>) -> bool {
        bytes.clear();
        let path = self.path(name);
        let Ok(found) = fs::metadata(&path) else { return false };
        let read = |bytes: &mut Vec<u8>| {
            bytes.reserve_exact(usize::try_from(size).ok()?);
            File::open(&path).and_then(|file| file.take(size.saturating_add(1)).read_to_end(bytes)).ok()
        };
        let whole = found.len() == size && read(bytes).is_some() && Sha256::of(bytes) == *name;
        if !whole {
            // Another process may be quicker.
            let _ = fs::remove_file(&path);
            return false;
        }
        if found.modified().ok().is_none_or(|time| self.now.duration_since(time).is_ok_and(|age| age > FRESH)) {
            let times = FileTimes::new().set_modified(self.now);
            let _ = File::options().write(true).open(&path).and_then(|file| file.set_times(times));
        }
        true
    }

    /// Keeps bytes under their name. That they cannot be kept is no error: they are only not there next time.
    pub fn put(&self, name: &Sha256, bytes: &[u8]) {
        let path = self.path(name);
        if fs::metadata(&path).is_ok_and(|found| found.len() == bytes.len() as u64) {
            return;
        }
        let Some(folder) = path.parent() else { return };
        if fs::create_dir_all(folder).is_err() {
            return;
        }
        let Ok(mut file) = tempfile::Builder::new().prefix(".new-").tempfile_in(folder) else { return };
        if file.write_all(bytes).is_ok() {
            let _ = file.persist(&path);
        }
    }

    /// Removes what was used least recently, until everything fits into the limit again with a tenth to spare.
    pub fn trim(&self) {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        let folders = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for entry in folders.flat_map(|folder| fs::read_dir(folder.path())).flatten().flatten() {
            let Ok(found) = entry.metadata() else { continue };
            files.push((found.modified().unwrap_or(SystemTime::UNIX_EPOCH), found.len(), entry.path()));
        }
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        if total <= self.limit {
            return;
        }
        files.sort();
        for (_, size, path) in files {
            if total <= self.limit / 10 * 9 {
                break;
            }
            let _ = fs::remove_file(path);
            total -= size;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(2_000_000_000);

    fn of(bytes: &[u8]) -> Sha256 {
        Sha256::of(bytes)
    }

    #[test]
    fn what_is_damaged_or_planted_is_missing_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(&folder.path().join("cache"), 1 << 20, NOW);
        assert_eq!(cache.get(&of(b"one"), 3), None);
        cache.put(&of(b"one"), b"one");
        assert_eq!(cache.get(&of(b"one"), 3).unwrap(), b"one");
        for lie in ["eno", "on", ""] {
            fs::write(cache.path(&of(b"one")), lie).unwrap();
            assert_eq!(cache.get(&of(b"one"), 3), None, "{lie}");
            assert!(!cache.path(&of(b"one")).exists(), "{lie}");
            cache.put(&of(b"one"), b"one");
            assert_eq!(cache.get(&of(b"one"), 3).unwrap(), b"one");
        }
    }

    #[test]
    fn what_was_used_least_recently_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path(), 100, NOW);
        let names: Vec<[u8; 30]> = (0..4).map(|number| [number; 30]).collect();
        let age = |name: &[u8], seconds| {
            let times = FileTimes::new().set_modified(cache.now - Duration::from_secs(seconds));
            File::options().write(true).open(cache.path(&of(name))).unwrap().set_times(times).unwrap();
        };
        for (name, seconds) in names.iter().zip([9000, 8000, 7000, 6000]) {
            cache.put(&of(name), name);
            age(name, seconds);
        }
        // The oldest one is used.
        assert!(cache.get(&of(&names[0]), 30).is_some());
        cache.trim();
        let there: Vec<bool> = names.iter().map(|name| cache.path(&of(name)).exists()).collect();
        assert_eq!(there, [true, false, true, true]);
    }

    #[test]
    fn many_writers_and_a_trimmer_leave_whole_files() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path(), 3000, NOW);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0u8..100 {
                        let bytes = [number; 100];
                        cache.put(&of(&bytes), &bytes);
                        assert!(cache.get(&of(&bytes), 100).is_none_or(|found| found == bytes));
                        cache.trim();
                    }
                });
            }
        });
        cache.trim();
        let left = (0u8..100).filter(|number| cache.get(&of(&[*number; 100]), 100).is_some()).count();
        assert!((1..=30).contains(&left), "{left}");
    }
}
