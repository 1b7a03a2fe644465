//! A record: what a suite says about one package, as a file in the suites tree.
//!
//! It is the verbatim control (or .dsc) paragraph followed by ddb's own fields, which begin with `Filename`: where the file
//! lies, its size and digests, for a package the SHA-256 of its file list (`contents::file_list`) where a suite of the archive
//! wants Contents, for a source the Section and Priority of its .changes, and where a build brought any, the SHA-256 and size of its
//! provenance. Incoming paragraphs may not hold
//! `Filename`, so the two parts never mix. Indices are rendered from records alone; no .deb is opened for that.

use crate::formats::pool::path::{PoolPath, PoolPathError};
use crate::formats::pool::pointer::Pointer;
use crate::words::deb822::{Deb822Error, Field, Paragraph};
use crate::words::digest::{DigestError, ExtraDigests, FileFacts, Sha256};
use crate::words::limits;

/// Why a blob is not a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Larger than any record may be.
    #[error("it has {size} bytes, more than the {} of a record", limits::RECORD)]
    TooLong {
        /// Length in bytes.
        size: usize,
    },
    /// Not one deb822 paragraph.
    #[error("it is not one paragraph")]
    Paragraph(#[source] Deb822Error),
    /// A field of ddb's own part is missing.
    #[error("the field {field} is missing")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// `Filename` is not a path in the pool.
    #[error("its Filename is not usable")]
    Filename(#[source] PoolPathError),
    /// A digest field holds no digest.
    #[error("its field {field} is not usable")]
    Digest {
        /// The field.
        field: &'static str,
        /// What is wrong.
        #[source]
        fault: DigestError,
    },
    /// `Size` is not a number.
    #[error("its Size \"{text}\" is not a number")]
    Size {
        /// The value.
        text: String,
    },
    /// A field that names an object is not a digest and a size.
    #[error("its {field} \"{text}\" is not a sha256 and a size")]
    Object {
        /// The field.
        field: &'static str,
        /// The value.
        text: String,
    },
}

/// The field with the digest and size of signed provenance.
pub const PROVENANCE: &str = "Provenance";

/// The field with the digest and size of what a CI job claimed and nobody signed.
pub const CLAIMS: &str = "Provenance-Claims";

/// The field with the digest of a package's file list.
pub const FILE_LIST: &str = "File-List";

/// Fields of ddb's own part that every record may have.
const OWN: [&str; 8] = ["Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512", PROVENANCE, CLAIMS];

/// Section and Priority, where they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    /// Section, such as `net` or `contrib/net`.
    pub section: Option<String>,
    /// Priority, such as `optional`.
    pub priority: Option<String>,
}

/// Returns the text of a binary package's record: its control paragraph and where its file lies.
pub fn write_binary(control: &str, path: &PoolPath, facts: &FileFacts) -> String {
    write(control, path, facts, &Placement::default())
}

/// Returns the same with the SHA-256 of the package's file list; without it where the control paragraph has such a field itself,
/// since a paragraph cannot hold two.
pub fn write_binary_with_list(control: &str, path: &PoolPath, facts: &FileFacts, list: &Sha256) -> String {
    let mut text = write_binary(control, path, facts);
    if Paragraph::of_checked(control).get(FILE_LIST).is_none() {
        text.push_str(&format!("{FILE_LIST}: {list}\n"));
    }
    text
}

/// Adds the object that says where a package comes from, in the field `PROVENANCE` or `CLAIMS`; leaves the text as it is where it
/// has such a field already, its control paragraph's own.
pub fn add_object(text: &mut String, field: &str, object: &Pointer) {
    if Paragraph::of_checked(text).get(field).is_none() {
        text.push_str(&format!("{field}: {} {}\n", object.oid, object.size));
    }
}

/// Returns the part of a record that the package says itself: its control or .dsc paragraph.
pub fn package_of(text: &str) -> &str {
    split(text).0
}

/// Divides a record before ddb's own part, which begins with Filename and of which each field is one line.
fn split(text: &str) -> (&str, &str) {
    let own = text.rfind("\nFilename: ").map_or(0, |at| at + 1);
    text.split_at_checked(own).unwrap_or(("", text))
}

/// Returns a record without what it says of provenance, and the lines that do.
pub fn without_provenance(text: &str) -> (String, String) {
    let (control, own) = split(text);
    let is_provenance = |line: &&str| [PROVENANCE, CLAIMS].iter().any(|field| line.split(':').next() == Some(*field));
    let (lines, others): (Vec<&str>, Vec<&str>) = own.split_inclusive('\n').partition(is_provenance);
    (std::iter::once(control).chain(others).collect(), lines.concat())
}

