//! Releases that a build job signs without a key: which entries of the log are ours, where only a certificate says so.

use ddb::formats::sigstore::bundle::Bundle;
use ddb::formats::sigstore::entry::{Submission, Verifier};
use ddb::formats::sigstore::secret_key::SecretKey;
use ddb::words::digest::Sha256;
use p256::elliptic_curve::rand_core::OsRng;
use serde_json::Value;

use super::tiles::{Tiles, look};
use super::{alarms, log_of, well, with_package};
use crate::sandbox::Sandbox;
use crate::server::Server;
use crate::sigstore::site::{Authority, Fulcio, Rekor, SUBJECT, configure_keyless, is_built, recorded, secret_key, signing_key, table};

/// Who vouched for the job that signed `keyless.sigstore.json`.
const ISSUER: &str = "http://127.0.0.1:8926/jobs";

/// The trusted root of the recorded bundle, with a log that the test writes.
fn pinned(sandbox: &Sandbox, tiles: &Tiles) -> Value {
    crate::sigstore::site::trusted_root(sandbox, &[tiles.trusted(sandbox)], "logs.json");
    let mut root: Value = serde_json::from_slice(&recorded("keyless_root.json")).unwrap();
    root["tlogs"] = serde_json::from_slice::<Value>(&std::fs::read(sandbox.path("logs.json")).unwrap()).unwrap()["tlogs"].clone();
    root
}

/// Commits whom the archive trusts, and that the recorded job signs for it.
fn trust(sandbox: &Sandbox, root: &Value) {
    sandbox.write("archive/keys/trusted_root.json", serde_json::to_vec(root).unwrap());
    let services = "url = \"http://127.0.0.1:1\"\ntimestamp-url = \"http://127.0.0.1:1\"\nfulcio-url = \"http://127.0.0.1:1\"\n";
    table(sandbox, &format!("identity = \"{SUBJECT}\"\nissuer = \"{ISSUER}\"\nmode = \"best-effort\"\n{services}"));
}

/// A certificate with this name, vouched for by this issuer, that anybody can make.
fn self_made(sandbox: &Sandbox, issuer: &str) -> (SecretKey, Vec<u8>) {
    let path = |name: &str| sandbox.path(name).display().to_string();
    let forger = secret_key(sandbox, "forger");
    sandbox.write(
        "forger.cnf",
        format!(
            "[req]\ndistinguished_name = name\nx509_extensions = own\nprompt = no\n[name]\nO = x\n[own]\nkeyUsage = critical,digitalSignature\n\
             extendedKeyUsage = codeSigning\nsubjectAltName = critical,URI:{SUBJECT}\n1.3.6.1.4.1.57264.1.8 = ASN1:UTF8String:{issuer}\n"
        ),
    );
    let (key, config, made) = (path("forger.pem"), path("forger.cnf"), path("forger.der"));
    sandbox.run("openssl", &["req", "-x509", "-key", &key, "-config", &config, "-days", "1", "-outform", "DER", "-out", &made]).ok();
    (forger, std::fs::read(made).unwrap())
}

fn by(key: &SecretKey, certificate: Vec<u8>, bytes: &[u8]) -> Submission {
    let digest = Sha256::of(bytes);
    let signature = key.sign(&digest, &mut OsRng).unwrap();
    Submission { digest, signature, verifier: Verifier::Certificate(certificate) }
}

#[test]
fn an_entry_counts_as_ours_by_a_certificate_of_a_trusted_authority_alone() {
    let bundle = Bundle::parse(&recorded("keyless.sigstore.json")).unwrap();
    let entry = bundle.verification_material.tlog_entries[0].canonicalized_body.0.clone();
    let mut tiles = Tiles::new();
    let sandbox = with_package();
    sandbox.dists(&[]).ok();
    trust(&sandbox, &pinned(&sandbox, &tiles));
    let folder = sandbox.path("tiles");
    let server = Server::of(&folder);
    tiles.fill(5);
    let (forger, certificate) = self_made(&sandbox, ISSUER);
    tiles.entries.push(by(&forger, certificate, b"Origin: Evil\n").leaf());
    tiles.write(&folder);
    let run = well(look(&sandbox, &server, &[]), &["first-look", "proof-pending"]);
    assert_eq!((log_of(&run, "size"), log_of(&run, "own")), (6.into(), 0.into()));
    // Who got a certificate for the job from the trusted authority signed something that is no Release of ours.
    tiles.entries.push(entry.clone());
    tiles.write(&folder);
    let run = alarms(look(&sandbox, &server, &[]), &["unknown-release-logged"]);
    assert_eq!(log_of(&run, "own"), 1);
    // The same job's entry of another kind is no Release, and nothing that is ours to overlook.
    tiles.entries.push(String::from_utf8(entry).unwrap().replace("hashedrekord", "dsse").into_bytes());
    tiles.write(&folder);
    let run = look(&sandbox, &server, &["--state", "anew.json"]).exits(30);
    assert_eq!(log_of(&run, "own"), 2);
}

