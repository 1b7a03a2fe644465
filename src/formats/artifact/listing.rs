//! The files that a .dsc, .changes or .buildinfo lists, with their sizes and digests.
//!
//! `Files` (MD5) and `Checksums-*` must name the same files with the same sizes; a list without SHA-256 is refused. Names
//! are plain file names, each once. Comparing a listed file with a real one is `Listed::compare`.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use crate::words::deb822::Paragraph;
use crate::words::digest::{DigestError, FileFacts, Md5, Sha1, Sha256, Sha512};
use crate::words::name::{FileName, NameError};

use super::fields::is_word;

/// Why a list of files is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListingError {
    /// A list that must be there.
    #[error("the field {field} is missing or empty")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A line with another number of columns, or a malformed one.
    #[error("{field}: \"{}\" is not \"{shape}\"", line.escape_debug())]
    Shape {
        /// The field.
        field: &'static str,
        /// The line, shortened.
        line: String,
        /// What it should look like.
        shape: &'static str,
    },
    /// A name that is no plain file name.
    #[error("{field}")]
    Name {
        /// The field.
        field: &'static str,
        /// What is wrong.
        #[source]
        fault: NameError,
    },
    /// A column that is no digest.
    #[error("{field}")]
    Digest {
        /// The field.
        field: &'static str,
        /// What is wrong.
        #[source]
        fault: DigestError,
    },
    /// A file that stands twice.
    #[error("{field} lists {file} twice")]
    Twice {
        /// The field.
        field: &'static str,
        /// The file.
        file: FileName,
    },
    /// Two lists that name different files.
    #[error("{file} is in only one of {first} and {second}")]
    Disagree {
        /// The file.
        file: FileName,
        /// One field.
        first: &'static str,
        /// The other field.
        second: &'static str,
    },
    /// Two lists that give different sizes.
    #[error("{first} and {second} give different sizes of {file}")]
    Sizes {
        /// The file.
        file: FileName,
        /// One field.
        first: &'static str,
        /// The other field.
        second: &'static str,
    },
}

/// A listed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its plain name.
    pub name: FileName,
    /// Length in bytes.
    pub size: u64,
    /// MD5, from `Files` or `Checksums-Md5`.
    pub md5: Option<Md5>,
    /// SHA-1, where listed.
    pub sha1: Option<Sha1>,
    /// SHA-256.
    pub sha256: Sha256,
    /// SHA-512, where listed.
    pub sha512: Option<Sha512>,
    /// Section, from the `Files` of a .changes; `None` for `-`.
    pub section: Option<String>,
    /// Priority, from the `Files` of a .changes; `None` for `-`.
    pub priority: Option<String>,
}

/// Whether `Files` is there and which columns it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Columns {
    /// A .buildinfo has no `Files`.
    None,
    /// `md5 size name`, as in a .dsc.
    Plain,
    /// `md5 size section priority name`, as in a .changes.
    WithSection,
}

/// One line of a list.
struct Line<'a> {
    digest: &'a str,
    size: u64,
    section: Option<&'a str>,
    priority: Option<&'a str>,
    name: FileName,
}

/// Reads all lists of a paragraph as one, in the order of `Checksums-Sha256`.
pub(super) fn read(paragraph: &Paragraph<'_>, columns: Columns) -> Result<Vec<Listed>, ListingError> {
    const SHA256: &str = "Checksums-Sha256";
    let mut files = Vec::new();
    for line in lines(paragraph, SHA256, Columns::Plain)?.ok_or(ListingError::Missing { field: SHA256 })? {
        let sha256 = digest(SHA256, line.digest)?;
        let Line { name, size, .. } = line;
        files.push(Listed { name, size, md5: None, sha1: None, sha256, sha512: None, section: None, priority: None });
    }
    if files.is_empty() {
        return Err(ListingError::Missing { field: SHA256 });
    }
    if columns != Columns::None {
        let lines = lines(paragraph, "Files", columns)?.ok_or(ListingError::Missing { field: "Files" })?;
        join(&mut files, "Files", lines, |file, line| {
            file.md5 = Some(digest("Files", line.digest)?);
            file.section = line.section.filter(|text| *text != "-").map(str::to_owned);
            file.priority = line.priority.filter(|text| *text != "-").map(str::to_owned);
            Ok(())
        })?;
    } else if let Some(lines) = lines(paragraph, "Checksums-Md5", Columns::Plain)? {
        join(&mut files, "Checksums-Md5", lines, |file, line| digest("Checksums-Md5", line.digest).map(|md5| file.md5 = Some(md5)))?;
    }
    if let Some(lines) = lines(paragraph, "Checksums-Sha1", Columns::Plain)? {
        join(&mut files, "Checksums-Sha1", lines, |file, line| digest("Checksums-Sha1", line.digest).map(|sha1| file.sha1 = Some(sha1)))?;
    }
    if let Some(lines) = lines(paragraph, "Checksums-Sha512", Columns::Plain)? {
        join(&mut files, "Checksums-Sha512", lines, |file, line| {
            digest("Checksums-Sha512", line.digest).map(|sha512| file.sha512 = Some(sha512))
        })?;
    }
    Ok(files)
}

