//! Compressed indices made of blocks: cut at paragraph boundaries, each block compressed alone, then joined.
//!
//! A small change of an index changes few blocks, so that most of the compressed bytes can be kept from the last time; and
//! blocks compress in parallel to the same bytes for any number of threads. `.xz` is one stream of many blocks (apt reads no
//! second stream), `.gz` one member whose blocks end at a full flush, `.zst` a sequence of frames. Every compressed block is
//! by itself a valid file of its kind; `join` needs nothing else.
//!
//! The compressors' settings and versions are pinned; a test with golden digests notices when their output changes.

mod crc;
mod cut;
mod gz;
pub mod retained;
mod xz;
mod zst;

use std::ops::Range;

use rayon::prelude::*;

use crate::words::archive::Compression;

pub use cut::{BLOCK_LIMIT, cut};

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
    /// A range is not inside the text.
    #[error("block {}..{} is outside a text of {length} bytes", range.start, range.end)]
    Range {
        /// The range.
        range: Range<usize>,
        /// Length of the text in bytes.
        length: usize,
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

/// Compresses a text that `cut` has cut into these blocks: all blocks in parallel, then `join`.
///
/// # Errors
/// The compressor failed, or a range is not inside the text.
pub fn compress(text: &[u8], blocks: &[Range<usize>], compression: Compression) -> Result<Vec<u8>, BlockError> {
    join(&compress_each(text, blocks, compression)?, compression)
}

/// Compresses each block of a text, in parallel: what `join` takes.
///
/// # Errors
/// The compressor failed, or a range is not inside the text.
pub fn compress_each(text: &[u8], blocks: &[Range<usize>], compression: Compression) -> Result<Vec<Vec<u8>>, BlockError> {
    let compress = |range: &Range<usize>| {
        let block = text.get(range.clone()).ok_or_else(|| BlockError::Range { range: range.clone(), length: text.len() })?;
        compress_block(block, compression)
    };
    blocks.par_iter().map(compress).collect()
}

/// Compresses one block to a whole file of this kind: what `join` takes, and what can be kept by the block's hash.
///
/// # Errors
/// The compressor failed.
pub fn compress_block(block: &[u8], compression: Compression) -> Result<Vec<u8>, BlockError> {
    match compression {
        Compression::Gz => gz::compress_block(block),
        Compression::Xz => xz::compress_block(block),
        Compression::Zst => zst::compress_block(block),
    }
}

/// Joins compressed blocks to one file; no blocks give a valid file of nothing.
///
/// # Errors
/// A block is not as `compress_block` makes it.
pub fn join<B: AsRef<[u8]>>(blocks: &[B], compression: Compression) -> Result<Vec<u8>, BlockError> {
    let joined = match compression {
        Compression::Gz => gz::join(blocks),
        Compression::Xz => xz::join(blocks),
        Compression::Zst => zst::join(blocks),
    };
    joined.map_err(|(number, fault)| BlockError::Malformed { compression, number, fault })
}

/// Position of a bad block and what is wrong with it.
type Fault = (usize, &'static str);

fn compressor_fault(compression: Compression, fault: impl std::fmt::Display) -> BlockError {
    BlockError::Compressor { compression, fault: fault.to_string() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::words::digest::Sha256;
    use proptest::prelude::*;
    use std::io::{Read as _, Write as _};
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

    #[test]
    fn joined_blocks_give_the_text_again() {
        for text in [String::new(), index(1), index(5), index(9000)] {
            let blocks = cut(text.as_bytes());
            for kind in KINDS {
                assert_eq!(decompress(&compress(text.as_bytes(), &blocks, kind).unwrap(), kind), text.as_bytes(), "{kind:?}");
            }
        }
    }

    #[test]
    fn a_block_alone_is_a_file_and_joining_kept_blocks_gives_the_same_file() {
        let text = index(9000);
        let blocks = cut(text.as_bytes());
        assert!(blocks.len() > 2);
        for kind in KINDS {
            let kept: Vec<Vec<u8>> = blocks.iter().map(|range| compress_block(&text.as_bytes()[range.clone()], kind).unwrap()).collect();
            for (bytes, range) in kept.iter().zip(&blocks) {
                assert_eq!(decompress(bytes, kind), &text.as_bytes()[range.clone()]);
            }
            assert_eq!(join(&kept, kind).unwrap(), compress(text.as_bytes(), &blocks, kind).unwrap());
        }
    }

    #[test]
    fn the_bytes_do_not_depend_on_the_number_of_threads() {
        let text = index(4000);
        let blocks = cut(text.as_bytes());
        let with = |threads: usize, kind| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| compress(text.as_bytes(), &blocks, kind).unwrap())
        };
        for kind in KINDS {
            assert_eq!(with(1, kind), with(8, kind), "{kind:?}");
        }
    }

    #[test]
    fn stock_programs_read_what_is_written() {
        for text in [String::new(), index(3000)] {
            let blocks = cut(text.as_bytes());
            for (kind, program) in [(Compression::Gz, "gzip"), (Compression::Xz, "xz")] {
                let bytes = compress(text.as_bytes(), &blocks, kind).unwrap();
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
        let blocks = cut(text.as_bytes());
        let digests: Vec<String> =
            KINDS.iter().map(|kind| Sha256::of(&compress(text.as_bytes(), &blocks, *kind).unwrap()).to_hex()).collect();
        // A new version of a compressor changes these: every published index then changes once, though no package did.
        let golden = [
            "071e71e949cbc95afb9117f4d4d45e689e43d270c480370907b0f792252db75a",
            "277435ff45214ffa07c9a583fe0460a55128516940a7de53d982ab38d0080f56",
            "f05fdc8172292d3bbdf1e75c548ce6761b1074b9b58b98597a7158a89e99d3f6",
        ];
        assert_eq!(digests, golden);
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for kind in KINDS {
            let good = compress_block(b"Package: a\n\n", kind).unwrap();
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
        fn a_paragraph_changed_added_or_removed_changes_few_blocks(at in 0usize..20_000, growth in 0usize..3000, change in 0..3) {
            let before = index(20_000);
            let begin = before.find(&format!("Package: p{at}\n")).unwrap();
            let (name, rest) = before[begin..].split_once('\n').unwrap();
            let end = before.len() - rest.len() + rest.find("\n\n").unwrap() + 2;
            let middle = match change {
                0 => format!("{name}\nX: {}\n{}", "x".repeat(growth), &before[begin + name.len() + 1..end]),
                1 => format!("{}Package: new{growth}\n\n", &before[begin..end]),
                _ => String::new(),
            };
            let after = format!("{}{middle}{}", &before[..begin], &before[end..]);
            let hashes = |text: &str| -> std::collections::BTreeSet<Sha256> {
                cut(text.as_bytes()).into_iter().map(|range| Sha256::of(&text.as_bytes()[range])).collect()
            };
            let (old, new) = (hashes(&before), hashes(&after));
            prop_assert!(old.len() > 4 && new.difference(&old).count() <= 3);
        }

        #[test]
        fn no_bytes_make_joining_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), cut_at in 0usize..64) {
            for kind in KINDS {
                let _ = join(&[&bytes], kind);
                let good = compress_block(b"x", kind).unwrap();
                let mut bad = good[..cut_at.min(good.len())].to_vec();
                bad.extend(&bytes);
                let _ = join(&[bad], kind);
            }
        }
    }
}
