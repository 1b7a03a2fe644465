//! An ar archive as a stream of members (deb(5), ar(5) as System V and BSD share it).
//!
//! Strict: every header, every padding byte and the end of the file must be right, so that a cut or patched archive is
//! noticed. Long names (`//`, `#1/`) do not occur in a .deb and are refused. One trailing slash of a name is dropped.

use std::cell::Cell;
use std::io::{self, Read};

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER: usize = 60;

/// Why bytes are not an ar archive.
#[derive(Debug, thiserror::Error)]
pub enum ArError {
    /// The first bytes are others.
    #[error("it is not an ar archive (it does not begin with \"!<arch>\")")]
    Magic,
    /// The end comes too early.
    #[error("it is cut off in {place}")]
    CutOff {
        /// Where, in words.
        place: String,
    },
    /// A header breaks a rule.
    #[error("the ar header at byte {offset} {rule}")]
    Header {
        /// Offset of the header from the file's start.
        offset: u64,
        /// What is wrong.
        rule: &'static str,
    },
    /// A name that is no plain name.
    #[error("the ar member \"{}\" has a name that is not allowed", name.escape_debug())]
    Name {
        /// The name, bytes that are not UTF-8 replaced.
        name: String,
    },
    /// The byte that fills up an odd member is not a newline.
    #[error("garbage follows the ar member {member}")]
    Padding {
        /// The member before.
        member: String,
    },
    /// The operating system could not read.
    #[error("cannot be read")]
    Read(#[source] io::Error),
}

/// One member's name and size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The name without padding and trailing slash; printable ASCII without slash.
    pub name: String,
    /// Length in bytes, as the header says.
    pub size: u64,
}

/// An ar archive that is read from front to back.
pub struct Archive<R> {
    reader: R,
    offset: u64,
    /// The current member and how many of its bytes are still to come.
    current: Option<(Member, u64)>,
}

impl<R: Read> Archive<R> {
    /// Reads the magic.
    ///
    /// # Errors
    /// The bytes are no ar archive, or cannot be read.
    pub fn open(mut reader: R) -> Result<Self, ArError> {
        let mut magic = [0; 8];
        let read = read_up_to(&mut reader, &mut magic)?;
        if &magic != MAGIC {
            let cut = read < MAGIC.len() && MAGIC.starts_with(magic.get(..read).unwrap_or_default());
            return Err(if cut { cut_off("its first bytes") } else { ArError::Magic });
        }
        Ok(Self { reader, offset: MAGIC.len() as u64, current: None })
    }

    /// Passes over the rest of the current member and returns the next; `None` at a clean end of the file.
    ///
    /// # Errors
    /// The file is cut off, or a header or padding byte is malformed.
    pub fn next_member(&mut self) -> Result<Option<Member>, ArError> {
        self.finish_member()?;
        let mut header = [0; HEADER];
        let read = read_up_to(&mut self.reader, &mut header)?;
        if read == 0 {
            return Ok(None);
        }
        if read < HEADER {
            return Err(cut_off(&format!("the ar header at byte {}", self.offset)));
        }
        let member = parse_header(&header, self.offset)?;
        self.offset += HEADER as u64;
        self.current = Some((member.clone(), member.size));
        Ok(Some(member))
    }

    /// Returns a reader of the current member's bytes that counts into `taken`; an early end of the file is an error.
    pub fn body<'a>(&'a mut self, taken: &'a Cell<u64>) -> Body<'a, R> {
        Body { archive: self, taken }
    }

    fn finish_member(&mut self) -> Result<(), ArError> {
        let Some((member, left)) = self.current.take() else { return Ok(()) };
        let skipped = io::copy(&mut self.reader.by_ref().take(left), &mut io::sink()).map_err(ArError::Read)?;
        if skipped < left {
            return Err(cut_off(&format!("the ar member {}", member.name)));
        }
        self.offset = self.offset.saturating_add(member.size);
        if member.size % 2 == 1 {
            let mut padding = [0; 1];
            if read_up_to(&mut self.reader, &mut padding)? == 0 {
                return Err(cut_off(&format!("the padding of the ar member {}", member.name)));
            }
            if padding != *b"\n" {
                return Err(ArError::Padding { member: member.name });
            }
            self.offset = self.offset.saturating_add(1);
        }
        Ok(())
    }
}

/// The bytes of one member.
pub struct Body<'a, R> {
    archive: &'a mut Archive<R>,
    taken: &'a Cell<u64>,
}

