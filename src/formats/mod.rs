//! Pure readers and writers of every format: build artifacts, pool pointers, suite records, indices and Release.
//!
//! Nothing here touches files, the network, a clock or the environment; bytes and values go in, bytes and values come out.

pub mod artifact;
pub mod blocks;
pub mod client;
pub mod contents;
pub mod git_lfs;
pub mod http;
pub mod inbox;
pub mod index;
pub mod manifest;
pub mod merkle;
pub mod openssh;
pub mod pdiff;
pub mod pool;
pub mod provenance;
pub mod release;
pub mod sealed;
pub mod sigstore;
pub mod sigsum;
pub mod staple;
pub mod statement;
pub mod suite;
pub mod tiles;
pub mod web;