#[test]
fn entries_under_an_authority_that_the_archive_learns_of_later_are_looked_for_again() {
    let bundle = Bundle::parse(&recorded("keyless.sigstore.json")).unwrap();
    let mut tiles = Tiles::new();
    let sandbox = with_package();
    sandbox.dists(&[]).ok();
    let whole = pinned(&sandbox, &tiles);
    let mut less = whole.clone();
    less["certificateAuthorities"] = serde_json::json!([]);
    trust(&sandbox, &less);
    let folder = sandbox.path("tiles");
    let server = Server::of(&folder);
    tiles.fill(3);
    tiles.entries.push(bundle.verification_material.tlog_entries[0].canonicalized_body.0.clone());
    tiles.write(&folder);
    // Nobody here knows yet who gave that certificate; clients with a newer root do.
    let run = well(look(&sandbox, &server, &[]), &["first-look", "proof-pending"]);
    assert_eq!((log_of(&run, "read"), log_of(&run, "own")), (4.into(), 0.into()));
    trust(&sandbox, &whole);
    let run = look(&sandbox, &server, &[]).exits(30);
    assert!(super::kinds(&run, "alarms").contains(&"unknown-release-logged".to_owned()), "{}", run.out);
    assert_eq!(log_of(&run, "own"), 1);
}

#[test]
fn what_a_thief_of_the_jobs_identity_logs_in_a_real_rekor_is_noticed() {
    if !is_built() {
        return;
    }
    let keeper = Sandbox::new();
    let log = Rekor::start(&keeper, "log");
    let (authority, fulcio) = (Authority::start(&keeper, "authority"), Fulcio::start(&keeper, "fulcio"));
    let server = Server::of(&keeper.path("log/tiles"));
    let trusted = [log.trusted(), authority.trusted(), fulcio.trusted(), fulcio.promised()];
    let (url, stamps, certificates) = (log.url(), authority.url(), fulcio.url());
    let services = format!("url = \"{url}\"\ntimestamp-url = \"{stamps}\"\nfulcio-url = \"{certificates}\"\n");
    let with_token = |mut sandbox: Sandbox, branch: &str| {
        let token = fulcio.token(&sandbox, branch, "");
        sandbox.environment.insert("SIGSTORE_ID_TOKEN".to_owned(), token);
        sandbox
    };
    let sandbox = with_token(with_package(), "main");
    configure_keyless(&sandbox, &trusted, &fulcio, &services);
    sandbox.dists(&[]).ok();
    sandbox.dists(&["--renew"]).ok();
    let run = well(look(&sandbox, &server, &[]), &["first-look"]);
    assert_eq!((log_of(&run, "size"), log_of(&run, "own")), (2.into(), 2.into()));

    // Rekor takes an entry with a certificate that nobody trusts; so does another branch's job its own.
    let (forger, certificate) = self_made(&sandbox, &fulcio.issuer());
    let request = sandbox.write("request", by(&forger, certificate, b"Origin: Evil\n").request()).display().to_string();
    let post = ["-sSf", "-o", "/dev/null", "-H", "content-type:application/json", "--data-binary"];
    sandbox.run("curl", &[&post[..], &[&format!("@{request}"), &format!("{url}/api/v2/log/entries")]].concat()).ok();
    let other = with_token(with_package(), "feature");
    configure_keyless(&other, &trusted, &fulcio, &services);
    let settings = std::fs::read_to_string(other.path("archive/ddb.toml")).unwrap();
    other.write("archive/ddb.toml", settings.replace("refs/heads/main", "refs/heads/feature"));
    other.git(&["commit", "-qam", "Be another job"]).ok();
    other.dists(&[]).ok();
    let run = well(look(&sandbox, &server, &[]), &[]);
    assert_eq!((log_of(&run, "size"), log_of(&run, "own")), (4.into(), 2.into()));

    let thief = with_token(with_package(), "main");
    configure_keyless(&thief, &trusted, &fulcio, &services);
    thief.dists(&[]).ok();
    alarms(look(&sandbox, &server, &[]), &["unknown-release-logged"]);

    // From a key to a name is a change of whom to trust, which a person has to say; what the name signed before stays ours.
    signing_key(&sandbox, "sigstore");
    crate::sigstore::site::configure(&sandbox, &trusted, &services.replace(&format!("fulcio-url = \"{certificates}\"\n"), ""));
    let run = look(&sandbox, &server, &["--state", "anew.json"]).exits(30);
    assert_eq!(super::kinds(&run, "alarms"), ["unknown-release-logged"], "{}", run.out);
    assert_eq!(log_of(&run, "own"), 3);
}
