//! The contract suite of transparency logs, on a real one.

use std::time::Duration;

use ddb::formats::openssh::public_key;
use ddb::formats::sigsum::Policy;
use ddb::places::credentials::Secret;
use ddb::places::transparency::sigsum::{SigsumLog, SubmitKey};
pub use ddb::places::transparency::{LogError, Proof, TransparencyLog};

use super::site::{Log, submit_key};
use crate::sandbox::Sandbox;

#[path = "../../../src/places/transparency/contract.rs"]
pub mod contract;

/// The logs of a policy, with the key that submits.
pub fn logs_of(sandbox: &Sandbox, policy: &str, timeout: Duration) -> SigsumLog {
    let secret = SubmitKey::Text("submit".to_owned(), Secret::new(std::fs::read_to_string(sandbox.path("submit")).unwrap()));
    with_key(sandbox, policy, timeout, secret)
}

fn with_key(sandbox: &Sandbox, policy: &str, timeout: Duration, secret: SubmitKey) -> SigsumLog {
    let public = public_key(&std::fs::read_to_string(sandbox.path("submit.pub")).unwrap()).unwrap();
    SigsumLog::new(Policy::parse(policy.as_bytes()).unwrap(), public, secret, None, timeout, None).unwrap()
}

#[test]
fn a_sigsum_log_keeps_the_contract() {
    let sandbox = Sandbox::new();
    submit_key(&sandbox, "submit");
    let log = Log::start(&sandbox, "log");
    let policy = format!("{}quorum log\n", log.lines());
    let second = Duration::from_secs(60);
    contract::check(&logs_of(&sandbox, &policy, second), &with_key(&sandbox, &policy, second, SubmitKey::None));
    assert_eq!(log.size(), 3, "asking again adds no leaf");
}
