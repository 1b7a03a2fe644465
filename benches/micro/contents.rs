//! Contents of a suite as large as Debian's: what it costs to make them, and to publish one changed package.
//!
//! Each piece of work is done once, in the order in which a publisher does it; the CPU time is that of all threads.

use std::time::Instant;

use ddb::formats::contents::FileList;
use ddb::formats::pool::path::PoolPath;
use ddb::formats::pool::pointer::Pointer;
use ddb::formats::suite::record::write_binary_with_list;
use ddb::places::cache::Cache;
use ddb::places::git::land::Edits;
use ddb::places::git::{Author, Oid, Repository};
use ddb::places::store::fs::FolderStore;
use ddb::places::store::{ObjectStore, Source};
use ddb::stories::fold::{Bytes, Fold, Last, Wanted, fold};
use ddb::words::archive::Archive;
use ddb::words::date::Timestamp;
use ddb::words::digest::{ExtraDigests, FileFacts};

use super::timer::Bench;

/// Packages and files of each: about 500 MB of text.
const PACKAGES: usize = 20_000;
const FILES: usize = 270;

struct Suite {
    folder: tempfile::TempDir,
    repository: Repository,
    archive: Archive,
    lists: FolderStore,
    packages: FolderStore,
}

/// Measures making, bringing up to date, and doing nothing.
pub fn all(bench: &Bench) {
    if !bench.wants("contents: 500 MB") {
        return;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let suite = Suite {
        repository: Repository::open_or_init(&folder.path().join("archive.git"), true).unwrap(),
        archive: Archive::parse("[suites.sid]\narchitectures = [\"amd64\"]\ncontents = true\npdiffs = 0\n").unwrap(),
        lists: FolderStore::new(&folder.path().join("lists")),
        packages: FolderStore::new(&folder.path().join("packages")),
        folder,
    };
    let first = suite.commit(None, 0..PACKAGES, 1);
    let second = suite.commit(Some(first), 7777..7778, 2);
    let store = FolderStore::new(&suite.folder.path().join("blocks")).derived("blocks-v1");
    let cache = Cache::new(&suite.folder.path().join("cache"), 4 << 30, Timestamp(1));
    let bytes = || Bytes::new(&store, Some(&cache), true).with_lists(&suite.lists, &suite.packages);
    let made = measure("contents: 500 MB made of all lists", || suite.fold(first, None, &bytes()));
    let (plain, compressed) = (made.listed["main/Contents-amd64"].size, made.listed["main/Contents-amd64.gz"].size);
    println!(
        "# {:.0} MB of text, {:.1} MB as .gz, {} blocks",
        plain as f64 / 1e6,
        compressed as f64 / 1e6,
        made.sheets["main/Contents-amd64"].blocks.len()
    );
    let last = last(first, made);
    let changed = measure("contents: 500 MB, one package of 270 files changed", || suite.fold(second, Some(&last), &bytes()));
    let last = self::last(second, changed);
    measure("contents: 500 MB, nothing changed", || suite.fold(second, Some(&last), &bytes()));
}

fn last(base: Oid, fold: Fold) -> Last {
    let Fold { record, sheets, listed, lists, .. } = fold;
    Last { base, codename: "sid".parse().unwrap(), record, sheets, listed, lists, commit: None, earlier: None, own: None }
}

/// Does a piece of work once and prints what it cost.
fn measure<T>(name: &str, work: impl FnOnce() -> T) -> T {
    let (began, before) = (Instant::now(), process_cpu_seconds());
    let done = work();
    let (wall, cpu) = (began.elapsed().as_secs_f64(), process_cpu_seconds() - before);
    println!("{name:50} {:>11.1} {:>11.1} {:>14} MB peak", wall * 1e3, cpu * 1e3, peak_megabytes());
    done
}

/// CPU seconds of all threads of this process, user and system.
fn process_cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit(") ").next().unwrap().split(' ').collect();
    // Clock ticks of 10 ms: utime and stime, fields 14 and 15.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn peak_megabytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

impl Suite {
    /// Commits packages of this version, each with its file list beside the objects.
    fn commit(&self, parent: Option<Oid>, numbers: std::ops::Range<usize>, version: usize) -> Oid {
        let mut edits = Edits::new();
        for number in numbers {
            let name = format!("{}{number:05}-package", char::from(b'a' + u8::try_from(number % 26).unwrap()));
            let prefix = &name[..1];
            let path: PoolPath = format!("pool/main/{prefix}/{name}/{name}_{version}_amd64.deb").parse().unwrap();
            let list = FileList::of(&paths(&name, number, version));
            let pointer = Pointer { oid: list.digest(), size: list.bytes().len() as u64 };
            self.lists.put(&pointer, Source::Bytes(list.bytes())).unwrap();
            let facts = FileFacts::of(path.to_string().as_bytes(), ExtraDigests::default());
            let control = format!(
                "Package: {name}\nVersion: {version}\nSection: misc\nArchitecture: amd64\nMaintainer: Bench <bench@example.org>\nDescription: x\n"
            );
            edits.insert(path.to_string(), Some(Pointer::from(&facts).encode().into_bytes()));
            let record = write_binary_with_list(&control, &path, &facts, &list.digest());
            let folder = format!("suites/sid/main/binary-amd64/{prefix}/{name}/{name}");
            edits.insert(format!("{folder}_{version}"), Some(record.into_bytes()));
            if version > 1 {
                edits.insert(format!("{folder}_{}", version - 1), None);
            }
        }
        let author = Author { name: "Bench".to_owned(), email: "bench@example.org".to_owned(), time: 1_700_000_000 };
        self.repository.commit(parent, &edits, "Packages.", &author).unwrap()
    }

    fn fold(&self, commit: Oid, last: Option<&Last>, bytes: &Bytes<'_>) -> Fold {
        let snapshot = self.repository.snapshot(commit).unwrap();
        fold(&self.repository, &snapshot, &self.archive, &"sid".parse().unwrap(), last, bytes, Wanted::default()).unwrap()
    }
}

/// What a package installs: a program, manual pages, documents, and a library whose folder names the version.
fn paths(name: &str, number: usize, version: usize) -> Vec<String> {
    let own = (0..FILES - 6).map(|at| match at % 3 {
        0 => format!("usr/share/{name}/resources/{:04x}/module_{at}.json", number * 31 % 65_536),
        1 => format!("usr/share/doc/{name}/html/reference/section{at}/index.html"),
        _ => format!("usr/lib/python3/dist-packages/{}/submodule{at}/implementation.py", name.replace('-', "_")),
    });
    let few = [
        format!("usr/bin/{name}"),
        format!("usr/share/man/man1/{name}.1.gz"),
        format!("usr/share/doc/{name}/changelog.Debian.gz"),
        format!("usr/share/doc/{name}/copyright"),
        format!("usr/lib/x86_64-linux-gnu/lib{name}.so.{version}"),
        format!("usr/share/locale/de/LC_MESSAGES/{name}.mo"),
    ];
    own.chain(few).collect()
}
