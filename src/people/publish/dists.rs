//! `ddb-publish dists`: its options and what it prints.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::formats::client;
use crate::people::answer::{self, Answer};
use crate::people::deploy::Common;
use crate::people::environment;
use crate::people::exit::Exit;
use crate::people::failure::Failure;
use crate::people::progress::Progress;
use crate::people::{keys, logs};
use crate::places::cache::Cache;
use crate::places::sign::keys::Passphrase;
use crate::stories::archive::{OpenArchive, OpenError};
use crate::stories::event::{Event, Listener};
use crate::stories::publish::{DistsAnswer, DistsRequest, Places, PublishError, PublishOutcome, Together, begin, dists, dists_after};
use crate::stories::upstream::Purpose;
use crate::words::archive::Archive;
use crate::words::date::Span;
use crate::words::name::Codename;

#[derive(Debug, Default, Args)]
pub(super) struct Dists {
    /// The suites; default is every suite of ddb.toml
    #[arg(value_name = "CODENAME")]
    codenames: Vec<Codename>,
    /// The published tree, where it is not the configured one
    #[arg(long, value_name = "DIR")]
    target: Option<PathBuf>,
    /// Only print the plan
    #[arg(long)]
    dry_run: bool,
    /// Sign a new Release although nothing changed
    #[arg(long)]
    renew: bool,
    /// Sign a new Release although nothing changed, if the last one is good for less than this (2d, 12h)
    #[arg(long, value_name = "SPAN")]
    renew_before: Option<Span>,
    /// Look at every file of the tree again, also of one in S3, and write what is missing or other than it should be
    #[arg(long)]
    repair: bool,
    /// Compress every index anew, as small as can be in blocks of the configured size; for quiet hours
    #[arg(long)]
    repack: bool,
    /// Use nothing that earlier publishes left in DDB_CACHE on this machine, and leave nothing there
    #[arg(long)]
    no_cache: bool,
    /// Let Date go back, after a Release was dated in the future by a wrong clock
    #[arg(long)]
    reset_date: bool,
    /// Use this Git remote instead of the branch's own or origin
    #[arg(long, value_name = "NAME")]
    remote: Option<String>,
    /// Publish what this repository has, and record the Release in this repository only
    #[arg(long)]
    no_push: bool,
    /// Use this many threads; the output does not depend on it
    #[arg(long, value_name = "NUMBER")]
    threads: Option<usize>,
    #[command(flatten)]
    secrets: keys::Secrets,
    #[command(flatten)]
    log_keys: logs::LogKeys,
}

/// How many seconds a publish waits for the clock to pass the Date of the last Release.
const LONGEST_WAIT: i64 = 60;

/// The answer of `ddb-publish dists`: one entry for each suite.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DistsAnswers {
    /// The suites that were published, in order.
    pub suites: Vec<DistsAnswer>,
    /// What stopped a suite, where others were published.
    pub failure: Option<Failure>,
}

pub(super) fn run(common: &Common, options: Dists) -> Result<ExitCode, Failure> {
    if let Some(threads) = options.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        pool.map_err(|fault| Failure::usage(&format!("--threads {threads}: {fault}")))?;
    }
    let progress = Progress::new(common.verbose);
    let folder = common.folder(Purpose::Publish)?;
    let mut open = OpenArchive::open(&folder, common.branch.as_deref())?;
    if !options.no_push {
        open.connect(options.remote.as_deref())?;
        open.refresh(&[]).map_err(OpenError::Remote)?;
    }
    let archive = open.configuration(&open.tip()?)?;
    open.remote = open.remote.map(|remote| remote.with_push_options(&archive.remote.push_options));
    if open.work_tree_differs("ddb.toml")? {
        progress.show(Event::Warning("ddb.toml of the work tree is not committed; what is committed counts".to_owned()));
    }
    let codenames = if options.codenames.is_empty() { archive.suites.keys().cloned().collect() } else { options.codenames.clone() };
    let passphrases = options.secrets.passphrases()?;
    let publishing =
        Publishing { common, options: &options, open: &open, archive: &archive, passphrases: &passphrases, progress: &progress };
    let mut suites = Vec::new();
    let mut failed: Option<Failure> = None;
    // Where there are several, the logs are asked about all of them at once.
    let (mut waiting, mut staged) = (Vec::new(), Vec::new());
    let several = codenames.len() > 1 && !options.dry_run;
    for codename in codenames {
        let begun = match several {
            true => publishing.with_suite(&codename, begin),
            false => Ok(None),
        };
        match begun {
            Ok(begun) => {
                waiting.extend(begun);
                staged.push(codename);
            }
            Err(failure) => fail(&mut failed, failure),
        }
    }
    let together = Together::ask(&open, &waiting, &|event| progress.show(event));
    for codename in staged {
        let story = |request: &DistsRequest, places: &Places<'_>, listener: Listener<'_>| dists_after(request, places, &together, listener);
        match publishing.with_suite(&codename, story) {
            Ok(answer) => {
                for note in &answer.notes {
                    progress.show(Event::Warning(note.clone()));
                }
                suites.push(answer);
            }
            Err(failure) => fail(&mut failed, failure),
        }
    }
    match failed {
        Some(failure) if suites.is_empty() => Err(failure),
        failure => {
            answer::print(&DistsAnswers { suites, failure: failure.clone() }, common.json);
            Ok(failure.map_or_else(|| Exit::Done.into(), |failure| failure.report(false)))
        }
    }
}

