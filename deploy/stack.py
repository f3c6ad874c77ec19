"""Translates template.yaml into CloudFormation for an environment of samconfig.toml, as AWS does, without an AWS account.

python deploy/stack.py translate ENVIRONMENT    prints the translated template as JSON
python deploy/stack.py plan ENVIRONMENT         prints a readable summary of what would be deployed
python deploy/stack.py parameters ENVIRONMENT   prints the parameters' values in the format of the AWS CLI
python deploy/stack.py environments             prints the names of the environments
"""

import json
import logging
import os
import sys
import tomllib
from pathlib import Path

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform

ROOT = Path(__file__).resolve().parent.parent
# Stand-ins for the pseudo parameters, because account and region are known only at deployment.
PSEUDO_PARAMETERS = {
    "AWS::AccountId": "<account>",
    "AWS::Region": "<region>",
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}

# Marks a property that CloudFormation leaves out.
NO_VALUE = object()

# SAM derives the partition from a region. AWS is not called.
os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")


class UnknownEnvironment(Exception):
    """samconfig.toml has no section for this environment."""


class NoManagedPolicies:
    """An empty list of managed policies. The template names none, so SAM does not have to request the policies of an account."""

    def load(self):
        return {}


def environments():
    """Returns the names of the environments, in the order of samconfig.toml."""
    return [name for name in _config() if name != "version"]


def settings(environment):
    """Returns the settings that `sam deploy --config-env` reads for an environment."""
    try:
        return _config()[environment]["deploy"]["parameters"]
    except KeyError:
        known = ", ".join(environments())
        raise UnknownEnvironment(f"samconfig.toml has no environment {environment!r}; it has {known}") from None


def parameters(environment):
    """Returns the values of the template's parameters."""
    return settings(environment)["parameter_overrides"]


def template():
    """Returns template.yaml, with its short tags as `Fn::…`."""
    return yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))


def roles():
    """Returns deploy/roles.yaml, with its short tags as `Fn::…`."""
    return yaml_parse((ROOT / "deploy" / "roles.yaml").read_text(encoding="utf-8"))


