//! What clients get, against the branches of Releases: the same Release, not older than before, not long behind the newest.

use std::collections::BTreeMap;

use super::answer::{FindingKind, Findings, WatchedSite};
use super::releases::{KnownRelease, Releases};
use super::state::SiteMemory;
use super::{MonitorRequest, expiry};
use crate::formats::artifact::clearsign;
use crate::formats::release::Release;
use crate::places::git::Oid;
use crate::places::sign::{PublicCertificate, verify_release};
use crate::places::transparency::site::Site;
use crate::stories::archive::{OpenArchive, OpenError};
use crate::words::causes::chain;
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// Largest InRelease in bytes.
const IN_RELEASE: u64 = 16 << 20;

/// What a site served of a suite.
pub(super) struct Fetched {
    pub(super) codename: Codename,
    pub(super) site: String,
    /// The bytes; `None` where there is none.
    pub(super) in_release: Result<Option<Vec<u8>>, String>,
}

/// Reads what a site serves of a suite.
pub(super) fn fetch(site: &Site, codename: &Codename) -> Fetched {
    let in_release = site.read(&format!("dists/{codename}/InRelease"), IN_RELEASE);
    Fetched { codename: codename.clone(), site: site.name(), in_release }
}

/// What is compared.
pub(super) struct Compared<'a> {
    pub(super) open: &'a OpenArchive,
    pub(super) request: &'a MonitorRequest,
    /// What was on the branches before sites were read, and after.
    pub(super) before: &'a Releases,
    pub(super) after: &'a Releases,
    /// The certificates that sign by the newest commit.
    pub(super) certificates: &'a [PublicCertificate],
}

/// Compares what a site served with the branches and with what it served before.
pub(super) fn compare(
    compared: &Compared<'_>,
    fetched: &Fetched,
    memory: &mut BTreeMap<String, SiteMemory>,
    findings: &mut Findings,
) -> WatchedSite {
    let subject = format!("{} dists/{}", fetched.site, fetched.codename);
    let sequence = match &fetched.in_release {
        Err(reason) => {
            findings.unreachable(&subject, format!("InRelease cannot be read: {reason}"));
            None
        }
        Ok(None) => {
            if compared.before.of(&fetched.codename).any(|release| release.served.is_some()) {
                findings.alarm(FindingKind::BadInRelease, &subject, "there is no InRelease, although one was served".to_owned());
            }
            None
        }
        Ok(Some(bytes)) => compared.release(&subject, &fetched.codename, bytes, memory, findings),
    };
    WatchedSite { site: fetched.site.clone(), sequence }
}

