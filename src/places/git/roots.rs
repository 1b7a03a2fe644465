//! Which objects the repository still names: the pointers in the trees of its refs and of their recent history.
//!
//! Whoever collects garbage must see everything, so a shallow or partial clone is refused. A commit keeps its objects as long as
//! it is a ref's, or younger than a time, or was the newest before one that is: then it was current not long ago. Trees that
//! several commits share are read once.

use std::collections::{BTreeMap, HashSet};

use git2::{ObjectType, Sort};

use super::{GitError, Oid, Repository, failed};
use crate::formats::pool::pointer::Pointer;
use crate::formats::suite::record::Record;
use crate::words::date::Timestamp;
use crate::words::digest::ObjectId;
use crate::words::limits;

/// What the names of branches begin with on which statements wait to be landed, or wait to be read about.
const WAITING: [&str; 2] = ["ddb/inbox/", "ddb/verdicts/"];
/// What the names of branches begin with that hold Releases.
pub const RELEASES: &str = "ddb/releases/";
/// The folder of a Release whose files name the blocks of its indices.
const BLOCKS: &str = "sheets";
/// The file of a Release that names file lists.
const LISTS: &str = "lists.json";
/// Largest blob of a waiting statement that is read.
const STATEMENT: u64 = (limits::SEALED + limits::SEAL) as u64;

/// How far back objects are kept.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Commits from this time on.
    pub commits: Timestamp,
    /// Releases from this time on.
    pub releases: Timestamp,
    /// How many of the newest Releases of each suite at least.
    pub generations: usize,
}

/// What was found so far; finding more in the same repository reads only what is new.
#[derive(Debug, Default)]
pub struct Named {
    /// Objects that a pointer names.
    pub objects: HashSet<ObjectId>,
    /// Blocks of indices that a kept Release is joined from.
    pub blocks: HashSet<ObjectId>,
    /// File lists that a record or a kept Release names, where these are wanted.
    pub lists: HashSet<ObjectId>,
    /// Whether records are read for them.
    pub wants_lists: bool,
    /// Commits whose trees were read.
    pub commits: HashSet<Oid>,
    /// Commits with a Release that is kept.
    pub releases: HashSet<Oid>,
    read: HashSet<Oid>,
}

impl Repository {
    /// Checks that no history and no blob is missing.
    ///
    /// # Errors
    /// It is a shallow or a partial clone.
    pub fn expect_whole(&self) -> Result<(), GitError> {
        let path = self.root().to_owned();
        if self.git().is_shallow() {
            return Err(GitError::NotWhole { path, what: "a shallow clone", remedy: "fetch the whole history (git fetch --unshallow)" });
        }
        let config = self.git().config().and_then(|mut config| config.snapshot()).map_err(failed("read the configuration"))?;
        let mut promisors = config.entries(Some(r"(^extensions\.partialclone$|\.promisor$)")).map_err(failed("read the configuration"))?;
        let partial = promisors.next().is_some();
        match partial {
            true => Err(GitError::NotWhole { path, what: "a partial clone", remedy: "clone it without --filter" }),
            false => Ok(()),
        }
    }

    /// Returns every ref and HEAD with the commit it leads to; a tag on something else is left out.
    ///
    /// # Errors
    /// A ref cannot be read.
    pub fn all_tips(&self) -> Result<BTreeMap<String, Oid>, GitError> {
        let mut tips = BTreeMap::new();
        let references = self.git().references().map_err(failed("list the refs"))?;
        for reference in references {
            let reference = reference.map_err(failed("list the refs"))?;
            let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
            if let Ok(commit) = reference.peel_to_commit() {
                tips.insert(name, commit.id());
            }
        }
        if let Ok(head) = self.git().head().and_then(|head| head.peel_to_commit()) {
            tips.insert("HEAD".to_owned(), head.id());
        }
        Ok(tips)
    }

