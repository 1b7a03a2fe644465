//! What a key of the archive signed once, put on the branch of Releases again where it does not belong.

use super::*;
use crate::sandbox::Sandbox;

const OTHER_SUITE: &str = "\n[suites.sid]\narchitectures = [\"amd64\"]\n";

/// Lets a publish of trixie stop between staging and serving.
fn stop(sandbox: &Sandbox) {
    let in_the_way = sandbox.public().join("dists/trixie/InRelease");
    let before = std::fs::read(&in_the_way).ok();
    let _ = std::fs::remove_file(&in_the_way);
    std::fs::create_dir_all(in_the_way.join("folder")).unwrap();
    sandbox.dists(&[]).exits(1);
    std::fs::remove_dir_all(&in_the_way).unwrap();
    before.into_iter().for_each(|bytes| std::fs::write(&in_the_way, bytes).unwrap());
}

/// Puts the tree of a commit on the branch after its tip.
pub fn put_again(sandbox: &Sandbox, commit: &str) {
    let script = format!(
        "set -e; cd archive; branch=refs/heads/{BRANCH}; git update-ref $branch $(git commit-tree {commit}^{{tree}} -p $branch -m Stage.)"
    );
    sandbox.run("sh", &["-c", &script]).ok();
}

/// A package that was published and taken away again for a reason; with the commits that staged and served it.
fn replaced() -> (Sandbox, [String; 2]) {
    let sandbox = published();
    sandbox.deb("bad", "bad", "1", "amd64", "");
    sandbox.commit("bad", &[]).ok();
    stop(&sandbox);
    let head = || sandbox.git(&["rev-parse", BRANCH]).ok().out.trim().to_owned();
    let staged = head();
    sandbox.dists(&[]).ok();
    let served = head();
    sandbox.git(&["rm", "-rq", "pool/main/b/bad", "suites/trixie/main/binary-amd64/b/bad"]).ok();
    sandbox.git(&["commit", "-qm", "Remove what is bad"]).ok();
    sandbox.dists(&[]).ok();
    assert!(!packages(&sandbox).contains("Package: bad"));
    (sandbox, [staged, served])
}

