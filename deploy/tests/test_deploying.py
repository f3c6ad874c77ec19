"""Runs docs/deploying.md: each block of commands, in the order of the page, and compares what it prints with the block of text that follows it.
The section "In a new shell" and what follows it run in a second shell.

`aws` is AWS's own CLI, which checks every service, command and parameter. It calls the emulator, and for Lambda the local stack. `sam`, `git`,
`curl`, `deploy/plan` and `deploy/smoke` are the real ones, except that `sam build` copies placeholders. `gh` is the stand-in of gh.py. Only AWS
and GitHub can show what an account or a repository refuses.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
import stack
from conftest import REGION, executed_stack
from moto.cloudformation.models import CloudFormationBackend

PAGE = (stack.ROOT / "docs/deploying.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent
# An account of its own, because the other tests deploy to the emulator's first one.
ACCOUNT = "222222222222"
# What the reader of the page fills in.
PLACEHOLDERS = {"OWNER/NAME": "acme/passes", "ops@example.org": "ops@example.com"}
NAMES = {"OWNER": "acme", "NAME": "passes"}
# Version 1 of AWS's CLI always sends a payload as it is, which version 2 does only with this option. Version 2 is not published for Python.
AWS = """#!/usr/bin/env bash
# Functions run in the local stack, which supports nothing else of Lambda.
[[ "$1 $2" == "lambda invoke" ]] || unset AWS_ENDPOINT_URL_LAMBDA
arguments=()
for argument; do
  [[ $argument == --cli-binary-format || $argument == raw-in-base64-out ]] || arguments+=("$argument")
done
# Version 1 has an endpoint of its own for SQS, which AWS_ENDPOINT_URL does not replace.
[[ $1 != sqs ]] || arguments+=(--endpoint-url "$AWS_ENDPOINT_URL")
# One file for each call, because the page also calls it in the background.
errors=$ERRORS.$$
output=$("{bin}/aws" "${{arguments[@]}}" 2>"$errors") && status=0 || status=$?
# The emulator lacks some operations and resources. The CLI has checked the command and its options when it calls one.
if ((status)) && ! grep --quiet "^usage\\|Unknown options" "$errors" &&
  {{ grep --quiet "<!doctype html>\\|NotImplemented\\|not been implemented" "$errors" || [[ " {lacking} " == *" $1.$2 "* ]]; }}; then
  status=0