/// Goes on after a suite that cannot be published, which does not hold up the others; the last failure is the run's.
fn fail(failed: &mut Option<Failure>, failure: Failure) {
    if let Some(earlier) = failed.replace(failure) {
        earlier.report(false);
    }
}

impl Dists {
    /// Returns the options of a publish that asks for nothing special.
    pub(super) fn plain(target: Option<PathBuf>, secrets: keys::Secrets, log_keys: logs::LogKeys) -> Self {
        Self { target, secrets, log_keys, ..Self::default() }
    }
}

/// What a publish has from the command line, and where it happens.
#[derive(Clone, Copy)]
pub(super) struct Publishing<'a> {
    pub(super) common: &'a Common,
    pub(super) options: &'a Dists,
    pub(super) open: &'a OpenArchive,
    pub(super) archive: &'a Archive,
    pub(super) passphrases: &'a [Passphrase],
    pub(super) progress: &'a Progress,
}

impl Publishing<'_> {
    /// Publishes one suite.
    ///
    /// # Errors
    /// It cannot be published.
    pub(super) fn suite(self, codename: &Codename) -> Result<DistsAnswer, Failure> {
        self.with_suite(codename, dists)
    }

    /// Does something with one suite that is published.
    ///
    /// # Errors
    /// It cannot be done.
    pub(super) fn with_suite<T>(
        self,
        codename: &Codename,
        story: impl Fn(&DistsRequest, &Places<'_>, Listener<'_>) -> Result<T, PublishError>,
    ) -> Result<T, Failure> {
        let Self { common, options, open, archive, passphrases, progress } = self;
        let target = open.target(archive, options.target.as_deref())?;
        let local = || {
            let root = target.local_root().map(|root| std::path::absolute(root).unwrap_or_else(|_| root.to_owned()));
            let uri = root.map(|root| client::file_uri(&root.to_string_lossy()));
            uri.or_else(|| target.address()).unwrap_or_else(|| target.describe())
        };
        let now = environment::now(common.now);
        let mut request = DistsRequest {
            codename: codename.clone(),
            renew: options.renew,
            renew_before: options.renew_before,
            reset_date: options.reset_date,
            repair: options.repair,
            repack: options.repack,
            dry_run: options.dry_run,
            address: archive.archive.url.clone().unwrap_or_else(local),
            author: environment::author(open.repository.root(), now),
            now,
            fixed_time: common.now.is_some(),
        };
        let store = open.store(archive)?;
        let cache = (!options.no_cache).then(environment::block_cache).transpose()?;
        let places = Places {
            open,
            store: store.as_ref(),
            target: target.as_ref(),
            cache: cache.as_ref(),
            signer: &|snapshot, archive| keys::signer(open, snapshot, archive, &options.secrets, passphrases, now),
            logs: &|snapshot, archive| logs::logs(snapshot, archive, &options.log_keys, now),
        };
        loop {
            match story(&request, &places, &|event| progress.show(event)) {
                // Publishes that follow each other at once share a second, and Date must grow without running ahead of the clock.
                Err(PublishError::Future { ahead, .. }) if common.now.is_none() && ahead <= LONGEST_WAIT => {
                    std::thread::sleep(Duration::from_secs(ahead.unsigned_abs()));
                    request.now = environment::now(None);
                }
                done => {
                    cache.iter().for_each(Cache::trim);
                    return Ok(done?);
                }
            }
        }
    }
}

impl Answer for DistsAnswers {
    fn text(&self) -> String {
        self.suites.iter().map(suite_text).collect::<Vec<_>>().join("\n")
    }
}

/// Says what became of one suite.
pub(super) fn suite_text(suite: &DistsAnswer) -> String {
    let DistsAnswer { codename, sequence, date, packages, sources, target, .. } = suite;
    let mut text = match suite.outcome {
        PublishOutcome::Published => {
            format!("Published {codename} to {target}: Release {sequence} of {date}, {packages} packages, {sources} sources.\n")
        }
        PublishOutcome::Unchanged => {
            let text = format!("{codename}: nothing changed since Release {sequence} of {date}; nothing was written.\n");
            return text + &answer::requests(&suite.requests);
        }
        PublishOutcome::Repaired => {
            format!("{codename}: nothing changed since Release {sequence} of {date}; missing files of {target} are there again.\n")
        }
        PublishOutcome::Planned => {
            let plan: String = suite.plan.iter().map(|step| format!("  {step}\n")).collect();
            return format!("Plan for {codename} in {target} ({} steps):\n{plan}", suite.plan.len());
        }
    };
    text.push_str(&format!(
        "{} pool files and {} other files written, {} old by-hash files removed.\n",
        suite.pool_files, suite.index_files, suite.removed_files
    ));
    text.push_str(&answer::requests(&suite.requests));
    if !suite.logs.is_empty() {
        let logs: Vec<&str> = suite.logs.iter().map(|log| log.name()).collect();
        text.push_str(&format!("Proofs of transparency logs: {}.\n", logs.join(", ")));
    }
    if let Some(valid_until) = &suite.valid_until {
        text.push_str(&format!("Good until {valid_until}.\n"));
    }
    text.push_str(&format!(
        "\nClients put this into /etc/apt/sources.list.d/{codename}.sources (it is {codename}.sources in the tree):\n\n{}",
        suite.stanza
    ));
    text
}
