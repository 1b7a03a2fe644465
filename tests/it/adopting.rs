//! Repositories made with plain Git-LFS as archives: `git lfs track "pool/**"; git add; git commit`, then ddb.

use std::fs;
use std::path::Path;

use super::lfs_server::{Access, LfsServer};
use super::sandbox::{Run, Sandbox, cache};
use super::specimens::commit_by_hand;

/// A repository in `archive/` that stock git-lfs made: the files at these places, committed.
fn plain(files: &[(&Path, &str)]) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.environment.insert("GIT_CONFIG_NOSYSTEM".to_owned(), "1".to_owned());
    sandbox.run("git", &["init", "-q", "-b", "main", "archive"]).ok();
    sandbox.git(&["lfs", "install", "--local"]).ok();
    sandbox.git(&["lfs", "track", "pool/**"]).ok();
    for (file, place) in files {
        sandbox.write(format!("archive/pool/{place}"), fs::read(file).unwrap());
    }
    commit_by_hand(&sandbox, "Add packages with git-lfs.");
    sandbox
}

fn small() -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = fs::read_dir(cache("out/small")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn in_folder(folder: &str) -> Sandbox {
    let files = small();
    let places: Vec<String> = files.iter().map(|file| format!("{folder}{}", file.file_name().unwrap().to_str().unwrap())).collect();
    plain(&files.iter().map(|file| file.as_path()).zip(places.iter().map(String::as_str)).collect::<Vec<_>>())
}

fn adopt(sandbox: &Sandbox, more: &[&str]) -> Run {
    sandbox.deploy(&[&["-C", "archive", "adopt", "--suite", "trixie"], more].concat())
}

#[track_caller]
fn is_an_archive(sandbox: &Sandbox) {
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
    sandbox.git(&["lfs", "fsck"]).ok();
    assert_eq!(sandbox.git(&["status", "--porcelain"]).ok().out, "");
    sandbox.publish(&["-C", "archive", "key", "generate"]).ok();
    sandbox.dists(&[]).ok();
    let deb = sandbox.public().join("pool/main/h/hostname/hostname_3.23+nmu1_amd64.deb");
    assert_eq!(fs::read(deb).unwrap(), fs::read(cache("out/small/hostname_3.23+nmu1_amd64.deb")).unwrap());
    for (index, package) in [("binary-amd64/Packages.gz", "Package: hostname\n"), ("source/Sources.gz", "Package: hostname\n")] {
        let text = sandbox.run("zcat", &[sandbox.public().join("dists/trixie/main").join(index).to_str().unwrap()]).ok().out;
        assert!(text.contains(package), "{index}:\n{text}");
    }
}

#[test]
fn a_repository_of_plain_git_lfs_becomes_an_archive_and_its_pointers_stay_as_they_are() {
    let sandbox = in_folder("main/h/hostname/");
    let tree = |sandbox: &Sandbox| sandbox.git(&["rev-parse", "HEAD:pool"]).ok().out;
    let attributes = sandbox.git(&["show", "HEAD:.gitattributes"]).ok().out;
    let before = tree(&sandbox);
    sandbox.deploy(&["init", "archive", "--architecture", "amd64"]).ok();
    assert_eq!(sandbox.git(&["show", "HEAD:.gitattributes"]).ok().out, attributes, "one line, as git lfs track wrote it");
    let would = adopt(&sandbox, &["--dry-run", "--json"]).ok().json();
    assert_eq!((would["files"].as_u64(), would["landed"]["commit"].is_null()), (Some(4), true), "{would}");
    assert_eq!(would["left"].as_array().unwrap().len(), small().len() - 4, "evidence stays as it is");
    let adopted = adopt(&sandbox, &["--json"]).ok().json();
    assert_eq!(adopted["landed"]["builds"][0]["verdict"], "landed", "{adopted}");
    assert_eq!(adopted["moved"].as_object().unwrap().len(), 0);
    assert_eq!(tree(&sandbox), before, "the same pointers, byte for byte");
    // Work-tree files stay the real files that they were.
    let deb = sandbox.archive().join("pool/main/h/hostname/hostname_3.23+nmu1_amd64.deb");
    assert!(fs::read(deb).unwrap().starts_with(b"!<arch>"));
    let again = adopt(&sandbox, &["--json"]).ok().json();
    assert_eq!((again["files"].as_u64(), again["landed"].is_null()), (Some(0), true));
    is_an_archive(&sandbox);
    // It goes on as any archive, by ddb and by git-lfs.
    sandbox.deb("newer", "hostname", "4", "amd64", "");
    sandbox.commit("newer", &[]).ok();
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn packages_that_lie_anywhere_in_the_pool_are_moved_to_their_place() {
    let sandbox = in_folder("");
    sandbox.deploy(&["init", "archive", "--architecture", "amd64"]).ok();
    sandbox.deploy(&["-C", "archive", "fsck"]).exits(8);
    let run = adopt(&sandbox, &["--json"]).ok().json();
    assert_eq!(run["moved"].as_object().unwrap().len(), 4, "{run}");
    assert_eq!(run["moved"]["pool/hostname_3.23+nmu1_amd64.deb"], "pool/main/h/hostname/hostname_3.23+nmu1_amd64.deb");
    let left: Vec<&str> = run["left"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
    assert!(left.contains(&"pool/hostname_3.23+nmu1_amd64.changes"), "{left:?}");
    sandbox.git(&[&["rm", "-q"], &left[..]].concat()).ok();
    sandbox.git(&["commit", "-q", "-m", "Remove evidence."]).ok();
    is_an_archive(&sandbox);
}

/// Commits a file of the work tree without the filters of Git-LFS.
fn commit_as_it_is(sandbox: &Sandbox, path: &str) {
    let blob = sandbox.git(&["hash-object", "-w", "--no-filters", path]).ok().out;
    sandbox.git(&["update-index", "--add", "--cacheinfo", &format!("100644,{},{path}", blob.trim())]).ok();
    sandbox.git(&["commit", "-q", "-m", "Add a file as it is."]).ok();
}

#[test]
fn what_cannot_be_adopted_is_said_and_nothing_lands() {
    let head = |sandbox: &Sandbox| sandbox.git(&["rev-parse", "HEAD"]).ok().out;
    // A file that Git-LFS never saw.
    let sandbox = in_folder("main/h/hostname/");
    sandbox.deploy(&["init", "archive", "--architecture", "amd64"]).ok();
    sandbox.deb("archive/pool/main/h/hello", "hello", "1", "amd64", &format!("Description: x\n{}", " long text\n".repeat(100)));
    commit_as_it_is(&sandbox, "pool/main/h/hello/hello_1_amd64.deb");
    adopt(&sandbox, &[]).exits(3).says("pool/main/h/hello/hello_1_amd64.deb").says("git add --renormalize pool");
    sandbox.git(&["add", "--renormalize", "pool"]).ok();
    sandbox.git(&["commit", "-q", "-m", "Add with Git-LFS."]).ok();
    // An object that is gone, and one with other bytes.
    let oid = sandbox.git(&["lfs", "ls-files", "--long", "-I", "pool/main/h/hello"]).ok().out[..64].to_owned();
    let object = sandbox.archive().join(".git/lfs/objects").join(&oid[..2]).join(&oid[2..4]).join(&oid);
    let good = fs::read(&object).unwrap();
    let before = head(&sandbox);
    fs::remove_file(&object).unwrap();
    adopt(&sandbox, &[]).exits(3).says("pool/main/h/hello/hello_1_amd64.deb").says("has no object");
    let mut wrong = good.clone();
    wrong[100] ^= 1;
    fs::write(&object, wrong).unwrap();
    adopt(&sandbox, &[]).exits(3).says(&oid);
    fs::remove_file(&object).unwrap();
    fs::write(&object, good).unwrap();
    // A pointer to something else than the file.
    let path = sandbox.archive().join("pool/main/h/hello/hello_2_amd64.deb");
    let pointer = sandbox.git(&["show", "HEAD:pool/main/h/hello/hello_1_amd64.deb"]).ok().out;
    let oid_line = pointer.lines().nth(1).unwrap();
    fs::write(&path, pointer.replace(oid_line, &format!("ext-0-squeeze {}\n{oid_line}", &oid_line[4..]))).unwrap();
    commit_as_it_is(&sandbox, "pool/main/h/hello/hello_2_amd64.deb");
    adopt(&sandbox, &[]).exits(3).says("extension \"squeeze\"").says("hello_2_amd64.deb");
    assert!(sandbox.deploy(&["-C", "archive", "fsck"]).exits(8).out.contains("extension \"squeeze\""));
    sandbox.git(&["rm", "-q", "-f", "pool/main/h/hello/hello_2_amd64.deb"]).ok();
    sandbox.git(&["commit", "-q", "-m", "Remove it."]).ok();
    // What commit refuses, adopt refuses.
    sandbox.write("archive/pool/main/b/bad/bad_1_amd64.deb", "!<arch>\nnot a package");
    commit_by_hand(&sandbox, "Add no package.");
    adopt(&sandbox, &[]).exits(3).says("bad_1_amd64.deb");
    sandbox.git(&["rm", "-q", "pool/main/b/bad/bad_1_amd64.deb"]).ok();
    sandbox.git(&["commit", "-q", "-m", "Remove it."]).ok();
    assert_eq!(sandbox.git(&["ls-tree", "-r", "--name-only", "HEAD", "suites/"]).ok().out, "", "nothing has landed");
    assert_ne!(head(&sandbox), before);
    adopt(&sandbox, &[]).ok();
    is_an_archive(&sandbox);
    let folders = sandbox.run("find", &["archive/.git", "-maxdepth", "1", "-name", "ddb-adopt-*"]).ok().out;
    assert_eq!(folders, "", "temporary folders are removed");
}

#[test]
fn objects_that_git_lfs_pushed_to_a_forge_are_adopted_from_there() {
    let sandbox = in_folder("main/h/hostname/");
    let server = LfsServer::start(&sandbox, &Access::Anybody);
    sandbox.git(&["config", "lfs.url", &server.url()]).ok();
    sandbox.git(&["config", "lfs.locksverify", "false"]).ok();
    sandbox.run("git", &["init", "-q", "--bare", "remote"]).ok();
    sandbox.git(&["remote", "add", "origin", sandbox.path("remote").to_str().unwrap()]).ok();
    sandbox.git(&["push", "-q", "origin", "main"]).ok();
    assert_eq!(server.count(), small().len(), "git-lfs has sent them");
    sandbox.run("rm", &["-r", "archive/.git/lfs/objects"]).ok();
    sandbox.deploy(&["init", "archive", "--architecture", "amd64"]).ok();
    adopt(&sandbox, &[]).exits(3).says("has no object");
    super::specimens::configure(&sandbox, &server.table(), "");
    let adopted = adopt(&sandbox, &["--json"]).ok().json();
    assert_eq!((adopted["files"].as_u64(), adopted["landed"]["new_objects"].as_u64()), (Some(4), Some(0)), "{adopted}");
    assert_eq!(server.count(), small().len());
    sandbox.publish(&["-C", "archive", "key", "generate"]).ok();
    sandbox.dists(&[]).ok();
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}