fi
cat "$errors" >&2
rm "$errors"
[[ -z $output ]] || printf '%s\\n' "$output"
exit "$status"
"""
# Operations on resources that the emulator's CloudFormation does not create: the API's stage and domain name, alarms, deployment groups, aliases;
# nor is there a service-linked role. A test compares the names of these resources with the template.
LACKING = [
    "apigatewayv2.get-domain-name", "apigatewayv2.get-stage", "cloudformation.describe-stack-resource", "cloudwatch.set-alarm-state",
    "deploy.get-deployment-group", "iam.get-role", "lambda.update-event-source-mapping",
]  # fmt: skip
# The reader's name for git.
READER = {f"GIT_{role}_{field}": "reader@example.org" for role in ("AUTHOR", "COMMITTER") for field in ("NAME", "EMAIL")}
SAM = """#!/usr/bin/env bash
if [[ $1 == build ]]; then mkdir -p .aws-sam && cp -r target/sam .aws-sam/build; else exec "{bin}/sam" "$@"; fi
"""
PYTHON = '#!/usr/bin/env bash\nexec "{python}" "$@"\n'
GH = '#!/usr/bin/env bash\nexec "{python}" "{tests}/gh.py" "$@"\n'


def blocks(page):
    """Yields the line, the commands and the expected output of each block of commands; the output is `None` if the page shows none."""
    fence = re.compile(r"^( *)```(sh|text)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
    found = [(match.start(), match[2], re.sub(f"(?m)^{match[1]}", "", match[3])) for match in fence.finditer(page)]
    for (start, kind, text), following in zip(found, [*found[1:], (0, "sh", "")], strict=True):
        if kind == "sh":
            yield page.count("\n", 0, start) + 1, text, following[2] if following[1] == "text" else None


@pytest.fixture(scope="module")
def credentials(aws):
    """Returns credentials for the account of this module."""
    role = f"arn:aws:iam::{ACCOUNT}:role/administrator"
    sts = boto3.client("sts", region_name=REGION, endpoint_url=aws)
    found = sts.assume_role(RoleArn=role, RoleSessionName="reader")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": found["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"],
        "AWS_SESSION_TOKEN": found["SessionToken"],
    }


@pytest.fixture
def checkout(built, tmp_path):
    """Returns a clone of the repository in which the tools are installed."""
    checkout = tmp_path / "checkout"
    ignored = shutil.ignore_patterns("tests", "__pycache__")
    for name in ("deploy", "events", ".ci", ".github"):
        shutil.copytree(stack.ROOT / name, checkout / name, ignore=ignored)
    for name in ("template.yaml", "samconfig.toml", ".gitignore"):
        shutil.copy(stack.ROOT / name, checkout)
    shutil.copytree(built / "target", checkout / "target")
    tools = checkout / "target/tools/deploy"
    tools.mkdir(parents=True)
    shutil.copy(stack.ROOT / ".ci/requirements/deploy.txt", tools / "installed")
    values = {"bin": BIN, "python": sys.executable, "tests": Path(__file__).parent, "lacking": " ".join(LACKING)}
    scripts = {tools / "bin/sam": SAM, tools / "bin/python": PYTHON, tmp_path / "bin/aws": AWS, tmp_path / "bin/gh": GH}
    for script, text in scripts.items():
        script.parent.mkdir(exist_ok=True)
        script.write_text(text.format(**values), encoding="utf-8")
        script.chmod(0o755)
    for command in ["init --initial-branch main", "add --all", "commit --message all", "remote add origin https://example.org/upstream.git"]:
        subprocess.run(["git", *command.split()], cwd=checkout, env={**os.environ, **READER, "HOME": str(tmp_path)}, check=True, capture_output=True)
    return checkout


def test_every_command_of_the_page_works_and_prints_what_the_page_shows(aws, credentials, local, checkout, monkeypatch):
    execute = CloudFormationBackend.execute_change_set
    names = {environment: stack.settings(environment)["stack_name"] for environment in stack.environments()}

    def with_local_urls(self, change_set_name, stack_name=None):
        execute(self, change_set_name, stack_name)
        executed = executed_stack(self, change_set_name)
        if self.account_id == ACCOUNT and executed.name in names.values():
            executed.output_map["ApiUrl"].value, executed.output_map["EventQueueUrl"].value = local["API"], local["Queue"]

    monkeypatch.setattr(CloudFormationBackend, "execute_change_set", with_local_urls)
    variables = {
        **READER,
        **credentials,
        "PATH": f"{checkout.parent / 'bin'}:{os.environ['PATH']}",
        "HOME": str(checkout.parent),
        "AWS_ENDPOINT_URL": aws,
        "AWS_ENDPOINT_URL_LAMBDA": local["Lambda"],
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": "1",
        "GH_STATE": str(checkout.parent / "github.json"),
        "LOCAL_ENVIRONMENT": "dev",
        "ERRORS": str(checkout.parent / "errors"),
    }
    page = list(blocks(PAGE))
    assert len(page) > 10
    new_shell = PAGE.count("\n", 0, PAGE.index("### In a new shell"))
    first_shell = [block for block in page if block[0] < new_shell]
    printed = {}
    for shell in (first_shell, page[len(first_shell) :]):
        script = "\n".join(f"printf '\\n=== {line}\\n'\n{filled(commands)}" for line, commands, _ in shell)
        # What the page asks the reader to set again by hand.
        script = f"[[ ! -e ~/kept ]] || . ~/kept\n{script}\n{{ declare -p run user api campaign pass; declare -f register; }} >~/kept"
        run = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=checkout, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        printed |= re.findall(r"^=== (\d+)\n(.*?)(?=^=== \d+\n|\Z)", run.stdout, re.MULTILINE | re.DOTALL)
        assert run.returncode == 0, f"the block in line {list(printed)[-1]} failed: {run.stdout[-2000:]}"
    for line, commands, expected in page:
        if expected is not None:
            assert matches(printed[str(line)], filled(expected)), f"line {line}: {commands} printed\n{printed[str(line)]}"
    cloudformation = boto3.client(
        "cloudformation", region_name=REGION, endpoint_url=aws, **{name.lower(): value for name, value in credentials.items()}
    )
    deployed = {created["StackName"]: created for created in cloudformation.describe_stacks()["Stacks"]}
    for environment in re.search("for environment in (.*); do", PAGE)[1].split():
        name = names[environment]
        assert deployed[name]["RoleARN"] == f"arn:aws:iam::{ACCOUNT}:role/registrations-cloudformation-{environment}"
        assert {"Key": "environment", "Value": environment} in deployed[name]["Tags"]
        assert cloudformation.get_stack_policy(StackName=name)["StackPolicyBody"]


def matches(printed, expected):
    """Returns whether a text is as expected, where `…` stands for any text in a line, and a line of it for any lines."""
    lines = [r"(.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + r"\n" for line in expected.strip().split("\n")]
    return re.fullmatch("".join(lines), "".join(line.rstrip() + "\n" for line in printed.strip().split("\n")))


def filled(text):
    for placeholder, value in PLACEHOLDERS.items():
        text = text.replace(placeholder, value)
    return re.sub(r"\b(OWNER|NAME)\b", lambda found: NAMES[found[0]], text)


def test_the_resources_that_the_page_names_are_in_the_template():
    resources = stack.resolved("dev")
    alarms = {resource["Properties"]["AlarmName"] for resource in resources.values() if resource["Type"] == "AWS::CloudWatch::Alarm"}
    assert alarms > set(re.findall(r"registrations-dev-[a-z-]+", PAGE)) > set()
    assert resources.keys() > set(re.findall(r"--logical-resource-id (\w+)", PAGE)) > set()
