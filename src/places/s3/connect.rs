//! Makes the SDK's client: the standard AWS credential chain, the proxy that the environment names, timeouts, and which
//! failures are tried again.

use std::time::Duration;

use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::region::ProfileFileRegionProvider;
use aws_sdk_s3::config::interceptors::InterceptorContext;
use aws_sdk_s3::config::retry::{ClassifyRetry, RetryAction, RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, Region, RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

use super::count::Count;
use super::{Credentials, Limits};
use crate::words::archive::BucketSettings;

/// Tries of one request, the first included; waits between them are random, up to doubling limits.
const TRIES: u32 = 8;
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// What the SDK takes where neither environment nor profile names a number of tries.
const TRIES_OF_SDK: u32 = 3;

/// How long a connection may take, and a stream stand still.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
const STANDSTILL: Duration = Duration::from_secs(30);

/// Returns the server's name for messages.
pub(super) fn server(settings: &BucketSettings) -> String {
    match &settings.endpoint {
        None => "Amazon S3".to_owned(),
        Some(endpoint) => match endpoint.split_once("://") {
            Some((scheme, rest)) => format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, host)| host)),
            None => endpoint.clone(),
        },
    }
}

/// Returns the SDK's client. Reads configuration, asks nobody.
pub(super) async fn connect(
    settings: &BucketSettings,
    limits: &Limits,
    count: Count,
    credentials: Option<Credentials>,
) -> aws_sdk_s3::Client {
    let http = aws_smithy_http_client::Builder::new().build_with_connector_fn(|settings, components| {
        let mut connector = Connector::builder().proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.tls_provider(Provider::Rustls(CryptoMode::Ring)).build()
    });
    // Not the SDK's own chain, which would ask a machine of Amazon's for its region and wait where there is none.
    let region = RegionProviderChain::first_try(settings.region.clone().map(Region::new))
        .or_else(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new())
        .or_else(Region::from_static("us-east-1"));
    let shared = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http).region(region).load().await;
    let named = shared.retry_config().map(RetryConfig::max_attempts).filter(|tries| *tries != TRIES_OF_SDK);
    let retries = RetryConfig::standard()
        .with_max_attempts(limits.tries.or(named).unwrap_or(TRIES))
        .with_initial_backoff(FIRST_WAIT)
        .with_max_backoff(LONGEST_WAIT);
    // The SDK's own bucket of retries runs dry when many requests fail at once, which is when retries are needed.
    let partition = RetryPartition::custom("ddb").token_bucket(TokenBucket::unlimited()).build();
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).read_timeout(limits.patience).build();
    let mut builder = Builder::from(&shared)
        .force_path_style(settings.path_style.unwrap_or(settings.endpoint.is_some()))
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .stalled_stream_protection(StalledStreamProtectionConfig::enabled().grace_period(STANDSTILL).build())
        .timeout_config(timeouts)
        .retry_config(retries)
        .retry_partition(partition)
        .retry_classifier(AlsoRetried)
        .interceptor(count);
    if let Some(Credentials { access_key, secret_key, token }) = credentials {
        builder = builder.credentials_provider(aws_sdk_s3::config::Credentials::new(access_key, secret_key, token, None, "ddb"));
    }
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.endpoint_url(endpoint);
    }
    aws_sdk_s3::Client::from_conf(builder.build())
}

/// What is tried again beside what the SDK tries again: 429 whatever its text says, every 5xx but "not implemented", and
/// bytes that were damaged on their way.
#[derive(Debug)]
struct AlsoRetried;

const DAMAGED: [&str; 4] = ["BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"];

impl ClassifyRetry for AlsoRetried {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let Some(response) = context.response() else { return RetryAction::NoActionIndicated };
        match response.status().as_u16() {
            429 | 503 => RetryAction::throttling_error(),
            501 => RetryAction::NoActionIndicated,
            500.. => RetryAction::transient_error(),
            400 if says_one_of(response.body().bytes().unwrap_or_default(), &DAMAGED) => RetryAction::transient_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "retries of ddb"
    }
}

fn says_one_of(body: &[u8], codes: &[&str]) -> bool {
    let text = String::from_utf8_lossy(body);
    codes.iter().any(|code| text.contains(&format!("<Code>{code}</Code>")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_an_endpoint_is_not_said() {
        let settings = |endpoint: &str| BucketSettings {
            bucket: "b".to_owned(),
            endpoint: Some(endpoint.to_owned()),
            region: None,
            prefix: String::new(),
            path_style: None,
        };
        assert_eq!(server(&settings("https://user:secret@s3.example.org:9000")), "https://s3.example.org:9000");
        assert_eq!(server(&settings("http://127.0.0.1:8333")), "http://127.0.0.1:8333");
    }

    #[test]
    fn damage_on_the_way_is_told_from_other_refusals() {
        assert!(says_one_of(b"<Error><Code>BadDigest</Code></Error>", &DAMAGED));
        assert!(!says_one_of(b"<Error><Code>InvalidArgument</Code></Error>", &DAMAGED));
    }
}
