//! Every Release that was ever staged, as the branches `ddb/releases/*` tell, and the trees of logs that their proofs name.

use std::collections::{BTreeMap, BTreeSet};

use super::MonitorError;
use super::follow::KnownHead;
use super::proofs::{Judge, Proven, Verdict};
use super::state::Reached;
use crate::formats::sigsum::leaf::checksum;
use crate::places::git::read::Snapshot;
use crate::places::git::{Oid, Repository};
use crate::stories::publish::stage::{Inputs, Served, StageError};
use crate::stories::served::history::BRANCHES;
use crate::words::archive::LogKind;
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// A Release that was staged.
#[derive(Debug, Clone)]
pub(super) struct KnownRelease {
    pub(super) codename: Codename,
    pub(super) sequence: u64,
    /// SHA-256 of its bytes.
    pub(super) release: Sha256,
    /// What Sigsum's leaves hold of it.
    pub(super) checksum: Sha256,
    /// The commit whose records and configuration were folded.
    pub(super) base: String,
    /// The newest commit of the branch that holds it.
    pub(super) commit: Oid,
    /// All of them, newest first.
    pub(super) commits: Vec<Oid>,
    /// Whether a key of the archive vouches for it, as far as anybody asked.
    pub(super) vouched: bool,
    /// How many commits of the branch came after the oldest of them.
    place: usize,
    /// When clients got it first.
    pub(super) served: Option<Timestamp>,
    /// Whether no other was staged after it.
    pub(super) newest: bool,
    /// Where its proofs say that it is logged, as far as logs signed that which are trusted now.
    pub(super) proven: Vec<Proven>,
    /// The logs, by kind and name, of which it has a proof that holds.
    pub(super) proofs: BTreeSet<(LogKind, String)>,
    /// Proofs that do not hold: of what kind of log, the proof's SHA-256, why.
    pub(super) bad: Vec<(LogKind, Sha256, String)>,
}

/// All Releases of all suites, in the order in which they were staged.
#[derive(Debug, Default)]
pub(super) struct Releases {
    pub(super) known: Vec<KnownRelease>,
    /// What is on the branches and is not as ddb leaves it. It stays there for ever.
    pub(super) strange: Vec<StageError>,
    /// What could not be read.
    pub(super) troubles: Vec<MonitorError>,
}

impl KnownRelease {
    /// Returns what leaves of a kind of log hold of it.
    pub(super) fn logged_as(&self, kind: LogKind) -> Sha256 {
        match kind {
            LogKind::Sigsum => self.checksum,
            LogKind::Sigstore => self.release,
        }
    }

    fn take(&mut self, kind: LogKind, verdict: Verdict, proof: Sha256) {
        for proven in verdict.proven {
            if !self.proven.contains(&proven) {
                self.proven.push(proven);
            }
        }
        self.proofs.extend(verdict.logs.into_iter().map(|log| (kind, log)));
        if let Some(fault) = verdict.fault.filter(|_| !self.bad.iter().any(|(_, known, _)| *known == proof)) {
            self.bad.push((kind, proof, fault));
        }
    }

    /// Returns how messages name it.
    pub(super) fn name(&self) -> String {
        format!("Release {} of {}", self.sequence, self.codename)
    }
}

impl Releases {
    /// Reads the branches at these commits, as far as they can be read.
    pub(super) fn read(repository: &Repository, tips: &BTreeMap<String, Oid>, judge: &mut Judge<'_>) -> Self {
        let mut releases = Self::default();
        for (name, tip) in tips {
            let Some(codename) = name.strip_prefix(BRANCHES).and_then(|name| name.parse::<Codename>().ok()) else { continue };
            let mut own = BTreeMap::new();
            if let Err(fault) = releases.branch(repository, &codename, *tip, judge, &mut own) {
                releases.troubles.push(fault);
            }
            let mut own: Vec<KnownRelease> = own.into_values().collect();
            own.sort_by_key(|release| std::cmp::Reverse(release.place));
            if let Some(newest) = own.last_mut() {
                newest.newest = true;
            }
            releases.known.append(&mut own);
        }
        releases
    }

