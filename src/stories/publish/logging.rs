//! Log before serve: no client gets a Release whose required proofs are not there.
//!
//! A Release is logged after it was staged, so that every entry of our keys in a log belongs to a Release on the branch, and before
//! anything flips. All logs are asked side by side. What they gave is kept on the branch before anything is served, also when another
//! fails, so that the next run, on any machine, asks only for the rest, with the same bytes.

use std::collections::BTreeSet;
use std::thread::ScopedJoinHandle;

use super::stage::{self, Proofs, StageError, Staged};
use super::{DistsRequest, Places, PublishError};
use crate::formats::openssh;
use crate::formats::sigstore::public_key::PublicKey as SigningKey;
use crate::formats::sigstore::signer::Signer;
use crate::formats::sigstore::signing_config::SigningConfig;
use crate::formats::sigstore::trusted_root::TrustedRoot;
use crate::formats::sigsum::{Policy, PublicKey};
use crate::places::git::Oid;
use crate::places::git::read::Snapshot;
use crate::places::transparency::sigstore::Services;
use crate::places::transparency::{LogError, Proof, TransparencyLog};
use crate::stories::archive::OpenArchive;
use crate::stories::event::{Event, Listener};
use crate::words::archive::{Archive, LogKind, LogMode, SigstoreSettings, SigsumSettings};
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// A log, and what ddb.toml says about it. Those that are off are left out.
pub struct ConfiguredLog {
    /// The log.
    pub log: Box<dyn TransparencyLog>,
    /// Required or best effort.
    pub mode: LogMode,
    /// Whether its proof goes into the armor of InRelease and Release.gpg.
    pub staple: bool,
}

/// Finds the logs that a commit configures.
pub type FindLogs<'a> = dyn Fn(&Snapshot<'_>, &Archive) -> Result<Vec<ConfiguredLog>, PublishError> + 'a;

/// What all logs gave for a Release, before it is decided what that means.
pub(super) struct Asked {
    release: Sha256,
    proofs: Proofs,
    faults: Vec<(LogMode, LogKind, LogError)>,
    staple: BTreeSet<LogKind>,
}

impl Asked {
    /// Returns the proofs that logs gave.
    pub(super) fn proofs(&self) -> &Proofs {
        &self.proofs
    }

    /// Tells whether the logs were asked about this Release.
    pub(super) fn is_about(&self, release: &[u8]) -> bool {
        self.release == Sha256::of(release)
    }
}

/// What clients get from the logs of a Release.
pub(super) struct Logged {
    pub(super) proofs: Proofs,
    /// The proofs that go into the armor of the signatures.
    pub(super) staple: BTreeSet<LogKind>,
    /// What is missing, in sentences.
    pub(super) notes: Vec<String>,
}

/// Returns the logs of the newest commit: what it requires counts for every Release that is not served yet.
pub(super) fn logs(places: &Places<'_>) -> Result<Vec<ConfiguredLog>, PublishError> {
    let tip = places.open.tip()?;
    (places.logs)(&tip, &places.open.configuration(&tip)?)
}

/// Checks that required logs have what they need here, before anything is staged.
pub(super) fn are_ready(logs: &[ConfiguredLog]) -> Result<(), PublishError> {
    let mut required = logs.iter().filter(|log| log.mode == LogMode::Required);
    Ok(required.try_for_each(|log| log.log.ready())?)
}

/// Says which logs are waited for.
pub(super) fn say(logs: &[ConfiguredLog], listener: Listener<'_>) {
    for log in logs {
        listener(Event::Detail(format!("waiting for the proof of a {} log", log.log.kind())));
    }
}

/// Asks every log for a proof of a Release, side by side; those whose kept proof is good are not asked.
pub(super) fn prove(logs: &[ConfiguredLog], release: &[u8], kept: &Proofs) -> Asked {
    let ask = |log: &ConfiguredLog| -> Result<Proof, LogError> {
        if let Some(kept) = kept.get(&log.log.kind()).filter(|kept| log.log.check(release, kept).is_ok()) {
            return Ok(kept.clone());
        }
        let proof = log.log.prove(release)?;
        log.log.check(release, &proof)?;
        Ok(proof)
    };
    let answers = std::thread::scope(|scope| {
        let asked: Vec<_> = logs.iter().map(|log| (log, scope.spawn(|| ask(log)))).collect();
        asked.into_iter().map(|(log, asked)| (log, joined(asked))).collect::<Vec<_>>()
    });
    let mut asked = Asked { release: Sha256::of(release), proofs: Proofs::new(), faults: Vec::new(), staple: BTreeSet::new() };
    for (log, answer) in answers {
        let kind = log.log.kind();
        match answer {
            Ok(proof) => {
                asked.proofs.insert(kind, proof);
                asked.staple.extend(log.staple.then_some(kind));
            }
            Err(fault) => asked.faults.push((log.mode, kind, fault)),
        }
    }
    asked
}

