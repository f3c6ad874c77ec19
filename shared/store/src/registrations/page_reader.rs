//! A parser for the response to a query of an index. It replaces the SDK's parser because it is much cheaper.
//!
//! The SDK turns each item into a map of attributes, which is most of the cost of listing it. [`PageReader`] therefore
//! parses the body of a successful response itself. The SDK still sends the query, retries it and handles errors.
//!
//! DynamoDB writes every item in one plain form, which `plain` reads with a fifth of the instructions of a JSON parser.
//! If a body differs in any way, serde parses it.

mod plain;

use std::{
    fmt::Display,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use aws_sdk_dynamodb::{
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeDeserializationInterceptorContextMut},
    error::BoxError,
    operation::query::QueryOutput,
};
use aws_smithy_runtime_api::client::{
    interceptors::{
        context::{Output, OutputOrError},
        dyn_dispatch_hint,
    },
    orchestrator::{HttpResponse, OrchestratorError},
    ser_de::{DeserializeResponse, SharedResponseDeserializer},
};
use domain::registration::Registration;
use serde::{Deserialize, de::IgnoredAny};

use super::items::registration;
use crate::StoreError;

/// The result of one read of a stretch: at most 1 MB, about 5,000 registrations.
#[derive(Debug, Clone)]
pub struct Segment {
    /// The registrations.
    pub registrations: Vec<Registration>,
    /// Whether more may follow.
    pub has_more: bool,
}

/// An interceptor that parses the response to one query. Once the query has returned, [`PageReader::finish`] returns
/// the registrations.
#[derive(Debug, Clone, Default)]
pub(crate) struct PageReader(Arc<Mutex<Option<Result<Segment, StoreError>>>>);

/// The body of a successful response (Amazon DynamoDB API reference, "Query").
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    #[serde(default)]
    items: Vec<BodyItem>,
    last_evaluated_key: Option<IgnoredAny>,
}

/// An item of a [`Body`].
#[derive(Deserialize)]
struct BodyItem {
    sk: Option<Attribute>,
    wallet: Option<Attribute>,
    device_os: Option<Attribute>,
    created_at: Option<Attribute>,
}

/// An attribute. Other types than strings are ignored.
#[derive(Deserialize)]
struct Attribute {
    #[serde(rename = "S")]
    string: Option<String>,
}

/// An active registration in an index: its attributes that are strings.
#[derive(Default)]
struct Item<'a> {
    sk: Option<&'a str>,
    wallet: Option<&'a str>,
    device_os: Option<&'a str>,
    created_at: Option<&'a str>,
}

impl PageReader {
    /// Returns the registrations that the query returned.
    pub(crate) fn finish(&self) -> Result<Segment, StoreError> {
        let read = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        read.unwrap_or_else(|| Err(StoreError::malformed("of a page", "no response was parsed")))
    }
}

/// Parses the body of a successful response. The outer error means a damaged response, the inner error a malformed
/// item.
fn parse_segment(body: &[u8]) -> Result<Result<Segment, StoreError>, BoxError> {
    let body = str::from_utf8(body)?;
    if let Some((items, rest)) = plain::split_items(body) {
        let rest = serde_json::from_str::<Body>(&rest)?;
        return Ok(segment(items.into_iter(), rest.last_evaluated_key));
    }
    let Body { items, last_evaluated_key } = serde_json::from_str(body)?;
    Ok(segment(items.iter().map(BodyItem::item), last_evaluated_key))
}

fn segment<'a>(
    items: impl ExactSizeIterator<Item = Item<'a>>,
    last_evaluated_key: Option<IgnoredAny>,
) -> Result<Segment, StoreError> {
    // `collect` into a `Result` would not know the length.
    let mut registrations = Vec::with_capacity(items.len());
    for item in items {
        registrations.push(item.registration()?);
    }
    Ok(Segment { registrations, has_more: last_evaluated_key.is_some() })
}

impl BodyItem {
    fn item(&self) -> Item<'_> {
        let Self { sk, wallet, device_os, created_at } = self;
        let [sk, wallet, device_os, created_at] =
            [sk, wallet, device_os, created_at].map(|attribute| attribute.as_ref()?.string.as_deref());
        Item { sk, wallet, device_os, created_at }
    }
}

impl Item<'_> {
    fn registration(&self) -> Result<Registration, StoreError> {
        let sk = self.sk.unwrap_or("without key");
        registration(
            sk,
            parse(sk, "wallet", self.wallet)?,
            parse(sk, "device_os", self.device_os)?,
            parse(sk, "created_at", self.created_at)?,
        )
    }
}

fn parse<T: FromStr<Err: Display>>(sk: &str, name: &str, text: Option<&str>) -> Result<T, StoreError> {
    text.unwrap_or_default().parse().map_err(|error| StoreError::malformed(sk, format!("{name}: {error}")))
}

#[dyn_dispatch_hint]
impl Intercept for PageReader {
    fn name(&self) -> &'static str {
        "PageReader"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if context.response().status().is_success() {
            config.interceptor_state().store_put(SharedResponseDeserializer::new(self.clone()));
        }
        Ok(())
    }
}

