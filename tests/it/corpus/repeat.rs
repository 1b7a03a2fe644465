//! The same commit, configuration and recorded inputs give the same bytes: with one thread and with eight, in another clone,
//! by somebody else, and whatever order the packages came in. And what Release lists is what is there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{MADE, PUBLISHED, PUBLISHED_AT, cache, empty_archive};
use crate::sandbox::Sandbox;

/// Every file below a folder: path and content.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.strip_prefix(folder).unwrap().to_owned(), std::fs::read(path).unwrap());
            }
        }
    }
    files
}

/// The published tree without the signatures, which carry random salt.
fn unsigned_tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = tree(folder);
    files.retain(|path, _| !path.ends_with("InRelease") && !path.ends_with("Release.gpg"));
    files
}

#[track_caller]
fn same(one: &BTreeMap<PathBuf, Vec<u8>>, other: &BTreeMap<PathBuf, Vec<u8>>) {
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    let differing: Vec<_> = one.iter().filter(|(path, bytes)| other[*path] != **bytes).map(|(path, _)| path).collect();
    assert!(differing.is_empty(), "{differing:?}");
}

/// An archive whose objects lie beside it, so that its clones find them.
fn archive_with_objects_beside() -> Sandbox {
    let sandbox = empty_archive("[store]\npath = \"../objects\"\n");
    sandbox.commit(cache("corpus/files"), &[]).ok();
    sandbox
}

#[test]
fn threads_and_places_do_not_change_a_byte() {
    let mut sandbox = archive_with_objects_beside();
    sandbox.dists(&["--threads", "8", "--now", PUBLISHED_AT]).ok();
    let first = unsigned_tree(&sandbox.public());
    assert!(first.len() > 200 && first.contains_key(Path::new("dists/trixie/Release")), "{} files", first.len());

    sandbox.run("git", &["clone", "--quiet", "archive", "elsewhere"]).ok();
    for (name, value) in [("TZ", "Pacific/Auckland"), ("LC_ALL", "C"), ("RAYON_NUM_THREADS", "3")] {
        sandbox.environment.insert(name.to_owned(), value.to_owned());
    }
    let published = sandbox
        .publish(&["-C", "elsewhere", "dists", "trixie", "--no-push", "--threads", "1", "--now", PUBLISHED_AT, "--json"])
        .ok()
        .json();
    assert_eq!(published["suites"][0]["outcome"], "published");
    same(&first, &unsigned_tree(&sandbox.path("elsewhere/public")));

    // Another time is another Release, so it was not for want of looking.
    sandbox.run("git", &["clone", "--quiet", "archive", "later"]).ok();
    sandbox.publish(&["-C", "later", "dists", "trixie", "--no-push", "--now", "2026-09-13T00:00:00Z"]).ok();
    let later = unsigned_tree(&sandbox.path("later/public"));
    let release = Path::new("dists/trixie/Release");
    assert!(first[release] != later[release]);
    let without_release = |tree: &BTreeMap<PathBuf, Vec<u8>>| {
        tree.iter().filter(|(path, _)| *path != release).map(|(path, bytes)| (path.clone(), bytes.clone())).collect()
    };
    same(&without_release(&first), &without_release(&later));
}

#[test]
fn who_has_the_recorded_inputs_makes_the_recorded_release_again() {
    let sandbox = archive_with_objects_beside();
    sandbox.dists(&["--now", PUBLISHED_AT]).ok();
    // A bare clone has the branch of Releases too: its inputs are recorded there, and so are the signatures.
    sandbox.run("git", &["clone", "--quiet", "--bare", "archive", "bare.git"]).ok();
    std::fs::remove_dir_all(sandbox.path("home/.config")).unwrap();
    sandbox.publish(&["-C", "bare.git", "dists", "trixie", "--target", "mirror", "--now", "2027-01-01T00:00:00Z"]).ok();
    same(&tree(&sandbox.public()), &tree(&sandbox.path("mirror")));
}

#[test]
fn the_order_of_deploys_does_not_change_an_index() {
    let at_once = PUBLISHED.get();

    // Files of a source package must come together; everything else comes in as many deploys, names backwards.
    let one_by_one = empty_archive("");
    let mut batches: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for file in tree(&cache("corpus/files")).into_keys() {
        let name = file.file_name().unwrap().to_str().unwrap();
        let source = !name.ends_with("deb");
        let number = name.bytes().map(usize::from).sum::<usize>() % 9;
        batches.entry(if source { "sources".to_owned() } else { format!("binaries {number}") }).or_default().push(file);
    }
    assert_eq!(batches.len(), 10);
    for (batch, files) in batches.iter().rev() {
        for file in files {
            let copy = one_by_one.path(batch).join(file.file_name().unwrap());
            std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
            std::fs::copy(cache("corpus/files").join(file), copy).unwrap();
        }
        one_by_one.commit(batch, &["--on-conflict", "refuse"]).ok();
    }
    for folder in ["HEAD:suites", "HEAD:pool"] {
        assert_eq!(one_by_one.git(&["rev-parse", folder]).ok().out, at_once.git(&["rev-parse", folder]).ok().out, "{folder}");
    }
    one_by_one.dists(&["--now", PUBLISHED_AT]).ok();
    // The key is another one in each archive.
    let without_key = |sandbox: &Sandbox| {
        let mut files = unsigned_tree(&sandbox.public());
        files.retain(|path, _| path.starts_with("dists") || path.starts_with("pool"));
        files
    };
    same(&without_key(&at_once), &without_key(&one_by_one));
}

