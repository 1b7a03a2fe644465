//! Branches that lose history: a monitor remembers where they were.

use ddb::formats::sigsum::leaf::Leaf;

use super::liar::stranger;
use super::lying::watched;
use super::{acknowledging, alarms, first, kinds, known, monitor, well, with_package};
use crate::sandbox::Sandbox;

const RELEASES: &str = "ddb/releases/trixie";

fn tip(sandbox: &Sandbox, branch: &str) -> String {
    sandbox.git(&["rev-parse", branch]).ok().out.trim().to_owned()
}

#[test]
fn a_rewritten_branch_is_an_alarm_until_somebody_says_that_it_was_meant() {
    let sandbox = with_package();
    sandbox.dists(&[]).ok();
    sandbox.dists(&["--renew"]).ok();
    well(monitor(&sandbox, &[]), &["not-configured"]);
    // What was never published is not missed: history goes on.
    sandbox.git(&["commit", "-q", "--allow-empty", "-m", "Go on"]).ok();
    sandbox.dists(&["--renew"]).ok();
    well(monitor(&sandbox, &[]), &["not-configured"]);

    // The main branch is written anew, with the same content.
    let before = tip(&sandbox, "main");
    sandbox.git(&["commit", "-q", "--amend", "--allow-empty", "-m", "Another word"]).ok();
    let run = alarms(monitor(&sandbox, &[]), &["history-rewritten"]);
    assert!(run.out.contains(&before) && run.out.contains(&tip(&sandbox, "main")), "{}", run.out);
    alarms(monitor(&sandbox, &[]), &["history-rewritten"]);
    // It is named by what was lost, whatever came on top meanwhile.
    sandbox.git(&["commit", "-q", "--allow-empty", "-m", "Go on again"]).ok();
    well(acknowledging(&sandbox, "archive/public", &run, &[]), &["acknowledged", "not-configured"]);
    well(monitor(&sandbox, &[]), &["not-configured"]);

    // The newest Release is taken from its branch, although clients have it.
    let released = tip(&sandbox, RELEASES);
    sandbox.git(&["update-ref", &format!("refs/heads/{RELEASES}"), &format!("{RELEASES}~2")]).ok();
    let run = alarms(monitor(&sandbox, &[]), &["history-rewritten", "unknown-release-served"]);
    assert!(run.out.contains(&released), "{}", run.out);
    sandbox.git(&["update-ref", "-d", &format!("refs/heads/{RELEASES}")]).ok();
    let run = monitor(&sandbox, &[]).exits(30);
    assert_eq!(kinds(&run, "alarms"), ["branch-gone", "unknown-release-served"], "{}", run.out);
    let name = known(&run).swap_remove(1);
    let said = ["--acknowledge", &name, "--state", "said.json"];
    std::fs::copy(sandbox.path("monitor.json"), sandbox.path("said.json")).unwrap();
    alarms(monitor(&sandbox, &said), &["unknown-release-served"]);
    alarms(monitor(&sandbox, &said[2..]), &["unknown-release-served"]);
    sandbox.git(&["update-ref", &format!("refs/heads/{RELEASES}"), &released]).ok();
    well(monitor(&sandbox, &[]), &["not-configured"]);
}

