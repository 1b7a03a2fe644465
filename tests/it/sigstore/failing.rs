//! Logs of Sigstore that fail, behind a proxy that breaks connections and answers: what stops, what goes on, and what the next run
//! makes of it.

use std::time::{Duration, Instant};

use super::site::{Rekor, configure, give_key, is_built, verify_blob};
use super::{BUNDLE, RELEASE, bundle, read, with_package};
use crate::faults::{Fault, Faults};
use crate::sandbox::Sandbox;

const ENTRIES: &str = "/api/v2/log/entries";

/// A publish that must stop, and leave clients what they had.
#[track_caller]
fn stops(sandbox: &Sandbox, code: i32, says: &str) {
    let file = sandbox.public().join("dists/trixie/InRelease");
    let before = std::fs::read(&file).ok();
    sandbox.dists(&["--renew"]).exits(code).says(says);
    assert_eq!(std::fs::read(&file).ok(), before, "clients see what they saw before");
    assert_ne!(sandbox.git(&["cat-file", "-e", "ddb/releases/trixie:served.json"]).code, 0, "the staged Release is not served");
}

/// The next publish must serve the Release that is staged, with a good bundle.
#[track_caller]
fn goes_on(sandbox: &Sandbox) {
    let staged = sandbox.git(&["show", "ddb/releases/trixie:Release"]).ok().out;
    sandbox.dists(&[]).ok();
    assert_eq!(read(&sandbox.path(RELEASE)), staged.as_bytes());
    verify_blob(sandbox, BUNDLE, RELEASE).ok();
}

#[test]
fn a_log_that_is_down_slow_or_over_its_limit_stops_a_publish_and_the_next_one_goes_on() {
    if !is_built() {
        return;
    }
    let mut sandbox = with_package();
    let keeper = Sandbox::new();
    let mut log = Rekor::start(&keeper, "log");
    let proxy = Faults::before(&log.url());
    let settings = |timeout: &str| format!("url = \"{}\"\ntimeout = \"{timeout}\"\n", proxy.endpoint());
    configure(&sandbox, &[log.trusted()], &settings("60s"));
    give_key(&mut sandbox);
    sandbox.dists(&[]).ok();

    configure(&sandbox, &[log.trusted()], &settings("3s"));
    log.stop();
    stops(&sandbox, 13, "does not answer as it should");
    let (first, sequence) = (sandbox.git(&["show", "ddb/releases/trixie:Release"]).ok().out, "ddb/releases/trixie:inputs.json");
    stops(&sandbox, 13, "does not answer as it should");
    assert_eq!(sandbox.git(&["show", "ddb/releases/trixie:Release"]).ok().out, first, "nothing else is staged");
    assert_eq!(sandbox.git(&["show", sequence]).ok().json()["sequence"], 2);
    // Restarted on its own tree, it goes on with it.
    log.start_again();
    for (fault, says) in [
        (Fault::Status(429, "SlowDown"), "takes nothing more from us for now"),
        (Fault::Status(503, "Unavailable"), "does not answer as it should: status 503"),
        (Fault::Status(400, "Bad"), "refuses it: status 400"),
        (Fault::Hang, "does not answer as it should"),
        (Fault::CutAnswer(100), "does not answer as it should"),
    ] {
        proxy.always("POST", ENTRIES, fault);
        let started = Instant::now();
        stops(&sandbox, 13, says);
        assert!(started.elapsed() < Duration::from_secs(40), "{fault:?} took {:?}", started.elapsed());
        proxy.heal();
    }
    configure(&sandbox, &[log.trusted()], &settings("60s"));
    goes_on(&sandbox);

    // A limit that is over soon, an error that passes and a slow answer only cost time.
    for fault in [Fault::Status(429, "SlowDown"), Fault::Status(500, "Internal"), Fault::Drop, Fault::Delay(Duration::from_secs(3))] {
        proxy.log();
        proxy.add("POST", ENTRIES, 0, 1, fault);
        sandbox.dists(&["--renew"]).ok();
        assert!(proxy.hit());
        verify_blob(&sandbox, BUNDLE, RELEASE).ok();
    }
}

