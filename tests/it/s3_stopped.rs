//! Publishes to a bucket that are stopped anywhere, that overtake each other without any lock or condition, and trees that are
//! not what Git remembers: clients see a whole old or a whole new archive, and the end is always the newest Release, whole.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ddb::formats::release::{Release, by_hash_paths};
use ddb::places::s3::{Client, Condition, Headers, Limits};
use ddb::places::sign::{SignError, Signer};
use ddb::places::target::s3::S3Target;
use ddb::stories::publish::{DistsAnswer, PublishError, PublishOutcome};
use ddb::words::archive::BucketSettings;
use ddb::words::digest::Sha256;

use crate::faults::{Fault, Faults};
use crate::sandbox::Sandbox;
use crate::seaweed::{Seaweed, WRITER, credentials};
use crate::stopped::{self, CLASSES, MakeSigner, Meddled, Offer, Stopping, class_of, now, publish, publish_at, signs, walk};

const IN_RELEASE: &str = "dists/trixie/InRelease";
const PACKAGES: &str = "dists/trixie/main/binary-amd64/Packages.xz";

/// An archive with a bucket for its published tree; both can be put back to how they were.
struct Scene {
    sandbox: Sandbox,
    client: Client,
    /// Where the next tree is.
    number: AtomicUsize,
}

type Tree = BTreeMap<String, Vec<u8>>;

impl Scene {
    fn new(bucket: &str) -> Self {
        let sandbox = Sandbox::new();
        sandbox.deploy(&["init", "archive", "--suite", "trixie", "--architecture", "amd64", "--url", "https://deb.example.org"]).ok();
        let early = format!("@{}", now() - 7200);
        sandbox.publish(&["--now", &early, "-C", "archive", "key", "generate", "--name", "Test", "--email", "test@example.org"]).ok();
        let toml = sandbox.archive().join("ddb.toml");
        std::fs::write(&toml, std::fs::read_to_string(&toml).unwrap() + "keep-generations = 1\nkeep-for = \"30m\"\n").unwrap();
        sandbox.git(&["commit", "-q", "-a", "-m", "Configure."]).ok();
        let client = Seaweed::shared().bucket(bucket).client("", Limits::default());
        Self { sandbox, client, number: AtomicUsize::new(0) }
    }

    fn add(&self, package: &str, version: &str) {
        let folder = format!("out-{package}-{version}");
        self.sandbox.deb(&folder, package, version, "amd64", "");
        self.sandbox.commit(&folder, &[]).ok();
    }

    fn prefix(&self) -> String {
        format!("tree{}", self.number.load(Ordering::SeqCst))
    }

    fn tree(&self) -> Client {
        self.client.with_prefix(&self.prefix())
    }

    fn target(&self) -> S3Target {
        S3Target::with(self.tree())
    }

    fn publish(&self) -> DistsAnswer {
        publish(&self.sandbox, &self.target(), &signs).unwrap()
    }

    /// Keeps the repository and the tree as they are, for `begin_again`.
    fn keep(&self) {
        self.sandbox.git(&["repack", "-a", "-d", "-q"]).ok();
        self.sandbox.run("cp", &["-a", "archive", "before"]).ok();
    }

    /// Puts the repository back, and goes on with a copy of the tree that `before` is.
    fn begin_again(&self, before: &Client) {
        self.sandbox.run("rm", &["-rf", "archive"]).ok();
        self.sandbox.run("cp", &["-a", "before", "archive"]).ok();
        self.number.fetch_add(1, Ordering::SeqCst);
        let tree = self.tree();
        ddb::places::lanes::in_lanes(16, &before.list("").unwrap(), |entry| {
            let headers = Headers { sha256: before.head(&entry.key)?.and_then(|head| head.sha256?.parse().ok()), ..Headers::NONE };
            tree.copy(&tree.settings().bucket, &before.key(&entry.key), entry.size, &entry.key, headers)
        })
        .unwrap();
    }

