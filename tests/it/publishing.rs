//! Publishing again and again: what changes, what stays, what heals, and what must never block a suite for good.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::sandbox::Sandbox;

/// Two .debs of one name and one size with other bytes.
fn two_of_one_name(sandbox: &Sandbox) -> [Vec<u8>; 2] {
    let read = |path: &Path| std::fs::read(path).unwrap();
    let one = sandbox.deb_with("o1", "foo", "1.0", "amd64", "Homepage: https://example.org/1\n", &["-Znone"]);
    let two = sandbox.deb_with("o2", "foo", "1.0", "amd64", "Homepage: https://example.org/2\n", &["-Znone"]);
    let pair = [read(&one), read(&two)];
    assert_eq!(pair[0].len(), pair[1].len());
    assert_ne!(pair[0], pair[1]);
    pair
}

const POOLED: &str = "archive/public/pool/main/f/foo/foo_1.0_amd64.deb";

fn fsck_is_clean(sandbox: &Sandbox) {
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

/// Changes a file of the archive repository and commits it by hand.
fn edit(sandbox: &Sandbox, path: &str, change: impl Fn(String) -> String) {
    let file = sandbox.archive().join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, change(std::fs::read_to_string(&file).unwrap_or_default())).unwrap();
    sandbox.git(&["add", path]).ok();
    sandbox.git(&["commit", "-q", "-m", "edit"]).ok();
}

/// An archive with the package foo, not yet published.
fn with_foo() -> Sandbox {
    let sandbox = Sandbox::with_archive();
    sandbox.deb("out", "foo", "1.0", "amd64", "");
    sandbox.commit("out", &[]).ok();
    sandbox
}

/// A publish that stops between staging and serving: InRelease cannot be written.
fn stop_before_in_release(sandbox: &Sandbox) {
    let in_the_way = sandbox.public().join("dists/trixie/InRelease");
    std::fs::create_dir_all(in_the_way.join("folder")).unwrap();
    sandbox.dists(&[]).exits(1);
    std::fs::remove_dir_all(&in_the_way).unwrap();
}

#[test]
fn a_name_that_means_other_bytes_after_a_revert_is_published_with_them() {
    let sandbox = Sandbox::with_archive();
    let [one, two] = two_of_one_name(&sandbox);
    sandbox.commit("o1", &[]).ok();
    sandbox.dists(&[]).ok();
    assert_eq!(std::fs::read(sandbox.path(POOLED)).unwrap(), one);
    sandbox.git(&["revert", "--no-edit", "HEAD"]).ok();
    sandbox.dists(&[]).ok();
    sandbox.commit("o2", &[]).ok();
    sandbox.dists(&[]).ok();
    assert_eq!(std::fs::read(sandbox.path(POOLED)).unwrap(), two);
    fsck_is_clean(&sandbox);
}

#[test]
fn a_tree_that_lags_behind_gets_replaced_bytes_of_the_same_size() {
    let sandbox = Sandbox::with_archive();
    let [_, two] = two_of_one_name(&sandbox);
    sandbox.commit("o1", &[]).ok();
    sandbox.dists(&["--target", "lagging"]).ok();
    sandbox.commit("o2", &["--on-conflict", "replace"]).ok();
    sandbox.dists(&[]).ok();
    sandbox.dists(&["--target", "lagging"]).ok();
    assert_eq!(std::fs::read(sandbox.path(POOLED)).unwrap(), two);
    assert_eq!(std::fs::read(sandbox.path("lagging/pool/main/f/foo/foo_1.0_amd64.deb")).unwrap(), two);
}

