//! The programs, used as people use them: real git, git-lfs, apt-get, gpgv and dpkg tools, real packages.
//!
//! `tests/run.sh` installs what is needed and makes the corpus; a test that misses something says so and fails.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    dead_code
)]

mod adopting;
mod apt;
mod attack_table;
mod ceph;
mod client;
mod command_line;
mod contents;
mod corpus;
mod deploying;
mod doctor;
mod faults;
mod folding;
mod full_disk;
mod gateway;
mod gc;
mod git_lfs;
mod git_server;
mod indices;
mod layers;
mod lfs_agent;
mod lfs_server;
mod lfs_store;
mod monitor;
mod pdiff;
mod pipeline;
mod ports;
mod promoting;
mod provenance;
mod publishing;
mod readers;
mod real_index;
mod rebuild;
mod refused;
mod s3_archive;
mod s3_client;
mod s3_costs;
mod s3_stopped;
mod s3_store;
mod s3_target;
mod same_second;
mod sandbox;
mod seaweed;
mod serve;
mod server;
mod shared;
mod sigstore;
mod sigsum;
mod specimens;
mod stopped;
mod upload;
mod verify;
mod vouching;
