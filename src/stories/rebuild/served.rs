//! What clients are given now, beside what the branch of Releases says that they were given.

use super::find::{Found, Step};
use super::{Finding, ReadSite, RebuildAnswer, RebuildError};
use crate::formats::release::by_hash_paths;
use crate::places::git::Oid;
use crate::stories::archive::OpenArchive;
use crate::stories::publish::stage::Staged;
use crate::words::digest::Sha256;

/// The largest InRelease that is read, in bytes.
const LIMIT: u64 = 64 << 20;

/// Compares the InRelease of the site with those of the branch, and every file that Release lists with its digest.
pub(super) fn compare(
    open: &OpenArchive,
    found: &Found,
    staged: &Staged,
    site: &ReadSite<'_>,
    answer: &mut RebuildAnswer,
) -> Result<(), RebuildError> {
    let root = format!("dists/{}", found.branch.codename);
    let name = format!("{root}/InRelease");
    let shown = match site(&name, LIMIT) {
        Ok(bytes) => step_of(open, found, &bytes)?,
        Err(reason) => {
            answer.findings.push(Finding { file: name, reason: format!("it {reason}") });
            return Ok(());
        }
    };
    let current = shown.is_some_and(|step| step.release == found.at.release);
    match shown {
        Some(_) if current => {}
        Some(step) => answer.notes.push(format!("the site shows Release {} now, not {}", step.inputs.sequence, staged.inputs.sequence)),
        None => {
            let branch = &answer.branch;
            let reason = format!("the site shows one that is not on {branch}: somebody else published it, or history was rewritten");
            answer.findings.push(Finding { file: name, reason });
        }
    }
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

/// Returns the commit of the branch that has this InRelease.
fn step_of<'a>(open: &OpenArchive, found: &'a Found, bytes: &[u8]) -> Result<Option<&'a Step>, RebuildError> {
    let blobs: Vec<Oid> = found.branch.steps.iter().filter_map(|step| step.in_release).collect();
    open.repository.hydrate(blobs)?;
    for step in &found.branch.steps {
        let Some(blob) = step.in_release else { continue };
        if open.repository.blob(blob, &"an InRelease")? == bytes {
            return Ok(Some(step));
        }
    }
    Ok(None)
}
