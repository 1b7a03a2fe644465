//! Where a file comes from, as the archive's own repository says: the commit that brought its pointer, that commit's
//! trailers, the build evidence beside it, the provenance that its record names (`envelope`), and the served Releases whose suites
//! offered it.
//!
//! Git is only read, in process, and no hook or filter of the repository runs. What is said here is a claim of whoever may
//! write to that repository; what clients got is proved by the signed Release alone.

use std::collections::BTreeSet;
use std::path::Path;

use git2::{Commit, Delta, ObjectType, Oid, Repository, Sort, Tree};
use serde::Deserialize;

use super::answer::{EnvelopeAnswer, ProvenanceAnswer};
use super::envelope::Pooled;
use super::{VerifyError, envelope};
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;

/// Largest pointer, record or inputs in bytes that is read.
const BLOB: usize = 2 << 20;

/// Returns what a repository says about the file with these bytes; `None` where it never had it.
pub(super) fn of(path: &Path, sha256: Sha256, size: u64) -> Result<Option<ProvenanceAnswer>, VerifyError> {
    let refuse = |reason: String| VerifyError::Repository { path: path.to_owned(), reason };
    let repository = Repository::discover(path).map_err(|fault| refuse(fault.message().to_owned()))?;
    if repository.is_shallow() {
        return Err(refuse("it is a shallow clone, which does not tell when a file came: git fetch --unshallow".to_owned()));
    }
    let look = Look { git: &repository, sha256, size };
    look.all().map_err(|fault| refuse(fault.message().to_owned()))
}

struct Look<'a> {
    git: &'a Repository,
    sha256: Sha256,
    size: u64,
}

/// The inputs of a Release, as far as they are needed.
#[derive(Deserialize)]
struct Inputs {
    sequence: u64,
    base: String,
    date: Timestamp,
}

