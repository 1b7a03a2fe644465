//! What is kept beside packages: provenance and build evidence, and the record of a file that is known already.

use super::{Landing, State};
use crate::formats::pool::path::PoolPath;
use crate::formats::pool::pointer::Pointer;
use crate::formats::provenance::evidence;
use crate::formats::statement::PooledFile;
use crate::formats::suite::record::{self, package_of, without_provenance};
use crate::words::deb822::Paragraph;
use crate::words::digest::Sha256;
use crate::words::name::FileName;

/// Returns what becomes of the record of a file that the suite offers already: the new one, with the provenance of the known one where
/// both say the same of the package. Signed provenance takes the place of none or of claims, and with `replace` of any other.
pub(super) fn renewed(record: &str, known: &str, oid: &Sha256, replace: bool) -> String {
    let signed = |text: &str| Paragraph::of_checked(text).get(record::PROVENANCE).is_some();
    let is_known = record == known || known.contains(&format!("\nSHA256: {oid}\n"));
    // What was found good was a record of these bytes that said something else of them: it is no word for this one.
    let same_package = package_of(record) == package_of(known);
    if !is_known || !same_package || (signed(record) && (replace || !signed(known))) {
        return record.to_owned();
    }
    let ((bare, _), (known_bare, lines)) = (without_provenance(record), without_provenance(known));
    match lines.is_empty() {
        _ if bare == known_bare => known.to_owned(),
        true => record.to_owned(),
        false => bare + &lines,
    }
}

/// Returns the name beside a taken one: `hello_1_amd64.buildinfo` → `hello_1_amd64.<12 digits>.buildinfo`.
pub(crate) fn with_digest(path: &PoolPath, oid: &Sha256) -> Option<PoolPath> {
    let name = path.file().as_str();
    let digest: String = oid.to_hex().chars().take(12).collect();
    let endings = [".changes", ".buildinfo", ".log", ".build", ".provenance.json"];
    let ending = endings.iter().chain(&evidence::ENDINGS).filter_map(|ending| name.rfind(ending)).max().unwrap_or(name.len());
    let (stem, ending) = name.split_at_checked(ending)?;
    format!("{stem}.{digest}{ending}").parse::<FileName>().ok().map(|file| path.beside(file))
}

impl State {
    /// Keeps the provenance that records name, beside what is kept already.
    pub(super) fn keep_provenance(&mut self, provenance: &[PooledFile], landing: &mut Landing) {
        for file in provenance {
            let digest = file.facts.sha256.to_hex();
            let named = self.records.values().any(|text| text.contains(&digest));
            let kept = self.pool.values().any(|pointer| pointer.oid == file.facts.sha256);
            if named && !kept {
                self.keep_evidence(std::slice::from_ref(file), landing);
            }
        }
    }

    pub(super) fn keep_evidence(&mut self, evidence: &[PooledFile], landing: &mut Landing) {
        for file in evidence {
            let coming = Pointer::from(&file.facts);
            if coming.size == 0 {
                landing.notes.push(format!("{}: empty, left out", file.path.file()));
                continue;
            }
            match self.pool.get(&file.path) {
                None => {
                    self.pool.insert(file.path.clone(), coming);
                }
                Some(first) if *first == coming => {}
                Some(_) => {
                    if let Some(path) = with_digest(&file.path, &coming.oid) {
                        self.pool.insert(path, coming);
                    }
                }
            }
        }
    }
}
