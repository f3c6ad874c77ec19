//! The path of a request: its parameters, parsed into a campaign type and typed ids.

use std::{fmt, str::FromStr};

use domain::{
    campaign::CampaignType,
    fields::FieldErrors,
    id::{CampaignId, PassId, RegistrationId},
    names::UnknownName,
};
use lambda_http::{Request, RequestExt as _};
use percent_encoding::percent_decode_str;
use store::Collection;

use crate::error::ApiError;

/// The path of a list of registrations, either a campaign's or a pass's:
/// `/v2/{campaign_type}/{campaign_id}/registrations` or
/// `/v2/{campaign_type}/{campaign_id}/passes/{pass_id}/registrations`.
///
/// `Display` writes it from the parsed values and never contains the caller's own text, so it is safe in a `Link`
/// header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistrationsPath {
    /// The type that the path names.
    pub campaign_type: CampaignType,
    /// The campaign or pass whose registrations are listed.
    pub collection: Collection,
}

impl RegistrationsPath {
    /// Parses the path of a campaign's registrations.
    pub fn of_campaign(request: &Request) -> Result<Self, ApiError> {
        let campaign_type = campaign_type(request)?;
        let campaign = campaign_id(request)?;
        Ok(Self { campaign_type, collection: Collection::Campaign(campaign) })
    }

    /// Parses the path of a pass's registrations.
    pub fn of_pass(request: &Request) -> Result<Self, ApiError> {
        let PassPath { campaign_type, campaign_id, pass_id } = PassPath::parse(request)?;
        Ok(Self { campaign_type, collection: Collection::Pass(campaign_id, pass_id) })
    }

    /// Returns the path of the push targets of the same campaign or pass.
    #[must_use]
    pub fn push_targets(&self) -> String {
        format!("{}/push_targets", self.parent())
    }

    /// Returns the path of the campaign or the pass.
    fn parent(&self) -> String {
        let campaign_type = self.campaign_type;
        match self.collection {
            Collection::Campaign(campaign) => format!("/v2/{campaign_type}/{campaign}"),
            Collection::Pass(campaign, pass) => format!("/v2/{campaign_type}/{campaign}/passes/{pass}"),
        }
    }
}

impl fmt::Display for RegistrationsPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/registrations", self.parent())
    }
}

/// `/v2/{campaign_type}/{campaign_id}/passes/{pass_id}`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassPath {
    /// The type that the path names.
    pub campaign_type: CampaignType,
    /// The campaign that the pass belongs to.
    pub campaign_id: CampaignId,
    /// The pass, which may be unknown.
    pub pass_id: PassId,
}

impl PassPath {
    /// Parses the path of a pass.
    ///
    /// # Errors
    ///
    /// 404 if there is no such campaign type, 400 that names every invalid id.
    pub fn parse(request: &Request) -> Result<Self, ApiError> {
        let campaign_type = campaign_type(request)?;
        let mut errors = FieldErrors::default();
        match (parse("campaign_id", request, &mut errors), parse("pass_id", request, &mut errors)) {
            (Some(campaign_id), Some(pass_id)) => Ok(Self { campaign_type, campaign_id, pass_id }),
            _ => Err(ApiError::parameters(errors)),
        }
    }
}

/// Parses the registration id in the path.
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
    parse(name, request, &mut errors).ok_or_else(|| ApiError::parameters(errors))
}

/// Parses the campaign type in the path. If the type is unknown, the path does not exist, so this 404 comes before
/// every other error.
pub fn campaign_type(request: &Request) -> Result<CampaignType, ApiError> {
    text("campaign_type", request).parse().map_err(|expected: UnknownName| ApiError::unknown_campaign_type(expected))
}

fn parse<T>(name: &str, request: &Request, errors: &mut FieldErrors) -> Option<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    text(name, request).parse().map_err(|expected| errors.add(name, expected)).ok()
}

/// Returns a parameter of the path, decoded. API Gateway has decoded it already, but `sam local` has not. No valid id
/// contains `%`, so decoding twice does no harm.
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
    use crate::error::ErrorCode;

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
    fn a_path_is_written_in_its_canonical_form(#[case] campaign_type: &str, #[case] campaign_id: &str) {
        let request = request(campaign_type, campaign_id, PASS);
        let campaign = RegistrationsPath::of_campaign(&request).unwrap();
        assert_eq!(campaign.to_string(), format!("/v2/event_tickets/{CAMPAIGN}/registrations"));
        let pass = RegistrationsPath::of_pass(&request).unwrap();
        assert_eq!(pass.to_string(), format!("/v2/event_tickets/{CAMPAIGN}/passes/{PASS}/registrations"));
        assert_eq!(campaign.push_targets(), format!("/v2/event_tickets/{CAMPAIGN}/push_targets"));
        assert_eq!(pass.push_targets(), format!("/v2/event_tickets/{CAMPAIGN}/passes/{PASS}/push_targets"));
    }

    #[rstest]
    #[case("tickets", "x", "x", ErrorCode::RouteNotFound, &["campaign_type"])]
    #[case("coupons", "x", PASS, ErrorCode::InvalidParameter, &["campaign_id"])]
    #[case("coupons", CAMPAIGN, "", ErrorCode::InvalidParameter, &["pass_id"])]
    #[case("coupons", "x", "x", ErrorCode::InvalidParameter, &["campaign_id", "pass_id"])]
    fn every_invalid_path_parameter_is_named(
        #[case] campaign_type: &str,
        #[case] campaign_id: &str,
        #[case] pass_id: &str,
        #[case] code: ErrorCode,
        #[case] fields: &[&str],
    ) {
        let error = PassPath::parse(&request(campaign_type, campaign_id, pass_id)).unwrap_err();
        assert_eq!(error.code(), code);
        assert_eq!(error.errors().fields().collect::<Vec<_>>(), fields);
    }
}
