//! The contract suite of the library's own tests, for stores that need a real server.

pub use ddb::formats::pool::pointer::Pointer;
pub use ddb::places::store::{Listing, ObjectStore, Put, Source, StoreError};
use ddb::words::date::Timestamp;
pub use ddb::words::digest::ObjectId;

#[path = "../../../src/places/store/contract.rs"]
pub mod contract;