fn is_as_it_should_be(sandbox: &Sandbox, number: u64) {
    let run = sandbox.dists(&["--json"]).ok();
    assert_eq!(sequence(&run), number);
    assert!(run.err.is_empty(), "{}", run.err);
    assert!(!packages(sandbox).contains("Package: bad"));
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn a_release_that_was_staged_or_served_before_is_not_served_again() {
    let (sandbox, commits) = replaced();
    for (number, commit) in commits.iter().enumerate() {
        put_again(&sandbox, commit);
        let run = sandbox.dists(&["--json"]).ok().says(UNVOUCHED);
        assert_eq!(sequence(&run), 4 + number);
        is_as_it_should_be(&sandbox, 4 + number as u64);
    }
}

#[test]
fn a_branch_that_is_set_back_to_a_staged_release_does_not_take_clients_back() {
    let (sandbox, [staged, _]) = replaced();
    sandbox.git(&["branch", "-f", BRANCH, &staged]).ok();
    let run = sandbox
        .dists(&["--json"])
        .ok()
        .says("is left behind: clients have a Release of")
        .says("which is not on ddb/releases/trixie: that was set back");
    assert_eq!(run.json()["suites"][0]["outcome"], "published");
    is_as_it_should_be(&sandbox, 3);
}

#[test]
fn a_staged_release_of_another_archive_with_the_same_key_is_not_served() {
    let sandbox = published();
    sandbox.run("cp", &["-a", "archive", "theirs"]).ok();
    sandbox.deb("bad", "bad", "1", "amd64", "");
    sandbox.deploy(&["-C", "theirs", "commit", "bad"]).ok();
    let in_the_way = sandbox.path("theirs/public/dists/trixie/InRelease");
    std::fs::remove_file(&in_the_way).unwrap();
    std::fs::create_dir_all(in_the_way.join("folder")).unwrap();
    sandbox.publish(&["-C", "theirs", "dists", "trixie"]).exits(1);
    sandbox.git(&["fetch", "-q", "../theirs", &format!("+{BRANCH}:{BRANCH}")]).ok();
    let run = sandbox.dists(&["--json"]).ok().says("is left behind: its commit").says("is not in the history of refs/heads/main here");
    assert_eq!(run.json()["suites"][0]["outcome"], "published");
    is_as_it_should_be(&sandbox, 3);
}

#[test]
fn an_older_state_that_is_promoted_is_one_that_a_key_vouches_for() {
    let sandbox = published();
    let toml = sandbox.archive().join("ddb.toml");
    std::fs::write(&toml, std::fs::read_to_string(&toml).unwrap() + OTHER_SUITE).unwrap();
    sandbox.git(&["commit", "-qam", "Another suite"]).ok();
    sandbox.deb("two", "two", "1", "amd64", "");
    sandbox.commit("two", &["--suite", "trixie"]).ok();
    sandbox.dists(&[]).ok();
    // Records that nobody landed, and Releases of them that nobody served: a new one, and one with the number of an honest one.
    theirs(&sandbox);
    sandbox.git(&["fetch", "-q", "../theirs", "main:foreign"]).ok();
    let foreign = sandbox.git(&["rev-parse", "foreign"]).ok().out.trim().to_owned();
    for number in [3, 2, 1] {
        let mut planted = Plant::on(&sandbox, BRANCH);
        planted.edit("inputs.json", |inputs| {
            inputs["base"] = foreign.as_str().into();
            inputs["sequence"] = number.into();
        });
        let release = String::from_utf8(planted.file("Release")).unwrap() + &format!("Note: {number}\n");
        planted.put("Release", release);
        planted.commit(&[BRANCH, "foreign"]);
    }
    let promote = |from: &str| sandbox.publish(&["-C", "archive", "promote", from, "sid", "--all", "--no-publish", "--json"]);
    let offered = || sandbox.git(&["ls-tree", "-r", "--name-only", "HEAD", "suites/sid"]).ok().out;
    promote("trixie@3").exits(4).says("no key of the archive vouches for Release 3 of trixie");
    assert_eq!(offered(), "");
    for (from, expected) in [("trixie@1", 1), ("trixie@2", 2), ("trixie@20990101T000000Z", 2)] {
        assert_eq!(promote(from).ok().json()["release"], expected, "{from}");
        assert!(!offered().contains("evil"), "{}", offered());
    }
    // An honest commit of the archive that no key says a Release was made of.
    let base = sandbox.git(&["rev-parse", "HEAD"]).ok().out.trim().to_owned();
    let mut planted = Plant::on(&sandbox, BRANCH);
    planted.edit("inputs.json", |inputs| {
        inputs["base"] = base.as_str().into();
        inputs["sequence"] = 7.into();
    });
    planted.put("Release", [planted.file("Release"), b"Note: 7\n".to_vec()].concat());
    planted.commit(&[BRANCH, "HEAD"]);
    promote("trixie@7").exits(4).says("no key of the archive vouches for Release 7 of trixie");
}

#[test]
fn what_another_publisher_signed_by_a_clock_ahead_of_ours_is_nothing_of_the_future() {
    let sandbox = Sandbox::with_archive_at("2026-09-14T08:00:00Z");
    sandbox.deb("out", "plain", "1.0-1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    let in_the_way = sandbox.public().join("dists/trixie/InRelease");
    std::fs::create_dir_all(in_the_way.join("folder")).unwrap();
    sandbox.dists_at("2026-09-14T08:00:00Z", &[]).exits(1);
    std::fs::remove_dir_all(&in_the_way).unwrap();
    sandbox.dists_at("2026-09-14T11:00:00Z", &[]).ok();
    let run = sandbox.dists_at("2026-09-14T09:00:00Z", &["--json"]).ok();
    assert_eq!(run.json()["suites"][0]["outcome"], "unchanged");
    assert!(run.err.is_empty(), "{}", run.err);
}
