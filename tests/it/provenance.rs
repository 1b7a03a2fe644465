//! Provenance: deploys in the CI jobs of GitLab and GitHub, envelopes that build jobs left, suites that require them, and forgeries.
//!
//! cosign is asked about our envelopes; certificates are those of a certificate authority that openssl makes here.

mod agreeing;
mod certificates;
mod coming;
mod flows;
mod forging;
mod policies;
mod records;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ddb::words::digest::Sha256;
use serde_json::{Value, json};

use crate::sandbox::{Run, Sandbox};
use crate::sigstore::site::{cosign, signing_key};
use crate::specimens::commit_by_hand;

const REPOSITORY: &str = "https://git.example/debian/hello";

/// Sets the variables of a job of GitLab for every later command.
fn in_gitlab(sandbox: &mut Sandbox, branch: &str) {
    let digest = Sha256::of(b"image");
    for (name, value) in [
        ("GITLAB_CI", "true"),
        ("CI_PROJECT_URL", REPOSITORY),
        ("CI_COMMIT_BRANCH", branch),
        ("CI_COMMIT_SHA", "1234567890123456789012345678901234567890"),
        ("CI_JOB_URL", "https://git.example/debian/hello/-/jobs/9"),
        ("CI_RUNNER_ID", "7"),
        ("CI_JOB_IMAGE", &format!("registry.example/build:1@sha256:{digest}")),
    ] {
        sandbox.environment.insert(name.to_owned(), value.to_owned());
    }
}

fn outside(sandbox: &mut Sandbox) {
    sandbox.environment.retain(|name, _| !name.starts_with("CI_") && name != "GITLAB_CI" && name != "DDB_PROVENANCE_KEY");
}

/// Makes an ed25519 key as OpenSSH has it, puts its public half into `archive/keys/provenance/` and returns the secret one.
fn ssh_key(sandbox: &Sandbox, name: &str) -> String {
    let file = sandbox.path(name).display().to_string();
    sandbox.run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", &file]).ok();
    sandbox.write(format!("archive/keys/provenance/{name}.pub"), std::fs::read(format!("{file}.pub")).unwrap());
    std::fs::read_to_string(file).unwrap()
}

/// The same with an ECDSA key in PEM.
fn pem_key(sandbox: &Sandbox, name: &str) -> String {
    signing_key(sandbox, name);
    sandbox.write(format!("archive/keys/provenance/{name}.pub"), std::fs::read(sandbox.path(format!("{name}.pub"))).unwrap());
    std::fs::read_to_string(sandbox.path(format!("{name}.pem"))).unwrap()
}

fn give_key(sandbox: &mut Sandbox, key: &str) {
    sandbox.environment.insert("DDB_PROVENANCE_KEY".to_owned(), key.to_owned());
}

const MARK: &str = "# policy\n";

/// Commits what suite trixie requires, in place of what it required before, and the files in `keys/`.
fn policy(sandbox: &Sandbox, text: &str) {
    let file = sandbox.archive().join("ddb.toml");
    let before = std::fs::read_to_string(&file).unwrap();
    let before = before.split(MARK).next().unwrap();
    std::fs::write(&file, format!("{before}{MARK}{text}")).unwrap();
    commit_by_hand(sandbox, "Say whose provenance counts.");
}

/// A policy by which these keys count for these source packages.
fn pinned(projects: &[(&str, &str, &str)], more: &str) -> String {
    let project = |(name, source, key): &(&str, &str, &str)| {
        format!("[provenance.projects.\"{name}\"]\nsources = [\"{source}\"]\nkeys = [\"keys/provenance/{key}.pub\"]\n{more}")
    };
    format!("require-provenance = true\n{}", projects.iter().map(project).collect::<String>())
}

/// The text of the record of hello.
fn record(sandbox: &Sandbox) -> String {
    sandbox.git(&["show", "HEAD:suites/trixie/main/binary-amd64/h/hello/hello_1"]).ok().out
}

/// The object that a field of the record names.
fn named(sandbox: &Sandbox, field: &str) -> Vec<u8> {
    let record = record(sandbox);
    let value = record.lines().find_map(|line| line.strip_prefix(&format!("{field}: "))).unwrap_or_else(|| panic!("{record}"));
    let (oid, size) = value.split_once(' ').unwrap();
    let bytes = std::fs::read(object(sandbox, oid)).unwrap();
    assert_eq!(bytes.len().to_string(), size);
    assert_eq!(Sha256::of(&bytes).to_hex(), oid);
    bytes
}

fn object(sandbox: &Sandbox, oid: &str) -> std::path::PathBuf {
    sandbox.archive().join(format!(".git/lfs/objects/{}/{}/{oid}", &oid[..2], &oid[2..4]))
}

