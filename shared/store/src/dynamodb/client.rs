//! The client: its TLS, time limits and retries.
//!
//! A [`Connection`] has the address of the table and the credentials. The time limits are in [`limits`](super::limits).

use aws_sdk_dynamodb::{
    Client, Config,
    config::{
        BehaviorVersion, Credentials, Region, SharedHttpClient, StalledStreamProtectionConfig,
        retry::{RetryConfig, RetryPartition, TokenBucket},
        timeout::TimeoutConfig,
    },
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};

use super::limits::{ATTEMPT_TIMEOUT, ATTEMPTS, CALL_TIMEOUT, CONNECT_TIMEOUT, INITIAL_BACKOFF, MAX_BACKOFF};

/// Amazon Trust Services' root certificates, which sign the certificates of AWS endpoints.
const AMAZON_ROOTS: &[u8] = include_bytes!("amazon_roots.pem");

/// The address of the table and the credentials for it.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The name of the table.
    pub table_name: String,
    /// The AWS region.
    pub region: String,
    /// The URL of another engine, used instead of DynamoDB.
    pub endpoint_url: Option<String>,
    /// The credentials that sign each call.
    pub credentials: Credentials,
}

impl Connection {
    /// Creates a client with these settings and our TLS, time limits and retries.
    #[must_use]
    pub fn client(&self) -> Client {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(CALL_TIMEOUT)
            .build();
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(self.http_client())
            .region(Region::new(self.region.clone()))
            .credentials_provider(self.credentials.clone())
            // Once the SDK's quota of retries is used up, a call fails at its first error. While a partition is
            // throttled, that would send messages to the dead-letter queue. The limits of attempts and of time are
            // enough.
            .retry_partition(RetryPartition::custom("table").token_bucket(TokenBucket::unlimited()).build())
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(ATTEMPTS)
                    .with_initial_backoff(INITIAL_BACKOFF)
                    .with_max_backoff(MAX_BACKOFF),
            )
            .timeout_config(timeouts)
            // Not needed: responses are small, and attempts have a time limit.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(url) = &self.endpoint_url {
            config = config.endpoint_url(url);
        }
        Client::from_conf(config.build())
    }

    /// Creates the HTTP client. For AWS's own endpoint it trusts only Amazon's roots, because loading all roots of the
    /// system would take most of the start-up time. For any other HTTPS endpoint it trusts the roots of the system.
    fn http_client(&self) -> SharedHttpClient {
        let roots = match &self.endpoint_url {
            Some(url) if url.starts_with("http://") => return Builder::new().build_http(),
            Some(_) => TrustStore::default(),
            None => TrustStore::empty().with_pem_certificate(AMAZON_ROOTS),
        };
        let builder = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
        match TlsContext::builder().with_trust_store(roots).build() {
            Ok(context) => builder.tls_context(context).build_https(),
            Err(_) => builder.build_https(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_wait_as_long_as_the_limits_say() {
        let connection = Connection {
            table_name: "table".to_owned(),
            region: "eu-west-1".to_owned(),
            endpoint_url: Some("http://127.0.0.1:1".to_owned()),
            credentials: Credentials::new("id", "secret", None, None, "test"),
        };
        let client = connection.client();
        let Some(retries) = client.config().retry_config() else { panic!("the client retries") };
        assert_eq!((retries.max_attempts(), retries.initial_backoff()), (ATTEMPTS, INITIAL_BACKOFF));
        assert_eq!((retries.max_backoff(), retries.use_static_exponential_base()), (MAX_BACKOFF, false), "with jitter");
    }
}
