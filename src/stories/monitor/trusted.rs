//! Whom ddb.toml trusted when nobody had changed anything that was not meant: the texts of the files that it named.
//!
//! They stand in the state, since who may push may also take the commit away that had them. As long as a change is not known to
//! somebody, the logs are followed on that were trusted before it, by the keys and witnesses of then.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::{Deserialize, Serialize};

use super::{MonitorError, Trust};
use crate::formats::openssh;
use crate::formats::sigstore::SigstoreError;
use crate::formats::sigstore::public_key::PublicKey;
use crate::formats::sigstore::signer::Signer;
use crate::formats::sigstore::trusted_root::TrustedRoot;
use crate::formats::sigsum::Policy;
use crate::places::git::read::Snapshot;
use crate::places::transparency::LogError;
use crate::words::archive::{Archive, LogKind};

/// Longest text in bytes that is remembered; policies and trusted roots are of some kilobytes.
const LONGEST: usize = 1 << 20;

/// Whom ddb.toml trusted with a kind of log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    /// The policy or its name, or the trusted root.
    pub logs: String,
    /// The public key that signs what is logged, or in two lines the name that does and who vouches for it.
    pub key: String,
}

/// Returns the texts of what a commit trusts, which was read before.
///
/// # Errors
/// A text is too long to be remembered.
pub(super) fn texts(snapshot: &Snapshot<'_>, archive: &Archive, trust: &Trust) -> Result<BTreeMap<LogKind, Texts>, MonitorError> {
    let mut texts = BTreeMap::new();
    if let Some(settings) = archive.logs.sigsum.as_ref().filter(|_| trust.sigsum.is_some()) {
        let logs = if settings.policy.contains('/') { text(snapshot, &settings.policy)? } else { settings.policy.clone() };
        texts.insert(LogKind::Sigsum, Texts { logs, key: text(snapshot, &settings.key)? });
    }
    if let Some(settings) = archive.logs.sigstore.as_ref().filter(|_| trust.sigstore.is_some()) {
        let logs = text(snapshot, &settings.trusted_root)?;
        let key = match (&settings.key, &settings.identity, &settings.issuer) {
            (None, Some(subject), Some(issuer)) => format!("{subject}\n{issuer}\n"),
            (key, ..) => text(snapshot, key.as_deref().unwrap_or_default())?,
        };
        texts.insert(LogKind::Sigstore, Texts { logs, key });
    }
    Ok(texts)
}

fn text(snapshot: &Snapshot<'_>, path: &str) -> Result<String, MonitorError> {
    let bytes = snapshot.file(path)?.unwrap_or_default();
    let count = bytes.len();
    if count > LONGEST {
        return Err(wrong(path, format!("it has {count} bytes, and a monitor remembers {LONGEST} at most")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn wrong(file: &str, problem: impl Display) -> MonitorError {
    LogError::Settings { file: file.to_owned(), problem: problem.to_string() }.into()
}

/// Returns whom these texts trust, as far as they can be read.
pub(super) fn read(texts: &BTreeMap<LogKind, Texts>, troubles: &mut Vec<MonitorError>) -> Trust {
    let mut trust = Trust::default();
    if let Some(Texts { logs, key }) = texts.get(&LogKind::Sigsum) {
        // A name is one word, and a policy has lines.
        let policy = if logs.contains(char::is_whitespace) { Policy::parse(logs.as_bytes()) } else { Policy::built_in(logs) };
        match (policy, openssh::public_key(key)) {
            (Ok(policy), Ok(key)) => trust.sigsum = Some((policy, key)),
            (Err(fault), _) => troubles.push(remembered(LogKind::Sigsum, &fault)),
            (_, Err(fault)) => troubles.push(remembered(LogKind::Sigsum, &fault)),
        }
    }
    if let Some(Texts { logs, key }) = texts.get(&LogKind::Sigstore) {
        match (TrustedRoot::parse(logs.as_bytes()), signer(key)) {
            (Ok(root), Ok(signer)) => trust.sigstore = Some((root, signer)),
            (Err(fault), _) | (_, Err(fault)) => troubles.push(remembered(LogKind::Sigstore, &fault)),
        }
    }
    trust
}

fn signer(text: &str) -> Result<Signer, SigstoreError> {
    match text.split('\n').collect::<Vec<_>>().as_slice() {
        [subject, issuer, ""] if !subject.starts_with("-----") => {
            Ok(Signer::Identity { subject: (*subject).to_owned(), issuer: (*issuer).to_owned() })
        }
        _ => PublicKey::from_pem(text).map(Signer::Key),
    }
}

fn remembered(kind: LogKind, fault: &dyn Display) -> MonitorError {
    wrong("the monitor's state", format!("what it remembers of the {kind} log that was trusted cannot be read: {fault}"))
}
