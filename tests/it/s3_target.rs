//! A published tree in a bucket of a real S3 server: what is written there, in which order, with which headers and by how many
//! requests, and that real apt uses it.

use std::collections::BTreeMap;

use ddb::formats::pool::pointer::Pointer;
use ddb::places::s3::{Client, Condition, Headers, Limits};
use ddb::places::store::fs::FolderStore;
use ddb::places::target::s3::S3Target;
use ddb::places::target::{Content, PublishTarget as _, TargetError};
use ddb::words::digest::{ObjectId, Sha256};

use crate::client::{Apt, Kind};
use crate::faults::{Fault, Faults};
use crate::s3_stopped::check_by_hash;
use crate::sandbox::{Sandbox, Value, cache};
use crate::seaweed::{self, Bucket, Seaweed, WRITER};
use crate::shared::Shared;

mod suite;

fn pointer(bytes: &[u8]) -> Pointer {
    Pointer { oid: ObjectId::of(bytes), size: bytes.len() as u64 }
}

/// An archive whose published tree is below `public` in a bucket of this name; objects are in the repository.
fn with_bucket(name: &str) -> (Sandbox, Bucket) {
    let (mut sandbox, bucket) = (Sandbox::with_archive(), Seaweed::shared().bucket(name));
    seaweed::give(&mut sandbox, WRITER);
    configure(&sandbox, |text| text + &bucket.table("target.s3", "public"));
    (sandbox, bucket)
}

fn configure(sandbox: &Sandbox, change: impl FnOnce(String) -> String) {
    let toml = sandbox.archive().join("ddb.toml");
    std::fs::write(&toml, change(std::fs::read_to_string(&toml).unwrap())).unwrap();
    sandbox.git(&["commit", "-q", "-a", "-m", "Configure."]).ok();
}

fn add(sandbox: &Sandbox, package: &str, version: &str) {
    let folder = format!("out-{package}-{version}");
    sandbox.deb(&folder, package, version, "amd64", "");
    sandbox.commit(&folder, &[]).ok();
}

/// Every key below the tree with its bytes.
fn tree(client: &Client) -> BTreeMap<String, Vec<u8>> {
    let read = |key: &str| {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut client.get(key).unwrap().unwrap(), &mut bytes).unwrap();
        bytes
    };
    client.list("").unwrap().into_iter().map(|entry| (entry.key.clone(), read(&entry.key))).collect()
}

fn suite(answer: &Value) -> &Value {
    &answer["suites"][0]
}

/// What a publish came to, and its requests: reads, writes, copies, removals.
fn publish(sandbox: &Sandbox, more: &[&str]) -> (String, [u64; 4]) {
    outcome_of(&sandbox.dists(&[&["--json"], more].concat()).ok().json())
}

fn outcome_of(answer: &Value) -> (String, [u64; 4]) {
    let requests = &suite(answer)["requests"];
    assert_eq!(requests["listings"], 0, "nothing is ever listed");
    let count = |kind: &str| requests[kind].as_u64().unwrap();
    (suite(answer)["outcome"].as_str().unwrap().to_owned(), ["reads", "writes", "copies", "removals"].map(count))
}

#[test]
fn a_bucket_keeps_the_contract_of_a_published_tree() {
    let bucket = Seaweed::shared().bucket("target-contract");
    let target = S3Target::with(bucket.client("some/tree", Limits::default()));
    let sandbox = Sandbox::new();
    let store = FolderStore::new(&sandbox.path("objects"));
    let object = pointer(b"object");
    suite::contract::check(&target, &sandbox.path("objects"));
    let missing = target.write("pool/x", &Content::Object(pointer(b"nowhere")), &store).unwrap_err();
    assert!(matches!(missing, TargetError::Object { .. }), "{missing}");

    // A file that something else put there has no hash beside it: it is read.
    let client = bucket.client("some/tree", Limits::default());
    client.put("pool/y", b"object".to_vec(), Headers::NONE, Condition::Always).unwrap();
    assert!(target.holds("pool/y", &object).unwrap());
    assert!(!target.holds("pool/y", &pointer(b"tcejbo")).unwrap());
}

