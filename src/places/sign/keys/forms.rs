//! The forms in which a secret key is handed over: binary, armored, and base64 in one line as CI variables hold it.

use std::io::Read;

use sequoia_openpgp::armor;
use sequoia_openpgp::crypto::mem::Protected;
use sequoia_openpgp::crypto::{KeyPair, S2K};
use sequoia_openpgp::packet::Key;
use sequoia_openpgp::packet::key::{SecretKeyMaterial, SecretParts, UnspecifiedRole};

use super::{Passphrase, SecretError, crypto};

/// Opens a secret key with the first passphrase that fits.
pub(super) fn open(
    certificate: &str,
    key: &Key<SecretParts, UnspecifiedRole>,
    passphrases: &[Passphrase],
    absent: impl Fn() -> SecretError,
) -> Result<KeyPair, SecretError> {
    if let SecretKeyMaterial::Encrypted(secret) = key.secret() {
        // gpg leaves a stub where a secret was not exported or lies on a card.
        if matches!(secret.s2k(), S2K::Private { .. } | S2K::Unknown { .. }) {
            return Err(absent());
        }
        if passphrases.is_empty() {
            return Err(SecretError::Protected { key: certificate.to_owned() });
        }
        let opened = passphrases.iter().find_map(|passphrase| key.clone().decrypt_secret(&passphrase.0).ok());
        let opened = opened.ok_or_else(|| SecretError::WrongPassphrase { key: certificate.to_owned() })?;
        return opened.into_keypair().map_err(|error| crypto("open the key")(&error));
    }
    key.clone().into_keypair().map_err(|error| crypto("open the key")(&error))
}

/// Returns the keys of a variable or file as binary or armored bytes, without base64 and `\n` around them.
pub(super) fn plain_forms(content: &[u8]) -> Option<Vec<Protected>> {
    let trimmed = content.trim_ascii();
    if content.first().is_some_and(|first| first & 0x80 != 0) {
        return Some(vec![content.to_vec().into()]);
    }
    if memchr::memmem::find(trimmed, b"-----BEGIN PGP ").is_some() {
        return Some(vec![with_line_feeds(trimmed)]);
    }
    let decoded = base64_blocks(trimmed).iter().map(|block| base64(block)).collect::<Option<Vec<_>>>()?;
    Some(decoded.into_iter().map(|bytes| if bytes.starts_with(b"-----BEGIN") { with_line_feeds(&bytes) } else { bytes }).collect())
}

fn with_line_feeds(text: &[u8]) -> Protected {
    let mut out = Vec::with_capacity(text.len() + 1);
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        match (byte, after.split_first()) {
            (b'\\', Some((b'n', after))) => {
                out.push(b'\n');
                rest = after;
            }
            (b'\\', Some((b'r', after))) => rest = after,
            _ => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    out.push(b'\n');
    out.into()
}

/// Joins words up to one that is padded: base64 may be wrapped, and several keys may follow one another.
fn base64_blocks(text: &[u8]) -> Vec<Protected> {
    let mut blocks = Vec::new();
    let mut block = Vec::with_capacity(text.len());
    for word in text.split(u8::is_ascii_whitespace) {
        block.extend_from_slice(word);
        if word.ends_with(b"=") {
            blocks.push(Protected::from(std::mem::replace(&mut block, Vec::with_capacity(text.len()))));
        }
    }
    if !block.is_empty() {
        blocks.push(block.into());
    }
    blocks
}

/// Decodes base64 with the armor reader.
fn base64(block: &[u8]) -> Option<Protected> {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    if !block.iter().all(is_base64) {
        return None;
    }
    let lines = block.chunks(64).collect::<Vec<_>>().join(&b'\n');
    let text = Protected::from([b"-----BEGIN PGP MESSAGE-----\n\n", lines.as_slice(), b"\n-----END PGP MESSAGE-----\n"].concat());
    drop(Protected::from(lines));
    let mut bytes = Vec::with_capacity(text.len());
    let mut reader = armor::Reader::from_bytes(&text, armor::ReaderMode::Tolerant(Some(armor::Kind::Message)));
    reader.read_to_end(&mut bytes).ok().map(|_| bytes.into())
}
