//! ddb's own clones, and Git's configuration and environment around them.

use std::process::Stdio;

use super::Shared;
use crate::sandbox::Run;

fn by_address(shared: &Shared, arguments: &[&str]) -> Run {
    shared.sandbox.deploy(&[&["-C", &shared.server.url()], arguments].concat())
}

#[test]
fn a_branch_that_was_named_once_is_not_the_next_jobs_branch() {
    let shared = Shared::new("");
    let sandbox = &shared.sandbox;
    sandbox.git(&["push", "-q", "origin", "HEAD:other"]).ok();
    for name in ["one", "two", "three"] {
        sandbox.deb(name, name, "1", "amd64", "");
    }
    by_address(&shared, &["--branch", "other", "commit", "one"]).ok();
    by_address(&shared, &["commit", "two"]).ok();
    assert_eq!(shared.offered(), ["two_1"]);
    by_address(&shared, &["--branch", "other", "commit", "three"]).ok();
    by_address(&shared, &["inbox", "list"]).ok();
    by_address(&shared, &["fsck"]).ok();
    let other = shared.server.git(sandbox, &["ls-tree", "-r", "--name-only", "other", "suites/"]).ok().out;
    assert_eq!(other.lines().count(), 2, "{other}");
}

#[test]
fn jobs_that_share_a_cache_all_land() {
    const JOBS: usize = 8;
    for inbox in [false, true] {
        let shared = if inbox { Shared::with_inbox() } else { Shared::new("") };
        let sandbox = &shared.sandbox;
        for job in 0..JOBS {
            sandbox.deb(&format!("out{job}"), &format!("pack{job}"), "1", "amd64", "");
        }
        let jobs: Vec<_> = (0..JOBS)
            .map(|job| {
                let out = format!("out{job}");
                let mut command = sandbox.command(env!("CARGO_BIN_EXE_ddb-deploy"), &["-C", &shared.server.url(), "commit", &out]);
                command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for job in jobs {
            let output = job.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        assert_eq!(shared.offered().len(), JOBS);
    }
}

#[test]
fn a_lock_that_a_killed_git_left_in_the_cache_does_not_stay_for_ever() {
    let shared = Shared::new("");
    let sandbox = &shared.sandbox;
    for name in ["one", "two"] {
        sandbox.deb(name, name, "1", "amd64", "");
    }
    by_address(&shared, &["commit", "one"]).ok();
    let clone = std::fs::read_dir(sandbox.path("cache")).unwrap().map(|entry| entry.unwrap().path());
    let clone = clone.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "git")).unwrap();
    let hour = std::time::Duration::from_secs(3600);
    for lock in ["shallow.lock", "config.lock", "packed-refs.lock", "HEAD.lock", "refs/heads/main.lock", "refs/remotes/origin/main.lock"] {
        let file = std::fs::File::create(clone.join(lock)).unwrap();
        let made = file.metadata().unwrap().modified().unwrap();
        file.set_modified(made - hour).unwrap();
    }
    // Somebody else moved on.
    sandbox.deb("three", "three", "1", "amd64", "");
    sandbox.commit("three", &[]).ok();
    by_address(&shared, &["commit", "two"]).ok();
    assert_eq!(shared.offered(), ["one_1", "three_1", "two_1"]);
}

#[test]
fn a_cache_that_a_killed_git_or_a_full_disk_damaged_is_made_again() {
    let shared = Shared::new("");
    let sandbox = &shared.sandbox;
    for name in ["one", "two", "three", "four", "five"] {
        sandbox.deb(name, name, "1", "amd64", "");
    }
    by_address(&shared, &["commit", "one"]).ok();
    let clone = std::fs::read_dir(sandbox.path("cache")).unwrap().map(|entry| entry.unwrap().path());
    let clone = clone.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "git")).unwrap();
    let out = clone.display();
    for (name, damage) in [
        ("two", format!("true >{out}/refs/remotes/origin/main")),
        ("three", format!("true >{out}/shallow.lock; true >{out}/refs/remotes/origin/main.lock")),
        ("four", format!("for pack in {out}/objects/pack/*.pack; do chmod u+w $pack; true >$pack; done")),
        ("five", format!("true >{out}/config")),
    ] {
        sandbox.run("bash", &["-c", &damage]).ok();
        // Somebody else moved on.
        sandbox.git(&["pull", "-q"]).ok();
        sandbox.git(&["commit", "-q", "--allow-empty", "-m", "Meanwhile."]).ok();
        sandbox.git(&["push", "-q"]).ok();
        by_address(&shared, &["commit", name]).ok();
    }
    assert_eq!(shared.offered().len(), 5);
    let left = std::fs::read_dir(sandbox.path("cache")).unwrap().count();
    assert_eq!(left, 2, "the clone and its lock");
}

