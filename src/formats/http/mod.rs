//! The parts of HTTP that are pure: request paths, conditions and ranges (RFC 9110), the Git-LFS batch answer.

pub mod batch;
pub mod conditional;
pub mod path;
