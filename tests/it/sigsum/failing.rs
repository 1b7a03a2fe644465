//! Logs and witnesses that fail: what a required one stops, what best effort goes on without, and how the next run ends it.

use std::net::TcpListener;
use std::time::Instant;

use ddb::formats::staple::stapled;
use ddb::words::archive::LogKind;

use super::site::{Log, configure, give_key, key_hash, sigsum_verify, submit_key};
use super::{POLICY, read, with_log, with_package};
use crate::sandbox::{Run, Sandbox};

/// A package was published with a log that works; then a new Release is wanted.
fn published<'a>(sandbox: &mut Sandbox, log: &Log<'a>) -> Vec<u8> {
    with_log(sandbox, &format!("{}quorum log\n", log.lines()), "");
    sandbox.dists(&[]).ok();
    let policy = std::fs::read_to_string(sandbox.path(POLICY)).unwrap();
    configure(sandbox, &policy, SHORTLY);
    in_release(sandbox)
}

fn in_release(sandbox: &Sandbox) -> Vec<u8> {
    read(&sandbox.public().join("dists/trixie/InRelease"))
}

/// The Release that is staged, and its number.
fn staged(sandbox: &Sandbox) -> (String, u64) {
    let show = |file: &str| sandbox.git(&["show", &format!("ddb/releases/trixie:{file}")]).ok();
    (show("Release").out, show("inputs.json").json()["sequence"].as_u64().unwrap())
}

fn is_served(sandbox: &Sandbox) -> bool {
    sandbox.git(&["cat-file", "-e", "ddb/releases/trixie:served.json"]).code == 0
}

/// A publish that must stop without a proof, and change nothing that clients see.
#[track_caller]
fn stops(sandbox: &Sandbox, before: &[u8], says: &str) -> Run {
    let run = sandbox.dists(&["--renew"]).exits(13).says(says);
    assert_eq!(in_release(sandbox), before, "clients see what they saw before");
    assert!(!is_served(sandbox));
    run
}

/// The next publish must go on with the Release that is staged.
#[track_caller]
fn goes_on(sandbox: &Sandbox) {
    // Machines that run tests are busy.
    goes_on_within(sandbox, "100s");
}

#[track_caller]
fn goes_on_within(sandbox: &Sandbox, timeout: &str) {
    let (release, sequence) = staged(sandbox);
    configure(sandbox, &std::fs::read_to_string(sandbox.path(POLICY)).unwrap(), &format!("timeout = \"{timeout}\"\n"));
    let answer = sandbox.dists(&["--json"]).ok().json();
    assert_eq!(answer["suites"][0]["sequence"], sequence);
    assert_eq!(read(&sandbox.public().join("dists/trixie/Release")), release.as_bytes());
    assert!(is_served(sandbox));
    proven(sandbox);
}

#[track_caller]
fn proven(sandbox: &Sandbox) {
    sigsum_verify(sandbox, "archive/public/dists/trixie/Release.proof", "archive/public/dists/trixie/Release", POLICY).ok();
    let proof = read(&sandbox.public().join("dists/trixie/Release.proof"));
    assert_eq!(stapled(&in_release(sandbox), LogKind::Sigsum).unwrap(), Some(proof));
}

const SHORTLY: &str = "timeout = \"3s\"\n";

#[test]
fn a_log_that_is_down_stops_a_publish_and_another_machine_goes_on_with_the_same_release() {
    let mut sandbox = with_package();
    let keeper = Sandbox::new();
    let mut log = Log::start(&keeper, "log");
    let before = published(&mut sandbox, &log);
    log.stop_log();
    stops(&sandbox, &before, "does not answer as it should");
    // Tried again while it is still down: nothing new is staged.
    let first = staged(&sandbox);
    stops(&sandbox, &before, "does not answer as it should");
    assert_eq!(staged(&sandbox), first);
    sandbox.deploy(&["-C", "archive", "fsck"]).exits(8).says("");

    // Its tree is gone with it, and the witness does not vouch for another one of the same log.
    log.start_log();
    stops(&sandbox, &before, "gave no sufficient proof within 3 s");
    log.forget();
    // Another machine has the repository and the key, and nothing of what was made here.
    std::fs::rename(sandbox.path("home/.cache"), sandbox.path("elsewhere")).unwrap_or_default();
    goes_on(&sandbox);
    assert_eq!(log.size(), 1);
}

