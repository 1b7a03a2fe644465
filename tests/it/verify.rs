//! `ddb-publish verify` and the apt hook against archives that somebody attacks: each attack is mounted, and each is named.

mod attacks;
mod bundles;
mod history;
mod hook;
mod hook_alone;
mod lists;
mod mirror;
pub mod onlookers;
mod planted;
mod stolen;

use std::path::PathBuf;

use crate::sandbox::{Run, Sandbox};
use crate::server::Server;

/// Runs verify against a location, with the keyring that was pinned.
fn verify(sandbox: &Sandbox, location: &str, more: &[&str]) -> Run {
    sandbox.publish(&[&["verify", location, "--suite", "trixie", "--keyring", "pinned.asc"], more].concat())
}

/// The class of the verdict and the files that are named, by the JSON answer.
fn verdict(run: &Run) -> (String, Vec<String>) {
    let answer = run.json();
    let files = answer["findings"].as_array().unwrap().iter().map(|finding| finding["file"].as_str().unwrap().to_owned());
    (answer["verdict"].as_str().unwrap_or("good").to_owned(), files.collect())
}

/// A published archive with one package, whose keyring is pinned.
fn plain_archive(now: &str) -> Sandbox {
    let sandbox = Sandbox::with_archive_at(now);
    sandbox.deb("out", "plain", "1.0-1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    std::fs::copy(sandbox.public().join("archive-keyring.asc"), sandbox.path("pinned.asc")).unwrap();
    sandbox
}

fn set_time(sandbox: &mut Sandbox, now: &str) {
    sandbox.environment.insert("DDB_NOW".to_owned(), now.to_owned());
}

fn dists(sandbox: &Sandbox, file: &str) -> PathBuf {
    sandbox.public().join("dists/trixie").join(file)
}

fn copy_tree(sandbox: &Sandbox, from: &str, to: &str) {
    sandbox.run("cp", &["-a", from, to]).ok();
}

/// Puts other bytes in the place of a published file, which other names may share.
fn replace(path: &std::path::Path, bytes: impl AsRef<[u8]>) {
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

const MONDAY: &str = "2026-09-14T08:00:00Z";
const TUESDAY: &str = "2026-09-15T08:00:00Z";
const WEDNESDAY: &str = "2026-09-16T08:00:00Z";

#[test]
fn a_good_archive_is_good_as_a_folder_and_over_http_and_is_remembered() {
    let sandbox = plain_archive(MONDAY);
    let server = Server::of(&sandbox.public());
    for location in ["archive/public".to_owned(), format!("file://{}", sandbox.public().display()), server.url()] {
        let run = verify(&sandbox, &location, &["--pool", "--json"]).ok();
        let answer = run.json();
        let suite = &answer["suites"][0];
        assert_eq!(suite["date"], MONDAY);
        assert_eq!(suite["codename"], "trixie");
        assert_eq!(suite["signed_by"].as_array().unwrap().len(), 1);
        assert_eq!(suite["pool"]["files"], 1);
        assert!(suite["indices"]["files"].as_u64().unwrap() >= 10, "{answer}");
    }
    // Every index that Release lists was asked for, by its name and by hash.
    let served = server.take_served();
    for path in
        ["dists/trixie/main/binary-amd64/Packages.xz", "dists/trixie/main/source/Sources.gz", "dists/trixie/main/i18n/Translation-en.xz"]
    {
        assert!(served.contains(&path.to_owned()), "{path}: {served:?}");
    }
    assert!(served.iter().filter(|path| path.contains("/by-hash/SHA256/")).count() >= 6, "{served:?}");
    let text = verify(&sandbox, "archive/public", &[]).ok().out;
    assert!(text.contains("the newest that was seen here before is of 2026-09-14T08:00:00Z") && text.contains("is good."), "{text}");
    // What was seen is kept where it is said.
    let kept = std::fs::read_dir(sandbox.path("home/.local/state/ddb/verify")).unwrap().count();
    assert_eq!(kept, 2, "a folder has one name, however it is written");
    verify(&sandbox, "archive/public", &["--state", "memory"]).ok();
    assert_eq!(std::fs::read_dir(sandbox.path("memory")).unwrap().count(), 1);
}

#[test]
fn packages_and_files_are_found_and_their_origin_is_told() {
    let mut sandbox = plain_archive(MONDAY);
    sandbox.deb("other", "other", "2.0-1", "amd64", "Source: plain (1.0-1)\n");
    sandbox.environment.insert("CI_JOB_URL".to_owned(), "https://ci.example.org/jobs/7".to_owned());
    let built = sandbox.deb("next", "plain", "1.1-1", "amd64", "");
    sandbox.commit("next", &[]).ok();
    set_time(&mut sandbox, TUESDAY);
    sandbox.dists(&[]).ok();
    let commit = sandbox.git(&["rev-parse", "HEAD"]).ok().out.trim().to_owned();

    let run = verify(
        &sandbox,
        "archive/public",
        &["--package", "plain", "--deb", "next/plain_1.1-1_amd64.deb", "--repository", "archive", "--json"],
    );
    let answer = run.ok().json();
    assert_eq!(answer["versions"][0]["version"], "1.1-1");
    let file = &answer["files"][0];
    assert_eq!((&file["package"], &file["version"]), (&"plain".into(), &"1.1-1".into()));
    assert_eq!(file["listed"][0]["date"], TUESDAY);
    let known = &file["provenance"];
    assert_eq!((known["commit"].as_str(), known["job"].as_str()), (Some(commit.as_str()), Some("https://ci.example.org/jobs/7")));
    assert!(known["statement"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(known["releases"][0], format!("trixie: Release 2 of {TUESDAY}"));
    // What was published before, and is no more.
    let old = ["--deb", "out/plain_1.0-1_amd64.deb"];
    let run = verify(&sandbox, "archive/public", &[&old[..], &["--json"]].concat()).exits(26);
    assert_eq!(verdict(&run).0, "not-published");
    let run = verify(&sandbox, "archive/public", &[&old[..], &["--repository", "archive"]].concat()).exits(26);
    assert!(run.out.contains(&format!("earlier Releases did: trixie: Release 1 of {MONDAY}")), "{}", run.out);
    // Other bytes under the same name, as a stranger would hand them over.
    let mut bytes = std::fs::read(&built).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    sandbox.write("stranger/plain_1.1-1_amd64.deb", bytes);
    let run = verify(&sandbox, "archive/public", &["--deb", "stranger/plain_1.1-1_amd64.deb", "--repository", "archive"]).exits(26);
    assert!(run.out.contains("publishes other bytes under that name"), "{}", run.out);
    verify(&sandbox, "archive/public", &["--package", "nosuch"]).exits(26);
    // A shallow clone does not know when a file came.
    let url = format!("file://{}", sandbox.archive().display());
    sandbox.run("git", &["clone", "-q", "--depth=1", &url, "shallow"]).ok();
    verify(&sandbox, "archive/public", &[&old[..], &["--repository", "shallow"]].concat()).exits(4).says("unshallow");
}

#[test]
fn real_packages_with_sources_and_all_their_files_are_checked() {
    let sandbox = Sandbox::with_archive();
    for build in ["out/small", "out/two-amd64"] {
        sandbox.commit(crate::sandbox::cache(build), &[]).ok();
    }
    sandbox.dists(&[]).ok();
    std::fs::copy(sandbox.public().join("archive-keyring.asc"), sandbox.path("pinned.asc")).unwrap();
    let answer = verify(&sandbox, "archive/public", &["--pool", "--json"]).ok().json();
    let published = sandbox.run("find", &["archive/public/pool", "-type", "f"]).ok().out.lines().count() as u64;
    assert_eq!(answer["suites"][0]["pool"]["files"], published, "every file of the pool is named by an index");
    let tarball = sandbox.run("find", &["archive/public/pool", "-name", "*.tar.*"]).ok().out.lines().next().unwrap().to_owned();
    let bytes = std::fs::read(sandbox.path(&tarball)).unwrap();
    replace(&sandbox.path(&tarball), &bytes[..bytes.len() - 1]);
    let (class, files) = verdict(&verify(&sandbox, "archive/public", &["--pool", "--json"]).exits(25));
    assert_eq!((class.as_str(), files), ("pool", vec![tarball.strip_prefix("archive/public/").unwrap().to_owned()]));
}

#[test]
fn what_cannot_be_used_to_verify_is_said_with_2() {
    let sandbox = plain_archive(MONDAY);
    sandbox.write("empty.asc", "");
    let secret = std::fs::read_dir(sandbox.path("home/.config/ddb/keys")).unwrap().map(|entry| entry.unwrap().path());
    let secret = secret.filter(|path| std::fs::read_to_string(path).unwrap().contains("PRIVATE KEY")).last().unwrap();
    for (arguments, says) in [
        (&["verify", "archive/public", "--suite", "trixie", "--keyring", "empty.asc"][..], "empty.asc"),
        (&["verify", "archive/public", "--suite", "trixie", "--keyring", secret.to_str().unwrap()], "SECRET"),
        (&["verify", "archive/public", "--suite", "trixie", "--keyring", "nosuch.asc"], "nosuch.asc"),
        (&["verify", "nowhere", "--suite", "trixie", "--keyring", "pinned.asc"], "nowhere"),
        (&["verify", "archive/public", "--suite", "trixie"], "--keyring"),
        (&["verify", "archive/public", "--keyring", "pinned.asc"], "--suite"),
        (&["verify", "archive/public", "--suite", "trixie", "--keyring", "pinned.asc", "--sigsum-policy", "pinned.asc"], "--sigsum-key"),
        (
            &[
                "verify",
                "archive/public",
                "--suite",
                "trixie",
                "--keyring",
                "pinned.asc",
                "--sigsum-policy",
                "pinned.asc",
                "--sigsum-key",
                "empty.asc",
            ],
            "Sigsum policy",
        ),
    ] {
        sandbox.publish(arguments).exits(2).says(says);
    }
    // A memory that somebody wrote into is not overwritten.
    verify(&sandbox, "archive/public", &["--state", "memory"]).ok();
    let kept = std::fs::read_dir(sandbox.path("memory")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&kept, "{}").unwrap();
    verify(&sandbox, "archive/public", &["--state", "memory"]).exits(1).says("remove it to begin anew");
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "{}");
}
