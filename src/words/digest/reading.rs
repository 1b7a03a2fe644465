//! A reader that takes what it hands on into digests, so that whoever parses a file also learns which file that was.

use std::io::{self, Read, Write};

use super::{Hasher, OidHasher};

/// Hands on bytes and takes them into their digests.
pub struct Hashing<R, H> {
    inner: R,
    hasher: H,
}

impl<R: Read, H: Write> Hashing<R, H> {
    /// Returns a reader whose bytes this hasher sees.
    pub fn new(inner: R, hasher: H) -> Self {
        Self { inner, hasher }
    }

    /// Returns the reader below, and the hasher, which has seen everything that was read.
    pub fn into_parts(self) -> (R, H) {
        (self.inner, self.hasher)
    }
}

impl<R: Read, H: Write> Read for Hashing<R, H> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.write_all(buffer.get(..read).unwrap_or_default())?;
        Ok(read)
    }
}

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for OidHasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::words::digest::{ExtraDigests, FileFacts};

    #[test]
    fn what_is_read_is_hashed_and_nothing_else() {
        let extra = ExtraDigests { sha1: true, sha512: true };
        let mut reader = Hashing::new(&b"read, and left"[..], Hasher::new(extra));
        let mut read = [0; 4];
        reader.read_exact(&mut read).unwrap();
        let (rest, hasher) = reader.into_parts();
        assert_eq!((&read[..], rest), (&b"read"[..], &b", and left"[..]));
        assert_eq!(hasher.finish(), FileFacts::of(b"read", extra));
    }
}
