//! What can be lost: blocks, objects, the record of blocks, a base commit. A client gets the right bytes or none.

use std::path::PathBuf;

use super::{publish, shows};
use crate::gateway::{Gateway, read, until};
use crate::sandbox::Sandbox;

const INDEX: &str = "dists/trixie/main/binary-amd64/Packages.xz";

/// The retained blocks of the archive.
fn blocks(sandbox: &Sandbox) -> Vec<PathBuf> {
    let found = sandbox.run("find", &["archive/.git/ddb/derived/blocks-v1", "-type", "f"]).ok().out;
    found.lines().map(|path| sandbox.path(path)).collect()
}

fn spoil(path: &PathBuf) {
    let mut bytes = read(path);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn an_old_index_is_joined_from_blocks_where_its_files_are_gone_from_the_tree() {
    let sandbox = Sandbox::with_archive();
    let (commit, _) = publish(&sandbox, "foo", "1.0");
    let old = read(sandbox.public().join(INDEX));
    let first = blocks(&sandbox).len();
    publish(&sandbox, "foo", "2.0");
    assert!(blocks(&sandbox).len() > first);
    std::fs::remove_dir_all(sandbox.public()).unwrap();
    let gateway = Gateway::of(&sandbox, &[]);
    assert_eq!(gateway.body(&format!("/snapshots/{commit}/{INDEX}")), old);
    // Only new blocks are written: a publish that changes nothing in them adds none.
    let before = blocks(&sandbox).len();
    sandbox.dists(&["--renew"]).ok();
    assert_eq!(blocks(&sandbox).len(), before);
    gateway.stop();
}

#[test]
fn lost_and_damaged_blocks_are_made_again_from_the_commit() {
    let sandbox = Sandbox::with_archive();
    let (commit, _) = publish(&sandbox, "foo", "1.0");
    let index = read(sandbox.public().join(INDEX));
    blocks(&sandbox).iter().for_each(spoil);
    let gateway = Gateway::of(&sandbox, &[]);
    assert_eq!(gateway.body(&format!("/{INDEX}")), index);
    gateway.stop();
    std::fs::remove_dir_all(sandbox.path("archive/.git/ddb/derived")).unwrap();
    let gateway = Gateway::of(&sandbox, &[]);
    assert_eq!(gateway.body(&format!("/snapshots/{commit}/{INDEX}")), index);
    gateway.stop();
}

/// A bare clone of the branches alone, in which the base commit's records are gone with every other file of it but ddb.toml
/// and the keys: what a rewritten archive leaves.
fn without_records(sandbox: &Sandbox) {
    let suites = sandbox.git(&["ls-tree", "-d", "-r", "main", "suites"]).ok().out;
    for line in suites.lines() {
        let tree = line.split_whitespace().nth(2).unwrap();
        let _ = std::fs::remove_file(sandbox.archive().join(format!(".git/objects/{}/{}", &tree[..2], &tree[2..])));
    }
}

#[test]
fn what_can_neither_be_joined_nor_folded_is_refused_with_the_reason() {
    let sandbox = Sandbox::with_archive();
    publish(&sandbox, "foo", "1.0");
    without_records(&sandbox);
    let gateway = Gateway::of(&sandbox, &[]);
    // The blocks alone are enough.
    let index = read(sandbox.public().join(INDEX));
    assert_eq!(gateway.body(&format!("/{INDEX}")), index);
    gateway.stop();
    blocks(&sandbox).iter().for_each(spoil);
    let gateway = Gateway::of(&sandbox, &[]);
    let reply = gateway.get(&format!("/{INDEX}"), &[]);
    assert_eq!(reply.status, 500, "{}", reply.text());
    assert!(reply.text().contains("is damaged") && reply.text().contains("does not fold to it"), "{}", reply.text());
    assert!(gateway.log().contains("is damaged"), "{}", gateway.log());
    assert_eq!(gateway.get(&format!("/{INDEX}"), &[]).header("cache-control"), Some("no-store"));
    gateway.stop();
    for block in blocks(&sandbox) {
        std::fs::remove_file(block).unwrap();
    }
    let gateway = Gateway::of(&sandbox, &[]);
    let reply = gateway.get(&format!("/{INDEX}"), &[]);
    assert!(reply.status == 500 && reply.text().contains("is missing"), "{}", reply.text());
    assert_eq!(gateway.status("/dists/trixie/InRelease"), 200);
    gateway.stop();
    sandbox.publish(&["-C", "archive", "export", "exported"]).exits(4).says("is missing");
    assert!(!sandbox.path("exported").exists());
}

#[test]
fn a_release_of_a_ddb_that_recorded_no_blocks_is_folded_again() {
    let sandbox = Sandbox::with_archive();
    let (commit, _) = publish(&sandbox, "foo", "1.0");
    let index = read(sandbox.public().join(INDEX));
    sandbox.git(&["worktree", "add", "-q", "../releases", "ddb/releases/trixie"]).ok();
    sandbox.run("git", &["-C", "releases", "rm", "-q", "-r", "fold.json", "sheets"]).ok();
    sandbox.run("git", &["-C", "releases", "commit", "-q", "-m", "Forget the blocks."]).ok();
    std::fs::remove_dir_all(sandbox.path("archive/.git/ddb/derived")).unwrap();
    let gateway = Gateway::of(&sandbox, &[]);
    assert_eq!(gateway.body(&format!("/{INDEX}")), index);
    assert_eq!(gateway.status("/dists/trixie/main/binary-amd64/Packages"), 500, "listed, and never written");
    gateway.stop();
    sandbox.publish(&["-C", "archive", "export", "exported"]).ok();
    assert_eq!(read(sandbox.path("exported").join(INDEX)), index);
    // The next Release records them again.
    publish(&sandbox, "foo", "2.0");
    sandbox.git(&["show", "ddb/releases/trixie:fold.json"]).ok();
    let gateway = Gateway::of(&sandbox, &[]);
    assert_eq!(gateway.body(&format!("/snapshots/{commit}/{INDEX}")), index);
    gateway.stop();
}

#[test]
fn a_lost_object_is_an_error_and_never_other_bytes() {
    let sandbox = Sandbox::with_archive();
    publish(&sandbox, "foo", "1.0");
    let gateway = Gateway::of(&sandbox, &[]);
    let object = sandbox.run("find", &["archive/.git/lfs/objects", "-type", "f"]).ok().out;
    let object = sandbox.path(object.trim());
    let path = "/pool/main/f/foo/foo_1.0_amd64.deb";
    let bytes = gateway.body(path);
    std::fs::remove_file(&object).unwrap();
    std::fs::write(&object, &bytes[..100]).unwrap();
    let reply = gateway.get(path, &[]);
    assert!(reply.status == 500 && reply.text().contains("missing or damaged"), "{}", reply.text());
    std::fs::remove_file(&object).unwrap();
    assert_eq!(gateway.get(path, &[]).status, 500);
    assert_eq!(gateway.get(path, &["--head"]).status, 500);
    std::fs::write(&object, &bytes).unwrap();
    assert_eq!(gateway.body(path), bytes);
    gateway.stop();
}

#[test]
fn a_suite_whose_branch_is_broken_is_shown_as_it_was() {
    let sandbox = Sandbox::with_archive();
    let (_, date) = publish(&sandbox, "foo", "1.0");
    let gateway = Gateway::of(&sandbox, &[]);
    shows(&gateway, &date);
    sandbox.git(&["worktree", "add", "-q", "../releases", "ddb/releases/trixie"]).ok();
    sandbox.write("releases/served.json", "{}");
    sandbox.run("git", &["-C", "releases", "commit", "-q", "-a", "-m", "Break it."]).ok();
    until("the damage is told", || {
        assert_eq!(gateway.status("/dists/trixie/InRelease"), 200);
        gateway.log().contains("served.json")
    });
    shows(&gateway, &date);
    gateway.stop();
}
