//! Release: what a suite's indices are, with their digests, and the files around it.
//!
//! `expected` says which indices a suite must have, `suite_release` writes and reads Release itself, `folder_release` the
//! small Release beside Packages and Sources, `by_hash` the names under which older and newer indices live side by side.

mod by_hash;
mod expected;
mod folder_release;
mod suite_release;

pub use crate::words::digest::Listed;
pub use by_hash::by_hash_paths;
pub use expected::{Index, IndexKind, expected_contents, expected_indices};
pub use folder_release::folder_release;
pub use suite_release::{Release, ReleaseError, hasher, suffices};
