//! `ddb-publish monitor`: logs, branches of Releases and sites against each other, and against what was seen before.
//!
//! The branches are read twice: before logs and sites, for what must be there by now, and after them, for what may be there.
//! So a publish that goes on meanwhile is no alarm.

mod answer;
mod bases;
mod compare;
mod error;
mod expiry;
mod follow;
mod history;
mod newest;
mod releases;
mod sites;
pub mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::formats::release::Release;
use crate::formats::sigstore;
use crate::places::sign::PublicCertificate;
use crate::places::transparency::LogError;
use crate::places::transparency::reader::LogReader;
use crate::places::transparency::site::Site;
use crate::stories::archive::OpenArchive;
use crate::stories::event::{Event, Listener};
use crate::words::archive::LogKind;
use crate::words::date::{Span, Timestamp};
use crate::words::digest::Sha256;
use crate::words::name::Codename;
use answer::Findings;
use follow::{Followed, KnownHead};
use newest::Newest;
use releases::Releases;
use state::{State, log_key};

pub use answer::{Finding, FindingKind, FollowedLog, MonitorAnswer, WatchedSite, WatchedSuite};
pub use error::MonitorError;
pub use newest::Trust;

/// What a monitor looks at, and how.
#[derive(Debug, Clone)]
pub struct MonitorRequest {
    /// The suites of which what was served is looked at; all leaves are compared with all suites.
    pub codenames: Vec<Codename>,
    /// Where the leaves of a log are read from that is seen for the first time.
    pub begin: Begin,
    /// What is too long or too short.
    pub limits: MonitorLimits,
    /// What a person says to be known.
    pub acknowledged: Vec<String>,
    /// What other monitors remember, by the names of their files.
    pub others: Vec<(String, State)>,
    /// The file that remembers what was seen, for the answer.
    pub state: PathBuf,
    /// The time.
    pub now: Timestamp,
}

/// Where to begin with a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With its first leaf.
    Beginning,
    /// With the next leaf that comes.
    Now,
}

/// When something is an alarm.
#[derive(Debug, Clone, Copy)]
pub struct MonitorLimits {
    /// A Release must be valid for longer than this.
    pub valid: Span,
    /// A key must be good for longer than this.
    pub key: Span,
    /// A site may be behind for this long.
    pub behind: Span,
    /// A proof by best effort may be missing for this long.
    pub pending: Span,
    /// Cosignatures must be younger than this.
    pub head_age: Span,
}

/// What readers of logs are made from: whom is trusted, key hashes of those who submitted to Sigsum, and keys of entries of Sigstore.
pub struct OwnKeys<'a> {
    /// Whom the newest commit trusts.
    pub trust: &'a Trust,
    /// Key hashes of those that submitted to Sigsum before.
    pub submitters: &'a BTreeSet<Sha256>,
    /// Keys that signed entries of Sigstore before.
    pub signers: &'a [sigstore::public_key::PublicKey],
}

/// Finds the logs that are to be followed.
pub type FindReaders<'a> = dyn Fn(&OwnKeys<'_>) -> Result<Vec<LogReader>, LogError> + 'a;

/// Finds the sites that are looked at; it gets the address that ddb.toml names.
pub type FindSites<'a> = dyn Fn(Option<&str>) -> Result<Vec<Site>, LogError> + 'a;

/// What is watched.
pub struct Watched<'a> {
    /// The archive's repository.
    pub open: &'a OpenArchive,
    /// The logs.
    pub readers: &'a FindReaders<'a>,
    /// The sites.
    pub sites: &'a FindSites<'a>,
}

