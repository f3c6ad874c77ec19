//! Decides, for tests, whether a function's policy allows a call to the table, as IAM does on AWS.
//!
//! Each part of a transaction is an access of its own, with the action of its kind (Amazon DynamoDB developer guide,
//! "Using IAM with DynamoDB transactions"). AWS does not document whether `dynamodb:LeadingKeys` then holds the
//! partition key of the part or those of all parts. An access is therefore allowed only if it is allowed both ways.

use serde_json::Value;

use crate::template::{Function, Statement, table_arn};

/// An action on a table or an index.
struct Access {
    action: String,
    resource: String,
    partition_keys: Vec<String>,
}

/// Checks a call with this operation and body.
///
/// # Errors
///
/// Describes the access that the policy of `function` does not allow.
pub(super) fn check(function: &Function, operation: &str, body: &Value) -> Result<(), String> {
    let accesses = accesses(operation, body).ok_or_else(|| format!("{operation} is not understood here: {body}"))?;
    let enclosing_operation = (operation == "TransactWriteItems").then_some(operation);
    let all_keys: Vec<_> = accesses.iter().flat_map(|access| access.partition_keys.clone()).collect();
    for Access { action, resource, partition_keys } in &accesses {
        for leading_keys in [partition_keys, &all_keys] {
            let allows = |statement: &Statement| {
                statement.actions.contains(action)
                    && statement.resources.contains(resource)
                    && statement.leading_keys.as_ref().is_none_or(|patterns| {
                        leading_keys.iter().all(|key| patterns.iter().any(|pattern| is_like(key, pattern)))
                    })
                    && statement.enclosing_operations.as_ref().is_none_or(|operations| {
                        operations.iter().any(|allowed| Some(allowed.as_str()) == enclosing_operation)
                    })
            };
            if !function.statements.iter().any(allows) {
                let name = &function.name;
                return Err(format!("{name} may not {action} on {resource} if the keys are {leading_keys:?}"));
            }
        }
    }
    Ok(())
}

/// Returns what a call accesses, or `None` if it is not understood.
fn accesses(operation: &str, body: &Value) -> Option<Vec<Access>> {
    match operation {
        "BatchGetItem" => {
            let tables = body["RequestItems"].as_object()?.iter();
            let access = |(table, request): (&String, &Value)| {
                let keys = request["Keys"].as_array()?.iter().map(partition_key);
                Some(Access {
                    action: "dynamodb:BatchGetItem".to_owned(),
                    resource: table_arn(table),
                    partition_keys: keys.collect::<Option<_>>()?,
                })
            };
            tables.map(access).collect()
        }
        "TransactWriteItems" => {
            let parts = body["TransactItems"].as_array()?.iter().filter_map(Value::as_object).flatten();
            parts.map(|(kind, part)| access(&format!("{kind}Item"), part)).collect()
        }
        _ => Some(vec![access(operation, body)?]),
    }
}

fn access(operation: &str, body: &Value) -> Option<Access> {
    let table = table_arn(body["TableName"].as_str()?);
    let (resource, partition_key) = match operation {
        "PutItem" => (table, partition_key(&body["Item"])?),
        "UpdateItem" => (table, partition_key(&body["Key"])?),
        "Query" => {
            // The store's conditions begin with `HASH = :value`.
            let value = body["KeyConditionExpression"].as_str()?.split(' ').nth(2)?;
            let partition_key = body["ExpressionAttributeValues"][value]["S"].as_str()?.to_owned();
            let index = body["IndexName"].as_str().map(|index| format!("/index/{index}")).unwrap_or_default();
            (table + &index, partition_key)
        }
        _ => return None,
    };
    Some(Access { action: format!("dynamodb:{operation}"), resource, partition_keys: vec![partition_key] })
}

fn partition_key(item: &Value) -> Option<String> {
    item["pk"]["S"].as_str().map(str::to_owned)
}

/// Compares like IAM's `StringLike`, but understands `*` only at the end.
fn is_like(text: &str, pattern: &str) -> bool {
    pattern.strip_suffix('*').map_or(text == pattern, |prefix| text.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn statement(actions: &[&str], leading_keys: &[&str]) -> Statement {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Statement {
            actions: owned(actions),
            resources: vec![table_arn("table")],
            leading_keys: Some(owned(leading_keys)),
            enclosing_operations: None,
        }
    }

    fn in_transactions(statement: Statement) -> Statement {
        Statement { enclosing_operations: Some(vec!["TransactWriteItems".to_owned()]), ..statement }
    }

    const PUT: &str = "dynamodb:PutItem";
    const UPDATE: &str = "dynamodb:UpdateItem";

    #[rstest]
    #[case::a_statement_for_each_part(vec![statement(&[PUT], &["A#*"]), statement(&[UPDATE], &["B#*"])], false, true)]
    #[case::one_statement(vec![statement(&[PUT, UPDATE], &["A#*", "B#*"])], true, true)]
    #[case::in_transactions(vec![in_transactions(statement(&[PUT, UPDATE], &["A#*", "B#*"]))], true, false)]
    #[case::not_every_key(vec![statement(&[PUT, UPDATE], &["A#*"])], false, true)]
    #[case::not_every_action(vec![statement(&[UPDATE], &["A#*", "B#*"])], false, false)]
    fn a_transaction_needs_a_statement_for_all_its_keys(
        #[case] statements: Vec<Statement>,
        #[case] allows_transaction: bool,
        #[case] allows_put: bool,
    ) {
        let (name, variables, timeout) = ("function".to_owned(), BTreeMap::new(), Duration::from_secs(1));
        let function = Function { name, variables, timeout, statements };
        let put = json!({"TableName": "table", "Item": {"pk": {"S": "A#1"}}});
        let update = json!({"TableName": "table", "Key": {"pk": {"S": "B#1"}}});
        let transaction = json!({"TransactItems": [{"Put": put}, {"Update": update}]});
        assert_eq!(check(&function, "TransactWriteItems", &transaction).is_ok(), allows_transaction);
        assert_eq!(check(&function, "PutItem", &put).is_ok(), allows_put);
    }
}
