//! The client: it sends calls through the SDK's orchestrator, with our signer and our settings for TLS, time
//! limits and retries.
//!
//! The SDK's own `Client` is not used. It configures each call for all that AWS has: it looks for the region's rules of
//! endpoints, describes the program in two headers, numbers and measures each attempt, and keeps the credentials in a
//! cache that refreshes them. [`Client`] gives the orchestrator only what a call needs here. The SDK still writes and
//! parses the bodies, and it sends, times out and retries (`docs/decisions/0012-calls-without-the-sdks-client.md`).
//!
//! A [`Connection`] has the address of the table and the credentials. The calls are in [`calls`](super::calls), and the
//! time limits are in [`limits`](super::limits).

use aws_sdk_dynamodb::{
    config::{
        Credentials, IdentityCache, Intercept, Layer, RuntimeComponentsBuilder, SharedHttpClient, SharedRuntimePlugin,
        StalledStreamProtectionConfig,
        retry::{RetryConfig, TokenBucket},
        timeout::TimeoutConfig,
    },
    error::SdkError,
};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime::client::{
    http::connection_poisoning::ConnectionPoisoningInterceptor,
    orchestrator::{self, AuthSchemeAndEndpointOrchestrationV2, endpoints::StaticUriEndpointResolver},
    retries::{classifiers::HttpStatusCodeClassifier, strategy::StandardRetryStrategy},
};
use aws_smithy_runtime_api::client::{
    auth::static_resolver::StaticAuthSchemeOptionResolver,
    identity::SharedIdentityResolver,
    runtime_plugin::{RuntimePlugins, StaticRuntimePlugin},
};

use super::{
    calls::Call,
    clock::Clock,
    limits::{ATTEMPT_TIMEOUT, ATTEMPTS, CALL_TIMEOUT, CONNECT_TIMEOUT, INITIAL_BACKOFF, MAX_BACKOFF},
    signer::{NoIdentity, SCHEME, Signer},
};

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

/// The client. Clones share the connections.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// What all calls have in common.
    common: SharedRuntimePlugin,
}

impl Client {
    pub(crate) fn new(connection: &Connection) -> Self {
        Self::with(connection, connection.http_client(), settings())
    }

    pub(super) fn with(connection: &Connection, http_client: SharedHttpClient, settings: Layer) -> Self {
        let (url, clock) = (connection.url(), Clock::default());
        let signer = Signer::new(connection.credentials.clone(), connection.region.clone(), &url, clock.clone());
        let components = RuntimeComponentsBuilder::new("common")
            .with_http_client(Some(http_client))
            .with_endpoint_resolver(Some(StaticUriEndpointResolver::uri(url)))
            .with_auth_scheme_option_resolver(Some(StaticAuthSchemeOptionResolver::new(vec![SCHEME])))
            .with_auth_scheme(signer)
            .with_identity_resolver(SCHEME, SharedIdentityResolver::new(NoIdentity))
            .with_identity_cache(Some(IdentityCache::no_cache()))
            .with_sleep_impl(Some(TokioSleep::new()))
            .with_retry_strategy(Some(StandardRetryStrategy::new()))
            .with_retry_classifier(HttpStatusCodeClassifier::default())
            .with_retry_classifier(clock)
            // Closes a connection on which an attempt failed.
            .with_interceptor(ConnectionPoisoningInterceptor::new());
        let common = StaticRuntimePlugin::new().with_config(settings.freeze()).with_runtime_components(components);
        Self { common: SharedRuntimePlugin::new(common) }
    }

    /// Sends a call, and retries it if that may help.
    pub(crate) async fn send<C: Call>(&self, call: C) -> Result<C::Output, SdkError<C::Error>> {
        self.invoke(call, RuntimePlugins::new()).await
    }

    /// Sends a call like [`Client::send`], with an interceptor of its own.
    pub(crate) async fn send_with<C: Call>(
        &self,
        interceptor: impl Intercept + 'static,
        call: C,
    ) -> Result<C::Output, SdkError<C::Error>> {
        let components = RuntimeComponentsBuilder::new("call").with_interceptor(interceptor);
        let plugin = StaticRuntimePlugin::new().with_runtime_components(components);
        self.invoke(call, RuntimePlugins::new().with_operation_plugin(plugin)).await
    }

    #[expect(clippy::expect_used, reason = "the output and the error are made by the operation's own deserializer")]
    async fn invoke<C: Call>(&self, call: C, own: RuntimePlugins) -> Result<C::Output, SdkError<C::Error>> {
        let input = call.input().map_err(SdkError::construction_failure)?;
        let plugins = own.with_client_plugin(self.common.clone()).with_operation_plugin(C::operation());
        match orchestrator::invoke("DynamoDB", C::NAME, input, &plugins).await {
            Ok(output) => Ok(output.downcast().expect("the output is of the operation")),
            Err(error) => {
                Err(error.map_service_error(|error| error.downcast().expect("the error is of the operation")))
            }
        }
    }
}

