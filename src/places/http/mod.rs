//! An HTTP/1.1 server for answers that are made by blocking code: bounded in connections, header sizes and times.
//!
//! Async stays in here. A request is read whole (its body only for POST, and only up to a limit), answered on a thread that may
//! block, and the body of the answer is sent in chunks, one in memory for each connection. What breaks in the middle of a body
//! breaks the connection, so that no client takes a part for the whole.

mod body;
mod stream;

use std::future::poll_fn;
use std::net::TcpListener;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};

use crate::formats::http::conditional::Asked;
pub use body::Content;
use body::Sent;
use stream::Guarded;

/// What a server takes upon itself.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections that are served at once. As many again wait for their turn; others get 503.
    pub connections: usize,
    /// Requests that are worked on at once, and chunks that are read from objects.
    pub workers: usize,
    /// How long a connection may take for the header of a request, or rest between two requests.
    pub header_time: Duration,
    /// Longest header of a request in bytes.
    pub header_size: usize,
    /// How long a client may take nothing of an answer.
    pub stall: Duration,
    /// How long a connection waits for its turn.
    pub turn: Duration,
    /// Longest body of a POST in bytes.
    pub body_size: usize,
    /// How long the body of a POST may take.
    pub body_time: Duration,
    /// How long running answers may take when the server is to stop.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            workers: 32,
            header_time: Duration::from_secs(20),
            header_size: 16 << 10,
            stall: Duration::from_secs(30),
            turn: Duration::from_secs(5),
            body_size: 1 << 20,
            body_time: Duration::from_secs(20),
            grace: Duration::from_secs(10),
        }
    }
}

/// How many header fields a request may have.
const FIELDS: usize = 64;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `HEAD` or `POST`.
    pub method: String,
    /// The path as it came, without the query.
    pub path: String,
    /// The header fields whose values are text, in lower case and in the order in which they came.
    pub fields: Vec<(String, String)>,
    /// The body, of a POST only.
    pub body: Vec<u8>,
}

impl Request {
    /// Returns the value of a field, by its name in lower case; `None` where it is missing or stands twice.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str());
        values.next().filter(|_| values.next().is_none())
    }

    /// Returns what the client has already, and the part that it wants.
    pub fn asked(&self) -> Asked<'_> {
        Asked {
            if_none_match: self.field("if-none-match"),
            if_modified_since: self.field("if-modified-since"),
            if_range: self.field("if-range"),
            range: self.field("range"),
        }
    }
}

/// An answer.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Header fields by their names in lower case, without `content-length`.
    pub fields: Vec<(&'static str, String)>,
    /// The body. For HEAD its length is told and nothing is sent.
    pub content: Content,
}

/// What was asked and answered, for a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The method.
    pub method: String,
    /// The path as it came, without the query.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
    /// Length of the answer's body in bytes; for HEAD, of what GET would give.
    pub length: u64,
    /// How long it took until the answer began.
    pub took: Duration,
}

/// Answers requests, on any thread.
pub type Answerer = Arc<dyn Fn(&Request) -> Answer + Send + Sync>;

/// Is told every exchange.
pub type Log = Arc<dyn Fn(Exchange) + Send + Sync>;

/// Why a server cannot run.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation}")]
pub struct ServerError {
    /// What was tried.
    operation: String,
    /// The cause.
    #[source]
    source: std::io::Error,
}

fn failed(operation: impl Into<String>) -> impl FnOnce(std::io::Error) -> ServerError {
    let operation = operation.into();
    move |source| ServerError { operation, source }
}

/// Listens at an address such as `127.0.0.1:8080`; port 0 takes any that is free.
///
/// # Errors
/// The address is taken or not this machine's.
pub fn listen(address: &str) -> Result<TcpListener, ServerError> {
    let listener = TcpListener::bind(address).map_err(failed(format!("listen at {address}")))?;
    listener.set_nonblocking(true).map_err(failed(format!("listen at {address}")))?;
    Ok(listener)
}

/// Serves until SIGTERM or SIGINT comes: then nothing new is taken, and what runs is finished within the grace time. `ready` is
/// called when it listens, to clients and signals.
///
/// # Errors
/// The server cannot be started.
pub fn serve(listener: TcpListener, limits: &Limits, answerer: &Answerer, log: &Log, ready: impl FnOnce()) -> Result<(), ServerError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(limits.workers)
        .enable_all()
        .build()
        .map_err(failed("start the server's threads"))?;
    let served = runtime.block_on(accept_all(listener, limits, answerer, log, ready));
    runtime.shutdown_timeout(Duration::from_millis(200));
    served
}

