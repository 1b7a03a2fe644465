//! The branch `ddb/releases/<codename>`: every Release that was ever staged, in order, and whether it was served.
//!
//! A staged commit holds `Release`, `inputs.json`, and what the next fold starts from: `fold.json` and, for each index, a sheet
//! below `sheets/`, which names the blocks that it is joined from. Proofs of transparency logs, such as `Release.proof`, get a commit of
//! their own before anything is served. When clients see the Release, another commit adds `InRelease`, `Release.gpg` and
//! `served.json`. A proof that comes later gets a commit of its own too. The branch moves by compare-and-swap: that is what keeps
//! two publishers apart on every kind of published tree.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::formats::blocks::sheet::Sheet;
use crate::formats::release::{Release, ReleaseError};
use crate::places::git::land::Edits;
use crate::places::git::remote::RemoteError;
use crate::places::git::{Author, GitError, Oid, Repository};
use crate::places::transparency::Proof;
use crate::stories::archive::OpenArchive;
use crate::stories::fold::{Digests, Fold, Folded, Last};
use crate::words::archive::LogKind;
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// What a Release was made from, beside the configuration and records of its base commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// Counts the Releases of the suite from 1.
    pub sequence: u64,
    /// The commit whose records and configuration were folded.
    pub base: String,
    /// `Date` in seconds since 1970.
    pub date: Timestamp,
    /// The version of ddb that made it, which pins the compressors too.
    pub ddb: String,
}

/// That a Release was served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Served {
    /// When, in seconds since 1970.
    pub at: Timestamp,
    /// Fingerprints of the certificates that signed it.
    pub signed_by: Vec<String>,
    /// SHA-256 of the public certificates that clients got with it.
    pub keyring: Sha256,
    /// The newest Release whose by-hash files, and those of all before it, were removed but for those that a newer one names; 0
    /// is none.
    #[serde(default)]
    pub swept: u64,
}

/// The signatures that clients got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signatures {
    /// `InRelease`
    pub in_release: Vec<u8>,
    /// `Release.gpg`
    pub detached: Vec<u8>,
    /// When and by whom.
    pub served: Served,
}

/// The proofs of a Release, by the kind of log.
pub type Proofs = BTreeMap<LogKind, Proof>;

/// One Release on the branch.
#[derive(Debug)]
pub struct Staged {
    /// The commit on the branch.
    pub commit: Oid,
    /// The bytes of `Release`.
    pub release: Vec<u8>,
    /// The same, read.
    pub parsed: Release,
    /// What it was made from.
    pub inputs: Inputs,
    /// Its signatures, once it was served.
    pub signatures: Option<Signatures>,
    /// What transparency logs gave for it. They were checked before they were kept.
    pub proofs: Proofs,
}

impl Staged {
    /// Returns the commit whose records and configuration were folded.
    ///
    /// # Errors
    /// What `inputs.json` holds is no commit.
    pub fn base(&self, codename: &Codename) -> Result<Oid, StageError> {
        let fault = || format!("its base \"{}\" is no commit", self.inputs.base);
        let wrong = |_| StageError::Content { path: "inputs.json", commit: self.commit, branch: branch(codename), fault: fault() };
        self.inputs.base.parse().map_err(wrong)
    }
}

/// Why the branch cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The remote does not take the branch.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A file on the branch is missing or not usable.
    #[error("{path} in commit {commit} of the branch {branch}: {fault}")]
    Content {
        /// The path.
        path: &'static str,
        /// The commit.
        commit: Oid,
        /// The branch.
        branch: String,
        /// What is wrong.
        fault: String,
    },
    /// The Release on the branch cannot be read.
    #[error("Release in commit {commit} of the branch {branch}")]
    Release {
        /// The commit.
        commit: Oid,
        /// The branch.
        branch: String,
        /// What is wrong.
        #[source]
        source: ReleaseError,
    },
}

/// What a fold found out about the suite as a whole.
const FOLDED: &str = "fold.json";

/// The digests of file lists that records do not name.
const LISTS: &str = "lists.json";

/// The folder with a sheet for each index, at the index's path.
const SHEETS: &str = "sheets";

