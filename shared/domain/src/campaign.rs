//! Campaigns: the coupons, event tickets and the like that passes are issued for.
//!
//! A campaign belongs to one account. Once an event or the path of a write has named its type and was not refused, the
//! type is fixed too. Only an operator changes either. To another account, or under another type, the campaign looks
//! unknown.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray, VariantNames};

use crate::{id::AccountId, names::UnknownName};

/// The type of a campaign, as paths name it (Passworks API v2, "Registrations").
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(
    serialize_all = "snake_case",
    parse_err_ty = UnknownName,
    parse_err_fn = UnknownName::of::<CampaignType>
)]
pub enum CampaignType {
    /// `coupons`
    Coupons,
    /// `event_tickets`. The source document spells it `event_tickers`, so that spelling is accepted too.
    #[strum(to_string = "event_tickets", serialize = "event_tickers")]
    EventTickets,
    /// `boarding_passes`
    BoardingPasses,
    /// `generics`
    Generics,
    /// `store_cards`
    StoreCards,
}

impl CampaignType {
    /// Every type, in the order of the documentation.
    pub const ALL: &'static [Self] = <Self as VariantArray>::VARIANTS;

    /// Returns the name in paths, in events and in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The account and the type of a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    /// The account that owns the campaign: the first that wrote to it, or the one to which an operator moved it.
    pub account_id: AccountId,
    /// The type, or `None` until an event or the path of a write names it. After that only an operator changes it.
    pub campaign_type: Option<CampaignType>,
    /// Whether a serial number or a Google object points to a pass of the campaign. Then it stays with its account,
    /// because the account is in the address at which a wallet looks for the pass, for as long as the pass exists.
    pub is_pinned: bool,
}

impl Campaign {
    /// Returns whether `account` sees this campaign under `campaign_type`. A campaign without a type is seen under
    /// every type.
    #[must_use]
    pub fn is_seen_by(&self, account: &AccountId, campaign_type: CampaignType) -> bool {
        self.account_id == *account && self.campaign_type.is_none_or(|known| known == campaign_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_reads_back_and_event_tickets_have_two_spellings() {
        for campaign_type in CampaignType::ALL {
            assert_eq!(campaign_type.as_str().parse(), Ok(*campaign_type));
            assert_eq!(serde_json::to_value(campaign_type).unwrap(), campaign_type.to_string());
        }
        assert_eq!("event_tickers".parse(), Ok(CampaignType::EventTickets));
        let names: Vec<_> = CampaignType::ALL.iter().map(|campaign_type| campaign_type.as_str()).collect();
        for unknown in ["", "coupon", "Coupons", "event_ticker", "coupons "] {
            let error = unknown.parse::<CampaignType>().unwrap_err().to_string();
            assert_eq!(error, format!("expected one of {}", names.join(", ")));
        }
    }

    #[test]
    fn a_campaign_is_seen_by_its_account_under_its_type() {
        let demo: AccountId = "demo".parse().unwrap();
        let other: AccountId = "other".parse().unwrap();
        let without_type = Campaign { account_id: demo.clone(), campaign_type: None, is_pinned: false };
        let coupon = Campaign { campaign_type: Some(CampaignType::Coupons), ..without_type.clone() };

        assert!(coupon.is_seen_by(&demo, CampaignType::Coupons));
        assert!(!coupon.is_seen_by(&demo, CampaignType::Generics));
        assert!(!coupon.is_seen_by(&other, CampaignType::Coupons));
        assert!(CampaignType::ALL.iter().all(|campaign_type| without_type.is_seen_by(&demo, *campaign_type)));
    }
}
