//! Callbacks of Google Wallet: a `save` installs the registration of an object, a `del` ends it.
//!
//! Callbacks repeat and overtake each other. Their own order decides between them, not their arrival: the item of the
//! registration, active or removed, keeps the order and the nonce of the callback that wrote it, and another one is
//! applied only if its order is greater and its nonce another. At the same order a `del` beats a `save`. So the same
//! callbacks leave the same state, whatever their sequence and however often each comes.
//!
//! To events a callback is one that happened when it was received: a later event replaces the item, with what callbacks
//! kept, so the next callback decides again. If a stored event lies in the future, because the sender's clock is ahead,
//! the callback counts as the first moment after it: what the wallet did is known, and Google does not repeat what was
//! answered. An event that is repeated then changes nothing.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::{
    event::Installation,
    google::{Callback, CallbackKind, CallbackNonce},
    id::{AccountId, CampaignId, PassId},
    time::Timestamp,
    wallet::{DeviceOs, Wallet},
};
use serde::Serialize;

use super::items::{RegistrationItem, StoredRegistration, TombstoneItem};
use crate::{
    Outcome, StoreError, Table,
    dynamodb::{
        codec::text,
        conditional_put::{MAX_ATTEMPTS, Put, contended},
    },
    keys,
};

/// A `save` is applied after every callback and every event so far.
const SAVE_DECIDES: &str = "(attribute_not_exists(last_event_at) OR last_event_at < :at) \
     AND (attribute_not_exists(callback_order) OR (callback_nonce <> :nonce AND callback_order < :order))";
/// A `del` is applied on the same condition, and also after a `save` of the same order or an event at the same instant.
const DELETION_DECIDES: &str = "(attribute_not_exists(last_event_at) OR last_event_at <= :at) \
     AND (attribute_not_exists(callback_order) OR (callback_nonce <> :nonce AND (callback_order < :order \
     OR (callback_order = :order AND attribute_exists(created_at)))))";

/// The item of a registration that a callback wrote.
#[derive(Serialize)]
struct CallbackItem<'a, T> {
    #[serde(flatten)]
    item: T,
    callback_order: i64,
    callback_nonce: &'a CallbackNonce,
}

impl Table {
    /// Applies a callback about the object that stands for this pass, which was received at `now`. The campaign must
    /// belong to the account.
    ///
    /// Costs one conditional write, and a second one if the registration's last event is not before `now`.
    pub async fn apply_callback(
        &self,
        account: &AccountId,
        campaign: CampaignId,
        pass: PassId,
        callback: &Callback,
        now: Timestamp,
    ) -> Result<Outcome, StoreError> {
        let registration = callback.registration_id(pass);
        let mut at = now;
        for _ in 0..MAX_ATTEMPTS {
            let put = match callback.kind {
                CallbackKind::Saved => {
                    let installation = Installation {
                        registration_id: registration,
                        wallet: Wallet::GoogleWallet,
                        device_os: DeviceOs::Android,
                        device_library_identifier: None,
                        push_token: None,
                        push_service_url: None,
                        serial_number: None,
                    };
                    let item = RegistrationItem::new(account, campaign, pass, &installation, at, now);
                    self.put_callback(item, callback, SAVE_DECIDES, at).await?
                }
                CallbackKind::Deleted => {
                    let item = TombstoneItem::new(campaign, pass, registration, at, now);
                    self.put_callback(item, callback, DELETION_DECIDES, at).await?
                }
            };
            let stored = match put {
                Put::Written => return Ok(Outcome::Applied),
                Put::Rejected { stored: None } => continue,
                Put::Rejected { stored: Some(stored) } => stored,
            };
            let earliest = match callback.kind {
                CallbackKind::Saved => stored.last_event_at.plus(Duration::from_millis(1)),
                CallbackKind::Deleted => stored.last_event_at,
            };
            if at >= earliest {
                return Ok(Outcome::Unchanged);
            }
            at = earliest;
        }
        Err(contended(&keys::registration_sk(pass, registration)))
    }

    async fn put_callback(
        &self,
        item: impl Serialize,
        callback: &Callback,
        condition: &str,
        at: Timestamp,
    ) -> Result<Put<StoredRegistration>, StoreError> {
        let item = CallbackItem { item, callback_order: callback.order, callback_nonce: &callback.nonce };
        let put = self
            .put(&item, condition, at)?
            .expression_attribute_values(":order", AttributeValue::N(callback.order.to_string()))
            .expression_attribute_values(":nonce", text(callback.nonce.as_str()));
        self.written_or_stored(put).await
    }
}
