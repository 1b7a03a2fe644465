//! Build outputs made by hand, good and bad, read as a whole.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::formats::artifact::specimens::{CONTROL, changes, deb, dsc, lists};
use crate::places::sign::gnupg::{Gpg, NOW};
use crate::words::digest::ExtraDigests;

const ORIG: (&str, &[u8]) = ("hello_1.0.orig.tar.gz", b"orig");
const DEBIAN: (&str, &[u8]) = ("hello_1.0-1.debian.tar.xz", b"debian");
const DEB: &str = "hello_1.0-1_amd64.deb";
const DSC: &str = "hello_1.0-1.dsc";
const CHANGES: &str = "hello_1.0-1_amd64.changes";
const BUILDINFO: &str = "hello_1.0-1_amd64.buildinfo";

struct Out(tempfile::TempDir);

impl Out {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A whole upload: package, source with its tarballs, .changes, .buildinfo and log.
    fn whole() -> Self {
        let out = Self::new();
        let (deb, dsc) = (deb(CONTROL), dsc("hello", "1.0-1", &[ORIG, DEBIAN]));
        let buildinfo = buildinfo("1.0-1", &[(DEB, &deb)]);
        let files: [(&str, &[u8]); 5] = [(DSC, dsc.as_bytes()), ORIG, DEBIAN, (DEB, &deb), (BUILDINFO, buildinfo.as_bytes())];
        for (name, bytes) in files {
            out.put(name, bytes);
        }
        out.put(CHANGES, changes("hello", "1.0-1", &files).as_bytes());
        out.put("hello_1.0-1_amd64.build", b"log");
        out
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn put(&self, name: &str, bytes: &[u8]) -> &Self {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    fn remove(&self, name: &str) -> &Self {
        fs::remove_file(self.path().join(name)).unwrap();
        self
    }

    /// Replaces text in a file.
    fn edit(&self, name: &str, from: &str, to: &str) -> &Self {
        let text = fs::read_to_string(self.path().join(name)).unwrap();
        assert!(text.contains(from), "{name} holds no {from}");
        self.put(name, text.replace(from, to).as_bytes())
    }

    fn read(&self) -> Result<BuildOutput, Problems> {
        self.read_with(ExtraDigests::default(), None)
    }

    fn read_with(&self, extra: ExtraDigests, uploaders: Option<&Uploaders>) -> Result<BuildOutput, Problems> {
        read(self.path(), &ReadOptions { extra, depth: Depth::Whole, uploaders, now: NOW, progress: None })
    }

    fn problems(&self) -> Vec<String> {
        lines(&self.read().unwrap_err())
    }
}

fn lines(problems: &Problems) -> Vec<String> {
    problems.to_string().lines().map(str::to_owned).collect()
}

fn buildinfo(version: &str, files: &[(&str, &[u8])]) -> String {
    let lists = lists(files, "");
    let checksums = lists.split("Files:").next().unwrap();
    format!("Format: 1.0\nSource: hello (1.0-1)\nArchitecture: amd64\nVersion: {version}\n{checksums}")
}

fn names<'a>(files: impl IntoIterator<Item = &'a OutputFile>) -> Vec<&'a str> {
    files.into_iter().map(|file| file.name.as_str()).collect()
}

#[test]
fn what_a_build_leaves_is_understood() {
    let out = Out::whole();
    out.put(".gitkeep", b"").put(".git/config", b"");
    let output = out.read().unwrap();
    assert_eq!(names(output.binaries.iter().map(|binary| &binary.file)), [DEB]);
    let binary = &output.binaries[0];
    assert_eq!((binary.binary.control.as_str(), binary.contents.paths().len()), (CONTROL, 2));
    assert_eq!(binary.file.path, out.path().join(DEB));
    assert_eq!(binary.file.facts, FileFacts::of(&fs::read(&binary.file.path).unwrap(), ExtraDigests::default()));
    let [source] = output.sources.as_slice() else { unreachable!("{:?}", output.sources) };
    assert_eq!((source.section.as_deref(), source.priority.as_deref()), (Some("devel"), Some("optional")));
    assert_eq!(names(source.parts.iter().map(|part| part.here.as_ref().unwrap())), [ORIG.0, DEBIAN.0]);
    let kinds: Vec<_> = output.evidence.iter().map(|evidence| (evidence.file.name.as_str(), evidence.kind)).collect();
    let log = ("hello_1.0-1_amd64.build", EvidenceKind::Log);
    assert_eq!(kinds, [log, (BUILDINFO, EvidenceKind::Buildinfo), (CHANGES, EvidenceKind::Changes)]);
    assert!(output.evidence.iter().all(|evidence| evidence.source.as_str() == "hello" && evidence.source_version.as_str() == "1.0-1"));
    assert_eq!(output.distributions, BTreeSet::from(["trixie".to_owned()]));
    assert!(output.signed_by.is_empty());
}

