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
use ddb::formats::sigstore::signer::Signer;
use ddb::formats::sigstore::trusted_root::TrustedRoot;
use ddb::formats::sigstore::verify::Trust;
use serde_json::{Value, json};

use super::site::{cosign, recorded};
use crate::sandbox::Sandbox;

const SUBJECT: &str = "https://gitlab.com/debian/archive//.gitlab-ci.yml@refs/heads/main";
const ISSUER: &str = "https://gitlab.com";

/// Who vouched for the job that signed `keyless.sigstore.json`.
const KEYLESS_ISSUER: &str = "http://127.0.0.1:8926/jobs";

/// Changed bundles of each good one.
const CHANGES: usize = 60;

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

/// A bundle of a file, and who should have signed; all by their paths.
struct Judged<'a> {
    sandbox: &'a Sandbox,
    root: &'a str,
    bundle: &'a str,
    file: &'a str,
    signer: Signer,
}

impl Judged<'_> {
    /// Compares our opinion with cosign's, which gets these options too.
    #[track_caller]
    fn verdict(&self, more: &[&str], what: &str) -> &'static str {
        let read = |path: &str| std::fs::read(path).unwrap();
        let trust = Trust { root: TrustedRoot::parse(&read(self.root)).unwrap(), signer: self.signer.clone() };
        let ours = trust.verify(&read(self.file), &read(self.bundle));
        let mut arguments = vec!["verify-blob", "--trusted-root", self.root, "--bundle", self.bundle];
        if let Signer::Identity { subject, issuer } = &self.signer {
            arguments.extend(["--certificate-identity", subject, "--certificate-oidc-issuer", issuer]);
        }
        let theirs = cosign(self.sandbox, &[&arguments, more, &[self.file]].concat());
        let passed_over = |fault: &SigstoreError| match fault {
            SigstoreError::Malformed { .. } | SigstoreError::Contradiction { .. } | SigstoreError::OtherEntry { .. } => true,
            SigstoreError::Timestamp { .. } => matches!(self.signer, Signer::Key(_)),
            _ => false,
        };
        match (&ours, theirs.code) {
            (Ok(_), 0) => "good",
            (Err(_), code) if code != 0 => "bad",
            (Err(fault), 0) if passed_over(fault) => "stricter",
            _ => panic!("{what}\nours: {ours:?}\ntheirs: {theirs:?}"),
        }
    }
}

#[test]
fn cosign_agrees_on_promises_of_certificate_transparency_logs() {
    let sandbox = Sandbox::new();
    let write = |name: &str, bytes: &[u8]| sandbox.write(name, bytes).display().to_string();
    let (bundle, release) = (recorded("keyless.sigstore.json"), write("Release", &recorded("keyless.Release")));
    let root: Value = serde_json::from_slice(&recorded("keyless_root.json")).unwrap();
    let with = |pointer: &str, value: Value| {
        let mut root = root.clone();
        *root.pointer_mut(pointer).unwrap() = value;
        root
    };
    // The key of the other log is a good key, and not that of the one which promised.
    let mut other = root["ctlogs"][0].clone();
    other["publicKey"]["rawBytes"] =
        json!(STANDARD.encode(PublicKey::from_pem(&String::from_utf8(recorded("other.pub")).unwrap()).unwrap().to_der()));
    other["logId"]["keyId"] =
        json!(STANDARD.encode(PublicKey::from_pem(&String::from_utf8(recorded("other.pub")).unwrap()).unwrap().fingerprint().as_bytes()));
    let roots = [
        ("good", root.clone()),
        ("good", with("/ctlogs", json!([other, root["ctlogs"][0]]))),
        ("bad", with("/ctlogs", json!([other]))),
        ("bad", with("/ctlogs/0/publicKey/validFor", json!({"start": "2024-01-01T00:00:00Z", "end": "2025-01-01T00:00:00Z"}))),
    ];
    let signer = |subject: &str| Signer::Identity { subject: subject.to_owned(), issuer: KEYLESS_ISSUER.to_owned() };
    let good = write("good.json", &bundle);
    for (number, (wanted, root)) in roots.iter().enumerate() {
        let root = write(&format!("root{number}.json"), &serde_json::to_vec(root).unwrap());
        let judged = |subject: &str| Judged { sandbox: &sandbox, root: &root, bundle: &good, file: &release, signer: signer(subject) };
        assert_eq!(judged(super::site::SUBJECT).verdict(&[], "root"), *wanted, "root {number}");
        assert_eq!(judged(SUBJECT).verdict(&[], "another subject"), "bad");
    }
    // A root that names no such log asks for no promise; cosign has to be told that none is needed.
    let root = write("none.json", &serde_json::to_vec(&with("/ctlogs", json!([]))).unwrap());
    let judged = Judged { sandbox: &sandbox, root: &root, bundle: &good, file: &release, signer: signer(super::site::SUBJECT) };
    assert_eq!(judged.verdict(&["--insecure-ignore-sct"], "no log"), "good");
    let root = write("root.json", &recorded("keyless_root.json"));
    let mut numbers = Numbers(11);
    for _ in 0..CHANGES {
        let (what, bytes) = changed(&bundle, std::slice::from_ref(&bundle), &mut numbers);
        let changed = write("changed.json", &bytes);
        Judged { sandbox: &sandbox, root: &root, bundle: &changed, file: &release, signer: signer(super::site::SUBJECT) }
            .verdict(&[], &what);
    }
}

#[test]
fn cosign_agrees_on_good_and_on_changed_bundles() {
    let sandbox = Sandbox::new();
    let names = ["key", "key-timestamp", "key-ecdsa-log", "certificate"];
    let bundles = names.map(|name| recorded(&format!("{name}.sigstore.json"))).to_vec();
    let release = sandbox.write("Release", recorded("Release")).display().to_string();
    let other_release = sandbox.write("other", b"Origin: Other\n").display().to_string();
    let root = recorded("trusted_root.json");
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
        .map(|name| (sandbox.write(name, recorded(name)).display().to_string(), String::from_utf8(recorded(name)).unwrap()));

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
            let signer = if names[which] == "certificate" {
                // The second key stands for another name.
                let subject = if key == 0 { SUBJECT.to_owned() } else { SUBJECT.replace("main", "other") };
                Signer::Identity { subject, issuer: ISSUER.to_owned() }
            } else {
                Signer::Key(PublicKey::from_pem(&keys[key].1).unwrap())
            };
            let bundle = sandbox.write(format!("{number}.json"), &bytes).display().to_string();
            let who = match &signer {
                Signer::Key(_) => vec!["--key", &keys[key].0],
                Signer::Identity { .. } => vec!["--insecure-ignore-sct"],
            };
            let judged = Judged { sandbox: &sandbox, root: &root_files[root], bundle: &bundle, file, signer };
            let verdict = judged.verdict(&who, &format!("{}, changed {what}, root {root}, key {key}", names[which]));
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
