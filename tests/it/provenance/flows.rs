//! Provenance on its ways: sent ahead by a build job, parked in the inbox, promoted, and kept from the collector of garbage.

use super::*;
use crate::shared::Shared;
use crate::specimens::{Gpg, configure};

/// Lets trixie require provenance by the key `ed`, wherever its table stands in ddb.toml; with lines in front.
pub(super) fn require(sandbox: &Sandbox, front: &str) {
    let file = sandbox.archive().join("ddb.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let table = text.lines().find(|line| line.starts_with("[suites.")).unwrap();
    let text = text.replace(table, &format!("{table}\nrequire-provenance = true"));
    let project = "[provenance.projects.all]\nsources = [\"*\"]\nkeys = [\"keys/provenance/ed.pub\"]\n";
    std::fs::write(&file, format!("{front}\n{text}\n{project}")).unwrap();
    commit_by_hand(sandbox, "Require provenance.");
}

#[test]
fn a_build_job_signs_what_it_sends_ahead_and_the_deploy_job_needs_no_key() {
    for apart in [false, true] {
        let mut sandbox = Sandbox::with_archive();
        configure(&sandbox, "", "[store]\npath = \"../objects\"");
        sandbox.deb("out", "hello", "1", "amd64", "");
        let key = ssh_key(&sandbox, "ed");
        require(&sandbox, "");
        in_gitlab(&mut sandbox, "main");
        give_key(&mut sandbox, &key);
        let to = if apart { "sent" } else { "out" };
        let upload = |sandbox: &Sandbox| {
            let more: &[&str] = if apart { &["--to", "sent"] } else { &[] };
            sandbox.deploy(&[&["-C", "archive", "upload", "out"], more].concat()).ok();
        };
        upload(&sandbox);
        let left = std::fs::read_to_string(sandbox.path(to).join("hello_1_amd64.intoto.json")).unwrap();
        assert!(left.starts_with("version https://git-lfs"), "{left}");
        // A second run finds it, and sends nothing else.
        upload(&sandbox);
        assert_eq!(std::fs::read_to_string(sandbox.path(to).join("hello_1_amd64.intoto.json")).unwrap(), left);
        outside(&mut sandbox);
        sandbox.commit(to, &[]).ok();
        assert!(record(&sandbox).contains("\nProvenance: "), "{}", record(&sandbox));
        sandbox.dists(&[]).ok();
        let deb = if apart { "out/hello_1_amd64.deb" } else { "archive/public/pool/main/h/hello/hello_1_amd64.deb" };
        assert_eq!(provenance_of(&sandbox, deb)["project"], "all");
        sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
    }
}

#[test]
fn what_is_parked_brings_its_provenance_and_is_judged_by_whoever_lands_it() {
    let mut shared = Shared::with_inbox();
    let key = ssh_key(&shared.sandbox, "ed");
    for (folder, package) in [("signed", "hello"), ("claimed", "world")] {
        shared.sandbox.deb(folder, package, "1", "amd64", "");
    }
    in_gitlab(&mut shared.sandbox, "main");
    shared.deploy("b", "claimed", &["--park", "--wait", "0s"]).exits(12);
    give_key(&mut shared.sandbox, &key);
    shared.deploy("a", "signed", &["--park", "--wait", "0s"]).exits(12);
    outside(&mut shared.sandbox);
    // The policy came after they had parked: it counts for what is landed.
    let sandbox = &shared.sandbox;
    require(sandbox, "");
    sandbox.git(&["push", "-q", "origin", "main"]).ok();
    let landed = sandbox.deploy(&["-C", "archive", "inbox", "land", "--json"]).ok().json();
    let of = |source: &str| {
        let found = landed["verdicts"].as_array().unwrap().iter().find(|one| one["builds"][0].as_str().unwrap().starts_with(source));
        found.unwrap_or_else(|| panic!("{landed}")).clone()
    };
    assert_eq!(of("hello")["verdicts"][0]["verdict"], "landed");
    let reason = of("world")["rejected"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("world_1_amd64.deb: the suite requires provenance"), "{reason}");
    assert_eq!(shared.offered(), ["hello_1"]);
    sandbox.dists(&[]).ok();
    // The objects are in a folder that ddb.toml names.
    assert_eq!(provenance_of(sandbox, "signed/hello_1_amd64.deb")["project"], "all");
    // Whoever parks is told at once.
    shared.deploy("c", "claimed", &["--park", "--wait", "0s"]).exits(3).says("it has none");
}

#[test]
fn an_uploaders_seal_does_not_stand_for_provenance() {
    let mut shared = Shared::new("");
    let gpg = Gpg::new();
    let alice = gpg.key("alice", "ed25519", "sign", "1y", "");
    shared.sandbox.write("archive/keys/uploaders/alice.asc", gpg.public(&alice));
    let key = ssh_key(&shared.sandbox, "ed");
    require(&shared.sandbox, "uploaders = [\"keys/uploaders\"]");
    shared.sandbox.git(&["push", "-q", "origin", "main"]).ok();
    shared.sandbox.deb("raw", "hello", "1", "amd64", "");
    let secret = String::from_utf8(gpg.secret(&alice, "")).unwrap();
    shared.sandbox.environment.insert("DDB_UPLOADER_KEY".to_owned(), secret);
    let url = shared.server.url();
    let upload = |shared: &Shared, to: &str| {
        shared.sandbox.deploy(&["-C", "archive", "upload", "raw", "--to", to]).ok();
        shared.sandbox.deploy(&["-C", &url, "commit", to, "--park", "--wait", "0s"])
    };
    upload(&shared, "bare").exits(3).says("the suite requires provenance, and it has none");
    in_gitlab(&mut shared.sandbox, "main");
    give_key(&mut shared.sandbox, &key);
    upload(&shared, "signed").exits(12);
    outside(&mut shared.sandbox);
    let landed = shared.sandbox.deploy(&["-C", "archive", "inbox", "land", "--json"]).ok().json();
    assert_eq!(landed["verdicts"][0]["verdicts"][0]["verdict"], "landed", "{landed}");
    shared.sandbox.dists(&[]).ok();
}

#[test]
fn what_a_suite_would_not_take_is_not_promoted_into_it() {
    let mut sandbox = Sandbox::with_archive();
    let key = ssh_key(&sandbox, "ed");
    configure(
        &sandbox,
        "",
        "[suites.stable]\narchitectures = [\"amd64\", \"all\"]\nrequire-provenance = true\n\
         [provenance.projects.all]\nsources = [\"hello\"]\nkeys = [\"keys/provenance/ed.pub\"]\n",
    );
    sandbox.deb("out", "hello", "1", "amd64", "");
    sandbox.commit("out", &["--suite", "trixie"]).ok();
    let promote = |sandbox: &Sandbox, more: &[&str]| sandbox.publish(&[&["-C", "archive", "promote"], more].concat());
    for what in [&["trixie", "stable", "--all"][..], &["trixie", "stable", "hello"]] {
        promote(&sandbox, what).exits(4).says("hello_1: the suite requires provenance, and it has none");
    }
    give_key(&mut sandbox, &key);
    in_gitlab(&mut sandbox, "main");
    sandbox.commit("out", &["--suite", "trixie"]).ok();
    promote(&sandbox, &["trixie", "stable", "hello"]).ok();
    sandbox.publish(&["-C", "archive", "dists", "stable"]).ok();
}

#[test]
fn the_collector_keeps_provenance_as_long_as_the_pool_does() {
    let mut sandbox = Sandbox::with_archive_at("2026-01-01T00:00:00Z");
    sandbox.deb("out", "hello", "1", "amd64", "");
    let key = ssh_key(&sandbox, "ed");
    give_key(&mut sandbox, &key);
    in_gitlab(&mut sandbox, "main");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    let object = object(&sandbox, &Sha256::of(&named(&sandbox, "Provenance")).to_hex());
    let stray = sandbox.archive().join(format!(".git/lfs/objects/{}", "ab/cd/abcd".to_owned() + &"0".repeat(60)));
    std::fs::create_dir_all(stray.parent().unwrap()).unwrap();
    std::fs::write(&stray, b"stray").unwrap();
    for path in [&object, &stray] {
        let then = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_767_225_600);
        std::fs::File::open(path).unwrap().set_modified(then).unwrap();
    }
    for now in ["2027-01-01T00:00:00Z", "2027-03-01T00:00:00Z"] {
        sandbox.environment.insert("DDB_NOW".to_owned(), now.to_owned());
        sandbox.deploy(&["-C", "archive", "gc", "--delete"]).ok();
    }
    assert!(object.exists() && !stray.exists());
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
    // What a clone fetches of a source has its provenance too.
    sandbox.deploy(&["-C", "archive", "fetch", "--all"]).ok();
}
