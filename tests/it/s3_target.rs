//! A published tree in a bucket of a real S3 server: what is written there, in which order, with which headers and by how many
//! requests, and that real apt uses it.

use std::collections::BTreeMap;

use ddb::formats::pool::pointer::Pointer;
use ddb::places::s3::{Client, Condition, Headers, Limits};
use ddb::places::store::fs::FolderStore;
use ddb::places::store::{ObjectStore as _, Source};
use ddb::places::target::s3::S3Target;
use ddb::places::target::{Content, PublishTarget as _, TargetError};
use ddb::words::digest::{ObjectId, Sha256};

use crate::sandbox::{Sandbox, Value};
use crate::seaweed::{self, Bucket, Seaweed, WRITER};

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
    let answer = sandbox.dists(&[&["--json"], more].concat()).ok().json();
    let requests = &suite(&answer)["requests"];
    assert_eq!(requests["listings"], 0, "nothing is ever listed");
    let count = |kind: &str| requests[kind].as_u64().unwrap();
    (suite(&answer)["outcome"].as_str().unwrap().to_owned(), ["reads", "writes", "copies", "removals"].map(count))
}

#[test]
fn a_bucket_keeps_the_contract_of_a_published_tree() {
    let bucket = Seaweed::shared().bucket("target-contract");
    let target = S3Target::with(bucket.client("some/tree", Limits::default()));
    let sandbox = Sandbox::new();
    let store = FolderStore::new(&sandbox.path("objects"));
    let object = pointer(b"object");
    store.put(&object, Source::Bytes(b"object")).unwrap();
    let bytes = |text: &[u8]| Content::Bytes(text.to_vec());

    let _held = target.exclusive().unwrap();
    assert_eq!((target.read("dists/x/Release").unwrap(), target.size("dists/x/Release").unwrap()), (None, None));
    target.remove("dists/x/Release").unwrap();
    target.write("dists/x/Release", &bytes(b"one"), &store).unwrap();
    target.write("dists/x/Release", &bytes(b"three"), &store).unwrap();
    assert_eq!(target.read("dists/x/Release").unwrap().as_deref(), Some(&b"three"[..]));
    assert_eq!(target.size("dists/x/Release").unwrap(), Some(5));
    let three = pointer(b"three");
    target.write("dists/x/copy", &Content::SameAs("dists/x/Release".into(), three), &store).unwrap();
    target.write("dists/x/Release", &bytes(b"four"), &store).unwrap();
    assert_eq!(target.read("dists/x/copy").unwrap().as_deref(), Some(&b"three"[..]), "a copy does not follow its origin");
    assert!(target.holds("dists/x/copy", &three).unwrap());
    for _ in 0..2 {
        target.write("pool/main/f/fo/fo_1_all.deb", &Content::Object(object), &store).unwrap();
        assert_eq!(target.read("pool/main/f/fo/fo_1_all.deb").unwrap().as_deref(), Some(&b"object"[..]));
    }
    assert!(target.holds("pool/main/f/fo/fo_1_all.deb", &object).unwrap());
    assert!(!target.holds("pool/main/f/fo/fo_1_all.deb", &pointer(b"tcejbo")).unwrap());
    assert!(!target.holds("pool/main/f/fo/fo_2_all.deb", &object).unwrap());
    assert_eq!(target.hash("pool/main/f/fo/fo_1_all.deb").unwrap(), Some(object));
    let missing = target.write("pool/x", &Content::Object(pointer(b"nowhere")), &store).unwrap_err();
    assert!(matches!(missing, TargetError::Object { .. }), "{missing}");
    assert_eq!(target.size("pool/x").unwrap(), None);
    target.settle().unwrap();
    target.remove("dists/x/copy").unwrap();
    assert_eq!(target.size("dists/x/copy").unwrap(), None);

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
    let write = |target: &S3Target, text: &[u8]| target.write(path, &Content::Bytes(text.to_vec()), &store);
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

#[test]
fn a_publish_costs_one_request_where_nothing_changed_and_else_what_changed() {
    let (sandbox, bucket) = with_bucket("target-counted");
    for number in 0..20 {
        sandbox.deb("many", &format!("package{number}"), "1.0", "amd64", "");
    }
    sandbox.commit("many", &[]).ok();
    let (outcome, first) = publish(&sandbox, &[]);
    assert_eq!(outcome, "published");
    // 20 packages, each looked at before it is sent and after; 11 indices under their hash (5 lists in two forms, one folder's
    // Release) and their copies under their names; keyring, stanza, Release.gpg, Release, InRelease. One read of InRelease.
    let keys = tree(&bucket.client("public", Limits::default())).len() as u64;
    assert_eq!(first[1] + first[2], keys, "every file is written once");
    assert_eq!(first[0], 1 + 2 * 20, "and packages are looked at before and after they are sent");

    assert_eq!(publish(&sandbox, &[]), ("unchanged".to_owned(), [1, 0, 0, 0]));
    add(&sandbox, "more", "1.0");
    let (outcome, change) = publish(&sandbox, &[]);
    assert_eq!(outcome, "published");
    // The package; Packages and Translation-en in two forms, each once by hash and copied to its name; three of Release.
    assert_eq!(change, [1 + 2, 1 + 4 + 3, 4, 0]);
    assert_eq!(publish(&sandbox, &[]), ("unchanged".to_owned(), [1, 0, 0, 0]));
    // Nothing but the dates.
    assert_eq!(publish(&sandbox, &["--renew"]), ("published".to_owned(), [1, 3, 0, 0]));
    let keys = tree(&bucket.client("public", Limits::default())).len() as u64;
    assert_eq!(publish(&sandbox, &["--repair"]).1, [1 + keys - 4, 0, 0, 0], "every file of the newest Release is looked at");
}