#[test]
fn in_release_is_not_written_over_what_another_publisher_wrote_meanwhile() {
    let bucket = Seaweed::shared().bucket("target-condition");
    let [ours, theirs] = [(); 2].map(|()| S3Target::with(bucket.client("", Limits::default())));
    let sandbox = Sandbox::new();
    let store = FolderStore::new(&sandbox.path("objects"));
    let path = "dists/x/InRelease";
    let write = |target: &S3Target, text: &[u8]| target.write(path, &Content::Bytes(text.to_vec().into()), &store);
    let is_overtaken = |result| matches!(result, Err(TargetError::Overtaken { .. }));
    for target in [&ours, &theirs] {
        assert_eq!(target.read(path).unwrap(), None);
    }
    write(&theirs, b"theirs").unwrap();
    assert!(is_overtaken(write(&ours, b"ours")), "there was none, and now there is");
    write(&ours, b"theirs").unwrap();
    ours.read(path).unwrap();
    write(&theirs, b"theirs, again").unwrap();
    assert!(is_overtaken(write(&ours, b"ours")), "it was another one");
    ours.read(path).unwrap();
    write(&ours, b"ours").unwrap();
    write(&ours, b"ours, again").unwrap();
    assert_eq!(theirs.read(path).unwrap().as_deref(), Some(&b"ours, again"[..]));
}

#[test]
fn what_is_in_the_bucket_is_what_a_folder_would_have_with_headers_of_its_class() {
    let (sandbox, bucket) = with_bucket("target-same");
    add(&sandbox, "foo", "1.0");
    add(&sandbox, "bar", "2.0");
    let (outcome, _) = publish(&sandbox, &[]);
    assert_eq!(outcome, "published");
    let client = bucket.client("public", Limits::default());
    let there = tree(&client);
    sandbox.dists(&["--target", "folder"]).ok();
    let mut folders = vec![sandbox.path("folder")];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let key = path.strip_prefix(sandbox.path("folder")).unwrap().to_str().unwrap().to_owned();
            if key == "trixie.sources" {
                // The folder and the bucket have other addresses.
                let stanza = String::from_utf8(there[&key].clone()).unwrap();
                assert!(stanza.contains(&format!("\nURIs: {}/target-same/public/\n", bucket.endpoint)), "{stanza}");
                count += 1;
            } else if !key.starts_with(".ddb-") {
                assert!(there.get(&key) == Some(&std::fs::read(&path).unwrap()), "{key}");
                count += 1;
            }
        }
    }
    assert_eq!(count, there.len());
    for (key, bytes) in &there {
        let head = client.head(key).unwrap().unwrap();
        let time = match key {
            _ if key.contains("/by-hash/") => "public, max-age=31536000, immutable",
            _ if key.starts_with("pool/") => "public, max-age=86400",
            _ => "public, max-age=60, must-revalidate",
        };
        assert_eq!(head.cache_control.as_deref(), Some(time), "{key}");
        assert_eq!(head.sha256, Some(Sha256::of(bytes).to_hex()), "{key}");
        let kind = head.content_type.unwrap();
        match key.rsplit('.').next().unwrap() {
            "deb" => assert_eq!(kind, "application/vnd.debian.binary-package"),
            "gz" => assert_eq!(kind, "application/gzip"),
            "xz" => assert_eq!(kind, "application/x-xz"),
            _ if key.ends_with("Release") => assert_eq!(kind, "text/plain; charset=utf-8"),
            _ => {}
        }
    }
}

