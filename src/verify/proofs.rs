//! Proofs of transparency logs, checked offline against pinned keys and a pinned policy.
//!
//! A proof is looked for where clients get it for nothing, stapled to the signature, then beside Release, then in the history by
//! checksum. Every proof that clients are given must be good; one is enough. The history keeps the first proof for ever: where that
//! is of a log which does not count any more, and a newer proof is good, it is only noted.

use super::answer::{Class, ProofAnswer};
use super::site::{Missing, Site};
use super::suite::{Look, Signed};
use crate::formats::openssh;
use crate::formats::sigstore::public_key;
use crate::formats::sigstore::signer::Signer;
use crate::formats::sigstore::trusted_root::TrustedRoot;
use crate::formats::sigstore::verify::{Trust, Verified as Shown};
use crate::formats::sigsum::{Policy, PublicKey, Verified, verify};
use crate::formats::staple;
use crate::words::archive::LogKind;
use crate::words::date::{Span, Timestamp};
use crate::words::digest::Sha256;

/// Returns the longest proof of a kind in a file, in bytes.
fn longest(kind: LogKind) -> u64 {
    match kind {
        LogKind::Sigsum => 64 << 10,
        LogKind::Sigstore => 1 << 20,
    }
}

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
    trusts: Vec<Trust>,
}

impl SigstorePins {
    /// Reads a trusted root, public keys (PEM, ECDSA on P-256) and a subject with who vouches for it. One of them all must have signed:
    /// by a key, or with a certificate for that subject.
    ///
    /// # Errors
    /// What is wrong with one of them, or that there is neither key nor subject.
    pub fn read(root: &[u8], keys: &[&str], identity: Option<(&str, &str)>) -> Result<Self, String> {
        let mut signers = Vec::new();
        for key in keys {
            let key = public_key::PublicKey::from_pem(key).map_err(|fault| format!("the Sigstore key cannot be used: {fault}"))?;
            signers.push(Signer::Key(key));
        }
        signers.extend(identity.map(|(subject, issuer)| Signer::Identity { subject: subject.to_owned(), issuer: issuer.to_owned() }));
        if signers.is_empty() {
            return Err("neither a Sigstore key nor an identity is given".to_owned());
        }
        let root = TrustedRoot::parse(root).map_err(|fault| format!("the trusted root cannot be used: {fault}"))?;
        Ok(Self { trusts: signers.into_iter().map(|signer| Trust { root: root.clone(), signer }).collect() })
    }

    /// Checks a bundle of a Release. Fails with what is wrong.
    pub(super) fn check(&self, release: &[u8], bundle: &[u8]) -> Result<Shown, String> {
        let mut reasons: Vec<String> = Vec::new();
        for trust in &self.trusts {
            match trust.verify(release, bundle).map_err(|fault| fault.to_string()) {
                Ok(shown) => return Ok(shown),
                Err(reason) if reasons.contains(&reason) => {}
                Err(reason) => reasons.push(reason),
            }
        }
        Err(reasons.join("; "))
    }
}

/// Where Release stands: the site and the folder in it.
type Place<'a> = (&'a Site, &'a str);

/// The proofs of one kind that clients are given with a Release, each with where it was found, in the order in which they are judged.
struct Given {
    proofs: Vec<(String, Vec<u8>)>,
    /// Where the first proof ever kept is.
    history: Option<String>,
}

impl Given {
    /// Takes the proof out of the armor of a signature, at this path, and reads those that lie where Release stands.
    fn with(look: &mut Look, kind: LogKind, path: &str, signed: &Signed, place: Option<Place<'_>>) -> Self {
        let mut given = Self { proofs: Vec::new(), history: None };
        match staple::stapled(signed.signature.as_bytes(), kind) {
            Ok(stapled) => given.proofs.extend(stapled.map(|proof| (path.to_owned(), proof))),
            // An archive with Release.gpg in binary form.
            Err(_) if signed.signature.is_empty() => {}
            Err(fault) => look.find(Class::Proof, path, fault.to_string()),
        }
        let Some((site, folder)) = place else { return given };
        let first = format!("{folder}/tlog/{}.{}", Sha256::of(signed.text.as_bytes()), kind.ending());
        given.history = Some(first.clone());
        for path in [format!("{folder}/{}", kind.file()), first] {
            match site.read(&path, longest(kind)) {
                Ok(proof) => given.proofs.push((path, proof)),
                Err(Missing::Absent) => {}
                Err(missing) => look.find(Class::Unreachable, path, missing.reason()),
            }
        }
        given
    }

