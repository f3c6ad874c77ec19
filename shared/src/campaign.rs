//! Campaigns: what passes are issued for.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::id::AccountId;

/// The kinds of campaign, as the path names them (Passworks API v2, "Registrations").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CampaignType {
    /// `coupons`
    Coupons,
    /// `event_tickets`; the source document spells it `event_tickers`, so that spelling is read too.
    EventTickets,
    /// `boarding_passes`
    BoardingPasses,
    /// `generics`
    Generics,
    /// `store_cards`
    StoreCards,
}

/// Why a text is not a campaign type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected one of coupons, event_tickets, boarding_passes, generics, store_cards")]
pub struct UnknownCampaignType;

impl CampaignType {
    /// Every type, in the order of the documentation.
    pub const ALL: [Self; 5] =
        [Self::Coupons, Self::EventTickets, Self::BoardingPasses, Self::Generics, Self::StoreCards];

    /// The type as paths, events and the table write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Coupons => "coupons",
            Self::EventTickets => "event_tickets",
            Self::BoardingPasses => "boarding_passes",
            Self::Generics => "generics",
            Self::StoreCards => "store_cards",
        }
    }
}

impl FromStr for CampaignType {
    type Err = UnknownCampaignType;

    fn from_str(text: &str) -> Result<Self, UnknownCampaignType> {
        let text = if text == "event_tickers" { "event_tickets" } else { text };
        Self::ALL.into_iter().find(|campaign_type| campaign_type.as_str() == text).ok_or(UnknownCampaignType)
    }
}

impl fmt::Display for CampaignType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What is known of a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    /// The account whose event made the campaign known. It never changes.
    pub account_id: AccountId,
    /// The type, once an event or a path that wrote has told it. Then it never changes.
    pub campaign_type: Option<CampaignType>,
}

impl Campaign {
    /// Whether `account` sees this campaign under `campaign_type`. A campaign whose type nobody has told yet is seen under
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
            assert_eq!(campaign_type.as_str().parse(), Ok(campaign_type));
        }
        assert_eq!("event_tickers".parse(), Ok(CampaignType::EventTickets));
        for unknown in ["", "coupon", "Coupons", "event_ticker", "coupons "] {
            assert_eq!(unknown.parse::<CampaignType>(), Err(UnknownCampaignType));
        }
    }

    #[test]
    fn a_campaign_is_seen_by_its_account_under_its_type() {
        let demo: AccountId = "demo".parse().unwrap();
        let other: AccountId = "other".parse().unwrap();
        let untold = Campaign { account_id: demo.clone(), campaign_type: None };
        let coupon = Campaign { account_id: demo.clone(), campaign_type: Some(CampaignType::Coupons) };

        assert!(coupon.is_seen_by(&demo, CampaignType::Coupons));
        assert!(!coupon.is_seen_by(&demo, CampaignType::Generics));
        assert!(!coupon.is_seen_by(&other, CampaignType::Coupons));
        assert!(CampaignType::ALL.into_iter().all(|campaign_type| untold.is_seen_by(&demo, campaign_type)));
    }
}
