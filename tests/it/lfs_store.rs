//! Objects behind a forge's own Git-LFS batch API: a real server, its refusals, and what is said about them.
//!
//! Servers that do not keep the API are in `src/places/store/lfs/tests.rs`.

use std::fs;

use super::lfs_server::{Access, LfsServer};
use super::sandbox::{Sandbox, cache};
use super::specimens::{commit_by_hand, configure};

fn archive_on(server: &LfsServer, sandbox: Sandbox) -> Sandbox {
    sandbox.deploy(&["init", "archive", "--architecture", "amd64"]).ok();
    sandbox.publish(&["-C", "archive", "key", "generate"]).ok();
    configure(&sandbox, &server.table(), "");
    sandbox
}

/// The objects of HEAD with their paths, as stock git-lfs sees them.
fn objects(sandbox: &Sandbox) -> Vec<(String, String)> {
    let listed = sandbox.git(&["lfs", "ls-files", "--long"]).ok().out;
    listed.lines().map(|line| (line[..64].to_owned(), line.rsplit(' ').next().unwrap().to_owned())).collect()
}

#[test]
fn a_forges_git_lfs_takes_and_gives_every_object() {
    let sandbox = Sandbox::new();
    let server = LfsServer::start(&sandbox, &Access::Anybody);
    let sandbox = archive_on(&server, sandbox);
    let deployed = sandbox.commit(cache("out/small"), &["--json"]).ok().json();
    let files = fs::read_dir(cache("out/small")).unwrap().count();
    assert_eq!(deployed["new_objects"], files);
    assert_eq!(server.count(), files);
    assert!(!sandbox.archive().join(".git/lfs/objects").exists(), "nothing is kept here");
    for (oid, path) in objects(&sandbox) {
        let original = cache("out/small").join(path.rsplit('/').next().unwrap());
        assert_eq!(fs::read(server.object(&oid)).unwrap(), fs::read(original).unwrap(), "{path}");
    }
    sandbox.commit(cache("out/small"), &["--detailed-exit-code"]).exits(10);
    sandbox.dists(&[]).ok();
    let deb = "pool/main/h/hostname/hostname_3.23+nmu1_amd64.deb";
    assert_eq!(fs::read(sandbox.public().join(deb)).unwrap(), fs::read(cache("out/small/hostname_3.23+nmu1_amd64.deb")).unwrap());
    let fsck = sandbox.deploy(&["-C", "archive", "fsck", "--full", "--json"]).ok().json();
    assert_eq!(fsck["objects"], files);
    assert!(fsck["unreferenced_objects"].is_null(), "such a store cannot be listed");
    assert!(sandbox.deploy(&["-C", "archive", "fsck"]).ok().out.contains("cannot be listed"));
}

