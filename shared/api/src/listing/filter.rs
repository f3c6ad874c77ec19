//! Filters: `q[<attribute>_<predicate>]=value` (Passworks API v2, "Sorting" and "Registrations").
//!
//! A filter is a set of conditions, and a registration must meet all of them. It would be enough to read everything and
//! test each registration, but two shortcuts make it cheaper: [`Filter::created_at_range`] narrows the range to read,
//! and [`Filter::counted_part`] finds a stored count.

use std::{borrow::Cow, fmt};

use domain::{counts::Part, registration::Registration};
use store::CreatedAtRange;
use strum::{EnumString, IntoStaticStr, VariantArray, VariantNames};

/// The maximum length of a value, in bytes. A `created_at` becomes part of a key condition, whose values DynamoDB
/// limits to 1,024 bytes.
pub const MAX_VALUE_LENGTH: usize = 256;

/// An attribute to filter or order by: a key of a registration in the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, EnumString, IntoStaticStr, VariantArray, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Attribute {
    /// `id`
    Id,
    /// `pass_id`
    PassId,
    /// `wallet`
    Wallet,
    /// `device_os`
    DeviceOs,
    /// `created_at`
    CreatedAt,
}

/// A comparison of an attribute with a value: as text, case-sensitively, byte by byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, EnumString, IntoStaticStr, VariantArray, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Predicate {
    /// `eq`: equals the value.
    Eq,
    /// `not_eq`: differs from the value.
    NotEq,
    /// `match`: matches the value, in which `%` stands for any text.
    Match,
    /// `lt`: comes before the value.
    Lt,
    /// `lteq`: comes before the value or equals it.
    Lteq,
    /// `gt`: comes after the value.
    Gt,
    /// `gteq`: comes after the value or equals it.
    Gteq,
    /// `cont`: contains the value.
    Cont,
}

/// One condition on one attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Condition {
    attribute: Attribute,
    predicate: Predicate,
    value: String,
}

/// A set of conditions. A registration passes if it meets all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter(Vec<Condition>);

impl Attribute {
    /// Every attribute, in the order of the API.
    pub const ALL: &'static [Self] = <Self as VariantArray>::VARIANTS;

    /// Returns the attribute's name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the attribute's value in a registration, as text.
    #[must_use]
    pub fn of(self, registration: &Registration) -> Cow<'static, str> {
        match self {
            Self::Id => registration.id.to_string().into(),
            Self::PassId => registration.pass_id.to_string().into(),
            Self::Wallet => registration.wallet.as_str().into(),
            Self::DeviceOs => registration.device_os.as_str().into(),
            Self::CreatedAt => registration.created_at.to_string().into(),
        }
    }
}

impl Predicate {
    /// Every predicate, in the order of the documentation.
    pub const ALL: &'static [Self] = <Self as VariantArray>::VARIANTS;

    /// Returns the predicate's name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    fn holds(self, text: &str, value: &str) -> bool {
        match self {
            Self::Eq => text == value,
            Self::NotEq => text != value,
            Self::Match => is_like(text, value),
            Self::Lt => text < value,
            Self::Lteq => text <= value,
            Self::Gt => text > value,
            Self::Gteq => text >= value,
            Self::Cont => text.contains(value),
        }
    }
}

impl Condition {
    /// Parses the condition `q[name]=value`. The error text says what was expected.
    pub fn parse(name: &str, value: String) -> Result<Self, String> {
        let found = Attribute::ALL.iter().find_map(|attribute| {
            let predicate = name.strip_prefix(attribute.as_str())?.strip_prefix('_')?;
            Some((*attribute, predicate.parse().ok()?))
        });
        let Some((attribute, predicate)) = found else {
            return Err(format!(
                "expected q[<attribute>_<predicate>] with an attribute of {} and a predicate of {}",
                <Attribute as VariantNames>::VARIANTS.join(", "),
                <Predicate as VariantNames>::VARIANTS.join(", "),
            ));
        };
        if value.len() > MAX_VALUE_LENGTH {
            return Err(format!("expected at most {MAX_VALUE_LENGTH} bytes"));
        }
        Ok(Self { attribute, predicate, value })
    }

    /// Returns the value to compare with.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

/// Writes the name of the parameter: `q[wallet_eq]`.
impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "q[{}_{}]", self.attribute.as_str(), self.predicate.as_str())
    }
}

impl Filter {
    /// Returns the filter that requires all these conditions. Their order and repetitions do not matter.
    #[must_use]
    pub fn all_of(mut conditions: Vec<Condition>) -> Self {
        conditions.sort();
        conditions.dedup();
        Self(conditions)
    }

