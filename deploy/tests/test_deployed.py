"""Tests what exists after an environment is deployed."""

import ast
import json
import re

import pytest
import stack
from permissions import BY_CAMPAIGN, BY_DEVICE, BY_PASS, PERMISSIONS, TABLE


def test_every_function_has_its_code_its_runtime_and_its_table(deployed):
    names = {config["FunctionName"] for config in deployed.client("lambda").list_functions()["Functions"]}
    names = {name for name in names if name.endswith(f"-{deployed.environment}")}
    assert names == {deployed.name(name) for name in deployed.functions()} == {deployed.name(n) for n in PERMISSIONS}
    for name in deployed.functions():
        config = deployed.function(name)
        assert config["Handler"] == "bootstrap", name
        assert config["Runtime"] == "provided.al2023", name
        variables = config.get("Environment", {}).get("Variables", {})
        uses_the_table = bool(PERMISSIONS[name][0])
        assert variables.get("TABLE_NAME") == (deployed.name("registrations") if uses_the_table else None), name
        code = deployed.client("lambda").get_function(FunctionName=deployed.name(name))
        assert code["Code"]["RepositoryType"] == "S3"


def test_every_function_has_exactly_its_permissions(deployed):
    iam = deployed.client("iam")
    table = deployed.table()["TableArn"]
    resources = {table: TABLE, **{f"{table}/index/{index.rsplit('/', 1)[-1]}": index for index in (BY_CAMPAIGN, BY_PASS, BY_DEVICE)}}
    for name, (allowed, managed) in PERMISSIONS.items():
        role = deployed.function(name)["Role"].rsplit("/", 1)[-1]
        found = set()
        for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
            # The emulator stores a policy from CloudFormation as the text of a Python dictionary.
            document = ast.literal_eval(document) if isinstance(document, str) else document
            for statement in document["Statement"]:
                found |= granted(statement, resources)
        assert found == allowed, name
        # The emulator does not attach AWS's managed policies, so they are read from the template, where `campaign-registrations` is
        # CampaignRegistrations.
        attached = properties(deployed, name.title().replace("-", "") + "Role")["ManagedPolicyArns"]
        assert {arn.rsplit("/", 1)[-1] for arn in attached} == managed, name
    assert len(of_type(deployed, "AWS::IAM::Role")) == len(PERMISSIONS) + 1, "one for each function and one for CodeDeploy"


def test_every_function_runs_on_the_processor_it_is_built_for(deployed):
    for function in of_type(deployed, "AWS::Lambda::Function"):
        assert function["Architectures"] == [deployed.parameters["Architecture"]]


def granted(statement, resources):
    """Returns the permissions of a statement: each action on each resource for each partition key, with the enclosing operation if there is one."""
    assert statement["Effect"] == "Allow"
    conditions = {**statement.get("Condition", {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [None]}})}
    [(condition, keys)] = conditions.pop("ForAllValues:StringLike").items()
    assert condition == "dynamodb:LeadingKeys"
    enclosing = conditions.pop("ForAnyValue:StringEquals", {})
    assert not conditions
    assert set(enclosing) <= {"dynamodb:EnclosingOperation"}
    return {
        (action, resources[resource], key, *enclosing.values())
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
        for key in listed(keys)
    }


def listed(value):
    return value if isinstance(value, list) else [value]


