//! Reads the parts of `template.yaml` that the local stack needs: routes, functions with their permissions, table, queues
//! and streams.
//!
//! It understands `!Ref`, `!GetAtt A.B`, `!Sub` of one string, and `!If` with conditions of `!Equals` and `!Not`. It
//! merges `Globals` into each function, and the routes of the functions into the API's `DefinitionBody`, as SAM does.
//! Anything else in the parts that it reads is an error that names the line.

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
use crate::client::ServiceUrl;

/// The region that the local stack pretends to be in. It is a real region, because some engines reject any other.
pub const REGION: &str = "eu-west-1";
/// The account that the local stack pretends to belong to.
pub const AWS_ACCOUNT: &str = "000000000000";

/// Lambda's default timeout.
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
        /// The place, and what was expected.
        cause: String,
    },
    /// A part of the file is not understood.
    #[error("{path}, line {line}: {problem}")]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What was expected, or what is not understood.
        problem: String,
    },
}

/// The template, with references resolved.
#[derive(Debug, Clone)]
pub struct Template {
    /// The functions by folder name, `CampaignRegistrations` as `campaign-registrations`.
    pub functions: BTreeMap<String, Function>,
    /// The routes of the API.
    pub routes: Vec<RouteDefinition>,
    /// The CORS configuration of the API.
    pub cors: Cors,
    /// The table.
    pub table: TableDefinition,
    /// The queues that feed functions.
    pub queues: Vec<Queue>,
    /// The functions that the table's stream feeds.
    pub streams: Vec<StreamSource>,
    /// The values that the parameter `LogLevel` may have.
    pub log_levels: Vec<String>,
    /// The metrics that are counted from the functions' log lines.
    pub log_metrics: Vec<LogMetric>,
}

/// A metric that is counted from log lines: from each line whose `field` matches.
#[derive(Debug, Clone)]
pub struct LogMetric {
    /// The name of the metric.
    pub name: String,
    /// The field of the line, below `fields`.
    pub field: String,
    /// The least whole number that the field must have.
    pub at_least: i64,
    /// Whether the metric is divided, by wallet or by kind of complaint.
    pub is_divided: bool,
}

/// A function, as the template configures it.
#[derive(Debug, Clone)]
pub struct Function {
    /// The name of the function on AWS.
    pub name: String,
    /// The environment variables, including those in `Globals`.
    pub variables: BTreeMap<String, String>,
    /// The timeout of an invocation.
    pub timeout: Duration,
    /// The statements of its policies, which allow calls to the table.
    pub statements: Vec<Statement>,
}

/// A statement of a policy, which allows actions on resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The actions, such as `dynamodb:PutItem`.
    pub actions: Vec<String>,
    /// The ARNs of the table and of indexes.
    pub resources: Vec<String>,
    /// Patterns of the partition keys, if the statement is restricted to some (`dynamodb:LeadingKeys`).
    pub leading_keys: Option<Vec<String>>,
    /// The operations, such as `TransactWriteItems`, of which an action must be part (`dynamodb:EnclosingOperation`), if
    /// the statement is restricted to some.
    pub enclosing_operations: Option<Vec<String>>,
}

/// One route of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteDefinition {
    /// `GET`, `POST`, … or `ANY`.
    pub method: String,
    /// The path with its parameters in braces, or `$default`.
    pub path: String,
    /// What answers the route.
    pub integration: Integration,
}

/// What answers a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Integration {
    /// A function, by its folder name.
    Function(String),
    /// A server on the internet.
    Http(HttpIntegration),
}

/// A server to which the API passes requests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpIntegration {
    /// The server, without a path.
    pub server: ServiceUrl,
    /// The path there, with the parameters of the route in braces.
    pub path: String,
    /// How long the server may take to answer.
    pub timeout: Duration,
}

impl RouteDefinition {
    /// Returns the folder name of the function that answers the route, or `None` if it is no function.
    #[must_use]
    pub fn function(&self) -> Option<&str> {
        match &self.integration {
            Integration::Function(function) => Some(function),
            Integration::Http(_) => None,
        }
    }
}

/// The permissions for pages of other origins (Amazon API Gateway developer guide, "Configure CORS for HTTP APIs").
#[derive(Debug, Clone, Default)]
pub struct Cors {
    /// The origins that may call.
    pub allow_origins: Vec<String>,
    /// The methods that they may use.
    pub allow_methods: Vec<String>,
    /// The request headers that they may send.
    pub allow_headers: Vec<String>,
    /// The response headers that they may see.
    pub expose_headers: Vec<String>,
    /// How long a browser may cache these permissions, in seconds.
    pub max_age: String,
}

/// The table, as the template defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDefinition {
    /// The name.
    pub name: String,
    /// The types of the key attributes: `S`, `N` or `B`.
    pub attributes: BTreeMap<String, String>,
    /// The key.
    pub key: TableKey,
    /// The indexes, by name.
    pub indexes: BTreeMap<String, Index>,
    /// The attribute with the time at which an item may be deleted, if there is one.
    pub time_to_live: Option<String>,
    /// The view type of the stream, or `None` if the table has no stream.
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
    /// The key.
    pub key: TableKey,
    /// The attributes that it has in addition to the keys.
    pub projected: Vec<String>,
}

