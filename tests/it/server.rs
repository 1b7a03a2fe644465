//! A web server for a published tree: what clients asked for is written down, and answers can be changed on the way, also to
//! what only somebody sends who means ill: without an end, byte by byte, from elsewhere.
//!
//! Just enough of HTTP/1.1 for apt: GET, kept connections, pipelined requests, percent-encoded paths.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Serves a folder on a free port of the loopback interface for as long as the test runs.
pub struct Server {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    root: PathBuf,
    changed: BTreeMap<String, Answer>,
    log: Vec<(String, u16)>,
}

/// What is answered in the place of a file.
#[derive(Debug, Clone)]
pub enum Answer {
    /// These bytes.
    Bytes(Vec<u8>),
    /// That there is no such file.
    Absent,
    /// Bytes without an end.
    Endless,
    /// The file's bytes, five a second.
    Drip,
    /// The first bytes of the file; then the connection is closed.
    Cut(usize),
    /// Another address.
    Redirect(String),
}

impl Server {
    /// Serves this folder, which need not exist yet.
    pub fn of(root: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State { root: root.to_owned(), ..State::default() }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), shared) = (stream, Arc::clone(&shared)) else { return };
                // A client that hangs up in the middle is the client's business.
                std::thread::spawn(move || drop(answer_all(&stream, &shared)));
            }
        });
        Self { port, state }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Answers with these bytes instead of the file's.
    pub fn change(&self, path: &str, bytes: Vec<u8>) {
        self.answer(path, Answer::Bytes(bytes));
    }

    /// Answers with this instead of the file's bytes.
    pub fn answer(&self, path: &str, answer: Answer) {
        self.state.lock().unwrap().changed.insert(path.to_owned(), answer);
    }

    /// Answers as if there were no such file.
    pub fn hide(&self, path: &str) {
        self.answer(path, Answer::Absent);
    }

    /// Answers with what is in the folder again.
    pub fn change_nothing(&self) {
        self.state.lock().unwrap().changed.clear();
    }

    /// Returns what was asked for since the last call, with the status of the answer.
    pub fn take_log(&self) -> Vec<(String, u16)> {
        std::mem::take(&mut self.state.lock().unwrap().log)
    }

    /// Returns the paths of `take_log` that were found.
    pub fn take_served(&self) -> Vec<String> {
        self.take_log().into_iter().filter(|(_, status)| *status == 200).map(|(path, _)| path).collect()
    }
}

fn answer_all(stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut requests = BufReader::new(stream).lines();
    while let Some(first) = requests.next().transpose()? {
        // Header fields up to the empty line say nothing that matters here.
        for line in requests.by_ref() {
            if line?.is_empty() {
                break;
            }
        }
        let path = decode(first.split(' ').nth(1).unwrap_or_default().trim_start_matches('/'));
        let (answer, file) = state.lock().unwrap().find(&path);
        let status = match &answer {
            Answer::Absent => 404,
            Answer::Redirect(_) => 302,
            _ => 200,
        };
        state.lock().unwrap().log.push((path, status));
        if !send(stream, answer, file)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Sends an answer; tells whether the connection is of use afterwards.
fn send(mut stream: &TcpStream, answer: Answer, file: Vec<u8>) -> std::io::Result<bool> {
    let head = |status: &str, length: usize| format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n");
    match answer {
        Answer::Bytes(body) => {
            stream.write_all(&[format!("{}\r\n", head("200 OK", body.len())).as_bytes(), &body].concat())?;
            Ok(true)
        }
        Answer::Absent => stream.write_all(format!("{}\r\n", head("404 Not Found", 0)).as_bytes()).map(|()| true),
        Answer::Redirect(to) => stream.write_all(format!("{}Location: {to}\r\n\r\n", head("302 Found", 0)).as_bytes()).map(|()| true),
        Answer::Cut(length) => {
            stream.write_all(&[format!("{}\r\n", head("200 OK", file.len())).as_bytes(), &file[..length]].concat())?;
            Ok(false)
        }
        Answer::Drip => {
            stream.write_all(format!("{}\r\n", head("200 OK", file.len())).as_bytes())?;
            for byte in file {
                std::thread::sleep(std::time::Duration::from_millis(200));
                stream.write_all(&[byte])?;
            }
            Ok(true)
        }
        Answer::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            stream.write_all(&file)?;
            loop {
                stream.write_all(&[b'\n'; 1 << 16])?;
            }
        }
    }
}

impl State {
    /// Returns what is answered, and the file's own bytes.
    fn find(&self, path: &str) -> (Answer, Vec<u8>) {
        let outside = path.split('/').any(|part| part == "..");
        let file = if outside { None } else { std::fs::read(self.root.join(path)).ok() };
        let answer = match (self.changed.get(path), &file) {
            (Some(changed), _) => changed.clone(),
            (None, Some(file)) => Answer::Bytes(file.clone()),
            (None, None) => Answer::Absent,
        };
        (answer, file.unwrap_or_default())
    }
}

fn decode(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(hex.unwrap_or(*first));
        rest = if hex.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap()
}
