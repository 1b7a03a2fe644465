//! One paragraph of a build artifact and its checked fields (deb-control(5), deb-src-control(5), deb-changes(5)).
//!
//! What control files, .dsc, .changes and .buildinfo have in common: one deb822 paragraph, fields that must be there, names
//! and versions in them. Values are looked at, never rewritten.

use std::str::FromStr;

use crate::words::deb822::{Deb822Error, Paragraph};
use crate::words::name::{NameError, SourceName};
use crate::words::relation::{self, RelationError};
use crate::words::version::{Version, VersionError};

/// Fields that every index sets and no package may (Filename opens ddb's own part of a record), and those in which a record names
/// provenance.
pub(super) const RESERVED: [&str; 9] =
    ["Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512", "Status", "Provenance", "Provenance-Claims"];

/// Why a paragraph's field is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// Not one deb822 paragraph.
    #[error(transparent)]
    Paragraph(#[from] Deb822Error),
    /// A field that must be there, and is not or is empty.
    #[error("the field {field} is missing or empty")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A field that only an archive may set.
    #[error("the field {field} belongs to the archive's indices and may not be set by a package")]
    Reserved {
        /// The field as written.
        field: String,
    },
    /// A field whose value is not a name.
    #[error("{field}")]
    Name {
        /// The field.
        field: &'static str,
        /// What is wrong.
        #[source]
        fault: NameError,
    },
    /// A field whose value is not a version.
    #[error("{field}")]
    Version {
        /// The field.
        field: &'static str,
        /// What is wrong.
        #[source]
        fault: VersionError,
    },
    /// A relation field that does not parse.
    #[error(transparent)]
    Relation(#[from] RelationError),
    /// A field whose value breaks another rule.
    #[error("{field} \"{}\" {rule}", text.escape_debug())]
    Malformed {
        /// The field.
        field: &'static str,
        /// The value, shortened.
        text: String,
        /// What is wrong.
        rule: &'static str,
    },
}

/// Returns the only paragraph of a text.
pub(super) fn paragraph(text: &str) -> Result<Paragraph<'_>, FieldError> {
    Ok(Paragraph::parse(text.as_bytes())?)
}

/// Returns the value of a field that must be there and not be empty.
pub(super) fn need<'a>(paragraph: &Paragraph<'a>, field: &'static str) -> Result<&'a str, FieldError> {
    paragraph.get(field).filter(|value| !value.is_empty()).ok_or(FieldError::Missing { field })
}

/// Reads a name.
pub(super) fn name<N: FromStr<Err = NameError>>(field: &'static str, text: &str) -> Result<N, FieldError> {
    text.parse().map_err(|fault| FieldError::Name { field, fault })
}

/// Reads a version.
pub(super) fn version(field: &'static str, text: &str) -> Result<Version, FieldError> {
    text.parse().map_err(|fault| FieldError::Version { field, fault })
}

/// Returns the error of a value that breaks a rule.
pub(super) fn malformed(field: &'static str, text: &str, rule: &'static str) -> FieldError {
    FieldError::Malformed { field, text: text.chars().take(120).collect(), rule }
}

/// Reads `NAME` or `NAME (VERSION)`, as `Source` of a control file or .changes has it.
pub(super) fn source(text: &str) -> Result<(SourceName, Option<Version>), FieldError> {
    match text.split_once(' ') {
        None => Ok((name("Source", text)?, None)),
        Some((source, rest)) => {
            let inner = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
            let inner = inner.ok_or_else(|| malformed("Source", text, "is not \"name\" or \"name (version)\""))?;
            Ok((name("Source", source)?, Some(version("Source", inner)?)))
        }
    }
}

/// Returns the value of a field that holds one word, if it is there.
pub(super) fn word<'a>(paragraph: &Paragraph<'a>, field: &'static str) -> Result<Option<&'a str>, FieldError> {
    match paragraph.get(field) {
        Some("") => Err(FieldError::Missing { field }),
        Some(text) if !is_word(text) => Err(malformed(field, text, "is not one word of letters, digits and + - . / _ ~")),
        other => Ok(other),
    }
}

/// Returns the words of a list of architectures; wildcards and `source` are words too.
pub(super) fn architectures(paragraph: &Paragraph<'_>) -> Result<Vec<String>, FieldError> {
    let text = need(paragraph, "Architecture")?;
    text.split_ascii_whitespace()
        .map(|word| {
            let good = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
            if good { Ok(word.to_owned()) } else { Err(malformed("Architecture", text, "is not a list of architectures")) }
        })
        .collect()
}

/// Tells whether this is one word that may stand in a Section, Priority or Distribution.
pub(super) fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-./_~".contains(&byte))
}

/// Checks every relation field of the paragraph and that none of the reserved fields is there, nor these.
pub(super) fn check_all(paragraph: &Paragraph<'_>, reserved: &[&str]) -> Result<(), FieldError> {
    for field in paragraph.fields() {
        if RESERVED.iter().chain(reserved).any(|name| name.eq_ignore_ascii_case(field.name)) {
            return Err(FieldError::Reserved { field: field.name.to_owned() });
        }
        relation::check(field.name, field.value())?;
    }
    Ok(())
}
