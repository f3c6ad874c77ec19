//! What DynamoDB refuses and the embedded engine accepts.
//!
//! A request that only DynamoDB refuses would pass every test and fail on AWS. So each is refused here, before the
//! engine gets it, with DynamoDB's message. What the engine refuses itself is not checked again. A request that this
//! module cannot read is left to the engine too.
//!
//! | refused | source of the rule and its message |
//! |---|---|
//! | an expression of more than 300 operators | [alternator], `test_limits.py` |
//! | more than 300 open parentheses, which would overflow the engine's stack | [alternator], `test_limits.py` |
//! | an attribute name in an expression that begins with `_` | [alternator], `test_update_expression.py` |
//! | a path of more than 32 levels; a list index beyond 32 bits | [alternator], `test_projection_expression.py` |
//! | paths of one expression that use an attribute both as a list and as a map | [alternator], the same |
//! | a function name in capitals | [alternator], `test_key_condition_expression.py` |
//! | `list_append` directly in `list_append` | [alternator], `test_update_expression.py` |
//! | `IN` with more than 100 operands | developer guide, [constraints] |
//! | an order between values that have none, such as `BOOL` | [extenddb#216] |
//! | `BETWEEN` with bounds of two types, or in the wrong order | [dynalite], `conditionParser.pegjs` |
//! | `attribute_type` with a path, or with a type that does not exist | [dynalite], the same |
//! | `begins_with` with a number, a set, … | [dynalite], the same |
//! | a value of the wrong type for an operator of an update, in a transaction | as the engine does for `UpdateItem`; not tried on AWS |
//! | an empty map of names or values, in a transaction | as the engine does for `UpdateItem`; not tried on AWS |
//! | an operand that is compared with itself | [dynalite], the same |
//! | a start key that equals the bound towards which the query goes | [aws-sdk-ruby#2456] |
//! | an empty value in a key condition | [moto#7062] |
//! | a value in a key condition that is longer than keys are | [ThreatExchange#1324] |
//! | a projection of an attribute that the index does not have | [localstack#478] |
//! | a query's filter on such an attribute | [DynamoDB local], `QueryFunction` |
//! | an index key of more than 2,048 bytes, or 1,024 for its range key | [dynalite#35] |
//! | an update of a key attribute in a transaction | [fakecloud#2521] |
//! | an empty `ClientRequestToken` | API reference, `TransactWriteItems` |
//!
//! [DynamoDB local], which AWS publishes, has the rule for start keys only for the sort key of a table. For an index it
//! is a precaution. In a transaction, problems with keys are reported as reasons of the cancellation, as DynamoDB does
//! for index keys of the wrong type (<https://github.com/floci-io/floci/pull/3674>).
//!
//! [alternator]: https://github.com/scylladb/scylladb/tree/master/test/alternator
//! [constraints]: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
//! [dynalite]: https://github.com/architect/dynalite/tree/main/db
//! [extenddb#216]: https://github.com/ExtendDB/extenddb/pull/216
//! [aws-sdk-ruby#2456]: https://github.com/aws/aws-sdk-ruby/issues/2456
//! [moto#7062]: https://github.com/getmoto/moto/issues/7062
//! [ThreatExchange#1324]: https://github.com/facebook/ThreatExchange/issues/1324
//! [localstack#478]: https://github.com/localstack/localstack/issues/478
//! [dynalite#35]: https://github.com/architect/dynalite/issues/35
//! [fakecloud#2521]: https://github.com/faiscadev/fakecloud/pull/2521
//! [DynamoDB local]: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DynamoDBLocal.html

mod expression;
mod schema;

use dynoxide::Database;
use serde_json::{Map, Value, json};

use self::{
    expression::{Expression, Kind},
    schema::Schema,
};

/// The largest partition key, and the largest sort key, in bytes (developer guide, "Constraints").
const MAX_HASH_BYTES: usize = 2_048;
const MAX_RANGE_BYTES: usize = 1_024;

/// An answer of DynamoDB that refuses a request.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The request is invalid: a `ValidationException` with this message.
    Invalid(String),
    /// An action of a transaction is invalid, which is only seen when it is about to be carried out.
    Cancelled {
        /// How many actions the transaction has.
        actions: usize,
        /// Which of them is invalid.
        invalid: usize,
        /// Its problem.
        problem: String,
    },
}

