//! For tests: a real gpg with a home of its own, which makes keys and signatures to compare with.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::words::date::Timestamp;

/// A time for tests: 2026-09-12T07:55:41Z.
pub(crate) const NOW: Timestamp = Timestamp(1_789_199_741);

/// A gpg home in a temporary folder; its agent ends with it.
pub(crate) struct Gpg {
    home: tempfile::TempDir,
    time: Timestamp,
}

impl Gpg {
    /// Starts with an empty home, at [`NOW`].
    pub(crate) fn new() -> Self {
        let home = tempfile::Builder::new().prefix("gpg").permissions(std::fs::Permissions::from_mode(0o700)).tempdir().unwrap();
        // Passphrases are stretched as little as gpg can, for quick tests.
        std::fs::write(home.path().join("gpg-agent.conf"), "s2k-count 65536\n").unwrap();
        Self { home, time: NOW }
    }

    /// Returns the home.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Sets what gpg takes for the time.
    pub(crate) fn at(&mut self, time: Timestamp) -> &mut Self {
        self.time = time;
        self
    }

    /// Runs gpg and returns what it wrote; panics where it fails.
    pub(crate) fn run(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let time = format!("{}!", self.time.0);
        let fixed = ["--batch", "--no-tty", "--quiet", "--pinentry-mode", "loopback", "--faked-system-time", &time];
        let home = [OsStr::new("--homedir"), self.home.path().as_os_str()];
        let output = run("gpg", home.iter().copied().chain(fixed.iter().chain(arguments).map(|argument| OsStr::new(*argument))), input);
        assert!(output.status.success(), "gpg {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Makes a key without passphrase and returns its fingerprint. `usage` is as for `--quick-gen-key`.
    pub(crate) fn key(&self, user: &str, algorithm: &str, usage: &str, expires: &str) -> String {
        self.protected_key(user, algorithm, usage, expires, "")
    }

    /// Makes a key with a passphrase and returns its fingerprint.
    pub(crate) fn protected_key(&self, user: &str, algorithm: &str, usage: &str, expires: &str, passphrase: &str) -> String {
        self.run(&["--passphrase", passphrase, "--quick-gen-key", user, algorithm, usage, expires], b"");
        self.fingerprint(user)
    }

    /// Adds a subkey.
    pub(crate) fn subkey(&self, fingerprint: &str, algorithm: &str, usage: &str, expires: &str) {
        self.run(&["--passphrase", "", "--quick-add-key", fingerprint, algorithm, usage, expires], b"");
    }

    /// Returns the fingerprint of the primary key of a user.
    pub(crate) fn fingerprint(&self, user: &str) -> String {
        let listing = String::from_utf8(self.run(&["--with-colons", "--list-keys", &format!("={user}")], b"")).unwrap();
        listing.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap().trim_matches(':').to_owned()
    }

    /// Returns an armored certificate.
    pub(crate) fn public(&self, fingerprint: &str) -> Vec<u8> {
        self.run(&["--armor", "--export", fingerprint], b"")
    }

    /// Returns the armored secret key.
    pub(crate) fn secret(&self, fingerprint: &str, passphrase: &str) -> Vec<u8> {
        self.run(&["--armor", "--passphrase", passphrase, "--export-secret-keys", fingerprint], b"")
    }

    /// Revokes a key with the certificate that gpg made beside it.
    pub(crate) fn revoke(&self, fingerprint: &str) {
        let path = self.home.path().join(format!("openpgp-revocs.d/{fingerprint}.rev"));
        let revocation = std::fs::read_to_string(path).unwrap().replace(":-----BEGIN", "-----BEGIN");
        self.run(&["--import"], revocation.as_bytes());
    }

    /// Signs a text in clear.
    pub(crate) fn clearsign(&self, fingerprint: &str, digest: &str, text: &[u8]) -> Vec<u8> {
        self.run(&["--allow-weak-digest-algos", "--digest-algo", digest, "--local-user", fingerprint, "--clearsign"], text)
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").arg("--homedir").arg(self.home.path()).args(["--kill", "all"]).status();
    }
}

/// Runs a program with input.
pub(crate) fn run<A: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>, input: &[u8]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|fault| panic!("{program} is needed ({fault}); tests/run.sh installs it"));
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

/// Returns the machine's time, for programs that cannot be told another.
pub(crate) fn clock() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(since.as_secs().try_into().unwrap())
}
