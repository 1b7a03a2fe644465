//! Where the bytes of blocks come from and go to.
//!
//! Compressed blocks lie in the store of derived objects, from where snapshots join them, and in the local cache where that
//! store is far away. Texts lie in the local cache alone and are decompressed again where it lacks them. Every block is named
//! by its SHA-256 in Git, so nothing here needs to be trusted: what does not have its hash is not there.

use std::io::Read as _;

use super::contents::Lists;
use crate::formats::blocks::sheet::Block;
use crate::formats::blocks::{BlockError, decompress_block};
use crate::formats::pool::pointer::Pointer;
use crate::places::cache::Cache;
use crate::places::store::{ObjectStore, StoreError};
use crate::words::archive::Compression;
use crate::words::digest::Sha256;

/// The order in which a text is sought among the compressed forms: fastest to decompress first.
const FASTEST: [Compression; 3] = [Compression::Zst, Compression::Gz, Compression::Xz];

/// The places of blocks.
pub struct Bytes<'a> {
    store: Option<&'a dyn ObjectStore>,
    cache: Option<&'a Cache>,
    keeps: bool,
    lists: Option<Lists<'a>>,
}

impl<'a> Bytes<'a> {
    /// Blocks lie in this store of derived objects and in this cache, if any. Unless `keeps`, nothing is written.
    pub fn new(store: &'a dyn ObjectStore, cache: Option<&'a Cache>, keeps: bool) -> Self {
        Self { store: Some(store), cache, keeps, lists: None }
    }

    /// Nothing was made before and nothing is kept: every block is made of its text.
    pub fn nothing() -> Self {
        Self { store: None, cache: None, keeps: false, lists: None }
    }

    /// The same, with the file lists in this store of derived objects and the packages in this one.
    pub fn with_lists(self, lists: &'a dyn ObjectStore, packages: &'a dyn ObjectStore) -> Self {
        Self { lists: Some(Lists::new(lists, packages, self.keeps)), ..self }
    }

    pub(super) fn lists(&self) -> Option<Lists<'a>> {
        self.lists
    }

    fn is_far(&self, oid: &Sha256) -> bool {
        self.store.is_none_or(|store| store.local_path(oid).is_none())
    }

    /// Returns a compressed block, `None` where it is nowhere as it should be.
    pub fn compressed(&self, oid: &Sha256, size: u64) -> Option<Vec<u8>> {
        let cache = self.cache.filter(|_| self.is_far(oid));
        if let Some(bytes) = cache.and_then(|cache| cache.get(oid, size)) {
            return Some(bytes);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0).min(64 << 20));
        self.store?.open(oid).ok()?.take(size.saturating_add(1)).read_to_end(&mut bytes).ok()?;
        if bytes.len() as u64 != size || Sha256::of(&bytes) != *oid {
            return None;
        }
        if let Some(cache) = cache.filter(|_| self.keeps) {
            cache.put(oid, &bytes);
        }
        Some(bytes)
    }

    /// Keeps a compressed block, for as long as a Release names it.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn keep(&self, oid: &Sha256, bytes: &[u8]) -> Result<(), StoreError> {
        let Some(store) = self.store.filter(|_| self.keeps) else { return Ok(()) };
        store.put_new(&Pointer { oid: *oid, size: bytes.len() as u64 }, bytes)?;
        if let Some(cache) = self.cache.filter(|_| self.is_far(oid)) {
            cache.put(oid, bytes);
        }
        Ok(())
    }

    /// Returns the text of a block, `None` where it is nowhere as it should be.
    pub fn text(&self, block: &Block) -> Option<String> {
        let mut bytes = Vec::new();
        self.read_text(block, &mut bytes).then(|| String::from_utf8(bytes).ok()).flatten()
    }

    /// Reads the text of a block in place of what the buffer held, and tells whether it is somewhere as it should be.
    pub fn read_text(&self, block: &Block, bytes: &mut Vec<u8>) -> bool {
        if self.cache.is_some_and(|cache| cache.read(&block.sha256, block.bytes, bytes)) {
            return true;
        }
        let forms = FASTEST.iter().filter_map(|compression| Some((*compression, block.forms.get(compression)?)));
        for (compression, (oid, size)) in forms {
            let Some(compressed) = self.compressed(oid, *size) else { continue };
            let text: Result<Vec<u8>, BlockError> = decompress_block(&compressed, compression, block.bytes);
            if let Some(text) = text.ok().filter(|text| Sha256::of(text) == block.sha256) {
                self.keep_text(&block.sha256, &text);
                *bytes = text;
                return true;
            }
        }
        false
    }

    /// Keeps the text of a block for next time.
    pub fn keep_text(&self, name: &Sha256, text: &[u8]) {
        if let Some(cache) = self.cache.filter(|_| self.keeps) {
            cache.put(name, text);
        }
    }
}