    /// Returns whether the filter has no condition, so that every registration passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the conditions, sorted and without repetitions.
    #[must_use]
    pub fn conditions(&self) -> &[Condition] {
        &self.0
    }

    /// Returns the part of a campaign whose registrations are exactly those that pass this filter, if it is one of the
    /// parts that are counted.
    #[must_use]
    pub fn counted_part(&self) -> Option<Part> {
        match self.0.as_slice() {
            [] => Some(Part::All),
            [Condition { attribute: Attribute::Wallet, predicate: Predicate::Eq, value }] => {
                value.parse().ok().map(Part::Wallet)
            }
            [Condition { attribute: Attribute::DeviceOs, predicate: Predicate::Eq, value }] => {
                value.parse().ok().map(Part::DeviceOs)
            }
            _ => None,
        }
    }

    /// Returns whether a registration meets every condition.
    #[must_use]
    pub fn matches(&self, registration: &Registration) -> bool {
        let holds = |condition: &Condition| {
            let Condition { attribute, predicate, value } = condition;
            predicate.holds(&attribute.of(registration), value)
        };
        self.0.iter().all(holds)
    }

    /// Returns a range of `created_at` that contains every registration that passes.
    #[must_use]
    pub fn created_at_range(&self) -> CreatedAtRange {
        let mut range = CreatedAtRange::default();
        for Condition { attribute, predicate, value } in &self.0 {
            if *attribute != Attribute::CreatedAt {
                continue;
            }
            let (is_from, is_to) = match predicate {
                Predicate::Eq => (true, true),
                Predicate::Gt | Predicate::Gteq => (true, false),
                Predicate::Lt | Predicate::Lteq => (false, true),
                Predicate::NotEq | Predicate::Match | Predicate::Cont => (false, false),
            };
            if is_from && range.from.as_deref().is_none_or(|from| value.as_str() > from) {
                range.from = Some(value.clone());
            }
            if is_to && range.to.as_deref().is_none_or(|to| value.as_str() < to) {
                range.to = Some(value.clone());
            }
        }
        range
    }
}

/// Matches like SQL's LIKE, with `%` as the only wildcard.
fn is_like(text: &str, pattern: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('%') else { return text == pattern };
    let (middle, last) = rest.rsplit_once('%').unwrap_or(("", rest));
    let Some(text) = text.strip_prefix(first) else { return false };
    let Some(text) = text.strip_suffix(last) else { return false };
    let mut remaining = text;
    // Matching each part at its leftmost position leaves the most text for the parts after it.
    middle.split('%').all(|part| {
        let found = remaining.find(part).map(|start| start + part.len());
        found.map(|end| remaining = &remaining[end..]).is_some()
    })
}

