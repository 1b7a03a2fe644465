//! Our verifier and cosign have the same opinion of bundles that real logs gave and of changed ones.
//!
//! Ours is stricter about form: a bundle says some things twice (kind, entry, index, size and root of the tree), of which cosign reads
//! one and makes the other anew, and ours compares them; with a key, cosign passes over timestamps. Nothing that cosign refuses may be
//! accepted.

use std::collections::BTreeMap;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ddb::formats::sigstore::SigstoreError;
use ddb::formats::sigstore::public_key::PublicKey;
use ddb::formats::sigstore::trusted_root::TrustedRoot;
use ddb::formats::sigstore::verify::{Signer, Trust};
use serde_json::{Value, json};

use super::site::cosign;
use crate::sandbox::Sandbox;

const SUBJECT: &str = "https://gitlab.com/debian/archive//.gitlab-ci.yml@refs/heads/main";
const ISSUER: &str = "https://gitlab.com";

/// Changed bundles of each good one.
const CHANGES: usize = 60;

fn data(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/data/sigstore/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|fault| panic!("{path}: {fault}"))
}

/// Numbers that look random and are the same in every run.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// Every place in a JSON value.
pub fn pointers(value: &Value, path: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(values) => values.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (name, value) in children {
        let path = format!("{path}/{name}");
        found.push(path.clone());
        pointers(value, &path, found);
    }
}

/// A bundle with one value changed, taken away, or taken from another bundle; and what was done.
fn changed(bundle: &[u8], others: &[Vec<u8>], numbers: &mut Numbers) -> (String, Vec<u8>) {
    let mut json: Value = serde_json::from_slice(bundle).unwrap();
    let mut all = Vec::new();
    pointers(&json, "", &mut all);
    let pointer = all[numbers.below(all.len())].clone();
    let value = json.pointer(&pointer).unwrap().clone();
    let other: Value = serde_json::from_slice(&others[numbers.below(others.len())]).unwrap();
    let kind = numbers.below(4);
    if kind == 0 {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match json.pointer_mut(parent).unwrap() {
            Value::Object(fields) => drop(fields.remove(name)),
            Value::Array(values) => drop(values.remove(name.parse().unwrap())),
            _ => unreachable!(),
        }
    } else if let Some(other) = other.pointer(&pointer).filter(|other| kind == 1 && **other != value) {
        *json.pointer_mut(&pointer).unwrap() = other.clone();
    } else if let Value::String(text) = &value {
        *json.pointer_mut(&pointer).unwrap() = json!(changed_text(text, numbers));
    } else {
        *json.pointer_mut(&pointer).unwrap() = Value::Null;
    }
    (format!("{kind} at {pointer}"), serde_json::to_vec(&json).unwrap())
}

fn changed_text(text: &str, numbers: &mut Numbers) -> String {
    if let Ok(number) = text.parse::<u64>() {
        return (number ^ 1 << numbers.below(6)).to_string();
    }
    match STANDARD.decode(text) {
        Ok(mut bytes) if bytes.len() > 8 => {
            let at = numbers.below(bytes.len());
            bytes[at] ^= 1 << numbers.below(8);
            STANDARD.encode(bytes)
        }
        _ => {
            let mut letters: Vec<char> = text.chars().collect();
            let at = numbers.below(letters.len());
            letters[at] = if letters[at] == 'A' { 'B' } else { 'A' };
            letters.into_iter().collect()
        }
    }
}

