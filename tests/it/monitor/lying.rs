//! A log that lies: each lie is told to a monitor, and each is named. What was seen before stays what is remembered.

use ddb::formats::sigsum::leaf::Leaf;
use ddb::words::digest::Sha256;

use super::liar::{Liar, State, clock, stranger};
use super::{acknowledging, alarms, kinds, known, log_of, logs_kept, monitor, well, with_package};
use crate::sandbox::Sandbox;
use crate::sigsum::site::{configure, give_key};

/// An archive that logged three Releases among leaves of strangers, and a monitor that has seen all of it.
pub fn watched() -> (Sandbox, Liar) {
    let liar = Liar::start();
    let mut sandbox = with_package();
    configure(&sandbox, &liar.policy(), "");
    give_key(&mut sandbox);
    for count in [2, 3, 1] {
        liar.fill(count);
        sandbox.dists(&["--renew"]).ok();
    }
    let run = well(monitor(&sandbox, &[]), &["first-look"]);
    assert_eq!((log_of(&run, "size"), log_of(&run, "own")), (9.into(), 3.into()));
    (sandbox, liar)
}

/// Tells a lie, sees that it is named by a monitor with and without memory, and that nothing is learned from it.
#[track_caller]
fn named(sandbox: &Sandbox, liar: &Liar, lie: impl Fn(&mut State), known: &[&str], anew: &[&str]) {
    let (before, truth) = (logs_kept(sandbox), liar.state.lock().unwrap().leaves.clone());
    liar.tell(|state| lie(state));
    alarms(monitor(sandbox, &[]), known);
    alarms(monitor(sandbox, &[]), known);
    assert_eq!(logs_kept(sandbox), before, "what was seen is kept");
    std::fs::remove_file(sandbox.path("new.json")).unwrap_or_default();
    let run = monitor(sandbox, &["--state", "new.json"]);
    assert_eq!(kinds(&run, "alarms"), anew, "{}", run.out);
    liar.tell(|state| {
        (state.leaves, state.root, state.shown, state.consistency) = (truth, None, None, None);
        (state.cosigned, state.unsigned) = (Some(clock()), false);
    });
    well(monitor(sandbox, &[]), &[]);
}

#[test]
fn wrong_roots_other_leaves_and_shrunken_trees_are_named() {
    let (sandbox, liar) = watched();
    let other = Some(Sha256::of(b"other"));
    named(&sandbox, &liar, |state| state.root = other, &["split-view"], &["leaves-not-of-tree"]);
    let one_more = |state: &mut State| {
        state.leaves.push(stranger(b"one more"));
        state.root = other;
    };
    named(&sandbox, &liar, one_more, &["split-view"], &["leaves-not-of-tree"]);
    let shorter = |state: &mut State| state.leaves.truncate(5);
    // The proofs of two Releases are of larger trees.
    named(&sandbox, &liar, shorter, &["tree-shrunk"], &["tree-shrunk", "tree-shrunk"]);
    let changed = |state: &mut State| {
        state.leaves[3] = stranger(b"changed");
        state.leaves.push(stranger(b"one more"));
    };
    // Trees that the proofs of the later two name are not in it, and the leaf of none of ours is gone.
    named(&sandbox, &liar, changed, &["split-view"], &["split-view", "split-view"]);
    let removed = |state: &mut State| {
        state.leaves[2] = stranger(b"removed");
        state.leaves.push(stranger(b"one more"));
    };
    named(&sandbox, &liar, removed, &["split-view"], &["split-view", "split-view", "split-view", "served-without-leaf"]);
}

#[test]
fn leaves_that_are_not_those_of_the_signed_tree_are_named() {
    let (sandbox, liar) = watched();
    // The signed tree is true and its proof holds, but one of the new leaves is shown as another: a thief's, hidden.
    let hidden = |state: &mut State| {
        state.leaves.push(stranger(b"the thief's"));
        let mut shown = state.leaves.clone();
        *shown.last_mut().unwrap() = stranger(b"harmless");
        state.shown = Some(shown);
    };
    named(&sandbox, &liar, hidden, &["leaves-not-of-tree"], &["leaves-not-of-tree"]);
    let fewer = |state: &mut State| {
        state.leaves.push(stranger(b"not shown"));
        state.shown = Some(state.leaves[..9].to_vec());
    };
    liar.tell(fewer);
    let run = monitor(&sandbox, &[]).exits(31);
    assert!(run.out.contains("it gives no leaf from 9 on, and its tree has 10"), "{}", run.out);
    liar.tell(|state| state.shown = None);
    well(monitor(&sandbox, &[]), &[]);
    // A log gives leaves in pieces as small as it likes.
    liar.tell(|state| state.most = 2);
    assert_eq!(log_of(&well(monitor(&sandbox, &["--state", "pieces.json"]), &["first-look"]), "read"), 10);
}

