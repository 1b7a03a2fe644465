//! The bytes of a key as they come: counted, gone on with where a connection broke, never accepted when short.

use std::io::{self, Read};
use std::ops::Range;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use bytes::{Buf as _, Bytes};

use super::{Client, Failed, Head, S3Error, bare, runtime};
use crate::words::date::Timestamp;

/// After so many bytes in one answer the connection is good, and the count of those that broke begins anew.
const ENOUGH: u64 = 256 << 10;

/// An open download.
pub struct Body {
    client: Client,
    key: String,
    /// What the server says about the key; `size` is that of the whole, also where only a part is read.
    pub head: Head,
    stream: Option<ByteStream>,
    chunk: Bytes,
    position: u64,
    end: u64,
    /// How often it broke off since it last got on well, and where it was then.
    failures: u32,
    went_on_at: u64,
}

impl Body {
    /// Returns how many bytes will have come at the end.
    pub fn length(&self) -> u64 {
        self.end - self.position + self.chunk.len() as u64
    }
}

impl Client {
    pub(super) fn open(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Body>, S3Error> {
        if range.as_ref().is_some_and(Range::is_empty) {
            let Some(head) = self.head(key)? else { return Ok(None) };
            return Ok(Some(self.body(key, head, None, 0..0)));
        }
        let start = range.as_ref().map_or(0, |range| range.start);
        let asked = range.as_ref().map(|range| format!("bytes={}-{}", range.start, range.end - 1));
        match self.fetch(key, asked, None) {
            Ok((head, stream, length)) => Ok(Some(self.body(key, head, Some(stream), start..start + length))),
            Err(fault) if fault.failed == Failed::Missing => Ok(None),
            Err(fault) if fault.failed == Failed::Range => {
                let Some(head) = self.head(key)? else { return Ok(None) };
                Ok(Some(self.body(key, head, None, 0..0)))
            }
            Err(fault) => Err(fault),
        }
    }

    fn body(&self, key: &str, head: Head, stream: Option<ByteStream>, range: Range<u64>) -> Body {
        Body {
            client: self.clone(),
            key: key.to_owned(),
            head,
            stream,
            chunk: Bytes::new(),
            position: range.start,
            end: range.end,
            failures: 0,
            went_on_at: range.start,
        }
    }

    /// Sends a GET and returns what the head says, the bytes, and how many will come.
    fn fetch(&self, key: &str, range: Option<String>, etag: Option<&str>) -> Result<(Head, ByteStream, u64), S3Error> {
        let request =
            self.sdk().get_object().bucket(self.bucket()).key(self.key(key)).set_range(range.clone()).set_if_match(etag.map(str::to_owned));
        let answer = self.send("read", key, request.send())?;
        let length = self.length("read", key, answer.content_length())?;
        let mut size = length;
        if let Some(asked) = range {
            let (from, whole) = answer.content_range().and_then(content_range).unzip();
            let wanted = asked.strip_prefix("bytes=").and_then(|asked| asked.split('-').next()).and_then(|from| from.parse::<u64>().ok());
            if from != wanted && (from.is_some() || wanted != Some(0)) {
                return Err(self.fault("read", key, Failed::Damaged, format!("the server was asked for {asked} and sent another part")));
            }
            size = whole.unwrap_or(length);
        }
        let head = Head {
            size,
            etag: bare(answer.e_tag()),
            content_type: answer.content_type().map(str::to_owned),
            cache_control: answer.cache_control().map(str::to_owned),
            sha256: super::said_hash(answer.metadata()),
            modified: Timestamp(answer.last_modified().map_or(0, |time| time.secs())),
        };
        Ok((head, answer.body, length))
    }
}

/// Reads `bytes 5-9/10`.
fn content_range(text: &str) -> Option<(u64, u64)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, size.parse().ok()?))
}

impl Body {
    /// Fetches what is missing in a new request, if it is still the same content.
    fn go_on(&mut self, fault: &str) -> io::Result<()> {
        self.stream = None;
        self.failures += 1;
        self.went_on_at = self.position;
        let so_far = format!("it broke off after {} bytes: {fault}", self.position);
        if self.failures >= self.client.inner.tries {
            let error = self.client.fault("read", &self.key, Failed::Unreachable, so_far);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, error));
        }
        let most = 100_u64 << self.failures.min(6);
        std::thread::sleep(Duration::from_millis(fastrand::u64(0..=most)));
        let range = format!("bytes={}-{}", self.position, self.end - 1);
        let (head, stream, length) = self.client.fetch(&self.key, Some(range), None).map_err(io::Error::other)?;
        if head.etag != self.head.etag || length != self.end - self.position {
            let error = self.client.fault("read", &self.key, Failed::Damaged, "it was written anew while it was read");
            return Err(io::Error::other(error));
        }
        self.stream = Some(stream);
        Ok(())
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            if self.position == self.end {
                return Ok(0);
            }
            let Some(stream) = &mut self.stream else {
                self.go_on("no answer")?;
                continue;
            };
            match runtime::block_on(self.client.inner.runtime, stream.next()) {
                Some(Ok(chunk)) => {
                    self.client.inner.count.received(chunk.len() as u64);
                    if chunk.len() as u64 > self.end - self.position {
                        let error = self.client.fault("read", &self.key, Failed::Damaged, "more bytes came than were announced");
                        return Err(io::Error::other(error));
                    }
                    self.position += chunk.len() as u64;
                    if self.position - self.went_on_at >= ENOUGH {
                        self.failures = 0;
                    }
                    self.chunk = chunk;
                }
                Some(Err(fault)) => self.go_on(&fault.to_string())?,
                None => self.go_on("the connection was closed")?,
            }
        }
        let length = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(buffer.get_mut(..length).unwrap_or_default());
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_says_where_the_part_begins_and_how_long_the_whole_is() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, 10)));
        assert_eq!(content_range("bytes */10"), None);
    }
}
