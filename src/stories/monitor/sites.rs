//! What clients get, against the branches of Releases: the same Release, not older than before, not long behind the newest.

use std::collections::BTreeMap;

use super::answer::{FindingKind, WatchedSite};
use super::findings::{Findings, name_of};
use super::releases::{KnownRelease, Releases};
use super::state::{SiteMemory, State};
use super::{MonitorRequest, expiry};
use crate::formats::artifact::clearsign;
use crate::formats::release::Release;
use crate::places::git::Oid;
use crate::places::sign::{PublicCertificate, verify_release};
use crate::places::transparency::site::Site;
use crate::stories::archive::{OpenArchive, OpenError};
use crate::words::causes::chain;
use crate::words::date::Timestamp;
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
pub(super) fn compare(compared: &Compared<'_>, fetched: &Fetched, state: &mut State, findings: &mut Findings) -> WatchedSite {
    let subject = format!("{} dists/{}", fetched.site, fetched.codename);
    if fetched.in_release.is_ok() {
        state.reached.insert(subject.clone(), compared.request.now);
    }
    let sequence = match &fetched.in_release {
        Err(reason) => {
            findings.unreachable(&subject, format!("InRelease cannot be read: {reason}"));
            compared.unreached(&subject, state, findings);
            None
        }
        Ok(None) => {
            if let Some(newest) = compared.newest(&fetched.codename) {
                let name = name_of(FindingKind::BadInRelease, &[&subject, &"none", &newest.sequence]);
                findings.alarm(FindingKind::BadInRelease, &subject, name, "there is no InRelease, although one was served".to_owned());
            }
            None
        }
        Ok(Some(bytes)) => compared.release(&subject, &fetched.codename, bytes, state, findings),
    };
    WatchedSite { site: fetched.site.clone(), sequence }
}

impl Compared<'_> {
    /// Says that a site was not reached for too long.
    fn unreached(&self, subject: &str, state: &mut State, findings: &mut Findings) {
        let since = *state.reached.entry(subject.to_owned()).or_insert(self.request.now);
        let limit = self.request.limits.unreached;
        if self.request.now > since.plus(limit) {
            let since = since.iso8601();
            let text = format!("nobody could look at it since {since}, for longer than {limit}");
            findings.alarm(FindingKind::Unreached, subject, name_of(FindingKind::Unreached, &[&subject, &since]), text);
        }
    }

    fn release(&self, subject: &str, codename: &Codename, bytes: &[u8], state: &mut State, findings: &mut Findings) -> Option<u64> {
        let name = name_of(FindingKind::BadInRelease, &[&subject, &Sha256::of(bytes)]);
        let text = match clearsign::split(bytes) {
            Ok(text) if text.signed => text.payload,
            Ok(_) => {
                findings.alarm(FindingKind::BadInRelease, subject, name, "InRelease is not signed".to_owned());
                return None;
            }
            Err(fault) => {
                findings.alarm(FindingKind::BadInRelease, subject, name, format!("InRelease cannot be read: {fault}"));
                return None;
            }
        };
        let digest = Sha256::of(text.as_bytes());
        let known = self.after.find(&digest).filter(|known| known.codename == *codename);
        let Some(known) = known else {
            let (name, text) = self.unknown(digest, bytes);
            findings.alarm(FindingKind::UnknownReleaseServed, subject, name, text);
            return None;
        };
        if let Some(reason) = self.signature(known, bytes) {
            let text = format!("serves {} with signatures that do not hold: {reason}", known.name());
            findings.alarm(FindingKind::BadInRelease, subject, name, text);
        }
        if known.served.is_none() {
            let since = *state.shown.entry(digest.to_hex()).or_insert(self.request.now);
            self.unmarked(subject, known, since, findings);
        }
        self.place(subject, known, findings);
        self.remembered(subject, known, &mut state.sites, findings);
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

    /// Returns the name and text of the alarm about a Release that is not the archive's. The same one is another as soon as clients take it.
    fn unknown(&self, digest: Sha256, bytes: &[u8]) -> (String, String) {
        let verify = |certificates: &[PublicCertificate]| verify_release(bytes, certificates, self.request.now);
        // Clients are content with one good signature.
        let by_one = || self.certificates.iter().any(|certificate| verify(std::slice::from_ref(certificate)).is_ok());
        let (taken, signed) = match verify(self.certificates) {
            Ok(_) => (true, "it is signed by the archive's keys, so that clients take it: somebody else has them".to_owned()),
            Err(_) if by_one() => {
                (true, "it is signed by one of the archive's keys, so that clients take it: somebody else has it".to_owned())
            }
            Err(fault) => (false, format!("clients should not take it: {}", chain(&fault))),
        };
        let text = format!("serves a Release with the SHA-256 {digest}, which is not on the branch of its suite; {signed}");
        (name_of(FindingKind::UnknownReleaseServed, &[&digest, &taken]), text)
    }

    /// Checks the signature by the certificates that signed when it was made; returns what is wrong.
    fn signature(&self, known: &KnownRelease, bytes: &[u8]) -> Option<String> {
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
        match certificates() {
            Ok(certificates) => {
                let certificates: Vec<PublicCertificate> = certificates.into_iter().map(current).collect();
                verify_release(bytes, &certificates, self.request.now).err().map(|fault| chain(&fault))
            }
            Err(fault) => Some(chain(&fault)),
        }
    }

    /// Says what it means that a Release is served since some time that is not marked as served.
    fn unmarked(&self, subject: &str, known: &KnownRelease, since: Timestamp, findings: &mut Findings) {
        let (name, limit) = (known.name(), self.request.limits.behind);
        let text = if !known.newest {
            format!("serves {name}, which was staged, and overtaken before it was served")
        } else if self.request.now > since.plus(limit) {
            format!(
                "serves {name} since {}, and for more than {limit} its branch does not say so: no publisher of this archive served it",
                since.iso8601()
            )
        } else {
            let text = format!("serves {name}, which is about to be marked as served");
            return findings.note(FindingKind::NotServedYet, subject, text);
        };
        let name = name_of(FindingKind::UnservedReleaseServed, &[&subject, &known.release]);
        findings.alarm(FindingKind::UnservedReleaseServed, subject, name, text);
    }

    /// Compares its place with the newest that was served.
    fn place(&self, subject: &str, known: &KnownRelease, findings: &mut Findings) {
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
        let (now, limit) = (self.request.now, self.request.limits.behind);
        // Who may push says since when; not whether it is frozen.
        let to_come = since > now.plus(limit);
        if to_come || now > since.plus(limit) {
            let text = if to_come {
                format!(
                    "{text}, which is to come yet: the clock of this machine or of the publisher is wrong, or that hides that the site is frozen"
                )
            } else {
                format!("{text}, more than {limit} ago: it is frozen, or what publishes there fails")
            };
            let name = name_of(FindingKind::Frozen, &[&subject, &known.release]);
            findings.alarm(FindingKind::Frozen, subject, name, text);
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
                let name = name_of(FindingKind::RolledBack, &[&subject, &before.sequence, &before.at.iso8601(), &known.sequence]);
                if findings.change(FindingKind::RolledBack, subject, name, text) {
                    memory.insert(subject.to_owned(), seen);
                }
            }
            Some(before) if known.sequence == before.sequence => {}
            _ => drop(memory.insert(subject.to_owned(), seen)),
        }
    }
}
