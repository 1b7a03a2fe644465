//! An archive whose objects lie in a bucket: deploy, publish, fsck, and what is said when the bucket fails.

use ddb::formats::pool::pointer::Pointer;
use ddb::places::s3::{Condition, Headers, Limits};

use crate::faults::{Fault, Faults};
use crate::sandbox::{Run, Sandbox};
use crate::seaweed::{Bucket, READER, Seaweed, WRITER, give};

const PREFIX: &str = "team/lfs/objects";

/// An archive with its objects in this bucket and three packages to deploy in `out/`.
fn archive(bucket: &Bucket) -> Sandbox {
    let mut sandbox = Sandbox::with_archive();
    give(&mut sandbox, WRITER);
    // Tests of a server that stays away need not wait long for it.
    sandbox.environment.insert("AWS_MAX_ATTEMPTS".to_owned(), "2".to_owned());
    place(&sandbox, bucket);
    for package in ["one", "two", "three"] {
        sandbox.deb("out", package, "1.0", "amd64", "");
    }
    sandbox
}

fn place(sandbox: &Sandbox, bucket: &Bucket) {
    let before = std::fs::read_to_string(sandbox.archive().join("ddb.toml")).unwrap();
    let own = before.split("\n[store").next().unwrap();
    sandbox.write("archive/ddb.toml", format!("{own}{}", bucket.table("store.s3", PREFIX)));
    sandbox.git(&["commit", "-qam", "Place the objects"]).ok();
}

fn fsck(sandbox: &Sandbox, more: &[&str]) -> Run {
    sandbox.deploy(&[&["-C", "archive", "fsck"], more].concat())
}

/// The pointer of a pool file.
fn pointer(sandbox: &Sandbox, path: &str) -> Pointer {
    Pointer::decode(sandbox.git(&["show", &format!("HEAD:{path}")]).ok().out.as_bytes()).unwrap()
}

fn key(pointer: &Pointer) -> String {
    ddb::places::store::key(&pointer.oid)
}

#[test]
fn objects_in_a_bucket_are_deployed_published_and_checked() {
    let bucket = Seaweed::shared().bucket("archive-works");
    let sandbox = archive(&bucket);
    sandbox.commit("out", &[]).ok();
    assert!(!sandbox.archive().join(".git/lfs").exists(), "no object is kept here");
    let client = bucket.client(PREFIX, Limits::default());
    let one = pointer(&sandbox, "pool/main/o/one/one_1.0_amd64.deb");
    let head = client.head(&key(&one)).unwrap().unwrap();
    assert_eq!((head.size, head.cache_control.as_deref()), (one.size, Some("public, max-age=31536000, immutable")));
    sandbox.dists(&[]).ok();
    for package in ["one", "two", "three"] {
        let name = format!("{package}_1.0_amd64.deb");
        let letter = &package[..1];
        let published = std::fs::read(sandbox.public().join(format!("pool/main/{letter}/{package}/{name}"))).unwrap();
        assert_eq!(published, std::fs::read(sandbox.path("out").join(name)).unwrap());
    }
    fsck(&sandbox, &["--full"]).ok();
    sandbox.commit("out", &["--detailed-exit-code"]).exits(10);
}

#[test]
fn fsck_names_missing_short_damaged_and_strange_objects_in_a_bucket() {
    let bucket = Seaweed::shared().bucket("archive-damaged");
    let sandbox = archive(&bucket);
    sandbox.commit("out", &[]).ok();
    let client = bucket.client(PREFIX, Limits::default());
    let of = |package: &str| pointer(&sandbox, &format!("pool/main/{}/{package}/{package}_1.0_amd64.deb", &package[..1]));
    let (one, two, three) = (of("one"), of("two"), of("three"));
    client.delete(&key(&one)).unwrap();
    client.put(&key(&two), &b"short"[..], Headers::default(), Condition::Always).unwrap();
    client.put(&key(&three), vec![0; three.size as usize], Headers::default(), Condition::Always).unwrap();
    client.put("README", &b"stranger"[..], Headers::default(), Condition::Always).unwrap();
    let quick = fsck(&sandbox, &[]).exits(8).out;
    assert!(quick.contains(&one.oid.to_hex()) && quick.contains("is missing"), "{quick}");
    assert!(quick.contains(&two.oid.to_hex()) && quick.contains("it has 5 bytes"), "{quick}");
    assert!(quick.contains(&format!("{PREFIX}/README")) && !quick.contains(&three.oid.to_hex()), "{quick}");
    let full = fsck(&sandbox, &["--full"]).exits(8).out;
    assert!(full.lines().any(|line| line.contains(&three.oid.to_hex()) && line.contains("its bytes have sha256")), "{full}");
    client.delete("README").unwrap();
    client.delete(&key(&three)).unwrap();
    // What has landed already is put again where the store lost it.
    sandbox.commit("out", &[]).ok();
    fsck(&sandbox, &["--full"]).ok();
}