#[test]
fn a_branch_that_somebody_removes_is_not_made_again() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    shared.server.pre_receive(
        "env -u GIT_QUARANTINE_PATH -u GIT_OBJECT_DIRECTORY -u GIT_ALTERNATE_OBJECT_DIRECTORIES git update-ref -d refs/heads/main",
    );
    sandbox.deb("out", "late", "1", "amd64", "");
    by_address(&shared, &["commit", "out", "--wait", "10s"]).exits(4).says("refs/heads/main");
    assert!(!shared.branches().contains(&"main".to_owned()), "{:?}", shared.branches());
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for_for_ever() {
    let shared = Shared::new("");
    let sandbox = &shared.sandbox;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/archive.git", silent.local_addr().unwrap());
    sandbox.git(&["remote", "set-url", "origin", &url]).ok();
    // Two seconds instead of two minutes; how slow is too slow is ddb's to say.
    sandbox.git(&["config", "http.lowSpeedTime", "2"]).ok();
    sandbox.deb("out", "waiting", "1", "amd64", "");
    let began = std::time::Instant::now();
    let mut job = sandbox.command(env!("CARGO_BIN_EXE_ddb-deploy"), &["-C", "archive", "commit", "out"]);
    let mut job = job.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while job.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "it still waits");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(job.wait().unwrap().code(), Some(1));
}

#[test]
fn what_follows_a_question_mark_of_an_address_is_not_said() {
    let sandbox = crate::sandbox::Sandbox::new();
    std::fs::create_dir(sandbox.path("out")).unwrap();
    for address in [
        "https://user@corp:s3cret@127.0.0.1:1/x.git?private_token=s3cret",
        "HTTPS://user:s3cret@127.0.0.1:1/x.git",
        "ssh://user:s3cret@127.0.0.1:1/x.git",
    ] {
        let run = sandbox.deploy(&["-C", address, "commit", "out", "-vv"]).exits(1).says("127.0.0.1");
        assert!(!run.err.contains("s3cret"), "{}", run.err);
    }
}

