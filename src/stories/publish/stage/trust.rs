//! What a branch of Releases holds that counts: what a key of the archive signed, at the place for which it was signed.
//!
//! Who may push to the branch may leave anything there. It is passed over: the newest commit that a key vouches for is what the next
//! publish follows, and what was left after it neither stops that publish nor becomes a part of it.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};

use super::recorded::{SHEETS, files, folded};
use super::vouched::{VOUCHED, WITH_SHEETS, text};
use super::{INPUTS, Inputs, SERVED, SIGNATURES, Served, Signatures, StageError, Staged, before, branch, is_first, read, readable};
use crate::formats::artifact::clearsign;
use crate::formats::release::Release;
use crate::places::git::read::Snapshot;
use crate::places::git::{GitError, Oid, Repository};
use crate::places::sign::{PublicCertificate, clear_signed, signed, vouches};
use crate::stories::archive::OpenArchive;
use crate::stories::fold::Last;
use crate::words::archive::LogKind;
use crate::words::date::{Span, Timestamp};
use crate::words::name::Codename;

/// How far the clocks of two publishers may be apart: what one of them has just signed is nothing of the future to the other.
const CLOCKS: u32 = 24 * 3600;

/// How many bytes the signatures of a Release have at most, with the proofs of logs that are stapled to them.
const SIGNATURE: usize = 64 << 10;

/// The highest number of a Release that is followed although no key vouches for it.
const HIGHEST: u64 = 999_999;

/// Who may vouch for what branches of Releases hold: all certificates that clients trust by the newest commit of the archive.
pub struct Trust<'a> {
    repository: &'a Repository,
    certificates: Vec<PublicCertificate>,
    now: Timestamp,
    /// Commits that stand where they were staged, or not.
    places: RefCell<HashMap<Oid, bool>>,
}

/// A branch of Releases, as far as it counts.
#[derive(Debug)]
pub struct Branch {
    /// The newest commit, whatever it is.
    pub tip: Option<Oid>,
    /// The newest Release that a key vouches for. Where there is none (older programs signed nothing, or the key is not trusted any
    /// more), the newest one that could be one.
    pub last: Option<Staged>,
    /// Whether a key vouches for it.
    pub vouched: bool,
    /// Whether a shallow clone ends before all was seen that may be newer.
    pub is_cut: bool,
}

/// The last served Release of a suite.
pub enum LastServed {
    /// There is none.
    Nothing,
    /// A commit that no key vouches for may hide it.
    Unknown,
    /// It is this one, and a key vouches for it and for all that was staged since.
    Release(Box<Staged>),
}

/// What a fold may start from.
pub enum Start {
    /// Nothing: there was no Release, or nothing was recorded with it that can be read.
    Nothing,
    /// What the archive signed.
    Vouched(Last),
    /// What anybody may have left there. Where it cuts indices into blocks and how well it compresses them is no harm, so that the same
    /// records give the same bytes; all else is taken off.
    Cuts(Last),
}

impl Branch {
    /// Returns a branch of which this Release, which a key vouches for, is the newest commit.
    pub fn at(last: Staged) -> Self {
        Self { tip: Some(last.commit), last: Some(last), vouched: true, is_cut: false }
    }

    /// Tells whether a key vouches for the newest commit, so that nothing was passed over.
    pub fn is_whole(&self) -> bool {
        self.vouched && self.tip == self.last.as_ref().map(|last| last.commit)
    }

    /// Tells whether there is a newest commit, for which no key vouches.
    pub fn ends_unvouched(&self) -> bool {
        self.tip.is_some() && !self.is_whole()
    }

    /// Returns the Release that a key vouches for, and those before it that it says to follow, newest first.
    ///
    /// # Errors
    /// Git cannot be read.
    pub fn chain(self, repository: &Repository, codename: &Codename) -> Result<Vec<Staged>, StageError> {
        let mut chain: Vec<Staged> = self.last.filter(|_| self.vouched).into_iter().collect();
        while let Some(last) = chain.last().filter(|last| last.inputs.follows.is_some()) {
            match before(repository, codename, last)? {
                Some(earlier) => chain.push(earlier),
                None => break,
            }
        }
        Ok(chain)
    }

    /// Returns the number of the next Release.
    pub fn next_number(&self) -> u64 {
        self.last.as_ref().map_or(1, |last| last.inputs.sequence.saturating_add(1))
    }

    /// Returns what a fold may start from that follows this branch, or makes its last Release again.
    ///
    /// # Errors
    /// Git cannot be read.
    pub fn start(&self, repository: &Repository, codename: &Codename) -> Result<Start, StageError> {
        let Some(staged) = &self.last else { return Ok(Start::Nothing) };
        let Some(last) = readable(folded(repository, codename, staged))?.flatten() else { return Ok(Start::Nothing) };
        Ok(if self.vouched { Start::Vouched(last) } else { Start::Cuts(last.cuts()) })
    }
}

