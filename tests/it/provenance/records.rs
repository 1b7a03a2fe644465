//! Records that do not say what their packages say, under envelopes that are good; and names that belong to other sources.

use ddb::formats::inbox::Parked;
use ddb::formats::manifest::{self, Manifest};
use ddb::formats::sealed::{Purpose, Sealed};
use ddb::formats::statement::Statement;
use ddb::places::sign::seal::Sealer;
use ddb::words::date::Timestamp;

use super::flows::require;
use super::*;
use crate::shared::Shared;
use crate::specimens::{Gpg, configure, write_source};

/// Lets one statement of the inbox say something else, as whoever may write there can.
fn forge(shared: &Shared, change: impl FnOnce(&mut Statement)) {
    let branches = shared.branches();
    let branch = branches.iter().find(|name| name.starts_with("ddb/inbox/")).unwrap_or_else(|| panic!("{branches:?}"));
    let text = shared.server.git(&shared.sandbox, &["show", &format!("{branch}:statement")]).ok().out;
    let honest = Parked::of(&Sealed::decode(Purpose::Statement, text.as_bytes()).unwrap()).unwrap();
    let mut forged = honest.clone();
    change(&mut forged.statement);
    assert_ne!(forged, honest, "the forgery changes nothing");
    shared.sandbox.git(&["push", "-q", "origin", &format!(":refs/heads/{branch}")]).ok();
    park(shared, &forged);
}

fn park(shared: &Shared, parked: &Parked) {
    shared.sandbox.write("forged", parked.sealed().unwrap().encode());
    let script = format!(
        "cd archive && blob=$(git hash-object -w ../forged) && tree=$(printf '100644 blob %s\\tstatement\\n' $blob | git mktree) && \
         commit=$(git commit-tree -m Park $tree) && git push -q origin $commit:{}",
        parked.inbox_branch()
    );
    shared.sandbox.run("bash", &["-c", &script]).ok();
}

/// Lands the inbox and returns why its only statement was rejected; empty where it was not.
fn land(shared: &Shared) -> String {
    let landed = shared.sandbox.deploy(&["-C", "archive", "inbox", "land", "--json"]).ok().json();
    assert_eq!(landed["verdicts"].as_array().unwrap().len(), 1, "{landed}");
    landed["verdicts"][0]["rejected"].as_str().unwrap_or_default().to_owned()
}

type Change = Box<dyn Fn(&mut Statement)>;

/// Lets the record of the package say something else.
fn reword(statement: &mut Statement, from: &str, to: &str) {
    let record = &mut statement.builds[0].binaries[0].record;
    assert!(record.contains(from), "{record}");
    *record = record.replace(from, to);
}

/// An archive with an inbox that requires provenance, and a job of GitLab with its key.
fn shared() -> Shared {
    let mut shared = Shared::with_inbox();
    let key = ssh_key(&shared.sandbox, "ed");
    require(&shared.sandbox, "");
    shared.sandbox.git(&["push", "-q", "origin", "main"]).ok();
    in_gitlab(&mut shared.sandbox, "main");
    give_key(&mut shared.sandbox, &key);
    shared
}

