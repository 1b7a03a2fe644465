//! Proofs stapled to a signature: comment lines in the armor of InRelease or Release.gpg, those of each kind of log by a word of its own.
//!
//! ```text
//! Comment: Sigsum-Proof <base64>
//! Comment: Sigstore-Bundle <base64>
//! ```
//!
//! Armor headers are not signed and not looked at by gpgv, sqv and apt (RFC 9580 section 6.2.2), so a signature with a proof is
//! good wherever one without is; and whoever has the signature has the proof, in one file, at one time. The proof needs no
//! signature: it is checked by itself. Lines of one kind belong together in their order, whatever stands between them. They are written
//! kind by kind, before all other headers, so that the same proofs make the same bytes whichever came first.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::sigsum::proof;
use crate::words::archive::LogKind;

const BEGIN: &[u8] = b"-----BEGIN PGP SIGNATURE-----\n";

/// Base64 digits in a line.
const WIDTH: usize = 76;

/// The longest bundle of Sigstore in bytes: 64 KiB of base64. Real ones have 2 to 6 kB, and 3 to 9 kB as comments.
pub const LONGEST_BUNDLE: usize = 48 << 10;

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
    #[error("its comments \"{}\" hold no proof of at most {} bytes", word(*.0), limit(*.0))]
    NoProof(LogKind),
    /// A proof that has no room in comments.
    #[error("a {kind} proof of {bytes} bytes is too long for its comments ({}); say staple = false in [logs.{kind}] of ddb.toml", limit(*kind))]
    TooLong {
        /// The kind of log that it is of.
        kind: LogKind,
        /// Its length in bytes.
        bytes: usize,
    },
}

/// Returns the word that the comments of a kind begin with.
fn word(kind: LogKind) -> &'static str {
    match kind {
        LogKind::Sigsum => "Sigsum-Proof",
        LogKind::Sigstore => "Sigstore-Bundle",
    }
}

/// Returns the longest proof of a kind in bytes.
fn limit(kind: LogKind) -> usize {
    match kind {
        LogKind::Sigsum => proof::LIMIT,
        LogKind::Sigstore => LONGEST_BUNDLE,
    }
}

/// Returns what stands in a header behind the word of a kind, with blanks and the line feed; `None` if it is another header.
fn digits(header: &[u8], kind: LogKind) -> Option<&[u8]> {
    header.strip_prefix(b"Comment: ")?.strip_prefix(word(kind).as_bytes())?.strip_prefix(b" ")
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

/// Returns the text with this proof in the armor of its signature, in the place of one of the same kind that was there. Proofs of
/// other kinds stay.
///
/// # Errors
/// The text has no armored signature, or the proof is too long.
pub fn staple(text: &[u8], kind: LogKind, proof: &[u8]) -> Result<Vec<u8>, StapleError> {
    if proof.len() > limit(kind) {
        return Err(StapleError::TooLong { kind, bytes: proof.len() });
    }
    let (before, headers, rest) = split(text)?;
    let mut stapled = before.to_vec();
    for own in LogKind::ALL {
        if own == kind {
            for chunk in STANDARD.encode(proof).as_bytes().chunks(WIDTH) {
                stapled.extend([b"Comment: ", word(own).as_bytes(), b" ", chunk, b"\n"].concat());
            }
        } else {
            headers.iter().filter(|header| digits(header, own).is_some()).for_each(|header| stapled.extend_from_slice(header));
        }
    }
    for header in headers.into_iter().filter(|header| LogKind::ALL.into_iter().all(|own| digits(header, own).is_none())) {
        stapled.extend_from_slice(header);
    }
    stapled.extend_from_slice(rest);
    Ok(stapled)
}

/// Returns the text without a proof of this kind in the armor of its signature.
///
/// # Errors
/// The text has no armored signature.
pub fn without(text: &[u8], kind: LogKind) -> Result<Vec<u8>, StapleError> {
    staple(text, kind, b"")
}

/// Returns the proof of a kind in the armor of a signature; `None` where there is none. It is foreign: nothing in it was checked.
///
/// # Errors
/// The text has no armored signature, or its comments are no proof.
pub fn stapled(text: &[u8], kind: LogKind) -> Result<Option<Vec<u8>>, StapleError> {
    let (_, headers, _) = split(text)?;
    let chunks: Vec<&[u8]> = headers.iter().filter_map(|header| digits(header, kind)).map(<[u8]>::trim_ascii).collect();
    if chunks.is_empty() {
        return Ok(None);
    }
    let digits = chunks.concat();
    if digits.len() > limit(kind).div_ceil(3) * 4 {
        return Err(StapleError::NoProof(kind));
    }
    let proof = STANDARD.decode(digits).map_err(|_| StapleError::NoProof(kind))?;
    if proof.is_empty() || proof.len() > limit(kind) { Err(StapleError::NoProof(kind)) } else { Ok(Some(proof)) }
}

#[cfg(test)]
mod tests;
