//! gzip (RFC 1952, RFC 1951) from blocks: one member, whose blocks each end at a full flush.
//!
//! A block is a member of its own: header without time and name, deflated bytes up to a full flush, an empty last deflate
//! block, checksum and length. Joining keeps what lies between header and last block, and adds checksums up.

use flate2::{Compress, Compression as Level, FlushCompress};

use super::crc::{combine, crc32};
use super::{BlockError, compressor_fault};
use crate::words::archive::Compression;

/// Magic number, deflate, no flags, no time, no extra flags, system unknown.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// An empty deflate block with fixed codes that says that it is the last.
const LAST: [u8; 2] = [3, 0];

/// What a full flush ends with: an empty stored block.
const FLUSHED: [u8; 4] = [0, 0, 0xff, 0xff];

/// The best level of zlib-rs for indices: trixie's Packages becomes 12.83 MB at 6, 12.69 at 8 and 13.42 at 9.
const LEVEL: Level = Level::new(8);

/// Room for what deflate adds to a block that does not compress, in bytes; five for every 16 KiB, so enough for 200 MiB.
const ROOM: usize = 64 << 10;

pub(super) fn compress_block(block: &[u8]) -> Result<Vec<u8>, BlockError> {
    let fault = |fault: &dyn std::fmt::Display| compressor_fault(Compression::Gz, fault);
    let mut bytes = Vec::with_capacity(block.len() + ROOM);
    bytes.extend(HEADER);
    if !block.is_empty() {
        let mut deflate = Compress::new(LEVEL, false);
        // Once is enough: the room suffices for bytes that do not compress at all.
        deflate.compress_vec(block, &mut bytes, FlushCompress::Full).map_err(|error| fault(&error))?;
        if deflate.total_in() != block.len() as u64 || !bytes.ends_with(&FLUSHED) {
            return Err(fault(&"it left something out"));
        }
    }
    bytes.extend(LAST);
    bytes.extend(crc32(block).to_le_bytes());
    bytes.extend(length_field(block.len() as u64));
    Ok(bytes)
}

/// A member while blocks are put into it.
#[derive(Default)]
pub(super) struct Joining {
    crc: u32,
    length: u64,
}

impl Joining {
    pub(super) fn push(&mut self, bytes: &mut Vec<u8>, block: &[u8]) -> Result<(), &'static str> {
        if bytes.is_empty() {
            bytes.extend(HEADER);
        }
        let part = parse(block)?;
        bytes.extend(part.deflated);
        self.crc = combine(self.crc, part.crc, part.length);
        self.length += part.length;
        Ok(())
    }

    pub(super) fn finish(self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            bytes.extend(HEADER);
        }
        bytes.extend(LAST);
        bytes.extend(self.crc.to_le_bytes());
        bytes.extend(length_field(self.length));
    }
}

/// The length as gzip keeps it: its four lowest bytes.
fn length_field(length: u64) -> [u8; 4] {
    let [a, b, c, d, ..] = length.to_le_bytes();
    [a, b, c, d]
}

struct Part<'a> {
    deflated: &'a [u8],
    crc: u32,
    /// Exact, because a block is shorter than 4 GiB.
    length: u64,
}

fn parse(block: &[u8]) -> Result<Part<'_>, &'static str> {
    let body = block.strip_prefix(&HEADER).ok_or("it has another header")?;
    let (body, length) = body.split_last_chunk::<4>().ok_or("it is cut off")?;
    let (body, crc) = body.split_last_chunk::<4>().ok_or("it is cut off")?;
    let deflated = body.strip_suffix(&LAST).ok_or("its last deflate block is not empty")?;
    if !deflated.is_empty() && !deflated.ends_with(&FLUSHED) {
        return Err("it does not end at a full flush");
    }
    Ok(Part { deflated, crc: u32::from_le_bytes(*crc), length: u64::from(u32::from_le_bytes(*length)) })
}
