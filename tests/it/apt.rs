//! Stock apt uses what ddb publishes, and refuses it when something was changed on the way: apt of the machine (bookworm's)
//! and apt 3 of trixie, over HTTP and by `file:`, with the sources stanza as ddb wrote it.
//!
//! Whatever is refused here was accepted before by the same client from the same server; only the named change lies between.

use std::path::PathBuf;

use crate::client::{Apt, Kind};
use crate::sandbox::{Run, Sandbox, cache};
use crate::server::Server;

/// A build that `tests/prepare.sh` made, by the names of its files.
struct Build {
    folder: PathBuf,
    source: String,
    version: String,
    /// The first architecture's package that is no dbgsym package.
    package: String,
}

impl Build {
    fn of(name: &str) -> Self {
        let folder = cache(&format!("out/{name}"));
        let mut names: Vec<String> =
            std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        let dsc = names.iter().find(|name| name.ends_with(".dsc")).unwrap();
        let (source, version) = dsc.trim_end_matches(".dsc").split_once('_').unwrap();
        let of_architecture = |name: &&String| name.ends_with("64.deb") && !name.contains("-dbgsym_");
        let package = names.iter().find(of_architecture).unwrap().split('_').next().unwrap().to_owned();
        Self { source: source.to_owned(), version: version.to_owned(), package, folder }
    }

    /// The names of its files with this ending.
    fn files(&self, ending: &str) -> Vec<String> {
        let names = std::fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(ending)).collect()
    }
}

/// An archive whose clients come over HTTP, and the server.
fn archive(sandbox: &Sandbox, more: &[&str]) -> Server {
    let server = Server::of(&sandbox.public());
    let url = server.url();
    sandbox
        .deploy(&[&["init", "archive", "--suite", "trixie", "--architecture", "amd64", "--origin", "Test", "--url", &url], more].concat())
        .ok();
    new_key(sandbox, "one");
    server
}

/// The same with one small package published: `plain`, version 1.0-1.
fn plain_archive(sandbox: &Sandbox) -> Server {
    let server = archive(sandbox, &[]);
    sandbox.deb("out", "plain", "1.0-1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    server
}

/// Makes a signing key and returns its public part.
fn new_key(sandbox: &Sandbox, name: &str) -> (PathBuf, String) {
    let email = format!("{name}@example.org");
    let run = sandbox.publish(&["-C", "archive", "--json", "key", "generate", "--name", name, "--email", &email]).ok();
    let path = sandbox.archive().join(run.json()["public_path"].as_str().unwrap());
    let text = std::fs::read_to_string(&path).unwrap();
    (path, text)
}

fn stanza(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.public().join("trixie.sources")).unwrap()
}

/// The stanza with another key in it.
fn stanza_for(sandbox: &Sandbox, key: &str) -> String {
    let stanza = stanza(sandbox);
    let (head, _) = stanza.split_once("Signed-By:").unwrap();
    let key: String = key.trim_end().lines().map(|line| if line.is_empty() { " .\n".to_owned() } else { format!(" {line}\n") }).collect();
    format!("{head}Signed-By:\n{key}")
}

fn read(sandbox: &Sandbox, path: &str) -> Vec<u8> {
    std::fs::read(sandbox.public().join(path)).unwrap()
}

