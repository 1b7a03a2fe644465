//! Small ar and tar writers for tests: they write what they are told, malformed things too.

#![allow(clippy::unwrap_used)]

/// Returns an ar header with these fields as written.
pub(crate) fn ar_header(name: &str, size: &str, end: &str) -> Vec<u8> {
    format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}{end}", "0", "0", "0", "100644").into_bytes()
}

/// Returns an ar archive of these members.
pub(crate) fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, body) in members {
        bytes.extend(ar_header(name, &body.len().to_string(), "`\n"));
        bytes.extend(*body);
        if body.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// A tar archive under construction.
#[derive(Clone)]
pub(crate) struct Tar(Vec<u8>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn raw(mut self, flag: u8, path: &[u8], target: &[u8], body: &[u8]) -> Self {
        if path.len() > 100 {
            self = self.raw(b'L', b"././@LongLink", b"", &[path, b"\0"].concat());
        }
        let mut header = tar::Header::new_gnu();
        let old = header.as_old_mut();
        for (to, from) in old.name.iter_mut().zip(path).chain(old.linkname.iter_mut().zip(target)) {
            *to = *from;
        }
        header.set_entry_type(tar::EntryType::new(flag));
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(body.len() as u64);
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self.0.extend(body);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn folder(self, path: &str) -> Self {
        self.raw(b'5', path.as_bytes(), b"", b"")
    }

    pub(crate) fn file(self, path: &str, body: &[u8]) -> Self {
        self.raw(b'0', path.as_bytes(), b"", body)
    }

    pub(crate) fn link(self, flag: u8, path: &str, target: &str) -> Self {
        self.raw(flag, path.as_bytes(), target.as_bytes(), b"")
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

/// The control text of a small package.
pub(crate) const CONTROL: &str = "Package: hello\nVersion: 1.0-1\nArchitecture: amd64\nMaintainer: A <a@example.org>\nSection: devel\nPriority: optional\nDescription: says hello\n Long text.\n";

/// Returns a control.tar that holds this control file.
pub(crate) fn control_tar(control: &[u8]) -> Vec<u8> {
    Tar::new().folder("./").file("./control", control).file("./md5sums", b"").end()
}

/// Returns a data.tar with two files.
pub(crate) fn data_tar() -> Vec<u8> {
    Tar::new().folder("./").folder("./usr/").file("./usr/hello", b"hello\n").link(b'2', "./usr/link", "hello").end()
}

/// Returns a gzip-compressed copy.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Returns an xz-compressed copy.
pub(crate) fn xz(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Returns a .deb with this control text, its members gzip-compressed.
pub(crate) fn deb(control: &str) -> Vec<u8> {
    ar(&[("debian-binary", b"2.0\n"), ("control.tar.gz", &gzip(&control_tar(control.as_bytes()))), ("data.tar.gz", &gzip(&data_tar()))])
}

/// Returns an error and its causes as one line, as people see it.
pub(crate) fn chain(fault: &dyn std::error::Error) -> String {
    match fault.source() {
        Some(cause) => format!("{fault}: {}", chain(cause)),
        None => fault.to_string(),
    }
}

/// Returns an unsigned .dsc of this source that lists these files.
pub(crate) fn dsc(source: &str, version: &str, files: &[(&str, &[u8])]) -> String {
    format!(
        "Format: 3.0 (quilt)\nSource: {source}\nBinary: {source}, {source}-doc\nArchitecture: any all\nVersion: {version}\n\
         Maintainer: A <a@example.org>\nStandards-Version: 4.6.2\nBuild-Depends: debhelper-compat (= 13)\n\
         Package-List:\n {source} deb devel optional arch=any\n {source}-doc deb contrib/doc optional arch=all\n{}",
        lists(files, "")
    )
}

/// Returns a .changes of this source that lists these files.
pub(crate) fn changes(source: &str, version: &str, files: &[(&str, &[u8])]) -> String {
    format!(
        "Format: 1.8\nDate: Mon, 23 Nov 2026 10:00:00 +0000\nSource: {source}\nBinary: {source}\nArchitecture: source amd64\n\
         Version: {version}\nDistribution: trixie\nUrgency: medium\nMaintainer: A <a@example.org>\nDescription:\n {source} - x\n\
         Changes:\n {source} ({version}) trixie; urgency=medium\n .\n   * Change.\n{}",
        lists(files, "devel optional ")
    )
}

/// Returns `Checksums-Sha1`, `Checksums-Sha256` and `Files` of these files.
pub(crate) fn lists(files: &[(&str, &[u8])], columns: &str) -> String {
    use crate::words::digest::{ExtraDigests, FileFacts};
    let facts = |bytes: &[u8]| FileFacts::of(bytes, ExtraDigests { sha1: true, sha512: false });
    let mut text = String::from("Checksums-Sha1:\n");
    for (name, bytes) in files {
        text += &format!(" {} {} {name}\n", facts(bytes).sha1.unwrap(), bytes.len());
    }
    text += "Checksums-Sha256:\n";
    for (name, bytes) in files {
        text += &format!(" {} {} {name}\n", facts(bytes).sha256, bytes.len());
    }
    text += "Files:\n";
    for (name, bytes) in files {
        text += &format!(" {} {} {columns}{name}\n", facts(bytes).md5, bytes.len());
    }
    text
}
