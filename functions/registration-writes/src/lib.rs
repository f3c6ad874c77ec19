//! Writing over HTTP: `POST …/registrations`, `DELETE …/registrations/{registration_id}`, `POST /v2/registration_events`.

use http::{HeaderValue, StatusCode, header::LOCATION};
use lambda_http::Request;
use serde::Serialize;
use serde_json::Value;
pub use shared::store::TableConfig as Config;
use shared::{
    account::Caller,
    api::{
        Response, body, credentials,
        entry::HttpFunction,
        error::{ApiError, ErrorCode},
        json,
        log::RequestLog,
        path::{self, PassPath, RegistrationsPath},
        route,
    },
    clock::Timestamp,
    event::{self, Event, Source, installation_from_json},
    event_counts::Fate,
    field::FieldErrors,
    id::AccountId,
    store::{ApplyError, ClaimError, Collection, Outcome, Registered, RegistrationStore, Unregistered, fate},
};

/// How many events one request may bring.
pub const MAX_EVENTS: usize = 500;

/// What became of one event, for the caller.
#[derive(Debug, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
#[cfg_attr(feature = "contract", derive(utoipa::ToSchema))]
pub enum EventResult<'a> {
    /// It is the latest of its registration.
    Applied,
    /// It is older than what is known, the same again, or one that changes nothing here.
    Unchanged,
    /// It is wrong, and sending it again does not help.
    Refused {
        /// What is wrong, for programs.
        error_code: ErrorCode,
        /// What is wrong, for people.
        message: &'a str,
        /// What is wrong, by field, each with what was expected.
        errors: &'a FieldErrors,
    },
}

/// The function.
#[derive(Debug, Clone)]
pub struct RegistrationWrites {
    store: RegistrationStore,
}

