//! Patches from one published state of an index to the next (pdiffs), made from the blocks in which something changed.
//!
//! Which patches there are is recorded with each Release; their bytes lie beside the blocks. A new one needs the text of the
//! recorded blocks that changed: where these are gone, patches begin anew and clients fetch the whole index once.

use std::borrow::Cow;
use std::sync::Arc;

use super::FoldError;
use super::weave::{Weaver, Woven};
use crate::formats::blocks::sheet::{Diff, Sheet};
use crate::formats::blocks::{Effort, compress_block};
use crate::formats::pdiff::{Edit, Facts, History, Limits, ed, paragraph_edits};
use crate::formats::release;
use crate::words::archive::Compression;
use crate::words::digest::Sha256;

/// How many patches an index keeps where the suite does not say.
const KEPT: u32 = 8;

/// Where the suite does not say, an index gets patches from this size on, in bytes of its smallest form: below, the list of
/// patches costs clients about as much as the index.
const WORTH: u64 = 64 << 10;

/// Where more than one part in so many of the text changed, no patch is made: it would hardly be smaller.
const MUCH: u64 = 4;

/// Returns the paths of the list of patches, where there are any: as text and compressed.
pub(super) fn paths(index: &str, sheet: &Sheet) -> Vec<String> {
    let path = History::index_path(index);
    if sheet.steps().is_empty() { Vec::new() } else { vec![path.clone(), format!("{path}.gz")] }
}

impl Weaver<'_> {
    /// Adds the patches to an index: those of before, and one from the recorded blocks to what stands in their place now, which is
    /// given by position.
    pub(super) fn with_diff<'t>(
        &self,
        mut woven: Woven,
        old: &Sheet,
        changes: impl Iterator<Item = Result<(usize, Cow<'t, str>), FoldError>>,
    ) -> Result<Woven, FoldError> {
        let Some(plain) = woven.listed.get(&self.path) else { return Ok(woven) };
        let new = Facts { size: plain.size, sha256: plain.sha256 };
        let smallest = woven.made.values().map(|bytes| bytes.len() as u64).min().unwrap_or_default();
        let kept = match self.context.suite.pdiffs {
            // Contents change in many places at once, and those who have them want them seldom.
            _ if self.is_contents() => 0,
            None if smallest < WORTH => 0,
            kept => kept.unwrap_or(KEPT),
        };
        // What is recorded stays for as long as the index does, whatever the suite says by now: else a fold that finds nothing changed
        // and one that makes everything again would list other files.
        let stays = old.diff.as_ref().is_some_and(|diff| diff.history.current == new);
        if kept == 0 && !stays {
            return Ok(woven);
        }
        let history = match &old.diff {
            None => History::begin(new),
            Some(diff) if diff.history.current == new => diff.history.clone(),
            Some(diff) => {
                let limits = Limits { patches: usize::try_from(kept).unwrap_or(usize::MAX), bytes: smallest };
                match self.patch(old, changes)? {
                    Some(script) => {
                        let compressed = self.kept(&script)?;
                        let history = diff.history.advance(diff.history.current, new, &script, &compressed, limits);
                        if let Some(step) = history.steps.last() {
                            woven.made.insert(History::patch_path(&self.path, step), Arc::new(compressed));
                        }
                        history
                    }
                    None => diff.history.restart(new),
                }
            }
        };
        let mut list = None;
        if let Some(text) = history.index_text() {
            let compressed = self.kept(text.as_bytes())?;
            list = Some((Sha256::of(&compressed), compressed.len() as u64));
            let path = History::index_path(&self.path);
            for (path, bytes) in [(format!("{path}.gz"), compressed), (path, text.into_bytes())] {
                let mut hasher = release::hasher(self.context.suite);
                hasher.update(&bytes);
                woven.listed.insert(path.clone(), hasher.finish());
                woven.made.insert(path, Arc::new(bytes));
            }
        }
        woven.sheet.diff = Some(Diff { history, list });
        Ok(woven)
    }

    /// Returns the script that makes the new text of the old one; `None` where that is not worth it or an old text is gone.
    fn patch<'t>(
        &self,
        old: &Sheet,
        changes: impl Iterator<Item = Result<(usize, Cow<'t, str>), FoldError>>,
    ) -> Result<Option<Vec<u8>>, FoldError> {
        let mut edits: Vec<Edit> = Vec::new();
        let mut changed = 0;
        for change in changes {
            let (at, new) = change?;
            let before: u64 = old.blocks.iter().take(at).map(|block| block.lines).sum();
            let text = match old.blocks.get(at) {
                Some(block) => self.bytes.text(block),
                None => Some(String::new()),
            };
            let Some(text) = text else { return Ok(None) };
            let here = paragraph_edits(&text, &new, usize::try_from(before).unwrap_or(usize::MAX));
            changed += here.iter().map(|edit| edit.inserted.len() as u64).sum::<u64>();
            edits.extend(here);
        }
        let much = changed * MUCH > old.bytes();
        Ok(if much || edits.is_empty() { None } else { ed::to_ed(&edits).ok() })
    }

    /// Compresses bytes and keeps them beside the blocks.
    fn kept(&self, bytes: &[u8]) -> Result<Vec<u8>, FoldError> {
        let compressed = compress_block(bytes, Compression::Gz, Effort::Full).map_err(self.failed())?;
        self.bytes.keep(&Sha256::of(&compressed), &compressed)?;
        Ok(compressed)
    }
}
