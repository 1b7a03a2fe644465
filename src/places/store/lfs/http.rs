//! Requests to a Git-LFS server and to the addresses that it names: tried again where that helps, redirected without giving
//! secrets away, counted.
//!
//! An address from an answer may be a secret; messages name its host alone.

use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ureq::http::{Method, Request, Response};
use ureq::tls::TlsConfig;
use ureq::{Agent, Body, SendBody};

use crate::formats::git_lfs::batch::{BatchError, message_of, one_line};
use crate::places::authorities::trusted;
use crate::places::requests::Requests;
use crate::places::store::Source;

/// How long and how often a server is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How often a request is tried.
    pub tries: u32,
    /// The first pause; each later one may be twice as long.
    pub pause: Duration,
    /// The longest pause, also where the server asks for a longer one.
    pub longest_pause: Duration,
    /// How long a server may say nothing.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { tries: 6, pause: Duration::from_millis(250), longest_pause: Duration::from_secs(60), silence: Duration::from_secs(120) }
    }
}

/// What is sent in a request.
#[derive(Clone, Copy)]
pub(super) enum Payload<'a> {
    /// Nothing.
    Nothing,
    /// A text.
    Text(&'a str),
    /// An object of this size.
    Object(Source<'a>, u64),
}

/// One request.
#[derive(Clone)]
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) url: &'a str,
    /// What goes to other hosts too when these answer with a redirect.
    pub(super) headers: Vec<(String, String)>,
    /// What goes to the address's own host only.
    pub(super) own_headers: Vec<(String, String)>,
    pub(super) payload: Payload<'a>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The connection failed at every try.
    #[error("{host} does not answer as it should, {tries} times: {reason}")]
    Connection { host: String, tries: u32, reason: String },
    /// The server answered with an error.
    #[error("{host} answers {status}{said}")]
    Status { host: String, status: u16, said: String },
    /// The server will not transfer one object.
    #[error("{host} answers {code} for this object: {said}")]
    Object { host: String, code: u16, said: String },
    /// The server does not know or trust us.
    #[error("{host} answers 401: it {hint}")]
    Unauthorized { host: String, hint: &'static str },
    /// The answer is not usable.
    #[error("the answer of {host}: {reason}")]
    Answer { host: String, reason: BatchError },
    /// The server asks for a longer pause than we take.
    #[error("{host} answers {status} and asks for {seconds} s of patience; try again later")]
    Later { host: String, status: u16, seconds: u64 },
    /// The server is not who it should be.
    #[error("{host} cannot be trusted ({reason}); SSL_CERT_FILE names other certificate authorities")]
    Certificate { host: String, reason: String },
    /// A redirect that is not followed.
    #[error("{host} redirects {to}")]
    Redirect { host: String, to: String },
    /// An address that is none.
    #[error("{0} is no http or https address")]
    Address(String),
    /// The file to be sent cannot be read.
    #[error("cannot read what is to be sent")]
    Source(#[source] io::Error),
}

impl Fault {
    /// Returns the fault with a question that may help.
    pub(super) fn with_hint(self, hint: &str) -> Self {
        match self {
            Self::Status { host, status, said } => Self::Status { host, status, said: format!("{said}; {hint}") },
            fault => fault,
        }
    }
}

/// How many redirects are followed.
const REDIRECTS: u32 = 5;

/// How much of an answer that is not an object is read.
const ANSWER: u64 = 16 << 20;

pub(super) struct Client {
    agent: Agent,
    patience: Patience,
    reads: AtomicU64,
    writes: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Client {
    pub(super) fn new(authorities: Option<&Path>, patience: Patience) -> io::Result<Self> {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(patience.silence.min(Duration::from_secs(30))))
            .timeout_per_read(Some(patience.silence))
            .timeout_per_write(Some(patience.silence))
            .timeout_recv_response(Some(patience.silence * 3))
            .user_agent(concat!("ddb/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(trusted(authorities)?).build())
            .build()
            .new_agent();
        let zero = || AtomicU64::new(0);
        Ok(Self { agent, patience, reads: zero(), writes: zero(), sent: zero(), received: zero() })
    }

    pub(super) fn patience(&self) -> Patience {
        self.patience
    }

    pub(super) fn requests(&self) -> Requests {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Requests {
            reads: read(&self.reads),
            writes: read(&self.writes),
            bytes_sent: read(&self.sent),
            bytes_received: read(&self.received),
            ..Requests::default()
        }
    }

    pub(super) fn count_received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Sends a request until there is an answer that another try would not change; that may be an error status.
    pub(super) fn send(&self, ask: &Ask<'_>) -> Result<Response<Body>, Fault> {
        let mut attempt = 1;
        loop {
            let (fault, pause) = match self.follow(ask) {
                Ok(answer) if is_passing(answer.status().as_u16()) => {
                    let wanted = retry_after(&answer);
                    let fault = self.refusal(ask.url, answer);
                    if let (Some(seconds), Fault::Status { host, status, .. }) = (wanted, &fault)
                        && Duration::from_secs(seconds) > self.patience.longest_pause
                    {
                        return Err(Fault::Later { host: host.clone(), status: *status, seconds });
                    }
                    (fault, wanted.map(Duration::from_secs))
                }
                Ok(answer) => return Ok(answer),
                Err(Fault::Connection { host, reason, .. }) => (Fault::Connection { host, tries: attempt, reason }, None),
                Err(fault) => return Err(fault),
            };
            if attempt >= self.patience.tries {
                return Err(fault);
            }
            std::thread::sleep(pause.unwrap_or_default() + jitter(self.patience, attempt));
            attempt += 1;
        }
    }

    /// Returns what an answer with an error status says.
    pub(super) fn refusal(&self, url: &str, answer: Response<Body>) -> Fault {
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        // What cannot be read says nothing; the status is enough.
        let _ = answer.into_body().into_reader().take(64 << 10).read_to_end(&mut body);
        let words = message_of(&body).unwrap_or_else(|| {
            let text = String::from_utf8_lossy(&body);
            if text.trim_start().starts_with(['<', '{']) { String::new() } else { one_line(&text) }
        });
        let said = if words.is_empty() { String::new() } else { format!(": {words}") };
        Fault::Status { host: host_of(url), status, said }
    }

    /// Reads an answer that is not an object.
    pub(super) fn read(&self, url: &str, answer: Response<Body>) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        let read = answer.into_body().into_reader().take(ANSWER).read_to_end(&mut bytes);
        read.map_err(|fault| Fault::Connection { host: host_of(url), tries: 1, reason: fault.to_string() })?;
        self.count_received(bytes.len() as u64);
        Ok(bytes)
    }

    fn follow(&self, ask: &Ask<'_>) -> Result<Response<Body>, Fault> {
        let mut url = ask.url.to_owned();
        for _ in 0..=REDIRECTS {
            let own = same_origin(&url, ask.url);
            let answer = self.once(ask, &url, own)?;
            let status = answer.status().as_u16();
            let keeps_method = matches!(status, 307 | 308) || (matches!(status, 301..=303) && ask.method == Method::GET);
            let location = answer.headers().get("location").and_then(|value| value.to_str().ok()).map(str::to_owned);
            let Some(location) = location.filter(|_| matches!(status, 301..=303 | 307 | 308)) else { return Ok(answer) };
            let next = joined(&url, &location);
            let refused = |to: String| Fault::Redirect { host: host_of(&url), to };
            if !keeps_method {
                return Err(refused(format!("with {status} to {}; put that address into ddb.toml if it is the right one", host_of(&next))));
            }
            if url.starts_with("https://") && !next.starts_with("https://") {
                return Err(refused(format!("from https to {}, which is not followed", host_of(&next))));
            }
            url = next;
        }
        Err(Fault::Redirect { host: host_of(&url), to: format!("more than {REDIRECTS} times") })
    }

    fn once(&self, ask: &Ask<'_>, url: &str, own: bool) -> Result<Response<Body>, Fault> {
        let mut builder = Request::builder().method(ask.method.clone()).uri(url);
        for (name, value) in ask.headers.iter().chain(ask.own_headers.iter().filter(|_| own)) {
            builder = builder.header(name.as_str(), value.as_str());
        }
        // The http crate's message repeats the address.
        let wrong = |_| Fault::Address(host_of(url));
        let counter = if ask.method == Method::GET { &self.reads } else { &self.writes };
        counter.fetch_add(1, Ordering::Relaxed);
        let answer = match ask.payload {
            Payload::Nothing => self.agent.run(builder.body(()).map_err(wrong)?),
            Payload::Text(text) => {
                self.sent.fetch_add(text.len() as u64, Ordering::Relaxed);
                self.agent.run(builder.body(text).map_err(wrong)?)
            }
            Payload::Object(source, size) => {
                let chunked = ask.own_headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("transfer-encoding"));
                if !chunked {
                    builder = builder.header("content-length", size);
                }
                let mut reader = source.open().map_err(Fault::Source)?.take(size);
                let answer = self.agent.run(builder.body(SendBody::from_reader(&mut reader)).map_err(wrong)?);
                self.sent.fetch_add(size - reader.limit(), Ordering::Relaxed);
                answer
            }
        };
        answer.map_err(|fault| match fault {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => Fault::Address(host_of(url)),
            fault @ (ureq::Error::Tls(_) | ureq::Error::Rustls(_)) => Fault::Certificate { host: host_of(url), reason: fault.to_string() },
            // The TLS library's refusal comes as an input or output error.
            ureq::Error::Io(fault) if fault.kind() == io::ErrorKind::InvalidData && fault.to_string().contains("certificate") => {
                Fault::Certificate { host: host_of(url), reason: fault.to_string() }
            }
            fault => Fault::Connection { host: host_of(url), tries: 1, reason: fault.to_string() },
        })
    }
}

/// Tells whether another try may get another answer.
fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// Returns how many seconds the server asks to wait; a date counts from the server's own clock.
fn retry_after(answer: &Response<Body>) -> Option<u64> {
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let wanted = header("retry-after")?;
    if let Ok(seconds) = wanted.parse() {
        return Some(seconds);
    }
    let date = |text: &str| chrono::DateTime::parse_from_rfc2822(text).ok();
    let seconds = (date(wanted)? - date(header("date")?)?).num_seconds();
    Some(u64::try_from(seconds).unwrap_or_default())
}

/// Returns a random pause, so that many clients do not come back together.
pub(super) fn jitter(patience: Patience, attempt: u32) -> Duration {
    let limit = patience.pause.saturating_mul(1 << attempt.min(10)).min(patience.longest_pause);
    limit.mul_f64(0.25 + 0.75 * fastrand::f64())
}

/// Returns scheme, host and port: where secrets for this address may go.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(host..).and_then(|rest| rest.find(['/', '?', '#'])).map_or(url.len(), |at| host + at);
    url.get(..end).unwrap_or(url)
}

