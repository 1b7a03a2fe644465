//! Where the published tree is: a folder, or an address that is read with GET.
//!
//! An address may hold a password; messages name it without. A server may be somebody's who wants to be waited for: it must go on
//! sending, and one that keeps us waiting too often is not asked any more.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use super::VerifyError;
use super::pace::Pace;
use crate::words::date::Span;

/// A published tree, read-only.
pub(super) enum Site {
    Folder(PathBuf),
    Address { url: String, agent: Agent, pace: Pace },
}

/// A published tree for whoever compares it with something else.
pub struct PublishedTree(Site);

impl PublishedTree {
    /// Returns the tree at an http or https address or in a folder.
    ///
    /// # Errors
    /// There is no such folder, or the certificate authorities for https cannot be read.
    pub fn of(location: &str, authorities: Option<&Path>) -> Result<Self, VerifyError> {
        Site::of(location, authorities, PATIENCE).map(Self)
    }

    /// Reads a file of at most so many bytes whole.
    ///
    /// # Errors
    /// Why it cannot be read, as it follows the file's name in a sentence: "is missing".
    pub fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, String> {
        self.0.read(path, limit).map_err(|missing| missing.reason())
    }
}

/// Why a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Missing {
    /// There is no such file.
    Absent,
    /// Nobody knows whether there is one.
    Unreachable(String),
}

impl Missing {
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Absent => "is missing".to_owned(),
            Self::Unreachable(reason) => format!("cannot be fetched: {reason}"),
        }
    }
}

/// How often a request is tried.
const TRIES: u32 = 3;

/// How long a server may say nothing where nobody said otherwise.
const PATIENCE: Span = Span::of_seconds(60);

impl Site {
    /// Takes an address or a folder; `patience` is how long a server may say nothing.
    pub(super) fn of(location: &str, authorities: Option<&Path>, patience: Span) -> Result<Self, VerifyError> {
        if location.starts_with("http://") || location.starts_with("https://") {
            let patience = Duration::from_secs(u64::try_from(patience.seconds()).unwrap_or_default().max(1));
            let agent = agent(authorities, patience).map_err(VerifyError::Https)?;
            let url = location.trim_end_matches('/').to_owned();
            return Ok(Self::Address { url, agent, pace: Pace::new(patience) });
        }
        let path = Path::new(location.strip_prefix("file://").unwrap_or(location));
        let found = path.is_dir().then(|| path.canonicalize().ok()).flatten();
        found.map(Self::Folder).ok_or_else(|| VerifyError::Location { location: without_secret(location) })
    }

    pub(super) fn is_remote(&self) -> bool {
        matches!(self, Self::Address { .. })
    }

    /// Opens a file for reading it once.
    pub(super) fn open(&self, path: &str) -> Result<Box<dyn Read + Send>, Missing> {
        match self {
            Self::Folder(folder) => match File::open(folder.join(path)) {
                Ok(file) if file.metadata().is_ok_and(|metadata| metadata.is_file()) => Ok(Box::new(file)),
                Ok(_) => Err(Missing::Unreachable("it is no file".to_owned())),
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => Err(Missing::Absent),
                Err(fault) => Err(Missing::Unreachable(fault.to_string())),
            },
            Self::Address { url, agent, pace } => {
                let address = format!("{url}/{}", encoded(path));
                let mut fault = Missing::Absent;
                for attempt in 1..=TRIES {
                    if pace.is_over() {
                        return Err(Missing::Unreachable("it was not asked for: the server keeps us waiting".to_owned()));
                    }
                    fault = match agent.get(&address).call() {
                        Ok(answer) => match answer.status().as_u16() {
                            200 => return Ok(Box::new(pace.of(answer.into_body().into_reader()))),
                            404 | 410 => return Err(Missing::Absent),
                            // Some object stores answer so for what is not there.
                            403 => return Err(Missing::Absent),
                            status => Missing::Unreachable(format!("the server answers {status}")),
                        },
                        Err(fault) => {
                            if matches!(fault, ureq::Error::Timeout(_)) {
                                pace.give_up();
                            }
                            Missing::Unreachable(fault.to_string())
                        }
                    };
                    if attempt < TRIES {
                        std::thread::sleep(Duration::from_millis(200) * attempt);
                    }
                }
                Err(fault)
            }
        }
    }

    /// Reads a small file whole.
    pub(super) fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, Missing> {
        let mut bytes = Vec::new();
        let read = self.open(path)?.take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|fault| Missing::Unreachable(fault.to_string()))?;
        if bytes.len() as u64 > limit {
            return Err(Missing::Unreachable(format!("it has more than {limit} bytes")));
        }
        Ok(bytes)
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::Address { url, .. } => f.write_str(&without_secret(url)),
        }
    }
}

fn without_secret(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let (host, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    }
}

/// Percent-encodes what is not unreserved (RFC 3986), `+` among it, as apt does.
fn encoded(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

fn agent(authorities: Option<&Path>, patience: Duration) -> io::Result<Agent> {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(5)
        .timeout_connect(Some(patience))
        .timeout_per_read(Some(patience))
        .timeout_recv_response(Some(patience))
        // What is fetched is hashed as it is stored.
        .accept_encoding("identity")
        .user_agent(concat!("ddb-verify/", env!("CARGO_PKG_VERSION")))
        .tls_config(TlsConfig::builder().root_certs(roots(authorities)?).build())
        .build();
    Ok(config.new_agent())
}

fn roots(authorities: Option<&Path>) -> io::Result<RootCerts> {
    let usual = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"].map(Path::new);
    let Some(file) = authorities.or_else(|| usual.into_iter().find(|path| path.is_file())) else { return Ok(RootCerts::WebPki) };
    let bytes = std::fs::read(file)
        .map_err(|fault| io::Error::new(fault.kind(), format!("certificate authorities in {}: {fault}", file.display())))?;
    let certificates = parse_pem(&bytes).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    Ok(RootCerts::from(certificates))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_encoded_and_lose_their_passwords() {
        assert_eq!(encoded("pool/main/g/g++_1:2~rc1+b1.deb"), "pool/main/g/g%2B%2B_1%3A2~rc1%2Bb1.deb");
        assert_eq!(without_secret("https://user:secret@deb.example.org/x@y"), "https://deb.example.org/x@y");
        assert_eq!(without_secret("public"), "public");
    }
}
