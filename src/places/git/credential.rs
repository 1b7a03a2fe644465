//! User names and passwords from Git's credential helpers (git-credential(1)), without ever asking a person.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use crate::places::credentials::Secret;

/// What a credential helper knows about an address.
#[derive(Debug, Clone)]
pub struct Credential {
    /// The user's name.
    pub user: String,
    /// The password or token.
    pub password: Secret,
}

/// Asks the helpers for a credential; `None` where they know none or there is no git.
pub fn fill(git_dir: &Path, url: &str) -> Option<Credential> {
    let answer = ask(git_dir, &format!("url={url}\n\n"))?;
    let value = |key: &str| answer.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(str::to_owned);
    Some(Credential { user: value("username")?, password: Secret::new(value("password")?) })
}

fn ask(git_dir: &Path, input: &str) -> Option<String> {
    // What comes from a server or ddb.toml must not add lines to the question.
    if input.trim_end_matches('\n').lines().any(|line| line.is_empty() || line.chars().any(char::is_control)) {
        return None;
    }
    let mut child = super::program::git()
        .arg("--git-dir")
        .arg(git_dir)
        .args(["-c", "credential.interactive=false", "credential", "fill"])
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ASKPASS", "true")
        .env("SSH_ASKPASS", "true")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(input.as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).ok()).flatten()
}
