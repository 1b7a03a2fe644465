//! New Releases, made again from the commits that they name: who has the keys and may push could stage, log and even mark as served
//! what no commit makes, and everything else about it would be as it should.
//!
//! Contents are left out, so that no package is read. What differs is said until somebody knows of it, what does not is remembered.

use super::MonitorRequest;
use super::answer::FindingKind;
use super::findings::{Findings, name_of};
use super::releases::{KnownRelease, Releases};
use super::state::State;
use crate::stories::archive::OpenArchive;
use crate::stories::event::{Event, Listener};
use crate::stories::rebuild::{Outcome, RebuildRequest, ReleaseId, Verdict, rebuild};
use crate::words::causes::chain;

/// Makes every Release again that was not yet; at a first look the newest of each suite, and the others are believed.
pub(super) fn check(
    open: &OpenArchive,
    releases: &Releases,
    request: &MonitorRequest,
    state: &mut State,
    findings: &mut Findings,
    listener: Listener<'_>,
) {
    let first = state.rebuilt.is_none();
    let mut done = state.rebuilt.take().unwrap_or_default();
    for release in &releases.known {
        let digest = release.release.to_hex();
        if done.contains(&digest) {
            continue;
        }
        // Whoever has no key must not keep a monitor busy; what he left is an alarm of its own.
        if !release.vouched {
            continue;
        }
        if (first && !release.newest) || is_good(open, release, request, findings, listener) {
            done.insert(digest);
        }
    }
    state.rebuilt = Some(done);
}

fn is_good(open: &OpenArchive, release: &KnownRelease, request: &MonitorRequest, findings: &mut Findings, listener: Listener<'_>) -> bool {
    let (codename, number) = (&release.codename, release.sequence);
    listener(Event::Detail(format!("making {} again", release.name())));
    let asked = RebuildRequest {
        release: ReleaseId::Digest(release.release),
        output: None,
        site: None,
        without_contents: true,
        local_objects: false,
        now: request.now,
    };
    let (what, text) = match rebuild(&asked, open, listener) {
        Ok(answer) if answer.verdict == Verdict::Differs => {
            let found = answer.findings.first().map(|found| format!("{}: {}", found.file, found.reason)).unwrap_or_default();
            let count = answer.findings.len();
            let text = format!(
                "{} is not what commit {} makes ({found}; {count} in all): somebody has the keys and published something else, or an older ddb \
                 made it otherwise. `ddb-publish rebuild {codename}@{number}` says more",
                release.name(),
                release.base
            );
            ("differs", text)
        }
        Ok(answer) => {
            let unseen = answer.files.iter().filter(|file| file.outcome == Outcome::PlainSame).count();
            if unseen > 0 {
                let text = format!(
                    "{} was made again, and of {unseen} files by another compressor only the text was compared: `ddb-publish rebuild \
                     {codename}@{number} --site URL` looks at them",
                    release.name()
                );
                findings.note(FindingKind::NotWhole, codename.as_str(), text);
            }
            return true;
        }
        Err(fault) => ("fails", format!("{} cannot be made again from commit {}: {}", release.name(), release.base, chain(&fault))),
    };
    let name = name_of(FindingKind::OtherContent, &[&release.release, &what]);
    findings.alarm(FindingKind::OtherContent, codename.as_str(), name.clone(), text);
    // What is known to somebody is not made once more.
    findings.knows(&name)
}
