//! Records that came into a suite on ways that nobody watched, before it required provenance or by Git; and suites taken whole.

use ddb::formats::provenance::policy::Policy;
use ddb::words::archive::Archive;

use super::*;
use crate::rebuild::plant::Plant;
use crate::shared::Shared;

const RECORD: &str = "suites/trixie/main/binary-amd64/h/hello/hello_1";
const STABLE: &str = "[suites.stable]\narchitectures = [\"amd64\"]\nrequire-provenance = true\n";
const EVIL: &str = "its Depends is \"evil\", that of the package is \"good\"";

fn projects(requires: bool, more: &str) -> String {
    let text = pinned(&[("debian/glibc", "glibc", "glibc"), ("debian/hello", "hello", "hello")], "") + more;
    if requires { text } else { text.replacen("require-provenance = true\n", "", 1) }
}

fn deploy(sandbox: &Sandbox, suite: &str, key: &str, out: &str) -> Run {
    let key = sandbox.path(format!("{key}.pem")).display().to_string();
    sandbox.commit(out, &["--suite", suite, "--provenance-key-file", &key, "--builder", "https://runner.example/1"])
}

fn promote(sandbox: &Sandbox, from: &str, to: &str, what: &str) -> Run {
    sandbox.publish(&["-C", "archive", "promote", from, to, what])
}

/// An archive whose trixie offers hello without requiring anything yet.
fn open_suite() -> Sandbox {
    let sandbox = Sandbox::with_archive();
    for name in ["hello", "glibc", "next"] {
        pem_key(&sandbox, name);
    }
    policy(&sandbox, &projects(false, STABLE));
    sandbox.deb("out", "hello", "1", "amd64", "Depends: good\n");
    deploy(&sandbox, "trixie", "hello", "out").ok();
    sandbox
}

/// Lets the record of hello say something else, as an uploader could while nothing was required.
fn lie(sandbox: &Sandbox) {
    let honest = std::fs::read_to_string(sandbox.archive().join(RECORD)).unwrap();
    assert!(honest.contains("Depends: good"), "{honest}");
    sandbox.write(format!("archive/{RECORD}"), honest.replace("Depends: good", "Depends: evil"));
    commit_by_hand(sandbox, "Say something else.");
}

/// Changes a file of the newest commit of Releases of trixie.
fn amend(sandbox: &Sandbox, file: &str, change: impl FnOnce(&mut Value)) {
    let branch = "ddb/releases/trixie";
    let mut planted = Plant::on(sandbox, branch);
    let before = planted.json(file);
    planted.edit(file, change);
    assert_ne!(planted.json(file), before);
    planted.commit_vouched(branch);
}

#[test]
fn what_lay_there_before_provenance_was_required_is_compared_before_it_is_published() {
    let sandbox = open_suite();
    lie(&sandbox);
    sandbox.dists(&[]).ok();
    policy(&sandbox, &projects(true, STABLE));
    sandbox.dists(&[]).exits(4).says("hello_1: ").says(EVIL);
    for what in ["hello", "--all"] {
        promote(&sandbox, "trixie", "stable", what).exits(4).says("hello_1: ").says(EVIL);
    }
    let back = |message: &str| {
        let honest = std::fs::read_to_string(sandbox.archive().join(RECORD)).unwrap().replace("Depends: evil", "Depends: good");
        sandbox.write(format!("archive/{RECORD}"), honest);
        commit_by_hand(&sandbox, message);
    };
    back("Say what the package says.");
    sandbox.dists(&[]).ok();
    // What comes by Git later is compared, too.
    lie(&sandbox);
    sandbox.dists(&[]).exits(4).says("hello_1: ").says(EVIL);
    promote(&sandbox, "trixie", "stable", "--all").exits(4).says(EVIL);
    back("Say it again.");
    promote(&sandbox, "trixie", "stable", "--all").ok();
    // What did not change since a Release that was compared is not read again.
    std::fs::remove_file(object(&sandbox, &Sha256::of(&std::fs::read(sandbox.path("out/hello_1_amd64.deb")).unwrap()).to_hex())).unwrap();
    let third = "[provenance.projects.third]\nsources = [\"*\"]\nkeys = [\"keys/provenance/next.pub\"]\n";
    policy(&sandbox, &projects(true, &format!("{third}{STABLE}")));
    sandbox.dists(&[]).ok();
}

