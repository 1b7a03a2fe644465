//! Git history that somebody rewrote who has the rights for it: the branches of Releases and main, by force.

use super::{MONDAY, TUESDAY, WEDNESDAY, plain_archive, set_time, verdict, verify};
use crate::sandbox::Run;
use crate::shared::Shared;

const RELEASES: &str = "refs/heads/ddb/releases/trixie";

/// Publishes from a machine that has nothing but the archive's address and this cache.
fn by_address(shared: &Shared, cache: &str) -> Run {
    let path = |name: &str| shared.sandbox.path(name).display().to_string();
    let (variable, url, target) = (format!("DDB_CACHE={}", path(cache)), shared.server.url(), path("elsewhere"));
    let program = env!("CARGO_BIN_EXE_ddb-publish");
    shared.sandbox.run("env", &[variable.as_str(), program, "-C", &url, "dists", "trixie", "--target", &target, "--json"])
}

/// Deploys a package and publishes it from the checkout.
fn publish(shared: &Shared, package: &str) {
    let sandbox = &shared.sandbox;
    sandbox.deb(package, package, "1", "amd64", "");
    sandbox.commit(package, &[]).ok();
    sandbox.dists(&[]).ok();
}

#[test]
fn releases_that_are_rewritten_by_force_stop_every_publisher_that_saw_them() {
    let shared = Shared::new("");
    let sandbox = &shared.sandbox;
    publish(&shared, "first");
    by_address(&shared, "cache-old").ok();
    publish(&shared, "second");
    by_address(&shared, "cache-old").ok();
    let tip = || shared.server.git(sandbox, &["rev-parse", RELEASES]).ok().out.trim().to_owned();
    let shown = || ["elsewhere", "archive/public"].map(|tree| std::fs::read(sandbox.path(tree).join("dists/trixie/InRelease")).unwrap());
    let (last, before) = (tip(), shown());
    // The second Release never was.
    shared.server.git(sandbox, &["update-ref", RELEASES, &format!("{last}~2")]).ok();
    let first = tip();
    let run = by_address(&shared, "cache-old").exits(4).says("was rewritten");
    assert!(run.err.contains(&last) && run.err.contains(&first), "{}", run.err);
    // It stays so until somebody has looked at it.
    by_address(&shared, "cache-old").exits(4).says("was rewritten");
    // A checkout has what is missing and brings it back.
    sandbox.dists(&[]).ok();
    assert_eq!(tip(), last);
    by_address(&shared, "cache-old").ok();
    assert_eq!(shown(), before);

    // Another one took its place.
    let script = format!(
        "set -e; cd {}; export GIT_AUTHOR_NAME=Other GIT_AUTHOR_EMAIL=other@example.org; \
         git update-ref {RELEASES} $(git commit-tree -p {first} -m 'Serve Release 1 of trixie.' {first}^{{tree}})",
        shared.server.folder().display()
    );
    sandbox.run("bash", &["-c", &script]).ok();
    by_address(&shared, "cache-old").exits(4).says("was rewritten");
    sandbox.dists(&[]).exits(4).says("have diverged");
    assert_eq!(shown(), before, "clients see what they saw before");
    // A runner that remembers nothing has nothing to compare with.
    by_address(&shared, "cache-fresh").ok();
}

#[test]
fn a_main_branch_that_is_rewritten_by_force_stops_a_checkout() {
    let shared = Shared::new("");
    let sandbox = &shared.sandbox;
    publish(&shared, "first");
    let before = std::fs::read(sandbox.public().join("dists/trixie/InRelease")).unwrap();
    let script = format!(
        "set -e; cd {}; export GIT_AUTHOR_NAME=Other GIT_AUTHOR_EMAIL=other@example.org; \
         git update-ref refs/heads/main $(git commit-tree -p main~1 -m 'Add first 1.' main^{{tree}})",
        shared.server.folder().display()
    );
    sandbox.run("bash", &["-c", &script]).ok();
    sandbox.dists(&["--renew"]).exits(4).says("have diverged");
    sandbox.deb("second", "second", "1", "amd64", "");
    sandbox.commit("second", &[]).exits(4).says("have diverged");
    assert_eq!(std::fs::read(sandbox.public().join("dists/trixie/InRelease")).unwrap(), before);
}

#[test]
fn a_release_whose_commit_is_gone_and_a_file_that_no_commit_brought_are_named() {
    let mut sandbox = plain_archive(MONDAY);
    sandbox.deb("next", "plain", "1.1-1", "amd64", "");
    sandbox.commit("next", &[]).ok();
    set_time(&mut sandbox, TUESDAY);
    let run = sandbox.dists(&[]).ok();
    assert!(!run.err.contains("rewritten"), "{}", run.err);
    let base = sandbox.git(&["rev-parse", "HEAD"]).ok().out.trim().to_owned();
    sandbox.run("git", &["clone", "-q", "archive", "clone"]).ok();
    let deb = ["--deb", "next/plain_1.1-1_amd64.deb", "--json", "--repository", "clone"];
    verify(&sandbox, "archive/public", &deb).ok();

    // The file's commit goes out of the clone's history, as if its server had never had it.
    sandbox.run("git", &["-C", "clone", "reset", "-q", "--hard", "HEAD~1"]).ok();
    let run = verify(&sandbox, "archive/public", &deb).exits(26);
    assert_eq!(verdict(&run), ("not-published".to_owned(), vec!["next/plain_1.1-1_amd64.deb".to_owned()]));
    assert!(run.out.contains("its history was rewritten"), "{}", run.out);
    // Where the archive itself was rewritten, the next publish says so.
    sandbox.git(&["commit", "-q", "--amend", "-m", "Add something else."]).ok();
    set_time(&mut sandbox, WEDNESDAY);
    let run = sandbox.dists(&["--renew"]).ok().says("its history was rewritten");
    assert!(run.err.contains(&base), "{}", run.err);
    // The Release that was made since is of the new history.
    let run = sandbox.dists(&[]).ok();
    assert!(!run.err.contains("rewritten"), "{}", run.err);
}
