//! The plan of a publish: what the published tree lacks, as ordered steps; and what is old enough to be removed.
//!
//! Only the tree's sizes and small files are asked for; it is never listed.

use std::collections::{BTreeMap, BTreeSet};

use super::stage::{self, Signatures};
use super::{DistsRequest, Edition, Places, PublishError};
use crate::formats::client;
use crate::formats::pool::path::PoolPath;
use crate::formats::release::{Release, by_hash_paths};
use crate::formats::suite::checks::RecordProblem;
use crate::places::target::plan::{Class, Plan, Step};
use crate::places::target::{Content, TargetError};
use crate::words::archive::Archive;

/// The keyring's path in the published tree.
pub const KEYRING: &str = "archive-keyring.asc";

/// After how many Releases in a row of which nothing is left the search for removals ends: what is older went before.
const SWEEP: usize = 8;

/// Returns the sources stanza.
pub(super) fn stanza(request: &DistsRequest, edition: &Edition) -> String {
    let suite = edition.archive.suite(&request.codename);
    suite.map(|suite| client::sources_stanza(&request.address, &request.codename, suite, &edition.keyring)).unwrap_or_default()
}

/// Returns the steps that bring the tree to this Release.
pub(super) fn publish(
    request: &DistsRequest,
    places: &Places<'_>,
    edition: &Edition,
    signatures: &Signatures,
) -> Result<Plan, PublishError> {
    let mut steps = pool(request, places, edition)?;
    let root = format!("dists/{}", request.codename);
    for (path, bytes) in &edition.fold.contents {
        let Some(listed) = edition.release.files.get(path) else { continue };
        let mut first = None;
        if edition.release.acquire_by_hash {
            for name in by_hash_paths(path, listed) {
                let name = format!("{root}/{name}");
                let content = first.clone().map_or_else(|| Content::Bytes(bytes.clone()), Content::SameAs);
                first.get_or_insert_with(|| name.clone());
                steps.extend(unless_there(places, Class::ByHash, name, bytes, content)?);
            }
        }
        let content = first.map_or_else(|| Content::Bytes(bytes.clone()), Content::SameAs);
        steps.extend(unless_there(places, Class::Index, format!("{root}/{path}"), bytes, content)?);
    }
    let small = |class, path: String, bytes: &[u8]| unless_there(places, class, path, bytes, Content::Bytes(bytes.to_vec()));
    steps.extend(small(Class::Client, KEYRING.to_owned(), edition.keyring.as_bytes())?);
    steps.extend(small(Class::Client, format!("{}.sources", request.codename), stanza(request, edition).as_bytes())?);
    steps.extend(small(Class::Signature, format!("{root}/Release.gpg"), &signatures.detached)?);
    steps.extend(small(Class::Release, format!("{root}/Release"), edition.release.text().as_bytes())?);
    steps.extend(small(Class::InRelease, format!("{root}/InRelease"), &signatures.in_release)?);
    Ok(Plan::new(steps))
}

fn unless_there(places: &Places<'_>, class: Class, path: String, bytes: &[u8], content: Content) -> Result<Option<Step>, TargetError> {
    let there = places.target.size(&path)? == Some(bytes.len() as u64) && places.target.read(&path)?.as_deref() == Some(bytes);
    Ok((!there).then_some(Step { class, path, content: Some(content) }))
}

/// Pool files that the tree lacks or has with other bytes.
fn pool(request: &DistsRequest, places: &Places<'_>, edition: &Edition) -> Result<Vec<Step>, PublishError> {
    let known = known(request, places, edition)?;
    let mut steps = Vec::new();
    for (path, pointer) in &edition.fold.pool {
        let name = path.to_string();
        // What the last publish wrote is looked at by its size; anything else that stands there is read.
        let there = match known.contains(path) {
            true => places.target.size(&name)? == Some(pointer.size),
            false => places.target.holds(&name, pointer)?,
        };
        if !there {
            steps.push(Step { class: Class::Pool, path: name, content: Some(Content::Object(*pointer)) });
        }
    }
    Ok(steps)
}

