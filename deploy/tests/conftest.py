"""Fixtures that deploy each environment to an emulator of AWS, with the workflow's own command. Tests read it through the services' APIs."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
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
LOCAL = stack.ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "debug" / "local"
# Fake credentials, so that no test can reach a real account that the machine is logged in to.
os.environ.update(
    AWS_ACCESS_KEY_ID="testing",
    AWS_SECRET_ACCESS_KEY="testing",
    AWS_SESSION_TOKEN="testing",
    AWS_DEFAULT_REGION=REGION,
)


@pytest.fixture(scope="session")
def aws():
    """Starts an emulator of one account and yields its URL. Adds SAM's transform and the outputs of change sets, which the emulator lacks."""
    create_change_set, execute_change_set = CloudFormationBackend.create_change_set, CloudFormationBackend.execute_change_set

    @wraps(create_change_set)
    def transforming(self, *, template, parameters, **others):
        template = without_aliases(stack.transformed(yaml_parse(template), parameters))
        return create_change_set(self, template=json.dumps(template), parameters=parameters, **others)

    @wraps(execute_change_set)
    def with_outputs(self, change_set_name, stack_name=None):
        execute_change_set(self, change_set_name, stack_name)
        created = executed_stack(self, change_set_name)
        created._parse_template()  # noqa: SLF001 - the emulator does this itself when it creates a stack without a change set
        created.output_map = created._create_output_map()  # noqa: SLF001

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CloudFormationBackend, "create_change_set", transforming)
        patch.setattr(CloudFormationBackend, "execute_change_set", with_outputs)
        # The emulator recognises requests to its S3 by this host name.
        yield f"http://localhost:{port}"
    server.stop()


def executed_stack(backend, change_set_name):
    """Returns the emulator's stack that a change set was executed on."""
    executed = next(change for change in backend.change_sets.values() if change_set_name in (change.change_set_name, change.change_set_id))
    return backend.stacks[executed.stack_id]


@pytest.fixture(scope="module")
def local():
    """Starts the local stack; yields the URLs that it prints, by name."""
    with local_stack() as urls:
        yield urls


@contextmanager
def local_stack(*options):
    """Starts the local stack with these options; yields the URLs that it prints, by name."""
    with subprocess.Popen([LOCAL, "--port", "0", "--ephemeral", *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        found = {}
        for line in process.stdout:
            name, _, value = line.partition(" ")
            found[name] = value.strip()
            if line.startswith("Ctrl-C"):
                break
        try:
            yield found
        finally:
            process.terminate()
            process.stdout.read()


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Returns a checkout as it is after `sam build`, with the files that the deployment needs and a small placeholder for each binary."""
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
    """Returns the command of a step in the workflow that deploys an environment."""
    workflow = yaml_parse((ROOT / ".github/workflows/deploy-environment.yml").read_text(encoding="utf-8"))
    [command] = [step["run"] for step in workflow["jobs"]["deploy"]["steps"] if step.get("name") == name]
    return command


def sam(command, checkout, **variables):
    """Runs a command in a checkout with SAM in PATH."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables = {**os.environ, "PATH": path, "SAM_CLI_TELEMETRY": "0", "SAM_CLI_POLL_DELAY": "1", **variables}
    command = ["bash", "-euo", "pipefail", "-c", command]
    run = subprocess.run(command, cwd=checkout, env=variables, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


class Deployed:
    """An environment's stack in the emulator."""

    def __init__(self, environment, endpoint):
        self.environment, self.endpoint = environment, endpoint
        self.parameters = stack.parameters(environment)
        self.translated = stack.translated(environment)
        # For the resources that the emulator does not deploy: aliases, alarms, policies of queues and topics, the API.
        self.resolved = stack.resolved(environment)

    def deploy(self, checkout):
        """Deploys the roles and then the stack, with the workflow's command and the outputs of the roles' stack."""
        roles = self.create_roles()
        sam(step("Deploy"), checkout, AWS_ENDPOINT_URL=self.endpoint, ENVIRONMENT=self.environment, **roles)
        self.stack = self.describe(stack.settings(self.environment)["stack_name"])
        assert self.stack["StackStatus"] == "CREATE_COMPLETE"
        assert self.stack["RoleARN"] == roles["CLOUDFORMATION_ROLE_ARN"]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in self.stack["Outputs"]}

    def create_roles(self):
        """Deploys the roles and returns the variables of the GitHub environment, by name."""
        name = f"registrations-roles-{self.environment}"
        values = {"Environment": self.environment, "Repository": "acme@1/passes@2"}
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
        """Returns the folder names of the functions, in the order of the template."""
        sam = stack.template()["Resources"].values()
        return [Path(resource["Properties"]["CodeUri"]).name for resource in sam if resource["Type"] == "AWS::Serverless::Function"]

    def name(self, prefix):
        return f"{prefix}-{self.environment}"

    def function(self, name):
        return self.client("lambda").get_function_configuration(FunctionName=self.name(name))

    def queue(self, name):
        sqs = self.client("sqs")
        url = sqs.get_queue_url(QueueName=self.name(name))["QueueUrl"]
        return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]

    def table(self):
        return self.client("dynamodb").describe_table(TableName=self.name("registrations"))["Table"]


def without_aliases(node):
    """Replaces references to aliases with references to their functions, because the emulator's CloudFormation creates no aliases."""
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
    # All environments are deployed to the same account, which tests that their names do not collide.
    deployed = Deployed(request.param, aws)
    deployed.deploy(built)
    return deployed
