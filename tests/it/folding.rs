//! A fold that starts from the last Release gives the bytes of one that reads every record, whatever happened between.

mod contents;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use ddb::formats::contents::FileList;
use ddb::formats::contents::table::split_line;
use ddb::formats::index::order::paragraphs;
use ddb::formats::pool::path::PoolPath;
use ddb::formats::pool::pointer::Pointer;
use ddb::formats::suite::record::{Placement, write_binary_with_list, write_source};
use ddb::places::cache::Cache;
use ddb::places::git::land::Edits;
use ddb::places::git::{Author, Oid, Repository};
use ddb::places::store::fs::FolderStore;
use ddb::places::store::{ObjectStore, Source};
use ddb::stories::fold::{Bytes, Fold, FoldError, Folded, Last, Wanted, fold};
use ddb::words::archive::Archive;
use ddb::words::date::Timestamp;
use ddb::words::digest::{ExtraDigests, FileFacts};
use ddb::words::name::{Codename, SourceName};

const CONFIGURATION: &str = "[suites.sid]\ncomponents = [\"main\", \"contrib\"]\narchitectures = [\"amd64\", \"arm64\", \"all\"]\n\
    block-size = \"64KiB\"\nrelease-digests = [\"md5\"]\n[suites.other]\ncomponents = [\"main\", \"contrib\"]\n\
    architectures = [\"amd64\", \"arm64\", \"all\"]\nblock-size = \"64KiB\"\nrelease-digests = [\"md5\"]\n";

/// A generator of numbers that are the same on every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn of<'a, T>(&mut self, choice: &'a [T]) -> &'a T {
        &choice[self.below(choice.len())]
    }
}

/// One build of a source: what its binaries are.
#[derive(Clone)]
struct Build {
    component: &'static str,
    version: String,
    /// (architecture, package, version, whether it is a package of the installer)
    binaries: BTreeSet<(&'static str, String, String, bool)>,
}

/// A repository whose state is what these sources offer.
struct Site {
    repository: Repository,
    builds: BTreeMap<(String, usize), Build>,
    committed: BTreeMap<String, Vec<u8>>,
    tip: Option<Oid>,
    archive: Archive,
    folder: tempfile::TempDir,
    bytes: usize,
    configuration: String,
    /// The file lists of packages, and packages that are not there.
    lists: FolderStore,
    packages: FolderStore,
}

impl Site {
    /// With `pdiffs`, patches are made of every index however small.
    fn new(pdiffs: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::open_or_init(&folder.path().join("git"), true).unwrap();
        let more = if pdiffs { "pdiffs = 4\n" } else { "pdiffs = 0\n" };
        let (lists, packages) = (FolderStore::new(&folder.path().join("lists")), FolderStore::new(&folder.path().join("packages")));
        let mut site = Self {
            repository,
            builds: BTreeMap::new(),
            committed: BTreeMap::new(),
            tip: None,
            archive: Archive::parse(CONFIGURATION).unwrap(),
            folder,
            bytes: 0,
            configuration: String::new(),
            lists,
            packages,
        };
        site.configure(&format!("contents = true\n{more}"));
        site
    }

    /// Adds lines to both suites.
    fn configure(&mut self, more: &str) {
        self.configuration = CONFIGURATION.replace("block-size", &format!("{more}block-size"));
        self.archive = Archive::parse(&self.configuration).unwrap();
    }

