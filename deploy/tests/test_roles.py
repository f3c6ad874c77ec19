"""Tests that the roles of deploy/roles.yaml allow exactly what a deployment needs."""

import json
import re
from fnmatch import fnmatchcase
from importlib.resources import files

import boto3
import pytest
import stack
from moto import mock_aws
from moto.iam.aws_managed_policies import aws_managed_policies_data

ENVIRONMENTS = stack.environments()
# The policies of CloudFormation's role.
POLICIES = ["Data", "Functions", "Code", "Watch", "Domain"]

# Actions that a resource type needs only for properties that the template does not set, by resource type. The lists are separate, because an
# action that one type does not need here may be necessary for another.
UNUSED = {
    "AWS::ApiGatewayV2::Api": {"s3:getObject"},  # a definition of the API outside the template
    "AWS::ApiGatewayV2::DomainName": {"s3:GetObjectVersion"},  # trust stores
    "AWS::CodeDeploy::DeploymentGroup": {"codedeploy:RegisterOnPremisesInstance"},
    "AWS::DynamoDB::Table": {
        # Replicas and imports.
        "dynamodb:AssociateTableReplica", "dynamodb:CreateTableReplica", "dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:GetItem",
        "dynamodb:PutItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:UpdateItem", "iam:CreateServiceLinkedRole",
        "dynamodb:DescribeImport", "dynamodb:ImportTable", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents",
        "s3:GetObjectMetadata", "s3:ListBucket",
        # Kinesis, resource policies, insights.
        "dynamodb:DisableKinesisStreamingDestination", "dynamodb:EnableKinesisStreamingDestination",
        "dynamodb:UpdateKinesisStreamingDestination", "kinesis:DescribeStream", "kinesis:PutRecords", "dynamodb:PutResourcePolicy",
        "dynamodb:DeleteResourcePolicy", "dynamodb:UpdateContributorInsights",
        # Customer-managed keys.
        "kms:Decrypt", "kms:Encrypt", "kms:ListAliases", "kms:RevokeGrant",
    },
    # The trust policy and the boundary of a role never change.
    "AWS::IAM::Role": {"iam:UpdateAssumeRolePolicy", "iam:DeleteRolePermissionsBoundary", "iam:PutRolePermissionsBoundary"},
    "AWS::KMS::Key": {"kms:DisableKey", "kms:DisableKeyRotation", "kms:EnableKey"},
    "AWS::Lambda::Alias": {"lambda:DeleteProvisionedConcurrencyConfig", "lambda:PutProvisionedConcurrencyConfig"},
    "AWS::Lambda::EventSourceMapping": {"kms:Decrypt", "kms:GenerateDataKey"},
    "AWS::Lambda::Function": {
        # Networks, file systems, layers, code signing, concurrency, runtime management, customer-managed keys.
        "ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs",
        "elasticfilesystem:DescribeMountTargets", "s3files:ListMountTargets", "lambda:GetLayerVersion",
        "lambda:DeleteFunctionCodeSigningConfig", "lambda:GetCodeSigningConfig", "lambda:PutFunctionCodeSigningConfig",
        "lambda:DeleteFunctionConcurrency", "lambda:PutFunctionConcurrency", "lambda:PutFunctionRecursionConfig",
        "lambda:PutFunctionScalingConfig", "lambda:PassCapacityProvider", "lambda:PutRuntimeManagementConfig",
        "lambda:AssociateRuntimeAlias", "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey",
        # The bucket is versioned, but the template names no version of the code.
        "s3:GetObjectVersion",
    },
    "AWS::Lambda::Version": {
        "lambda:PutFunctionScalingConfig", "lambda:PutProvisionedConcurrencyConfig", "lambda:PutRuntimeManagementConfig",
    },
    "AWS::Logs::LogGroup": {
        # Customer-managed keys, policies, deletion protection, other destinations.
        "logs:AssociateKmsKey", "logs:DisassociateKmsKey", "logs:DeleteDataProtectionPolicy", "logs:PutDataProtectionPolicy",
        "logs:DeleteIndexPolicy", "logs:PutIndexPolicy", "logs:DeleteResourcePolicy", "logs:PutLogGroupDeletionProtection",
        "logs:PutBearerTokenAuthentication", "firehose:TagDeliveryStream", "s3:REST.PUT.OBJECT",
    },
    "AWS::SNS::Topic": {"sns:PutDataProtectionPolicy"},
}  # fmt: skip
# No deployment may delete the table or a queue.
FORBIDDEN = {"dynamodb:DeleteTable", "sqs:DeleteQueue"}
# Actions that the schemas of the resource types do not list: for a domain's record, SAM's transform, the API's access log and Lambda's lists.
UNLISTED = [
    "route53:*", "cloudformation:CreateChangeSet", "logs:*LogDelivery", "logs:ListLogDeliveries",
    "lambda:ListTags", "lambda:ListAliases", "lambda:ListEventSourceMappings",
]  # fmt: skip


