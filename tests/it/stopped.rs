//! A publish that is stopped anywhere, and publishers that run at once: clients that use by-hash see a whole old or a whole new
//! archive, no file is lost, and the next run serves what was staged.
//!
//! Stops are made in the library, by a published tree that fails before or after its nth change, and by killing the program.
//! A client is played twice: in Rust after every single stop (Release, by-hash files, pool files, all by digest), and by real
//! apt after the first, a middle and the last step of every class.

mod meddled;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ddb::formats::pool::pointer::Pointer;
use ddb::places::git::Author;
use ddb::places::git::read::Snapshot;
use ddb::places::sign::{SignError, Signer};
use ddb::places::store::ObjectStore;
use ddb::places::target::fs::FolderTarget;
use ddb::places::target::{Content, PublishTarget, TargetError};
use ddb::stories::archive::OpenArchive;
use ddb::stories::key::{Secrets, find_secrets};
use ddb::stories::publish::logging::FindLogs;
use ddb::stories::publish::{DistsAnswer, DistsRequest, Places, PublishError, dists};
use ddb::words::archive::{Archive, Links};
use ddb::words::date::Timestamp;
use ddb::words::digest::Sha256;

pub use meddled::Meddled;

use crate::client::Apt;
use crate::sandbox::{Sandbox, cache};
use crate::server::Server;

/// A published tree that stops at its nth change, from 0.
pub struct Stopping {
    tree: Box<dyn PublishTarget>,
    at: usize,
    /// Whether the nth change is made before it fails.
    after: bool,
    changes: AtomicUsize,
    pub log: Mutex<Vec<String>>,
}

impl Stopping {
    fn new(public: &Path, at: usize, after: bool) -> Self {
        Self::of(Box::new(FolderTarget::new(public, Links::Auto)), at, after)
    }

    /// Any tree; what is written there is written one by one.
    pub fn of(tree: Box<dyn PublishTarget>, at: usize, after: bool) -> Self {
        Self { tree, at, after, changes: AtomicUsize::new(0), log: Mutex::default() }
    }

    fn change<T>(&self, name: &str, make: impl FnOnce() -> Result<T, TargetError>) -> Result<T, TargetError> {
        let stop = || TargetError::Io {
            target: "tree".into(),
            operation: "go on with",
            path: name.to_owned(),
            source: std::io::Error::other("stopped"),
        };
        let number = self.changes.fetch_add(1, Ordering::SeqCst);
        self.log.lock().unwrap().push(name.to_owned());
        assert!(number <= self.at, "a publish goes on after a failure: {name}");
        if number == self.at && !self.after {
            return Err(stop());
        }
        let made = make()?;
        if number == self.at { Err(stop()) } else { Ok(made) }
    }
}

impl PublishTarget for Stopping {
    fn describe(&self) -> String {
        self.tree.describe()
    }
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, TargetError> {
        self.tree.read(path)
    }
    fn size(&self, path: &str) -> Result<Option<u64>, TargetError> {
        self.tree.size(path)
    }
    fn holds(&self, path: &str, pointer: &Pointer) -> Result<bool, TargetError> {
        self.tree.holds(path, pointer)
    }
    fn write(&self, path: &str, content: &Content, store: &dyn ObjectStore) -> Result<(), TargetError> {
        self.change(path, || self.tree.write(path, content, store))
    }
    fn remove(&self, path: &str) -> Result<(), TargetError> {
        self.change(&format!("remove {path}"), || self.tree.remove(path))
    }
    fn settle(&self) -> Result<(), TargetError> {
        self.change("settle", || self.tree.settle())
    }
    fn exclusive(&self) -> Result<Box<dyn Any>, TargetError> {
        self.change("exclusive", || self.tree.exclusive())
    }
    fn is_remote(&self) -> bool {
        self.tree.is_remote()
    }
}

/// Who signs in `publish`.
pub type MakeSigner<'a> = dyn Fn(Box<dyn Signer>) -> Result<Box<dyn Signer>, PublishError> + 'a;

pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// `ddb-publish dists trixie`, in this process.
pub fn publish(sandbox: &Sandbox, target: &dyn PublishTarget, signer: &MakeSigner<'_>) -> Result<DistsAnswer, PublishError> {
    publish_at(sandbox, target, signer, now())
}

/// The same at another time.
pub fn publish_at(sandbox: &Sandbox, target: &dyn PublishTarget, signer: &MakeSigner<'_>, at: i64) -> Result<DistsAnswer, PublishError> {
    publish_with(sandbox, target, signer, at, |_| ())
}

/// The same, with other wishes.
pub fn publish_with(
    sandbox: &Sandbox,
    target: &dyn PublishTarget,
    signer: &MakeSigner<'_>,
    at: i64,
    wish: impl FnOnce(&mut DistsRequest),
) -> Result<DistsAnswer, PublishError> {
    publish_logged(sandbox, target, signer, &|_, _| Ok(Vec::new()), at, wish)
}

/// The same, with transparency logs.
pub fn publish_logged(
    sandbox: &Sandbox,
    target: &dyn PublishTarget,
    signer: &MakeSigner<'_>,
    logs: &FindLogs<'_>,
    at: i64,
    wish: impl FnOnce(&mut DistsRequest),
) -> Result<DistsAnswer, PublishError> {
    let open = OpenArchive::open(&sandbox.archive(), None)?;
    let archive = open.configuration(&open.tip()?)?;
    let store = open.store(&archive).unwrap();
    let time = Timestamp(at);
    let mut request = DistsRequest {
        codename: "trixie".parse().unwrap(),
        renew: false,
        renew_before: None,
        reset_date: false,
        repack: false,
        repair: false,
        dry_run: false,
        address: archive.archive.url.clone().unwrap_or_default(),
        author: Author { name: "Test".into(), email: "test@example.org".into(), time: time.0 },
        now: time,
        fixed_time: true,
    };
    wish(&mut request);
    let folder = sandbox.path("home/.config/ddb/keys");
    let make = |snapshot: &Snapshot<'_>, archive: &Archive| {
        let secrets = Secrets { folder: Some(&folder), ..Secrets::default() };
        let found = find_secrets(&open.signing_certificates(snapshot, archive)?, &open.certificates(snapshot)?, &secrets, time)?;
        signer(Box::new(found.signer))
    };
    dists(&request, &Places { open: &open, store: store.as_ref(), target, cache: None, signer: &make, logs }, &|_| ())
}

pub fn signs(signer: Box<dyn Signer>) -> Result<Box<dyn Signer>, PublishError> {
    Ok(signer)
}

/// What an archive offers: one line for each package and source of each index.
pub type Offer = BTreeSet<String>;

/// Reads the archive as a client does that has this InRelease and uses by-hash: every file that is named must be there whole.
pub fn walk(public: &Path, in_release: &[u8]) -> Result<Offer, String> {
    let in_release = std::str::from_utf8(in_release).unwrap();
    let (_, text) = in_release.split_once("\n\n").ok_or("InRelease is cut off")?;
    let (text, _) = text.split_once("-----BEGIN PGP SIGNATURE-----").ok_or("InRelease is cut off")?;
    let (_, list) = text.split_once("\nSHA256:\n").ok_or("no digests")?;
    let listed: BTreeMap<&str, (&str, usize)> = list
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            (words[2], (words[0], words[1].parse().unwrap()))
        })
        .collect();
    let mut offer = Offer::new();
    for (path, (digest, size)) in &listed {
        if listed.contains_key(format!("{path}.xz").as_str()) {
            continue; // listed so that apt finds it, but not written
        }
        let (folder, _) = path.rsplit_once('/').unwrap();
        let bytes = whole(public, &format!("dists/trixie/{folder}/by-hash/SHA256/{digest}"), digest, *size)?;
        let Some(plain) = path.strip_suffix(".xz") else { continue };
        let mut text = String::new();
        liblzma::read::XzDecoder::new(&*bytes).read_to_string(&mut text).map_err(|fault| format!("{path}: {fault}"))?;
        if (Sha256::of(text.as_bytes()).to_string(), text.len()) != (listed[plain].0.to_owned(), listed[plain].1) {
            return Err(format!("{path} is not {plain}"));
        }
        if !plain.contains("i18n") {
            for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
                offer.insert(format!("{plain} {}", offered(public, paragraph)?));
            }
        }
    }
    Ok(offer)
}

