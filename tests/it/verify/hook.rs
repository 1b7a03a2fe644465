//! The plugin of apt-verify, run by both apts as `_apt`: an opted-in archive needs a good proof in its InRelease, others do not.

use std::os::unix::fs::PermissionsExt as _;

use ddb::words::archive::LogKind;

use super::plain_archive;
use crate::client::{Apt, Kind, as_root};
use crate::sandbox::{Run, Sandbox, cache};
use crate::server::Server;
use crate::sigsum::site::{Log, configure, give_key, submit_key};

/// One apt that calls the plugin: the machine's through apt-verify, trixie's through the script that takes its place.
pub(super) struct Hooked<'a> {
    sandbox: &'a Sandbox,
    pub(super) apt: Apt<'a>,
}

impl<'a> Hooked<'a> {
    /// `pins` are files of the sandbox that are put into `pins/` of its folder.
    pub(super) fn new(sandbox: &'a Sandbox, apt: Apt<'a>, pins: &[&str]) -> Self {
        let hooked = Self { sandbox, apt };
        let apt = &hooked.apt;
        let inside = apt.inside();
        // The plugin is run as _apt, who may look into no folder of whoever builds.
        place(env!("CARGO_BIN_EXE_ddb-publish"), &apt.of_system(PROGRAM));
        let verify = match apt.kind {
            // apt 3 conflicts with apt-verify: our own script takes its place.
            Kind::Trixie | Kind::Sid => {
                for package in ["libgpg-error0", "libgcrypt20", "gpgv"] {
                    std::fs::copy(cache(&format!("apt-verify/{package}.deb")), apt.path(&format!("work/{package}.deb"))).unwrap();
                }
                apt.run(&["dpkg", "-i", "libgpg-error0.deb", "libgcrypt20.deb", "gpgv.deb"]).ok();
                String::new()
            }
            // The machine's /etc is not ours: its script with another folder.
            Kind::Machine => {
                let script = std::fs::read_to_string(cache("apt-verify/root/usr/bin/apt-verify")).unwrap();
                let folder = format!("{inside}/etc/apt/verify.d");
                assert!(script.contains("/etc/apt/verify.d"));
                apt.write("usr/bin/apt-verify", script.replace("/etc/apt/verify.d", &folder));
                std::fs::set_permissions(apt.path("usr/bin/apt-verify"), std::fs::Permissions::from_mode(0o755)).unwrap();
                place("/usr/bin/gpgv", &apt.path("usr/bin/gpgv"));
                std::fs::create_dir(apt.path("etc/apt/verify.d")).unwrap();
                std::os::unix::fs::symlink("/usr/bin/gpgv", apt.path("etc/apt/verify.d/gpgv")).unwrap();
                format!("APT::Key::gpgvcommand \"{inside}/usr/bin/apt-verify\";\n")
            }
        };
        let user = "APT::Sandbox::User \"_apt\";\n";
        apt.write("etc/apt/apt.conf.d/75verify", format!("{verify}{user}"));
        // A line of apt.conf counts more than a part.
        let own = std::fs::read_to_string(apt.path("apt.conf")).unwrap().replace("APT::Sandbox::User \"root\";\n", user);
        apt.write("apt.conf", own);
        std::fs::create_dir(apt.path("pins")).unwrap();
        for file in pins {
            std::fs::copy(sandbox.path(file), apt.path(&format!("pins/{file}"))).unwrap();
        }
        apt.forget_lists(sandbox);
        hooked
    }

    /// Installs as somebody whose new files are for nobody else.
    pub(super) fn install(&self, more: &[&str]) -> Run {
        let (apt, inside) = (&self.apt, self.apt.inside());
        // The machine's apt has its own folder for a system, and runs outside of it.
        let root = if apt.kind == Kind::Machine { inside.as_str() } else { "/" };
        let program = if apt.kind == Kind::Machine { format!("{inside}{PROGRAM}") } else { PROGRAM.to_owned() };
        let arguments = ["apt-verify-hook", "--install", "--program", PROGRAM, "--root", root];
        let umask = ["sh", "-c", "umask 077; exec \"$@\"", "sh", &program];
        let run = apt.run(&[&umask[..], &arguments, more].concat());
        if apt.kind == Kind::Machine {
            let plugin = apt.path("etc/apt/verify.d/50-ddb");
            from_outside(&plugin, &inside);
        } else if run.code == 0 {
            let part = "etc/apt/apt.conf.d/74ddb-verify";
            std::fs::copy(apt.of_system(part), apt.path(part)).unwrap();
        }
        run
    }

    fn opt_in(&self) -> Run {
        let [keyring, key, policy] = PINS.map(|file| format!("{}/pins/{file}", self.apt.inside()));
        self.install(&["--keyring", &keyring, "--origin", "Test", "--sigsum-key", &key, "--sigsum-policy", &policy])
    }

