//! What is recorded of a fold with its Release, from which the next fold starts: `fold.json`, `lists.json` and the sheets.

use std::collections::BTreeMap;

use super::{StageError, Staged, branch, json, read};
use crate::formats::blocks::sheet::Sheet;
use crate::places::git::{Oid, Repository};
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
    let recorded = recorded(repository, codename, staged.commit)?.filter(|(record, _)| record.is_of(&staged.release));
    let Some((record, sheets)) = recorded else { return Ok(None) };
    let base = staged.base(codename)?;
    let lists = match repository.snapshot(staged.commit)?.file(LISTS)? {
        Some(bytes) => json(LISTS, &bytes, staged.commit, &branch(codename))?,
        None => Digests::new(),
    };
    let (listed, commit) = (staged.parsed.files.clone(), Some(staged.commit));
    Ok(Some(Last { base, codename: codename.clone(), record, sheets, listed, lists, commit, earlier: None, own: None }))
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
    let snapshot = repository.snapshot(commit)?;
    let Some(bytes) = snapshot.file(FOLDED)? else { return Ok(None) };
    let branch = branch(codename);
    let record = json(FOLDED, &bytes, commit, &branch)?;
    let mut sheets = BTreeMap::new();
    let files = snapshot.files_below(SHEETS)?;
    repository.hydrate(files.values().copied())?;
    for (path, blob) in files {
        let wrong = |fault: serde_json::Error| StageError::Content {
            path: SHEETS,
            commit,
            branch: branch.clone(),
            fault: format!("{path}: {fault}"),
        };
        let sheet = Sheet::parse(&repository.blob(blob, &path)?).map_err(wrong)?;
        sheets.insert(path.trim_start_matches(SHEETS).trim_start_matches('/').to_owned(), sheet);
    }
    Ok(Some((record, sheets)))
}