pub(super) fn same_origin(one: &str, other: &str) -> bool {
    let plain = |url: &str| {
        let origin = origin(url).to_ascii_lowercase();
        let usual = if origin.starts_with("https:") { ":443" } else { ":80" };
        origin.strip_suffix(usual).map(str::to_owned).unwrap_or(origin)
    };
    plain(one) == plain(other)
}

/// Returns scheme, host and port of an address for messages, without user name and password.
pub(super) fn host_of(url: &str) -> String {
    let origin = origin(url);
    match (origin.split_once("://"), origin.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => one_line(origin),
    }
}

fn joined(base: &str, location: &str) -> String {
    if location.contains("://") {
        return location.to_owned();
    }
    if let Some(rest) = location.strip_prefix("//") {
        return format!("{}://{rest}", base.split("://").next().unwrap_or("https"));
    }
    if location.starts_with('/') {
        return format!("{}{location}", origin(base));
    }
    let path = base.split(['?', '#']).next().unwrap_or(base);
    let folder = path.rfind('/').filter(|at| *at >= origin(base).len()).and_then(|at| path.get(..at)).unwrap_or(path);
    format!("{folder}/{location}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_with_scheme_host_and_port() {
        assert!(same_origin("https://A.example/x", "https://a.example:443/y?z"));
        for other in ["http://a.example/", "https://b.example/", "https://a.example:444/", "https://a.example@b.example/"] {
            assert!(!same_origin("https://a.example/", other), "{other}");
        }
        assert_eq!(host_of("https://user:secret@a.example/b?signature=x"), "https://a.example");
    }

    #[test]
    fn relative_redirects_lead_where_they_say() {
        let base = "https://a.example/b/c?d=e";
        assert_eq!(joined(base, "https://x.example/"), "https://x.example/");
        assert_eq!(joined(base, "//x.example/y"), "https://x.example/y");
        assert_eq!(joined(base, "/y"), "https://a.example/y");
        assert_eq!(joined(base, "y"), "https://a.example/b/y");
        assert_eq!(joined("https://a.example", "y"), "https://a.example/y");
    }
}
