//! Logs that are read by tiles: a real Rekor where it was built, and a log of many entries that is written here as Rekor writes it.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ddb::formats::merkle::leaf_hash;
use ddb::formats::sigstore::checkpoint::LogKey;
use ddb::formats::sigstore::entry::{Submission, Verifier};
use ddb::formats::sigstore::public_key::PublicKey;
use ddb::formats::sigstore::secret_key::SecretKey;
use ddb::words::digest::Sha256;
use ed25519_dalek::{Signer as _, SigningKey};
use p256::elliptic_curve::rand_core::OsRng;

use super::liar::root;
use super::{alarms, kinds, log_of, logs_kept, monitor, well, with_package};
use crate::sandbox::Sandbox;
use crate::server::Server;
use crate::sigstore::site::{ORIGIN, Rekor, configure, give_key, is_built, secret_key};

/// A log as files: C2SP's tlog-tiles.
pub struct Tiles {
    key: SigningKey,
    pub entries: Vec<Vec<u8>>,
}

impl Tiles {
    pub fn new() -> Self {
        Self { key: SigningKey::from_bytes(&[3; 32]), entries: Vec::new() }
    }

    pub fn log(&self) -> LogKey {
        LogKey::new(ORIGIN, PublicKey::Ed25519(self.key.verifying_key())).unwrap()
    }

