//! Secrets from the environment: given once when a program starts, sent to the servers that they are for, never printed.

use std::fmt;
use std::path::PathBuf;
use std::sync::OnceLock;

/// A text that is in no message, log or `Debug` form.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Returns the secret of this text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns the text, to be sent and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// What the environment gave.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// The token for `store.lfs`: a token, or `user:token`.
    pub lfs_token: Option<Secret>,
    /// The token for the Git remote, in the same form; it is used for `store.lfs` on the same host too.
    pub git_token: Option<Secret>,
    /// The file of certificate authorities to trust instead of the machine's.
    pub authorities: Option<PathBuf>,
}

static GIVEN: OnceLock<Credentials> = OnceLock::new();

/// Gives the program its credentials; a second time changes nothing.
pub fn give(credentials: Credentials) {
    let _ = GIVEN.set(credentials);
}

/// Returns what was given.
pub fn given() -> Credentials {
    GIVEN.get().cloned().unwrap_or_default()
}