/// Returns the text of a source package's record: its .dsc paragraph, where the .dsc lies, and its Section and Priority.
pub fn write_source(dsc: &str, path: &PoolPath, facts: &FileFacts, placement: &Placement) -> String {
    write(dsc, path, facts, placement)
}

fn write(paragraph: &str, path: &PoolPath, facts: &FileFacts, placement: &Placement) -> String {
    let mut text = String::with_capacity(paragraph.len() + 300);
    text.push_str(paragraph.trim_end_matches('\n'));
    text.push('\n');
    let mut line = |field: &str, value: &dyn std::fmt::Display| text.push_str(&format!("{field}: {value}\n"));
    line("Filename", path);
    line("Size", &facts.size);
    line("MD5sum", &facts.md5);
    if let Some(sha1) = &facts.sha1 {
        line("SHA1", sha1);
    }
    line("SHA256", &facts.sha256);
    if let Some(sha512) = &facts.sha512 {
        line("SHA512", sha512);
    }
    if let Some(section) = &placement.section {
        line("Section", section);
    }
    if let Some(priority) = &placement.priority {
        line("Priority", priority);
    }
    text
}

/// A record that was read: the verbatim fields and ddb's own.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    control: Vec<Field<'a>>,
    own: Vec<Field<'a>>,
    /// Where the .deb or .dsc lies.
    pub path: PoolPath,
    /// Its size and digests.
    pub facts: FileFacts,
    /// The SHA-256 of a package's file list.
    pub list: Option<Sha256>,
    /// Signed provenance: an envelope or a bundle among the evidence in the pool.
    pub provenance: Option<Pointer>,
    /// What a CI job claimed: a statement that nobody signed, there too.
    pub claims: Option<Pointer>,
}

impl<'a> Record<'a> {
    /// Reads a record's text strictly.
    ///
    /// # Errors
    /// Not one paragraph, or a field of ddb's own part is missing or malformed.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RecordError> {
        if bytes.len() as u64 > limits::RECORD {
            return Err(RecordError::TooLong { size: bytes.len() });
        }
        let paragraph = Paragraph::parse(bytes).map_err(RecordError::Paragraph)?;
        let begin =
            paragraph.fields().iter().position(|field| field.name == "Filename").ok_or(RecordError::Missing { field: "Filename" })?;
        let (control, own) = paragraph.fields().split_at(begin);
        let get = |name: &'static str| own.iter().find(|field| field.name == name).map(Field::value);
        let need = |name: &'static str| get(name).ok_or(RecordError::Missing { field: name });
        let size = need("Size")?;
        let facts = FileFacts {
            size: size.parse().map_err(|_| RecordError::Size { text: size.to_owned() })?,
            md5: digest("MD5sum", need("MD5sum")?)?,
            sha256: digest("SHA256", need("SHA256")?)?,
            sha1: get("SHA1").map(|text| digest("SHA1", text)).transpose()?,
            sha512: get("SHA512").map(|text| digest("SHA512", text)).transpose()?,
        };
        let path = need("Filename")?.parse().map_err(RecordError::Filename)?;
        let list = get(FILE_LIST).map(|text| digest(FILE_LIST, text)).transpose()?;
        let object = |field: &'static str| get(field).map(|text| object(field, text)).transpose();
        let (provenance, claims) = (object(PROVENANCE)?, object(CLAIMS)?);
        Ok(Self { control: control.to_vec(), own: own.to_vec(), path, facts, list, provenance, claims })
    }

    /// Returns the verbatim fields of the control or .dsc paragraph, in its order.
    pub fn control(&self) -> &[Field<'a>] {
        &self.control
    }

    /// Returns the name of a field in ddb's own part that ddb writes into no record of a source, or of a package: nothing vouches
    /// for what it says.
    pub fn foreign(&self, is_source: bool) -> Option<&'a str> {
        let more: &[&str] = if is_source { &["Section", "Priority"] } else { &[FILE_LIST] };
        self.own.iter().map(|field| field.name).find(|name| !OWN.contains(name) && !more.contains(name))
    }

    /// Returns the digests that it gives beside MD5 and SHA-256.
    pub fn extra_digests(&self) -> ExtraDigests {
        ExtraDigests { sha1: self.facts.sha1.is_some(), sha512: self.facts.sha512.is_some() }
    }

    /// Returns the trimmed value of a verbatim field, its name compared without case.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.control.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value())
    }

    /// Returns a source record's Section and Priority, as its .changes gave them.
    pub fn placement(&self) -> Placement {
        let own = |name: &str| self.own.iter().find(|field| field.name == name).map(|field| field.value().to_owned());
        Placement { section: own("Section"), priority: own("Priority") }
    }
}

