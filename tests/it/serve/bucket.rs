//! The gateway before a bucket: objects streamed out of it or redirected to it, blocks joined from it, a whole tree in it.

use super::{configure, publish, shows};
use crate::client::Apt;
use crate::gateway::{Gateway, curl, read, until};
use crate::git_server::GitServer;
use crate::sandbox::Sandbox;
use crate::seaweed::{self, Bucket, Seaweed, WRITER};

const PREFIX: &str = "lfs/objects";
const DEB: &str = "/pool/main/f/foo/foo_1.0_amd64.deb";

/// An archive whose objects are in this bucket, with a package published.
fn archive(bucket: &Bucket, more: &str) -> Sandbox {
    let mut sandbox = Sandbox::with_archive();
    seaweed::give(&mut sandbox, WRITER);
    configure(&sandbox, |text| format!("{text}{}{more}", bucket.table("store.s3", PREFIX)));
    publish(&sandbox, "foo", "1.0");
    sandbox
}

fn deb(sandbox: &Sandbox) -> Vec<u8> {
    read(sandbox.path("out-foo-1.0/foo_1.0_amd64.deb"))
}

#[test]
fn objects_in_a_bucket_are_streamed_or_redirected_to() {
    let bucket = Seaweed::shared().bucket("served-private");
    let mut sandbox = archive(&bucket, "");
    let whole = deb(&sandbox);
    let streams = Gateway::of(&sandbox, &[]);
    assert_eq!(streams.body(DEB), whole);
    let part = streams.get(DEB, &["-r", "10-19"]);
    assert_eq!((part.status, &part.body[..]), (206, &whole[10..20]));
    assert_eq!(streams.get(DEB, &["--head"]).header("content-length"), Some(&*whole.len().to_string()));
    assert!(!sandbox.archive().join(".git/lfs/objects").exists() && !sandbox.archive().join(".git/ddb/derived").exists());
    // The blocks are in the bucket too, and are enough.
    std::fs::remove_dir_all(sandbox.public()).unwrap();
    let index = streams.body("/dists/trixie/main/binary-amd64/Packages.xz");
    assert!(!index.is_empty());
    streams.stop();

    let redirects = Gateway::of(&sandbox, &["--redirect"]);
    let reply = redirects.get(DEB, &[]);
    assert_eq!((reply.status, reply.header("cache-control")), (302, Some("no-store")));
    let address = reply.header("location").unwrap();
    assert!(address.starts_with(&bucket.endpoint) && address.contains("X-Amz-Signature="), "{address}");
    assert_eq!(curl(address, &[]).body, whole);
    assert!(curl(address.split('?').next().unwrap(), &[]).status == 403, "the bucket is private");
    // What the client has is not fetched again, and nothing else is redirected.
    let none_match = format!("If-None-Match: \"{}\"", sha256(&sandbox, "out-foo-1.0/foo_1.0_amd64.deb"));
    assert_eq!(redirects.get(DEB, &["-H", &none_match]).status, 304);
    assert_eq!(redirects.body("/dists/trixie/main/binary-amd64/Packages.xz"), index);
    for apt in Apt::both(&sandbox) {
        apt.use_stanza(&String::from_utf8(redirects.body("/trixie.sources")).unwrap());
        apt.updates();
        apt.get(&["download", "foo"]).ok();
        assert_eq!(read(apt.downloaded("foo_1.0_amd64.deb")), whole, "{:?}", apt.kind);
    }
    // Git-LFS is sent there too.
    sandbox.environment.insert("GIT_CONFIG_NOSYSTEM".to_owned(), "1".to_owned());
    sandbox.run("git", &["clone", "-q", "archive", "clone"]).ok();
    sandbox.run("git", &["-C", "clone", "lfs", "install", "--local"]).ok();
    sandbox.run("git", &["-C", "clone", "config", "lfs.url", &format!("{}lfs", redirects.url())]).ok();
    sandbox.run("git", &["-C", "clone", "lfs", "pull"]).ok();
    assert_eq!(read(sandbox.path("clone").join(&DEB[1..])), whole);
    // An address that is signed is a secret of its client.
    assert!(redirects.log().contains(" 302 ") && !redirects.log().contains("X-Amz"), "{}", redirects.log());
    redirects.stop();
}

fn sha256(sandbox: &Sandbox, path: &str) -> String {
    sandbox.run("sha256sum", &[path]).ok().out.split(' ').next().unwrap().to_owned()
}

#[test]
fn a_public_bucket_needs_no_signed_addresses() {
    let bucket = Seaweed::shared().bucket("public-served");
    let url = format!("[store]\nurl = \"{}/public-served/{PREFIX}\"\n", bucket.endpoint);
    let mut sandbox = Sandbox::with_archive();
    seaweed::give(&mut sandbox, WRITER);
    configure(&sandbox, |text| format!("{text}{url}{}", bucket.table("store.s3", PREFIX)));
    publish(&sandbox, "foo", "1.0");
    let gateway = Gateway::of(&sandbox, &["--redirect"]);
    let reply = gateway.get(DEB, &[]);
    assert_eq!((reply.status, reply.header("cache-control")), (302, Some("public, max-age=3600")));
    assert!(!reply.header("location").unwrap().contains('?'));
    assert_eq!(curl(reply.header("location").unwrap(), &[]).body, deb(&sandbox));
    gateway.stop();
}