#[test]
fn a_damaged_index_is_made_whole_from_the_fold() {
    let sandbox = with_foo();
    sandbox.dists(&[]).ok();
    let index = sandbox.public().join("dists/trixie/main/binary-amd64/Packages.xz");
    let whole = std::fs::read(&index).unwrap();
    let mut damaged = whole.clone();
    damaged[30] ^= 1;
    std::fs::write(&index, &damaged).unwrap();
    sandbox.deploy(&["-C", "archive", "fsck"]).exits(8);
    // A publish looks at names and sizes; --repair reads everything.
    assert_eq!(sandbox.dists(&["--json"]).ok().json()["suites"][0]["outcome"], "unchanged");
    assert_eq!(sandbox.dists(&["--repair", "--json"]).ok().json()["suites"][0]["outcome"], "repaired");
    assert_eq!(std::fs::read(&index).unwrap(), whole);
    std::fs::write(&index, &damaged[..20]).unwrap();
    assert_eq!(sandbox.dists(&["--json"]).ok().json()["suites"][0]["outcome"], "repaired");
    assert_eq!(std::fs::read(&index).unwrap(), whole);
    fsck_is_clean(&sandbox);
    assert_eq!(sandbox.dists(&["--json"]).ok().json()["suites"][0]["outcome"], "unchanged");
}

#[test]
fn values_that_would_not_be_read_again_are_refused_and_block_nothing() {
    let sandbox = with_foo();
    let good = std::fs::read_to_string(sandbox.archive().join("ddb.toml")).unwrap();
    for bad in ["description = \" x\"\n", "version = \"1 \"\n", "signed-by = [\"A, B\"]\n", "signed-by = [\"\"]\n"] {
        edit(&sandbox, "ddb.toml", |_| format!("{good}{bad}"));
        sandbox.dists(&[]).exits(4).says("ddb.toml");
    }
    edit(&sandbox, "ddb.toml", |_| good.clone());
    sandbox.dists(&[]).ok();
}

#[test]
fn a_staged_release_that_cannot_be_signed_any_more_gives_way_to_the_next_commit() {
    let sandbox = with_foo();
    stop_before_in_release(&sandbox);
    let keys = sandbox.path("home/.config/ddb/keys");
    std::fs::remove_dir_all(&keys).unwrap();
    sandbox.dists(&[]).exits(7);
    sandbox.git(&["rm", "-q", "keys/*.asc"]).ok();
    sandbox.git(&["commit", "-q", "-m", "The old key is lost"]).ok();
    sandbox.publish(&["-C", "archive", "key", "generate"]).ok();
    let run = sandbox.dists(&["--json"]).ok().says("takes its place");
    assert_eq!(run.json()["suites"][0]["sequence"], 2);
    fsck_is_clean(&sandbox);
}

#[test]
fn a_run_that_only_finishes_another_one_says_what_it_published() {
    let sandbox = with_foo();
    stop_before_in_release(&sandbox);
    let answer = sandbox.dists(&["--json"]).ok().json();
    assert_eq!((&answer["suites"][0]["outcome"], &answer["suites"][0]["sequence"]), (&"published".into(), &1.into()));
}

#[test]
fn a_base_commit_that_no_branch_holds_any_more_is_kept() {
    let sandbox = with_foo();
    sandbox.dists(&[]).ok();
    sandbox.git(&["reset", "-q", "--hard", "HEAD~1"]).ok();
    sandbox.git(&["reflog", "expire", "--expire=now", "--all"]).ok();
    sandbox.git(&["gc", "-q", "--prune=now"]).ok();
    fsck_is_clean(&sandbox);
    sandbox.deb("out2", "bar", "1.0", "amd64", "");
    sandbox.commit("out2", &[]).ok();
    sandbox.dists(&[]).ok();
    fsck_is_clean(&sandbox);
}

#[test]
fn a_release_from_the_future_is_refused_with_a_remedy_that_helps() {
    let sandbox = with_foo();
    sandbox.dists(&["--now", "2099-01-01T00:00:00Z"]).exits(7);
    sandbox.dists_at("2027-01-01T00:00:00Z", &[]).ok();
    // Nothing changed: the tree is put right although the date is wrong.
    std::fs::remove_dir_all(sandbox.public().join("dists")).unwrap();
    sandbox.dists_at("2026-12-01T00:00:00Z", &[]).ok();
    sandbox.dists_at("2026-12-01T00:00:00Z", &["--renew"]).exits(4).says("--reset-date");
    let answer = sandbox.dists_at("2026-12-01T00:00:00Z", &["--reset-date", "--json"]).ok().json();
    assert_eq!(answer["suites"][0]["date"], "2026-12-01T00:00:00Z");
}