/// Returns what a fold starts from that follows this Release, or makes it again; `None` where nothing was recorded.
///
/// # Errors
/// Git cannot be read, or a file is not as ddb leaves it.
pub fn folded(repository: &Repository, codename: &Codename, staged: &Staged) -> Result<Option<Last>, StageError> {
    let recorded = recorded(repository, codename, staged.commit)?.filter(|(record, _)| record.is_of(&staged.release));
    let Some((record, sheets)) = recorded else { return Ok(None) };
    let base = staged.base(codename)?;
    let lists = match repository.snapshot(staged.commit)?.file(LISTS)? {
        Some(bytes) => json(LISTS, &bytes, staged.commit, &branch(codename))?,
        None => Digests::new(),
    };
    let (listed, commit) = (staged.parsed.files.clone(), Some(staged.commit));
    Ok(Some(Last { base, codename: codename.clone(), record, sheets, listed, lists, commit, earlier: None, own: None }))
}

/// Adds the Release that Contents were made with, where that is an older one.
///
/// # Errors
/// Git cannot be read, or a file is not as ddb leaves it.
pub fn with_earlier(repository: &Repository, last: Last) -> Result<Last, StageError> {
    let release = last.record.contents.as_ref().and_then(|contents| contents.release.as_ref()?.parse().ok());
    // In a shallow clone it may be missing, and Contents are made from all file lists.
    let Some(staged) = release.and_then(|release| read(repository, &last.codename, release).ok()) else { return Ok(last) };
    let earlier = folded(repository, &last.codename, &staged)?.map(Box::new);
    Ok(Last { earlier, ..last })
}

/// What a fold found out, and the sheet of each index by its plain path.
pub type Recorded = (Folded, BTreeMap<String, Sheet>);

/// Returns what is recorded of a fold at this commit of the branch; `None` where nothing is.
///
/// # Errors
/// Git cannot be read, or a file is not as ddb leaves it.
pub fn recorded(repository: &Repository, codename: &Codename, commit: Oid) -> Result<Option<Recorded>, StageError> {
    let snapshot = repository.snapshot(commit)?;
    let Some(bytes) = snapshot.file(FOLDED)? else { return Ok(None) };
    let branch = branch(codename);
    let record = json(FOLDED, &bytes, commit, &branch)?;
    let mut sheets = BTreeMap::new();
    let files = snapshot.files_below(SHEETS)?;
    repository.hydrate(files.values().copied())?;
    for (path, blob) in files {
        let wrong = |fault: serde_json::Error| StageError::Content {
            path: SHEETS,
            commit,
            branch: branch.clone(),
            fault: format!("{path}: {fault}"),
        };
        let sheet = Sheet::parse(&repository.blob(blob, &path)?).map_err(wrong)?;
        sheets.insert(path.trim_start_matches(SHEETS).trim_start_matches('/').to_owned(), sheet);
    }
    Ok(Some((record, sheets)))
}

/// Returns the branch's full name.
pub fn branch(codename: &Codename) -> String {
    format!("refs/heads/ddb/releases/{codename}")
}

/// Returns the newest Release on the branch.
///
/// # Errors
/// The branch is not as ddb leaves it.
pub fn newest(repository: &Repository, codename: &Codename) -> Result<Option<Staged>, StageError> {
    repository.tip(&branch(codename))?.map(|commit| read(repository, codename, commit)).transpose()
}

/// Returns the Release before this one.
///
/// # Errors
/// The branch is not as ddb leaves it.
pub fn before(repository: &Repository, codename: &Codename, staged: &Staged) -> Result<Option<Staged>, StageError> {
    let mut commit = staged.commit;
    while let Some(parent) = repository.parent(commit)? {
        // The branch begins with a commit that holds nothing.
        if repository.snapshot(parent)?.file("Release")?.is_none() {
            return Ok(None);
        }
        let earlier = read(repository, codename, parent)?;
        if earlier.inputs.sequence != staged.inputs.sequence {
            return Ok(Some(earlier));
        }
        commit = parent;
    }
    Ok(None)
}

/// Returns the newest Release that was served, passing over those that were only staged.
///
/// # Errors
/// The branch is not as ddb leaves it.
pub fn last_served(repository: &Repository, codename: &Codename) -> Result<Option<Staged>, StageError> {
    let mut staged = newest(repository, codename)?;
    while let Some(current) = staged.take_if(|current| current.signatures.is_none()) {
        staged = before(repository, codename, &current)?;
    }
    Ok(staged)
}

