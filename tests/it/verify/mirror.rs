//! Mirrors and caches that mean ill, and who has them in hand: what they cannot forge they may still withhold, prolong, or send
//! from elsewhere.

use std::time::{Duration, Instant};

use super::onlookers::{NO_LOG, Onlookers, Seen, logged};
use super::{MONDAY, plain_archive, verdict};
use crate::sandbox::Sandbox;
use crate::server::{Answer, Server};
use crate::sigsum::site::Log;

const IN_RELEASE: &str = "dists/trixie/InRelease";
const DEB: &str = "pool/main/p/plain/plain_1.0-1_amd64.deb";

/// The names of the index that apt reads: under its digest, and its own.
fn packages(sandbox: &Sandbox) -> [String; 2] {
    let own = "dists/trixie/main/binary-amd64/Packages.xz".to_owned();
    let digest = sandbox.run("sha256sum", &[&format!("archive/public/{own}")]).ok().out[..64].to_owned();
    [format!("dists/trixie/main/binary-amd64/by-hash/SHA256/{digest}"), own]
}

#[test]
fn data_without_an_end_is_not_read_to_its_end() {
    let sandbox = plain_archive(MONDAY);
    let server = Server::of(&sandbox.public());
    let apt = Onlookers::of(&sandbox, NO_LOG);
    let verify = |more: &[&str]| super::verify(&sandbox, &server.url(), &[&["--json"], more].concat());
    let started = Instant::now();
    server.answer(IN_RELEASE, Answer::Endless);
    assert_eq!(apt.update(&server).code, 100);
    assert_eq!(verdict(&verify(&[]).exits(27)), ("unreachable".to_owned(), vec![IN_RELEASE.to_owned()]));
    server.change_nothing();
    for path in packages(&sandbox) {
        server.answer(&path, Answer::Endless);
        assert_eq!(verdict(&verify(&[]).exits(24)), ("index".to_owned(), vec![path.clone()]));
        if path.contains("/by-hash/") {
            apt.apt.forget();
            assert_eq!(apt.update(&server).code, 100);
        }
        server.change_nothing();
    }
    for path in ["dists/trixie/Release", "dists/trixie/Release.gpg"] {
        server.answer(path, Answer::Endless);
        verify(&[]).exits(27);
        server.change_nothing();
    }
    apt.update(&server).ok();
    server.answer(DEB, Answer::Endless);
    assert_eq!(verdict(&verify(&["--pool"]).exits(25)), ("pool".to_owned(), vec![DEB.to_owned()]));
    apt.apt.get(&["download", "plain"]).exits(100);
    server.change_nothing();
    apt.apt.get(&["download", "plain"]).ok();
    assert!(started.elapsed() < Duration::from_secs(300));
}

#[test]
fn a_server_that_sends_byte_by_byte_is_not_waited_for() {
    let sandbox = plain_archive(MONDAY);
    let server = Server::of(&sandbox.public());
    let verify = |more: &[&str]| super::verify(&sandbox, &server.url(), &[&["--json", "--timeout", "2s"], more].concat());
    let started = Instant::now();
    server.answer(IN_RELEASE, Answer::Drip);
    let run = verify(&[]).exits(27);
    assert!(run.out.contains("the server sent"), "{}", run.out);
    server.change_nothing();
    for path in packages(&sandbox) {
        server.answer(&path, Answer::Drip);
    }
    let (class, files) = verdict(&verify(&[]).exits(27));
    assert_eq!((class.as_str(), files.len()), ("unreachable", 2), "{files:?}");
    server.change_nothing();
    verify(&[]).ok();
    // Where everything comes so, it is given up and not asked for every single file.
    server.take_log();
    for file in sandbox.run("find", &["archive/public/dists", "archive/public/pool", "-type", "f", "-printf", "%P\n"]).ok().out.lines() {
        for folder in ["dists", "pool"] {
            server.answer(&format!("{folder}/{file}"), Answer::Drip);
        }
    }
    server.change(IN_RELEASE, std::fs::read(sandbox.public().join(IN_RELEASE)).unwrap());
    let run = verify(&["--pool"]).exits(27);
    assert!(run.out.contains("keeps us waiting"), "{}", run.out);
    assert!(started.elapsed() < Duration::from_secs(120), "{:?}", started.elapsed());
}

#[test]
fn a_connection_that_is_cut_is_told_apart_from_a_file_that_was_changed() {
    let sandbox = plain_archive(MONDAY);
    let server = Server::of(&sandbox.public());
    let apt = Onlookers::of(&sandbox, NO_LOG);
    for path in packages(&sandbox) {
        server.answer(&path, Answer::Cut(20));
        let run = super::verify(&sandbox, &server.url(), &["--json"]).exits(27);
        assert_eq!(verdict(&run), ("unreachable".to_owned(), vec![path.clone()]));
        server.change_nothing();
    }
    // apt takes another form of an index that it cannot have, so that all of them are cut.
    let folder = "dists/trixie/main/binary-amd64";
    let forms = sandbox.run("find", &[&format!("archive/public/{folder}"), "-type", "f", "-printf", "%P\n"]).ok().out;
    forms.lines().for_each(|form| server.answer(&format!("{folder}/{form}"), Answer::Cut(20)));
    assert_eq!(apt.update(&server).code, 100);
    server.change_nothing();
    server.answer(IN_RELEASE, Answer::Cut(200));
    super::verify(&sandbox, &server.url(), &["--json"]).exits(27);
    assert_eq!(apt.update(&server).code, 100);
    server.change_nothing();
    apt.update(&server).ok();
}

