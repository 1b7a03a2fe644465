//! `ddb-deploy`: its command line, and what it prints.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::answer::{self, Answer};
use super::environment;
use super::exit::{self, Exit};
use super::failure::Failure;
use super::progress::Progress;
use crate::formats::statement::replay::{OnConflict, Rules, Verdict};
use crate::stories::deploy::{CommitAnswer, CommitRequest, commit};
use crate::stories::event::Event;
use crate::stories::fsck::{FsckAnswer, FsckRequest, fsck};
use crate::stories::init::{InitAnswer, InitRequest, init};
use crate::words::date::Timestamp;
use crate::words::name::{Architecture, Codename, Component};

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
    /// Work on the archive repository in or above this folder
    #[arg(short = 'C', long = "archive", global = true, value_name = "DIR", default_value = ".", hide_default_value = true)]
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

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an archive repository in an empty folder or an existing Git repository
    #[command(after_help = "\
Examples:
  $ ddb-deploy init archive
  $ ddb-deploy init other --suite sid --component main --component contrib
  $ ddb-deploy init third --architecture amd64 --origin \"Example\"")]
    Init(Init),
    /// Store build output as objects, pointers and records in one commit
    #[command(after_help = "\
The suite is --suite, else DDB_SUITE, else the only one of ddb.toml, else the one that Distribution in .changes means. \
PACKAGE and VERSION in the environment, where set, must name what is in OUT; CI_JOB_URL goes into the commit message.

Examples:
  $ ddb-deploy -C archive commit out/
  $ ddb-deploy -C archive commit out/ --suite trixie --dry-run")]
    Commit(Box<Commit>),
    /// Check that pointers, records, objects and published files agree
    #[command(after_help = "\
Examples:
  $ ddb-deploy -C archive fsck
  $ ddb-deploy -C archive fsck --full --json")]
    Fsck(Fsck),
}

#[derive(Debug, Args)]
struct Init {
    /// The folder; default is this one
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Codename of the suite
    #[arg(long, default_value = "trixie", value_name = "CODENAME")]
    suite: Codename,
    /// Component of the suite; may be repeated
    #[arg(long = "component", default_value = "main", value_name = "NAME")]
    components: Vec<Component>,
    /// Architecture of the suite beside all; may be repeated; default is this machine's
    #[arg(long = "architecture", value_name = "NAME")]
    architectures: Vec<Architecture>,
    /// Who publishes: Origin and Label of every Release
    #[arg(long, value_name = "NAME")]
    origin: Option<String>,
    /// The address that clients will use
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Make a bare repository, without a work tree
    #[arg(long)]
    bare: bool,
}

#[derive(Debug, Args)]
struct Commit {
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

#[derive(Debug, Args)]
struct Fsck {
    /// Hash every object and every published pool file again
    #[arg(long)]
    full: bool,
    /// The published tree, where it is not the configured one
    #[arg(long, value_name = "DIR")]
    target: Option<PathBuf>,
}

/// Runs `ddb-deploy`.
pub fn main() -> ExitCode {
    let arguments = Deploy::parse();
    let common = arguments.common;
    let done = match arguments.command {
        Command::Init(options) => run_init(&common, options),
        Command::Commit(options) => run_commit(&common, *options),
        Command::Fsck(options) => run_fsck(&common, options),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(common.json),
    }
}

fn run_init(common: &Common, options: Init) -> Result<Exit, Failure> {
    let folder = options.folder.unwrap_or_else(|| common.archive.clone());
    let mut architectures = options.architectures;
    if architectures.iter().all(Architecture::is_all) {
        let unknown = || Failure::usage("this machine has no Debian architecture; name one with --architecture");
        architectures.insert(0, environment::host_architecture().ok_or_else(unknown)?);
    }
    let answer = init(&InitRequest {
        author: environment::author(&folder, environment::now(common.now)),
        folder,
        bare: options.bare,
        suite: options.suite,
        components: options.components,
        architectures,
        origin: options.origin,
        url: options.url,
    })?;
    answer::print(&answer, common.json);
    Ok(Exit::Done)
}

fn run_commit(common: &Common, options: Commit) -> Result<Exit, Failure> {
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

fn run_fsck(common: &Common, options: Fsck) -> Result<Exit, Failure> {
    let progress = Progress::new(common.verbose);
    let request =
        FsckRequest { archive: common.archive.clone(), branch: common.branch.clone(), target: options.target, full: options.full };
    let answer = fsck(&request, &|event| progress.show(event))?;
    answer::print(&answer, common.json);
    Ok(if answer.findings.is_empty() { Exit::Done } else { Exit::Damaged })
}

impl Answer for InitAnswer {
    fn text(&self) -> String {
        let folder = self.repository.display();
        format!(
            "Made an apt archive with the suite {suite} in {folder}.\n\nNext:\n  ddb-publish -C {folder} key generate    makes the signing key\n  ddb-deploy -C {folder} commit out/      adds what dpkg-buildpackage left in out/\n  ddb-publish -C {folder} dists {suite}   publishes to {folder}/public\n",
            suite = self.suite,
            folder = folder.to_string().trim_end_matches('/')
        )
    }
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
        text
    }
}

impl Answer for FsckAnswer {
    fn text(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            text.push_str(&format!("{}: {}\n", finding.path, finding.fault));
        }
        text.push_str(&format!(
            "{} pointers, {} records, {} objects ({} not named by this commit), {} published files: {}\n",
            self.pointers,
            self.records,
            self.objects,
            self.unreferenced_objects,
            self.published,
            match self.findings.len() {
                0 => "clean".to_owned(),
                1 => "1 problem".to_owned(),
                number => format!("{number} problems"),
            }
        ));
        text
    }
}
