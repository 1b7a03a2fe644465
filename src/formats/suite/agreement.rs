//! Whether a record says of a file what the file says itself: the control paragraph of a .deb, the paragraph of a .dsc, digests, the
//! list of what a package installs, and the component and index that follow from these.
//!
//! A deploy of files writes records that do. A record that came with a parked statement or a signed manifest is the word of whoever
//! uploaded it, and provenance is about the bytes of the file alone: where provenance counts, both must agree. A source's Section and
//! Priority stand in its .changes and are not compared.

use std::io::{self, Read};

use super::checks::with_cause;
use super::place::{IndexName, RecordPlace};
use super::record::Record;
use crate::formats::artifact::clearsign;
use crate::formats::artifact::control::Binary;
use crate::formats::artifact::deb::{self, Depth};
use crate::formats::artifact::dsc::Dsc;
use crate::formats::contents::FileList;
use crate::words::deb822::{Field, Paragraph};
use crate::words::digest::{Hasher, Hashing};
use crate::words::limits;

/// Returns what is wrong with a record about this file, `None` where nothing is. The file is read to its end.
///
/// # Errors
/// It cannot be read.
pub fn fault(place: &RecordPlace, record: &Record<'_>, file: impl Read) -> io::Result<Option<String>> {
    let mut reader = Hashing::new(Failing { file, fault: None }, Hasher::new(record.extra_digests()));
    let found = match place.index {
        IndexName::Source => of_dsc(record, &mut reader),
        _ => of_deb(place, record, &mut reader),
    };
    let rest = io::copy(&mut reader, &mut io::sink());
    let (file, hasher) = reader.into_parts();
    if let Some(fault) = file.fault {
        return Err(fault);
    }
    rest?;
    // What other bytes say is of no interest.
    let facts = hasher.finish();
    if facts.sha256 != record.facts.sha256 {
        return Ok(Some(format!("the object has the sha256 {}, the record says {}", facts.sha256, record.facts.sha256)));
    }
    if let Some(field) = record.foreign(place.index == IndexName::Source) {
        return Ok(Some(format!("it has the field {field} behind Filename, where only ddb's own fields stand")));
    }
    if facts != record.facts {
        return Ok(Some("its size or one of its digests beside SHA256 is not that of the file".to_owned()));
    }
    Ok(found.err().map(|fault| fault.replace('\n', " ")))
}

fn of_deb(place: &RecordPlace, record: &Record<'_>, reader: &mut impl Read) -> Result<(), String> {
    let depth = if record.list.is_some() { Depth::Whole } else { Depth::Control };
    let contents = deb::read(reader, depth).map_err(|fault| with_cause(&fault))?;
    let binary = Binary::parse(contents.control, record.path.file()).map_err(|fault| with_cause(&fault))?;
    same_fields(record.control(), Paragraph::of_checked(&binary.control).fields())?;
    if binary.component != place.component {
        return Err(format!("it lies in the component {}, the Section of the package says {}", place.component, binary.component));
    }
    if binary.udeb != matches!(place.index, IndexName::Installer(_)) {
        return Err(format!("it lies in {}, where packages of that kind do not belong", place.index));
    }
    match record.list {
        Some(list) if list != FileList::of(&contents.paths).digest() => {
            Err(format!("its File-List is {list}, that of the package is {}", FileList::of(&contents.paths).digest()))
        }
        _ => Ok(()),
    }
}

fn of_dsc(record: &Record<'_>, reader: &mut impl Read) -> Result<(), String> {
    let mut text = Vec::new();
    reader.take(limits::SIGNED_TEXT + 1).read_to_end(&mut text).map_err(|fault| fault.to_string())?;
    if text.len() as u64 > limits::SIGNED_TEXT {
        return Err(format!("the .dsc has more than {} bytes", limits::SIGNED_TEXT));
    }
    let payload = clearsign::split(&text).map_err(|fault| with_cause(&fault))?.payload;
    let dsc = Dsc::parse(&payload, record.path.file()).map_err(|fault| with_cause(&fault))?;
    same_fields(record.control(), Paragraph::of_checked(&dsc.text).fields())
}

