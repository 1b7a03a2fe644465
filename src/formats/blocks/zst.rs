//! zstd (RFC 8878) from blocks: each block is a frame, and a file may have many.

use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use super::{BlockError, Effort, compressor_fault};
use crate::words::archive::Compression;

/// Highest level that needs no extra memory to read.
const LEVEL: i32 = 19;

/// The level of a block that changed just now.
const QUICK_LEVEL: i32 = 9;

/// What a frame begins with.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

pub(super) fn compress_block(block: &[u8], effort: Effort) -> Result<Vec<u8>, BlockError> {
    let compress = || {
        let mut compressor = Compressor::new(if effort == Effort::Quick { QUICK_LEVEL } else { LEVEL })?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        compressor.compress(block)
    };
    compress().map_err(|error| compressor_fault(Compression::Zst, error))
}

/// Appends a frame.
pub(super) fn push(bytes: &mut Vec<u8>, frame: &[u8]) -> Result<(), &'static str> {
    if !frame.starts_with(&MAGIC) {
        return Err("it is no frame");
    }
    if zstd::zstd_safe::find_frame_compressed_size(frame) != Ok(frame.len()) {
        return Err("it is not one whole frame");
    }
    bytes.extend(frame);
    Ok(())
}

/// A file without any frame is no zstd file: one of nothing has a frame of nothing.
pub(super) fn finish(bytes: &mut Vec<u8>) -> Result<(), &'static str> {
    if bytes.is_empty() {
        bytes.extend(compress_block(&[], Effort::Full).map_err(|_| "the compressor failed")?);
    }
    Ok(())
}
