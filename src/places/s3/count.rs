//! Counts what really goes over the network: every attempt, retries included, seen where the SDK hands it to the connection;
//! and remembers what time it is at the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use aws_sdk_s3::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};

use crate::places::requests::Requests;
use crate::words::date::Timestamp;

/// Counters that all clones of a client share.
#[derive(Debug, Clone, Default)]
pub(super) struct Count(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    reads: AtomicU64,
    writes: AtomicU64,
    copies: AtomicU64,
    removals: AtomicU64,
    listings: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    /// The server's time in its last answer, in seconds since 1970; 0 where it told none.
    time: AtomicI64,
}

impl Count {
    pub(super) fn received(&self, bytes: u64) {
        self.0.received.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Returns the server's time in its last answer.
    pub(super) fn time(&self) -> Option<Timestamp> {
        Some(Timestamp(self.0.time.load(Ordering::Relaxed))).filter(|time| time.0 > 0)
    }

    pub(super) fn requests(&self) -> Requests {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.0;
        Requests {
            reads: read(&counters.reads),
            writes: read(&counters.writes),
            copies: read(&counters.copies),
            removals: read(&counters.removals),
            listings: read(&counters.listings),
            bytes_sent: read(&counters.sent),
            bytes_received: read(&counters.received),
        }
    }

    fn kind(&self, method: &str, uri: &str, copies: bool) -> &AtomicU64 {
        let query = uri.split_once('?').map(|(_, query)| query).unwrap_or_default();
        let asks = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        match method {
            "PUT" | "POST" if copies => &self.0.copies,
            "PUT" | "POST" => &self.0.writes,
            "DELETE" => &self.0.removals,
            "GET" if asks("list-type") || asks("uploads") || asks("uploadId") => &self.0.listings,
            _ => &self.0.reads,
        }
    }
}

impl Intercept for Count {
    fn name(&self) -> &'static str {
        "requests of ddb"
    }

    /// Ceph's gateway takes no PUT without a length, and the SDK names none where there is no body, as for copies.
    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let empty = request.body().content_length() == Some(0) && !request.headers().contains_key("content-length");
        if empty && matches!(request.method(), "PUT" | "POST") {
            request.headers_mut().insert("content-length", "0");
        }
        Ok(())
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let copies = request.headers().contains_key("x-amz-copy-source");
        self.kind(request.method(), request.uri(), copies).fetch_add(1, Ordering::Relaxed);
        let length = request.body().content_length().unwrap_or_default();
        self.0.sent.fetch_add(length, Ordering::Relaxed);
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok());
        if let Some(date) = date {
            self.0.time.store(date.secs(), Ordering::Relaxed);
        }
        // Bodies that are streamed to the caller are counted as they are read.
        if let Some(bytes) = context.response().body().bytes() {
            self.received(bytes.len() as u64);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_what_they_do() {
        let count = Count::default();
        for (method, uri, copies) in [
            ("GET", "http://s/b/k?x-id=GetObject", false),
            ("HEAD", "http://s/b/k", false),
            ("GET", "http://s/b/?list-type=2&prefix=x", false),
            ("GET", "http://s/b/?uploads&prefix=x", false),
            ("PUT", "http://s/b/k?x-id=PutObject", false),
            ("PUT", "http://s/b/k?x-id=CopyObject", true),
            ("POST", "http://s/b/k?uploads", false),
            ("DELETE", "http://s/b/k", false),
        ] {
            count.kind(method, uri, copies).fetch_add(1, Ordering::Relaxed);
        }
        let found = count.requests();
        assert_eq!((found.reads, found.writes, found.copies, found.removals, found.listings), (2, 2, 1, 1, 2));
        assert_eq!(found.total(), 8);
    }
}
