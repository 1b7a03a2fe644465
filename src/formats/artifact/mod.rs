//! What a build leaves behind, from bytes to values: .deb, .dsc, .changes and .buildinfo.
//!
//! Everything here is foreign input: each reader is strict, has a named limit for whatever it holds in memory, and gives
//! the first fault of its file as an error. Nothing is opened here and nothing is compared with other files.

pub mod ar;
pub mod buildinfo;
pub mod changes;
pub mod clearsign;
pub mod control;
pub mod deb;
pub mod dsc;
pub mod fields;
pub mod listing;
#[cfg(test)]
pub(crate) mod specimens;
pub mod tar;
pub mod unpack;
