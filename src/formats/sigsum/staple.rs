//! A proof stapled to a signature: `Comment: Sigsum-Proof <base64>` lines in the armor of InRelease or Release.gpg.
//!
//! Armor headers are not signed and not looked at by gpgv, sqv and apt (RFC 9580 section 6.2.2), so a signature with a proof is
//! good wherever one without is; and whoever has the signature has the proof, in one file, at one time. The proof needs no
//! signature: it is checked by itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::proof::LIMIT;

const BEGIN: &[u8] = b"-----BEGIN PGP SIGNATURE-----\n";
const COMMENT: &[u8] = b"Comment: Sigsum-Proof ";

/// Base64 digits in a line.
const WIDTH: usize = 76;

/// Why a proof cannot be stapled or taken off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StapleError {
    /// There is no armored signature.
    #[error("it has no line \"-----BEGIN PGP SIGNATURE-----\"")]
    NoSignature,
    /// The armor ends among its headers.
    #[error("the armor of its signature is cut off")]
    Cut,
    /// The comments are no base64, or too much of it.
    #[error("its comments \"Sigsum-Proof\" hold no proof of at most {LIMIT} bytes")]
    NoProof,
}

/// The parts of a text with an armored signature: up to the armor's first header, the headers, the rest from the empty line on.
type Parts<'a> = (&'a [u8], Vec<&'a [u8]>, &'a [u8]);

fn split(text: &[u8]) -> Result<Parts<'_>, StapleError> {
    // A line of a cleartext that begins with "-" is escaped, so this line can only begin the signature.
    let at = if text.starts_with(BEGIN) {
        0
    } else {
        memchr::memmem::find(text, &[b"\n", BEGIN].concat()).map(|at| at + 1).ok_or(StapleError::NoSignature)?
    };
    let (before, mut rest) = text.split_at_checked(at + BEGIN.len()).ok_or(StapleError::Cut)?;
    let mut headers = Vec::new();
    loop {
        let end = memchr::memchr(b'\n', rest).ok_or(StapleError::Cut)?;
        let (line, after) = rest.split_at_checked(end + 1).ok_or(StapleError::Cut)?;
        if line.trim_ascii().is_empty() {
            return Ok((before, headers, rest));
        }
        headers.push(line);
        rest = after;
    }
}

/// Returns the text with this proof in the armor of its signature, in the place of one that was there.
///
/// # Errors
/// The text has no armored signature.
pub fn staple(text: &[u8], proof: &[u8]) -> Result<Vec<u8>, StapleError> {
    if proof.len() > LIMIT {
        return Err(StapleError::NoProof);
    }
    let (before, headers, rest) = split(text)?;
    let mut stapled = before.to_vec();
    for chunk in STANDARD.encode(proof).as_bytes().chunks(WIDTH) {
        stapled.extend([COMMENT, chunk, b"\n"].concat());
    }
    for header in headers.into_iter().filter(|header| !header.starts_with(COMMENT)) {
        stapled.extend_from_slice(header);
    }
    stapled.extend_from_slice(rest);
    Ok(stapled)
}

/// Returns the text without a proof in the armor of its signature.
///
/// # Errors
/// The text has no armored signature.
pub fn without(text: &[u8]) -> Result<Vec<u8>, StapleError> {
    staple(text, b"")
}

/// Returns the proof in the armor of a signature; `None` where there is none. It is foreign: nothing in it was checked.
///
/// # Errors
/// The text has no armored signature, or its comments are no proof.
pub fn stapled(text: &[u8]) -> Result<Option<Vec<u8>>, StapleError> {
    let (_, headers, _) = split(text)?;
    let chunks: Vec<&[u8]> = headers.iter().filter_map(|header| header.strip_prefix(COMMENT)).map(<[u8]>::trim_ascii).collect();
    if chunks.is_empty() {
        return Ok(None);
    }
    let digits = chunks.concat();
    if digits.len() > LIMIT / 3 * 4 + 4 {
        return Err(StapleError::NoProof);
    }
    let proof = STANDARD.decode(digits).map_err(|_| StapleError::NoProof)?;
    if proof.is_empty() { Err(StapleError::NoProof) } else { Ok(Some(proof)) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const DETACHED: &[u8] = b"-----BEGIN PGP SIGNATURE-----\n\nwsB=\n-----END PGP SIGNATURE-----\n";
    const IN_RELEASE: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nOrigin: x\n- -----BEGIN PGP SIGNATURE-----\nComment: Sigsum-Proof AAAA\n-----BEGIN PGP SIGNATURE-----\nVersion: y\n\nwsB=\n-----END PGP SIGNATURE-----\n";

    #[test]
    fn what_was_stapled_comes_off_again_and_leaves_the_rest_as_it_was() {
        for text in [DETACHED, IN_RELEASE] {
            assert_eq!(stapled(text), Ok(None));
            let long: Vec<u8> = (0..=255).cycle().take(1500).collect();
            for proof in [b"x".as_slice(), b"version=2\n", &long] {
                let with = staple(text, proof).unwrap();
                assert!(with.split(|byte| *byte == b'\n').all(|line| line.len() <= COMMENT.len() + WIDTH));
                assert_eq!(stapled(&with), Ok(Some(proof.to_vec())));
                assert_eq!(without(&with).unwrap(), text);
                let again = staple(&with, b"other").unwrap();
                assert_eq!(stapled(&again), Ok(Some(b"other".to_vec())));
                assert_eq!(without(&again).unwrap(), text);
            }
        }
    }

    #[test]
    fn nothing_else_is_taken_for_a_proof() {
        for text in [&b""[..], b"x\n", b" -----BEGIN PGP SIGNATURE-----\n\n", b"-----BEGIN PGP SIGNATURE-----"] {
            assert_eq!(stapled(text), Err(StapleError::NoSignature), "{}", String::from_utf8_lossy(text));
        }
        assert_eq!(stapled(b"-----BEGIN PGP SIGNATURE-----\nComment: x\n"), Err(StapleError::Cut));
        for comment in
            ["Comment: Sigsum-Proof \n", "Comment: Sigsum-Proof A\n", "Comment: Sigsum-Proof A===\n", "Comment: Sigsum-Proof !\n"]
        {
            let text = format!("-----BEGIN PGP SIGNATURE-----\n{comment}\nwsB=\n");
            assert_eq!(stapled(text.as_bytes()), Err(StapleError::NoProof), "{comment}");
        }
        let huge = "Comment: Sigsum-Proof AAAA\n".repeat(LIMIT);
        assert_eq!(stapled(format!("-----BEGIN PGP SIGNATURE-----\n{huge}\n").as_bytes()), Err(StapleError::NoProof));
        assert_eq!(staple(DETACHED, &vec![0; LIMIT + 1]), Err(StapleError::NoProof));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), at in 0..80usize) {
            let mut text = DETACHED.to_vec();
            text.splice(at.min(text.len()).., bytes);
            let _ = (stapled(&text), without(&text));
        }
    }
}
