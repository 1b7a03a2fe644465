//! A tar archive as a stream of entries, read to its very end (tar(5), the subset that dpkg unpacks).
//!
//! Regular files, links, folders, devices and GNU long names are known; pax headers and sparse files are refused, because
//! dpkg refuses them. Paths lose their leading `./`; absolute ones and those with `..` are refused, of hard links too.
//! Bytes behind the end marker must be zero.

use std::io::{self, BufRead, Read};

use tar::Header;

use crate::words::limits;

const BLOCK: usize = 512;

/// Why bytes are not a usable tar archive.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The bytes could not be read or unpacked.
    #[error("cannot be unpacked")]
    Read(#[source] io::Error),
    /// The archive ends before its end marker.
    #[error("the tar archive is cut off at byte {offset}")]
    CutOff {
        /// Offset in the plain archive.
        offset: u64,
    },
    /// A header that breaks a rule.
    #[error("the tar header at byte {offset} {rule}")]
    Header {
        /// Offset in the plain archive.
        offset: u64,
        /// What is wrong.
        rule: &'static str,
    },
    /// An entry of a kind that dpkg does not unpack.
    #[error("the tar entry \"{}\" is {kind}, which dpkg does not unpack", path.escape_debug())]
    Kind {
        /// The path as written.
        path: String,
        /// The kind in words.
        kind: String,
    },
    /// A path that could leave the package's folder, or that no index can name.
    #[error("the tar entry \"{}\" {rule}", path.escape_debug())]
    Path {
        /// The path as written.
        path: String,
        /// What is wrong.
        rule: &'static str,
    },
    /// Too many entries.
    #[error("the tar archive has more than {} entries", limits::TAR_ENTRIES)]
    TooMany,
    /// Something else than zeros behind the end marker.
    #[error("garbage follows the end of the tar archive")]
    Garbage,
    /// A body over its limit.
    #[error("the tar entry \"{}\" is longer than {limit} bytes", path.escape_debug())]
    TooLong {
        /// The path.
        path: String,
        /// The limit in bytes.
        limit: u64,
    },
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A second name for an entry before it.
    HardLink,
    /// A symbolic link.
    SymbolicLink,
    /// A character or block device, or a fifo.
    Device,
}

impl Kind {
    /// Returns the kind in words, with article.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::File => "a regular file",
            Self::Folder => "a folder",
            Self::HardLink => "a hard link",
            Self::SymbolicLink => "a symbolic link",
            Self::Device => "a device or fifo",
        }
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path without leading `./`, doubled or trailing slashes; empty for the root folder. Latin-1 where it is not UTF-8.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Length of the body in bytes; 0 for all but regular files.
    pub size: u64,
}

/// A tar archive that is read from front to back.
pub struct Archive<R> {
    reader: R,
    offset: u64,
    entries: u64,
    /// Bytes of the current entry that are still to come, and the padding behind them.
    body: u64,
    padding: u64,
}

impl<R: BufRead> Archive<R> {
    /// Returns an archive of which nothing was read yet.
    pub fn new(reader: R) -> Self {
        Self { reader, offset: 0, entries: 0, body: 0, padding: 0 }
    }

