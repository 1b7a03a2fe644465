//! Our judgement and cosign's of good and changed envelopes and bundles: nothing that cosign refuses is accepted.
//!
//! Ours is stricter about form, and asks for repository and branch; cosign knows neither.

use std::collections::BTreeMap;
use std::sync::Mutex;

use ddb::formats::provenance::policy::Policy;
use ddb::words::archive::Archive;

use super::certificates::{GOOD, ISSUER, Site, logged};
use super::*;
use crate::sigstore::agreeing::{Numbers, pointers};

/// Changes of each good one.
const CHANGES: usize = 50;

/// The same with one value changed or taken away, and what was done.
fn changed(good: &Value, numbers: &mut Numbers) -> (String, Value) {
    let mut json = good.clone();
    // A timestamp brings its signer's certificate along, which nobody signed and we need not: it is tested byte by byte elsewhere.
    let mut all = Vec::new();
    pointers(&json, "", &mut all);
    all.retain(|pointer| !pointer.ends_with("/signedTimestamp"));
    let pointer = all[numbers.below(all.len())].clone();
    let value = json.pointer(&pointer).unwrap().clone();
    match value {
        Value::String(text) if numbers.below(4) > 0 => {
            let new = match STANDARD.decode(&text) {
                Ok(mut bytes) if bytes.len() > 8 => {
                    let at = numbers.below(bytes.len());
                    bytes[at] ^= 1 << numbers.below(8);
                    STANDARD.encode(bytes)
                }
                _ => format!("{text}x"),
            };
            *json.pointer_mut(&pointer).unwrap() = json!(new);
        }
        _ => {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            match json.pointer_mut(parent).unwrap() {
                Value::Object(fields) => drop(fields.remove(name)),
                Value::Array(values) => drop(values.remove(name.parse().unwrap())),
                _ => unreachable!(),
            }
        }
    }
    (pointer, json)
}

#[test]
fn cosign_agrees_on_good_and_on_changed_ones() {
    let site = Site::new();
    let (deb, other) = (site.deb.clone(), b"other bytes".to_vec());
    site.job(GOOD);
    let mut bundle = site.bundle(Some("tsa"));
    let (entry, service) = logged(&site, &bundle);
    bundle["verificationMaterial"]["tlogEntries"] = json!([entry]);
    site.trust(&[service]);
    let key = pem_key(&site.sandbox, "project");
    assert!(key.contains("PRIVATE KEY"));
    let envelope = sign(&site.sandbox, &statement(&deb, json!({})), "project.pem");
    let material = json!({"publicKey": {"hint": ""}, "tlogEntries": []});
    let keyed =
        json!({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "verificationMaterial": material, "dsseEnvelope": envelope});
    let policy = |lines: &str, path: &str| {
        let suite = "[suites.x]\narchitectures = [\"amd64\"]\n[provenance.projects.p]\nsources = [\"hello\"]\n";
        let archive = Archive::parse(&format!("{suite}{lines}")).unwrap();
        let bytes = std::fs::read(site.sandbox.path(format!("archive/{path}"))).unwrap();
        Policy::read(&archive.provenance, &BTreeMap::from([(path.to_owned(), bytes)])).unwrap()
    };
    let by_key = policy("keys = [\"keys/provenance/project.pub\"]\n", "keys/provenance/project.pub");
    let by_certificate = policy(
        &format!("trusted-root = \"keys/root.json\"\nissuer = \"{ISSUER}\"\nrepository = \"{REPOSITORY}\"\nrefs = [\"refs/heads/main\"]\n"),
        "keys/root.json",
    );
    site.sandbox.write("other.deb", &other);
    let mut numbers = Numbers(3);
    let mut cases = Vec::new();
    for (certified, good) in [(false, &keyed), (true, &bundle)] {
        cases.push((certified, "nothing".to_owned(), good.clone(), true));
        cases.push((certified, "another file".to_owned(), good.clone(), false));
        for _ in 0..CHANGES {
            let (what, changed) = changed(good, &mut numbers);
            cases.push((certified, what, changed, true));
        }
    }
    let total = cases.len();
    let counts: Mutex<BTreeMap<&str, usize>> = Mutex::default();
    let cases = Mutex::new(cases.into_iter().enumerate());
    let compare = || {
        while let Some((number, (certified, what, json, same))) = { cases.lock().unwrap().next() } {
            let bytes = serde_json::to_vec(&json).unwrap();
            let policy = if certified { &by_certificate } else { &by_key };
            let content = if same { &deb } else { &other };
            let ours = policy.approve("hello", None, &bytes).and_then(|approved| approved.names(&Sha256::of(content)));
            let name = format!("{number}.json");
            site.sandbox.write(&name, &bytes);
            let file = if same { "out/hello_1_amd64.deb" } else { "other.deb" };
            let theirs = if certified {
                site.cosign_of(&name, file, &["--new-bundle-format"])
            } else {
                let [key, bundle, file] = ["project.pub", &name, file].map(|path| site.sandbox.path(path).display().to_string());
                let how = ["verify-blob-attestation", "--insecure-ignore-tlog", "--type", "slsaprovenance1"];
                cosign(&site.sandbox, &[&how[..], &["--key", &key, "--bundle", &bundle, &file]].concat())
            };
            let verdict = match (&ours, theirs.code == 0) {
                (Ok(()), true) => "accepted",
                (Err(_), false) => "refused",
                (Err(_), true) => "stricter",
                (Ok(()), false) => panic!("only we accept a change of {what}: {}", theirs.err),
            };
            assert!(what != "nothing" || verdict == "accepted", "{ours:?} {}", theirs.err);
            assert!(what != "another file" || verdict == "refused", "{ours:?}");
            *counts.lock().unwrap().entry(verdict).or_default() += 1;
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(compare);
        }
    });
    let counts = counts.into_inner().unwrap();
    assert_eq!(counts.values().sum::<usize>(), total);
    assert!(counts["refused"] > total / 2, "{counts:?}");
}
