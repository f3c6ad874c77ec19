//! One line of the log per request: who asked for what, what came of it, how long it took. No key, token, device or body.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use http::StatusCode;
use lambda_http::{Request, RequestExt as _, request::RequestContext};
use tracing::{error, info};

use super::error::ApiError;
use crate::id::AccountId;

/// What is told of a request, gathered on its way. A clone gathers for the same line.
#[derive(Debug, Clone)]
pub struct RequestLog {
    request_id: String,
    route: String,
    begin: Instant,
    gathered: Arc<Mutex<Gathered>>,
}

#[derive(Debug, Clone, Default)]
struct Gathered {
    account_id: Option<AccountId>,
    listed: usize,
    written: usize,
}

impl RequestLog {
    /// Begins the line of a request and puts it into the request, where the others find it.
    pub(super) fn begin(request: &mut Request) -> Self {
        let route = match request.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => context.route_key.clone().unwrap_or_default(),
            _ => String::new(),
        };
        let request_id = request.lambda_context().request_id;
        let log = Self { request_id, route, begin: Instant::now(), gathered: Arc::default() };
        request.extensions_mut().insert(log.clone());
        log
    }

    /// Says whose key it was.
    pub fn account(request: &Request, account_id: &AccountId) {
        Self::gather(request, |gathered| gathered.account_id = Some(account_id.clone()));
    }

    /// Says how many registrations the answer lists.
    pub fn listed(request: &Request, registrations: usize) {
        Self::gather(request, |gathered| gathered.listed += registrations);
    }

    /// Says how many events changed an item.
    pub fn written(request: &Request, events: usize) {
        Self::gather(request, |gathered| gathered.written += events);
    }

    /// Writes the line.
    pub(super) fn answered(&self, status: StatusCode, error: Option<&ApiError>) {
        let Self { request_id, route, begin, gathered } = self;
        let Gathered { account_id, listed, written } = gathered.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let account_id = account_id.as_ref().map(AccountId::as_str);
        let (status, milliseconds) = (status.as_u16(), u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX));
        let error_code = error.map(|error| error.code().as_str());
        match error.and_then(ApiError::cause) {
            Some(cause) => {
                error!(
                    request_id,
                    route, account_id, status, milliseconds, listed, written, error_code, cause, "failed"
                );
            }
            None => {
                info!(request_id, route, account_id, status, milliseconds, listed, written, error_code, "answered");
            }
        }
    }

    fn gather(request: &Request, change: impl FnOnce(&mut Gathered)) {
        if let Some(log) = request.extensions().get::<Self>() {
            change(&mut log.gathered.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}
