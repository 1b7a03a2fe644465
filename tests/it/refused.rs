//! Bad input through the real program: refused with the file's name and the reason, and the archive is as before.
//!
//! Every case is a good build output with one change; the good one is shown to be accepted.

mod debs;
mod lists;
mod signatures;

use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::path::{Path, PathBuf};

use super::sandbox::{Run, Sandbox, cache};
use super::specimens::{CONTROL, DEB, commit_by_hand, copy, deb, patch, write_source};

/// Longest time for one refusal in seconds.
const PATIENCE: &str = "30";

/// An archive that is watched: a refusal must leave it as it was.
struct Watched {
    sandbox: Sandbox,
    outs: std::cell::Cell<u32>,
}

impl Watched {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        sandbox.deploy(&["init", "archive", "--architecture", "amd64"]).ok();
        Self { sandbox, outs: std::cell::Cell::new(0) }
    }

    /// Returns a new build output with these files.
    fn out(&self, files: &[(&str, &[u8])]) -> PathBuf {
        self.outs.set(self.outs.get() + 1);
        let out = self.sandbox.path(format!("out-{}", self.outs.get()));
        std::fs::create_dir(&out).unwrap();
        for (name, bytes) in files {
            std::fs::write(out.join(name), bytes).unwrap();
        }
        out
    }

    /// Returns a new build output with the files of a real one.
    fn copy_of(&self, real: &str) -> PathBuf {
        let out = self.out(&[]);
        copy(&cache(real), &out);
        out
    }

    /// Everything that a refusal may not change: branches, what `git status` says, and every file below `.git/lfs`.
    fn state(&self) -> String {
        let mut state = self.sandbox.git(&["for-each-ref"]).ok().out;
        state += &self.sandbox.git(&["status", "--porcelain"]).ok().out;
        state += &self.sandbox.run("find", &["archive/.git/lfs", "archive/pool", "archive/suites", "-type", "f"]).out;
        state
    }

    fn run(&self, out: &Path, more: &[&str]) -> Run {
        let mut arguments = vec![PATIENCE, env!("CARGO_BIN_EXE_ddb-deploy"), "-C", "archive", "commit", out.to_str().unwrap()];
        arguments.extend(more);
        self.sandbox.run("timeout", &arguments)
    }

    #[track_caller]
    fn accepts(&self, out: &Path) {
        let run = self.run(out, &["--dry-run"]).ok();
        assert!(run.out.contains("would land"), "{}{}", run.out, run.err);
    }

    /// Expects this exit code, lines that begin with a file's name and hold a reason, and an archive as before.
    #[track_caller]
    fn refuses_with(&self, code: i32, out: &Path, more: &[&str], expected: &[(&str, &str)]) -> Run {
        let before = self.state();
        let run = self.run(out, more).exits(code);
        for (file, reason) in expected {
            let said =
                run.err.lines().any(|line| line.split_once(": ").is_some_and(|(name, rest)| name.ends_with(file) && rest.contains(reason)));
            assert!(said, "no line \"{file}: {reason}\" in\n{}", run.err);
        }
        assert_eq!(self.state(), before, "the refusal changed the archive");
        run
    }

    #[track_caller]
    fn refuses(&self, out: &Path, expected: &[(&str, &str)]) -> Run {
        let run = self.refuses_with(3, out, &[], expected);
        assert!(run.err.contains("nothing was committed"), "{}", run.err);
        run
    }

    /// Refuses a build output of one file.
    #[track_caller]
    fn refuses_file(&self, name: &str, bytes: &[u8], reason: &str) {
        let run = self.refuses(&self.out(&[(name, bytes)]), &[(name, reason)]);
        assert!(run.err.contains("1 problem of"), "one fault is one problem: {}", run.err);
    }
}

#[test]
fn links_devices_and_fifos_among_the_build_output_are_refused_without_opening_them() {
    let archive = Watched::new();
    let good = deb(CONTROL);
    archive.accepts(&archive.out(&[(DEB, &good)]));
    let outside = archive.sandbox.write(format!("elsewhere/{DEB}"), &good);
    let other = "other_1_amd64.deb";

    let out = archive.out(&[(DEB, &good)]);
    symlink(&outside, out.join("link_1_amd64.deb")).unwrap();
    symlink("/dev/zero", out.join(other)).unwrap();
    symlink(outside.parent().unwrap(), out.join("folder")).unwrap();
    archive.refuses(&out, &[("link_1_amd64.deb", "link"), (other, "link"), ("folder", "link")]);

    for name in [other, "other_1.dsc", "other_1_amd64.changes", "other_1_amd64.buildinfo", "other_1.tar.xz", "notes"] {
        let out = archive.out(&[(DEB, &good)]);
        archive.sandbox.run("mkfifo", &[out.join(name).to_str().unwrap()]).ok();
        archive.refuses(&out, &[(name, "fifo")]);
    }

    let out = archive.out(&[(DEB, &good)]);
    let _socket = std::os::unix::net::UnixListener::bind(out.join("s")).unwrap();
    archive.refuses(&out, &[("s", "socket")]);

    let out = archive.out(&[(DEB, &good)]);
    let device = out.join(other);
    // Only root can make one, and not in every container.
    if archive.sandbox.run("mknod", &[device.to_str().unwrap(), "c", "1", "5"]).code == 0 {
        assert!(device.metadata().unwrap().file_type().is_char_device());
        archive.refuses(&out, &[(other, "device")]);
    }
}