impl Look<'_> {
    fn all(&self) -> Result<Option<ProvenanceAnswer>, git2::Error> {
        // A pointer has one encoding (git-lfs docs/spec.md), so its blob's name follows from the object's.
        let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n", self.sha256, self.size);
        let blob = Oid::hash_object(ObjectType::Blob, pointer.as_bytes())?;
        let Some((commit, path)) = self.brought(blob)? else { return Ok(None) };
        let commit = self.git.find_commit(commit)?;
        let mut envelopes = self.envelopes(&commit, &path)?.into_iter();
        let mut answer = ProvenanceAnswer {
            buildinfo: self.buildinfo(&commit, &path)?,
            releases: self.releases(&path)?,
            envelope: envelopes.next(),
            other_envelopes: envelopes.collect(),
            path,
            commit: commit.id().to_string(),
            committed: Timestamp(commit.time().seconds()).iso8601(),
            author: commit.author().to_string(),
            ..ProvenanceAnswer::default()
        };
        let message = String::from_utf8_lossy(commit.message_bytes()).into_owned();
        for (name, value) in message.rsplit("\n\n").next().unwrap_or_default().lines().filter_map(|line| line.split_once(": ")) {
            match name {
                "Ddb-Job" => answer.job = Some(value.to_owned()),
                "Ddb-Statement" => answer.statement = Some(value.to_owned()),
                "Ddb-Uploader" => answer.uploaders.push(value.to_owned()),
                _ => {}
            }
        }
        Ok(Some(answer))
    }

    /// Returns the oldest commit on the first-parent line of HEAD that brought a blob into the pool, and its path there.
    fn brought(&self, blob: Oid) -> Result<Option<(Oid, String)>, git2::Error> {
        let mut walk = self.git.revwalk()?;
        walk.set_sorting(Sort::TOPOLOGICAL)?;
        walk.simplify_first_parent()?;
        walk.push_head()?;
        let mut found = None;
        for oid in walk {
            let commit = self.git.find_commit(oid?)?;
            let new = self.pool(&commit)?;
            let old = commit.parent(0).ok().map(|parent| self.pool(&parent)).transpose()?.flatten();
            if new.as_ref().map(Tree::id) == old.as_ref().map(Tree::id) {
                continue;
            }
            let diff = self.git.diff_tree_to_tree(old.as_ref(), new.as_ref(), None)?;
            let came = diff.deltas().find(|delta| delta.new_file().id() == blob && delta.old_file().id() != blob);
            if let Some(path) = came.and_then(|delta| delta.new_file().path().and_then(Path::to_str).map(str::to_owned)) {
                found = Some((commit.id(), format!("pool/{path}")));
            }
        }
        Ok(found)
    }

    fn pool(&self, commit: &Commit<'_>) -> Result<Option<Tree<'_>>, git2::Error> {
        let root = commit.tree()?;
        root.get_name("pool").filter(|entry| entry.kind() == Some(ObjectType::Tree)).map(|entry| self.git.find_tree(entry.id())).transpose()
    }

    /// Returns the .buildinfo files that a commit brought into the folder of this path.
    fn buildinfo(&self, commit: &Commit<'_>, path: &str) -> Result<Vec<String>, git2::Error> {
        let (new, old) = (self.pool(commit)?, commit.parent(0).ok().map(|parent| self.pool(&parent)).transpose()?.flatten());
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let diff = self.git.diff_tree_to_tree(old.as_ref(), new.as_ref(), None)?;
        let mut found = Vec::new();
        for delta in diff.deltas().filter(|delta| matches!(delta.status(), Delta::Added | Delta::Modified)) {
            let Some(name) = delta.new_file().path().and_then(Path::to_str) else { continue };
            if name.ends_with(".buildinfo") && format!("pool/{name}").rsplit_once('/').is_some_and(|(above, _)| above == folder) {
                let pointer = self.text(delta.new_file().id())?;
                let oid = pointer.lines().find_map(|line| line.strip_prefix("oid ")).unwrap_or("no pointer");
                found.push(format!("pool/{name} {oid}"));
            }
        }
        Ok(found)
    }

    /// Returns, for each branch of Releases, the first and the last served one that offered the file.
    fn releases(&self, path: &str) -> Result<Vec<String>, git2::Error> {
        let mut lines = Vec::new();
        for glob in ["refs/heads/ddb/releases/*", "refs/remotes/*/ddb/releases/*"] {
            for reference in self.git.references_glob(glob)? {
                let reference = reference?;
                let Some(codename) = reference.name().ok().and_then(|name| name.rsplit('/').next()) else { continue };
                if let Some(span) = self.offered(reference.peel_to_commit()?.id(), codename, path)? {
                    lines.push(format!("{codename}: {span}"));
                }
            }
        }
        lines.sort();
        lines.dedup();
        Ok(lines)
    }

    fn offered(&self, tip: Oid, codename: &str, path: &str) -> Result<Option<String>, git2::Error> {
        let mut walk = self.git.revwalk()?;
        walk.simplify_first_parent()?;
        walk.push(tip)?;
        let mut span: Option<(Inputs, Inputs)> = None;
        for oid in walk {
            let tree = self.git.find_commit(oid?)?.tree()?;
            if tree.get_name("InRelease").is_none() {
                continue;
            }
            let Some(entry) = tree.get_name("inputs.json") else { continue };
            let Ok(inputs) = serde_json::from_str::<Inputs>(&self.text(entry.id())?) else { continue };
            if !self.offers(&inputs.base, codename, path)? {
                continue;
            }
            span = Some(match span {
                Some((_, last)) => (inputs, last),
                None => (Inputs { base: String::new(), ..inputs }, inputs),
            });
        }
        Ok(span.map(|(first, last)| {
            let one = |inputs: &Inputs| format!("Release {} of {}", inputs.sequence, inputs.date.iso8601());
            if first.sequence == last.sequence { one(&first) } else { format!("{} to {}", one(&first), one(&last)) }
        }))
    }

    /// Tells whether a suite offered the file at a commit: a record of its source names its SHA-256.
    fn offers(&self, base: &str, codename: &str, path: &str) -> Result<bool, git2::Error> {
        let Ok(commit) = Oid::from_str(base).and_then(|oid| self.git.find_commit(oid)) else { return Ok(false) };
        let digest = self.sha256.to_hex();
        Ok(self.records(&commit, codename, path)?.iter().any(|record| record.contains(&digest)))
    }

    /// Returns the provenance that records name for the file, those of now, else those of when the file came: what is evidence first,
    /// then what is signed.
    fn envelopes(&self, brought: &Commit<'_>, path: &str) -> Result<Vec<EnvelopeAnswer>, git2::Error> {
        let head = self.git.head()?.peel_to_commit()?;
        let own = format!("\nSHA256: {}\n", self.sha256);
        for commit in [&head, brought] {
            let Ok(suites) = commit.tree()?.get_path(Path::new("suites")).and_then(|entry| self.git.find_tree(entry.id())) else {
                continue;
            };
            let (mut found, mut text) = (BTreeSet::new(), String::new());
            for codename in suites.iter().filter_map(|entry| entry.name().ok().map(str::to_owned)) {
                for record in self.records(commit, &codename, path)?.into_iter().filter(|record| record.contains(&own)) {
                    found.extend(envelope::named(&record));
                    text = record;
                }
            }
            if !found.is_empty() {
                let pooled = Pooled::at(path, &text);
                let judge = |named| envelope::judge(self.git, &head, &pooled, &self.sha256, named);
                let mut judged: Vec<EnvelopeAnswer> = found.into_iter().map(judge).collect();
                judged.sort_by_key(|answer| answer.project.is_none());
                return Ok(judged);
            }
        }
        Ok(Vec::new())
    }

    /// Returns the records of the source of a pool file in a suite at a commit.
    fn records(&self, commit: &Commit<'_>, codename: &str, path: &str) -> Result<Vec<String>, git2::Error> {
        // pool/<component>/<prefix>/<source>/<file>
        let names: Vec<&str> = path.split('/').collect();
        let [_, component, prefix, source, _] = names.as_slice() else { return Ok(Vec::new()) };
        let root = commit.tree()?;
        let Ok(entry) = root.get_path(&Path::new("suites").join(codename).join(component)) else { return Ok(Vec::new()) };
        let (mut folders, mut texts) = (vec![self.git.find_tree(entry.id())?], Vec::new());
        while let Some(folder) = folders.pop() {
            for entry in folder.iter().filter(|entry| entry.kind() == Some(ObjectType::Tree)) {
                let index = self.git.find_tree(entry.id())?;
                // Installer indices lie one folder deeper.
                if entry.name() == Ok("debian-installer") {
                    folders.push(index);
                    continue;
                }
                let Ok(records) = index.get_path(&Path::new(prefix).join(source)) else { continue };
                for record in self.git.find_tree(records.id())?.iter() {
                    if record.kind() == Some(ObjectType::Blob) {
                        texts.push(self.text(record.id())?);
                    }
                }
            }
        }
        Ok(texts)
    }

    fn text(&self, blob: Oid) -> Result<String, git2::Error> {
        let blob = self.git.find_blob(blob)?;
        Ok(String::from_utf8_lossy(blob.content().get(..BLOB).unwrap_or_else(|| blob.content())).into_owned())
    }
}
