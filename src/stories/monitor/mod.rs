//! `ddb-publish monitor`: logs, branches of Releases and sites against each other, and against what was seen before.
//!
//! The branches are read twice: before logs and sites, for what must be there by now, and after them, for what may be there.
//! So a publish that goes on meanwhile is no alarm.

mod again;
mod answer;
mod bases;
mod bound;
mod compare;
mod error;
mod expiry;
mod findings;
mod follow;
mod history;
mod logged;
mod newest;
mod order;
mod proofs;
mod releases;
mod request;
mod sites;
pub mod state;
pub mod trusted;
mod vouching;
mod watch;

use std::collections::{BTreeMap, BTreeSet};

use crate::formats::release::Release;
use crate::places::sign::PublicCertificate;
use crate::places::transparency::reader::LogReader;
use crate::places::transparency::site::Site;
use crate::stories::event::{Event, Listener};
use crate::stories::publish::stage::StageError;
use crate::words::archive::LogKind;
use crate::words::date::Timestamp;
use crate::words::name::Codename;
use findings::Findings;
use follow::{Followed, KnownHead};
use logged::Logged;
use newest::Newest;
use proofs::Judge;
use releases::Releases;
use state::{State, Watch, log_key};

pub use answer::{Finding, FindingKind, FollowedLog, MonitorAnswer, WatchedSite, WatchedSuite};
pub use error::MonitorError;
pub use newest::Trust;
pub use request::{Begin, FindReaders, FindSites, MonitorLimits, MonitorRequest, OwnKeys, Watched};

/// Looks at everything once; returns what was found, and what is to be remembered: nothing where what was known is lost, and nobody
/// says that this is the first look.
///
/// # Errors
/// The remote does not answer, the repository is a shallow clone, or a suite is named that there is not: nothing was looked at. What logs
/// and sites do, and what cannot be read, is in the answer.
pub fn monitor(
    request: &MonitorRequest,
    watched: &Watched<'_>,
    kept: Option<&State>,
    listener: Listener<'_>,
) -> Result<(MonitorAnswer, Option<State>), MonitorError> {
    let mut state = kept.cloned().unwrap_or_else(|| State::new(request.now));
    let mut findings = Findings::new(&state.acknowledged, &request.acknowledged);
    state.at = request.now;
    state.acknowledged.extend(request.acknowledged.iter().cloned());
    if kept.is_none() && !request.first {
        let file = request.state.display();
        let text = format!(
            "{file} is not there: who took it away, what was seen before is not known, and nothing is remembered until somebody brings it back, or \
             says --first because nothing was seen before"
        );
        findings.lasting(FindingKind::NoMemory, "state", text);
    }
    watched.open.repository.expect_whole()?;
    let tips = history::look(watched.open)?;
    let mut troubles = Vec::new();
    if let Err(fault) = history::compare(watched.open, &mut state, &tips, &mut findings) {
        troubles.push(fault);
    }
    let mut archive = Newest::read(watched.open, &tips, request);
    expect_suites(request, &archive, &state)?;
    let mut judge = Judge::new(watched.open, &archive.trust, request.now);
    let mut before = Releases::read(&watched.open.repository, &tips, &mut judge);
    if let Err(fault) = vouching::check(watched.open, (&mut before, &tips), &mut state, request.now) {
        troubles.push(fault);
    }
    let watch = watch::compare(state.watched.as_ref(), &archive, &before, request.now, &mut findings);
    // What could not be read whole is no measure of what comes later.
    if state.watched.is_some() || archive.troubles.is_empty() {
        state.watched = Some(watch.clone());
    }
    archive.codenames = watch::suites_now(&archive, &watch, request);
    let before_changes = trusted::read(&watch.trusted, &mut troubles);
    let keys = OwnKeys {
        trust: &archive.trust,
        before: &before_changes,
        submitters: &judge.submitters,
        signers: &judge.signers,
        roots: &judge.roots,
    };
    let (readers, faults) = (watched.readers)(&keys);
    troubles.extend(faults.into_iter().map(MonitorError::from));
    let mut logs = follow_all(request, &readers, &before, &state, &watch, &mut findings, listener);
    let fetched = fetch(watched, &archive, watch.url.as_deref(), &mut troubles, listener);
    let tips = history::look(watched.open).unwrap_or_else(|fault| {
        troubles.push(fault);
        tips
    });
    let mut after = Releases::read(&watched.open.repository, &tips, &mut judge);
    if let Err(fault) = vouching::check(watched.open, (&mut after, &tips), &mut state, request.now) {
        troubles.push(fault);
    }
    troubles.append(&mut archive.troubles);
    troubles.append(&mut before.troubles);
    troubles.append(&mut after.troubles);

    if let Err(fault) = bases::check(watched.open, &before, &tips, &mut state, &mut findings) {
        troubles.push(fault);
    }
    let of_branches: BTreeSet<&Codename> = before.known.iter().map(|release| &release.codename).collect();
    for codename in of_branches {
        if let Err(fault) = order::check(watched.open, codename, &before, &mut state, &mut findings) {
            troubles.push(fault);
        }
    }
    bound::leaves(&mut logs, &after, &mut findings);
    compare::leaves(&logs, &after, &mut findings);
    compare::proofs(&after, &mut findings);
    if request.rebuild {
        again::check(watched.open, &after, request, &mut state, &mut findings, listener);
    }
    let certificates: Vec<PublicCertificate> = archive.certificates.iter().map(|(_, certificate)| certificate.clone()).collect();
    let compared = sites::Compared { open: watched.open, request, before: &before, after: &after, certificates: &certificates };
    let mut served: BTreeMap<Codename, Vec<WatchedSite>> = BTreeMap::new();
    let mut on_sites = findings.apart();
    for fetched in &fetched {
        let site = sites::compare(&compared, fetched, &mut state, &mut on_sites);
        served.entry(fetched.codename.clone()).or_default().push(site);
    }
    state.shown.retain(|release, _| !after.known.iter().any(|known| known.served.is_some() && known.release.to_hex() == *release));
    let logged = Logged { open: watched.open, request, logs: &logs, watch: &watch, shown: &state.shown };
    archive.codenames.iter().for_each(|codename| logged.compare(codename, &before, &mut findings));
    findings.join(on_sites);
    expiry::keys(&archive.certificates, request, &mut findings);
    let mut suites = Vec::new();
    for codename in &archive.codenames {
        let sites = served.remove(codename).unwrap_or_default();
        match suite(codename, watched, &before, request, sites, &mut findings) {
            Ok(suite) => suites.push(suite),
            Err(fault) => troubles.push(fault),
        }
    }
    for log in &logs {
        if let Some(memory) = log.memory.as_ref().filter(|_| log.keep) {
            state.logs.insert(log_key(log.kind, &log.name), memory.clone());
        }
    }
    let strange: Vec<StageError> = before.strange.into_iter().chain(after.strange).collect();
    error::strange(&strange, &mut findings);
    error::say(&troubles, &mut findings);
    let Findings { alarms, unreachable, notes, .. } = findings;
    let logs = logs.into_iter().filter_map(|log| log.answer).collect();
    let file = request.state.display().to_string();
    let answer = MonitorAnswer { alarms, unreachable, notes, logs, suites, first: kept.is_none(), state: file };
    Ok((answer, Some(state).filter(|_| kept.is_some() || request.first)))
}

