//! Stolen keys, proofs from elsewhere, and logs that lie for a thief.

use std::time::Duration;

use ddb::formats::openssh::public_key;
use ddb::formats::sigsum::Proof;
use ddb::formats::sigsum::leaf::{Leaf, checksum, message};
use ddb::places::transparency::TransparencyLog as _;

use super::onlookers::{Onlookers, Seen, logged, staple_to, stolen};
use super::replace;
use crate::sandbox::Sandbox;
use crate::server::Server;
use crate::sigsum::site::{Log, configure, give_key};
use crate::sigsum::suite::logs_of;

const RELEASE: &str = "public/dists/trixie/Release";

/// The bytes of a file below the sandbox.
fn read(sandbox: &Sandbox, path: &str) -> Vec<u8> {
    std::fs::read(sandbox.path(path)).unwrap_or_else(|fault| panic!("{path}: {fault}"))
}

/// Another archive of the same Origin with an OpenPGP key of its own, in the same log; its submitter may be that of this one.
fn another(version: &str, policy: &str, submitter: Option<&Sandbox>) -> Sandbox {
    let mut other = Sandbox::with_archive();
    for (own, file) in submitter.into_iter().flat_map(|own| [(own, "submit"), (own, "submit.pub")]) {
        std::fs::copy(own.path(file), other.path(file)).unwrap();
    }
    other.deb("out", "plain", version, "amd64", "");
    other.commit("out", &[]).ok();
    configure(&other, policy, "");
    give_key(&mut other);
    other.dists(&[]).ok();
    other
}

/// A log of its own for a test, and its policy.
fn witnessed(keeper: &Sandbox) -> (Log<'_>, String) {
    let log = Log::start(keeper, "log");
    let policy = format!("{}quorum log\n", log.lines());
    (log, policy)
}

#[test]
fn a_stolen_openpgp_key_convinces_stock_apt_alone() {
    let keeper = Sandbox::new();
    let (log, policy) = witnessed(&keeper);
    let sandbox = logged(&policy);
    let onlookers = Onlookers::of(&sandbox, &policy);
    let server = Server::of(&sandbox.public());
    assert_eq!(onlookers.look(&server), Seen::offered("1.0-1", 0, 0));
    let copy = stolen(&sandbox, "stolen", false);
    let victim = Server::of(&sandbox.path(format!("{copy}/public")));
    assert_eq!(onlookers.look(&victim), Seen::offered("6.6-6", 23, 23));
    // The proof of the archive's own Release is none of the thief's.
    staple_to(&sandbox, "stolen/public", &read(&sandbox, "archive/public/dists/trixie/Release.proof"));
    assert_eq!(onlookers.look(&victim), Seen::offered("6.6-6", 23, 23));
    assert_eq!(log.size(), 1);
}

#[test]
fn a_stolen_log_key_without_the_openpgp_key_convinces_nobody() {
    let keeper = Sandbox::new();
    let (log, policy) = witnessed(&keeper);
    let sandbox = logged(&policy);
    let onlookers = Onlookers::of(&sandbox, &policy);
    // The thief's archive has the same Origin, a key of its own, and a good proof by the stolen key.
    let thief = another("6.6-6", &policy, Some(&sandbox));
    assert_eq!(log.size(), 2);
    // The hook is content with the proof; apt goes on to gpgv, which is not.
    assert_eq!(onlookers.look(&Server::of(&thief.public())), Seen::refused(20, 0));
}