/// Checks the files that a paragraph names and returns its package and version.
fn offered(public: &Path, paragraph: &str) -> Result<String, String> {
    let field = |name: &str| paragraph.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    if let Some(file) = field("Filename") {
        whole(public, file, field("SHA256").unwrap(), field("Size").unwrap().parse().unwrap())?;
    } else {
        let directory = field("Directory").unwrap();
        let (_, files) = paragraph.split_once("\nChecksums-Sha256:\n").unwrap();
        for line in files.lines().take_while(|line| line.starts_with(' ')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            whole(public, &format!("{directory}/{}", words[2]), words[0], words[1].parse().unwrap())?;
        }
    }
    Ok(format!("{} {}", field("Package").unwrap(), field("Version").unwrap()))
}

fn whole(public: &Path, path: &str, digest: &str, size: usize) -> Result<Vec<u8>, String> {
    let bytes = std::fs::read(public.join(path)).map_err(|fault| format!("{path}: {fault}"))?;
    if (Sha256::of(&bytes).to_string(), bytes.len()) != (digest.to_owned(), size) {
        return Err(format!("{path} has other bytes"));
    }
    Ok(bytes)
}

/// An archive where everything that a plan can hold is about to happen: a new package, a newer one, one that goes, a source,
/// by-hash files to remove. Published twice; the third publish is the one to be stopped.
struct Scene {
    sandbox: Sandbox,
    server: Server,
    /// The last InRelease that was served, and what it offers.
    old_in_release: Vec<u8>,
    old: Offer,
    new: Offer,
    /// The changes of an undisturbed publish, in order.
    changes: Vec<String>,
}

fn scene() -> Scene {
    let sandbox = Sandbox::new();
    let server = Server::of(&sandbox.public());
    sandbox.deploy(&["init", "archive", "--suite", "trixie", "--architecture", "amd64", "--origin", "Test", "--url", &server.url()]).ok();
    let (first, second) = (format!("@{}", now() - 7200), format!("@{}", now() - 3600));
    sandbox.publish(&["--now", &first, "-C", "archive", "key", "generate", "--name", "Test", "--email", "test@example.org"]).ok();
    let toml = sandbox.archive().join("ddb.toml");
    std::fs::write(&toml, std::fs::read_to_string(&toml).unwrap() + "keep-generations = 1\nkeep-for = \"30m\"\n").unwrap();
    sandbox.git(&["commit", "-q", "-a", "-m", "Configure."]).ok();
    sandbox.deb("1", "stays", "1.0-1", "all", "");
    sandbox.commit("1", &[]).ok();
    sandbox.dists(&["--now", &first]).ok();
    sandbox.deb("2", "changes", "1.0-1", "amd64", "Depends: goes\n");
    sandbox.deb("2", "goes", "1.0-1", "all", "Source: changes\n");
    sandbox.commit("2", &[]).ok();
    sandbox.dists(&["--now", &second]).ok();
    let old_in_release = std::fs::read(sandbox.public().join("dists/trixie/InRelease")).unwrap();
    let old = walk(&sandbox.public(), &old_in_release).unwrap();
    sandbox.deb("3", "changes", "2.0-1", "amd64", "");
    sandbox.deb("3", "comes", "2.0-1", "all", "Source: changes\n");
    sandbox.commit("3", &[]).ok();
    sandbox.commit(cache("out/small"), &[]).ok();
    sandbox.git(&["repack", "-a", "-d", "-q"]).ok(); // quicker to copy
    sandbox.run("cp", &["-a", "archive", "before"]).ok();

    let undisturbed = Stopping::new(&sandbox.public(), usize::MAX, false);
    publish(&sandbox, &undisturbed, &signs).unwrap();
    let changes = undisturbed.log.into_inner().unwrap();
    let new = walk(&sandbox.public(), &std::fs::read(sandbox.public().join("dists/trixie/InRelease")).unwrap()).unwrap();
    assert!(
        new.iter().any(|line| line.contains("binary-amd64/Packages changes 2.0-1")) && new.iter().all(|line| !line.contains(" goes ")),
        "{new:?}"
    );
    for class in CLASSES {
        assert!(changes.iter().any(|change| class_of(change) == Some(class)), "no {class} in {changes:?}");
    }
    let scene = Scene { sandbox, server, old_in_release, old, new, changes };
    scene.begin_again();
    scene
}

