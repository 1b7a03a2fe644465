//! Contents from the file list of every package: where there is nothing to start from, or too much has changed.
//!
//! The lines of one index are sorted in compressed runs and read twice: to find out how long the text is or which recorded blocks
//! have another text now, and to compress what is new. No more of the text is in memory at a time than two blocks for each thread.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::items::{Reader, shown};
use super::known::Known;
use crate::formats::blocks::sheet::{Block, Sheet};
use crate::formats::blocks::{Cutter, Effort, Length};
use crate::formats::contents::FileList;
use crate::formats::contents::runs::{Lines, Runs, Sorted};
use crate::formats::index::select::Selection;
use crate::formats::release::{self, Index, Listed};
use crate::stories::fold::FoldError;
use crate::stories::fold::bytes::Bytes;
use crate::stories::fold::context::Context;
use crate::stories::fold::look::Seen;
use crate::stories::fold::policy::Plan;
use crate::stories::fold::weave::{Part, Weaver, Woven};
use crate::words::digest::Sha256;

/// How many packages are asked for their lists at a time.
const CHUNK: usize = 512;

/// Sorts the lines of an index.
pub(super) fn sorted(
    context: &Context<'_>,
    index: &Index,
    selection: &Selection,
    seen: &[&Seen],
    known: &Known<'_>,
) -> Result<Sorted, FoldError> {
    let shown: Vec<&Seen> = shown(context, index, selection, seen).into_values().collect();
    let mut runs = Runs::default();
    for chunk in shown.chunks(CHUNK) {
        let read = |part: &[&Seen]| -> Result<Vec<(String, FileList)>, FoldError> {
            let reader = Reader::new(context)?;
            let list = |seen: &&Seen| {
                let item = reader.item(seen)?;
                let list = known.list(&item)?;
                Ok((item.qualified, list))
            };
            part.iter().map(list).collect()
        };
        let work = || chunk.par_chunks(CHUNK / 16).map(read).collect::<Result<Vec<_>, FoldError>>();
        for (qualified, list) in known.in_parallel(work)?.into_iter().flatten() {
            let mut pushed = Ok(());
            list.each(|path| {
                if pushed.is_ok() {
                    pushed = runs.push(path, &qualified);
                }
            });
            pushed.map_err(super::unsorted(index))?;
        }
    }
    runs.finish().map_err(super::unsorted(index))
}

/// Weaves an index of these lines. Without what the last Release lists, every form is joined although nothing changed.
pub(super) fn woven(
    context: &Context<'_>,
    index: &Index,
    sorted: &Sorted,
    old: Option<&Sheet>,
    repack: bool,
    last: Option<&BTreeMap<String, Listed>>,
    bytes: &Bytes<'_>,
) -> Result<Woven, FoldError> {
    let nothing = BTreeMap::new();
    let weaver = Weaver::of(context, index, last.unwrap_or(&nothing), bytes);
    let whole = Whole { context, index, sorted, weaver, bytes };
    match old.filter(|old| !repack && !old.blocks.is_empty()) {
        Some(old) => whole.along(old),
        None => whole.first(Plan::of_new(repack)),
    }
}

/// One index while its lines are read.
struct Whole<'a> {
    context: &'a Context<'a>,
    index: &'a Index,
    sorted: &'a Sorted,
    weaver: Weaver<'a>,
    bytes: &'a Bytes<'a>,
}