/// A queue and the function that it feeds.
#[derive(Debug, Clone)]
pub struct Queue {
    /// The name.
    pub name: String,
    /// The function that it feeds.
    pub function: String,
    /// How long a received message stays hidden.
    pub visibility_timeout: Duration,
    /// How often a message may be received before it is moved to the dead-letter queue.
    pub max_receive_count: u32,
    /// The name of the dead-letter queue.
    pub dead_letter_queue: String,
    /// The maximum number of messages in a batch.
    pub batch_size: usize,
    /// How long messages are collected into a batch, at most.
    pub batching_window: Duration,
    /// The maximum number of concurrent batches.
    pub maximum_concurrency: usize,
}

/// A function that the table's stream feeds.
#[derive(Debug, Clone)]
pub struct StreamSource {
    /// The function.
    pub function: String,
    /// The ARN of the stream.
    pub arn: String,
    /// The maximum number of records in a batch.
    pub batch_size: usize,
    /// The maximum number of concurrent batches of a shard.
    pub parallelization_factor: usize,
    /// The length of a tumbling window.
    pub tumbling_window: Duration,
    /// The filter patterns. If there are any, a record must match one of them (AWS Lambda developer guide, "Event
    /// filtering").
    pub filters: Vec<Value>,
}

impl Queue {
    /// Returns the ARN of the queue.
    #[must_use]
    pub fn arn(&self) -> String {
        queue_arn(&self.name)
    }
}

impl Template {
    /// Returns the path of this repository's template.
    #[must_use]
    pub fn default_path() -> PathBuf {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        folder.parent().unwrap_or(folder).join("template.yaml")
    }

    /// Reads the template at `path`. Each parameter has its default.
    pub fn read(path: &Path) -> Result<Self, TemplateError> {
        Self::read_with(path, &BTreeMap::new())
    }

    /// Reads the template at `path`. A parameter that is not in `parameters` has its default.
    pub fn read_with(path: &Path, parameters: &BTreeMap<String, String>) -> Result<Self, TemplateError> {
        let text =
            fs::read_to_string(path).map_err(|cause| TemplateError::Unreadable { path: path.to_owned(), cause })?;
        let document = Document::parse(path, &text, parameters)?;
        Self::of(&document)
    }

    fn of(document: &Document<'_>) -> Result<Self, TemplateError> {
        let resources = document.root().field("Resources")?;
        let globals = document.root().optional("Globals")?.map(|node| node.field("Function")).transpose()?;
        let (mut functions, mut routes) = (BTreeMap::new(), Vec::new());
        let (mut queues, mut streams) = (Vec::new(), Vec::new());
        let (mut cors, mut table) = (Cors::default(), None);
        let mut log_metrics = Vec::new();
        let parameters = document.root().optional("Parameters")?;
        let log_level = parameters.map(|node| node.optional("LogLevel")).transpose()?.flatten();
        let log_levels = log_level.map(|node| node.field("AllowedValues")?.texts()).transpose()?.unwrap_or_default();
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
                ("AWS::Serverless::HttpApi", Some(properties)) => {
                    cors = read_cors(&properties)?;
                    if let Some(definition) = properties.optional("DefinitionBody")? {
                        routes.extend(read_definition(&definition)?);
                    }
                }
                ("AWS::Logs::MetricFilter", Some(properties)) => log_metrics.push(read_log_metric(&properties)?),
                ("AWS::DynamoDB::Table", Some(_)) if table.is_some() => {
                    return Err(resource.unexpected("expected one table"));
                }
                ("AWS::DynamoDB::Table", Some(properties)) => table = Some(read_table(&properties)?),
                _ => {}
            }
        }
        let table = table.ok_or_else(|| resources.unexpected("expected an AWS::DynamoDB::Table"))?;
        Ok(Self { functions, routes, cors, table, queues, streams, log_levels, log_metrics })
    }
}

