//! Three who look at an archive that somebody attacks: stock apt, `verify` with pinned keys and policy, and the hook with what apt
//! hands over to it. What each of them sees stands in the table of attacks.

use ddb::formats::staple;
use ddb::words::archive::LogKind;

use crate::client::Apt;
use crate::sandbox::{Run, Sandbox};
use crate::server::Server;
use crate::sigsum::site::{configure, give_key};

/// A policy that nothing is checked against: for archives that are in no log.
pub const NO_LOG: &str = "log 0ec7e16843119b120377a73913ac6acbc2d03d82432e2c36b841b09a95841f25\nquorum none\n";

/// What the three make of an archive.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    /// The versions of the package `plain` that stock apt offers after an update; `None` where it refuses the update.
    pub apt: Option<Vec<String>>,
    /// The exit code of `verify`.
    pub verify: i32,
    /// The exit code of the hook: 0 leaves it to gpgv.
    pub hook: i32,
}

impl Seen {
    /// What is seen where apt offers this version.
    pub fn offered(version: &str, verify: i32, hook: i32) -> Self {
        Self { apt: Some(vec![version.to_owned()]), verify, hook }
    }

    /// What is seen where apt refuses.
    pub fn refused(verify: i32, hook: i32) -> Self {
        Self { apt: None, verify, hook }
    }
}

/// Who trusts the archive of a sandbox and its log.
pub struct Onlookers<'a> {
    sandbox: &'a Sandbox,
    pub apt: Apt<'a>,
    stanza: String,
}

/// A published archive whose Releases are in a log; `policy` says which logs and witnesses count.
pub fn logged(policy: &str) -> Sandbox {
    let mut sandbox = Sandbox::with_archive();
    sandbox.deb("out", "plain", "1.0-1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    configure(&sandbox, policy, "");
    give_key(&mut sandbox);
    sandbox.dists(&[]).ok();
    sandbox
}

impl<'a> Onlookers<'a> {
    /// They pin what the archive shows now.
    pub fn of(sandbox: &'a Sandbox, policy: &str) -> Self {
        std::fs::copy(sandbox.public().join("archive-keyring.asc"), sandbox.path("pinned.asc")).unwrap();
        sandbox.write("policy", policy);
        let conf = "Signed-By: ../pinned.asc\nOrigin: Test\nSigsum-Key: ../submit.pub\nSigsum-Policy: ../policy\n";
        sandbox.write("hook.d/archive.conf", conf);
        let stanza = std::fs::read_to_string(sandbox.public().join("trixie.sources")).unwrap();
        Self { sandbox, apt: Apt::of_machine(sandbox), stanza }
    }

    /// What they see at an address, at first sight.
    pub fn look(&self, server: &Server) -> Seen {
        self.apt.forget();
        self.look_again(server)
    }

    /// What they see when apt has its lists from before.
    pub fn look_again(&self, server: &Server) -> Seen {
        let apt = self.update(server);
        let offered = || self.apt.versions("plain");
        Seen { apt: (apt.code == 0).then(offered), verify: self.verify(server, &[]).code, hook: self.hook(server).code }
    }

    /// An update of stock apt.
    pub fn update(&self, server: &Server) -> Run {
        let lines =
            self.stanza.lines().map(|line| if line.starts_with("URIs: ") { format!("URIs: {}", server.url()) } else { line.to_owned() });
        self.apt.use_stanza(&lines.map(|line| line + "\n").collect::<String>());
        self.apt.update(&[])
    }

    /// `verify`, with a memory of its own for each location.
    pub fn verify(&self, server: &Server, more: &[&str]) -> Run {
        let pins = ["--sigsum-policy", "policy", "--sigsum-key", "submit.pub", "--json"];
        super::verify(self.sandbox, &server.url(), &[&pins[..], more].concat())
    }

    /// The hook, with the signature and the text that apt takes out of InRelease.
    pub fn hook(&self, server: &Server) -> Run {
        let url = format!("{}dists/trixie/InRelease", server.url());
        self.sandbox.run("curl", &["-sfL", "--max-time", "20", "-o", "InRelease", &url]).ok();
        hook(self.sandbox, &std::fs::read(self.sandbox.path("InRelease")).unwrap())
    }
}

/// The hook with the configuration in `hook.d/`, and the signature and the text that apt takes out of an InRelease.
pub fn hook(sandbox: &Sandbox, in_release: &[u8]) -> Run {
    let signed = std::str::from_utf8(in_release).unwrap();
    let at = signed.find("-----BEGIN PGP SIGNATURE").unwrap();
    let (_, text) = signed[..at].split_once("\n\n").unwrap();
    sandbox.write("sig", &signed[at..]);
    sandbox.write("data", text.trim_end());
    sandbox.publish(&["apt-verify-hook", "--config", "hook.d", "--", "sig", "data"])
}

/// Publishes a newer package from a copy of the archive, with all keys that are at hand there; `logged` says whether that of the log
/// is among them. Returns the name of the copy, whose tree is below `public/`.
pub fn stolen(sandbox: &Sandbox, copy: &str, logged: bool) -> String {
    super::copy_tree(sandbox, "archive", copy);
    if !logged {
        let settings = std::fs::read_to_string(sandbox.path(format!("{copy}/ddb.toml"))).unwrap();
        sandbox.write(format!("{copy}/ddb.toml"), settings.split("\n[logs.sigsum]").next().unwrap());
        sandbox.run("git", &["-C", copy, "commit", "-q", "-a", "-m", "No log."]).ok();
    }
    sandbox.deb("evil", "plain", "6.6-6", "amd64", "");
    sandbox.deploy(&["-C", copy, "commit", "evil"]).ok();
    sandbox.publish(&["-C", copy, "dists", "trixie"]).ok();
    copy.to_owned()
}

/// Puts this proof into the armor of a tree's InRelease, and beside it.
pub fn staple_to(sandbox: &Sandbox, tree: &str, proof: &[u8]) {
    let path = sandbox.path(tree).join("dists/trixie/InRelease");
    let stapled = staple::staple(&std::fs::read(&path).unwrap(), LogKind::Sigsum, proof).unwrap();
    super::replace(&path, stapled);
    let beside = path.with_file_name("Release.proof");
    std::fs::remove_file(&beside).unwrap_or_default();
    std::fs::write(beside, proof).unwrap();
}