#[test]
fn a_redirect_changes_nothing_about_what_is_believed() {
    let keeper = Sandbox::new();
    let log = Log::start(&keeper, "log");
    let policy = format!("{}quorum log\n", log.lines());
    let sandbox = logged(&policy);
    let onlookers = Onlookers::of(&sandbox, &policy);
    let server = Server::of(&sandbox.public());
    // Elsewhere is the same archive.
    let elsewhere = Server::of(&sandbox.public());
    let everything = |to: &str| {
        let files = sandbox.run("find", &["archive/public", "-type", "f", "-printf", "%P\n"]).ok().out;
        files.lines().for_each(|file| server.answer(file, Answer::Redirect(format!("{to}{file}"))));
    };
    everything(&elsewhere.url());
    assert_eq!(onlookers.look(&server), Seen::offered("1.0-1", 0, 0));
    // Elsewhere is another archive, whole and well signed by a key of its own, with the same Origin.
    let other = plain_archive("2026-11-01T00:00:00Z");
    everything(&Server::of(&other.public()).url());
    assert_eq!(onlookers.look(&server), Seen::refused(20, 23));
    // Nowhere.
    everything(&server.url());
    onlookers.apt.forget();
    assert_eq!(onlookers.update(&server).code, 100);
    onlookers.verify(&server, &[]).exits(27);
}

#[test]
fn packages_changed_together_with_a_release_that_looks_valid_are_refused() {
    let keeper = Sandbox::new();
    let log = Log::start(&keeper, "log");
    let policy = format!("{}quorum log\n", log.lines());
    let sandbox = logged(&policy);
    let onlookers = Onlookers::of(&sandbox, &policy);
    // Everything agrees but the signature: an archive made of the same files and one more, by the same program.
    super::copy_tree(&sandbox, "archive", "forged");
    sandbox.run("git", &["-C", "forged", "rm", "-q", "-r", "keys"]).ok();
    let settings = std::fs::read_to_string(sandbox.path("forged/ddb.toml")).unwrap();
    sandbox.write("forged/ddb.toml", settings.split("\n[logs.sigsum]").next().unwrap());
    sandbox.run("git", &["-C", "forged", "commit", "-q", "-a", "-m", "Another key."]).ok();
    sandbox.publish(&["-C", "forged", "key", "generate", "--name", "Forger", "--email", "archive@example.org"]).ok();
    sandbox.deb("evil", "plain", "6.6-6", "amd64", "");
    sandbox.deploy(&["-C", "forged", "commit", "evil"]).ok();
    sandbox.publish(&["-C", "forged", "dists", "trixie"]).ok();
    let server = Server::of(&sandbox.path("forged/public"));
    assert_eq!(onlookers.look(&server), Seen::refused(20, 23));
    // The forged Release under the good signature, and the good Release under forged indices.
    let text = |tree: &str| std::fs::read_to_string(sandbox.path(format!("{tree}/{IN_RELEASE}"))).unwrap();
    let (good, forged) = (text("archive/public"), text("forged/public"));
    let (body, _) = forged.split_once("-----BEGIN PGP SIGNATURE").unwrap();
    let (_, signature) = good.split_once("-----BEGIN PGP SIGNATURE").unwrap();
    server.change(IN_RELEASE, format!("{body}-----BEGIN PGP SIGNATURE{signature}").into_bytes());
    assert_eq!(onlookers.look(&server), Seen::refused(20, 23));
    server.change(IN_RELEASE, good.into_bytes());
    for file in ["Release", "Release.gpg", "Release.proof"] {
        let path = format!("dists/trixie/{file}");
        server.change(&path, std::fs::read(sandbox.public().join(&path)).unwrap());
    }
    for path in packages(&sandbox) {
        server.change(&path, std::fs::read(sandbox.path("forged/public/dists/trixie/main/binary-amd64/Packages.xz")).unwrap());
    }
    assert_eq!(onlookers.look(&server), Seen::refused(24, 0));
}

#[test]
fn another_package_of_the_same_archive_in_the_place_of_one_is_refused() {
    let mut sandbox = plain_archive(MONDAY);
    sandbox.deb("other", "other", "2.0-1", "amd64", "");
    sandbox.commit("other", &[]).ok();
    super::set_time(&mut sandbox, super::TUESDAY);
    sandbox.dists(&[]).ok();
    let server = Server::of(&sandbox.public());
    let apt = Onlookers::of(&sandbox, NO_LOG);
    apt.update(&server).ok();
    server.change(DEB, std::fs::read(sandbox.path("other/other_2.0-1_amd64.deb")).unwrap());
    apt.apt.get(&["download", "plain"]).exits(100);
    let run = super::verify(&sandbox, &server.url(), &["--json", "--pool"]).exits(25);
    assert_eq!(verdict(&run), ("pool".to_owned(), vec![DEB.to_owned()]));
    // The file is one that the archive publishes, and not under that name.
    sandbox.write("got/plain_1.0-1_amd64.deb", std::fs::read(sandbox.path("other/other_2.0-1_amd64.deb")).unwrap());
    let run = super::verify(&sandbox, &server.url(), &["--json", "--deb", "got/plain_1.0-1_amd64.deb"]).ok();
    assert_eq!(run.json()["files"][0]["package"], "other");
}