    /// The tree as it is, also as a folder.
    fn look(&self) -> (Tree, std::path::PathBuf) {
        let tree = self.tree();
        let keys: Vec<String> = tree.list("").unwrap().into_iter().map(|entry| entry.key).collect();
        let read = |key: &String| {
            let mut bytes = Vec::new();
            tree.get(key).unwrap().unwrap().read_to_end(&mut bytes).map(|_| bytes)
        };
        let bytes = ddb::places::lanes::in_lanes(16, &keys, read).unwrap();
        let folder = self.sandbox.path("look");
        let _ = std::fs::remove_dir_all(&folder);
        for (key, bytes) in keys.iter().zip(&bytes) {
            self.sandbox.write(folder.join(key), bytes);
        }
        (keys.into_iter().zip(bytes).collect(), folder)
    }

    fn offer(&self) -> Offer {
        let (tree, folder) = self.look();
        walk(&folder, &tree[IN_RELEASE]).unwrap()
    }

    /// The tree is that of the newest Release on the branch, served, with every file under every name.
    #[track_caller]
    fn is_that_of_the_newest_release(&self) -> Offer {
        let show = |file: &str| self.sandbox.git(&["show", &format!("ddb/releases/trixie:{file}")]).ok().out;
        let (tree, folder) = self.look();
        let text = |key: &str| String::from_utf8(tree[key].clone()).unwrap();
        assert_eq!(text("dists/trixie/Release"), show("Release"));
        assert_eq!(text(IN_RELEASE), show("InRelease"));
        assert_eq!(text("dists/trixie/Release.gpg"), show("Release.gpg"));
        let release = Release::parse(show("Release").as_bytes()).unwrap();
        for (path, listed) in &release.files {
            if release.files.contains_key(&format!("{path}.xz")) {
                continue;
            }
            for name in std::iter::once(path.clone()).chain(by_hash_paths(path, listed)) {
                assert_eq!(Sha256::of(&tree[&format!("dists/trixie/{name}")]), listed.sha256, "{name}");
            }
        }
        walk(&folder, &tree[IN_RELEASE]).unwrap()
    }
}

/// A tree where something happens right before a path is written, once; it writes without conditions, as to a server that ignores them.
fn meddled<'a>(scene: &Scene, path: &'a str, meanwhile: &'a (dyn Fn() + Send + Sync)) -> Meddled<'a> {
    Meddled::before(Box::new(scene.target()), path, meanwhile).reading_through(Box::new(scene.target()))
}

#[test]
fn a_publish_to_a_bucket_that_stopped_anywhere_is_whole_and_is_finished() {
    let scene = Scene::new("stopped-bucket");
    for (package, ago) in [("one", 7200), ("two", 3600)] {
        scene.add(package, "1.0-1");
        publish_at(&scene.sandbox, &scene.target(), &signs, now() - ago).unwrap();
    }
    let (old_tree, _) = scene.look();
    let old_in_release = &old_tree[IN_RELEASE];
    let old = scene.offer();
    scene.add("two", "2.0-1");
    scene.add("three", "1.0-1");
    scene.keep();
    let before = scene.tree();
    scene.begin_again(&before);
    let undisturbed = Stopping::of(Box::new(scene.target()), usize::MAX, false);
    publish(&scene.sandbox, &undisturbed, &signs).unwrap();
    let changes = undisturbed.log.into_inner().unwrap();
    let new = scene.is_that_of_the_newest_release();
    for class in CLASSES {
        assert!(changes.iter().any(|change| class_of(change) == Some(class)), "no {class} in {changes:?}");
    }
    let flip = changes.iter().position(|change| change == IN_RELEASE).unwrap();
    let slow = std::env::var_os("DDB_SLOW").is_some();
    for at in 0..changes.len() {
        let of_class = |at: usize| changes.get(at).and_then(|change| class_of(change));
        // The first and the last of every class; all of them, where there is time.
        if !slow && of_class(at) == of_class(at + 1) && at > 0 && of_class(at) == of_class(at - 1) {
            continue;
        }
        scene.begin_again(&before);
        let when = format!("stopped after change {at} ({})", changes[at]);
        let stopping = Stopping::of(Box::new(scene.target()), at, true);
        let stopped = publish(&scene.sandbox, &stopping, &signs);
        // What cannot be removed stays, and is said; all else is a failure.
        let only_leaves = at > flip && stopped.as_ref().is_ok_and(|answer| answer.notes.iter().any(|note| note.contains("by-hash")));
        assert!(stopped.is_err() || only_leaves, "{when}");
        assert_eq!(stopping.log.into_inner().unwrap(), changes[..=at], "{when}");
        let (tree, folder) = scene.look();
        let seen = walk(&folder, &tree[IN_RELEASE]).unwrap_or_else(|fault| panic!("{when}: torn: {fault}"));
        assert_eq!(seen, if at < flip { old.clone() } else { new.clone() }, "{when}");
        let seen = walk(&folder, old_in_release).unwrap_or_else(|fault| panic!("{when}: torn for who began before: {fault}"));
        assert_eq!(seen, old, "{when}");
        let requests = scene.client.requests();
        scene.publish();
        let again = scene.client.requests().total() - requests.total();
        assert!(again <= 60, "{when}: finishing took {again} requests");
        assert_eq!(scene.is_that_of_the_newest_release(), new, "{when}");
    }
}

