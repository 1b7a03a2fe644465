//! deb822 text as paragraphs of fields, byte for byte (deb822(5), Debian Policy 5.1).
//!
//! A `Paragraph` borrows its text and keeps each field's raw value, folding included, so that what was read can be written
//! again verbatim. `Paragraph::parse` is strict and names the line of the first fault: it serves every file that comes from
//! outside. `paragraphs` cuts a trusted index into its paragraphs.

use super::limits;

/// What is wrong with a text that should be one paragraph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Deb822Error {
    /// Not UTF-8.
    #[error("byte {offset} is not UTF-8")]
    Encoding {
        /// Offset of the first bad byte, from 0.
        offset: usize,
    },
    /// A byte that no control file may hold.
    #[error("line {line} holds {what}")]
    Byte {
        /// Line number from 1.
        line: usize,
        /// The byte in words.
        what: &'static str,
    },
    /// A line that is no field, continuation or comment.
    #[error("line {line} is not \"Field: value\"")]
    Malformed {
        /// Line number from 1.
        line: usize,
    },
    /// A continuation before any field.
    #[error("line {line} continues a field, but none was begun")]
    Continuation {
        /// Line number from 1.
        line: usize,
    },
    /// A continuation line of blanks only, which ends a paragraph for some readers and not for others.
    #[error("line {line} holds only blanks (an empty line of a value is written as \" .\")")]
    BlankContinuation {
        /// Line number from 1.
        line: usize,
    },
    /// A field that stands twice (names compare without case).
    #[error("line {line} repeats the field {field}")]
    Duplicate {
        /// Line number from 1.
        line: usize,
        /// The field's name.
        field: String,
    },
    /// A second paragraph where one is allowed.
    #[error("line {line} begins a second paragraph")]
    SecondParagraph {
        /// Line number from 1.
        line: usize,
    },
    /// More fields than any paragraph has.
    #[error("it has more than {} fields", limits::FIELDS)]
    TooMany,
    /// No paragraph at all.
    #[error("it holds no field")]
    Empty,
}

/// One field: its name as written and its raw value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as written, without colon.
    pub name: &'a str,
    /// Everything after the colon, with leading blank and folding, without the last line's end.
    pub raw: &'a str,
}

impl<'a> Field<'a> {
    /// Returns the value without the blanks around it; inner lines keep their leading blank.
    pub fn value(&self) -> &'a str {
        self.raw.trim_matches([' ', '\t', '\n'])
    }
}

/// One paragraph: fields in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paragraph<'a> {
    fields: Vec<Field<'a>>,
}

impl<'a> Paragraph<'a> {
    /// Returns the only paragraph of a text; empty lines around it are allowed, comments are not.
    ///
    /// # Errors
    /// The first fault, with its line.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Deb822Error> {
        let text = std::str::from_utf8(bytes).map_err(|fault| Deb822Error::Encoding { offset: fault.valid_up_to() })?;
        let mut fields: Vec<Field<'a>> = Vec::new();
        let mut ended = false;
        let mut offset = 0;
        for (index, line) in text.split_inclusive('\n').enumerate() {
            let number = index + 1;
            let start = offset;
            offset += line.len();
            let line = line.strip_suffix('\n').unwrap_or(line);
            check_bytes(line, number)?;
            if line.is_empty() {
                ended = !fields.is_empty();
                continue;
            }
            if line.starts_with([' ', '\t']) {
                if line.trim_matches([' ', '\t']).is_empty() {
                    return Err(Deb822Error::BlankContinuation { line: number });
                }
                let field = fields.last_mut().filter(|_| !ended).ok_or(Deb822Error::Continuation { line: number })?;
                let begin = field.raw.as_ptr().addr() - text.as_ptr().addr();
                field.raw = text.get(begin..start + line.len()).unwrap_or(field.raw);
                continue;
            }
            if ended {
                return Err(Deb822Error::SecondParagraph { line: number });
            }
            let (name, raw) = line.split_once(':').ok_or(Deb822Error::Malformed { line: number })?;
            if !valid_field_name(name) {
                return Err(Deb822Error::Malformed { line: number });
            }
            if fields.iter().any(|field| field.name.eq_ignore_ascii_case(name)) {
                return Err(Deb822Error::Duplicate { line: number, field: name.to_owned() });
            }
            if fields.len() == limits::FIELDS {
                return Err(Deb822Error::TooMany);
            }
            fields.push(Field { name, raw });
        }
        if fields.is_empty() {
            return Err(Deb822Error::Empty);
        }
        Ok(Self { fields })
    }

    /// Returns the fields of a paragraph that was checked before, such as a record in the suites tree.
    ///
    /// Lines that are no fields are passed over; a text that `parse` takes gives the same fields here, without the checks.
    pub fn of_checked(text: &'a str) -> Self {
        let mut fields: Vec<Field<'a>> = Vec::with_capacity(24);
        let bytes = text.as_bytes();
        let mut line_start = 0;
        let mut open: Option<(&'a str, usize)> = None;
        let mut open_end = 0;
        while line_start < bytes.len() {
            let line_end = memchr::memchr(b'\n', bytes.get(line_start..).unwrap_or_default()).map_or(bytes.len(), |at| line_start + at);
            let first = bytes.get(line_start).copied().unwrap_or(b'\n');
            if first == b' ' || first == b'\t' {
                open_end = line_end;
            } else {
                push_field(&mut fields, text, open.take(), open_end);
                if let Some(colon) = memchr::memchr(b':', bytes.get(line_start..line_end).unwrap_or_default())
                    && let Some(name) = text.get(line_start..line_start + colon)
                {
                    open = Some((name, line_start + colon + 1));
                    open_end = line_end;
                }
            }
            line_start = line_end + 1;
        }
        push_field(&mut fields, text, open, open_end);
        Self { fields }
    }

    /// Returns the fields in order.
    pub fn fields(&self) -> &[Field<'a>] {
        &self.fields
    }

    /// Returns the field of this name, compared without case.
    pub fn field(&self, name: &str) -> Option<Field<'a>> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).copied()
    }

    /// Returns the trimmed value of this field; `None` where it is missing.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.field(name).map(|field| field.value())
    }
}

