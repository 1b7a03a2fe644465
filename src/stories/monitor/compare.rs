//! Leaves against Releases: what was logged with our keys must have been staged, and what was served must be logged.

use std::collections::{BTreeMap, BTreeSet};

use super::MonitorRequest;
use super::answer::{FindingKind, Findings};
use super::follow::{Followed, subject};
use super::releases::{KnownRelease, Releases};
use super::state::KeptLeaf;
use crate::words::archive::{LogKind, LogMode};
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// Whether logs must have the Releases of a commit, by its configuration.
pub(super) type Modes<'a> = &'a dyn Fn(&str) -> BTreeMap<LogKind, LogMode>;

/// Looks for leaves with our keys that are about nothing that was ever staged.
pub(super) fn leaves(logs: &[Followed], releases: &Releases, acknowledged: &BTreeSet<String>, findings: &mut Findings) {
    for log in logs {
        let by_leaf: BTreeMap<Sha256, &KnownRelease> =
            releases.known.iter().map(|release| (release.logged_as(log.kind), release)).collect();
        let about = subject(log.kind, &log.name);
        for leaf in log.memory.iter().flat_map(|memory| &memory.leaves) {
            let known = acknowledged.contains(&leaf.about.to_hex());
            match (&leaf.fault, by_leaf.get(&leaf.about)) {
                (Some(_), _) | (None, None) if known => {
                    if leaf.index >= log.from {
                        findings.note(
                            FindingKind::Acknowledged,
                            &about,
                            format!("leaf {} is known to somebody ({})", leaf.index, leaf.about),
                        );
                    }
                }
                (Some(fault), _) => findings.alarm(FindingKind::ForgedLeaf, &about, forged(leaf, fault)),
                (None, None) => findings.alarm(FindingKind::UnknownReleaseLogged, &about, unknown(log.kind, leaf)),
                (None, Some(release)) if leaf.index >= log.from => of_known(&about, leaf, release, findings),
                (None, Some(_)) => {}
            }
        }
    }
}

fn forged(leaf: &KeptLeaf, fault: &str) -> String {
    let KeptLeaf { index, about, .. } = leaf;
    format!("leaf {index} ({about}) has our key: {fault}. Once that is understood, say --acknowledge {about}")
}

fn unknown(kind: LogKind, leaf: &KeptLeaf) -> String {
    let KeptLeaf { index, about, .. } = leaf;
    let what = match kind {
        LogKind::Sigsum => "the checksum",
        LogKind::Sigstore => "the SHA-256",
    };
    format!(
        "leaf {index} is signed with our key and about a Release with {what} {about}, which is on no branch ddb/releases/*: somebody else has \
         the key, or history was rewritten. Withdraw the key, and find out who was given that Release. Once that is done, say --acknowledge \
         {about}"
    )
}

fn of_known(about: &str, leaf: &KeptLeaf, release: &KnownRelease, findings: &mut Findings) {
    let (index, name) = (leaf.index, release.name());
    match (release.served, release.newest) {
        (Some(_), _) => {}
        (None, true) => {
            findings.note(FindingKind::NotServedYet, about, format!("leaf {index} is {name}, which is staged and not served yet"))
        }
        (None, false) => {
            let text = format!("leaf {index} is {name}, which was overtaken before it was served; that is normal");
            findings.note(FindingKind::LostRace, about, text);
        }
    }
}

/// Looks for Releases of a suite that were served and are in no log.
pub(super) fn served(
    codename: &Codename,
    logs: &[Followed],
    releases: &Releases,
    modes: (&BTreeMap<LogKind, LogMode>, Modes<'_>),
    acknowledged: &BTreeSet<String>,
    request: &MonitorRequest,
    findings: &mut Findings,
) {
    let (now, then) = modes;
    let newest = releases.of(codename).rev().find(|release| release.served.is_some()).map(|release| release.sequence);
    for (kind, mode) in now.iter().filter(|(_, mode)| **mode != LogMode::Off) {
        let of_kind: Vec<&Followed> = logs.iter().filter(|log| log.kind == *kind).collect();
        let logged: BTreeSet<Sha256> = of_kind
            .iter()
            .flat_map(|log| log.memory.iter().flat_map(|memory| &memory.leaves))
            .filter(|leaf| leaf.fault.is_none())
            .map(|leaf| leaf.about)
            .collect();
        // A log that was not read to its end may have it: that it was not is said.
        let mut followed = of_kind.iter().filter(|log| log.answer.is_some()).peekable();
        let all_read = followed.peek().is_some() && followed.all(|log| log.complete);
        for release in releases.of(codename).filter(|release| all_read && !logged.contains(&release.logged_as(*kind))) {
            let Some(at) = release.served.filter(|_| !acknowledged.contains(&release.release.to_hex())) else { continue };
            let proofs: Vec<_> = release.proven.iter().filter(|proven| proven.kind == *kind).collect();
            if let Some(proven) = proofs.iter().find(|proven| is_read(&of_kind, &proven.log, proven.index)) {
                let text = format!(
                    "{} was served with a proof that it is leaf {} of the {}, which has another leaf there. Where that is known, say \
                     --acknowledge {}",
                    release.name(),
                    proven.index,
                    subject(*kind, &proven.log),
                    release.release
                );
                findings.alarm(FindingKind::ServedWithoutLeaf, codename.as_str(), text);
                continue;
            }
            let is_newest = newest == Some(release.sequence);
            if !proofs.is_empty() || (!is_newest && release.proofs.contains(kind)) {
                // In a log that is not followed any more, or before the first leaf that was read; the proof was checked when it was kept.
                continue;
            }
            let required = |modes: &BTreeMap<LogKind, LogMode>| modes.get(kind) == Some(&LogMode::Required);
            if (is_newest && required(now)) || (!is_newest && *mode == LogMode::Required && required(&then(&release.base))) {
                let text = format!("{} was served and is in no {kind} log, although ddb.toml requires it", release.name());
                findings.alarm(FindingKind::ServedWithoutLeaf, codename.as_str(), text);
            } else if is_newest {
                let since = format!("{} was served on {} without {kind} proof", release.name(), at.iso8601());
                if request.now > at.plus(request.limits.pending) {
                    let text = format!("{since}, more than {} ago; `ddb-publish log --pending` gets one", request.limits.pending);
                    findings.alarm(FindingKind::ProofOverdue, codename.as_str(), text);
                } else {
                    findings.note(FindingKind::ProofPending, codename.as_str(), format!("{since}; it should come soon"));
                }
            }
        }
    }
}

/// Tells whether a leaf of a log was among those that were read.
fn is_read(logs: &[&Followed], name: &str, index: u64) -> bool {
    let memory = logs.iter().find(|log| log.name == name).and_then(|log| log.memory.as_ref());
    memory.is_some_and(|memory| (memory.start..memory.size).contains(&index))
}
