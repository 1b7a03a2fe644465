//! Build jobs that send their files ahead, and deploy jobs that take pointers and a manifest instead.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ddb::formats::manifest::{self, Manifest};
use ddb::formats::pool::pointer::Pointer;
use ddb::formats::sealed::{Purpose, Sealed};
use ddb::places::s3::{Condition, Headers, Limits};
use ddb::words::digest::Sha256;

use super::faults::{Fault, Faults};
use super::sandbox::{Run, Sandbox, cache};
use super::seaweed::{self, Seaweed, WRITER};
use super::specimens::{Gpg, configure, copy};

const KEY: &str = "DDB_UPLOADER_KEY";

/// An archive with a store beside it, and a build output in `out/`.
fn archive() -> Sandbox {
    let sandbox = Sandbox::with_archive();
    configure(&sandbox, "", "[store]\npath = \"../objects\"");
    copy(&cache("out/small"), &sandbox.path("out"));
    sandbox
}

/// Alice may upload; her secret key is returned.
fn with_uploader(sandbox: &Sandbox, gpg: &Gpg) -> String {
    let alice = gpg.key("alice", "ed25519", "sign", "1y", "");
    sandbox.write("archive/keys/uploaders/alice.asc", gpg.public(&alice));
    configure(sandbox, "uploaders = [\"keys/uploaders\"]", "");
    String::from_utf8(gpg.secret(&alice, "")).unwrap()
}

fn upload(sandbox: &Sandbox, more: &[&str]) -> Run {
    sandbox.deploy(&[&["-C", "archive", "upload", "out"], more].concat())
}

fn object(sandbox: &Sandbox, pointer: &Pointer) -> PathBuf {
    let hex = pointer.oid.to_hex();
    sandbox.path(format!("objects/{}/{}/{hex}", &hex[..2], &hex[2..4]))
}

/// The files of a folder by name; one that is renamed meanwhile may be left out.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let plain = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    plain.filter_map(|entry| Some((entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).ok()?))).collect()
}

fn manifest_of(folder: &Path) -> (PathBuf, Sealed) {
    let name = files(folder).into_keys().find(|name| name.starts_with(manifest::NAME)).unwrap();
    let path = folder.join(name);
    let sealed = Sealed::decode(Purpose::Manifest, &std::fs::read(&path).unwrap()).unwrap();
    (path, sealed)
}

/// Puts another manifest in place of the one there, under the name that it should have.
fn forge(folder: &Path, change: impl Fn(String) -> String) {
    let (path, sealed) = manifest_of(folder);
    let mut forged = Sealed::new(Purpose::Manifest, change(sealed.payload().to_owned())).unwrap();
    assert_ne!(forged.payload(), sealed.payload(), "nothing was forged");
    if let Some(signature) = sealed.signature() {
        forged = forged.with_signature(signature.to_owned()).unwrap();
    }
    std::fs::remove_file(path).unwrap();
    std::fs::write(folder.join(manifest::file_name(&forged)), forged.encode()).unwrap();
}

fn tree(sandbox: &Sandbox) -> String {
    sandbox.git(&["rev-parse", "HEAD^{tree}"]).ok().out
}

fn head(sandbox: &Sandbox) -> String {
    sandbox.git(&["rev-parse", "HEAD"]).ok().out
}

/// Nothing lands, and this is said.
#[track_caller]
fn refused(sandbox: &Sandbox, more: &[&str], code: i32, says: &str) {
    let before = head(sandbox);
    sandbox.commit("out", more).exits(code).says(says);
    assert_eq!(head(sandbox), before);
}