impl Compared<'_> {
    fn release(
        &self,
        subject: &str,
        codename: &Codename,
        bytes: &[u8],
        memory: &mut BTreeMap<String, SiteMemory>,
        findings: &mut Findings,
    ) -> Option<u64> {
        let text = match clearsign::split(bytes) {
            Ok(text) if text.signed => text.payload,
            Ok(_) => {
                findings.alarm(FindingKind::BadInRelease, subject, "InRelease is not signed".to_owned());
                return None;
            }
            Err(fault) => {
                findings.alarm(FindingKind::BadInRelease, subject, format!("InRelease cannot be read: {fault}"));
                return None;
            }
        };
        let digest = Sha256::of(text.as_bytes());
        let known = self.after.find(&digest).filter(|known| known.codename == *codename);
        let Some(known) = known else {
            findings.alarm(FindingKind::UnknownReleaseServed, subject, self.unknown(digest, bytes));
            return None;
        };
        self.signature(subject, known, bytes, findings);
        self.place(subject, known, findings);
        self.remembered(subject, known, memory, findings);
        if self.newest(codename).is_none_or(|newest| newest.sequence != known.sequence)
            && let Ok(parsed) = Release::parse(text.as_bytes())
        {
            // That of the newest is looked at for all sites.
            expiry::release(subject, &known.name(), &parsed, self.request, findings);
        }
        Some(known.sequence)
    }

    fn newest(&self, codename: &Codename) -> Option<&KnownRelease> {
        self.before.of(codename).rev().find(|release| release.served.is_some())
    }

    fn unknown(&self, digest: Sha256, bytes: &[u8]) -> String {
        let signed = match verify_release(bytes, self.certificates, self.request.now) {
            Ok(_) => "it is signed by the archive's keys, so that clients take it: somebody else has them".to_owned(),
            Err(fault) => format!("clients should not take it: {}", chain(&fault)),
        };
        format!("serves a Release with the SHA-256 {digest}, which is not on the branch of its suite; {signed}")
    }

    /// Checks the signature by the certificates that signed when it was made.
    fn signature(&self, subject: &str, known: &KnownRelease, bytes: &[u8], findings: &mut Findings) {
        let certificates = || -> Result<Vec<PublicCertificate>, OpenError> {
            let Ok(base) = known.base.parse::<Oid>() else { return Ok(Vec::new()) };
            let snapshot = self.open.repository.snapshot(base)?;
            let archive = self.open.configuration(&snapshot)?;
            Ok(self.open.signing_certificates(&snapshot, &archive)?.into_iter().map(|(_, certificate)| certificate).collect())
        };
        // As they are now, where they are still there: a key may have been extended.
        let current = |own: PublicCertificate| {
            let newer = self.certificates.iter().find(|certificate| certificate.fingerprint() == own.fingerprint());
            newer.and_then(|newer| own.merged(newer)).unwrap_or(own)
        };
        let verified = match certificates() {
            Ok(certificates) => {
                let certificates: Vec<PublicCertificate> = certificates.into_iter().map(current).collect();
                verify_release(bytes, &certificates, self.request.now).map(drop).map_err(|fault| chain(&fault))
            }
            Err(fault) => Err(chain(&fault)),
        };
        if let Err(reason) = verified {
            findings.alarm(
                FindingKind::BadInRelease,
                subject,
                format!("serves {} with signatures that do not hold: {reason}", known.name()),
            );
        }
    }

    /// Compares its place with the newest that was served.
    fn place(&self, subject: &str, known: &KnownRelease, findings: &mut Findings) {
        if known.served.is_none() {
            if known.newest {
                findings.note(
                    FindingKind::NotServedYet,
                    subject,
                    format!("serves {}, which is about to be marked as served", known.name()),
                );
            } else {
                let text = format!("serves {}, which was staged, and overtaken before it was served", known.name());
                findings.alarm(FindingKind::UnservedReleaseServed, subject, text);
            }
        }
        let next = self.before.of(&known.codename).find(|release| release.sequence > known.sequence && release.served.is_some());
        let (Some(newest), Some((next, since))) = (self.newest(&known.codename), next.and_then(|next| Some((next, next.served?)))) else {
            return;
        };
        let text = format!(
            "serves {}, and the newest is Release {}; clients should have Release {} since {}",
            known.name(),
            newest.sequence,
            next.sequence,
            since.iso8601()
        );
        if self.request.now > since.plus(self.request.limits.behind) {
            let text = format!("{text}, more than {} ago: it is frozen, or what publishes there fails", self.request.limits.behind);
            findings.alarm(FindingKind::Frozen, subject, text);
        } else {
            findings.note(FindingKind::Behind, subject, text);
        }
    }

    /// Compares it with what the site served before.
    fn remembered(&self, subject: &str, known: &KnownRelease, memory: &mut BTreeMap<String, SiteMemory>, findings: &mut Findings) {
        let seen = SiteMemory { sequence: known.sequence, at: self.request.now };
        match memory.get(subject) {
            Some(before) if known.sequence < before.sequence => {
                let text =
                    format!("serves {}, and served Release {} on {}: it went back", known.name(), before.sequence, before.at.iso8601());
                findings.alarm(FindingKind::RolledBack, subject, text);
            }
            Some(before) if known.sequence == before.sequence => {}
            _ => drop(memory.insert(subject.to_owned(), seen)),
        }
    }
}
