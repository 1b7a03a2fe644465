//! What somebody leaves on a branch of Releases who may push there, and write the store of blocks, and has no key of the archive.

use crate::rebuild::plant::Plant;
use crate::sandbox::{Run, Sandbox, Value};
use crate::sigsum::site::{Log, configure, give_key};

const BRANCH: &str = "ddb/releases/trixie";
const UNVOUCHED: &str = "no key of the archive vouches for what";

/// A published archive with one package.
fn published() -> Sandbox {
    let sandbox = Sandbox::with_archive();
    sandbox.deb("out", "plain", "1.0-1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    sandbox
}

fn packages(sandbox: &Sandbox) -> String {
    sandbox.run("xz", &["-dc", "archive/public/dists/trixie/main/binary-amd64/Packages.xz"]).ok().out
}

fn digest(sandbox: &Sandbox, file: &str) -> String {
    sandbox.run("sha256sum", &[&format!("archive/public/dists/trixie/{file}")]).ok().out
}

fn sequence(run: &Run) -> Value {
    run.json()["suites"][0]["sequence"].clone()
}

/// Fetches what an archive of their own leaves that has one package more, with all of its blocks, as the branch `theirs`.
fn theirs(sandbox: &Sandbox) {
    sandbox.run("cp", &["-a", "archive", "theirs"]).ok();
    sandbox.deb("evil", "evil", "9.0", "amd64", "");
    sandbox.deploy(&["-C", "theirs", "commit", "evil"]).ok();
    sandbox.publish(&["-C", "theirs", "dists", "trixie", "--renew"]).ok();
    sandbox.git(&["fetch", "-q", "../theirs", &format!("{BRANCH}:theirs")]).ok();
    // Objects and blocks, wherever they lie below .git.
    sandbox
        .run("sh", &["-c", "cd theirs/.git && for folder in lfs ddb; do [ ! -d $folder ] || cp -an $folder ../../archive/.git/; done"])
        .ok();
}

#[test]
fn what_a_pusher_plants_for_the_next_fold_to_start_from_is_not_signed() {
    let sandbox = published();
    theirs(&sandbox);
    // The honest Release with its signatures, and beside it the blocks of the other one.
    let honest = Plant::on(&sandbox, BRANCH);
    let release = String::from_utf8(honest.file("Release")).unwrap();
    let mut planted = Plant::on(&sandbox, "theirs");
    for file in ["Release", "InRelease", "Release.gpg", "served.json", "inputs.json", "recorded.asc"] {
        planted.put(file, honest.file(file));
    }
    planted.edit("fold.json", |record| {
        record["release"] = ddb::words::digest::Sha256::of(release.as_bytes()).to_hex().into();
    });
    planted.commit(&[BRANCH, "HEAD"]);
    sandbox.deb("other", "other", "1", "amd64", "");
    sandbox.commit("other", &[]).ok();
    sandbox.dists(&[]).ok().says(UNVOUCHED);
    let listed = packages(&sandbox);
    assert!(listed.contains("Package: other\n") && listed.contains("Package: plain\n") && !listed.contains("evil"), "{listed}");
    assert!(sandbox.dists(&[]).ok().err.is_empty(), "the next one starts from what was signed");
    sandbox.publish(&["-C", "archive", "rebuild", "trixie"]).ok();
}

#[test]
fn signatures_that_a_pusher_put_in_the_place_of_others_do_not_reach_clients() {
    let sandbox = published();
    let honest = Plant::on(&sandbox, BRANCH);
    for (file, other) in
        [("InRelease", "not a signature\n"), ("Release.gpg", "-----BEGIN PGP SIGNATURE-----\n\nwsB=\n-----END PGP SIGNATURE-----\n")]
    {
        let mut planted = Plant::on(&sandbox, BRANCH);
        planted.put("InRelease", honest.file("InRelease"));
        planted.put(file, other);
        planted.commit(&[BRANCH, "HEAD"]);
        let run = sandbox.dists(&["--json"]).ok().says(UNVOUCHED);
        assert_eq!(run.json()["suites"][0]["outcome"], "published");
        let served = std::fs::read_to_string(sandbox.public().join("dists/trixie").join(file)).unwrap();
        assert!(served.contains("PGP SIGNATURE") && served != other, "{served}");
        sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
        assert!(sandbox.dists(&[]).ok().err.is_empty());
    }
}

#[test]
fn a_release_that_a_pusher_staged_is_neither_logged_nor_served() {
    let mut sandbox = published();
    let keeper = Sandbox::new();
    let log = Log::start(&keeper, "log");
    configure(&sandbox, &format!("{}quorum none\n", log.lines()), "");
    give_key(&mut sandbox);
    sandbox.dists(&["--renew"]).ok();
    theirs(&sandbox);
    // Staged, as a run leaves it that was stopped; of the honest commit.
    let base = sandbox.git(&["rev-parse", "HEAD"]).ok().out.trim().to_owned();
    let mut planted = Plant::on(&sandbox, "theirs^");
    let staged = planted.json("inputs.json")["sequence"].clone();
    planted.edit("inputs.json", |inputs| inputs["base"] = base.as_str().into());
    planted.commit(&[BRANCH, "HEAD"]);
    let run = sandbox.dists(&["--json"]).ok().says("was staged, and no key of the archive vouches for it");
    assert_eq!(sequence(&run).as_u64().unwrap(), staged.as_u64().unwrap() + 1, "it is left behind");
    assert!(!packages(&sandbox).contains("evil"));
    let state = sandbox.publish(&["-C", "archive", "log", "--json"]).ok().json();
    assert_eq!(state["suites"][0]["logs"][0]["proof"], "good");

    // The same as if it had been served: nobody logs it later.
    let mut planted = Plant::on(&sandbox, BRANCH);
    let text = String::from_utf8(planted.file("Release")).unwrap().replacen("Origin: Test", "Origin: Evil", 1);
    planted.put("Release", text.as_bytes());
    planted.edit("fold.json", |record| record["release"] = ddb::words::digest::Sha256::of(text.as_bytes()).to_hex().into());
    planted.commit(&[BRANCH, "HEAD"]);
    sandbox.publish(&["-C", "archive", "log", "--pending"]).exits(4).says("no key of the archive vouches for what Release");
    assert_eq!(packages(&sandbox).matches("Package: ").count(), 1);
}

#[test]
fn an_archive_that_older_programs_published_is_signed_for_once_and_keeps_its_indices() {
    let sandbox = published();
    let before = ["main/binary-amd64/Packages.xz", "main/binary-amd64/Packages.gz"].map(|file| digest(&sandbox, file));
    let script = "set -e; cd archive; export GIT_INDEX_FILE=$PWD/.git/older; git read-tree ddb/releases/trixie; git rm -q --cached recorded.asc
        git update-ref refs/heads/ddb/releases/trixie $(git commit-tree $(git write-tree) -p ddb/releases/trixie -m Serve.); rm $GIT_INDEX_FILE";
    sandbox.run("sh", &["-c", script]).ok();
    let run = sandbox.dists(&["--json"]).ok().says(UNVOUCHED);
    assert_eq!((run.json()["suites"][0]["outcome"].clone(), sequence(&run)), ("published".into(), 2.into()));
    assert_eq!(["main/binary-amd64/Packages.xz", "main/binary-amd64/Packages.gz"].map(|file| digest(&sandbox, file)), before);
    let run = sandbox.dists(&["--json"]).ok();
    assert_eq!(run.json()["suites"][0]["outcome"], "unchanged");
    assert!(run.err.is_empty(), "{}", run.err);
}
