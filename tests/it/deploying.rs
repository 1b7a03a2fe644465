//! Deploying as build jobs do it: real builds of two architectures in any order, retries, older and rebuilt versions, every
//! kind of file that a build leaves, many jobs at once, bare repositories and work trees.

mod files;
mod places;

use std::collections::BTreeSet;
use std::path::Path;

use super::sandbox::{Run, Sandbox, Value, cache};
use super::specimens::{configure, write_changes, write_source};

/// An archive with these architectures and components beside `all` and `main`.
fn archive(architectures: &[&str], components: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    let mut arguments = vec!["init", "archive"];
    architectures.iter().for_each(|name| arguments.extend(["--architecture", name]));
    ["main"].iter().chain(components).for_each(|name| arguments.extend(["--component", name]));
    sandbox.deploy(&arguments).ok();
    sandbox
}

/// Deploys and returns the answer.
#[track_caller]
fn land(sandbox: &Sandbox, out: impl AsRef<Path>, more: &[&str]) -> Value {
    let all: Vec<&str> = more.iter().copied().chain(["--json"]).collect();
    sandbox.commit(out, &all).ok().json()
}

/// Paths of the newest commit below a folder.
fn tree(sandbox: &Sandbox, below: &str) -> BTreeSet<String> {
    sandbox.git(&["ls-tree", "-r", "--name-only", "HEAD", below]).ok().out.lines().map(str::to_owned).collect()
}

fn records(sandbox: &Sandbox) -> BTreeSet<String> {
    tree(sandbox, "suites/").iter().map(|path| path.trim_start_matches("suites/trixie/").to_owned()).collect()
}

fn set<'a>(lines: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    lines.into_iter().map(str::to_owned).collect()
}

fn commits(sandbox: &Sandbox) -> usize {
    sandbox.git(&["rev-list", "--count", "HEAD"]).ok().out.trim().parse().unwrap()
}

