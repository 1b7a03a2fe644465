//! What a build job may do that can write to the object store, and whoever can write to a bucket: caches full of lies, objects and
//! packages in the place of others.

use std::path::{Path, PathBuf};

use ddb::places::s3::{Condition, Headers, Limits};

use super::onlookers::{NO_LOG, Onlookers};
use super::{plain_archive, replace, verdict};
use crate::client::Apt;
use crate::gateway::Gateway;
use crate::sandbox::Sandbox;
use crate::seaweed::{self, Seaweed, WRITER};
use crate::server::Server;
use crate::specimens::configure;

const NOW: &str = "2026-11-01T00:00:00Z";
const DEB: &str = "pool/main/p/plain/plain_1.0-1_amd64.deb";

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// An index of somebody who wants this to be installed, in every form in which a cache could hold it.
fn lies(sandbox: &Sandbox) -> Vec<Vec<u8>> {
    let text = "Package: plain\nVersion: 6.6-6\nArchitecture: amd64\nMaintainer: x\nFilename: pool/main/p/plain/evil.deb\nSize: 1\n\
                SHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\nDescription: x\n\n";
    sandbox.write("lie", text);
    for program in ["xz", "gzip"] {
        sandbox.run(program, &["-k", "-f", "lie"]).ok();
    }
    ["lie", "lie.xz", "lie.gz"].iter().map(|file| std::fs::read(sandbox.path(file)).unwrap()).collect()
}

#[test]
fn a_build_job_that_fills_every_cache_with_lies_changes_no_index() {
    let mut sandbox = plain_archive(NOW);
    configure(&sandbox, "", "contents = true\ncontents-every = \"1s\"\n");
    super::set_time(&mut sandbox, "2026-11-01T01:00:00Z");
    sandbox.dists(&[]).ok();
    let lies = lies(&sandbox);
    let places = [sandbox.path("archive/.git/ddb/derived"), sandbox.path("home/.cache/ddb/blocks")];
    for (round, time) in ["2026-11-01T02:00:00Z", "2026-11-01T03:00:00Z", "2026-11-01T04:00:00Z"].into_iter().enumerate() {
        let mut planted = 0;
        for file in places.iter().flat_map(|place| files(place)) {
            replace(&file, &lies[round]);
            planted += 1;
        }
        assert!(planted > 5, "{planted} files of caches were found");
        super::set_time(&mut sandbox, time);
        let name = format!("more{round}");
        sandbox.deb(&name, &name, "1.0-1", "amd64", "");
        sandbox.commit(&name, &[]).ok();
        sandbox.dists(&[]).ok();
    }
    let server = Server::of(&sandbox.public());
    let onlookers = Onlookers::of(&sandbox, NO_LOG);
    super::verify(&sandbox, &server.url(), &["--pool"]).ok();
    onlookers.update(&server).ok();
    assert_eq!((onlookers.apt.versions("plain"), onlookers.apt.versions("more2")), (vec!["1.0-1".to_owned()], vec!["1.0-1".to_owned()]));
    // Nothing of the lies is in there.
    let packages = |folder: &str| std::fs::read(sandbox.path(format!("{folder}/dists/trixie/main/binary-amd64/Packages.xz"))).unwrap();
    let contents = |folder: &str| std::fs::read(sandbox.path(format!("{folder}/dists/trixie/main/Contents-amd64.gz"))).unwrap();
    for program in ["xz", "gzip"] {
        let (file, bytes) =
            if program == "xz" { ("index.xz", packages("archive/public")) } else { ("index.gz", contents("archive/public")) };
        sandbox.write(file, bytes);
        let text = sandbox.run(program, &["-dc", file]).ok().out;
        assert!(text.contains("plain") && text.contains("more2") && !text.contains("6.6-6") && !text.contains("evil"), "{text}");
    }
}

