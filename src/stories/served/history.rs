//! The served Releases of a suite, newest first, and those that clients may still be in the middle of.

use super::snapshot::Histories;
use super::{Edition, ServedError};
use crate::places::git::read::Snapshot;
use crate::places::git::{Oid, Repository};
use crate::stories::publish::stage::{Inputs, Served, StageError};
use crate::words::archive::Suite;
use crate::words::date::Timestamp;
use crate::words::name::Codename;

/// What the names of the branches of Releases begin with.
pub const BRANCHES: &str = "refs/heads/ddb/releases/";

/// Returns every served Release of every suite.
///
/// # Errors
/// A branch is not as ddb leaves it.
pub fn all(repository: &Repository) -> Result<Histories, ServedError> {
    let mut histories = Histories::new();
    for (name, tip) in repository.references(BRANCHES)? {
        let Some(codename) = name.strip_prefix(BRANCHES).and_then(|name| name.parse::<Codename>().ok()) else { continue };
        let editions = served(repository, &codename, tip, &[])?;
        if !editions.is_empty() {
            histories.insert(codename, editions);
        }
    }
    Ok(histories)
}

/// Returns every served Release from this commit of the branch back, newest first. Where the commit of one that is known
/// already comes, the rest is taken from there.
///
/// # Errors
/// The branch is not as ddb leaves it.
pub fn served(repository: &Repository, codename: &Codename, tip: Oid, known: &[Edition]) -> Result<Vec<Edition>, ServedError> {
    let (mut editions, mut above) = (Vec::new(), None);
    let mut next = Some(tip);
    while let Some(commit) = next {
        let snapshot = repository.snapshot(commit)?;
        let release = snapshot.oid_of("Release")?;
        // A commit that only changes something beside Release is about the same one: the newer counts.
        let again = above.is_some() && above == release;
        if let Some(at) = known.iter().position(|edition| edition.commit == commit) {
            editions.extend(known.iter().skip(if again { at + 1 } else { at }).cloned());
            break;
        }
        if let Some(edition) = edition(&snapshot, codename)? {
            above = release;
            editions.extend((!again).then_some(edition));
        }
        next = repository.parent(commit)?;
    }
    Ok(editions)
}

/// Returns what a commit of the branch says that was served; `None` where nothing was.
fn edition(snapshot: &Snapshot<'_>, codename: &Codename) -> Result<Option<Edition>, ServedError> {
    let commit = snapshot.commit();
    let wrong = |path, fault| StageError::Content { path, commit, branch: format!("{BRANCHES}{codename}"), fault };
    let (Some(inputs), Some(served)) = (snapshot.file("inputs.json")?, snapshot.file("served.json")?) else { return Ok(None) };
    let inputs = serde_json::from_slice::<Inputs>(&inputs).map_err(|fault| wrong("inputs.json", fault.to_string()))?;
    let Served { at, .. } = serde_json::from_slice(&served).map_err(|fault| wrong("served.json", fault.to_string()))?;
    let base = inputs.base.parse().map_err(|_| wrong("inputs.json", "its base is no commit".to_owned()))?;
    Ok(Some(Edition { codename: codename.clone(), commit, base, sequence: inputs.sequence, date: inputs.date, at }))
}

/// Returns how many of these Releases, newest first, clients may still be in the middle of: as many as by-hash files are kept
/// of (`keep-generations`, and `keep-for` after they were replaced).
pub fn kept(editions: &[Edition], suite: Option<&Suite>, now: Timestamp) -> usize {
    let Some(suite) = suite else { return editions.len().min(1) };
    let generations = usize::try_from(suite.keep_generations).unwrap_or(usize::MAX).max(1);
    let limit = now.minus(suite.keep_for);
    let replaced_lately = editions.windows(2).take_while(|pair| pair.first().is_some_and(|newer| newer.at > limit)).count() + 1;
    generations.max(replaced_lately).min(editions.len())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::places::git::Author;
    use crate::places::git::land::Edits;

    #[test]
    fn a_release_that_got_a_proof_later_counts_once_also_where_it_was_known_before() {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::open_or_init(folder.path(), true).unwrap();
        let codename: Codename = "trixie".parse().unwrap();
        let author = Author { name: "Test".to_owned(), email: "test@example.org".to_owned(), time: 1_800_000_000 };
        let commit = |parent: Option<Oid>, sequence: u64, proof: &str| {
            let keyring = "0".repeat(64);
            let inputs = format!(r#"{{"sequence":{sequence},"base":"{}","date":{sequence},"ddb":"0"}}"#, "0".repeat(40));
            let served = format!(r#"{{"at":{sequence},"signed_by":[],"keyring":"{keyring}"}}"#);
            let release = format!("Release {sequence}");
            let files = [("Release", release.as_str()), ("inputs.json", &inputs), ("served.json", &served), ("Release.proof", proof)];
            let edits: Edits = files.into_iter().map(|(path, text)| (path.to_owned(), Some(text.into()))).collect();
            repository.commit(parent, &edits, "Change.", &author).unwrap()
        };
        let first = commit(None, 1, "");
        let second = commit(Some(first), 2, "");
        let look = |tip, known: &[Edition]| -> Vec<(u64, Oid)> {
            let editions = served(&repository, &codename, tip, known).unwrap();
            editions.into_iter().map(|edition| (edition.sequence, edition.commit)).collect()
        };
        let known = served(&repository, &codename, second, &[]).unwrap();
        let completed = commit(Some(second), 2, "later");
        assert_eq!(look(completed, &[]), [(2, completed), (1, first)]);
        assert_eq!(look(completed, &known), [(2, completed), (1, first)]);
        let third = commit(Some(completed), 3, "");
        assert_eq!(look(third, &served(&repository, &codename, completed, &known).unwrap()), [(3, third), (2, completed), (1, first)]);
        assert_eq!(look(third, &known), [(3, third), (2, completed), (1, first)]);
    }
}