#[test]
fn date_never_runs_ahead_of_the_clock() {
    let sandbox = with_foo();
    for _ in 0..4 {
        sandbox.dists(&["--renew"]).ok();
        let date = sandbox.run("date", &["-u", "+%s"]).ok().out.trim().parse::<i64>().unwrap();
        let release = std::fs::read_to_string(sandbox.public().join("dists/trixie/Release")).unwrap();
        let said = release.lines().find_map(|line| line.strip_prefix("Date: ")).unwrap();
        assert!(ddb::words::date::Timestamp::parse_rfc1123(said).unwrap().0 <= date, "{said}");
    }
}

#[test]
fn another_valid_for_makes_a_new_release_and_an_expired_key_is_told() {
    let sandbox = with_foo();
    edit(&sandbox, "ddb.toml", |text| format!("{text}valid-for = \"365d\"\n"));
    sandbox.dists(&[]).ok();
    edit(&sandbox, "ddb.toml", |text| text.replace("365d", "1d"));
    let answer = sandbox.dists(&["--json"]).ok().json();
    assert_eq!((&answer["suites"][0]["outcome"], &answer["suites"][0]["sequence"]), (&"published".into(), &2.into()));
    sandbox.dists_at("2031-01-01T00:00:00Z", &[]).ok().says("clients may refuse").says("expired");
}

#[test]
fn one_suite_that_cannot_be_published_does_not_hold_up_the_others() {
    let sandbox = Sandbox::with_archive();
    edit(&sandbox, "ddb.toml", |text| format!("{text}\n[suites.broken]\narchitectures = [\"amd64\"]\n"));
    sandbox.deb("out", "foo", "1.0", "amd64", "");
    sandbox.commit("out", &["--suite", "trixie"]).ok();
    edit(&sandbox, "suites/broken/main/binary-amd64/f/foo/foo_1.0", |_| "Package: foo\n".to_owned());
    let run = sandbox.publish(&["-C", "archive", "dists", "--json"]).exits(4).says("suites/broken");
    let answer = run.json();
    assert_eq!(answer["suites"][0]["codename"], "trixie");
    assert_eq!(answer["failure"]["exit_code"], 4);
}

#[test]
fn by_hash_files_go_when_their_time_is_over_and_not_before() {
    let sandbox = Sandbox::with_archive();
    edit(&sandbox, "ddb.toml", |text| format!("{text}keep-generations = 2\nkeep-for = \"1d\"\n"));
    let by_hash = || std::fs::read_dir(sandbox.public().join("dists/trixie/main/binary-amd64/by-hash/SHA256")).unwrap().count();
    let mut hour = 0;
    let mut publish = |after: u32| {
        hour += after;
        let out = format!("out{hour}");
        sandbox.deb(&out, &format!("foo{hour}"), "1.0", "amd64", "");
        sandbox.commit(&out, &[]).ok();
        sandbox.dists_at(&format!("@{}", 1_800_000_000 + 3600 * hour), &[]).ok()
    };
    for _ in 0..12 {
        publish(1);
    }
    // Packages.gz and Packages.xz of each generation, and the folder's Release.
    assert_eq!(by_hash(), 12 * 2 + 1, "all are younger than a day");
    publish(48);
    // The newest two, and the one that was current within the last day: the one before.
    assert_eq!(by_hash(), 2 * 2 + 1);
    fsck_is_clean(&sandbox);
}

#[test]
fn the_tree_is_for_others_to_read_whatever_the_umask() {
    let sandbox = with_foo();
    let command = format!("umask 077 && exec {} -C archive dists trixie", env!("CARGO_BIN_EXE_ddb-publish"));
    sandbox.run("sh", &["-c", &command]).ok();
    let mut folders = vec![sandbox.public()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let (path, metadata) = entry.map(|entry| (entry.path(), entry.metadata().unwrap())).unwrap();
            if path.file_name().unwrap().to_str().unwrap().starts_with(".ddb-") {
                continue;
            }
            let wanted = if metadata.is_dir() { 0o755 } else { 0o444 };
            assert_eq!(metadata.permissions().mode() & wanted, wanted, "{}", path.display());
            folders.extend(metadata.is_dir().then_some(path));
        }
    }
}