#[track_caller]
fn clean(sandbox: &Sandbox) {
    assert_eq!(sandbox.git(&["status", "--porcelain"]).ok().out, "");
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn two_full_builds_of_one_source_on_two_architectures_give_the_same_suite_in_both_orders() {
    let suites: Vec<_> = [["out/two-amd64", "out/two-arm64"], ["out/two-arm64", "out/two-amd64"]]
        .into_iter()
        .map(|order| {
            let sandbox = archive(&["amd64", "arm64"], &[]);
            for (at, build) in order.into_iter().enumerate() {
                let answer = land(&sandbox, cache(build), &[]);
                assert_eq!(answer["builds"][0]["verdict"], "landed");
                let all_here = records(&sandbox).contains("main/binary-all/n/nyancat/nyancat-server_1.5.2-0.2");
                assert!(all_here, "the arch:all package comes with the first build and stays");
                assert_eq!(commits(&sandbox), at + 2);
            }
            clean(&sandbox);
            sandbox.publish(&["-C", "archive", "key", "generate", "--now", "2026-11-23T11:00:00Z"]).ok();
            sandbox.dists(&["--now", "2026-11-23T12:00:00Z"]).ok();
            let packages = |architecture: &str| {
                let path = sandbox.public().join(format!("dists/trixie/main/binary-{architecture}/Packages.xz"));
                sandbox.run("xz", &["-dc", path.to_str().unwrap()]).ok().out
            };
            (sandbox.git(&["ls-tree", "-r", "HEAD", "suites/", "pool/"]).ok().out, packages("amd64"), packages("arm64"), packages("all"))
        })
        .collect();
    assert_eq!(suites[0].0, suites[1].0, "the order of deploying does not matter where the builds are reproducible");
    assert_eq!(suites[0], suites[1]);
    let (tree, amd64, arm64, all) = &suites[0];
    for record in [
        "source/n/nyancat/nyancat",
        "binary-amd64/n/nyancat/nyancat-dbgsym",
        "binary-arm64/n/nyancat/nyancat-dbgsym",
        "binary-arm64/n/nyancat/nyancat",
    ] {
        assert!(tree.contains(&format!("suites/trixie/main/{record}_1.5.2-0.2\n")), "{record}:\n{tree}");
    }
    for evidence in ["amd64.changes", "arm64.changes", "amd64.buildinfo", "arm64.buildinfo", "amd64.build", "arm64.build"] {
        assert!(tree.contains(&format!("pool/main/n/nyancat/nyancat_1.5.2-0.2_{evidence}\n")), "{evidence}:\n{tree}");
    }
    assert!(amd64.contains("nyancat_1.5.2-0.2_amd64.deb") && !amd64.contains("_arm64.deb"));
    assert!(arm64.contains("nyancat_1.5.2-0.2_arm64.deb") && !arm64.contains("_amd64.deb"));
    assert!(all.contains("nyancat-server_1.5.2-0.2_all.deb"));
}

#[test]
fn an_arch_all_package_that_two_builds_made_with_different_bytes_stays_the_first_and_is_news() {
    let sandbox = archive(&["amd64", "arm64"], &[]);
    for (architecture, text) in [("amd64", "first"), ("arm64", "second")] {
        let out = format!("out-{architecture}");
        sandbox.deb(&out, "prog", "1.0-1", architecture, "Source: prog\n");
        sandbox.deb(&out, "prog-doc", "1.0-1", "all", &format!("Source: prog\nDescription: {text}\n"));
    }
    land(&sandbox, "out-amd64", &[]);
    let answer = land(&sandbox, "out-arm64", &[]);
    let note = answer["builds"][0]["notes"][0].as_str().unwrap();
    assert!(note.contains("prog-doc_1.0-1_all.deb") && note.contains("stays"), "{note}");
    let message = sandbox.git(&["log", "-1", "--format=%B"]).ok().out;
    let digest = |out: &str| sandbox.run("sha256sum", &[&format!("{out}/prog-doc_1.0-1_all.deb")]).ok().out[..64].to_owned();
    let trailer =
        format!("Ddb-Differs: pool/main/p/prog/prog-doc_1.0-1_all.deb sha256:{} sha256:{}", digest("out-amd64"), digest("out-arm64"));
    assert!(message.contains(&trailer), "{trailer}\n{message}");
    let record = sandbox.git(&["show", "HEAD:suites/trixie/main/binary-all/p/prog/prog-doc_1.0-1"]).ok().out;
    assert!(record.contains("Description: first\n") && record.contains(&digest("out-amd64")), "{record}");
    clean(&sandbox);
}

#[test]
fn a_retried_identical_build_changes_nothing() {
    let sandbox = archive(&["amd64"], &[]);
    land(&sandbox, cache("out/small"), &[]);
    let before = sandbox.git(&["rev-parse", "HEAD"]).ok().out;
    let answer = land(&sandbox, cache("out/small"), &[]);
    assert_eq!((&answer["builds"][0]["verdict"], &answer["commit"]), (&Value::from("already-landed"), &Value::Null));
    sandbox.commit(cache("out/small"), &["--detailed-exit-code"]).exits(10);
    assert_eq!(sandbox.git(&["rev-parse", "HEAD"]).ok().out, before);
    clean(&sandbox);
}

#[test]
fn a_retried_build_with_other_bytes_is_refused_kept_or_replaced_as_asked() {
    let sandbox = archive(&["amd64"], &[]);
    let pool = "pool/main/h/hello/hello_1.0-1_amd64.deb";
    sandbox.deb("first", "hello", "1.0-1", "amd64", "Description: first\n");
    sandbox.deb("second", "hello", "1.0-1", "amd64", "Description: second\n");
    let pointer = || sandbox.git(&["show", &format!("HEAD:{pool}")]).ok().out;
    let digest = |out: &str| sandbox.run("sha256sum", &[&format!("{out}/hello_1.0-1_amd64.deb")]).ok().out[..64].to_owned();
    let record = || sandbox.git(&["show", "HEAD:suites/trixie/main/binary-amd64/h/hello/hello_1.0-1"]).ok().out;
    land(&sandbox, "first", &[]);
    let (before, commit) = (pointer(), sandbox.git(&["rev-parse", "HEAD"]).ok().out);

    sandbox.commit("second", &[]).exits(5).says(pool).says("--on-conflict keep or replace");
    assert_eq!(sandbox.git(&["rev-parse", "HEAD"]).ok().out, commit);

    let answer = land(&sandbox, "second", &["--on-conflict", "keep"]);
    assert_eq!(answer["builds"][0]["verdict"], "already-landed", "{answer}");
    assert!(answer["builds"][0]["notes"][0].as_str().unwrap().contains("stays"), "{answer}");
    assert_eq!(pointer(), before);

    land(&sandbox, "second", &["--on-conflict", "replace"]);
    assert!(pointer().contains(&digest("second")) && record().contains("Description: second") && record().contains(&digest("second")));
    clean(&sandbox);
    // The published name never means other bytes by accident: dists follows, and apt would see the new digest.
    land(&sandbox, "first", &["--on-conflict", "replace"]);
    assert!(pointer().contains(&digest("first")) && record().contains("Description: first"));
    clean(&sandbox);
}

#[test]
fn an_older_version_never_displaces_a_newer_one_unless_asked_to() {
    let sandbox = archive(&["amd64"], &[]);
    for version in ["1.0-1", "1.1-1"] {
        let out = format!("out-{version}");
        sandbox.deb(&out, "hello", version, "amd64", "");
        write_source(&sandbox.path(&out), "hello", version);
    }
    let offered = |version: &str| {
        set([format!("main/binary-amd64/h/hello/hello_{version}").as_str(), &format!("main/source/h/hello/hello_{version}")])
    };
    land(&sandbox, "out-1.1-1", &[]);
    assert_eq!(records(&sandbox), offered("1.1-1"));
    let before = sandbox.git(&["rev-parse", "HEAD"]).ok().out;
    let run = sandbox.commit("out-1.0-1", &["--json"]).exits(6);
    assert_eq!(run.json()["builds"][0]["verdict"], "superseded");
    assert_eq!(sandbox.git(&["rev-parse", "HEAD"]).ok().out, before);
    land(&sandbox, "out-1.0-1", &["--downgrade"]);
    assert_eq!(records(&sandbox), offered("1.0-1"));
    land(&sandbox, "out-1.1-1", &[]);
    assert_eq!(records(&sandbox), offered("1.1-1"));
    // What the suite offered once stays in the pool.
    assert!(tree(&sandbox, "pool/").contains("pool/main/h/hello/hello_1.0-1_amd64.deb"));
    clean(&sandbox);
}

#[test]
fn a_second_architecture_that_lags_behind_keeps_its_packages_source_and_arch_all() {
    let sandbox = archive(&["amd64", "arm64"], &[]);
    for (version, architecture) in [("1.0-1", "amd64"), ("1.0-1", "arm64"), ("1.1-1", "amd64"), ("1.1-1", "arm64")] {
        let out = format!("{version}-{architecture}");
        sandbox.deb(&out, "prog", version, architecture, "Depends: prog-data\n");
        sandbox.deb(&out, "prog-data", version, "all", "Source: prog\n");
        write_source(&sandbox.path(&out), "prog", version);
    }
    for out in ["1.0-1-amd64", "1.0-1-arm64", "1.1-1-amd64"] {
        land(&sandbox, out, &[]);
    }
    let all = |versions: &[&str]| {
        let names = versions
            .iter()
            .flat_map(|version| [format!("main/source/p/prog/prog_{version}"), format!("main/binary-all/p/prog/prog-data_{version}")]);
        names.collect::<BTreeSet<_>>()
    };
    let mut lagging = all(&["1.0-1", "1.1-1"]);
    lagging.extend(set(["main/binary-amd64/p/prog/prog_1.1-1", "main/binary-arm64/p/prog/prog_1.0-1"]));
    assert_eq!(records(&sandbox), lagging);
    land(&sandbox, "1.1-1-arm64", &[]);
    let mut level = all(&["1.1-1"]);
    level.extend(set(["main/binary-amd64/p/prog/prog_1.1-1", "main/binary-arm64/p/prog/prog_1.1-1"]));
    assert_eq!(records(&sandbox), level);
    clean(&sandbox);
}

#[test]
fn a_binary_rebuild_lands_with_its_source_and_replaces_only_its_architecture() {
    let sandbox = archive(&["amd64", "arm64"], &[]);
    for architecture in ["amd64", "arm64"] {
        sandbox.deb("out", "foo-bin", "1:1.2-3", architecture, "Source: foo\n");
    }
    write_source(&sandbox.path("out"), "foo", "1:1.2-3");
    land(&sandbox, "out", &[]);
    let name = "foo-bin_1.2-3+b1_amd64.deb";
    sandbox.deb("rebuild", "foo-bin", "1:1.2-3+b1", "amd64", "Source: foo (1:1.2-3)\n");
    let fields = "Source: foo (1:1.2-3)\nBinary: foo-bin\nVersion: 1:1.2-3+b1\nBinary-Only: yes\n";
    write_changes(&sandbox.path("rebuild"), "foo_1.2-3+b1_amd64.changes", fields, &[name]);
    let answer = land(&sandbox, "rebuild", &[]);
    assert_eq!((&answer["builds"][0]["source"], &answer["builds"][0]["version"]), (&Value::from("foo"), &Value::from("1:1.2-3")));
    let expected =
        ["main/binary-amd64/f/foo/foo-bin_1%3a1.2-3+b1", "main/binary-arm64/f/foo/foo-bin_1%3a1.2-3", "main/source/f/foo/foo_1%3a1.2-3"];
    assert_eq!(records(&sandbox), set(expected));
    assert!(tree(&sandbox, "pool/").contains(&format!("pool/main/f/foo/{name}")));
    // The build that was rebuilt is older than the rebuild.
    sandbox.commit("out", &[]);
    assert_eq!(records(&sandbox), set(expected));
    clean(&sandbox);
}

#[test]
fn the_suite_is_the_option_then_the_environment_then_the_only_one_then_that_of_distribution() {
    let mut sandbox = archive(&["amd64"], &[]);
    let deploy = |sandbox: &Sandbox, package: &str, distribution: &str, more: &[&str]| {
        let out = format!("out-{package}");
        sandbox.deb(&out, package, "1", "amd64", "");
        let fields = format!("Source: {package}\nBinary: {package}\nVersion: 1\nDistribution: {distribution}\n");
        write_changes(&sandbox.path(&out), &format!("{package}_1_amd64.changes"), &fields, &[&format!("{package}_1_amd64.deb")]);
        let all: Vec<&str> = more.iter().copied().chain(["--json"]).collect();
        sandbox.commit(&out, &all)
    };
    let suite = |run: Run| run.ok().json()["suite"].as_str().unwrap().to_owned();
    assert_eq!(suite(deploy(&sandbox, "aa", "UNRELEASED", &[])), "trixie", "the only suite, whatever Distribution says");
    let more =
        "[suites.forky]\nsuite = \"testing\"\narchitectures = [\"amd64\", \"all\"]\ndistributions = [\"forky-backports\", \"unstable\"]\n";
    configure(&sandbox, "", more);
    for (package, distribution, expected) in
        [("bb", "trixie", "trixie"), ("cc", "forky", "forky"), ("dd", "testing", "forky"), ("ee", "unstable", "forky")]
    {
        assert_eq!(suite(deploy(&sandbox, package, distribution, &[])), expected, "{distribution}");
    }
    deploy(&sandbox, "ff", "UNRELEASED", &[]).exits(4).says("UNRELEASED").says("--suite");
    sandbox.deb("bare", "gg", "1", "amd64", "");
    sandbox.commit("bare", &[]).exits(4).says("--suite");
    assert_eq!(suite(deploy(&sandbox, "hh", "trixie", &["--suite", "testing"])), "forky");
    sandbox.environment.insert("DDB_SUITE".to_owned(), "forky".to_owned());
    assert_eq!(suite(deploy(&sandbox, "ii", "trixie", &[])), "forky");
    assert_eq!(suite(deploy(&sandbox, "jj", "forky", &["--suite", "trixie"])), "trixie");
    sandbox.environment.insert("DDB_SUITE".to_owned(), "nosuch".to_owned());
    deploy(&sandbox, "kk", "trixie", &[]).exits(4).says("nosuch");
    sandbox.environment.insert("DDB_SUITE".to_owned(), String::new());
    assert_eq!(suite(deploy(&sandbox, "ll", "forky", &[])), "forky", "an empty variable is as good as none");
    clean(&sandbox);
}

#[test]
fn the_commit_says_what_was_added_and_by_which_job() {
    let mut sandbox = archive(&["amd64"], &[]);
    sandbox.environment.insert("CI_JOB_URL".to_owned(), "https://ci.example.org/jobs/42".to_owned());
    sandbox.environment.insert("PACKAGE".to_owned(), "hostname".to_owned());
    sandbox.environment.insert("VERSION".to_owned(), "3.23+nmu1".to_owned());
    land(&sandbox, cache("out/small"), &[]);
    let message = sandbox.git(&["log", "-1", "--format=%an <%ae>%n%B"]).ok().out;
    let mut lines = message.lines();
    assert_eq!(lines.next(), Some("Test <test@example.org>"));
    assert_eq!(lines.next(), Some("Add hostname 3.23+nmu1."));
    assert_eq!(lines.next(), Some(""));
    assert_eq!(lines.next(), Some("https://ci.example.org/jobs/42"));
    for path in tree(&sandbox, "pool/").iter().chain(&tree(&sandbox, "suites/")) {
        assert!(message.contains(&format!("  {path}\n")), "{path}\n{message}");
    }
    let trailers = sandbox.git(&["log", "-1", "--format=%(trailers:only)"]).ok().out;
    assert!(trailers.contains("Ddb-Suite: trixie\n") && trailers.contains("Ddb-Statement: sha256:"), "{trailers}");
    assert!(trailers.contains("Ddb-Job: https://ci.example.org/jobs/42\n"), "{trailers}");
    // Two sources in one build output.
    sandbox.environment.clear();
    sandbox.deb("two", "aa", "1", "amd64", "");
    sandbox.deb("two", "bb", "2:3", "amd64", "");
    land(&sandbox, "two", &[]);
    let message = sandbox.git(&["log", "-1", "--format=%B"]).ok().out;
    assert!(message.contains("aa 1\n") && message.contains("bb 2:3\n"), "{message}");
}

#[test]
fn hostile_texts_in_the_environment_do_not_forge_the_commit_message() {
    let mut sandbox = archive(&["amd64"], &[]);
    sandbox.deb("out", "aa", "1", "amd64", "");
    let forged = "https://ci.example.org/1\n\nDdb-Uploader: 0000";
    sandbox.environment.insert("CI_JOB_URL".to_owned(), forged.to_owned());
    sandbox.commit("out", &[]).exits(2).says("CI_JOB_URL");
    assert_eq!(commits(&sandbox), 1);
}

#[test]
fn a_dry_run_says_what_would_land_and_changes_nothing() {
    let sandbox = archive(&["amd64"], &[]);
    let run = sandbox.commit(cache("out/small"), &["--dry-run"]).ok();
    assert!(run.out.contains("would add    suites/trixie/main/binary-amd64/h/hostname/hostname_3.23+nmu1\n"), "{}", run.out);
    assert_eq!(commits(&sandbox), 1);
    assert!(!sandbox.archive().join(".git/lfs/objects").exists());
    land(&sandbox, cache("out/small"), &[]);
    sandbox.deb("newer", "hostname", "4", "amd64", "");
    let run = sandbox.commit("newer", &["--dry-run"]).ok();
    assert!(run.out.contains("would remove suites/trixie/main/binary-amd64/h/hostname/hostname_3.23+nmu1\n"), "{}", run.out);
}
