//! The plugin and its configuration put where apt-verify and the plugin look, readable for `_apt`, who runs it.
//!
//! Where apt-verify is not installed (apt 3 conflicts with it), a script that calls the plugin and then gpgv takes its place,
//! and a part of apt.conf names it. Its name is before that of apt-verify's part, so that apt-verify counts where both are.

use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::super::VerifyError;
use super::config;

/// The plugin's name: before `gpgv` in the order in which apt-verify calls, and of letters that it takes.
const PLUGIN: &str = "50-ddb";

/// The part of apt.conf; apt-verify's own is `75verify`.
const PART: &str = "74ddb-verify";

/// What apt calls where there is no apt-verify, in the folder of the configuration.
const IN_PLACE: &str = "gpgv";

/// The ending and the contents of one file.
pub type Part = (&'static str, Vec<u8>);

/// What is installed.
#[derive(Debug, Clone)]
pub struct HookFiles {
    /// The program that the plugin runs.
    pub program: PathBuf,
    /// Where apt-verify looks for plugins.
    pub plugins: PathBuf,
    /// Where apt looks for parts of its configuration.
    pub apt_conf: PathBuf,
    /// The program that checks signatures.
    pub gpgv: PathBuf,
    /// Where the plugin looks for its configuration.
    pub config: PathBuf,
    /// An archive to opt in: its name, and the contents of the files beside its configuration by their endings, the .conf included.
    pub archive: Option<(String, Vec<Part>)>,
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
    // A configuration that cannot be used would make apt refuse every archive: it is tried elsewhere first.
    if let Some((name, parts)) = &files.archive {
        let path = files.config.clone();
        let trial = tempfile::tempdir().map_err(|source| VerifyError::Write { path, source })?;
        write_parts(trial.path(), name, parts)?;
        read(trial.path())?;
    }
    make_folder(&files.config)?;
    let mut written = Vec::new();
    if let Some((name, parts)) = &files.archive {
        written = write_parts(&files.config, name, parts)?;
    }
    let opted_in = read(&files.config)?;
    make_folder(&files.plugins)?;
    let plugin = files.plugins.join(PLUGIN);
    let call = format!("{} apt-verify-hook --config {} -- \"$@\"", quoted(&files.program), quoted(&files.config));
    let head = "#!/bin/sh\n# Written by ddb-publish apt-verify-hook --install.";
    write(&plugin, format!("{head} apt-verify calls it with gpgv's arguments.\nexec {call}\n").as_bytes(), 0o755)?;
    written.push(plugin);
    let mut notes = Vec::new();
    if !files.plugins.join("gpgv").exists() {
        let script = files.config.join(IN_PLACE);
        let text = format!("{head} apt calls it in place of gpgv.\nset -e\n{call}\nexec {} \"$@\"\n", quoted(&files.gpgv));
        write(&script, text.as_bytes(), 0o755)?;
        make_folder(&files.apt_conf)?;
        let part = files.apt_conf.join(PART);
        write(&part, format!("APT::Key::gpgvcommand \"{}\";\n", script.display()).as_bytes(), 0o644)?;
        written.extend([script, part]);
        if !files.gpgv.exists() {
            notes.push(format!("{} is missing, so that apt refuses every archive: apt install gpgv", files.gpgv.display()));
        }
    }
    if !for_everybody(&files.program) {
        notes.push(format!("the user _apt cannot run {}: put the program where everybody can", files.program.display()));
    }
    Ok(Installed { files: written, opted_in, notes })
}

/// Returns how many archives a folder opts in.
fn read(folder: &Path) -> Result<usize, VerifyError> {
    config::read(folder).map(|archives| archives.len()).map_err(|fault| VerifyError::Pins(fault.reason))
}

fn write_parts(folder: &Path, name: &str, parts: &[(&str, Vec<u8>)]) -> Result<Vec<PathBuf>, VerifyError> {
    let mut written = Vec::new();
    for (ending, bytes) in parts {
        let path = folder.join(format!("{name}.{ending}"));
        write(&path, bytes, 0o644)?;
        written.push(path);
    }
    Ok(written)
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