    /// Adds all objects that these refs name, as far back as the retention says. Of branches of Releases the commits are given, by name
    /// and newest first, for which somebody vouches.
    ///
    /// # Errors
    /// Something cannot be read: then nothing may be taken for unnamed.
    pub fn add_named(
        &self,
        tips: &BTreeMap<String, Oid>,
        vouched: &BTreeMap<String, Vec<Oid>>,
        retention: Retention,
        named: &mut Named,
    ) -> Result<(), GitError> {
        let is = |name: &str, begin: &str| name.contains(&format!("/{begin}"));
        let (releases, others): (Vec<_>, Vec<_>) = tips.iter().partition(|(name, _)| is(name, RELEASES));
        for (name, tip) in &others {
            self.add_commit(**tip, named)?;
            if WAITING.iter().any(|begin| is(name, begin)) {
                self.add_mentioned(**tip, named)?;
            }
        }
        self.add_history(others.iter().map(|(_, tip)| **tip), retention.commits, named)?;
        releases.iter().try_for_each(|(name, tip)| {
            let vouched = vouched.get(*name).map(Vec::as_slice).unwrap_or_default();
            self.add_releases(**tip, vouched, retention, named)
        })
    }

    fn add_history(&self, tips: impl Iterator<Item = Oid>, since: Timestamp, named: &mut Named) -> Result<(), GitError> {
        let mut walk = self.git().revwalk().map_err(failed("walk the history"))?;
        walk.set_sorting(Sort::NONE).map_err(failed("walk the history"))?;
        for tip in tips {
            walk.push(tip).map_err(failed(format!("walk the history of {tip}")))?;
        }
        // Commit times need not be in order, so the whole history is looked at.
        for commit in walk {
            let commit = commit.and_then(|oid| self.git().find_commit(oid)).map_err(failed("walk the history"))?;
            if commit.time().seconds() >= since.0 {
                self.add_commit(commit.id(), named)?;
                commit.parent_ids().try_for_each(|parent| self.add_commit(parent, named))?;
            }
        }
        Ok(())
    }

    /// The second parent of a commit that stages a Release is what the Release was made from. Of a branch on which somebody vouches for
    /// commits (`vouched`, newest first), these alone use up the number of Releases that are kept: what others left there takes nothing
    /// away.
    fn add_releases(&self, tip: Oid, vouched: &[Oid], retention: Retention, named: &mut Named) -> Result<(), GitError> {
        let known: HashSet<Oid> = vouched.iter().copied().collect();
        let (mut at, mut branch) = (Some(tip), Vec::new());
        while let Some(commit) = at {
            branch.push(commit);
            at = self.parent(commit)?;
        }
        self.add_row(&branch, |commit| known.is_empty() || known.contains(&commit), retention, named)?;
        self.add_row(vouched, |_| true, retention, named)
    }

    fn add_row(&self, row: &[Oid], counts: impl Fn(Oid) -> bool, retention: Retention, named: &mut Named) -> Result<(), GitError> {
        let (mut generations, mut current) = (0, true);
        for oid in row.iter().copied() {
            let commit = self.git().find_commit(oid).map_err(failed(format!("read commit {oid}")))?;
            let young = commit.time().seconds() >= retention.releases.0;
            if (young || current || generations < retention.generations) && named.releases.insert(oid) {
                commit.parent_ids().skip(1).try_for_each(|base| self.add_commit(base, named))?;
                self.add_blocks(&commit, named)?;
            }
            if commit.parent_count() > 1 && counts(oid) {
                generations += 1;
                // The Release before a young one was current not long ago.
                current = young;
            }
        }
        Ok(())
    }

    fn add_blocks(&self, release: &git2::Commit<'_>, named: &mut Named) -> Result<(), GitError> {
        let tree = release.tree().map_err(failed(format!("read commit {}", release.id())))?;
        // What is otherwise than ddb leaves it names nothing.
        let of_kind = |name: &str, kind| match tree.get_name(name).filter(|entry| entry.kind() == Some(kind)) {
            Some(entry) => Ok(self.is(entry.id(), kind)?.then(|| entry.id())),
            None => Ok(None),
        };
        if let Some(lists) = of_kind(LISTS, ObjectType::Blob)?.filter(|lists| named.read.insert(*lists)) {
            let found = self.git().find_blob(lists).map_err(failed(format!("read blob {lists}")))?;
            named.lists.extend(mentioned(found.content()));
        }
        let Some(folder) = of_kind(BLOCKS, ObjectType::Tree)? else { return Ok(()) };
        self.add_sheets(folder, named)
    }

