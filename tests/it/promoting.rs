//! Promoting: a suite offers what another one offers, or what it offered at an older state, and clients get it.

use super::client::Apt;
use super::sandbox::{Run, Sandbox};
use super::specimens::{commit_by_hand, configure};

/// An archive with the suites sid and trixie, which has one architecture less, with nothing in either.
fn two_suites() -> Sandbox {
    let sandbox = Sandbox::with_archive();
    configure(
        &sandbox,
        "",
        "[suites.sid]\nsuite = \"unstable\"\ncomponents = [\"main\", \"contrib\"]\narchitectures = [\"amd64\", \"arm64\"]\n",
    );
    sandbox
}

fn promote(sandbox: &Sandbox, more: &[&str]) -> Run {
    sandbox.publish(&[&["-C", "archive", "promote"], more].concat())
}

fn to_sid(sandbox: &Sandbox, package: &str, version: &str) {
    let out = format!("{package}-{version}");
    sandbox.deb(&out, package, version, "amd64", "");
    sandbox.commit(&out, &["--suite", "sid"]).ok();
}

/// The records of a suite, without its name.
fn offered(sandbox: &Sandbox, suite: &str) -> Vec<String> {
    let root = format!("suites/{suite}/");
    let paths = sandbox.git(&["ls-tree", "-r", "--name-only", "HEAD", &root]).ok().out;
    paths.lines().map(|path| path.strip_prefix(&root).unwrap().to_owned()).collect()
}

fn commits(sandbox: &Sandbox) -> usize {
    sandbox.git(&["rev-list", "--count", "HEAD"]).ok().out.trim().parse().unwrap()
}

