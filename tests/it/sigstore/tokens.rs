//! A job's identity token goes to the certificate authority alone, and into no message, whatever that answers.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::{Value, json};

use super::site::{SUBJECT, recorded, table};
use super::with_package;
use crate::sandbox::Sandbox;

const TOKEN: &str =
    "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ.eyJhdWQiOiJzaWdzdG9yZSIsImlzcyI6Imh0dHBzOi8vZ2l0LmV4YW1wbGUifQ.c2lnbmF0dXJlLW9mLXRoZS1mb3JnZQ";

/// Answers every request with this status and body, and keeps what was asked.
fn answering(status: &'static str, body: String) -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (mut asked, mut bytes) = (String::new(), vec![0; 64 << 10]);
            // The body may come in a part of its own.
            while !asked.ends_with('}') {
                match stream.read(&mut bytes) {
                    Ok(length) if length > 0 => asked.push_str(&String::from_utf8_lossy(&bytes[..length])),
                    _ => break,
                }
            }
            let _ = send.send(asked);
            let head = format!(
                "HTTP/1.1 {status}\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all((head + &body).as_bytes());
        }
    });
    (url, receive)
}

/// An archive that jobs sign for, and a job's token.
fn archive() -> Sandbox {
    let mut sandbox = with_package();
    sandbox.write("archive/keys/trusted_root.json", recorded("keyless_root.json"));
    sandbox.environment.insert("SIGSTORE_ID_TOKEN".to_owned(), TOKEN.to_owned());
    sandbox
}

fn configure(sandbox: &Sandbox, lines: &str) {
    table(sandbox, &format!("identity = \"{SUBJECT}\"\nissuer = \"https://git.example\"\ntimeout = \"3s\"\n{lines}"));
}

#[test]
fn what_a_certificate_authority_repeats_of_the_token_is_in_no_message() {
    let sandbox = archive();
    let pem = format!("-----BEGIN {TOKEN}-----\nAAAA\n-----END {TOKEN}-----\n");
    let chain = json!({"signedCertificateEmbeddedSct": {"chain": {"certificates": [pem]}}}).to_string();
    for (status, body, says) in [
        ("200 OK", format!("{{\"signedCertificateEmbeddedSct\":\"{TOKEN}\"}}"), "not of the form that version 2 gives"),
        ("200 OK", format!("\"{TOKEN}\""), "not of the form that version 2 gives"),
        ("201 Created", chain, "its certificate is"),
        ("400 Bad Request", format!("{{\"message\":\"bad token {TOKEN}\"}}"), "has the token expired"),
        ("503 Service Unavailable", TOKEN.to_owned(), "status 503"),
        ("307 Temporary Redirect", TOKEN.to_owned(), "status 307"),
    ] {
        let (url, asked) = answering(status, body);
        configure(&sandbox, &format!("url = \"http://127.0.0.1:9\"\ntimestamp-url = \"http://127.0.0.1:9\"\nfulcio-url = \"{url}\"\n"));
        let run = sandbox.dists(&["-v"]).exits(13).says(says).says(&url);
        let said = format!("{}{}", run.out, run.err);
        assert!(TOKEN.split('.').all(|part| !said.contains(&part[..20])), "{said}");
        let asked = asked.recv().unwrap();
        assert!(asked.starts_with("POST /api/v2/signingCert HTTP/1.1"), "{asked}");
        let body: Value = serde_json::from_str(asked.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!(body["credentials"]["oidcIdentityToken"], TOKEN);
    }
    let kept = sandbox.run("grep", &["-rl", &TOKEN[..30], "archive"]);
    assert_eq!((kept.code, kept.out.as_str()), (1, ""), "no file of the archive has it");
}

#[test]
fn the_token_is_sent_to_nobody_who_can_be_listened_to() {
    let sandbox = archive();
    let service = |version: u32, url: &str| json!([{"url": url, "majorApiVersion": version, "validFor": {"start": "2024-01-01T00:00:00Z"}, "operator": "x"}]);
    let config = json!({
        "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
        "rekorTlogUrls": service(2, "http://127.0.0.1:9"),
        "tsaUrls": service(1, "http://127.0.0.1:9"),
        "caUrls": service(1, "http://fulcio.example"),
    });
    sandbox.write("archive/keys/signing_config.json", config.to_string());
    configure(&sandbox, "signing-config = \"keys/signing_config.json\"\n");
    sandbox.dists(&[]).exits(13).says("the sigstore certificate authority http://fulcio.example refuses it: it is no https address");
    let services = "url = \"http://127.0.0.1:9\"\ntimestamp-url = \"http://127.0.0.1:9\"\nfulcio-url = \"http://fulcio.example\"\n";
    configure(&sandbox, services);
    sandbox.dists(&[]).exits(4).says("logs.sigstore.fulcio-url must begin with https://");
}
