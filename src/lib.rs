//! ddb publishes apt archives from Git: pointers and records in a repository, bytes in an object store.
//!
//! The modules stand in the order in which data flows; each imports only from those above it (a test checks that).
//! `ARCHITECTURE.md` is the map.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make files in folders of their own, and ask the clock"))]

pub mod words;

pub mod formats;

pub mod verify;

pub mod places;

pub mod stories;

pub mod people;