#[test]
fn folders_do_not_matter_and_the_same_file_may_stand_in_two() {
    let out = Out::whole();
    let flat = out.read().unwrap();
    fs::create_dir_all(out.path().join("sub/amd64")).unwrap();
    for name in [DEB, ORIG.0] {
        fs::copy(out.path().join(name), out.path().join("sub/amd64").join(name)).unwrap();
    }
    out.remove(ORIG.0);
    let nested = out.read().unwrap();
    assert_eq!(nested.binaries, flat.binaries);
    assert_eq!(nested.sources[0].parts[0].here.as_ref().unwrap().path, out.path().join("sub/amd64").join(ORIG.0));
    out.put("sub/other/hello_1.0.orig.tar.gz", b"0rig");
    assert_eq!(
        out.problems(),
        ["sub/other/hello_1.0.orig.tar.gz: holds other bytes than sub/amd64/hello_1.0.orig.tar.gz; keep one of them"]
    );
}

#[test]
fn extra_digests_are_returned_only_where_asked_for() {
    let out = Out::whole();
    let facts = |extra| out.read_with(extra, None).unwrap().binaries[0].file.facts.clone();
    let none = facts(ExtraDigests::default());
    assert_eq!((none.sha1, none.sha512), (None, None));
    let both = facts(ExtraDigests { sha1: true, sha512: true });
    assert!(both.sha1.is_some() && both.sha512.is_some());
}

#[test]
fn a_file_of_a_source_may_be_left_to_the_pool_but_not_one_of_a_changes() {
    let out = Out::new();
    out.put(DSC, dsc("hello", "1.0-1", &[ORIG, DEBIAN]).as_bytes()).put(DEBIAN.0, DEBIAN.1);
    let output = out.read().unwrap();
    let [orig, debian] = output.sources[0].parts.as_slice() else { unreachable!() };
    assert_eq!((orig.here.is_none(), orig.size, orig.sha256), (true, 4, Sha256::of(ORIG.1)));
    assert!(debian.here.is_some());
    assert_eq!(output.sources[0].section, None);
    out.put(CHANGES, changes("hello", "1.0-1", &[ORIG, DEBIAN]).as_bytes());
    assert_eq!(out.problems(), [format!("{CHANGES}: lists {}, which is not there", ORIG.0)]);
}

#[test]
fn each_bad_file_is_named_with_its_reason() {
    let check = |change: for<'a> fn(&'a Out) -> &'a Out, expected: &[&str]| {
        let out = Out::whole();
        change(&out);
        assert_eq!(out.problems(), expected);
    };
    check(
        |out| out.put(ORIG.0, b"orig!"),
        &[
            "hello_1.0.orig.tar.gz: has 5 bytes where 4 are listed in hello_1.0-1.dsc",
            "hello_1.0.orig.tar.gz: has 5 bytes where 4 are listed in hello_1.0-1_amd64.changes",
        ],
    );
    check(
        |out| out.put("notes.txt", b"x").put("strange name", b""),
        &[
            "notes.txt: is no package, description or log, and no .dsc here lists it; remove it, or add the .dsc that it belongs to",
            "strange name: \"strange name\" is not a valid file name: letters, digits and + - . _ ~ : = @ beginning with a letter or digit",
        ],
    );
    check(
        |out| out.edit(CHANGES, "Source: hello", "Source: hallo"),
        &[
            "hello_1.0-1.dsc: is of source hello 1.0-1, but listed in hello_1.0-1_amd64.changes of source hallo 1.0-1",
            "hello_1.0-1_amd64.buildinfo: is of source hello 1.0-1, but listed in hello_1.0-1_amd64.changes of source hallo 1.0-1",
            "hello_1.0-1_amd64.deb: is of source hello 1.0-1, but listed in hello_1.0-1_amd64.changes of source hallo 1.0-1",
        ],
    );
    check(|out| out.remove(CHANGES).edit(DSC, "Format:", "Formless:"), &["hello_1.0-1.dsc: the field Format is missing or empty"]);
    check(|out| out.remove(CHANGES).put(DSC, b"\xff"), &["hello_1.0-1.dsc: byte 0 is not UTF-8"]);
    check(|out| out.put("hello_2.log", b"log").put("other_1_amd64.deb", b"!<arch>\n"), &["other_1_amd64.deb: it has no debian-binary"]);
}

