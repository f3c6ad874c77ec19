//! Filters: `q[<attribute>_<predicate>]=value` (Passworks API v2, "Sorting" and "Registrations").
//!
//! A filter is a set of conditions, and a registration must meet all of them. A value is parsed as what its attribute
//! contains, so a value that no registration can have is an error and not an empty listing. Every filter has one
//! canonical form, which links, cursors and bookmarks use.
//!
//! It would be enough to read everything and test each registration, but two shortcuts make it cheaper:
//! [`Filter::created_at_range`] narrows the range to read, and [`Filter::counted_part`] finds a stored count.

mod instant;

use std::{borrow::Cow, collections::BTreeMap, fmt, str::FromStr};

use domain::{
    counts::Part,
    fields::FieldErrors,
    id::{PassId, RegistrationId},
    registration::Registration,
    wallet::{DeviceOs, Wallet},
};
use store::CreatedAtRange;
use strum::{EnumString, IntoStaticStr, VariantArray, VariantNames};

use self::instant::Instant;

/// The maximum number of different values of an `in` condition.
pub const MAX_IN: usize = 20;

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

/// A comparison of an attribute with a value. `match` and `cont` compare texts and ignore the case of ASCII letters;
/// the others compare instants, ids and names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, EnumString, IntoStaticStr, VariantArray, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Predicate {
    /// `eq`: equals the value.
    Eq,
    /// `not_eq`: differs from the value.
    NotEq,
    /// `in`: equals one of the values.
    In,
    /// `match`, or `matches`: matches the value, in which `%` stands for any text.
    #[strum(to_string = "match", serialize = "matches")]
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
struct Condition {
    attribute: Attribute,
    predicate: Predicate,
    /// The values to compare with, sorted: several for `in`, one for every other predicate.
    values: Vec<Value<'static>>,
}

/// A value to compare with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Value<'a> {
    /// An id, a name, a pattern or a part of a text, in lower case.
    Text(Cow<'a, str>),
    Instant(Instant),
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
    pub fn of(self, registration: &Registration) -> &str {
        match self {
            Self::Id => registration.id.as_str(),
            Self::PassId => registration.pass_id.as_str(),
            Self::Wallet => registration.wallet.as_str(),
            Self::DeviceOs => registration.device_os.as_str(),
            Self::CreatedAt => registration.created_at.as_str(),
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
}

impl<'a> Value<'a> {
    /// Parses the value of a condition. The error text says what was expected.
    fn parse(attribute: Attribute, predicate: Predicate, value: &str) -> Result<Self, String> {
        match (attribute, predicate) {
            (_, Predicate::Match | Predicate::Cont) => Ok(Self::Text(value.to_ascii_lowercase().into())),
            (Attribute::CreatedAt, Predicate::Gteq | Predicate::Lt) => {
                Instant::parse_beginning(value).map(Self::Instant).map_err(|expected| expected.to_string())
            }
            (Attribute::CreatedAt, _) => {
                Instant::parse(value).map(Self::Instant).map_err(|expected| expected.to_string())
            }
            (Attribute::Id, _) => canonical::<RegistrationId>(value),
            (Attribute::PassId, _) => canonical::<PassId>(value),
            (Attribute::Wallet, _) => canonical::<Wallet>(value),
            (Attribute::DeviceOs, _) => canonical::<DeviceOs>(value),
        }
    }

    /// Returns the attribute's value in a registration, as the predicate compares it.
    fn of(registration: &'a Registration, attribute: Attribute, predicate: Predicate) -> Self {
        match (attribute, predicate) {
            (Attribute::CreatedAt, Predicate::Match | Predicate::Cont) => {
                Self::Text(registration.created_at.as_str().to_ascii_lowercase().into())
            }
            (Attribute::CreatedAt, _) => Self::Instant(registration.created_at.into()),
            // The other attributes are in lower case.
            (_, _) => Self::Text(attribute.of(registration).into()),
        }
    }
}

/// Parses an id or a name in any case and returns it in its canonical form.
fn canonical<T>(value: &str) -> Result<Value<'static>, String>
where
    T: FromStr + fmt::Display,
    T::Err: fmt::Display,
{
    let parsed: T = value.parse().map_err(|expected: T::Err| expected.to_string())?;
    Ok(Value::Text(parsed.to_string().into()))
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => text.fmt(formatter),
            Self::Instant(instant) => instant.fmt(formatter),
        }
    }
}

