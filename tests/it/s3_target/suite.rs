//! The contract suite of the library's own tests, for trees that need a real S3 server.

pub use ddb::formats::pool::pointer::Pointer;
pub use ddb::places::store::fs::FolderStore;
pub use ddb::places::store::{ObjectStore, Source};
pub use ddb::places::target::{Content, PublishTarget};
pub use ddb::words::digest::ObjectId;

#[path = "../../../src/places/target/contract.rs"]
pub mod contract;