impl RegistrationWrites {
    /// The function over the table that `config` names.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { store: RegistrationStore::connect(config) }
    }

    async fn register(&self, request: &Request, now: Timestamp) -> Result<Response, ApiError> {
        path::campaign_type(request)?;
        let Caller { account_id, .. } = credentials::writer(&self.store, request, now).await?;
        let path @ PassPath { campaign_type, campaign_id, pass_id } = PassPath::read(request)?;
        let body =
            body::read(request).and_then(|body| installation_from_json(&body, pass_id, now).map_err(ApiError::body));
        let (installation, at) = match body {
            Ok(read) => read,
            Err(invalid) => {
                self.check_others(&account_id, path).await?;
                RequestLog::event(request, None, Fate::Refused);
                return Err(invalid);
            }
        };
        self.store.claim(campaign_id, &account_id, Some(campaign_type), now).await?;
        let wallet = Some(installation.wallet);
        match self.store.register(campaign_id, pass_id, &installation, at, now).await? {
            Registered::Active(registration) => {
                RequestLog::event(request, wallet, Fate::Unchanged);
                json(StatusCode::OK, &registration)
            }
            Registered::RemovedSince(removed_at) => {
                RequestLog::event(request, wallet, Fate::Refused);
                Err(removed_since(removed_at))
            }
            Registered::Created(registration) => {
                RequestLog::event(request, wallet, Fate::Applied);
                let collection = Collection::Pass(campaign_id, pass_id);
                let location = format!("{}/{}", RegistrationsPath { campaign_type, collection }, registration.id);
                let mut response = json(StatusCode::CREATED, &registration)?;
                let location = HeaderValue::try_from(location).map_err(ApiError::internal)?;
                response.headers_mut().insert(LOCATION, location);
                Ok(response)
            }
        }
    }

    async fn unregister(&self, request: &Request, now: Timestamp) -> Result<Response, ApiError> {
        path::campaign_type(request)?;
        let Caller { account_id, .. } = credentials::writer(&self.store, request, now).await?;
        let path @ PassPath { campaign_type: _, campaign_id, pass_id } = PassPath::read(request)?;
        let registration_id = path::registration_id(request)?;
        if !self.check_others(&account_id, path).await? {
            return Err(ApiError::campaign_not_found());
        }
        let outcome = self.store.unregister(campaign_id, pass_id, registration_id, now).await?;
        let fate = match outcome {
            Unregistered::Removed => Fate::Applied,
            Unregistered::AlreadyRemoved => Fate::Unchanged,
            Unregistered::NeverSeen => Fate::Refused,
        };
        RequestLog::event(request, None, fate);
        match outcome {
            Unregistered::Removed | Unregistered::AlreadyRemoved => {
                let mut response = Response::default();
                *response.status_mut() = StatusCode::NO_CONTENT;
                Ok(response)
            }
            Unregistered::NeverSeen => {
                let errors = FieldErrors::of("registration_id", "is not known");
                Err(ApiError::with_fields(ErrorCode::RegistrationNotFound, "the registration is not known", errors))
            }
        }
    }

    /// One event, or an array of up to [`MAX_EVENTS`].
    async fn take_events(&self, request: &Request, now: Timestamp) -> Result<Response, ApiError> {
        let Caller { account_id, .. } = credentials::writer(&self.store, request, now).await?;
        match body::read(request)? {
            Value::Array(bodies) if bodies.len() > MAX_EVENTS => {
                let errors = FieldErrors::of("events", format_args!("expected at most {MAX_EVENTS}"));
                Err(ApiError::body(errors))
            }
            Value::Array(bodies) => {
                let results = self.apply(request, account_id, &bodies, now).await?;
                json(StatusCode::OK, &results.iter().map(EventResult::from).collect::<Vec<_>>())
            }
            body => {
                let mut results = self.apply(request, account_id, &[body], now).await?;
                let result = results.pop().ok_or_else(|| ApiError::internal("an event has no result"))??;
                json(StatusCode::OK, &EventResult::from(&Ok(result)))
            }
        }
    }

    /// What became of each event: applied, unchanged, or the error of a refused one.
    ///
    /// # Errors
    ///
    /// 503 for all where the table stopped answering midway.
    async fn apply(
        &self,
        request: &Request,
        account_id: AccountId,
        bodies: &[Value],
        now: Timestamp,
    ) -> Result<Vec<Result<Outcome, ApiError>>, ApiError> {
        let source = Source::Caller(account_id);
        let batch = bodies.iter().map(|body| Event::from_json(body, &source, now)).collect();
        let results = self.store.take_all(batch, now).await;
        let mut answers = Vec::with_capacity(results.len());
        let mut unanswered = None;
        for (body, result) in bodies.iter().zip(results) {
            RequestLog::event(request, event::wallet_named(body), fate(&result));
            match result {
                Ok(outcome) => answers.push(Ok(outcome)),
                Err(ApplyError::Malformed(errors)) => answers.push(Err(ApiError::body(errors))),
                Err(ApplyError::Refused(refusal)) => answers.push(Err(refused(refusal))),
                Err(ApplyError::Store(error)) => unanswered = Some(error),
                // Another event's error says why.
                Err(ApplyError::NotTried) => {}
            }
        }
        unanswered.map_or(Ok(answers), |error| Err(error.into()))
    }

    /// Whether the campaign is known: 404 where it is another account's or of another type, and nothing is written.
    async fn check_others(&self, account_id: &AccountId, path: PassPath) -> Result<bool, ApiError> {
        let known = self.store.consistent_campaign(path.campaign_id).await?;
        match known {
            Some(campaign) if !campaign.is_seen_by(account_id, path.campaign_type) => {
                Err(ApiError::campaign_not_found())
            }
            known => Ok(known.is_some()),
        }
    }
}

impl HttpFunction for RegistrationWrites {
    async fn warm_up(&self) {
        self.store.open_connection().await;
    }

    async fn handle(&self, request: Request, now: Timestamp) -> Result<Response, ApiError> {
        match route::key_of(&request)?.as_str() {
            key if route::REGISTER.is(key) => self.register(&request, now).await,
            key if route::UNREGISTER.is(key) => self.unregister(&request, now).await,
            key if route::EVENTS.is(key) => self.take_events(&request, now).await,
            key => Err(ApiError::internal(format_args!("no route of this function: {key}"))),
        }
    }
}

fn removed_since(removed_at: Timestamp) -> ApiError {
    let errors = FieldErrors::of("created_at", format_args!("expected an instant after the removal at {removed_at}"));
    let message = format!("the registration was removed: {errors}");
    ApiError::with_fields(ErrorCode::RegistrationRemoved, message, errors)
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
            Err(error) => Self::Refused { error_code: error.code(), message: error.message(), errors: error.errors() },
        }
    }
}
