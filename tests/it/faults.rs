//! A proxy before an S3 server that breaks what a test tells it to break, and writes down every request.
//!
//! Clients use its address as endpoint; the `Host` header that they sign is passed on as it is. One connection for each request.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::seaweed::{READER, WRITER};

mod signature;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed before the server sees the request.
    Drop,
    /// The server does what it is asked, and the connection is closed without an answer.
    LoseAnswer,
    /// The server sees nothing; this status and S3 error code are the answer.
    Status(u16, &'static str),
    /// The request waits before it goes on.
    Delay(Duration),
    /// The answer's body ends after so many bytes, and the connection is closed.
    CutAnswer(usize),
    /// The server gets so many bytes of the request's body, then both connections are closed.
    CutRequest(usize),
    /// `If-Match` and `If-None-Match` are taken away and the request signed anew, as for a server that knows no conditions.
    IgnoreConditions,
    /// No answer comes and the connection stays open.
    Hang,
}

/// What happens to some requests.
#[derive(Debug, Clone)]
struct Rule {
    method: String,
    path: String,
    skip: usize,
    times: usize,
    fault: Fault,
}

/// A request that came, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    pub method: String,
    /// Path and query as they were sent.
    pub path: String,
    /// The status that the client got, `None` where it got no whole head.
    pub status: Option<u16>,
    pub fault: Option<Fault>,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    log: Vec<Logged>,
    under_way: usize,
}

/// A running proxy; it ends with the process.
pub struct Faults {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Faults {
    /// A proxy before this endpoint (`http://127.0.0.1:<port>`). Without rules it passes everything on.
    pub fn before(endpoint: &str) -> Self {
        let server = endpoint.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), shared, server) = (client, Arc::clone(&shared), server.clone()) else { return };
                std::thread::spawn(move || {
                    shared.lock().unwrap().under_way += 1;
                    let _ = pass(&client, &server, &shared);
                    shared.lock().unwrap().under_way -= 1;
                });
            }
        });
        Self { port, state }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Lets the first `times` requests of this method ("" is any) whose path or query holds this text fail, after `skip` that
    /// pass. The rule added first wins.
    pub fn add(&self, method: &str, path: &str, skip: usize, times: usize, fault: Fault) -> &Self {
        let rule = Rule { method: method.to_owned(), path: path.to_owned(), skip, times, fault };
        self.state.lock().unwrap().rules.push(rule);
        self
    }

    /// Lets all of them fail.
    pub fn always(&self, method: &str, path: &str, fault: Fault) -> &Self {
        self.add(method, path, 0, usize::MAX, fault)
    }

    /// Passes everything on again.
    pub fn heal(&self) -> &Self {
        self.state.lock().unwrap().rules.clear();
        self
    }

    /// Waits until no request is under way, also none that its client has given up.
    pub fn wait_until_quiet(&self) {
        while self.state.lock().unwrap().under_way > 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until a request is held up.
    pub fn wait_until_held_up(&self) {
        let mut seen = 0;
        while seen < 10 {
            seen = if self.state.lock().unwrap().under_way > 0 { seen + 1 } else { 0 };
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Tells whether a fault happened since `log` was called.
    pub fn hit(&self) -> bool {
        self.state.lock().unwrap().log.iter().any(|logged| logged.fault.is_some())
    }

    /// Returns the requests since the last call.
    pub fn log(&self) -> Vec<Logged> {
        std::mem::take(&mut self.state.lock().unwrap().log)
    }
}

impl State {
    fn fault(&mut self, method: &str, path: &str) -> Option<Fault> {
        let matches = |rule: &&mut Rule| (rule.method.is_empty() || rule.method == method) && path.contains(&rule.path) && rule.times > 0;
        for rule in self.rules.iter_mut().filter(|rule| matches(rule)) {
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            rule.times -= usize::from(rule.times != usize::MAX);
            return Some(rule.fault);
        }
        None
    }
}

fn pass(client: &TcpStream, server: &str, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        match line.trim_end() {
            "" => break,
            text => lines.push(text.to_owned()),
        }
    }
    let mut words = lines[0].split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let mut headers: Vec<(String, String)> = lines[1..]
        .iter()
        .map(|line| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).unwrap())
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let fault = state.lock().unwrap().fault(&method, &path);
    let end = |status| state.lock().unwrap().log.push(Logged { method: method.clone(), path: path.clone(), status, fault });

    let wanted = if let Some(Fault::CutRequest(most)) = fault { most.min(length) } else { length };
    if fault == Some(Fault::Drop) {
        end(None);
        return client.shutdown(Shutdown::Both);
    }
    if headers.iter().any(|(name, value)| name == "expect" && value.eq_ignore_ascii_case("100-continue")) {
        (&*client).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        headers.retain(|(name, _)| name != "expect");
    }
    let mut body = vec![0; wanted];
    reader.read_exact(&mut body)?;
    match fault {
        Some(Fault::Status(status, code)) => {
            end(Some(status));
            return refuse(client, &method, status, code);
        }
        Some(Fault::Hang) => {
            end(None);
            return reader.read(&mut [0]).map(drop);
        }
        Some(Fault::Delay(time)) => std::thread::sleep(time),
        Some(Fault::IgnoreConditions) => signature::without_conditions(&method, &path, &mut headers, &[WRITER, READER]),
        _ => {}
    }
    let Ok(mut upstream) = TcpStream::connect(server) else {
        end(None);
        return client.shutdown(Shutdown::Both);
    };
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    for (name, value) in headers.iter().filter(|(name, _)| name != "connection") {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    upstream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes())?;
    upstream.write_all(&body)?;
    if wanted < length {
        upstream.shutdown(Shutdown::Both)?;
        end(None);
        return client.shutdown(Shutdown::Both);
    }
    let mut answer = BufReader::new(upstream);
    let head = answer_head(&mut answer)?;
    if fault == Some(Fault::LoseAnswer) {
        std::io::copy(&mut answer, &mut std::io::sink())?;
        end(None);
        return client.shutdown(Shutdown::Both);
    }
    end(head.split(' ').nth(1).and_then(|status| status.parse().ok()));
    (&*client).write_all(head.as_bytes())?;
    match fault {
        Some(Fault::CutAnswer(most)) => std::io::copy(&mut answer.take(most as u64), &mut &*client)?,
        _ => std::io::copy(&mut answer, &mut &*client)?,
    };
    client.shutdown(Shutdown::Both)
}

/// Reads the head of the answer, after any that only says to go on.
fn answer_head(answer: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut head = String::new();
    loop {
        let before = head.len();
        if answer.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if head.len() - before == 2 {
            if !head.starts_with("HTTP/1.1 100") {
                return Ok(head);
            }
            head.clear();
        }
    }
}

fn refuse(mut client: &TcpStream, method: &str, status: u16, code: &str) -> std::io::Result<()> {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>told to fail</Message></Error>");
    let shown = if method == "HEAD" { "" } else { &body };
    let head =
        format!("HTTP/1.1 {status} Told\r\ncontent-type: application/xml\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    client.write_all(format!("{head}{shown}").as_bytes())?;
    client.shutdown(Shutdown::Both)
}
