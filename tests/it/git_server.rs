//! A Git remote over http: real `git http-backend` behind a small server that can ask for a token, and hooks that decline.
//!
//! Just enough of HTTP/1.1 for git: kept connections, bodies with a length or in chunks, `Expect: 100-continue`.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine as _;

use crate::sandbox::{Run, Sandbox};

/// What GitLab says to a push whose Git-LFS pointers name objects that it does not hold.
pub const LFS_OBJECTS_ARE_MISSING: &str =
    r#"GitLab: LFS objects are missing. Ensure LFS is properly set up or try a manual "git lfs push --all"."#;

/// Bare repositories in a sandbox's `remotes/`, served for as long as the test runs.
pub struct GitServer {
    port: u16,
    root: PathBuf,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    home: PathBuf,
    token: Option<String>,
    may_only_read: bool,
    status: Option<(u16, String)>,
    /// How many pushes are carried out without an answer.
    silent_pushes: usize,
    log: Vec<String>,
}

impl GitServer {
    /// Starts a server with one empty repository, `remotes/archive.git`, branch `main`.
    pub fn start(sandbox: &Sandbox) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let root = sandbox.path("remotes");
        std::fs::create_dir_all(&root).unwrap();
        let state = Arc::new(Mutex::new(State { home: sandbox.path("home"), ..State::default() }));
        let (shared, folder) = (Arc::clone(&state), root.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), shared, folder) = (stream, Arc::clone(&shared), folder.clone()) else { return };
                // A client that hangs up in the middle is the client's business.
                std::thread::spawn(move || drop(answer_all(&stream, &folder, &shared)));
            }
        });
        let server = Self { port, root, state };
        sandbox.run("git", &["init", "--quiet", "--bare", "--initial-branch=main", server.folder().to_str().unwrap()]).ok();
        server.configure(sandbox, "http.receivepack", "true");
        server.configure(sandbox, "uploadpack.allowFilter", "true");
        server.configure(sandbox, "receive.advertisePushOptions", "true");
        server
    }

    /// The repository's address over http, without any user name or token.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/archive.git", self.port)
    }

    /// The address with a token in it, as people paste it.
    pub fn url_with(&self, token: &str) -> String {
        format!("http://oauth2:{token}@127.0.0.1:{}/archive.git", self.port)
    }

    /// The repository's address as a local one.
    pub fn file_url(&self) -> String {
        format!("file://{}", self.folder().display())
    }

    /// The bare repository's folder.
    pub fn folder(&self) -> PathBuf {
        self.root.join("archive.git")
    }

    /// Runs git in the bare repository.
    pub fn git(&self, sandbox: &Sandbox, arguments: &[&str]) -> Run {
        let folder = self.folder();
        let mut all = vec!["--git-dir", folder.to_str().unwrap()];
        all.extend(arguments);
        sandbox.run("git", &all)
    }

    /// Sets a key of the repository's configuration, such as `receive.advertisePushOptions` or `receive.advertiseAtomic`.
    pub fn configure(&self, sandbox: &Sandbox, key: &str, value: &str) {
        self.git(sandbox, &["config", key, value]).ok();
    }

    /// Answers 401 to every request without this token as password, whoever the user; `None` asks for nothing.
    pub fn require_token(&self, token: Option<&str>) {
        self.state.lock().unwrap().token = token.map(str::to_owned);
    }

    /// Answers 403 to pushes.
    pub fn may_only_read(&self, only: bool) {
        self.state.lock().unwrap().may_only_read = only;
    }

    /// Answers every request with this status and text (503, …); `None` answers as usual again.
    pub fn answer_with(&self, status: Option<(u16, &str)>) {
        self.state.lock().unwrap().status = status.map(|(status, text)| (status, text.to_owned()));
    }

    /// Carries out this many pushes and hangs up instead of answering.
    pub fn lose_answers_of_pushes(&self, count: usize) {
        self.state.lock().unwrap().silent_pushes = count;
    }

    /// Runs this shell script before refs of a push move; its input has lines `old new ref`, and exit code 1 declines the push.
    pub fn pre_receive(&self, script: &str) {
        let hook = self.folder().join("hooks/pre-receive");
        std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
        // Beside it first: a hook that is open for writing cannot be run.
        let new = hook.with_extension("new");
        std::fs::write(&new, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::rename(new, hook).unwrap();
    }

    /// Takes every push again.
    pub fn accept_all(&self) {
        let _ = std::fs::remove_file(self.folder().join("hooks/pre-receive"));
    }

    /// Declines every push that touches a ref of this pattern of the shell's `case`, with these words.
    pub fn decline(&self, refs: &str, words: &str) {
        self.pre_receive(&format!("while read -r old new ref; do case $ref in {refs}) echo '{words}' >&2; exit 1;; esac; done"));
    }

    /// Declines pushes as GitLab does while Git-LFS is switched on there: new pointers must name objects whose digests are
    /// lines of the file `lfs-objects` in the bare repository.
    pub fn decline_pointers_without_objects(&self) {
        self.pre_receive(&format!(
            r#"touch lfs-objects
while read -r old new ref; do
    [ "$new" = 0000000000000000000000000000000000000000 ] && continue
    git rev-list --objects "$new" --not --all | cut -d' ' -f1 |
        git cat-file --batch-check='%(objecttype) %(objectsize) %(objectname)' |
        while read -r type size blob; do
            [ "$type" = blob ] && [ "$size" -lt 200 ] || continue
            oid=$(git cat-file blob "$blob" | sed -n '1{{\,^version https://git-lfs,!q}};s/^oid sha256://p')
            [ -z "$oid" ] || grep -qx "$oid" lfs-objects || exit 1
        done || {{ echo '{LFS_OBJECTS_ARE_MISSING}' >&2; exit 1; }}
done"#
        ));
    }

    /// Returns the requests since the last call, as `METHOD path?query status`.
    pub fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().log)
    }
}

