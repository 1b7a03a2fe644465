//! The signed provenance that a repository's record names for a file: read from the objects at hand, and judged by the keys and
//! authorities that the repository's ddb.toml pins.
//!
//! Whose keys these are is for whoever pinned them: here the repository is believed, as with everything else that it says.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;

use git2::{Commit, Repository};

use super::answer::EnvelopeAnswer;
use crate::formats::provenance::LONGEST;
use crate::formats::provenance::claims::{Claims, Image};
use crate::formats::provenance::evidence::Evidence;
use crate::formats::provenance::in_toto::Statement;
use crate::formats::provenance::policy::Policy;
use crate::formats::provenance::project::Approved;
use crate::words::archive::Archive;
use crate::words::deb822::Paragraph;
use crate::words::digest::Sha256;
use crate::words::version::Version;

/// An object that a record names: its digest, and whether it is said to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    /// Signed ones come first.
    pub(super) unsigned: bool,
    pub(super) sha256: Sha256,
}

/// Returns the provenance that the text of a record names.
pub(super) fn named(record: &str) -> Vec<Named> {
    // ddb's own fields begin with Filename, and each is one line.
    let own = record.rfind("\nFilename: ").and_then(|at| record.get(at..)).unwrap_or_default();
    let object = |field: &str| {
        let value = own.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(": "))?;
        value.split(' ').next()?.parse::<Sha256>().ok()
    };
    let fields = [(false, "Provenance"), (true, "Provenance-Claims")].into_iter();
    fields.filter_map(|(unsigned, field)| Some(Named { unsigned, sha256: object(field)? })).collect()
}

/// A pool file: its name, its source package with the version of that, and, for a package, the name of that.
#[derive(Debug, Clone)]
pub(super) struct Pooled<'a> {
    file: &'a str,
    source: &'a str,
    version: Option<Version>,
    binary: Option<&'a str>,
}

impl<'a> Pooled<'a> {
    /// Reads `pool/<component>/<prefix>/<source>/<file>`; `record` is the text of the file's record.
    pub(super) fn at(path: &'a str, record: &str) -> Self {
        let mut names = path.split('/').skip(3);
        let (source, file) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
        let is_package = [".deb", ".udeb", ".ddeb"].iter().any(|ending| file.ends_with(ending));
        Self { file, source, version: source_version(record), binary: file.split('_').next().filter(|_| is_package) }
    }

    /// Checks that provenance is of this file, as it is checked where a record lands.
    fn is_of(&self, approved: &Approved, sha256: &Sha256) -> Result<(), String> {
        let unusable = || format!("the record of {} says no usable name or version", self.file);
        let (file, source) = (self.file.parse().map_err(|_| unusable())?, self.source.parse().map_err(|_| unusable())?);
        let version = self.version.as_ref().ok_or_else(unusable)?;
        approved.is_of(sha256, &file, &source, version).map_err(|fault| fault.to_string())
    }
}

/// Returns the version of the source package by what the package says in its record, in front of ddb's own fields.
fn source_version(record: &str) -> Option<Version> {
    let said = record.get(..record.rfind("\nFilename: ")?)?;
    let paragraph = Paragraph::of_checked(said);
    let in_brackets = paragraph.get("Source").and_then(|source| source.split_once('(')?.1.strip_suffix(')'));
    in_brackets.or_else(|| paragraph.get("Version"))?.trim().parse().ok()
}

