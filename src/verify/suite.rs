//! One suite looked at once: signature, freshness, rollback, proofs, indices, pool, in this order.
//!
//! What is not signed by a pinned key is not looked into any further.

use super::answer::{Class, Finding, SuiteAnswer};
use super::openpgp::{Frame, Signers};
use super::pool::{self, Match, Wanted};
use super::release::{self, Release};
use super::site::{Missing, Site};
use super::{VerifyError, VerifyRequest, clearsigned, indices, memory, proofs};
use crate::words::date::{Span, Timestamp};
use crate::words::digest::Sha256;

/// How far the clock of the archive may be ahead of ours: apt's own `Acquire::Max-FutureTime`.
const AHEAD: Span = Span::of_seconds(10);

/// What one look found.
pub(super) struct Look {
    pub(super) answer: SuiteAnswer,
    pub(super) findings: Vec<Finding>,
    pub(super) matches: Vec<Match>,
    /// The Release's Date, and the time of this look.
    pub(super) dated: Option<(Timestamp, Timestamp)>,
    in_release: Option<Vec<u8>>,
    seen: Option<memory::Seen>,
}

/// A Release that somebody pinned signed.
pub(super) struct Signed {
    pub(super) text: String,
    /// The armored signature.
    pub(super) signature: String,
}

impl Look {
    pub(super) fn new(suite: &str) -> Self {
        let answer = SuiteAnswer {
            suite: suite.to_owned(),
            release: None,
            origin: None,
            codename: None,
            date: None,
            valid_until: None,
            signed_by: Vec::new(),
            seen_before: None,
            proofs: Vec::new(),
            indices: Default::default(),
            pool: Default::default(),
            notes: Vec::new(),
        };
        Self { answer, findings: Vec::new(), matches: Vec::new(), dated: None, in_release: None, seen: None }
    }

