//! Kept proofs, checked as a stranger checks them: offline, whole, and against the Release that they stand beside.
//!
//! Whoever may push can put any proof there. One that holds is the log's promise; one that does not was never given to anybody.

use std::collections::{BTreeMap, BTreeSet};

use super::Trust;
use super::newest::trust_of;
use crate::formats::sigstore::bundle::Bundle;
use crate::formats::sigstore::checkpoint::Checkpoint;
use crate::formats::sigstore::signer::Signer;
use crate::formats::sigstore::trusted_root::TrustedRoot;
use crate::formats::sigstore::verify::Trust as BundleTrust;
use crate::formats::sigsum::verify::verify;
use crate::formats::sigsum::{Proof, PublicKey as SubmitKey};
use crate::stories::archive::OpenArchive;
use crate::words::archive::LogKind;
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;

/// What a proof says, as far as a log signed it that is trusted now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proven {
    pub(super) kind: LogKind,
    /// The log's name, see [`crate::places::transparency::reader::LogReader::name`].
    pub(super) log: String,
    /// The leaf.
    pub(super) index: u64,
    /// The tree that it is shown in.
    pub(super) size: u64,
    pub(super) root: Sha256,
}

/// What is to be said of a proof.
#[derive(Debug, Clone, Default)]
pub(super) struct Verdict {
    pub(super) proven: Vec<Proven>,
    /// The logs that it proves the Release to be in; none where it does not hold.
    pub(super) logs: BTreeSet<String>,
    /// Why it does not hold.
    pub(super) fault: Option<String>,
}

/// Judges proofs, each of them once.
pub(super) struct Judge<'a> {
    open: &'a OpenArchive,
    now: Timestamp,
    trust: &'a Trust,
    seen: BTreeMap<(Sha256, Sha256), Verdict>,
    /// Key hashes of submitters to Sigsum.
    pub(super) submitters: BTreeSet<Sha256>,
    /// Who signed entries of Sigstore.
    pub(super) signers: Vec<Signer>,
    /// By which trusted roots those counted, where it is not the newest.
    pub(super) roots: Vec<TrustedRoot>,
}

impl<'a> Judge<'a> {
    /// Judges by what the newest commit trusts, and by what the commit did that a Release was made from.
    pub(super) fn new(open: &'a OpenArchive, trust: &'a Trust, now: Timestamp) -> Self {
        Self { open, now, trust, seen: BTreeMap::new(), submitters: BTreeSet::new(), signers: Vec::new(), roots: Vec::new() }
    }

    /// Judges a proof of these bytes of Release, which were made from a commit.
    pub(super) fn verdict(&mut self, kind: LogKind, release: &[u8], base: &str, proof: &[u8]) -> Verdict {
        let key = (Sha256::of(release), Sha256::of(proof));
        if let Some(known) = self.seen.get(&key) {
            return known.clone();
        }
        let verdict = match kind {
            LogKind::Sigsum => self.of_sigsum(release, base, proof),
            LogKind::Sigstore => self.of_sigstore(release, base, proof),
        };
        self.seen.insert(key, verdict.clone());
        verdict
    }

    /// Returns what a commit trusted; nothing where that cannot be read any more.
    fn then(&self, base: &str) -> Trust {
        base.parse().ok().and_then(|base| trust_of(self.open, base, self.now)).unwrap_or_default()
    }

