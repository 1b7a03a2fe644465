//! Several suites of one run in the next tree of a log, and proofs that are in the history for ever.

use std::io::Read as _;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use ddb::words::archive::LogKind;

use super::site::{Log, configure, sigsum_verify};
use super::{POLICY, read, sha256, with_log, with_package};
use crate::sandbox::Sandbox;

/// The same suite again under another name.
fn add_suite(sandbox: &Sandbox, codename: &str) {
    let settings = std::fs::read_to_string(sandbox.path("archive/ddb.toml")).unwrap();
    let suite = format!("[suites.{codename}]\ncomponents = [\"main\"]\narchitectures = [\"amd64\", \"all\"]\n\n");
    sandbox.write("archive/ddb.toml", settings.replacen("[suites.", &format!("{suite}[suites."), 1));
    sandbox.git(&["commit", "-q", "-a", "-m", "Another suite."]).ok();
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} did not come true");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn several_suites_of_one_run_wait_for_the_log_together() {
    let mut sandbox = with_package();
    for codename in ["sid", "forky"] {
        add_suite(&sandbox, codename);
    }
    let keeper = Sandbox::new();
    let mut log = Log::start(&keeper, "log");
    log.stop_witness();
    with_log(&mut sandbox, &format!("{}quorum log\n", log.lines()), "timeout = \"100s\"\n");
    let mut command = sandbox.command(env!("CARGO_BIN_EXE_ddb-publish"), &["-C", "archive", "dists", "--json"]);
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // All leaves are there before any of them is cosigned; one after the other, the first would hold up the others.
    until("three leaves", || log.size() == 3);
    assert!(!sandbox.public().join("dists").exists(), "nothing is served before");
    log.start_witness();
    let output = run.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let suites = answer["suites"].as_array().unwrap();
    assert_eq!(suites.len(), 3);
    for suite in suites {
        assert_eq!((&suite["outcome"], &suite["sequence"], &suite["logs"][0]), (&"published".into(), &1.into(), &"sigsum".into()));
        let dists = format!("archive/public/dists/{}", suite["codename"].as_str().unwrap());
        sigsum_verify(&sandbox, &format!("{dists}/Release.proof"), &format!("{dists}/Release"), POLICY).ok();
    }
    assert_eq!(log.size(), 3, "one leaf for each");
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
    // Nothing changed: nobody is asked.
    log.stop_log();
    let all = |more: &[&str]| sandbox.publish(&[&["-C", "archive", "dists", "--json"], more].concat());
    let outcomes = |answer: serde_json::Value| -> Vec<String> {
        answer["suites"].as_array().unwrap().iter().map(|suite| suite["outcome"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(outcomes(all(&[]).ok().json()), ["unchanged"; 3]);
    // A log that is down holds all of them up for one time, not for one each.
    configure(&sandbox, &std::fs::read_to_string(sandbox.path(POLICY)).unwrap(), "timeout = \"10s\"\n");
    let begun = Instant::now();
    all(&["--renew"]).exits(13);
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    log.forget();
    log.start_log();
    configure(&sandbox, &std::fs::read_to_string(sandbox.path(POLICY)).unwrap(), "timeout = \"100s\"\n");
    assert_eq!(outcomes(all(&[]).ok().json()), ["published"; 3]);
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
    all(&["--renew"]).ok();
    // A branch that was written anew is said of each, as where one is published alone.
    sandbox.git(&["commit", "-q", "--amend", "--allow-empty", "-m", "Another word"]).ok();
    let said = all(&["--renew"]).ok().err;
    assert_eq!(said.matches("its history was rewritten since").count(), 3, "{said}");
}

#[test]
fn a_log_that_becomes_required_while_a_publish_waits_is_asked_before_anything_is_served() {
    let mut sandbox = with_package();
    let keeper = Sandbox::new();
    let log = Log::start(&keeper, "log");
    // It takes connections and says nothing until it is gone.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let lines = log.lines().replace(&log.url(), &format!("http://{}", silent.local_addr().unwrap()));
    with_log(&mut sandbox, &format!("{lines}quorum log\n"), "mode = \"best-effort\"\ntimeout = \"8s\"\n");
    let mut command = sandbox.command(env!("CARGO_BIN_EXE_ddb-publish"), &["-C", "archive", "dists", "trixie", "--json"]);
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut stream, _) = silent.accept().unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    configure(&sandbox, &format!("{}quorum log\n", log.lines()), "timeout = \"100s\"\n");
    let output = run.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["suites"][0]["sequence"], &answer["suites"][0]["logs"][0]), (&1.into(), &"sigsum".into()));
    sigsum_verify(&sandbox, "archive/public/dists/trixie/Release.proof", "archive/public/dists/trixie/Release", POLICY).ok();
    assert!(ddb::formats::staple::stapled(&read(&sandbox.public().join("dists/trixie/InRelease")), LogKind::Sigsum).unwrap().is_some());
}

#[test]
fn the_history_keeps_the_first_proof_although_another_takes_its_place_beside_release() {
    let mut sandbox = with_package();
    let keeper = Sandbox::new();
    let (log, other) = (Log::start(&keeper, "log"), Log::start(&keeper, "other"));
    with_log(&mut sandbox, &format!("{}quorum log\n", log.lines()), "");
    sandbox.dists(&[]).ok();
    std::fs::copy(sandbox.public().join("archive-keyring.asc"), sandbox.path("pinned.asc")).unwrap();
    let dists = sandbox.public().join("dists/trixie");
    let digest = sha256(&sandbox, "archive/public/dists/trixie/Release");
    let (beside, history) = (dists.join("Release.proof"), dists.join(format!("tlog/{digest}.proof")));
    let first = read(&beside);
    assert_eq!(read(&history), first);
    configure(&sandbox, &format!("{}quorum other\n", other.lines()), "");
    sandbox.dists(&[]).ok();
    assert_ne!(read(&beside), first);
    assert_eq!(read(&history), first);
    // Also where it is put back, in an export and by the gateway.
    std::fs::remove_file(&history).unwrap();
    sandbox.deploy(&["-C", "archive", "fsck"]).exits(8);
    sandbox.dists(&["--repair"]).ok();
    assert_eq!(read(&history), first);
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
    sandbox.publish(&["-C", "archive", "export", "exported"]).ok();
    assert_eq!(read(&sandbox.path(format!("exported/dists/trixie/tlog/{digest}.proof"))), first);
    let gateway = crate::gateway::Gateway::of(&sandbox, &[]);
    assert_eq!(gateway.body(&format!("/dists/trixie/tlog/{digest}.proof")), first);
    assert_eq!(gateway.body("/dists/trixie/Release.proof"), read(&beside));
    gateway.stop();
    // Whoever trusts the new log alone is content, and is told.
    let verify = |policy: &str| {
        sandbox.write("pins", policy);
        let pins = ["--keyring", "pinned.asc", "--sigsum-policy", "pins", "--sigsum-key", "submit.pub"];
        sandbox.publish(&[&["verify", "archive/public", "--suite", "trixie"], &pins[..]].concat())
    };
    let run = verify(&format!("{}quorum other\n", other.lines())).ok();
    assert!(run.out.contains("is the first proof of this Release and does not count now"), "{}", run.out);
    // Whoever trusts the old one alone sees that what clients get now is not proved to them.
    verify(&format!("{}quorum log\n", log.lines())).exits(23);
    let run = verify(&format!("{}{}group both any log other\nquorum both\n", log.lines(), other.lines())).ok();
    assert!(!run.out.contains("does not count now"), "{}", run.out);
}
