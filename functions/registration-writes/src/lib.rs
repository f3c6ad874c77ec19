//! Writes over HTTP: `POST …/registrations`, `DELETE …/registrations/{registration_id}` and
//! `POST /v2/registration_events`.

use std::time::Instant;

use api::{
    Response,
    access::{self, check_if_invalid},
    bare, body,
    error::{ApiError, ErrorCode},
    json,
    lambda::{self, HttpFunction},
    path::{self, PassPath, RegistrationsPath},
    query,
    request_log::RequestLog,
    route::Route,
};
use domain::{
    event::{
        Refusal,
        passworks::{self, Parsed, Source},
    },
    fields::FieldErrors,
    id::AccountId,
    time::Timestamp,
};
use http::{HeaderValue, StatusCode, header::LOCATION};
use lambda_http::Request;
pub use process::config::TableConfig as Config;
use process::intake::{self, Received};
use serde::Serialize;
use serde_json::Value;
use store::{Collection, Outcome, Registered, Table, Unregistered};

/// The maximum number of events in one request.
pub const MAX_EVENTS: usize = 500;

/// The result of one event.
#[derive(Debug, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
#[cfg_attr(feature = "contract", derive(utoipa::ToSchema))]
pub enum EventResult {
    /// The event was applied: it is the latest of its registration, made its pass known, or is the latest update.
    Applied,
    /// The event changed nothing: it is a repetition, the stored event takes precedence, or this kind has no effect
    /// here.
    Unchanged,
    /// The event is invalid or not allowed, and sending it again does not help.
    Refused {
        /// The number of the kind of error, for programs.
        error_code: u16,
        /// The name of the kind of error, for programs and people.
        error: ErrorCode,
        /// A description of the error, for people.
        message: String,
        /// The invalid fields of the event, each with what was expected.
        errors: FieldErrors,
    },
}

/// The function.
#[derive(Debug, Clone)]
pub struct RegistrationWrites {
    table: Table,
}

