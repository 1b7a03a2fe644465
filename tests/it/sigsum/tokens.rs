//! Tokens for logs with a rate limit: each log gets the one that was made for it, and no other log's.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use super::site::{Log, program, submit_key};
use super::{with_log, with_package};
use crate::sandbox::Sandbox;

/// A server that refuses every request and hands on what was asked, and its address.
fn refusing() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut bytes = vec![0; 64 << 10];
            let length = stream.read(&mut bytes).unwrap_or_default();
            let _ = send.send(String::from_utf8_lossy(&bytes[..length]).into_owned());
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno");
        }
    });
    (url, receive)
}

/// The tokens that a server was sent.
fn sent(requests: &Receiver<String>) -> Vec<String> {
    let field = |request: String| {
        let line = request.lines().find(|line| line.to_lowercase().starts_with("sigsum-token: "))?.to_owned();
        Some(line.split_once(": ")?.1.to_owned())
    };
    requests.try_iter().map(|request| field(request).unwrap_or_default()).collect()
}

/// The token of the key `domain` that sigsum-token makes for a log.
fn token(sandbox: &Sandbox, keeper: &Sandbox, log: &str) -> String {
    let domain = sandbox.path("domain").display().to_string();
    let key = keeper.path(format!("sigsum/{log}/log.pub")).display().to_string();
    let made = sandbox.run(&program("sigsum-token"), &["create", "-k", &domain, "-l", &key, "-d", "deb.example.org"]).ok().out;
    made.trim().split_once(": ").map_or(made.trim(), |(_, value)| value).to_owned()
}

#[test]
fn a_token_for_the_domain_is_sent_as_sigsum_token_makes_it() {
    let mut sandbox = with_package();
    let keeper = Sandbox::new();
    let log = Log::new(&keeper, "log");
    submit_key(&sandbox, "domain");
    let (url, requests) = refusing();
    let lines = log.lines().replace(&log.url(), &url);
    with_log(&mut sandbox, &format!("{lines}quorum none\n"), "timeout = \"5s\"\ntoken-domain = \"deb.example.org\"\n");
    let made = token(&sandbox, &keeper, "log");
    let key = std::fs::read_to_string(sandbox.path("domain")).unwrap();
    for (variable, value) in [("DDB_SIGSUM_TOKEN_KEY", key), ("DDB_SIGSUM_TOKEN", made.clone())] {
        sandbox.environment.insert(variable.to_owned(), value);
        sandbox.dists(&[]).exits(13).says("refuses it: status 403: no");
        assert_eq!(sent(&requests), [made.as_str()]);
        sandbox.environment.remove(variable);
    }
}

#[test]
fn each_log_of_a_policy_gets_its_own_token_and_no_other() {
    let mut sandbox = with_package();
    let keeper = Sandbox::new();
    submit_key(&sandbox, "domain");
    let mut servers = BTreeMap::new();
    let mut policy = String::new();
    for name in ["one", "two"] {
        let log = Log::new(&keeper, name);
        let (url, requests) = refusing();
        policy.push_str(&log.lines().replace(&log.url(), &url));
        servers.insert(name, (url, requests, token(&sandbox, &keeper, name)));
    }
    let (one, two) = (servers["one"].2.clone(), servers["two"].2.clone());
    assert_ne!(one, two, "a token is over the key of a log");
    with_log(&mut sandbox, &format!("{policy}quorum none\n"), "timeout = \"10s\"\ntoken-domain = \"deb.example.org\"\n");
    let was_sent = |expected: [&str; 2]| {
        for (name, expected) in ["one", "two"].into_iter().zip(expected) {
            assert_eq!(sent(&servers[name].1), [expected], "{name}");
        }
    };

    // One that may be for either log goes to none, and is not said.
    sandbox.environment.insert("DDB_SIGSUM_TOKEN".to_owned(), one.clone());
    let run = sandbox.dists(&[]).exits(7).says("DDB_SIGSUM_TOKEN: line 1 does not say for which log");
    assert!(!run.err.contains(&one[40..]), "{}", run.err);
    assert!(servers.values().all(|(_, requests, _)| sent(requests).is_empty()));
    assert_ne!(sandbox.git(&["rev-parse", "-q", "--verify", "ddb/releases/trixie"]).code, 0, "nothing is staged");

    sandbox.environment.insert("DDB_SIGSUM_TOKEN".to_owned(), format!("{} {one}\n{} {two}\n", servers["one"].0, servers["two"].0));
    sandbox.dists(&[]).exits(13);
    was_sent([&one, &two]);
    sandbox.environment.insert("DDB_SIGSUM_TOKEN".to_owned(), format!("{} {two}", servers["two"].0));
    sandbox.dists(&[]).exits(13);
    was_sent(["", &two]);
    sandbox.environment.remove("DDB_SIGSUM_TOKEN");
    let key = std::fs::read_to_string(sandbox.path("domain")).unwrap();
    sandbox.environment.insert("DDB_SIGSUM_TOKEN_KEY".to_owned(), key);
    sandbox.dists(&[]).exits(13);
    was_sent([&one, &two]);
}
