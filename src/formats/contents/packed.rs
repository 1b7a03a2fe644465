//! A text that is held in memory compressed, for as long as it takes to make an index.
//!
//! What it is compressed with is nobody's business: it is read again by the program that made it.

use std::io::{self, Read};

/// The fastest level: a text of Contents becomes a tenth.
const LEVEL: i32 = 1;

/// A compressed text.
#[derive(Debug, Clone)]
pub struct Packed {
    bytes: Vec<u8>,
    length: usize,
}

impl Packed {
    /// Compresses a text.
    ///
    /// # Errors
    /// The compressor lacks memory.
    pub fn of(text: &str) -> io::Result<Self> {
        Ok(Self { bytes: zstd::bulk::compress(text.as_bytes(), LEVEL)?, length: text.len() })
    }

    /// Returns the length of the text in bytes.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Returns the text.
    ///
    /// # Errors
    /// The decompressor lacks memory.
    pub fn text(&self) -> io::Result<String> {
        let bytes = zstd::bulk::decompress(&self.bytes, self.length)?;
        String::from_utf8(bytes).map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))
    }

    /// Returns the text as a stream.
    ///
    /// # Errors
    /// The decompressor lacks memory.
    pub fn reader(&self) -> io::Result<impl io::BufRead + '_> {
        Ok(io::BufReader::with_capacity(
            16 << 10,
            zstd::stream::read::Decoder::with_buffer(self.bytes.as_slice())?.take(self.length as u64),
        ))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_back() {
        for text in [String::new(), "usr/bin/a\n".repeat(9000)] {
            let packed = Packed::of(&text).unwrap();
            assert_eq!((packed.length(), packed.text().unwrap()), (text.len(), text.clone()));
            let mut read = String::new();
            packed.reader().unwrap().read_to_string(&mut read).unwrap();
            assert_eq!(read, text);
            assert!(packed.bytes.len() < 2000);
        }
    }
}
