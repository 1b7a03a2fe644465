//! The ed25519 keys that submit leaves and sign rate-limit tokens: in memory, or in an ssh agent.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};

use crate::formats::openssh::{self, OpenSshError};
use crate::formats::sigsum::{PublicKey, Signature};
use crate::places::credentials::Secret;

/// How long an agent is waited for; some ask their user.
const AGENT: Duration = Duration::from_secs(60);

/// Why a key does not sign.
#[derive(Debug, thiserror::Error)]
pub enum SubmitKeyError {
    /// The secret key cannot be read.
    #[error("{source_name}: {fault}")]
    Secret {
        /// The variable or file that holds it.
        source_name: String,
        /// What is wrong.
        fault: OpenSshError,
    },
    /// It is another key.
    #[error("{source_name} holds the secret part of {found}, and not that of {wanted}")]
    Other {
        /// The variable or file.
        source_name: String,
        /// Its public part.
        found: PublicKey,
        /// The configured one.
        wanted: PublicKey,
    },
    /// The agent fails.
    #[error("the ssh agent at {}: {reason}", path.display())]
    Agent {
        /// Its socket.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
    /// The agent has other keys.
    #[error("the ssh agent at {} does not have the key {wanted}; ssh-add it", path.display())]
    NotInAgent {
        /// Its socket.
        path: PathBuf,
        /// The configured key.
        wanted: PublicKey,
    },
    /// Nobody has the key.
    #[error("there is no secret key; give it in DDB_SIGSUM_KEY, by --sigsum-key-file or by an ssh agent")]
    None,
}

/// Where the secret part of a key is.
#[derive(Debug, Clone, Default)]
pub enum SubmitKey {
    /// In a text: an OpenSSH private key, or the same in base64 as one line; with where it is from.
    Text(String, Secret),
    /// In the agent that listens at this socket.
    Agent(PathBuf),
    /// Nowhere.
    #[default]
    None,
}

impl SubmitKey {
    /// Returns a signature by the secret part of a public key.
    ///
    /// # Errors
    /// See [`SubmitKeyError`].
    pub fn sign(&self, public: &PublicKey, text: &[u8]) -> Result<Signature, SubmitKeyError> {
        match self {
            Self::Text(source_name, secret) => {
                let key = read(source_name, secret)?;
                let found = public_of(&key);
                if found != *public {
                    return Err(SubmitKeyError::Other { source_name: source_name.clone(), found, wanted: *public });
                }
                Ok(Signature::from_bytes(key.sign(text).to_bytes()))
            }
            Self::Agent(path) => {
                let answer = ask(path, &openssh::ask_for_signature(public, text))?;
                let signature = openssh::signature(&answer).map_err(|fault| agent(path, &fault))?;
                if public.signed(text, &signature) { Ok(signature) } else { Err(agent(path, &"its signature does not hold")) }
            }
            Self::None => Err(SubmitKeyError::None),
        }
    }

    /// Tells whether the secret part of a public key is there.
    ///
    /// # Errors
    /// It is not, or cannot be read.
    pub fn has(&self, public: &PublicKey) -> Result<(), SubmitKeyError> {
        match self {
            Self::Agent(path) => {
                let answer = ask(path, &openssh::ask_for_keys())?;
                match openssh::has_key(&answer, public) {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(SubmitKeyError::NotInAgent { path: path.clone(), wanted: *public }),
                    Err(fault) => Err(agent(path, &fault)),
                }
            }
            own => own.sign(public, b"").map(drop),
        }
    }
}

/// Signs a text with a secret key whose public part nobody has named.
///
/// # Errors
/// The key cannot be read.
pub(super) fn sign_with(source_name: &str, secret: &Secret, text: &[u8]) -> Result<Signature, SubmitKeyError> {
    Ok(Signature::from_bytes(read(source_name, secret)?.sign(text).to_bytes()))
}

fn public_of(key: &SigningKey) -> PublicKey {
    PublicKey::from_bytes(key.verifying_key().to_bytes())
}

fn read(source_name: &str, secret: &Secret) -> Result<SigningKey, SubmitKeyError> {
    let text = secret.expose().trim();
    let wrong = |fault| SubmitKeyError::Secret { source_name: source_name.to_owned(), fault };
    if text.starts_with("-----") {
        return openssh::secret_key(text).map_err(wrong);
    }
    // One line, as a forge masks it.
    let no_text = || wrong(OpenSshError::Secret("neither that nor base64 of it".to_owned()));
    let decoded = STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(no_text)?;
    openssh::secret_key(&decoded).map_err(wrong)
}

fn agent(path: &Path, reason: &dyn std::fmt::Display) -> SubmitKeyError {
    SubmitKeyError::Agent { path: path.to_owned(), reason: reason.to_string() }
}

fn ask(path: &Path, question: &[u8]) -> Result<Vec<u8>, SubmitKeyError> {
    let ask = || {
        let mut stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(AGENT))?;
        stream.set_write_timeout(Some(AGENT))?;
        stream.write_all(question)?;
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > openssh::AGENT_ANSWER {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its answer is too large"));
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    };
    ask().map_err(|fault: io::Error| agent(path, &fault))
}
