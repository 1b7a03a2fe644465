//! What Git-LFS speaks: the batch API, the protocol of transfer agents, and `.lfsconfig` (git-lfs `docs/api/batch.md`,
//! `docs/custom-transfers.md`, git-lfs-config(5)). Pointers are in `pool`.

pub mod agent;
pub mod batch;
pub mod lfsconfig;