impl Condition {
    fn holds(&self, registration: &Registration) -> bool {
        let Self { attribute, predicate, values } = self;
        let found = Value::of(registration, *attribute, *predicate);
        let holds = |value: &Value<'_>| match (predicate, &found, value) {
            (Predicate::Eq | Predicate::In, found, value) => found == value,
            (Predicate::NotEq, found, value) => found != value,
            (Predicate::Lt, found, value) => found < value,
            (Predicate::Lteq, found, value) => found <= value,
            (Predicate::Gt, found, value) => found > value,
            (Predicate::Gteq, found, value) => found >= value,
            (Predicate::Match, Value::Text(text), Value::Text(pattern)) => is_like(text, pattern),
            (Predicate::Cont, Value::Text(text), Value::Text(part)) => text.contains(part.as_ref()),
            (Predicate::Match | Predicate::Cont, _, _) => false,
        };
        values.iter().any(holds)
    }

    /// Returns a range of `created_at` that contains every registration that meets the condition.
    fn created_at_range(&self) -> CreatedAtRange {
        let (Some(Value::Instant(first)), Some(Value::Instant(last))) = (self.values.first(), self.values.last())
        else {
            return CreatedAtRange::default();
        };
        let (from, to) = match self.predicate {
            Predicate::Eq | Predicate::In => (Some(first.ceiling()), Some(last.floor())),
            Predicate::Gt => (Some(first.after()), None),
            Predicate::Gteq => (Some(first.ceiling()), None),
            Predicate::Lt => (None, Some(last.before())),
            Predicate::Lteq => (None, Some(last.floor())),
            Predicate::NotEq | Predicate::Match | Predicate::Cont => (None, None),
        };
        CreatedAtRange { from, to }
    }
}

impl Filter {
    /// Parses the parameters `q[<attribute>_<predicate>]`, and `q[<attribute>_in][]`, which may be repeated. A
    /// condition with an empty value is ignored, as in the original API. Adds an error for each parameter that is
    /// invalid.
    #[must_use]
    pub fn parse(parameters: &[(String, String)], errors: &mut FieldErrors) -> Self {
        let mut conditions = Vec::new();
        let mut sets: BTreeMap<Attribute, Vec<Value<'static>>> = BTreeMap::new();
        for (name, value) in parameters {
            let Some((attribute, predicate)) = parse_name(name) else {
                errors.add(name, expected_name());
                continue;
            };
            let parsed = (!value.is_empty()).then(|| Value::parse(attribute, predicate, value));
            let parsed = parsed.transpose().map_err(|expected| errors.add(name, expected)).unwrap_or_default();
            if predicate == Predicate::In {
                sets.entry(attribute).or_default().extend(parsed);
            } else if let Some(value) = parsed {
                conditions.push(Condition { attribute, predicate, values: vec![value] });
            }
        }
        for (attribute, mut values) in sets {
            values.sort();
            values.dedup();
            let name = name(attribute, Predicate::In);
            let is_refused = errors.fields().any(|refused| refused == name);
            if !is_refused && !(1..=MAX_IN).contains(&values.len()) {
                errors.add(&name, format!("expected 1 to {MAX_IN} different values"));
            }
            // The canonical form of a set of one value.
            let predicate = if values.len() == 1 { Predicate::Eq } else { Predicate::In };
            conditions.push(Condition { attribute, predicate, values });
        }
        conditions.sort();
        conditions.dedup();
        Self(conditions)
    }

    /// Returns the parameters that [`Filter::parse`] parses into this filter, in their canonical form.
    #[must_use]
    pub fn parameters(&self) -> Vec<(String, String)> {
        let parameters = self.0.iter().flat_map(|Condition { attribute, predicate, values }| {
            values.iter().map(|value| (name(*attribute, *predicate), value.to_string()))
        });
        parameters.collect()
    }

