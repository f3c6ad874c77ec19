//! Items in the plain form in which DynamoDB writes them: without blanks, and each attribute a string without escapes.
//!
//! `{"Count":1,"Items":[{"sk":{"S":"PASS#…"},"wallet":{"S":"passbook"},…}],"ScannedCount":1}` (the log in AWS Command
//! Line Interface user guide, "Using the pagination options", shows such a body).

use memchr::memchr2;

use super::Item;

/// What comes before the items. It occurs only as a member of the body, because in a string each quotation mark is
/// escaped, and the members of a key are objects.
const ITEMS: &str = r#""Items":["#;

/// The minimum length of an item, from which the capacity of the list follows.
const MIN_ITEM_LENGTH: usize = 180;

/// Splits a body into its items and the body without them. `None` if an item does not have the plain form.
pub(super) fn split_items(body: &str) -> Option<(Vec<Item<'_>>, String)> {
    let (before, mut rest) = body.split_once(ITEMS)?;
    let mut items = Vec::with_capacity(rest.len() / MIN_ITEM_LENGTH);
    if !rest.starts_with(']') {
        loop {
            let (item, after) = split_item(rest)?;
            items.push(item);
            let Some(next) = after.strip_prefix(',') else {
                rest = after;
                break;
            };
            rest = next;
        }
    }
    // The `]` is checked with the rest of the body.
    Some((items, [before, ITEMS, rest].concat()))
}

/// Splits an item off the beginning.
fn split_item(text: &str) -> Option<(Item<'_>, &str)> {
    let mut item = Item::default();
    let mut rest = text.strip_prefix('{')?;
    loop {
        let (name, after) = split_string(rest)?;
        let (value, after) = split_string(after.strip_prefix(r#":{"S":"#)?)?;
        let attribute = match name {
            "sk" => &mut item.sk,
            "wallet" => &mut item.wallet,
            "device_os" => &mut item.device_os,
            "created_at" => &mut item.created_at,
            _ => return None,
        };
        if attribute.replace(value).is_some() {
            return None;
        }
        rest = match after.strip_prefix("},") {
            Some(next) => next,
            None => return Some((item, after.strip_prefix("}}")?)),
        };
    }
}

/// Splits a string without escapes off the beginning, and removes its quotation marks.
fn split_string(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('"')?;
    let (string, rest) = text.split_at_checked(memchr2(b'"', b'\\', text.as_bytes())?)?;
    Some((string, rest.strip_prefix('"')?))
}