    /// Passes over the current body and returns the next entry; `None` once the end marker and all behind it were read.
    ///
    /// # Errors
    /// The archive is cut off or malformed, or an entry is not allowed in a .deb.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        let mut long_path = None;
        let mut long_link = None;
        loop {
            self.skip()?;
            let begin = self.offset;
            let mut block = [0; BLOCK];
            self.fill(&mut block)?;
            if block.iter().all(|byte| *byte == 0) {
                return if long_path.is_none() && long_link.is_none() {
                    self.expect_zeros().map(|()| None)
                } else {
                    Err(TarError::Header { offset: begin, rule: "lacks the entry to its long name" })
                };
            }
            self.entries += 1;
            if self.entries > limits::TAR_ENTRIES {
                return Err(TarError::TooMany);
            }
            let header = Header::from_byte_slice(&block);
            let size = checked_size(header, &block, begin)?;
            self.body = size;
            self.padding = size.next_multiple_of(BLOCK as u64) - size;
            match header.entry_type().as_byte() {
                b'L' if long_path.is_none() => long_path = Some(self.long_name(begin)?),
                b'K' if long_link.is_none() => long_link = Some(self.long_name(begin)?),
                b'L' | b'K' => return Err(TarError::Header { offset: begin, rule: "gives a second long name" }),
                flag => return entry(header, flag, size, long_path, long_link).map(Some),
            }
        }
    }

    /// Returns the current entry's body.
    ///
    /// # Errors
    /// It is longer than `limit` bytes, or cut off.
    pub fn read_body(&mut self, entry: &Entry, limit: u64) -> Result<Vec<u8>, TarError> {
        if entry.size > limit {
            return Err(TarError::TooLong { path: entry.path.clone(), limit });
        }
        self.take_body()
    }

    fn take_body(&mut self) -> Result<Vec<u8>, TarError> {
        let mut bytes = Vec::new();
        let read = self.reader.by_ref().take(self.body).read_to_end(&mut bytes).map_err(TarError::Read)? as u64;
        self.offset += read;
        self.body -= read;
        if self.body == 0 { Ok(bytes) } else { Err(TarError::CutOff { offset: self.offset }) }
    }

    fn long_name(&mut self, begin: u64) -> Result<Vec<u8>, TarError> {
        // One byte more for the NUL that ends it.
        if self.body > limits::TAR_PATH as u64 + 1 {
            return Err(TarError::Header { offset: begin, rule: "gives a path that is too long" });
        }
        let mut name = self.take_body()?;
        if name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }

    fn skip(&mut self) -> Result<(), TarError> {
        let mut left = self.body + self.padding;
        (self.body, self.padding) = (0, 0);
        while left > 0 {
            let available = self.reader.fill_buf().map_err(TarError::Read)?.len();
            if available == 0 {
                return Err(TarError::CutOff { offset: self.offset });
            }
            let step = available.min(usize::try_from(left).unwrap_or(usize::MAX));
            self.reader.consume(step);
            self.offset += step as u64;
            left -= step as u64;
        }
        Ok(())
    }

    fn fill(&mut self, block: &mut [u8; BLOCK]) -> Result<(), TarError> {
        match self.reader.read_exact(block) {
            Ok(()) => self.offset += BLOCK as u64,
            // A reader below that was cut off says so itself, with a reason inside.
            Err(fault) if fault.kind() == io::ErrorKind::UnexpectedEof && fault.get_ref().is_none() => {
                return Err(TarError::CutOff { offset: self.offset });
            }
            Err(fault) => return Err(TarError::Read(fault)),
        }
        Ok(())
    }

    fn expect_zeros(&mut self) -> Result<(), TarError> {
        loop {
            let rest = self.reader.fill_buf().map_err(TarError::Read)?;
            if rest.is_empty() {
                return Ok(());
            }
            if rest.iter().any(|byte| *byte != 0) {
                return Err(TarError::Garbage);
            }
            let length = rest.len();
            self.reader.consume(length);
        }
    }
}

/// Checks a header's checksum and returns the length of its body.
fn checked_size(header: &Header, block: &[u8; BLOCK], offset: u64) -> Result<u64, TarError> {
    let refuse = |rule| TarError::Header { offset, rule };
    let sum = |range: std::ops::Range<usize>| block.get(range).unwrap_or_default().iter().map(|byte| u32::from(*byte)).sum::<u32>();
    // The checksum's own eight bytes count as blanks.
    let expected = sum(0..148) + 8 * u32::from(b' ') + sum(156..BLOCK);
    if header.cksum().map_err(|_| refuse("holds no checksum"))? != expected {
        return Err(refuse("has a wrong checksum"));
    }
    let size = header.entry_size().map_err(|_| refuse("holds no size"))?;
    if size > limits::DATA_TAR {
        return Err(refuse("gives a size over the limit"));
    }
    Ok(size)
}

fn entry(header: &Header, flag: u8, size: u64, long_path: Option<Vec<u8>>, long_link: Option<Vec<u8>>) -> Result<Entry, TarError> {
    let raw = long_path.unwrap_or_else(|| header.path_bytes().into_owned());
    let kind = match flag {
        // Before POSIX a folder was a file whose name ends in a slash; dpkg still takes that.
        b'0' | 0 | b'7' if raw.ends_with(b"/") => Kind::Folder,
        b'0' | 0 | b'7' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::SymbolicLink,
        b'3' | b'4' | b'6' => Kind::Device,
        b'5' => Kind::Folder,
        other => return Err(TarError::Kind { path: text(&raw), kind: kind_in_words(other) }),
    };
    if kind != Kind::File && size != 0 {
        return Err(TarError::Path { path: text(&raw), rule: "has a body, but is no regular file" });
    }
    if kind == Kind::HardLink {
        let target = long_link.unwrap_or_else(|| header.link_name_bytes().unwrap_or_default().into_owned());
        plain_path(&target).map_err(|rule| TarError::Path { path: text(&target), rule })?;
    }
    let path = plain_path(&raw).map_err(|rule| TarError::Path { path: text(&raw), rule })?;
    if path.is_empty() && kind != Kind::Folder {
        return Err(TarError::Path { path: text(&raw), rule: "names the root folder, but is none" });
    }
    Ok(Entry { path, kind, size })
}

fn kind_in_words(flag: u8) -> String {
    match flag {
        b'x' | b'g' => "a pax header".to_owned(),
        b'S' => "a sparse file".to_owned(),
        other => format!("of the unknown type \"{}\"", char::from(other).escape_debug()),
    }
}