class Roles:
    """The roles of an environment, with their policies resolved."""

    def __init__(self, environment, repository="acme@123456/passes@456789"):
        values = {"Environment": environment, "Repository": repository, "HostedZoneId": "Z1"}
        template = stack.roles()
        resolver = stack.Resolver(template, values)
        self.resources = {name: resolver.value(resource)["Properties"] for name, resource in template["Resources"].items()}
        self.statements = [statement for name in POLICIES for statement in self.resources[name]["PolicyDocument"]["Statement"]]

    def actions(self):
        return {action for statement in self.statements for action in listed(statement["Action"])}

    def may(self, action, arn):
        return any(
            action in listed(statement["Action"]) and any(fnmatchcase(arn, pattern) for pattern in listed(statement["Resource"]))
            for statement in self.statements
        )


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def roles(request):
    roles = Roles(request.param)
    roles.environment = request.param
    roles.stack = stack.resolved(request.param)
    return roles


def listed(value):
    return value if isinstance(value, list) else [value]


def known(action, patterns):
    return any(fnmatchcase(action, pattern) for pattern in patterns)


@pytest.fixture(scope="session")
def resource_types():
    """Returns the actions that each of CloudFormation's resource types needs, by the type's name."""
    schemas = files("cfnlint") / "data" / "schemas" / "resources"
    found = {}
    for file in schemas.iterdir():
        if file.name.endswith(".json"):
            schema = json.loads(file.read_text(encoding="utf-8"))
            handlers = [handler for name, handler in schema.get("handlers", {}).items() if name != "list"]
            found[schema["typeName"]] = {action for handler in handlers for action in handler["permissions"]}
    return found


def types_of(environment):
    return {resource["Type"] for resource in stack.translated(environment)["Resources"].values()}


def test_cloudformation_has_every_permission_that_the_stack_needs(roles, resource_types):
    for kind in types_of(roles.environment):
        assert resource_types[kind] - UNUSED.get(kind, set()) - FORBIDDEN <= roles.actions(), kind


def test_an_unused_permission_is_one_that_the_resource_type_names(resource_types):
    for kind, actions in UNUSED.items():
        assert actions <= resource_types[kind], kind
    assert set(UNUSED) <= set.union(*map(types_of, ENVIRONMENTS))


def test_cloudformation_has_no_other_permission(roles, resource_types):
    needed = {action for kind in types_of(roles.environment) for action in resource_types[kind]}
    assert {action for action in roles.actions() - needed if not known(action, UNLISTED)} == set()
    assert not roles.actions() & FORBIDDEN
    assert not any("*" in action for action in roles.actions())


# For each resource type: the action that creates it, the property with its name, and its ARN.
NAMED = {
    "AWS::DynamoDB::Table": ("dynamodb:CreateTable", "TableName", "arn:aws:dynamodb:<region>:<account>:table/{}"),
    "AWS::SQS::Queue": ("sqs:CreateQueue", "QueueName", "arn:aws:sqs:<region>:<account>:{}"),
    "AWS::Lambda::Function": ("lambda:CreateFunction", "FunctionName", "arn:aws:lambda:<region>:<account>:function:{}"),
    "AWS::SNS::Topic": ("sns:CreateTopic", "TopicName", "arn:aws:sns:<region>:<account>:{}"),
    "AWS::CloudWatch::Alarm": ("cloudwatch:PutMetricAlarm", "AlarmName", "arn:aws:cloudwatch:<region>:<account>:alarm:{}"),
    "AWS::CloudWatch::Dashboard": ("cloudwatch:PutDashboard", "DashboardName", "arn:aws:cloudwatch::<account>:dashboard/{}"),
    "AWS::Logs::LogGroup": ("logs:CreateLogGroup", "LogGroupName", "arn:aws:logs:<region>:<account>:log-group:{}"),
}


