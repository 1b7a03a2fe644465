//! Releases in a real log of Sigstore, with and without timestamps: what is published with a bundle, what stops a publish, and
//! whether cosign has the same opinion.

pub mod agreeing;
mod both;
mod failing;
mod keyless;
pub mod site;
mod stapled;
mod tokens;

use std::path::Path;
use std::time::Duration;

use ddb::formats::sigstore::bundle::Bundle;
use ddb::formats::sigstore::public_key::PublicKey;
use ddb::formats::sigstore::signer::Signer;
use ddb::formats::sigstore::trusted_root::TrustedRoot;
use ddb::places::credentials::Secret;
use ddb::places::transparency::sigstore::{IdentityToken, Secrets, Services, SigningKey, SigstoreLog};

use crate::client::Apt;
use crate::gateway::Gateway;
use crate::sandbox::Sandbox;
use crate::sigsum::suite::contract;
use site::{Authority, Rekor, configure, cosign, give_key, is_built, verify_blob};

const BUNDLE: &str = "archive/public/dists/trixie/Release.sigstore.json";
const RELEASE: &str = "archive/public/dists/trixie/Release";

/// An archive with a package, not published yet.
fn with_package() -> Sandbox {
    let sandbox = Sandbox::with_archive();
    sandbox.deb("out", "plain", "1.0-1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    sandbox
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()))
}

/// The bundle that clients see.
fn bundle(sandbox: &Sandbox) -> Bundle {
    Bundle::parse(&read(&sandbox.path(BUNDLE))).unwrap()
}

#[test]
fn a_release_comes_with_a_bundle_that_stock_cosign_accepts() {
    if !is_built() {
        return;
    }
    let mut sandbox = with_package();
    let server = crate::server::Server::of(&sandbox.public());
    let keeper = Sandbox::new();
    let log = Rekor::start(&keeper, "log");
    configure(&sandbox, &[log.trusted()], &format!("url = \"{}/\"\n", log.url()));
    give_key(&mut sandbox);
    let settings = std::fs::read_to_string(sandbox.path("archive/ddb.toml")).unwrap();
    sandbox.write("archive/ddb.toml", settings.replacen("[archive]\n", &format!("[archive]\nurl = \"{}\"\n", server.url()), 1));
    sandbox.git(&["commit", "-q", "-a", "-m", "Say where clients come"]).ok();
    // The first tree has one entry, and a proof of it no path.
    for number in 1..=3 {
        let answer = sandbox.dists(&["--json", "--renew"]).ok().json();
        assert_eq!(answer["suites"][0]["logs"][0], "sigstore");
        verify_blob(&sandbox, BUNDLE, RELEASE).ok();
        assert_eq!(log.size(), number);
        let proof = read(&sandbox.path(BUNDLE));
        let entry = &bundle(&sandbox).verification_material.tlog_entries[0];
        assert_eq!((entry.log_index, entry.inclusion_proof.hashes.is_empty()), (number - 1, number == 1));
        let digest = answer["suites"][0]["release"].as_str().unwrap();
        let history = sandbox.public().join("dists/trixie/tlog");
        assert_eq!(read(&history.join(format!("{digest}.sigstore.json"))), proof);
        assert_eq!(read(&history.join(format!("{digest}.release"))), read(&sandbox.path(RELEASE)));
        assert_eq!(sandbox.git(&["show", "ddb/releases/trixie:Release.sigstore.json"]).ok().out.as_bytes(), proof);
    }
    for apt in Apt::both(&sandbox) {
        apt.use_stanza(&std::fs::read_to_string(sandbox.public().join("trixie.sources")).unwrap());
        apt.updates();
        assert_eq!(apt.versions("plain"), ["1.0-1"], "{:?}", apt.kind);
    }
    assert_eq!(sandbox.dists(&["--json"]).ok().json()["suites"][0]["outcome"], "unchanged");
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
    let state = sandbox.publish(&["-C", "archive", "log", "--json"]).ok().json();
    assert_eq!((&state["suites"][0]["logs"][0]["log"], &state["suites"][0]["logs"][0]["proof"]), (&"sigstore".into(), &"good".into()));
    assert_eq!(log.size(), 3, "one entry for each Release");

    let gateway = Gateway::of(&sandbox, &[]);
    let answer = gateway.get("/dists/trixie/Release.sigstore.json", &[]);
    assert_eq!((answer.status, answer.body), (200, read(&sandbox.path(BUNDLE))));
    sandbox.publish(&["-C", "archive", "export", "exported"]).ok();
    assert_eq!(read(&sandbox.path("exported/dists/trixie/Release.sigstore.json")), read(&sandbox.path(BUNDLE)));

    // A changed bundle is noticed, and comes back.
    let good = read(&sandbox.path(BUNDLE));
    std::fs::write(sandbox.path(BUNDLE), b"{}").unwrap();
    sandbox.deploy(&["-C", "archive", "fsck"]).exits(8);
    sandbox.dists(&["--repair"]).ok();
    assert_eq!(read(&sandbox.path(BUNDLE)), good);
}