#[test]
fn best_effort_publishes_without_a_proof_and_gets_it_later() {
    let mut sandbox = with_package();
    let keeper = Sandbox::new();
    let mut log = Log::new(&keeper, "log");
    with_log(&mut sandbox, &format!("{}quorum log\n", log.lines()), "timeout = \"2s\"\nmode = \"best-effort\"\n");
    let answer = sandbox.dists(&["--json"]).ok().says("has no sigsum proof").json();
    assert_eq!(answer["suites"][0]["logs"].as_array().unwrap().len(), 0);
    let plain = in_release(&sandbox);
    let dists = sandbox.public().join("dists/trixie");
    assert!(stapled(&plain, LogKind::Sigsum).unwrap().is_none() && !dists.join("Release.proof").exists() && !dists.join("tlog").exists());
    let state =
        |sandbox: &Sandbox| sandbox.publish(&["-C", "archive", "log", "--json"]).ok().json()["suites"][0]["logs"][0]["proof"].clone();
    assert_eq!(state(&sandbox), "missing");
    sandbox.publish(&["-C", "archive", "log", "--pending"]).exits(13).says("does not answer");

    log.start_witness();
    log.start_log();
    let release = read(&dists.join("Release"));
    configure(&sandbox, &format!("{}quorum log\n", log.lines()), "mode = \"best-effort\"\n");
    let run = sandbox.publish(&["-C", "archive", "log", "--pending"]).ok();
    assert!(run.out.contains("sigsum (best effort): has a good proof"), "{}", run.out);
    assert_eq!((state(&sandbox), read(&dists.join("Release"))), ("good".into(), release));
    proven(&sandbox);
    assert_eq!(ddb::formats::staple::without(&in_release(&sandbox), LogKind::Sigsum).unwrap(), plain, "nothing was signed again");
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
    assert_eq!(sandbox.dists(&["--json"]).ok().json()["suites"][0]["outcome"], "unchanged");
    sandbox.publish(&["-C", "archive", "log", "--pending"]).ok();
    assert_eq!(log.size(), 1);

    // A later Release without a proof does not keep that of the one before.
    log.stop_log();
    configure(&sandbox, &format!("{}quorum log\n", log.lines()), "timeout = \"2s\"\nmode = \"best-effort\"\n");
    sandbox.dists(&["--renew"]).ok().says("has no sigsum proof");
    assert!(!dists.join("Release.proof").exists());
    assert_eq!(std::fs::read_dir(dists.join("tlog")).unwrap().count(), 2, "the history stays");
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn a_log_that_becomes_required_is_asked_although_nothing_changed() {
    let mut sandbox = with_package();
    sandbox.dists(&[]).ok();
    let keeper = Sandbox::new();
    let log = Log::start(&keeper, "log");
    with_log(&mut sandbox, &format!("{}quorum log\n", log.lines()), "");
    let run = sandbox.publish(&["-C", "archive", "log", "--json"]).exits(13).says("1 required proof is missing or not good");
    let answer = run.says("dists/trixie/Release.proof: it is missing").json();
    assert_eq!((&answer["failure"]["exit_code"], &answer["suites"][0]["logs"][0]["proof"]), (&13.into(), &"missing".into()));
    let answer = sandbox.dists(&["--json"]).ok().json();
    assert_eq!((&answer["suites"][0]["sequence"], &answer["suites"][0]["logs"][0]), (&1.into(), &"sigsum".into()));
    proven(&sandbox);
    sandbox.publish(&["-C", "archive", "log"]).ok();
}

#[test]
fn a_proof_that_does_not_hold_any_more_is_replaced_and_until_then_said_to_be_bad() {
    let mut sandbox = with_package();
    let keeper = Sandbox::new();
    let (log, other) = (Log::start(&keeper, "log"), Log::start(&keeper, "other"));
    with_log(&mut sandbox, &format!("{}quorum log\n", log.lines()), "");
    sandbox.dists(&[]).ok();
    let file = sandbox.public().join("dists/trixie/Release.proof");
    let before = (read(&file), read(&sandbox.public().join("dists/trixie/Release")));
    // The archive goes over to another log.
    for (number, (command, log)) in [("dists", &other), ("pending", &log)].into_iter().enumerate() {
        configure(&sandbox, &format!("{}quorum {}\n", log.lines(), ["other", "log"][number]), "");
        sandbox.publish(&["-C", "archive", "log"]).exits(13).says("dists/trixie/Release.proof: it does not hold");
        match command {
            "dists" => assert_eq!(sandbox.dists(&["--json"]).ok().json()["suites"][0]["outcome"], "repaired"),
            _ => drop(sandbox.publish(&["-C", "archive", "log", "--pending"]).ok()),
        }
        proven(&sandbox);
        sandbox.publish(&["-C", "archive", "log"]).ok();
        sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
        assert_eq!((read(&file).len(), read(&sandbox.public().join("dists/trixie/Release"))), (before.0.len(), before.1.clone()));
    }
}

#[test]
fn what_a_log_gave_is_kept_when_the_publish_fails_afterwards() {
    let mut sandbox = with_package();
    let keeper = Sandbox::new();
    let mut log = Log::start(&keeper, "log");
    published(&mut sandbox, &log);
    configure(&sandbox, &format!("{}quorum log\n", log.lines()), "timeout = \"100s\"\n");
    let proof = |sandbox: &Sandbox| sandbox.git(&["show", "ddb/releases/trixie:Release.proof"]);
    // Something is in the way of a file that comes after the logs.
    let signature = sandbox.public().join("dists/trixie/Release.gpg");
    std::fs::remove_file(&signature).unwrap();
    sandbox.write(signature.join("in-the-way"), "");
    sandbox.dists(&["--renew"]).exits(1);
    assert!(!is_served(&sandbox));
    let kept = proof(&sandbox).ok().out;
    std::fs::remove_dir_all(&signature).unwrap();
    log.stop_log();
    sandbox.dists(&[]).ok();
    assert_eq!(read(&sandbox.public().join("dists/trixie/Release.proof")), kept.as_bytes());
    proven(&sandbox);

    // Staged, not logged; and then nobody can sign it.
    configure(&sandbox, &format!("{}quorum log\n", log.lines()), SHORTLY);
    sandbox.dists(&["--renew"]).exits(13);
    assert_ne!(proof(&sandbox).code, 0);
    log.forget();
    log.start_log();
    configure(&sandbox, &format!("{}quorum log\n", log.lines()), "timeout = \"100s\"\n");
    let (keys, away) = (sandbox.path("home/.config/ddb/keys"), sandbox.path("keys-away"));
    std::fs::rename(&keys, &away).unwrap();
    sandbox.dists(&[]).exits(7);
    let kept = proof(&sandbox).ok().out;
    std::fs::rename(&away, &keys).unwrap();
    log.stop_log();
    sandbox.dists(&[]).ok();
    assert!(is_served(&sandbox));
    assert_eq!(read(&sandbox.public().join("dists/trixie/Release.proof")), kept.as_bytes());
    proven(&sandbox);
}

#[test]
fn a_witness_that_is_down_stops_a_publish_and_the_leaf_is_not_added_twice() {
    let mut sandbox = with_package();
    let keeper = Sandbox::new();
    let mut log = Log::start(&keeper, "log");
    let before = published(&mut sandbox, &log);
    log.stop_witness();
    stops(&sandbox, &before, "0 witnesses of the policy cosigned");
    stops(&sandbox, &before, "0 witnesses of the policy cosigned");
    assert_eq!(log.size(), 2);
    log.start_witness();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    goes_on(&sandbox);
    assert_eq!(log.size(), 2);
    // A policy that asks for nobody needs nobody.
    log.stop_witness();
    configure(&sandbox, &format!("{}quorum none\n", log.lines()), SHORTLY);
    sandbox.dists(&["--renew"]).ok();
    proven(&sandbox);
}

#[test]
fn a_quorum_that_is_short_stops_a_publish() {
    let mut sandbox = with_package();
    let keeper = Sandbox::new();
    let (log, other) = (Log::start(&keeper, "log"), Log::new(&keeper, "other"));
    let before = published(&mut sandbox, &log);
    let witnesses = other.lines().lines().filter(|line| line.starts_with("witness")).map(|line| format!("{line}\n")).collect::<String>();
    configure(&sandbox, &format!("{}{witnesses}group both all log other\nquorum both\n", log.lines()), SHORTLY);
    stops(&sandbox, &before, "1 witnesses of the policy cosigned the tree head, which its quorum \"both\" does not accept");
    configure(&sandbox, &format!("{}{witnesses}group one any log other\nquorum one\n", log.lines()), SHORTLY);
    goes_on(&sandbox);
}

#[test]
fn a_log_that_is_over_its_limit_or_does_not_know_the_key_stops_a_publish() {
    let mut sandbox = with_package();
    submit_key(&sandbox, "submit");
    submit_key(&sandbox, "stranger");
    let keeper = Sandbox::new();
    let mut log = Log::new(&keeper, "log").limited(&key_hash(&sandbox, "submit"), 1);
    log.start_witness();
    log.start_log();
    let before = published(&mut sandbox, &log);
    stops(&sandbox, &before, "takes nothing more from us for now (status 429");
    assert_eq!(log.size(), 1);

    // Another log of the policy takes it.
    let other = Log::start(&keeper, "other");
    configure(&sandbox, &format!("{}{}group any any log other\nquorum any\n", log.lines(), other.lines()), SHORTLY);
    goes_on(&sandbox);
    assert_eq!((log.size(), other.size()), (1, 1));
}

#[test]
fn a_log_that_says_nothing_costs_its_time_and_no_more() {
    let mut sandbox = with_package();
    let keeper = Sandbox::new();
    let log = Log::start(&keeper, "log");
    let before = published(&mut sandbox, &log);
    // It accepts connections, and that is all.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let lines = log.lines().replace(&log.url(), &format!("http://{}", silent.local_addr().unwrap()));
    configure(&sandbox, &format!("{lines}quorum log\n"), "timeout = \"2s\"\n");
    let started = Instant::now();
    stops(&sandbox, &before, "does not answer as it should");
    assert!(started.elapsed().as_secs() < 60);
    // Beside one that answers it only takes its share of the time.
    let other = Log::start(&keeper, "other");
    configure(&sandbox, &format!("{lines}{}group any any log other\nquorum any\n", other.lines()), "");
    goes_on_within(&sandbox, "20s");
    assert_eq!(other.size(), 1);
}

#[test]
fn one_of_two_logs_is_enough_whichever_is_down_and_one_that_refuses_is_not_asked_again() {
    let mut sandbox = with_package();
    let keeper = Sandbox::new();
    let (mut one, mut two) = (Log::start(&keeper, "one"), Log::start(&keeper, "two"));
    let policy = format!("{}{}group any any one two\nquorum any\n", one.lines(), two.lines());
    with_log(&mut sandbox, &policy, "");
    one.stop_log();
    sandbox.dists(&[]).ok();
    proven(&sandbox);
    one.start_log();
    two.stop_log();
    sandbox.dists(&["--renew"]).ok();
    proven(&sandbox);
    let before = in_release(&sandbox);
    // A server that is no log.
    let server = crate::server::Server::of(&sandbox.public());
    let lines = two.lines().replace(&two.url(), server.url().trim_end_matches('/'));
    configure(&sandbox, &format!("{lines}quorum two\n"), "timeout = \"60s\"\n");
    let started = Instant::now();
    stops(&sandbox, &before, "");
    assert!(started.elapsed().as_secs() < 60, "what does not help is not tried again");
}

#[test]
fn a_log_that_shows_a_tree_that_it_did_not_sign_is_not_believed() {
    let mut sandbox = with_package();
    let keeper = Sandbox::new();
    let log = Log::start(&keeper, "log");
    let before = published(&mut sandbox, &log);
    // The policy trusts another key at the same address.
    let other = Log::new(&keeper, "other");
    let lines = other.lines().replace(&other.url(), &log.url());
    configure(&sandbox, &format!("{lines}quorum none\n"), SHORTLY);
    stops(&sandbox, &before, "the tree head is not signed by its log");
}

#[test]
fn a_bad_policy_or_key_in_the_repository_is_named() {
    let mut sandbox = with_package();
    configure(&sandbox, "quorum\n", "");
    give_key(&mut sandbox);
    sandbox.dists(&[]).exits(4).says("keys/sigsum.policy: line 1: it should be \"quorum NAME\"");
    configure(&sandbox, "quorum none\n", "");
    sandbox.dists(&[]).exits(4).says("no log of it has an address");
    std::fs::write(sandbox.path("submit.pub"), "ssh-rsa x\n").unwrap();
    configure(&sandbox, "quorum none\n", "");
    sandbox.dists(&[]).exits(4).says("keys/sigsum.pub: it is not the line of an OpenSSH public key");
    sandbox.git(&["rm", "-q", "keys/sigsum.policy"]).ok();
    sandbox.git(&["commit", "-q", "-m", "Remove the policy"]).ok();
    sandbox.dists(&[]).exits(4).says("keys/sigsum.policy: it is missing in commit");
}