#[test]
fn a_release_that_was_judged_by_rules_of_before_vouches_for_nothing() {
    let sandbox = open_suite();
    lie(&sandbox);
    sandbox.dists(&[]).ok();
    policy(&sandbox, &projects(true, ""));
    let archive = Archive::parse(&std::fs::read_to_string(sandbox.archive().join("ddb.toml")).unwrap()).unwrap();
    let read = |path: &str| (path.to_owned(), std::fs::read(sandbox.archive().join(path)).unwrap());
    let files = archive.provenance.files().into_iter().map(read).collect();
    let policy = Policy::read(&archive.provenance, &files).unwrap();
    let digests = ["glibc", "hello"].map(|source| policy.projects_of(source).next().unwrap().digest());
    // Before the third rules records were not compared.
    let digest = Sha256::of(format!("rules 2\n{}\n{}\n", digests[0], digests[1]).as_bytes());
    amend(&sandbox, "fold.json", |fold| fold["provenance"] = json!(digest.to_hex()));
    sandbox.dists(&[]).exits(4).says("hello_1: ").says(EVIL);
}

#[test]
fn a_name_that_was_taken_before_provenance_was_required_is_given_back() {
    let sandbox = open_suite();
    for (version, source) in [("2", "glibc"), ("9", "hello")] {
        let out = format!("libc6-{version}");
        sandbox.deb(&out, "libc6", version, "amd64", &format!("Source: {source}\n"));
        deploy(&sandbox, "trixie", source, &out).ok();
    }
    policy(&sandbox, &projects(true, ""));
    sandbox.dists(&[]).exits(4).says("libc6_9: the suite has libc6 from the source glibc");
    sandbox.git(&["rm", "-q", "suites/trixie/main/binary-amd64/h/hello/libc6_9"]).ok();
    sandbox.git(&["commit", "-q", "-m", "Remove what is no part of hello."]).ok();
    sandbox.dists(&[]).ok();
}

#[test]
fn a_suite_that_is_taken_whole_has_no_names_of_before() {
    let sandbox = open_suite();
    let sid = "[suites.sid]\narchitectures = [\"amd64\"]\nrequire-provenance = true\n";
    policy(&sandbox, &projects(true, &format!("{sid}{STABLE}")));
    // The library moved from one source to another.
    sandbox.deb("old", "libfoo", "1", "amd64", "Source: hello\n");
    deploy(&sandbox, "trixie", "hello", "old").ok();
    sandbox.dists(&[]).ok();
    sandbox.deb("new", "libfoo", "2", "amd64", "Source: glibc\n");
    deploy(&sandbox, "sid", "glibc", "new").ok();
    promote(&sandbox, "sid", "trixie", "glibc").exits(4).says("the suite has libfoo from the source hello");
    promote(&sandbox, "sid", "trixie", "--all").ok();
    sandbox.dists(&[]).ok();
    promote(&sandbox, "trixie@1", "trixie", "--all").ok();
    sandbox.dists(&[]).ok();
    // Where both sources had a right to it, a copy of the suite has both.
    sandbox.publish(&["-C", "archive", "dists", "sid"]).ok();
    policy(&sandbox, &projects(true, &format!("packages = [\"libfoo\"]\n{sid}{STABLE}")));
    deploy(&sandbox, "sid", "hello", "old").ok();
    sandbox.publish(&["-C", "archive", "dists", "sid"]).ok();
    policy(&sandbox, &projects(true, &format!("{sid}{STABLE}")));
    promote(&sandbox, "sid", "stable", "--all").ok();
    sandbox.publish(&["-C", "archive", "dists", "stable"]).ok();
}

#[test]
fn a_staged_release_whose_policy_is_not_usable_any_more_is_left_behind() {
    let sandbox = open_suite();
    policy(&sandbox, &projects(true, ""));
    // Nothing can take the place of this folder, so the Release stays staged.
    let blocked = sandbox.public().join("dists/trixie/InRelease/blocked");
    std::fs::create_dir_all(&blocked).unwrap();
    assert_ne!(sandbox.dists(&[]).code, 0);
    std::fs::remove_dir_all(blocked.parent().unwrap()).unwrap();
    // As if the ddb that staged it had read this key.
    let key = sandbox.archive().join("keys/provenance/hello.pub");
    let usable = std::fs::read(&key).unwrap();
    std::fs::write(&key, b"a key of a kind that is no more").unwrap();
    commit_by_hand(&sandbox, "Another kind of key.");
    let base = sandbox.git(&["rev-parse", "HEAD"]).ok().out.trim().to_owned();
    std::fs::write(&key, usable).unwrap();
    commit_by_hand(&sandbox, "The key of before.");
    amend(&sandbox, "inputs.json", |inputs| inputs["base"] = json!(base));
    let run = sandbox.dists(&["--json"]).ok().says("is left behind: it cannot be served any more").says("hello.pub");
    let answer = run.json();
    assert_eq!((&answer["suites"][0]["outcome"], &answer["suites"][0]["sequence"]), (&json!("published"), &json!(2)), "{answer}");
}