/// Returns the proofs that a served Release was served with. What came later is on the branch before it is in the published tree,
/// so the branch does not tell whether it ever got there. None where a shallow clone ends too early to tell.
///
/// # Errors
/// The branch is not as ddb leaves it.
pub fn proofs_when_served(repository: &Repository, codename: &Codename, staged: &Staged) -> Result<Proofs, StageError> {
    let (mut commit, mut proofs) = (staged.commit, staged.proofs.clone());
    while let Some(parent) = repository.parent(commit)? {
        // A Release is staged before it is served.
        if repository.snapshot(parent)?.file("served.json")?.is_none() {
            return Ok(proofs);
        }
        let earlier = read(repository, codename, parent)?;
        if earlier.inputs.sequence != staged.inputs.sequence {
            return Ok(proofs);
        }
        (commit, proofs) = (parent, earlier.proofs);
    }
    Ok(Proofs::new())
}

/// Returns the first proof of each kind that was ever kept of the Release at a commit: what the history by checksum has for ever,
/// also where a log that counts now gave another one since. A shallow clone that ends too early has the first that it knows.
///
/// # Errors
/// Git cannot be read.
pub fn first_proofs(repository: &Repository, commit: Oid) -> Result<Proofs, GitError> {
    let release = repository.snapshot(commit)?.file("Release")?;
    let (mut next, mut first) = (Some(commit), Proofs::new());
    while let Some(commit) = next {
        let Ok(snapshot) = repository.snapshot(commit) else { break };
        if snapshot.file("Release")? != release {
            break;
        }
        for kind in LogKind::ALL {
            first.extend(snapshot.file(kind.file())?.map(|proof| (kind, proof)));
        }
        next = repository.parent(commit)?;
    }
    Ok(first)
}

/// Returns the Release at a commit of the branch.
///
/// # Errors
/// The commit is not as ddb leaves it.
pub fn read(repository: &Repository, codename: &Codename, commit: Oid) -> Result<Staged, StageError> {
    let branch = branch(codename);
    let snapshot = repository.snapshot(commit)?;
    let need = |path: &'static str| snapshot.file(path)?.ok_or_else(|| missing(path, commit, &branch));
    let release = need("Release")?;
    let parsed = Release::parse(&release).map_err(|source| StageError::Release { commit, branch: branch.clone(), source })?;
    let inputs = json("inputs.json", &need("inputs.json")?, commit, &branch)?;
    let signatures = match snapshot.file("served.json")? {
        Some(served) => Some(Signatures {
            in_release: need("InRelease")?,
            detached: need("Release.gpg")?,
            served: json("served.json", &served, commit, &branch)?,
        }),
        None => None,
    };
    let proofs = LogKind::ALL.into_iter().map(|kind| Ok(snapshot.file(kind.file())?.map(|proof| (kind, proof))));
    let proofs = proofs.filter_map(Result::transpose).collect::<Result<_, GitError>>()?;
    Ok(Staged { commit, release, parsed, inputs, signatures, proofs })
}

fn missing(path: &'static str, commit: Oid, branch: &str) -> StageError {
    StageError::Content { path, commit, branch: branch.to_owned(), fault: "it is missing".to_owned() }
}

fn json<T: serde::de::DeserializeOwned>(path: &'static str, bytes: &[u8], commit: Oid, branch: &str) -> Result<T, StageError> {
    serde_json::from_slice(bytes).map_err(|fault| StageError::Content { path, commit, branch: branch.to_owned(), fault: fault.to_string() })
}

fn to_json(value: &impl Serialize) -> Option<Vec<u8>> {
    // These are plain structs of strings and numbers: they always have a JSON form.
    let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
    bytes.push(b'\n');
    Some(bytes)
}

