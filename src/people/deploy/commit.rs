//! `ddb-deploy commit`: its options, what it takes from a CI job, and what it prints.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::Common;
use crate::formats::statement::replay::{OnConflict, Rules};
use crate::people::answer::{self, Answer};
use crate::people::environment;
use crate::people::exit::Exit;
use crate::people::failure::Failure;
use crate::people::progress::Progress;
use crate::people::provenance::{ProvenanceOptions, without_credentials};
use crate::people::uploader::UploaderKey;
use crate::stories::deploy::{BuildState, CommitAnswer, CommitRequest, PushMode, Verify, commit};
use crate::stories::event::Event;
use crate::stories::upstream::Purpose;
use crate::words::date::Span;

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
    /// What to check about files that `ddb-deploy upload` sent ahead
    #[arg(long, value_enum, default_value = "full")]
    verify: Checks,
    /// Let an older version displace a newer one
    #[arg(long)]
    downgrade: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Push to this Git remote instead of the branch's own or origin
    #[arg(long, value_name = "NAME")]
    remote: Option<String>,
    /// Fail where the commit cannot be pushed for want of a credential, instead of leaving it here with exit code 11
    #[arg(long, conflicts_with = "no_push")]
    require_push: bool,
    /// Commit in this repository only
    #[arg(long)]
    no_push: bool,
    /// Push pointers although their objects are in a folder of this machine
    #[arg(long)]
    local_objects: bool,
    /// Leave the statement in the inbox at once, for whoever may push to the branch
    #[arg(long, conflicts_with = "no_push")]
    park: bool,
    /// Wait this long for others who move the branch, or for whoever lands the inbox (15m, 0s)
    #[arg(long, value_name = "SPAN", default_value = "15m")]
    wait: Span,
    #[command(flatten)]
    uploader: UploaderKey,
    #[command(flatten)]
    provenance: ProvenanceOptions,
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

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Checks {
    /// Fetch, hash and read them again
    Full,
    /// Believe a manifest that an uploader signed, and ask for sizes alone
    Head,
}

pub(super) fn run(common: &Common, options: Commit) -> Result<Exit, Failure> {
    let progress = Progress::new(common.verbose);
    let now = environment::now(common.now);
    let on_conflict = match options.on_conflict {
        Conflicts::Refuse => OnConflict::Refuse,
        Conflicts::Keep => OnConflict::Keep,
        Conflicts::Replace => OnConflict::Replace,
    };
    let archive = common.folder(Purpose::Deploy)?;
    let request = CommitRequest {
        author: environment::author(&archive, now),
        archive,
        branch: common.branch.clone(),
        out: options.out,
        suite: options.suite.filter(|suite| !suite.is_empty()),
        package: environment::variable("PACKAGE"),
        version: environment::variable("VERSION"),
        job: job()?,
        verify: match options.verify {
            Checks::Full => Verify::Full,
            Checks::Head => Verify::Head,
        },
        rules: Rules { on_conflict, downgrade: options.downgrade },
        dry_run: options.dry_run,
        remote: options.remote,
        push: match (options.require_push, options.no_push) {
            (true, _) => PushMode::Require,
            (_, true) => PushMode::Never,
            _ => PushMode::Auto,
        },
        local_objects: options.local_objects,
        park: options.park,
        wait: options.wait,
        attestor: options.provenance.attestor()?.map(Arc::new),
        now,
    };
    let sealer = options.uploader.sealer(now)?;
    let answer = commit(&request, sealer.as_ref(), &|event| progress.show(event))?;
    for path in &answer.left_alone {
        progress.show(Event::Warning(format!("{path} has local changes in the work tree and was left alone")));
    }
    answer::print(&answer, common.json);
    Ok(match answer.verdict() {
        BuildState::Parked => Exit::Parked,
        BuildState::Superseded => Exit::Superseded,
        _ if answer.not_pushed.is_some() => Exit::NotPushed,
        BuildState::AlreadyLanded if options.detailed_exit_code => Exit::AlreadyLanded,
        BuildState::Landed | BuildState::AlreadyLanded => Exit::Done,
    })
}

/// Returns the web address of the CI job.
pub(super) fn job() -> Result<Option<String>, Failure> {
    let job = environment::variable("CI_JOB_URL");
    if job.as_deref().is_some_and(|url| url.chars().any(char::is_control)) {
        return Err(Failure::usage("CI_JOB_URL holds a line break or another control character, which could forge a commit message"));
    }
    Ok(job.map(|url| without_credentials(&url)))
}

impl Answer for CommitAnswer {
    fn text(&self) -> String {
        let mut text = String::new();
        for build in &self.builds {
            let verdict = match (build.verdict, self.dry_run) {
                (BuildState::Landed, false) => "landed",
                (BuildState::Landed, true) => "would land",
                (BuildState::AlreadyLanded, _) => "already landed",
                (BuildState::Superseded, _) => "superseded",
                (BuildState::Parked, _) => "parked",
            };
            text.push_str(&format!("{} {}: {verdict} in {}\n", build.source, build.version, self.suite));
            for note in &build.notes {
                text.push_str(&format!("  note: {note}\n"));
            }
        }
        for skipped in self.uploads.iter().flat_map(|uploads| &uploads.not_checked) {
            text.push_str(&format!("  not checked: {skipped}\n"));
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
        if let Some(remote) = self.remote.as_ref().filter(|_| self.parked.is_none()) {
            text.push_str(&format!("on {remote}\n"));
        }
        if let Some(branch) = &self.parked {
            text.push_str(&format!("waits as {branch} for whoever lands the inbox next; running this again waits for it\n"));
        }
        if let Some(reason) = &self.not_pushed {
            text.push_str(&format!("not pushed: {reason}; `git push` does it later\n"));
        }
        text + &answer::requests(&self.requests)
    }
}