/// Checks that the store has the object of every pool file that the tree lacks.
pub(super) fn check_objects(request: &DistsRequest, places: &Places<'_>, edition: &Edition) -> Result<(), PublishError> {
    let mut problems = Vec::new();
    for Step { path, content, .. } in pool(request, places, edition)? {
        let Some(Content::Object(pointer)) = content else { continue };
        let size = places.store.size(&pointer.oid);
        let size = size.map_err(|source| TargetError::Object { path: path.clone(), source: Box::new(source) })?;
        if size != Some(pointer.size) {
            let fault =
                format!("its object {} is not in {}; fetch it, or deploy that build output again", pointer.oid, places.store.describe());
            problems.push(RecordProblem { path, fault });
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(PublishError::Objects { problems }) }
}

/// Returns the pool files whose bytes in the tree are known: the tree holds the last served Release, and that was made from a
/// commit with the same pointer at that path.
fn known(request: &DistsRequest, places: &Places<'_>, edition: &Edition) -> Result<BTreeSet<PoolPath>, PublishError> {
    let repository = &places.open.repository;
    let Some(last) = stage::last_served(repository, &request.codename)? else { return Ok(BTreeSet::new()) };
    if places.target.read(&format!("dists/{}/Release", request.codename))?.as_deref() != Some(&last.release) {
        return Ok(BTreeSet::new());
    }
    // The base may be missing in a shallow clone.
    let Ok(old) = repository.snapshot(last.base(&request.codename)?) else { return Ok(BTreeSet::new()) };
    if old.commit() == edition.base {
        return Ok(edition.fold.pool.keys().cloned().collect());
    }
    let (old, new) = (old.pool()?, repository.snapshot(edition.base)?.pool()?);
    let same = |path: &&PoolPath| {
        let name = path.to_string();
        old.get(&name).is_some_and(|blob| new.get(&name) == Some(blob))
    };
    Ok(edition.fold.pool.keys().filter(same).cloned().collect())
}

/// Returns the removal of by-hash files that no Release names which is among the newest or was current lately.
pub(super) fn removals(request: &DistsRequest, places: &Places<'_>, archive: &Archive) -> Result<Plan, PublishError> {
    let Some(suite) = archive.suite(&request.codename) else { return Ok(Plan::default()) };
    let repository = &places.open.repository;
    let mut kept = BTreeSet::new();
    let mut steps = BTreeMap::new();
    let (mut generation, mut idle) = (0, 0);
    let mut replaced_at = None;
    let mut staged = stage::newest(repository, &request.codename)?;
    // Releases come newest first, so everything that is kept is known before the first one that is not.
    while let Some(current) = staged.filter(|_| idle < SWEEP) {
        if let Some(signatures) = &current.signatures {
            generation += 1;
            let lately = replaced_at.is_none_or(|at| at > request.now.minus(suite.keep_for));
            if generation <= suite.keep_generations || lately {
                kept.extend(names(&current.parsed));
            } else {
                let before = steps.len();
                for name in names(&current.parsed).filter(|name| !kept.contains(name)) {
                    let path = format!("dists/{}/{name}", request.codename);
                    if places.target.size(&path)?.is_some() {
                        steps.insert(path.clone(), Step { class: Class::Removal, path, content: None });
                    }
                }
                idle = if steps.len() == before { idle + 1 } else { 0 };
            }
            replaced_at = Some(signatures.served.at);
        }
        staged = stage::before(repository, &request.codename, &current)?;
    }
    Ok(Plan::new(steps.into_values().collect()))
}

fn names(release: &Release) -> impl Iterator<Item = String> + '_ {
    release.files.iter().flat_map(|(path, listed)| by_hash_paths(path, listed))
}