    fn add_sheets(&self, folder: Oid, named: &mut Named) -> Result<(), GitError> {
        if !named.read.insert(folder) {
            return Ok(());
        }
        let found = self.git().find_tree(folder).map_err(failed(format!("read tree {folder}")))?;
        for entry in found.iter() {
            let says = entry.kind().filter(|kind| [ObjectType::Tree, ObjectType::Blob].contains(kind));
            match says.map(|kind| Ok::<_, GitError>(self.is(entry.id(), kind)?.then_some(kind))).transpose()?.flatten() {
                Some(ObjectType::Tree) => self.add_sheets(entry.id(), named)?,
                Some(ObjectType::Blob) if named.read.insert(entry.id()) => {
                    let sheet = self.git().find_blob(entry.id()).map_err(failed(format!("read blob {}", entry.id())))?;
                    named.blocks.extend(mentioned(sheet.content()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Tells whether an object is of a kind, whatever a tree says. One that cannot be read may be anything.
    fn is(&self, object: Oid, kind: ObjectType) -> Result<bool, GitError> {
        let odb = self.git().odb().map_err(failed("open the object database"))?;
        let (_, own) = odb.read_header(object).map_err(failed(format!("read object {object}")))?;
        Ok(own == kind)
    }

    fn add_commit(&self, commit: Oid, named: &mut Named) -> Result<(), GitError> {
        if !named.commits.insert(commit) {
            return Ok(());
        }
        let tree = self.git().find_commit(commit).map_err(failed(format!("read commit {commit}")))?.tree_id();
        self.add_tree(tree, true, named)
    }

    fn add_tree(&self, tree: Oid, top: bool, named: &mut Named) -> Result<(), GitError> {
        if !named.read.insert(tree) {
            return Ok(());
        }
        let found = self.git().find_tree(tree).map_err(failed(format!("read tree {tree}")))?;
        for entry in found.iter() {
            match entry.kind() {
                // Records name no object that the pool does not.
                Some(ObjectType::Tree) if top && entry.name_bytes() == b"suites" && !named.wants_lists => {}
                Some(ObjectType::Tree) if top && entry.name_bytes() == b"suites" => self.add_records(entry.id(), named)?,
                Some(ObjectType::Tree) => self.add_tree(entry.id(), false, named)?,
                Some(ObjectType::Blob) => self.add_pointer(entry.id(), named)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes the file lists that records name.
    fn add_records(&self, tree: Oid, named: &mut Named) -> Result<(), GitError> {
        if !named.read.insert(tree) {
            return Ok(());
        }
        let found = self.git().find_tree(tree).map_err(failed(format!("read tree {tree}")))?;
        for entry in found.iter() {
            match entry.kind() {
                Some(ObjectType::Tree) => self.add_records(entry.id(), named)?,
                Some(ObjectType::Blob) if named.read.insert(entry.id()) => {
                    let record = self.git().find_blob(entry.id()).map_err(failed(format!("read blob {}", entry.id())))?;
                    // What is no record names nothing.
                    named.lists.extend(Record::parse(record.content()).ok().and_then(|record| record.list));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn add_pointer(&self, blob: Oid, named: &mut Named) -> Result<(), GitError> {
        if !named.read.insert(blob) {
            return Ok(());
        }
        let odb = self.git().odb().map_err(failed("open the object database"))?;
        let (size, _) = odb.read_header(blob).map_err(failed(format!("read blob {blob}")))?;
        if size <= limits::POINTER {
            let found = odb.read(blob).map_err(failed(format!("read blob {blob}")))?;
            named.objects.extend(Pointer::decode(found.data()).ok().map(|pointer| pointer.oid));
        }
        Ok(())
    }

    /// Takes everything that looks like a digest, in any file of a commit: a statement names its objects in whatever form.
    fn add_mentioned(&self, commit: Oid, named: &mut Named) -> Result<(), GitError> {
        let tree = self.git().find_commit(commit).and_then(|found| found.tree()).map_err(failed(format!("read commit {commit}")))?;
        let odb = self.git().odb().map_err(failed("open the object database"))?;
        let mut blobs = Vec::new();
        tree.walk(git2::TreeWalkMode::PreOrder, |_, entry| {
            blobs.extend((entry.kind() == Some(ObjectType::Blob)).then(|| entry.id()));
            git2::TreeWalkResult::Ok
        })
        .map_err(failed(format!("walk the tree of {commit}")))?;
        for blob in blobs {
            let (size, _) = odb.read_header(blob).map_err(failed(format!("read blob {blob}")))?;
            if size as u64 <= STATEMENT {
                let found = self.git().find_blob(blob).map_err(failed(format!("read blob {blob}")))?;
                named.objects.extend(mentioned(found.content()));
            }
        }
        Ok(())
    }
}

/// Returns every run of exactly 64 hexadecimal digits.
fn mentioned(bytes: &[u8]) -> impl Iterator<Item = ObjectId> {
    let runs = bytes.split(|byte| !byte.is_ascii_hexdigit()).filter(|run| run.len() == 64);
    runs.filter_map(|run| std::str::from_utf8(run).ok()?.parse().ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Author;
    use super::super::land::Edits;
    use super::*;

    fn oid(text: &str) -> ObjectId {
        ObjectId::of(text.as_bytes())
    }

    fn edits(add: &[&str], remove: &[&str]) -> Edits {
        let pointer = |name: &&str| Pointer { oid: oid(name), size: 1 }.encode().into_bytes();
        let added = add.iter().map(|name| (format!("pool/main/h/hello/{name}"), Some(pointer(name))));
        added.chain(remove.iter().map(|name| (format!("pool/main/h/hello/{name}"), None))).collect()
    }

    fn names(named: &Named, among: &[&'static str]) -> Vec<&'static str> {
        among.iter().copied().filter(|name| named.objects.contains(&oid(name))).collect()
    }

    #[test]
    fn tips_recent_history_and_what_was_current_lately_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::open_or_init(folder.path(), true).unwrap();
        let commit = |parents: &[Oid], edits: &Edits, time: i64| {
            let author = Author { name: "Test".into(), email: "test@example.org".into(), time };
            repository.commit_with(parents, edits, "test", &author).unwrap()
        };
        let first = commit(&[], &edits(&["a"], &[]), 100);
        let second = commit(&[first], &edits(&["b"], &["a"]), 200);
        let third = commit(&[second], &edits(&["c"], &["b"]), 300);
        let parked = commit(&[], &Edits::from([("statement".into(), Some(format!("{{\"sha256\":\"{}\"}}", oid("d")).into_bytes()))]), 50);
        let begin = commit(&[], &Edits::new(), 50);
        let stray = commit(&[], &edits(&["e"], &[]), 10);
        let blocks = format!("{{\"sha256\":\"{}\"}}", oid("block")).into_bytes();
        let old_release = commit(&[begin, stray], &Edits::from([("sheets/main/x".into(), Some(blocks))]), 60);
        let release = commit(&[old_release, first], &Edits::from([("sheets/main/x".into(), Some(b"{}".to_vec()))]), 110);
        let tips = |names: &[(&str, Oid)]| names.iter().map(|(name, oid)| ((*name).to_owned(), *oid)).collect::<BTreeMap<_, _>>();
        let all = tips(&[
            ("refs/heads/main", third),
            ("refs/remotes/origin/ddb/inbox/1234", parked),
            ("refs/heads/ddb/releases/trixie", release),
        ]);
        let keep = |commits: i64, releases: i64, generations| {
            let mut named = Named::default();
            let retention = Retention { commits: Timestamp(commits), releases: Timestamp(releases), generations };
            repository.add_named(&all, &BTreeMap::new(), retention, &mut named).unwrap();
            assert_eq!(named.blocks.contains(&oid("block")), named.objects.contains(&oid("e")), "of one Release");
            names(&named, &["a", "b", "c", "d", "e"])
        };
        assert_eq!(keep(1000, 1000, 0), ["a", "c", "d"], "tips, what waits, and the newest Release");
        assert_eq!(keep(250, 1000, 0), ["a", "b", "c", "d"], "the second commit is old, but was current until 300");
        assert_eq!(keep(1000, 1000, 2), ["a", "c", "d", "e"], "two Releases");
        assert_eq!(keep(1000, 100, 1), ["a", "c", "d", "e"], "the first Release was current until 110");
        assert_eq!(keep(1000, 111, 1), ["a", "c", "d"]);
    }

    #[test]
    fn shallow_and_partial_clones_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::open_or_init(folder.path(), true).unwrap();
        repository.expect_whole().unwrap();
        repository.set("remote.origin.promisor", "true").unwrap();
        assert!(repository.expect_whole().unwrap_err().to_string().contains("is a partial clone"));
        let shallow = tempfile::tempdir().unwrap();
        let repository = Repository::open_or_init(shallow.path(), true).unwrap();
        std::fs::write(shallow.path().join("shallow"), format!("{}\n", "1".repeat(40))).unwrap();
        assert!(repository.expect_whole().unwrap_err().to_string().contains("is a shallow clone"));
    }
}
