"""Tests that samconfig.toml, template.yaml, the workflow, the stack policy and the runbook agree."""

import json
import re
import subprocess
import tomllib

import pytest
import stack
from conftest import step
from samcli.yamlhelper import yaml_parse

ENVIRONMENTS = stack.environments()


def test_the_workflow_deploys_only_environments_of_samconfig():
    workflow = yaml_parse((stack.ROOT / ".github/workflows/deploy.yml").read_text(encoding="utf-8"))
    deployed = [job["with"]["environment"] for job in workflow["jobs"].values() if "environment" in job.get("with", {})]
    assert deployed
    assert set(deployed) <= set(ENVIRONMENTS)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_sets_every_parameter_and_no_other(environment):
    assert list(stack.parameters(environment)) == list(stack.template()["Parameters"]), "every parameter, in the template's order"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_template_allows_every_value(environment):
    for name, spec in stack.template()["Parameters"].items():
        value = stack.parameters(environment)[name]
        if "AllowedValues" in spec:
            assert value in [str(allowed) for allowed in spec["AllowedValues"]], name
        assert re.fullmatch(spec.get("AllowedPattern", ".*"), value), name
        if spec["Type"] == "Number":
            assert spec.get("MinValue", 0) <= int(value) <= spec.get("MaxValue", float("inf")), name


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_names_and_tags_of_an_environment_contain_its_name(environment):
    settings = stack.settings(environment)
    assert stack.parameters(environment)["Environment"] == environment
    assert settings["stack_name"] == settings["s3_prefix"] == f"registrations-{environment}"
    assert settings["tags"] == ["service=registrations", f"environment={environment}"]


@pytest.mark.parametrize("environment", ["staging", "prod"])
def test_staging_and_prod_protect_the_table(environment):
    values = stack.parameters(environment)
    for parameter in ("PointInTimeRecovery", "KmsEncryption", "DeletionProtection"):
        assert values[parameter] == "true", parameter


def test_only_prod_of_the_three_shifts_traffic_gradually():
    gradual = {environment for environment in ("dev", "staging", "prod") if stack.parameters(environment)["Rollout"] != "AllAtOnce"}
    assert gradual == {"prod"}


def test_every_environment_stops_a_rollout_on_an_alarm():
    assert {stack.parameters(environment)["StopOnAlarm"] for environment in ENVIRONMENTS} == {"true"}


def test_the_workflow_can_deploy_despite_an_alarm(tmp_path, monkeypatch):
    # The input reaches every environment, and the step it turns on takes CodeDeploy, which watches the alarms, out of the stack.
    workflow = yaml_parse((stack.ROOT / ".github/workflows/deploy.yml").read_text(encoding="utf-8"))
    for job in workflow["jobs"].values():
        if "environment" in job.get("with", {}):
            assert job["with"]["despite_alarms"] == "${{ inputs.despite_alarms || false }}"
    watching = stack.resolved("prod")
    config = tmp_path / "samconfig.toml"
    config.write_bytes((stack.ROOT / "samconfig.toml").read_bytes())
    before = stack.parameters("prod")
    command = step("Let no alarm stop this deployment")
    assert f"\n{command}\n" in (stack.ROOT / "docs/runbook.md").read_text(encoding="utf-8")
    subprocess.run(["bash", "-euc", command], cwd=tmp_path, check=True)
    after = tomllib.loads(config.read_text(encoding="utf-8"))["prod"]["deploy"]["parameters"]["parameter_overrides"]
    assert after == {**before, "StopOnAlarm": "false"}
    monkeypatch.setattr(stack, "parameters", lambda _: after)
    despite = stack.resolved("prod")
    assert {resource["Type"] for name, resource in watching.items() if name not in despite} == {
        "AWS::CodeDeploy::Application", "AWS::CodeDeploy::DeploymentGroup", "AWS::IAM::Role",
    }  # fmt: skip
    aliases = {name for name, resource in watching.items() if resource["Type"] == "AWS::Lambda::Alias"}
    assert all("UpdatePolicy" in watching[name] and "UpdatePolicy" not in despite[name] for name in aliases)


def test_prod_does_not_let_the_pages_of_every_origin_call():
    assert stack.parameters("prod")["CorsAllowOrigin"] != "*"


def test_no_account_or_region_is_hard_coded():
    for file in ("template.yaml", "samconfig.toml"):
        text = (stack.ROOT / file).read_text(encoding="utf-8")
        assert not any(part.isdigit() and len(part) == 12 for part in text.replace(":", " ").split())
        assert "eu-west-1" not in text
        assert "us-east-1" not in text


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_plan_resolves_every_function_of_cloudformation(environment):
    lines = "\n".join(stack.plan(environment))
    assert "Fn::" not in lines
    assert "'Ref'" not in lines
    assert "${" not in lines
    assert f"registrations-{environment}" in lines


