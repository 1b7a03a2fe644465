//! Indices: from records to the texts of Packages, Sources and Translation-en.
//!
//! `select` decides which records an index lists, `packages`, `sources` and `translation` render one paragraph each, `order`
//! sorts and joins them. Every function here depends on its arguments alone, so paragraphs may be rendered in any order, in
//! parallel, or taken from a cache. Compressing is `blocks`' work, listing in Release is `release`'s.

pub mod fields;
#[cfg(test)]
mod fixtures;
pub mod order;
pub mod overrides;
pub mod packages;
pub mod select;
pub mod sources;
pub mod translation;

use std::collections::BTreeSet;

use crate::words::archive::{Descriptions, ExtraDigest, Suite};
use crate::words::name::NameError;
use crate::words::version::VersionError;

/// The part of a suite's configuration that paragraphs depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    /// Short descriptions with Translation-en, or long ones.
    pub descriptions: Descriptions,
    /// Digests beside SHA-256.
    pub digests: BTreeSet<ExtraDigest>,
}

impl From<&Suite> for Style {
    fn from(suite: &Suite) -> Self {
        Self { descriptions: suite.descriptions, digests: suite.package_digests.clone() }
    }
}

impl Style {
    /// Returns Debian's style: short descriptions, MD5 beside SHA-256.
    pub fn debian() -> Self {
        Self { descriptions: Descriptions::Short, digests: BTreeSet::from([ExtraDigest::Md5]) }
    }
}

/// Why a record cannot be shown in an index.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A field that every paragraph needs is missing.
    #[error("the field {field} is missing")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// `Package` or `Source` holds no name.
    #[error("the field {field} is not usable")]
    Name {
        /// The field.
        field: &'static str,
        /// What is wrong.
        #[source]
        fault: NameError,
    },
    /// `Version`, or the version in `Source`, is none.
    #[error("the field {field} is not usable")]
    Version {
        /// The field.
        field: &'static str,
        /// What is wrong.
        #[source]
        fault: VersionError,
    },
    /// `Source` is not `name` or `name (version)`.
    #[error("the field Source is \"{}\", not \"name\" or \"name (version)\"", value.escape_debug())]
    Source {
        /// The value.
        value: String,
    },
}
