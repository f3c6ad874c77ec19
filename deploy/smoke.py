"""Whether a stack does what it is for: installs, lists, counts and removes over HTTP and through the queue, and says what does not.

    API_KEY=demo deploy/smoke --api http://127.0.0.1:4010 --queue-url http://127.0.0.1:PORT/registration-events-dev --account demo

It needs a key that may write. It works in one campaign of its own and leaves no active registration there.
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

NAMESPACE = uuid.UUID("9f0d7f52-3f0e-4c8c-8c55-0b1a3f0f6f9e")
# Indexes follow within milliseconds, counts within seconds, the queue within its batching window; a first start takes a moment.
PATIENCE = 90
PAUSE = 0.2


class Failure(Exception):
    """What was expected and did not happen."""


class Smoke:
    """One run."""

    def __init__(self, api, key, queue_url, account, patience):
        self.patience = patience
        self.api, self.key, self.queue_url, self.account = api.rstrip("/"), key, queue_url, account
        self.campaign = uuid.uuid5(NAMESPACE, account)
        self.pass_id = uuid.uuid4()
        self.campaign_path = f"/v2/coupons/{self.campaign}"
        self.pass_path = f"{self.campaign_path}/passes/{self.pass_id}/registrations"
        self.failures = []

    def run(self):
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
        return not self.failures

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
            "account_id": self.account,
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
        if authorized:
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--api", required=True, help="what the paths begin with, as the output ApiUrl")
    parser.add_argument("--queue-url", required=True, help="as the output EventQueueUrl")
    parser.add_argument("--account", required=True, help="whose key it is")
    parser.add_argument("--patience", type=float, default=PATIENCE, help="how many seconds to wait for what follows later")
    arguments = parser.parse_args()
    key = os.environ.get("API_KEY") or sys.exit("error: the variable API_KEY is not set")
    if "amazonaws" not in urlsplit(arguments.queue_url).netloc:
        # The local queue looks at no signature, but one is made.
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
            os.environ.setdefault(name, "local")
    smoke = Smoke(arguments.api, key, arguments.queue_url, arguments.account, arguments.patience)
    if not smoke.run():
        sys.exit(f"error: broken: {'; '.join(dict.fromkeys(smoke.failures))}")
    print("everything works")


if __name__ == "__main__":
    main()