    /// Checks each of them and puts what they show into the answer.
    fn judge(self, look: &mut Look, what: &str, check: impl Fn(&mut Look, &str, &[u8]) -> Result<ProofAnswer, String>) {
        let mut answer: Option<ProofAnswer> = None;
        for (path, proof) in self.proofs {
            match check(look, &path, &proof) {
                Ok(first) => answer.get_or_insert(first).found.push(path),
                Err(reason) if answer.is_some() && self.history.as_ref() == Some(&path) => note_first(look, &path, &reason),
                Err(reason) => look.find(Class::Proof, path, format!("is no good {what} of this Release: {reason}")),
            }
        }
        look.answer.proofs.extend(answer);
    }
}

/// What a Release without proof may mean.
const UNSEEN: &str = "this Release may be in no log, and nobody but you may have seen it";

/// Checks the Sigstore bundles of a signed Release. `place` is where Release is; `None` for apt's lists, which keep no other files.
pub(super) fn sigstore(look: &mut Look, pins: Option<&SigstorePins>, path: &str, signed: &Signed, place: Option<Place<'_>>) {
    let Some(pins) = pins else { return };
    let given = Given::with(look, LogKind::Sigstore, path, signed, place);
    match place {
        Some((_, folder)) if given.proofs.is_empty() => {
            look.find(Class::Proof, format!("{folder}/{}", LogKind::Sigstore.file()), format!("is missing: {UNSEEN}"));
        }
        None if given.proofs.is_empty() => {
            let reason = format!("has no Sigstore bundle in it: the archive puts none there (logs.sigstore.staple), or {UNSEEN}");
            look.find(Class::Proof, path, reason);
        }
        _ => {}
    }
    given.judge(look, "Sigstore bundle", |look, path, bundle| {
        let shown = pins.check(signed.text.as_bytes(), bundle)?;
        let stamped: Vec<_> = shown.times.iter().map(|time| ("a timestamp authority".to_owned(), *time)).collect();
        check_times(look, path, shown.times.iter().max().copied(), &stamped);
        Ok(of_bundle(&shown))
    });
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

/// How far the clocks of witnesses and timestamp authorities may be off. A cosignature's time has no other use: a proof does not grow old.
const OFF: Span = Span::of_seconds(3600);

/// Checks that who vouches for the time of a proof saw it after the Release was made and before now.
fn check_times(look: &mut Look, path: &str, seen: Option<Timestamp>, witnesses: &[(String, Timestamp)]) {
    let (Some(seen), Some((date, now))) = (seen, look.dated) else { return };
    if seen.plus(OFF) < date {
        let reason = format!(
            "is of {}, and the witnesses of its proof saw it by {}: it was made out in advance, or clocks are wrong",
            date.iso8601(),
            seen.iso8601()
        );
        look.find(Class::Freshness, path, reason);
    }
    if let Some((name, time)) = witnesses.iter().find(|(_, time)| *time > now.plus(OFF)) {
        let reason = format!("has a proof that {name} saw at {}, which lies in the future; is the clock right?", time.iso8601());
        look.find(Class::Freshness, path, reason);
    }
}

/// Says what nobody would notice where no log is asked for.
pub(super) fn note_missing_pins(look: &mut Look) {
    look.note(
        "no transparency log was asked for (--sigsum-policy or --sigstore-trusted-root): a Release that is shown to nobody else would not be noticed",
    );
}

/// Checks the Sigsum proofs of a signed Release. `place` is where Release is; `None` for apt's lists, which keep no other files.
pub(super) fn sigsum(look: &mut Look, pins: Option<&SigsumPins>, path: &str, signed: &Signed, place: Option<Place<'_>>) {
    let Some(pins) = pins else { return };
    let given = Given::with(look, LogKind::Sigsum, path, signed, place);
    if given.proofs.is_empty() {
        look.find(Class::Proof, path, format!("has no Sigsum proof: {UNSEEN}"));
    }
    given.judge(look, "Sigsum proof", |look, path, proof| {
        let verified = pins.check(signed.text.as_bytes(), proof)?;
        let witnesses: Vec<_> = verified.witnesses.iter().map(|(name, time)| (format!("the witness {name}"), *time)).collect();
        check_times(look, path, verified.seen(), &witnesses);
        let entry = format!("leaf {} of a tree of {} in the log {}", verified.index, verified.size, verified.log.hash());
        let witnesses = verified.witnesses.into_iter().map(|(name, _)| name).collect();
        Ok(ProofAnswer { log: "sigsum".to_owned(), found: Vec::new(), witnesses, entry })
    });
}
