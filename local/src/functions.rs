//! Runs the functions in this process: the same handlers that Lambda runs, called with the same events.
//!
//! This is the only module that uses internals of `lambda_http`: `LambdaRequest` and the service that answers it.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt::Display,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use api::lambda::{self, HttpFunction};
use lambda_http::{LambdaEvent, request::LambdaRequest, tower::Service};
use lambda_runtime::Context;
use process::config::{ConfigError, Lookup};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use thiserror::Error;
use uuid::Uuid;

use crate::{aws::dynamodb::Engine, template::Template};

/// Why the functions of a template cannot be started.
#[derive(Debug, Error)]
pub enum FunctionsError {
    /// A variable that a function needs is missing or invalid in the template.
    #[error("the function {function} does not start: {cause}")]
    Config {
        /// The name of the function's folder.
        function: String,
        /// The variable, and why it cannot be used.
        cause: ConfigError,
    },
    /// The template has a function that is missing from the table of functions in this module.
    #[error("the template has a function {0} that this stack does not know")]
    Unknown(String),
}

/// Why an invocation failed.
#[derive(Debug, Error)]
pub enum InvokeError {
    /// There is no such function.
    #[error("there is no function {name}; expected one of {known}")]
    NoSuchFunction {
        /// The requested name.
        name: String,
        /// The names of all functions.
        known: String,
    },
    /// The event does not have the shape that the function expects.
    #[error("the function does not accept this event: {0}")]
    NotItsEvent(String),
    /// The function returned an error.
    #[error("the function failed: {0}")]
    Failed(String),
    /// The function panicked.
    #[error("the function panicked: {0}")]
    Panicked(String),
    /// The function took too long.
    #[error("the function did not answer within {0:?}")]
    TimedOut(Duration),
}

/// The functions, by folder name. A clone shares them.
#[derive(Clone)]
pub struct Functions(Arc<BTreeMap<String, Function>>);

struct Function {
    invoke: Invoke,
    timeout: Duration,
}

type Answer = Pin<Box<dyn Future<Output = Result<Value, InvokeError>> + Send>>;
type Invoke = Box<dyn Fn(Value, Context) -> Answer + Send + Sync>;

impl Functions {
    /// Starts the functions of `template`. Each gets its variables from the template, and those that Lambda sets, with
    /// which it reaches the table in `engine`.
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

    /// Invokes a function within its timeout and returns its response.
    pub async fn invoke(&self, name: &str, event: Value) -> Result<Value, InvokeError> {
        self.invoke_qualified(name, None, event).await
    }

    /// Invokes a function through an alias or a version, if there is a `qualifier`.
    pub async fn invoke_qualified(
        &self,
        name: &str,
        qualifier: Option<&str>,
        event: Value,
    ) -> Result<Value, InvokeError> {
        let function = self.0.get(name).ok_or_else(|| {
            let known = self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            InvokeError::NoSuchFunction { name: name.to_owned(), known }
        })?;
        let mut context = Context::default();
        context.request_id = Uuid::new_v4().to_string();
        let qualifier = qualifier.map(|qualifier| format!(":{qualifier}")).unwrap_or_default();
        context.invoked_function_arn = format!("arn:aws:lambda:local:000000000000:function:{name}{qualifier}");
        context.deadline = milliseconds_from_now(function.timeout);
        let answer = tokio::spawn((function.invoke)(event, context));
        match tokio::time::timeout(function.timeout, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Err(InvokeError::Panicked(error.to_string())),
            Err(_) => Err(InvokeError::TimedOut(function.timeout)),
        }
    }
}

macro_rules! functions {
    (http { $($http_crate:ident :: $http:ident),+ $(,)? } json { $($json_crate:ident :: $json:ident),+ $(,)? }) => {
        fn start(name: &str, lookup: Lookup<'_>) -> Result<Invoke, FunctionsError> {
            let config = |cause| FunctionsError::Config { function: name.to_owned(), cause };
            match name.replace('-', "_").as_str() {
                $(stringify!($http_crate) => {
                    let config = $http_crate::Config::from_lookup(lookup).map_err(config)?;
                    Ok(http($http_crate::$http::new(&config)))
                })+
                $(stringify!($json_crate) => {
                    let config = $json_crate::Config::from_lookup(lookup).map_err(config)?;
                    let function = $json_crate::$json::new(&config);
                    Ok(json(move |event| {
                        let function = function.clone();
                        async move { function.handle(event).await }
                    }))
                })+
                _ => Err(FunctionsError::Unknown(name.to_owned())),
            }
        }
    };
}

// The only table of functions. A crate has the name of its folder, with `_` for `-`.
functions! {
    // Behind API Gateway.
    http {
        api_contract::ApiContract,
        campaign_registrations::CampaignRegistrations,
        campaign_reports::CampaignReports,
        google_wallet_callback::GoogleWalletCallback,
        pass_registrations::PassRegistrations,
        push_targets::PushTargets,
        registration_writes::RegistrationWrites,
        unmatched_route::UnmatchedRoute,
        wallet_web_service::WalletWebService,
    }
    // With JSON events and answers of their own.
    json {
        account_admin::AccountAdmin,
        campaign_recount::CampaignRecount,
        registration_ingest::RegistrationIngest,
        registration_tally::RegistrationTally,
    }
}

/// Checks that a function starts with the variables that `lookup` returns.
pub fn check_config(name: &str, lookup: Lookup<'_>) -> Result<(), FunctionsError> {
    start(name, lookup).map(drop)
}

fn http(http_function: impl HttpFunction) -> Invoke {
    Box::new(move |event, context| {
        let mut service = lambda::service(http_function.clone());
        Box::pin(async move {
            // `LambdaRequest` can only be deserialized from text.
            let payload: LambdaRequest = serde_json::from_str(&event.to_string()).map_err(not_its_event)?;
            let response = answer(&mut service, LambdaEvent::new(payload, context)).await;
            to_json(&response)
        })
    })
}

/// Wraps a function that defines its own JSON events and answers.
fn json<P, F, A, E>(handle: impl Fn(LambdaEvent<P>) -> F + Send + Sync + 'static) -> Invoke
where
    P: DeserializeOwned,
    F: Future<Output = Result<A, E>> + Send + 'static,
    A: Serialize,
    E: Display,
{
    Box::new(move |event, context| {
        let answer = serde_json::from_value(event).map(|payload| handle(LambdaEvent::new(payload, context)));
        Box::pin(async move {
            let answer = answer.map_err(not_its_event)?.await;
            to_json(&answer.map_err(|error| InvokeError::Failed(error.to_string()))?)
        })
    })
}

async fn answer<S: Service<LambdaEvent<LambdaRequest>, Error = Infallible>>(
    service: &mut S,
    event: LambdaEvent<LambdaRequest>,
) -> S::Response {
    let Ok(response) = service.call(event).await;
    response
}

/// Returns the instant `duration` from now, in milliseconds since 1970, as Lambda gives deadlines.
fn milliseconds_from_now(duration: Duration) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from((now + duration).as_millis()).unwrap_or(u64::MAX)
}

fn to_json(answer: &impl Serialize) -> Result<Value, InvokeError> {
    serde_json::to_value(answer).map_err(|error| InvokeError::Failed(format!("its answer is not JSON: {error}")))
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that map_err needs")]
fn not_its_event(error: serde_json::Error) -> InvokeError {
    InvokeError::NotItsEvent(error.to_string())
}