/// Waits until what is written now is dated in another second than InRelease; else a publish would wait for that itself and
/// write InRelease twice.
fn in_another_second(bucket: &Bucket, prefix: &str) {
    let written = bucket.client(prefix, Limits::default()).head("dists/trixie/InRelease").unwrap().unwrap().modified.0;
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    while now() <= written as u64 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_publish_costs_one_request_where_nothing_changed_and_else_what_changed() {
    let (sandbox, bucket) = with_bucket("target-counted");
    for number in 0..20 {
        sandbox.deb("many", &format!("package{number}"), "1.0", "amd64", "");
    }
    sandbox.commit("many", &[]).ok();
    let (outcome, first) = publish(&sandbox, &[]);
    assert_eq!(outcome, "published");
    // 20 packages, each looked at after it was sent; every index once by its hash, and copied to its name; keyring, stanza,
    // Release.gpg, Release, InRelease. One read of InRelease.
    let keys = tree(&bucket.client("public", Limits::default())).len() as u64;
    assert_eq!(first[1] + first[2], keys, "every file is written once");
    assert_eq!(first[0], 1 + 20, "and packages are looked at after they were sent");

    assert_eq!(publish(&sandbox, &[]), ("unchanged".to_owned(), [1, 0, 0, 0]));
    add(&sandbox, "more", "1.0");
    in_another_second(&bucket, "public");
    let (outcome, change) = publish(&sandbox, &[]);
    assert_eq!(outcome, "published");
    // InRelease is read before, and looked at after it was written. The package; Packages and Translation-en in two forms, each once by hash and copied to its name; three of Release.
    assert_eq!(change, [1 + 1 + 1, 1 + 4 + 3, 4, 0]);
    assert_eq!(publish(&sandbox, &[]), ("unchanged".to_owned(), [1, 0, 0, 0]));
    // Nothing but the dates.
    in_another_second(&bucket, "public");
    assert_eq!(publish(&sandbox, &["--renew"]), ("published".to_owned(), [1 + 1, 3, 0, 0]));
    let keys = tree(&bucket.client("public", Limits::default())).len() as u64;
    assert_eq!(publish(&sandbox, &["--repair"]).1, [1 + keys - 4, 0, 0, 0], "every file of the newest Release is looked at");
}

/// An archive with a real source package and its binary, another package, objects and tree in a bucket that anybody may read.
fn public(name: &str, mode: &str) -> (Sandbox, Bucket) {
    let (mut sandbox, bucket) = (Sandbox::with_archive(), Seaweed::shared().bucket(name));
    seaweed::give(&mut sandbox, WRITER);
    configure(&sandbox, |text| {
        let tables = bucket.table("store.s3", "deb/lfs/objects") + &bucket.table("target.s3", "deb");
        format!("{text}{tables}\n[target]\nmode = \"{mode}\"\n")
    });
    sandbox.commit(cache("out/small"), &[]).ok();
    add(&sandbox, "plain", "1.0-1");
    (sandbox, bucket)
}

/// Both apts get everything from this address: update, download, install, sources.
fn apts_use(sandbox: &Sandbox, stanza: &str) {
    for apt in Apt::both_to_install(sandbox) {
        apt.use_stanza(stanza);
        apt.updates();
        assert_eq!(apt.versions("plain"), ["1.0-1"]);
        apt.get(&["download", "plain"]).ok();
        let same = std::fs::read(apt.downloaded("plain_1.0-1_amd64.deb")).unwrap();
        assert_eq!(same, std::fs::read(sandbox.path("out-plain-1.0-1/plain_1.0-1_amd64.deb")).unwrap(), "{:?}", apt.kind);
        apt.get(&["install", "plain"]).ok();
        let version = apt.of_system("usr/share/doc/plain/version");
        assert_eq!(std::fs::read_to_string(version).unwrap(), "1.0-1\n", "{:?}", apt.kind);
        apt.get(&["source", "--download-only", "hostname"]).ok();
        for file in ["hostname_3.23+nmu1.dsc", "hostname_3.23+nmu1.tar.xz"] {
            let built = std::fs::read(cache("out/small").join(file)).unwrap();
            assert_eq!(std::fs::read(apt.downloaded(file)).unwrap(), built, "{:?}", apt.kind);
        }
        if apt.kind == Kind::Machine {
            apt.get(&["source", "hostname"]).ok();
            assert!(apt.downloaded("hostname-3.23+nmu1/debian/control").exists());
        }
    }
}

fn stanza_of(bucket: &Bucket) -> String {
    String::from_utf8(tree(&bucket.client("deb", Limits::default()))["trixie.sources"].clone()).unwrap()
}

#[test]
fn apt_uses_a_bucket_whose_pool_is_copied_by_the_server() {
    let (sandbox, bucket) = public("public-pool", "pool");
    let (outcome, [reads, _, copies, _]) = publish(&sandbox, &[]);
    assert_eq!(outcome, "published");
    let client = bucket.client("deb", Limits::default());
    let pooled = client.list("pool/").unwrap();
    let indices = client.list("dists/trixie/main/").unwrap().iter().filter(|entry| !entry.key.contains("/by-hash/")).count();
    assert_eq!(copies, (pooled.len() + indices) as u64, "no byte of a package passes through here");
    // InRelease, each object, and the blocks that are kept for snapshots: three lists in two forms, looked for before and after.
    assert!(reads <= 1 + pooled.len() as u64 + 12, "{reads} reads for {} files", pooled.len());
    apts_use(&sandbox, &stanza_of(&bucket));
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
    assert_eq!(publish(&sandbox, &[]), ("unchanged".to_owned(), [1, 0, 0, 0]));
}

#[test]
fn apt_uses_a_bucket_where_indices_name_the_objects_themselves() {
    let (sandbox, bucket) = public("public-direct", "direct");
    let (outcome, [reads, ..]) = publish(&sandbox, &[]);
    assert_eq!(outcome, "published");
    let client = bucket.client("deb", Limits::default());
    assert_eq!(client.list("pool/").unwrap(), [], "nothing is copied");
    let objects = client.list("lfs/objects/").unwrap().len() as u64;
    assert!(reads > 1 && reads <= 1 + objects + 12, "{reads} reads, {objects} objects");
    apts_use(&sandbox, &stanza_of(&bucket));
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
    assert_eq!(publish(&sandbox, &[]), ("unchanged".to_owned(), [1, 0, 0, 0]));

    // A tree elsewhere has the objects under the names that the indices give them.
    sandbox.dists(&["--target", "folder"]).ok();
    let packages = std::fs::read(sandbox.path("folder/dists/trixie/main/binary-amd64/Packages.gz")).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::MultiGzDecoder::new(&*packages), &mut text).unwrap();
    let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("Filename: ")).collect();
    assert!(names.iter().any(|name| name.ends_with("?n=/plain_1.0-1_amd64.deb")), "{names:?}");
    for name in names {
        assert!(sandbox.path("folder").join(name.split('?').next().unwrap()).exists(), "{name}");
    }

    // And back to names of their own: every package comes into the pool.
    configure(&sandbox, |text| text.replace("\"direct\"", "\"pool\""));
    assert_eq!(publish(&sandbox, &[]).0, "published");
    assert!(client.list("pool/").unwrap().len() > 3);
    apts_use(&sandbox, &stanza_of(&bucket));
}