#[test]
fn a_parked_record_must_say_what_its_package_says() {
    let mut shared = shared();
    shared.sandbox.deb("out", "hello", "1", "amd64", "Depends: good\n");
    let changes: Vec<(Change, &str)> = vec![
        (Box::new(|said| reword(said, "Depends: good", "Depends: evil")), "its Depends is \"evil\", that of the package is \"good\""),
        (Box::new(|said| reword(said, "Depends: good\n", "")), "it lacks the field Depends"),
        (Box::new(|said| reword(said, "Priority:", "Essential: yes\nPriority:")), "it has the field Essential"),
        (Box::new(|said| reword(said, "\nSection: misc\nPriority: optional", "\nPriority: optional\nSection: misc")), "another order"),
        (
            Box::new(|said| {
                reword(said, "Version: 1\n", "Version: 9\n");
                said.builds[0].version = "9".parse().unwrap();
                said.builds[0].binaries[0].version = "9".parse().unwrap();
            }),
            "calls its source hello 1, and it is hello 9",
        ),
        (
            Box::new(|said| {
                let binary = &mut said.builds[0].binaries[0];
                binary.file.path = "pool/main/h/hello/hello_9_amd64.deb".parse().unwrap();
                reword(said, "hello_1_amd64.deb", "hello_9_amd64.deb");
            }),
            "calls this file hello_1_amd64.deb, and it is hello_9_amd64.deb",
        ),
        (
            // What the package does not say counts for no version.
            Box::new(|said| {
                let build = &mut said.builds[0];
                build.version = "9".parse().unwrap();
                build.binaries[0].record.push_str("Source: hello (9)\n");
            }),
            "hello_1_amd64.deb: Source stands behind Filename",
        ),
        (
            Box::new(|said| {
                let facts = &mut said.builds[0].binaries[0].file.facts;
                let (md5, other) = (facts.md5.to_string(), "0".repeat(32));
                facts.md5 = other.parse().unwrap();
                reword(said, &md5, &other);
            }),
            "one of its digests beside SHA256 is not that of the file",
        ),
    ];
    for (change, reason) in &changes {
        shared.deploy("a", "out", &["--park", "--wait", "0s"]).exits(12);
        forge(&shared, change);
        let said = land(&shared);
        assert!(said.contains(reason) && said.contains(".deb: "), "{reason}: {said}");
        assert_eq!(shared.offered(), [""; 0]);
    }
    shared.deploy("honest", "out", &[]).ok();
    shared.sandbox.deb("next", "hello", "2", "amd64", "");
    assert_eq!(shared.offered(), ["hello_1"]);
    // A record without provenance inherits that of the honest one only where both say the same of the package.
    shared.deploy("b", "next", &["--park", "--wait", "0s"]).exits(12);
    let text = shared.server.git(&shared.sandbox, &["show", "main:suites/trixie/main/binary-amd64/h/hello/hello_1"]).ok().out;
    forge(&shared, |said| {
        let (build, bare) = (&mut said.builds[0], ddb::formats::suite::record::without_provenance(&text).0);
        let deb = std::fs::read(shared.sandbox.path("out/hello_1_amd64.deb")).unwrap();
        build.version = "1".parse().unwrap();
        build.provenance.clear();
        let binary = &mut build.binaries[0];
        binary.version = "1".parse().unwrap();
        binary.file.path = "pool/main/h/hello/hello_1_amd64.deb".parse().unwrap();
        binary.file.facts = ddb::words::digest::FileFacts::of(&deb, ddb::words::digest::ExtraDigests::default());
        binary.record = bare.replace("Depends: good", "Depends: evil");
    });
    let said = land(&shared);
    assert!(said.contains("hello_1_amd64.deb: the suite requires provenance, and it has none"), "{said}");
    // What is honest lands.
    shared.deploy("b", "next", &["--park", "--wait", "0s"]).exits(12);
    assert_eq!(land(&shared), "");
    outside(&mut shared.sandbox);
    shared.sandbox.dists(&[]).ok();
    assert_eq!(shared.offered(), ["hello_2"]);
}

#[test]
fn a_parked_source_must_be_what_its_dsc_says() {
    let shared = shared();
    write_source(&shared.sandbox.path("out"), "hello", "1");
    let park = || shared.deploy("a", "out", &["--park", "--wait", "0s"]).exits(12);
    park();
    forge(&shared, |said| {
        let source = said.builds[0].source_package.as_mut().unwrap();
        source.record = source.record.replace("Binary: hello", "Binary: hello, evil");
    });
    let said = land(&shared);
    assert!(said.contains("hello_1.dsc: ") && said.contains("its Binary is \"hello, evil\", that of the package is \"hello\""), "{said}");
    // Another tarball, named in the record and in the statement alike.
    let tarball = b"another tarball";
    let digest = Sha256::of(tarball).to_hex();
    let store = shared.sandbox.path(format!("objects/{}/{}/{digest}", &digest[..2], &digest[2..4]));
    std::fs::create_dir_all(store.parent().unwrap()).unwrap();
    std::fs::write(store, tarball).unwrap();
    park();
    let swap = |said: &mut Statement, record: bool| {
        let source = said.builds[0].source_package.as_mut().unwrap();
        let (old, size) = (source.parts[0].sha256.to_hex(), source.parts[0].size);
        (source.parts[0].sha256, source.parts[0].size) = (Sha256::of(tarball), tarball.len() as u64);
        if record {
            let (from, to) = (format!("{old} {size} hello_1.tar.gz"), format!("{digest} {} hello_1.tar.gz", tarball.len()));
            assert!(source.record.contains(&from), "{}", source.record);
            source.record = source.record.replace(&from, &to);
        }
    };
    forge(&shared, |said| swap(said, true));
    let said = land(&shared);
    assert!(said.contains("hello_1.dsc: ") && said.contains("its Checksums-Sha256 is"), "{said}");
    park();
    forge(&shared, |said| swap(said, false));
    let said = land(&shared);
    assert!(said.contains("are not those of its Checksums-Sha256"), "{said}");
    park();
    assert_eq!(land(&shared), "");
}

