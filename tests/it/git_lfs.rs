//! Stock Git-LFS on an archive: it understands the pool, finds every object, and cannot be made to delete the only copy of one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::sandbox::{Run, Sandbox, cache};
use super::specimens::copy;

/// A sandbox in which Git-LFS's filters are installed or not, whatever the machine's configuration says.
fn sandbox(filters: bool) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.environment.insert("GIT_CONFIG_NOSYSTEM".to_owned(), "1".to_owned());
    if filters {
        sandbox.run("git", &["lfs", "install", "--skip-repo"]).ok();
    }
    sandbox.deploy(&["init", "archive", "--architecture", "amd64"]).ok();
    sandbox
}

/// Pool files of HEAD.
fn pool(sandbox: &Sandbox) -> Vec<String> {
    sandbox.git(&["ls-tree", "-r", "--name-only", "HEAD", "pool/"]).ok().out.lines().map(str::to_owned).collect()
}

/// The build output's files by name.
fn built(folder: &Path) -> BTreeSet<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[track_caller]
fn status_is_clean(sandbox: &Sandbox) {
    // Times that differ from the index make Git compare contents again, with the filters.
    let touch = "find pool -type f -exec touch -d 2001-01-01 {} +";
    for command in ["true", touch] {
        sandbox.run("sh", &["-c", &format!("cd archive && {command}")]).ok();
        assert_eq!(sandbox.git(&["status", "--porcelain"]).ok().out, "");
        sandbox.git(&["diff", "--exit-code", "HEAD"]).ok();
    }
}

#[test]
fn git_status_is_clean_with_and_without_the_filters() {
    for filters in [false, true] {
        let sandbox = sandbox(filters);
        status_is_clean_after_init(&sandbox);
        sandbox.commit(cache("out/small"), &[]).ok();
        status_is_clean(&sandbox);
        sandbox.deb("newer", "hostname", "4", "amd64", "");
        sandbox.commit("newer", &[]).ok();
        status_is_clean(&sandbox);
        let kept = sandbox.git(&["config", "--get-regexp", "^filter\\.lfs\\."]);
        assert_eq!(kept.code == 0, filters, "{}", kept.out);
    }
}

#[track_caller]
fn status_is_clean_after_init(sandbox: &Sandbox) {
    assert_eq!(sandbox.git(&["status", "--porcelain"]).ok().out, "");
}

#[test]
fn filters_that_are_installed_in_the_repository_alone_see_it_clean_too() {
    let sandbox = sandbox(false);
    sandbox.commit(cache("out/small"), &[]).ok();
    sandbox.git(&["lfs", "install", "--local"]).ok();
    status_is_clean(&sandbox);
    sandbox.commit(cache("out/two-amd64"), &[]).ok();
    status_is_clean(&sandbox);
}

