//! `ddb-publish serve` as a process of its own, for tests: started, asked over HTTP by curl, stopped by a signal.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::sandbox::Sandbox;

/// A running gateway; killed when the test ends before it is stopped.
pub struct Gateway {
    child: Child,
    url: String,
    log: PathBuf,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// The value of a header field, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Gateway {
    /// Serves the sandbox's archive at a free port.
    pub fn of(sandbox: &Sandbox, more: &[&str]) -> Self {
        Self::at(sandbox, "127.0.0.1:0", more)
    }

    /// Serves the sandbox's archive at this address.
    pub fn at(sandbox: &Sandbox, listen: &str, more: &[&str]) -> Self {
        let arguments = [&["-C", "archive", "serve", "-v", "--listen", listen], more].concat();
        Self::start(sandbox, sandbox.command(env!("CARGO_BIN_EXE_ddb-publish"), &arguments))
    }

    /// Serves with this command, which says where it listens on its first line.
    pub fn start(sandbox: &Sandbox, mut command: Command) -> Self {
        let (file, log) = tempfile::Builder::new().prefix("gateway-").tempfile_in(sandbox.path("home")).unwrap().keep().unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(file).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said = || std::fs::read_to_string(&log).unwrap();
        let url = line.trim().strip_prefix("Listening on ").unwrap_or_else(|| panic!("it says \"{line}\" and {}", said())).to_owned();
        Self { child, url, log }
    }

    /// Its address, with a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its address without scheme and slash.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://").trim_end_matches('/')
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard error so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Asks with curl; the path is sent as it stands here.
    pub fn get(&self, path: &str, more: &[&str]) -> Reply {
        curl(&format!("{}{}", self.url.trim_end_matches('/'), path), more)
    }

    /// The body of an answer that is 200.
    #[track_caller]
    pub fn body(&self, path: &str) -> Vec<u8> {
        let reply = self.get(path, &[]);
        assert_eq!(reply.status, 200, "{path}: {}\n{}", reply.text(), self.log());
        reply.body
    }

    pub fn status(&self, path: &str) -> u16 {
        self.get(path, &[]).status
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Waits for its end.
    pub fn ends(&mut self, within: Duration) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < within, "it does not end\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Stops it as a service manager does, and checks that it ends well.
    #[track_caller]
    pub fn stop(mut self) {
        self.signal("TERM");
        let status = self.ends(Duration::from_secs(20));
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks an address with curl. Where the server hangs up without a word, the status is 0.
pub fn curl(url: &str, more: &[&str]) -> Reply {
    let head = tempfile::NamedTempFile::new().unwrap();
    let output = Command::new("curl")
        .args(["--silent", "--path-as-is", "--max-time", "60", "--dump-header", head.path().to_str().unwrap(), url])
        .args(more)
        .output()
        .expect("curl is needed; tests/run.sh installs it");
    let head = std::fs::read_to_string(head.path()).unwrap();
    let last = head.rsplit("HTTP/1.1 ").next().unwrap();
    const EMPTY_REPLY: i32 = 52;
    let status = match last.split(' ').next().unwrap().trim().parse() {
        Ok(status) => status,
        Err(_) if output.status.code() == Some(EMPTY_REPLY) => 0,
        Err(_) => panic!("{url}: {head:?} {output:?}"),
    };
    let fields = last.lines().skip(1).filter_map(|line| line.split_once(": "));
    Reply { status, headers: fields.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect(), body: output.stdout }
}

/// Waits until something is true.
#[track_caller]
pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what} did not come true");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The bytes of a file.
pub fn read(path: impl AsRef<Path>) -> Vec<u8> {
    std::fs::read(path.as_ref()).unwrap_or_else(|fault| panic!("{}: {fault}", path.as_ref().display()))
}
