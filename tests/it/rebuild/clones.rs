//! Which clones a Release can be made again in, and what is said where one lacks something.

use super::{clone, configure_suite, head, otherwise, plain_archive, rebuild};
use crate::sandbox::Sandbox;

#[test]
fn bare_and_partial_clones_will_do() {
    let sandbox = plain_archive();
    sandbox.git(&["config", "uploadpack.allowFilter", "true"]).ok();
    sandbox.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]).ok();
    clone(&sandbox, "bare.git", &["--bare"]);
    clone(&sandbox, "blobless", &["--filter=blob:none", "--no-checkout"]);
    clone(&sandbox, "blobless.git", &["--filter=blob:none", "--bare"]);
    for name in ["bare.git", "blobless", "blobless.git"] {
        let answer = rebuild(&sandbox, name, "trixie", &[]).ok().json();
        assert_eq!((&answer["verdict"], &answer["history"]), (&"same".into(), &"kept".into()), "{name}");
    }
    // By its address alone.
    let url = format!("file://{}", sandbox.archive().display());
    assert_eq!(rebuild(&sandbox, &url, "trixie", &[]).ok().json()["verdict"], "same");
}

#[test]
fn a_shallow_clone_says_what_it_lacks_and_how_to_fetch_it() {
    let sandbox = plain_archive();
    let base = head(&sandbox, "HEAD");
    clone(&sandbox, "single", &["--depth=1"]);
    let run = rebuild(&sandbox, "single", "trixie", &[]).exits(4).says("has no branch ddb/releases/*");
    // What is said is done.
    let said = |text: &str| text.split('`').nth(1).unwrap().to_owned();
    sandbox.run("sh", &["-c", &format!("cd single && {} --depth=1", said(&run.err))]).ok();
    let answer = rebuild(&sandbox, "single", "trixie", &[]).ok().json();
    assert_eq!((&answer["verdict"], &answer["history"]), (&"same".into(), &"kept".into()), "the newest commit is that of the Release");

    sandbox.deb("more", "more", "1", "amd64", "");
    sandbox.commit("more", &[]).ok();
    clone(&sandbox, "shallow", &["--depth=1", "--no-single-branch"]);
    let run = rebuild(&sandbox, "shallow", "trixie", &[]).exits(4);
    run.says(&format!("commit {base}, which Release 1 of trixie was made from, is not here; this clone is shallow"));
    // With the commit alone nobody knows where it stood.
    sandbox.run("git", &["-C", "shallow", "fetch", "-q", "--depth=1", "origin", &base]).ok();
    let run = rebuild(&sandbox, "shallow", "trixie", &[]).exits(4);
    let run = run.says(&format!("this clone is shallow and does not tell whether commit {base}"));
    sandbox.run("sh", &["-c", &format!("cd shallow && {}", said(&run.err))]).ok();
    let answer = rebuild(&sandbox, "shallow", "trixie", &[]).ok().json();
    assert_eq!((&answer["verdict"], &answer["history"]), (&"same".into(), &"kept".into()));
    // What lies further back is not here either, and that is no proof of anything.
    sandbox.dists_at("2026-09-15T08:00:00Z", &[]).ok();
    clone(&sandbox, "newer", &["--depth=1", "--no-single-branch"]);
    rebuild(&sandbox, "newer", "trixie@1", &[])
        .exits(2)
        .says("Release 1 of trixie is not here; this clone is shallow: `git fetch --unshallow`");
    sandbox.run("git", &["-C", "newer", "fetch", "-q", "--unshallow"]).ok();
    assert_eq!(rebuild(&sandbox, "newer", "trixie@1", &[]).ok().json()["history"], "kept");
}