#[test]
fn credentials_that_do_not_do_are_said_and_nothing_lands() {
    let bucket = Seaweed::shared().bucket("archive-denied");
    let mut sandbox = archive(&bucket);
    let before = sandbox.git(&["rev-parse", "HEAD"]).ok().out;
    let faults = Faults::before(&bucket.endpoint);

    give(&mut sandbox, READER);
    let run = sandbox.commit("out", &[]).exits(1).says("403 AccessDenied").says("may not write");
    assert!(!run.err.contains(READER.1), "{}", run.err);
    fsck(&sandbox, &[]).ok();
    give(&mut sandbox, (WRITER.0, "wrong-secret"));
    let run = sandbox.commit("out", &[]).exits(1).says("SignatureDoesNotMatch").says("AWS_SECRET_ACCESS_KEY");
    assert!(!run.err.contains("wrong-secret"), "{}", run.err);
    give(&mut sandbox, ("nobody", "secret"));
    sandbox.commit("out", &[]).exits(1).says("InvalidAccessKeyId").says("AWS_ACCESS_KEY_ID");
    fsck(&sandbox, &[]).exits(1).says("InvalidAccessKeyId");
    sandbox.environment.remove("AWS_ACCESS_KEY_ID");
    sandbox.environment.remove("AWS_SECRET_ACCESS_KEY");
    sandbox.commit("out", &[]).exits(1).says("no credentials were found").says("AWS_ACCESS_KEY_ID");

    assert_eq!(sandbox.git(&["rev-parse", "HEAD"]).ok().out, before);
    give(&mut sandbox, WRITER);
    place(&sandbox, &bucket.behind(&faults.endpoint()));
    let before = sandbox.git(&["rev-parse", "HEAD"]).ok().out;
    faults.always("", "", Fault::Status(400, "ExpiredToken"));
    sandbox.commit("out", &[]).exits(1).says("400 ExpiredToken").says("get new credentials");
    place(&sandbox, &Bucket { name: "archive-no-bucket".to_owned(), endpoint: bucket.endpoint.clone() });
    sandbox.commit("out", &[]).exits(1).says("NoSuchBucket").says("make the bucket first");
    sandbox.git(&["reset", "-q", "--hard", "HEAD~1"]).ok();
    assert_eq!(sandbox.git(&["rev-parse", "HEAD"]).ok().out, before);
    assert!(bucket.client("", Limits::default()).list("").unwrap().is_empty(), "nothing was written");
}

#[test]
fn a_server_that_stops_is_said_nothing_lands_and_the_same_command_finishes_later() {
    let server = Seaweed::start();
    let bucket = server.bucket("archive-stopped");
    let sandbox = archive(&bucket);
    let before = sandbox.git(&["rev-parse", "HEAD"]).ok().out;
    server.kill();
    sandbox.commit("out", &[]).exits(1).says("cannot look at").says(&bucket.endpoint).says("check the endpoint");
    fsck(&sandbox, &[]).exits(1).says("cannot list");
    assert_eq!(sandbox.git(&["rev-parse", "HEAD"]).ok().out, before);
    server.start_again();
    sandbox.commit("out", &[]).ok();
    server.kill();
    sandbox.dists(&[]).exits(1).says("check the endpoint");
    assert!(!sandbox.public().join("dists/trixie/InRelease").exists());
    server.start_again();
    sandbox.dists(&[]).ok();
    fsck(&sandbox, &["--full"]).ok();
}

