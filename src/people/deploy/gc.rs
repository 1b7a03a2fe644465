//! `ddb-deploy gc`: its options and what it prints.

use std::path::PathBuf;

use clap::Args;

use super::Common;
use crate::people::answer::{self, Answer};
use crate::people::environment;
use crate::people::exit::Exit;
use crate::people::failure::Failure;
use crate::people::progress::Progress;
use crate::stories::gc::{Amount, Collected, GcAnswer, GcRequest, gc};
use crate::words::date::{DateError, Span};

#[derive(Debug, Args)]
pub(super) struct Gc {
    /// Mark what nobody needs, and remove what was marked long enough ago; without it, only say what would be done
    #[arg(long)]
    delete: bool,
    /// How long the objects of a commit are kept after it was last current
    #[arg(long, value_name = "SPAN", default_value = "30d")]
    retention: Span,
    /// How long the objects and indices of a Release are kept after it was last current, or "all": older ones are no snapshots any more
    #[arg(long, value_name = "SPAN", default_value = "all")]
    keep_releases: Kept,
    /// How long an object is kept that nothing names yet: the time that a deploy may take after its upload
    #[arg(long, value_name = "SPAN", default_value = "7d")]
    unfinished: Span,
    /// How long a marked object waits for its removal
    #[arg(long, value_name = "SPAN", default_value = "24h")]
    grace: Span,
    /// Another repository whose objects lie in the same store; may be repeated
    #[arg(long, value_name = "DIR")]
    also: Vec<PathBuf>,
}

/// How long Releases are kept; `None` is for ever.
#[derive(Debug, Clone, Copy)]
struct Kept(Option<Span>);

impl std::str::FromStr for Kept {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "all" { Ok(Self(None)) } else { text.parse().map(|span| Self(Some(span))) }
    }
}

pub(super) fn run(common: &Common, options: Gc) -> Result<Exit, Failure> {
    let progress = Progress::new(common.verbose);
    let request = GcRequest {
        archive: common.archive.clone(),
        branch: common.branch.clone(),
        also: options.also,
        retention: options.retention,
        releases: options.keep_releases.0,
        unfinished: options.unfinished,
        grace: options.grace,
        delete: options.delete,
        now: environment::now(common.now),
        by_clock: common.now.is_none(),
    };
    let answer = gc(&request, &|event| progress.show(event))?;
    answer::print(&answer, common.json);
    Ok(if answer.endangered.is_empty() { Exit::Done } else { Exit::Damaged })
}

impl Answer for GcAnswer {
    fn text(&self) -> String {
        let mut text = format!("read {} refs, {} commits, {} of Releases\n", self.refs, self.commits, self.releases);
        let used = [&self.objects, &self.blocks].into_iter().chain(&self.lists).filter(|collected| collected.stored.objects > 0);
        used.for_each(|collected| text.push_str(&self.part(collected)));
        for oid in &self.endangered {
            text.push_str(&format!("object {oid} was removed while a commit began to name it: deploy that build output again\n"));
        }
        text
    }
}

impl GcAnswer {
    fn part(&self, collected: &Collected) -> String {
        let mut text = format!("{}\n", collected.store);
        let mut line =
            |what: &str, amount: Amount| text.push_str(&format!("  {what:<12}{:>8} objects {:>16} bytes\n", amount.objects, amount.bytes));
        line("stored", collected.stored);
        line("needed", collected.needed);
        line("unfinished", collected.unfinished);
        line("waiting", collected.waiting);
        line("removable", collected.removable);
        if self.delete {
            line("removed", collected.removed);
        }
        match &collected.earliest {
            Some(at) => text.push_str(&format!("  what waits may be removed from {at} on\n")),
            None if collected.waiting.objects > 0 => text.push_str("  what waits is marked by --delete, and removed by a later run\n"),
            None => {}
        }
        if !self.delete && collected.removable.objects > 0 {
            text.push_str("  nothing was removed; --delete does that\n");
        }
        text
    }
}