def test_the_error_for_an_unknown_environment_lists_the_known_ones():
    with pytest.raises(stack.UnknownEnvironment, match=f"'nowhere'; it has {', '.join(ENVIRONMENTS)}$"):
        stack.settings("nowhere")


def test_a_domain_and_its_record_are_created_only_if_configured():
    values = stack.parameters("prod")
    cloudformation = stack.translated("prod")
    for given, created in [
        ({}, set()),
        ({"DomainName": "api.example.org"}, {"ApiDomain", "ApiDomainMapping"}),
        (
            {"DomainName": "api.example.org", "HostedZoneId": "Z1"},
            {"ApiDomain", "ApiDomainMapping", "ApiDomainRecord"},
        ),
    ]:
        resolver = stack.Resolver(cloudformation, {**values, **given})
        resources = cloudformation["Resources"].items()
        assert {n for n, r in resources if r.get("Condition", "").startswith("HasDomain") and resolver.holds(r["Condition"])} == created


@pytest.mark.parametrize("parameter", stack.template()["Parameters"])
def test_a_parameter_that_changes_a_function_publishes_a_version(parameter, monkeypatch):
    # Without a new version the alias stays on the old one, and the change has no effect.
    spec, values = stack.template()["Parameters"][parameter], stack.parameters("prod")
    [other, *_] = [value for value in map(str, spec.get("AllowedValues", ["7"])) if value != values[parameter]]
    before = functions_and_versions()
    monkeypatch.setattr(stack, "parameters", lambda _: {**values, parameter: other})
    after = functions_and_versions()
    # A changed Environment renames the function, so it belongs to another stack. PermissionsBoundary changes only the role.
    if parameter not in ("Environment", "PermissionsBoundary"):
        changed = {name for name in before if before[name][0] != after[name][0]}
        assert changed == {name for name in before if before[name][1] != after[name][1]}
        of_functions = ("Architecture", "LogLevel", "Tracing", "WalletReservedConcurrency", "DomainName", "GoogleKeysUrl")
        assert bool(changed) is (parameter in of_functions)


def test_a_changed_property_in_the_template_publishes_a_version(monkeypatch):
    before = functions_and_versions()
    changed = stack.template()
    for resource in changed["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["Timeout"] = 7
    monkeypatch.setattr(stack, "template", lambda: changed)
    after = functions_and_versions()
    assert all(before[name][1] != after[name][1] for name in before), "AutoPublishAliasAllProperties"


def test_a_new_wording_of_the_versions_changes_the_functions_too():
    # Otherwise Lambda refuses to publish a version, because nothing that it versions has changed.
    for name, (function, (_, description)) in functions_and_versions().items():
        assert function["Description"] == description, name


def functions_and_versions():
    """Returns the properties and the version of each function, by the function's logical id."""
    resources = stack.resolved("prod")
    versions = {
        resource["Properties"]["FunctionName"]: (name, resource["Properties"].get("Description"))
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Lambda::Version"
    }
    return {
        name: (resource["Properties"], versions[f"<{name}>"]) for name, resource in resources.items() if resource["Type"] == "AWS::Lambda::Function"
    }


def test_the_stack_policy_protects_every_retained_resource():
    retained = {name for name, resource in stack.template()["Resources"].items() if resource.get("DeletionPolicy") == "Retain"}
    policy = json.loads((stack.ROOT / "deploy/stack-policy.json").read_text(encoding="utf-8"))
    [denied] = [statement for statement in policy["Statement"] if statement["Effect"] == "Deny"]
    assert set(denied["Resource"]) == {f"LogicalResourceId/{name}" for name in retained}
    assert denied["Action"] == ["Update:Replace", "Update:Delete"]


def test_every_alarm_names_a_section_of_the_runbook():
    runbook = (stack.ROOT / "docs/runbook.md").read_text(encoding="utf-8")
    headings = {line.removeprefix("## ").lower() for line in runbook.splitlines() if line.startswith("## ")}
    alarms = [resource for resource in stack.resolved("prod").values() if resource["Type"] == "AWS::CloudWatch::Alarm"]
    assert alarms
    for alarm in alarms:
        _, section = alarm["Properties"]["AlarmDescription"].split("; docs/runbook.md, ")
        assert section.removesuffix(".") in headings, section


def test_a_documented_recount_shows_its_result():
    # The AWS CLI stops reading after 60 seconds and invokes again, and a recount takes up to the function's timeout. The second invocation only
    # answers that the first one is running.
    assert stack.resolved("prod")["CampaignRecount"]["Properties"]["Timeout"] > 60
    found = []
    for document in sorted((stack.ROOT / "docs").glob("*.md")):
        text = document.read_text(encoding="utf-8").replace("\\\n", " ")
        found += [line for line in text.splitlines() if "aws lambda invoke" in line and "campaign-recount" in line]
    assert found
    for command in found:
        assert command.startswith("AWS_MAX_ATTEMPTS=1 aws lambda invoke --cli-read-timeout 0 "), command