#[test]
fn stock_git_lfs_lists_checks_and_fills_in_every_file() {
    let sandbox = sandbox(true);
    sandbox.commit(cache("out/small"), &[]).ok();
    let files = pool(&sandbox);
    assert_eq!(files.len(), built(&cache("out/small")).len());
    let listed = sandbox.git(&["lfs", "ls-files", "--name-only"]).ok().out;
    assert_eq!(listed.lines().collect::<BTreeSet<_>>(), files.iter().map(String::as_str).collect());
    sandbox.git(&["lfs", "fsck"]).ok();
    for file in &files {
        let name = file.rsplit('/').next().unwrap();
        let original = cache("out/small").join(name);
        let pointer = sandbox.git(&["lfs", "pointer", &format!("--file={}", original.display())]).ok().out;
        assert_eq!(sandbox.git(&["show", &format!("HEAD:{file}")]).ok().out, pointer, "{file}");
    }
    sandbox.git(&["lfs", "checkout"]).ok();
    for file in &files {
        let original = cache("out/small").join(file.rsplit('/').next().unwrap());
        assert_eq!(std::fs::read(sandbox.archive().join(file)).unwrap(), std::fs::read(original).unwrap(), "{file}");
    }
    status_is_clean(&sandbox);
    // The next deploy works on a filled work tree: other files stay filled, its own come as pointers, all is clean.
    sandbox.deb("newer", "hostname", "4", "amd64", "");
    sandbox.commit("newer", &[]).ok();
    status_is_clean(&sandbox);
    let filled = sandbox.archive().join(&files[0]);
    assert!(!std::fs::read(filled).unwrap().starts_with(b"version https://git-lfs"));
    sandbox.git(&["lfs", "checkout"]).ok();
    sandbox.git(&["lfs", "fsck"]).ok();
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
    // A checkout of the past and back again goes through the filters.
    sandbox.git(&["checkout", "-q", "HEAD~1"]).ok();
    assert!(!sandbox.archive().join("pool/main/h/hostname/hostname_4_amd64.deb").exists());
    sandbox.git(&["checkout", "-q", "main"]).ok();
    let deb = sandbox.archive().join("pool/main/h/hostname/hostname_4_amd64.deb");
    assert!(std::fs::read(deb).unwrap().starts_with(b"!<arch>\n"));
    status_is_clean(&sandbox);
}

