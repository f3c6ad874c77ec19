//! What the local stack reads of `template.yaml`: routes, functions, table, queue.
//!
//! It understands `!Ref`, `!GetAtt A.B`, `!Sub` of one string, and `!If` with conditions of `!Equals` and `!Not`, with `Globals` merged
//! in. Anything else in what it reads is an error that names the line.

mod node;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use thiserror::Error;

use self::node::{Document, Node};

/// The region that the local stack pretends to be in; some engines know AWS's regions only.
pub const REGION: &str = "eu-west-1";
/// The account that the local stack pretends to belong to.
pub const AWS_ACCOUNT: &str = "000000000000";

/// How long an invocation may take where nobody says.
const LAMBDA_TIMEOUT: Duration = Duration::from_secs(3);

/// Why a template cannot be used.
#[derive(Debug, Error)]
pub enum TemplateError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The file is not YAML.
    #[error("{path} is not YAML: {cause}")]
    NotYaml {
        /// The file.
        path: PathBuf,
        /// Where, and what was expected.
        cause: String,
    },
    /// A part of it is not what we understand.
    #[error("{path}, line {line}: {problem}")]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What was found and what was expected.
        problem: String,
    },
}

/// The template, resolved.
#[derive(Debug, Clone)]
pub struct Template {
    /// The functions by folder name, `CampaignRegistrations` as `campaign-registrations`.
    pub functions: BTreeMap<String, Function>,
    /// What API Gateway sends where.
    pub routes: Vec<Route>,
    /// From where browsers may call.
    pub cors: Cors,
    /// The table.
    pub table: Table,
    /// The queues that feed functions.
    pub queues: Vec<Queue>,
    /// The functions that the table's stream feeds.
    pub streams: Vec<StreamSource>,
}

/// A function.
#[derive(Debug, Clone)]
pub struct Function {
    /// What it is called where it is deployed.
    pub name: String,
    /// The variables that it finds in its environment.
    pub variables: BTreeMap<String, String>,
    /// How long an invocation may take.
    pub timeout: Duration,
}

/// One route of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// `GET`, `POST`, … or `ANY`.
    pub method: String,
    /// The path with its parameters in braces, or `$default`.
    pub path: String,
    /// The function that it reaches.
    pub function: String,
}

/// What a browser is told (Amazon API Gateway developer guide, "Configure CORS for HTTP APIs").
#[derive(Debug, Clone, Default)]
pub struct Cors {
    /// Origins that may call.
    pub allow_origins: Vec<String>,
    /// Methods that they may use.
    pub allow_methods: Vec<String>,
    /// Headers that they may send.
    pub allow_headers: Vec<String>,
    /// Headers of the answer that they may see.
    pub expose_headers: Vec<String>,
    /// How long they may remember that, in seconds.
    pub max_age: String,
}

/// The table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// The types of the key attributes: `S`, `N` or `B`.
    pub attributes: BTreeMap<String, String>,
    /// Its key.
    pub key: TableKey,
    /// Its indexes by name.
    pub indexes: BTreeMap<String, Index>,
    /// The attribute that tells when an item may be deleted.
    pub time_to_live: Option<String>,
    /// What its stream shows of each change, where it has one.
    pub stream_view: Option<String>,
}

/// The key of a table or an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableKey {
    /// The partition key.
    pub hash: String,
    /// The sort key.
    pub range: Option<String>,
}

/// A global secondary index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Its key.
    pub key: TableKey,
    /// The attributes that it holds beside keys.
    pub projected: Vec<String>,
}

/// A queue and the function that it feeds.
#[derive(Debug, Clone)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// The function that it feeds.
    pub function: String,
    /// How long a received message stays hidden.
    pub visibility_timeout: Duration,
    /// How often a message is received before it goes to the dead-letter queue.
    pub max_receive_count: u32,
    /// The name of the dead-letter queue.
    pub dead_letter_queue: String,
    /// The largest batch.
    pub batch_size: usize,
    /// How long a batch is collected.
    pub batching_window: Duration,
    /// How many batches are under way at a time.
    pub maximum_concurrency: usize,
}

/// A function that the table's stream feeds.
#[derive(Debug, Clone)]
pub struct StreamSource {
    /// The function.
    pub function: String,
    /// The stream's name in events.
    pub arn: String,
    /// The largest batch.
    pub batch_size: usize,
    /// How many batches of a shard are under way at a time.
    pub parallelization_factor: usize,
    /// How long a window is.
    pub tumbling_window: Duration,
    /// What a record must be like: one of these patterns (AWS Lambda developer guide, "Event filtering").
    pub filters: Vec<Value>,
}