#[test]
fn what_was_uploaded_lands_as_the_files_themselves_would() {
    let plain = archive();
    plain.commit("out", &[]).ok();

    let sandbox = archive();
    let original = files(&sandbox.path("out"));
    let answer = upload(&sandbox, &["--json"]).ok().json();
    assert_eq!(answer["replaced"], original.len(), "{answer}");
    assert_eq!(answer["new_objects"], original.len());
    assert!(answer["notes"][0].as_str().unwrap().contains("is a folder"), "{answer}");
    let left = files(&sandbox.path("out"));
    assert_eq!(left.len(), original.len() + 1, "pointers and a manifest: {:?}", left.keys());
    for (name, bytes) in &original {
        let pointer = Pointer::decode(&left[name]).unwrap();
        assert_eq!((pointer.oid, pointer.size), (Sha256::of(bytes), bytes.len() as u64));
        assert_eq!(&std::fs::read(object(&sandbox, &pointer)).unwrap(), bytes);
    }
    let (path, sealed) = manifest_of(&sandbox.path("out"));
    let (manifest, read) = Manifest::read(path.file_name().unwrap().to_str().unwrap(), &std::fs::read(&path).unwrap()).unwrap();
    assert_eq!((manifest.pointers().len(), read.signature()), (original.len(), None));
    assert_eq!(read, sealed);

    // A second run has nothing to do, and does not send anything again.
    let again = upload(&sandbox, &["--json"]).ok().json();
    assert_eq!((&again["replaced"], &again["new_objects"], &again["pointers"]), (&0.into(), &0.into(), &original.len().into()));
    assert_eq!(files(&sandbox.path("out")), left);

    let landed = sandbox.commit("out", &["--json"]).ok().json();
    assert_eq!(landed["builds"][0]["verdict"], "landed");
    assert_eq!(landed["new_objects"], 0, "all objects are in the store already");
    assert_eq!(landed["uploads"]["verify"], "full");
    assert_eq!(landed["uploads"]["not_checked"], serde_json::json!([]));
    let pool_of = |sandbox: &Sandbox| sandbox.git(&["ls-tree", "-r", "HEAD", "pool", "suites"]).ok().out;
    assert_eq!(pool_of(&plain), pool_of(&sandbox), "the same pointers and records");
    assert_eq!(sandbox.commit("out", &["--json"]).ok().json()["builds"][0]["verdict"], "already-landed");
    sandbox.dists(&[]).ok();
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
    assert_eq!(std::fs::read_dir(sandbox.path("archive/.git/ddb")).unwrap().count(), 0, "what was fetched is gone");
}

#[test]
fn files_that_stay_and_pointers_elsewhere_and_settings_without_a_clone() {
    let sandbox = archive();
    let original = files(&sandbox.path("out"));
    std::fs::copy(sandbox.archive().join("ddb.toml"), sandbox.path("archive-settings.toml")).unwrap();
    let settings = std::fs::read_to_string(sandbox.path("archive-settings.toml")).unwrap().replace("../objects", "objects");
    sandbox.write("archive-settings.toml", settings);
    // An empty file has no pointer.
    sandbox.write("out/hostname_3.23+nmu1_empty.log", "");
    let to = ["upload", "out", "--to", "uploaded", "--store", "archive-settings.toml", "--suite", "trixie"];
    sandbox.deploy(&to).ok();
    assert_eq!(files(&sandbox.path("out")).len(), original.len() + 1, "nothing was touched");
    let uploaded = files(&sandbox.path("uploaded"));
    assert_eq!(uploaded.len(), original.len() + 2);
    assert!(uploaded["hostname_3.23+nmu1_empty.log"].is_empty());

    // Once more, with a file less: what is not there any more does not stay behind, nor does the old manifest.
    let log = "hostname_3.23+nmu1_amd64.build";
    std::fs::remove_file(sandbox.path("out").join(log)).unwrap();
    sandbox.deploy(&to).ok();
    let uploaded = files(&sandbox.path("uploaded"));
    assert!(!uploaded.contains_key(log) && uploaded.len() == original.len() + 1, "{:?}", uploaded.keys());
    sandbox.write("uploaded/precious", "not ours");
    sandbox.deploy(&to).exits(2).says("precious");
    std::fs::remove_file(sandbox.path("uploaded/precious")).unwrap();
    sandbox.commit("uploaded", &[]).ok();

    sandbox
        .write("no-store.toml", std::fs::read_to_string(sandbox.path("archive-settings.toml")).unwrap().replace("[store]\npath", "# path"));
    sandbox.deploy(&["upload", "out", "--store", "no-store.toml"]).exits(4).says("names no store");
}

