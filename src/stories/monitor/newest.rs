//! What the newest commit of the archive says: suites, logs and whom to trust, who signs.

use std::collections::{BTreeMap, BTreeSet};

use super::trusted::{self, Texts};
use super::{MonitorError, MonitorRequest};
use crate::formats::sigstore::signer::Signer;
use crate::formats::sigstore::trusted_root::TrustedRoot;
use crate::formats::sigsum::{Policy, PublicKey};
use crate::places::git::Oid;
use crate::places::git::read::Snapshot;
use crate::places::sign::PublicCertificate;
use crate::stories::archive::OpenArchive;
use crate::stories::publish::logging::{sigstore_trust, sigsum_trust};
use crate::stories::served::history::BRANCHES;
use crate::words::archive::{Archive, LogKind, LogMode};
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// Whom the newest commit trusts, and which keys are ours.
#[derive(Debug, Default)]
pub struct Trust {
    /// The policy, and the key that submits.
    pub sigsum: Option<(Policy, PublicKey)>,
    /// The trusted root, and who signs entries.
    pub sigstore: Option<(TrustedRoot, Signer)>,
}

/// What the newest commit says.
#[derive(Default)]
pub(super) struct Newest {
    /// The suites that are looked at.
    pub(super) codenames: Vec<Codename>,
    /// All suites.
    pub(super) suites: BTreeSet<Codename>,
    /// Where clients come.
    pub(super) url: Option<String>,
    pub(super) modes: BTreeMap<LogKind, LogMode>,
    pub(super) trust: Trust,
    /// The texts of what is trusted.
    pub(super) texts: BTreeMap<LogKind, Texts>,
    /// Digests of policy and trusted root, hashes of keys, by what they are.
    pub(super) digests: BTreeMap<String, String>,
    /// The certificates that sign, by path.
    pub(super) certificates: Vec<(String, PublicCertificate)>,
    /// What could not be read.
    pub(super) troubles: Vec<MonitorError>,
}

impl Newest {
    /// Reads the newest commit, as far as it can be read.
    pub(super) fn read(open: &OpenArchive, tips: &BTreeMap<String, Oid>, request: &MonitorRequest) -> Self {
        let mut newest = Self::default();
        if let Err(fault) = newest.fill(open, tips, request) {
            newest.troubles.push(fault);
            // The branches tell which suites there were.
            let named = tips.keys().filter_map(|name| name.strip_prefix(BRANCHES)?.parse().ok());
            newest.codenames = if request.codenames.is_empty() { named.collect() } else { request.codenames.clone() };
        }
        newest
    }

    fn fill(&mut self, open: &OpenArchive, tips: &BTreeMap<String, Oid>, request: &MonitorRequest) -> Result<(), MonitorError> {
        let tip = tips.get(&open.branch).ok_or_else(|| MonitorError::NoBranch { branch: open.branch.clone() })?;
        let snapshot = open.repository.snapshot(*tip)?;
        let archive = open.configuration(&snapshot)?;
        self.suites = archive.suites.keys().cloned().collect();
        let wanted = request.codenames.iter().filter(|codename| self.suites.contains(*codename));
        self.codenames = if request.codenames.is_empty() { self.suites.iter().cloned().collect() } else { wanted.cloned().collect() };
        self.modes = modes(&archive);
        let mut digests = BTreeMap::new();
        let read = trust(&snapshot, &archive, request.now, &mut digests, &mut self.troubles);
        (self.trust, self.digests) = (read, digests);
        match trusted::texts(&snapshot, &archive, &self.trust) {
            Ok(texts) => self.texts = texts,
            Err(fault) => self.troubles.push(fault),
        }
        match open.signing_certificates(&snapshot, &archive) {
            Ok(certificates) => self.certificates = certificates,
            Err(fault) => self.troubles.push(fault.into()),
        }
        let mut prints: Vec<String> = self.certificates.iter().map(|(_, certificate)| certificate.fingerprint()).collect();
        prints.sort();
        self.digests.insert("certificates".to_owned(), prints.join(" "));
        self.url = archive.archive.url;
        Ok(())
    }

    /// Returns what the configuration of another commit says of logs; nothing where it cannot be read any more.
    pub(super) fn modes_of(open: &OpenArchive, commit: &str) -> BTreeMap<LogKind, LogMode> {
        let read = |commit: Oid| open.configuration(&open.repository.snapshot(commit)?);
        commit.parse().ok().and_then(|commit| read(commit).ok()).map_or_else(BTreeMap::new, |archive| modes(&archive))
    }
}

/// Returns whom a commit trusted; `None` where that cannot be read any more.
pub(super) fn trust_of(open: &OpenArchive, commit: Oid, now: Timestamp) -> Option<Trust> {
    let snapshot = open.repository.snapshot(commit).ok()?;
    let archive = open.configuration(&snapshot).ok()?;
    Some(trust(&snapshot, &archive, now, &mut BTreeMap::new(), &mut Vec::new()))
}

fn modes(archive: &Archive) -> BTreeMap<LogKind, LogMode> {
    let sigsum = archive.logs.sigsum.as_ref().map(|settings| (LogKind::Sigsum, settings.mode));
    let sigstore = archive.logs.sigstore.as_ref().map(|settings| (LogKind::Sigstore, settings.mode));
    sigsum.into_iter().chain(sigstore).collect()
}

fn trust(
    snapshot: &Snapshot<'_>,
    archive: &Archive,
    now: Timestamp,
    digests: &mut BTreeMap<String, String>,
    troubles: &mut Vec<MonitorError>,
) -> Trust {
    let mut trust = Trust::default();
    // A policy by name is its name.
    let digest = |path: &str| {
        let bytes = snapshot.file(path).ok().flatten();
        bytes.map_or_else(|| path.to_owned(), |bytes| Sha256::of(&bytes).to_hex())
    };
    if let Some(settings) = archive.logs.sigsum.as_ref().filter(|settings| settings.mode != LogMode::Off) {
        match sigsum_trust(snapshot, settings) {
            Ok((policy, key)) => {
                digests.insert("sigsum policy".to_owned(), digest(&settings.policy));
                digests.insert("sigsum key".to_owned(), key.hash().to_hex());
                trust.sigsum = Some((policy, key));
            }
            Err(fault) => troubles.push(fault.into()),
        }
    }
    if let Some(settings) = archive.logs.sigstore.as_ref().filter(|settings| settings.mode != LogMode::Off) {
        match sigstore_trust(snapshot, settings, now) {
            Ok(read) => {
                digests.insert("sigstore trusted root".to_owned(), digest(&settings.trusted_root));
                digests.insert("sigstore key".to_owned(), read.signer.fingerprint().to_hex());
                if let Signer::Identity { .. } = &read.signer {
                    // Whoever is sent a job's identity token has its name for some minutes.
                    let named = settings.fulcio_url.clone().or_else(|| settings.signing_config.as_deref().map(digest));
                    digests.insert("sigstore certificate authority".to_owned(), named.unwrap_or_default());
                }
                trust.sigstore = Some((read.root, read.signer));
            }
            Err(fault) => troubles.push(fault.into()),
        }
    }
    trust
}
