//! Patience with servers: one that says nothing, or sends byte by byte for ever, is given up.
//!
//! TUF calls it slow retrieval: who may not forge anything may still keep clients from noticing. Time counts only while a server
//! is waited for, so that a slow machine is not mistaken for a slow server.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Fewest bytes a second that a server must send once patience is used up.
const SLOWEST: u64 = 1024;

/// How often a server may be given up before it is not asked any more.
const OFTEN: u32 = 3;

/// How long a server is waited for, and how often that was in vain.
#[derive(Clone)]
pub(super) struct Pace {
    patience: Duration,
    given_up: Arc<AtomicU32>,
}

impl Pace {
    /// Returns the pace of a server that may say nothing for so long.
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, given_up: Arc::default() }
    }

    /// Counts that the server was given up.
    pub(super) fn give_up(&self) {
        self.given_up.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells whether it is not asked any more.
    pub(super) fn is_over(&self) -> bool {
        self.given_up.load(Ordering::Relaxed) >= OFTEN
    }

    /// Returns a reader that fails when its bytes come too slowly.
    pub(super) fn of<R: Read>(&self, inner: R) -> Paced<R> {
        Paced { inner, pace: self.clone(), waited: Duration::ZERO, got: 0, over: false }
    }
}

/// A reader that is waited for no longer than its bytes are worth.
pub(super) struct Paced<R> {
    inner: R,
    pace: Pace,
    waited: Duration,
    got: u64,
    /// Whether it was given up: whoever goes on reading does not wait again.
    over: bool,
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.over {
            return Err(self.slow());
        }
        let begun = Instant::now();
        let read = self.inner.read(buffer);
        self.waited += begun.elapsed();
        let read = match read {
            Err(fault) if matches!(fault.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
                self.give_up();
                return Err(fault);
            }
            read => read?,
        };
        self.got += read as u64;
        let beyond = self.waited.saturating_sub(self.pace.patience).as_secs();
        if read > 0 && beyond.saturating_mul(SLOWEST) > self.got {
            self.give_up();
            return Err(self.slow());
        }
        Ok(read)
    }
}

impl<R> Paced<R> {
    fn give_up(&mut self) {
        self.over = true;
        self.pace.give_up();
    }

    fn slow(&self) -> io::Error {
        let slow = format!("the server sent {} bytes in {} s", self.got, self.waited.as_secs());
        io::Error::new(io::ErrorKind::TimedOut, slow)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Sends so many bytes, one each time, after a pause.
    struct Drip(usize, Duration);

    impl Read for Drip {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            std::thread::sleep(self.1);
            let read = buffer.len().min(1).min(self.0);
            self.0 -= read;
            buffer.iter_mut().take(read).for_each(|byte| *byte = b'x');
            Ok(read)
        }
    }

    #[test]
    fn a_server_that_sends_byte_by_byte_is_given_up_and_after_three_times_not_asked_again() {
        let pace = Pace::new(Duration::from_millis(100));
        let mut bytes = Vec::new();
        // In time, however it comes.
        pace.of(Drip(50, Duration::from_millis(1))).read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len(), 50);
        for times in 0..3 {
            assert!(!pace.is_over(), "given up {times} times");
            let mut paced = pace.of(Drip(usize::MAX, Duration::from_millis(20)));
            for _ in 0..2 {
                // It counts once, however often it is read.
                let fault = paced.read_to_end(&mut Vec::new()).unwrap_err();
                assert_eq!(fault.kind(), io::ErrorKind::TimedOut);
            }
        }
        assert!(pace.is_over());
    }
}
