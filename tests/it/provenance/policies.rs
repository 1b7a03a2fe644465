//! Which policy counts, and what is judged again when it changes.

use super::*;

/// An archive with hello and world, each signed by the key of its project.
fn two_sources() -> Sandbox {
    let sandbox = Sandbox::with_archive();
    for name in ["hello", "world", "next"] {
        pem_key(&sandbox, name);
    }
    projects(&sandbox, "hello", "world", "");
    for name in ["hello", "world"] {
        sandbox.deb(name, name, "1", "amd64", "");
        deploy(&sandbox, name, name).ok();
    }
    sandbox
}

fn projects(sandbox: &Sandbox, hello: &str, world: &str, more: &str) {
    policy(sandbox, &(pinned(&[("debian/hello", "hello", hello), ("debian/world", "world", world)], "") + more));
}

fn deploy(sandbox: &Sandbox, key: &str, out: &str) -> Run {
    let key = sandbox.path(format!("{key}.pem")).display().to_string();
    let options = ["--provenance-key-file", &key, "--builder", "https://runner.example/1", "--on-conflict", "replace"];
    sandbox.commit(out, &options)
}

#[test]
fn only_sources_of_changed_projects_are_judged_again() {
    let sandbox = two_sources();
    sandbox.dists(&[]).ok();
    // Whoever reads the envelope of hello again does not find it.
    std::fs::remove_file(object(&sandbox, &Sha256::of(&named(&sandbox, "Provenance")).to_hex())).unwrap();
    projects(&sandbox, "hello", "next", "");
    let said = sandbox.dists(&[]).exits(4).says("world_1: its provenance").says("was not signed by the key");
    assert!(!said.err.contains("hello_1"), "{}", said.err);
    deploy(&sandbox, "next", "world").ok();
    sandbox.dists(&[]).ok();
    // One project more takes nothing away, and one that is gone does.
    let third = "[provenance.projects.third]\nsources = [\"*\"]\nkeys = [\"keys/provenance/next.pub\"]\n";
    projects(&sandbox, "hello", "next", third);
    sandbox.dists(&[]).ok();
    projects(&sandbox, "hello", "next", "");
    sandbox.dists(&[]).exits(4).says("hello_1: its provenance").says("it is not in ");
}

#[test]
fn what_was_staged_and_not_served_is_judged_by_the_newest_policy() {
    let sandbox = two_sources();
    // Nothing can take the place of this folder, so the Release stays staged.
    let blocked = sandbox.public().join("dists/trixie/InRelease/blocked");
    std::fs::create_dir_all(&blocked).unwrap();
    assert_ne!(sandbox.dists(&[]).code, 0);
    let staged = || sandbox.git(&["rev-list", "--count", "--first-parent", "ddb/releases/trixie"]).ok().out;
    assert_eq!(staged().trim(), "2");
    std::fs::remove_dir_all(blocked.parent().unwrap()).unwrap();
    // The key of world is found to be stolen.
    projects(&sandbox, "hello", "next", "");
    sandbox
        .dists(&[])
        .exits(4)
        .says("Release 1 of trixie was staged and not served, and is left behind: it cannot be served any more")
        .says("world_1: its provenance");
    assert!(!sandbox.public().join("dists/trixie/InRelease").exists(), "nothing is served");
    deploy(&sandbox, "next", "world").ok();
    let answer = sandbox.dists(&["--json"]).ok().json();
    assert_eq!((&answer["suites"][0]["outcome"], &answer["suites"][0]["sequence"]), (&json!("published"), &json!(2)));
}

#[test]
fn an_envelope_without_signatures_is_signed_where_there_is_a_key() {
    let sandbox = Sandbox::with_archive();
    let deb = std::fs::read(sandbox.deb("out", "hello", "1", "amd64", "")).unwrap();
    pem_key(&sandbox, "hello");
    policy(&sandbox, &pinned(&[("debian/hello", "hello", "hello")], ""));
    let mut envelope = sign(&sandbox, &statement(&deb, json!({})), "hello.pem");
    envelope["signatures"] = json!([]);
    let unsigned = serde_json::to_vec(&envelope).unwrap();
    sandbox.write("out/hello.intoto.jsonl", &unsigned);
    sandbox.commit("out", &[]).exits(3).says("nobody signed");
    deploy(&sandbox, "hello", "out").ok();
    assert_eq!(named(&sandbox, "Provenance-Claims"), unsigned);
    assert!(!statement_in(&named(&sandbox, "Provenance")).is_null());
    sandbox.dists(&[]).ok();
    let said = provenance_of(&sandbox, "out/hello_1_amd64.deb");
    assert_eq!((&said["project"], &said["refused"]), (&json!("debian/hello"), &Value::Null), "{said}");
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn of_several_envelopes_one_that_counts_is_enough() {
    let sandbox = Sandbox::with_archive();
    sandbox.deb("out", "hello", "1", "amd64", "");
    for name in ["hello", "evil"] {
        pem_key(&sandbox, name);
    }
    let rest = "[suites.sid]\narchitectures = [\"amd64\"]\n";
    let project = "[provenance.projects.hello]\nsources = [\"hello\"]\nkeys = [\"keys/provenance/hello.pub\"]\n";
    policy(&sandbox, &format!("{rest}{project}"));
    for (suite, key) in [("trixie", "hello"), ("sid", "evil")] {
        let key = sandbox.path(format!("{key}.pem")).display().to_string();
        sandbox.commit("out", &["--suite", suite, "--provenance-key-file", &key, "--builder", "https://runner.example/1"]).ok();
        sandbox.publish(&["-C", "archive", "dists", suite]).ok();
    }
    let keyring = sandbox.public().join("archive-keyring.asc").display().to_string();
    let more = ["--deb", "out/hello_1_amd64.deb", "--repository", "archive", "--json"];
    let verify = [&["verify", "archive/public", "--suite", "trixie", "--keyring", &keyring], &more[..]].concat();
    let answer = sandbox.publish(&verify).ok().json()["files"][0]["provenance"].clone();
    assert_eq!((&answer["envelope"]["project"], &answer["envelope"]["refused"]), (&json!("hello"), &Value::Null), "{answer}");
    let others = answer["other_envelopes"].as_array().unwrap();
    assert_eq!((others.len(), &others[0]["project"]), (1, &Value::Null), "{answer}");
    assert!(others[0]["refused"].as_str().unwrap().contains("was not signed by the key"), "{answer}");
    let text = sandbox.publish(&verify[..verify.len() - 1]).ok().out;
    assert!(text.contains("signed for the project hello") && text.contains("claims only, not evidence"), "{text}");
}

#[test]
fn a_root_whose_logs_nobody_here_knows_is_no_root() {
    let sandbox = Sandbox::with_archive();
    let log = json!({"baseUrl": "https://log.example", "hashAlgorithm": "SHA2_512", "publicKey": {"rawBytes": "AAAA"}});
    let root = json!({"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1", "tlogs": [log]});
    sandbox.write("archive/keys/provenance/root.json", serde_json::to_vec(&root).unwrap());
    let project = "require-provenance = true\n[provenance.projects.hello]\nsources = [\"hello\"]\ntrusted-root = \"keys/provenance/root.json\"\n\
                   issuer = \"https://git.example\"\nrepository = \"https://git.example/hello\"\nrefs = [\"refs/heads/main\"]\n";
    policy(&sandbox, project);
    sandbox.deb("out", "hello", "1", "amd64", "");
    sandbox.commit("out", &[]).exits(4).says("keys/provenance/root.json").says("none of the logs that it names");
}
