//! A strict JSON parser. It refuses an object that has the same name twice, because `serde_json` alone would silently
//! keep only the last value.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// Parses a JSON text. A byte order mark at its beginning is skipped (RFC 8259, section 8.1).
///
/// # Errors
///
/// If the text is not JSON, is nested more than 127 levels deep, or has an object with the same name twice. The error
/// names the line and the column.
pub fn parse(text: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text)).map(|Strict(value)| value)
}

/// A value in which no object has a name twice.
struct Strict(Value);

struct StrictVisitor;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom("an object has the same name twice"));
            }
            let Strict(value) = fields.next_value()?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(r#"{"a":1,"a":2}"#)]
    #[case(r#"[{"b":{"a":1,"\u0061":2}}]"#)]
    #[case("{")]
    #[case("")]
    #[case("1 2")]
    #[case("\"\u{1}\"")]
    #[case(r#""\ud800""#)]
    fn repeated_names_and_broken_json_are_refused(#[case] text: &str) {
        assert!(parse(text.as_bytes()).is_err());
    }

    #[test]
    fn one_byte_order_mark_is_skipped() {
        assert_eq!(parse("\u{feff} [1]".as_bytes()).unwrap(), serde_json::json!([1]));
        assert!(parse("\u{feff}\u{feff}[1]".as_bytes()).is_err());
        assert!(parse("[1]\u{feff}".as_bytes()).is_err());
    }

    #[test]
    fn nesting_is_limited() {
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn accepted_json_has_the_value_that_serde_json_reads(
            text in r#"(\{"a":|\[|"b"|,"c":|\]|\}|,|1\.5|-7|1e9|null|true| ){0,12}"#,
            bytes in prop::collection::vec(any::<u8>(), 0..32),
        ) {
            for text in [text.as_bytes(), &bytes] {
                if let Ok(value) = parse(text) {
                    prop_assert_eq!(value, serde_json::from_slice::<Value>(text).unwrap());
                }
            }
        }
    }
}
