//! What the branch says of proofs: those that a Release was served with, those that came later, those that are gone.

use std::path::Path;

use super::write::{append, to_json};
use super::*;
use crate::places::git::Author;
use crate::places::git::land::Edits;
use crate::stories::archive::OpenArchive;

const TEXT: &str =
    "Suite: trixie\nCodename: trixie\nDate: Sat, 28 Nov 2026 08:00:00 UTC\nArchitectures: amd64\nComponents: main\nSHA256:\n";

struct Branch {
    _folder: tempfile::TempDir,
    open: OpenArchive,
    codename: Codename,
    author: Author,
}

impl Branch {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = repository(folder.path());
        let open = OpenArchive {
            repository,
            branch: "refs/heads/main".to_owned(),
            remote: None,
            compared: crate::stories::provenance::Compared::default(),
        };
        let author = Author { name: "Test".to_owned(), email: "test@example.org".to_owned(), time: 1_800_000_000 };
        Self { _folder: folder, open, codename: "trixie".parse().unwrap(), author }
    }

    /// Stages a Release; what a fold records is of no interest here.
    fn stage(&self, sequence: u64, more: &Edits) -> Staged {
        let date = "2026-11-28T08:00:00Z".parse().unwrap();
        let inputs = Inputs { sequence, base: "0".repeat(40), date, ddb: "0".to_owned(), after: None, follows: None };
        let mut edits = Edits::from([("Release".to_owned(), Some(TEXT.into())), ("inputs.json".to_owned(), to_json(&inputs))]);
        edits.extend(more.clone());
        let tip = self.open.repository.tip(&branch(&self.codename)).unwrap();
        let commit = append(&self.open, &self.codename, tip, &edits, "Stage.\n", &self.author).unwrap().unwrap();
        self.read(commit)
    }

    fn read(&self, commit: Oid) -> Staged {
        read(&self.open.repository, &self.codename, commit).unwrap()
    }

    fn serve(&self, staged: &Staged, proofs: &Proofs) -> Staged {
        let (sequence, signatures) = (staged.inputs.sequence, signatures());
        let marked = mark_served(&self.open, &self.codename, staged.commit, sequence, &signatures, proofs, &self.author);
        self.read(marked.unwrap().unwrap())
    }

    fn keep(&self, staged: &Staged, proofs: &Proofs) -> Staged {
        let kept = keep_proofs(&self.open, &self.codename, staged, staged.signatures.as_ref(), proofs, &self.author);
        self.read(kept.unwrap().unwrap())
    }

    fn when_served(&self, staged: &Staged) -> Proofs {
        proofs_when_served(&self.open.repository, &self.codename, staged).unwrap()
    }
}

fn repository(folder: &Path) -> Repository {
    Repository::open_or_init(folder, true).unwrap()
}

fn signatures() -> Signatures {
    let at = "2026-11-28T08:00:01Z".parse().unwrap();
    let served = Served { at, signed_by: Vec::new(), keyring: Sha256::of(b""), swept: 0 };
    Signatures { in_release: b"signed".to_vec(), detached: b"signature".to_vec(), served }
}

fn proofs(of: &[(LogKind, &[u8])]) -> Proofs {
    of.iter().map(|(kind, proof)| (*kind, proof.to_vec())).collect()
}

#[test]
fn a_release_was_served_with_the_proofs_of_the_commit_that_first_says_so() {
    let branch = Branch::new();
    let (early, late) = (proofs(&[(LogKind::Sigsum, b"early")]), proofs(&[(LogKind::Sigsum, b"late"), (LogKind::Sigstore, b"late")]));
    let kept = branch.keep(&branch.stage(1, &Edits::new()), &early);
    let served = branch.serve(&kept, &early);
    assert_eq!(branch.when_served(&served), early);
    let completed = branch.keep(&branch.keep(&served, &late), &proofs(&[(LogKind::Sigstore, b"latest")]));
    assert_eq!(completed.proofs, proofs(&[(LogKind::Sigsum, b"late"), (LogKind::Sigstore, b"latest")]));
    assert_eq!(branch.when_served(&completed), early);

    // The next one has nothing from that one.
    let gone = ["InRelease", "Release.gpg", "served.json", LogKind::Sigsum.file(), LogKind::Sigstore.file()];
    let served = branch.serve(&branch.stage(2, &gone.map(|path| (path.to_owned(), None)).into()), &Proofs::new());
    assert_eq!(branch.when_served(&served), Proofs::new());
    assert_eq!(branch.when_served(&branch.keep(&served, &late)), Proofs::new());
}

#[test]
fn a_proof_that_was_kept_and_that_clients_do_not_get_is_not_among_those_of_the_served_release() {
    let branch = Branch::new();
    let both = proofs(&[(LogKind::Sigsum, b"one"), (LogKind::Sigstore, b"other")]);
    let kept = branch.keep(&branch.stage(1, &Edits::new()), &both);
    assert_eq!(kept.proofs, both);
    let served = branch.serve(&kept, &proofs(&[(LogKind::Sigstore, b"other")]));
    assert_eq!(served.proofs, proofs(&[(LogKind::Sigstore, b"other")]));
}