#[test]
fn two_jobs_outputs_lie_in_one_folder_beside_a_file_that_was_not_uploaded() {
    let sandbox = Sandbox::with_archive();
    configure(&sandbox, "", "[store]\npath = \"../objects\"");
    sandbox.deb("out/one", "one", "1", "amd64", "Source: both\n");
    sandbox.deb("out/two", "two", "1", "amd64", "Source: both\n");
    sandbox.deb("out/three", "three", "1", "amd64", "Source: both\n");
    for job in ["one", "two"] {
        sandbox.deploy(&["-C", "archive", "upload", &format!("out/{job}")]).ok();
    }
    // As if both jobs had the same folder for their artifacts.
    for (name, bytes) in files(&sandbox.path("out/two")) {
        sandbox.write(format!("out/one/{name}"), bytes);
    }
    std::fs::remove_dir_all(sandbox.path("out/two")).unwrap();
    let landed = sandbox.commit("out", &["--json"]).ok().json();
    assert_eq!((&landed["uploads"]["manifests"], &landed["uploads"]["pointers"]), (&2.into(), &2.into()));
    assert_eq!(landed["added"].as_array().unwrap().len(), 6, "{landed}");
    assert_eq!(landed["new_objects"], 1, "the one that was not uploaded");
}

#[test]
fn what_disagrees_is_refused_with_its_reason_and_nothing_lands() {
    let sandbox = archive();
    let original = files(&sandbox.path("out"));
    upload(&sandbox, &[]).ok();
    let uploaded = files(&sandbox.path("out"));
    let restore = || {
        std::fs::remove_dir_all(sandbox.path("out")).unwrap();
        uploaded.iter().for_each(|(name, bytes)| drop(sandbox.write(format!("out/{name}"), bytes)));
    };
    let deb = "hostname_3.23+nmu1_amd64.deb";
    let pointer = Pointer::decode(&uploaded[deb]).unwrap();
    let object = object(&sandbox, &pointer);
    let (name, _) = manifest_of(&sandbox.path("out"));

    // A manifest that was changed, or that was changed and given the name that fits.
    let text = std::fs::read_to_string(&name).unwrap();
    std::fs::write(&name, text.replace("hostname", "hostnome")).unwrap();
    refused(&sandbox, &[], 3, "it was changed");
    restore();
    forge(&sandbox.path("out"), |payload| payload.replace("Section: admin", "Section: games"));
    refused(&sandbox, &[], 3, "is not what the file says");
    restore();
    forge(&sandbox.path("out"), |payload| payload.replace("Package: hostname\\n", "Package: bash\\n"));
    refused(&sandbox, &[], 3, "contradicts itself");
    restore();
    forge(&sandbox.path("out"), |payload| payload.replace("\"suite\":\"trixie\"", "\"suite\":\"sid\""));
    refused(&sandbox, &[], 4, "ddb.toml has no suite \"sid\"");

    // Pointers: without manifest, at other objects, one too few.
    restore();
    std::fs::remove_file(&name).unwrap();
    refused(&sandbox, &[], 3, "is a Git-LFS pointer that no manifest here names");
    restore();
    let other = Pointer { oid: Sha256::of(b"other"), size: 5 };
    sandbox.write(format!("out/{deb}"), other.encode());
    refused(&sandbox, &[], 3, "points at object");
    restore();
    std::fs::remove_file(sandbox.path(format!("out/{deb}"))).unwrap();
    refused(&sandbox, &[], 3, "which is not there");
    // A file that took the place of a pointer must be that file.
    restore();
    sandbox.deb("other", "hostname", "3.23+nmu1", "amd64", "");
    std::fs::copy(sandbox.path(format!("other/{deb}")), sandbox.path(format!("out/{deb}"))).unwrap();
    refused(&sandbox, &[], 3, "in hostname_3.23+nmu1_amd64.changes");
    sandbox.write(format!("out/{deb}"), &original[deb]);
    sandbox.commit("out", &["--dry-run"]).ok();

    // Objects: other bytes of the same size, cut off, too long, missing.
    restore();
    let bytes = std::fs::read(&object).unwrap();
    let put = |bytes: &[u8]| {
        std::fs::remove_file(&object).unwrap();
        std::fs::write(&object, bytes).unwrap();
    };
    put(&vec![b'x'; bytes.len()]);
    refused(&sandbox, &[], 3, "is not what its name says");
    put(&bytes[..100]);
    refused(&sandbox, &[], 3, "is not what its name says");
    put(&[&bytes[..], b"x"].concat());
    refused(&sandbox, &[], 3, "is longer than");
    std::fs::remove_file(&object).unwrap();
    refused(&sandbox, &[], 3, "is not in the store");
    // Uploading again is no way out: the file is gone. The file itself is.
    upload(&sandbox, &[]).exits(3).says("is not in the store");
    sandbox.write(format!("out/{deb}"), &original[deb]);
    upload(&sandbox, &[]).ok();
    refused(&sandbox, &["--verify", "head"], 4, "names nobody");
    let before = tree(&sandbox);
    sandbox.commit("out", &[]).ok();
    assert_ne!(tree(&sandbox), before);
}