#[test]
fn a_remote_is_looked_at_and_not_the_clone_and_a_clone_that_is_made_anew_knows_no_less() {
    let sandbox = with_package();
    sandbox.dists(&[]).ok();
    sandbox.run("git", &["init", "-q", "--bare", "--initial-branch=main", "remote.git"]).ok();
    let remote = sandbox.path("remote.git").display().to_string();
    sandbox.git(&["remote", "add", "origin", &remote]).ok();
    sandbox.git(&["push", "-q", "-u", "origin", "main", RELEASES]).ok();
    let address = format!("file://{remote}");
    let from = |more: &[&str]| {
        let fixed = ["-C", &address, "monitor", "--json", "--site", "archive/public", "--state", "monitor.json"];
        sandbox.publish(&[&fixed[..], first(&sandbox, &fixed), more].concat())
    };
    well(from(&[]), &["not-configured"]);
    let force = |what: &str| sandbox.git(&["push", "-q", "-f", "origin", what]).ok();
    // Somebody with the right to push writes the Releases anew; the clone that monitors has only what it is given.
    sandbox.git(&["fetch", "-q", "origin"]).ok();
    let parent = tip(&sandbox, &format!("{RELEASES}~1"));
    force(&format!("{parent}:refs/heads/{RELEASES}"));
    let clone = sandbox.path("home/.cache/ddb");
    for fresh in [false, true] {
        if fresh {
            std::fs::remove_dir_all(&clone).unwrap();
        }
        // It is staged and not marked as served any more, so that it seems to be on its way.
        let run = from(&[]).exits(30);
        assert_eq!(kinds(&run, "alarms"), ["history-rewritten"], "{}", run.out);
    }
    force(&format!("{RELEASES}:{RELEASES}"));
    well(from(&[]), &["not-configured"]);
    // The same by a clone of one's own that has diverged, and without fetching.
    force(&format!("{parent}:refs/heads/{RELEASES}"));
    sandbox.git(&["commit", "-q", "--allow-empty", "-m", "Only here"]).ok();
    alarms(monitor(&sandbox, &[]), &["history-rewritten"]);
    well(monitor(&sandbox, &["--no-fetch"]), &["not-configured"]);
    // A shallow clone cannot tell, and says so.
    sandbox.run("git", &["clone", "-q", "--depth", "1", "--no-single-branch", &address, "shallow"]).ok();
    let run = sandbox.publish(&["-C", "shallow", "monitor", "--state", "monitor.json"]).exits(4);
    assert!(run.err.contains("a shallow clone"), "{}", run.err);
    std::fs::remove_dir_all(&remote).unwrap();
    from(&[]).exits(31);
    // Who keeps the remote away blinds the monitor, which is an alarm after a day.
    let at = |hours: i64| ddb::words::date::Timestamp(super::liar::clock() + hours * 3600).iso8601();
    from(&["--now", &at(23)]).exits(31);
    from(&["--now", &at(25)]).exits(30).says("nothing was looked at since").says("for longer than 1d");
    from(&["--now", &at(25), "--unreached", "2d"]).exits(31);
}

#[test]
fn a_remote_that_goes_away_between_two_looks_is_not_reached_and_what_was_seen_is_said() {
    let (sandbox, liar) = watched();
    sandbox.run("git", &["init", "-q", "--bare", "--initial-branch=main", "remote.git"]).ok();
    let (remote, away) = (sandbox.path("remote.git"), sandbox.path("away.git"));
    sandbox.git(&["remote", "add", "origin", &remote.display().to_string()]).ok();
    sandbox.git(&["push", "-q", "-u", "origin", "main", RELEASES]).ok();
    well(monitor(&sandbox, &[]), &[]);
    let key = std::fs::read_to_string(sandbox.path("submit.pub")).unwrap();
    let key_hash = ddb::formats::openssh::public_key(&key).unwrap().hash();
    liar.tell(|state| state.leaves.push(Leaf { key_hash, ..stranger(b"forged") }));
    let go = || {
        let (from, to) = (remote.clone(), away.clone());
        liar.before_the_next(move || std::fs::rename(from, to).unwrap());
    };
    // While the log is read, that is after the first look.
    go();
    let run = alarms(monitor(&sandbox, &[]), &["forged-leaf"]);
    assert_eq!(run.json()["unreachable"][0]["subject"], "repository", "{}", run.out);
    assert_eq!(run.json()["suites"][0]["served"], 3, "{}", run.out);
    std::fs::rename(&away, &remote).unwrap();
    let run = alarms(monitor(&sandbox, &[]), &["forged-leaf"]);
    assert!(kinds(&run, "unreachable").is_empty(), "what was seen is remembered: {}", run.out);
    well(acknowledging(&sandbox, "archive/public", &run, &[]), &[]);
    go();
    let run = monitor(&sandbox, &[]).exits(31);
    assert_eq!((kinds(&run, "alarms"), kinds(&run, "unreachable")), (vec![], vec!["unreachable".to_owned()]), "{}", run.out);
}
