//! `ddb-deploy commit`: its options, what it takes from a CI job, and what it prints.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Common;
use crate::formats::statement::replay::{OnConflict, Rules, Verdict};
use crate::people::answer::{self, Answer};
use crate::people::environment;
use crate::people::exit::Exit;
use crate::people::failure::Failure;
use crate::people::progress::Progress;
use crate::stories::deploy::{CommitAnswer, CommitRequest, commit};
use crate::stories::event::Event;

#[derive(Debug, Args)]
pub(super) struct Commit {
    /// The folder that the build left
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// The suite: its codename, its Suite or one of its distributions
    #[arg(long, env = "DDB_SUITE", value_name = "SUITE")]
    suite: Option<String>,
    /// What to do about a file whose name is taken by other bytes
    #[arg(long, value_enum, default_value = "refuse")]
    on_conflict: Conflicts,
    /// Let an older version displace a newer one
    #[arg(long)]
    downgrade: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Exit with 10 instead of 0 when everything had landed before
    #[arg(long)]
    detailed_exit_code: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Conflicts {
    /// Nothing lands
    Refuse,
    /// The first bytes stay
    Keep,
    /// The new bytes take the name
    Replace,
}

pub(super) fn run(common: &Common, options: Commit) -> Result<Exit, Failure> {
    let progress = Progress::new(common.verbose);
    let now = environment::now(common.now);
    let on_conflict = match options.on_conflict {
        Conflicts::Refuse => OnConflict::Refuse,
        Conflicts::Keep => OnConflict::Keep,
        Conflicts::Replace => OnConflict::Replace,
    };
    let job = environment::variable("CI_JOB_URL");
    if job.as_deref().is_some_and(|url| url.chars().any(char::is_control)) {
        return Err(Failure::usage("CI_JOB_URL holds a line break or another control character, which could forge a commit message"));
    }
    let job = job.map(|url| without_credentials(&url));
    let request = CommitRequest {
        archive: common.archive.clone(),
        branch: common.branch.clone(),
        out: options.out,
        suite: options.suite.filter(|suite| !suite.is_empty()),
        package: environment::variable("PACKAGE"),
        version: environment::variable("VERSION"),
        job,
        rules: Rules { on_conflict, downgrade: options.downgrade },
        dry_run: options.dry_run,
        author: environment::author(&common.archive, now),
        now,
    };
    let answer = commit(&request, &|event| progress.show(event))?;
    for path in &answer.left_alone {
        progress.show(Event::Warning(format!("{path} has local changes in the work tree and was left alone")));
    }
    answer::print(&answer, common.json);
    Ok(match answer.verdict() {
        Verdict::Landed => Exit::Done,
        Verdict::AlreadyLanded if options.detailed_exit_code => Exit::AlreadyLanded,
        Verdict::AlreadyLanded => Exit::Done,
        Verdict::Superseded => Exit::Superseded,
    })
}

/// Returns an address without user name and password, which do not belong into history.
fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    format!("{scheme}://{}{path}", authority.rsplit_once('@').map_or(authority, |(_, host)| host))
}

impl Answer for CommitAnswer {
    fn text(&self) -> String {
        let mut text = String::new();
        for build in &self.builds {
            let verdict = match (build.verdict, self.dry_run) {
                (Verdict::Landed, false) => "landed",
                (Verdict::Landed, true) => "would land",
                (Verdict::AlreadyLanded, _) => "already landed",
                (Verdict::Superseded, _) => "superseded",
            };
            text.push_str(&format!("{} {}: {verdict} in {}\n", build.source, build.version, self.suite));
            for note in &build.notes {
                text.push_str(&format!("  note: {note}\n"));
            }
        }
        if self.dry_run {
            self.added.iter().for_each(|path| text.push_str(&format!("  would add    {path}\n")));
            self.removed.iter().for_each(|path| text.push_str(&format!("  would remove {path}\n")));
        }
        if let Some(commit) = &self.commit {
            text.push_str(&format!(
                "commit {commit} on {}: {} added, {} removed, {} new objects ({} bytes)\n",
                self.branch,
                self.added.len(),
                self.removed.len(),
                self.new_objects,
                self.new_bytes
            ));
        }
        text + &answer::requests(&self.requests)
    }
}