/// Waits for a thread; what it panicked with goes on.
pub(super) fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Decides whether a staged Release may be served with these proofs.
///
/// # Errors
/// A required proof is missing; what the other logs gave is on the branch then.
pub(super) fn settle(
    request: &DistsRequest,
    places: &Places<'_>,
    staged: &Staged,
    asked: Asked,
    listener: Listener<'_>,
) -> Result<Logged, PublishError> {
    let Asked { proofs, faults, staple, .. } = asked;
    let (required, others): (Vec<_>, Vec<_>) = faults.into_iter().partition(|(mode, ..)| *mode == LogMode::Required);
    let note = |(_, kind, fault): &(LogMode, LogKind, LogError)| {
        let (codename, sequence) = (&request.codename, staged.inputs.sequence);
        format!("Release {sequence} of {codename} has no {kind} proof: {fault}. `ddb-publish log --pending` gets it later")
    };
    let notes = others.iter().map(note).collect();
    let mut required = required.into_iter();
    let Some((_, _, fault)) = required.next() else { return Ok(Logged { proofs, staple, notes }) };
    required.for_each(|(_, _, fault)| listener(Event::Warning(fault.to_string())));
    keep(request, places.open, staged, &proofs, listener);
    Err(fault.into())
}

/// Keeps on the branch what logs gave for a Release that cannot be served now, so that the next run asks only for the rest: some
/// logs make another entry each time. That this fails is said, and is not why the publish fails.
pub(super) fn keep(request: &DistsRequest, open: &OpenArchive, staged: &Staged, proofs: &Proofs, listener: Listener<'_>) {
    if let Err(fault) = kept(request, open, staged, proofs) {
        listener(Event::Warning(format!(
            "the proofs of Release {} of {} were not kept, the next run asks for them again: {fault}",
            staged.inputs.sequence, request.codename
        )));
    }
}

/// Keeps on the branch what logs gave for a staged Release and returns the commit that has it, which may be the staged one itself;
/// `None` where the branch moved meanwhile. Clients see no proof that is not there: a run that is stopped while it serves is
/// followed by one that serves the same proof, under the same name in the history.
pub(super) fn kept(request: &DistsRequest, open: &OpenArchive, staged: &Staged, proofs: &Proofs) -> Result<Option<Oid>, StageError> {
    if proofs.iter().all(|(kind, proof)| staged.proofs.get(kind) == Some(proof)) {
        return Ok(Some(staged.commit));
    }
    stage::keep_proofs(open, &request.codename, staged, None, proofs, &request.author)
}

/// Tells whether a proof of a Release is good by what the newest commit trusts.
pub(super) fn is_good(logs: &[ConfiguredLog], release: &[u8], kind: LogKind, proof: &Proof) -> bool {
    logs.iter().any(|log| log.log.kind() == kind && log.log.check(release, proof).is_ok())
}

/// Returns the first good proofs of a Release that has any, by what is trusted now or was when the Release was made: what somebody else
/// left there is none of them.
pub(super) fn first(places: &Places<'_>, logs: &[ConfiguredLog], codename: &Codename, staged: &Staged) -> Result<Proofs, PublishError> {
    if staged.proofs.is_empty() {
        return Ok(Proofs::new());
    }
    let then = places.open.repository.snapshot(staged.base(codename)?).ok().and_then(|then| {
        let archive = places.open.configuration(&then).ok()?;
        (places.logs)(&then, &archive).ok()
    });
    let then = then.unwrap_or_default();
    let holds = |logs, kind, proof: &Proof| is_good(logs, &staged.release, kind, proof);
    let first = |kind, proof: &Proof| holds(logs, kind, proof) || holds(&then, kind, proof);
    Ok(stage::first_proofs(&places.open.repository, staged.commit, first)?)
}

