//! `ddb-publish monitor`: its options and what it prints.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::people::answer::{self, Answer};
use crate::people::deploy::Common;
use crate::people::environment;
use crate::people::exit::Exit;
use crate::people::failure::Failure;
use crate::people::progress::Progress;
use crate::people::readers::{Named, readers};
use crate::places::credentials;
use crate::places::git::remote::is_address;
use crate::places::kept;
use crate::places::transparency::LogError;
use crate::places::transparency::reader::ReadLimit;
use crate::places::transparency::site::Site;
use crate::stories::archive::OpenArchive;
use crate::stories::monitor::state::{LIMIT, State};
use crate::stories::monitor::{
    Begin, Finding, FindingKind, FollowedLog, MonitorAnswer, MonitorError, MonitorLimits, MonitorRequest, OwnKeys, Watched, WatchedSuite,
    monitor,
};
use crate::stories::upstream::{Purpose, clone_of};
use crate::words::date::{Span, Timestamp};
use crate::words::digest::Sha256;
use crate::words::name::Codename;

#[derive(Debug, Args)]
pub(super) struct Monitor {
    /// The suites of which what was served is looked at; default is all of ddb.toml. Leaves are compared with all suites
    #[arg(value_name = "CODENAME")]
    codenames: Vec<Codename>,
    /// Look at what clients get here, what stands before dists/; may be repeated. Default is archive.url of ddb.toml
    #[arg(long = "site", value_name = "URL|DIR")]
    sites: Vec<String>,
    /// Look at no site
    #[arg(long, conflicts_with = "sites")]
    no_site: bool,
    /// The file that remembers what was seen, for the next run; default is below ddb/monitor in $XDG_STATE_HOME or ~/.local/state
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Begin: nothing was seen before. Without it, an archive of which nothing is remembered is an alarm
    #[arg(long)]
    first: bool,
    /// Compare with what another monitor remembers, its --state, that logs show it the same; may be repeated
    #[arg(long = "compare", value_name = "FILE")]
    others: Vec<PathBuf>,
    /// Begin with the next leaf, not the first, in logs that are seen for the first time
    #[arg(long)]
    from_now: bool,
    /// Read this log (key hash or its beginning, origin) here: what stands before get-tree-head or checkpoint; may be repeated
    #[arg(long = "log-address", value_name = "LOG=URL", value_parser = address)]
    addresses: Vec<(String, String)>,
    /// Do not read this log of the policy or trusted root, such as one of Rekor's version 1; may be repeated
    #[arg(long, value_name = "LOG")]
    leave_out: Vec<String>,
    /// Make each new Release again from the commit that it names, but for Contents; the first time the newest of each suite
    #[arg(long)]
    rebuild: bool,
    /// Take the alarm of this name for known, as its text says; after a change, what is now counts from then on; may be repeated
    #[arg(long = "acknowledge", value_name = "NAME")]
    acknowledged: Vec<String>,
    /// Alarm where a Release is valid for less than this
    #[arg(long, value_name = "SPAN", default_value = "1d")]
    release_ends: Span,
    /// Alarm where a certificate that signs is good for less than this
    #[arg(long, value_name = "SPAN", default_value = "30d")]
    certificate_ends: Span,
    /// Let a site be behind the newest Release for this long
    #[arg(long, value_name = "SPAN", default_value = "1h")]
    behind: Span,
    /// Let a proof by best effort be missing for this long
    #[arg(long, value_name = "SPAN", default_value = "1d")]
    pending: Span,
    /// Let cosignatures of a tree head be of this age; witnesses give new ones every minute or so
    #[arg(long, value_name = "SPAN", default_value = "1h")]
    head_age: Span,
    /// Alarm where a log was not read to its end, or a site not reached, for longer than this
    #[arg(long, value_name = "SPAN", default_value = "1d")]
    unreached: Span,
    /// Read so many leaves of a log in one run at most; the next one goes on
    #[arg(long, value_name = "NUMBER", default_value = "1000000", value_parser = clap::value_parser!(u64).range(1..))]
    leaves: u64,
    /// Read the leaves of a log for this long in one run at most; the next one goes on
    #[arg(long, value_name = "SPAN", default_value = "20m")]
    patience: Span,
    /// Use this Git remote instead of the branch's own or origin
    #[arg(long, value_name = "NAME")]
    remote: Option<String>,
    /// Look at the branches that this repository has, without fetching
    #[arg(long)]
    no_fetch: bool,
}