impl Refusal {
    /// Returns the body of the answer, which has status 400.
    pub(super) fn body(&self) -> Value {
        match self {
            Self::Invalid(message) => {
                json!({"__type": "com.amazon.coral.validate#ValidationException", "message": message})
            }
            Self::Cancelled { actions, invalid, problem } => {
                let code = |action| if action == *invalid { "ValidationError" } else { "None" };
                let codes: Vec<_> = (0..*actions).map(code).collect();
                // DynamoDB stops at the first invalid action and reports no others.
                let reason = |action| {
                    if action == *invalid {
                        json!({"Code": code(action), "Message": problem})
                    } else {
                        json!({"Code": code(action)})
                    }
                };
                let because = "Transaction cancelled, please refer cancellation reasons for specific reasons";
                json!({
                    "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                    "Message": format!("{because} [{}]", codes.join(", ")),
                    "CancellationReasons": (0..*actions).map(reason).collect::<Vec<_>>(),
                })
            }
        }
    }
}

/// Returns why DynamoDB refuses a request that the engine would accept, or `None` if it is left to the engine.
pub(super) fn check(database: &Database, operation: &str, body: &[u8]) -> Option<Refusal> {
    let request = || serde_json::from_slice::<Map<String, Value>>(body).ok();
    match operation {
        "PutItem" | "UpdateItem" | "DeleteItem" => {
            let request = request()?;
            // These three have an envelope around the message (the engine's changelog; not tried on AWS).
            let enveloped = |problem| format!("1 validation error detected: {problem}");
            let problem = expression_problem(&request).map(enveloped);
            problem.or_else(|| index_key_problem(database, &request)).map(Refusal::Invalid)
        }
        "GetItem" => expression_problem(&request()?).map(Refusal::Invalid),
        "Query" | "Scan" => read_problem(database, &request()?).map(Refusal::Invalid),
        "BatchGetItem" => {
            let request = request()?;
            let tables = request.get("RequestItems")?.as_object()?.values();
            tables.filter_map(Value::as_object).find_map(expression_problem).map(Refusal::Invalid)
        }
        "BatchWriteItem" => {
            let request = request()?;
            let mut writes = request.get("RequestItems")?.as_object()?.iter().flat_map(|(table, writes)| {
                writes.as_array().into_iter().flatten().map(move |write| (table, &write["PutRequest"]["Item"]))
            });
            writes.find_map(|(table, item)| item_problem(database, table, item)).map(Refusal::Invalid)
        }
        "TransactGetItems" => {
            let request = request()?;
            let mut reads = request.get("TransactItems")?.as_array()?.iter().filter_map(|read| read["Get"].as_object());
            reads.find_map(expression_problem).map(Refusal::Invalid)
        }
        "TransactWriteItems" => transaction_problem(database, &request()?),
        _ => None,
    }
}

fn transaction_problem(database: &Database, request: &Map<String, Value>) -> Option<Refusal> {
    if request.get("ClientRequestToken").is_some_and(|token| token == "") {
        let at_least = "Member must have length greater than or equal to 1";
        let problem = format!("Value '' at 'clientRequestToken' failed to satisfy constraint: {at_least}");
        return Some(Refusal::Invalid(format!("1 validation error detected: {problem}")));
    }
    let actions = request.get("TransactItems")?.as_array()?;
    // An action has one member: `Put`, `Update`, `Delete` or `ConditionCheck`.
    let members = || actions.iter().map(|action| action.as_object()?.values().next()?.as_object());
    let action_problem = |action| empty_problem(action).or_else(|| expression_problem(action));
    if let Some(problem) = members().flatten().find_map(action_problem) {
        return Some(Refusal::Invalid(problem));
    }
    members().enumerate().find_map(|(invalid, member)| {
        let member = member?;
        let problem = key_update_problem(database, member).or_else(|| index_key_problem(database, member))?;
        Some(Refusal::Cancelled { actions: actions.len(), invalid, problem })
    })
}

/// Returns the problem of an action that has a map for names or values, but none in it.
fn empty_problem(action: &Map<String, Value>) -> Option<String> {
    let names = ["ExpressionAttributeNames", "ExpressionAttributeValues"];
    let empty = names.into_iter().find(|name| action.get(*name).is_some_and(|found| found == &json!({})))?;
    Some(format!("{empty} must not be empty"))
}

/// Returns what is wrong with the expressions of a request, or of a member of one.
fn expression_problem(request: &Map<String, Value>) -> Option<String> {
    Kind::ALL.into_iter().find_map(|kind| {
        let problem = Expression::of(request, kind)?.problem()?;
        Some(format!("Invalid {}: {problem}", kind.parameter()))
    })
}

/// Returns what is wrong with a `Query` or a `Scan`.
fn read_problem(database: &Database, request: &Map<String, Value>) -> Option<String> {
    let schema = || Schema::of(database, request.get("TableName")?.as_str()?);
    let index = request.get("IndexName").and_then(Value::as_str);
    let condition = Expression::of(request, Kind::KeyCondition);
    expression_problem(request)
        .or_else(|| projection_problem(request, index?, &schema()?))
        .or_else(|| condition.as_ref()?.comparisons().find_map(|(name, value)| key_problem(name, value, index, schema)))
        .or_else(|| start_key_problem(request, condition.as_ref()?))
}