/// What the server makes of conditions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Server {
    NotAsked,
    IgnoresConditions,
    HonoursConditions,
}

/// One publisher is about to write a path of its Release when another one finishes that Release and publishes a newer one.
fn overtaken_before(bucket: &str, path: &str, server: Server) {
    let mut scene = Scene::new(bucket);
    if server == Server::IgnoresConditions {
        let faults = Faults::before(&Seaweed::shared().endpoint());
        faults.always("PUT", "", Fault::IgnoreConditions);
        let settings = scene.client.settings().clone();
        let settings = BucketSettings { endpoint: Some(faults.endpoint()), ..settings };
        scene.client = Client::with(&settings, Limits::default(), Some(credentials(WRITER))).unwrap();
    }
    scene.add("one", "1.0-1");
    publish_at(&scene.sandbox, &scene.target(), &signs, now() - 3600).unwrap();
    scene.add("two", "1.0-1");
    let meanwhile = || {
        scene.add("three", "1.0-1");
        publish_at(&scene.sandbox, &scene.target(), &signs, now() + 1).unwrap();
        assert_eq!(scene.is_that_of_the_newest_release().len(), 3);
    };
    let target = match server {
        Server::NotAsked => meddled(&scene, path, &meanwhile),
        // Reading and writing through one client, it writes on conditions.
        Server::HonoursConditions | Server::IgnoresConditions => Meddled::before(Box::new(scene.target()), path, &meanwhile),
    };
    publish_at(&scene.sandbox, &target, &signs, now()).unwrap();
    assert_eq!(scene.is_that_of_the_newest_release().len(), 3, "the newer Release is gone from the tree");
    assert_eq!(scene.publish().outcome, PublishOutcome::Unchanged);
}

#[test]
fn a_publisher_that_writes_an_old_in_release_over_a_newer_one_puts_the_newer_one_back() {
    overtaken_before("overtaken-flip", IN_RELEASE, Server::NotAsked);
    overtaken_before("overtaken-ignored", IN_RELEASE, Server::IgnoresConditions);
}

#[test]
fn a_publisher_that_writes_an_old_index_over_a_newer_one_puts_the_newer_one_back() {
    overtaken_before("overtaken-index", PACKAGES, Server::NotAsked);
}

#[test]
fn a_server_that_honours_conditions_keeps_the_newer_in_release() {
    overtaken_before("overtaken-condition", IN_RELEASE, Server::HonoursConditions);
}