#[test]
fn settings_and_variables_of_the_caller_change_nothing() {
    let mut shared = Shared::with_inbox();
    let elsewhere = shared.sandbox.path("elsewhere").display().to_string();
    let variables = [
        ("GIT_DIR", elsewhere.as_str()),
        ("GIT_WORK_TREE", &elsewhere),
        ("GIT_COMMON_DIR", &elsewhere),
        ("GIT_OBJECT_DIRECTORY", &elsewhere),
        ("GIT_INDEX_FILE", &elsewhere),
        ("GIT_NAMESPACE", "space"),
        ("GIT_SHALLOW_FILE", &elsewhere),
        ("GIT_QUARANTINE_PATH", &elsewhere),
        ("LANGUAGE", "de"),
        ("LC_ALL", "de_DE.UTF-8"),
    ];
    let settings = [
        ("push.followTags", "true"),
        ("push.default", "matching"),
        ("push.recurseSubmodules", "only"),
        ("push.useForceIfIncludes", "true"),
        ("submodule.recurse", "true"),
        ("fetch.prune", "false"),
        ("fetch.pruneTags", "true"),
        ("fetch.recurseSubmodules", "true"),
        ("fetch.unpackLimit", "1000"),
        ("fetch.fsckObjects", "true"),
        ("fetch.writeCommitGraph", "true"),
        ("protocol.version", "0"),
        ("remote.origin.mirror", "true"),
        ("remote.origin.tagOpt", "--tags"),
        ("remote.origin.push", "refs/heads/*:refs/heads/*"),
        ("remote.pushDefault", "nowhere"),
        ("push.pushOption", "of.mine"),
        ("core.hooksPath", &elsewhere),
    ];
    let sandbox = &mut shared.sandbox;
    sandbox.git(&["tag", "-a", "-m", "mine", "my-tag"]).ok();
    sandbox.git(&["branch", "my-branch"]).ok();
    for name in ["one", "two", "three", "four"] {
        sandbox.deb(name, name, "1", "amd64", "");
    }
    let hook = sandbox.write("elsewhere/pre-push", "#!/bin/sh\nexit 1\n");
    std::fs::set_permissions(hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let plain = sandbox.environment.clone();
    for (name, value) in variables {
        sandbox.environment.insert(name.to_owned(), value.to_owned());
    }
    sandbox.environment.insert("GIT_CONFIG_COUNT".to_owned(), settings.len().to_string());
    for (number, (key, value)) in settings.iter().enumerate() {
        sandbox.environment.insert(format!("GIT_CONFIG_KEY_{number}"), (*key).to_owned());
        sandbox.environment.insert(format!("GIT_CONFIG_VALUE_{number}"), (*value).to_owned());
    }
    let url = shared.server.url();
    sandbox.commit("one", &["--json"]).ok();
    sandbox.deploy(&["-C", &url, "commit", "two"]).ok();
    // A partial clone needs what it left out.
    sandbox.deploy(&["-C", &url, "commit", "three", "--park"]).ok();
    sandbox.environment.insert("DDB_CACHE".to_owned(), sandbox.path("other-cache").display().to_string());
    sandbox.deploy(&["-C", &url, "commit", "two"]).ok();
    sandbox.publish(&["-C", &url, "dists", "trixie", "--target", &sandbox.path("public").display().to_string()]).ok();
    sandbox.environment = plain;
    sandbox.dists(&[]).ok();
    shared.server.configure(&shared.sandbox, "receive.advertisePushOptions", "false");
    for (name, value) in [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "push.pushOption"), ("GIT_CONFIG_VALUE_0", "of.mine")] {
        shared.sandbox.environment.insert(name.to_owned(), value.to_owned());
    }
    shared.sandbox.deploy(&["-C", &url, "commit", "four"]).ok();
    assert_eq!(shared.offered(), ["four_1", "one_1", "three_1", "two_1"]);
    let refs = shared.server.git(&shared.sandbox, &["for-each-ref", "--format=%(refname)"]).ok().out;
    assert!(!refs.contains("my-tag") && !refs.contains("my-branch"), "{refs}");
}

#[test]
fn a_shallow_clone_deploys_like_a_whole_one() {
    let shared = Shared::new("");
    let sandbox = &shared.sandbox;
    for name in ["one", "two", "three"] {
        sandbox.deb(name, name, "1", "amd64", "");
    }
    sandbox.commit("one", &[]).ok();
    sandbox.run("git", &["clone", "-q", "--depth=1", &shared.server.url(), "shallow"]).ok();
    sandbox.commit("two", &[]).ok();
    // With a commit of its own, on which the remote's do not rest.
    sandbox.deploy(&["-C", "shallow", "commit", "three"]).ok();
    assert_eq!(sandbox.run("git", &["-C", "shallow", "status", "--porcelain"]).ok().out, "");
    assert_eq!(shared.offered(), ["one_1", "three_1", "two_1"]);
    sandbox.run("git", &["-C", "shallow", "commit", "-q", "--allow-empty", "-m", "mine"]).ok();
    sandbox.deb("four", "four", "1", "amd64", "");
    sandbox.deb("five", "five", "1", "amd64", "");
    sandbox.commit("four", &[]).ok();
    sandbox.deploy(&["-C", "shallow", "commit", "five"]).exits(4).says("have diverged");
}