/// Returns the time limits and retries of each call.
pub(super) fn settings() -> Layer {
    let retries = RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(INITIAL_BACKOFF)
        .with_max_backoff(MAX_BACKOFF);
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(CALL_TIMEOUT)
        .build();
    let mut settings = Layer::new("common");
    settings
        .store_put(retries)
        .store_put(timeouts)
        // Once the SDK's quota of retries is used up, a call fails at its first error. While a partition is throttled,
        // that would send messages to the dead-letter queue. The limits of attempts and of time are enough.
        .store_put(TokenBucket::unlimited())
        // Not needed: responses are small, and attempts have a time limit.
        .store_put(StalledStreamProtectionConfig::disabled())
        // The endpoint does not depend on the credentials.
        .store_put(AuthSchemeAndEndpointOrchestrationV2);
    settings
}

impl Connection {
    /// Returns the URL of the other engine, or of DynamoDB in the region (AWS General Reference, "Amazon DynamoDB
    /// endpoints and quotas"). China and the European Sovereign Cloud have their own domains.
    fn url(&self) -> String {
        let domain = match self.region.split('-').next() {
            Some("cn") => "amazonaws.com.cn",
            Some("eusc") => "amazonaws.eu",
            _ => "amazonaws.com",
        };
        self.endpoint_url.clone().unwrap_or_else(|| format!("https://dynamodb.{}.{domain}", self.region))
    }

    /// Creates the HTTP client. For AWS's own endpoint it trusts only Amazon's roots, because loading all roots of the
    /// system would take most of the start-up time. For any other HTTPS endpoint it trusts the roots of the system.
    #[must_use]
    pub fn http_client(&self) -> SharedHttpClient {
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
    use aws_sdk_dynamodb::{
        config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _},
        operation::{query::QueryInput, transact_write_items::TransactWriteItemsInput},
    };
    use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
    use rstest::rstest;

    use super::{
        super::canned::{Canned, credentials, response},
        *,
    };

    fn connection(region: &str) -> Connection {
        Connection {
            table_name: "table".to_owned(),
            region: region.to_owned(),
            endpoint_url: None,
            credentials: credentials(),
        }
    }

    #[test]
    fn retries_wait_as_long_as_the_limits_say() {
        let settings = settings();
        let retries = settings.load::<RetryConfig>().unwrap();
        assert_eq!((retries.max_attempts(), retries.initial_backoff()), (ATTEMPTS, INITIAL_BACKOFF));
        assert_eq!((retries.max_backoff(), retries.use_static_exponential_base()), (MAX_BACKOFF, false), "with jitter");
    }

    #[rstest]
    #[tokio::test]
    async fn calls_go_to_the_url_that_the_sdk_would_use(
        #[values("eu-west-1", "us-east-1", "us-gov-west-1", "ap-southeast-7", "cn-north-1", "eusc-de-east-1")]
        region: &str,
    ) {
        let parameters = Params::builder().region(region).build().unwrap();
        let endpoint = DefaultResolver::new().resolve_endpoint(&parameters).await.unwrap();
        assert_eq!(connection(region).url(), endpoint.url());
    }

    #[tokio::test]
    async fn a_request_has_only_the_headers_that_dynamodb_needs() {
        let server = Canned::new([response(200, "{}")]);
        let client = server.client(Credentials::new("id", "secret", Some("token".to_owned()), None, "test"));
        client.send(QueryInput::builder().table_name("table")).await.unwrap();
        let requests = server.requests();
        let mut headers: Vec<_> = requests[0].headers().iter().map(|(name, _)| name).collect();
        headers.sort_unstable();
        let expected =
            ["authorization", "content-length", "content-type", "x-amz-date", "x-amz-security-token", "x-amz-target"];
        assert_eq!((requests[0].method(), headers.as_slice()), ("POST", expected.as_slice()));
        assert_eq!(requests[0].uri(), "https://dynamodb.eu-west-1.amazonaws.com/");
    }

    /// DynamoDB applies requests with the same token once, so a retry after a lost response does not count twice.
    #[tokio::test]
    async fn a_transaction_has_a_token_which_its_retries_repeat() {
        let server = Canned::new([response(500, "{}"), response(200, "{}"), response(200, "{}")]);
        let client = server.client(credentials());
        for _ in 0..2 {
            let transaction = TransactWriteItemsInput::builder().set_transact_items(Some(Vec::new()));
            client.send(transaction).await.unwrap();
        }
        let tokens: Vec<_> = server.requests().iter().map(token).collect();
        assert_eq!((tokens[0].len(), &tokens[0]), (36, &tokens[1]));
        assert_ne!(tokens[1], tokens[2]);
    }

    fn token(request: &HttpRequest) -> String {
        let body: serde_json::Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        body["ClientRequestToken"].as_str().unwrap().to_owned()
    }
}
