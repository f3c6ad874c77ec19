//! A queue message: one event, perhaps in the envelope of the service that sent it.
//!
//! SNS and `EventBridge` wrap what they deliver to a queue. Their envelopes are removed here, also one inside the
//! other, so senders need neither raw message delivery (SNS) nor an input path (`EventBridge`).

use domain::{
    event::passworks::{Parsed, Source},
    fields::FieldErrors,
    json,
    time::Timestamp,
};
use serde_json::Value;

/// Parses the body of a message that was received at `now`. A body that is not one event gives an event with an error.
pub(crate) fn parse(body: &[u8], now: Timestamp) -> Parsed {
    match parse_json("body", body).and_then(event) {
        Ok(event) => Parsed::from_json(&event, &Source::Queue, now),
        Err(errors) => Parsed { wallet: None, event: Err(errors) },
    }
}

/// Returns the event in a message.
fn event(message: Value) -> Result<Value, FieldErrors> {
    match message {
        Value::Array(_) => {
            Err(FieldErrors::of("body", "expected one event, found an array; send each event in a message of its own"))
        }
        // Amazon SNS developer guide, "Raw message delivery": without it, the message is a text in `Message`.
        Value::Object(fields) if is_envelope(&fields, &["Type", "TopicArn", "Message"]) => {
            event(parse_json("Message", fields["Message"].as_str().unwrap_or_default().as_bytes())?)
        }
        // Amazon EventBridge user guide, "Event structure reference".
        Value::Object(mut fields) if is_envelope(&fields, &["detail-type", "detail"]) => {
            event(fields.remove("detail").unwrap_or_default())
        }
        message => Ok(message),
    }
}

/// Returns whether an object has all these fields and is not itself an event, in which unknown fields are ignored.
fn is_envelope(fields: &serde_json::Map<String, Value>, names: &[&str]) -> bool {
    !fields.contains_key("event") && names.iter().all(|name| fields.contains_key(*name))
}

fn parse_json(name: &str, text: &[u8]) -> Result<Value, FieldErrors> {
    json::parse(text).map_err(|error| FieldErrors::of(name, format_args!("expected JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn created() -> Value {
        json!({
            "event": "created", "account_id": "demo", "campaign_id": "cbc3016c-4c55-4564-81e9-a21664817be2",
            "pass_id": "d91aef7c-a166-4694-bb91-569714f9c33e", "event_at": "2016-08-10T11:30:06Z",
        })
    }

    fn sns(message: &str) -> Value {
        json!({
            "Type": "Notification", "MessageId": "dc1e94d9-56c5-5e96-808d-cc7f68faa162",
            "TopicArn": "arn:aws:sns:eu-west-1:111122223333:passes", "Message": message,
            "Timestamp": "2016-08-10T11:30:07.000Z", "SignatureVersion": "1",
        })
    }

    fn event_bridge(detail: &Value) -> Value {
        json!({
            "version": "0", "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718", "detail-type": "pass", "source": "passes",
            "account": "111122223333", "time": "2016-08-10T11:30:07Z", "region": "eu-west-1", "resources": [],
            "detail": detail,
        })
    }

    fn parsed(message: &str) -> Parsed {
        parse(message.as_bytes(), "2016-08-10T11:31:00Z".parse().unwrap())
    }

    #[rstest]
    #[case::sns(sns(&created().to_string()))]
    #[case::event_bridge(event_bridge(&created()))]
    #[case::event_bridge_through_sns(sns(&event_bridge(&created()).to_string()))]
    #[case::sns_through_sns(sns(&sns(&created().to_string()).to_string()))]
    #[case::byte_order_mark(sns(&format!("\u{feff}{}", created())))]
    fn an_event_is_taken_out_of_its_envelopes(#[case] message: Value) {
        let expected = parsed(&created().to_string());
        assert!(expected.event.as_ref().is_ok_and(Option::is_some));
        assert_eq!(parsed(&message.to_string()), expected);
    }

    #[test]
    fn an_event_with_the_fields_of_an_envelope_is_an_event() {
        let mut event = created();
        for name in ["Type", "TopicArn", "Message", "detail-type", "detail"] {
            event[name] = json!("x");
        }
        assert_eq!(parsed(&event.to_string()), parsed(&created().to_string()));
    }

    #[rstest]
    #[case(json!([created()]).to_string(), "body: expected one event, found an array")]
    #[case(sns(&json!([created()]).to_string()).to_string(), "body: expected one event, found an array")]
    #[case(event_bridge(&json!([])).to_string(), "body: expected one event, found an array")]
    #[case("{".to_owned(), "body: expected JSON")]
    #[case(sns("You have chosen to subscribe to the topic").to_string(), "Message: expected JSON")]
    #[case(sns("").to_string(), "Message: expected JSON")]
    #[case(event_bridge(&json!("text")).to_string(), "event: expected a JSON object")]
    #[case(event_bridge(&Value::Null).to_string(), "event: expected a JSON object")]
    #[case(json!({"Type": "Notification", "Message": "{}"}).to_string(), "account_id: is required; campaign_id: is required; event: is required")]
    fn a_message_without_one_event_is_refused(#[case] message: String, #[case] expected: &str) {
        let errors = parsed(&message).event.unwrap_err().to_string();
        assert!(errors.starts_with(expected), "{errors}");
    }

    #[test]
    fn a_message_that_is_not_a_text_is_refused() {
        let mut message = sns("");
        message["Message"] = created();
        assert!(parsed(&message.to_string()).event.unwrap_err().to_string().starts_with("Message: expected JSON"));
    }
}