#[derive(Default)]
struct Request {
    method: String,
    path: String,
    query: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn is_push(&self) -> bool {
        self.path.ends_with("/git-receive-pack") || self.query.contains("service=git-receive-pack")
    }

    fn has_token(&self, token: &str) -> bool {
        let basic = self.field("Authorization").and_then(|value| value.strip_prefix("Basic "));
        let decoded = basic.and_then(|basic| base64::engine::general_purpose::STANDARD.decode(basic.trim()).ok());
        decoded.is_some_and(|pair| pair.splitn(2, |byte| *byte == b':').nth(1) == Some(token.as_bytes()))
    }
}

/// Status, header fields as they are sent, body.
type Answer = (String, String, Vec<u8>);

fn answer_all(stream: &TcpStream, root: &Path, state: &Mutex<State>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader, stream)? {
        let (status, fields, body) = answer(&request, root, state);
        let line = format!("{} {}?{} {status}", request.method, request.path, request.query);
        let mut now = state.lock().unwrap();
        now.log.push(line);
        if request.method == "POST" && request.is_push() && now.silent_pushes > 0 {
            now.silent_pushes -= 1;
            return Ok(());
        }
        drop(now);
        let mut bytes = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
        bytes.extend(body);
        (&mut &*stream).write_all(&bytes)?;
    }
    Ok(())
}

fn read_request(reader: &mut BufReader<&TcpStream>, mut stream: &TcpStream) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let address = words.next().unwrap_or_default();
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let mut request = Request { method, path: path.to_owned(), query: query.to_owned(), ..Request::default() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        request.fields.push((name.to_owned(), value.trim().to_owned()));
    }
    if request.field("Expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut body = Vec::new();
    if request.field("Transfer-Encoding").is_some() {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let size = u64::from_str_radix(line.trim(), 16).unwrap_or(0);
            (&mut *reader).take(size).read_to_end(&mut body)?;
            reader.read_line(&mut String::new())?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(size) = request.field("Content-Length").and_then(|size| size.parse().ok()) {
        (&mut *reader).take(size).read_to_end(&mut body)?;
    }
    request.body = body;
    Ok(Some(request))
}

fn answer(request: &Request, root: &Path, state: &Mutex<State>) -> Answer {
    let plain = |status: &str, fields: &str, text: &str| {
        (status.to_owned(), format!("Content-Type: text/plain\r\n{fields}"), format!("{text}\n").into_bytes())
    };
    let home = {
        let state = state.lock().unwrap();
        if let Some((status, text)) = &state.status {
            return plain(&format!("{status} {text}"), "", text);
        }
        if state.token.as_deref().is_some_and(|token| !request.has_token(token)) {
            return plain("401 Unauthorized", "WWW-Authenticate: Basic realm=\"Git\"\r\n", "HTTP Basic: Access denied");
        }
        if state.may_only_read && request.is_push() {
            return plain("403 Forbidden", "", "You are not allowed to push code to this project.");
        }
        state.home.clone()
    };
    backend(request, root, &home).unwrap_or_else(|fault| plain("500 Internal Server Error", "", &fault.to_string()))
}

/// Runs `git http-backend` as a web server does.
fn backend(request: &Request, root: &Path, home: &Path) -> std::io::Result<Answer> {
    let mut command = Command::new("git");
    command.arg("http-backend").env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", home);
    command.env("GIT_PROJECT_ROOT", root).env("GIT_HTTP_EXPORT_ALL", "1").env("REMOTE_ADDR", "127.0.0.1");
    command.env("REQUEST_METHOD", &request.method).env("PATH_INFO", &request.path).env("QUERY_STRING", &request.query);
    command.env("CONTENT_LENGTH", request.body.len().to_string());
    let passed = [("Content-Type", "CONTENT_TYPE"), ("Git-Protocol", "GIT_PROTOCOL"), ("Content-Encoding", "HTTP_CONTENT_ENCODING")];
    for (field, variable) in passed {
        command.envs(request.field(field).map(|value| (variable, value)));
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut input = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // git may stop reading when it declines.
        scope.spawn(move || drop(input.write_all(&request.body)));
        child.wait_with_output()
    })?;
    let end = output.stdout.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(output.stdout.len());
    let (mut status, mut fields) = ("200 OK".to_owned(), String::new());
    for line in String::from_utf8_lossy(&output.stdout[..end]).lines() {
        match line.strip_prefix("Status: ") {
            Some(said) => said.clone_into(&mut status),
            None => write!(fields, "{}\r\n", line.trim_end()).unwrap(),
        }
    }
    Ok((status, fields, output.stdout.get(end + 4..).unwrap_or_default().to_vec()))
}