impl Queue {
    /// The queue's name in events.
    #[must_use]
    pub fn arn(&self) -> String {
        queue_arn(&self.name)
    }
}

impl Template {
    /// The template of this repository.
    #[must_use]
    pub fn default_path() -> PathBuf {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        folder.parent().unwrap_or(folder).join("template.yaml")
    }

    /// Reads the template at `path` with its parameters' defaults.
    pub fn read(path: &Path) -> Result<Self, TemplateError> {
        let text =
            fs::read_to_string(path).map_err(|cause| TemplateError::Unreadable { path: path.to_owned(), cause })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, TemplateError> {
        let document = Document::parse(path, text)?;
        let resources = document.root().field("Resources")?;
        let globals = document.root().optional("Globals")?.map(|node| node.field("Function")).transpose()?;
        let (mut functions, mut routes) = (BTreeMap::new(), Vec::new());
        let (mut queues, mut streams) = (Vec::new(), Vec::new());
        let (mut cors, mut table) = (Cors::default(), None);
        for (logical_id, resource) in resources.entries()? {
            let kind = resource.field("Type")?.text()?;
            let properties = resource.optional("Properties")?;
            match (kind.as_str(), properties) {
                ("AWS::Serverless::Function", Some(properties)) => {
                    let name = kebab_case(&logical_id);
                    functions.insert(name.clone(), read_function(&properties, globals.as_ref())?);
                    let Some(events) = properties.optional("Events")? else { continue };
                    for (_, event) in events.entries()? {
                        let properties = event.field("Properties")?;
                        match event.field("Type")?.text()?.as_str() {
                            "HttpApi" => routes.push(read_route(&name, &properties)?),
                            "DynamoDB" => streams.push(read_stream(&name, &properties)?),
                            "SQS" => queues.push(read_queue(&name, &properties, &resources)?),
                            other => {
                                return Err(
                                    event.unexpected(&format!("an event of type {other} is not understood here"))
                                );
                            }
                        }
                    }
                }
                ("AWS::Serverless::HttpApi", Some(properties)) => cors = read_cors(&properties)?,
                ("AWS::DynamoDB::Table", Some(_)) if table.is_some() => {
                    return Err(resource.unexpected("expected one table"));
                }
                ("AWS::DynamoDB::Table", Some(properties)) => table = Some(read_table(&properties)?),
                _ => {}
            }
        }
        let table = table.ok_or_else(|| resources.unexpected("expected an AWS::DynamoDB::Table"))?;
        Ok(Self { functions, routes, cors, table, queues, streams })
    }
}

fn read_function(properties: &Node<'_>, globals: Option<&Node<'_>>) -> Result<Function, TemplateError> {
    let mut variables = BTreeMap::new();
    let mut timeout = LAMBDA_TIMEOUT;
    for scope in [globals, Some(properties)].into_iter().flatten() {
        if let Some(environment) = scope.optional("Environment")? {
            for (variable, value) in environment.field("Variables")?.entries()? {
                variables.insert(variable, value.text()?);
            }
        }
        if let Some(seconds) = scope.optional("Timeout")? {
            timeout = seconds.seconds()?;
        }
    }
    Ok(Function { name: properties.field("FunctionName")?.text()?, variables, timeout })
}

fn read_route(function: &str, event: &Node<'_>) -> Result<Route, TemplateError> {
    let method = event.field("Method")?.text()?;
    let path = event.field("Path")?.text()?;
    Ok(Route { method, path, function: function.to_owned() })
}

fn read_cors(api: &Node<'_>) -> Result<Cors, TemplateError> {
    let Some(cors) = api.optional("CorsConfiguration")? else { return Ok(Cors::default()) };
    let texts = |name| match cors.optional(name)? {
        Some(list) => list.texts(),
        None => Ok(Vec::new()),
    };
    Ok(Cors {
        allow_origins: texts("AllowOrigins")?,
        allow_methods: texts("AllowMethods")?,
        allow_headers: texts("AllowHeaders")?,
        expose_headers: texts("ExposeHeaders")?,
        max_age: cors.optional("MaxAge")?.map(|age| age.text()).transpose()?.unwrap_or_default(),
    })
}

fn read_table(properties: &Node<'_>) -> Result<Table, TemplateError> {
    let mut attributes = BTreeMap::new();
    for attribute in properties.field("AttributeDefinitions")?.items()? {
        attributes.insert(attribute.field("AttributeName")?.text()?, attribute.field("AttributeType")?.text()?);
    }
    let mut indexes = BTreeMap::new();
    if let Some(list) = properties.optional("GlobalSecondaryIndexes")? {
        for index in list.items()? {
            let projection = index.field("Projection")?;
            let projected = match projection.field("ProjectionType")?.text()?.as_str() {
                "INCLUDE" => projection.field("NonKeyAttributes")?.texts()?,
                _ => return Err(projection.unexpected("expected a ProjectionType of INCLUDE")),
            };
            let key = read_key(&index.field("KeySchema")?)?;
            indexes.insert(index.field("IndexName")?.text()?, Index { key, projected });
        }
    }
    let time_to_live = match properties.optional("TimeToLiveSpecification")? {
        Some(specification) => Some(specification.field("AttributeName")?.text()?),
        None => None,
    };
    let stream_view = match properties.optional("StreamSpecification")? {
        Some(specification) => Some(specification.field("StreamViewType")?.text()?),
        None => None,
    };
    let key = read_key(&properties.field("KeySchema")?)?;
    Ok(Table { name: properties.field("TableName")?.text()?, attributes, key, indexes, time_to_live, stream_view })
}

fn read_key(schema: &Node<'_>) -> Result<TableKey, TemplateError> {
    let (mut hash, mut range) = (None, None);
    for element in schema.items()? {
        let name = element.field("AttributeName")?.text()?;
        match element.field("KeyType")?.text()?.as_str() {
            "HASH" => hash = Some(name),
            "RANGE" => range = Some(name),
            _ => return Err(element.unexpected("expected a KeyType of HASH or RANGE")),
        }
    }
    let hash = hash.ok_or_else(|| schema.unexpected("expected a HASH key"))?;
    Ok(TableKey { hash, range })
}

fn read_queue(function: &str, event: &Node<'_>, resources: &Node<'_>) -> Result<Queue, TemplateError> {
    let source = event.field("Queue")?;
    let arn = source.text()?;
    let queue_of = |arn: &str, place: &Node<'_>| {
        let queues = resources.entries()?.into_iter().map(|(_, resource)| resource);
        for resource in queues {
            if resource.field("Type")?.text()? == "AWS::SQS::Queue" {
                let properties = resource.field("Properties")?;
                if queue_arn(&properties.field("QueueName")?.text()?) == arn {
                    return Ok(properties);
                }
            }
        }
        Err(place.unexpected(&format!("there is no queue {arn}")))
    };
    let queue = queue_of(&arn, &source)?;
    let redrive = queue.field("RedrivePolicy")?;
    let dead_letters = redrive.field("deadLetterTargetArn")?;
    let dead_letter_queue = queue_of(&dead_letters.text()?, &dead_letters)?;
    let responses = event.field("FunctionResponseTypes")?;
    if responses.texts()? != ["ReportBatchItemFailures"] {
        return Err(responses.unexpected("expected [ReportBatchItemFailures]"));
    }
    Ok(Queue {
        name: queue.field("QueueName")?.text()?,
        function: function.to_owned(),
        visibility_timeout: queue.field("VisibilityTimeout")?.seconds()?,
        max_receive_count: redrive.field("maxReceiveCount")?.number()?,
        dead_letter_queue: dead_letter_queue.field("QueueName")?.text()?,
        batch_size: event.field("BatchSize")?.number()?,
        batching_window: event.field("MaximumBatchingWindowInSeconds")?.seconds()?,
        maximum_concurrency: event.field("ScalingConfig")?.field("MaximumConcurrency")?.number()?,
    })
}

