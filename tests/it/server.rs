//! A web server for a published tree: what clients asked for is written down, and answers can be changed on the way.
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
    changed: BTreeMap<String, Option<Vec<u8>>>,
    log: Vec<(String, u16)>,
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
        self.state.lock().unwrap().changed.insert(path.to_owned(), Some(bytes));
    }

    /// Answers as if there were no such file.
    pub fn hide(&self, path: &str) {
        self.state.lock().unwrap().changed.insert(path.to_owned(), None);
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
        let body = state.lock().unwrap().body(&path);
        let (status, text) = if body.is_some() { (200, "OK") } else { (404, "Not Found") };
        state.lock().unwrap().log.push((path, status));
        let body = body.unwrap_or_default();
        let mut answer = format!("HTTP/1.1 {status} {text}\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        answer.extend(body);
        (&mut &*stream).write_all(&answer)?;
    }
    Ok(())
}

impl State {
    fn body(&self, path: &str) -> Option<Vec<u8>> {
        match self.changed.get(path) {
            Some(changed) => changed.clone(),
            None if path.split('/').any(|part| part == "..") => None,
            None => std::fs::read(self.root.join(path)).ok(),
        }
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
