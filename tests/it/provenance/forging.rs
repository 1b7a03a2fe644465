//! Forgeries: each is a deploy, a commit or an object that somebody makes who may not, and each is refused with its reason.

use super::*;

/// An archive that takes hello from one project, world from another, each with its key: `hello.pem` and `world.pem`.
fn archive(more: &str) -> (Sandbox, Vec<u8>) {
    let sandbox = Sandbox::with_archive();
    let deb = std::fs::read(sandbox.deb("out", "hello", "1", "amd64", "")).unwrap();
    for name in ["hello", "world"] {
        pem_key(&sandbox, name);
    }
    policy(&sandbox, &pinned(&[("debian/hello", "hello", "hello"), ("debian/world", "world", "world")], more));
    (sandbox, deb)
}

fn leave(sandbox: &Sandbox, envelope: &Value) {
    sandbox.write("out/hello_1.intoto.jsonl", serde_json::to_string(envelope).unwrap() + "\n");
}

/// Nothing lands, and this is said of the package.
#[track_caller]
fn refused(sandbox: &Sandbox, says: &str) {
    let head = |sandbox: &Sandbox| sandbox.git(&["rev-parse", "HEAD"]).ok().out;
    let before = head(sandbox);
    sandbox.commit("out", &[]).exits(3).says("hello_1_amd64.deb: ").says(says);
    assert_eq!(head(sandbox), before);
}

#[test]
fn an_envelope_that_a_build_job_left_is_kept_as_it_is() {
    let (sandbox, deb) = archive("");
    let envelope = sign(&sandbox, &statement(&deb, json!({})), "hello.pem");
    leave(&sandbox, &envelope);
    let answer = sandbox.commit("out", &["--json"]).ok().json();
    assert!(answer["added"].as_array().unwrap().contains(&json!("pool/main/h/hello/hello_1.intoto.jsonl")), "{answer}");
    assert_eq!(named(&sandbox, "Provenance"), std::fs::read(sandbox.path("out/hello_1.intoto.jsonl")).unwrap());
    cosign_verify(&sandbox, &named(&sandbox, "Provenance"), "hello.pub", "out/hello_1_amd64.deb").ok();
    sandbox.dists(&[]).ok();
    // In a bundle with a key it is the same envelope.
    let bundle = json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": ""}, "tlogEntries": []},
        "dsseEnvelope": envelope,
    });
    std::fs::remove_file(sandbox.path("out/hello_1.intoto.jsonl")).unwrap();
    sandbox.write("out/hello.sigstore.json", serde_json::to_vec(&bundle).unwrap());
    sandbox.commit("out", &["--on-conflict", "replace"]).ok();
    assert_eq!(named(&sandbox, "Provenance"), serde_json::to_vec(&bundle).unwrap());
    sandbox.dists(&[]).ok();
    assert_eq!(provenance_of(&sandbox, "out/hello_1_amd64.deb")["project"], "debian/hello");
}

