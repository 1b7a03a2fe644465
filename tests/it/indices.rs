//! What a suite's configuration promises is published: Release's fields, an index for every component and architecture, and
//! override files, whose mistakes are named by file and line.

use std::collections::BTreeSet;

use crate::sandbox::Sandbox;

/// An archive with nothing in it and this table for its suite.
fn archive(suite: &str) -> Sandbox {
    let sandbox = Sandbox::with_archive_at("2026-09-01T00:00:00Z");
    sandbox.write("archive/ddb.toml", format!("[archive]\norigin = \"Test\"\nlabel = \"Test packages\"\n\n[suites.trixie]\n{suite}"));
    commit_all(&sandbox);
    sandbox
}

fn commit_all(sandbox: &Sandbox) {
    sandbox.git(&["add", "."]).ok();
    sandbox.git(&["commit", "--quiet", "-m", "Configure the archive"]).ok();
}

fn read(sandbox: &Sandbox, path: &str) -> String {
    std::fs::read_to_string(sandbox.public().join("dists/trixie").join(path)).unwrap_or_else(|fault| panic!("{path}: {fault}"))
}

fn listed(release: &str) -> BTreeSet<String> {
    release.lines().filter(|line| line.starts_with(' ')).map(|line| line.split_whitespace().nth(2).unwrap().to_owned()).collect()
}

#[test]
fn release_has_debians_fields_in_debians_order() {
    let sandbox = archive(
        "suite = \"stable\"\nversion = \"13.7\"\ndescription = \"Packages of a test\"\nvalid-for = \"7d\"\nnot-automatic = true\nbut-automatic-upgrades = true\n\
         components = [\"main\", \"contrib\"]\narchitectures = [\"arm64\", \"amd64\", \"all\"]\nrelease-digests = [\"md5\"]\n",
    );
    sandbox.deb("out", "one", "1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&["--now", "2026-09-05T07:55:41Z"]).ok();
    let release = read(&sandbox, "Release");
    let (head, _) = release.split_once("MD5Sum:\n").unwrap();
    assert_eq!(
        head,
        "Origin: Test\nLabel: Test packages\nSuite: stable\nVersion: 13.7\nCodename: trixie\nDate: Sat, 05 Sep 2026 07:55:41 UTC\n\
         Valid-Until: Sat, 12 Sep 2026 07:55:41 UTC\nNotAutomatic: yes\nButAutomaticUpgrades: yes\nAcquire-By-Hash: yes\n\
         No-Support-for-Architecture-all: Packages\nArchitectures: all amd64 arm64\nComponents: main contrib\nDescription: Packages of a test\n"
    );
    let lists: Vec<&str> = release.lines().filter(|line| line.ends_with(':')).collect();
    assert_eq!(lists, ["MD5Sum:", "SHA256:"], "nothing behind the lists");
    // apt asks by-hash for the strongest list, but other clients may ask for any that is there.
    let by_hash = |list: &str| sandbox.public().join("dists/trixie/main/binary-amd64/by-hash").join(list).is_dir();
    assert!(by_hash("SHA256") && by_hash("MD5Sum"));
}

#[test]
fn every_component_and_architecture_has_its_index_though_it_be_empty() {
    let sandbox = archive(
        "suite = \"stable\"\nversion = \"13.7\"\ncomponents = [\"main\", \"contrib\"]\narchitectures = [\"amd64\", \"arm64\", \"all\"]\n",
    );
    sandbox.deb("out", "one", "1", "amd64", "");
    sandbox.deb("out", "one-data", "1", "all", "Source: one\n");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    let listed = listed(&read(&sandbox, "Release"));
    let mut expected = BTreeSet::new();
    for component in ["main", "contrib"] {
        for (folder, architecture) in [("binary-amd64", "amd64"), ("binary-arm64", "arm64"), ("binary-all", "all"), ("source", "source")] {
            let index = if folder == "source" { "Sources" } else { "Packages" };
            expected.extend(["", ".gz", ".xz"].map(|ending| format!("{component}/{folder}/{index}{ending}")));
            expected.insert(format!("{component}/{folder}/Release"));
            assert_eq!(
                read(&sandbox, &format!("{component}/{folder}/Release")),
                format!(
                    "Archive: stable\nOrigin: Test\nLabel: Test packages\nVersion: 13.7\nAcquire-By-Hash: yes\nComponent: {component}\nArchitecture: {architecture}\n"
                )
            );
        }
        expected.extend(["", ".gz", ".xz"].map(|ending| format!("{component}/i18n/Translation-en{ending}")));
    }
    assert_eq!(listed, expected);
    for path in expected.iter().filter(|path| path.ends_with('z')) {
        let text = unpacked(&sandbox, path);
        let packages: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("Package: ")).collect();
        let wanted: &[&str] = match path.trim_end_matches(".gz").trim_end_matches(".xz") {
            "main/binary-amd64/Packages" | "main/i18n/Translation-en" => &["one", "one-data"],
            // arm64 has no binary of the source, so it may have the data.
            "main/binary-all/Packages" | "main/binary-arm64/Packages" => &["one-data"],
            _ => &[],
        };
        assert_eq!(packages, wanted, "{path}");
    }
}

