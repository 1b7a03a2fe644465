//! Effects: build output, object store, Git, signatures, transparency logs and the published tree.
//!
//! Each place is small and does one kind of effect; what is written where is decided in the stories.

mod authorities;
pub mod build_output;
pub mod cache;
pub mod credentials;
pub mod git;
pub mod http;
pub mod kept;
pub mod lanes;
pub mod requests;
pub mod s3;
pub mod sign;
pub mod store;
pub mod target;
pub mod transparency;

use std::io::{self, Read};

use crate::formats::pool::pointer::Pointer;
use crate::words::digest::{ExtraDigests, FileFacts, Hasher, OidHasher};

/// Returns size and digests of everything that can be read.
///
/// # Errors
/// Reading fails.
pub(crate) fn digest_of(mut reader: impl Read) -> io::Result<FileFacts> {
    let mut hasher = Hasher::new(ExtraDigests::default());
    each_piece(&mut reader, |bytes| hasher.update(bytes))?;
    Ok(hasher.finish())
}

/// Returns size and oid of everything that can be read.
///
/// # Errors
/// Reading fails.
pub(crate) fn pointer_of(mut reader: impl Read) -> io::Result<Pointer> {
    let mut hasher = OidHasher::default();
    each_piece(&mut reader, |bytes| hasher.update(bytes))?;
    let (oid, size) = hasher.finish();
    Ok(Pointer { oid, size })
}

/// Files are read in pieces of this size: many are small, and clearing a large buffer costs more than reading them.
const PIECE: usize = 64 << 10;

fn each_piece(reader: &mut impl Read, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(()),
            length => take(buffer.get(..length).unwrap_or_default()),
        }
    }
}