/// Reads and judges provenance for a file.
pub(super) fn judge(git: &Repository, head: &Commit<'_>, pooled: &Pooled<'_>, file: &Sha256, named: Named) -> EnvelopeAnswer {
    let mut answer = EnvelopeAnswer::of(named.sha256);
    let archive = blob(git, head, "ddb.toml").and_then(|bytes| Archive::parse(std::str::from_utf8(&bytes).ok()?).ok());
    let Some(bytes) = object(git, archive.as_ref(), &named.sha256) else {
        answer.refused = Some("it is not at hand; `ddb-deploy fetch` brings the objects of a source package".to_owned());
        return answer;
    };
    let evidence = Evidence::parse(&bytes);
    let statement = match &evidence {
        Ok(evidence) => evidence.statement(),
        // What nobody signed is the bare statement.
        Err(fault) => Statement::parse(&bytes).map_err(|_| fault.clone()),
    };
    let statement = match statement {
        Ok(statement) => statement,
        Err(fault) => {
            answer.refused = Some(fault.to_string());
            return answer;
        }
    };
    answer.names_file = Some(statement.names(file));
    answer.say(statement.claims);
    let Ok(evidence) = evidence else {
        answer.refused = Some("nobody signed it".to_owned());
        return answer;
    };
    answer.signed_by = (!evidence.envelope.signatures().is_empty()).then(|| evidence.claimed_signer());
    let policy = archive.ok_or_else(|| "the repository's ddb.toml cannot be read".to_owned()).and_then(|archive| {
        let read = |path: &str| Some((path.to_owned(), blob(git, head, path)?));
        let files: BTreeMap<String, Vec<u8>> = archive.provenance.files().into_iter().filter_map(read).collect();
        Policy::read(&archive.provenance, &files).map_err(|(path, fault)| format!("{path}: {fault}"))
    });
    let approved = policy.and_then(|policy| policy.approve(pooled.source, pooled.binary, &bytes).map_err(|fault| fault.to_string()));
    match approved.and_then(|approved| pooled.is_of(&approved, file).map(|()| approved)) {
        Ok(approved) => {
            answer.signed_by = Some(approved.signer);
            answer.project = Some(approved.project);
        }
        Err(fault) => answer.refused = Some(fault),
    }
    answer
}

fn blob(git: &Repository, commit: &Commit<'_>, path: &str) -> Option<Vec<u8>> {
    let entry = commit.tree().ok()?.get_path(std::path::Path::new(path)).ok()?;
    Some(git.find_blob(entry.id()).ok()?.content().to_vec())
}

/// Returns an object that lies in the repository or in the folder that ddb.toml names, if it is what its name says.
fn object(git: &Repository, archive: Option<&Archive>, sha256: &Sha256) -> Option<Vec<u8>> {
    let hex = sha256.to_hex();
    let below = format!("{}/{}/{hex}", hex.get(..2)?, hex.get(2..4)?);
    let root = git.workdir().unwrap_or_else(|| git.path());
    let named = archive.and_then(|archive| archive.store.path.as_ref()).map(|path| root.join(path));
    let folders: Vec<PathBuf> = named.into_iter().chain([git.commondir().join("lfs/objects")]).collect();
    folders.iter().find_map(|folder| {
        let mut bytes = Vec::new();
        std::fs::File::open(folder.join(&below)).ok()?.take(LONGEST as u64 + 1).read_to_end(&mut bytes).ok()?;
        (Sha256::of(&bytes) == *sha256).then_some(bytes)
    })
}

impl EnvelopeAnswer {
    fn of(sha256: Sha256) -> Self {
        Self { sha256, ..Self::default() }
    }

    fn say(&mut self, claims: Claims) {
        let Claims { builder, repository, reference, commit, job, image, started: _ } = claims;
        (self.builder, self.repository, self.reference, self.commit, self.job) = (builder, repository, reference, commit, job);
        self.image = image.map(|Image { name, sha256 }| match sha256 {
            Some(sha256) => format!("{name}@sha256:{sha256}"),
            None => name,
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_record_names_it_among_ddbs_own_fields_alone() {
        let (a, b) = (Sha256::of(b"a"), Sha256::of(b"b"));
        let own = format!("Package: x\nProvenance: {a} 1\nDescription: y\nFilename: pool/x\nSize: 1\n");
        let (signed, claimed) = (Named { unsigned: false, sha256: a }, Named { unsigned: true, sha256: b });
        assert_eq!(named(&own), []);
        assert_eq!(named(&format!("{own}Provenance-Claims: {b} 1\n")), [claimed]);
        let both = format!("{own}Provenance: {a} 1\nProvenance-Claims: {b} 1\n");
        assert_eq!(named(&both), [signed, claimed]);
        assert_eq!(named("no record"), []);
        let version = |said: &str| source_version(&format!("{said}\nFilename: pool/x\nSource: x (9)\n")).map(|version| version.to_string());
        assert_eq!(version("Package: x\nVersion: 1").as_deref(), Some("1"));
        assert_eq!(version("Package: x\nSource: y (2)\nVersion: 1+b1").as_deref(), Some("2"));
    }
}
