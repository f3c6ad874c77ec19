//! The events whose instructions are counted.
//!
//! Most are samples, which cost the same however often they are sent. For the others each number gives another event,
//! because the table answers a repetition differently.

use domain::time;
use local::{
    samples,
    testing::{
        google::{KeysServer, SignedCallback},
        sandbox::Sandbox,
    },
};
use serde_json::{Value, json};

use crate::{measure::Measured, operations};

/// The number of events in a batch from the queue, and of records in a batch from the stream.
const BATCH: usize = 100;

const ISSUER: &str = "3388000000022000000";
/// The object of the pass in `sqs/wallet-events.json`.
const OBJECT: &str = "3388000000022000000.1";

/// The samples that cost the same however often they are sent.
const REPEATABLE: [(&str, &str); 8] = [
    ("pass-registrations", "http/list-pass.json"),
    ("push-targets", "http/list-pass-push-targets.json"),
    ("registration-writes", "http/register.json"),
    ("registration-ingest", "sqs/source-document.json"),
    ("campaign-reports", "http/report.json"),
    ("registration-tally", "dynamodb/source-document.json"),
    ("api-contract", "http/api-contract.json"),
    ("wallet-web-service", "http/wallet-list.json"),
];

/// Events that a function answers, and what is counted.
pub(crate) struct Events {
    pub(crate) function: &'static str,
    /// What one part of an event is, such as `http/report.json`.
    pub(crate) name: &'static str,
    /// How many parts of the same kind an event has. The instructions of one part are counted.
    pub(crate) parts: u64,
    pub(crate) event: Box<dyn Fn(usize) -> Value>,
}

/// Returns all events, and the server from which `google-wallet-callback` gets Google's keys.
pub(crate) async fn all(sandbox: &Sandbox) -> Measured<(Vec<Events>, KeysServer)> {
    // `http/wallet-list.json` lists what this registers.
    let register = sample("http/wallet-register.json")?;
    sandbox.fresh_functions()?.invoke("wallet-web-service", register.clone()).await?;
    let mut events = Vec::new();
    for (function, name) in REPEATABLE {
        let event = sample(name)?;
        events.push(Events { function, name, parts: 1, event: Box::new(move |_| event.clone()) });
    }
    events.push(Events {
        function: "wallet-web-service",
        name: "a registration like http/wallet-register.json",
        parts: 1,
        event: Box::new(move |number| wallet_registration(&register, number)),
    });
    let (callback, server) = callbacks(sandbox).await?;
    events.push(Events {
        function: "google-wallet-callback",
        name: "a save like http/google-callback.json",
        parts: 1,
        event: callback,
    });
    let batch = sample("sqs/source-document.json")?;
    events.push(Events {
        function: "registration-ingest",
        name: "each install of a batch of 100",
        parts: u64::try_from(BATCH)?,
        event: Box::new(move |number| queue_batch(&batch, number)),
    });
    let batch = sample("dynamodb/source-document.json")?;
    events.push(Events {
        function: "registration-tally",
        name: "each record of a batch of 100",
        parts: u64::try_from(BATCH)?,
        event: Box::new(move |number| stream_batch(&batch, number)),
    });
    Ok((events, server))
}

fn sample(name: &str) -> Measured<Value> {
    Ok(samples::read(&samples::folder().join(name))?)
}

/// Returns the registration of another device.
fn wallet_registration(sample: &Value, number: usize) -> Value {
    let mut event = sample.clone();
    let device = format!("{number:032}");
    for path in ["/rawPath", "/requestContext/http/path", "/pathParameters/call"] {
        if let Some(Value::String(path)) = event.pointer_mut(path) {
            *path = path.replace("c0ffee00c0ffee00c0ffee00c0ffee00", &device);
        }
    }
    event
}

/// Gives the account `demo` an issuer, and returns its callbacks: the object was saved, later with each number.
async fn callbacks(sandbox: &Sandbox) -> Measured<(Box<dyn Fn(usize) -> Value>, KeysServer)> {
    sandbox.store()?.set_google_issuers(&"demo".parse()?, &[ISSUER.parse()?]).await?;
    let expires_at = time::now().plus(std::time::Duration::from_hours(1)).unix_milliseconds();
    let callback = SignedCallback::new("save", ISSUER, OBJECT, expires_at);
    let server = KeysServer::start(&callback.published_keys(expires_at)).await?;
    let event = sample("http/google-callback.json")?;
    let numbered = move |number: usize| {
        let mut callback = callback.clone();
        callback.message["expTimeMillis"] = json!(expires_at + i64::try_from(number).unwrap_or_default());
        callback.message["nonce"] = json!(format!("00000000-0000-4000-8000-{number:012}"));
        let mut event = event.clone();
        event["body"] = json!(callback.body().to_string());
        event
    };
    Ok((Box::new(numbered), server))
}

/// Returns a batch from the queue with installs of other registrations.
fn queue_batch(sample: &Value, number: usize) -> Value {
    let message = |place: usize| {
        let mut body = operations::event(number * BATCH + place);
        body["account_id"] = json!("demo");
        let mut message = sample["Records"][0].clone();
        message["messageId"] = json!(format!("{place:08}-0000-4000-8000-000000000000"));
        message["body"] = json!(body.to_string());
        message
    };
    json!({"Records": (0..BATCH).map(message).collect::<Value>()})
}

/// Returns a batch from the stream with later installs of other registrations.
fn stream_batch(sample: &Value, number: usize) -> Value {
    let record = |place: usize| {
        let place = number * BATCH + place;
        let mut record = sample["Records"][1].clone();
        let change = &mut record["dynamodb"];
        let sk = json!({"S": format!("PASS#22d5b0ed-cc82-4743-a4fb-ee655d928037#d0000000-0000-4000-8000-{place:012}")});
        change["Keys"]["sk"] = sk.clone();
        change["NewImage"]["sk"] = sk;
        // The numbers of the sample begin with 111.
        change["SequenceNumber"] = json!(format!("112{place:018}"));
        record
    };
    let mut event = sample.clone();
    event["Records"] = (0..BATCH).map(record).collect();
    event
}
