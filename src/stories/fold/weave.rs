//! From paragraphs to files: what changed is cut into blocks and compressed, what did not is taken as it was, and all blocks
//! are joined.
//!
//! Which blocks there are follows from the recorded ones and the new text alone (`policy`), so that it does not matter whether
//! the paragraphs were made anew or brought up to date.

mod listed;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::prelude::*;

pub(super) use listed::listed;

use super::bytes::Bytes;
use super::context::Context;
use super::delta::Edited;
use super::policy::Plan;
use super::{FoldError, diff};
use crate::formats::blocks::sheet::{Block, Sheet};
use crate::formats::blocks::{self, Effort, Joiner, Length, cut};
use crate::formats::index::order::{Kind, SortKey};
use crate::formats::release::{self, Index, Listed};
use crate::words::archive::Compression;
use crate::words::digest::Sha256;

/// Room for what a joined file has beside its blocks, in bytes.
const ROOM: u64 = 16 << 10;

/// Most room that is taken before there is something to put into it, in bytes.
const MOST_ROOM: u64 = 64 << 20;

/// An index as it goes into a Release.
pub(super) struct Woven {
    pub(super) sheet: Sheet,
    /// Its plain form and its compressed ones, by path.
    pub(super) listed: BTreeMap<String, Listed>,
    /// The bytes of the compressed forms, where they were joined now.
    pub(super) made: BTreeMap<String, Arc<Vec<u8>>>,
}

/// A block of the new index, with what was compressed now.
pub(super) struct Part {
    block: Block,
    made: BTreeMap<Compression, Vec<u8>>,
}

/// One index while it is woven.
pub(super) struct Weaver<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) path: String,
    kind: Kind,
    pub(super) bytes: &'a Bytes<'a>,
    /// What the last Release lists.
    last: &'a BTreeMap<String, Listed>,
}

/// Weaves an index of which some blocks have another text now.
pub(super) fn edited(
    context: &Context<'_>,
    index: &Index,
    old: &Sheet,
    edited: Edited,
    last: &BTreeMap<String, Listed>,
    bytes: &Bytes<'_>,
) -> Result<Woven, FoldError> {
    let changed: BTreeMap<usize, u64> = edited.texts.iter().map(|(at, text)| (*at, text.len() as u64)).collect();
    replaced(context, index, old, &changed, &|at| Ok(edited.texts.get(&at).map(|text| Cow::Borrowed(text.as_str()))), last, bytes)
}

/// Returns the text that a block has now; none where it is the recorded one.
type NewText<'t> = dyn Fn(usize) -> Result<Option<Cow<'t, str>>, FoldError> + Sync + 't;

/// Weaves an index of which these blocks have another text now, of these lengths in bytes.
pub(super) fn replaced<'t>(
    context: &Context<'_>,
    index: &Index,
    old: &Sheet,
    changed: &BTreeMap<usize, u64>,
    new_text: &NewText<'t>,
    last: &BTreeMap<String, Listed>,
    bytes: &Bytes<'_>,
) -> Result<Woven, FoldError> {
    let weaver = Weaver::of(context, index, last, bytes);
    let plan = Plan::of(context.suite, old, changed);
    if changed.is_empty()
        && let Some(woven) = weaver.unchanged(old)
    {
        return Ok(woven);
    }
    let text_of = |at: usize| match new_text(at)? {
        Some(text) => Ok(text),
        None => weaver.kept_text(old, at).map(Cow::Owned),
    };
    let count = old.blocks.len().max(usize::from(!changed.is_empty()));
    let (plain, parts) = rayon::join(
        || weaver.plain(old, count, new_text),
        || {
            let parts = (0..count).into_par_iter().map(|at| match plan.effort(at) {
                None => Ok(old.blocks.get(at).map(Part::kept).into_iter().collect()),
                Some(effort) => weaver.cut(&text_of(at)?, effort, plan.limit(effort)),
            });
            parts.collect::<Result<Vec<Vec<Part>>, FoldError>>()
        },
    );
    let woven = weaver.finish(plain?, parts?.into_iter().flatten().collect(), |block| weaver.bytes.text(block))?;
    weaver.with_diff(woven, old, changed.keys().map(|at| Ok((*at, new_text(*at)?.unwrap_or_default()))))
}

impl Part {
    fn kept(block: &Block) -> Self {
        Self { block: block.clone(), made: BTreeMap::new() }
    }
}

impl<'a> Weaver<'a> {
    pub(super) fn of(context: &'a Context<'a>, index: &Index, last: &'a BTreeMap<String, Listed>, bytes: &'a Bytes<'a>) -> Self {
        Self { context, path: index.path(), kind: index.sort_kind(), bytes, last }
    }
}

