//! The plugin and its configuration put where apt-verify and the plugin look, readable for `_apt`, who runs it.

use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::config;
use super::super::VerifyError;

/// The plugin's name: before `gpgv` in the order in which apt-verify calls, and of letters that it takes.
const PLUGIN: &str = "50-ddb";

/// What is installed.
#[derive(Debug, Clone)]
pub struct HookFiles {
    /// The program that the plugin runs.
    pub program: PathBuf,
    /// Where apt-verify looks for plugins.
    pub plugins: PathBuf,
    /// Where the plugin looks for its configuration.
    pub config: PathBuf,
    /// An archive to opt in: its name, and the contents of the files beside its configuration by their endings, the .conf included.
    pub archive: Option<(String, Vec<(&'static str, Vec<u8>)>)>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Installed {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Archives that are opted in now.
    pub opted_in: usize,
    /// What keeps it from working.
    pub notes: Vec<String>,
}

/// Writes the plugin and the configuration of an archive.
///
/// # Errors
/// A file cannot be written, or the configuration is not usable; then the plugin is not written.
pub fn install(files: &HookFiles) -> Result<Installed, VerifyError> {
    let mut written = Vec::new();
    make_folder(&files.config)?;
    for (name, (ending, bytes)) in files.archive.iter().flat_map(|(name, parts)| parts.iter().map(move |part| (name, part))) {
        let path = files.config.join(format!("{name}.{ending}"));
        write(&path, bytes, 0o644)?;
        written.push(path);
    }
    let opted_in = config::read(&files.config)
        .map_err(|fault| VerifyError::Memory { path: fault.path.clone(), reason: fault.reason })?
        .len();
    make_folder(&files.plugins)?;
    let plugin = files.plugins.join(PLUGIN);
    let script = format!(
        "#!/bin/sh\n# Written by ddb-publish apt-verify-hook --install. apt-verify calls it with gpgv's arguments.\nexec {} apt-verify-hook --config {} -- \"$@\"\n",
        quoted(&files.program),
        quoted(&files.config)
    );
    write(&plugin, script.as_bytes(), 0o755)?;
    written.push(plugin);
    let mut notes = Vec::new();
    if !files.plugins.join("gpgv").exists() {
        notes.push(format!("apt does not call it yet: {} has no gpgv, which comes with the package apt-verify", files.plugins.display()));
    }
    if !for_everybody(&files.program) {
        notes.push(format!("the user _apt cannot run {}: put the program where everybody can", files.program.display()));
    }
    Ok(Installed { files: written, opted_in, notes })
}

fn make_folder(path: &Path) -> Result<(), VerifyError> {
    let fault = |source| VerifyError::Write { path: path.to_owned(), source };
    std::fs::create_dir_all(path).map_err(fault)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).map_err(fault)
}

/// Writes a file whole or not at all.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), VerifyError> {
    let write = || {
        let mut new = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(path))?;
        new.write_all(bytes)?;
        new.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
        new.as_file().sync_all()?;
        new.persist(path).map_err(|fault| fault.error)?;
        io::Result::Ok(())
    };
    write().map_err(|source| VerifyError::Write { path: path.to_owned(), source })
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

/// Tells whether others may run a program and look into every folder above it.
fn for_everybody(program: &Path) -> bool {
    program.ancestors().all(|path| std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o001 != 0))
}
