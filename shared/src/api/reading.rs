//! Who may read what: looked up beside what is read, told before it.

use futures_util::{future::OptionFuture, join};
use lambda_http::Request;

use super::{
    credentials,
    error::{ApiError, ErrorCode},
    path::{self, RegistrationsPath},
};
use crate::{
    account::{Access, Caller},
    clock::Timestamp,
    field::FieldErrors,
    store::{Collection, RegistrationStore},
};

/// The path of a request that reads, by `read_path`.
///
/// # Errors
///
/// 404 where there is no such type of campaign; then 401 without credentials, or with none that are good; then 400.
pub async fn path(
    store: &RegistrationStore,
    request: &Request,
    read_path: fn(&Request) -> Result<RegistrationsPath, ApiError>,
    now: Timestamp,
) -> Result<RegistrationsPath, ApiError> {
    path::campaign_type(request)?;
    credentials::are_given(request)?;
    match read_path(request) {
        Ok(path) => Ok(path),
        Err(invalid) => {
            credentials::caller(store, request, now).await?;
            Err(invalid)
        }
    }
}

/// Whether the caller may see that there is something here. The key is looked up beside what it opens, and decides first.
///
/// # Errors
///
/// 401 where the key is not good; then 404 where the campaign or the pass is not known to its account.
pub async fn expect_known(
    store: &RegistrationStore,
    request: &Request,
    path: RegistrationsPath,
    now: Timestamp,
) -> Result<(), ApiError> {
    let RegistrationsPath { campaign_type, collection } = path;
    let pass_is_known: OptionFuture<_> = match collection {
        Collection::Campaign(_) => None,
        Collection::Pass(campaign, pass) => Some(store.pass_is_known(campaign, pass)),
    }
    .into();
    let (caller, campaign, pass_is_known) =
        join!(credentials::caller(store, request, now), store.campaign(collection.campaign()), pass_is_known);
    let Caller { account_id, access: Access::ReadOnly | Access::ReadWrite } = caller?;
    if !campaign?.is_some_and(|campaign| campaign.is_seen_by(&account_id, campaign_type)) {
        return Err(ApiError::campaign_not_found());
    }
    if !pass_is_known.transpose()?.unwrap_or(true) {
        let errors = FieldErrors::of("pass_id", "is not known");
        return Err(ApiError::with_fields(ErrorCode::PassNotFound, "the pass is not known", errors));
    }
    Ok(())
}
