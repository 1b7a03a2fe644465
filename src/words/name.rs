//! Names that are checked once and then trusted: packages, sources, architectures, components, codenames and file names.
//!
//! The patterns are dak's (`daklib/regexes.py`), Debian Policy 5.6 and deb-src-control(5). A name that passed can be a part
//! of a path: it holds no slash, no blank, no control byte, and is neither `.` nor `..`.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is not a valid {kind}: {rule}", text.escape_debug())]
pub struct NameError {
    text: String,
    kind: &'static str,
    rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> bool = $check;
                if text.len() <= limits::NAME && check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NameError { text: text.chars().take(80).collect(), kind: $kind, rule: $rule })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "description": concat!("A ", $kind, ": ", $rule)})
            }
        }
    };
}

fn package_like(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_lowercase() || first.is_ascii_digit())
        && text.len() >= 2
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte))
}

fn plain_word(text: &str) -> bool {
    text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
        && !text.ends_with(".lock")
        && !text.ends_with('.')
        && !text.contains("..")
}

name!(
    /// The name of a binary package.
    PackageName, "package name", "two or more of a-z 0-9 + - . beginning with a letter or digit", package_like
);
name!(
    /// The name of a source package.
    SourceName, "source name", "two or more of a-z 0-9 + - . beginning with a letter or digit", package_like
);
name!(
    /// A Debian architecture (`amd64`, `all`, `kfreebsd-amd64`), never a wildcard such as `any`; `source` is not one.
    Architecture, "architecture", "a-z 0-9 and - beginning with a letter or digit, not \"source\" or a wildcard",
    |text| text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && text != "source"
        && !text.split('-').any(|part| part == "any")
);
name!(
    /// A component of a suite (`main`, `contrib`, `non-free-firmware`).
    Component, "component", "letters, digits, + - . _ beginning with a letter or digit; not \"source\"",
    |text| plain_word(text) && text != "source"
);
name!(
    /// The codename of a suite (`trixie`), also its folder under `dists/` and `suites/` and a part of a branch name.
    Codename, "codename", "letters, digits, + - . _ beginning with a letter or digit, not ending in .lock", plain_word
);
name!(
    /// The plain name of a file in `out/` and in the pool.
    FileName, "file name", "letters, digits and + - . _ ~ : = @ beginning with a letter or digit",
    |text| text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._~:=@".contains(&byte))
);

impl SourceName {
    /// Returns the folder under a component: four letters for `lib…`, else one (dak's `poolify`).
    pub fn prefix(&self) -> &str {
        let length = if self.0.starts_with("lib") { 4 } else { 1 };
        // Names are ASCII with at least two bytes; "lib" itself has only three.
        self.0.get(..length).unwrap_or(&self.0)
    }
}

impl From<&PackageName> for SourceName {
    /// A binary package without a `Source` field comes from the source of its own name.
    fn from(package: &PackageName) -> Self {
        Self(package.0.clone())
    }
}

impl From<&SourceName> for PackageName {
    /// A source package stands in the suites tree under its own name.
    fn from(source: &SourceName) -> Self {
        Self(source.0.clone())
    }
}

impl Architecture {
    /// Returns `all`, the architecture of packages that run everywhere.
    pub fn all() -> Self {
        Self("all".to_owned())
    }

    /// Tells whether this is `all`.
    pub fn is_all(&self) -> bool {
        self.0 == "all"
    }
}

impl Component {
    /// Returns `main`, where a package without a component in its Section belongs.
    pub fn main() -> Self {
        Self("main".to_owned())
    }

    /// Returns the component that a Section names (`contrib/net` → `contrib`), `main` for a plain one (Policy 2.4).
    ///
    /// # Errors
    /// The part before the slash is not a component's name.
    pub fn of_section(section: &str) -> Result<Self, NameError> {
        match section.rsplit_once('/') {
            Some((component, _)) => component.parse(),
            None => Ok(Self::main()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn pool_prefix_is_four_letters_for_libraries_else_one() {
        for (source, prefix) in [("hello", "h"), ("libntlm", "libn"), ("lib", "lib"), ("0ad", "0"), ("libreoffice", "libr"), ("li", "l")] {
            assert_eq!(source.parse::<SourceName>().unwrap().prefix(), prefix, "{source}");
        }
    }

    #[test]
    fn names_that_could_leave_their_folder_are_refused() {
        for bad in ["", ".", "..", "../x", "a/b", "a b", "-a", "a\n", "a\0", "é"] {
            assert!(bad.parse::<PackageName>().is_err(), "{bad:?}");
            assert!(bad.parse::<FileName>().is_err(), "{bad:?}");
            assert!(bad.parse::<Component>().is_err(), "{bad:?}");
            assert!(bad.parse::<Codename>().is_err(), "{bad:?}");
            assert!(bad.parse::<Architecture>().is_err(), "{bad:?}");
        }
        assert!("Hello".parse::<PackageName>().is_err());
        assert!("a..b".parse::<Codename>().is_err());
        assert!("x.lock".parse::<Codename>().is_err());
        assert!("g++-12_12.2.0-14~bpo1_amd64.deb".parse::<FileName>().is_ok());
    }

    #[test]
    fn wildcards_are_no_architectures() {
        for bad in ["any", "linux-any", "any-amd64", "source"] {
            assert!(bad.parse::<Architecture>().is_err(), "{bad}");
        }
        assert!("kfreebsd-amd64".parse::<Architecture>().is_ok());
    }

    #[test]
    fn a_section_names_its_component() {
        for (section, component) in [("net", "main"), ("contrib/net", "contrib"), ("non-free-firmware/kernel", "non-free-firmware")] {
            assert_eq!(Component::of_section(section).unwrap().as_str(), component);
        }
        assert!(Component::of_section("../net").is_err());
    }
}
