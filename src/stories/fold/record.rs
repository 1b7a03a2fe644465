//! What is recorded with each Release beside its sheets: `fold.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::contents::{Digests, Refreshed};
use crate::formats::blocks::encoders::Encoders;
use crate::formats::blocks::sheet::Sheet;
use crate::formats::release::Listed;
use crate::formats::suite::place::RecordPlace;
use crate::places::git::Oid;
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// What a fold found out about a suite as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folded {
    /// SHA-256 of the Release that this stands beside: a program that knows nothing of this file leaves it behind.
    pub release: Sha256,
    /// Of configuration, override files and rendering.
    pub context: Sha256,
    /// Of these and the records.
    pub key: Sha256,
    /// Binary packages in the suite.
    pub packages: u64,
    /// Source packages.
    pub sources: u64,
    /// Packages that an index leaves out because another source offers a higher version, sorted.
    pub dominated: Vec<Left>,
    /// Records of architectures or components that the suite has not, as paths below the suite, sorted.
    pub outside: Vec<String>,
    /// Written files that have no blocks, by path: the Releases beside Packages and Sources.
    pub texts: BTreeMap<String, String>,
    /// When and from what Contents were made, where they stay for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contents: Option<Refreshed>,
    /// The compressors that may have made its blocks; none where a program of before did not record them.
    #[serde(default, skip_serializing_if = "Encoders::is_empty")]
    pub encoders: Encoders,
    /// Digest of the policy under which the provenance of every record was found good, where the suite requires any. It counts the
    /// rules, too: by those of now every record was compared with its package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Sha256>,
}

/// A package that an index leaves out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Left {
    /// The index, as `binary-amd64`.
    pub index: String,
    /// The record that is left out, as path below the suite.
    pub record: String,
    /// The highest record of the source that won.
    pub winner: String,
}

/// What a fold starts from: the newest Release of a suite.
#[derive(Debug, Clone)]
pub struct Last {
    /// The commit that was folded.
    pub base: Oid,
    /// The suite that was folded.
    pub codename: Codename,
    /// What was found out.
    pub record: Folded,
    /// The blocks of each index, by its plain path.
    pub sheets: BTreeMap<String, Sheet>,
    /// What Release listed.
    pub listed: BTreeMap<String, Listed>,
    /// The digests of file lists that records do not name, by that of the package.
    pub lists: Digests,
    /// The commit on the branch of Releases, where it is on one.
    pub commit: Option<Oid>,
    /// The Release that Contents were made with, where they were made from an older commit than the rest and are to be made
    /// again.
    pub earlier: Option<Box<Last>>,
    /// The newest Release of the suite itself, where all this is another suite's: its Contents may have to stay, and it knows the
    /// file lists of its packages.
    pub own: Option<Box<Last>>,
}

impl Last {
    /// Returns how the indices were cut into blocks and how well those were compressed, and nothing of what they said: for a fold that
    /// makes everything from the records (`Wanted::again`) and believes nothing of what stood there.
    pub fn cuts(self) -> Self {
        let cut = |mut sheet: Sheet| {
            // Keys that do not ascend would leave paragraphs out, or name them twice.
            let ascend = sheet.blocks.is_sorted_by(|one, next| one.first < next.first);
            sheet.blocks.iter_mut().for_each(|block| block.forms.clear());
            Sheet { blocks: if ascend { sheet.blocks } else { Vec::new() }, diff: None }
        };
        let sheets = self.sheets.into_iter().map(|(path, sheet)| (path, cut(sheet))).collect();
        let record = Folded { texts: BTreeMap::new(), contents: None, encoders: Encoders::default(), provenance: None, ..self.record };
        Self { record, sheets, listed: BTreeMap::new(), lists: Digests::new(), commit: None, earlier: None, own: None, ..self }
    }
}

impl Folded {
    /// Tells whether this is about these bytes of a Release.
    pub fn is_of(&self, release: &[u8]) -> bool {
        self.release == Sha256::of(release)
    }

    /// Returns what a person should know.
    pub(super) fn notes(&self, codename: &Codename) -> Vec<String> {
        let mut notes: Vec<String> = Vec::new();
        for Left { index, record, winner } in &self.dominated {
            notes.push(format!(
                "suites/{codename}/{record} is left out of {index}: suites/{codename}/{winner} offers that package too, with a higher version"
            ));
        }
        let outside = self.outside.iter();
        notes.extend(
            outside.map(|record| format!("suites/{codename}/{record} is in no index: the suite has no such architecture or component")),
        );
        notes
    }
}

/// Returns a record's path below its suite.
pub(super) fn below_suite(place: &RecordPlace) -> String {
    let path = place.to_string();
    path.splitn(3, '/').nth(2).unwrap_or_default().to_owned()
}

/// Reads what `below_suite` wrote.
pub(super) fn place_below(codename: &Codename, path: &str) -> Option<RecordPlace> {
    format!("suites/{codename}/{path}").parse().ok()
}