    pub(super) fn find(&mut self, class: Class, file: impl Into<String>, reason: impl Into<String>) {
        self.findings.push(Finding::new(class, file, reason));
    }

    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.answer.notes.push(text.into());
    }

    /// Tells whether InRelease is another one now.
    pub(super) fn changed_since(&self, site: &Site) -> bool {
        if site.is_remote() {
            // A publisher writes InRelease last.
            std::thread::sleep(std::time::Duration::from_secs(1));
        }
        let path = format!("dists/{}/InRelease", self.answer.suite);
        match site.read(&path, release::LIMIT) {
            Ok(bytes) => self.in_release.as_ref() != Some(&bytes),
            Err(Missing::Absent) => self.in_release.is_some(),
            // Nobody knows; what was found stays.
            Err(Missing::Unreachable(_)) => false,
        }
    }

    /// Returns what is wrong with InRelease itself: that another one took its place since does not make it good.
    pub(super) fn against_release(&self) -> Vec<Finding> {
        let path = format!("dists/{}/InRelease", self.answer.suite);
        let about = |finding: &&Finding| finding.file == path && matches!(finding.class, Class::Signature | Class::Rollback | Class::Proof);
        self.findings.iter().filter(about).cloned().collect()
    }

    /// Adds what an earlier look found.
    pub(super) fn find_also(&mut self, earlier: Vec<Finding>) {
        let new: Vec<Finding> = earlier.into_iter().filter(|finding| !self.findings.contains(finding)).collect();
        self.findings.extend(new);
    }

    /// Keeps what was seen, if it deserves to be believed.
    pub(super) fn remember(&self, request: &VerifyRequest) -> Result<(), VerifyError> {
        let doubted = self.findings.iter().any(|finding| matches!(finding.class, Class::Signature | Class::Rollback | Class::Proof));
        match &self.seen {
            Some(seen) if !doubted => memory::remember(&request.memory, seen),
            _ => Ok(()),
        }
    }

    /// Takes InRelease apart and checks its signature.
    pub(super) fn opened(&mut self, request: &VerifyRequest, path: &str, bytes: &[u8]) -> Option<Signed> {
        match clearsigned::split(bytes) {
            Ok(parts) => {
                let signed = self.signed(request, Frame::Cleartext, path, parts.text.as_bytes(), parts.signature.as_bytes());
                signed.then_some(Signed { text: parts.text, signature: parts.signature })
            }
            Err(reason) => {
                self.find(Class::Signature, path, reason);
                None
            }
        }
    }

    /// Checks a signature; tells whether a pinned key made a good one and none a bad one.
    pub(super) fn signed(&mut self, request: &VerifyRequest, frame: Frame, path: &str, text: &[u8], signature: &[u8]) -> bool {
        let Signers { good, bad, strangers } = match request.keys.check(frame, text, signature, request.now) {
            Ok(signers) => signers,
            Err(reason) => {
                self.find(Class::Signature, path, format!("has no usable signature: {reason}"));
                return false;
            }
        };
        for reason in &bad {
            self.find(Class::Signature, path, reason);
        }
        if good.is_empty() && bad.is_empty() {
            let reason = format!("is signed by none of the pinned keys, only by {}", strangers.join(", "));
            self.find(Class::Signature, path, reason);
        }
        let signed = !good.is_empty() && bad.is_empty();
        if self.answer.signed_by.is_empty() {
            self.answer.signed_by = good.into_iter().collect();
        }
        signed
    }

    /// Reads a signed Release and checks how old it is, alone and against what was seen.
    pub(super) fn read(&mut self, request: &VerifyRequest, location: &str, path: &str, text: &str) -> Result<Option<Release>, VerifyError> {
        let release = match Release::parse(text) {
            Ok(release) => release,
            Err(reason) => {
                self.find(Class::Index, path, reason);
                return Ok(None);
            }
        };
        let digest = Sha256::of(text.as_bytes());
        self.answer.release = Some(digest);
        self.answer.origin.clone_from(&release.origin);
        self.answer.codename.clone_from(&release.codename);
        self.answer.date = Some(release.date.iso8601());
        self.answer.valid_until = release.valid_until.map(|until| until.iso8601());
        self.dated = Some((release.date, request.now));
        self.age(request, path, &release);
        let before = memory::recall(&request.memory, location, &self.answer.suite)?;
        match &before {
            Some(seen) => {
                self.answer.seen_before = Some(seen.date.iso8601());
                if let Some(reason) = seen.against(release.date, digest) {
                    self.find(Class::Rollback, path, reason);
                }
            }
            None => self.note("this is the first look at this suite: an older state than others have seen would not be noticed"),
        }
        if release.date <= request.now.plus(AHEAD) {
            let (location, suite) = (location.to_owned(), self.answer.suite.clone());
            self.seen = Some(memory::Seen { location, suite, date: release.date, release: digest, at: request.now });
        }
        Ok(Some(release))
    }

    /// Checks that this is the Release of the suite that was asked for.
    pub(super) fn is_of(&mut self, suite: &str, path: &str, release: &Release) {
        if !release.is_of(suite) {
            let own = [release.suite.as_deref(), release.codename.as_deref()].into_iter().flatten().collect::<Vec<_>>().join("/");
            self.find(Class::Signature, path, format!("is the Release of {own}, shown in place of that of {suite}"));
        }
    }

    fn age(&mut self, request: &VerifyRequest, path: &str, release: &Release) {
        let now = request.now;
        if release.date > now.plus(AHEAD) {
            self.find(Class::Freshness, path, format!("is of {}, which lies in the future; is the clock right?", release.date.iso8601()));
        }
        if let Some(until) = release.valid_until.filter(|until| *until < now) {
            self.find(
                Class::Freshness,
                path,
                format!("was good until {}: the archive, or what is shown of it, stands still", until.iso8601()),
            );
        }
        match request.max_age {
            Some(age) if release.date.plus(age) < now => {
                self.find(Class::Freshness, path, format!("is of {}, more than {age} ago", release.date.iso8601()));
            }
            None if release.valid_until.is_none() => {
                self.note("it has no Valid-Until: that the archive stands still would be noticed only with --max-age");
            }
            _ => {}
        }
    }
}

