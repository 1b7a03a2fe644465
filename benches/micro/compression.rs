//! The compression matrix: what each setting of liblzma and zlib-rs makes of one index cut into blocks, in bytes and CPU seconds.
//!
//! Settings are run in turn for each block, so that a machine that gets slower in between slows all of them.

use std::collections::BTreeMap;
use std::ops::Range;

use flate2::{Compress, FlushCompress};
use liblzma::stream::{Action, Check, Filters, LzmaOptions, MatchFinder, Mode, Status, Stream};
use rayon::prelude::*;

use crate::timer::cpu_seconds;

/// One setting of liblzma.
#[derive(Debug, Clone, Copy)]
struct Xz {
    preset: u32,
    finder: Option<(Mode, MatchFinder, u32, u32)>,
    /// lc=4 and pb=0, which suit text.
    text: bool,
}

/// One setting of a compressor.
#[derive(Debug, Clone, Copy)]
enum Setting {
    Xz(Xz),
    Gz(u32),
    Zst(i32),
}

impl Setting {
    fn name(self) -> String {
        match self {
            Self::Gz(level) => format!("gz {level}"),
            Self::Zst(level) => format!("zstd {level}"),
            Self::Xz(Xz { preset, finder, text }) => {
                let text = if text { " lc4 pb0" } else { "" };
                match finder {
                    None => format!("xz -{preset}{text}"),
                    Some((mode, finder, nice, depth)) => {
                        let mode = if matches!(mode, Mode::Fast) { "fast" } else { "normal" };
                        let finder = match finder {
                            MatchFinder::HashChain3 => "hc3",
                            MatchFinder::HashChain4 => "hc4",
                            MatchFinder::BinaryTree2 => "bt2",
                            MatchFinder::BinaryTree3 => "bt3",
                            MatchFinder::BinaryTree4 => "bt4",
                        };
                        format!("xz {mode} {finder} nice={nice} depth={depth}{text}")
                    }
                }
            }
        }
    }

    fn compressed_size(self, block: &[u8]) -> usize {
        match self {
            Self::Gz(level) => {
                let mut deflate = Compress::new(flate2::Compression::new(level), false);
                let mut bytes = Vec::with_capacity(block.len() + (64 << 10));
                deflate.compress_vec(block, &mut bytes, FlushCompress::Full).unwrap();
                assert_eq!(deflate.total_in(), block.len() as u64);
                bytes.len()
            }
            Self::Zst(level) => zstd::bulk::compress(block, level).unwrap().len(),
            Self::Xz(xz) => xz.compress(block).len(),
        }
    }
}

impl Xz {
    fn compress(self, block: &[u8]) -> Vec<u8> {
        let mut options = LzmaOptions::new_preset(self.preset).unwrap();
        if let Some((mode, finder, nice, depth)) = self.finder {
            options.mode(mode).match_finder(finder).nice_len(nice).depth(depth);
        }
        if self.text {
            options.literal_context_bits(4).position_bits(0);
        }
        options.dict_size(u32::try_from(block.len()).unwrap().clamp(4096, 8 << 20).next_power_of_two());
        let mut stream = Stream::new_stream_encoder(Filters::new().lzma2(&options), Check::Crc64).unwrap();
        let mut bytes = Vec::with_capacity(block.len() / 3 + (64 << 10));
        loop {
            let done = usize::try_from(stream.total_in()).unwrap();
            bytes.reserve(64 << 10);
            if stream.process_vec(&block[done..], &mut bytes, Action::Finish).unwrap() == Status::StreamEnd {
                return bytes;
            }
        }
    }
}

/// Blocks of about this length, each ending at a paragraph's end.
pub fn even_blocks(text: &[u8], length: usize) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let mut begin = 0;
    while begin < text.len() {
        let from = (begin + length).min(text.len());
        let end = memchr::memmem::find(&text[from..], b"\n\n").map_or(text.len(), |at| from + at + 2);
        blocks.push(begin..end);
        begin = end;
    }
    blocks
}

