//! Push targets: the active registrations of a campaign or of a pass that have a push token, in the order of their pass
//! and their id.
//!
//! They are read from the table and not from an index. An index lacks the push token, and it is always some milliseconds
//! behind: a wallet that registered just before would keep the old pass, because no push reaches it. Passes, removed
//! registrations and registrations without a push token lie in between and are examined too, so the number of items that
//! one listing examines is limited.

use aws_sdk_dynamodb::operation::query::QueryInput;
use domain::{
    device::{PushServiceUrl, PushToken},
    id::{PassId, RegistrationId},
    pass::PassTypeIdentifier,
    push_target::PushTarget,
    wallet::Wallet,
};
use serde::{Deserialize, Serialize};

use super::{
    items::registration_ids,
    list::{Collection, limit_of},
};
use crate::{
    StoreError, Table,
    dynamodb::codec::{self, Item, text},
    keys,
};

/// How many items one listing may examine in addition to the targets that it should return.
const MAX_EXAMINED: usize = 10_000;
/// The factor by which each further read of a listing grows.
const READ_GROWTH: usize = 2;

/// A part of the push targets of a collection.
#[derive(Debug)]
pub struct PushTargets {
    /// The targets. There may be fewer than requested, or none, although more follow.
    pub targets: Vec<PushTarget>,
    /// Where the next part begins, or `None` if this is the last one.
    pub next: Option<TargetPosition>,
}

/// A place in the order of push targets: right after this registration or, if that is `None`, after the item of the
/// pass. Neither has to exist any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetPosition {
    /// The pass.
    pub pass_id: PassId,
    /// The registration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_id: Option<RegistrationId>,
}

impl TargetPosition {
    /// Returns whether the position lies within the collection. DynamoDB refuses to begin outside of what it reads.
    #[must_use]
    pub fn is_in(self, collection: Collection) -> bool {
        match collection {
            Collection::Campaign(_) => true,
            Collection::Pass(_, pass) => self.pass_id == pass,
        }
    }

    fn key(self, collection: Collection) -> Item {
        let Self { pass_id, registration_id } = self;
        let sk = registration_id.map_or_else(|| keys::pass_sk(pass_id), |id| keys::registration_sk(pass_id, id));
        Item::from([
            (keys::PK.to_owned(), text(keys::campaign_pk(collection.campaign()))),
            (keys::SK.to_owned(), text(sk)),
        ])
    }

    fn of_key(key: &Item) -> Result<Self, StoreError> {
        let (_, sk) = codec::key_of(key).ok_or_else(|| StoreError::malformed("without key", "expected pk and sk"))?;
        let of_registration = keys::parse_registration_sk(&sk).map(|(pass, registration)| (pass, Some(registration)));
        let ids = of_registration.or_else(|| keys::parse_pass_sk(&sk).map(|pass| (pass, None)));
        let (pass_id, registration_id) =
            ids.ok_or_else(|| StoreError::malformed(&sk, "expected the key of a pass or a registration"))?;
        Ok(Self { pass_id, registration_id })
    }
}

/// The result of one query: the targets among the examined items, and where more may follow.
struct Examined {
    targets: Vec<PushTarget>,
    items: usize,
    end: Option<TargetPosition>,
}

/// The attributes of an active registration with a push token that are listed.
#[derive(Deserialize)]
struct TargetItem {
    sk: String,
    wallet: Wallet,
    pass_type: Option<PassTypeIdentifier>,
    push_token: PushToken,
    push_service_url: Option<PushServiceUrl>,
}

impl Table {
    /// Returns at most `count` push targets of the collection, from the beginning or after a position in it, with
    /// strongly consistent reads. Examines at most 10,000 items more than it returns.
    ///
    /// Costs one query if enough of the first items are push targets. The reads grow, because few of the others may be.
    pub async fn push_targets(
        &self,
        collection: Collection,
        after: Option<TargetPosition>,
        count: usize,
    ) -> Result<PushTargets, StoreError> {
        // One target more than requested shows that more follow.
        let mut read = count + 1;
        let mut budget = count + 1 + MAX_EXAMINED;
        let mut targets = Vec::new();
        let mut position = after;
        loop {
            let examined = self.examine(collection, position, read.min(budget)).await?;
            budget = budget.saturating_sub(examined.items);
            targets.extend(examined.targets);
            if targets.len() > count {
                targets.truncate(count);
                return Ok(PushTargets { next: targets.last().map(position_of), targets });
            }
            // An answer without an item is the end, even if DynamoDB says that more may follow.
            position = examined.end.filter(|_| examined.items > 0);
            if position.is_none() || budget == 0 {
                return Ok(PushTargets { targets, next: position });
            }
            read = read.saturating_mul(READ_GROWTH);
        }
    }

    /// Examines up to `limit` items with one query, which reads at most 1 MB.
    async fn examine(
        &self,
        collection: Collection,
        after: Option<TargetPosition>,
        limit: usize,
    ) -> Result<Examined, StoreError> {
        let sk = match collection {
            Collection::Campaign(_) => keys::PASSES_PREFIX.to_owned(),
            Collection::Pass(_, pass) => keys::pass_sk(pass),
        };
        let query = QueryInput::builder()
            .table_name(&self.name)
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .filter_expression("attribute_exists(push_token)")
            .projection_expression("sk, wallet, pass_type, push_token, push_service_url")
            .expression_attribute_values(":pk", text(keys::campaign_pk(collection.campaign())))
            .expression_attribute_values(":sk", text(sk))
            .consistent_read(true)
            .set_exclusive_start_key(after.map(|position| position.key(collection)))
            .limit(limit_of(limit));
        let response = self.client.send(query).await?;
        let items = usize::try_from(response.scanned_count).unwrap_or_default();
        let end = response.last_evaluated_key.as_ref().map(TargetPosition::of_key).transpose()?;
        let targets = response.items.unwrap_or_default().into_iter().map(target).collect::<Result<_, _>>()?;
        Ok(Examined { targets, items, end })
    }
}

fn target(item: Item) -> Result<PushTarget, StoreError> {
    let TargetItem { sk, wallet, pass_type, push_token, push_service_url } = codec::decode(item)?;
    let (pass_id, registration_id) = registration_ids(&sk)?;
    Ok(PushTarget { registration_id, pass_id, wallet, pass_type_identifier: pass_type, push_token, push_service_url })
}

fn position_of(target: &PushTarget) -> TargetPosition {
    TargetPosition { pass_id: target.pass_id, registration_id: Some(target.registration_id) }
}