    /// The places of blocks and lists.
    fn bytes<'a>(&'a self, store: &'a FolderStore, cache: Option<&'a Cache>, keeps: bool) -> Bytes<'a> {
        Bytes::new(store, cache, keeps).with_lists(&self.lists, &self.packages)
    }

    /// What a package installs: files of its own, more with long ones, some that depend on its version, some that others have too.
    fn paths(&self, package: &str, version: &str, architecture: &str) -> Vec<String> {
        let own = (0..self.bytes / 40).map(|at| format!("usr/share/{package}/{}/file-{at}", if at % 7 == 0 { version } else { "data" }));
        let shared = version.bytes().chain(package.bytes()).map(|byte| format!("etc/shared/{}", byte % 23));
        let name = [format!("usr/bin/{package}"), format!("usr/lib/{architecture}/a file of {package}")];
        if package.ends_with("dev") && self.bytes < 100 { Vec::new() } else { own.chain(shared).chain(name).collect() }
    }

    /// Everything that the tree holds.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::from([("ddb.toml".to_owned(), self.configuration.as_bytes().to_vec())]);
        for ((source, _), build) in &self.builds {
            let name: SourceName = source.parse().unwrap();
            let prefix = name.prefix();
            let pool = |file: &str| format!("pool/{}/{prefix}/{source}/{file}", build.component);
            let mut add = |index: &str, file: String, record: &dyn Fn(&PoolPath, &FileFacts) -> String, place: String| {
                let path = pool(&file);
                let facts = FileFacts::of(path.as_bytes(), ExtraDigests::default());
                files.insert(
                    format!("suites/sid/{}/{index}/{prefix}/{source}/{place}", build.component),
                    record(&path.parse().unwrap(), &facts).into_bytes(),
                );
                files.insert(path, Pointer::from(&facts).encode().into_bytes());
            };
            let version = &build.version;
            let dsc = format!(
                "Format: 3.0 (native)\nSource: {source}\nBinary: x\nArchitecture: any\nVersion: {version}\nMaintainer: A <a@x>\nChecksums-Sha256:\n"
            );
            let empty = |path: &PoolPath, facts: &FileFacts| write_source(&dsc, path, facts, &Placement::default());
            add("source", format!("{source}_{version}.dsc"), &empty, format!("{source}_{version}"));
            for (architecture, package, binary, installer) in &build.binaries {
                let described = "word ".repeat(self.bytes / 5);
                let control = format!(
                    "Package: {package}\nSource: {source} ({version})\nVersion: {binary}\nArchitecture: {architecture}\nMaintainer: A <a@x>\n\
                     Depends: {described}\nDescription: {package} by {source}\n long {described}\n"
                );
                let index = format!("{}binary-{architecture}", if *installer { "debian-installer/" } else { "" });
                let ending = if *installer { "udeb" } else { "deb" };
                let list = FileList::of(&self.paths(package, binary, architecture));
                let pointer = Pointer { oid: list.digest(), size: list.bytes().len() as u64 };
                self.lists.put(&pointer, Source::Bytes(list.bytes())).unwrap();
                let control = format!("Section: {}\n{control}", if package.len() % 2 == 0 { "net" } else { "contrib/web" });
                let record = |path: &PoolPath, facts: &FileFacts| write_binary_with_list(&control, path, facts, &list.digest());
                add(&index, format!("{package}_{binary}_{architecture}.{ending}"), &record, format!("{package}_{binary}"));
            }
        }
        files
    }

    fn commit(&mut self) -> Oid {
        let files = self.files();
        let mut edits = Edits::new();
        let own = |path: &&String| !path.starts_with("suites/other/");
        for path in self.committed.keys().filter(own).filter(|path| !files.contains_key(*path)) {
            edits.insert(path.clone(), None);
        }
        let changed = files.iter().filter(|(path, bytes)| self.committed.get(*path) != Some(bytes));
        edits.extend(changed.map(|(path, bytes)| (path.clone(), Some(bytes.clone()))));
        let author = Author { name: "Test".into(), email: "test@example.org".into(), time: 1 };
        let commit = self.repository.commit(self.tip, &edits, "test\n", &author).unwrap();
        self.committed.retain(|path, _| path.starts_with("suites/other/"));
        self.committed.extend(files);
        self.tip = Some(commit);
        commit
    }

    fn fold_of(&self, codename: &str, commit: Oid, last: Option<&Last>, bytes: &Bytes<'_>, wanted: Wanted) -> Result<Fold, FoldError> {
        let snapshot = self.repository.snapshot(commit).unwrap();
        let codename: Codename = codename.parse().unwrap();
        fold(&self.repository, &snapshot, &self.archive, &codename, last, bytes, wanted)
    }

    /// Does something that happens to suites.
    fn change(&mut self, numbers: &mut Numbers) {
        let names = ["aa", "ab", "libfoo", "libbar", "liba", "zz", "mm", "m-m", "m", "python3-x", "x+y", "ll"];
        let source = if *numbers.of(&[true, true, false]) {
            format!("{}{}", numbers.of(&names), numbers.below(12))
        } else {
            (*numbers.of(&["aa0", "zz0"])).to_owned()
        };
        let key = (source.clone(), numbers.below(8) / 7);
        if numbers.below(5) == 0 {
            self.builds.remove(&key);
            return;
        }
        let component = *numbers.of(&["main", "main", "main", "contrib"]);
        // Both places of one source are in one component, so that their files do not differ.
        let component = self.builds.iter().find(|((name, _), _)| *name == source).map_or(component, |(_, build)| build.component);
        let version = format!("{}-{}", numbers.below(3), 1 + key.1);
        let mut binaries = BTreeSet::new();
        for _ in 0..1 + numbers.below(4) {
            // Names that other sources offer too.
            let package = if numbers.below(3) == 0 {
                format!("moved{}", numbers.below(4))
            } else {
                format!("{source}-{}", numbers.of(&["bin", "dev", "data"]))
            };
            let architecture = *numbers.of(&["amd64", "amd64", "arm64", "all", "all", "riscv64"]);
            let binary = if numbers.below(4) == 0 { format!("{version}+b1") } else { version.clone() };
            binaries.insert((architecture, package, binary, numbers.below(9) == 0));
        }
        self.builds.insert(key, Build { component, version, binaries });
    }
}