/// Looks at everything once; returns what was found, and what is to be remembered.
///
/// # Errors
/// The repository cannot be read. What logs and sites do is in the answer.
pub fn monitor(
    request: &MonitorRequest,
    watched: &Watched<'_>,
    kept: Option<&State>,
    listener: Listener<'_>,
) -> Result<(MonitorAnswer, State), MonitorError> {
    let mut state = kept.cloned().unwrap_or_else(|| State::new(request.now));
    state.at = request.now;
    state.acknowledged.extend(request.acknowledged.iter().cloned());
    let mut findings = Findings::default();
    watched.open.repository.expect_whole()?;
    let tips = history::look(watched.open)?;
    state.branches = history::compare(watched.open, &state.branches, &tips, &state.acknowledged, &mut findings)?;
    let archive = Newest::read(watched.open, &tips, request)?;
    let before = Releases::read(&watched.open.repository, &tips, &archive.trust)?;
    let logs = follow_all(request, watched, &archive, &before, &mut state, &mut findings, listener)?;
    let mut fetched = Vec::new();
    let sites = (watched.sites)(archive.url.as_deref())?;
    for (site, codename) in sites.iter().flat_map(|site| archive.codenames.iter().map(move |codename| (site, codename))) {
        listener(Event::Detail(format!("reading dists/{codename}/InRelease of {}", site.name())));
        fetched.push(sites::fetch(site, codename));
    }
    let tips_now = history::look(watched.open)?;
    let after = Releases::read(&watched.open.repository, &tips_now, &archive.trust)?;

    bases::check(watched.open, &before, &tips_now, &mut state, &mut findings)?;
    compare::leaves(&logs, &after, &state.acknowledged, &mut findings);
    let then = |base: &str| archive.modes_of(watched.open, base);
    for codename in &archive.codenames {
        compare::served(codename, &logs, &before, (&archive.modes, &then), &state.acknowledged, request, &mut findings);
    }
    let certificates: Vec<PublicCertificate> = archive.certificates.iter().map(|(_, certificate)| certificate.clone()).collect();
    let compared = sites::Compared { open: watched.open, request, before: &before, after: &after, certificates: &certificates };
    let mut served: BTreeMap<Codename, Vec<WatchedSite>> = BTreeMap::new();
    for fetched in &fetched {
        let site = sites::compare(&compared, fetched, &mut state.sites, &mut findings);
        served.entry(fetched.codename.clone()).or_default().push(site);
    }
    expiry::keys(&archive.certificates, request, &mut findings);
    let mut suites = Vec::new();
    for codename in &archive.codenames {
        let sites = served.remove(codename).unwrap_or_default();
        suites.push(suite(codename, watched, &before, request, sites, &mut findings)?);
    }
    for log in &logs {
        if let Some(memory) = log.memory.as_ref().filter(|_| log.keep) {
            state.logs.insert(log_key(log.kind, &log.name), memory.clone());
        }
    }
    let Findings { alarms, unreachable, notes } = findings;
    let logs = logs.into_iter().filter_map(|log| log.answer).collect();
    let (first, file) = (kept.is_none(), request.state.display().to_string());
    Ok((MonitorAnswer { alarms, unreachable, notes, logs, suites, first, state: file }, state))
}

/// Follows every log, and takes over what is remembered of those that are not followed any more.
fn follow_all(
    request: &MonitorRequest,
    watched: &Watched<'_>,
    archive: &Newest,
    releases: &Releases,
    state: &mut State,
    findings: &mut Findings,
    listener: Listener<'_>,
) -> Result<Vec<Followed>, MonitorError> {
    let keys = OwnKeys { trust: &archive.trust, submitters: &releases.submitters, signers: &releases.signers };
    let readers = (watched.readers)(&keys)?;
    if readers.is_empty() {
        let text = "no transparency log is followed: ddb.toml names none, or they are off or left out; the rest is looked at".to_owned();
        findings.note(FindingKind::NotConfigured, "ddb.toml", text);
    }
    let mut logs = Vec::new();
    for reader in &readers {
        let (kind, name) = (reader.kind(), reader.name());
        let key = log_key(kind, &name);
        listener(Event::Detail(format!("reading the {} at {}", follow::subject(kind, &name), reader.url())));
        if request.acknowledged.contains(&name) {
            // Whoever says so knows that the log was begun anew.
            state.logs.remove(&key);
        }
        let mut known = releases.heads(kind, &name);
        for (file, other) in &request.others {
            let other =
                other.logs.get(&key).map(|log| KnownHead { size: log.size, root: log.root, from: format!("the monitor of {file}") });
            known.extend(other);
        }
        known.retain(|head| !state.acknowledged.contains(&head.root.to_hex()));
        logs.push(follow::follow(reader, state.logs.get(&key), &known, request, findings));
    }
    for (key, memory) in &state.logs {
        let Some((kind, name)) = key.split_once(' ') else { continue };
        let kind = LogKind::ALL.into_iter().find(|known| known.name() == kind);
        let gone = |kind: &LogKind| !readers.iter().any(|reader| reader.kind() == *kind && reader.name() == name);
        if let Some(kind) = kind.filter(gone) {
            let text = format!("it was followed until {}, and is not any more; what was seen counts", memory.at.iso8601());
            findings.note(FindingKind::NotConfigured, &follow::subject(kind, name), text);
            logs.push(Followed::remembered(kind, name, memory));
        }
    }
    Ok(logs)
}

/// Says what there is to say of a suite, and looks how long its newest Release is valid.
fn suite(
    codename: &Codename,
    watched: &Watched<'_>,
    releases: &Releases,
    request: &MonitorRequest,
    sites: Vec<WatchedSite>,
    findings: &mut Findings,
) -> Result<WatchedSuite, MonitorError> {
    let newest = releases.of(codename).rev().find(|release| release.served.is_some());
    let parsed = match newest {
        Some(newest) => {
            let bytes = watched.open.repository.snapshot(newest.commit)?.file("Release")?.unwrap_or_default();
            Some(Release::parse(&bytes).map_err(|source| MonitorError::Release { commit: newest.commit, source })?)
        }
        None => None,
    };
    if let (Some(newest), Some(parsed)) = (newest, &parsed) {
        expiry::release(codename.as_str(), &newest.name(), parsed, request, findings);
    }
    Ok(WatchedSuite {
        codename: codename.clone(),
        staged: releases.of(codename).count(),
        served: releases.of(codename).filter(|release| release.served.is_some()).count(),
        newest: newest.map(|newest| newest.sequence),
        valid_until: parsed.and_then(|parsed| parsed.valid_until).map(Timestamp::iso8601),
        sites,
    })
}
