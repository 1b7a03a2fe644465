//! Requests that no client sends: over raw TCP, so that nothing tidies them up on the way.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::publish;
use crate::gateway::{Gateway, until};
use crate::sandbox::Sandbox;

/// Sends bytes and returns everything that comes until the server closes the connection.
fn talk(gateway: &Gateway, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // The server may close before everything is sent.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(gateway: &Gateway, request: &str) -> u16 {
    let answer = talk(gateway, request.as_bytes());
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

fn ask(gateway: &Gateway, target: &str) -> u16 {
    status(gateway, &format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
}

fn served(more: &[&str]) -> (Sandbox, Gateway) {
    let sandbox = Sandbox::with_archive();
    publish(&sandbox, "foo", "1.0");
    let gateway = Gateway::of(&sandbox, more);
    (sandbox, gateway)
}

#[track_caller]
fn still_answers(gateway: &Gateway) {
    assert_eq!(ask(gateway, "/dists/trixie/InRelease"), 200);
}

#[test]
fn no_path_leads_out_of_what_is_published() {
    let (_sandbox, gateway) = served(&[]);
    still_answers(&gateway);
    for target in [
        "/../ddb.toml",
        "/..%2fddb.toml",
        "/%2e%2e/ddb.toml",
        "/%2e%2e%2f%2e%2e%2fetc/passwd",
        "/pool/../ddb.toml",
        "/pool/main/f/foo/../../../../ddb.toml",
        "/dists/trixie/../../ddb.toml",
        "/dists/../../etc/passwd",
        "/dists/trixie/main/binary-amd64/by-hash/SHA256/../../Packages.xz",
        "/snapshots/../ddb.toml",
        "/snapshots/..%2f..%2fetc/passwd",
        "/.git/config",
        "/.ddb-lock",
        "//etc/passwd",
        "/dists//trixie/InRelease",
        "/pool\\main",
        "/dists/trixie/InRelease%00",
        "/dists/trixie/InRelease%",
        "/dists/trixie/InRelease%2",
        "/dists/trixie/%ff",
        "/dists/trixie/InRelease%0d%0aX-Injected:%20x",
        "/lfs/objects/../../../etc/passwd",
    ] {
        assert_eq!(ask(&gateway, target), 400, "{target}");
    }
    for target in
        ["/ddb.toml", "/keys", "/pool/main/f/foo", "/lfs/objects/etc", "/snapshots/HEAD/ddb.toml", "/suites/trixie", "/ab/cd/abcd"]
    {
        assert_eq!(ask(&gateway, target), 404, "{target}");
    }
    // A query means nothing, and does not come into the log.
    assert_eq!(ask(&gateway, "/dists/trixie/InRelease?token=geheim"), 200);
    assert!(gateway.log().contains("GET /dists/trixie/InRelease 200") && !gateway.log().contains("geheim"));
    gateway.stop();
}

#[test]
fn what_is_no_request_is_refused_and_nothing_breaks() {
    let (_sandbox, gateway) = served(&[]);
    for (request, expected) in [
        ("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\nrubbish\0\0\r\n\r\n".to_owned(), 200),
        ("DELETE /dists/trixie/InRelease HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(), 405),
        ("PUT /pool/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx".to_owned(), 405),
        ("CONNECT x:1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(), 405),
        ("POST /dists/trixie/InRelease HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx".to_owned(), 405),
        ("\0\0\0\0\r\n\r\n".to_owned(), 400),
        ("GET\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), 400),
        (format!("GET /{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "a".repeat(5000)), 400),
        (format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(100_000)), 431),
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(200)), 431),
        ("POST /lfs/objects/batch HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 9999999999\r\n\r\n".to_owned(), 413),
        ("POST /lfs/objects/batch HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: -1\r\n\r\n".to_owned(), 400),
    ] {
        let shown: String = request.chars().take(60).collect();
        assert_eq!(status(&gateway, &request), expected, "{shown}");
    }
    // A body without a length is counted as it comes.
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let endless = format!(
        "POST /lfs/objects/batch HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        chunk.repeat(40)
    );
    assert_eq!(status(&gateway, &endless), 413);
    still_answers(&gateway);
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
    gateway.stop();
}

#[test]
fn slow_clients_are_cut_off_and_others_are_served_meanwhile() {
    let (_sandbox, gateway) = served(&["--idle", "1s", "--stall", "1s"]);
    let begun = Instant::now();
    // A header that comes a letter at a time, and a connection on which nothing comes.
    let mut slow = TcpStream::connect(gateway.address()).unwrap();
    let silent = TcpStream::connect(gateway.address()).unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    until("the slow client is cut off", || {
        still_answers(&gateway);
        slow.write_all(b"x").is_err()
    });
    let mut nothing = Vec::new();
    silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let closed = (&silent).read_to_end(&mut nothing);
    assert!(closed.is_ok() || closed.unwrap_err().kind() == std::io::ErrorKind::ConnectionReset);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    gateway.stop();
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_is_cut_off() {
    let sandbox = Sandbox::new();
    sandbox.write("tree/pool/large", vec![7; 32 << 20]);
    let arguments = ["serve", "-v", "--tree", "tree", "--listen", "127.0.0.1:0", "--stall", "1s"];
    let gateway = Gateway::start(&sandbox, sandbox.command(env!("CARGO_BIN_EXE_ddb-publish"), &arguments));
    let open = || std::fs::read_dir(format!("/proc/{}/fd", gateway.id())).unwrap().count();
    let without = open();
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.write_all(b"GET /pool/large HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    until("the answer began", || gateway.log().contains("/pool/large 200"));
    until("connection and file are given up", || open() <= without);
    // Afterwards not all of it can be read.
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.len() < 32 << 20);
    gateway.stop();
}

#[test]
fn too_many_connections_are_told_to_come_again_and_the_server_recovers() {
    let (_sandbox, gateway) = served(&["--connections", "4", "--idle", "2s"]);
    let mut held: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(gateway.address()).unwrap()).collect();
    until("the next one is turned away", || ask(&gateway, "/healthz") == 503);
    // Those who hold the places say nothing, and lose them.
    until("there is room again", || ask(&gateway, "/healthz") == 200);
    held.clear();
    still_answers(&gateway);
    gateway.stop();
}