#[test]
fn an_object_or_a_package_that_somebody_replaced_in_the_bucket_is_installed_by_nobody() {
    let bucket = Seaweed::shared().bucket("public-attacked");
    let mut sandbox = Sandbox::with_archive();
    seaweed::give(&mut sandbox, WRITER);
    configure(&sandbox, "", &(bucket.table("store.s3", "deb/lfs/objects") + &bucket.table("target.s3", "deb")));
    sandbox.deb("out", "plain", "1.0-1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    let client = bucket.client("deb", Limits::default());
    let read = |key: &str| {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut client.get(key).unwrap().unwrap(), &mut bytes).unwrap();
        bytes
    };
    let put = |key: &str, bytes: Vec<u8>| client.put(key, bytes, Headers::NONE, Condition::Always).unwrap();
    sandbox.write("pinned.asc", read("archive-keyring.asc"));
    let url = format!("{}/public-attacked/deb/", bucket.endpoint);
    let stanza = String::from_utf8(read("trixie.sources")).unwrap();
    let good = std::fs::read(sandbox.path("out/plain_1.0-1_amd64.deb")).unwrap();
    let mut evil = good.clone();
    *evil.last_mut().unwrap() ^= 1;
    let oid = sandbox.run("sha256sum", &["out/plain_1.0-1_amd64.deb"]).ok().out[..64].to_owned();
    let object = format!("lfs/objects/{}/{}/{oid}", &oid[..2], &oid[2..4]);
    let verify = |more: &[&str]| super::verify(&sandbox, &url, &[&["--json"], more].concat());

    // Whoever may write to the published tree replaces the package.
    put(DEB, evil.clone());
    let [machine, trixie] = Apt::both(&sandbox);
    for apt in [&machine, &trixie] {
        apt.use_stanza(&stanza);
        apt.updates();
        apt.get(&["download", "plain"]).exits(100).says("Hash Sum mismatch");
        assert!(!apt.downloaded("plain_1.0-1_amd64.deb").exists());
    }
    verify(&[]).ok();
    assert_eq!(verdict(&verify(&["--pool"]).exits(25)), ("pool".to_owned(), vec![DEB.to_owned()]));
    sandbox.deploy(&["-C", "archive", "fsck"]).ok();
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).exits(8);
    put(DEB, good.clone());
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();

    // Whoever may write to the store replaces the object before it is published: of the same size, so that nothing reads it.
    put(&object, evil.clone());
    client.delete(DEB).unwrap();
    sandbox.dists(&["--repair"]).ok();
    assert_eq!(read(DEB), evil, "it is copied by the server, unread");
    for apt in [&machine, &trixie] {
        apt.get(&["download", "plain"]).exits(100).says("Hash Sum mismatch");
    }
    verify(&["--pool"]).exits(25);
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).exits(8);
    // The gateway hashes what it sends, and does not send the end of what is wrong.
    let gateway = Gateway::of(&sandbox, &[]);
    assert_ne!(gateway.get(&format!("/{DEB}"), &[]).body.len(), evil.len());
    let lines = stanza.lines().map(|line| if line.starts_with("URIs: ") { format!("URIs: {}", gateway.url()) } else { line.to_owned() });
    machine.use_stanza(&lines.map(|line| line + "\n").collect::<String>());
    machine.forget();
    machine.updates();
    machine.get(&["download", "plain"]).exits(100);
    gateway.stop();

    // Deployed again, it is what it was.
    client.delete(&object).unwrap();
    sandbox.commit("out", &[]).ok();
    assert_eq!(read(&object), good);
    client.delete(DEB).unwrap();
    sandbox.dists(&["--repair"]).ok();
    verify(&["--pool"]).ok();
    machine.use_stanza(&stanza);
    machine.forget();
    machine.updates();
    machine.get(&["download", "plain"]).ok();
}

#[test]
fn an_index_that_somebody_replaced_in_the_published_tree_is_refused_and_put_back() {
    let sandbox = plain_archive(NOW);
    let server = Server::of(&sandbox.public());
    let onlookers = Onlookers::of(&sandbox, NO_LOG);
    let lies = lies(&sandbox);
    let named = sandbox.public().join("dists/trixie/main/binary-amd64");
    for file in files(&named) {
        let name = file.display().to_string();
        replace(&file, if name.ends_with(".gz") { &lies[2] } else { &lies[1] });
    }
    onlookers.apt.forget();
    assert_eq!(onlookers.update(&server).code, 100);
    super::verify(&sandbox, &server.url(), &["--json"]).exits(24);
    sandbox.deploy(&["-C", "archive", "fsck"]).exits(8);
    sandbox.dists(&["--repair"]).ok();
    super::verify(&sandbox, &server.url(), &["--pool"]).ok();
    onlookers.update(&server).ok();
    assert_eq!(onlookers.apt.versions("plain"), ["1.0-1"]);
}
