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

use super::limits::{ATTEMPT_TIMEOUT, ATTEMPTS, CALL_TIMEOUT, CONNECT_TIMEOUT, MAX_BACKOFF};
use crate::config::{ConfigError, Lookup, optional, required};

/// Amazon Trust Services' roots, which AWS's endpoints are known by.
const AMAZON_ROOTS: &[u8] = include_bytes!("amazon_roots.pem");

/// Where the table is and who may use it, from the variables that Lambda and the template set.
#[derive(Debug, Clone)]
pub struct TableConfig {
    pub(super) table_name: String,
    region: String,
    endpoint_url: Option<String>,
    credentials: Credentials,
}

impl TableConfig {
    /// Reads `TABLE_NAME` (the template's), `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`
    /// (Lambda's own) and, for another engine than AWS's, `AWS_ENDPOINT_URL_DYNAMODB` or `AWS_ENDPOINT_URL`.
    ///
    /// # Errors
    ///
    /// The variable that is missing.
    pub fn from_lookup(lookup: Lookup<'_>) -> Result<Self, ConfigError> {
        let endpoint_url = match optional(lookup, "AWS_ENDPOINT_URL_DYNAMODB")? {
            Some(url) => Some(url),
            None => optional(lookup, "AWS_ENDPOINT_URL")?,
        };
        let access_key_id: String = required(lookup, "AWS_ACCESS_KEY_ID")?;
        let secret_access_key: String = required(lookup, "AWS_SECRET_ACCESS_KEY")?;
        let session_token = optional(lookup, "AWS_SESSION_TOKEN")?;
        Ok(Self {
            table_name: required(lookup, "TABLE_NAME")?,
            region: required(lookup, "AWS_REGION")?,
            endpoint_url,
            credentials: Credentials::new(access_key_id, secret_access_key, session_token, None, "environment"),
        })
    }

    /// A client with these settings: our TLS, time limits and retries.
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
            // A quota of retries, after which each call fails at once, would send messages to the dead letters while a partition
            // is throttled. What bounds retries here is their number and their time.
            .retry_partition(RetryPartition::custom("table").token_bucket(TokenBucket::unlimited()).build())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS).with_max_backoff(MAX_BACKOFF))
            .timeout_config(timeouts)
            // Answers are small and attempts have a time limit.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(url) = &self.endpoint_url {
            config = config.endpoint_url(url);
        }
        Client::from_conf(config.build())
    }

    /// Whom it trusts: of AWS's own endpoint only the roots that it is known by, since reading all roots of a system takes most
    /// of a start; of any other, those of the system.
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
    fn a_missing_variable_is_named_and_no_secret_is_shown() {
        let set = |name: &str| (name != "AWS_SESSION_TOKEN").then(|| format!("the-{name}"));
        let config = TableConfig::from_lookup(&set).unwrap();
        assert!(!format!("{config:?}").contains("the-AWS_SECRET_ACCESS_KEY"));

        for missing in ["TABLE_NAME", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            let lookup = |name: &str| (name != missing).then(|| format!("the-{name}"));
            let error = TableConfig::from_lookup(&lookup).unwrap_err();
            assert_eq!(error, ConfigError::Missing(missing));
        }
    }
}