fn last_of(commit: Oid, codename: &str, fold: &Fold) -> Last {
    let (sheets, listed) = (fold.sheets.clone(), fold.listed.clone());
    let (record, lists) = (Folded { ..fold.record.clone() }, fold.lists.clone());
    Last { base: commit, codename: codename.parse().unwrap(), record, sheets, listed, lists, commit: None, earlier: None, own: None }
}

fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

/// Two folds are the same Release, with the same record, from the same blocks.
fn same(context: &str, one: &Fold, other: &Fold) {
    for (path, listed) in &one.listed {
        assert_eq!(Some(listed), other.listed.get(path), "{context}: {path}");
    }
    assert_eq!(one.listed.len(), other.listed.len(), "{context}");
    assert_eq!(one.record, other.record, "{context}");
    assert!(one.sheets == other.sheets, "{context}: the blocks differ");
    assert_eq!(one.notes, other.notes, "{context}");
    assert_eq!(one.lists, other.lists, "{context}: what is recorded of file lists");
}

fn check(seed: u64, bytes_each: usize, steps: usize) {
    let mut site = Site::new(true);
    site.bytes = bytes_each;
    let mut numbers = Numbers(seed);
    let store = FolderStore::new(&site.folder.path().join("objects")).derived("blocks-v1");
    let cache = Cache::new(&site.folder.path().join("cache"), 1 << 30, Timestamp(1));
    for _ in 0..60 {
        site.change(&mut numbers);
    }
    let mut last: Option<Last> = None;
    for step in 0..steps {
        for _ in 0..[0, 1, 1, 2, 5][numbers.below(5)] {
            site.change(&mut numbers);
        }
        let commit = site.commit();
        let (warm, cold) = (site.bytes(&store, Some(&cache), true), site.bytes(&store, None, false));
        let context = format!("seed {seed}, step {step}");
        let incremental = site.fold_of("sid", commit, last.as_ref(), &warm, Wanted::default()).unwrap();
        let (git_dir, archive) = (site.repository.git_dir().to_owned(), site.archive.clone());
        let whole = with_threads(1 + step % 8, || {
            let repository = Repository::open(&git_dir).unwrap();
            let snapshot = repository.snapshot(commit).unwrap();
            fold(&repository, &snapshot, &archive, &"sid".parse().unwrap(), last.as_ref(), &cold, Wanted::again()).unwrap()
        });
        same(&context, &incremental, &whole);
        // Made again from what is recorded with it, without anything else: as a stranger does.
        let recorded = last_of(commit, "sid", &incremental);
        let again = site.fold_of("sid", commit, Some(&recorded), &cold, Wanted::again()).unwrap();
        same(&format!("{context}, again"), &incremental, &again);
        // Every file is the one that is listed, whether it was made or is joined from its blocks.
        for path in incremental.listed.keys().filter(|path| incremental.is_written(path)) {
            let bytes = incremental.content(path, &warm).unwrap();
            let facts = FileFacts::of(&bytes, ExtraDigests::default());
            let listed = &incremental.listed[path];
            assert_eq!((facts.size, facts.sha256, Some(facts.md5)), (listed.size, listed.sha256, listed.md5), "{context}: {path}");
            assert_eq!(again.content(path, &cold).unwrap(), bytes, "{context}: {path}");
        }
        contents_are_those_of_packages(&context, &site, &incremental, &warm);
        last = Some(recorded);
    }
}