fn read_stream(function: &str, event: &Node<'_>) -> Result<StreamSource, TemplateError> {
    let mut filters = Vec::new();
    for filter in event.field("FilterCriteria")?.field("Filters")?.items()? {
        let pattern = filter.field("Pattern")?;
        let json = serde_json::from_str(&pattern.text()?);
        filters.push(json.map_err(|error| pattern.unexpected(&format!("expected JSON: {error}")))?);
    }
    Ok(StreamSource {
        function: function.to_owned(),
        arn: event.field("Stream")?.text()?,
        batch_size: event.field("BatchSize")?.number()?,
        parallelization_factor: event.field("ParallelizationFactor")?.number()?,
        tumbling_window: event.field("TumblingWindowInSeconds")?.seconds()?,
        filters,
    })
}

/// The local table has one stream, of no particular age.
fn stream_arn(table: &str) -> String {
    format!("arn:aws:dynamodb:{REGION}:{AWS_ACCOUNT}:table/{table}/stream/2016-11-09T00:00:00.000")
}

fn queue_arn(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{AWS_ACCOUNT}:{name}")
}

/// `CampaignRegistrations` as `campaign-registrations`: the name of a function's folder, and of its binary.
#[must_use]
pub fn kebab_case(logical_id: &str) -> String {
    let mut name = String::with_capacity(logical_id.len() + 4);
    for letter in logical_id.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}