#[test]
fn a_signed_manifest_is_believed_and_the_answer_says_what_was_not_checked() {
    let mut sandbox = archive();
    let gpg = Gpg::new();
    let secret = with_uploader(&sandbox, &gpg);
    let original = files(&sandbox.path("out"));
    let restore = |sandbox: &Sandbox| {
        std::fs::remove_dir_all(sandbox.path("out")).unwrap();
        original.iter().for_each(|(name, bytes)| drop(sandbox.write(format!("out/{name}"), bytes)));
    };
    // Without a key, the .changes must be signed, already when it is uploaded.
    upload(&sandbox, &[]).exits(3).says("signed");
    sandbox.environment.insert(KEY.to_owned(), secret);
    let answer = upload(&sandbox, &["--json"]).ok().json();
    let alice = gpg.run(&["--with-colons", "--list-keys", "=alice"], b"");
    let fingerprint = answer["sealed_by"][0].as_str().unwrap().to_owned();
    assert!(String::from_utf8(alice).unwrap().contains(&fingerprint));
    sandbox.environment.remove(KEY);

    let landed = sandbox.commit("out", &["--verify", "head", "--dry-run"]).ok();
    assert!(landed.out.contains("not checked: the bytes of 7 objects"), "{}", landed.out);
    let landed = sandbox.commit("out", &["--verify", "head", "--json"]).ok().json();
    assert_eq!(landed["uploads"]["sealed_by"][0], fingerprint);
    assert_eq!(landed["uploads"]["not_checked"].as_array().unwrap().len(), 3);
    assert_eq!(landed["builds"][0]["verdict"], "landed");
    assert!(sandbox.git(&["log", "-1", "--format=%B"]).ok().out.contains(&format!("Ddb-Uploader: {fingerprint}")));
    let believed = sandbox.git(&["ls-tree", "-r", "HEAD", "pool", "suites"]).ok().out;
    // Read whole, the same comes out; the manifest's signature stands for that of the .changes.
    sandbox.git(&["reset", "-q", "--hard", "HEAD^"]).ok();
    sandbox.commit("out", &[]).ok();
    assert_eq!(sandbox.git(&["ls-tree", "-r", "HEAD", "pool", "suites"]).ok().out, believed);
    sandbox.git(&["reset", "-q", "--hard", "HEAD^"]).ok();

    // Forged, signed by a stranger, without signature, an object of another size, one that is missing.
    let uploaded = files(&sandbox.path("out"));
    forge(&sandbox.path("out"), |payload| payload.replace("Section: admin", "Section: games"));
    refused(&sandbox, &["--verify", "head"], 3, "does not match the text");
    refused(&sandbox, &[], 3, "does not match the text");
    let stranger = gpg.key("stranger", "ed25519", "sign", "1y", "");
    restore(&sandbox);
    sandbox.environment.insert(KEY.to_owned(), String::from_utf8(gpg.secret(&stranger, "")).unwrap());
    upload(&sandbox, &[]).ok();
    sandbox.environment.remove(KEY);
    refused(&sandbox, &["--verify", "head"], 3, "by the unknown key");
    std::fs::remove_dir_all(sandbox.path("out")).unwrap();
    uploaded.iter().for_each(|(name, bytes)| drop(sandbox.write(format!("out/{name}"), bytes)));
    let (path, sealed) = manifest_of(&sandbox.path("out"));
    std::fs::write(&path, sealed.signed_text()).unwrap();
    refused(&sandbox, &["--verify", "head"], 3, "carries no signature");
    std::fs::write(&path, sealed.encode()).unwrap();
    let deb = Pointer::decode(&uploaded["hostname_3.23+nmu1_amd64.deb"]).unwrap();
    let object = object(&sandbox, &deb);
    let bytes = std::fs::read(&object).unwrap();
    std::fs::remove_file(&object).unwrap();
    refused(&sandbox, &["--verify", "head"], 3, "is not in the store");
    std::fs::write(&object, &bytes[1..]).unwrap();
    refused(&sandbox, &["--verify", "head"], 3, "is not in the store");
    // What no manifest names would have to be read.
    std::fs::write(&object, &bytes).unwrap();
    sandbox.deb("out", "more", "1", "amd64", "");
    refused(&sandbox, &["--verify", "head"], 3, "is named by no manifest");
    std::fs::remove_file(sandbox.path("out/more_1_amd64.deb")).unwrap();
    // Another signed text by the same key is no manifest: the purpose is part of what is signed.
    let (path, sealed) = manifest_of(&sandbox.path("out"));
    let bare = gpg.run(&["--armor", "--local-user", "alice", "--detach-sign"], sealed.payload().as_bytes());
    let bare = Sealed::new(Purpose::Manifest, sealed.payload().to_owned()).unwrap().with_signature(String::from_utf8(bare).unwrap());
    std::fs::write(&path, bare.unwrap().encode()).unwrap();
    refused(&sandbox, &["--verify", "head"], 3, "does not match the text");
    std::fs::write(&path, sealed.encode()).unwrap();
    sandbox.commit("out", &["--verify", "head"]).ok();
}