    fn of_sigsum(&mut self, release: &[u8], base: &str, proof: &[u8]) -> Verdict {
        let proof = match Proof::parse(proof) {
            Ok(proof) => proof,
            Err(fault) => return Verdict { fault: Some(fault.to_string()), ..Verdict::default() },
        };
        let mut verdict = Verdict::default();
        let now = self.trust.sigsum.as_ref();
        if now.and_then(|(policy, _)| policy.log(&proof.log)).is_some_and(|log| proof.tree_head.is_by(&log.key)) {
            let (size, root, index) = (proof.tree_head.size, proof.tree_head.root, proof.inclusion.index);
            verdict.proven.push(Proven { kind: LogKind::Sigsum, log: proof.log.to_hex(), index, size, root });
        }
        let check = |policy, keys: &[SubmitKey]| verify(release, &proof, keys, policy).map(|good| good.log.hash().to_hex());
        let first = now.map(|(policy, key)| check(policy, &[*key]));
        if let Some(Ok(log)) = &first {
            verdict.logs.insert(log.clone());
            self.submitters.insert(proof.key_hash);
            return verdict;
        }
        // A key was changed, or witnesses were, after it was made.
        let then = self.then(base).sigsum;
        let keys: Vec<SubmitKey> = now.iter().map(|(_, key)| *key).chain(then.iter().map(|(_, key)| *key)).collect();
        let policies = now.map(|(policy, _)| policy).into_iter().chain(then.as_ref().map(|(policy, _)| policy));
        let mut fault = first.and_then(Result::err);
        for policy in policies {
            match check(policy, &keys) {
                Ok(log) => {
                    self.submitters.insert(proof.key_hash);
                    return Verdict { logs: BTreeSet::from([log]), ..verdict };
                }
                Err(other) => fault = fault.or(Some(other)),
            }
        }
        verdict.fault = Some(fault.map_or_else(|| nobody(LogKind::Sigsum), |fault| fault.to_string()));
        verdict
    }

    fn of_sigstore(&mut self, release: &[u8], base: &str, text: &[u8]) -> Verdict {
        let bundle = match Bundle::parse(text) {
            Ok(bundle) => bundle,
            Err(fault) => return Verdict { fault: Some(fault.to_string()), ..Verdict::default() },
        };
        let mut verdict = Verdict::default();
        let now = self.trust.sigstore.as_ref();
        for entry in &bundle.verification_material.tlog_entries {
            let Some((root, _)) = now else { continue };
            let Ok((head, _)) = Checkpoint::open(&entry.inclusion_proof.checkpoint.envelope, &root.logs) else { continue };
            let Checkpoint { origin, size, root } = head;
            verdict.proven.push(Proven { kind: LogKind::Sigstore, log: origin, index: entry.log_index, size, root });
        }
        let mut fault = None;
        let then = if self.holds(now, now, release, text).is_some_and(|held| held.is_ok()) { None } else { self.then(base).sigstore };
        for (root, signer) in [(now, now), (now, then.as_ref()), (then.as_ref(), then.as_ref()), (then.as_ref(), now)] {
            match self.holds(root, signer, release, text) {
                Some(Ok(logs)) => {
                    // Ours, since the bundle holds: who may push could name any other.
                    self.signers.extend(signer.map(|(_, signer)| signer.clone()).filter(|signer| !self.signers.contains(signer)));
                    let known = |root: &TrustedRoot| now.is_some_and(|(newest, _)| newest == root) || self.roots.contains(root);
                    let other = root.map(|(root, _)| root).filter(|root| !known(root)).cloned();
                    self.roots.extend(other);
                    return Verdict { logs, ..verdict };
                }
                Some(Err(other)) => fault = fault.or(Some(other)),
                None => {}
            }
        }
        verdict.fault = Some(fault.unwrap_or_else(|| nobody(LogKind::Sigstore)));
        verdict
    }

    /// Checks a bundle by a trusted root and a signer; `None` where there is none.
    fn holds(&self, root: Rooted<'_>, signer: Rooted<'_>, release: &[u8], bundle: &[u8]) -> Option<Result<BTreeSet<String>, String>> {
        let ((root, _), (_, signer)) = (root?, signer?);
        let trust = BundleTrust { root: root.clone(), signer: signer.clone() };
        let verified = trust.verify(release, bundle).map_err(|fault| fault.to_string());
        Some(verified.map(|verified| verified.entries.into_iter().map(|entry| entry.log).collect()))
    }
}

/// A trusted root, and who signs.
type Rooted<'a> = Option<&'a (TrustedRoot, Signer)>;

fn nobody(kind: LogKind) -> String {
    format!("neither the newest commit nor the one that the Release was made from trusts a {kind} log")
}