    /// What cosign is told of it.
    pub fn trusted(&self, sandbox: &Sandbox) -> String {
        let der = STANDARD.encode(self.log().key.to_der());
        let file = sandbox.write("log.pub", format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n"));
        format!("--rekor=url=https://{ORIGIN},public-key={},start-time=2024-01-01T00:00:00Z,origin={ORIGIN}", file.display())
    }

    pub fn fill(&mut self, count: usize) {
        for _ in 0..count {
            self.entries.push(format!("{{\"entry\":{}}}", self.entries.len()).into_bytes());
        }
    }

    pub fn hashes(&self) -> Vec<Sha256> {
        self.entries.iter().map(|entry| leaf_hash(entry)).collect()
    }

    pub fn checkpoint(&self, root: Sha256) -> String {
        let text = format!("{ORIGIN}\n{}\n{}\n", self.entries.len(), STANDARD.encode(root.as_bytes()));
        let signature = [&self.log().short_id()[..], &self.key.sign(text.as_bytes()).to_bytes()].concat();
        format!("{text}\n— {ORIGIN} {}\n", STANDARD.encode(signature))
    }

    /// Writes all files anew.
    pub fn write(&self, folder: &Path) {
        std::fs::remove_dir_all(folder).unwrap_or_default();
        let write = |path: String, bytes: &[u8]| {
            std::fs::create_dir_all(folder.join(&path).parent().unwrap()).unwrap();
            std::fs::write(folder.join(path), bytes).unwrap();
        };
        let name = |index: usize, width: usize| {
            let partial = if width == 256 { String::new() } else { format!(".p/{width}") };
            assert!(index < 1000, "a test needs no more");
            format!("{index:03}{partial}")
        };
        for (index, entries) in self.entries.chunks(256).enumerate() {
            let framed = |entry: &Vec<u8>| [&u16::try_from(entry.len()).unwrap().to_be_bytes()[..], entry].concat();
            write(format!("tile/entries/{}", name(index, entries.len())), &entries.iter().flat_map(framed).collect::<Vec<u8>>());
        }
        let (mut level, mut row) = (0, self.hashes());
        while !row.is_empty() {
            for (index, hashes) in row.chunks(256).enumerate() {
                let bytes: Vec<u8> = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
                write(format!("tile/{level}/{}", name(index, hashes.len())), &bytes);
            }
            row = row.chunks_exact(256).map(root).collect();
            level += 1;
        }
        write("checkpoint".to_owned(), self.checkpoint(root(&self.hashes())).as_bytes());
    }

    pub fn add(&mut self, key: &SecretKey, bytes: &[u8]) -> Submission {
        let digest = Sha256::of(bytes);
        let signature = key.sign(&digest, &mut OsRng).unwrap();
        let submission = Submission { digest, signature, verifier: Verifier::Key(key.public()) };
        self.entries.push(submission.leaf());
        submission
    }
}

/// A published archive that names the log from now on, and our key.
pub fn archive(tiles: &Tiles) -> (Sandbox, SecretKey, Vec<u8>) {
    let sandbox = with_package();
    sandbox.dists(&[]).ok();
    configure(&sandbox, &[tiles.trusted(&sandbox)], "url = \"http://127.0.0.1:1\"\n");
    let key = SecretKey::read(&std::fs::read_to_string(sandbox.path("sigstore.pem")).unwrap()).unwrap();
    let release = std::fs::read(sandbox.public().join("dists/trixie/Release")).unwrap();
    (sandbox, key, release)
}

/// Looks at the log where this server has it.
pub fn look(sandbox: &Sandbox, server: &Server, more: &[&str]) -> crate::sandbox::Run {
    let address = format!("{ORIGIN}={}", server.url());
    monitor(sandbox, &[&["--log-address", &address], more].concat())
}

#[test]
fn a_log_of_many_tiles_is_followed_from_anywhere_and_every_entry_of_ours_is_found() {
    let mut tiles = Tiles::new();
    let (sandbox, key, release) = archive(&tiles);
    let folder = sandbox.path("tiles");
    let server = Server::of(&folder);
    tiles.fill(300);
    tiles.write(&folder);
    // It was served before there was a log.
    well(look(&sandbox, &server, &[]), &["first-look", "proof-pending"]);
    tiles.add(&key, &release);
    tiles.fill(400);
    tiles.write(&folder);
    let run = well(look(&sandbox, &server, &[]), &[]);
    assert_eq!((log_of(&run, "size"), log_of(&run, "read"), log_of(&run, "own")), (701.into(), 401.into(), 1.into()));
    assert_eq!((log_of(&run, "log"), log_of(&run, "name")), ("sigstore".into(), ORIGIN.into()));
    // In parts, each of which is shown to be one of the whole.
    let part = ["--state", "parts.json", "--leaves", "300"];
    for size in [300, 600] {
        let run = look(&sandbox, &server, &part).exits(31);
        assert_eq!((kinds(&run, "alarms"), log_of(&run, "size"), log_of(&run, "read")), (vec![], size.into(), 300.into()), "{}", run.out);
    }
    let run = well(look(&sandbox, &server, &part), &[]);
    assert_eq!((log_of(&run, "size"), log_of(&run, "read"), log_of(&run, "own")), (701.into(), 101.into(), 1.into()));
    // Two entries of one Release are normal: an answer may have been lost.
    tiles.add(&key, &release);
    tiles.write(&folder);
    assert_eq!(log_of(&well(look(&sandbox, &server, &[]), &[]), "own"), 2);
    // From nothing to many sizes at which tiles and bundles begin, end and are whole, each from the one before and each anew.
    for (number, size) in [768, 769, 1000, 1024, 1025].into_iter().enumerate() {
        tiles.fill(size - tiles.entries.len());
        tiles.write(&folder);
        assert_eq!(log_of(&well(look(&sandbox, &server, &[]), &[]), "size"), size);
        let anew = format!("{number}.json");
        let run = well(look(&sandbox, &server, &["--state", &anew]), &["first-look"]);
        assert_eq!((log_of(&run, "own"), log_of(&run, "read")), (2.into(), size.into()));
        let edge = format!("edge{number}.json");
        let now = ["--state", &edge, "--from-now"];
        // Nothing is known of the Release then: it was served without a proof, and its entry is before.
        well(look(&sandbox, &server, &now), &["first-look", "proof-pending"]);
        tiles.add(&key, &release);
        tiles.write(&folder);
        assert_eq!(log_of(&well(look(&sandbox, &server, &now), &[]), "own"), 1);
        tiles.entries.pop();
        tiles.write(&folder);
    }
    // A partial tile that is gone because the whole one is there.
    tiles.fill(3);
    tiles.write(&folder);
    let read = |file: &str| std::fs::read(folder.join(file)).unwrap();
    let (checkpoint, above) = (read("checkpoint"), read("tile/1/000.p/4"));
    tiles.fill(300);
    tiles.write(&folder);
    server.change("checkpoint", checkpoint);
    server.change("tile/1/000.p/4", above);
    assert_eq!(log_of(&well(look(&sandbox, &server, &[]), &[]), "size"), 1028);

    // A thief's entry; one that the log should not have taken; our key in something else.
    server.change_nothing();
    tiles.add(&key, b"forged");
    tiles.write(&folder);
    let run = alarms(look(&sandbox, &server, &[]), &["unknown-release-logged"]);
    assert!(run.out.contains(&Sha256::of(b"forged").to_hex()), "{}", run.out);
    let text = String::from_utf8(tiles.entries.pop().unwrap()).unwrap();
    let digest = |bytes: &[u8]| STANDARD.encode(Sha256::of(bytes).as_bytes());
    tiles.entries.push(text.replace(&digest(b"forged"), &digest(&release)).into_bytes());
    tiles.entries.push(text.replace("hashedrekord", "dsse").into_bytes());
    tiles.write(&folder);
    let run = alarms(look(&sandbox, &server, &["--state", "last.json"]), &["forged-leaf", "forged-leaf"]);
    assert!(run.out.contains("its signature is not one by our key") && run.out.contains("in another kind or form"), "{}", run.out);
}

#[test]
fn a_flood_of_entries_that_anybody_can_make_hides_no_thief_and_leaves_a_state_that_can_be_read() {
    let mut tiles = Tiles::new();
    let (sandbox, key, release) = archive(&tiles);
    let folder = sandbox.path("tiles");
    let server = Server::of(&folder);
    tiles.add(&key, &release);
    let own = String::from_utf8(tiles.entries[0].clone()).unwrap();
    let flood = |tiles: &mut Tiles, count: usize| {
        for number in 0..count {
            let entry = own.replace("hashedrekord", &format!("dsse{}", tiles.entries.len() + number));
            tiles.entries.push(entry.into_bytes());
        }
    };
    flood(&mut tiles, 1200);
    tiles.add(&key, b"forged");
    tiles.write(&folder);
    let run = look(&sandbox, &server, &[]).exits(30);
    let count = |run: &crate::sandbox::Run, kind: &str| kinds(run, "alarms").iter().filter(|found| *found == kind).count();
    let found = |run| (count(run, "forged-leaf"), count(run, "unknown-release-logged"), count(run, "leaves-uncounted"));
    assert_eq!((found(&run), log_of(&run, "own")), ((1000, 1, 1), 1202.into()));
    assert!(run.out.contains("200 more leaves"), "{}", run.out);
    let run = look(&sandbox, &server, &[]).exits(30);
    assert_eq!((found(&run), log_of(&run, "own"), log_of(&run, "read")), ((1000, 1, 1), 1202.into(), 0.into()));
    let said = super::known(&run);
    well(look(&sandbox, &server, &said.iter().map(String::as_str).collect::<Vec<_>>()), &[]);
    // More of them is said again, and what is remembered stays as it is.
    let before = super::state(&sandbox).len();
    flood(&mut tiles, 300);
    tiles.write(&folder);
    let run = alarms(look(&sandbox, &server, &[]), &["leaves-uncounted"]);
    assert!(run.out.contains("500 more leaves") && super::state(&sandbox).len() < before + 1000, "{}", run.out);
}

#[test]
fn who_signs_our_release_with_a_key_of_his_own_does_not_log_it_for_us() {
    let mut tiles = Tiles::new();
    let (sandbox, key, release) = archive(&tiles);
    let folder = sandbox.path("tiles");
    let server = Server::of(&folder);
    let stranger = secret_key(&sandbox, "stranger");
    tiles.fill(3);
    tiles.add(&stranger, &release);
    tiles.write(&folder);
    let run = look(&sandbox, &server, &[]);
    assert_eq!((log_of(&run, "size"), log_of(&run, "own")), (4.into(), 0.into()));
    let later = ddb::words::date::Timestamp(super::liar::clock() + 30 * 3600).iso8601();
    let run = alarms(look(&sandbox, &server, &["--now", &later]), &["served-without-leaf"]);
    let said = super::known(&run);
    tiles.add(&stranger, b"something else");
    tiles.write(&folder);
    well(look(&sandbox, &server, &[&said[0], &said[1], "--now", &later]), &[]);
    tiles.add(&key, &release);
    tiles.write(&folder);
    assert_eq!(log_of(&well(look(&sandbox, &server, &["--now", &later]), &[]), "own"), 1);
}

#[test]
fn tiles_and_checkpoints_that_lie_are_named() {
    let mut tiles = Tiles::new();
    let (sandbox, key, release) = archive(&tiles);
    let folder = sandbox.path("tiles");
    let server = Server::of(&folder);
    tiles.add(&key, &release);
    tiles.fill(599);
    tiles.write(&folder);
    well(look(&sandbox, &server, &[]), &["first-look"]);
    let truth = tiles.entries.clone();
    let named = |tiles: &mut Tiles, known: &[&str], anew: &[&str]| {
        let before = logs_kept(&sandbox);
        alarms(look(&sandbox, &server, &[]), known);
        assert_eq!(logs_kept(&sandbox), before, "what was seen is kept");
        std::fs::remove_file(sandbox.path("new.json")).unwrap_or_default();
        let run = look(&sandbox, &server, &["--state", "new.json"]);
        assert_eq!(kinds(&run, "alarms"), anew, "{}", run.out);
        tiles.entries = truth.clone();
        tiles.write(&folder);
        server.change_nothing();
        well(look(&sandbox, &server, &[]), &[]);
    };
    let text = |tiles: &Tiles, from: &str, to: &str| {
        let good = tiles.checkpoint(root(&tiles.hashes()));
        let changed = good.replacen(from, to, 1);
        assert_ne!(good, changed);
        changed.into_bytes()
    };
    // Signed by nobody, by another log, not a checkpoint.
    server.change("checkpoint", text(&tiles, "\n600\n", "\n601\n"));
    named(&mut tiles, &["bad-tree-head"], &["bad-tree-head"]);
    server.change("checkpoint", text(&tiles, ORIGIN, "other.example"));
    named(&mut tiles, &["bad-tree-head"], &["bad-tree-head"]);
    server.change("checkpoint", vec![0xff; 100]);
    named(&mut tiles, &["bad-tree-head"], &["bad-tree-head"]);
    // Another root; other entries; fewer of them; a longer log with another past.
    server.change("checkpoint", tiles.checkpoint(Sha256::of(b"other")).into_bytes());
    named(&mut tiles, &["split-view"], &["leaves-not-of-tree"]);
    tiles.fill(300);
    tiles.write(&folder);
    server.change("checkpoint", tiles.checkpoint(Sha256::of(b"other")).into_bytes());
    named(&mut tiles, &["split-view"], &["leaves-not-of-tree"]);
    tiles.entries.truncate(500);
    tiles.write(&folder);
    named(&mut tiles, &["tree-shrunk"], &[]);
    tiles.fill(300);
    tiles.entries[400] = b"changed".to_vec();
    tiles.write(&folder);
    named(&mut tiles, &["split-view"], &[]);
    // The tree is true, and one bundle of entries is not; a bundle and a tile that are cut off.
    tiles.fill(300);
    tiles.write(&folder);
    let bundle = std::fs::read(folder.join("tile/entries/003.p/132")).unwrap();
    let mut other = bundle.clone();
    *other.last_mut().unwrap() ^= 1;
    server.change("tile/entries/003.p/132", other);
    named(&mut tiles, &["leaves-not-of-tree"], &["leaves-not-of-tree"]);
    tiles.fill(300);
    tiles.write(&folder);
    server.change("tile/entries/003.p/132", bundle[..100].to_vec());
    named(&mut tiles, &["leaves-not-of-tree"], &["leaves-not-of-tree"]);
    tiles.fill(300);
    tiles.write(&folder);
    server.change("tile/0/003.p/132", vec![7; 31]);
    named(&mut tiles, &["split-view"], &[]);
    // Tiles that are not there are not a lie.
    tiles.fill(300);
    tiles.write(&folder);
    server.hide("tile/entries/003.p/132");
    let run = look(&sandbox, &server, &[]).exits(31);
    assert!(run.out.contains("tile/entries/003: there is no such thing"), "{}", run.out);
}

#[test]
fn a_real_rekor_is_followed_and_what_a_thief_logs_there_is_noticed() {
    if !is_built() {
        return;
    }
    let mut sandbox = with_package();
    let keeper = Sandbox::new();
    let log = Rekor::start(&keeper, "log");
    // The server takes entries; its folder is what readers get.
    let server = Server::of(&keeper.path("log/tiles"));
    configure(&sandbox, &[log.trusted()], &format!("url = \"{}\"\n", log.url()));
    give_key(&mut sandbox);
    for _ in 0..3 {
        sandbox.dists(&["--renew"]).ok();
    }
    let run = well(look(&sandbox, &server, &[]), &["first-look"]);
    assert_eq!((log_of(&run, "size"), log_of(&run, "own")), (3.into(), 3.into()));
    sandbox.dists(&["--renew"]).ok();
    assert_eq!(log_of(&well(look(&sandbox, &server, &[]), &[]), "read"), 1);
    // Entries of others, until tiles and bundles are whole and there is a second level of them.
    let stranger = secret_key(&sandbox, "stranger");
    for number in 0..300u32 {
        let digest = Sha256::of(&number.to_be_bytes());
        let signature = stranger.sign(&digest, &mut OsRng).unwrap();
        let submission = Submission { digest, signature, verifier: Verifier::Key(stranger.public()) };
        sandbox.write(format!("requests/{number}"), submission.request());
    }
    let post = "ls requests/* | xargs -P 50 -I % curl -sSf -o /dev/null -H content-type:application/json --data-binary @% \"$1\"";
    sandbox.run("sh", &["-c", post, "sh", &format!("{}/api/v2/log/entries", log.url())]).ok();
    let run = well(look(&sandbox, &server, &[]), &[]);
    assert_eq!((log_of(&run, "size"), log_of(&run, "read"), log_of(&run, "own")), (304.into(), 300.into(), 4.into()));
    sandbox.dists(&["--renew"]).ok();
    well(look(&sandbox, &server, &["--state", "anew.json"]), &["first-look"]);
    // The proofs on the branch are of trees before; only tiles tell whether they are in this one.
    let run = well(look(&sandbox, &server, &["--state", "edge.json", "--from-now"]), &["first-look"]);
    assert_eq!((log_of(&run, "start"), log_of(&run, "own")), (305.into(), 0.into()));
    // The thief has an archive of its own.
    let mut thief = with_package();
    configure(&thief, &[log.trusted()], &format!("url = \"{}\"\n", log.url()));
    let stolen = std::fs::read(sandbox.path("sigstore.pem")).unwrap();
    std::fs::write(thief.path("sigstore.pem"), &stolen).unwrap();
    std::fs::copy(sandbox.path("sigstore.pub"), thief.path("sigstore.pub")).unwrap();
    configure(&thief, &[log.trusted()], &format!("url = \"{}\"\n", log.url()));
    give_key(&mut thief);
    thief.dists(&[]).ok();
    alarms(look(&sandbox, &server, &[]), &["unknown-release-logged"]);
}