/// The text of an index of a fold.
fn text_of(fold: &Fold, path: &str, bytes: &Bytes<'_>) -> String {
    let mut text = String::new();
    let compressed = fold.content(&format!("{path}.gz"), bytes).unwrap();
    flate2::read::GzDecoder::new(compressed.as_slice()).read_to_string(&mut text).unwrap();
    text
}

/// Every Contents has what the packages install that the Packages beside it lists, and nothing else.
fn contents_are_those_of_packages(context: &str, site: &Site, fold: &Fold, bytes: &Bytes<'_>) {
    let mut checked = 0;
    for (component, architecture, installer) in
        [("main", "amd64", false), ("main", "all", false), ("contrib", "arm64", false), ("main", "amd64", true)]
    {
        let folder = if installer { "debian-installer/" } else { "" };
        let packages = format!("{component}/{folder}binary-{architecture}/Packages");
        if !fold.listed.contains_key(&packages) {
            continue;
        }
        // Of each name the last, which is the highest version: paragraphs are sorted.
        let mut highest: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for paragraph in paragraphs(&text_of(fold, &packages, bytes)) {
            let field = |name: &str| paragraph.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap().to_owned();
            if field("Architecture") == architecture {
                highest.insert(field("Package"), site.paths(&field("Package"), &field("Version"), architecture));
            }
        }
        let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (package, mut paths) in highest {
            let section = if package.len() % 2 == 0 { "net" } else { "contrib/web" };
            paths.extend(paths.is_empty().then(|| "EMPTY_PACKAGE".to_owned()));
            for path in paths.into_iter().collect::<BTreeSet<_>>() {
                expected.entry(path).or_default().push(format!("{section}/{package}"));
            }
        }
        let expected: Vec<(String, String)> = expected.into_iter().map(|(path, packages)| (path, packages.join(","))).collect();
        let contents = format!("{component}/Contents-{}{architecture}", if installer { "udeb-" } else { "" });
        let text = text_of(fold, &contents, bytes);
        let found: Vec<(String, String)> =
            text.lines().map(|line| split_line(line).unwrap()).map(|(path, packages)| (path.to_owned(), packages.to_owned())).collect();
        assert_eq!(found, expected, "{context}: {contents}");
        checked += found.len();
    }
    assert!(checked > 20, "{context}");
}

#[test]
fn whatever_happens_to_a_small_suite() {
    for seed in 0..if std::env::var_os("DDB_SLOW").is_some() { 60 } else { 4 } {
        check(seed, 20, 10);
    }
}

#[test]
fn whatever_happens_to_a_suite_of_many_blocks() {
    for seed in 100..if std::env::var_os("DDB_SLOW").is_some() { 120 } else { 101 } {
        check(seed, 8000, 8);
    }
}

