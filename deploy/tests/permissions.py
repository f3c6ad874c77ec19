"""The exact permissions of each function. A test compares the deployed roles with them, so an extra permission fails like a missing one."""

LOGS = "AWSLambdaBasicExecutionRole"
TRACES = "AWSXrayWriteOnlyAccess"
# SAM attaches these to a function that reads a queue or a stream.
QUEUE = "AWSLambdaSQSQueueExecutionRole"
STREAM = "AWSLambdaDynamoDBExecutionRole"

TABLE = "table"
BY_CAMPAIGN = "table/index/by-campaign"
BY_PASS = "table/index/by-pass"
BY_DEVICE = "table/index/by-device"
TRANSACTION = "TransactWriteItems"

READS = {
    ("dynamodb:BatchGetItem", TABLE, "API_KEY#*"),
    ("dynamodb:BatchGetItem", TABLE, "CAMPAIGN#*"),
}
LISTS = {
    *READS,
    ("dynamodb:BatchGetItem", TABLE, "BOOKMARK#*"),
    ("dynamodb:PutItem", TABLE, "BOOKMARK#*"),
}
APPLIES = {
    ("dynamodb:PutItem", TABLE, "CAMPAIGN#*"),
    ("dynamodb:Query", TABLE, "CAMPAIGN#*"),
    ("dynamodb:UpdateItem", TABLE, "CAMPAIGN#*"),
    ("dynamodb:UpdateItem", TABLE, "SERIAL#*"),
    ("dynamodb:UpdateItem", TABLE, "OBJECT#*"),
}

# For each function: its permissions as (action, resource, partition key or `None` for any), followed by the operation of which the action must
# be part, if it may not be called by itself; and its managed policies.
PERMISSIONS = {
    "campaign-registrations": (
        {*LISTS, ("dynamodb:Query", BY_CAMPAIGN, None)},
        {LOGS, TRACES},
    ),
    "pass-registrations": (
        {*LISTS, ("dynamodb:Query", TABLE, None), ("dynamodb:Query", BY_PASS, None)},
        {LOGS, TRACES},
    ),
    "push-targets": (
        {*READS, ("dynamodb:Query", TABLE, "CAMPAIGN#*")},
        {LOGS, TRACES},
    ),
    "registration-writes": ({*READS, *APPLIES}, {LOGS, TRACES}),
    "registration-ingest": (
        {("dynamodb:BatchGetItem", TABLE, "ACCOUNT#*"), *APPLIES},
        {LOGS, TRACES, QUEUE},
    ),
    "campaign-reports": (
        {*READS, ("dynamodb:Query", TABLE, "CAMPAIGN#*")},
        {LOGS, TRACES},
    ),
    "registration-tally": (
        {
            ("dynamodb:BatchGetItem", TABLE, "TALLY#*"),
            *((f"dynamodb:{action}", TABLE, keys, TRANSACTION) for action in ("PutItem", "UpdateItem") for keys in ("TALLY#*", "CAMPAIGN#*")),
        },
        {LOGS, TRACES, STREAM},
    ),
    "google-wallet-callback": (
        {
            *(("dynamodb:BatchGetItem", TABLE, keys) for keys in ("ISSUER#*", "OBJECT#*", "GOOGLE_KEYS", "CAMPAIGN#")),
            *(("dynamodb:PutItem", TABLE, keys) for keys in ("CAMPAIGN#*", "GOOGLE_KEYS")),
        },
        {LOGS, TRACES},
    ),
    "account-admin": (
        {
            *((f"dynamodb:{action}", TABLE, keys) for action in ("BatchGetItem", "PutItem", "UpdateItem") for keys in ("ACCOUNT#*", "API_KEY#*")),
            ("dynamodb:UpdateItem", TABLE, "CAMPAIGN#*"),
            ("dynamodb:BatchGetItem", TABLE, "ISSUER#*"),
            ("dynamodb:PutItem", TABLE, "ISSUER#*"),
        },
        {LOGS, TRACES},
    ),
    "campaign-recount": (
        {
            ("dynamodb:BatchGetItem", TABLE, "CAMPAIGN#*"),
            ("dynamodb:PutItem", TABLE, "CAMPAIGN#*"),
            ("dynamodb:Query", TABLE, "CAMPAIGN#*"),
            ("dynamodb:UpdateItem", TABLE, "CAMPAIGN#*"),
        },
        {LOGS, TRACES},
    ),
    "wallet-web-service": (
        {
            ("dynamodb:BatchGetItem", TABLE, "SERIAL#*"),
            ("dynamodb:BatchGetItem", TABLE, "CAMPAIGN#*"),
            ("dynamodb:PutItem", TABLE, "CAMPAIGN#*"),
            ("dynamodb:UpdateItem", TABLE, "CAMPAIGN#*"),
            ("dynamodb:Query", BY_DEVICE, None),
        },
        {LOGS, TRACES},
    ),
    "api-contract": (set(), {LOGS, TRACES}),
    "unmatched-route": (set(), {LOGS, TRACES}),
}
