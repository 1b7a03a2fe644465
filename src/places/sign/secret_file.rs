//! Files with secrets: read with a limit, made with mode 0600 in folders with mode 0700, whole or not at all.
//!
//! A file that is there is replaced only where the caller says so. Buffers with secrets are overwritten when dropped.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use sequoia_openpgp::crypto::mem::Protected;

use super::certificate::KEYRING;
use super::keys::{SecretError, SecretKey, SecretText};

/// Reads all secret keys of a file.
///
/// # Errors
/// It cannot be read, or holds something else.
pub fn read(path: &Path) -> Result<Vec<SecretKey>, SecretError> {
    let name = path.display().to_string();
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(KEYRING as u64 + 1).read_to_end(&mut bytes)?;
        Ok(Protected::from(bytes))
    };
    let bytes = read().map_err(|source| SecretError::Io { operation: "read", path: name.clone(), source })?;
    SecretKey::read_all(&name, &bytes)
}

/// Makes a file that must not be there yet, and its folder.
///
/// # Errors
/// It is there, or cannot be written; what was begun is removed.
pub fn create(path: &Path, content: &SecretText) -> Result<(), SecretError> {
    let failed = |source| SecretError::Io { operation: "make", path: path.display().to_string(), source };
    folder(path).map_err(failed)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let written = file.write_all(content.expose()).and_then(|()| file.sync_all());
    written.map_err(|source| {
        let _ = std::fs::remove_file(path);
        failed(source)
    })
}

/// Replaces a file in one step.
///
/// # Errors
/// It cannot be written; it is then as before.
pub fn replace(path: &Path, content: &SecretText) -> Result<(), SecretError> {
    let write = || {
        folder(path)?;
        // A temporary file has mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
        file.write_all(content.expose())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error).map(drop)
    };
    write().map_err(|source| SecretError::Io { operation: "replace", path: path.display().to_string(), source })
}

fn folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => DirBuilder::new().recursive(true).mode(0o700).create(parent),
        _ => Ok(()),
    }
}
