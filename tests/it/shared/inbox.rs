//! The inbox: statements parked by jobs that may not, or cannot just now, move the branch.

use super::Shared;
use crate::faults::{Fault, Faults};
use crate::sandbox::Sandbox;
use crate::seaweed::{Seaweed, WRITER, give};
use crate::specimens::{Gpg, commit_by_hand, patch};

/// Deploys into the inbox, without waiting.
pub fn park(shared: &Shared, job: &str, out: &str) {
    shared.deploy(job, out, &["--park", "--wait", "0s"]).exits(12);
}

#[test]
fn what_waits_is_landed_in_order_with_a_verdict_for_each() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    sandbox.deb("taken", "taken", "1", "amd64", "");
    sandbox.commit("taken", &[]).ok();
    // Parked in another order than that of their names and versions; one is rejected, one is superseded by another.
    for (folder, package, version, fields) in [
        ("v2", "many", "2", ""),
        ("v1", "many", "1", ""),
        ("other", "alpha", "1", ""),
        ("conflict", "taken", "1", "Homepage: https://example.org/\n"),
    ] {
        sandbox.deb(folder, package, version, "amd64", fields);
    }
    park(&shared, "a", "v2");
    park(&shared, "b", "v1");
    park(&shared, "c", "other");
    let conflict = shared.deploy("d", "conflict", &["--park", "--wait", "0s"]);
    conflict.exits(5).says("already holds this name");
    let waiting = sandbox.deploy(&["-C", "archive", "inbox", "list", "--json"]).ok().json();
    let builds: Vec<&str> = waiting["waiting"].as_array().unwrap().iter().map(|one| one["builds"][0].as_str().unwrap()).collect();
    assert_eq!(builds, ["alpha 1", "many 1", "many 2"]);
    let landed = sandbox.deploy(&["-C", "archive", "inbox", "land", "--json"]).ok().json();
    let verdicts: Vec<&str> =
        landed["verdicts"].as_array().unwrap().iter().map(|one| one["verdicts"][0]["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["landed", "landed", "landed"]);
    assert_eq!(shared.log()[..3], ["Add many 2.", "Add many 1.", "Add alpha 1."]);
    assert_eq!(shared.offered(), ["alpha_1", "many_2", "taken_1"]);
    assert_eq!(sandbox.git(&["status", "--porcelain"]).ok().out, "", "the checkout of whoever lands follows");
    // The jobs find their verdicts, or that their work is done.
    shared.deploy("a", "v2", &["--detailed-exit-code"]).exits(10);
    shared.deploy("b", "v1", &[]).exits(6);
    assert!(shared.branches().iter().all(|branch| !branch.contains("inbox/")), "{:?}", shared.branches());
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn a_bad_statement_holds_up_nobody() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    sandbox.deb("first", "twin", "1", "amd64", "");
    sandbox.deb("second", "twin", "1", "amd64", "Homepage: https://example.org/\n");
    sandbox.deb("good", "zebra", "1", "amd64", "");
    sandbox.deb("gone", "gone", "1", "amd64", "");
    for (job, out) in [("a", "first"), ("b", "second"), ("c", "good"), ("d", "gone")] {
        park(&shared, job, out);
    }
    // An object that vanished, a text that is none of ours, and a statement for another branch.
    let object = sandbox.run("sha256sum", &["gone/gone_1_amd64.deb"]).ok().out[..64].to_owned();
    std::fs::remove_file(sandbox.path(format!("objects/{}/{}/{object}", &object[..2], &object[2..4]))).unwrap();
    sandbox.git(&["push", "-q", "origin", "HEAD:refs/heads/ddb/inbox/0000000"]).ok();
    let landed = sandbox.deploy(&["-C", "archive", "inbox", "land", "--json"]).ok().json();
    let rejected: Vec<String> =
        landed["verdicts"].as_array().unwrap().iter().filter_map(|one| Some(one["rejected"].as_str()?.to_owned())).collect();
    assert_eq!(rejected.len(), 3, "{landed}");
    for words in ["already holds this name with other bytes", "is not in", "holds no file \"statement\""] {
        assert!(rejected.iter().any(|reason| reason.contains(words)), "{words}: {rejected:?}");
    }
    assert_eq!(shared.offered(), ["twin_1", "zebra_1"]);
    assert!(shared.branches().iter().all(|branch| !branch.contains("inbox/")));
}

#[test]
fn a_job_that_waits_reads_what_became_of_it() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    sandbox.deb("other", "other", "1", "amd64", "");
    park(&shared, "other", "other");
    // Somebody waits already, so this one parks too; as the first or after a while it lands both.
    sandbox.deb("mine", "mine", "1", "amd64", "");
    let answer = shared.deploy("mine", "mine", &["--json"]).ok().json();
    assert_eq!(answer["builds"][0]["verdict"], "landed");
    assert_eq!(answer["commit"].as_str().unwrap().len(), 40);
    assert_eq!(shared.offered(), ["mine_1", "other_1"]);
    // The same statement again, parked by a job that was killed: it is found, not parked twice.
    sandbox.deb("again", "again", "1", "amd64", "");
    park(&shared, "x", "again");
    park(&shared, "x", "again");
    assert_eq!(shared.branches().iter().filter(|branch| branch.contains("inbox/")).count(), 1);
    shared.deploy("y", "again", &["--park"]).ok();
    assert_eq!(shared.offered(), ["again_1", "mine_1", "other_1"]);
}

