//! InRelease taken apart: the text that was signed, and the armored signature (RFC 9580, section 7).
//!
//! As strict as apt (`apt-pkg/contrib/gpgv.cc`): the frame begins on the first byte, ends with the last line and has one
//! signature, so that no byte stands where no signature covers it. Nothing is verified here.

const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
pub(super) const BEGIN_SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END_SIGNATURE: &str = "-----END PGP SIGNATURE-----";

/// The two parts of InRelease.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Clearsigned {
    /// The signed lines, each with its line feed; the last one's is not covered by the signature.
    pub(super) text: String,
    /// The armored signature with its headers.
    pub(super) signature: String,
}

/// Where the reader is.
enum Part {
    Start,
    Headers,
    Text,
    Signature,
    End,
}

/// Takes InRelease apart.
///
/// Fails with what is wrong, as a fragment behind the file's name.
pub(super) fn split(bytes: &[u8]) -> Result<Clearsigned, String> {
    let whole = std::str::from_utf8(bytes).map_err(|fault| format!("is not UTF-8 at byte {}", fault.valid_up_to()))?;
    if whole.contains(['\r', '\0']) {
        return Err("has a carriage return or a NUL".to_owned());
    }
    let mut part = Part::Start;
    let mut parts = Clearsigned { text: String::with_capacity(whole.len()), signature: String::new() };
    for (line, number) in whole.lines().zip(1usize..) {
        let wrong = |what: &str| Err(format!("{what} (line {number})"));
        part = match part {
            Part::Start if line == BEGIN => Part::Headers,
            Part::Start => return Err(format!("does not begin with \"{BEGIN}\"")),
            Part::Headers if line.is_empty() => Part::Text,
            Part::Headers if line.starts_with("Hash: ") => Part::Headers,
            Part::Headers => return wrong("has a header that is not \"Hash: …\""),
            Part::Text if line == BEGIN_SIGNATURE => {
                push(&mut parts.signature, line);
                Part::Signature
            }
            Part::Text => {
                let plain = line.strip_prefix("- ").unwrap_or(line);
                if line.starts_with('-') && plain.len() == line.len() {
                    return wrong("has a line that begins with \"-\" and is not escaped");
                }
                push(&mut parts.text, plain.trim_end_matches([' ', '\t']));
                Part::Text
            }
            Part::Signature => {
                push(&mut parts.signature, line);
                match line {
                    END_SIGNATURE => Part::End,
                    line if line.starts_with('-') => return wrong("has a strange line in its signature"),
                    _ => Part::Signature,
                }
            }
            Part::End => return wrong("has text behind its signature, which nobody signed"),
        };
    }
    match part {
        Part::End => Ok(parts),
        _ => Err("is cut off: its signature does not end".to_owned()),
    }
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nOrigin: a \t\n- -b\n\n c\n-----BEGIN PGP SIGNATURE-----\nComment: x\n\nwsB=\n-----END PGP SIGNATURE-----\n";

    #[test]
    fn the_signed_lines_and_the_signature_come_apart() {
        let parts = split(GOOD.as_bytes()).unwrap();
        assert_eq!(parts.text, "Origin: a\n-b\n\n c\n");
        assert_eq!(parts.signature, "-----BEGIN PGP SIGNATURE-----\nComment: x\n\nwsB=\n-----END PGP SIGNATURE-----\n");
    }

    #[test]
    fn what_nobody_signed_is_refused() {
        for bad in [
            String::new(),
            format!("\n{GOOD}"),
            format!("Origin: evil\n{GOOD}"),
            format!("{GOOD}\n"),
            format!("{GOOD}Origin: evil\n"),
            format!("{GOOD}{GOOD}"),
            GOOD.replace("Hash: SHA512", "Origin: evil"),
            GOOD.replace("- -b", "-b"),
            GOOD.replace("wsB=", "-----BEGIN PGP SIGNATURE-----"),
            GOOD.replace('\n', "\r\n"),
            GOOD.replace("Origin", "Orig\0in"),
        ] {
            assert!(split(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_cut_and_no_bytes_make_it_panic_or_pass(end in 0..GOOD.len() - 1, bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(split(GOOD.as_bytes().get(..end).unwrap()).is_err());
            let _ = split(&bytes);
        }
    }
}