#[test]
fn another_key_other_bytes_another_project_and_no_signature_are_refused() {
    let (sandbox, deb) = archive("");
    pem_key(&sandbox, "evil");
    let good = statement(&deb, json!({}));
    leave(&sandbox, &sign(&sandbox, &good, "evil.pem"));
    refused(&sandbox, "was not signed by the key");
    // The key of another project that the archive knows.
    leave(&sandbox, &sign(&sandbox, &good, "world.pem"));
    refused(&sandbox, "for the project debian/hello");
    // The payload of another envelope under a good signature.
    let mut moved = sign(&sandbox, &statement(b"other bytes", json!({})), "hello.pem");
    moved["payload"] = sign(&sandbox, &good, "evil.pem")["payload"].clone();
    leave(&sandbox, &moved);
    refused(&sandbox, "was not signed by the key");
    let mut unsigned = sign(&sandbox, &good, "hello.pem");
    unsigned["signatures"] = json!([]);
    leave(&sandbox, &unsigned);
    refused(&sandbox, "nobody signed");
    let kind = json!({"/predicateType": "https://spdx.dev/Document"});
    leave(&sandbox, &sign(&sandbox, &statement(&deb, kind), "hello.pem"));
    refused(&sandbox, "its predicate is https://spdx.dev/Document");
    // The same bytes under another package's name.
    leave(&sandbox, &sign(&sandbox, &statement(&deb, json!({"/subject/0/name": "out/libc6_9_amd64.deb"})), "hello.pem"));
    refused(&sandbox, "it calls this file libc6_9_amd64.deb, and it is hello_1_amd64.deb");
    // What is about other bytes is about nothing here.
    leave(&sandbox, &sign(&sandbox, &statement(b"other bytes", json!({})), "hello.pem"));
    sandbox.commit("out", &[]).exits(3).says("hello_1.intoto.jsonl: names no package here");
    sandbox.write("out/hello_1.intoto.jsonl", "{}");
    sandbox.commit("out", &[]).exits(3).says("hello_1.intoto.jsonl: the envelope cannot be read");
    leave(&sandbox, &sign(&sandbox, &good, "hello.pem"));
    // What it does not name, it does not bring.
    sandbox.deb("out", "hello-extra", "1", "amd64", "Source: hello\n");
    sandbox.commit("out", &[]).exits(3).says("hello-extra_1_amd64.deb: no provenance here names its sha256");
    std::fs::remove_file(sandbox.path("out/hello-extra_1_amd64.deb")).unwrap();
    sandbox.commit("out", &[]).ok();
    // A project may not bring what another one brings, and an unknown source has none at all.
    std::fs::remove_dir_all(sandbox.path("out")).unwrap();
    let deb = std::fs::read(sandbox.deb("out", "stray", "1", "amd64", "")).unwrap();
    leave(&sandbox, &sign(&sandbox, &statement(&deb, json!({})), "hello.pem"));
    sandbox.commit("out", &[]).exits(3).says("stray_1_amd64.deb: ").says("no project in [provenance.projects] of ddb.toml has stray");
}

#[test]
fn another_branch_and_another_repository_are_refused_where_they_are_pinned() {
    let (mut sandbox, _) = archive(&format!("repository = \"{REPOSITORY}\"\nrefs = [\"refs/heads/main\"]\n"));
    let key = std::fs::read_to_string(sandbox.path("hello.pem")).unwrap();
    give_key(&mut sandbox, &key);
    in_gitlab(&mut sandbox, "evil");
    refused(&sandbox, "its branch or tag is refs/heads/evil, and for the project debian/hello ddb.toml wants refs/heads/main");
    in_gitlab(&mut sandbox, "main");
    sandbox.environment.insert("CI_PROJECT_URL".to_owned(), "https://git.example/fork/hello".to_owned());
    refused(&sandbox, "its repository is https://git.example/fork/hello");
    in_gitlab(&mut sandbox, "main");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
}

