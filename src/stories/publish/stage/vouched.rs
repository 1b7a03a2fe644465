//! `recorded.asc`: a signature by the archive over what a staged commit records, so that the next fold starts from nothing that
//! somebody left there who may push to the branch and has no key to sign with.
//!
//! The text that is signed begins with a line that no Release has, says how many files it is about, and names each by its SHA-256:
//! ```text
//! ddb recorded 2
//! codename: trixie
//! files: 5
//! <sha256>  Release
//! <sha256>  fold.json
//! <sha256>  inputs.json
//! <sha256>  lists.json
//! <sha256>  sheets/main/binary-amd64/Packages
//! ```
//! `inputs.json` names the commit of the branch after which it was staged: what was signed once cannot be put on the branch again.

use std::collections::BTreeMap;

use super::recorded::{FOLDED, LISTS};
use super::{INPUTS, RELEASE};
use crate::words::digest::Sha256;
use crate::words::name::Codename;

/// The signature.
pub(super) const VOUCHED: &str = "recorded.asc";

/// What is signed beside the sheets.
pub(super) const WITH_SHEETS: [&str; 4] = [RELEASE, INPUTS, FOLDED, LISTS];

/// Returns the text that is signed, of files by their paths; `None` where a path has a character that could pass for another line.
pub(super) fn text<'a>(codename: &Codename, files: impl Iterator<Item = (&'a str, &'a [u8])>) -> Option<String> {
    let digests: BTreeMap<&str, Sha256> = files.map(|(path, bytes)| (path, Sha256::of(bytes))).collect();
    if digests.keys().any(|path| path.chars().any(char::is_control)) {
        return None;
    }
    let lines: String = digests.iter().map(|(path, digest)| format!("{digest}  {path}\n")).collect();
    Some(format!("ddb recorded 2\ncodename: {codename}\nfiles: {}\n{lines}", digests.len()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn no_two_sets_of_files_have_the_same_text() {
        let codename: Codename = "trixie".parse().unwrap();
        let of = |files: &[(&str, &str)]| text(&codename, files.iter().map(|(path, bytes)| (*path, bytes.as_bytes())));
        let two = [("Release", "a"), ("sheets/main/binary-amd64/Packages", "b")];
        let expected = format!(
            "ddb recorded 2\ncodename: trixie\nfiles: 2\n{}  Release\n{}  sheets/main/binary-amd64/Packages\n",
            Sha256::of(b"a"),
            Sha256::of(b"b")
        );
        assert_eq!(of(&two), Some(expected));
        assert_ne!(of(&two), of(&two[..1]));
        assert_ne!(of(&two), of(&[two[0], (two[1].0, "c")]));
        // One file whose name holds the line of the other.
        let both = format!("Release\n{}  sheets/main/binary-amd64/Packages", Sha256::of(b"b"));
        for name in [both.as_str(), "sheets/a\rb", "sheets/a\u{85}b", "sheets/a\0b"] {
            assert_eq!(of(&[(name, "a")]), None, "{name:?}");
        }
    }
}