#[test]
fn an_object_that_another_put_in_its_place_does_not_arrive_whole() {
    let bucket = Seaweed::shared().bucket("served-damaged");
    let sandbox = archive(&bucket, "");
    let oid = sha256(&sandbox, "out-foo-1.0/foo_1.0_amd64.deb");
    let gateway = Gateway::of(&sandbox, &[]);
    assert_eq!(gateway.body(DEB), deb(&sandbox));
    let client = bucket.client(PREFIX, ddb::places::s3::Limits::default());
    let key = format!("{}/{}/{oid}", &oid[..2], &oid[2..4]);
    let mut other = deb(&sandbox);
    other[100] ^= 1;
    client.put(&key, other.clone(), ddb::places::s3::Headers::NONE, ddb::places::s3::Condition::Always).unwrap();
    assert_ne!(gateway.get(DEB, &[]).body.len(), other.len(), "what came before the fault was noticed is cut off");
    client.delete(&key).unwrap();
    assert_eq!(gateway.get(DEB, &[]).status, 500);
    gateway.stop();
}

#[test]
fn an_archive_on_a_git_server_is_followed() {
    let bucket = Seaweed::shared().bucket("served-remote");
    let mut sandbox = archive(&bucket, "");
    let server = GitServer::start(&sandbox);
    server.require_token(Some("geheim"));
    sandbox.environment.insert("DDB_GIT_TOKEN".to_owned(), "geheim".to_owned());
    sandbox.git(&["remote", "add", "origin", &server.url_with("geheim")]).ok();
    sandbox.git(&["push", "-q", "origin", "main", "ddb/releases/trixie"]).ok();
    let arguments = ["-C", &server.url(), "serve", "-v", "--listen", "127.0.0.1:0", "--refresh", "1s"];
    let gateway = Gateway::start(&sandbox, sandbox.command(env!("CARGO_BIN_EXE_ddb-publish"), &arguments));
    assert_eq!(gateway.body(DEB), deb(&sandbox));
    let (commit, date) = publish(&sandbox, "foo", "2.0");
    shows(&gateway, &date);
    assert_eq!(gateway.body("/pool/main/f/foo/foo_2.0_amd64.deb"), read(sandbox.path("out-foo-2.0/foo_2.0_amd64.deb")));
    gateway.body(&format!("/snapshots/{commit}/dists/trixie/main/binary-amd64/Packages.gz"));
    // A server that is away leaves clients with what there is.
    server.answer_with(Some((503, "away")));
    until("the fault is told", || gateway.log().contains("503"));
    assert_eq!(gateway.status("/dists/trixie/InRelease"), 200);
    server.answer_with(None);
    let (_, date) = publish(&sandbox, "foo", "3.0");
    shows(&gateway, &date);
    assert!(!gateway.log().contains("geheim"));
    gateway.stop();
    sandbox.publish(&["-C", &server.url(), "export", "exported"]).ok();
    assert_eq!(read(sandbox.path("exported/pool/main/f/foo/foo_3.0_amd64.deb")), read(sandbox.path("out-foo-3.0/foo_3.0_amd64.deb")));
}

#[test]
fn a_tree_in_a_bucket_is_served_as_a_folder_is() {
    let bucket = Seaweed::shared().bucket("served-tree");
    let mut sandbox = Sandbox::with_archive();
    seaweed::give(&mut sandbox, WRITER);
    configure(&sandbox, |text| text + &bucket.table("target.s3", "public"));
    publish(&sandbox, "foo", "1.0");
    let arguments = ["serve", "-v", "--tree", "s3://served-tree/public/", "--endpoint", &bucket.endpoint, "--listen", "127.0.0.1:0"];
    let gateway = Gateway::start(&sandbox, sandbox.command(env!("CARGO_BIN_EXE_ddb-publish"), &arguments));
    let reply = gateway.get(DEB, &[]);
    assert_eq!((&reply.body, reply.header("content-type")), (&deb(&sandbox), Some("application/vnd.debian.binary-package")));
    let none_match = format!("If-None-Match: {}", reply.header("etag").unwrap());
    assert_eq!(gateway.get(DEB, &["-H", &none_match]).status, 304);
    let part = gateway.get(DEB, &["-r", "-5"]);
    assert_eq!((part.status, &part.body[..]), (206, &reply.body[reply.body.len() - 5..]));
    assert_eq!(gateway.status("/dists/trixie/nosuch"), 404);
    assert_eq!(gateway.get(DEB, &["--head"]).header("content-length"), Some(&*reply.body.len().to_string()));
    let apt = Apt::of_machine(&sandbox);
    let stanza = String::from_utf8(gateway.body("/trixie.sources")).unwrap();
    let own: String = stanza
        .lines()
        .map(|line| if line.starts_with("URIs:") { format!("URIs: {}\n", gateway.url()) } else { format!("{line}\n") })
        .collect();
    apt.use_stanza(&own);
    apt.updates();
    apt.get(&["download", "foo"]).ok();
    gateway.stop();
    sandbox.publish(&["serve", "--tree", "s3://x/y", "--endpoint", "https://a:b@c", "--listen", "127.0.0.1:0"]).exits(2).says("secrets");
}
