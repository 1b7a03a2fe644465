//! Micro benchmarks of what deploys and publishes consist of: hashing, parsing, folding, patches, reading records, editing trees,
//! compressing.
//!
//!     cargo bench --bench micro                    all, some minutes
//!     cargo bench --bench micro -- hash            those with `hash` in their name
//!     cargo bench --bench micro -- compression target/bench-cache/indices/Packages --blocks 1024 --families best --sample 4
//!
//! Each line is a median; where a machine does other things too, trust CPU time and not the wall.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark stops at once"
)]
#![allow(missing_docs, unreachable_pub, clippy::cast_precision_loss, reason = "a program, not a library")]

mod compression;
mod contents;
mod patches;
mod repository;
mod text;
mod timer;

use std::ops::Range;

use ddb::formats::artifact::deb;
use ddb::formats::blocks::{self, Effort, Length};
use ddb::formats::index::{Style, order, packages};
use ddb::formats::suite::record::Record;
use ddb::words::archive::Compression;
use ddb::words::deb822::{Paragraph, paragraphs};
use ddb::words::digest::{ExtraDigests, FileFacts, Sha256};
use rayon::prelude::*;
use timer::Bench;

fn main() {
    // cargo bench adds --bench.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if arguments.first().is_some_and(|word| word == "compression") {
        return compression::matrix(&arguments[1..]);
    }
    let mut bench = Bench::new(arguments.first().map_or("", String::as_str));
    contents::all(&bench);
    hashing(&bench);
    let (index, what) = text::packages();
    println!("# the index is {what}: {:.1} MB, {} paragraphs", index.len() as f64 / 1e6, paragraphs(&index).count());
    parsing(&bench, &index);
    folding(&bench, &index);
    patches::measure(&bench, &index);
    repository::reading(&bench, &index);
    repository::tree_editing(&bench);
    compressing(&mut bench, &index);
}

fn hashing(bench: &Bench) {
    let bytes = text::noise(64 << 20);
    let megabytes = (bytes.len() as f64 / 1e6, "MB");
    let both = ExtraDigests::default();
    bench.measure("hash: SHA-256", megabytes, || (), |()| Sha256::of(&bytes));
    bench.measure("hash: MD5 and SHA-256 in one pass", megabytes, || (), |()| FileFacts::of(&bytes, both));
    let all = ExtraDigests { sha1: true, sha512: true };
    bench.measure("hash: all four in one pass", megabytes, || (), |()| FileFacts::of(&bytes, all));
}

fn parsing(bench: &Bench, index: &str) {
    let (megabytes, count) = ((index.len() as f64 / 1e6, "MB"), paragraphs(index).count() as f64);
    bench.measure("parse: find the paragraphs of an index", megabytes, || (), |()| paragraphs(index).count());
    let fields = |()| paragraphs(index).map(|paragraph| Paragraph::parse(paragraph.as_bytes()).unwrap().fields().len()).sum::<usize>();
    bench.measure("parse: all fields of an index", megabytes, || (), fields);
    let records = |()| paragraphs(index).filter(|paragraph| Record::parse(paragraph.as_bytes()).is_ok()).count();
    bench.measure("parse: every paragraph as a record", (count, "records"), || (), records);
    for (name, length) in [("parse: a .deb of 2 KB", 1 << 10), ("parse: a .deb of 8 MB", 8 << 20)] {
        let package = text::deb(length);
        bench.measure(name, (package.len() as f64 / 1e6, "MB"), || (), |()| deb::read(&package[..], deb::Depth::Whole).unwrap());
    }
}

fn folding(bench: &Bench, index: &str) {
    let records: Vec<Record<'_>> = paragraphs(index).map(|paragraph| Record::parse(paragraph.as_bytes()).unwrap()).collect();
    let count = (records.len() as f64, "records");
    let style = Style::debian();
    let render = |()| records.iter().map(|record| packages::render(record, &style, None).unwrap().len()).sum::<usize>();
    bench.measure("fold: render every paragraph", count, || (), render);
    let keys = |()| records.iter().map(|record| packages::sort_key(record).unwrap()).collect::<Vec<_>>();
    bench.measure("fold: the sort key of every record", count, || (), keys);
    if bench.wants("fold: sort and join") {
        let rendered: Vec<_> =
            records.iter().map(|record| (packages::sort_key(record).unwrap(), packages::render(record, &style, None).unwrap())).collect();
        let shuffled = || {
            let mut rendered = rendered.clone();
            fastrand::Rng::with_seed(3).shuffle(&mut rendered);
            rendered
        };
        bench.measure("fold: sort and join", count, shuffled, order::join);
    }
    bench.measure("fold: cut into blocks", (index.len() as f64 / 1e6, "MB"), || (), |()| ranges(index));
}

/// The blocks that an index of this text is cut into when it is published for the first time.
fn ranges(index: &str) -> Vec<Range<usize>> {
    let lengths: Vec<Length> = order::paragraphs(index).map(|paragraph| Length { bytes: paragraph.len(), begins: true }).collect();
    let mut end = 0;
    let bytes = |range: Range<usize>| {
        let begin = end;
        end += lengths[range].iter().map(|length| length.bytes).sum::<usize>();
        begin..end
    };
    blocks::cut(&lengths, 1 << 20).into_iter().map(bytes).collect()
}

/// Compresses each block, in parallel, as well as is worth it while somebody waits.
fn compress_each(text: &[u8], ranges: &[Range<usize>], kind: Compression) -> Vec<Vec<u8>> {
    ranges.par_iter().map(|range| blocks::compress_block(&text[range.clone()], kind, Effort::Full).unwrap()).collect()
}

fn compressing(bench: &mut Bench, index: &str) {
    let text = index.as_bytes();
    let cut = ranges(index);
    // From all over the index, so that one run takes seconds.
    let some: Vec<Range<usize>> = cut.iter().step_by(cut.len().div_ceil(8).max(1)).cloned().collect();
    let megabytes = (some.iter().map(Range::len).sum::<usize>() as f64 / 1e6, "MB");
    for threads in [1, 2] {
        bench.on_threads(threads);
        for kind in [Compression::Gz, Compression::Xz, Compression::Zst] {
            let name = format!("compress: {} of {} blocks, {threads} threads, {}", some.len(), cut.len(), kind.suffix());
            bench.measure(&name, megabytes, || (), |()| compress_each(text, &some, kind));
        }
    }
    for kind in [Compression::Gz, Compression::Xz] {
        let name = format!("compress: join all blocks, {}", kind.suffix());
        if bench.wants(&name) {
            // How the bytes came about makes no difference to joining.
            let kept: Vec<Vec<u8>> = compress_each(text, &some, kind).into_iter().cycle().take(cut.len()).collect();
            bench.measure(
                &name,
                (kept.iter().map(Vec::len).sum::<usize>() as f64 / 1e6, "MB"),
                || (),
                |()| blocks::join(&kept, kind).unwrap(),
            );
        }
    }
}
