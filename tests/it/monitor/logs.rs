//! A real log with a real witness, real sigsum-submit in a thief's hands, and sigsum-monitor as second opinion.

use std::collections::BTreeSet;

use super::{acknowledging, alarms, kinds, log_of, logs_kept, monitor, monitor_at, well, with_package};
use crate::sandbox::{Run, Sandbox};
use crate::sigsum::site::{Log, configure, give_key, program};

const POLICY: &str = "archive/keys/sigsum.policy";

fn with_log(log: &Log<'_>, more: &str) -> Sandbox {
    let mut sandbox = with_package();
    configure(&sandbox, &format!("{}quorum log\n", log.lines()), more);
    give_key(&mut sandbox);
    sandbox
}

/// Somebody logs a file with the archive's key, by Sigsum's own tool.
fn submit(sandbox: &Sandbox, key: &str, name: &str, text: &str) {
    sandbox.write(name, text);
    let path = |path: &str| sandbox.path(path).display().to_string();
    let arguments = ["-k", &path(key), "-p", &path(POLICY), "-o", &path(&format!("{name}.proof")), &path(name)];
    sandbox.run(&program("sigsum-submit"), &arguments).ok();
}

/// What sigsum-monitor of the same policy prints about our key, in some seconds.
fn sigsum_monitor(sandbox: &Sandbox) -> String {
    let path = |path: &str| sandbox.path(path).display().to_string();
    let arguments = ["4", &program("sigsum-monitor"), "-i", "1s", "-p", &path(POLICY), &path("submit.pub")];
    sandbox.run("timeout", &arguments).out
}

#[test]
fn a_good_log_is_followed_leaf_by_leaf_and_sigsum_monitor_sees_the_same_leaves() {
    let keeper = Sandbox::new();
    let log = Log::start(&keeper, "log");
    let sandbox = with_log(&log, "");
    // Before anything is logged.
    std::fs::create_dir(sandbox.public()).unwrap();
    let run = well(monitor(&sandbox, &[]), &["first-look"]);
    assert_eq!((log_of(&run, "size"), run.json()["first"].clone()), (0.into(), true.into()));
    for _ in 0..3 {
        sandbox.dists(&["--renew"]).ok();
    }
    let run = well(monitor(&sandbox, &[]), &[]);
    let expected = [("size", 3), ("read", 3), ("own", 3), ("start", 0)];
    for (field, value) in expected {
        assert_eq!(log_of(&run, field), value, "{field}");
    }
    assert_eq!((log_of(&run, "witnesses"), log_of(&run, "complete")), (serde_json::json!(["log"]), true.into()));
    let suite = run.json()["suites"][0].clone();
    assert_eq!((&suite["newest"], &suite["staged"], &suite["sites"][0]["sequence"]), (&3.into(), &3.into(), &3.into()));
    // Leaves of others are read and are nobody's business.
    crate::sigsum::site::submit_key(&sandbox, "stranger");
    submit(&sandbox, "stranger", "theirs", "something else");
    sandbox.dists(&["--renew"]).ok();
    let run = well(monitor(&sandbox, &[]), &[]);
    assert_eq!((log_of(&run, "size"), log_of(&run, "read"), log_of(&run, "own")), (5.into(), 2.into(), 4.into()));
    assert_eq!(log_of(&well(monitor(&sandbox, &[]), &[]), "read"), 0, "nothing is read twice");

    let kept = logs_kept(&sandbox);
    let (_, memory) = kept.as_object().unwrap().iter().next().unwrap();
    let ours: BTreeSet<String> =
        memory["leaves"].as_array().unwrap().iter().map(|leaf| leaf["about"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ours.len(), 4);
    let printed = sigsum_monitor(&sandbox);
    for checksum in &ours {
        assert!(printed.contains(checksum.as_str()), "{checksum} is not said by sigsum-monitor:\n{printed}");
    }
    assert_eq!(printed.matches("checksum").count(), ours.len(), "{printed}");

    // A monitor that begins with the head reads nothing of what was before, and everything after.
    let fresh = ["--from-now", "--state", "fresh.json"];
    let run = well(monitor(&sandbox, &fresh), &["first-look"]);
    assert_eq!((log_of(&run, "start"), log_of(&run, "read"), log_of(&run, "own")), (5.into(), 0.into(), 0.into()));
    sandbox.dists(&["--renew"]).ok();
    let run = well(monitor(&sandbox, &fresh), &[]);
    assert_eq!((log_of(&run, "read"), log_of(&run, "own")), (1.into(), 1.into()));
    let text = sandbox.publish(&["-C", "archive", "monitor", "--site", "archive/public", "--state", "monitor.json"]).ok().out;
    assert!(
        text.contains("6 leaves, 1 of them new, 5 with our keys, all of its signed tree, cosigned by log") && text.ends_with("No alarm.\n"),
        "{text}"
    );
}

#[test]
fn a_leaf_that_a_thief_logged_with_our_key_is_an_alarm_until_somebody_says_that_it_is_known() {
    let keeper = Sandbox::new();
    let log = Log::start(&keeper, "log");
    let sandbox = with_log(&log, "");
    sandbox.dists(&[]).ok();
    well(monitor(&sandbox, &[]), &["first-look"]);
    // Any forged Release for one victim: whatever proof it is shown, a leaf like this is in the log.
    let forged = std::fs::read_to_string(sandbox.public().join("dists/trixie/Release")).unwrap().replace("Origin: Test", "Origin: Tset");
    submit(&sandbox, "submit", "forged", &forged);
    let run = alarms(monitor(&sandbox, &[]), &["unknown-release-logged"]);
    let text = run.json()["alarms"][0]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("leaf 1 is signed with our key") && text.contains("somebody else has the key"), "{text}");
    let digest = sandbox.run("sha256sum", &["forged"]).ok().out.split(' ').next().unwrap().to_owned();
    let checksum = ddb::words::digest::Sha256::of(digest.parse::<ddb::words::digest::Sha256>().unwrap().as_bytes()).to_hex();
    assert!(text.contains(&checksum), "{text}");
    // It does not go away by itself, and a monitor that begins anew sees it too.
    alarms(monitor(&sandbox, &[]), &["unknown-release-logged"]);
    alarms(monitor(&sandbox, &["--state", "new.json"]), &["unknown-release-logged"]);
    // Its digest alone is no name: that could be said of other things as well.
    let run = alarms(monitor(&sandbox, &["--acknowledge", &checksum]), &["unknown-release-logged"]);
    well(acknowledging(&sandbox, "archive/public", &run, &[]), &[]);
    well(monitor(&sandbox, &[]), &[]);
    submit(&sandbox, "submit", "again", "another one");
    alarms(monitor(&sandbox, &[]), &["unknown-release-logged"]);
}

