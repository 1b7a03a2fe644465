//! `ddb-publish rebuild`: a stranger with a clone makes a published Release again and compares.
//!
//! The suite is folded at the recorded base commit with what was recorded as input: Date, where blocks are cut and how well each
//! is compressed, which patches there are, which commit Contents are of. Nothing that was made before is looked at: no cache and no
//! kept block, only records and, for Contents, file lists, each of which must have its hash. Every file that the signed Release
//! lists must come out byte for byte; where another version of a compressor made some of its blocks, its text must. The commits
//! that it was made from must stand in the history of the archive's branch.

mod answer;
mod compare;
mod failure;
mod find;
mod history;
mod output;
mod published;
mod served;
mod trust;

use std::path::PathBuf;

pub use answer::{Finding, History, Outcome, RebuildAnswer, RebuiltFile, SignatureAnswer, Verdict};
pub use failure::RebuildError;
pub use find::ReleaseId;

use crate::formats::blocks::encoders;
use crate::formats::blocks::sheet::KIND;
use crate::formats::contents::file_list;
use crate::formats::release::Release;
use crate::places::git::read::Snapshot;
use crate::places::store::ObjectStore;
use crate::places::store::fs::FolderStore;
use crate::stories::archive::OpenArchive;
use crate::stories::event::{Event, Listener};
use crate::stories::fold::{Bytes, Digests, Fold, FoldError, Last, Wanted, fold};
use crate::stories::publish::stage::{self, Staged};
use crate::words::archive::Archive;
use crate::words::date::Timestamp;
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// Reads a file of the published tree of at most so many bytes; the reason why that fails follows the file's name in a sentence.
pub type ReadSite<'a> = dyn Fn(&str, u64) -> Result<Vec<u8>, String> + 'a;

/// What is to be made again, and what it is compared with.
pub struct RebuildRequest<'a> {
    /// Which Release.
    pub release: ReleaseId,
    /// Where to leave what was made: a folder that is not there or empty.
    pub output: Option<PathBuf>,
    /// What clients are given now.
    pub site: Option<&'a ReadSite<'a>>,
    /// Leave Contents out, which need file lists.
    pub without_contents: bool,
    /// Take file lists and packages from this clone's Git-LFS objects instead of the archive's store.
    pub local_objects: bool,
    /// The time.
    pub now: Timestamp,
}

