//! Where a record lies: `suites/<codename>/<component>/<index>/<prefix>/<source>/<package>_<version>`.
//!
//! `<index>` is `source`, `binary-<arch>` or `debian-installer/binary-<arch>`, as under `dists/`. An epoch's colon is written
//! `%3a` so that a checkout works on every file system. Like a pool path, a place can only be made from checked names.

use std::fmt;
use std::str::FromStr;

use crate::words::name::{Architecture, Codename, Component, PackageName, SourceName};
use crate::words::version::Version;

/// Why a text is not the place of a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{path}\" is not suites/<codename>/<component>/<index>/<prefix>/<source>/<package>_<version>: {fault}")]
pub struct PlaceError {
    path: String,
    fault: String,
}

/// One index of a component: sources, packages of an architecture, or installer packages of an architecture.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IndexName {
    /// `source`
    Source,
    /// `binary-<arch>`
    Binary(Architecture),
    /// `debian-installer/binary-<arch>`: udebs
    Installer(Architecture),
}

impl IndexName {
    /// Returns the architecture of a binary index.
    pub fn architecture(&self) -> Option<&Architecture> {
        match self {
            Self::Source => None,
            Self::Binary(architecture) | Self::Installer(architecture) => Some(architecture),
        }
    }

    /// Reads the folder's name, such as `binary-amd64`; `None` where it is no index.
    pub fn from_folder(folder: &str) -> Option<Self> {
        if folder == "source" {
            return Some(Self::Source);
        }
        if let Some(rest) = folder.strip_prefix("debian-installer/binary-") {
            return rest.parse().ok().map(Self::Installer);
        }
        folder.strip_prefix("binary-").and_then(|rest| rest.parse().ok()).map(Self::Binary)
    }
}

impl fmt::Display for IndexName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source => f.write_str("source"),
            Self::Binary(architecture) => write!(f, "binary-{architecture}"),
            Self::Installer(architecture) => write!(f, "debian-installer/binary-{architecture}"),
        }
    }
}

/// The place of one record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordPlace {
    /// The suite.
    pub codename: Codename,
    /// The component.
    pub component: Component,
    /// The index.
    pub index: IndexName,
    /// The source package that offers it.
    pub source: SourceName,
    /// The binary package, or the source package again.
    pub package: PackageName,
    /// The version of that package, epoch included.
    pub version: Version,
}

impl RecordPlace {
    /// Returns the record's file name, `<package>_<version>`.
    pub fn file_name(&self) -> String {
        format!("{}_{}", self.package, self.version.in_file_name())
    }

    /// Reads a record's file name.
    pub fn parse_file_name(name: &str) -> Option<(PackageName, Version)> {
        let (package, version) = name.split_once('_')?;
        if version.contains(':') {
            return None;
        }
        Some((package.parse().ok()?, version.replace("%3a", ":").parse().ok()?))
    }
}

impl fmt::Display for RecordPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { codename, component, index, source, .. } = self;
        write!(f, "suites/{codename}/{component}/{index}/{}/{source}/{}", source.prefix(), self.file_name())
    }
}

impl FromStr for RecordPlace {
    type Err = PlaceError;

    fn from_str(path: &str) -> Result<Self, PlaceError> {
        parse(path).map_err(|fault| PlaceError { path: path.chars().take(600).collect(), fault })
    }
}

fn parse(path: &str) -> Result<RecordPlace, String> {
    let parts: Vec<&str> = path.split('/').collect();
    let (codename, component, folder, prefix, source, file) = match parts.as_slice() {
        ["suites", codename, component, "debian-installer", index, prefix, source, file] => {
            (codename, component, format!("debian-installer/{index}"), prefix, source, file)
        }
        ["suites", codename, component, index, prefix, source, file] => (codename, component, (*index).to_owned(), prefix, source, file),
        _ => return Err("it has another number of parts".to_owned()),
    };
    let index = IndexName::from_folder(&folder).ok_or_else(|| format!("{folder} is no index"))?;
    let source: SourceName = source.parse().map_err(|fault| format!("{fault}"))?;
    if source.prefix() != *prefix {
        return Err(format!("source {source} belongs under {}/", source.prefix()));
    }
    let (package, version) = RecordPlace::parse_file_name(file).ok_or_else(|| format!("{file} is not <package>_<version>"))?;
    Ok(RecordPlace {
        codename: codename.parse().map_err(|fault| format!("{fault}"))?,
        component: component.parse().map_err(|fault| format!("{fault}"))?,
        index,
        source,
        package,
        version,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for text in [
            "suites/trixie/main/source/h/hello/hello_2.10-3",
            "suites/trixie/main/binary-amd64/h/hello/hello_1%3a2.10-3+b1",
            "suites/trixie/contrib/debian-installer/binary-all/libf/libfoo/foo-udeb_1~rc1",
        ] {
            assert_eq!(text.parse::<RecordPlace>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_paths_are_no_places() {
        for bad in [
            "suites/trixie/main/source/h/hello/hello",
            "suites/trixie/main/source/h/hello/hello_1:2",
            "suites/trixie/main/source/x/hello/hello_1",
            "suites/trixie/main/binary-any/h/hello/hello_1",
            "suites/trixie/main/i18n/h/hello/hello_1",
            "suites/../main/source/h/hello/hello_1",
            "pool/main/h/hello/hello_1",
        ] {
            assert!(bad.parse::<RecordPlace>().is_err(), "{bad}");
        }
    }
}