/// Refuses suites that are named, and that there are not and were not.
fn expect_suites(request: &MonitorRequest, archive: &Newest, state: &State) -> Result<(), MonitorError> {
    let was = |codename: &Codename| state.watched.as_ref().is_some_and(|watch| watch.suites.contains_key(codename.as_str()));
    let unknown = request.codenames.iter().find(|codename| !archive.suites.contains(*codename) && !was(codename));
    match unknown.filter(|_| !archive.suites.is_empty()) {
        Some(codename) => {
            let known: Vec<&str> = archive.suites.iter().map(Codename::as_str).collect();
            Err(MonitorError::NoSuite { codename: codename.clone(), known: known.join(", ") })
        }
        None => Ok(()),
    }
}

/// Reads what sites serve: also those where clients came until somebody says that they do not any more.
fn fetch(
    watched: &Watched<'_>,
    archive: &Newest,
    before: Option<&str>,
    troubles: &mut Vec<MonitorError>,
    listener: Listener<'_>,
) -> Vec<sites::Fetched> {
    let mut sites: Vec<Site> = Vec::new();
    for url in [archive.url.as_deref(), before] {
        match (watched.sites)(url) {
            Ok(found) => {
                for site in found {
                    if !sites.iter().any(|known| known.name() == site.name()) {
                        sites.push(site);
                    }
                }
            }
            Err(fault) => troubles.push(fault.into()),
        }
    }
    let mut fetched = Vec::new();
    for (site, codename) in sites.iter().flat_map(|site| archive.codenames.iter().map(move |codename| (site, codename))) {
        listener(Event::Detail(format!("reading dists/{codename}/InRelease of {}", site.name())));
        fetched.push(sites::fetch(site, codename));
    }
    fetched
}

/// Follows every log, and takes over what is remembered of those that are not followed any more.
fn follow_all(
    request: &MonitorRequest,
    readers: &[LogReader],
    releases: &Releases,
    state: &State,
    watch: &Watch,
    findings: &mut Findings,
    listener: Listener<'_>,
) -> Vec<Followed> {
    if readers.is_empty() {
        let text = "no transparency log is followed: ddb.toml names none, or they are off or left out; the rest is looked at".to_owned();
        findings.note(FindingKind::NotConfigured, "ddb.toml", text);
    }
    let mut logs = Vec::new();
    for reader in readers {
        let (kind, name) = (reader.kind(), reader.name());
        let key = log_key(kind, &name);
        listener(Event::Detail(format!("reading the {} at {}", follow::subject(kind, &name), reader.url())));
        let mut known = releases.heads(kind, &name);
        for (file, other) in &request.others {
            let other =
                other.logs.get(&key).map(|log| KnownHead { size: log.size, root: log.root, from: format!("the monitor of {file}") });
            known.extend(other);
        }
        let since = watch.logs.get(&key).copied().unwrap_or(request.now);
        logs.push(follow::follow(reader, state.logs.get(&key), known, since, request, findings));
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
    logs
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
