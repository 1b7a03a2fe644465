//! Releases in real Sigsum logs with real witnesses: what is published with a proof, what stops a publish, and whether
//! sigsum-verify has the same opinion.

mod agreeing;
mod bucket;
mod failing;
mod lying;
pub mod site;
mod stopped;
pub mod suite;
mod together;
mod tokens;
mod witnesses;

use std::path::Path;

use ddb::formats::sigsum::Proof;
use ddb::formats::staple::{stapled, without};
use ddb::words::archive::LogKind;

use crate::client::Apt;
use crate::gateway::Gateway;
use crate::sandbox::Sandbox;
use site::{Log, configure, give_key, sigsum_verify};

const POLICY: &str = "archive/keys/sigsum.policy";

/// An archive with a package, not published yet.
fn with_package() -> Sandbox {
    let sandbox = Sandbox::with_archive();
    sandbox.deb("out", "plain", "1.0-1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    sandbox
}

/// The same with a log that it must use.
fn with_log(sandbox: &mut Sandbox, lines: &str, more: &str) {
    configure(sandbox, lines, more);
    give_key(sandbox);
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()))
}

fn sha256(sandbox: &Sandbox, file: &str) -> String {
    sandbox.run("sha256sum", &[file]).ok().out.split(' ').next().unwrap().to_owned()
}

#[test]
fn a_release_comes_with_a_proof_that_stock_tools_accept_and_stock_apt_passes_over() {
    let mut sandbox = with_package();
    let server = crate::server::Server::of(&sandbox.public());
    let directory = tempfile::tempdir().unwrap();
    let keeper = Sandbox::new();
    let log = Log::start(&keeper, "log");
    with_log(&mut sandbox, &format!("{}quorum log\n", log.lines()), "");
    let settings = std::fs::read_to_string(sandbox.path("archive/ddb.toml")).unwrap();
    let url = format!("[archive]\nurl = \"{}\"\n", server.url());
    sandbox.write("archive/ddb.toml", settings.replacen("[archive]\n", &url, 1));
    sandbox.git(&["commit", "-q", "-a", "-m", "Say where clients come"]).ok();
    // The first tree has one leaf, and a proof of it no path.
    for (number, renew) in [(1, "--repair"), (2, "--renew"), (3, "--renew")] {
        let answer = sandbox.dists(&["--json", renew]).ok().json();
        assert_eq!(answer["suites"][0]["logs"][0], "sigsum");
        let dists = sandbox.public().join("dists/trixie");
        let release = read(&dists.join("Release"));
        let proof = read(&dists.join("Release.proof"));
        let parsed = Proof::parse(&proof).unwrap();
        assert_eq!((parsed.tree_head.size, parsed.inclusion.path.is_empty()), (number, number == 1));
        sigsum_verify(&sandbox, "archive/public/dists/trixie/Release.proof", "archive/public/dists/trixie/Release", POLICY).ok();
        for signed in ["InRelease", "Release.gpg"] {
            assert_eq!(stapled(&read(&dists.join(signed)), LogKind::Sigsum).unwrap().unwrap(), proof, "{signed}");
        }
        let digest = sha256(&sandbox, "archive/public/dists/trixie/Release");
        assert_eq!(read(&dists.join(format!("tlog/{digest}.release"))), release);
        assert_eq!(read(&dists.join(format!("tlog/{digest}.proof"))), proof);
        assert_eq!(std::fs::read_dir(dists.join("tlog")).unwrap().count() as u64, 2 * number, "nothing is removed");
        let kept = sandbox.git(&["show", "ddb/releases/trixie:Release.proof"]).ok().out;
        assert_eq!(kept.as_bytes(), proof);
        std::fs::write(directory.path().join(format!("{digest}.proof")), &proof).unwrap();
    }
    for apt in Apt::both(&sandbox) {
        apt.use_stanza(&std::fs::read_to_string(sandbox.public().join("trixie.sources")).unwrap());
        apt.updates();
        assert_eq!(apt.versions("plain"), ["1.0-1"], "{:?}", apt.kind);
        // The detached pair, where there is no InRelease.
        server.hide("dists/trixie/InRelease");
        apt.forget();
        apt.update(&[]).ok();
        server.change_nothing();
    }
    assert_eq!(sandbox.dists(&["--json"]).ok().json()["suites"][0]["outcome"], "unchanged");
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
    let answer = sandbox.publish(&["-C", "archive", "log", "--json"]).ok().json();
    assert_eq!(answer["suites"][0]["logs"][0]["proof"], "good");
    assert_eq!(log.size(), 3, "one leaf for each Release");

    // The same by the gateway and in an export, also of Releases before the newest.
    let gateway = Gateway::of(&sandbox, &[]);
    sandbox.publish(&["-C", "archive", "export", "exported"]).ok();
    let proof = read(&sandbox.public().join("dists/trixie/Release.proof"));
    let answer = gateway.get("/dists/trixie/Release.proof", &[]);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/plain; charset=utf-8")));
    assert_eq!(answer.body, proof);
    assert_eq!(read(&sandbox.path("exported/dists/trixie/Release.proof")), proof);
    for file in std::fs::read_dir(sandbox.public().join("dists/trixie/tlog")).unwrap() {
        let file = file.unwrap();
        let path = format!("/dists/trixie/tlog/{}", file.file_name().to_str().unwrap());
        let answer = gateway.get(&path, &[]);
        assert_eq!((answer.status, answer.body), (200, read(&file.path())), "{path}");
        assert!(answer.headers.iter().any(|(name, value)| name == "cache-control" && value.contains("immutable")));
    }
    let unknown = format!("/dists/trixie/tlog/{}.proof", "0".repeat(64));
    assert_eq!(gateway.get(&unknown, &[]).status, 404);
    let exported = std::fs::read_dir(sandbox.path("exported/dists/trixie/tlog")).unwrap().count();
    assert_eq!(exported, 2, "an export holds the Release that it is of");

    // A tampered proof is noticed, and comes back.
    let file = sandbox.public().join("dists/trixie/Release.proof");
    std::fs::write(&file, b"version=2\n").unwrap();
    sandbox.deploy(&["-C", "archive", "fsck"]).exits(8);
    sandbox.dists(&["--repair"]).ok();
    assert_eq!(read(&file), proof);
}

