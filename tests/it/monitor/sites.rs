//! What clients get, against the branches of Releases: other Releases, older ones, old ones, ones that end.

use std::path::Path;

use super::{acknowledging, alarms, first, kinds, monitor, monitor_at, well};
use crate::sandbox::{Run, Sandbox};
use crate::server::Server;

pub const MONDAY: &str = "2026-09-14T08:00:00Z";
pub const TUESDAY: &str = "2026-09-15T08:00:00Z";
const WEDNESDAY: &str = "2026-09-16T08:00:00Z";

pub fn archive(now: &str) -> Sandbox {
    let sandbox = Sandbox::with_archive_at(now);
    sandbox.deb("out", "plain", "1.0-1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    sandbox
}

pub fn set_time(sandbox: &mut Sandbox, now: &str) {
    sandbox.environment.insert("DDB_NOW".to_owned(), now.to_owned());
}

pub fn copy(sandbox: &Sandbox, from: &str, to: &str) {
    sandbox.run("rm", &["-rf", to]).ok();
    sandbox.run("cp", &["-a", from, to]).ok();
}

/// Puts other bytes in the place of a published file, which other names may share.
pub fn replace(path: &Path, bytes: impl AsRef<[u8]>) {
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_site_that_stands_still_or_goes_back_is_noticed() {
    let mut sandbox = archive(MONDAY);
    copy(&sandbox, "archive/public", "monday");
    let server = Server::of(&sandbox.path("mirror"));
    copy(&sandbox, "monday", "mirror");
    well(monitor_at(&sandbox, &server.url(), &[]), &["not-configured"]);
    set_time(&mut sandbox, TUESDAY);
    sandbox.dists(&["--renew"]).ok();
    copy(&sandbox, "archive/public", "tuesday");
    // Caches may be behind for some minutes, and no longer.
    let later = |minutes: u32| format!("2026-09-15T{:02}:{:02}:00Z", 8 + minutes / 60, minutes % 60);
    let run = well(monitor_at(&sandbox, &server.url(), &["--now", &later(59)]), &["not-configured", "behind"]);
    assert!(run.out.contains("serves Release 1 of trixie, and the newest is Release 2"), "{}", run.out);
    alarms(monitor_at(&sandbox, &server.url(), &["--now", &later(61)]), &["frozen"]);
    well(monitor_at(&sandbox, &server.url(), &["--now", &later(61), "--behind", "2h"]), &["not-configured", "behind"]);
    copy(&sandbox, "tuesday", "mirror");
    let run = well(monitor_at(&sandbox, &server.url(), &["--now", &later(62)]), &["not-configured"]);
    assert_eq!(run.json()["suites"][0]["sites"][0]["sequence"], 2);
    // Back to Monday: who saw Tuesday's knows at once, with the best of excuses for being behind.
    copy(&sandbox, "monday", "mirror");
    alarms(monitor_at(&sandbox, &server.url(), &["--now", &later(63), "--behind", "7d"]), &["rolled-back"]);
    alarms(monitor_at(&sandbox, &server.url(), &["--now", &later(64), "--behind", "7d"]), &["rolled-back"]);
    // When clients should have had the newer one is what a branch says: a time that is to come is no excuse for long.
    let early = ["--state", "early.json", "--now", "2026-09-14T10:00:00Z"];
    let run = alarms(monitor_at(&sandbox, &server.url(), &early), &["frozen"]);
    assert!(run.out.contains("is to come yet"), "{}", run.out);
    copy(&sandbox, "tuesday", "mirror");
    well(monitor_at(&sandbox, &server.url(), &["--now", &later(65)]), &["not-configured"]);
    // Gone, not reached, and another place of which nothing is known yet.
    server.hide("dists/trixie/InRelease");
    alarms(monitor_at(&sandbox, &server.url(), &[]), &["bad-in-release"]);
    assert_eq!(kinds(&monitor_at(&sandbox, "http://127.0.0.1:1/", &[]).exits(31), "unreachable"), ["unreachable"]);
    let nowhere = monitor_at(&sandbox, "http://127.0.0.1:1/", &["--now", "2026-09-16T08:00:01Z"]);
    assert_eq!(kinds(&alarms(nowhere, &["unreached"]), "unreachable"), ["unreachable"]);
    well(monitor_at(&sandbox, "monday", &["--behind", "7d"]), &["not-configured", "behind"]);
    // The address that ddb.toml names is where one looks without --site.
    let settings = std::fs::read_to_string(sandbox.archive().join("ddb.toml")).unwrap();
    sandbox.write("archive/ddb.toml", settings.replacen("[archive]\n", &format!("[archive]\nurl = \"{}\"\n", server.url()), 1));
    sandbox.git(&["commit", "-q", "-a", "-m", "Say where clients come"]).ok();
    server.change_nothing();
    let fixed = ["-C", "archive", "monitor", "--json", "--state", "plain.json"];
    let plain = |more: &[&str]| sandbox.publish(&[&fixed[..], first(&sandbox, &fixed), more].concat());
    let run = well(plain(&[]), &["not-configured"]);
    assert_eq!(run.json()["suites"][0]["sites"][0]["sequence"], 2);
    assert!(well(plain(&["--no-site"]), &["not-configured"]).json()["suites"][0]["sites"].as_array().unwrap().is_empty());
    // Who may push sends the monitor elsewhere: until somebody says that this was meant, it looks at both.
    let settings = std::fs::read_to_string(sandbox.archive().join("ddb.toml")).unwrap();
    sandbox.write("archive/ddb.toml", settings.replacen(&server.url(), "http://127.0.0.1:1", 1));
    sandbox.git(&["commit", "-q", "-a", "-m", "Send clients elsewhere"]).ok();
    let sites =
        |run: &Run| run.json()["suites"][0]["sites"].as_array().unwrap().iter().map(|site| site["sequence"].clone()).collect::<Vec<_>>();
    let run = alarms(plain(&[]), &["watch-ended"]);
    assert_eq!((sites(&run), kinds(&run, "unreachable").len()), (vec![serde_json::Value::Null, 2.into()], 1), "{}", run.out);
    let said = super::known(&run);
    let run = plain(&said.iter().map(String::as_str).collect::<Vec<_>>()).exits(31);
    assert_eq!(sites(&run), [serde_json::Value::Null], "{}", run.out);
}

#[test]
fn a_release_that_was_never_staged_is_noticed_whoever_signed_it() {
    let sandbox = archive(MONDAY);
    let file = sandbox.public().join("dists/trixie/InRelease");
    let good = std::fs::read_to_string(&file).unwrap();
    // A thief has the archive's OpenPGP key, and a clone.
    copy(&sandbox, "archive", "thief");
    sandbox.deb("evil", "plain", "6.6-6", "amd64", "");
    sandbox.deploy(&["-C", "thief", "commit", "evil"]).ok();
    sandbox.publish(&["-C", "thief", "dists", "trixie", "--now", TUESDAY]).ok();
    let run = alarms(monitor_at(&sandbox, "thief/public", &["--now", TUESDAY]), &["unknown-release-served"]);
    assert!(run.out.contains("it is signed by the archive's keys, so that clients take it: somebody else has them"), "{}", run.out);
    // That a Release is known which nobody takes says nothing of the same one with a good signature.
    copy(&sandbox, "thief/public", "broken");
    let stolen = std::fs::read_to_string(sandbox.path("broken/dists/trixie/InRelease")).unwrap();
    let middle = stolen.find("-----BEGIN PGP SIGNATURE-----").unwrap();
    let middle = middle + stolen[middle..].find("\n\n").unwrap() + 60;
    let other = if stolen[middle..].starts_with('A') { "B" } else { "A" };
    replace(&sandbox.path("broken/dists/trixie/InRelease"), format!("{}{other}{}", &stolen[..middle], &stolen[middle + 1..]));
    let apart = ["--state", "apart.json", "--now", TUESDAY];
    let run = alarms(monitor_at(&sandbox, "broken", &apart), &["unknown-release-served"]);
    well(acknowledging(&sandbox, "broken", &run, &apart), &["not-configured"]);
    well(monitor_at(&sandbox, "broken", &apart), &["not-configured"]);
    alarms(monitor_at(&sandbox, "thief/public", &apart), &["unknown-release-served"]);
    // Text that was changed is not signed by anybody.
    replace(&file, good.replacen("Origin: Test", "Origin: Tset", 1));
    let run = alarms(monitor(&sandbox, &[]), &["unknown-release-served"]);
    assert!(run.out.contains("clients should not take it"), "{}", run.out);
    // The right text with no signature, a broken one, and that of another key.
    let release = std::fs::read_to_string(sandbox.public().join("dists/trixie/Release")).unwrap();
    let armor = good.find("-----BEGIN PGP SIGNATURE-----").unwrap();
    let middle = armor + good[armor..].find("\n\n").unwrap() + 60;
    let other = if good[middle..].starts_with('A') { "B" } else { "A" };
    let broken = format!("{}{other}{}", &good[..middle], &good[middle + 1..]);
    for bad in [release, good[..good.len() - 40].to_owned(), format!("{good}more"), String::new(), broken] {
        replace(&file, &bad);
        alarms(monitor(&sandbox, &[]), &["bad-in-release"]);
    }
    replace(&file, &good);
    well(monitor(&sandbox, &[]), &["not-configured"]);
    // Of two keys the thief has one: clients take what it signed.
    sandbox.publish(&["-C", "archive", "key", "generate"]).ok();
    let run = alarms(monitor_at(&sandbox, "thief/public", &["--state", "two.json", "--now", TUESDAY]), &["unknown-release-served"]);
    assert!(run.out.contains("it is signed by one of the archive's keys, so that clients take it"), "{}", run.out);
}

#[test]
fn releases_and_keys_that_end_soon_are_noticed_before_clients_do() {
    let mut sandbox = archive(MONDAY);
    let settings = sandbox.archive().join("ddb.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, text + "valid-for = \"3d\"\n").unwrap();
    sandbox.git(&["commit", "-q", "-a", "-m", "Expire."]).ok();
    set_time(&mut sandbox, TUESDAY);
    sandbox.dists(&[]).ok();
    let run = well(monitor(&sandbox, &["--now", WEDNESDAY]), &["not-configured"]);
    assert_eq!(run.json()["suites"][0]["valid_until"], "2026-09-18T08:00:00Z");
    alarms(monitor(&sandbox, &["--now", "2026-09-17T08:00:01Z"]), &["expiring"]);
    alarms(monitor(&sandbox, &["--now", WEDNESDAY, "--release-ends", "3d"]), &["expiring"]);
    alarms(monitor(&sandbox, &["--now", "2026-09-18T08:00:00Z"]), &["expired"]);
    // The key is good for three years.
    alarms(monitor(&sandbox, &["--now", WEDNESDAY, "--certificate-ends", "3y"]), &["key-expiring"]);
    let run = monitor(&sandbox, &["--now", "2029-09-01T00:00:00Z"]);
    assert_eq!(kinds(&alarms(run, &["key-expiring", "expired"]), "unreachable").len(), 0);
    let run = monitor(&sandbox, &["--now", "2029-10-01T00:00:00Z"]).exits(30);
    assert_eq!(kinds(&run, "alarms"), ["bad-in-release", "key-unusable", "expired"], "{}", run.out);
    monitor(&sandbox, &["nosuch"]).exits(2).says("there is no suite \"nosuch\"");
}
