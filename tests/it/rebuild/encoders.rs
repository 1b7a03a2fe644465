//! Releases whose indices another compressor made: they are compared by their content, and that is said.

use ddb::words::digest::Sha256;

use super::plant::Plant;
use super::{clone, head, otherwise, plain_archive, rebuild};
use crate::sandbox::{Run, Sandbox, Value};

const PACKAGES: &str = "main/binary-amd64/Packages";

/// The same Release, rightly signed, with a Packages.xz that the xz program made, of the same text or another one; the compressors
/// that are recorded are another one's for .xz, if asked for.
fn recompressed(sandbox: &Sandbox, evil: bool, recorded: bool) {
    let honest = head(sandbox, "ddb/releases/trixie");
    let index = format!("archive/public/dists/trixie/{PACKAGES}");
    let sed = if evil { "| sed s/^Maintainer:/maintainer:/" } else { "" };
    let script = format!("gzip -dc {index}.gz {sed} | xz -c -1 --check=crc64 >other.xz; cat other.xz | sha256sum");
    let new = sandbox.run("sh", &["-c", &script]).ok().out[..64].to_owned();
    let bytes = std::fs::read(sandbox.path("other.xz")).unwrap();
    let old = std::fs::read(sandbox.path(format!("{index}.xz"))).unwrap();
    assert_ne!(bytes, old, "xz -1 makes another file than ddb");
    let mut planted = Plant::on(sandbox, &honest);
    let line = |digest: &str, size: usize| format!(" {digest} {size:>8} {PACKAGES}.xz\n");
    let release = String::from_utf8(planted.file("Release")).unwrap();
    let before = line(&Sha256::of(&old).to_hex(), old.len());
    assert!(release.contains(&before), "{release}");
    planted.edit("inputs.json", |inputs| inputs["sequence"] = 2.into());
    planted.sign(&release.replace(&before, &line(&new, bytes.len())));
    if recorded {
        planted.edit("fold.json", |record| {
            let encoders = record["encoders"].as_array_mut().unwrap();
            let at = encoders.iter().position(|name| name.as_str().unwrap().starts_with("xz: ")).unwrap();
            encoders[at] = "xz: liblzma-sys 0.2.1, settings 1".into();
        });
    }
    // As ddb of that time left it: the file is the one block, by its hash.
    planted.edit(&format!("sheets/{PACKAGES}"), |sheet| {
        assert_eq!(sheet["blocks"].as_array().unwrap().len(), 1);
        sheet["blocks"][0]["forms"]["xz"] = serde_json::json!([new, bytes.len()]);
    });
    planted.commit(&[&honest, "HEAD"]);
    let block = format!("archive/.git/ddb/derived/blocks-v1/{}/{}/{new}", &new[..2], &new[2..4]);
    sandbox.write(block, bytes);
}

/// Puts the planted Release and its index into the published tree.
fn publish_planted(sandbox: &Sandbox) {
    let put = |path: &str, bytes: &[u8]| {
        let path = sandbox.public().join("dists/trixie").join(path);
        drop(std::fs::remove_file(&path));
        std::fs::write(&path, bytes).unwrap();
    };
    for file in ["InRelease", "Release", "Release.gpg"] {
        put(file, sandbox.git(&["show", &format!("ddb/releases/trixie:{file}")]).ok().out.as_bytes());
    }
    let bytes = std::fs::read(sandbox.path("other.xz")).unwrap();
    put(&format!("{PACKAGES}.xz"), &bytes);
    put(&format!("main/binary-amd64/by-hash/SHA256/{}", Sha256::of(&bytes)), &bytes);
}

