//! Order: `q[s]=<attribute> <asc|desc>` (Passworks API v2, "Sorting").

use std::{cmp::Ordering, fmt, str::FromStr};

use domain::registration::Registration;
use store::Direction;
use thiserror::Error;

use super::filter::Attribute;

/// The order of a listing. Registrations with the same value of the attribute are ordered by `created_at`, oldest
/// first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// The attribute to order by.
    pub attribute: Attribute,
    /// Whether the attribute's values ascend or descend.
    pub direction: Direction,
}

/// The error for a text that is not an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected <attribute> <asc|desc> with an attribute of id, pass_id, wallet, device_os, created_at")]
pub struct InvalidOrder;

impl Default for Order {
    fn default() -> Self {
        Self { attribute: Attribute::CreatedAt, direction: Direction::Ascending }
    }
}

impl Order {
    /// Compares two registrations. The lesser one comes first in this order.
    #[must_use]
    pub fn compare(self, left: &Registration, right: &Registration) -> Ordering {
        let by_attribute = self.attribute.of(left).cmp(self.attribute.of(right));
        let by_attribute = match self.direction {
            Direction::Ascending => by_attribute,
            Direction::Descending => by_attribute.reverse(),
        };
        let tie = |registration: &Registration| (registration.created_at, registration.pass_id, registration.id);
        by_attribute.then_with(|| tie(left).cmp(&tie(right)))
    }
}

impl FromStr for Order {
    type Err = InvalidOrder;

    fn from_str(text: &str) -> Result<Self, InvalidOrder> {
        let mut words = text.split_whitespace();
        let attribute = words.next().ok_or(InvalidOrder)?.parse().map_err(|_| InvalidOrder)?;
        let direction = match words.next().map(str::to_ascii_lowercase).as_deref() {
            None | Some("asc") => Direction::Ascending,
            Some("desc") => Direction::Descending,
            Some(_) => return Err(InvalidOrder),
        };
        if words.next().is_some() {
            return Err(InvalidOrder);
        }
        Ok(Self { attribute, direction })
    }
}

impl fmt::Display for Order {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            Direction::Ascending => "asc",
            Direction::Descending => "desc",
        };
        write!(formatter, "{} {direction}", self.attribute.as_str())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("created_at desc", "created_at desc")]
    #[case("wallet asc", "wallet asc")]
    #[case("id", "id asc")]
    #[case("created_at DESC", "created_at desc")]
    #[case("  wallet \t Asc ", "wallet asc")]
    fn an_order_reads_back(#[case] text: &str, #[case] written: &str) {
        assert_eq!(text.parse::<Order>().unwrap().to_string(), written);
    }

    #[rstest]
    #[case("")]
    #[case("created_at down")]
    #[case("   ")]
    #[case("Created_At desc")]
    #[case("colour asc")]
    #[case("created_at desc wallet asc")]
    fn anything_else_is_refused(#[case] text: &str) {
        assert_eq!(text.parse::<Order>(), Err(InvalidOrder));
    }
}
