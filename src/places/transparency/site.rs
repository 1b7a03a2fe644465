//! What clients of an archive get: single small files of a published tree, from an address or a folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::LogError;
use super::http::Http;
use crate::places::kept;

/// Longest time for one file.
const REQUEST: Duration = Duration::from_secs(60);

/// How often a server that does not answer is asked.
const TRIES: u32 = 3;

/// How often it is gone on to another address.
const REDIRECTS: u32 = 5;

/// A published tree.
pub enum Site {
    /// A folder.
    Folder(PathBuf),
    /// An address, read with GET.
    Address {
        /// What stands before `dists/`.
        url: String,
        /// Who asks.
        http: Box<SiteClient>,
    },
}

/// Asks web servers.
pub struct SiteClient(Http);

impl Site {
    /// Takes an address (http or https) or a folder. Certificate authorities are those of this file, else the machine's.
    ///
    /// # Errors
    /// The certificate authorities cannot be read.
    pub fn of(location: &str, authorities: Option<&Path>) -> Result<Self, LogError> {
        if !location.starts_with("http://") && !location.starts_with("https://") {
            return Ok(Self::Folder(PathBuf::from(location.strip_prefix("file://").unwrap_or(location))));
        }
        let failed = |fault: std::io::Error| LogError::Settings { file: "SSL_CERT_FILE".to_owned(), problem: fault.to_string() };
        let http = Box::new(SiteClient(Http::following(authorities, REDIRECTS).map_err(failed)?));
        Ok(Self::Address { url: location.trim_end_matches('/').to_owned(), http })
    }

    /// Returns the address without user name and password, or the folder.
    pub fn name(&self) -> String {
        match self {
            Self::Folder(path) => path.display().to_string(),
            Self::Address { url, .. } => crate::places::git::remote::without_secrets(url),
        }
    }

    /// Reads a file of at most so many bytes; `None` where there is none.
    ///
    /// # Errors
    /// Nobody knows whether there is one; the text says why.
    pub fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, String> {
        match self {
            Self::Folder(folder) if !folder.is_dir() => Err(format!("{} is no folder", folder.display())),
            Self::Folder(folder) => kept::read(&folder.join(path), limit).map_err(|fault| fault.to_string()),
            Self::Address { url, http } => fetched(&http.0, &format!("{url}/{path}"), limit),
        }
    }
}

fn fetched(http: &Http, url: &str, limit: u64) -> Result<Option<Vec<u8>>, String> {
    let mut said = String::new();
    for attempt in 1..=TRIES {
        said = match http.get_up_to(url, REQUEST, limit) {
            Ok(answer) => match answer.status {
                200 => return Ok(Some(answer.body)),
                // Some object stores answer 403 for what is not there.
                403 | 404 | 410 => return Ok(None),
                _ => answer.said(),
            },
            Err(fault) => fault,
        };
        if attempt < TRIES {
            std::thread::sleep(Duration::from_millis(200) * attempt);
        }
    }
    Err(said)
}