#[test]
fn cosign_agrees_on_good_and_on_changed_bundles() {
    let sandbox = Sandbox::new();
    let names = ["key", "key-timestamp", "key-ecdsa-log", "certificate"];
    let bundles = names.map(|name| data(&format!("{name}.sigstore.json"))).to_vec();
    let release = sandbox.write("Release", data("Release")).display().to_string();
    let other_release = sandbox.write("other", b"Origin: Other\n").display().to_string();
    let root = data("trusted_root.json");
    // The same root without the first log, and without authorities.
    let mut less: Value = serde_json::from_slice(&root).unwrap();
    less["tlogs"].as_array_mut().unwrap().remove(0);
    let mut alone: Value = serde_json::from_slice(&root).unwrap();
    for kind in ["certificateAuthorities", "timestampAuthorities"] {
        alone.as_object_mut().unwrap().remove(kind);
    }
    let roots = [root, serde_json::to_vec(&less).unwrap(), serde_json::to_vec(&alone).unwrap()];
    let root_files: Vec<String> =
        roots.iter().enumerate().map(|(at, root)| sandbox.write(format!("root{at}.json"), root).display().to_string()).collect();
    let keys = ["submit.pub", "other.pub"]
        .map(|name| (sandbox.write(name, data(name)).display().to_string(), String::from_utf8(data(name)).unwrap()));

    let mut cases = Vec::new();
    let mut numbers = Numbers(7);
    for (which, bundle) in bundles.iter().enumerate() {
        for root in 0..roots.len() {
            for key in 0..2 {
                cases.push((which, "nothing".to_owned(), bundle.clone(), root, key, &release));
            }
        }
        cases.push((which, "other bytes".to_owned(), bundle.clone(), 0, 0, &other_release));
        for _ in 0..CHANGES {
            let (what, bytes) = changed(bundle, &bundles, &mut numbers);
            cases.push((which, what, bytes, 0, 0, &release));
        }
    }
    let total = cases.len();
    let counts: Mutex<BTreeMap<&str, usize>> = Mutex::default();
    let cases = Mutex::new(cases.into_iter().enumerate());
    let compare = || {
        while let Some((number, (which, what, bytes, root, key, file))) = { cases.lock().unwrap().next() } {
            let certified = names[which] == "certificate";
            let signer = if certified {
                // The second key stands for another name.
                let subject = if key == 0 { SUBJECT.to_owned() } else { SUBJECT.replace("main", "other") };
                Signer::Identity { subject, issuer: ISSUER.to_owned() }
            } else {
                Signer::Key(PublicKey::from_pem(&keys[key].1).unwrap())
            };
            let ours = Trust { root: TrustedRoot::parse(&roots[root]).unwrap(), signer: signer.clone() };
            let ours = ours.verify(&std::fs::read(file).unwrap(), &bytes);
            let bundle = sandbox.write(format!("{number}.json"), &bytes).display().to_string();
            let mut arguments = vec!["verify-blob", "--trusted-root", &root_files[root], "--bundle", &bundle];
            match &signer {
                Signer::Key(_) => arguments.extend(["--key", &keys[key].0]),
                Signer::Identity { subject, issuer } => {
                    arguments.extend(["--certificate-identity", subject, "--certificate-oidc-issuer", issuer, "--insecure-ignore-sct"]);
                }
            }
            arguments.push(file);
            let theirs = cosign(&sandbox, &arguments);
            let passed_over = |fault: &SigstoreError| match fault {
                SigstoreError::Malformed { .. } | SigstoreError::Contradiction { .. } | SigstoreError::OtherEntry { .. } => true,
                SigstoreError::Timestamp { .. } => !certified,
                _ => false,
            };
            let verdict = match (&ours, theirs.code) {
                (Ok(_), 0) => "good",
                (Err(_), code) if code != 0 => "bad",
                (Err(fault), 0) if passed_over(fault) => "stricter",
                _ => panic!("{}, changed {what}, root {root}, key {key}\nours: {ours:?}\ntheirs: {theirs:?}", names[which]),
            };
            *counts.lock().unwrap().entry(verdict).or_default() += 1;
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(compare)).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    let count = |verdict| counts.lock().unwrap().get(verdict).copied().unwrap_or_default();
    let (good, bad, stricter) = (count("good"), count("bad"), count("stricter"));
    assert_eq!(good + bad + stricter, total);
    assert!(good >= 10 && good + bad >= 200, "{good} good, {bad} bad, {stricter} refused by ours alone");
}
