//! Landing: a commit made by tree edits, and a ref moved by compare-and-swap.
//!
//! The cost grows with the edits, not with the tree. Whoever loses the race for the ref computes the edits anew on the new
//! tip and tries again; nothing is merged and nothing is overwritten.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::{ErrorCode, ObjectType, Signature, Time};

use super::edit::{Held, TreeEdits};
use super::objects::NewObjects;
use super::{Author, GitError, Oid, Repository, failed};

/// Paths in the repository with their new content; `None` removes the path.
pub type Edits = BTreeMap<String, Option<Vec<u8>>>;

/// How often a ref is tried before the writer gives up.
const TRIES: u32 = 200;

/// How often a ref is tried that another program has locked: for some seconds.
const LOCKED_TRIES: u32 = 30;

/// How old the lock on a ref is when whoever made it was certainly killed.
const STALE_LOCK: Duration = Duration::from_secs(600);

impl Repository {
    /// Makes a commit of these edits on a parent (or the first commit) without moving any ref.
    ///
    /// # Errors
    /// An object cannot be read or written.
    pub fn commit(&self, parent: Option<Oid>, edits: &Edits, message: &str, author: &Author) -> Result<Oid, GitError> {
        self.commit_with(parent.as_slice(), edits, message, author)
    }

    /// Makes a commit of these edits on the first parent; the others are remembered, and so kept by Git, and nothing else.
    ///
    /// # Errors
    /// An object cannot be read or written.
    pub fn commit_with(&self, parents: &[Oid], edits: &Edits, message: &str, author: &Author) -> Result<Oid, GitError> {
        self.commit_for(parents, edits, message, author, author)
    }

    /// Makes a commit of these files and no others, whatever its parents hold.
    ///
    /// # Errors
    /// An object cannot be read or written.
    pub fn commit_whole(
        &self,
        parents: &[Oid],
        files: &BTreeMap<String, Vec<u8>>,
        message: &str,
        author: &Author,
    ) -> Result<Oid, GitError> {
        let mut objects = self.new_objects(files.len())?;
        let mut held = TreeEdits::new();
        for (path, content) in files {
            held.insert(path.clone(), Some(Held::File(objects.write(ObjectType::Blob, content.clone())?)));
        }
        let tree = self.edited_tree(None, &held, &mut objects)?;
        objects.finish()?;
        self.commit_tree(&self.commits(parents)?, tree, message, author, author)
    }

    /// Makes a commit of these edits on the first parent, for somebody else: the author is who wanted it, the committer who does it.
    ///
    /// # Errors
    /// An object cannot be read or written.
    pub fn commit_for(&self, parents: &[Oid], edits: &Edits, message: &str, author: &Author, committer: &Author) -> Result<Oid, GitError> {
        let mut objects = self.new_objects(edits.len())?;
        let mut held = TreeEdits::new();
        for (path, content) in edits {
            let blob = content.as_ref().map(|bytes| objects.write(ObjectType::Blob, bytes.clone())).transpose()?;
            held.insert(path.clone(), blob.map(Held::File));
        }
        self.commit_objects(parents, &held, objects, message, author, committer)
    }

    /// Makes a commit that puts what the object database holds already, files or whole folders, to other paths. The cost is that
    /// of the trees above these paths, whatever is below them.
    ///
    /// # Errors
    /// An object cannot be read or written, or a path is a file in one place and a folder in the other.
    pub fn commit_held(
        &self,
        parents: &[Oid],
        edits: &TreeEdits,
        message: &str,
        author: &Author,
        committer: &Author,
    ) -> Result<Oid, GitError> {
        let objects = self.new_objects(edits.len())?;
        self.commit_objects(parents, edits, objects, message, author, committer)
    }

    fn commit_objects(
        &self,
        parents: &[Oid],
        edits: &TreeEdits,
        mut objects: NewObjects<'_>,
        message: &str,
        author: &Author,
        committer: &Author,
    ) -> Result<Oid, GitError> {
        let parents = self.commits(parents)?;
        let baseline = parents.first().map(git2::Commit::tree).transpose().map_err(failed("read the parent's tree"))?;
        let tree = self.edited_tree(baseline, edits, &mut objects)?;
        objects.finish()?;
        self.commit_tree(&parents, tree, message, author, committer)
    }