#[test]
fn a_consistency_proof_that_does_not_hold_is_named_whatever_it_is() {
    let (sandbox, liar) = watched();
    for proof in ["", "node_hash=00\n", "nonsense\n", &format!("node_hash={}\n", Sha256::of(b"x")).repeat(4)] {
        let lie = |state: &mut State| {
            state.leaves.push(stranger(b"one more"));
            state.consistency = Some(proof.to_owned());
        };
        // Who begins reads all leaves, and needs no proof.
        let before = logs_kept(&sandbox);
        liar.tell(lie);
        alarms(monitor(&sandbox, &[]), &["split-view"]);
        assert_eq!(logs_kept(&sandbox), before);
        std::fs::remove_file(sandbox.path("new.json")).unwrap_or_default();
        well(monitor(&sandbox, &["--state", "new.json"]), &["first-look"]);
        liar.tell(|state| state.leaves.truncate(9));
    }
}

#[test]
fn tree_heads_without_good_signatures_or_new_cosignatures_are_named_and_nothing_is_learned_from_them() {
    let (sandbox, liar) = watched();
    named(&sandbox, &liar, |state| state.unsigned = true, &["bad-tree-head"], &["bad-tree-head"]);
    named(&sandbox, &liar, |state| state.cosigned = None, &["quorum-short"], &["quorum-short"]);
    // Two trees of one log are proof against it, whoever cosigned them or did not.
    let shrunken = |state: &mut State| {
        state.leaves.truncate(8);
        state.cosigned = None;
    };
    named(&sandbox, &liar, shrunken, &["tree-shrunk", "quorum-short"], &["tree-shrunk", "quorum-short"]);
    let other = |state: &mut State| (state.root, state.cosigned) = (Some(Sha256::of(b"other")), None);
    named(&sandbox, &liar, other, &["split-view", "quorum-short"], &["split-view", "quorum-short"]);
    let longer = |state: &mut State| {
        state.leaves[4] = stranger(b"another past");
        state.leaves.push(stranger(b"one more"));
        state.cosigned = None;
    };
    named(&sandbox, &liar, longer, &["split-view", "quorum-short"], &["quorum-short"]);
    let old = |state: &mut State| {
        state.cosigned = Some(clock() - 2 * 86_400);
        state.leaves.push(stranger(b"one more"));
    };
    named(&sandbox, &liar, old, &["tree-head-old"], &["tree-head-old"]);
    liar.tell(|state| state.cosigned = Some(clock() - 2 * 86_400));
    well(monitor(&sandbox, &["--head-age", "3d"]), &[]);
    // Of a tree that nobody vouches for no leaf is read, since it may have no end; a thief's leaf is an alarm as soon as somebody does.
    liar.tell(|state| (state.cosigned, state.asked) = (None, Vec::new()));
    let key = std::fs::read_to_string(sandbox.path("submit.pub")).unwrap();
    let key_hash = ddb::formats::openssh::public_key(&key).unwrap().hash();
    liar.tell(|state| state.leaves.push(Leaf { key_hash, ..stranger(b"forged") }));
    alarms(monitor(&sandbox, &[]), &["quorum-short"]);
    assert!(!liar.state.lock().unwrap().asked.iter().any(|asked| asked.starts_with("get-leaves")));
    liar.tell(|state| state.cosigned = Some(clock()));
    let run = alarms(monitor(&sandbox, &[]), &["forged-leaf"]);
    assert!(run.out.contains("its signature is not one by our key"), "{}", run.out);
}

#[test]
fn a_log_whose_fault_is_known_is_not_taken_for_one_that_was_read() {
    let (sandbox, liar) = watched();
    let at = |hours: i64| ddb::words::date::Timestamp(clock() + hours * 3600).iso8601();
    type Change = fn(&mut State);
    let faults: [(&str, Change); 3] = [
        ("bad-tree-head", |state| state.unsigned = true),
        ("quorum-short", |state| state.cosigned = None),
        ("tree-head-old", |state| state.cosigned = Some(clock() - 2 * 86_400)),
    ];
    for (hour, (kind, fault)) in (1..).zip(faults) {
        liar.tell(fault);
        let run = alarms(monitor(&sandbox, &[]), &[kind]);
        let run = acknowledging(&sandbox, "archive/public", &run, &[]).exits(31);
        assert_eq!((kinds(&run, "alarms"), kinds(&run, "unreachable")), (vec![], vec!["unreachable".to_owned()]), "{}", run.out);
        monitor(&sandbox, &[]).exits(31);
        alarms(monitor(&sandbox, &["--now", &at(30)]), &["unreached"]);
        liar.tell(|state| (state.cosigned, state.unsigned) = (Some(clock()), false));
        well(monitor(&sandbox, &["--now", &at(hour), "--head-age", "9d"]), &[]);
        // After a good look it is another fault.
        liar.tell(fault);
        alarms(monitor(&sandbox, &[]), &[kind]);
        liar.tell(|state| (state.cosigned, state.unsigned) = (Some(clock()), false));
    }
}

