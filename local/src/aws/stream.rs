//! The table's stream, and Lambda's event source mapping, which feeds a function from it.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{Request, header::HOST};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::{net::TcpStream, time::Instant};
use tracing::warn;

use crate::{
    aws::{dynamodb::StreamRecords, log_limit::LogLimit},
    functions::Functions,
    template::{REGION, StreamSource},
};

/// How long a stream keeps its records (Amazon DynamoDB developer guide, "Change data capture for DynamoDB Streams").
/// The embedded engine keeps a record until it is consumed, so older records are skipped here.
const RETENTION: Duration = Duration::from_hours(24);
/// The pause if there are no new records, after a failed read, and before a failed batch is sent again.
const PAUSE: Duration = Duration::from_millis(200);
/// Emulators do not check signatures, but some require one.
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=local/20161109/eu-west-1/dynamodb/aws4_request, \
     SignedHeaders=host;x-amz-date, Signature=0000000000000000000000000000000000000000000000000000000000000000";

/// Why a stream cannot be read.
#[derive(Debug, Error)]
#[error("the stream of the table cannot be read: {0}")]
pub struct StreamError(String);

/// Records of one shard, in their order.
#[derive(Debug, Clone)]
pub struct ShardRecords {
    /// The id of the shard.
    pub shard: String,
    /// The records, as `GetRecords` returns them.
    pub records: Vec<Value>,
}

/// A reader of a table's stream. It begins with the oldest record.
#[derive(Debug)]
pub struct TableStream {
    engine: String,
    table: String,
    /// The iterator with which to continue each shard.
    iterators: BTreeMap<String, String>,
    /// The sequence number of the last record that was read.
    last_read: Option<String>,
}

impl TableStream {
    /// Returns a reader of the stream of `table` in the engine at `endpoint`, which is `http://HOST:PORT`.
    #[must_use]
    pub fn of(endpoint: &str, table: &str) -> Self {
        let engine = endpoint.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Self { engine, table: table.to_owned(), iterators: BTreeMap::new(), last_read: None }
    }

    /// Reads up to `limit` new records from each shard. Leaves out shards without new records.
    pub async fn read(&mut self, limit: usize) -> Result<Vec<ShardRecords>, StreamError> {
        self.find_shards().await?;
        let mut found = Vec::new();
        for (shard, iterator) in &mut self.iterators {
            let request = json!({"ShardIterator": iterator, "Limit": limit});
            let mut answer = call(&self.engine, "GetRecords", &request).await?;
            let records = answer["Records"].as_array_mut().map(std::mem::take).unwrap_or_default();
            if let Some(next) = answer["NextShardIterator"].as_str() {
                next.clone_into(iterator);
            }
            if let Some(last) = records.last() {
                self.last_read = last["dynamodb"]["SequenceNumber"].as_str().map(str::to_owned);
                found.push(ShardRecords { shard: shard.clone(), records });
            }
        }
        Ok(found)
    }

    async fn find_shards(&mut self) -> Result<(), StreamError> {
        if !self.iterators.is_empty() {
            return Ok(());
        }
        let streams = call(&self.engine, "ListStreams", &json!({"TableName": self.table})).await?;
        let arn = &streams["Streams"][0]["StreamArn"];
        if !arn.is_string() {
            return Err(StreamError(format!("the table {} has no stream", self.table)));
        }
        let described = call(&self.engine, "DescribeStream", &json!({"StreamArn": arn})).await?;
        for shard in described["StreamDescription"]["Shards"].as_array().into_iter().flatten() {
            let request = json!({"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"});
            let answer = call(&self.engine, "GetShardIterator", &request).await?;
            if let (Some(shard), Some(iterator)) = (shard["ShardId"].as_str(), answer["ShardIterator"].as_str()) {
                self.iterators.insert(shard.to_owned(), iterator.to_owned());
            }
        }
        Ok(())
    }
}

impl StreamSource {
    /// Returns the event for a batch of a shard, as Lambda builds it within a tumbling window.
    #[must_use]
    pub fn event(&self, shard: &str, records: &[Value]) -> Value {
        let window = self.tumbling_window.as_secs().max(1);
        let start = now().as_secs() / window * window;
        let instant = |seconds: u64| {
            let instant = jiff::Timestamp::from_second(i64::try_from(seconds).unwrap_or_default());
            instant.unwrap_or_default().to_string()
        };
        let records = records.iter().map(|record| {
            let mut record = record.clone();
            record["eventSource"] = json!("aws:dynamodb");
            record["eventSourceARN"] = json!(self.arn);
            record["awsRegion"] = json!(REGION);
            record
        });
        json!({
            "Records": records.collect::<Vec<_>>(),
            "window": {"start": instant(start), "end": instant(start + window)},
            "state": {},
            "shardId": shard,
            "eventSourceARN": self.arn,
            "isFinalInvokeForWindow": false,
            "isWindowTerminatedEarly": false,
        })
    }

