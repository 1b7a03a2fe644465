//! Translation-en: the long descriptions that Packages leaves out (apt's Description-md5 scheme).
//!
//! An entry is Package, Description-md5 and Description-en. Each distinct (package, text) of a component stands once,
//! whatever architectures have it, sorted by (first source, package, md5) as Debian does. Packages of the installer have none.

use std::collections::BTreeMap;

use super::packages::{description, description_md5, is_udeb, source_of};
use super::{RenderError, Style};
use crate::formats::suite::record::Record;
use crate::words::archive::Descriptions;
use crate::words::digest::Md5;
use crate::words::name::{PackageName, SourceName};

/// One entry: a package's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The source package it came from.
    pub source: SourceName,
    /// The binary package.
    pub package: PackageName,
    /// The name of the text.
    pub md5: Md5,
    /// The whole description as the control file has it.
    pub text: String,
}

/// Returns the entry of a binary record; `None` for packages of the installer and where Packages has the long text.
///
/// # Errors
/// `Package`, `Version`, `Source` or `Description` is missing or malformed.
pub fn entry(record: &Record<'_>, style: &Style) -> Result<Option<Entry>, RenderError> {
    if is_udeb(record) || style.descriptions == Descriptions::Long {
        return Ok(None);
    }
    let text = description(record).ok_or(RenderError::Missing { field: "Description" })?;
    let package = record.get("Package").ok_or(RenderError::Missing { field: "Package" })?;
    Ok(Some(Entry {
        source: source_of(record)?.0,
        package: package.parse().map_err(|fault| RenderError::Name { field: "Package", fault })?,
        md5: description_md5(text),
        text: text.to_owned(),
    }))
}

/// Returns the text of Translation-en for these entries, given in any order and as often as records have them.
pub fn render(entries: impl IntoIterator<Item = Entry>) -> String {
    let mut distinct: BTreeMap<(PackageName, Md5), (SourceName, String)> = BTreeMap::new();
    for entry in entries {
        let Entry { source, package, md5, text } = entry;
        let kept = distinct.entry((package, md5)).or_insert_with(|| (source.clone(), text));
        if source < kept.0 {
            kept.0 = source;
        }
    }
    let paragraphs = distinct
        .into_iter()
        .map(|((package, md5), (source, text))| {
            let paragraph = format!("Package: {package}\nDescription-md5: {md5}\nDescription-en: {text}\n");
            ((source, package, md5.to_hex()), paragraph)
        })
        .collect();
    super::order::join(paragraphs)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::formats::index::fixtures;

    #[test]
    fn debians_control_files_give_debians_translations() {
        let texts = fixtures::binary_records();
        let entries = |style: &Style| -> Vec<Entry> {
            texts.iter().rev().filter_map(|text| entry(&Record::parse(text.as_bytes()).unwrap(), style).unwrap()).collect()
        };
        assert_eq!(render(entries(&Style::debian())), fixtures::TRANSLATION);
        // Each architecture has the same ones again.
        assert_eq!(render([entries(&Style::debian()), entries(&Style::debian())].concat()), fixtures::TRANSLATION);
        assert_eq!(entries(&Style { descriptions: Descriptions::Long, ..Style::debian() }), []);
    }

    #[test]
    fn another_text_of_the_same_package_is_another_entry_and_udebs_have_none() {
        let text = fixtures::binary_records().remove(0);
        let other = text.replace("POSIX-compliant shell\n", "Another shell\n");
        let entries = [&text, &other].map(|text| entry(&Record::parse(text.as_bytes()).unwrap(), &Style::debian()).unwrap().unwrap());
        assert_eq!(render(entries).matches("Package: dash\n").count(), 2);
        let udeb = text.replace("_amd64.deb", "_amd64.udeb");
        assert_eq!(entry(&Record::parse(udeb.as_bytes()).unwrap(), &Style::debian()).unwrap(), None);
    }

    #[test]
    fn entries_stand_by_their_first_source() {
        let entry = |source: &str, package: &str| Entry {
            source: source.parse().unwrap(),
            package: package.parse().unwrap(),
            md5: description_md5("x"),
            text: "x".to_owned(),
        };
        let text = render([entry("zz", "moved"), entry("bb", "other"), entry("aa", "moved")]);
        let packages: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("Package: ")).collect();
        assert_eq!(packages, ["moved", "other"]);
    }
}
