//! Alarms end when somebody says that they are known, and come again when it is about something else.

use super::liar::stranger;
use super::lying::watched;
use super::sites::{MONDAY, TUESDAY, archive, copy, replace, set_time};
use super::{acknowledging, alarms, log_of, monitor, monitor_at, well};

#[test]
fn alarms_about_a_site_are_known_until_it_serves_something_else() {
    let mut sandbox = archive(MONDAY);
    copy(&sandbox, "archive/public", "monday");
    copy(&sandbox, "archive/public", "mirror");
    well(monitor_at(&sandbox, "mirror", &[]), &["not-configured"]);
    set_time(&mut sandbox, TUESDAY);
    sandbox.dists(&["--renew"]).ok();
    let late = ["--now", "2026-09-15T20:00:00Z"];
    let known = |kind: &str, notes: &[&str], later: &[&str]| {
        let run = alarms(monitor_at(&sandbox, "mirror", &late), &[kind]);
        well(acknowledging(&sandbox, "mirror", &run, &late), notes);
        well(monitor_at(&sandbox, "mirror", &late), later);
    };
    known("frozen", &["not-configured"], &["not-configured"]);
    copy(&sandbox, "archive/public", "mirror");
    well(monitor_at(&sandbox, "mirror", &late), &["not-configured"]);
    // Back on Monday's, which is known to be old, and not that it came back.
    copy(&sandbox, "monday", "mirror");
    known("rolled-back", &["not-configured", "acknowledged"], &["not-configured"]);
    copy(&sandbox, "archive/public", "mirror");
    well(monitor_at(&sandbox, "mirror", &late), &["not-configured"]);
    copy(&sandbox, "monday", "mirror");
    alarms(monitor_at(&sandbox, "mirror", &late), &["rolled-back"]);
    let file = sandbox.path("mirror/dists/trixie/InRelease");
    for bad in ["", "nonsense"] {
        replace(&file, bad);
        known("bad-in-release", &["not-configured"], &["not-configured"]);
    }
    std::fs::remove_file(&file).unwrap();
    known("bad-in-release", &["not-configured"], &["not-configured"]);
    copy(&sandbox, "archive", "thief");
    sandbox.deb("evil", "plain", "6.6-6", "amd64", "");
    sandbox.deploy(&["-C", "thief", "commit", "evil"]).ok();
    sandbox.publish(&["-C", "thief", "dists", "trixie"]).ok();
    copy(&sandbox, "thief/public", "mirror");
    known("unknown-release-served", &["not-configured"], &["not-configured"]);
}

#[test]
fn a_log_that_was_begun_anew_is_followed_on_when_somebody_says_that_it_is_known() {
    let (sandbox, liar) = watched();
    liar.tell(|state| state.leaves = vec![stranger(b"new"), stranger(b"newer")]);
    let run = alarms(monitor(&sandbox, &[]), &["tree-shrunk"]);
    // Only what the alarm says, not the log's name.
    alarms(monitor(&sandbox, &["--acknowledge", &liar.name()]), &["tree-shrunk"]);
    let run = well(acknowledging(&sandbox, "archive/public", &run, &[]), &["acknowledged", "first-look"]);
    // What was logged before is not missed, and not forgotten.
    assert_eq!((log_of(&run, "size"), log_of(&run, "own")), (2.into(), 3.into()));
    well(monitor(&sandbox, &[]), &[]);
    sandbox.dists(&["--renew"]).ok();
    let run = well(monitor(&sandbox, &[]), &[]);
    assert_eq!((log_of(&run, "size"), log_of(&run, "own")), (3.into(), 4.into()));
    // Once more is an alarm once more.
    liar.tell(|state| state.leaves = vec![stranger(b"another")]);
    alarms(monitor(&sandbox, &[]), &["tree-shrunk"]);
}
