//! Releases that somebody made from commits that are not the archive's.

use super::{acknowledging, alarms, monitor, well};
use crate::rebuild::attacks::{plant, stolen};
use crate::rebuild::plain_archive;
use crate::rebuild::plant::Plant;
use crate::sandbox::{Run, Sandbox};

fn head(sandbox: &Sandbox, revision: &str) -> String {
    sandbox.git(&["rev-parse", revision]).ok().out.trim().to_owned()
}

/// A commit of somebody's own, on a branch of his own.
fn evil(sandbox: &Sandbox) -> String {
    sandbox.git(&["branch", "evil"]).ok();
    sandbox.deb("evil", "evil", "6.6-6", "amd64", "");
    sandbox.deploy(&["-C", "archive", "--branch", "evil", "commit", "evil"]).ok();
    head(sandbox, "evil")
}

#[test]
fn a_release_of_a_commit_that_never_stood_on_the_archives_branch_is_an_alarm_until_somebody_says_that_it_is_known() {
    let sandbox = super::with_package();
    sandbox.dists(&[]).ok();
    well(monitor(&sandbox, &[]), &["not-configured"]);
    // Somebody who may push branches of Releases, and has the key, stages and serves one from a commit of his own.
    let evil = evil(&sandbox);
    sandbox.publish(&["-C", "archive", "--branch", "evil", "dists", "trixie"]).ok();
    // On a branch of the thief's own, and on none.
    for _ in 0..2 {
        let run = alarms(monitor(&sandbox, &[]), &["base-not-in-history"]);
        assert!(run.out.contains("Release 2 of trixie was made from commit") && run.out.contains(&evil), "{}", run.out);
        sandbox.run("git", &["-C", "archive", "branch", "-q", "-D", "evil"]);
    }
    // The archive's own Releases go on, and the alarm stays.
    sandbox.dists(&["--renew"]).ok();
    let run = alarms(monitor(&sandbox, &[]), &["base-not-in-history"]);
    well(acknowledging(&sandbox, "archive/public", &run, &[]), &["not-configured"]);
    well(monitor(&sandbox, &[]), &["not-configured"]);
}

#[test]
fn a_release_of_an_older_commit_than_one_before_it_is_an_alarm_until_somebody_says_that_it_is_known() {
    let sandbox = super::with_package();
    let begun = head(&sandbox, "main");
    for version in ["2.0-1", "3.0-1"] {
        sandbox.dists(&[]).ok();
        let out = format!("out-{version}");
        sandbox.deb(&out, "plain", version, "amd64", "");
        sandbox.commit(&out, &[]).ok();
    }
    sandbox.dists(&[]).ok();
    well(monitor(&sandbox, &[]), &["not-configured"]);
    // Who has the keys publishes again what the first commit had.
    sandbox.git(&["branch", "-q", "old", &begun]).ok();
    sandbox.publish(&["-C", "archive", "--branch", "old", "dists", "trixie"]).ok();
    for _ in 0..2 {
        let run = alarms(monitor(&sandbox, &[]), &["older-base"]);
        assert!(run.out.contains("Release 4 of trixie was made from commit") && run.out.contains(&begun), "{}", run.out);
        // The archive's own Releases go on, and the alarm stays.
        sandbox.dists(&[]).ok();
    }
    let run = alarms(monitor(&sandbox, &[]), &["older-base"]);
    well(acknowledging(&sandbox, "archive/public", &run, &[]), &["not-configured"]);
    well(monitor(&sandbox, &[]), &["not-configured"]);
    // The same again is another one.
    sandbox.publish(&["-C", "archive", "--branch", "old", "dists", "trixie"]).ok();
    alarms(monitor(&sandbox, &[]), &["older-base"]);
}

#[test]
fn who_says_another_commit_afterwards_hides_nothing() {
    let sandbox = super::with_package();
    sandbox.dists(&[]).ok();
    evil(&sandbox);
    sandbox.publish(&["-C", "archive", "--branch", "evil", "dists", "trixie"]).ok();
    let honest = head(&sandbox, "main");
    let mut planted = Plant::on(&sandbox, "ddb/releases/trixie");
    planted.edit("inputs.json", |inputs| inputs["base"] = honest.as_str().into());
    planted.commit(&["ddb/releases/trixie"]);
    let run = alarms(monitor(&sandbox, &[]), &["base-not-in-history", "unreadable"]);
    assert!(run.out.contains(&format!("and a later commit says {honest}")), "{}", run.out);
}

