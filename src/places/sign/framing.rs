//! A clearsigned text taken apart: what is signed, and the armored signature.
//!
//! RFC 9580 section 7, read as strictly as apt reads InRelease (apt-pkg/contrib/gpgv.cc): the frame starts on the first byte and
//! ends with the last line, only `Hash:` headers, every other line that starts with `-` is escaped, one signature block. So
//! nothing unsigned can stand before, between or behind. Blanks at line ends are not covered by a signature and are
//! therefore dropped. Nothing is verified here.

const BEGIN: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &[u8] = b"-----BEGIN PGP SIGNATURE-----";
const END: &[u8] = b"-----END PGP SIGNATURE-----";

/// Why a text is not one clearsigned text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// There is no clearsigned text at the start.
    #[error("it does not start with \"-----BEGIN PGP SIGNED MESSAGE-----\"")]
    Unsigned,
    /// A line that has no place where it stands.
    #[error("line {line}: {problem}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The text ends too early.
    #[error("it ends before \"{expected}\"")]
    Cut {
        /// The line that is missing.
        expected: &'static str,
    },
}

/// A clearsigned text, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clearsigned {
    /// The signed lines, unescaped, each with its line feed. The signature does not cover the last line feed.
    pub(crate) payload: Vec<u8>,
    /// The armored signature, from its first line to its last.
    pub(crate) signature: Vec<u8>,
}

/// Takes a clearsigned text apart.
pub(crate) fn split(text: &[u8]) -> Result<Clearsigned, FramingError> {
    let mut lines = Lines { rest: text, number: 0 };
    if lines.next()? != Some(BEGIN) {
        return Err(FramingError::Unsigned);
    }
    headers(&mut lines)?;
    let payload = payload(&mut lines)?;
    let signature = signature(&mut lines)?;
    match lines.next()? {
        None => Ok(Clearsigned { payload, signature }),
        Some(_) => Err(lines.refuse("there is text behind the signature, which nobody signed")),
    }
}

struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    /// Returns the next line without its line feed; `None` at the end.
    fn next(&mut self) -> Result<Option<&'a [u8]>, FramingError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let (line, rest) = match memchr::memchr(b'\n', self.rest).and_then(|end| self.rest.split_at_checked(end)) {
            Some((line, rest)) => (line, rest.split_at_checked(1).map_or(rest, |(_, rest)| rest)),
            None => (self.rest, &[][..]),
        };
        self.rest = rest;
        if memchr::memchr2(b'\r', 0, line).is_some() {
            return Err(self.refuse("it has a carriage return or a NUL"));
        }
        Ok(Some(line))
    }

    fn refuse(&self, problem: &'static str) -> FramingError {
        FramingError::Line { line: self.number, problem }
    }
}

fn headers(lines: &mut Lines<'_>) -> Result<(), FramingError> {
    loop {
        match lines.next()? {
            None => return Err(FramingError::Cut { expected: "-----BEGIN PGP SIGNATURE-----" }),
            Some(b"") => return Ok(()),
            Some(line) if line.starts_with(b"Hash: ") => {}
            Some(_) => return Err(lines.refuse("only \"Hash: ...\" may stand before the empty line that starts the signed text")),
        }
    }
}

fn payload(lines: &mut Lines<'_>) -> Result<Vec<u8>, FramingError> {
    let mut payload = Vec::with_capacity(lines.rest.len());
    loop {
        let line = lines.next()?.ok_or(FramingError::Cut { expected: "-----BEGIN PGP SIGNATURE-----" })?;
        if line == SIGNATURE {
            return Ok(payload);
        }
        let line = match line.strip_prefix(b"- ") {
            Some(escaped) => escaped,
            None if line.starts_with(b"-") => return Err(lines.refuse("it starts with \"-\" and is not escaped")),
            None => line,
        };
        payload.extend_from_slice(without_blanks(line));
        payload.push(b'\n');
    }
}

/// Returns a line without the blanks at its end, which a cleartext signature does not cover.
pub(crate) fn without_blanks(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |last| last + 1);
    line.get(..end).unwrap_or_default()
}

fn signature(lines: &mut Lines<'_>) -> Result<Vec<u8>, FramingError> {
    let mut signature = [SIGNATURE, b"\n"].concat();
    loop {
        let line = lines.next()?.ok_or(FramingError::Cut { expected: "-----END PGP SIGNATURE-----" })?;
        if line.starts_with(b"-") && line != END {
            return Err(lines.refuse("it has no place in a signature"));
        }
        signature.extend_from_slice(line);
        signature.push(b'\n');
        if line == END {
            return Ok(signature);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn framed(text: &str) -> String {
        format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{text}\n-----BEGIN PGP SIGNATURE-----\n\nwsB=\n-----END PGP SIGNATURE-----\n"
        )
    }

    #[test]
    fn the_signed_lines_come_back_unescaped_and_without_blanks_at_their_ends() {
        let parts = split(framed("Format: 1.8 \t\n- -dashed\n- - twice\n\n blank").as_bytes()).unwrap();
        assert_eq!(String::from_utf8(parts.payload).unwrap(), "Format: 1.8\n-dashed\n- twice\n\n blank\n");
        assert!(parts.signature.starts_with(b"-----BEGIN PGP SIGNATURE-----\n\nwsB=\n"));
    }

    #[test]
    fn anything_outside_the_signed_part_is_refused_with_its_line() {
        let good = framed("Format: 1.8");
        for (text, expected) in [
            (String::new(), "does not start with"),
            (format!("Source: evil\n\n{good}"), "does not start with"),
            (format!("\n{good}"), "does not start with"),
            (good.replacen("-----\n", "----- \n", 1), "does not start with"),
            (format!("{good}\nSource: evil\n"), "line 9: there is text behind"),
            (format!("{good}{good}"), "line 9: there is text behind"),
            (good.replace("Hash: SHA512", "Source: evil"), "line 2: only \"Hash:"),
            (good.replace("Hash: SHA512", " "), "line 2: only \"Hash:"),
            (good.replace("Format", "-Format"), "line 4: it starts with"),
            (good.replace("Format: 1.8", "Format: 1.8\r"), "line 4: it has a carriage return"),
            (good.replace("wsB=", "-----BEGIN PGP SIGNATURE-----"), "line 7: it has no place"),
            (good.replace("-----END PGP SIGNATURE-----\n", ""), "ends before \"-----END"),
            (good.replace("-----BEGIN PGP SIGNATURE-----", "oops"), "line 8: it starts with"),
            ("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n".to_owned(), "ends before \"-----BEGIN PGP SIGNATURE"),
        ] {
            let error = split(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }
}
