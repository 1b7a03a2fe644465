//! The commit that a Release was made from must stand in the history of the archive's branch.

use super::{clone, configure_suite, head, only_finding, otherwise, plain_archive, rebuild};
use crate::sandbox::Sandbox;

#[test]
fn a_release_of_a_commit_that_never_stood_on_the_archives_branch_is_named() {
    let sandbox = plain_archive();
    let evil = side_branch(&sandbox, "2026-09-15T08:00:00Z");
    // Whether the commit stands on no branch at all or on one of the thief's own.
    for branch in ["evil", "none"] {
        clone(&sandbox, branch, &[]);
        let answer = rebuild(&sandbox, branch, "trixie", &[]).exits(35).json();
        assert_eq!((&answer["history"], &answer["base"]), (&"elsewhere".into(), &evil.as_str().into()));
        let (file, reason) = only_finding(&answer);
        assert!(file == "Release" && reason.contains(&evil) && reason.contains("history of refs/heads/main"), "{file}: {reason}");
        sandbox.run("git", &["-C", "archive", "branch", "-q", "-D", "evil"]);
    }
    rebuild(&sandbox, "evil", "trixie@1", &[]).ok();
    // What was fetched and not merged yet is the archive's branch too.
    sandbox.deb("more", "more", "1", "amd64", "");
    sandbox.commit("more", &[]).ok();
    sandbox.dists_at("2026-09-16T08:00:00Z", &[]).ok();
    sandbox.run("git", &["-C", "none", "fetch", "-q"]).ok();
    rebuild(&sandbox, "none", "trixie", &[]).ok();
}

#[test]
fn contents_that_stay_of_a_commit_that_never_stood_on_the_archives_branch_are_named() {
    let sandbox = plain_archive();
    configure_suite(&sandbox, "contents = true\ncontents-every = \"30d\"\n");
    let evil = side_branch(&sandbox, "2026-09-15T08:00:00Z");
    sandbox.git(&["branch", "-q", "-D", "evil"]).ok();
    // The archive goes on, and keeps what is there.
    sandbox.dists_at("2026-09-16T08:00:00Z", &[]).ok();
    let published = sandbox.run("gzip", &["-dc", "archive/public/dists/trixie/main/Contents-amd64.gz"]).ok().out;
    assert!(published.contains("evil"), "it is published: {published}");
    let answer = rebuild(&sandbox, "archive", "trixie", &[]).exits(35).json();
    assert_eq!((&answer["history"], otherwise(&answer).len()), (&"kept".into(), 0));
    let (file, reason) = only_finding(&answer);
    assert!(file == "fold.json" && reason.contains(&evil) && reason.contains("Contents"), "{file}: {reason}");
    rebuild(&sandbox, "archive", "trixie", &["--without-contents", "--accept", "left-out"]).ok();
}

/// Somebody publishes from a commit of a branch of his own; returns the commit.
fn side_branch(sandbox: &Sandbox, now: &str) -> String {
    sandbox.git(&["branch", "evil"]).ok();
    sandbox.deb("slipped", "evil", "6.6-6", "amd64", "");
    sandbox.deploy(&["-C", "archive", "--branch", "evil", "commit", "slipped"]).ok();
    sandbox.publish(&["-C", "archive", "--branch", "evil", "dists", "trixie", "--now", now]).ok();
    head(sandbox, "evil")
}