#[test]
fn what_a_stopped_publish_wrote_over_is_not_taken_for_what_the_last_one_wrote() {
    let scene = Scene::new("distrusted");
    scene.add("one", "1.0-1");
    publish_at(&scene.sandbox, &scene.target(), &signs, now() - 3600).unwrap();
    let (served, _) = scene.look();
    scene.add("two", "1.0-1");
    // Stopped when the indices of `two` stand under their names, and InRelease is still that of `one` alone.
    let undisturbed = Stopping::of(Box::new(scene.target()), usize::MAX, false);
    scene.keep();
    publish(&scene.sandbox, &undisturbed, &signs).unwrap();
    let changes = undisturbed.log.into_inner().unwrap();
    let at = changes.iter().rposition(|change| class_of(change) == Some("Release")).unwrap();
    scene.sandbox.run("rm", &["-rf", "archive"]).ok();
    scene.sandbox.run("cp", &["-a", "before", "archive"]).ok();
    for (key, bytes) in &served {
        scene.tree().put(key, bytes.clone(), Headers::NONE, Condition::Always).unwrap();
    }
    publish(&scene.sandbox, &Stopping::of(Box::new(scene.target()), at, true), &signs).unwrap_err();
    let (torn, _) = scene.look();
    assert_ne!(torn[PACKAGES], served[PACKAGES]);
    // That Release can never be served: whoever signs it is gone. And the tip offers what the last served Release offers.
    scene.sandbox.git(&["revert", "--no-edit", "HEAD"]).ok();
    let first = AtomicBool::new(true);
    let lost: &MakeSigner<'_> = &|signer: Box<dyn Signer>| {
        if first.swap(false, Ordering::SeqCst) { Err(PublishError::Sign(SignError::NoSigner)) } else { Ok(signer) }
    };
    let answer = stopped::publish_at(&scene.sandbox, &scene.target(), lost, now() + 2).unwrap();
    assert_eq!((answer.outcome, answer.sequence), (PublishOutcome::Published, 3));
    assert_eq!(scene.is_that_of_the_newest_release().len(), 1);
    let (tree, _) = scene.look();
    assert_eq!(tree[PACKAGES], served[PACKAGES]);
}

#[test]
fn a_tree_that_somebody_emptied_is_filled_again_and_one_that_lost_a_file_is_repaired_when_asked() {
    let scene = Scene::new("emptied");
    scene.add("one", "1.0-1");
    scene.publish();
    let keys = |scene: &Scene| scene.look().0.into_keys().collect::<Vec<_>>();
    let all = keys(&scene);
    for key in &all {
        scene.tree().delete(key).unwrap();
    }
    assert_eq!(scene.publish().outcome, PublishOutcome::Repaired);
    assert_eq!(keys(&scene), all);
    scene.is_that_of_the_newest_release();
    let pooled = all.iter().find(|key| key.starts_with("pool/")).unwrap();
    scene.tree().delete(pooled).unwrap();
    assert_eq!(scene.publish().outcome, PublishOutcome::Unchanged, "a file that is missing below an untouched InRelease is not looked for");
    stopped::publish_with(&scene.sandbox, &scene.target(), &signs, now(), |request| request.repair = true).unwrap();
    scene.is_that_of_the_newest_release();
}

#[test]
fn a_package_that_comes_from_another_suite_brings_its_file() {
    let scene = Scene::new("promoted");
    let toml = scene.sandbox.archive().join("ddb.toml");
    std::fs::write(&toml, std::fs::read_to_string(&toml).unwrap() + "\n[suites.sid]\narchitectures = [\"amd64\"]\n").unwrap();
    scene.sandbox.git(&["commit", "-q", "-a", "-m", "Configure."]).ok();
    scene.sandbox.deb("one", "one", "1.0-1", "amd64", "");
    scene.sandbox.commit("one", &["--suite", "trixie"]).ok();
    scene.sandbox.deb("two", "two", "1.0-1", "amd64", "");
    scene.sandbox.commit("two", &["--suite", "sid"]).ok();
    publish_at(&scene.sandbox, &scene.target(), &signs, now() - 60).unwrap();
    let pooled = "pool/main/t/two/two_1.0-1_amd64.deb";
    assert!(!scene.look().0.contains_key(pooled), "sid was never published");
    let place = "main/binary-amd64/t/two";
    let suites = scene.sandbox.archive().join("suites");
    std::fs::create_dir_all(suites.join("trixie").join(place)).unwrap();
    let record = format!("{place}/two_1.0-1");
    std::fs::copy(suites.join("sid").join(&record), suites.join("trixie").join(&record)).unwrap();
    scene.sandbox.git(&["add", "suites"]).ok();
    scene.sandbox.git(&["commit", "-q", "-m", "Promote two."]).ok();
    scene.publish();
    assert_eq!(scene.is_that_of_the_newest_release().len(), 2);
}

