//! Where a deploy lands: many jobs at once, bare repositories, branches, work trees, other stores.

use super::super::sandbox::{Sandbox, cache};
use super::super::specimens::configure;
use super::{archive, clean, commits, land, records, set};

#[test]
fn many_jobs_at_once_all_land() {
    const JOBS: usize = 12;
    let sandbox = archive(&["amd64"], &[]);
    for job in 0..JOBS {
        sandbox.deb_with(&format!("out-{job}"), &format!("prog{job}"), "1", "amd64", "", &["-Znone"]);
    }
    let start = |job: usize| {
        let out = sandbox.path(format!("out-{job}"));
        let mut command = sandbox.command(env!("CARGO_BIN_EXE_ddb-deploy"), &["-C", "archive", "commit", out.to_str().unwrap()]);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = (0..JOBS).map(start).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("landed"));
    }
    assert_eq!(commits(&sandbox), JOBS + 1);
    assert_eq!(records(&sandbox).len(), JOBS);
    let messages = sandbox.git(&["log", "--format=%s"]).ok().out;
    for job in 0..JOBS {
        assert!(messages.contains(&format!("Add prog{job} 1.\n")), "{messages}");
    }
    let fsck = sandbox.git(&["fsck", "--strict", "--full"]).ok();
    assert!(!fsck.err.contains("error") && !fsck.err.contains("missing"), "{}", fsck.err);
    clean(&sandbox);
    let left = sandbox.run("find", &["archive/.git", "-name", "*.lock"]).ok().out;
    assert_eq!(left, "");
}

#[test]
fn the_same_build_deployed_many_times_at_once_lands_once() {
    let sandbox = archive(&["amd64"], &[]);
    let out = cache("out/small");
    let start = |_| {
        let mut command =
            sandbox.command(env!("CARGO_BIN_EXE_ddb-deploy"), &["-C", "archive", "commit", out.to_str().unwrap(), "--detailed-exit-code"]);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = (0..6).map(start).collect();
    let mut codes: Vec<_> = children.into_iter().map(|child| child.wait_with_output().unwrap().status.code().unwrap()).collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 10, 10, 10, 10, 10]);
    assert_eq!(commits(&sandbox), 2);
    clean(&sandbox);
}

#[test]
fn a_bare_archive_takes_deploys_and_publishes() {
    let sandbox = Sandbox::new();
    sandbox.deploy(&["init", "archive", "--bare", "--architecture", "amd64"]).ok();
    assert_eq!(sandbox.git(&["rev-parse", "--is-bare-repository"]).ok().out, "true\n");
    sandbox.publish(&["-C", "archive", "key", "generate"]).ok();
    land(&sandbox, cache("out/small"), &[]);
    assert!(records(&sandbox).contains("main/source/h/hostname/hostname_3.23+nmu1"));
    let target = sandbox.path("web");
    sandbox.dists(&["--target", target.to_str().unwrap()]).ok();
    let served = std::fs::read(target.join("pool/main/h/hostname/hostname_3.23+nmu1_amd64.deb")).unwrap();
    assert_eq!(served, std::fs::read(cache("out/small/hostname_3.23+nmu1_amd64.deb")).unwrap());
    assert!(target.join("dists/trixie/InRelease").exists());
    sandbox.deploy(&["-C", "archive", "fsck", "--full", "--target", target.to_str().unwrap()]).ok();
    // And again without a target of its own.
    sandbox.dists(&[]).ok();
    let fsck = sandbox.git(&["fsck", "--strict"]).ok();
    assert!(!fsck.err.contains("error"), "{}", fsck.err);
}

