//! What is recorded of a fold with its Release, from which the next fold starts: `fold.json`, `lists.json` and the sheets.

use std::collections::BTreeMap;

use super::{StageError, Staged, branch, json, read};
use crate::formats::blocks::sheet::Sheet;
use crate::places::git::{GitError, Oid, Repository};
use crate::stories::fold::{Digests, Folded, Last};
use crate::words::name::Codename;

/// What a fold found out about the suite as a whole.
pub(super) const FOLDED: &str = "fold.json";

/// The digests of file lists that records do not name.
pub(super) const LISTS: &str = "lists.json";

/// The folder with a sheet for each index, at the index's path.
pub(super) const SHEETS: &str = "sheets";

/// Returns what a fold starts from that follows this Release, or makes it again; `None` where nothing was recorded.
///
/// # Errors
/// Git cannot be read, or a file is not as ddb leaves it.
pub fn folded(repository: &Repository, codename: &Codename, staged: &Staged) -> Result<Option<Last>, StageError> {
    let files = files(repository, staged.commit, &[FOLDED, LISTS])?;
    let recorded = read_recorded(&files, codename, staged.commit)?.filter(|(record, _)| record.is_of(&staged.release));
    let Some((record, sheets)) = recorded else { return Ok(None) };
    let base = staged.base(codename)?;
    let lists = match files.get(LISTS) {
        Some(bytes) => json(LISTS, bytes, staged.commit, &branch(codename))?,
        None => Digests::new(),
    };
    let (listed, commit) = (staged.parsed.files.clone(), Some(staged.commit));
    Ok(Some(Last { base, codename: codename.clone(), record, sheets, listed, lists, commit, earlier: None, own: None }))
}

/// Files of a staged commit, by their paths.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// Reads the sheets of a staged commit, and these files as far as they are there.
pub(super) fn files(repository: &Repository, commit: Oid, more: &[&str]) -> Result<Files, GitError> {
    let snapshot = repository.snapshot(commit)?;
    let sheets = snapshot.only_files_below(SHEETS)?;
    repository.hydrate(sheets.values().copied())?;
    repository.expect_files(commit, sheets.iter())?;
    let mut files = Files::new();
    for (path, blob) in sheets {
        let bytes = repository.blob(blob, &path)?;
        files.insert(path, bytes);
    }
    for path in more {
        files.extend(snapshot.file(path)?.map(|bytes| ((*path).to_owned(), bytes)));
    }
    Ok(files)
}

/// Adds the Release that Contents were made with, where that is an older one.
///
/// # Errors
/// Git cannot be read, or a file is not as ddb leaves it.
pub fn with_earlier(repository: &Repository, last: Last) -> Result<Last, StageError> {
    let release = last.record.contents.as_ref().and_then(|contents| contents.release.as_ref()?.parse().ok());
    // In a shallow clone it may be missing, and Contents are made from all file lists.
    let Some(staged) = release.and_then(|release| read(repository, &last.codename, release).ok()) else { return Ok(last) };
    let earlier = folded(repository, &last.codename, &staged)?.map(Box::new);
    Ok(Last { earlier, ..last })
}

/// What a fold found out, and the sheet of each index by its plain path.
pub type Recorded = (Folded, BTreeMap<String, Sheet>);

/// Returns what is recorded of a fold at this commit of the branch; `None` where nothing is.
///
/// # Errors
/// Git cannot be read, or a file is not as ddb leaves it.
pub fn recorded(repository: &Repository, codename: &Codename, commit: Oid) -> Result<Option<Recorded>, StageError> {
    read_recorded(&files(repository, commit, &[FOLDED])?, codename, commit)
}

fn read_recorded(files: &Files, codename: &Codename, commit: Oid) -> Result<Option<Recorded>, StageError> {
    let Some(bytes) = files.get(FOLDED) else { return Ok(None) };
    let branch = branch(codename);
    let record = json(FOLDED, bytes, commit, &branch)?;
    let mut sheets = BTreeMap::new();
    for (path, bytes) in files {
        let Some(index) = path.strip_prefix(SHEETS).and_then(|rest| rest.strip_prefix('/')) else { continue };
        let wrong = |fault: serde_json::Error| StageError::Content {
            path: SHEETS,
            commit,
            branch: branch.clone(),
            fault: format!("{path}: {fault}"),
        };
        sheets.insert(index.to_owned(), Sheet::parse(bytes).map_err(wrong)?);
    }
    Ok(Some((record, sheets)))
}