#[test]
fn with_both_keys_a_thief_is_believed_and_the_log_shows_it_to_everybody() {
    let keeper = Sandbox::new();
    let (log, policy) = witnessed(&keeper);
    let sandbox = logged(&policy);
    let onlookers = Onlookers::of(&sandbox, &policy);
    let copy = stolen(&sandbox, "stolen", true);
    assert_eq!(onlookers.look(&Server::of(&sandbox.path(format!("{copy}/public")))), Seen::offered("6.6-6", 0, 0));
    // Whoever reads the log finds a leaf by the archive's key that is of none of its Releases.
    let url = format!("{}/get-leaves/0/{}", log.url(), log.size());
    let leaves = Leaf::read_all(sandbox.run("curl", &["-sf", &url]).ok().out.as_bytes()).unwrap();
    let key = public_key(&std::fs::read_to_string(sandbox.path("submit.pub")).unwrap()).unwrap();
    let of = |tree: &str| checksum(&message(&read(&sandbox, &format!("{tree}/{RELEASE}"))));
    let found: Vec<_> = leaves.iter().filter(|leaf| leaf.is_by(&key)).map(|leaf| leaf.checksum).collect();
    assert_eq!(found, [of("archive"), of("stolen")]);
    let own = sandbox.git(&["log", "--format=%H", "ddb/releases/trixie"]).ok().out;
    let recorded = own.lines().filter(|commit| {
        let release = sandbox.git(&["show", &format!("{commit}:Release")]);
        release.code == 0 && checksum(&message(release.out.as_bytes())) == of("stolen")
    });
    assert_eq!(recorded.count(), 0);
}

#[test]
fn a_proof_of_another_archive_or_its_whole_release_is_none_of_this_one() {
    let keeper = Sandbox::new();
    let (_log, policy) = witnessed(&keeper);
    let sandbox = logged(&policy);
    let onlookers = Onlookers::of(&sandbox, &policy);
    stolen(&sandbox, "stolen", false);
    let victim = Server::of(&sandbox.path("stolen/public"));
    for same_submitter in [false, true] {
        let other = another("2.0-1", &policy, same_submitter.then_some(&sandbox));
        // What is in the log is the other archive's Release, and the stolen one stays in none.
        staple_to(&sandbox, "stolen/public", &std::fs::read(other.public().join("dists/trixie/Release.proof")).unwrap());
        assert_eq!(onlookers.look(&victim), Seen::offered("6.6-6", 23, 23));
        // The other archive itself is signed by its own key; its proof counts where the submitter is the same.
        let hook = if same_submitter { 0 } else { 23 };
        assert_eq!(onlookers.look(&Server::of(&other.public())), Seen::refused(20, hook));
    }
}

#[test]
fn a_log_that_lies_for_a_thief_does_not_get_the_witnesses_to_agree() {
    let keeper = Sandbox::new();
    let (mut log, policy) = witnessed(&keeper);
    let sandbox = logged(&policy);
    let onlookers = Onlookers::of(&sandbox, &policy);
    stolen(&sandbox, "stolen", false);
    let victim = Server::of(&sandbox.path("stolen/public"));
    let release = read(&sandbox, &format!("stolen/{RELEASE}"));
    let own = String::from_utf8(read(&sandbox, "archive/public/dists/trixie/Release.proof")).unwrap();

    // Its tree shrank: it begins anew with the thief's Release alone, under its own key, which the witness does not cosign.
    log.stop_log();
    log.start_log();
    let bare = logs_of(&sandbox, &format!("{}quorum none\n", log.lines()), Duration::from_secs(60)).prove(&release).unwrap();
    staple_to(&sandbox, "stolen/public", &bare);
    assert_eq!(onlookers.look(&victim), Seen::offered("6.6-6", 23, 23));
    let run = onlookers.verify(&victim, &[]);
    assert!(run.out.contains("0 witnesses of the policy cosigned"), "{}", run.out);

    // The tree head that the witness did cosign, with the thief's leaf in it; and one with another root.
    let (lied, good) = (Proof::parse(&bare).unwrap(), Proof::parse(own.as_bytes()).unwrap());
    let other_leaf = Proof { signature: lied.signature, ..good.clone() };
    let mut other_root = good.clone();
    other_root.tree_head.root = lied.tree_head.root;
    other_root.signature = lied.signature;
    for (lie, says) in [(other_leaf, "the leaf is not in the tree"), (other_root, "the tree head is not signed by its log")] {
        staple_to(&sandbox, "stolen/public", lie.text().as_bytes());
        assert_eq!(onlookers.look(&victim), Seen::offered("6.6-6", 23, 23));
        let run = onlookers.verify(&victim, &[]);
        assert!(run.out.contains(says), "{says}: {}", run.out);
    }
}

