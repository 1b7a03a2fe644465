//! `ddb-publish rebuild`: a stranger's clone gives every Release that was ever served, and what it does not give is named.

pub mod attacks;
mod clones;
mod encoders;
mod history;
pub mod plant;
mod site;

use std::collections::BTreeMap;

use crate::sandbox::{Run, Sandbox, Value, cache};
use crate::specimens::{commit_by_hand, configure};

/// Runs rebuild in a clone, with the answer in JSON.
fn rebuild(sandbox: &Sandbox, clone: &str, release: &str, more: &[&str]) -> Run {
    sandbox.publish(&[&["-C", clone, "rebuild", release, "--json"], more].concat())
}

/// A plain clone, as a stranger makes one, that shares no file with the archive.
fn clone(sandbox: &Sandbox, name: &str, more: &[&str]) {
    let url = format!("file://{}", sandbox.archive().display());
    sandbox.run("git", &[&["clone", "-q"], more, &[&url, name]].concat()).ok();
}

/// The files of an answer that did not come out byte for byte, with what they are instead.
fn otherwise(answer: &Value) -> BTreeMap<String, String> {
    let files = answer["files"].as_array().unwrap().iter();
    let text = |file: &Value, key: &str| file[key].as_str().unwrap().to_owned();
    files.filter(|file| file["outcome"] != "same").map(|file| (text(file, "path"), text(file, "outcome"))).collect()
}