#[test]
fn a_release_that_no_commit_makes_is_named_where_releases_are_made_again() {
    let mut sandbox = plain_archive();
    let look = |sandbox: &Sandbox, more: &[&str]| {
        let fixed = ["--release-ends", "0s", "--certificate-ends", "0s", "--behind", "3650d", "--rebuild"];
        monitor(sandbox, &[&fixed[..], more].concat())
    };
    well(look(&sandbox, &[]), &["not-configured"]);
    // Somebody who has the keys and may push stages other content, says that it is of the newest commit and that it was served.
    stolen(&sandbox);
    super::sites::set_time(&mut sandbox, "2026-09-16T08:00:00Z");
    sandbox.dists(&["--renew"]).ok();
    sandbox.git(&["branch", "-q", "honest", "ddb/releases/trixie"]).ok();
    sandbox.git(&["update-ref", "refs/heads/ddb/releases/trixie", "honest~2"]).ok();
    plant(&sandbox);
    // What everybody gets is an honest one that comes after it.
    let mut planted = Plant::on(&sandbox, "honest");
    planted.edit("inputs.json", |inputs| inputs["sequence"] = 3.into());
    planted.commit_vouched("ddb/releases/trixie");
    well(monitor(&sandbox, &[]), &["not-configured"]);
    for _ in 0..2 {
        let run = alarms(look(&sandbox, &[]), &["other-content"]);
        assert!(run.out.contains("Release 2 of trixie is not what commit"), "{}", run.out);
    }
    let run = alarms(look(&sandbox, &[]), &["other-content"]);
    let name = run.json()["alarms"][0]["acknowledge"].as_str().unwrap().to_owned();
    well(look(&sandbox, &["--acknowledge", &name]), &["not-configured"]);
    well(look(&sandbox, &[]), &["not-configured"]);
    // So is what cannot be made again.
    let mut planted = Plant::on(&sandbox, "ddb/releases/trixie");
    let release = String::from_utf8(planted.file("Release")).unwrap();
    planted.sign(&release.replace("Origin: Test", "Origin: Tset"));
    planted.edit("inputs.json", |inputs| inputs["sequence"] = 9.into());
    planted.put("fold.json", "{");
    planted.commit_vouched("ddb/releases/trixie");
    let run = look(&sandbox, &[]).exits(30);
    assert!(run.out.contains("other-content") && run.out.contains("cannot be made again"), "{}", run.out);
}

#[test]
fn what_a_pusher_without_a_key_stages_hides_nothing_and_keeps_nobody_busy() {
    let sandbox = super::with_package();
    let look = |more: &[&str]| monitor(&sandbox, &[&["--rebuild"], more].concat());
    let begun = head(&sandbox, "main");
    sandbox.dists(&[]).ok();
    sandbox.deb("two", "two", "1", "amd64", "");
    sandbox.commit("two", &[]).ok();
    sandbox.dists(&[]).ok();
    well(look(&[]), &["not-configured"]);
    // A number after which no other would come, and what no commit makes.
    let mut planted = Plant::on(&sandbox, "ddb/releases/trixie");
    let release = String::from_utf8(planted.file("Release")).unwrap();
    planted.put("Release", release.replacen("Origin: Test", "Origin: Tset", 1));
    planted.edit("inputs.json", |inputs| inputs["sequence"] = (u64::MAX - 1).into());
    planted.commit(&["ddb/releases/trixie", "HEAD"]);
    for _ in 0..2 {
        let run = alarms(look(&["--verbose"]), &["unvouched"]);
        assert!(run.out.contains("no key of the archive vouches for Release 18446744073709551614 of trixie"), "{}", run.out);
        assert!(!run.err.contains("making Release 18446744073709551614"), "{}", run.err);
    }
    // Who has the keys publishes an older commit after it. The archive's own numbers go on where they were.
    sandbox.git(&["branch", "-q", "old", &begun]).ok();
    sandbox.publish(&["-C", "archive", "--branch", "old", "dists", "trixie"]).ok();
    let run = alarms(look(&[]), &["unvouched", "older-base", "unreadable"]);
    assert!(run.out.contains("numbers only grow") && run.out.contains("Release 3 of trixie was made from commit"), "{}", run.out);
    well(acknowledging(&sandbox, "archive/public", &run, &["--rebuild"]), &["not-configured"]);
    sandbox.dists(&[]).ok();
    well(look(&[]), &["not-configured"]);
    // An old one that says to be newer than all others.
    let mut planted = Plant::on(&sandbox, "ddb/releases/trixie~4");
    planted.edit("inputs.json", |inputs| inputs["sequence"] = 99.into());
    planted.commit(&["ddb/releases/trixie"]);
    let run = alarms(look(&[]), &["unreadable"]);
    assert!(run.out.contains("and a later commit says 99"), "{}", run.out);
}

