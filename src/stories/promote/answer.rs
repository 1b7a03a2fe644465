//! What a promotion came to, as it is said in text, JSON and the commit message.

use schemars::JsonSchema;
use serde::Serialize;

use crate::stories::deploy::BuildState;
use crate::words::name::{Codename, SourceName};
use crate::words::version::Version;

/// What was promoted.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PromoteAnswer {
    /// The suite that it came from.
    pub from: Codename,
    /// The suite that offers it now.
    pub to: Codename,
    /// The commit whose records were taken.
    pub origin: String,
    /// The number of the Release that these were served with, where an older state was asked for.
    pub release: Option<u64>,
    /// Whether the whole suite was taken.
    pub all: bool,
    /// What became of the whole.
    pub verdict: BuildState,
    /// The branch's full name.
    pub branch: String,
    /// The commit, where one was made.
    pub commit: Option<String>,
    /// The Git remote whose branch holds it now, without user name and password.
    pub remote: Option<String>,
    /// How often it was tried.
    pub tries: u32,
    /// Whether this was a dry run.
    pub dry_run: bool,
    /// One entry for each source package that was named.
    pub packages: Vec<PromotedSource>,
    /// Pool files that had been removed or replaced since and are there again.
    pub restored: Vec<String>,
    /// Files of the checkout that have local changes and were left alone.
    pub left_alone: Vec<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// What became of one source package.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PromotedSource {
    /// The source package.
    pub source: SourceName,
    /// Its newest version where it came from.
    pub version: Option<Version>,
    /// Its newest version where it went, before.
    pub before: Option<Version>,
    /// What became of it.
    pub verdict: BuildState,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Most source packages that a commit message lists; the commit itself shows all.
const LISTED: usize = 200;

/// Returns the commit message.
pub(super) fn message(answer: &PromoteAnswer) -> String {
    let PromoteAnswer { from, to, origin, release, .. } = answer;
    let landed: Vec<String> = answer
        .packages
        .iter()
        .filter(|package| package.verdict == BuildState::Landed)
        .map(|package| format!("{} {}", package.source, package.version.as_ref().map(Version::as_str).unwrap_or_default()))
        .collect();
    let state = release.map(|number| format!(" as of its Release {number}")).unwrap_or_default();
    let first = match landed.as_slice() {
        _ if answer.all && from == to => format!("Put {to} back to its Release {}.", release.unwrap_or_default()),
        _ if answer.all => format!("Make {to} offer what {from}{state} offers."),
        [only] => format!("Promote {only} from {from} to {to}."),
        several => format!("Promote {} source packages from {from} to {to}.", several.len()),
    };
    let mut text = format!("{first}\n");
    if landed.len() > 1 {
        let shown: String = landed.iter().take(LISTED).map(|one| format!("  {one}\n")).collect();
        let more = if landed.len() > LISTED { format!("  and {} more\n", landed.len() - LISTED) } else { String::new() };
        text.push_str(&format!("\n{shown}{more}"));
    }
    if !answer.restored.is_empty() {
        let shown: String = answer.restored.iter().take(LISTED).map(|path| format!("  {path}\n")).collect();
        text.push_str(&format!("\nRestored:\n{shown}"));
    }
    text.push_str(&format!("\nDdb-Suite: {to}\nDdb-From: {from} {origin}\n"));
    text
}