/// A package of 11 MiB, which goes in three parts.
fn large(sandbox: &Sandbox, out: &str, package: &str, seed: u64) {
    let control = format!("Package: {package}\nVersion: 1\nArchitecture: amd64\nMaintainer: Test <test@example.org>\nDescription: large\n");
    sandbox.write(format!("tree-{package}/DEBIAN/control"), control);
    sandbox.write(format!("tree-{package}/usr/share/large"), crate::s3_client::bytes(11 << 20, seed));
    std::fs::create_dir_all(sandbox.path(out)).unwrap();
    sandbox.run("dpkg-deb", &["-Znone", "--root-owner-group", "-b", &format!("tree-{package}"), out]).ok();
}

fn small_parts(sandbox: &Sandbox) {
    let before = std::fs::read_to_string(sandbox.archive().join("ddb.toml")).unwrap();
    sandbox.write("archive/ddb.toml", before.replace("\n[store.s3]", "\n[store]\npart-size = 5242880\n\n[store.s3]"));
    sandbox.git(&["commit", "-qam", "Small parts"]).ok();
}

#[test]
fn a_deploy_killed_at_any_request_leaves_nothing_wrong_and_finishes_when_run_again() {
    let bucket = Seaweed::shared().bucket("archive-killed");
    let faults = Faults::before(&bucket.endpoint);
    let sandbox = archive(&bucket.behind(&faults.endpoint()));
    small_parts(&sandbox);
    for killed_at in 0.. {
        let out = format!("out-{killed_at}");
        large(&sandbox, &out, &format!("large{killed_at}"), killed_at as u64);
        let before = sandbox.git(&["rev-parse", "HEAD"]).ok().out;
        faults.heal().add("", "", killed_at, 1, Fault::Hang).log();
        let path = sandbox.path(&out);
        let mut command = sandbox.command(env!("CARGO_BIN_EXE_ddb-deploy"), &["-C", "archive", "commit", path.to_str().unwrap()]);
        let mut child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        let ended = loop {
            if faults.hit() {
                child.kill().unwrap();
                child.wait().unwrap();
                break false;
            }
            if child.try_wait().unwrap().is_some_and(|status| status.success()) {
                break true;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        faults.heal();
        if ended {
            assert!(killed_at >= 8, "a deploy has HEAD, list, create, three parts, complete and HEAD: {killed_at}");
            break;
        }
        assert_eq!(sandbox.git(&["rev-parse", "HEAD"]).ok().out, before, "killed at request {killed_at}");
        fsck(&sandbox, &[]).ok();
        sandbox.commit(&out, &[]).ok();
    }
    fsck(&sandbox, &["--full"]).ok();
    faults.wait_until_quiet();
    assert_eq!(bucket.client("", Limits::default()).unfinished_uploads("").unwrap(), []);
}

#[test]
fn a_proxy_that_the_environment_names_is_used() {
    let bucket = Seaweed::shared().bucket("archive-proxy");
    let proxy = Faults::before(&bucket.endpoint);
    let mut sandbox = archive(&bucket);
    sandbox.environment.insert("http_proxy".to_owned(), proxy.endpoint());
    sandbox.commit("out", &[]).ok();
    assert!(proxy.log().iter().any(|logged| logged.method == "PUT"));
    sandbox.environment.insert("no_proxy".to_owned(), "127.0.0.1".to_owned());
    fsck(&sandbox, &["--full"]).ok();
    assert_eq!(proxy.log(), []);
}

#[test]
fn a_deploy_under_lasting_faults_fails_clearly_and_finishes_when_they_end() {
    let bucket = Seaweed::shared().bucket("archive-faults");
    let faults = Faults::before(&bucket.endpoint);
    let sandbox = archive(&bucket.behind(&faults.endpoint()));
    let before = sandbox.git(&["rev-parse", "HEAD"]).ok().out;
    for (method, fault, says) in [
        ("", Fault::Status(503, "SlowDown"), "503"),
        ("PUT", Fault::Status(503, "SlowDown"), "SlowDown"),
        ("PUT", Fault::Status(500, "InternalError"), "InternalError"),
        ("", Fault::Drop, "check the endpoint"),
        ("PUT", Fault::Drop, "check the endpoint"),
        ("PUT", Fault::CutRequest(10), "check the endpoint"),
    ] {
        faults.heal().always(method, "", fault);
        sandbox.commit("out", &[]).exits(1).says(says);
        assert_eq!(sandbox.git(&["rev-parse", "HEAD"]).ok().out, before, "{fault:?}");
    }
    faults.heal();
    assert!(bucket.client("", Limits::default()).list("").unwrap().is_empty(), "nothing was half written");
    // A server that did it and did not say so, and one that takes its time.
    faults.add("PUT", "", 0, 1, Fault::LoseAnswer).always("", "", Fault::Delay(std::time::Duration::from_millis(20)));
    sandbox.commit("out", &[]).ok();
    faults.heal().always("GET", "", Fault::CutAnswer(1));
    sandbox.dists(&[]).exits(1).says("broke off");
    assert!(!sandbox.public().join("dists/trixie/InRelease").exists());
    faults.heal();
    sandbox.dists(&[]).ok();
    fsck(&sandbox, &["--full"]).ok();
}

/// Peak memory of a running program in KiB, as the kernel counts it.
fn peak(child: &mut std::process::Child) -> u64 {
    let mut peak = 0;
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(peak);
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            return peak;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn memory_is_bounded_however_large_a_file_is() {
    const SIZE: usize = 200 << 20;
    let bucket = Seaweed::shared().bucket("archive-memory");
    let sandbox = archive(&bucket);
    small_parts(&sandbox);
    let tree = sandbox.path("tree");
    let control = "Package: large\nVersion: 1\nArchitecture: amd64\nMaintainer: Test <test@example.org>\nDescription: large\n";
    sandbox.write("tree/DEBIAN/control", control);
    sandbox.write("tree/usr/share/large", crate::s3_client::bytes(SIZE, 1));
    std::fs::create_dir(sandbox.path("large")).unwrap();
    sandbox.run("dpkg-deb", &["-Znone", "--root-owner-group", "-b", tree.to_str().unwrap(), "large"]).ok();
    let commit = |out: &str| {
        let out = sandbox.path(out);
        let mut command = sandbox.command(env!("CARGO_BIN_EXE_ddb-deploy"), &["-C", "archive", "commit", out.to_str().unwrap()]);
        peak(&mut command.stdout(std::process::Stdio::null()).spawn().unwrap())
    };
    let (little, much) = (commit("out"), commit("large"));
    assert!(much < little + (60 << 10), "{little} KiB for small files, {much} KiB for a large one");
    let large = pointer(&sandbox, "pool/main/l/large/large_1_amd64.deb");
    assert_eq!(bucket.client(PREFIX, Limits::default()).head(&key(&large)).unwrap().unwrap().size, large.size);
}

/// With DDB_SLOW=1.
#[test]
fn a_cluster_that_loses_a_volume_server_and_a_master_loses_no_object() {
    if std::env::var_os("DDB_SLOW").is_none() {
        return;
    }
    let mut cluster = crate::seaweed::cluster::Cluster::start();
    let bucket = cluster.bucket("archive-cluster");
    let mut sandbox = archive(&bucket);
    sandbox.environment.remove("AWS_MAX_ATTEMPTS");
    let mut deployed = 0;
    let mut deploy = |sandbox: &Sandbox, count: u64| {
        for _ in 0..count {
            deployed += 1;
            large(sandbox, &format!("out-{deployed}"), &format!("large{deployed}"), deployed);
            sandbox.commit(format!("out-{deployed}"), &[]).ok();
        }
    };
    deploy(&sandbox, 4);
    cluster.kill("volume-1");
    deploy(&sandbox, 4);
    cluster.kill("master-2");
    deploy(&sandbox, 4);
    fsck(&sandbox, &["--full"]).ok();
    cluster.bring_back("volume-1");
    cluster.bring_back("master-2");
    deploy(&sandbox, 2);
    cluster.kill("volume-0");
    deploy(&sandbox, 2);
    sandbox.dists(&[]).ok();
    fsck(&sandbox, &["--full"]).ok();
    cluster.bring_back("volume-0");
    fsck(&sandbox, &["--full"]).ok();
}