    fn commits(&self, commits: &[Oid]) -> Result<Vec<git2::Commit<'_>>, GitError> {
        let read = commits.iter().map(|oid| self.git().find_commit(*oid)).collect::<Result<Vec<_>, _>>();
        read.map_err(failed("read the parent commit"))
    }

    fn commit_tree(
        &self,
        parents: &[git2::Commit<'_>],
        tree: Oid,
        message: &str,
        author: &Author,
        committer: &Author,
    ) -> Result<Oid, GitError> {
        let git = self.git();
        let tree = git.find_tree(tree).map_err(failed("read the edited tree"))?;
        let name = |who: &Author| Signature::new(&who.name, &who.email, &Time::new(who.time, 0)).map_err(failed("write the author's name"));
        let parents: Vec<&git2::Commit<'_>> = parents.iter().collect();
        git.commit(None, &name(author)?, &name(committer)?, message, &tree, &parents).map_err(failed("write the commit"))
    }

    /// Moves a ref from one commit to another; `false` where it is not at the old one any more.
    ///
    /// # Errors
    /// The ref stays locked, or cannot be written for another reason.
    pub fn compare_and_swap(&self, reference: &str, old: Option<Oid>, new: Oid, why: &str) -> Result<bool, GitError> {
        for attempt in 0..LOCKED_TRIES {
            let moved = match old {
                Some(old) => self.git().reference_matching(reference, new, true, old, why),
                None => self.git().reference(reference, new, false, why),
            };
            match moved {
                Ok(_) => return Ok(true),
                Err(fault) if fault.code() == ErrorCode::Locked => {
                    remove_stale_lock(&self.lock_of(reference));
                    std::thread::sleep(pause(attempt));
                }
                Err(fault) if [ErrorCode::Modified, ErrorCode::Exists, ErrorCode::NotFound].contains(&fault.code()) => return Ok(false),
                Err(fault) => return Err(failed(format!("move {reference}"))(fault)),
            }
        }
        Err(GitError::Locked { reference: reference.to_owned(), lock: self.lock_of(reference) })
    }

    fn lock_of(&self, reference: &str) -> PathBuf {
        self.git_dir().join(format!("{reference}.lock"))
    }

    /// Runs a step on the branch's tip until its commit lands; the step returns `None` where nothing is to be committed.
    ///
    /// # Errors
    /// The step fails, or others move the branch at every try.
    pub fn land<T, E: From<GitError>>(
        &self,
        branch: &str,
        why: &str,
        mut step: impl FnMut(Option<Oid>) -> Result<(Option<Oid>, T), E>,
    ) -> Result<(Option<Oid>, T), E> {
        for attempt in 0..TRIES {
            let tip = self.tip(branch)?;
            let (commit, value) = step(tip)?;
            let Some(new) = commit else { return Ok((None, value)) };
            if self.compare_and_swap(branch, tip, new, why)? {
                return Ok((commit, value));
            }
            std::thread::sleep(pause(attempt));
        }
        Err(GitError::Contended { branch: branch.to_owned(), tries: TRIES }.into())
    }
}

/// Removes a lock if a killed program left it. A ref is locked for milliseconds.
pub(super) fn remove_stale_lock(lock: &Path) {
    let age = std::fs::metadata(lock).and_then(|metadata| metadata.modified()).ok().and_then(|modified| modified.elapsed().ok());
    if age.is_some_and(|age| age >= STALE_LOCK) {
        // Whoever is faster has removed it; what else could be wrong is said by the next try.
        let _ = std::fs::remove_file(lock);
    }
}

