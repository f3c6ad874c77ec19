//! One line of the log per request: who asked for what, what came of it, how long it took; and one per wallet whose events it
//! brought. No key, token, device or body.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use http::StatusCode;
use lambda_http::{Request, RequestExt as _, request::RequestContext};
use tracing::{error, info};

use super::error::ApiError;
use crate::{
    event_counts::{EventCounts, Fate},
    id::AccountId,
    registration::Wallet,
};

/// What is told of a request, gathered on its way. A clone gathers for the same line.
#[derive(Debug, Clone)]
pub struct RequestLog {
    /// API Gateway's, which the caller has from the answer's `apigw-requestid`.
    request_id: String,
    /// Lambda's.
    invocation_id: String,
    route: String,
    begin: Instant,
    gathered: Arc<Mutex<Gathered>>,
}

#[derive(Debug, Clone, Default)]
struct Gathered {
    account_id: Option<AccountId>,
    listed: usize,
    events: EventCounts,
}

impl RequestLog {
    /// Begins the line of a request and puts it into the request, where the others find it.
    pub(super) fn begin(request: &mut Request) -> Self {
        let (request_id, route) = match request.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => (context.request_id.clone(), context.route_key.clone()),
            _ => (None, None),
        };
        let (request_id, route) = (request_id.unwrap_or_default(), route.unwrap_or_default());
        let invocation_id = request.lambda_context().request_id;
        let log = Self { request_id, invocation_id, route, begin: Instant::now(), gathered: Arc::default() };
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

    /// Says what became of an event, of the wallet that it names.
    pub fn event(request: &Request, wallet: Option<Wallet>, fate: Fate) {
        Self::gather(request, |gathered| gathered.events.add(wallet, fate));
    }

    /// Writes the line, and those of the events.
    pub(super) fn answered(&self, status: StatusCode, error: Option<&ApiError>) {
        let Self { request_id, invocation_id, route, begin, gathered } = self;
        let Gathered { account_id, listed, events } = gathered.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let account_id = account_id.as_ref().map(AccountId::as_str);
        events.log(request_id);
        let written = events.applied();
        let (status, milliseconds) = (status.as_u16(), u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX));
        let error_code = error.map(|error| error.code().as_str());
        match error.and_then(ApiError::cause) {
            Some(cause) => {
                error!(
                    request_id,
                    invocation_id,
                    route,
                    account_id,
                    status,
                    milliseconds,
                    listed,
                    written,
                    error_code,
                    cause,
                    "failed"
                );
            }
            None => {
                info!(
                    request_id,
                    invocation_id, route, account_id, status, milliseconds, listed, written, error_code, "answered"
                );
            }
        }
    }

    fn gather(request: &Request, change: impl FnOnce(&mut Gathered)) {
        if let Some(log) = request.extensions().get::<Self>() {
            change(&mut log.gathered.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}
