//! What clients were given: every served Release on the branches `ddb/releases/*`, its indices joined again from retained
//! blocks, its pool by the pointers of its base commit, and which of them a snapshot's name means.
//!
//! Nothing is believed that can be checked: an index is handed out only if it has the digest that the signed Release lists.

pub mod cache;
pub mod history;
pub mod index;
pub mod snapshot;

use crate::formats::release::{Listed, Release};
use crate::places::git::{GitError, Oid};
use crate::stories::archive::{OpenArchive, OpenError};
use crate::stories::publish::stage::{self, Proofs, Signatures, StageError, Staged};
use crate::words::archive::Archive;
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// Why something that was served cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ServedError {
    /// The archive cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The branch of Releases is not usable.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// A commit on the branch says it was served and holds no signatures.
    #[error("commit {commit} of the Releases of {codename} has no signatures")]
    Unsigned {
        /// The suite.
        codename: Codename,
        /// The commit.
        commit: Oid,
    },
}

/// A Release that was served, as its branch names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edition {
    /// The suite.
    pub codename: Codename,
    /// The commit on the branch, with the signatures.
    pub commit: Oid,
    /// The commit whose records and configuration were folded.
    pub base: Oid,
    /// Counts the Releases of the suite from 1.
    pub sequence: u64,
    /// `Date`
    pub date: Timestamp,
    /// When it was served.
    pub at: Timestamp,
}

impl Edition {
    /// Returns what the branch says of a Release, if it was served.
    pub fn of(codename: &Codename, staged: &Staged) -> Option<Self> {
        let (at, base) = (staged.signatures.as_ref()?.served.at, staged.base(codename).ok()?);
        let (codename, commit) = (codename.clone(), staged.commit);
        Some(Self { codename, commit, base, sequence: staged.inputs.sequence, date: staged.inputs.date, at })
    }
}

/// A served Release with everything that its branch holds.
#[derive(Debug)]
pub struct Whole {
    /// Which one.
    pub edition: Edition,
    /// The bytes of `Release`.
    pub release: Vec<u8>,
    /// The same, read.
    pub parsed: Release,
    /// `InRelease`, `Release.gpg` and who signed.
    pub signatures: Signatures,
    /// The proofs of transparency logs.
    pub proofs: Proofs,
    /// Those that its history by checksum has: the first ones.
    pub first: Proofs,
    /// The configuration that it was made with.
    pub archive: Archive,
    /// The certificates that clients got with it.
    pub keyring: String,
}

impl Whole {
    /// Reads a served Release.
    ///
    /// # Errors
    /// The branch, or the base commit's configuration, is not as ddb leaves it.
    pub fn read(open: &OpenArchive, edition: &Edition) -> Result<Self, ServedError> {
        let staged = stage::read(&open.repository, &edition.codename, edition.commit)?;
        let unsigned = || ServedError::Unsigned { codename: edition.codename.clone(), commit: edition.commit };
        let signatures = staged.signatures.ok_or_else(unsigned)?;
        let base = open.repository.snapshot(edition.base)?;
        let (archive, keyring) = (open.configuration(&base)?, open.keyring(&base)?);
        Ok(Self {
            edition: edition.clone(),
            release: staged.release,
            parsed: staged.parsed,
            signatures,
            proofs: staged.proofs,
            first: stage::first_proofs(&open.repository, edition.commit, |_, _| true)?,
            archive,
            keyring,
        })
    }

    /// Returns the proof that a path below `dists/<codename>/` means: `Release.proof` of this Release.
    pub fn proof(&self, path: &str) -> Option<&[u8]> {
        self.proofs.iter().find(|(kind, _)| kind.file() == path).map(|(_, proof)| proof.as_slice())
    }

    /// Returns the file that a name in the history below `tlog/` means, where it is about this Release: the Release itself, or a
    /// proof of it. A Release without proofs is in no history.
    pub fn logged(&self, name: &str) -> Option<&[u8]> {
        let (digest, ending) = name.split_once('.')?;
        if self.proofs.is_empty() || Sha256::of(&self.release).to_hex() != digest {
            return None;
        }
        let kind = self.proofs.keys().find(|kind| kind.ending() == ending);
        let proof = kind.and_then(|kind| self.first.get(kind)).map(Vec::as_slice);
        if ending == "release" { Some(&self.release) } else { proof }
    }

    /// Returns the index that a path below `dists/<codename>/` means, under its name or under its digest.
    pub fn listed(&self, path: &str) -> Option<(&str, &Listed)> {
        if let Some((listed, facts)) = self.parsed.files.get_key_value(path) {
            return Some((listed, facts));
        }
        let (folder, name) = path.rsplit_once("/by-hash/")?;
        let (algorithm, digest) = name.split_once('/')?;
        let same = |facts: &Listed| match algorithm {
            "SHA256" => facts.sha256.to_hex() == digest,
            "SHA512" => facts.sha512.is_some_and(|own| own.to_hex() == digest),
            "SHA1" => facts.sha1.is_some_and(|own| own.to_hex() == digest),
            "MD5Sum" => facts.md5.is_some_and(|own| own.to_hex() == digest),
            _ => false,
        };
        let below = |listed: &str| listed.rsplit_once('/').is_some_and(|(above, _)| above == folder);
        let found = self.parsed.files.iter().find(|(listed, facts)| below(listed) && same(facts))?;
        Some((found.0.as_str(), found.1)).filter(|_| self.parsed.acquire_by_hash)
    }
}