fn outcome(run: &Run) -> (Value, String) {
    let answer = run.json();
    let file = answer["files"].as_array().unwrap().iter().find(|file| file["path"] == format!("{PACKAGES}.xz")).unwrap().clone();
    (file["outcome"].clone(), file["reason"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn another_version_of_a_compressor_is_told_from_another_content() {
    let sandbox = plain_archive();
    recompressed(&sandbox, false, true);
    // Where the bytes are at hand they are looked into.
    let run = rebuild(&sandbox, "archive", "trixie", &[]).ok();
    assert_eq!(outcome(&run), ("same-content".into(), format!("another compressor made it; it unpacks to {PACKAGES}")));
    let answer = run.json();
    assert_eq!((&answer["verdict"], answer["findings"].as_array().unwrap().len()), (&"same-content".into(), 0));
    assert_eq!(otherwise(&answer).into_keys().collect::<Vec<_>>(), ["Release", &format!("{PACKAGES}.xz")]);
    let said = sandbox.publish(&["-C", "archive", "rebuild", "trixie"]).ok().out;
    assert!(said.contains(&format!("{PACKAGES}.xz: the same content, other bytes")) && said.contains("liblzma-sys 0.2.1"), "{said}");
    // Where they are not, only the plain form is compared, and that is said.
    clone(&sandbox, "stranger", &[]);
    let run = rebuild(&sandbox, "stranger", "trixie", &[]).exits(36);
    let (what, reason) = outcome(&run);
    assert!(what == "plain-same" && reason.contains("only main/binary-amd64/Packages was compared, by its digest"), "{what}: {reason}");
    assert_eq!(run.json()["verdict"], "not-whole");
    rebuild(&sandbox, "stranger", "trixie", &["--accept", "left-out"]).exits(36);
    rebuild(&sandbox, "stranger", "trixie", &["--accept", "plain-same"]).ok();
    let said = sandbox.publish(&["-C", "stranger", "rebuild", "trixie"]).exits(36).out;
    assert!(said.contains("--site") && said.contains("--accept plain-same"), "{said}");
    // What clients are given says it again.
    publish_planted(&sandbox);
    let run = rebuild(&sandbox, "stranger", "trixie", &["--site", "archive/public"]).ok();
    assert_eq!(outcome(&run).0, "same-content", "{}", run.out);
}

#[test]
fn what_another_compressor_is_blamed_for_is_looked_into() {
    // The signed Release lists a Packages.xz that unpacks to something else than the Packages beside it.
    let sandbox = plain_archive();
    recompressed(&sandbox, true, true);
    let run = rebuild(&sandbox, "archive", "trixie", &[]).exits(35);
    assert_eq!(outcome(&run), ("differs".into(), format!("it does not unpack to {PACKAGES}")));
    // With the compressors that this program has, other bytes are no excuse.
    let sandbox = plain_archive();
    recompressed(&sandbox, false, false);
    let run = rebuild(&sandbox, "archive", "trixie", &[]).exits(35);
    let (what, reason) = outcome(&run);
    assert!(what == "differs" && reason.contains("the compressor that is recorded, which is this program's"), "{what}: {reason}");
}

#[test]
fn a_release_of_before_compressors_were_recorded_comes_out_all_the_same() {
    let sandbox = plain_archive();
    let honest = head(&sandbox, "ddb/releases/trixie");
    let mut planted = Plant::on(&sandbox, &honest);
    planted.edit("fold.json", |record| drop(record.as_object_mut().unwrap().remove("encoders").unwrap()));
    planted.commit_vouched(&honest);
    let answer = rebuild(&sandbox, "archive", "trixie", &[]).ok().json();
    assert_eq!((&answer["verdict"], answer["encoders"].as_array().unwrap().len()), (&"same".into(), 0));
    // What keeps its blocks says that nobody knows who made them.
    sandbox.deb("more", "more", "1", "amd64", "");
    sandbox.commit("more", &[]).ok();
    sandbox.dists_at("2026-09-15T08:00:00Z", &[]).ok();
    let answer = rebuild(&sandbox, "archive", "trixie", &[]).ok().json();
    assert!(answer["verdict"] == "same" && answer["encoders"].to_string().contains("not recorded"), "{answer}");
    // A repack keeps none.
    sandbox.dists_at("2026-09-16T08:00:00Z", &["--repack", "--renew"]).ok();
    let answer = rebuild(&sandbox, "archive", "trixie", &[]).ok().json();
    assert_eq!(answer["encoders"], answer["own_encoders"]);
    // A Release of which nothing at all was recorded but its inputs.
    let newest = head(&sandbox, "ddb/releases/trixie");
    let mut planted = Plant::on(&sandbox, &newest);
    planted.edit("fold.json", |record| record["release"] = "0".repeat(64).into());
    planted.commit(&[&newest, "HEAD"]);
    let answer = rebuild(&sandbox, "archive", "trixie", &["--accept", "plain-same"]).ok().json();
    assert_eq!(answer["encoders"].as_array().unwrap().len(), 0);
    assert!(answer["findings"].as_array().unwrap().is_empty() && only_same_text(&answer), "{answer}");
}

/// Every plain form is the same, byte for byte.
fn only_same_text(answer: &Value) -> bool {
    otherwise(answer).keys().all(|path| path == "Release" || path.ends_with(".xz") || path.ends_with(".gz"))
}