#[test]
fn a_name_that_another_suite_gave_other_bytes_meanwhile_is_not_taken_for_known() {
    other_bytes_are_not_taken_for_known("other-suite", "trixie");
}

#[test]
fn nor_by_a_suite_that_was_copied_from_one_whose_pool_file_was_overwritten() {
    other_bytes_are_not_taken_for_known("other-suite-copied", "copy");
}

/// A pool file of trixie is overwritten for sid's sake; then the suite offers what trixie offered and is published.
fn other_bytes_are_not_taken_for_known(bucket: &str, suite: &str) {
    let scene = Scene::new(bucket);
    let toml = scene.sandbox.archive().join("ddb.toml");
    std::fs::write(&toml, std::fs::read_to_string(&toml).unwrap() + MORE_SUITES).unwrap();
    scene.sandbox.git(&["commit", "-q", "-a", "-m", "Configure."]).ok();
    let deb = |folder: &str, text: &str| scene.sandbox.deb_with(folder, "foo", "1.0", "amd64", &format!("Homepage: {text}\n"), &["-Znone"]);
    let (ours, theirs) = (deb("ours", "https://example.org/1"), deb("theirs", "https://example.org/2"));
    let publish_at = |suite: &str, at: i64| {
        stopped::publish_with(&scene.sandbox, &scene.target(), &signs, at, |request| request.codename = suite.parse().unwrap()).unwrap()
    };
    scene.sandbox.commit("ours", &["--suite", "trixie"]).ok();
    publish_at("trixie", now() - 300);
    let begin = scene.sandbox.git(&["rev-parse", "HEAD"]).ok().out;
    scene.sandbox.git(&["rm", "-r", "-q", "suites/trixie/main/binary-amd64/f"]).ok();
    scene.sandbox.git(&["commit", "-q", "-m", "Drop foo."]).ok();
    scene.sandbox.commit("theirs", &["--suite", "sid", "--on-conflict", "replace"]).ok();
    publish_at("sid", now() - 200);
    let pooled = "pool/main/f/foo/foo_1.0_amd64.deb";
    assert_eq!(scene.look().0[pooled], std::fs::read(theirs).unwrap());
    // Everything is as it was when trixie was published, as far as trixie's own history tells.
    scene.sandbox.git(&["revert", "--no-edit", &format!("{}..HEAD", begin.trim())]).ok();
    let outcome = match suite {
        "trixie" => PublishOutcome::Repaired,
        _ => PublishOutcome::Published,
    };
    copy_of_trixie(&scene, suite);
    assert_eq!(publish_at(suite, now() - 100).outcome, outcome);
    assert_eq!(scene.look().0[pooled], std::fs::read(ours).unwrap());
    assert!(suite != "trixie" || scene.is_that_of_the_newest_release().len() == 1);
}

/// Two suites more.
const MORE_SUITES: &str = "\n[suites.sid]\narchitectures = [\"amd64\"]\n\n[suites.copy]\narchitectures = [\"amd64\"]\n";

/// Makes a suite offer what trixie offers, unless it is trixie.
fn copy_of_trixie(scene: &Scene, suite: &str) {
    if suite != "trixie" {
        let suites = scene.sandbox.archive().join("suites");
        scene.sandbox.run("cp", &["-a", suites.join("trixie").to_str().unwrap(), suites.join(suite).to_str().unwrap()]).ok();
        scene.sandbox.git(&["add", "suites"]).ok();
        scene.sandbox.git(&["commit", "-q", "-m", "Copy trixie."]).ok();
    }
}

