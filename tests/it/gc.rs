//! What nobody needs is removed in two steps; what anybody may need stays, whoever is deploying meanwhile.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ddb::formats::pool::pointer::Pointer;
use ddb::places::s3::Limits;
use ddb::stories::gc::{GcError, GcRequest, gc};
use ddb::words::date::{Span, Timestamp};
use ddb::words::digest::Sha256;

use super::faults::{Fault, Faults};
use super::sandbox::{Run, Sandbox, Value};
use super::seaweed::{self, Seaweed, WRITER};
use super::specimens::{commit_by_hand, configure};

/// Day 0 of these tests: 2026-01-01.
const BEGIN: u64 = 1_767_225_600;
const DAY: u64 = 86_400;

/// An archive whose objects lie beside it, on a day after day 0. What is written becomes as old as the day says.
struct Timeline {
    sandbox: Sandbox,
    day: f64,
}

fn time_of(day: f64) -> u64 {
    BEGIN + (day * DAY as f64) as u64
}

impl Timeline {
    fn new() -> Self {
        let mut timeline = Self { sandbox: Sandbox::new(), day: 0.0 };
        timeline.at(0.0);
        timeline.sandbox.deploy(&["init", "archive", "--suite", "trixie", "--architecture", "amd64"]).ok();
        configure(&timeline.sandbox, "", "[store]\npath = \"../objects\"");
        timeline
    }

    /// Goes to a day: for ddb, for Git and, for what was written since, for the store.
    fn at(&mut self, day: f64) {
        self.settle();
        self.day = day;
        let now = time_of(day);
        self.sandbox.environment.insert("DDB_NOW".to_owned(), now.to_string());
        for name in ["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"] {
            self.sandbox.environment.insert(name.to_owned(), format!("{now} +0000"));
        }
    }

    /// Makes objects that were written or refreshed just now as old as the day.
    fn settle(&self) {
        let then = UNIX_EPOCH + Duration::from_secs(time_of(self.day));
        let hour_ago = SystemTime::now() - Duration::from_secs(3600);
        for path in objects(&self.sandbox.path("objects")) {
            let file = File::open(&path).unwrap();
            if file.metadata().unwrap().modified().unwrap() > hour_ago {
                file.set_modified(then).unwrap();
            }
        }
    }

    /// Makes a package and returns its object and the folder that holds it.
    fn package(&self, name: &str) -> (Sha256, String) {
        let folder = format!("out-{name}");
        let deb = self.sandbox.deb(&folder, name, "1", "amd64", "");
        (Sha256::of(&std::fs::read(deb).unwrap()), folder)
    }

    fn commit(&self, folder: &str) -> Run {
        let run = self.sandbox.commit(folder, &[]);
        self.settle();
        run
    }

    fn upload(&self, folder: &str) -> Run {
        let run = self.sandbox.deploy(&["-C", "archive", "upload", folder, "--to", &format!("{folder}-sent")]);
        self.settle();
        run
    }

    fn gc(&self, more: &[&str]) -> Value {
        let run = self.sandbox.deploy(&[&["-C", "archive", "gc", "--json"], more].concat()).ok();
        run.json()
    }

    /// Removes a package from the branch.
    fn drop_from_branch(&self, name: &str) {
        self.sandbox.git(&["rm", "-r", "-q", &format!("pool/main/{}/{name}", &name[..1])]).ok();
        self.sandbox.git(&["rm", "-r", "-q", &format!("suites/trixie/main/binary-amd64/{}/{name}", &name[..1])]).ok();
        commit_by_hand(&self.sandbox, "Drop a package.");
    }

    fn has(&self, oid: &Sha256) -> bool {
        object(&self.sandbox, oid).exists()
    }
}

fn object(sandbox: &Sandbox, oid: &Sha256) -> PathBuf {
    sandbox.path("objects").join(ddb::places::store::key(oid))
}

/// Objects below a folder, without what begins with a dot.
fn objects(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let entries = entries.flatten().filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    entries.flat_map(|entry| if entry.path().is_dir() { objects(&entry.path()) } else { vec![entry.path()] }).collect()
}

