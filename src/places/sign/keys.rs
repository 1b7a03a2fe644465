//! Secret keys: made, read in any form that CI variables and key files have, extended, and written out again.
//!
//! RFC 9580 sections 5.5.3 and 10.1. New keys are what apt of Debian 12 and later accept: version 4, ed25519, a primary key
//! that only certifies and a subkey that signs. Read are armored and binary keys by gpg and sq, and one line of base64. No
//! secret is ever part of an error or of debugging output. Where files lie is decided in the stories.

mod error;
mod forms;
mod validity;

use std::io::Write as _;

use sequoia_openpgp::cert::prelude::*;
use sequoia_openpgp::crypto::mem::Protected;
use sequoia_openpgp::crypto::{KeyPair, Password};
use sequoia_openpgp::packet::Signature;
use sequoia_openpgp::serialize::Serialize as _;
use sequoia_openpgp::{Cert, Packet, Profile, armor};

pub use error::SecretError;

use super::certificate::{self, KEYRING, PublicCertificate};
use crate::words::date::{Span, Timestamp};
use error::crypto;
use forms::{open, plain_forms};
use validity::checked_validity;

/// Longest user ID in bytes.
const USER_ID: usize = 200;

/// Self-signatures that are newer than now by less than this many seconds were made by extending a key several times at once.
const SAME_TIME: i64 = 60;

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
}

#[cfg(test)]
impl SecretKey {
    /// Takes any certificate with secrets.
    pub(crate) fn of(cert: Cert) -> Self {
        Self { cert }
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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