    /// Returns whether the filter has no condition, so that every registration passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the part of a campaign whose registrations are exactly those that pass this filter, if it is one of the
    /// parts that are counted.
    #[must_use]
    pub fn counted_part(&self) -> Option<Part> {
        let [condition] = self.0.as_slice() else { return self.is_empty().then_some(Part::All) };
        match (condition.attribute, condition.predicate, condition.values.as_slice()) {
            (Attribute::Wallet, Predicate::Eq, [Value::Text(wallet)]) => wallet.parse().ok().map(Part::Wallet),
            (Attribute::DeviceOs, Predicate::Eq, [Value::Text(system)]) => system.parse().ok().map(Part::DeviceOs),
            _ => None,
        }
    }

    /// Returns whether a registration meets every condition.
    #[must_use]
    pub fn matches(&self, registration: &Registration) -> bool {
        self.0.iter().all(|condition| condition.holds(registration))
    }

    /// Returns a range of `created_at` that contains every registration that passes.
    #[must_use]
    pub fn created_at_range(&self) -> CreatedAtRange {
        self.0.iter().map(Condition::created_at_range).fold(CreatedAtRange::default(), |all, next| CreatedAtRange {
            from: all.from.max(next.from),
            to: all.to.into_iter().chain(next.to).min(),
        })
    }
}

/// Returns the name of the parameter of a condition: `q[wallet_eq]`, `q[wallet_in][]`.
fn name(attribute: Attribute, predicate: Predicate) -> String {
    let brackets = if predicate == Predicate::In { "[]" } else { "" };
    format!("q[{}_{}]{brackets}", attribute.as_str(), predicate.as_str())
}

/// Parses the name of a parameter into attribute and predicate, or returns `None` if there is no such condition.
fn parse_name(name: &str) -> Option<(Attribute, Predicate)> {
    let (inner, brackets) = name.strip_prefix("q[")?.split_once(']')?;
    let (attribute, predicate) = Attribute::ALL.iter().find_map(|attribute| {
        let predicate: &str = inner.strip_prefix(attribute.as_str())?.strip_prefix('_')?;
        Some((*attribute, predicate.parse::<Predicate>().ok()?))
    })?;
    let expected = if predicate == Predicate::In { "[]" } else { "" };
    (brackets == expected).then_some((attribute, predicate))
}

