//! An archive whose commit point is on a Git remote: pushing, refusals in the server's own words, the inbox, and many jobs at
//! once, each with a clone of its own.

mod clones;
mod inbox;
mod promoting;
mod racing;
mod resuming;
mod servers;
mod strangers;

use crate::git_server::GitServer;
use crate::sandbox::{Run, Sandbox};
use crate::specimens::configure;

/// A remote with an archive on it, whose objects lie in a folder that all jobs reach.
pub struct Shared {
    pub sandbox: Sandbox,
    pub server: GitServer,
}

impl Shared {
    /// The archive, with more lines in its ddb.toml.
    pub fn new(toml: &str) -> Self {
        let mut sandbox = Sandbox::with_archive();
        let server = GitServer::start(&sandbox);
        sandbox.environment.insert("DDB_CACHE".to_owned(), sandbox.path("cache").display().to_string());
        configure(&sandbox, &format!("[store]\npath = \"{}\"\nshared = true\n", sandbox.path("objects").display()), toml);
        sandbox.git(&["remote", "add", "origin", &server.url()]).ok();
        sandbox.git(&["push", "-q", "-u", "origin", "main"]).ok();
        Self { sandbox, server }
    }

    /// The archive with an inbox that counts as protected.
    pub fn with_inbox() -> Self {
        Self::new("[inbox]\nprotected = true\n")
    }

    /// A command that deploys a folder by the archive's address, with a cache of its own.
    pub fn deploy(&self, job: &str, out: &str, more: &[&str]) -> Run {
        let cache = self.sandbox.path(format!("cache-{job}"));
        let url = self.server.url();
        let mut words = vec![format!("DDB_CACHE={}", cache.display()), env!("CARGO_BIN_EXE_ddb-deploy").to_owned()];
        words.extend(["-C", &url, "commit", out].map(str::to_owned));
        words.extend(more.iter().map(|word| (*word).to_owned()));
        self.sandbox.run("env", &words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The commits of the remote's branch, newest first, by the first lines of their messages.
    pub fn log(&self) -> Vec<String> {
        self.server.git(&self.sandbox, &["log", "--first-parent", "--format=%s", "main"]).ok().out.lines().map(str::to_owned).collect()
    }

    /// The remote's branches.
    pub fn branches(&self) -> Vec<String> {
        let refs = self.server.git(&self.sandbox, &["for-each-ref", "--format=%(refname)", "refs/heads"]).ok().out;
        refs.lines().map(|name| name.trim_start_matches("refs/heads/").to_owned()).collect()
    }

    /// What the suite offers on the remote: `package_version`.
    pub fn offered(&self) -> Vec<String> {
        let paths = self.server.git(&self.sandbox, &["ls-tree", "-r", "--name-only", "main", "suites/"]).ok().out;
        let mut names: Vec<String> = paths.lines().map(|path| path.rsplit('/').next().unwrap().to_owned()).collect();
        names.sort();
        names
    }
}

#[test]
fn two_clones_deploy_in_turn_and_both_follow_the_remote() {
    let shared = Shared::new("");
    let sandbox = &shared.sandbox;
    sandbox.run("git", &["clone", "-q", &shared.server.url(), "second"]).ok();
    for (number, archive) in ["archive", "second", "archive", "second"].iter().enumerate() {
        let out = format!("out{number}");
        sandbox.deb(&out, &format!("pack{number}"), "1", "amd64", "");
        let answer = sandbox.deploy(&["-C", archive, "commit", &out, "--json"]).ok().json();
        assert_eq!(answer["remote"], shared.server.url());
        let status = sandbox.run("git", &["-C", archive, "status", "--porcelain"]).ok().out;
        assert_eq!(status, "", "{archive}");
        let ahead = sandbox.run("git", &["-C", archive, "rev-list", "--count", "--left-right", "main...origin/main"]).ok().out;
        assert_eq!(ahead.trim(), "0\t0", "{archive}");
    }
    assert_eq!(shared.offered(), ["pack0_1", "pack1_1", "pack2_1", "pack3_1"]);
    // An address may be relative, as Git takes it: from the top of the work tree, wherever the command runs.
    sandbox.git(&["remote", "set-url", "origin", "../remotes/archive.git"]).ok();
    // A commit made by hand and not pushed goes along.
    sandbox.run("git", &["-C", "archive", "pull", "-q", "--ff-only"]).ok();
    configure(sandbox, "# a remark", "");
    sandbox.deb("out4", "pack4", "1", "amd64", "");
    sandbox.commit("out4", &[]).ok();
    assert_eq!(shared.log()[..2], ["Add pack4 1.", "Configure the archive."]);
    // Where both have moved on, nothing is overwritten.
    configure(sandbox, "# another", "");
    sandbox.deb("out5", "pack5", "1", "amd64", "");
    sandbox.deploy(&["-C", "second", "commit", "out5"]).ok();
    sandbox.deb("out6", "pack6", "1", "amd64", "");
    sandbox.commit("out6", &[]).exits(4).says("have diverged");
    sandbox.git(&["pull", "-q", "--rebase"]).ok();
    sandbox.commit("out6", &[]).ok();
    assert_eq!(shared.offered().len(), 7);
}

#[test]
fn a_runner_deploys_by_address_with_trees_alone() {
    let shared = Shared::new("");
    let sandbox = &shared.sandbox;
    for number in 0..3 {
        sandbox.deb("many", &format!("other{number}"), "1", "amd64", "");
    }
    sandbox.commit("many", &[]).ok();
    sandbox.deb("out", "runner", "1", "amd64", "");
    let answer = shared.deploy("runner", "out", &["--json"]).ok().json();
    assert_eq!(answer["builds"][0]["verdict"], "landed");
    let clone = std::fs::read_dir(sandbox.path("cache-runner")).unwrap().map(|entry| entry.unwrap().path());
    let clone = clone.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "git")).unwrap();
    let count = |what: &str| {
        let script = format!("git -C {} cat-file --batch-all-objects --batch-check | grep -c ' {what} '", clone.display());
        sandbox.run("bash", &["-c", &script]).out.trim().parse::<usize>().unwrap()
    };
    assert!(clone.join("shallow").exists(), "history was fetched");
    // ddb.toml, the pointer and the record: none of the pool's.
    assert!(count("blob") <= 4, "{} blobs were fetched", count("blob"));
    // A newer version replaces the one that another clone deployed: its record is fetched when it is needed.
    sandbox.deb("newer", "other1", "2", "amd64", "");
    shared.deploy("runner", "newer", &[]).ok();
    assert_eq!(shared.offered(), ["other0_1", "other1_2", "other2_1", "runner_1"]);
    let again = shared.deploy("runner", "newer", &["--detailed-exit-code"]);
    again.exits(10);
}

