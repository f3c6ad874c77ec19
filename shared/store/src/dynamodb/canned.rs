//! A DynamoDB with canned responses, for tests.

use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::config::{Credentials, Layer, retry::RetryConfig};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
    orchestrator::{HttpRequest, HttpResponse},
};

use super::{Client, Connection, client::settings};

/// A server that gives its responses in turn and keeps the requests.
#[derive(Debug, Clone)]
pub(crate) struct Canned {
    /// The last one first.
    responses: Arc<Mutex<Vec<HttpResponse>>>,
    requests: Arc<Mutex<Vec<HttpRequest>>>,
}

impl Canned {
    pub(crate) fn new(responses: impl IntoIterator<Item = HttpResponse>) -> Self {
        let mut responses: Vec<_> = responses.into_iter().collect();
        responses.reverse();
        Self { responses: Arc::new(Mutex::new(responses)), requests: Arc::default() }
    }

    /// Returns a client of the server.
    pub(crate) fn client(&self, credentials: Credentials) -> Client {
        self.client_with(credentials, settings())
    }

    /// Returns a client of the server that never retries.
    pub(crate) fn client_without_retries(&self) -> Client {
        let mut settings = settings();
        settings.store_put(RetryConfig::disabled());
        self.client_with(credentials(), settings)
    }

    /// Returns the requests since the last time.
    pub(crate) fn requests(&self) -> Vec<HttpRequest> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }

    fn client_with(&self, credentials: Credentials, settings: Layer) -> Client {
        let (table_name, region) = ("table".to_owned(), "eu-west-1".to_owned());
        let connection = Connection { table_name, region, endpoint_url: None, credentials };
        let connector = SharedHttpConnector::new(self.clone());
        Client::with(&connection, http_client_fn(move |_, _| connector.clone()), settings)
    }
}

impl HttpConnector for Canned {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.requests.lock().unwrap().push(request);
        HttpConnectorFuture::ready(Ok(self.responses.lock().unwrap().pop().unwrap()))
    }
}

pub(crate) fn credentials() -> Credentials {
    Credentials::new("id", "secret", None, None, "test")
}

pub(crate) fn response(status: u16, body: &str) -> HttpResponse {
    HttpResponse::new(status.try_into().unwrap(), body.to_owned().into())
}
