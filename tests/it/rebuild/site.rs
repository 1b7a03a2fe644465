//! What clients are given now, beside what the branch of Releases says: `--site`.

use super::attacks::stolen;
use super::plant::Plant;
use super::{only_finding, plain_archive, rebuild};
use crate::sandbox::Sandbox;
use crate::server::Server;

#[test]
fn release_and_its_detached_signature_are_compared_too() {
    let sandbox = plain_archive();
    let server = Server::of(&sandbox.public());
    let look = || rebuild(&sandbox, "archive", "trixie", &["--site", &server.url()]);
    look().ok();
    stolen(&sandbox);
    let theirs = |name: &str| std::fs::read(sandbox.path(format!("stolen/public/dists/trixie/{name}"))).unwrap();
    let [release, signature] = ["dists/trixie/Release", "dists/trixie/Release.gpg"];
    // Who reads no InRelease gets another Release, rightly signed.
    server.change(release, theirs("Release"));
    server.change(signature, theirs("Release.gpg"));
    let answer = look().exits(35).json();
    let findings: Vec<&str> = answer["findings"].as_array().unwrap().iter().map(|finding| finding["file"].as_str().unwrap()).collect();
    assert_eq!(findings, [release, signature]);
    server.change_nothing();
    server.change(signature, theirs("Release.gpg"));
    let (file, reason) = only_finding(&look().exits(35).json());
    assert!(file == signature && reason.contains("does not match the text"), "{file}: {reason}");
    for (name, reason) in [(release, "it is missing"), (signature, "it is missing")] {
        server.change_nothing();
        server.hide(name);
        assert_eq!(only_finding(&look().exits(35).json()), (name.to_owned(), reason.to_owned()));
    }
    // Another signature of the archive's own key, which nobody recorded.
    server.change_nothing();
    let mut planted = Plant::on(&sandbox, "ddb/releases/trixie");
    let text = String::from_utf8(planted.file("Release")).unwrap();
    planted.sign(&text);
    let again = planted.file("Release.gpg");
    assert_ne!(again, planted_before(&sandbox));
    server.change(signature, again);
    let answer = look().ok().json();
    assert!(answer["notes"].to_string().contains("is good, and not on the branch"), "{answer}");
}

fn planted_before(sandbox: &Sandbox) -> Vec<u8> {
    sandbox.git(&["show", "ddb/releases/trixie:Release.gpg"]).ok().out.into_bytes()
}

#[test]
fn a_site_that_shows_an_older_release_than_the_newest_is_noticed() {
    let sandbox = plain_archive();
    sandbox.run("cp", &["-a", "archive/public", "monday"]).ok();
    for (number, now) in [(2, "2026-09-15T08:00:00Z"), (3, "2026-09-16T08:00:00Z")] {
        sandbox.dists_at(now, &["--renew"]).ok();
        sandbox.run("cp", &["-a", "archive/public", &format!("day-{number}")]).ok();
    }
    let look = |release: &str, site: &str| rebuild(&sandbox, "archive", release, &["--site", site]);
    look("trixie", "archive/public").ok();
    let (file, reason) = only_finding(&look("trixie", "monday").exits(35).json());
    assert_eq!(file, "dists/trixie/InRelease");
    assert!(reason.contains("shows Release 1, which is older than Release 3, the newest that was served"), "{reason}");
    let (_, reason) = only_finding(&look("trixie@2", "monday").exits(35).json());
    assert!(reason.contains("shows Release 1, which is older than Release 2, the one asked for"), "{reason}");
    // Who asks for an older one knows that it is.
    for (release, site, note) in [
        ("trixie@1", "monday", "the site still shows Release 1; the newest that was served is 3"),
        ("trixie@1", "day-2", "the site shows Release 2 now, not 1; the newest that was served is 3"),
        ("trixie@1", "day-3", "the site shows Release 3 now, not 1"),
    ] {
        assert_eq!(look(release, site).ok().json()["notes"], serde_json::json!([note]));
    }
}