#[test]
fn a_job_that_writes_to_the_store_cannot_put_another_envelope_in_its_place() {
    let (sandbox, deb) = archive("");
    leave(&sandbox, &sign(&sandbox, &statement(&deb, json!({})), "hello.pem"));
    sandbox.commit("out", &[]).ok();
    let good = named(&sandbox, "Provenance");
    let oid = Sha256::of(&good).to_hex();
    // Other bytes under the name of the object: of another key, of the same length, and none.
    pem_key(&sandbox, "evil");
    let forged = serde_json::to_vec(&sign(&sandbox, &statement(&deb, json!({})), "evil.pem")).unwrap();
    let mut same = good.clone();
    same[20] ^= 1;
    for bytes in [forged, same] {
        let object = object(&sandbox, &oid);
        std::fs::remove_file(&object).unwrap();
        std::fs::write(&object, bytes).unwrap();
        sandbox.dists(&[]).exits(4).says("suites/trixie/main/binary-amd64/h/hello/hello_1: its provenance");
        assert!(!sandbox.public().join("dists").exists(), "nothing is served");
        sandbox.deploy(&["-C", "archive", "fsck", "--full"]).exits(8);
    }
    std::fs::remove_file(object(&sandbox, &oid)).unwrap();
    sandbox.dists(&[]).exits(4).says("it is not in ");
    // A record that names a planted object needs a commit, and a signature that counts.
    let planted = serde_json::to_vec(&sign(&sandbox, &statement(&deb, json!({})), "evil.pem")).unwrap();
    let planted_oid = Sha256::of(&planted).to_hex();
    std::fs::create_dir_all(object(&sandbox, &planted_oid).parent().unwrap()).unwrap();
    std::fs::write(object(&sandbox, &planted_oid), &planted).unwrap();
    let path = "suites/trixie/main/binary-amd64/h/hello/hello_1";
    let swapped = record(&sandbox).replace(&format!("{oid} {}", good.len()), &format!("{planted_oid} {}", planted.len()));
    sandbox.write(format!("archive/{path}"), swapped);
    commit_by_hand(&sandbox, "Swap the envelope.");
    sandbox.dists(&[]).exits(4).says("was not signed by the key");
    sandbox.deploy(&["-C", "archive", "fsck"]).exits(8);
    // The build job deploys again, and all is well.
    sandbox.git(&["revert", "--no-edit", "HEAD"]).ok();
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn only_what_changed_is_judged_again_and_everything_when_the_policy_changes() {
    let (sandbox, deb) = archive("");
    leave(&sandbox, &sign(&sandbox, &statement(&deb, json!({})), "hello.pem"));
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    let hello = named(&sandbox, "Provenance");
    // What was judged is not read again.
    std::fs::remove_file(object(&sandbox, &Sha256::of(&hello).to_hex())).unwrap();
    let deb = std::fs::read(sandbox.deb("world", "world", "1", "amd64", "")).unwrap();
    let envelope = sign(&sandbox, &statement(&deb, json!({"/subject/0/name": "world_1_amd64.deb"})), "world.pem");
    sandbox.write("world/world.dsse.json", serde_json::to_vec(&envelope).unwrap());
    sandbox.commit("world", &[]).ok();
    let answer = sandbox.dists(&["--json"]).ok().json();
    assert_eq!((&answer["suites"][0]["outcome"], &answer["suites"][0]["packages"]), (&json!("published"), &json!(2)));
    assert_eq!(sandbox.dists(&["--json"]).ok().json()["suites"][0]["outcome"], "unchanged");
    // Another policy: everything is judged, and what lacks its envelope is named.
    pem_key(&sandbox, "next");
    policy(&sandbox, &pinned(&[("debian/hello", "hello", "next"), ("debian/world", "world", "world")], ""));
    sandbox.dists(&[]).exits(4).says("hello_1: its provenance").says("it is not in ");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).exits(4).says("was not signed by the key");
    // Signed by the new key, the same bytes are taken.
    let deb = std::fs::read(sandbox.path("out/hello_1_amd64.deb")).unwrap();
    leave(&sandbox, &sign(&sandbox, &statement(&deb, json!({})), "next.pem"));
    sandbox.commit("out", &["--on-conflict", "replace"]).ok();
    // The indices are the same; the Release is new, since the branch says by which policy it was judged.
    let answer = sandbox.dists(&["--json"]).ok().json();
    assert_eq!(answer["suites"][0]["outcome"], "published");
    assert_eq!(sandbox.dists(&["--json"]).ok().json()["suites"][0]["outcome"], "unchanged");
    sandbox.git(&["rm", "-q", "keys/provenance/next.pub"]).ok();
    sandbox.git(&["commit", "-q", "-m", "Lose a key"]).ok();
    sandbox.dists(&[]).exits(4).says("ddb.toml names keys/provenance/next.pub as a file of [provenance.projects]");
    sandbox.write("archive/keys/provenance/next.pub", "nonsense\n");
    commit_by_hand(&sandbox, "Spoil a key");
    sandbox.dists(&[]).exits(4).says("keys/provenance/next.pub, which [provenance.projects] of ddb.toml names");
}