/// Adds another list's column to the files, which must be the same.
fn join(
    files: &mut [Listed],
    field: &'static str,
    lines: Vec<Line<'_>>,
    mut add: impl FnMut(&mut Listed, &Line<'_>) -> Result<(), ListingError>,
) -> Result<(), ListingError> {
    const FIRST: &str = "Checksums-Sha256";
    let disagree = |file: FileName| ListingError::Disagree { file, first: FIRST, second: field };
    let mut by_name: BTreeMap<FileName, Line<'_>> = lines.into_iter().map(|line| (line.name.clone(), line)).collect();
    for file in files {
        let line = by_name.remove(&file.name).ok_or_else(|| disagree(file.name.clone()))?;
        if file.size != line.size {
            return Err(ListingError::Sizes { file: line.name, first: FIRST, second: field });
        }
        add(file, &line)?;
    }
    match by_name.into_keys().next() {
        Some(file) => Err(disagree(file)),
        None => Ok(()),
    }
}

/// Returns the lines of one list; `None` where the field is missing.
fn lines<'a>(paragraph: &Paragraph<'a>, field: &'static str, columns: Columns) -> Result<Option<Vec<Line<'a>>>, ListingError> {
    let Some(value) = paragraph.get(field) else { return Ok(None) };
    let mut lines: Vec<Line<'a>> = Vec::new();
    let mut seen = BTreeSet::new();
    for text in value.split('\n').filter(|text| !text.trim_ascii().is_empty()) {
        let line = line(field, text, columns)?;
        if !seen.insert(line.name.clone()) {
            return Err(ListingError::Twice { field, file: line.name });
        }
        lines.push(line);
    }
    Ok(Some(lines))
}

fn line<'a>(field: &'static str, text: &'a str, columns: Columns) -> Result<Line<'a>, ListingError> {
    let shape = if columns == Columns::WithSection { "digest size section priority name" } else { "digest size name" };
    let refuse = || ListingError::Shape { field, line: text.trim_ascii().chars().take(160).collect(), shape };
    let mut words = text.split_ascii_whitespace();
    let mut next = || words.next().ok_or_else(refuse);
    let (digest, size) = (next()?, next()?);
    let (section, priority) = if columns == Columns::WithSection { (Some(next()?), Some(next()?)) } else { (None, None) };
    let name = next()?;
    let digits = size.bytes().all(|byte| byte.is_ascii_digit());
    if words.next().is_some() || !digits || ![section, priority].into_iter().flatten().all(is_word) {
        return Err(refuse());
    }
    let size = size.parse().map_err(|_| refuse())?;
    let name = name.parse().map_err(|fault| ListingError::Name { field, fault })?;
    Ok(Line { digest, size, section, priority, name })
}

fn digest<D: FromStr<Err = DigestError>>(field: &'static str, text: &str) -> Result<D, ListingError> {
    text.parse().map_err(|fault| ListingError::Digest { field, fault })
}

/// How a real file differs from what a list says about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// Another length.
    #[error("has {found} bytes where {listed} are listed")]
    Size {
        /// Length of the real file.
        found: u64,
        /// Length in the list.
        listed: u64,
    },
    /// Another digest.
    #[error("has the {algorithm} digest {found} where {listed} is listed")]
    Digest {
        /// The algorithm.
        algorithm: &'static str,
        /// Digest of the real file.
        found: String,
        /// Digest in the list.
        listed: String,
    },
}

impl Listed {
    /// Compares size and every digest that both the list and the facts have.
    ///
    /// # Errors
    /// The first difference.
    pub fn compare(&self, facts: &FileFacts) -> Result<(), Difference> {
        if self.size != facts.size {
            return Err(Difference::Size { found: facts.size, listed: self.size });
        }
        same("SHA-256", Some(self.sha256), Some(facts.sha256))?;
        same("MD5", self.md5, Some(facts.md5))?;
        same("SHA-1", self.sha1, facts.sha1)?;
        same("SHA-512", self.sha512, facts.sha512)
    }
}

