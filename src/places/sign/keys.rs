//! Secret keys: made, read in any form that CI variables and key files have, extended, and written out again.
//!
//! RFC 9580 sections 5.5.3 and 10.1. New keys are what apt of Debian 12 and later accept: version 4, ed25519, a primary key
//! that only certifies and a subkey that signs. Read are armored and binary keys by gpg and sq, and one line of base64. No
//! secret is ever part of an error or of debugging output. Where files lie is decided in the stories.

use std::io::{Read as _, Write as _};

use sequoia_openpgp::armor;
use sequoia_openpgp::cert::prelude::*;
use sequoia_openpgp::crypto::mem::Protected;
use sequoia_openpgp::crypto::{KeyPair, Password, S2K};
use sequoia_openpgp::packet::key::{PublicParts, SecretKeyMaterial, SecretParts, UnspecifiedRole};
use sequoia_openpgp::packet::signature::SignatureBuilder;
use sequoia_openpgp::packet::signature::subpacket::SubpacketTag;
use sequoia_openpgp::packet::{Key, Signature};
use sequoia_openpgp::serialize::Serialize as _;
use sequoia_openpgp::{Cert, Packet, Profile};

use super::certificate::{self, KEYRING, PublicCertificate, Refusal};
use crate::words::date::{Span, Timestamp};

/// Longest user ID in bytes.
const USER_ID: usize = 200;

/// Self-signatures that are newer than now by less than this many seconds were made by extending a key several times at once.
const SAME_TIME: i64 = 60;

/// Why a secret key is of no use.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It is no key.
    #[error("{name} holds neither an armored nor a binary OpenPGP secret key, nor one as a line of base64")]
    Unreadable {
        /// Where it was read.
        name: String,
    },
    /// It is a public key.
    #[error("{name} holds only the public part of {fingerprint}; export the secret part (gpg --export-secret-keys)")]
    OnlyPublic {
        /// Where it was read.
        name: String,
        /// The certificate.
        fingerprint: String,
    },
    /// The part that is needed was left out of the export.
    #[error("the secret part of {key} is not here{}", if *.primary { "; do this where the primary key is kept" } else { "; export it too (gpg --export-secret-subkeys)" })]
    Absent {
        /// The key or subkey.
        key: String,
        /// Whether the primary key is needed.
        primary: bool,
    },
    /// It needs a passphrase.
    #[error("the key {key} is protected by a passphrase, and none was given")]
    Protected {
        /// The certificate.
        key: String,
    },
    /// No passphrase opens it.
    #[error("the given passphrase does not open the key {key}")]
    WrongPassphrase {
        /// The certificate.
        key: String,
    },
    /// It may not sign.
    #[error("the key may not sign: {}{}", .0, remedy(.0))]
    Refused(Refusal),
    /// The user ID is not usable.
    #[error("\"{user_id}\" is no user ID: {reason}")]
    UserId {
        /// As given.
        user_id: String,
        /// Why.
        reason: &'static str,
    },
    /// The expiry is not usable.
    #[error("a key cannot be valid for {validity}: the end must lie after today and before 2106")]
    Validity {
        /// As given.
        validity: Span,
    },
    /// A file with a secret cannot be read or written.
    #[error("cannot {operation} {path}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The library failed.
    #[error("cannot {operation}: {reason}")]
    Crypto {
        /// What was tried.
        operation: &'static str,
        /// What the library says.
        reason: String,
    },
}

fn remedy(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Expired { .. } => "; `ddb-publish key extend` gives it a longer life",
        _ => "",
    }
}

fn crypto(operation: &'static str) -> impl Fn(&dyn std::fmt::Display) -> SecretError {
    move |error| SecretError::Crypto { operation, reason: format!("{error:#}") }
}

/// A passphrase; never shown.
#[derive(Clone)]
pub struct Passphrase(Password);

impl Passphrase {
    /// Takes the content of a file or variable; one line end at its end does not belong to the passphrase.
    pub fn new(content: Vec<u8>) -> Self {
        let content = Protected::from(content);
        let text = content.strip_suffix(b"\n").unwrap_or(&content);
        Self(Password::from(text.strip_suffix(b"\r").unwrap_or(text)))
    }

    /// Returns whether it is empty, which protects nothing.
    pub fn is_empty(&self) -> bool {
        self.0.map(|bytes| bytes.is_empty())
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(<secret>)")
    }
}

/// A secret key in its written form; never shown, and overwritten in memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Protected);