#[test]
fn in_a_work_tree_only_touched_paths_are_brought_up_to_date() {
    let sandbox = archive(&["amd64"], &[]);
    sandbox.deb("one", "hello", "1.0-1", "amd64", "");
    sandbox.deb("two", "hello", "1.1-1", "amd64", "");
    sandbox.deb("three", "hello", "1.2-1", "amd64", "");
    land(&sandbox, "one", &[]);
    let file = |path: &str| sandbox.archive().join(path);
    let record = |version: &str| format!("suites/trixie/main/binary-amd64/h/hello/hello_{version}");
    assert!(file(&record("1.0-1")).exists());
    assert!(std::fs::read_to_string(file("pool/main/h/hello/hello_1.0-1_amd64.deb")).unwrap().starts_with("version https://git-lfs"));
    // A person works in the same tree: an edited file, a staged new one, an unknown one.
    std::fs::write(file("ddb.toml"), "# being edited\n").unwrap();
    sandbox.write("archive/notes", "staged\n");
    sandbox.git(&["add", "notes"]).ok();
    sandbox.write("archive/scratch", "untracked\n");
    let theirs = " M ddb.toml\nA  notes\n?? scratch\n";
    assert_eq!(sandbox.git(&["status", "--porcelain"]).ok().out, theirs);
    land(&sandbox, "two", &[]);
    assert_eq!(sandbox.git(&["status", "--porcelain"]).ok().out, theirs);
    assert!(file(&record("1.1-1")).exists() && !file(&record("1.0-1")).exists());
    // A touched path that has local changes is left alone, with a warning.
    let edited = file(&record("1.1-1"));
    let text = std::fs::read_to_string(&edited).unwrap() + "X-Edited: yes\n";
    std::fs::write(&edited, &text).unwrap();
    sandbox.commit("three", &[]).ok().says("warning:").says(&record("1.1-1"));
    assert_eq!(std::fs::read_to_string(&edited).unwrap(), text);
    assert!(file(&record("1.2-1")).exists());
    let status = sandbox.git(&["status", "--porcelain"]).ok().out;
    assert!(status.lines().all(|line| theirs.contains(line) || line.contains(&record("1.1-1"))), "{status}");
    // Once the person gives the change up, all is clean.
    sandbox.git(&["checkout", "-q", "HEAD", "--", "ddb.toml"]).ok();
    sandbox.git(&["rm", "-q", "--cached", "notes"]).ok();
    sandbox.run("rm", &["archive/notes", "archive/scratch"]).ok();
    sandbox.git(&["rm", "-q", "-f", "--ignore-unmatch", &record("1.1-1")]);
    sandbox.git(&["reset", "-q", "--hard"]).ok();
    assert_eq!(sandbox.git(&["status", "--porcelain"]).ok().out, "");
}

#[test]
fn a_work_tree_that_cannot_be_brought_up_to_date_is_no_reason_to_call_a_landed_build_failed() {
    let sandbox = archive(&["amd64"], &[]);
    sandbox.deb("one", "hello", "1.0-1", "amd64", "");
    land(&sandbox, "one", &[]);
    // As a git that was killed, or runs just now, leaves it.
    sandbox.write("archive/.git/index.lock", "");
    sandbox.deb("two", "hello", "1.1-1", "amd64", "");
    let run = sandbox.commit("two", &[]).ok().says("warning:").says("has landed").says("the index");
    let remedy = run.err.split('`').nth(1).unwrap();
    assert_eq!(records(&sandbox), set(["main/binary-amd64/h/hello/hello_1.1-1"]));
    std::fs::remove_file(sandbox.archive().join(".git/index.lock")).unwrap();
    assert_ne!(sandbox.git(&["status", "--porcelain"]).ok().out, "");
    sandbox.run("sh", &["-c", &format!("cd archive && {remedy}")]).ok();
    clean(&sandbox);
}

#[test]
fn a_linked_work_tree_of_another_branch_takes_deploys_of_its_own() {
    let sandbox = archive(&["amd64"], &[]);
    sandbox.git(&["worktree", "add", "-q", "../side", "-b", "side"]).ok();
    let out = cache("out/small");
    sandbox.deploy(&["-C", "side", "commit", out.to_str().unwrap()]).ok();
    assert_eq!(sandbox.run("git", &["-C", "side", "status", "--porcelain"]).ok().out, "");
    assert!(sandbox.path("side/suites/trixie/main/source/h/hostname/hostname_3.23+nmu1").exists());
    assert_eq!(sandbox.git(&["status", "--porcelain"]).ok().out, "");
    assert_eq!(commits(&sandbox), 1);
    sandbox.deploy(&["-C", "side", "fsck", "--full"]).ok();
}

#[test]
fn deploying_to_another_branch_leaves_the_work_tree_alone() {
    let sandbox = archive(&["amd64"], &[]);
    sandbox.git(&["branch", "staging"]).ok();
    land(&sandbox, cache("out/small"), &["--branch", "staging"]);
    assert_eq!(commits(&sandbox), 1);
    assert_eq!(sandbox.git(&["rev-list", "--count", "staging"]).ok().out, "2\n");
    assert_eq!(sandbox.git(&["status", "--porcelain"]).ok().out, "");
    sandbox.commit(cache("out/small"), &["--branch", "nosuch"]).exits(4).says("nosuch");
    sandbox.git(&["checkout", "-q", "--detach"]).ok();
    sandbox.commit(cache("out/small"), &[]).exits(4).says("--branch");
    land(&sandbox, cache("out/small"), &["--branch", "main"]);
}

