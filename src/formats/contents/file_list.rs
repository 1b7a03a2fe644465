//! The file list of one package: what it installs, sorted, in a form that is short and always the same.
//!
//! A list is kept beside the objects (`file-lists-v1`) and named by its SHA-256, which stands in the package's record. Each line
//! is the number of bytes that the path shares with the one before, a blank, and the rest of the path, as locate(1) keeps paths:
//! a fifth of the text, and independent of any compressor.

use std::fmt::Write as _;

use crate::words::digest::Sha256;
use crate::words::limits;

/// The kind of derived object that a list is.
pub const KIND: &str = "file-lists-v1";

/// Most bytes of a list that is read.
pub const LIMIT: u64 = 256 << 20;

/// Where a package without files stands, as in Debian's archive.
const EMPTY: &str = "EMPTY_PACKAGE";

/// Why bytes are no file list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the file list {fault}")]
pub struct FileListError {
    /// Line number from 1.
    line: usize,
    /// What is wrong.
    fault: &'static str,
}

/// What one package installs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileList {
    encoded: Vec<u8>,
}

impl FileList {
    /// Makes the list of these paths, in any order. Blanks at the end of a path are left out, since a line of Contents cannot
    /// show them, and so are paths with a line end or NUL, which a .deb cannot have.
    pub fn of<P: AsRef<str>>(paths: &[P]) -> Self {
        let mut sorted: Vec<&str> = paths.iter().map(|path| path.as_ref().trim_end_matches(' ')).collect();
        sorted.retain(|path| !path.is_empty() && !path.contains(['\n', '\0']));
        sorted.sort_unstable();
        sorted.dedup();
        let mut encoded = String::with_capacity(sorted.len() * 24);
        let mut last = "";
        for path in sorted {
            let shared = shared(last, path);
            // Writing to a String cannot fail.
            let _ = writeln!(encoded, "{shared} {}", path.get(shared..).unwrap_or_default());
            last = path;
        }
        Self { encoded: encoded.into_bytes() }
    }

    /// Reads what `bytes` gave.
    ///
    /// # Errors
    /// It is something else, or its paths are not in order.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, FileListError> {
        let wrong = |line, fault| FileListError { line, fault };
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong(1, "is not UTF-8"))?;
        if !text.is_empty() && !text.ends_with('\n') {
            return Err(wrong(text.split('\n').count(), "is cut off"));
        }
        let mut last = String::new();
        for (at, line) in text.split_terminator('\n').enumerate() {
            let wrong = |fault| wrong(at + 1, fault);
            let (number, rest) = line.split_once(' ').ok_or_else(|| wrong("has no number"))?;
            let count: usize = number.parse().map_err(|_| wrong("has no number"))?;
            let head = last.get(..count).ok_or_else(|| wrong("shares more than there is"))?;
            let path = format!("{head}{rest}");
            if path <= last {
                return Err(wrong("is not in order"));
            }
            if shared(&last, &path) != count || number != count.to_string() {
                return Err(wrong("is not as ddb writes it"));
            }
            if path.len() > limits::TAR_PATH || path.ends_with(' ') || path.contains('\0') {
                return Err(wrong("holds no path"));
            }
            last = path;
        }
        Ok(Self { encoded: bytes })
    }

    /// Returns the list as it is kept.
    pub fn bytes(&self) -> &[u8] {
        &self.encoded
    }

    /// Returns what stands in the package's record.
    pub fn digest(&self) -> Sha256 {
        Sha256::of(&self.encoded)
    }

    /// Calls with each path of the package's lines in Contents, in order: there is at least one.
    pub fn each(&self, mut path: impl FnMut(&str)) {
        let mut last = String::new();
        // It was made or checked here.
        for line in std::str::from_utf8(&self.encoded).unwrap_or_default().split_terminator('\n') {
            let Some((count, rest)) = line.split_once(' ') else { continue };
            last.truncate(count.parse().unwrap_or_default());
            last.push_str(rest);
            path(&last);
        }
        if self.encoded.is_empty() {
            path(EMPTY);
        }
    }

    /// Returns the paths of the package's lines in Contents, in order.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.each(|path| paths.push(path.to_owned()));
        paths
    }
}

/// Returns how many bytes two paths begin with in common, never within a character.
fn shared(one: &str, other: &str) -> usize {
    let mut count = one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    while !other.is_char_boundary(count) || !one.is_char_boundary(count) {
        count -= 1;
    }
    count
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_list_is_sorted_and_says_what_is_new_in_each_path() {
        let list = FileList::of(&["usr/bin/b", "usr/bin/a", "etc/x y", "usr/bin/b", "usr/bin/a ", "usr/bin/é", "usr/bin/è"]);
        assert_eq!(std::str::from_utf8(list.bytes()).unwrap(), "0 etc/x y\n0 usr/bin/a\n8 b\n8 è\n8 é\n");
        assert_eq!(list.paths(), ["etc/x y", "usr/bin/a", "usr/bin/b", "usr/bin/è", "usr/bin/é"]);
        assert_eq!(FileList::parse(list.bytes().to_vec()).unwrap(), list);
    }

    #[test]
    fn a_package_without_files_has_a_line_of_its_own() {
        let list = FileList::of::<&str>(&[]);
        assert_eq!((list.bytes().len(), list.paths()), (0, vec!["EMPTY_PACKAGE".to_owned()]));
        assert_eq!(FileList::parse(Vec::new()).unwrap(), list);
    }

    #[test]
    fn other_bytes_are_no_list() {
        let check = |text: &str, expected: &str| {
            let fault = FileList::parse(text.as_bytes().to_vec()).unwrap_err().to_string();
            assert!(fault.contains(expected), "{text:?}: {fault}");
        };
        check("0 a", "cut off");
        check("a\n", "no number");
        check("x a\n", "no number");
        check("0 b\n0 a\n", "line 2 of the file list is not in order");
        check("0 a\n0 a\n", "not in order");
        check("0 ab\n0 ac\n", "not as ddb writes it");
        check("0 ab\n01 c\n", "not as ddb writes it");
        check("5 a\n", "shares more");
        check("0 a \n", "no path");
        check("0 \n", "not in order");
        assert!(FileList::parse(vec![b'0', b' ', 0xff, b'\n']).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(paths in proptest::collection::vec("[a-cé /]{1,6}", 0..20), turn in 0usize..20) {
            let list = FileList::of(&paths);
            prop_assert_eq!(FileList::parse(list.bytes().to_vec()).unwrap(), list.clone());
            let mut turned = paths.clone();
            turned.rotate_left(turn.min(paths.len()));
            prop_assert_eq!(FileList::of(&turned).digest(), list.digest());
            prop_assert!(list.paths().is_sorted());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = FileList::parse(bytes);
        }
    }
}