#[test]
fn a_log_that_begins_anew_with_the_same_key_is_noticed_also_when_its_tree_has_grown_as_large_again() {
    let keeper = Sandbox::new();
    let mut log = Log::start(&keeper, "log");
    let sandbox = with_log(&log, "");
    for _ in 0..2 {
        sandbox.dists(&["--renew"]).ok();
    }
    well(monitor(&sandbox, &[]), &["first-look"]);
    let before = logs_kept(&sandbox);
    log.stop_log();
    let run = monitor(&sandbox, &[]).exits(31);
    assert_eq!((kinds(&run, "alarms"), kinds(&run, "unreachable")), (vec![], vec!["unreachable".to_owned()]), "{}", run.out);
    let text = sandbox.publish(&["-C", "archive", "monitor", "--state", "monitor.json"]).exits(31).out;
    assert!(text.contains("NOT REACHED") && text.ends_with("No alarm, but 1 not reached: that is not the same.\n"), "{text}");

    log.forget();
    log.start_log();
    // The state knows a larger tree, and so do the proofs on the branch.
    for more in [&[][..], &["--state", "new.json"]] {
        let run = monitor(&sandbox, more).exits(30);
        assert!(kinds(&run, "alarms").contains(&"tree-shrunk".to_owned()), "{}", run.out);
    }
    assert_eq!(logs_kept(&sandbox), before, "what was seen is kept");
    crate::sigsum::site::submit_key(&sandbox, "stranger");
    for number in 0..3 {
        submit(&sandbox, "stranger", &format!("theirs{number}"), &format!("text {number}"));
    }
    // A monitor without memory has the proofs on the branch.
    for more in [&[][..], &["--state", "newer.json"]] {
        let run = monitor(&sandbox, more).exits(30);
        assert!(kinds(&run, "alarms").contains(&"split-view".to_owned()), "{}", run.out);
    }
    assert_eq!(logs_kept(&sandbox), before, "what was seen is kept");
}

