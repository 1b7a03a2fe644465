//! Why nothing could be verified: what it was to be verified against cannot be used.

use std::io;
use std::path::PathBuf;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Neither an address nor a folder was given.
    #[error("say what to verify: an address, a folder, or --lists for what apt fetched")]
    NoLocation,
    /// The location is neither.
    #[error("{location} is neither an http or https address nor a folder")]
    Location {
        /// As it was given.
        location: String,
    },
    /// A keyring cannot be used.
    #[error("the keyring {file} {reason}")]
    Keyring {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The pins of a transparency log cannot be used.
    #[error("{0}")]
    Pins(String),
    /// A file that was given cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The memory of what was seen is not usable.
    #[error("{} is not what verify wrote there ({reason}); look at it, and remove it to begin anew", path.display())]
    Memory {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The memory cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The hook would not work where it is to be installed.
    #[error("{} {reason}", path.display())]
    Install {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The clone of the archive's repository cannot be read.
    #[error("cannot read the repository {}: {reason}", path.display())]
    Repository {
        /// The folder.
        path: PathBuf,
        /// What Git says.
        reason: String,
    },
    /// https cannot be set up.
    #[error("cannot set up https")]
    Https(#[source] io::Error),
}