#[test]
fn a_digest_that_is_listed_is_compared_whichever_it_is() {
    for (field, algorithm) in [("Checksums-Sha1", "SHA-1"), ("Checksums-Sha256", "SHA-256"), ("Files", "MD5")] {
        let out = Out::whole();
        let text = fs::read_to_string(out.path().join(CHANGES)).unwrap();
        let (before, behind) = text.split_once(&format!("{field}:\n")).unwrap();
        // The first listed file is the .dsc.
        let digit = if behind.as_bytes()[1] == b'0' { '1' } else { '0' };
        out.put(CHANGES, format!("{before}{field}:\n {digit}{}", &behind[2..]).as_bytes());
        let problems = out.problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(&format!("{DSC}: has the {algorithm} digest ")), "{problems:?}");
    }
}

#[test]
fn all_problems_come_together_and_sorted() {
    let out = Out::whole();
    let deb = fs::read(out.path().join(DEB)).unwrap();
    out.put(DEB, &deb[..deb.len() - 1]).put("b.txt", b"").put("a.txt", b"").remove(ORIG.0);
    let problems = out.problems();
    let files: Vec<&str> = problems.iter().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(files, ["a.txt", "b.txt", CHANGES, DEB, DEB, DEB], "{problems:?}");
    assert!(problems[5].starts_with("hello_1.0-1_amd64.deb: it is cut off in "), "{problems:?}");
}

#[test]
fn links_and_devices_are_refused_and_never_waited_for() {
    let out = Out::whole();
    symlink("/etc/passwd", out.path().join("link_1_all.deb")).unwrap();
    symlink(".", out.path().join("folder")).unwrap();
    let fifo = |name: &str| assert!(std::process::Command::new("mkfifo").arg(out.path().join(name)).status().unwrap().success());
    fifo("fifo_1_all.deb");
    let socket = std::os::unix::net::UnixListener::bind(out.path().join("socket.dsc")).unwrap();
    assert_eq!(
        out.problems(),
        [
            "fifo_1_all.deb: is a device, fifo or socket, not a regular file; remove it",
            "folder: is a symbolic link; put the file itself there, or remove it",
            "link_1_all.deb: is a symbolic link; put the file itself there, or remove it",
            "socket.dsc: is a device, fifo or socket, not a regular file; remove it",
        ]
    );
    drop(socket);
}

#[test]
fn an_empty_folder_is_a_problem() {
    let out = Out::new();
    let expected = [".: holds no files; give the folder that the build wrote to"];
    assert_eq!(out.problems(), expected);
    out.put(".gitkeep", b"").put("sub/.hidden", b"");
    assert_eq!(out.problems(), expected);
    let missing = read(
        &out.path().join("missing"),
        &ReadOptions { extra: ExtraDigests::default(), depth: Depth::Whole, uploaders: None, now: NOW, progress: None },
    );
    assert_eq!(lines(&missing.unwrap_err()), [".: cannot be listed: No such file or directory (os error 2)"]);
}

#[test]
fn a_log_goes_to_the_source_in_its_name_else_to_the_only_one() {
    let out = Out::new();
    let other = CONTROL.replace("hello", "other").replace("1.0-1", "2:3-4");
    let rebuilt = CONTROL.replace("Version: 1.0-1", "Source: hello (1.0-1)\nVersion: 1.0-1+b1");
    out.put("hello_1.0-1+b1_amd64.deb", deb(&rebuilt).as_slice()).put("build.log", b"log");
    let sources = |out: &Out| -> Vec<String> {
        let logs = out.read().unwrap().evidence.into_iter().filter(|evidence| evidence.kind == EvidenceKind::Log);
        logs.map(|log| format!("{} {} {}", log.file.name, log.source, log.source_version)).collect()
    };
    assert_eq!(sources(&out), ["build.log hello 1.0-1"]);
    out.put("other_3-4_amd64.deb", deb(&other).as_slice());
    let problem = "is a log of an unknown build; begin its name with SOURCE_VERSION, or remove it";
    assert_eq!(out.problems(), [format!("build.log: {problem}")]);
    out.remove("build.log").put("hello_1.0-1.log.xz", b"").put("other_3-4_amd64-2026.build", b"").put("sub/other_3-4_all.build.gz", b"");
    assert_eq!(
        sources(&out),
        ["hello_1.0-1.log.xz hello 1.0-1", "other_3-4_amd64-2026.build other 2:3-4", "other_3-4_all.build.gz other 2:3-4"]
    );
    out.put("hello_1.0-10.log", b"");
    assert_eq!(out.problems(), [format!("hello_1.0-10.log: {problem}")]);
}

