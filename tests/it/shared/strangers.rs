//! What others leave in the inbox, on main and in caches: forged names, broken commits, locks, an older ddb.toml.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::Shared;
use super::inbox::park;
use crate::faults::{Fault, Faults};
use crate::sandbox::Sandbox;
use crate::seaweed::{Seaweed, WRITER, give};
use crate::specimens::{Gpg, commit_by_hand, configure, patch};

/// Runs a script in the bare repository.
fn in_remote(shared: &Shared, script: &str) -> String {
    let script = format!(
        "set -e; cd {}; export GIT_AUTHOR_NAME=Other GIT_AUTHOR_EMAIL=other@example.org; {script}",
        shared.server.folder().display()
    );
    shared.sandbox.run("bash", &["-c", &script]).ok().out.trim().to_owned()
}

#[test]
fn a_parked_commit_without_an_authors_name_holds_up_nobody() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    for name in ["nameless", "zebra"] {
        sandbox.deb(name, name, "1", "amd64", "");
    }
    park(&shared, "a", "nameless");
    let branch = shared.branches().into_iter().find(|branch| branch.contains("inbox/")).unwrap();
    in_remote(
        &shared,
        &format!(
            "commit=$(printf 'tree %s\\nauthor  <> 1700000000 +0000\\ncommitter  <> 1700000000 +0000\\n\\nx\\n' \
             $(git rev-parse {branch}^{{tree}}) | git hash-object -t commit -w --stdin --literally); \
             git update-ref refs/heads/{branch} $commit"
        ),
    );
    park(&shared, "b", "zebra");
    sandbox.deploy(&["-C", "archive", "inbox", "list"]).ok();
    sandbox.deploy(&["-C", "archive", "inbox", "land"]).ok();
    assert_eq!(shared.offered(), ["nameless_1", "zebra_1"]);
}

#[test]
fn a_statement_for_a_broken_folder_of_the_pool_holds_up_nobody() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    for name in ["broken", "zebra"] {
        sandbox.deb(name, name, "1", "amd64", "");
        park(&shared, name, name);
    }
    sandbox.write("archive/pool/main/b/broken/broken_0.1_amd64.deb", "not a pointer\n");
    commit_by_hand(sandbox, "Break it.");
    sandbox.git(&["push", "-q"]).ok();
    let landed = sandbox.deploy(&["-C", "archive", "inbox", "land", "--json"]).ok().json();
    assert_eq!(shared.offered(), ["zebra_1"]);
    assert!(landed.to_string().contains("pool/main/b/broken/broken_0.1_amd64.deb"), "{landed}");
}

#[test]
fn a_branch_of_the_inbox_that_holds_another_statement_is_not_taken_for_ones_own() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    for name in ["mine", "other"] {
        sandbox.deb(name, name, "1", "amd64", "");
        park(&shared, name, name);
    }
    // The name of one, the statement of the other.
    let inbox = sandbox.deploy(&["-C", "archive", "inbox", "list", "--json"]).ok().json();
    let name = |wanted: &str| {
        let found = inbox["waiting"].as_array().unwrap().iter().find(|one| one["builds"][0] == wanted).unwrap();
        format!("refs/heads/{}", found["name"].as_str().unwrap())
    };
    let (mine, other) = (name("mine 1"), name("other 1"));
    in_remote(&shared, &format!("git update-ref {mine} {other}; git update-ref -d {other}"));
    let answer = shared.deploy("mine", "mine", &["--park", "--json"]).ok().json();
    assert_eq!(answer["builds"][0]["source"], "mine");
    assert!(shared.offered().contains(&"mine_1".to_owned()), "{:?}", shared.offered());
}

#[test]
fn refs_elsewhere_that_end_like_the_inbox_count_for_nothing() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    in_remote(&shared, "git update-ref refs/foo/refs/heads/ddb/inbox/000 main");
    sandbox.deb("out", "alone", "1", "amd64", "");
    let answer = shared.deploy("job", "out", &["--json"]).ok().json();
    assert_eq!(answer["tries"], 1);
}

#[test]
fn a_dead_statement_before_ones_own_is_waited_for_only_so_long() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    in_remote(&shared, "git update-ref refs/heads/ddb/inbox/0000 main");
    sandbox.deb("out", "alive", "1", "amd64", "");
    let began = Instant::now();
    let mut job = sandbox.command(env!("CARGO_BIN_EXE_ddb-deploy"), &["-C", &shared.server.url(), "commit", "out", "--wait", "40s"]);
    let mut job = job.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Others come all the time, and all of them wait behind the dead one.
    let mut number = 0;
    let code = loop {
        if let Some(status) = job.try_wait().unwrap() {
            break status.code();
        }
        assert!(began.elapsed() < Duration::from_secs(20), "it still waits");
        number += 1;
        in_remote(&shared, &format!("git update-ref refs/heads/ddb/inbox/zz{number} main"));
        std::thread::sleep(Duration::from_millis(300));
    };
    assert_eq!(code, Some(0));
    assert_eq!(shared.offered(), ["alive_1"]);
}

#[test]
fn an_empty_name_withdraws_nothing() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    sandbox.deb("out", "kept", "1", "amd64", "");
    park(&shared, "job", "out");
    for name in ["", "ddb/inbox/"] {
        sandbox.deploy(&["-C", "archive", "inbox", "withdraw", name]).exits(2);
    }
    assert_eq!(shared.branches().iter().filter(|branch| branch.contains("inbox/")).count(), 1);
}

