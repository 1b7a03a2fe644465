//! Compressed bytes become plain ones, within limits.
//!
//! One stream or frame only: dpkg reads no second one for xz, lzma, bzip2 and zstd, so what it would not see is refused
//! here too; gzip may have several members, as zlib reads them. Bytes behind the stream are an error of the caller
//! (`Unpacked` ends, the reader below still holds some).

use std::cell::Cell;
use std::io::{self, BufRead, Read};

use crate::words::limits;

/// Most memory that an xz or lzma decoder may take, in bytes: enough for a dictionary of 1 GiB.
const DECODER_MEMORY: u64 = (1 << 30) + (64 << 20);
/// Below this many unpacked bytes the ratio of expansion is not looked at.
const EXPANSION_FROM: u64 = 16 << 20;

/// How a member is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// `.gz`
    Gzip,
    /// `.bz2`
    Bzip2,
    /// `.lzma`
    Lzma,
    /// `.xz`
    Xz,
    /// `.zst`
    Zstd,
}

impl Packing {
    /// Returns the packing that a file name's ending means: `""`, `".gz"`, `".bz2"`, `".lzma"`, `".xz"`, `".zst"`.
    pub fn of_suffix(suffix: &str) -> Option<Self> {
        Some(match suffix {
            "" => Self::Plain,
            ".gz" => Self::Gzip,
            ".bz2" => Self::Bzip2,
            ".lzma" => Self::Lzma,
            ".xz" => Self::Xz,
            ".zst" => Self::Zstd,
            _ => return None,
        })
    }

    /// Returns a reader of the plain bytes.
    ///
    /// # Errors
    /// The decoder cannot be set up.
    pub fn decoder<'a, R: BufRead + 'a>(self, packed: R) -> io::Result<Box<dyn Read + 'a>> {
        use liblzma::bufread::XzDecoder;
        use liblzma::stream::Stream;
        Ok(match self {
            Self::Plain => Box::new(packed),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
            Self::Bzip2 => Box::new(bzip2::bufread::BzDecoder::new(packed)),
            Self::Lzma => Box::new(XzDecoder::new_stream(packed, Stream::new_lzma_decoder(DECODER_MEMORY)?)),
            Self::Xz => Box::new(XzDecoder::new_stream(packed, Stream::new_stream_decoder(DECODER_MEMORY, 0)?)),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(packed)?.single_frame()),
        })
    }
}

/// Plain bytes whose number is bounded, alone and against the packed bytes that they came from.
pub struct Bounded<'a, R> {
    plain: R,
    /// How many packed bytes were taken so far.
    taken: &'a Cell<u64>,
    given: u64,
    limit: u64,
}

impl<'a, R: Read> Bounded<'a, R> {
    /// Returns a reader that gives at most `limit` bytes and fails on more; `taken` counts the packed bytes below.
    pub fn new(plain: R, taken: &'a Cell<u64>, limit: u64) -> Self {
        Self { plain, taken, given: 0, limit }
    }
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.plain.read(buffer)?;
        self.given = self.given.saturating_add(read as u64);
        if self.given > self.limit {
            return Err(io::Error::other(format!("it unpacks to more than {} bytes", self.limit)));
        }
        if self.given > EXPANSION_FROM && self.given > self.taken.get().saturating_mul(limits::EXPANSION) {
            return Err(io::Error::other(format!("it unpacks to more than {} times its size (a compression bomb)", limits::EXPANSION)));
        }
        Ok(read)
    }
}
