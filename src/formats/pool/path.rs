//! The path of a file in the pool: `pool/<component>/<prefix>/<source>/<file>` (Debian's layout, dak's `poolify`).
//!
//! A `PoolPath` can only be made from checked names, so it never leaves `pool/`. The prefix is computed, never stored.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::words::name::{Component, FileName, NameError, SourceName};

/// Why a text is not a path in the pool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolPathError {
    /// Not five parts beginning with `pool`.
    #[error("\"{path}\" is not pool/<component>/<prefix>/<source>/<file>")]
    Shape {
        /// The text.
        path: String,
    },
    /// A part is not a valid name.
    #[error("\"{path}\"")]
    Name {
        /// The text.
        path: String,
        /// What is wrong with the part.
        #[source]
        fault: NameError,
    },
    /// The prefix is not the one that the source's name gives.
    #[error("\"{path}\" has the wrong prefix: source {source_name} belongs under {expected}/")]
    Prefix {
        /// The text.
        path: String,
        /// The source's name.
        source_name: SourceName,
        /// The prefix that it should have.
        expected: String,
    },
}

/// A file's place in the pool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolPath {
    component: Component,
    source: SourceName,
    file: FileName,
}

impl PoolPath {
    /// Returns the place of this file of this source.
    pub fn new(component: Component, source: SourceName, file: FileName) -> Self {
        Self { component, source, file }
    }

    /// Returns the component.
    pub fn component(&self) -> &Component {
        &self.component
    }

    /// Returns the source package's name.
    pub fn source(&self) -> &SourceName {
        &self.source
    }

    /// Returns the file's name.
    pub fn file(&self) -> &FileName {
        &self.file
    }

    /// Returns the folder without trailing slash, as `Directory` in Sources has it.
    pub fn directory(&self) -> String {
        format!("pool/{}/{}/{}", self.component, self.source.prefix(), self.source)
    }

    /// Returns the place of another file beside this one.
    pub fn beside(&self, file: FileName) -> Self {
        Self { component: self.component.clone(), source: self.source.clone(), file }
    }
}

impl fmt::Display for PoolPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pool/{}/{}/{}/{}", self.component, self.source.prefix(), self.source, self.file)
    }
}

impl FromStr for PoolPath {
    type Err = PoolPathError;

    fn from_str(path: &str) -> Result<Self, PoolPathError> {
        let named = |fault| PoolPathError::Name { path: path.chars().take(400).collect(), fault };
        let mut parts = path.split('/');
        let (Some("pool"), Some(component), Some(prefix), Some(source), Some(file), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(PoolPathError::Shape { path: path.chars().take(400).collect() });
        };
        let source: SourceName = source.parse().map_err(named)?;
        if source.prefix() != prefix {
            let expected = source.prefix().to_owned();
            return Err(PoolPathError::Prefix { path: path.to_owned(), source_name: source, expected });
        }
        Ok(Self { component: component.parse().map_err(named)?, source, file: file.parse().map_err(named)? })
    }
}

impl Serialize for PoolPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PoolPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for PoolPath {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PoolPath".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^pool/[^/]+/[^/]+/[^/]+/[^/]+$"})
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for text in ["pool/main/h/hello/hello_2.10-3_amd64.deb", "pool/contrib/libf/libfoo/libfoo_1.dsc"] {
            assert_eq!(text.parse::<PoolPath>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn nothing_outside_the_pool_is_a_pool_path() {
        for bad in [
            "",
            "pool",
            "pool/main/h/hello",
            "pool/main/h/hello/x/y",
            "Pool/main/h/hello/x",
            "pool/main/x/hello/x",
            "pool/main/h/../x",
            "pool/../h/hello/x",
            "pool/main/h/hello/..",
            "/pool/main/h/hello/x",
        ] {
            assert!(bad.parse::<PoolPath>().is_err(), "{bad}");
        }
    }
}
