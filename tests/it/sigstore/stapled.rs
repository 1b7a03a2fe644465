//! Bundles in the armor of InRelease and Release.gpg, as a real log gave them: alone and beside Sigsum's proof, from the first publish on
//! or put there later.

use ddb::formats::staple::{staple, stapled, without};
use ddb::words::archive::LogKind::{Sigstore, Sigsum};

use super::site::{Rekor, configure, give_key, is_built, verify_blob};
use super::{BUNDLE, RELEASE, read, with_package};
use crate::client::Apt;
use crate::sandbox::Sandbox;
use crate::sigsum::site as sigsum;
use crate::verify::onlookers::hook;

const SIGNED: [&str; 2] = ["InRelease", "Release.gpg"];

fn signed(sandbox: &Sandbox) -> [Vec<u8>; 2] {
    SIGNED.map(|file| read(&sandbox.public().join("dists/trixie").join(file)))
}

#[test]
fn a_bundle_is_stapled_where_ddb_toml_says_so_and_put_there_later_without_a_new_entry_or_signature() {
    if !is_built() {
        return;
    }
    let mut sandbox = with_package();
    let keeper = Sandbox::new();
    let log = Rekor::start(&keeper, "log");
    let url = format!("url = \"{}\"\n", log.url());
    configure(&sandbox, &[log.trusted()], &url);
    give_key(&mut sandbox);
    sandbox.dists(&[]).ok();
    let plain = signed(&sandbox);
    assert!(plain.iter().all(|text| stapled(text, Sigstore) == Ok(None)), "staple is off where nobody asks for it");

    configure(&sandbox, &[log.trusted()], &format!("{url}staple = true\nmode = \"best-effort\"\n"));
    sandbox.publish(&["-C", "archive", "log", "--pending"]).ok();
    let bundle = read(&sandbox.path(BUNDLE));
    let later = signed(&sandbox);
    for (with, before) in later.iter().zip(&plain) {
        assert_eq!(stapled(with, Sigstore), Ok(Some(bundle.clone())));
        assert_eq!(&without(with, Sigstore).unwrap(), before, "nothing was signed again");
    }
    assert_eq!(log.size(), 1, "the bundle that was there is good enough");
    assert_eq!(sandbox.dists(&["--json"]).ok().json()["suites"][0]["outcome"], "unchanged");
    assert_eq!(signed(&sandbox), later);

    sandbox.dists(&["--renew"]).ok();
    let bundle = read(&sandbox.path(BUNDLE));
    assert!(signed(&sandbox).iter().all(|text| stapled(text, Sigstore) == Ok(Some(bundle.clone()))));
    verify_blob(&sandbox, BUNDLE, RELEASE).ok();
    assert_eq!(log.size(), 2);
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
    let pins = ["--sigstore-trusted-root", "archive/keys/trusted_root.json", "--sigstore-key", "sigstore.pub"];
    let keyring = sandbox.public().join("archive-keyring.asc").display().to_string();
    let look = ["verify", "archive/public", "--suite", "trixie", "--keyring", &keyring, "--json"];
    let answer = sandbox.publish(&[&look[..], &pins].concat()).ok().json();
    assert_eq!(answer["suites"][0]["proofs"][0]["found"][0], "dists/trixie/InRelease");

    // Who has the OpenPGP key and not the other one signs a Release that stock apt takes and the hook does not.
    sandbox.write("hook.d/archive.conf", "Origin: Test\nSigstore-Trusted-Root: root.json\nSigstore-Key: ../sigstore.pub\n");
    std::fs::copy(sandbox.path("archive/keys/trusted_root.json"), sandbox.path("hook.d/root.json")).unwrap();
    hook(&sandbox, &signed(&sandbox)[0]).ok();
    sandbox.run("cp", &["-a", "archive", "stolen"]).ok();
    let settings = std::fs::read_to_string(sandbox.path("stolen/ddb.toml")).unwrap();
    sandbox.write("stolen/ddb.toml", settings.split("\n[logs.sigstore]").next().unwrap());
    sandbox.run("git", &["-C", "stolen", "commit", "-q", "-a", "-m", "No log."]).ok();
    sandbox.publish(&["-C", "stolen", "dists", "trixie", "--renew"]).ok();
    let stolen = read(&sandbox.path("stolen/public/dists/trixie/InRelease"));
    hook(&sandbox, &stolen).exits(23).says("has no Sigstore bundle stapled");
    let replayed = staple(&stolen, Sigstore, &bundle).unwrap();
    hook(&sandbox, &replayed).exits(23).says("it is about bytes with SHA-256");
}

#[test]
fn proofs_of_both_kinds_stand_in_one_armor_and_each_is_replaced_by_itself() {
    if !is_built() {
        return;
    }
    let mut sandbox = with_package();
    let server = crate::server::Server::of(&sandbox.public());
    let keeper = Sandbox::new();
    let witnessed = sigsum::Log::start(&keeper, "witnessed");
    let log = Rekor::start(&keeper, "log");
    let settings = std::fs::read_to_string(sandbox.path("archive/ddb.toml")).unwrap();
    sandbox.write("archive/ddb.toml", settings.replacen("[archive]\n", &format!("[archive]\nurl = \"{}\"\n", server.url()), 1));
    sigsum::configure(&sandbox, &format!("{}quorum witnessed\n", witnessed.lines()), "");
    sigsum::give_key(&mut sandbox);
    let table = format!("url = \"{}\"\nstaple = true\n", log.url());
    configure(&sandbox, &[log.trusted()], &table);
    give_key(&mut sandbox);
    sandbox.dists(&[]).ok();
    let proofs = || [read(&sandbox.public().join("dists/trixie/Release.proof")), read(&sandbox.path(BUNDLE))];
    let [proof, bundle] = proofs();
    let first = signed(&sandbox);
    for text in &first {
        assert_eq!((stapled(text, Sigsum), stapled(text, Sigstore)), (Ok(Some(proof.clone())), Ok(Some(bundle.clone()))));
    }
    for apt in Apt::both(&sandbox) {
        apt.use_stanza(&std::fs::read_to_string(sandbox.public().join("trixie.sources")).unwrap());
        apt.updates();
        assert_eq!(apt.versions("plain"), ["1.0-1"], "{:?}", apt.kind);
    }
    assert_eq!(sandbox.dists(&["--repair", "--json"]).ok().json()["suites"][0]["sequence"], 1);
    assert_eq!(signed(&sandbox), first);

    // Another log, another bundle; Sigsum's proof stays as it is.
    let other = Rekor::start(&keeper, "other");
    configure(&sandbox, &[other.trusted()], &table.replace(&log.url(), &other.url()));
    sandbox.publish(&["-C", "archive", "log", "--pending"]).ok();
    let [same, anew] = proofs();
    assert!(same == proof && anew != bundle);
    let second = signed(&sandbox);
    for (text, before) in second.iter().zip(&first) {
        assert_eq!((stapled(text, Sigsum), stapled(text, Sigstore)), (Ok(Some(proof.clone())), Ok(Some(anew.clone()))));
        assert_eq!(without(text, Sigstore), without(before, Sigstore), "nothing else changed");
    }
    assert_eq!((witnessed.size(), log.size(), other.size()), (1, 1, 1));
}