impl RegistrationWrites {
    /// Returns the function, which uses the table that `config` names.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { table: config.connect() }
    }

    async fn register(&self, request: &Request, now: Timestamp) -> Result<Response, ApiError> {
        path::campaign_type(request)?;
        let account_id = access::writer(&self.table, request, now).await?;
        let path @ PassPath { campaign_type, campaign_id, pass_id } = PassPath::parse(request)?;
        let body = query::expect_none(request)
            .and_then(|()| body::parse(request))
            .and_then(|body| passworks::installation_from_json(&body, pass_id, now).map_err(ApiError::invalid_body));
        // Runs only if the query or the body is invalid: checks the campaign and logs the refused event.
        let check = async {
            self.campaign_is_known(&account_id, path, now).await?;
            RequestLog::record_event(request, None, &Outcome::Refused(Refusal::Invalid(FieldErrors::default())));
            Ok(())
        };
        let (installation, at) = check_if_invalid(check, body).await?;
        self.table.claim(campaign_id, &account_id, Some(campaign_type), now).await?;
        let registered = self.table.register(&account_id, campaign_id, pass_id, &installation, at, now).await?;
        RequestLog::record_event(request, Some(installation.wallet), &registered.outcome());
        // A refused request does not decide the type, so the type is stored only now.
        if !matches!(registered, Registered::RemovedSince(_)) {
            self.table.complete_claim(campaign_id, &account_id, campaign_type, now).await?;
        }
        match registered {
            Registered::Active(registration) => json(StatusCode::OK, &registration),
            Registered::RemovedSince(removed_at) => Err(ApiError::registration_removed(removed_at)),
            Registered::Created(registration) => {
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
        let account_id = access::writer(&self.table, request, now).await?;
        let path @ PassPath { campaign_type: _, campaign_id, pass_id } = PassPath::parse(request)?;
        let registration_id = path::registration_id(request)?;
        if !self.campaign_is_known(&account_id, path, now).await? {
            return Err(ApiError::campaign_not_found());
        }
        query::expect_none(request)?;
        let unregistered = self.table.unregister(campaign_id, pass_id, registration_id, now).await?;
        RequestLog::record_event(request, None, &unregistered.outcome());
        match unregistered {
            Unregistered::Removed | Unregistered::AlreadyRemoved => Ok(bare(StatusCode::NO_CONTENT)),
            Unregistered::NeverSeen => Err(ApiError::registration_not_found()),
        }
    }

    /// Applies one event, or an array of up to [`MAX_EVENTS`].
    async fn apply_events(&self, request: &Request, now: Timestamp) -> Result<Response, ApiError> {
        let source = Source::Caller(access::writer(&self.table, request, now).await?);
        query::expect_none(request)?;
        match body::parse(request)? {
            Value::Array(bodies) if bodies.len() > MAX_EVENTS => Err(ApiError::too_many_events(MAX_EVENTS)),
            Value::Array(bodies) => {
                let outcomes = self.apply(request, &source, &bodies, now).await;
                let results: Vec<_> = outcomes.into_iter().map(EventResult::of).collect::<Result<_, _>>()?;
                json(StatusCode::OK, &results)
            }
            body => match self.apply(request, &source, &[body], now).await.pop() {
                Some(Outcome::Refused(refusal)) => Err(ApiError::refused_event(refusal)),
                Some(outcome) => json(StatusCode::OK, &EventResult::of(outcome)?),
                None => Err(ApiError::internal("an event has no outcome")),
            },
        }
    }

    /// Applies the events in `bodies` and returns an outcome for each, in their order.
    async fn apply(&self, request: &Request, source: &Source, bodies: &[Value], now: Timestamp) -> Vec<Outcome> {
        let bodies = bodies.iter().map(|body| Parsed::from_json(body, source, now)).collect();
        let deadline = Instant::now() + lambda::time_left(request);
        let received = intake::apply(&self.table, source, bodies, now, deadline).await;
        let outcomes = received.into_iter().map(|Received { wallet, outcome }| {
            RequestLog::record_event(request, wallet, &outcome);
            outcome
        });
        outcomes.collect()
    }

    /// Returns whether the campaign is known. Fails with 404 if it belongs to another account or has another type.
    /// Writes nothing.
    async fn campaign_is_known(
        &self,
        account_id: &AccountId,
        path: PassPath,
        now: Timestamp,
    ) -> Result<bool, ApiError> {
        let known = self.table.consistent_campaign(path.campaign_id, now).await?;
        match known {
            Some(campaign) if !campaign.is_seen_by(account_id, path.campaign_type) => {
                Err(ApiError::campaign_not_found())
            }
            known => Ok(known.is_some()),
        }
    }
}

impl HttpFunction for RegistrationWrites {
    type Error = ApiError;

    async fn warm_up(&self) {
        self.table.open_connections(1).await;
    }

    async fn handle(&self, request: Request, now: Timestamp) -> Result<Response, ApiError> {
        match Route::of(&request)? {
            Route::Register => self.register(&request, now).await,
            Route::Unregister => self.unregister(&request, now).await,
            Route::Events => self.apply_events(&request, now).await,
            other @ (Route::ListCampaign
            | Route::ListPass
            | Route::CampaignPushTargets
            | Route::PassPushTargets
            | Route::Report
            | Route::Totals
            | Route::Contract) => Err(other.misrouted()),
        }
    }
}

impl EventResult {
    /// Returns the result that reports an outcome.
    ///
    /// # Errors
    ///
    /// 503 if the table did not answer, 500 if it failed otherwise.
    fn of(outcome: Outcome) -> Result<Self, ApiError> {
        match outcome {
            Outcome::Applied => Ok(Self::Applied),
            Outcome::Unchanged => Ok(Self::Unchanged),
            Outcome::Refused(refusal) => {
                let refused = ApiError::refused_event(refusal);
                Ok(Self::Refused {
                    error_code: refused.code().number(),
                    error: refused.code(),
                    message: refused.message().to_owned(),
                    errors: refused.errors().clone(),
                })
            }
            Outcome::Failed(error) | Outcome::TypeNotStored { error, .. } => Err(error.into()),
        }
    }
}
