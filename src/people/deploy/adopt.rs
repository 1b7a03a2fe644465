//! `ddb-deploy adopt`: its options and what it prints.

use clap::Args;

use super::Common;
use crate::people::answer::{self, Answer};
use crate::people::environment;
use crate::people::exit::Exit;
use crate::people::failure::Failure;
use crate::people::progress::Progress;
use crate::stories::deploy::BuildState;
use crate::stories::deploy::adopt::{AdoptAnswer, AdoptRequest, adopt};

#[derive(Debug, Args)]
pub(super) struct Adopt {
    /// The suite: its codename, its Suite or one of its distributions
    #[arg(long, env = "DDB_SUITE", value_name = "SUITE")]
    suite: Option<String>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(common: &Common, options: Adopt) -> Result<Exit, Failure> {
    let progress = Progress::new(common.verbose);
    let now = environment::now(common.now);
    let request = AdoptRequest {
        archive: common.archive.clone(),
        branch: common.branch.clone(),
        suite: options.suite.filter(|suite| !suite.is_empty()),
        dry_run: options.dry_run,
        author: environment::author(&common.archive, now),
        now,
    };
    let answer = adopt(&request, &|event| progress.show(event))?;
    answer::print(&answer, common.json);
    Ok(match answer.landed.as_ref().map(|landed| landed.verdict()) {
        Some(BuildState::Superseded) => Exit::Superseded,
        _ => Exit::Done,
    })
}

impl Answer for AdoptAnswer {
    fn text(&self) -> String {
        let mut text = self.landed.as_ref().map(Answer::text).unwrap_or_default();
        let would = if self.dry_run { "would be moved" } else { "moved" };
        for (from, to) in &self.moved {
            text.push_str(&format!("  {would}: {from} -> {to}\n"));
        }
        for path in &self.left {
            text.push_str(&format!("  left, no record names it: {path}\n"));
        }
        text.push_str(&format!("{} files read ({} bytes) for {}\n", self.files, self.bytes, self.suite));
        text
    }
}
