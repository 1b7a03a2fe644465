//! Compressed indices made of blocks: whole paragraphs, each block compressed alone, then joined.
//!
//! A small change of an index changes few blocks, so that most of the compressed bytes can be kept from the last time; and
//! blocks compress in parallel to the same bytes for any number of threads. `.xz` is one stream of many blocks (apt reads no
//! second stream), `.gz` one member whose blocks end at a full flush, `.zst` a sequence of frames. Every compressed block is
//! by itself a valid file of its kind; `join` needs nothing else. `cut` says where blocks end, `sheet` records them.
//!
//! The compressors' settings and versions are pinned; a test with golden digests notices when their output changes. `encoders`
//! names them, for the record that each Release has.

mod crc;
mod cut;
pub mod encoders;
mod gz;
mod joiner;
pub mod sheet;
mod xz;
mod zst;

use std::io::Read as _;

use serde::{Deserialize, Serialize};

use crate::words::archive::Compression;

pub use cut::{Cutter, Length, cut};
pub use joiner::Joiner;

/// How much time is taken to compress a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effort {
    /// Little: the block changed just now, and may change again soon.
    Quick,
    /// As much as is worth it while somebody waits: the block stays.
    Full,
    /// As much as helps: nobody waits.
    Best,
}

/// Why blocks cannot be compressed or joined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The compressor failed, which it has no reason to but a lack of memory.
    #[error("the {} compressor failed: {fault}", compression.suffix())]
    Compressor {
        /// The kind.
        compression: Compression,
        /// What it said.
        fault: String,
    },
    /// What should be a compressed block, made here or kept from before, is not one.
    #[error("block {number} is no {} block: {fault}", compression.suffix())]
    Malformed {
        /// The kind.
        compression: Compression,
        /// Position of the block, from 0.
        number: usize,
        /// What is wrong with it.
        fault: &'static str,
    },
}

/// Compresses one block to a whole file of this kind: what `join` takes, and what can be kept by the block's hash.
///
/// # Errors
/// The compressor failed.
pub fn compress_block(block: &[u8], compression: Compression, effort: Effort) -> Result<Vec<u8>, BlockError> {
    match compression {
        Compression::Gz => gz::compress_block(block),
        Compression::Xz => xz::compress_block(block, effort),
        Compression::Zst => zst::compress_block(block, effort),
    }
}

/// Returns the text of one compressed block.
///
/// # Errors
/// It is no such block, or its text has another length than this.
pub fn decompress_block(block: &[u8], compression: Compression, length: u64) -> Result<Vec<u8>, BlockError> {
    let malformed = |fault| BlockError::Malformed { compression, number: 0, fault };
    let mut text = Vec::with_capacity(usize::try_from(length).unwrap_or(0).min(64 << 20));
    let read = match compression {
        Compression::Gz => flate2::read::GzDecoder::new(block).take(length + 1).read_to_end(&mut text),
        Compression::Xz => liblzma::read::XzDecoder::new(block).take(length + 1).read_to_end(&mut text),
        Compression::Zst => {
            zstd::stream::read::Decoder::with_buffer(block).and_then(|reader| reader.take(length + 1).read_to_end(&mut text))
        }
    };
    read.map_err(|_| malformed("it cannot be decompressed"))?;
    if text.len() as u64 == length { Ok(text) } else { Err(malformed("its text has another length")) }
}

/// Joins compressed blocks to one file; no blocks give a valid file of nothing.
///
/// # Errors
/// A block is not as `compress_block` makes it.
pub fn join<B: AsRef<[u8]>>(blocks: &[B], compression: Compression) -> Result<Vec<u8>, BlockError> {
    let mut joiner = Joiner::new(compression, blocks.iter().map(|block| block.as_ref().len()).sum());
    blocks.iter().try_for_each(|block| joiner.push(block.as_ref()))?;
    joiner.finish()
}