/// Makes a Release again and compares; what differs is in the answer.
///
/// # Errors
/// There is no such Release, or what it was made from is not here.
pub fn rebuild(request: &RebuildRequest<'_>, open: &OpenArchive, listener: Listener<'_>) -> Result<RebuildAnswer, RebuildError> {
    if let Some(folder) = &request.output {
        output::may_be_written(folder)?;
    }
    let found = find::release(open, &request.release)?;
    let codename = &found.branch.codename;
    let staged = stage::read(&open.repository, codename, found.at.commit)?;
    let what = format!("Release {} of {codename}", staged.inputs.sequence);
    let base = staged.base(codename)?;
    let line = history::Line::of(open)?;
    let history = line.has(base, &what)?;
    let snapshot = open.repository.snapshot(base)?;
    let archive = open.configuration(&snapshot)?;
    let recorded = stage::folded(&open.repository, codename, &staged)?;
    // Contents that stay for a while are of a commit of their own.
    let contents = !request.without_contents && archive.suite(codename).is_some_and(|suite| suite.contents);
    let of_contents = recorded.as_ref().filter(|_| contents).and_then(|last| last.record.contents.as_ref()?.base());
    let contents_stood = of_contents.map(|commit| line.has(commit, &format!("what stays of Contents in {what}"))).transpose()?;
    listener(Event::Detail(format!("folding {codename} at {base}")));
    // What lists of files stand with the Release is only a claim about packages, which are read instead.
    let inputs = recorded.clone().map(|last| Last { lists: Digests::new(), ..last });
    let stores = if contents { Some(stores(request, open, &archive)?) } else { None };
    let fold = again(open, &snapshot, &archive, codename, stores.as_ref(), inputs.as_ref(), &what)?;
    let made = of_suite(&archive, codename, &staged, &fold).ok_or_else(|| no_suite(&what, codename, &archive))?;

    let of_record = recorded.as_ref().map(|last| last.record.encoders.clone()).unwrap_or_default();
    let blocks = open.derived(&archive, KIND).ok();
    let published =
        published::Published { codename, listed: &staged.parsed.files, site: request.site, blocks, recorded: recorded.as_ref() };
    let (release, text, without_contents) = (&staged.parsed, staged.release.as_slice(), request.without_contents);
    let comparing =
        compare::Comparing { fold: &fold, made: &made, release, text, published: &published, encoders: &of_record, without_contents };
    let files = comparing.all();

    let mut answer = RebuildAnswer {
        codename: codename.clone(),
        sequence: staged.inputs.sequence,
        date: staged.parsed.date.iso8601(),
        branch: found.branch.reference.clone(),
        commit: staged.commit.to_string(),
        base: base.to_string(),
        release: Sha256::of(&staged.release),
        ddb: staged.inputs.ddb.clone(),
        encoders: of_record.clone(),
        own_encoders: encoders::encoders(),
        verdict: Verdict::Same,
        signature: None,
        history,
        findings: files.iter().filter_map(RebuiltFile::finding).collect(),
        files,
        output: request.output.clone(),
        notes: Vec::new(),
    };
    let lists = recorded.as_ref().map(|last| &last.lists);
    if !request.without_contents && lists.is_some_and(|lists| *lists != fold.lists) {
        let reason = "it names other file lists than the packages give".to_owned();
        answer.findings.push(Finding { file: "lists.json".to_owned(), reason });
    }
    if history == History::Elsewhere {
        answer.findings.push(Finding { file: "Release".to_owned(), reason: format!("its {}", line.elsewhere(base)) });
    }
    if let (Some(commit), Some(History::Elsewhere)) = (of_contents.filter(|commit| *commit != base), contents_stood) {
        let reason = format!("Contents stay as they were made, and their {}", line.elsewhere(commit));
        answer.findings.push(Finding { file: "fold.json".to_owned(), reason });
    }
    match &staged.signatures {
        Some(signatures) => {
            match trust::signatures(open, &snapshot, &archive, &staged, signatures)? {
                Ok(signature) => answer.signature = Some(signature),
                Err(finding) => answer.findings.push(finding),
            }
            let today = trust::today(open, &snapshot, &archive, signatures, request.now)?.filter(|_| answer.signature.is_some());
            answer.notes.extend(today.map(|fault| format!("its signature was good when it was served, and is not today: {fault}")));
        }
        None => answer.notes.push("it was staged and never served, so that there is no signature".to_owned()),
    }
    if let Some(last) = recorded.as_ref().filter(|last| last.record.context != fold.record.context) {
        let other = format!("what is recorded of its configuration ({}) is not what this program makes of it", last.record.context);
        answer.notes.push(format!("{other}: ddb {} may render records otherwise than this one, {}", answer.ddb, env!("CARGO_PKG_VERSION")));
    }
    if let Some(site) = request.site {
        served::compare(&served::Compared { open, found: &found, staged: &staged, site, now: request.now }, &mut answer)?;
    }
    if let Some(folder) = &request.output {
        output::write(folder, codename, &made, &fold, open, listener)?;
    }
    Ok(answer.judged())
}

/// Folds the suite from nothing but its records and what was recorded as input; Contents only with the places that they need.
fn again(
    open: &OpenArchive,
    snapshot: &Snapshot<'_>,
    archive: &Archive,
    codename: &Codename,
    stores: Option<&Stores>,
    inputs: Option<&Last>,
    what: &str,
) -> Result<Fold, RebuildError> {
    let mut bytes = Bytes::nothing();
    if let Some((lists, packages)) = stores {
        bytes = bytes.with_lists(lists.as_ref(), packages.as_ref());
    }
    let wanted = Wanted { without_contents: stores.is_none(), ..Wanted::again() };
    fold(&open.repository, snapshot, archive, codename, inputs, &bytes, wanted).map_err(|source| match source {
        FoldError::Git(fault) => RebuildError::Git(fault),
        source @ FoldError::List { .. } => RebuildError::Lists { what: what.to_owned(), source: Box::new(source) },
        source => RebuildError::Fold { what: what.to_owned(), source: Box::new(source) },
    })
}

type Stores = (Box<dyn ObjectStore>, Box<dyn ObjectStore>);

/// Returns the places of file lists and of packages.
fn stores(request: &RebuildRequest<'_>, open: &OpenArchive, archive: &Archive) -> Result<Stores, RebuildError> {
    if request.local_objects {
        let own = FolderStore::of_clone(&open.repository);
        return Ok((Box::new(own.derived(file_list::KIND)), Box::new(own)));
    }
    let packages = open.store(archive)?;
    Ok((open.lists(archive, packages.as_ref())?, packages))
}

fn of_suite(archive: &Archive, codename: &Codename, staged: &Staged, fold: &Fold) -> Option<Release> {
    let suite = archive.suite(codename)?;
    Some(Release::new(&archive.archive, codename, suite, staged.inputs.date, fold.listed.clone()))
}

fn no_suite(what: &str, codename: &Codename, archive: &Archive) -> RebuildError {
    let source = FoldError::NoSuite { codename: codename.clone(), known: archive.suites.keys().cloned().collect() };
    RebuildError::Fold { what: what.to_owned(), source: Box::new(source) }
}
