//! `ddb-deploy doctor` says what a bucket and a Git remote really do, and leaves nothing behind.

use std::collections::BTreeMap;

use ddb::places::s3::Limits;

use crate::faults::{Fault, Faults};
use crate::git_server::{GitServer, LFS_OBJECTS_ARE_MISSING};
use crate::sandbox::{Run, Sandbox, Value};
use crate::seaweed::{Bucket, READER, Seaweed, WRITER, give};
use crate::specimens::commit_by_hand;

/// An archive with these lines at the end of ddb.toml.
fn archive_with(tables: &str) -> Sandbox {
    let sandbox = Sandbox::with_archive();
    let path = sandbox.archive().join("ddb.toml");
    let toml = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, format!("{toml}{tables}")).unwrap();
    commit_by_hand(&sandbox, "Name the places.");
    sandbox
}

/// An archive whose objects lie in a bucket, with this remote as origin, which has its branch.
fn archive_in(bucket: &Bucket, more: &str) -> (Sandbox, GitServer) {
    let mut sandbox = archive_with(&format!("{}{more}", bucket.table("store.s3", "lfs/objects")));
    give(&mut sandbox, WRITER);
    let server = GitServer::start(&sandbox);
    server.configure(&sandbox, "uploadpack.allowFilter", "true");
    sandbox.git(&["remote", "add", "origin", &server.url()]).ok();
    sandbox.git(&["push", "--quiet", "origin", "main"]).ok();
    (sandbox, server)
}

const INBOX: &str = "\n[inbox]\nprotected = true\n";

fn doctor(sandbox: &Sandbox) -> Run {
    sandbox.deploy(&["-C", "archive", "doctor", "--json"])
}

/// Outcome and text of each check, by place and name.
fn checks(run: &Run) -> BTreeMap<String, (String, String)> {
    let text = |check: &Value, key: &str| check[key].as_str().unwrap().to_owned();
    let answer = run.json();
    let all = answer["checks"].as_array().unwrap();
    let found: BTreeMap<_, _> = all
        .iter()
        .map(|check| {
            let said = format!("{}; {}", text(check, "seen"), text(check, "follows"));
            (format!("{}: {}", text(check, "place"), text(check, "name")), (text(check, "outcome"), said))
        })
        .collect();
    assert_eq!(found.len(), all.len(), "no check comes twice");
    found
}

#[track_caller]
fn expect(checks: &BTreeMap<String, (String, String)>, name: &str, outcome: &str, said: &str) {
    let (found, text) = checks.get(name).unwrap_or_else(|| panic!("{name} is not among {checks:#?}"));
    assert_eq!(found, outcome, "{name}: {text}");
    assert!(text.contains(said), "{name} does not say \"{said}\": {text}");
}

/// The names of the checks that did not come out well.
fn unwell(checks: &BTreeMap<String, (String, String)>) -> Vec<&str> {
    checks.iter().filter(|(_, (outcome, _))| outcome != "ok").map(|(name, _)| name.as_str()).collect()
}

fn nothing_is_left(server: &GitServer, sandbox: &Sandbox, bucket: &Bucket) {
    let branches = server.git(sandbox, &["for-each-ref", "--format=%(refname)"]).ok().out;
    assert_eq!(branches, "refs/heads/main\n");
    assert_eq!(bucket.client("", Limits::default()).list("").unwrap(), []);
}

#[test]
fn a_bucket_and_a_remote_that_honour_everything_are_well() {
    let bucket = Seaweed::shared().bucket("doctor-well");
    let target = bucket.table("target.s3", "public");
    let (sandbox, server) = archive_in(&bucket, &format!("{INBOX}{target}"));
    let run = doctor(&sandbox).ok();
    let found = checks(&run);
    assert_eq!(unwell(&found), Vec::<&str>::new(), "{found:#?}");
    for place in ["store", "target"] {
        expect(&found, &format!("{place}: conditional replace"), "ok", "quoted or not");
        expect(&found, &format!("{place}: SHA-256 verified"), "ok", "refused");
        expect(&found, &format!("{place}: Content-MD5 verified"), "ok", "refused");
        expect(&found, &format!("{place}: signed addresses"), "ok", "a forged signature is refused");
        expect(&found, &format!("{place}: public"), "ok", "status 403");
    }
    expect(&found, "remote: fetch", "ok", "shallow and without blobs");
    expect(&found, "remote: push options", "ok", "ci.skip");
    nothing_is_left(&server, &sandbox, &bucket);
    assert!(!run.out.contains(WRITER.1));
    let text = sandbox.deploy(&["-C", "archive", "doctor"]).ok().out;
    assert!(text.contains("conditional create") && text.ends_with("0 checks failed, 0 warnings\n"), "{text}");
    // The same over a local address.
    sandbox.git(&["remote", "set-url", "origin", &server.file_url()]).ok();
    assert_eq!(unwell(&checks(&doctor(&sandbox).ok())), Vec::<&str>::new());
    nothing_is_left(&server, &sandbox, &bucket);
    // From a runner that has no clone.
    let run = sandbox.deploy(&["-C", &server.url(), "doctor", "--json"]).ok();
    assert_eq!(unwell(&checks(&run)), Vec::<&str>::new());
    nothing_is_left(&server, &sandbox, &bucket);
}