fn same<D: PartialEq + ToString>(algorithm: &'static str, listed: Option<D>, found: Option<D>) -> Result<(), Difference> {
    match (listed, found) {
        (Some(listed), Some(found)) if listed != found => {
            Err(Difference::Digest { algorithm, found: found.to_string(), listed: listed.to_string() })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::specimens::chain;
    use super::*;
    use crate::words::digest::ExtraDigests;

    fn listed(text: &str, columns: Columns) -> Result<Vec<Listed>, ListingError> {
        read(&Paragraph::parse(text.as_bytes()).unwrap(), columns)
    }

    fn lists(md5_line: &str, sha1_line: &str, sha256_line: &str) -> String {
        let list = |field: &str, line: &str| if line.is_empty() { String::new() } else { format!("{field}:\n {line}\n") };
        format!("X: y\n{}{}{}", list("Files", md5_line), list("Checksums-Sha1", sha1_line), list("Checksums-Sha256", sha256_line))
    }

    fn facts() -> FileFacts {
        FileFacts::of(b"abc", ExtraDigests { sha1: true, sha512: true })
    }

    #[test]
    fn all_lists_of_one_file_become_one() {
        let facts = facts();
        let text = lists(
            &format!("{} 3 contrib/net optional a_1.deb", facts.md5),
            &format!("{} 3 a_1.deb", facts.sha1.unwrap()),
            &format!("{} 3 a_1.deb", facts.sha256),
        );
        let files = listed(&text, Columns::WithSection).unwrap();
        let [file] = files.as_slice() else { unreachable!("{files:?}") };
        assert_eq!((file.section.as_deref(), file.priority.as_deref()), (Some("contrib/net"), Some("optional")));
        assert_eq!((file.md5, file.sha1, file.sha512), (Some(facts.md5), facts.sha1, None));
        assert_eq!(file.compare(&facts), Ok(()));
        let other = FileFacts::of(b"abd", ExtraDigests { sha1: true, sha512: false });
        assert!(file.compare(&other).unwrap_err().to_string().starts_with("has the SHA-256 digest a52d159f"));
        let longer = FileFacts::of(b"abcd", ExtraDigests::default());
        assert_eq!(file.compare(&longer).unwrap_err().to_string(), "has 4 bytes where 3 are listed");
        assert!(file.compare(&FileFacts { sha1: Some("0".repeat(40).parse().unwrap()), ..facts }).is_err());
    }

    #[test]
    fn lists_that_disagree_are_refused() {
        let facts = facts();
        let (md5, sha256) = (facts.md5, facts.sha256);
        let check = |md5_line: String, sha256_line: String, expected: &str| {
            let fault = listed(&lists(&md5_line, "", &sha256_line), Columns::Plain).unwrap_err();
            assert_eq!(chain(&fault), expected);
        };
        check(format!("{md5} 3 a"), String::new(), "the field Checksums-Sha256 is missing or empty");
        check(String::new(), format!("{sha256} 3 a"), "the field Files is missing or empty");
        check(format!("{md5} 3 a"), format!("{sha256} 3 b"), "b is in only one of Checksums-Sha256 and Files");
        check(format!("{md5} 3 b\n {md5} 3 a"), format!("{sha256} 3 b"), "a is in only one of Checksums-Sha256 and Files");
        check(format!("{md5} 4 a"), format!("{sha256} 3 a"), "Checksums-Sha256 and Files give different sizes of a");
        check(format!("{md5} 3 a\n {md5} 3 a"), format!("{sha256} 3 a"), "Files lists a twice");
        check(format!("{md5} 3"), format!("{sha256} 3 a"), &format!("Files: \"{md5} 3\" is not \"digest size name\""));
        check(format!("{md5} 3 a b"), format!("{sha256} 3 a"), &format!("Files: \"{md5} 3 a b\" is not \"digest size name\""));
        check(format!("{md5} +3 a"), format!("{sha256} 3 a"), &format!("Files: \"{md5} +3 a\" is not \"digest size name\""));
        check(
            format!("{md5} 3 ../a"),
            format!("{sha256} 3 a"),
            "Files: \"../a\" is not a valid file name: letters, digits and + - . _ ~ : = @ beginning with a letter or digit",
        );
        check("zz 3 a".to_owned(), format!("{sha256} 3 a"), "Files: \"zz\" is not 32 lower-case hexadecimal digits of a MD5 digest");
    }
}
