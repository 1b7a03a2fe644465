//! Contents as people use them: `apt-file` of Debian finds files in them, and they say what dpkg-deb and Debian's own archive say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::client::Apt;
use crate::sandbox::{Sandbox, cache};
use crate::server::Server;

/// Adds lines to the suite and commits ddb.toml.
fn configure(sandbox: &Sandbox, more: &str) {
    let path = sandbox.archive().join("ddb.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("components =", &format!("{more}components ="), 1)).unwrap();
    sandbox.git(&["commit", "-q", "-a", "-m", "Configure."]).ok();
}

fn archive(more: &str) -> Sandbox {
    let sandbox = Sandbox::with_archive_at("2026-09-01T00:00:00Z");
    if !more.is_empty() {
        configure(&sandbox, more);
    }
    sandbox
}

/// The text of an index, which stock gzip can read.
fn contents(sandbox: &Sandbox, name: &str) -> String {
    let path = sandbox.public().join(format!("dists/trixie/main/Contents-{name}.gz"));
    sandbox.run("gzip", &["-t", path.to_str().unwrap()]).ok();
    sandbox.run("gzip", &["-dc", path.to_str().unwrap()]).ok().out
}

/// The lines of an index: path and packages.
fn lines(text: &str) -> BTreeMap<String, String> {
    let line = |line: &str| {
        let (path, packages) = line.rsplit_once(' ').unwrap();
        (path.trim_end().to_owned(), packages.to_owned())
    };
    text.lines().map(line).collect()
}

/// What a package installs, by dpkg-deb and tar.
fn installed(sandbox: &Sandbox, deb: &Path) -> BTreeSet<String> {
    let script = "dpkg-deb --fsys-tarfile \"$1\" | tar -t --quoting-style=literal";
    let run = sandbox.run("sh", &["-c", script, "sh", deb.to_str().unwrap()]).ok();
    let files = run.out.lines().filter(|path| !path.ends_with('/')).map(|path| path.trim_start_matches("./").to_owned());
    files.collect()
}

/// Removes every block and every file list.
const LOSE: &str = "find archive/.git -type d '(' -name blocks-v1 -o -name file-lists-v1 ')' -prune -exec rm -rf {} +";

fn derived(sandbox: &Sandbox) -> std::path::PathBuf {
    let found = sandbox.run("find", &["archive/.git", "-type", "d", "-name", "file-lists-v1"]).ok();
    sandbox.path(found.out.trim())
}

#[test]
fn apt_file_finds_what_a_package_installs() {
    let sandbox = Sandbox::new();
    let server = Server::of(&sandbox.public());
    let url = server.url();
    sandbox.deploy(&["init", "archive", "--suite", "trixie", "--architecture", "amd64", "--origin", "Test", "--url", &url]).ok();
    sandbox.publish(&["-C", "archive", "key", "generate", "--name", "Test", "--email", "a@example.org"]).ok();
    configure(&sandbox, "contents = true\n");
    sandbox.deb("out", "plain", "1.0-1", "amd64", "");
    sandbox.deb("out", "plain-doc", "1.0-1", "all", "Source: plain\n");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    let apt = Apt::of_machine(&sandbox);
    let stanza = std::fs::read_to_string(sandbox.public().join("trixie.sources")).unwrap();
    apt.use_stanza(&stanza);
    let targets = std::fs::read_to_string("/etc/apt/apt.conf.d/50apt-file.conf").expect("apt-file is needed; tests/run.sh installs it");
    apt.write("etc/apt/apt.conf.d/50apt-file.conf", targets);
    apt.updates();
    let find = |arguments: &[&str]| apt.run(&[&["apt-file"], arguments].concat()).ok().out;
    assert_eq!(find(&["search", "/doc/plain/ver"]), "plain: /usr/share/doc/plain/version\n");
    assert_eq!(find(&["search", "-x", "^/usr/share/doc/plain.*/version$"]).lines().count(), 2, "of both architectures");
    assert_eq!(find(&["list", "plain-doc"]), "plain-doc: /usr/share/doc/plain-doc/version\n");
    // What changes is found too, by the same client.
    std::fs::remove_dir_all(sandbox.path("out")).unwrap();
    sandbox.deb("out", "other", "2.0-1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    apt.updates();
    assert_eq!(find(&["list", "other"]), "other: /usr/share/doc/other/version\n");
    assert_eq!(find(&["list", "plain"]), "plain: /usr/share/doc/plain/version\n");
    // Release lists both forms, and by-hash has the one that is written.
    let release = std::fs::read_to_string(sandbox.public().join("dists/trixie/Release")).unwrap();
    for name in ["all", "amd64"] {
        let path = format!("main/Contents-{name}");
        assert!(release.contains(&format!(" {path}\n")) && release.contains(&format!(" {path}.gz\n")), "{release}");
        assert!(!sandbox.public().join("dists/trixie").join(&path).exists());
    }
    let listed = release.lines().rfind(|line| line.ends_with("main/Contents-amd64.gz")).unwrap();
    let by_hash = format!("dists/trixie/main/by-hash/SHA256/{}", listed.split_whitespace().next().unwrap());
    assert!(sandbox.public().join(by_hash).exists());
}

#[test]
fn real_packages_stand_there_with_every_file_that_dpkg_unpacks() {
    let sandbox = archive("contents = true\n");
    sandbox.commit(cache("out/two-amd64"), &[]).ok();
    sandbox.commit(cache("out/small"), &[]).ok();
    sandbox.dists(&[]).ok();
    let mut checked = 0;
    let mut expected: BTreeMap<&str, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for folder in ["out/two-amd64", "out/small"] {
        for file in std::fs::read_dir(cache(folder)).unwrap().map(|entry| entry.unwrap().path()) {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            let Some(stem) = name.strip_suffix(".deb") else { continue };
            let (package, index) = (stem.split('_').next().unwrap(), if stem.ends_with("_all") { "all" } else { "amd64" });
            let section = sandbox.run("dpkg-deb", &["-f", file.to_str().unwrap(), "Section"]).ok().out.trim().to_owned();
            for path in installed(&sandbox, &file) {
                expected.entry(index).or_default().entry(path).or_default().insert(format!("{section}/{package}"));
                checked += 1;
            }
        }
    }
    assert!(checked > 20);
    for (index, expected) in expected {
        let joined = |packages: &BTreeSet<String>| packages.iter().cloned().collect::<Vec<_>>().join(",");
        let expected: BTreeMap<String, String> = expected.iter().map(|(path, packages)| (path.clone(), joined(packages))).collect();
        let text = contents(&sandbox, index);
        assert_eq!(lines(&text), expected, "{index}");
        assert!(text.lines().is_sorted_by_key(|line| line.rsplit_once(' ').unwrap().0.trim_end().to_owned()));
    }
}

#[test]
fn contents_that_are_turned_on_later_are_made_of_the_packages_once() {
    let sandbox = archive("");
    sandbox.deb("out", "early", "1-1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    assert!(!sandbox.public().join("dists/trixie/main/Contents-amd64.gz").exists());
    let record = "suites/trixie/main/binary-amd64/e/early/early_1-1";
    assert!(!sandbox.git(&["show", &format!("HEAD:{record}")]).ok().out.contains("File-List:"));
    configure(&sandbox, "contents = true\n");
    sandbox.dists(&[]).ok();
    assert_eq!(
        lines(&contents(&sandbox, "amd64")).into_iter().collect::<Vec<_>>(),
        [("usr/share/doc/early/version".into(), "misc/early".into())]
    );
    // What was found out stands with the Release, and the list beside the objects.
    let recorded = sandbox.git(&["show", "ddb/releases/trixie:lists.json"]).ok().out;
    assert_eq!(recorded.matches(": \"").count(), 1, "{recorded}");
    // A package that is deployed now brings its list.
    sandbox.deb("late", "late", "1-1", "amd64", "");
    sandbox.commit("late", &[]).ok();
    assert!(sandbox.git(&["show", "HEAD:suites/trixie/main/binary-amd64/l/late/late_1-1"]).ok().out.contains("File-List: "));
    sandbox.dists(&[]).ok();
    assert_eq!(sandbox.git(&["show", "ddb/releases/trixie:lists.json"]).ok().out, recorded);
    assert_eq!(lines(&contents(&sandbox, "amd64")).len(), 2);
    // The early one goes, for which its list is read; nothing is recorded of it any more.
    sandbox.git(&["rm", "-q", record]).ok();
    sandbox.git(&["commit", "-q", "-m", "Remove it."]).ok();
    sandbox.dists(&[]).ok();
    assert_eq!(lines(&contents(&sandbox, "amd64")).into_keys().collect::<Vec<_>>(), ["usr/share/doc/late/version"]);
    assert_eq!(sandbox.git(&["ls-tree", "--name-only", "ddb/releases/trixie", "lists.json"]).ok().out, "");
    // And it comes back.
    sandbox.git(&["revert", "--no-edit", "HEAD"]).ok();
    sandbox.dists(&[]).ok();
    assert_eq!(lines(&contents(&sandbox, "amd64")).len(), 2);
    assert_eq!(sandbox.git(&["show", "ddb/releases/trixie:lists.json"]).ok().out, recorded);
}

#[test]
fn a_record_that_names_a_wrong_list_stops_no_publish() {
    let sandbox = archive("contents = true\n");
    sandbox.deb("out", "one", "1-1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    let record = "suites/trixie/main/binary-amd64/o/one/one_1-1";
    let text = sandbox.git(&["show", &format!("HEAD:{record}")]).ok().out;
    let right = text.lines().find_map(|line| line.strip_prefix("File-List: ")).unwrap();
    let wrong = "ab".repeat(32);
    std::fs::write(sandbox.archive().join(record), text.replace(right, &wrong)).unwrap();
    sandbox.git(&["commit", "-q", "-a", "-m", "Name another list."]).ok();
    let answer = sandbox.dists(&["--json"]).ok().json();
    let note = answer["suites"][0]["notes"][0].as_str().unwrap_or_default();
    assert!(note.contains(record) && note.contains(&wrong) && note.contains(right), "{answer}");
    let text = contents(&sandbox, "amd64");
    assert_eq!(lines(&text).into_keys().collect::<Vec<_>>(), ["usr/share/doc/one/version"]);
    let recorded = sandbox.git(&["show", "ddb/releases/trixie:lists.json"]).ok().out;
    assert!(recorded.contains(right) && !recorded.contains(&wrong), "{recorded}");
    // From then on the right list is found: without the package, and beside other changes.
    let oid = sandbox.git(&["show", "HEAD:pool/main/o/one/one_1-1_amd64.deb"]).ok().out;
    let oid = oid.lines().find_map(|line| line.strip_prefix("oid sha256:")).unwrap().to_owned();
    let object = sandbox.run("find", &["archive/.git/lfs/objects", "-name", &oid]).ok().out;
    std::fs::rename(sandbox.path(object.trim()), sandbox.path("aside")).unwrap();
    sandbox.deb("more", "two", "1-1", "amd64", "");
    sandbox.commit("more", &[]).ok();
    assert_eq!(sandbox.dists(&["--json"]).ok().json()["suites"][0]["notes"].as_array().unwrap().len(), 0);
    assert_eq!(sandbox.git(&["show", "ddb/releases/trixie:lists.json"]).ok().out, recorded);
    sandbox.git(&["rm", "-q", "-r", "suites/trixie/main/binary-amd64/o"]).ok();
    sandbox.git(&["commit", "-q", "-m", "Remove it."]).ok();
    sandbox.dists(&[]).ok();
    assert_eq!(lines(&contents(&sandbox, "amd64")).into_keys().collect::<Vec<_>>(), ["usr/share/doc/two/version"]);
}

#[test]
fn a_suite_that_becomes_another_one_keeps_what_is_known_for_its_own_contents() {
    let sandbox = archive("");
    let path = sandbox.archive().join("ddb.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}\n[suites.sid]\ncomponents = [\"main\"]\narchitectures = [\"amd64\"]\n")).unwrap();
    sandbox.git(&["commit", "-q", "-a", "-m", "Have sid."]).ok();
    // Its record names no list, so the digest of that stands with the Release.
    sandbox.deb("early", "early", "1-1", "amd64", "");
    for suite in ["sid", "trixie"] {
        sandbox.commit("early", &["--suite", suite]).ok();
    }
    configure(&sandbox, "contents = true\ncontents-every = \"1d\"\n");
    sandbox.dists_at("2026-09-02T00:00:00Z", &[]).ok();
    let (before, lists) = (contents(&sandbox, "amd64"), sandbox.git(&["show", "ddb/releases/trixie:lists.json"]).ok().out);
    assert_eq!(lists.matches(": \"").count(), 1, "{lists}");
    sandbox.deb("late", "late", "1-1", "amd64", "");
    sandbox.commit("late", &["--suite", "sid"]).ok();
    let publish = |suite: &str, now: &str| sandbox.publish(&["-C", "archive", "dists", suite, "--now", now]).ok();
    publish("sid", "2026-09-02T01:00:00Z");
    sandbox.publish(&["-C", "archive", "promote", "sid", "trixie", "--all", "--no-publish"]).ok();
    publish("trixie", "2026-09-02T02:00:00Z");
    let packages = sandbox.public().join("dists/trixie/main/binary-amd64/Packages.gz");
    assert_eq!(sandbox.run("gzip", &["-dc", packages.to_str().unwrap()]).ok().out.matches("Package: ").count(), 2);
    assert_eq!(contents(&sandbox, "amd64"), before, "they stay for a day");
    assert_eq!(sandbox.git(&["show", "ddb/releases/trixie:lists.json"]).ok().out, lists);
    publish("trixie", "2026-09-03T01:00:00Z");
    assert_eq!(lines(&contents(&sandbox, "amd64")).len(), 2);
    assert_eq!(sandbox.git(&["show", "ddb/releases/trixie:lists.json"]).ok().out, lists);
}

#[test]
fn an_object_that_is_not_the_package_brings_no_line() {
    let sandbox = archive("");
    sandbox.deb("out", "early", "1-1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    let oid = sandbox.git(&["show", "HEAD:pool/main/e/early/early_1-1_amd64.deb"]).ok().out;
    let oid = oid.lines().find_map(|line| line.strip_prefix("oid sha256:")).unwrap().to_owned();
    let object = sandbox.run("find", &["archive/.git/lfs/objects", "-name", &oid]).ok().out;
    configure(&sandbox, "contents = true\n");
    let evil = sandbox.deb("evil", "early", "1-1", "amd64", "Section: evil\n");
    let text = b"not even a package".as_slice();
    for bytes in [std::fs::read(evil).unwrap().as_slice(), text] {
        let object = sandbox.path(object.trim());
        std::fs::remove_file(&object).unwrap();
        std::fs::write(&object, bytes).unwrap();
        let run = sandbox.dists(&[]);
        assert_ne!(run.code, 0);
        run.says("suites/trixie/main/binary-amd64/e/early/early_1-1").says("its object has sha256");
    }
}

#[test]
fn lists_that_are_lost_or_damaged_are_made_again_from_the_packages() {
    let sandbox = archive("contents = true\n");
    for name in ["one", "two"] {
        sandbox.deb("out", name, "1-1", "amd64", "");
    }
    sandbox.commit("out", &[]).ok();
    let folder = derived(&sandbox);
    let files = || sandbox.run("find", &[folder.to_str().unwrap(), "-type", "f"]).ok().out;
    let before = files();
    assert_eq!(before.lines().count(), 2, "{before}");
    let spoil = || {
        for file in before.lines() {
            sandbox.run("sh", &["-c", "chmod u+w \"$1\" && echo '0 usr/bin/evil' >\"$1\"", "sh", file]).ok();
        }
    };
    spoil();
    sandbox.dists(&[]).ok();
    let whole = contents(&sandbox, "amd64");
    assert_eq!(lines(&whole).into_keys().collect::<Vec<_>>(), ["usr/share/doc/one/version", "usr/share/doc/two/version"]);
    // Without list and package nothing is published, and the message names the record and what to do.
    std::fs::remove_dir_all(&folder).unwrap();
    let oid = sandbox.git(&["show", "HEAD:pool/main/o/one/one_1-1_amd64.deb"]).ok().out;
    let oid = oid.lines().find_map(|line| line.strip_prefix("oid sha256:")).unwrap().to_owned();
    let object = sandbox.run("find", &["archive/.git/lfs/objects", "-name", &oid]).ok().out;
    std::fs::rename(sandbox.path(object.trim()), sandbox.path("aside")).unwrap();
    sandbox.git(&["rm", "-q", "suites/trixie/main/binary-amd64/o/one/one_1-1"]).ok();
    sandbox.git(&["commit", "-q", "-m", "Remove it."]).ok();
    // It goes, so its list is not needed if all others can be had.
    sandbox.dists(&[]).ok();
    assert_eq!(lines(&contents(&sandbox, "amd64")).into_keys().collect::<Vec<_>>(), ["usr/share/doc/two/version"]);
    sandbox.git(&["revert", "--no-edit", "HEAD"]).ok();
    let release = std::fs::read(sandbox.public().join("dists/trixie/InRelease")).unwrap();
    let run = sandbox.dists(&[]);
    assert_ne!(run.code, 0);
    let run = run.says("suites/trixie/main/binary-amd64/o/one/one_1-1").says("deploy that build output again");
    assert!(run.err.contains(&oid), "{}", run.err);
    assert_eq!(std::fs::read(sandbox.public().join("dists/trixie/InRelease")).unwrap(), release);
    std::fs::rename(sandbox.path("aside"), sandbox.path(object.trim())).unwrap();
    sandbox.dists(&[]).ok();
    assert_eq!(contents(&sandbox, "amd64"), whole);
}

#[test]
fn packages_that_are_lost_come_back_without_file_lists_and_packages() {
    let sandbox = archive("contents = true\n");
    sandbox.deb("out", "one", "1-1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    let packages = sandbox.public().join("dists/trixie/main/binary-amd64/Packages.xz");
    let before = std::fs::read(&packages).unwrap();
    let sheet = sandbox.git(&["show", "ddb/releases/trixie:sheets/main/binary-amd64/Packages"]).ok().out;
    let names = sheet.split(|letter: char| !letter.is_ascii_hexdigit()).filter(|word| word.len() == 64);
    let lost = names.map(|name| sandbox.run("find", &["archive/.git", "-name", name, "-print", "-delete"]).ok().out.lines().count());
    assert!(lost.sum::<usize>() > 0, "{sheet}");
    std::fs::remove_dir_all(derived(&sandbox)).unwrap();
    let oid = sandbox.git(&["show", "HEAD:pool/main/o/one/one_1-1_amd64.deb"]).ok().out;
    let oid = oid.lines().find_map(|line| line.strip_prefix("oid sha256:")).unwrap().to_owned();
    sandbox.run("find", &["archive/.git/lfs/objects", "-name", &oid, "-delete"]).ok();
    std::fs::remove_dir_all(sandbox.path("home")).unwrap();
    std::fs::create_dir(sandbox.path("home")).unwrap();
    std::fs::remove_file(&packages).unwrap();
    sandbox.dists(&["--repair"]).ok();
    assert_eq!(std::fs::read(&packages).unwrap(), before);
}

#[test]
fn contents_stay_for_as_long_as_the_suite_says() {
    let sandbox = archive("contents = true\ncontents-every = \"1d\"\n");
    let state = |day: u32, hour: u32, name: &str| {
        sandbox.deb(&format!("out-{name}"), &format!("package-{name}"), "1-1", "amd64", "");
        sandbox.commit(format!("out-{name}"), &[]).ok();
        sandbox.dists_at(&format!("2026-09-{day:02}T{hour:02}:00:00Z"), &[]).ok();
        lines(&contents(&sandbox, "amd64")).len()
    };
    assert_eq!([state(2, 0, "a"), state(2, 12, "b"), state(2, 23, "c")], [1, 1, 1]);
    assert_eq!(state(3, 0, "d"), 4, "a day later");
    assert_eq!(state(3, 20, "e"), 4);
    // Due, although no record changed since.
    sandbox.dists_at("2026-09-04T01:00:00Z", &[]).ok();
    assert_eq!(lines(&contents(&sandbox, "amd64")).len(), 5);
    // Packages is always the newest.
    let packages = sandbox.public().join("dists/trixie/main/binary-amd64/Packages.gz");
    let text = sandbox.run("gzip", &["-dc", packages.to_str().unwrap()]).ok().out;
    assert_eq!(text.matches("Package: ").count(), 5);
    // A tree that lost everything is made whole from what is recorded, without blocks and lists.
    let files = || sandbox.run("sh", &["-c", "cd archive/public/dists && find . -type f | sort | xargs sha256sum"]).ok().out;
    assert_eq!(state(4, 5, "f"), 5);
    let before = files();
    std::fs::remove_dir_all(sandbox.public().join("dists")).unwrap();
    sandbox.run("sh", &["-c", LOSE]).ok();
    std::fs::remove_dir_all(sandbox.path("home")).unwrap();
    std::fs::create_dir(sandbox.path("home")).unwrap();
    sandbox.dists_at("2026-09-04T06:00:00Z", &["--repair"]).ok();
    let after = files();
    let current = |text: &str| text.lines().filter(|line| !line.contains("by-hash")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(current(&before), current(&after));
    // So is an export, whatever was lost.
    sandbox.run("sh", &["-c", LOSE]).ok();
    sandbox.publish(&["-C", "archive", "export", "exported", "--url", "https://deb.example.org/"]).ok();
    for index in ["all", "amd64"] {
        let read = |tree: &str| std::fs::read(sandbox.path(tree).join(format!("dists/trixie/main/Contents-{index}.gz"))).unwrap();
        assert_eq!(read("exported"), read("archive/public"), "{index}");
    }
}

#[test]
fn lists_that_no_record_names_are_garbage() {
    let sandbox = archive("contents = true\n");
    for version in ["1-1", "2-1"] {
        sandbox.deb(&format!("out-{version}"), "hello", version, "amd64", "");
        sandbox.commit(format!("out-{version}"), &[]).ok();
    }
    sandbox.deb("out-other", "other", "1-1", "amd64", "");
    sandbox.commit("out-other", &[]).ok();
    let gc = |now: &str, more: &[&str]| sandbox.deploy(&[&["-C", "archive", "--json", "gc", "--now", now], more].concat()).ok().json();
    let amounts =
        |answer: &crate::sandbox::Value| ["stored", "needed", "removed"].map(|name| answer["lists"][name]["objects"].as_u64().unwrap());
    // Both versions install the same path, so they have one list.
    assert_eq!(amounts(&gc("2026-09-01T00:00:00Z", &[])), [2, 2, 0]);
    sandbox.git(&["rm", "-q", "-r", "suites/trixie/main/binary-amd64/o", "pool/main/o"]).ok();
    sandbox.git(&["commit", "-q", "-m", "Remove it."]).ok();
    assert_eq!(amounts(&gc("2126-09-01T00:00:00Z", &["--delete"])), [2, 1, 0], "marked");
    assert_eq!(amounts(&gc("2127-09-01T00:00:00Z", &["--delete"])), [2, 1, 1]);
    sandbox.dists(&[]).ok();
    assert_eq!(lines(&contents(&sandbox, "amd64")).into_keys().collect::<Vec<_>>(), ["usr/share/doc/hello/version"]);
}

#[test]
fn contents_every_without_contents_is_refused() {
    let sandbox = archive("contents-every = \"1d\"\n");
    sandbox.dists(&[]).exits(4).says("contents-every means nothing without contents");
}
