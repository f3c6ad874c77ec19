"""Tests of the route by which wallets fetch passes from the server in the parameter PassOrigin, on the translated template."""

import re

import pytest
import stack

ORIGIN = "https://passes.example.org:8443/v3/wallet"
PATH = "/wallet/{account_id}/v1/passes/{pass_type}/{serial_number+}"
KEY = f"GET {PATH}"


@pytest.fixture
def resources(monkeypatch):
    """Returns the resources with and without an origin."""

    def of(origin):
        values = {**stack.parameters("prod"), "PassOrigin": origin}
        with monkeypatch.context() as patch:
            patch.setattr(stack, "parameters", lambda _: values)
            return stack.resolved("prod")

    return of(ORIGIN), of("")


def test_the_operation_exists_only_with_the_parameter_and_nothing_else_differs(resources):
    with_origin, without = resources
    operations = paths(with_origin).pop(PATH)
    assert list(operations) == ["get"]
    assert PATH not in paths(without)
    limits = stage(with_origin)["RouteSettings"].pop(KEY)
    assert limits == stage(with_origin)["RouteSettings"]["ANY /wallet/{account_id}/{call+}"]
    assert with_origin == without, "nothing else differs"


def test_the_template_fixes_the_host(resources):
    with_origin, _ = resources
    integration = paths(with_origin)[PATH]["get"]["x-amazon-apigateway-integration"]
    assert integration == {
        "type": "http_proxy",
        "httpMethod": "GET",
        "uri": f"{ORIGIN}/v1/passes/{{pass_type}}/{{serial_number}}",
        "connectionType": "INTERNET",
        "payloadFormatVersion": "1.0",
        "timeoutInMillis": 30000,
    }


@pytest.mark.parametrize(
    ("origin", "is_allowed"),
    [
        ("", True),
        (ORIGIN, True),
        ("https://passes.example.org", True),
        ("http://passes.example.org", False),
        ("https://passes.example.org/", False),
        ("https://user@passes.example.org", False),
        ("https://passes.example.org/?a=b", False),
        ("https://passes.example.org/#a", False),
        ("https://passes.example.org/../a", False),
        ("https://{account_id}.example.org", False),
        ("https://passes.example.org/${Environment}", False),
    ],
)
def test_an_origin_is_an_https_url_without_user_query_and_placeholders(origin, is_allowed):
    pattern = stack.template()["Parameters"]["PassOrigin"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, origin)) is is_allowed


def test_every_event_of_a_function_has_its_route_and_the_api_its_cors_and_tags(resources):
    # With a DefinitionBody of ours SAM ignores the second of two events with one route.
    events = [
        (name, event["Properties"])
        for name, resource in stack.template()["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
        for event in resource["Properties"].get("Events", {}).values()
        if event["Type"] == "HttpApi"
    ]
    expected = {(event["Path"], method(event["Method"])): name for name, event in events}
    assert len(expected) == len(events), "two events have one route"
    for of in resources:
        translated = {
            (path, operation): re.search(r"functions/<(\w+)Aliaslive>/", integration["x-amazon-apigateway-integration"]["uri"])[1]
            for path, operations in paths(of).items()
            for operation, integration in operations.items()
            if path != PATH
        }
        assert translated == expected
        body = of["RegistrationApi"]["Properties"]["Body"]
        assert body["info"]["title"] == "registrations-prod"
        assert body["x-amazon-apigateway-cors"]["allowMethods"] == ["GET", "POST", "DELETE"]
        assert body["tags"] == [{"name": "httpapi:createdBy", "x-amazon-apigateway-tag-value": "SAM"}]
        assert paths(of)["$default"]["x-amazon-apigateway-any-method"]["isDefaultRoute"] is True


def test_a_plan_shows_the_origin(monkeypatch):
    values = {**stack.parameters("prod"), "PassOrigin": ORIGIN}
    monkeypatch.setattr(stack, "parameters", lambda _: values)
    routes = [line.strip() for line in stack.plan("prod") if KEY in line]
    assert [line.split()[-1] for line in routes] == [f"{ORIGIN}/v1/passes/{{pass_type}}/{{serial_number}}"]


def paths(resources):
    return resources["RegistrationApi"]["Properties"]["Body"]["paths"]


def stage(resources):
    return resources["RegistrationApiApiGatewayDefaultStage"]["Properties"]


def method(name):
    return {"any": "x-amazon-apigateway-any-method"}.get(name.lower(), name.lower())
