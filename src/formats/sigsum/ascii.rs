//! Sigsum's text form: lines `key=value value…`, decimal numbers, hexadecimal bytes; an empty line separates parts.
//!
//! log.md section 2.1. Every line ends in a line feed. Hexadecimal digits may be of either case, as sigsum-go takes them.

use std::fmt;

use crate::words::digest::Sha256;

/// Why a text is not in this form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AsciiError {
    /// The text ends where a line is expected.
    #[error("it ends where \"{expected}\" belongs")]
    End {
        /// What is missing.
        expected: &'static str,
    },
    /// A line that has no place where it stands.
    #[error("line {line}: \"{expected}\" belongs here")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What belongs there.
        expected: &'static str,
    },
    /// A value that is not of its kind.
    #[error("line {line}: {source}")]
    Value {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        source: Box<AsciiError>,
    },
    /// Not hexadecimal, or of another length.
    #[error("{expected} hexadecimal digits belong here")]
    Hex {
        /// How many.
        expected: usize,
    },
    /// Not a decimal number.
    #[error("a decimal number below 2^63 belongs here")]
    Number,
    /// Too large.
    #[error("it is larger than {limit} bytes")]
    Large {
        /// The limit.
        limit: usize,
    },
    /// Too much of something.
    #[error("line {line}: more than {limit} of \"{what}\"")]
    Many {
        /// The line, from 1.
        line: usize,
        /// Of what.
        what: &'static str,
        /// How many are read.
        limit: usize,
    },
    /// The same witness twice.
    #[error("line {line}: a second cosignature by {witness}")]
    Twice {
        /// The line, from 1.
        line: usize,
        /// The witness's key hash.
        witness: Sha256,
    },
    /// An unknown version of the proof format.
    #[error("it is of version {version}; ddb reads version 2")]
    Version {
        /// The version.
        version: u64,
    },
    /// A tree without leaves, which holds nothing.
    #[error("its tree is empty")]
    Empty,
}

/// Reads as many bytes as the array has.
pub(super) fn hex<const N: usize>(text: &str) -> Result<[u8; N], AsciiError> {
    let wrong = || AsciiError::Hex { expected: 2 * N };
    if text.len() != 2 * N {
        return Err(wrong());
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return Err(wrong()) };
        *byte = digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low).ok_or_else(wrong)?;
    }
    Ok(bytes)
}

pub(super) fn hash(text: &str) -> Result<Sha256, AsciiError> {
    hex(text).map(Sha256::from_bytes)
}

pub(super) fn number(text: &str) -> Result<u64, AsciiError> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse::<u64>().ok().filter(|number| plain && *number < 1 << 63).ok_or(AsciiError::Number)
}

pub(super) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// The lines of a text.
pub(super) struct Lines<'a> {
    rest: &'a str,
    number: usize,
}

impl<'a> Lines<'a> {
    /// Begins with a text of at most this many bytes.
    pub(super) fn of(bytes: &'a [u8], limit: usize) -> Result<Self, AsciiError> {
        if bytes.len() > limit {
            return Err(AsciiError::Large { limit });
        }
        let rest = str::from_utf8(bytes).map_err(|_| AsciiError::Line { line: 1, expected: "ASCII text" })?;
        Ok(Self { rest, number: 0 })
    }

    /// Returns the next line without its line feed; `None` at the end.
    pub(super) fn next(&mut self, expected: &'static str) -> Result<Option<&'a str>, AsciiError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let (line, rest) = self.rest.split_once('\n').ok_or(AsciiError::End { expected })?;
        self.rest = rest;
        Ok(Some(line))
    }

    /// Returns the value of the next line, which has this key.
    pub(super) fn value(&mut self, key: &'static str) -> Result<&'a str, AsciiError> {
        let line = self.next(key)?.ok_or(AsciiError::End { expected: key })?;
        line.strip_prefix(key).and_then(|rest| rest.strip_prefix('=')).ok_or(AsciiError::Line { line: self.number, expected: key })
    }

    /// Returns the values of the next line, separated by single blanks.
    pub(super) fn values<const N: usize>(&mut self, key: &'static str) -> Result<[&'a str; N], AsciiError> {
        let values: Vec<&str> = self.value(key)?.split(' ').collect();
        values.try_into().map_err(|_| AsciiError::Line { line: self.number, expected: key })
    }

    /// Reads a value of the line that was read last.
    pub(super) fn read<T>(&self, value: &str, read: impl Fn(&str) -> Result<T, AsciiError>) -> Result<T, AsciiError> {
        read(value).map_err(|source| AsciiError::Value { line: self.number, source: Box::new(source) })
    }

    /// Reads a line with one value.
    pub(super) fn one<T>(&mut self, key: &'static str, read: impl Fn(&str) -> Result<T, AsciiError>) -> Result<T, AsciiError> {
        let value = self.value(key)?;
        self.read(value, read)
    }

    /// Reads the line that separates two parts.
    pub(super) fn empty(&mut self) -> Result<(), AsciiError> {
        const EXPECTED: &str = "an empty line";
        match self.next(EXPECTED)? {
            Some("") => Ok(()),
            Some(_) => Err(AsciiError::Line { line: self.number, expected: EXPECTED }),
            None => Err(AsciiError::End { expected: EXPECTED }),
        }
    }

    /// Tells whether the next line has this key; an empty line or another one is left where it is.
    pub(super) fn is_next(&self, key: &str) -> bool {
        self.rest.strip_prefix(key).is_some_and(|rest| rest.starts_with('='))
    }

    /// Checks that nothing is left.
    pub(super) fn end(&mut self) -> Result<(), AsciiError> {
        if self.rest.is_empty() { Ok(()) } else { Err(AsciiError::Line { line: self.number + 1, expected: "the end" }) }
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }
}
