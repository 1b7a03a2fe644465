//! A full disk: what cannot be written is named, nothing is half-done, and the same command finishes once there is room.
//!
//! The disk is a small file system in memory, seen by one shell alone (a mount namespace of its own).

use crate::client::as_root;
use crate::git_server::GitServer;
use crate::sandbox::{Run, Sandbox};
use crate::specimens::configure;

/// Runs a script as root where `disk` in the sandbox is a file system with this room; `more_room` gives it enough.
fn with_disk(sandbox: &Sandbox, kilobytes: u32, script: &str) -> Run {
    std::fs::create_dir_all(sandbox.path("disk")).unwrap();
    let environment: String = sandbox.environment.iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect();
    let script = format!(
        "set -u\nmount -t tmpfs -o size={kilobytes}k disk {disk} || exit 99\nmore_room() {{ mount -o remount,size=64m {disk}; }}\n\
         said() {{ echo \"$1 $2\"; }}\n{environment}export HOME='{home}' GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'\n\
         export GIT_AUTHOR_NAME=Test GIT_AUTHOR_EMAIL=test@example.org\ncd '{top}'\n{script}",
        disk = sandbox.path("disk").display(),
        home = sandbox.path("home").display(),
        top = sandbox.path("").display(),
    );
    let script = sandbox.write("full.sh", script);
    as_root(sandbox, &["unshare", "--mount", "bash", script.to_str().unwrap()]).ok()
}

const DEPLOY: &str = env!("CARGO_BIN_EXE_ddb-deploy");
const PUBLISH: &str = env!("CARGO_BIN_EXE_ddb-publish");

#[track_caller]
fn has(run: &Run, lines: &[&str]) {
    for line in lines {
        assert!(run.out.contains(line), "\"{line}\" is not in\n{}{}", run.out, run.err);
    }
}

/// An archive whose objects lie where every job finds them, and two packages to upload.
fn with_two_packages() -> Sandbox {
    let sandbox = with_shared_store();
    for name in ["one", "two"] {
        sandbox.deb("plain", name, "1", "amd64", "");
    }
    sandbox
}

fn with_shared_store() -> Sandbox {
    let sandbox = Sandbox::with_archive();
    configure(&sandbox, &format!("[store]\npath = \"{}\"\nshared = true\n", sandbox.path("objects").display()), "");
    sandbox
}

#[test]
fn an_object_store_that_is_full_takes_nothing_and_the_branch_stays() {
    let sandbox = Sandbox::with_archive();
    configure(&sandbox, "[store]\npath = \"../disk/objects\"\n", "");
    sandbox.deb("out", "large", "1", "amd64", "");
    let deb = sandbox.path("out/large_1_amd64.deb");
    // A member behind data.tar is ignored by dpkg and by ddb, and makes the file larger than the disk.
    let mut bytes = std::fs::read(&deb).unwrap();
    bytes.extend(format!("{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", "_filler/", "0", "0", "0", "100644", 200_000).into_bytes());
    bytes.extend(vec![b'x'; 200_000]);
    std::fs::write(&deb, bytes).unwrap();
    let run = with_disk(
        &sandbox,
        64,
        &format!(
            "before=$(git -C archive rev-parse main)\n{DEPLOY} -C archive commit out 2>&1; said first $?\n\
             [ \"$before\" = \"$(git -C archive rev-parse main)\" ] && echo the branch stays\n\
             find disk -type f | grep -q . || echo nothing is left\n\
             more_room; {DEPLOY} -C archive commit out >/dev/null 2>&1; said again $?\n{DEPLOY} -C archive fsck --full; said fsck $?"
        ),
    );
    has(&run, &["first 1", "cannot write object", "No space left on device", "the branch stays", "nothing is left", "again 0", "fsck 0"]);
}

#[test]
fn a_published_tree_on_a_full_disk_shows_the_old_release_until_there_is_room() {
    let sandbox = Sandbox::with_archive();
    configure(&sandbox, "[target]\npath = \"../disk/public\"\nlinks = \"copy\"\n", "");
    for (out, version) in [("one", "1"), ("two", "2")] {
        sandbox.deb(out, "foo", version, "amd64", "");
    }
    let run = with_disk(
        &sandbox,
        512,
        &format!(
            "in=disk/public/dists/trixie/InRelease\n{DEPLOY} -C archive commit one >/dev/null; {PUBLISH} -C archive dists >/dev/null; said published $?\n\
             cp $in old; head -c 512k /dev/zero >disk/filler 2>/dev/null; {DEPLOY} -C archive commit two >/dev/null\n\
             {PUBLISH} -C archive dists 2>&1; said full $?\ncmp $in old && echo clients see the old one\n\
             find disk -name '.ddb-?*' -type f ! -name .ddb-lock | grep . || echo no part is left\n\
             rm disk/filler; {PUBLISH} -C archive dists >/dev/null 2>&1; said again $?\n\
             grep -q 'Version: 2' <(zcat disk/public/dists/trixie/main/binary-amd64/Packages.gz) && echo the new one\n\
             {DEPLOY} -C archive fsck --full; said fsck $?"
        ),
    );
    has(
        &run,
        &[
            "published 0",
            "full 1",
            "No space left on device",
            "clients see the old one",
            "no part is left",
            "again 0",
            "the new one",
            "fsck 0",
        ],
    );
}