#[test]
fn publishers_on_several_machines_share_the_record_of_releases() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    sandbox.deb("out", "first", "1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    assert_eq!(sandbox.dists(&["--json"]).ok().json()["suites"][0]["sequence"], 1);
    let url = shared.server.url();
    let elsewhere = sandbox.path("elsewhere").display().to_string();
    let by_address = |more: &[&str]| sandbox.publish(&[&["-C", &url, "dists", "trixie", "--target", &elsewhere, "--json"], more].concat());
    // The other machine's tree is empty: it gets the same Release, signatures included.
    let answer = by_address(&[]).ok().json();
    assert_eq!(answer["suites"][0]["outcome"], "repaired");
    let read = |path: &str| std::fs::read(sandbox.path(path)).unwrap();
    assert_eq!(read("elsewhere/dists/trixie/InRelease"), read("archive/public/dists/trixie/InRelease"));
    // What waits in the inbox is landed and published.
    sandbox.deb("parked", "second", "1", "amd64", "");
    shared.deploy("job", "parked", &["--park", "--wait", "0s"]).exits(12);
    let answer = by_address(&[]).ok().json();
    assert_eq!((&answer["suites"][0]["sequence"], &answer["suites"][0]["packages"]), (&2.into(), &2.into()));
    assert!(shared.branches().iter().all(|branch| !branch.contains("inbox")), "{:?}", shared.branches());
    let answer = sandbox.dists(&["--json"]).ok().json();
    assert_eq!(answer["suites"][0]["sequence"], 2);
    assert_eq!(read("elsewhere/dists/trixie/InRelease"), read("archive/public/dists/trixie/InRelease"));
    sandbox.deploy(&["-C", "archive", "fsck"]).ok();
}