    /// An update that refuses the archive and stores nothing.
    #[track_caller]
    pub(super) fn refuses(&self) -> String {
        self.apt.forget_lists(self.sandbox);
        let run = self.apt.update(&[]);
        assert!(run.code == 100 && self.apt.versions("plain").is_empty(), "{:?}: {}\n{}{}", self.apt.kind, run.code, run.out, run.err);
        run.err + &run.out
    }

    #[track_caller]
    fn accepts(&self, version: &str) {
        self.apt.forget_lists(self.sandbox);
        let run = self.apt.update(&[]);
        assert_eq!(run.code, 0, "{:?}: {}{}", self.apt.kind, run.out, run.err);
        assert_eq!(self.apt.versions("plain"), [version]);
    }
}

impl Apt<'_> {
    /// Forgets what was fetched; `_apt` may fetch again.
    pub(super) fn forget_lists(&self, sandbox: &Sandbox) {
        self.forget();
        as_root(sandbox, &["chown", "_apt", self.path("var/lib/apt/lists/partial").to_str().unwrap()]).ok();
    }
}

/// Where the program is, in the system that apt is of.
pub(super) const PROGRAM: &str = "/usr/bin/ddb-publish";

/// Copies a program to where everybody can run it.
pub(super) fn place(program: &str, path: &std::path::Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    // By another process: a program that this one has open for writing cannot be run while another test starts one.
    assert!(std::process::Command::new("cp").arg(program).arg(path).status().unwrap().success());
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Makes a script of a system below a folder one that works outside of it.
pub(super) fn from_outside(script: &std::path::Path, root: &str) {
    let text = std::fs::read_to_string(script).unwrap();
    assert!(text.contains(&format!("'{PROGRAM}'")) && text.contains(" /etc/ddb/verify.d "), "{text}");
    let text = text.replace(&format!("'{PROGRAM}'"), &format!("'{root}{PROGRAM}'"));
    std::fs::write(script, text.replace(" /etc/ddb/verify.d ", &format!(" {root}/etc/ddb/verify.d "))).unwrap();
}

/// What an owner hands out: who signs, who submits to the log, which logs and witnesses count.
const PINS: [&str; 3] = ["pinned.asc", "submit.pub", "policy"];

#[test]
fn both_apts_refuse_an_opted_in_archive_without_a_good_proof_and_leave_others_alone() {
    let keeper = Sandbox::new();
    let log = Log::start(&keeper, "log");
    let mut sandbox = Sandbox::with_archive();
    let server = Server::of(&sandbox.public());
    sandbox.deb("out", "plain", "1.0-1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    let policy = format!("{}quorum log\n", log.lines());
    configure(&sandbox, &policy, "");
    let settings = std::fs::read_to_string(sandbox.path("archive/ddb.toml")).unwrap();
    sandbox.write("archive/ddb.toml", settings.replacen("[archive]\n", &format!("[archive]\nurl = \"{}\"\n", server.url()), 1));
    sandbox.git(&["commit", "-q", "-a", "-m", "Say where clients come"]).ok();
    give_key(&mut sandbox);
    sandbox.dists(&[]).ok();
    sandbox.write("policy", &policy);
    std::fs::copy(sandbox.public().join("archive-keyring.asc"), sandbox.path("pinned.asc")).unwrap();
    let stanza = std::fs::read_to_string(sandbox.public().join("trixie.sources")).unwrap();
    let in_release = "dists/trixie/InRelease";
    let good = std::fs::read(sandbox.public().join(in_release)).unwrap();
    let bare = ddb::formats::staple::without(&good, LogKind::Sigsum).unwrap();
    let proof = std::fs::read(sandbox.public().join("dists/trixie/Release.proof")).unwrap();

    let [machine, trixie] = Apt::both_to_install(&sandbox);
    for hooked in [machine, trixie].map(|apt| Hooked::new(&sandbox, apt, &PINS)) {
        let apt = &hooked.apt;
        apt.use_stanza(&stanza);
        // Nobody is opted in: nothing changes, with or without a proof.
        hooked.install(&[]).ok();
        hooked.accepts("1.0-1");
        server.change(in_release, bare.clone());
        hooked.accepts("1.0-1");

        let run = hooked.opt_in().ok();
        assert!(run.out.contains("1 archive is opted in.") && !run.out.contains("note:"), "{}", run.out);
        let said = hooked.refuses();
        assert!(said.contains("not signed") || said.contains("apt-verify"), "{said}");
        server.change_nothing();
        hooked.accepts("1.0-1");
        // The detached signature carries its proof too.
        server.hide(in_release);
        hooked.accepts("1.0-1");
        server.change_nothing();

        // A proof that is cut off, changed, or none at all.
        let mut changed = proof.clone();
        let last = changed.len() - 2;
        changed[last] = if changed[last] == b'0' { b'1' } else { b'0' };
        for bad in [proof[..proof.len() / 2].to_vec(), changed, b"version=2\n".to_vec()] {
            server.change(in_release, ddb::formats::staple::staple(&bare, LogKind::Sigsum, &bad).unwrap());
            hooked.refuses();
        }
        server.change_nothing();
        hooked.accepts("1.0-1");

        // The plugin does not replace gpgv: a changed text is still refused.
        let text = String::from_utf8(good.clone()).unwrap().replacen("Origin: Test", "Origin: Tset", 1);
        server.change(in_release, text.into_bytes());
        hooked.refuses();
        server.change_nothing();

        // A thief with the OpenPGP key writes another Origin and has no proof; who signed is what counts.
        let victim = stolen(&sandbox);
        server.change(in_release, victim);
        hooked.refuses();
        server.change_nothing();

        // A configuration that cannot be used lets nothing pass; another key that submits does not either.
        let conf = apt.of_system("etc/ddb/verify.d/archive.conf");
        let right = std::fs::read_to_string(&conf).unwrap();
        for wrong in [String::new(), "Sigsum-Key: nosuch.pub\n".to_owned(), "nonsense".to_owned(), right.replace("Signed-By", "Signed")] {
            std::fs::write(&conf, wrong).unwrap();
            hooked.refuses();
        }
        std::fs::write(&conf, &right).unwrap();
        hooked.accepts("1.0-1");
        let stranger = submit_key(&keeper, &format!("stranger-{:?}", apt.kind));
        let submit = apt.of_system("etc/ddb/verify.d/archive.pub");
        let own = std::fs::read(&submit).unwrap();
        std::fs::write(&submit, stranger).unwrap();
        hooked.refuses();
        std::fs::write(&submit, own).unwrap();
        hooked.accepts("1.0-1");

        // A program that does not run lets nothing pass: apt does not go on to gpgv alone.
        let program = apt.of_system(PROGRAM);
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        hooked.refuses();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        hooked.accepts("1.0-1");
        std::fs::rename(&program, program.with_extension("gone")).unwrap();
        hooked.refuses();
        std::fs::rename(program.with_extension("gone"), &program).unwrap();
        hooked.accepts("1.0-1");

        // The same Origin with a key that the keyring does not have, and no proof.
        let mut other = plain_archive("2026-11-01T00:00:00Z");
        let beside = Server::of(&other.public());
        let text = std::fs::read_to_string(other.public().join("trixie.sources")).unwrap();
        let address = text.lines().find_map(|line| line.strip_prefix("URIs: ")).unwrap().to_owned();
        apt.use_stanza(&text.replace(&address, &beside.url()));
        hooked.refuses();
        // Another archive without any proof is left alone.
        let settings = std::fs::read_to_string(other.path("archive/ddb.toml")).unwrap();
        other.write("archive/ddb.toml", settings.replace("\"Test\"", "\"Other\""));
        other.git(&["commit", "-q", "-a", "-m", "Another Origin."]).ok();
        super::set_time(&mut other, "2026-11-01T00:00:01Z");
        other.dists(&[]).ok();
        hooked.accepts("1.0-1");
        // Unless its Origin is opted in.
        let recognised = |by: &str| right.replace("Signed-By: archive.asc\nOrigin: Test\n", by);
        std::fs::write(&conf, recognised("Origin: Other\nSuite: trixie\n")).unwrap();
        hooked.refuses();
        std::fs::write(&conf, recognised("Origin: Other\nSuite: sid\n")).unwrap();
        hooked.accepts("1.0-1");
        // Only the archives that are opted in need the configuration; its folder has to be there.
        std::fs::remove_file(&conf).unwrap();
        hooked.accepts("1.0-1");
        std::fs::remove_dir_all(conf.parent().unwrap()).unwrap();
        hooked.refuses();
    }
}

/// What a thief signs with the archive's own key: other packages, another Origin, no proof.
fn stolen(sandbox: &Sandbox) -> Vec<u8> {
    sandbox.run("rm", &["-rf", "stolen"]).ok();
    sandbox.run("cp", &["-a", "archive", "stolen"]).ok();
    let settings = std::fs::read_to_string(sandbox.path("stolen/ddb.toml")).unwrap();
    let settings = settings.split("\n[logs.sigsum]").next().unwrap().replace("\"Test\"", "\"Debian\"");
    sandbox.write("stolen/ddb.toml", settings);
    sandbox.run("git", &["-C", "stolen", "commit", "-q", "-a", "-m", "Steal."]).ok();
    sandbox.publish(&["-C", "stolen", "dists", "trixie", "--renew"]).ok();
    let signed = std::fs::read(sandbox.path("stolen/public/dists/trixie/InRelease")).unwrap();
    assert!(String::from_utf8_lossy(&signed).contains("Origin: Debian"));
    signed
}
