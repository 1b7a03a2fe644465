//! Bodies of answers: bytes in memory, or read in chunks by threads that may block.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::task::JoinHandle;

/// Bytes that are read at once: what a connection holds in memory.
const CHUNK: usize = 256 << 10;

/// The body of an answer.
pub enum Content {
    /// From memory.
    Bytes(Bytes),
    /// From a reader, which must give exactly this many bytes; more are left out, fewer break the connection.
    Stream {
        /// The reader.
        reader: Box<dyn Read + Send>,
        /// How many bytes.
        length: u64,
    },
}

impl Content {
    /// Returns the length in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Stream { length, .. } => *length,
        }
    }
}

type Reader = Box<dyn Read + Send>;

/// A body on its way to the client.
pub(super) enum Sent {
    Nothing,
    Bytes(Bytes),
    Ready { reader: Reader, left: u64 },
    Reading { task: JoinHandle<(Reader, io::Result<Bytes>)>, left: u64 },
}

impl From<Content> for Sent {
    fn from(content: Content) -> Self {
        match content {
            Content::Bytes(bytes) if bytes.is_empty() => Self::Nothing,
            Content::Bytes(bytes) => Self::Bytes(bytes),
            Content::Stream { length: 0, .. } => Self::Nothing,
            Content::Stream { reader, length } => Self::Ready { reader, left: length },
        }
    }
}

fn read(mut reader: Reader, left: u64) -> (Reader, io::Result<Bytes>) {
    let wanted = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
    let mut chunk = Vec::with_capacity(wanted);
    // Not one `read`: a store may give bytes in drops, and each drop costs a thread's turn.
    let done = (&mut reader).take(wanted as u64).read_to_end(&mut chunk);
    let whole = done.and_then(|length| if length < wanted { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Bytes::from(chunk)) });
    (reader, whole)
}

impl Body for Sent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            match std::mem::replace(&mut *self, Self::Nothing) {
                Self::Nothing => return Poll::Ready(None),
                Self::Bytes(bytes) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Self::Ready { reader, left } => {
                    *self = Self::Reading { task: tokio::task::spawn_blocking(move || read(reader, left)), left };
                }
                Self::Reading { mut task, left } => {
                    let Poll::Ready(done) = Pin::new(&mut task).poll(cx) else {
                        *self = Self::Reading { task, left };
                        return Poll::Pending;
                    };
                    let (reader, chunk) = done.map_err(io::Error::other)?;
                    let chunk = chunk?;
                    let left = left - chunk.len() as u64;
                    if left > 0 {
                        *self = Self::Ready { reader, left };
                    }
                    return Poll::Ready(Some(Ok(Frame::data(chunk))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Nothing => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Ready { left, .. } | Self::Reading { left, .. } => *left,
        })
    }
}
