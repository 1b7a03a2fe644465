//! `ddb-deploy`: its command line, one file a command.

mod adopt;
mod commit;
mod doctor;
mod fetch;
mod fsck;
mod gc;
mod inbox;
mod init;
mod lfs_agent;
mod upload;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use super::environment;
use super::exit;
use super::failure::Failure;
use crate::places::git::remote::is_address;
use crate::stories::archive::OpenError;
use crate::stories::upstream::{Purpose, clone_of};
use crate::words::date::Timestamp;

/// Put build output into an apt archive that lives in Git
#[derive(Debug, Parser)]
#[command(name = "ddb-deploy", version, arg_required_else_help = true, after_help = exit::HELP)]
pub struct Deploy {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Work on the archive repository in or above this folder, or at this Git address (a clone of it is kept in DDB_CACHE)
    #[arg(short = 'C', long = "archive", global = true, value_name = "DIR|URL", default_value = ".", hide_default_value = true)]
    pub archive: PathBuf,
    /// Use this branch instead of the one that HEAD points at
    #[arg(long, global = true, value_name = "BRANCH")]
    pub branch: Option<String>,
    /// Answer in JSON on standard output (the schemas are in schemas/)
    #[arg(long, global = true)]
    pub json: bool,
    /// Say more; twice for every file
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Take this as the time instead of the clock's (2026-09-12T07:55:41Z or seconds since 1970), to make a run repeatable
    #[arg(long, global = true, value_name = "TIME", env = "DDB_NOW")]
    pub now: Option<Timestamp>,
}

impl Common {
    /// Returns the folder of the archive repository; for an address, that of a clone in the cache, brought up to date.
    ///
    /// # Errors
    /// The remote cannot be reached, or has no such branch.
    pub(crate) fn folder(&self, purpose: Purpose) -> Result<PathBuf, Failure> {
        match self.archive.to_str().filter(|text| is_address(text)) {
            Some(address) => Ok(clone_of(address, &environment::cache_folder(), purpose, self.branch.as_deref())?),
            None => Ok(self.archive.clone()),
        }
    }

    /// Tells whether the archive is named by its address.
    pub(crate) fn is_remote(&self) -> bool {
        self.archive.to_str().is_some_and(is_address)
    }

    /// Brings ddb's own clone up to date, where the archive is named by its address.
    ///
    /// # Errors
    /// The remote cannot be reached, or has no such branch any more.
    pub(crate) fn follow(&self, purpose: Purpose) -> Result<(), OpenError> {
        let Some(address) = self.archive.to_str().filter(|text| is_address(text)) else { return Ok(()) };
        clone_of(address, &environment::cache_folder(), purpose, self.branch.as_deref()).map(drop)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an archive repository in an empty folder or an existing Git repository
    #[command(after_help = "\
Examples:
  $ ddb-deploy init archive
  $ ddb-deploy init other --suite sid --component main --component contrib
  $ ddb-deploy init third --architecture amd64 --origin \"Example\"")]
    Init(init::Init),
    /// Store build output as objects, pointers and records in one commit
    #[command(after_help = "\
The suite is --suite, else DDB_SUITE, else the only one of ddb.toml, else the one that Distribution in .changes means. \
PACKAGE and VERSION in the environment, where set, must name what is in OUT; CI_JOB_URL goes into the commit message. \
Records name where packages come from: the envelope or bundle in OUT that names them (*.intoto.jsonl, *.sigstore.json), else one \
that DDB_PROVENANCE_KEY signs, else what the CI job claims.

Examples:
  $ ddb-deploy -C archive commit out/
  $ ddb-deploy -C archive commit out/ --suite trixie --dry-run")]
    Commit(Box<commit::Commit>),
    /// Make records for packages that plain Git-LFS put into the pool
    #[command(after_help = "\
For a repository made with git lfs track \"pool/**\" and git add: run ddb-deploy init in it first. Packages that no record names \
are read from the store, or from .git/lfs/objects, and checked as by commit; those in another folder of pool/ are moved to their \
place.

Examples:
  $ ddb-deploy -C archive adopt --suite trixie --dry-run
  $ ddb-deploy -C archive adopt --suite trixie")]
    Adopt(adopt::Adopt),
    /// Send build output to the object store, leaving pointers and a manifest in place of the files
    #[command(after_help = "\