impl DeserializeResponse for PageReader {
    fn deserialize_nonstreaming_with_config(&self, response: &HttpResponse, _: &ConfigBag) -> OutputOrError {
        let page = parse_segment(response.body().bytes().unwrap_or_default());
        // A body that cannot be parsed was damaged in transit, so the SDK tries again.
        let page = page.map_err(OrchestratorError::response)?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(page);
        Ok(Output::erase(QueryOutput::builder().build()))
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::operation::query::QueryInput;
    use proptest::{prelude::*, sample::select};
    use serde_json::{Value, json};

    use domain::{
        time::Timestamp,
        wallet::{DeviceOs, Wallet},
    };

    use super::*;
    use crate::dynamodb::{
        canned::{Canned, response},
        codec,
    };

    /// An item as serde reads it from the SDK's map of attributes.
    #[derive(Deserialize)]
    struct ListedItem {
        sk: String,
        wallet: Wallet,
        device_os: DeviceOs,
        created_at: Timestamp,
    }

    /// A status and a body.
    type Answer = (u16, String);

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    /// Parses a response with [`PageReader`].
    fn read((status, body): Answer) -> Result<(Vec<Registration>, bool), StoreError> {
        let reader = PageReader::default();
        let client = Canned::new([response(status, &body)]).client_without_retries();
        block_on(client.send_with(reader.clone(), QueryInput::builder().table_name("table")))?;
        reader.finish().map(|page| (page.registrations, page.has_more))
    }

    /// Parses a response with the SDK and serde.
    fn read_by_sdk((status, body): Answer) -> Result<(Vec<Registration>, bool), StoreError> {
        let client = Canned::new([response(status, &body)]).client_without_retries();
        let output = block_on(client.send(QueryInput::builder().table_name("table")))?;
        let has_more = output.last_evaluated_key.is_some();
        let items = output.items.unwrap_or_default().into_iter();
        let registrations = items.map(|item| {
            let ListedItem { sk, wallet, device_os, created_at } = codec::decode(item)?;
            registration(&sk, wallet, device_os, created_at)
        });
        Ok((registrations.collect::<Result<_, _>>()?, has_more))
    }

    fn attribute(right: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = Option<Value>> {
        prop_oneof![
            40 => right.prop_map(|text| Some(json!({"S": text}))),
            1 => any::<String>().prop_map(|text| Some(json!({"S": text}))),
            1 => select(vec![
                None,
                Some(json!({"N": "1.5e3"})),
                Some(json!({"BOOL": true})),
                Some(json!({"NULL": true})),
                Some(json!({"M": {"S": {"S": "ios"}}})),
                Some(json!({"L": [{"S": "ios"}]})),
            ]),
        ]
    }

    fn item() -> impl Strategy<Value = Value> {
        let id = || any::<u128>().prop_map(|id| uuid::Uuid::from_u128(id).to_string());
        let sk = (id(), id()).prop_map(|(pass, registration)| format!("PASS#{pass}#{registration}"));
        let wallet = select(vec!["passbook", "google_wallet", "pass2u"]).prop_map(str::to_owned);
        let system = select(vec!["ios", "android", "wp"]).prop_map(str::to_owned);
        let instant = (0..253_402_207_200_i64).prop_map(|at| Timestamp::of_unix_seconds(at).unwrap());
        let extra = attribute("[a-z]{0,5}".boxed());
        let attributes = (
            attribute(sk),
            attribute(wallet),
            attribute(system),
            attribute(instant.prop_map(|at| at.to_string())),
            (any::<String>(), extra),
        );
        attributes.prop_map(|(sk, wallet, device_os, created_at, (name, extra))| {
            let mut item = serde_json::Map::from_iter(extra.map(|extra| (name, extra)));
            let named = [("sk", sk), ("wallet", wallet), ("device_os", device_os), ("created_at", created_at)];
            item.extend(named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
            Value::Object(item)
        })
    }

    proptest! {
        #[test]
        fn a_page_is_read_as_the_sdk_reads_it(
            items in prop::collection::vec(item(), 0..4),
            ends in any::<bool>(),
            escaped in any::<bool>(),
        ) {
            let mut body = json!({"Count": items.len(), "Items": items, "ScannedCount": items.len()});
            if !ends {
                body["LastEvaluatedKey"] = json!({"pk": {"S": "x"}, "sk": {"S": "y"}});
            }
            // The same JSON, spelt with an escape.
            let body = if escaped { body.to_string().replace("passbook", r"pass\u0062ook") } else { body.to_string() };
            let answer = (200, body);
            match (read(answer.clone()), read_by_sdk(answer)) {
                (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
                (Err(StoreError::Malformed { .. }), Err(StoreError::Malformed { .. })) => {}
                (ours, theirs) => prop_assert!(false, "{:?} is not {:?}", ours, theirs),
            }
        }

        #[test]
        fn a_body_that_the_sdk_refuses_is_refused(body in "[\\[\\]{}\",:a-zI0-9]{0,30}", status in select(vec![200, 400, 500, 503])) {
            let answer = (status, body);
            let (ours, theirs) = (read(answer.clone()), read_by_sdk(answer));
            // The SDK reads an empty body as an empty page.
            prop_assert!(ours.is_err() || theirs.is_ok(), "{:?} is not {:?}", ours, theirs);
        }
    }

    #[test]
    fn a_malformed_item_is_named() {
        let item = json!({"sk": {"S": "PASS#x"}, "wallet": {"S": "abacus"}});
        let error = read((200, json!({"Items": [item]}).to_string())).unwrap_err();
        assert!(error.to_string().contains("PASS#x"), "{error}");
        let throttled = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"slow down"}"#;
        assert!(matches!(read((400, throttled.to_owned())), Err(StoreError::Throttled(_))));
    }
}