/// Writes over every file below a folder.
fn spoil(folder: &std::path::Path) -> usize {
    let mut spoiled = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            spoiled += spoil(&path);
        } else {
            let mut permissions = std::fs::metadata(&path).unwrap().permissions();
            #[allow(clippy::permissions_set_readonly_false)]
            permissions.set_readonly(false);
            std::fs::set_permissions(&path, permissions).unwrap();
            let size = std::fs::metadata(&path).unwrap().len();
            std::fs::write(&path, &"Package: evil\n".repeat(1 + size as usize / 14).as_bytes()[..size as usize]).unwrap();
            spoiled += 1;
        }
    }
    spoiled
}

#[test]
fn what_is_planted_in_cache_or_store_is_noticed_and_made_again() {
    let mut site = Site::new(false);
    site.bytes = 4000;
    let mut numbers = Numbers(7);
    let objects = site.folder.path().join("objects");
    let store = FolderStore::new(&objects).derived("blocks-v1");
    let cache_folder = site.folder.path().join("cache");
    let cache = Cache::new(&cache_folder, 1 << 30, Timestamp(1));
    (0..60).for_each(|_| site.change(&mut numbers));
    let commit = site.commit();
    let first = site.fold_of("sid", commit, None, &site.bytes(&store, Some(&cache), true), Wanted::default()).unwrap();
    let last = last_of(commit, "sid", &first);
    site.change(&mut numbers);
    let commit = site.commit();
    let nothing = FolderStore::new(&site.folder.path().join("nothing"));
    let expected = site.fold_of("sid", commit, Some(&last), &site.bytes(&nothing, None, false), Wanted::again()).unwrap();
    let warm = site.bytes(&store, Some(&cache), true);
    // Both places, one of them, or neither.
    for (of_cache, of_store) in [(true, false), (false, true), (true, true), (false, false)] {
        if of_cache {
            assert!(spoil(&cache_folder) > 3);
        }
        if of_store {
            assert!(spoil(&objects) > 3);
        }
        let found = site.fold_of("sid", commit, Some(&last), &warm, Wanted::default()).unwrap();
        same(&format!("{of_cache} {of_store}"), &found, &expected);
        for path in found.listed.keys().filter(|path| found.is_written(path) && found.made.contains_key(*path)) {
            assert!(!found.made[path].is_empty());
            assert_eq!(FileFacts::of(&found.made[path], ExtraDigests::default()).sha256, expected.listed[path].sha256);
        }
    }
    // Lengths that nothing has, as somebody may record who may push.
    let mut lied = last;
    for block in lied.sheets.values_mut().flat_map(|sheet| &mut sheet.blocks) {
        block.forms.values_mut().for_each(|(_, size)| *size = u64::MAX - 1);
    }
    let found = site.fold_of("sid", commit, Some(&lied), &warm, Wanted::default()).unwrap();
    // An index in which nothing changed keeps what was recorded of it.
    assert_eq!(found.listed, expected.listed);
}

#[test]
fn a_suite_that_was_copied_takes_over_the_blocks() {
    let mut site = Site::new(false);
    site.bytes = 2000;
    let mut numbers = Numbers(8);
    let store = FolderStore::new(&site.folder.path().join("objects")).derived("blocks-v1");
    (0..60).for_each(|_| site.change(&mut numbers));
    let commit = site.commit();
    let bytes = site.bytes(&store, None, true);
    let sid = site.fold_of("sid", commit, None, &bytes, Wanted::default()).unwrap();
    let copied = site.files().into_iter().filter_map(|(path, bytes)| {
        Some((path.replacen("suites/sid/", "suites/other/", 1), Some(bytes))).filter(|(path, _)| path.starts_with("suites/"))
    });
    let author = Author { name: "Test".into(), email: "test@example.org".into(), time: 2 };
    let copy = site.repository.commit(Some(commit), &copied.collect(), "copy\n", &author).unwrap();
    let other = site.fold_of("other", copy, Some(&last_of(commit, "sid", &sid)), &bytes, Wanted::default()).unwrap();
    assert!(other.sheets == sid.sheets && other.made.is_empty(), "nothing was made anew");
    let whole = site.fold_of("other", copy, Some(&last_of(commit, "sid", &sid)), &bytes, Wanted::again()).unwrap();
    same("copied", &other, &whole);
}