#[test]
fn everything_that_can_expire_is_noticed_when_it_has() {
    let keeper = Sandbox::new();
    let (_log, policy) = witnessed(&keeper);
    // Signed in 2023 by a key that was good for a day; the log is of today.
    let past = "2023-11-14T22:13:20Z";
    let mut sandbox = Sandbox::new();
    sandbox.environment.insert("DDB_NOW".to_owned(), past.to_owned());
    sandbox.deploy(&["init", "archive", "--suite", "trixie", "--architecture", "amd64", "--origin", "Test"]).ok();
    let key = ["key", "generate", "--name", "Test", "--email", "test@example.org", "--valid-for", "1d"];
    sandbox.publish(&[&["-C", "archive"], &key[..]].concat()).ok();
    sandbox.deb("out", "plain", "1.0-1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    configure(&sandbox, &policy, "");
    give_key(&mut sandbox);
    sandbox.dists(&[]).ok();
    sandbox.environment.remove("DDB_NOW");
    let onlookers = Onlookers::of(&sandbox, &policy);
    let server = Server::of(&sandbox.public());
    // apt and its gpgv ask the machine's clock.
    assert_eq!(onlookers.look(&server), Seen::refused(20, 0));

    // A Release with a Date of the day after tomorrow, in the log today: made out in advance, for the time when it will be new.
    let clock = |days: u32| sandbox.run("date", &["-u", "-d", &format!("{days} days"), "+%Y-%m-%dT%H:%M:%SZ"]).ok().out.trim().to_owned();
    let sandbox = logged(&policy);
    let onlookers = Onlookers::of(&sandbox, &policy);
    sandbox.dists(&["--renew", "--now", &clock(2)]).ok();
    let server = Server::of(&sandbox.public());
    // Now, its signature lies in the future as well.
    assert_eq!(onlookers.look(&server), Seen::refused(20, 0));
    let run = onlookers.verify(&server, &["--now", &clock(3), "--state", "anew"]).exits(21);
    assert!(run.out.contains("made out in advance"), "{}", run.out);
}

#[test]
fn whoever_saw_a_newer_state_does_not_go_back() {
    let keeper = Sandbox::new();
    let (_log, policy) = witnessed(&keeper);
    let sandbox = logged(&policy);
    let onlookers = Onlookers::of(&sandbox, &policy);
    super::copy_tree(&sandbox, "archive/public", "old");
    sandbox.deb("next", "plain", "1.1-1", "amd64", "");
    sandbox.commit("next", &[]).ok();
    std::thread::sleep(Duration::from_millis(1100));
    sandbox.dists(&[]).ok();
    super::copy_tree(&sandbox, "archive/public", "shown");
    let server = Server::of(&sandbox.path("shown"));
    assert_eq!(onlookers.look(&server), Seen::offered("1.1-1", 0, 0));
    // The mirror goes back. apt keeps what it has and says nothing.
    for file in ["InRelease", "Release", "Release.gpg", "Release.proof"] {
        replace(&sandbox.path(format!("shown/dists/trixie/{file}")), read(&sandbox, &format!("old/dists/trixie/{file}")));
    }
    assert_eq!(onlookers.look_again(&server), Seen::offered("1.1-1", 22, 0));
    // At first sight, nobody has anything to compare with.
    onlookers.apt.forget();
    assert_eq!(onlookers.update(&server).code, 0);
    assert_eq!(onlookers.apt.versions("plain"), ["1.0-1"]);
    onlookers.verify(&server, &["--state", "fresh"]).exits(24);
}