#[test]
fn a_build_job_without_a_clone_sends_to_a_bucket_and_the_deploy_job_reads_it_there() {
    let bucket = Seaweed::shared().bucket("upload");
    let mut sandbox = Sandbox::with_archive();
    seaweed::give(&mut sandbox, WRITER);
    sandbox.environment.insert("AWS_MAX_ATTEMPTS".to_owned(), "1".to_owned());
    configure(&sandbox, "", &bucket.table("store.s3", "lfs/objects"));
    std::fs::copy(sandbox.archive().join("ddb.toml"), sandbox.path("ddb.toml")).unwrap();
    copy(&cache("out/small"), &sandbox.path("out"));
    let original = files(&sandbox.path("out"));
    let settings = ["--store", "ddb.toml", "--json"];
    // A server that fails, or says that it stored what it did not, costs no file.
    let proxy = Faults::before(&bucket.endpoint);
    let behind = std::fs::read_to_string(sandbox.path("ddb.toml")).unwrap().replace(&bucket.endpoint, &proxy.endpoint());
    sandbox.write("behind.toml", behind);
    for (method, skip, fault) in [
        ("PUT", 0, Fault::Status(200, "Lie")),
        ("PUT", 3, Fault::Status(200, "Lie")),
        ("PUT", 3, Fault::Status(503, "SlowDown")),
        ("PUT", 0, Fault::Status(403, "AccessDenied")),
        ("HEAD", 9, Fault::Status(503, "SlowDown")),
        ("", 0, Fault::Status(400, "ExpiredToken")),
    ] {
        proxy.heal().add(method, "", skip, usize::MAX, fault);
        let run = sandbox.deploy(&["upload", "out", "--store", "behind.toml"]).exits(1).says("object");
        assert_eq!(files(&sandbox.path("out")), original, "{fault:?}: {}", run.err);
        bucket.client("lfs/objects", Limits::default()).list("").unwrap().iter().for_each(|entry| {
            bucket.client("lfs/objects", Limits::default()).delete(&entry.key).unwrap();
        });
    }
    let answer = sandbox.deploy(&[&["upload", "out"], &settings[..]].concat()).ok().json();
    assert_eq!(answer["replaced"], original.len());
    assert!(answer["store"].as_str().unwrap().starts_with("s3://upload"), "{answer}");
    assert_eq!(answer["notes"], serde_json::json!([]));
    let landed = sandbox.commit("out", &["--json"]).ok().json();
    assert_eq!((&landed["new_objects"], &landed["uploads"]["pointers"]), (&0.into(), &original.len().into()));
    let client = bucket.client("lfs/objects", Limits::default());
    assert_eq!(client.list("").unwrap().len(), original.len());

    // Bytes that are not the object's: the same size, so that only reading them tells.
    let deb = Pointer::decode(&files(&sandbox.path("out"))["hostname_3.23+nmu1_amd64.deb"]).unwrap();
    let key = ddb::places::store::key(&deb.oid);
    client.put(&key, vec![b'x'; usize::try_from(deb.size).unwrap()], Headers::default(), Condition::Always).unwrap();
    refused(&sandbox, &[], 3, "is not what its name says");
    client.delete(&key).unwrap();
    refused(&sandbox, &[], 3, "is not in the store");
    sandbox.deploy(&["upload", "out", "--store", "ddb.toml"]).exits(3).says("is not in the store");
}