#[test]
fn a_statement_can_be_withdrawn() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    sandbox.deb("out", "regret", "1", "amd64", "");
    park(&shared, "job", "out");
    sandbox.deploy(&["-C", "archive", "inbox", "withdraw", "nothing"]).exits(2).says("no statement");
    let name = shared.branches().into_iter().find(|branch| branch.contains("inbox/")).unwrap();
    sandbox.deploy(&["-C", "archive", "inbox", "withdraw", &name]).ok();
    sandbox.deploy(&["-C", "archive", "inbox", "land"]).ok();
    assert!(shared.offered().is_empty());
}

#[test]
fn nothing_is_landed_from_an_inbox_that_is_neither_protected_nor_sealed() {
    let shared = Shared::new("");
    let sandbox = &shared.sandbox;
    sandbox.deb("out", "forged", "1", "amd64", "");
    // Whoever can push a branch parks what a protected archive would take.
    patch(&sandbox.archive().join("ddb.toml"), "shared = true", "shared = true\n[inbox]\nprotected = true");
    commit_by_hand(sandbox, "As if it were protected.");
    sandbox.git(&["push", "-q", "origin", "HEAD:refs/heads/other"]).ok();
    sandbox.commit("out", &["--park", "--wait", "0s"]).exits(12);
    sandbox.git(&["reset", "-q", "--hard", "HEAD~1"]).ok();
    sandbox.deploy(&["-C", "archive", "inbox", "land"]).exits(4).says("lands nothing from its inbox");
    let list = sandbox.deploy(&["-C", "archive", "inbox", "list"]).ok();
    assert!(list.out.contains("not landed"), "{}", list.out);
    sandbox.deb("more", "more", "1", "amd64", "");
    sandbox.commit("more", &[]).ok();
    sandbox.dists(&[]).ok();
    assert_eq!(shared.offered(), ["more_1"]);
    assert!(shared.branches().iter().any(|branch| branch.contains("inbox/")), "it is not touched");
}

#[test]
fn only_what_an_uploader_sealed_is_landed_where_uploaders_are_named() {
    let mut sandbox = Sandbox::with_archive();
    let gpg = Gpg::new();
    let [alice, mallory] =
        ["Alice <alice@example.org>", "Mallory <mallory@example.org>"].map(|user| gpg.key(user, "ed25519", "sign", "1y", ""));
    sandbox.write("archive/keys/uploaders/alice.asc", gpg.public(&alice));
    sandbox.write("alice.key", gpg.secret(&alice, ""));
    sandbox.write("mallory.key", gpg.secret(&mallory, ""));
    let server = crate::git_server::GitServer::start(&sandbox);
    let objects = sandbox.path("objects").display().to_string();
    crate::specimens::configure(&sandbox, &format!("uploaders = [\"keys/uploaders\"]\n[store]\npath = \"{objects}\"\nshared = true\n"), "");
    sandbox.git(&["remote", "add", "origin", &server.url()]).ok();
    sandbox.git(&["push", "-q", "-u", "origin", "main"]).ok();
    sandbox.environment.insert("DDB_CACHE".to_owned(), sandbox.path("cache").display().to_string());
    let shared = Shared { sandbox, server };
    let sandbox = &shared.sandbox;
    for name in ["sealed", "forged"] {
        sandbox.deb(name, name, "1", "amd64", "");
        let file = format!("{name}_1_amd64.deb");
        crate::specimens::write_changes(
            &sandbox.path(name),
            &format!("{name}_1_amd64.changes"),
            &format!("Source: {name}\nVersion: 1\nArchitecture: amd64\nDistribution: trixie\n"),
            &[&file],
        );
        gpg.sign_upload(&alice, &sandbox.path(name));
    }
    let key = |name: &str| sandbox.path(format!("{name}.key")).display().to_string();
    shared.deploy("none", "sealed", &["--park", "--wait", "0s"]).exits(4).says("DDB_UPLOADER_KEY");
    shared.deploy("alice", "sealed", &["--park", "--wait", "0s", "--uploader-key-file", &key("alice")]).exits(12);
    shared.deploy("mallory", "forged", &["--park", "--wait", "0s", "--uploader-key-file", &key("mallory")]).exits(12);
    // A statement that was changed after it was sealed.
    let name = shared.branches().into_iter().find(|branch| branch.contains("inbox/")).unwrap();
    let script = format!(
        "set -e; text=$(git show {name}:statement | sed 's/\"version\":\"1\"/\"version\":\"2\"/'); \
         blob=$(printf '%s\\n' \"$text\" | git hash-object -w --stdin); tree=$(printf '100644 blob %s\\tstatement\\n' $blob | git mktree); \
         git update-ref refs/heads/ddb/inbox/changed $(git commit-tree -m x $tree)"
    );
    let folder = shared.server.folder();
    sandbox.run("bash", &["-c", &format!("cd {} && {script}", folder.display())]).ok();
    let landed = sandbox.deploy(&["-C", "archive", "inbox", "land", "--json"]).ok().json();
    let verdicts = landed["verdicts"].as_array().unwrap();
    assert_eq!(verdicts.len(), 3, "{landed}");
    assert_eq!(verdicts.iter().filter(|one| one["rejected"].as_str().is_some_and(|reason| reason.contains("seal"))).count(), 2, "{landed}");
    assert_eq!(shared.offered(), ["sealed_1"]);
    let message = shared.server.git(sandbox, &["log", "-1", "--format=%B", "main"]).ok().out;
    assert!(message.contains(&format!("Ddb-Sealed-By: {alice}")), "{message}");
}

