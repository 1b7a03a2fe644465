//! The plugin and its configuration put where apt-verify and the plugin look, readable for `_apt`, who runs it.
//!
//! Where apt-verify is not installed (apt 3 conflicts with it), a script that calls the plugin and then gpgv takes its place,
//! and a part of apt.conf names it. Its name is before that of apt-verify's part, so that apt-verify counts where both are.
//!
//! *Invariant: apt is told of the script only after everything that it needs can be used by everybody. apt (2.9.15 and later)
//! passes in silence over a program that does not run or that prints nothing for `--dump-options`, and asks gpgv alone.*

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::super::VerifyError;
use super::config;
use super::system::System;

/// Where apt-verify looks for plugins.
const PLUGINS: &str = "/etc/apt/verify.d";

/// The plugin: before `gpgv` in the order in which apt-verify calls, and of letters that it takes.
const PLUGIN: &str = "/etc/apt/verify.d/50-ddb";

/// The part of apt.conf that names the script.
const PART: &str = "/etc/apt/apt.conf.d/74ddb-verify";

/// Where the plugin looks for its configuration.
const CONFIG: &str = "/etc/ddb/verify.d";

/// What apt calls where there is no apt-verify. Not beside the configuration: whoever loses that must not lose this with it.
const IN_PLACE: &str = "/etc/apt/ddb-gpgv";

/// The program that checks signatures.
const GPGV: &str = "/usr/bin/gpgv";

/// apt-verify and its own part of apt.conf.
const APT_VERIFY: [&str; 2] = ["/usr/bin/apt-verify", "/etc/apt/apt.conf.d/75verify"];

/// The ending and the contents of one file.
pub type Part = (&'static str, Vec<u8>);

/// What is installed.
#[derive(Debug, Clone)]
pub struct HookFiles {
    /// The folder that is `/` for apt.
    pub root: PathBuf,
    /// The program that the plugin runs, as a path below that folder.
    pub program: PathBuf,
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
/// Something that apt needs is missing or not for everybody, the configuration is not usable, or another archive has its name;
/// then nothing is written. A file cannot be written; then apt is not told of the script.
pub fn install(files: &HookFiles) -> Result<Installed, VerifyError> {
    let system = System { root: files.root.clone() };
    let program = quoted(&files.program);
    system.runs(&files.program, "name one that everybody can run by --program")?;
    system.runs(Path::new(GPGV), "apt refuses every archive without it: apt install gpgv")?;
    let mut notes = Vec::new();
    let active = match APT_VERIFY.map(|path| system.has(path)) {
        [true, true] => true,
        [false, true] => {
            let reason = "is left over from apt-verify, which is not there: apt purge apt-verify".to_owned();
            return Err(VerifyError::Install { path: system.path(APT_VERIFY[1]), reason });
        }
        [there, false] => {
            if there {
                notes.push(format!("apt-verify is there, but {} is not: apt calls {IN_PLACE}", APT_VERIFY[1]));
            }
            false
        }
    };
    // A configuration that cannot be used would make apt refuse every archive: it is tried elsewhere first.
    if let Some((name, parts)) = &files.archive {
        is_free(&system, name, parts)?;
        let path = system.path(CONFIG);
        let trial = tempfile::tempdir().map_err(|source| VerifyError::Write { path, source })?;
        for (ending, bytes) in parts {
            let path = trial.path().join(format!("{name}.{ending}"));
            let written = File::create_new(&path).and_then(|mut file| file.write_all(bytes));
            written.map_err(|source| VerifyError::Write { path, source })?;
        }
        read(trial.path())?;
    }
    for folder in [CONFIG, PLUGINS] {
        system.may_look_into(folder)?;
    }
    system.make_folder(CONFIG)?;
    let mut written = Vec::new();
    if let Some((name, parts)) = &files.archive {
        for (ending, bytes) in parts {
            written.push(system.write(&format!("{CONFIG}/{name}.{ending}"), bytes, 0o644)?);
        }
    }
    let opted_in = read(&system.path(CONFIG))?;
    let head = "#!/bin/sh\n# Written by ddb-publish apt-verify-hook --install.";
    let call = format!("{program} apt-verify-hook --config {CONFIG} -- \"$@\"");
    let asked = "if [ \"$1\" = --dump-options ]; then";
    system.make_folder(PLUGINS)?;
    let plugin = format!("{head} apt-verify calls it with gpgv's arguments.\n{asked} exit 0; fi\nexec {call}\n");
    written.push(system.write(PLUGIN, plugin.as_bytes(), 0o755)?);
    if !active {
        // apt passes over what prints nothing when it is asked for its options, and takes gpgv itself.
        let answer = format!("{asked} echo --ddb-apt-verify-hook; exec {GPGV} \"$@\"; fi");
        let script = format!("{head} apt calls it in place of gpgv.\n{answer}\nset -e\n{call}\nexec {GPGV} \"$@\"\n");
        written.push(system.write(IN_PLACE, script.as_bytes(), 0o755)?);
        system.make_folder("/etc/apt/apt.conf.d")?;
        written.push(system.write(PART, format!("APT::Key::gpgvcommand \"{IN_PLACE}\";\n").as_bytes(), 0o644)?);
    }
    Ok(Installed { files: written, opted_in, notes })
}

/// Refuses a name under which another archive is opted in.
fn is_free(system: &System, name: &str, parts: &[Part]) -> Result<(), VerifyError> {
    let conf = system.path(format!("{CONFIG}/{name}.conf"));
    let same = |(ending, bytes): &Part| std::fs::read(conf.with_file_name(format!("{name}.{ending}"))).is_ok_and(|own| own == *bytes);
    if !conf.exists() || parts.iter().all(same) {
        return Ok(());
    }
    let reason = "opts in an archive of another keyring, Origin, key, policy or trusted root; give this one another name by --name, or remove that file";
    Err(VerifyError::Install { path: conf, reason: reason.to_owned() })
}

/// Returns how many archives a folder opts in.
fn read(folder: &Path) -> Result<usize, VerifyError> {
    config::read(folder).map(|archives| archives.len()).map_err(|fault| VerifyError::Pins(fault.reason))
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}
