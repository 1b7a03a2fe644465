//! What `git push` and `git fetch` said, as a value: moved, lost a race, refused, or broken.
//!
//! Git and servers speak English sentences; the ones that matter are listed here, each with what follows from it. An unknown
//! sentence is never taken for a lost race: it would be tried for ever.

use super::RemoteError;

/// What became of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// Every branch moved.
    Moved,
    /// Somebody else moved one of them first; none moved.
    Lost,
}

/// Sentences that mean that somebody else was faster.
const RACES: [&str; 11] = [
    "stale info",
    "fetch first",
    "non-fast-forward",
    "failed to update ref",
    "cannot lock ref",
    "failed to lock",
    "incorrect old value provided",
    "reference already exists",
    "remote ref does not exist",
    "atomic transaction failed",
    "reference conflicts",
];

/// Sentences of a server or network that may answer the next time.
const PASSING: [&str; 15] = [
    "hung up unexpectedly",
    "early EOF",
    "Connection reset",
    "Connection refused",
    "Connection timed out",
    "Could not resolve host",
    "Failed to connect",
    "Operation timed out",
    "RPC failed",
    "unexpected disconnect",
    "returned error: 500",
    "returned error: 502",
    "returned error: 503",
    "returned error: 504",
    "returned error: 429",
];

/// Words of a server that is unwell, so that what is pushed is not at fault.
const UNWELL: [&str; 7] = [
    "unpacker error",
    "unable to migrate objects",
    "No space left on device",
    "Internal API",
    "Internal Server Error",
    "temporarily unavailable",
    "try again later",
];

const NO_CREDENTIAL: [&str; 3] = ["could not read Username", "could not read Password", "terminal prompts disabled"];

const DENIED: [&str; 5] =
    ["Authentication failed", "returned error: 401", "returned error: 403", "Permission denied", "HTTP Basic: Access denied"];

const NO_LFS: &str = "\nGitLab looks for the objects of pointers in its own LFS store, and this archive keeps them elsewhere: switch that check off (Settings > General > Visibility > Git LFS, or `PUT /projects/:id` with lfs_enabled=false), or use `[store.lfs]`";
const PROTECTED: &str =
    "\nthe branch is protected: let this job's token push to it, or deploy with --park and let a job that may push land it";

/// Tells whether the server lets nobody remove a branch, which GitLab does for protected ones.
pub(super) fn forbids_removal(said: &str) -> bool {
    said.contains("only delete protected branches using the web interface")
        || said.contains("deletion prohibited")
        || said.contains("denying ref deletion")
}

/// Tells whether the server takes nothing that is no fast-forward.
pub(super) fn forbids_force(said: &str) -> bool {
    ["non-fast-forward", "force push", "force-push"].iter().any(|sentence| said.contains(sentence))
}

/// Tells whether the server takes this branch from some only.
pub(super) fn is_protected(said: &str) -> bool {
    said.contains("protected branch") || said.contains("not allowed to push")
}

/// Tells whether the same command may succeed soon.
pub(super) fn is_passing(said: &str) -> bool {
    PASSING.iter().any(|sentence| said.contains(sentence))
}

/// Returns what a failed command means.
pub(super) fn of_failure(operation: &'static str, url: &str, said: &str) -> RemoteError {
    let has = |sentences: &[&str]| sentences.iter().any(|sentence| said.contains(sentence));
    let url = url.to_owned();
    if has(&NO_CREDENTIAL) {
        return RemoteError::NoCredential { url };
    }
    if has(&DENIED) {
        return RemoteError::Denied { url, said: in_one_line(said) };
    }
    RemoteError::Failed { operation, url, said: in_one_line(said) }
}

/// Returns what a failed push means. `out` has a line for each branch: flag, refspec and summary, separated by tabs. Of several
/// that are refused for the same reason, the archive's own is named.
pub(super) fn of_push(url: &str, out: &str, err: &str) -> Result<Pushed, RemoteError> {
    let refused: Vec<(&str, &str)> = out
        .lines()
        .filter_map(|line| {
            let mut parts = line.strip_prefix("!\t")?.splitn(2, '\t');
            Some((parts.next()?, parts.next()?))
        })
        .collect();
    let secondary = |summary: &str| summary.contains("atomic push failed") || summary.contains("atomic push failure");
    let is_race = |summary: &str| {
        RACES.iter().any(|sentence| summary.contains(sentence)) && !(summary.starts_with("[remote rejected]") && forbids_force(summary))
    };
    let reference_of = |spec: &str| spec.rsplit(':').next().unwrap_or(spec).to_owned();
    let at_fault = refused.iter().filter(|(_, summary)| !is_race(summary) && !secondary(summary));
    if let Some((spec, summary)) = at_fault.min_by_key(|(spec, _)| reference_of(spec).starts_with("refs/heads/ddb/")) {
        let reference = reference_of(spec);
        let words = server_words(err);
        let said = if words.is_empty() { in_brackets(summary) } else { format!("{}: {words}", in_brackets(summary)) };
        if UNWELL.iter().any(|sentence| said.contains(sentence)) {
            return Err(RemoteError::Failed { operation: "push to", url: url.to_owned(), said });
        }
        let remedy = if said.contains("LFS objects are missing") || said.contains("GH008") {
            NO_LFS
        } else if is_protected(&said) {
            PROTECTED
        } else {
            ""
        };
        return Err(RemoteError::Rejected { url: url.to_owned(), reference, said, remedy });
    }
    if refused.iter().any(|(_, summary)| is_race(summary)) || is_race(err) && !is_passing(err) {
        return Ok(Pushed::Lost);
    }
    Err(of_failure("push to", url, err))
}

fn in_brackets(summary: &str) -> String {
    summary.rsplit_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(summary).to_owned()
}

/// Returns the server's own lines.
fn server_words(err: &str) -> String {
    let lines = err.lines().filter_map(|line| line.strip_prefix("remote:")).map(str::trim).filter(|line| !line.is_empty());
    clean(&lines.collect::<Vec<_>>().join(" "))
}

fn in_one_line(err: &str) -> String {
    let lines = err.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("hint:"));
    clean(&lines.collect::<Vec<_>>().join("; "))
}

/// Leaves out control characters, user names and passwords in addresses, and what is too long for a message.
fn clean(text: &str) -> String {
    let words = text.split(' ').map(|word| match word.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len())).unwrap_or((rest, ""));
            format!("{scheme}://{}{path}", authority.rsplit_once('@').map_or(authority, |(_, host)| host))
        }
        _ => word.to_owned(),
    });
    let text: String = words.collect::<Vec<_>>().join(" ").chars().filter(|letter| !letter.is_control()).take(1500).collect();
    if text.is_empty() { "it says nothing".to_owned() } else { text }
}