def test_the_table_has_its_keys_indexes_stream_and_time_to_live(deployed):
    table = deployed.table()
    assert keys(table) == ["pk", "sk"]
    assert table["AttributeDefinitions"] == [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "pass", "created_at", "device")]
    indexes = {index["IndexName"]: index for index in table["GlobalSecondaryIndexes"]}
    assert {name: keys(index) for name, index in indexes.items()} == {
        "by-campaign": ["pk", "created_at"],
        "by-pass": ["pass", "created_at"],
        "by-device": ["device", "sk"],
    }
    projections = {name: index["Projection"] for name, index in indexes.items()}
    assert projections == {
        "by-campaign": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["wallet", "device_os"]},
        "by-pass": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["wallet", "device_os"]},
        "by-device": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["pass_type", "serial_number", "created_at"]},
    }
    assert table["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    dynamodb = deployed.client("dynamodb")
    expiry = dynamodb.describe_time_to_live(TableName=table["TableName"])["TimeToLiveDescription"]
    template = properties(deployed, "RegistrationTable")
    assert template["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    # The emulator may not store the attribute's name. If it does, it must be the template's.
    assert expiry.get("AttributeName", "expires_at") == "expires_at"


def keys(table_or_index):
    return [key["AttributeName"] for key in sorted(table_or_index["KeySchema"], key=lambda key: key["KeyType"])]


def properties(deployed, resource):
    return deployed.resolved[resource]["Properties"]


def of_type(deployed, kind):
    return [resource["Properties"] for resource in deployed.resolved.values() if resource["Type"] == kind]


def test_data_outlives_the_stack_and_is_encrypted(deployed):
    for resource in ("RegistrationTable", "EventQueue", "DeadLetterQueue"):
        resource = deployed.translated["Resources"][resource]
        assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain")
    for queue in ("registration-events", "registration-events-dead"):
        attributes = deployed.queue(queue)
        assert attributes["SqsManagedSseEnabled"] == "true"
        assert int(attributes["MessageRetentionPeriod"]) == 14 * 24 * 60 * 60
    policies = of_type(deployed, "AWS::SQS::QueuePolicy")
    assert sorted(policy["Queues"] for policy in policies) == [["<DeadLetterQueue>"], ["<EventQueue>"]]
    for policy in policies:
        [statement] = policy["PolicyDocument"]["Statement"]
        assert statement["Effect"] == "Deny"
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    topic = deployed.client("sns").get_topic_attributes(TopicArn=deployed.outputs["AlarmTopicArn"])["Attributes"]
    assert topic["KmsMasterKeyId"]
    [policy] = of_type(deployed, "AWS::SNS::TopicPolicy")
    denied = [statement for statement in policy["PolicyDocument"]["Statement"] if statement["Effect"] == "Deny"]
    assert [statement["Condition"] for statement in denied] == [{"Bool": {"aws:SecureTransport": "false"}}]


def test_each_statement_of_a_queue_or_topic_policy_names_only_the_resource_that_has_the_policy(deployed):
    # SNS and SQS refuse a statement with several resources: "Policy statement must apply to a single resource".
    for kind, key, arn in [("AWS::SQS::QueuePolicy", "Queues", "<{}.Arn>"), ("AWS::SNS::TopicPolicy", "Topics", "<{}>")]:
        for policy in of_type(deployed, kind):
            [owner] = policy[key]
            resources = [statement["Resource"] for statement in policy["PolicyDocument"]["Statement"]]
            assert resources == [arn.format(owner.strip("<>"))] * len(resources), key


def test_only_the_named_topics_and_rules_may_send_to_the_queue(deployed):
    senders = "arn:aws:sns:eu-west-1:111122223333:events,arn:aws:events:eu-west-1:111122223333:rule/events"
    resolver = stack.Resolver(deployed.translated, {**deployed.parameters, "SenderArns": senders})
    policy = resolver.value(deployed.translated["Resources"]["EventQueuePolicy"])["Properties"]["PolicyDocument"]
    [allowed] = [statement for statement in policy["Statement"] if statement["Effect"] == "Allow"]
    assert (allowed["Action"], allowed["Resource"]) == ("sqs:SendMessage", "<EventQueue.Arn>")
    assert allowed["Principal"] == {"Service": ["sns.amazonaws.com", "events.amazonaws.com"]}
    assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": senders.split(",")}}


def test_the_table_has_a_fixed_name_so_it_cannot_be_replaced(deployed):
    # CloudFormation refuses to replace a resource with a fixed name, so a changed key schema fails instead of losing the table.
    assert properties(deployed, "RegistrationTable")["TableName"]


def test_the_table_is_protected_and_logs_are_kept_as_configured(deployed):
    table = properties(deployed, "RegistrationTable")
    assert str(deployed.table()["DeletionProtectionEnabled"]).lower() == deployed.parameters["DeletionProtection"]
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": deployed.parameters["PointInTimeRecovery"]}
    assert table["SSESpecification"] == {"SSEEnabled": deployed.parameters["KmsEncryption"]}
    groups = deployed.client("logs").describe_log_groups(logGroupNamePrefix="/registrations/")["logGroups"]
    kept = {group["logGroupName"]: group["retentionInDays"] for group in groups if group["logGroupName"].split("/")[2] == deployed.environment}
    days = int(deployed.parameters["LogRetentionInDays"])
    assert kept == {f"/registrations/{deployed.environment}": days, f"/registrations/{deployed.environment}/api": days}


def test_the_queue_invokes_ingest_and_has_a_dead_letter_queue(deployed):
    queue, dead = deployed.queue("registration-events"), deployed.queue("registration-events-dead")
    redrive = json.loads(queue["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"] == dead["QueueArn"]
    assert int(redrive["maxReceiveCount"]) == 10
    assert int(queue["VisibilityTimeout"]) >= 6 * deployed.function("registration-ingest")["Timeout"]
    allow = properties(deployed, "DeadLetterQueue")["RedriveAllowPolicy"]
    name = deployed.name("registration-events")
    assert allow == {
        "redrivePermission": "byQueue",
        "sourceQueueArns": [f"arn:aws:sqs:<region>:<account>:{name}"],
    }
    assert queue["QueueArn"].endswith(f":{name}")

    mapping = source(deployed, queue["QueueArn"])
    assert mapping["FunctionArn"].endswith(f":{deployed.name('registration-ingest')}")
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BatchSize"] == 100
    concurrency = properties(deployed, "RegistrationIngestQueue")["ScalingConfig"]["MaximumConcurrency"]
    assert int(concurrency) == int(deployed.parameters["IngestConcurrency"])


def test_the_stream_invokes_the_tally_with_one_batch_at_a_time_and_skips_none(deployed):
    mapping = source(deployed, deployed.table()["LatestStreamArn"])
    assert mapping["FunctionArn"].endswith(f":{deployed.name('registration-tally')}")
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    template = properties(deployed, "RegistrationTallyChanges")
    assert template["ParallelizationFactor"] == 1
    assert template["TumblingWindowInSeconds"] > 0
    assert (template["MaximumRetryAttempts"], template["MaximumRecordAgeInSeconds"]) == (-1, -1)


def source(deployed, arn):
    mappings = deployed.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    mappings = [mapping for mapping in mappings if mapping["FunctionArn"].endswith(f"-{deployed.environment}")]
    assert len(mappings) == 2
    [mapping] = [mapping for mapping in mappings if mapping["EventSourceArn"] == arn]
    return mapping


def test_every_alarm_notifies_the_topic_and_watches_an_existing_resource(deployed):
    alarms = of_type(deployed, "AWS::CloudWatch::Alarm")
    names = {alarm["AlarmName"].removeprefix(f"registrations-{deployed.environment}-") for alarm in alarms}
    assert names == {
        "dead-letters", "old-events", "tally-behind", "tally-stopped", "server-errors", "slow", "functions-throttled",
        "requests-fail", "table-throttled", "ingest-fails", "tally-fails", "unreadable-changes", "wallets-complain",
    }  # fmt: skip
    existing = {f"<{name}>" for name in deployed.resolved} | {"<DeadLetterQueue.QueueName>", "<EventQueue.QueueName>"}
    for alarm in alarms:
        assert alarm["AlarmActions"] == ["<AlarmTopic>"], alarm["AlarmName"]
        assert alarm["ActionsEnabled"] == deployed.parameters["AlarmActions"]
        assert alarm["TreatMissingData"] == "notBreaching"
        metrics = [metric["MetricStat"]["Metric"] for metric in alarm.get("Metrics", []) if "MetricStat" in metric]
        for dimension in [*alarm.get("Dimensions", []), *(d for metric in metrics for d in metric.get("Dimensions", []))]:
            values = {"GlobalSecondaryIndexName": {"by-campaign", "by-pass", "by-device"}, "kind": KINDS}.get(dimension["Name"], existing)
            assert dimension["Value"] in values, alarm["AlarmName"]


def test_a_rollout_is_stopped_by_the_alarm_about_its_own_function_only(deployed):
    by_function = {
        name.removesuffix("DeploymentGroup"): [alarm["Name"] for alarm in group["Properties"].get("AlarmConfiguration", {}).get("Alarms", [])]
        for name, group in deployed.resolved.items()
        if group["Type"] == "AWS::CodeDeploy::DeploymentGroup"
    }
    assert by_function == {
        "CampaignRegistrations": ["<RequestsFailAlarm>"],
        "PassRegistrations": ["<RequestsFailAlarm>"],
        "PushTargets": ["<RequestsFailAlarm>"],
        "RegistrationWrites": ["<RequestsFailAlarm>"],
        "CampaignReports": ["<RequestsFailAlarm>"],
        "ApiContract": ["<RequestsFailAlarm>"],
        "UnmatchedRoute": ["<RequestsFailAlarm>"],
        "WalletWebService": ["<RequestsFailAlarm>"],
        "GoogleWalletCallback": ["<RequestsFailAlarm>"],
        "RegistrationIngest": ["<IngestFailsAlarm>"],
        "RegistrationTally": ["<TallyFailsAlarm>"],
        # Operators invoke these and see the result.
        "AccountAdmin": [],
        "CampaignRecount": [],
    }


def test_a_tally_that_is_not_invoked_rings(deployed):
    alarm = properties(deployed, "TallyStoppedAlarm")
    periods = alarm["EvaluationPeriods"]
    missing = [None] * periods
    assert rings(alarm, written=[5] * periods, invoked=missing)
    assert rings(alarm, written=[5, None, None, 5, *missing][:periods], invoked=missing), "few installs"
    assert not rings(alarm, written=[5] * periods, invoked=[1] * periods)
    assert not rings(alarm, written=missing, invoked=missing), "no changes"
    assert not rings(alarm, written=[None, 5, *missing][:periods], invoked=[None, None, 1, *missing][:periods]), "counted in the next period"


def test_a_backlog_rings_old_events_and_an_invalid_message_does_not(deployed):
    alarm = properties(deployed, "OldEventsAlarm")
    between_deliveries = int(deployed.queue("registration-events")["VisibilityTimeout"])
    # SQS leaves a message out of the metric once it was received three times. One more delivery is allowed for here.
    counted = 4 * between_deliveries
    assert (alarm["MetricName"], alarm["Statistic"]) == ("ApproximateAgeOfOldestMessage", "Maximum")
    assert counted < alarm["Threshold"] <= 1800, "a backlog rings well within an hour"


def rings(alarm, **series):
    """Returns whether an alarm rings after these datapoints of its metrics, by id; `None` is a missing one."""
    functions = {
        "IF": lambda condition, then, otherwise: then if condition else otherwise,
        "FILL": lambda value, fill: fill if value is None else value,
    }
    [expression] = [metric["Expression"] for metric in alarm["Metrics"] if metric["ReturnData"]]
    assert {metric["Id"] for metric in alarm["Metrics"] if not metric["ReturnData"]} == set(series)
    assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
    points = [dict(zip(series, values, strict=True)) for values in zip(*series.values(), strict=True)]
    values = [eval(expression.replace(" AND ", " and "), functions, point) for point in points]
    return sum(value > alarm["Threshold"] for value in values[-alarm["EvaluationPeriods"] :]) >= alarm["DatapointsToAlarm"]


def test_traffic_shifts_to_a_new_version_as_configured(deployed):
    group = properties(deployed, "RegistrationWritesDeploymentGroup")
    rollout = deployed.parameters["Rollout"]
    assert group["DeploymentConfigName"] == f"CodeDeployDefault.Lambda{rollout}"


def test_the_api_and_the_event_sources_call_aliases(deployed):
    aliases = of_type(deployed, "AWS::Lambda::Alias")
    assert {alias["Name"] for alias in aliases} == {"live"}
    assert len(aliases) == len(deployed.functions())
    mappings = of_type(deployed, "AWS::Lambda::EventSourceMapping")
    assert {mapping["FunctionName"] for mapping in mappings} == {
        "<RegistrationIngestAliaslive>", "<RegistrationTallyAliaslive>",
    }  # fmt: skip
    [api] = of_type(deployed, "AWS::ApiGatewayV2::Api")
    for methods in api["Body"]["paths"].values():
        for operation in methods.values():
            if "x-amazon-apigateway-integration" in operation:
                assert "Aliaslive>" in operation["x-amazon-apigateway-integration"]["uri"]


def test_the_api_throttles_as_configured_and_logs_no_address_or_path(deployed):
    [stage] = of_type(deployed, "AWS::ApiGatewayV2::Stage")
    settings = stage["DefaultRouteSettings"]
    for name in ("ThrottlingRateLimit", "ThrottlingBurstLimit"):
        assert int(settings[name]) == int(deployed.parameters[name])
    # Each key is that of a route of the API, or API Gateway refuses the stage.
    [api] = of_type(deployed, "AWS::ApiGatewayV2::Api")
    methods = {
        f"{'ANY' if method == 'x-amazon-apigateway-any-method' else method.upper()} {path}"
        for path, operations in api["Body"]["paths"].items()
        for method in operations
    }
    of_wallets = {route for route in methods if "/wallet/" in route and "{call+}" in route or route.endswith("/google")}
    assert set(stage["RouteSettings"]) == of_wallets == {"ANY /wallet/{account_id}/{call+}", "POST /wallet/{account_id}/google"}
    for settings in stage["RouteSettings"].values():
        for name in ("ThrottlingRateLimit", "ThrottlingBurstLimit"):
            assert int(settings[name]) == int(deployed.parameters[f"Wallet{name}"])
    logged = json.loads(stage["AccessLogSettings"]["Format"])
    # Not $context.error.messageString, which would add quotes of its own.
    assert logged["error"] == "$context.error.message"
    assert not any("sourceIp" in value or "authorizer" in value or "path" in value for value in logged.values())


def test_the_dashboard_is_json_and_shows_every_alarm(deployed):
    [dashboard] = of_type(deployed, "AWS::CloudWatch::Dashboard")
    widgets = json.loads(dashboard["DashboardBody"])["widgets"]
    places = {(widget["x"], widget["y"]) for widget in widgets}
    assert len(places) == len(widgets), "no two widgets overlap"
    alarms, *metrics = [widget["properties"] for widget in widgets]
    names = {name for name, resource in deployed.resolved.items() if resource["Type"] == "AWS::CloudWatch::Alarm"}
    assert set(alarms["alarms"]) == {f"arn:aws:cloudwatch:<region>:<account>:alarm:<{name}>" for name in names}, "the first widget shows every alarm"
    for properties in metrics:
        assert properties["metrics"], properties["title"]


# Functions without callers who wait: operators invoke two, and two read nothing of the table.
NOT_SHOWN = {"AccountAdmin", "ApiContract", "CampaignRecount", "UnmatchedRoute"}


@pytest.mark.parametrize(("title", "metric"), [("Failed invocations", "Errors"), ("Concurrent executions", "ConcurrentExecutions")])
def test_the_dashboard_shows_every_function_with_callers(deployed, title, metric):
    [dashboard] = of_type(deployed, "AWS::CloudWatch::Dashboard")
    [widget] = [widget["properties"] for widget in json.loads(dashboard["DashboardBody"])["widgets"] if widget["properties"].get("title") == title]
    functions = {name for name, resource in deployed.resolved.items() if resource["Type"] == "AWS::Lambda::Function"}
    assert functions > NOT_SHOWN
    assert all(line[:3] == ["AWS/Lambda", metric, "FunctionName"] for line in widget["metrics"])
    assert {line[3] for line in widget["metrics"]} == {f"<{name}>" for name in functions - NOT_SHOWN}


# The fields of the functions' log lines. The functions' own tests assert these names.
OF_EVENTS = {"wallet", "applied", "unchanged", "refused", "failed"}
OF_COMPLAINTS = {"kind", "complaints", "pass_type"}
LOGGED = OF_EVENTS | OF_COMPLAINTS | {
    "request_id", "invocation_id", "route", "account_id", "status", "milliseconds", "listed", "written", "cause", "message",
    "message_id", "reason", "call",
}  # fmt: skip


def test_the_saved_queries_use_only_fields_that_are_logged(deployed):
    queries = of_type(deployed, "AWS::Logs::QueryDefinition")
    assert {query["Name"].removeprefix(f"registrations-{deployed.environment}/") for query in queries} == {
        "failures", "slow requests", "requests by account", "messages that go back", "events by wallet",
        "wallets without the right token", "complaints of wallets",
    }  # fmt: skip
    for query in queries:
        assert set(re.findall(r"fields\.(\w+)", query["QueryString"])) <= LOGGED


# The kinds of complaints, as functions/wallet-web-service/src/complaint.rs lists them.
KINDS = {
    re.sub(r"(?<!^)(?=[A-Z])", "_", variant).lower()
    for variant in re.findall(
        r"^    ([A-Z]\w+),$",
        re.search(
            r"enum Kind \{.*?\n\}", (stack.ROOT / "functions/wallet-web-service/src/complaint.rs").read_text(encoding="utf-8"), re.DOTALL
        ).group(),
        re.MULTILINE,
    )
}


def test_wallets_that_complain_ring_if_the_web_service_is_broken(deployed):
    assert len(KINDS) > 10
    alarm = properties(deployed, "WalletsComplainAlarm")
    metrics = [metric["MetricStat"]["Metric"] for metric in alarm["Metrics"] if "MetricStat" in metric]
    # More are not allowed in an alarm.
    assert len(metrics) <= 10
    assert {metric["MetricName"] for metric in metrics} == {"WalletComplaints"}
    kinds = {dimension["Value"] for metric in metrics for dimension in metric["Dimensions"]}
    assert kinds == {kind for kind in KINDS if kind.endswith(("_unauthorized", "_status"))} - {"pass_unauthorized"} | {
        "list_malformed", "unregistered_pass", "tag_missing", "tag_unchanged",
    }  # fmt: skip


def test_results_of_events_and_complaints_are_counted(deployed):
    [dashboard] = of_type(deployed, "AWS::CloudWatch::Dashboard")
    counted = {"wallet": set(), "kind": set()}
    for metric in of_type(deployed, "AWS::Logs::MetricFilter"):
        assert metric["LogGroupName"] == "<FunctionLogs>"
        [transformation] = metric["MetricTransformations"]
        assert transformation["MetricNamespace"] == f"registrations-{deployed.environment}"
        if "Dimensions" in transformation:
            [dimension] = transformation["Dimensions"]
            assert dimension["Value"] == f"$.fields.{dimension['Key']}"
            assert f'MetricName=\\"{transformation["MetricName"]}\\"' in dashboard["DashboardBody"]
            [field] = set(re.findall(r"\$\.fields\.(\w+)", metric["FilterPattern"] + transformation["MetricValue"]))
            counted[dimension["Key"]].add(field)
    # Callbacks about unknown objects are no events, because nothing names their campaign.
    assert counted == {"wallet": {"applied", "unchanged", "refused", "unknown_objects"}, "kind": {"complaints"}}


def test_an_alarm_on_our_own_metric_has_a_metric_filter(deployed):
    own = f"registrations-{deployed.environment}"
    counted = {
        transformation["MetricName"] for metric in of_type(deployed, "AWS::Logs::MetricFilter") for transformation in metric["MetricTransformations"]
    }
    watched = set()
    for alarm in of_type(deployed, "AWS::CloudWatch::Alarm"):
        metrics = [alarm, *(metric["MetricStat"]["Metric"] for metric in alarm.get("Metrics", []) if "MetricStat" in metric)]
        watched |= {metric["MetricName"] for metric in metrics if metric.get("Namespace") == own}
    assert watched == {"FailedRequests", "UnreadableChanges", "WalletComplaints"} <= counted
