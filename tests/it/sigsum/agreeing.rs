//! Our verifier and sigsum-verify have the same opinion of good proofs and of changed ones.

use std::time::Duration;

use ddb::formats::openssh::public_key;
use ddb::formats::sigsum::Policy;
use ddb::formats::sigsum::verify::verify_bytes;
use ddb::places::transparency::TransparencyLog as _;

use super::site::{Log, sigsum_verify, submit_key};
use super::suite::logs_of;
use crate::sandbox::Sandbox;

/// Changed proofs of each good one.
const CHANGES: usize = 40;

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// A change of one bit, one digit, or of whole lines.
fn changed(proof: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = proof.to_vec();
    let mut lines: Vec<&[u8]> = proof.split_inclusive(|byte| *byte == b'\n').collect();
    let (at, line, other) = (numbers.below(bytes.len()), numbers.below(lines.len()), numbers.below(lines.len()));
    match numbers.below(7) {
        0 => bytes[at] ^= 1 << numbers.below(8),
        1 | 2 => bytes[at] = b"0123456789abcdefA= \n"[numbers.below(20)],
        3 => bytes.truncate(at),
        4 => {
            lines.remove(line);
            bytes = lines.concat();
        }
        5 => {
            lines.insert(other, lines[line]);
            bytes = lines.concat();
        }
        _ => {
            lines.swap(line, other);
            bytes = lines.concat();
        }
    }
    bytes
}

#[test]
fn sigsum_verify_agrees_on_good_and_on_changed_proofs() {
    let sandbox = Sandbox::new();
    let line = submit_key(&sandbox, "submit");
    let keys = [public_key(&line).unwrap()];
    let log = Log::start(&sandbox, "log");
    let stranger = Log::new(&sandbox, "stranger");
    let own = format!("{}quorum log\n", log.lines());
    // Policies under which the same proofs are good, short of cosignatures, or of an unknown log.
    let policies = [
        own.clone(),
        format!("{}quorum none\n", log.lines()),
        format!("{}{}group all all log stranger\nquorum all\n", log.lines(), stranger.lines()),
        format!("{}{}group any any stranger log\nquorum any\n", log.lines(), stranger.lines()),
        format!("{}quorum none\n", stranger.lines()),
    ];
    let prover = logs_of(&sandbox, &own, Duration::from_secs(60));
    let mut numbers = Numbers(1);
    let (mut good, mut bad, mut trees) = (0, 0, Vec::new());
    let mut compare = |file: &[u8], proof: &[u8], policy: &str| {
        sandbox.write("file", file);
        sandbox.write("proof", proof);
        sandbox.write("policy", policy);
        let ours = verify_bytes(file, proof, &keys, &Policy::parse(policy.as_bytes()).unwrap());
        let theirs = sigsum_verify(&sandbox, "proof", "file", "policy");
        let shown = String::from_utf8_lossy(proof).into_owned();
        assert_eq!(ours.is_ok(), theirs.code == 0, "ours: {ours:?}\ntheirs: {theirs:?}\n{policy}\n{shown}");
        if ours.is_ok() { good += 1 } else { bad += 1 }
    };
    for number in 1..=5u64 {
        let file = format!("Origin: Test\nDate: {number}\n").into_bytes();
        let proof = prover.prove(&file).unwrap();
        trees.push(log.size());
        for policy in &policies {
            compare(&file, &proof, policy);
        }
        compare(b"Origin: Other\n", &proof, &own);
        for _ in 0..CHANGES {
            let policy = &policies[numbers.below(2)];
            compare(&file, &changed(&proof, &mut numbers), policy);
        }
    }
    assert_eq!(trees, [1, 2, 3, 4, 5]);
    assert!(good >= 15 && bad >= 150, "{good} good and {bad} bad ones");
}