/// The only finding of an answer: its file and its reason.
#[track_caller]
fn only_finding(answer: &Value) -> (String, String) {
    let findings = answer["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    (findings[0]["file"].as_str().unwrap().to_owned(), findings[0]["reason"].as_str().unwrap().to_owned())
}

/// Adds lines to the suite trixie.
fn configure_suite(sandbox: &Sandbox, more: &str) {
    let path = sandbox.archive().join("ddb.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("components =", &format!("{more}components ="), 1)).unwrap();
    commit_by_hand(sandbox, "Configure the suite.");
}

fn head(sandbox: &Sandbox, revision: &str) -> String {
    sandbox.git(&["rev-parse", revision]).ok().out.trim().to_owned()
}

const MONDAY: &str = "2026-09-14T08:00:00Z";

/// A published archive with two packages.
pub fn plain_archive() -> Sandbox {
    let sandbox = Sandbox::with_archive_at(MONDAY);
    sandbox.deb("out", "plain", "1.0-1", "amd64", "Depends: libc6\n");
    sandbox.deb("out", "second", "2.0-1", "all", "");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    sandbox
}

#[test]
fn every_release_that_was_served_comes_out_byte_for_byte_in_a_strangers_clone() {
    let sandbox = Sandbox::with_archive_at("2026-09-01T00:00:00Z");
    let objects = sandbox.path("objects");
    let stable = "[suites.stable]\ncomponents = [\"main\"]\narchitectures = [\"amd64\"]\ncontents = true\n";
    configure(&sandbox, "", &format!("[store]\npath = \"{}\"\n{stable}", objects.display()));
    configure_suite(
        &sandbox,
        "contents = true\ncontents-every = \"2d\"\npdiffs = 4\nvalid-for = \"7d\"\nrelease-digests = [\"md5\", \"sha512\"]\nblock-size = \"64KiB\"\ncompression = [\"gz\", \"xz\", \"zst\"]\n",
    );
    // Enough paragraphs for several blocks.
    for number in 0..40 {
        let fields = format!("Description: package {number}\n {}\n", format!("long text {number} ").repeat(300));
        sandbox.deb("many", &format!("p{number}"), "1.0", "amd64", &fields);
    }
    sandbox.commit("many", &["--suite", "trixie"]).ok();
    sandbox.commit(cache("out/small"), &["--suite", "trixie"]).ok();
    sandbox.dists_at("2026-09-01T01:00:00Z", &[]).ok();
    sandbox.commit(cache("out/two-amd64"), &["--suite", "trixie"]).ok();
    sandbox.dists_at("2026-09-01T02:00:00Z", &[]).ok();
    for (number, now) in [(3, "2026-09-02T00:00:00Z"), (17, "2026-09-02T03:00:00Z"), (39, "2026-09-05T00:00:00Z")] {
        let out = format!("change-{number}");
        sandbox.deb(&out, &format!("p{number}"), "1.1", "amd64", "Description: another text\n of it\n");
        sandbox.commit(&out, &["--suite", "trixie"]).ok();
        sandbox.dists_at(now, &[]).ok();
    }
    sandbox.dists_at("2026-09-05T01:00:00Z", &["--renew"]).ok();
    // Patches that are there stay for as long as their index does.
    let settings = std::fs::read_to_string(sandbox.archive().join("ddb.toml")).unwrap();
    sandbox.write("archive/ddb.toml", settings.replace("pdiffs = 4", "pdiffs = 0"));
    commit_by_hand(&sandbox, "Make no patches.");
    sandbox.dists_at("2026-09-05T01:30:00Z", &["--renew"]).ok();
    sandbox.git(&["revert", "--no-edit", "HEAD"]).ok();
    sandbox.dists_at("2026-09-05T02:00:00Z", &["--repack"]).ok();
    sandbox.git(&["revert", "--no-edit", "HEAD~2"]).ok();
    sandbox.dists_at("2026-09-05T03:00:00Z", &[]).ok();
    sandbox.publish(&["-C", "archive", "promote", "trixie", "stable", "--all", "--now", "2026-09-05T04:00:00Z"]).ok();
    sandbox.publish(&["-C", "archive", "promote", "trixie@2", "trixie", "--all", "--now", "2026-09-05T05:00:00Z"]).ok();
    let served =
        sandbox.git(&["log", "--format=%s", "ddb/releases/trixie"]).ok().out.lines().filter(|line| line.starts_with("Serve")).count();
    assert_eq!(served, 10);

    // Nothing that was made before is needed: no block, no cache.
    sandbox.run("sh", &["-c", "rm -r objects/.derived/blocks-v1; rm -rf home/.cache"]).ok();
    clone(&sandbox, "stranger", &[]);
    let (mut contents, mut patched) = (0, 0);
    for release in (1..=served).map(|number| format!("trixie@{number}")).chain(["stable".to_owned()]) {
        let answer = rebuild(&sandbox, "stranger", &release, &[]).ok().json();
        assert_eq!((&answer["verdict"], otherwise(&answer)), (&"same".into(), BTreeMap::new()), "{release}");
        assert_eq!((&answer["files"][0]["path"], &answer["files"][0]["published"]), (&"Release".into(), &answer["release"]));
        assert_eq!(answer["history"], "kept");
        assert_eq!(answer["encoders"], answer["own_encoders"], "{release}");
        assert_eq!(answer["signature"]["signed_by"].as_array().unwrap().len(), 1);
        let paths: Vec<&str> = answer["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
        contents += paths.iter().filter(|path| path.ends_with("Contents-amd64.gz")).count();
        patched += paths.iter().filter(|path| path.ends_with("Packages.diff/Index.gz")).count();
    }
    assert_eq!(contents, served + 1);
    assert!(patched >= 5, "{patched} Releases had patches");
    assert!(!sandbox.path("objects/.derived/blocks-v1").exists(), "and nothing was kept");
}

#[test]
fn a_release_is_found_by_its_suite_number_time_commit_and_digest() {
    let sandbox = plain_archive();
    configure_suite(&sandbox, "suite = \"stable\"\n");
    sandbox.dists_at("2026-09-15T08:00:00Z", &[]).ok();
    let first = rebuild(&sandbox, "archive", "trixie@1", &[]).ok().json();
    let newest = rebuild(&sandbox, "archive", "trixie", &[]).ok().json();
    assert_eq!((&first["sequence"], &newest["sequence"]), (&1.into(), &2.into()));
    let text = |answer: &Value, key: &str| answer[key].as_str().unwrap().to_owned();
    let staged = head(&sandbox, "ddb/releases/trixie~1");
    let base = text(&first, "base");
    let cases: [(&str, u64); 8] = [
        ("stable", 2),
        ("trixie@20260914T090000Z", 1),
        (&format!("trixie@{base}"), 1),
        (&text(&first, "release"), 1),
        (&text(&newest, "release"), 2),
        (&text(&first, "commit")[..9], 1),
        // Where it was staged only: what came on top is about the same Release.
        (&staged, 2),
        // A commit of the archive, as a snapshot's name.
        (&base, 1),
    ];
    for (release, number) in cases {
        assert_eq!(rebuild(&sandbox, "archive", release, &[]).ok().json()["sequence"], number, "{release}");
    }
    let unknown: [(&str, &str); 6] = [
        ("sid", "no Releases of \"sid\" here; there are some of trixie"),
        ("trixie@7", "Release 7 of trixie is not here"),
        ("trixie@20260101T000000Z", "as old as"),
        ("1234567", "no commit"),
        (&"0".repeat(64), "a Release with the SHA-256"),
        ("trixie@nonsense", "names no snapshot"),
    ];
    for (release, says) in unknown {
        rebuild(&sandbox, "archive", release, &[]).exits(2).says(says);
    }
    let said = sandbox.publish(&["-C", "archive", "rebuild", "trixie"]).ok().out;
    assert!(said.ends_with(&format!("trixie: commit {} gives what was published, byte for byte.\n", text(&newest, "base"))), "{said}");
}

#[test]
fn what_was_made_is_left_in_a_folder_that_nobody_else_uses() {
    let sandbox = plain_archive();
    rebuild(&sandbox, "archive", "trixie", &["--output", "made"]).ok();
    let find = |root: &str| {
        let script = format!(
            "cd {root} && find . -type f -not -path '*/by-hash/*' -not -name 'InRelease' -not -name 'Release.gpg' | sort | xargs sha256sum"
        );
        sandbox.run("sh", &["-c", &script]).ok().out
    };
    assert_eq!(find("made/dists"), find("archive/public/dists"));
    assert!(find("made/dists").lines().count() > 8);
    rebuild(&sandbox, "archive", "trixie", &["--output", "made"]).exits(2).says("not empty");
    rebuild(&sandbox, "archive", "trixie", &["--output", "made/dists/trixie/Release"]).exits(2);
}