#[test]
fn an_identity_that_may_only_read_and_a_server_that_is_gone_are_told_apart() {
    let bucket = Seaweed::shared().bucket("doctor-reader");
    let (mut sandbox, server) = archive_in(&bucket, INBOX);
    give(&mut sandbox, READER);
    let found = checks(&doctor(&sandbox).exits(4));
    expect(&found, "store: write", "failed", "403");
    expect(&found, "store: write", "failed", "enough for jobs that only read");
    expect(&found, "store: read", "ok", "");
    expect(&found, "store: conditional create", "not-applicable", "");
    expect(&found, "remote: push", "ok", "");
    nothing_is_left(&server, &sandbox, &bucket);
    give(&mut sandbox, (WRITER.0, "not-the-secret"));
    let run = doctor(&sandbox).exits(4);
    expect(&checks(&run), "store: read", "failed", "AWS_SECRET_ACCESS_KEY");
    assert!(!run.out.contains("not-the-secret"));
    sandbox.environment.insert("AWS_MAX_ATTEMPTS".to_owned(), "1".to_owned());
    let toml = std::fs::read_to_string(sandbox.archive().join("ddb.toml")).unwrap();
    std::fs::write(sandbox.archive().join("ddb.toml"), toml.replace(&bucket.endpoint, "http://127.0.0.1:9")).unwrap();
    commit_by_hand(&sandbox, "Name a server that is not there.");
    expect(&checks(&doctor(&sandbox).exits(4)), "store: write", "failed", "check the endpoint");
}

#[test]
fn a_forge_that_misses_objects_is_told_with_the_remedy() {
    let bucket = Seaweed::shared().bucket("doctor-gitlab");
    let (sandbox, server) = archive_in(&bucket, INBOX);
    server.decline_pointers_without_objects();
    let run = doctor(&sandbox).exits(4);
    let found = checks(&run);
    assert_eq!(unwell(&found), ["remote: pointers"]);
    expect(&found, "remote: pointers", "failed", LFS_OBJECTS_ARE_MISSING);
    expect(&found, "remote: pointers", "failed", "lfs_enabled=false");
    nothing_is_left(&server, &sandbox, &bucket);
}

#[test]
fn what_a_remote_does_not_take_is_a_warning_that_says_what_follows() {
    let bucket = Seaweed::shared().bucket("doctor-plain");
    let (sandbox, server) = archive_in(&bucket, "");
    for key in ["receive.advertisePushOptions", "receive.advertiseAtomic", "uploadpack.allowFilter"] {
        server.configure(&sandbox, key, "false");
    }
    let found = checks(&doctor(&sandbox).ok());
    assert_eq!(unwell(&found), ["remote: atomic", "remote: fetch", "remote: inbox", "remote: push options"]);
    expect(&found, "remote: push options", "warning", "start pipelines");
    expect(&found, "remote: fetch", "warning", "does not leave out blobs");
    expect(&found, "remote: inbox", "warning", "inbox.protected");
    nothing_is_left(&server, &sandbox, &bucket);
    // GitLab lets nobody remove a protected branch by a push.
    let words = "GitLab: You can only delete protected branches using the web interface.";
    server.pre_receive(&format!(
        "while read -r old new ref; do case $new:$ref in 0000*:refs/heads/ddb/inbox/*) echo '{words}' >&2; exit 1;; esac; done"
    ));
    expect(&checks(&doctor(&sandbox).ok()), "remote: inbox", "warning", words);
    let left = server.git(&sandbox, &["for-each-ref", "--format=%(refname)", "refs/heads/ddb"]).ok().out;
    assert!(left.starts_with("refs/heads/ddb/inbox/doctor-") && left.lines().count() == 1, "{left}");
    server.decline("refs/heads/ddb/inbox/*", "GitLab: You are not allowed to create protected branches on this project.");
    expect(&checks(&doctor(&sandbox).ok()), "remote: inbox", "warning", "cannot park");
    server.decline("*", "read only, sorry");
    let found = checks(&doctor(&sandbox).exits(4));
    expect(&found, "remote: push", "failed", "read only, sorry");
    expect(&found, "remote: pointers", "not-applicable", "");
}