def translated(environment):
    """Returns the CloudFormation template of an environment, with placeholders for the code locations that `sam package` fills in."""
    sam = template()
    for resource in sam["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = f"s3://bucket/{resource['Properties']['CodeUri']}.zip"
    return transformed(sam, parameters(environment))


def transformed(sam, values):
    """Returns the CloudFormation template that AWS's transform produces from a SAM template."""
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    return transform(sam, values, NoManagedPolicies())


def resolved(environment):
    """Returns the resources of an environment whose conditions hold. Every value that is known before deployment is filled in."""
    cloudformation = translated(environment)
    resolver = Resolver(cloudformation, parameters(environment))
    return {
        name: resolver.value(resource)
        for name, resource in cloudformation["Resources"].items()
        if "Condition" not in resource or resolver.holds(resource["Condition"])
    }


class Resolver:
    """An evaluator of the intrinsic functions of CloudFormation that the template uses."""

    def __init__(self, cloudformation, values):
        defaults = {name: spec.get("Default") for name, spec in cloudformation.get("Parameters", {}).items()}
        self.parameters = {**defaults, **values, **PSEUDO_PARAMETERS}
        self.conditions = cloudformation.get("Conditions", {})

    def holds(self, condition):
        return self.value(self.conditions[condition])

    def value(self, node):
        if isinstance(node, list):
            return [value for value in map(self.value, node) if value is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            [(function, argument)] = node.items()
            known = getattr(self, "_" + function.replace("Fn::", "").lower(), None)
            if known and (function.startswith("Fn::") or function == "Ref"):
                return known(argument)
            if function == "Condition" and isinstance(argument, str):
                return self.holds(argument)
        values = {name: self.value(part) for name, part in node.items()}
        return {name: value for name, value in values.items() if value is not NO_VALUE}

    def _split(self, argument):
        separator, text = argument
        return self.value(text).split(separator)

    def _ref(self, name):
        if name == "AWS::NoValue":
            return NO_VALUE
        return self.parameters.get(name, f"<{name}>")

    def _getatt(self, argument):
        return "<" + ".".join(argument if isinstance(argument, list) else [argument]) + ">"

    def _sub(self, argument):
        text, values = argument if isinstance(argument, list) else (argument, {})
        pieces = text.split("${")
        out = pieces[0]
        for piece in pieces[1:]:
            name, rest = piece.split("}", 1)
            out += str(self.value(values[name]) if name in values else self._ref(name)) + rest
        return out

    def _if(self, argument):
        condition, then, otherwise = argument
        return self.value(then if self.holds(condition) else otherwise)

    def _not(self, argument):
        return not self.value(argument[0])

    def _and(self, argument):
        return all(self.value(part) for part in argument)

    def _equals(self, argument):
        left, right = (self.value(part) for part in argument)
        return left == right

    def _join(self, argument):
        separator, parts = argument
        return separator.join(str(self.value(part)) for part in parts)


def plan(environment):
    """Yields the lines of a summary of what would be deployed."""
    resources = resolved(environment)
    config = settings(environment)
    yield f"stack {config['stack_name']}, tags {', '.join(config['tags'])}"
    yield from _section("parameters", ((name, value or "-") for name, value in parameters(environment).items()))
    functions = _of_type(resources, "AWS::Lambda::Function")
    roles = _of_type(resources, "AWS::IAM::Role")
    yield from _section("functions", ((p["FunctionName"], _function(p)) for p in functions.values()))
    yield from _section(
        "permissions",
        (
            (functions[name.removesuffix("Role")]["FunctionName"], line)
            for name, role in roles.items()
            if name.removesuffix("Role") in functions
            for line in _permissions(role)
        ),
    )
    api = next(iter(_of_type(resources, "AWS::ApiGatewayV2::Api").values()))["Body"]["paths"]
    yield from _section(
        "routes",
        (
            (f"{'ANY' if method == 'x-amazon-apigateway-any-method' else method.upper()} {path}", _target(functions, operation))
            for path, methods in api.items()
            for method, operation in methods.items()
            if "x-amazon-apigateway-integration" in operation
        ),
    )
    sources = _of_type(resources, "AWS::Lambda::EventSourceMapping").values()
    called = [(_called(functions, source["FunctionName"]), f"batches of {source['BatchSize']} from {source['EventSourceArn']}") for source in sources]
    yield from _section("event sources", called)
    for title, resource_type, describe in SECTIONS:
        yield from _section(title, (describe(name, p) for name, p in _of_type(resources, resource_type).items()))
    shown = {"AWS::Lambda::Function", "AWS::Lambda::EventSourceMapping", "AWS::IAM::Role", "AWS::ApiGatewayV2::Api"}
    shown |= {kind for _, kind, _ in SECTIONS}
    rest = {}
    for resource in resources.values():
        if resource["Type"] not in shown:
            rest[resource["Type"]] = rest.get(resource["Type"], 0) + 1
    yield from _section("other resources", ((kind, count) for kind, count in sorted(rest.items())))
    yield ""
    yield f"{len(resources)} resources"


def _table(_, table):
    indexes = ", ".join(index["IndexName"] for index in table["GlobalSecondaryIndexes"])
    return table["TableName"], (
        f"keys {'+'.join(key['AttributeName'] for key in table['KeySchema'])}; indexes {indexes}; "
        f"deletion protection {table['DeletionProtectionEnabled']}; "
        f"point-in-time recovery {table['PointInTimeRecoverySpecification']['PointInTimeRecoveryEnabled']}; "
        f"account's KMS key {table['SSESpecification']['SSEEnabled']}"
    )


def _queue(_, queue):
    redrive = queue.get("RedrivePolicy")
    return queue["QueueName"], (
        f"kept {queue['MessageRetentionPeriod'] // 86400} days, encrypted by SQS"
        + (f"; after {redrive['maxReceiveCount']} attempts moved to the dead-letter queue" if redrive else "")
    )


def _alarm(_, alarm):
    return alarm["AlarmName"], alarm["AlarmDescription"]


def _log_group(_, group):
    return group["LogGroupName"], f"kept {group['RetentionInDays']} days"


SECTIONS = [
    ("table", "AWS::DynamoDB::Table", _table),
    ("queues", "AWS::SQS::Queue", _queue),
    ("alarms", "AWS::CloudWatch::Alarm", _alarm),
    ("logs", "AWS::Logs::LogGroup", _log_group),
]


def _function(p):
    return f"{p['Handler']} on {p['Architectures'][0]}, {p['MemorySize']} MB, {p['Timeout']} s, tracing {p['TracingConfig']['Mode']}"


def _permissions(role):
    for policy in role.get("Policies", []):
        for statement in policy["PolicyDocument"]["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            resource = statement["Resource"]
            on = ", ".join(resource) if isinstance(resource, list) else resource
            condition = statement.get("Condition", {})
            keys = condition.get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys")
            enclosing = condition.get("ForAnyValue:StringEquals", {}).get("dynamodb:EnclosingOperation")
            within = f" in {enclosing}" if enclosing else ""
            yield f"{', '.join(actions)}{within} on {on}" + (f" where pk is {' or '.join(keys)}" if keys else "")
    for arn in role.get("ManagedPolicyArns", []):
        yield arn.rsplit("/", 1)[-1]


def _target(functions, operation):
    """Returns the function that answers an operation, or the URL to which it is passed on."""
    integration = operation["x-amazon-apigateway-integration"]
    if integration["type"] == "http_proxy":
        return integration["uri"]
    return _called(functions, integration["uri"].rsplit("<", 1)[-1].split(">", 1)[0])


def _called(functions, alias):
    """Returns the name of the function that an alias belongs to."""
    return functions[alias.strip("<>").removesuffix("Aliaslive")]["FunctionName"]


def _of_type(resources, kind):
    return {name: resource.get("Properties", {}) for name, resource in resources.items() if resource["Type"] == kind}


def _section(title, rows):
    rows = [(str(name), str(value)) for name, value in rows]
    if rows:
        width = max(len(name) for name, _ in rows)
        yield ""
        yield title
        before = None
        for name, value in rows:
            yield f"  {'' if name == before else name:<{width}}  {value}"
            before = name


def _config():
    return tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))


def main(arguments):
    match arguments:
        case ["translate", environment]:
            print(json.dumps(translated(environment), indent=1))
        case ["parameters", environment]:
            values = parameters(environment).items()
            print(json.dumps([{"ParameterKey": name, "ParameterValue": value} for name, value in values], indent=1))
        case ["environments"]:
            print("\n".join(environments()))
        case ["plan", environment]:
            print("\n".join(plan(environment)))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UnknownEnvironment as unknown:
        sys.exit(f"error: {unknown}")
