//! Leaves and proofs against Releases: what was logged with our keys must have been staged, and every kept proof must hold.

use std::collections::BTreeMap;

use super::answer::FindingKind;
use super::findings::{Findings, name_of};
use super::follow::{Followed, subject};
use super::releases::{KnownRelease, Releases};
use super::state::KeptLeaf;
use crate::words::archive::LogKind;
use crate::words::digest::Sha256;

/// Looks for leaves with our keys that are about nothing that was ever staged.
pub(super) fn leaves(logs: &[Followed], releases: &Releases, findings: &mut Findings) {
    for log in logs {
        let by_leaf: BTreeMap<Sha256, &KnownRelease> =
            releases.known.iter().map(|release| (release.logged_as(log.kind), release)).collect();
        let about = subject(log.kind, &log.name);
        for leaf in log.memory.iter().flat_map(|memory| memory.own()) {
            let new = leaf.index >= log.from;
            let (kind, text) = match (&leaf.fault, by_leaf.get(&leaf.about)) {
                (Some(fault), _) => (FindingKind::ForgedLeaf, forged(leaf, fault)),
                (None, None) => (FindingKind::UnknownReleaseLogged, unknown(log.kind, leaf)),
                (None, Some(release)) => {
                    if new {
                        of_known(&about, leaf, release, findings);
                    }
                    continue;
                }
            };
            let name = name_of(kind, &[&log.kind, &leaf.about]);
            if new && findings.knows(&name) {
                findings.note(FindingKind::Acknowledged, &about, format!("leaf {} is known to somebody ({})", leaf.index, leaf.about));
            }
            findings.alarm(kind, &about, name, text);
        }
    }
}

fn forged(leaf: &KeptLeaf, fault: &str) -> String {
    let KeptLeaf { index, about, .. } = leaf;
    format!("leaf {index} ({about}) has our key: {fault}")
}

fn unknown(kind: LogKind, leaf: &KeptLeaf) -> String {
    let KeptLeaf { index, about, .. } = leaf;
    let what = match kind {
        LogKind::Sigsum => "the checksum",
        LogKind::Sigstore => "the SHA-256",
    };
    format!(
        "leaf {index} is signed with our key and about a Release with {what} {about}, which is on no branch ddb/releases/*: somebody else has \
         the key, or history was rewritten. Withdraw the key, and find out who was given that Release"
    )
}

fn of_known(about: &str, leaf: &KeptLeaf, release: &KnownRelease, findings: &mut Findings) {
    let (index, name, suite, number) = (leaf.index, release.name(), &release.codename, release.sequence);
    match (release.served, release.newest) {
        (Some(_), _) => {}
        (None, true) => {
            findings.note(FindingKind::NotServedYet, about, format!("leaf {index} is {name}, which is staged and not served yet"))
        }
        (None, false) => {
            let text = format!(
                "leaf {index} is {name}, which was overtaken before it was served; that is normal, if it is what its commit makes: `ddb-publish rebuild {suite}@{number}` tells"
            );
            findings.note(FindingKind::LostRace, about, text);
        }
    }
}

/// Says which kept proofs do not hold.
pub(super) fn proofs(releases: &Releases, findings: &mut Findings) {
    for release in &releases.known {
        for (kind, proof, fault) in &release.bad {
            let text = format!(
                "the {kind} proof beside {} on its branch does not hold: {fault}. Nobody's publisher leaves such a proof: see who pushed it",
                release.name()
            );
            let name = name_of(FindingKind::BadProof, &[&release.release, proof]);
            findings.alarm(FindingKind::BadProof, release.codename.as_str(), name, text);
        }
    }
}
