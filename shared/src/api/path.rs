//! The parameters of the path.

use std::{fmt, str::FromStr};

use lambda_http::{Request, RequestExt as _};
use percent_encoding::percent_decode_str;

use super::error::{ApiError, ErrorCode};
use crate::{
    campaign::CampaignType,
    field::FieldErrors,
    id::{CampaignId, PassId, RegistrationId},
    store::Collection,
};

/// Where registrations are listed: `/v2/{campaign_type}/{campaign_id}/registrations`, or a pass's below it.
///
/// Written without what the caller put there, so that it can stand in a `Link`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistrationsPath {
    /// The type that the path names.
    pub campaign_type: CampaignType,
    /// Whose registrations.
    pub collection: Collection,
}

impl RegistrationsPath {
    /// The path of a campaign's registrations.
    pub fn of_campaign(request: &Request) -> Result<Self, ApiError> {
        let campaign_type = campaign_type(request)?;
        let campaign = campaign_id(request)?;
        Ok(Self { campaign_type, collection: Collection::Campaign(campaign) })
    }

    /// The path of a pass's registrations.
    pub fn of_pass(request: &Request) -> Result<Self, ApiError> {
        let PassPath { campaign_type, campaign_id, pass_id } = PassPath::read(request)?;
        Ok(Self { campaign_type, collection: Collection::Pass(campaign_id, pass_id) })
    }
}

impl fmt::Display for RegistrationsPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let campaign_type = self.campaign_type;
        match self.collection {
            Collection::Campaign(campaign) => write!(formatter, "/v2/{campaign_type}/{campaign}/registrations"),
            Collection::Pass(campaign, pass) => {
                write!(formatter, "/v2/{campaign_type}/{campaign}/passes/{pass}/registrations")
            }
        }
    }
}

/// `/v2/{campaign_type}/{campaign_id}/passes/{pass_id}`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassPath {
    /// The type that the path names.
    pub campaign_type: CampaignType,
    /// The campaign.
    pub campaign_id: CampaignId,
    /// The pass.
    pub pass_id: PassId,
}

impl PassPath {
    /// Reads the path of a pass.
    ///
    /// # Errors
    ///
    /// 404 for a type that there is not, 400 for ids that are none, all of them named.
    pub fn read(request: &Request) -> Result<Self, ApiError> {
        let campaign_type = campaign_type(request)?;
        let mut errors = FieldErrors::default();
        match (read("campaign_id", request, &mut errors), read("pass_id", request, &mut errors)) {
            (Some(campaign_id), Some(pass_id)) => Ok(Self { campaign_type, campaign_id, pass_id }),
            _ => Err(ApiError::parameters(errors)),
        }
    }
}

/// The registration that the path names.
pub fn registration_id(request: &Request) -> Result<RegistrationId, ApiError> {
    required("registration_id", request)
}

fn campaign_id(request: &Request) -> Result<CampaignId, ApiError> {
    required("campaign_id", request)
}

fn required<T>(name: &str, request: &Request) -> Result<T, ApiError>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    let mut errors = FieldErrors::default();
    read(name, request, &mut errors).ok_or_else(|| ApiError::parameters(errors))
}

/// The type that the path names. An unknown one is a path that does not exist, so it is a 404 and comes before everything else.
pub fn campaign_type(request: &Request) -> Result<CampaignType, ApiError> {
    text("campaign_type", request).parse().map_err(|expected| {
        let errors = FieldErrors::of("campaign_type", expected);
        ApiError::with_fields(ErrorCode::RouteNotFound, format!("there is no such path: {errors}"), errors)
    })
}

fn read<T>(name: &str, request: &Request, errors: &mut FieldErrors) -> Option<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    text(name, request).parse().map_err(|expected| errors.add(name, expected)).ok()
}

/// API Gateway decodes path parameters, `sam local` does not; no id has a `%` in it, so decoding twice does no harm.
fn text(name: &str, request: &Request) -> String {
    let parameters = request.path_parameters();
    let raw = parameters.first(name).unwrap_or_default();
    percent_decode_str(raw).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use lambda_http::Body;
    use rstest::rstest;

    use super::*;

    const CAMPAIGN: &str = "bd69162b-8995-4c89-bdca-898fae6050d0";
    const PASS: &str = "22d5b0ed-cc82-4743-a4fb-ee655d928037";

    fn request(campaign_type: &str, campaign_id: &str, pass_id: &str) -> Request {
        let parameters = [("campaign_type", campaign_type), ("campaign_id", campaign_id), ("pass_id", pass_id)];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), vec![value.to_owned()]));
        Request::new(Body::Empty).with_path_parameters(HashMap::from(parameters))
    }

    #[rstest]
    #[case("event_tickets", CAMPAIGN)]
    #[case("event_tickers", &CAMPAIGN.to_uppercase())]
    #[case("event%5Ftickets", &CAMPAIGN.replace('-', "%2D"))]
    fn a_path_is_written_in_its_one_form(#[case] campaign_type: &str, #[case] campaign_id: &str) {
        let request = request(campaign_type, campaign_id, PASS);
        let campaign = RegistrationsPath::of_campaign(&request).unwrap();
        assert_eq!(campaign.to_string(), format!("/v2/event_tickets/{CAMPAIGN}/registrations"));
        let pass = RegistrationsPath::of_pass(&request).unwrap();
        assert_eq!(pass.to_string(), format!("/v2/event_tickets/{CAMPAIGN}/passes/{PASS}/registrations"));
    }

    #[rstest]
    #[case("tickets", "x", "x", ErrorCode::RouteNotFound, &["campaign_type"])]
    #[case("coupons", "x", PASS, ErrorCode::InvalidParameter, &["campaign_id"])]
    #[case("coupons", CAMPAIGN, "", ErrorCode::InvalidParameter, &["pass_id"])]
    #[case("coupons", "x", "x", ErrorCode::InvalidParameter, &["campaign_id", "pass_id"])]
    fn what_is_wrong_in_a_path_is_named(
        #[case] campaign_type: &str,
        #[case] campaign_id: &str,
        #[case] pass_id: &str,
        #[case] code: ErrorCode,
        #[case] fields: &[&str],
    ) {
        let error = PassPath::read(&request(campaign_type, campaign_id, pass_id)).unwrap_err();
        assert_eq!(error.code(), code);
        assert_eq!(error.errors().fields().collect::<Vec<_>>(), fields);
    }
}