impl SecretText {
    /// Returns the text, for a file or for standard output and nothing else.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretText(<secret>)")
    }
}

/// A certificate with its secrets; only the fingerprint is ever shown.
#[derive(Clone)]
pub struct SecretKey {
    cert: Cert,
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretKey({})", self.cert.fingerprint().to_hex())
    }
}

/// A new key and what revokes it.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// The key.
    pub key: SecretKey,
    /// The armored revocation certificate. Whoever has it can end the key's life, so it is kept like a secret.
    pub revocation: SecretText,
}

impl SecretKey {
    /// Makes a key for a user ID such as `Archive <archive@example.org>`; `None` as validity is for ever.
    ///
    /// # Errors
    /// The user ID or the validity is not usable.
    pub fn generate(user_id: &str, validity: Option<Span>, passphrase: Option<&Passphrase>, now: Timestamp) -> Result<NewKey, SecretError> {
        check_user_id(user_id)?;
        let validity = validity.map(|validity| checked_validity(validity, now, now)).transpose()?;
        let build = || {
            CertBuilder::new()
                .set_creation_time(certificate::system_time(now))
                .set_profile(Profile::RFC4880)?
                .set_cipher_suite(CipherSuite::Cv25519)
                .set_validity_period(validity)
                .set_password(passphrase.filter(|passphrase| !passphrase.is_empty()).map(|passphrase| passphrase.0.clone()))
                .add_userid(user_id)
                .add_signing_subkey()
                .generate()
        };
        let (cert, revocation) = build().map_err(|error| crypto("make a key")(&error))?;
        let revocation = write_revocation(&cert, revocation).map_err(|error| crypto("write a revocation certificate")(&error))?;
        Ok(NewKey { key: Self { cert }, revocation })
    }

    /// Reads all secret keys of a file or variable: armored (also several blocks, also with `\n` for line feeds), binary, or
    /// base64 of either, several as several lines. `name` is for messages.
    ///
    /// # Errors
    /// There is something else than secret keys.
    pub fn read_all(name: &str, content: &[u8]) -> Result<Vec<Self>, SecretError> {
        let unreadable = || SecretError::Unreadable { name: name.to_owned() };
        if content.len() > KEYRING {
            return Err(unreadable());
        }
        let mut certs = Vec::new();
        for part in plain_forms(content).ok_or_else(unreadable)? {
            // What the parser says is left out: it might quote the secret.
            certs.extend(certificate::read_certs(name, &part).map_err(|_| unreadable())?);
        }
        match certs.iter().find(|cert| !cert.is_tsk()) {
            Some(public) => Err(SecretError::OnlyPublic { name: name.to_owned(), fingerprint: public.fingerprint().to_hex() }),
            None if certs.is_empty() => Err(unreadable()),
            None => Ok(certs.into_iter().map(|cert| Self { cert }).collect()),
        }
    }

    /// Returns the certificate without secrets.
    pub fn public(&self) -> PublicCertificate {
        PublicCertificate::of(&self.cert)
    }

