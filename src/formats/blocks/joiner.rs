//! Joining compressed blocks to one file, one after the other, so that no more than the file and one block are in memory.

use super::{BlockError, gz, xz, zst};
use crate::words::archive::Compression;

/// A compressed file while blocks are put into it.
pub struct Joiner {
    compression: Compression,
    bytes: Vec<u8>,
    /// How many blocks are in it.
    count: usize,
    state: State,
}

/// What is known of the blocks so far and stands at the end of the file.
enum State {
    Gz(gz::Joining),
    Xz(xz::Joining),
    Zst,
}

impl Joiner {
    /// Returns a file without blocks that has room for so many bytes.
    pub fn new(compression: Compression, room: usize) -> Self {
        let state = match compression {
            Compression::Gz => State::Gz(gz::Joining::default()),
            Compression::Xz => State::Xz(xz::Joining::default()),
            Compression::Zst => State::Zst,
        };
        Self { compression, bytes: Vec::with_capacity(room), count: 0, state }
    }

    /// Puts a block at the end.
    ///
    /// # Errors
    /// It is not as `compress_block` makes it.
    pub fn push(&mut self, block: &[u8]) -> Result<(), BlockError> {
        let pushed = match &mut self.state {
            State::Gz(joining) => joining.push(&mut self.bytes, block),
            State::Xz(joining) => joining.push(&mut self.bytes, block),
            State::Zst => zst::push(&mut self.bytes, block),
        };
        pushed.map_err(|fault| BlockError::Malformed { compression: self.compression, number: self.count, fault })?;
        self.count += 1;
        Ok(())
    }

    /// Returns the bytes of the file; no blocks give a valid file of nothing.
    ///
    /// # Errors
    /// There are more blocks than the format allows.
    pub fn finish(mut self) -> Result<Vec<u8>, BlockError> {
        let finished = match self.state {
            State::Gz(joining) => {
                joining.finish(&mut self.bytes);
                Ok(())
            }
            State::Xz(joining) => joining.finish(&mut self.bytes),
            State::Zst => zst::finish(&mut self.bytes),
        };
        finished.map_err(|fault| BlockError::Malformed { compression: self.compression, number: self.count, fault })?;
        Ok(self.bytes)
    }
}