pub const CLASSES: [&str; 9] = ["lock", "pool", "by-hash", "index", "Release.gpg", "Release", "InRelease", "removal", "settle"];

pub fn class_of(change: &str) -> Option<&'static str> {
    let name = change.rsplit('/').next().unwrap_or_default();
    Some(match change {
        "exclusive" => "lock",
        "settle" => "settle",
        _ if change.starts_with("remove ") => "removal",
        _ if change.starts_with("pool/") => "pool",
        _ if change.contains("/by-hash/") => "by-hash",
        "dists/trixie/InRelease" => "InRelease",
        "dists/trixie/Release" => "Release",
        "dists/trixie/Release.gpg" => "Release.gpg",
        _ if ["Packages", "Sources", "Translation-en", "Release"].iter().any(|index| name.starts_with(index)) => "index",
        _ => return None,
    })
}

impl Scene {
    /// Puts everything back to before the third publish.
    fn begin_again(&self) {
        self.sandbox.run("rm", &["-rf", "archive"]).ok();
        self.sandbox.run("cp", &["-a", "before", "archive"]).ok();
    }

    fn in_release(&self) -> Vec<u8> {
        std::fs::read(self.sandbox.public().join("dists/trixie/InRelease")).unwrap()
    }

    /// The newest Release on the branch of Releases.
    fn staged(&self) -> String {
        self.sandbox.git(&["show", "ddb/releases/trixie:Release"]).ok().out
    }

    fn stop(&self, at: usize, after: bool) {
        let stopping = Stopping::new(&self.sandbox.public(), at, after);
        let fault = publish(&self.sandbox, &stopping, &signs).unwrap_err();
        assert!(matches!(fault, PublishError::Target(_)), "{fault}");
        assert_eq!(stopping.log.into_inner().unwrap(), self.changes[..=at], "the plan is the same every time");
    }

    /// Both clients, the one that has just read InRelease and the one that read it before, see a whole archive.
    #[track_caller]
    fn is_whole(&self, when: &str) {
        let public = self.sandbox.public();
        let seen = walk(&public, &self.in_release()).unwrap_or_else(|fault| panic!("{when}: torn: {fault}"));
        let flipped = self.in_release() != self.old_in_release;
        assert_eq!(&seen, if flipped { &self.new } else { &self.old }, "{when}");
        let seen = walk(&public, &self.old_in_release).unwrap_or_else(|fault| panic!("{when}: torn for who began before: {fault}"));
        assert_eq!(seen, self.old, "{when}");
    }

    /// The next run finishes: what was staged is served, everything of the new state is there.
    #[track_caller]
    fn is_finished_by_the_next_run(&self, when: &str) {
        let staged = self.staged();
        self.sandbox.dists(&[]).ok();
        self.is_whole(when);
        let public = self.sandbox.public();
        assert_eq!(walk(&public, &self.in_release()).unwrap(), self.new, "{when}");
        assert_eq!(
            std::fs::read_to_string(public.join("dists/trixie/Release")).unwrap(),
            staged,
            "{when}: the Release that was staged is served"
        );
        assert!(String::from_utf8(self.in_release()).unwrap().contains(&staged), "{when}");
        let history = self.sandbox.git(&["log", "--first-parent", "--format=%s", "-3", "ddb/releases/trixie"]).ok().out;
        assert_eq!(history, "Serve Release 3 of trixie.\nStage Release 3 of trixie.\nServe Release 2 of trixie.\n", "{when}");
        self.nothing_is_wrong(when);
    }

