//! Versions of packages, ordered as dpkg orders them (deb-version(7), Debian Policy 5.6.12).
//!
//! A `Version` is checked when made: an optional numeric epoch, an upstream part that begins with a digit or letter, an
//! optional revision, and no byte that could leave a path. Two versions that differ in writing but not in order (`1.0` and
//! `1.0-0`, `01` and `1`) are ordered by their text after dpkg's rule, so that `Ord` agrees with `Eq`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits;

/// Why a text is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is not a valid version: {rule}", text.escape_debug())]
pub struct VersionError {
    text: String,
    rule: &'static str,
}

/// A checked Debian version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version(String);

/// The parts of a version as dpkg sees them.
#[derive(Clone, Copy)]
struct Parts<'a> {
    epoch: u32,
    upstream: &'a str,
    revision: &'a str,
}

impl Version {
    /// Returns the version as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the version without its epoch, as file names carry it.
    pub fn without_epoch(&self) -> &str {
        self.0.split_once(':').map_or(self.0.as_str(), |(_, rest)| rest)
    }

    /// Returns the version as a part of a record's file name: the epoch's colon as `%3a`, as apt's cache writes it.
    pub fn in_file_name(&self) -> String {
        self.0.replace(':', "%3a")
    }

    /// Returns the number of the binary rebuild (`1.2-3+b4` → 4), 0 for a first build.
    pub fn binary_rebuild(&self) -> u32 {
        self.0
            .rsplit_once("+b")
            .filter(|(_, digits)| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|(_, digits)| digits.parse().ok())
            .unwrap_or(0)
    }

    /// Compares as `dpkg --compare-versions` does, where `1.0` equals `1.0-0`.
    pub fn compare(&self, other: &Self) -> Ordering {
        let (left, right) = (self.parts(), other.parts());
        left.epoch
            .cmp(&right.epoch)
            .then_with(|| compare_part(left.upstream.as_bytes(), right.upstream.as_bytes()))
            .then_with(|| compare_part(left.revision.as_bytes(), right.revision.as_bytes()))
    }

    fn parts(&self) -> Parts<'_> {
        let (epoch, rest) = match self.0.split_once(':') {
            Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
            None => (0, self.0.as_str()),
        };
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        Parts { epoch, upstream, revision }
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.compare(other).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Where a byte stands among non-digits: `~` before the end, the end before letters, letters before the rest.
fn rank(byte: Option<u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_digit() => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(byte),
        Some(byte) => i32::from(byte) + 256,
    }
}

fn take_digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

fn without_zeros(digits: &[u8]) -> &[u8] {
    let start = digits.iter().position(|&byte| byte != b'0').unwrap_or(digits.len());
    digits.split_at(start).1
}

fn compare_part(mut left: &[u8], mut right: &[u8]) -> Ordering {
    while !left.is_empty() || !right.is_empty() {
        loop {
            let (a, b) = (left.first().copied(), right.first().copied());
            let a_is_word = a.is_some_and(|byte| !byte.is_ascii_digit());
            let b_is_word = b.is_some_and(|byte| !byte.is_ascii_digit());
            if !a_is_word && !b_is_word {
                break;
            }
            match rank(a).cmp(&rank(b)) {
                Ordering::Equal => {}
                unequal => return unequal,
            }
            left = left.split_first().map_or(left, |(_, rest)| rest);
            right = right.split_first().map_or(right, |(_, rest)| rest);
        }
        let (left_digits, left_rest) = take_digits(left);
        let (right_digits, right_rest) = take_digits(right);
        let (a, b) = (without_zeros(left_digits), without_zeros(right_digits));
        match a.len().cmp(&b.len()).then_with(|| a.cmp(b)) {
            Ordering::Equal => {}
            unequal => return unequal,
        }
        (left, right) = (left_rest, right_rest);
    }
    Ordering::Equal
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let refuse = |rule| Err(VersionError { text: text.chars().take(80).collect(), rule });
        if text.is_empty() || text.len() > limits::VERSION {
            return refuse("it is empty or too long");
        }
        let rest = match text.split_once(':') {
            Some((epoch, rest)) => {
                if epoch.is_empty() || !epoch.bytes().all(|byte| byte.is_ascii_digit()) || epoch.parse::<i32>().is_err() {
                    return refuse("the epoch before the colon is not a number");
                }
                rest
            }
            None => text,
        };
        if !rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-~".contains(&byte)) {
            return refuse("only letters, digits and . + - ~ may follow the epoch");
        }
        let (upstream, revision) = match rest.rsplit_once('-') {
            Some((upstream, revision)) => (upstream, Some(revision)),
            None => (rest, None),
        };
        if revision == Some("") {
            return refuse("the revision after the last hyphen is empty");
        }
        if !upstream.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric()) {
            return refuse("the upstream version does not begin with a letter or digit");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Version {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Version".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "description": "A Debian version (deb-version(7))"})
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn order_is_dpkgs_on_the_cases_of_the_manpage() {
        let ascending =
            ["1.0~~", "1.0~~a", "1.0~", "1.0", "1.0-0.1", "1.0-1", "1.0-1+b1", "1.0a", "1.0+", "1.0.1", "1.9", "1.10", "2", "1:0.1", "2:0"];
        for pair in ascending.windows(2) {
            let [low, high] = pair else { continue };
            assert_eq!(version(low).compare(&version(high)), Ordering::Less, "{low} < {high}");
            assert_eq!(version(high).compare(&version(low)), Ordering::Greater, "{high} > {low}");
        }
        assert_eq!(version("1.0").compare(&version("1.0-0")), Ordering::Equal);
        assert_eq!(version("0:1.0").compare(&version("1.00")), Ordering::Equal);
    }

    #[test]
    fn malformed_versions_are_refused() {
        for bad in ["", ":1", "x:1", "1:", "-1", "1-", "1.0 ", "1/2", "1_2", "..", "~1", "é1", "99999999999:1", "1:2:3"] {
            assert!(bad.parse::<Version>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn parts_that_file_names_need() {
        let epoch = version("1:2.3-4+b5");
        assert_eq!(epoch.without_epoch(), "2.3-4+b5");
        assert_eq!(epoch.in_file_name(), "1%3a2.3-4+b5");
        assert_eq!(epoch.binary_rebuild(), 5);
        assert_eq!(version("2.3+beta").binary_rebuild(), 0);
        assert_eq!(version("2.3+b").binary_rebuild(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(150))]
        #[test]
        fn order_is_what_dpkg_says(a in "([0-9]:)?[0-9a-z][0-9a-zA-Z.+~]{0,6}(-[0-9a-z.+~]{1,3})?", b in "([0-9]:)?[0-9a-z][0-9a-zA-Z.+~]{0,6}(-[0-9a-z.+~]{1,3})?") {
            let (Ok(a), Ok(b)) = (a.parse::<Version>(), b.parse::<Version>()) else { return Ok(()) };
            let says = |relation: &str| {
                std::process::Command::new("dpkg").args(["--compare-versions", a.as_str(), relation, b.as_str()])
                    .stderr(std::process::Stdio::null()).status().expect("dpkg is needed").success()
            };
            let expected = if says("lt") { Ordering::Less } else if says("gt") { Ordering::Greater } else { Ordering::Equal };
            prop_assert_eq!(a.compare(&b), expected, "{} {}", a, b);
        }
    }
}
