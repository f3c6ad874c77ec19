//! Access: who may do what, and in which order a request is checked.
//!
//! The first of these rules that a request breaks determines its error, so that no response reveals anything that its
//! caller may not know:
//!
//! | | refused with | because |
//! |--:|---|---|
//! | 1 | 404 `route_not_found`, 405 `method_not_allowed` | there is no such path or campaign type, or the path does not accept the method; this needs no key |
//! | 2 | 401 `unauthorized` | there are no valid credentials |
//! | 3 | 403 `forbidden` | the key is read-only, and the request writes or lists push tokens |
//! | 4 | 400 `invalid_parameter` | an id in the path is malformed |
//! | 5 | 404 `campaign_not_found`, 404 `pass_not_found` | the campaign or the pass is not known to the caller's account |
//! | 6 | 400, 413, 415, 422 | the query or the body is invalid |
//! | 7 | 404 `registration_not_found`, 409 `registration_removed` | the registration is not in a state that allows the request |
//!
//! The exceptions are writes:
//!
//! - For writes, rule 5 covers only the campaign. A `POST` accepts an unknown pass; a `DELETE` answers
//!   `registration_not_found`.
//! - A `POST` to a campaign that is not known yet makes it known. So rule 5 refuses only a campaign that belongs to
//!   another account or has another type.
//! - Events name their campaign in the body, so rule 6 comes before rule 5, and another type is an `invalid_body`.

mod credentials;

use domain::{
    account::{Access, Caller, KeyId, KeyRecord},
    counts::Counts,
    id::AccountId,
    time::Timestamp,
};
use futures_util::{FutureExt as _, try_join};
use lambda_http::Request;
use store::{Admission, Collection, Table, WantedTotals};

use self::credentials::Credentials;
use crate::{
    error::ApiError,
    path::{self, RegistrationsPath},
    request_log::RequestLog,
};

/// How much a read costs. A caller without a valid key must not be able to make the table read much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadSize {
    /// Little enough to be read before the key is known to be valid.
    Small,
    /// Any amount.
    Large,
}

/// A request that reads a campaign or a pass, before its access is checked.
///
/// No data may be returned before the check has passed.
pub struct ReadRequest<'a> {
    table: &'a Table,
    request: &'a Request,
    credentials: Credentials,
    /// The id of the key in the credentials: its SHA-256, computed once.
    key_id: KeyId,
    path: RegistrationsPath,
    /// The access that the key must have.
    needed: Access,
    now: Timestamp,
}

impl<'a> ReadRequest<'a> {
    /// Parses the credentials of a request, and its path with `read_path`. The key must have at least the access
    /// `needed`.
    ///
    /// # Errors
    ///
    /// Rules 1, 2 and 4. If rule 4 is broken, the key is read from the table, because rules 2 and 3 come first, so the
    /// error may be one of them.
    pub async fn new(
        table: &'a Table,
        request: &'a Request,
        read_path: fn(&Request) -> Result<RegistrationsPath, ApiError>,
        needed: Access,
        now: Timestamp,
    ) -> Result<Self, ApiError> {
        path::campaign_type(request)?;
        let credentials = Credentials::of(request).ok_or_else(ApiError::unauthorized)?;
        let key_is_valid = async { expect_access(&caller(table, request, &credentials, now).await?, needed) };
        let path = check_if_invalid(key_is_valid, read_path(request)).await?;
        let key_id = credentials.key_id();
        Ok(Self { table, request, credentials, key_id, path, needed, now })
    }

    /// Returns the path of the request.
    #[must_use]
    pub fn path(&self) -> RegistrationsPath {
        self.path
    }

    /// Returns the id of the key that the caller sent.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Checks the key and the campaign. Returns the campaign's totals, if they are wanted and complete.
    ///
    /// Makes one call to the table, or none if this process remembers the key, the campaign and the wanted totals. A key
    /// or a campaign that is not found is looked for by a second call.
    ///
    /// # Errors
    ///
    /// Rules 2, 3 and 5, as far as rule 5 concerns the campaign.
    pub async fn admit(&self, totals: WantedTotals) -> Result<Option<Counts>, ApiError> {
        let campaign = self.path.collection.campaign();
        let admission = self.table.admission(self.key_id, campaign, totals, self.now).await?;
        let Admission { key, campaign, totals } = admission;
        let caller = known_caller(self.request, &self.credentials, key)?;
        expect_access(&caller, self.needed)?;
        if campaign.is_some_and(|campaign| campaign.is_seen_by(&caller.account_id, self.path.campaign_type)) {
            Ok(totals)
        } else {
            Err(ApiError::campaign_not_found())
        }
    }