#[test]
fn an_unknown_suite_component_or_architecture_is_refused_with_a_remedy() {
    let archive = Watched::new();
    let good = archive.out(&[(DEB, &deb(CONTROL))]);
    archive.accepts(&good);
    let run = archive.refuses_with(4, &good, &["--suite", "nosuch"], &[]);
    assert!(run.err.contains("nosuch") && run.err.contains("trixie"), "{}", run.err);
    let run = archive.refuses_with(4, &good, &["--suite", "../x"], &[]);
    assert!(run.err.contains("../x"), "{}", run.err);
    let contrib = archive.out(&[(DEB, &deb(CONTROL.replace("Section: devel", "Section: contrib/devel")))]);
    archive.refuses(&contrib, &[(DEB, "add \"contrib\" to suites.trixie.components")]);
    let arm64 = CONTROL.replace("amd64", "arm64");
    let foreign = archive.out(&[("hello_1.0-1_arm64.deb", &deb(&arm64))]);
    archive.refuses(&foreign, &[("hello_1.0-1_arm64.deb", "add \"arm64\" to suites.trixie.architectures")]);
    // A suite that does not have `all` has no place for such packages.
    let toml = archive.sandbox.archive().join("ddb.toml");
    patch(&toml, "\"amd64\", \"all\"", "\"amd64\", \"arm64\"");
    patch(&toml, "[\"main\"]", "[\"main\", \"contrib\"]");
    commit_by_hand(&archive.sandbox, "Add an architecture and a component.");
    archive.accepts(&contrib);
    archive.accepts(&foreign);
}

#[test]
fn a_build_output_that_is_empty_missing_or_no_folder_is_refused() {
    let archive = Watched::new();
    let empty = archive.out(&[]);
    archive.refuses_with(3, &empty, &[], &[]);
    std::fs::create_dir_all(empty.join("a/b")).unwrap();
    archive.refuses_with(3, &empty, &[], &[]);
    let missing = archive.sandbox.path("nowhere");
    let run = archive.refuses_with(3, &missing, &[], &[]);
    assert!(run.err.contains("nowhere"), "{}", run.err);
    let file = archive.sandbox.write(DEB, deb(CONTROL));
    let run = archive.refuses_with(3, &file, &[], &[]);
    assert!(run.err.contains(DEB), "{}", run.err);
    // Logs alone belong to nothing.
    archive.refuses_with(3, &archive.out(&[("hello_1.0-1_amd64.build", b"log\n")]), &[], &[]);
}

#[test]
fn several_problems_are_reported_together_and_good_files_beside_them_do_not_land() {
    let archive = Watched::new();
    let files: &[(&str, &[u8])] = &[
        (DEB, &deb(CONTROL)),
        ("cut_1_amd64.deb", b"!<arch>\n"),
        ("text_1_amd64.deb", b"hello\n"),
        ("wrong_1_amd64.deb", &deb(CONTROL)),
        ("lost_1.dsc", b"Format: 3.0 (native)\n"),
        ("lost_1_amd64.changes", b"Format: 1.8\n"),
    ];
    let out = archive.out(files);
    symlink("/etc/passwd", out.join("link_1_amd64.deb")).unwrap();
    let bad = files[1..].iter().map(|(name, _)| *name).chain(["link_1_amd64.deb"]);
    let expected: Vec<(&str, &str)> = bad.map(|name| (name, "")).collect();
    let run = archive.refuses(&out, &expected);
    assert!(run.err.contains("6 problems of"), "{}", run.err);
    assert!(!run.err.lines().any(|line| line.starts_with(&format!("{DEB}:"))), "{}", run.err);
    let json = archive.run(&out, &["--json"]).exits(3).json();
    assert_eq!(json["problems"].as_array().unwrap().len(), 6, "{json}");
    assert_eq!(json["exit_code"], 3);
    archive.accepts(&archive.out(&files[..1]));
}

#[test]
fn a_job_that_built_something_else_than_it_says_is_refused() {
    let mut archive = Watched::new();
    let out = archive.out(&[(DEB, &deb(CONTROL))]);
    for (package, version, code) in
        [("hello", "1.0-1", 0), ("hello", "", 0), ("", "", 0), ("hallo", "1.0-1", 3), ("hello", "1.0-2", 3), ("other", "9", 3)]
    {
        archive.sandbox.environment.insert("PACKAGE".to_owned(), package.to_owned());
        archive.sandbox.environment.insert("VERSION".to_owned(), version.to_owned());
        if code == 0 {
            archive.accepts(&out);
            continue;
        }
        let wrong = if package == "hello" { format!("VERSION={version}") } else { format!("PACKAGE={package}") };
        let run = archive.refuses_with(3, &out, &[], &[]);
        assert!(run.err.contains(&wrong), "{}", run.err);
    }
}