#[test]
fn by_hash_files_are_removed_once_and_what_could_not_be_removed_is_tried_again() {
    let (sandbox, bucket, faults) = behind_faults("target-removals");
    configure(&sandbox, |text| text.replace("architectures", "keep-generations = 2\nkeep-for = \"1s\"\narchitectures"));
    let client = bucket.client("deb", Limits::default());
    let by_hash = || client.list("dists/").unwrap().iter().filter(|entry| entry.key.contains("/by-hash/")).count() as u64;
    let (mut hour, mut removals) = (0, Vec::new());
    let mut publish = || {
        hour += 1;
        add(&sandbox, &format!("more{hour}"), "1.0");
        let answer = sandbox.dists_at(&format!("@{}", 1_800_000_000 + 3600 * hour), &["--json"]).ok().json();
        (
            suite(&answer)["requests"]["removals"].as_u64().unwrap(),
            suite(&answer)["removed_files"].as_u64().unwrap(),
            answer["suites"][0]["notes"].to_string(),
        )
    };
    publish();
    let first = by_hash();
    publish();
    let each = by_hash() - first;
    for _ in 0..3 {
        let (requests, files, _) = publish();
        assert_eq!(requests, files);
        removals.push(files);
    }
    // Packages and Translation-en in two forms; each generation's exactly once. The first one's indices were empty.
    assert_eq!(removals, [each, each, each]);
    assert_eq!(by_hash(), first + each);
    faults.always("DELETE", "", Fault::Status(403, "AccessDenied"));
    let (_, files, notes) = publish();
    assert!(files == 0 && notes.contains("by-hash files stay") && notes.contains("AccessDenied"), "{files} {notes}");
    faults.heal();
    let (requests, ..) = publish();
    assert_eq!(requests, 2 * each);
    assert_eq!(by_hash(), first + each);
    assert_eq!(publish().0, each);
}

