//! Bundles that are kept on the branches, whole and changed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ddb::words::digest::Sha256;
use serde_json::{Value, json};

use super::liar::{inclusion, root};
use super::pushers::{RELEASES, commit_beside};
use super::tiles::{Tiles, archive, look};
use super::{alarms, known, log_of, well};
use crate::server::Server;
use crate::sigstore::site::secret_key;

/// The bundle of an entry of ours, as the log's tree is now.
fn bundle(tiles: &Tiles, index: usize, digest: &[u8], signature: &[u8], hint: &Sha256) -> Value {
    let (hashes, base64) = (tiles.hashes(), |bytes: &[u8]| STANDARD.encode(bytes));
    let path: Vec<String> = inclusion(index, &hashes).iter().map(|hash| base64(hash.as_bytes())).collect();
    let proof = json!({
        "logIndex": index.to_string(), "rootHash": base64(root(&hashes).as_bytes()), "treeSize": hashes.len().to_string(), "hashes": path,
        "checkpoint": { "envelope": tiles.checkpoint(root(&hashes)) },
    });
    let entry = json!({
        "logIndex": index.to_string(), "logId": { "keyId": base64(&tiles.log().id()) }, "kindVersion": { "kind": "hashedrekord", "version": "0.0.2" },
        "inclusionProof": proof, "canonicalizedBody": base64(&tiles.entries[index]),
    });
    json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": { "publicKey": { "hint": base64(hint.as_bytes()) }, "tlogEntries": [entry] },
        "messageSignature": { "messageDigest": { "algorithm": "SHA2_256", "digest": base64(digest) }, "signature": base64(signature) },
    })
}

#[test]
fn every_kept_bundle_is_checked_whole() {
    let mut tiles = Tiles::new();
    let (sandbox, key, release) = archive(&tiles);
    let folder = sandbox.path("tiles");
    let server = Server::of(&folder);
    tiles.fill(2);
    let submission = tiles.add(&key, &release);
    tiles.fill(3);
    tiles.write(&folder);
    let good = bundle(&tiles, 2, Sha256::of(&release).as_bytes(), &submission.signature, &key.public().fingerprint());
    let tip = sandbox.git(&["rev-parse", RELEASES]).ok().out.trim().to_owned();
    let put = |bundle: &Value| {
        sandbox.git(&["update-ref", &format!("refs/heads/{RELEASES}"), &tip]).ok();
        commit_beside(&sandbox, &[("Release.sigstore.json", &bundle.to_string())]);
    };
    put(&good);
    well(look(&sandbox, &server, &["--state", "good.json"]), &["first-look"]);
    let entry = "/verificationMaterial/tlogEntries/0";
    let checkpoint = good.pointer(&format!("{entry}/inclusionProof/checkpoint/envelope")).unwrap().as_str().unwrap().to_owned();
    let other = STANDARD.encode(Sha256::of(b"other").as_bytes());
    let cases = [
        ("/inclusionProof/logIndex", json!("3")),
        ("/logIndex", json!("900")),
        ("/inclusionProof/treeSize", json!("5")),
        ("/inclusionProof/hashes/0", json!(other)),
        ("/inclusionProof/checkpoint/envelope", json!(checkpoint.replace("\n6\n", "\n7\n"))),
        ("/canonicalizedBody", json!(STANDARD.encode(&tiles.entries[1]))),
        ("/logId/keyId", json!(other)),
    ];
    for (number, (place, value)) in cases.into_iter().enumerate() {
        let mut bad = good.clone();
        *bad.pointer_mut(&format!("{entry}{place}")).unwrap() = value;
        assert_ne!(bad, good, "{place}");
        put(&bad);
        let state = format!("{number}.json");
        let run = alarms(look(&sandbox, &server, &["--state", &state]), &["bad-proof"]);
        let said = [known(&run), vec!["--state".to_owned(), state]].concat();
        well(look(&sandbox, &server, &said.iter().map(String::as_str).collect::<Vec<_>>()), &[]);
    }
}

#[test]
fn a_bundle_by_a_foreign_key_proves_nothing_and_its_key_becomes_none_of_ours() {
    let mut tiles = Tiles::new();
    let (sandbox, key, release) = archive(&tiles);
    let folder = sandbox.path("tiles");
    let server = Server::of(&folder);
    let stranger = secret_key(&sandbox, "stranger");
    let submission = tiles.add(&stranger, &release);
    // What the stranger logs besides is no matter of ours.
    tiles.add(&stranger, b"something else");
    tiles.fill(1);
    tiles.write(&folder);
    let tip = sandbox.git(&["rev-parse", RELEASES]).ok().out.trim().to_owned();
    for hint in [stranger.public().fingerprint(), key.public().fingerprint()] {
        sandbox.git(&["update-ref", &format!("refs/heads/{RELEASES}"), &tip]).ok();
        let foreign = bundle(&tiles, 0, Sha256::of(&release).as_bytes(), &submission.signature, &hint);
        commit_beside(&sandbox, &[("Release.sigstore.json", &foreign.to_string())]);
        std::fs::remove_file(sandbox.path("monitor.json")).unwrap_or_default();
        let run = alarms(look(&sandbox, &server, &[]), &["bad-proof"]);
        assert_eq!((log_of(&run, "size"), log_of(&run, "own")), (3.into(), 0.into()), "{}", run.out);
        // It was served without proof, whatever stands beside it.
        let later = ddb::words::date::Timestamp(super::liar::clock() + 30 * 3600).iso8601();
        alarms(look(&sandbox, &server, &["--now", &later]), &["bad-proof", "served-without-leaf"]);
    }
}
