//! Ports for servers that a test starts: below those that the kernel gives to connections, and none twice in one run, so that nobody
//! takes one between its choice and its use.

use std::net::TcpListener;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

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