async fn accept_all(
    listener: TcpListener,
    limits: &Limits,
    answerer: &Answerer,
    log: &Log,
    ready: impl FnOnce(),
) -> Result<(), ServerError> {
    let listener = tokio::net::TcpListener::from_std(listener).map_err(failed("listen"))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed("wait for SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed("wait for SIGINT"))?;
    let turns = Arc::new(Semaphore::new(limits.connections));
    let room = Arc::new(Semaphore::new(limits.connections.saturating_mul(2)));
    let (stop, stopping) = watch::channel(false);
    let service = Service { limits: Arc::new(limits.clone()), answerer: Arc::clone(answerer), log: Arc::clone(log) };
    ready();
    loop {
        let next = poll_fn(|cx| match terminate.poll_recv(cx).is_ready() || interrupt.poll_recv(cx).is_ready() {
            true => Poll::Ready(None),
            false => listener.poll_accept(cx).map(Some),
        });
        let Some(accepted) = next.await else { break };
        let Ok((stream, _)) = accepted else {
            // Too many open files, or a client that hung up at once: both pass.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(seat) = Arc::clone(&room).try_acquire_owned() else {
            tokio::spawn(turn_away(stream));
            continue;
        };
        let (turns, service, stopping) = (Arc::clone(&turns), service.clone(), stopping.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(service.limits.turn, turns.acquire_owned()).await {
                Ok(Ok(turn)) => {
                    service.connection(stream, stopping).await;
                    drop(turn);
                }
                _ => turn_away(stream).await,
            }
            drop(seat);
        });
    }
    drop(listener);
    let _ = stop.send(true);
    let all = u32::try_from(limits.connections.saturating_mul(2)).unwrap_or(u32::MAX);
    // Whoever takes longer than that is cut off when the threads end.
    let _ = tokio::time::timeout(limits.grace, room.acquire_many(all)).await;
    Ok(())
}

const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

async fn turn_away(mut stream: TcpStream) {
    let _ = tokio::time::timeout(Duration::from_secs(1), async {
        stream.write_all(BUSY).await?;
        stream.shutdown().await
    })
    .await;
}

#[derive(Clone)]
struct Service {
    limits: Arc<Limits>,
    answerer: Answerer,
    log: Log,
}

impl Service {
    async fn connection(&self, stream: TcpStream, mut stopping: watch::Receiver<bool>) {
        let _ = stream.set_nodelay(true);
        let io = TokioIo::new(Guarded::new(stream, self.limits.stall));
        let service = service_fn(|request| async { Ok::<_, std::convert::Infallible>(self.respond(request).await) });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_time)
            .max_buf_size(self.limits.header_size.max(8 << 10))
            .max_headers(FIELDS)
            .half_close(false)
            .serve_connection(io, service);
        let mut connection = std::pin::pin!(connection);
        // What ends a connection early is the client's doing, and there is nobody to tell.
        if *stopping.borrow_and_update() {
            return;
        }
        let mut stop = std::pin::pin!(stopping.changed());
        let ended = poll_fn(|cx| match connection.as_mut().poll(cx).is_ready() {
            true => Poll::Ready(true),
            false => stop.as_mut().poll(cx).map(|_| false),
        });
        if !ended.await {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }

    async fn respond(&self, request: hyper::Request<Incoming>) -> hyper::Response<Sent> {
        let begun = Instant::now();
        let (method, path) = (request.method().as_str().to_owned(), request.uri().path().to_owned());
        let answer = match self.read(request).await {
            Ok(request) => {
                let answerer = Arc::clone(&self.answerer);
                let done = tokio::task::spawn_blocking(move || answerer(&request)).await;
                done.unwrap_or_else(|_| refusal(500, "this request could not be answered"))
            }
            Err(answer) => answer,
        };
        let length = answer.content.length();
        (self.log)(Exchange { method: method.clone(), path, status: answer.status, length, took: begun.elapsed() });
        response(answer, method == "HEAD")
    }

    async fn read(&self, request: hyper::Request<Incoming>) -> Result<Request, Answer> {
        let method = request.method().as_str().to_owned();
        if !["GET", "HEAD", "POST"].contains(&method.as_str()) {
            let mut answer = refusal(405, "only GET, HEAD and, for the Git-LFS batch API, POST are answered");
            answer.fields.push(("allow", "GET, HEAD, POST".to_owned()));
            return Err(answer);
        }
        let path = request.uri().path().to_owned();
        let text = |(name, value): (&HeaderName, &HeaderValue)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()));
        let fields = request.headers().iter().filter_map(text).collect();
        let body = if method == "POST" { self.read_body(request).await? } else { Vec::new() };
        Ok(Request { method, path, fields, body })
    }

    async fn read_body(&self, request: hyper::Request<Incoming>) -> Result<Vec<u8>, Answer> {
        let limit = self.limits.body_size;
        let told = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if told.is_some_and(|length| length > limit) {
            return Err(refusal(413, "the body is too long"));
        }
        match tokio::time::timeout(self.limits.body_time, Limited::new(request.into_body(), limit).collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes().to_vec()),
            Ok(Err(fault)) if fault.is::<http_body_util::LengthLimitError>() => Err(refusal(413, "the body is too long")),
            Ok(Err(_)) => Err(refusal(400, "the body cannot be read")),
            Err(_) => Err(refusal(408, "the body took too long")),
        }
    }
}

/// Returns an answer that is one line of text.
pub fn refusal(status: u16, text: &str) -> Answer {
    let fields = vec![("content-type", "text/plain; charset=utf-8".to_owned()), ("cache-control", "no-store".to_owned())];
    Answer { status, fields, content: Content::Bytes(Bytes::from(format!("{text}\n"))) }
}

fn response(answer: Answer, head: bool) -> hyper::Response<Sent> {
    let Answer { status, fields, content } = answer;
    let length = content.length();
    let without = head || status == 304;
    let mut response = hyper::Response::new(if without { Sent::Nothing } else { Sent::from(content) });
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    for (name, value) in fields {
        // A value that is no header's is left out rather than sent in another form.
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    if status != 304 {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}
