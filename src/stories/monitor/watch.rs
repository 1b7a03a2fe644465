//! What was watched before, against what ddb.toml says to watch now.
//!
//! Whoever may push could otherwise end the watch: take a log, a suite or the site out, ask for less, or trust keys and witnesses of
//! their own. Each such change is an alarm until somebody says that it was meant.

use std::collections::{BTreeMap, BTreeSet};

use super::MonitorRequest;
use super::answer::FindingKind;
use super::findings::{Findings, name_of};
use super::newest::Newest;
use super::releases::Releases;
use super::state::{Watch, log_key};
use crate::words::archive::{LogKind, LogMode};
use crate::words::date::Timestamp;
use crate::words::name::Codename;

const FILE: &str = "ddb.toml";

/// Compares what is to be watched now with what was; returns what is to be remembered.
pub(super) fn compare(before: Option<&Watch>, archive: &Newest, releases: &Releases, now: Timestamp, findings: &mut Findings) -> Watch {
    let current = current(before, archive, releases, now);
    let mut watch = current.clone();
    let Some(before) = before else { return watch };
    if !archive.troubles.is_empty() {
        // What cannot be read is said; what was watched is not forgotten for it.
        return before.clone();
    }
    let ended = modes(before, &mut watch, findings);
    logs(before, &ended, &mut watch, findings);
    suites(before, &mut watch, findings);
    trust(before, &ended, &mut watch, findings);
    if before.url.is_some() && before.url != watch.url {
        let (was, is) = (before.url.as_deref().unwrap_or("none"), watch.url.as_deref().unwrap_or("none"));
        let text = format!("archive.url was {was} and is {is}: clients are watched elsewhere, or not at all");
        let name = name_of(FindingKind::WatchEnded, &[&"url", &was, &is]);
        if !findings.change(FindingKind::WatchEnded, FILE, name, text) {
            watch.url.clone_from(&before.url);
        }
    }
    // Logs are followed by what was trusted before, until the change is known.
    let trusted = LogKind::ALL.into_iter().filter_map(|kind| {
        let of = if is_settled(kind, &current, &watch) { &current.trusted } else { &before.trusted };
        Some((kind, of.get(&kind)?.clone()))
    });
    watch.trusted = trusted.collect();
    // What is published while a log is off, and somebody said that it is meant to be, need not be in it.
    let modes = &watch.modes;
    let is_off = |kind: &LogKind| modes.get(kind).is_none_or(|mode| *mode == LogMode::Off);
    watch.suites.values_mut().for_each(|begun| begun.retain(|kind, _| !is_off(kind)));
    watch
}

/// Returns the suites that are looked at: those of ddb.toml, and those that stood there until somebody says that they are gone.
pub(super) fn suites_now(archive: &Newest, watch: &Watch, request: &MonitorRequest) -> Vec<Codename> {
    let before = watch.suites.keys().filter_map(|name| name.parse::<Codename>().ok());
    let before = before.filter(|codename| request.codenames.is_empty() || request.codenames.contains(codename));
    let all: BTreeSet<Codename> = archive.codenames.iter().cloned().chain(before).collect();
    all.into_iter().collect()
}

/// Returns what ddb.toml says to watch.
fn current(before: Option<&Watch>, archive: &Newest, releases: &Releases, now: Timestamp) -> Watch {
    let sigsum = archive.trust.sigsum.iter().flat_map(|(policy, _)| policy.logs());
    let sigsum = sigsum.map(|log| log_key(LogKind::Sigsum, &log.key.hash().to_hex()));
    let sigstore = archive.trust.sigstore.iter().flat_map(|(root, _)| &root.logs);
    let sigstore = sigstore.map(|log| log_key(LogKind::Sigstore, &log.origin));
    let since = |key: &String| before.and_then(|before| before.logs.get(key)).copied().unwrap_or(now);
    let logs: BTreeMap<String, Timestamp> = sigsum.chain(sigstore).map(|key| (key.clone(), since(&key))).collect();
    let past = before.map_or_else(BTreeSet::new, |before| before.past.iter().chain(before.logs.keys()).cloned().collect());
    let mut suites = BTreeMap::new();
    for codename in &archive.suites {
        let newest = releases.of(codename).map(|release| release.sequence).max().unwrap_or_default();
        let known = before.and_then(|before| before.suites.get(codename.as_str()));
        let kinds = archive.modes.iter().filter(|(_, mode)| **mode != LogMode::Off).map(|(kind, _)| *kind);
        let mut begun = known.cloned().unwrap_or_default();
        // Of a suite that is new since the last look every Release is seen.
        let first = if before.is_some() && known.is_none() { 0 } else { newest };
        for kind in kinds {
            begun.entry(kind).or_insert(first);
        }
        suites.insert(codename.to_string(), begun);
    }
    let (modes, trust, trusted) = (archive.modes.clone(), archive.digests.clone(), archive.texts.clone());
    Watch { logs, past, modes, suites, url: archive.url.clone(), trust, trusted }
}

