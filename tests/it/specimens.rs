//! Build output that says what a test tells it to say: ar and tar archives byte by byte, .changes and .dsc with true digests,
//! and a real gpg that signs them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ddb::words::digest::{ExtraDigests, FileFacts};

use super::sandbox::Sandbox;

/// The control text of a small package, to be patched.
pub const CONTROL: &str = "Package: hello\nVersion: 1.0-1\nArchitecture: amd64\nMaintainer: Test <test@example.org>\nSection: devel\nPriority: optional\nDescription: says hello\n Long text.\n";
/// The name of its file.
pub const DEB: &str = "hello_1.0-1_amd64.deb";

/// Returns an ar header with these fields as written.
pub fn ar_header(name: &str, size: &str) -> Vec<u8> {
    format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", "0", "0", "0", "100644").into_bytes()
}

/// Returns an ar archive of these members.
pub fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, body) in members {
        bytes.extend(ar_header(name, &body.len().to_string()));
        bytes.extend(*body);
        if body.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// A tar archive under construction.
pub struct Tar(Vec<u8>);

impl Tar {
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds an entry: type flag, path (at most 100 bytes) and link target as written, body.
    pub fn entry(mut self, flag: u8, path: &str, target: &str, body: &[u8]) -> Self {
        let mut header = [0; 512];
        let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
        put(0, path.as_bytes());
        put(100, b"0000644\x000000000\x000000000\0");
        put(124, format!("{:011o}\0{:011o}\0        ", body.len(), 0).as_bytes());
        put(156, &[flag]);
        put(157, target.as_bytes());
        put(257, b"ustar  \0");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend(header);
        self.0.extend(body);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn file(self, path: &str, body: impl AsRef<[u8]>) -> Self {
        self.entry(b'0', path, "", body.as_ref())
    }

    pub fn folder(self, path: &str) -> Self {
        self.entry(b'5', path, "", b"")
    }

    pub fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

/// Returns a control.tar with this control file.
pub fn control_tar(control: impl AsRef<[u8]>) -> Vec<u8> {
    Tar::new().folder("./").file("./control", control).end()
}

/// Returns a data.tar with one file.
pub fn data_tar() -> Vec<u8> {
    Tar::new().folder("./").folder("./usr/").file("./usr/hello", "hello\n").end()
}

/// Returns a .deb with this control file.
pub fn deb(control: impl AsRef<[u8]>) -> Vec<u8> {
    deb_of(&control_tar(control), &data_tar())
}

/// Returns a .deb of these two tar archives.
pub fn deb_of(control_tar: &[u8], data_tar: &[u8]) -> Vec<u8> {
    ar(&[("debian-binary", b"2.0\n"), ("control.tar.gz", &gzip(control_tar)), ("data.tar.gz", &gzip(data_tar))])
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Returns an xz stream that unpacks to this many bytes more than the text: zeros behind it.
pub fn xz_with_zeros(text: &[u8], zeros: usize) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    write_with_zeros(&mut encoder, text, zeros);
    encoder.finish().unwrap()
}

/// The same with zstd.
pub fn zstd_with_zeros(text: &[u8], zeros: usize) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    write_with_zeros(&mut encoder, text, zeros);
    encoder.finish().unwrap()
}

fn write_with_zeros(writer: &mut impl std::io::Write, text: &[u8], zeros: usize) {
    writer.write_all(text).unwrap();
    let block = vec![0; 1 << 20];
    let mut left = zeros;
    while left > 0 {
        let length = left.min(block.len());
        writer.write_all(&block[..length]).unwrap();
        left -= length;
    }
}

/// Writes a .changes into a folder that lists these files of it; `fields` are lines that replace or follow the usual ones.
pub fn write_changes(folder: &Path, name: &str, fields: &str, files: &[&str]) -> PathBuf {
    let usual = "Format: 1.8\nDate: Mon, 23 Nov 2026 10:00:00 +0000\nSource: hello\nBinary: hello\nArchitecture: amd64\nVersion: 1.0-1\nDistribution: trixie\nUrgency: medium\nMaintainer: Test <test@example.org>\nDescription:\n hello - says hello\nChanges:\n hello (1.0-1) trixie; urgency=medium\n .\n   * Change.\n";
    let mut text = String::new();
    let given =
        |line: &str| fields.lines().any(|field| field.split_once(':').is_some_and(|(name, _)| line.starts_with(&format!("{name}:"))));
    let mut replaced = false;
    for line in usual.lines() {
        if !line.starts_with(' ') {
            replaced = given(line);
        }
        if !replaced {
            text.push_str(&format!("{line}\n"));
        }
    }
    text.push_str(fields);
    for (list, columns) in [("Checksums-Sha1", ""), ("Checksums-Sha256", ""), ("Files", "devel optional ")] {
        text.push_str(&format!("{list}:\n"));
        for file in files {
            text.push_str(&format!(" 0 0 {columns}{file}\n"));
        }
    }
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    relist(&path);
    path
}

/// Writes a .dsc of format 3.0 (native) and its tarball into a folder.
pub fn write_source(folder: &Path, source: &str, version: &str) -> PathBuf {
    std::fs::create_dir_all(folder).unwrap();
    let without_epoch = version.split_once(':').map_or(version, |(_, rest)| rest);
    let tarball = format!("{source}_{without_epoch}.tar.gz");
    std::fs::write(
        folder.join(&tarball),
        gzip(&Tar::new().folder(&format!("{source}/")).file(&format!("{source}/version"), version).end()),
    )
    .unwrap();
    let text = format!(
        "Format: 3.0 (native)\nSource: {source}\nBinary: {source}\nArchitecture: any\nVersion: {version}\nMaintainer: Test <test@example.org>\nPackage-List:\n {source} deb devel optional arch=any\nChecksums-Sha1:\n 0 0 {tarball}\nChecksums-Sha256:\n 0 0 {tarball}\nFiles:\n 0 0 {tarball}\n"
    );
    let path = folder.join(format!("{source}_{without_epoch}.dsc"));
    std::fs::write(&path, text).unwrap();
    relist(&path);
    path
}

/// Writes the true sizes and digests of the files beside it into a .dsc, .changes or .buildinfo, as debsign does.
pub fn relist(listing: &Path) {
    let mut list = String::new();
    let mut text = String::new();
    for line in std::fs::read_to_string(listing).unwrap().lines() {
        if let Some((field, _)) = line.split_once(':').filter(|_| !line.starts_with(' ')) {
            list = field.to_owned();
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let file = words
            .last()
            .map(|name| listing.parent().unwrap().join(name))
            .filter(|file| line.starts_with(' ') && words.len() >= 3 && file.is_file());
        match file {
            Some(file) if list.starts_with("Checksums-") || list == "Files" => {
                let facts = FileFacts::of(&std::fs::read(file).unwrap(), ExtraDigests { sha1: true, sha512: false });
                let digest = match list.as_str() {
                    "Checksums-Sha256" => facts.sha256.to_string(),
                    "Checksums-Sha1" => facts.sha1.unwrap().to_string(),
                    _ => facts.md5.to_string(),
                };
                text.push_str(&format!(" {digest} {} {}\n", facts.size, words[2..].join(" ")));
            }
            _ => text.push_str(&format!("{line}\n")),
        }
    }
    std::fs::write(listing, text).unwrap();
}

/// Returns the file of a folder whose name has this ending.
#[track_caller]
pub fn only(folder: &Path, ending: &str) -> PathBuf {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<PathBuf> = files.filter(|path| path.to_str().unwrap().ends_with(ending)).collect();
    assert_eq!(found.len(), 1, "{ending}: {found:?}");
    found.into_iter().next().unwrap()
}

/// Copies the files of a flat folder.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Replaces a text in a file, which must be there.
#[track_caller]
pub fn patch(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{from:?} is not in {}", file.display());
    std::fs::write(file, text.replace(from, to)).unwrap();
}

/// A real gpg with a home of its own.
pub struct Gpg {
    home: tempfile::TempDir,
}

impl Gpg {
    pub fn new() -> Self {
        // The agent's socket has a path of at most 108 bytes.
        Self { home: tempfile::Builder::new().prefix("ddb-gpg-").tempdir().unwrap() }
    }

    /// Runs gpg with input and returns what it wrote.
    pub fn run(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut command = Command::new("gpg");
        command.arg("--homedir").arg(self.home.path()).args(["--batch", "--no-tty", "--quiet", "--pinentry-mode", "loopback"]);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("gpg is needed; tests/run.sh installs it");
        let mut to = child.stdin.take().unwrap();
        let input = input.to_vec();
        let feeder = std::thread::spawn(move || to.write_all(&input));
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap().unwrap();
        assert!(output.status.success(), "gpg {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Makes a key and returns its fingerprint; `algorithm`, `usage` and `expires` as for `--quick-gen-key`.
    pub fn key(&self, user: &str, algorithm: &str, usage: &str, expires: &str, passphrase: &str) -> String {
        self.run(&["--passphrase", passphrase, "--quick-gen-key", user, algorithm, usage, expires], b"");
        let listing = String::from_utf8(self.run(&["--with-colons", "--list-keys", &format!("={user}")], b"")).unwrap();
        listing.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap().trim_matches(':').to_owned()
    }

    /// Makes a key of a year ago that was good for a month, and returns its fingerprint and how to sign with it.
    pub fn expired_key(&self, user: &str) -> (String, [String; 2]) {
        let year_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(366 * 86_400);
        let then = year_ago.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let faked = ["--faked-system-time".to_owned(), then.to_string()];
        self.run(&[&faked[0], &faked[1], "--passphrase", "", "--quick-gen-key", user, "ed25519", "sign", "1m"], b"");
        let listing = String::from_utf8(self.run(&["--with-colons", "--list-keys", &format!("={user}")], b"")).unwrap();
        (listing.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap().trim_matches(':').to_owned(), faked)
    }

    pub fn public(&self, key: &str) -> Vec<u8> {
        self.run(&["--armor", "--export", key], b"")
    }

    pub fn secret(&self, key: &str, passphrase: &str) -> Vec<u8> {
        self.run(&["--armor", "--passphrase", passphrase, "--export-secret-keys", key], b"")
    }

    /// Signs a file in clear, in place.
    pub fn clearsign(&self, key: &str, more: &[&str], file: &Path) {
        let mut arguments = vec!["--local-user", key, "--clearsign"];
        arguments.splice(0..0, more.iter().copied());
        let signed = self.run(&arguments, &std::fs::read(file).unwrap());
        std::fs::write(file, signed).unwrap();
    }

    /// Signs the .dsc (where there is one) and the .changes of a folder, as debsign does.
    pub fn sign_upload(&self, key: &str, folder: &Path) {
        let with = |ending: &str| {
            let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            files.filter(|path| path.to_str().unwrap().ends_with(ending)).collect::<Vec<_>>()
        };
        with(".dsc").iter().for_each(|file| self.clearsign(key, &[], file));
        with(".buildinfo").iter().for_each(|file| relist(file));
        for file in with(".changes") {
            relist(&file);
            self.clearsign(key, &[], &file);
        }
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").arg("--homedir").arg(self.home.path()).args(["--kill", "all"]).status();
    }
}

/// Commits a change of the archive's work tree.
pub fn commit_by_hand(sandbox: &Sandbox, message: &str) {
    sandbox.git(&["add", "-A"]).ok();
    sandbox.git(&["commit", "-q", "-m", message]).ok();
}

/// Adds lines to the archive's ddb.toml and commits it; keys without table go in front.
pub fn configure(sandbox: &Sandbox, front: &str, behind: &str) {
    let file = sandbox.archive().join("ddb.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{front}\n{text}\n{behind}\n")).unwrap();
    commit_by_hand(sandbox, "Configure the archive.");
}