    /// Returns whether a record passes the filters, so that the function gets it.
    #[must_use]
    pub fn takes(&self, record: &Value) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| matches(filter, record))
    }

    /// Reads the next batch of each shard. Returns the events, each with its shard, or `None` if there are no new
    /// records. There is no event for a shard whose new records do not pass the filters.
    pub async fn next_batches(&self, stream: &mut TableStream) -> Result<Option<Vec<(String, Value)>>, StreamError> {
        let found = stream.read(self.batch_size).await?;
        if found.is_empty() {
            return Ok(None);
        }
        let batches = found.into_iter().filter_map(|ShardRecords { shard, mut records }| {
            records.retain(|record| is_kept(record) && self.takes(record));
            let event = (!records.is_empty()).then(|| self.event(&shard, &records))?;
            Some((shard, event))
        });
        Ok(Some(batches.collect()))
    }

    /// Feeds the function from `stream` until the task is aborted. A failed batch is sent again until it succeeds,
    /// before the next batch of its shard; the log says so once a minute. Deletes the records that were consumed from
    /// `consumed`.
    pub async fn feed(self, mut stream: TableStream, functions: Functions, consumed: Option<StreamRecords>) {
        let [mut failed, mut unread, mut untrimmed] = [(); 3].map(|()| LogLimit::default());
        loop {
            match self.next_batches(&mut stream).await {
                Ok(Some(batches)) => {
                    unread.reset();
                    for (shard, event) in batches {
                        while let Err(error) = functions.invoke(&self.function, event.clone()).await {
                            if failed.allows(Instant::now()) {
                                warn!(%error, function = self.function, shard, "the function failed; sending the batch again");
                            }
                            tokio::time::sleep(PAUSE).await;
                        }
                        failed.reset();
                    }
                    match trim(&stream, consumed.clone()).await {
                        Ok(()) => untrimmed.reset(),
                        Err(error) if untrimmed.allows(Instant::now()) => {
                            warn!(error, "records that the stream no longer needs could not be deleted");
                        }
                        Err(_) => {}
                    }
                }
                Ok(None) => tokio::time::sleep(PAUSE).await,
                Err(error) => {
                    if unread.allows(Instant::now()) {
                        warn!(%error, "the stream could not be read; trying again");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Deletes the records that were read from `stream`. If that fails, the next call deletes them. The error is its text.
async fn trim(stream: &TableStream, records: Option<StreamRecords>) -> Result<(), String> {
    let (Some(records), Some(last_read)) = (records, stream.last_read.clone()) else { return Ok(()) };
    let table = stream.table.clone();
    let trimmed = tokio::task::spawn_blocking(move || records.trim(&table, &last_read)).await;
    trimmed.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

/// Returns whether DynamoDB would still keep the record.
fn is_kept(record: &Value) -> bool {
    let created = record["dynamodb"]["ApproximateCreationDateTime"].as_f64().unwrap_or_default();
    created >= now().saturating_sub(RETENTION).as_secs_f64()
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Returns whether a value matches a filter pattern: each field in the pattern must have one of the listed values, or
/// begin with a listed prefix.
fn matches(pattern: &Value, value: &Value) -> bool {
    match pattern {
        Value::Object(fields) => fields.iter().all(|(name, pattern)| matches(pattern, &value[name])),
        Value::Array(alternatives) => alternatives.iter().any(|alternative| match alternative["prefix"].as_str() {
            Some(prefix) => value.as_str().is_some_and(|text| text.starts_with(prefix)),
            None => alternative == value,
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Calls an operation of the DynamoDB Streams API (2012-08-10).
async fn call(engine: &str, operation: &str, request: &Value) -> Result<Value, StreamError> {
    let answer = exchange(engine, operation, request).await.map_err(|error| StreamError(error.to_string()))?;
    match answer["__type"].as_str() {
        Some(error) => Err(StreamError(format!("{operation}: {error}: {}", answer["message"]))),
        None => Ok(answer),
    }
}

async fn exchange(
    engine: &str,
    operation: &str,
    request: &Value,
) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(engine).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::post("/")
        .header(HOST, engine)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", format!("DynamoDBStreams_20120810.{operation}"))
        .header("x-amz-date", "20161109T000000Z")
        .header("authorization", AUTHORIZATION)
        .body(Full::new(Bytes::from(request.to_string())))?;
    let answer = sender.send_request(request).await?.into_body().collect().await?.to_bytes();
    connection.abort();
    Ok(serde_json::from_slice(&answer)?)
}
