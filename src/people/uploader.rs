//! The uploader's secret key, for commands that sign what they say: from a variable or a file, never from an argument.

use std::path::PathBuf;

use clap::Args;

use super::environment;
use super::exit::Exit;
use super::failure::Failure;
use crate::places::sign::keys::Passphrase;
use crate::places::sign::seal::Sealer;
use crate::words::date::Timestamp;

const KEY_VARIABLE: &str = "DDB_UPLOADER_KEY";
const PASSPHRASE_VARIABLE: &str = "DDB_UPLOADER_KEY_PASSPHRASE";

/// Where the uploader's secret key is.
#[derive(Debug, Clone, Args)]
pub struct UploaderKey {
    /// File with the uploader's secret OpenPGP key; DDB_UPLOADER_KEY goes before it
    #[arg(long, value_name = "FILE")]
    uploader_key_file: Option<PathBuf>,
    /// File with the passphrase of the uploader's key; DDB_UPLOADER_KEY_PASSPHRASE goes before it
    #[arg(long, value_name = "FILE")]
    uploader_passphrase_file: Option<PathBuf>,
}

impl UploaderKey {
    /// Returns who seals, `None` where no key is given.
    ///
    /// # Errors
    /// A file cannot be read, or the key is not usable.
    pub fn sealer(&self, now: Timestamp) -> Result<Option<Sealer>, Failure> {
        let passphrase = match (environment::variable(PASSPHRASE_VARIABLE), &self.uploader_passphrase_file) {
            (Some(text), _) => Some(text.into_bytes()),
            (None, Some(file)) => Some(
                std::fs::read(file)
                    .map_err(|fault| Failure::usage(&format!("cannot read --uploader-passphrase-file {}: {fault}", file.display())))?,
            ),
            (None, None) => None,
        };
        let variable = environment::variable(KEY_VARIABLE);
        let variable = variable.as_ref().map(|text| (KEY_VARIABLE, text.as_bytes()));
        let passphrases: Vec<Passphrase> =
            passphrase.map(Passphrase::new).into_iter().filter(|passphrase| !passphrase.is_empty()).collect();
        Sealer::read(variable, self.uploader_key_file.as_deref(), &passphrases, now)
            .map_err(|error| Failure::new(&error, Exit::Key, Vec::new()))
    }
}