/// The bucket of an archive behind a proxy that breaks things.
fn behind_faults(name: &str) -> (Sandbox, Bucket, Faults) {
    let (mut sandbox, bucket) = (Sandbox::with_archive(), Seaweed::shared().bucket(name));
    let faults = Faults::before(&bucket.endpoint);
    seaweed::give(&mut sandbox, WRITER);
    sandbox.environment.insert("AWS_MAX_ATTEMPTS".to_owned(), "2".to_owned());
    let proxied = bucket.behind(&faults.endpoint());
    configure(&sandbox, |text| text + &proxied.table("store.s3", "deb/objects") + &proxied.table("target.s3", "deb"));
    add(&sandbox, "one", "1.0");
    (sandbox, bucket, faults)
}

#[test]
fn a_server_that_fails_for_a_moment_is_asked_again() {
    let (sandbox, bucket, faults) = behind_faults("target-hiccups");
    publish(&sandbox, &[]);
    add(&sandbox, "two", "1.0");
    faults.add("PUT", "dists/trixie/InRelease", 0, 1, Fault::LoseAnswer);
    faults.add("PUT", "pool/", 0, 1, Fault::Status(503, "SlowDown"));
    faults.add("PUT", "by-hash", 0, 1, Fault::Drop);
    faults.add("GET", "InRelease", 0, 1, Fault::CutAnswer(100));
    let (outcome, [.., copies, _]) = publish(&sandbox, &[]);
    assert_eq!(outcome, "published");
    assert!(copies >= 2, "tries are counted");
    let in_release = &tree(&bucket.client("deb", Limits::default()))["dists/trixie/InRelease"];
    assert_eq!(sandbox.git(&["show", "ddb/releases/trixie:InRelease"]).ok().out.as_bytes(), in_release);
    faults.heal();
    assert_eq!(publish(&sandbox, &[]), ("unchanged".to_owned(), [1, 0, 0, 0]));
    let conditional = faults.log().into_iter().filter(|logged| logged.path.contains("InRelease") && logged.method == "PUT").count();
    assert!(conditional >= 2, "the lost answer was followed by another try");
}

