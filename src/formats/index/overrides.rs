//! Override files: what the archive says about a package in place of its maintainer.
//!
//! The formats are those of apt-ftparchive(1), dpkg-scanpackages(1) and dak. Binary packages and udebs: `package priority
//! section [maintainer]`, where maintainer is `new` or `old // older => new`. Sources: `source section` or `source priority
//! section`. Any field: `package field value`. Blanks separate, empty lines and lines beginning with `#` are passed over.
//! A name may carry an architecture (`package/amd64`) and then wins over the plain one. Later lines replace earlier ones.

use std::collections::BTreeMap;

use crate::words::deb822::valid_field_name;
use crate::words::limits;

/// Why a text is no override file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// Larger than any override file may be.
    #[error("it has {size} bytes, more than the {} of an override file", limits::OVERRIDES)]
    TooLong {
        /// Length in bytes.
        size: usize,
    },
    /// Not UTF-8.
    #[error("line {line} is not UTF-8")]
    Encoding {
        /// Line number from 1.
        line: usize,
    },
    /// A line of another form.
    #[error("line {line} is not \"{form}\"")]
    Malformed {
        /// Line number from 1.
        line: usize,
        /// The form of this file's lines.
        form: &'static str,
    },
    /// A word that cannot stand there.
    #[error("line {line}: \"{}\" {fault}", word.escape_debug())]
    Word {
        /// Line number from 1.
        line: usize,
        /// The word.
        word: String,
        /// What is wrong with it.
        fault: &'static str,
    },
}

/// What an override file says about one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// `Section`, with its component outside main (`contrib/net`).
    pub section: String,
    /// `Priority`; a source override may leave it out.
    pub priority: Option<String>,
    maintainer: Option<MaintainerOverride>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct MaintainerOverride {
    /// Maintainers that are replaced; empty means any.
    old: Vec<String>,
    new: String,
}

impl Override {
    /// Returns the maintainer to show in place of this one; `None` where it stays.
    pub fn maintainer(&self, present: &str) -> Option<&str> {
        let change = self.maintainer.as_ref()?;
        (change.old.is_empty() || change.old.iter().any(|old| old == present)).then_some(&change.new)
    }
}

/// The override files of one component.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    binary: BTreeMap<String, Override>,
    udeb: BTreeMap<String, Override>,
    source: BTreeMap<String, Override>,
    extra: BTreeMap<String, BTreeMap<String, String>>,
}

const BINARY_FORM: &str = "package priority section [maintainer]";
const SOURCE_FORM: &str = "source section\" or \"source priority section";
const EXTRA_FORM: &str = "package field value";

/// Priorities of Policy 2.5, and dak's for sources: what tells `source priority section` from a mistake.
const PRIORITIES: &[&str] = &["required", "important", "standard", "optional", "extra", "source"];

/// Fields that name or check a file, or that have an override file of another form.
const NOT_EXTRA: &[&str] = &[
    "Package",
    "Source",
    "Version",
    "Architecture",
    "Section",
    "Priority",
    "Maintainer",
    "Description",
    "Description-md5",
    "Filename",
    "Size",
    "MD5sum",
    "SHA1",
    "SHA256",
    "SHA512",
    "Status",
];

impl Overrides {
    /// Takes the lines of a file for .deb packages.
    ///
    /// # Errors
    /// The first line of another form, by its number; nothing is taken then.
    pub fn read_binary(&mut self, file: &[u8]) -> Result<(), OverrideError> {
        let read = binary_lines(file)?;
        self.binary.extend(read);
        Ok(())
    }

    /// Takes the lines of a file for .udeb packages.
    ///
    /// # Errors
    /// The first line of another form, by its number; nothing is taken then.
    pub fn read_udeb(&mut self, file: &[u8]) -> Result<(), OverrideError> {
        let read = binary_lines(file)?;
        self.udeb.extend(read);
        Ok(())
    }

    /// Takes the lines of a file for source packages.
    ///
    /// # Errors
    /// The first line of another form, by its number; nothing is taken then.
    pub fn read_source(&mut self, file: &[u8]) -> Result<(), OverrideError> {
        let read = lines(file)?.map(source_line).collect::<Result<Vec<_>, _>>()?;
        self.source.extend(read);
        Ok(())
    }