/// A clone of the remote with one commit that holds this file.
fn clone_with(sandbox: &Sandbox, address: &str, content: &str) {
    sandbox.run("git", &["clone", "--quiet", address, "clone"]).ok();
    sandbox.write("clone/file", content);
    sandbox.run("git", &["-C", "clone", "add", "."]).ok();
    sandbox.run("git", &["-C", "clone", "commit", "--quiet", "-m", "Add"]).ok();
}

#[test]
fn the_servers_remote_takes_pushes_with_options_and_shallow_and_filtered_fetches() {
    let sandbox = Sandbox::new();
    let server = GitServer::start(&sandbox);
    server.pre_receive("echo \"options: $GIT_PUSH_OPTION_0\" >&2");
    // More than git sends in one piece: the body comes in chunks.
    let large: String = (0..400_000_u64).map(|number| (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20).to_string()).collect();
    clone_with(&sandbox, &server.url(), &large);
    sandbox.run("git", &["-C", "clone", "push", "-o", "ci.skip", "origin", "HEAD:main"]).ok().says("options: ci.skip");
    assert_eq!(server.git(&sandbox, &["cat-file", "-s", "main:file"]).ok().out.trim(), large.len().to_string());
    let url = server.url();
    sandbox.run("git", &["clone", "--quiet", "--depth=1", "--filter=blob:none", "--no-checkout", &url, "second"]).ok();
    let missing = sandbox.run("git", &["-C", "second", "rev-list", "--objects", "--missing=print", "HEAD"]).ok().out;
    assert!(missing.contains("\n?"), "the file came along: {missing}");
    server.configure(&sandbox, "receive.advertisePushOptions", "false");
    sandbox.run("git", &["-C", "clone", "push", "-o", "ci.skip", "origin", "HEAD:other"]).exits(1).says("does not support push options");
}

#[test]
fn the_servers_remote_asks_for_its_token_and_declines_in_gitlabs_words() {
    let sandbox = Sandbox::new();
    let server = GitServer::start(&sandbox);
    let oid = "0".repeat(64);
    clone_with(&sandbox, &server.url(), &format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 1\n"));
    let push = |address: &str| sandbox.run("git", &["-C", "clone", "push", "--quiet", address, "HEAD:main"]);
    server.require_token(Some("secret"));
    push(&server.url_with("stale")).exits(128).says("Authentication failed");
    server.may_only_read(true);
    push(&server.url_with("secret")).exits(128).says("403");
    server.may_only_read(false);
    server.decline_pointers_without_objects();
    push(&server.url_with("secret")).exits(1).says("remote: GitLab: LFS objects are missing.").says("pre-receive hook declined");
    std::fs::write(server.folder().join("lfs-objects"), format!("{oid}\n")).unwrap();
    push(&server.url_with("secret")).ok();
    server.decline("refs/heads/ddb/*", "not this branch");
    sandbox.run("git", &["-C", "clone", "push", "--quiet", &server.url_with("secret"), "HEAD:ddb/x"]).exits(1).says("not this branch");
    push(&server.file_url()).ok();
}
