//! What the newest commit of the archive says: suites, logs and whom to trust, who signs.

use std::collections::BTreeMap;

use super::{MonitorError, MonitorRequest};
use crate::formats::sigstore;
use crate::formats::sigstore::trusted_root::TrustedRoot;
use crate::formats::sigsum::{Policy, PublicKey};
use crate::places::git::Oid;
use crate::places::git::read::Snapshot;
use crate::places::sign::PublicCertificate;
use crate::stories::archive::OpenArchive;
use crate::stories::publish::logging::{sigstore_trust, sigsum_trust};
use crate::words::archive::{Archive, LogKind, LogMode};
use crate::words::date::Timestamp;
use crate::words::name::Codename;

/// Whom the newest commit trusts, and which keys are ours.
#[derive(Debug, Default)]
pub struct Trust {
    /// The policy, and the key that submits.
    pub sigsum: Option<(Policy, PublicKey)>,
    /// The trusted root, and the key that signs entries.
    pub sigstore: Option<(TrustedRoot, sigstore::public_key::PublicKey)>,
}

/// What the newest commit says.
pub(super) struct Newest {
    pub(super) codenames: Vec<Codename>,
    /// Where clients come.
    pub(super) url: Option<String>,
    pub(super) modes: BTreeMap<LogKind, LogMode>,
    pub(super) trust: Trust,
    /// The certificates that sign, by path.
    pub(super) certificates: Vec<(String, PublicCertificate)>,
}

impl Newest {
    pub(super) fn read(open: &OpenArchive, tips: &BTreeMap<String, Oid>, request: &MonitorRequest) -> Result<Self, MonitorError> {
        let tip = tips.get(&open.branch).ok_or_else(|| MonitorError::NoBranch { branch: open.branch.clone() })?;
        let snapshot = open.repository.snapshot(*tip)?;
        let archive = open.configuration(&snapshot)?;
        for codename in &request.codenames {
            if !archive.suites.contains_key(codename) {
                let known: Vec<&str> = archive.suites.keys().map(Codename::as_str).collect();
                return Err(MonitorError::NoSuite { codename: codename.clone(), known: known.join(", ") });
            }
        }
        let codenames = if request.codenames.is_empty() { archive.suites.keys().cloned().collect() } else { request.codenames.clone() };
        let certificates = open.signing_certificates(&snapshot, &archive)?;
        let (modes, trust) = (modes(&archive), trust(&snapshot, &archive, request.now)?);
        Ok(Self { codenames, url: archive.archive.url, modes, trust, certificates })
    }

    /// Returns what the configuration of another commit says of logs; nothing where it cannot be read any more.
    pub(super) fn modes_of(&self, open: &OpenArchive, commit: &str) -> BTreeMap<LogKind, LogMode> {
        let read = |commit: Oid| open.configuration(&open.repository.snapshot(commit)?);
        commit.parse().ok().and_then(|commit| read(commit).ok()).map_or_else(BTreeMap::new, |archive| modes(&archive))
    }
}

fn modes(archive: &Archive) -> BTreeMap<LogKind, LogMode> {
    let sigsum = archive.logs.sigsum.as_ref().map(|settings| (LogKind::Sigsum, settings.mode));
    let sigstore = archive.logs.sigstore.as_ref().map(|settings| (LogKind::Sigstore, settings.mode));
    sigsum.into_iter().chain(sigstore).collect()
}

fn trust(snapshot: &Snapshot<'_>, archive: &Archive, now: Timestamp) -> Result<Trust, MonitorError> {
    let sigsum = archive.logs.sigsum.as_ref().filter(|settings| settings.mode != LogMode::Off);
    let sigsum = sigsum.map(|settings| sigsum_trust(snapshot, settings)).transpose()?;
    let sigstore = archive.logs.sigstore.as_ref().filter(|settings| settings.mode != LogMode::Off);
    let sigstore = sigstore.map(|settings| sigstore_trust(snapshot, settings, now)).transpose()?;
    Ok(Trust { sigsum, sigstore: sigstore.map(|trust| (trust.root, trust.public)) })
}
