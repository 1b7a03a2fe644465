//! Reading records from Git's object database, and editing trees in it.

use std::ops::Range;
use std::path::Path;
use std::process::Command;

use ddb::places::git::land::Edits;
use ddb::places::git::{Author, Repository};
use ddb::words::deb822::{Paragraph, paragraphs};
use ddb::words::name::{Codename, SourceName};
use ddb::words::version::Version;

use super::timer::Bench;

fn author() -> Author {
    Author { name: "Bench".to_owned(), email: "bench@example.org".to_owned(), time: 1_700_000_000 }
}

/// Reads every record of a suite, from a pack as Git writes it for a clone.
pub fn reading(bench: &Bench, index: &str) {
    let [names, bytes] = ["git: places of all records of a suite", "git: bytes of all records of a suite"];
    if !bench.wants(names) && !bench.wants(bytes) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let git_dir = folder.path().join("archive.git");
    let written = Repository::open_or_init(&git_dir, true).unwrap();
    let edits: Edits =
        paragraphs(index).map(|paragraph| (place(paragraph), Some(format!("{}\n", paragraph.trim_end()).into_bytes()))).collect();
    let count = (edits.len() as f64, "records");
    let commit = written.commit(None, &edits, "Everything.", &author()).unwrap();
    written.compare_and_swap("refs/heads/main", None, commit, "bench").unwrap();
    drop(written);
    pack(&git_dir);
    let codename: Codename = "trixie".parse().unwrap();
    let open = || Repository::open(&git_dir).unwrap();
    bench.measure_here(names, count, open, |repository| repository.snapshot(commit).unwrap().records(&codename).unwrap().len());
    bench.measure_here(bytes, count, open, |repository| repository.snapshot(commit).unwrap().record_bytes(&codename).unwrap().len());
}

/// The place of a paragraph's record.
fn place(paragraph: &str) -> String {
    let paragraph = Paragraph::parse(paragraph.as_bytes()).unwrap();
    let package = paragraph.get("Package").unwrap();
    let source: SourceName = paragraph.get("Source").unwrap_or(package).split(' ').next().unwrap().parse().unwrap();
    let version: Version = paragraph.get("Version").unwrap().parse().unwrap();
    format!("suites/trixie/main/binary-amd64/{}/{source}/{package}_{}", source.prefix(), version.in_file_name())
}

fn pack(git_dir: &Path) {
    let done = Command::new("git").arg("-C").arg(git_dir).args(["repack", "-adq"]).status().unwrap();
    assert!(done.success(), "git repack failed in {}", git_dir.display());
}

/// Commits one package, and 5,000, into 100,000.
pub fn tree_editing(bench: &Bench) {
    let titles = [(1, "tree: commit one record and pointer into 100,000"), (5_000, "tree: commit 5,000 records and pointers into 100,000")];
    if !titles.iter().any(|(_, title)| bench.wants(title)) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::open_or_init(&folder.path().join("archive.git"), true).unwrap();
    // As in Debian's pool: a folder for each letter, thousands of sources in it.
    let name = |number: usize| format!("{}{number:06}", char::from(b'a' + u8::try_from(number % 26).unwrap()));
    let paths = |name: &str| {
        let prefix = &name[..1];
        [format!("pool/main/{prefix}/{name}/{name}_1_amd64.deb"), format!("suites/trixie/main/binary-amd64/{prefix}/{name}/{name}_1")]
    };
    let edits = |numbers: Range<usize>| {
        let write = |number| paths(&name(number)).map(|path| (path.clone(), Some(format!("{path}\n").repeat(3).into_bytes())));
        numbers.flat_map(write).collect::<Edits>()
    };
    let base = repository.commit(None, &edits(0..100_000), "Everything.", &author()).unwrap();
    let mut number = 100_000;
    for (more, title) in titles {
        let next = || {
            number += more;
            edits(number - more..number)
        };
        let commit = |edits| repository.commit(Some(base), &edits, "More.", &author()).unwrap();
        // libgit2 is not to be sent to another thread: measured on this one.
        bench.measure_here(title, (1.0, "commits"), next, commit);
    }
}
