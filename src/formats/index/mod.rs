//! Indices: from records to the texts of Packages, Sources and Translation-en.
//!
//! `select` decides which records an index lists, `packages`, `sources` and `translation` render one paragraph each, `order`
//! sorts and joins them. Every function here depends on its arguments alone, so paragraphs may be rendered in any order, in
//! parallel, or taken from a cache. Compressing is `blocks`' work, listing in Release is `release`'s.

pub mod difference;
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

use crate::words::archive::{Archive, Descriptions, ExtraDigest, Suite};
use crate::words::digest::ObjectId;
use crate::words::name::FileName;
use crate::words::name::NameError;
use crate::words::version::VersionError;

/// The part of a suite's configuration that paragraphs depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    /// Short descriptions with Translation-en, or long ones.
    pub descriptions: Descriptions,
    /// Digests beside SHA-256.
    pub digests: BTreeSet<ExtraDigest>,
    /// Where the tree has the objects, where indices name them directly and not files under `pool/`.
    pub objects: Option<String>,
}

impl Style {
    /// Returns the style of a suite of this archive.
    pub fn of(archive: &Archive, suite: &Suite) -> Self {
        let objects = archive.target.objects_below(&archive.store);
        Self { descriptions: suite.descriptions, digests: suite.package_digests.clone(), objects }
    }

    /// Returns Debian's style: short descriptions, MD5 beside SHA-256.
    pub fn debian() -> Self {
        Self { descriptions: Descriptions::Short, digests: BTreeSet::from([ExtraDigest::Md5]), objects: None }
    }
}

/// Returns an object's path below the folder of all objects (Git-LFS's layout).
pub fn object_path(oid: &ObjectId) -> String {
    let hex = oid.to_hex();
    format!("{}/{}/{hex}", hex.get(..2).unwrap_or_default(), hex.get(2..4).unwrap_or_default())
}

/// Returns how an index names an object directly: its path and, as a query that servers ignore, the file's name. apt takes what
/// stands behind the last slash for the name of the file that it saves, and sends a `?` as it is.
pub fn direct_name(oid: &ObjectId, file: &FileName) -> String {
    format!("{}?n=/{file}", object_path(oid))
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
    /// A list of a source names a file whose SHA-256 is not known, so that its object cannot be named.
    #[error("the field {field} names {file}, which Checksums-Sha256 does not")]
    Unlisted {
        /// The field.
        field: &'static str,
        /// The file.
        file: String,
    },
    /// `Source` is not `name` or `name (version)`.
    #[error("the field Source is \"{}\", not \"name\" or \"name (version)\"", value.escape_debug())]
    Source {
        /// The value.
        value: String,
    },
}