/// Tells whether the newest commit requires a proof that these are not: a log may have become required while others were waited for.
pub(super) fn are_enough(logs: &[ConfiguredLog], release: &[u8], proofs: &Proofs) -> bool {
    let good = |log: &ConfiguredLog| proofs.get(&log.log.kind()).is_some_and(|proof| log.log.check(release, proof).is_ok());
    logs.iter().filter(|log| log.mode == LogMode::Required).all(good)
}

/// Reads what the configuration of a Sigsum log names in a commit: the policy and the public key that submits.
///
/// # Errors
/// A file is missing or not usable.
pub fn sigsum_trust(snapshot: &Snapshot<'_>, settings: &SigsumSettings) -> Result<(Policy, PublicKey), PublishError> {
    let read = |path: &str| configured(snapshot, path, LogKind::Sigsum);
    let policy = if settings.policy.contains('/') { Policy::parse(&read(&settings.policy)?) } else { Policy::built_in(&settings.policy) };
    let policy = policy.map_err(|fault| unusable(&settings.policy, &fault))?;
    let text = String::from_utf8_lossy(&read(&settings.key)?).into_owned();
    let key = openssh::public_key(&text).map_err(|fault| unusable(&settings.key, &fault))?;
    Ok((policy, key))
}

/// What the configuration of a Sigstore log names in a commit.
pub struct SigstoreTrust {
    /// Where entries, timestamps and certificates are made.
    pub services: Services,
    /// Who signs entries.
    pub signer: Signer,
    /// Whom clients trust.
    pub root: TrustedRoot,
}

/// Reads what the configuration of a Sigstore log names in a commit; of several addresses those that are in use now.
///
/// # Errors
/// A file is missing or not usable.
pub fn sigstore_trust(snapshot: &Snapshot<'_>, settings: &SigstoreSettings, now: Timestamp) -> Result<SigstoreTrust, PublishError> {
    let read = |path: &str| configured(snapshot, path, LogKind::Sigstore);
    let services = match &settings.signing_config {
        Some(path) => {
            let config = SigningConfig::parse(&read(path)?).map_err(|fault| unusable(path, &fault))?;
            Services {
                logs: config.logs(now),
                timestamp_authorities: config.timestamp_authorities(now),
                certificate_authorities: config.certificate_authorities(now),
            }
        }
        None => Services {
            logs: settings.url.iter().cloned().collect(),
            timestamp_authorities: settings.timestamp_url.iter().cloned().collect(),
            certificate_authorities: settings.fulcio_url.iter().cloned().collect(),
        },
    };
    let root = TrustedRoot::parse(&read(&settings.trusted_root)?).map_err(|fault| unusable(&settings.trusted_root, &fault))?;
    let signer = match (&settings.key, &settings.identity, &settings.issuer) {
        (None, Some(subject), Some(issuer)) => Signer::Identity { subject: subject.clone(), issuer: issuer.clone() },
        (key, ..) => signing_key(snapshot, key.as_deref().unwrap_or_default())?,
    };
    Ok(SigstoreTrust { services, signer, root })
}

fn signing_key(snapshot: &Snapshot<'_>, path: &str) -> Result<Signer, PublishError> {
    let text = String::from_utf8_lossy(&configured(snapshot, path, LogKind::Sigstore)?).into_owned();
    match SigningKey::from_pem(&text).map_err(|fault| unusable(path, &fault))? {
        key @ SigningKey::P256(_) => Ok(Signer::Key(key)),
        _ => Err(unusable(path, &"it is no ECDSA key on P-256, the only kind that signs entries").into()),
    }
}

/// Reads a file of `keys/` that the configuration of a log names.
fn configured(snapshot: &Snapshot<'_>, path: &str, kind: LogKind) -> Result<Vec<u8>, PublishError> {
    let missing = || {
        let problem = format!("it is missing in commit {}; commit it, or correct logs.{kind} of ddb.toml", snapshot.commit());
        LogError::Settings { file: path.to_owned(), problem }
    };
    Ok(snapshot.file(path)?.ok_or_else(missing)?)
}

fn unusable(file: &str, fault: &dyn std::fmt::Display) -> LogError {
    LogError::Settings { file: file.to_owned(), problem: fault.to_string() }
}