fn address(text: &str) -> Result<(String, String), String> {
    let split = text.split_once('=').filter(|(name, url)| !name.is_empty() && url.contains("://"));
    split.map(|(name, url)| (name.to_owned(), url.to_owned())).ok_or_else(|| "it should be LOG=URL".to_owned())
}

pub(super) fn run(common: &Common, options: Monitor) -> Result<ExitCode, Failure> {
    let (state, limit) = (options.state.clone(), options.unreached);
    look(common, options).map_err(|failure| overdue(failure, state.as_deref(), limit, environment::now(common.now)))
}

/// Returns an alarm where nothing could be looked at for too long: who keeps the Git remote away from a monitor blinds it.
fn overdue(failure: Failure, state: Option<&Path>, limit: Span, now: Timestamp) -> Failure {
    let kept = state.filter(|_| failure.exit_code == Exit::NotWatched as u8).and_then(|file| read(file).ok().flatten());
    match kept.filter(|kept| now > kept.at.plus(limit)) {
        Some(kept) => {
            let error = format!("{}; nothing was looked at since {}, for longer than {limit}", failure.error, kept.at.iso8601());
            Failure { error, exit_code: Exit::Alarm as u8, ..failure }
        }
        None => failure,
    }
}

fn look(common: &Common, options: Monitor) -> Result<ExitCode, Failure> {
    let progress = Progress::new(common.verbose);
    let mut open = OpenArchive::open(&folder(common)?, common.branch.as_deref())?;
    if !options.no_fetch {
        open.connect(options.remote.as_deref())?;
    }
    let file = state_file(common, options.state.as_deref(), &open)?;
    let kept = read(&file)?;
    if kept.is_some() && options.first {
        return Err(Failure::usage(&format!("--first, but {} is there: it was seen before; leave --first out", file.display())));
    }
    let others = options.others.iter().map(|path| other(path)).collect::<Result<_, _>>()?;
    let limits = MonitorLimits {
        valid: options.release_ends,
        key: options.certificate_ends,
        behind: options.behind,
        pending: options.pending,
        head_age: options.head_age,
        unreached: options.unreached,
        read: ReadLimit { leaves: options.leaves, time: Duration::from_secs(options.patience.seconds().try_into().unwrap_or_default()) },
    };
    let request = MonitorRequest {
        codenames: options.codenames,
        begin: if options.from_now { Begin::Now } else { Begin::Beginning },
        limits,
        acknowledged: options.acknowledged,
        others,
        rebuild: options.rebuild,
        state: file.clone(),
        first: options.first,
        now: environment::now(common.now),
    };
    let (addresses, left_out, named, no_site) = (options.addresses, options.leave_out, options.sites, options.no_site);
    let find_readers = |keys: &OwnKeys<'_>| readers(keys, &Named { addresses: &addresses, left_out: &left_out });
    let find_sites = |configured: Option<&str>| sites(&named, configured.filter(|_| !no_site));
    let watched = Watched { open: &open, readers: &find_readers, sites: &find_sites };
    let (answer, state) = monitor(&request, &watched, kept.as_ref(), &|event| progress.show(event))?;
    let written = state.map_or(Ok(()), |state| write(&file, &state.text()));
    answer::print(&answer, common.json);
    written?;
    Ok(exit(&answer).into())
}

/// Returns the folder of the repository; a remote that does not answer is one of those that were not reached.
fn folder(common: &Common) -> Result<PathBuf, MonitorError> {
    match common.archive.to_str().filter(|text| is_address(text)) {
        Some(address) => Ok(clone_of(address, &environment::cache_folder(), Purpose::Whole, common.branch.as_deref())?),
        None => Ok(common.archive.clone()),
    }
}

fn exit(answer: &MonitorAnswer) -> Exit {
    match (answer.alarms.is_empty(), answer.unreachable.is_empty()) {
        (false, _) => Exit::Alarm,
        (true, false) => Exit::NotWatched,
        (true, true) => Exit::Done,
    }
}

fn failed(message: &str) -> Failure {
    Failure { error: message.to_owned(), problems: Vec::new(), exit_code: Exit::Failed as u8 }
}

/// Returns the file of this archive's state.
fn state_file(common: &Common, named: Option<&Path>, open: &OpenArchive) -> Result<PathBuf, Failure> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let folder = environment::state_folder().ok_or_else(|| Failure::usage("neither --state nor HOME says where to keep what was seen"))?;
    let archive = if common.is_remote() { common.archive.clone() } else { open.repository.git_dir().to_owned() };
    let name = Sha256::of(format!("{}\n{}\n", archive.display(), open.branch).as_bytes());
    Ok(folder.join("monitor").join(format!("{name}.json")))
}

