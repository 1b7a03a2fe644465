//! Conditions and ranges of a request (RFC 9110, sections 13 and 14): whether all, a part or nothing of a file is sent.

use std::ops::Range;

use crate::words::date::Timestamp;

/// The header fields that ask for a part, or for nothing where the client has the file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// `If-None-Match`
    pub if_none_match: Option<&'a str>,
    /// `If-Modified-Since`
    pub if_modified_since: Option<&'a str>,
    /// `If-Range`
    pub if_range: Option<&'a str>,
    /// `Range`
    pub range: Option<&'a str>,
}

/// What there is.
#[derive(Debug, Clone, Copy)]
pub struct Offered<'a> {
    /// `ETag`, in quotes; always a strong one.
    pub etag: &'a str,
    /// `Last-Modified`
    pub modified: Timestamp,
    /// Length in bytes.
    pub size: u64,
}

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// 200 and everything.
    Whole,
    /// 206 and these bytes.
    Bytes(Range<u64>),
    /// 304 and nothing.
    NotModified,
    /// 416: no such bytes.
    Unsatisfiable,
}

/// Returns a time as HTTP writes it.
pub fn http_date(time: Timestamp) -> String {
    time.rfc1123().replace("UTC", "GMT")
}

/// Decides what is sent.
///
/// `If-Modified-Since` means "still the one of that date": a date that went back (a wrong clock put right) must not leave
/// clients with what they have for ever. A list of ranges is answered with everything, which is allowed.
pub fn part(asked: &Asked<'_>, offered: &Offered<'_>) -> Part {
    let same_date = |text: &str| Timestamp::parse_rfc1123(text).is_ok_and(|time| time == offered.modified);
    let unchanged = match (asked.if_none_match, asked.if_modified_since) {
        (Some(tags), _) => tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == offered.etag),
        (None, Some(date)) => same_date(date),
        (None, None) => false,
    };
    if unchanged {
        return Part::NotModified;
    }
    let in_force = asked.if_range.is_none_or(|validator| validator.trim() == offered.etag || same_date(validator));
    match asked.range.filter(|_| in_force).and_then(|range| range.trim().strip_prefix("bytes=")) {
        Some(range) => bytes_of(range, offered.size),
        None => Part::Whole,
    }
}

fn bytes_of(range: &str, size: u64) -> Part {
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().unwrap_or(u64::MAX));
    let Some((first, last)) = range.split_once('-').map(|(first, last)| (first.trim(), last.trim())) else { return Part::Whole };
    let bytes = match (first.is_empty(), last.is_empty()) {
        (true, true) => return Part::Whole,
        (true, false) => number(last).map(|count| size.saturating_sub(count)..if count == 0 { 0 } else { size }),
        (false, true) => number(first).map(|first| first..size),
        (false, false) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => Some(first..last.saturating_add(1).min(size)),
            _ => None,
        },
    };
    match bytes {
        None => Part::Whole,
        Some(bytes) if bytes.start < bytes.end => Part::Bytes(bytes),
        Some(_) => Part::Unsatisfiable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OFFERED: Offered<'_> = Offered { etag: "\"abc\"", modified: Timestamp(1_789_199_741), size: 10 };
    const DATE: &str = "Sat, 12 Sep 2026 07:55:41 GMT";
    const LATER: &str = "Sat, 12 Sep 2026 07:55:42 GMT";

    fn range(text: &str) -> Part {
        part(&Asked { range: Some(text), ..Asked::default() }, &OFFERED)
    }

    #[test]
    fn a_range_is_a_part_that_is_there() {
        for (text, expected) in [
            ("bytes=0-3", Part::Bytes(0..4)),
            ("bytes=4-", Part::Bytes(4..10)),
            ("bytes=-3", Part::Bytes(7..10)),
            ("bytes=-30", Part::Bytes(0..10)),
            ("bytes=0-99999999999999999999999999", Part::Bytes(0..10)),
            ("bytes=9-9", Part::Bytes(9..10)),
            ("bytes=10-", Part::Unsatisfiable),
            ("bytes=99999999999999999999999999-", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=3-2", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("bytes=x", Part::Whole),
            ("lines=1-2", Part::Whole),
        ] {
            assert_eq!(range(text), expected, "{text}");
        }
    }

    #[test]
    fn what_the_client_has_is_not_sent() {
        let none_match = |tags| {
            part(
                &Asked { if_none_match: Some(tags), if_modified_since: Some(LATER), range: Some("bytes=0-1"), ..Asked::default() },
                &OFFERED,
            )
        };
        for (tags, expected) in [
            ("\"abc\"", Part::NotModified),
            ("\"x\", W/\"abc\"", Part::NotModified),
            ("*", Part::NotModified),
            ("\"x\"", Part::Bytes(0..2)),
            ("abc", Part::Bytes(0..2)),
        ] {
            assert_eq!(none_match(tags), expected, "{tags}");
        }
        let since = |date| part(&Asked { if_modified_since: Some(date), ..Asked::default() }, &OFFERED);
        assert_eq!(since(DATE), Part::NotModified);
        assert_eq!(since(LATER), Part::Whole, "another date is another file, also a later one");
        assert_eq!(since("yesterday"), Part::Whole);
    }

    #[test]
    fn a_part_goes_only_with_the_rest_of_the_same_file() {
        let if_range = |validator| part(&Asked { if_range: Some(validator), range: Some("bytes=5-"), ..Asked::default() }, &OFFERED);
        for (validator, expected) in [
            ("\"abc\"", Part::Bytes(5..10)),
            (DATE, Part::Bytes(5..10)),
            ("W/\"abc\"", Part::Whole),
            ("\"abd\"", Part::Whole),
            (LATER, Part::Whole),
        ] {
            assert_eq!(if_range(validator), expected, "{validator}");
        }
    }

    proptest! {
        #[test]
        fn a_part_is_never_outside(text in "bytes=[0-9, -]{0,20}", size in 0u64..40) {
            if let Part::Bytes(bytes) = part(&Asked { range: Some(&text), ..Asked::default() }, &Offered { size, ..OFFERED }) {
                prop_assert!(bytes.start < bytes.end && bytes.end <= size);
            }
        }
    }
}
