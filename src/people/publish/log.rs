//! `ddb-publish log`: its options and what it prints.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use super::dists::{Dists, Publishing};
use crate::people::answer::{self, Answer};
use crate::people::deploy::Common;
use crate::people::exit::Exit;
use crate::people::failure::{Failure, FailureProblem};
use crate::people::progress::Progress;
use crate::people::{environment, keys, logs};
use crate::stories::archive::{OpenArchive, OpenError};
use crate::stories::publish::{LogAnswer, LogState, ProofState, pending, stage, state};
use crate::stories::upstream::Purpose;
use crate::words::archive::LogMode;
use crate::words::name::Codename;

#[derive(Debug, Args)]
pub(super) struct Log {
    /// The suites; default is every suite that was published
    #[arg(value_name = "CODENAME")]
    codenames: Vec<Codename>,
    /// Ask the logs for proofs that are missing
    #[arg(long)]
    pending: bool,
    /// The published tree, where it is not the configured one
    #[arg(long, value_name = "DIR")]
    target: Option<PathBuf>,
    /// Use this Git remote instead of the branch's own or origin
    #[arg(long, value_name = "NAME")]
    remote: Option<String>,
    /// Look at what this repository has, and keep proofs in this repository only
    #[arg(long)]
    no_push: bool,
    #[command(flatten)]
    log_keys: logs::LogKeys,
}

/// The answer of `ddb-publish log`: one entry for each suite.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LogAnswers {
    /// The suites, in order.
    pub suites: Vec<LogAnswer>,
    /// What stopped a suite, where others were looked at; or which required proofs are missing or bad.
    pub failure: Option<Failure>,
}

pub(super) fn run(common: &Common, options: Log) -> Result<ExitCode, Failure> {
    let progress = Progress::new(common.verbose);
    let mut open = OpenArchive::open(&common.folder(Purpose::Publish)?, common.branch.as_deref())?;
    if !options.no_push {
        open.connect(options.remote.as_deref())?;
        open.refresh(&[]).map_err(OpenError::Remote)?;
    }
    let archive = open.configuration(&open.tip()?)?;
    open.remote = open.remote.map(|remote| remote.with_push_options(&archive.remote.push_options));
    let tip = open.tip()?;
    let found = logs::logs(&tip, &archive, &options.log_keys, environment::now(common.now))?;
    let served = |codename: &Codename| stage::last_served(&open.repository, codename).is_ok_and(|served| served.is_some());
    let all = options.codenames.is_empty();
    let mut codenames: Vec<Codename> = if all { archive.suites.keys().cloned().collect() } else { options.codenames };
    look(&open, &codenames)?;
    codenames.retain(|codename| !all || served(codename));
    let plain = Dists::plain(options.target, keys::Secrets::default(), options.log_keys);
    let publishing = Publishing { common, options: &plain, open: &open, archive: &archive, passphrases: &[], progress: &progress };
    let (mut suites, mut failed) = (Vec::new(), None);
    for codename in codenames {
        let completed = if options.pending { publishing.with_suite(&codename, pending).map(drop) } else { Ok(()) };
        match completed.and_then(|()| Ok(state(&open, &codename, &found)?)) {
            Ok(answer) => suites.push(answer),
            // One suite without proof does not hold up the others.
            Err(failure) => {
                if let Some(earlier) = failed.replace(failure) {
                    earlier.report(false);
                }
            }
        }
    }
    let failed = failed.or_else(|| unproven(&suites));
    match failed {
        Some(failure) if suites.is_empty() => Err(failure),
        failure => {
            answer::print(&LogAnswers { suites, failure: failure.clone() }, common.json);
            Ok(failure.map_or_else(|| Exit::Done.into(), |failure| failure.report(false)))
        }
    }
}

/// Fetches the Releases of these suites, if there is a remote.
fn look(open: &OpenArchive, codenames: &[Codename]) -> Result<(), OpenError> {
    if open.remote.is_none() {
        return Ok(());
    }
    let _held = open.repository.hold_remote()?;
    let branches: Vec<String> = codenames.iter().map(stage::branch).collect();
    let names: Vec<&str> = branches.iter().map(String::as_str).collect();
    let looked = open.refresh(&names).and_then(|()| names.iter().try_for_each(|name| open.align(name)));
    looked.map_err(OpenError::Remote)
}

/// Returns the failure that required proofs mean which are missing or bad.
fn unproven(suites: &[LogAnswer]) -> Option<Failure> {
    let lacking = suites.iter().flat_map(|suite| suite.logs.iter().map(move |log| (suite, log)));
    let lacking = lacking.filter(|(_, log)| log.mode == LogMode::Required && log.proof != ProofState::Good);
    let problems: Vec<FailureProblem> = lacking.map(|(suite, log)| problem(suite, log)).collect();
    let count = if problems.len() == 1 { "1 required proof is".to_owned() } else { format!("{} required proofs are", problems.len()) };
    let error = format!("{count} missing or not good; `ddb-publish log --pending` asks the logs");
    (!problems.is_empty()).then_some(Failure { error, problems, exit_code: Exit::NoProof as u8 })
}

fn problem(suite: &LogAnswer, log: &LogState) -> FailureProblem {
    let reason = match &log.fault {
        Some(fault) => format!("it does not hold: {fault}"),
        None => "it is missing".to_owned(),
    };
    FailureProblem { file: format!("dists/{}/{}", suite.codename, log.log.file()), reason }
}

impl Answer for LogAnswers {
    fn text(&self) -> String {
        self.suites.iter().map(suite_text).collect()
    }
}

fn suite_text(suite: &LogAnswer) -> String {
    let LogAnswer { codename, sequence, date, release, logs } = suite;
    let none = if logs.is_empty() { "  ddb.toml names no transparency log\n" } else { "" };
    let logs: String = logs.iter().map(log_text).collect();
    format!("{codename}: Release {sequence} of {date}, sha256 {release}\n{none}{logs}")
}

fn log_text(log: &LogState) -> String {
    let mode = match log.mode {
        LogMode::Required => "required",
        LogMode::BestEffort => "best effort",
        LogMode::Off => "off",
    };
    let proof = match (log.proof, &log.fault) {
        (ProofState::Good, _) => "has a good proof".to_owned(),
        (ProofState::Missing, _) => "has no proof; --pending asks for one".to_owned(),
        (ProofState::Bad, fault) => format!("has a proof that does not hold: {}", fault.as_deref().unwrap_or_default()),
    };
    format!("  {} ({mode}): {proof}\n", log.log)
}