/// Looks at a suite.
pub(super) fn look(
    request: &VerifyRequest,
    site: &Site,
    suite: &str,
    wanted: &Wanted,
    said: &(dyn Fn(String) + Sync),
) -> Result<Look, VerifyError> {
    let mut look = Look::new(suite);
    let folder = format!("dists/{suite}");
    let path = format!("{folder}/InRelease");
    let (plain, detached) = (format!("{folder}/Release"), format!("{folder}/Release.gpg"));
    let fetched = site.read(&path, release::LIMIT);
    let beside = (site.read(&plain, release::LIMIT), site.read(&detached, release::LIMIT));
    look.in_release = fetched.as_ref().ok().cloned();
    let signed = match fetched {
        Ok(bytes) => {
            let signed = look.opened(request, &path, &bytes);
            agree(&mut look, request, (&plain, &detached), &beside, signed.as_ref());
            signed
        }
        Err(Missing::Absent) => from_two(&mut look, request, (&plain, &detached), &beside),
        Err(missing) => {
            look.find(Class::Unreachable, &path, missing.reason());
            None
        }
    };
    let Some(signed) = signed else {
        look.note("nothing below this Release was looked at, since nobody vouches for it");
        return Ok(look);
    };
    let Some(release) = look.read(request, &site.to_string(), &path, &signed.text)? else { return Ok(look) };
    look.is_of(suite, &path, &release);
    if request.sigsum.is_none() && request.sigstore.is_none() {
        proofs::note_missing_pins(&mut look);
    }
    proofs::sigsum(&mut look, request.sigsum.as_ref(), &path, &signed, Some((site, &folder)));
    proofs::sigstore(&mut look, request.sigstore.as_ref(), &path, &signed, Some((site, &folder)));
    said(format!("{suite}: checking {} listed files", release.files.len()));
    let keep = |offer: &super::paragraphs::Offer| wanted.wants(offer);
    let found = indices::check(site, &folder, &release, wanted.anything().then_some(&keep as _));
    look.answer.indices = found.checked;
    look.findings.extend(found.findings);
    said(format!("{suite}: checking pool files"));
    let (checked, findings) = pool::check(site, wanted, &found.offers);
    look.answer.pool = checked;
    look.findings.extend(findings);
    let (suite, date) = (suite.to_owned(), release.date.iso8601());
    let matches = found.offers.into_iter().map(|(index, offer)| Match { suite: suite.clone(), index, date: date.clone(), offer });
    look.matches = matches.collect();
    Ok(look)
}

type Beside = (Result<Vec<u8>, Missing>, Result<Vec<u8>, Missing>);

/// Checks that Release and Release.gpg, where they are there, say what InRelease says.
fn agree(look: &mut Look, request: &VerifyRequest, (plain, detached): (&str, &str), beside: &Beside, signed: Option<&Signed>) {
    match beside {
        (Ok(release), Ok(signature)) => {
            let good = look.signed(request, Frame::Detached, detached, release, signature);
            if let Some(signed) = signed.filter(|_| good)
                && without_blanks(&signed.text).ne(without_blanks(&String::from_utf8_lossy(release)))
            {
                look.find(
                    Class::Signature,
                    plain,
                    "is another text than InRelease: clients that ask for one get another archive than those that ask for the other",
                );
            }
        }
        (Err(Missing::Absent), Err(Missing::Absent)) => look.note("there is only InRelease, no Release and Release.gpg beside it"),
        (release, signature) => {
            for (path, part) in [(plain, release), (detached, signature)] {
                match part {
                    Ok(_) => {}
                    Err(missing @ Missing::Absent) => {
                        look.find(Class::Signature, path, format!("{}, its counterpart is there", missing.reason()))
                    }
                    Err(missing) => look.find(Class::Unreachable, path, missing.reason()),
                }
            }
        }
    }
}

/// Blanks at line ends are not covered by the signature of InRelease.
fn without_blanks(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.trim_end_matches([' ', '\t']))
}

/// Reads an archive that has no InRelease.
fn from_two(look: &mut Look, request: &VerifyRequest, (plain, detached): (&str, &str), beside: &Beside) -> Option<Signed> {
    let (release, signature) = match beside {
        (Ok(release), Ok(signature)) => (release, signature),
        (Err(Missing::Absent), _) => {
            look.find(Class::Unreachable, plain, "is missing, and so is InRelease: there is no such suite here");
            return None;
        }
        (Ok(_), Err(Missing::Absent)) => {
            look.find(Class::Signature, detached, "is missing, and so is InRelease: nobody signed this Release");
            return None;
        }
        (Err(missing), _) | (_, Err(missing)) => {
            look.find(Class::Unreachable, plain, missing.reason());
            return None;
        }
    };
    if !look.signed(request, Frame::Detached, detached, release, signature) {
        return None;
    }
    match (String::from_utf8(release.clone()), String::from_utf8(signature.clone())) {
        (Ok(text), signature) => Some(Signed { text, signature: signature.unwrap_or_default() }),
        (Err(fault), _) => {
            look.find(Class::Index, plain, format!("is not UTF-8: {}", fault.utf8_error()));
            None
        }
    }
}
