//! Debian's own paragraphs and the control files that they were made of, for the tests of this folder.

#![allow(clippy::unwrap_used)]

use crate::formats::pool::path::PoolPath;
use crate::formats::suite::record::{Placement, write_binary, write_source};
use crate::words::deb822::{Paragraph, paragraphs};
use crate::words::digest::FileFacts;

pub(super) const PACKAGES: &str = include_str!("../../../tests/data/index/Packages");
pub(super) const SOURCES: &str = include_str!("../../../tests/data/index/Sources");
pub(super) const TRANSLATION: &str = include_str!("../../../tests/data/index/Translation-en");
pub(super) const DSC: &str = include_str!("../../../tests/data/index/golang-gopkg-errgo.v1.dsc");

const CONTROLS: [&str; 3] = [
    include_str!("../../../tests/data/index/dash.control"),
    include_str!("../../../tests/data/index/lua-posix.control"),
    include_str!("../../../tests/data/index/ruby-ffi.control"),
];

/// Returns the records of the binary packages, in the order of `PACKAGES`.
pub(super) fn binary_records() -> Vec<String> {
    let debians = paragraphs(PACKAGES).map(Paragraph::of_checked);
    CONTROLS
        .iter()
        .zip(debians)
        .map(|(control, debian)| {
            let get = |field| debian.get(field).unwrap();
            let path: PoolPath = get("Filename").parse().unwrap();
            write_binary(control, &path, &facts(get("Size"), get("MD5sum"), get("SHA256")))
        })
        .collect()
}

/// Returns the record of the source package, with the Section and Priority that Debian gives it.
pub(super) fn source_record() -> String {
    let debian = Paragraph::of_checked(SOURCES.trim_end());
    let first = |field| debian.get(field).unwrap().split_whitespace().take(3).map(str::to_owned).collect::<Vec<_>>();
    let [md5, size, file]: [String; 3] = first("Files").try_into().unwrap();
    let [sha256, _, _]: [String; 3] = first("Checksums-Sha256").try_into().unwrap();
    let path = format!("{}/{file}", debian.get("Directory").unwrap()).parse().unwrap();
    let placement = Placement { section: debian.get("Section").map(str::to_owned), priority: debian.get("Priority").map(str::to_owned) };
    write_source(DSC, &path, &facts(&size, &md5, &sha256), &placement)
}

fn facts(size: &str, md5: &str, sha256: &str) -> FileFacts {
    FileFacts { size: size.parse().unwrap(), md5: md5.parse().unwrap(), sha256: sha256.parse().unwrap(), sha1: None, sha512: None }
}
