//! A second real witness program, of other authors: litewitness (torchwood), whose key an ssh agent has.

use std::process::{Child, Stdio};

use ddb::formats::openssh::public_key;
use ddb::formats::sigsum::Policy;
use ddb::formats::sigsum::verify::verify_bytes;

use super::site::{Log, configure, program, sigsum_verify};
use super::{POLICY, read, with_log, with_package};
use crate::gateway::until;
use crate::sandbox::Sandbox;

/// A running litewitness and the agent that signs for it; killed when the test ends.
struct Litewitness {
    children: Vec<Child>,
    /// Its public key in hexadecimal digits.
    key: String,
    pub url: String,
}

impl Litewitness {
    /// Starts one that knows a log, by the log's key in hexadecimal digits.
    fn start(sandbox: &Sandbox, log: &str) -> Self {
        let path = |name: &str| sandbox.path(name).display().to_string();
        let quiet = |name: &str, arguments: &[&str]| {
            let output = std::fs::File::create(sandbox.path(format!("{}.output", name.rsplit('/').next().unwrap()))).unwrap();
            sandbox.command(name, arguments).stdout(Stdio::null()).stderr(output).spawn().unwrap()
        };
        sandbox.run(&program("sigsum-key"), &["generate", "-o", &path("lite")]).ok();
        let key = sandbox.run(&program("sigsum-key"), &["to-hex", "-k", &path("lite.pub")]).ok().out.trim().to_owned();
        let agent = quiet("ssh-agent", &["-D", "-a", &path("lite.agent")]);
        until("the agent", || sandbox.path("lite.agent").exists());
        sandbox.run("env", &[&format!("SSH_AUTH_SOCK={}", path("lite.agent")), "ssh-add", "-q", &path("lite")]).ok();
        let fingerprint = sandbox.run("ssh-keygen", &["-l", "-f", &path("lite.pub")]).ok().out;
        let fingerprint = fingerprint.split(' ').nth(1).unwrap().to_owned();
        sandbox.run(&program("witnessctl"), &["add-sigsum-log", "-db", &path("lite.db"), "-key", log]).ok();
        let address = format!("127.0.0.1:{}", crate::ports::port());
        let arguments = ["-db", &path("lite.db"), "-name", "witness.example/lite", "-key", &fingerprint];
        let more = ["-ssh-agent", &path("lite.agent"), "-listen", &address];
        let witness = quiet(&program("litewitness"), &[&arguments[..], &more].concat());
        until("litewitness", || std::net::TcpStream::connect(&address).is_ok());
        Self { children: vec![witness, agent], key, url: format!("http://{address}") }
    }
}

impl Drop for Litewitness {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn cosignatures_of_another_witness_program_count_as_those_of_sigsums_own() {
    let mut sandbox = with_package();
    let keeper = Sandbox::new();
    let mut log = Log::new(&keeper, "log");
    let lite = Litewitness::start(&keeper, &log.key());
    log.also_asks(&format!("witness lite {} {}\n", lite.key, lite.url));
    log.start_witness();
    log.start_log();
    // Both must have seen it.
    let both = format!("{}witness lite {}\ngroup both all log lite\nquorum both\n", log.lines(), lite.key);
    with_log(&mut sandbox, &both, "timeout = \"100s\"\n");
    for more in [&[][..], &["--renew"]] {
        sandbox.dists(more).ok();
        sigsum_verify(&sandbox, "archive/public/dists/trixie/Release.proof", "archive/public/dists/trixie/Release", POLICY).ok();
    }
    let dists = sandbox.public().join("dists/trixie");
    let keys = [public_key(&std::fs::read_to_string(sandbox.path("submit.pub")).unwrap()).unwrap()];
    let verified =
        verify_bytes(&read(&dists.join("Release")), &read(&dists.join("Release.proof")), &keys, &Policy::parse(both.as_bytes()).unwrap());
    let mut names: Vec<String> = verified.unwrap().witnesses.into_iter().map(|(name, _)| name).collect();
    names.sort();
    assert_eq!(names, ["lite", "log"]);
    // It alone is enough where the policy says so, and not where it is down.
    log.stop_witness();
    configure(&sandbox, &format!("{}witness lite {}\nquorum lite\n", log.lines(), lite.key), "timeout = \"100s\"\n");
    sandbox.dists(&["--renew"]).ok();
    drop(lite);
    let policy = std::fs::read_to_string(sandbox.path(POLICY)).unwrap();
    configure(&sandbox, &policy, "timeout = \"4s\"\n");
    sandbox.dists(&["--renew"]).exits(13).says("0 witnesses of the policy cosigned");
}
