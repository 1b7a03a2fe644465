//! Edits as the script of `diff --ed` that apt's `rred` applies: commands `a`, `c` and `d`, the last lines of the index first.
//!
//! Added lines end at a line of a single dot, so that no added line may be one. `rred` reads lines into a buffer of 512 KiB and
//! takes what is longer for two lines.

use std::io::Write as _;

use super::edits::Edit;

/// Longest line in bytes, its end included, that `rred` reads whole (its buffer less the byte after the text).
const LINE: usize = (512 << 10) - 1;

/// Why edits cannot be written as a script, or a script not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EdError {
    /// A line that would end the added lines, be cut in two or be cut off.
    #[error("an edit at line {at} adds {what}, which apt cannot apply")]
    Line {
        /// The first old line of the edit, from 0.
        at: usize,
        /// What kind of line.
        what: &'static str,
    },
    /// Edits that overlap or are not in order.
    #[error("the edit at line {at} does not lie behind the one before it")]
    Order {
        /// The first old line of the edit, from 0.
        at: usize,
    },
    /// A line of a script that is no command where one must stand, or added lines without end.
    #[error("line {line} of the script is not a command that apt knows, or out of order")]
    Command {
        /// Line number of the script from 1.
        line: usize,
    },
    /// A script that ends in the middle of added lines.
    #[error("the script ends in the middle of added lines")]
    Unfinished,
    /// Not UTF-8, as no index is.
    #[error("the script is not UTF-8")]
    Encoding,
}

/// Returns edits, which are in order, as a script.
///
/// # Errors
/// Edits that are out of order, or lines that apt cannot apply: then there is no patch.
pub fn to_ed(edits: &[Edit]) -> Result<Vec<u8>, EdError> {
    let mut end = 0;
    for edit in edits {
        if edit.at < end {
            return Err(EdError::Order { at: edit.at });
        }
        end = edit.at + edit.removed;
        if let Some(what) = fault(&edit.inserted) {
            return Err(EdError::Line { at: edit.at, what });
        }
    }
    let mut script = Vec::with_capacity(edits.iter().map(|edit| edit.inserted.len() + 24).sum());
    for edit in edits.iter().rev() {
        let command = match (edit.removed, edit.inserted.is_empty()) {
            (0, true) => continue,
            (0, false) => 'a',
            (_, true) => 'd',
            (_, false) => 'c',
        };
        // Lines count from 1, and `a` adds behind a line. Writing to a Vec cannot fail.
        let _ = match edit.removed {
            0 => writeln!(script, "{}a", edit.at),
            1 => writeln!(script, "{}{command}", edit.at + 1),
            _ => writeln!(script, "{},{}{command}", edit.at + 1, edit.at + edit.removed),
        };
        if !edit.inserted.is_empty() {
            script.extend_from_slice(edit.inserted.as_bytes());
            script.extend_from_slice(b".\n");
        }
    }
    Ok(script)
}

/// What in this text `rred` cannot add.
fn fault(inserted: &str) -> Option<&'static str> {
    if inserted.is_empty() {
        return None;
    }
    if !inserted.ends_with('\n') {
        return Some("a line without end");
    }
    if memchr::memchr(0, inserted.as_bytes()).is_some() {
        return Some("a line with a NUL byte");
    }
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', inserted.as_bytes()) {
        if end - start == 1 && inserted.as_bytes().get(start) == Some(&b'.') {
            return Some("a line that is a single dot");
        }
        if end + 1 - start > LINE {
            return Some("a line of more than 512 KiB");
        }
        start = end + 1;
    }
    None
}

