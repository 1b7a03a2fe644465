//! Translation-en: the long descriptions that Packages leaves out (apt's Description-md5 scheme).
//!
//! An entry is Package, Description-md5 and Description-en. Each distinct (package, text) of a component stands once,
//! whatever architectures list it, sorted by (package, md5). Packages of the installer have none.

use super::order::SortKey;
use super::packages::{description, description_md5, is_udeb};
use super::{RenderError, Style};
use crate::formats::suite::record::Record;
use crate::words::archive::Descriptions;

/// Returns the entry of a binary record with its sort key; `None` for packages of the installer and where Packages has the
/// long text. The same entry comes from each record that has the same text.
///
/// # Errors
/// `Package` or `Description` is missing.
pub fn entry(record: &Record<'_>, style: &Style) -> Result<Option<(SortKey, String)>, RenderError> {
    if is_udeb(record) || style.descriptions == Descriptions::Long {
        return Ok(None);
    }
    let text = description(record).ok_or(RenderError::Missing { field: "Description" })?;
    let package = record.get("Package").ok_or(RenderError::Missing { field: "Package" })?;
    let md5 = description_md5(text).to_hex();
    let paragraph = format!("Package: {package}\nDescription-md5: {md5}\nDescription-en: {text}\n");
    Ok(Some((SortKey { name: package.to_owned(), second: md5, version: None }, paragraph)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::formats::index::fixtures;
    use crate::formats::index::order::{join, paragraphs};

    fn entries(texts: &[String], style: &Style) -> Vec<(SortKey, String)> {
        let mut entries: Vec<_> =
            texts.iter().rev().filter_map(|text| entry(&Record::parse(text.as_bytes()).unwrap(), style).unwrap()).collect();
        entries.sort();
        entries.dedup();
        entries
    }

    #[test]
    fn debians_control_files_give_debians_translations() {
        let texts = fixtures::binary_records();
        let rendered = join(entries(&texts, &Style::debian()));
        let sorted = |text: &str| {
            let mut all: Vec<String> = paragraphs(text).map(str::to_owned).collect();
            all.sort();
            all
        };
        assert_eq!(sorted(&rendered), sorted(fixtures::TRANSLATION));
        // Each architecture has the same ones again.
        assert_eq!(join(entries(&[texts.clone(), texts.clone()].concat(), &Style::debian())), rendered);
        assert_eq!(entries(&texts, &Style { descriptions: Descriptions::Long, ..Style::debian() }), []);
    }

    #[test]
    fn another_text_of_the_same_package_is_another_entry_and_udebs_have_none() {
        let text = fixtures::binary_records().remove(0);
        let other = text.replace("POSIX-compliant shell\n", "Another shell\n");
        let udeb = text.replace("_amd64.deb", "_amd64.udeb");
        let rendered = join(entries(&[text, other, udeb], &Style::debian()));
        assert_eq!(rendered.matches("Package: dash\n").count(), 2);
    }

    #[test]
    fn the_key_is_that_of_the_text() {
        use crate::formats::index::order::Kind;
        for (key, text) in entries(&fixtures::binary_records(), &Style::debian()) {
            assert_eq!(SortKey::of(Kind::Translation, &text), Some(key));
        }
    }
}
