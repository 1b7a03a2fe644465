//! What was made, as plain files for whoever wants to look at differences with other programs: `dists/<codename>/` without
//! signatures, since nobody signed it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::RebuildError;
use crate::formats::release::Release;
use crate::places::store::fs::FolderStore;
use crate::places::target::Content;
use crate::places::target::plan::{Class, Plan, Step};
use crate::stories::archive::OpenArchive;
use crate::stories::event::Listener;
use crate::stories::export;
use crate::stories::fold::{Bytes, Fold};
use crate::words::name::Codename;

/// Checks that nothing is in the way.
pub(super) fn may_be_written(folder: &Path) -> Result<(), RebuildError> {
    let in_the_way = match fs::read_dir(folder) {
        Ok(entries) => entries.count() > 0,
        // What cannot be looked at cannot be written either, which is said then.
        Err(_) => folder.is_file(),
    };
    if in_the_way { Err(RebuildError::InTheWay { path: folder.to_owned() }) } else { Ok(()) }
}

/// Writes the Release and the files that it lists beside the folder, and renames them into it.
pub(super) fn write(
    folder: &Path,
    codename: &Codename,
    release: &Release,
    fold: &Fold,
    open: &OpenArchive,
    listener: Listener<'_>,
) -> Result<(), RebuildError> {
    let step = |class, path: &str, bytes| Step { class, path: format!("dists/{codename}/{path}"), content: Some(Content::Bytes(bytes)) };
    let mut steps = vec![step(Class::Release, "Release", Arc::new(release.text().into_bytes()))];
    for path in fold.listed.keys().filter(|path| fold.is_written(path)) {
        let bytes = fold.content(path, &Bytes::nothing());
        let bytes = bytes.map_err(|source| RebuildError::Fold { what: format!("{path} of {codename}"), source: Box::new(source) })?;
        steps.push(step(Class::Index, path, bytes));
    }
    // No step names an object, so any store will do.
    let store = FolderStore::of_repository(&open.repository);
    export::write(folder, Plan::new(steps), &store, false, listener).map_err(|fault| RebuildError::Output(Box::new(fault)))
}