impl Weaver<'_> {
    /// Returns the compressed forms of this index. Contents have .gz alone, as in Debian's archive.
    fn compressions(&self) -> &[Compression] {
        if self.is_contents() { &[Compression::Gz] } else { &self.context.suite.compression }
    }

    /// Tells whether this is Contents, of which no patches are made.
    pub(super) fn is_contents(&self) -> bool {
        self.kind == Kind::Contents
    }

    /// Returns a recorded block with this text, compressed again where its compressed form is nowhere.
    pub(super) fn stays(&self, block: &Block, text: &str) -> Result<Part, FoldError> {
        let mut part = Part::kept(block);
        for compression in self.compressions() {
            let named = block.forms.get(compression);
            if named.is_none_or(|(oid, size)| self.bytes.compressed(oid, *size).is_none()) {
                let (oid, bytes) = self.compress(text, block.effort, *compression)?;
                part.block.forms.insert(*compression, (oid, bytes.len() as u64));
                part.made.insert(*compression, bytes);
            }
        }
        Ok(part)
    }

    fn form(&self, compression: Compression) -> String {
        format!("{}{}", self.path, compression.suffix())
    }

    pub(super) fn failed(&self) -> impl Fn(blocks::BlockError) -> FoldError {
        let path = self.path.clone();
        move |source| FoldError::Compress { path: path.clone(), source }
    }

    fn gone(&self, oid: Sha256) -> FoldError {
        FoldError::Gone { path: self.path.clone(), oid }
    }

    /// Returns the text of a recorded block, nothing behind the last one.
    fn kept_text(&self, old: &Sheet, at: usize) -> Result<String, FoldError> {
        let mut text = Vec::new();
        self.read_kept(old, at, &mut text)?;
        String::from_utf8(text).map_err(|fault| self.gone(Sha256::of(fault.as_bytes())))
    }

    /// The same, in place of what the buffer held.
    fn read_kept(&self, old: &Sheet, at: usize, buffer: &mut Vec<u8>) -> Result<(), FoldError> {
        buffer.clear();
        let Some(block) = old.blocks.get(at) else { return Ok(()) };
        self.bytes.read_text(block, buffer).then_some(()).ok_or_else(|| self.gone(block.sha256))
    }

    /// Returns the index as it was, where nothing more is asked of it than then.
    pub(super) fn unchanged(&self, old: &Sheet) -> Option<Woven> {
        let suite = self.context.suite;
        let paths = std::iter::once(self.path.clone()).chain(self.compressions().iter().map(|compression| self.form(*compression)));
        let listed = paths.map(|path| Some((path.clone(), self.last.get(&path)?.clone())));
        let mut listed: BTreeMap<String, Listed> = listed.collect::<Option<_>>()?;
        // A suite that was copied starts with what was published under its own name.
        let lists = diff::paths(&self.path, old).into_iter().map(|path| Some((path.clone(), self.last.get(&path)?.clone())));
        listed.extend(lists.collect::<Option<Vec<_>>>()?);
        let whole = |block: &Block| block.forms.keys().copied().eq(sorted(self.compressions()));
        let same = listed.values().all(|listed| release::suffices(listed, suite)) && old.blocks.iter().all(whole);
        same.then(|| Woven { sheet: old.clone(), listed, made: BTreeMap::new() })
    }

    /// Hashes the whole text: blocks that have a new one, and the kept texts of the others. Some are read while those before are
    /// hashed, always into the same few buffers.
    fn plain(&self, old: &Sheet, count: usize, new_text: &NewText<'_>) -> Result<Listed, FoldError> {
        let mut hasher = release::hasher(self.context.suite);
        let window = 2 * rayon::current_num_threads();
        let (mut ready, mut coming): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (Vec::new(), vec![Vec::new(); window]);
        for begin in (0..count + window).step_by(window) {
            coming.truncate(count.saturating_sub(begin));
            let read = |(at, buffer): (usize, &mut Vec<u8>)| match new_text(begin + at)? {
                Some(text) => {
                    buffer.clear();
                    buffer.extend(text.as_bytes());
                    Ok(())
                }
                None => self.read_kept(old, begin + at, buffer),
            };
            let (read, ()) = rayon::join(
                || coming.par_iter_mut().enumerate().map(read).collect::<Result<(), FoldError>>(),
                || ready.iter().for_each(|text| hasher.update(text)),
            );
            read?;
            std::mem::swap(&mut ready, &mut coming);
            coming.resize_with(window, Vec::new);
        }
        Ok(hasher.finish())
    }

    /// Cuts a text into blocks and compresses them.
    pub(super) fn cut(&self, text: &str, effort: Effort, limit: usize) -> Result<Vec<Part>, FoldError> {
        let mut last: Option<SortKey> = None;
        let mut lengths = Vec::new();
        for paragraph in self.kind.entries(text) {
            let key = SortKey::of(self.kind, paragraph);
            lengths.push(Length { bytes: paragraph.len(), begins: key != last });
            last = key;
        }
        let mut begin = 0;
        let texts: Vec<&str> = cut(&lengths, limit)
            .into_iter()
            .map(|range| {
                let length: usize = lengths.get(range).unwrap_or_default().iter().map(|length| length.bytes).sum();
                begin += length;
                text.get(begin - length..begin).unwrap_or_default()
            })
            .collect();
        texts.into_par_iter().map(|text| self.part(text, effort)).collect()
    }

    /// Compresses a block and keeps it.
    pub(super) fn part(&self, text: &str, effort: Effort) -> Result<Part, FoldError> {
        let first = self.kind.entries(text).next().and_then(|paragraph| SortKey::of(self.kind, paragraph));
        let first = first.unwrap_or(SortKey { name: String::new(), second: String::new(), version: None });
        let sha256 = Sha256::of(text.as_bytes());
        self.bytes.keep_text(&sha256, text.as_bytes());
        let lines = memchr::memchr_iter(b'\n', text.as_bytes()).count() as u64;
        let paragraphs = self.kind.entries(text).count() as u64;
        let block = Block { first, bytes: text.len() as u64, lines, paragraphs, sha256, effort, forms: BTreeMap::new() };
        let mut part = Part { block, made: BTreeMap::new() };
        let made = self.compressions().par_iter().map(|compression| Ok((*compression, self.compress(text, effort, *compression)?)));
        for (compression, (oid, bytes)) in made.collect::<Result<Vec<_>, FoldError>>()? {
            part.block.forms.insert(compression, (oid, bytes.len() as u64));
            part.made.insert(compression, bytes);
        }
        Ok(part)
    }

    fn compress(&self, text: &str, effort: Effort, compression: Compression) -> Result<(Sha256, Vec<u8>), FoldError> {
        let bytes = blocks::compress_block(text.as_bytes(), compression, effort).map_err(self.failed())?;
        let oid = Sha256::of(&bytes);
        self.bytes.keep(&oid, &bytes)?;
        Ok((oid, bytes))
    }

    /// Joins every compressed form and lists all; `text_of` gives the text of a kept block whose compressed form is missing.
    pub(super) fn finish(
        &self,
        plain: Listed,
        mut parts: Vec<Part>,
        text_of: impl Fn(&Block) -> Option<String> + Sync,
    ) -> Result<Woven, FoldError> {
        let wanted: BTreeSet<Compression> = sorted(self.compressions());
        parts.iter_mut().for_each(|part| part.block.forms.retain(|compression, _| wanted.contains(compression)));
        let (mut listed, mut made) = (BTreeMap::from([(self.path.clone(), plain)]), BTreeMap::new());
        let joined = wanted.par_iter().map(|compression| {
            let sizes = parts.iter().filter_map(|part| Some(part.block.forms.get(compression)?.1));
            // What is recorded may be a lie, and is only a guess here.
            let room = sizes.fold(ROOM, u64::saturating_add).min(MOST_ROOM);
            let mut joiner = Joiner::new(*compression, usize::try_from(room).unwrap_or_default());
            let mut named = Vec::with_capacity(parts.len());
            // A few at a time: what was read is in the joined file from then on.
            for window in parts.chunks(4 * rayon::current_num_threads()) {
                let blocks = window.par_iter().map(|part| self.bytes_of(part, *compression, &text_of));
                for (oid, bytes) in blocks.collect::<Result<Vec<_>, FoldError>>()? {
                    named.push((oid, bytes.len() as u64));
                    joiner.push(&bytes).map_err(self.failed())?;
                }
            }
            let bytes = joiner.finish().map_err(self.failed())?;
            let mut hasher = release::hasher(self.context.suite);
            hasher.update(&bytes);
            Ok((*compression, named, bytes, hasher.finish()))
        });
        for (compression, named, bytes, facts) in joined.collect::<Result<Vec<_>, FoldError>>()? {
            for (part, named) in parts.iter_mut().zip(named) {
                part.block.forms.insert(compression, named);
            }
            listed.insert(self.form(compression), facts);
            made.insert(self.form(compression), Arc::new(bytes));
        }
        Ok(Woven { sheet: Sheet { blocks: parts.into_iter().map(|part| part.block).collect(), diff: None }, listed, made })
    }

    /// Returns one compressed form of a block: made now, kept, or else compressed again.
    fn bytes_of<'p>(
        &self,
        part: &'p Part,
        compression: Compression,
        text_of: &impl Fn(&Block) -> Option<String>,
    ) -> Result<(Sha256, Cow<'p, [u8]>), FoldError> {
        let named = part.block.forms.get(&compression);
        if let (Some((oid, _)), Some(bytes)) = (named, part.made.get(&compression)) {
            return Ok((*oid, Cow::Borrowed(bytes)));
        }
        if let Some((oid, bytes)) = named.and_then(|(oid, size)| Some((*oid, self.bytes.compressed(oid, *size)?))) {
            return Ok((oid, Cow::Owned(bytes)));
        }
        let text = text_of(&part.block).ok_or_else(|| self.gone(part.block.sha256))?;
        let (oid, bytes) = self.compress(&text, part.block.effort, compression)?;
        Ok((oid, Cow::Owned(bytes)))
    }
}

fn sorted(compressions: &[Compression]) -> BTreeSet<Compression> {
    compressions.iter().copied().collect()
}