/// Returns the problem of a read that needs attributes which its index does not have.
fn projection_problem(request: &Map<String, Value>, index: &str, schema: &Schema) -> Option<String> {
    let missing = |kind| {
        let mut names = Expression::of(request, kind)?.attributes();
        names.retain(|name| !schema.projects(index, name));
        (!names.is_empty()).then(|| names.join(", "))
    };
    let invalid = "One or more parameter values were invalid";
    if let Some(missing) = missing(Kind::Projection) {
        return Some(format!("{invalid}: Global secondary index {index} does not project [{missing}]"));
    }
    // A scan may have such a filter, and finds nothing.
    let missing = missing(Kind::Filter).filter(|_| request.contains_key("KeyConditionExpression"))?;
    let problem = "does not project one or more filter attributes";
    Some(format!("{invalid}: Secondary index {index} {problem}: [{missing}]"))
}

/// Returns the problem of a key value that no item can have.
fn key_problem(name: &str, value: &Value, index: Option<&str>, schema: impl Fn() -> Option<Schema>) -> Option<String> {
    let value = value.get("S")?.as_str()?;
    if (1..=MAX_RANGE_BYTES).contains(&value.len()) {
        return None;
    }
    let schema = schema()?;
    let keys = schema.keys(index)?;
    let is_range = keys.range.as_deref() == Some(name);
    if value.is_empty() && (is_range || keys.hash == name) {
        let empty = "The AttributeValue for a key attribute cannot contain an empty string value";
        let problem = match index {
            None => format!("{empty}. Key: {name}"),
            Some(index) => {
                let unsupported = "A value specified for a secondary index key is not supported";
                format!("{unsupported}. {empty}. IndexName: {index}, IndexKey: {name}")
            }
        };
        return Some(format!("One or more parameter values are not valid. {problem}"));
    }
    let problem = if is_range {
        "Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
    } else if keys.hash == name && value.len() > MAX_HASH_BYTES {
        // DynamoDB leaves out this space.
        "Size of hashkey has exceeded the maximum size limit of2048 bytes"
    } else {
        return None;
    };
    Some(format!("One or more parameter values were invalid: {problem}"))
}

/// Returns the problem of a start key behind which the query finds nothing, because it equals the bound towards which
/// the query goes.
fn start_key_problem(request: &Map<String, Value>, condition: &Expression<'_>) -> Option<String> {
    let start = request.get("ExclusiveStartKey")?;
    let forward = request.get("ScanIndexForward").and_then(Value::as_bool).unwrap_or(true);
    let (name, bound) = condition.included_bound(forward)?;
    let problem = "The provided starting key does not match the range key predicate";
    (start.get(name)? == bound).then(|| problem.to_owned())
}

/// Returns the problem of an update that changes a key attribute.
fn key_update_problem(database: &Database, update: &Map<String, Value>) -> Option<String> {
    let targets = Expression::of(update, Kind::Update)?.targets();
    let schema = Schema::of(database, update.get("TableName")?.as_str()?)?;
    let name = targets.into_iter().find(|name| schema.is_table_key(name))?;
    let invalid = "One or more parameter values were invalid";
    Some(format!("{invalid}: Cannot update attribute {name}. This attribute is part of the key"))
}

/// Returns the problem of an index key that is too long, in the item of a put or in the values that an update sets.
fn index_key_problem(database: &Database, write: &Map<String, Value>) -> Option<String> {
    let table = write.get("TableName")?.as_str()?;
    if let Some(item) = write.get("Item") {
        return item_problem(database, table, item);
    }
    let update = Expression::of(write, Kind::Update)?;
    update.assignments().find_map(|(name, value)| attribute_problem(database, table, name, value))
}

fn item_problem(database: &Database, table: &str, item: &Value) -> Option<String> {
    item.as_object()?.iter().find_map(|(name, value)| attribute_problem(database, table, name, value))
}

fn attribute_problem(database: &Database, table: &str, name: &str, value: &Value) -> Option<String> {
    let size = value.get("S")?.as_str()?.len();
    if size <= MAX_RANGE_BYTES {
        return None;
    }
    let schema = Schema::of(database, table)?;
    let (index, limit) = schema.index_limit(name)?;
    let sizes = format!("Actual Size: {size} bytes Max Size: {limit} bytes");
    let problem = format!("Size limit exceeded for Index Key {name} {sizes} IndexName: {index}");
    (size > limit).then(|| format!("One or more parameter values were invalid: {problem}"))
}
