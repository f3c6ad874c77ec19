//! The log of a request: one line with its account, route, result and duration, and one line for each wallet that its
//! events name.
//!
//! Handlers record facts while they work, and the lines are written when the result is known. No line contains a key, a
//! push token, a device identifier or a body.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use domain::{id::AccountId, pass::PassTypeIdentifier, wallet::Wallet};
use lambda_http::{Request, RequestExt as _, request::RequestContext};
use process::event_metrics::EventMetrics;
use store::Outcome;
use tracing::{error, info};

use crate::{Response, error::FunctionError};

/// The log of a request, filled in while the request is handled. Clones fill in the same log.
#[derive(Debug, Clone)]
pub struct RequestLog {
    /// API Gateway's request id, which the caller receives as `apigw-requestid`.
    request_id: String,
    /// Lambda's request id.
    invocation_id: String,
    route: String,
    begin: Instant,
    gathered: Arc<Mutex<Gathered>>,
}

#[derive(Debug, Clone, Default)]
struct Gathered {
    account_id: Option<AccountId>,
    call: Option<&'static str>,
    pass_type: Option<PassTypeIdentifier>,
    listed: usize,
    events: EventMetrics,
}

impl RequestLog {
    /// Starts the log of a request and stores it in the request's extensions, where the functions below find it.
    pub(crate) fn begin(request: &mut Request) -> Self {
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

    /// Records the account: that of the caller's key, or the one in the URL of a wallet or of Google's callback.
    pub fn record_account(request: &Request, account_id: &AccountId) {
        Self::gather(request, |gathered| gathered.account_id = Some(account_id.clone()));
    }

    /// Records which call of a protocol the request is, if its route stands for several.
    pub fn record_call(request: &Request, call: &'static str) {
        Self::gather(request, |gathered| gathered.call = Some(call));
    }

    /// Records the pass type that the request names.
    pub fn record_pass_type(request: &Request, pass_type: PassTypeIdentifier) {
        Self::gather(request, |gathered| gathered.pass_type = Some(pass_type));
    }

    /// Records how many entries the response lists.
    pub fn record_listed(request: &Request, entries: usize) {
        Self::gather(request, |gathered| gathered.listed += entries);
    }

    /// Records the outcome of an event and the wallet that the event names, if it names one.
    pub fn record_event(request: &Request, wallet: Option<Wallet>, outcome: &Outcome) {
        Self::gather(request, |gathered| gathered.events.add(wallet, outcome));
    }

    /// Returns the id under which the lines of the request are logged.
    #[must_use]
    pub fn request_id(request: &Request) -> &str {
        request.extensions().get::<Self>().map_or("", |log| &log.request_id)
    }

    /// Writes the lines of the events and then the line of the request.
    pub(crate) fn answered(&self, answer: &Result<Response, impl FunctionError>) {
        let Self { request_id, invocation_id, route, begin, gathered } = self;
        let Gathered { account_id, call, pass_type, listed, events } =
            gathered.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let account_id = account_id.as_ref().map(AccountId::as_str);
        let pass_type = pass_type.as_ref().map(PassTypeIdentifier::as_str);
        events.log(request_id);
        let written = events.applied();
        let milliseconds = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        let failure = answer.as_ref().err();
        let status = answer.as_ref().map_or_else(FunctionError::status, Response::status).as_u16();
        let (error_code, error) = (failure.map(FunctionError::number), failure.map(FunctionError::name));
        let cause = failure.and_then(FunctionError::cause);
        // A field without a value is left out.
        macro_rules! log {
            ($level:ident, $message:literal) => {
                $level!(
                    request_id,
                    invocation_id,
                    route,
                    call,
                    pass_type,
                    account_id,
                    status,
                    milliseconds,
                    listed,
                    written,
                    error_code,
                    error,
                    cause,
                    $message
                );
            };
        }
        if cause.is_some() {
            log!(error, "request failed");
        } else {
            log!(info, "request answered");
        }
    }

    fn gather(request: &Request, change: impl FnOnce(&mut Gathered)) {
        if let Some(log) = request.extensions().get::<Self>() {
            change(&mut log.gathered.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}