/// Returns the path without `.` and empty parts.
fn plain_path(raw: &[u8]) -> Result<String, &'static str> {
    if raw.is_empty() {
        return Err("has an empty path");
    }
    if raw.len() > limits::TAR_PATH {
        return Err("has a path that is too long");
    }
    if raw.starts_with(b"/") {
        return Err("has an absolute path");
    }
    if raw.contains(&0) || raw.contains(&b'\n') {
        return Err("has a NUL or newline in its path");
    }
    let written = text(raw);
    let mut path = String::with_capacity(written.len());
    for part in written.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            return Err("has \"..\" in its path");
        }
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(part);
    }
    Ok(path)
}

/// Returns the bytes as UTF-8, or as Latin-1 where they are not, as dak does for Contents.
fn text(raw: &[u8]) -> String {
    match std::str::from_utf8(raw) {
        Ok(text) => text.to_owned(),
        Err(_) => raw.iter().map(|byte| char::from(*byte)).collect(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::specimens::Tar;
    use super::*;

    fn paths(bytes: &[u8]) -> Result<Vec<String>, TarError> {
        let mut archive = Archive::new(bytes);
        let mut paths = Vec::new();
        while let Some(entry) = archive.next_entry()? {
            paths.push(format!("{} {} {}", entry.path, entry.kind.in_words(), entry.size));
        }
        Ok(paths)
    }

    #[test]
    fn entries_come_with_plain_paths() {
        let long = format!("./usr/{}/end", "long".repeat(60));
        let bytes = Tar::new()
            .folder("./")
            .file("./usr//bin/./x", b"12345")
            .link(b'1', "usr/bin/y", "./usr/bin/x")
            .link(b'2', "z", "/abs")
            .file(&long, b"")
            .end();
        assert_eq!(
            paths(&bytes).unwrap(),
            [
                " a folder 0".to_owned(),
                "usr/bin/x a regular file 5".to_owned(),
                "usr/bin/y a hard link 0".to_owned(),
                "z a symbolic link 0".to_owned(),
                format!("{} a regular file 0", long.strip_prefix("./").unwrap()),
            ]
        );
    }

    #[test]
    fn names_that_are_not_utf_8_are_read_as_latin_1() {
        let bytes = Tar::new().raw(b'0', b"./caf\xe9", b"", b"").end();
        assert_eq!(paths(&bytes).unwrap(), ["café a regular file 0"]);
    }

    #[test]
    fn path_tricks_are_refused() {
        let check = |tar: Tar, expected: &str| assert_eq!(paths(&tar.end()).unwrap_err().to_string(), expected);
        check(Tar::new().file("../x", b""), "the tar entry \"../x\" has \"..\" in its path");
        check(Tar::new().file("a/../x", b""), "the tar entry \"a/../x\" has \"..\" in its path");
        check(Tar::new().file("/etc/x", b""), "the tar entry \"/etc/x\" has an absolute path");
        check(Tar::new().file("a\nb", b""), "the tar entry \"a\\nb\" has a NUL or newline in its path");
        check(Tar::new().link(b'1', "x", "../../etc/passwd"), "the tar entry \"../../etc/passwd\" has \"..\" in its path");
        check(Tar::new().file("./", b"x"), "the tar entry \"./\" has a body, but is no regular file");
        check(Tar::new().file(".", b"x"), "the tar entry \".\" names the root folder, but is none");
        check(Tar::new().raw(b'x', b"pax", b"", b"11 path=x\n"), "the tar entry \"pax\" is a pax header, which dpkg does not unpack");
        check(Tar::new().raw(b'S', b"s", b"", b""), "the tar entry \"s\" is a sparse file, which dpkg does not unpack");
        check(Tar::new().raw(b'2', b"s", b"t", b"body"), "the tar entry \"s\" has a body, but is no regular file");
        check(Tar::new().raw(b'L', b"l", b"", b"a\0b\0").file("x", b""), "the tar entry \"a\\0b\" has a NUL or newline in its path");
        check(Tar::new().raw(b'L', b"l", b"", &[b'a'; 5000]).file("x", b""), "the tar header at byte 0 gives a path that is too long");
        check(Tar::new().raw(b'L', b"l", b"", b"a\0"), "the tar header at byte 1024 lacks the entry to its long name");
    }

    #[test]
    fn the_end_must_be_there_and_nothing_behind_it() {
        let bytes = Tar::new().file("x", b"12345").end();
        for end in 0..=1024 {
            assert!(paths(bytes.get(..end).unwrap()).is_err(), "{end}");
        }
        let mut garbage = bytes.clone();
        garbage.extend([0; 700]);
        assert!(paths(&garbage).is_ok());
        garbage.push(1);
        assert!(matches!(paths(&garbage), Err(TarError::Garbage)));
        let mut broken = bytes;
        *broken.get_mut(100).unwrap() ^= 1;
        assert_eq!(paths(&broken).unwrap_err().to_string(), "the tar header at byte 0 has a wrong checksum");
    }
}