fn push_field<'a>(fields: &mut Vec<Field<'a>>, text: &'a str, open: Option<(&'a str, usize)>, end: usize) {
    if let Some((name, start)) = open
        && let Some(raw) = text.get(start..end)
    {
        fields.push(Field { name, raw });
    }
}

fn check_bytes(line: &str, number: usize) -> Result<(), Deb822Error> {
    let what = match line.bytes().find(|byte| matches!(byte, 0 | b'\r')) {
        Some(0) => "a NUL byte",
        Some(_) => "a carriage return",
        None => return Ok(()),
    };
    Err(Deb822Error::Byte { line: number, what })
}

/// Tells whether this may be a field's name: printable ASCII without colon and blank, not beginning with `#` or `-` (Policy 5.1).
pub fn valid_field_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(['#', '-']) && name.bytes().all(|byte| (33..=126).contains(&byte) && byte != b':')
}

/// Returns the paragraphs of an index as texts without the empty line behind them.
pub fn paragraphs(index: &str) -> impl Iterator<Item = &str> {
    index.split("\n\n").map(|text| text.trim_matches('\n')).filter(|text| !text.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "Package: hello\nDepends: libc6 (>= 2.34),\n libfoo\nDescription: example\n long text\n .\n more\nX-Empty:\n";

    #[test]
    fn values_keep_their_folding() {
        let paragraph = Paragraph::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(paragraph.get("depends"), Some("libc6 (>= 2.34),\n libfoo"));
        assert_eq!(paragraph.field("Description").unwrap().raw, " example\n long text\n .\n more");
        assert_eq!(paragraph.get("X-Empty"), Some(""));
        assert_eq!(paragraph.get("Homepage"), None);
    }

    #[test]
    fn every_fault_names_its_line() {
        let check = |text: &[u8], expected: Deb822Error| assert_eq!(Paragraph::parse(text).unwrap_err(), expected, "{text:?}");
        check(b"", Deb822Error::Empty);
        check(b"\n\n", Deb822Error::Empty);
        check(b"A: 1\nB\n", Deb822Error::Malformed { line: 2 });
        check(b"A : 1\n", Deb822Error::Malformed { line: 1 });
        check(b"# note\nA: 1\n", Deb822Error::Malformed { line: 1 });
        check(b" x\nA: 1\n", Deb822Error::Continuation { line: 1 });
        check(b"A: 1\n \t\n", Deb822Error::BlankContinuation { line: 2 });
        check(b"A: 1\na: 2\n", Deb822Error::Duplicate { line: 2, field: "a".into() });
        check(b"A: 1\n\nB: 2\n", Deb822Error::SecondParagraph { line: 3 });
        check(b"A: 1\r\n", Deb822Error::Byte { line: 1, what: "a carriage return" });
        check(b"A: 1\0\n", Deb822Error::Byte { line: 1, what: "a NUL byte" });
        check(b"A: \xff\n", Deb822Error::Encoding { offset: 3 });
    }

    proptest! {
        #[test]
        fn the_quick_reader_agrees_with_the_strict_one(text in "([A-Z][a-z]{0,3}: ?[a-z: ]{0,6}\n( [a-z.]{1,4}\n){0,2}){1,5}\n?") {
            if let Ok(strict) = Paragraph::parse(text.as_bytes()) {
                prop_assert_eq!(strict, Paragraph::of_checked(&text));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Paragraph::parse(&bytes);
            let _ = Paragraph::of_checked(&String::from_utf8_lossy(&bytes));
        }
    }
}
