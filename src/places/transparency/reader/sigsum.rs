//! A Sigsum log as a monitor reads it (log.md section 3): get-tree-head, get-consistency-proof, get-leaves.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Lack, OwnLeaf, ReadError, SignedHead, lies, need};
use crate::formats::merkle::check_consistency;
use crate::formats::merkle::compact::CompactRange;
use crate::formats::sigsum::leaf::Leaf;
use crate::formats::sigsum::policy::{Log, Policy};
use crate::formats::sigsum::proof::Inclusion;
use crate::formats::sigsum::tree_head::CosignedTreeHead;
use crate::formats::sigsum::{PublicKey, VerifyError, consistency};
use crate::places::transparency::LogError;
use crate::places::transparency::http::Http;
use crate::words::date::{Span, Timestamp};
use crate::words::digest::Sha256;

/// How many leaves are asked for at once.
const LEAVES: u64 = 512;

/// Largest answer in bytes: a leaf is a line of 263.
const ANSWER: u64 = 256 << 10;

/// A Sigsum log of a policy.
pub struct SigsumReader {
    http: Http,
    url: String,
    log: PublicKey,
    policy: Policy,
    /// The keys that submit, and key hashes of those that did.
    keys: Vec<PublicKey>,
    key_hashes: BTreeSet<Sha256>,
}

impl SigsumReader {
    /// Reads this log at this address. Leaves are ours that one of these keys submitted, or one with any of these key hashes.
    ///
    /// # Errors
    /// The certificate authorities cannot be read.
    pub fn new(
        log: &Log,
        url: &str,
        policy: &Policy,
        keys: Vec<PublicKey>,
        earlier: &BTreeSet<Sha256>,
        authorities: Option<&Path>,
    ) -> Result<Self, LogError> {
        let failed = |fault: std::io::Error| LogError::Settings { file: "SSL_CERT_FILE".to_owned(), problem: fault.to_string() };
        let mut key_hashes = earlier.clone();
        key_hashes.extend(keys.iter().map(PublicKey::hash));
        let http = Http::new(authorities).map_err(failed)?;
        Ok(Self { http, url: url.to_owned(), log: log.key, policy: policy.clone(), keys, key_hashes })
    }

    pub(super) fn name(&self) -> String {
        self.log.hash().to_hex()
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn head(&self, now: Timestamp, age: Span) -> Result<SignedHead, ReadError> {
        let body = need(&self.http, &self.url, "get-tree-head", ANSWER)?;
        let head = CosignedTreeHead::parse(&body).map_err(|fault| lies("its tree head", &fault))?;
        let (witnesses, lacks) = match self.policy.check(&self.log, &head) {
            Ok(witnesses) => {
                let lacks = self.old(&head, now, age);
                (witnesses, lacks)
            }
            Err(fault @ VerifyError::Quorum { .. }) => (Vec::new(), Some(Lack::Quorum(fault.to_string()))),
            Err(fault) => return Err(lies("its tree head", &fault)),
        };
        Ok(SignedHead { size: head.size, root: head.root, text: head.text(), witnesses, lacks })
    }

    /// Returns what is said where the quorum is met only by old cosignatures.
    fn old(&self, head: &CosignedTreeHead, now: Timestamp, age: Span) -> Option<Lack> {
        let mut fresh = head.clone();
        fresh.cosignatures.retain(|cosignature| cosignature.time >= now.minus(age));
        let VerifyError::Quorum { good, quorum } = self.policy.check(&self.log, &fresh).err()? else { return None };
        let newest = head.cosignatures.iter().map(|cosignature| cosignature.time).max();
        let newest = newest.map_or(String::new(), |newest| format!("; the newest of all is of {}", newest.iso8601()));
        Some(Lack::Fresh(format!(
            "{good} cosignatures of its tree head are younger than {age}, which the quorum \"{quorum}\" does not accept{newest}"
        )))
    }

    pub(super) fn check_consistency(&self, old: (u64, &Sha256), new: (u64, &Sha256)) -> Result<(), ReadError> {
        let path = if old.0 == 0 || old.0 >= new.0 {
            Vec::new()
        } else {
            let body = need(&self.http, &self.url, &format!("get-consistency-proof/{}/{}", old.0, new.0), ANSWER)?;
            consistency::parse(&body).map_err(|fault| lies("its consistency proof", &fault))?
        };
        let what = format!("its tree of {} leaves does not hold the one of {}", new.0, old.0);
        check_consistency(old, new, &path).map_err(|fault| lies(&what, &fault))
    }

    pub(super) fn edge(&self, size: u64) -> Result<CompactRange, ReadError> {
        let last = size.saturating_sub(1);
        let leaf = self.batch(last, size)?;
        let leaf = leaf.first().ok_or_else(|| ReadError::Down(format!("get-leaves/{last}/{size}: it gives no leaf")))?.hash();
        let inclusion = if size < 2 {
            Inclusion::default()
        } else {
            let body = need(&self.http, &self.url, &format!("get-inclusion-proof/{size}/{leaf}"), ANSWER)?;
            Inclusion::parse(&body).map_err(|fault| lies("its inclusion proof", &fault))?
        };
        let range = CompactRange::before_last(size, &inclusion.path).filter(|_| inclusion.index == last);
        let mut range = range.ok_or_else(|| ReadError::Lies(format!("its inclusion proof is not one of its last leaf {last}")))?;
        range.append(leaf);
        Ok(range)
    }

    pub(super) fn keys(&self) -> BTreeSet<String> {
        self.key_hashes.iter().map(Sha256::to_hex).collect()
    }

    /// Reads leaves from the first number on, as many as the log gives at once before the second.
    pub(super) fn leaves(&self, (from, to): (u64, u64)) -> Result<Vec<super::Leaf>, ReadError> {
        let leaves = self.batch(from, to.min(from.saturating_add(LEAVES)))?;
        Ok((from..).zip(leaves).map(|(index, leaf)| (leaf.hash(), self.own(&leaf, index))).collect())
    }

    /// Reads leaves from the first number, before the second; a log may give fewer, but not more.
    fn batch(&self, from: u64, to: u64) -> Result<Vec<Leaf>, ReadError> {
        let body = need(&self.http, &self.url, &format!("get-leaves/{from}/{to}"), ANSWER)?;
        let leaves = Leaf::read_all(&body).map_err(|fault| lies("its leaves", &fault))?;
        if leaves.len() as u64 > to - from {
            return Err(ReadError::Lies(format!("it gives {} leaves where {} were asked for", leaves.len(), to - from)));
        }
        Ok(leaves)
    }

    fn own(&self, leaf: &Leaf, index: u64) -> Option<OwnLeaf> {
        if !self.key_hashes.contains(&leaf.key_hash) {
            return None;
        }
        // Of an earlier key only the hash is known.
        let forged = self.keys.iter().any(|key| leaf.key_hash == key.hash() && !leaf.is_by(key));
        let fault = forged.then(|| "its signature is not one by our key, and the log should have refused it".to_owned());
        Some(OwnLeaf { index, about: leaf.checksum, fault })
    }
}