fn statement_in(envelope: &[u8]) -> Value {
    let envelope: Value = serde_json::from_slice(envelope).unwrap();
    serde_json::from_slice(&STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap()).unwrap()
}

/// A statement about bytes, as any program may write it.
fn statement(content: &[u8], more: Value) -> Value {
    let mut statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "hello_1_amd64.deb", "digest": {"sha256": Sha256::of(content).to_hex()}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"buildDefinition": {"buildType": "https://example/x", "externalParameters": {}}, "runDetails": {"builder": {"id": "x"}}},
    });
    for (pointer, value) in more.as_object().into_iter().flatten() {
        *statement.pointer_mut(pointer).unwrap() = value.clone();
    }
    statement
}

/// Signs a statement with openssl, as DSSE wants it: base64 of the payload, and of the signature in DER.
fn sign(sandbox: &Sandbox, statement: &Value, key: &str) -> Value {
    let payload = serde_json::to_vec(statement).unwrap();
    let kind = "application/vnd.in-toto+json";
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    let signed = sandbox.write("signed", [head.as_bytes(), &payload].concat()).display().to_string();
    let (signature, key) = (sandbox.path("signature").display().to_string(), sandbox.path(key).display().to_string());
    sandbox.run("openssl", &["dgst", "-sha256", "-sign", &key, "-out", &signature, &signed]).ok();
    let signature = STANDARD.encode(std::fs::read(signature).unwrap());
    json!({"payload": STANDARD.encode(payload), "payloadType": kind, "signatures": [{"sig": signature}]})
}

/// What cosign says of an envelope about a file, by a public key in PEM.
fn cosign_verify(sandbox: &Sandbox, envelope: &[u8], key: &str, file: &str) -> Run {
    let envelope: Value = serde_json::from_slice(envelope).unwrap();
    let material = json!({"publicKey": {"hint": ""}, "tlogEntries": []});
    let bundle =
        json!({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "verificationMaterial": material, "dsseEnvelope": envelope});
    let bundle = sandbox.write("judged.sigstore.json", serde_json::to_vec(&bundle).unwrap()).display().to_string();
    let (key, file) = (sandbox.path(key).display().to_string(), sandbox.path(file).display().to_string());
    let arguments =
        ["verify-blob-attestation", "--insecure-ignore-tlog", "--key", &key, "--bundle", &bundle, "--type", "slsaprovenance1", &file];
    cosign(sandbox, &arguments)
}

/// Writes an OpenSSH key in PEM, and returns its path in the sandbox.
fn in_pem(sandbox: &Sandbox, name: &str) -> String {
    let text = std::fs::read_to_string(sandbox.path(format!("{name}.pub"))).unwrap();
    let der = ddb::formats::provenance::key::public_key(&text).unwrap().to_der();
    sandbox.write(format!("{name}.spki.pem"), format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der)));
    format!("{name}.spki.pem")
}

/// What `verify --deb` says of the provenance of a file, by the archive's repository.
fn provenance_of(sandbox: &Sandbox, deb: &str) -> Value {
    let keyring = sandbox.public().join("archive-keyring.asc").display().to_string();
    let arguments =
        ["verify", "archive/public", "--suite", "trixie", "--keyring", &keyring, "--deb", deb, "--repository", "archive", "--json"];
    sandbox.publish(&arguments).ok().json()["files"][0]["provenance"]["envelope"].clone()
}

