//! `git` as it is run for a remote: it asks nobody, speaks English and sends a token only to the remote's own host.

use std::path::Path;
use std::process::{Command, Stdio};

use super::address::web_host;
use super::{Move, RemoteError};
use crate::places::git::Oid;

/// The variable that holds a token. Git's child processes inherit it; it never stands in an argument.
const TOKEN_HELPER: &str =
    "!f() { test \"$1\" = get && test -n \"$DDB_GIT_TOKEN\" && echo username=oauth2 && echo \"password=$DDB_GIT_TOKEN\"; }; f";

/// What `git` said.
pub(super) struct Said {
    pub(super) ok: bool,
    pub(super) out: String,
    pub(super) err: String,
}

pub(super) fn push_arguments(name: &str, moves: &[Move], options: &[String], atomic: bool) -> Vec<String> {
    let mut arguments: Vec<String> =
        ["push", "--porcelain", "--no-verify", "--quiet", "--no-follow-tags", "--no-recurse-submodules"].map(str::to_owned).to_vec();
    arguments.extend(atomic.then(|| "--atomic".to_owned()));
    arguments.extend(options.iter().map(|option| format!("--push-option={option}")));
    let hex = |oid: &Option<Oid>| oid.map(|oid| oid.to_string()).unwrap_or_default();
    arguments.extend(moves.iter().map(|one| format!("--force-with-lease={}:{}", one.reference, hex(&one.old))));
    arguments.push(name.to_owned());
    arguments.extend(moves.iter().map(|one| format!("{}:{}", hex(&one.new), one.reference)));
    arguments
}

/// Returns `git` for this repository: it asks nobody, speaks English and sends the token only to the remote's own host.
pub(super) fn git_command(root: &Path, git_dir: &Path, address: &str) -> Command {
    let mut command = crate::places::git::program::git();
    // Relative addresses start from here; a relative name of the repository does too, and is made whole.
    command.current_dir(root).arg("--git-dir").arg(std::path::absolute(git_dir).unwrap_or_else(|_| git_dir.to_owned()));
    // Objects stay in the packs that they came in: writing each to a file of its own costs ten times as much.
    // Objects are asked for by name, which the older protocols do not allow.
    let settings = ["gc.auto=0", "maintenance.auto=false", "fetch.unpackLimit=1", "push.negotiate=false", "core.hooksPath=/dev/null"];
    for setting in settings.into_iter().chain(["protocol.version=2"]) {
        command.args(["-c", setting]);
    }
    if let Some(host) = web_host(address) {
        command.args(["-c", &format!("credential.{host}.helper={TOKEN_HELPER}")]);
    }
    command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C").env("GIT_PROTOCOL", "version=2");
    command
}

pub(super) fn run(command: &mut Command, input: Option<&[u8]>) -> Result<Said, RemoteError> {
    use std::io::Write as _;
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() }).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(RemoteError::Program)?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        // A git that ends before it has read everything says why on standard error.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().map_err(RemoteError::Program)?;
    Ok(Said {
        ok: output.status.success(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
