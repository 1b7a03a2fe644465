//! A small file that is kept from one run to the next: it appears whole or not at all.

use std::io::{self, Read as _, Write as _};
use std::path::Path;

/// Reads a file of at most so many bytes; `None` where there is none.
///
/// # Errors
/// It cannot be read, or is larger.
pub fn read(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has more than {limit} bytes")));
    }
    Ok(Some(bytes))
}

/// Writes a file in place of the one that may be there, and the folders above it.
///
/// # Errors
/// It cannot be written; then the old one is as it was.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(bytes)?;
    new.as_file().sync_all()?;
    new.persist(path).map(drop).map_err(|fault| fault.error)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again_and_nothing_beside_it_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/state.json");
        assert_eq!(read(&path, 10).unwrap(), None);
        for bytes in [&b"first"[..], b"second"] {
            write(&path, bytes).unwrap();
            assert_eq!(read(&path, 10).unwrap().unwrap(), bytes);
        }
        assert!(read(&path, 5).unwrap_err().to_string().contains("more than 5 bytes"));
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert!(write(&path.join("under a file"), b"x").is_err());
    }
}
