//! An object as it comes: continued where the connection breaks, and hashed, so that wrong bytes end in an error.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use ureq::http::Response;
use ureq::{Body, BodyReader};

use super::{Inner, StoreError};
use crate::words::digest::{ExtraDigests, Hasher, ObjectId};

/// The bytes of an object, or a part of them.
pub(super) struct Download {
    inner: Arc<Inner>,
    oid: ObjectId,
    /// The part, `None` for the whole.
    range: Option<Range<u64>>,
    body: Option<BodyReader<'static>>,
    /// Where in the object the next byte lies.
    at: u64,
    /// Where it ends, as soon as that is known.
    end: Option<u64>,
    hasher: Option<Hasher>,
    breaks: u32,
}

impl Download {
    pub(super) fn new(inner: Arc<Inner>, oid: ObjectId, range: Option<Range<u64>>) -> Self {
        let hasher = range.is_none().then(|| Hasher::new(ExtraDigests::default()));
        let at = range.as_ref().map_or(0, |range| range.start);
        Self { inner, oid, range, body: None, at, end: None, hasher, breaks: 0 }
    }

    /// Takes the bytes as they are: to be counted, not used.
    pub(super) fn unchecked(self) -> Self {
        Self { hasher: None, ..self }
    }

    /// Takes the bytes of an answer, which begins with the byte at `at` or, where the server knows no ranges, with the first.
    pub(super) fn begin(&mut self, answer: Response<Body>) {
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let length = header("content-length").and_then(|length| length.parse::<u64>().ok());
        let wanted = self.range.as_ref().map(|range| range.end);
        let (first, whole) = match answer.status().as_u16() {
            206 => {
                let range = header("content-range").unwrap_or_default();
                let first = range.trim_start_matches("bytes").trim().split('-').next().and_then(|first| first.parse().ok());
                (first.unwrap_or(self.at), range.rsplit_once('/').and_then(|(_, whole)| whole.parse().ok()))
            }
            // The part begins behind the object's end.
            416 => (self.at, Some(self.at)),
            _ => (0, length),
        };
        self.end = [wanted, whole].into_iter().flatten().min();
        let skip = self.at.saturating_sub(first);
        let mut body = answer.into_body().into_reader();
        // What cannot be skipped is missed by the next read.
        let skipped =
            if first > self.at { Err(io::ErrorKind::InvalidData.into()) } else { io::copy(&mut (&mut body).take(skip), &mut io::sink()) };
        self.body = skipped.ok().filter(|skipped| *skipped == skip).map(|_| body);
    }

    fn again(&mut self, cause: io::Error) -> io::Result<()> {
        let patience = self.inner.client.patience();
        self.breaks += 1;
        if self.breaks >= patience.tries {
            let said = format!("the server sent only {} bytes of object {} ({cause})", self.at, self.oid);
            return Err(io::Error::new(cause.kind(), said));
        }
        std::thread::sleep(super::http::jitter(patience, self.breaks));
        let to = self.range.as_ref().map(|range| range.end.saturating_sub(1));
        let from = (self.at > 0 || to.is_some()).then_some((self.at, to));
        let answer = self.inner.get(&self.oid, from).and_then(|answer| answer.ok_or_else(|| self.inner.missing(&self.oid)));
        self.begin(answer.map_err(|fault: StoreError| io::Error::other(fault))?);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<usize> {
        let Some(hasher) = self.hasher.take() else { return Ok(0) };
        let found = hasher.finish();
        if found.sha256 == self.oid {
            return Ok(0);
        }
        let said = format!("the server sent {} bytes with sha256 {} instead of object {}", found.size, found.sha256, self.oid);
        Err(io::Error::new(io::ErrorKind::InvalidData, said))
    }
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if self.end.is_some_and(|end| self.at >= end) {
                self.body = None;
                return self.finish();
            }
            let left = self.end.map_or(u64::MAX, |end| end - self.at);
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let read = match (&mut self.body, buffer.get_mut(..most)) {
                (Some(body), Some(part)) => body.read(part),
                _ => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection broke")),
            };
            match read {
                Ok(0) if self.end.is_none() => {
                    self.body = None;
                    self.end = Some(self.at);
                }
                Ok(0) => {
                    self.body = None;
                    self.again(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended too early"))?;
                }
                Ok(length) => {
                    self.at += length as u64;
                    self.inner.client.count_received(length as u64);
                    if let Some(hasher) = &mut self.hasher {
                        hasher.update(buffer.get(..length).unwrap_or_default());
                    }
                    return Ok(length);
                }
                Err(fault) => {
                    self.body = None;
                    self.again(fault)?;
                }
            }
        }
    }
}