/// The same number of bytes, one of them another.
fn flipped(mut bytes: Vec<u8>) -> Vec<u8> {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

/// Edits `ddb.toml` and commits it.
fn configure(sandbox: &Sandbox, edit: impl Fn(String) -> String) {
    let path = sandbox.archive().join("ddb.toml");
    std::fs::write(&path, edit(std::fs::read_to_string(&path).unwrap())).unwrap();
    sandbox.git(&["commit", "-q", "-a", "-m", "Configure."]).ok();
}

/// A client's run that fails as apt fails and says one of these texts.
#[track_caller]
fn refused(run: &Run, texts: &[&str]) {
    assert!(run.code == 100 && texts.iter().any(|text| run.err.contains(text)), "exited with {}\n{}{}", run.code, run.out, run.err);
}

const MISMATCH: &[&str] = &["Hash Sum mismatch"];
const SIZE: &[&str] = &["unexpected size"];

#[test]
fn both_apts_install_real_builds_and_fetch_their_sources() {
    let sandbox = Sandbox::new();
    let server = archive(&sandbox, &[]);
    let builds = [Build::of("small"), Build::of("two-amd64")];
    for build in &builds {
        sandbox.commit(&build.folder, &[]).ok();
    }
    sandbox.deb("odd", "odd+name", "1:2.0~rc1+dfsg-1+b2", "all", "Source: odd+name (1:2.0~rc1+dfsg-1)\n");
    sandbox.commit("odd", &[]).ok();
    sandbox.dists(&[]).ok();
    for apt in Apt::both_to_install(&sandbox) {
        apt.use_stanza(&stanza(&sandbox));
        apt.updates();
        for build in &builds {
            assert_eq!(apt.versions(&build.package), [&*build.version], "{:?}", apt.kind);
            installs(&apt, build);
            gets_source(&apt, build);
        }
        apt.get(&["install", "odd+name"]).ok();
        assert_eq!(
            apt.run(&["dpkg-query", "--admindir", &admin(&apt), "-Wf", "${Status} ${Version}", "odd+name"]).ok().out,
            "install ok installed 1:2.0~rc1+dfsg-1+b2"
        );
        // Nothing new: the client goes on with what it has, and still nothing is wrong.
        server.take_log();
        apt.updates();
        assert!(server.take_served().iter().all(|path| path.ends_with("InRelease")), "only InRelease is fetched again");
    }
}

/// Where dpkg of this apt's system notes what is installed.
fn admin(apt: &Apt<'_>) -> String {
    match apt.kind {
        Kind::Machine => format!("{}/var/lib/dpkg", apt.inside()),
        Kind::Trixie | Kind::Sid => "/var/lib/dpkg".to_owned(),
    }
}

fn installs(apt: &Apt<'_>, build: &Build) {
    let Build { package, version, .. } = build;
    let name = format!("{package}={version}");
    apt.get(&["download", &name]).ok();
    let file = build.files(".deb").into_iter().find(|file| file.starts_with(&format!("{package}_"))).unwrap();
    assert_eq!(std::fs::read(apt.downloaded(&file)).unwrap(), std::fs::read(build.folder.join(&file)).unwrap());
    apt.get(&["install", "--allow-downgrades", "--allow-change-held-packages", &name]).ok();
    let status = apt.run(&["dpkg-query", "--admindir", &admin(apt), "-Wf", "${Status} ${Version}", package]).ok();
    assert_eq!(status.out, format!("install ok installed {version}"));
    if apt.kind == Kind::Trixie {
        apt.run(&["dpkg", "--verify", package]).ok();
        let files = apt.run(&["dpkg", "-L", package]).ok().out;
        let program = files.lines().find(|path| path.contains("bin/")).unwrap();
        // What was installed runs: its libraries are found and its --help answers, whatever its exit code.
        let help = apt.run(&[program, "--help"]);
        assert!(!(help.out + &help.err).is_empty() && ![126, 127].contains(&help.code), "{program} exited with {}", help.code);
    }
}

fn gets_source(apt: &Apt<'_>, build: &Build) {
    let name = format!("{}={}", build.source, build.version);
    // Trixie's root has no dpkg-source; the machine's unpacks what its apt fetched.
    match apt.kind {
        Kind::Machine => apt.get(&["source", &name]).ok(),
        Kind::Trixie | Kind::Sid => apt.get(&["source", "--download-only", &name]).ok(),
    };
    let mut fetched = 0;
    for file in build.files("").iter().filter(|file| file.ends_with(".dsc") || file.contains(".tar.")) {
        assert_eq!(std::fs::read(apt.downloaded(file)).unwrap(), std::fs::read(build.folder.join(file)).unwrap(), "{file}");
        fetched += 1;
    }
    assert!(fetched >= 2);
    let upstream = build.version.rsplit_once('-').map_or(&*build.version, |(upstream, _)| upstream);
    let unpacked = apt.downloaded(&format!("{}-{upstream}", build.source));
    if apt.kind == Kind::Trixie {
        let dsc = apt.downloaded(&build.files(".dsc")[0]);
        let unpack = std::process::Command::new("dpkg-source").args(["--no-check", "-x"]).arg(&dsc).arg(&unpacked).output().unwrap();
        assert!(unpack.status.success(), "{unpack:?}");
    }
    assert!(unpacked.join("debian/changelog").exists(), "{}", unpacked.display());
}

#[test]
fn both_apts_use_the_stanza_by_file_as_it_is_written() {
    let sandbox = Sandbox::with_archive();
    sandbox.deb("out", "plain", "1.0-1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    let public = sandbox.public().display().to_string();
    assert!(stanza(&sandbox).contains(&format!("URIs: file://{public}/\n")), "{}", stanza(&sandbox));
    for apt in Apt::both_to_install(&sandbox) {
        if apt.kind == Kind::Trixie {
            let inside = apt.of_system(&public);
            std::fs::create_dir_all(inside.parent().unwrap()).unwrap();
            sandbox.run("cp", &["-a", &public, inside.to_str().unwrap()]).ok();
        }
        apt.use_stanza(&stanza(&sandbox));
        apt.updates();
        apt.get(&["install", "plain"]).ok();
    }
}

#[test]
fn a_release_that_another_key_signed_is_refused() {
    let sandbox = Sandbox::new();
    let _server = plain_archive(&sandbox);
    sandbox.deploy(&["init", "other", "--suite", "trixie"]).ok();
    let generated =
        sandbox.publish(&["-C", "other", "--json", "key", "generate", "--name", "Other", "--email", "other@example.org"]).ok().json();
    let other = std::fs::read_to_string(sandbox.path("other").join(generated["public_path"].as_str().unwrap())).unwrap();
    for apt in Apt::both(&sandbox) {
        apt.use_stanza(&stanza(&sandbox));
        apt.updates();
        assert_eq!(apt.versions("plain"), ["1.0-1"]);
        apt.forget();
        apt.use_stanza(&stanza_for(&sandbox, &other));
        // gpgv's words and sqv's.
        apt.refuses_update(&["NO_PUBKEY", "Missing key"]);
        assert!(apt.versions("plain").is_empty());
    }
}

#[test]
fn a_changed_packages_is_refused() {
    let sandbox = Sandbox::new();
    let server = plain_archive(&sandbox);
    // A whole index of an attacker, compressed as it should be.
    let text = "Package: plain\nVersion: 9\nArchitecture: amd64\nMaintainer: x\nFilename: pool/x.deb\nSize: 1\nDescription: x\n\n";
    sandbox.write("Packages", text);
    sandbox.run("xz", &["Packages"]).ok();
    let longer = std::fs::read(sandbox.path("Packages.xz")).unwrap();
    for apt in Apt::both(&sandbox) {
        for by_hash in [true, false] {
            apt.use_stanza(&if by_hash { stanza(&sandbox) } else { format!("By-Hash: no\n{}", stanza(&sandbox)) });
            apt.forget();
            server.take_log();
            apt.updates();
            assert_eq!(apt.versions("plain"), ["1.0-1"]);
            let served = server.take_served();
            let asked = served.iter().find(|path| path.contains("/binary-amd64/")).unwrap();
            assert_eq!(asked.contains("/by-hash/SHA256/"), by_hash, "{asked}");
            let same_size = flipped(read(&sandbox, asked));
            assert_ne!(same_size.len(), longer.len());
            for (changed, says) in [(same_size, MISMATCH), (longer.clone(), SIZE)] {
                server.change(asked, changed);
                apt.forget();
                apt.refuses_update(says);
                assert!(apt.versions("plain").is_empty(), "{asked} was believed");
                server.change_nothing();
                apt.updates();
                assert_eq!(apt.versions("plain"), ["1.0-1"], "the client works again when nothing is changed");
            }
        }
    }
}

#[test]
fn a_changed_deb_or_source_is_refused() {
    let sandbox = Sandbox::new();
    let server = archive(&sandbox, &[]);
    let build = Build::of("two-amd64");
    sandbox.commit(&build.folder, &[]).ok();
    sandbox.deb("out", "plain", "1.0-1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    let other = sandbox.deb("changed", "plain", "1.0-1", "amd64", "Homepage: https://attacker.example.org/with/another/length\n");
    let source = format!("{}={}", build.source, build.version);
    for apt in Apt::both_to_install(&sandbox) {
        apt.use_stanza(&stanza(&sandbox));
        apt.updates();
        server.take_log();
        apt.get(&["download", "plain"]).ok();
        apt.get(&["source", "--download-only", &source]).ok();
        let served = server.take_served();
        let deb = served.iter().find(|path| path.ends_with("plain_1.0-1_amd64.deb")).unwrap();
        let tarball = served.iter().find(|path| path.contains(".tar.")).unwrap();
        let same_size = flipped(read(&sandbox, deb));
        let longer = std::fs::read(&other).unwrap();
        assert_ne!(same_size.len(), longer.len());
        for (changed, says) in [(same_size, MISMATCH), (longer, SIZE)] {
            server.change(deb, changed);
            std::fs::remove_file(apt.downloaded("plain_1.0-1_amd64.deb")).ok();
            refused(&apt.get(&["download", "plain"]), says);
            refused(&apt.get(&["install", "plain"]), says);
            assert!(!apt.downloaded("plain_1.0-1_amd64.deb").exists());
        }
        server.change(tarball, flipped(read(&sandbox, tarball)));
        apt.forget();
        apt.updates();
        refused(&apt.get(&["source", "--download-only", &source]), MISMATCH);
        server.change_nothing();
        apt.get(&["source", "--download-only", &source]).ok();
        apt.get(&["install", "plain"]).ok();
    }
}

#[test]
fn an_expired_release_is_refused() {
    let sandbox = Sandbox::new();
    let server = Server::of(&sandbox.public());
    let past = "@1700000000"; // in 2023
    sandbox.deploy(&["--now", past, "init", "archive", "--suite", "trixie", "--architecture", "amd64", "--url", &server.url()]).ok();
    sandbox
        .publish(&[
            "--now",
            past,
            "-C",
            "archive",
            "key",
            "generate",
            "--name",
            "Test",
            "--email",
            "test@example.org",
            "--valid-for",
            "forever",
        ])
        .ok();
    configure(&sandbox, |text| format!("{text}valid-for = \"1d\"\n"));
    sandbox.deb("out", "plain", "1.0-1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&["--now", past]).ok();
    let release = String::from_utf8(read(&sandbox, "dists/trixie/Release")).unwrap();
    assert!(release.contains("\nDate: Tue, 14 Nov 2023 22:13:20 UTC\nValid-Until: Wed, 15 Nov 2023 22:13:20 UTC\n"), "{release}");
    let apts = Apt::both(&sandbox);
    for apt in &apts {
        apt.use_stanza(&stanza(&sandbox));
        // Nothing but its age is wrong with it.
        apt.update(&["-o", "Acquire::Check-Valid-Until=false"]).ok();
        assert_eq!(apt.versions("plain"), ["1.0-1"]);
        apt.forget();
        apt.refuses_update(&["is expired"]);
        assert!(apt.versions("plain").is_empty());
    }
    sandbox.dists(&["--renew"]).ok();
    for apt in &apts {
        apt.updates();
        assert_eq!(apt.versions("plain"), ["1.0-1"]);
    }
}

#[test]
fn long_descriptions_come_through_translation_en() {
    let sandbox = Sandbox::new();
    let server = archive(&sandbox, &[]);
    sandbox.deb(
        "out",
        "plain",
        "1.0-1",
        "amd64",
        "Description: short words\n Long words of it.\n .\n  * after an empty line, and an \u{e4}\n",
    );
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    for apt in Apt::both(&sandbox) {
        apt.use_stanza(&stanza(&sandbox));
        server.take_log();
        apt.updates();
        assert!(server.take_served().iter().any(|path| path.contains("main/i18n/by-hash/SHA256/")));
        let shown = apt.cache(&["show", "plain"]).ok().out;
        assert!(shown.contains("Description-en: short words\n Long words of it.\n .\n  * after an empty line, and an \u{e4}\n"), "{shown}");
        // Without Translation-en there is no long text: it comes from nowhere else.
        apt.forget();
        apt.update(&["-o", "Acquire::Languages=none"]).ok();
        let shown = apt.cache(&["show", "plain", "-o", "Acquire::Languages=none"]).ok().out;
        assert!(shown.contains("short words") && !shown.contains("Long words"), "{shown}");
    }
}

#[test]
fn indices_are_fetched_by_hash() {
    let sandbox = Sandbox::new();
    let server = plain_archive(&sandbox);
    sandbox.commit(&Build::of("small").folder, &[]).ok(); // apt does not fetch an empty Sources
    sandbox.dists(&[]).ok();
    for apt in Apt::both(&sandbox) {
        apt.use_stanza(&stanza(&sandbox));
        server.take_log();
        apt.updates();
        let log = server.take_log();
        assert!(log.iter().all(|(_, status)| *status == 200), "nothing is asked for in vain: {log:?}");
        let mut folders: Vec<&str> = Vec::new();
        for (path, _) in log.iter().filter(|(path, _)| path != "dists/trixie/InRelease") {
            let (folder, digest) = path
                .strip_prefix("dists/trixie/")
                .unwrap()
                .split_once("/by-hash/SHA256/")
                .unwrap_or_else(|| panic!("{path} is not by hash"));
            assert_eq!(digest.len(), 64);
            folders.push(folder);
        }
        folders.sort_unstable();
        assert_eq!(folders, ["main/binary-amd64", "main/i18n", "main/source"]);
    }
}

#[test]
fn a_client_without_in_release_uses_release_and_its_signature() {
    let sandbox = Sandbox::new();
    let server = plain_archive(&sandbox);
    for apt in Apt::both(&sandbox) {
        apt.use_stanza(&stanza(&sandbox));
        server.hide("dists/trixie/InRelease");
        server.take_log();
        apt.updates();
        assert_eq!(apt.versions("plain"), ["1.0-1"]);
        let served = server.take_served();
        assert!(
            served.contains(&"dists/trixie/Release".to_owned()) && served.contains(&"dists/trixie/Release.gpg".to_owned()),
            "{served:?}"
        );
        // The signature covers each byte of Release.
        let release = String::from_utf8(read(&sandbox, "dists/trixie/Release")).unwrap();
        server.change("dists/trixie/Release", release.replacen("Origin: Test", "Origin: Tset", 1).into_bytes());
        apt.forget();
        apt.refuses_update(&["BADSIG", "Message has been manipulated"]);
        assert!(apt.versions("plain").is_empty());
        server.change_nothing();
        // And so does that of InRelease.
        let in_release = String::from_utf8(read(&sandbox, "dists/trixie/InRelease")).unwrap();
        server.change("dists/trixie/InRelease", in_release.replacen("Origin: Test", "Origin: Tset", 1).into_bytes());
        apt.refuses_update(&["BADSIG", "Message has been manipulated"]);
        server.change_nothing();
        apt.updates();
    }
}

#[test]
fn gpgv_and_sqv_accept_the_signatures() {
    let sandbox = Sandbox::new();
    let _server = plain_archive(&sandbox);
    let public = sandbox.public();
    let at = |path: &str| public.join(path).display().to_string();
    sandbox.run("gpg", &["--dearmor", "-o", "keyring.gpg", &at("archive-keyring.asc")]).ok();
    let keyring = sandbox.path("keyring.gpg").display().to_string();
    let plain = read(&sandbox, "dists/trixie/Release");
    sandbox.run("gpgv", &["--keyring", &keyring, "--output", "signed", &at("dists/trixie/InRelease")]).ok();
    assert_eq!(std::fs::read(sandbox.path("signed")).unwrap(), plain, "InRelease holds Release");
    sandbox.run("gpgv", &["--keyring", &keyring, &at("dists/trixie/Release.gpg"), &at("dists/trixie/Release")]).ok();
    let changed = sandbox.write("changed", flipped(plain.clone()));
    sandbox.run("gpgv", &["--keyring", &keyring, &at("dists/trixie/Release.gpg"), changed.to_str().unwrap()]).exits(1);

    let apt = Apt::of_trixie(&sandbox);
    for (name, path) in [
        ("keyring", "archive-keyring.asc"),
        ("InRelease", "dists/trixie/InRelease"),
        ("Release", "dists/trixie/Release"),
        ("Release.gpg", "dists/trixie/Release.gpg"),
    ] {
        apt.write(&format!("work/{name}"), read(&sandbox, path));
    }
    apt.write("work/changed", flipped(plain.clone()));
    apt.run(&["sqv", "--keyring=keyring", "--output=signed", "--cleartext", "InRelease"]).ok();
    // The last line's end is no part of a cleartext (RFC 9580, 7.2), and sqv leaves it out.
    assert_eq!(std::fs::read(apt.downloaded("signed")).unwrap(), plain.strip_suffix(b"\n").unwrap());
    apt.run(&["sqv", "--keyring=keyring", "--signature-file=Release.gpg", "Release"]).ok();
    apt.run(&["sqv", "--keyring=keyring", "--signature-file=Release.gpg", "changed"]).exits(1);
}

#[test]
fn a_client_that_knows_one_of_two_keys_is_content() {
    let sandbox = Sandbox::new();
    let _server = plain_archive(&sandbox);
    let first = std::fs::read_to_string(sandbox.public().join("archive-keyring.asc")).unwrap();
    let first_path = std::fs::read_dir(sandbox.archive().join("keys"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|ending| ending == "asc"))
        .unwrap();
    let apts = Apt::both(&sandbox);
    for apt in &apts {
        apt.use_stanza(&stanza_for(&sandbox, &first));
        apt.updates();
    }
    let (_, second) = new_key(&sandbox, "two");
    sandbox.dists(&[]).ok();
    for apt in &apts {
        apt.updates(); // the old client, with the old lists
        for stanza in [stanza_for(&sandbox, &first), stanza_for(&sandbox, &second), stanza(&sandbox)] {
            apt.forget();
            apt.use_stanza(&stanza);
            apt.update(&[]).ok();
            assert_eq!(apt.versions("plain"), ["1.0-1"]);
        }
    }
    // The first key retires.
    sandbox.git(&["rm", "-q", first_path.to_str().unwrap()]).ok();
    sandbox.git(&["commit", "-q", "-m", "Retire the first key."]).ok();
    sandbox.dists(&[]).ok();
    for apt in &apts {
        apt.forget();
        apt.use_stanza(&stanza_for(&sandbox, &second));
        apt.updates();
        apt.forget();
        apt.use_stanza(&stanza_for(&sandbox, &first));
        apt.refuses_update(&["NO_PUBKEY", "Missing key"]);
    }
}

/// Options for a machine of another architecture with nothing installed.
const ARM64: [&str; 6] = ["-o", "APT::Architecture=arm64", "-o", "APT::Architectures=arm64", "-o", "Dir::State::status=/dev/null"];

#[test]
fn an_architecture_that_lags_behind_stays_installable() {
    let sandbox = Sandbox::new();
    let server = archive(&sandbox, &["--architecture", "arm64"]);
    let part = |folder: &str, package: &str, version: &str, architecture: &str, fields: &str| {
        sandbox.deb(folder, package, version, architecture, &format!("Source: lag\n{fields}"));
    };
    for (folder, version, architecture) in
        [("1-amd64", "1.0-1", "amd64"), ("1-arm64", "1.0-1", "arm64"), ("2-amd64", "2.0-1", "amd64"), ("2-arm64", "2.0-1", "arm64")]
    {
        part(folder, "lag", version, architecture, &format!("Depends: lag-data (= {version})\n"));
        if architecture == "amd64" {
            part(folder, "lag-data", version, "all", "Depends: lag-common\n");
            part(folder, "lag-common", version, "all", "");
        }
    }
    let builds = [Build::of("two-amd64"), Build::of("two-arm64")];
    for build in &builds {
        sandbox.commit(&build.folder, &[]).ok();
    }
    let publish = |folders: &[&str]| {
        for folder in folders {
            sandbox.commit(folder, &[]).ok();
        }
        sandbox.dists(&[]).ok();
    };
    let apts = Apt::both_to_install(&sandbox);
    let check = |amd64: &str, arm64: &str| {
        for apt in &apts {
            apt.use_stanza(&stanza(&sandbox));
            apt.forget();
            server.take_log();
            apt.updates();
            // Each machine sees its own architecture's indices only: the other's hold arch:all packages that do not fit.
            assert!(server.take_served().iter().all(|path| !path.contains("-arm64/")));
            installs_simulated(apt, &[], "lag", amd64);
            apt.forget();
            server.take_log();
            apt.update(&ARM64).ok();
            assert!(server.take_served().iter().all(|path| !path.contains("-amd64/")));
            installs_simulated(apt, &ARM64, "lag", arm64);
            let files = apt.get(&[&["download", "lag", "lag-data", "lag-common"], &ARM64[..]].concat());
            files.ok();
            assert!(
                apt.downloaded(&format!("lag_{arm64}_arm64.deb")).exists() && apt.downloaded(&format!("lag-data_{arm64}_all.deb")).exists()
            );
            let real: Vec<String> = builds[1]
                .files(".deb")
                .iter()
                .filter(|file| !file.contains("-dbgsym_"))
                .map(|file| file.split('_').next().unwrap().to_owned())
                .collect();
            let real: Vec<&str> = real.iter().map(String::as_str).collect();
            apt.get(&[&["download"], &real[..], &ARM64[..]].concat()).ok();
        }
    };
    publish(&["1-amd64", "1-arm64"]);
    check("1.0-1", "1.0-1");
    publish(&["2-amd64"]);
    check("2.0-1", "1.0-1");
    // Really, with dpkg.
    let trixie = &apts[1];
    trixie.forget();
    trixie.updates();
    trixie.get(&["install", "lag"]).ok();
    trixie.run(&["dpkg", "--verify", "lag", "lag-data"]).ok();
    trixie.get(&["purge", "lag", "lag-data", "lag-common"]).ok();
    publish(&["2-arm64"]);
    check("2.0-1", "2.0-1");
}

#[track_caller]
fn installs_simulated(apt: &Apt<'_>, options: &[&str], package: &str, version: &str) {
    let run = apt.get(&[&["-s", "install", package], options].concat()).ok();
    for name in [package.to_owned(), format!("{package}-data"), format!("{package}-common")] {
        assert!(run.out.contains(&format!("Inst {name} ({version} ")), "{:?}: {name} {version}\n{}", apt.kind, run.out);
    }
}