/// Returns the kinds of logs that are off now.
fn modes(before: &Watch, watch: &mut Watch, findings: &mut Findings) -> BTreeSet<LogKind> {
    let mut ended = BTreeSet::new();
    for (kind, was) in &before.modes {
        let is = watch.modes.get(kind).copied().unwrap_or(LogMode::Off);
        if is == LogMode::Off {
            ended.insert(*kind);
        }
        // From required over best effort to off.
        let rank = |mode: LogMode| [LogMode::Off, LogMode::BestEffort, LogMode::Required].iter().position(|known| *known == mode);
        if rank(is) >= rank(*was) {
            continue;
        }
        let said = |mode: LogMode| match mode {
            LogMode::Required => "required",
            LogMode::BestEffort => "best effort",
            LogMode::Off => "off",
        };
        let text = format!("the {kind} log was {} and is {}", said(*was), said(is));
        let name = name_of(FindingKind::WatchEnded, &[kind, &said(*was), &said(is)]);
        if !findings.change(FindingKind::WatchEnded, FILE, name, text) {
            watch.modes.insert(*kind, *was);
            ended.remove(kind);
            if is == LogMode::Off {
                // Said once: what belongs to it is not forgotten.
                let own = |key: &String| key.starts_with(&format!("{kind} "));
                watch.logs.extend(before.logs.iter().filter(|(key, _)| own(key)).map(|(key, since)| (key.clone(), *since)));
                watch.trust.extend(before.trust.iter().filter(|(key, _)| own(key)).map(|(key, value)| (key.clone(), value.clone())));
            }
        }
    }
    ended
}

/// Tells whether nothing that ddb.toml says of a kind of log waits for somebody to know of it.
fn is_settled(kind: LogKind, current: &Watch, watch: &Watch) -> bool {
    let is_off = |watch: &Watch| watch.modes.get(&kind).is_none_or(|mode| *mode == LogMode::Off);
    let is_own = |key: &&String| key.starts_with(&format!("{kind} "));
    let logs = |watch: &Watch| watch.logs.keys().filter(is_own).cloned().collect::<Vec<_>>();
    let trust = |watch: &Watch| watch.trust.clone().into_iter().filter(|(what, _)| is_own(&what)).collect::<Vec<_>>();
    is_off(current) == is_off(watch) && logs(current) == logs(watch) && trust(current) == trust(watch)
}

fn belongs(ended: &BTreeSet<LogKind>, key: &str) -> bool {
    ended.iter().any(|kind| key.starts_with(&format!("{kind} ")))
}

fn logs(before: &Watch, ended: &BTreeSet<LogKind>, watch: &mut Watch, findings: &mut Findings) {
    for (key, since) in &before.logs {
        if watch.logs.contains_key(key) || belongs(ended, key) {
            continue;
        }
        let text = format!("the log {key} is not trusted any more; it is followed until somebody knows of that");
        let name = name_of(FindingKind::WatchEnded, &[&"log", key, &since.iso8601()]);
        if !findings.change(FindingKind::WatchEnded, FILE, name, text) {
            watch.logs.insert(key.clone(), *since);
        }
    }
}

fn suites(before: &Watch, watch: &mut Watch, findings: &mut Findings) {
    for (codename, begun) in &before.suites {
        if watch.suites.contains_key(codename) {
            continue;
        }
        let text = format!("there is no suite {codename} any more: what clients get of it is not looked at");
        let name = name_of(FindingKind::WatchEnded, &[&"suite", codename]);
        if !findings.change(FindingKind::WatchEnded, FILE, name, text) {
            watch.suites.insert(codename.clone(), begun.clone());
        }
    }
}

fn trust(before: &Watch, ended: &BTreeSet<LogKind>, watch: &mut Watch, findings: &mut Findings) {
    for (what, was) in &before.trust {
        let is = watch.trust.get(what).cloned();
        if is.as_ref() == Some(was) || belongs(ended, what) {
            continue;
        }
        let said = is.as_deref().unwrap_or("none");
        let text = format!("the {what} was {was} and is {said}: see who changed that, and what for");
        let name = name_of(FindingKind::TrustChanged, &[what, was, &said]);
        if !findings.change(FindingKind::TrustChanged, FILE, name, text) {
            watch.trust.insert(what.clone(), was.clone());
        }
    }
}
