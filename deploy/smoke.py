"""Whether a stack does what it is for: installs, lists, counts and removes over HTTP and through the queue, and says what does not.

    deploy/smoke ENVIRONMENT                                                             # of its stack, by its outputs
    deploy/smoke dev --api URL --queue-url URL --lambda-url URL                          # what `cargo run -p local` prints

It makes a key of the account smoke-test and revokes it; it works in one campaign of its own and leaves no active registration there.
"""

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

import boto3

ACCOUNT = "smoke-test"
NAMESPACE = uuid.UUID("9f0d7f52-3f0e-4c8c-8c55-0b1a3f0f6f9e")
# Indexes follow within milliseconds, counts within seconds, the queue within its batching window; a first start takes a moment.
PATIENCE = 90
PAUSE = 0.2


class Failure(Exception):
    """What was expected and did not happen."""


class Smoke:
    """One run."""

    def __init__(self, environment, api, queue_url, lambda_url, patience):
        self.environment, self.patience = environment, patience
        self.api, self.queue_url = api.rstrip("/"), queue_url
        self.functions = boto3.client("lambda", endpoint_url=lambda_url)
        self.key, self.key_id = None, None
        self.campaign = uuid.uuid5(NAMESPACE, ACCOUNT)
        self.pass_id = uuid.uuid4()
        self.campaign_path = f"/v2/coupons/{self.campaign}"
        self.pass_path = f"{self.campaign_path}/passes/{self.pass_id}/registrations"
        self.failures = []

    def run(self):
        with self.step("account-admin", "makes a key"):
            # Where the account is there already, it says so and nothing changes.
            self.invoke("account-admin", {"action": "create_account", "account_id": ACCOUNT, "user_name": ACCOUNT})
            made = self.invoke("account-admin", {"action": "add_key", "account_id": ACCOUNT, "access": "read_write"})
            expect("api_key" in made, f"expected a key, got {made}")
            self.key, self.key_id = made["api_key"], made["key_id"]
        with self.step("api-contract", "serves the contract"):
            contract = self.expect(200, "GET", "/v2/openapi.json", authorized=False)
            expect(str(contract.get("openapi", "")).startswith("3.1"), f"expected OpenAPI 3.1, got {contract.get('openapi')}")
        with self.step("unmatched-route", "answers an unknown path in our shape"):
            answer = self.expect(404, "GET", "/v2/nowhere")
            expect("error_code" in answer, f"expected an error_code, got {answer}")
        with self.step("registration-writes", "refuses a request without a key"):
            self.expect(401, "POST", self.pass_path, {}, authorized=False)
        before = self.installs()
        by_http, by_queue = str(uuid.uuid4()), str(uuid.uuid4())
        with self.step("registration-writes", "installs"):
            body = {"wallet": "passbook", "device_os": "ios", "id": by_http}
            self.expect(201, "POST", self.pass_path, body)
        with self.step("registration-ingest", "installs from the queue"):
            self.send(by_queue)
            self.wait(lambda: by_queue in self.listed(self.pass_path), f"{by_queue} is not listed")
        with self.step("pass-registrations", "lists the pass"):
            self.wait(lambda: by_http in self.listed(self.pass_path), f"{by_http} is not listed")
        with self.step("campaign-registrations", "lists the campaign"):
            path = f"{self.campaign_path}/registrations?q[id_eq]={by_http}"
            self.wait(lambda: self.listed(path) == [by_http], f"{by_http} is not listed")
        with self.step("registration-tally, campaign-reports", "count the installs"):
            expect(before is not None, "the totals could not be read")
            self.wait(lambda: self.installs() == before + 2, f"expected {before + 2} installs")
        with self.step("registration-writes", "removes"):
            for registration in (by_http, by_queue):
                self.expect(204, "DELETE", f"{self.pass_path}/{registration}")
            self.wait(lambda: self.listed(self.pass_path) == [], "a removed registration is listed")
        with self.step("campaign-recount", "counts the campaign"):
            counted = self.invoke("campaign-recount", {"campaign_id": str(self.campaign)})
            expect(counted.get("active_count") == 0, f"expected no active registration, got {counted}")
        if self.key_id:
            with self.step("account-admin", "revokes the key"):
                revoke = {"action": "revoke_key", "account_id": ACCOUNT, "key_id": self.key_id}
                revoked = self.invoke("account-admin", revoke)
                expect(revoked.get("revoked_at"), f"expected a revoked key, got {revoked}")
        return not self.failures

    def invoke(self, function, event):
        """The answer of a function that has no route."""
        answer = self.functions.invoke(FunctionName=f"{function}-{self.environment}", Payload=json.dumps(event))
        return json.loads(answer["Payload"].read())

    @contextmanager
    def step(self, functions, what):
        try:
            yield
            print(f"ok    {functions}: {what}")
        except Exception as failure:  # noqa: BLE001 - whatever it is, the others are tried and the end says so
            self.failures.append(functions)
            print(f"FAIL  {functions}: {what}: {failure}")

    def installs(self):
        """How many installs are counted; none where the campaign is new, nothing where nobody tells."""
        try:
            status, answer = self.call("GET", f"{self.campaign_path}/reports/totals")
        except OSError:
            return None
        if status == 404:
            return 0
        return answer["report"]["installs_count"] if status == 200 else None

    def listed(self, path):
        status, answer = self.call("GET", path)
        return [registration["id"] for registration in answer] if status == 200 else []

    def send(self, registration):
        url = urlsplit(self.queue_url)
        sqs = boto3.client("sqs", endpoint_url=f"{url.scheme}://{url.netloc}")
        extra = {"registration_id": registration, "device_os": "ios", "device_app_vendor": "passbook"}
        event = {
            "event": "installed",
            "account_id": ACCOUNT,
            "campaign_id": str(self.campaign),
            "pass_id": str(self.pass_id),
            "event_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "event_extra": extra,
        }
        sqs.send_message(QueueUrl=self.queue_url, MessageBody=json.dumps(event))

    def expect(self, status, method, path, body=None, authorized=True):
        got, answer = self.call(method, path, body, authorized)
        expect(got == status, f"{method} {path}: expected {status}, got {got} {answer}")
        return answer

    def call(self, method, path, body=None, authorized=True):
        request = urllib.request.Request(self.api + path, method=method)
        if authorized and self.key:
            request.add_header("Authorization", f"Bearer {self.key}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, read(response)
        except urllib.error.HTTPError as error:
            return error.code, read(error)

    def wait(self, holds, otherwise):
        end = time.monotonic() + self.patience
        while not holds():
            expect(time.monotonic() < end, f"{otherwise} after {self.patience} s")
            time.sleep(PAUSE)


def read(response):
    text = response.read().decode()
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text


def expect(holds, otherwise):
    if not holds:
        raise Failure(otherwise)


def outputs(environment):
    """What the stack of an environment tells of itself."""
    [stack] = boto3.client("cloudformation").describe_stacks(StackName=f"registrations-{environment}")["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("environment", help="dev, staging or prod; dev for a local stack")
    local = parser.add_argument_group("a local stack, by what it prints")
    local.add_argument("--api", metavar="URL")
    local.add_argument("--queue-url", metavar="URL")
    local.add_argument("--lambda-url", metavar="URL")
    parser.add_argument("--patience", type=float, default=PATIENCE, help="how many seconds to wait for what follows later")
    asked = parser.parse_args()
    urls = (asked.api, asked.queue_url, asked.lambda_url)
    if all(urls):
        # The local stack looks at no signature, but one is made.
        os.environ.update(AWS_ACCESS_KEY_ID="local", AWS_SECRET_ACCESS_KEY="local", AWS_DEFAULT_REGION="eu-west-1")
    elif any(urls):
        parser.error("expected all three of --api, --queue-url and --lambda-url, or none")
    else:
        told = outputs(asked.environment)
        urls = (told["ApiUrl"], told["EventQueueUrl"], None)
    smoke = Smoke(asked.environment, *urls, asked.patience)
    if not smoke.run():
        sys.exit(f"error: broken: {'; '.join(dict.fromkeys(smoke.failures))}")
    print("everything works")


if __name__ == "__main__":
    main()
