//! A small publisher of indices with pdiffs, so that apt can be tried with states of any text and size.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use ddb::formats::blocks::{self, Effort};
use ddb::formats::pdiff::{Facts, History, Limits, ed, line_edits, paragraph_edits};
use ddb::formats::release::{Listed, Release, by_hash_paths};
use ddb::places::sign::SignedRelease;
use ddb::places::sign::keys::SecretKey;
use ddb::places::sign::openpgp::OpenPgpSigner;
use ddb::words::archive::{Archive, Compression};
use ddb::words::date::Timestamp;
use ddb::words::digest::{ExtraDigests, FileFacts, Sha256};

use crate::client::Apt;
use crate::sandbox::Sandbox;
use crate::server::Server;

pub const PACKAGES: &str = "main/binary-amd64/Packages";
pub const SOURCES: &str = "main/source/Sources";
pub const TRANSLATION: &str = "main/i18n/Translation-en";
const RELEASE: &str = "dists/trixie";

/// The texts of all indices by path.
pub type Texts = BTreeMap<String, String>;

/// A published tree of suite trixie and its server.
pub struct Site {
    root: PathBuf,
    pub server: Server,
    signer: OpenPgpSigner,
    key: String,
    date: Timestamp,
    kept: usize,
    pub texts: Texts,
    pub histories: BTreeMap<String, History>,
    compressed: HashMap<Sha256, Vec<u8>>,
}

/// What a client fetched.
#[derive(Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Patches, by the path of their index.
    pub patches: BTreeMap<String, usize>,
    /// Whole indices.
    pub whole: Vec<String>,
    /// Bytes of all answers, InRelease left aside.
    pub bytes: u64,
}

impl Site {
    /// A tree with nothing in it, that keeps this many patches of each index.
    pub fn new(sandbox: &Sandbox, kept: usize) -> Self {
        let root = sandbox.path("site");
        let now = Timestamp(i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap());
        let date = Timestamp(now.0 - 100_000);
        let key = SecretKey::generate("Site <site@example.org>", None, None, date).unwrap().key;
        let signer = OpenPgpSigner::new(std::slice::from_ref(&key), &[], date).unwrap();
        let key = String::from_utf8(key.public().armored().unwrap()).unwrap();
        let server = Server::of(&root);
        Self { root, server, signer, key, date, kept, texts: Texts::new(), histories: BTreeMap::new(), compressed: HashMap::new() }
    }

    /// Serves what ddb itself has published, with these texts and its own patches.
    pub fn serves(&mut self, sandbox: &Sandbox, texts: Texts) {
        if self.root != sandbox.public() {
            self.root = sandbox.public();
            self.server = Server::of(&self.root);
            self.key = std::fs::read_to_string(self.root.join("archive-keyring.asc")).unwrap();
        }
        self.texts = texts;
    }

    /// Makes this client use the tree.
    pub fn serve(&self, apt: &Apt<'_>) {
        let key: String =
            self.key.trim_end().lines().map(|line| if line.is_empty() { " .\n".to_owned() } else { format!(" {line}\n") }).collect();
        apt.use_stanza(&format!(
            "Types: deb deb-src\nURIs: {}\nSuites: trixie\nComponents: main\nArchitectures: amd64\nSigned-By:\n{key}",
            self.server.url()
        ));
    }

    /// Publishes the next state.
    pub fn publish(&mut self, texts: &Texts) {
        let mut listed = BTreeMap::new();
        for (path, text) in texts {
            let plain = FileFacts::of(text.as_bytes(), ExtraDigests::default());
            let xz = self.compress(text);
            let compressed_size = xz.len() as u64;
            listed.insert(path.clone(), of_facts(&plain));
            listed.insert(format!("{path}.xz"), self.write_index(&format!("{path}.xz"), &xz));
            let facts = Facts { size: plain.size, sha256: plain.sha256 };
            let limits = Limits { patches: self.kept, bytes: compressed_size };
            let history = self.next(path, text, facts, limits);
            if let Some(list) = history.index_text() {
                let path = History::index_path(path);
                listed.insert(path.clone(), self.write_index(&path, list.as_bytes()));
                let gz = blocks::compress_block(list.as_bytes(), Compression::Gz, Effort::Full).unwrap();
                listed.insert(format!("{path}.gz"), self.write_index(&format!("{path}.gz"), &gz));
            }
            self.histories.insert(path.clone(), history);
        }
        self.texts = texts.clone();
        self.date = Timestamp(self.date.0 + 60);
        let archive = Archive::parse("[suites.trixie]\narchitectures = [\"amd64\"]\n").unwrap();
        let (codename, suite) = archive.suites.first_key_value().unwrap();
        let release = Release::new(&archive.archive, codename, suite, self.date, listed).text();
        let signed = SignedRelease::sign(&self.signer, release.as_bytes(), self.date).unwrap();
        self.write(&format!("{RELEASE}/InRelease"), signed.in_release());
    }

