//! Proofs of transparency logs, checked offline against pinned keys and a pinned policy.
//!
//! A proof is looked for where clients get it for nothing, stapled to the signature, then beside Release, then in the history by
//! checksum. Every proof that clients are given must be good; one is enough. The history keeps the first proof for ever: where that
//! is of a log which does not count any more, and a newer proof is good, it is only noted. A bundle of Sigstore is never stapled.

use super::answer::{Class, ProofAnswer};
use super::site::{Missing, Site};
use super::suite::{Look, Signed};
use crate::formats::openssh;
use crate::formats::sigstore::public_key;
use crate::formats::sigstore::signer::Signer;
use crate::formats::sigstore::trusted_root::TrustedRoot;
use crate::formats::sigstore::verify::{Trust, Verified as Shown};
use crate::formats::sigsum::{Policy, PublicKey, Verified, staple, verify};
use crate::words::date::Span;
use crate::words::digest::Sha256;

/// Largest proof in bytes.
const PROOF: u64 = 64 << 10;

/// Largest bundle in bytes.
const BUNDLE: u64 = 1 << 20;

/// Who may submit to Sigsum logs, and which logs and witnesses count.
#[derive(Debug, Clone)]
pub struct SigsumPins {
    keys: Vec<PublicKey>,
    policy: Policy,
}

impl SigsumPins {
    /// Reads a policy (a file's text, or the name of a built-in one) and public keys (OpenSSH lines, or 64 hexadecimal digits).
    ///
    /// # Errors
    /// What is wrong with one of them, or that there is no key.
    pub fn read(policy: &[u8], keys: &[&str]) -> Result<Self, String> {
        let name = std::str::from_utf8(policy).unwrap_or_default().trim();
        let policy = match Policy::built_in(name) {
            Ok(policy) => policy,
            Err(_) => Policy::parse(policy).map_err(|fault| format!("the Sigsum policy cannot be used: {fault}"))?,
        };
        let mut read = Vec::new();
        for key in keys {
            let text = key.trim();
            let key = text.parse::<PublicKey>().or_else(|_| openssh::public_key(text));
            read.push(key.map_err(|fault| format!("the Sigsum key cannot be used: {fault}"))?);
        }
        if read.is_empty() { Err("no Sigsum key is given".to_owned()) } else { Ok(Self { keys: read, policy }) }
    }

    /// Checks a proof of a Release. Fails with what is wrong.
    pub(super) fn check(&self, release: &[u8], proof: &[u8]) -> Result<Verified, String> {
        verify::verify_bytes(release, proof, &self.keys, &self.policy).map_err(|fault| fault.to_string())
    }
}

/// Whose signatures in Sigstore's logs count, and which logs and authorities are trusted.
#[derive(Debug, Clone)]
pub struct SigstorePins {
    trust: Trust,
}

impl SigstorePins {
    /// Reads a trusted root and the public key (PEM, ECDSA on P-256) whose signatures count.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn of_key(root: &[u8], key: &str) -> Result<Self, String> {
        let key = public_key::PublicKey::from_pem(key).map_err(|fault| format!("the Sigstore key cannot be used: {fault}"))?;
        Self::of(root, Signer::Key(key))
    }

    /// Reads a trusted root; signatures count that were made with a certificate for this identity, vouched for by this issuer.
    ///
    /// # Errors
    /// What is wrong with the trusted root.
    pub fn of_identity(root: &[u8], subject: &str, issuer: &str) -> Result<Self, String> {
        Self::of(root, Signer::Identity { subject: subject.to_owned(), issuer: issuer.to_owned() })
    }

    fn of(root: &[u8], signer: Signer) -> Result<Self, String> {
        let root = TrustedRoot::parse(root).map_err(|fault| format!("the trusted root cannot be used: {fault}"))?;
        Ok(Self { trust: Trust { root, signer } })
    }
}

/// Checks the Sigstore bundles of a signed Release, in the folder where it is.
pub(super) fn sigstore(look: &mut Look, pins: Option<&SigstorePins>, signed: &Signed, (site, folder): (&Site, &str)) {
    let Some(pins) = pins else { return };
    let beside = format!("{folder}/Release.sigstore.json");
    let history = format!("{folder}/tlog/{}.sigstore.json", Sha256::of(signed.text.as_bytes()));
    let mut answer: Option<ProofAnswer> = None;
    let mut found = false;
    for path in [&beside, &history] {
        let bundle = match site.read(path, BUNDLE) {
            Ok(bundle) => bundle,
            Err(Missing::Absent) => continue,
            Err(missing) => {
                look.find(Class::Unreachable, path, missing.reason());
                continue;
            }
        };
        found = true;
        match pins.trust.verify(signed.text.as_bytes(), &bundle) {
            Ok(shown) => answer.get_or_insert(of_bundle(&shown)).found.push(path.clone()),
            Err(fault) if *path == history && answer.is_some() => note_first(look, path, &fault.to_string()),
            Err(fault) => look.find(Class::Proof, path, format!("is no good Sigstore bundle of this Release: {fault}")),
        }
    }
    if !found {
        look.find(Class::Proof, &beside, "is missing: this Release may be in no log, and nobody but you may have seen it");
    }
    look.answer.proofs.extend(answer);
}