    /// Returns the fingerprint of the primary key in upper-case hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        self.cert.fingerprint().to_hex()
    }

    /// Returns this key with what another copy of its certificate knows, such as a later expiry or a revocation;
    /// `None` if that is of another key.
    pub fn with_public(&self, other: &PublicCertificate) -> Option<Self> {
        self.cert.clone().merge_public(other.cert().clone()).ok().map(|cert| Self { cert })
    }

    /// Returns the armored secret key, for a file.
    ///
    /// # Errors
    /// Only what the packet writer says.
    pub fn armored(&self) -> Result<SecretText, SecretError> {
        let write = || {
            let mut writer = armor::Writer::new(Vec::new(), armor::Kind::SecretKey)?;
            writer.write_all(&self.binary()?)?;
            writer.finalize()
        };
        write().map(|bytes| SecretText(bytes.into())).map_err(|error| crypto("write a secret key")(&error))
    }

    /// Returns the secret key as one line of base64 without a line feed, for a masked CI variable.
    ///
    /// # Errors
    /// Only what the packet writer says.
    pub fn one_line(&self) -> Result<SecretText, SecretError> {
        let armored = self.armored()?;
        let lines = armored.0.split(|byte| *byte == b'\n');
        let is_data = |line: &&[u8]| !line.starts_with(b"-") && !line.starts_with(b"=") && !line.contains(&b':');
        Ok(SecretText(lines.filter(is_data).collect::<Vec<_>>().concat().into()))
    }

    fn binary(&self) -> std::io::Result<Protected> {
        let mut bytes = Vec::new();
        self.cert.as_tsk().serialize(&mut bytes).map_err(std::io::Error::other)?;
        Ok(bytes.into())
    }

    /// Returns the newest signing key that is usable now and whose secret is here.
    pub(super) fn signing_pair(&self, passphrases: &[Passphrase], now: Timestamp) -> Result<KeyPair, SecretError> {
        let mut usable = certificate::signing_keys(&self.cert, now).map_err(SecretError::Refused)?;
        usable.sort_by_key(|usable| std::cmp::Reverse(usable.key.creation_time()));
        let mut problem = None;
        for candidate in usable {
            let fingerprint = candidate.key.fingerprint();
            match self.pair(&fingerprint, passphrases) {
                Ok(pair) => return Ok(pair),
                Err(error @ SecretError::Absent { .. }) => problem = problem.or(Some(error)),
                Err(error) => problem = Some(error),
            }
        }
        Err(problem.unwrap_or(SecretError::Absent { key: self.fingerprint(), primary: false }))
    }

    fn pair(&self, fingerprint: &sequoia_openpgp::Fingerprint, passphrases: &[Passphrase]) -> Result<KeyPair, SecretError> {
        let primary = *fingerprint == self.cert.fingerprint();
        let found = self.cert.keys().secret().find(|key| key.key().fingerprint() == *fingerprint);
        let absent = || SecretError::Absent { key: fingerprint.to_hex(), primary };
        open(&self.fingerprint(), found.ok_or_else(absent)?.key(), passphrases, absent)
    }

    /// Returns the key with new self-signatures, by which the primary key and its signing subkeys are valid for this long
    /// from now on (`None` is for ever). Older signatures stay, so that what was signed with them stays valid.
    ///
    /// # Errors
    /// The key is revoked, weak or from the future, its secrets are not here, or no passphrase opens them.
    pub fn extended(&self, validity: Option<Span>, passphrases: &[Passphrase], now: Timestamp) -> Result<Self, SecretError> {
        if let Err(refusal) = certificate::signing_keys(&self.cert, now)
            && !matches!(refusal, Refusal::Expired { .. })
        {
            return Err(SecretError::Refused(refusal));
        }
        let mut primary = self.pair(&self.cert.fingerprint(), passphrases)?;
        let policy = certificate::policy(now);
        let valid = self.cert.with_policy(&policy, certificate::system_time(now)).map_err(|error| crypto("extend the key")(&error))?;
        let mut signatures = extend_primary(&valid, &mut primary, validity, now)?;
        for subkey in worth_extending(&valid, now) {
            let made = later_than(subkey.self_signatures(), now);
            let period = period(validity, subkey.key().creation_time(), now)?;
            // The subkey's own agreement stays in the signature, so that its secret is not needed.
            let mut extend = || {
                SignatureBuilder::from(subkey.binding_signature().clone())
                    .set_signature_creation_time(made)?
                    .set_key_validity_period(period)?
                    .sign_subkey_binding(&mut primary, None, subkey.key())
            };
            signatures.push(extend().map_err(|error| crypto("extend a subkey")(&error))?);
        }
        let packets = signatures.into_iter().map(Packet::from);
        let (cert, _) = self.cert.clone().insert_packets(packets).map_err(|error| crypto("extend the key")(&error))?;
        Ok(Self { cert })
    }
}

#[cfg(test)]
impl SecretKey {
    /// Takes any certificate with secrets.
    pub(crate) fn of(cert: Cert) -> Self {
        Self { cert }
    }
}

/// Returns the signing subkeys that have not expired; where nothing else can sign, the one that expired last.
fn worth_extending<'a>(valid: &ValidCert<'a>, now: Timestamp) -> Vec<ValidSubordinateKeyAmalgamation<'a, PublicParts>> {
    let ends = |subkey: &ValidSubordinateKeyAmalgamation<'a, PublicParts>| {
        subkey.key_expiration_time().map_or(i64::MAX, |end| certificate::timestamp(end).0)
    };
    let mut subkeys: Vec<_> = valid.keys().subkeys().for_signing().revoked(false).collect();
    subkeys.sort_by_key(|subkey| std::cmp::Reverse(ends(subkey)));
    let others = usize::from(!valid.primary_key().for_signing());
    let alive = subkeys.iter().take_while(|subkey| ends(subkey) > now.0).count();
    subkeys.truncate(alive.max(others));
    subkeys
}