    /// Takes the lines of a file for any field of .deb packages.
    ///
    /// # Errors
    /// The first line of another form, or naming a field that only the package itself or another file can set, by its number;
    /// nothing is taken then.
    pub fn read_extra(&mut self, file: &[u8]) -> Result<(), OverrideError> {
        for (package, field, value) in lines(file)?.map(extra_line).collect::<Result<Vec<_>, _>>()? {
            self.extra.entry(package).or_default().insert(field, value);
        }
        Ok(())
    }

    /// Returns what is said about a .deb or .udeb of this architecture.
    pub fn binary(&self, package: &str, architecture: &str, udeb: bool) -> Option<&Override> {
        let table = if udeb { &self.udeb } else { &self.binary };
        table.get(&format!("{package}/{architecture}")).or_else(|| table.get(package))
    }

    /// Returns what is said about a source.
    pub fn source(&self, source: &str) -> Option<&Override> {
        self.source.get(source)
    }

    /// Returns the fields that a .deb gets, with their values, by name.
    pub fn extra(&self, package: &str) -> impl Iterator<Item = (&str, &str)> {
        self.extra.get(package).into_iter().flatten().map(|(field, value)| (field.as_str(), value.as_str()))
    }
}

/// Returns the lines that say something, with their numbers.
fn lines(file: &[u8]) -> Result<impl Iterator<Item = (usize, &str)>, OverrideError> {
    if file.len() as u64 > limits::OVERRIDES {
        return Err(OverrideError::TooLong { size: file.len() });
    }
    let text = std::str::from_utf8(file).map_err(|fault| {
        let good = file.get(..fault.valid_up_to()).unwrap_or_default();
        OverrideError::Encoding { line: good.iter().filter(|byte| **byte == b'\n').count() + 1 }
    })?;
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    Ok(lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')))
}

fn binary_lines(file: &[u8]) -> Result<Vec<(String, Override)>, OverrideError> {
    lines(file)?.map(binary_line).collect()
}

fn binary_line((line, text): (usize, &str)) -> Result<(String, Override), OverrideError> {
    let malformed = || OverrideError::Malformed { line, form: BINARY_FORM };
    let (package, rest) = word(text).ok_or_else(malformed)?;
    let (priority, rest) = word(rest).ok_or_else(malformed)?;
    let (section, rest) = word(rest).ok_or_else(malformed)?;
    let maintainer = if rest.is_empty() { None } else { Some(maintainer(line, rest)?) };
    let said =
        Override { section: printable(line, section)?.to_owned(), priority: Some(printable(line, priority)?.to_owned()), maintainer };
    Ok((named(line, package)?, said))
}

fn source_line((line, text): (usize, &str)) -> Result<(String, Override), OverrideError> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let (source, priority, section) = match words.as_slice() {
        [source, section] => (source, None, section),
        [source, priority, section] => (source, Some(*priority), section),
        _ => return Err(OverrideError::Malformed { line, form: SOURCE_FORM }),
    };
    if let Some(priority) = priority.filter(|priority| !PRIORITIES.contains(priority)) {
        return Err(OverrideError::Word { line, word: priority.to_owned(), fault: "is not a priority" });
    }
    let said = Override { section: printable(line, section)?.to_owned(), priority: priority.map(str::to_owned), maintainer: None };
    Ok((named(line, source)?, said))
}

fn extra_line((line, text): (usize, &str)) -> Result<(String, String, String), OverrideError> {
    let malformed = || OverrideError::Malformed { line, form: EXTRA_FORM };
    let (package, rest) = word(text).ok_or_else(malformed)?;
    let (field, value) = word(rest).ok_or_else(malformed)?;
    if value.is_empty() {
        return Err(malformed());
    }
    let refuse = |fault| OverrideError::Word { line, word: field.chars().take(80).collect(), fault };
    if !valid_field_name(field) {
        return Err(refuse("is not a field name"));
    }
    if NOT_EXTRA.iter().any(|fixed| fixed.eq_ignore_ascii_case(field)) {
        return Err(refuse("cannot be overridden here"));
    }
    Ok((named(line, package)?, field.to_owned(), printable(line, value)?.to_owned()))
}

/// Cuts off the first word; the rest has no blanks around it.
fn word(text: &str) -> Option<(&str, &str)> {
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (!word.is_empty()).then(|| (word, rest.trim_start()))
}

