//! The commit message of a landed statement: a line for people, the CI job, what changed, and trailers for programs.
//!
//! The first line is that of debdistbuild: `Add <source> <version>.`

use super::Statement;
use super::replay::{Outcome, Verdict};

/// Most paths that a message lists; the commit itself shows all.
const LISTED: usize = 200;

/// Returns the message. `changed` are the paths that the commit changes, each with whether it is there afterwards.
pub fn write<'a>(statement: &Statement, outcome: &Outcome, changed: impl Iterator<Item = (&'a str, bool)> + Clone) -> String {
    let landed: Vec<String> = statement
        .builds
        .iter()
        .zip(&outcome.builds)
        .filter(|(_, outcome)| outcome.verdict == Verdict::Landed)
        .map(|(build, _)| format!("{} {}", build.source, build.version))
        .collect();
    let mut text = match landed.as_slice() {
        [only] => format!("Add {only}.\n"),
        several => format!("Add {} source packages.\n\n{}\n", several.len(), listed(several.iter().map(String::as_str), several.len())),
    };
    if let Some(job) = &statement.job {
        text.push_str(&format!("\n{job}\n"));
    }
    for (title, wanted) in [("Added", true), ("Removed", false)] {
        let paths: Vec<&str> = changed.clone().filter(|(_, there)| *there == wanted).map(|(path, _)| path).collect();
        if !paths.is_empty() {
            text.push_str(&format!("\n{title}:\n{}\n", listed(paths.iter().copied(), paths.len())));
        }
    }
    text.push_str(&format!("\nDdb-Suite: {}\nDdb-Statement: sha256:{}\n", statement.suite, statement.digest()));
    if let Some(job) = &statement.job {
        text.push_str(&format!("Ddb-Job: {job}\n"));
    }
    for fingerprint in &statement.signed_by {
        text.push_str(&format!("Ddb-Uploader: {fingerprint}\n"));
    }
    for (path, stays, came) in outcome.builds.iter().flat_map(|build| &build.differing) {
        text.push_str(&format!("Ddb-Differs: {path} sha256:{stays} sha256:{came}\n"));
    }
    text
}

fn listed<'a>(lines: impl Iterator<Item = &'a str>, count: usize) -> String {
    let mut shown: Vec<String> = lines.take(LISTED).map(|line| format!("  {line}")).collect();
    if count > LISTED {
        shown.push(format!("  and {} more", count - LISTED));
    }
    shown.join("\n")
}