#[test]
fn other_bytes_under_a_name_that_is_taken_are_refused_with_both_digests() {
    let archive = Watched::new();
    archive.run(&archive.out(&[(DEB, &deb(CONTROL))]), &[]).ok();
    let other = archive.out(&[(DEB, &deb(CONTROL.replace("says hello", "says hallo")))]);
    let run = archive.refuses_with(5, &other, &[], &[("pool/main/h/hello/hello_1.0-1_amd64.deb", "with other bytes")]);
    for file in [other.join(DEB), archive.sandbox.path(format!("out-1/{DEB}"))] {
        let digest = archive.sandbox.run("sha256sum", &[file.to_str().unwrap()]).ok().out;
        assert!(run.err.contains(digest.split(' ').next().unwrap()), "{}", run.err);
    }
    // Two files of one name in one build output are a conflict as well, unless they are the same.
    let twice = archive.out(&[]);
    for folder in ["a", "b"] {
        std::fs::create_dir(twice.join(folder)).unwrap();
        std::fs::write(twice.join(folder).join(DEB), deb(CONTROL.replace("Long", folder))).unwrap();
    }
    archive.refuses(&twice, &[(DEB, "")]);
    std::fs::copy(archive.sandbox.path(format!("out-1/{DEB}")), twice.join("a").join(DEB)).unwrap();
    std::fs::copy(archive.sandbox.path(format!("out-1/{DEB}")), twice.join("b").join(DEB)).unwrap();
    archive.run(&twice, &[]).ok();
}

#[test]
fn records_and_pointers_that_disagree_after_a_hand_edit_are_refused_by_dists_which_names_both() {
    let sandbox = Sandbox::with_archive();
    sandbox.deb("out", "hello", "1.0-1", "amd64", "");
    write_source(&sandbox.path("out"), "hello", "1.0-1");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    let good = sandbox.git(&["rev-parse", "HEAD"]).ok().out.trim().to_owned();
    let published = std::fs::read(sandbox.public().join("dists/trixie/InRelease")).unwrap();
    let record = "suites/trixie/main/binary-amd64/h/hello/hello_1.0-1";
    let source = "suites/trixie/main/source/h/hello/hello_1.0-1";
    let pointer = "pool/main/h/hello/hello_1.0-1_amd64.deb";
    let tarball = "pool/main/h/hello/hello_1.0-1.tar.gz";
    let file = |path: &str| sandbox.archive().join(path);
    let check = |what: &dyn Fn(), named: &[&str]| {
        what();
        commit_by_hand(&sandbox, "Edit by hand.");
        let run = sandbox.dists(&[]).exits(4);
        let fsck = sandbox.deploy(&["-C", "archive", "fsck"]).exits(8);
        for name in named {
            assert!(run.err.contains(name), "{name} is not named:\n{}", run.err);
            assert!(fsck.out.contains(name), "{name} is not named:\n{}", fsck.out);
        }
        assert_eq!(std::fs::read(sandbox.public().join("dists/trixie/InRelease")).unwrap(), published);
        sandbox.git(&["reset", "-q", "--hard", &good]).ok();
        sandbox.deploy(&["-C", "archive", "fsck"]).ok();
    };
    let pointer_digit = || {
        let text = std::fs::read_to_string(file(pointer)).unwrap();
        let at = text.find("sha256:").unwrap() + 7;
        let digit = if &text[at..=at] == "0" { "1" } else { "0" };
        std::fs::write(file(pointer), format!("{}{digit}{}", &text[..at], &text[at + 1..])).unwrap();
    };
    check(&pointer_digit, &[record, pointer]);
    check(&|| patch(&file(pointer), "size ", "size 1"), &[record, pointer]);
    check(&|| std::fs::remove_file(file(pointer)).unwrap(), &[record, pointer]);
    check(&|| std::fs::remove_file(file(tarball)).unwrap(), &[source, tarball]);
    check(&|| std::fs::write(file(pointer), "not a pointer\n").unwrap(), &[record, pointer]);
    check(&|| patch(&file(record), "Size: ", "Size: 1"), &[record, pointer]);
    check(&|| patch(&file(record), "Version: 1.0-1", "Version: 1.0-2"), &[record]);
    check(&|| patch(&file(record), "Package: hello", "Package: evil"), &[record]);
    check(&|| patch(&file(record), "Filename: pool/main/h/hello", "Filename: pool/main/h/hallo"), &[record]);
    check(&|| patch(&file(record), "Filename: pool/", "Filename: ../"), &[record]);
    check(&|| patch(&file(record), "Package: hello\n", "Package: hello\n\n"), &[record]);
    check(
        &|| std::fs::write(file("suites/trixie/main/binary-amd64/h/hello/stranger"), "x\n").unwrap(),
        &["suites/trixie/main/binary-amd64/h/hello/stranger"],
    );
    check(&|| symlink("/etc/passwd", file("suites/trixie/main/binary-amd64/h/hello/evil_1")).unwrap(), &["evil_1"]);
    let run = sandbox.dists(&[]).ok();
    assert!(run.out.contains("nothing changed"), "{}", run.out);
}