#[test]
fn an_entry_whose_answer_was_lost_is_signed_anew_because_the_log_gives_no_proof_twice() {
    if !is_built() {
        return;
    }
    let mut sandbox = with_package();
    let keeper = Sandbox::new();
    let log = Rekor::start(&keeper, "log");
    let proxy = Faults::before(&log.url());
    configure(&sandbox, &[log.trusted()], &format!("url = \"{}\"\n", proxy.endpoint()));
    give_key(&mut sandbox);
    proxy.add("POST", ENTRIES, 0, 1, Fault::LoseAnswer);
    sandbox.dists(&[]).ok();
    let statuses: Vec<Option<u16>> = proxy.log().into_iter().map(|logged| logged.status).collect();
    assert_eq!(statuses, [None, Some(409), Some(201)]);
    assert_eq!((log.size(), bundle(&sandbox).verification_material.tlog_entries[0].log_index), (2, 1));
    verify_blob(&sandbox, BUNDLE, RELEASE).ok();
    // One that says that it has whatever it is sent is given up.
    proxy.always("POST", ENTRIES, Fault::Status(409, "Conflict"));
    stops(&sandbox, 13, "it says that it has every new signature already");
    assert_eq!(proxy.log().len(), 3);
    proxy.heal();
    goes_on(&sandbox);
}

#[test]
fn one_of_two_logs_is_enough_and_one_that_is_not_trusted_is_none() {
    if !is_built() {
        return;
    }
    let mut sandbox = with_package();
    let keeper = Sandbox::new();
    let log = Rekor::start(&keeper, "log");
    let stranger = Rekor::start(&keeper, "stranger");
    let proxy = Faults::before(&stranger.url());
    proxy.always("", "", Fault::Status(503, "Down"));
    let service = |url: &str, start: u32| {
        format!(r#"{{"url":"{url}","majorApiVersion":2,"validFor":{{"start":"{start}-01-01T00:00:00Z"}},"operator":"x"}}"#)
    };
    let config = format!(
        r#"{{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","rekorTlogUrls":[{},{}],"rekorTlogConfig":{{"selector":"ANY"}}}}"#,
        service(&log.url(), 2024),
        service(&proxy.endpoint(), 2025)
    );
    sandbox.write("archive/keys/signing_config.json", config);
    configure(&sandbox, &[log.trusted()], "signing-config = \"keys/signing_config.json\"\n");
    give_key(&mut sandbox);
    sandbox.dists(&[]).ok();
    assert!(proxy.hit(), "the newer one was asked first");
    verify_blob(&sandbox, BUNDLE, RELEASE).ok();

    // The same name and another key: what it gives is not what clients would accept, and the other one is asked.
    proxy.heal();
    sandbox.dists(&["--renew"]).ok();
    verify_blob(&sandbox, BUNDLE, RELEASE).ok();
    assert_eq!((stranger.size(), log.size()), (1, 2));
    configure(&sandbox, &[log.trusted()], &format!("url = \"{}\"\n", stranger.url()));
    stops(&sandbox, 13, "it comes from a log that is not trusted");
}

#[test]
fn best_effort_publishes_without_a_bundle_and_gets_it_later() {
    if !is_built() {
        return;
    }
    let mut sandbox = with_package();
    let keeper = Sandbox::new();
    let mut log = Rekor::start(&keeper, "log");
    log.stop();
    let settings = format!("url = \"{}\"\nmode = \"best-effort\"\ntimeout = \"4s\"\n", log.url());
    configure(&sandbox, &[log.trusted()], &settings);
    give_key(&mut sandbox);
    sandbox.dists(&[]).ok().says("has no sigstore proof");
    assert!(!sandbox.path(BUNDLE).exists());
    sandbox.publish(&["-C", "archive", "log", "--pending"]).exits(13).says("does not answer");
    log.start_again();
    let release = read(&sandbox.path(RELEASE));
    configure(&sandbox, &[log.trusted()], &settings.replace("4s", "60s"));
    let run = sandbox.publish(&["-C", "archive", "log", "--pending"]).ok();
    assert!(run.out.contains("sigstore (best effort): has a good proof"), "{}", run.out);
    assert_eq!(read(&sandbox.path(RELEASE)), release);
    verify_blob(&sandbox, BUNDLE, RELEASE).ok();
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}
