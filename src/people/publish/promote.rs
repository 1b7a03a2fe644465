//! `ddb-publish promote`: its options and what it prints.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use super::dists::{self, Dists, Publishing};
use crate::people::answer::{self, Answer};
use crate::people::deploy::Common;
use crate::people::environment;
use crate::people::exit::Exit;
use crate::people::failure::Failure;
use crate::people::progress::Progress;
use crate::people::{keys, logs};
use crate::stories::archive::{OpenArchive, OpenError};
use crate::stories::deploy::BuildState;
use crate::stories::event::Event;
use crate::stories::promote::{Origin, PromoteAnswer, PromoteRequest, promote};
use crate::stories::publish::DistsAnswer;
use crate::stories::upstream::Purpose;
use crate::words::name::SourceName;

#[derive(Debug, Args)]
pub(super) struct Promote {
    /// The suite that offers it, or an older state of one: trixie, trixie@12, trixie@20261125T084413Z
    #[arg(value_name = "FROM")]
    from: Origin,
    /// The suite that shall offer it
    #[arg(value_name = "TO")]
    to: String,
    /// The source packages
    #[arg(value_name = "PACKAGE", required_unless_present = "all")]
    sources: Vec<SourceName>,
    /// Let TO offer exactly what FROM offers
    #[arg(long, conflicts_with = "sources")]
    all: bool,
    /// Let an older version displace a newer one
    #[arg(long)]
    downgrade: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Commit only, and leave publishing to `dists`
    #[arg(long)]
    no_publish: bool,
    /// The published tree, where it is not the configured one
    #[arg(long, value_name = "DIR")]
    target: Option<PathBuf>,
    /// Use this Git remote instead of the branch's own or origin
    #[arg(long, value_name = "NAME")]
    remote: Option<String>,
    /// Commit in this repository only, and publish what it has
    #[arg(long)]
    no_push: bool,
    #[command(flatten)]
    secrets: keys::Secrets,
    #[command(flatten)]
    log_keys: logs::LogKeys,
}

/// The answer of `ddb-publish promote`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PromoteAnswers {
    /// What was promoted.
    #[serde(flatten)]
    pub promoted: PromoteAnswer,
    /// What was published then, where that was asked for.
    pub published: Option<DistsAnswer>,
    /// Why the suite was not published, where the commit was made all the same.
    pub failure: Option<Failure>,
}

pub(super) fn run(common: &Common, options: Promote) -> Result<ExitCode, Failure> {
    let progress = Progress::new(common.verbose);
    // What an older state was made of must stand in the history.
    let folder = common.folder(if options.from.at.is_some() { Purpose::Whole } else { Purpose::Publish })?;
    let mut open = OpenArchive::open(&folder, common.branch.as_deref())?;
    if !options.no_push {
        open.connect(options.remote.as_deref())?;
        let _held = open.remote.as_ref().map(|_| open.repository.hold_remote()).transpose()?;
        open.refresh(&[]).map_err(OpenError::Remote)?;
    }
    let archive = open.configuration(&open.tip()?)?;
    open.remote = open.remote.map(|remote| remote.with_push_options(&archive.remote.push_options));
    let passphrases = options.secrets.passphrases()?;
    let request = PromoteRequest {
        from: options.from,
        to: options.to,
        sources: (!options.all).then(|| options.sources.into_iter().collect()),
        downgrade: options.downgrade,
        dry_run: options.dry_run,
        author: environment::author(open.repository.root(), environment::now(common.now)),
    };
    let store = open.store(&archive)?;
    let promoted = promote(&request, &open, store.as_ref(), &|event| progress.show(event))?;
    for path in &promoted.left_alone {
        progress.show(Event::Warning(format!("{path} has local changes in the work tree and was left alone")));
    }
    let mut answer = PromoteAnswers { promoted, published: None, failure: None };
    if !options.dry_run && !options.no_publish && answer.promoted.verdict != BuildState::Superseded {
        let plain = Dists::plain(options.target, options.secrets, options.log_keys);
        let publishing =
            Publishing { common, options: &plain, open: &open, archive: &archive, passphrases: &passphrases, progress: &progress };
        match publishing.suite(&answer.promoted.to) {
            Ok(published) => {
                for note in &published.notes {
                    progress.show(Event::Warning(note.clone()));
                }
                answer.published = Some(published);
            }
            // The commit is there, and the next publish goes on from it.
            Err(failure) => answer.failure = Some(failure),
        }
    }
    answer::print(&answer, common.json);
    Ok(match (&answer.failure, answer.promoted.verdict) {
        (Some(failure), _) => failure.report(false),
        (None, BuildState::Superseded) => Exit::Superseded.into(),
        (None, _) => Exit::Done.into(),
    })
}

impl Answer for PromoteAnswers {
    fn text(&self) -> String {
        let PromoteAnswer { from, to, release, verdict, dry_run, .. } = &self.promoted;
        let state = release.map(|number| format!(", as of its Release {number}")).unwrap_or_default();
        let mut text = String::new();
        if self.promoted.all {
            text.push_str(&match (verdict, dry_run) {
                (BuildState::Landed, false) => format!("{to} offers what {from} offers{state}\n"),
                (BuildState::Landed, true) => format!("{to} would offer what {from} offers{state}\n"),
                _ => format!("{to} offered what {from} offers{state} already\n"),
            });
        }
        for package in &self.promoted.packages {
            let verdict = match (package.verdict, dry_run) {
                (BuildState::Landed, false) => "promoted",
                (BuildState::Landed, true) => "would be promoted",
                (BuildState::Superseded, _) => "superseded",
                (BuildState::AlreadyLanded | BuildState::Parked, _) => "already there",
            };
            let version = package.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
            let before = package.before.as_ref().map(|before| format!(" (before: {before})")).unwrap_or_default();
            text.push_str(&format!("{}{version}: {verdict} from {from}{state} to {to}{before}\n", package.source));
            package.notes.iter().for_each(|note| text.push_str(&format!("  note: {note}\n")));
        }
        self.promoted.notes.iter().for_each(|note| text.push_str(&format!("  note: {note}\n")));
        let restored = if *dry_run { "would come back" } else { "came back" };
        self.promoted.restored.iter().for_each(|path| text.push_str(&format!("  {restored}: {path}\n")));
        if let Some(commit) = &self.promoted.commit {
            text.push_str(&format!("commit {commit} on {}\n", self.promoted.branch));
        }
        if let Some(remote) = &self.promoted.remote {
            text.push_str(&format!("on {remote}\n"));
        }
        if let Some(published) = &self.published {
            text.push_str(&dists::suite_text(published));
        }
        text
    }
}
