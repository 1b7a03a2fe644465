//! The system that the hook is installed in, which may be a folder: its files, and what `_apt` can do with them.

use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::super::VerifyError;

/// A system below a folder. Paths are those that its own programs use.
pub(super) struct System {
    /// What is `/` there.
    pub(super) root: PathBuf,
}

impl System {
    /// Returns a path for a look from outside.
    pub(super) fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        let inside = inside.as_ref();
        self.root.join(inside.strip_prefix("/").unwrap_or(inside))
    }

    pub(super) fn has(&self, inside: &str) -> bool {
        self.path(inside).exists()
    }

    /// Fails if others may not run a program or look into a folder above it.
    pub(super) fn runs(&self, program: &Path, otherwise: &str) -> Result<(), VerifyError> {
        let path = self.path(program);
        let fail = |path: &Path, reason: &str| {
            let reason = format!("{reason}; {otherwise}");
            Err(VerifyError::Install { path: path.to_owned(), reason })
        };
        match std::fs::metadata(&path) {
            Err(fault) => fail(&path, &format!("is what apt has to run, and cannot be looked at: {fault}")),
            Ok(found) if !found.is_file() || found.permissions().mode() & 0o001 == 0 => {
                fail(&path, "is what apt has to run, and is no program that the user _apt can run")
            }
            Ok(_) => match self.closed(&path).or_else(|| self.closed(&std::fs::canonicalize(&path).ok()?)) {
                Some(folder) => fail(&folder, &format!("cannot be looked into by the user _apt, who has to run {}", program.display())),
                None => Ok(()),
            },
        }
    }

    /// Fails if others may not look into a folder, or one above it, that is there already.
    pub(super) fn may_look_into(&self, folder: &str) -> Result<(), VerifyError> {
        let path = self.path(folder);
        let own = std::fs::metadata(&path).is_ok_and(|found| found.permissions().mode() & 0o005 != 0o005);
        match self.closed(&path).or_else(|| own.then(|| path.clone())) {
            None => Ok(()),
            Some(closed) => {
                let reason = format!("cannot be looked into by the user _apt, who runs what is in {folder}: chmod a+rx it");
                Err(VerifyError::Install { path: closed, reason })
            }
        }
    }

    /// Returns the first folder above a path that others may not look into.
    fn closed(&self, path: &Path) -> Option<PathBuf> {
        let above = path.ancestors().skip(1).take_while(|above| above.starts_with(&self.root));
        let closed = |above: &&Path| std::fs::metadata(above).is_ok_and(|found| found.permissions().mode() & 0o001 == 0);
        above.filter(closed).last().map(Path::to_owned)
    }

    /// Makes a folder and those above it, for everybody; those that are there stay as they are.
    pub(super) fn make_folder(&self, inside: &str) -> Result<(), VerifyError> {
        let path = self.path(inside);
        let mut missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
        while let Some(folder) = missing.pop() {
            let mode = std::fs::Permissions::from_mode(0o755);
            let made = std::fs::create_dir(folder).and_then(|()| std::fs::set_permissions(folder, mode));
            made.map_err(|source| VerifyError::Write { path: folder.to_owned(), source })?;
        }
        Ok(())
    }

    /// Writes a file whole or not at all, with these permissions; returns where.
    pub(super) fn write(&self, inside: &str, bytes: &[u8], mode: u32) -> Result<PathBuf, VerifyError> {
        let path = self.path(inside);
        let write = || {
            let mut new = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(&path))?;
            new.write_all(bytes)?;
            new.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
            new.as_file().sync_all()?;
            new.persist(&path).map_err(|fault| fault.error)?;
            io::Result::Ok(())
        };
        write().map_err(|source| VerifyError::Write { path: path.clone(), source })?;
        Ok(path)
    }
}
