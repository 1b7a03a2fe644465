//! Every Release that was ever staged, as the branches `ddb/releases/*` tell, and the trees of logs that their proofs name.

use std::collections::{BTreeMap, BTreeSet};

use super::follow::KnownHead;
use super::{MonitorError, Trust};
use crate::formats::sigstore::bundle::Bundle;
use crate::formats::sigstore::checkpoint::Checkpoint;
use crate::formats::sigstore::owned;
use crate::formats::sigstore::public_key::PublicKey;
use crate::formats::sigsum::Proof;
use crate::formats::sigsum::leaf::checksum;
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
    /// A commit of the branch that holds it.
    pub(super) commit: Oid,
    /// When clients got it first.
    pub(super) served: Option<Timestamp>,
    /// Whether no other was staged after it.
    pub(super) newest: bool,
    /// Where its proofs say that it is logged, as far as logs signed that which are trusted now.
    pub(super) proven: Vec<Proven>,
    /// The kinds of logs of which it has a proof, whoever made it.
    pub(super) proofs: BTreeSet<LogKind>,
}

/// What a proof says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proven {
    pub(super) kind: LogKind,
    /// The log's name, see [`crate::places::transparency::reader::LogReader::name`].
    pub(super) log: String,
    /// The leaf.
    pub(super) index: u64,
    /// The tree that it is shown in.
    size: u64,
    root: Sha256,
}

/// All Releases of all suites, oldest first, and who submitted them.
#[derive(Debug, Default)]
pub(super) struct Releases {
    pub(super) known: Vec<KnownRelease>,
    /// Key hashes of submitters to Sigsum.
    pub(super) submitters: BTreeSet<Sha256>,
    /// Keys of entries of Sigstore.
    pub(super) signers: Vec<PublicKey>,
}

impl KnownRelease {
    /// Returns what leaves of a kind of log hold of it.
    pub(super) fn logged_as(&self, kind: LogKind) -> Sha256 {
        match kind {
            LogKind::Sigsum => self.checksum,
            LogKind::Sigstore => self.release,
        }
    }

    /// Returns how messages name it.
    pub(super) fn name(&self) -> String {
        format!("Release {} of {}", self.sequence, self.codename)
    }
}

impl Releases {
    /// Reads the branches at these commits.
    pub(super) fn read(repository: &Repository, tips: &BTreeMap<String, Oid>, trust: &Trust) -> Result<Self, MonitorError> {
        let mut releases = Self::default();
        for (name, tip) in tips {
            let Some(codename) = name.strip_prefix(BRANCHES).and_then(|name| name.parse::<Codename>().ok()) else { continue };
            let mut own = releases.branch(repository, &codename, *tip, trust)?;
            own.sort_by_key(|release| release.sequence);
            if let Some(newest) = own.last_mut() {
                newest.newest = true;
            }
            releases.known.append(&mut own);
        }
        Ok(releases)
    }

    fn branch(&mut self, repository: &Repository, codename: &Codename, tip: Oid, trust: &Trust) -> Result<Vec<KnownRelease>, MonitorError> {
        let mut found: BTreeMap<Sha256, KnownRelease> = BTreeMap::new();
        let mut next = Some(tip);
        while let Some(commit) = next {
            let snapshot = repository.snapshot(commit)?;
            // The branch begins with a commit that holds nothing.
            let Some(bytes) = snapshot.file("Release")? else { break };
            let wrong = |path, fault: String| StageError::Content { path, commit, branch: format!("{BRANCHES}{codename}"), fault };
            let inputs = snapshot.file("inputs.json")?.unwrap_or_default();
            let inputs: Inputs = serde_json::from_slice(&inputs).map_err(|fault| wrong("inputs.json", fault.to_string()))?;
            let served = snapshot.file("served.json")?.map(|bytes| serde_json::from_slice::<Served>(&bytes)).transpose();
            let served = served.map_err(|fault| wrong("served.json", fault.to_string()))?;
            let release = Sha256::of(&bytes);
            let known = found.entry(release).or_insert_with(|| KnownRelease {
                codename: codename.clone(),
                sequence: inputs.sequence,
                release,
                checksum: checksum(&release),
                base: inputs.base,
                commit,
                served: None,
                newest: false,
                proven: Vec::new(),
                proofs: BTreeSet::new(),
            });
            // The branch is walked from its end: an earlier commit knows best when it was served first.
            known.served = served.map(|served| served.at).or(known.served);
            for kind in LogKind::ALL {
                let Some(proof) = snapshot.file(kind.file())? else { continue };
                known.proofs.insert(kind);
                let proven = match kind {
                    LogKind::Sigsum => self.of_sigsum(&proof, trust),
                    LogKind::Sigstore => self.of_sigstore(&proof, trust),
                };
                for proven in proven {
                    if !known.proven.contains(&proven) {
                        known.proven.push(proven);
                    }
                }
            }
            next = repository.parent(commit)?;
        }
        Ok(found.into_values().collect())
    }

    /// Reads what a proof of Sigsum says, if a log of the policy signed its tree head.
    fn of_sigsum(&mut self, proof: &[u8], trust: &Trust) -> Vec<Proven> {
        let (Some((policy, _)), Ok(proof)) = (&trust.sigsum, Proof::parse(proof)) else { return Vec::new() };
        self.submitters.insert(proof.key_hash);
        let signed = policy.log(&proof.log).is_some_and(|log| proof.tree_head.is_by(&log.key));
        let (size, root, index) = (proof.tree_head.size, proof.tree_head.root, proof.inclusion.index);
        let proven = signed.then(|| Proven { kind: LogKind::Sigsum, log: proof.log.to_hex(), index, size, root });
        proven.into_iter().collect()
    }

    /// Reads what a bundle says, if a log of the trusted root signed its checkpoint.
    fn of_sigstore(&mut self, bundle: &[u8], trust: &Trust) -> Vec<Proven> {
        let (Some((root, _)), Ok(bundle)) = (&trust.sigstore, Bundle::parse(bundle)) else { return Vec::new() };
        let mut proven = Vec::new();
        for entry in &bundle.verification_material.tlog_entries {
            if let Some(signer) = owned::key_of(&entry.canonicalized_body.0).filter(|signer| !self.signers.contains(signer)) {
                self.signers.push(signer);
            }
            let Ok((head, _)) = Checkpoint::open(&entry.inclusion_proof.checkpoint.envelope, &root.logs) else { continue };
            let Checkpoint { origin, size, root } = head;
            proven.push(Proven { kind: LogKind::Sigstore, log: origin, index: entry.log_index, size, root });
        }
        proven
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

    /// Returns the Releases of a suite, oldest first.
    pub(super) fn of<'a>(&'a self, codename: &Codename) -> impl DoubleEndedIterator<Item = &'a KnownRelease> {
        self.known.iter().filter(move |known| known.codename == *codename)
    }
}
