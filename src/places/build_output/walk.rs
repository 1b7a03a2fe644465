//! Lists the files of a build output in the order of their paths, opening none of them.
//!
//! Names that begin with a dot are left out. Whatever is neither a folder nor a regular file, and every name that could not
//! be a pool file's, is a problem.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Problem, in_one_line};
use crate::formats::manifest;
use crate::formats::provenance::evidence;
use crate::words::name::FileName;

/// Deepest nesting of folders.
const DEPTH: usize = 32;
/// Most files.
const FILES: usize = 200_000;

/// What a file's name says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Binary,
    Dsc,
    Changes,
    Buildinfo,
    Log,
    /// A signed envelope or bundle that says where the files come from.
    Provenance,
    /// What an upload left; not part of the build.
    Manifest,
    /// A part of a source, if a .dsc lists it.
    Other,
}

/// A file that is to be read.
pub(super) struct Found {
    /// Path below the build output.
    pub(super) path: PathBuf,
    pub(super) name: FileName,
    pub(super) kind: Kind,
}

/// Returns the files and what is wrong with others.
pub(super) fn files(dir: &Path) -> (Vec<Found>, Vec<Problem>) {
    let mut walk = Walk { found: Vec::new(), problems: Vec::new() };
    walk.folder(dir, Path::new(""), 0);
    walk.found.sort_by(|left, right| left.path.cmp(&right.path));
    (walk.found, walk.problems)
}

struct Walk {
    found: Vec<Found>,
    problems: Vec<Problem>,
}

impl Walk {
    fn folder(&mut self, dir: &Path, below: &Path, depth: usize) {
        if depth > DEPTH {
            return self.problem(below, format!("lies more than {DEPTH} folders deep"));
        }
        let entries = match fs::read_dir(dir.join(below)) {
            Ok(entries) => entries,
            Err(fault) => return self.problem(below, format!("cannot be listed: {}", in_one_line(&fault))),
        };
        for entry in entries {
            if self.found.len() > FILES {
                return self.problem(below, format!("holds more than {FILES} files"));
            }
            match entry {
                Ok(entry) => self.entry(dir, below, &entry, depth),
                Err(fault) => self.problem(below, format!("cannot be listed: {}", in_one_line(&fault))),
            }
        }
    }

    fn entry(&mut self, dir: &Path, below: &Path, entry: &fs::DirEntry, depth: usize) {
        let name = entry.file_name();
        let path = below.join(&name);
        if name.as_encoded_bytes().starts_with(b".") {
            return;
        }
        // Of the entry itself: a symbolic link is not followed.
        let kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(fault) => return self.problem(&path, format!("cannot be looked at: {}", in_one_line(&fault))),
        };
        if kind.is_dir() {
            return self.folder(dir, &path, depth + 1);
        }
        if kind.is_symlink() {
            return self.problem(&path, "is a symbolic link; put the file itself there, or remove it".to_owned());
        }
        if !kind.is_file() {
            return self.problem(&path, "is a device, fifo or socket, not a regular file; remove it".to_owned());
        }
        match name.to_string_lossy().parse::<FileName>() {
            Ok(name) => self.found.push(Found { kind: kind_of(&name), path, name }),
            Err(fault) => self.problem(&path, fault.to_string()),
        }
    }

    fn problem(&mut self, file: &Path, reason: String) {
        let file = if file.as_os_str().is_empty() { PathBuf::from(".") } else { file.to_owned() };
        self.problems.push(Problem { file, reason });
    }
}

fn kind_of(name: &FileName) -> Kind {
    let name = name.as_str();
    if name.starts_with(manifest::NAME) {
        return Kind::Manifest;
    }
    let plain = [".gz", ".xz", ".zst", ".bz2"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
    if plain.ends_with(".log") || plain.ends_with(".build") {
        return Kind::Log;
    }
    if evidence::is_named(name) {
        return Kind::Provenance;
    }
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("deb" | "udeb" | "ddeb") => Kind::Binary,
        Some("dsc") => Kind::Dsc,
        Some("changes") => Kind::Changes,
        Some("buildinfo") => Kind::Buildinfo,
        _ => Kind::Other,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_a_file_is() {
        for (name, kind) in [
            ("a_1_all.deb", Kind::Binary),
            ("a_1_amd64.udeb", Kind::Binary),
            ("a-dbgsym_1_amd64.ddeb", Kind::Binary),
            ("a_1.dsc", Kind::Dsc),
            ("a_1_amd64.changes", Kind::Changes),
            ("a_1_amd64.buildinfo", Kind::Buildinfo),
            ("a_1_amd64.build", Kind::Log),
            ("build.log", Kind::Log),
            ("a_1_amd64.build.xz", Kind::Log),
            ("build.log.gz", Kind::Log),
            ("a_1.orig.tar.gz", Kind::Other),
            ("a_1.orig.tar.gz.asc", Kind::Other),
            ("ddb-manifest-0123456789abcdef", Kind::Manifest),
            ("a_1_amd64.intoto.jsonl", Kind::Provenance),
            ("a.sigstore.json", Kind::Provenance),
            ("a.json", Kind::Other),
            ("README", Kind::Other),
            ("deb", Kind::Other),
        ] {
            assert_eq!(kind_of(&name.parse().unwrap()), kind, "{name}");
        }
    }
}