impl<R: Read> Read for Body<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((member, left)) = &mut self.archive.current else { return Ok(0) };
        let wanted = buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        let Some(buffer) = buffer.get_mut(..wanted).filter(|buffer| !buffer.is_empty()) else { return Ok(0) };
        let read = self.archive.reader.read(buffer)?;
        if read == 0 {
            let fault = cut_off(&format!("the ar member {}", member.name));
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, fault));
        }
        *left = left.saturating_sub(read as u64);
        self.taken.set(self.taken.get().saturating_add(read as u64));
        Ok(read)
    }
}

fn cut_off(place: &str) -> ArError {
    ArError::CutOff { place: place.to_owned() }
}

/// Reads until the buffer is full or the file ends.
fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize, ArError> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
            Err(fault) => return Err(ArError::Read(fault)),
        }
    }
    Ok(filled)
}

fn parse_header(header: &[u8; HEADER], offset: u64) -> Result<Member, ArError> {
    let malformed = |rule| ArError::Header { offset, rule };
    let (name, rest) = header.split_at(16);
    let (size, end) = rest.split_at(32).1.split_at(10);
    if end != b"`\n" {
        return Err(malformed("does not end as one (it is malformed, or garbage follows the member before)"));
    }
    let size = std::str::from_utf8(size).unwrap_or_default().trim_end_matches(' ');
    if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed("holds no size"));
    }
    let size = size.parse().map_err(|_| malformed("holds no size"))?;
    let name = name.trim_ascii_end();
    let name = name.strip_suffix(b"/").unwrap_or(name);
    let plain = !name.is_empty() && name.iter().all(|byte| (33..=126).contains(byte) && *byte != b'/') && name != b"." && name != b"..";
    let text = String::from_utf8_lossy(name).into_owned();
    if plain { Ok(Member { name: text, size }) } else { Err(ArError::Name { name: text }) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::specimens::{ar, ar_header};
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, ArError> {
        let mut archive = Archive::open(bytes)?;
        let mut members = Vec::new();
        while let Some(member) = archive.next_member()? {
            let mut body = Vec::new();
            archive.body(&Cell::new(0)).read_to_end(&mut body).map_err(ArError::Read)?;
            members.push((member.name, body));
        }
        Ok(members)
    }

    #[test]
    fn members_come_back_in_order() {
        let bytes = ar(&[("debian-binary", b"2.0\n"), ("odd/", b"123"), ("empty", b"")]);
        let expected = [("debian-binary", &b"2.0\n"[..]), ("odd", b"123"), ("empty", b"")];
        assert_eq!(read(&bytes).unwrap(), expected.map(|(name, body)| (name.to_owned(), body.to_vec())));
    }

    #[test]
    fn every_cut_is_noticed_but_the_one_between_two_members() {
        let bytes = ar(&[("one", b"123"), ("two", b"4567")]);
        let between = 8 + 60 + 4;
        for end in 0..bytes.len() {
            assert_eq!(read(bytes.get(..end).unwrap()).is_ok(), end == 8 || end == between, "{end}");
        }
    }

    #[test]
    fn malformed_headers_are_refused() {
        let check = |name: &str, size: &str, end: &str, expected: &str| {
            let mut bytes = MAGIC.to_vec();
            bytes.extend(ar_header(name, size, end));
            bytes.extend(b"body");
            assert_eq!(read(&bytes).unwrap_err().to_string(), expected, "{name:?} {size:?}");
        };
        check("x", "4", "xx", "the ar header at byte 8 does not end as one (it is malformed, or garbage follows the member before)");
        check("x", "", "`\n", "the ar header at byte 8 holds no size");
        check("x", "-4", "`\n", "the ar header at byte 8 holds no size");
        check("x", "+4", "`\n", "the ar header at byte 8 holds no size");
        check("x", "5", "`\n", "cannot be read");
        check("../x", "4", "`\n", "the ar member \"../x\" has a name that is not allowed");
        check("/x", "4", "`\n", "the ar member \"/x\" has a name that is not allowed");
        check("//", "4", "`\n", "the ar member \"/\" has a name that is not allowed");
        check("#1/20", "4", "`\n", "the ar member \"#1/20\" has a name that is not allowed");
        check("", "4", "`\n", "the ar member \"\" has a name that is not allowed");
        check("a\0b", "4", "`\n", "the ar member \"a\\0b\" has a name that is not allowed");
        assert!(matches!(read(b"#!/bin/sh"), Err(ArError::Magic)));
        assert!(matches!(read(b"!<thin>\n"), Err(ArError::Magic)));
    }
}