/// Reads a script as `to_ed` or `diff --ed` writes it.
///
/// # Errors
/// The first line that apt's `rred` would refuse.
pub fn parse(script: &[u8]) -> Result<Vec<Edit>, EdError> {
    let script = std::str::from_utf8(script).map_err(|_| EdError::Encoding)?;
    let mut edits: Vec<Edit> = Vec::new();
    let mut lines = script.split_inclusive('\n').enumerate();
    while let Some((number, line)) = lines.next() {
        let refuse = || EdError::Command { line: number + 1 };
        let (mut edit, adds) = command(line).ok_or_else(refuse)?;
        if edits.last().is_some_and(|later| edit.at + edit.removed > later.at) {
            return Err(refuse());
        }
        if adds {
            loop {
                let (_, line) = lines.next().ok_or(EdError::Unfinished)?;
                if line == ".\n" {
                    break;
                }
                edit.inserted.push_str(line);
            }
        }
        edits.push(edit);
    }
    edits.reverse();
    Ok(edits)
}

/// The edit of a command, without its lines, and whether such follow.
fn command(line: &str) -> Option<(Edit, bool)> {
    let line = line.strip_suffix('\n')?;
    let (numbers, command) = line.split_at_checked(line.len().checked_sub(1)?)?;
    let (first, last) = numbers.split_once(',').unwrap_or((numbers, numbers));
    let (first, last) = (number(first)?, number(last)?);
    let (at, removed) = match command {
        "a" if first == last => (first, 0),
        "c" | "d" => (first.checked_sub(1)?, last.checked_sub(first)? + 1),
        _ => return None,
    };
    Some((Edit { at, removed, inserted: String::new() }, command != "d"))
}

fn number(digits: &str) -> Option<usize> {
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::formats::pdiff::edits::{apply, line_edits};
    use proptest::prelude::*;

    fn edit(at: usize, removed: usize, inserted: &str) -> Edit {
        Edit { at, removed, inserted: inserted.to_owned() }
    }

    #[test]
    fn the_last_lines_come_first_and_lines_count_from_one() {
        let edits = [edit(0, 0, "first\n"), edit(1, 1, "two\nthree\n"), edit(5, 3, "six\n"), edit(9, 1, ""), edit(11, 2, "")];
        let script = "12,13d\n10d\n6,8c\nsix\n.\n2c\ntwo\nthree\n.\n0a\nfirst\n.\n";
        assert_eq!(String::from_utf8(to_ed(&edits).unwrap()).unwrap(), script);
        assert_eq!(parse(script.as_bytes()).unwrap(), edits);
        assert_eq!(to_ed(&[]).unwrap(), b"");
        assert_eq!(parse(b"").unwrap(), []);
    }

    #[test]
    fn what_apt_cannot_apply_is_refused() {
        let long = format!("{}\n", "x".repeat(LINE));
        for bad in [".\n", "a\n.\nb\n", "a", "a\0b\n", &*long] {
            assert!(matches!(to_ed(&[edit(3, 1, bad)]), Err(EdError::Line { at: 3, .. })), "{}", bad.len());
        }
        for good in ["..\n", ". \n", "a.\n", " .\n", &long[1..]] {
            to_ed(&[edit(3, 1, good)]).unwrap();
        }
        assert_eq!(to_ed(&[edit(3, 2, ""), edit(4, 1, "")]), Err(EdError::Order { at: 4 }));
    }

    #[test]
    fn other_scripts_are_not_read() {
        for bad in ["1\n", "a\n", "1x\n", "0d\n", "2,1d\n", "1d\n2d\n", "+1d\n", "1,2a\nx\n.\n", "1d", "1s/x/y/\n", "2,3c\nx\n.\n3d\n"] {
            assert!(matches!(parse(bad.as_bytes()), Err(EdError::Command { .. })), "{bad}");
        }
        assert_eq!(parse(b"1c\nx\n"), Err(EdError::Unfinished));
        assert_eq!(parse(b"1c\n\xff\n.\n"), Err(EdError::Encoding));
    }

    proptest! {
        #[test]
        fn a_script_says_what_the_edits_say(old in proptest::collection::vec("[a-c]{0,2}\n", 0..30), new in proptest::collection::vec("[a-c]{0,2}\n", 0..30)) {
            let (old, new) = (old.concat(), new.concat());
            let read = parse(&to_ed(&line_edits(&old, &new, 0)).unwrap()).unwrap();
            prop_assert_eq!(apply(&old, &read), Some(new));
        }
    }
}
