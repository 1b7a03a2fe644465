//! How many requests a place sent over the network: publishing and deploying report it, and tests hold it against what is needed.

use std::ops::Add;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Requests by kind, retries included, and bytes of bodies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Requests {
    /// HEAD and GET.
    pub reads: u64,
    /// PUT and POST with bytes.
    pub writes: u64,
    /// Copies that the server makes by itself.
    pub copies: u64,
    /// Removals.
    pub removals: u64,
    /// Listings.
    pub listings: u64,
    /// Bytes sent in bodies.
    pub bytes_sent: u64,
    /// Bytes received in bodies.
    pub bytes_received: u64,
}

impl Requests {
    /// Returns the number of requests of all kinds.
    pub fn total(&self) -> u64 {
        self.reads + self.writes + self.copies + self.removals + self.listings
    }
}

impl Add for Requests {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            reads: self.reads + other.reads,
            writes: self.writes + other.writes,
            copies: self.copies + other.copies,
            removals: self.removals + other.removals,
            listings: self.listings + other.listings,
            bytes_sent: self.bytes_sent + other.bytes_sent,
            bytes_received: self.bytes_received + other.bytes_received,
        }
    }
}