#[test]
fn what_was_known_once_blinds_nobody_and_what_was_staged_is_not_served_because_somebody_says_so() {
    let sandbox = super::with_package();
    sandbox.dists(&[]).ok();
    well(monitor(&sandbox, &[]), &["not-configured"]);
    let honest = head(&sandbox, "ddb/releases/trixie");
    let plant = |number: u64| {
        let mut planted = Plant::on(&sandbox, "ddb/releases/trixie");
        let release = String::from_utf8(planted.file("Release")).unwrap();
        planted.put("Release", release.replacen("Origin: Test", &format!("Origin: Evil{number}"), 1));
        planted.edit("inputs.json", |inputs| inputs["sequence"] = number.into());
        planted.commit(&["ddb/releases/trixie", "HEAD"]);
    };
    plant(u64::MAX - 1);
    let run = alarms(monitor(&sandbox, &[]), &["unvouched"]);
    well(acknowledging(&sandbox, "archive/public", &run, &[]), &["not-configured"]);
    // Somebody mends the branch, and the same comes again with a number that says nothing.
    sandbox.git(&["update-ref", "refs/heads/ddb/releases/trixie", &honest]).ok();
    let run = alarms(monitor(&sandbox, &[]), &["history-rewritten"]);
    well(acknowledging(&sandbox, "archive/public", &run, &[]), &["acknowledged", "not-configured"]);
    plant(2);
    alarms(monitor(&sandbox, &[]), &["unvouched"]);
    sandbox.git(&["update-ref", "refs/heads/ddb/releases/trixie", &honest]).ok();
    // A publish that was stopped, whose Release is said to be served.
    let in_the_way = sandbox.public().join("dists/trixie/InRelease");
    let before = std::fs::read(&in_the_way).unwrap();
    std::fs::remove_file(&in_the_way).unwrap();
    std::fs::create_dir_all(in_the_way.join("folder")).unwrap();
    sandbox.dists(&["--renew"]).exits(1);
    std::fs::remove_dir_all(&in_the_way).unwrap();
    std::fs::write(&in_the_way, before).unwrap();
    let old = Plant::on(&sandbox, &honest);
    let mut planted = Plant::on(&sandbox, "ddb/releases/trixie");
    for file in ["InRelease", "Release.gpg", "served.json"] {
        planted.put(file, old.file(file));
    }
    planted.commit(&["ddb/releases/trixie"]);
    let run = monitor(&sandbox, &["--state", "late.json"]);
    assert_eq!(run.json()["suites"][0]["newest"], 2, "a first look believes: {}", run.out);
    let run = monitor(&sandbox, &[]);
    assert_eq!(run.json()["suites"][0]["newest"], 1, "{}", run.out);
    // A merge hides nothing that stands behind it.
    sandbox.dists(&["--renew"]).ok();
    let newest = |run: &Run| (run.json()["suites"][0]["newest"].clone(), run.json()["suites"][0]["staged"].clone());
    let before = newest(&monitor(&sandbox, &[]));
    let tip = head(&sandbox, "ddb/releases/trixie");
    let merge = sandbox.git(&["commit-tree", &format!("{honest}^{{tree}}"), "-p", &honest, "-p", &tip, "-m", "Serve."]).ok().out;
    sandbox.git(&["update-ref", "refs/heads/ddb/releases/trixie", merge.trim()]).ok();
    assert_eq!(newest(&monitor(&sandbox, &[])), before);
    // Nor does one into the archive's own branch.
    sandbox.git(&["update-ref", "refs/heads/ddb/releases/trixie", &tip]).ok();
    let merge = sandbox.git(&["commit-tree", "main^{tree}", "-p", "main", "-p", &tip, "-m", "Merge."]).ok().out;
    sandbox.git(&["update-ref", "refs/heads/main", merge.trim()]).ok();
    assert_eq!(newest(&monitor(&sandbox, &[])), before);
}