/// Puts a Release on the branch after the one given; `None` where another publisher was faster.
///
/// The base is the commit's second parent, so that Git keeps it as long as the Release, whatever becomes of other branches.
///
/// # Errors
/// Git failed.
pub fn stage(
    open: &OpenArchive,
    codename: &Codename,
    after: Option<&Staged>,
    release: &[u8],
    inputs: &Inputs,
    fold: &Fold,
    author: &Author,
) -> Result<Option<Oid>, StageError> {
    let mut edits = Edits::from([("Release".to_owned(), Some(release.to_vec())), ("inputs.json".to_owned(), to_json(inputs))]);
    let record = Folded { release: Sha256::of(release), ..fold.record.clone() };
    edits.insert(FOLDED.to_owned(), to_json(&record));
    let lists = (!fold.lists.is_empty()).then(|| to_json(&fold.lists)).flatten();
    let had_lists = after.map(|after| open.repository.snapshot(after.commit)?.file(LISTS)).transpose()?.flatten().is_some();
    if lists.is_some() || had_lists {
        edits.insert(LISTS.to_owned(), lists);
    }
    if let Some(after) = after {
        let old = open.repository.snapshot(after.commit)?.files_below(SHEETS)?;
        edits.extend(old.into_keys().map(|path| (path, None)));
    }
    edits.extend(fold.sheets.iter().map(|(path, sheet)| (format!("{SHEETS}/{path}"), Some(sheet.text().into_bytes()))));
    if after.is_some_and(|staged| staged.signatures.is_some()) {
        for path in ["InRelease", "Release.gpg", "served.json"] {
            edits.insert(path.to_owned(), None);
        }
    }
    edits.extend(after.iter().flat_map(|staged| staged.proofs.keys()).map(|kind| (kind.file().to_owned(), None)));
    let message = format!(
        "Stage Release {} of {codename}.\n\nDdb-Base: {}\nDdb-Release: sha256:{}\n",
        inputs.sequence,
        inputs.base,
        Sha256::of(release)
    );
    let base = inputs.base.parse().ok();
    append(open, codename, after.map(|staged| staged.commit), base, &edits, &message, author)
}

/// Marks a staged Release as served with these proofs and no others; `None` where the branch moved meanwhile.
///
/// # Errors
/// Git failed.
pub fn mark_served(
    open: &OpenArchive,
    codename: &Codename,
    staged: Oid,
    sequence: u64,
    signatures: &Signatures,
    proofs: &Proofs,
    author: &Author,
) -> Result<Option<Oid>, StageError> {
    let mut edits = with_proofs(proofs);
    let snapshot = open.repository.snapshot(staged)?;
    // One that was kept, and is not given to clients any more: its log is off now, or it does not hold.
    for kind in LogKind::ALL.into_iter().filter(|kind| !proofs.contains_key(kind)) {
        if snapshot.file(kind.file())?.is_some() {
            edits.insert(kind.file().to_owned(), None);
        }
    }
    edits.extend(with_signatures(signatures));
    append(open, codename, Some(staged), None, &edits, &format!("Serve Release {sequence} of {codename}.\n"), author)
}

/// Keeps proofs of a Release, with the signatures that they are stapled to where it was served before; `None` where the branch moved
/// meanwhile.
///
/// # Errors
/// Git failed.
pub fn keep_proofs(
    open: &OpenArchive,
    codename: &Codename,
    staged: &Staged,
    signatures: Option<&Signatures>,
    proofs: &Proofs,
    author: &Author,
) -> Result<Option<Oid>, StageError> {
    let mut edits = with_proofs(proofs);
    edits.extend(signatures.into_iter().flat_map(with_signatures));
    let logs: Vec<&str> = proofs.keys().map(|kind| kind.name()).collect();
    let message = format!("Keep the proofs of Release {} of {codename}.\n\nDdb-Logs: {}\n", staged.inputs.sequence, logs.join(", "));
    append(open, codename, Some(staged.commit), None, &edits, &message, author)
}

fn with_proofs(proofs: &Proofs) -> Edits {
    proofs.iter().map(|(kind, proof)| (kind.file().to_owned(), Some(proof.clone()))).collect()
}

fn with_signatures(signatures: &Signatures) -> [(String, Option<Vec<u8>>); 3] {
    [
        ("InRelease".to_owned(), Some(signatures.in_release.clone())),
        ("Release.gpg".to_owned(), Some(signatures.detached.clone())),
        ("served.json".to_owned(), to_json(&signatures.served)),
    ]
}

fn append(
    open: &OpenArchive,
    codename: &Codename,
    tip: Option<Oid>,
    base: Option<Oid>,
    edits: &Edits,
    message: &str,
    author: &Author,
) -> Result<Option<Oid>, StageError> {
    let first = match tip {
        Some(tip) => tip,
        None => open.repository.commit(None, &Edits::new(), &format!("Begin the Releases of {codename}.\n"), author)?,
    };
    let parents: Vec<Oid> = std::iter::once(first).chain(base).collect();
    let commit = open.repository.commit_with(&parents, edits, message, author)?;
    let moved = open.repository.swap(open.remote.as_ref(), &branch(codename), tip, commit, "ddb-publish dists")?;
    Ok(moved.then_some(commit))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
