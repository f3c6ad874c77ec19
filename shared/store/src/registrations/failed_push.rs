//! Failed pushes: a push service reports that an address is no longer valid, so the registration has ended without an
//! uninstall.
//!
//! The report may be late. If the wallet has sent its push token since, it has registered again, so the report does not
//! end the registration.

use std::pin::pin;

use aws_sdk_dynamodb::{operation::query::QueryInput, types::AttributeValue};
use domain::{
    device::PushToken,
    id::{CampaignId, PassId, RegistrationId},
    time::Timestamp,
};
use futures_util::TryStreamExt as _;
use tokio::time;

use super::{
    apply::UNINSTALL_DECIDES,
    items::{TombstoneItem, registration_ids},
};
use crate::{
    StoreError, Table,
    dynamodb::{codec::text, conditional_put::has_written, limits::CALL_TIMEOUT},
    keys,
};

/// A failed push ends a registration like an uninstall, unless the wallet sent its push token later.
const NOT_SENT_SINCE: &str = "attribute_not_exists(push_token_at) OR push_token_at <= :at";
/// If the event names the token too, it does not end a registration that has another one.
const HAS_NO_OTHER_TOKEN: &str = "attribute_not_exists(push_token) OR push_token = :push_token";

impl Table {
    /// Ends a registration whose push failed at `at`: `item` is its tombstone. If the token is known, the registration
    /// stays if it has another one. Returns whether it was written. If no registration is stored, it leaves a tombstone
    /// as an uninstall does, so that the order of events does not matter.
    ///
    /// Costs one conditional write.
    pub(crate) async fn end_after_failed_push(
        &self,
        item: &TombstoneItem,
        push_token: Option<&PushToken>,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let condition = format!("({UNINSTALL_DECIDES}) AND ({NOT_SENT_SINCE})");
        let put = match push_token {
            None => self.put(item, &condition, at)?,
            Some(push_token) => self
                .put(item, &format!("{condition} AND ({HAS_NO_OTHER_TOKEN})"), at)?
                .expression_attribute_values(":push_token", text(push_token.as_str())),
        };
        has_written(self.client.send(put).await)
    }

    /// Ends each registration of the pass that has this push token and whose push failed at `at`. Returns whether any
    /// was ended. Takes at most as long as one call.
    ///
    /// Costs reading all registrations of the pass, and one conditional write for each that has the token.
    pub(crate) async fn end_by_push_token(
        &self,
        campaign: CampaignId,
        pass: PassId,
        push_token: &PushToken,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let ended = async {
            let mut any = false;
            for registration in self.with_push_token(campaign, pass, push_token).await? {
                let item = TombstoneItem::new(campaign, pass, registration, at, now);
                // The registration may have got another token since it was read.
                let condition = format!("({UNINSTALL_DECIDES}) AND ({NOT_SENT_SINCE}) AND push_token = :push_token");
                let put = self.put(&item, &condition, at)?;
                let put = put.expression_attribute_values(":push_token", text(push_token.as_str()));
                any |= has_written(self.client.send(put).await)?;
            }
            Ok(any)
        };
        let too_slow = |_| StoreError::TooSlow("not all registrations with a push token were ended in time".to_owned());
        time::timeout(CALL_TIMEOUT, ended).await.map_err(too_slow)?
    }

    /// Returns the registrations of the pass that have this push token.
    async fn with_push_token(
        &self,
        campaign: CampaignId,
        pass: PassId,
        push_token: &PushToken,
    ) -> Result<Vec<RegistrationId>, StoreError> {
        let query = QueryInput::builder()
            .table_name(&self.name)
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .filter_expression("push_token = :push_token")
            .projection_expression(keys::SK)
            .expression_attribute_values(":pk", text(keys::campaign_pk(campaign)))
            .expression_attribute_values(":sk", text(keys::pass_sk(pass)))
            .expression_attribute_values(":push_token", text(push_token.as_str()))
            // An install that was applied just before must be found.
            .consistent_read(true);
        let mut items = pin!(self.client.items(query));
        let mut found = Vec::new();
        while let Some(item) = items.try_next().await? {
            let sk = item.get(keys::SK).and_then(|sk: &AttributeValue| sk.as_s().ok()).map_or("", String::as_str);
            let (_, registration) = registration_ids(sk)?;
            found.push(registration);
        }
        Ok(found)
    }
}
