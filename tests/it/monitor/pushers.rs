//! Who may push, and does not mean well: what stands on the archive's branches is not believed where sites and logs say another thing.

use ddb::formats::sigsum::leaf::Leaf;

use super::liar::{Liar, clock, stranger};
use super::lying::watched;
use super::{acknowledging, alarms, kinds, log_of, monitor, monitor_at, well, with_package};
use crate::sandbox::{Run, Sandbox};
use crate::sigsum::site::{configure, give_key};

pub const RELEASES: &str = "ddb/releases/trixie";

/// So many hours from now.
fn later(hours: i64) -> String {
    ddb::words::date::Timestamp(clock() + hours * 3600).iso8601()
}

/// Looks so many hours from now, with cosignatures as old as that.
fn look(sandbox: &Sandbox, site: &str, hours: i64, more: &[&str]) -> Run {
    monitor_at(sandbox, site, &[&["--now", &later(hours), "--head-age", "365d"], more].concat())
}

/// Changes a text of ddb.toml and commits that.
fn change(sandbox: &Sandbox, folder: &str, from: &str, to: &str) {
    let path = sandbox.path(folder).join("ddb.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let changed = text.replacen(from, to, 1);
    assert_ne!(text, changed);
    std::fs::write(path, changed).unwrap();
    sandbox.run("git", &["-C", folder, "commit", "-q", "-a", "-m", "Change ddb.toml"]).ok();
}

/// Commits other files on top of a branch of Releases.
pub fn commit_beside(sandbox: &Sandbox, files: &[(&str, &str)]) {
    sandbox.git(&["worktree", "add", "-q", "--detach", "../beside", RELEASES]).ok();
    for (name, text) in files {
        sandbox.write(format!("beside/{name}"), text);
    }
    sandbox.run("git", &["-C", "beside", "add", "-A"]).ok();
    sandbox.run("git", &["-C", "beside", "commit", "-q", "-m", "Change what is beside Release"]).ok();
    let tip = sandbox.run("git", &["-C", "beside", "rev-parse", "HEAD"]).ok().out.trim().to_owned();
    sandbox.git(&["worktree", "remove", "--force", "../beside"]).ok();
    sandbox.git(&["update-ref", &format!("refs/heads/{RELEASES}"), &tip]).ok();
}

/// A thief with the archive's OpenPGP key publishes a Release without logs in a copy, and pushes that it was staged, not more.
fn staged_by_a_thief(sandbox: &Sandbox) {
    sandbox.run("cp", &["-a", "archive", "thief"]).ok();
    change(sandbox, "thief", "[logs.sigsum]\n", "[logs.sigsum]\nmode = \"off\"\n");
    sandbox.publish(&["-C", "thief", "dists", "trixie", "--renew"]).ok();
    sandbox.git(&["fetch", "-q", "../thief", &format!("+{RELEASES}:refs/thief")]).ok();
    sandbox.git(&["update-ref", &format!("refs/heads/{RELEASES}"), "refs/thief~1"]).ok();
    assert_ne!(sandbox.git(&["cat-file", "-e", &format!("{RELEASES}:served.json")]).code, 0, "it is only staged");
}

#[test]
fn a_release_that_a_site_serves_needs_its_leaf_whatever_its_branch_says() {
    let (sandbox, _liar) = watched();
    staged_by_a_thief(&sandbox);
    // Its commit gives it away at once; without that, what is served tells.
    let run = alarms(monitor_at(&sandbox, "thief/public", &[]), &["base-not-in-history"]);
    well(acknowledging(&sandbox, "thief/public", &run, &[]), &["not-served-yet"]);
    let expected = ["served-without-leaf", "unserved-release-served"];
    let run = alarms(look(&sandbox, "thief/public", 2, &[]), &expected);
    assert!(run.out.contains("Release 4 of trixie is served by a site"), "{}", run.out);
    // That it is served no more does not end it: somebody got it.
    alarms(look(&sandbox, "archive/public", 2, &[]), &expected[..1]);
    // Nor does a proof of another Release beside it, of a tree head that is good.
    let proof = sandbox.git(&["cat-file", "blob", &format!("{RELEASES}~1:Release.proof")]).ok().out;
    commit_beside(&sandbox, &[("Release.proof", &proof)]);
    let run = alarms(look(&sandbox, "archive/public", 2, &[]), &["bad-proof", "served-without-leaf"]);
    well(acknowledging(&sandbox, "archive/public", &run, &["--now", &later(2), "--head-age", "365d"]), &[]);
    well(look(&sandbox, "archive/public", 3, &[]), &[]);
}

#[test]
fn every_kept_proof_is_checked_whole() {
    let (sandbox, _liar) = watched();
    let tip = sandbox.git(&["rev-parse", RELEASES]).ok().out.trim().to_owned();
    let good = sandbox.git(&["cat-file", "blob", &format!("{RELEASES}:Release.proof")]).ok().out;
    let line = |name: &str| good.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    let (index, cosignature, node, leaf) = (line("leaf_index="), line("cosignature="), line("node_hash="), line("leaf="));
    // Nor does whoever it names become one of ours, whose leaves are then looked for.
    let foreign = format!("leaf={} {}", super::liar::stranger(b"x").key_hash, leaf.rsplit_once(' ').unwrap().1);
    let (head, tail) = leaf.split_at(leaf.len() - 1);
    let other = format!("{head}{}", if tail == "0" { "1" } else { "0" });
    let cases = [
        ("leaf_index=9000", &index),
        ("leaf_index=7", &index),
        ("", &cosignature),
        ("node_hash=0000000000000000000000000000000000000000000000000000000000000000", &node),
        (&other, &leaf),
        (&foreign, &leaf),
        ("nonsense", &leaf),
    ];
    for (number, (to, from)) in cases.into_iter().enumerate() {
        let bad = good.replacen(from.as_str(), to, 1);
        assert_ne!(bad, good);
        commit_beside(&sandbox, &[("Release.proof", &bad)]);
        let state = format!("{number}.json");
        let run = alarms(monitor(&sandbox, &["--state", &state]), &["bad-proof"]);
        assert!(run.out.contains("proof beside Release 3 of trixie"), "{}", run.out);
        well(acknowledging(&sandbox, "archive/public", &run, &["--state", &state]), &[]);
        sandbox.git(&["update-ref", &format!("refs/heads/{RELEASES}"), &tip]).ok();
    }
    well(monitor(&sandbox, &[]), &[]);
}

#[test]
fn who_takes_what_is_watched_out_of_ddb_toml_is_noticed_until_somebody_says_that_it_was_meant() {
    let (sandbox, liar) = watched();
    let known = |run: &Run, notes: &[&str]| {
        well(acknowledging(&sandbox, "archive/public", run, &[]), notes);
        well(monitor(&sandbox, &[]), notes.strip_prefix(&["acknowledged"]).unwrap_or(notes));
    };
    change(&sandbox, "archive", "[archive]\n", "[archive]\nurl = \"http://127.0.0.1:1/\"\n");
    well(monitor(&sandbox, &[]), &[]);
    change(&sandbox, "archive", "127.0.0.1:1/", "127.0.0.1:2/");
    let run = alarms(monitor(&sandbox, &[]), &["watch-ended"]);
    assert!(run.out.contains("archive.url was http://127.0.0.1:1/ and is http://127.0.0.1:2/"), "{}", run.out);
    known(&run, &["acknowledged"]);
    // A log that is asked for less; what was required still is, until somebody says so.
    change(&sandbox, "archive", "[logs.sigsum]\n", "[logs.sigsum]\nmode = \"best-effort\"\ntimeout = \"2s\"\n");
    alarms(monitor(&sandbox, &[]), &["watch-ended"]);
    liar.tell(|state| state.status = Some(500));
    sandbox.dists(&["--renew"]).ok();
    liar.tell(|state| state.status = None);
    alarms(monitor(&sandbox, &[]), &["watch-ended", "served-without-leaf"]);
    change(&sandbox, "archive", "mode = \"best-effort\"\n", "");
    let run = alarms(monitor(&sandbox, &[]), &["served-without-leaf"]);
    known(&run, &[]);
    // Another policy: the thief's witness, or none.
    let policy = liar.policy();
    configure(&sandbox, &policy.replace("quorum w", "quorum none"), "");
    let run = alarms(monitor(&sandbox, &[]), &["trust-changed"]);
    assert!(run.out.contains("the sigsum policy was"), "{}", run.out);
    configure(&sandbox, &policy, "");
    well(monitor(&sandbox, &[]), &[]);
    // Off altogether, and back.
    change(&sandbox, "archive", "[logs.sigsum]\n", "[logs.sigsum]\nmode = \"off\"\n");
    let run = alarms(monitor(&sandbox, &[]), &["watch-ended"]);
    assert!(run.out.contains("the sigsum log was required and is off"), "{}", run.out);
    alarms(monitor(&sandbox, &[]), &["watch-ended"]);
    known(&run, &["acknowledged", "not-configured", "not-configured"]);
    // What is published meanwhile need not be logged, and what comes after it must be.
    sandbox.dists(&["--renew"]).ok();
    well(monitor(&sandbox, &[]), &["not-configured", "not-configured"]);
    change(&sandbox, "archive", "mode = \"off\"\n", "");
    // Whoever switches a log on publishes anew soon, and not at once. The Release before was by best effort.
    well(monitor(&sandbox, &[]), &["proof-pending", "proof-pending"]);
    alarms(look(&sandbox, "archive/public", 30, &[]), &["proof-overdue", "served-without-leaf"]);
    sandbox.dists(&["--renew"]).ok();
    well(monitor(&sandbox, &[]), &["proof-pending"]);
    // The same once more is an alarm once more.
    change(&sandbox, "archive", "[logs.sigsum]\n", "[logs.sigsum]\nmode = \"off\"\n");
    alarms(monitor(&sandbox, &[]), &["watch-ended"]);
    change(&sandbox, "archive", "mode = \"off\"\n", "");
    // A suite, also where it is one that the command names.
    change(&sandbox, "archive", "[suites.\"trixie\"]", "[suites.\"forky\"]");
    let run = alarms(monitor(&sandbox, &["trixie"]), &["watch-ended"]);
    assert!(run.out.contains("there is no suite trixie any more"), "{}", run.out);
    // Until somebody says that this was meant, it is looked at.
    assert_eq!(run.json()["suites"][0]["codename"], "trixie");
    assert_eq!(run.json()["suites"][0]["sites"].as_array().unwrap().len(), 1, "{}", run.out);
}

#[test]
fn a_log_that_is_switched_off_or_not_trusted_any_more_is_followed_until_somebody_knows_of_that() {
    let (sandbox, liar) = watched();
    let key = std::fs::read_to_string(sandbox.path("submit.pub")).unwrap();
    let key_hash = ddb::formats::openssh::public_key(&key).unwrap().hash();
    let forge = |file: &[u8]| liar.tell(|state| state.leaves.push(Leaf { key_hash, ..stranger(file) }));
    let before = sandbox.git(&["rev-parse", "main"]).ok().out.trim().to_owned();
    let back = || {
        sandbox.git(&["checkout", "-q", &before, "--", "."]).ok();
        sandbox.git(&["commit", "-q", "-m", "Put it back"]).ok();
    };
    let known = |run: &Run, kind: &str, notes: &[&str]| {
        let all = run.json()["alarms"].as_array().unwrap().clone();
        let alarm = all.iter().find(|alarm| alarm["kind"] == kind).unwrap();
        let name = alarm["acknowledge"].as_str().unwrap().to_owned();
        let run = monitor(&sandbox, &["--acknowledge", &name]);
        assert_eq!(kinds(&run, "notes"), notes, "{}", run.out);
        run
    };
    // Off, with what it needs taken away too.
    change(&sandbox, "archive", "[logs.sigsum]\n", "[logs.sigsum]\nmode = \"off\"\n");
    sandbox.git(&["rm", "-q", "keys/sigsum.policy", "keys/sigsum.pub"]).ok();
    sandbox.git(&["commit", "-q", "-m", "Take them away"]).ok();
    let run = alarms(monitor(&sandbox, &[]), &["watch-ended"]);
    assert_eq!((log_of(&run, "complete"), log_of(&run, "size")), (true.into(), 9.into()), "{}", run.out);
    forge(b"while it is off");
    alarms(monitor(&sandbox, &[]), &["watch-ended", "forged-leaf"]);
    // What is published meanwhile needs its leaf, too.
    sandbox.dists(&["--renew"]).ok();
    let run = alarms(monitor(&sandbox, &[]), &["watch-ended", "forged-leaf", "served-without-leaf"]);
    known(&run, "forged-leaf", &[]);
    alarms(monitor(&sandbox, &[]), &["watch-ended", "served-without-leaf"]);
    // In memory it is, not in Git: that commit may be gone as well.
    let tip = sandbox.git(&["rev-parse", "main"]).ok().out.trim().to_owned();
    let anew = sandbox.git(&["commit-tree", "main^{tree}", "-m", "All anew"]).ok().out;
    sandbox.git(&["update-ref", "refs/heads/main", anew.trim()]).ok();
    forge(b"while nobody has the commit");
    let run = monitor(&sandbox, &[]).exits(30);
    assert!(kinds(&run, "alarms").contains(&"forged-leaf".to_owned()), "{}", run.out);
    sandbox.git(&["update-ref", "refs/heads/main", &tip]).ok();
    back();
    let run = alarms(monitor(&sandbox, &[]), &["forged-leaf", "served-without-leaf"]);
    well(acknowledging(&sandbox, "archive/public", &run, &[]), &[]);
    // Another policy, with a log and a witness of the thief's.
    let other = Liar::start();
    other.tell(|state| state.become_another());
    configure(&sandbox, &other.policy(), "");
    let expected = ["watch-ended", "trust-changed"];
    let run = alarms(monitor(&sandbox, &[]), &expected);
    assert_eq!(run.json()["logs"].as_array().unwrap().len(), 2, "{}", run.out);
    forge(b"while another is trusted");
    alarms(monitor(&sandbox, &[]), &["watch-ended", "trust-changed", "forged-leaf"]);
    back();
    let run = alarms(monitor(&sandbox, &[]), &["watch-ended", "forged-leaf"]);
    well(acknowledging(&sandbox, "archive/public", &run, &[]), &["acknowledged", "not-configured"]);
    // Nor does a log that has no address keep it from being read.
    let (first, rest) = liar.policy().split_once('\n').map(|(first, rest)| (first.to_owned(), rest.to_owned())).unwrap();
    let nowhere = format!("{first}\nlog {}\n{rest}", "5866666666666666666666666666666666666666666666666666666666666666");
    configure(&sandbox, &nowhere, "");
    forge(b"while a log has no address");
    let run = alarms(monitor(&sandbox, &[]), &["trust-changed", "forged-leaf", "unreadable"]);
    assert!(run.out.contains("has no address there"), "{}", run.out);
    known(&run, "forged-leaf", &["not-configured"]);
    back();
    let run = alarms(monitor(&sandbox, &[]), &["watch-ended"]);
    well(acknowledging(&sandbox, "archive/public", &run, &[]), &["acknowledged", "not-configured"]);
    // The same log by a policy that asks no witness: it is asked as before.
    configure(&sandbox, &liar.policy().replace("quorum w", "quorum none"), "");
    liar.tell(|state| state.cosigned = None);
    alarms(monitor(&sandbox, &[]), &["trust-changed", "quorum-short"]);
    let run = monitor(&sandbox, &[]).exits(30);
    // Once it is known, what is now counts.
    known(&run, "trust-changed", &["acknowledged", "not-configured"]).exits(0);
    well(monitor(&sandbox, &[]), &["not-configured"]);
}

#[test]
fn every_served_release_that_waits_for_its_proof_becomes_overdue() {
    let liar = Liar::start();
    let mut sandbox = with_package();
    configure(&sandbox, &liar.policy(), "mode = \"best-effort\"\ntimeout = \"2s\"\n");
    give_key(&mut sandbox);
    liar.tell(|state| state.status = Some(500));
    sandbox.dists(&[]).ok();
    sandbox.dists(&["--renew"]).ok();
    liar.tell(|state| state.status = None);
    sandbox.dists(&["--renew"]).ok();
    well(monitor(&sandbox, &[]), &["first-look", "proof-pending", "proof-pending"]);
    // A branch that says that clients will get it some day gains no time by that.
    let run = look(&sandbox, "archive/public", -48, &[]).exits(30);
    assert!(kinds(&run, "alarms").contains(&"proof-overdue".to_owned()) && run.out.contains("is to come yet"), "{}", run.out);
    let run = alarms(look(&sandbox, "archive/public", 48, &[]), &["proof-overdue", "proof-overdue"]);
    assert!(
        run.out.contains("Release 1 of trixie was served since") && run.out.contains("Release 2 of trixie was served since"),
        "{}",
        run.out
    );
}

#[test]
fn a_release_that_claims_to_be_older_than_it_is_is_noticed() {
    let (sandbox, _liar) = watched();
    let show = |file: &str| sandbox.git(&["cat-file", "blob", &format!("{RELEASES}:{file}")]).ok().out;
    // Releases from before anybody watched may be in no log: a thief would like to be one of them.
    let (release, inputs) = (show("Release").replace("Origin: Test", "Origin: Tset"), show("inputs.json"));
    let older = inputs.replace("\"sequence\": 3", "\"sequence\": 1").replace("\"sequence\":3", "\"sequence\":1");
    assert_ne!(older, inputs);
    commit_beside(&sandbox, &[("Release", &release), ("inputs.json", &older)]);
    let run = monitor(&sandbox, &[]).exits(30);
    assert!(kinds(&run, "alarms").contains(&"unreadable".to_owned()) && run.out.contains("numbers only grow"), "{}", run.out);
}

#[test]
fn what_cannot_be_read_does_not_hide_what_was_found() {
    let (sandbox, liar) = watched();
    let tip = sandbox.git(&["rev-parse", RELEASES]).ok().out.trim().to_owned();
    commit_beside(&sandbox, &[("inputs.json", "{")]);
    let run = alarms(monitor(&sandbox, &[]), &["unreadable"]);
    assert!(run.out.contains("inputs.json"), "{}", run.out);
    // Nor is what was seen forgotten for it, at a first look and later.
    let begun = ["--state", "begun.json"];
    alarms(monitor(&sandbox, &begun), &["unreadable"]);
    assert!(sandbox.path("begun.json").exists());
    let key = std::fs::read_to_string(sandbox.path("submit.pub")).unwrap();
    let key_hash = ddb::formats::openssh::public_key(&key).unwrap().hash();
    liar.tell(|state| state.leaves.push(ddb::formats::sigsum::leaf::Leaf { key_hash, ..super::liar::stranger(b"forged") }));
    let run = alarms(monitor(&sandbox, &[]), &["forged-leaf", "unreadable"]);
    assert!(run.out.contains("inputs.json"), "{}", run.out);
    let run = alarms(monitor(&sandbox, &begun), &["forged-leaf", "unreadable"]);
    let name = run.json()["alarms"][0]["acknowledge"].as_str().unwrap().to_owned();
    alarms(monitor(&sandbox, &[&begun[..], &["--acknowledge", &name]].concat()), &["unreadable"]);
    alarms(monitor(&sandbox, &begun), &["unreadable"]);
    // Nor does a ddb.toml that nobody can read: the branches are looked at all the same.
    let before = sandbox.git(&["rev-parse", "main"]).ok().out.trim().to_owned();
    sandbox.git(&["update-ref", &format!("refs/heads/{RELEASES}"), &format!("{tip}~1")]).ok();
    sandbox.write("archive/ddb.toml", "nonsense");
    sandbox.git(&["commit", "-q", "-a", "-m", "Break it"]).ok();
    let run = monitor(&sandbox, &[]).exits(30);
    let found = kinds(&run, "alarms");
    assert!(found.contains(&"history-rewritten".to_owned()) && found.contains(&"unreadable".to_owned()), "{}", run.out);
    assert!(found.contains(&"forged-leaf".to_owned()), "what was seen of a log counts: {}", run.out);
    sandbox.git(&["reset", "-q", "--hard", &before]).ok();
}

#[test]
fn a_commit_without_release_hides_nothing_that_stands_before_it() {
    let (sandbox, _liar) = watched();
    let tree = sandbox.git(&["hash-object", "-w", "-t", "tree", "/dev/null"]).ok().out;
    let empty = sandbox.git(&["commit-tree", tree.trim(), "-p", RELEASES, "-m", "Nothing"]).ok().out;
    sandbox.git(&["update-ref", &format!("refs/heads/{RELEASES}"), empty.trim()]).ok();
    let run = alarms(monitor(&sandbox, &[]), &["unreadable"]);
    assert!(run.out.contains(empty.trim()), "{}", run.out);
    assert_eq!(run.json()["suites"][0]["served"], 3);
}

#[test]
fn what_was_served_without_proof_is_noticed_while_its_log_is_down() {
    let (sandbox, liar) = watched();
    change(&sandbox, "archive", "[logs.sigsum]\n", "[logs.sigsum]\nmode = \"best-effort\"\ntimeout = \"2s\"\n");
    liar.tell(|state| state.status = Some(500));
    sandbox.dists(&["--renew"]).ok();
    change(&sandbox, "archive", "mode = \"best-effort\"\n", "");
    let run = alarms(monitor(&sandbox, &[]), &["served-without-leaf"]);
    assert!(run.out.contains("Release 4 of trixie") && kinds(&run, "unreachable") == ["unreachable"], "{}", run.out);
    liar.tell(|state| state.status = None);
    alarms(monitor(&sandbox, &[]), &["served-without-leaf"]);
}
