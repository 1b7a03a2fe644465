//! A log, or whoever sits before it, that answers with what is not so: nothing of it is served.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::site::{Log, configure, sigsum_verify};
use super::{POLICY, read, with_log, with_package};
use crate::sandbox::Sandbox;

/// What becomes of an answer: by the path that was asked for and its body.
type Lie = Box<dyn Fn(&str, String) -> String + Send>;

/// Stands before a log and changes what it says.
struct Liar {
    url: String,
    lie: Arc<Mutex<Lie>>,
}

impl Liar {
    fn before(log: &Log<'_>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let lie: Arc<Mutex<Lie>> = Arc::new(Mutex::new(Box::new(|_: &str, body: String| body)));
        let (server, shared) = (log.url().trim_start_matches("http://").to_owned(), Arc::clone(&lie));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that hangs up is the client's business.
                let _ = pass(stream, &server, &shared);
            }
        });
        Self { url, lie }
    }

    fn lies(&self, lie: impl Fn(&str, String) -> String + Send + 'static) {
        *self.lie.lock().unwrap() = Box::new(lie);
    }
}

/// Passes one request on, and its answer back.
fn pass(stream: TcpStream, server: &str, lie: &Mutex<Lie>) -> std::io::Result<()> {
    let mut request = BufReader::new(stream.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if request.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or_default();
        }
        if !line.to_lowercase().starts_with("connection:") {
            head.push_str(&line);
        }
    }
    let mut body = vec![0; length];
    request.read_exact(&mut body)?;
    let mut log = TcpStream::connect(server)?;
    log.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    log.write_all(&body)?;
    let mut answer = String::new();
    log.read_to_string(&mut answer)?;
    let (fields, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let body = (*lie.lock().unwrap())(&path, body.to_owned());
    let status = fields.lines().next().unwrap_or_default();
    let answer = format!("{status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    (&stream).write_all(answer.as_bytes())
}

/// Puts another digit in the place of the first of a line's value.
fn other_digit(body: &str, field: &str) -> String {
    let at = body.find(&format!("{field}=")).unwrap() + field.len() + 1;
    let digit = if &body[at..=at] == "0" { "1" } else { "0" };
    format!("{}{digit}{}", &body[..at], &body[at + 1..])
}

#[test]
fn a_log_that_shows_another_root_another_leaf_or_an_older_tree_stops_a_publish() {
    let mut sandbox = with_package();
    let keeper = Sandbox::new();
    let log = Log::start(&keeper, "log");
    let liar = Liar::before(&log);
    let policy = format!("{}quorum log\n", log.lines().replace(&log.url(), &liar.url));
    with_log(&mut sandbox, &policy, "timeout = \"100s\"\n");
    // Two Releases, so that there are paths.
    for _ in 0..2 {
        sandbox.dists(&["--renew"]).ok();
    }
    let in_release = || read(&sandbox.public().join("dists/trixie/InRelease"));
    let before = in_release();
    let old_head = sandbox.run("curl", &["-sf", &format!("{}/get-tree-head", log.url())]).ok().out;
    configure(&sandbox, &policy, "timeout = \"4s\"\n");
    let head = |path: &str| path.ends_with("/get-tree-head");
    let inclusion = |path: &str| path.contains("/get-inclusion-proof/");
    let stops = |says: &str| {
        sandbox.dists(&["--renew"]).exits(13).says(says);
        assert_eq!(in_release(), before, "clients see what they saw before");
        assert_ne!(sandbox.git(&["cat-file", "-e", "ddb/releases/trixie:served.json"]).code, 0);
        assert_ne!(sandbox.git(&["cat-file", "-e", "ddb/releases/trixie:Release.proof"]).code, 0, "no lie is kept");
    };
    liar.lies(move |path, body| if head(path) { other_digit(&body, "root_hash") } else { body });
    stops("the tree head is not signed by its log");
    liar.lies(move |path, body| if inclusion(path) { other_digit(&body, "node_hash") } else { body });
    stops("the leaf is not in the tree");
    liar.lies(move |path, body| if inclusion(path) { body.replace("leaf_index=2", "leaf_index=1") } else { body });
    stops("the leaf is not in the tree");
    liar.lies(move |path, body| if head(path) { other_digit(&body, "size") } else { body });
    stops("");
    // A tree of before, which the witness did cosign: the leaf is not in there, whatever path is told.
    let older = old_head.clone();
    liar.lies(move |path, body| if head(path) { older.clone() } else { body });
    stops("");
    // A cosignature of another tree head.
    liar.lies(move |path, body| {
        let cosignature = |text: &str| text.lines().find(|line| line.starts_with("cosignature=")).unwrap().to_owned();
        if head(path) { body.replace(&cosignature(&body), &cosignature(&old_head)) } else { body }
    });
    stops("0 witnesses of the policy cosigned");

    // Nobody lies any more: the same Release, the same leaf.
    liar.lies(|_, body| body);
    configure(&sandbox, &policy, "timeout = \"100s\"\n");
    sandbox.dists(&[]).ok();
    assert_ne!(in_release(), before);
    assert_eq!(log.size(), 3);
    sigsum_verify(&sandbox, "archive/public/dists/trixie/Release.proof", "archive/public/dists/trixie/Release", POLICY).ok();
}
