//! `ddb-publish`: its command line, one file a command.

mod dists;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::deploy::Common;
use super::keys;
use super::{environment, exit};

pub use dists::DistsAnswers;

/// Publish an apt archive from Git
#[derive(Debug, Parser)]
#[command(name = "ddb-publish", version, arg_required_else_help = true, after_help = exit::HELP)]
pub struct Publish {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Generate, sign and write Packages, Sources, Release and InRelease of suites
    #[command(after_help = "\
Clients see a whole old or a whole new archive at any moment; a run that was stopped is finished by the next one. Where \
nothing changed since the last publish, nothing is written. The signing key is DDB_SIGNING_KEY (the key itself, for a \
masked CI variable), else --key-file, else ~/.config/ddb/keys. Its passphrase is in DDB_SIGNING_KEY_PASSPHRASE, else in \
--passphrase-file.

Examples:
  $ ddb-publish -C archive dists trixie --dry-run
  $ ddb-publish -C archive dists trixie
  $ ddb-publish -C archive dists trixie --renew-before 2d --json")]
    Dists(Box<dists::Dists>),
    /// Make, show and extend the archive's signing keys
    Key(keys::Key),
}

/// Runs `ddb-publish`.
pub fn main() -> ExitCode {
    let arguments = Publish::parse();
    environment::give_credentials();
    let common = arguments.common;
    let done = match arguments.command {
        Command::Dists(options) => dists::run(&common, *options),
        Command::Key(options) => keys::run(&common, options).map(ExitCode::from),
    };
    match done {
        Ok(exit) => exit,
        Err(failure) => failure.report(common.json),
    }
}