#[test]
fn a_key_that_is_taken_away_while_a_publisher_waits_counts_no_more() {
    let sandbox = open_suite();
    policy(&sandbox, &projects(true, ""));
    std::fs::create_dir_all(sandbox.public()).unwrap();
    let lock = std::fs::File::options().create(true).append(true).open(sandbox.public().join(".ddb-lock")).unwrap();
    lock.lock().unwrap();
    let run = std::thread::scope(|scope| {
        let publisher = scope.spawn(|| sandbox.dists(&[]));
        let staged = || sandbox.git(&["cat-file", "-e", "ddb/releases/trixie:Release"]).code == 0;
        while !staged() && !publisher.is_finished() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        // The key of hello is found to be stolen.
        policy(&sandbox, &pinned(&[("debian/glibc", "glibc", "glibc"), ("debian/hello", "hello", "next")], ""));
        lock.unlock().unwrap();
        publisher.join().unwrap()
    });
    run.exits(4).says("hello_1: its provenance").says("was not signed by the key");
    assert!(!sandbox.public().join("dists/trixie/InRelease").exists(), "nothing is served");
}

#[test]
fn provenance_that_calls_a_file_otherwise_is_no_evidence_for_it() {
    let sandbox = Sandbox::with_archive();
    let deb = std::fs::read(sandbox.deb("out", "hello", "1", "amd64", "")).unwrap();
    for name in ["hello", "glibc"] {
        pem_key(&sandbox, name);
    }
    policy(&sandbox, &projects(false, ""));
    let mut said = statement(&deb, json!({}));
    said["subject"][0]["name"] = json!("world_9_amd64.deb");
    sandbox.write("out/hello.intoto.jsonl", serde_json::to_vec(&sign(&sandbox, &said, "hello.pem")).unwrap());
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    let answer = provenance_of(&sandbox, "out/hello_1_amd64.deb");
    assert_eq!(answer["project"], Value::Null, "{answer}");
    assert!(answer["refused"].as_str().unwrap().contains("calls this file world_9_amd64.deb"), "{answer}");
}

#[test]
fn what_another_source_left_lying_about_is_held_against_nobody() {
    let mut shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    let keys = ["hello", "glibc"].map(|name| pem_key(sandbox, name));
    let file = sandbox.archive().join("ddb.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let table = text.lines().find(|line| line.starts_with("[suites.")).unwrap();
    std::fs::write(&file, text.replace(table, &format!("{table}\nrequire-provenance = true")) + &projects(false, "")).unwrap();
    sandbox.write("archive/suites/trixie/main/binary-amd64/w/world/notes", "no record");
    commit_by_hand(sandbox, "Two projects, and something else.");
    sandbox.git(&["push", "-q", "origin", "main"]).ok();
    sandbox.deb("out", "hello", "1", "amd64", "");
    in_gitlab(&mut shared.sandbox, "main");
    give_key(&mut shared.sandbox, &keys[0]);
    shared.deploy("a", "out", &["--park", "--wait", "0s"]).exits(12);
    let landed = shared.sandbox.deploy(&["-C", "archive", "inbox", "land", "--json"]).ok().json();
    assert_eq!(landed["verdicts"][0]["rejected"], Value::Null, "{landed}");
    assert_eq!(landed["verdicts"][0]["verdicts"][0]["verdict"], "landed", "{landed}");
}

#[test]
fn of_two_sources_that_wait_with_one_name_the_first_has_it() {
    let mut shared = Shared::with_inbox();
    let keys = ["hello", "glibc"].map(|name| pem_key(&shared.sandbox, name));
    let file = shared.sandbox.archive().join("ddb.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let table = text.lines().find(|line| line.starts_with("[suites.")).unwrap();
    std::fs::write(&file, text.replace(table, &format!("{table}\nrequire-provenance = true")) + &projects(false, "")).unwrap();
    commit_by_hand(&shared.sandbox, "Two projects.");
    shared.sandbox.git(&["push", "-q", "origin", "main"]).ok();
    in_gitlab(&mut shared.sandbox, "main");
    for (source, key) in ["hello", "glibc"].into_iter().zip(&keys) {
        shared.sandbox.deb(source, "libfoo", "1", "amd64", &format!("Source: {source} ({})\n", if source == "hello" { 1 } else { 2 }));
        give_key(&mut shared.sandbox, key);
        shared.deploy(source, source, &["--park", "--wait", "0s"]).exits(12);
    }
    let landed = shared.sandbox.deploy(&["-C", "archive", "inbox", "land", "--json"]).ok().json();
    let rejected: Vec<&str> = landed["verdicts"].as_array().unwrap().iter().filter_map(|one| one["rejected"].as_str()).collect();
    assert_eq!(rejected.len(), 1, "{landed}");
    assert!(rejected[0].contains("the suite has libfoo from the source"), "{landed}");
}