#[test]
fn a_configured_store_in_a_folder_holds_the_objects() {
    let sandbox = archive(&["amd64"], &[]);
    configure(&sandbox, "", "[store]\npath = \"../objects\"\n");
    land(&sandbox, cache("out/small"), &[]);
    assert!(!sandbox.archive().join(".git/lfs/objects").exists());
    let digest = sandbox.run("sha256sum", &[cache("out/small/hostname_3.23+nmu1_amd64.deb").to_str().unwrap()]).ok().out[..64].to_owned();
    let object = sandbox.path(format!("objects/{}/{}/{digest}", &digest[..2], &digest[2..4]));
    assert_eq!(std::fs::read(object).unwrap(), std::fs::read(cache("out/small/hostname_3.23+nmu1_amd64.deb")).unwrap());
    clean(&sandbox);
}

#[test]
fn a_store_that_cannot_be_written_lands_nothing() {
    let sandbox = archive(&["amd64"], &[]);
    sandbox.write("archive/.git/lfs", "a file where a folder belongs\n");
    sandbox.commit(cache("out/small"), &[]).exits(1).says("lfs");
    assert_eq!(commits(&sandbox), 1);
    assert_eq!(sandbox.git(&["status", "--porcelain"]).ok().out, "");
    std::fs::remove_file(sandbox.archive().join(".git/lfs")).unwrap();
    land(&sandbox, cache("out/small"), &[]);
    clean(&sandbox);
}

#[test]
fn a_deploy_that_was_reverted_is_gone_and_can_come_again() {
    let sandbox = archive(&["amd64"], &[]);
    for version in ["1.0-1", "1.1-1"] {
        sandbox.deb(version, "hello", version, "amd64", "");
        land(&sandbox, version, &[]);
    }
    let offered = |version: &str| set([format!("main/binary-amd64/h/hello/hello_{version}").as_str()]);
    assert_eq!(records(&sandbox), offered("1.1-1"));
    sandbox.git(&["revert", "--no-edit", "HEAD"]).ok();
    assert_eq!(records(&sandbox), offered("1.0-1"));
    clean(&sandbox);
    sandbox.publish(&["-C", "archive", "key", "generate"]).ok();
    sandbox.dists(&[]).ok();
    assert!(sandbox.public().join("pool/main/h/hello/hello_1.0-1_amd64.deb").exists());
    assert!(!sandbox.public().join("pool/main/h/hello/hello_1.1-1_amd64.deb").exists());
    land(&sandbox, "1.1-1", &[]);
    assert_eq!(records(&sandbox), offered("1.1-1"));
    clean(&sandbox);
}

#[test]
fn branches_that_both_took_deploys_merge_and_the_next_deploy_tidies_up() {
    let sandbox = archive(&["amd64"], &[]);
    for version in ["1.0-1", "1.1-1", "1.2-1", "1.3-1"] {
        sandbox.deb(version, "hello", version, "amd64", "");
    }
    sandbox.deb("other", "other", "1", "amd64", "");
    land(&sandbox, "1.0-1", &[]);
    sandbox.git(&["branch", "staging"]).ok();
    land(&sandbox, "1.1-1", &[]);
    land(&sandbox, "1.2-1", &["--branch", "staging"]);
    land(&sandbox, "other", &["--branch", "staging"]);
    sandbox.git(&["merge", "-q", "--no-edit", "staging"]).ok();
    let record = |name: &str| {
        let package = name.split('_').next().unwrap();
        format!("main/binary-amd64/{}/{package}/{name}", &package[..1])
    };
    assert_eq!(records(&sandbox), ["hello_1.1-1", "hello_1.2-1", "other_1"].map(record).into());
    clean(&sandbox);
    sandbox.publish(&["-C", "archive", "key", "generate"]).ok();
    sandbox.dists(&[]).ok();
    sandbox.commit("1.1-1", &[]).exits(6);
    land(&sandbox, "1.3-1", &[]);
    assert_eq!(records(&sandbox), ["hello_1.3-1", "other_1"].map(record).into());
    clean(&sandbox);
}
