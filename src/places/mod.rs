//! Effects: build output, object store, Git, signatures, transparency logs and the published tree.
//!
//! Each place is small and does one kind of effect; what is written where is decided in the stories.

mod authorities;
pub mod build_output;
pub mod cache;
pub mod credentials;
pub mod git;
pub mod http;
pub mod lanes;
pub mod requests;
pub mod s3;
pub mod sign;
pub mod store;
pub mod target;
pub mod transparency;

use std::io::{self, Read};

use crate::words::digest::{ExtraDigests, FileFacts, Hasher};

/// Returns size and digests of everything that can be read.
///
/// # Errors
/// Reading fails.
pub(crate) fn digest_of(mut reader: impl Read) -> io::Result<FileFacts> {
    let mut hasher = Hasher::new(ExtraDigests::default());
    let mut buffer = vec![0; 1 << 20];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            length => hasher.update(buffer.get(..length).unwrap_or_default()),
        }
    }
}
