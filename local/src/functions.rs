//! The functions, in process: the handlers that Lambda runs, called with the events that Lambda hands over.
//!
//! The one place that touches what `lambda_http` keeps for itself: `LambdaRequest` and the service that answers it.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt::Display,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use lambda_http::{LambdaEvent, request::LambdaRequest, tower::Service};
use lambda_runtime::Context;
use serde::Serialize;
use serde_json::Value;
use shared::{
    api::entry::{self, HttpFunction},
    config::{ConfigError, Lookup},
};
use thiserror::Error;
use uuid::Uuid;

use crate::{engine::Engine, template::Template};

/// Why the functions of a template cannot be run.
#[derive(Debug, Error)]
pub enum FunctionsError {
    /// A function does not find what it needs in the variables that the template sets.
    #[error("the function {function} does not start: {cause}")]
    Config {
        /// The function.
        function: String,
        /// What is missing.
        cause: ConfigError,
    },
    /// The template has a function that this stack does not have.
    #[error("the template has a function {0} that this stack does not know")]
    Unknown(String),
}

/// Why an invocation has no answer.
#[derive(Debug, Error)]
pub enum InvokeError {
    /// There is no such function.
    #[error("there is no function {name}; there are {known}")]
    NoSuchFunction {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The event is not one that the function takes.
    #[error("the function does not take this event: {0}")]
    NotItsEvent(String),
    /// The function answered with an error.
    #[error("the function failed: {0}")]
    Failed(String),
    /// The function panicked.
    #[error("the function panicked: {0}")]
    Panicked(String),
    /// The function took too long.
    #[error("the function did not answer within {0:?}")]
    TimedOut(Duration),
}

/// The functions by folder name.
#[derive(Clone)]
pub struct Functions(Arc<BTreeMap<String, Function>>);

struct Function {
    invoke: Invoke,
    timeout: Duration,
}

type Answer = Pin<Box<dyn Future<Output = Result<Value, InvokeError>> + Send>>;
type Invoke = Box<dyn Fn(Value, Context) -> Answer + Send + Sync>;

impl Functions {
    /// The functions of `template` over `engine`, each with the variables that the template sets and Lambda's own.
    pub fn start(template: &Template, engine: &Engine) -> Result<Self, FunctionsError> {
        let mut functions = BTreeMap::new();
        for (name, function) in &template.functions {
            let lookup = |variable: &str| {
                let lambdas_own = engine.variables().into_iter().find(|(known, _)| *known == variable);
                let own = function.variables.get(variable).cloned();
                own.or_else(|| lambdas_own.map(|(_, value)| value.to_owned()))
            };
            let invoke = start(name, &lookup)?;
            functions.insert(name.clone(), Function { invoke, timeout: function.timeout });
        }
        Ok(Self(Arc::new(functions)))
    }

