//! The nouns of the field: digests, names, versions, deb822 paragraphs and the configured archive, all as plain values.
//!
//! Nothing here reads a file, a clock or the network. Every other layer may import this one; it imports none of them.

pub mod archive;
pub mod causes;
pub mod date;
pub mod deb822;
pub mod digest;
pub mod limits;
pub mod name;
pub mod relation;
pub mod version;