/// Makes new self-signatures of the primary key and its user IDs.
fn extend_primary(
    valid: &ValidCert<'_>,
    signer: &mut KeyPair,
    validity: Option<Span>,
    now: Timestamp,
) -> Result<Vec<Signature>, SecretError> {
    let primary = valid.primary_key();
    let period = period(validity, primary.key().creation_time(), now)?;
    let made = later_than(primary.self_signatures().chain(valid.userids().flat_map(|user| user.self_signatures())), now);
    let mut extend = || {
        let mut signatures = Vec::new();
        if let Ok(direct) = valid.direct_key_signature() {
            let builder = SignatureBuilder::from(direct.clone()).set_signature_creation_time(made)?.set_key_validity_period(period)?;
            signatures.push(builder.sign_direct_key(signer, None)?);
        }
        for user in valid.userids().revoked(false) {
            let mut builder = SignatureBuilder::from(user.binding_signature().clone())
                .set_signature_creation_time(made)?
                .set_key_validity_period(period)?;
            if valid.primary_userid().is_ok_and(|first| first.userid() == user.userid()) {
                builder = builder.set_primary_userid(true)?;
            } else {
                builder.hashed_area_mut().remove_all(SubpacketTag::PrimaryUserID);
            }
            signatures.push(builder.sign_userid_binding(signer, primary.key(), user.userid())?);
        }
        Ok(signatures)
    };
    extend().map_err(|error: Box<dyn std::error::Error + Send + Sync>| crypto("extend the key")(&error))
}

/// Returns now, or the second after the newest signature where that was made in this second: the newest one counts.
fn later_than<'a>(signatures: impl Iterator<Item = &'a Signature>, now: Timestamp) -> std::time::SystemTime {
    let times = signatures.filter_map(|signature| signature.signature_creation_time()).map(|time| certificate::timestamp(time).0);
    let newest = times.filter(|time| *time < now.0.saturating_add(SAME_TIME)).max().unwrap_or(i64::MIN);
    certificate::system_time(Timestamp(now.0.max(newest.saturating_add(1))))
}

/// Returns the validity as OpenPGP has it: counted from the key's creation.
fn period(validity: Option<Span>, created: std::time::SystemTime, now: Timestamp) -> Result<Option<std::time::Duration>, SecretError> {
    validity.map(|validity| checked_validity(validity, certificate::timestamp(created), now)).transpose()
}

fn checked_validity(validity: Span, created: Timestamp, now: Timestamp) -> Result<std::time::Duration, SecretError> {
    let end = now.plus(validity).0;
    match u64::try_from(end.saturating_sub(created.0)) {
        Ok(seconds) if validity.seconds() > 0 && end < i64::from(u32::MAX) => Ok(std::time::Duration::from_secs(seconds)),
        _ => Err(SecretError::Validity { validity }),
    }
}

fn check_user_id(user_id: &str) -> Result<(), SecretError> {
    let refuse = |reason| Err(SecretError::UserId { user_id: user_id.chars().take(USER_ID).collect(), reason });
    if user_id.len() > USER_ID {
        return refuse("it is too long");
    }
    if user_id.chars().any(char::is_control) || user_id.trim() != user_id {
        return refuse("it has control characters or blanks around it");
    }
    let address = user_id.split_once(" <").filter(|(name, _)| !name.contains(['<', '>'])).and_then(|(_, rest)| rest.strip_suffix('>'));
    match address.and_then(|address| address.split_once('@')) {
        Some((local, host)) if !local.is_empty() && !host.is_empty() && !host.contains(['@', '<', '>', ' ']) => Ok(()),
        _ => refuse("write it as \"NAME <EMAIL>\""),
    }
}

fn write_revocation(cert: &Cert, revocation: Signature) -> std::io::Result<SecretText> {
    let comment = format!("This revokes the key {}. Import it and publish the key to end its life.", cert.fingerprint().to_hex());
    let mut writer = armor::Writer::with_headers(Vec::new(), armor::Kind::PublicKey, [("Comment", comment.as_str())])?;
    Packet::from(revocation).serialize(&mut writer).map_err(std::io::Error::other)?;
    writer.finalize().map(|bytes| SecretText(bytes.into()))
}

/// Opens a secret key with the first passphrase that fits.
fn open(
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
fn plain_forms(content: &[u8]) -> Option<Vec<Protected>> {
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
