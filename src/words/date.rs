//! Points in time as the archive writes them: RFC 1123 in UTC for Release, whole seconds everywhere.
//!
//! apt takes only UTC (`UTC`, `GMT`, `Z`, `+0000`) and English day names; Debian writes `UTC`. The clock is never read here:
//! whoever needs "now" gets it as a value.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDateTime, TimeZone as _, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A point in time in whole seconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// Why a text is no date or length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not {expected}")]
pub struct DateError {
    text: String,
    expected: &'static str,
}

const RFC_1123: &str = "%a, %d %b %Y %H:%M:%S";

const COMPACT: &str = "%Y%m%dT%H%M%SZ";

impl Timestamp {
    /// Returns the RFC 1123 form that Release carries, such as `Sat, 12 Sep 2026 07:55:41 UTC`.
    pub fn rfc1123(self) -> String {
        match Utc.timestamp_opt(self.0, 0).single() {
            Some(time) => format!("{} UTC", time.format(RFC_1123)),
            None => format!("@{}", self.0),
        }
    }

    /// Returns the ISO 8601 form for people and JSON, such as `2026-09-12T07:55:41Z`.
    pub fn iso8601(self) -> String {
        match Utc.timestamp_opt(self.0, 0).single() {
            Some(time) => time.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            None => format!("@{}", self.0),
        }
    }

    /// Reads the RFC 1123 form with any of the zone names that apt takes.
    ///
    /// # Errors
    /// Not of that form, or another zone.
    pub fn parse_rfc1123(text: &str) -> Result<Self, DateError> {
        let refuse = || DateError { text: text.chars().take(80).collect(), expected: "a date such as \"Sat, 12 Sep 2026 07:55:41 UTC\"" };
        let (time, zone) = text.trim().rsplit_once(' ').ok_or_else(refuse)?;
        if !["UTC", "GMT", "Z", "+0000"].contains(&zone) {
            return Err(refuse());
        }
        NaiveDateTime::parse_from_str(time, RFC_1123).map(|time| Self(time.and_utc().timestamp())).map_err(|_| refuse())
    }

    /// Returns the form without signs between, `20260912T075541Z`: names of snapshots.
    pub fn compact(self) -> String {
        Utc.timestamp_opt(self.0, 0).single().map_or_else(|| format!("@{}", self.0), |time| time.format(COMPACT).to_string())
    }

    /// Reads the form without signs between.
    ///
    /// # Errors
    /// Not of that form.
    pub fn parse_compact(text: &str) -> Result<Self, DateError> {
        let refuse = |_| DateError { text: text.chars().take(80).collect(), expected: "a time such as 20260912T075541Z" };
        NaiveDateTime::parse_from_str(text, COMPACT).map(|time| Self(time.and_utc().timestamp())).map_err(refuse)
    }

    /// Returns this time moved by a length of time.
    pub fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.seconds()))
    }

    /// Returns this time moved back by a length of time.
    pub fn minus(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.seconds()))
    }
}

impl FromStr for Timestamp {
    type Err = DateError;

    /// Reads `@seconds`, plain seconds, or ISO 8601 with a zone.
    fn from_str(text: &str) -> Result<Self, DateError> {
        if let Ok(seconds) = text.strip_prefix('@').unwrap_or(text).parse() {
            return Ok(Self(seconds));
        }
        DateTime::parse_from_rfc3339(text).map(|time| Self(time.timestamp())).map_err(|_| DateError {
            text: text.chars().take(80).collect(),
            expected: "a time such as 2026-09-12T07:55:41Z or seconds since 1970",
        })
    }
}

/// A length of time, written as a number with a unit: `90s`, `15m`, `12h`, `7d`, `2w`, `5y` (of 365 days).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(i64);

const UNITS: [(&str, i64); 6] = [("y", 31_536_000), ("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

impl Span {
    /// Returns a length in seconds as a value.
    pub const fn of_seconds(seconds: u32) -> Self {
        // `i64::from` is not const.
        Self(seconds as i64)
    }

    /// Returns the length in seconds.
    pub fn seconds(self) -> i64 {
        self.0
    }
}

impl FromStr for Span {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        let refuse =
            || DateError { text: text.chars().take(80).collect(), expected: "a length of time such as 90s, 15m, 12h, 7d, 2w or 5y" };
        let (unit, seconds) = UNITS.iter().find(|(unit, _)| text.ends_with(unit)).ok_or_else(refuse)?;
        let number = text.strip_suffix(unit).unwrap_or_default();
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(refuse());
        }
        number.parse::<u32>().map(|number| Self(i64::from(number) * seconds)).map_err(|_| refuse())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, seconds) = UNITS.iter().find(|(_, seconds)| self.0 >= *seconds && self.0 % seconds == 0).unwrap_or(&("s", 1));
        write!(f, "{}{unit}", self.0 / seconds)
    }
}

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[0-9]+[smhdwy]$", "description": "A length of time such as 12h or 7d"})
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn release_dates_are_written_as_debian_does_and_read_as_apt_does() {
        let date = Timestamp(1_789_199_741);
        assert_eq!(date.rfc1123(), "Sat, 12 Sep 2026 07:55:41 UTC");
        assert_eq!(date.iso8601(), "2026-09-12T07:55:41Z");
        for zone in ["UTC", "GMT", "Z", "+0000"] {
            assert_eq!(Timestamp::parse_rfc1123(&format!("Sat, 12 Sep 2026 07:55:41 {zone}")).unwrap(), date);
        }
        assert!(Timestamp::parse_rfc1123("Sat, 12 Sep 2026 07:55:41 CEST").is_err());
        assert_eq!("2026-09-12T07:55:41Z".parse::<Timestamp>().unwrap(), date);
        assert_eq!("@1789199741".parse::<Timestamp>().unwrap(), date);
    }

    #[test]
    fn spans_carry_a_unit() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("7d", 604_800), ("2y", 63_072_000)] {
            assert_eq!(text.parse::<Span>().unwrap().seconds(), seconds);
        }
        assert_eq!("7d".parse::<Span>().unwrap().to_string(), "1w");
        for bad in ["", "7", "d", "-7d", "7 d", "1.5h", "9999999999d"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }
}
