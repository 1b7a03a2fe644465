//! What a request to S3 fails with: operation, key, server, status and code, and what to do about it.
//!
//! Never an address with a signature, never a key: only what the server said and names that ddb.toml holds anyway.

use std::error::Error;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

/// What kind of failure it is, for callers that act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// There is no such key.
    Missing,
    /// There is no such bucket.
    NoBucket,
    /// A condition did not hold: somebody else wrote the key.
    Condition,
    /// An upload in parts is not known any more: finished or aborted by somebody else.
    NoUpload,
    /// A range lies behind the end.
    Range,
    /// The server refuses: wrong, expired or insufficient credentials.
    Denied,
    /// No credentials were found.
    NoCredentials,
    /// The server could not be reached, or broke off at every try.
    Unreachable,
    /// The server said at every try that it is overloaded or broken.
    Overloaded,
    /// The bytes that came are not those that were asked for.
    Damaged,
    /// Anything else.
    Other,
}

/// A request to S3 that failed, after all retries.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot {operation} {key} in {place}: {said}{hint}")]
pub struct S3Error {
    /// What was tried.
    pub operation: &'static str,
    /// The whole key, or prefix.
    pub key: Box<str>,
    /// The bucket and the server.
    pub place: Box<str>,
    /// What kind of failure it is.
    pub failed: Failed,
    /// The HTTP status, where an answer came.
    pub status: Option<u16>,
    /// What the server, or the connection, said.
    pub said: Box<str>,
    hint: Box<str>,
}

impl S3Error {
    /// Returns a failure that is no answer of the server's.
    pub(super) fn new(operation: &'static str, key: String, place: String, failed: Failed, said: String) -> Self {
        let hint = hint(failed, "", operation);
        let (key, place, said, hint) = (key.into(), place.into(), said.into(), hint.into());
        Self { operation, key, place, failed, status: None, said, hint }
    }

    /// Returns the failure that the SDK's error means.
    pub(super) fn of<E>(operation: &'static str, key: String, place: String, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let code = error.code().unwrap_or_default();
        let failed = classify(error, status, code);
        let said = match (status, code, error.message()) {
            (Some(status), "", None) => format!("status {status}"),
            (Some(status), "", Some(message)) => format!("status {status}: {}", plain(message)),
            (Some(status), code, None) => format!("status {status} {}", plain(code)),
            (Some(status), code, Some(message)) => format!("status {status} {}: {}", plain(code), plain(message)),
            (None, ..) if failed == Failed::NoCredentials => "no credentials were found".to_owned(),
            (None, ..) => causes(error),
        };
        let hint = hint(failed, code, operation).into();
        Self { operation, key: key.into(), place: place.into(), failed, status, said: said.into(), hint }
    }
}

fn classify<E>(error: &SdkError<E, HttpResponse>, status: Option<u16>, code: &str) -> Failed {
    match (status, code) {
        (_, "NoSuchBucket") => Failed::NoBucket,
        (_, "NoSuchUpload") => Failed::NoUpload,
        (Some(404), _) => Failed::Missing,
        (Some(412), _) | (Some(409), "ConditionalRequestConflict" | "PreconditionFailed") => Failed::Condition,
        (Some(416), _) => Failed::Range,
        (Some(401 | 403), _) | (Some(400), "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired") => Failed::Denied,
        (Some(429 | 500..), _) => Failed::Overloaded,
        (Some(_), _) => Failed::Other,
        (None, _) => match error {
            SdkError::TimeoutError(_) | SdkError::ResponseError(_) => Failed::Unreachable,
            SdkError::DispatchFailure(failure) => {
                let connection = failure.is_timeout() || failure.is_io();
                let text = failure.as_connector_error().map(|fault| chain(fault)).unwrap_or_default().to_lowercase();
                if !connection && (text.contains("credential") || text.contains("identity")) {
                    Failed::NoCredentials
                } else {
                    Failed::Unreachable
                }
            }
            _ => Failed::Other,
        },
    }
}

/// What to do about it.
fn hint(failed: Failed, code: &str, operation: &str) -> String {
    let writes = !["look at", "read", "list"].contains(&operation);
    let text = match (failed, code) {
        (Failed::Denied, "ExpiredToken" | "TokenRefreshRequired") => "the session token has expired; get new credentials",
        (Failed::Denied, "InvalidAccessKeyId") => "the server does not know this access key; check AWS_ACCESS_KEY_ID and the endpoint",
        (Failed::Denied, "SignatureDoesNotMatch") => "the secret key is wrong; check AWS_SECRET_ACCESS_KEY",
        (Failed::Denied, "RequestTimeTooSkewed") => "the clock of this machine and the server's differ; set the clock",
        (Failed::Denied, _) if writes => {
            "these credentials may not write here; check the key's permissions (read-only?), the bucket's policy, and whether a token has expired"
        }
        (Failed::Denied, _) => "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, whether a token has expired, and the bucket's policy",
        (_, "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
            "the bucket is in another region; check region and endpoint in ddb.toml"
        }
        (Failed::NoBucket, _) => "make the bucket first, or check its name, the endpoint and path-style in ddb.toml",
        (Failed::NoCredentials, _) => {
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give a profile, a web identity or a role as for any AWS tool"
        }
        (Failed::Unreachable, _) => "check the endpoint in ddb.toml and the network; the same command can be run again",
        (Failed::Overloaded, _) => "this was the answer at every try; the same command can be run again later",
        _ => return String::new(),
    };
    format!(" ({text})")
}

/// One line of a server's message, not too long, without control characters.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(300).collect()
}

/// The causes of an error in one line, leaving out those that repeat what was said.
fn chain(error: &dyn Error) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut cause = Some(error);
    while let Some(fault) = cause {
        let text = plain(&fault.to_string());
        if !said.iter().any(|before| before.contains(&text)) {
            said.push(text);
        }
        cause = fault.source();
    }
    said.join(": ")
}

/// What an error without an answer says, below the SDK's own names of its stages.
fn causes<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> String {
    match error.source() {
        Some(source) => chain(source),
        None => chain(error),
    }
}