#[test]
fn without_a_credential_the_commit_stays_here_and_with_one_it_is_pushed() {
    let mut shared = Shared::new("");
    shared.server.require_token(Some("secret-token"));
    let before = shared.log();
    let sandbox = &shared.sandbox;
    sandbox.deb("out", "kept", "1", "amd64", "");
    let refused = sandbox.commit("out", &["--require-push"]).exits(1).says("wants a credential");
    assert!(refused.err.contains("DDB_GIT_TOKEN"));
    assert_eq!(sandbox.git(&["log", "-1", "--format=%s"]).ok().out.trim(), "Configure the archive.", "nothing is committed");
    let answer = sandbox.commit("out", &["--json"]).exits(11).json();
    assert!(answer["not_pushed"].as_str().unwrap().contains("credential") && answer["commit"].is_string(), "{answer}");
    assert_eq!(shared.log(), before);
    assert_eq!(shared.sandbox.git(&["status", "--porcelain"]).ok().out, "");
    shared.deploy("job", "out", &[]).exits(1).says("wants a credential");
    // A token that does not count is no missing one.
    shared.sandbox.environment.insert("DDB_GIT_TOKEN".to_owned(), "expired-token".to_owned());
    shared.sandbox.deb("more", "more", "1", "amd64", "");
    let denied = shared.sandbox.commit("more", &[]).exits(1).says("refuses access");
    shared.sandbox.environment.insert("DDB_GIT_TOKEN".to_owned(), "secret-token".to_owned());
    let landed = shared.sandbox.commit("more", &["-v"]).ok();
    assert_eq!(shared.log()[..2], ["Add more 1.", "Add kept 1."]);
    let config = std::fs::read_to_string(shared.sandbox.archive().join(".git/config")).unwrap();
    for text in [denied.err, denied.out, landed.err, landed.out, config] {
        assert!(!text.contains("secret-token") && !text.contains("expired-token"), "{text}");
    }
    // May read, may not write.
    shared.server.may_only_read(true);
    shared.sandbox.deb("third", "third", "1", "amd64", "");
    shared.sandbox.commit("third", &[]).exits(1).says("refuses access");
    assert_eq!(shared.sandbox.git(&["log", "-1", "--format=%s"]).ok().out.trim(), "Add more 1.");
}

#[test]
fn a_refusal_is_said_in_the_servers_own_words_with_the_remedy_and_leaves_nothing() {
    let shared = Shared::new("");
    let sandbox = &shared.sandbox;
    sandbox.deb("out", "declined", "1", "amd64", "");
    let nothing_landed = || {
        assert!(!shared.offered().contains(&"declined_1".to_owned()));
        assert_eq!(sandbox.git(&["log", "-1", "--format=%s"]).ok().out.trim(), "Configure the archive.");
        assert_eq!(sandbox.git(&["status", "--porcelain"]).ok().out, "");
    };
    shared.server.decline_pointers_without_objects();
    sandbox.commit("out", &[]).exits(1).says("LFS objects are missing").says("lfs_enabled=false");
    nothing_landed();
    shared.server.decline("refs/heads/main", "GitLab: You are not allowed to push code to protected branches on this project.");
    sandbox.commit("out", &[]).exits(1).says("not allowed to push code").says("--park");
    nothing_landed();
    shared.server.decline("refs/heads/main", "Only on weekdays.");
    sandbox.commit("out", &[]).exits(1).says("Only on weekdays.");
    nothing_landed();
    shared.server.accept_all();
    shared.server.answer_with(Some((503, "Service Unavailable")));
    sandbox.commit("out", &[]).exits(1).says("503");
    nothing_landed();
    shared.server.answer_with(None);
    // The same command does the work as soon as it may; options that a server does not take are left out.
    shared.server.configure(sandbox, "receive.advertisePushOptions", "false");
    sandbox.commit("out", &[]).ok();
    assert!(shared.offered().contains(&"declined_1".to_owned()));
    sandbox.commit("out", &["--remote", "nowhere"]).exits(4).says("git remote add nowhere");
    sandbox.deb("more", "more", "1", "amd64", "");
    sandbox.commit("more", &["--park"]).exits(4).says("inbox.protected");
}

#[test]
fn pointers_to_objects_that_only_this_machine_has_are_not_pushed() {
    let sandbox = Sandbox::with_archive();
    let server = GitServer::start(&sandbox);
    sandbox.git(&["remote", "add", "origin", &server.url()]).ok();
    sandbox.git(&["push", "-q", "-u", "origin", "main"]).ok();
    sandbox.deb("out", "local", "1", "amd64", "");
    let run = sandbox.commit("out", &[]).exits(4).says("store.s3").says("--no-push");
    assert!(run.out.is_empty(), "{}", run.out);
    assert!(!server.git(&sandbox, &["log", "--format=%s", "main"]).ok().out.contains("local"));
    sandbox.commit("out", &["--no-push"]).ok();
    assert!(!server.git(&sandbox, &["log", "--format=%s", "main"]).ok().out.contains("local"));
    sandbox.deb("more", "more", "1", "amd64", "");
    sandbox.commit("more", &["--local-objects"]).ok();
    assert!(server.git(&sandbox, &["log", "--format=%s", "main"]).ok().out.contains("Add local 1."));
}

#[test]
fn the_logs_of_a_release_are_looked_at_on_another_machine_than_published_it() {
    let shared = Shared::new("");
    let sandbox = &shared.sandbox;
    sandbox.deb("out", "pack", "1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    sandbox.run("git", &["clone", "-q", &shared.server.url(), "second"]).ok();
    for sequence in [1, 2] {
        sandbox.dists(&["--renew"]).ok();
        let answer = sandbox.publish(&["-C", "second", "log", "--json"]).ok().json();
        assert_eq!(answer["suites"][0]["sequence"], sequence);
    }
}
