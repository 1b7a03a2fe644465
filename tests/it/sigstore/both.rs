//! Both kinds of logs at once: they are asked side by side, and what one gave is kept when the other fails.

use super::site::{Rekor, configure, give_key, is_built, verify_blob};
use super::{BUNDLE, RELEASE, read, with_package};
use crate::sandbox::Sandbox;
use crate::sigsum::site as sigsum;

#[test]
fn a_proof_that_one_log_gave_is_kept_when_the_other_fails_and_not_asked_for_again() {
    if !is_built() {
        return;
    }
    let mut sandbox = with_package();
    let keeper = Sandbox::new();
    let witnessed = sigsum::Log::start(&keeper, "witnessed");
    let mut log = Rekor::start(&keeper, "log");
    log.stop();
    sigsum::configure(&sandbox, &format!("{}quorum witnessed\n", witnessed.lines()), "");
    sigsum::give_key(&mut sandbox);
    configure(&sandbox, &[log.trusted()], &format!("url = \"{}\"\ntimeout = \"3s\"\n", log.url()));
    give_key(&mut sandbox);
    sandbox.dists(&[]).exits(13).says("the sigstore log");
    assert!(!sandbox.public().join("dists/trixie/InRelease").exists());
    let kept = sandbox.git(&["show", "ddb/releases/trixie:Release.proof"]).ok().out;

    log.start_again();
    configure(&sandbox, &[log.trusted()], &format!("url = \"{}\"\n", log.url()));
    let answer = sandbox.dists(&["--json"]).ok().json();
    assert_eq!(answer["suites"][0]["logs"], serde_json::json!(["sigsum", "sigstore"]));
    assert_eq!(read(&sandbox.public().join("dists/trixie/Release.proof")), kept.as_bytes());
    sigsum::sigsum_verify(&sandbox, "archive/public/dists/trixie/Release.proof", RELEASE, "archive/keys/sigsum.policy").ok();
    verify_blob(&sandbox, BUNDLE, RELEASE).ok();
    assert_eq!((witnessed.size(), log.size()), (1, 1));
}