    #[track_caller]
    fn nothing_is_wrong(&self, when: &str) {
        let fsck = self.sandbox.deploy(&["-C", "archive", "--json", "fsck", "--full"]);
        assert_eq!((fsck.code, fsck.json()["findings"].as_array().map(Vec::len)), (0, Some(0)), "{when}: {}", fsck.out);
        assert_eq!(self.sandbox.git(&["status", "--porcelain"]).ok().out, "", "{when}");
    }
}

fn stop_everywhere(after: bool) {
    let scene = scene();
    for at in 0..scene.changes.len() {
        let when = format!("stopped {} change {at} ({})", if after { "after" } else { "before" }, scene.changes[at]);
        scene.stop(at, after);
        scene.is_whole(&when);
        scene.is_finished_by_the_next_run(&when);
        scene.begin_again();
    }
}

#[test]
fn a_publish_that_stopped_before_any_step_is_whole_and_is_finished() {
    stop_everywhere(false);
}

#[test]
fn a_publish_that_stopped_after_any_step_is_whole_and_is_finished() {
    stop_everywhere(true);
}

#[test]
fn a_first_publish_that_stopped_anywhere_shows_nothing_or_all() {
    let sandbox = Sandbox::new();
    sandbox.deploy(&["init", "archive", "--suite", "trixie", "--architecture", "amd64", "--url", "https://deb.example.org"]).ok();
    sandbox.publish(&["-C", "archive", "key", "generate", "--name", "Test", "--email", "test@example.org"]).ok();
    sandbox.deb("out", "plain", "1.0-1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    sandbox.run("cp", &["-a", "archive", "before"]).ok();
    let in_release = sandbox.public().join("dists/trixie/InRelease");
    for at in 0.. {
        let stopping = Stopping::new(&sandbox.public(), at, false);
        let stopped = publish(&sandbox, &stopping, &signs).is_err();
        assert_eq!(
            in_release.exists(),
            stopping.log.into_inner().unwrap().iter().rev().skip(usize::from(stopped)).any(|change| change == "dists/trixie/InRelease")
        );
        if in_release.exists() {
            assert!(
                walk(&sandbox.public(), &std::fs::read(&in_release).unwrap()).unwrap().contains("main/binary-amd64/Packages plain 1.0-1")
            );
        }
        if !stopped {
            assert!(at > 20, "all steps were stopped before");
            break;
        }
        sandbox.dists(&[]).ok();
        walk(&sandbox.public(), &std::fs::read(&in_release).unwrap()).unwrap();
        sandbox.run("rm", &["-rf", "archive"]).ok();
        sandbox.run("cp", &["-a", "before", "archive"]).ok();
    }
}

#[test]
fn real_apt_sees_a_whole_archive_wherever_a_publish_stopped() {
    let scene = scene();
    let apts = Apt::both(&scene.sandbox);
    for apt in &apts {
        apt.use_stanza(&std::fs::read_to_string(scene.sandbox.public().join("trixie.sources")).unwrap());
        apt.updates();
        assert_eq!(apt.versions("changes"), ["1.0-1"]);
        apt.keep_lists();
    }
    let mut points = BTreeSet::new();
    for class in CLASSES {
        let of_class: Vec<usize> = (0..scene.changes.len()).filter(|at| class_of(&scene.changes[*at]) == Some(class)).collect();
        points.extend([of_class[0], of_class[of_class.len() / 2], of_class[of_class.len() - 1]]);
    }
    let flip = scene.changes.iter().position(|change| change == "dists/trixie/InRelease").unwrap();
    for (turn, at) in points.into_iter().enumerate() {
        scene.stop(at, true);
        let version = if at < flip { "1.0-1" } else { "2.0-1" };
        let apt = &apts[turn % 2];
        for with_old_lists in [true, false] {
            apt.forget();
            if with_old_lists {
                apt.use_kept_lists();
            }
            scene.server.take_log();
            apt.updates();
            let log = scene.server.take_log();
            assert!(
                log.iter().all(|(path, status)| *status == 200 && (path.ends_with("InRelease") || path.contains("/by-hash/"))),
                "{log:?}"
            );
            assert_eq!(apt.versions("changes"), [version], "{} {with_old_lists}", scene.changes[at]);
            for package in ["changes", "stays", if at < flip { "goes" } else { "comes" }] {
                apt.get(&["download", package]).ok();
            }
        }
        scene.begin_again();
    }
    // A client that has seen the old archive gets what it knows of while and after the publish, and then the new one.
    scene.sandbox.dists(&[]).ok();
    for apt in &apts {
        apt.forget();
        apt.use_kept_lists();
        apt.get(&["download", "changes", "goes", "stays"]).ok();
        apt.updates();
        assert_eq!(apt.versions("changes"), ["2.0-1"]);
    }
}

struct Broken(Box<dyn Signer>);

impl Signer for Broken {
    fn certificates(&self) -> Vec<ddb::places::sign::PublicCertificate> {
        self.0.certificates()
    }
    fn clearsign(&self, text: &[u8], now: Timestamp) -> Result<Vec<u8>, SignError> {
        self.0.clearsign(text, now)
    }
    fn detach_sign(&self, _: &[u8], _: Timestamp) -> Result<Vec<u8>, SignError> {
        Err(SignError::NoSigner)
    }
}

#[test]
fn nothing_is_staged_that_cannot_be_signed_and_what_is_staged_waits_for_its_key() {
    let scene = scene();
    let tree = |at| Stopping::new(&scene.sandbox.public(), at, false);
    let before = scene.staged();
    let lost: &MakeSigner<'_> = &|_| Err(SignError::NoSigner.into());
    let broken: &MakeSigner<'_> = &|signer| Ok(Box::new(Broken(signer)) as Box<dyn Signer>);
    for signer in [lost, broken] {
        publish(&scene.sandbox, &tree(usize::MAX), signer).unwrap_err();
        assert_eq!(scene.staged(), before, "without a good signature, nothing is staged at all");
    }
    // Stopped before the tree is held: staged, and nothing is served.
    publish(&scene.sandbox, &tree(0), &|signer| Ok(signer)).unwrap_err();
    let staged = scene.staged();
    assert_ne!(staged, before);
    assert_eq!(scene.in_release(), scene.old_in_release);
    for signer in [lost, broken] {
        // Nobody can finish it without the key, again and again, and nothing changes.
        publish(&scene.sandbox, &tree(usize::MAX), signer).unwrap_err();
        assert_eq!(scene.staged(), staged);
        assert_eq!(std::fs::read_to_string(scene.sandbox.public().join("dists/trixie/Release")).unwrap(), before);
    }
    scene.is_finished_by_the_next_run("stopped before it was signed");
}

#[test]
fn what_was_staged_goes_first_where_the_branch_moved_on() {
    let scene = scene();
    let middle = scene.changes.iter().position(|change| class_of(change) == Some("index")).unwrap();
    scene.stop(middle, true);
    let staged = scene.staged();
    scene.sandbox.deb("4", "later", "1.0-1", "amd64", "");
    scene.sandbox.commit("4", &[]).ok();
    scene.sandbox.dists(&[]).ok();
    let history = scene.sandbox.git(&["log", "--first-parent", "--format=%s", "-5", "ddb/releases/trixie"]).ok().out;
    assert_eq!(
        history,
        "Serve Release 4 of trixie.\nStage Release 4 of trixie.\nServe Release 3 of trixie.\nStage Release 3 of trixie.\nServe Release 2 of trixie.\n"
    );
    let third = scene.sandbox.git(&["show", "ddb/releases/trixie~2:InRelease"]).ok().out;
    assert!(third.contains(&staged));
    let (third, fourth) =
        (walk(&scene.sandbox.public(), third.as_bytes()).unwrap(), walk(&scene.sandbox.public(), &scene.in_release()).unwrap());
    assert_eq!(third, scene.new);
    let later = ["main/binary-amd64/Packages later 1.0-1".to_owned()];
    assert_eq!(fourth, scene.new.iter().chain(&later).cloned().collect());
    dates_go_forward(&scene.sandbox);
    scene.nothing_is_wrong("at the end");
}

/// Every Release on the branch is dated later than the one before it.
#[track_caller]
fn dates_go_forward(sandbox: &Sandbox) -> usize {
    let commits = sandbox.git(&["rev-list", "--first-parent", "--reverse", "ddb/releases/trixie"]).ok().out;
    let mut releases: Vec<(u64, i64, String)> = Vec::new();
    // The branch begins with a commit that holds nothing.
    for commit in commits.lines().skip(1) {
        let inputs: serde_json::Value = serde_json::from_str(&sandbox.git(&["show", &format!("{commit}:inputs.json")]).ok().out).unwrap();
        let release = sandbox.git(&["show", &format!("{commit}:Release")]).ok().out;
        let (sequence, date) = (inputs["sequence"].as_u64().unwrap(), inputs["date"].as_i64().unwrap());
        assert!(release.contains(&format!("\nDate: {}\n", Timestamp(date).rfc1123())));
        match releases.last() {
            Some((last, same, text)) if *last == sequence => {
                assert_eq!((*same, text), (date, &release), "Release {sequence} is served as it was staged")
            }
            last => {
                assert!(
                    last.is_none_or(|(before, earlier, _)| before + 1 == sequence && *earlier < date),
                    "Release {sequence}: {releases:?}"
                );
                releases.push((sequence, date, release));
            }
        }
    }
    releases.len()
}

#[test]
fn a_publisher_that_waited_does_not_put_the_old_release_back() {
    let scene = scene();
    // The tip is what was published, so this publisher only looks whether the tree is whole. While it waits for the tree,
    // another one publishes something newer.
    let sandbox = &scene.sandbox;
    sandbox.dists(&[]).ok();
    sandbox.deb("4", "later", "1.0-1", "amd64", "");
    let meanwhile = || {
        sandbox.commit("4", &[]).ok();
        sandbox.dists(&[]).ok();
    };
    let late = Meddled::before_it_is_held(Box::new(FolderTarget::new(&sandbox.public(), Links::Auto)), &meanwhile);
    publish(sandbox, &late, &signs).unwrap();
    let offer = walk(&sandbox.public(), &scene.in_release()).unwrap();
    assert!(offer.contains("main/binary-amd64/Packages later 1.0-1"), "the newer Release is gone from the tree");
    scene.nothing_is_wrong("after the wait");
}

#[test]
fn a_publisher_that_waited_to_serve_lets_the_newer_release_stand() {
    let scene = scene();
    let sandbox = &scene.sandbox;
    sandbox.deb("4", "later", "1.0-1", "amd64", "");
    // The other one finishes what this one staged, and goes on.
    let meanwhile = || {
        sandbox.commit("4", &[]).ok();
        sandbox.dists(&[]).ok();
    };
    let late = Meddled::before_it_is_held(Box::new(FolderTarget::new(&sandbox.public(), Links::Auto)), &meanwhile);
    publish(sandbox, &late, &signs).unwrap();
    assert!(walk(&sandbox.public(), &scene.in_release()).unwrap().contains("main/binary-amd64/Packages later 1.0-1"));
    assert_eq!(dates_go_forward(sandbox), 4);
    scene.nothing_is_wrong("after the wait");
}

/// How often the program is killed.
const KILLS: u32 = 12;

#[test]
fn a_publish_that_is_killed_is_finished_by_the_next_run() {
    let scene = scene();
    let sandbox = &scene.sandbox;
    // Date moves by seconds: publishes that follow each other faster are given a clock that runs faster.
    let clock = |turn: u32| format!("@{}", now() - 3000 + 60 * i64::from(turn));
    let began = Instant::now();
    sandbox.dists(&["--now", &clock(0)]).ok();
    let usual = began.elapsed();
    let (mut killed, mut offer) = (0, scene.new.clone());
    for turn in 0..KILLS {
        let name = format!("kill{turn}");
        sandbox.deb(&name, &name, "1.0-1", "all", "");
        sandbox.commit(&name, &[]).ok();
        let in_release = scene.in_release();
        let mut program = sandbox
            .command(env!("CARGO_BIN_EXE_ddb-publish"), &["-C", "archive", "dists", "trixie", "--now", &clock(turn + 1)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(usual * turn / KILLS);
        program.kill().unwrap();
        killed += u32::from(!program.wait().unwrap().success());
        // A ref that was about to move may stay locked; the next run removes such a lock when it is old enough.
        if let Ok(lock) = std::fs::File::options().append(true).open(sandbox.archive().join(".git/refs/heads/ddb/releases/trixie.lock")) {
            lock.set_modified(SystemTime::now() - std::time::Duration::from_secs(3600)).unwrap();
        }
        let before = offer.clone();
        offer.extend(["all", "amd64"].map(|architecture| format!("main/binary-{architecture}/Packages {name} 1.0-1")));
        let seen = walk(&sandbox.public(), &scene.in_release()).unwrap_or_else(|fault| panic!("turn {turn}: torn: {fault}"));
        assert!(seen == before || seen == offer, "turn {turn}");
        assert_eq!(walk(&sandbox.public(), &in_release).unwrap(), before, "turn {turn}: who began before");
        sandbox.dists(&["--now", &clock(turn + 1)]).ok();
        assert_eq!(walk(&sandbox.public(), &scene.in_release()).unwrap(), offer, "turn {turn}");
        scene.nothing_is_wrong(&format!("turn {turn}"));
    }
    assert!(killed > KILLS / 3, "only {killed} of {KILLS} were killed in time");
    dates_go_forward(sandbox);
}

#[test]
fn publishers_and_deployers_at_once_lose_nothing_and_clients_see_no_tear() {
    let scene = scene();
    let sandbox = &scene.sandbox;
    let names: Vec<String> = (0..4).map(|number| format!("deploy{number}")).collect();
    for name in &names {
        sandbox.deb(name, name, "1.0-1", "amd64", "");
    }
    let public = sandbox.public();
    let running = AtomicBool::new(true);
    let looks = std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut looks = 0;
            while running.load(Ordering::SeqCst) {
                let in_release = std::fs::read(public.join("dists/trixie/InRelease")).unwrap();
                walk(&public, &in_release).unwrap_or_else(|fault| panic!("look {looks}: torn: {fault}"));
                looks += 1;
            }
            looks
        });
        let mut programs = Vec::new();
        for number in 0..12 {
            let (program, arguments) = match names.get(number / 3) {
                Some(name) if number % 3 == 1 => (env!("CARGO_BIN_EXE_ddb-deploy"), vec!["-C", "archive", "commit", name]),
                _ => (env!("CARGO_BIN_EXE_ddb-publish"), vec!["-C", "archive", "dists", "trixie"]),
            };
            let mut command = sandbox.command(program, &arguments);
            programs.push(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        }
        let outputs: Vec<_> = programs.into_iter().map(|program| program.wait_with_output().unwrap()).collect();
        running.store(false, Ordering::SeqCst);
        for output in outputs {
            // 9: others were faster at every try.
            assert!([Some(0), Some(9)].contains(&output.status.code()), "{output:?}");
        }
        client.join().unwrap()
    });
    assert!(looks > 3, "the client looked {looks} times");
    sandbox.dists(&[]).ok();
    let mut offer = scene.new.clone();
    offer.extend(names.iter().map(|name| format!("main/binary-amd64/Packages {name} 1.0-1")));
    assert_eq!(walk(&public, &scene.in_release()).unwrap(), offer);
    assert!(dates_go_forward(sandbox) >= 3);
    let tip = sandbox.git(&["rev-parse", "HEAD"]).ok().out;
    let inputs = sandbox.git(&["show", "ddb/releases/trixie:inputs.json"]).ok().out;
    assert!(inputs.contains(tip.trim()), "the tip is what is published: {inputs}");
    scene.nothing_is_wrong("at the end");
}
