//! What somebody leaves on a branch of Releases who may push there, and write the store of blocks, and has no key of the archive.

mod again;
mod merges;
mod unreadable;

use crate::rebuild::plant::Plant;
use crate::sandbox::{Run, Sandbox, Value};
use crate::sigsum::site::{Log, configure, give_key};

const BRANCH: &str = "ddb/releases/trixie";
const UNVOUCHED: &str = "no key of the archive vouches for what";
const INDEX: &str = "sheets/main/binary-amd64/Packages";

/// A published archive with one package.
fn published() -> Sandbox {
    let sandbox = Sandbox::with_archive();
    sandbox.deb("out", "plain", "1.0-1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    sandbox
}

/// Commits these lines to the suite's settings.
fn keep(sandbox: &Sandbox, lines: &str) {
    let toml = sandbox.archive().join("ddb.toml");
    let text = std::fs::read_to_string(&toml).unwrap();
    std::fs::write(&toml, text.replacen("architectures", &format!("{lines}architectures"), 1)).unwrap();
    sandbox.git(&["commit", "-qam", "What is kept"]).ok();
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
    sandbox.deploy(&["-C", "theirs", "commit", "evil", "--suite", "trixie"]).ok();
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
    let run = sandbox.dists(&["--json"]).ok().says(UNVOUCHED);
    assert_eq!(sequence(&run), staged, "it is left behind, and its number is free");
    assert!(!packages(&sandbox).contains("evil"));
    let state = sandbox.publish(&["-C", "archive", "log", "--json"]).ok().json();
    assert_eq!(state["suites"][0]["logs"][0]["proof"], "good");

    // The same as if it had been served: nobody logs it later.
    let mut planted = Plant::on(&sandbox, BRANCH);
    let text = String::from_utf8(planted.file("Release")).unwrap().replacen("Origin: Test", "Origin: Evil", 1);
    planted.put("Release", text.as_bytes());
    planted.edit("fold.json", |record| record["release"] = ddb::words::digest::Sha256::of(text.as_bytes()).to_hex().into());
    planted.commit(&[BRANCH, "HEAD"]);
    sandbox.publish(&["-C", "archive", "log", "--pending"]).exits(4).says("no key of the archive vouches for the newest commit of");
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

#[test]
fn a_name_that_holds_the_line_of_another_file_is_not_taken_for_both() {
    let sandbox = published();
    sandbox.deb("source", "other", "1", "amd64", "");
    sandbox.commit("source", &[]).ok();
    sandbox.dists(&[]).ok();
    let honest = Plant::on(&sandbox, BRANCH);
    let recorded: Vec<String> = honest.recorded().into_iter().collect();
    let at = recorded.iter().position(|path| path == INDEX).unwrap();
    // The index and the file before it in the text become one.
    let line = format!("{}\n{}  {INDEX}", recorded[at - 1], ddb::words::digest::Sha256::of(&honest.file(INDEX)));
    let mut planted = Plant::on(&sandbox, BRANCH);
    planted.put(&line, honest.file(&recorded[at - 1]));
    planted.remove(INDEX);
    planted.commit(&[BRANCH, "HEAD"]);
    sandbox.deb("more", "third", "1", "amd64", "");
    sandbox.commit("more", &[]).ok();
    sandbox.dists(&[]).ok().says(UNVOUCHED);
    let listed = packages(&sandbox);
    assert!(["plain", "other", "third"].iter().all(|name| listed.contains(&format!("Package: {name}\n"))), "{listed}");
    assert!(sandbox.dists(&[]).ok().err.is_empty());
}

#[test]
fn names_of_patches_lead_to_nothing_else() {
    let sandbox = Sandbox::with_archive();
    keep(&sandbox, "pdiffs = 8\nkeep-generations = 1\nkeep-for = \"0s\"\n");
    // An index that is larger than a patch.
    for number in 0..12 {
        sandbox.deb("aa", &format!("aa{number}"), "1", "amd64", "");
    }
    for name in ["aa", "bb"] {
        sandbox.deb(name, name, "1", "amd64", "");
        sandbox.commit(name, &[]).ok();
        sandbox.dists(&[]).ok();
    }
    let victims = [sandbox.write("victim.gz", "mine"), sandbox.public().join("dists/trixie/main/binary-amd64/Packages.diff/Index.gz")];
    let mut planted = Plant::on(&sandbox, BRANCH);
    let sheet = String::from_utf8(planted.file(INDEX)).unwrap();
    let name = sheet.get(sheet.find("00000001-").unwrap()..).unwrap().split('"').next().unwrap().to_owned();
    for (number, bad) in ["../../../../../../../victim", "Index"].into_iter().enumerate() {
        let sheet = sheet.replace(&name, bad);
        planted.put(INDEX, sheet);
        // Who has the key signs it even.
        if number == 1 {
            planted.commit_vouched(BRANCH);
        } else {
            planted.commit(&[BRANCH, "HEAD"]);
        }
        planted = Plant::on(&sandbox, BRANCH);
    }
    for name in ["cc", "dd", "ee"] {
        sandbox.deb(name, name, "1", "amd64", "");
        sandbox.commit(name, &[]).ok();
        sandbox.dists(&[]).ok();
        for victim in &victims {
            assert!(victim.exists(), "{name}: {}", victim.display());
        }
    }
    let patches = std::fs::read_dir(victims[1].parent().unwrap()).unwrap().count();
    assert!(patches > 1, "{patches}");
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn what_a_pusher_says_of_served_releases_keeps_old_files_no_longer_and_no_shorter() {
    let sandbox = published();
    keep(&sandbox, "keep-generations = 2\nkeep-for = \"1d\"\n");
    let by_hash = || std::fs::read_dir(sandbox.public().join("dists/trixie/main/binary-amd64/by-hash/SHA256")).unwrap().count();
    let publish = |day: u64| {
        let name = format!("day{day}");
        sandbox.deb(&name, &name, "1", "amd64", "");
        sandbox.commit(&name, &[]).ok();
        sandbox.dists_at(&format!("@{}", 1_796_000_000 + 86_400 * 2 * day), &[]).ok();
    };
    (0..3).for_each(publish);
    // Packages.gz and Packages.xz of each of two, and the folder's Release.
    assert_eq!(by_hash(), 2 * 2 + 1);
    for (key, value) in [("swept", Value::from(u64::MAX)), ("at", Value::from(i64::MAX / 2)), ("at", Value::from(0))] {
        let mut planted = Plant::on(&sandbox, BRANCH);
        planted.edit("served.json", |served| served[key] = value);
        planted.commit(&[BRANCH]);
        let day = sequence(&sandbox.dists_at("@1830000000", &["--dry-run", "--json"]).ok()).as_u64().unwrap();
        (day..day + 2).for_each(publish);
        assert_eq!(by_hash(), 2 * 2 + 1, "{key}");
    }
    // Commits that nobody signed are no generations.
    for number in 0..3 {
        let mut planted = Plant::on(&sandbox, BRANCH);
        let release = String::from_utf8(planted.file("Release")).unwrap() + &format!("Note: {number}\n");
        planted.put("Release", release);
        planted.commit(&[BRANCH]);
    }
    publish(400);
    assert_eq!(by_hash(), 2 * 2 + 1);
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}