fn compressor_fault(compression: Compression, fault: impl std::fmt::Display) -> BlockError {
    BlockError::Compressor { compression, fault: fault.to_string() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::words::digest::Sha256;
    use proptest::prelude::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    const KINDS: [Compression; 3] = [Compression::Gz, Compression::Xz, Compression::Zst];

    /// An index of this many paragraphs, some of them long.
    fn index(paragraphs: usize) -> String {
        (0..paragraphs)
            .map(|n| {
                format!(
                    "Package: p{n}\nVersion: {}\nDescription: {}\nSHA256: {}\n\n",
                    n % 7,
                    "text ".repeat(n % 50),
                    Sha256::of(&n.to_le_bytes())
                )
            })
            .collect()
    }

    fn decompress(bytes: &[u8], compression: Compression) -> Vec<u8> {
        let mut text = Vec::new();
        match compression {
            // Not the reader for many members: there must be one.
            Compression::Gz => flate2::read::GzDecoder::new(bytes).read_to_end(&mut text).map(drop),
            // Not the reader for many streams.
            Compression::Xz => liblzma::read::XzDecoder::new(bytes).read_to_end(&mut text).map(drop),
            Compression::Zst => zstd::stream::copy_decode(bytes, &mut text),
        }
        .unwrap();
        text
    }

    /// The blocks of a text, each at most 256 KiB.
    fn blocks(text: &str) -> Vec<&[u8]> {
        let paragraphs: Vec<&str> = crate::formats::index::order::paragraphs(text).collect();
        let lengths: Vec<Length> = paragraphs.iter().map(|text| Length { bytes: text.len(), begins: true }).collect();
        let mut rest = text.as_bytes();
        let mut blocks = Vec::new();
        for range in cut(&lengths, 256 << 10) {
            let (block, after) = rest.split_at(lengths[range].iter().map(|length| length.bytes).sum());
            blocks.push(block);
            rest = after;
        }
        blocks
    }

    fn compress(text: &str, kind: Compression, effort: Effort) -> Vec<u8> {
        let each: Vec<Vec<u8>> = blocks(text).iter().map(|block| compress_block(block, kind, effort).unwrap()).collect();
        join(&each, kind).unwrap()
    }

    #[test]
    fn joined_blocks_give_the_text_again() {
        for text in [String::new(), index(1), index(5), index(9000)] {
            for (kind, effort) in KINDS.iter().flat_map(|kind| [(*kind, Effort::Full), (*kind, Effort::Quick)]) {
                assert_eq!(decompress(&compress(&text, kind, effort), kind), text.as_bytes(), "{kind:?}");
            }
        }
    }

    #[test]
    fn a_block_alone_is_a_file() {
        let text = index(9000);
        assert!(blocks(&text).len() > 2);
        for kind in KINDS {
            for block in blocks(&text) {
                let kept = compress_block(block, kind, Effort::Full).unwrap();
                assert_eq!(decompress(&kept, kind), block);
                assert_eq!(decompress_block(&kept, kind, block.len() as u64).unwrap(), block);
                for length in [0, block.len() as u64 - 1, block.len() as u64 + 1] {
                    assert!(decompress_block(&kept, kind, length).is_err());
                }
                assert!(decompress_block(&kept[..kept.len() / 2], kind, block.len() as u64).is_err());
            }
        }
    }

    #[test]
    fn blocks_of_both_efforts_join() {
        let text = index(9000);
        for kind in KINDS {
            let mixed = blocks(&text).into_iter().enumerate().map(|(at, block)| {
                let effort = if at % 2 == 0 { Effort::Quick } else { Effort::Full };
                compress_block(block, kind, effort).unwrap()
            });
            assert_eq!(decompress(&join(&mixed.collect::<Vec<_>>(), kind).unwrap(), kind), text.as_bytes(), "{kind:?}");
        }
    }

    #[test]
    fn stock_programs_read_what_is_written() {
        for text in [String::new(), index(3000)] {
            for (kind, program) in [(Compression::Gz, "gzip"), (Compression::Xz, "xz")] {
                let bytes = compress(&text, kind, Effort::Full);
                let mut child = Command::new(program).arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
                let mut input = child.stdin.take().unwrap();
                let writer = std::thread::spawn(move || input.write_all(&bytes).unwrap());
                let output = child.wait_with_output().unwrap();
                writer.join().unwrap();
                assert!(output.status.success(), "{program}");
                assert_eq!(output.stdout, text.as_bytes(), "{program}");
            }
        }
    }

    #[test]
    fn the_output_is_the_one_of_the_pinned_compressors() {
        let text = index(4000);
        let digest = |kind: &Compression, effort| Sha256::of(&compress(&text, *kind, effort)).to_hex();
        let digests: Vec<String> =
            KINDS.iter().flat_map(|kind| [Effort::Full, Effort::Quick, Effort::Best].map(|effort| digest(kind, effort))).collect();
        // A new version of a compressor changes these: every published index then changes once, though no package did.
        let golden = [
            "4b13ffc58f435c35a70ee1d662b77328d78b74f53911daf9e473aa125f6cd968",
            "4b13ffc58f435c35a70ee1d662b77328d78b74f53911daf9e473aa125f6cd968",
            "4b13ffc58f435c35a70ee1d662b77328d78b74f53911daf9e473aa125f6cd968",
            "9c083a7aa424054d1263d93b4cf4409ffa06b411b63d6fd1b561a6ade09a223e",
            "e140a6b7477e4af26c6f7b06663b9cc5c75d8789bb8e72acf7bae37aff7aa94d",
            "b33c4fa94ea9c357d99bdef4a0ebb37903e68e4e08bc92888994b7fbd1e19d65",
            "256cfd1da4fff56ab558de0eb059793461c6a903d2159581fa2a3ae68f9491ee",
            "a8fdef7fa1f487a92c2da175ded0b49704a2bd3b700a2dbbcda3de9bf7516097",
            "256cfd1da4fff56ab558de0eb059793461c6a903d2159581fa2a3ae68f9491ee",
        ];
        assert_eq!(digests, golden);
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for kind in KINDS {
            let good = compress_block(b"Package: a\n\n", kind, Effort::Full).unwrap();
            let check = |bad: &[u8]| {
                let fault = join(&[&good[..], bad], kind).unwrap_err();
                assert!(matches!(fault, BlockError::Malformed { number: 1, .. }), "{kind:?} {fault}");
            };
            check(b"");
            check(b"Package: a\n\n");
            check(&good[..good.len() - 1]);
            check(&good[1..]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn no_bytes_make_joining_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), cut_at in 0usize..64) {
            for kind in KINDS {
                let _ = join(&[&bytes], kind);
                let good = compress_block(b"x", kind, Effort::Full).unwrap();
                let mut bad = good[..cut_at.min(good.len())].to_vec();
                bad.extend(&bytes);
                let _ = join(&[bad], kind);
            }
        }
    }
}