#[test]
fn a_server_that_fails_for_good_is_named_and_the_next_run_finishes() {
    let (sandbox, bucket, faults) = behind_faults("target-broken");
    publish(&sandbox, &[]);
    add(&sandbox, "two", "1.0");
    let client = bucket.client("deb", Limits::default());
    let before = tree(&client)["dists/trixie/InRelease"].clone();
    let ways = [
        ("GET", "InRelease", Fault::Status(500, "InternalError")),
        ("PUT", "pool/", Fault::Status(503, "SlowDown")),
        ("PUT", "by-hash", Fault::Drop),
        ("PUT", "Packages.xz", Fault::LoseAnswer),
        ("PUT", "dists/trixie/Release", Fault::Status(403, "AccessDenied")),
        ("PUT", "dists/trixie/InRelease", Fault::Drop),
    ];
    for (method, path, fault) in ways {
        faults.always(method, path, fault);
        let run = sandbox.dists(&[]).exits(1).says("published tree").says(&bucket.name);
        assert!(!run.err.contains(WRITER.1), "{}", run.err);
        assert_eq!(tree(&client)["dists/trixie/InRelease"], before, "{path}: nothing flipped");
        faults.heal();
    }
    assert_eq!(publish(&sandbox, &[]).0, "published");
    assert_eq!(publish(&sandbox, &[]), ("unchanged".to_owned(), [1, 0, 0, 0]));
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn a_publish_that_is_killed_while_it_writes_to_a_bucket_is_finished_by_the_next_run() {
    let (sandbox, bucket, faults) = behind_faults("target-killed");
    publish(&sandbox, &[]);
    // Every write waits a little, so that a kill falls between writes.
    faults.always("PUT", "", Fault::Delay(std::time::Duration::from_millis(60)));
    let mut killed = 0;
    for turn in 0..6_u32 {
        let name = format!("kill{turn}");
        add(&sandbox, &name, "1.0");
        let arguments = ["-C", "archive", "dists", "trixie"];
        let mut command = sandbox.command(env!("CARGO_BIN_EXE_ddb-publish"), &arguments);
        let mut program = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        // Killed when so many of its writes have come.
        faults.log();
        let mut writes = 0;
        while writes < 2 + 3 * turn as usize && program.try_wait().unwrap().is_none() {
            writes += faults.log().iter().filter(|logged| logged.method == "PUT").count();
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        program.kill().unwrap();
        killed += u32::from(!program.wait().unwrap().success());
        faults.wait_until_quiet();
        let lock = sandbox.archive().join(".git/refs/heads/ddb/releases/trixie.lock");
        if let Ok(lock) = std::fs::File::options().append(true).open(lock) {
            lock.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(3600)).unwrap();
        }
        check_by_hash(&bucket.client("deb", Limits::default())).unwrap_or_else(|fault| panic!("turn {turn}: torn: {fault}"));
        let answer = sandbox.dists(&["--json"]).ok().json();
        assert_eq!(suite(&answer)["packages"], 2 + turn, "turn {turn}");
    }
    assert!(killed > 3, "only {killed} of 6 were killed in time");
    faults.heal();
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn an_object_that_is_missing_is_named_and_nothing_flips() {
    for mode in ["pool", "direct"] {
        let (mut sandbox, bucket) = (Sandbox::with_archive(), Seaweed::shared().bucket(&format!("target-missing-{mode}")));
        seaweed::give(&mut sandbox, WRITER);
        configure(&sandbox, |text| {
            let tables = bucket.table("store.s3", "deb/objects") + &bucket.table("target.s3", "deb");
            format!("{text}{tables}\n[target]\nmode = \"{mode}\"\n")
        });
        add(&sandbox, "one", "1.0");
        publish(&sandbox, &[]);
        let client = bucket.client("deb", Limits::default());
        let published = || {
            let mut tree = tree(&client);
            // Blocks of indices are made before objects are looked for, and are no part of the tree.
            tree.retain(|key, _| !key.starts_with("derived/"));
            tree
        };
        let before = published();
        add(&sandbox, "two", "1.0");
        let new: Vec<_> = client.list("objects/").unwrap().into_iter().filter(|entry| !before.contains_key(&entry.key)).collect();
        assert_eq!(new.len(), 1);
        client.delete(&new[0].key).unwrap();
        let oid = new[0].key.rsplit('/').next().unwrap();
        sandbox.dists(&[]).exits(4).says(oid).says("pool/main/t/two/two_1.0_amd64.deb");
        assert!(published() == before, "{mode}: nothing was written");
        sandbox.commit("out-two-1.0", &[]).ok();
        assert_eq!(publish(&sandbox, &[]).0, "published");
    }
}

#[test]
fn objects_in_a_bucket_become_a_tree_in_a_folder() {
    let (mut sandbox, bucket) = (Sandbox::with_archive(), Seaweed::shared().bucket("target-folder"));
    seaweed::give(&mut sandbox, WRITER);
    configure(&sandbox, |text| text + &bucket.table("store.s3", "objects"));
    add(&sandbox, "one", "1.0");
    let (outcome, [reads, _, copies, _]) = publish(&sandbox, &[]);
    // The object is looked for before the Release is staged and before it is read.
    assert!(outcome == "published" && reads >= 3 && copies == 0, "{outcome} {reads} {copies}");
    let pooled = std::fs::read(sandbox.public().join("pool/main/o/one/one_1.0_amd64.deb")).unwrap();
    assert_eq!(pooled, std::fs::read(sandbox.path("out-one-1.0/one_1.0_amd64.deb")).unwrap());
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn a_fresh_runner_knows_from_git_what_the_tree_holds() {
    let mut shared = Shared::new("");
    seaweed::give(&mut shared.sandbox, WRITER);
    let (sandbox, bucket) = (&shared.sandbox, Seaweed::shared().bucket("target-runner"));
    let with = |more: &[&str]| {
        // Every run has a clone of its own, made for it.
        let cache = format!("DDB_CACHE={}", tempfile::tempdir_in(sandbox.path("home")).unwrap().keep().display());
        let url = shared.server.url();
        let words = [&[&cache, env!("CARGO_BIN_EXE_ddb-publish"), "-C", &url, "dists", "trixie", "--json"], more].concat();
        outcome_of(&sandbox.run("env", &words).ok().json())
    };
    configure(sandbox, |text| text + &bucket.table("target.s3", "deb"));
    for number in 0..10 {
        sandbox.deb("many", &format!("package{number}"), "1.0", "amd64", "");
    }
    sandbox.commit("many", &[]).ok();
    let clock = crate::stopped::now();
    let at = |number: i64| format!("@{}", clock + 60 * number);
    assert_eq!(with(&["--now", &at(0)]).0, "published");
    assert_eq!(with(&["--now", &at(0)]), ("unchanged".to_owned(), [1, 0, 0, 0]));
    // With DDB_SLOW=1, more history than a fresh clone has.
    for number in 1..if std::env::var_os("DDB_SLOW").is_some() { 18 } else { 2 } {
        sandbox.dists_at(&at(number), &["--renew"]).ok();
    }
    sandbox.deb("more", "more", "1.0", "amd64", "");
    sandbox.commit("more", &[]).ok();
    in_another_second(&bucket, "deb");
    let (outcome, [reads, writes, copies, _]) = with(&["--now", &at(20)]);
    assert_eq!((outcome.as_str(), writes, copies), ("published", 1 + 4 + 3, 4));
    assert!(reads <= 3, "{reads} reads: nothing is looked at that is known");
    assert_eq!(with(&["--now", &at(20)]), ("unchanged".to_owned(), [1, 0, 0, 0]));
    check_by_hash(&bucket.client("deb", Limits::default())).unwrap();

    // What lies behind the history of a fresh clone is removed all the same when its time is over.
    if std::env::var_os("DDB_SLOW").is_some() {
        for number in 21..38 {
            sandbox.deb(&format!("more{number}"), &format!("more{number}"), "1.0", "amd64", "");
            sandbox.commit(format!("more{number}"), &[]).ok();
            sandbox.dists_at(&at(number), &[]).ok();
        }
        let by_hash = || {
            bucket.client("deb", Limits::default()).list("dists/").unwrap().iter().filter(|entry| entry.key.contains("/by-hash/")).count()
        };
        let before = by_hash();
        configure(sandbox, |text| text.replace("architectures", "keep-generations = 1\nkeep-for = \"1s\"\narchitectures"));
        sandbox.git(&["push", "-q"]).ok();
        let removed = with(&["--renew", "--now", &at(40)]).1[3];
        assert!(removed >= 17 * 4 && by_hash() == before - usize::try_from(removed).unwrap() && by_hash() < 16, "{removed} of {before}");
        check_by_hash(&bucket.client("deb", Limits::default())).unwrap();
    }
}
