//! Ed25519 keys as OpenSSH has them in files, and the two questions that ddb asks an agent.
//!
//! PROTOCOL.key of OpenSSH for files; RFC 4251 section 5 for strings; draft-ietf-sshm-ssh-agent for the agent: a request and an answer
//! are a length and as many bytes, of which the first is the kind. Nothing is connected to here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;

use super::sigsum::{PublicKey, Signature};

const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";

/// The name of the only algorithm.
const ED25519: &str = "ssh-ed25519";

/// Largest answer of an agent in bytes, as OpenSSH has it.
pub const AGENT_ANSWER: usize = 256 << 10;

const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGNED: u8 = 14;

/// Why a text is no key, or an answer is not usable. No message repeats a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenSshError {
    /// Not a public key.
    #[error("it is not the line of an OpenSSH public key (\"ssh-ed25519 AAAA…\"): {0}")]
    Public(String),
    /// Not a secret key.
    #[error("it is no OpenSSH private key (\"-----BEGIN OPENSSH PRIVATE KEY-----\"): {0}")]
    Secret(String),
    /// A key of another algorithm.
    #[error("it is a key of type {0}; ssh-ed25519 is needed (ssh-keygen -t ed25519)")]
    Algorithm(String),
    /// A key with a passphrase.
    #[error("it is protected by a passphrase; give the key to an agent (ssh-add), or use one without a passphrase")]
    Protected,
    /// The agent's answer.
    #[error("the agent's answer cannot be read")]
    Answer,
    /// The agent does not sign.
    #[error("the agent refuses to sign with this key")]
    Refused,
}

/// Reads the line of a public key file.
///
/// # Errors
/// It is something else, or of another algorithm.
pub fn public_key(text: &str) -> Result<PublicKey, OpenSshError> {
    let read = ssh_key::PublicKey::from_openssh(text.trim()).map_err(|fault| OpenSshError::Public(fault.to_string()))?;
    let key = read.key_data().ed25519().ok_or_else(|| OpenSshError::Algorithm(read.algorithm().to_string()))?;
    Ok(PublicKey::from_bytes(key.0))
}

/// Reads a secret key file. The key is overwritten when it is dropped.
///
/// # Errors
/// It is something else, of another algorithm, or protected.
pub fn secret_key(text: &str) -> Result<SigningKey, OpenSshError> {
    let wrong = |fault: &dyn std::fmt::Display| OpenSshError::Secret(fault.to_string());
    // Lines may be of any length: ssh-keygen's have 70 digits, sigsum-key's 64.
    let inner = text
        .trim()
        .strip_prefix(BEGIN)
        .and_then(|rest| rest.strip_suffix(END))
        .ok_or_else(|| wrong(&"its first or last line is missing"))?;
    let digits: Vec<u8> = inner.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let blob = STANDARD.decode(digits).map_err(|fault| wrong(&fault))?;
    let read = ssh_key::PrivateKey::from_bytes(&blob).map_err(|fault| wrong(&fault))?;
    if read.is_encrypted() {
        return Err(OpenSshError::Protected);
    }
    let pair = read.key_data().ed25519().ok_or_else(|| OpenSshError::Algorithm(read.algorithm().to_string()))?;
    let key = SigningKey::from_bytes(pair.private.as_ref());
    if key.verifying_key().to_bytes() != pair.public.0 {
        return Err(OpenSshError::Secret("its public and secret parts do not belong together".to_owned()));
    }
    Ok(key)
}

/// Returns a public key as a line of a file.
pub fn public_line(key: &PublicKey, comment: &str) -> String {
    let blob = STANDARD.encode(blob(key));
    format!("{ED25519} {blob} {comment}").trim_end().to_owned() + "\n"
}

/// Returns the question which keys an agent has.
pub fn ask_for_keys() -> Vec<u8> {
    message(&[REQUEST_IDENTITIES])
}

/// Returns the question for a signature over a text.
pub fn ask_for_signature(key: &PublicKey, text: &[u8]) -> Vec<u8> {
    let flags = 0u32.to_be_bytes();
    message(&[&[SIGN_REQUEST], string(&blob(key)).as_slice(), &string(text), &flags].concat())
}

