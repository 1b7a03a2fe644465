//! The two command lines: the only place for arguments, environment, the clock, printing and exit codes.

pub mod answer;
pub mod deploy;
pub mod environment;
pub mod exit;
pub mod failure;
mod keys;
mod logs;
pub mod progress;
mod provenance;
pub mod publish;
mod readers;
pub mod schemas;
pub mod uploader;
