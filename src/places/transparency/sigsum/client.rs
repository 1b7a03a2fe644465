//! One Sigsum log over HTTP: a leaf is added until it is sequenced, then a cosigned tree head and the leaf's path are fetched.
//!
//! log.md section 3. Everything that comes back is foreign and is checked before it counts.

use std::time::{Duration, Instant};

use crate::formats::sigsum::leaf::{self, Leaf};
use crate::formats::sigsum::policy::Policy;
use crate::formats::sigsum::proof::{Inclusion, Proof};
use crate::formats::sigsum::tree_head::CosignedTreeHead;
use crate::formats::sigsum::{PublicKey, Signature, VerifyError, verify};
use crate::places::transparency::http::{Answer, Http};
use crate::words::digest::Sha256;

/// Longest time for one request.
const REQUEST: Duration = Duration::from_secs(30);

/// The name of the header with the rate-limit token.
const TOKEN: &str = "sigsum-token";

/// A file that is to be in a log, and who says so.
pub(super) struct Submission<'a> {
    pub(super) file: &'a [u8],
    pub(super) message: Sha256,
    pub(super) signature: Signature,
    pub(super) key: PublicKey,
}

impl Submission<'_> {
    fn leaf(&self) -> Leaf {
        Leaf { checksum: leaf::checksum(&self.message), signature: self.signature, key_hash: self.key.hash() }
    }
}

/// Why a log gives no proof for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// It does not answer as it should; a later try may help.
    Down(String),
    /// It takes nothing more for now.
    Limited(String),
    /// It does not take this.
    Refused(String),
    /// The leaf is there, and something is missing that may come.
    NotYet(String),
    /// It gives what cannot be true.
    Lies(String),
}

/// A log.
pub(super) struct Client<'a> {
    pub(super) http: &'a Http,
    pub(super) url: &'a str,
    pub(super) key: PublicKey,
    pub(super) token: Option<String>,
}

/// Returns how long a request may take that must be done at that time; `None` where it is over.
fn within(until: Instant) -> Option<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    (!left.is_zero()).then(|| left.min(REQUEST))
}

fn over() -> Fault {
    Fault::Down("the time is over".to_owned())
}

impl Client<'_> {
    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.url.trim_end_matches('/'))
    }

    /// Adds a leaf; returns whether it is sequenced already.
    pub(super) fn add(&self, submission: &Submission<'_>, until: Instant) -> Result<bool, Fault> {
        let body = leaf::request(&submission.message, &submission.signature, &submission.key);
        let token: Vec<(&str, &str)> = self.token.iter().map(|token| (TOKEN, token.as_str())).collect();
        let answer = self.http.post(&self.url("add-leaf"), &token, body.as_bytes(), within(until).ok_or_else(over)?);
        let answer = answer.map_err(Fault::Down)?;
        match answer.status {
            200 => Ok(true),
            202 => Ok(false),
            _ => Err(refusal(&answer)),
        }
    }

    fn get(&self, path: &str, until: Instant) -> Result<Answer, Fault> {
        self.http.get(&self.url(path), within(until).ok_or_else(over)?).map_err(Fault::Down)
    }

    /// Fetches a proof of a leaf that is sequenced.
    pub(super) fn collect(&self, submission: &Submission<'_>, policy: &Policy, until: Instant) -> Result<Proof, Fault> {
        let answer = self.get("get-tree-head", until)?;
        if answer.status != 200 {
            return Err(Fault::Down(answer.said()));
        }
        let lies = |fault: &dyn std::fmt::Display| Fault::Lies(format!("its tree head: {fault}"));
        let tree_head = CosignedTreeHead::parse(&answer.body).map_err(|fault| lies(&fault))?;
        match policy.check(&self.key, &tree_head) {
            Ok(_) => {}
            Err(fault @ VerifyError::Quorum { .. }) => return Err(Fault::NotYet(fault.to_string())),
            Err(fault) => return Err(lies(&fault)),
        }
        let hash = submission.leaf().hash();
        let inclusion = match tree_head.size {
            0 => return Err(Fault::NotYet("its tree is still empty".to_owned())),
            1 if tree_head.root != hash => return Err(Fault::NotYet("the leaf is not in its tree yet".to_owned())),
            1 => Inclusion::default(),
            size => {
                let answer = self.get(&format!("get-inclusion-proof/{size}/{hash}"), until)?;
                match answer.status {
                    200 => Inclusion::parse(&answer.body).map_err(|fault| Fault::Lies(format!("its inclusion proof: {fault}")))?,
                    404 => return Err(Fault::NotYet("the leaf is not in its tree yet".to_owned())),
                    _ => return Err(Fault::Down(answer.said())),
                }
            }
        };
        let (log, key_hash) = (self.key.hash(), submission.key.hash());
        let proof = Proof { log, key_hash, signature: submission.signature, tree_head, inclusion };
        match verify(submission.file, &proof, &[submission.key], policy) {
            Ok(_) => Ok(proof),
            Err(fault) => Err(Fault::Lies(fault.to_string())),
        }
    }
}

fn refusal(answer: &Answer) -> Fault {
    match answer.status {
        429 => Fault::Limited(answer.said()),
        400..=499 if answer.status != 408 => Fault::Refused(answer.said()),
        _ => Fault::Down(answer.said()),
    }
}