#[test]
fn a_signed_manifest_must_say_what_its_packages_say_and_its_key_signs_nothing_unread() {
    let mut sandbox = Sandbox::with_archive();
    configure(&sandbox, "", "[store]\npath = \"../objects\"");
    let gpg = Gpg::new();
    let alice = gpg.key("alice", "ed25519", "sign", "1y", "");
    sandbox.write("archive/keys/uploaders/alice.asc", gpg.public(&alice));
    let key = ssh_key(&sandbox, "ed");
    require(&sandbox, "uploaders = [\"keys/uploaders\"]");
    sandbox.deb("raw", "hello", "1", "amd64", "Depends: good\n");
    let secret = String::from_utf8(gpg.secret(&alice, "")).unwrap();
    sandbox.environment.insert("DDB_UPLOADER_KEY".to_owned(), secret.clone());
    in_gitlab(&mut sandbox, "main");
    sandbox.deploy(&["-C", "archive", "upload", "raw", "--to", "unsigned"]).ok();
    give_key(&mut sandbox, &key);
    sandbox.deploy(&["-C", "archive", "upload", "raw", "--to", "sent"]).ok();
    // A key that would sign what nobody here has read is no good to anybody.
    sandbox.commit("unsigned", &["--verify=head"]).exits(4).says("--verify=head reads no files").says("hello_1_amd64.deb");
    // The holder of the uploader's key signs another manifest.
    let name = |sandbox: &Sandbox| {
        let names = std::fs::read_dir(sandbox.path("sent")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.into_iter().find(|name| name.starts_with(manifest::NAME)).unwrap()
    };
    let honest = name(&sandbox);
    let bytes = std::fs::read(sandbox.path(format!("sent/{honest}"))).unwrap();
    let (mut forged, _) = Manifest::read(&honest, &bytes).unwrap();
    let record = &mut forged.statement.builds[0].binaries[0].record;
    *record = record.replace("Depends: good", "Depends: evil");
    let now = Timestamp(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64);
    let sealer = Sealer::read(Some(("key", secret.as_bytes())), None, &[], now).unwrap().unwrap();
    let sealed = sealer.seal(forged.seal().unwrap(), now).unwrap();
    std::fs::remove_file(sandbox.path(format!("sent/{honest}"))).unwrap();
    let lie = manifest::file_name(&sealed);
    sandbox.write(format!("sent/{lie}"), sealed.encode());
    sandbox.commit("sent", &["--verify=head"]).exits(3).says("hello_1_amd64.deb: ").says("its Depends is \"evil\"");
    std::fs::remove_file(sandbox.path(format!("sent/{lie}"))).unwrap();
    sandbox.write(format!("sent/{honest}"), bytes);
    let answer = sandbox.commit("sent", &["--verify=head", "--json"]).ok().json();
    assert!(answer["uploads"]["not_checked"][0].as_str().unwrap().starts_with("the bytes of files that are no package"), "{answer}");
    sandbox.dists(&[]).ok();
}

/// An archive whose projects bring hello and glibc, and deploys signed by the key of one.
fn two_projects(more: &str) -> Sandbox {
    let sandbox = Sandbox::with_archive();
    for name in ["hello", "glibc"] {
        pem_key(&sandbox, name);
    }
    policy(&sandbox, &(pinned(&[("debian/glibc", "glibc", "glibc"), ("debian/hello", "hello", "hello")], "") + more));
    sandbox
}

fn deploy(sandbox: &Sandbox, key: &str, out: &str) -> Run {
    let key = sandbox.path(format!("{key}.pem")).display().to_string();
    sandbox.commit(out, &["--provenance-key-file", &key, "--builder", "https://runner.example/1"])
}

#[test]
fn a_project_may_not_take_the_name_of_another_ones_package() {
    let sandbox = two_projects("");
    sandbox.deb("glibc", "libc6", "2", "amd64", "Source: glibc\n");
    deploy(&sandbox, "glibc", "glibc").ok();
    sandbox.deb("evil", "libc6", "9", "amd64", "Source: hello\n");
    let said = "libc6_9_amd64.deb: the suite has libc6 from the source glibc, which is not among the sources of the project debian/hello";
    deploy(&sandbox, "hello", "evil").exits(3).says(said);
    // A new name is free, and stays with who has it.
    sandbox.deb("new", "libhello", "1", "amd64", "Source: hello\n");
    deploy(&sandbox, "hello", "new").ok();
    sandbox.deb("newer", "libhello", "2", "amd64", "Source: hello\n");
    deploy(&sandbox, "hello", "newer").ok();
    sandbox.deb("back", "libhello", "3", "amd64", "Source: glibc\n");
    deploy(&sandbox, "glibc", "back").exits(3).says("the suite has libhello from the source hello");
    // A project that lists its packages may take one over, and has no others.
    policy(&sandbox, &(pinned(&[("debian/glibc", "glibc", "glibc"), ("debian/hello", "hello", "hello")], "") + "packages = [\"libc6\"]\n"));
    deploy(&sandbox, "hello", "evil").ok();
    sandbox.deb("other", "other", "10", "amd64", "Source: hello\n");
    deploy(&sandbox, "hello", "other").exits(3).says("other is not among the `packages` of the project debian/hello");
}

#[test]
fn names_are_asked_of_a_remote_too() {
    let mut shared = Shared::new("");
    let sandbox = &shared.sandbox;
    let keys = ["hello", "glibc"].map(|name| pem_key(sandbox, name));
    let front =
        pinned(&[("debian/glibc", "glibc", "glibc"), ("debian/hello", "hello", "hello")], "").replace("require-provenance = true\n", "");
    require(sandbox, "");
    let file = sandbox.archive().join("ddb.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.split("[provenance.projects.all]").next().unwrap().to_owned() + &front).unwrap();
    commit_by_hand(sandbox, "Two projects.");
    sandbox.git(&["push", "-q", "origin", "main"]).ok();
    sandbox.deb("glibc", "libc6", "2", "amd64", "Source: glibc\n");
    sandbox.deb("evil", "libc6", "9", "amd64", "Source: hello\n");
    in_gitlab(&mut shared.sandbox, "main");
    give_key(&mut shared.sandbox, &keys[1]);
    shared.deploy("a", "glibc", &[]).ok();
    give_key(&mut shared.sandbox, &keys[0]);
    shared.deploy("b", "evil", &[]).exits(3).says("the suite has libc6 from the source glibc");
    assert_eq!(shared.offered(), ["libc6_2"]);
}

#[test]
fn what_another_suite_did_not_ask_is_asked_when_it_is_promoted() {
    let sandbox = two_projects("[suites.sid]\narchitectures = [\"amd64\"]\n");
    let to = |out: &str, key: &str| {
        let key = sandbox.path(format!("{key}.pem")).display().to_string();
        sandbox.commit(out, &["--suite", "sid", "--provenance-key-file", &key, "--builder", "https://runner.example/1"]).ok();
    };
    sandbox.deb("glibc", "libc6", "2", "amd64", "Source: glibc\n");
    to("glibc", "glibc");
    sandbox.publish(&["-C", "archive", "promote", "sid", "trixie", "glibc"]).ok();
    sandbox.deb("hello", "hello", "1", "amd64", "Depends: good\n");
    to("hello", "hello");
    let path = "suites/sid/main/binary-amd64/h/hello/hello_1";
    let honest = std::fs::read_to_string(sandbox.archive().join(path)).unwrap();
    sandbox.write(format!("archive/{path}"), honest.replace("Depends: good", "Depends: evil"));
    commit_by_hand(&sandbox, "Say something else.");
    let promote = |what: &str| sandbox.publish(&["-C", "archive", "promote", "sid", "trixie", what]);
    for what in ["hello", "--all"] {
        promote(what).exits(4).says("hello_1: ").says("its Depends is \"evil\", that of the package is \"good\"");
    }
    let found = sandbox.deploy(&["-C", "archive", "fsck", "--full"]).exits(8).out;
    assert!(found.contains("its Depends is \"evil\""), "{found}");
    sandbox.git(&["revert", "--no-edit", "HEAD"]).ok();
    promote("hello").ok();
    sandbox.deb("evil", "libc6", "9", "amd64", "Source: hello\n");
    to("evil", "hello");
    promote("hello").exits(4).says("the suite has libc6 from the source glibc");
    promote("--all").exits(4).says("the suite has libc6 from the source glibc");
}

#[test]
fn provenance_comes_back_with_an_older_state() {
    let sandbox = two_projects("");
    sandbox.deb("one", "hello", "1", "amd64", "");
    deploy(&sandbox, "hello", "one").ok();
    sandbox.dists(&[]).ok();
    let envelope = "pool/main/h/hello/hello_1_amd64.intoto.json";
    let object = named(&sandbox, "Provenance");
    sandbox.deb("two", "hello", "2", "amd64", "");
    deploy(&sandbox, "hello", "two").ok();
    let pool = ["pool/main/h/hello/hello_1_amd64.deb", envelope];
    sandbox.git(&[&["rm", "-q"], &pool[..]].concat()).ok();
    sandbox.git(&["commit", "-q", "-m", "Clean up"]).ok();
    sandbox.dists(&[]).ok();
    let answer = sandbox.publish(&["-C", "archive", "promote", "trixie@1", "trixie", "--all", "--json"]).ok().json();
    assert_eq!(answer["restored"], json!(pool), "{answer}");
    assert_eq!(named(&sandbox, "Provenance"), object);
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn a_package_may_not_name_provenance_itself() {
    let sandbox = Sandbox::with_archive();
    for field in ["Provenance", "Provenance-Claims", "provenance"] {
        sandbox.deb("out", "hello", "1", "amd64", &format!("{field}: {} 1\n", "0".repeat(64)));
        sandbox.commit("out", &[]).exits(3).says("hello_1_amd64.deb: ").says(field);
    }
}