#[test]
fn a_timestamp_comes_along_where_an_authority_is_named_and_a_signing_config_names_who_is_in_use() {
    if !is_built() {
        return;
    }
    let mut sandbox = with_package();
    let keeper = Sandbox::new();
    let log = Rekor::start_with(&keeper, "log", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    let authority = Authority::start(&keeper, "authority");
    let trusted = [log.trusted(), authority.trusted()];
    configure(&sandbox, &trusted, &format!("url = \"{}\"\ntimestamp-url = \"{}\"\n", log.url(), authority.url()));
    give_key(&mut sandbox);
    sandbox.dists(&[]).ok();
    let stamps = |sandbox: &Sandbox| bundle(sandbox).verification_material.timestamp_verification_data.rfc3161_timestamps.len();
    assert_eq!(stamps(&sandbox), 1);
    let key = sandbox.path("archive/keys/sigstore.pub").display().to_string();
    let root = sandbox.path("archive/keys/trusted_root.json").display().to_string();
    let (file, release) = (sandbox.path(BUNDLE).display().to_string(), sandbox.path(RELEASE).display().to_string());
    let arguments = ["verify-blob", "--key", &key, "--trusted-root", &root, "--use-signed-timestamps", "--bundle", &file, &release];
    cosign(&sandbox, &arguments).ok();

    // cosign's own signing config, in which a log that is over stands beside the one that is in use.
    let service =
        |url: &str, version: u32, more: &str| format!("url={url},api-version={version},start-time=2024-01-01T00:00:00Z{more},operator=x");
    let config = sandbox.path("archive/keys/signing_config.json").display().to_string();
    let mut arguments = vec!["signing-config".to_owned(), "create".to_owned(), format!("--out={config}")];
    arguments.push(format!("--rekor={}", service("http://127.0.0.1:9", 2, ",end-time=2025-01-01T00:00:00Z")));
    arguments.push(format!("--rekor={}", service(&log.url(), 2, "")));
    arguments.push("--rekor-config=ANY".to_owned());
    arguments.push(format!("--tsa={}", service(&authority.url(), 1, "")));
    arguments.push("--tsa-config=ANY".to_owned());
    cosign(&sandbox, &arguments.iter().map(String::as_str).collect::<Vec<_>>()).ok();
    configure(&sandbox, &trusted, "signing-config = \"keys/signing_config.json\"\n");
    sandbox.dists(&["--renew"]).ok();
    assert_eq!((stamps(&sandbox), log.size()), (1, 2));
    verify_blob(&sandbox, BUNDLE, RELEASE).ok();
    sandbox.dists_at("2023-06-01T00:00:00Z", &["--renew", "--reset-date"]).exits(4).says("it names no log of version 2 that is in use now");

    // Who signs timestamps and is not trusted is not used.
    configure(&sandbox, &[log.trusted()], &format!("url = \"{}\"\ntimestamp-url = \"{}\"\n", log.url(), authority.url()));
    sandbox.dists(&["--renew"]).exits(4).says("it names no timestamp authority");
    let stranger = Authority::start(&keeper, "stranger");
    configure(&sandbox, &trusted, &format!("url = \"{}\"\ntimestamp-url = \"{}\"\n", log.url(), stranger.url()));
    sandbox.dists(&["--renew"]).exits(13).says("no chain leads from it to a trusted authority");
    assert_eq!(log.size(), 2, "nothing was logged that cannot be used");
}

#[test]
fn keys_that_are_missing_or_others_stop_a_publish_before_anything_is_staged() {
    let mut sandbox = with_package();
    site::signing_key(&sandbox, "sigstore");
    site::signing_key(&sandbox, "log");
    let log = format!(
        "--rekor=url=https://{0},public-key={1},start-time=2024-01-01T00:00:00Z,origin={0}",
        site::ORIGIN,
        sandbox.path("log.pub").display()
    );
    configure(&sandbox, &[log], "url = \"http://127.0.0.1:9\"\n");
    let stops = |sandbox: &Sandbox, option: Option<&str>, says: &str| {
        let file = option.map(|name| sandbox.path(name).display().to_string());
        let arguments: Vec<&str> = file.iter().flat_map(|file| ["--sigstore-key-file", file]).collect();
        let run = sandbox.dists(&arguments).exits(7).says(says);
        assert_ne!(sandbox.git(&["rev-parse", "-q", "--verify", "ddb/releases/trixie"]).code, 0, "nothing is staged");
        run
    };
    stops(&sandbox, None, "there is no secret key; give it in DDB_SIGSTORE_KEY");
    stops(&sandbox, Some("gone.pem"), "cannot read");
    site::signing_key(&sandbox, "other");
    stops(&sandbox, Some("other.pem"), "and not that of the key");
    let path = |name: &str| sandbox.path(name).display().to_string();
    sandbox.run("openssl", &["pkcs8", "-topk8", "-in", &path("sigstore.pem"), "-out", &path("locked.pem"), "-passout", "pass:words"]).ok();
    stops(&sandbox, Some("locked.pem"), "it is encrypted");
    sandbox.run("openssl", &["ec", "-in", &path("sigstore.pem"), "-out", &path("old.pem")]).ok();
    stops(&sandbox, Some("old.pem"), "not in PKCS#8 form");
    sandbox.run("openssl", &["genpkey", "-algorithm", "ed25519", "-out", &path("edwards.pem")]).ok();
    stops(&sandbox, Some("edwards.pem"), "it is not one ECDSA key on P-256");
    sandbox.environment.insert("DDB_SIGSTORE_KEY".to_owned(), "secret words".to_owned());
    let run = stops(&sandbox, None, "DDB_SIGSTORE_KEY: the secret key cannot be read");
    assert!(!run.err.contains("secret words"));
    sandbox.environment.clear();

    let stops = |says: &str| drop(sandbox.dists(&[]).exits(4).says(says));
    sandbox.write("archive/keys/sigstore.pub", read(&sandbox.path("sigstore.pem")));
    sandbox.git(&["commit", "-qam", "Take the wrong file"]).ok();
    stops("keys/sigstore.pub: the public key cannot be read: it is a PEM block of PRIVATE KEY");
    sandbox.git(&["revert", "--no-edit", "HEAD"]).ok();
    sandbox.write("archive/keys/trusted_root.json", "{}");
    sandbox.git(&["commit", "-qam", "Trust nobody"]).ok();
    stops("keys/trusted_root.json: the trusted root cannot be read");
    sandbox.git(&["rm", "-q", "keys/trusted_root.json"]).ok();
    sandbox.git(&["commit", "-qm", "Forget whom to trust"]).ok();
    stops("keys/trusted_root.json: it is missing in commit");
}

#[test]
fn a_sigstore_log_keeps_the_contract() {
    if !is_built() {
        return;
    }
    let sandbox = Sandbox::new();
    let log = Rekor::start(&sandbox, "log");
    let authority = Authority::start(&sandbox, "authority");
    site::signing_key(&sandbox, "sigstore");
    site::trusted_root(&sandbox, &[log.trusted(), authority.trusted()], "root.json");
    let with = |key: Option<SigningKey>| {
        let services = Services { logs: vec![log.url()], timestamp_authorities: vec![authority.url()], ..Services::default() };
        let public = PublicKey::from_pem(&std::fs::read_to_string(sandbox.path("sigstore.pub")).unwrap()).unwrap();
        let root = TrustedRoot::parse(&read(&sandbox.path("root.json"))).unwrap();
        let secrets = Secrets { key, token: IdentityToken::None };
        SigstoreLog::new(services, Signer::Key(public), secrets, root, Duration::from_secs(90), None).unwrap()
    };
    let text = Secret::new(std::fs::read_to_string(sandbox.path("sigstore.pem")).unwrap());
    contract::check(&with(Some(SigningKey { source_name: "sigstore.pem".to_owned(), text })), &with(None));
}