def test_cloudformation_can_create_resources_of_its_own_environment_only(roles):
    others = [environment for environment in [*ENVIRONMENTS, f"{roles.environment}2"] if environment != roles.environment]
    seen = set()
    for resource in roles.stack.values():
        if resource["Type"] in NAMED:
            action, name, arn = NAMED[resource["Type"]]
            arn = arn.format(resource["Properties"][name])
            assert roles.may(action, arn), arn
            for other in others:
                assert not roles.may(action, arn.replace(roles.environment, other)), other
            seen.add(resource["Type"])
    assert seen == set(NAMED)
    assert not roles.may("lambda:UpdateFunctionCode", f"arn:aws:lambda:<region>:<account>:function:others-{roles.environment}")


def test_a_role_can_be_created_only_with_the_boundary(roles):
    boundary = {"StringEquals": {"iam:PermissionsBoundary": "<Boundary>"}}
    role = f"arn:aws:iam::<account>:role/registrations-{roles.environment}-CampaignReportsRole-1"
    granting = {"iam:CreateRole", "iam:AttachRolePolicy", "iam:PutRolePolicy"}
    for statement in roles.statements:
        if granting & set(listed(statement["Action"])) and any(fnmatchcase(role, arn) for arn in listed(statement["Resource"])):
            assert statement["Condition"] == boundary
    for name, resource in roles.stack.items():
        if resource["Type"] == "AWS::IAM::Role":
            expected = f"arn:aws:iam::<account>:policy/registrations-boundary-{roles.environment}"
            expected = None if name == "CodeDeployServiceRole" else expected
            assert resource["Properties"].get("PermissionsBoundary") == expected, name
    assert roles.resources["Boundary"]["ManagedPolicyName"] == f"registrations-boundary-{roles.environment}"


def test_the_policy_of_the_alarms_key_lets_cloudformation_configure_it_at_once(roles, resource_types, monkeypatch):
    # The role's own permissions depend on the key's tags, which may take five minutes to have an effect.
    role = f"arn:aws:iam::<account>:role/{roles.resources['CloudFormationRole']['RoleName']}"

    def granted():
        statements = stack.resolved(roles.environment)["AlarmKey"]["Properties"]["KeyPolicy"]["Statement"]
        return [statement for statement in statements if statement["Principal"] == {"AWS": role}]

    [statement] = granted()
    assert set(statement["Action"]) == resource_types["AWS::KMS::Key"] - UNUSED["AWS::KMS::Key"] - {"kms:CreateKey"}
    assert "Condition" not in statement
    # Without deploy/roles.yaml there is no such role, and KMS refuses a policy with a principal that does not exist.
    values = {**stack.parameters(roles.environment), "PermissionsBoundary": "false"}
    monkeypatch.setattr(stack, "parameters", lambda _: values)
    assert granted() == []


def test_only_the_service_linked_role_of_api_gateway_can_be_created(roles):
    # API Gateway needs it for a domain name in an account that has none. Its resource types' lists do not name the action.
    [statement] = [statement for statement in roles.statements if "iam:CreateServiceLinkedRole" in listed(statement["Action"])]
    assert statement["Resource"] == "arn:aws:iam::<account>:role/aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRoleForAPIGateway"
    assert statement["Condition"] == {"StringEquals": {"iam:AWSServiceName": "ops.apigateway.amazonaws.com"}}
    assert statement["Action"] == "iam:CreateServiceLinkedRole"


# No role has these: the policy of the table's key grants them, but only within the boundary.
BY_THE_TABLES_KEY = {
    "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
}  # fmt: skip


def test_the_boundary_allows_exactly_what_the_functions_may_do(roles):
    boundary = roles.resources["Boundary"]["PolicyDocument"]["Statement"]
    allowed = {action for statement in boundary for action in listed(statement["Action"])}
    used = set()
    for name, resource in roles.stack.items():
        if resource["Type"] == "AWS::IAM::Role" and name != "CodeDeployServiceRole":
            properties = resource["Properties"]
            documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
            documents += [managed(arn) for arn in properties["ManagedPolicyArns"]]
            for document in documents:
                for statement in listed(document["Statement"]):
                    used |= set(listed(statement["Action"]))
    assert used | BY_THE_TABLES_KEY == allowed
    [through_dynamodb] = [statement for statement in boundary if BY_THE_TABLES_KEY & set(listed(statement["Action"]))]
    assert set(through_dynamodb["Action"]) == BY_THE_TABLES_KEY
    assert through_dynamodb["Condition"] == {"StringEquals": {"kms:ViaService": "dynamodb.<region>.amazonaws.com"}}