/// The checkout is as the commit, and everything agrees.
fn is_clean(sandbox: &Sandbox) {
    assert_eq!(sandbox.git(&["status", "--porcelain"]).ok().out, "");
    sandbox.git(&["fsck", "--strict"]).ok();
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn a_source_goes_from_one_suite_to_another_and_clients_get_it() {
    let sandbox = two_suites();
    for architecture in ["amd64", "arm64"] {
        sandbox.deb("one", "hello", "1.0", architecture, "");
    }
    sandbox.deb("one", "hello-data", "1.0", "all", "Source: hello\n");
    sandbox.deb("one", "other", "1.0", "amd64", "");
    sandbox.commit("one", &["--suite", "sid"]).ok();
    let before = commits(&sandbox);
    let planned = promote(&sandbox, &["unstable", "trixie", "hello", "--dry-run", "--json"]).ok().json();
    assert_eq!((&planned["packages"][0]["verdict"], commits(&sandbox)), (&"landed".into(), before));
    let answer = promote(&sandbox, &["unstable", "trixie", "hello", "--json"]).ok().json();
    assert_eq!((&answer["from"], &answer["to"], &answer["verdict"]), (&"sid".into(), &"trixie".into(), &"landed".into()));
    assert_eq!((&answer["packages"][0]["version"], &answer["published"]["packages"]), (&"1.0".into(), &2.into()));
    assert!(answer["packages"][0]["notes"][0].as_str().unwrap().contains("main/binary-arm64 was left out"), "{answer}");
    assert_eq!(offered(&sandbox, "trixie"), ["main/binary-all/h/hello/hello-data_1.0", "main/binary-amd64/h/hello/hello_1.0"]);
    assert_eq!(commits(&sandbox), before + 1);
    assert_eq!(sandbox.git(&["log", "-1", "--format=%s"]).ok().out.trim(), "Promote hello 1.0 from sid to trixie.");
    let apt = Apt::of_machine(&sandbox);
    apt.use_stanza(answer["published"]["stanza"].as_str().unwrap());
    apt.updates();
    apt.get(&["download", "hello", "hello-data"]).ok();
    assert!(apt.versions("other").is_empty());
    // Once more: nothing to commit, nothing to publish.
    let again = promote(&sandbox, &["sid", "trixie", "hello", "--json"]).ok().json();
    assert_eq!((&again["verdict"], &again["published"]["outcome"]), (&"already-landed".into(), &"unchanged".into()));
    // What sid does not offer any more goes.
    sandbox.deb("two", "hello", "2.0", "amd64", "");
    sandbox.commit("two", &["--suite", "sid"]).ok();
    sandbox.git(&["rm", "-q", "-r", "suites/sid/main/binary-all"]).ok();
    commit_by_hand(&sandbox, "Drop hello-data.");
    promote(&sandbox, &["sid", "trixie", "hello", "other"]).ok();
    let wanted = ["main/binary-amd64/h/hello/hello_2.0", "main/binary-amd64/o/other/other_1.0"];
    assert_eq!(offered(&sandbox, "trixie"), wanted);
    assert_eq!(sandbox.git(&["log", "-1", "--format=%s"]).ok().out.trim(), "Promote 2 source packages from sid to trixie.");
    is_clean(&sandbox);
}

#[test]
fn an_older_version_is_superseded_unless_a_downgrade_is_wanted() {
    let sandbox = two_suites();
    to_sid(&sandbox, "hello", "1.0");
    to_sid(&sandbox, "fresh", "1.0");
    sandbox.deb("newer", "hello", "1.0+b1", "amd64", "Source: hello (1.0)\n");
    sandbox.commit("newer", &["--suite", "trixie"]).ok();
    let before = commits(&sandbox);
    let run = promote(&sandbox, &["sid", "trixie", "hello"]).exits(6);
    assert!(run.out.contains("hello 1.0: superseded") && run.out.contains("hello 1.0+b1, which is newer"), "{}", run.out);
    assert_eq!(commits(&sandbox), before);
    // Others land all the same.
    let answer = promote(&sandbox, &["sid", "trixie", "hello", "fresh", "--json"]).ok().json();
    let verdicts = |answer: &super::sandbox::Value| {
        let packages = answer["packages"].as_array().unwrap().iter();
        packages.map(|package| format!("{} {}", package["source"], package["verdict"])).collect::<Vec<_>>()
    };
    assert_eq!(verdicts(&answer), ["\"fresh\" \"landed\"", "\"hello\" \"superseded\""]);
    assert!(offered(&sandbox, "trixie").contains(&"main/binary-amd64/h/hello/hello_1.0+b1".to_owned()));
    promote(&sandbox, &["sid", "trixie", "hello", "--downgrade"]).ok();
    assert_eq!(offered(&sandbox, "trixie"), offered(&sandbox, "sid"));
    is_clean(&sandbox);
}

#[test]
fn what_cannot_be_promoted_is_refused_and_nothing_is_committed() {
    let sandbox = two_suites();
    to_sid(&sandbox, "hello", "1.0");
    let before = commits(&sandbox);
    promote(&sandbox, &["sid", "trixie", "hello", "nosuch", "neither"]).exits(4).says("sid offers no source package neither, nosuch");
    promote(&sandbox, &["trixie", "sid", "--all"]).exits(4).says("trixie offers nothing");
    promote(&sandbox, &["sid", "nosuch", "--all"]).exits(4).says("no suite \"nosuch\"; it has sid, trixie");
    promote(&sandbox, &["nosuch@1", "sid", "--all"]).exits(4).says("no suite \"nosuch\"");
    promote(&sandbox, &["sid", "unstable", "--all"]).exits(2).says("sid@TIME");
    promote(&sandbox, &["sid@1", "sid", "--all"]).exits(4).says("was ever served");
    promote(&sandbox, &["sid", "trixie"]).exits(2);
    promote(&sandbox, &["sid", "trixie", "hello", "--all"]).exits(2);
    promote(&sandbox, &["sid@yesterday", "trixie", "--all"]).exits(2).says("names no snapshot");
    sandbox.publish(&["-C", "archive", "dists", "sid"]).ok();
    promote(&sandbox, &["sid@2", "sid", "--all"]).exits(2).says("no served Release 2; the last one is 1");
    promote(&sandbox, &["sid@20200101T000000Z", "sid", "--all"]).exits(2).says("as old as");
    promote(&sandbox, &["sid@0123456", "sid", "--all"]).exits(2).says("no commit");
    assert_eq!(commits(&sandbox), before);
    is_clean(&sandbox);
}

#[test]
fn a_whole_suite_becomes_another_one_and_only_one_tree_is_written() {
    let sandbox = two_suites();
    for package in ["one", "two", "three"] {
        to_sid(&sandbox, package, "1.0");
    }
    sandbox.deb("own", "own", "1.0", "amd64", "");
    sandbox.commit("own", &["--suite", "trixie"]).ok();
    let objects = || sandbox.git(&["count-objects"]).ok().out.split(' ').next().unwrap().parse::<usize>().unwrap();
    let before = objects();
    let answer = promote(&sandbox, &["sid", "trixie", "--all", "--no-publish", "--json"]).ok().json();
    // The commit, the top and suites/.
    assert_eq!((objects() - before, &answer["published"]), (3, &super::sandbox::Value::Null));
    assert_eq!(offered(&sandbox, "trixie"), offered(&sandbox, "sid"));
    assert_eq!(sandbox.git(&["log", "-1", "--format=%s"]).ok().out.trim(), "Make trixie offer what sid offers.");
    let again = promote(&sandbox, &["sid", "trixie", "--all", "--json"]).ok().json();
    assert_eq!((&again["verdict"], &again["published"]["packages"]), (&"already-landed".into(), &3.into()));
    is_clean(&sandbox);
}

#[test]
fn a_suite_goes_back_to_a_release_and_lost_pool_files_come_back() {
    let sandbox = Sandbox::with_archive();
    sandbox.deb("one", "hello", "1.0", "amd64", "");
    sandbox.deb("one", "stays", "1.0", "amd64", "");
    sandbox.commit("one", &[]).ok();
    let first = sandbox.dists(&["--json"]).ok().json();
    let packages = sandbox.public().join("dists/trixie/main/binary-amd64/Packages.xz");
    let before = std::fs::read(&packages).unwrap();
    sandbox.deb("two", "hello", "2.0", "amd64", "");
    sandbox.deb("two", "stays", "2.0", "amd64", "");
    sandbox.commit("two", &[]).ok();
    let second = sandbox.dists(&["--json"]).ok().json();
    // Somebody cleans up.
    let pooled = "pool/main/h/hello/hello_1.0_amd64.deb";
    sandbox.git(&["rm", "-q", pooled, "pool/main/s/stays/stays_1.0_amd64.deb"]).ok();
    commit_by_hand(&sandbox, "Remove old versions.");
    // One source goes back; the other's file stays away.
    promote(&sandbox, &["trixie@1", "trixie", "hello"]).exits(6);
    let answer = promote(&sandbox, &["trixie@1", "trixie", "hello", "--downgrade", "--json"]).ok().json();
    assert_eq!(answer["restored"], serde_json::json!([pooled]));
    assert_eq!(offered(&sandbox, "trixie"), ["main/binary-amd64/h/hello/hello_1.0", "main/binary-amd64/s/stays/stays_2.0"]);
    is_clean(&sandbox);
    // The whole suite goes back, by the commit that the first Release was made from.
    let base = first["suites"][0]["base"].as_str().unwrap();
    let answer = promote(&sandbox, &[&format!("trixie@{}", &base[..10]), "trixie", "--all", "--json"]).ok().json();
    assert_eq!((&answer["origin"], &answer["release"]), (&base.into(), &1.into()));
    assert_eq!(answer["restored"], serde_json::json!(["pool/main/s/stays/stays_1.0_amd64.deb"]));
    assert_eq!(answer["published"]["sequence"], 4);
    assert_eq!(std::fs::read(&packages).unwrap(), before, "the index is what it was");
    assert_eq!(sandbox.git(&["log", "-1", "--format=%s"]).ok().out.trim(), "Put trixie back to its Release 1.");
    let apt = Apt::of_machine(&sandbox);
    apt.use_stanza(answer["published"]["stanza"].as_str().unwrap());
    apt.updates();
    assert_eq!((apt.versions("hello"), apt.versions("stays")), (vec!["1.0".to_owned()], vec!["1.0".to_owned()]));
    apt.get(&["download", "stays"]).ok();
    // And forward again, by time and as one revert.
    let date = second["suites"][0]["date"].as_str().unwrap();
    promote(&sandbox, &[&format!("trixie@{date}"), "trixie", "--all"]).ok();
    assert!(offered(&sandbox, "trixie").contains(&"main/binary-amd64/h/hello/hello_2.0".to_owned()));
    sandbox.git(&["revert", "--no-edit", "HEAD"]).ok();
    assert!(offered(&sandbox, "trixie").contains(&"main/binary-amd64/h/hello/hello_1.0".to_owned()));
    is_clean(&sandbox);
}

#[test]
fn a_pool_file_that_was_replaced_comes_back_unless_another_suite_offers_the_new_bytes() {
    let sandbox = two_suites();
    sandbox.deb("one", "hello", "1.0", "amd64", "Homepage: https://example.org/1\n");
    sandbox.commit("one", &["--suite", "trixie"]).ok();
    sandbox.dists(&[]).ok();
    sandbox.deb("two", "hello", "1.0", "amd64", "Homepage: https://example.org/2\n");
    sandbox.commit("two", &["--suite", "trixie", "--on-conflict", "replace"]).ok();
    sandbox.dists(&[]).ok();
    promote(&sandbox, &["trixie", "sid", "--all"]).ok();
    let before = commits(&sandbox);
    promote(&sandbox, &["trixie@1", "trixie", "--all"]).exits(4).says("suites/sid/main/binary-amd64/h/hello/hello_1.0 offers other bytes");
    assert_eq!(commits(&sandbox), before);
    sandbox.git(&["rm", "-q", "-r", "suites/sid"]).ok();
    commit_by_hand(&sandbox, "Empty sid.");
    let pooled = sandbox.public().join("pool/main/h/hello/hello_1.0_amd64.deb");
    let first = std::fs::read(sandbox.path("one/hello_1.0_amd64.deb")).unwrap();
    assert_ne!(std::fs::read(&pooled).unwrap(), first);
    promote(&sandbox, &["trixie@1", "trixie", "--all"]).ok();
    assert_eq!(std::fs::read(&pooled).unwrap(), first);
    // An object that the store has lost is said before anything is committed.
    promote(&sandbox, &["trixie@2", "trixie", "--all"]).ok();
    let oid = sandbox.run("sha256sum", &["one/hello_1.0_amd64.deb"]).ok().out[..64].to_owned();
    std::fs::remove_file(sandbox.archive().join(format!(".git/lfs/objects/{}/{}/{oid}", &oid[..2], &oid[2..4]))).unwrap();
    let before = commits(&sandbox);
    promote(&sandbox, &["trixie@1", "trixie", "--all"]).exits(4).says("is not in").says(&oid);
    assert_eq!(commits(&sandbox), before);
}
