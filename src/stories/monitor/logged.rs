//! Releases that clients got, against logs: each must have its leaf.
//!
//! A Release was served if its branch says so, or if a site answers with it, whatever the branch says.

use std::collections::{BTreeMap, BTreeSet};

use super::MonitorRequest;
use super::answer::FindingKind;
use super::findings::{Findings, name_of};
use super::follow::{Followed, subject};
use super::newest::Newest;
use super::releases::{KnownRelease, Releases};
use super::state::{Watch, log_key};
use crate::stories::archive::OpenArchive;
use crate::words::archive::{LogKind, LogMode};
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// What served Releases are compared with.
pub(super) struct Logged<'a> {
    pub(super) open: &'a OpenArchive,
    pub(super) request: &'a MonitorRequest,
    pub(super) logs: &'a [Followed],
    pub(super) watch: &'a Watch,
    /// Releases that a site served and that are not marked as served, and since when.
    pub(super) shown: &'a BTreeMap<String, Timestamp>,
}

/// How a Release came to clients.
#[derive(Clone, Copy)]
enum Got {
    /// Its branch says so, since then.
    Marked(Timestamp),
    /// A site served it, since then.
    Shown(Timestamp),
}

impl Logged<'_> {
    /// Looks for Releases of a suite that clients got and that are in no log.
    pub(super) fn compare(&self, codename: &Codename, releases: &Releases, findings: &mut Findings) {
        for (kind, mode) in self.watch.modes.iter().filter(|(_, mode)| **mode != LogMode::Off) {
            let of_kind: Vec<&Followed> = self.logs.iter().filter(|log| log.kind == *kind).collect();
            let leaves = of_kind.iter().flat_map(|log| log.memory.iter().flat_map(|memory| memory.own()));
            let logged: BTreeSet<Sha256> = leaves.filter(|leaf| leaf.fault.is_none()).map(|leaf| leaf.about).collect();
            let mut followed = of_kind.iter().filter(|log| log.answer.is_some()).peekable();
            let complete = followed.peek().is_some() && followed.all(|log| log.complete);
            let newest = releases.of(codename).filter(|release| self.got(release).is_some()).map(|release| release.sequence).max();
            for release in releases.of(codename).filter(|release| !logged.contains(&release.logged_as(*kind))) {
                let Some(got) = self.got(release) else { continue };
                let last = newest == Some(release.sequence);
                if last && self.is_begun(*kind, release) {
                    let text = format!("{} was made before it was to be logged, and has no {kind} proof; the next one has", release.name());
                    findings.note(FindingKind::ProofPending, codename.as_str(), text);
                    continue;
                }
                let mode = self.mode(*kind, *mode, release, last);
                if complete {
                    self.missing(*kind, mode, &of_kind, (release, got), findings);
                } else if let (LogMode::Required, Got::Marked(at)) = (mode, got) {
                    // A log that was not read to its end may have it, which excuses nobody who served it without proof.
                    self.unproven(*kind, release, at, findings);
                }
            }
        }
    }

    fn got(&self, release: &KnownRelease) -> Option<Got> {
        let shown = || self.shown.get(&release.release.to_hex()).copied().map(Got::Shown);
        release.served.map(Got::Marked).or_else(shown)
    }

    /// Tells whether a Release came after watching began: its commit cannot excuse it then.
    fn is_watched(&self, kind: LogKind, release: &KnownRelease) -> bool {
        let begun = self.watch.suites.get(release.codename.as_str()).and_then(|suite| suite.get(&kind));
        begun.is_some_and(|begun| release.sequence > *begun)
    }

    /// Tells whether the log was off when a Release was made, and watching of such logs began a short time ago.
    fn is_begun(&self, kind: LogKind, release: &KnownRelease) -> bool {
        let own = |key: &String| key.starts_with(&format!("{kind} "));
        let begun = self.watch.logs.iter().filter(|(key, _)| own(key)).map(|(_, since)| *since).min();
        let is_recent = begun.is_some_and(|begun| self.request.now <= begun.plus(self.request.limits.pending));
        is_recent && !self.is_watched(kind, release) && self.then(kind, release) == LogMode::Off
    }

    /// Returns what the commit that a Release was made from said of a kind of log.
    fn then(&self, kind: LogKind, release: &KnownRelease) -> LogMode {
        Newest::modes_of(self.open, &release.base).get(&kind).copied().unwrap_or(LogMode::Off)
    }

    /// Returns whether a Release must be in a log of this kind. What the newest commit says counts for the newest; one that was served
    /// before watching began needs what the commit said that it was made from.
    fn mode(&self, kind: LogKind, now: LogMode, release: &KnownRelease, last: bool) -> LogMode {
        if last {
            return now;
        }
        let then = self.then(kind, release);
        if then == LogMode::Off && self.is_watched(kind, release) { now } else { then }
    }

    /// Says that a Release was served without any proof that it is in some log.
    fn unproven(&self, kind: LogKind, release: &KnownRelease, at: Timestamp, findings: &mut Findings) {
        if release.proofs.iter().any(|(proven, _)| *proven == kind) {
            return;
        }
        let text = format!(
            "{} was served (since {}) without {kind} proof, although ddb.toml requires it, and is in no {kind} log as far as they were read",
            release.name(),
            at.iso8601()
        );
        let name = name_of(FindingKind::ServedWithoutLeaf, &[&kind, &release.release]);
        findings.alarm(FindingKind::ServedWithoutLeaf, release.codename.as_str(), name, text);
    }

    /// Says what it means that a Release that clients got is not among the leaves.
    fn missing(&self, kind: LogKind, mode: LogMode, logs: &[&Followed], (release, got): (&KnownRelease, Got), findings: &mut Findings) {
        let (codename, limits) = (release.codename.as_str(), &self.request.limits);
        let of_kind = || release.proven.iter().filter(|proven| proven.kind == kind);
        let holds = |log: &String| release.proofs.contains(&(kind, log.clone()));
        if let Some(proven) = of_kind().find(|proven| holds(&proven.log) && is_read(logs, &proven.log, proven.index)) {
            let (index, log) = (proven.index, subject(kind, &proven.log));
            let text =
                format!("{} was served with a proof that it is leaf {index} of the {log}, which has another leaf there", release.name());
            // Another matter than none at all: a log gave that promise.
            let name = name_of(FindingKind::ServedWithoutLeaf, &[&kind, &release.release, &proven.log]);
            return findings.alarm(FindingKind::ServedWithoutLeaf, codename, name, text);
        }
        let mut alarm = |alarm: FindingKind, text: String| {
            findings.alarm(alarm, codename, name_of(alarm, &[&kind, &release.release]), text);
        };
        // In a log that is not followed any more, or before the first leaf that was read.
        let known = |log: &String| {
            let key = log_key(kind, log);
            !self.is_watched(kind, release) || self.watch.logs.contains_key(&key) || self.watch.past.contains(&key)
        };
        if mode == LogMode::Off || release.proofs.iter().any(|(proven, log)| *proven == kind && known(log)) {
            return;
        }
        let (at, grace, how) = match got {
            Got::Marked(at) => (at, None, "was served"),
            Got::Shown(at) => (at, Some(limits.behind), "is served by a site"),
        };
        let since = at.iso8601();
        if mode == LogMode::Required {
            if grace.is_none_or(|grace| self.request.now > at.plus(grace)) {
                let text = format!("{} {how} (since {since}) and is in no {kind} log, although ddb.toml requires it", release.name());
                alarm(FindingKind::ServedWithoutLeaf, text);
            }
            return;
        }
        let text = format!("{} {how} since {since} without {kind} proof", release.name());
        if self.request.now > at.plus(limits.pending) {
            let text = format!("{text}, for more than {}; `ddb-publish log --pending` gets one for the newest Release", limits.pending);
            alarm(FindingKind::ProofOverdue, text);
        } else if at > self.request.now.plus(limits.pending) {
            // Who may push says when it was served; not when it is overdue.
            alarm(FindingKind::ProofOverdue, format!("{text}; that time is to come yet"));
        } else {
            findings.note(FindingKind::ProofPending, codename, format!("{text}; it should come soon"));
        }
    }
}

/// Tells whether a leaf of a log was among those that were read.
fn is_read(logs: &[&Followed], name: &str, index: u64) -> bool {
    let memory = logs.iter().find(|log| log.name == name).and_then(|log| log.memory.as_ref());
    memory.is_some_and(|memory| (memory.start..memory.size).contains(&index))
}
