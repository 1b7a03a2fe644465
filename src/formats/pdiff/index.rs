//! `Packages.diff/Index`: the list of an index's patches, as apt reads it (pkgAcqDiffIndex of apt 2.6 to 3.1).
//!
//! Only SHA-256 is listed, which every apt of today takes alone. The current index must be as Release lists the plain one.

use std::fmt::Write as _;

use super::history::{Facts, History, Step};
use crate::words::deb822::{Deb822Error, Paragraph};

/// Why a text is no list of patches.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// Not one deb822 paragraph.
    #[error("it is not one paragraph")]
    Paragraph(#[source] Deb822Error),
    /// A field that is missing or holds something else than it should.
    #[error("the field {field} is missing or malformed")]
    Field {
        /// The field.
        field: &'static str,
    },
    /// A list that does not name the same patches as the history.
    #[error("the list {field} does not name the same patches as SHA256-History")]
    Lists {
        /// The list.
        field: &'static str,
    },
    /// Patches that the publisher merged: each leads to the current state, which is another format.
    #[error("its patches are merged ones")]
    Merged,
}

const CURRENT: &str = "SHA256-Current";
const HISTORY: &str = "SHA256-History";
const PATCHES: &str = "SHA256-Patches";
const DOWNLOAD: &str = "SHA256-Download";

impl History {
    /// Returns the text of `Index`; `None` without patches: then neither it nor its folder is published.
    pub fn index_text(&self) -> Option<String> {
        if self.steps.is_empty() {
            return None;
        }
        let mut text = String::with_capacity(100 + self.steps.len() * 3 * 100);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{CURRENT}: {} {}", self.current.sha256, self.current.size);
        let mut list = |field: &str, suffix: &str, facts: &dyn Fn(&Step) -> Facts| {
            let _ = writeln!(text, "{field}:");
            for step in &self.steps {
                let Facts { size, sha256 } = facts(step);
                let _ = writeln!(text, " {sha256} {size} {}{suffix}", step.name);
            }
        };
        list(HISTORY, "", &|step| step.from);
        list(PATCHES, "", &|step| step.patch);
        list(DOWNLOAD, ".gz", &|step| step.download);
        Some(text)
    }

    /// Reads an `Index`, fields of other digests left aside; how many patches were made is taken from the last one's name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse_index(text: &[u8]) -> Result<Self, IndexError> {
        let paragraph = Paragraph::parse(text).map_err(IndexError::Paragraph)?;
        if paragraph.get("X-Patch-Precedence") == Some("merged") {
            return Err(IndexError::Merged);
        }
        let malformed = |field| move || IndexError::Field { field };
        let current = paragraph.get(CURRENT).and_then(facts).ok_or_else(malformed(CURRENT))?;
        let read = |field, suffix| paragraph.get(field).and_then(|list| lines(list, suffix)).ok_or_else(malformed(field));
        let (history, patches, downloads) = (read(HISTORY, "")?, read(PATCHES, "")?, read(DOWNLOAD, ".gz")?);
        for (field, list) in [(PATCHES, &patches), (DOWNLOAD, &downloads)] {
            if !list.iter().map(|(_, name)| name).eq(history.iter().map(|(_, name)| name)) {
                return Err(IndexError::Lists { field });
            }
        }
        let lists = history.into_iter().zip(patches).zip(downloads);
        let step =
            |(((from, name), (patch, _)), (download, _)): (((Facts, &str), _), _)| Step { name: name.to_owned(), from, patch, download };
        let steps: Vec<Step> = lists.map(step).collect();
        let made = steps.last().and_then(|step| step.name.split('-').next()?.parse().ok()).unwrap_or_default();
        Ok(Self { current, made, steps })
    }
}

fn facts(text: &str) -> Option<Facts> {
    let mut words = text.split_ascii_whitespace();
    let facts = Facts { sha256: words.next()?.parse().ok()?, size: words.next()?.parse().ok()? };
    words.next().is_none().then_some(facts)
}

fn lines<'a>(list: &'a str, suffix: &str) -> Option<Vec<(Facts, &'a str)>> {
    let line = |line: &'a str| {
        let (facts_of_line, name) = line.trim().rsplit_once(' ')?;
        Some((facts(facts_of_line)?, name.strip_suffix(suffix)?))
    };
    list.trim().lines().map(line).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::history::tests::through;
    use super::*;

    #[test]
    fn what_is_rendered_is_read() {
        let history = through(&[1, 2, 3]);
        let text = history.index_text().unwrap();
        assert_eq!(History::parse_index(text.as_bytes()).unwrap(), history);
        assert_eq!(through(&[1]).index_text(), None);
    }

    #[test]
    fn it_is_laid_out_as_debians_is() {
        let history = through(&[1, 2]);
        let digest = |bytes: &[u8]| Facts::of(bytes).sha256;
        let name = &history.steps.first().unwrap().name;
        let expected = format!(
            "SHA256-Current: {} 1\nSHA256-History:\n {} 1 {name}\nSHA256-Patches:\n {} 1 {name}\nSHA256-Download:\n {} 2 {name}.gz\n",
            digest(&[2]),
            digest(&[1]),
            digest(&[1]),
            digest(&[1, 2])
        );
        assert_eq!(history.index_text().unwrap(), expected);
    }

    #[test]
    fn other_lists_are_refused() {
        let text = through(&[1, 2, 3]).index_text().unwrap();
        let name = through(&[1, 2, 3]).steps.first().unwrap().name.clone();
        let refused = |text: &str| History::parse_index(text.as_bytes()).unwrap_err();
        assert!(matches!(refused(""), IndexError::Paragraph(_)));
        assert_eq!(refused(&text.replace("SHA256-Current", "SHA1-Current")), IndexError::Field { field: CURRENT });
        assert_eq!(refused(&text.replace(".gz", ".xz")), IndexError::Field { field: DOWNLOAD });
        assert_eq!(refused(&text.replace(&format!("{name}.gz"), "other.gz")), IndexError::Lists { field: DOWNLOAD });
        assert_eq!(refused(&format!("{text}X-Patch-Precedence: merged\n")), IndexError::Merged);
    }
}
