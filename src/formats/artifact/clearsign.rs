//! The signed part of a clearsigned text, or the whole of an unsigned one (RFC 9580, section 7; apt reads it the same way).
//!
//! Strict, because whatever a signature does not cover must not count: nothing may stand before or behind, every armor must
//! be ended, and there is one signed part. Whether the signature is good is not decided here.

const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END: &str = "-----END PGP SIGNATURE-----";

/// Why a text is neither unsigned nor properly clearsigned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClearsignError {
    /// Text before the armor.
    #[error("text stands before its signed part")]
    Before,
    /// Text behind the armor, or a second signed part.
    #[error("text stands behind its signature (line {line})")]
    Behind {
        /// Line number from 1.
        line: usize,
    },
    /// A part of the armor breaks its rules.
    #[error("its signature's armor is malformed at line {line}")]
    Armor {
        /// Line number from 1.
        line: usize,
    },
    /// The text ends within the armor.
    #[error("its signature is not terminated")]
    Unterminated,
    /// Not UTF-8.
    #[error("byte {offset} is not UTF-8")]
    Encoding {
        /// Offset of the first bad byte.
        offset: usize,
    },
}

/// What was signed, or the whole text where nothing was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedText {
    /// The payload with every line ended by a newline; of a signed text without dash escapes and blanks at line ends,
    /// which a signature does not cover.
    pub payload: String,
    /// Whether it stood in a signature's armor.
    pub signed: bool,
}

/// Takes the armor away.
///
/// # Errors
/// Text outside the signed part, or a malformed or unterminated armor.
pub fn split(bytes: &[u8]) -> Result<SignedText, ClearsignError> {
    let text = std::str::from_utf8(bytes).map_err(|fault| ClearsignError::Encoding { offset: fault.valid_up_to() })?;
    let mut lines = text.split('\n').zip(1usize..);
    if lines.next().is_none_or(|(first, _)| first != BEGIN) {
        if text.split('\n').any(|line| line.starts_with("-----")) {
            return Err(ClearsignError::Before);
        }
        let end = if text.ends_with('\n') { "" } else { "\n" };
        return Ok(SignedText { payload: format!("{text}{end}"), signed: false });
    }
    loop {
        match lines.next().ok_or(ClearsignError::Unterminated)? {
            ("", _) => break,
            (header, line) if !is_header(header) => return Err(ClearsignError::Armor { line }),
            _ => {}
        }
    }
    let mut payload = String::with_capacity(text.len());
    loop {
        let (line, number) = lines.next().ok_or(ClearsignError::Unterminated)?;
        if line == SIGNATURE {
            break;
        }
        let line = match line.strip_prefix("- ") {
            Some(escaped) => escaped,
            None if line.starts_with('-') => return Err(ClearsignError::Armor { line: number }),
            None => line,
        };
        payload.push_str(line.trim_end_matches([' ', '\t']));
        payload.push('\n');
    }
    loop {
        match lines.next().ok_or(ClearsignError::Unterminated)? {
            (END, _) => break,
            (line, number) if line.starts_with('-') || !line.bytes().all(|byte| (b' '..=b'~').contains(&byte)) => {
                return Err(ClearsignError::Armor { line: number });
            }
            _ => {}
        }
    }
    match lines.find(|(line, _)| !line.is_empty()) {
        Some((_, line)) => Err(ClearsignError::Behind { line }),
        None => Ok(SignedText { payload, signed: true }),
    }
}

/// Tells whether this is an armor header, such as `Hash: SHA512`.
fn is_header(line: &str) -> bool {
    line.split_once(": ").is_some_and(|(name, value)| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric()) && value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIGNED: &str = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nSource: hello\nX: 1 \t\n- - dash\n\n-----BEGIN PGP SIGNATURE-----\n\niQEz\n=abcd\n-----END PGP SIGNATURE-----\n";

    #[test]
    fn the_payload_is_what_was_signed() {
        let text = split(SIGNED.as_bytes()).unwrap();
        assert_eq!(text, SignedText { payload: "Source: hello\nX: 1\n- dash\n\n".to_owned(), signed: true });
        let text = split(b"Source: hello \nX: 1").unwrap();
        assert_eq!(text, SignedText { payload: "Source: hello \nX: 1\n".to_owned(), signed: false });
        let quoted = "Changes:\n -----BEGIN PGP SIGNED MESSAGE-----\n";
        assert_eq!(split(quoted.as_bytes()).unwrap(), SignedText { payload: quoted.to_owned(), signed: false });
    }

    #[test]
    fn what_no_signature_covers_is_refused() {
        let check = |text: String, expected: ClearsignError| assert_eq!(split(text.as_bytes()).unwrap_err(), expected, "{text}");
        check(format!("Evil: yes\n{SIGNED}"), ClearsignError::Before);
        check(format!("\n{SIGNED}"), ClearsignError::Before);
        check(format!(" {SIGNED}"), ClearsignError::Before);
        check(format!("{SIGNED}Evil: yes\n"), ClearsignError::Behind { line: 13 });
        check(format!("{SIGNED}{SIGNED}"), ClearsignError::Behind { line: 13 });
        check(SIGNED.replace("Hash: SHA512", "Evil"), ClearsignError::Armor { line: 2 });
        check(SIGNED.replace("Hash: SHA512", "-----BEGIN PGP SIGNED MESSAGE-----"), ClearsignError::Armor { line: 2 });
        check(SIGNED.replace("- - dash", "-dash"), ClearsignError::Armor { line: 6 });
        check(SIGNED.replace("=abcd", "-----BEGIN PGP SIGNED MESSAGE-----"), ClearsignError::Armor { line: 11 });
        check(SIGNED.replace("-----END PGP SIGNATURE-----\n", ""), ClearsignError::Unterminated);
        check(SIGNED.replace('\n', "\r\n"), ClearsignError::Before);
        check(SIGNED.replacen("-----BEGIN PGP SIGNATURE-----\n", "", 1), ClearsignError::Armor { line: 11 });
        let end = SIGNED.find("=abcd").unwrap();
        check(SIGNED.get(..end).unwrap().to_owned(), ClearsignError::Unterminated);
    }

    #[test]
    fn no_cut_text_counts_as_signed() {
        for end in 0..SIGNED.len() - 1 {
            let text = split(&SIGNED.as_bytes()[..end]);
            assert!(text.is_err() || !text.unwrap().signed, "{end}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0..SIGNED.len()) {
            let _ = split(&bytes);
            let mut text = SIGNED.as_bytes().to_vec();
            text.splice(at..at, bytes);
            let _ = split(&text);
        }
    }
}