#[test]
fn an_agent_signs_and_a_key_that_is_not_there_stops_a_publish_before_anything_is_staged() {
    let mut sandbox = with_package();
    let keeper = Sandbox::new();
    let log = Log::start(&keeper, "log");
    configure(&sandbox, &format!("{}quorum log\n", log.lines()), "");
    let staged = |sandbox: &Sandbox| sandbox.git(&["rev-parse", "-q", "--verify", "ddb/releases/trixie"]).code == 0;
    sandbox.dists(&[]).exits(7).says("there is no secret key");
    assert!(!staged(&sandbox));
    // Another key than the configured one, and a key with a passphrase.
    site::submit_key(&sandbox, "other");
    let other = sandbox.path("other").display().to_string();
    sandbox.dists(&["--sigsum-key-file", &other]).exits(7).says("and not that of");
    let protected = sandbox.path("protected").display().to_string();
    sandbox.run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "secret words", "-f", &protected]).ok();
    sandbox.dists(&["--sigsum-key-file", &protected]).exits(7).says("protected by a passphrase");
    assert!(!staged(&sandbox));

    let socket = sandbox.path("agent").display().to_string();
    let mut agent = sandbox.command("ssh-agent", &["-D", "-a", &socket]).stdout(std::process::Stdio::null()).spawn().unwrap();
    sandbox.environment.insert("SSH_AUTH_SOCK".to_owned(), socket.clone());
    while !Path::new(&socket).exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    sandbox.dists(&[]).exits(7).says("does not have the key");
    sandbox.run("ssh-add", &["-q", &sandbox.path("submit").display().to_string()]).ok();
    sandbox.dists(&[]).ok();
    agent.kill().unwrap();
    agent.wait().unwrap();
    sandbox.environment.remove("SSH_AUTH_SOCK");
    sigsum_verify(&sandbox, "archive/public/dists/trixie/Release.proof", "archive/public/dists/trixie/Release", POLICY).ok();

    // One line, for a masked variable; and the file that an option names.
    let line = sandbox.run("base64", &["-w0", &sandbox.path("submit").display().to_string()]).ok().out;
    sandbox.environment.insert("DDB_SIGSUM_KEY".to_owned(), line.clone());
    let run = sandbox.dists(&["--renew", "-v"]).ok();
    assert!(!run.err.contains(&line) && !run.out.contains(&line));
    sandbox.environment.remove("DDB_SIGSUM_KEY");
    sandbox.dists(&["--renew", "--sigsum-key-file", &sandbox.path("submit").display().to_string()]).ok();
    assert_eq!(log.size(), 3);

    // The end of the file is the secret part.
    let key = std::fs::read_to_string(sandbox.path("submit")).unwrap();
    let secret = key.lines().rev().nth(2).unwrap();
    let history = sandbox.git(&["cat-file", "--batch-all-objects", "--batch"]).ok().out;
    let files = sandbox.run("grep", &["-rF", secret, "archive"]);
    assert!(secret.len() > 40 && !history.contains(secret) && files.code == 1, "{files:?}");
}

#[test]
fn without_staples_signatures_stay_as_they_were_and_a_staple_changes_nothing_else() {
    let mut sandbox = with_package();
    let keeper = Sandbox::new();
    let log = Log::start(&keeper, "log");
    with_log(&mut sandbox, &format!("{}quorum log\n", log.lines()), "staple = false\n");
    sandbox.dists(&[]).ok();
    let in_release = sandbox.public().join("dists/trixie/InRelease");
    let plain = read(&in_release);
    assert_eq!(stapled(&plain, LogKind::Sigsum).unwrap(), None);
    configure(&sandbox, &format!("{}quorum log\n", log.lines()), "");
    assert_eq!(sandbox.dists(&["--json"]).ok().json()["suites"][0]["outcome"], "repaired");
    let with = read(&in_release);
    assert!(stapled(&with, LogKind::Sigsum).unwrap().is_some());
    assert_eq!(without(&with, LogKind::Sigsum).unwrap(), plain);
    assert_eq!(log.size(), 1, "the proof that was there is good enough");
}