fn unpacked(sandbox: &Sandbox, path: &str) -> String {
    let file = sandbox.public().join("dists/trixie").join(path);
    let program = if path.ends_with(".gz") { "gzip" } else { "xz" };
    sandbox.run(program, &["-dc", file.to_str().unwrap()]).ok().out
}

#[test]
fn a_suite_without_all_promises_no_index_of_it() {
    let sandbox = archive("components = [\"main\"]\narchitectures = [\"amd64\"]\n");
    sandbox.deb("out", "data", "1", "all", "");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    let release = read(&sandbox, "Release");
    assert!(!release.contains("No-Support-for-Architecture-all") && !release.contains("binary-all"), "{release}");
    assert!(release.contains("\nArchitectures: amd64\n"), "{release}");
    assert!(unpacked(&sandbox, "main/binary-amd64/Packages.xz").starts_with("Package: data\n"));
}

const WITH_OVERRIDES: &str = "components = [\"main\"]\narchitectures = [\"amd64\", \"all\"]\n[suites.trixie.overrides.main]\nbinary = \"overrides/main\"\nextra = \"overrides/extra\"\nsource = \"overrides/main.src\"\n";

#[test]
fn an_override_counts_more_than_the_package() {
    let sandbox = archive(WITH_OVERRIDES);
    sandbox.write("archive/overrides/main", "# ours\none required admin Old <old@example.org> // Test <test@example.org> => New <new@example.org>\ntwo extra net New <new@example.org>\ntwo/arm64 extra doc\n");
    sandbox.write("archive/overrides/extra", "one Task one-task, other-task\n");
    sandbox.write("archive/overrides/main.src", "one admin\n");
    commit_all(&sandbox);
    for package in ["one", "two", "three"] {
        sandbox.deb("out", package, "1", "amd64", "Tag: own::tag\n");
    }
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    let packages = unpacked(&sandbox, "main/binary-amd64/Packages.xz");
    let said = |package: &str| {
        let paragraph = packages.split("\n\n").find(|paragraph| paragraph.starts_with(&format!("Package: {package}\n"))).unwrap();
        let wanted = |line: &&str| ["Maintainer:", "Section:", "Priority:", "Task:", "Tag:"].iter().any(|field| line.starts_with(field));
        paragraph.lines().filter(wanted).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(
        said("one"),
        "Maintainer: New <new@example.org>\nTag: own::tag\nTask: one-task, other-task\nSection: admin\nPriority: required"
    );
    assert_eq!(said("two"), "Maintainer: New <new@example.org>\nTag: own::tag\nSection: net\nPriority: extra");
    assert_eq!(said("three"), "Maintainer: Test <test@example.org>\nTag: own::tag\nSection: misc\nPriority: optional");
}

#[test]
fn a_mistake_in_an_override_file_is_named_by_file_and_line() {
    let sandbox = archive(WITH_OVERRIDES);
    sandbox.deb("out", "one", "1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    let good = [("main", "one optional misc\n"), ("extra", "one Task some\n"), ("main.src", "one misc\n")];
    let bad = [
        ("main", "one optional misc\n\ntwo optional\n", "line 3 is not \"package priority section [maintainer]\""),
        ("extra", "# extra\none SHA256 0\n", "line 2: \"SHA256\" cannot be overridden here"),
        ("main.src", "one misc\none misc optional\n", "line 2: \"misc\" is not a priority"),
    ];
    for (name, text, message) in bad {
        for (name, text) in good {
            sandbox.write(format!("archive/overrides/{name}"), text);
        }
        sandbox.write(format!("archive/overrides/{name}"), text);
        commit_all(&sandbox);
        sandbox.dists(&[]).exits(4).says(&format!("overrides/{name}")).says(message);
        assert!(!sandbox.public().join("dists/trixie/InRelease").exists());
    }
    sandbox.write("archive/overrides/main.src", "one misc\n");
    commit_all(&sandbox);
    sandbox.dists(&[]).ok();

    sandbox.git(&["rm", "--quiet", "overrides/extra"]).ok();
    sandbox.git(&["commit", "--quiet", "-m", "Lose a file"]).ok();
    sandbox.dists(&[]).exits(4).says("overrides/extra");
}