#[test]
fn a_copy_of_a_suite_brings_what_the_tree_does_not_have() {
    let scene = Scene::new("copied-lost");
    let toml = scene.sandbox.archive().join("ddb.toml");
    std::fs::write(&toml, std::fs::read_to_string(&toml).unwrap() + MORE_SUITES).unwrap();
    scene.sandbox.git(&["commit", "-q", "-a", "-m", "Configure."]).ok();
    for package in ["one", "two"] {
        scene.sandbox.deb(package, package, "1.0-1", "amd64", "");
        scene.sandbox.commit(package, &["--suite", "trixie"]).ok();
    }
    let publish_at = |suite: &str, at: i64| {
        stopped::publish_with(&scene.sandbox, &scene.target(), &signs, at, |request| request.codename = suite.parse().unwrap()).unwrap()
    };
    publish_at("trixie", now() - 300);
    copy_of_trixie(&scene, "copy");
    // Another tree, to which trixie never came.
    scene.number.fetch_add(1, Ordering::SeqCst);
    publish_at("copy", now() - 200);
    assert_eq!(scene.look().0.keys().filter(|path| path.starts_with("pool/")).count(), 2);
}

#[test]
fn publishers_at_once_without_lock_or_condition_end_with_the_newest_release() {
    let scene = Scene::new("publishers-at-once");
    scene.add("first", "1.0-1");
    publish_at(&scene.sandbox, &scene.target(), &signs, now() - 3600).unwrap();
    for number in 0..4 {
        scene.sandbox.deb(&format!("more{number}"), &format!("more{number}"), "1.0-1", "amd64", "");
    }
    let running = AtomicBool::new(true);
    let clock = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let (tree, mut looks) = (scene.tree(), 0);
            while running.load(Ordering::SeqCst) {
                check_by_hash(&tree).unwrap_or_else(|fault| panic!("look {looks}: torn: {fault}"));
                looks += 1;
            }
            looks
        });
        let publishers: Vec<_> = (0..4)
            .map(|_| {
                let (scene, clock) = (&scene, &clock);
                scope.spawn(move || {
                    for _ in 0..4 {
                        let at = now() - 3000 + 60 * i64::try_from(clock.fetch_add(1, Ordering::SeqCst)).unwrap();
                        let target = meddled(scene, "", &|| ());
                        match publish_at(&scene.sandbox, &target, &signs, at) {
                            Ok(_) | Err(PublishError::Contended { .. } | PublishError::Future { .. }) => {}
                            Err(fault) => panic!("{fault}"),
                        }
                    }
                })
            })
            .collect();
        for number in 0..4 {
            scene.sandbox.commit(format!("more{number}"), &[]).ok();
        }
        let failed = publishers.into_iter().map(|publisher| publisher.join()).filter(Result::is_err).count();
        running.store(false, Ordering::SeqCst);
        assert_eq!(failed, 0);
        assert!(client.join().unwrap() > 3);
    });
    scene.publish();
    assert_eq!(scene.is_that_of_the_newest_release().len(), 5);
}

/// Reads as a client does: InRelease, and what it names by hash.
pub fn check_by_hash(tree: &Client) -> Result<(), String> {
    let read = |key: &str| {
        let mut bytes = Vec::new();
        let body = tree.get(key).unwrap();
        body.ok_or_else(|| format!("{key} is missing"))?.read_to_end(&mut bytes).unwrap();
        Ok::<_, String>(bytes)
    };
    let text = ddb::formats::artifact::clearsign::split(&read(IN_RELEASE)?).unwrap().payload;
    let release = Release::parse(text.as_bytes()).unwrap();
    for (path, listed) in &release.files {
        if release.files.contains_key(&format!("{path}.xz")) {
            continue;
        }
        let name = format!("dists/trixie/{}", by_hash_paths(path, listed)[0]);
        if Sha256::of(&read(&name)?) != listed.sha256 {
            return Err(format!("{name} has other bytes"));
        }
    }
    Ok(())
}