/// Returns the error text for a name that is not the name of a condition.
fn expected_name() -> String {
    format!(
        "expected q[s], q[<attribute>_<predicate>] or q[<attribute>_in][] with an attribute of {} and a predicate of {}",
        <Attribute as VariantNames>::VARIANTS.join(", "),
        <Predicate as VariantNames>::VARIANTS.join(", "),
    )
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
    use proptest::{prelude::*, sample::select};
    use rstest::rstest;

    use super::*;

    fn registration() -> Registration {
        created_at("2016-11-09T11:09:00.745Z")
    }

    fn created_at(instant: &str) -> Registration {
        serde_json::from_value(serde_json::json!({
            "id": "ed2951b4-1127-4a96-a2b1-8a73adb4b2db", "pass_id": "22d5b0ed-cc82-4743-a4fb-ee655d928037",
            "wallet": "passbook", "device_os": "ios", "created_at": instant,
        }))
        .unwrap()
    }

    fn parse(conditions: &[(&str, &str)]) -> Result<Filter, FieldErrors> {
        let mut errors = FieldErrors::default();
        let parameter = |(name, value): &(&str, &str)| (format!("q[{name}"), (*value).to_owned());
        let filter = Filter::parse(&conditions.iter().map(parameter).collect::<Vec<_>>(), &mut errors);
        if errors.is_empty() { Ok(filter) } else { Err(errors) }
    }

    fn filter(conditions: &[(&str, &str)]) -> Filter {
        parse(conditions).unwrap()
    }

    #[rstest]
    #[case("wallet_eq]", "passbook", true)]
    #[case("wallet_eq]", "Passbook", true)]
    #[case("wallet_eq]", "pass2u", false)]
    #[case("wallet_not_eq]", "PASSBOOK", false)]
    #[case("wallet_not_eq]", "pass2u", true)]
    #[case("wallet_cont]", "book", true)]
    #[case("wallet_cont]", "BOOK", true)]
    #[case("wallet_cont]", "%", false)]
    #[case("wallet_match]", "pass%", true)]
    #[case("wallet_matches]", "pass%", true)]
    #[case("wallet_match]", "Pass%", true)]
    #[case("wallet_match]", "%book", true)]
    #[case("wallet_match]", "p%o%k", true)]
    #[case("wallet_match]", "book", false)]
    #[case("wallet_match]", "p_ssbook", false)]
    #[case("device_os_lt]", "ios", false)]
    #[case("device_os_lteq]", "ios", true)]
    #[case("device_os_gt]", "android", true)]
    #[case("device_os_gteq]", "IOS", true)]
    #[case("id_match]", "ED2951b4%", true)]
    #[case("id_eq]", "ED2951B4-1127-4A96-A2B1-8A73ADB4B2DB", true)]
    #[case("pass_id_eq]", "22d5b0ed-cc82-4743-a4fb-ee655d928037", true)]
    #[case("pass_id_gt]", "22D5B0ED-CC82-4743-A4FB-EE655D928036", true)]
    #[case("pass_id_cont]", "CC82", true)]
    #[case("created_at_gteq]", "2016-11-09", true)]
    #[case("created_at_gteq]", "2016-11-09T13:09+02:00", true)]
    #[case("created_at_gteq]", "2016-11-09T11:09:00.745999Z", false)]
    #[case("created_at_gt]", "2016-11-09T11:09:00.744999Z", true)]
    #[case("created_at_lt]", "2016-11-09T11:09:00.745Z", false)]
    #[case("created_at_lt]", "2016-11-09T11:09:00.745001Z", true)]
    #[case("created_at_lt]", "2016-11-09 12:00Z", true)]
    #[case("created_at_lteq]", "2016-11-09T11:09:00.745Z", true)]
    #[case("created_at_lteq]", "2016-11-09T11:09:00.744999Z", false)]
    #[case("created_at_eq]", "2016-11-09T11:09:00.745000Z", true)]
    #[case("created_at_eq]", "2016-11-09T11:09:00.745001Z", false)]
    #[case("created_at_not_eq]", "2016-11-09T11:09:00.745001Z", true)]
    #[case("created_at_gteq]", "0001", true)]
    #[case("created_at_lt]", "9999-12-31T23:59:59Z", true)]
    #[case("created_at_match]", "2016-11-%", true)]
    #[case("created_at_match]", "2016-11-%z", true)]
    #[case("created_at_cont]", "t11:", true)]
    #[case("wallet_in][]", "Passbook", true)]
    #[case("wallet_in][]", "pass2u", false)]
    fn predicates_compare_what_the_attribute_contains(#[case] name: &str, #[case] value: &str, #[case] passes: bool) {
        assert_eq!(filter(&[(name, value)]).matches(&registration()), passes);
    }

    #[test]
    fn every_attribute_accepts_every_predicate() {
        for attribute in Attribute::ALL {
            for predicate in Predicate::ALL {
                let written = name(*attribute, *predicate);
                assert_eq!(parse_name(&written), Some((*attribute, *predicate)));
            }
        }
    }

    const NAME: &str = "expected q[s], q[<attribute>_<predicate>] or q[<attribute>_in][]";
    const PERIOD: &str = "expected an instant with seconds and zone";

    #[rstest]
    #[case("wallet]", "x", NAME)]
    #[case("wallet_is]", "x", NAME)]
    #[case("colour_eq]", "x", NAME)]
    #[case("colour_eq]", "", NAME)]
    #[case("push_token_eq]", "x", NAME)]
    #[case("]", "x", NAME)]
    #[case("wallet_eq", "passbook", NAME)]
    #[case("wallet_eq][]", "passbook", NAME)]
    #[case("wallet_in]", "passbook", NAME)]
    #[case("wallet_in][0]", "passbook", NAME)]
    #[case("wallet_in][]", "", "expected 1 to 20 different values")]
    #[case("wallet_in][]", "apple", "expected one of passbook, ")]
    #[case("wallet_eq]", "apple", "expected one of passbook, ")]
    #[case("wallet_eq]", " passbook", "expected one of passbook, ")]
    #[case("device_os_lt]", "windows", "expected one of ios, ")]
    #[case("id_eq]", "ed2951b4", "expected a UUID")]
    #[case("pass_id_lt]", "a", "expected a UUID")]
    #[case("created_at_gteq]", "1893456000", "expected an instant such as")]
    #[case("created_at_eq]", "yesterday", "expected an instant such as")]
    #[case("created_at_eq]", "2016-11-09", PERIOD)]
    #[case("created_at_not_eq]", "2016-11-09", PERIOD)]
    #[case("created_at_lteq]", "2016-11-09", PERIOD)]
    #[case("created_at_gt]", "2016-11-09T11:09Z", PERIOD)]
    #[case("created_at_in][]", "2016-11-09T11:09:00", PERIOD)]
    fn a_condition_that_cannot_be_answered_is_refused(#[case] name: &str, #[case] value: &str, #[case] expected: &str) {
        let errors = parse(&[(name, value)]).unwrap_err().to_string();
        assert!(errors.starts_with(&format!("q[{name}: {expected}")), "{errors}");
        assert_eq!(errors.matches("expected").count(), 1, "{errors}");
    }

    #[test]
    fn a_set_has_at_most_20_different_values() {
        let id = |number: usize| format!("00000000-0000-4000-8000-{number:012}");
        let ids: Vec<_> = (0..20).chain(0..20).map(id).collect();
        let all: Vec<_> = ids.iter().map(|id| ("id_in][]", id.as_str())).collect();
        assert!(parse(&all).is_ok());
        let one_more = id(20);
        assert!(parse(&[all, vec![("id_in][]", &one_more)]].concat()).is_err());
    }

    #[rstest]
    #[case(&[("wallet_eq]", "")], &[])]
    #[case(&[("created_at_gteq]", ""), ("device_os_eq]", "iOS")], &[("device_os_eq]", "ios")])]
    #[case(&[("wallet_in][]", ""), ("wallet_in][]", "pass2u")], &[("wallet_eq]", "pass2u")])]
    #[case(&[("wallet_in][]", "PASS2U"), ("wallet_in][]", "passbook"), ("wallet_in][]", "pass2u")],
           &[("wallet_in][]", "pass2u"), ("wallet_in][]", "passbook")])]
    #[case(&[("wallet_matches]", "Pass%")], &[("wallet_match]", "pass%")])]
    #[case(&[("device_os_eq]", "ios"), ("wallet_eq]", "passbook")], &[("wallet_eq]", "passbook"), ("device_os_eq]", "ios")])]
    #[case(&[("created_at_gteq]", "2016-11-09T02:00 02:00")], &[("created_at_gteq]", "2016-11-09T00:00:00.000Z")])]
    #[case(&[("id_eq]", "ED2951B4-1127-4A96-A2B1-8A73ADB4B2DB")], &[("id_eq]", "ed2951b4-1127-4a96-a2b1-8a73adb4b2db")])]
    fn a_filter_has_one_canonical_form(#[case] given: &[(&str, &str)], #[case] canonical: &[(&str, &str)]) {
        let written = filter(given).parameters();
        let expected: Vec<_> =
            canonical.iter().map(|(name, value)| (format!("q[{name}"), (*value).to_owned())).collect();
        assert_eq!(written, expected);
        assert_eq!(filter(canonical), filter(given));
    }

    #[test]
    fn a_registration_must_meet_all_conditions_in_any_order() {
        let both = [("wallet_eq]", "passbook"), ("device_os_eq]", "ios")];
        let reversed = [both[1], both[0], both[1]];
        assert!(filter(&both).matches(&registration()));
        assert!(!filter(&[both[0], ("device_os_eq]", "android")]).matches(&registration()));
        assert_eq!(filter(&both), filter(&reversed));
    }

    #[test]
    fn only_ranges_of_created_at_narrow_the_range() {
        let filter = filter(&[
            ("created_at_gteq]", "2016-11-09"),
            ("created_at_gt]", "2016-11-01T00:00:00Z"),
            ("created_at_lt]", "2016-12"),
            ("created_at_match]", "2016%"),
            ("id_lt]", "22d5b0ed-cc82-4743-a4fb-ee655d928037"),
        ]);
        let range = filter.created_at_range();
        let ends = (range.from.unwrap().to_string(), range.to.unwrap().to_string());
        assert_eq!(ends, ("2016-11-09T00:00:00.000Z".to_owned(), "2016-11-30T23:59:59.999Z".to_owned()));
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
    #[case(&[("wallet_eq]", "pass2u")], Some(Part::Wallet(Wallet::Pass2u)))]
    #[case(&[("wallet_in][]", "pass2u")], Some(Part::Wallet(Wallet::Pass2u)))]
    #[case(&[("device_os_eq]", "WP")], Some(Part::DeviceOs(DeviceOs::Wp)))]
    #[case(&[("wallet_not_eq]", "pass2u")], None)]
    #[case(&[("wallet_match]", "pass2u")], None)]
    #[case(&[("wallet_eq]", "pass2u"), ("device_os_eq]", "wp")], None)]
    fn a_filter_by_wallet_or_system_alone_is_counted(#[case] conditions: &[(&str, &str)], #[case] part: Option<Part>) {
        assert_eq!(filter(conditions).counted_part(), part);
    }

    proptest! {
        #[test]
        fn like_is_sql_like(text in "[ab]{0,8}", pattern in "[ab%]{0,8}") {
            prop_assert_eq!(is_like(&text, &pattern), is_like_slowly(text.as_bytes(), pattern.as_bytes()));
        }

        #[test]
        fn a_comparison_of_instants_is_that_of_jiff_and_lies_within_the_range(
            name in select(vec!["eq", "not_eq", "lt", "lteq", "gt", "gteq"]),
            nanosecond in 745_000_000..747_000_000_i32,
            precision in select(vec![1, 1_000, 1_000_000]),
            hours in -23..24_i8,
            millisecond in 744..748_i32,
        ) {
            let instant = |nanosecond: i32| jiff::Timestamp::new(1_478_689_740, nanosecond).unwrap();
            let (value, found) = (instant(nanosecond / precision * precision), instant(millisecond * 1_000_000));
            let expected = match name {
                "eq" => found == value,
                "not_eq" => found != value,
                "lt" => found < value,
                "lteq" => found <= value,
                "gt" => found > value,
                _ => found >= value,
            };
            let written = value.display_with_offset(jiff::tz::Offset::constant(hours)).to_string();
            let filter = filter(&[(&format!("created_at_{name}]"), &written)]);
            let registration = created_at(&found.to_string());
            prop_assert_eq!(filter.matches(&registration), expected);
            prop_assert!(!expected || filter.created_at_range().contains(registration.created_at));
        }

        #[test]
        fn the_canonical_form_reads_back(
            conditions in prop::collection::vec(
                (select(Attribute::ALL.to_vec()), select(Predicate::ALL.to_vec()), "[A-Za-z0-9%é:+ .-]{0,9}", 0..5_usize),
                0..6,
            ),
        ) {
            const VALID: [&str; 5] = ["PassBook", "iOS", "22D5B0ED-cc82-4743-a4fb-ee655d928037", "2016-11-09T11:09:00.7451+02:00", "2016"];
            let parameters: Vec<_> = conditions
                .into_iter()
                .map(|(attribute, predicate, text, valid)| {
                    let value = if matches!(predicate, Predicate::Match | Predicate::Cont) { &text } else { VALID[valid] };
                    (name(attribute, predicate), value.to_owned())
                })
                .filter(|parameter| {
                    let mut errors = FieldErrors::default();
                    let _ = Filter::parse(std::slice::from_ref(parameter), &mut errors);
                    errors.is_empty()
                })
                .collect();
            let mut errors = FieldErrors::default();
            let filter = Filter::parse(&parameters, &mut errors);
            prop_assert_eq!(Filter::parse(&filter.parameters(), &mut errors), filter);
            prop_assert!(errors.is_empty());
        }
    }
}