#[test]
fn tokens_are_tried_and_never_said() {
    let bucket = Seaweed::shared().bucket("doctor-token");
    let (mut sandbox, server) = archive_in(&bucket, INBOX);
    server.require_token(Some("the-right-token"));
    expect(&checks(&doctor(&sandbox).exits(4)), "remote: read", "failed", "set DDB_GIT_TOKEN");
    sandbox.environment.insert("DDB_GIT_TOKEN".to_owned(), "the-stale-token".to_owned());
    let run = doctor(&sandbox).exits(4);
    expect(&checks(&run), "remote: read", "failed", "refuses access");
    assert!(!run.out.contains("the-stale-token") && !run.err.contains("the-stale-token"));
    sandbox.environment.insert("DDB_GIT_TOKEN".to_owned(), "the-right-token".to_owned());
    assert_eq!(unwell(&checks(&doctor(&sandbox).ok())), Vec::<&str>::new());
    server.may_only_read(true);
    let run = doctor(&sandbox).exits(4);
    expect(&checks(&run), "remote: push", "failed", "403");
    assert!(!run.out.contains("the-right-token"));
    sandbox.git(&["remote", "set-url", "origin", &server.url_with("pasted-token")]).ok();
    let run = doctor(&sandbox).exits(4);
    assert!(!run.out.contains("pasted-token") && !run.err.contains("pasted-token"), "{}{}", run.out, run.err);
    nothing_is_left(&server, &sandbox, &bucket);
}

#[test]
fn pointers_that_nobody_else_can_resolve_are_said() {
    let sandbox = Sandbox::with_archive();
    let found = checks(&doctor(&sandbox).ok());
    expect(&found, "remote: remote", "not-applicable", "no Git remote");
    let server = GitServer::start(&sandbox);
    sandbox.git(&["remote", "add", "origin", &server.url()]).ok();
    let found = checks(&doctor(&sandbox).exits(4));
    expect(&found, "store: kind", "failed", "[store.s3]");
    expect(&found, "remote: read", "warning", "has no refs/heads/main");
    let shared = archive_with("\n[store]\npath = \"../objects\"\n");
    let server = GitServer::start(&shared);
    shared.git(&["remote", "add", "origin", &server.url()]).ok();
    expect(&checks(&doctor(&shared).ok()), "store: kind", "warning", "share this folder");
}

#[test]
fn a_server_that_answers_200_to_conditions_it_ignores_honours_none() {
    let bucket = Seaweed::shared().bucket("doctor-ignores");
    let (sandbox, server) = archive_in(&bucket, INBOX);
    let faults = Faults::before(&bucket.endpoint);
    let toml = std::fs::read_to_string(sandbox.archive().join("ddb.toml")).unwrap();
    std::fs::write(sandbox.archive().join("ddb.toml"), toml.replace(&bucket.endpoint, &faults.endpoint())).unwrap();
    commit_by_hand(&sandbox, "Go through the proxy.");
    assert_eq!(unwell(&checks(&doctor(&sandbox).ok())), Vec::<&str>::new(), "the proxy alone changes nothing");
    faults.always("PUT", "", Fault::IgnoreConditions);
    let found = checks(&doctor(&sandbox).ok());
    assert_eq!(unwell(&found), ["store: conditional create", "store: conditional replace"]);
    expect(&found, "store: conditional create", "warning", "none: the server answers 200");
    expect(&found, "store: conditional replace", "warning", "none: the server answers 200");
    expect(&found, "store: conditional replace", "warning", "the only guard");
    // What may not be removed is named.
    faults.heal().always("DELETE", "", Fault::Status(403, "AccessDenied"));
    let found = checks(&doctor(&sandbox).ok());
    assert_eq!(unwell(&found), ["store: remove"]);
    expect(&found, "store: remove", "warning", "is left behind");
    faults.heal();
    assert_eq!(server.git(&sandbox, &["for-each-ref", "--format=%(refname)"]).ok().out, "refs/heads/main\n");
}