    /// Invokes a function, within its time limit, and brings its answer.
    pub async fn invoke(&self, name: &str, event: Value) -> Result<Value, InvokeError> {
        let function = self.0.get(name).ok_or_else(|| {
            let known = self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            InvokeError::NoSuchFunction { name: name.to_owned(), known }
        })?;
        let mut context = Context::default();
        context.request_id = Uuid::new_v4().to_string();
        context.deadline = milliseconds_from_now(function.timeout);
        let answer = tokio::spawn((function.invoke)(event, context));
        match tokio::time::timeout(function.timeout, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Err(InvokeError::Panicked(error.to_string())),
            Err(_) => Err(InvokeError::TimedOut(function.timeout)),
        }
    }
}

fn start(name: &str, lookup: Lookup<'_>) -> Result<Invoke, FunctionsError> {
    let config = |cause| FunctionsError::Config { function: name.to_owned(), cause };
    Ok(match name {
        "campaign-registrations" => {
            use campaign_registrations::{CampaignRegistrations, Config};
            http(CampaignRegistrations::new(&Config::from_lookup(lookup).map_err(config)?))
        }
        "pass-registrations" => {
            use pass_registrations::{Config, PassRegistrations};
            http(PassRegistrations::new(&Config::from_lookup(lookup).map_err(config)?))
        }
        "registration-writes" => {
            use registration_writes::{Config, RegistrationWrites};
            http(RegistrationWrites::new(&Config::from_lookup(lookup).map_err(config)?))
        }
        "campaign-reports" => {
            use campaign_reports::{CampaignReports, Config};
            http(CampaignReports::new(&Config::from_lookup(lookup).map_err(config)?))
        }
        "api-contract" => {
            use api_contract::{ApiContract, Config};
            http(ApiContract::new(&Config::from_lookup(lookup).map_err(config)?))
        }
        "unmatched-route" => {
            use unmatched_route::{Config, UnmatchedRoute};
            http(UnmatchedRoute::new(&Config::from_lookup(lookup).map_err(config)?))
        }
        "registration-ingest" => {
            use registration_ingest::{Config, RegistrationIngest};
            let function = RegistrationIngest::new(&Config::from_lookup(lookup).map_err(config)?);
            Box::new(move |event, context| {
                let function = function.clone();
                Box::pin(async move {
                    let payload = serde_json::from_value(event).map_err(not_its_event)?;
                    let Ok(response) = function.handle(LambdaEvent::new(payload, context)).await;
                    to_json(&response)
                })
            })
        }
        "registration-tally" => {
            use registration_tally::{Config, RegistrationTally};
            let function = RegistrationTally::new(&Config::from_lookup(lookup).map_err(config)?);
            json(move |event| {
                let function = function.clone();
                async move { function.handle(event).await }
            })
        }
        "account-admin" => {
            use account_admin::{AccountAdmin, Config};
            let function = AccountAdmin::new(&Config::from_lookup(lookup).map_err(config)?);
            json(move |event| {
                let function = function.clone();
                async move { function.handle(event).await }
            })
        }
        "campaign-recount" => {
            use campaign_recount::{CampaignRecount, Config};
            let function = CampaignRecount::new(&Config::from_lookup(lookup).map_err(config)?);
            json(move |event| {
                let function = function.clone();
                async move { function.handle(event).await }
            })
        }
        unknown => return Err(FunctionsError::Unknown(unknown.to_owned())),
    })
}

fn http(function: impl HttpFunction) -> Invoke {
    Box::new(move |event, context| {
        let mut service = entry::http(function.clone());
        Box::pin(async move {
            // `LambdaRequest` reads itself from text only.
            let payload: LambdaRequest = serde_json::from_str(&event.to_string()).map_err(not_its_event)?;
            let response = answer(&mut service, LambdaEvent::new(payload, context)).await;
            to_json(&response)
        })
    })
}

/// A function whose events and answers are JSON of its own.
fn json<F, A, E>(handle: impl Fn(LambdaEvent<Value>) -> F + Send + Sync + 'static) -> Invoke
where
    F: Future<Output = Result<A, E>> + Send + 'static,
    A: Serialize,
    E: Display,
{
    Box::new(move |event, context| {
        let answer = handle(LambdaEvent::new(event, context));
        Box::pin(async move { to_json(&answer.await.map_err(|error| InvokeError::Failed(error.to_string()))?) })
    })
}

async fn answer<S: Service<LambdaEvent<LambdaRequest>, Error = Infallible>>(
    service: &mut S,
    event: LambdaEvent<LambdaRequest>,
) -> S::Response {
    let Ok(response) = service.call(event).await;
    response
}

/// The instant so long from now, as Lambda tells a function its deadline: in milliseconds since 1970.
fn milliseconds_from_now(duration: Duration) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from((now + duration).as_millis()).unwrap_or(u64::MAX)
}

fn to_json(answer: &impl Serialize) -> Result<Value, InvokeError> {
    serde_json::to_value(answer).map_err(not_its_event)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn not_its_event(error: serde_json::Error) -> InvokeError {
    InvokeError::NotItsEvent(error.to_string())
}