#[test]
fn a_log_that_shows_two_monitors_two_trees_is_named_when_they_compare() {
    let (sandbox, liar) = watched();
    // This monitor sees a tree that has a leaf, and the other one a tree that has another leaf in its place.
    let other = ["--state", "other.json"];
    well(monitor(&sandbox, &other), &["first-look"]);
    liar.fill(1);
    well(monitor(&sandbox, &[]), &[]);
    liar.tell(|state| *state.leaves.last_mut().unwrap() = stranger(b"for the other monitor"));
    liar.fill(2);
    well(monitor(&sandbox, &other), &[]);
    let run = alarms(monitor(&sandbox, &[&other[..], &["--compare", "monitor.json"]].concat()), &["split-view"]);
    assert!(run.out.contains("that it signed for the monitor of monitor.json is not in the tree of 12 leaves"), "{}", run.out);
    well(monitor(&sandbox, &[&other[..], &["--compare", "other.json"]].concat()), &[]);
    monitor(&sandbox, &["--compare", "nowhere.json"]).exits(2);
    // The file has both sides' signed tree heads: whoever sees both knows that the log lied.
    for file in ["monitor.json", "other.json"] {
        assert!(std::fs::read_to_string(sandbox.path(file)).unwrap().contains("signature="));
    }
}

#[test]
fn a_publisher_that_was_shown_a_tree_of_its_own_is_noticed() {
    let liar = Liar::start();
    let mut sandbox = with_package();
    configure(&sandbox, &liar.policy(), "");
    give_key(&mut sandbox);
    liar.fill(3);
    sandbox.dists(&[]).ok();
    // The publisher has a good proof, and everybody else sees a log without that leaf.
    liar.tell(|state| state.leaves[3] = stranger(b"in its place"));
    liar.fill(2);
    alarms(monitor(&sandbox, &[]), &["split-view", "served-without-leaf"]);
    alarms(monitor(&sandbox, &[]), &["split-view", "served-without-leaf"]);
    let run = alarms(monitor(&sandbox, &["--from-now", "--state", "later.json"]), &["split-view"]);
    assert_eq!(known(&run)[1], known(&monitor(&sandbox, &[]))[1], "every monitor names it so");
    assert!(run.out.contains("that it signed for the proof of Release 1 of trixie"), "{}", run.out);
    // One after the other is known: that the tree was shown, and the Release.
    let said = known(&run);
    let run = alarms(monitor(&sandbox, &[&said[0], &said[1]]), &["served-without-leaf"]);
    well(acknowledging(&sandbox, "archive/public", &run, &[]), &[]);
    well(monitor(&sandbox, &[]), &[]);
}

#[test]
fn logs_that_fail_are_not_taken_for_good_ones_and_names_of_logs_are_checked() {
    let (sandbox, liar) = watched();
    liar.tell(|state| state.status = Some(500));
    let run = monitor(&sandbox, &[]).exits(31);
    assert_eq!((kinds(&run, "alarms").len(), kinds(&run, "unreachable").len(), log_of(&run, "complete")), (0, 1, false.into()));
    liar.tell(|state| (state.status, state.asked) = (None, Vec::new()));
    // Left out, nothing is asked, and nothing can be said of leaves.
    let name = liar.name();
    let run = well(monitor(&sandbox, &["--leave-out", &name[..12]]), &["not-configured", "not-configured"]);
    assert!(run.json()["logs"].as_array().unwrap().is_empty() && liar.state.lock().unwrap().asked.is_empty());
    let run = alarms(monitor(&sandbox, &["--leave-out", "0123456789"]), &["unreadable"]);
    assert!(run.out.contains("no log of this name is trusted"), "{}", run.out);
    monitor(&sandbox, &["--log-address", "nonsense"]).exits(2).says("LOG=URL");
    let nowhere = format!("{name}=http://127.0.0.1:1");
    monitor(&sandbox, &["--log-address", &nowhere]).exits(31);
    // A state that was changed, or is none, is not believed.
    let text = super::state(&sandbox);
    for bad in [text.replacen("\"size\": 9", "\"size\": 8", 1), "{}".to_owned(), String::new()] {
        assert_ne!(bad, text);
        sandbox.write("monitor.json", &bad);
        monitor(&sandbox, &[]).exits(1).says("Bring back the last good one");
        assert_eq!(super::state(&sandbox), bad);
    }
}