fn of_bundle(shown: &Shown) -> ProofAnswer {
    let entry = |logged: &crate::formats::sigstore::verify::Logged| format!("entry {} of {} in {}", logged.index, logged.size, logged.log);
    let entries = shown.entries.iter().map(entry).collect::<Vec<_>>().join(", ");
    let times = shown.times.iter().map(|time| format!(", stamped at {}", time.iso8601())).collect::<String>();
    ProofAnswer { log: "sigstore".to_owned(), found: Vec::new(), witnesses: Vec::new(), entry: format!("{entries}{times}") }
}

/// Says that the history has a proof that does not count, which is no fault where a newer one does.
fn note_first(look: &mut Look, path: &str, reason: &str) {
    look.note(format!("{path} is the first proof of this Release and does not count now: {reason}"));
}

/// How far the clocks of witnesses may be off. A cosignature's time has no other use: a proof does not grow old.
const OFF: Span = Span::of_seconds(3600);

/// Checks that the witnesses saw the tree after the Release was made and before now.
fn check_times(look: &mut Look, path: &str, verified: &Verified) {
    let (Some(seen), Some((date, now))) = (verified.seen(), look.dated) else { return };
    if seen.plus(OFF) < date {
        let reason = format!(
            "is of {}, and the witnesses of its proof saw it by {}: it was made out in advance, or clocks are wrong",
            date.iso8601(),
            seen.iso8601()
        );
        look.find(Class::Freshness, path, reason);
    }
    if let Some((name, time)) = verified.witnesses.iter().find(|(_, time)| *time > now.plus(OFF)) {
        let reason =
            format!("has a proof that the witness {name} saw at {}, which lies in the future; is the clock right?", time.iso8601());
        look.find(Class::Freshness, path, reason);
    }
}

/// Says what nobody would notice where no log is asked for.
pub(super) fn note_missing_pins(look: &mut Look) {
    look.note(
        "no transparency log was asked for (--sigsum-policy or --sigstore-trusted-root): a Release that is shown to nobody else would not be noticed",
    );
}

/// Checks the Sigsum proofs of a signed Release. `folder` is where Release is; `None` for apt's lists, which keep no other files.
pub(super) fn sigsum(look: &mut Look, pins: Option<&SigsumPins>, path: &str, signed: &Signed, place: Option<(&Site, &str)>) {
    let Some(pins) = pins else { return };
    let (mut proofs, mut history) = (Vec::new(), None);
    match staple::stapled(signed.signature.as_bytes()) {
        Ok(stapled) => proofs.extend(stapled.map(|proof| (path.to_owned(), proof))),
        // An archive with Release.gpg in binary form.
        Err(_) if signed.signature.is_empty() => {}
        Err(fault) => look.find(Class::Proof, path, fault.to_string()),
    }
    if let Some((site, folder)) = place {
        let first = history.insert(format!("{folder}/tlog/{}.proof", Sha256::of(signed.text.as_bytes()))).clone();
        for path in [format!("{folder}/Release.proof"), first] {
            match site.read(&path, PROOF) {
                Ok(proof) => proofs.push((path, proof)),
                Err(Missing::Absent) => {}
                Err(missing) => look.find(Class::Unreachable, path, missing.reason()),
            }
        }
    }
    if proofs.is_empty() {
        look.find(Class::Proof, path, "has no Sigsum proof: this Release may be in no log, and nobody but you may have seen it");
    }
    let mut answer: Option<ProofAnswer> = None;
    for (path, proof) in proofs {
        match pins.check(signed.text.as_bytes(), &proof) {
            Ok(verified) => {
                let entry = format!("leaf {} of a tree of {} in the log {}", verified.index, verified.size, verified.log.hash());
                check_times(look, &path, &verified);
                let witnesses = verified.witnesses.into_iter().map(|(name, _)| name).collect();
                let first = ProofAnswer { log: "sigsum".to_owned(), found: Vec::new(), witnesses, entry };
                answer.get_or_insert(first).found.push(path);
            }
            Err(reason) if answer.is_some() && history.as_ref() == Some(&path) => note_first(look, &path, &reason),
            Err(reason) => look.find(Class::Proof, path, format!("is no good Sigsum proof of this Release: {reason}")),
        }
    }
    look.answer.proofs.extend(answer);
}
