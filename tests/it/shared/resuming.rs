//! A publish that was stopped between staging and serving, gone on with by a runner that has a shallow clone of its own.

use super::Shared;
use crate::sandbox::Run;

const RELEASES: &str = "refs/heads/ddb/releases/trixie";

/// An archive of three commits, whose publish was stopped after the first and again after the second of them.
fn stopped() -> Shared {
    let mut shared = Shared::new("");
    let public = shared.sandbox.path("public").display().to_string();
    crate::specimens::configure(&shared.sandbox, "", &format!("[target]\npath = \"{public}\"\n"));
    shared.sandbox.git(&["push", "-q"]).ok();
    let environment = [("DDB_SIGNING_KEY", key(&shared))];
    shared.sandbox.environment.extend(environment.map(|(name, value)| (name.to_owned(), value)));
    deploy(&shared, "one");
    let in_the_way = shared.sandbox.path("public/dists/trixie/InRelease");
    std::fs::create_dir_all(in_the_way.join("folder")).unwrap();
    shared.sandbox.dists(&[]).exits(1);
    std::fs::remove_dir_all(&in_the_way).unwrap();
    shared
}

fn key(shared: &Shared) -> String {
    let files = std::fs::read_dir(shared.sandbox.path("home/.config/ddb/keys")).unwrap().map(|entry| entry.unwrap().path());
    let texts = files.filter_map(|path| std::fs::read_to_string(path).ok());
    texts.into_iter().find(|text| text.contains("PRIVATE KEY")).unwrap()
}

fn deploy(shared: &Shared, name: &str) {
    shared.sandbox.deb(name, name, "1", "amd64", "");
    shared.sandbox.commit(name, &[]).ok();
}

/// Publishes by the archive's address, with a cache that nobody has used.
fn fresh(shared: &Shared, name: &str) -> Run {
    let cache = format!("DDB_CACHE={}", shared.sandbox.path(format!("cache-{name}")).display());
    let words = [&cache, env!("CARGO_BIN_EXE_ddb-publish"), "-C", &shared.server.file_url(), "dists", "trixie", "--json"];
    shared.sandbox.run("env", &words)
}

#[test]
fn a_fresh_runner_finishes_what_was_staged_of_an_older_commit() {
    let shared = stopped();
    // Commits that it does not fetch at first stand between.
    for name in ["two", "three"] {
        deploy(&shared, name);
    }
    let run = fresh(&shared, "a").ok();
    assert_eq!((&run.json()["suites"][0]["sequence"], run.err.contains("left behind")), (&2.into(), false), "{}", run.err);
    let said = shared.server.git(&shared.sandbox, &["log", "--first-parent", "--format=%s", RELEASES]).ok().out;
    let said: Vec<&str> = said.lines().collect();
    assert_eq!(
        said[..4],
        ["Serve Release 2 of trixie.", "Stage Release 2 of trixie.", "Serve Release 1 of trixie.", "Stage Release 1 of trixie."]
    );
    assert!(shared.sandbox.dists(&[]).ok().err.is_empty());
    shared.sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn a_fresh_runner_finds_what_a_key_vouches_for_below_more_than_it_fetched() {
    let shared = stopped();
    shared.sandbox.dists(&[]).ok();
    let script = format!(
        "set -e; cd {}; export GIT_AUTHOR_NAME=Other GIT_AUTHOR_EMAIL=other@example.org GIT_COMMITTER_NAME=Other GIT_COMMITTER_EMAIL=other@example.org
         tree=$(git mktree </dev/null); commit=$(git rev-parse {RELEASES})
         for number in $(seq 40); do commit=$(git commit-tree $tree -p $commit -m Junk); done; git update-ref {RELEASES} $commit",
        shared.server.folder().display()
    );
    shared.sandbox.run("bash", &["-c", &script]).ok();
    let run = fresh(&shared, "b").ok().says("it is left behind, and Release 1 is followed");
    assert_eq!(run.json()["suites"][0]["sequence"], 2);
    let run = fresh(&shared, "c").ok();
    assert_eq!((&run.json()["suites"][0]["outcome"], run.err.as_str()), (&"unchanged".into(), ""));
}

#[test]
fn a_monitor_in_a_plain_clone_asks_the_branches_of_the_remote() {
    let shared = stopped();
    let sandbox = &shared.sandbox;
    sandbox.dists(&[]).ok();
    sandbox.run("git", &["clone", "-q", &shared.server.file_url(), "watch"]).ok();
    let site = sandbox.path("public").display().to_string();
    let look = |more: &[&str]| {
        let fixed = ["-C", "watch", "monitor", "--state", "state.json", "--site", &site, "--json"];
        sandbox.publish(&[&fixed[..], more].concat()).ok().json()
    };
    look(&["--first"]);
    // Where an own branch was made once, it stays behind.
    sandbox.run("git", &["-C", "watch", "branch", "-q", "ddb/releases/trixie", "origin/ddb/releases/trixie"]).ok();
    for number in [2, 3] {
        sandbox.dists(&["--renew"]).ok();
        let answer = look(&[]);
        assert_eq!((&answer["suites"][0]["newest"], answer["alarms"].as_array().unwrap().len()), (&number.into(), 0), "{answer}");
    }
}
