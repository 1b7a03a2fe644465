//! Sigstore's bundles in the armor of a signature: what `verify` and the hook make of them, alone and beside a proof of Sigsum, and
//! that programs that know nothing of them take the signature as it is. The Release is one that a real log has (tests/data/README.md),
//! signed with a key of the test.

use ddb::formats::sigstore::bundle::Bundle;
use ddb::formats::staple::{LONGEST_BUNDLE, staple};
use ddb::words::archive::LogKind;

use super::hook::{Hooked, PROGRAM, place};
use super::onlookers::{NO_LOG, hook};
use super::{plain_archive, replace, verdict, verify};
use crate::client::Apt;
use crate::sandbox::{Run, Sandbox};
use crate::server::Server;
use crate::sigstore::site::recorded;
use crate::sigsum::site::{Log, program, submit_key};
use crate::specimens::Gpg;

const IN_RELEASE: &str = "dists/trixie/InRelease";
const JOB: &str = "https://gitlab.com/debian/archive//.gitlab-ci.yml@refs/heads/main";

fn data(name: &str) -> String {
    format!("{}/tests/data/sigstore/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A tree in `public/` whose Release a log has.
struct Tree {
    sandbox: Sandbox,
    gpg: Gpg,
    key: String,
    /// InRelease without anything stapled.
    bare: Vec<u8>,
}

impl Tree {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let gpg = Gpg::new();
        let key = gpg.key("Test <test@example.org>", "ed25519", "sign", "0", "");
        sandbox.write("pinned.asc", gpg.public(&key));
        sandbox.write("public/dists/trixie/main/binary-amd64/Packages", "");
        for name in ["trusted_root.json", "submit.pub", "other.pub"] {
            sandbox.write(name, recorded(name));
        }
        let mut tree = Self { sandbox, gpg, key, bare: Vec::new() };
        tree.bare = tree.signed(&recorded("Release"));
        tree.sandbox.write(format!("public/{IN_RELEASE}"), &tree.bare);
        tree
    }

    /// An InRelease of this text, by the archive's own key.
    fn signed(&self, release: &[u8]) -> Vec<u8> {
        self.gpg.run(&["--local-user", &self.key, "--clearsign"], release)
    }

    /// InRelease with these in its armor.
    fn with(&self, proofs: &[(LogKind, &[u8])]) -> Vec<u8> {
        proofs.iter().fold(self.bare.clone(), |text, (kind, proof)| staple(&text, *kind, proof).unwrap())
    }

    fn with_bundle(&self, name: &str) -> Vec<u8> {
        self.with(&[(LogKind::Sigstore, &recorded(name))])
    }

    fn serves(&self, in_release: &[u8]) {
        replace(&self.sandbox.path("public").join(IN_RELEASE), in_release);
    }

    /// What the hook says of an InRelease by this configuration.
    fn hook(&self, conf: &str, in_release: &[u8]) -> Run {
        self.sandbox.write("hook.d/archive.conf", format!("Signed-By: ../pinned.asc\n{conf}"));
        hook(&self.sandbox, in_release)
    }
}

/// The bundle with one bit of its signature changed: still a bundle.
fn changed() -> Vec<u8> {
    let mut bundle = Bundle::parse(&recorded("key.sigstore.json")).unwrap();
    *bundle.message_signature.signature.0.last_mut().unwrap() ^= 1;
    serde_json::to_vec(&bundle).unwrap()
}

const BY_KEY: &str = "Sigstore-Trusted-Root: ../trusted_root.json\nSigstore-Key: ../submit.pub\n";

#[test]
fn the_hook_takes_a_release_with_a_good_bundle_by_key_or_identity_and_no_other() {
    let tree = Tree::new();
    let good = tree.with_bundle("key.sigstore.json");
    for name in ["key.sigstore.json", "key-timestamp.sigstore.json", "key-ecdsa-log.sigstore.json"] {
        tree.hook(BY_KEY, &tree.with_bundle(name)).ok();
    }
    let root = "Sigstore-Trusted-Root: ../trusted_root.json\n";
    let by_job = format!("{root}Sigstore-Identity: {JOB}\nSigstore-Issuer: https://gitlab.com\n");
    tree.hook(&by_job, &tree.with_bundle("certificate.sigstore.json")).ok();
    // The old key and the new one, while an archive changes.
    tree.hook(&format!("{root}Sigstore-Key: ../other.pub ../submit.pub\n"), &good).ok();

    let run = tree.hook(BY_KEY, &tree.bare).exits(23).says("has no Sigstore bundle stapled");
    assert!(run.err.contains("wants a Sigstore bundle with each Release"), "{}", run.err);
    let bundle = recorded("key.sigstore.json");
    for bad in [&changed()[..], &bundle[..bundle.len() / 2], &recorded("answer.json"), b"{}"] {
        tree.hook(BY_KEY, &tree.with(&[(LogKind::Sigstore, bad)])).exits(23).says("has no good Sigstore bundle");
    }
    let wrong_digits = String::from_utf8(good.clone()).unwrap().replacen("Sigstore-Bundle ", "Sigstore-Bundle !", 1);
    tree.hook(BY_KEY, wrong_digits.as_bytes()).exits(23).says("is not readable");
    let other_release = String::from_utf8(good.clone()).unwrap().replacen("Suite: stable", "Suite: stabile", 1);
    tree.hook(BY_KEY, other_release.as_bytes()).exits(23).says("it is about bytes with SHA-256");
    // A proof of the other kind is none.
    tree.hook(BY_KEY, &tree.with(&[(LogKind::Sigsum, &bundle)])).exits(23).says("has no Sigstore bundle stapled");

    // Another key, a key where a job should sign, another branch, another issuer.
    let evil = by_job.replace("refs/heads/main", "refs/heads/evil");
    for (conf, name) in [
        (format!("{root}Sigstore-Key: ../other.pub\n"), "key.sigstore.json"),
        (by_job.clone(), "key.sigstore.json"),
        (BY_KEY.to_owned(), "certificate.sigstore.json"),
        (evil, "certificate.sigstore.json"),
        (by_job.replace("Issuer: https://gitlab.com", "Issuer: https://gitlab.example"), "certificate.sigstore.json"),
    ] {
        tree.hook(&conf, &tree.with_bundle(name)).exits(23).says("has no good Sigstore bundle");
    }
    // Logs that this trusted root does not name.
    let mut root: serde_json::Value = serde_json::from_slice(&recorded("trusted_root.json")).unwrap();
    root["tlogs"].as_array_mut().unwrap().remove(0);
    tree.sandbox.write("less.json", root.to_string());
    tree.hook("Sigstore-Trusted-Root: ../less.json\nSigstore-Key: ../submit.pub\n", &good).exits(23).says("not trusted");
}

#[test]
fn a_paragraph_with_both_kinds_needs_both_and_one_that_is_not_whole_lets_nothing_pass() {
    let tree = Tree::new();
    let keeper = Sandbox::new();
    let log = Log::start(&keeper, "log");
    submit_key(&tree.sandbox, "submit");
    std::fs::rename(tree.sandbox.path("submit.pub"), tree.sandbox.path("sigsum.pub")).unwrap();
    tree.sandbox.write("submit.pub", recorded("submit.pub"));
    tree.sandbox.write("policy", format!("{}quorum log\n", log.lines()));
    let path = |name: &str| tree.sandbox.path(name).display().to_string();
    let release = data("Release");
    let arguments = ["-k", &path("submit"), "-p", &path("policy"), "-o", &path("proof"), &release];
    tree.sandbox.run(&program("sigsum-submit"), &arguments).ok();
    let (proof, bundle) = (std::fs::read(path("proof")).unwrap(), recorded("key.sigstore.json"));
    let sigsum = "Sigsum-Policy: ../policy\nSigsum-Key: ../sigsum.pub\n";
    let both = format!("{sigsum}{BY_KEY}");

    let good = tree.with(&[(LogKind::Sigstore, &bundle), (LogKind::Sigsum, &proof)]);
    for conf in [&both[..], sigsum, BY_KEY] {
        tree.hook(conf, &good).ok();
    }
    let run = tree.hook(&both, &tree.with(&[(LogKind::Sigsum, &proof)])).exits(23).says("has no Sigstore bundle stapled");
    assert!(run.err.contains("wants a Sigsum proof and a Sigstore bundle with each Release"), "{}", run.err);
    tree.hook(&both, &tree.with(&[(LogKind::Sigstore, &bundle)])).exits(23).says("has no Sigsum proof stapled");
    let bad = tree.with(&[(LogKind::Sigsum, &proof), (LogKind::Sigstore, &changed())]);
    tree.hook(&both, &bad).exits(23).says("has no good Sigstore bundle");
    let bad = tree.with(&[(LogKind::Sigsum, &proof[..proof.len() / 2]), (LogKind::Sigstore, &bundle)]);
    tree.hook(&both, &bad).exits(23).says("has no good Sigsum proof");

    // So does verify.
    let pins = ["--json", "--sigsum-policy", "policy", "--sigsum-key", "sigsum.pub", "--sigstore-trusted-root", "trusted_root.json"];
    let look = || verify(&tree.sandbox, "public", &[&pins[..], &["--sigstore-key", "submit.pub"]].concat());
    tree.serves(&good);
    assert_eq!(look().ok().json()["suites"][0]["proofs"].as_array().unwrap().len(), 2);
    tree.serves(&tree.with(&[(LogKind::Sigsum, &proof)]));
    assert_eq!(verdict(&look().exits(23)), ("proof".to_owned(), vec!["dists/trixie/Release.sigstore.json".to_owned()]));
    tree.serves(&tree.with(&[(LogKind::Sigstore, &bundle)]));
    assert_eq!(verdict(&look().exits(23)), ("proof".to_owned(), vec![IN_RELEASE.to_owned()]));

    let root = "Sigstore-Trusted-Root: ../trusted_root.json\n";
    tree.sandbox.write("nonsense", "{}");
    for (wrong, says) in [
        (String::new(), "asks for nothing"),
        ("Sigsum-Policy: ../policy\n".to_owned(), "it has no Sigsum-Key"),
        ("Sigsum-Key: ../sigsum.pub\n".to_owned(), "it has no Sigsum-Policy"),
        (format!("{BY_KEY}Sigsum-Key: ../sigsum.pub\n"), "it has no Sigsum-Policy"),
        ("Sigstore-Key: ../submit.pub\n".to_owned(), "it has no Sigstore-Trusted-Root"),
        (format!("{sigsum}Sigstore-Identity: {JOB}\nSigstore-Issuer: https://gitlab.com\n"), "it has no Sigstore-Trusted-Root"),
        (root.to_owned(), "goes with Sigstore-Key"),
        (format!("{root}Sigstore-Identity: {JOB}\n"), "go together"),
        (format!("{BY_KEY}Sigstore-Issuer: https://gitlab.com\n"), "go together"),
        (format!("{root}Sigstore-Key: ../nosuch.pub\n"), "nosuch.pub"),
        (format!("{root}Sigstore-Key: ../sigsum.pub\n"), "the Sigstore key cannot be used"),
        ("Sigstore-Trusted-Root: ../nonsense\nSigstore-Key: ../submit.pub\n".to_owned(), "the trusted root cannot be used"),
        (format!("{BY_KEY}Sigstore-Bundle: x\n"), "it has the field Sigstore-Bundle"),
        (format!("{BY_KEY}Sigsum-Key:\nSigsum-Policy:\n"), "its field Sigsum-Key is empty"),
    ] {
        tree.hook(&wrong, &good).exits(4).says(says);
    }
}

#[test]
fn while_an_archive_goes_from_a_key_to_a_job_either_is_enough() {
    let tree = Tree::new();
    let job = format!("{BY_KEY}Sigstore-Identity: {JOB}\nSigstore-Issuer: https://gitlab.com\n");
    for bundle in ["key.sigstore.json", "certificate.sigstore.json"] {
        tree.hook(&job, &tree.with_bundle(bundle)).ok();
        tree.serves(&tree.with_bundle(bundle));
        let pins = ["--sigstore-trusted-root", "trusted_root.json", "--sigstore-key", "other.pub", "--sigstore-key", "submit.pub"];
        let all = [&pins[..], &["--sigstore-identity", JOB, "--sigstore-issuer", "https://gitlab.com"]].concat();
        verify(&tree.sandbox, "public", &all).ok();
    }
    let other = job.replace("submit.pub", "other.pub").replace("refs/heads/main", "refs/heads/other");
    for bundle in ["key.sigstore.json", "certificate.sigstore.json"] {
        tree.hook(&other, &tree.with_bundle(bundle)).exits(23).says("has no good Sigstore bundle");
    }
}

#[test]
fn what_is_installed_for_an_archive_with_sigstore_is_what_the_hook_reads() {
    let tree = Tree::new();
    let sandbox = &tree.sandbox;
    place(env!("CARGO_BIN_EXE_ddb-publish"), &sandbox.path(format!("root{PROGRAM}")));
    place("/usr/bin/gpgv", &sandbox.path("root/usr/bin/gpgv"));
    sandbox.write("policy", NO_LOG);
    sandbox.write("sigsum.pub", NO_LOG.split([' ', '\n']).nth(1).unwrap());
    let install = |name: &str, more: &[&str]| {
        let arguments = ["apt-verify-hook", "--install", "--root", "root", "--program", PROGRAM, "--keyring", "pinned.asc", "--name", name];
        sandbox.publish(&[&arguments[..], more].concat())
    };
    let origin = ["--origin", "Example"];
    let with = |more: &[&str]| install("archive", &[&origin[..], more].concat());
    let root = ["--sigstore-trusted-root", "trusted_root.json"];
    // What is not whole is not installed.
    for wrong in [
        &[][..],
        &["--sigstore-key", "submit.pub"],
        &root,
        &[&root[..], &["--sigstore-identity", JOB]].concat(),
        &[&root[..], &["--sigstore-key", "submit.pub", "--sigstore-issuer", "https://gitlab.com"]].concat(),
        &[&root[..], &["--sigstore-key", "pinned.asc"]].concat(),
        &[&root[..], &["--sigstore-identity", "a\nSuite: sid", "--sigstore-issuer", "https://gitlab.com"]].concat(),
        &[&root[..], &["--sigstore-key", "submit.pub", "--sigsum-key", "sigsum.pub"]].concat(),
    ] {
        with(wrong).exits(2);
    }
    assert!(!sandbox.path("root/etc").exists());

    let key = ["--sigstore-key", "submit.pub"];
    with(&[&root[..], &key].concat()).ok().says("");
    let conf = |name: &str| std::fs::read_to_string(sandbox.path(format!("root/etc/ddb/verify.d/{name}.conf"))).unwrap();
    let head = |name: &str| format!("Signed-By: {name}.asc\nOrigin: Example\n");
    let sigstore = |name: &str| format!("Sigstore-Trusted-Root: {name}.trusted_root.json\nSigstore-Key: {name}.pem\n");
    assert_eq!(conf("archive"), head("archive") + &sigstore("archive"));
    tree.hook(BY_KEY, &tree.with_bundle("key.sigstore.json")).ok();
    let installed =
        |code: i32| drop(sandbox.publish(&["apt-verify-hook", "--config", "root/etc/ddb/verify.d", "--", "sig", "data"]).exits(code));
    installed(0);
    tree.hook(BY_KEY, &tree.bare).exits(23);
    installed(23);

    let job = ["--sigstore-identity", JOB, "--sigstore-issuer", "https://gitlab.com"];
    install("job", &[&origin[..], &root, &job].concat()).ok();
    let by_job = format!("Sigstore-Identity: {JOB}\nSigstore-Issuer: https://gitlab.com\n");
    assert_eq!(conf("job"), head("job") + "Sigstore-Trusted-Root: job.trusted_root.json\n" + &by_job);
    let sigsum = ["--sigsum-policy", "policy", "--sigsum-key", "sigsum.pub"];
    let run = install("both", &[&origin[..], &sigsum, &root, &key].concat()).ok();
    assert!(run.out.contains("3 archives are opted in."), "{}", run.out);
    assert_eq!(conf("both"), head("both") + "Sigsum-Key: both.pub\nSigsum-Policy: both.policy\n" + &sigstore("both"));
}

#[test]
fn verify_reads_the_bundle_in_the_armor_before_those_beside_it() {
    let tree = Tree::new();
    let pins = ["--json", "--sigstore-trusted-root", "trusted_root.json", "--sigstore-key", "submit.pub"];
    let look = || verify(&tree.sandbox, "public", &pins);
    let found = |run: &Run| run.json()["suites"][0]["proofs"][0]["found"].clone();
    tree.serves(&tree.with_bundle("key.sigstore.json"));
    assert_eq!(found(&look().ok()), serde_json::json!([IN_RELEASE]));
    let beside = "dists/trixie/Release.sigstore.json";
    tree.sandbox.write(format!("public/{beside}"), recorded("key.sigstore.json"));
    assert_eq!(found(&look().ok()), serde_json::json!([IN_RELEASE, beside]));
    // One that is not good is named, whatever lies beside it.
    tree.serves(&tree.with(&[(LogKind::Sigstore, &changed())]));
    assert_eq!(verdict(&look().exits(23)), ("proof".to_owned(), vec![IN_RELEASE.to_owned()]));
    tree.serves(&tree.bare);
    assert_eq!(found(&look().ok()), serde_json::json!([beside]));
}

#[test]
fn both_apts_refuse_an_opted_in_archive_without_a_good_bundle_and_their_lists_have_it() {
    let tree = Tree::new();
    let server = Server::of(&tree.sandbox.path("public"));
    let good = tree.with_bundle("key.sigstore.json");
    tree.serves(&good);
    // What a thief with the OpenPGP key signs, with the bundle of the true Release.
    let other = String::from_utf8(recorded("Release")).unwrap().replacen("Label: Example", "Label: Exmaple", 1);
    let stolen = staple(&tree.signed(other.as_bytes()), LogKind::Sigstore, &recorded("key.sigstore.json")).unwrap();
    // Release.gpg carries the bundle too.
    let detached = tree.gpg.run(&["--local-user", &tree.key, "--armor", "--detach-sign"], &recorded("Release"));
    tree.sandbox.write("public/dists/trixie/Release", recorded("Release"));
    let with = staple(&detached, LogKind::Sigstore, &recorded("key.sigstore.json")).unwrap();
    tree.sandbox.write("public/dists/trixie/Release.gpg", with);
    let lists = |apt: &Apt<'_>, key: &str| {
        let lists = format!("--lists={}", apt.path("var/lib/apt/lists").display());
        let pins = ["--sigstore-trusted-root", "trusted_root.json", "--sigstore-key", key];
        tree.sandbox.publish(&[&["verify", "--keyring", "pinned.asc", "--json", &lists], &pins[..]].concat())
    };
    for apt in Apt::both_to_install(&tree.sandbox) {
        let hooked = Hooked::new(&tree.sandbox, apt, &["pinned.asc", "submit.pub", "other.pub", "trusted_root.json"]);
        let apt = &hooked.apt;
        let keyring = format!("{}/pins/pinned.asc", apt.inside());
        apt.use_stanza(&format!(
            "Types: deb\nURIs: {}\nSuites: trixie\nComponents: main\nArchitectures: amd64\nSigned-By: {keyring}\n",
            server.url()
        ));
        let taken = || {
            apt.path("var/lib/apt/lists").read_dir().unwrap().any(|entry| entry.unwrap().file_name().to_string_lossy().ends_with("Release"))
        };
        let accepts = || {
            apt.forget_lists(&tree.sandbox);
            apt.update(&[]).ok();
            assert!(taken(), "{:?}", apt.kind);
        };
        let refuses = || {
            let said = hooked.refuses();
            assert!(!taken(), "{:?}: {said}", apt.kind);
        };
        // Nobody is opted in: what is stapled is passed over.
        accepts();
        lists(apt, "submit.pub").ok();
        assert_eq!(verdict(&lists(apt, "other.pub").exits(23)).0, "proof");
        server.change(IN_RELEASE, stolen.clone());
        accepts();
        server.change(IN_RELEASE, tree.bare.clone());
        accepts();
        lists(apt, "submit.pub").exits(23).says("");
        server.change_nothing();

        let pin = |file: &str| format!("{}/pins/{file}", apt.inside());
        let (root, key) = (pin("trusted_root.json"), pin("submit.pub"));
        hooked.install(&["--keyring", &keyring, "--origin", "Example", "--sigstore-trusted-root", &root, "--sigstore-key", &key]).ok();
        accepts();
        for bad in [
            tree.bare.clone(),
            tree.with(&[(LogKind::Sigstore, &changed())]),
            tree.with_bundle("certificate.sigstore.json"),
            stolen.clone(),
        ] {
            server.change(IN_RELEASE, bad);
            refuses();
            server.change_nothing();
        }
        accepts();
        server.hide(IN_RELEASE);
        accepts();
        server.change("dists/trixie/Release.gpg", detached.clone());
        refuses();
        server.change_nothing();
        let conf = apt.of_system("etc/ddb/verify.d/archive.pem");
        std::fs::write(&conf, recorded("other.pub")).unwrap();
        refuses();
        std::fs::write(&conf, recorded("submit.pub")).unwrap();
        accepts();
    }
}