#[test]
fn a_job_signs_what_it_deploys_and_strangers_and_cosign_see_it() {
    let mut sandbox = Sandbox::with_archive();
    let deb = sandbox.deb("out", "hello", "1", "amd64", "");
    let deb = std::fs::read(deb).unwrap();
    let keys = [ssh_key(&sandbox, "ed"), pem_key(&sandbox, "ec")];
    policy(&sandbox, &pinned(&[("debian/hello", "hello", "ed"), ("debian/hello-ec", "hello", "ec")], ""));
    in_gitlab(&mut sandbox, "main");
    let archive = sandbox.path("unpublished");
    sandbox.run("cp", &["-a", "archive", archive.to_str().unwrap()]).ok();
    for (name, key) in ["ed", "ec"].iter().zip(&keys) {
        give_key(&mut sandbox, key);
        let run = sandbox.commit("out", &[]).ok();
        assert!(!run.err.contains("PRIVATE KEY") && !run.out.contains("PRIVATE KEY"));
        let envelope = named(&sandbox, "Provenance");
        let statement = statement_in(&envelope);
        assert_eq!(statement["subject"], json!([{"name": "hello_1_amd64.deb", "digest": {"sha256": Sha256::of(&deb).to_hex()}}]));
        let definition = &statement["predicate"]["buildDefinition"];
        assert_eq!(definition["externalParameters"]["repository"], REPOSITORY);
        assert_eq!(definition["externalParameters"]["ref"], "refs/heads/main");
        assert_eq!(definition["resolvedDependencies"][0]["digest"]["gitCommit"], "1234567890123456789012345678901234567890");
        assert_eq!(definition["resolvedDependencies"][1]["digest"]["sha256"], Sha256::of(b"image").to_hex());
        assert_eq!(statement["predicate"]["runDetails"]["metadata"]["invocationId"], "https://git.example/debian/hello/-/jobs/9");

        sandbox.dists(&[]).ok();
        let packages = std::fs::read(sandbox.public().join("dists/trixie/main/binary-amd64/Packages.gz")).unwrap();
        let packages = sandbox.run("bash", &["-c", "zcat archive/public/dists/trixie/main/binary-amd64/Packages.gz"]).ok().out
            + &packages.len().to_string();
        assert!(packages.contains("Package: hello") && !packages.contains("Provenance"), "{packages}");
        let said = provenance_of(&sandbox, "out/hello_1_amd64.deb");
        assert_eq!((&said["names_file"], &said["refused"]), (&json!(true), &Value::Null), "{said}");
        assert_eq!(said["project"], if *name == "ed" { "debian/hello" } else { "debian/hello-ec" });
        assert_eq!(said["image"], format!("registry.example/build:1@sha256:{}", Sha256::of(b"image")));
        assert_eq!(said["commit"], "1234567890123456789012345678901234567890");
        sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();

        // The second opinions. cosign is given the OpenSSH key in the form that it reads.
        let public = if *name == "ed" { in_pem(&sandbox, "ed") } else { format!("archive/keys/provenance/{name}.pub") };
        cosign_verify(&sandbox, &envelope, &public, "out/hello_1_amd64.deb").ok();
        sandbox.write("other.deb", b"other bytes");
        assert_ne!(cosign_verify(&sandbox, &envelope, &public, "other.deb").code, 0);
        if *name == "ed" {
            let shown = sandbox.run("ssh-keygen", &["-lf", &sandbox.path("ed.pub").display().to_string()]).ok().out;
            let shown = shown.split(' ').nth(1).unwrap();
            assert_eq!(said["signed_by"], format!("the key {shown}"));
        }
        // The next key signs the same build for an archive that has seen nothing yet.
        std::fs::remove_dir_all(sandbox.archive()).unwrap();
        sandbox.run("cp", &["-a", archive.to_str().unwrap(), "archive"]).ok();
    }
}

#[test]
fn what_nobody_signed_is_recorded_as_claims_and_is_no_evidence() {
    let mut sandbox = Sandbox::with_archive();
    sandbox.deb("out", "hello", "1", "amd64", "");
    sandbox.commit("out", &["--dry-run"]).ok();
    in_gitlab(&mut sandbox, "main");
    sandbox.commit("out", &[]).ok();
    let claims: Value = serde_json::from_slice(&named(&sandbox, "Provenance-Claims")).unwrap();
    assert_eq!(claims["predicate"]["runDetails"]["builder"]["id"], format!("{REPOSITORY}/-/runners/7"));
    sandbox.dists(&[]).ok();
    let said = provenance_of(&sandbox, "out/hello_1_amd64.deb");
    assert_eq!((&said["project"], &said["signed_by"], &said["refused"]), (&Value::Null, &Value::Null, &json!("nobody signed it")));
    assert_eq!((&said["names_file"], &said["repository"]), (&json!(true), &json!(REPOSITORY)));
    let keyring = sandbox.public().join("archive-keyring.asc").display().to_string();
    let text = [
        "verify",
        "archive/public",
        "--suite",
        "trixie",
        "--keyring",
        &keyring,
        "--deb",
        "out/hello_1_amd64.deb",
        "--repository",
        "archive",
    ];
    let text = sandbox.publish(&text).ok().out;
    assert!(text.contains("claims only, not evidence"), "{text}");
    // The second try of a job is another job, and nothing new.
    sandbox.environment.insert("CI_JOB_URL".to_owned(), "https://git.example/debian/hello/-/jobs/10".to_owned());
    sandbox.commit("out", &["--detailed-exit-code"]).exits(10);

    // A suite that requires provenance takes no claims, and what is published stays as it is.
    let key = ssh_key(&sandbox, "ed");
    policy(&sandbox, &pinned(&[("debian/hello", "hello", "ed")], ""));
    let before = std::fs::read(sandbox.public().join("dists/trixie/InRelease")).unwrap();
    sandbox.dists(&["--renew"]).exits(4).says("suites/trixie/main/binary-amd64/h/hello/hello_1: ").says("nobody signed");
    assert_eq!(std::fs::read(sandbox.public().join("dists/trixie/InRelease")).unwrap(), before);
    sandbox.deb("more", "hello", "2", "amd64", "");
    sandbox.commit("more", &[]).exits(3).says("hello_2_amd64.deb: the suite requires provenance").says("DDB_PROVENANCE_KEY");
    outside(&mut sandbox);
    sandbox.commit("more", &[]).exits(3).says("it has none");
    // Signed, the same bytes are more than they were.
    give_key(&mut sandbox, &key);
    sandbox.commit("out", &[]).exits(2).says("name that with --builder");
    in_gitlab(&mut sandbox, "main");
    let landed = sandbox.commit("out", &["--json"]).ok().json();
    assert_eq!(landed["builds"][0]["verdict"], "landed");
    sandbox.dists(&[]).ok();
    assert_eq!(provenance_of(&sandbox, "out/hello_1_amd64.deb")["project"], "debian/hello");
}

