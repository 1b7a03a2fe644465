//! Proofs in a bucket: those that come later, and those that a later Release does not have.

use std::io::Read as _;

use ddb::places::s3::{Client, Limits};

use super::site::{Log, configure};
use super::{with_log, with_package};
use crate::sandbox::Sandbox;
use crate::seaweed::{self, Seaweed, WRITER};
use crate::specimens;

fn read(tree: &Client, path: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    tree.get(path).unwrap()?.read_to_end(&mut bytes).unwrap();
    Some(bytes)
}

#[test]
fn a_proof_that_comes_later_is_written_to_a_bucket_and_goes_with_its_release() {
    let mut sandbox = with_package();
    seaweed::give(&mut sandbox, WRITER);
    let bucket = Seaweed::shared().bucket("sigsum-later");
    specimens::configure(&sandbox, "", &bucket.table("target.s3", "deb"));
    let tree = bucket.client("deb", Limits::default());
    let keeper = Sandbox::new();
    let mut log = Log::new(&keeper, "log");
    // Without staples InRelease stays as it is, and says nothing about what lies beside it.
    let best_effort = |timeout: &str| format!("mode = \"best-effort\"\nstaple = false\ntimeout = \"{timeout}\"\n");
    with_log(&mut sandbox, &format!("{}quorum log\n", log.lines()), &best_effort("2s"));
    sandbox.dists(&[]).ok().says("has no sigsum proof");
    let proof = "dists/trixie/Release.proof";
    assert_eq!(read(&tree, proof), None);
    log.start_witness();
    log.start_log();
    configure(&sandbox, &format!("{}quorum log\n", log.lines()), &best_effort("100s"));
    sandbox.publish(&["-C", "archive", "log", "--pending"]).ok();
    let kept = sandbox.git(&["show", "ddb/releases/trixie:Release.proof"]).ok().out;
    assert_eq!(read(&tree, proof).as_deref(), Some(kept.as_bytes()));
    let history = tree.list("dists/trixie/tlog/").unwrap();
    assert_eq!(history.len(), 2, "{history:?}");
    assert_eq!(sandbox.dists(&["--json"]).ok().json()["suites"][0]["outcome"], "unchanged");

    // A Release without a proof has none of an older one beside it, although a removal did not happen in its time.
    log.stop_log();
    configure(&sandbox, &format!("{}quorum log\n", log.lines()), &best_effort("2s"));
    sandbox.dists(&["--renew"]).ok();
    assert_eq!(read(&tree, proof), None);
    tree.copy(&tree.settings().bucket, &tree.key(&history[0].key), history[0].size, proof, ddb::places::s3::Headers::NONE).unwrap();
    sandbox.dists(&["--renew"]).ok();
    assert_eq!(read(&tree, proof), None);
}
