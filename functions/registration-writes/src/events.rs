//! `POST /v2/registration_events`: one event, or an array of up to 500.

use http::StatusCode;
use lambda_http::Request;
use serde::Serialize;
use serde_json::Value;
use shared::{
    api::{Response, body, error::ApiError, json},
    clock::Timestamp,
    event::{Event, Source},
    field::FieldErrors,
    id::AccountId,
    store::{ApplyError, ClaimError, Outcome, RegistrationStore},
};

/// How many events one request may bring.
const MOST_EVENTS: usize = 500;

/// What became of one event, for the caller.
#[derive(Debug, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
enum EventResult<'a> {
    /// It is the latest of its registration.
    Applied,
    /// It is older than what is known, the same again, or one that changes nothing here.
    Unchanged,
    /// It is wrong, and sending it again does not help.
    Refused { error_code: &'static str, message: &'a str, errors: &'a FieldErrors },
}

/// Takes the events of a request.
///
/// # Errors
///
/// 422 or 404 for a single event that is refused, 503 for all where the table stopped answering midway.
pub(crate) async fn take(
    store: &RegistrationStore,
    account_id: &AccountId,
    request: &Request,
    now: Timestamp,
) -> Result<Response, ApiError> {
    match body::json(request)? {
        Value::Array(bodies) if bodies.len() > MOST_EVENTS => {
            let errors = FieldErrors::of("events", format_args!("expected at most {MOST_EVENTS}"));
            Err(ApiError::body(errors))
        }
        Value::Array(bodies) => {
            let results = apply(store, account_id, &bodies, now).await?;
            json(StatusCode::OK, &results.iter().map(EventResult::from).collect::<Vec<_>>())
        }
        body => {
            let mut results = apply(store, account_id, &[body], now).await?;
            let result = results.pop().ok_or_else(|| ApiError::internal("an event has no result"))??;
            json(StatusCode::OK, &EventResult::from(&Ok(result)))
        }
    }
}

/// What became of each event: applied, unchanged, or the error of a refused one.
type Results = Vec<Result<Outcome, ApiError>>;

async fn apply(
    store: &RegistrationStore,
    account_id: &AccountId,
    bodies: &[Value],
    now: Timestamp,
) -> Result<Results, ApiError> {
    let source = Source::Caller(account_id.clone());
    let mut results: Results = Vec::with_capacity(bodies.len());
    let (mut places, mut events) = (Vec::new(), Vec::new());
    for (place, body) in bodies.iter().enumerate() {
        results.push(match Event::from_json(body, &source, now) {
            Ok(None) => Ok(Outcome::Unchanged),
            Err(errors) => Err(ApiError::body(errors)),
            Ok(Some(event)) => {
                places.push(place);
                events.push(event);
                Ok(Outcome::Unchanged)
            }
        });
    }
    for (place, result) in places.into_iter().zip(store.apply_all(&events, now).await) {
        results[place] = match result {
            Ok(outcome) => Ok(outcome),
            Err(ApplyError::Refused(refusal)) => Err(refused(refusal)),
            Err(ApplyError::Store(error)) => return Err(error.into()),
            // Another event's error says why.
            Err(ApplyError::NotTried) => continue,
        };
    }
    Ok(results)
}

fn refused(refusal: ClaimError) -> ApiError {
    match refusal {
        ClaimError::OtherType(_) => ApiError::body(FieldErrors::of("campaign_type", refusal)),
        ClaimError::OtherAccount | ClaimError::Store(_) => refusal.into(),
    }
}

impl<'a> From<&'a Result<Outcome, ApiError>> for EventResult<'a> {
    fn from(result: &'a Result<Outcome, ApiError>) -> Self {
        match result {
            Ok(Outcome::Applied) => Self::Applied,
            Ok(Outcome::Unchanged) => Self::Unchanged,
            Err(error) => {
                Self::Refused { error_code: error.code().as_str(), message: error.message(), errors: error.errors() }
            }
        }
    }
}
