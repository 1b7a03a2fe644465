//! Whether the published tree is that of the last served Release.

use super::{Finding, FindingKind, FsckError, Pool};
use crate::formats::index::object_path;
use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::formats::release::{Listed, by_hash_paths};
use crate::formats::suite::checks;
use crate::places::git::read::Snapshot;
use crate::places::lanes::{LANES, in_lanes};
use crate::places::target::{PublishTarget, TargetError};
use crate::stories::archive::OpenArchive;
use crate::stories::fold::patches;
use crate::stories::publish::{history, stage};
use crate::words::digest::{ExtraDigests, FileFacts};
use crate::words::name::Codename;

/// Compares the tree with the last served Release and with the pool files that its base commit offers.
pub(super) fn check_published(
    open: &OpenArchive,
    codename: &Codename,
    target: &dyn PublishTarget,
    full: bool,
    findings: &mut Vec<Finding>,
) -> Result<usize, FsckError> {
    let repository = &open.repository;
    if let Some(staged) = stage::newest(repository, codename)?.filter(|staged| staged.signatures.is_none()) {
        findings.push(Finding {
            kind: FindingKind::Published,
            path: format!("dists/{codename}/Release"),
            fault: format!("Release {} was staged and not served; `ddb-publish dists {codename}` finishes it", staged.inputs.sequence),
        });
    }
    let Some(served) = stage::last_served(repository, codename)? else { return Ok(0) };
    let mut count = 0;
    let root = format!("dists/{codename}");
    let mut compare = |path: String, expected: &[u8]| -> Result<(), FsckError> {
        count += 1;
        let fault = match target.read(&path)? {
            Some(bytes) if bytes == expected => return Ok(()),
            Some(_) => "it is not what was published; remove it and publish again with --repair",
            None => "it is missing; publish again with --repair",
        };
        findings.push(Finding { kind: FindingKind::Published, path, fault: fault.to_owned() });
        Ok(())
    };
    compare(format!("{root}/Release"), &served.release)?;
    if let Some(signatures) = &served.signatures {
        compare(format!("{root}/InRelease"), &signatures.in_release)?;
        compare(format!("{root}/Release.gpg"), &signatures.detached)?;
    }
    let (history, first) = (history(&root, &served.release), stage::first_proofs(repository, served.commit, |_, _| true)?);
    for (kind, proof) in &served.proofs {
        compare(format!("{root}/{}", kind.file()), proof)?;
        compare(format!("{history}.{}", kind.ending()), first.get(kind).unwrap_or(proof))?;
        compare(format!("{history}.release"), &served.release)?;
    }
    for (path, listed) in &served.parsed.files {
        let by_hash = if served.parsed.acquire_by_hash { by_hash_paths(path, listed) } else { Vec::new() };
        if served.parsed.is_listed_only(path) {
            continue;
        }
        for name in std::iter::once(path.clone()).chain(by_hash) {
            count += 1;
            findings.extend(compare_index(target, format!("{root}/{name}"), listed)?);
        }
    }
    // Patches are named by the lists that Release names, and by no digest in it.
    let recorded = stage::recorded(repository, codename, served.commit)?;
    for (path, pointer) in recorded.map(|(_, sheets)| patches(&sheets)).unwrap_or_default() {
        count += 1;
        let listed = Listed { size: pointer.size, sha256: pointer.oid, md5: None, sha1: None, sha512: None };
        findings.extend(compare_index(target, format!("{root}/{path}"), &listed)?);
    }
    let base = served.base(codename)?;
    let Ok(base) = repository.snapshot(base) else {
        let fault = format!(
            "its base commit {base} is not in this repository (a shallow clone, or history was rewritten); fetch it, or publish again"
        );
        findings.push(Finding { kind: FindingKind::Published, path: format!("{root}/Release"), fault });
        return Ok(count);
    };
    let archive = open.configuration(&base)?;
    let objects = archive.target.objects_below(&archive.store);
    if objects.is_some() && target.is_remote() {
        // The tree has no files of its own for packages: clients read the objects.
        return Ok(count);
    }
    let path_of = |path: &PoolPath, pointer: &Pointer| match &objects {
        None => path.to_string(),
        Some(objects) => format!("{objects}/{}", object_path(&pointer.oid)),
    };
    let pool: Vec<(String, Pointer)> = offered(&base, codename)?.iter().map(|(path, pointer)| (path_of(path, pointer), *pointer)).collect();
    count += pool.len();
    let wrong = in_lanes(LANES, &pool, |(path, pointer)| compare_pool(target, path, pointer, full))?;
    findings.extend(wrong.into_iter().flatten());
    Ok(count)
}

fn compare_index(target: &dyn PublishTarget, path: String, listed: &Listed) -> Result<Option<Finding>, FsckError> {
    let fault = match target.read(&path)? {
        None => "it is missing; publish again with --repair".to_owned(),
        Some(bytes) => {
            let found = FileFacts::of(&bytes, ExtraDigests::default());
            if (found.size, found.sha256) == (listed.size, listed.sha256) {
                return Ok(None);
            }
            format!(
                "it has sha256 {} and {} bytes, Release says {} and {}; remove it and publish again with --repair",
                found.sha256, found.size, listed.sha256, listed.size
            )
        }
    };
    Ok(Some(Finding { kind: FindingKind::Published, path, fault }))
}

fn compare_pool(target: &dyn PublishTarget, path: &str, pointer: &Pointer, full: bool) -> Result<Option<Finding>, TargetError> {
    let fault = match target.size(path)? {
        None => "it is missing; publish again with --repair".to_owned(),
        Some(size) if size != pointer.size => {
            format!("it has {size} bytes, the pointer says {}; remove it and publish again with --repair", pointer.size)
        }
        Some(_) if full && target.hash(path)? != Some(*pointer) => {
            format!(
                "its bytes are not those of object {}; check that object, remove this file and publish again with --repair",
                pointer.oid
            )
        }
        Some(_) => return Ok(None),
    };
    Ok(Some(Finding { kind: FindingKind::Published, path: path.to_owned(), fault }))
}

/// Returns the files that the records of a suite name.
fn offered(snapshot: &Snapshot<'_>, codename: &Codename) -> Result<Pool, FsckError> {
    let records = snapshot.record_bytes(codename)?;
    let files = records
        .iter()
        .filter_map(|(place, bytes)| checks::read_at(place, bytes).and_then(|record| checks::files_named(place, &record)).ok());
    Ok(files.flatten().collect())
}