#[test]
fn what_was_uploaded_lands_on_a_remote_also_from_a_fresh_clone() {
    let mut sandbox = archive();
    let gpg = Gpg::new();
    let secret = with_uploader(&sandbox, &gpg);
    sandbox.run("git", &["clone", "-q", "--bare", "archive", "remote.git"]).ok();
    sandbox.environment.insert(KEY.to_owned(), secret);
    upload(&sandbox, &[]).ok();
    sandbox.environment.remove(KEY);
    let url = sandbox.path("remote.git").display().to_string();
    sandbox.run("git", &["clone", "-q", &url, "fresh"]).ok();
    let commit = |more: &[&str]| {
        sandbox
            .deploy(&[&["-C", "fresh", "commit", "out", "--verify", "head", "--local-objects", "--require-push", "--json"], more].concat())
    };
    let landed = commit(&[]).ok().json();
    assert_eq!((&landed["builds"][0]["verdict"], &landed["uploads"]["verify"]), (&"landed".into(), &"head".into()), "{landed}");
    assert_eq!(commit(&[]).ok().json()["builds"][0]["verdict"], "already-landed");
    let pool = sandbox.run("git", &["-C", "remote.git", "ls-tree", "-r", "--name-only", "main", "pool"]).ok().out;
    assert_eq!(pool.lines().count(), 7, "{pool}");
}

/// What holds at every moment: a file is there with its bytes, or its object is.
fn check_nothing_lost(sandbox: &Sandbox, original: &BTreeMap<String, Vec<u8>>) -> usize {
    let left = files(&sandbox.path("out"));
    let mut pointers = 0;
    for (name, bytes) in original {
        match Pointer::decode(&left[name]) {
            Ok(pointer) => {
                assert_eq!(&std::fs::read(object(sandbox, &pointer)).unwrap(), bytes, "{name}");
                assert!(left.keys().any(|name| name.starts_with(manifest::NAME)), "the manifest comes before the first pointer");
                pointers += 1;
            }
            Err(_) => assert_eq!(&left[name], bytes, "{name} is neither the file nor its pointer"),
        }
    }
    pointers
}

#[test]
fn an_upload_that_is_killed_at_any_step_goes_on_where_it_was() {
    let sandbox = Sandbox::with_archive_on_disk();
    configure(&sandbox, "", "[store]\npath = \"../objects\"");
    for number in 0..12 {
        sandbox.deb("out", &format!("package{number:02}"), "1", "amd64", "Source: many\n");
    }
    let original = files(&sandbox.path("out"));
    let mut stopped = Vec::new();
    // After so many system calls that move a file to its name, the program is killed: objects, the manifest, pointers.
    for step in [1, 6, 12, 13, 14, 20, 24] {
        std::fs::remove_dir_all(sandbox.path("out")).unwrap();
        original.iter().for_each(|(name, bytes)| drop(sandbox.write(format!("out/{name}"), bytes)));
        let _ = std::fs::remove_dir_all(sandbox.path("objects"));
        let renamed = || {
            let objects = walk(&sandbox.path("objects"));
            let left = files(&sandbox.path("out"));
            objects + left.iter().filter(|(name, bytes)| name.starts_with(manifest::NAME) || Pointer::decode(bytes).is_ok()).count()
        };
        let mut child = sandbox
            .command(env!("CARGO_BIN_EXE_ddb-deploy"), &["-C", "archive", "upload", "out"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        while renamed() < step && child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        stopped.push(check_nothing_lost(&sandbox, &original));
        let answer = upload(&sandbox, &["--json"]).ok().json();
        assert_eq!(check_nothing_lost(&sandbox, &original), original.len());
        assert_eq!(answer["replaced"].as_u64().unwrap() + answer["pointers"].as_u64().unwrap(), original.len() as u64);
        let left = files(&sandbox.path("out"));
        assert_eq!(left.len(), original.len() + 1, "one manifest and nothing else: {:?}", left.keys());
    }
    assert!(stopped.contains(&0) && stopped.iter().any(|pointers| *pointers > 0), "some were stopped early, some late: {stopped:?}");
    let landed = sandbox.commit("out", &["--json"]).ok().json();
    assert_eq!(landed["added"].as_array().unwrap().len(), 2 * original.len());
}

fn walk(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let entries = entries.flatten().filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    entries.map(|entry| if entry.path().is_dir() { walk(&entry.path()) } else { 1 }).sum()
}