#[cfg(test)]
mod tests {
    use domain::wallet::{DeviceOs, Wallet};
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn registration() -> Registration {
        serde_json::from_str(
            r#"{"id":"ed2951b4-1127-4a96-a2b1-8a73adb4b2db","pass_id":"22d5b0ed-cc82-4743-a4fb-ee655d928037",
                "wallet":"passbook","device_os":"ios","created_at":"2016-11-09T11:09:00.745Z"}"#,
        )
        .unwrap()
    }

    fn filter(conditions: &[(&str, &str)]) -> Filter {
        let parse = |(name, value): &(&str, &str)| Condition::parse(name, (*value).to_owned()).unwrap();
        Filter::all_of(conditions.iter().map(parse).collect())
    }

    #[rstest]
    #[case("wallet_eq", "passbook", true)]
    #[case("wallet_eq", "Passbook", false)]
    #[case("wallet_eq", "", false)]
    #[case("wallet_not_eq", "passbook", false)]
    #[case("wallet_not_eq", "pass2u", true)]
    #[case("wallet_cont", "book", true)]
    #[case("wallet_cont", "%", false)]
    #[case("wallet_match", "pass%", true)]
    #[case("wallet_match", "%book", true)]
    #[case("wallet_match", "p%o%k", true)]
    #[case("wallet_match", "book", false)]
    #[case("wallet_match", "p_ssbook", false)]
    #[case("device_os_lt", "ios", false)]
    #[case("device_os_lteq", "ios", true)]
    #[case("device_os_gt", "android", true)]
    #[case("device_os_gteq", "ios", true)]
    #[case("id_match", "ed2951b4%", true)]
    #[case("id_eq", "ED2951B4-1127-4A96-A2B1-8A73ADB4B2DB", false)]
    #[case("pass_id_eq", "22d5b0ed-cc82-4743-a4fb-ee655d928037", true)]
    #[case("pass_id_cont", "cc82", true)]
    #[case("created_at_gteq", "2016-11-09", true)]
    #[case("created_at_lt", "2016-11-09T11:09:00.745Z", false)]
    #[case("created_at_lteq", "2016-11-09T11:09:00.745Z", true)]
    #[case("created_at_eq", "2016-11-09T11:09:00.745Z", true)]
    #[case("created_at_match", "2016-11-%", true)]
    fn predicates_compare_text(#[case] name: &str, #[case] value: &str, #[case] passes: bool) {
        assert_eq!(filter(&[(name, value)]).matches(&registration()), passes);
    }

    #[test]
    fn every_attribute_accepts_every_predicate() {
        for attribute in Attribute::ALL {
            for predicate in Predicate::ALL {
                let name = format!("{}_{}", attribute.as_str(), predicate.as_str());
                let condition = Condition::parse(&name, "x".to_owned()).unwrap();
                assert_eq!(condition.to_string(), format!("q[{name}]"));
            }
        }
    }

    #[rstest]
    #[case("wallet", "x", "expected q[<attribute>_<predicate>]")]
    #[case("wallet_is", "x", "expected q[<attribute>_<predicate>]")]
    #[case("colour_eq", "x", "expected q[<attribute>_<predicate>]")]
    #[case("push_token_eq", "x", "expected q[<attribute>_<predicate>]")]
    #[case("", "x", "expected q[<attribute>_<predicate>]")]
    #[case("wallet_eq", &"x".repeat(257), "expected at most 256 bytes")]
    fn invalid_conditions_are_refused(#[case] name: &str, #[case] value: &str, #[case] expected: &str) {
        assert!(Condition::parse(name, value.to_owned()).unwrap_err().starts_with(expected));
    }

    #[test]
    fn a_registration_must_meet_all_conditions_in_any_order() {
        let both = [("wallet_eq", "passbook"), ("device_os_eq", "ios")];
        let reversed = [both[1], both[0], both[1]];
        assert!(filter(&both).matches(&registration()));
        assert!(!filter(&[both[0], ("device_os_eq", "android")]).matches(&registration()));
        assert_eq!(filter(&both), filter(&reversed));
    }

    #[test]
    fn only_ranges_of_created_at_narrow_the_range() {
        let filter = filter(&[
            ("created_at_gteq", "2016-11-09"),
            ("created_at_gt", "2016-11-01"),
            ("created_at_lt", "2016-12"),
            ("created_at_match", "2016%"),
            ("id_lt", "a"),
        ]);
        let range = filter.created_at_range();
        assert_eq!((range.from.as_deref(), range.to.as_deref()), (Some("2016-11-09"), Some("2016-12")));
    }

    /// Gives the same result as [`is_like`], but tries every length for every `%`.
    fn is_like_slowly(text: &[u8], pattern: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'%', rest)) => (0..=text.len()).any(|skipped| is_like_slowly(&text[skipped..], rest)),
            Some((byte, rest)) => text.first() == Some(byte) && is_like_slowly(&text[1..], rest),
        }
    }

    #[rstest]
    #[case(&[], Some(Part::All))]
    #[case(&[("wallet_eq", "pass2u")], Some(Part::Wallet(Wallet::Pass2u)))]
    #[case(&[("device_os_eq", "wp")], Some(Part::DeviceOs(DeviceOs::Wp)))]
    #[case(&[("device_os_eq", "beos")], None)]
    #[case(&[("wallet_not_eq", "pass2u")], None)]
    #[case(&[("wallet_eq", "pass2u"), ("device_os_eq", "wp")], None)]
    #[case(&[("id_eq", "wp")], None)]
    fn a_filter_by_wallet_or_system_alone_is_counted(#[case] conditions: &[(&str, &str)], #[case] part: Option<Part>) {
        assert_eq!(filter(conditions).counted_part(), part);
    }

    proptest! {
        #[test]
        fn like_is_sql_like(text in "[ab]{0,8}", pattern in "[ab%]{0,8}") {
            prop_assert_eq!(is_like(&text, &pattern), is_like_slowly(text.as_bytes(), pattern.as_bytes()));
        }

        #[test]
        fn every_match_is_within_the_range(predicate in 0..8_usize, value in "(2016-11-(09|10)(T11)?|)") {
            let name = format!("created_at_{}", Predicate::ALL[predicate].as_str());
            let filter = filter(&[(&name, &value)]);
            let registration = registration();
            let text = registration.created_at.to_string();
            prop_assert!(!filter.matches(&registration) || filter.created_at_range().contains(&text));
        }
    }
}
