//! `ddb-deploy inbox`: its options and what it prints.

use clap::{Args, Subcommand};

use super::Common;
use crate::formats::statement::replay::Verdict;
use crate::people::answer::{self, Answer};
use crate::people::environment;
use crate::people::exit::Exit;
use crate::people::failure::Failure;
use crate::stories::inbox::{InboxAnswer, InboxRequest, LandAnswer, WithdrawAnswer, land, list, withdraw};
use crate::stories::upstream::Purpose;

#[derive(Debug, Args)]
pub(super) struct Inbox {
    /// Use this Git remote instead of the branch's own or origin
    #[arg(long, global = true, value_name = "NAME")]
    remote: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what waits in the inbox, and what of it may be landed
    #[command(after_help = "\
Examples:
  $ ddb-deploy -C archive inbox list
  $ ddb-deploy -C archive inbox list --json")]
    List,
    /// Land what waits in the inbox, in one push
    #[command(after_help = "\
Every statement gets its verdict, which the job that parked it reads. A bad one holds up nobody.

Examples:
  $ ddb-deploy -C archive inbox land")]
    Land,
    /// Take a statement out of the inbox
    #[command(after_help = "\
Examples:
  $ ddb-deploy -C archive inbox withdraw ddb/inbox/0123abc")]
    Withdraw {
        /// The inbox branch as `inbox list` shows it, or the beginning of its last part
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// Runs `ddb-deploy inbox`.
pub(super) fn run(common: &Common, options: Inbox) -> Result<Exit, Failure> {
    let now = environment::now(common.now);
    let archive = common.folder(Purpose::Deploy)?;
    let author = environment::author(&archive, now);
    let request = InboxRequest { archive, branch: common.branch.clone(), remote: options.remote, author, now };
    match options.command {
        Command::List => answer::print(&list(&request)?, common.json),
        Command::Land => answer::print(&land(&request)?, common.json),
        Command::Withdraw { name } => answer::print(&withdraw(&request, &name)?, common.json),
    }
    Ok(Exit::Done)
}

impl Answer for InboxAnswer {
    fn text(&self) -> String {
        let mut text = String::new();
        for waiting in &self.waiting {
            let builds = if waiting.builds.is_empty() { "unreadable".to_owned() } else { waiting.builds.join(", ") };
            text.push_str(&format!("{}: {builds}, since {}, by {}\n", waiting.name, waiting.since.iso8601(), waiting.author));
            if let Some(problem) = &waiting.problem {
                text.push_str(&format!("  not landed: {problem}\n"));
            }
        }
        let state = if self.open { "" } else { "; nothing is landed from it (neither inbox.protected nor uploaders in ddb.toml)" };
        text.push_str(&format!("{} waiting for {}{state}\n", self.waiting.len(), self.branch));
        text
    }
}

impl Answer for LandAnswer {
    fn text(&self) -> String {
        let mut text = String::new();
        for one in &self.verdicts {
            let verdicts: Vec<&str> = one
                .verdicts
                .iter()
                .map(|build| match build.verdict {
                    Verdict::Landed => "landed",
                    Verdict::AlreadyLanded => "already landed",
                    Verdict::Superseded => "superseded",
                })
                .collect();
            let verdict = one.rejected.as_ref().map_or_else(|| verdicts.join(", "), |reason| format!("rejected: {reason}"));
            text.push_str(&format!("{}: {verdict}\n", if one.builds.is_empty() { one.name.clone() } else { one.builds.join(", ") }));
        }
        match &self.commit {
            Some(commit) => text.push_str(&format!("commit {commit} on {}\n", self.branch)),
            None => text.push_str(&format!("{} was not moved\n", self.branch)),
        }
        text
    }
}

impl Answer for WithdrawAnswer {
    fn text(&self) -> String {
        format!("withdrew {} (it was {})\n", self.name, self.commit)
    }
}