    /// The history of an index that has this text now; writes the patch that leads to it.
    fn next(&self, path: &str, text: &str, facts: Facts, limits: Limits) -> History {
        let (Some(history), Some(old)) = (self.histories.get(path), self.texts.get(path)) else { return History::begin(facts) };
        if history.current == facts {
            return history.restart(facts);
        }
        let edits = if path.contains("Contents-") { line_edits(old, text, 0) } else { paragraph_edits(old, text, 0) };
        let script = ed::to_ed(&edits).unwrap();
        let compressed = blocks::compress_block(&script, Compression::Gz, Effort::Full).unwrap();
        let next = history.advance(history.current, facts, &script, &compressed, limits);
        if let Some(step) = next.steps.last() {
            self.write(&format!("{RELEASE}/{}", History::patch_path(path, step)), &compressed);
        }
        next
    }

    /// The text as .xz; blocks that did not change are compressed once.
    fn compress(&mut self, text: &str) -> Vec<u8> {
        // Any cut will do that does not move when something is put in.
        let mut blocks_of: Vec<(Sha256, &str)> = Vec::new();
        let (mut begin, mut end) = (0, 0);
        for paragraph in ddb::formats::index::order::paragraphs(text) {
            if end - begin > 64 << 10 && Sha256::of(paragraph.lines().next().unwrap().as_bytes()).as_bytes()[0] < 8 {
                blocks_of.push((Sha256::of(&text.as_bytes()[begin..end]), &text[begin..end]));
                begin = end;
            }
            end += paragraph.len();
        }
        blocks_of.push((Sha256::of(&text.as_bytes()[begin..]), &text[begin..]));
        for (name, block) in &blocks_of {
            self.compressed
                .entry(*name)
                .or_insert_with(|| blocks::compress_block(block.as_bytes(), Compression::Xz, Effort::Quick).unwrap());
        }
        let all: Vec<&Vec<u8>> = blocks_of.iter().map(|(name, _)| &self.compressed[name]).collect();
        blocks::join(&all, Compression::Xz).unwrap()
    }

    /// Writes an index by its name and by its hash.
    fn write_index(&self, path: &str, bytes: &[u8]) -> Listed {
        let facts = FileFacts::of(bytes, ExtraDigests::default());
        let listed = of_facts(&facts);
        for path in by_hash_paths(path, &listed).iter().map(String::as_str).chain([path]) {
            self.write(&format!("{RELEASE}/{path}"), bytes);
        }
        listed
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// The served path of an index's newest patch.
    pub fn newest_patch(&self, index: &str) -> String {
        format!("{RELEASE}/{}", History::patch_path(index, self.histories[index].steps.last().unwrap()))
    }

    /// A served file.
    pub fn read(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.root.join(path)).unwrap()
    }

    /// What was fetched since the last call.
    pub fn take_fetched(&self) -> Fetched {
        let mut fetched = Fetched { patches: BTreeMap::new(), whole: Vec::new(), bytes: 0 };
        for path in self.server.take_served() {
            let below = path.strip_prefix("dists/trixie/").unwrap();
            if below == "InRelease" {
                continue;
            }
            fetched.bytes += std::fs::metadata(self.root.join(&path)).unwrap().len();
            let (folder, file) = below.rsplit_once('/').unwrap();
            match (folder.strip_suffix(".diff"), folder.split_once("/by-hash/")) {
                (Some(index), _) => *fetched.patches.entry(index.to_owned()).or_default() += usize::from(!file.starts_with("Index")),
                (None, Some((folder, _))) if folder.ends_with(".diff") => {}
                (None, Some((folder, _))) => fetched.whole.push(folder.to_owned()),
                (None, None) => fetched.whole.push(folder.to_owned()),
            }
        }
        fetched
    }

    /// Lets a client update, which must then have every index byte by byte, and returns what it fetched.
    #[track_caller]
    pub fn updates(&self, apt: &Apt<'_>) -> Fetched {
        self.take_fetched();
        apt.updates();
        self.has_everything(apt);
        self.take_fetched()
    }

    /// Asserts that a client's lists are the published ones.
    #[track_caller]
    pub fn has_everything(&self, apt: &Apt<'_>) {
        let host = self.server.url().trim_start_matches("http://").trim_end_matches('/').to_owned();
        // apt keeps no list of an empty index.
        for (path, text) in self.texts.iter().filter(|(_, text)| !text.is_empty()) {
            let list = apt.path("var/lib/apt/lists").join(format!("{host}_dists_trixie_{}", path.replace('/', "_")));
            let found = std::fs::read_to_string(&list).unwrap_or_else(|fault| panic!("{fault}: {}", list.display()));
            assert!(found == *text, "{:?}'s {path} has {} bytes, not the published {}", apt.kind, found.len(), text.len());
        }
    }
}

fn of_facts(facts: &FileFacts) -> Listed {
    Listed { size: facts.size, sha256: facts.sha256, md5: None, sha1: None, sha512: None }
}