/// A pause that grows to half a second and differs between processes, so that writers do not meet again at once.
pub(crate) fn pause(attempt: u32) -> Duration {
    use std::hash::{BuildHasher as _, RandomState};
    let limit = 2u64.saturating_mul(1 << attempt.min(8)).min(500);
    Duration::from_millis(RandomState::new().hash_one(attempt) % limit + 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn author() -> Author {
        Author { name: "Test".into(), email: "test@example.org".into(), time: 1_000_000_000 }
    }

    fn add(path: &str) -> Edits {
        Edits::from([(path.to_owned(), Some(path.as_bytes().to_vec()))])
    }

    #[test]
    fn writers_that_race_all_land() {
        let folder = tempfile::tempdir().unwrap();
        let main = Repository::open_or_init(folder.path(), true).unwrap();
        let first = main.commit(None, &add("first"), "first", &author()).unwrap();
        assert!(main.compare_and_swap("refs/heads/main", None, first, "test").unwrap());
        assert!(!main.compare_and_swap("refs/heads/main", None, first, "test").unwrap(), "it exists now");
        let path = folder.path();
        std::thread::scope(|scope| {
            for writer in 0..8 {
                scope.spawn(move || {
                    let own = Repository::open(path).unwrap();
                    for number in 0..5 {
                        let edits = add(&format!("pool/{writer}/{number}"));
                        own.land("refs/heads/main", "test", |tip| {
                            Ok::<_, GitError>((Some(own.commit(tip, &edits, "add", &author())?), ()))
                        })
                        .unwrap();
                    }
                });
            }
        });
        let tip = main.expect_tip("refs/heads/main").unwrap();
        assert_eq!(main.snapshot(tip).unwrap().pool().unwrap().len(), 40);
        let mut commits = 1;
        let mut at = tip;
        while let Some(parent) = main.parent(at).unwrap() {
            commits += 1;
            at = parent;
        }
        assert_eq!(commits, 41);
    }

    #[test]
    fn a_lock_that_a_killed_program_left_is_named_and_an_old_one_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::open_or_init(folder.path(), true).unwrap();
        let first = repository.commit(None, &add("first"), "first", &author()).unwrap();
        assert!(repository.compare_and_swap("refs/heads/main", None, first, "test").unwrap());
        let second = repository.commit(Some(first), &add("second"), "second", &author()).unwrap();
        let lock = folder.path().join("refs/heads/main.lock");
        let file = std::fs::File::create(&lock).unwrap();
        let fault = repository.compare_and_swap("refs/heads/main", Some(first), second, "test").unwrap_err();
        assert!(fault.to_string().contains("refs/heads/main.lock"), "{fault}");
        let made = file.metadata().unwrap().modified().unwrap();
        file.set_modified(made - STALE_LOCK).unwrap();
        assert!(repository.compare_and_swap("refs/heads/main", Some(first), second, "test").unwrap());
    }

    #[test]
    fn folders_that_become_empty_vanish() {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::open_or_init(folder.path(), true).unwrap();
        let first = repository.commit(None, &Edits::from_iter(add("a/b/c").into_iter().chain(add("a/d"))), "first", &author()).unwrap();
        let second = repository.commit(Some(first), &Edits::from([("a/b/c".to_owned(), None)]), "second", &author()).unwrap();
        let tree = repository.git().find_commit(second).unwrap().tree().unwrap();
        assert!(tree.get_path(std::path::Path::new("a/b")).is_err(), "an empty folder is nothing that Git writes");
        let third = repository.commit(Some(second), &Edits::from([("a/d".to_owned(), None)]), "third", &author()).unwrap();
        assert_eq!(repository.git().find_commit(third).unwrap().tree().unwrap().len(), 0);
    }

    #[test]
    fn many_objects_are_one_pack_that_git_reads_and_the_trees_are_those_that_git_makes() {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::open_or_init(folder.path(), true).unwrap();
        let path = |number: u32| format!("pool/{}/{}.{}/file-{number}", number % 7, number % 31, number % 2);
        let large: Vec<u8> = (0..3_000_000u32).flat_map(|number| (number % 65_521).to_le_bytes()).collect();
        let content =
            |number: u32| if number == 77 { large.clone() } else { format!("text {number}\n").repeat(number as usize % 40).into_bytes() };
        let mut edits: Edits = (0..3000).map(|number| (path(number), Some(content(number)))).collect();
        edits.extend(["a", "a.b", "a-b/c", "a0", "b/c"].map(|path| (path.to_owned(), Some(b"x".to_vec()))));
        let first = repository.commit(None, &edits, "many", &author()).unwrap();
        let second = repository.commit(Some(first), &(0..1500).map(|number| (path(number), None)).collect(), "fewer", &author()).unwrap();
        // The same commit again, as after a lost race, writes no objects again.
        assert_eq!(repository.commit(None, &edits, "many", &author()).unwrap(), first);
        let git = |arguments: &[&str]| {
            let output = std::process::Command::new("git").arg("-C").arg(folder.path()).args(arguments).output().unwrap();
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        };
        git(&["fsck", "--strict", "--full", &first.to_string(), &second.to_string()]);
        let packs: Vec<String> = std::fs::read_dir(folder.path().join("objects/pack"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".idx"))
            .collect();
        for pack in &packs {
            git(&["verify-pack", &format!("objects/pack/{pack}")]);
        }
        assert!(packs.len() <= 3, "{packs:?}");
        let loose = String::from_utf8(git(&["count-objects"])).unwrap();
        assert!(loose.starts_with("2 "), "commits alone are loose: {loose}");
        assert_eq!(git(&["cat-file", "blob", &format!("{first}:{}", path(77))]), large);
        assert_eq!(git(&["cat-file", "blob", &format!("{first}:{}", path(2999))]), content(2999));
        assert_eq!(git(&["ls-tree", "-r", "--name-only", &second.to_string()]).split(|byte| *byte == b'\n').count() - 1, 1505);
        // Git's own tree of the same files has the same name.
        git(&["read-tree", &second.to_string()]);
        assert_eq!(git(&["write-tree"]).trim_ascii(), git(&["rev-parse", &format!("{second}^{{tree}}")]).trim_ascii());
    }

    #[test]
    fn what_an_edit_cannot_mean_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::open_or_init(folder.path(), true).unwrap();
        let first = repository.commit(None, &Edits::from_iter(add("a/b/c").into_iter().chain(add("d"))), "first", &author()).unwrap();
        let refused = |edits: Edits| repository.commit(Some(first), &edits, "wrong", &author()).unwrap_err();
        for edits in [
            add("a/b"),
            add("d/e"),
            add("a"),
            Edits::from([("x".to_owned(), None)]),
            Edits::from_iter(add("n").into_iter().chain(add("n/m"))),
        ] {
            let fault = refused(edits.clone());
            assert!(matches!(&fault, GitError::Git { operation, .. } if operation.starts_with("edit the tree at")), "{edits:?}: {fault:?}");
        }
        let removed = repository.commit(Some(first), &Edits::from([("a".to_owned(), None)]), "folder", &author()).unwrap();
        assert_eq!(repository.git().find_commit(removed).unwrap().tree().unwrap().len(), 1);
    }
}
