"""samconfig.toml and template.yaml fit together."""

import pytest
import stack

ENVIRONMENTS = stack.environments()


def test_there_are_three_environments():
    assert ENVIRONMENTS == ["dev", "staging", "prod"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_says_every_parameter_and_no_other(environment):
    assert list(stack.parameters(environment)) == list(stack.template()["Parameters"]), "all of them, in the template's order"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_value_is_one_that_the_template_takes(environment):
    for name, spec in stack.template()["Parameters"].items():
        value = stack.parameters(environment)[name]
        if "AllowedValues" in spec:
            assert value in [str(allowed) for allowed in spec["AllowedValues"]], name
        if spec["Type"] == "Number":
            assert spec.get("MinValue", 0) <= int(value) <= spec.get("MaxValue", float("inf")), name


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_is_named_and_tagged_as_what_it_is(environment):
    settings = stack.settings(environment)
    assert stack.parameters(environment)["Environment"] == environment
    assert settings["stack_name"] == settings["s3_prefix"] == f"registrations-{environment}"
    assert settings["tags"] == ["service=registrations", f"environment={environment}"]


def test_no_account_and_no_region_is_fixed():
    for file in ("template.yaml", "samconfig.toml"):
        text = (stack.ROOT / file).read_text(encoding="utf-8")
        assert not any(part.isdigit() and len(part) == 12 for part in text.replace(":", " ").split())
        assert "eu-west-1" not in text and "us-east-1" not in text


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_plan_leaves_no_function_of_cloudformation_unresolved(environment):
    lines = "\n".join(stack.plan(environment))
    assert "Fn::" not in lines and "'Ref'" not in lines and "${" not in lines
    assert f"registrations-{environment}" in lines


def test_an_unknown_environment_is_named():
    with pytest.raises(stack.UnknownEnvironment, match="'qa'; it has dev, staging, prod"):
        stack.settings("qa")


def test_a_domain_and_its_record_are_made_only_where_there_is_one():
    values = stack.parameters("prod")
    cloudformation = stack.translated("prod")
    for given, made in [
        ({}, set()),
        ({"DomainName": "api.example.org"}, {"ApiDomain", "ApiDomainMapping"}),
        (
            {"DomainName": "api.example.org", "HostedZoneId": "Z1"},
            {"ApiDomain", "ApiDomainMapping", "ApiDomainRecord"},
        ),
    ]:
        resolver = stack.Resolver(cloudformation, {**values, **given})
        resources = cloudformation["Resources"].items()
        assert {n for n, r in resources if r.get("Condition", "").startswith("HasDomain") and resolver.holds(r["Condition"])} == made
