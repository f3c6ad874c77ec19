"""Each environment, deployed by the emulator's CloudFormation and looked at through the services' own APIs."""

import io
import json
import os
import sys
import zipfile
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

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


class Deployed:
    """A stack of the emulator."""

    def __init__(self, environment):
        self.environment = environment
        self.parameters = stack.parameters(environment)
        self.translated = stack.translated(environment, code=lambda folder: f"s3://code/{Path(folder).name}.zip")
        # What the emulator does not deploy (aliases, alarms, policies of queues and topics, the API) is read here.
        self.resolved = stack.resolved(environment)

    def deploy(self):
        s3 = self.client("s3")
        s3.create_bucket(Bucket="code", CreateBucketConfiguration={"LocationConstraint": REGION})
        for name in self.functions():
            s3.put_object(Bucket="code", Key=f"{name}.zip", Body=_zip())
        cloudformation = self.client("cloudformation")
        name = stack.settings(self.environment)["stack_name"]
        self.client("s3").put_object(Bucket="code", Key="template.json", Body=json.dumps(without_aliases(self.translated)))
        cloudformation.create_stack(
            StackName=name,
            TemplateURL=f"https://code.s3.{REGION}.amazonaws.com/template.json",
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in self.parameters.items()
            ],
            Capabilities=["CAPABILITY_IAM"],
        )
        [described] = cloudformation.describe_stacks(StackName=name)["Stacks"]
        assert described["StackStatus"] == "CREATE_COMPLETE"
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}

    def client(self, service):
        return boto3.client(service, region_name=REGION)

    def functions(self):
        """The folders of the functions, by what the template calls them."""
        sam = stack.template()["Resources"].values()
        return [
            Path(resource["Properties"]["CodeUri"]).name
            for resource in sam
            if resource["Type"] == "AWS::Serverless::Function"
        ]

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


def _zip():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("bootstrap", "")
    return file.getvalue()


@pytest.fixture(scope="module", params=stack.environments())
def deployed(request):
    with mock_aws():
        deployed = Deployed(request.param)
        deployed.deploy()
        yield deployed