#[test]
fn where_nothing_is_required_anything_lands_and_strangers_are_told_what_it_is_worth() {
    let sandbox = Sandbox::with_archive();
    let deb = std::fs::read(sandbox.deb("out", "hello", "1", "amd64", "")).unwrap();
    for name in ["hello", "evil"] {
        pem_key(&sandbox, name);
    }
    policy(&sandbox, &pinned(&[("debian/hello", "hello", "hello")], "").replace("require-provenance = true\n", ""));
    let envelope = sign(&sandbox, &statement(&deb, json!({})), "evil.pem");
    sandbox.write("out/hello.intoto.jsonl", serde_json::to_vec(&envelope).unwrap());
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    let said = provenance_of(&sandbox, "out/hello_1_amd64.deb");
    assert_eq!((&said["project"], &said["names_file"], &said["signed_by"]), (&Value::Null, &json!(true), &json!("the key without name")));
    assert!(said["refused"].as_str().unwrap().contains("was not signed by the key SHA256:"), "{said}");
    // The envelope is gone, or another one lies under its name: then nothing is said of it.
    let object = object(&sandbox, &Sha256::of(&serde_json::to_vec(&envelope).unwrap()).to_hex());
    std::fs::remove_file(&object).unwrap();
    for _ in 0..2 {
        let said = provenance_of(&sandbox, "out/hello_1_amd64.deb");
        assert!(said["refused"].as_str().unwrap().starts_with("it is not at hand") && said["repository"].is_null(), "{said}");
        std::fs::write(&object, b"{}").unwrap();
    }
    // The right key, from a file.
    std::fs::remove_file(sandbox.path("out/hello.intoto.jsonl")).unwrap();
    let key = sandbox.path("hello.pem").display().to_string();
    let options = ["--provenance-key-file", &key, "--builder", "https://runner.example/1", "--on-conflict", "replace"];
    sandbox.commit("out", &options).ok();
    sandbox.dists(&[]).ok();
    let said = provenance_of(&sandbox, "out/hello_1_amd64.deb");
    assert_eq!((&said["project"], &said["builder"]), (&json!("debian/hello"), &json!("https://runner.example/1")));
}

#[test]
fn githubs_jobs_and_options_say_the_same() {
    let mut sandbox = Sandbox::with_archive();
    sandbox.deb("out", "hello", "1", "amd64", "");
    for (name, value) in [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_SERVER_URL", "https://user:secret@github.example"),
        ("GITHUB_REPOSITORY", "debian/hello"),
        ("GITHUB_REF", "refs/heads/main"),
        ("GITHUB_SHA", "12"),
        ("GITHUB_RUN_ID", "99"),
    ] {
        sandbox.environment.insert(name.to_owned(), value.to_owned());
    }
    sandbox.commit("out", &["--builder-image", "debian:trixie@sha256:1"]).exits(2).says("has no sha256:");
    sandbox.commit("out", &["--builder", "https://runner.example/3", "--source-commit", "34"]).ok();
    let claims: Value = serde_json::from_slice(&named(&sandbox, "Provenance-Claims")).unwrap();
    let text = claims.to_string();
    assert!(!text.contains("secret"), "{text}");
    assert_eq!(claims["predicate"]["runDetails"]["builder"]["id"], "https://runner.example/3");
    let definition = &claims["predicate"]["buildDefinition"];
    assert_eq!(definition["externalParameters"]["repository"], "https://github.example/debian/hello");
    assert_eq!(definition["resolvedDependencies"][0]["digest"]["gitCommit"], "34");
    sandbox.environment.insert("GITHUB_SHA".to_owned(), "1\n2".to_owned());
    sandbox.commit("out", &[]).exits(2).says("GITHUB_SHA holds a line break");
    // A key that is none is not repeated.
    sandbox.environment.insert("GITHUB_SHA".to_owned(), "12".to_owned());
    give_key(&mut sandbox, "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----");
    let run = sandbox.commit("out", &[]).exits(7).says("DDB_PROVENANCE_KEY: ");
    assert!(!run.err.contains("c2VjcmV0"), "{}", run.err);
}
