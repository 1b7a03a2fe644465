//! Ports for servers that a test starts: below those that the kernel gives to connections, and none twice in one run, so that nobody
//! takes one between its choice and its use.

use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// SeaweedFS's ports lie above.
const FIRST: u16 = 5_000;
const COUNT: u16 = 5_000;

/// A port that nobody listens at.
pub fn port() -> u16 {
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    // Another run at the same time begins elsewhere.
    let next = NEXT.get_or_init(|| AtomicU16::new(fastrand::u16(..COUNT)));
    loop {
        let port = FIRST + next.fetch_add(1, Ordering::SeqCst) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Waits until a server that was started listens.
#[track_caller]
pub fn wait_for(port: u16, server: &mut Child) {
    let until = Instant::now() + Duration::from_secs(90);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(server.try_wait().unwrap().is_none(), "a server ended when it was started");
        assert!(Instant::now() < until, "a server does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
}