impl Whole<'_> {
    fn lines(&self) -> Result<Lines<'_>, FoldError> {
        self.sorted.lines().map_err(super::unsorted(self.index))
    }

    /// Returns the length of the whole text in bytes.
    fn length(&self) -> Result<usize, FoldError> {
        let (mut lines, mut line, mut length) = (self.lines()?, String::new(), 0);
        while lines.push_next(&mut line).map_err(super::unsorted(self.index))? {
            length += line.len();
            line.clear();
        }
        Ok(length)
    }

    /// Cuts evenly, as bringing an empty index up to date does: nothing says where blocks begin.
    fn first(&self, effort: Effort) -> Result<Woven, FoldError> {
        let mut cutter = Cutter::new(self.length()?, Plan::first(self.context.suite).limit(effort));
        let failed = super::unsorted(self.index);
        let mut hasher = release::hasher(self.context.suite);
        let (mut lines, mut parts) = (self.lines()?, Vec::new());
        let (mut block, mut line) = (String::new(), String::new());
        loop {
            let mut window = Vec::new();
            while window.len() < window_size() {
                line.clear();
                let more = lines.push_next(&mut line).map_err(&failed)?;
                let ends = if more { cutter.begins_block(Length { bytes: line.len(), begins: true }) } else { !block.is_empty() };
                if ends {
                    window.push(std::mem::take(&mut block));
                }
                if !more {
                    break;
                }
                block.push_str(&line);
            }
            if window.is_empty() {
                break;
            }
            window.iter().for_each(|text| hasher.update(text.as_bytes()));
            let made = window.par_iter().map(|text| self.weaver.part(text, effort)).collect::<Result<Vec<Part>, FoldError>>()?;
            parts.extend(made);
        }
        self.weaver.finish(hasher.finish(), parts, |_| None)
    }

    /// Keeps to the recorded blocks, as bringing them up to date does.
    fn along(&self, old: &Sheet) -> Result<Woven, FoldError> {
        let mut hasher = release::hasher(self.context.suite);
        let mut changed: BTreeMap<usize, u64> = BTreeMap::new();
        self.each_window(old, |begin, texts| {
            texts.iter().for_each(|text| hasher.update(text.as_bytes()));
            let same = |block: &Block, text: &str| block.bytes == text.len() as u64 && block.sha256 == Sha256::of(text.as_bytes());
            let differs = texts.par_iter().enumerate().map(|(offset, text)| {
                let kept = old.blocks.get(begin + offset).filter(|block| same(block, text));
                if let Some(block) = kept {
                    self.bytes.keep_text(&block.sha256, text.as_bytes());
                }
                kept.is_none()
            });
            let differs: Vec<bool> = differs.collect();
            let lengths = texts.iter().map(|text| text.len() as u64).enumerate();
            changed.extend(lengths.zip(differs).filter(|(_, differs)| *differs).map(|((offset, length), _)| (begin + offset, length)));
            Ok(())
        })?;
        if changed.is_empty()
            && let Some(woven) = self.weaver.unchanged(old)
        {
            return Ok(woven);
        }
        let plan = Plan::of(self.context.suite, old, &changed);
        let mut parts: Vec<Part> = Vec::new();
        self.each_window(old, |begin, texts| {
            let made = texts.par_iter().enumerate().map(|(offset, text)| match plan.effort(begin + offset) {
                Some(effort) => self.weaver.cut(text, effort, plan.limit(effort)),
                None => old.blocks.get(begin + offset).map(|block| self.weaver.stays(block, text)).into_iter().collect(),
            });
            parts.extend(made.collect::<Result<Vec<Vec<Part>>, FoldError>>()?.into_iter().flatten());
            Ok(())
        })?;
        self.weaver.finish(hasher.finish(), parts, |_| None)
    }

    /// Reads what lies where each recorded block was, some blocks at a time: the position of the first, and the texts.
    fn each_window(&self, old: &Sheet, mut take: impl FnMut(usize, &[String]) -> Result<(), FoldError>) -> Result<(), FoldError> {
        let failed = super::unsorted(self.index);
        let mut lines = self.lines()?;
        let ends: Vec<Option<&str>> =
            old.blocks.iter().skip(1).map(|block| Some(block.first.name.as_str())).chain([None]).take(old.blocks.len()).collect();
        for (number, ends) in ends.chunks(window_size()).enumerate() {
            let mut texts = Vec::with_capacity(ends.len());
            for end in ends {
                let mut text = String::new();
                while lines.peek().map_err(&failed)?.is_some_and(|path| end.is_none_or(|end| path < end)) {
                    lines.push_next(&mut text).map_err(&failed)?;
                }
                texts.push(text);
            }
            take(number * window_size(), &texts)?;
        }
        Ok(())
    }
}

/// How many blocks are in memory at a time.
fn window_size() -> usize {
    2 * rayon::current_num_threads()
}