#[test]
fn a_long_index_has_many_blocks_and_is_one_stream_for_every_program() {
    let sandbox = Sandbox::with_archive_at(MADE);
    for package in ["one", "two", "three", "four"] {
        let lines: String = (0..12_000).map(|number| format!(" line {} of {package}: {}\n", number, number * 7919 % 10_007)).collect();
        sandbox.deb("out", package, "1", "all", &format!("Description: long\n{lines}"));
    }
    sandbox.commit("out", &[]).ok();
    let index = |folder: &str, ending: &str| {
        sandbox.path(folder).join(format!("dists/trixie/main/i18n/Translation-en.{ending}")).display().to_string()
    };
    sandbox.dists(&["--threads", "8"]).ok();
    let list = sandbox.run("xz", &["--robot", "--list", &index("archive/public", "xz")]).ok().out;
    let counts: Vec<&str> = list.lines().find_map(|line| line.strip_prefix("file\t")).unwrap().split('\t').collect();
    assert_eq!(counts[0], "1", "streams in {list}");
    assert!(counts[1].parse::<u32>().unwrap() > 1, "blocks in {list}");
    let text = sandbox.run("xz", &["-dc", &index("archive/public", "xz")]).ok().out;
    assert!(text.len() > 1 << 20 && text.contains("\n line 11999 of two: "), "{} bytes", text.len());
    assert_eq!(sandbox.run("gzip", &["-dc", &index("archive/public", "gz")]).ok().out, text);

    sandbox.git(&["branch", "--quiet", "-D", "ddb/releases/trixie"]).ok();
    sandbox.dists(&["--threads", "1", "--target", "again"]).ok();
    for ending in ["gz", "xz"] {
        assert!(std::fs::read(index("archive/public", ending)).unwrap() == std::fs::read(index("again", ending)).unwrap(), "{ending}");
    }
}

#[test]
fn what_release_lists_is_there_and_whole() {
    let sandbox = PUBLISHED.get();
    let folder = sandbox.public().join("dists/trixie");
    let release = std::fs::read_to_string(folder.join("Release")).unwrap();
    let (_, list) = release.split_once("\nSHA256:\n").unwrap();
    let listed: BTreeMap<&str, (&str, u64)> = list
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .map(|words| (words[2], (words[0], words[1].parse().unwrap())))
        .collect();
    assert_eq!(listed.len(), list.lines().count(), "no path twice");
    let (mut compressed, mut by_hash) = (0, 0);
    for (path, (digest, size)) in &listed {
        let unpacked = [("gzip", ".gz"), ("xz", ".xz")].iter().find_map(|(program, ending)| Some((*program, path.strip_suffix(ending)?)));
        let Some((program, plain)) = unpacked else {
            assert!(folder.join(path).exists() || listed.contains_key(format!("{path}.xz").as_str()), "{path}");
            continue;
        };
        let file = folder.join(path);
        let file = file.to_str().unwrap();
        sandbox.run(program, &["-t", file]).ok();
        let (plain_digest, plain_size) = listed[plain];
        let unpacked = sandbox.run("sh", &["-c", "\"$1\" -dc \"$2\" | tee \"$3\" | sha256sum", "sh", program, file, "unpacked"]).ok();
        assert_eq!(unpacked.out.split_once(' ').unwrap().0, plain_digest, "{path}");
        assert_eq!(std::fs::metadata(sandbox.path("unpacked")).unwrap().len(), plain_size, "{path}");
        assert_eq!(std::fs::metadata(file).unwrap().len(), *size, "{path}");
        assert_eq!(sandbox.run("sha256sum", &[file]).ok().out.split_once(' ').unwrap().0, *digest, "{path}");
        compressed += 1;
    }
    assert!(compressed >= 2 * (4 * 4 + 2), "{compressed} compressed indices");
    for path in tree(&folder).into_keys().filter(|path| path.components().any(|part| part.as_os_str() == "by-hash")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(path.parent().unwrap().file_name().unwrap(), "SHA256");
        assert_eq!(sandbox.run("sha256sum", &[folder.join(&path).to_str().unwrap()]).ok().out.split_once(' ').unwrap().0, name);
        assert!(listed.values().any(|(digest, _)| *digest == name), "{} is listed", path.display());
        by_hash += 1;
    }
    assert!(by_hash >= compressed, "{by_hash} by-hash files");
}
