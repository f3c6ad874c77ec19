"""Each environment, deployed by the workflow's own command to an emulator of AWS and looked at through the services' own APIs."""

import json
import os
import subprocess
import sys
from functools import wraps
from pathlib import Path

import boto3
import pytest
from moto.cloudformation.models import CloudFormationBackend
from moto.server import ThreadedMotoServer
from samcli.yamlhelper import yaml_parse

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy"))

import stack  # noqa: E402

REGION = "eu-west-1"
# Nothing here may reach an account, whatever the machine is logged in to.
os.environ.update(
    AWS_ACCESS_KEY_ID="testing",
    AWS_SECRET_ACCESS_KEY="testing",
    AWS_SESSION_TOKEN="testing",
    AWS_DEFAULT_REGION=REGION,
)


@pytest.fixture(scope="session")
def aws():
    """An emulator of one account, and where it answers; with SAM's transform and the outputs of a change set, which it lacks."""
    create_change_set, execute_change_set = CloudFormationBackend.create_change_set, CloudFormationBackend.execute_change_set

    @wraps(create_change_set)
    def transforming(self, *, template, parameters, **others):
        template = without_aliases(stack.transformed(yaml_parse(template), parameters))
        return create_change_set(self, template=json.dumps(template), parameters=parameters, **others)

    @wraps(execute_change_set)
    def telling(self, change_set_name, stack_name=None):
        execute_change_set(self, change_set_name, stack_name)
        executed = next(change for change in self.change_sets.values() if change_set_name in (change.change_set_name, change.change_set_id))
        made = self.stacks[executed.stack_id]
        made._parse_template()  # noqa: SLF001 - as the emulator itself does it when it makes a stack without a change set
        made.output_map = made._create_output_map()  # noqa: SLF001

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CloudFormationBackend, "create_change_set", transforming)
        patch.setattr(CloudFormationBackend, "execute_change_set", telling)
        # By this name the emulator knows its own S3.
        yield f"http://localhost:{port}"
    server.stop()


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A checkout after `sam build`, as far as the workflow's deployment needs it; with something small in place of each binary."""
    checkout = tmp_path_factory.mktemp("checkout")
    build = checkout / "target" / "sam"
    sam = stack.template()
    for name, resource in sam["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = name
            (build / name).mkdir(parents=True)
            (build / name / "bootstrap").write_text(name, encoding="utf-8")
    (build / "template.yaml").write_text(json.dumps(sam), encoding="utf-8")
    (checkout / "samconfig.toml").write_bytes((ROOT / "samconfig.toml").read_bytes())
    return checkout


def step(name):
    """What a step of the workflow that deploys an environment runs."""
    workflow = yaml_parse((ROOT / ".github/workflows/deploy-environment.yml").read_text(encoding="utf-8"))
    [command] = [step["run"] for step in workflow["jobs"]["deploy"]["steps"] if step.get("name") == name]
    return command


def sam(command, checkout, **variables):
    """Runs a command in a checkout with SAM in its path."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables = {**os.environ, "PATH": path, "SAM_CLI_TELEMETRY": "0", "SAM_CLI_POLL_DELAY": "1", **variables}
    command = ["bash", "-euo", "pipefail", "-c", command]
    run = subprocess.run(command, cwd=checkout, env=variables, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


class Deployed:
    """A stack of the emulator."""

    def __init__(self, environment, endpoint):
        self.environment, self.endpoint = environment, endpoint
        self.parameters = stack.parameters(environment)
        self.translated = stack.translated(environment)
        # What the emulator does not deploy (aliases, alarms, policies of queues and topics, the API) is read here.
        self.resolved = stack.resolved(environment)

    def deploy(self, checkout):
        """Does what the README asks for: first the roles, then the stack, as the workflow does it with what the roles' stack tells."""
        roles = self.create_roles()
        sam(step("Deploy"), checkout, AWS_ENDPOINT_URL=self.endpoint, ENVIRONMENT=self.environment, **roles)
        self.stack = self.describe(stack.settings(self.environment)["stack_name"])
        assert self.stack["StackStatus"] == "CREATE_COMPLETE"
        assert self.stack["RoleARN"] == roles["CLOUDFORMATION_ROLE_ARN"]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in self.stack["Outputs"]}

    def create_roles(self):
        """The variables of the repository's environment, by their names."""
        name = f"registrations-roles-{self.environment}"
        values = {"Environment": self.environment, "Repository": "acme/passes", "OidcProviderArn": "arn:aws:iam::1:oidc-provider/x"}
        self.client("cloudformation").create_stack(
            StackName=name,
            TemplateBody=(ROOT / "deploy" / "roles.yaml").read_text(encoding="utf-8"),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        return {output["Description"].split(",", 1)[0]: output["OutputValue"] for output in self.describe(name)["Outputs"]}

    def describe(self, name):
        [described] = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        return described

    def client(self, service):
        return boto3.client(service, region_name=REGION, endpoint_url=self.endpoint)

    def functions(self):
        """The folders of the functions, by what the template calls them."""
        sam = stack.template()["Resources"].values()
        return [Path(resource["Properties"]["CodeUri"]).name for resource in sam if resource["Type"] == "AWS::Serverless::Function"]

    def name(self, what):
        return f"{what}-{self.environment}"

    def function(self, name):
        return self.client("lambda").get_function_configuration(FunctionName=self.name(name))

    def queue(self, name):
        sqs = self.client("sqs")
        url = sqs.get_queue_url(QueueName=self.name(name))["QueueUrl"]
        return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]

    def table(self):
        return self.client("dynamodb").describe_table(TableName=self.name("registrations"))["Table"]


def without_aliases(node):
    """The emulator's CloudFormation makes no aliases: what calls one calls its function there."""
    if isinstance(node, list):
        return [without_aliases(part) for part in node]
    if not isinstance(node, dict):
        return node
    reference = node.get("Ref")
    if isinstance(reference, str) and reference.endswith("Aliaslive"):
        return {"Ref": reference.removesuffix("Aliaslive")}
    return {name: without_aliases(part) for name, part in node.items()}


@pytest.fixture(scope="session", params=stack.environments())
def deployed(request, aws, built):
    # One after the other into the same account, so that none is in the way of another.
    deployed = Deployed(request.param, aws)
    deployed.deploy(built)
    return deployed
