//! What a branch of Releases holds that counts: what a key of the archive signed, at the place for which it was signed.
//!
//! Who may push to the branch may leave anything there. It is passed over: the newest commit that a key vouches for is what the next
//! publish follows, and what was left after it neither stops that publish nor becomes a part of it.

use super::recorded::{files, folded};
use super::vouched::{VOUCHED, WITH_SHEETS, text};
use super::{INPUTS, Inputs, SERVED, Signatures, StageError, Staged, before, branch, read, readable};
use crate::places::git::read::Snapshot;
use crate::places::git::{GitError, Oid, Repository};
use crate::places::sign::{PublicCertificate, signed, vouches};
use crate::stories::archive::OpenArchive;
use crate::stories::fold::Last;
use crate::words::archive::LogKind;
use crate::words::date::{Span, Timestamp};
use crate::words::name::Codename;

/// How far the clocks of two publishers may be apart: what one of them has just signed is nothing of the future to the other.
const CLOCKS: u32 = 24 * 3600;

/// Who may vouch for what branches of Releases hold: the certificates that the newest commit of the archive trusts to sign.
pub struct Trust<'a> {
    repository: &'a Repository,
    certificates: Vec<PublicCertificate>,
    now: Timestamp,
}

/// A branch of Releases, as far as it counts.
#[derive(Debug, Default)]
pub struct Branch {
    /// The newest commit, whatever it is.
    pub tip: Option<Oid>,
    /// The newest Release that a key vouches for. Where there is none (older programs signed nothing, or the key is not trusted any
    /// more), the newest one that could be one.
    pub last: Option<Staged>,
    /// Whether a key vouches for it.
    pub vouched: bool,
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
        Self { tip: Some(last.commit), last: Some(last), vouched: true }
    }

    /// Tells whether a key vouches for the newest commit, so that nothing was passed over.
    pub fn is_whole(&self) -> bool {
        self.vouched && self.tip == self.last.as_ref().map(|last| last.commit)
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
        Self { repository: &open.repository, certificates, now }
    }

    /// Trusts those too whom another commit of the archive trusted.
    #[must_use]
    pub fn and_of(mut self, open: &OpenArchive, snapshot: &Snapshot<'_>) -> Self {
        self.certificates.extend(trusted_by(open, snapshot));
        self
    }

    /// The same, in a repository that was opened anew.
    pub fn within<'b>(&self, repository: &'b Repository) -> Trust<'b> {
        Trust { repository, certificates: self.certificates.clone(), now: self.now }
    }

    /// Returns a branch of Releases, as far as it counts.
    ///
    /// # Errors
    /// Git cannot be read.
    pub fn branch(&self, codename: &Codename) -> Result<Branch, StageError> {
        let tip = self.repository.tip(&branch(codename))?;
        let (mut next, mut signed, mut other) = (tip, None, None);
        while let Some(commit) = next {
            if let Some(last) = self.read(codename, commit)? {
                return Ok(Branch { tip, last: Some(last), vouched: true });
            }
            if signed.is_none() {
                match self.possible(codename, commit)? {
                    Some((staged, true)) => signed = Some(staged),
                    Some((staged, false)) if other.is_none() => other = Some(staged),
                    _ => {}
                }
            }
            next = self.repository.parent(commit)?;
        }
        Ok(Branch { tip, last: signed.or(other), vouched: false })
    }

    /// Returns the Release at a commit of the branch; `None` where no key vouches for it, or not here.
    ///
    /// # Errors
    /// Git cannot be read.
    pub fn read(&self, codename: &Codename, commit: Oid) -> Result<Option<Staged>, StageError> {
        if !self.vouches(codename, commit)? {
            return Ok(None);
        }
        // Beside what is signed there may be anything.
        let Some(staged) = readable(read(self.repository, codename, commit))? else { return Ok(None) };
        let counts = staged.base(codename).is_ok() && self.holds_signatures(&staged) && self.is_where_it_was_staged(&staged)?;
        Ok(Some(staged).filter(|_| counts))
    }

    /// Returns the last served Release of a suite, if a key vouches for it and for all that was staged since.
    ///
    /// # Errors
    /// Git cannot be read.
    pub fn served(&self, codename: &Codename) -> Result<LastServed, StageError> {
        let Some(tip) = self.repository.tip(&branch(codename))? else { return Ok(LastServed::Nothing) };
        let Some(mut staged) = self.read(codename, tip)? else { return Ok(LastServed::Unknown) };
        while staged.signatures.is_none() {
            let Some(earlier) = before(self.repository, codename, &staged)? else { return Ok(LastServed::Nothing) };
            let Some(earlier) = self.read(codename, earlier.commit)? else { return Ok(LastServed::Unknown) };
            staged = earlier;
        }
        Ok(LastServed::Release(Box::new(staged)))
    }

    /// Tells whether a key signed what a commit of the branch records.
    ///
    /// # Errors
    /// Git cannot be read.
    pub fn vouches(&self, codename: &Codename, commit: Oid) -> Result<bool, StageError> {
        let snapshot = self.repository.snapshot(commit)?;
        let Some(signature) = snapshot.file(VOUCHED)? else { return Ok(false) };
        let files = match files(self.repository, commit, &WITH_SHEETS) {
            // A name that is no text.
            Err(GitError::Content { .. }) => return Ok(false),
            files => files?,
        };
        let Some(text) = text(codename, files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()))) else { return Ok(false) };
        let Some(inputs) = files.get(INPUTS).and_then(|bytes| serde_json::from_slice::<Inputs>(bytes).ok()) else { return Ok(false) };
        Ok(vouches(text.as_bytes(), &signature, &self.certificates, self.now.max(inputs.date)))
    }

    /// Tells whether a key signed the Release, where the commit has signatures of it.
    fn holds_signatures(&self, staged: &Staged) -> bool {
        staged.signatures.as_ref().is_none_or(|own| self.has_signed(staged, own))
    }

    /// Tells whether a key signed a Release, for whom it is not from the future.
    pub fn has_signed(&self, staged: &Staged, Signatures { in_release, detached, served }: &Signatures) -> bool {
        // It is signed before it is served, and never dated before it is staged.
        let latest = self.now.plus(Span::of_seconds(CLOCKS));
        let now = self.now.max(staged.parsed.date).max(served.at.min(latest));
        signed(&staged.release, in_release, detached, &self.certificates, now)
    }

    /// Tells whether a commit stands on the branch where it was staged, as far as the history is here. What is kept of the same Release
    /// stands on it.
    fn is_where_it_was_staged(&self, staged: &Staged) -> Result<bool, StageError> {
        let signature = |commit: Oid| self.repository.snapshot(commit).and_then(|snapshot| snapshot.oid_of(VOUCHED));
        let own = signature(staged.commit)?;
        let mut commit = staged.commit;
        while let Some(parent) = self.repository.named_parent(commit)? {
            if !self.repository.has_commit(parent) {
                // A commit that keeps something more stands on the one that staged it, which is not here.
                let snapshot = self.repository.snapshot(commit)?;
                let more = LogKind::ALL.into_iter().map(LogKind::file).chain([SERVED]);
                let keeps_more =
                    more.map(|file| Ok(snapshot.oid_of(file)?.is_some())).collect::<Result<Vec<_>, GitError>>()?.contains(&true);
                return Ok(keeps_more || staged.is_after(parent));
            }
            if signature(parent)? != own {
                return Ok(staged.is_after(parent));
            }
            commit = parent;
        }
        Ok(false)
    }

    /// Returns what a commit could have staged for which no key vouches, and whether a key signed its Release, as clients got it; `None`
    /// where it is nothing that a publish could follow.
    fn possible(&self, codename: &Codename, commit: Oid) -> Result<Option<(Staged, bool)>, StageError> {
        let Some(staged) = readable(read(self.repository, codename, commit))? else { return Ok(None) };
        let signed = staged.signatures.as_ref().is_some_and(|own| self.has_signed(&staged, own));
        let sane = staged.inputs.sequence <= u64::from(u32::MAX) && (signed || staged.parsed.date.max(staged.inputs.date) <= self.now);
        if !sane || staged.base(codename).is_err() || readable(folded(self.repository, codename, &staged))?.is_none() {
            return Ok(None);
        }
        Ok(Some((staged, signed)))
    }
}

impl Staged {
    /// Tells whether it was signed to stand after this commit.
    fn is_after(&self, commit: Oid) -> bool {
        self.inputs.after.as_ref().is_some_and(|after| *after == commit.to_string())
    }
}

fn trusted_by(open: &OpenArchive, snapshot: &Snapshot<'_>) -> Vec<PublicCertificate> {
    let certificates = open.configuration(snapshot).and_then(|archive| open.signing_certificates(snapshot, &archive));
    certificates.map(|all| all.into_iter().map(|(_, certificate)| certificate).collect()).unwrap_or_default()
}
