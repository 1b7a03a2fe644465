//! A Rekor v2 log as a monitor reads it: its checkpoint, tiles of hashes, bundles of entries (C2SP `tlog-tiles.md`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Leaf, OwnLeaf, ReadError, SignedHead, get, lies, need};
use crate::formats::merkle::compact::{CompactRange, joined};
use crate::formats::merkle::ranges::{self, Node};
use crate::formats::merkle::{check_consistency, leaf_hash};
use crate::formats::sigstore::checkpoint::{Checkpoint, LogKey};
use crate::formats::sigstore::note;
use crate::formats::sigstore::owned::{OwnEntry, OwnSigner};
use crate::formats::tiles::{self, HEIGHT, Tile, WIDTH};
use crate::places::transparency::LogError;
use crate::places::transparency::http::Http;
use crate::words::digest::Sha256;

/// Bytes of a whole tile of hashes.
const TILE: u64 = 32 * WIDTH;

/// A Rekor v2 log of a trusted root.
pub struct TileReader {
    http: Http,
    url: String,
    log: LogKey,
    own: Vec<OwnSigner>,
}

/// Tiles that were read for one proof.
type Tiles = BTreeMap<(u32, u64), Vec<Sha256>>;

impl TileReader {
    /// Reads this log, whose `checkpoint` lies below this address. Entries by any of these signers are ours.
    ///
    /// # Errors
    /// The certificate authorities cannot be read.
    pub fn new(log: LogKey, url: &str, own: Vec<OwnSigner>, authorities: Option<&Path>) -> Result<Self, LogError> {
        let failed = |fault: std::io::Error| LogError::Settings { file: "SSL_CERT_FILE".to_owned(), problem: fault.to_string() };
        Ok(Self { http: Http::new(authorities).map_err(failed)?, url: url.to_owned(), log, own })
    }

    pub(super) fn name(&self) -> String {
        self.log.origin.clone()
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn head(&self) -> Result<SignedHead, ReadError> {
        let body = need(&self.http, &self.url, "checkpoint", note::LONGEST as u64)?;
        let text = String::from_utf8(body).map_err(|fault| lies("its checkpoint", &fault))?;
        let opened = Checkpoint::open(&text, std::slice::from_ref(&self.log)).map_err(|fault| lies("its checkpoint", &fault))?;
        let (Checkpoint { size, root, .. }, _) = opened;
        Ok(SignedHead { size, root, text, witnesses: Vec::new(), lacks: None })
    }

    pub(super) fn check_consistency(&self, old: (u64, &Sha256), new: (u64, &Sha256)) -> Result<(), ReadError> {
        let mut seen = Tiles::new();
        let mut path = Vec::new();
        for range in ranges::consistency(old.0, new.0) {
            let nodes = self.nodes(&ranges::nodes(range), new.0, &mut seen)?;
            path.extend(joined(&nodes));
        }
        let what = format!("its tree of {} entries does not hold the one of {}", new.0, old.0);
        check_consistency(old, new, &path).map_err(|fault| lies(&what, &fault))
    }

    pub(super) fn edge(&self, size: u64) -> Result<CompactRange, ReadError> {
        let roots = self.nodes(&ranges::nodes((0, size)), size, &mut Tiles::new())?;
        CompactRange::new(size, roots).ok_or_else(|| ReadError::Lies(format!("its tiles are not those of a tree of {size} entries")))
    }

    /// Returns the hashes of whole subtrees of a tree of this size.
    fn nodes(&self, nodes: &[Node], size: u64, seen: &mut Tiles) -> Result<Vec<Sha256>, ReadError> {
        nodes.iter().map(|node| self.node(*node, size, seen)).collect()
    }

    fn node(&self, (level, index): Node, size: u64, seen: &mut Tiles) -> Result<Sha256, ReadError> {
        // The hashes of the tile's level below it, which are all in one tile.
        let (row, above) = (level / HEIGHT, level % HEIGHT);
        let first = index << above;
        let (tile, start) = (first / WIDTH, usize::try_from(first % WIDTH).unwrap_or_default());
        let known = seen.get(&(row, tile)).cloned();
        let hashes = known.map_or_else(|| self.tile(row, tile, size), Ok)?;
        let below = hashes.get(start..start + (1 << above));
        let below =
            below.ok_or_else(|| ReadError::Lies(format!("its tile {tile} of level {row} has too few hashes for {size} entries")))?;
        let mut range = CompactRange::default();
        below.iter().for_each(|hash| range.append(*hash));
        seen.insert((row, tile), hashes);
        Ok(range.root())
    }

    fn tile(&self, level: u32, index: u64, size: u64) -> Result<Vec<Sha256>, ReadError> {
        let none = || ReadError::Lies(format!("a tree of {size} entries has no tile {index} of level {level}"));
        let tile = Tile::of_hashes(level, index, size).ok_or_else(none)?;
        let (bytes, width) = self.fetched(tile, TILE)?;
        let mut hashes = tiles::hashes(&bytes, width).map_err(|fault| lies(&tile.path(), &fault))?;
        hashes.truncate(usize::try_from(tile.width).unwrap_or_default());
        Ok(hashes)
    }

    /// Reads a tile and says how wide it is; where a partial one is gone, the whole one, which is there then.
    fn fetched(&self, tile: Tile, limit: u64) -> Result<(Vec<u8>, u64), ReadError> {
        if let Some(answer) = get(&self.http, &self.url, &tile.path(), limit)? {
            return Ok((answer.body, tile.width));
        }
        need(&self.http, &self.url, &tile.whole().path(), limit).map(|bytes| (bytes, WIDTH))
    }

    pub(super) fn keys(&self) -> BTreeSet<String> {
        self.own.iter().flat_map(OwnSigner::fingerprints).map(|print| print.to_hex()).collect()
    }

    /// Reads the leaves from the first number on that are in its bundle, before the second, of a tree of this size.
    pub(super) fn leaves(&self, (from, to): (u64, u64), size: u64) -> Result<Vec<Leaf>, ReadError> {
        let (index, skipped) = (from / WIDTH, from % WIDTH);
        let none = || ReadError::Lies(format!("a log of {size} entries has no bundle {index}"));
        let bundle = Tile::of_entries(index, size).ok_or_else(none)?;
        let (bytes, width) = self.fetched(bundle, tiles::LONGEST_BUNDLE)?;
        let entries = tiles::entries(&bytes, width).map_err(|fault| lies(&bundle.path(), &fault))?;
        let count = |number: u64| usize::try_from(number).unwrap_or_default();
        let wanted = entries.iter().take(count(bundle.width)).skip(count(skipped)).take(count(to.saturating_sub(from)));
        Ok((from..).zip(wanted).map(|(index, entry)| (leaf_hash(entry), self.own(entry, index))).collect())
    }

    fn own(&self, entry: &[u8], index: u64) -> Option<OwnLeaf> {
        let found = self.own.iter().find_map(|signer| signer.find(entry))?;
        let (about, fault) = match found {
            OwnEntry::Signed(digest) => (digest, None),
            OwnEntry::Forged(digest) => (digest, Some("its signature is not one by our key, and the log should have refused it")),
            OwnEntry::Other => (leaf_hash(entry), Some("it names our key or identity in another kind or form than ddb's entries")),
        };
        Some(OwnLeaf { index, about, fault: fault.map(str::to_owned) })
    }
}