fn settings(family: &str) -> Vec<Setting> {
    let xz = |preset, finder, text| Setting::Xz(Xz { preset, finder, text });
    let fast = |finder, nice, depth| xz(6, Some((Mode::Fast, finder, nice, depth)), true);
    let normal = |finder, nice, depth| xz(6, Some((Mode::Normal, finder, nice, depth)), true);
    use MatchFinder::{BinaryTree2 as Bt2, BinaryTree3 as Bt3, BinaryTree4 as Bt4, HashChain3 as Hc3, HashChain4 as Hc4};
    let mut all = Vec::new();
    if family.contains("presets") {
        all.extend((0..=6).map(|preset| xz(preset, None, false)));
        all.extend((0..=6).map(|preset| xz(preset, None, true)));
    }
    if family.contains("fast") {
        for (nice, depth) in [(16, 1), (32, 2), (32, 4), (64, 4), (128, 4), (64, 8), (128, 8), (128, 16), (273, 8), (273, 32)] {
            all.extend([fast(Hc3, nice, depth), fast(Hc4, nice, depth)]);
        }
        for (nice, depth) in [(64, 4), (128, 8), (128, 16)] {
            all.extend([fast(Bt3, nice, depth), fast(Bt4, nice, depth)]);
        }
    }
    if family.contains("normal") {
        for (nice, depth) in [(16, 4), (32, 4), (64, 4), (128, 4), (32, 8), (64, 8), (128, 8), (64, 16), (128, 16), (273, 16), (128, 32)] {
            all.push(normal(Hc4, nice, depth));
        }
        for (nice, depth) in [(16, 8), (32, 8), (64, 8), (128, 8), (32, 16), (64, 16), (128, 16), (32, 0), (64, 0), (128, 0), (273, 0)] {
            all.push(normal(Bt4, nice, depth));
        }
        for (nice, depth) in [(32, 8), (64, 16), (64, 0), (128, 0)] {
            all.extend([normal(Hc3, nice, depth), normal(Bt3, nice, depth), normal(Bt2, nice, depth)]);
        }
    }
    if family.contains("best") {
        all.push(xz(0, None, true));
        all.extend([(128, 8), (128, 16)].map(|(nice, depth)| fast(Hc4, nice, depth)));
        all.extend([(16, 4), (32, 4), (32, 8), (64, 8)].map(|(nice, depth)| normal(Hc4, nice, depth)));
        all.extend([(32, 8), (32, 16), (64, 8), (64, 16), (128, 16), (128, 0), (273, 0)].map(|(nice, depth)| normal(Bt4, nice, depth)));
    }
    if family.contains("gz") {
        all.extend((1..=9).map(Setting::Gz));
    }
    if family.contains("zst") {
        all.extend([1, 3, 6, 9, 12, 15, 19].map(Setting::Zst));
    }
    all
}

/// Prints the matrix for a file: `FILE [--blocks 256,512,1024] [--sample 4] [--families presets,fast,normal,best,gz,zst] [--only TEXT]`.
pub fn matrix(arguments: &[String]) {
    let option = |name: &str| arguments.iter().position(|word| word == name).and_then(|at| arguments.get(at + 1));
    let text = std::fs::read(&arguments[0]).unwrap();
    let kib = option("--blocks").map_or("256,512,1024,2048,4096", String::as_str);
    let sample: usize = option("--sample").map_or(1, |number| number.parse().unwrap());
    let families = option("--families").map_or("presets,fast,normal,gz,zst", String::as_str);
    let only = option("--only").map_or("", String::as_str);
    let chosen: Vec<Setting> = settings(families).into_iter().filter(|setting| setting.name().contains(only)).collect();

    let one_piece = match option("--one-piece") {
        Some(size) => size.parse().unwrap(),
        None => {
            let (before, whole) = (cpu_seconds(), Xz { preset: 6, finder: None, text: false });
            let size = whole.compress(&text).len();
            println!("one piece, xz -6: {size} bytes, {:.1} CPU s", cpu_seconds() - before);
            size
        }
    };
    for kib in kib.split(',').map(|number| number.parse::<usize>().unwrap()) {
        let blocks = even_blocks(&text, kib << 10);
        let taken: Vec<Range<usize>> = blocks.iter().skip(sample / 2).step_by(sample).cloned().collect();
        let bytes: usize = taken.iter().map(Range::len).sum();
        let share = text.len() as f64 / bytes as f64;
        let each: Vec<Vec<(f64, usize)>> = taken
            .par_iter()
            .map(|range| {
                let measure = |setting: &Setting| {
                    let before = cpu_seconds();
                    let size = setting.compressed_size(&text[range.clone()]);
                    (cpu_seconds() - before, size)
                };
                chosen.iter().map(measure).collect()
            })
            .collect();
        println!(
            "\n## blocks of {kib} KiB: {} of {} blocks measured, {:.1} MB of {:.1}",
            taken.len(),
            blocks.len(),
            bytes as f64 / 1e6,
            text.len() as f64 / 1e6
        );
        println!("| setting | MB | x of one-piece xz -6 | CPU s for all | ms a block | MB/s |\n|---|---|---|---|---|---|");
        let mut rows = BTreeMap::new();
        for (at, setting) in chosen.iter().enumerate() {
            let seconds = each.iter().map(|block| block[at].0).sum::<f64>() * share;
            let size = each.iter().map(|block| block[at].1).sum::<usize>() as f64 * share;
            let row = format!(
                "| {} | {:.2} | {:.3} | {seconds:.2} | {:.0} | {:.1} |",
                setting.name(),
                size / 1e6,
                size / one_piece as f64,
                seconds * 1000.0 / blocks.len() as f64,
                text.len() as f64 / 1e6 / seconds
            );
            rows.insert(((seconds * 1e6) as u64, at), row);
        }
        rows.values().for_each(|row| println!("{row}"));
    }
}
