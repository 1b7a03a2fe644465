//! What apt calls in place of gpgv: a Release of an opted-in archive passes only with good proofs stapled to its signature, of Sigsum,
//! of Sigstore or of both.
//!
//! With the package apt-verify, apt calls that, and it calls every program in `/etc/apt/verify.d` with gpgv's arguments, in the
//! order of their names, and stops at the first that fails; gpgv itself is the last. apt 3 conflicts with that package; there a
//! script of our own calls this and then gpgv. What apt hands over is the armored signature, and the text without its last
//! line feed where it came from InRelease. Address and sources stanza are not told, so an archive is recognised by who signed
//! it, or by what Release says. Offline; nothing is written.
//!
//! *Invariant: once an archive is opted in, a signature passes only if it is certain whose it is; gpgv reads more forms of one
//! than are read here, and what only gpgv can read is refused, whichever archive it is of.*

mod config;
mod install;
mod needs;
mod system;

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};

pub use config::HookConfigError;
pub use install::{HookFiles, Installed, Part, install};

use super::issuers::issuers;
use super::release;

/// Why apt must not take a Release.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// The configuration cannot be used, so that it is not known which archives are opted in.
    #[error(transparent)]
    Config(#[from] HookConfigError),
    /// It was not called as gpgv is called.
    #[error("it is called by apt or apt-verify as gpgv is: with a signature and what it signs as last arguments")]
    Arguments,
    /// One of the two cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Who signed cannot be read.
    #[error("cannot tell who signed this Release: its signature {reason}")]
    Signature {
        /// What is wrong.
        reason: String,
    },
    /// An opted-in archive without a good proof.
    #[error(
        "{file} wants {wanted} with each Release of this archive ({matched}), and this one {reason}; do not use it before you know why"
    )]
    Unproven {
        /// The configuration.
        file: String,
        /// The proofs that it needs.
        wanted: String,
        /// By what the archive was recognised.
        matched: String,
        /// What is wrong.
        reason: String,
    },
}

/// What the plugin found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passed {
    /// apt asked what it may ask.
    Options,
    /// No configuration is about this archive.
    NotOptedIn,
    /// The proofs are good; the configurations that asked for them.
    Proven(Vec<String>),
}

/// Looks at what apt-verify hands over: gpgv's arguments. `folder` holds the configuration.
///
/// # Errors
/// apt must not take this Release.
pub fn check(arguments: &[OsString], folder: &Path) -> Result<Passed, HookError> {
    if arguments.iter().any(|argument| argument == "--dump-options") {
        return Ok(Passed::Options);
    }
    let archives = config::read(folder)?;
    if archives.is_empty() {
        return Ok(Passed::NotOptedIn);
    }
    let [.., signature, data] = arguments else { return Err(HookError::Arguments) };
    let (signature, data) = (read(Path::new(signature))?, read(Path::new(data))?);
    let issuers = issuers(&signature).map_err(|reason| HookError::Signature { reason })?;
    let text = String::from_utf8_lossy(&data);
    let mut proven = Vec::new();
    for archive in &archives {
        let Some(matched) = archive.matches(&issuers, &text) else { continue };
        archive.needs.check(&signature, &data).map_err(|reason| HookError::Unproven {
            file: archive.file.clone(),
            wanted: archive.needs.text(),
            matched,
            reason,
        })?;
        proven.push(archive.file.clone());
    }
    Ok(if proven.is_empty() { Passed::NotOptedIn } else { Passed::Proven(proven) })
}

fn read(path: &Path) -> Result<Vec<u8>, HookError> {
    let refuse = |reason: String| HookError::Read { path: path.to_owned(), reason };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|fault| refuse(fault.to_string()))?;
    file.take(release::LIMIT + 1).read_to_end(&mut bytes).map_err(|fault| refuse(fault.to_string()))?;
    if bytes.len() as u64 > release::LIMIT { Err(refuse(format!("it has more than {} bytes", release::LIMIT))) } else { Ok(bytes) }
}