    /// Checks access like [`ReadRequest::admit`], and reads. Reads concurrently with the check if the read is small, or
    /// if this process remembers the key. Otherwise it reads only after the check. A failed check cancels the read.
    ///
    /// # Errors
    ///
    /// Those of [`ReadRequest::admit`]. An error of the read is part of `T`, so it is reported only after the check.
    pub async fn admit_and_read<T>(
        &self,
        totals: WantedTotals,
        size: ReadSize,
        read: impl Future<Output = T>,
    ) -> Result<(Option<Counts>, T), ApiError> {
        let (admission, read) = (Box::pin(self.admit(totals)), Box::pin(read));
        let remembered = self.table.remembered_key(self.key_id, self.now);
        if size == ReadSize::Small || remembered.is_some_and(|key| self.credentials.fit(&key)) {
            return try_join!(admission, read.map(Ok));
        }
        let totals = admission.await?;
        Ok((totals, read.await))
    }

    /// Checks that the pass of the path is known, if the path names one.
    ///
    /// # Errors
    ///
    /// Rule 5, as far as it concerns the pass.
    pub async fn expect_known_pass(&self) -> Result<(), ApiError> {
        match self.path.collection {
            Collection::Campaign(_) => Ok(()),
            Collection::Pass(campaign, pass) => {
                if self.table.pass_is_known(campaign, pass).await? {
                    Ok(())
                } else {
                    Err(ApiError::pass_not_found())
                }
            }
        }
    }

    /// Returns `parsed`. If it is an error, checks access first; an access error takes precedence (rules 2, 3 and 5
    /// before rule 6).
    pub async fn check_access_if_invalid<T>(&self, parsed: Result<T, ApiError>) -> Result<T, ApiError> {
        let check = async {
            self.admit(WantedTotals::None).await?;
            self.expect_known_pass().await
        };
        check_if_invalid(check, parsed).await
    }
}

/// Returns `parsed`. If it is an error, runs `check` first; an error of the check takes precedence.
pub async fn check_if_invalid<T>(
    check: impl Future<Output = Result<(), ApiError>>,
    parsed: Result<T, ApiError>,
) -> Result<T, ApiError> {
    if parsed.is_err() {
        Box::pin(check).await?;
    }
    parsed
}

/// Returns the account of a request that writes, after checking its key.
///
/// # Errors
///
/// Rules 2 and 3.
pub async fn writer(table: &Table, request: &Request, now: Timestamp) -> Result<AccountId, ApiError> {
    let credentials = Credentials::of(request).ok_or_else(ApiError::unauthorized)?;
    let caller = caller(table, request, &credentials, now).await?;
    expect_access(&caller, Access::ReadWrite)?;
    Ok(caller.account_id)
}

/// Checks rule 3.
fn expect_access(caller: &Caller, needed: Access) -> Result<(), ApiError> {
    match (needed, caller.access) {
        (Access::ReadWrite, Access::ReadOnly) => Err(ApiError::forbidden()),
        (Access::ReadWrite, Access::ReadWrite) | (Access::ReadOnly, Access::ReadOnly | Access::ReadWrite) => Ok(()),
    }
}

async fn caller(
    table: &Table,
    request: &Request,
    credentials: &Credentials,
    now: Timestamp,
) -> Result<Caller, ApiError> {
    let key = table.key(credentials.key_id(), now).await?;
    known_caller(request, credentials, key)
}

/// Checks the key that was found for the credentials and logs its account. The 401 is identical for every cause.
fn known_caller(request: &Request, credentials: &Credentials, key: Option<KeyRecord>) -> Result<Caller, ApiError> {
    let known = key.filter(|known| credentials.fit(known)).ok_or_else(ApiError::unauthorized)?;
    let KeyRecord { account_id, access, .. } = known;
    RequestLog::record_account(request, &account_id);
    Ok(Caller { account_id, access })
}