/// Compares fields, and names the first one that differs.
fn same_fields(record: &[Field<'_>], file: &[Field<'_>]) -> Result<(), String> {
    let find = |fields: &[Field<'_>], name: &str| fields.iter().find(|field| field.name == name).map(|field| field.raw.to_owned());
    let shown = |raw: &str| raw.trim().chars().take(200).collect::<String>().escape_debug().to_string();
    for field in record {
        match find(file, field.name) {
            Some(raw) if raw == field.raw => {}
            Some(raw) => {
                return Err(format!("its {} is \"{}\", that of the package is \"{}\"", field.name, shown(field.raw), shown(&raw)));
            }
            None => return Err(format!("it has the field {}, which the package has not", field.name)),
        }
    }
    match file.iter().find(|field| find(record, field.name).is_none()) {
        Some(field) => Err(format!("it lacks the field {} of the package", field.name)),
        None if record != file => Err("its fields are in another order than those of the package".to_owned()),
        None => Ok(()),
    }
}

/// Keeps why a file could not be read, which whoever parses it says in other words.
struct Failing<R> {
    file: R,
    fault: Option<io::Error>,
}

impl<R: Read> Read for Failing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer).inspect_err(|fault| {
            if fault.kind() != io::ErrorKind::Interrupted {
                self.fault = Some(io::Error::new(fault.kind(), fault.to_string()));
            }
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::formats::artifact::specimens::{CONTROL, deb, dsc};
    use crate::formats::suite::record::{Placement, write_binary_with_list, write_source};
    use crate::words::digest::{ExtraDigests, FileFacts, Sha256};
    use proptest::prelude::*;

    const SHA1: ExtraDigests = ExtraDigests { sha1: true, sha512: false };

    fn list() -> Sha256 {
        FileList::of(&["usr/hello", "usr/link"]).digest()
    }

    fn record(control: &str, component: &str, list: &Sha256) -> String {
        let path = format!("pool/{component}/h/hello/hello_1.0-1_amd64.deb").parse().unwrap();
        write_binary_with_list(control, &path, &FileFacts::of(&deb(CONTROL), SHA1), list)
    }

    fn said(place: &str, text: &str, file: &[u8]) -> String {
        let record = Record::parse(text.as_bytes()).unwrap();
        fault(&place.parse().unwrap(), &record, file).unwrap().unwrap_or_default()
    }

    const PLACE: &str = "suites/trixie/main/binary-amd64/h/hello/hello_1.0-1";

    #[test]
    fn a_record_of_a_package_says_what_the_package_says() {
        let (bytes, good) = (deb(CONTROL), record(CONTROL, "main", &list()));
        let other = |text: &str| said(PLACE, text, &bytes);
        assert_eq!(other(&good), "");
        assert!(other(&record(&CONTROL.replace("Long", "Short"), "main", &list())).contains("its Description is"));
        assert!(other(&record(CONTROL, "main", &Sha256::of(b"x"))).contains("its File-List is"));
        let elsewhere = PLACE.replace("main", "contrib");
        assert!(said(&elsewhere, &record(CONTROL, "contrib", &list()), &bytes).contains("the Section of the package says main"));
        let installer = PLACE.replace("binary-amd64", "debian-installer/binary-amd64");
        assert!(said(&installer, &good, &bytes).contains("packages of that kind do not belong"));
        let own = other(&format!("{good}Source: hello (9)\n"));
        assert!(own.contains("it has the field Source behind Filename"), "{own}");
        let sha1 = good.lines().find_map(|line| line.strip_prefix("SHA1: ")).unwrap();
        assert!(other(&good.replace(sha1, &"0".repeat(40))).contains("beside SHA256"));
        assert!(said(PLACE, &good, &deb(&CONTROL.replace("Long", "Short"))).starts_with("the object has the sha256"));
        assert!(said(PLACE, &good, b"no package").starts_with("the object has the sha256"));
    }

    #[test]
    fn a_record_of_a_source_says_what_its_dsc_says() {
        let text = dsc("hello", "1", &[("hello_1.orig.tar.xz", b"tar")]);
        let path = "pool/main/h/hello/hello_1.dsc".parse().unwrap();
        let placement = Placement { section: Some("devel".to_owned()), priority: None };
        let record = |text: &str, of: &str| write_source(text, &path, &FileFacts::of(of.as_bytes(), SHA1), &placement);
        let place = "suites/trixie/main/source/h/hello/hello_1";
        assert_eq!(said(place, &record(&text, &text), text.as_bytes()), "");
        let other = text.replace(&Sha256::of(b"tar").to_hex(), &Sha256::of(b"rat").to_hex());
        assert!(said(place, &record(&other, &text), text.as_bytes()).contains("its Checksums-Sha256 is"));
    }

    #[test]
    fn what_cannot_be_read_is_no_fault_of_the_record() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::new(io::ErrorKind::ConnectionReset, "gone"))
            }
        }
        let text = record(CONTROL, "main", &list());
        let record = Record::parse(text.as_bytes()).unwrap();
        let fault = fault(&PLACE.parse().unwrap(), &record, Broken).unwrap_err();
        assert_eq!((fault.kind(), fault.to_string().as_str()), (io::ErrorKind::ConnectionReset, "gone"));
    }

    proptest! {
        #[test]
        fn no_changed_control_text_is_taken_for_the_package(at in any::<prop::sample::Index>(), letter in "[a-zA-Z0-9 :\n]") {
            let at = at.index(CONTROL.len());
            let mut changed = CONTROL.to_owned();
            changed.replace_range(at..=at, &letter);
            let text = record(&changed, "main", &list());
            // What is no record any more is refused before.
            if let Ok(parsed) = Record::parse(text.as_bytes()) {
                let same = changed.trim_end_matches('\n') == CONTROL.trim_end_matches('\n');
                let fault = fault(&PLACE.parse().unwrap(), &parsed, &deb(CONTROL)[..]).unwrap();
                prop_assert_eq!(fault.is_none(), same, "{:?}: {:?}", changed, fault);
            }
        }
    }
}