#[test]
fn git_lfs_fsck_finds_what_ddb_fsck_finds() {
    let sandbox = sandbox(true);
    sandbox.commit(cache("out/small"), &[]).ok();
    sandbox.git(&["lfs", "fsck"]).ok();
    let object = objects(&sandbox).into_iter().next().unwrap();
    let oid = object.file_name().unwrap().to_str().unwrap().to_owned();
    let good = std::fs::read(&object).unwrap();
    let put = |bytes: &[u8]| {
        std::fs::remove_file(&object).unwrap();
        std::fs::write(&object, bytes).unwrap();
    };
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    put(&flipped);
    let ours = sandbox.deploy(&["-C", "archive", "fsck", "--full"]).exits(8);
    assert!(ours.out.contains(&oid), "{}", ours.out);
    assert_ne!(sandbox.git(&["lfs", "fsck", "--dry-run"]).code, 0);
    put(&good[..good.len() - 1]);
    assert!(sandbox.deploy(&["-C", "archive", "fsck"]).exits(8).out.contains(&oid));
    std::fs::remove_file(&object).unwrap();
    assert!(sandbox.deploy(&["-C", "archive", "fsck"]).exits(8).out.contains("is missing"));
    // The remedy that the message names: deploy the build output again. Nothing is new, but the object comes back.
    sandbox.commit(cache("out/small"), &[]).ok();
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

/// The objects of the default store.
fn objects(sandbox: &Sandbox) -> BTreeSet<PathBuf> {
    let git = if sandbox.archive().join(".git").exists() { "archive/.git" } else { "archive" };
    let found = sandbox.run("find", &[&format!("{git}/lfs/objects"), "-type", "f"]).ok().out;
    found.lines().map(|line| sandbox.path(line)).collect()
}

/// An archive whose history needs objects that its newest commit does not, pushed to a bare remote that holds no object.
fn pushed(bare: bool) -> Sandbox {
    let mut sandbox = self::sandbox(true);
    if bare {
        sandbox.run("rm", &["-r", "archive"]).ok();
        sandbox.deploy(&["init", "archive", "--bare", "--architecture", "amd64"]).ok();
    }
    // Nothing of it is "recent" for Git-LFS.
    for date in ["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"] {
        sandbox.environment.insert(date.to_owned(), "2026-01-01T00:00:00Z".to_owned());
    }
    sandbox.environment.insert("DDB_NOW".to_owned(), "2026-01-01T00:00:00Z".to_owned());
    for (out, text) in [("first", "first"), ("second", "second")] {
        sandbox.deb(out, "hello", "1.0-1", "amd64", &format!("Description: {text}\n"));
        sandbox.commit(out, &["--on-conflict", "replace"]).ok();
    }
    sandbox.commit(cache("out/small"), &[]).ok();
    sandbox.run("git", &["init", "-q", "--bare", "remote"]).ok();
    let remote = sandbox.path("remote");
    sandbox.git(&["remote", "add", "origin", remote.to_str().unwrap()]).ok();
    sandbox
}

/// Pushes without the hook that uploads objects: the remote has the commits and no object, as every forge without LFS.
fn push_without_objects(sandbox: &Sandbox) {
    sandbox.git(&["push", "-q", "--no-verify", "origin", "main"]).ok();
    sandbox.git(&["fetch", "-q", "origin"]).ok();
    assert!(!sandbox.path("remote/lfs/objects").exists());
}

const PRUNES: [&[&str]; 7] = [
    &["lfs", "prune"],
    &["lfs", "prune", "--recent"],
    &["lfs", "prune", "--force"],
    &["lfs", "prune", "--verify-remote"],
    &["lfs", "prune", "--no-verify-remote"],
    &["lfs", "prune", "--recent", "--no-verify-remote"],
    &["lfs", "prune", "--force", "--no-verify-remote"],
];

#[test]
fn git_lfs_prune_never_deletes_the_only_copy_of_an_object() {
    for bare in [false, true] {
        let sandbox = pushed(bare);
        push_without_objects(&sandbox);
        let before = objects(&sandbox);
        assert!(before.len() > 7);
        for prune in PRUNES {
            // Whether prune says "nothing to prune" or fails is its own matter.
            let run: Run = sandbox.git(prune);
            assert_eq!(objects(&sandbox), before, "{prune:?} deleted objects (bare: {bare})\n{}{}", run.out, run.err);
        }
        let fsck = sandbox.deploy(&["-C", "archive", "fsck", "--full", "--json"]).ok().json();
        assert_eq!(fsck["findings"].as_array().unwrap().len(), 0);
        // The replaced package's object is still there for those who look into the history.
        assert_eq!(fsck["unreferenced_objects"], 1);
    }
}

#[test]
fn without_the_guard_git_lfs_prune_does_delete_the_only_copy() {
    for prune in [&PRUNES[0], &PRUNES[2]] {
        let sandbox = pushed(false);
        push_without_objects(&sandbox);
        let before = objects(&sandbox);
        for key in ["lfs.pruneremotetocheck", "lfs.pruneverifyremotealways", "lfs.pruneverifyunreachablealways"] {
            sandbox.git(&["config", "--local", "--unset", key]);
        }
        sandbox.git(prune).ok();
        assert!(objects(&sandbox).len() < before.len(), "{prune:?} deletes nothing, so the test of the guard proves nothing");
        // The next deploy puts the guard back.
        sandbox.deb("guard", "guard", "1.0", "amd64", "");
        sandbox.commit("guard", &["--no-push"]).ok();
        assert_eq!(sandbox.git(&["config", "--local", "lfs.pruneverifyremotealways"]).ok().out, "true\n");
    }
}

#[test]
fn the_guard_holds_against_settings_of_the_user_and_does_not_disturb_push_and_fetch() {
    let sandbox = pushed(false);
    for (key, value) in [
        ("lfs.pruneremotetocheck", "origin"),
        ("lfs.pruneverifyremotealways", "false"),
        ("lfs.pruneoffsetdays", "0"),
        ("lfs.fetchrecentrefsdays", "0"),
    ] {
        sandbox.run("git", &["config", "--global", key, value]).ok();
    }
    push_without_objects(&sandbox);
    let before = objects(&sandbox);
    for prune in PRUNES {
        sandbox.git(prune);
        assert_eq!(objects(&sandbox), before, "{prune:?}");
    }
    // With Git-LFS's own pre-push hook the objects go to the remote too; ddb's settings do not stand in its way.
    sandbox.git(&["lfs", "install", "--local"]).ok();
    sandbox.deb("more", "more", "1", "amd64", "");
    sandbox.commit("more", &["--no-push"]).ok();
    sandbox.git(&["push", "-q", "origin", "main"]).ok();
    sandbox.git(&["lfs", "push", "--all", "origin"]).ok();
    let there = sandbox.run("find", &["remote/lfs/objects", "-type", "f"]).ok().out.lines().count();
    assert_eq!(there, objects(&sandbox).len());
    for prune in PRUNES {
        sandbox.git(prune);
    }
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn a_clone_without_objects_says_what_is_missing_and_publishes_nothing() {
    let mut sandbox = Sandbox::with_archive();
    sandbox.commit(cache("out/small"), &[]).ok();
    sandbox.environment.insert("GIT_LFS_SKIP_SMUDGE".to_owned(), "1".to_owned());
    sandbox.run("git", &["clone", "-q", "archive", "clone"]).ok();
    let run = sandbox.publish(&["-C", "clone", "dists", "trixie"]);
    assert_ne!(run.code, 0, "{}", run.out);
    assert!(run.err.contains("pool/main/h/hostname/hostname"), "no file is named:\n{}", run.err);
    assert!(run.err.contains("object"), "{}", run.err);
    let written = sandbox.run("find", &["clone/public", "-type", "f", "-not", "-name", ".ddb-lock"]).out;
    assert_eq!(written, "", "half a tree was published");
    assert_eq!(
        sandbox.run("git", &["-C", "clone", "for-each-ref", "refs/heads/ddb"]).ok().out,
        "",
        "a Release was staged that cannot be served"
    );
    assert_eq!(sandbox.run("git", &["-C", "clone", "status", "--porcelain"]).ok().out, "");

    // Git-LFS fetches the objects from the repository that was cloned, and then it works.
    sandbox.run("git", &["-C", "clone", "lfs", "fetch", "--all"]).ok();
    let now = "2030-01-01T12:00:00Z";
    sandbox.publish(&["-C", "archive", "key", "extend", "--valid-for", "forever"]).ok();
    sandbox.run("git", &["-C", "clone", "pull", "-q"]).ok();
    sandbox.publish(&["-C", "clone", "dists", "trixie", "--now", now]).ok();
    sandbox.dists(&["--now", now]).ok();
    let release = |tree: &str| std::fs::read_to_string(sandbox.path(tree).join("public/dists/trixie/Release")).unwrap();
    assert_eq!(release("clone"), release("archive"));
    sandbox.deploy(&["-C", "clone", "fsck", "--full"]).ok();
}

#[test]
fn one_missing_object_stops_a_publish_and_the_old_archive_stays_whole() {
    let sandbox = Sandbox::with_archive();
    sandbox.commit(cache("out/small"), &[]).ok();
    sandbox.dists(&[]).ok();
    let published = |path: &str| std::fs::read(sandbox.public().join(path)).unwrap();
    let before = published("dists/trixie/InRelease");
    let had = objects(&sandbox);
    sandbox.commit(cache("out/two-amd64"), &[]).ok();
    let deb = cache("out/two-amd64/nyancat_1.5.2-0.2_amd64.deb");
    let digest = sandbox.run("sha256sum", &[deb.to_str().unwrap()]).ok().out[..64].to_owned();
    let object = objects(&sandbox).into_iter().find(|path| path.ends_with(&digest)).unwrap();
    assert!(!had.contains(&object));
    std::fs::remove_file(&object).unwrap();
    let run = sandbox.dists(&[]);
    assert_ne!(run.code, 0);
    assert!(run.err.contains("nyancat_1.5.2-0.2_amd64.deb") && run.err.contains(&digest), "{}", run.err);
    assert_eq!(published("dists/trixie/InRelease"), before);
    // The build output again brings it back.
    copy(&cache("out/two-amd64"), &sandbox.path("again"));
    sandbox.commit("again", &[]).ok();
    sandbox.dists(&[]).ok();
    assert_ne!(published("dists/trixie/InRelease"), before);
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}