/// Reads a metric filter, whose pattern is `{ $.fields.NAME > NUMBER }` or the same with `>=`.
fn read_log_metric(properties: &Node<'_>) -> Result<LogMetric, TemplateError> {
    let pattern = properties.field("FilterPattern")?;
    let text = pattern.text()?;
    let not_understood = || pattern.unexpected("expected { $.fields.NAME > NUMBER }, or the same with >=");
    let ["{", field, operator, number, "}"] = text.split(' ').collect::<Vec<_>>()[..] else {
        return Err(not_understood());
    };
    let field = field.strip_prefix("$.fields.").ok_or_else(not_understood)?.to_owned();
    let number: i64 = number.parse().map_err(|_| not_understood())?;
    let at_least = match operator {
        ">" => number + 1,
        ">=" => number,
        _ => return Err(not_understood()),
    };
    let transformations = properties.field("MetricTransformations")?;
    let [transformation] = &transformations.items()?[..] else {
        return Err(transformations.unexpected("expected one metric"));
    };
    let is_divided = transformation.optional("Dimensions")?.is_some();
    Ok(LogMetric { name: transformation.field("MetricName")?.text()?, field, at_least, is_divided })
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
    let mut statements = Vec::new();
    for policy in properties.optional("Policies")?.map_or_else(|| Ok(Vec::new()), |policies| policies.items())? {
        for statement in policy.field("Statement")?.items()? {
            statements.push(read_statement(&statement)?);
        }
    }
    Ok(Function { name: properties.field("FunctionName")?.text()?, variables, timeout, statements })
}

fn read_statement(statement: &Node<'_>) -> Result<Statement, TemplateError> {
    let effect = statement.field("Effect")?;
    if effect.text()? != "Allow" {
        return Err(effect.unexpected("expected Allow"));
    }
    let (mut leading_keys, mut enclosing_operations) = (None, None);
    for (operator, condition) in
        statement.optional("Condition")?.map_or_else(|| Ok(Vec::new()), |node| node.entries())?
    {
        for (key, values) in condition.entries()? {
            match (operator.as_str(), key.as_str()) {
                ("ForAllValues:StringLike", "dynamodb:LeadingKeys") => leading_keys = Some(values.text_or_texts()?),
                ("ForAnyValue:StringEquals", "dynamodb:EnclosingOperation") => {
                    enclosing_operations = Some(values.text_or_texts()?);
                }
                _ => return Err(values.unexpected(&format!("{operator} of {key} is not understood here"))),
            }
        }
    }
    Ok(Statement {
        actions: statement.field("Action")?.text_or_texts()?,
        resources: statement.field("Resource")?.text_or_texts()?,
        leading_keys,
        enclosing_operations,
    })
}

fn read_route(function: &str, event: &Node<'_>) -> Result<RouteDefinition, TemplateError> {
    let method = event.field("Method")?.text()?;
    let path = event.field("Path")?.text()?;
    Ok(RouteDefinition { method, path, integration: Integration::Function(function.to_owned()) })
}

/// Reads the operations of an API's OpenAPI definition. A path or an operation whose condition is false does not exist.
fn read_definition(definition: &Node<'_>) -> Result<Vec<RouteDefinition>, TemplateError> {
    let mut routes = Vec::new();
    for (path, operations) in definition.field("paths")?.entries()? {
        let Some(operations) = operations.chosen()? else { continue };
        for (method, operation) in operations.entries()? {
            let Some(operation) = operation.chosen()? else { continue };
            let integration = Integration::Http(read_http_integration(&operation)?);
            routes.push(RouteDefinition { method: method.to_ascii_uppercase(), path: path.clone(), integration });
        }
    }
    Ok(routes)
}

fn read_http_integration(operation: &Node<'_>) -> Result<HttpIntegration, TemplateError> {
    let integration = operation.field("x-amazon-apigateway-integration")?;
    for (name, expected) in
        [("type", "http_proxy"), ("httpMethod", "GET"), ("connectionType", "INTERNET"), ("payloadFormatVersion", "1.0")]
    {
        let field = integration.field(name)?;
        if field.text()? != expected {
            return Err(field.unexpected(&format!("expected {expected}")));
        }
    }
    let uri = integration.field("uri")?;
    let text = uri.text()?;
    // Everything before the path is the template's, so that no caller can choose the server.
    let path = text.split_once("://").and_then(|(_, rest)| rest.find('/').map(|slash| text.len() - rest.len() + slash));
    let Some((server, path)) = path.and_then(|path| text.split_at_checked(path)) else {
        return Err(uri.unexpected("expected a URL with a path"));
    };
    let server = server.parse().map_err(|error| uri.unexpected(&format!("{error}")))?;
    let timeout = Duration::from_millis(integration.field("timeoutInMillis")?.number()?);
    Ok(HttpIntegration { server, path: path.to_owned(), timeout })
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

fn read_table(properties: &Node<'_>) -> Result<TableDefinition, TemplateError> {
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
    Ok(TableDefinition {
        name: properties.field("TableName")?.text()?,
        attributes,
        key,
        indexes,
        time_to_live,
        stream_view,
    })
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

/// Returns the ARN of a table's stream, with a made-up creation time.
fn stream_arn(table: &str) -> String {
    format!("{}/stream/2016-11-09T00:00:00.000", table_arn(table))
}

pub(crate) fn table_arn(table: &str) -> String {
    format!("arn:aws:dynamodb:{REGION}:{AWS_ACCOUNT}:table/{table}")
}

fn queue_arn(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{AWS_ACCOUNT}:{name}")
}

/// Converts a logical id such as `CampaignRegistrations` into kebab case, `campaign-registrations`: the name of the
/// function's folder and binary.
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
