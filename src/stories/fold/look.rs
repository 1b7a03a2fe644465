//! Looking at records: each is read once, checked against its place and against the pointers of the files that it names, and
//! what is needed to choose, sort and name it is kept. Its text is read again when a paragraph is made of it.
//!
//! All records that disagree are reported together; one of them is enough for nothing to be published.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::prelude::*;

use super::FoldError;
use super::context::Context;
use crate::formats::index::order::SortKey;
use crate::formats::index::select::Offer;
use crate::formats::index::{packages, sources, translation};
use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::formats::statement::source_version_of;
use crate::formats::suite::checks::{self, RecordProblem};
use crate::formats::suite::place::{IndexName, RecordPlace};
use crate::formats::suite::record::Record;
use crate::places::git::read::{Folder, RecordEntry, Snapshot};
use crate::places::git::{GitError, Oid, Repository};
use crate::words::deb822::Paragraph;
use crate::words::digest::Md5;
use crate::words::limits;
use crate::words::name::{Codename, SourceName};

/// How many records one thread takes at a time: opening a repository costs about as much as reading 50.
const CHUNK: usize = 1024;

/// A record that was looked at.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// What it offers.
    pub(super) offer: Offer,
    /// Its blob.
    pub(super) blob: Oid,
    /// The digest of its long description, of a .deb.
    pub(super) description: Option<Md5>,
}

impl Seen {
    /// Returns where it lies.
    pub(super) fn place(&self, codename: &Codename) -> RecordPlace {
        let Offer { component, index, source, package, version, .. } = self.offer.clone();
        RecordPlace { codename: codename.clone(), component, index, source, package, version }
    }

    /// Returns what its paragraph in Packages or Sources is sorted by.
    pub(super) fn key(&self) -> SortKey {
        let second = if self.offer.index == IndexName::Source { String::new() } else { self.offer.package.to_string() };
        SortKey { name: self.offer.source.to_string(), second, version: Some(self.offer.version.clone()) }
    }
}

/// Looks at every record of the suite, in tree order.
pub(super) fn all(repository: &Repository, snapshot: &Snapshot<'_>, codename: &Codename) -> Result<Vec<Seen>, FoldError> {
    look(repository, snapshot, snapshot.records(codename)?)
}

/// Looks at the records of some sources of the suite, in tree order.
pub(super) fn of_sources(
    repository: &Repository,
    snapshot: &Snapshot<'_>,
    codename: &Codename,
    sources: &BTreeSet<SourceName>,
) -> Result<Vec<Seen>, FoldError> {
    look(repository, snapshot, snapshot.records_of(codename, sources)?)
}

fn look(repository: &Repository, snapshot: &Snapshot<'_>, entries: Vec<RecordEntry>) -> Result<Vec<Seen>, FoldError> {
    each(repository, snapshot, entries, |looker, entry| looker.look(entry, |_, _| ()))
}

/// What a look at one record gives: a value, or a problem to report.
type Looked<T> = Result<Result<T, RecordProblem>, GitError>;

