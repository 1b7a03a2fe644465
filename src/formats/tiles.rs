//! Tiles: how a log publishes its tree and its entries as plain files (C2SP `tlog-tiles.md`).
//!
//! A tile of hashes has up to 256 hashes of one level of the tree, eight levels apart; a bundle has up to 256 entries, each behind
//! its length in two bytes, big-endian. The last one of a row is partial and named with its width. Nothing here is believed: what
//! tiles say is checked against a signed root.

use crate::words::digest::Sha256;

/// Hashes of a whole tile, and entries of a whole bundle.
pub const WIDTH: u64 = 256;

/// Levels of the tree between the hashes of one tile's level and the next.
pub const HEIGHT: u32 = 8;

/// Largest bundle in bytes: 256 entries of the largest size with their lengths.
pub const LONGEST_BUNDLE: u64 = 256 * (2 + 65_535);

/// A file of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// The level of its hashes, counted in tiles, from the leaves at 0; `None` for a bundle of entries.
    pub level: Option<u32>,
    /// Which one of its row, from 0.
    pub index: u64,
    /// How many hashes or entries it has, 1 to 256.
    pub width: u64,
}

/// Why bytes are not of the form that they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// A tile with another number of hashes.
    #[error("it has {found} bytes, and {expected} belong there")]
    Length {
        /// Bytes that there are.
        found: usize,
        /// Bytes that belong there.
        expected: u64,
    },
    /// A bundle that ends within an entry.
    #[error("it ends within entry {entry}")]
    Cut {
        /// The entry, from 0 at the bundle's start.
        entry: u64,
    },
    /// A bundle that goes on.
    #[error("it has more than {width} entries")]
    Rest {
        /// How many belong there.
        width: u64,
    },
}

impl Tile {
    /// Returns the tile with these hashes' tile of a level, in a tree of so many leaves; `None` where the tree has none there.
    pub fn of_hashes(level: u32, index: u64, size: u64) -> Option<Self> {
        let row = size.checked_shr(HEIGHT.checked_mul(level)?)?;
        Some(Self { level: Some(level), index, width: width(index, row)? })
    }

    /// Returns the bundle of this number in a log of so many entries; `None` where the log has none there.
    pub fn of_entries(index: u64, size: u64) -> Option<Self> {
        Some(Self { level: None, index, width: width(index, size)? })
    }

    /// Returns the same with all 256, which is there once the log has grown; servers may drop the partial one then.
    pub fn whole(self) -> Self {
        Self { width: WIDTH, ..self }
    }

    /// Returns its path below the log's address, `tile/0/x001/234.p/5`.
    pub fn path(&self) -> String {
        let level = self.level.map_or_else(|| "entries".to_owned(), |level| level.to_string());
        let partial = if self.width == WIDTH { String::new() } else { format!(".p/{}", self.width) };
        format!("tile/{level}/{}{partial}", number(self.index))
    }
}

/// Returns how many items of a row of so many the tile of this number has.
fn width(index: u64, row: u64) -> Option<u64> {
    let before = index.checked_mul(WIDTH)?;
    Some(row.checked_sub(before)?.min(WIDTH)).filter(|width| *width > 0)
}

/// Returns a number in groups of three digits, all but the last with an `x` before them.
fn number(index: u64) -> String {
    let mut text = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        text = format!("x{:03}/{text}", rest % 1000);
        rest /= 1000;
    }
    text
}

/// Reads a tile of hashes.
///
/// # Errors
/// It does not have as many hashes as the width says.
pub fn hashes(bytes: &[u8], width: u64) -> Result<Vec<Sha256>, TileError> {
    let expected = width.saturating_mul(32);
    if u64::try_from(bytes.len()) != Ok(expected) {
        return Err(TileError::Length { found: bytes.len(), expected });
    }
    let hashes = bytes.chunks_exact(32).filter_map(|hash| hash.try_into().ok().map(Sha256::from_bytes));
    Ok(hashes.collect())
}

/// Reads a bundle of entries.
///
/// # Errors
/// It does not have as many entries as the width says.
pub fn entries(bytes: &[u8], width: u64) -> Result<Vec<&[u8]>, TileError> {
    let (mut rest, mut entries) = (bytes, Vec::new());
    for entry in 0..width {
        let next = rest.split_first_chunk::<2>().and_then(|(length, after)| after.split_at_checked(u16::from_be_bytes(*length).into()));
        let (found, after) = next.ok_or(TileError::Cut { entry })?;
        entries.push(found);
        rest = after;
    }
    if rest.is_empty() { Ok(entries) } else { Err(TileError::Rest { width }) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let hashes = |level, index, size| Tile::of_hashes(level, index, size).map(|tile| tile.path());
        let bundle = |index, size| Tile::of_entries(index, size).map(|tile| tile.path());
        // The specification's example: a tree of 70,000 leaves.
        let table = [
            (hashes(0, 0, 70_000), Some("tile/0/000")),
            (hashes(0, 272, 70_000), Some("tile/0/272")),
            (hashes(0, 273, 70_000), Some("tile/0/273.p/112")),
            (hashes(0, 274, 70_000), None),
            (hashes(1, 0, 70_000), Some("tile/1/000")),
            (hashes(1, 1, 70_000), Some("tile/1/001.p/17")),
            (hashes(2, 0, 70_000), Some("tile/2/000.p/1")),
            (hashes(3, 0, 70_000), None),
            (bundle(273, 70_000), Some("tile/entries/273.p/112")),
            (bundle(0, 0), None),
            (bundle(0, 256), Some("tile/entries/000")),
            (hashes(0, 1_234_067, u64::MAX), Some("tile/0/x001/x234/067")),
            (hashes(8, 0, u64::MAX), None),
            (hashes(u32::MAX, 0, u64::MAX), None),
            (bundle(u64::MAX, u64::MAX), None),
        ];
        for (found, expected) in table {
            assert_eq!(found.as_deref(), expected);
        }
        assert_eq!(Tile::of_entries(1, 300).unwrap().whole().path(), "tile/entries/001");
    }

    #[test]
    fn tiles_have_exactly_as_much_as_their_width_says() {
        assert_eq!(hashes(&[7; 64], 2).unwrap(), [Sha256::from_bytes([7; 32]); 2]);
        for (bytes, width) in [(&[7; 63][..], 2), (&[7; 65][..], 2), (&[][..], 1), (&[7; 32][..], u64::MAX)] {
            assert!(hashes(bytes, width).is_err());
        }
        let bundle = [0, 1, b'a', 0, 0, 0, 2, b'b', b'c'];
        assert_eq!(entries(&bundle, 3).unwrap(), [&b"a"[..], b"", b"bc"]);
        assert_eq!(entries(&bundle, 2), Err(TileError::Rest { width: 2 }));
        assert_eq!(entries(&bundle, 4), Err(TileError::Cut { entry: 3 }));
        assert_eq!(entries(&[0, 3, 1, 2], 1), Err(TileError::Cut { entry: 0 }));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_whole_or_refused(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600), width in 0..40u64) {
            if let Ok(found) = entries(&bytes, width) {
                proptest::prop_assert_eq!(found.len() as u64, width);
                let again: Vec<u8> =
                    found.iter().flat_map(|entry| [&u16::try_from(entry.len()).unwrap().to_be_bytes()[..], entry].concat()).collect();
                proptest::prop_assert_eq!(again, bytes.clone());
            }
            proptest::prop_assert_eq!(hashes(&bytes, width).is_ok(), bytes.len() as u64 == 32 * width);
        }
    }
}