#[test]
fn contents_need_file_lists_or_packages_and_can_be_left_out() {
    let sandbox = Sandbox::with_archive();
    configure_suite(&sandbox, "contents = true\n");
    sandbox.deb("out", "plain", "1.0-1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    assert_eq!(rebuild(&sandbox, "archive", "trixie", &[]).ok().json()["verdict"], "same");
    // The objects are the publisher's own, and a stranger has only what Git has.
    clone(&sandbox, "stranger", &[]);
    rebuild(&sandbox, "stranger", "trixie", &[]).exits(4).says("--without-contents").says("plain_1.0-1");
    let answer = rebuild(&sandbox, "stranger", "trixie", &["--without-contents"]).exits(36).json();
    assert_eq!((&answer["verdict"], answer["findings"].as_array().unwrap().len()), (&"not-whole".into(), 0));
    rebuild(&sandbox, "stranger", "trixie", &["--without-contents", "--accept", "plain-same"]).exits(36);
    let accepted = rebuild(&sandbox, "stranger", "trixie", &["--without-contents", "--accept", "left-out"]).ok().json();
    assert_eq!(accepted["verdict"], "not-whole", "it is accepted and not more than it was");
    let said = sandbox.publish(&["-C", "stranger", "rebuild", "trixie", "--without-contents"]).exits(36).out;
    assert!(said.contains("left out") && said.contains("--accept left-out"), "{said}");
    let left = ["all", "amd64"].map(|name| format!("main/Contents-{name}"));
    let left = left.iter().filter(|path| answer["files"].as_array().unwrap().iter().any(|file| file["path"] == **path));
    let expected: Vec<(String, String)> = [("Release".to_owned(), "same-content".to_owned())]
        .into_iter()
        .chain(left.flat_map(|path| [path.clone(), format!("{path}.gz")]).map(|path| (path, "left-out".to_owned())))
        .collect();
    assert!(expected.len() >= 3);
    assert_eq!(otherwise(&answer).into_iter().collect::<Vec<_>>(), expected);
    // What `git lfs pull` brings is enough: the packages, of which the lists are made.
    let objects = "mkdir -p stranger/.git/lfs && cp -r archive/.git/lfs/objects stranger/.git/lfs/";
    sandbox.run("sh", &["-c", objects]).ok();
    assert!(!sandbox.path("stranger/.git/ddb/derived").exists());
    assert_eq!(rebuild(&sandbox, "stranger", "trixie", &["--local-objects"]).ok().json()["verdict"], "same");
}

#[test]
fn contents_that_stayed_need_the_commit_that_they_are_of() {
    let sandbox = Sandbox::with_archive_at("2026-09-14T08:00:00Z");
    configure_suite(&sandbox, "contents = true\ncontents-every = \"30d\"\n");
    sandbox.deb("out", "plain", "1.0-1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    let older = head(&sandbox, "HEAD");
    sandbox.deb("more", "more", "1", "amd64", "");
    sandbox.commit("more", &[]).ok();
    sandbox.dists_at("2026-09-15T08:00:00Z", &[]).ok();
    clone(&sandbox, "shallow", &["--depth=1", "--no-single-branch"]);
    let run = rebuild(&sandbox, "shallow", "trixie", &["--local-objects"]).exits(4).says(&older);
    run.says("what stays of Contents in Release 2 of trixie");
    rebuild(&sandbox, "shallow", "trixie", &["--without-contents", "--accept", "left-out"]).ok();
    sandbox.run("git", &["-C", "shallow", "fetch", "-q", "--depth=1", "origin", &older]).ok();
    let run = rebuild(&sandbox, "shallow", "trixie", &["--local-objects"]).exits(4).says("does not tell whether").says(&older);
    let fetch = run.err.split('`').nth(1).unwrap().to_owned();
    let objects = "mkdir -p .git/lfs && cp -r ../archive/.git/lfs/objects .git/lfs/";
    sandbox.run("sh", &["-c", &format!("cd shallow && {fetch} && {objects}")]).ok();
    let answer = rebuild(&sandbox, "shallow", "trixie", &["--local-objects"]).ok().json();
    assert_eq!(answer["verdict"], "same");
}