#[test]
fn a_cache_on_a_full_disk_loses_nothing() {
    let sandbox = Sandbox::with_archive();
    let server = GitServer::start(&sandbox);
    configure(&sandbox, &format!("[store]\npath = \"{}\"\nshared = true\n", sandbox.path("objects").display()), "");
    sandbox.git(&["remote", "add", "origin", &server.url()]).ok();
    sandbox.git(&["push", "-q", "-u", "origin", "main"]).ok();
    sandbox.deb("out", "foo", "1", "amd64", "");
    let (url, folder) = (server.file_url(), server.folder().display().to_string());
    let run = with_disk(
        &sandbox,
        256,
        &format!(
            "head -c 512k /dev/zero >disk/filler 2>/dev/null\nbefore=$(git --git-dir {folder} rev-parse main)\nexport DDB_CACHE=disk/cache\n\
             {DEPLOY} -C {url} commit out 2>&1; said full $?\n[ \"$before\" = \"$(git --git-dir {folder} rev-parse main)\" ] && echo the branch stays\n\
             rm disk/filler; more_room; {DEPLOY} -C {url} commit out 2>&1; said again $?\n\
             git --git-dir {folder} log -1 --format=%s main"
        ),
    );
    has(&run, &["full 1", "No space left on device", "the branch stays", "again 0", "Add foo 1."]);
}

#[test]
fn an_upload_onto_a_full_disk_keeps_every_file_and_says_which_could_not_be_written() {
    let sandbox = with_two_packages();
    let run = with_disk(
        &sandbox,
        256,
        &format!(
            "cp -r plain disk/out; head -c 512k /dev/zero >disk/filler 2>/dev/null\n\
             {DEPLOY} -C archive upload disk/out 2>&1; said full $?\n\
             diff -r plain disk/out && echo every file is there\n\
             rm disk/filler; {DEPLOY} -C archive upload disk/out >/dev/null 2>&1; said again $?\n\
             grep -q git-lfs disk/out/one_1_amd64.deb && grep -q git-lfs disk/out/two_1_amd64.deb && echo pointers\n\
             {DEPLOY} -C archive commit disk/out >/dev/null 2>&1; said commit $?\n{DEPLOY} -C archive fsck --full; said fsck $?"
        ),
    );
    has(&run, &["full 1", "disk/out/", "No space left on device", "every file is there", "again 0", "pointers", "commit 0", "fsck 0"]);
}

#[test]
fn an_upload_whose_pointers_find_no_room_is_finished_by_running_it_again() {
    let sandbox = with_two_packages();
    // Room for the manifest alone, which is the first to be written, then for a little more.
    let run = with_disk(
        &sandbox,
        256,
        &format!(
            "cp -r plain disk/out; {DEPLOY} -C archive upload plain --to elsewhere >/dev/null; said elsewhere $?\n\
             for room in 1 2 3 4; do\n\
             head -c 512k /dev/zero >disk/filler 2>/dev/null; truncate -s -$((room * 4096)) disk/filler\n\
             {DEPLOY} -C archive upload disk/out >out.txt 2>&1; code=$?\n\
             [ $code = 0 ] || {{ [ $code = 1 ] && grep -q 'disk/out.*No space left' out.txt; }} && echo room $room well || cat out.txt\n\
             for file in one two; do cmp -s plain/${{file}}_1_amd64.deb disk/out/${{file}}_1_amd64.deb || \
             grep -q git-lfs disk/out/${{file}}_1_amd64.deb || echo lost $file; done\n\
             rm disk/filler; done; {DEPLOY} -C archive upload disk/out >/dev/null 2>&1; said again $?\n\
             [ $(find disk/out -type f | wc -l) = 3 ] && echo no part is left\n\
             {DEPLOY} -C archive commit disk/out >/dev/null 2>&1; said commit $?\n{DEPLOY} -C archive fsck --full; said fsck $?"
        ),
    );
    has(
        &run,
        &["elsewhere 0", "room 1 well", "room 2 well", "room 3 well", "room 4 well", "again 0", "no part is left", "commit 0", "fsck 0"],
    );
    assert!(!run.out.contains("lost"), "{}", run.out);
}

#[test]
fn a_full_folder_for_temporary_files_is_named_and_is_needed_by_nothing_that_deploys() {
    let sandbox = Sandbox::with_archive();
    let server = GitServer::start(&sandbox);
    configure(&sandbox, &format!("[store]\npath = \"{}\"\nshared = true\n", sandbox.path("objects").display()), "");
    sandbox.git(&["remote", "add", "origin", &server.url()]).ok();
    sandbox.git(&["push", "-q", "-u", "origin", "main"]).ok();
    sandbox.deb("out", "foo", "1", "amd64", "");
    sandbox.deb("uploaded", "bar", "1", "amd64", "");
    let url = server.file_url();
    let run = with_disk(
        &sandbox,
        64,
        &format!(
            "head -c 512k /dev/zero >disk/filler 2>/dev/null; mkdir disk/tmp; export TMPDIR=$PWD/disk/tmp DDB_CACHE=$PWD/cache\n\
             {DEPLOY} -C archive upload uploaded >/dev/null; said upload $?\n{DEPLOY} -C {url} commit uploaded >/dev/null; said uploaded $?\n\
             {DEPLOY} -C {url} commit out >/dev/null; said commit $?\n{PUBLISH} -C {url} dists trixie --target public >/dev/null; said dists $?\n\
             {DEPLOY} -C archive doctor 2>&1; said doctor $?"
        ),
    );
    has(&run, &["upload 0", "uploaded 0", "commit 0", "dists 0", "disk/tmp", "No space left on device", "doctor 4"]);
}