    fn branch(
        &mut self,
        repository: &Repository,
        codename: &Codename,
        tip: Oid,
        judge: &mut Judge<'_>,
        found: &mut BTreeMap<Sha256, KnownRelease>,
    ) -> Result<(), MonitorError> {
        let (mut above, mut lacks, mut place) = (None::<(Sha256, u64)>, false, 0);
        // Also behind a merge, which ddb never makes of Releases.
        for commit in commits(repository, tip)? {
            let parents = repository.named_parents(commit)?;
            let snapshot = repository.snapshot(commit)?;
            let Some(bytes) = snapshot.file("Release")? else {
                // The branch begins with a commit that holds nothing. Another one may hide those before it; it is said once.
                if !parents.is_empty() && !lacks {
                    let (branch, fault) =
                        (format!("{BRANCHES}{codename}"), "it is not there, and every commit but the first has it".to_owned());
                    self.strange.push(StageError::Content { path: "Release", commit, branch, fault });
                    lacks = true;
                }
                continue;
            };
            let (inputs, served) = match of_commit(&snapshot, codename) {
                Ok(read) => read,
                Err(StageError::Git(fault)) => return Err(fault.into()),
                Err(fault) => {
                    // Those before it may be good.
                    self.strange.push(fault);
                    continue;
                }
            };
            let release = Sha256::of(&bytes);
            // Numbers tell which Releases came after watching began.
            if let Some((_, number)) = above.filter(|(other, number)| *other != release && *number <= inputs.sequence) {
                let fault = format!("Release {} comes before Release {number} on the branch: numbers only grow", inputs.sequence);
                let branch = format!("{BRANCHES}{codename}");
                self.strange.push(StageError::Content { path: "inputs.json", commit, branch, fault });
            }
            above = Some((release, inputs.sequence));
            let known = found.entry(release).or_insert_with(|| KnownRelease {
                codename: codename.clone(),
                sequence: inputs.sequence,
                release,
                checksum: checksum(&release),
                base: inputs.base.clone(),
                commit,
                commits: Vec::new(),
                vouched: true,
                place: 0,
                served: None,
                newest: false,
                proven: Vec::new(),
                proofs: BTreeSet::new(),
                bad: Vec::new(),
            });
            if (&known.base, known.sequence) != (&inputs.base, inputs.sequence) {
                // Who stages something of a commit of his own could say another afterwards; a higher number hides that others are newer.
                let (base, number, later) = (&inputs.base, inputs.sequence, (&known.base, known.sequence));
                let fault = if later.0 == base {
                    format!("it says that this is Release {number}, and a later commit says {}", later.1)
                } else {
                    format!("it says that the Release was made from {base}, and a later commit says {}", later.0)
                };
                let branch = format!("{BRANCHES}{codename}");
                self.strange.push(StageError::Content { path: "inputs.json", commit, branch, fault });
                (known.base, known.sequence) = (inputs.base, inputs.sequence);
            }
            known.commits.push(commit);
            // One that is there twice came when it came first.
            (known.place, place) = (place, place + 1);
            // The branch is walked from its end: an earlier commit knows best when it was served first.
            known.served = served.map(|served| served.at).or(known.served);
            for kind in LogKind::ALL {
                if let Some(proof) = snapshot.file(kind.file())? {
                    known.take(kind, judge.verdict(kind, &bytes, &known.base, &proof), Sha256::of(&proof));
                }
            }
        }
        Ok(())
    }

    /// Returns the trees of a log that publishers were shown.
    pub(super) fn heads(&self, kind: LogKind, name: &str) -> Vec<KnownHead> {
        let mut heads = Vec::new();
        for release in &self.known {
            for Proven { size, root, .. } in release.proven.iter().filter(|proven| proven.kind == kind && proven.log == name) {
                heads.push(KnownHead { size: *size, root: *root, from: format!("the proof of {}", release.name()) });
            }
        }
        heads
    }

    /// Returns the Release of these bytes, of whatever suite.
    pub(super) fn find(&self, release: &Sha256) -> Option<&KnownRelease> {
        self.known.iter().find(|known| known.release == *release)
    }

    /// Returns the Releases of a suite that were staged after one. Older monitors remembered its number alone.
    pub(super) fn since(&self, codename: &Codename, last: &Reached) -> Vec<&KnownRelease> {
        let all: Vec<&KnownRelease> = self.of(codename).collect();
        match last.release.map(|release| all.iter().position(|known| known.release == release)) {
            Some(Some(at)) => all.into_iter().skip(at + 1).collect(),
            // It is not on the branch any more, which may hold anything else now.
            Some(None) => all,
            None => all.into_iter().filter(|release| release.sequence > last.sequence).collect(),
        }
    }

    /// Returns the Releases of a suite, in the order in which they were staged.
    pub(super) fn of<'a>(&'a self, codename: &Codename) -> impl DoubleEndedIterator<Item = &'a KnownRelease> {
        self.known.iter().filter(move |known| known.codename == *codename)
    }
}

/// Returns the commits of a branch, each before those that it stands on: all to which its parents lead, but for what Releases were made of.
fn commits(repository: &Repository, tip: Oid) -> Result<Vec<Oid>, MonitorError> {
    let (mut next, mut own) = (vec![tip], BTreeSet::new());
    while let Some(commit) = next.pop() {
        if !own.insert(commit) {
            continue;
        }
        let mut parents = repository.named_parents(commit)?;
        // A staged commit stands on the one before it, and beside it on its base.
        let inputs = if parents.len() > 1 { repository.snapshot(commit)?.file("inputs.json")? } else { None };
        let base = inputs.and_then(|bytes| serde_json::from_slice::<Inputs>(&bytes).ok()).map(|inputs| inputs.base);
        if parents.get(1).map(ToString::to_string) == base {
            parents.truncate(1);
        }
        next.extend(parents);
    }
    Ok(repository.newest_first(tip)?.into_iter().filter(|commit| own.contains(commit)).collect())
}

/// Reads what a commit says of its Release.
fn of_commit(snapshot: &Snapshot<'_>, codename: &Codename) -> Result<(Inputs, Option<Served>), StageError> {
    let wrong =
        |path, fault: String| StageError::Content { path, commit: snapshot.commit(), branch: format!("{BRANCHES}{codename}"), fault };
    let inputs = snapshot.file("inputs.json")?.unwrap_or_default();
    let inputs = serde_json::from_slice(&inputs).map_err(|fault| wrong("inputs.json", fault.to_string()))?;
    let served = snapshot.file("served.json")?.map(|bytes| serde_json::from_slice(&bytes)).transpose();
    Ok((inputs, served.map_err(|fault| wrong("served.json", fault.to_string()))?))
}