def managed(arn):
    policy = json.loads(aws_managed_policies_data)[arn.rsplit("/", 1)[-1]]
    return policy["Document"]


# The subject of a repository's tokens has ids since July 2026, unless the repository is older.
@pytest.mark.parametrize("repository", ["acme@123456/passes@456789", "acme/passes"])
def test_only_the_github_environment_of_the_repository_may_deploy(repository):
    assert re.fullmatch(stack.roles()["Parameters"]["Repository"]["AllowedPattern"], repository)
    roles = Roles("staging", repository)
    [statement] = roles.resources["DeployRole"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Principal"] == {"Federated": "arn:aws:iam::<account>:oidc-provider/token.actions.githubusercontent.com"}
    assert statement["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": f"repo:{repository}:environment:staging",
        }
    }


def test_cloudformation_may_assume_its_role_without_a_condition(roles):
    [statement] = roles.resources["CloudFormationRole"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement == {"Effect": "Allow", "Principal": {"Service": "cloudformation.amazonaws.com"}, "Action": "sts:AssumeRole"}


def test_the_workflow_invokes_functions_through_their_alias_only(roles):
    # Through its alias account-admin acts only for the account of the smoke test, and on no campaign.
    statements = roles.resources["DeployRole"]["Policies"][0]["PolicyDocument"]["Statement"]
    actions = {action for statement in statements for action in listed(statement["Action"])}
    assert {action for action in actions if action.startswith("lambda:")} == {"lambda:InvokeFunction"}
    [resources] = [listed(statement["Resource"]) for statement in statements if "lambda:InvokeFunction" in listed(statement["Action"])]
    names = ("account-admin", "campaign-recount")
    assert resources == [f"arn:aws:lambda:<region>:<account>:function:{name}-{roles.environment}:live" for name in names]


@pytest.mark.parametrize("repository", [
    "acme", "acme/*", "*/passes", "acme@123456/passes", "acme/passes@456789", "acme@x/passes@y", "acme@1/passes@2:ref", "acme@*/passes@*",
])  # fmt: skip
def test_a_repository_in_another_form_is_refused(repository):
    assert not re.fullmatch(stack.roles()["Parameters"]["Repository"]["AllowedPattern"], repository)


def test_no_policy_is_longer_than_iam_allows(roles):
    for name in ["Boundary", *POLICIES]:
        document = json.dumps(roles.resources[name]["PolicyDocument"], separators=(",", ":"))
        document = document.replace("<account>", "0" * 12).replace("<region>", "ap-southeast-2")
        assert len(document) <= 6144, name


@pytest.mark.parametrize(("repository", "zone", "roles"), [
    ("", "", {"cloudformation"}),
    ("acme/passes", "", {"cloudformation", "deploy"}),
    ("acme/passes", "Z1", {"cloudformation", "deploy"}),
])  # fmt: skip
def test_an_emulator_creates_the_roles(repository, zone, roles):
    with mock_aws():
        create_roles("registrations-roles-staging", {"Environment": "staging", "Repository": repository, "HostedZoneId": zone})
        iam = boto3.client("iam")
        created = {role["RoleName"] for role in iam.list_roles()["Roles"]}
        assert created == {f"registrations-{role}-staging" for role in roles}
        attached = iam.list_attached_role_policies(RoleName="registrations-cloudformation-staging")["AttachedPolicies"]
        assert len(attached) == (5 if zone else 4)
        owned = iam.list_policies(Scope="Local")["Policies"]
        assert "registrations-boundary-staging" in {policy["PolicyName"] for policy in owned}


def create_roles(name, values):
    boto3.client("cloudformation").create_stack(
        StackName=name,
        TemplateBody=(stack.ROOT / "deploy/roles.yaml").read_text(encoding="utf-8"),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )


def test_the_workflow_uses_every_output_of_the_roles():
    workflow = (stack.ROOT / ".github/workflows/deploy-environment.yml").read_text(encoding="utf-8")
    outputs = {output["Description"].split(",", 1)[0] for output in stack.roles()["Outputs"].values()}
    assert outputs == {"DEPLOY_ROLE_ARN", "CLOUDFORMATION_ROLE_ARN", "ARTIFACTS_BUCKET"}
    for name in outputs:
        assert f"vars.{name} " in workflow, name