#[test]
fn a_server_that_lets_nobody_remove_a_branch_is_served_too() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    shared.server.pre_receive(
        "while read -r old new ref; do case $new:$ref in 0000*:refs/heads/ddb/inbox/*) \
         echo 'GitLab: You can only delete protected branches using the web interface.' >&2; exit 1;; esac; done",
    );
    sandbox.deb("out", "stays", "1", "amd64", "");
    park(&shared, "job", "out");
    sandbox.deb("more", "more", "1", "amd64", "");
    let answer = shared.deploy("more", "more", &["--json"]).ok().json();
    assert_eq!(answer["builds"][0]["verdict"], "landed");
    assert_eq!(shared.offered(), ["more_1", "stays_1"]);
    // The branches stay, and nobody lands them again.
    assert_eq!(shared.branches().iter().filter(|branch| branch.contains("inbox/")).count(), 2);
    let commits = shared.log().len();
    sandbox.deploy(&["-C", "archive", "inbox", "land"]).ok();
    let list = sandbox.deploy(&["-C", "archive", "inbox", "list", "--json"]).ok().json();
    assert_eq!((shared.log().len(), list["waiting"].as_array().unwrap().len()), (commits, 0));
}

#[test]
fn what_waits_goes_on_waiting_while_the_bucket_does_not_answer() {
    let faults = Faults::before(&Seaweed::shared().endpoint());
    let bucket = Seaweed::shared().bucket("inbox-waits").behind(&faults.endpoint());
    let mut sandbox = Sandbox::with_archive();
    give(&mut sandbox, WRITER);
    sandbox.environment.insert("AWS_MAX_ATTEMPTS".to_owned(), "2".to_owned());
    let server = crate::git_server::GitServer::start(&sandbox);
    crate::specimens::configure(&sandbox, "", &format!("[inbox]\nprotected = true\n{}", bucket.table("store.s3", "lfs/objects")));
    sandbox.git(&["remote", "add", "origin", &server.url()]).ok();
    sandbox.git(&["push", "-q", "-u", "origin", "main"]).ok();
    let shared = Shared { sandbox, server };
    let sandbox = &shared.sandbox;
    for name in ["first", "second"] {
        sandbox.deb(name, name, "1", "amd64", "");
        park(&shared, name, name);
    }
    for fault in [Fault::Status(503, "SlowDown"), Fault::Drop] {
        faults.heal().always("", "lfs/objects", fault);
        sandbox.deploy(&["-C", "archive", "inbox", "land"]).exits(1).says("lfs/objects");
        // A publish says so and publishes what there is; a deploy says so and leaves nothing.
        sandbox.dists(&["--dry-run"]).ok();
        sandbox.deb("third", "third", "1", "amd64", "");
        sandbox.commit("third", &["--wait", "3s"]).exits(1);
        assert_eq!(shared.offered(), [""; 0]);
        assert_eq!(shared.branches().iter().filter(|branch| branch.contains("inbox/")).count(), 2);
    }
    faults.heal();
    sandbox.commit("third", &[]).ok();
    assert_eq!(shared.offered(), ["first_1", "second_1", "third_1"]);
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}