#[test]
fn a_log_of_a_rebuild_belongs_to_its_source() {
    let out = Out::new();
    let rebuilt = deb(&CONTROL.replace("Version: 1.0-1", "Source: hello (1.0-1)\nVersion: 1.0-1+b1"));
    let name = "hello_1.0-1+b1_amd64.deb";
    let upload = changes("hello", "1.0-1+b1", &[(name, &rebuilt)]).replace("Source: hello\n", "Source: hello (1.0-1)\n");
    out.put(name, &rebuilt).put("hello_1.0-1+b1_amd64.changes", upload.as_bytes()).put("hello_1.0-1+b1_amd64.build", b"");
    out.put("other_1_amd64.deb", &deb(&CONTROL.replace("hello", "other").replace("1.0-1", "1")));
    let output = out.read().unwrap();
    let log = output.evidence.iter().find(|evidence| evidence.kind == EvidenceKind::Log).unwrap();
    assert_eq!((log.source.as_str(), log.source_version.as_str()), ("hello", "1.0-1"));
}

#[test]
fn where_uploaders_are_named_everything_must_be_covered_by_a_signature() {
    let gpg = Gpg::new();
    let alice = gpg.key("alice <alice@example.org>", "ed25519", "sign", "1y");
    let mallory = gpg.key("mallory <mallory@example.org>", "ed25519", "sign", "1y");
    let uploaders = Uploaders::load(&[("alice.asc".to_owned(), gpg.public(&alice))]).unwrap();
    let sign = |out: &Out, name: &str, key: &str| {
        let text = fs::read(out.path().join(name)).unwrap();
        out.put(name, &gpg.clearsign(key, "SHA512", &text));
    };
    let read = |out: &Out| out.read_with(ExtraDigests::default(), Some(&uploaders));

    let out = Out::whole();
    let unsigned = lines(&read(&out).unwrap_err());
    assert_eq!(unsigned.len(), 1, "{unsigned:?}");
    assert!(unsigned[0].starts_with(&format!("{CHANGES}: it is not a clearsigned text")), "{unsigned:?}");
    sign(&out, CHANGES, &alice);
    let output = read(&out).unwrap();
    assert_eq!(output.signed_by, BTreeSet::from([alice.clone()]));
    assert!(out.read().unwrap().signed_by.is_empty(), "nobody asked for signatures");
    out.edit(CHANGES, "Urgency: medium", "Urgency: higher");
    assert_eq!(lines(&read(&out).unwrap_err()).len(), 1);

    let out = Out::whole();
    sign(&out, CHANGES, &mallory);
    let refused = lines(&read(&out).unwrap_err());
    assert!(refused.len() == 1 && refused[0].contains(&mallory), "{refused:?}");

    let out = Out::whole();
    sign(&out, CHANGES, &alice);
    out.put("other_1.0-1_amd64.deb", &deb(&CONTROL.replace("hello", "other")));
    let uncovered = "other_1.0-1_amd64.deb: is listed in no signed .changes, and this archive takes signed uploads only";
    assert_eq!(lines(&read(&out).unwrap_err()), [uncovered]);

    let out = Out::new();
    out.put(DSC, dsc("hello", "1.0-1", &[ORIG, DEBIAN]).as_bytes());
    let unsigned = lines(&read(&out).unwrap_err());
    assert!(unsigned.len() == 1 && unsigned[0].starts_with(DSC), "{unsigned:?}");
    sign(&out, DSC, &alice);
    let output = read(&out).unwrap();
    assert_eq!((output.signed_by, output.sources.len()), (BTreeSet::from([alice]), 1));
}

#[test]
fn the_answer_does_not_depend_on_the_number_of_threads() {
    let out = Out::whole();
    let read = |threads: usize| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| out.read().unwrap());
    assert_eq!(read(1), read(8));
    for number in 0..20 {
        out.put(&format!("sub/x{number}.txt"), b"");
    }
    let problems = |threads: usize| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| out.problems());
    assert_eq!(problems(1), problems(8));
}

#[test]
fn every_file_is_reported_as_progress_once() {
    let out = Out::whole();
    let seen = std::sync::Mutex::new(Vec::new());
    let progress = |name: &str, total: usize| seen.lock().unwrap().push((name.to_owned(), total));
    read(
        out.path(),
        &ReadOptions { extra: ExtraDigests::default(), depth: Depth::Whole, uploaders: None, now: NOW, progress: Some(&progress) },
    )
    .unwrap();
    let mut seen = seen.into_inner().unwrap();
    seen.sort();
    let files = [DEBIAN.0, DSC, "hello_1.0-1_amd64.build", BUILDINFO, CHANGES, DEB, ORIG.0];
    assert_eq!(seen, files.map(|name| (name.to_owned(), 7)));
}