#[test]
fn a_proof_by_best_effort_may_come_later_but_not_never() {
    let keeper = Sandbox::new();
    let mut log = Log::start(&keeper, "log");
    let sandbox = with_log(&log, "timeout = \"2s\"\nmode = \"best-effort\"\n");
    sandbox.dists(&[]).ok();
    log.stop_log();
    sandbox.dists(&["--renew"]).ok().says("has no sigsum proof");
    log.forget();
    log.start_log();
    let has = |run: &Run, list: &str, kind: &str| assert!(kinds(run, list).contains(&kind.to_owned()), "{kind}: {}", run.out);
    has(&monitor(&sandbox, &[]), "notes", "proof-pending");
    has(&monitor(&sandbox, &["--now", "2099-01-01T00:00:00Z"]), "alarms", "proof-overdue");
    // Required by now: then it is an alarm at once.
    configure(&sandbox, &std::fs::read_to_string(sandbox.path(POLICY)).unwrap(), "");
    has(&monitor(&sandbox, &[]), "alarms", "served-without-leaf");
}

#[test]
fn a_release_that_lost_a_race_after_it_was_logged_is_normal() {
    let keeper = Sandbox::new();
    let log = Log::start(&keeper, "log");
    let sandbox = with_log(&log, "");
    sandbox.dists(&[]).ok();
    well(monitor(&sandbox, &[]), &["first-look"]);
    // Something is in the way of what comes after the logs; then nobody can sign that Release any more.
    let signature = sandbox.public().join("dists/trixie/Release.gpg");
    std::fs::remove_file(&signature).unwrap();
    sandbox.write(signature.join("in-the-way"), "");
    sandbox.dists(&["--renew"]).exits(1);
    well(monitor(&sandbox, &[]), &["not-served-yet"]);
    std::fs::remove_dir_all(&signature).unwrap();
    std::fs::remove_dir_all(sandbox.path("home/.config/ddb/keys")).unwrap();
    sandbox.git(&["rm", "-q", "keys/*.asc"]).ok();
    sandbox.git(&["commit", "-q", "-m", "The old key is lost"]).ok();
    sandbox.publish(&["-C", "archive", "key", "generate"]).ok();
    sandbox.dists(&["--json"]).ok().says("takes its place");
    // Somebody has to say that the archive has another key now.
    let run = alarms(monitor(&sandbox, &[]), &["trust-changed"]);
    let run = well(acknowledging(&sandbox, "archive/public", &run, &[]), &["acknowledged"]);
    assert_eq!((log_of(&run, "own"), run.json()["suites"][0]["newest"].clone()), (3.into(), 3.into()));
    well(monitor(&sandbox, &[]), &[]);
    let run = well(monitor(&sandbox, &["--state", "new.json"]), &["first-look", "lost-race"]);
    assert!(run.out.contains("Release 2 of trixie, which was overtaken before it was served"), "{}", run.out);
}

#[test]
fn a_thief_with_both_keys_deceives_every_verifier_and_not_the_monitor() {
    let keeper = Sandbox::new();
    let log = Log::start(&keeper, "log");
    let sandbox = with_log(&log, "");
    sandbox.dists(&[]).ok();
    well(monitor(&sandbox, &[]), &["first-look"]);
    sandbox.run("cp", &["-a", "archive", "thief"]).ok();
    sandbox.deb("evil", "plain", "6.6-6", "amd64", "");
    sandbox.deploy(&["-C", "thief", "commit", "evil"]).ok();
    sandbox.publish(&["-C", "thief", "dists", "trixie"]).ok();
    let pins = ["--keyring", "archive/public/archive-keyring.asc", "--sigsum-policy", POLICY, "--sigsum-key", "submit.pub"];
    let verified = sandbox.publish(&[&["verify", "thief/public", "--suite", "trixie"], &pins[..]].concat()).ok();
    assert!(verified.out.contains("in the sigsum log"), "{}", verified.out);
    // Whoever was given it: the leaf is there for all to see.
    alarms(monitor(&sandbox, &[]), &["unknown-release-logged"]);
    alarms(monitor_at(&sandbox, "thief/public", &[]), &["unknown-release-logged", "unknown-release-served"]);
}

#[test]
fn a_publish_that_goes_on_meanwhile_is_no_alarm() {
    let keeper = Sandbox::new();
    let log = Log::start(&keeper, "log");
    let sandbox = with_log(&log, "");
    sandbox.dists(&[]).ok();
    let looks = std::thread::scope(|scope| {
        let publisher = scope.spawn(|| (0..4).for_each(|_| drop(sandbox.dists(&["--renew"]).ok())));
        let mut looks = 0;
        while !publisher.is_finished() {
            let run = monitor(&sandbox, &[]).ok();
            assert_eq!(kinds(&run, "alarms"), [""; 0], "{}", run.out);
            looks += 1;
        }
        looks
    });
    assert!(looks > 1, "it looked while Releases were published");
    let run = well(monitor(&sandbox, &[]), &[]);
    assert_eq!((log_of(&run, "own"), run.json()["suites"][0]["sites"][0]["sequence"].clone()), (5.into(), 5.into()));
}