#[test]
fn an_object_that_the_forge_lost_or_spoiled_is_found_and_comes_back_with_the_build_output() {
    let sandbox = Sandbox::new();
    let server = LfsServer::start(&sandbox, &Access::Anybody);
    let sandbox = archive_on(&server, sandbox);
    sandbox.commit(cache("out/small"), &[]).ok();
    let (oid, path) = objects(&sandbox).into_iter().find(|(_, path)| path.ends_with(".deb")).unwrap();
    let good = fs::read(server.object(&oid)).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    fs::write(server.object(&oid), &flipped).unwrap();
    sandbox.deploy(&["-C", "archive", "fsck"]).ok();
    let run = sandbox.deploy(&["-C", "archive", "fsck", "--full"]).exits(8);
    assert!(run.out.contains(&oid) && run.out.contains(&path), "{}", run.out);
    fs::write(server.object(&oid), &good[1..]).unwrap();
    assert!(sandbox.deploy(&["-C", "archive", "fsck"]).exits(8).out.contains(&oid));
    fs::remove_file(server.object(&oid)).unwrap();
    let run = sandbox.deploy(&["-C", "archive", "fsck"]).exits(8);
    assert!(run.out.contains(&format!("the object of {path} is missing")), "{}", run.out);
    let published = sandbox.dists(&[]);
    assert!(published.code != 0 && published.err.contains(&oid), "{}", published.err);
    sandbox.commit(cache("out/small"), &[]).ok();
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn a_token_is_needed_and_is_never_said() {
    let sandbox = Sandbox::new();
    let server = LfsServer::start(&sandbox, &Access::Token);
    let mut sandbox = archive_on(&server, sandbox);
    let head = |sandbox: &Sandbox| sandbox.git(&["rev-parse", "HEAD"]).ok().out;
    let before = head(&sandbox);
    let refused = sandbox.commit(cache("out/small"), &[]).exits(1).says("DDB_LFS_TOKEN").says("401");
    assert!(refused.err.contains(&server.url()), "{}", refused.err);
    for (token, said) in [(LfsServer::token(&sandbox, -60), "expired"), ("nonsense".to_owned(), "wrong")] {
        sandbox.environment.insert("DDB_LFS_TOKEN".to_owned(), token.clone());
        let run = sandbox.commit(cache("out/small"), &["-v", "-v"]).exits(1).says(said);
        let secret = token.rsplit(':').next().unwrap();
        assert!(!run.err.contains(secret) && !run.out.contains(secret), "{}", run.err);
    }
    assert_eq!(head(&sandbox), before, "nothing is half-done");
    assert_eq!(server.count(), 0);
    let good = LfsServer::token(&sandbox, 600);
    sandbox.environment.insert("DDB_LFS_TOKEN".to_owned(), good.clone());
    let run = sandbox.commit(cache("out/small"), &["-v", "-v"]).ok();
    assert!(!format!("{}{}", run.out, run.err).contains(good.rsplit(':').next().unwrap()));
    // What reads needs it too; a credential helper of Git does as well as the variable.
    sandbox.environment.remove("DDB_LFS_TOKEN");
    sandbox.deploy(&["-C", "archive", "fsck"]).exits(1).says("DDB_LFS_TOKEN");
    let (user, password) = good.split_once(':').unwrap();
    let helper = format!("!f() {{ test \"$1\" = get && echo username={user} && echo password={password}; }}; f");
    sandbox.git(&["config", "credential.helper", &helper]).ok();
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn the_git_token_goes_to_the_forges_own_git_lfs_and_not_to_another_host() {
    let sandbox = Sandbox::new();
    let server = LfsServer::start(&sandbox, &Access::Token);
    let mut sandbox = archive_on(&server, sandbox);
    sandbox.environment.insert("DDB_GIT_TOKEN".to_owned(), LfsServer::token(&sandbox, 600));
    sandbox.deploy(&["-C", "archive", "fsck"]).ok();
    // `--dry-run` needs no store; the remote of the branch is elsewhere, and is not asked.
    sandbox.git(&["remote", "add", "forge", "https://git.example.org/group/archive.git"]).ok();
    sandbox.deb("out", "hello", "1", "amd64", "");
    let fails = sandbox.deploy(&["-C", "archive", "adopt"]);
    assert_eq!(fails.code, 0, "nothing is unnamed: {}", fails.err);
    sandbox.write("stray", "x");
    // The pool has an object now, so that the server is asked.
    let pointer = sandbox.run("git", &["lfs", "pointer", "--file=stray"]).ok().out;
    sandbox.write("archive/pool/main/s/stray/stray_1_amd64.deb", pointer);
    commit_by_hand(&sandbox, "Add a pointer.");
    sandbox.deploy(&["-C", "archive", "fsck"]).exits(1).says("DDB_LFS_TOKEN");
    sandbox.git(&["remote", "set-url", "forge", &format!("{}/x.git", server.url())]).ok();
    sandbox.deploy(&["-C", "archive", "fsck"]).exits(8);
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused_and_ssl_cert_file_names_who_does() {
    let mut sandbox = Sandbox::new();
    let subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"];
    let new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", "key.pem", "-out", "certificate.pem"];
    sandbox.run("openssl", &[&new[..], &subject[..]].concat()).ok();
    let server = LfsServer::start(&sandbox, &Access::AnybodyByTls);
    sandbox = archive_on(&server, sandbox);
    assert!(server.url().starts_with("https://"));
    sandbox.commit(cache("out/small"), &[]).exits(1).says("SSL_CERT_FILE");
    sandbox.environment.insert("SSL_CERT_FILE".to_owned(), sandbox.path("certificate.pem").to_str().unwrap().to_owned());
    sandbox.commit(cache("out/small"), &[]).ok();
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn a_server_that_is_gone_stops_a_deploy_and_the_next_one_finishes_it() {
    let sandbox = Sandbox::new();
    let server = LfsServer::start(&sandbox, &Access::Anybody);
    let sandbox = archive_on(&server, sandbox);
    let url = server.url();
    drop(server);
    sandbox.commit(cache("out/small"), &[]).exits(1).says("does not answer").says(&url);
    assert_eq!(sandbox.git(&["ls-tree", "-r", "--name-only", "HEAD", "pool/"]).ok().out, "");
    let again = LfsServer::start(&sandbox, &Access::Anybody);
    let toml = fs::read_to_string(sandbox.archive().join("ddb.toml")).unwrap();
    fs::write(sandbox.archive().join("ddb.toml"), toml.replace(&url, &again.url())).unwrap();
    commit_by_hand(&sandbox, "The forge has moved.");
    sandbox.commit(cache("out/small"), &[]).ok();
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn build_jobs_upload_to_the_forge_and_what_the_api_cannot_do_is_said() {
    let sandbox = Sandbox::new();
    let server = LfsServer::start(&sandbox, &Access::Anybody);
    let sandbox = archive_on(&server, sandbox);
    let out = cache("out/small");
    sandbox.deploy(&["-C", "archive", "upload", out.to_str().unwrap(), "--to", "uploaded"]).ok();
    let files = fs::read_dir(out).unwrap().count();
    assert_eq!(server.count(), files);
    let deb = fs::read_to_string(sandbox.path("uploaded/hostname_3.23+nmu1_amd64.deb")).unwrap();
    assert!(deb.starts_with("version https://git-lfs"), "{deb}");
    let deployed = sandbox.commit("uploaded", &["--json"]).ok().json();
    assert_eq!((deployed["new_objects"].as_u64(), deployed["builds"][0]["verdict"].as_str()), (Some(0), Some("landed")), "{deployed}");
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
    // An upload whose object the forge has lost since is no package.
    let (oid, _) = objects(&sandbox).into_iter().find(|(_, path)| path.ends_with("_amd64.deb")).unwrap();
    sandbox.deb("more", "more", "1", "amd64", "");
    sandbox.deploy(&["-C", "archive", "upload", "more", "--to", "lost"]).ok();
    let pointer = fs::read_to_string(sandbox.path("lost/more_1_amd64.deb")).unwrap();
    let lost = pointer.split("sha256:").nth(1).unwrap()[..64].to_owned();
    fs::remove_file(server.object(&lost)).unwrap();
    let refused = sandbox.commit("lost", &[]);
    assert!(refused.code != 0 && refused.err.contains(&lost), "{}", refused.err);
    sandbox.deploy(&["-C", "archive", "gc"]).exits(4).says("forge's own Git-LFS");
    assert!(server.object(&oid).exists());
}

#[test]
fn commits_are_pushed_where_the_forge_has_the_objects() {
    let sandbox = Sandbox::new();
    let server = LfsServer::start(&sandbox, &Access::Anybody);
    let sandbox = archive_on(&server, sandbox);
    sandbox.run("git", &["init", "-q", "--bare", "-b", "main", "remote"]).ok();
    sandbox.git(&["remote", "add", "origin", sandbox.path("remote").to_str().unwrap()]).ok();
    sandbox.git(&["push", "-q", "--no-verify", "origin", "main"]).ok();
    let deployed = sandbox.commit(cache("out/small"), &["--require-push", "--json"]).ok().json();
    let tip = sandbox.run("git", &["-C", "remote", "rev-parse", "main"]).ok().out;
    assert_eq!(deployed["commit"].as_str(), Some(tip.trim()));
    // A fresh runner has neither a clone nor an object.
    let mut fresh = Sandbox::new();
    fresh.environment.insert("GIT_CONFIG_NOSYSTEM".to_owned(), "1".to_owned());
    fresh.deb("more", "more", "1", "amd64", "");
    let remote = format!("file://{}", sandbox.path("remote").display());
    fresh.deploy(&["-C", &remote, "commit", "more"]).ok();
    assert_eq!(server.count(), fs::read_dir(cache("out/small")).unwrap().count() + 1);
}
