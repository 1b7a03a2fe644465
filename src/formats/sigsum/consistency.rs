//! The answer to get-consistency-proof: one line `node_hash` for each hash of the path (log.md section 3.3).

use super::ascii::{self, AsciiError, Lines};
use super::proof::LIMIT;
use crate::words::digest::Sha256;

/// Most hashes of a path: two sizes below 2^63 have no longer one.
const PATH: usize = 64;

/// Reads the path. Whether it holds says [`crate::formats::merkle::check_consistency`].
///
/// # Errors
/// Not of that form.
pub fn parse(bytes: &[u8]) -> Result<Vec<Sha256>, AsciiError> {
    let mut lines = Lines::of(bytes, LIMIT)?;
    let mut path = Vec::new();
    while lines.is_next("node_hash") {
        path.push(lines.one("node_hash", ascii::hash)?);
        if path.len() > PATH {
            return Err(AsciiError::Many { line: lines.number(), what: "node_hash", limit: PATH });
        }
    }
    lines.end()?;
    Ok(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_and_nothing_else_is() {
        let line = format!("node_hash={}\n", Sha256::of(b"x"));
        assert_eq!(parse(line.repeat(3).as_bytes()).unwrap(), [Sha256::of(b"x"); 3]);
        assert_eq!(parse(b"").unwrap(), []);
        for bad in
            [line.trim_end().to_owned(), format!("{line}\n"), line.replace("node_hash", "hash"), line.replace('=', "= "), line.repeat(65)]
        {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn changed_paths_are_read_or_refused_and_nothing_else(at in 0..150usize, byte in proptest::num::u8::ANY, cut in 0..160usize) {
            let mut bytes = format!("node_hash={}\n", Sha256::of(b"x")).repeat(2).into_bytes();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.truncate(cut);
            let _ = parse(&bytes);
        }
    }
}