fn object(field: &'static str, text: &str) -> Result<Pointer, RecordError> {
    let read = text.split_once(' ').and_then(|(oid, size)| Some(Pointer { oid: oid.parse().ok()?, size: size.parse().ok()? }));
    read.ok_or_else(|| RecordError::Object { field, text: text.to_owned() })
}

fn digest<D: std::str::FromStr<Err = DigestError>>(field: &'static str, text: &str) -> Result<D, RecordError> {
    text.parse().map_err(|fault| RecordError::Digest { field, fault })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::words::digest::ExtraDigests;

    #[test]
    fn the_control_paragraph_comes_back_verbatim() {
        let control = "Package: hello\nVersion: 1\nSection: net\nDescription: x\n long\n";
        let path: PoolPath = "pool/main/h/hello/hello_1_amd64.deb".parse().unwrap();
        let facts = FileFacts::of(b"bytes", ExtraDigests { sha1: true, sha512: false });
        let text = write_binary(control, &path, &facts);
        assert!(text.starts_with(control));
        let record = Record::parse(text.as_bytes()).unwrap();
        assert_eq!(record.control().len(), 4);
        assert_eq!(record.get("description"), Some("x\n long"));
        assert_eq!((&record.path, &record.facts), (&path, &facts));
        assert_eq!(record.placement(), Placement::default());
    }

    #[test]
    fn a_package_may_name_its_file_list() {
        let path: PoolPath = "pool/main/h/hello/hello_1_amd64.deb".parse().unwrap();
        let (facts, list) = (FileFacts::of(b"bytes", ExtraDigests::default()), Sha256::of(b"list"));
        let listed = |text: &str| Record::parse(text.as_bytes()).unwrap().list;
        assert_eq!(listed(&write_binary_with_list("Package: hello\n", &path, &facts, &list)), Some(list));
        assert_eq!(listed(&write_binary_with_list("Package: hello\nfile-list: theirs\n", &path, &facts, &list)), None);
        assert_eq!(listed(&write_binary("Package: hello\n", &path, &facts)), None);
        let wrong = format!("{}File-List: x\n", write_binary("Package: hello\n", &path, &facts));
        assert!(Record::parse(wrong.as_bytes()).unwrap_err().to_string().contains("File-List"));
    }

    #[test]
    fn a_record_may_name_where_its_package_comes_from() {
        let path: PoolPath = "pool/main/h/hello/hello_1_amd64.deb".parse().unwrap();
        let plain = write_binary("Package: hello\nDescription: x\n Provenance: y\n", &path, &FileFacts::of(b"", ExtraDigests::default()));
        let object = Pointer { oid: Sha256::of(b"envelope"), size: 8 };
        let with = |field: &str, text: &str| {
            let mut text = text.to_owned();
            add_object(&mut text, field, &object);
            text
        };
        let signed = with(PROVENANCE, &plain);
        let record = Record::parse(signed.as_bytes()).unwrap();
        assert_eq!((record.provenance, record.claims), (Some(object), None));
        assert_eq!(Record::parse(with(CLAIMS, &plain).as_bytes()).unwrap().claims, Some(object));
        for text in [signed.clone(), with(CLAIMS, &signed), plain.clone()] {
            let (bare, lines) = without_provenance(&text);
            assert_eq!((&bare, bare.clone() + &lines), (&plain, text));
        }
        assert_eq!(with(PROVENANCE, &signed), signed, "there is one already");
        let theirs = plain.replace("Package: hello\n", "Package: hello\nprovenance: theirs\n");
        assert_eq!(with(PROVENANCE, &theirs), theirs, "a paragraph cannot hold two");
        let wrong = format!("{plain}Provenance: x\n");
        assert!(Record::parse(wrong.as_bytes()).unwrap_err().to_string().contains("\"x\" is not a sha256 and a size"));
    }

    #[test]
    fn a_sources_section_is_not_mixed_with_the_dscs_fields() {
        let path: PoolPath = "pool/main/h/hello/hello_1.dsc".parse().unwrap();
        let placement = Placement { section: Some("devel".into()), priority: Some("optional".into()) };
        let text = write_source("Source: hello\nVersion: 1\n", &path, &FileFacts::of(b"", ExtraDigests::default()), &placement);
        let record = Record::parse(text.as_bytes()).unwrap();
        assert_eq!(record.get("Section"), None);
        assert_eq!(record.placement(), placement);
    }

    #[test]
    fn what_a_record_lacks_is_named() {
        let check = |text: &str, expected: &str| assert_eq!(Record::parse(text.as_bytes()).unwrap_err().to_string(), expected);
        check("Package: x\n", "the field Filename is missing");
        check("Package: x\nFilename: pool/main/x/xy/z\n", "the field Size is missing");
        check("Package: x\nFilename: pool/main/x/xy/z\nSize: many\n", "its Size \"many\" is not a number");
    }
}