#[test]
fn a_clone_that_has_not_seen_who_may_upload_asks_first() {
    let shared = Shared::new("");
    let sandbox = &shared.sandbox;
    sandbox.run("git", &["clone", "-q", &shared.server.url(), "stale"]).ok();
    let gpg = Gpg::new();
    let alice = gpg.key("Alice <alice@example.org>", "ed25519", "sign", "1y", "");
    sandbox.write("archive/keys/uploaders/alice.asc", gpg.public(&alice));
    configure(sandbox, "uploaders = [\"keys/uploaders\"]\n", "");
    sandbox.git(&["push", "-q"]).ok();
    sandbox.deb("out", "unsigned", "1", "amd64", "");
    let run = sandbox.deploy(&["-C", "stale", "commit", "out"]);
    assert_ne!(run.code, 0, "{}{}", run.out, run.err);
    assert!(shared.offered().is_empty());
}

#[test]
fn what_ddb_toml_says_while_a_job_is_at_work_counts() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    // Objects move elsewhere while a job is on its way: what it stored is not where others look.
    sandbox.run("git", &["clone", "-q", &shared.server.url(), "editor"]).ok();
    patch(
        &sandbox.path("editor/ddb.toml"),
        &sandbox.path("objects").display().to_string(),
        &sandbox.path("elsewhere").display().to_string(),
    );
    sandbox.run("git", &["-C", "editor", "commit", "-q", "-a", "-m", "Move the objects."]).ok();
    sandbox.run("git", &["-C", "editor", "push", "-q", "origin", "HEAD:moved"]).ok();
    shared.server.pre_receive(
        "[ -e raced ] && exit 0\ntouch raced\n\
         env -u GIT_QUARANTINE_PATH -u GIT_OBJECT_DIRECTORY -u GIT_ALTERNATE_OBJECT_DIRECTORIES git update-ref refs/heads/main moved",
    );
    sandbox.deb("out", "late", "1", "amd64", "");
    let run = shared.deploy("job", "out", &["--wait", "5s"]);
    assert!(run.code != 0 || sandbox.path("elsewhere").exists(), "{}{}", run.out, run.err);
    shared.deploy("job", "out", &[]).ok();
    sandbox.git(&["pull", "-q"]).ok();
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn a_commit_that_a_person_makes_meanwhile_is_not_lost() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    sandbox.deb("out", "parked", "1", "amd64", "");
    park(&shared, "job", "out");
    let folder = sandbox.archive();
    shared.server.pre_receive(&format!(
        "[ -e raced ] && exit 0\ntouch raced\nunset $(git rev-parse --local-env-vars) GIT_QUARANTINE_PATH\n\
         cd {} && git -c user.name=Person -c user.email=person@example.org commit -q --allow-empty -m 'By hand.'",
        folder.display()
    ));
    let run = sandbox.deploy(&["-C", "archive", "inbox", "land"]);
    assert_eq!(shared.offered(), ["parked_1"], "{}{}", run.out, run.err);
    assert_eq!(sandbox.git(&["log", "-1", "--format=%s"]).ok().out.trim(), "By hand.");
}

#[test]
fn what_somebody_fetches_into_the_clone_meanwhile_is_not_overwritten() {
    let faults = Faults::before(&Seaweed::shared().endpoint());
    let bucket = Seaweed::shared().bucket("fetched-meanwhile").behind(&faults.endpoint());
    let mut sandbox = Sandbox::with_archive();
    give(&mut sandbox, WRITER);
    let server = crate::git_server::GitServer::start(&sandbox);
    configure(&sandbox, "", &format!("[inbox]\nprotected = true\n{}", bucket.table("store.s3", "lfs/objects")));
    sandbox.git(&["remote", "add", "origin", &server.url()]).ok();
    sandbox.git(&["push", "-q", "-u", "origin", "main"]).ok();
    let shared = Shared { sandbox, server };
    let sandbox = &shared.sandbox;
    sandbox.run("git", &["clone", "-q", &shared.server.url(), "person"]).ok();
    sandbox.deb("out", "slow", "1", "amd64", "");
    faults.add("PUT", "lfs/objects", 0, 1, Fault::Delay(Duration::from_secs(3)));
    let mut job = sandbox.command(env!("CARGO_BIN_EXE_ddb-deploy"), &["-C", "archive", "commit", "out"]);
    let job = job.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    faults.wait_until_held_up();
    sandbox.run("git", &["-C", "person", "commit", "-q", "--allow-empty", "-m", "Meanwhile."]).ok();
    sandbox.run("git", &["-C", "person", "push", "-q"]).ok();
    // As an editor does every few minutes.
    sandbox.git(&["fetch", "-q"]).ok();
    let output = job.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(shared.log()[..2], ["Add slow 1.", "Meanwhile."]);
}

#[test]
fn a_checkout_that_cannot_follow_is_said_after_everything_has_landed() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    for name in ["one", "two"] {
        sandbox.deb(name, name, "1", "amd64", "");
    }
    park(&shared, "job", "one");
    let lock = sandbox.write("archive/.git/index.lock", "");
    sandbox.deploy(&["-C", "archive", "inbox", "land"]).exits(1).says("what waited has landed").says("git restore");
    assert_eq!(shared.offered(), ["one_1"]);
    sandbox.commit("two", &[]).ok().says("the commit has landed, but the work tree is behind");
    std::fs::remove_file(lock).unwrap();
    sandbox.git(&["restore", "--source=HEAD", "--staged", "--worktree", "pool", "suites"]).ok();
    assert_eq!(sandbox.git(&["status", "--porcelain"]).ok().out, "");
}
