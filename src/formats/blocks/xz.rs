//! xz (the .xz file format 1.2.1) from blocks: one stream, because apt and others read no second one.
//!
//! A block is a stream of its own with one block in it. Joining keeps the blocks with their padding and writes header,
//! index and footer anew; the compressed bytes are never touched.

use liblzma::stream::{Action, Check, Filters, LzmaOptions, MatchFinder, Mode, Status, Stream};

use super::crc::crc32;
use super::{BlockError, Effort, compressor_fault};
use crate::words::archive::Compression;

/// Text has no alignment, but words: together these save 0.4 % of trixie's Packages and cost nothing.
const LITERAL_CONTEXT_BITS: u32 = 4;
const POSITION_BITS: u32 = 0;

/// How matches are sought. Measured on trixie's Packages of main, 56.6 MB, which `xz -6` makes 9.80 MB in one piece: blocks of
/// 256 KiB with `QUICK` 1.33 times that in 2.2 s of one core, of 1 MiB with `FULL` 1.095 times in 9.6 s, of 2 MiB with `BEST`
/// 1.040 times in 22.6 s. `cargo bench --bench micro -- compression` has more.
struct Search {
    mode: Mode,
    finder: MatchFinder,
    /// Length of a match in bytes that is long enough.
    nice: u32,
    /// How many candidates are looked at; 0 is as many as liblzma thinks right.
    depth: u32,
}

const QUICK: Search = Search { mode: Mode::Fast, finder: MatchFinder::HashChain4, nice: 128, depth: 8 };
const FULL: Search = Search { mode: Mode::Normal, finder: MatchFinder::BinaryTree4, nice: 32, depth: 16 };
const BEST: Search = Search { mode: Mode::Normal, finder: MatchFinder::BinaryTree4, nice: 128, depth: 0 };

/// Magic number, flags (CRC-64 checks), CRC-32 of the flags.
const HEADER: [u8; 12] = [0xfd, b'7', b'z', b'X', b'Z', 0, 0, 4, 0xe6, 0xd6, 0xb4, 0x46];

/// The flags of the header again, and the footer's magic number.
const FOOTER_END: [u8; 4] = [0, 4, b'Y', b'Z'];

/// Smallest dictionary that liblzma takes, in bytes.
const LEAST_DICTIONARY: u32 = 4096;

/// Room that is added to the output as long as it does not suffice, in bytes.
const ROOM: usize = 64 << 10;

pub(super) fn compress_block(block: &[u8], effort: Effort) -> Result<Vec<u8>, BlockError> {
    let fault = |fault: &dyn std::fmt::Display| compressor_fault(Compression::Xz, fault);
    let search = match effort {
        Effort::Quick => QUICK,
        Effort::Full => FULL,
        Effort::Best => BEST,
    };
    let mut options = LzmaOptions::new_preset(6).map_err(|error| fault(&error))?;
    // A dictionary longer than the block only costs readers memory.
    let dictionary = u32::try_from(block.len()).unwrap_or(u32::MAX).clamp(LEAST_DICTIONARY, 8 << 20).next_power_of_two();
    options.dict_size(dictionary).literal_context_bits(LITERAL_CONTEXT_BITS).position_bits(POSITION_BITS);
    options.mode(search.mode).match_finder(search.finder).nice_len(search.nice).depth(search.depth);
    let mut stream = Stream::new_stream_encoder(Filters::new().lzma2(&options), Check::Crc64).map_err(|error| fault(&error))?;
    let mut bytes = Vec::with_capacity(block.len() / 4 + ROOM);
    loop {
        let done = usize::try_from(stream.total_in()).unwrap_or(usize::MAX);
        bytes.reserve(ROOM);
        let rest = block.get(done..).unwrap_or_default();
        if stream.process_vec(rest, &mut bytes, Action::Finish).map_err(|error| fault(&error))? == Status::StreamEnd {
            return Ok(bytes);
        }
    }
}

/// A stream while blocks are put into it: what its index says of each.
#[derive(Default)]
pub(super) struct Joining(Vec<(u64, u64)>);

impl Joining {
    pub(super) fn push(&mut self, bytes: &mut Vec<u8>, block: &[u8]) -> Result<(), &'static str> {
        if bytes.is_empty() {
            bytes.extend(HEADER);
        }
        let part = parse(block)?;
        bytes.extend(part.padded);
        self.0.extend(part.record);
        Ok(())
    }

    pub(super) fn finish(self, bytes: &mut Vec<u8>) -> Result<(), &'static str> {
        if bytes.is_empty() {
            bytes.extend(HEADER);
        }
        let index = index(&self.0);
        let backward = u32::try_from(index.len() / 4 - 1).map_err(|_| "there are too many blocks")?;
        bytes.extend(&index);
        let sizes = [&backward.to_le_bytes()[..], FOOTER_END.get(..2).unwrap_or_default()].concat();
        bytes.extend(crc32(&sizes).to_le_bytes());
        bytes.extend(backward.to_le_bytes());
        bytes.extend(FOOTER_END);
        Ok(())
    }
}

/// The index of a stream: for each block its size without padding and its length when read, then padding and CRC-32.
fn index(records: &[(u64, u64)]) -> Vec<u8> {
    let mut index = vec![0];
    put_number(&mut index, records.len() as u64);
    for (unpadded, length) in records {
        put_number(&mut index, *unpadded);
        put_number(&mut index, *length);
    }
    index.resize(index.len().next_multiple_of(4), 0);
    index.extend(crc32(&index).to_le_bytes());
    index
}

/// The block of a stream, with its padding, and what the index says of it: size without padding, length when read.
struct Part<'a> {
    padded: &'a [u8],
    /// None where the stream has no block.
    record: Option<(u64, u64)>,
}

fn parse(stream: &[u8]) -> Result<Part<'_>, &'static str> {
    let body = stream.strip_prefix(&HEADER).ok_or("it has another header")?;
    let (body, footer) = body.split_last_chunk::<12>().ok_or("it is cut off")?;
    let [_, _, _, _, size @ .., f0, f1, y, z] = footer;
    if [*f0, *f1, *y, *z] != FOOTER_END {
        return Err("it has another footer");
    }
    let index_size = (u64::from(u32::from_le_bytes(*size)) + 1) * 4;
    let split = usize::try_from(index_size).ok().and_then(|size| body.len().checked_sub(size)).ok_or("its index is cut off")?;
    let (padded, stored) = body.split_at_checked(split).ok_or("its index is cut off")?;
    if padded.is_empty() && stored == index(&[]) {
        return Ok(Part { padded, record: None });
    }
    let rest = stored.strip_prefix(&[0, 1]).ok_or("it has not one block")?;
    let (unpadded, rest) = take_number(rest).ok_or("its index is malformed")?;
    let (length, _) = take_number(rest).ok_or("its index is malformed")?;
    if unpadded.checked_next_multiple_of(4) != Some(padded.len() as u64) || index(&[(unpadded, length)]) != stored {
        return Err("its index does not fit");
    }
    Ok(Part { padded, record: Some((unpadded, length)) })
}

/// Appends a number as xz writes it: seven bits a byte, lowest first.
fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            return bytes.push(low);
        }
        bytes.push(low | 0x80);
    }
}

fn take_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (at, byte) in bytes.iter().enumerate().take(9) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(at + 1..)?));
        }
    }
    None
}
