//! Single requests to logs: one try, a time limit, small answers, no redirects. Trying again is for those who ask.

use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::TlsConfig;

use crate::places::authorities::trusted;

/// Most bytes of an answer that are read.
const ANSWER: u64 = 256 << 10;

/// Most characters of an answer that are repeated in a message.
const SAID: usize = 200;

/// Asks logs.
pub(crate) struct Http {
    agent: Agent,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Returns status and beginning of the body as one line for messages.
    pub(crate) fn said(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let words: Vec<&str> =
            text.split(|letter: char| letter.is_whitespace() || letter.is_control()).filter(|word| !word.is_empty()).collect();
        let line: String = words.join(" ").chars().take(SAID).collect();
        if line.is_empty() { format!("status {}", self.status) } else { format!("status {}: {line}", self.status) }
    }
}

impl Http {
    /// Trusts the certificate authorities of this file, else the machine's.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn new(authorities: Option<&Path>) -> io::Result<Self> {
        Self::following(authorities, 0)
    }

    /// The same, going on to another address as often as this where a server says so.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn following(authorities: Option<&Path>, redirects: u32) -> io::Result<Self> {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(redirects)
            .max_redirects_will_error(false)
            .user_agent(concat!("ddb/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(trusted(authorities)?).build())
            .build()
            .new_agent();
        Ok(Self { agent })
    }

    /// Reads what is at an address.
    ///
    /// # Errors
    /// There is no answer in time; the text says why.
    pub(crate) fn get(&self, url: &str, within: Duration) -> Result<Answer, String> {
        self.get_up_to(url, within, ANSWER)
    }

    /// The same, saying more.
    ///
    /// # Errors
    /// There is no answer in time; the text says why.
    pub(crate) fn get_with(&self, url: &str, headers: &[(&str, String)], within: Duration) -> Result<Answer, String> {
        let mut request = self.agent.get(url);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        read(request.config().timeout_global(Some(within)).build().call(), ANSWER)
    }

    /// The same, where an answer may have so many bytes.
    ///
    /// # Errors
    /// There is no answer in time; the text says why.
    pub(crate) fn get_up_to(&self, url: &str, within: Duration, limit: u64) -> Result<Answer, String> {
        let answer = self.agent.get(url).config().timeout_global(Some(within)).build().call();
        read(answer, limit)
    }

    /// Sends a body to an address.
    ///
    /// # Errors
    /// There is no answer in time; the text says why.
    pub(crate) fn post(&self, url: &str, headers: &[(&str, &str)], body: &[u8], within: Duration) -> Result<Answer, String> {
        let mut request = self.agent.post(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request.config().timeout_global(Some(within)).build().send(body), ANSWER)
    }
}

fn read(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>, limit: u64) -> Result<Answer, String> {
    let answer = answer.map_err(|fault| fault.to_string())?;
    let status = answer.status().as_u16();
    let mut body = Vec::new();
    answer.into_body().into_reader().take(limit + 1).read_to_end(&mut body).map_err(|fault| fault.to_string())?;
    if body.len() as u64 > limit { Err(format!("the answer is larger than {limit} bytes")) } else { Ok(Answer { status, body }) }
}