fn read(path: &Path) -> Result<Option<State>, Failure> {
    let bytes = kept::read(path, LIMIT).map_err(|fault| failed(&format!("cannot read {}: {fault}", path.display())))?;
    let unusable = |fault: String| {
        failed(&format!("{}: {fault}. Bring back the last good one; without any, the monitor believes what it sees first", path.display()))
    };
    bytes.map(|bytes| State::parse(&bytes)).transpose().map_err(unusable)
}

/// Writes what the next run can read, or leaves what is there.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let fault = if text.len() as u64 > LIMIT {
        Some(format!("it would have {} bytes, more than the {LIMIT} that are read again; the one that is there stays", text.len()))
    } else {
        kept::write(path, text.as_bytes()).err().map(|fault| fault.to_string())
    };
    let unwritten = |fault| failed(&format!("cannot write {}: {fault}; the next run does not know of this one", path.display()));
    fault.map_or(Ok(()), |fault| Err(unwritten(fault)))
}

fn other(path: &Path) -> Result<(String, State), Failure> {
    let missing = || Failure::usage(&format!("{} is not there", path.display()));
    read(path)?.map(|state| (path.display().to_string(), state)).ok_or_else(missing)
}

/// Returns the sites that are named, else the configured one.
fn sites(named: &[String], configured: Option<&str>) -> Result<Vec<Site>, LogError> {
    let authorities = credentials::given().authorities;
    let locations = if named.is_empty() { configured.into_iter().collect() } else { named.iter().map(String::as_str).collect::<Vec<_>>() };
    locations.into_iter().map(|location| Site::of(location, authorities.as_deref())).collect()
}

impl Answer for MonitorAnswer {
    fn text(&self) -> String {
        let mut text = String::new();
        let mut section = |title: &str, findings: &[Finding]| {
            for Finding { kind, subject, text: said, .. } in findings {
                let kind = serde_json::to_value(kind).ok().and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default();
                text.push_str(&plain(&format!("{title} {kind}: {subject}: {said}")));
                text.push('\n');
            }
        };
        section("ALARM", &self.alarms);
        section("NOT REACHED", &self.unreachable);
        section("note", &self.notes);
        self.logs.iter().for_each(|log| text.push_str(&of_log(log)));
        self.suites.iter().for_each(|suite| text.push_str(&of_suite(suite)));
        if self.first && !self.alarms.iter().any(|alarm| alarm.kind == FindingKind::NoMemory) {
            text.push_str(&format!("This was the first look; {} remembers it for the next one.\n", self.state));
        }
        text.push_str(&match (self.alarms.len(), self.unreachable.len()) {
            (0, 0) => "No alarm.\n".to_owned(),
            (0, missed) => format!("No alarm, but {missed} not reached: that is not the same.\n"),
            (1, _) => "1 alarm.\n".to_owned(),
            (alarms, _) => format!("{alarms} alarms.\n"),
        });
        text
    }
}

fn of_log(log: &FollowedLog) -> String {
    let FollowedLog { log: kind, name, url, complete, size, read, own, witnesses, .. } = log;
    let seen = if witnesses.is_empty() { String::new() } else { format!(", cosigned by {}", witnesses.join(", ")) };
    let state = if *complete { "all of its signed tree" } else { "not all of its tree: see above" };
    plain(&format!("{kind} log {name} at {url}: {size} leaves, {read} of them new, {own} with our keys, {state}{seen}")) + "\n"
}

fn of_suite(suite: &WatchedSuite) -> String {
    let WatchedSuite { codename, staged, served, newest, valid_until, sites } = suite;
    let newest = newest.map_or_else(|| "nothing served yet".to_owned(), |newest| format!("Release {newest} is the newest"));
    let until = valid_until.as_ref().map_or_else(String::new, |until| format!(", valid until {until}"));
    let mut text = format!("{codename}: {newest}{until}; {staged} staged, {served} served\n");
    for site in sites {
        let serves =
            site.sequence.map_or_else(|| "no Release of this archive that could be read".to_owned(), |own| format!("Release {own}"));
        text.push_str(&plain(&format!("  {} serves {serves}", site.site)));
        text.push('\n');
    }
    text
}

/// Escapes control characters: what a log or site says must not steer a terminal.
fn plain(text: &str) -> String {
    text.chars().flat_map(|letter| if letter.is_control() { letter.escape_debug().collect::<Vec<_>>() } else { vec![letter] }).collect()
}
