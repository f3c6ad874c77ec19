//! What DynamoDB refuses and the embedded engine accepts is refused in front of the engine, with DynamoDB's message.
//! What is just within a limit is accepted.

use local::testing::sandbox::Sandbox;
use serde_json::{Value, json};

use crate::exchange;

/// An operation, its request, and DynamoDB's message, or `ACCEPTED`.
type Case = (&'static str, Value, String);

const ACCEPTED: &str = "";
const TABLE: &str = "registrations-dev";
const INVALID: &str = "One or more parameter values were invalid";

/// Fails unless every request gets its answer from the port of a real engine.
async fn expect(cases: impl IntoIterator<Item = Case>) {
    let sandbox = Sandbox::start().await.unwrap();
    let url = sandbox.variables("")["AWS_ENDPOINT_URL_DYNAMODB"].clone();
    let mut wrong = Vec::new();
    for (operation, request, expected) in cases {
        let answer = send(&url, operation, &request).await;
        let kind = answer["__type"].as_str().unwrap_or_default();
        let is_expected = match (answer["message"].as_str(), &answer["CancellationReasons"]) {
            _ if expected == ACCEPTED => kind.is_empty(),
            (Some(message), _) => kind.ends_with("#ValidationException") && message == expected,
            (None, reasons) => {
                let reason = json!({"Code": "ValidationError", "Message": expected});
                kind.ends_with("#TransactionCanceledException") && reasons == &json!([{"Code": "None"}, reason])
            }
        };
        if !is_expected {
            let request = request.to_string().chars().take(300).collect::<String>();
            wrong.push(format!("{operation} {request}\nexpected {expected}\nbut {answer}\n"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong answers:\n{}", wrong.len(), wrong.join("\n"));
}

async fn send(url: &str, operation: &str, request: &Value) -> Value {
    let body = request.to_string();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\nX-Amz-Date: now\r\n\
         X-Amz-Target: DynamoDB_20120810.{operation}\r\nContent-Type: application/x-amz-json-1.0\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=local, SignedHeaders=host, Signature=local\r\n\r\n",
        body.len(),
    );
    let answer = exchange(url, &(head + &body)).await;
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// A request about the table.
fn with(parameters: Value) -> Value {
    merged(json!({"TableName": TABLE}), parameters)
}

fn key() -> Value {
    json!({"pk": {"S": "p"}, "sk": {"S": "s"}})
}

fn item(attributes: Value) -> Value {
    merged(key(), attributes)
}

fn merged(one: Value, other: Value) -> Value {
    let (Value::Object(one), Value::Object(other)) = (one, other) else { panic!("expected two objects") };
    Value::Object(one.into_iter().chain(other).collect())
}

fn put(condition: &str, values: Value, problem: &str) -> Case {
    let mut request = with(json!({"Item": key(), "ConditionExpression": condition}));
    request["ExpressionAttributeValues"] = values;
    ("PutItem", request, format!("1 validation error detected: Invalid ConditionExpression: {problem}"))
}

fn filter(filter: &str, values: Value, problem: &str) -> Case {
    let mut request = with(json!({"KeyConditionExpression": "pk = :pk", "FilterExpression": filter}));
    request["ExpressionAttributeValues"] = merged(values, json!({":pk": {"S": "none"}}));
    ("Query", request, after("Invalid FilterExpression", problem))
}

fn update(update: &str, values: Value, problem: &str) -> Case {
    let mut request = with(json!({"Key": key(), "UpdateExpression": update}));
    request["ExpressionAttributeValues"] = values;
    ("UpdateItem", request, after("1 validation error detected: Invalid UpdateExpression", problem))
}

fn get(projection: &str, problem: &str) -> Case {
    let request = with(json!({"Key": key(), "ProjectionExpression": projection}));
    ("GetItem", request, after("Invalid ProjectionExpression", problem))
}

fn query(condition: &str, values: Value, more: Value, problem: &str) -> Case {
    let mut request = with(json!({"KeyConditionExpression": condition}));
    request["ExpressionAttributeValues"] = values;
    ("Query", merged(request, more), problem.to_owned())
}

/// The message of a problem, if there is one.
fn after(beginning: &str, problem: &str) -> String {
    if problem == ACCEPTED { ACCEPTED.to_owned() } else { format!("{beginning}: {problem}") }
}

/// A transaction of two actions, of which the second has `parameters`.
fn transaction(action: &str, parameters: Value, problem: &str) -> Case {
    let first = json!({"Delete": {"TableName": TABLE, "Key": {"pk": {"S": "other"}, "sk": {"S": "s"}}}});
    let request = json!({"TransactItems": [first, {action: with(parameters)}]});
    ("TransactWriteItems", request, problem.to_owned())
}

fn comparisons(count: usize) -> String {
    vec!["a = :a"; count].join(" OR ")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_beyond_a_limit_is_refused() {
    let a = || json!({":a": {"N": "1"}});
    let operators = "The expression contains too many operators; operator count: 301";
    let levels = "The document path has too many nesting levels; nesting levels: 33";
    let index = "List index is not within the allowable range; index: [2147483648]";
    let placeholders = |count: usize| (0..count).map(|at| format!(":v{at}")).collect::<Vec<_>>().join(", ");
    let values =
        |count: usize| Value::Object((0..count).map(|at| (format!(":v{at}"), json!({"N": at.to_string()}))).collect());
    let path = |levels: usize| vec!["a"; levels].join(".");
    expect([
        // 151 comparisons and 150 times OR.
        put(&comparisons(151), a(), operators),
        filter(&comparisons(151), a(), operators),
        filter(&comparisons(150), a(), ACCEPTED),
        filter(&format!("{}a BETWEEN :a AND :a", "NOT ".repeat(300)), a(), operators),
        filter(&format!("{}a BETWEEN :a AND :a", "NOT ".repeat(299)), a(), ACCEPTED),
        put(&"(".repeat(4_096), a(), "Syntax error; token: \"<EOF>\", near: \"(\""),
        put(&"(".repeat(300), a(), "Syntax error; token: \"<EOF>\", near: \"(\""),
        filter(
            &format!("a IN ({})", placeholders(101)),
            values(101),
            "The IN operator is provided with too many operands; number of operands: 101",
        ),
        filter(&format!("a IN ({})", placeholders(100)), values(100), ACCEPTED),
        get(&path(33), levels),
        get(&path(32), ACCEPTED),
        filter(&format!("{} = :a", path(33)), a(), levels),
        update(&format!("REMOVE {} SET b = :a", path(33)), a(), levels),
        get("a[2147483648]", index),
        get("a[2147483647]", ACCEPTED),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_with_an_invalid_name_or_path_is_refused() {
    let number = || json!({":a": {"N": "1"}});
    let list = || json!({":a": {"L": []}});
    let conflict = "Two document paths conflict with each other; must remove or rewrite one of these paths";
    expect([
        update("SET _a = :a", number(), "Syntax error; token: \"_\", near: \"SET _a\""),
        update("SET a_ = :a", number(), ACCEPTED),
        filter("attribute_exists(_a)", json!({}), "Syntax error; token: \"_\", near: \"(_a\""),
        filter("ATTRIBUTE_EXISTS(a)", json!({}), "Invalid function name; function: ATTRIBUTE_EXISTS"),
        update("SET a = IF_NOT_EXISTS(a, :a)", number(), "Invalid function name; function: IF_NOT_EXISTS"),
        query(
            "pk = :a AND BEGINS_WITH(sk, :a)",
            json!({":a": {"S": "a"}}),
            json!({}),
            "Invalid KeyConditionExpression: Invalid function name; function: BEGINS_WITH",
        ),
        update(
            "SET l = list_append(list_append(:a, :a), :a)",
            list(),
            "The function is not allowed to be used this way in an expression; function: list_append",
        ),
        update("SET l = list_append(if_not_exists(l, :a), :a)", list(), ACCEPTED),
        get("a.b, a[1]", &format!("{conflict}; path one: [a, b], path two: [a, [1]]")),
        get("a.b, a.c[1], b[1]", ACCEPTED),
        update("SET a.b = :a, a[1] = :a", number(), &format!("{conflict}; path one: [a, b], path two: [a, [1]]")),
        (
            "BatchGetItem",
            json!({"RequestItems": {TABLE: {"Keys": [key()], "ProjectionExpression": "a[1], a.b"}}}),
            format!("Invalid ProjectionExpression: {conflict}; path one: [a, [1]], path two: [a, b]"),
        ),
        (
            "TransactGetItems",
            json!({"TransactItems": [{"Get": with(json!({"Key": key(), "ProjectionExpression": "_a"}))}]}),
            "Invalid ProjectionExpression: Syntax error; token: \"_\", near: \"_a\"".to_owned(),
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_with_an_invalid_operand_is_refused() {
    let number = || json!({":a": {"N": "1"}});
    let list = || json!({":a": {"L": []}});
    let incorrect = "Incorrect operand type for operator or function; operator or function";
    let distinct = "The first operand must be distinct from the remaining operands for this operator or function";
    let bounds = |lower: Value, upper: Value| json!({":a": lower, ":b": upper});
    expect([
        put("a < :a", json!({":a": {"BOOL": true}}), &format!("{incorrect}: <, operand type: BOOL")),
        filter("a >= :a", list(), &format!("{incorrect}: >=, operand type: L")),
        filter("a = :a AND b <> :a", list(), ACCEPTED),
        filter("a BETWEEN :a AND :a", list(), &format!("{incorrect}: BETWEEN, operand type: L")),
        filter(
            "a BETWEEN :a AND :b",
            bounds(json!({"N": "10"}), json!({"N": "9"})),
            "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; \
             lower bound operand: AttributeValue: {N:10}, upper bound operand: AttributeValue: {N:9}",
        ),
        filter("a BETWEEN :a AND :b", bounds(json!({"N": "9"}), json!({"N": "10"})), ACCEPTED),
        filter(
            "a BETWEEN :a AND :b",
            bounds(json!({"N": "1"}), json!({"S": "2"})),
            "The BETWEEN operator requires same data type for lower and upper bounds; \
             lower bound operand: AttributeValue: {N:1}, upper bound operand: AttributeValue: {S:2}",
        ),
        filter(
            "attribute_type(a, b)",
            json!({}),
            &format!("{incorrect}: attribute_type, operand type: {{NS,SS,L,BS,N,M,B,BOOL,NULL,S}}"),
        ),
        filter(
            "attribute_type(a, :a)",
            json!({":a": {"S": "STRING"}}),
            "Invalid attribute type name found; type: STRING, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}",
        ),
        filter("attribute_type(a, :a)", json!({":a": {"S": "SS"}}), ACCEPTED),
        put("a = a AND b = :a", number(), &format!("{distinct}; operator: =, first operand: [a]")),
        filter("a = a.a", json!({}), ACCEPTED),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_expression_in_a_transaction_is_refused() {
    let number = || json!({":a": {"N": "1"}});
    let text = || json!({":a": {"S": "a"}});
    let incorrect = "Incorrect operand type for operator or function; operator or function";
    let distinct = "The first operand must be distinct from the remaining operands for this operator or function";
    let change = |operator: &str, kind: &str| {
        let problem = "Incorrect operand type for operator or function; operator";
        format!("{problem}: {operator}, operand type: {kind}, typeSet: ALLOWED_FOR_ADD_OPERAND")
    };
    let update = |update: &str, values: Value, problem: &str| {
        let mut parameters = json!({"Key": key(), "UpdateExpression": update});
        parameters["ExpressionAttributeValues"] = values;
        transaction("Update", parameters, &after("Invalid UpdateExpression", problem))
    };
    let check = |condition: &str, problem: &str| {
        let check = json!({"Key": key(), "ConditionExpression": condition, "ExpressionAttributeValues": number()});
        transaction("ConditionCheck", check, &format!("Invalid ConditionExpression: {problem}"))
    };
    expect([
        update("ADD a :a", text(), &change("ADD", "STRING")),
        update("DELETE b :a", number(), &change("DELETE", "NUMBER")),
        update("ADD a :a", number(), ACCEPTED),
        update("SET b = a + :a", text(), &format!("{incorrect}: +, operand type: S")),
        update("SET b = if_not_exists(a, :a) - :a", number(), ACCEPTED),
        update("SET l = list_append(l, :a)", text(), &format!("{incorrect}: list_append, operand type: S")),
        check("begins_with(a, :a)", &format!("{incorrect}: begins_with, operand type: N")),
        check("contains(a[0], a[0]) OR a = :a", &format!("{distinct}; operator: contains, first operand: [a, [0]]")),
        transaction(
            "Delete",
            json!({"Key": key(), "ConditionExpression": "attribute_exists(pk)", "ExpressionAttributeNames": {}}),
            "ExpressionAttributeNames must not be empty",
        ),
        (
            "TransactWriteItems",
            json!({"TransactItems": [{"Put": with(json!({"Item": key()}))}], "ClientRequestToken": ""}),
            "1 validation error detected: Value '' at 'clientRequestToken' failed to satisfy constraint: \
             Member must have length greater than or equal to 1"
                .to_owned(),
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_starts_at_its_end_is_refused() {
    let problem = "The provided starting key does not match the range key predicate";
    let values = |sk: &str| json!({":pk": {"S": "p"}, ":sk": {"S": sk}});
    let start = |forward: bool| json!({"ExclusiveStartKey": key(), "ScanIndexForward": forward});
    let in_index = |forward: bool| {
        let start = item(json!({"created_at": {"S": "c"}}));
        json!({"IndexName": "by-campaign", "ExclusiveStartKey": start, "ScanIndexForward": forward})
    };
    let between = |lower: &str, upper: &str| json!({":pk": {"S": "p"}, ":lower": {"S": lower}, ":upper": {"S": upper}});
    let range = "pk = :pk AND sk BETWEEN :lower AND :upper";
    expect([
        query("pk = :pk AND sk <= :sk", values("s"), json!({"ExclusiveStartKey": key()}), problem),
        query("pk = :pk AND sk <= :sk", values("s"), start(true), problem),
        query("pk = :pk AND sk <= :sk", values("s"), start(false), ACCEPTED),
        query("pk = :pk AND sk <= :sk", values("t"), start(true), ACCEPTED),
        query("pk = :pk AND sk >= :sk", values("s"), start(false), problem),
        query("pk = :pk AND sk >= :sk", values("s"), start(true), ACCEPTED),
        query(range, between("a", "s"), start(true), problem),
        query(range, between("a", "s"), start(false), ACCEPTED),
        query(range, between("s", "z"), start(false), problem),
        query(range, between("s", "z"), start(true), ACCEPTED),
        query("pk = :pk AND created_at <= :sk", values("c"), in_index(true), problem),
        query("pk = :pk AND created_at < :sk", values("c~"), in_index(true), ACCEPTED),
        // Several items of an index may have the same range key.
        query("pk = :pk AND created_at = :sk", values("c"), in_index(true), ACCEPTED),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_no_item_can_have_is_refused() {
    let value = |length: usize| "x".repeat(length);
    let empty = "The AttributeValue for a key attribute cannot contain an empty string value";
    let hash = format!("{INVALID}: Size of hashkey has exceeded the maximum size limit of2048 bytes");
    let range = format!("{INVALID}: Aggregated size of all range keys has exceeded the size limit of 1024 bytes");
    let pass = format!(
        "{INVALID}: Size limit exceeded for Index Key pass Actual Size: 2049 bytes Max Size: 2048 bytes \
         IndexName: by-pass"
    );
    let created_at = format!(
        "{INVALID}: Size limit exceeded for Index Key created_at Actual Size: 1025 bytes Max Size: 1024 bytes \
         IndexName: by-campaign"
    );
    let values = |pk: &str, sk: &str| json!({":pk": {"S": pk}, ":sk": {"S": sk}});
    let pk = |value: &str| json!({":pk": {"S": value}});
    let both = |pass: usize, created_at: usize| {
        item(json!({"pass": {"S": value(pass)}, "created_at": {"S": value(created_at)}}))
    };
    let setting = |attribute: &str, length: usize| {
        let values = json!({":a": {"S": value(length)}});
        let update = format!("SET {attribute} = :a");
        json!({"Key": key(), "UpdateExpression": update, "ExpressionAttributeValues": values})
    };
    let not_valid = "One or more parameter values are not valid";
    let unsupported = "A value specified for a secondary index key is not supported";
    expect([
        query("pk = :pk", pk(""), json!({}), &format!("{not_valid}. {empty}. Key: pk")),
        query(
            "pk = :pk AND begins_with(sk, :sk)",
            values("p", ""),
            json!({}),
            &format!("{not_valid}. {empty}. Key: sk"),
        ),
        query(
            "pass = :pk",
            pk(""),
            json!({"IndexName": "by-pass"}),
            &format!("{not_valid}. {unsupported}. {empty}. IndexName: by-pass, IndexKey: pass"),
        ),
        query("pk = :pk", pk(&value(2_049)), json!({}), &hash),
        query("pk = :pk AND sk = :sk", values(&value(2_048), &value(1_024)), json!({}), ACCEPTED),
        query("pk = :pk AND sk > :sk", values("p", &value(1_025)), json!({}), &range),
        ("PutItem", with(json!({"Item": both(2_049, 1)})), pass.clone()),
        ("PutItem", with(json!({"Item": both(1, 1_025)})), created_at.clone()),
        ("PutItem", with(json!({"Item": both(2_048, 1_024)})), ACCEPTED.to_owned()),
        ("PutItem", with(json!({"Item": item(json!({"text": {"S": value(3_000)}}))})), ACCEPTED.to_owned()),
        ("UpdateItem", with(setting("pass", 2_049)), pass.clone()),
        ("UpdateItem", with(setting("pass", 2_048)), ACCEPTED.to_owned()),
        ("BatchWriteItem", json!({"RequestItems": {TABLE: [{"PutRequest": {"Item": both(2_049, 1)}}]}}), pass.clone()),
        transaction("Put", json!({"Item": both(2_049, 1)}), &pass),
        transaction("Update", setting("created_at", 1_025), &created_at),
        transaction("Update", setting("created_at", 1_024), ACCEPTED),
        transaction(
            "Update",
            setting("sk", 1),
            &format!("{INVALID}: Cannot update attribute sk. This attribute is part of the key"),
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_of_an_attribute_that_its_index_does_not_have_is_refused() {
    let pk = || json!({":pk": {"S": "p"}});
    let index = |more: Value| merged(json!({"IndexName": "by-campaign"}), more);
    let projection = format!("{INVALID}: Global secondary index by-campaign does not project [push_token, tie]");
    let filter =
        format!("{INVALID}: Secondary index by-campaign does not project one or more filter attributes: [push_token]");
    let projecting = |names: &str| index(json!({"ProjectionExpression": names}));
    let filtering = |filter: &str| index(json!({"FilterExpression": filter}));
    expect([
        query("pk = :pk", pk(), projecting("tie, sk, push_token"), &projection),
        query("pk = :pk", pk(), projecting("sk, wallet, device_os, created_at"), ACCEPTED),
        query("pk = :pk", pk(), filtering("attribute_exists(push_token)"), &filter),
        query("pk = :pk", pk(), filtering("attribute_exists(wallet)"), ACCEPTED),
        query("pk = :pk", pk(), json!({"ProjectionExpression": "push_token"}), ACCEPTED),
        ("Scan", with(projecting("push_token, tie")), projection.clone()),
        ("Scan", with(projecting("wallet")), ACCEPTED.to_owned()),
        ("Scan", with(filtering("attribute_exists(push_token)")), ACCEPTED.to_owned()),
    ])
    .await;
}