#[track_caller]
fn amounts(answer: &Value, expected: [(&str, u64); 5]) {
    let found = expected.map(|(name, _)| (name, answer["objects"][name]["objects"].as_u64().unwrap()));
    assert_eq!(found, expected, "{answer}");
}

#[test]
fn what_nobody_needs_is_marked_and_removed_by_a_later_run() {
    let mut time = Timeline::new();
    let (one, out) = time.package("one");
    time.commit(&out).ok();
    time.at(1.0);
    let (two, out) = time.package("two");
    time.commit(&out).ok();
    time.at(2.0);
    time.drop_from_branch("two");
    time.at(3.0);
    let (three, out) = time.package("three");
    time.upload(&out).ok();

    time.at(5.0);
    let plan = time.gc(&[]);
    amounts(&plan, [("stored", 3), ("needed", 2), ("unfinished", 1), ("waiting", 0), ("removable", 0)]);
    assert!(plan["objects"]["stored"]["bytes"].as_u64().unwrap() > plan["objects"]["needed"]["bytes"].as_u64().unwrap());
    // The upload is not committed after a week; what left the branch is kept for a month.
    time.at(20.0);
    amounts(&time.gc(&[]), [("stored", 3), ("needed", 2), ("unfinished", 0), ("waiting", 1), ("removable", 0)]);
    assert!(!time.sandbox.path("objects/.derived").exists(), "a plan marks nothing");
    amounts(&time.gc(&["--unfinished", "20d"]), [("stored", 3), ("needed", 2), ("unfinished", 1), ("waiting", 0), ("removable", 0)]);
    time.at(31.0);
    let marked = time.gc(&["--delete"]);
    amounts(&marked, [("needed", 2), ("waiting", 1), ("removable", 0), ("removed", 0), ("stored", 3)]);
    assert_eq!(marked["objects"]["earliest"], "2026-02-02T00:00:00Z");
    time.at(40.0);
    amounts(&time.gc(&[]), [("needed", 1), ("waiting", 1), ("removable", 1), ("removed", 0), ("stored", 3)]);
    assert!(time.has(&three), "the plan removes nothing");
    amounts(&time.gc(&["--delete"]), [("needed", 1), ("waiting", 1), ("removable", 1), ("removed", 1), ("stored", 3)]);
    assert!(!time.has(&three) && time.has(&two));
    time.at(40.9);
    amounts(&time.gc(&["--delete"]), [("needed", 1), ("waiting", 1), ("removable", 0), ("removed", 0), ("stored", 2)]);
    time.at(41.1);
    amounts(
        &time.gc(&["--delete", "--retention", "90d"]),
        [("needed", 2), ("waiting", 0), ("removable", 0), ("removed", 0), ("stored", 2)],
    );
    // It was needed a moment ago, by that rule: marked anew.
    amounts(&time.gc(&["--delete"]), [("needed", 1), ("waiting", 1), ("removable", 0), ("removed", 0), ("stored", 2)]);
    time.at(43.0);
    amounts(&time.gc(&["--delete"]), [("needed", 1), ("waiting", 0), ("removable", 1), ("removed", 1), ("stored", 2)]);
    assert!(time.has(&one) && !time.has(&two));
    assert!(objects(&time.sandbox.path("objects/.derived/gc-v1")).is_empty(), "nothing is marked any more");
    time.sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn tags_branches_parked_statements_releases_and_other_archives_keep_what_they_name() {
    let mut time = Timeline::new();
    time.sandbox.publish(&["-C", "archive", "key", "generate"]).ok();
    let names = ["tagged", "branched", "released", "parked", "foreign", "remote", "loose"];
    let packages: Vec<_> = names.iter().map(|name| time.package(name)).collect();
    for (name, (_, out)) in names.iter().zip(&packages).take(3) {
        time.commit(out).ok();
        match *name {
            "tagged" => drop(time.sandbox.git(&["tag", "-a", "-m", "kept", "v1"]).ok()),
            "branched" => drop(time.sandbox.git(&["branch", "side"]).ok()),
            _ => drop(time.sandbox.publish(&["-C", "archive", "dists", "trixie"]).ok()),
        }
        time.drop_from_branch(name);
    }
    for (_, out) in &packages[3..] {
        time.upload(out).ok();
    }
    // A statement that waits on an orphan branch of the remote, which this clone has never fetched.
    let clone = |name: &str| time.sandbox.run("git", &["clone", "-q", "archive", name]).ok();
    time.sandbox.run("git", &["clone", "-q", "--bare", "archive", "remote.git"]).ok();
    time.sandbox.git(&["remote", "add", "origin", time.sandbox.path("remote.git").to_str().unwrap()]).ok();
    clone("elsewhere");
    let elsewhere = |arguments: &[&str]| time.sandbox.run("git", &[&["-C", "elsewhere"], arguments].concat()).ok();
    let pointer = |number: usize| Pointer { oid: packages[number].0, size: 1 }.encode();
    elsewhere(&["checkout", "-q", "--orphan", "ddb/inbox/1234"]);
    elsewhere(&["rm", "-rfq", "."]);
    time.sandbox.write("elsewhere/statement", format!("{{\"facts\":{{\"sha256\":\"{}\"}}}}\n", packages[3].0));
    elsewhere(&["add", "statement"]);
    elsewhere(&["commit", "-q", "-m", "parked"]);
    elsewhere(&["checkout", "-q", "--orphan", "more"]);
    elsewhere(&["rm", "-rfq", "."]);
    time.sandbox.write("elsewhere/file", pointer(5));
    elsewhere(&["add", "file"]);
    elsewhere(&["commit", "-q", "-m", "a pointer of stock Git-LFS"]);
    elsewhere(&["push", "-q", "../remote.git", "ddb/inbox/1234", "more"]);
    // Another archive in the same store.
    time.sandbox.run("git", &["init", "-q", "-b", "main", "foreign"]).ok();
    time.sandbox.write("foreign/pool/x", pointer(4));
    time.sandbox.run("git", &["-C", "foreign", "add", "."]).ok();
    time.sandbox.run("git", &["-C", "foreign", "commit", "-q", "-m", "foreign"]).ok();

    let also = ["--also", "foreign", "--delete"];
    time.at(50.0);
    amounts(&time.gc(&also), [("needed", 6), ("unfinished", 0), ("waiting", 1), ("removable", 0), ("stored", 7)]);
    time.at(60.0);
    amounts(&time.gc(&also), [("needed", 6), ("unfinished", 0), ("waiting", 0), ("removable", 1), ("removed", 1)]);
    assert!(!time.has(&packages[6].0) && packages[..6].iter().all(|(oid, _)| time.has(oid)));

    // One after another lets go.
    time.sandbox.git(&["tag", "-d", "v1"]).ok();
    time.sandbox.git(&["branch", "-D", "side"]).ok();
    time.sandbox.run("git", &["-C", "remote.git", "tag", "-d", "v1"]).ok();
    time.sandbox.run("git", &["-C", "remote.git", "branch", "-D", "ddb/inbox/1234", "side", "more"]).ok();
    amounts(&time.gc(&also), [("needed", 2), ("unfinished", 0), ("waiting", 4), ("removable", 0), ("stored", 6)]);
    time.at(62.0);
    amounts(&time.gc(&["--delete"]), [("needed", 1), ("unfinished", 0), ("waiting", 1), ("removable", 4), ("removed", 4)]);
    assert!(time.has(&packages[2].0), "the last Release is always kept");
    assert!(time.has(&packages[4].0));
    // The remote is asked, or nothing is done.
    std::fs::rename(time.sandbox.path("remote.git"), time.sandbox.path("gone.git")).unwrap();
    time.at(70.0);
    time.sandbox.deploy(&["-C", "archive", "gc", "--delete"]).exits(1).says("remote.git");
    assert!(time.has(&packages[4].0));
}

#[test]
fn an_object_that_a_deploy_found_present_outlives_its_mark() {
    let mut time = Timeline::new();
    let (oid, out) = time.package("slow");
    time.upload(&out).ok();
    let sent = format!("{out}-sent");
    time.at(20.0);
    amounts(&time.gc(&["--delete"]), [("needed", 0), ("unfinished", 0), ("waiting", 1), ("removable", 0), ("removed", 0)]);

    // Found present, not committed yet, then the collector comes: the object is as young as the upload that found it.
    time.at(22.0);
    time.upload(&out).ok();
    time.at(24.0);
    amounts(&time.gc(&[]), [("needed", 0), ("unfinished", 1), ("waiting", 0), ("removable", 0), ("removed", 0)]);
    // Also long after, its old mark counts for nothing: the run that would have removed it marks it anew.
    time.at(30.0);
    amounts(&time.gc(&["--delete"]), [("needed", 0), ("unfinished", 0), ("waiting", 1), ("removable", 0), ("removed", 0)]);
    // Committed at the last moment: from pointers, whose object is fetched.
    time.at(30.5);
    time.commit(&sent).ok();
    time.at(40.0);
    amounts(&time.gc(&["--delete"]), [("needed", 1), ("unfinished", 0), ("waiting", 0), ("removable", 0), ("removed", 0)]);
    assert!(time.has(&oid));

    // The other order: removed first. Pointers alone are refused, the files themselves land.
    let (oid, out) = time.package("slower");
    time.upload(&out).ok();
    time.at(50.0);
    time.gc(&["--delete"]);
    time.at(52.0);
    amounts(&time.gc(&["--delete"]), [("needed", 1), ("unfinished", 0), ("waiting", 0), ("removable", 1), ("removed", 1)]);
    let sent = format!("{out}-sent");
    time.commit(&sent).exits(3).says("is not in the store");
    time.commit(&out).ok();
    assert!(time.has(&oid));
    time.sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn deploys_and_the_collector_at_once_lose_nothing() {
    let mut time = Timeline::new();
    let packages: Vec<_> = (0..12).map(|number| time.package(&format!("race{number:02}"))).collect();
    for (_, out) in &packages {
        time.upload(out).ok();
    }
    time.at(20.0);
    time.gc(&["--delete"]);
    time.at(22.0);
    let program = env!("CARGO_BIN_EXE_ddb-deploy");
    let mut removed = 0;
    for (turn, (oid, out)) in packages.iter().enumerate() {
        let collector = |delay: u64| {
            std::thread::sleep(Duration::from_millis(delay));
            time.sandbox.command(program, &["-C", "archive", "gc", "--delete", "--json"]).output().unwrap()
        };
        let out = time.sandbox.path(out);
        let deploy = || time.sandbox.command(program, &["-C", "archive", "commit", out.to_str().unwrap()]).output().unwrap();
        let (collected, deployed) = std::thread::scope(|scope| {
            let collected = scope.spawn(|| collector(turn as u64 * 2));
            let deployed = scope.spawn(deploy);
            (collected.join().unwrap(), deployed.join().unwrap())
        });
        assert!(deployed.status.success(), "{}", String::from_utf8_lossy(&deployed.stderr));
        assert!(collected.status.success(), "{}{}", String::from_utf8_lossy(&collected.stdout), String::from_utf8_lossy(&collected.stderr));
        let answer: Value = serde_json::from_slice(&collected.stdout).unwrap();
        removed += answer["objects"]["removed"]["objects"].as_u64().unwrap();
        assert_eq!(answer["endangered"], serde_json::json!([]));
        assert!(time.has(oid), "turn {turn}: landed, and its object is gone");
        time.settle();
        // The others wait for their turn as before: still there, old and marked.
        for (_, out) in &packages[turn + 1..] {
            let old = std::fs::read(objects(&time.sandbox.path(out))[0].clone()).unwrap();
            let path = object(&time.sandbox, &Sha256::of(&old));
            if !path.exists() {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, &old).unwrap();
            }
            File::open(&path).unwrap().set_modified(UNIX_EPOCH + Duration::from_secs(BEGIN)).unwrap();
        }
        time.at(22.0 + 2.0 * (turn + 1) as f64);
        time.gc(&[]);
    }
    assert!(removed > 0, "nothing was ever removed, so nothing raced");
    time.sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn blocks_of_indices_go_with_the_releases_that_nobody_keeps() {
    let mut time = Timeline::new();
    time.sandbox.publish(&["-C", "archive", "key", "generate"]).ok();
    let mut counts = Vec::new();
    for (day, name) in [(0.0, "first"), (10.0, "second"), (20.0, "third"), (30.0, "fourth"), (40.0, "fifth"), (50.0, "sixth")] {
        time.at(day);
        let (_, out) = time.package(name);
        time.commit(&out).ok();
        time.sandbox.publish(&["-C", "archive", "dists", "trixie"]).ok();
        for path in objects(&time.sandbox.path("objects/.derived/blocks-v1")) {
            File::open(path).unwrap().set_modified(UNIX_EPOCH + Duration::from_secs(time_of(day))).unwrap();
        }
        counts.push(objects(&time.sandbox.path("objects/.derived/blocks-v1")).len() as u64);
    }
    assert!(counts[5] > counts[2], "every Release has blocks of its own: {counts:?}");
    let all = counts[5];
    let blocks_of = |answer: &Value| ["needed", "waiting", "removed"].map(|name| answer["blocks"][name]["objects"].as_u64().unwrap());
    time.at(60.0);
    assert_eq!(blocks_of(&time.gc(&["--delete"])), [all, 0, 0], "every Release is kept");
    let some = time.gc(&["--delete", "--keep-releases", "15d"]);
    let [needed, waiting, 0] = blocks_of(&some) else { panic!("{some}") };
    assert!(needed > 0 && waiting > 0 && needed + waiting == all, "{some}");
    time.at(62.0);
    assert_eq!(blocks_of(&time.gc(&["--delete", "--keep-releases", "15d"])), [needed, 0, waiting]);
    assert_eq!(objects(&time.sandbox.path("objects/.derived/blocks-v1")).len() as u64, needed);
    // The newest Release is joined from what is left.
    time.sandbox.publish(&["-C", "archive", "export", "exported"]).ok();
    time.sandbox.publish(&["-C", "archive", "dists", "trixie"]).ok();
    time.sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn a_clock_that_is_ahead_of_the_stores_removes_nothing() {
    let mut time = Timeline::new();
    let (oid, out) = time.package("loose");
    time.upload(&out).ok();
    time.at(50.0);
    time.gc(&["--delete"]);
    let days = |days: u32| Span::of_seconds(days * 86_400);
    let mut request = GcRequest {
        archive: time.sandbox.archive(),
        branch: None,
        also: Vec::new(),
        retention: days(30),
        releases: None,
        unfinished: days(7),
        grace: days(1),
        delete: true,
        now: Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64 + 2 * 86_400),
        by_clock: true,
    };
    let fault = gc(&request, &|_| ()).unwrap_err();
    assert!(matches!(fault, GcError::Clock { .. }), "{fault}");
    assert!(time.has(&oid));
    request.now = request.now.minus(days(2));
    assert_eq!(gc(&request, &|_| ()).unwrap().objects.removed.objects, 1);
    assert!(!time.has(&oid));
}

#[test]
fn a_clone_that_does_not_know_everything_collects_nothing() {
    let mut time = Timeline::new();
    let (_, out) = time.package("one");
    time.commit(&out).ok();
    let (_, out) = time.package("two");
    time.commit(&out).ok();
    let url = format!("file://{}", time.sandbox.archive().display());
    time.sandbox.run("git", &["clone", "-q", "--depth", "1", &url, "shallow"]).ok();
    time.sandbox.git(&["config", "uploadpack.allowFilter", "true"]).ok();
    time.sandbox.run("git", &["clone", "-q", "--no-checkout", "--filter=blob:none", &url, "partial"]).ok();
    for (clone, says) in [("shallow", "is a shallow clone"), ("partial", "is a partial clone")] {
        time.sandbox.deploy(&["-C", clone, "gc", "--delete"]).exits(4).says(says);
        time.sandbox.deploy(&["-C", "archive", "gc", "--delete", "--also", clone]).exits(4).says(says);
    }
    time.sandbox.deploy(&["-C", "archive", "gc", "--unfinished", "1d"]).exits(2).says("must be kept for 2d at least");
    time.sandbox.deploy(&["-C", "archive", "gc", "--also", "nosuch"]).exits(4).says("nosuch");
    // A pointer's blob that is missing, as in a damaged repository, is no reason to remove its object.
    time.at(60.0);
    let blob = time.sandbox.git(&["rev-parse", "HEAD:pool/main/o/one/one_1_amd64.deb"]).ok().out;
    let path = time.sandbox.archive().join(format!(".git/objects/{}/{}", &blob[..2], blob[2..].trim()));
    std::fs::remove_file(path).unwrap();
    time.sandbox.deploy(&["-C", "archive", "gc", "--delete"]).exits(1).says(blob.trim());
}

#[test]
fn a_bucket_is_collected_too_and_a_killed_run_is_gone_on_with() {
    let bucket = Seaweed::shared().bucket("collected");
    let proxy = Faults::before(&bucket.endpoint);
    let mut sandbox = Sandbox::with_archive();
    seaweed::give(&mut sandbox, WRITER);
    configure(&sandbox, "", &bucket.behind(&proxy.endpoint()).table("store.s3", "lfs/objects"));
    sandbox.deb("kept", "kept", "1", "amd64", "");
    sandbox.commit("kept", &[]).ok();
    for number in 0..24 {
        sandbox.deb("out", &format!("loose{number:02}"), "1", "amd64", "Source: loose\n");
    }
    sandbox.deploy(&["-C", "archive", "upload", "out", "--to", "sent"]).ok();
    let names =
        |below: &str| bucket.client(below, Limits::default()).list("").unwrap().into_iter().map(|entry| entry.key).collect::<BTreeSet<_>>();
    assert_eq!(names("lfs/objects").len(), 25);
    let later = |days: u64| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        (now + days * DAY).to_string()
    };
    let gc = |days: u64, more: &[&str]| sandbox.deploy(&[&["-C", "archive", "gc", "--json", "--now", &later(days)], more].concat());
    amounts(&gc(1, &[]).ok().json(), [("needed", 1), ("unfinished", 24), ("waiting", 0), ("removable", 0), ("stored", 25)]);
    amounts(&gc(10, &["--delete"]).ok().json(), [("needed", 1), ("unfinished", 0), ("waiting", 24), ("removable", 0), ("removed", 0)]);
    assert_eq!(names("lfs/derived/gc-v1").len(), 1);

    // The server fails at some removals: what is gone is gone, the rest is marked still.
    proxy.add("DELETE", "lfs/objects", 4, usize::MAX, Fault::Status(403, "AccessDenied"));
    gc(12, &["--delete"]).exits(1).says("AccessDenied");
    let left = names("lfs/objects").len();
    assert!((2..=21).contains(&left), "{left}");
    // Killed in the middle.
    proxy.heal().add("DELETE", "lfs/objects", 4, usize::MAX, Fault::Hang);
    let now = later(13);
    let mut child = sandbox.command(env!("CARGO_BIN_EXE_ddb-deploy"), &["-C", "archive", "gc", "--delete", "--now", &now]);
    let mut child = child.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    while names("lfs/objects").len() > left - 4 {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    proxy.heal();
    let left = names("lfs/objects").len() as u64;
    assert!(left > 1);
    amounts(
        &gc(14, &["--delete"]).ok().json(),
        [("needed", 1), ("waiting", 0), ("removable", left - 1), ("removed", left - 1), ("stored", left)],
    );
    assert_eq!(names("lfs/objects").len(), 1);
    assert_eq!(names("lfs/derived/gc-v1").len(), 0);
    amounts(&gc(15, &["--delete"]).ok().json(), [("needed", 1), ("waiting", 0), ("removable", 0), ("removed", 0), ("stored", 1)]);
    sandbox.deploy(&["-C", "archive", "fsck"]).ok();
    sandbox.commit("sent", &[]).exits(3).says("is not in the store");
    sandbox.commit("out", &[]).ok();
}