#[test]
fn contents_that_stay_of_such_a_commit_are_an_alarm_too() {
    let sandbox = super::with_package();
    sandbox.dists(&[]).ok();
    well(monitor(&sandbox, &[]), &["not-configured"]);
    let evil = evil(&sandbox);
    let mut planted = Plant::on(&sandbox, "ddb/releases/trixie");
    planted.edit("fold.json", |record| record["contents"] = serde_json::json!({ "at": 1_790_000_000, "base": evil }));
    planted.commit(&["ddb/releases/trixie", "HEAD"]);
    let run = alarms(monitor(&sandbox, &[]), &["base-not-in-history"]);
    assert!(run.out.contains("Contents") && run.out.contains(&evil), "{}", run.out);
}

#[test]
fn who_looks_first_after_history_was_rewritten_says_once_what_was_before() {
    let sandbox = super::with_package();
    sandbox.dists(&[]).ok();
    sandbox.git(&["commit", "-q", "--allow-empty", "-m", "Go on"]).ok();
    sandbox.dists(&["--renew"]).ok();
    let before = head(&sandbox, "main");
    sandbox.git(&["checkout", "-q", "--orphan", "anew"]).ok();
    sandbox.git(&["commit", "-q", "-m", "Begin anew"]).ok();
    sandbox.git(&["branch", "-q", "-M", "anew", "main"]).ok();
    sandbox.dists(&["--renew"]).ok();
    let run = alarms(monitor(&sandbox, &[]), &["base-not-in-history", "base-not-in-history"]);
    // Its ancestors are known with it.
    let answer = run.json();
    let newest = answer["alarms"].as_array().unwrap().iter().find(|alarm| alarm["text"].as_str().unwrap().contains(&before)).unwrap();
    well(monitor(&sandbox, &["--acknowledge", newest["acknowledge"].as_str().unwrap()]), &["not-configured"]);
    well(monitor(&sandbox, &[]), &["not-configured"]);
}

#[test]
fn who_says_that_a_branch_of_releases_was_rewritten_vouches_for_nothing_that_stood_there() {
    let sandbox = super::with_package();
    sandbox.dists(&[]).ok();
    let (releases, good) = ("refs/heads/ddb/releases/trixie", head(&sandbox, "ddb/releases/trixie"));
    let evil = evil(&sandbox);
    // A commit that looks like the archive's, on the branch of Releases, leads to the thief's.
    let settings = sandbox.git(&["rev-parse", "main:ddb.toml"]).ok().out;
    sandbox.git(&["read-tree", &good]).ok();
    sandbox.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{},ddb.toml", settings.trim())]).ok();
    let tree = sandbox.git(&["write-tree"]).ok().out;
    sandbox.git(&["read-tree", "HEAD"]).ok();
    let planted = sandbox.git(&["commit-tree", tree.trim(), "-p", &good, "-p", &evil, "-m", "Plant"]).ok().out;
    sandbox.git(&["update-ref", releases, planted.trim()]).ok();
    // No Release stands on a commit that has none.
    alarms(monitor(&sandbox, &[]), &["unreadable"]);
    sandbox.git(&["update-ref", releases, &good]).ok();
    let run = alarms(monitor(&sandbox, &[]), &["history-rewritten"]);
    well(acknowledging(&sandbox, "archive/public", &run, &[]), &["acknowledged", "not-configured"]);
    sandbox.publish(&["-C", "archive", "--branch", "evil", "dists", "trixie"]).ok();
    let run = alarms(monitor(&sandbox, &[]), &["base-not-in-history"]);
    assert!(run.out.contains(&evil), "{}", run.out);
}

#[test]
fn a_branch_of_the_archive_that_was_rewritten_and_known_to_be_vouches_for_what_stood_there() {
    let sandbox = super::with_package();
    sandbox.dists(&[]).ok();
    well(monitor(&sandbox, &[]), &["not-configured"]);
    sandbox.git(&["commit", "-q", "--allow-empty", "-m", "Go on"]).ok();
    well(monitor(&sandbox, &[]), &["not-configured"]);
    let before = head(&sandbox, "main");
    sandbox.git(&["commit", "-q", "--amend", "--allow-empty", "-m", "Another word"]).ok();
    let run = alarms(monitor(&sandbox, &[]), &["history-rewritten"]);
    well(acknowledging(&sandbox, "archive/public", &run, &[]), &["acknowledged", "not-configured"]);
    // A Release that was made from it comes late.
    sandbox.git(&["branch", "-q", "late", &before]).ok();
    sandbox.publish(&["-C", "archive", "--branch", "late", "dists", "trixie", "--renew"]).ok();
    well(monitor(&sandbox, &[]), &["not-configured"]);
}