/// Looks at each record, in parallel, and returns what the looks give in the order of the records, or all problems together.
fn each<T: Send>(
    repository: &Repository,
    snapshot: &Snapshot<'_>,
    entries: Vec<RecordEntry>,
    look: impl Fn(&mut Looker<'_>, RecordEntry) -> Looked<T> + Sync,
) -> Result<Vec<T>, FoldError> {
    repository.hydrate(entries.iter().map(|entry| entry.blob))?;
    let (git_dir, commit) = (repository.git().path().to_owned(), snapshot.commit());
    let count = entries.len();
    let chunk = |chunk: Vec<RecordEntry>| -> Result<_, GitError> {
        let own = Repository::open(&git_dir)?;
        let snapshot = own.snapshot(commit)?;
        let mut looker = Looker { repository: &own, snapshot: &snapshot, above: None, folder: None };
        let (mut values, mut problems) = (Vec::with_capacity(chunk.len()), Vec::new());
        for entry in chunk {
            match look(&mut looker, entry)? {
                Ok(value) => values.push(value),
                Err(problem) => problems.push(problem),
            }
        }
        Ok((values, problems))
    };
    let chunks: Vec<Result<_, GitError>> = entries.into_par_iter().chunks(CHUNK).map(chunk).collect();
    let (mut all, mut problems) = (Vec::with_capacity(count), Vec::new());
    for chunk in chunks {
        let (values, wrong) = chunk?;
        all.extend(values);
        problems.extend(wrong);
    }
    if problems.is_empty() { Ok(all) } else { Err(FoldError::Records { commit: commit.to_string(), problems }) }
}

/// Returns the files that the records of some sources of a suite name.
///
/// # Errors
/// Git cannot be read, or records and pointers disagree.
pub fn files_of(
    repository: &Repository,
    snapshot: &Snapshot<'_>,
    codename: &Codename,
    sources: &BTreeSet<SourceName>,
) -> Result<BTreeMap<PoolPath, Pointer>, FoldError> {
    files(repository, snapshot, snapshot.records_of(codename, sources)?)
}

/// Returns the files that the records of a suite name.
///
/// # Errors
/// Git cannot be read, or records and pointers disagree.
pub fn whole_pool(repository: &Repository, snapshot: &Snapshot<'_>, codename: &Codename) -> Result<BTreeMap<PoolPath, Pointer>, FoldError> {
    files(repository, snapshot, snapshot.records(codename)?)
}

fn files(repository: &Repository, snapshot: &Snapshot<'_>, entries: Vec<RecordEntry>) -> Result<BTreeMap<PoolPath, Pointer>, FoldError> {
    let files = each(repository, snapshot, entries, |looker, entry| {
        let mut files = Vec::new();
        let looked = looker.look(entry, |path, pointer| files.push((path.clone(), *pointer)))?;
        Ok(looked.map(|_| files))
    });
    Ok(files?.into_iter().flatten().collect())
}

/// Reads records one after the other.
struct Looker<'a> {
    repository: &'a Repository,
    snapshot: &'a Snapshot<'a>,
    /// The folder of a prefix that was looked into last.
    above: Option<(String, Option<Folder<'a>>)>,
    /// The folder of the pool that was looked at last, with its files: records of one source follow each other.
    folder: Option<(String, HashMap<String, Oid>)>,
}

impl Looker<'_> {
    /// Looks at a record, and tells of each file that it names.
    fn look(&mut self, entry: RecordEntry, mut file: impl FnMut(&PoolPath, &Pointer)) -> Looked<Seen> {
        let RecordEntry { place, blob } = entry;
        let bytes = self.repository.blob(blob, &place)?;
        if bytes.len() as u64 > limits::RECORD {
            return Err(self.snapshot.content(&place.to_string(), &format!("it has {} bytes, more than a record may have", bytes.len())));
        }
        let text = std::str::from_utf8(&bytes).map_err(|fault| self.snapshot.content(&place.to_string(), &fault))?;
        let record = match checks::read_at(&place, &bytes) {
            Ok(record) => record,
            Err(problem) => return Ok(Err(problem)),
        };
        let files = match checks::files_named(&place, &record) {
            Ok(files) => files,
            Err(problem) => return Ok(Err(problem)),
        };
        for (path, wanted) in &files {
            if let Some(problem) = self.disagreement(&place, path, wanted)? {
                return Ok(Err(problem));
            }
            file(path, wanted);
        }
        let source_version = match place.index {
            IndexName::Source => None,
            _ => source_version_of(&Paragraph::of_checked(text)),
        };
        let description = match place.index {
            IndexName::Binary(_) if !packages::is_udeb(&record) => packages::description(&record).map(packages::description_md5),
            _ => None,
        };
        let source_version = source_version.unwrap_or_else(|| place.version.clone());
        Ok(Ok(Seen { offer: Offer::at(&place, source_version), blob, description }))
    }

    fn files_in(&mut self, folder: &str) -> Result<HashMap<String, Oid>, GitError> {
        let (above, name) = folder.rsplit_once('/').unwrap_or(("", folder));
        if self.above.as_ref().is_none_or(|(last, _)| last != above) {
            self.above = Some((above.to_owned(), self.snapshot.opened(above)?));
        }
        match &self.above {
            Some((_, Some(above))) => above.blobs_in(name),
            _ => Ok(HashMap::new()),
        }
    }

    /// Compares what a record says of a file with the pointer there. Equal pointers are equal blobs, so none is read for that.
    fn disagreement(&mut self, place: &RecordPlace, path: &PoolPath, wanted: &Pointer) -> Result<Option<RecordProblem>, GitError> {
        let text = path.to_string();
        let (folder, file) = text.rsplit_once('/').unwrap_or(("", &text));
        if self.folder.as_ref().is_none_or(|(last, _)| last != folder) {
            self.folder = Some((folder.to_owned(), self.files_in(folder)?));
        }
        let found = self.folder.as_ref().and_then(|(_, files)| files.get(file));
        if found.is_some_and(|blob| Repository::oid_of_blob(wanted.encode().as_bytes()) == Some(*blob)) {
            return Ok(None);
        }
        let found = match found {
            Some(blob) => {
                self.repository.hydrate([*blob])?;
                Some(Pointer::decode(&self.repository.blob(*blob, &text)?).map_err(|fault| fault.to_string()))
            }
            None => None,
        };
        Ok(match &found {
            Some(Ok(pointer)) if pointer == wanted => None,
            found => Some(checks::disagreement(place, path, wanted, found.as_ref())),
        })
    }
}

/// Makes paragraphs of records.
pub(super) struct Renderer<'a> {
    context: &'a Context<'a>,
    own: Repository,
}

/// Which paragraph of a record is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// That of Packages or Sources.
    Record,
    /// The entry of Translation-en.
    Translation,
}

impl<'a> Renderer<'a> {
    /// Opens the repository for one thread.
    pub(super) fn new(context: &'a Context<'a>) -> Result<Self, GitError> {
        Ok(Self { context, own: Repository::open(&context.git_dir)? })
    }

    /// Returns the paragraph of a record, with the empty line that ends it; of Translation-en none where it has none.
    pub(super) fn paragraph(&self, seen: &Seen, shape: Shape) -> Result<String, FoldError> {
        let place = seen.place(self.context.codename);
        let failed = |source| FoldError::Render { path: place.to_string(), source };
        let bytes = self.own.blob(seen.blob, &place)?;
        // It was read before, so it can be read again.
        let record = Record::parse(&bytes).map_err(|fault| GitError::content(self.context.commit, &place.to_string(), &fault))?;
        let overrides = self.context.overrides.get(&place.component);
        let style = &self.context.style;
        let mut text = match (shape, &place.index) {
            (Shape::Translation, _) => translation::entry(&record, style).map_err(failed)?.map(|(_, text)| text).unwrap_or_default(),
            (Shape::Record, IndexName::Source) => sources::render(&record, style, overrides).map_err(failed)?,
            (Shape::Record, _) => packages::render(&record, style, overrides).map_err(failed)?,
        };
        text.push('\n');
        Ok(text)
    }
}