fn maintainer(line: usize, text: &str) -> Result<MaintainerOverride, OverrideError> {
    let (old, new) = text.split_once("=>").unwrap_or(("", text));
    let new = printable(line, new.trim())?.to_owned();
    if new.is_empty() {
        return Err(OverrideError::Malformed { line, form: BINARY_FORM });
    }
    let old = old.split("//").map(str::trim).filter(|old| !old.is_empty() && *old != "*").map(str::to_owned).collect();
    Ok(MaintainerOverride { old, new })
}

fn named(line: usize, name: &str) -> Result<String, OverrideError> {
    let good = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-./_".contains(&byte));
    if good {
        Ok(name.to_owned())
    } else {
        Err(OverrideError::Word { line, word: name.chars().take(80).collect(), fault: "is not a package name" })
    }
}

fn printable(line: usize, value: &str) -> Result<&str, OverrideError> {
    if value.chars().any(|letter| letter.is_control() && letter != '\t') {
        return Err(OverrideError::Word { line, word: value.chars().take(80).collect(), fault: "holds a control character" });
    }
    Ok(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_form_is_read() {
        let mut overrides = Overrides::default();
        overrides
            .read_binary(b"# Debian's\n\nhello\toptional  devel\nhello/arm64 extra misc\nnet standard contrib/net A <a@x> // B <b@x> => C <c@x>\nany optional net New <n@x>\n")
            .unwrap();
        overrides.read_udeb(b"hello optional debian-installer\n").unwrap();
        overrides.read_source(b"hello devel\nnet source net").unwrap();
        overrides.read_extra(b"hello Tag role::program, x::y\nhello\tTask\ta, b\n").unwrap();

        let hello = overrides.binary("hello", "amd64", false).unwrap();
        assert_eq!((hello.section.as_str(), hello.priority.as_deref()), ("devel", Some("optional")));
        assert_eq!(hello.maintainer("A <a@x>"), None);
        assert_eq!(overrides.binary("hello", "arm64", false).unwrap().section, "misc");
        assert_eq!(overrides.binary("hello", "amd64", true).unwrap().section, "debian-installer");
        assert_eq!(overrides.binary("other", "amd64", false), None);
        let net = overrides.binary("net", "amd64", false).unwrap();
        assert_eq!((net.maintainer("B <b@x>"), net.maintainer("D <d@x>")), (Some("C <c@x>"), None));
        assert_eq!(overrides.binary("any", "all", false).unwrap().maintainer("D <d@x>"), Some("New <n@x>"));
        assert_eq!(overrides.source("hello").unwrap().priority, None);
        assert_eq!(overrides.source("net").unwrap().priority.as_deref(), Some("source"));
        assert_eq!(overrides.extra("hello").collect::<Vec<_>>(), [("Tag", "role::program, x::y"), ("Task", "a, b")]);
        assert_eq!(overrides.extra("net").count(), 0);
    }

    #[test]
    fn a_bad_line_is_named_and_nothing_is_taken() {
        let mut overrides = Overrides::default();
        let mut check = |read: fn(&mut Overrides, &[u8]) -> Result<(), OverrideError>, file: &[u8], expected: &str| {
            assert_eq!(read(&mut overrides, file).unwrap_err().to_string(), expected);
            assert_eq!(overrides, Overrides::default());
        };
        check(Overrides::read_binary, b"a optional net\n\nb optional\n", "line 3 is not \"package priority section [maintainer]\"");
        check(Overrides::read_binary, b"a optional net x =>\n", "line 1 is not \"package priority section [maintainer]\"");
        check(Overrides::read_binary, b"a\xff optional net\n", "line 1 is not UTF-8");
        check(Overrides::read_binary, b"a,b optional net\n", "line 1: \"a,b\" is not a package name");
        check(Overrides::read_binary, b"a optional n\x00et\n", "line 1: \"n\\0et\" holds a control character");
        check(Overrides::read_source, b"a\n", "line 1 is not \"source section\" or \"source priority section\"");
        check(Overrides::read_source, b"a net optional\n", "line 1: \"net\" is not a priority");
        check(Overrides::read_extra, b"#\na Tag\n", "line 2 is not \"package field value\"");
        check(Overrides::read_extra, b"a Tag: x\n", "line 1: \"Tag:\" is not a field name");
        check(Overrides::read_extra, b"a sha256 x\n", "line 1: \"sha256\" cannot be overridden here");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut overrides = Overrides::default();
            let _ = overrides.read_binary(&bytes);
            let _ = overrides.read_source(&bytes);
            let _ = overrides.read_extra(&bytes);
        }
    }
}