impl Start {
    /// Returns what the archive signed, if it did.
    pub fn vouched(self) -> Option<Last> {
        match self {
            Self::Vouched(last) => Some(last),
            Self::Nothing | Self::Cuts(_) => None,
        }
    }
}

impl<'a> Trust<'a> {
    /// Trusts whom the newest commit of the archive trusts: nobody, where that does not say.
    pub fn of(open: &'a OpenArchive, now: Timestamp) -> Self {
        let certificates = open.tip().ok().map(|tip| trusted_by(open, &tip)).unwrap_or_default();
        Self { repository: &open.repository, certificates, now, places: RefCell::default() }
    }

    /// The same, in a repository that was opened anew.
    pub fn within<'b>(&self, repository: &'b Repository) -> Trust<'b> {
        Trust { repository, certificates: self.certificates.clone(), now: self.now, places: RefCell::default() }
    }

    /// Returns a branch of Releases, as far as it counts.
    ///
    /// From what no key vouches for it is looked further along all parents, since a merge may hide what stands behind it. Of several
    /// Releases found the one with the highest number, which is signed, is the newest.
    ///
    /// # Errors
    /// Git cannot be read.
    pub fn branch(&self, codename: &Codename) -> Result<Branch, StageError> {
        self.branch_at(codename, self.repository.tip(&branch(codename))?)
    }

    /// The same, of a branch that is at this commit.
    ///
    /// # Errors
    /// Git cannot be read.
    pub fn branch_at(&self, codename: &Codename, tip: Option<Oid>) -> Result<Branch, StageError> {
        let (mut next, mut seen, mut others) = (VecDeque::from_iter(tip), HashSet::new(), Vec::new());
        let (mut best, mut is_cut): (Option<Staged>, bool) = (None, false);
        while let Some(commit) = next.pop_front() {
            if !seen.insert(commit) {
                continue;
            }
            if !self.repository.has_commit(commit) && self.repository.is_shallow() {
                is_cut = true;
                continue;
            }
            if let Some(found) = self.read(codename, commit)? {
                if best.as_ref().is_none_or(|best| best.inputs.sequence < found.inputs.sequence) {
                    best = Some(found);
                }
                continue;
            }
            others.push(commit);
            next.extend(self.repository.named_parents(commit)?);
        }
        let vouched = best.is_some();
        let last = if vouched { best } else { self.likely(codename, &others)? };
        Ok(Branch { tip, last, vouched, is_cut })
    }

    /// Returns the newest of these commits that could hold a Release although no key vouches for it; best one that a key signed for
    /// clients.
    fn likely(&self, codename: &Codename, commits: &[Oid]) -> Result<Option<Staged>, StageError> {
        let mut other = None;
        for commit in commits {
            match self.possible(codename, *commit, other.is_some())? {
                Some((staged, true)) => return Ok(Some(staged)),
                Some((staged, false)) if other.is_none() => other = Some(staged),
                _ => {}
            }
        }
        Ok(other)
    }

    /// Returns the Release at a commit of the branch; `None` where no key vouches for it, or not here, or the commit is otherwise than
    /// ddb leaves it.
    ///
    /// # Errors
    /// Git cannot be read.
    pub fn read(&self, codename: &Codename, commit: Oid) -> Result<Option<Staged>, StageError> {
        let snapshot = self.repository.snapshot(commit)?;
        let kept = SIGNATURES.into_iter().chain([VOUCHED, SERVED]).chain(LogKind::ALL.map(LogKind::file));
        let files: Vec<&str> = WITH_SHEETS.into_iter().chain(kept).collect();
        if !snapshot.holds_only(&files, &[SHEETS]) || !self.is_where_it_was_staged(commit)? || !self.vouches(codename, &snapshot)? {
            return Ok(None);
        }
        // Beside what is signed there may be anything.
        let Some(staged) = readable(read(self.repository, codename, commit))? else { return Ok(None) };
        let counts = match &staged.signatures {
            Some(own) => self.has_signed(&staged, own),
            None => SIGNATURES.into_iter().all(|file| matches!(snapshot.oid_of(file), Ok(None))),
        };
        Ok(Some(staged).filter(|staged| counts && staged.base(codename).is_ok()))
    }

    /// Returns the last served Release of a suite, if a key vouches for it and for all that was staged since.
    ///
    /// # Errors
    /// Git cannot be read.
    pub fn served(&self, codename: &Codename) -> Result<LastServed, StageError> {
        let Some(tip) = self.repository.tip(&branch(codename))? else { return Ok(LastServed::Nothing) };
        let Some(mut staged) = self.read(codename, tip)? else { return Ok(LastServed::Unknown) };
        while staged.signatures.is_none() {
            staged = match (before(self.repository, codename, &staged)?, &staged.inputs.follows) {
                // What it follows was vouched for when it was staged.
                (Some(earlier), Some(_)) => earlier,
                (None, None) if is_first(self.repository, &staged)? => return Ok(LastServed::Nothing),
                _ => return Ok(LastServed::Unknown),
            };
        }
        Ok(LastServed::Release(Box::new(staged)))
    }

    /// Returns the Release of an InRelease, if a key signed it.
    pub fn release_of(&self, in_release: &[u8]) -> Option<Release> {
        let payload = clearsign::split(in_release).ok()?.payload;
        let release = Release::parse(payload.as_bytes()).ok()?;
        clear_signed(in_release, &self.certificates, self.now.max(release.date)).then_some(release)
    }

    /// Tells whether a key signed what a commit of the branch records.
    fn vouches(&self, codename: &Codename, snapshot: &Snapshot<'_>) -> Result<bool, StageError> {
        let Some(signature) = snapshot.file(VOUCHED)? else { return Ok(false) };
        let files = match files(self.repository, snapshot.commit(), &WITH_SHEETS) {
            // A name that is no text, or something that is no file.
            Err(GitError::Content { .. }) => return Ok(false),
            files => files?,
        };
        let Some(text) = text(codename, files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()))) else { return Ok(false) };
        let Some(inputs) = files.get(INPUTS).and_then(|bytes| serde_json::from_slice::<Inputs>(bytes).ok()) else { return Ok(false) };
        Ok(vouches(text.as_bytes(), &signature, &self.certificates, self.now.max(inputs.date)))
    }

    /// Tells whether a key signed a Release, for whom it is not from the future, and nothing much stands beside that.
    pub fn has_signed(&self, staged: &Staged, Signatures { in_release, detached, served }: &Signatures) -> bool {
        if in_release.len() > staged.release.len() + SIGNATURE || detached.len() > SIGNATURE {
            return false;
        }
        signed(&staged.release, in_release, detached, &self.certificates, time_of(staged, served, self.now))
    }

    /// Tells whether a commit stands on the branch where it was staged: after the commit that it names, and its base beside that. What is
    /// kept of the same Release stands on it, one by one. Where a shallow clone ends before that is told, it is not.
    fn is_where_it_was_staged(&self, commit: Oid) -> Result<bool, StageError> {
        let mut run = Vec::new();
        let mut at = commit;
        let found = loop {
            if let Some(known) = self.places.borrow().get(&at) {
                break *known;
            }
            run.push(at);
            let (snapshot, parents) = (self.repository.snapshot(at)?, self.repository.named_parents(at)?);
            let inputs = snapshot.file(INPUTS)?.and_then(|bytes| serde_json::from_slice::<Inputs>(&bytes).ok());
            let Some(Inputs { base, after: Some(after), .. }) = inputs else { break false };
            let names: Vec<String> = parents.iter().map(ToString::to_string).collect();
            match parents.as_slice() {
                [_, _] => break names == [after, base],
                [parent] if self.repository.has_commit(*parent) => {
                    let recorded = |snapshot: &Snapshot<'_>| {
                        let all = WITH_SHEETS.into_iter().chain([SHEETS, VOUCHED]);
                        all.map(|path| snapshot.oid_of(path)).collect::<Result<Vec<_>, _>>()
                    };
                    if recorded(&snapshot)? != recorded(&self.repository.snapshot(*parent)?)? {
                        break false;
                    }
                    at = *parent;
                }
                _ => break false,
            }
        };
        self.places.borrow_mut().extend(run.into_iter().map(|commit| (commit, found)));
        Ok(found)
    }

    /// Returns what a commit could have staged for which no key vouches, and whether a key signed its Release, as clients got it; `None`
    /// where it is nothing that a publish could follow.
    fn possible(&self, codename: &Codename, commit: Oid, signed_alone: bool) -> Result<Option<(Staged, bool)>, StageError> {
        let Some(staged) = readable(read(self.repository, codename, commit))? else { return Ok(None) };
        let signed = staged.signatures.as_ref().is_some_and(|own| self.has_signed(&staged, own));
        if signed_alone && !signed {
            return Ok(None);
        }
        let (date, sequence) = (staged.inputs.date, staged.inputs.sequence);
        let sane = sequence <= HIGHEST && date == staged.parsed.date && (signed || date <= self.now);
        if !sane || staged.base(codename).is_err() || readable(folded(self.repository, codename, &staged))?.is_none() {
            return Ok(None);
        }
        Ok(Some((staged, signed)))
    }
}

/// Returns the time by which the signatures of a Release are judged now: by the clock of whoever served it they are not from the future.
pub fn time_of(staged: &Staged, served: &Served, now: Timestamp) -> Timestamp {
    // It is signed before it is served, and never dated before it is staged.
    let latest = now.plus(Span::of_seconds(CLOCKS));
    now.max(staged.parsed.date).max(served.at.min(latest))
}

fn trusted_by(open: &OpenArchive, snapshot: &Snapshot<'_>) -> Vec<PublicCertificate> {
    let certificates = open.certificates(snapshot);
    certificates.map(|all| all.into_iter().map(|(_, certificate)| certificate).collect()).unwrap_or_default()
}