For the build job: `commit` takes the folder later as it takes files. Every file is checked as by `commit`, but for what needs \
the branch. A run that was killed is run again. DDB_UPLOADER_KEY, where set, signs the manifest, and \
DDB_PROVENANCE_KEY where the packages come from.

Examples:
  $ ddb-deploy -C archive upload out/ --to uploaded/
  $ ddb-deploy -C archive commit uploaded/")]
    Upload(Box<upload::Upload>),
    /// Check that pointers, records, objects and published files agree
    #[command(after_help = "\
Examples:
  $ ddb-deploy -C archive fsck
  $ ddb-deploy -C archive fsck --full --json")]
    Fsck(fsck::Fsck),
    /// Remove objects that no branch, tag, recent commit, parked statement or kept Release names
    #[command(after_help = "\
Without --delete, only a plan with byte counts is printed. With it, unneeded objects are marked; a later run, after --grace, \
removes those that are still unneeded. Needs a whole clone, whose remote it fetches from. A store belongs to one archive, or name \
the others with --also.

Examples:
  $ ddb-deploy -C archive gc
  $ ddb-deploy -C archive gc --delete --retention 90d")]
    Gc(gc::Gc),
    /// Put the objects of a clone where git lfs checkout finds them
    #[command(after_help = "\
The objects come from the store that ddb.toml names, not from a Git-LFS server, and are checked. Which commit is meant says \
HEAD, or --branch. What is there already is skipped: after an interruption, run it again.

Examples:
  $ ddb-deploy -C archive fetch
  $ ddb-deploy -C archive fetch --suite trixie --source hostname
  $ ddb-deploy -C archive fetch pool/main/h --json
  $ ddb-deploy -C archive fetch --all")]
    Fetch(fetch::Fetch),
    /// Move objects between git-lfs and the archive's store, as git-lfs's standalone transfer agent
    #[command(after_help = "\
git-lfs runs this program and speaks with it; people use --install, once in a clone, or once with --url for all archives whose \
.lfsconfig names that address. Without installing, a clone takes one command:

  git -c lfs.standalonetransferagent=ddb -c lfs.customtransfer.ddb.path=ddb-deploy -c lfs.customtransfer.ddb.args=lfs-agent clone URL

With --url, the agent follows the ddb.toml of any repository with that address: name one that only your archives use.

Examples:
  $ ddb-deploy -C archive lfs-agent --install
  $ ddb-deploy -C archive lfs-agent --uninstall
  $ ddb-deploy lfs-agent --install --url https://deb.example.org/lfs
  $ ddb-deploy lfs-agent --uninstall --url https://deb.example.org/lfs")]
    LfsAgent(lfs_agent::LfsAgent),
    /// Show, land or withdraw what deploy jobs parked
    Inbox(inbox::Inbox),
    /// Check what the bucket and the Git remote honour, by trying
    #[command(after_help = "\
Writes below a random name in the bucket, pushes branches ddb/doctor/… and ddb/inbox/doctor-… to the remote, and removes all of it \
again; the archive is not touched. Each check says what was seen and what follows. Exits with 4 when one failed.

Examples:
  $ ddb-deploy -C archive doctor
  $ ddb-deploy -C archive doctor --json")]
    Doctor(doctor::Doctor),
}

/// Runs `ddb-deploy`.
pub fn main() -> ExitCode {
    let arguments = Deploy::parse();
    environment::give_credentials();
    let common = arguments.common;
    let done = match arguments.command {
        Command::Init(options) => init::run(&common, options),
        Command::Commit(options) => commit::run(&common, *options),
        Command::Adopt(options) => adopt::run(&common, options),
        Command::Fsck(options) => fsck::run(&common, options),
        Command::Gc(options) => gc::run(&common, options),
        Command::Fetch(options) => fetch::run(&common, options),
        Command::LfsAgent(options) => lfs_agent::run(&common, options),
        Command::Upload(options) => upload::run(&common, *options),
        Command::Inbox(options) => inbox::run(&common, options),
        Command::Doctor(options) => doctor::run(&common, options),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(common.json),
    }
}
