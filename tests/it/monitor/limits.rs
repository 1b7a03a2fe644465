//! Logs that do not end or do not answer, and memory that is lost.

use super::liar::{clock, stranger};
use super::lying::watched;
use super::{alarms, kinds, known, log_of, logs_kept, monitor, well};
use ddb::formats::sigsum::leaf::Leaf;
use ddb::words::date::Timestamp;
use ddb::words::digest::Sha256;

#[test]
fn a_large_log_is_read_in_parts_and_each_part_is_checked() {
    let (sandbox, liar) = watched();
    let part = ["--state", "parts.json", "--leaves", "4"];
    for (size, read) in [(4, 4), (8, 4)] {
        let run = monitor(&sandbox, &part).exits(31);
        assert_eq!((log_of(&run, "size"), log_of(&run, "read"), log_of(&run, "complete")), (size.into(), read.into(), false.into()));
        assert!(run.out.contains(&format!("its tree has 9 leaves, of which {size} were read by now")), "{}", run.out);
    }
    // What was signed when a part was read must be in what is shown later.
    let leaves = liar.state.lock().unwrap().leaves.clone();
    liar.tell(|state| state.leaves.truncate(8));
    let run = monitor(&sandbox, &part).exits(30);
    assert!(kinds(&run, "alarms").contains(&"tree-shrunk".to_owned()), "{}", run.out);
    assert!(run.out.contains("that it signed") || run.out.contains("for this monitor"), "{}", run.out);
    liar.tell(|state| state.leaves = leaves);
    let run = well(monitor(&sandbox, &part), &[]);
    assert_eq!((log_of(&run, "size"), log_of(&run, "read"), log_of(&run, "own")), (9.into(), 1.into(), 3.into()));
    // No time at all: nothing is read, and nothing is lost.
    liar.fill(3);
    let run = monitor(&sandbox, &["--patience", "0s"]).exits(31);
    assert_eq!((log_of(&run, "size"), log_of(&run, "read")), (9.into(), 0.into()));
    assert_eq!(log_of(&well(monitor(&sandbox, &[]), &[]), "read"), 3);
}

#[test]
fn a_tree_without_end_holds_up_nobody_and_is_not_believed() {
    let (sandbox, liar) = watched();
    let before = logs_kept(&sandbox);
    liar.fill(90);
    liar.tell(|state| (state.claimed, state.root) = (Some(1 << 40), Some(Sha256::of(b"no tree"))));
    alarms(monitor(&sandbox, &["--leaves", "50"]), &["split-view"]);
    assert_eq!(logs_kept(&sandbox), before);
    let run = monitor(&sandbox, &["--leaves", "50", "--state", "new.json"]);
    alarms(run, &["leaves-not-of-tree"]);
    liar.tell(|state| (state.claimed, state.root) = (None, None));
    well(monitor(&sandbox, &[]), &[]);
}

#[test]
fn a_log_that_does_not_answer_for_long_becomes_an_alarm() {
    let (sandbox, liar) = watched();
    liar.fill(1);
    let at = |hours: i64| Timestamp(clock() + hours * 3600).iso8601();
    for refused in ["get-tree-head", "get-consistency-proof", "get-leaves"] {
        liar.tell(|state| state.refused = Some(refused));
        monitor(&sandbox, &[]).exits(31);
        let run = alarms(monitor(&sandbox, &["--now", &at(25), "--head-age", "9d"]), &["unreached"]);
        assert!(run.out.contains("longer than 1d"), "{}", run.out);
        let run = monitor(&sandbox, &["--now", &at(25), "--head-age", "9d", "--unreached", "2d"]).exits(31);
        assert_eq!(kinds(&run, "unreachable"), ["unreachable"]);
    }
    liar.tell(|state| state.refused = None);
    well(monitor(&sandbox, &[]), &[]);
}

#[test]
fn memory_that_is_lost_is_an_alarm_until_somebody_says_that_there_was_none() {
    let (sandbox, _liar) = watched();
    let fixed = ["-C", "archive", "monitor", "--json", "--site", "archive/public", "--state", "monitor.json"];
    let look = |more: &[&str]| sandbox.publish(&[&fixed[..], more].concat());
    look(&["--first"]).exits(2).says("it was seen before");
    let kept = super::state(&sandbox);
    std::fs::remove_file(sandbox.path("monitor.json")).unwrap();
    for _ in 0..2 {
        let run = alarms(look(&[]), &["no-memory"]);
        assert!(run.json()["alarms"][0]["acknowledge"].is_null() && run.out.contains("--first"), "{}", run.out);
        assert!(!sandbox.path("monitor.json").exists(), "nothing is remembered");
    }
    sandbox.write("monitor.json", kept);
    well(look(&[]), &[]);
    std::fs::remove_file(sandbox.path("monitor.json")).unwrap();
    well(look(&["--first"]), &["first-look"]);
    well(look(&[]), &[]);
}

#[test]
fn a_state_that_nobody_could_read_again_is_not_written_and_the_one_before_stays() {
    let (sandbox, liar) = watched();
    // As large as a state may be, but for some bytes.
    let text = super::state(&sandbox);
    let room = usize::try_from(ddb::stories::monitor::state::LIMIT).unwrap() - text.len() - 100;
    let large = text.replacen("\"acknowledged\": []", &format!("\"acknowledged\": [\"{}\"]", "a".repeat(room)), 1);
    assert_ne!(large, text);
    sandbox.write("monitor.json", &large);
    liar.fill(1);
    well(monitor(&sandbox, &[]), &[]);
    let before = super::state(&sandbox);
    let run = monitor(&sandbox, &["--acknowledge", &"b".repeat(200)]).exits(1);
    assert!(run.err.contains("more than the 67108864 that are read again") && run.out.contains("\"alarms\""), "{}", run.err);
    assert!(super::state(&sandbox) == before, "the one before stays");
    well(monitor(&sandbox, &[]), &[]);
}

#[test]
fn leaves_with_a_key_that_is_new_are_found_among_those_that_were_read_before() {
    let (sandbox, liar) = watched();
    let public = crate::sigsum::site::submit_key(&sandbox, "second");
    let key_hash = ddb::formats::openssh::public_key(&public).unwrap().hash();
    liar.tell(|state| state.leaves.push(Leaf { key_hash, ..stranger(b"forged") }));
    liar.fill(2);
    well(monitor(&sandbox, &[]), &[]);
    well(monitor(&sandbox, &["--from-now", "--state", "edge.json"]), &["first-look"]);
    sandbox.write("archive/keys/sigsum.pub", public);
    sandbox.git(&["commit", "-q", "-a", "-m", "Another key submits"]).ok();
    let run = alarms(monitor(&sandbox, &[]), &["trust-changed", "forged-leaf"]);
    assert_eq!((log_of(&run, "read"), log_of(&run, "own")), (12.into(), 4.into()));
    let said = known(&run);
    well(monitor(&sandbox, &said.iter().map(String::as_str).collect::<Vec<_>>()), &["acknowledged"]);
    let run = well(monitor(&sandbox, &[]), &[]);
    assert_eq!((log_of(&run, "read"), log_of(&run, "own")), (0.into(), 4.into()));
}
