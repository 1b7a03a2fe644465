//! Bytes that are counted, hashed and bounded while they are read, so that nothing large is ever held in memory.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use crate::words::digest::{ListHasher, Listed};

/// Most memory that a decoder may take, in bytes.
const DECODER: u64 = 256 << 20;

/// The formats of compressed indices, by the endings of their names, in the order in which they are read.
pub(super) const SUFFIXES: [&str; 5] = [".xz", ".zst", ".gz", ".bz2", ".lzma"];

/// A reader that hashes what goes through it and refuses more bytes than there should be.
pub(super) struct Hashed<R> {
    inner: R,
    hasher: ListHasher,
    left: u64,
    fault: Rc<RefCell<Option<String>>>,
}

impl<R: Read> Hashed<R> {
    /// Returns a reader that makes the digests which are listed.
    pub(super) fn new(inner: R, listed: &Listed) -> Self {
        let hasher = ListHasher::of(listed.md5.is_some(), listed.sha1.is_some(), listed.sha512.is_some());
        Self { inner, hasher, left: listed.size, fault: Rc::default() }
    }

    /// Returns where a fault of the reader below is left: that the network broke is another thing than that bytes are wrong.
    pub(super) fn fault(&self) -> Rc<RefCell<Option<String>>> {
        Rc::clone(&self.fault)
    }

    /// Reads what is left and compares with what is listed. Fails with what is wrong.
    pub(super) fn finish(mut self, listed: &Listed) -> Result<(), String> {
        io::copy(&mut self, &mut io::sink()).map_err(|fault| fault.to_string())?;
        let found = self.hasher.finish();
        if found.size != listed.size {
            return Err(format!("it has {} bytes instead of {}: it is cut off, or another file", found.size, listed.size));
        }
        if found != *listed {
            return Err(format!("its SHA256 is {} instead of {}: it was changed, or is of another Release", found.sha256, listed.sha256));
        }
        Ok(())
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer).inspect_err(|fault| *self.fault.borrow_mut() = Some(fault.to_string()))?;
        self.hasher.update(buffer.get(..read).unwrap_or_default());
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::other("it has more bytes than are listed: it was changed, or is of another Release"))?;
        Ok(read)
    }
}

/// Returns a reader of the plain bytes of a file with this ending; `None` for an ending that is none of the known.
pub(super) fn decoder<'a>(suffix: &str, packed: impl Read + 'a) -> io::Result<Option<Box<dyn BufRead + 'a>>> {
    use liblzma::read::XzDecoder;
    use liblzma::stream::{CONCATENATED, Stream};
    let plain: Box<dyn Read + 'a> = match suffix {
        "" => Box::new(packed),
        ".gz" => Box::new(flate2::read::MultiGzDecoder::new(packed)),
        ".bz2" => Box::new(bzip2::read::MultiBzDecoder::new(packed)),
        ".lzma" => Box::new(XzDecoder::new_stream(packed, Stream::new_lzma_decoder(DECODER)?)),
        ".xz" => Box::new(XzDecoder::new_stream(packed, Stream::new_stream_decoder(DECODER, CONCATENATED)?)),
        ".zst" => Box::new(zstd::stream::read::Decoder::new(packed)?),
        _ => return Ok(None),
    };
    Ok(Some(Box::new(BufReader::with_capacity(1 << 17, plain))))
}

/// Returns a path without the ending of a compressed file, and that ending.
pub(super) fn split_suffix(path: &str) -> (&str, &'static str) {
    SUFFIXES.into_iter().find_map(|suffix| Some((path.strip_suffix(suffix)?, suffix))).unwrap_or((path, ""))
}