/// Tells from the answer (without its length) whether an agent has a key.
///
/// # Errors
/// It is no answer to that question.
pub fn has_key(answer: &[u8], key: &PublicKey) -> Result<bool, OpenSshError> {
    let mut reader = Reader(answer);
    if reader.take(1)? != [IDENTITIES] {
        return Err(OpenSshError::Answer);
    }
    let wanted = blob(key);
    for _ in 0..reader.number()? {
        let found = reader.string()? == wanted;
        reader.string()?;
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads the signature out of the answer (without its length).
///
/// # Errors
/// The agent refused, or it is no answer to that question.
pub fn signature(answer: &[u8]) -> Result<Signature, OpenSshError> {
    let mut reader = Reader(answer);
    if reader.take(1)? != [SIGNED] {
        return Err(OpenSshError::Refused);
    }
    let mut inner = Reader(reader.string()?);
    if inner.string()? != ED25519.as_bytes() {
        return Err(OpenSshError::Answer);
    }
    inner.string()?.try_into().map(Signature::from_bytes).map_err(|_| OpenSshError::Answer)
}

fn blob(key: &PublicKey) -> Vec<u8> {
    [string(ED25519.as_bytes()), string(key.as_bytes())].concat()
}

/// Returns a string of RFC 4251: its length, and its bytes.
pub(super) fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [length.to_be_bytes().as_slice(), bytes].concat()
}

fn message(content: &[u8]) -> Vec<u8> {
    string(content)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], OpenSshError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(OpenSshError::Answer)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u32, OpenSshError> {
        self.take(4)?.try_into().map(u32::from_be_bytes).map_err(|_| OpenSshError::Answer)
    }

    fn string(&mut self) -> Result<&'a [u8], OpenSshError> {
        let length = usize::try_from(self.number()?).map_err(|_| OpenSshError::Answer)?;
        self.take(length)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn key() -> PublicKey {
        PublicKey::from_bytes(SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes())
    }

    #[test]
    fn a_public_key_is_one_line() {
        let line = public_line(&key(), "who");
        assert!(line.starts_with("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI") && line.ends_with(" who\n"), "{line}");
        assert_eq!(public_key(&line), Ok(key()));
        let rsa = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAQQC7 x";
        for text in ["", "ssh-ed25519", "ssh-ed25519 AAAA", &line.replace("ssh-ed25519", "ssh-rsa"), rsa] {
            assert!(public_key(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_agent_is_asked_and_understood() {
        let ask = ask_for_signature(&key(), b"text");
        assert_eq!(usize::try_from(u32::from_be_bytes(ask[..4].try_into().unwrap())).unwrap(), ask.len() - 4);
        let identity = [string(&blob(&key())), string(b"comment")].concat();
        let two = [&[IDENTITIES, 0, 0, 0, 2], string(b"other").as_slice(), &string(b"c"), &identity].concat();
        assert_eq!(has_key(&two, &key()), Ok(true));
        assert_eq!(has_key(&two, &PublicKey::from_bytes([1; 32])), Ok(false));
        let signed = [&[SIGNED], string(&[string(ED25519.as_bytes()), string(&[9; 64])].concat()).as_slice()].concat();
        assert_eq!(signature(&signed), Ok(Signature::from_bytes([9; 64])));
        assert_eq!(signature(&[5]), Err(OpenSshError::Refused));
        for cut in 0..signed.len() {
            assert!(signature(&signed[..cut]).is_err());
        }
        for cut in 0..two.len() - string(b"comment").len() {
            assert_ne!(has_key(&two[..cut], &key()), Ok(true));
        }
        assert_eq!(has_key(&[IDENTITIES, 255, 255, 255, 255, 255, 255, 255, 255], &key()), Err(OpenSshError::Answer));
    }

    proptest::proptest! {
        #[test]
        fn no_answer_is_too_odd(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..80), kind in 11u8..15) {
            let _ = (has_key(&bytes, &key()), signature(&bytes));
            bytes.insert(0, kind);
            let _ = (has_key(&bytes, &key()), signature(&bytes));
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let _ = (public_key(&text), secret_key(&text).is_ok());
        }
    }
}