#[test]
fn programs_that_know_nothing_of_staples_take_the_longest_ones_of_both_kinds() {
    let sandbox = plain_archive("2026-11-01T00:00:00Z");
    let longest: Vec<u8> = (0..=255).cycle().take(LONGEST_BUNDLE).collect();
    let proofs = [(LogKind::Sigsum, &longest[..]), (LogKind::Sigstore, &longest)];
    let with = |file: &str| {
        let path = sandbox.public().join("dists/trixie").join(file);
        let text = proofs.iter().fold(std::fs::read(&path).unwrap(), |text, (kind, proof)| staple(&text, *kind, proof).unwrap());
        assert!(text.len() > 128 << 10);
        text
    };
    let (in_release, detached) = (with("InRelease"), with("Release.gpg"));
    sandbox.write("InRelease", &in_release);
    sandbox.write("Release.gpg", &detached);
    let release = sandbox.public().join("dists/trixie/Release").display().to_string();
    sandbox.run("gpg", &["--batch", "--homedir", "home", "--dearmor", "--output", "pinned.gpg", "pinned.asc"]).ok();
    sandbox.run("gpgv", &["--keyring", "./pinned.gpg", "InRelease"]).ok();
    sandbox.run("gpgv", &["--keyring", "./pinned.gpg", "Release.gpg", &release]).ok();
    sandbox.run("sqv", &["--keyring", "pinned.asc", "Release.gpg", &release]).ok();
    verify(&sandbox, "archive/public", &[]).ok();
    let server = Server::of(&sandbox.public());
    let stanza = std::fs::read_to_string(sandbox.public().join("trixie.sources")).unwrap();
    let address = stanza.lines().find_map(|line| line.strip_prefix("URIs: ")).unwrap();
    for apt in [Apt::of_machine(&sandbox), Apt::of_trixie(&sandbox), Apt::of_sid(&sandbox)] {
        apt.use_stanza(&stanza.replace(address, &server.url()));
        server.change(IN_RELEASE, in_release.clone());
        apt.updates();
        assert_eq!(apt.versions("plain"), ["1.0-1"], "{:?}", apt.kind);
        apt.forget();
        server.hide(IN_RELEASE);
        server.change("dists/trixie/Release.gpg", detached.clone());
        apt.update(&[]).ok();
        assert_eq!(apt.versions("plain"), ["1.0-1"], "{:?}", apt.kind);
        server.change_nothing();
    }
}
