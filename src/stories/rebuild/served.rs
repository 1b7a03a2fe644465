//! What clients are given now, beside what the branch of Releases says that they were given.

use super::find::{Found, Step};
use super::{Finding, ReadSite, RebuildAnswer, RebuildError, trust};
use crate::formats::release::by_hash_paths;
use crate::places::git::Oid;
use crate::stories::archive::OpenArchive;
use crate::stories::publish::stage::Staged;
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;

/// The largest InRelease that is read, in bytes.
const LIMIT: u64 = 64 << 20;

/// What is compared.
pub(super) struct Compared<'a> {
    pub(super) open: &'a OpenArchive,
    pub(super) found: &'a Found,
    pub(super) staged: &'a Staged,
    pub(super) site: &'a ReadSite<'a>,
    pub(super) now: Timestamp,
}

/// Compares the InRelease of the site with those of the branch, Release and its detached signature with that, and every file that
/// the Release lists which is made again with its digest.
pub(super) fn compare(compared: &Compared<'_>, answer: &mut RebuildAnswer) -> Result<(), RebuildError> {
    let Compared { found, staged, site, .. } = compared;
    let root = format!("dists/{}", found.branch.codename);
    let name = format!("{root}/InRelease");
    let shown = match site(&name, LIMIT) {
        Ok(bytes) => compared.step_of(&bytes)?,
        Err(reason) => {
            answer.findings.push(Finding { file: name, reason: format!("it {reason}") });
            return Ok(());
        }
    };
    match shown {
        Some(step) => {
            compared.age(step, &name, answer);
            compared.detached(step, &root, answer)?;
        }
        None => {
            let branch = &answer.branch;
            let reason = format!("the site shows one that is not on {branch}: somebody else published it, or history was rewritten");
            answer.findings.push(Finding { file: name, reason });
        }
    }
    let current = shown.is_some_and(|step| step.release == found.at.release);
    let mut missing = 0;
    for (path, listed) in staged.parsed.files.iter().filter(|(path, _)| !staged.parsed.is_listed_only(path)) {
        let by_hash = by_hash_paths(path, listed).into_iter().filter(|_| staged.parsed.acquire_by_hash);
        // Under its name a file is that of the Release which is shown.
        let named = current.then(|| path.clone());
        for name in by_hash.chain(named) {
            match site(&format!("{root}/{name}"), listed.size) {
                Ok(bytes) if Sha256::of(&bytes) == listed.sha256 => {}
                Ok(_) => {
                    answer.findings.push(Finding { file: name, reason: "the site has another file there than Release lists".to_owned() })
                }
                Err(reason) if current => answer.findings.push(Finding { file: name, reason: format!("it {reason}") }),
                Err(_) => missing += 1,
            }
        }
    }
    if missing > 0 {
        answer.notes.push(format!("{missing} files of this Release are not on the site any more"));
    }
    Ok(())
}

impl Compared<'_> {
    /// Returns the commit of the branch that has this InRelease.
    fn step_of(&self, bytes: &[u8]) -> Result<Option<&Step>, RebuildError> {
        let repository = &self.open.repository;
        let blobs: Vec<Oid> = self.found.branch.steps.iter().filter_map(|step| step.in_release).collect();
        repository.hydrate(blobs)?;
        for step in &self.found.branch.steps {
            let Some(blob) = step.in_release else { continue };
            if repository.blob(blob, &"an InRelease")? == bytes {
                return Ok(Some(step));
            }
        }
        Ok(None)
    }

    /// Compares the age of the Release that is shown with that of the newest one, and with that of the one that was asked for: who
    /// asks for an old one knows that there are newer ones.
    fn age(&self, shown: &Step, name: &str, answer: &mut RebuildAnswer) {
        let steps = &self.found.branch.steps;
        // The branch begins with the newest.
        let place = |step: &Step| steps.iter().position(|other| other.release == step.release);
        let newest = steps.iter().find(|step| step.in_release.is_some()).unwrap_or(&self.found.at);
        let (wanted, which) = match self.found.chosen {
            true => (&self.found.at, "the one asked for"),
            false => (newest, "the newest that was served"),
        };
        let number = |step: &Step| step.inputs.sequence;
        let behind = match place(shown) > place(newest) {
            true => format!("; the newest that was served is {}", number(newest)),
            false => String::new(),
        };
        if place(shown) > place(wanted) {
            let older = format!("the site shows Release {}, which is older than Release {}, {which}", number(shown), number(wanted));
            let reason = format!("{older}: it was not brought up to date, or somebody holds newer ones back");
            answer.findings.push(Finding { file: name.to_owned(), reason });
        } else if shown.release != self.found.at.release {
            answer.notes.push(format!("the site shows Release {} now, not {}{behind}", number(shown), self.staged.inputs.sequence));
        } else if !behind.is_empty() {
            answer.notes.push(format!("the site still shows Release {}{behind}", number(shown)));
        }
    }

    /// Compares Release and Release.gpg, which those clients read that know no InRelease, with the Release that InRelease shows.
    fn detached(&self, shown: &Step, root: &str, answer: &mut RebuildAnswer) -> Result<(), RebuildError> {
        let repository = &self.open.repository;
        let release = repository.blob(shown.release, &"a Release")?;
        let mut find = |file: &str, reason: String| answer.findings.push(Finding { file: format!("{root}/{file}"), reason });
        match (self.site)(&format!("{root}/Release"), LIMIT) {
            Ok(bytes) if bytes == release => {}
            Ok(_) => find("Release", "the site has another text there than InRelease signs".to_owned()),
            Err(reason) => find("Release", format!("it {reason}")),
        }
        let bytes = match (self.site)(&format!("{root}/Release.gpg"), LIMIT) {
            Ok(bytes) => bytes,
            Err(reason) => {
                find("Release.gpg", format!("it {reason}"));
                return Ok(());
            }
        };
        for step in self.found.branch.steps.iter().filter(|step| step.release == shown.release) {
            if repository.snapshot(step.commit)?.file("Release.gpg")?.is_some_and(|recorded| recorded == bytes) {
                return Ok(());
            }
        }
        let Some(base) = shown.inputs.base.parse().ok().filter(|base| repository.has_commit(*base)) else {
            find("Release.gpg", format!("it is not on the branch, and commit {} with the keys is not here", shown.inputs.base));
            return Ok(());
        };
        match trust::detached(self.open, base, &release, &bytes, self.now)? {
            Some(fault) => find("Release.gpg", format!("it is not on the branch, and no good signature of that Release: {fault}")),
            None => answer.notes.push(format!("the signature {root}/Release.gpg of the site is good, and not on the branch")),
        }
        Ok(())
    }
}
